// SPDX-License-Identifier: BSD-2-Clause
/*
 * A hypervisor of a page: does, once, everything that the plugin must notice, and nothing else.
 * tests/live/plugin compares what was noticed with what stands here.
 *
 * It maps its memory one to one, makes a stage 2 of three tables, runs a guest whose only deeds are
 * a barrier, a TLBI of its own and an HVC, then stores to its last table in all the ways that there
 * are, and issues each TLBI, barrier and cache operation. Meanwhile the other CPU stays in the
 * guest, so that these tables are in use. What is stored are invalid entries.
 *
 * -cpu max -smp 2; loaded as an ELF at 0x40200000.
 */
	.arch	armv8.7-a+mops

#define TCR    (0x80803519)		// EL2: 39 bits, 4K, write-back, inner, 40 bits of output
#define VTCR   (0x80023559)		// 39 bits, from level 1, 4K, write-back, inner, 40 bits
#define SCTLR  (0x30c51835 & ~2)	// with MMU and caches
#define HCR    (0x80000001)		// RW, VM
#define EL1H   (0x3c5)

	.text
	.globl	_start
_start:
	adr	x0, vectors
	msr	vbar_el2, x0
	mov	x0, #0xff
	msr	mair_el2, x0
	ldr	x0, =TCR
	msr	tcr_el2, x0
	adrp	x0, own
	msr	ttbr0_el2, x0
	msr	cptr_el2, xzr
	isb
	ldr	x0, =SCTLR
	msr	sctlr_el2, x0
	isb

	// root[1] -> middle, middle[1] -> last: gpa 0x40200000, where the guest is
	adrp	x19, root
	adrp	x20, middle
	adrp	x21, last
	orr	x0, x20, #3
	str	x0, [x19, #8]
	orr	x0, x21, #3
	str	x0, [x20, #8]
	adr	x0, guest
	and	x0, x0, #~0xfff
	mov	x2, x0
1:	dc	civac, x2		// lines of 64 bytes
	add	x2, x2, #64
	tst	x2, #0xfff
	b.ne	1b
	mov	x1, #0x7ff		// AF, inner, read and write, write-back, page
	orr	x0, x0, x1
	str	x0, [x21, #0]
	dsb	ishst
	ldr	x0, =VTCR
	msr	vtcr_el2, x0
	orr	x0, x19, #(1 << 48)
	msr	vttbr_el2, x0
	ldr	x0, =HCR
	msr	hcr_el2, x0
	isb

	ldr	x0, =0xc4000003		// PSCI CPU_ON
	mov	x1, #1
	adr	x2, other
	mov	x3, xzr
	smc	#0
	adr	x0, flag
1:	ldr	w1, [x0]
	cbz	w1, 1b

	adr	x0, guest
	msr	elr_el2, x0
	mov	x0, #EL1H
	msr	spsr_el2, x0
	eret

other:	ldr	x0, =VTCR
	msr	vtcr_el2, x0
	adrp	x0, root
	orr	x0, x0, #(1 << 48)
	msr	vttbr_el2, x0
	ldr	x0, =HCR
	msr	hcr_el2, x0
	isb
	adr	x0, stays
	msr	elr_el2, x0
	mov	x0, #EL1H
	msr	spsr_el2, x0
	eret

stays:	adr	x0, flag
	mov	w1, #1
	str	w1, [x0]
1:	wfi
	b	1b
	.balign	8
flag:	.quad	0

guest:	dsb	sy
	tlbi	vmalle1is
	isb
	hvc	#0

/* Here it comes back. x21: the last table; its upper half is free. */
back:	add	x22, x21, #0x800
	ldr	x1, =0x1122334455667700
	mov	x2, #0x20

	.globl	stores
stores:	str	x1, [x22, #0]
	str	w1, [x22, #8]
	strh	w1, [x22, #16]
	strb	w1, [x22, #24]
	stp	x1, x2, [x22, #32]
	stp	w1, w2, [x22, #48]
	fmov	d0, x1
	fmov	d1, x2
	mov	v0.d[1], x2
	str	q0, [x22, #64]
	stp	q0, q1, [x22, #80]
	st1	{v0.2d, v1.2d}, [x22]
	str	x2, [x22, #4]		// not aligned: pieces of 4
	stlr	x2, [x22]
	add	x3, x22, #8
	stlr	x1, [x3]

	ldxr	x4, [x22]
	stxr	w5, x1, [x22]
	ldxr	x4, [x22]
	stlxr	w5, x2, [x22]
	clrex
	stxr	w5, x1, [x22]		// fails: no store
	ldxp	x4, x6, [x22]
	stxp	w5, x1, x1, [x22]

	mov	x4, x1
	cas	x4, x2, [x22]		// swaps
	mov	x4, x1
	cas	x4, x1, [x22]		// fails
	mov	x4, x2
	casal	x4, x1, [x22]
	swp	x2, x4, [x22]
	swpal	x1, x4, [x22]
	ldadd	x2, x4, [x22]
	ldsetl	x2, x4, [x22]
	mov	x4, xzr
	mov	x5, xzr
	caspal	x4, x5, x4, x5, [x22]	// fails

	dc	zva, x22
	add	x3, x22, #0x200
	mov	x4, #0x20
	mov	x5, x1
	setp	[x3]!, x4!, x5		// 0x20 bytes of 0x00: nothing changes
	setm	[x3]!, x4!, x5
	sete	[x3]!, x4!, x5
	add	x3, x22, #0x200
	mov	x4, #0x10
	mov	x5, x2
	setp	[x3]!, x4!, x5		// two words of 0x2020202020202020
	setm	[x3]!, x4!, x5
	sete	[x3]!, x4!, x5

	sub	x3, x21, #4
	str	x2, [x3]		// across the page's start: only entry 0's lower half is told
	.globl	tlbis
tlbis:	ldr	x1, =0x40200
	tlbi	ipas2e1, x1
	tlbi	ipas2e1is, x1
	tlbi	ipas2e1os, x1
	tlbi	ipas2le1, x1
	tlbi	ipas2le1is, x1
	tlbi	ipas2le1os, x1
	ldr	x1, =0x0000400000040200	// TG 4K, 2 pages
	tlbi	ripas2e1, x1
	tlbi	ripas2e1is, x1
	tlbi	ripas2e1os, x1
	tlbi	ripas2le1, x1
	tlbi	ripas2le1is, x1
	tlbi	ripas2le1os, x1
	tlbi	vmalle1
	tlbi	vmalle1is
	tlbi	vmalle1os
	tlbi	vmalls12e1
	tlbi	vmalls12e1is
	tlbi	vmalls12e1os
	tlbi	alle1
	tlbi	alle1is
	tlbi	alle1os
	tlbi	alle2is
	ldr	x1, =0x40200
	sys	#4, c9, c0, #1, x1	// ipas2e1isnxs
	dsb	osh
	dsb	oshst
	dsb	oshld
	dsb	nsh
	dsb	nshst
	dsb	nshld
	dsb	ish
	dsb	ishst
	dsb	ishld
	dsb	sy
	dsb	st
	dsb	ld
	.inst	0xd5033a3f		// dsb ishnxs
	ssbb				// no DSB
	pssbb
	sb
	dmb	ish
	dmb	oshst
	dmb	sy
	isb

	dc	cvac, x22
	dc	civac, x22
	dc	cvau, x22
	dc	ivac, x22
	dc	cvap, x22
	ic	ivau, x22
	ic	iallu
	ic	ialluis
	mov	x1, #0x300000000000
	dc	cvac, x1		// not mapped here: not told

	ldr	w0, =0x84000008		// PSCI SYSTEM_OFF
	smc	#0
	b	.

	.balign	0x800
vectors:
	.rept	8
	b	lost
	.balign	0x80
	.endr
	b	back
	.balign	0x80
	.rept	7
	b	lost
	.balign	0x80
	.endr
lost:	b	.

	.data
	.balign	0x1000
own:	.quad	0x0000000000000401	// devices
	.quad	0x0000000040000701	// memory
	.fill	510, 8, 0
	.quad	0			// the page before the last table
	.fill	511, 8, 0
last:	.fill	512, 8, 0
root:	.fill	512, 8, 0
middle:	.fill	512, 8, 0
