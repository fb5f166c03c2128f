/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests that misbehave for good, one a run, chosen by test=... in the bootargs. None of them may
 * hang or harm anything: the run ends with the hypervisor's or the runner's clear word on it, or
 * with the guest's own SYSTEM_OFF. Each prints a line that says what it is about to do.
 */
#include "access.h"

/* No vectors, no stack, and a jump to where nothing is. */
static void jump_nowhere(void)
{
	print("# jumping into nothing, without vectors\n");
	write_sysreg(TEST_HOLE, vbar_el1);
	__asm__ volatile("mov sp, %0\n\tbr %0" : : "r"(TEST_HOLE + 0x1000));
}

/* Execution from the UART, with the vectors there, too. */
static void jump_device(void)
{
	uint64_t uart = window(1, 0x09000000ull, 0);

	print("# jumping into the UART, with the vectors there\n");
	write_sysreg(uart, vbar_el1);
	((probe_fn)uart)(0, 0, 0);
}

/* Fills all of stage 1's tables with one entry; the next walk goes wherever that says. */
static void overwrite_tables(uint64_t entry)
{
	uint64_t root = read_sysreg(ttbr0_el1) & 0xfffffffff000;

	for (unsigned int i = 0; i < 512; i++)
		poke(root + i * 8, entry);
	__asm__ volatile("dsb ishst\n\ttlbi vmalle1is\n\tdsb ish\n\tisb" ::: "memory");
}

static void own_tables(void)
{
	print("# my tables are now in the hypervisor's memory\n");
	overwrite_tables(table_entry(0x40200000));
}

static void own_tables_zero(void)
{
	print("# my tables are now empty\n");
	overwrite_tables(0);
}

static void own_tables_loop(void)
{
	uint64_t root = read_sysreg(ttbr0_el1) & 0xfffffffff000;

	print("# my tables now point to themselves\n");
	overwrite_tables(table_entry(root));
}

/* Reads, writes and executes at every page of the hypervisor's memory: each must abort. */
static void smash(void)
{
	uint64_t let_through = 0, tried = 0;

	print("# attacking 0x40000000 to 0x%lx\n", machine.ram_base);
	for (uint64_t gpa = 0x40000000; gpa < machine.ram_base; gpa += PAGE) {
		uint64_t addr = gpa + (gpa >> 12) % 512 * 8;
		struct probe p;
		int taken = probe_enter(&p, ld8, addr, 0, 0);

		let_through += !check_abort(taken, &p, 0, addr, ld8);
		taken = probe_enter(&p, st8, addr, ~0ull, 0);
		let_through += !check_abort(taken, &p, ABORT_WRITE, addr, st8);
		taken = probe_enter(&p, (probe_fn)(addr & ~3ull), 0, 0, 0);
		let_through += !check_abort(taken, &p, ABORT_EXEC, addr, addr);
		tried += 3;
	}
	print("%s 1 - %lu attacks on the hypervisor's memory, %lu got through\n1..1\n",
	      let_through ? "not ok" : "ok", tried, let_through);
}

/* Code and vectors in a page that the host takes away for good. */
static void lose_code(void)
{
	print("# executing a page that the host takes away\n");
	hypercall(TEST_HC_FILL, 6, 0x1400000014000000ull, 0); /* b . */
	write_sysreg(TEST_RAM + 6 * PAGE, vbar_el1);
	hypercall(TEST_HC_REMAP, TEST_SLOT_RAM, 6, TEST_FRAME_ABSENT);
	((probe_fn)(TEST_RAM + 6 * PAGE))(0, 0, 0);
}

/* A CPU started where nothing is, while CPU 0 waits for it in vain. */
static void secondary_nowhere(void)
{
	uint64_t result;

	print("# starting CPU 1 in the hypervisor's memory\n");
	result = machine.ncpus > 1 ? psci(PSCI_CPU_ON, cpus[1].mpidr, 0x40200000, 0) : 0;
	if ((int32_t)result == -9)
		print("ok 1 - the hypervisor refuses\n1..1\n");
	else
		for (;;)
			__asm__ volatile("wfi");
}

int hostile_run(void)
{
	static const struct {
		const char *arg;
		void (*run)(void);
	} list[] = {
		{ "test=jump-nowhere", jump_nowhere },
		{ "test=jump-device", jump_device },
		{ "test=own-tables", own_tables },
		{ "test=own-tables-zero", own_tables_zero },
		{ "test=own-tables-loop", own_tables_loop },
		{ "test=smash", smash },
		{ "test=lose-code", lose_code },
		{ "test=secondary-nowhere", secondary_nowhere },
	};

	for (unsigned int i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		if (has_arg(list[i].arg)) {
			list[i].run();
			return 1;
		}
	}
	return 0;
}
