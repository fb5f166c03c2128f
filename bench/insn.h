/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In the place of ports/el2/insn.h: the port's instructions, counted instead of executed, so that
 * the port's real tlb() runs under the clock on any computer. A count is one addition to a line of
 * the thread's own, the same as our peers pay.
 */
#ifndef BENCH_INSN_H
#define BENCH_INSN_H

#include "subject.h"

enum insn_tlbi {
	INSN_LEAF = 1u << 0,
	INSN_LOCAL = 1u << 1,
	INSN_RANGE = 1u << 2,
};

enum insn_barrier {
	INSN_NSH,
	INSN_ISH,
	INSN_ISHST,
	INSN_SY,
};

/* Where the calling thread counts. */
extern __thread struct bench_count *insn_count;

static inline void insn_tlbi_ipa(unsigned int how, uint64_t operand)
{
	__asm__ volatile("" : : "r"(operand) : "memory"); /* it is computed, as on the real CPU */
	if (how & INSN_RANGE)
		insn_count->tlbi_range++;
	else
		insn_count->tlbi_entry++;
}

static inline void insn_tlbi_vmalls12(unsigned int how)
{
	(void)how;
	insn_count->tlbi_all++;
}

static inline void insn_tlbi_vmalle1(unsigned int how)
{
	(void)how;
	insn_count->tlbi_stage1++;
}

static inline void insn_dsb(enum insn_barrier what)
{
	switch (what) {
	case INSN_ISHST:
		insn_count->dsb_ishst++;
		break;
	case INSN_ISH:
		insn_count->dsb_ish++;
		break;
	default:
		insn_count->dsb_other++;
		break;
	}
}

static inline void insn_isb(void)
{
}

/* The tree's own VMID is the current one, as in a guest's exit. */
static inline uint64_t insn_read_vttbr(void)
{
	return 0;
}

static inline void insn_write_vttbr(uint64_t value)
{
	(void)value;
}

#endif
