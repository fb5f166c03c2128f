/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random host events: the world that both modes of random_host share. One guest address space over
 * every kind of area that ports/sim/mm.h knows, and the random things that are done to it: by the
 * host (ports/sim/mm*.c), by the guest, by devices that use holds, and by the VMM.
 */
#ifndef TEST_RANDOM_HOST_H
#define TEST_RANDOM_HOST_H

#include <stage2/arm64.h>

#include "mm.h"

#define HOST_SLOTS 20
#define HOST_PAGES 2048 /* of a slot, at most */

/* What the VMM does, and what comes of tables that it does not get. */
enum host_event {
	HOST_CONVERTED, /* pages became private, or shared */
	HOST_ATTRS,     /* what is forbidden there changed */
	HOST_REFUSED,   /* attributes that cannot be */
	HOST_VIEW,      /* the guest meant a page otherwise, and left */
	HOST_PREFAULT,  /* all of a range */
	HOST_PREFAULT_PART,
	HOST_AGED,
	HOST_YOUNG, /* by bitmap */
	HOST_SPLIT,
	HOST_WITHDRAWN, /* mappings, or the right to write, by guest addresses */
	HOST_NOMEM,     /* no memory for a table */
	HOST_QUOTA,     /* no more tables */
	HOST_RELIEF,    /* so some were given up */
	/* By one thread only, when nobody else is there: the guest is kept out. */
	HOST_ALONE,
	HOST_SERVED = HOST_ALONE, /* with memory, it is as if nothing had been */
	HOST_YOUNG_EXACT,         /* nothing was young but what had just been used */
	HOST_UNMAPPED,            /* in the tree itself */
	HOST_PROTECTED,
	HOST_EVENTS
};
extern const char *const host_event_name[HOST_EVENTS];

struct host_world {
	uint64_t seed;
	uint64_t event; /* under way */
	uint64_t rng;   /* of what the first does */
	uint64_t rng2;  /* of what the second walker does */
	struct sim sim;
	struct s2_vm vm;
	struct sim_mm mm;
	uint32_t quota;
	uint32_t threads;
	struct s2_memslot slot[HOST_SLOTS];
	uint8_t used[HOST_SLOTS];
	uint64_t hint[HOST_SLOTS]; /* where it is, and its pages in the low bits: for those who
				      guess */
	/* Attributes: a slot's own, and those that it gets with its next change; what they are. */
	uint8_t attrs[HOST_SLOTS][2][HOST_PAGES];
	uint8_t turn[HOST_SLOTS];
	uint8_t said[HOST_SLOTS][HOST_PAGES];
	uint8_t slot_busy; /* somebody is changing slots: in one thread, the other does not */
	uint8_t ran;       /* a second walker was there */
	uint32_t odds;
	uint32_t fail_of_65536; /* tables that there is no memory for */
	uint64_t strikes, slot_ops, slot_again, checked;
	uint64_t accesses[3], reasons[5];
	uint64_t events[HOST_EVENTS];
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
/* What it does there. */
struct mm_access host_draw(uint64_t gpa, uint64_t *rng);
/* One access of the guest's on this thread's CPU. Returns what became of it. */
enum mm_result host_access(struct host_world *w, const struct mm_access *access, uint64_t *rng,
			   struct s2_exit *exit);
/* Adds, removes or changes a slot: this address's, perhaps. */
void host_slot_op(struct host_world *w, uint64_t gpa, uint64_t *rng);
/* The slot that has this address, or -1. For who changes slots. */
int host_slot_at(const struct host_world *w, uint64_t gpa);

static inline void host_count(struct host_world *w, enum host_event event)
{
	__atomic_fetch_add(&w->events[event], 1, __ATOMIC_RELAXED);
}

/* random_host_predict.c: what has to come of something that nobody disturbs */

/* Has anything happened since this was taken? */
struct host_moment {
	uint64_t begun, did;
};
struct host_moment host_now(const struct host_world *w);
int host_quiet(const struct host_world *w, const struct host_moment *since);
/* An access: MM_DONE, or MM_EXIT and how the guest leaves. */
enum mm_result host_predict(struct host_world *w, const struct mm_access *access,
			    struct s2_exit *exit);
/* The use of a hold: 0, or the error. */
int host_predict_hold(struct host_world *w, uint64_t gpa, enum s2_access access);
/* A page of a prefaulted range: 0, or the error. */
int host_predict_prefault(struct host_world *w, uint64_t gpa, enum s2_access access);
/* Errors that come and go. */
int host_passes(int error);

/* random_host_vmm.c: what the VMM does, at gpa. All on this thread's CPU, with its host walker. */

void host_convert(struct host_world *w, uint64_t gpa, uint64_t *rng);
void host_prefault(struct host_world *w, uint64_t gpa, uint64_t *rng);
void host_hold(struct host_world *w, uint64_t gpa, uint64_t *rng);
/* Looks what is used, and does not wait for TLBs. */
void host_age(struct host_world *w, uint64_t *rng);
void host_young(struct host_world *w, uint64_t gpa, uint64_t *rng);
void host_split(struct host_world *w, uint64_t gpa, uint64_t *rng);
/* Withdraws a range, by guest addresses, and gives it back. */
void host_withdraw(struct host_world *w, uint64_t gpa, uint64_t *rng);
/* Takes mappings or rights from the tree itself: nobody else is there. */
void host_take(struct host_world *w, uint64_t gpa, uint64_t *rng);
/* There was no table for an access that will be made again. */
void host_relieve(struct host_world *w, const struct mm_access *access, int error, uint64_t *rng);

/* random_host_threads.c */
void host_threads(struct host_world *w, uint64_t events);

#endif
