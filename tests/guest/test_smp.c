/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several CPUs that fault at once: on one page, on neighbours, on pages far apart, and while a
 * page changes from readable to writable.
 */
#include "access.h"

#define ONE_PAGE_ROUNDS (200 / machine.ncpus) /* emulated CPUs may share real ones */
#define REGION_PAGES    1024
#define REGION_ROUNDS   3

static uint64_t region;
static uint32_t barrier;

/* All touch the same fresh page at the same moment: some read, some write their own word. */
static void one_page(struct cpu *cpu)
{
	for (uint64_t round = 1; round <= ONE_PAGE_ROUNDS; round++) {
		if (cpu->id == 0 && machine.hyp)
			hypercall(TEST_HC_DROP, region, PAGE, 0);
		barrier_wait(&barrier, machine.ncpus);
		if ((round + cpu->id) % 3)
			poke(region + cpu->id * 8, round);
		else
			(void)peek(region + cpu->id * 8);
		poke(region + cpu->id * 8, round);
		barrier_wait(&barrier, machine.ncpus);
		for (uint64_t n = 0; n < machine.ncpus; n++)
			job_check(cpu, peek(region + n * 8) == round, peek(region + n * 8));
		barrier_wait(&barrier, machine.ncpus);
	}
}

static void same_page(void)
{
	region = fresh(PAGE);
	check_eq(smp_run(machine.ncpus, one_page), 0);
}

/* Interleaved pages: the CPUs' faults need the same tables at the same time. */
static void own_pages(struct cpu *cpu)
{
	for (uint64_t round = 0; round < REGION_ROUNDS; round++) {
		if (cpu->id == 0 && machine.hyp)
			hypercall(TEST_HC_DROP, region, REGION_PAGES * PAGE, 0);
		barrier_wait(&barrier, machine.ncpus);
		for (uint64_t n = cpu->id; n < REGION_PAGES; n += machine.ncpus) {
			uint64_t addr = region + n * PAGE + n % 512 * 8;

			job_check(cpu, peek(addr) == round * n, peek(addr));
			poke(addr, (round + 1) * n);
		}
		barrier_wait(&barrier, machine.ncpus);
	}
}

static void different_pages(void)
{
	uint64_t sum = 0;

	region = fresh(REGION_PAGES * PAGE);
	check_eq(smp_run(machine.ncpus, own_pages), 0);
	for (uint64_t n = 0; n < REGION_PAGES; n++)
		sum += peek(region + n * PAGE + n % 512 * 8);
	check_eq(sum, REGION_ROUNDS * REGION_PAGES * (REGION_PAGES - 1ull) / 2);
	if (machine.hyp)
		check(hypercall(TEST_HC_AUDIT, 0, 0, 0) > 1);
}

/* CPU 0 takes pieces away all the time; no word that a CPU wrote may be lost. */
static void pieces_go(struct cpu *cpu)
{
	uint64_t random = 12345;

	if (cpu->id == 0) {
		for (unsigned int i = 0; i < 300; i++) {
			random = random * 6364136223846793005ull + 1442695040888963407ull;
			uint64_t first = random >> 33 & 127, n = (random >> 50 & 31) + 1;

			hypercall(TEST_HC_DROP, region + first * PAGE, n * PAGE, 0);
		}
		return;
	}
	for (uint64_t i = 0; i < 8000; i++) {
		uint64_t addr = region + i * 37 % 128 * PAGE + cpu->id * 8, seen = peek(addr);

		job_check(cpu, seen == i / 128, seen);
		poke(addr, seen + 1);
	}
}

static void dropped_under_use(void)
{
	region = fresh(160 * PAGE);
	check_eq(smp_run(machine.ncpus, pieces_go), 0);
}

/* Each CPU executes code of its own page that vanishes under it. */
static void code_goes(struct cpu *cpu)
{
	uint64_t page = region + cpu->id * PAGE;

	for (uint64_t i = 0; i < 200; i++) {
		if (i % 8 == 0)
			hypercall(TEST_HC_DROP, page, PAGE, 0);
		job_check(cpu, ((probe_fn)page)(i, 0, 0) == i + 1, i);
	}
}

static void code_dropped(void)
{
	region = fresh(MAX_CPUS * PAGE);
	for (uint64_t n = 0; n < machine.ncpus; n++)
		poke(region + n * PAGE, 0xd65f03c091000400ull); /* add x0, x0, #1; ret */
	__asm__ volatile("dsb ish\n\tic ialluis\n\tdsb ish\n\tisb" ::: "memory");
	check_eq(smp_run(machine.ncpus, code_goes), 0);
}

/* All CPUs abort at once: each gets its own abort. */
static void all_abort(struct cpu *cpu)
{
	for (uint64_t i = 0; i < 100; i++) {
		uint64_t addr = TEST_HOLE + cpu->id * PAGE + i * 8;
		struct probe p;

		job_check(cpu, probe_enter(&p, i & 1 ? st8 : ld8, addr, 0, 0) == 1, addr);
		job_check(cpu, p.far == addr, p.far);
		job_check(cpu, p.elr == (uint64_t)(i & 1 ? st8 : ld8), p.elr);
	}
}

static void aborts_everywhere(void)
{
	check_eq(smp_run(machine.ncpus, all_abort), 0);
}

const struct test smp_tests[] = {
	{ "all CPUs fault on one page", same_page, NEED_SMP },
	{ "all CPUs fault on interleaved pages", different_pages, NEED_SMP },
	{ "pages are taken away under their users", dropped_under_use, NEED_HYP | NEED_SMP },
	{ "code is taken away under its CPUs", code_dropped, NEED_HYP | NEED_SMP },
	{ "all CPUs abort at once", aborts_everywhere, NEED_HYP | NEED_SMP },
	{ NULL, NULL, 0 },
};
