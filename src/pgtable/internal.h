/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the table engine offers to src/vm beside the public interface: single steps, to be taken
 * inside a walker section together with checks of the caller's own. No descriptor bits here.
 */
#ifndef S2_INTERNAL_H
#define S2_INTERNAL_H

#include <stage2/pgtable.h>

#include "gather.h"
#include "walker.h"
#include "../format/format.h"

/* Remove blocks on the edge whole instead of splitting them: never needs a table. */
#define S2_UNMAP_WHOLE 1u

/*
 * Beside the rights that protect takes: blocks on the edge lose them as a whole instead of being
 * split. Never needs a table, so it cannot fail. The part outside is nobody's to flush, so all of
 * such a block is invalidated at once, behind busy (invariant 9).
 */
#define S2_PROTECT_WHOLE (1u << 8)

/* A range operation on its way. Steps move gpa (and hpa) forward. */
struct s2_job {
	uint64_t gpa;
	uint64_t end;
	union {
		struct {
			uint64_t hpa;        /* map */
			struct s2_attr attr; /* map */
			unsigned int cap;    /* map: no leaf above this level */
		};
		struct {
			uint64_t *bitmap; /* age: NULL, or a bit for each page that was young */
			uint64_t start;   /* age: the page of bit 0 */
		};
	};
	unsigned int how; /* map: enum s2_map_flag; unmap: S2_UNMAP_WHOLE; protect: rights,
			     S2_PROTECT_WHOLE; relax: rights; age: enum s2_age; split: level */
	uint64_t changed;
	uint64_t equal;
};

/* What a step returns beside errors. */
enum s2_step {
	S2_STEP_ON = 0,     /* went on: more to do if gpa < end */
	S2_STEP_TABLES = 1, /* the walker's stock is empty: leave, fill, come back */
	S2_STEP_BUSY = 2,   /* another is just changing an entry here: leave, relax, come back */
	S2_STEP_FLUSH = 3,  /* the gather has no room for another table: leave, flush, come back */
};

/* What the short way did. */
enum s2_near {
	S2_NEAR_NOT,     /* nothing: it takes the long way */
	S2_NEAR_MADE,    /* a leaf where none was: S2_TLB_PUBLISH is owed */
	S2_NEAR_WIDENED, /* rights were added, and this CPU's TLB was told */
	S2_NEAR_EQUAL,   /* it was already so */
};

typedef int (*s2_range_fn)(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, unsigned int how,
			   struct s2_walker *walker, struct s2_gather *gather,
			   struct s2_progress *progress);

/*
 * One format's instance of the engine: the indirect call of each public operation ends here. The
 * functions are the public ones, with what is theirs alone in `how` (struct s2_job).
 */
struct s2_pt_ops {
	const struct s2_fmt *fmt; /* numbers only; the engine proper has it as a constant */
	int (*map)(struct s2_pt *pt, s2_gpa_t gpa, s2_hpa_t hpa, uint64_t size, struct s2_attr attr,
		   unsigned int flags, struct s2_walker *walker, struct s2_gather *gather,
		   struct s2_progress *progress);
	s2_range_fn unmap, protect, relax, age, split;
	/*
	 * age with a bitmap, which is this thread's alone: words are OR-ed into it by plain stores.
	 * Bits are set for exactly the pages that progress->changed counts.
	 */
	int (*young)(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, unsigned int how,
		     uint64_t *bitmap, struct s2_walker *walker, struct s2_gather *gather,
		     struct s2_progress *progress);
	/*
	 * Maps one leaf of a level by the short way (engine_near.h), in a section of the caller's.
	 * Never waits, owes nothing but what its result says.
	 */
	enum s2_near (*map_near)(struct s2_pt *pt, struct s2_walker *walker, uint64_t gpa,
				 uint64_t hpa, struct s2_attr attr, unsigned int level);
	/*
	 * One step of a map, in a section of the caller's: at most about one table's worth of work.
	 * Whatever it returns, the job says how far it got; from there on no translation has
	 * changed.
	 */
	int (*map_step)(struct s2_pt *pt, struct s2_job *job, struct s2_walker *walker,
			struct s2_gather *gather);
	int (*lookup)(struct s2_pt *pt, s2_gpa_t gpa, struct s2_walker *walker,
		      struct s2_leaf *leaf);
	int (*audit)(struct s2_pt *pt, struct s2_census *census, uint64_t *where);
	/*
	 * Frees a table of 2^order pages and all below it, which nobody can reach any more. Counts
	 * for `walker` unless it is NULL.
	 */
	void (*free_tables)(struct s2_pt *pt, void *table, unsigned int level, unsigned int order,
			    struct s2_walker *walker);
	/* Hangs the chain `rest` behind another chain of tables of level 0 (engine.h: detach()). */
	void (*join)(const struct s2_pt *pt, uint64_t *chain, const uint64_t *rest);
	/* Frees a chain, which nobody can reach any more. */
	void (*free_chain)(struct s2_pt *pt, uint64_t *chain, struct s2_walker *walker);
};

extern const struct s2_pt_ops s2_pt_arm64_4k;

/* Prepares a tree of a given instance: s2_pt_init() for the instances that tests bring along. */
S2_MUST_CHECK int s2_pt_init_ops(struct s2_pt *pt, const struct s2_pt_config *config,
				 const struct s2_port *port, const struct s2_pt_ops *ops);

/* Size of a level's leaf, as a shift: a table of 8-byte entries fills one page. */
static inline unsigned int s2_pt_shift(const struct s2_pt *pt, unsigned int level)
{
	return pt->page_shift + (pt->page_shift - 3u) * level;
}

/* Is [gpa, gpa + size) a range of pages of the guest's space? Errors: S2_EALIGN, S2_ERANGE. */
S2_MUST_CHECK static inline int s2_pt_check_range(const struct s2_pt *pt, uint64_t gpa,
						  uint64_t size)
{
	uint64_t space = 1ull << pt->ipa_bits;

	if ((gpa | size) & ((1ull << pt->page_shift) - 1))
		return S2_EALIGN;
	return size - 1 < space && gpa <= space - size ? 0 : S2_ERANGE;
}

/*
 * A step returned something but S2_STEP_ON: does what it waits for, outside any section. Returns
 * S2_STEP_ON to go on, or the error.
 */
S2_MUST_CHECK int s2_pt_wait(struct s2_walker *walker, struct s2_gather *gather, int ret);

#endif
