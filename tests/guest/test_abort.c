/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Aborts that the guest must see at its own vectors: execution from devices and from nowhere, data
 * accesses to nowhere; with the syndrome that real hardware would give an external abort.
 */
#include "access.h"

#define UART_GPA 0x09000000ull
#define INSN_NOP 0xd503201fd503201full /* twice */

/* Jumps to `va` at EL1 and at EL0 (user_va) and expects the aborts of nothing to execute. */
static void jump_aborts(uint64_t va, uint64_t user_va)
{
	struct probe p;
	int taken;

	taken = probe_enter(&p, (probe_fn)va, 0, 0, 0);
	check_abort(taken, &p, ABORT_EXEC, va, va);
	taken = user_access(&p, u_branch, user_va, 0);
	check_abort(taken, &p, ABORT_EXEC | ABORT_USER, user_va, user_va);
}

static void exec_device_untouched(void)
{
	hypercall(TEST_HC_DROP, TEST_DEV, TEST_SLOT_SIZE, 0);
	jump_aborts(window(1, TEST_DEV, 0), window(2, TEST_DEV, WINDOW_USER | WINDOW_READONLY));
}

static void exec_device_mapped(void)
{
	uint64_t va = window(1, TEST_DEV + PAGE + 0x40, 0);

	poke(va, INSN_NOP);
	check_eq(peek(va), INSN_NOP);
	jump_aborts(va, window(2, TEST_DEV + PAGE + 0x40, WINDOW_USER | WINDOW_READONLY));
	check_eq(peek(va), INSN_NOP);
}

static void exec_uart(void)
{
	jump_aborts(window(1, UART_GPA, 0), window(2, UART_GPA, WINDOW_USER | WINDOW_READONLY));
}

static void exec_hole(void)
{
	jump_aborts(TEST_HOLE, window(2, TEST_HOLE + 0x7fc, WINDOW_USER | WINDOW_READONLY));
	jump_aborts(TEST_HOLE + 0x12344, window(2, TEST_HOLE, WINDOW_USER | WINDOW_READONLY));
	/* The emulated device is a hole to fetches. */
	jump_aborts(TEST_MMIO, window(2, TEST_MMIO, WINDOW_USER | WINDOW_READONLY));
}

/* The last instruction of a page runs, the next is not there. */
static void exec_runs_into_hole(void)
{
	struct probe p;
	uint64_t last = TEST_EDGE - 4;
	uint64_t writable = last - TEST_RO + TEST_RAM;
	int taken;

	*(volatile uint32_t *)writable = (uint32_t)INSN_NOP;
	__asm__ volatile("dsb ish\n\tic ialluis\n\tdsb ish\n\tisb" ::: "memory");
	taken = probe_enter(&p, (probe_fn)last, 0, 0, 0);
	check_abort(taken, &p, ABORT_EXEC, TEST_EDGE, TEST_EDGE);
}

static void load_store_abort(uint64_t addr)
{
	struct probe p;
	int taken;

	taken = probe_enter(&p, ld8, addr, 0, 0);
	check_abort(taken, &p, 0, addr, ld8);
	taken = probe_enter(&p, st8, addr, 1, 0);
	check_abort(taken, &p, ABORT_WRITE, addr, st8);
	taken = probe_enter(&p, ld1, addr + 7, 0, 0);
	check_abort(taken, &p, 0, addr + 7, ld1);
	taken = probe_enter(&p, st2, addr + 2, 1, 0);
	check_abort(taken, &p, ABORT_WRITE, addr + 2, st2);
	taken = probe_enter(&p, ld4_sx, addr + 4, 0, 0);
	check_abort(taken, &p, 0, addr + 4, ld4_sx);
}

static void data_hole(void)
{
	load_store_abort(TEST_HOLE);
	load_store_abort(TEST_HOLE + 0xff8);
	load_store_abort(TEST_HOLE + 0x1234568);
	/* The same page over and over: the engine's shortcut for it must give the same answer. */
	for (int i = 0; i < 20; i++)
		load_store_abort(TEST_HOLE + 0x10000);
	load_store_abort(window(1, TEST_HOLE, WINDOW_DEVICE));
	load_store_abort(window(1, TEST_HOLE, WINDOW_NC));
}

static void data_hole_user(void)
{
	uint64_t va = window(1, TEST_HOLE + 0x120, WINDOW_USER);
	struct probe p;
	int taken;

	taken = user_access(&p, u_ld8, va, 0);
	check_abort(taken, &p, ABORT_USER, va, user_elr(u_ld8));
	taken = user_access(&p, u_st8, va, 0);
	check_abort(taken, &p, ABORT_USER | ABORT_WRITE, va, user_elr(u_st8));
}

static void user_memory(void)
{
	uint64_t addr = fresh(PAGE);
	uint64_t va = window(1, addr, WINDOW_USER);
	struct probe p;

	check_eq(user_access(&p, u_st8, va + 8, 0x1234), 1);
	check(ESR_IS_SVC(p.esr) && p.vector == 8);
	check_eq(peek(addr + 8), 0x1234);
	check_eq(user_access(&p, u_ld8, va + 8, 0), 1);
	check(ESR_IS_SVC(p.esr));
	check_eq(p.x[0], 0x1234);
}

static void reserve_edges(void)
{
	static const uint64_t above[] = { 0, 0x200000, 0x800000, 0xc00000, 0xfff000 };
	uint64_t ram = 0x40000000, end = machine.ram_base - 8;

	for (unsigned int i = 0; i < sizeof(above) / sizeof(above[0]); i++)
		load_store_abort(ram + above[i]);
	load_store_abort(end);
	jump_aborts(ram + 0x200000, window(2, ram + 0x200000, WINDOW_USER | WINDOW_READONLY));
	jump_aborts(end, window(2, end, WINDOW_USER | WINDOW_READONLY));
}

/* What stage 1 can say but stage 2, of 40 bits, does not cover. */
static void beyond_address_space(void)
{
	uint64_t pa_range = read_sysreg(id_aa64mmfr0_el1) & 0xf;
	static const uint8_t bits[] = { 32, 36, 40, 42, 44, 48, 48 };
	unsigned int top = bits[pa_range > 6 ? 6 : pa_range];

	for (unsigned int bit = 40; bit < top; bit++) {
		load_store_abort(window(1, (1ull << bit) + 0x5a8, 0));
		load_store_abort(window(1, (1ull << bit) + TEST_RAM, 0));
	}
	uint64_t gpa = (1ull << (top - 1)) + TEST_RAM;

	jump_aborts(window(1, gpa, 0), window(2, gpa, WINDOW_USER | WINDOW_READONLY));
}

static void from_el1t(void)
{
	struct probe p;
	int taken;

	taken = probe_enter(&p, el1t_enter, (uint64_t)ld8, TEST_HOLE, 0);
	check_abort(taken, &p, ABORT_EL1T, TEST_HOLE, ld8);
	taken = probe_enter(&p, el1t_enter, TEST_HOLE + 0x40, 0, 0);
	check_abort(taken, &p, ABORT_EL1T | ABORT_EXEC, TEST_HOLE + 0x40, TEST_HOLE + 0x40);
	taken = probe_enter(&p, el1t_enter, (uint64_t)st8, TEST_HOLE, 0);
	check_abort(taken, &p, ABORT_EL1T | ABORT_WRITE, TEST_HOLE, st8);
}

/* General registers and condition flags survive the way through EL2. */
static void state_kept(void)
{
	struct probe p;
	int taken = probe_enter(&p, flags_then_load, TEST_HOLE, 0, 0);

	check_abort(taken, &p, 0, TEST_HOLE, flags_load);
	check_eq(p.spsr >> 28, 0xf);
	check_eq(p.x[0], TEST_HOLE);
	for (uint64_t n = 1; n < 29; n++)
		check_eq(p.x[n], n);
	check_eq(p.x[29], 0xf0000000);
}

/* PSTATE at the vector: PAN as SCTLR_EL1.SPAN says (DDI 0487, exception entry). */
static void pan_at_entry(void)
{
	uint64_t sctlr = read_sysreg(sctlr_el1);
	struct probe p;
	int taken;

	if (!machine.pan)
		return;
	write_sysreg(sctlr & ~(1ull << 23), sctlr_el1);
	write_sysreg(0, s3_0_c4_c2_3);
	taken = probe_enter(&p, ld8, TEST_HOLE, 0, 0);
	write_sysreg(sctlr, sctlr_el1);
	write_sysreg(0, s3_0_c4_c2_3);
	check_abort(taken, &p, 0, TEST_HOLE, ld8);
	check_eq(p.pan, 1);
	taken = probe_enter(&p, ld8, TEST_HOLE, 0, 0);
	check_abort(taken, &p, 0, TEST_HOLE, ld8);
	check_eq(p.pan, 0);
}

const struct test abort_tests[] = {
	{ "execution from an untouched device page aborts", exec_device_untouched, NEED_HYP },
	{ "execution from a mapped device page aborts", exec_device_mapped, NEED_HYP },
	{ "execution from the UART aborts", exec_uart, NEED_HYP },
	{ "execution from no slot aborts", exec_hole, NEED_HYP },
	{ "execution runs over the edge of the last slot and aborts", exec_runs_into_hole,
	  NEED_HYP },
	{ "data access to no slot aborts", data_hole, NEED_HYP },
	{ "data access to no slot from EL0 aborts", data_hole_user, NEED_HYP },
	{ "EL0 reaches untouched memory", user_memory, 0 },
	{ "the hypervisor's memory is no memory of the guest's", reserve_edges, NEED_HYP },
	{ "addresses beyond the guest's address space abort", beyond_address_space, NEED_HYP },
	{ "aborts from EL1t use its vectors", from_el1t, NEED_HYP },
	{ "registers and flags survive an abort", state_kept, NEED_HYP },
	{ "PAN is set at the vector as SPAN says", pan_at_entry, NEED_HYP },
	{ NULL, NULL, 0 },
};
