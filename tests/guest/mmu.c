/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's own stage 1, 4K granule.
 *
 * TTBR0, 39 bits: everything below 256 GiB is mapped to itself by 1 GiB blocks (the first as
 * device memory, the rest as normal, writable and executable: the test guest has no secrets); the
 * topmost GiB holds the windows, single pages that show any address with any attributes. The tables
 * are static and change on CPU 0 only, with break-before-make. TTBR1, 48 bits, is free for the
 * tests of table walks, which lay out their own tables where they want to see them fail.
 *
 * Memory for the tests is handed out upwards from the end of the image and never comes back.
 */
#include "guest.h"

#define VALID     1ull
#define TABLE     3ull
#define ATTR_DEV  (0ull << 2)
#define ATTR_MEM  (1ull << 2)
#define ATTR_NC   (2ull << 2)
#define AP_USER   (1ull << 6)
#define AP_RO     (1ull << 7)
#define INNER     (3ull << 8)
#define AF        (1ull << 10)
#define PXN       (1ull << 53)
#define UXN       (1ull << 54)
#define MAIR      0x44ff00ull
#define GIB       (1ull << 30)
#define WINDOW_VA (511 * GIB)

#define TCR_T0SZ    25ull
#define TCR_T1SZ    (16ull << 16)
#define TCR_CACHED  (0x3500ull | 0x3500ull << 16) /* walks: write-back, inner shareable */
#define TCR_TG1_4K  (2ull << 30)
#define TCR_EPD1    (1ull << 23)
#define SCTLR_RES1  0x30d00800ull
#define SCTLR_M_C_I 0x1005ull

static uint64_t root[512] __attribute__((aligned(PAGE)));
static uint64_t window_dir[512] __attribute__((aligned(PAGE)));
static uint64_t window_pages[512] __attribute__((aligned(PAGE)));
static uint64_t arena_next;
static uint64_t tcr;

uint64_t table_entry(uint64_t gpa)
{
	return gpa | TABLE;
}

uint64_t page_entry(uint64_t gpa)
{
	return gpa | TABLE | ATTR_MEM | INNER | AF | UXN;
}

void mmu_init(void)
{
	uint64_t pa_range = read_sysreg(id_aa64mmfr0_el1) & 0xf;

	root[0] = VALID | ATTR_DEV | AF | PXN | UXN;
	for (uint64_t i = 1; i < 256; i++)
		root[i] = i * GIB | VALID | ATTR_MEM | INNER | AF | UXN;
	root[511] = table_entry((uint64_t)window_dir);
	window_dir[0] = table_entry((uint64_t)window_pages);
	tcr = TCR_T0SZ | TCR_T1SZ | TCR_CACHED | TCR_TG1_4K | TCR_EPD1 |
	      (pa_range > 5 ? 5 : pa_range) << 32;
	arena_next = ((uint64_t)image_end + PAGE - 1) & ~(PAGE - 1);
}

void mmu_enable(void)
{
	write_sysreg(MAIR, mair_el1);
	write_sysreg(tcr, tcr_el1);
	write_sysreg(root, ttbr0_el1);
	mmu_switch(SCTLR_RES1 | SCTLR_M_C_I);
}

static void invalidate(uint64_t va)
{
	__asm__ volatile("dsb ishst\n\ttlbi vaae1is, %0\n\tdsb ish\n\tisb"
			 :
			 : "r"(va >> 12 & 0xfffffffffffull)
			 : "memory");
}

uint64_t window(unsigned int n, uint64_t gpa, unsigned int flags)
{
	uint64_t entry = (gpa & ~(PAGE - 1)) | TABLE | AF;

	if (flags & WINDOW_DEVICE)
		entry |= ATTR_DEV;
	else
		entry |= (flags & WINDOW_NC ? ATTR_NC : ATTR_MEM) | INNER;
	/* What EL0 may write EL1 cannot execute anyway. */
	entry |= flags & WINDOW_USER ? AP_USER | PXN : UXN;
	if (flags & WINDOW_READONLY)
		entry |= AP_RO;
	window_close(n);
	*(volatile uint64_t *)&window_pages[n] = entry;
	__asm__ volatile("dsb ishst\n\tisb" ::: "memory");
	return WINDOW_VA + n * PAGE + (gpa & (PAGE - 1));
}

void window_close(unsigned int n)
{
	if (n >= WINDOWS)
		bail("window number");
	*(volatile uint64_t *)&window_pages[n] = 0;
	invalidate(WINDOW_VA + n * PAGE);
}

uint64_t arena(uint64_t size)
{
	uint64_t addr = arena_next;

	size = (size + PAGE - 1) & ~(PAGE - 1);
	arena_next += size;
	if (arena_next > machine.ram_base + machine.ram_size)
		bail("out of memory for the tests");
	memset((void *)addr, 0, size);
	return addr;
}

uint64_t fresh(uint64_t size)
{
	uint64_t addr = arena(size);

	if (machine.hyp)
		hypercall(TEST_HC_DROP, addr, (size + PAGE - 1) & ~(PAGE - 1), 0);
	return addr;
}

void high_tables(uint64_t high_root, uint64_t tcr_extra)
{
	write_sysreg(high_root, ttbr1_el1);
	write_sysreg((tcr & ~TCR_EPD1) | tcr_extra, tcr_el1);
	__asm__ volatile("dsb ishst\n\ttlbi vmalle1\n\tdsb nsh\n\tisb" ::: "memory");
}

void high_off(void)
{
	write_sysreg(tcr, tcr_el1);
	__asm__ volatile("tlbi vmalle1\n\tdsb nsh\n\tisb" ::: "memory");
}
