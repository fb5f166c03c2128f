/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In the place of ports/el2/insn.h: the port's instructions as calls, so that tests/test_el2_tlb.c
 * can run its logic on any computer and hand what it would execute to the checker.
 */
#ifndef TEST_EL2_INSN_H
#define TEST_EL2_INSN_H

#include <stdint.h>

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

void insn_tlbi_ipa(unsigned int how, uint64_t operand);
void insn_tlbi_vmalls12(unsigned int how);
void insn_tlbi_vmalle1(unsigned int how);
void insn_dsb(enum insn_barrier what);
void insn_isb(void);
uint64_t insn_read_vttbr(void);
void insn_write_vttbr(uint64_t value);

#endif
