/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The port's instructions, recorded: found in front of ports/el2/insn.h by the build of the
 * hypervisor that records a trace. Reads are no events. insn.c has the functions, which are none
 * of the inline kind: who called them is who did it.
 */
#ifndef HYP_TRACED_INSN_H
#define HYP_TRACED_INSN_H

#include "../../../ports/el2/insn.h"

void traced_tlbi_ipa(unsigned int how, uint64_t operand);
void traced_tlbi_vmalls12(unsigned int how);
void traced_tlbi_vmalle1(unsigned int how);
void traced_dsb(enum insn_barrier what);
void traced_isb(void);
void traced_dc_civac(uint64_t address);
void traced_dc_cvau(uint64_t address);
void traced_ic_ialluis(void);
void traced_write_vttbr(uint64_t value);
void traced_write_vtcr(uint64_t value);
void traced_write_hcr(uint64_t value);

#define insn_tlbi_ipa(how, operand) traced_tlbi_ipa(how, operand)
#define insn_tlbi_vmalls12(how)     traced_tlbi_vmalls12(how)
#define insn_tlbi_vmalle1(how)      traced_tlbi_vmalle1(how)
#define insn_dsb(what)              traced_dsb(what)
#define insn_isb()                  traced_isb()
#define insn_dc_civac(address)      traced_dc_civac(address)
#define insn_dc_cvau(address)       traced_dc_cvau(address)
#define insn_ic_ialluis()           traced_ic_ialluis()
#define insn_write_vttbr(value)     traced_write_vttbr(value)
#define insn_write_vtcr(value)      traced_write_vtcr(value)
#define insn_write_hcr(value)       traced_write_hcr(value)

#endif
