/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stupid reference: what a tree should translate, page by page, in flat arrays.
 *
 * Every function does in loops over single pages what include/stage2/pgtable.h promises, so that a
 * reader can check it against the comments there. It shares no code with the engine. It knows
 * three windows of the address space (the low end, around a place where tables of level 1 meet, the
 * very top); nothing may ever be
 * mapped elsewhere.
 *
 * Leaf sizes are part of the promise (the largest that alignment allows; nothing split without
 * need), so each page also knows the level of the leaf that it should be in.
 */
#ifndef TEST_REF_H
#define TEST_REF_H

#include <stage2/pgtable.h>

#include "sim.h"

#define REF_WINDOWS 3
#define REF_PAGES   16384ull /* a window, if blocks above level 1 need no more */

struct ref_page {
	uint64_t pa;
	uint8_t valid;
	uint8_t prot;
	uint8_t type;
	uint8_t sw;
	uint8_t young;
	uint8_t level;
	uint8_t pad[2];
};

struct ref_window {
	uint64_t gpa;
	uint64_t size;
	struct ref_page *pages;
};

/* Beside enum s2_age: by s2_pt_young(). */
#define REF_YOUNG (1u << 8)

/* What s2_pt_young() said of a range, and a word behind it that it must leave alone. */
struct ref_bits {
	uint64_t *word;
	uint64_t pages;
};

struct ref {
	struct ref_window window[REF_WINDOWS];
	struct ref_bits bits[2]; /* of the last call of: the walker, who strikes */
	unsigned int page_shift;
	unsigned int stride;
	unsigned int block_level; /* highest level of leaves */
	uint32_t features;
	/*
	 * A failed operation may leave tables behind that nothing is mapped in (blocks above them
	 * are then not made) and blocks split: levels may be lower than expected until all is
	 * unmapped.
	 */
	unsigned int lax_levels;
};

/* An operation: where, how far it got, what it counted. */
struct ref_op {
	uint64_t gpa;
	uint64_t size;
	uint64_t stop; /* do only so many bytes (what the engine says it did) */
	int pass;      /* go on behind a page that refuses: another may have removed it by then */
	uint64_t done;
	uint64_t changed;
	uint64_t equal;
	uint8_t *mark; /* NULL, or a byte a page of the operation: set where it changed */
};

void ref_init(struct ref *ref, const struct s2_pt *pt, unsigned int block_level);
void ref_fini(struct ref *ref);

/* Both are NULL outside the windows. */
const struct ref_window *ref_window_of(const struct ref *ref, uint64_t gpa);
struct ref_page *ref_at(const struct ref *ref, uint64_t gpa);
uint64_t ref_level_size(const struct ref *ref, unsigned int level);

/* Each returns 0 or the error that the engine must return. */
int ref_map(struct ref *ref, struct ref_op *op, uint64_t hpa, struct s2_attr attr,
	    unsigned int flags);
void ref_unmap(struct ref *ref, struct ref_op *op);
/* how: rights, and S2_PROTECT_WHOLE (src/pgtable/internal.h). */
void ref_protect(struct ref *ref, struct ref_op *op, unsigned int how);
int ref_relax(struct ref *ref, struct ref_op *op, unsigned int prot);
void ref_age(struct ref *ref, struct ref_op *op, enum s2_age age);
void ref_split(struct ref *ref, struct ref_op *op, unsigned int level);

/* A fresh bitmap for a range of so many pages. */
void ref_bits_start(struct ref_bits *bits, uint64_t pages);
/* Nothing behind the range was touched, and as many pages are marked as were counted. */
void ref_bits_count(const struct ref *ref, const struct ref_bits *bits, struct sim *sim,
		    const struct s2_progress *progress);
/*
 * Page by page: a and b say whether it changed (ref_op.mark) if one or the other came first.
 * Hardware may have made any page young.
 */
void ref_bits_judge(const struct ref_bits *bits, struct sim *sim, const uint8_t *a,
		    const uint8_t *b);

/*
 * Compares all pages of [gpa, gpa + size) with the engine's lookup and with the simulation's own
 * walk. Fails through sim_fail().
 */
void ref_compare(struct ref *ref, struct sim *sim, struct s2_pt *pt, struct s2_walker *walker,
		 uint64_t gpa, uint64_t size);
/* Levels must be as expected again, if no failed operation left an empty table behind. */
void ref_tighten(struct ref *ref, struct s2_pt *pt, struct s2_walker *walker);
/* All windows, all leaves wherever they are, census, counters and stale translations. */
void ref_compare_all(struct ref *ref, struct sim *sim, struct s2_pt *pt, struct s2_walker *walker);

#endif
