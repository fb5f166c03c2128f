/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's own table walks (through TTBR1, four levels) over memory of all kinds: not yet
 * mapped, read-only, missing; with and without hardware that writes the tables (FEAT_HAFDBS).
 *
 * A layout has one table a level. Each is written at one address and referred to at another, which
 * may be a read-only view of it or a hole. The manual's level numbers are used here.
 */
#include "access.h"

#define TCR_HA   (1ull << 39)
#define TCR_HD   (1ull << 40)
#define ENTRY_AF (1ull << 10)
#define ENTRY_RO (1ull << 7)
#define DBM      (1ull << 51)
#define INSN_RET 0xd65f03c0d65f03c0ull

struct layout {
	uint64_t write[4]; /* where the guest writes the table of each level */
	uint64_t refer[4]; /* what TTBR1 or the entry above says */
};

/* Links the levels; page n of the region is then set by set_page(). */
static void link_levels(const struct layout *l)
{
	for (int level = 0; level < 3; level++)
		poke(l->write[level], table_entry(l->refer[level + 1]));
}

static void set_page(const struct layout *l, unsigned int n, uint64_t entry)
{
	poke(l->write[3] + n * 8, entry);
	__asm__ volatile("dsb ishst" ::: "memory");
}

static struct layout tables_at(uint64_t write, uint64_t refer)
{
	struct layout l;

	for (unsigned int level = 0; level < 4; level++) {
		l.write[level] = write + level * PAGE;
		l.refer[level] = refer + level * PAGE;
	}
	memset((void *)write, 0, 4 * PAGE);
	link_levels(&l);
	return l;
}

static uint64_t high(unsigned int n)
{
	return HIGH_VA + n * PAGE;
}

/* Read, write and execute through the tables; all of them and the page unmapped before each. */
static void use_all(const struct layout *l, uint64_t tables, uint64_t page)
{
	struct probe p;

	set_page(l, 1, page_entry(page));
	poke(page, INSN_RET);
	poke(page + 8, 0x1111);
	for (unsigned int what = 0; what < 3; what++) {
		hypercall(TEST_HC_DROP, tables, 4 * PAGE, 0);
		hypercall(TEST_HC_DROP, page, PAGE, 0);
		high_tables(l->refer[0], 0);
		if (what == 0)
			check_eq(probe_enter(&p, ld8, high(1) + 8, 0, 0), 0);
		else if (what == 1)
			check_eq(probe_enter(&p, st8, high(1) + 8, 0x2222, 0), 0);
		else
			check_eq(probe_enter(&p, (probe_fn)high(1), 5, 0, 0), 0);
		high_off();
		check_eq(p.result, what == 0 ? 0x1111 : what == 1 ? high(1) + 8 : 5);
	}
	check_eq(peek(page + 8), 0x2222);
}

static void walk_untouched(void)
{
	uint64_t tables = fresh(4 * PAGE);
	struct layout l = tables_at(tables, tables);

	use_all(&l, tables, fresh(PAGE));
}

static void walk_readonly(void)
{
	struct layout l = tables_at(TEST_RAM, TEST_RO);
	uint64_t writes = hypercall(TEST_HC_COUNT, TEST_COUNT_RO_WRITES, 0, 0);

	use_all(&l, TEST_RO, fresh(PAGE));
	check_eq(hypercall(TEST_HC_COUNT, TEST_COUNT_RO_WRITES, 0, 0), writes);
}

/* All accesses through a table that cannot be read: an abort on the walk at its level. */
static void walk_aborts(const struct layout *l, unsigned int level)
{
	uint64_t va = high(2) + 0x123 * 8;
	struct probe p[5];
	int taken[5];

	high_tables(l->refer[0], 0);
	taken[0] = probe_enter(&p[0], ld8, va, 0, 0);
	taken[1] = probe_enter(&p[1], st8, va, 0, 0);
	taken[2] = probe_enter(&p[2], (probe_fn)va, 0, 0, 0);
	taken[3] = user_access(&p[3], u_ld8, va, 0);
	taken[4] = user_access(&p[4], u_branch, va, 0);
	high_off();
	check_abort(taken[0], &p[0], ABORT_WALK_AT(level) | ABORT_ANY_WNR, va, ld8);
	check_abort(taken[1], &p[1], ABORT_WALK_AT(level) | ABORT_ANY_WNR, va, st8);
	check_abort(taken[2], &p[2], ABORT_WALK_AT(level) | ABORT_EXEC, va, va);
	check_abort(taken[3], &p[3], ABORT_WALK_AT(level) | ABORT_ANY_WNR | ABORT_USER, va,
		    user_elr(u_ld8));
	check_abort(taken[4], &p[4], ABORT_WALK_AT(level) | ABORT_EXEC | ABORT_USER, va, va);
}

static void walk_missing_at(uint64_t where)
{
	uint64_t tables = fresh(4 * PAGE);

	for (unsigned int level = 0; level < 4; level++) {
		struct layout l = tables_at(tables, tables);

		l.refer[level] = where;
		link_levels(&l);
		walk_aborts(&l, level);
	}
}

static void walk_missing(void)
{
	walk_missing_at(TEST_HOLE + 0x5000);
	walk_missing_at(TEST_EDGE);
}

/* Nothing of the hypervisor's is a table. */
static void walk_reserve(void)
{
	walk_missing_at(0x40200000);
}

static void walk_mmio(void)
{
	walk_missing_at(TEST_MMIO);
}

static void walk_absent(void)
{
	hypercall(TEST_HC_REMAP, TEST_SLOT_RAM, 7, TEST_FRAME_ABSENT);
	walk_missing_at(TEST_RAM + 7 * PAGE);
	hypercall(TEST_HC_REMAP, TEST_SLOT_RAM, 7, 7);
	check_eq(peek(TEST_RAM + 7 * PAGE), peek(TEST_RO + 7 * PAGE));
}

/* --- hardware that updates the guest's tables --- */

/* Access flags set by hardware in tables that are untouched, write-protected, then ordinary. */
static void hardware_af(void)
{
	uint64_t tables = fresh(4 * PAGE), page = fresh(PAGE);
	struct layout l = tables_at(tables, tables);

	poke(page, 0x77);
	for (unsigned int n = 0; n < 12; n++) {
		uint64_t entry = page_entry(page) & ~ENTRY_AF;
		struct probe p;

		set_page(&l, n, entry);
		if (n % 3 == 0)
			hypercall(TEST_HC_DROP, tables, 4 * PAGE, 0);
		else if (n % 3 == 1)
			hypercall(TEST_HC_PROTECT, tables, 4 * PAGE, 2);
		high_tables(l.refer[0], TCR_HA);
		check_eq(probe_enter(&p, n & 1 ? ld8 : st8, high(n), 0x77, 0), 0);
		high_off();
		check_eq(peek(l.write[3] + n * 8), entry | ENTRY_AF);
	}
	check_eq(peek(page), 0x77);
}

/* The same for the dirty state: DBM lets hardware clear the read-only bit. */
static void hardware_dirty(void)
{
	uint64_t tables = fresh(4 * PAGE), page = fresh(PAGE);
	struct layout l = tables_at(tables, tables);

	if ((read_sysreg(id_aa64mmfr1_el1) & 0xf) < 2)
		return;
	for (unsigned int n = 0; n < 6; n++) {
		uint64_t entry = page_entry(page) | ENTRY_RO | DBM;
		struct probe p;

		set_page(&l, n, entry);
		if (n % 3 == 0)
			hypercall(TEST_HC_DROP, tables, 4 * PAGE, 0);
		else if (n % 3 == 1)
			hypercall(TEST_HC_PROTECT, tables, 4 * PAGE, 2);
		high_tables(l.refer[0], TCR_HA | TCR_HD);
		check_eq(probe_enter(&p, ld8, high(n), 0, 0), 0);
		check_eq(peek(l.write[3] + n * 8), entry);
		check_eq(probe_enter(&p, st8, high(n), n + 1, 0), 0);
		high_off();
		check_eq(peek(l.write[3] + n * 8), entry & ~ENTRY_RO);
		check_eq(peek(page), n + 1);
	}
}

/* Hardware cannot set the flag in a read-only slot: abort on the walk, and no endless retry. */
static void hardware_af_readonly(void)
{
	uint64_t tables = fresh(4 * PAGE), page = fresh(PAGE), entry = page_entry(page) & ~ENTRY_AF;
	struct layout l = tables_at(tables, tables);
	uint64_t faults = hypercall(TEST_HC_COUNT, TEST_COUNT_FAULTS, 0, 0);

	l.write[3] = TEST_RAM;
	l.refer[3] = TEST_RO;
	link_levels(&l);
	for (unsigned int n = 1; n < 4; n++) {
		struct probe p[3];
		int taken[3];
		uint64_t va = high(n) + 0x18;

		set_page(&l, n, entry);
		if (n == 2)
			hypercall(TEST_HC_DROP, TEST_RO, 4 * PAGE, 0);
		high_tables(l.refer[0], TCR_HA);
		taken[0] = probe_enter(&p[0], ld8, va, 0, 0);
		taken[1] = probe_enter(&p[1], st8, va, 0, 0);
		taken[2] = probe_enter(&p[2], (probe_fn)va, 0, 0, 0);
		high_off();
		check_abort(taken[0], &p[0], ABORT_WALK_AT(3) | ABORT_ANY_WNR, va, ld8);
		check_abort(taken[1], &p[1], ABORT_WALK_AT(3) | ABORT_ANY_WNR, va, st8);
		check_abort(taken[2], &p[2], ABORT_WALK_AT(3) | ABORT_EXEC, va, va);
		check_eq(peek(l.write[3] + n * 8), entry);
	}
	check(hypercall(TEST_HC_COUNT, TEST_COUNT_FAULTS, 0, 0) - faults < 64);
}

/* --- address translation instructions --- */

/* AT needs tables only; what they lead to need not be there. */
static void at_with(const struct layout *l, uint64_t tables, probe_fn at)
{
	struct probe p;
	uint64_t par;

	set_page(l, 4, page_entry(TEST_HOLE + 0x7000));
	hypercall(TEST_HC_DROP, tables, 4 * PAGE, 0);
	high_tables(l->refer[0], 0);
	check_eq(probe_enter(&p, at, high(4) + 0x50, 0, 0), 0);
	par = read_sysreg(par_el1);
	high_off();
	check_eq(par & 0xffffffff001, TEST_HOLE + 0x7000);
}

static void at_untouched(void)
{
	uint64_t tables = fresh(4 * PAGE);
	struct layout l = tables_at(tables, tables);

	at_with(&l, tables, at_s1e1r);
	at_with(&l, tables, at_s1e1w);
}

/* AT reports itself as a cache maintenance write: it is nevertheless only a read of the tables. */
static void at_readonly(void)
{
	struct layout l = tables_at(TEST_RAM, TEST_RO);

	at_with(&l, TEST_RO, at_s1e1r);
	at_with(&l, TEST_RO, at_s1e1w);
}

static void at_missing(void)
{
	uint64_t tables = fresh(4 * PAGE);

	for (unsigned int level = 0; level < 4; level++) {
		struct layout l = tables_at(tables, tables);
		struct probe p;
		int taken;

		l.refer[level] = TEST_HOLE;
		link_levels(&l);
		high_tables(l.refer[0], 0);
		taken = probe_enter(&p, at_s1e1r, high(1), 0, 0);
		high_off();
		check_abort(taken, &p, ABORT_WALK_AT(level) | ABORT_ANY_WNR, high(1), at_s1e1r);
	}
}

const struct test walk_tests[] = {
	{ "table walks through untouched memory", walk_untouched, NEED_HYP },
	{ "table walks through read-only memory", walk_readonly, NEED_HYP },
	{ "table walks through missing memory abort", walk_missing, NEED_HYP },
	{ "table walks through the hypervisor's memory abort", walk_reserve, NEED_HYP },
	{ "table walks through the emulated device abort", walk_mmio, NEED_HYP },
	{ "table walks through memory that the host has lost abort", walk_absent, NEED_HYP },
	{ "hardware sets access flags in the guest's tables", hardware_af, NEED_HYP | NEED_HAFDBS },
	{ "hardware marks the guest's tables dirty", hardware_dirty, NEED_HYP | NEED_HAFDBS },
	{ "hardware access flags in a read-only slot abort", hardware_af_readonly,
	  NEED_HYP | NEED_HAFDBS },
	{ "AT through untouched tables", at_untouched, NEED_HYP },
	{ "AT through read-only tables", at_readonly, NEED_HYP },
	{ "AT through missing tables aborts", at_missing, NEED_HYP },
	{ NULL, NULL, 0 },
};
