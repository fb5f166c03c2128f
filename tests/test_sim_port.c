// SPDX-License-Identifier: BSD-2-Clause
/*
 * The rules of ports/sim itself, those that are the port's contract and not the architecture's, are
 * broken here by hand and must be found by their names, as in test_sim.c.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hand.h"

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZED
#elif defined(__has_feature) /* clang's way to say it */
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZED
#endif
#endif

static struct fixture *const f = &hand;

static void test_freeing(void **state)
{
	uint64_t *table, old = SIM_POISON;

	(void)state;
	up(0);
	table = new_table();
	f->sim.port.table_free(&f->sim, table, 0);
	f->sim.port.table_free(&f->sim, table, 0);
	found("port-freed");
	up(0);
	f->sim.port.table_free(&f->sim, f->sim.arena.va + 40 * PAGE + 8, 0);
	found("port-freed");
	up(0);
	table = new_table();
	f->sim.port.table_free(&f->sim, table, 1); /* another size */
	found("port-freed");
	up(0);
	table = new_table();
	f->sim.port.table_free(&f->sim, table, 0);
	s2_hook_store(table, 1);
	found("port-freed");
	up(0);
	table = new_table();
	f->sim.port.table_free(&f->sim, table, 0);
	assert_int_equal(s2_hook_cas(table, &old, 0), 0);
	found("port-freed");
	up(0);
	sim_fini(&f->sim); /* with all that it holds */
	assert_memory_equal(f->sim.failure, "port-leak:", 10);
	sim_thread(0, NULL);
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
	found("port-freed");
}
#endif

/* Whoever reads this entry: does he die of it? */
static int deadly(const uint64_t *entry)
{
	pid_t child = fork();
	int status;

	if (!child) {
		signal(SIGSEGV, SIG_DFL);
		_exit(__atomic_load_n(entry, __ATOMIC_RELAXED) & 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static void test_red_zone(void **state)
{
	static const struct {
		unsigned int page_shift, order;
	} t[] = { { 12, 0 }, { 12, 1 }, { 12, 4 }, { 10, 0 }, { 10, 1 }, { 10, 3 }, { 16, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct sim_config config = { .cpu.pa_bits = 48,
					     .page_shift = (uint8_t)t[i].page_shift };
		uint64_t n = 1ull << (t[i].page_shift + t[i].order - 3), *table[3];

		sim_init(&f->sim, &config);
		for (int j = 0; j < 3; j++) {
			table[j] = f->sim.port.table_alloc(&f->sim, t[i].order);
			assert_int_equal((uintptr_t)table[j] & (n * 8 - 1), 0);
			assert_false(deadly(&table[j][n - 1]));
			assert_true(deadly(&table[j][n]));
		}
		for (int j = 0; j < 3; j++)
			f->sim.port.table_free(&f->sim, table[j], t[i].order);
		sim_fini(&f->sim);
	}
}

static void test_links(void **state)
{
	struct sim_leaf leaf;

	(void)state;
	up(0);
	s2_hook_store(page_entry, 0);
	found("port-store");
	up(0);
	change(parent(), 0);
	change(page_entry + 1, 0x9000 | LEAF);
	found("port-detached");
	up(0);
	change(page_entry + 1, 0x9000 | (LEAF & ~0x300ull)); /* not shareable */
	sim_translate(&f->sim, PAGE, &leaf);
	found("port-descriptor");
	up(0);
	*page_entry = 0x9000 | LEAF; /* past the hooks */
	sim_translate(&f->sim, 0, &leaf);
	found("port-hook");
}

static void test_port_contract(void **state)
{
	static const struct {
		uint8_t kind, level;
		uint64_t gpa, size;
	} ops[] = {
		{ 9, 0, 0, 0 },
		{ S2_TLB_RANGE, S2_LEVEL_ANY, 0, 0 },
		{ S2_TLB_ENTRY, 0, 12, PAGE },
		{ S2_TLB_ENTRY, 3, 0, PAGE }, /* the root is at level 2 */
	};
	const struct sim_config barrier = { .cpu.features = S2_CPU_FWB | S2_CPU_DIC, .barrier = 1 };
	struct s2_walker inside = { .section = 1 };
	struct s2_page page;

	(void)state;
	up(0);
	sim_thread(0, &inside);
	(void)new_table();
	found("port-section");
	up(0);
	sim_thread(0, &inside);
	(void)f->sim.port.resolve(&f->sim, s2_hva(SIM_HVA_BASE), S2_ACCESS_READ, &page);
	found("port-section");
	up_sim(&barrier);
	sim_thread(0, &inside);
	f->sim.port.barrier(&f->sim);
	found("port-section");
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		up(0);
		tlb(ops[i].kind, ops[i].gpa, ops[i].size, ops[i].level, 0);
		found("port-op");
	}
	up(0);
	f->sim.port.tlb(&f->sim, NULL, 0);
	found("port-op");
}

static void test_registers(void **state)
{
	static const struct {
		uint64_t vtcr, low; /* of VTTBR */
		const char *rule;
	} t[] = {
		{ 0x80053558, 0, NULL },
		{ 0x00053558, 0, "port-registers" }, /* RES1 */
		{ 0x80053058, 0, "port-registers" }, /* not write-back */
		{ 0x80050558, 0, "port-registers" }, /* not shareable */
		{ 0x80253558, 0, "port-registers" }, /* HA */
		{ 0x80453558, 0, "port-registers" }, /* HD */
		{ 0x180053558, 0, "port-registers" },
		{ 0x80053558, 1, "port-registers" },  /* CnP */
		{ 0x80053518, 0, "regime-reserved" }, /* start level too low */
		{ 0x80053599, 0, "regime-reserved" }, /* start level too high */
		{ 0x8005f558, 0, "regime-reserved" }, /* TG0 */
		{ 0x80053558, PAGE, "regime-reserved" },
	};
	const struct sim_config config = { .cpu.pa_bits = 48 };

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint64_t *root;

		sim_init(&f->sim, &config);
		f->sim.keep = 1;
		root = f->sim.port.table_alloc(&f->sim, 1);
		sim_start(&f->sim, t[i].vtcr, pa_of(root) + t[i].low);
		if (!t[i].rule)
			nothing_found();
		else
			found(t[i].rule);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_freeing),
#ifndef ADDRESS_SANITIZED
		cmocka_unit_test(test_written_after_free),
#endif
		cmocka_unit_test(test_red_zone),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_port_contract),
		cmocka_unit_test(test_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
