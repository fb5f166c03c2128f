/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exits to be counted from outside (tests/exits/run): EXITS of each kind, one after the other, on
 * memory at the end of RAM that nothing else uses. Which kinds of faults there are depends on
 * whether the hypervisor maps pages or blocks, which the first touch tells.
 *
 * The guest does what it says and prints nothing but trouble; counting is all done outside.
 */
#include "guest.h"

#define EXITS          32 /* of each kind; tests/exits/run has the same number */
#define BLOCK          0x200000ull
#define NULL_HYPERCALL 0x86000000ull /* a function of a hypervisor vendor that none has */
#define PROT_W         2

uint64_t exit_hypercall(uint64_t function, uint64_t b);
uint64_t exit_mmio_read(uint64_t addr, uint64_t b);
uint64_t exit_mmio_write(uint64_t addr, uint64_t b);
uint64_t exit_map_page(uint64_t addr, uint64_t b);
uint64_t exit_map_page_table(uint64_t addr, uint64_t b);
uint64_t exit_map_block(uint64_t addr, uint64_t b);
uint64_t exit_relax_page(uint64_t addr, uint64_t b);
uint64_t exit_relax_block(uint64_t addr, uint64_t b);

static uint64_t leaf_level(uint64_t gpa)
{
	uint64_t regs[4] = { TEST_HC_LOOKUP, gpa };

	check_eq(hvc(regs), 0);
	return regs[3] >> 16 & 0xff;
}

static void calls(void)
{
	for (unsigned int i = 0; i < EXITS; i++)
		if ((int32_t)exit_hypercall(NULL_HYPERCALL, 0) != -1)
			bail("somebody knows the null hypercall");
}

static void mmio(void)
{
	uint64_t reg = TEST_MMIO + TEST_REG_SCRATCH;

	for (unsigned int i = 0; i < EXITS; i++)
		exit_mmio_write(reg, i);
	for (unsigned int i = 0; i < EXITS; i++)
		if (exit_mmio_read(reg, 0) != EXITS - 1)
			bail("the device lost what was written");
}

/* EXITS blocks at `at`, and one more that was touched. */
static void blocks(uint64_t at)
{
	for (unsigned int i = 1; i <= EXITS; i++)
		exit_map_block(at + i * BLOCK, 1);
	hypercall(TEST_HC_PROTECT, at, (EXITS + 1) * BLOCK, PROT_W);
	for (unsigned int i = 1; i <= EXITS; i++)
		exit_relax_block(at + i * BLOCK, 2);
}

/* The first page of each of EXITS regions without a table, then others of the touched region. */
static void pages(uint64_t at)
{
	for (unsigned int i = 1; i <= EXITS; i++)
		exit_map_page_table(at + i * BLOCK, 1);
	for (unsigned int i = 1; i <= EXITS; i++)
		exit_map_page(at + i * 7 * PAGE, 1);
	hypercall(TEST_HC_PROTECT, at, BLOCK, PROT_W);
	for (unsigned int i = 1; i <= EXITS; i++)
		exit_relax_page(at + i * 7 * PAGE, 2);
}

void exits_run(void)
{
	uint64_t end = machine.ram_base + machine.ram_size;
	uint64_t at = (end & ~(BLOCK - 1)) - (EXITS + 1) * BLOCK;

	calls();
	mmio();
	poke(at, 1);
	if (leaf_level(at))
		blocks(at);
	else
		pages(at);
}
