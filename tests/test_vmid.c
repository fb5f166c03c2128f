// SPDX-License-Identifier: BSD-2-Clause
/*
 * VMIDs by generations. Unit tests; random sequences on a machine of a few CPUs whose TLBs are
 * modelled; the same with a signal that lets the others in at any instruction of a load; and
 * threads, one a CPU, on the same machine with atomics.
 *
 * The TLBs: for each CPU and number the guests that have translations cached under it. A guest that
 * runs caches one at any moment, also while flush_all() is under way. The rules:
 *   - who is loaded finds nothing of another guest under his number on this CPU
 *   - no guest runs under two numbers at once, nor two guests under one
 *   - an invalidation of what s2_vmid_current() names leaves nothing of the guest anywhere
 *   - a guest keeps its number within a generation, and into the next where it runs
 *   - a generation ends only when each of its numbers has been somebody's
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <cmocka.h>

#include <stage2/vmid.h>

#define CPUS    8
#define NUMBERS 16
#define GUESTS  24
#define LOADS   10000000 /* or so many strikes */
#define STRIKES 4000
#define NOBODY  GUESTS

struct machine {
	struct s2_vmids vmids;
	struct s2_vmids_config config;
	struct s2_vmid_cpu cpu[CPUS];
	uint64_t bitmap[1024];
	struct s2_vmid guest[GUESTS];
	/* What is known of them. */
	uint32_t tlb[CPUS][NUMBERS]; /* a bit for each guest */
	unsigned int runs[CPUS];     /* a guest, or NOBODY */
	unsigned int number[CPUS];   /* under which it runs */
	uint64_t drawn[GUESTS];      /* rollovers, plus 1, when it was loaded last */
	unsigned int had[GUESTS];    /* its number then */
	uint32_t used;               /* in this generation */
	uint64_t flushes;
	int restless;        /* CPUs unload their guests while a generation begins */
	int struck;          /* the others go on while CPU 0 loads */
	volatile int inside; /* CPU 0 is in s2_vmid_load() */
};

static struct machine machine;
static volatile unsigned int strikes;
static struct machine *const m = &machine;
static uint64_t state = 88172645463325252ull;

static uint64_t draw(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % below;
}

/* What runs caches something. */
static void walk(unsigned int cpu)
{
	if (m->runs[cpu] != NOBODY)
		m->tlb[cpu][m->number[cpu]] |= 1u << m->runs[cpu];
}

static void unload(unsigned int cpu)
{
	walk(cpu);
	m->runs[cpu] = NOBODY;
	s2_vmid_unload(&m->vmids, cpu);
}

/* No generation ends before its time. The other CPUs go on meanwhile. */
static void flush_all(void *ctx)
{
	uint32_t all = (1u << (1u << m->config.bits)) - 2; /* a bit each */

	(void)ctx;
	m->flushes++;
	if (!m->struck)
		assert_int_equal(m->used, all);
	m->used = 0;
	for (unsigned int cpu = 0; cpu < m->config.cpus; cpu++) {
		unsigned int guest = m->runs[cpu];

		memset(m->tlb[cpu], 0, sizeof(m->tlb[cpu]));
		if (guest == NOBODY)
			continue;
		m->used |= 1u << m->number[cpu]; /* taken along */
		m->drawn[guest] = m->flushes + 1;
		walk(cpu);
		if (m->restless && draw(16) == 0)
			unload(cpu);
	}
}

static void relax(void *ctx)
{
	(void)ctx;
	fail_msg("waits for itself");
}

static void up(unsigned int bits, unsigned int cpus)
{
	memset(m, 0, sizeof(*m));
	memset(m->bitmap, 0xff, sizeof(m->bitmap));
	memset(m->cpu, 0xff, sizeof(m->cpu));
	m->config = (struct s2_vmids_config){ .bits = (uint8_t)bits,
					      .cpus = cpus,
					      .bitmap = m->bitmap,
					      .cpu = m->cpu,
					      .flush_all = flush_all,
					      .relax = relax };
	assert_int_equal(s2_vmids_init(&m->vmids, &m->config), 0);
	for (unsigned int cpu = 0; cpu < CPUS; cpu++)
		m->runs[cpu] = NOBODY;
}

static unsigned int load(unsigned int guest, unsigned int cpu)
{
	uint64_t before = m->vmids.rollovers;
	unsigned int number;

	walk(cpu); /* to the last moment */
	m->runs[cpu] = NOBODY;
	if (cpu == 0)
		m->inside = 1;
	number = s2_vmid_load(&m->vmids, &m->guest[guest], cpu);
	if (cpu == 0)
		m->inside = 0;
	/* What is not ours is left alone. */
	assert_true(m->config.bits > 6 || m->bitmap[1] == UINT64_MAX);
	assert_true(m->config.cpus == CPUS || m->cpu[m->config.cpus].active == UINT64_MAX);
	assert_int_equal(m->vmids.rollovers, m->flushes);
	assert_true(m->struck || m->vmids.rollovers - before <= 1);
	assert_true(number > 0 && number < 1u << m->config.bits);
	assert_int_equal(m->tlb[cpu][number] & ~(1u << guest), 0);
	for (unsigned int i = 0; i < m->config.cpus; i++) {
		if (m->runs[i] == guest)
			assert_int_equal(m->number[i], number);
		else if (m->runs[i] != NOBODY)
			assert_int_not_equal(m->number[i], number);
	}
	if (m->drawn[guest] == m->flushes + 1)
		assert_int_equal(m->had[guest], number);
	m->drawn[guest] = m->flushes + 1;
	m->had[guest] = number;
	m->used |= 1u << number;
	m->runs[cpu] = guest;
	m->number[cpu] = number;
	walk(cpu);
	return number;
}

static void invalidate(unsigned int guest)
{
	unsigned int number = s2_vmid_current(&m->guest[guest]);

	for (unsigned int cpu = 0; cpu < m->config.cpus; cpu++) {
		if (number)
			m->tlb[cpu][number] = 0;
		for (unsigned int i = 0; i < NUMBERS; i++)
			assert_false(m->tlb[cpu][i] >> guest & 1);
		walk(cpu);
	}
}

/* A guest that runs nowhere goes, and a new one comes in its memory. */
static void renew(unsigned int guest)
{
	for (unsigned int cpu = 0; cpu < m->config.cpus; cpu++)
		if (m->runs[cpu] == guest)
			return;
	invalidate(guest);
	m->guest[guest] = (struct s2_vmid){ 0 };
	m->drawn[guest] = 0;
}

static void test_errors(void **unused)
{
	struct s2_vmids_config bad;

	(void)unused;
	up(4, 8);
#define REFUSED(change)                                                      \
	do {                                                                 \
		bad = m->config;                                             \
		change;                                                      \
		assert_int_equal(s2_vmids_init(&m->vmids, &bad), S2_EINVAL); \
	} while (0)
	REFUSED(bad.bits = 0);
	REFUSED(bad.bits = 17);
	REFUSED(bad.bits = 255);
	REFUSED(bad.bits = 3); /* 8 CPUs, 7 numbers */
	REFUSED(bad.cpus = 0);
	REFUSED(bad.cpus = 16);
	REFUSED(bad.cpus = UINT32_MAX);
	REFUSED(bad.bitmap = NULL);
	REFUSED(bad.cpu = NULL);
	REFUSED(bad.flush_all = NULL);
	REFUSED(bad.relax = NULL);
#undef REFUSED
	bad = m->config;
	bad.bits = 1;
	bad.cpus = 1;
	assert_int_equal(s2_vmids_init(&m->vmids, &bad), 0);
	bad.bits = 3;
	bad.cpus = 7;
	assert_int_equal(s2_vmids_init(&m->vmids, &bad), 0);
}

static void test_numbers(void **unused)
{
	(void)unused;
	up(2, 2);
	assert_int_equal(s2_vmid_current(&m->guest[0]), 0);
	assert_int_equal(load(0, 0), 1);
	assert_int_equal(s2_vmid_current(&m->guest[0]), 1);
	assert_int_equal(load(0, 0), 1); /* again */
	assert_int_equal(load(0, 1), 1); /* on both */
	assert_int_equal(load(1, 0), 2);
	assert_int_equal(load(2, 0), 3);
	assert_int_equal(load(0, 0), 1);
	assert_int_equal(m->flushes, 0);
	assert_int_equal(s2_vmid_current(&m->guest[1]), 2);
	/* All are given out. CPU 1 goes on with 1; CPU 0 has left what it had. */
	assert_int_equal(load(3, 0), 2);
	assert_int_equal(m->flushes, 1);
	assert_int_equal(load(0, 0), 1);
	assert_int_equal(load(1, 0), 3);
	assert_int_equal(m->flushes, 1);
}

/* What runs across two generations keeps its number, however often it is loaded meanwhile. */
static void test_kept_twice(void **unused)
{
	(void)unused;
	for (unsigned int between = 0; between < 2; between++) {
		up(2, 3);
		assert_int_equal(load(0, 0), 1);
		assert_int_equal(load(0, 1), 1);
		assert_int_equal(load(1, 2), 2);
		assert_int_equal(load(2, 2), 3);
		assert_int_equal(load(3, 2), 2);
		assert_int_equal(m->flushes, 1);
		if (between) /* CPU 1 says so, CPU 0 just goes on */
			assert_int_equal(load(0, 1), 1);
		assert_int_equal(load(4, 2), 3);
		if (between)
			assert_int_equal(load(5, 1), 2);
		assert_int_equal(load(6, 2), between ? 3 : 2);
		assert_int_equal(m->flushes, between ? 3 : 2);
		assert_int_equal(load(0, 2), 1);
		if (!between)
			assert_int_equal(load(0, 1), 1);
	}
}

/* Who is unloaded keeps nothing, also if a new generation has begun before he said so. */
static void test_unloaded(void **unused)
{
	(void)unused;
	up(2, 2);
	assert_int_equal(load(0, 1), 1);
	assert_int_equal(load(1, 0), 2);
	assert_int_equal(load(2, 0), 3);
	unload(1);
	assert_int_equal(load(3, 0), 1);
	assert_int_equal(m->flushes, 1);
	assert_int_equal(load(4, 1), 2);
	assert_int_equal(load(5, 0), 3);
	assert_int_equal(load(6, 0), 1); /* CPU 1 keeps 2 */
	assert_int_equal(m->flushes, 2);
	unload(1);
	assert_int_equal(load(4, 0), 2); /* in this generation still */
	assert_int_equal(load(7, 0), 3);
	assert_int_equal(load(8, 0), 1); /* not in the next one */
	assert_int_equal(load(9, 0), 2);
	assert_int_equal(m->flushes, 3);
}

/* As many CPUs as numbers: nothing is left but the number of who asks. */
static void test_tight(void **unused)
{
	(void)unused;
	for (unsigned int bits = 1; bits <= 3; bits++) {
		unsigned int cpus = (1u << bits) - 1;

		up(bits, cpus);
		for (unsigned int cpu = 0; cpu < cpus; cpu++)
			assert_int_equal(load(cpu, cpu), cpu + 1);
		for (unsigned int i = 0; i < 100; i++)
			assert_int_equal(load(cpus + i % 4, 0), 1);
		assert_int_equal(m->flushes, 100);
	}
}

static void flush_only(void *ctx)
{
	(void)ctx;
	m->flushes++;
}

/* 16 bits, a bitmap of 1024 words: each number once, the running one is kept. */
static void test_wide(void **unused)
{
	static uint8_t seen[65536];

	(void)unused;
	up(16, 2);
	m->config.flush_all = flush_only;
	assert_int_equal(s2_vmids_init(&m->vmids, &m->config), 0);
	for (unsigned int round = 0; round < 3; round++) {
		memset(seen, 0, sizeof(seen));
		seen[0] = 1;
		if (round)
			seen[s2_vmid_load(&m->vmids, &m->guest[0], 1)] = 1;
		for (unsigned int i = round ? 1 : 0; i < 65535; i++) {
			struct s2_vmid fresh = { 0 };
			uint16_t number = s2_vmid_load(&m->vmids, &fresh, 0);

			assert_false(seen[number]);
			seen[number] = 1;
			assert_int_equal(m->vmids.rollovers, m->flushes);
			assert_int_equal(m->flushes, round);
			if (i == 40000)
				m->guest[round] = fresh;
		}
	}
}

static void test_random(void **unused)
{
	uint64_t most = 0;

	(void)unused;
	for (unsigned int run = 0; run < 1000; run++) {
		unsigned int bits = 1 + (unsigned int)draw(4), cpus = (1u << bits) - 1, guests;

		cpus = cpus > CPUS ? CPUS : cpus;
		cpus -= (unsigned int)draw(2) * (unsigned int)draw(cpus);
		guests = 1 + (unsigned int)draw(GUESTS);
		up(bits, cpus);
		m->restless = 1;
		for (unsigned int step = 0; step < 1000; step++) {
			unsigned int cpu = (unsigned int)draw(cpus);
			unsigned int guest = (unsigned int)draw(guests);

			switch (draw(16)) {
			case 0:
				unload(cpu);
				break;
			case 1:
				renew(guest);
				break;
			case 2:
			case 3:
				invalidate(guest);
				break;
			default:
				load(guest, cpu);
			}
		}
		most = m->flushes > most ? m->flushes : most;
	}
	assert_true(most > 100); /* generations did begin */
}

/* A signal met CPU 0 at some instruction of its load. The others are fast. */
static void strike(int signal)
{
	(void)signal;
	if (!m->inside || m->vmids.lock)
		return;
	for (unsigned int i = (unsigned int)draw(12); i-- > 0;)
		load((unsigned int)draw(GUESTS), 1 + (unsigned int)draw(m->config.cpus - 1));
	strikes++;
}

static void test_struck(void **unused)
{
	const struct itimerval often = { { 0, 20 }, { 0, 20 } }, never = { 0 };
	struct sigaction action = { .sa_handler = strike };

	(void)unused;
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	up(3, 4);
	m->struck = 1;
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	for (unsigned int i = 0; i < LOADS && strikes < STRIKES; i++)
		load(i % 2, 0);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
}

/*
 * Threads. A TLB has, under each number, whose translation it holds and how old that is. A walk is
 * atomic against an invalidation on the same CPU, as in hardware an invalidation waits for the
 * walks under way.
 */
#define THREADS       4
#define THREAD_BITS   3
#define THREAD_GUESTS 9
#define ROUNDS        60000

static uint64_t age[THREAD_GUESTS];      /* of the guest's entries */
static uint64_t owner[1 << THREAD_BITS]; /* who runs there: guest << 32 | how often; 0: nobody */
static uint64_t under[THREAD_GUESTS];    /* where it runs: number << 32 | how often */
static uint64_t tlb[THREADS][1 << THREAD_BITS]; /* (guest + 1) << 48 | age */
static uint32_t walking[THREADS];
static const char *broken;

static void violated(const char *what)
{
	__atomic_store_n(&broken, what, __ATOMIC_SEQ_CST);
}

static void tlb_lock(unsigned int cpu)
{
	while (__atomic_exchange_n(&walking[cpu], 1, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void tlb_unlock(unsigned int cpu)
{
	__atomic_store_n(&walking[cpu], 0, __ATOMIC_RELEASE);
}

static void thread_relax(void *ctx)
{
	(void)ctx;
	sched_yield();
}

static void thread_flush_all(void *ctx)
{
	(void)ctx;
	for (unsigned int cpu = 0; cpu < THREADS; cpu++) {
		tlb_lock(cpu);
		memset(tlb[cpu], 0, sizeof(tlb[cpu]));
		tlb_unlock(cpu);
		sched_yield();
	}
}

/* One more at *p, which must be for nobody, or for the same: `with`. */
static void enter(uint64_t *p, uint64_t with, const char *rule)
{
	uint64_t old = __atomic_load_n(p, __ATOMIC_SEQ_CST), new;

	do {
		if (old && old >> 32 != with)
			violated(rule);
		new = (with << 32 | (uint32_t)old) + 1;
	} while (!__atomic_compare_exchange_n(p, &old, new, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
}

static void leave(uint64_t *p)
{
	uint64_t old = __atomic_load_n(p, __ATOMIC_SEQ_CST);

	while (!__atomic_compare_exchange_n(p, &old, (uint32_t)old == 1 ? 0 : old - 1, 0,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

static void thread_walk(unsigned int cpu, uint64_t guest, unsigned int number)
{
	uint64_t *entry = &tlb[cpu][number];

	tlb_lock(cpu);
	if (*entry && *entry >> 48 != guest + 1)
		violated("another guest's translation");
	if (!*entry)
		*entry = (guest + 1) << 48 | __atomic_load_n(&age[guest], __ATOMIC_SEQ_CST);
	tlb_unlock(cpu);
}

/* Changes the guest's entries; afterwards nothing older is left. */
static void thread_invalidate(uint64_t guest)
{
	uint64_t now = __atomic_add_fetch(&age[guest], 1, __ATOMIC_SEQ_CST);
	unsigned int number = s2_vmid_current(&m->guest[guest]);

	for (unsigned int cpu = 0; number && cpu < THREADS; cpu++) {
		tlb_lock(cpu);
		tlb[cpu][number] = 0;
		tlb_unlock(cpu);
	}
	for (unsigned int cpu = 0; cpu < THREADS; cpu++) {
		tlb_lock(cpu);
		for (unsigned int i = 0; i < 1u << THREAD_BITS; i++)
			if (tlb[cpu][i] >> 48 == guest + 1 && (tlb[cpu][i] << 16) >> 16 < now)
				violated("older than its invalidation");
		tlb_unlock(cpu);
	}
}

static void *thread(void *arg)
{
	unsigned int cpu = (unsigned int)(uintptr_t)arg;
	uint64_t rng = 0x9e3779b97f4a7c15ull * (cpu + 1);

	for (unsigned int round = 0; round < ROUNDS; round++) {
		uint64_t dice = (rng = rng * 6364136223846793005ull + 1442695040888963407ull) >> 33;
		uint64_t guest = (dice >> 8) % THREAD_GUESTS;
		unsigned int number;

		if (dice % 8 == 0) {
			thread_invalidate(guest);
			continue;
		}
		if (dice % 8 == 1)
			s2_vmid_unload(&m->vmids, cpu);
		number = s2_vmid_load(&m->vmids, &m->guest[guest], cpu);
		enter(&under[guest], number, "a guest under two numbers");
		enter(&owner[number], guest, "two guests under one number");
		thread_walk(cpu, guest, number);
		if (dice >> 16 & 1)
			sched_yield();
		thread_walk(cpu, guest, number);
		leave(&owner[number]);
		leave(&under[guest]);
	}
	s2_vmid_unload(&m->vmids, cpu);
	return NULL;
}

static void test_threads(void **unused)
{
	pthread_t id[THREADS];

	(void)unused;
	up(THREAD_BITS, THREADS);
	m->config.flush_all = thread_flush_all;
	m->config.relax = thread_relax;
	assert_int_equal(s2_vmids_init(&m->vmids, &m->config), 0);
	for (uintptr_t cpu = 0; cpu < THREADS; cpu++)
		assert_int_equal(pthread_create(&id[cpu], NULL, thread, (void *)cpu), 0);
	for (unsigned int cpu = 0; cpu < THREADS; cpu++)
		assert_int_equal(pthread_join(id[cpu], NULL), 0);
	if (broken)
		fail_msg("%s", broken);
	assert_true(m->vmids.rollovers > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),     cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_kept_twice), cmocka_unit_test(test_unloaded),
		cmocka_unit_test(test_tight),      cmocka_unit_test(test_wide),
		cmocka_unit_test(test_random),     cmocka_unit_test(test_struck),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
