/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Single accesses to memory. In each function the access is the very first instruction, so that
 * the ELR of its abort is the function's address. Address in x0, value in x1 (and x2), result in
 * x0. Those of the .user page run at EL0 and come back by SVC.
 */
	.arch_extension lse

#define REGS_1_28                                                                          \
	1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, \
	24, 25, 26, 27, 28

	.macro	access name, insn:vararg
	.global	\name
	.type	\name, %function
\name:
	\insn
	ret
	.endm

	.text
	access ld1, ldrb w0, [x0]
	access ld2, ldrh w0, [x0]
	access ld4, ldr w0, [x0]
	access ld8, ldr x0, [x0]
	access ld1_sw, ldrsb w0, [x0]
	access ld1_sx, ldrsb x0, [x0]
	access ld2_sw, ldrsh w0, [x0]
	access ld2_sx, ldrsh x0, [x0]
	access ld4_sx, ldrsw x0, [x0]
	access ld8_xzr, ldr xzr, [x0]
	access ld4_wzr, ldr wzr, [x0]
	access ld8_acquire, ldar x0, [x0]
	access ld4_acquire, ldar w0, [x0]
	access ld8_unscaled, ldur x0, [x0, #-8]
	access ld8_indexed, ldr x0, [x0, x1]
	access st1, strb w1, [x0]
	access st2, strh w1, [x0]
	access st4, str w1, [x0]
	access st8, str x1, [x0]
	access st1_wzr, strb wzr, [x0]
	access st2_wzr, strh wzr, [x0]
	access st4_wzr, str wzr, [x0]
	access st8_xzr, str xzr, [x0]
	access st8_release, stlr x1, [x0]
	access st4_release, stlr w1, [x0]
	/* No valid syndrome (ISV) for these: writeback, pairs, exclusives, atomics, DC ZVA. */
	access ld8_post, ldr x1, [x0], #8
	access ld_pair, ldp x0, x1, [x0]
	access st8_pre, str x1, [x0, #0]!
	access st_pair, stp x1, x2, [x0]
	access ld_exclusive, ldxr x0, [x0]
	access ldadd8, ldadd x1, x0, [x0]
	access ldadd4, ldadd w1, w0, [x0]
	access swp8, swp x1, x0, [x0]
	access swp1, swpb w1, w0, [x0]
	access cas_pair, casp x2, x3, x4, x5, [x0]
	access dc_zva, dc zva, x0
	access dc_civac, dc civac, x0
	access dc_cvac, dc cvac, x0
	access dc_ivac, dc ivac, x0
	access dc_cvau, dc cvau, x0
	access ic_ivau, ic ivau, x0
	access at_s1e1r, at s1e1r, x0
	access at_s1e1w, at s1e1w, x0
	access prefetch, prfm pldl1keep, [x0]

	/* cas8(addr, expected, new): returns what was there. */
	.global	cas8
cas8:
	cas	x1, x2, [x0]
	mov	x0, x1
	ret

	/* exclusive_add8(addr, value): returns what was there. */
	.global	exclusive_add8
exclusive_add8:
	ldxr	x3, [x0]
	add	x4, x3, x1
	stxr	w5, x4, [x0]
	cbnz	w5, exclusive_add8
	mov	x0, x3
	ret

	/*
	 * exclusive_pair_add(addr, a, b): two doublewords at once; addr aligned to 16.
	 */
	.global	exclusive_pair_add
exclusive_pair_add:
	ldxp	x3, x4, [x0]
	add	x3, x3, x1
	add	x4, x4, x2
	stxp	w5, x3, x4, [x0]
	cbnz	w5, exclusive_pair_add
	ret

	/*
	 * flags_then_load(addr): loads with N, Z, C and V all set and x1..x28 = 1..28 (x0, x29, x30
	 * excepted), so that the probe sees what is left of them.
	 */
	.global	flags_then_load, flags_load
flags_then_load:
	.irp	n, REGS_1_28
	mov	x\n, #\n
	.endr
	mov	x29, #0xf0000000
	msr	nzcv, x29
flags_load:
	ldr	x0, [x0]
	ret

	/*
	 * mmio_store_all(addr): stores n + 0x100 from each register n, 0 to 30 (31: xzr) to addr,
	 * with the address in another register. mmio_load_all(addr, out): loads each register from
	 * addr and stores it to out[n]. SP holds the address or the array where no register may.
	 */
	.macro	save_all
	stp	x19, x20, [sp, #-96]!
	stp	x21, x22, [sp, #16]
	stp	x23, x24, [sp, #32]
	stp	x25, x26, [sp, #48]
	stp	x27, x28, [sp, #64]
	stp	x29, x30, [sp, #80]
	.endm
	.macro	restore_all
	ldp	x21, x22, [sp, #16]
	ldp	x23, x24, [sp, #32]
	ldp	x25, x26, [sp, #48]
	ldp	x27, x28, [sp, #64]
	ldp	x29, x30, [sp, #80]
	ldp	x19, x20, [sp], #96
	.endm

	.global	mmio_store_all
mmio_store_all:
	save_all
	mov	x9, sp
	msr	sp_el0, x9		// not in use at EL1h
	mov	sp, x0
	.irp	n, 0, REGS_1_28, 29, 30
	mov	x\n, #(0x100 + \n)
	str	x\n, [sp]
	.endr
	str	xzr, [sp]
	mrs	x9, sp_el0
	mov	sp, x9
	restore_all
	ret

	.global	mmio_load_all
mmio_load_all:
	save_all
	mov	x9, sp
	msr	sp_el0, x9
	msr	tpidr_el0, x1
	msr	tpidrro_el0, x0
	.irp	n, 0, REGS_1_28, 29, 30
	mrs	x\n, tpidrro_el0
	mov	sp, x\n
	ldr	x\n, [sp]		// from the device
	.if	\n == 0
	mrs	x1, tpidr_el0
	str	x0, [x1]
	.else
	mrs	x0, tpidr_el0
	str	x\n, [x0, #(8 * \n)]
	.endif
	.endr
	mrs	x9, sp_el0
	mov	sp, x9
	restore_all
	ret

	.section .user, "ax"
	.balign	4096
	.global	u_ld8, u_st8, u_branch, u_end
u_ld8:
	ldr	x0, [x0]
	svc	#0
u_st8:
	str	x1, [x0]
	svc	#0
u_branch:
	br	x0
u_end:
