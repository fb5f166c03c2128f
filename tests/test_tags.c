// SPDX-License-Identifier: BSD-2-Clause
/*
 * S2_SYNC_TAGS: with S2_CPU_MTE, normal memory is announced to the port before it becomes visible
 * by a new leaf or a new output, whichever way that is made, and by nothing else. The port here
 * stands before the simulation's: it notes what is asked for, and looks that it comes in time.
 */
#include "fixture.h"

#define MTE (S2_CPU_FWB | S2_CPU_DIC | S2_CPU_MTE)

static struct fixture fix;
static struct fixture *const f = &fix;

static void (*behind)(void *ctx, s2_hpa_t hpa, uint64_t size, unsigned int kind);
static uint64_t tagged; /* bytes since told() */
static uint64_t synced; /* the same for the other kinds */
static uint64_t window; /* where the memory of the test is mapped: hpa = gpa + window */
static unsigned int seen;

static void cache_sync(void *ctx, s2_hpa_t hpa, uint64_t size, unsigned int kind)
{
	struct sim_leaf leaf;

	if (kind & S2_SYNC_TAGS) {
		tagged += size;
		for (uint64_t off = 0; off < size; off += PAGE) {
			sim_translate(&f->sim, hpa.hpa + off - window, &leaf);
			seen += leaf.mapped && leaf.hpa == hpa.hpa + off &&
				leaf.type == S2_MEM_NORMAL;
		}
		kind &= ~(unsigned int)S2_SYNC_TAGS;
	}
	if (kind)
		synced += size;
	if (kind)
		behind(ctx, hpa, size, kind);
}

static void up_with(uint32_t features, unsigned int block_level)
{
	struct s2_vm_config config = fixture_config();

	config.pt.cpu.features = features;
	config.pt.block_level = (uint8_t)block_level;
	fixture_up(f, &config);
	behind = f->sim.port.cache_sync;
	f->sim.port.cache_sync = cache_sync;
	window = 8 * GIB;
	tagged = synced = seen = 0;
}

/* How many bytes got tags since the last call; and none after they could be seen. */
static uint64_t told(void)
{
	uint64_t bytes = tagged;

	assert_int_equal(seen, 0);
	tagged = 0;
	return bytes;
}

static void map(uint64_t gpa, uint64_t hpa, uint64_t size, struct s2_attr attr, unsigned int flags)
{
	assert_int_equal(s2_pt_map(&f->vm.pt, s2_gpa(gpa), s2_hpa(hpa), size, attr, flags,
				   &f->walker, &f->gather, &f->progress),
			 0);
	s2_gather_flush(&f->gather, &f->walker);
}

static void map_prot(uint64_t gpa, uint64_t size, unsigned int prot, unsigned int flags)
{
	map(gpa, gpa + window, size, fixture_attr(prot, S2_MEM_NORMAL), flags);
}

/* New leaves: one by one, a table of them, blocks; executable or not. Equal ones are not new. */
static void test_new(void **state)
{
	(void)state;
	up_with(MTE, 1);
	for (uint64_t n = 0; n < 20; n++) { /* also as remembered */
		map_prot(n * PAGE, PAGE, n % 10 < 5 ? S2_RW : S2_RWX, 0);
		assert_int_equal(told(), PAGE);
		map_prot(n * PAGE, PAGE, n % 10 < 5 ? S2_RW : S2_RWX, 0);
		assert_int_equal(told(), 0);
	}
	map_prot(BLOCK + 5 * PAGE, 400 * PAGE, S2_R, 0); /* with a new table */
	assert_int_equal(told(), 400 * PAGE);
	map_prot(BLOCK, BLOCK, S2_R, 0);
	assert_int_equal(told(), 112 * PAGE);
	map_prot(2 * BLOCK, 3 * BLOCK, S2_RWX, 0);
	assert_int_equal(fixture_level(f, 2 * BLOCK), 1);
	assert_int_equal(told(), 3 * BLOCK);
	assert_int_equal(synced, 0);
	fixture_down(f);
}

/* What changes a leaf and not its output, and what does. */
static void test_changed(void **state)
{
	struct s2_pt *pt = &f->vm.pt;

	(void)state;
	up_with(MTE & ~(unsigned int)S2_CPU_DIC, 1);
	map_prot(0, 8 * PAGE, S2_R, 0);
	map_prot(BLOCK, BLOCK, S2_RW, 0);
	assert_int_equal(told(), 8 * PAGE + BLOCK);
	assert_int_equal(synced, 0);
	for (uint64_t n = 0; n < 4; n++)
		map_prot(n * PAGE, PAGE, S2_RW, S2_MAP_WIDEN);
	map_prot(0, PAGE, S2_RWX, S2_MAP_WIDEN);
	map_prot(0, PAGE, S2_RX, S2_MAP_REPLACE);
	assert_int_equal(synced, PAGE);
	for (uint64_t n = 0; n < 4; n++)
		assert_int_equal(s2_pt_relax(pt, s2_gpa(4 * PAGE), (n + 1) * PAGE, S2_RX,
					     &f->walker, &f->gather, &f->progress),
				 0);
	assert_int_equal(synced, 5 * PAGE);
	assert_int_equal(
		s2_pt_protect(pt, s2_gpa(0), 2 * PAGE, S2_W, &f->walker, &f->gather, &f->progress),
		0);
	assert_int_equal(
		s2_pt_split(pt, s2_gpa(BLOCK), BLOCK, 0, &f->walker, &f->gather, &f->progress), 0);
	assert_int_equal(fixture_level(f, BLOCK), 0);
	s2_gather_flush(&f->gather, &f->walker);
	assert_int_equal(told(), 0);
	/* Another page in its place, the first one again. */
	for (uint64_t n = 0; n < 4; n++)
		map(n * PAGE, window + 9 * BLOCK + n * PAGE, PAGE,
		    fixture_attr(S2_RW, S2_MEM_NORMAL), S2_MAP_REPLACE);
	assert_int_equal(told(), 4 * PAGE);
	map_prot(0, 4 * PAGE, S2_RW, S2_MAP_REPLACE);
	assert_int_equal(told(), 4 * PAGE);
	fixture_down(f);
}

/* A block where pages are: some of them may not have been mapped. So it is said of all. */
static void test_collapse(void **state)
{
	(void)state;
	up_with(MTE, 1);
	map_prot(PAGE, BLOCK - PAGE, S2_RWX, S2_MAP_PAGES);
	map_prot(BLOCK, BLOCK, S2_RWX, S2_MAP_PAGES);
	assert_int_equal(told(), 2 * BLOCK - PAGE);
	map_prot(0, 2 * BLOCK, S2_RWX, S2_MAP_REPLACE);
	assert_int_equal(fixture_level(f, 0), 1);
	assert_int_equal(tagged, 2 * BLOCK);
	/* Those that were mapped could be seen: they are the guest's, and keep their tags. */
	assert_int_equal(seen, 1023);
	fixture_down(f);
}

/* Never for anything else, nor on other CPUs. */
static void test_others(void **state)
{
	(void)state;
	up_with(MTE, 1);
	for (unsigned int type = S2_MEM_NC; type < S2_MEM_TYPES; type++)
		for (uint64_t n = 0; n < 4; n++)
			map((type * 4 + n) * PAGE, window + (type * 4 + n) * PAGE, PAGE,
			    fixture_attr(S2_RW, type), 0);
	map(BLOCK, window + BLOCK, 2 * BLOCK, fixture_attr(S2_RW, S2_MEM_DEVICE), 0);
	assert_int_equal(told(), 0);
	/* What was non-cacheable has no tags. */
	map(4 * PAGE, window + 4 * PAGE, PAGE, fixture_attr(S2_RW, S2_MEM_NORMAL), S2_MAP_REPLACE);
	assert_int_equal(told(), PAGE);
	fixture_down(f);
	up_with(S2_CPU_XNX, 1);
	map_prot(0, 4 * BLOCK, S2_RWX, 0);
	assert_int_equal(told(), 0);
	assert_int_equal(synced, 4 * BLOCK);
	fixture_down(f);
	/* With the other kinds, in one call. */
	up_with(S2_CPU_MTE, 1);
	map_prot(0, 3 * PAGE, S2_RWX, 0);
	assert_int_equal(synced, 3 * PAGE);
	assert_int_equal(told(), 3 * PAGE);
	fixture_down(f);
}

/* Faults: pages and blocks of a slot, the long way and the short one. */
static void test_faults(void **state)
{
	struct s2_memslot slot;

	(void)state;
	up_with(MTE, 1);
	window = fixture_hpa(0);
	assert_int_equal(fixture_slot(f, &slot, 0, 8 * BLOCK, sim_hva(0), 0), 0);
	for (uint64_t n = 0; n < 6; n++) {
		f->sim.chunks[n].shift = n < 2 ? 12 : 21;
		for (uint64_t page = 0; page < 5; page++) {
			uint64_t gpa = n * BLOCK + page * 7 * PAGE;
			unsigned int size = n < 2 ? PAGE : page ? 0 : BLOCK;

			assert_int_equal(
				fixture_fault(f, gpa, S2_ACCESS_READ, S2_FAULT_TRANSLATION),
				S2_EXIT_RESUME);
			assert_int_equal(told(), size);
			assert_int_equal(
				fixture_fault(f, gpa, S2_ACCESS_WRITE, S2_FAULT_PERMISSION),
				S2_EXIT_RESUME);
			assert_int_equal(told(), 0);
		}
	}
	fixture_down(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new),      cmocka_unit_test(test_changed),
		cmocka_unit_test(test_collapse), cmocka_unit_test(test_others),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
