/* SPDX-License-Identifier: BSD-2-Clause */
/* Which A64 instructions matter to stage 2. See insn.c. */
#ifndef PLUGIN_INSN_H
#define PLUGIN_INSN_H

#include <stdint.h>

enum insn_kind {
	INSN_OTHER, /* may be a store all the same: `flags` is for that */
	INSN_SYSREG,
	INSN_TLBI,
	INSN_DSB,
	INSN_DMB,
	INSN_ISB,
	INSN_DC,
	INSN_IC,
	INSN_ERET,
	INSN_MOPS, /* memory set or copied: rt has the destination, rn the size */
};

#define INSN_IC_ALL 1 /* op of INSN_IC: all of it, no address */

struct insn {
	uint8_t kind; /* enum insn_kind */
	uint8_t op;   /* enum s2c_sysreg, s2c_tlbi, s2c_barrier or s2c_dc */
	uint8_t rt;   /* 31: reads as zero */
	uint8_t rn;
	uint8_t flags; /* enum s2c_write_flag of its stores */
};

struct insn insn_decode(uint32_t code);

#endif
