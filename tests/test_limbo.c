// SPDX-License-Identifier: BSD-2-Clause
/*
 * Tables that were taken away and wait, in a gather's chain or in a walker's limbo, until every
 * section that could be in them has closed: that all are freed and none too late, that what was in
 * them is counted once, that many cost one invalidation and one barrier().
 */
#include "../src/pgtable/hook.h"
#include "../src/pgtable/internal.h"
#include "fixture.h"
#include "machine.h"

#define FAST (S2_CPU_FWB | S2_CPU_DIC | S2_CPU_TLB_RANGE | S2_CPU_TLB_LEVEL)

static struct fixture fix;
static struct fixture *const f = &fix;

static struct s2_pt *pt(void)
{
	return &f->vm.pt;
}

static void up_with(uint32_t features, int barrier, uint32_t quota)
{
	const struct sim_config host = { .barrier = (uint8_t)barrier };
	struct s2_vm_config config = fixture_config();

	config.pt.cpu.features = features;
	config.pt.table_quota = quota;
	fixture_up_sim(f, &config, &host);
}

static void map_pages(uint64_t gpa, uint64_t size)
{
	assert_int_equal(fixture_map(f, gpa, 8 * GIB + gpa, size, S2_RWX, S2_MAP_PAGES), 0);
}

static void unmap(uint64_t gpa, uint64_t size)
{
	assert_int_equal(s2_pt_unmap(pt(), s2_gpa(gpa), size, &f->walker, &f->gather, &f->progress),
			 0);
}

static void unmap_now(uint64_t gpa, uint64_t size)
{
	unmap(gpa, size);
	s2_gather_flush(&f->gather, &f->walker);
}

static uint64_t stocks(void)
{
	struct s2_census census;

	assert_int_equal(s2_pt_audit(pt(), &f->walker, &census, NULL), 0);
	assert_int_equal(census.held, f->sim.arena.outstanding);
	assert_int_equal(census.empty, 0);
	return census.stocks;
}

static struct s2_stats stats(void)
{
	struct s2_stats sum;

	s2_pt_stats(pt(), &sum);
	return sum;
}

static uint64_t invalidations(void)
{
	const uint64_t *ops = f->sim.tlb_ops;

	return ops[S2_TLB_ENTRY] + ops[S2_TLB_RANGE] + ops[S2_TLB_ALL];
}

/* With a barrier() tables wait with the walker; the sixteenth goes with all others, at one stroke.
 */
static void test_limbo(void **state)
{
	uint64_t before, freed;

	(void)state;
	up_with(FAST, 1, 0);
	map_pages(0, 40 * BLOCK);
	before = stocks();
	freed = f->sim.arena.outstanding;
	for (uint64_t n = 1; n < S2_LIMBO_TABLES; n++) {
		unmap_now(n * BLOCK, BLOCK);
		assert_int_equal(stocks(), before + n);
		assert_int_equal(f->sim.arena.outstanding, freed);
		assert_int_equal(f->sim.barriers, 0);
	}
	unmap_now(20 * BLOCK, BLOCK);
	assert_int_equal(f->sim.barriers, 1);
	assert_int_equal(stocks(), before);
	assert_int_equal(f->sim.arena.outstanding, freed - S2_LIMBO_TABLES);
	/* More than that at once do not wait at all. */
	unmap_now(21 * BLOCK, 19 * BLOCK);
	assert_int_equal(f->sim.barriers, 2);
	assert_int_equal(stocks(), before);
	/* Nor do few, when a larger one goes with them. */
	map_pages(GIB, BLOCK);
	unmap_now(0, BLOCK);
	before = stocks() - 1;
	unmap_now(GIB, GIB);
	assert_int_equal(f->sim.barriers, 3);
	assert_int_equal(stocks(), before);
	fixture_down(f);
}

/* A walker that leaves takes nothing along. */
static void test_limbo_at_the_end(void **state)
{
	uint64_t linked;

	(void)state;
	up_with(FAST, 1, 0);
	map_pages(0, 3 * BLOCK);
	linked = f->sim.arena.outstanding - stocks();
	unmap_now(0, 2 * BLOCK);
	assert_int_equal(f->sim.barriers, 0);
	s2_walker_fini(&f->walker);
	assert_int_equal(f->sim.barriers, 1);
	assert_int_equal(f->sim.arena.outstanding, linked - 2);
	s2_walker_init(&f->walker, pt());
	assert_int_equal(stocks(), 0);
	assert_int_equal(stats().leaves_removed[0], 2 * 512);
	fixture_down(f);
}

/* When there is no other memory, what waits is freed: by quota, and by the port's word. */
static void test_limbo_is_memory(void **state)
{
	(void)state;
	up_with(FAST, 1, 2 + 1 + 8);
	map_pages(0, 8 * BLOCK);
	unmap_now(0, 5 * BLOCK);
	assert_int_equal(f->sim.barriers, 0);
	map_pages(8 * BLOCK, 5 * BLOCK);
	assert_int_not_equal(f->sim.barriers, 0);
	assert_int_equal(f->sim.arena.outstanding, 11);
	fixture_down(f);

	up_with(FAST, 1, 0);
	map_pages(0, 8 * BLOCK);
	unmap_now(0, 5 * BLOCK);
	while (f->walker.ntables) /* its stock is empty */
		s2_table_free(pt(), s2_walker_take(&f->walker), 0);
	f->sim.arena.fail_at = f->sim.arena.allocs + 1;
	map_pages(8 * BLOCK, BLOCK);
	assert_int_equal(f->sim.barriers, 1);
	assert_int_equal(fixture_level(f, 8 * BLOCK), 0);
	fixture_down(f);
}

/* So is what waits in the very gather that an operation got. */
static void test_gather_is_memory(void **state)
{
	(void)state;
	for (int quota = 0; quota < 2; quota++) {
		up_with(FAST, 0, quota ? 2 + 1 + 8 : 0);
		map_pages(0, 8 * BLOCK);
		while (f->walker.ntables) /* its stock is empty */
			s2_table_free(pt(), s2_walker_take(&f->walker), 0);
		unmap(0, 5 * BLOCK); /* and not flushed */
		assert_int_equal(f->gather.chained, 5);
		f->sim.arena.fail_at = quota ? 0 : f->sim.arena.allocs + 1;
		map_pages(8 * BLOCK, 5 * BLOCK);
		assert_int_equal(fixture_level(f, 12 * BLOCK), 0);
		fixture_down(f);
	}
}

/* Without a barrier() nothing waits. */
static void test_no_limbo(void **state)
{
	uint64_t before;

	(void)state;
	up_with(FAST, 0, 0);
	map_pages(0, 3 * BLOCK);
	before = f->sim.arena.outstanding;
	unmap_now(BLOCK, BLOCK);
	assert_int_equal(f->sim.arena.outstanding, before - 1);
	assert_int_equal(f->sim.barriers, 0);
	fixture_down(f);
}

/* Many tables at one stroke: all are freed, all leaves and tables are counted once. */
static void test_long_chains(void **state)
{
	(void)state;
	for (int barrier = 0; barrier < 2; barrier++) {
		for (uint64_t n = 1; n <= 40; n += 13) {
			struct s2_stats before, after;

			up_with(FAST, barrier, 0);
			map_pages(0, 40 * BLOCK);
			before = stats();
			for (uint64_t i = 0; i < n; i++) /* some lack their first page */
				if (i % 3 == 1)
					unmap_now(i * BLOCK, PAGE);
			unmap(0, n * BLOCK);
			assert_int_equal(f->progress.changed, n * BLOCK);
			s2_gather_flush(&f->gather, &f->walker);
			s2_walker_fini(&f->walker);
			s2_walker_init(&f->walker, pt());
			after = stats();
			assert_int_equal(after.leaves_removed[0] - before.leaves_removed[0],
					 n * 512);
			assert_int_equal(after.tables_unlinked - before.tables_unlinked,
					 n + (n == 40));
			assert_int_equal(stocks(), 0);
			fixture_down(f);
		}
	}
}

/* Blocks over full tables: one invalidation, whatever their number. */
static void test_collapse(void **state)
{
	static const uint64_t number[] = { 1, 2, 17, 40, 512 };

	(void)state;
	for (size_t i = 0; i < sizeof(number) / sizeof(number[0]); i++) {
		uint64_t n = number[i], issued;
		struct s2_stats before, after;

		up_with(FAST, (int)i % 2, 0);
		map_pages(GIB, n * BLOCK);
		before = stats();
		issued = invalidations();
		assert_int_equal(fixture_map(f, GIB, 9 * GIB, n * BLOCK, S2_RWX, S2_MAP_REPLACE),
				 0);
		assert_int_equal(f->progress.changed, n * BLOCK);
		assert_int_equal(invalidations() - issued, 1);
		s2_walker_fini(&f->walker);
		s2_walker_init(&f->walker, pt());
		after = stats();
		assert_int_equal(after.breaks - before.breaks, n);
		assert_int_equal(after.tables_unlinked - before.tables_unlinked, n);
		assert_int_equal(after.leaves_removed[0] - before.leaves_removed[0], n * 512);
		assert_int_equal(after.leaves_made[1] - before.leaves_made[1], n);
		for (uint64_t j = 0; j < n; j++)
			assert_int_equal(fixture_level(f, GIB + j * BLOCK), 1);
		assert_int_equal(f->leaf.hpa.hpa, 9 * GIB + (n - 1) * BLOCK);
		fixture_down(f);
	}
}

/* The other way: blocks side by side become tables, as many at a time as the walker has. */
static void test_split(void **state)
{
	static const uint64_t number[] = { 1, 3, S2_WALKER_TABLES, 3 * S2_WALKER_TABLES + 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(number) / sizeof(number[0]); i++) {
		uint64_t n = number[i], issued;

		up_with(FAST, 0, 0);
		assert_int_equal(fixture_map(f, GIB, 9 * GIB, n * BLOCK, S2_RW, 0), 0);
		assert_int_equal(s2_walker_fill(&f->walker, S2_WALKER_TABLES), 0);
		issued = invalidations();
		assert_int_equal(s2_pt_split(pt(), s2_gpa(GIB), n * BLOCK, 0, &f->walker,
					     &f->gather, &f->progress),
				 0);
		assert_int_equal(invalidations() - issued,
				 (n + S2_WALKER_TABLES - 1) / S2_WALKER_TABLES);
		for (uint64_t gpa = 0; gpa < n * BLOCK; gpa += 7 * PAGE) {
			assert_int_equal(fixture_level(f, GIB + gpa), 0);
			assert_int_equal(f->leaf.hpa.hpa, 9 * GIB + gpa);
			assert_int_equal(f->leaf.attr.prot, S2_RW);
		}
		fixture_down(f);
	}
}

static struct s2_port real; /* the port's own functions */
static uint64_t ncleaned;

static void clean(void *ctx, s2_hpa_t hpa, uint64_t size, unsigned int kind)
{
	struct sim_leaf leaf;

	for (uint64_t at = 0; at < 4 * BLOCK; at += BLOCK) {
		sim_translate(&f->sim, GIB + at, &leaf);
		if (!leaf.mapped)
			sim_fail(&f->sim, "cleaned while 0x%llx is not mapped",
				 (unsigned long long)(GIB + at));
	}
	assert_int_equal(hpa.hpa, 9 * GIB + ncleaned++ * BLOCK);
	assert_int_equal(size, BLOCK);
	real.cache_sync(ctx, hpa, size, kind);
}

/* Memory is cleaned for a block while the pages in its place still serve the guest. */
static void test_collapse_cleans(void **state)
{
	(void)state;
	up_with(FAST, 0, 0);
	map_pages(GIB, 4 * BLOCK);
	ncleaned = 0;
	real = f->sim.port;
	f->sim.port.cache_sync = clean;
	assert_int_equal(s2_pt_map(pt(), s2_gpa(GIB), s2_hpa(9 * GIB), 4 * BLOCK,
				   fixture_attr(S2_RWX, S2_MEM_NC), S2_MAP_REPLACE, &f->walker,
				   &f->gather, &f->progress),
			 0);
	assert_int_equal(f->progress.changed, 4 * BLOCK);
	assert_int_equal(ncleaned, 4);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(fixture_level(f, GIB + i * BLOCK), 1);
	fixture_down(f);
}

static uint64_t *entry_of(uint64_t gpa)
{
	struct s2c_leaf leaf;

	sim_walk(&f->sim, gpa, &leaf);
	return sim_entry(&f->sim, leaf.entry);
}

/*
 * The first page of a table is just being changed by another thread when the table is taken away:
 * its entry is busy then, and cannot hold the chain.
 */
static void test_first_entry_busy(void **state)
{
	(void)state;
	for (int collapse = 0; collapse < 2; collapse++) {
		struct s2_stats before, after;
		uint64_t *entry, was, busy;

		up_with(FAST, 0, 0);
		busy = pt()->ops->fmt->busy;
		map_pages(0, 4 * BLOCK);
		before = stats();
		entry = entry_of(2 * BLOCK);
		was = *entry;
		sim_thread(1, &f->other);
		s2_enter(&f->other);
		assert_int_equal(s2_hook_cas(entry, &was, busy), 1); /* a break */
		f->sim.port.tlb(&f->sim,
				&(struct s2_tlb_op){ .kind = S2_TLB_ENTRY,
						     .flags = S2_TLB_LEAF,
						     .page_shift = 12,
						     .gpa = s2_gpa(2 * BLOCK),
						     .size = PAGE },
				1);
		sim_thread(0, &f->walker);
		if (collapse)
			assert_int_equal(s2_pt_map(pt(), s2_gpa(0), s2_hpa(9 * GIB), 4 * BLOCK,
						   fixture_attr(S2_RWX, S2_MEM_NORMAL),
						   S2_MAP_REPLACE, &f->walker, &f->gather,
						   &f->progress),
					 0);
		else
			unmap(0, 4 * BLOCK);
		sim_thread(1, &f->other);
		assert_int_equal(s2_hook_cas(entry, &busy, was), 1); /* its make is lost */
		s2_leave(&f->other);
		sim_thread(0, &f->walker);
		s2_gather_flush(&f->gather, &f->walker);
		after = stats();
		assert_int_equal(after.leaves_removed[0] - before.leaves_removed[0], 4 * 512);
		/* Unmap leaves the table above them empty. */
		assert_int_equal(after.tables_unlinked - before.tables_unlinked, 4 + !collapse);
		fixture_down(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limbo),           cmocka_unit_test(test_limbo_at_the_end),
		cmocka_unit_test(test_limbo_is_memory), cmocka_unit_test(test_gather_is_memory),
		cmocka_unit_test(test_no_limbo),        cmocka_unit_test(test_long_chains),
		cmocka_unit_test(test_collapse),        cmocka_unit_test(test_split),
		cmocka_unit_test(test_collapse_cleans), cmocka_unit_test(test_first_entry_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
