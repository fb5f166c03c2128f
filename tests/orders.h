/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What programs that play races in every order (ports/sim/actors.h) have in common: their options,
 * and what they tell.
 *
 *   --list                       what there is
 *   --race NAME                  this one; with --replay SCHEDULE one run, told step by step
 *   --preemptions N, --runs N    another bound; so many runs of each at most
 *   --random N, --seed N         so many more at random, with any number of preemptions
 */
#ifndef TEST_ORDERS_H
#define TEST_ORDERS_H

#include "actors.h"

struct orders {
	const char *race, *replay;
	long preemptions; /* -1: each race's own */
	uint64_t runs, random, seed;
	int list;
};

/* Returns 0, or 2: the arguments are wrong, and usage was told. */
int orders_parse(int argc, char **argv, struct orders *orders);
/* Is this one to be played? */
int orders_want(const struct orders *orders, const char *name);
/* Plays it as the options say, and tells what came of it; a signal tells the schedule. */
void orders_play(const struct orders *orders, struct sim_explore_config *config,
		 struct sim_explore_result *result);
/* For config->step. */
void orders_tell(void *ctx, const struct sim_step *step);
/* Of something that lasts. */
double orders_seconds(void);

#endif
