/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Races, played in every order: up to SIM_ACTORS actors work on one simulation, and all ways in
 * which their steps can follow each other are tried, one run after the other.
 *
 * An actor is a function that runs as a coroutine, on a processor (its number) and with a walker of
 * its own. It goes on until it comes to a point (enum sim_where); there either it or another one
 * goes on. So a run is a list of choices, and the same choices give the same run: no state is
 * stored, each run begins anew with setup().
 *
 * Choices are tried depth first, with at most so many preemptions in a run: switches away from an
 * actor that could have gone on. Where an actor waits (relax()) or ends, the next one is chosen
 * without being counted. Who waits comes back only when all others that were there had a turn, so
 * waiting for somebody always ends if he can go on; where everybody waits, or a run does not end,
 * it fails (port-wait). If a choice is not the one that it was in the run before, it fails, too
 * (port-replay): then something in the race is left to chance.
 *
 * What fails prints its schedule: "17:1,40:0" means that at choice 17 actor 1 went on, at choice 40
 * actor 0, and at all others the one who could without preemption (of several, the next by number).
 */
#ifndef SIM_ACTORS_H
#define SIM_ACTORS_H

#include "sim.h"

#define SIM_NOBODY   0xffu /* at the first choice of a run: who was here before */
#define SIM_SCHEDULE 4096

/* A choice, told when it was made. */
struct sim_step {
	uint64_t number; /* of the choice, from 0 */
	uint64_t gpa;    /* where the point is, if it is anywhere (SIM_AT_RESOLVE: hva) */
	enum sim_where where;
	unsigned int actor;  /* who came to the point, or SIM_NOBODY */
	int done;            /* he has finished: there is no point */
	unsigned int next;   /* who goes on */
	unsigned int others; /* how many could have, beside that one */
};

struct sim_explore_config {
	const char *name;         /* for messages */
	struct sim *sim;          /* setup() makes it, teardown() ends it; all else refers to it */
	unsigned int actors;      /* how many of actor[] */
	unsigned int preemptions; /* in one run of the systematic part */
	uint64_t max_runs;        /* of that part; 0: all */
	uint64_t random_runs;     /* so many more, at random and with any number of preemptions */
	uint64_t seed;            /* for those */
	const char *replay;       /* not NULL: just one run, with this schedule */
	void *ctx;
	void (*setup)(void *ctx);
	void (*actor[SIM_ACTORS])(void *ctx, unsigned int n);
	const struct s2_walker *(*walker)(void *ctx, unsigned int n); /* may be NULL */
	void (*check)(void *ctx); /* when all have finished, on the caller's stack; may be NULL */
	void (*teardown)(void *ctx);
	/*
	 * May be NULL: all do. Does this point matter? One at an entry that no other actor comes to
	 * does not, and a table that is frozen has hundreds of them. Not asked where one waits.
	 */
	int (*matters)(void *ctx, enum sim_where where, uint64_t gpa);
	void (*step)(void *ctx, const struct sim_step *step); /* may be NULL */
};

/*
 * With sim->keep set (by setup()) the first failure ends everything, and is told here; a run in
 * which nobody can go on is left as it stands, without check and teardown. Else failures abort.
 */
struct sim_explore_result {
	uint64_t runs;        /* systematic ones, no two alike */
	uint64_t random_runs; /* at random */
	uint64_t points;      /* in all runs */
	uint64_t longest;     /* points in one run */
	int exhausted;        /* nothing was left out within the bound */
	int failed;
	char failure[256];
	char schedule[SIM_SCHEDULE];
};

void sim_explore(const struct sim_explore_config *config, struct sim_explore_result *result);
/* Prints the schedule of the run that is under way in this thread, if any (for signal handlers). */
void sim_explore_print(void);
/* "compare-and-swap" and so on. */
const char *sim_where_name(enum sim_where where);

#endif
