/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside view of the gather: what the engine adds while it is in a section. Nothing here waits.
 */
#ifndef S2_GATHER_H
#define S2_GATHER_H

#include <stage2/pgtable.h>

#include "atomic.h"

static const struct s2_tlb_op s2_tlb_publish = { .kind = S2_TLB_PUBLISH, .level = S2_LEVEL_ANY };

/* More single entries than this and one invalidation of everything is cheaper. */
#define S2_GATHER_OPS 16

static inline void s2_gather_put(struct s2_gather *g, unsigned int at, enum s2_tlb_kind kind,
				 uint64_t gpa, uint64_t size, unsigned int level,
				 unsigned int flags)
{
	struct s2_tlb_op *op = &g->ops[1 + at];

	op->kind = (uint8_t)kind;
	op->flags = (uint8_t)flags;
	op->level = (uint8_t)level;
	op->page_shift = g->pt->page_shift;
	op->pad = 0;
	op->gpa.gpa = gpa;
	op->size = size;
	g->nranges = at + 1;
}

void s2_gather_add_more(struct s2_gather *g, uint64_t gpa, uint64_t size, unsigned int level,
			unsigned int flags);

/* Owes the invalidation of a range; flags: enum s2_tlb_flag. */
static inline void s2_gather_add(struct s2_gather *g, uint64_t gpa, uint64_t size,
				 unsigned int level, unsigned int flags)
{
	if (g->nranges | g->all)
		s2_gather_add_more(g, gpa, size, level, flags);
	else
		s2_gather_put(g, 0, S2_TLB_RANGE, gpa, size, level, flags);
}

/* The same for a page in a leaf of level 0. */
static inline void s2_gather_page(struct s2_gather *g, uint64_t gpa, uint64_t size,
				  unsigned int flags)
{
	if (g->nranges | g->all)
		s2_gather_add_more(g, gpa, size, 0, flags);
	else
		s2_gather_put(g, 0, S2_TLB_ENTRY, gpa, size, 0, flags);
}

/* Invalidates a range at once, complete on return: between break and make. */
void s2_gather_now(struct s2_gather *g, struct s2_walker *walker, uint64_t gpa, uint64_t size,
		   unsigned int level, unsigned int flags);

static inline int s2_gather_full(const struct s2_gather *g)
{
	return g->ntables > S2_GATHER_TABLES - S2_LEVELS;
}

/*
 * A table that the caller has just unlinked; there is room. It is freed with all below it. (Tables
 * of level 0 mostly go to g->chain, where there always is.)
 */
static inline void s2_gather_table(struct s2_gather *g, void *table, unsigned int level)
{
	g->tables[g->ntables] = table;
	g->table_levels[g->ntables] = (uint8_t)level;
	g->ntables++;
}

/* An entry became valid, and nothing else is owed. */
static inline void s2_tlb_publish_now(const struct s2_pt *pt, struct s2_walker *walker)
{
	s2_count(&walker->stats.tlb[S2_TLB_PUBLISH], 1);
	pt->port->tlb(pt->port->ctx, &s2_tlb_publish, 1);
}

/*
 * Rights of one leaf were widened: this CPU forgets what it knew, at once. That takes less than to
 * owe it, and who asks for it is about to use the page.
 */
static inline void s2_tlb_local(const struct s2_pt *pt, struct s2_walker *walker, uint64_t gpa,
				uint64_t size, unsigned int level)
{
	struct s2_tlb_op op = { .kind = S2_TLB_ENTRY,
				.flags = S2_TLB_LEAF | S2_TLB_LOCAL,
				.level = pt->cpu.features & S2_CPU_TLB_LEVEL ? (uint8_t)level
									     : S2_LEVEL_ANY,
				.page_shift = pt->page_shift,
				.gpa = { gpa },
				.size = size };

	s2_count(&walker->stats.tlb[S2_TLB_ENTRY], 1);
	s2_count(&walker->stats.tlb_local, 1);
	pt->port->tlb(pt->port->ctx, &op, 1);
}

/* All CPUs, or this one (S2_TLB_LOCAL), forget all that they cached of the guest. */
void s2_tlb_all(const struct s2_pt *pt, struct s2_walker *walker, unsigned int flags);

/* Does the gather owe anything within [gpa, end)? */
static inline int s2_gather_owes(const struct s2_gather *g, uint64_t gpa, uint64_t end)
{
	for (unsigned int i = 1; i <= g->nranges; i++)
		if (g->ops[i].gpa.gpa < end && gpa < g->ops[i].gpa.gpa + g->ops[i].size)
			return 1;
	return g->all != 0;
}

#endif
