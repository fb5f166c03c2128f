// SPDX-License-Identifier: BSD-2-Clause
/*
 * Each instruction is carried out and recorded under one lock (trace.c), so the order of the events
 * is the order in which things were done, whichever CPU did them. A name in parentheses is the
 * function of ports/el2/insn.h: without them it would be the macro that leads here.
 */
#include <insn.h>

#include "../tracing.h"
#include "stage2check.h"

void traced_tlbi_ipa(unsigned int how, uint64_t operand)
{
	static const uint8_t ops[] = {
		[0] = S2C_IPAS2E1IS,
		[INSN_LEAF] = S2C_IPAS2LE1IS,
		[INSN_LOCAL] = S2C_IPAS2E1,
		[INSN_LOCAL | INSN_LEAF] = S2C_IPAS2LE1,
		[INSN_RANGE] = S2C_RIPAS2E1IS,
		[INSN_RANGE | INSN_LEAF] = S2C_RIPAS2LE1IS,
		[INSN_RANGE | INSN_LOCAL] = S2C_RIPAS2E1,
		[INSN_RANGE | INSN_LOCAL | INSN_LEAF] = S2C_RIPAS2LE1,
	};

	tracing_begin();
	(insn_tlbi_ipa)(how, operand);
	tracing_end(S2C_TLBI, ops[how], operand, TRACING_PC);
}

void traced_tlbi_vmalls12(unsigned int how)
{
	tracing_begin();
	(insn_tlbi_vmalls12)(how);
	tracing_end(S2C_TLBI, how & INSN_LOCAL ? S2C_VMALLS12E1 : S2C_VMALLS12E1IS, 0, TRACING_PC);
}

void traced_tlbi_vmalle1(unsigned int how)
{
	tracing_begin();
	(insn_tlbi_vmalle1)(how);
	tracing_end(S2C_TLBI, how & INSN_LOCAL ? S2C_VMALLE1 : S2C_VMALLE1IS, 0, TRACING_PC);
}

void traced_dsb(enum insn_barrier what)
{
	static const uint8_t ops[] = {
		[INSN_NSH] = S2C_NSH,
		[INSN_ISH] = S2C_ISH,
		[INSN_ISHST] = S2C_ISHST,
		[INSN_SY] = S2C_SY,
	};

	tracing_begin();
	(insn_dsb)(what);
	tracing_end(S2C_DSB, ops[what], 0, TRACING_PC);
}

void traced_isb(void)
{
	tracing_begin();
	(insn_isb)();
	tracing_end(S2C_ISB, 0, 0, TRACING_PC);
}

void traced_dc_civac(uint64_t address)
{
	(insn_dc_civac)(address);
	tracing_line(S2C_CIVAC, address, TRACING_PC);
}

void traced_dc_cvau(uint64_t address)
{
	(insn_dc_cvau)(address);
	tracing_line(S2C_CVAU, address, TRACING_PC);
}

void traced_ic_ialluis(void)
{
	tracing_begin();
	(insn_ic_ialluis)();
	tracing_end(S2C_IC, 0, 0, TRACING_PC);
}

void traced_write_vttbr(uint64_t value)
{
	tracing_begin();
	(insn_write_vttbr)(value);
	tracing_end(S2C_SYSREG, S2C_VTTBR_EL2, value, TRACING_PC);
}

void traced_write_vtcr(uint64_t value)
{
	tracing_begin();
	(insn_write_vtcr)(value);
	tracing_end(S2C_SYSREG, S2C_VTCR_EL2, value, TRACING_PC);
}

void traced_write_hcr(uint64_t value)
{
	tracing_begin();
	(insn_write_hcr)(value);
	tracing_end(S2C_SYSREG, S2C_HCR_EL2, value, TRACING_PC);
}
