/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The test guest's first instructions, its exception vectors, and the two ways to run something
 * that may fault (probe_enter) or that runs unprivileged (user_enter).
 *
 * Entered at EL1 with the MMU off and the device tree's address in x0; other CPUs come to
 * secondary_entry with their struct cpu in x0 (the PSCI context argument). Interrupts stay masked
 * for good. TPIDR_EL1 points to the running CPU's struct cpu.
 */
#include "layout.h"

	.section .head, "ax"
	.global _start
_start:
	b	primary_entry
	.long	0
	.quad	0			// text_offset
	.quad	image_end - _start	// image_size
	.quad	0xa			// little-endian, 4K pages, anywhere in memory
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

	.text
primary_entry:
	mov	x19, x0
	adrp	x20, _start		// where we are; linked at 0, so this is the offset too
	adrp	x1, rela_start
	add	x1, x1, :lo12:rela_start
	adrp	x2, rela_end
	add	x2, x2, :lo12:rela_end
1:	cmp	x1, x2			// R_AARCH64_RELATIVE is all that a static PIE has
	b.hs	2f
	ldp	x3, x4, [x1], #16
	ldr	x5, [x1], #8
	add	x5, x5, x20
	str	x5, [x20, x3]
	b	1b
2:	adrp	x1, bss_start
	adrp	x2, image_end
3:	stp	xzr, xzr, [x1], #16
	cmp	x1, x2
	b.lo	3b
	adrp	x0, cpus
	add	x0, x0, :lo12:cpus
	ldr	x1, =STACK_SIZE
	adrp	x2, stacks
	add	x2, x2, :lo12:stacks
	add	sp, x2, x1
	bl	cpu_setup
	mov	x0, x19
	mov	x29, xzr
	bl	guest_main
4:	wfi
	b	4b

	.global	secondary_entry
secondary_entry:
	mov	x19, x0
	ldr	x1, [x0, #CPU_STACK]
	mov	sp, x1
	bl	cpu_setup
	bl	mmu_enable
	mov	x0, x19
	mov	x29, xzr
	bl	secondary_main
5:	wfi
	b	5b

	// x0: struct cpu. Keeps x19 and up.
cpu_setup:
	msr	tpidr_el1, x0
	msr	daifset, #0xf
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	vbar_el1, x1
	mrs	x1, cpacr_el1
	bic	x1, x1, #(3 << 20)	// we never use FP: trap it
	msr	cpacr_el1, x1
	isb
	ret

/*
 * void mmu_switch(uint64_t sctlr): from identity-mapped code to identity-mapped code.
 */
	.global	mmu_switch
mmu_switch:
	dsb	sy
	msr	sctlr_el1, x0
	isb
	tlbi	vmalle1
	ic	iallu
	dsb	sy
	isb
	ret

/*
 * int probe_enter(struct probe *p, fn, a, b, c): calls fn(a, b, c). Returns 0 and p->result if it
 * returns; 1 if it takes an exception, which trap() then describes in *p.
 */
	.global	probe_enter
probe_enter:
	stp	x19, x20, [x0, #0]
	stp	x21, x22, [x0, #16]
	stp	x23, x24, [x0, #32]
	stp	x25, x26, [x0, #48]
	stp	x27, x28, [x0, #64]
	stp	x29, x30, [x0, #80]
	mov	x9, sp
	str	x9, [x0, #PROBE_SP]
	mrs	x9, tpidr_el1
	str	x0, [x9, #CPU_PROBE]
	mov	x9, x1
	mov	x0, x2
	mov	x1, x3
	mov	x2, x4
	blr	x9
	mrs	x9, tpidr_el1
	ldr	x10, [x9, #CPU_PROBE]
	str	xzr, [x9, #CPU_PROBE]
	str	x0, [x10, #PROBE_RESULT]
	ldr	x30, [x10, #88]
	mov	x0, #0
	ret

/* Leaves the exception for probe_enter's caller. x0: the probe. */
	.global	probe_resume
probe_resume:
	mrs	x9, tpidr_el1
	str	xzr, [x9, #CPU_PROBE]
	ldp	x19, x20, [x0, #0]
	ldp	x21, x22, [x0, #16]
	ldp	x23, x24, [x0, #32]
	ldp	x25, x26, [x0, #48]
	ldp	x27, x28, [x0, #64]
	ldp	x29, x30, [x0, #80]
	ldr	x9, [x0, #PROBE_SP]
	mov	sp, x9
	mov	x0, #1
	ret

/* user_enter(pc, a, b): goes on at EL0 with x0 = a, x1 = b. Comes back by an exception only. */
	.global	user_enter
user_enter:
	msr	elr_el1, x0
	mov	x9, #0x3c0		// EL0t, interrupts masked
	msr	spsr_el1, x9
	mov	x0, x1
	mov	x1, x2
	isb
	eret

/* el1t_enter(pc, a, b): pc(a, b) at EL1 with SP_EL0, so that exceptions use the first vectors. */
	.global	el1t_enter
el1t_enter:
	stp	x29, x30, [sp, #-16]!
	mov	x9, sp
	sub	x9, x9, #2048
	msr	spsel, #0
	mov	sp, x9
	mov	x9, x0
	mov	x0, x1
	mov	x1, x2
	blr	x9
	msr	spsel, #1
	ldp	x29, x30, [sp], #16
	ret

	.macro	vector which
	.balign	128
	sub	sp, sp, #FRAME_SIZE
	stp	x0, x1, [sp, #0]
	mov	x0, #\which
	b	trap_common
	.endm

	.balign	2048
vectors:
	.irp	which, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vector	\which
	.endr
	.balign	128

trap_common:
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x19, [sp, #144]
	stp	x20, x21, [sp, #160]
	stp	x22, x23, [sp, #176]
	stp	x24, x25, [sp, #192]
	stp	x26, x27, [sp, #208]
	stp	x28, x29, [sp, #224]
	stp	x30, x0, [sp, #240]
	mov	x0, sp
	b	trap			// never returns here
