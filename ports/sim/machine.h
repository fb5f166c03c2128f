/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of the simulation: what its files share. Nothing here is for tests.
 */
#ifndef SIM_MACHINE_H
#define SIM_MACHINE_H

#include "sim.h"

/* arena.c */
#define SIM_POISON 0x5bad5bad5bad5bafull

void sim_arena_init(struct sim *sim);
void sim_arena_fini(struct sim *sim);
void *sim_arena_alloc(struct sim *sim, unsigned int order);
void sim_arena_free(struct sim *sim, void *table, unsigned int order);
/* The frame that holds this physical address; NULL if it is not memory of tables. */
struct sim_frame *sim_frame(struct sim *sim, uint64_t pa);
static inline uint64_t *sim_entry(struct sim *sim, uint64_t pa)
{
	return (uint64_t *)(void *)(sim->arena.va + (pa - sim->arena.pa));
}

/* host.c */
void sim_host_init(struct sim *sim);
void sim_host_fini(struct sim *sim);
int sim_host_resolve(struct sim *sim, uint64_t hva, enum s2_access access, struct s2_page *page);
void sim_host_sync(struct sim *sim, uint64_t hpa, uint64_t size, unsigned int kind);
/* Are all pages of a new leaf clean as `kind` (enum s2_sync_kind) demands? */
int sim_host_is_synced(struct sim *sim, uint64_t hpa, uint64_t size, unsigned int kind);

/* arm64.c: the walker */
enum sim_kind {
	SIM_INVALID,
	SIM_LEAF,
	SIM_TABLE,
	SIM_BAD, /* reserved, or something that no sane writer puts there: see `why` */
};

struct sim_desc {
	uint64_t pa;
	const char *why;
	uint8_t kind; /* enum sim_kind */
	uint8_t rights;
	uint8_t type;
	uint8_t sh;
	uint8_t af;
	uint8_t contig;
	uint8_t sw;
};

/* Returns NULL, or why these registers are wrong. */
const char *sim_regime_set(struct sim_regime *regime, const struct s2_cpu *cpu, uint64_t vtcr,
			   uint64_t vttbr);
struct sim_desc sim_decode(const struct sim_regime *regime, unsigned int level, uint64_t raw);
/* Sets the access flag as hardware does. */
uint64_t sim_with_af(const struct sim_regime *regime, uint64_t raw);

/* toy.c: the same for the toy layout */
struct sim_desc sim_toy_decode(const struct sim_regime *regime, unsigned int level, uint64_t raw);
uint64_t sim_toy_with_af(uint64_t raw);

static inline unsigned int sim_shift(const struct sim_regime *regime, unsigned int level)
{
	return regime->page_shift + regime->stride * level;
}

static inline uint64_t sim_size(const struct sim_regime *regime, unsigned int level)
{
	return 1ull << sim_shift(regime, level);
}

static inline uint64_t sim_entries(const struct sim_regime *regime, unsigned int level)
{
	if (level == regime->top)
		return 1ull << (regime->ipa_bits - sim_shift(regime, level));
	return 1ull << regime->stride;
}

static inline uint64_t sim_index(const struct sim_regime *regime, unsigned int level, uint64_t gpa)
{
	return (gpa >> sim_shift(regime, level)) & (sim_entries(regime, level) - 1);
}

/* tlb.c: everything that processors cached, and their walks */
struct sim_slot {
	struct sim_node *below;
	uint64_t leaf;  /* output address, if leaf_cpus */
	uint64_t table; /* next table, if table_cpus */
	uint8_t leaf_cpus;
	uint8_t table_cpus;
	uint8_t type;
	uint8_t sh;
	uint8_t rights[SIM_CPUS]; /* widest that this processor ever saw ... */
	uint8_t narrow[SIM_CPUS]; /* ... and what it saw always */
};

struct sim_node {
	struct sim_node *up;
	uint64_t live; /* leaves and tables cached here and below */
	struct sim_slot slot[];
};

/* Where a walk starts: a table and the level of its entries. */
struct sim_from {
	uint64_t table;
	unsigned int level;
	struct sim_node *node;
};

struct sim_found {
	struct sim_desc desc;
	unsigned int level;
	uint64_t entry; /* address of the last descriptor read */
	uint64_t raw;
};

void sim_tlb_init(struct sim *sim);
void sim_tlb_fini(struct sim *sim);
/* The place of gpa at this level; NULL if nothing was ever cached there or (exactly) below. */
struct sim_slot *sim_tlb_find(struct sim *sim, unsigned int level, uint64_t gpa);
/* Walks from the root without caching. */
void sim_tlb_look(struct sim *sim, uint64_t gpa, struct sim_found *found);
/* Processors `cpus` walk from the root, and cache. */
void sim_tlb_walk(struct sim *sim, uint64_t gpa, unsigned int cpus);
/* One processor walks from any of the table pointers that it holds for gpa. */
void sim_tlb_walk_cached(struct sim *sim, uint64_t gpa, unsigned int cpu);

struct sim_kill {
	uint64_t gpa, last;
	uint8_t level;  /* of leaves, or S2_LEVEL_ANY */
	uint8_t leaves; /* kill these ... */
	uint8_t tables; /* ... and these */
	uint8_t cpus;
};
void sim_tlb_kill(struct sim *sim, const struct sim_kill *kill);

/* Calls fn for each place that overlaps [gpa, last] and has something cached. */
typedef void sim_slot_fn(struct sim *sim, uint64_t gpa, unsigned int level, struct sim_slot *slot,
			 void *ctx);
void sim_tlb_each(struct sim *sim, uint64_t gpa, uint64_t last, sim_slot_fn *fn, void *ctx);
/* The same for what lies below a place, the place itself left out. */
void sim_tlb_each_below(struct sim *sim, uint64_t gpa, unsigned int level, sim_slot_fn *fn,
			void *ctx);

/* check.c and port.c: the record of what happened last */
void sim_log(struct sim *sim, const char *what, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
/* Who is running: one a thread, and one for the second walker (second.c). */
struct sim_self {
	const struct s2_walker *walker;
	const struct sim *unpublished; /* owes the publication of entries that it made valid */
	uint32_t cpu;
	uint32_t waits; /* turns of waiting since anybody did something: ... */
	uint64_t seen;  /* ... sim->progress, when it last looked */
};
extern _Thread_local struct sim_self sim_self;

/* check.c: where an entry stands in the guest's address space */
uint64_t sim_entry_gpa(struct sim *sim, const struct sim_frame *frame, uint64_t entry);

/* second.c: here another walker may come first; `must`: let it, we are waiting */
enum sim_point {
	SIM_MAY,
	SIM_MUST,
};
void sim_second_point(struct sim *sim, uint64_t gpa, enum sim_point point);
void sim_second_fini(struct sim *sim);

#endif
