/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs an operation on a subject: once, or in rounds under the clock. */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include <stddef.h>

#include "op.h"

/* One row: an operation, alone or by two threads, and what became of it. */
struct bench_row {
	const struct bench_op *op;
	enum bench_sharing sharing;
	size_t rounds;
	struct bench_cell *cells; /* of the subjects, in their order */
};

struct bench_cell {
	int there;      /* the subject has this operation */
	double ns;      /* a unit, processor time of one thread, median */
	double speedup; /* two threads: calls a second on the wall, over those of one, median; or 0
			 */
	struct bench_count count; /* of one operation; tables: after it */
};

#define BENCH_MAX_ROUNDS 401

struct bench_plan {
	const struct bench_subject *const *subjects;
	size_t nsubjects;
	size_t rounds;  /* BENCH_MAX_ROUNDS at most; 0: as many as fit ... */
	double seconds; /* ... into this time, of each row */
};

/*
 * Pins the calling thread and starts the second one, parked, on another CPU. Returns how many CPUs
 * the two have.
 */
unsigned int bench_start(void);

/* Fills in the row. Exits with a message when a subject fails or its tree is not as it must be. */
void bench_run_row(const struct bench_plan *plan, struct bench_row *row);

/* Sets up and runs once, in one thread, instrumented by callgrind if that is what we run under. */
void bench_run_once(const struct bench_subject *subject, const struct bench_op *op);

#endif
