/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walker sections (invariants 1 and 2 of docs/locking.md).
 *
 * A walker is inside a section while its counter is odd. Entering costs one store to a line of its
 * own and one load of the tree's epoch, which is written only by s2_synchronize(). Between them
 * lies the whole argument: synchronize bumps the epoch and then looks at the sections, a walker
 * sets its section and then looks at the epoch, all sequentially consistent. So either synchronize
 * sees the section and waits for it, or the walker sees the new epoch and with it everything that
 * was written before (unlinked tables, invalidations begun).
 */
#ifndef S2_WALKER_H
#define S2_WALKER_H

#include <stage2/pgtable.h>

#include "atomic.h"
#include "hook.h"

static inline void s2_enter(struct s2_walker *walker)
{
	s2_store_seq(&walker->section, walker->section + 1);
	(void)s2_load_seq(&walker->pt->epoch);
}

static inline void s2_leave(struct s2_walker *walker)
{
	s2_store_release(&walker->section, walker->section + 1);
}

/*
 * Waits until every section of another walker that was open at the call has been left. Outside any
 * section. `self` may be NULL.
 */
void s2_synchronize(struct s2_pt *pt, const struct s2_walker *self);

/*
 * Makes sure that the walker has n tables at least. Outside any section; may sleep. If it cannot
 * have n but has one it is content: whoever uses them asks again. Errors: S2_ENOMEM, S2_EQUOTA.
 */
S2_MUST_CHECK int s2_walker_fill(struct s2_walker *walker, unsigned int n);

static inline uint64_t *s2_walker_take(struct s2_walker *walker)
{
	return walker->ntables ? (uint64_t *)walker->tables[--walker->ntables] : NULL;
}

/* Gives back a table that was taken and not linked; it must be zero again. Never fails. */
static inline void s2_walker_return(struct s2_walker *walker, uint64_t *table)
{
	walker->tables[walker->ntables++] = table;
}

/* For tests: src/vm is about to change what sections read at gpa; another may come first. */
static inline void s2_slot_point(const struct s2_pt *pt, uint64_t gpa)
{
#ifdef S2_HOOKS
	s2_hook_slot(pt->port->ctx, gpa);
#else
	(void)pt;
	(void)gpa;
#endif
}

/* Table pages from the port, counted against the quota. */
S2_MUST_CHECK int s2_table_alloc(struct s2_pt *pt, unsigned int order, uint64_t **table);
void s2_table_free(struct s2_pt *pt, uint64_t *table, unsigned int order);

static inline uint64_t s2_table_hpa(const struct s2_pt *pt, const uint64_t *table)
{
	return (uint64_t)(uintptr_t)table - pt->port->table_offset;
}

static inline uint64_t *s2_table_at(const struct s2_pt *pt, uint64_t hpa)
{
	return (uint64_t *)(uintptr_t)(hpa + pt->port->table_offset);
}

#endif
