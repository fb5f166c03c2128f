/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exclusive and atomic accesses to memory that is mapped on demand: as the first access of a page,
 * after a read, after the host took the page away in between, and from several CPUs.
 */
#include "access.h"

#define PAGES 64

/* Brings page n into one of four states before the access. */
static void prepare(uint64_t page, unsigned int n)
{
	if (n & 1)
		(void)peek(page + 8);
	if (!machine.hyp)
		return;
	if (n & 2)
		hypercall(TEST_HC_PROTECT, page, PAGE, 2);
	if (n & 4)
		hypercall(TEST_HC_AGE, page, PAGE, 1);
	if (n & 8)
		hypercall(TEST_HC_DROP, page, PAGE, 0);
}

static void exclusives(void)
{
	uint64_t base = fresh(PAGES * PAGE);

	for (unsigned int n = 0; n < PAGES; n++) {
		uint64_t page = base + n * PAGE;

		prepare(page, n);
		check_eq(exclusive_add8(page, n + 1, 0), 0);
		prepare(page, n);
		check_eq(exclusive_add8(page, n, 0), n + 1);
		prepare(page, n);
		exclusive_pair_add(page, n, 3);
		check_eq(peek(page), n * 3 + 1);
		check_eq(peek(page + 8), 3);
	}
}

static void lse(void)
{
	uint64_t base = fresh(PAGES * PAGE);

	for (unsigned int n = 0; n < PAGES; n++) {
		uint64_t page = base + n * PAGE;

		prepare(page, n);
		check_eq(ldadd8(page, n + 1, 0), 0);
		prepare(page, n);
		check_eq(cas8(page, n + 1, 0x1000), n + 1);
		prepare(page, n);
		check_eq(cas8(page, 0x999, 0x2000), 0x1000); /* fails */
		prepare(page, n);
		check_eq(swp8(page, n, 0), 0x1000);
		prepare(page, n);
		check_eq(ldadd4(page + 4, 5, 0), 0);
		check_eq(peek(page), n | 5ull << 32);
	}
}

/* A failing CAS to a page that nobody has touched reads zero and is no lost update. */
static void cas_first(void)
{
	uint64_t base = fresh(PAGES * PAGE);

	for (unsigned int n = 0; n < PAGES; n++)
		check_eq(cas8(base + n * PAGE + 8 * n, 1, 2), 0);
	for (unsigned int n = 0; n < PAGES; n++)
		check_eq(peek(base + n * PAGE + 8 * n), 0);
}

#define ROUNDS (80 / machine.ncpus) /* emulated CPUs may share real ones */
#define ADDS   20

static uint64_t shared_page;
static uint32_t barrier;

/* CPU 0 makes the page vanish, then all fall upon it. */
static void all_add(struct cpu *cpu)
{
	for (uint64_t round = 0; round < ROUNDS; round++) {
		if (cpu->id == 0 && machine.hyp)
			hypercall(TEST_HC_DROP, shared_page, PAGE, 0);
		barrier_wait(&barrier, machine.ncpus);
		for (unsigned int i = 0; i < ADDS; i++) {
			exclusive_add8(shared_page, 1, 0);
			if (machine.lse && i & 1)
				ldadd8(shared_page + 64, 1, 0);
			else
				exclusive_add8(shared_page + 64, 1, 0);
		}
		barrier_wait(&barrier, machine.ncpus);
		job_check(cpu, peek(shared_page) == (round + 1) * ADDS * machine.ncpus,
			  peek(shared_page));
		job_check(cpu, peek(shared_page + 64) == (round + 1) * ADDS * machine.ncpus,
			  peek(shared_page + 64));
		barrier_wait(&barrier, machine.ncpus);
	}
}

static void shared(void)
{
	shared_page = fresh(PAGE);
	check_eq(smp_run(machine.ncpus, all_add), 0);
}

/* The host takes the page away all the time, in the middle of exclusive sequences. */
static void add_while_dropped(struct cpu *cpu)
{
	if (cpu->id == 0) {
		for (unsigned int i = 0; i < 300; i++)
			hypercall(TEST_HC_DROP, shared_page, PAGE, 0);
		return;
	}
	for (unsigned int i = 0; i < 2000; i++)
		exclusive_add8(shared_page, cpu->id, 0);
}

static void shared_dropped(void)
{
	uint64_t want = 0;

	shared_page = fresh(PAGE);
	for (uint64_t n = 1; n < machine.ncpus; n++)
		want += n * 2000;
	check_eq(smp_run(machine.ncpus, add_while_dropped), 0);
	check_eq(peek(shared_page), want);
}

const struct test atomic_tests[] = {
	{ "exclusive accesses to demand-mapped memory", exclusives, 0 },
	{ "LSE atomics on demand-mapped memory", lse, NEED_LSE },
	{ "failing CAS as a page's first access", cas_first, NEED_LSE },
	{ "atomics of all CPUs on a page that just went away", shared, NEED_SMP },
	{ "exclusives while the host takes the page away", shared_dropped, NEED_HYP | NEED_SMP },
	{ NULL, NULL, 0 },
};
