/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What stands side by side under the clock: our engine, KVM's stage-2 code, Linux's io-pgtable, and
 * the floor (plain stores into tables that are there already). Each is a subject.
 *
 * A subject runs a whole batch by itself and calls its own functions directly, so that no call
 * through a pointer for each page is timed. What is set up for an operation (a tree of that shape)
 * is not timed. All subjects get table pages from the same allocator (pages.h), zeroed when they
 * are handed out; all have 48 bits of IPA, 4K pages, a CPU with FWB and DIC.
 */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

#include <stdint.h>

#define BENCH_THREADS 2

enum bench_verb {
	BENCH_MAP, /* map each piece, or the range, with leaves of `leaf` bytes at most */
	BENCH_UNMAP,
	BENCH_PROTECT, /* write-protect, with the invalidation that must follow */
	BENCH_RELAX,   /* give the right to write (back) */
	BENCH_SPLIT,   /* blocks to pages, same output and rights */
	BENCH_YOUNG,   /* test and clear the access flag, no invalidation */
	BENCH_LOOKUP,
	BENCH_DESTROY, /* free all tables; afterwards only count() and close() are called */
	BENCH_FAULT,   /* the whole way from a decoded abort to a mapping */
	BENCH_VERBS
};

/* What run() returns when the subject has the verb, but not for a job of this shape. */
#define BENCH_UNSUPPORTED (-2)

/*
 * What to do: `n` pieces of `piece` bytes, one call each. Piece i lies at gpa + order[i] * piece
 * and maps to the same offset from hpa; order NULL: in order. A range in one call is one piece.
 */
struct bench_job {
	uint64_t gpa;
	uint64_t hpa;
	uint64_t piece;
	uint64_t leaf;
	const uint32_t *order;
	uint32_t n;
	unsigned int thread; /* 0 .. BENCH_THREADS - 1: whose walker, whose lock */
	int writable;        /* MAP: with the right to write */
};

/*
 * Instructions that would have been issued, as the subject's own port encodes them. Stage 2's are
 * counted by entry (IPAS2), by range (RIPAS2) and all (VMALLS12); the VMALLE1 that follows those by
 * address is counted apart.
 */
struct bench_count {
	uint64_t tlbi_entry, tlbi_range, tlbi_all;
	uint64_t dsb_ishst, dsb_ish, dsb_other;
	uint64_t cache;  /* maintenance operations, calls */
	uint64_t tables; /* pages of tables in use now, the root's included */
	uint64_t tlbi_stage1;
};

struct bench_leaf {
	uint64_t hpa; /* of gpa */
	uint64_t size;
	int valid, writable, young;
};

struct bench_subject {
	const char *name;
	/* An empty tree for this many threads. Exits with a message when it cannot. */
	void *(*open)(unsigned int threads);
	/* Frees the tree, and gives back all of its pages. Not timed. */
	void (*close)(void *tree);
	/* NULL: it has no such operation. Returns 0, or not: then the benchmark is broken. */
	int (*run[BENCH_VERBS])(void *tree, const struct bench_job *job);
	/* May be NULL. Not timed: called before run(), in this order, with the same job. */
	void (*prepare)(void *tree, const struct bench_job *job);
	/* For verification only: what is mapped at gpa. */
	void (*read)(void *tree, uint64_t gpa, struct bench_leaf *leaf);
	/* Since open. Sums all threads; call while none runs. */
	void (*count)(void *tree, struct bench_count *count);
};

/*
 * The CPU sets access flags itself (FEAT_HAFDBS), so an entry may change under a plain store. For
 * those whose code looks at that: ours. Set before the first tree is opened; 0 at first.
 */
extern int bench_hardware_af;

extern const struct bench_subject bench_ours, bench_kvm, bench_kvm_locked, bench_iopgtable,
	bench_floor;

#endif
