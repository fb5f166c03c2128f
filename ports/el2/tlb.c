// SPDX-License-Identifier: BSD-2-Clause
/*
 * Second-stage invalidation by the book (DDI 0487, chapter D8, TLB maintenance):
 *
 *	DSB ISHST	the new entries are visible to the walkers of all CPUs
 *	TLBI IPAS2...	stage 2 by address, level or range
 *	DSB ISH		... is complete before
 *	TLBI VMALLE1IS	the combined entries of stage 1+2 and what is cached of stage 1 go: they
 *			are tagged by VA, so an invalidation by IPA does not find them (ILRXYX)
 *	DSB ISH; ISB
 *
 * TLBI VMALLS12E1IS takes both stages of a VMID at once: what it covers needs no second step.
 *
 * Operations that only concern the calling CPU use the local forms and NSH. TLBIs act on the VMID
 * in VTTBR_EL2: when that is another's, ours is put there for the time, with an ISB on each side.
 * Operations of one call are carried out together, with one set of barriers: the caller only
 * learns of their end.
 *
 * Operands are in units of 4K whatever the granule, those by range in units of the granule. Our
 * level 0 is the manual's level 3. A hint of the manual's level 0 does not exist without LPA2, and
 * trees of this library have none.
 */
#include "el2.h"
#include "tlb.h"

#include <insn.h>

_Static_assert(INSN_LEAF == (unsigned int)S2_TLB_LEAF && INSN_LOCAL == (unsigned int)S2_TLB_LOCAL,
	       "flags are passed through");

/* Encoding of a granule in TTL and TG: 4K 1, 16K 2, 64K 3. */
static uint64_t granule(const struct s2_tlb_op *op)
{
	return op->page_shift / 2u - 5;
}

/*
 * The manual's level, or 0 where no hint can be given (a hint of level 0 means none). The engine
 * says no level to a CPU that takes no hints.
 */
static uint64_t arm_level(const struct s2_tlb_op *op)
{
	return op->level > 2 ? 0 : 3u - op->level;
}

static inline void tlbi_one(const struct s2_tlb_op *op, uint64_t gpa)
{
	uint64_t operand = gpa >> 12 & ((1ull << 40) - 1);

	if (arm_level(op))
		operand |= (granule(op) << 2 | arm_level(op)) << 44;
	insn_tlbi_ipa(op->flags, operand);
}

/* Limits of BaseADDR's unit are the granule's: ranges are whole pages by contract. */
static void tlbi_range(const struct s2_tlb_op *op)
{
	uint64_t page = op->gpa.gpa >> op->page_shift;
	uint64_t pages = op->size >> op->page_shift;

	while (pages) {
		unsigned int scale = 3;
		uint64_t num;

		while (scale && pages >> (5 * scale + 1) == 0)
			scale--;
		num = pages >> (5 * scale + 1);
		if (num == 0) /* a single page is less than a range can say */
			num = 1;
		if (num > 32)
			num = 32;
		insn_tlbi_ipa(op->flags | INSN_RANGE,
			      granule(op) << 46 | (uint64_t)scale << 44 | (num - 1) << 39 |
				      arm_level(op) << 37 | (page & ((1ull << 37) - 1)));
		page += num << (5 * scale + 1);
		pages -= pages < num << (5 * scale + 1) ? pages : num << (5 * scale + 1);
	}
}

/*
 * A range without the range instructions: leaf by leaf where all leaves are of one known size and
 * no table went, else page by page. Beyond this many steps the whole VMID is cheaper.
 */
#define STEPS_MAX 512

/* Returns as tlbi_op(). */
static unsigned int tlbi_steps(const struct s2_tlb_op *op)
{
	unsigned int known = op->flags & S2_TLB_LEAF && op->level < 3;
	uint64_t step = 1ull << (op->page_shift + (known ? op->level * (op->page_shift - 3u) : 0));
	uint64_t gpa = op->gpa.gpa & ~(step - 1);
	uint64_t end = op->gpa.gpa + op->size;

	if ((end - gpa) / step > STEPS_MAX) {
		insn_tlbi_vmalls12(op->flags);
		return 0;
	}
	for (; gpa < end; gpa += step)
		tlbi_one(op, gpa);
	return 1;
}

/* Returns whether entries of stage 1 are left to do: this was by IPA. */
static unsigned int tlbi_op(const struct el2_port *el2, const struct s2_tlb_op *op)
{
	if (op->kind == S2_TLB_ALL) {
		insn_tlbi_vmalls12(op->flags);
		return 0;
	}
	if (op->kind == S2_TLB_RANGE && !(el2->cpu.features & S2_CPU_TLB_RANGE))
		return tlbi_steps(op);
	if (op->kind == S2_TLB_RANGE)
		tlbi_range(op);
	else
		tlbi_one(op, op->gpa.gpa);
	return 1;
}

/* What comes after the invalidations; by_ipa: any of them was. */
static inline void settle(unsigned int local, unsigned int by_ipa)
{
	insn_dsb(local ? INSN_NSH : INSN_ISH);
	if (by_ipa) {
		insn_tlbi_vmalle1(local);
		insn_dsb(local ? INSN_NSH : INSN_ISH);
	}
	insn_isb();
}

/* From the one to the other, for the instructions that follow. */
static void vttbr_switch(uint64_t old, uint64_t vttbr)
{
	if (old != vttbr) {
		insn_write_vttbr(vttbr);
		insn_isb();
	}
}

static __attribute__((noinline)) void invalidate(const struct el2_port *el2,
						 const struct s2_tlb_op *ops, size_t n)
{
	const struct s2_tlb_op *op = ops, *end = ops + n;
	unsigned int local = S2_TLB_LOCAL; /* all of them */
	uint64_t old = insn_read_vttbr();
	unsigned int by_ipa = 0;

	vttbr_switch(old, el2->vttbr);
	do {
		if (op->kind == S2_TLB_PUBLISH)
			continue;
		local &= op->flags;
		by_ipa |= tlbi_op(el2, op);
	} while (++op < end);
	settle(local, by_ipa);
	vttbr_switch(el2->vttbr, old);
}

void el2_tlb(void *ctx, const struct s2_tlb_op *ops, size_t n)
{
	const struct el2_port *el2 = ctx;

	/* Pairs with the walkers' reads of the tables; for PUBLISH nothing more is owed. */
	insn_dsb(INSN_ISHST);
	for (; n && ops->kind == S2_TLB_PUBLISH; n--)
		ops++;
	/* A fault owes one entry at most, under its own VMID: that case gets by without a loop. */
	if (n == 1 && ops->kind == S2_TLB_ENTRY && insn_read_vttbr() == el2->vttbr) {
		tlbi_one(ops, ops->gpa.gpa);
		settle(ops->flags & S2_TLB_LOCAL, 1);
	} else if (n) {
		invalidate(el2, ops, n);
	}
}
