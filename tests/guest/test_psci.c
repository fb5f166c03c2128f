/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's firmware interface (PSCI, DEN0022, chapter 5) and what calls that nobody knows
 * come to.
 */
#include "access.h"

#define NOT_SUPPORTED  (-1)
#define INVALID_PARAMS (-2)
#define ALREADY_ON     (-4)
#define INVALID_ADDR   (-9)

#define PSCI_FEATURES_UNKNOWN 0x84ffffff

static int32_t call(uint64_t id, uint64_t a, uint64_t b, uint64_t c)
{
	return (int32_t)psci(id, a, b, c);
}

static void version(void)
{
	int32_t major = call(PSCI_VERSION, 0, 0, 0) >> 16;

	check(major >= 0 && major < 16);
	if (call(PSCI_VERSION, 0, 0, 0) >= 0x10000) {
		check_eq(call(PSCI_FEATURES, PSCI_CPU_ON, 0, 0), 0);
		check_eq(call(PSCI_FEATURES, PSCI_SYSTEM_OFF, 0, 0), 0);
		check_eq(call(PSCI_FEATURES, PSCI_FEATURES_UNKNOWN, 0, 0), (uint64_t)NOT_SUPPORTED);
	}
}

static void wrong_arguments(void)
{
	int32_t result;

	check_eq(call(PSCI_CPU_ON, 0xff00ff00ffull, (uint64_t)secondary_entry, 0),
		 (uint64_t)INVALID_PARAMS);
	check_eq(call(PSCI_AFFINITY_INFO, 0xff00ff00ffull, 0, 0), (uint64_t)INVALID_PARAMS);
	result = call(PSCI_CPU_ON, cpus[0].mpidr, (uint64_t)secondary_entry, 0);
	check_eq(result, (uint64_t)ALREADY_ON);
	check_eq(call(PSCI_AFFINITY_INFO, cpus[0].mpidr, 0, 0), 0);
}

static uint32_t present;

static void count_me(struct cpu *cpu)
{
	(void)cpu;
	__atomic_add_fetch(&present, 1, __ATOMIC_RELAXED);
}

static void turn_off(struct cpu *cpu)
{
	if (cpu->id)
		store_release(&cpu->state, CPU_OFF);
}

static void on_again(void)
{
	unsigned int last = machine.ncpus - 1;

	check_eq(call(PSCI_CPU_ON, cpus[last].mpidr, (uint64_t)secondary_entry, 0),
		 (uint64_t)ALREADY_ON);
	for (unsigned int round = 0; round < 3; round++) {
		check_eq(call(PSCI_AFFINITY_INFO, cpus[last].mpidr, 0, 0), 0);
		check_eq(smp_run(machine.ncpus, turn_off), 0);
		for (unsigned int n = 1; n < machine.ncpus; n++)
			while (call(PSCI_AFFINITY_INFO, cpus[n].mpidr, 0, 0) != 1)
				__asm__ volatile("yield");
		for (unsigned int n = 1; n < machine.ncpus; n++)
			if (!check_eq((uint64_t)cpu_on(n), 0))
				bail("a CPU does not come on again");
	}
	present = 0;
	(void)smp_run(machine.ncpus, count_me);
	check_eq(present, machine.ncpus);
}

/* SMC is undefined where the machine has none: only the hypervisor must know it. */
static void unknown_calls(void)
{
	static const uint64_t ids[] = { 0x84001234, 0xc4001234, 0x8000ffff, 0xc6010000,
					0xffffffff };

	for (unsigned int i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		uint64_t regs[4] = { ids[i] };
		struct probe p;

		check_eq(probe_enter(&p, probe_smc, (uint64_t)regs, 0, 0), 0);
		check_eq(regs[0], ~0ull);
		regs[0] = ids[i];
		check_eq(probe_enter(&p, probe_hvc, (uint64_t)regs, 0, 0), 0);
		check_eq(regs[0], ~0ull);
	}
	check_eq((uint64_t)hypercall_try(TEST_HC_LAST, 0, 0, 0), ~0ull);
}

const struct test psci_tests[] = {
	{ "PSCI version and features", version, 0 },
	{ "PSCI calls with wrong arguments", wrong_arguments, 0 },
	{ "PSCI turns CPUs off and on again", on_again, NEED_SMP },
	{ "unknown calls are not supported", unknown_calls, NEED_HYP },
	{ NULL, NULL, 0 },
};
