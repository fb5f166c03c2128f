/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One instruction that leaves the guest, for each kind of exit that tests/exits/run counts. It knows
 * an exit by the function that the guest left: its name is that of the kind. Arguments as for
 * access.S: address or function in x0, value in x1, result in x0.
 */
	.macro	exit name, insn:vararg
	.global	exit_\name
	.type	exit_\name, %function
exit_\name:
	\insn
	ret
	.size	exit_\name, . - exit_\name
	.endm

	.text
	exit	hypercall, hvc #0
	exit	mmio_read, ldr x0, [x0]
	exit	mmio_write, str x1, [x0]
	exit	map_page, str x1, [x0]
	exit	map_page_table, str x1, [x0]
	exit	map_block, str x1, [x0]
	exit	relax_page, str x1, [x0]
	exit	relax_block, str x1, [x0]
