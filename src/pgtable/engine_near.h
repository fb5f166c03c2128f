/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table engine: one page, in the table where this walker was last, with attributes like the
 * last ones. That is what nearly every fault, and whoever goes page by page, asks for; it takes a
 * few dozen instructions and one compare-and-swap. Anything else is left to the steps: a function
 * here does all or nothing, and returns whether it did.
 *
 * Its arguments are valid because they fit to what was found valid before: the hint says that the
 * guest address is one, the kept numbers that attributes, rights and age are.
 */
#ifndef S2_ENGINE_NEAR_H
#define S2_ENGINE_NEAR_H

#include "engine_range.h"

/* Enters a section and returns the entry of the page; or NULL, and no section. */
static S2_ALWAYS_INLINE uint64_t *near_enter(const struct s2_fmt *f, const struct s2_pt *pt,
					     uint64_t gpa, struct s2_walker *walker)
{
	uint64_t block = align_down(gpa, s2_fmt_size(f, 1)), value;

	/* An epoch with the exclusive bit never comes with a hint. */
	if (S2_LIKELY(s2_open(walker, pt) == walker->epoch)) {
		if (S2_LIKELY(walker->hint_gpa[0] == (block | 1)))
			return walker->hint[0] + table_index(f, gpa, 0);
		if (walker->hint_gpa[1] == (align_down(gpa, s2_fmt_size(f, 2)) | 1)) {
			value = pte_load(walker->hint[1] + table_index(f, gpa, 1));
			if (f->table(value, 1)) {
				walker->hint_gpa[0] = block | 1;
				walker->hint[0] = s2_table_at(pt, f->table_hpa(value));
				return walker->hint[0] + table_index(f, gpa, 0);
			}
		}
	}
	s2_leave(walker);
	return NULL;
}

static S2_ALWAYS_INLINE void near_progress(const struct s2_fmt *f, uint64_t changed, uint64_t equal,
					   struct s2_progress *progress)
{
	progress->done = s2_fmt_size(f, 0);
	progress->changed = changed;
	progress->equal = equal;
}

static S2_ALWAYS_INLINE int near_map(const struct s2_fmt *f, const struct s2_pt *pt, uint64_t gpa,
				     uint64_t hpa, uint64_t size, struct s2_attr attr,
				     unsigned int flags, struct s2_walker *walker,
				     struct s2_gather *gather, struct s2_progress *progress)
{
	uint64_t page = s2_fmt_size(f, 0), *entry, value, leaf;

	if (S2_UNLIKELY(size != page || (gpa | hpa) & (page - 1) || hpa >> pt->cpu.pa_bits ||
			flags & ~(unsigned int)(S2_MAP_REPLACE | S2_MAP_WIDEN | S2_MAP_PAGES) ||
			attr_number(attr) != walker->leaf_attr || gather->nranges | gather->all))
		return 0;
	leaf = f->leaf_add(walker->leaf, hpa);
	entry = near_enter(f, pt, gpa, walker);
	if (S2_UNLIKELY(!entry))
		return 0;
	value = pte_load(entry);
	if (S2_LIKELY(!value && pte_cas(entry, &value, leaf))) {
		s2_leave(walker);
		s2_count(&walker->stats.leaves_made[0], 1);
		gather->publish = 1;
		near_progress(f, page, 0, progress);
		return 1;
	}
	s2_leave(walker);
	if (f->make_young(value) != leaf)
		return 0;
	s2_count(&walker->stats.lost_races, 1);
	near_progress(f, 0, page, progress);
	return 1;
}

static S2_ALWAYS_INLINE int near_revise(const struct s2_fmt *f, const struct s2_pt *pt,
					uint64_t gpa, uint64_t size, enum s2_revision what,
					unsigned int how, struct s2_walker *walker,
					struct s2_gather *gather, struct s2_progress *progress)
{
	uint64_t page = s2_fmt_size(f, 0), *entry, value, flip = walker->edit_flip;
	int done;

	if (S2_UNLIKELY(size != page || gpa & (page - 1) || edit_number(what, how) != walker->edit))
		return 0;
	entry = near_enter(f, pt, gpa, walker);
	if (S2_UNLIKELY(!entry))
		return 0;
	value = pte_load(entry);
	done = f->leaf_rest(value) == walker->edit_rest &&
	       (!flip || pte_cas(entry, &value, value ^ flip));
	s2_leave(walker);
	if (S2_UNLIKELY(!done))
		return 0;
	revise_owes(gather, what, how, gpa, gpa + page, 0);
	near_progress(f, flip ? page : 0, flip ? 0 : page, progress);
	return 1;
}

#endif
