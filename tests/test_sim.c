// SPDX-License-Identifier: BSD-2-Clause
/*
 * The simulation must be able to fail: every rule of ports/sim/check.c is broken here by hand, in
 * the place of the engine, and must be found; the right order of the same steps must not.
 */
#include <string.h>

#include "../src/pgtable/hook.h"
#include "fixture.h"
#include "machine.h"
#include "sim_check.h"

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZED
#elif defined(__has_feature) /* clang's way to say it */
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZED
#endif
#endif

#define LEAF  0x00000000000007dbull /* page, normal, all rights, with FWB */
#define BLK   0x00000000000007d9ull
#define TABLE 0x3ull

static struct fixture fix;
static struct fixture *const f = &fix;
static uint64_t *page_entry, *block_entry;

/* A tree with page 0 mapped to hpa 0x1000, and the block at 2 MiB to hpa 2 MiB. */
static void up(uint8_t bbm)
{
	struct s2_vm_config config = fixture_config();
	struct sim_found found;

	config.pt.cpu.bbm = bbm;
	config.pt.cpu.features = S2_CPU_FWB | S2_CPU_DIC;
	fixture_up(f, &config);
	assert_int_equal(fixture_map(f, 0, 0x1000, PAGE, S2_RWX, 0), 0);
	assert_int_equal(fixture_map(f, BLOCK, BLOCK, BLOCK, S2_RWX, 0), 0);
	sim_tlb_look(&f->sim, 0, &found);
	page_entry = sim_entry(&f->sim, found.entry);
	sim_tlb_look(&f->sim, BLOCK, &found);
	block_entry = sim_entry(&f->sim, found.entry);
	f->sim.keep = 1;
	assert_int_equal(f->sim.failures, 0);
}

static void down(void)
{
	/* The tree is not the engine's any more: everything goes with the machine. */
	f->sim.arena.outstanding = 0;
	sim_thread(0, NULL);
	sim_fini(&f->sim);
}

static void found(const char *what)
{
	if (!f->sim.failures || !strstr(f->sim.failure, what))
		print_error("found %u, first \"%s\", expected \"%s\"\n", f->sim.failures,
			    f->sim.failure, what);
	assert_true(f->sim.failures && strstr(f->sim.failure, what));
	down();
}

static void nothing_found(void)
{
	sim_idle(&f->sim, 0, 1ull << 40);
	if (f->sim.failures)
		print_error("found \"%s\"\n", f->sim.failure);
	assert_int_equal(f->sim.failures, 0);
	down();
}

static void change(uint64_t *entry, uint64_t value)
{
	uint64_t old = *entry;

	assert_int_equal(s2_hook_cas(entry, &old, value), 1);
}

static void tlb(unsigned int kind, uint64_t gpa, uint64_t size, unsigned int level,
		unsigned int flags)
{
	struct s2_tlb_op op = { .kind = (uint8_t)kind,
				.flags = (uint8_t)flags,
				.level = (uint8_t)level,
				.page_shift = 12,
				.gpa = s2_gpa(gpa),
				.size = size };

	f->sim.port.tlb(&f->sim, &op, 1);
}

static void publish(void)
{
	tlb(S2_TLB_PUBLISH, 0, 0, S2_LEVEL_ANY, 0);
}

static uint64_t *new_table(void)
{
	return f->sim.port.table_alloc(&f->sim, 0);
}

static uint64_t pa_of(const uint64_t *table)
{
	return (uint64_t)(uintptr_t)table - f->sim.port.table_offset;
}

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
	(void)state;
	up(2);
	change(page_entry, 0x9000 | LEAF);
	found("without a break");
	up(0);
	change(page_entry, 0x1000 | (LEAF & ~0x33cull) | 0x14); /* another type */
	found("without a break");
	up(0);
	change(block_entry, pa_of(split_table(0)) | TABLE);
	found("size changed");
	up(2);
	change(block_entry, pa_of(split_table(PAGE)) | TABLE);
	found("together with the translation");
	up(2);
	change(block_entry, pa_of(split_table(0)) | TABLE);
	tlb(S2_TLB_ENTRY, BLOCK, BLOCK, 1, S2_TLB_LEAF);
	nothing_found();
	up(2);
	change(block_entry, pa_of(split_table(0)) | TABLE);
	sim_idle(&f->sim, 0, 4 * BLOCK); /* the block is still in the TLBs */
	found("stale");
}

static void test_break_without_invalidation(void **state)
{
	(void)state;
	up(0);
	change(page_entry, 0);
	change(page_entry, 0x9000 | LEAF);
	found("TLB holds another leaf");
	up(0);
	change(page_entry, 0);
	tlb(S2_TLB_ENTRY, 0, PAGE, 0, S2_TLB_LEAF | S2_TLB_LOCAL);
	change(page_entry, 0x9000 | LEAF);
	found("TLB holds another leaf");
	up(0);
	change(page_entry, 0);
	tlb(S2_TLB_ENTRY, 0, PAGE, 1, S2_TLB_LEAF); /* wrong level */
	change(page_entry, 0x9000 | LEAF);
	found("TLB holds another leaf");
	up(0);
	change(page_entry, 0);
	tlb(S2_TLB_ENTRY, PAGE, PAGE, 0, S2_TLB_LEAF); /* wrong address */
	change(page_entry, 0x9000 | LEAF);
	found("TLB holds another leaf");
	up(0);
	change(block_entry, 0);
	tlb(S2_TLB_RANGE, BLOCK, BLOCK, 0, S2_TLB_LEAF); /* pages, but it is a block */
	change(block_entry, pa_of(split_table(0)) | TABLE);
	found("TLB holds");
	up(0);
	tlb(S2_TLB_ENTRY, 0, PAGE, 0, S2_TLB_LEAF); /* too early: cached again before the break */
	change(page_entry, 0);
	change(page_entry, 0x9000 | LEAF);
	found("TLB holds another leaf");
}

/* The level-1 entry that points to the table of page 0. */
static uint64_t *parent(void)
{
	return block_entry - 1;
}

static void test_walk_caches(void **state)
{
	(void)state;
	up(0);
	change(page_entry, 0);
	change(parent(), 0);
	tlb(S2_TLB_RANGE, 0, BLOCK, S2_LEVEL_ANY, S2_TLB_LEAF); /* leaves only */
	change(parent(), pa_of(new_table()) | TABLE);
	found("walk cache points to another table");
	up(0);
	change(parent(), 0);
	tlb(S2_TLB_RANGE, 0, BLOCK, S2_LEVEL_ANY, S2_TLB_LEAF);
	sim_idle_empty(&f->sim, 0, PAGE);
	found("taken away"); /* the leaf, read again by way of the old table */
	up(0);
	change(parent(), 0);
	tlb(S2_TLB_RANGE, 0, BLOCK, S2_LEVEL_ANY, 0);
	change(parent(), 0x200000 | BLK);
	publish();
	nothing_found();
}

static void test_freeing(void **state)
{
	uint64_t *table, old = 0;

	(void)state;
	up(0);
	table = (uint64_t *)((uintptr_t)page_entry & ~(uintptr_t)4095);
	f->sim.port.table_free(&f->sim, table, 0);
	found("freed a table that is linked");
	up(0);
	table = (uint64_t *)((uintptr_t)page_entry & ~(uintptr_t)4095);
	change(parent(), 0);
	f->sim.port.table_free(&f->sim, table, 0);
	found("freed a table to which a walk cache points");
	up(0);
	table = new_table();
	f->sim.port.table_free(&f->sim, table, 0);
	f->sim.port.table_free(&f->sim, table, 0);
	found("was not handed out");
	up(0);
	f->sim.port.table_free(&f->sim, f->sim.arena.va + 40 * PAGE + 8, 0);
	found("was not handed out");
	up(0);
	table = new_table();
	f->sim.port.table_free(&f->sim, table, 1); /* another size */
	found("was not handed out");
	up(0);
	table = new_table();
	f->sim.port.table_free(&f->sim, table, 0);
	sim_check_store(&f->sim, pa_of(table), 1);
	found("store to a freed table");
	up(0);
	table = new_table();
	f->sim.port.table_free(&f->sim, table, 0);
	(void)old;
	sim_check_before(&f->sim, pa_of(table), SIM_POISON);
	found("on a freed table");
}

#ifndef ADDRESS_SANITIZED /* which finds this itself, at once */
static void test_written_after_free(void **state)
{
	uint64_t *table;

	(void)state;
	up(0);
	f->sim.config.reuse = SIM_REUSE_NOW;
	table = new_table();
	f->sim.port.table_free(&f->sim, table, 0);
	table[7] = 0;
	assert_ptr_equal(new_table(), table);
	assert_int_equal(table[7], 0);
	found("written after free");
}
#endif

static void test_links(void **state)
{
	uint64_t *table;

	(void)state;
	up(0);
	s2_hook_store(page_entry, 0);
	found("plain store to a linked table");
	up(0);
	table = new_table();
	change(parent() + 2, pa_of(table) | TABLE);
	change(parent() + 3, pa_of(table) | TABLE);
	found("linked already");
	up(0);
	change(parent() + 2, 0x4000000000 | TABLE);
	found("no table");
	up(0);
	change(parent(), 0);
	change(page_entry + 1, 0x9000 | LEAF);
	found("detached table");
	up(0);
	change(page_entry + 1, 0x9001); /* 0b01 at the last level */
	found("bad descriptor");
	up(0);
	change(page_entry + 1, 0x9000 | (LEAF & ~0x300ull)); /* not shareable */
	found("bad descriptor");
	up(0);
	change(parent() + 2, 0x9000 | BLK); /* not aligned */
	found("bad descriptor");
}

static void test_idle(void **state)
{
	(void)state;
	up(0);
	change(page_entry + 1, 0x9000 | LEAF);
	sim_idle(&f->sim, 0, PAGE);
	found("never published");
	up(0);
	change(page_entry, 0);
	sim_idle(&f->sim, 0, PAGE);
	found("stale");
	up(0);
	change(page_entry, *page_entry & ~0x80ull); /* write-protected, TLBs not told */
	sim_idle(&f->sim, 0, PAGE);
	found("rights");
	up(0);
	change(page_entry, *page_entry & ~0x80ull);
	tlb(S2_TLB_ENTRY, 0, PAGE, 0, S2_TLB_LEAF | S2_TLB_LOCAL);
	sim_idle(&f->sim, 0, PAGE);
	found("the TLB of CPU 1");
	up(0);
	change(page_entry, *page_entry & ~0x400ull); /* old */
	sim_idle(&f->sim, 0, PAGE);
	found("old leaf");
	up(0);
	change(page_entry, *page_entry & ~0x400ull);
	tlb(S2_TLB_ENTRY, 0, PAGE, 0, S2_TLB_LEAF);
	change(page_entry, 0);
	change(page_entry, 0x9000 | (LEAF & ~0x400ull)); /* an old entry was in no TLB */
	publish();
	nothing_found();
	up(0);
	sim_idle_empty(&f->sim, BLOCK + PAGE, PAGE);
	found("taken away");
}

static void test_cache_maintenance(void **state)
{
	(void)state;
	up(0);
	f->sim.regime.features = 0;
	change(page_entry + 1, 0x9000 | 0x7ff);
	found("without its cache maintenance");
	up(0);
	f->sim.regime.features = S2_CPU_FWB;
	f->sim.port.cache_sync(&f->sim, s2_hpa(0x9000), PAGE, S2_SYNC_DATA);
	change(page_entry + 1, 0x9000 | LEAF);
	found("without its cache maintenance");
	up(0);
	f->sim.regime.features = 0;
	f->sim.port.cache_sync(&f->sim, s2_hpa(0x9000), PAGE, S2_SYNC_DATA | S2_SYNC_INSN);
	sim_host_wrote(&f->sim, 0x8000, 4 * PAGE);
	change(page_entry + 1, 0x9000 | 0x7ff);
	found("without its cache maintenance");
	up(0);
	f->sim.chunks[3].type = S2_MEM_DEVICE;
	f->sim.port.cache_sync(&f->sim, s2_hpa(fixture_hpa(3) + PAGE), PAGE, S2_SYNC_DATA);
	found("cache_sync of device memory");
}

static void test_port_contract(void **state)
{
	struct s2_walker inside = { .section = 1 };
	struct s2_page page;

	(void)state;
	up(0);
	sim_thread(0, &inside);
	(void)new_table();
	found("table_alloc() called inside a walker section");
	up(0);
	sim_thread(0, &inside);
	(void)f->sim.port.resolve(&f->sim, s2_hva(SIM_HVA_BASE), S2_ACCESS_READ, &page);
	found("resolve() called inside a walker section");
	up(0);
	tlb(9, 0, 0, 0, 0);
	found("unknown kind");
	up(0);
	tlb(S2_TLB_RANGE, 0, 0, S2_LEVEL_ANY, 0);
	found("TLB operation for 0x0 bytes");
	up(0);
	tlb(S2_TLB_ENTRY, 12, PAGE, 0, 0);
	found("TLB operation for 0xc");
}

static void test_registers(void **state)
{
	static const struct {
		uint64_t vtcr, vttbr;
		const char *why;
	} t[] = {
		{ 0x80023558, 0x80002000, NULL },
		{ 0x00023558, 0x80002000, "RES1" },
		{ 0x80023058, 0x80002000, "write-back" },
		{ 0x80020558, 0x80002000, "inner shareable" },
		{ 0x80063558, 0x80002000, "PS" },
		{ 0x80223558, 0x80002000, "HA" },
		{ 0x80023518, 0x80002000, "start level too low" },
		{ 0x80023599, 0x80002000, "start level too high" },
		{ 0x80023558, 0x80001000, "aligned" }, /* two tables: 8 KiB */
		{ 0x80023558, 0x80002001, "CnP" },
		{ 0x8002f558, 0x80002000, "TG0" },
		{ 0x80022558, 0x80002000, "inner shareable" },
	};
	struct s2_cpu cpu = { .pa_bits = 40 };
	struct sim_regime regime;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const char *why = sim_regime_set(&regime, &cpu, t[i].vtcr, t[i].vttbr);

		assert_int_equal(why == NULL, t[i].why == NULL);
		if (why && t[i].why)
			assert_non_null(strstr(why, t[i].why));
	}
}

/* The walker's arithmetic for the other granules (the engine's formats come later). */
static void test_granules(void **state)
{
	struct s2_cpu cpu = { .pa_bits = 48 };
	struct sim_regime regime;

	(void)state;
	/* 16K, 40 bits: starts at the manual's level 2, 16 tables of 2^36 (SL0 = 1) */
	assert_null(sim_regime_set(&regime, &cpu, 0x8005b558, 0x80040000));
	assert_int_equal(regime.page_shift, 14);
	assert_int_equal(regime.stride, 11);
	assert_int_equal(regime.top, 1);
	assert_int_equal(sim_size(&regime, 1), 32 * MIB);
	assert_int_equal(sim_entries(&regime, 1), 1u << 15);
	regime.features = S2_CPU_FWB;
	assert_int_equal(sim_decode(&regime, 1, 0x2000000 | BLK).kind, SIM_LEAF);
	assert_int_equal(sim_decode(&regime, 1, 0x4000 | BLK).kind, SIM_BAD);
	/* 64K, 42 bits: level 2 (SL0 = 1) */
	assert_null(sim_regime_set(&regime, &cpu, 0x80057556, 0x80010000));
	assert_int_equal(regime.page_shift, 16);
	assert_int_equal(regime.top, 1);
	assert_int_equal(sim_size(&regime, 1), 512 * MIB);
	regime.features = S2_CPU_FWB;
	assert_int_equal(sim_decode(&regime, 0, 0x10000 | LEAF).pa, 0x10000);
	assert_int_equal(sim_decode(&regime, 2, 0x40000000000 | BLK).kind, SIM_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right_order),
		cmocka_unit_test(test_no_break),
		cmocka_unit_test(test_break_without_invalidation),
		cmocka_unit_test(test_walk_caches),
		cmocka_unit_test(test_freeing),
#ifndef ADDRESS_SANITIZED
		cmocka_unit_test(test_written_after_free),
#endif
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_cache_maintenance),
		cmocka_unit_test(test_port_contract),
		cmocka_unit_test(test_registers),
		cmocka_unit_test(test_granules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
