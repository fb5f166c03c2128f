/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Read-only slots and the edges of pages and slots.
 *
 * The read-only slot shows the same pages as the RAM slot: what is written there can be read here,
 * and a write here must be seen by the test device and by nobody else.
 */
#include "access.h"

#define INSN_RET_42 0xd65f03c0d2800540ull /* mov x0, #42; ret */

static uint64_t count(unsigned int which)
{
	return hypercall(TEST_HC_COUNT, which, 0, 0);
}

/* A write of n bytes to addr in the read-only slot: seen by the device, of no effect. */
static void dropped(probe_fn store, uint64_t addr, uint64_t value, uint64_t bytes)
{
	uint64_t writes = count(TEST_COUNT_RO_WRITES), sum = count(TEST_COUNT_RO_SUM);
	uint64_t size = count(TEST_COUNT_RO_BYTES), page = addr & ~(PAGE - 1);
	uint64_t before = peek(addr & ~7ull);
	struct probe p;

	if (!check_eq(probe_enter(&p, store, addr, value, 0), 0))
		return;
	check_eq(peek(addr & ~7ull), before);
	check_eq(peek((addr & ~7ull) - TEST_RO + TEST_RAM), before);
	check_eq(count(TEST_COUNT_RO_WRITES), writes + 1);
	check_eq(count(TEST_COUNT_RO_BYTES), size + bytes);
	check_eq(count(TEST_COUNT_RO_SUM),
		 sum + (bytes == 8 ? value : value & ((1ull << bytes * 8) - 1)));
	check_eq(count(TEST_COUNT_RO_LAST) & ~(PAGE - 1), page);
	check_eq(count(TEST_COUNT_RO_LAST), addr);
}

static void ro_reads(void)
{
	struct probe p;

	hypercall(TEST_HC_DROP, TEST_RAM, 2 * TEST_SLOT_SIZE, 0);
	for (uint64_t i = 0; i < TEST_SLOT_SIZE; i += 8)
		poke(TEST_RAM + i, i * 0x0101010101ull);
	for (uint64_t i = 0; i < TEST_SLOT_SIZE; i += 8)
		if (!check_eq(peek(TEST_RO + i), i * 0x0101010101ull))
			return;
	check_eq(probe_enter(&p, ld_pair, TEST_RO + 8, 0, 0), 0);
	check_eq(p.result, 0x0808080808ull);
	check_eq(probe_enter(&p, ld_exclusive, TEST_RO + 8, 0, 0), 0);
	check_eq(p.result, 0x0808080808ull);
}

static void ro_writes(void)
{
	hypercall(TEST_HC_DROP, TEST_RO, TEST_SLOT_SIZE, 0);
	for (uint64_t page = 0; page < 2; page++) {
		uint64_t base = TEST_RO + page * PAGE;

		/* The first of all is the first access to its page. */
		dropped(st8, base + 0x10, 0x1122334455667788, 8);
		dropped(st4, base + 0x14, 0xdeadbeef99aabbcc, 4);
		dropped(st2, base + 0x1e, 0xf00f5aa5, 2);
		dropped(st1, base + 0x23, 0xfff1, 1);
		dropped(st8_release, base + 0xff8, 7, 8);
	}
	dropped(st8_xzr, TEST_RO, 0, 8);
	dropped(st8, TEST_EDGE - 8, ~0ull, 8);
}

static void ro_executes(void)
{
	struct probe p;

	poke(TEST_RAM + 3 * PAGE, INSN_RET_42);
	__asm__ volatile("dsb ish\n\tic ialluis\n\tdsb ish\n\tisb" ::: "memory");
	hypercall(TEST_HC_DROP, TEST_RO, TEST_SLOT_SIZE, 0);
	check_eq(probe_enter(&p, (probe_fn)(TEST_RO + 3 * PAGE), 0, 0, 0), 0);
	check_eq(p.result, 42);
	dropped(st8, TEST_RO + 3 * PAGE, 0, 8);
	check_eq(probe_enter(&p, (probe_fn)(TEST_RO + 3 * PAGE), 0, 0, 0), 0);
	check_eq(p.result, 42);
}

/* The syndrome does not describe these: nothing can emulate them, so they must abort. */
static void ro_undescribed(void)
{
	static const probe_fn writes[] = { st_pair, st8_pre, dc_zva };
	uint64_t before = count(TEST_COUNT_RO_WRITES);
	struct probe p;

	for (unsigned int i = 0; i < 3; i++) {
		uint64_t addr = TEST_RO + 0x800 + i * PAGE; /* aligned for DC ZVA */
		uint64_t was = peek(addr);

		for (int again = 0; again < 2; again++) {
			int taken = probe_enter(&p, writes[i], addr, 5, 6);

			check_abort(taken, &p, ABORT_WRITE, addr, writes[i]);
			check_eq(peek(addr), was);
		}
	}
	check_eq(count(TEST_COUNT_RO_WRITES), before);
}

static void ro_atomics(void)
{
	uint64_t addr = TEST_RO + 0x80, was = peek(addr);
	struct probe p;
	int taken;

	taken = probe_enter(&p, ldadd8, addr, 1, 0);
	check_abort(taken, &p, ABORT_WRITE | ABORT_ANY_WNR, addr, ldadd8);
	taken = probe_enter(&p, swp1, addr + 3, 1, 0);
	check_abort(taken, &p, ABORT_WRITE | ABORT_ANY_WNR, addr + 3, swp1);
	check_eq(peek(addr), was);
}

/* A store-exclusive may fail or abort there; it must not succeed, nor go round forever. */
static void ro_exclusive(void)
{
	uint64_t addr = TEST_RO + 0x88, was = peek(addr);
	struct probe p;
	int taken = probe_enter(&p, exclusive_add8, addr, 1, 0);

	check_abort(taken, &p, ABORT_WRITE, addr, ANY_ELR);
	check_eq(peek(addr), was);
}

/* Unaligned accesses over the edges of pages, from both sides, to pages never touched. */
static void page_edges(void)
{
	uint64_t addr = fresh(64 * PAGE);

	for (uint64_t i = 1; i < 63; i++) {
		uint64_t at = addr + i * PAGE - i % 7 - 1, value = i * 0x0123456789abcdull;

		if (i & 1)
			check_eq(ld8(at, 0, 0), 0);
		st8(at, value, 0);
		check_eq(ld8(at, 0, 0), value);
		check_eq(ld1(at + 7, 0, 0), value >> 56);
	}
	if (!machine.hyp)
		return;
	/* The neighbours are in different states: one gone, one there. */
	for (uint64_t i = 1; i < 63; i++) {
		uint64_t at = addr + i * PAGE - i % 7 - 1, value = i * 0x0123456789abcdull;

		hypercall(TEST_HC_DROP, addr + (i - (i >> 1 & 1)) * PAGE, PAGE, 0);
		check_eq(ld8(at, 0, 0), value);
		st8(at, ~value, 0);
		check_eq(ld8(at, 0, 0), ~value);
	}
}

/* From RAM into the read-only slot: aborts or is dropped, but the slot keeps its content. */
static void edge_to_readonly(void)
{
	uint64_t at = TEST_RO - 4, before, after;
	struct probe p;

	hypercall(TEST_HC_DROP, TEST_RAM, 2 * TEST_SLOT_SIZE, 0);
	poke(TEST_RAM, 0x1111111122222222);
	poke(TEST_RO - 8, 0);
	check_eq(ld8(at, 0, 0), 0x2222222200000000);
	before = peek(TEST_RO);
	(void)probe_enter(&p, st8, at, ~0ull, 0);
	after = peek(TEST_RO);
	check_eq(after, before);
	/* What stands before the edge may or may not have been written; nothing else. */
	check(peek(TEST_RO - 8) == 0 || peek(TEST_RO - 8) == 0xffffffff00000000);
}

static void edge_to_hole(void)
{
	for (uint64_t back = 1; back < 8; back++) {
		struct probe p;
		uint64_t at = TEST_EDGE - back;
		int taken = probe_enter(&p, ld8, at, 0, 0);

		/* FAR names any byte of the access that has no memory, or its first. */
		if (taken && p.far >= at && p.far < at + 8)
			p.far = TEST_EDGE;
		check_abort(taken, &p, 0, TEST_EDGE, ld8);
		at = machine.ram_base - back;
		taken = probe_enter(&p, st8, at, peek(machine.ram_base), 0);
		if (taken && p.far >= at && p.far < at + 8)
			p.far = at;
		check_abort(taken, &p, ABORT_WRITE, at, st8);
	}
}

const struct test slot_tests[] = {
	{ "reads of a read-only slot", ro_reads, NEED_HYP },
	{ "writes to a read-only slot are seen and dropped", ro_writes, NEED_HYP },
	{ "execution from a read-only slot", ro_executes, NEED_HYP },
	{ "undescribed writes to a read-only slot abort", ro_undescribed, NEED_HYP },
	{ "atomics on a read-only slot abort", ro_atomics, NEED_HYP | NEED_LSE },
	{ "store-exclusive to a read-only slot aborts", ro_exclusive, NEED_HYP },
	{ "unaligned accesses over the edges of untouched pages", page_edges, 0 },
	{ "unaligned write from RAM into a read-only slot", edge_to_readonly, NEED_HYP },
	{ "unaligned accesses from memory into no slot", edge_to_hole, NEED_HYP },
	{ NULL, NULL, 0 },
};
