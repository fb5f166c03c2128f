/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code that is instrumented as the engine is and does what the engine must not: each function
 * shares a line between its callers in another way, save the last.
 */
#ifndef LINES_SHARED_H
#define LINES_SHARED_H

#include <stddef.h>
#include <stdint.h>

/* What they work on: one line, and one line for each thread. */
struct shared {
	uint64_t common[8] __attribute__((aligned(64)));
	uint64_t own[2][8];
};

void shared_counter(struct shared *shared, unsigned int thread);
void shared_neighbours(struct shared *shared, unsigned int thread);
void shared_lost_race(struct shared *shared, unsigned int thread);
void shared_copy(struct shared *shared, unsigned int thread);
void shared_clear(struct shared *shared, unsigned int thread);
/* The first thread writes, the other only looks. */
void shared_look(struct shared *shared, unsigned int thread);
void shared_nothing(struct shared *shared, unsigned int thread);

#endif
