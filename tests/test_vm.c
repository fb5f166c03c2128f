// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of memslots and invalidation: errors, limits, look-up against a stupid list, slots
 * that change while others look.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../src/pgtable/hook.h"
#include "fixture.h"

static struct fixture fix;
static struct fixture *const f = &fix;

static void up(void)
{
	struct s2_vm_config config = fixture_config();

	fixture_up(f, &config);
}

static void test_init_errors(void **state)
{
	struct s2_vm_config config = fixture_config();
	struct sim_config sim = { .cpu.pa_bits = 48 };

	(void)state;
	sim_init(&f->sim, &sim);
	config.flags = 4;
	assert_int_equal(s2_vm_init(&f->vm, &config, &f->sim.port), S2_EINVAL);
	s2_vm_fini(&f->vm);
	config = fixture_config();
	config.pt.ipa_bits = 20;
	assert_int_equal(s2_vm_init(&f->vm, &config, &f->sim.port), S2_EINVAL);
	s2_vm_fini(&f->vm);
	config = fixture_config();
	f->sim.arena.fail_at = 1;
	assert_int_equal(s2_vm_init(&f->vm, &config, &f->sim.port), S2_ENOMEM);
	s2_vm_fini(&f->vm);
	sim_fini(&f->sim);
}

static void test_slot_errors(void **state)
{
	static const struct {
		uint64_t gpa, size, hva;
		uint32_t flags;
		int error;
	} t[] = {
		{ 1, PAGE, 0, 0, S2_EALIGN },
		{ 0, PAGE + 1, 0, 0, S2_EALIGN },
		{ 0, PAGE, 0x800, 0, S2_EALIGN },
		{ 0, 0, 0, 0, S2_ERANGE },
		{ 1ull << 40, PAGE, 0, 0, S2_ERANGE },
		{ (1ull << 40) - PAGE, 2 * PAGE, 0, 0, S2_ERANGE },
		{ PAGE, -PAGE, 0, 0, S2_ERANGE },
		{ 0, 2 * PAGE, -PAGE, 0, S2_ERANGE }, /* the hva wraps */
		{ 0, PAGE, 0, 2, S2_EINVAL },
		{ 0, PAGE, 0, 1u << 31, S2_EINVAL },
	};
	struct s2_memslot slot, copy;

	(void)state;
	up();
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(fixture_slot(f, &slot, t[i].gpa, t[i].size, t[i].hva, t[i].flags),
				 t[i].error);
		assert_int_equal(s2_vm_slot_del(&f->vm, &slot, &f->walker), S2_ENOENT);
	}
	assert_int_equal(s2_vm_slot_find(&f->vm, s2_gpa(0), &f->walker, &copy), S2_ENOENT);
	/* The last page of both address spaces is an ordinary page. */
	assert_int_equal(fixture_slot(f, &slot, (1ull << 40) - PAGE, PAGE, -PAGE, 0), 0);
	assert_int_equal(s2_vm_slot_find(&f->vm, s2_gpa((1ull << 40) - 1), &f->walker, &copy), 0);
	fixture_down(f);
}

static void test_overlap(void **state)
{
	static const struct {
		uint64_t gpa, size;
		int error;
	} t[] = {
		{ 16 * PAGE, PAGE, S2_EOVERLAP },
		{ 31 * PAGE, PAGE, S2_EOVERLAP },
		{ 15 * PAGE, 2 * PAGE, S2_EOVERLAP },
		{ 31 * PAGE, 2 * PAGE, S2_EOVERLAP },
		{ 0, 64 * PAGE, S2_EOVERLAP },
		{ 20 * PAGE, PAGE, S2_EOVERLAP },
		{ 15 * PAGE, PAGE, 0 },
		{ 32 * PAGE, PAGE, 0 },
		{ 0, 15 * PAGE, 0 },
	};
	struct s2_memslot middle, slot[9], to;

	(void)state;
	up();
	assert_int_equal(fixture_slot(f, &middle, 16 * PAGE, 16 * PAGE, 0, 0), 0);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(fixture_slot(f, &slot[i], t[i].gpa, t[i].size, 0, 0), t[i].error);
	/* A slot may overlap what it was itself, but not its neighbours. */
	to = middle;
	to.size = 17 * PAGE;
	assert_int_equal(s2_vm_slot_change(&f->vm, &middle, &to, &f->walker), S2_EOVERLAP);
	assert_int_equal(middle.size, 16 * PAGE);
	to.gpa = s2_gpa(17 * PAGE);
	to.size = 3 * PAGE;
	assert_int_equal(s2_vm_slot_change(&f->vm, &middle, &to, &f->walker), 0);
	assert_int_equal(middle.gpa.gpa, 17 * PAGE);
	to.gpa = s2_gpa(16 * PAGE);
	to.size = 16 * PAGE;
	assert_int_equal(s2_vm_slot_change(&f->vm, &middle, &to, &f->walker), 0);
	fixture_down(f);
}

static void test_change_errors(void **state)
{
	struct s2_memslot slot, to, never = { .size = PAGE };

	(void)state;
	up();
	assert_int_equal(fixture_slot(f, &slot, BLOCK, BLOCK, sim_hva(1), 0), 0);
	assert_int_equal(fixture_fault(f, BLOCK, S2_ACCESS_READ, S2_FAULT_TRANSLATION),
			 S2_EXIT_RESUME);
	to = slot;
	to.gpa.gpa++;
	assert_int_equal(s2_vm_slot_change(&f->vm, &slot, &to, &f->walker), S2_EALIGN);
	to = slot;
	to.size = 0;
	assert_int_equal(s2_vm_slot_change(&f->vm, &slot, &to, &f->walker), S2_ERANGE);
	to = slot;
	to.flags = 16;
	assert_int_equal(s2_vm_slot_change(&f->vm, &slot, &to, &f->walker), S2_EINVAL);
	assert_int_equal(s2_vm_slot_change(&f->vm, &never, &to, &f->walker), S2_ENOENT);
	assert_int_equal(fixture_level(f, BLOCK), 1); /* after errors all is as before */
	/* Every part can change, and takes the mappings along. */
	to = slot;
	to.flags = S2_SLOT_READONLY;
	assert_int_equal(s2_vm_slot_change(&f->vm, &slot, &to, &f->walker), 0);
	assert_int_equal(fixture_level(f, BLOCK), -1);
	assert_int_equal(fixture_fault(f, BLOCK, S2_ACCESS_WRITE, S2_FAULT_TRANSLATION),
			 S2_EXIT_MMIO);
	to.flags = 0;
	to.hva = s2_hva(sim_hva(3));
	assert_int_equal(s2_vm_slot_change(&f->vm, &slot, &to, &f->walker), 0);
	assert_int_equal(fixture_fault(f, BLOCK, S2_ACCESS_WRITE, S2_FAULT_TRANSLATION),
			 S2_EXIT_RESUME);
	assert_int_equal(fixture_level(f, BLOCK), 1);
	assert_int_equal(f->leaf.hpa.hpa, fixture_hpa(3));
	fixture_down(f);
}

static void test_delete(void **state)
{
	struct s2_memslot a, b;

	(void)state;
	up();
	assert_int_equal(fixture_slot(f, &a, 0, BLOCK + 5 * PAGE, sim_hva(0), 0), 0);
	assert_int_equal(fixture_slot(f, &b, BLOCK + 5 * PAGE, PAGE, sim_hva(4), 0), 0);
	assert_int_equal(s2_vm_prefault(&f->vm, s2_gpa(0), BLOCK + 6 * PAGE, S2_ACCESS_READ,
					&f->walker, &f->progress),
			 0);
	assert_int_equal(s2_vm_slot_del(&f->vm, &a, &f->walker), 0);
	sim_idle_empty(&f->sim, 0, BLOCK + 5 * PAGE);
	assert_int_equal(fixture_level(f, 0), -1);
	assert_int_equal(fixture_level(f, BLOCK + 4 * PAGE), -1);
	assert_int_equal(fixture_level(f, BLOCK + 5 * PAGE), 0); /* not ours */
	assert_int_equal(s2_vm_slot_del(&f->vm, &a, &f->walker), S2_ENOENT);
	memset(&a, 0xee, sizeof(a)); /* the memory is ours again */
	assert_int_equal(fixture_fault(f, 0, S2_ACCESS_READ, S2_FAULT_TRANSLATION), S2_EXIT_MMIO);
	assert_int_equal(s2_vm_slot_del(&f->vm, &b, &f->walker), 0);
	fixture_down(f);
}

/* Looking up a slot needs nobody else: also while the host is taking memory away. */
static void test_find_never_waits(void **state)
{
	struct s2_memslot slot, copy;

	(void)state;
	up();
	assert_int_equal(fixture_slot(f, &slot, BLOCK, BLOCK, sim_hva(1), 0), 0);
	assert_int_equal(
		s2_vm_invalidate_begin(&f->vm, s2_gpa(BLOCK), PAGE, S2_INVAL_UNMAP, &f->walker), 0);
	assert_int_equal(s2_vm_slot_find(&f->vm, s2_gpa(BLOCK + PAGE), &f->walker, &copy), 0);
	assert_int_equal(copy.gpa.gpa, BLOCK);
	assert_int_equal(s2_vm_slot_find(&f->vm, s2_gpa(BLOCK - 1), &f->walker, &copy), S2_ENOENT);
	s2_vm_invalidate_end(&f->vm, s2_gpa(BLOCK), PAGE);
	fixture_down(f);
}

/* Pairs overlap and nest; as long as one is open its range stays empty. */
static void test_invalidations_nest(void **state)
{
	struct s2_memslot slot;
	s2_gpa_t a = s2_gpa(0), b = s2_gpa(PAGE);

	(void)state;
	up();
	assert_int_equal(fixture_slot(f, &slot, 0, 16 * BLOCK, sim_hva(0), 0), 0);
	assert_int_equal(s2_vm_invalidate_begin(&f->vm, a, 2 * PAGE, S2_INVAL_UNMAP, &f->walker),
			 0);
	assert_int_equal(s2_vm_invalidate_begin(&f->vm, a, 2 * PAGE, S2_INVAL_UNMAP, &f->walker),
			 0);
	assert_int_equal(s2_vm_invalidate_begin(&f->vm, b, 5 * BLOCK, S2_INVAL_UNMAP, &f->walker),
			 0);
	s2_vm_invalidate_end(&f->vm, a, 2 * PAGE);
	s2_vm_invalidate_end(&f->vm, b, 5 * BLOCK);
	assert_int_equal(fixture_fault(f, PAGE, S2_ACCESS_READ, S2_FAULT_TRANSLATION),
			 S2_EXIT_RESUME);
	assert_int_equal(f->exit.size, 0);
	assert_int_equal(fixture_fault(f, 3 * BLOCK, S2_ACCESS_READ, S2_FAULT_TRANSLATION),
			 S2_EXIT_RESUME);
	assert_int_equal(f->exit.size, BLOCK);
	s2_vm_invalidate_end(&f->vm, a, 2 * PAGE);
	assert_int_equal(fixture_fault(f, PAGE, S2_ACCESS_READ, S2_FAULT_TRANSLATION),
			 S2_EXIT_RESUME);
	assert_int_equal(f->exit.size, BLOCK);
	/* All of the address space at once. */
	assert_int_equal(s2_vm_invalidate_begin(&f->vm, a, 1ull << 40, S2_INVAL_UNMAP, &f->walker),
			 0);
	sim_idle_empty(&f->sim, 0, 1ull << 40);
	assert_int_equal(fixture_level(f, PAGE), -1);
	s2_vm_invalidate_end(&f->vm, a, 1ull << 40);
	fixture_down(f);
}

/*
 * Two overlap (invariant 9 of docs/locking.md): where the first is about to flush what it removed,
 * the second begins, and returns before that. It found nothing, but the TLBs are full of it.
 */
static struct overlap {
	void (*tlb)(void *ctx, const struct s2_tlb_op *ops, size_t n); /* the machine's own */
	uint64_t gpa, size;
	enum s2_inval how;
	int done;
} overlap;

static void overlap_begin(void *ctx, const struct s2_tlb_op *ops, size_t n)
{
	struct overlap *o = &overlap;

	if (!o->done++) {
		sim_thread(1, &f->other);
		assert_int_equal(
			s2_vm_invalidate_begin(&f->vm, s2_gpa(o->gpa), o->size, o->how, &f->other),
			0);
		if (o->how == S2_INVAL_UNMAP)
			sim_idle_empty(&f->sim, o->gpa, o->size);
		else
			sim_idle(&f->sim, o->gpa, o->size);
		sim_thread(0, &f->walker);
	}
	o->tlb(ctx, ops, n);
}

static void test_invalidations_overlap(void **state)
{
	/* of the first: one page, one block, a table as a whole; of the second */
	static const struct {
		uint64_t gpa, size, other_gpa, other_size;
	} t[] = {
		{ BLOCK, PAGE, BLOCK, PAGE },
		{ BLOCK, 8 * PAGE, BLOCK + 4 * PAGE, 8 * PAGE },
		{ BLOCK, 8 * PAGE, BLOCK + 3 * PAGE, PAGE },
		{ BLOCK, BLOCK, BLOCK, BLOCK },
		{ BLOCK, BLOCK, BLOCK + 7 * PAGE, PAGE },
		{ BLOCK, BLOCK, BLOCK, 2 * BLOCK },
		{ 4 * BLOCK, 2 * BLOCK, 4 * BLOCK, BLOCK },
		{ 4 * BLOCK, 2 * BLOCK, 5 * BLOCK - PAGE, 2 * PAGE },
	};
	struct s2_memslot slot;

	(void)state;
	for (size_t n = 0; n < 2 * sizeof(t) / sizeof(t[0]); n++) {
		enum s2_inval how = n & 1 ? S2_INVAL_WRITE : S2_INVAL_UNMAP;
		size_t i = n / 2;
		s2_gpa_t gpa = s2_gpa(t[i].gpa), other = s2_gpa(t[i].other_gpa);

		up();
		if (t[i].size < BLOCK) /* pages: the host's memory is in pieces */
			f->sim.chunks[1].shift = 12;
		f->sim.chunks[4].shift = f->sim.chunks[5].shift = 12;
		assert_int_equal(fixture_slot(f, &slot, 0, 16 * BLOCK, sim_hva(0), 0), 0);
		assert_int_equal(s2_vm_prefault(&f->vm, s2_gpa(0), 16 * BLOCK, S2_ACCESS_WRITE,
						&f->walker, &f->progress),
				 0);
		overlap = (struct overlap){ f->sim.port.tlb, t[i].other_gpa, t[i].other_size, how,
					    0 };
		f->sim.port.tlb = overlap_begin;
		assert_int_equal(s2_vm_invalidate_begin(&f->vm, gpa, t[i].size, how, &f->walker),
				 0);
		assert_int_not_equal(overlap.done, 0);
		f->sim.port.tlb = overlap.tlb;
		if (how == S2_INVAL_UNMAP)
			sim_idle_empty(&f->sim, t[i].gpa, t[i].size);
		sim_idle(&f->sim, t[i].gpa, t[i].size);
		s2_vm_invalidate_end(&f->vm, gpa, t[i].size);
		s2_vm_invalidate_end(&f->vm, other, t[i].other_size);
		fixture_down(f);
	}
}

/* Needs no memory, whatever has to go. */
static void test_invalidate_without_memory(void **state)
{
	struct s2_memslot slot;

	(void)state;
	up();
	assert_int_equal(fixture_slot(f, &slot, 0, 4 * BLOCK, sim_hva(0), 0), 0);
	assert_int_equal(s2_vm_prefault(&f->vm, s2_gpa(0), 4 * BLOCK, S2_ACCESS_READ, &f->walker,
					&f->progress),
			 0);
	f->sim.arena.fail_of_65536 = 65536;
	for (uint64_t gpa = PAGE; gpa < 4 * BLOCK; gpa += BLOCK) {
		assert_int_equal(s2_vm_invalidate_begin(&f->vm, s2_gpa(gpa), PAGE, S2_INVAL_UNMAP,
							&f->other),
				 0);
		assert_int_equal(fixture_level(f, gpa), -1);
		s2_vm_invalidate_end(&f->vm, s2_gpa(gpa), PAGE);
	}
	f->sim.arena.fail_of_65536 = 0;
	fixture_down(f);
}

/* The largest number of slots, in no order, against a list; then all of them go again. */
static void test_many_slots(void **state)
{
	enum {
		N = S2_MAX_SLOTS
	};
	struct s2_memslot *slots = calloc(N + 1, sizeof(*slots)), copy;
	uint8_t *present = calloc(2 * N + 4, 1);
	uint64_t rng = 7;

	(void)state;
	assert_non_null(slots);
	assert_non_null(present);
	up();
	for (uint32_t i = 0; i < N; i++) {
		/* 20011 is prime to N: every second page, in a scattered order */
		uint64_t page = 2 * ((uint64_t)i * 20011 % N);

		assert_int_equal(fixture_slot(f, &slots[i], page * PAGE, PAGE, page * PAGE, 0), 0);
		present[page] = 1;
	}
	assert_int_equal(fixture_slot(f, &slots[N], (2 * N + 2) * PAGE, PAGE, 0, 0), S2_ESLOTS);
	for (uint32_t round = 0; round < 3; round++) {
		for (uint64_t page = 0; page < 2 * N + 4; page++) {
			int ret = s2_vm_slot_find(&f->vm, s2_gpa(page * PAGE + 77), &f->walker,
						  &copy);

			assert_int_equal(ret, present[page] ? 0 : S2_ENOENT);
			if (!ret)
				assert_int_equal(copy.gpa.gpa, page * PAGE);
		}
		for (uint32_t n = 0; n < N && round < 2; n++) {
			uint32_t i = (uint32_t)(sim_random(&rng) % N);
			uint64_t page = slots[i].gpa.gpa / PAGE;

			if (round == 1)
				i = n, page = slots[i].gpa.gpa / PAGE;
			assert_int_equal(s2_vm_slot_del(&f->vm, &slots[i], &f->walker),
					 present[page] ? 0 : S2_ENOENT);
			present[page] = 0;
		}
	}
	fixture_down(f);
	free(slots);
	free(present);
}

/* Slots on both sides of a steady one come and go while somebody looks. */
static int looking;

static void *look(void *arg)
{
	struct s2_memslot copy;
	uint64_t n = 0;

	(void)arg;
	sim_thread(1, &f->other);
	while (__atomic_load_n(&looking, __ATOMIC_ACQUIRE)) {
		if (s2_vm_slot_find(&f->vm, s2_gpa(100 * PAGE), &f->other, &copy) ||
		    copy.gpa.gpa != 100 * PAGE || copy.hva.hva != 5 * PAGE)
			return NULL;
		n++;
		if (!s2_vm_slot_find(&f->vm, s2_gpa(n % 200 * PAGE), &f->other, &copy) &&
		    (copy.size != PAGE || copy.gpa.gpa != n % 200 * PAGE))
			return NULL;
	}
	return f;
}

static void test_look_while_changing(void **state)
{
	static struct s2_memslot slots[200];
	pthread_t thread;
	uint64_t rng = 3;
	void *result;

	(void)state;
	up();
	assert_int_equal(fixture_slot(f, &slots[100], 100 * PAGE, PAGE, 5 * PAGE, 0), 0);
	looking = 1;
	assert_int_equal(pthread_create(&thread, NULL, look, NULL), 0);
	for (uint32_t n = 0; n < 20000; n++) {
		uint64_t i = sim_random(&rng) % 200;

		if (i == 100)
			continue;
		if (slots[i].size) {
			assert_int_equal(s2_vm_slot_del(&f->vm, &slots[i], &f->walker), 0);
			memset(&slots[i], 0, sizeof(slots[i]));
		} else {
			assert_int_equal(fixture_slot(f, &slots[i], i * PAGE, PAGE, i * PAGE, 0),
					 0);
		}
	}
	__atomic_store_n(&looking, 0, __ATOMIC_RELEASE);
	pthread_join(thread, &result);
	assert_ptr_equal(result, f);
	fixture_down(f);
}

/* What another walker does while a slot goes, or goes and comes back elsewhere. */
static struct {
	int found, reason;
	struct s2_memslot copy;
} met;

static void fault_as_it_leaves(void *ctx, uint64_t gpa)
{
	struct s2_fault fault = { .gpa = s2_gpa(GIB), .access = S2_ACCESS_READ };
	struct s2_exit exit;

	(void)ctx;
	(void)gpa;
	met.found = s2_fault(&f->vm, &f->other, &fault, &exit);
	met.reason = (int)exit.reason;
}

/* A walker that still meets a slot as it leaves does not remember it. */
static void test_met_as_it_leaves(void **state)
{
	const struct sim_second_config second = { .fn = fault_as_it_leaves,
						  .walker = &f->other,
						  .odds = 65536 };
	struct s2_fault fault = { .gpa = s2_gpa(GIB), .access = S2_ACCESS_READ };
	struct s2_memslot slot;

	(void)state;
	up();
	assert_int_equal(fixture_slot(f, &slot, GIB, BLOCK, sim_hva(0), 0), 0);
	memset(&met, 0, sizeof(met));
	sim_second_arm(&f->sim, &second);
	assert_int_equal(s2_vm_slot_del(&f->vm, &slot, &f->walker), 0);
	assert_int_equal(sim_second_finish(&f->sim), 1);
	assert_int_equal(met.found, 0);
	assert_int_equal(met.reason, S2_EXIT_RESUME);
	assert_int_equal(fixture_level(f, GIB), -1);
	assert_int_equal(s2_fault(&f->vm, &f->other, &fault, &f->exit), 0);
	assert_int_equal(f->exit.reason, S2_EXIT_MMIO);
	assert_int_equal(fixture_level(f, GIB), -1);
	fixture_down(f);
}

static void find_amid(void *ctx, uint64_t gpa)
{
	(void)ctx;
	while (!met.found) {
		met.found = s2_vm_slot_find(&f->vm, s2_gpa(GIB), &f->other, &met.copy) ? -1 : 0;
		if (!met.found && met.copy.flags)
			met.found = 1;
		s2_hook_slot(&f->sim, gpa); /* the other's turn */
	}
}

/* A slot that changes is there all the time, as it was or as it will be. */
static void test_found_while_changing(void **state)
{
	const struct sim_second_config second = { .fn = find_amid,
						  .walker = &f->other,
						  .odds = 65536 };
	struct s2_memslot slot, to;

	(void)state;
	up();
	assert_int_equal(fixture_slot(f, &slot, GIB, BLOCK, sim_hva(0), 0), 0);
	to = slot;
	to.flags = S2_SLOT_READONLY;
	memset(&met, 0, sizeof(met));
	sim_second_arm(&f->sim, &second);
	assert_int_equal(s2_vm_slot_change(&f->vm, &slot, &to, &f->walker), 0);
	assert_int_equal(sim_second_finish(&f->sim), 1);
	assert_int_equal(met.found, 1);
	fixture_down(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_errors),
		cmocka_unit_test(test_slot_errors),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_change_errors),
		cmocka_unit_test(test_delete),
		cmocka_unit_test(test_find_never_waits),
		cmocka_unit_test(test_invalidations_nest),
		cmocka_unit_test(test_invalidations_overlap),
		cmocka_unit_test(test_invalidate_without_memory),
		cmocka_unit_test(test_many_slots),
		cmocka_unit_test(test_look_while_changing),
		cmocka_unit_test(test_met_as_it_leaves),
		cmocka_unit_test(test_found_while_changing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
