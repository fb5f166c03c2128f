// SPDX-License-Identifier: BSD-2-Clause
/*
 * The gather: which invalidations are issued, what may be done before it is flushed; and that
 * tables which became empty do not stay behind (each of these cases was a bug that the random test
 * with a second walker found: here it is by itself).
 */
#include "fixture.h"

static struct fixture fix;
static struct fixture *const f = &fix;

static void up(void)
{
	struct s2_vm_config config = fixture_config();

	fixture_up(f, &config);
}

static int unmap(uint64_t gpa, uint64_t size)
{
	return s2_pt_unmap(&f->vm.pt, s2_gpa(gpa), size, &f->walker, &f->gather, &f->progress);
}

static int protect(uint64_t gpa, uint64_t size, unsigned int prot)
{
	return s2_pt_protect(&f->vm.pt, s2_gpa(gpa), size, prot, &f->walker, &f->gather,
			     &f->progress);
}

/* With ranges and levels one operation serves a run of leaves; without, one each, or one for all.
 */
static void test_tlb_operations(void **state)
{
	struct s2_vm_config config = fixture_config();
	uint64_t *ops = f->sim.tlb_ops;

	(void)state;
	config.pt.cpu.features = S2_CPU_TLB_RANGE | S2_CPU_TLB_LEVEL;
	fixture_up(f, &config);
	assert_int_equal(fixture_map(f, 0, 0, 300 * PAGE, S2_RW, 0), 0);
	assert_int_equal(ops[S2_TLB_PUBLISH], 1);
	assert_int_equal(protect(0, 300 * PAGE, S2_W), 0);
	s2_gather_flush(&f->gather, &f->walker);
	assert_int_equal(ops[S2_TLB_RANGE], 1);
	assert_int_equal(ops[S2_TLB_ENTRY] + ops[S2_TLB_ALL], 0);
	fixture_down(f);

	config.pt.cpu.features = 0;
	fixture_up(f, &config);
	assert_int_equal(fixture_map(f, 0, 0, 300 * PAGE, S2_RW, 0), 0);
	assert_int_equal(protect(0, 3 * PAGE, S2_W), 0);
	s2_gather_flush(&f->gather, &f->walker);
	assert_int_equal(ops[S2_TLB_ENTRY], 3);
	assert_int_equal(protect(0, 300 * PAGE, S2_W), 0);
	s2_gather_flush(&f->gather, &f->walker);
	assert_int_equal(ops[S2_TLB_RANGE], 0);
	assert_int_equal(ops[S2_TLB_ALL], 1);
	fixture_down(f);
}

static void test_flush_of_nothing(void **state)
{
	(void)state;
	up();
	s2_gather_flush(&f->gather, &f->walker);
	assert_int_equal(unmap(0, GIB), 0);
	assert_int_equal(f->progress.done, GIB);
	assert_int_equal(f->progress.changed, 0);
	s2_gather_flush(&f->gather, &f->walker);
	for (int kind = 0; kind < S2_TLB_KINDS; kind++)
		assert_int_equal(f->sim.tlb_ops[kind], 0);
	fixture_down(f);
}

/* A page next to one that took its whole table along may be mapped before the flush. */
static void test_map_beside_unflushed(void **state)
{
	(void)state;
	up();
	assert_int_equal(fixture_map(f, 5 * PAGE, 0x5000, PAGE, S2_RW, 0), 0);
	assert_int_equal(unmap(5 * PAGE, PAGE), 0);
	assert_int_equal(s2_pt_map(&f->vm.pt, s2_gpa(9 * PAGE), s2_hpa(0x9000), PAGE,
				   fixture_attr(S2_RW, S2_MEM_NORMAL), 0, &f->walker, &f->gather,
				   &f->progress),
			 0);
	fixture_down(f);
}

static uint64_t empty_tables(void)
{
	struct s2_census census;

	assert_int_equal(s2_pt_audit(&f->vm.pt, &f->walker, &census, NULL), 0);
	return census.empty;
}

/*
 * One unmap that empties more tables than a gather has room for. Those of level 0 hang in a chain,
 * which has no end; those above fill the gather, so that it is flushed half-way.
 */
static void test_more_than_a_gather(void **state)
{
	static const uint64_t steps[] = { BLOCK, GIB };

	(void)state;
	for (unsigned int s = 0; s < 2; s++) {
		uint64_t step = steps[s];

		up();
		for (uint64_t i = 0; i < 2 * S2_GATHER_TABLES; i++)
			assert_int_equal(fixture_map(f, i * step, (1ull << 32) + i * step, PAGE,
						     S2_RWX, S2_MEM_NORMAL),
					 0);
		assert_int_equal(unmap(0, 2 * S2_GATHER_TABLES * step), 0);
		s2_gather_flush(&f->gather, &f->walker);
		assert_int_equal(empty_tables(), 0);
		fixture_down(f);
	}
}

/* An invalidation that removes a block on its edge whole. */
static void test_block_on_the_edge(void **state)
{
	(void)state;
	up();
	assert_int_equal(fixture_map(f, 0, 1ull << 32, BLOCK, S2_RWX, S2_MEM_NORMAL), 0);
	assert_int_equal(
		s2_vm_invalidate_begin(&f->vm, s2_gpa(PAGE), PAGE, S2_INVAL_UNMAP, &f->walker), 0);
	s2_vm_invalidate_end(&f->vm, s2_gpa(PAGE), PAGE);
	assert_int_equal(empty_tables(), 0);
	fixture_down(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tlb_operations),
		cmocka_unit_test(test_flush_of_nothing),
		cmocka_unit_test(test_map_beside_unflushed),
		cmocka_unit_test(test_more_than_a_gather),
		cmocka_unit_test(test_block_on_the_edge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
