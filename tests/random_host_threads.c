// SPDX-License-Identifier: BSD-2-Clause
/*
 * random_host with real threads: two vCPUs, two hosts, a device that uses holds, and a VMM that
 * changes slots and attributes, ages, prefaults and splits. All draw from one number of events.
 * Which access leads where cannot be predicted; what is checked at every access is that it leads to
 * what the host has just then, and finds what was written last.
 */
#include <pthread.h>
#include <sched.h>

#include "random_host.h"

#define VCPUS 2
#define HOSTS 2
#define ALL   (VCPUS + HOSTS + 2)
#define BATCH 32
#define PAUSE 100 /* events of others between two of the VMM's */

struct thread {
	struct host_world *w;
	unsigned int cpu;
	uint64_t rng;
	pthread_t thread;
};

static uint64_t left;

static void vcpu(struct thread *t)
{
	struct mm_access access;
	struct s2_exit exit;

	for (int i = 0; i < BATCH; i++) {
		access = host_draw(host_gpa(t->w, &t->rng), &t->rng);
		(void)host_access(t->w, &access, &t->rng, &exit);
	}
}

static void device(struct thread *t)
{
	for (int i = 0; i < BATCH; i++)
		host_hold(t->w, host_gpa(t->w, &t->rng), &t->rng);
}

static void host(struct thread *t)
{
	struct sim_mm *mm = &t->w->mm;

	for (int i = 0; i < BATCH; i++)
		(void)mm_random_op(mm, &mm->cpu[t->cpu].host, &t->rng);
	if (!mm_random(&t->rng, 64))
		mm_audit(mm);
}

static void vmm(struct thread *t)
{
	uint64_t now = __atomic_load_n(&left, __ATOMIC_RELAXED), gpa = host_gpa(t->w, &t->rng);
	uint64_t dice = mm_random(&t->rng, 13);

	if (dice < 4)
		host_slot_op(t->w, 0, &t->rng);
	else if (dice < 8)
		host_convert(t->w, gpa, &t->rng);
	else if (dice == 8)
		host_age(t->w, &t->rng);
	else if (dice == 9)
		host_young(t->w, gpa, &t->rng);
	else if (dice == 10)
		host_prefault(t->w, gpa, &t->rng);
	else if (dice == 11)
		host_withdraw(t->w, gpa, &t->rng);
	else
		host_split(t->w, gpa, &t->rng);
	while (__atomic_load_n(&left, __ATOMIC_RELAXED) + PAUSE > now &&
	       __atomic_load_n(&left, __ATOMIC_RELAXED))
		sched_yield();
}

static int take(uint64_t batch)
{
	uint64_t n = __atomic_load_n(&left, __ATOMIC_RELAXED);

	while (n && !__atomic_compare_exchange_n(&left, &n, n < batch ? 0 : n - batch, 0,
						 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	return n != 0;
}

static void *body(void *arg)
{
	struct thread *t = arg;

	mm_cpu_on(&t->w->mm, t->cpu);
	while (take(t->cpu < ALL - 1 ? BATCH : 1)) {
		if (t->cpu < VCPUS)
			vcpu(t);
		else if (t->cpu < VCPUS + HOSTS)
			host(t);
		else if (t->cpu < ALL - 1)
			device(t);
		else
			vmm(t);
	}
	return NULL;
}

void host_threads(struct host_world *w, uint64_t events)
{
	struct thread threads[ALL];

	left = events;
	for (unsigned int i = 0; i < ALL; i++) {
		threads[i] = (struct thread){ .w = w, .cpu = i, .rng = sim_random(&w->rng) | 1 };
		mm_cpu_on(&w->mm, i); /* before anybody invalidates */
	}
	sim_thread(0, NULL);
	for (unsigned int i = 0; i < ALL; i++)
		if (pthread_create(&threads[i].thread, NULL, body, &threads[i]))
			sim_fail(&w->sim, "no thread");
	for (unsigned int i = 0; i < ALL; i++)
		pthread_join(threads[i].thread, NULL);
}
