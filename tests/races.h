/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Races as tables: what is there before, and what each actor does, in a few verbs. explore.c plays
 * them, race_world.c knows what the verbs mean.
 *
 * Guest memory: slot 0 is at address 0, of two 2 MiB regions that are chunks 0 and 1 of the host's;
 * slot 1 is one region at SLOT1, chunk 4, and only there if somebody adds it.
 */
#ifndef RACES_H
#define RACES_H

#include "actors.h"

#define RACE_ACTORS 3
#define RACE_ACTS   4

#define PAGES(n)   ((n)*4096ull)
#define REGIONS(n) ((n)*0x200000ull)
#define SLOT1      REGIONS(8)

enum verb {
	NOTHING,
	/* vCPUs: until the fault is served; arg: enum s2_access. */
	FAULT,
	FAULT_PAGE, /* where the host answers with single pages */
	PERMISSION,
	TOUCH, /* access flag */
	PREFAULT,
	/* The host, between begin and end. */
	INVALIDATE,
	TAKE,   /* the pages go somewhere else, and come back with something else in them */
	REBACK, /* chunk arg and its region, from now on in other memory */
	MERGE,  /* the same, in one block */
	SHARE,  /* nobody may write meanwhile */
	/* By its own names, whichever slots lead there. */
	HOST_REBACK, /* chunk arg */
	/* A hypervisor that works in a page itself: uses it twice. */
	HOLD,
	/* Slots: arg is the slot. */
	ADD,
	DELETE,
	MOVE,     /* to SLOT1 */
	RENAME,   /* backed by chunks 4 and 5 */
	READONLY, /* from now on */
	/* Management of the tree. */
	COLLAPSE, /* maps the region as a block, as it is backed */
	UNMAP,
	PROTECT, /* writes */
	RELAX,   /* for writes */
	AGE,
	SPLIT,
	VERBS
};

struct act {
	enum verb verb;
	uint64_t gpa;
	uint64_t size;
	unsigned int arg;
};

struct race {
	const char *name;
	const char *about;
	unsigned int blocks;      /* the host has its memory in blocks */
	unsigned int preemptions; /* so many make thousands of orders */
	struct act before[RACE_ACTS];
	struct act actor[RACE_ACTORS][RACE_ACTS];
};

extern const struct race races[];
extern const unsigned int nraces;

/*
 * race_world.c: all that the explorer must know of a race, but for its bounds. `barrier`: on the
 * machine that has one; `loud`: what the actors do is printed.
 */
void race_configure(const struct race *race, int barrier, int loud,
		    struct sim_explore_config *config);

#endif
