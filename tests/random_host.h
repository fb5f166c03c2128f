/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random host events: the world that both modes of random_host share. One guest address space over
 * every kind of area that ports/sim/mm.h knows, and the random things that are done to it.
 */
#ifndef TEST_RANDOM_HOST_H
#define TEST_RANDOM_HOST_H

#include <stage2/arm64.h>

#include "mm.h"

#define HOST_SLOTS 20

struct host_world {
	uint64_t seed;
	uint64_t event; /* under way */
	uint64_t rng;   /* of what the first does */
	uint64_t rng2;  /* of what the second walker does */
	struct sim sim;
	struct s2_vm vm;
	struct sim_mm mm;
	struct s2_memslot slot[HOST_SLOTS];
	uint8_t used[HOST_SLOTS];
	uint64_t hint[HOST_SLOTS]; /* where it is, and its pages in the low bits: for those who
				      guess */
	uint8_t slot_busy; /* somebody is changing slots: in one thread, the other does not */
	uint8_t ran;       /* a second walker was there */
	uint32_t odds;
	uint64_t strikes, slot_ops, slot_again, checked;
	uint64_t accesses[3], reasons[5];
};

struct host_options {
	uint64_t seed, events, runs;
	uint32_t threads, blind;
};

/* A world of this seed's parameters. */
void host_up(struct host_world *w, uint64_t seed, const struct host_options *options);
/* All slots are read through once more, then everything goes. */
void host_down(struct host_world *w);

/* Where the guest goes: mostly to where there is something. */
uint64_t host_gpa(const struct host_world *w, uint64_t *rng);
/* One access of the guest's on this thread's CPU. Returns what became of it. */
enum mm_result host_access(struct host_world *w, uint64_t gpa, enum s2_access access, uint64_t *rng,
			   struct s2_exit *exit);
void host_slot_op(struct host_world *w, struct s2_walker *walker, uint64_t *rng);
void host_age(struct host_world *w, struct s2_walker *walker, uint64_t *rng);

/* random_host_threads.c */
void host_threads(struct host_world *w, uint64_t events);

#endif
