// SPDX-License-Identifier: BSD-2-Clause
/*
 * The hypervisor's own translation (EL2, stage 1): identity, 4K granule, 39 bits, caches on.
 *
 * No page is writable and executable (SCTLR_EL2.WXN makes sure of it), nothing outside the text is
 * executable, and what is not named here is not mapped: the guard pages under the stacks, page 0,
 * devices that are the guest's, RAM that belongs to nobody.
 *
 * mmu_build() runs with the MMU off, so everything it touches is in memory. mmu_map() may add to
 * the live tables, by the boot CPU before any other one runs: invalid entries become valid, which
 * needs no invalidation, only a DSB and an ISB.
 */
#include "hyp.h"
#include "sysreg.h"

#define PAGE       4096ull
#define TABLES     24
#define VA_BITS    39
#define DESC_PAGE  3ull /* a table or, at the last level, a page */
#define DESC_BLOCK 1ull
#define DESC_RO    (1ull << 7)
#define DESC_SH    (3ull << 8)
#define DESC_AF    (1ull << 10)
#define DESC_XN    (1ull << 54)
#define DESC_ADDR  0x0000fffffffff000ull
/* AP[1] is RES1 in a regime of one privilege level. */
#define DESC_AP1   (1ull << 6)

#define MAIR_DEVICE 0x04ull /* index 0: nGnRE */
#define MAIR_NORMAL 0xffull /* index 1: write-back, allocating */
#define NORMAL      (1ull << 2 | DESC_SH)

/* T0SZ, write-back inner shareable walks, RES1. */
#define TCR_VALUE \
	((64ull - VA_BITS) | 1ull << 8 | 1ull << 10 | 3ull << 12 | 1ull << 31 | 1ull << 23)
/* RES1, and M, C, SA, I, WXN. Not A: libfdt.a of the distribution reads unaligned words. */
#define SCTLR_VALUE (0x30c50830ull | 1ull << 0 | 1ull << 2 | 1ull << 3 | 1ull << 12 | 1ull << 19)

struct hyp_mmu_regs hyp_mmu_regs;

static uint64_t tables[TABLES][PAGE / 8] __attribute__((aligned(4096)));
static unsigned int tables_used;

_Static_assert(offsetof(struct hyp_mmu_regs, mair) == MMU_MAIR, "asm.h");
_Static_assert(offsetof(struct hyp_mmu_regs, tcr) == MMU_TCR, "asm.h");
_Static_assert(offsetof(struct hyp_mmu_regs, ttbr) == MMU_TTBR, "asm.h");
_Static_assert(offsetof(struct hyp_mmu_regs, sctlr) == MMU_SCTLR, "asm.h");

/* Hands report.h's addresses to the linker script, which checks them. */
__attribute__((used, noinline)) static void layout(void)
{
	__asm__(".globl hyp_layout_image, hyp_layout_report\n\t"
		".set hyp_layout_image, %c0\n\t"
		".set hyp_layout_report, %c1"
		:
		: "i"(HYP_IMAGE_BASE), "i"(HYP_REPORT_BASE));
}

static uint64_t attributes(enum mmu_kind kind)
{
	switch (kind) {
	case MMU_TEXT:
		return DESC_AF | DESC_AP1 | NORMAL | DESC_RO;
	case MMU_RODATA:
		return DESC_AF | DESC_AP1 | NORMAL | DESC_RO | DESC_XN;
	case MMU_DATA:
		return DESC_AF | DESC_AP1 | NORMAL | DESC_XN;
	case MMU_DEVICE:
	default:
		return DESC_AF | DESC_AP1 | DESC_XN;
	}
}

static uint64_t *table_below(uint64_t *entry)
{
	if (!(*entry & 1)) {
		if (tables_used == TABLES)
			hyp_end(HYP_END_ERROR, "too few tables for the hypervisor's own map");
		*entry = (uint64_t)tables[tables_used++] | DESC_PAGE;
	}
	return (uint64_t *)(*entry & DESC_ADDR);
}

/* Maps the largest leaf that starts at base; returns its size. What is mapped already stays. */
static uint64_t map_leaf(uint64_t base, uint64_t size, uint64_t attr)
{
	uint64_t *table = tables[0];

	for (unsigned int shift = 30;; shift -= 9) {
		uint64_t leaf = 1ull << shift;
		uint64_t *entry = &table[base >> shift & 511];
		/* A block that holds this address, from an earlier call. */
		int block = shift > 12 && (*entry & 3) == DESC_BLOCK;

		if (!(*entry & 1) && base % leaf == 0 && size >= leaf)
			*entry = base | attr | (shift == 12 ? DESC_PAGE : DESC_BLOCK);
		else if (!block && shift > 12) {
			table = table_below(entry);
			continue;
		}
		return leaf - (base & (leaf - 1));
	}
}

void mmu_map(uint64_t base, uint64_t size, enum mmu_kind kind)
{
	uint64_t at = base & ~(PAGE - 1);
	uint64_t end = (base + size + PAGE - 1) & ~(PAGE - 1);

	if (end < at || end > 1ull << VA_BITS)
		hyp_end(HYP_END_ERROR, "memory at 0x%llx is beyond the hypervisor's map",
			(unsigned long long)base);
	while (at < end) {
		uint64_t done = map_leaf(at, end - at, attributes(kind));

		at = end - at < done ? end : at + done;
	}
	dsb(ishst);
	isb();
}

void mmu_build(void)
{
	extern char __text[], __rodata[], __data[], __stacks[];
	unsigned int pa = id_field(id_read(ID_AA64MMFR0), ID_AA64MMFR0_PA);

	tables_used = 1;
	mmu_map((uint64_t)__text, (uint64_t)(__rodata - __text), MMU_TEXT);
	mmu_map((uint64_t)__rodata, (uint64_t)(__data - __rodata), MMU_RODATA);
	mmu_map((uint64_t)__data, (uint64_t)(__stacks - __data), MMU_DATA);
	for (uint32_t i = 0; i < HYP_MAX_CPUS; i++) {
		mmu_map(hyp_cpus[i].crash - CRASH_SIZE, CRASH_SIZE, MMU_DATA);
		mmu_map(hyp_cpus[i].stack - STACK_SIZE, STACK_SIZE, MMU_DATA);
	}
	mmu_map(HYP_REPORT_BASE, HYP_REPORT_SIZE, MMU_DATA);
	hyp_mmu_regs.mair = MAIR_DEVICE | MAIR_NORMAL << 8;
	hyp_mmu_regs.tcr = TCR_VALUE | (pa > 5 ? 5ull : pa) << 16;
	hyp_mmu_regs.ttbr = (uint64_t)tables[0];
	hyp_mmu_regs.sctlr = SCTLR_VALUE;
}
