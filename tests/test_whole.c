// SPDX-License-Identifier: BSD-2-Clause
/*
 * Protect with S2_PROTECT_WHOLE (src/pgtable/internal.h): blocks that stick out of the range lose
 * the right as a whole. So it needs no table; and of the part outside nothing stale may be left at
 * any moment at which somebody could find it protected.
 */
#include "../src/pgtable/internal.h"
#include "fixture.h"

static struct fixture fix;
static struct fixture *const f = &fix;

static void up_with(uint32_t features, unsigned int block_level)
{
	struct s2_vm_config config = fixture_config();

	config.pt.cpu.features = features;
	config.pt.block_level = (uint8_t)block_level;
	fixture_up(f, &config);
}

static int protect(uint64_t gpa, uint64_t size, unsigned int prot)
{
	return f->vm.pt.ops->protect(&f->vm.pt, s2_gpa(gpa), size, prot | S2_PROTECT_WHOLE,
				     &f->walker, &f->gather, &f->progress);
}

static void expect_leaf(uint64_t gpa, int level, unsigned int prot)
{
	assert_int_equal(fixture_level(f, gpa), level);
	assert_int_equal(f->leaf.attr.prot, prot);
}

static void expect_changed(uint64_t done, uint64_t changed)
{
	assert_int_equal(f->progress.done, done);
	assert_int_equal(f->progress.changed, changed);
}

/* Nothing is owed but that the changed entries become visible, which is done. */
static void expect_paid(void)
{
	assert_int_equal(f->gather.nranges | f->gather.all, 0);
	s2_gather_flush(&f->gather, &f->walker);
}

/* A page of a block, with no memory for a table; all of the block is protected, and at once. */
static void one_page(unsigned int level, uint64_t size)
{
	uint64_t breaks;

	up_with(0, level);
	assert_int_equal(fixture_map(f, 4 * GIB, 8 * GIB, 2 * size, S2_RWX, 0), 0);
	s2_walker_fini(&f->walker); /* with its stock */
	s2_walker_init(&f->walker, &f->vm.pt);
	f->sim.arena.fail_of_65536 = 65536;
	assert_int_equal(protect(4 * GIB + 9 * PAGE, PAGE, S2_W), 0);
	expect_changed(PAGE, PAGE);
	expect_paid();
	sim_idle(&f->sim, 4 * GIB, size);
	expect_leaf(4 * GIB, (int)level, S2_RX);
	expect_leaf(4 * GIB + size - PAGE, (int)level, S2_RX);
	expect_leaf(4 * GIB + size, (int)level, S2_RWX);
	/* It is done: not again. Another right of the same block. */
	breaks = f->walker.stats.breaks;
	assert_int_equal(protect(4 * GIB + 7 * PAGE, 5 * PAGE, S2_W), 0);
	expect_changed(5 * PAGE, 0);
	assert_int_equal(f->walker.stats.breaks, breaks);
	assert_int_equal(protect(4 * GIB, size - PAGE, S2_W | S2_X), 0);
	expect_changed(size - PAGE, size - PAGE);
	expect_leaf(4 * GIB, (int)level, S2_R);
	/* Old ones stay old; the others' end of the range is the next block's first page. */
	assert_int_equal(s2_pt_age(&f->vm.pt, s2_gpa(4 * GIB + size), PAGE, S2_AGE_CLEAR,
				   &f->walker, &f->gather, &f->progress),
			 0);
	assert_int_equal(protect(4 * GIB, size + PAGE, S2_W), 0);
	expect_changed(size + PAGE, PAGE);
	expect_leaf(4 * GIB + size, (int)level, S2_RX);
	assert_int_equal(f->leaf.young, 0);
	s2_gather_flush(&f->gather, &f->walker);
	f->sim.arena.fail_of_65536 = 0;
	fixture_down(f);
}

static void test_one_page(void **state)
{
	(void)state;
	one_page(1, BLOCK);
	one_page(2, GIB);
}

/* Blocks on both edges and others between, pages too: short ranges and such as keep others out. */
static void test_edges(void **state)
{
	static const uint64_t page[] = { 1, 511, 200 };

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		uint64_t gpa = BLOCK + page[i] * PAGE, end = 4 * BLOCK + 3 * PAGE;

		up_with(0, 1);
		assert_int_equal(fixture_map(f, 0, 8 * GIB, 3 * BLOCK, S2_RWX, 0), 0);
		assert_int_equal(
			fixture_map(f, 3 * BLOCK, 9 * GIB, BLOCK - PAGE, S2_RWX, S2_MAP_PAGES), 0);
		assert_int_equal(
			fixture_map(f, 4 * BLOCK, 8 * GIB + 4 * BLOCK, 2 * BLOCK, S2_RWX, 0), 0);
		assert_int_equal(protect(gpa, end - gpa, S2_W), 0);
		expect_changed(end - gpa, end - gpa - PAGE);
		expect_leaf(0, 1, S2_RWX);
		expect_leaf(BLOCK, 1, S2_RX);
		expect_leaf(2 * BLOCK, 1, S2_RX);
		expect_leaf(3 * BLOCK, 0, S2_RX);
		expect_leaf(4 * BLOCK - 2 * PAGE, 0, S2_RX);
		assert_int_equal(fixture_level(f, 4 * BLOCK - PAGE), -1);
		expect_leaf(4 * BLOCK, 1, S2_RX);
		expect_leaf(5 * BLOCK, 1, S2_RWX);
		s2_gather_flush(&f->gather, &f->walker);
		sim_idle(&f->sim, 0, 8 * BLOCK);
		fixture_down(f);
	}
}

/* Page by page as remembered; and what is not for everybody is refused there too. */
static void test_near(void **state)
{
	(void)state;
	up_with(0, 0);
	assert_int_equal(fixture_map(f, 0, 8 * GIB, 40 * PAGE, S2_RWX, 0), 0);
	for (uint64_t n = 0; n < 30; n++) {
		unsigned int prot = n < 10 ? S2_W : n < 20 ? S2_X : S2_W | S2_X;

		assert_int_equal(protect(n * PAGE, PAGE, prot), 0);
		expect_changed(PAGE, PAGE);
		s2_gather_flush(&f->gather, &f->walker);
		sim_idle(&f->sim, n * PAGE, PAGE);
		expect_leaf(n * PAGE, 0, S2_RWX & ~prot);
		assert_int_equal(s2_pt_protect(&f->vm.pt, s2_gpa(30 * PAGE), PAGE,
					       prot | S2_PROTECT_WHOLE, &f->walker, &f->gather,
					       &f->progress),
				 S2_EINVAL);
		expect_changed(0, 0);
	}
	expect_leaf(30 * PAGE, 0, S2_RWX);
	assert_int_equal(protect(30 * PAGE, PAGE, S2_R), S2_EINVAL);
	assert_int_equal(protect(30 * PAGE, PAGE, 0), S2_EINVAL);
	assert_int_equal(protect(30 * PAGE + 1, PAGE, S2_W), S2_EALIGN);
	assert_int_equal(protect(30 * PAGE, 0, S2_W), S2_ERANGE);
	fixture_down(f);
}

struct neighbour {
	uint64_t gpa;
	struct s2_gather gather;
	struct s2_progress progress;
};

/* Protects a page of its own in the same block: it must not be writable when that is done. */
static void by_another(void *ctx, uint64_t gpa)
{
	struct neighbour *n = ctx;
	struct sim_leaf leaf;

	(void)gpa;
	s2_gather_init(&n->gather, &f->vm.pt);
	if (f->vm.pt.ops->protect(&f->vm.pt, s2_gpa(n->gpa), PAGE, S2_W | S2_PROTECT_WHOLE,
				  &f->other, &n->gather, &n->progress))
		sim_fail(&f->sim, "protect failed");
	s2_gather_flush(&n->gather, &f->other);
	sim_translate(&f->sim, n->gpa, &leaf);
	if (leaf.prot & S2_W)
		sim_fail(&f->sim, "a page is writable after protect");
	sim_idle(&f->sim, n->gpa, PAGE);
}

/*
 * Two protect pages of the same blocks, neither touching the other's: whoever comes second finds it
 * done, and goes on as if it were (invariant 9).
 */
static void test_neighbours(void **state)
{
	struct neighbour n;
	struct sim_second_config second = { .fn = by_another, .ctx = &n, .walker = &f->other };
	unsigned int met = 0;

	(void)state;
	up_with(0, 1);
	for (uint32_t i = 0; i < 300; i++) {
		uint64_t size = i & 1 ? 2 * BLOCK : 20 * PAGE, gpa = BLOCK - 10 * PAGE;

		assert_int_equal(fixture_map(f, 0, 8 * GIB, 3 * BLOCK, S2_RWX,
					     S2_MAP_REPLACE | S2_MAP_WIDEN),
				 0);
		n.gpa = i & 2 ? 0 : gpa + size;
		second.odds = i % 3 ? 10000 : 40000;
		sim_second_arm(&f->sim, &second);
		assert_int_equal(protect(gpa, size, S2_W), 0);
		s2_gather_flush(&f->gather, &f->walker);
		met += (unsigned int)sim_second_finish(&f->sim);
		sim_idle(&f->sim, 0, 3 * BLOCK);
		expect_leaf(0, 1, S2_RX);
		expect_leaf(gpa + size - PAGE, 1, S2_RX);
	}
	assert_true(met > 150);
	fixture_down(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_page),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_near),
		cmocka_unit_test(test_neighbours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
