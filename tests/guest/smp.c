/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The other CPUs: started by PSCI, they poll for rounds of work. smp_run() publishes a job and its
 * round number; every CPU that takes part runs it and then publishes the same number as its own.
 * Also the two doors out of the guest, SMC and HVC.
 */
#include "guest.h"

struct cpu cpus[MAX_CPUS];
char stacks[MAX_CPUS][STACK_SIZE] __attribute__((aligned(PAGE)));

static void (*job_fn)(struct cpu *cpu);
static uint32_t job_round;
static uint32_t job_cpus;

uint64_t smc(uint64_t *regs)
{
	register uint64_t x0 __asm__("x0") = regs[0];
	register uint64_t x1 __asm__("x1") = regs[1];
	register uint64_t x2 __asm__("x2") = regs[2];
	register uint64_t x3 __asm__("x3") = regs[3];

	__asm__ volatile("smc #0"
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
			 :
			 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
			   "x15", "x16", "x17", "memory");
	regs[0] = x0;
	regs[1] = x1;
	regs[2] = x2;
	regs[3] = x3;
	return x0;
}

/* abi.h promises that x4 and up survive: the compiler holds the hypervisor to it. */
uint64_t hvc(uint64_t *regs)
{
	register uint64_t x0 __asm__("x0") = regs[0];
	register uint64_t x1 __asm__("x1") = regs[1];
	register uint64_t x2 __asm__("x2") = regs[2];
	register uint64_t x3 __asm__("x3") = regs[3];

	__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	regs[0] = x0;
	regs[1] = x1;
	regs[2] = x2;
	regs[3] = x3;
	return x0;
}

uint64_t probe_hvc(uint64_t regs, uint64_t b, uint64_t c)
{
	(void)b;
	(void)c;
	return hvc((uint64_t *)regs);
}

uint64_t probe_smc(uint64_t regs, uint64_t b, uint64_t c)
{
	(void)b;
	(void)c;
	return smc((uint64_t *)regs);
}

int64_t hypercall_try(uint64_t id, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t regs[4] = { id, a, b, c };

	return (int64_t)hvc(regs);
}

uint64_t hypercall(uint64_t id, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t regs[4] = { id, a, b, c };

	if (hvc(regs)) {
		print("# hypercall 0x%lx(0x%lx, 0x%lx, 0x%lx) says -%lu\n", id, a, b, c, -regs[0]);
		bail("a hypercall of the tests failed");
	}
	return regs[1];
}

uint64_t psci(uint64_t id, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t regs[4] = { id, a, b, c };

	return machine.psci_hvc ? hvc(regs) : smc(regs);
}

void secondary_main(struct cpu *cpu)
{
	store_release(&cpu->state, CPU_RUNS);
	for (;;) {
		uint32_t round = load_acquire(&job_round);

		if (round == cpu->turn) {
			__asm__ volatile("yield");
			continue;
		}
		if (cpu->id < job_cpus)
			job_fn(cpu);
		store_release(&cpu->turn, round);
		if (load_acquire(&cpu->state) == CPU_OFF)
			psci(PSCI_CPU_OFF, 0, 0, 0);
	}
}

int cpu_on(unsigned int n)
{
	struct cpu *cpu = &cpus[n];

	cpu->id = n;
	cpu->stack = (uint64_t)stacks[n] + STACK_SIZE;
	cpu->turn = load_acquire(&job_round);
	/* It reads its stack's address with its MMU off: past the caches. */
	__asm__ volatile("dc civac, %0\n\tdsb sy" : : "r"(cpu) : "memory");
	if (psci(PSCI_CPU_ON, cpu->mpidr, (uint64_t)secondary_entry, (uint64_t)cpu))
		return -1;
	while (load_acquire(&cpu->state) != CPU_RUNS)
		__asm__ volatile("yield");
	return 0;
}

unsigned int smp_start(void)
{
	unsigned int n;

	for (n = 1; n < machine.ncpus; n++)
		if (cpu_on(n))
			bail("CPU_ON failed");
	return n;
}

void barrier_wait(uint32_t *barrier, unsigned int n)
{
	uint32_t arrived = __atomic_add_fetch(barrier, 1, __ATOMIC_ACQ_REL);
	uint32_t target = (arrived + n - 1) / n * n;

	while ((int32_t)(load_acquire(barrier) - target) < 0)
		__asm__ volatile("yield");
}

void job_bad(struct cpu *cpu, uint32_t line, uint64_t seen)
{
	if (cpu->bad)
		return;
	cpu->seen = seen;
	cpu->bad = line;
}

int smp_run(unsigned int n, void (*job)(struct cpu *cpu))
{
	int bad = 0;
	uint32_t round = job_round + 1;

	for (unsigned int i = 0; i < n; i++)
		cpus[i].bad = 0;
	job_fn = job;
	job_cpus = n;
	store_release(&job_round, round);
	job(&cpus[0]);
	for (unsigned int i = 1; i < machine.ncpus; i++) {
		while (load_acquire(&cpus[i].turn) != round)
			__asm__ volatile("yield");
	}
	for (unsigned int i = 0; i < n; i++) {
		if (!cpus[i].bad)
			continue;
		bad = -1;
		print("# CPU %u: check in line %u failed, saw 0x%lx\n", i, cpus[i].bad,
		      cpus[i].seen);
	}
	return bad;
}
