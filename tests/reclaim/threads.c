// SPDX-License-Identifier: BSD-2-Clause
/*
 * The same world (world.h) with a thread for each CPU of the guest: they use pages, sleep, and take
 * memory from each other by age, as fast as it goes, unwatched: for the thread sanitizer, to which
 * a frame that is copied while somebody writes to it is a race, and for orders of memory accesses
 * that the simulated machine does not know.
 *
 *   reclaim-threads [ACCESSES]     of each CPU
 *
 * Each CPU works in a few pages for a while, then in others: the rest becomes old. Few values are
 * written, so that many pages are equal, or zero. Now and then all stop, and the world is audited.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

#define PAGES  1024u
#define USED   192u
#define HOT    24u  /* pages that a CPU works in for a while */
#define WHILE  512u /* accesses */
#define ROUND  16384u
#define YIELDS 16u /* one point in so many lets others go on */

static _Thread_local unsigned int self;
static _Thread_local uint64_t rng;
static uint64_t ticks;
static uint64_t accesses = 400000;
static pthread_barrier_t quiet;

static uint64_t draw(uint64_t below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 16) % below;
}

/* --- what the world asks for --- */

unsigned int play_cpu(void)
{
	return self;
}

void play_point(void)
{
	if (draw(YIELDS) == 0)
		sched_yield();
}

void play_wait(void)
{
	sched_yield();
}

int cpu_wanted(void)
{
	return draw(2) == 0;
}

uint64_t report_now(void)
{
	return __atomic_add_fetch(&ticks, 1, __ATOMIC_RELAXED);
}

int play_walk(unsigned int cpu, uint64_t gpa, uint64_t *hpa, unsigned int *prot)
{
	struct s2_leaf leaf;

	if (s2_pt_lookup(&hyp_guest.vm.pt, s2_gpa(gpa), hyp_cpus[cpu].walker, &leaf))
		return S2_FAULT_TRANSLATION;
	*hpa = leaf.hpa.hpa + (gpa - leaf.gpa.gpa);
	*prot = leaf.attr.prot;
	return leaf.young ? -1 : S2_FAULT_ACCESS;
}

void play_taken(uint64_t frame)
{
	(void)frame;
}

void play_given(uint64_t frame)
{
	(void)frame;
}

void play_empty(uint64_t gpa, uint64_t size)
{
	(void)gpa;
	(void)size;
}

void play_failed(const char *what)
{
	fprintf(stderr, "sim: %s (CPU %u)\n", what, self);
	abort();
}

/* --- the port --- */

static void *table_alloc(void *ctx, unsigned int order)
{
	void *table = aligned_alloc(FRAME_SIZE_4K << order, FRAME_SIZE_4K << order);

	(void)ctx;
	if (table)
		memset(table, 0, FRAME_SIZE_4K << order);
	return table;
}

static void table_free(void *ctx, void *table, unsigned int order)
{
	(void)ctx;
	(void)order;
	free(table);
}

static int resolve(void *ctx, s2_hva_t hva, enum s2_access access, struct s2_page *page)
{
	(void)ctx;
	memset(page, 0, sizeof(*page));
	return reclaim_resolve(hva, access, page);
}

static void tlb(void *ctx, const struct s2_tlb_op *ops, size_t n)
{
	(void)ctx;
	world_tlb(ops, n, self);
}

static void cache_sync(void *ctx, s2_hpa_t hpa, uint64_t size, unsigned int kind)
{
	(void)ctx;
	(void)hpa;
	(void)size;
	(void)kind;
	play_point();
}

static void relax(void *ctx)
{
	(void)ctx;
	sched_yield();
}

static const struct s2_port port = { .version = S2_PORT_VERSION,
				     .table_alloc = table_alloc,
				     .table_free = table_free,
				     .resolve = resolve,
				     .tlb = tlb,
				     .cache_sync = cache_sync,
				     .relax = relax };

/* --- the CPUs --- */

static void use(uint64_t n)
{
	unsigned int word = (unsigned int)draw(WORLD_WORDS);

	if (draw(4) == 0)
		world_write(self, n, word, draw(3) ? 0 : 1);
	else
		world_read(self, n, word, self);
}

static void *cpu(void *arg)
{
	uint64_t first = 0, left = accesses;

	self = (unsigned int)(uintptr_t)arg;
	rng = 0x9e3779b97f4a7c15ull * (self + 1);
	while (left) {
		if (left % WHILE == 0)
			first = draw(USED);
		use(draw(16) ? (first + draw(HOT)) % USED : draw(USED));
		if (draw(16) == 0)
			world_prefetch(self, draw(USED));
		if (draw(8) == 0)
			reclaim_turn(&hyp_cpus[self]);
		if (draw(256) == 0)
			reclaim_idle(&hyp_cpus[self], 0);
		if (--left % ROUND)
			continue;
		pthread_barrier_wait(&quiet);
		if (self == 0)
			world_audit();
		pthread_barrier_wait(&quiet);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	/* Blocks at first: most of them break at once. */
	const struct world_config config = { .port = &port,
					     .cpu = { .pa_bits = 48 },
					     .pages = PAGES,
					     .used = USED,
					     .reclaim = 10,
					     .merge = 1,
					     .block_level = 1 };
	struct hyp_reclaim sum = { 0 };
	pthread_t threads[WORLD_CPUS];

	if (argc > 1)
		accesses = strtoull(argv[1], NULL, 0);
	self = 0;
	rng = 1;
	world_up(&config);
	pthread_barrier_init(&quiet, NULL, WORLD_CPUS);
	for (uintptr_t c = 0; c < WORLD_CPUS; c++)
		if (pthread_create(&threads[c], NULL, cpu, (void *)c))
			abort();
	for (unsigned int c = 0; c < WORLD_CPUS; c++)
		pthread_join(threads[c], NULL);
	world_audit();
	for (unsigned int c = 0; c < WORLD_CPUS; c++) {
		const struct hyp_reclaim *r = &hyp_cpus[c].percpu->reclaim;

		sum.scanned += r->scanned;
		sum.taken += r->taken;
		sum.zeros += r->zeros;
		sum.given_back += r->given_back;
		sum.moved += r->moved;
		sum.merged += r->merged;
		sum.unshared += r->unshared;
	}
	world_down();
	printf("%llu looks: %llu pages taken (%llu zeros), %llu given back, %llu moved, %llu "
	       "merged, %llu unshared\n",
	       (unsigned long long)sum.scanned, (unsigned long long)sum.taken,
	       (unsigned long long)sum.zeros, (unsigned long long)sum.given_back,
	       (unsigned long long)sum.moved, (unsigned long long)sum.merged,
	       (unsigned long long)sum.unshared);
	if (!sum.taken || !sum.zeros || !sum.given_back || !sum.moved || !sum.merged ||
	    !sum.unshared)
		play_failed("reclaim: not all happened that this is about");
	return 0;
}
