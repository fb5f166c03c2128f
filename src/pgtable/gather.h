/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside view of the gather: what the engine adds while it is in a section. Nothing here waits.
 */
#ifndef S2_GATHER_H
#define S2_GATHER_H

#include <stage2/pgtable.h>

/* More single entries than this and one invalidation of everything is cheaper. */
#define S2_GATHER_OPS 16

/* Owes the invalidation of a range; flags: enum s2_tlb_flag. */
void s2_gather_add(struct s2_gather *g, uint64_t gpa, uint64_t size, unsigned int level,
		   unsigned int flags);

/* Invalidates a range at once, complete on return: between break and make. */
void s2_gather_now(struct s2_gather *g, struct s2_walker *walker, uint64_t gpa, uint64_t size,
		   unsigned int level, unsigned int flags);

static inline int s2_gather_full(const struct s2_gather *g)
{
	return g->ntables > S2_GATHER_TABLES - S2_LEVELS;
}

/* A table that the caller has just unlinked; there is room. It is freed with all below it. */
static inline void s2_gather_table(struct s2_gather *g, void *table, unsigned int level)
{
	g->tables[g->ntables] = table;
	g->table_levels[g->ntables] = (uint8_t)level;
	g->ntables++;
}

/* Does the gather owe anything within [gpa, end)? */
int s2_gather_owes(const struct s2_gather *g, uint64_t gpa, uint64_t end);

#endif
