/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's code: position-independent, copied by the program to CODE_GPA of each VM. What it does
 * is said in guest.h.
 */
#include "guest.h"

	.section .rodata
	.balign 2048
	.global guest_code
	.global guest_code_size
guest_code:
	/* The exception vectors, all 16 alike. */
	.rept 16
	.balign 128
	b exception
	.endr
	.balign 128

	/* ENTRY_GPA */
	adr x6, guest_code
	msr vbar_el1, x6
	isb
	mov x0, #0
answer:
	str x0, [x20]
order:
	mov x0, #0
	cmp x1, #OP_COUNT
	b.hs answer
	adr x6, orders
	add x6, x6, x1, lsl #2
	br x6
orders:
	b read
	b write
	b verify
	b call
	b pair
	b read32
	b setway
	b stage1
	b tlbi

	/* Nothing returns from an exception: the next order begins anew, at the same level. */
exception:
	mrs x0, esr_el1
	str x0, [x20, #DOORBELL_EXC]
	b order

read:
	cmp x2, x3
	b.hs answer
	ldr x6, [x2]
	add x0, x0, x6
	add x2, x2, x4
	b read

write:
	cmp x2, x3
	b.hs answer
	add x6, x5, x2
	str x6, [x2]
	add x2, x2, x4
	b write

verify:
	cmp x2, x3
	b.hs answer
	ldr x6, [x2]
	sub x6, x6, x5
	cmp x6, x2
	cinc x0, x0, ne
	add x2, x2, x4
	b verify

call:
	blr x2
	b answer

pair:
	ldp x0, x6, [x2]
	b answer

read32:
	ldr w0, [x2]
	b answer

setway:
	dc cisw, x2
	dsb sy
	b answer

stage1:
	msr mair_el1, x4
	msr tcr_el1, x3
	msr ttbr0_el1, x2
	tlbi vmalle1
	dsb nsh
	isb
	msr sctlr_el1, x5
	isb
	b answer

tlbi:
	tlbi vmalle1
	dsb nsh
	isb
	b answer

	.balign 8
guest_code_size:
	.quad guest_code_size - guest_code

	.section .note.GNU-stack, "", %progbits
