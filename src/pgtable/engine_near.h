/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table engine: one page (a fault: or block) in the table where this walker was last, like the
 * last one. That is what nearly every fault, and whoever goes page by page, asks for; it takes a
 * few dozen instructions and one compare-and-swap. Anything else is left to the steps: a function
 * here does all or nothing, and returns whether it did.
 *
 * Its arguments are valid because they fit to what was found valid before: the hint says that the
 * guest address is one, the kept numbers that attributes, rights and age are.
 */
#ifndef S2_ENGINE_NEAR_H
#define S2_ENGINE_NEAR_H

#include "engine_range.h"

/* The entry of the page, or NULL. Inside a section, the hints being as of its epoch. */
static S2_ALWAYS_INLINE uint64_t *near_entry(const struct s2_fmt *f, const struct s2_pt *pt,
					     uint64_t gpa, struct s2_walker *walker)
{
	uint64_t block = align_down(gpa, s2_fmt_size(f, 1)), value;

	if (S2_LIKELY(walker->hint_gpa[0] == (block | 1)))
		return walker->hint[0] + table_index(f, gpa, 0);
	if (walker->hint_gpa[1] != (align_down(gpa, s2_fmt_size(f, 2)) | 1))
		return NULL;
	value = pte_load(walker->hint[1] + table_index(f, gpa, 1));
	if (!f->table(value, 1))
		return NULL;
	walker->hint_gpa[0] = block | 1;
	walker->hint[0] = s2_table_at(pt, f->table_hpa(value));
	return walker->hint[0] + table_index(f, gpa, 0);
}

/* The entry at level 1, whatever it is, or NULL: leaf_number() knows no higher level. */
static S2_ALWAYS_INLINE uint64_t *near_block(const struct s2_fmt *f, uint64_t gpa,
					     const struct s2_walker *walker)
{
	if (walker->hint_gpa[1] != (align_down(gpa, s2_fmt_size(f, 2)) | 1))
		return NULL;
	return walker->hint[1] + table_index(f, gpa, 1);
}

/* Enters a section and returns the entry of the page; or NULL, and no section. */
static S2_ALWAYS_INLINE uint64_t *near_enter(const struct s2_fmt *f, const struct s2_pt *pt,
					     uint64_t gpa, struct s2_walker *walker)
{
	uint64_t *entry = NULL;

	/* If somebody holds the tree for himself this is never so (s2_enter_looking()). */
	if (S2_LIKELY(s2_open(walker, pt) == walker->epoch))
		entry = near_entry(f, pt, gpa, walker);
	if (S2_UNLIKELY(!entry))
		s2_leave(walker);
	return entry;
}

/* Maps a leaf as walker->leaf says where nothing or just that is. Inside a section. */
static S2_ALWAYS_INLINE enum s2_near near_put(const struct s2_fmt *f, uint64_t *entry,
					      uint64_t *value, uint64_t leaf, unsigned int level,
					      struct s2_walker *walker)
{
	if (S2_LIKELY(!*value && pte_cas(entry, value, leaf))) {
		s2_count(&walker->stats.leaves_made[level], 1);
		return S2_NEAR_MADE;
	}
	if (f->make_young(*value) != leaf)
		return S2_NEAR_NOT;
	s2_count(&walker->stats.lost_races, 1);
	return S2_NEAR_EQUAL;
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
	uint64_t page = s2_fmt_size(f, 0), *entry, value;
	enum s2_near did;

	if (S2_UNLIKELY(size != page || (gpa | hpa) & (page - 1) || hpa >> pt->cpu.pa_bits ||
			flags & ~(unsigned int)(S2_MAP_REPLACE | S2_MAP_WIDEN | S2_MAP_PAGES) ||
			leaf_number(attr, 0) != walker->leaf_attr || !walker->leaf_attr ||
			attr.pad || walker->leaf_sync || gather->nranges | gather->all))
		return 0;
	entry = near_enter(f, pt, gpa, walker);
	if (S2_UNLIKELY(!entry))
		return 0;
	value = pte_load(entry);
	did = near_put(f, entry, &value, f->leaf_add(walker->leaf, hpa), 0, walker);
	s2_leave(walker);
	if (S2_UNLIKELY(did == S2_NEAR_NOT))
		return 0;
	if (did == S2_NEAR_MADE)
		gather->publish = 1;
	near_progress(f, did == S2_NEAR_MADE ? page : 0, did == S2_NEAR_EQUAL ? page : 0, progress);
	return 1;
}

/* The same leaf is there with less rights: what a permission fault finds. Inside a section. */
static S2_ALWAYS_INLINE enum s2_near near_widen(const struct s2_fmt *f, const struct s2_pt *pt,
						uint64_t *entry, uint64_t value, uint64_t leaf,
						uint64_t gpa, unsigned int level,
						struct s2_walker *walker)
{
	if (walker->edit_rest != f->leaf_rest(value) ||
	    walker->edit != edit_number(S2_REVISE_WIDEN, walker->leaf_attr) ||
	    (value ^ leaf) != f->leaf_rest(value ^ leaf) ||
	    !pte_cas(entry, &value, value ^ walker->edit_flip))
		return S2_NEAR_NOT;
	s2_count(&walker->stats.leaves_removed[level], 1);
	s2_count(&walker->stats.leaves_made[level], 1);
	s2_tlb_local(pt, walker, gpa, s2_fmt_size(f, level), level);
	return S2_NEAR_WIDENED;
}

/* As a map with REPLACE and WIDEN: a page, or a block. Inside a section. */
static S2_ALWAYS_INLINE enum s2_near near_fault(const struct s2_fmt *f, const struct s2_pt *pt,
						struct s2_walker *walker, uint64_t gpa,
						uint64_t hpa, struct s2_attr attr,
						unsigned int level)
{
	uint64_t *entry, value, leaf;
	enum s2_near did;

	if (S2_UNLIKELY(leaf_number(attr, level) != walker->leaf_attr))
		return S2_NEAR_NOT;
	entry = level ? near_block(f, gpa, walker) : near_entry(f, pt, gpa, walker);
	if (S2_UNLIKELY(!entry))
		return S2_NEAR_NOT;
	leaf = f->leaf_add(walker->leaf, hpa);
	value = pte_load(entry);
	if (!value)
		do_sync(pt, walker, hpa, s2_fmt_size(f, level), walker->leaf_sync);
	did = near_put(f, entry, &value, leaf, level, walker);
	return did == S2_NEAR_NOT ? near_widen(f, pt, entry, value, leaf, gpa, level, walker) : did;
}

static S2_ALWAYS_INLINE int near_revise(const struct s2_fmt *f, const struct s2_pt *pt,
					uint64_t gpa, uint64_t size, enum s2_revision what,
					unsigned int how, struct s2_walker *walker,
					struct s2_gather *gather, struct s2_progress *progress)
{
	uint64_t page = s2_fmt_size(f, 0), *entry, value, flip = walker->edit_flip;
	int done;

	if (S2_UNLIKELY(size != page || gpa & (page - 1) || how >> 16 ||
			edit_number(what, how) != walker->edit))
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
	if (what == S2_REVISE_RELAX)
		s2_tlb_local(pt, walker, gpa, page, 0);
	else if (what == S2_REVISE_AGE && how == S2_AGE_SET)
		gather->publish = 1;
	else
		s2_gather_page(gather, gpa, page, S2_TLB_LEAF);
	near_progress(f, flip ? page : 0, flip ? 0 : page, progress);
	return 1;
}

#endif
