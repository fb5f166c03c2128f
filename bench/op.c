// SPDX-License-Identifier: BSD-2-Clause
/*
 * The operations as a table, and what follows from it. All work on a range that starts at an
 * address without a meaning: 1 GiB of pages, or more where one call is too short for the clock
 * (blocks of 1 GiB, of 2 MiB).
 *
 * Random orders are the same in every run: they come from a fixed seed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "op.h"

#define GPA (65ull << 30)
#define HPA (1ull << 40)

#define PAGES ((uint32_t)(BENCH_1G / BENCH_4K))

/* Before and after: writable leaves of this size, young. */
#define BEFORE(how, size) .before = { .piece = (how), .leaf = (size), .writable = 1 }
#define AFTER(size)       .after = { .leaf = (size), .writable = 1, .young = 1 }
/* A call for each page, one call for all of 1 GiB. */
#define BY_PAGE \
	.piece = BENCH_4K, .calls = PAGES, .unit = BENCH_4K, .leaf = BENCH_4K, .skew = BENCH_4K
#define BY_1G .piece = BENCH_1G, .calls = 1, .unit = BENCH_4K, .leaf = BENCH_4K, .skew = BENCH_4K

const struct bench_op bench_ops[] = {
	{ "map-page", BENCH_MAP, BY_PAGE, .two = 1, AFTER(BENCH_4K) },
	{ "map-page-random", BENCH_MAP, BY_PAGE, .random = 1, .two = 1, AFTER(BENCH_4K) },
	{ "map-1g-4k", BENCH_MAP, BY_1G, AFTER(BENCH_4K) },
	{ "map-1g-2m", BENCH_MAP, .piece = BENCH_1G, .calls = 32, .unit = BENCH_2M,
	  .leaf = BENCH_2M, .skew = BENCH_2M, AFTER(BENCH_2M) },
	{ "map-1g-1g", BENCH_MAP, .piece = BENCH_1G, .calls = 512, .unit = BENCH_1G,
	  .leaf = BENCH_1G, .skew = BENCH_1G, AFTER(BENCH_1G) },
	{ "remap-page", BENCH_MAP, BY_PAGE, BEFORE(BENCH_1G, BENCH_4K), AFTER(BENCH_4K) },
	{ "remap-1g", BENCH_MAP, BY_1G, BEFORE(BENCH_1G, BENCH_4K), AFTER(BENCH_4K) },
	{ "unmap-page", BENCH_UNMAP, BY_PAGE, BEFORE(BENCH_1G, BENCH_4K) },
	{ "unmap-1g", BENCH_UNMAP, BY_1G, BEFORE(BENCH_1G, BENCH_4K) },
	{ "protect-page", BENCH_PROTECT, BY_PAGE, BEFORE(BENCH_1G, BENCH_4K),
	  .after = { .leaf = BENCH_4K, .young = 1 } },
	{ "protect-1g", BENCH_PROTECT, BY_1G, BEFORE(BENCH_1G, BENCH_4K),
	  .after = { .leaf = BENCH_4K, .young = 1 } },
	{ "relax-page", BENCH_RELAX, BY_PAGE, .two = 1,
	  .before = { .piece = BENCH_1G, .leaf = BENCH_4K }, AFTER(BENCH_4K) },
	{ "split-1g", BENCH_SPLIT, .piece = BENCH_1G, .calls = 1, .unit = BENCH_4K,
	  .leaf = BENCH_4K, .skew = BENCH_2M, BEFORE(BENCH_1G, BENCH_2M), AFTER(BENCH_4K) },
	{ "collapse-block", BENCH_MAP, .piece = BENCH_2M, .calls = 512, .unit = BENCH_2M,
	  .leaf = BENCH_2M, .skew = BENCH_2M, BEFORE(BENCH_4K, BENCH_4K), AFTER(BENCH_2M) },
	{ "collapse-1g", BENCH_MAP, .piece = BENCH_1G, .calls = 1, .unit = BENCH_2M,
	  .leaf = BENCH_2M, .skew = BENCH_2M, BEFORE(BENCH_4K, BENCH_4K), AFTER(BENCH_2M) },
	{ "young-page", BENCH_YOUNG, BY_PAGE, BEFORE(BENCH_1G, BENCH_4K),
	  .after = { .leaf = BENCH_4K, .writable = 1 } },
	{ "young-1g", BENCH_YOUNG, BY_1G, BEFORE(BENCH_1G, BENCH_4K),
	  .after = { .leaf = BENCH_4K, .writable = 1 } },
	{ "lookup-page", BENCH_LOOKUP, BY_PAGE, .two = 1, BEFORE(BENCH_1G, BENCH_4K),
	  AFTER(BENCH_4K) },
	{ "lookup-random", BENCH_LOOKUP, BY_PAGE, .random = 1, BEFORE(BENCH_1G, BENCH_4K),
	  AFTER(BENCH_4K) },
	{ "destroy", BENCH_DESTROY, BY_1G, BEFORE(BENCH_1G, BENCH_4K) },
	{ "fault-page", BENCH_FAULT, BY_PAGE, .two = 1, AFTER(BENCH_4K) },
};

const size_t bench_nops = sizeof(bench_ops) / sizeof(bench_ops[0]);

const char *const bench_sharing_names[BENCH_SHARINGS] = { "alone", "disjoint", "interleaved",
							  "same" };

const struct bench_op *bench_op_find(const char *name)
{
	for (size_t i = 0; i < bench_nops; i++)
		if (!strcmp(bench_ops[i].name, name))
			return &bench_ops[i];
	return NULL;
}

const char *bench_op_unit(const struct bench_op *op)
{
	return op->unit == BENCH_4K ? "page" : op->unit == BENCH_2M ? "2M block" : "1G block";
}

uint64_t bench_op_bytes(const struct bench_op *op)
{
	return op->piece * op->calls;
}

static uint64_t hpa_of(const struct bench_op *op)
{
	return HPA + (op->skew == BENCH_1G ? 0 : op->skew);
}

uint64_t bench_op_min_tables(const struct bench_op *op)
{
	uint64_t bytes = bench_op_bytes(op), tables = 1;

	if (op->verb == BENCH_DESTROY)
		return 0;
	if (!op->after.leaf)
		return 1;
	for (uint64_t span = BENCH_1G * 512; span > op->after.leaf; span /= 512)
		tables += (GPA + bytes - 1) / span - GPA / span + 1;
	return tables;
}

struct bench_job bench_job_before(const struct bench_op *op)
{
	return (struct bench_job){ .gpa = GPA,
				   .hpa = hpa_of(op),
				   .piece = op->before.piece,
				   .leaf = op->before.leaf,
				   .n = (uint32_t)(bench_op_bytes(op) / op->before.piece),
				   .writable = op->before.writable };
}

/* xorshift64*: any order will do that no prefetcher guesses. */
static uint32_t random_below(uint64_t *state, uint32_t n)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (uint32_t)((*state * 0x2545f4914f6cdd1dull >> 32) * n >> 32);
}

/* 0 .. n - 1, shuffled unless the seed is 0, then i * step + first. */
static uint32_t *make_order(uint32_t n, uint32_t step, uint32_t first, uint32_t seed)
{
	uint64_t state = seed * 0x9e3779b97f4a7c15ull;
	uint32_t *order = malloc(n * sizeof(*order));

	if (!order) {
		fprintf(stderr, "bench: no memory\n");
		exit(2);
	}
	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	for (uint32_t i = n - 1; seed && i > 0; i--) {
		uint32_t other = random_below(&state, i + 1), swap = order[i];

		order[i] = order[other];
		order[other] = swap;
	}
	for (uint32_t i = 0; i < n; i++)
		order[i] = order[i] * step + first;
	return order;
}

struct bench_job bench_job_make(const struct bench_op *op, enum bench_sharing sharing,
				unsigned int thread)
{
	struct bench_job job = { .gpa = GPA,
				 .hpa = hpa_of(op),
				 .piece = op->piece,
				 .leaf = op->leaf,
				 .n = op->calls,
				 .thread = thread,
				 .writable = 1 };
	uint32_t seed = op->random ? thread + 1 : 0;

	if (sharing == BENCH_DISJOINT || sharing == BENCH_INTERLEAVED)
		job.n /= BENCH_THREADS;
	if (sharing == BENCH_INTERLEAVED)
		job.order = make_order(job.n, BENCH_THREADS, thread, seed);
	else if (seed)
		job.order = make_order(job.n, 1, 0, seed);
	if (sharing == BENCH_DISJOINT) {
		job.gpa += (uint64_t)thread * job.n * job.piece;
		job.hpa += (uint64_t)thread * job.n * job.piece;
	}
	return job;
}

void bench_job_free(struct bench_job *job)
{
	free((uint32_t *)(uintptr_t)job->order);
	job->order = NULL;
}

static void verify_failed(const struct bench_op *op, const struct bench_subject *subject,
			  uint64_t gpa, const struct bench_leaf *is, const struct bench_leaf *must)
{
	fprintf(stderr,
		"bench: %s: %s: wrong at gpa %#llx: valid %d, hpa %#llx, size %#llx, writable %d, "
		"young %d;\n",
		subject->name, op->name, (unsigned long long)gpa, is->valid,
		(unsigned long long)is->hpa, (unsigned long long)is->size, is->writable, is->young);
	fprintf(stderr, "bench: must be: valid %d, hpa %#llx, size %#llx, writable %d, young %d\n",
		must->valid, (unsigned long long)must->hpa, (unsigned long long)must->size,
		must->writable, must->young);
	exit(1);
}

static void verify_at(const struct bench_op *op, const struct bench_subject *subject, void *tree,
		      uint64_t gpa, const struct bench_leaf *must)
{
	struct bench_leaf is = { 0 };

	subject->read(tree, gpa, &is);
	if (must->valid ? is.valid != 1 || is.hpa != must->hpa || is.size != must->size ||
				  !is.writable != !must->writable || !is.young != !must->young
			: is.valid)
		verify_failed(op, subject, gpa, &is, must);
}

void bench_op_verify(const struct bench_op *op, const struct bench_subject *subject, void *tree)
{
	uint64_t size = op->after.leaf ? op->after.leaf : BENCH_4K, end = GPA + bench_op_bytes(op);
	struct bench_leaf none = { 0 }, must = { .valid = op->after.leaf != 0,
						 .size = op->after.leaf,
						 .writable = op->after.writable,
						 .young = op->after.young };

	for (uint64_t gpa = GPA; gpa < end; gpa += size) {
		must.hpa = hpa_of(op) + (gpa - GPA);
		verify_at(op, subject, tree, gpa, &must);
		must.hpa += size - BENCH_4K;
		verify_at(op, subject, tree, gpa + size - BENCH_4K, &must);
	}
	verify_at(op, subject, tree, GPA - BENCH_4K, &none);
	verify_at(op, subject, tree, end, &none);
}
