/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one place where entries change, and the one place that knows which change needs what.
 *
 * A linked entry changes by compare-and-swap only (walkers of other CPUs and, with hardware access
 * flags, the CPU itself change it under our feet). pte_change() sorts every old-to-new transition:
 *
 *   make     invalid to valid: publish
 *   remove   valid to invalid: invalidate before the memory is reused (gather)
 *   tighten  rights or youth taken: invalidate, no break (DDI 0487 RGPPYH)
 *   relax    rights added: this CPU's TLB is enough, others fault and find it done (a whole range
 *            of leaves is tightened or relaxed by engine_revise(), which owes the same)
 *   break    output, type or size differs (RWHZWS): invalid, invalidate everywhere, then make
 *            (RDDMVT), all within one walker section, so that nothing is ever between them
 *   settle   a block becomes a table of the same where FEAT_BBM lets that happen in place: the
 *            guest goes on meanwhile, software finds the entry busy as between break and make
 *
 * Between break and make the entry is `busy`: whoever meets it leaves its section and retries.
 * Only who broke it makes it; the table it is in cannot be freed meanwhile (deferred free), though
 * it may be detached, which does no harm: the new entry then dies with the table. Neighbours may be
 * broken together, invalidated by one operation and then made.
 */
#ifndef S2_PTE_H
#define S2_PTE_H

#include "gather.h"
#include "hook.h"
#include "walker.h"
#include "../format/format.h"

/* Pairs with the release half of pte_cas(): a table is filled before its entry is seen. */
static S2_ALWAYS_INLINE uint64_t pte_load(const uint64_t *entry)
{
	return s2_load_acquire(entry);
}

static S2_ALWAYS_INLINE int pte_cas(uint64_t *entry, uint64_t *old, uint64_t new_entry)
{
#ifdef S2_HOOKS
	return s2_hook_cas(entry, old, new_entry);
#else
	return __atomic_compare_exchange_n(entry, old, new_entry, 0, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
#endif
}

/* Into a table that nobody can reach: not linked yet. */
static S2_ALWAYS_INLINE void pte_fill(uint64_t *entry, uint64_t value)
{
#ifdef S2_HOOKS
	s2_hook_store(entry, value);
#else
	*entry = value;
#endif
}

/* Where an entry is: what a change of it needs to know beside the entry itself. */
struct s2_at {
	struct s2_pt *pt;
	struct s2_walker *walker;
	struct s2_gather *gather;
	uint64_t *entry;
	uint64_t gpa; /* start of what the entry translates */
	unsigned int level;
};

/*
 * Other rights or another age, as the caller has found to be allowed without a break. `store`: he
 * holds the tree for himself, and hardware does not change this entry (it is young, or there is no
 * S2_CPU_HA), so it is still `old` and a store is enough. Returns 0 if it is not `old` any more.
 */
static S2_ALWAYS_INLINE int pte_edit(uint64_t *entry, uint64_t old, uint64_t new_entry, int store)
{
#ifndef S2_HOOKS
	if (store) {
		s2_store_relaxed(entry, new_entry);
		return 1;
	}
#endif
	if (pte_cas(entry, &old, new_entry))
		return 1;
	if (store)
		__builtin_trap(); /* invariant 10 */
	return 0;
}

/* First half of a break-before-make. Returns 0 if the entry is not `old` any more. */
static S2_ALWAYS_INLINE int pte_break(const struct s2_fmt *f, const struct s2_at *at,
				      uint64_t *entry, uint64_t old)
{
	if (!pte_cas(entry, &old, f->busy))
		return 0;
	s2_count(&at->walker->stats.breaks, 1);
	return 1;
}

/* Second half, after the invalidation. */
static S2_ALWAYS_INLINE void pte_make(const struct s2_fmt *f, const struct s2_at *at,
				      uint64_t *entry, uint64_t new_entry)
{
	uint64_t busy = f->busy;

	if (!pte_cas(entry, &busy, new_entry))
		__builtin_trap(); /* invariant 3: only who broke an entry makes it */
	at->gather->publish |= f->valid(new_entry) ? 1 : 0;
}

/*
 * The same two halves of a block that becomes a table by FEAT_BBM (DDI 0487, D8, support levels for
 * changing table or block size), with an invalidation of everything between them: a TLB may hold
 * both, and then what is by address need not find both (R_GRVDR, R_BLRKC). Level 2: the table takes
 * the block's place at once. Level 1: first the block gets nT and is invalidated. Who changed
 * something below the table meanwhile would invalidate a page, and the block would be used on: so
 * it is nobody's (invariant 15). Returns 0 if the entry is not `old` any more.
 */
static S2_ALWAYS_INLINE int pte_settle(const struct s2_fmt *f, uint64_t *entry, uint64_t *old,
				       uint64_t table)
{
	return pte_cas(entry, old, f->make_table(table) | f->settle);
}

static S2_ALWAYS_INLINE void pte_settled(const struct s2_fmt *f, uint64_t *entry, uint64_t table)
{
	uint64_t settling = f->make_table(table) | f->settle;

	if (!pte_cas(entry, &settling, f->make_table(table)))
		__builtin_trap(); /* invariant 15, as 3 */
}

enum pte_change {
	PTE_NOTHING,
	PTE_MAKE,
	PTE_REMOVE,
	PTE_TIGHTEN,
	PTE_RELAX,
	PTE_BREAK,
};

static S2_ALWAYS_INLINE enum pte_change pte_classify(const struct s2_fmt *f, const struct s2_pt *pt,
						     unsigned int level, uint64_t old,
						     uint64_t new_entry)
{
	struct s2_attr was, is;

	if (!f->valid(old))
		return f->valid(new_entry) ? PTE_MAKE : PTE_NOTHING;
	if (!f->valid(new_entry))
		return PTE_REMOVE;
	if (f->table(old, level) || f->table(new_entry, level))
		return PTE_BREAK;
	was = f->leaf_attr(old, pt->cpu.features);
	is = f->leaf_attr(new_entry, pt->cpu.features);
	if (f->leaf_hpa(old, level) != f->leaf_hpa(new_entry, level) || was.type != is.type)
		return PTE_BREAK;
	if (was.prot & ~is.prot || (f->young(old) && !f->young(new_entry)))
		return PTE_TIGHTEN;
	if (is.prot & ~was.prot)
		return PTE_RELAX;
	return PTE_NOTHING;
}

/*
 * Changes *at->entry from `old` to `new_entry` with all that is owed. Returns 0 if the entry is not
 * `old` any more: then nothing happened and the caller looks again. `how`: what pte_classify()
 * would say, or more than it asks for.
 */
static S2_ALWAYS_INLINE int pte_change_as(const struct s2_fmt *f, const struct s2_at *at,
					  uint64_t old, uint64_t new_entry, enum pte_change how)
{
	struct s2_gather *g = at->gather;
	uint64_t size = s2_fmt_size(f, at->level);
	int table = f->table(old, at->level);

	if (how == PTE_BREAK) {
		if (!pte_break(f, at, at->entry, old))
			return 0;
		s2_gather_now(g, at->walker, at->gpa, size, table ? S2_LEVEL_ANY : at->level,
			      table ? 0 : S2_TLB_LEAF);
		pte_make(f, at, at->entry, new_entry);
		return 1;
	}
	if (!pte_cas(at->entry, &old, new_entry))
		return 0;
	switch (how) {
	case PTE_MAKE:
		g->publish = 1;
		break;
	case PTE_REMOVE:
	case PTE_TIGHTEN:
		s2_gather_add(g, at->gpa, size, table ? S2_LEVEL_ANY : at->level,
			      table ? 0 : S2_TLB_LEAF);
		break;
	case PTE_RELAX:
		s2_gather_add(g, at->gpa, size, at->level, S2_TLB_LEAF | S2_TLB_LOCAL);
		break;
	default:
		break;
	}
	return 1;
}

#endif
