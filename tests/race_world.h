/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of the world of the races share. race_world.c makes it anew for each run;
 * race_vcpu.c, race_host.c and race_manage.c know what the verbs do, race_judge.c judges.
 *
 * The world believes something of the slots and attributes: that is changed when the engine has
 * said that they are, and `moving` meanwhile.
 */
#ifndef RACE_WORLD_H
#define RACE_WORLD_H

#include <stage2/hold.h>
#include <stage2/vm.h>

#include "machine.h"
#include "races.h"

#define PAGE    PAGES(1)
#define WALKERS (RACE_ACTORS + 1)
#define HOME    RACE_ACTORS /* walker and CPU of who sets up and looks afterwards */
#define CHUNKS  8
#define ALL     (1ull << 32)  /* of guest memory, that anybody uses */
#define NOWHERE REGIONS(1000) /* in there, and nobody uses it */
#define TRACKED 8             /* pages from 0 on whose fate is known */

struct world {
	struct sim sim;
	struct s2_vm vm;
	struct s2_walker walker[WALKERS];
	struct s2_memslot slot[2];            /* the engine's */
	struct s2_memslot is[2];              /* what we believe of them; size 0: not there */
	uint8_t attrs[REGIONS(2) / PAGE];     /* slot 0's; the engine's ... */
	uint8_t attrs_are[REGIONS(2) / PAGE]; /* ... and what we believe */
	unsigned int moving;                  /* changes of slots and attributes under way, ... */
	uint64_t moved;                       /* ... and begun so far */
	uint64_t held[WALKERS];               /* the page that this one uses, plus 1 */
	unsigned int pages_only;              /* a bit each: for whom resolve() knows no blocks */
	unsigned int exhausted;               /* there is no memory for tables just now, ... */
	uint64_t shortages;                   /* ... and that began so often */
	uint64_t refused;                     /* operations that failed for it, in all runs */
	/* Each time that a page became young, somebody told of it since, or it still is. */
	struct {
		uint8_t mapped, prot;
		unsigned int young; /* at first, and made so by hardware */
		unsigned int told;
	} page[TRACKED];
	unsigned int touches; /* that may have made pages young, by software */
	const struct race *race;
	unsigned int machine;
	int loud;
};

extern const char *const race_verb[VERBS];

/* race_world.c */
const struct s2_memslot *slot_of(const struct world *w, uint64_t gpa);
/* What the slot says is behind a page. */
uint64_t hpa_of(const struct world *w, const struct s2_memslot *slot, uint64_t gpa);
unsigned int attrs_of(const struct world *w, uint64_t gpa);
void tell(struct world *w, unsigned int kind, uint64_t address, uint64_t size);
/* Does somebody do this, in any of the actors? */
int somebody(const struct race *race, enum verb verb);

/* race_vcpu.c */
/* Returns whether the guest goes on, or else it is the VMM's turn. */
int vcpu_fault(struct world *w, unsigned int n, const struct act *act, enum s2_fault_kind kind);
void vcpu_prefault(struct world *w, unsigned int n, const struct act *act);
void vcpu_use(struct world *w, unsigned int n, const struct act *act);
void vcpu_hold(struct world *w, unsigned int n, const struct act *act);

/* race_host.c */
void host_takes(struct world *w, unsigned int n, const struct act *act);
void host_takes_by_name(struct world *w, unsigned int n, const struct act *act);
void host_changes_slot(struct world *w, unsigned int n, const struct act *act);
void host_sets_attrs(struct world *w, unsigned int n, const struct act *act);
/* Are pages that become private or shared taken and given? Only if one actor does that. */
int pages_move(const struct world *w);

/* race_manage.c */
void manage(struct world *w, unsigned int n, const struct act *act);
void memory_changes(struct world *w, const struct act *act);
/* Of an operation that may be refused: what it sees before, and after that. */
struct shortage {
	unsigned int exhausted;
	uint64_t shortages;
};
struct shortage shortage_of(const struct world *w);
/* It was refused: fails if there was memory all the time, then waits until there is. */
void wait_for_memory(struct world *w, const struct act *act, const struct shortage *before);

/* race_judge.c: all but judge_settled() and judge_begin() while the world stands still. */
/* The guest's CPU faults. By FEAT_BBM it must not, where nothing but splits goes on. */
void judge_use(struct world *w, unsigned int n, const struct act *act, enum s2_fault_kind kind);
void judge_exit(struct world *w, const struct s2_fault *fault, const struct s2_exit *exit);
void judge_empty(struct world *w, uint64_t gpa, uint64_t size);
/* Nothing of the range can be written, by way of tables or TLBs. */
void judge_unwritable(struct world *w, uint64_t gpa, uint64_t size);
/* What was taken by this act is so, and is not held. */
void judge_taken(struct world *w, const struct act *act);
/* An operation of this processor is over: it has published what it made. */
void judge_settled(struct world *w);
/* Management of this range is over. If nobody else works there, that can be seen. */
void judge_managed(struct world *w, unsigned int n, const struct act *act);
/* Before the actors begin, and when all have ended. */
void judge_begin(struct world *w);
void judge_end(struct world *w);

#endif
