// SPDX-License-Identifier: BSD-2-Clause
/*
 * The host takes memory away by its own names, withdraws the right to write, and keeps slots from
 * changing meanwhile; attributes of pages and private memory; and faults that insist.
 */
#include <string.h>

#include "fixture.h"

#define RAM  (64 * MIB)
#define LIKE (128 * MIB) /* so far apart, regions have the same counters */

static struct fixture fixture, *f = &fixture;
static struct s2_memslot ram, alias;
static struct s2_host_change change, second;

static void up(void)
{
	struct s2_vm_config config = fixture_config();

	fixture_up(f, &config);
	assert_int_equal(fixture_slot(f, &ram, RAM, 4 * BLOCK, sim_hva(0), 0), 0);
}

static int fault(uint64_t gpa, enum s2_access access)
{
	return fixture_fault(f, gpa, access, S2_FAULT_TRANSLATION);
}

/* Touches a page; returns the size of the leaf that serves it, 0: told to try again. */
static uint64_t touch(uint64_t gpa, enum s2_access access)
{
	assert_int_equal(fault(gpa, access), S2_EXIT_RESUME);
	return f->exit.size;
}

static int begin(struct s2_host_change *c, uint64_t hva, uint64_t size, enum s2_inval how)
{
	return s2_vm_host_begin(&f->vm, c, s2_hva(hva), size, how, &f->walker);
}

static unsigned int prot_at(uint64_t gpa)
{
	struct sim_leaf leaf;

	sim_translate(&f->sim, gpa, &leaf);
	return leaf.mapped ? leaf.prot : 0;
}

/* Both slots that lead to a page lose it, nothing else does. */
static void test_by_name(void **state)
{
	(void)state;
	up();
	assert_int_equal(fixture_slot(f, &alias, 2 * RAM, BLOCK, sim_hva(1), 0), 0);
	assert_int_equal(touch(RAM, S2_ACCESS_WRITE), BLOCK);
	assert_int_equal(touch(RAM + BLOCK, S2_ACCESS_WRITE), BLOCK);
	assert_int_equal(touch(2 * RAM, S2_ACCESS_WRITE), BLOCK);
	assert_int_equal(begin(&change, sim_hva(1) + PAGE, PAGE, S2_INVAL_UNMAP), 0);
	sim_idle_empty(&f->sim, RAM + BLOCK + PAGE, PAGE);
	sim_idle_empty(&f->sim, 2 * RAM + PAGE, PAGE);
	assert_int_equal(touch(RAM + BLOCK, S2_ACCESS_READ), 0);
	assert_int_equal(touch(2 * RAM, S2_ACCESS_READ), 0);
	assert_int_equal(prot_at(RAM), S2_RWX);
	s2_vm_host_end(&f->vm, &change);
	assert_int_equal(touch(RAM + BLOCK, S2_ACCESS_READ), BLOCK);
	assert_int_equal(touch(2 * RAM, S2_ACCESS_READ), BLOCK);
	fixture_down(f);
}

/* Overlapping, nested, without any slot, at both ends of the names. */
static void test_changes_nest(void **state)
{
	(void)state;
	up();
	assert_int_equal(begin(&change, 0, 0 - PAGE, S2_INVAL_UNMAP), 0);
	assert_int_equal(begin(&second, sim_hva(1), PAGE, S2_INVAL_WRITE), 0);
	s2_vm_host_end(&f->vm, &change);
	assert_int_equal(touch(RAM, S2_ACCESS_READ), BLOCK);
	assert_int_equal(touch(RAM + BLOCK, S2_ACCESS_READ), 0);
	s2_vm_host_end(&f->vm, &second);
	assert_int_equal(touch(RAM + BLOCK, S2_ACCESS_READ), BLOCK);
	assert_int_equal(begin(&change, 0, PAGE, S2_INVAL_UNMAP), 0);
	assert_int_equal(begin(&second, 0 - PAGE, PAGE, S2_INVAL_UNMAP), 0);
	assert_int_equal(prot_at(RAM), S2_RWX);
	s2_vm_host_end(&f->vm, &change);
	s2_vm_host_end(&f->vm, &second);
	fixture_down(f);
}

static void test_bad_changes(void **state)
{
	static const struct {
		uint64_t hva, size;
		unsigned int how;
		int error;
	} t[] = {
		{ SIM_HVA_BASE + 1, PAGE, S2_INVAL_UNMAP, S2_EALIGN },
		{ SIM_HVA_BASE, PAGE / 2, S2_INVAL_UNMAP, S2_EALIGN },
		{ SIM_HVA_BASE, 0, S2_INVAL_UNMAP, S2_ERANGE },
		{ 0 - PAGE, 2 * PAGE, S2_INVAL_UNMAP, S2_ERANGE },
		{ SIM_HVA_BASE, PAGE, S2_INVAL_WRITE + 1, S2_EINVAL },
	};

	(void)state;
	up();
	assert_int_equal(touch(RAM, S2_ACCESS_READ), BLOCK);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(begin(&change, t[i].hva, t[i].size, (enum s2_inval)t[i].how),
				 t[i].error);
	assert_int_equal(s2_vm_invalidate_begin(&f->vm, s2_gpa(RAM), PAGE,
						(enum s2_inval)(S2_INVAL_WRITE + 1), &f->walker),
			 S2_EINVAL);
	assert_int_equal(touch(RAM, S2_ACCESS_READ), BLOCK);
	assert_int_equal(f->vm.inval_all.running, 0);
	assert_null(f->vm.changes);
	fixture_down(f);
}

/* While the host changes what is behind a slot, that slot stays what it is. */
static void test_slots_wait(void **state)
{
	struct s2_memslot to = { .gpa = { 2 * RAM }, .size = BLOCK, .hva = { sim_hva(8) } }, far;

	(void)state;
	up();
	assert_int_equal(fixture_slot(f, &far, 4 * RAM, BLOCK, sim_hva(12), 0), 0);
	assert_int_equal(begin(&change, sim_hva(3) + PAGE, 2 * BLOCK, S2_INVAL_UNMAP), 0);
	assert_int_equal(s2_vm_slot_del(&f->vm, &ram, &f->walker), S2_EAGAIN);
	assert_int_equal(s2_vm_slot_change(&f->vm, &ram, &to, &f->walker), S2_EAGAIN);
	assert_int_equal(fixture_slot(f, &alias, 2 * RAM, BLOCK, sim_hva(5), 0), S2_EAGAIN);
	to.hva = s2_hva(sim_hva(4));
	assert_int_equal(s2_vm_slot_change(&f->vm, &far, &to, &f->walker), S2_EAGAIN);
	/* Not concerned. */
	to.hva = s2_hva(sim_hva(6));
	assert_int_equal(s2_vm_slot_change(&f->vm, &far, &to, &f->walker), 0);
	assert_int_equal(fixture_slot(f, &alias, 4 * RAM, BLOCK, sim_hva(2), 0), 0);
	assert_int_equal(touch(RAM, S2_ACCESS_READ), BLOCK);
	assert_int_equal(touch(RAM + 3 * BLOCK, S2_ACCESS_READ), 0);
	s2_vm_host_end(&f->vm, &change);
	assert_int_equal(s2_vm_slot_del(&f->vm, &ram, &f->walker), 0);
	assert_int_equal(f->vm.inval_all.running, 0);
	fixture_down(f);
}

/* T4: a slot comes while the host is about to change what will be behind it. */
static void test_slot_comes(void **state)
{
	(void)state;
	up();
	assert_int_equal(begin(&change, sim_hva(8), BLOCK, S2_INVAL_UNMAP), 0);
	assert_int_equal(fixture_slot(f, &alias, 2 * RAM, 4 * BLOCK, sim_hva(8), 0), S2_EAGAIN);
	assert_int_equal(fault(2 * RAM, S2_ACCESS_READ), S2_EXIT_MMIO);
	s2_vm_host_end(&f->vm, &change);
	assert_int_equal(fixture_slot(f, &alias, 2 * RAM, 4 * BLOCK, sim_hva(8), 0), 0);
	assert_int_equal(touch(2 * RAM, S2_ACCESS_READ), BLOCK);
	fixture_down(f);
}

/* Merging, copy-on-write: what is mapped stays, to be read. */
static void test_write_goes(void **state)
{
	struct sim_chunk chunk;

	(void)state;
	up();
	f->sim.chunks[1].shift = 12;
	for (uint64_t at = 0; at < 4; at++)
		assert_int_equal(touch(RAM + BLOCK + at * PAGE, S2_ACCESS_WRITE), PAGE);
	assert_int_equal(touch(RAM + 2 * BLOCK, S2_ACCESS_WRITE), BLOCK);
	f->sim.arena.fail_of_65536 = 65536; /* nothing is split */
	assert_int_equal(begin(&change, sim_hva(1) + PAGE, BLOCK, S2_INVAL_WRITE), 0);
	assert_int_equal(prot_at(RAM + BLOCK), S2_RWX);
	assert_int_equal(prot_at(RAM + BLOCK + PAGE), S2_RX);
	assert_int_equal(prot_at(RAM + 2 * BLOCK + 5 * PAGE), S2_RX);
	assert_int_equal(fixture_level(f, RAM + 2 * BLOCK), 1);
	sim_idle(&f->sim, RAM, 4 * BLOCK);
	assert_int_equal(touch(RAM + BLOCK + PAGE, S2_ACCESS_WRITE), 0);
	chunk = f->sim.chunks[1];
	chunk.prot = S2_RX;
	f->sim.chunks[1] = chunk;
	s2_vm_host_end(&f->vm, &change);
	assert_int_equal(fixture_fault(f, RAM + BLOCK + PAGE, S2_ACCESS_WRITE, S2_FAULT_PERMISSION),
			 S2_EXIT_MEMORY);
	assert_int_equal(f->exit.error, S2_EPERM);
	f->sim.chunks[1].prot = S2_RWX;
	assert_int_equal(fixture_fault(f, RAM + BLOCK + PAGE, S2_ACCESS_WRITE, S2_FAULT_PERMISSION),
			 S2_EXIT_RESUME);
	assert_int_equal(prot_at(RAM + BLOCK + PAGE), S2_RWX);
	fixture_down(f);
}

/* ---- faults that insist ---- */

static uint64_t strike_gpa, strike_size;
static uint64_t strikes; /* how many times; begun and ended */

static int strike(void *ctx, uint64_t hva, enum s2_access access, struct s2_page *page, int result)
{
	(void)ctx;
	(void)hva;
	(void)access;
	(void)page;
	if (strikes) {
		strikes--;
		assert_int_equal(s2_vm_invalidate_begin(&f->vm, s2_gpa(strike_gpa), strike_size,
							S2_INVAL_UNMAP, &f->other),
				 0);
		s2_vm_invalidate_end(&f->vm, s2_gpa(strike_gpa), strike_size);
	}
	return result;
}

/* A stream of invalidations of something else: within the same counters, or under a large leaf. */
static void test_stream_elsewhere(void **state)
{
	(void)state;
	up();
	f->sim.on_resolve = strike;
	strikes = ~0ull;
	strike_gpa = RAM + LIKE;
	strike_size = PAGE;
	for (unsigned int i = 1; i < S2_PATIENCE; i++)
		assert_int_equal(touch(RAM, S2_ACCESS_READ), 0);
	assert_int_equal(touch(RAM, S2_ACCESS_READ), PAGE);
	assert_int_equal(f->walker.stats.fault_precise, 1);
	/* The next page is another matter; and the neighbour of what is struck is. */
	strike_gpa = RAM + 3 * PAGE;
	for (unsigned int i = 1; i < S2_PATIENCE; i++)
		assert_int_equal(touch(RAM + 2 * PAGE, S2_ACCESS_READ), 0);
	assert_int_equal(touch(RAM + 2 * PAGE, S2_ACCESS_READ), PAGE);
	assert_int_equal(f->walker.stats.fault_precise, 2);
	/* Also what the host does not have is believed. */
	f->sim.chunks[2].error = S2_ENOENT;
	strike_gpa = RAM + 2 * BLOCK + LIKE;
	for (unsigned int i = 1; i < S2_PATIENCE; i++)
		assert_int_equal(touch(RAM + 2 * BLOCK, S2_ACCESS_READ), 0);
	assert_int_equal(fault(RAM + 2 * BLOCK, S2_ACCESS_READ), S2_EXIT_MEMORY);
	strikes = 0;
	assert_int_equal(f->vm.claimed, 0);
	fixture_down(f);
}

/* Where the host itself says "not now", insisting is no use: it is asked once a fault. */
static void test_not_now(void **state)
{
	(void)state;
	up();
	f->sim.chunks[0].error = S2_EAGAIN;
	for (unsigned int i = 1; i <= 3 * S2_PATIENCE; i++) {
		assert_int_equal(touch(RAM, S2_ACCESS_READ), 0);
		assert_int_equal(f->sim.resolves, i);
	}
	f->sim.chunks[0].error = 0;
	assert_int_equal(touch(RAM, S2_ACCESS_READ), BLOCK);
	fixture_down(f);
}

/* What touches the page itself keeps the fault out: struck, running, and both. */
static void test_stream_here(void **state)
{
	(void)state;
	up();
	f->sim.on_resolve = strike;
	strikes = ~0ull;
	strike_gpa = RAM;
	strike_size = PAGE;
	for (unsigned int i = 0; i < 4 * S2_PATIENCE; i++)
		assert_int_equal(touch(RAM, S2_ACCESS_READ), 0);
	assert_int_equal(f->walker.stats.fault_precise, 0);
	assert_int_equal(fixture_level(f, RAM), -1);
	strikes = 0;
	assert_int_equal(
		s2_vm_invalidate_begin(&f->vm, s2_gpa(RAM), 2 * PAGE, S2_INVAL_UNMAP, &f->walker),
		0);
	for (unsigned int i = 0; i < 4 * S2_PATIENCE; i++)
		assert_int_equal(touch(RAM + PAGE, S2_ACCESS_READ), 0);
	assert_int_equal(touch(RAM + 2 * PAGE, S2_ACCESS_READ), 0);
	for (unsigned int i = 2; i < S2_PATIENCE; i++)
		assert_int_equal(touch(RAM + 2 * PAGE, S2_ACCESS_READ), 0);
	assert_int_equal(touch(RAM + 2 * PAGE, S2_ACCESS_READ), PAGE);
	s2_vm_invalidate_end(&f->vm, s2_gpa(RAM), 2 * PAGE);
	assert_int_equal(touch(RAM + PAGE, S2_ACCESS_READ), BLOCK);
	fixture_down(f);
}

/* More at once than places for their ranges: who insists waits like the others. */
static void test_too_many_ranges(void **state)
{
	const unsigned int n = S2_INVAL_RANGES + 2;

	(void)state;
	up();
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(s2_vm_invalidate_begin(&f->vm, s2_gpa(RAM + LIKE + i * PAGE), PAGE,
							S2_INVAL_UNMAP, &f->walker),
				 0);
	assert_int_equal(f->vm.unranged, 2);
	for (unsigned int i = 0; i < 4 * S2_PATIENCE; i++)
		assert_int_equal(touch(RAM, S2_ACCESS_READ), 0);
	/* Those that have places end; the two others keep it out. */
	for (unsigned int i = 0; i < S2_INVAL_RANGES; i++)
		s2_vm_invalidate_end(&f->vm, s2_gpa(RAM + LIKE + i * PAGE), PAGE);
	assert_int_equal(touch(RAM, S2_ACCESS_READ), 0);
	s2_vm_invalidate_end(&f->vm, s2_gpa(RAM + LIKE + (n - 1) * PAGE), PAGE);
	assert_int_equal(touch(RAM, S2_ACCESS_READ), 0);
	s2_vm_invalidate_end(&f->vm, s2_gpa(RAM + LIKE + (n - 2) * PAGE), PAGE);
	assert_int_equal(touch(RAM, S2_ACCESS_READ), BLOCK);
	assert_int_equal(f->vm.unranged, 0);
	fixture_down(f);
}

/* ---- private memory, attributes ---- */

#define PAGES (4 * BLOCK / PAGE)

static uint8_t attrs[PAGES];
static struct s2_memslot guarded;

static void up_private(void)
{
	struct s2_vm_config config = fixture_config();

	fixture_up(f, &config);
	memset(attrs, 0, sizeof(attrs));
	guarded = (struct s2_memslot){ .gpa = s2_gpa(RAM),
				       .hva = s2_hva(sim_hva(0)),
				       .priv = s2_hva(sim_hva(8)),
				       .size = 4 * BLOCK,
				       .flags = S2_SLOT_PRIVATE,
				       .attrs = attrs };
	assert_int_equal(s2_vm_slot_add(&f->vm, &guarded), 0);
}

static int set(uint64_t gpa, uint64_t size, unsigned int on, unsigned int off)
{
	return s2_vm_set_attrs(&f->vm, s2_gpa(gpa), size, on, off, &f->walker);
}

static uint64_t hpa_at(uint64_t gpa)
{
	struct sim_leaf leaf;

	sim_translate(&f->sim, gpa, &leaf);
	return leaf.mapped ? leaf.hpa : 0;
}

static int fault_view(uint64_t gpa, enum s2_view view)
{
	struct s2_fault fault = { .gpa = s2_gpa(gpa), .view = (uint8_t)view };

	assert_int_equal(s2_fault(&f->vm, &f->walker, &fault, &f->exit), 0);
	return f->exit.reason;
}

static void test_private(void **state)
{
	(void)state;
	up_private();
	assert_int_equal(touch(RAM, S2_ACCESS_WRITE), BLOCK);
	assert_int_equal(hpa_at(RAM), fixture_hpa(0));
	assert_int_equal(touch(RAM + BLOCK, S2_ACCESS_WRITE), BLOCK);
	assert_int_equal(set(RAM + PAGE, BLOCK, S2_PAGE_PRIVATE, 0), 0);
	sim_idle_empty(&f->sim, RAM + PAGE, BLOCK);
	/* No leaf spans both kinds. */
	assert_int_equal(touch(RAM, S2_ACCESS_WRITE), PAGE);
	assert_int_equal(hpa_at(RAM), fixture_hpa(0));
	assert_int_equal(touch(RAM + PAGE, S2_ACCESS_WRITE), PAGE);
	assert_int_equal(hpa_at(RAM + PAGE), fixture_hpa(8) + PAGE);
	assert_int_equal(touch(RAM + BLOCK, S2_ACCESS_WRITE), PAGE);
	assert_int_equal(touch(RAM + BLOCK + PAGE, S2_ACCESS_WRITE), PAGE);
	assert_int_equal(hpa_at(RAM + BLOCK + PAGE), fixture_hpa(1) + PAGE);
	assert_int_equal(set(RAM + BLOCK + PAGE, BLOCK - PAGE, S2_PAGE_PRIVATE, 0), 0);
	assert_int_equal(touch(RAM + BLOCK, S2_ACCESS_WRITE), BLOCK);
	assert_int_equal(hpa_at(RAM + BLOCK), fixture_hpa(9));
	/* The guest means it otherwise. */
	assert_int_equal(fault_view(RAM + BLOCK, S2_VIEW_SHARED), S2_EXIT_MEMORY);
	assert_int_equal(f->exit.error, S2_EPERM);
	assert_int_equal(f->exit.attrs, S2_PAGE_PRIVATE);
	assert_int_equal(fault_view(RAM, S2_VIEW_PRIVATE), S2_EXIT_MEMORY);
	assert_int_equal(fault_view(RAM, S2_VIEW_SHARED), S2_EXIT_RESUME);
	assert_int_equal(fault_view(RAM + BLOCK, S2_VIEW_PRIVATE), S2_EXIT_RESUME);
	/* The host changes it by the private name; the other name is not concerned. */
	assert_int_equal(begin(&change, sim_hva(1), BLOCK, S2_INVAL_UNMAP), 0);
	s2_vm_host_end(&f->vm, &change);
	assert_int_equal(begin(&change, sim_hva(9), PAGE, S2_INVAL_UNMAP), 0);
	sim_idle_empty(&f->sim, RAM + BLOCK, PAGE);
	s2_vm_host_end(&f->vm, &change);
	assert_int_equal(set(RAM + PAGE, 2 * BLOCK - PAGE, 0, S2_PAGE_PRIVATE), 0);
	assert_int_equal(touch(RAM + BLOCK, S2_ACCESS_WRITE), BLOCK);
	assert_int_equal(hpa_at(RAM + BLOCK), fixture_hpa(1));
	fixture_down(f);
}

/* A slot without private memory has shared memory only. */
static void test_view_of_plain_slot(void **state)
{
	(void)state;
	up();
	assert_int_equal(fault_view(RAM, S2_VIEW_PRIVATE), S2_EXIT_MEMORY);
	assert_int_equal(fault_view(RAM, S2_VIEW_SHARED), S2_EXIT_RESUME);
	fixture_down(f);
}

static void test_forbidden(void **state)
{
	(void)state;
	up_private();
	assert_int_equal(touch(RAM, S2_ACCESS_WRITE), BLOCK);
	assert_int_equal(set(RAM, PAGE, S2_PAGE_NOWRITE, 0), 0);
	assert_int_equal(set(RAM + PAGE, PAGE, S2_PAGE_NOEXEC, 0), 0);
	assert_int_equal(touch(RAM, S2_ACCESS_READ), PAGE);
	assert_int_equal(prot_at(RAM), S2_RX);
	assert_int_equal(fault(RAM, S2_ACCESS_WRITE), S2_EXIT_MEMORY);
	assert_int_equal(f->exit.error, S2_EPERM);
	assert_int_equal(f->exit.attrs, S2_PAGE_NOWRITE);
	assert_int_equal(fault(RAM + PAGE, S2_ACCESS_EXEC), S2_EXIT_MEMORY);
	assert_int_equal(touch(RAM + PAGE, S2_ACCESS_WRITE), PAGE);
	assert_int_equal(prot_at(RAM + PAGE), S2_RW);
	assert_int_equal(set(RAM, 2 * PAGE, 0, S2_PAGE_NOWRITE | S2_PAGE_NOEXEC), 0);
	assert_int_equal(touch(RAM, S2_ACCESS_EXEC), BLOCK);
	assert_int_equal(prot_at(RAM), S2_RWX);
	fixture_down(f);
}

static void test_bad_attrs(void **state)
{
	struct s2_memslot plain, bare;

	(void)state;
	up_private();
	assert_int_equal(touch(RAM, S2_ACCESS_WRITE), BLOCK);
	assert_int_equal(fixture_slot(f, &plain, RAM + 4 * BLOCK, BLOCK, sim_hva(4), 0), 0);
	assert_int_equal(set(RAM + 1, PAGE, 1, 0), S2_EALIGN);
	assert_int_equal(set(RAM, 0, 1, 0), S2_ERANGE);
	assert_int_equal(set(RAM, PAGE, 8, 0), S2_EINVAL);
	assert_int_equal(set(RAM, PAGE, 1, 3), S2_EINVAL);
	assert_int_equal(set(RAM - PAGE, 2 * PAGE, 1, 0), S2_ENOENT);
	assert_int_equal(set(RAM, 5 * BLOCK, 1, 0), S2_ENOENT);
	assert_int_equal(set(RAM, 6 * BLOCK, 0, 1), S2_ENOENT);
	for (unsigned int i = 0; i < PAGES; i++)
		assert_int_equal(attrs[i], 0);
	assert_int_equal(fixture_level(f, RAM), 1);
	/* Slots: private memory needs attributes, attributes need to be known. */
	bare = (struct s2_memslot){ .gpa = s2_gpa(2 * RAM),
				    .size = BLOCK,
				    .hva = s2_hva(sim_hva(4)),
				    .priv = s2_hva(sim_hva(5) + 1),
				    .flags = S2_SLOT_PRIVATE };
	assert_int_equal(s2_vm_slot_add(&f->vm, &bare), S2_EALIGN);
	bare.attrs = attrs;
	bare.size = 0 - PAGE; /* its attributes are not looked at */
	assert_int_equal(s2_vm_slot_add(&f->vm, &bare), S2_ERANGE);
	bare.attrs = NULL;
	bare.size = BLOCK;
	bare.priv = s2_hva(0 - PAGE);
	assert_int_equal(s2_vm_slot_add(&f->vm, &bare), S2_ERANGE);
	bare.priv = s2_hva(sim_hva(5));
	assert_int_equal(s2_vm_slot_add(&f->vm, &bare), S2_EINVAL);
	bare.flags = 0;
	bare.attrs = attrs;
	attrs[3] = S2_PAGE_PRIVATE;
	assert_int_equal(s2_vm_slot_add(&f->vm, &bare), S2_EINVAL);
	attrs[3] = 8;
	bare.flags = S2_SLOT_PRIVATE;
	assert_int_equal(s2_vm_slot_add(&f->vm, &bare), S2_EINVAL);
	attrs[3] = 0;
	fixture_down(f);
}

/* A broken page, one on its way: told to the VMM, nothing mapped. */
static void test_missing(void **state)
{
	static const int errors[] = { S2_ENOENT, S2_EPOISON, S2_EPENDING, S2_ENOMEM };

	(void)state;
	up();
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		f->sim.chunks[0].error = (int16_t)errors[i];
		assert_int_equal(fault(RAM, S2_ACCESS_READ), S2_EXIT_MEMORY);
		assert_int_equal(f->exit.error, errors[i]);
		assert_int_equal(s2_vm_prefault(&f->vm, s2_gpa(RAM), PAGE, S2_ACCESS_READ,
						&f->walker, &f->progress),
				 errors[i]);
	}
	assert_int_equal(f->sim.changes, 0);
	f->sim.chunks[0].error = 0;
	fixture_down(f);
}

/* ---- tracepoints ---- */

static struct s2_trace told[16];
static unsigned int ntold;

static void tell(void *ctx, const struct s2_trace *event)
{
	assert_ptr_equal(ctx, &f->sim);
	assert_true(ntold < 16);
	told[ntold++] = *event;
}

static void assert_told(unsigned int n, unsigned int kind, int result, uint64_t addr, uint64_t size)
{
	assert_true(n < ntold);
	assert_int_equal(told[n].kind, kind);
	assert_int_equal(told[n].result, result);
	assert_int_equal(told[n].addr, addr);
	assert_int_equal(told[n].size, size);
}

/* Each event once, in order; the walker's shorter ways do not hide any. */
static void test_trace(void **state)
{
	(void)state;
	ntold = 0;
	up_private();
	f->sim.port.trace = tell;
	assert_int_equal(fixture_slot(f, &ram, 2 * RAM, BLOCK, sim_hva(4), 0), 0);
	assert_told(0, S2_TRACE_SLOT_ADD, 0, 2 * RAM, BLOCK);
	assert_int_equal(touch(2 * RAM, S2_ACCESS_WRITE), BLOCK);
	assert_told(1, S2_TRACE_FAULT, S2_EXIT_RESUME, 2 * RAM, BLOCK);
	assert_int_equal(told[1].detail, S2_ACCESS_WRITE);
	assert_int_equal(touch(2 * RAM + PAGE, S2_ACCESS_READ), BLOCK);
	assert_told(2, S2_TRACE_FAULT, S2_EXIT_RESUME, 2 * RAM + PAGE, BLOCK);
	assert_int_equal(fault(4 * RAM + 8, S2_ACCESS_READ), S2_EXIT_MMIO);
	assert_int_equal(fault(4 * RAM + 8, S2_ACCESS_READ), S2_EXIT_MMIO);
	assert_told(4, S2_TRACE_FAULT, S2_EXIT_MMIO, 4 * RAM + 8, 0);
	assert_int_equal(begin(&change, sim_hva(4), PAGE, S2_INVAL_WRITE), 0);
	assert_told(5, S2_TRACE_HOST_BEGIN, 0, sim_hva(4), PAGE);
	assert_int_equal(told[5].detail, S2_INVAL_WRITE);
	assert_int_equal(touch(2 * RAM, S2_ACCESS_READ), 0);
	assert_told(6, S2_TRACE_AWAY, S2_EXIT_RESUME, 2 * RAM, 0);
	assert_int_equal(s2_vm_slot_del(&f->vm, &ram, &f->walker), S2_EAGAIN);
	assert_told(7, S2_TRACE_SLOT_DEL, S2_EAGAIN, 2 * RAM, BLOCK);
	s2_vm_host_end(&f->vm, &change);
	assert_told(8, S2_TRACE_HOST_END, 0, sim_hva(4), PAGE);
	assert_int_equal(set(RAM, PAGE, S2_PAGE_NOEXEC, 0), 0);
	assert_told(9, S2_TRACE_INVAL_BEGIN, 0, RAM, PAGE);
	assert_told(10, S2_TRACE_INVAL_END, 0, RAM, PAGE);
	assert_told(11, S2_TRACE_ATTRS, 0, RAM, PAGE);
	assert_int_equal(fault(RAM, S2_ACCESS_EXEC), S2_EXIT_MEMORY);
	assert_told(12, S2_TRACE_FAULT, S2_EXIT_MEMORY, RAM, 0);
	assert_int_equal(fixture_fault(f, 2 * RAM, S2_ACCESS_READ, S2_FAULT_ACCESS),
			 S2_EXIT_RESUME);
	assert_told(13, S2_TRACE_FAULT, S2_EXIT_RESUME, 2 * RAM, BLOCK);
	assert_int_equal(ntold, 14);
	f->sim.port.trace = NULL;
	fixture_down(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_name),          cmocka_unit_test(test_changes_nest),
		cmocka_unit_test(test_bad_changes),      cmocka_unit_test(test_slots_wait),
		cmocka_unit_test(test_slot_comes),       cmocka_unit_test(test_write_goes),
		cmocka_unit_test(test_stream_elsewhere), cmocka_unit_test(test_not_now),
		cmocka_unit_test(test_stream_here),      cmocka_unit_test(test_too_many_ranges),
		cmocka_unit_test(test_private),          cmocka_unit_test(test_view_of_plain_slot),
		cmocka_unit_test(test_forbidden),        cmocka_unit_test(test_bad_attrs),
		cmocka_unit_test(test_missing),          cmocka_unit_test(test_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
