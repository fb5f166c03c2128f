/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cache and TLB maintenance by the guest, on memory that is mapped, unmapped, or not there.
 */
#include "access.h"

static void by_address(void)
{
	static const probe_fn list[] = { dc_civac, dc_cvac, dc_cvau, ic_ivau, dc_ivac };
	uint64_t base = fresh(8 * PAGE);
	struct probe p;

	for (unsigned int i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		uint64_t page = base + i * PAGE;

		check_eq(probe_enter(&p, list[i], page + 64, 0, 0), 0);
		/* Clean before invalidating: what was written must stay. */
		poke(page + 64, i + 1);
		check_eq(probe_enter(&p, dc_civac, page + 64, 0, 0), 0);
		check_eq(probe_enter(&p, list[i], page + 64, 0, 0), 0);
		check_eq(peek(page + 64), i + 1);
	}
}

/* On a read-only slot they are reads: DC CIVAC and others report themselves as writes. */
static void on_readonly(void)
{
	static const probe_fn list[] = { dc_civac, dc_cvac, dc_cvau, ic_ivau };
	uint64_t writes = hypercall(TEST_HC_COUNT, TEST_COUNT_RO_WRITES, 0, 0);
	struct probe p;

	for (unsigned int i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		hypercall(TEST_HC_DROP, TEST_RO, TEST_SLOT_SIZE, 0);
		check_eq(probe_enter(&p, list[i], TEST_RO + i * PAGE, 0, 0), 0);
		check_eq(probe_enter(&p, list[i], TEST_RO + i * PAGE, 0, 0), 0);
	}
	check_eq(hypercall(TEST_HC_COUNT, TEST_COUNT_RO_WRITES, 0, 0), writes);
}

/* Where nothing is: an abort or nothing, but the guest goes on. */
static void on_hole(void)
{
	static const probe_fn list[] = { dc_civac, dc_cvac, dc_cvau, ic_ivau, dc_ivac };
	struct probe p;

	for (unsigned int i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		int taken = probe_enter(&p, list[i], TEST_HOLE + 64, 0, 0);

		if (taken)
			check_abort(taken, &p, ABORT_WRITE | ABORT_ANY_WNR, TEST_HOLE + 64,
				    list[i]);
	}
}

/* As firmware and old kernels do: level 1 data cache, every set and way. */
static void set_way(void)
{
	uint64_t ccsidr, sets, ways, shift;

	write_sysreg(0, csselr_el1);
	ccsidr = read_sysreg(ccsidr_el1);
	sets = (ccsidr >> 13 & 0x7fff) + 1;
	ways = (ccsidr >> 3 & 0x3ff) + 1;
	shift = (ccsidr & 7) + 4;
	uint64_t page = fresh(PAGE), way_shift = 32;

	while (way_shift && 1ull << (32 - way_shift) < ways)
		way_shift--;
	poke(page, 0x5e7);
	for (uint64_t way = 0; way < ways && way < 4; way++)
		for (uint64_t set = 0; set < sets && set < 64; set++)
			__asm__ volatile("dc cisw, %0"
					 :
					 : "r"(way << way_shift | set << shift)
					 : "memory");
	__asm__ volatile("dsb sy\n\tisb" ::: "memory");
	check_eq(peek(page), 0x5e7);
}

static void tlb(void)
{
	uint64_t page = fresh(4 * PAGE);

	for (unsigned int i = 0; i < 4; i++) {
		uint64_t addr = page + i * PAGE;

		poke(addr, i + 7);
		switch (i) {
		case 0:
			__asm__ volatile("tlbi vmalle1" ::: "memory");
			break;
		case 1:
			__asm__ volatile("tlbi vmalle1is" ::: "memory");
			break;
		case 2:
			__asm__ volatile("tlbi vaae1is, %0" : : "r"(addr >> 12) : "memory");
			break;
		default:
			__asm__ volatile("tlbi aside1is, %0\n\tic iallu\n\tic ialluis"
					 :
					 : "r"(0ull)
					 : "memory");
		}
		__asm__ volatile("dsb ish\n\tisb" ::: "memory");
		check_eq(peek(addr), i + 7);
	}
}

/* The guest remaps its own page: its break-before-make must work under stage 2. */
static void own_remap(void)
{
	uint64_t pages = fresh(8 * PAGE), va = 0;

	for (uint64_t n = 0; n < 8; n++)
		poke(pages + n * PAGE, n);
	for (uint64_t n = 0; n < 64; n++) {
		va = window(3, pages + n % 8 * PAGE, 0);
		check_eq(peek(va), n % 8);
	}
}

static void zva(void)
{
	uint64_t dczid = read_sysreg(dczid_el0), size = 4ull << (dczid & 0xf);
	uint64_t base = fresh(4 * PAGE);
	struct probe p;

	if (dczid & 0x10)
		return;
	for (uint64_t n = 0; n < 4; n++) {
		uint64_t block = base + n * PAGE + 2 * size;

		if (n & 1) {
			poke(block - 8, 1);
			poke(block, 2);
			poke(block + size, 3);
		}
		check_eq(probe_enter(&p, dc_zva, block + 24, 0, 0), 0);
		check_eq(peek(block), 0);
		check_eq(peek(block + size - 8), 0);
		check_eq(peek(block - 8), n & 1);
		check_eq(peek(block + size), n & 1 ? 3 : 0);
	}
}

/* AT of an address that stage 1 maps and stage 2 has not yet: PAR has the guest's address. */
static void at_unmapped(void)
{
	uint64_t page = fresh(PAGE);

	at_s1e1r(page + 0x123, 0, 0);
	check_eq(read_sysreg(par_el1) & 0xfffffffff001, page);
	at_s1e1w(page + 0x123, 0, 0);
	check_eq(read_sysreg(par_el1) & 0xfffffffff001, page);
	/* And of one that stage 1 does not map: a fault in PAR, no exception. */
	window_close(5);
	at_s1e1r((511ull << 30) + 5 * PAGE, 0, 0);
	check_eq(read_sysreg(par_el1) & 1, 1);
}

const struct test maint_tests[] = {
	{ "cache maintenance by address on untouched memory", by_address, 0 },
	{ "cache maintenance on a read-only slot", on_readonly, NEED_HYP },
	{ "cache maintenance where nothing is", on_hole, NEED_HYP },
	{ "cache maintenance by set and way", set_way, 0 },
	{ "TLB and instruction cache maintenance", tlb, 0 },
	{ "the guest remaps its own pages", own_remap, 0 },
	{ "DC ZVA on untouched memory", zva, 0 },
	{ "AT of an address that is not mapped", at_unmapped, 0 },
	{ NULL, NULL, 0 },
};
