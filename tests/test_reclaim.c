// SPDX-License-Identifier: BSD-2-Clause
/*
 * Empty tables do not stay behind. Each case was a bug that the random test with a second walker
 * found: here it is by itself.
 */
#include "fixture.h"

static struct fixture fix;
static struct fixture *const f = &fix;

static uint64_t empty_tables(void)
{
	struct s2_census census;

	assert_int_equal(s2_pt_audit(&f->vm.pt, &f->walker, &census, NULL), 0);
	return census.empty;
}

/* One unmap that empties more tables than a gather has room for. */
static void test_more_than_a_gather(void **state)
{
	struct s2_vm_config config = fixture_config();

	(void)state;
	fixture_up(f, &config);
	for (uint64_t i = 0; i < 2 * S2_GATHER_TABLES; i++)
		assert_int_equal(fixture_map(f, i * BLOCK, (1ull << 32) + i * BLOCK, PAGE, S2_RWX,
					     S2_MEM_NORMAL),
				 0);
	assert_int_equal(s2_pt_unmap(&f->vm.pt, s2_gpa(0), 2 * S2_GATHER_TABLES * BLOCK, &f->walker,
				     &f->gather, &f->progress),
			 0);
	s2_gather_flush(&f->gather, &f->walker);
	assert_int_equal(empty_tables(), 0);
	fixture_down(f);
}

/* An invalidation that removes a block on its edge whole. */
static void test_block_on_the_edge(void **state)
{
	struct s2_vm_config config = fixture_config();

	(void)state;
	fixture_up(f, &config);
	assert_int_equal(fixture_map(f, 0, 1ull << 32, BLOCK, S2_RWX, S2_MEM_NORMAL), 0);
	assert_int_equal(s2_vm_invalidate_begin(&f->vm, s2_gpa(PAGE), PAGE, &f->walker), 0);
	s2_vm_invalidate_end(&f->vm, s2_gpa(PAGE), PAGE);
	assert_int_equal(empty_tables(), 0);
	fixture_down(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_more_than_a_gather),
		cmocka_unit_test(test_block_on_the_edge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
