// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of the fault path: what each kind of fault leads to, which block is chosen, and what
 * happens when the host strikes in the middle or its port answers nonsense.
 */
#include <string.h>

#include "fixture.h"

#define RAM  GIB          /* gpa of the slot most tests use ... */
#define HOLE (RAM - PAGE) /* ... and of no slot */

static struct fixture fix;
static struct fixture *const f = &fix;
static struct s2_memslot ram;

static void up_flags(uint32_t flags, unsigned int slot_flags)
{
	struct s2_vm_config config = fixture_config();

	config.flags = flags;
	fixture_up(f, &config);
	assert_int_equal(fixture_slot(f, &ram, RAM, 8 * BLOCK, sim_hva(0), slot_flags), 0);
}

static int fault(uint64_t gpa, enum s2_access access)
{
	return fixture_fault(f, gpa, access, S2_FAULT_TRANSLATION);
}

static int walk_fault(uint64_t gpa, enum s2_access access, enum s2_fault_kind kind)
{
	struct s2_fault s1ptw = {
		.gpa = s2_gpa(gpa), .access = (uint8_t)access, .kind = (uint8_t)kind, .walk = 1
	};
	int ret = s2_fault(&f->vm, &f->walker, &s1ptw, &f->exit);

	return ret ? ret : f->exit.reason;
}

static struct s2_stats stats(void)
{
	struct s2_stats sum;

	s2_pt_stats(&f->vm.pt, &sum);
	return sum;
}

static void test_nonsense_fault(void **state)
{
	struct s2_fault bad[] = {
		{ .access = 3 }, { .kind = 4 }, { .gpa = { 1ull << 40 } }, { .gpa = { ~0ull } }
	};

	(void)state;
	up_flags(0, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(s2_fault(&f->vm, &f->walker, &bad[i], &f->exit), S2_EINVAL);
	assert_int_equal(f->sim.changes, 0);
	fixture_down(f);
}

static void test_maps_a_block(void **state)
{
	(void)state;
	up_flags(0, 0);
	assert_int_equal(fault(RAM + BLOCK + 0x1234, S2_ACCESS_WRITE), S2_EXIT_RESUME);
	assert_int_equal(f->exit.size, BLOCK);
	assert_int_equal(f->exit.gpa.gpa, RAM + BLOCK + 0x1234);
	assert_int_equal(f->exit.has_slot, 1);
	assert_int_equal(fixture_level(f, RAM + BLOCK), 1);
	assert_int_equal(f->leaf.hpa.hpa, fixture_hpa(1));
	assert_int_equal(f->leaf.attr.prot, S2_RWX);
	assert_int_equal(f->leaf.young, 1);
	assert_int_equal(stats().fault_level[1], 1);
	assert_int_equal(stats().fault[S2_FAULT_TRANSLATION], 1);
	/* Again: somebody was faster. */
	assert_int_equal(fault(RAM + BLOCK, S2_ACCESS_READ), S2_EXIT_RESUME);
	assert_int_equal(f->exit.size, BLOCK);
	assert_int_equal(stats().fault_spurious, 1);
	assert_int_equal(fixture_level(f, RAM), -1);
	fixture_down(f);
}

static void test_no_slot(void **state)
{
	static const uint32_t flags[] = { 0, S2_VM_EXEC_EXIT };

	(void)state;
	for (int i = 0; i < 2; i++) {
		int policy = flags[i] ? S2_EXIT_EXEC : S2_EXIT_ABORT;

		up_flags(flags[i], 0);
		assert_int_equal(fault(HOLE, S2_ACCESS_READ), S2_EXIT_MMIO);
		assert_int_equal(f->exit.has_slot, 0);
		assert_int_equal(f->exit.access, S2_ACCESS_READ);
		assert_int_equal(fault(HOLE, S2_ACCESS_WRITE), S2_EXIT_MMIO);
		assert_int_equal(fault(HOLE, S2_ACCESS_EXEC), policy);
		assert_int_equal(walk_fault(HOLE, S2_ACCESS_READ, S2_FAULT_TRANSLATION),
				 S2_EXIT_ABORT);
		assert_int_equal(f->exit.walk, 1);
		assert_int_equal(stats().exit_mmio, 2);
		assert_int_equal(stats().exit_abort, 2);
		assert_int_equal(f->sim.resolves, 0);
		fixture_down(f);
	}
}

/* That a page has no slot is remembered only as long as it is true. */
static void test_mmio_then_slot(void **state)
{
	struct s2_memslot slot, moved;

	(void)state;
	up_flags(0, 0);
	assert_int_equal(fault(HOLE, S2_ACCESS_WRITE), S2_EXIT_MMIO);
	assert_int_equal(fault(HOLE, S2_ACCESS_WRITE), S2_EXIT_MMIO);
	assert_int_equal(fixture_slot(f, &slot, HOLE, PAGE, sim_hva(9), 0), 0);
	assert_int_equal(fault(HOLE, S2_ACCESS_WRITE), S2_EXIT_RESUME);
	assert_int_equal(fixture_level(f, HOLE), 0);
	assert_int_equal(s2_vm_slot_del(&f->vm, &slot, &f->walker), 0);
	assert_int_equal(fixture_level(f, HOLE), -1);
	assert_int_equal(fault(HOLE, S2_ACCESS_WRITE), S2_EXIT_MMIO);
	assert_int_equal(fixture_slot(f, &slot, 5 * GIB, PAGE, sim_hva(9), 0), 0);
	assert_int_equal(fault(HOLE, S2_ACCESS_WRITE), S2_EXIT_MMIO);
	moved = slot;
	moved.gpa = s2_gpa(HOLE);
	assert_int_equal(s2_vm_slot_change(&f->vm, &slot, &moved, &f->walker), 0);
	assert_int_equal(fault(HOLE, S2_ACCESS_WRITE), S2_EXIT_RESUME);
	fixture_down(f);
}

static void test_readonly_slot(void **state)
{
	(void)state;
	up_flags(0, S2_SLOT_READONLY);
	assert_int_equal(fault(RAM, S2_ACCESS_READ), S2_EXIT_RESUME);
	assert_int_equal(fixture_level(f, RAM), 1);
	assert_int_equal(f->leaf.attr.prot, S2_RX);
	assert_int_equal(fixture_fault(f, RAM, S2_ACCESS_WRITE, S2_FAULT_PERMISSION), S2_EXIT_MMIO);
	assert_int_equal(f->exit.has_slot, 1);
	assert_int_equal(f->exit.access, S2_ACCESS_WRITE);
	assert_int_equal(fault(RAM + BLOCK, S2_ACCESS_WRITE), S2_EXIT_MMIO);
	assert_int_equal(fixture_level(f, RAM + BLOCK), -1);
	fixture_down(f);
}

/* The guest's tables in a read-only slot: reading them is mapped; updating them is not emulated. */
static void test_walk_on_readonly(void **state)
{
	(void)state;
	up_flags(0, S2_SLOT_READONLY);
	assert_int_equal(walk_fault(RAM, S2_ACCESS_READ, S2_FAULT_TRANSLATION), S2_EXIT_RESUME);
	assert_int_equal(fixture_level(f, RAM), 1);
	assert_int_equal(walk_fault(RAM, S2_ACCESS_WRITE, S2_FAULT_PERMISSION), S2_EXIT_ABORT);
	assert_int_equal(f->exit.walk, 1);
	assert_int_equal(stats().fault_walk, 2);
	fixture_down(f);
}

static void test_exec_rights(void **state)
{
	static const uint32_t flags[] = { 0, S2_VM_EXEC_EXIT };

	(void)state;
	for (int i = 0; i < 2; i++) {
		up_flags(flags[i], 0);
		f->sim.chunks[0].type = S2_MEM_DEVICE;
		f->sim.chunks[0].prot = S2_RW;
		assert_int_equal(fault(RAM, S2_ACCESS_EXEC),
				 flags[i] ? S2_EXIT_EXEC : S2_EXIT_ABORT);
		assert_int_equal(f->exit.has_slot, 1);
		assert_int_equal(fixture_level(f, RAM), -1);
		fixture_down(f);
	}
}

/* By privilege, where the CPU can. */
static void test_exec_by_privilege(void **state)
{
	struct s2_vm_config config = fixture_config();
	struct s2_fault fetch = { .gpa = s2_gpa(RAM), .access = S2_ACCESS_EXEC };

	(void)state;
	config.pt.cpu.features = S2_CPU_XNX;
	fixture_up(f, &config);
	assert_int_equal(fixture_slot(f, &ram, RAM, BLOCK, sim_hva(0), 0), 0);
	f->sim.chunks[0].prot = S2_R | S2_XU;
	assert_int_equal(s2_fault(&f->vm, &f->walker, &fetch, &f->exit), 0);
	assert_int_equal(f->exit.reason, S2_EXIT_ABORT);
	fetch.user = 1;
	assert_int_equal(s2_fault(&f->vm, &f->walker, &fetch, &f->exit), 0);
	assert_int_equal(f->exit.reason, S2_EXIT_RESUME);
	assert_int_equal(fixture_level(f, RAM), 1);
	assert_int_equal(f->leaf.attr.prot, S2_R | S2_XU);
	fixture_down(f);
}

static void test_lazy_exec(void **state)
{
	uint64_t insn;

	(void)state;
	up_flags(S2_VM_LAZY_EXEC, 0);
	assert_int_equal(fault(RAM, S2_ACCESS_WRITE), S2_EXIT_RESUME);
	assert_int_equal(fixture_level(f, RAM), 1);
	assert_int_equal(f->leaf.attr.prot, S2_RW);
	insn = f->sim.sync_bytes[1];
	assert_int_equal(insn, 0);
	assert_int_equal(fixture_fault(f, RAM + PAGE, S2_ACCESS_EXEC, S2_FAULT_PERMISSION),
			 S2_EXIT_RESUME);
	assert_int_equal(fixture_level(f, RAM), 1);
	assert_int_equal(f->leaf.attr.prot, S2_RWX);
	assert_int_equal(f->sim.sync_bytes[1], BLOCK);
	assert_int_equal(f->sim.sync_bytes[0], BLOCK); /* once */
	fixture_down(f);
}

/* Page after page, and block after block: each is cleaned for itself. */
static void test_lazy_exec_again(void **state)
{
	(void)state;
	for (uint64_t size = PAGE; size <= BLOCK; size *= 512) {
		up_flags(S2_VM_LAZY_EXEC, 0);
		if (size == PAGE)
			f->sim.chunks[0].shift = 12;
		for (uint64_t gpa = RAM; gpa < RAM + 4 * size; gpa += size)
			assert_int_equal(fault(gpa, S2_ACCESS_WRITE), S2_EXIT_RESUME);
		for (uint64_t gpa = RAM; gpa < RAM + 4 * size; gpa += size) {
			assert_int_equal(fixture_fault(f, gpa, S2_ACCESS_EXEC, S2_FAULT_PERMISSION),
					 S2_EXIT_RESUME);
			assert_int_equal(fixture_level(f, gpa), size == BLOCK);
			assert_int_equal(f->leaf.attr.prot, S2_RWX);
			assert_int_equal(f->sim.sync_bytes[1], gpa + size - RAM);
		}
		fixture_down(f);
	}
}

static void test_write_protected_page(void **state)
{
	(void)state;
	up_flags(0, 0);
	assert_int_equal(fault(RAM, S2_ACCESS_READ), S2_EXIT_RESUME);
	assert_int_equal(s2_pt_protect(&f->vm.pt, s2_gpa(RAM), BLOCK, S2_W, &f->walker, &f->gather,
				       &f->progress),
			 0);
	s2_gather_flush(&f->gather, &f->walker);
	assert_int_equal(fixture_fault(f, RAM + 0x5678, S2_ACCESS_WRITE, S2_FAULT_PERMISSION),
			 S2_EXIT_RESUME);
	assert_int_equal(fixture_level(f, RAM), 1);
	assert_int_equal(f->leaf.attr.prot, S2_RWX);
	assert_int_equal(stats().breaks, 0);
	fixture_down(f);
}

static void test_access_flag(void **state)
{
	(void)state;
	up_flags(0, 0);
	assert_int_equal(fault(RAM, S2_ACCESS_READ), S2_EXIT_RESUME);
	assert_int_equal(s2_pt_age(&f->vm.pt, s2_gpa(RAM), PAGE, S2_AGE_CLEAR, &f->walker,
				   &f->gather, &f->progress),
			 0);
	s2_gather_flush(&f->gather, &f->walker);
	f->sim.resolves = 0;
	assert_int_equal(fixture_fault(f, RAM, S2_ACCESS_READ, S2_FAULT_ACCESS), S2_EXIT_RESUME);
	assert_int_equal(f->exit.size, BLOCK);
	assert_int_equal(f->sim.resolves, 0);
	assert_int_equal(fixture_level(f, RAM), 1);
	assert_int_equal(f->leaf.young, 1);
	/* Of what is not mapped (any more): the guest will fault again. */
	assert_int_equal(fixture_fault(f, RAM + BLOCK, S2_ACCESS_READ, S2_FAULT_ACCESS),
			 S2_EXIT_RESUME);
	assert_int_equal(f->exit.size, 0);
	fixture_down(f);
}

static void test_no_page(void **state)
{
	static const int errors[] = { S2_ENOENT, S2_EPERM, S2_ENOMEM };

	(void)state;
	for (int i = 0; i < 3; i++) {
		up_flags(0, 0);
		f->sim.chunks[0].error = (int16_t)errors[i];
		assert_int_equal(fault(RAM, S2_ACCESS_READ), S2_EXIT_MEMORY);
		assert_int_equal(f->exit.error, errors[i]);
		assert_int_equal(stats().exit_memory, 1);
		f->sim.chunks[0].error = S2_EAGAIN;
		assert_int_equal(fault(RAM, S2_ACCESS_READ), S2_EXIT_RESUME);
		assert_int_equal(f->exit.size, 0);
		assert_int_equal(stats().fault_retry, 1);
		fixture_down(f);
	}
}

/* The port must not be believed blindly. */
static struct s2_page nonsense;
static int nonsense_result;

static int answer(void *ctx, uint64_t hva, enum s2_access access, struct s2_page *page, int result)
{
	(void)ctx;
	(void)hva;
	(void)access;
	(void)result;
	*page = nonsense;
	return nonsense_result;
}

static void test_port_nonsense(void **state)
{
	static const struct {
		uint64_t hpa, size;
		uint8_t prot, type;
		int result;
	} t[] = {
		{ 0x200800, PAGE, S2_RW, 0, 0 },     /* unaligned */
		{ 0x200000, 0, S2_RW, 0, 0 },        /* no size */
		{ 0x200000, 2048, S2_RW, 0, 0 },     /* less than a page */
		{ 0x200000, 3 * PAGE, S2_RW, 0, 0 }, /* no power of two */
		{ 0x201000, BLOCK, S2_RW, 0, 0 },    /* not aligned as the hva */
		{ 1ull << 48, PAGE, S2_RW, 0, 0 },   /* beyond the CPU's addresses */
		{ ~0ull << 12, PAGE, S2_RW, 0, 0 },
		{ 0, 1ull << 63, S2_RW, 0, 0 },               /* larger than memory */
		{ 0x200000, BLOCK, S2_RX, S2_MEM_DEVICE, 0 }, /* an executable device */
		{ 0x200000, BLOCK, S2_RW, S2_MEM_TYPES, 0 },  /* no type */
		{ 0x200000, BLOCK, S2_W, 0, 0 },              /* not readable */
		{ 0x200000, BLOCK, 0, 0, 0 },
		{ 0x200000, BLOCK, S2_R | S2_XP, 0, 0 }, /* what this CPU cannot */
		{ 0x200000, BLOCK, 0x83, 0, 0 },
		{ 0x200000, BLOCK, S2_RW, 0, 1 }, /* no error code */
	};

	(void)state;
	up_flags(0, 0);
	f->sim.on_resolve = answer;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		nonsense = (struct s2_page){ .hpa = s2_hpa(t[i].hpa),
					     .size = t[i].size,
					     .prot = t[i].prot,
					     .type = t[i].type };
		nonsense_result = t[i].result;
		assert_int_equal(fault(RAM, S2_ACCESS_READ), S2_EPORT);
		assert_int_equal(s2_vm_prefault(&f->vm, s2_gpa(RAM), PAGE, S2_ACCESS_READ,
						&f->walker, &f->progress),
				 S2_EPORT);
	}
	assert_int_equal(f->sim.changes, 0);
	nonsense = (struct s2_page){ .hpa = s2_hpa(0x200000), .size = BLOCK, .prot = S2_R };
	nonsense_result = 0;
	assert_int_equal(fault(RAM, S2_ACCESS_WRITE), S2_EXIT_MEMORY);
	assert_int_equal(f->exit.error, S2_EPERM);
	fixture_down(f);
}

/* The host takes the page while it answers: what it said must not be mapped. */
static uint64_t strike_gpa, strike_size;
static int strike_end; /* also ends it; else it stays under way */

static int strike(void *ctx, uint64_t hva, enum s2_access access, struct s2_page *page, int result)
{
	(void)ctx;
	(void)hva;
	(void)access;
	(void)page;
	if (strike_size) {
		assert_int_equal(s2_vm_invalidate_begin(&f->vm, s2_gpa(strike_gpa), strike_size,
							S2_INVAL_UNMAP, &f->other),
				 0);
		if (strike_end)
			s2_vm_invalidate_end(&f->vm, s2_gpa(strike_gpa), strike_size);
		strike_size = 0;
	}
	return result;
}

static void test_retry_when_struck(void **state)
{
	(void)state;
	for (strike_end = 0; strike_end < 2; strike_end++) {
		up_flags(0, 0);
		f->sim.on_resolve = strike;
		/* Elsewhere: does not disturb. */
		strike_gpa = RAM + 4 * BLOCK;
		strike_size = PAGE;
		assert_int_equal(fault(RAM, S2_ACCESS_READ), S2_EXIT_RESUME);
		assert_int_equal(f->exit.size, BLOCK);
		if (!strike_end)
			s2_vm_invalidate_end(&f->vm, s2_gpa(strike_gpa), PAGE);
		/* Any page of the block that is to be mapped. */
		strike_gpa = RAM + BLOCK + 17 * PAGE;
		strike_size = PAGE;
		assert_int_equal(fault(RAM + BLOCK, S2_ACCESS_READ), S2_EXIT_RESUME);
		assert_int_equal(f->exit.size, 0);
		assert_int_equal(fixture_level(f, RAM + BLOCK), -1);
		assert_int_equal(stats().fault_retry, 1);
		if (!strike_end) {
			assert_int_equal(fault(RAM + BLOCK, S2_ACCESS_READ), S2_EXIT_RESUME);
			assert_int_equal(f->exit.size, 0);
			s2_vm_invalidate_end(&f->vm, s2_gpa(strike_gpa), PAGE);
		}
		assert_int_equal(fault(RAM + BLOCK, S2_ACCESS_READ), S2_EXIT_RESUME);
		assert_int_equal(f->exit.size, BLOCK);
		fixture_down(f);
	}
}

/* The same for a block of 1 GiB, far from the page that was touched. */
static void test_retry_gigabyte(void **state)
{
	struct s2_vm_config config = fixture_config();

	(void)state;
	config.pt.block_level = 2;
	fixture_up(f, &config);
	assert_int_equal(fixture_slot(f, &ram, GIB, GIB, SIM_HVA_BASE, 0), 0);
	f->sim.on_resolve = answer;
	nonsense = (struct s2_page){ .hpa = s2_hpa(4 * GIB), .size = GIB, .prot = S2_RW };
	nonsense_result = 0;
	assert_int_equal(s2_vm_invalidate_begin(&f->vm, s2_gpa(2 * GIB - PAGE), PAGE,
						S2_INVAL_UNMAP, &f->other),
			 0);
	assert_int_equal(fault(GIB, S2_ACCESS_READ), S2_EXIT_RESUME);
	assert_int_equal(f->exit.size, BLOCK); /* as much as is not disturbed */
	s2_vm_invalidate_end(&f->vm, s2_gpa(2 * GIB - PAGE), PAGE);
	assert_int_equal(fault(GIB, S2_ACCESS_READ), S2_EXIT_RESUME);
	assert_int_equal(f->exit.size, GIB);
	assert_int_equal(fixture_level(f, 2 * GIB - 1), 2);
	/* One page of it goes: on the edge the block may go whole. */
	assert_int_equal(s2_vm_invalidate_begin(&f->vm, s2_gpa(GIB + BLOCK), PAGE, S2_INVAL_UNMAP,
						&f->other),
			 0);
	assert_int_equal(fixture_level(f, GIB + BLOCK), -1);
	s2_vm_invalidate_end(&f->vm, s2_gpa(GIB + BLOCK), PAGE);
	fixture_down(f);
}

/* A device page that vanishes and comes back is a device again: type, size, no caches, no fetch. */
static void test_device_comes_back(void **state)
{
	(void)state;
	up_flags(0, 0);
	for (int i = 0; i < 16; i++) {
		f->sim.chunks[i].type = S2_MEM_DEVICE;
		f->sim.chunks[i].prot = S2_RW;
	}
	f->sim.chunks[1].shift = 12;
	for (int round = 0; round < 3; round++) {
		assert_int_equal(fault(RAM, S2_ACCESS_WRITE), S2_EXIT_RESUME);
		assert_int_equal(fixture_level(f, RAM), 1);
		assert_int_equal(f->leaf.attr.type, S2_MEM_DEVICE);
		assert_int_equal(f->leaf.attr.prot, S2_RW);
		assert_int_equal(fault(RAM + BLOCK, S2_ACCESS_READ), S2_EXIT_RESUME);
		assert_int_equal(fixture_level(f, RAM + BLOCK), 0);
		assert_int_equal(f->leaf.attr.type, S2_MEM_DEVICE);
		assert_int_equal(fixture_level(f, RAM + BLOCK + PAGE), -1);
		assert_int_equal(s2_vm_invalidate_begin(&f->vm, s2_gpa(RAM), 2 * BLOCK,
							S2_INVAL_UNMAP, &f->walker),
				 0);
		sim_idle_empty(&f->sim, RAM, 2 * BLOCK);
		s2_vm_invalidate_end(&f->vm, s2_gpa(RAM), 2 * BLOCK);
		assert_int_equal(fixture_level(f, RAM), -1);
	}
	assert_int_equal(f->sim.sync_bytes[0] + f->sim.sync_bytes[1], 0);
	fixture_down(f);
}

/* Pages where gpa, hva and hpa do not agree, and on the slot's edges; blocks everywhere else. */
static void test_block_choice(void **state)
{
	struct s2_memslot slot, skewed;

	(void)state;
	up_flags(0, 0);
	/* The slot begins and ends in the middle of blocks. */
	assert_int_equal(fixture_slot(f, &slot, 4 * GIB + PAGE, 3 * BLOCK, sim_hva(8) + PAGE, 0),
			 0);
	assert_int_equal(fault(4 * GIB + PAGE, S2_ACCESS_READ), S2_EXIT_RESUME);
	assert_int_equal(f->exit.size, PAGE);
	assert_int_equal(fault(4 * GIB + BLOCK + 7 * PAGE, S2_ACCESS_READ), S2_EXIT_RESUME);
	assert_int_equal(f->exit.size, BLOCK);
	assert_int_equal(fault(4 * GIB + 3 * BLOCK, S2_ACCESS_READ), S2_EXIT_RESUME);
	assert_int_equal(f->exit.size, PAGE);
	assert_int_equal(fixture_level(f, 4 * GIB + 3 * BLOCK), 0);
	assert_int_equal(f->leaf.hpa.hpa, fixture_hpa(11));
	assert_int_equal(fault(4 * GIB + 3 * BLOCK + PAGE, S2_ACCESS_READ), S2_EXIT_MMIO);
	/* gpa and hva differ in the block's low bits. */
	assert_int_equal(fixture_slot(f, &skewed, 5 * GIB, 3 * BLOCK, sim_hva(8) + PAGE, 0), 0);
	assert_int_equal(fault(5 * GIB + BLOCK + 5 * PAGE, S2_ACCESS_READ), S2_EXIT_RESUME);
	assert_int_equal(f->exit.size, PAGE);
	assert_int_equal(fixture_level(f, 5 * GIB + BLOCK + 5 * PAGE), 0);
	assert_int_equal(f->leaf.hpa.hpa, fixture_hpa(9) + 6 * PAGE);
	/* hva and hpa differ: the host cannot call it a block. */
	f->sim.chunks[2].hpa += PAGE;
	assert_int_equal(fault(RAM + 2 * BLOCK + 5 * PAGE, S2_ACCESS_READ), S2_EXIT_RESUME);
	assert_int_equal(f->exit.size, PAGE);
	fixture_down(f);
}

static void test_memory_and_quota(void **state)
{
	struct s2_vm_config config = fixture_config();

	(void)state;
	config.pt.table_quota = 3;
	fixture_up(f, &config);
	assert_int_equal(fixture_slot(f, &ram, RAM, 8 * BLOCK, sim_hva(0), 0), 0);
	f->sim.chunks[0].shift = 12;
	assert_int_equal(fault(RAM, S2_ACCESS_READ), S2_EQUOTA);
	assert_int_equal(fixture_level(f, RAM), -1);
	assert_int_equal(fault(RAM + BLOCK, S2_ACCESS_READ), S2_EXIT_RESUME);
	fixture_down(f);

	up_flags(0, 0);
	f->sim.arena.fail_of_65536 = 65536;
	assert_int_equal(fault(RAM, S2_ACCESS_READ), S2_ENOMEM);
	assert_int_equal(fixture_level(f, RAM), -1);
	f->sim.arena.fail_of_65536 = 0;
	assert_int_equal(fault(RAM, S2_ACCESS_READ), S2_EXIT_RESUME);
	fixture_down(f);
}

static void test_prefault(void **state)
{
	struct s2_memslot rom;
	uint64_t gpa = RAM + 6 * BLOCK;

	(void)state;
	up_flags(0, 0);
	f->sim.chunks[6].shift = 12;
	f->sim.chunks[7].error = S2_ENOENT;
	assert_int_equal(s2_vm_prefault(&f->vm, s2_gpa(gpa - BLOCK + PAGE), 2 * BLOCK,
					S2_ACCESS_WRITE, &f->walker, &f->progress),
			 S2_ENOENT);
	assert_int_equal(f->progress.done, 2 * BLOCK - PAGE);
	assert_int_equal(fixture_level(f, gpa - 1), 1);
	assert_int_equal(fixture_level(f, gpa), 0);
	f->sim.chunks[7].error = S2_EPERM;
	assert_int_equal(s2_vm_prefault(&f->vm, s2_gpa(gpa + BLOCK), PAGE, S2_ACCESS_WRITE,
					&f->walker, &f->progress),
			 S2_EPERM);
	f->sim.chunks[7].error = 0;
	assert_int_equal(s2_vm_prefault(&f->vm, s2_gpa(RAM + 7 * BLOCK), 2 * BLOCK, S2_ACCESS_READ,
					&f->walker, &f->progress),
			 S2_ENOENT); /* the slot ends */
	assert_int_equal(f->progress.done, BLOCK);
	assert_int_equal(fixture_slot(f, &rom, 0, BLOCK, sim_hva(0), S2_SLOT_READONLY), 0);
	assert_int_equal(
		s2_vm_prefault(&f->vm, s2_gpa(0), BLOCK, S2_ACCESS_WRITE, &f->walker, &f->progress),
		S2_EPERM);
	assert_int_equal(
		s2_vm_prefault(&f->vm, s2_gpa(0), BLOCK, S2_ACCESS_READ, &f->walker, &f->progress),
		0);
	assert_int_equal(s2_vm_prefault(&f->vm, s2_gpa(0), BLOCK, (enum s2_access)7, &f->walker,
					&f->progress),
			 S2_EINVAL);
	fixture_down(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nonsense_fault),
		cmocka_unit_test(test_maps_a_block),
		cmocka_unit_test(test_no_slot),
		cmocka_unit_test(test_mmio_then_slot),
		cmocka_unit_test(test_readonly_slot),
		cmocka_unit_test(test_walk_on_readonly),
		cmocka_unit_test(test_exec_rights),
		cmocka_unit_test(test_exec_by_privilege),
		cmocka_unit_test(test_lazy_exec),
		cmocka_unit_test(test_lazy_exec_again),
		cmocka_unit_test(test_write_protected_page),
		cmocka_unit_test(test_access_flag),
		cmocka_unit_test(test_no_page),
		cmocka_unit_test(test_port_nonsense),
		cmocka_unit_test(test_retry_when_struck),
		cmocka_unit_test(test_retry_gigabyte),
		cmocka_unit_test(test_device_comes_back),
		cmocka_unit_test(test_block_choice),
		cmocka_unit_test(test_memory_and_quota),
		cmocka_unit_test(test_prefault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
