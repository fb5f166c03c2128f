// SPDX-License-Identifier: BSD-2-Clause
/*
 * EL2's exception vectors (DDI 0487, chapter D1).
 *
 * From a lower EL: the guest's x0..x30 go into the frame at the top of this CPU's stack, where SP
 * stands whenever the guest runs. ELR_EL2 and SPSR_EL2 stay in their registers: an exception inside
 * EL2 is always fatal, so nothing nests.
 *
 * From EL2 itself: the hypervisor is broken, perhaps because its stack is full. The dump goes onto
 * a stack of its own. TPIDR_EL0 and TPIDRRO_EL0 are the guest's, which will not run again, and
 * serve to keep two registers.
 */
#include "asm.h"

	.text

	.macro	fatal number
	.balign	128
	msr	tpidr_el0, x0
	mov	x0, #\number
	b	fatal_common
	.endm

	.macro	guest_sync
	.balign	128
	b	guest_common
	.endm

	.balign	2048
	.globl	vectors
vectors:
	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7	// SP_EL0 and SP_EL2: sync, IRQ, FIQ, SError
	fatal	\number
	.endr
	guest_sync				// lower EL, AArch64
	fatal	9
	fatal	10
	fatal	11
	guest_sync				// lower EL, AArch32: a 32-bit user program
	fatal	13
	fatal	14
	fatal	15
	.balign	128

	.macro	save_regs base
	stp	x2, x3, [\base, #16]
	stp	x4, x5, [\base, #32]
	stp	x6, x7, [\base, #48]
	stp	x8, x9, [\base, #64]
	stp	x10, x11, [\base, #80]
	stp	x12, x13, [\base, #96]
	stp	x14, x15, [\base, #112]
	stp	x16, x17, [\base, #128]
	stp	x18, x19, [\base, #144]
	stp	x20, x21, [\base, #160]
	stp	x22, x23, [\base, #176]
	stp	x24, x25, [\base, #192]
	stp	x26, x27, [\base, #208]
	stp	x28, x29, [\base, #224]
	str	x30, [\base, #240]
	.endm

guest_common:
	stp	x0, x1, [sp]
	save_regs sp
	mov	x0, sp
	mov	x29, xzr
	bl	trap
guest_resume:
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldp	x18, x19, [sp, #144]
	ldp	x20, x21, [sp, #160]
	ldp	x22, x23, [sp, #176]
	ldp	x24, x25, [sp, #192]
	ldp	x26, x27, [sp, #208]
	ldp	x28, x29, [sp, #224]
	ldr	x30, [sp, #240]
	ldp	x0, x1, [sp]
	eret
	dsb	nsh				// nothing beyond is to be run speculatively
	isb

/* guest_enter(frame): the first entry; the frame becomes this CPU's, at the top of its stack. */
	.globl	guest_enter
guest_enter:
	mov	sp, x0
	b	guest_resume

fatal_common:
	msr	tpidrro_el0, x1
	mrs	x1, tpidr_el2
	ldr	x1, [x1, #CPU_CRASH]
	sub	x1, x1, #DUMP_SIZE
	save_regs x1
	mov	x3, sp
	stp	x3, x0, [x1, #DUMP_SP]
	mrs	x2, tpidr_el0
	mrs	x3, tpidrro_el0
	stp	x2, x3, [x1]
	mov	sp, x1
	mov	x0, x1
	bl	crash

	.section .stacks, "aw", %nobits
	.balign	4096
	.skip	STACKS_SIZE * 8
