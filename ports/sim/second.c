// SPDX-License-Identifier: BSD-2-Clause
/*
 * Several actors in one thread: coroutines, each with a stack and an identity (processor, walker,
 * debts) of its own, and the points at which one may go on in place of another.
 *
 * A crew is the thread itself (member 0) and up to SIM_ACTORS coroutines. Nothing here decides who
 * goes on: whoever takes the simulation's turns (struct sim_turns) is asked at each point. There
 * are two who do: the second walker below, by chance, and the explorer (actors.c), by plan.
 *
 * The second walker: two threads' worth of races in the midst of an ordinary test. It begins at a
 * point that the first one meets, and from then on they take turns, by chance and whenever one of
 * them waits. One second walker a simulation; the thread that arms it is the only one that meets
 * points.
 *
 * All points are outside sim->lock.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "machine.h"

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/common_interface_defs.h>
#define FIBER_START(save, bottom, size)  __sanitizer_start_switch_fiber(save, bottom, size)
#define FIBER_FINISH(save, bottom, size) __sanitizer_finish_switch_fiber(save, bottom, size)
#else
#define FIBER_START(save, bottom, size)  ((void)(save), (void)(bottom), (void)(size))
#define FIBER_FINISH(save, bottom, size) ((void)(save), (void)(bottom), (void)(size))
#endif

#define STACK (256u << 10)

struct member {
	ucontext_t context; /* while it does not run */
	struct sim_self self;
	struct sim_role role;
	void *fake_stack; /* the address sanitizer's */
	const void *bottom;
	size_t size;
	uint8_t *mapping; /* its stack, with a page that cannot be touched before it */
};

struct sim_crew {
	struct member member[1 + SIM_ACTORS];
	unsigned int runs; /* who */
	unsigned int from; /* who ran before */
};

/* Who just got the turn finds out where the one before him has his stack. */
static void arrive(struct sim_crew *crew, void *fake_stack)
{
	struct member *before = &crew->member[crew->from];

	(void)before;
	FIBER_FINISH(fake_stack, &before->bottom, &before->size);
}

static void change_over(struct sim_crew *crew, unsigned int to, int for_ever)
{
	struct member *me = &crew->member[crew->runs], *other = &crew->member[to];

	me->self = sim_self;
	sim_self = other->self;
	crew->from = crew->runs;
	crew->runs = to;
	FIBER_START(for_ever ? NULL : &me->fake_stack, other->bottom, other->size);
	swapcontext(&me->context, &other->context);
	arrive(crew, me->fake_stack);
}

void sim_crew_go(struct sim_crew *crew, unsigned int to)
{
	if (to != crew->runs)
		change_over(crew, to, 0);
}

/* makecontext() passes int arguments only: the address comes in two halves. */
static void body(unsigned int high, unsigned int low)
{
	struct sim_crew *crew = (struct sim_crew *)((uintptr_t)high << 32 | low);
	const struct sim_role *role = &crew->member[crew->runs].role;

	arrive(crew, NULL);
	role->fn(role->ctx);
	change_over(crew, role->next(role->ctx), 1);
}

void sim_crew_cast(struct sim_crew *crew, unsigned int n, const struct sim_role *role)
{
	struct member *member = &crew->member[n];
	uintptr_t address = (uintptr_t)crew;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!member->mapping) {
		member->mapping = mmap(NULL, page + STACK, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (member->mapping == MAP_FAILED || mprotect(member->mapping, page, PROT_NONE))
			abort();
	}
	member->role = *role;
	member->self = (struct sim_self){ .walker = role->walker, .cpu = role->cpu };
	member->bottom = member->mapping + page;
	member->size = STACK;
	getcontext(&member->context);
	member->context.uc_stack.ss_sp = member->mapping + page;
	member->context.uc_stack.ss_size = STACK;
	member->context.uc_link = NULL;
	makecontext(&member->context, (void (*)(void))body, 2, (unsigned int)(address >> 32),
		    (unsigned int)address);
}

struct sim_crew *sim_crew_new(void)
{
	struct sim_crew *crew = calloc(1, sizeof(*crew));

	if (!crew)
		abort();
	return crew;
}

void sim_crew_free(struct sim_crew *crew)
{
	size_t bytes = (size_t)sysconf(_SC_PAGESIZE) + STACK;

	for (unsigned int n = 1; n <= SIM_ACTORS; n++)
		if (crew->member[n].mapping)
			munmap(crew->member[n].mapping, bytes);
	free(crew);
}

void sim_meet(struct sim *sim, enum sim_where where, uint64_t gpa)
{
	if (sim->turns)
		sim->turns->at(sim->turns, sim, where, gpa);
}

void sim_point(struct sim *sim, uint64_t gpa)
{
	sim_meet(sim, SIM_AT_OWN, gpa);
}

/* The second walker */

#define FIRST  0u
#define SECOND 1u

enum state {
	IDLE, /* not armed, or it did all it had to do */
	ARMED,
	ALIVE, /* started and not finished */
};

struct sim_second {
	struct sim_turns turns; /* first: this is what sim->turns points to */
	struct sim_second_config config;
	struct sim_crew *crew;
	enum state state;
	int ran;
	uint64_t gpa;
	uint64_t rng;
};

static void second_runs(void *ctx)
{
	struct sim_second *second = ctx;

	second->config.fn(second->config.ctx, second->gpa);
}

static unsigned int second_is_done(void *ctx)
{
	struct sim_second *second = ctx;

	second->state = IDLE;
	return FIRST;
}

static void begin(struct sim_second *second, uint64_t gpa)
{
	const struct sim_role role = { .fn = second_runs,
				       .next = second_is_done,
				       .ctx = second,
				       .walker = second->config.walker,
				       .cpu = 1 };

	second->gpa = gpa;
	second->state = ALIVE;
	second->ran = 1;
	sim_crew_cast(second->crew, SECOND, &role);
	sim_crew_go(second->crew, SECOND);
}

static void second_at(struct sim_turns *turns, struct sim *sim, enum sim_where where, uint64_t gpa)
{
	struct sim_second *second = (struct sim_second *)turns;

	(void)sim;
	if (second->state == IDLE)
		return;
	if (where != SIM_AT_WAIT && sim_random(&second->rng) >> 48 >= second->config.odds)
		return;
	if (second->state == ALIVE)
		sim_crew_go(second->crew, second->crew->runs == FIRST ? SECOND : FIRST);
	else if (where != SIM_AT_WAIT)
		begin(second, gpa);
}

void sim_second_arm(struct sim *sim, const struct sim_second_config *config)
{
	struct sim_second *second = sim->second;

	if (!second) {
		second = sim->second = calloc(1, sizeof(*second));
		if (!second)
			abort();
		second->turns.at = second_at;
		second->crew = sim_crew_new();
		second->rng = sim->config.seed * 0x9e3779b97f4a7c15ull | 1;
	}
	sim->turns = &second->turns;
	second->config = *config;
	second->state = ARMED;
	second->ran = 0;
}

int sim_second_finish(struct sim *sim)
{
	struct sim_second *second = sim->second;

	if (!second)
		return 0;
	while (second->state == ALIVE)
		sim_crew_go(second->crew, SECOND);
	second->state = IDLE;
	return second->ran;
}

void sim_second_fini(struct sim *sim)
{
	if (sim->second)
		sim_crew_free(sim->second->crew);
	free(sim->second);
	sim->second = NULL;
	sim->turns = NULL;
}
