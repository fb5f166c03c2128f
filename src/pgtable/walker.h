/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walker sections (invariants 1 and 2 of docs/locking.md).
 *
 * A walker is inside a section while its counter is odd. Entering costs one store to a line of its
 * own and one load of the tree's epoch, which no fault on a page writes. Between them lies the
 * whole argument: synchronize writes the epoch and then looks at the sections, a walker sets its
 * section and then looks at the epoch, all sequentially consistent. So either synchronize sees the
 * section and waits for it, or the walker sees the new epoch and with it everything that was
 * written before (unlinked tables, invalidations begun). Where the port has barrier(), the order
 * between a walker's store and load is not the walker's business: synchronize makes all CPUs keep
 * it.
 *
 * The epoch moves with every table that is unlinked, before it can be freed. While it stands still
 * a walker may go straight to the tables where it was last (its hints).
 *
 * Its lowest bit says that somebody holds the tree for himself (s2_exclusive_begin()): whoever
 * enters waits, those inside were waited for. So many entries of a range change by plain stores.
 * Sections that only look (s2_enter_looking()) go on.
 */
#ifndef S2_WALKER_H
#define S2_WALKER_H

#include <stage2/pgtable.h>

#include "atomic.h"
#include "hook.h"

#define S2_EPOCH_EXCLUSIVE 1ull
#define S2_EPOCH_STEP      2ull

static inline void s2_leave(struct s2_walker *walker)
{
	s2_store_release(&walker->section, walker->section + 1);
}

static inline void s2_hints_drop(struct s2_walker *walker)
{
	for (unsigned int i = 0; i < S2_HINTS; i++)
		walker->hint_gpa[i] = 0;
}

/* The bare beginning of a section. Returns the epoch. */
static inline uint64_t s2_open(struct s2_walker *walker, const struct s2_pt *pt)
{
	if (pt->barrier) {
		s2_store_relaxed(&walker->section, walker->section + 1);
		s2_compiler_barrier(); /* pairs with barrier() in sections_left() */
	} else {
		s2_store_seq(&walker->section, walker->section + 1);
	}
	return s2_load_seq(&pt->epoch);
}

/* What no epoch will ever be: hints taken now are good for nothing later. */
#define S2_EPOCH_NEVER (~0ull)

/*
 * To look only: entries may be changing, also by somebody who holds the tree for himself. What is
 * found then leaves no hint behind by which the walker could get in later without noticing him.
 */
static inline uint64_t s2_enter_looking(struct s2_walker *walker)
{
	uint64_t epoch = s2_open(walker, walker->pt);

	if (epoch != walker->epoch) {
		walker->epoch = epoch & S2_EPOCH_EXCLUSIVE ? S2_EPOCH_NEVER : epoch;
		s2_hints_drop(walker);
	}
	return epoch;
}

/* Inside a section that somebody wants to have the tree to himself in: waits until he is done. */
void s2_enter_wait(struct s2_walker *walker);

static inline void s2_enter(struct s2_walker *walker)
{
	if (__builtin_expect(s2_enter_looking(walker) & S2_EPOCH_EXCLUSIVE, 0))
		s2_enter_wait(walker);
}

/*
 * Waits until every section of another walker that was open at the call has been left. Outside any
 * section. `self` may be NULL.
 */
void s2_synchronize(struct s2_pt *pt, const struct s2_walker *self);

/*
 * If begin returns nonzero, then until end nobody else is inside a section, save to look: the
 * holder may change entries by plain stores where hardware does not (pte_edit()), a bounded number
 * of them; he must not allocate, synchronize or flush. Begin waits for open sections, though not
 * for long, and not for another holder: it returns 0, and what was to be done goes another way.
 * Outside any section.
 */
S2_MUST_CHECK int s2_exclusive_begin(struct s2_walker *walker);
void s2_exclusive_end(struct s2_walker *walker);
/* Between two of them: lets those in who have been waiting, though not for ever. */
void s2_exclusive_yield(struct s2_walker *walker);

/* Frees the tables in limbo: every section that could be on them has closed. Outside any. */
void s2_limbo_free(struct s2_walker *walker);

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
