// SPDX-License-Identifier: BSD-2-Clause
/*
 * EL2's exception vectors (DDI 0487, chapter D1).
 *
 * From a lower EL: the whole way of most exits is in the vector itself. The guest's registers go into
 * the frame at the top of this CPU's stack, where SP stands whenever the guest runs. At first those that a C function may change; x19..x28, which it
 * gives back as they were, only for the few exits that look at them (trap_emulate). ELR_EL2 and
 * SPSR_EL2 stay in their registers: an exception inside EL2 is always fatal, so nothing nests.
 *
 * From EL2 itself: the hypervisor is broken, perhaps because its stack is full. The dump goes onto
 * a stack of its own. TPIDR_EL0 and TPIDRRO_EL0 are the guest's, which will not run again, and
 * serve to keep two registers.
 */
#include "asm.h"

	.text

	.macro	save_2_18 base
	stp	x2, x3, [\base, #16]
	stp	x4, x5, [\base, #32]
	stp	x6, x7, [\base, #48]
	stp	x8, x9, [\base, #64]
	stp	x10, x11, [\base, #80]
	stp	x12, x13, [\base, #96]
	stp	x14, x15, [\base, #112]
	stp	x16, x17, [\base, #128]
	str	x18, [\base, #144]
	.endm

	.macro	save_19_28 base
	stp	x19, x20, [\base, #152]
	stp	x21, x22, [\base, #168]
	stp	x23, x24, [\base, #184]
	stp	x25, x26, [\base, #200]
	stp	x27, x28, [\base, #216]
	.endm

	.macro	resume
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldr	x18, [sp, #144]
	ldp	x29, x30, [sp, #232]
	ldp	x0, x1, [sp]
	eret
	dsb	nsh				// nothing beyond is to be run speculatively
	isb
	.endm

	.macro	fatal number
	.balign	128
	msr	tpidr_el0, x0
	mov	x0, #\number
	b	fatal_common
	.endm

	.macro	guest_sync
	.balign	128
	stp	x0, x1, [sp]
	save_2_18 sp
	stp	x29, x30, [sp, #232]
	mov	x29, xzr
	bl	trap
	cbnz	w0, guest_emulate
	resume
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

guest_emulate:
	save_19_28 sp
	bl	trap_emulate
guest_resume_all:
	ldp	x19, x20, [sp, #152]
	ldp	x21, x22, [sp, #168]
	ldp	x23, x24, [sp, #184]
	ldp	x25, x26, [sp, #200]
	ldp	x27, x28, [sp, #216]
	resume

/* guest_enter(frame): the first entry; the frame becomes this CPU's, at the top of its stack. */
	.globl	guest_enter
guest_enter:
	mov	sp, x0
	b	guest_resume_all

fatal_common:
	msr	tpidrro_el0, x1
	mrs	x1, tpidr_el2
	ldr	x1, [x1, #CPU_CRASH]
	sub	x1, x1, #DUMP_SIZE
	save_2_18 x1
	save_19_28 x1
	stp	x29, x30, [x1, #232]
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
