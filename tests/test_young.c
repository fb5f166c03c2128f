// SPDX-License-Identifier: BSD-2-Clause
/*
 * s2_pt_young(): which pages of a range were young, as a bitmap. Each page is asked one by one what
 * it is before the call, so the expectation is a loop over pages; blocks, holes, ends of words,
 * tables and of what is done in one go are where the two could differ. Last, two walkers that make
 * the same pages old at the same time: each page is told to exactly one of them.
 */
#include <string.h>

#include "../src/pgtable/internal.h"
#include "fixture.h"

#define WORDS   260
#define PATTERN 0x8000000180000010ull /* bits that were set before; none may go */

static struct fixture fix;
static struct fixture *const f = &fix;
static uint64_t bitmap[WORDS];

static void up_with(uint32_t features, unsigned int block_level)
{
	struct s2_vm_config config = fixture_config();

	config.pt.cpu.features = features;
	config.pt.block_level = (uint8_t)block_level;
	fixture_up(f, &config);
}

static int age(uint64_t gpa, uint64_t size, enum s2_age how)
{
	int ret =
		s2_pt_age(&f->vm.pt, s2_gpa(gpa), size, how, &f->walker, &f->gather, &f->progress);

	s2_gather_flush(&f->gather, &f->walker);
	return ret;
}

static int young(uint64_t gpa, uint64_t size, enum s2_age how)
{
	int ret = s2_pt_young(&f->vm.pt, s2_gpa(gpa), size, how, bitmap, &f->walker, &f->gather,
			      &f->progress);

	s2_gather_flush(&f->gather, &f->walker);
	return ret;
}

static int bit(const uint64_t *bits, uint64_t n)
{
	return bits[n / 64] >> n % 64 & 1;
}

/* Asks each page first, then all of them at once; what is said, and what is left. */
static void expect_young(uint64_t gpa, uint64_t size, enum s2_age how)
{
	static uint8_t was[64 * WORDS];
	uint64_t pages = size / PAGE, changed = 0, mapped = 0;
	static unsigned int calls;
	uint64_t before = calls++ % 2 ? PATTERN : 0;

	for (uint64_t n = 0; n < pages; n++) {
		was[n] = fixture_level(f, gpa + n * PAGE) >= 0 && f->leaf.young;
		mapped += f->leaf.hpa.hpa ? 1 : 0;
		changed += was[n];
	}
	for (unsigned int i = 0; i < WORDS; i++)
		bitmap[i] = before;
	assert_int_equal(young(gpa, size, how), 0);
	assert_int_equal(f->progress.done, size);
	assert_int_equal(f->progress.changed, changed * PAGE);
	assert_int_equal(f->progress.equal, (mapped - changed) * PAGE);
	for (uint64_t n = 0; n < 64 * WORDS; n++)
		if (bit(bitmap, n) != ((n < pages && was[n]) || before >> n % 64 & 1))
			fail_msg("bit %u of %u is %d", (unsigned int)n, (unsigned int)pages,
				 bit(bitmap, n));
	for (uint64_t n = 0; n < pages; n++)
		if (fixture_level(f, gpa + n * PAGE) >= 0)
			assert_int_equal(f->leaf.young, how == S2_AGE_TEST && was[n]);
	sim_idle(&f->sim, gpa, size);
}

/* Pages of several kinds, some old, some missing. */
static void map_mixed(uint64_t gpa, uint64_t pages)
{
	for (uint64_t n = 0; n < pages; n++) {
		unsigned int prot = n % 7 < 4 ? S2_RWX : S2_RX;

		if (n % 67 == 66 || (n > 130 && n < 135))
			continue;
		assert_int_equal(fixture_map(f, gpa + n * PAGE, 8 * GIB + n * PAGE, PAGE, prot, 0),
				 0);
		if (n % 5 == 1 || (n > 192 && n < 300))
			assert_int_equal(age(gpa + n * PAGE, PAGE, S2_AGE_CLEAR), 0);
	}
}

static void test_mixed(void **state)
{
	static const uint64_t starts[] = { 0, 1, 63, 64, 65, 120, 511 };
	static const uint64_t sizes[] = { 1, 2, 63, 64, 65, 128, 200, 255, 256, 400 };

	(void)state;
	up_with(0, 1);
	map_mixed(BLOCK, 911);
	for (unsigned int a = 0; a < sizeof(starts) / sizeof(starts[0]); a++)
		for (unsigned int b = 0; b < sizeof(sizes) / sizeof(sizes[0]); b++)
			expect_young(BLOCK + starts[a] * PAGE, sizes[b] * PAGE, S2_AGE_TEST);
	expect_young(BLOCK + 3 * PAGE, 100 * PAGE, S2_AGE_CLEAR);
	expect_young(BLOCK + 50 * PAGE, 200 * PAGE, S2_AGE_CLEAR);
	expect_young(BLOCK + 1 * PAGE, 900 * PAGE, S2_AGE_TEST);
	expect_young(BLOCK + 1 * PAGE, 900 * PAGE, S2_AGE_CLEAR); /* the others are kept out */
	expect_young(BLOCK, 911 * PAGE, S2_AGE_CLEAR);
	fixture_down(f);
}

/* Whole tables, alike from end to end, and more than is done in one go. */
static void test_long(void **state)
{
	(void)state;
	up_with(S2_CPU_TLB_RANGE, 0);
	assert_int_equal(fixture_map(f, 0, 8 * GIB, 9000 * PAGE, S2_RWX, 0), 0);
	expect_young(5 * PAGE, 8990 * PAGE, S2_AGE_TEST);
	expect_young(5 * PAGE, 8990 * PAGE, S2_AGE_CLEAR);
	expect_young(0, 9000 * PAGE, S2_AGE_CLEAR); /* the ends were left */
	expect_young(0, 9000 * PAGE, S2_AGE_CLEAR);
	fixture_down(f);
}

/* A block is young or old as a whole, but only its pages in the range are told. */
static void test_blocks(void **state)
{
	(void)state;
	up_with(0, 2);
	assert_int_equal(fixture_map(f, BLOCK, 8 * GIB + BLOCK, 3 * BLOCK, S2_RWX, 0), 0);
	assert_int_equal(fixture_level(f, BLOCK), 1);
	assert_int_equal(age(2 * BLOCK, PAGE, S2_AGE_CLEAR), 0);
	expect_young(BLOCK + 77 * PAGE, PAGE, S2_AGE_TEST);
	expect_young(BLOCK + 500 * PAGE, 2 * BLOCK, S2_AGE_TEST);
	expect_young(BLOCK - PAGE, BLOCK, S2_AGE_TEST);
	expect_young(BLOCK + 500 * PAGE, 13 * PAGE, S2_AGE_CLEAR); /* and a page of the next */
	expect_young(BLOCK, BLOCK, S2_AGE_CLEAR);                  /* is old by now */
	expect_young(3 * BLOCK - PAGE, 511 * PAGE, S2_AGE_CLEAR);
	expect_young(BLOCK, 3 * BLOCK, S2_AGE_CLEAR);
	assert_int_equal(fixture_map(f, 4 * GIB, 8 * GIB, GIB, S2_RWX, 0), 0);
	assert_int_equal(fixture_level(f, 4 * GIB), 2);
	expect_young(4 * GIB + 3 * PAGE, 10000 * PAGE, S2_AGE_TEST);
	expect_young(5 * GIB - 100 * PAGE, 200 * PAGE, S2_AGE_CLEAR);
	expect_young(4 * GIB + 3 * PAGE, 10000 * PAGE, S2_AGE_CLEAR);
	fixture_down(f);
}

/* Page by page, as remembered from the last one: also next to s2_pt_age(). */
static void test_near(void **state)
{
	(void)state;
	up_with(0, 1);
	map_mixed(0, 150);
	for (uint64_t n = 0; n < 150; n++)
		expect_young(n * PAGE, PAGE, n % 3 ? S2_AGE_CLEAR : S2_AGE_TEST);
	for (uint64_t n = 0; n < 150; n++)
		expect_young(n * PAGE, PAGE, S2_AGE_CLEAR);
	assert_int_equal(age(0, 150 * PAGE, S2_AGE_SET), 0);
	for (uint64_t n = 0; n < 150; n++) {
		if (n % 4)
			expect_young(n * PAGE, PAGE, S2_AGE_CLEAR);
		else
			assert_int_equal(age(n * PAGE, PAGE, n % 8 ? S2_AGE_SET : S2_AGE_CLEAR), 0);
	}
	expect_young(0, 150 * PAGE, S2_AGE_CLEAR);
	fixture_down(f);
}

static void test_refused(void **state)
{
	(void)state;
	up_with(0, 1);
	map_mixed(0, 4);
	assert_int_equal(age(0, PAGE, S2_AGE_CLEAR), 0);
	assert_int_equal(age(0, PAGE, S2_AGE_SET), 0); /* and is remembered */
	memset(bitmap, 0, sizeof(bitmap));
	assert_int_equal(young(0, PAGE, S2_AGE_SET), S2_EINVAL);
	assert_int_equal(f->progress.done | f->progress.changed | f->progress.equal, 0);
	assert_int_equal(young(0, 4 * PAGE, S2_AGE_SET), S2_EINVAL);
	assert_int_equal(young(0, PAGE, (enum s2_age)3), S2_EINVAL);
	assert_int_equal(young(1, PAGE, S2_AGE_CLEAR), S2_EALIGN);
	assert_int_equal(young(0, PAGE + 1, S2_AGE_TEST), S2_EALIGN);
	assert_int_equal(young(0, 0, S2_AGE_CLEAR), S2_ERANGE);
	assert_int_equal(young((1ull << 40) - PAGE, 2 * PAGE, S2_AGE_CLEAR), S2_ERANGE);
	assert_int_equal(f->progress.done | f->progress.changed | f->progress.equal, 0);
	for (unsigned int i = 0; i < WORDS; i++)
		assert_int_equal(bitmap[i], 0);
	for (uint64_t n = 0; n < 4; n++) {
		assert_int_equal(fixture_level(f, n * PAGE), 0);
		assert_int_equal(f->leaf.young, n != 1);
	}
	fixture_down(f);
}

/* The last pages of the address space are the last bits. */
static void test_top(void **state)
{
	uint64_t end = 1ull << 40;

	(void)state;
	up_with(0, 1);
	assert_int_equal(fixture_map(f, end - 3 * PAGE, 8 * GIB, 3 * PAGE, S2_RWX, 0), 0);
	expect_young(end - 2 * PAGE, 2 * PAGE, S2_AGE_CLEAR);
	expect_young(end - 100 * PAGE, 100 * PAGE, S2_AGE_CLEAR);
	fixture_down(f);
}

struct both {
	uint64_t gpa, size;
	uint64_t bits[16];
	struct s2_progress progress;
	struct s2_gather gather;
};

static void also(void *ctx, uint64_t gpa)
{
	struct both *both = ctx;

	(void)gpa;
	s2_gather_init(&both->gather, &f->vm.pt);
	if (s2_pt_young(&f->vm.pt, s2_gpa(both->gpa), both->size, S2_AGE_CLEAR, both->bits,
			&f->other, &both->gather, &both->progress))
		sim_fail(&f->sim, "young failed");
	s2_gather_flush(&both->gather, &f->other);
}

/* Every page was young, two make it old: one of them is told. */
static void clear_by_two(uint64_t size, uint64_t gpa, uint64_t part, uint32_t odds)
{
	struct both both = { .gpa = gpa, .size = part };
	const struct sim_second_config second = {
		.fn = also, .ctx = &both, .walker = &f->other, .odds = odds
	};
	uint64_t first = gpa / PAGE, end = (gpa + part) / PAGE;

	assert_int_equal(age(0, size, S2_AGE_SET), 0);
	memset(bitmap, 0, sizeof(bitmap));
	sim_second_arm(&f->sim, &second);
	assert_int_equal(young(0, size, S2_AGE_CLEAR), 0);
	if (!sim_second_finish(&f->sim))
		part = 0;
	for (uint64_t n = 0; n < size / PAGE; n++) {
		int told = bit(bitmap, n);

		if (part && n >= first && n < end)
			told += bit(both.bits, n - first);
		if (told != 1)
			fail_msg("page %u was told to %d", (unsigned int)n, told);
	}
	assert_int_equal(f->progress.changed + both.progress.changed, size);
}

static void test_two(void **state)
{
	(void)state;
	up_with(0, 1);
	assert_int_equal(fixture_map(f, 0, 8 * GIB, 600 * PAGE, S2_RWX, S2_MAP_PAGES), 0);
	for (uint32_t i = 0; i < 60; i++) {
		clear_by_two(100 * PAGE, i % 50 * PAGE, 50 * PAGE, 3000);
		clear_by_two(600 * PAGE, i % 50 * PAGE, 550 * PAGE, 500); /* keeps the other out */
	}
	fixture_down(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mixed),   cmocka_unit_test(test_long),
		cmocka_unit_test(test_blocks),  cmocka_unit_test(test_near),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_top),
		cmocka_unit_test(test_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
