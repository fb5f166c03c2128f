// SPDX-License-Identifier: BSD-2-Clause
/*
 * The simulation must be able to fail: rules of the architecture are broken here by hand, in the
 * place of the engine, and must be found by their names; the right order of the same steps must
 * not. The rules are the model's (tests/rules has each of them alone): what is shown here is that
 * all that a simulation sees gets there. ports/sim's own rules: test_sim_port.c.
 */
#include "hand.h"

static struct fixture *const f = &hand;

/* A table that translates as the block at 2 MiB; `offset` makes it wrong. */
static uint64_t *split_table(uint64_t offset)
{
	uint64_t *table = new_table();

	for (uint64_t i = 0; i < 512; i++)
		s2_hook_store(&table[i], (BLOCK + offset + i * PAGE) | LEAF);
	return table;
}

static void test_right_order(void **state)
{
	(void)state;
	up(0);
	change(page_entry, 0);
	tlb(S2_TLB_ENTRY, 0, PAGE, 0, S2_TLB_LEAF);
	change(page_entry, 0x9000 | LEAF);
	publish();
	change(block_entry, 0);
	tlb(S2_TLB_RANGE, BLOCK, BLOCK, 1, S2_TLB_LEAF);
	change(block_entry, pa_of(split_table(0)) | TABLE);
	publish();
	nothing_found();
}

static void test_no_break(void **state)
{
	static const struct {
		uint64_t value;
		const char *rule;
	} t[] = {
		{ 0x9000 | LEAF, "bbm-output" },
		{ 0x1000 | (LEAF & ~0x33cull) | 0x14, "bbm-memtype" },
		{ 0x1000 | (LEAF & ~0x100ull), "bbm-shareability" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		up(2);
		change(page_entry, t[i].value);
		found(t[i].rule);
	}
	up(0);
	change(block_entry, pa_of(split_table(0)) | TABLE);
	found("bbm-size");
	up(2);
	change(block_entry, pa_of(split_table(PAGE)) | TABLE);
	found("bbm-size");
	up(0);
	change(parent(), pa_of(new_table()) | TABLE);
	found("bbm-table");
	up(2);
	change(block_entry, pa_of(split_table(0)) | TABLE);
	tlb(S2_TLB_ENTRY, BLOCK, BLOCK, 1, S2_TLB_LEAF);
	nothing_found();
	up(2);
	change(block_entry, pa_of(split_table(0)) | TABLE);
	sim_idle(&f->sim, 0, 4 * BLOCK); /* the block may still be in the TLBs */
	found("tlbi-missing");
}

static void test_break_without_invalidation(void **state)
{
	static const struct {
		uint64_t gpa;
		uint8_t level, flags;
		const char *rule;
	} t[] = {
		{ 0, 0, S2_TLB_LEAF | S2_TLB_LOCAL, "tlbi-local" },
		{ 0, 1, S2_TLB_LEAF, "tlbi-level" },
		{ PAGE, 0, S2_TLB_LEAF, "tlbi-range" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		up(0);
		change(page_entry, 0);
		tlb(S2_TLB_ENTRY, t[i].gpa, PAGE, t[i].level, t[i].flags);
		change(page_entry, 0x9000 | LEAF);
		found(t[i].rule);
	}
	up(0);
	change(page_entry, 0);
	change(page_entry, 0x9000 | LEAF);
	found("tlbi-missing");
	up(0);
	change(block_entry, 0);
	tlb(S2_TLB_RANGE, BLOCK, BLOCK, 0, S2_TLB_LEAF); /* pages, but it is a block */
	change(block_entry, pa_of(split_table(0)) | TABLE);
	found("tlbi-level");
	up(0);
	tlb(S2_TLB_ENTRY, 0, PAGE, 0, S2_TLB_LEAF); /* too early: cached again before the break */
	change(page_entry, 0);
	change(page_entry, 0x9000 | LEAF);
	found("tlbi-missing");
}

static void test_walk_caches(void **state)
{
	(void)state;
	up(0);
	change(page_entry, 0);
	change(parent(), 0);
	tlb(S2_TLB_RANGE, 0, BLOCK, S2_LEVEL_ANY, S2_TLB_LEAF); /* leaves only */
	change(parent(), pa_of(new_table()) | TABLE);
	found("tlbi-leaf-only");
	up(0);
	change(parent(), 0);
	tlb(S2_TLB_RANGE, 0, BLOCK, S2_LEVEL_ANY, S2_TLB_LEAF);
	sim_idle_empty(&f->sim, 0, PAGE);
	found("tlbi-leaf-only"); /* the leaf may be read again by way of the old table */
	up(0);
	change(parent(), 0);
	tlb(S2_TLB_RANGE, 0, BLOCK, S2_LEVEL_ANY, 0);
	change(parent(), 0x200000 | BLK);
	publish();
	nothing_found();
}

/* Another walker, whose section was open, makes an entry in a table that was just detached. */
static uint64_t *lose(uint64_t value)
{
	uint64_t *table;

	up(0);
	table = page_table();
	change(parent(), 0);
	sim_thread(1, &f->other);
	change(page_entry + 1, value);
	publish();
	sim_thread(0, &f->walker);
	return table;
}

static void test_lost_entries(void **state)
{
	const struct sim_chunk other = { .hpa = 0x4000000, .shift = 21 };
	uint64_t *table;

	(void)state;
	table = lose(fixture_hpa(0) | LEAF);
	tlb(S2_TLB_RANGE, 0, BLOCK, S2_LEVEL_ANY, 0);
	sim_set_chunk(&f->sim, 0, &other);
	f->sim.port.table_free(&f->sim, table, 0);
	nothing_found();
	(void)lose(fixture_hpa(0) | LEAF);
	sim_set_chunk(&f->sim, 0, &other); /* a CPU can still walk to the lost entry */
	found("taken-cached");
	(void)lose(fixture_hpa(0) | LEAF);
	tlb(S2_TLB_ENTRY, 0, PAGE, S2_LEVEL_ANY, 0); /* takes the pointer, not all it led to */
	sim_idle(&f->sim, 0, BLOCK);
	found("tlbi-range");
	table = lose(0);
	f->sim.port.table_free(&f->sim, table, 0);
	found("table-free");
}

static void test_lost_tables(void **state)
{
	uint64_t *low, *middle, *top;
	struct s2c_leaf leaf;

	(void)state;
	up(0);
	sim_walk(&f->sim, GIB, &leaf);
	top = sim_entry(&f->sim, leaf.entry); /* an entry of the root */
	middle = new_table();
	change(top, pa_of(middle) | TABLE);
	publish();
	change(top, 0);
	sim_thread(1, &f->other);
	low = new_table();
	s2_hook_store(&low[3], 0x9000 | LEAF);
	change(&middle[5], pa_of(low) | TABLE);
	change(&low[4], 0xa000 | LEAF);
	sim_thread(0, &f->walker);
	tlb(S2_TLB_RANGE, GIB, GIB, S2_LEVEL_ANY, 0);
	f->sim.port.table_free(&f->sim, low, 0);
	f->sim.port.table_free(&f->sim, middle, 0);
	nothing_found();
	up(0);
	middle = new_table();
	sim_walk(&f->sim, GIB, &leaf);
	top = sim_entry(&f->sim, leaf.entry);
	change(top, pa_of(middle) | TABLE);
	change(top, 0);
	sim_thread(1, &f->other);
	low = new_table();
	change(&middle[5], pa_of(low) | TABLE);
	sim_thread(0, &f->walker);
	f->sim.port.table_free(&f->sim, low, 0);
	found("table-free");
}

static void test_links(void **state)
{
	uint64_t *table;

	(void)state;
	up(0);
	table = new_table();
	change(parent() + 2, pa_of(table) | TABLE);
	change(parent() + 3, pa_of(table) | TABLE);
	found("table-reuse");
	up(0);
	change(parent() + 2, 0x4000000000 | TABLE);
	found("output-size");
	up(0);
	change(page_entry + 1, 0x9001); /* 0b01 at the last level */
	found("reserved");
	up(0);
	change(parent() + 2, 0x9000 | BLK); /* not aligned */
	found("reserved");
	up(0);
	change(page_entry + 1, (pa_of(page_entry) & ~(PAGE - 1)) | LEAF);
	found("table-mapped");
}

static void test_idle(void **state)
{
	(void)state;
	up(0);
	change(page_entry + 1, 0x9000 | LEAF);
	sim_idle(&f->sim, 0, PAGE);
	found("publish-missing");
	up(0);
	change(page_entry, 0);
	sim_idle(&f->sim, 0, PAGE);
	found("tlbi-missing");
	up(0);
	change(page_entry, *page_entry & ~0x80ull); /* write-protected, TLBs not told */
	sim_idle(&f->sim, 0, PAGE);
	found("tlbi-missing");
	up(0);
	change(page_entry, *page_entry & ~0x80ull);
	tlb(S2_TLB_ENTRY, 0, PAGE, 0, S2_TLB_LEAF | S2_TLB_LOCAL);
	sim_idle(&f->sim, 0, PAGE);
	found("tlbi-local");
	up(0);
	change(page_entry, *page_entry & ~0x80ull);
	tlb(S2_TLB_ENTRY, 0, PAGE, 0, S2_TLB_LEAF);
	change(page_entry, *page_entry | 0x80ull);
	sim_idle(&f->sim, 0, PAGE); /* owed to nobody, but ... */
	assert_int_equal(f->sim.failures, 0);
	sim_idle_local(&f->sim, 0, PAGE, S2_W);
	found("local-stale");
	up(0);
	sim_idle_empty(&f->sim, BLOCK + PAGE, PAGE);
	found("empty-mapped");
}

static void test_access_flag(void **state)
{
	(void)state;
	up(0);
	change(page_entry, *page_entry & ~0x400ull);
	tlb(S2_TLB_ENTRY, 0, PAGE, 0, S2_TLB_LEAF);
	change(page_entry, 0);
	change(page_entry, 0x9000 | (LEAF & ~0x400ull)); /* an old entry was in no TLB */
	publish();
	nothing_found();
	up(0);
	change(page_entry, *page_entry & ~0x400ull);
	sim_idle(&f->sim, 0, PAGE);
	found("tlbi-missing");
	up(0);
	change(page_entry, *page_entry & ~0x400ull);
	change(page_entry, 0); /* but what was young before it may be */
	change(page_entry, 0x9000 | LEAF);
	found("tlbi-missing");
	up_with(0, S2_CPU_FWB | S2_CPU_DIC | S2_CPU_HA);
	change(page_entry, *page_entry & ~0x400ull);
	for (int i = 0; i < 100 && !f->sim.af_updates; i++)
		tlb(S2_TLB_ENTRY, 0, PAGE, 0, S2_TLB_LEAF);
	assert_int_equal(f->sim.af_updates, 1);
	assert_int_equal(*page_entry, 0x1000 | LEAF);
	nothing_found();
}

static void test_host(void **state)
{
	const struct sim_chunk other = { .hpa = 0x4000000, .shift = 21 };

	(void)state;
	up(0);
	change(page_entry + 1, fixture_hpa(0) | LEAF);
	sim_set_chunk(&f->sim, 0, &other);
	found("taken-mapped");
	up(0);
	change(page_entry + 1, fixture_hpa(0) | LEAF);
	change(page_entry + 1, 0);
	sim_set_chunk(&f->sim, 0, &other);
	found("taken-cached");
	up(0);
	sim_set_chunk(&f->sim, 0, &other);
	change(page_entry + 1, fixture_hpa(0) | LEAF);
	found("taken-mapped");
}

static void test_cache_maintenance(void **state)
{
	struct s2_page page;

	(void)state;
	up_with(0, 0);
	change(page_entry + 1, 0x9000 | 0x7ff);
	found("cache-data");
	up_with(0, S2_CPU_FWB);
	f->sim.port.cache_sync(&f->sim, s2_hpa(0x9000), PAGE, S2_SYNC_DATA);
	change(page_entry + 1, 0x9000 | LEAF);
	found("cache-insn");
	up_with(0, 0);
	f->sim.port.cache_sync(&f->sim, s2_hpa(0x9000), PAGE, S2_SYNC_DATA | S2_SYNC_INSN);
	sim_host_wrote(&f->sim, 0x8000, 4 * PAGE);
	change(page_entry + 1, 0x9000 | 0x7ff);
	found("cache-data");
	up(0);
	f->sim.chunks[3].type = S2_MEM_DEVICE;
	assert_int_equal(f->sim.port.resolve(&f->sim, s2_hva(sim_hva(3)), S2_ACCESS_READ, &page),
			 0);
	f->sim.port.cache_sync(&f->sim, s2_hpa(fixture_hpa(3) + PAGE), PAGE, S2_SYNC_DATA);
	found("cache-device");
	up(0);
	f->sim.port.cache_sync(&f->sim, s2_hpa(0x9000), PAGE, 0);
	found("port-sync");
	up(0);
	f->sim.port.cache_sync(&f->sim, s2_hpa(0x9000), 12, S2_SYNC_DATA);
	found("port-sync");
}

static void test_freeing(void **state)
{
	(void)state;
	up(0);
	f->sim.port.table_free(&f->sim, page_table(), 0);
	found("table-free");
	up(0);
	change(parent(), 0);
	f->sim.port.table_free(&f->sim, page_table(), 0);
	found("table-free");
}

/* When all is over, the VMID is somebody else's. */
static void test_vmid(void **state)
{
	(void)state;
	up(0);
	sim_stop(&f->sim);
	f->sim.arena.outstanding = 0;
	sim_fini(&f->sim);
	assert_memory_equal(f->sim.failure, "vmid-reuse:", 11);
	up(0);
	sim_stop(&f->sim);
	tlb(S2_TLB_ALL, 0, 0, S2_LEVEL_ANY, 0);
	down();
	assert_int_equal(f->sim.failures, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right_order),
		cmocka_unit_test(test_no_break),
		cmocka_unit_test(test_break_without_invalidation),
		cmocka_unit_test(test_walk_caches),
		cmocka_unit_test(test_lost_entries),
		cmocka_unit_test(test_lost_tables),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_freeing),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_access_flag),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_cache_maintenance),
		cmocka_unit_test(test_vmid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
