/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model that random operations on a guest address space are held against: an array of slots
 * (looked up in a loop), the host's chunks (ports/sim/host.c), the invalidations that are running,
 * and the flat reference (ref.h) for what is mapped.
 */
#ifndef TEST_RANDOM_WORLD_H
#define TEST_RANDOM_WORLD_H

#include "random.h"

#define SLOTS   10
#define RUNNING 3
#define CHUNKS  1040 /* 0..15 small things, 16..511 unused, 512..1023 a gigabyte in one piece */
#define CHUNK   (1ull << SIM_CHUNK_SHIFT)

struct expect {
	int reason; /* enum s2_exit_reason */
	int slot;   /* index, -1: none */
	int error;
	int maps; /* RESUME: by this mapping */
	uint64_t gpa, size, hpa;
	uint64_t around_gpa, around_size; /* of the leaf that may be there already */
	struct s2_attr attr;
};

#define TAKEN (4 * SLOTS)

/* What another host took away in the midst of an operation. */
struct world_loss {
	uint64_t gpa, size;
	uint64_t start, end;  /* with the leaves on its edges */
	struct ref_page *was; /* [start, end) before, as far as the model knew */
};

enum world_striker {
	STRIKE_FAULT,
	STRIKE_HOST,
};

/* What another vCPU or another host does in the midst of an operation (strike_vm.c). */
struct world_strike {
	struct s2_walker walker;
	enum world_striker who;
	struct s2_fault fault;
	struct s2_exit exit;
	struct expect before; /* what it should lead to as things were when it began */
	struct world_loss loss[TAKEN];
	unsigned int nlosses;
	int ret;
	int ran;
	int settled;
	int maps_again;    /* the operation: prefault, which may map what was taken */
	int tree_protects; /* the operation: write-protection, else aging */
	uint64_t tree_gpa, tree_size;
};

struct world {
	struct run *run;
	struct s2_walker host_walker;
	struct s2_memslot slot[SLOTS];
	uint8_t used[SLOTS];
	uint64_t running_gpa[RUNNING], running_size[RUNNING];
	uint32_t flags;        /* enum s2_vm_flag */
	struct s2_fault fault; /* the last one ... */
	unsigned int again;    /* ... and how many more are like it */
	unsigned int ambush;   /* strike at the next resolve() */
	unsigned int struck;
	uint64_t precise; /* faults that came through by insisting, before this one */
	struct world_strike strike;
	uint64_t taken_gpa[TAKEN], taken_size[TAKEN]; /* taken away by this operation */
	unsigned int ntaken;
	uint64_t begin_gpa, begin_size; /* the invalidation that began last */
};

static inline uint64_t world_page(const struct world *w)
{
	return 1ull << w->run->ref.page_shift;
}

/* Index of the slot that holds gpa, or -1. */
int world_slot_of(const struct world *w, uint64_t gpa);
int ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size);
/* Is an invalidation under way: of this range, of any? */
int world_is_running(const struct world *w, uint64_t gpa, uint64_t size);
int world_any_running(const struct world *w);

/* Redraws what backs a chunk. The gigabyte stays one piece of one kind. */
void world_back_chunk(struct world *w, uint64_t n);
/* What the model says about a range that is taken away: blocks on the edges go as a whole. */
void world_forget_range(struct world *w, uint64_t gpa, uint64_t size);
/* s2_vm_invalidate_begin() and what must be true when it returns, and until the end. */
void world_begin(struct world *w, uint64_t gpa, uint64_t size, struct s2_walker *walker);
void world_end(struct world *w, uint64_t gpa, uint64_t size);
/* The host backs a chunk by something else: wherever it is mapped, it is taken away first. */
void world_host_changes(struct world *w, uint64_t chunk, struct s2_walker *walker);

/* Another vCPU or host may strike during the operation that comes; it has, and is judged. */
void world_strike_arm(struct world *w);
void world_strike_settle(struct world *w);
/* The striking host is about to lose this range from the model. */
void world_strike_loses(struct world *w, uint64_t gpa, uint64_t size);
/* A striking host takes its time; others (by their walker) do not. */
void world_strike_lingers(struct world *w, const struct s2_walker *walker);

/* Engine and machine agree with the reference there. */
void world_compare(struct world *w, uint64_t gpa, uint64_t size);

/*
 * A fault that was sent away, or would have been, may ask for less: at most a region of 2 MiB, or
 * one page. Makes *e that of a leaf of this size around gpa, if that may be.
 */
void world_shrink(const struct world *w, struct expect *e, uint64_t gpa, uint64_t size);

/* What a fault must lead to, in plain words. */
void world_expect(const struct world *w, const struct s2_fault *f, struct expect *e);

#endif
