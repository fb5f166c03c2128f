/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Races as tables: what is there before, and what each actor does, in a few verbs. explore.c plays
 * them, race_world.c and its neighbours know what the verbs mean.
 *
 * Guest memory: slot 0 is at address 0, of two 2 MiB regions that are chunks 0 and 1 of the host's;
 * slot 1 is one region at SLOT1, chunk 4, and only there if somebody adds it. Where a race says
 * `attrs`, slot 0 may have private pages, which are chunks 6 and 7 of the host's.
 */
#ifndef RACES_H
#define RACES_H

#include "actors.h"

#define RACE_ACTORS 3
#define RACE_ACTS   4

#define PAGES(n)   ((n)*4096ull)
#define REGIONS(n) ((n)*0x200000ull)
#define SLOT1      REGIONS(8)

#define PRIVATE_CHUNK 6 /* what is behind the first private page */

/* How the guest means a page: added to the access of a FAULT. */
#define MEANT_SHARED  (S2_VIEW_SHARED << 4)
#define MEANT_PRIVATE (S2_VIEW_PRIVATE << 4)

enum verb {
	NOTHING,
	/* vCPUs: until the fault is served; arg: enum s2_access. */
	FAULT,
	FAULT_PAGE, /* where the host answers with single pages */
	PERMISSION,
	TOUCH, /* access flag */
	PREFAULT,
	USE, /* the guest itself, until it has got through: its CPU walks, sets the access flag
		where it can, and faults where it must */
	/* The host, between begin and end. */
	INVALIDATE,
	TAKE,   /* the pages go somewhere else, and come back with something else in them */
	REBACK, /* chunk arg and its region, from now on in other memory */
	MERGE,  /* the same, in one block */
	SHARE,  /* nobody may write meanwhile */
	/* By its own names, whichever slots lead there: chunk arg. */
	HOST_REBACK,
	HOST_SHARE,
	/* A hypervisor that works in a page itself: uses it twice. */
	HOLD,
	/* Slots: arg is the slot. */
	ADD,
	DELETE,
	MOVE,     /* to SLOT1 */
	RENAME,   /* backed by chunks 4 and 5 */
	READONLY, /* from now on */
	/* Attributes of pages. */
	MAKE_PRIVATE, /* what was shared goes back to the host, */
	MAKE_SHARED,  /* and the other way round */
	FORBID,       /* writing */
	ALLOW,
	/* Management of the tree. */
	COLLAPSE, /* maps the region as a block, as it is backed */
	UNMAP,
	PROTECT, /* writes */
	RELAX,   /* for writes */
	AGE,
	YOUNG, /* the same, with a bitmap */
	SPLIT,
	/* Memory for tables: there is none, ... */
	EXHAUST,
	RESTORE, /* ... and there is again */
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
	unsigned int attrs;       /* slot 0 has attributes */
	unsigned int preemptions; /* so many make thousands of orders */
	struct act before[RACE_ACTS];
	struct act actor[RACE_ACTORS][RACE_ACTS];
};

extern const struct race races[];
extern const unsigned int nraces;

/*
 * race_world.c. The machines on which races are played: what is added to a race's name for one, or
 * NULL if this race is not played on it.
 */
#define RACE_MACHINES 4
const char *race_machine(const struct race *race, unsigned int machine);
/* All that the explorer must know of a race, but for its bounds. `loud`: its acts are printed. */
void race_configure(const struct race *race, unsigned int machine, int loud,
		    struct sim_explore_config *config);
/* Was there in any run what the race is about? A race that has never run out of memory is none. */
int race_happened(void);

#endif
