/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instructions that the port consists of, and nothing else: each is in one place, so that who
 * must see them can put a file of the same name in front of this one (it is included as <insn.h>):
 * a test that runs the port's logic on another machine, or a hypervisor that records what it does.
 *
 * Every wrapper is a compiler barrier. Nothing here orders anything beyond what the one instruction
 * does; what must come before and after is its caller's matter.
 */
#ifndef PORTS_EL2_INSN_H
#define PORTS_EL2_INSN_H

#include <stdint.h>

/* Forms of the TLBIs by address. */
enum insn_tlbi {
	INSN_LEAF = 1u << 0,  /* last level only */
	INSN_LOCAL = 1u << 1, /* this CPU only; else the inner shareable domain */
	INSN_RANGE = 1u << 2, /* FEAT_TLBIRANGE */
};

enum insn_barrier {
	INSN_NSH,
	INSN_ISH,
	INSN_ISHST,
	INSN_SY,
};

/* SYS encodings: the assembler of armv8.0 does not know the ranges. */
#define INSN_SYS(what, operand) __asm__ volatile("sys " what ", %0" : : "r"(operand) : "memory")

/* TLBI [R]IPAS2[L]E1[IS]; `how` is enum insn_tlbi, `operand` the register. */
static inline void insn_tlbi_ipa(unsigned int how, uint64_t operand)
{
	if (how & INSN_RANGE) {
		if (how & INSN_LOCAL && how & INSN_LEAF)
			INSN_SYS("#4, c8, c4, #6", operand);
		else if (how & INSN_LOCAL)
			INSN_SYS("#4, c8, c4, #2", operand);
		else if (how & INSN_LEAF)
			INSN_SYS("#4, c8, c0, #6", operand);
		else
			INSN_SYS("#4, c8, c0, #2", operand);
	} else {
		if (how & INSN_LOCAL && how & INSN_LEAF)
			INSN_SYS("#4, c8, c4, #5", operand);
		else if (how & INSN_LOCAL)
			INSN_SYS("#4, c8, c4, #1", operand);
		else if (how & INSN_LEAF)
			INSN_SYS("#4, c8, c0, #5", operand);
		else
			INSN_SYS("#4, c8, c0, #1", operand);
	}
}

/* Both stages of the current VMID; `how` is 0 or INSN_LOCAL. */
static inline void insn_tlbi_vmalls12(unsigned int how)
{
	if (how & INSN_LOCAL)
		__asm__ volatile("tlbi vmalls12e1" : : : "memory");
	else
		__asm__ volatile("tlbi vmalls12e1is" : : : "memory");
}

/* Stage 1 of the current VMID, and what is combined with stage 2; `how` is 0 or INSN_LOCAL. */
static inline void insn_tlbi_vmalle1(unsigned int how)
{
	if (how & INSN_LOCAL)
		__asm__ volatile("tlbi vmalle1" : : : "memory");
	else
		__asm__ volatile("tlbi vmalle1is" : : : "memory");
}

static inline void insn_dsb(enum insn_barrier what)
{
	switch (what) {
	case INSN_NSH:
		__asm__ volatile("dsb nsh" : : : "memory");
		break;
	case INSN_ISH:
		__asm__ volatile("dsb ish" : : : "memory");
		break;
	case INSN_ISHST:
		__asm__ volatile("dsb ishst" : : : "memory");
		break;
	case INSN_SY:
		__asm__ volatile("dsb sy" : : : "memory");
		break;
	}
}

static inline void insn_isb(void)
{
	__asm__ volatile("isb" : : : "memory");
}

/* The line that holds the address, to the point of coherency; unification. */
static inline void insn_dc_civac(uint64_t address)
{
	__asm__ volatile("dc civac, %0" : : "r"(address) : "memory");
}

static inline void insn_dc_cvau(uint64_t address)
{
	__asm__ volatile("dc cvau, %0" : : "r"(address) : "memory");
}

static inline void insn_ic_ialluis(void)
{
	__asm__ volatile("ic ialluis" : : : "memory");
}

static inline uint64_t insn_read_ctr(void)
{
	uint64_t value;

	__asm__ volatile("mrs %0, ctr_el0" : "=r"(value));
	return value;
}

static inline uint64_t insn_read_clidr(void)
{
	uint64_t value;

	__asm__ volatile("mrs %0, clidr_el1" : "=r"(value));
	return value;
}

static inline uint64_t insn_read_vttbr(void)
{
	uint64_t value;

	__asm__ volatile("mrs %0, vttbr_el2" : "=r"(value));
	return value;
}

static inline void insn_write_vttbr(uint64_t value)
{
	__asm__ volatile("msr vttbr_el2, %0" : : "r"(value) : "memory");
}

/* The port itself leaves these two to whoever sets its CPUs up. */
static inline void insn_write_vtcr(uint64_t value)
{
	__asm__ volatile("msr vtcr_el2, %0" : : "r"(value) : "memory");
}

static inline void insn_write_hcr(uint64_t value)
{
	__asm__ volatile("msr hcr_el2, %0" : : "r"(value) : "memory");
}

static inline void insn_yield(void)
{
	__asm__ volatile("yield" : : : "memory");
}

#endif
