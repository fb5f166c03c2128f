// SPDX-License-Identifier: BSD-2-Clause
/*
 * How CPUs come to the hypervisor: the arm64 Image header (Linux, Documentation/arm64/booting),
 * the entry of the boot CPU (x0 = DTB) and that of the others (x0 = their struct hyp_cpu, from
 * PSCI CPU_ON). Both arrive with the MMU off. Everything that must be visible to a CPU with its MMU
 * off is written by one with its MMU off (mmu_build()), so it is in memory, not in a cache. What
 * lies in bss may still have dirty lines from before: they are thrown away first, and what was
 * prefetched meanwhile is thrown away again before the caches go on.
 */
#include "asm.h"

	.section .head, "ax"
	.globl _start
_start:
	b	primary
	.long	0
	.quad	0			// text_offset
	.quad	__end - _start		// image_size, bss and stacks included
	.quad	0xa			// little-endian, 4K pages, anywhere
	.quad	0
	.quad	0
	.quad	0
	.ascii	"ARM\x64"
	.long	0

/* Invalidates [x0, x1), both on page boundaries, in the data caches. Clobbers x2, x3. */
invalidate:
	mrs	x2, ctr_el0
	ubfx	x2, x2, #16, #4
	mov	x3, #4
	lsl	x3, x3, x2
1:	dc	ivac, x0
	add	x0, x0, x3
	cmp	x0, x1
	b.lo	1b
	dsb	sy
	ret

primary:
	mov	x20, x0
	msr	daifset, #0xf
	msr	spsel, #1
	adrp	x0, __bss
	adrp	x1, __end
	bl	invalidate
	adrp	x0, __bss
	adrp	x1, __stacks
1:	stp	xzr, xzr, [x0], #16
	cmp	x0, x1
	b.lo	1b
	adrp	x0, __stacks + STACKS_SIZE
	sub	sp, x0, #FRAME_SIZE	// the guest's registers will be above
	mov	x29, xzr
	mrs	x0, currentel
	cmp	x0, #(2 << 2)
	b.eq	2f
	bl	hyp_wrong_level
2:	ldr	x0, =(1 << 31)		// RW, and no E2H before any register that it redefines
	msr	hcr_el2, x0
	isb
	adrp	x0, vectors
	add	x0, x0, :lo12:vectors
	msr	vbar_el2, x0
	bl	cpu_prepare		// of the stacks' tops: the crash dump needs them
	msr	tpidr_el2, x0
	isb
	bl	mmu_build
	adrp	x0, __bss
	adrp	x1, __end
	bl	invalidate
	bl	mmu_on
	mov	x0, x20
	bl	hyp_main

	.globl	secondary
secondary:
	mov	x20, x0
	msr	daifset, #0xf
	msr	spsel, #1
	ldr	x1, =(1 << 31)
	msr	hcr_el2, x1
	isb
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	vbar_el2, x1
	msr	tpidr_el2, x0
	isb
	bl	mmu_on
	ldr	x1, [x20, #CPU_STACK]
	sub	sp, x1, #FRAME_SIZE
	mov	x29, xzr
	mov	x0, x20
	bl	hyp_secondary

/* Turns MMU and caches on with the values of mmu_build(). Uses no stack. */
mmu_on:
	adrp	x0, hyp_mmu_regs
	add	x0, x0, :lo12:hyp_mmu_regs
	ldr	x1, [x0, #MMU_MAIR]
	ldr	x2, [x0, #MMU_TCR]
	ldr	x3, [x0, #MMU_TTBR]
	ldr	x4, [x0, #MMU_SCTLR]
	msr	mair_el2, x1
	msr	tcr_el2, x2
	msr	ttbr0_el2, x3
	isb
	tlbi	alle2
	ic	iallu
	dsb	nsh
	isb
	msr	sctlr_el2, x4
	isb
	ret
	.ltorg
