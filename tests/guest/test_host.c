/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A host that changes its mind: pages that disappear, come back elsewhere, lose rights or age;
 * slots that go, come and turn read-only. Each time the guest must see the new state at once, on
 * every CPU, and lose nothing.
 */
#include "access.h"

#define BLOCK       0x200000ull
#define PROT_W      2
#define AGE_TEST    0
#define AGE_CLEAR   1
#define MARK(frame) (0x6d61726b00000000ull + (frame))

static void remap(uint64_t slot, uint64_t page, uint64_t frame)
{
	hypercall(TEST_HC_REMAP, slot, page, frame);
}

static void mark(uint64_t frame)
{
	hypercall(TEST_HC_FILL, frame, MARK(frame), 0);
}

/* Bits of TEST_HC_LOOKUP's third result. */
static uint64_t leaf(uint64_t gpa, unsigned int shift)
{
	uint64_t regs[4] = { TEST_HC_LOOKUP, gpa };

	check_eq(hvc(regs), 0);
	return regs[3] >> shift & 0xff;
}

static void no_data(uint64_t addr)
{
	struct probe p;
	int taken = probe_enter(&p, ld8, addr, 0, 0);

	check_abort(taken, &p, 0, addr, ld8);
	taken = probe_enter(&p, st8, addr, 0, 0);
	check_abort(taken, &p, ABORT_WRITE, addr, st8);
}

static void no_exec(uint64_t addr)
{
	struct probe p;
	int taken = probe_enter(&p, (probe_fn)addr, 0, 0, 0);

	check_abort(taken, &p, ABORT_EXEC, addr, addr);
}

/* Through each way of looking: mapped or not, the page never executes. */
static void device_comes_and_goes(void)
{
	uint64_t va = window(1, TEST_DEV + PAGE, WINDOW_DEVICE);
	uint64_t normal = window(2, TEST_DEV + PAGE, 0);

	for (uint64_t frame = TEST_FRAME_SPARE; frame < TEST_FRAME_SPARE + 4; frame++) {
		mark(frame);
		remap(TEST_SLOT_DEV, 1, TEST_FRAME_ABSENT);
		no_data(va + 0x10);
		no_exec(normal);
		remap(TEST_SLOT_DEV, 1, frame);
		if (frame & 1)
			no_exec(normal);
		check_eq(peek(va), MARK(frame));
		poke(va + 8, ~frame);
		no_exec(normal + 8);
		check_eq(peek(normal + 8), ~frame);
		check_eq(hypercall(TEST_HC_PEEK, frame, 8, 0), ~frame);
		check(leaf(TEST_DEV + PAGE, 8) >= 2); /* some device type */
	}
	remap(TEST_SLOT_DEV, 1, TEST_FRAME_DEV + 1);
	check_eq(hypercall(TEST_HC_PEEK, TEST_FRAME_SPARE + 3, 8, 0), ~(TEST_FRAME_SPARE + 3ull));
}

static void slot_comes_and_goes(uint64_t slot, uint64_t gpa)
{
	uint64_t other = gpa + 3 * PAGE;

	poke(other, 0x1212);
	for (unsigned int round = 0; round < 3; round++) {
		no_data(TEST_HOLE);
		check_eq(peek(other), 0x1212 + round);
		hypercall(TEST_HC_SLOT, slot, TEST_SLOT_OP_DEL, 0);
		no_data(other);
		no_data(gpa + 4 * PAGE);
		no_exec(other);
		hypercall(TEST_HC_SLOT, slot, TEST_SLOT_OP_ADD, 0);
		check_eq(peek(other), 0x1212 + round);
		poke(other, 0x1213 + round);
	}
}

static void slots_come_and_go(void)
{
	slot_comes_and_goes(TEST_SLOT_DEV, TEST_DEV);
	slot_comes_and_goes(TEST_SLOT_RAM, TEST_RAM);
}

/* What the host has only later: it says "not now" three times. */
static void host_busy(void)
{
	struct probe p;

	mark(3);
	remap(TEST_SLOT_RAM, 3, TEST_FRAME_BUSY);
	check_eq(probe_enter(&p, ld8, TEST_RAM + 3 * PAGE, 0, 0), 0);
	check_eq(p.result, MARK(3));
	remap(TEST_SLOT_RAM, 3, 3);
}

static void ram_remapped(void)
{
	for (uint64_t frame = TEST_FRAME_SPARE; frame < TEST_FRAMES; frame++) {
		struct probe p;

		mark(frame);
		/* Code in it: mov x0, #frame; ret. The caches must not remember the last one's. */
		remap(TEST_SLOT_RAM, 2, frame);
		check_eq(peek(TEST_RAM + 2 * PAGE), MARK(frame));
		check_eq(peek(TEST_RO + 2 * PAGE), MARK(frame));
		hypercall(TEST_HC_FILL, frame, 0xd65f03c0d2800000ull | frame << 5, 0);
		remap(TEST_SLOT_RAM, 2, 2);
		remap(TEST_SLOT_RAM, 2, frame);
		check_eq(probe_enter(&p, (probe_fn)(TEST_RAM + 2 * PAGE), 99, 0, 0), 0);
		check_eq(p.result, frame);
		poke(TEST_RAM + 2 * PAGE + 16, frame);
		check_eq(hypercall(TEST_HC_PEEK, frame, 16, 0), frame);
	}
	remap(TEST_SLOT_RAM, 2, 2);
}

#define STALE_ROUNDS 300

static uint32_t round_now;
static uint32_t seen_by[MAX_CPUS];

static uint64_t frame_of_round(uint32_t round)
{
	return TEST_FRAME_SPARE + round % 4;
}

static void remap_on_and_on(struct cpu *cpu, uint64_t addr)
{
	for (uint32_t round = 1; round <= STALE_ROUNDS; round++) {
		remap(TEST_SLOT_RAM, 5, frame_of_round(round));
		store_release(&round_now, round);
		job_check(cpu, peek(addr) == MARK(frame_of_round(round)), peek(addr));
		/* Every other time, all CPUs have used the new translation before it goes. */
		for (unsigned int n = 1; n < machine.ncpus && !(round & 1); n++)
			while (load_acquire(&seen_by[n]) < round)
				__asm__ volatile("yield");
	}
}

/*
 * CPU 0 remaps and then publishes the round. A CPU that has seen a round must never again see the
 * content of an earlier one.
 */
static void watch_remaps(struct cpu *cpu)
{
	uint64_t addr = TEST_RAM + 5 * PAGE;

	if (cpu->id == 0) {
		remap_on_and_on(cpu, addr);
		return;
	}
	for (uint32_t before = 0; before < STALE_ROUNDS;) {
		before = load_acquire(&round_now);
		uint64_t seen = peek(addr);
		/* It may be one ahead: remapped, not yet published. More only if time passed. */
		uint32_t after = load_acquire(&round_now);
		int right = 0;

		for (uint32_t round = before; round <= after + 1; round++)
			right |= seen == MARK(frame_of_round(round));
		job_check(cpu, right, seen);
		store_release(&seen_by[cpu->id], before);
	}
}

static void stale_translations(void)
{
	for (uint64_t frame = TEST_FRAME_SPARE; frame < TEST_FRAME_SPARE + 4; frame++)
		mark(frame);
	remap(TEST_SLOT_RAM, 5, frame_of_round(0));
	store_release(&round_now, 0);
	memset(seen_by, 0, sizeof(seen_by));
	check_eq(smp_run(machine.ncpus, watch_remaps), 0);
	remap(TEST_SLOT_RAM, 5, 5);
}

static uint32_t writers_done;

/* CPU 0 flips the slot; each other CPU stores once to every word of two pages of its own. */
static void write_while_flipped(struct cpu *cpu)
{
	uint64_t base = TEST_RAM + cpu->id * 2 * PAGE;

	if (cpu->id == 0) {
		for (unsigned int flips = 0;
		     flips < 4 || load_acquire(&writers_done) < machine.ncpus - 1; flips++)
			hypercall(TEST_HC_SLOT, TEST_SLOT_RAM,
				  flips & 1 ? TEST_SLOT_OP_RW : TEST_SLOT_OP_RO, 0);
		hypercall(TEST_HC_SLOT, TEST_SLOT_RAM, TEST_SLOT_OP_RW, 0);
		return;
	}
	for (uint64_t i = 0; i < 2 * PAGE; i += 8)
		st8(base + i, cpu->id * PAGE + i, 0);
	__atomic_add_fetch(&writers_done, 1, __ATOMIC_RELEASE);
}

/* A store arrives in memory or at the device: never at both, never nowhere. */
static void readonly_under_writer(void)
{
	uint64_t dropped = hypercall(TEST_HC_COUNT, TEST_COUNT_RO_WRITES, 0, 0);

	for (unsigned int round = 0; round < 10; round++) {
		uint64_t emulated = hypercall(TEST_HC_COUNT, TEST_COUNT_RO_SUM, 0, 0);
		uint64_t in_memory = 0, want = 0;

		memset((void *)TEST_RAM, 0, TEST_SLOT_SIZE);
		store_release(&writers_done, 0);
		check_eq(smp_run(machine.ncpus, write_while_flipped), 0);
		emulated = hypercall(TEST_HC_COUNT, TEST_COUNT_RO_SUM, 0, 0) - emulated;
		for (uint64_t n = 1; n < machine.ncpus; n++) {
			for (uint64_t i = 0; i < 2 * PAGE; i += 8) {
				in_memory += peek(TEST_RAM + n * 2 * PAGE + i);
				want += n * PAGE + i;
			}
		}
		check_eq(in_memory + emulated, want);
	}
	dropped = hypercall(TEST_HC_COUNT, TEST_COUNT_RO_WRITES, 0, 0) - dropped;
	print("# %lu stores met the read-only slot\n", dropped);
}

/* A slot turns read-only and back: rights follow at once, contents stay. */
static void readonly_and_back(void)
{
	uint64_t addr = TEST_RAM + PAGE + 0x20;

	for (uint64_t round = 0; round < 3; round++) {
		poke(addr, round);
		hypercall(TEST_HC_SLOT, TEST_SLOT_RAM, TEST_SLOT_OP_RO, 0);
		poke(addr, 99);
		check_eq(peek(addr), round);
		poke(addr, 98);
		check_eq(peek(addr), round);
		hypercall(TEST_HC_SLOT, TEST_SLOT_RAM, TEST_SLOT_OP_RW, 0);
		check_eq(peek(addr), round);
	}
}

/*
 * A block that nobody else touches, untouched. Elsewhere another CPU's fault on a neighbour may
 * make the block whole again, young and writable, between a hypercall and a look at what it did.
 */
static uint64_t own_block(void)
{
	return (fresh(2 * BLOCK) + BLOCK - 1) & ~(BLOCK - 1);
}

/* One page in the middle, and whole ranges, lose the right to be written, and get it back. */
static void write_protect(void)
{
	uint64_t base = own_block();
	struct probe p;

	for (uint64_t n = 0; n < 32; n++)
		poke(base + n * PAGE, n);
	check_eq(hypercall(TEST_HC_PROTECT, base + 9 * PAGE, PAGE, PROT_W), PAGE);
	check(!(leaf(base + 9 * PAGE, 0) & PROT_W));
	check(leaf(base + 8 * PAGE, 0) & PROT_W);
	check(leaf(base + 10 * PAGE, 0) & PROT_W);
	hypercall(TEST_HC_PROTECT, base + 16 * PAGE, 8 * PAGE, PROT_W);
	for (uint64_t n = 0; n < 32; n++) {
		check_eq(peek(base + n * PAGE), n);
		check_eq(probe_enter(&p, st8, base + n * PAGE + 8, n, 0), 0);
		check_eq(peek(base + n * PAGE + 8), n);
		check(leaf(base + n * PAGE, 0) & PROT_W);
	}
	/* Nothing else stands there: a second time nothing is left to take twice. */
	hypercall(TEST_HC_PROTECT, base, 32 * PAGE, PROT_W);
	check_eq(hypercall(TEST_HC_PROTECT, base, 32 * PAGE, PROT_W), 0);
	for (uint64_t n = 0; n < 32; n++)
		check_eq(exclusive_add8(base + n * PAGE, 1, 0), n);
}

static void ageing(void)
{
	uint64_t base = own_block();
	struct probe p;

	for (uint64_t n = 0; n < 16; n++)
		poke(base + n * PAGE, n);
	check(hypercall(TEST_HC_AGE, base, 16 * PAGE, AGE_TEST) >= 16 * PAGE);
	check(hypercall(TEST_HC_AGE, base, 16 * PAGE, AGE_CLEAR) >= 16 * PAGE);
	check_eq(hypercall(TEST_HC_AGE, base, 16 * PAGE, AGE_TEST), 0);
	check_eq(leaf(base, 24), 0);
	check_eq(peek(base), 0);
	check_eq(leaf(base, 24), 1);
	for (uint64_t n = 0; n < 16; n++) {
		check_eq(probe_enter(&p, n & 1 ? st8 : ld8, base + n * PAGE, n, 0), 0);
		check_eq(peek(base + n * PAGE), n);
	}
	check(hypercall(TEST_HC_AGE, base, 16 * PAGE, AGE_TEST) >= 16 * PAGE);
	/* Code on an old page. */
	poke(base, 0xd65f03c0d65f03c0ull);
	__asm__ volatile("dsb ish\n\tic ialluis\n\tdsb ish\n\tisb" ::: "memory");
	hypercall(TEST_HC_AGE, base, PAGE, AGE_CLEAR);
	check_eq(probe_enter(&p, (probe_fn)base, 7, 0, 0), 0);
	check_eq(p.result, 7);
}

/* After a prefault the guest faults no more. */
static void prefaulted(void)
{
	uint64_t base = fresh(64 * PAGE), faults;

	hypercall(TEST_HC_PREFAULT, base, 64 * PAGE, 1);
	faults = hypercall(TEST_HC_COUNT, TEST_COUNT_FAULTS, 0, 0);
	for (uint64_t n = 0; n < 64; n++)
		poke(base + n * PAGE, n);
	check_eq(hypercall(TEST_HC_COUNT, TEST_COUNT_FAULTS, 0, 0), faults);
	check(hypercall_try(TEST_HC_PREFAULT, TEST_HOLE, PAGE, 0) < 0);
	check(hypercall_try(TEST_HC_PREFAULT, TEST_RO, PAGE, 1) < 0);
}

#define AGED_PAGES 32

static uint64_t aged;

/* CPU 0 ages and drops; the others keep count on every page: not one step may be lost. */
static void count_while_aged(struct cpu *cpu)
{
	if (cpu->id == 0) {
		for (unsigned int i = 0; i < 200; i++) {
			hypercall(TEST_HC_AGE, aged, AGED_PAGES * PAGE, AGE_CLEAR);
			hypercall(TEST_HC_DROP, aged + i % AGED_PAGES * PAGE, PAGE, 0);
		}
		return;
	}
	for (uint64_t i = 0; i < 60 * AGED_PAGES; i++) {
		uint64_t addr = aged + i % AGED_PAGES * PAGE + cpu->id * 8;
		uint64_t seen = peek(addr);

		job_check(cpu, seen == i / AGED_PAGES, seen);
		poke(addr, seen + 1);
	}
}

static void nothing_lost(void)
{
	aged = fresh(AGED_PAGES * PAGE);
	check_eq(smp_run(machine.ncpus, count_while_aged), 0);
	for (uint64_t n = 0; n < AGED_PAGES; n++)
		for (uint64_t id = 1; id < machine.ncpus; id++)
			check_eq(peek(aged + n * PAGE + id * 8), 60);
}

static void tree_is_sound(void)
{
	check(hypercall(TEST_HC_AUDIT, 0, 0, 0) > 1);
}

const struct test host_tests[] = {
	{ "a device page disappears and comes back elsewhere", device_comes_and_goes, NEED_HYP },
	{ "slots disappear and come back", slots_come_and_go, NEED_HYP },
	{ "a host that has the page only later", host_busy, NEED_HYP },
	{ "a RAM page is remapped: data and code", ram_remapped, NEED_HYP },
	{ "no CPU sees a remapped page's old content", stale_translations, NEED_HYP | NEED_SMP },
	{ "a slot turns read-only and back", readonly_and_back, NEED_HYP },
	{ "a slot turns read-only under its writers", readonly_under_writer, NEED_HYP | NEED_SMP },
	{ "write protection is lifted by the next write", write_protect, NEED_HYP },
	{ "old pages become young again", ageing, NEED_HYP },
	{ "prefaulted memory does not fault", prefaulted, NEED_HYP },
	{ "counting while the host ages and drops the pages", nothing_lost, NEED_HYP | NEED_SMP },
	{ "the hypervisor's tables are sound", tree_is_sound, NEED_HYP },
	{ NULL, NULL, 0 },
};
