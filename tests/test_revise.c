// SPDX-License-Identifier: BSD-2-Clause
/*
 * Protect, relax and age, one page after the other and in ranges: a walker remembers what the last
 * one changed in a page of that kind, so each test goes from one kind of page, of rights or of age
 * to another, and what comes out must be what a walker without a memory would do.
 */
#include "fixture.h"

#define FEATURES (S2_CPU_FWB | S2_CPU_DIC | S2_CPU_XNX)

enum op_kind {
	PROTECT,
	RELAX,
	AGE
};

static struct fixture fix;
static struct fixture *const f = &fix;

static void up_with(uint32_t features)
{
	struct s2_vm_config config = fixture_config();

	config.pt.cpu.features = features;
	fixture_up(f, &config);
}

static int map(uint64_t gpa, uint64_t hpa, struct s2_attr attr)
{
	int ret = s2_pt_map(&f->vm.pt, s2_gpa(gpa), s2_hpa(hpa), PAGE, attr, 0, &f->walker,
			    &f->gather, &f->progress);

	s2_gather_flush(&f->gather, &f->walker);
	return ret;
}

static void map_page(uint64_t gpa, uint64_t hpa)
{
	assert_int_equal(map(gpa, hpa, fixture_attr(S2_RWX, S2_MEM_NORMAL)), 0);
}

static int revise(enum op_kind op, uint64_t gpa, uint64_t size, unsigned int how)
{
	struct s2_pt *tree = &f->vm.pt;
	s2_gpa_t at = s2_gpa(gpa);
	int ret;

	if (op == PROTECT)
		ret = s2_pt_protect(tree, at, size, how, &f->walker, &f->gather, &f->progress);
	else if (op == RELAX)
		ret = s2_pt_relax(tree, at, size, how, &f->walker, &f->gather, &f->progress);
	else
		ret = s2_pt_age(tree, at, size, (enum s2_age)how, &f->walker, &f->gather,
				&f->progress);
	s2_gather_flush(&f->gather, &f->walker);
	return ret;
}

/* Revises a page; what was changed, and what it is then. */
static void expect_revised(enum op_kind op, uint64_t gpa, unsigned int how, uint64_t changed,
			   unsigned int prot, unsigned int young)
{
	assert_int_equal(revise(op, gpa, PAGE, how), 0);
	assert_int_equal(f->progress.done, PAGE);
	assert_int_equal(f->progress.changed, changed * PAGE);
	assert_int_equal(f->progress.equal, op == PROTECT || changed ? 0 : PAGE);
	sim_idle(&f->sim, gpa, PAGE);
	assert_int_equal(fixture_level(f, gpa), 0);
	assert_int_equal(f->leaf.attr.prot, prot);
	assert_int_equal(f->leaf.young, young);
}

/* One revision after another, on pages that were alike: each does what it says, no more. */
static void test_revisions(void **state)
{
	(void)state;
	up_with(FEATURES);
	for (uint64_t i = 0; i < 40; i++)
		map_page(i * PAGE, 0x100000 + i * PAGE);
	for (uint64_t i = 0; i < 3; i++) {
		uint64_t a = 10 * i * PAGE, b = a + PAGE, c = a + 2 * PAGE;

		expect_revised(PROTECT, a, S2_W, 1, S2_RX, 1);
		expect_revised(PROTECT, b, S2_W, 1, S2_RX, 1);
		expect_revised(PROTECT, b, S2_W, 0, S2_RX, 1); /* again */
		expect_revised(PROTECT, c, S2_X, 1, S2_RW, 1); /* other rights */
		expect_revised(PROTECT, c, S2_W, 1, S2_R, 1);
		expect_revised(RELAX, a, S2_W, 1, S2_RWX, 1);
		expect_revised(RELAX, b, S2_W, 1, S2_RWX, 1);
		expect_revised(RELAX, b, S2_W, 0, S2_RWX, 1);
		expect_revised(RELAX, c, S2_W, 1, S2_RW, 1);
		expect_revised(RELAX, c, S2_W, 0, S2_RW, 1);
		expect_revised(RELAX, a, S2_W, 0, S2_RWX, 1);
		expect_revised(PROTECT, a, S2_W | S2_X, 1, S2_R, 1);
		expect_revised(PROTECT, b, S2_W | S2_X, 1, S2_R, 1);
		expect_revised(PROTECT, c, S2_W | S2_X, 1, S2_R, 1);
		expect_revised(RELAX, a, S2_XU, 1, S2_R | S2_XU, 1);
		expect_revised(RELAX, b, S2_XP, 1, S2_R | S2_XP, 1);
	}
	fixture_down(f);
}

static void test_ages(void **state)
{
	(void)state;
	up_with(FEATURES);
	for (uint64_t i = 0; i < 4; i++)
		map_page(i * PAGE, 0x100000 + i * PAGE);
	for (int round = 0; round < 3; round++) {
		expect_revised(AGE, 0, S2_AGE_TEST, 1, S2_RWX, 1);
		expect_revised(AGE, 0, S2_AGE_CLEAR, 1, S2_RWX, 0);
		expect_revised(AGE, PAGE, S2_AGE_TEST, 1, S2_RWX, 1);
		expect_revised(AGE, PAGE, S2_AGE_CLEAR, 1, S2_RWX, 0);
		expect_revised(AGE, 0, S2_AGE_CLEAR, 0, S2_RWX, 0);
		expect_revised(AGE, 0, S2_AGE_TEST, 0, S2_RWX, 0);
		expect_revised(AGE, PAGE, S2_AGE_SET, 1, S2_RWX, 1);
		expect_revised(AGE, PAGE, S2_AGE_SET, 0, S2_RWX, 1);
		expect_revised(AGE, 0, S2_AGE_SET, 1, S2_RWX, 1);
		/* Rights of an old page, and the age of one with other rights. */
		expect_revised(AGE, 2 * PAGE, S2_AGE_CLEAR, 1, S2_RWX, 0);
		expect_revised(PROTECT, 2 * PAGE, S2_W, 1, S2_RX, 0);
		expect_revised(PROTECT, 3 * PAGE, S2_W, 1, S2_RX, 1);
		expect_revised(AGE, 3 * PAGE, S2_AGE_CLEAR, 1, S2_RX, 0);
		expect_revised(RELAX, 3 * PAGE, S2_W, 1, S2_RWX, 0);
		expect_revised(RELAX, 2 * PAGE, S2_W, 1, S2_RWX, 0);
		expect_revised(AGE, 2 * PAGE, S2_AGE_SET, 1, S2_RWX, 1);
		expect_revised(AGE, 3 * PAGE, S2_AGE_SET, 1, S2_RWX, 1);
	}
	fixture_down(f);
}

/* What was right for one kind of memory is asked of another. */
static void test_other_leaves(void **state)
{
	struct s2_attr device = fixture_attr(S2_R, S2_MEM_DEVICE);

	(void)state;
	up_with(FEATURES);
	map_page(0, 0x1000);
	map_page(PAGE, 0x2000);
	assert_int_equal(map(2 * PAGE, 0x40000000, device), 0);
	expect_revised(PROTECT, 0, S2_W | S2_X, 1, S2_R, 1);
	expect_revised(PROTECT, PAGE, S2_W | S2_X, 1, S2_R, 1);
	expect_revised(RELAX, 0, S2_X, 1, S2_RX, 1);
	expect_revised(RELAX, PAGE, S2_X, 1, S2_RX, 1);
	assert_int_equal(revise(RELAX, 2 * PAGE, PAGE, S2_X), S2_EINVAL);
	assert_int_equal(f->progress.done, 0);
	assert_int_equal(revise(RELAX, 3 * PAGE, PAGE, S2_X), 0); /* nothing there */
	assert_int_equal(f->progress.changed | f->progress.equal, 0);
	expect_revised(RELAX, 2 * PAGE, S2_W, 1, S2_RW, 1);
	expect_revised(PROTECT, 2 * PAGE, S2_W | S2_X, 1, S2_R, 1);
	expect_revised(RELAX, 0, S2_W, 1, S2_RWX, 1);
	fixture_down(f);
	/* Execution that needs maintenance gets it each time. */
	up_with(S2_CPU_FWB);
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(
			map(i * PAGE, 0x1000 + i * PAGE, fixture_attr(S2_RW, S2_MEM_NORMAL)), 0);
	for (uint64_t i = 0; i < 3; i++)
		expect_revised(RELAX, i * PAGE, S2_X, 1, S2_RWX, 1);
	assert_int_equal(f->sim.sync_bytes[1], 3 * PAGE);
	fixture_down(f);
}

/* Arguments that would not pass elsewhere do not pass next to ones that did. */
static void test_invalid_revisions(void **state)
{
	static const unsigned int high[] = { 1u << 8,  1u << 15, 1u << 16, 1u << 17, 1u << 24,
					     1u << 25, 3u << 24, 1u << 31, 5u << 29 };

	(void)state;
	up_with(FEATURES);
	for (uint64_t i = 0; i < 8; i++)
		map_page(i * PAGE, 0x1000 + i * PAGE);
	for (enum op_kind before = PROTECT; before <= AGE; before++) {
		assert_int_equal(revise(before, 0, PAGE, before == AGE ? S2_AGE_CLEAR : S2_W), 0);
		for (size_t i = 0; i < sizeof(high) / sizeof(high[0]); i++) {
			assert_int_equal(revise(PROTECT, PAGE, PAGE, high[i] | S2_W), S2_EINVAL);
			assert_int_equal(revise(RELAX, PAGE, PAGE, high[i] | S2_W), S2_EINVAL);
			assert_int_equal(revise(AGE, PAGE, PAGE, high[i] | S2_AGE_CLEAR),
					 S2_EINVAL);
		}
		for (enum op_kind op = PROTECT; op <= AGE; op++) {
			unsigned int how = op == AGE ? S2_AGE_CLEAR : S2_W;

			assert_int_equal(revise(op, PAGE + 1, PAGE, how), S2_EALIGN);
			assert_int_equal(revise(op, PAGE, PAGE + 1, how), S2_EALIGN);
			assert_int_equal(revise(op, PAGE, 0, how), S2_ERANGE);
			assert_int_equal(revise(op, (1ull << 40) + PAGE, PAGE, how), S2_ERANGE);
			assert_int_equal(f->progress.done, 0);
		}
		assert_int_equal(fixture_level(f, PAGE), 0);
		assert_int_equal(f->leaf.attr.prot, S2_RWX);
		assert_int_equal(f->leaf.young, 1);
	}
	fixture_down(f);
}

/* Ranges begin and end amid a table, in runs of leaves that differ, across holes and blocks. */
static void test_range_ends(void **state)
{
	(void)state;
	up_with(FEATURES);
	assert_int_equal(fixture_map(f, 0, 8 * GIB, BLOCK, S2_RWX, S2_MAP_PAGES), 0);
	assert_int_equal(fixture_map(f, BLOCK, 8 * GIB + BLOCK, BLOCK, S2_RWX, 0), 0);
	assert_int_equal(s2_pt_unmap(&f->vm.pt, s2_gpa(100 * PAGE), 3 * PAGE, &f->walker,
				     &f->gather, &f->progress),
			 0);
	s2_gather_flush(&f->gather, &f->walker);
	expect_revised(PROTECT, 50 * PAGE, S2_W, 1, S2_RX, 1);
	expect_revised(PROTECT, 51 * PAGE, S2_W, 1, S2_RX, 1);
	assert_int_equal(revise(PROTECT, 10 * PAGE, 190 * PAGE, S2_W), 0);
	assert_int_equal(f->progress.changed, (190 - 5) * PAGE);
	for (uint64_t i = 0; i < 512; i++) {
		int in = i >= 10 && i < 200;

		assert_int_equal(fixture_level(f, i * PAGE), i >= 100 && i < 103 ? -1 : 0);
		if (i < 100 || i >= 103)
			assert_int_equal(f->leaf.attr.prot, in ? S2_RX : S2_RWX);
	}
	/* The end of the pages and a part of the block: which is split where a right goes. */
	assert_int_equal(revise(AGE, 510 * PAGE, 3 * PAGE, S2_AGE_CLEAR), 0);
	assert_int_equal(f->progress.changed, 3 * PAGE);
	assert_int_equal(fixture_level(f, BLOCK), 1);
	assert_int_equal(f->leaf.young, 0);
	assert_int_equal(revise(PROTECT, 510 * PAGE, 3 * PAGE, S2_W), 0);
	assert_int_equal(f->progress.changed, 3 * PAGE);
	assert_int_equal(fixture_level(f, BLOCK), 0);
	assert_int_equal(f->leaf.attr.prot, S2_RX);
	assert_int_equal(fixture_level(f, BLOCK + PAGE), 0);
	assert_int_equal(f->leaf.attr.prot, S2_RWX);
	assert_int_equal(f->leaf.young, 0);
	fixture_down(f);
}

/* A run of blocks of which the last is only partly in the range: that is a page of it, no more. */
static void test_run_of_blocks(void **state)
{
	(void)state;
	up_with(FEATURES);
	assert_int_equal(fixture_map(f, 0, 8 * GIB, 4 * BLOCK, S2_RWX, 0), 0);
	assert_int_equal(revise(PROTECT, 0, 3 * BLOCK + PAGE, S2_W), 0);
	assert_int_equal(f->progress.changed, 3 * BLOCK + PAGE);
	for (uint64_t gpa = 0; gpa < 3 * BLOCK; gpa += BLOCK) {
		assert_int_equal(fixture_level(f, gpa), 1);
		assert_int_equal(f->leaf.attr.prot, S2_RX);
	}
	assert_int_equal(fixture_level(f, 3 * BLOCK), 0);
	assert_int_equal(f->leaf.attr.prot, S2_RX);
	assert_int_equal(fixture_level(f, 3 * BLOCK + PAGE), 0);
	assert_int_equal(f->leaf.attr.prot, S2_RWX);
	fixture_down(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_revisions),    cmocka_unit_test(test_ages),
		cmocka_unit_test(test_other_leaves), cmocka_unit_test(test_invalid_revisions),
		cmocka_unit_test(test_range_ends),   cmocka_unit_test(test_run_of_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
