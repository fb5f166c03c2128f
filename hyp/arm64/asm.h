/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Numbers that assembly and C share. cpu.c asserts that the offsets are those of the structures.
 */
#ifndef HYP_ASM_H
#define HYP_ASM_H

/* struct hyp_frame: x0..x30 of the guest, rounded up to keep SP aligned to 16. */
#define FRAME_SIZE  256
/* struct hyp_dump: a frame, then sp and the number of the vector. */
#define DUMP_SP     256
#define DUMP_VECTOR 264
#define DUMP_SIZE   272

/* struct hyp_cpu */
#define CPU_STACK 0
#define CPU_CRASH 8

/* struct hyp_mmu_regs */
#define MMU_MAIR  0
#define MMU_TCR   8
#define MMU_TTBR  16
#define MMU_SCTLR 24

/*
 * A CPU's stacks, downwards: the stack, a guard page, the stack of the crash dump (it must work
 * when the other is full), a guard page. Guard pages are never mapped.
 */
#define STACK_SIZE  0x4000
#define CRASH_SIZE  0x2000
#define GUARD_SIZE  0x1000
#define STACKS_SIZE (STACK_SIZE + CRASH_SIZE + 2 * GUARD_SIZE)

#endif
