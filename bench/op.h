/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operations that are timed: what is there before, what is done, what must be there after; and
 * the jobs that this makes for each thread.
 */
#ifndef BENCH_OP_H
#define BENCH_OP_H

#include <stddef.h>

#include "subject.h"

#define BENCH_4K (4ull << 10)
#define BENCH_2M (2ull << 20)
#define BENCH_1G (1ull << 30)

/* Which of the pages each of two threads works on. */
enum bench_sharing {
	BENCH_ALONE, /* one thread, all of them */
	BENCH_DISJOINT,
	BENCH_INTERLEAVED,
	BENCH_SAME, /* both all of them */
	BENCH_SHARINGS
};

struct bench_op {
	const char *name;
	enum bench_verb verb;
	uint64_t piece;
	uint32_t calls;
	uint64_t leaf;
	uint64_t skew; /* hpa is congruent to gpa up to this size, not beyond */
	uint64_t unit; /* the time is for each so many bytes */
	int random;
	int two; /* also with two threads */
	/* Mapped before, all of it; piece 0: nothing is. */
	struct {
		uint64_t piece, leaf;
		int writable;
	} before;
	/* Found after; leaf 0: nothing. */
	struct {
		uint64_t leaf;
		int writable, young;
	} after;
};

extern const struct bench_op bench_ops[];
extern const size_t bench_nops;
extern const char *const bench_sharing_names[BENCH_SHARINGS];

/* NULL: there is none of this name. */
const struct bench_op *bench_op_find(const char *name);
const char *bench_op_unit(const struct bench_op *op);
uint64_t bench_op_bytes(const struct bench_op *op);
/* Pages of tables that a tree with the mappings found after must have, the root's included. */
uint64_t bench_op_min_tables(const struct bench_op *op);

/* What is mapped before. Only if op->before.piece. */
struct bench_job bench_job_before(const struct bench_op *op);
/*
 * One thread's part. Its order, if any, is new memory: bench_job_free(). Exits when there is none.
 */
struct bench_job bench_job_make(const struct bench_op *op, enum bench_sharing sharing,
				unsigned int thread);
void bench_job_free(struct bench_job *job);

/*
 * Reads every leaf back. Exits with a message if the tree is not as it must be after the operation.
 */
void bench_op_verify(const struct bench_op *op, const struct bench_subject *subject, void *tree);

#endif
