// SPDX-License-Identifier: BSD-2-Clause
/*
 * The second walker: two threads' worth of races in one thread, replayable by seed.
 *
 * It is a coroutine with a stack and an identity (processor, walker, debts) of its own. It gets its
 * turn where the first one stands before a compare-and-swap, before a TLB operation, before a store
 * to the list of slots, or waits in relax(); and gives it back likewise. So every interleaving of
 * the engine's visible steps can come up, also those in which one waits for the other's section,
 * and none depends on a scheduler.
 *
 * All points are outside sim->lock. One second walker a simulation; the thread that arms it is the
 * only one that meets points.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

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

enum state {
	IDLE, /* not armed, or it did all it had to do */
	ARMED,
	ALIVE, /* started and not finished */
};

struct sim_second {
	struct sim_second_config config;
	enum state state;
	int turn; /* 1: the second walker runs */
	int ran;
	uint64_t gpa;
	uint64_t rng;
	ucontext_t context[2]; /* of the first and of the second, while they do not run */
	struct sim_self self[2];
	void *fake_stack[2]; /* the address sanitizer's */
	const void *bottom[2];
	size_t size[2];
	void *stack;
};

/* Goes over to the other; returns when this one's turn has come again. */
static void take_turns(struct sim_second *second)
{
	int me = second->turn, other = !me;
	int last = me && second->state == IDLE;

	second->self[me] = sim_self;
	sim_self = second->self[other];
	second->turn = other;
	FIBER_START(last ? NULL : &second->fake_stack[me], second->bottom[other],
		    second->size[other]);
	swapcontext(&second->context[me], &second->context[other]);
	FIBER_FINISH(second->fake_stack[me], &second->bottom[other], &second->size[other]);
}

/* makecontext() passes int arguments only: the address comes in two halves. */
static void body(unsigned int high, unsigned int low)
{
	struct sim_second *second = (struct sim_second *)((uintptr_t)high << 32 | low);

	FIBER_FINISH(NULL, &second->bottom[0], &second->size[0]);
	second->config.fn(second->config.ctx, second->gpa);
	second->state = IDLE;
	take_turns(second);
}

static void begin(struct sim_second *second, uint64_t gpa)
{
	ucontext_t *context = &second->context[1];
	uintptr_t address = (uintptr_t)second;

	getcontext(context);
	context->uc_stack.ss_sp = second->stack;
	context->uc_stack.ss_size = STACK;
	context->uc_link = NULL;
	makecontext(context, (void (*)(void))body, 2, (unsigned int)(address >> 32),
		    (unsigned int)address);
	second->bottom[1] = second->stack;
	second->size[1] = STACK;
	second->self[1] = (struct sim_self){ .walker = second->config.walker, .cpu = 1 };
	second->gpa = gpa;
	second->state = ALIVE;
	second->ran = 1;
	take_turns(second);
}

void sim_second_arm(struct sim *sim, const struct sim_second_config *config)
{
	struct sim_second *second = sim->second;

	if (!second) {
		second = sim->second = calloc(1, sizeof(*second));
		if (!second)
			abort();
		second->stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (second->stack == MAP_FAILED)
			abort();
		second->rng = sim->config.seed * 0x9e3779b97f4a7c15ull | 1;
	}
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
		take_turns(second);
	second->state = IDLE;
	return second->ran;
}

void sim_second_point(struct sim *sim, uint64_t gpa, enum sim_point point)
{
	struct sim_second *second = sim->second;

	if (!second || second->state == IDLE)
		return;
	if (point == SIM_MAY && sim_random(&second->rng) >> 48 >= second->config.odds)
		return;
	if (second->state == ALIVE)
		take_turns(second);
	else if (point == SIM_MAY)
		begin(second, gpa);
}

void sim_second_fini(struct sim *sim)
{
	if (sim->second)
		munmap(sim->second->stack, STACK);
	free(sim->second);
	sim->second = NULL;
}
