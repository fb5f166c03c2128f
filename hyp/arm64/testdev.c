// SPDX-License-Identifier: BSD-2-Clause
/*
 * The hypervisor's side of the bare-metal tests.
 *
 * Theory: a few page frames lie in the hypervisor's image. Three memslots show them to the guest,
 * under host addresses of their own (TESTDEV_HVA and up), and backing[] says which frame is behind
 * which of these pages just now. A hypercall that changes it plays the host that pulls memory away:
 * invalidate begin, change, end. The RAM and the read-only slot have the same host addresses, so
 * both must be invalidated.
 *
 * Concurrency: any CPU may call anything at any time. backing[] and the counters are atomic; `lock`
 * covers the slots and the emulated device. It is taken outside walker sections only, and no one
 * who holds it waits for anything but sections, which are short: so it may be held over an
 * invalidation. `frames_lock` covers users[], which says to a trace when a frame is behind no page
 * any more; nothing is called under it but the trace.
 *
 * The guest sees some frames as device memory, past the caches: the hypervisor therefore cleans and
 * invalidates what it reads and writes of them.
 */
#include "testdev.h"
#include "tracing.h"

#include "../../tests/guest/abi.h"

#define TESTDEV_HVA 0xffff000000000000ull
#define NBACKING    (2 * TEST_PAGES)
#define BUSY_TIMES  3
#define BUSY_SHIFT  8 /* backing: frame, and above it how often to say "not now" */

static uint8_t frames[TEST_FRAMES][TEST_PAGE_SIZE] __attribute__((aligned(TEST_PAGE_SIZE)));
static uint32_t backing[NBACKING];
static uint64_t counts[TEST_COUNTS];
static uint32_t users[TEST_FRAMES]; /* pages that a frame is behind */
static uint32_t frames_lock;
static uint32_t lock;

static struct s2_memslot slots[TEST_SLOTS] = {
	[TEST_SLOT_RAM] = { .gpa = { TEST_RAM }, .hva = { TESTDEV_HVA }, .size = TEST_SLOT_SIZE },
	[TEST_SLOT_RO] = { .gpa = { TEST_RO },
			   .hva = { TESTDEV_HVA },
			   .size = TEST_SLOT_SIZE,
			   .flags = S2_SLOT_READONLY },
	[TEST_SLOT_DEV] = { .gpa = { TEST_DEV },
			    .hva = { TESTDEV_HVA + TEST_SLOT_SIZE },
			    .size = TEST_SLOT_SIZE },
};

static struct {
	uint8_t scratch[TEST_REG_PATTERN - TEST_REG_SCRATCH];
	uint64_t counter;
	uint64_t sum;
	uint64_t writes;
	uint64_t last;
	uint64_t width;
} device;

static void take(uint32_t *what)
{
	while (__atomic_exchange_n(what, 1, __ATOMIC_ACQUIRE))
		__asm__ volatile("yield");
}

static void release(uint32_t *what)
{
	__atomic_store_n(what, 0, __ATOMIC_RELEASE);
}

static void clean(const void *start, size_t size)
{
	uint64_t ctr;
	uint64_t end = (uint64_t)start + size;

	__asm__("mrs %0, ctr_el0" : "=r"(ctr));
	for (uint64_t line = 4ull << (ctr >> 16 & 15), at = (uint64_t)start & ~(line - 1); at < end;
	     at += line)
		__asm__ volatile("dc civac, %0" : : "r"(at) : "memory");
	__asm__ volatile("dsb sy" ::: "memory");
}

void testdev_setup(struct s2_vm *vm)
{
	for (uint32_t n = 0; n < NBACKING; n++) {
		backing[n] = n;
		users[n] = 1;
	}
	for (int n = 0; n < TEST_SLOTS; n++) {
		/* The slots are constants and clear of the board's map: adding cannot fail. */
		if (s2_vm_slot_add(vm, &slots[n]))
			__builtin_trap();
	}
}

/*
 * A host may sleep between looking at its page and answering. Every fourth time this one does, for
 * some 10 us, so that its answer is often stale and the engine must notice.
 */
static void dawdle(void)
{
	static uint32_t calls;
	uint64_t hz, start, now;

	if (__atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED) % 4)
		return;
	__asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
	__asm__ volatile("isb\n\tmrs %0, cntpct_el0" : "=r"(start));
	do
		__asm__ volatile("isb\n\tmrs %0, cntpct_el0" : "=r"(now));
	while (now - start < hz / 100000);
}

int testdev_resolve(s2_hva_t hva, enum s2_access access, struct s2_page *page)
{
	uint64_t n = (hva.hva - TESTDEV_HVA) / TEST_PAGE_SIZE;
	uint32_t behind;

	(void)access; /* all frames may be read and written */
	if (n >= NBACKING)
		return S2_ENOENT;
	behind = __atomic_load_n(&backing[n], __ATOMIC_ACQUIRE);
	if (behind == TEST_FRAME_ABSENT)
		return S2_ENOENT;
	if (behind >> BUSY_SHIFT) {
		/* Whoever loses the race has said it, too. */
		__atomic_compare_exchange_n(&backing[n], &behind, behind - (1u << BUSY_SHIFT), 0,
					    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
		return S2_EAGAIN;
	}
	dawdle();
	page->hpa = s2_hpa((uint64_t)frames[behind] + hva.hva % TEST_PAGE_SIZE);
	page->size = TEST_PAGE_SIZE;
	page->type = n < TEST_PAGES ? S2_MEM_NORMAL : S2_MEM_DEVICE;
	page->prot = n < TEST_PAGES ? S2_RWX : S2_R | S2_W;
	return 0;
}

/* --- hypercalls --- */

static int drop(struct s2_vm *vm, struct s2_walker *walker, uint64_t gpa, uint64_t size)
{
	int error = s2_vm_invalidate_begin(vm, s2_gpa(gpa), size, S2_INVAL_UNMAP, walker);

	if (error)
		return error;
	tracing_empty(gpa, size);
	s2_vm_invalidate_end(vm, s2_gpa(gpa), size);
	return 0;
}

/* Page n, which nothing maps just now, shows another frame, or none. */
static void back(uint64_t n, uint32_t frame)
{
	uint32_t old;

	take(&frames_lock);
	if (frame < TEST_FRAMES && !users[frame]++)
		tracing_give(frames[frame], TEST_PAGE_SIZE);
	old = __atomic_exchange_n(&backing[n], frame, __ATOMIC_ACQ_REL) & 0xff;
	if (old < TEST_FRAMES && !--users[old])
		tracing_take(frames[old], TEST_PAGE_SIZE);
	release(&frames_lock);
}

static int remap(struct s2_vm *vm, struct s2_walker *walker, const uint64_t *regs)
{
	uint64_t slot = regs[1], n = regs[2], frame = regs[3];
	s2_gpa_t ram, ro;
	int error;

	if (slot >= TEST_SLOTS || n >= TEST_PAGES ||
	    (frame >= TEST_FRAMES && frame != TEST_FRAME_ABSENT && frame != TEST_FRAME_BUSY))
		return S2_EINVAL;
	ram = s2_gpa((slot == TEST_SLOT_DEV ? TEST_DEV : TEST_RAM) + n * TEST_PAGE_SIZE);
	ro = s2_gpa(TEST_RO + n * TEST_PAGE_SIZE);
	if (slot == TEST_SLOT_DEV)
		n += TEST_PAGES;
	error = s2_vm_invalidate_begin(vm, ram, TEST_PAGE_SIZE, S2_INVAL_UNMAP, walker);
	if (error)
		return error;
	error = s2_vm_invalidate_begin(vm, ro, TEST_PAGE_SIZE, S2_INVAL_UNMAP, walker);
	if (!error) {
		tracing_empty(ram.gpa, TEST_PAGE_SIZE);
		tracing_empty(ro.gpa, TEST_PAGE_SIZE);
		if (frame == TEST_FRAME_BUSY)
			__atomic_fetch_or(&backing[n], BUSY_TIMES << BUSY_SHIFT, __ATOMIC_RELEASE);
		else
			back(n, (uint32_t)frame);
		s2_vm_invalidate_end(vm, ro, TEST_PAGE_SIZE);
	}
	s2_vm_invalidate_end(vm, ram, TEST_PAGE_SIZE);
	return error;
}

static int fill(uint64_t frame, uint64_t value)
{
	uint64_t *words;

	if (frame >= TEST_FRAMES)
		return S2_EINVAL;
	words = (uint64_t *)frames[frame];
	for (unsigned int i = 0; i < TEST_PAGE_SIZE / 8; i++)
		words[i] = value;
	clean(words, TEST_PAGE_SIZE);
	return 0;
}

static int peek(uint64_t *regs)
{
	const uint64_t *word;

	if (regs[1] >= TEST_FRAMES || regs[2] >= TEST_PAGE_SIZE || regs[2] % 8)
		return S2_EINVAL;
	word = (const uint64_t *)&frames[regs[1]][regs[2]];
	clean(word, 8);
	regs[1] = *(const volatile uint64_t *)word;
	return 0;
}

static int slot_op(struct s2_vm *vm, struct s2_walker *walker, uint64_t n, uint64_t op)
{
	struct s2_memslot to;
	int error;

	if (n >= TEST_SLOTS)
		return S2_EINVAL;
	take(&lock);
	switch (op) {
	case TEST_SLOT_OP_DEL:
		error = s2_vm_slot_del(vm, &slots[n], walker);
		if (!error)
			tracing_empty(slots[n].gpa.gpa, slots[n].size);
		break;
	case TEST_SLOT_OP_ADD:
		error = s2_vm_slot_add(vm, &slots[n]);
		break;
	case TEST_SLOT_OP_RO:
	case TEST_SLOT_OP_RW:
		to = slots[n];
		to.flags = op == TEST_SLOT_OP_RO ? S2_SLOT_READONLY : 0;
		error = s2_vm_slot_change(vm, &slots[n], &to, walker);
		break;
	default:
		error = S2_EINVAL;
	}
	release(&lock);
	return error;
}

/* TEST_HC_PROTECT and TEST_HC_AGE: on the tree, with the flush that they owe. */
static int change(struct s2_vm *vm, struct s2_walker *walker, uint64_t *regs)
{
	struct s2_progress progress = { 0 };
	struct s2_gather gather;
	s2_gpa_t gpa = s2_gpa(regs[1]);
	int error;

	s2_gather_init(&gather, &vm->pt);
	if (regs[0] == TEST_HC_PROTECT)
		error = s2_pt_protect(&vm->pt, gpa, regs[2], (unsigned int)regs[3], walker, &gather,
				      &progress);
	else
		error = s2_pt_age(&vm->pt, gpa, regs[2], (enum s2_age)regs[3], walker, &gather,
				  &progress);
	s2_gather_flush(&gather, walker);
	if (!error)
		tracing_done(regs[1], regs[2]);
	regs[1] = progress.changed;
	return error;
}

static int lookup(struct s2_vm *vm, struct s2_walker *walker, uint64_t *regs)
{
	struct s2_leaf leaf;
	int error = s2_pt_lookup(&vm->pt, s2_gpa(regs[1]), walker, &leaf);

	if (error)
		return error;
	regs[1] = leaf.hpa.hpa;
	regs[2] = leaf.size;
	regs[3] = leaf.attr.prot | (uint64_t)leaf.attr.type << 8 | (uint64_t)leaf.level << 16 |
		  (uint64_t)leaf.young << 24;
	return 0;
}

static int count(struct s2_vm *vm, uint64_t *regs)
{
	struct s2_stats stats;
	uint64_t sum = 0;

	if (regs[1] >= TEST_COUNTS)
		return S2_EINVAL;
	s2_pt_stats(&vm->pt, &stats);
	if (regs[1] == TEST_COUNT_FAULTS)
		sum = stats.fault[0] + stats.fault[1] + stats.fault[2];
	else if (regs[1] == TEST_COUNT_LEAVES)
		for (int level = 0; level < S2_LEVELS; level++)
			sum += stats.leaves_made[level];
	else
		sum = __atomic_load_n(&counts[regs[1]], __ATOMIC_RELAXED);
	regs[1] = sum;
	return 0;
}

static int prefault(struct s2_vm *vm, struct s2_walker *walker, uint64_t *regs)
{
	struct s2_progress progress = { 0 };
	int error = s2_vm_prefault(vm, s2_gpa(regs[1]), regs[2], (enum s2_access)regs[3], walker,
				   &progress);

	regs[1] = progress.changed;
	return error;
}

static int audit(struct s2_vm *vm, struct s2_walker *walker, uint64_t *regs)
{
	struct s2_census census;
	int error = s2_pt_audit(&vm->pt, walker, &census, NULL);

	regs[1] = 0;
	for (int level = 0; level < S2_LEVELS && !error; level++)
		regs[1] += census.tables[level];
	return error;
}

int testdev_hypercall(struct s2_vm *vm, struct s2_walker *walker, uint64_t *regs)
{
	int error = 0;

	switch (regs[0]) {
	case TEST_HC_VERSION:
		regs[1] = TEST_VERSION;
		break;
	case TEST_HC_DROP:
		error = drop(vm, walker, regs[1], regs[2]);
		break;
	case TEST_HC_REMAP:
		error = remap(vm, walker, regs);
		break;
	case TEST_HC_FILL:
		error = fill(regs[1], regs[2]);
		break;
	case TEST_HC_PEEK:
		error = peek(regs);
		break;
	case TEST_HC_SLOT:
		error = slot_op(vm, walker, regs[1], regs[2]);
		break;
	case TEST_HC_PROTECT:
	case TEST_HC_AGE:
		error = change(vm, walker, regs);
		break;
	case TEST_HC_LOOKUP:
		error = lookup(vm, walker, regs);
		break;
	case TEST_HC_COUNT:
		error = count(vm, regs);
		break;
	case TEST_HC_PREFAULT:
		error = prefault(vm, walker, regs);
		break;
	case TEST_HC_AUDIT:
		error = audit(vm, walker, regs);
		break;
	default:
		return 0;
	}
	regs[0] = (uint64_t)(int64_t)error;
	return 1;
}

/* --- emulation --- */

static uint64_t mask_of(unsigned int bytes)
{
	return bytes == 8 ? ~0ull : (1ull << bytes * 8) - 1;
}

/* Which register, if the access lies within one; NULL if it does not. */
static uint64_t *register_at(uint64_t offset)
{
	switch (offset) {
	case TEST_REG_COUNTER:
		return &device.counter;
	case TEST_REG_SUM:
		return &device.sum;
	case TEST_REG_WRITES:
		return &device.writes;
	case TEST_REG_LAST:
		return &device.last;
	case TEST_REG_WIDTH:
		return &device.width;
	default:
		return NULL;
	}
}

static int device_read(uint64_t offset, unsigned int bytes, uint64_t *value)
{
	uint64_t *reg = register_at(offset);

	*value = 0;
	if (reg) {
		device.counter += reg == &device.counter;
		*value = *reg & mask_of(bytes);
		return 1;
	}
	if (offset + bytes > TEST_REG_COUNTER)
		return 0;
	for (unsigned int i = 0; i < bytes; i++) {
		uint64_t at = offset + i;
		uint64_t byte =
			at < TEST_REG_PATTERN ? device.scratch[at] : 0x80 + at - TEST_REG_PATTERN;

		*value |= byte << i * 8;
	}
	return 1;
}

static int device_write(uint64_t offset, unsigned int bytes, uint64_t value)
{
	uint64_t *reg = register_at(offset);

	if (!reg && offset + bytes > TEST_REG_COUNTER)
		return 0;
	if (reg == &device.counter)
		device.counter = value;
	if (reg == &device.sum)
		device.sum += value;
	for (unsigned int i = 0; i < bytes && offset + i < TEST_REG_PATTERN; i++)
		device.scratch[offset + i] = (uint8_t)(value >> i * 8);
	device.writes++;
	device.last = value;
	device.width = bytes;
	return 1;
}

static uint64_t extend(const struct s2_arm64_mmio *mmio, uint64_t value)
{
	unsigned int unused = 64 - mmio->bytes * 8u;

	if (mmio->sign_extend)
		value = (uint64_t)((int64_t)(value << unused) >> unused);
	return mmio->wide ? value : value & 0xffffffff;
}

/* A write to a slot that is read-only now: counted, dropped. */
static void dropped(const struct s2_exit *exit, const struct s2_arm64_mmio *mmio, uint64_t value)
{
	__atomic_fetch_add(&counts[TEST_COUNT_RO_WRITES], 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&counts[TEST_COUNT_RO_SUM], value, __ATOMIC_RELAXED);
	__atomic_fetch_add(&counts[TEST_COUNT_RO_BYTES], mmio->bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&counts[TEST_COUNT_RO_LAST], exit->gpa.gpa, __ATOMIC_RELAXED);
}

int testdev_mmio(const struct s2_exit *exit, const struct s2_arm64_mmio *mmio, uint64_t *regs)
{
	uint64_t gpa = exit->gpa.gpa, offset = gpa - TEST_MMIO, value;
	int done;

	if (!mmio->isv || exit->walk || exit->access == S2_ACCESS_EXEC)
		return 0;
	value = mmio->reg == 31 ? 0 : regs[mmio->reg] & mask_of(mmio->bytes);
	if (exit->has_slot && mmio->write && gpa - TEST_RAM < 2 * TEST_SLOT_SIZE) {
		dropped(exit, mmio, value);
		return 1;
	}
	if (exit->has_slot || offset >= TEST_PAGE_SIZE)
		return 0;
	take(&lock);
	done = mmio->write ? device_write(offset, mmio->bytes, value)
			   : device_read(offset, mmio->bytes, &value);
	release(&lock);
	if (done && !mmio->write && mmio->reg != 31)
		regs[mmio->reg] = extend(mmio, value);
	return done;
}
