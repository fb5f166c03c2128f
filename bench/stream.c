// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a stream of invalidations of other ranges costs the faults of a vCPU: one thread faults page
 * after page, another one begins and ends invalidations elsewhere, one a microsecond. Passes with
 * and without the stream take turns; the result is the ratio of their medians.
 *
 * The ranges are single pages at random, so that every pair of counters is hit. A fault that is
 * sent away is tried again, as a guest would, and that counts as part of it. Twice: with sections
 * that are entered by an atomic instruction, and with a port that has barrier(), where every
 * synchronize interrupts the other CPU.
 */
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stage2/vm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE   4096ull
#define PAGES  65536u /* of a pass */
#define RAM    (1ull << 30)
#define OTHER  (4ull << 30) /* where the stream is */
#define PASSES 31           /* of each kind; odd */
#define POOL   512u         /* tables */

static struct s2_vm vm;
static struct s2_walker vcpu, host;
static struct s2_memslot slot = { .gpa = { RAM }, .hva = { RAM }, .size = PAGES * PAGE };
static uint8_t memory[POOL][PAGE] __attribute__((aligned(4096)));
static struct {
	void *table[POOL];
	unsigned int head, tail;
} pool;
static cpu_set_t allowed;
static int streaming, over; /* atomic */
static uint64_t begun;      /* by the stream; atomic */
static uint64_t interval;   /* of the stream, ns */

static void die(const char *what, int error)
{
	fprintf(stderr, "stream: %s: %s\n", what, s2_strerror(error));
	exit(1);
}

static uint64_t now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/*
 * Tables go round: the one given back last comes last. With malloc() every other pass would get
 * them in the opposite order, and be a quarter slower for it. Only the vCPU's thread frees and
 * allocates.
 */
static void *table_alloc(void *ctx, unsigned int order)
{
	void *table = pool.table[pool.head++ % POOL];

	(void)ctx;
	if (order || !table)
		return NULL;
	pool.table[(pool.head - 1) % POOL] = NULL;
	return memset(table, 0, PAGE);
}

static void table_free(void *ctx, void *table, unsigned int order)
{
	(void)ctx;
	(void)order;
	pool.table[pool.tail++ % POOL] = table;
}

static void pool_fill(void)
{
	pool.head = pool.tail = 0;
	for (unsigned int i = 0; i < POOL; i++)
		pool.table[i] = memory[i];
}

static int resolve(void *ctx, s2_hva_t hva, enum s2_access access, struct s2_page *page)
{
	(void)ctx;
	(void)access;
	*page = (struct s2_page){ .hpa = s2_hpa(hva.hva), .size = PAGE, .prot = S2_RWX };
	return 0;
}

static void tlb(void *ctx, const struct s2_tlb_op *ops, size_t n)
{
	(void)ctx;
	(void)ops;
	(void)n;
}

static void relax(void *ctx)
{
	(void)ctx;
}

static void barrier(void *ctx)
{
	(void)ctx;
	syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

/* To the n-th of the CPUs that this process may use. */
static void pin(int n)
{
	cpu_set_t set;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || n--)
			continue;
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		if (!sched_setaffinity(0, sizeof(set), &set))
			return;
	}
	fprintf(stderr, "stream: this takes two CPUs\n");
	exit(2);
}

static void *stream(void *unused)
{
	uint64_t random = 1, next = 0;

	(void)unused;
	pin(1);
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
		uint64_t t = now(CLOCK_MONOTONIC), gpa;
		int ret;

		if (!__atomic_load_n(&streaming, __ATOMIC_ACQUIRE) || t < next)
			continue;
		next = (next + interval > t ? next : t) + interval;
		random = random * 6364136223846793005ull + 1442695040888963407ull;
		gpa = OTHER + (random >> 44) * PAGE;
		ret = s2_vm_invalidate_begin(&vm, s2_gpa(gpa), PAGE, S2_INVAL_UNMAP, &host);
		if (ret)
			die("s2_vm_invalidate_begin", ret);
		s2_vm_invalidate_end(&vm, s2_gpa(gpa), PAGE);
		__atomic_store_n(&begun, begun + 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* One pass: all pages, each until it is there. Returns ns a page. */
static double pass(uint64_t *away)
{
	uint64_t begin = now(CLOCK_THREAD_CPUTIME_ID), end;
	struct s2_progress progress;
	struct s2_gather gather;
	struct s2_exit ex;
	int ret;

	for (uint64_t i = 0; i < PAGES; i++) {
		struct s2_fault fault = { .gpa = s2_gpa(RAM + i * PAGE),
					  .access = S2_ACCESS_WRITE };

		do {
			ret = s2_fault(&vm, &vcpu, &fault, &ex);
			if (ret || ex.reason != S2_EXIT_RESUME)
				die("s2_fault", ret);
			*away += !ex.size;
		} while (!ex.size);
	}
	end = now(CLOCK_THREAD_CPUTIME_ID);
	s2_gather_init(&gather, &vm.pt);
	ret = s2_pt_unmap(&vm.pt, s2_gpa(RAM), PAGES * PAGE, &vcpu, &gather, &progress);
	s2_gather_flush(&gather, &vcpu);
	if (ret)
		die("s2_pt_unmap", ret);
	return (double)(end - begin) / PAGES;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void measure(const char *name, void (*port_barrier)(void *ctx))
{
	struct s2_port port = { .version = S2_PORT_VERSION,
				.table_alloc = table_alloc,
				.table_free = table_free,
				.resolve = resolve,
				.tlb = tlb,
				.relax = relax,
				.barrier = port_barrier };
	struct s2_vm_config config = { .pt = { .format = S2_FORMAT_ARM64_4K,
					       .ipa_bits = 39,
					       .block_level = 2,
					       .cpu = { .features = S2_CPU_FWB | S2_CPU_DIC |
								    S2_CPU_TLB_RANGE,
							.pa_bits = 48 } } };
	double ns[2][PASSES];
	uint64_t away[2] = { 0 }, wall = 0, count;
	pthread_t thread;
	int ret;

	pool_fill();
	ret = s2_vm_init(&vm, &config, &port);
	if (!ret)
		ret = s2_vm_slot_add(&vm, &slot);
	if (ret)
		die("set-up", ret);
	s2_walker_init(&vcpu, &vm.pt);
	s2_walker_init(&host, &vm.pt);
	over = 0;
	begun = 0;
	if (pthread_create(&thread, NULL, stream, NULL))
		die("pthread_create", S2_ENOMEM);
	(void)pass(&away[0]);
	away[0] = 0;
	for (unsigned int i = 0; i < 2 * PASSES; i++) {
		uint64_t from = now(CLOCK_MONOTONIC);

		__atomic_store_n(&streaming, i & 1, __ATOMIC_RELEASE);
		ns[i & 1][i / 2] = pass(&away[i & 1]);
		wall += i & 1 ? now(CLOCK_MONOTONIC) - from : 0;
	}
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	count = __atomic_load_n(&begun, __ATOMIC_RELAXED);
	qsort(ns[0], PASSES, sizeof(double), by_value);
	qsort(ns[1], PASSES, sizeof(double), by_value);
	printf("%-9s %8.1f %8.1f %6.0f %% %9.0f %10.4f %9llu\n", name, ns[0][PASSES / 2],
	       ns[1][PASSES / 2], 100 * ns[0][PASSES / 2] / ns[1][PASSES / 2],
	       (double)count * 1e6 / (double)wall, (double)away[1] / PASSES / PAGES,
	       (unsigned long long)vcpu.stats.fault_precise);
	s2_walker_fini(&vcpu);
	s2_walker_fini(&host);
	s2_vm_fini(&vm);
}

int main(int argc, char **argv)
{
	interval = argc > 1 ? strtoull(argv[1], NULL, 0) : 1000;
	syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		CPU_ZERO(&allowed);
	pin(0);
	printf("%-9s %8s %8s %8s %9s %10s %9s\n", "sections", "ns alone", "ns with", "rate",
	       "1000/s", "sent away", "insisted");
	measure("atomic", NULL);
	measure("barrier", barrier);
	return 0;
}
