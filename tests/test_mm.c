// SPDX-License-Identifier: BSD-2-Clause
/*
 * The simulated host's memory manager (ports/sim/mm.h): each thing that it does, by itself, under
 * the checker: what the guest finds afterwards.
 */
#include "mm_fixture.h"

static struct sim_leaf leaf_at(uint64_t gpa)
{
	struct sim_leaf leaf;

	sim_translate(&f->sim, gpa, &leaf);
	return leaf;
}

static void test_unmap(void **state)
{
	(void)state;
	up();
	area_at(MM_ANON, HVA, 100, GPA, NULL);
	put(GPA, 7);
	get(GPA, HVA, 7);
	op(MM_OP_UNMAP, HVA);
	assert_false(leaf_at(GPA).mapped);
	refused(GPA, S2_ACCESS_READ, S2_ENOENT);
	op(MM_OP_MAP, HVA);
	get(GPA, HVA, 0);
	down();
}

static void test_remap(void **state)
{
	(void)state;
	up();
	area_at(MM_ANON, HVA, 100, GPA, NULL);
	put(GPA, 7);
	op(MM_OP_REMAP, HVA);
	assert_false(leaf_at(GPA).mapped);
	get(GPA, HVA, 0);
	down();
}

static void test_protect(void **state)
{
	(void)state;
	up();
	area_at(MM_ANON, HVA, 100, GPA, NULL);
	put(GPA, 7);
	while (page_at(HVA)->prot & S2_W || !page_at(HVA)->prot)
		op(MM_OP_PROTECT, HVA);
	refused(GPA, S2_ACCESS_WRITE, S2_EPERM);
	get(GPA, HVA, 7);
	while (!(page_at(HVA)->prot & S2_W))
		op(MM_OP_PROTECT, HVA);
	put(GPA, 8);
	while (page_at(HVA)->prot)
		op(MM_OP_PROTECT, HVA);
	refused(GPA, S2_ACCESS_READ, S2_EPERM);
	down();
}

static void test_fork(void **state)
{
	(void)state;
	up();
	area_at(MM_ANON, HVA, 100, GPA, NULL);
	area_at(MM_ANON, HVA + GIB, 100, OTHER, NULL);
	put(GPA, 7);
	put(OTHER, 9);
	op(MM_OP_FORK, HVA);
	/* Withdrawn is the right to write, not the page. */
	assert_true(leaf_at(GPA).mapped);
	assert_false(leaf_at(GPA).prot & S2_W);
	get(OTHER, HVA + GIB, 7);
	assert_int_equal(leaf_at(OTHER).hpa, leaf_at(GPA).hpa);
	put(GPA, 8);
	get(OTHER, HVA + GIB, 7);
	get(GPA, HVA, 8);
	assert_int_equal(mm.events[MM_COW_COPY], 1);
	put(OTHER, 6); /* the last one need not copy */
	assert_int_equal(mm.events[MM_COW_COPY], 1);
	assert_int_equal(mm.events[MM_COW_REUSE], 1);
	get(GPA, HVA, 8);
	down();
}

static void test_fork_hugetlb(void **state)
{
	(void)state;
	up();
	area_at(MM_HUGETLB, HVA, 512, GPA, NULL);
	area_at(MM_HUGETLB, HVA + GIB, 512, OTHER, NULL);
	put(GPA + 5 * PAGE, 7);
	assert_int_equal(leaf_at(GPA).level, 1);
	op(MM_OP_FORK, HVA);
	get(OTHER + 5 * PAGE, HVA + GIB + 5 * PAGE, 7);
	put(GPA + 5 * PAGE, 8);
	get(OTHER + 5 * PAGE, HVA + GIB + 5 * PAGE, 7);
	assert_int_equal(leaf_at(GPA + 511 * PAGE).level, 1);
	down();
}

static void test_merge(void **state)
{
	(void)state;
	up();
	area_at(MM_ANON, HVA, 2, GPA, NULL);
	put(GPA, 7);
	put(GPA + PAGE, 8);
	for (int i = 0; i < 100; i++)
		assert_int_equal(mm_do(&mm, MM_OP_MERGE, HVA, &f->other, &rng), 0);
	put(GPA + PAGE, 7);
	op(MM_OP_MERGE, HVA);
	get(GPA, HVA, 7);
	get(GPA + PAGE, HVA + PAGE, 7);
	assert_int_equal(leaf_at(GPA).hpa, leaf_at(GPA + PAGE).hpa);
	put(GPA, 9);
	get(GPA + PAGE, HVA + PAGE, 7);
	assert_int_not_equal(leaf_at(GPA).hpa, leaf_at(GPA + PAGE).hpa);
	down();
}

/* Two slots on one hva: both are told. */
static void test_migrate_two_slots(void **state)
{
	struct mm_area *area;
	uint64_t hpa;

	(void)state;
	up();
	area = area_at(MM_ANON, HVA, 100, GPA, NULL);
	map_area(area, OTHER);
	put(GPA, 7);
	get(OTHER, HVA, 7);
	hpa = leaf_at(GPA).hpa;
	assert_int_equal(leaf_at(OTHER).hpa, hpa);
	op(MM_OP_MIGRATE, HVA);
	assert_false(leaf_at(GPA).mapped);
	assert_false(leaf_at(OTHER).mapped);
	get(GPA, HVA, 7);
	put(OTHER, 8);
	get(GPA, HVA, 8);
	assert_int_not_equal(leaf_at(GPA).hpa, hpa);
	down();
}

static void test_huge(void **state)
{
	(void)state;
	up();
	area_at(MM_THP, HVA - 3 * PAGE, 520, GPA - 3 * PAGE, NULL);
	for (unsigned int i = 0; !page_at(HVA)->huge; i++) {
		assert_true(i < 100);
		put(GPA, 7);
		if (!page_at(HVA)->huge)
			op(MM_OP_REMAP, HVA);
	}
	put(GPA + 100 * PAGE, 8);
	op(MM_OP_SPLIT, HVA);
	put(GPA, 6);
	assert_int_equal(leaf_at(GPA).level, 0);
	op(MM_OP_COLLAPSE, HVA);
	assert_false(leaf_at(GPA).mapped);
	for (unsigned int i = 0; i < 3; i++) /* now and then a host says less than it could */
		get(GPA + 100 * PAGE + i * PAGE, HVA + 100 * PAGE + i * PAGE, i ? 0 : 8);
	get(GPA, HVA, 6);
	assert_int_equal(leaf_at(GPA + 300 * PAGE).level, 1);
	op(MM_OP_MIGRATE, HVA);
	get(GPA, HVA, 6);
	down();
}

static void test_truncate(void **state)
{
	struct mm_file *file;

	(void)state;
	up();
	file = mm_file(&mm, MM_ZONE_RAM, 100);
	area_at(MM_FILE, HVA, 100, GPA, file);
	area_at(MM_FILE, HVA + GIB, 50, OTHER, file);
	put(GPA + 20 * PAGE, 7);
	get(OTHER + 20 * PAGE, HVA + GIB + 20 * PAGE, 7);
	op(MM_OP_TRUNCATE, HVA + 10 * PAGE);
	refused(GPA + 20 * PAGE, S2_ACCESS_READ, S2_ENOENT);
	refused(OTHER + 20 * PAGE, S2_ACCESS_WRITE, S2_ENOENT);
	op(MM_OP_TRUNCATE, HVA); /* grows */
	get(GPA + 20 * PAGE, HVA + 20 * PAGE, 0);
	down();
}

static void test_clean(void **state)
{
	struct mm_file *file;

	(void)state;
	up();
	file = mm_file(&mm, MM_ZONE_RAM, 100);
	area_at(MM_FILE, HVA, 100, GPA, file);
	put(GPA, 7);
	op(MM_OP_CLEAN, HVA);
	assert_int_equal(file->page[0].disk, 7);
	assert_true(leaf_at(GPA).mapped);
	assert_false(leaf_at(GPA).prot & S2_W);
	put(GPA, 8);
	op(MM_OP_SWAP_OUT, HVA); /* its cache is reclaimed */
	assert_int_equal(file->page[0].disk, 8);
	assert_false(leaf_at(GPA).mapped);
	get(GPA, HVA, 8);
	down();
}

static void test_swap(void **state)
{
	(void)state;
	up();
	area_at(MM_ANON, HVA, 100, GPA, NULL);
	area_at(MM_ANON, HVA + GIB, 100, OTHER, NULL);
	put(GPA, 7);
	op(MM_OP_FORK, HVA);
	op(MM_OP_SWAP_OUT, HVA);
	assert_false(leaf_at(GPA).mapped);
	put(OTHER, 8);
	assert_int_equal(mm.events[MM_FAULT_SWAP], 1);
	op(MM_OP_SWAP_IN, HVA);
	get(GPA, HVA, 7);
	mm.config.pending = 65536;
	op(MM_OP_SWAP_OUT, HVA);
	refused(GPA, S2_ACCESS_READ, S2_EPENDING);
	mm.config.pending = 0;
	get(GPA, HVA, 7);
	down();
}

static void test_poison(void **state)
{
	uint64_t hpa;

	(void)state;
	up();
	area_at(MM_ANON, HVA, 100, GPA, NULL);
	put(GPA, 7);
	hpa = leaf_at(GPA).hpa;
	op(MM_OP_POISON, HVA);
	refused(GPA, S2_ACCESS_READ, S2_EPOISON);
	op(MM_OP_REMAP, HVA);
	while (!(page_at(HVA)->prot & S2_W))
		op(MM_OP_PROTECT, HVA);
	put(GPA, 8);
	assert_int_not_equal(leaf_at(GPA).hpa, hpa);
	op(MM_OP_REPAIR, HVA);
	down();
}

static void test_dax(void **state)
{
	struct mm_file *file;

	(void)state;
	up();
	file = mm_file(&mm, MM_ZONE_DAX, 512);
	area_at(MM_DAX, HVA, 512, GPA, file);
	for (int i = 0; i < 40; i++)
		put(GPA + 9 * PAGE * (uint64_t)i, 7);
	assert_int_equal(leaf_at(GPA + 500 * PAGE).level, 1);
	/* Idle when unmapped, not freed: the data stay. */
	while (page_at(HVA)->frame != MM_NONE)
		op(MM_OP_REMAP, HVA);
	assert_int_equal(mm.zone[MM_ZONE_DAX].used, 512);
	get(GPA, HVA, 7);
	while (file->page[0].frame != MM_NONE)
		op(MM_OP_UNPLUG, HVA);
	assert_false(leaf_at(GPA).mapped);
	assert_int_equal(mm.zone[MM_ZONE_DAX].used, 0);
	op(MM_OP_PLUG, HVA);
	get(GPA, HVA, 0);
	op(MM_OP_TRUNCATE, HVA);
	assert_int_equal(mm.zone[MM_ZONE_DAX].used, 0);
	down();
}

static void test_device(void **state)
{
	struct mm_area *area;
	uint64_t hpa = 1ull << 40;

	(void)state;
	up();
	area = mm_device(&mm, HVA, 1024, hpa, S2_MEM_DEVICE);
	map_area(area, GPA);
	assert_int_equal(mm_guest_read(&mm, GPA, &f->exit), MM_DONE);
	assert_int_equal(leaf_at(GPA).level, 1);
	assert_int_equal(leaf_at(GPA).type, S2_MEM_DEVICE);
	assert_int_equal(mm_guest_exec(&mm, GPA, &f->exit), MM_EXIT);
	assert_int_equal(f->exit.reason, S2_EXIT_ABORT);
	op(MM_OP_CLOSE, HVA);
	assert_false(leaf_at(GPA).mapped);
	refused(GPA, S2_ACCESS_WRITE, S2_ENOENT);
	op(MM_OP_OPEN, HVA);
	put(GPA + 600 * PAGE, 1);
	assert_int_not_equal(leaf_at(GPA + 600 * PAGE).hpa, hpa + 600 * PAGE);
	assert_int_equal(leaf_at(GPA + 600 * PAGE).hpa, area->hpa + 600 * PAGE);
	down();
}

/* It begins and ends in the middle of a block: pages at the edges, a block between. */
static void test_framebuffer(void **state)
{
	struct mm_area *area;

	(void)state;
	up();
	area = mm_device(&mm, HVA + 300 * PAGE, 1000, (1ull << 41) + 300 * PAGE, S2_MEM_NC);
	map_area(area, GPA + 300 * PAGE);
	put(GPA + 300 * PAGE, 1);
	put(GPA + 700 * PAGE, 1);
	put(GPA + 1299 * PAGE, 1);
	assert_int_equal(leaf_at(GPA + 300 * PAGE).level, 0);
	assert_int_equal(leaf_at(GPA + 700 * PAGE).level, 1);
	assert_int_equal(leaf_at(GPA + 1299 * PAGE).level, 0);
	assert_int_equal(leaf_at(GPA + 700 * PAGE).type, S2_MEM_NC);
	assert_false(leaf_at(GPA + 299 * PAGE).mapped);
	down();
}

static void test_without_references(void **state)
{
	struct mm_file *driver, *loose;
	uint64_t hpa;

	(void)state;
	up();
	driver = mm_file(&mm, MM_ZONE_NOREF, 512);
	loose = mm_file(&mm, MM_ZONE_NOREF, 8);
	area_at(MM_PFN, HVA, 512, GPA, driver);
	area_at(MM_NOREF, HVA + GIB, 8, OTHER, loose);
	put(GPA, 7);
	put(OTHER, 8);
	assert_int_equal(mm.frames[page_at(HVA)->frame].refs, 0);
	hpa = leaf_at(GPA).hpa;
	op(MM_OP_MOVE, HVA);
	assert_false(leaf_at(GPA).mapped);
	get(GPA, HVA, 7);
	assert_int_not_equal(leaf_at(GPA).hpa, hpa);
	op(MM_OP_MOVE, HVA + GIB);
	get(OTHER, HVA + GIB, 8);
	op(MM_OP_TRUNCATE, HVA + GIB);
	get(OTHER, HVA + GIB, 0);
	down();
}

/* The host strikes in every fault, between lookup and answer, at just that page. */
static void test_ambush(void **state)
{
	unsigned int served = 0;

	(void)state;
	up();
	area_at(MM_ANON, HVA, 100, GPA, NULL);
	area_at(MM_ANON, HVA + GIB, 100, OTHER, NULL);
	mm.config.ambush = 65536;
	for (uint64_t i = 0; i < 2000; i++)
		served += mm_guest_write(&mm, (i & 1 ? OTHER : GPA) + i % 7 * PAGE, i % 3,
					 &f->exit) == MM_DONE;
	assert_true(served > 100);
	assert_true(mm.events[MM_AMBUSH] > 100);
	down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unmap),
		cmocka_unit_test(test_remap),
		cmocka_unit_test(test_protect),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_fork_hugetlb),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_migrate_two_slots),
		cmocka_unit_test(test_huge),
		cmocka_unit_test(test_truncate),
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_swap),
		cmocka_unit_test(test_poison),
		cmocka_unit_test(test_dax),
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_framebuffer),
		cmocka_unit_test(test_without_references),
		cmocka_unit_test(test_ambush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
