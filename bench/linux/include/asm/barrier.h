/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arm's barriers. Those that other observers must have reached are counted, in the same place and
 * at the same cost as our engine's; those that only order memory cost nothing on x86.
 */
#ifndef BENCH_ASM_BARRIER_H
#define BENCH_ASM_BARRIER_H

#include <insn.h>

#define barrier() __asm__ volatile("" : : : "memory")

#define BARRIER_ish   INSN_ISH
#define BARRIER_ishst INSN_ISHST
#define BARRIER_st    INSN_SY /* of the whole system: for devices that walk tables */

#define dsb(kind)                         \
	do {                              \
		barrier();                \
		insn_dsb(BARRIER_##kind); \
	} while (0)
#define isb()     barrier()
#define wmb()     dsb(st)
#define dma_wmb() barrier()

#endif
