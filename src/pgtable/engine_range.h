/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table engine: range operations on what is mapped: unmap, and revise, which is protect, relax
 * and age.
 *
 * Unmap detaches whole tables where the range covers them, and a table that it leaves empty. The
 * latter races with faults that want to use the table, so it is frozen first: every entry is taken
 * from 0 to busy; if that succeeds for all of them the table is empty and stays so, and can be
 * unlinked; if not, the entries are put back. Nobody waits for anybody.
 */
#ifndef S2_ENGINE_RANGE_H
#define S2_ENGINE_RANGE_H

#include "engine_map.h"

/* The table that an entry is in. Not for roots, which may be larger. */
static S2_ALWAYS_INLINE uint64_t *entry_table(const struct s2_fmt *f, uint64_t *entry)
{
	return (uint64_t *)((uintptr_t)entry & ~(uintptr_t)(s2_fmt_size(f, 0) - 1));
}

/* Looks next to where something was just removed first: that is where neighbours mostly are. */
static S2_ALWAYS_INLINE int table_empty(const struct s2_fmt *f, const uint64_t *table,
					const uint64_t *entry)
{
	uint64_t n = table_entries(f), at = (uint64_t)(entry - table);

	if (pte_load(&table[(at - 1) & (n - 1)]) || pte_load(&table[(at + 1) & (n - 1)]))
		return 0;
	for (uint64_t i = 0; i < n; i++)
		if (pte_load(&table[i]))
			return 0;
	return 1;
}

static S2_ALWAYS_INLINE void thaw(const struct s2_fmt *f, uint64_t *table, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		uint64_t busy = f->busy;

		if (!pte_cas(&table[i], &busy, 0))
			__builtin_trap(); /* invariant 3: only who made it busy ends it */
	}
}

static S2_ALWAYS_INLINE int freeze(const struct s2_fmt *f, uint64_t *table)
{
	for (uint64_t i = 0; i < table_entries(f); i++) {
		uint64_t old = 0;

		if (!pte_cas(&table[i], &old, f->busy)) {
			thaw(f, table, i);
			return 0;
		}
	}
	return 1;
}

/*
 * Unlinks the tables that became empty by a removal at pos, upwards as far as they are. What they
 * span is more than what the caller removes, and others may link a new table there at once: so the
 * walk caches are invalidated before the entry is free again, not by the gather (invariant 4).
 */
static S2_ALWAYS_INLINE void reclaim(const struct s2_fmt *f, struct s2_pos *pos, uint64_t gpa)
{
	const struct s2_at *at = &pos->at;
	unsigned int level = at->level;
	uint64_t *entry, *table, *parent = at->entry, old;

	for (; level < at->pt->root_level; level++) {
		entry = parent;
		table = entry_table(f, entry);
		if (!table_empty(f, table, entry))
			return;
		if (level == at->level) {
			walk_all(f, at->pt, gpa, level, pos);
			if (pos->at.level != level || entry_table(f, pos->at.entry) != table)
				return; /* somebody detached more than this */
		}
		parent = pos->path[level + 1];
		if (!freeze(f, table))
			return;
		old = f->make_table(s2_table_hpa(at->pt, table));
		if (!pte_cas(parent, &old, f->busy)) {
			thaw(f, table, table_entries(f)); /* here too */
			return;
		}
		detach(f, at, table, level, 1); /* before anybody can link another one there */
		/* No leaf is left: one address is enough to drop the table from walk caches. */
		s2_gather_now(at->gather, at->walker, align_down(gpa, s2_fmt_size(f, level + 1)),
			      s2_fmt_size(f, 0), S2_LEVEL_ANY, 0);
		pte_make(f, at, parent, 0);
	}
}

/* Removes one entry that lies within the range as a whole. S2_STEP_ON: gone, or look again. */
static S2_ALWAYS_INLINE int unmap_entry(const struct s2_fmt *f, const struct s2_at *at,
					uint64_t value, struct s2_job *job)
{
	struct s2_stats *stats = &at->walker->stats;
	int table = f->table(value, at->level);

	if (table && s2_gather_full(at->gather))
		return S2_STEP_FLUSH;
	if (!pte_change_as(f, at, value, 0, PTE_REMOVE))
		return S2_STEP_ON;
	if (table)
		detach(f, at, s2_table_at(at->pt, f->table_hpa(value)), at->level - 1, 0);
	else
		s2_count(&stats->leaves_removed[at->level], 1);
	job->changed += s2_fmt_size(f, at->level);
	return S2_STEP_ON;
}

/* A block that is only partly in the range: split it, or remove it whole if that is wished. */
static S2_ALWAYS_INLINE int unmap_edge(const struct s2_fmt *f, const struct s2_pos *pos,
				       struct s2_job *job)
{
	const struct s2_at *at = &pos->at;
	uint64_t size = s2_fmt_size(f, at->level);

	if (!(job->how & S2_UNMAP_WHOLE))
		return split_leaf(f, at);
	/*
	 * What lies outside the range may be faulted in again at once: this removal must not wait
	 * for the gather.
	 */
	if (!pte_change_as(f, at, pos->value, 0, PTE_BREAK))
		return S2_STEP_ON;
	s2_count(&at->walker->stats.leaves_removed[at->level], 1);
	job->changed += min_u64(at->gpa + size, job->end) - job->gpa;
	return S2_STEP_ON;
}

static S2_ALWAYS_INLINE int engine_unmap(const struct s2_fmt *f, struct s2_pt *pt,
					 struct s2_job *job, struct s2_walker *walker,
					 struct s2_gather *gather)
{
	struct s2_pos pos = { .at = { .walker = walker, .gather = gather } };
	uint64_t size, stop, before = job->changed, last = job->gpa, *last_entry = NULL;
	int ret = S2_STEP_ON;

	if (s2_gather_full(gather))
		return S2_STEP_FLUSH;
	walk(f, pt, job->gpa, job->end, 0, &pos);
	size = s2_fmt_size(f, pos.at.level);
	if (s2_fmt_busy(f, pos.value, pos.at.level))
		return S2_STEP_BUSY;
	if (!f->valid(pos.value)) {
		job->gpa = min_u64(pos.at.gpa + size, job->end);
		return S2_STEP_ON;
	}
	if (pos.at.gpa != job->gpa || pos.at.gpa + size > job->end) {
		ret = unmap_edge(f, &pos, job);
		if (job->changed != before)
			reclaim(f, &pos, pos.at.gpa);
		return ret;
	}
	stop = min_u64(table_end(f, job->gpa, pos.at.level), job->end);
	while (ret == S2_STEP_ON && stop - job->gpa >= size) {
		pos.value = pte_load(pos.at.entry);
		if (s2_fmt_busy(f, pos.value, pos.at.level)) {
			ret = S2_STEP_BUSY;
			break;
		}
		pos.at.gpa = job->gpa;
		if (f->valid(pos.value)) {
			uint64_t changed = job->changed;

			ret = unmap_entry(f, &pos.at, pos.value, job);
			if (job->changed == changed)
				continue;
			last = job->gpa;
			last_entry = pos.at.entry;
		}
		job->gpa += size;
		pos.at.entry++;
	}
	if (last_entry) {
		pos.at.entry = last_entry;
		reclaim(f, &pos, last);
	}
	return ret;
}

/* What is found to be done with one leaf, and with all that differ from it in the output only. */
struct s2_edit {
	uint64_t flip; /* bits to change */
	int counts;    /* it is one of those that were looked for */
	int whole;     /* it must not be done to more than the range */
	int syncs;     /* cache maintenance comes with it, so each leaf is looked at by itself */
};

/* Decides on one leaf. Errors: S2_EINVAL (a right that the memory cannot have). */
static S2_ALWAYS_INLINE int revise_leaf(const struct s2_fmt *f, const struct s2_at *at,
					uint64_t value, const struct s2_job *job,
					enum s2_revision what, struct s2_edit *edit)
{
	uint32_t features = at->pt->cpu.features;
	struct s2_attr attr = f->leaf_attr(value, features);
	unsigned int had = attr.prot;
	int young = f->young(value) != 0;

	*edit = (struct s2_edit){ 0 };
	switch (what) {
	case S2_REVISE_PROTECT:
		edit->counts = edit->whole = (had & job->how) != 0;
		edit->flip =
			edit->counts ? value ^ f->leaf_prot(value, had & ~job->how, features) : 0;
		return 0;
	case S2_REVISE_RELAX:
		attr.prot = (uint8_t)(had | job->how);
		if (!f->attr_ok(attr, features))
			return S2_EINVAL;
		edit->counts = attr.prot != had;
		edit->syncs = map_sync_kind(at->pt, attr, attr.prot & ~had) != 0;
		edit->flip = value ^ f->leaf_prot(value, attr.prot, features);
		return 0;
	case S2_REVISE_AGE:
	default:
		edit->counts = young != (job->how == S2_AGE_SET);
		if (!edit->counts || job->how == S2_AGE_TEST)
			return 0;
		edit->flip = value ^ (young ? f->make_old(value) : f->make_young(value));
		return 0;
	}
}

/*
 * Invalidation that is owed for [gpa, end) after an edit. An old entry is in no TLB (DDI 0487, the
 * Access flag), so there is nothing to invalidate when it becomes young. After relax this CPU may
 * hold what made it fault, also where nothing had to change.
 */
static S2_ALWAYS_INLINE void revise_owes(struct s2_gather *gather, enum s2_revision what,
					 unsigned int how, uint64_t gpa, uint64_t end,
					 unsigned int level)
{
	unsigned int flags = S2_TLB_LEAF | (what == S2_REVISE_RELAX ? S2_TLB_LOCAL : 0);

	if (what == S2_REVISE_AGE && how == S2_AGE_SET)
		gather->publish = 1;
	else
		s2_gather_add(gather, gpa, end - gpa, level, flags);
}

/* The loop that has to be fast, out of the others' way: edit_run() by plain stores. */
static S2_NOINLINE uint64_t store_run(uint64_t *entry, uint64_t most, uint64_t mask, uint64_t rest,
				      uint64_t flip)
{
	uint64_t n = 0, value;

	for (; n < most; n++) {
		value = pte_load(&entry[n]);
		if ((value & mask) != rest)
			break;
		(void)pte_edit(&entry[n], value, value ^ flip, 1);
	}
	return n;
}

/*
 * Does the same to a run of leaves that differ from the first in their output only; returns how
 * many there were. `store`: plain stores will do (pte_edit()). A block that gets nT meanwhile is
 * edited all the same: who splits it takes it as it is by then (split_second()).
 */
static S2_ALWAYS_INLINE uint64_t edit_run(const struct s2_fmt *f, uint64_t *entry, uint64_t most,
					  uint64_t rest, uint64_t flip, int store)
{
	uint64_t n = 0, value;

	if (store)
		return store_run(entry, most, f->leaf_rest(~0ull), rest, flip);
	while (n < most) {
		value = pte_load(&entry[n]);
		if (f->leaf_rest(value) != rest)
			break;
		if (!flip || pte_edit(&entry[n], value, value ^ flip, 0))
			n++;
	}
	return n;
}

/* A block that is only partly in the range: split it, or narrow it whole if that is wished. */
static S2_ALWAYS_INLINE int protect_edge(const struct s2_fmt *f, const struct s2_at *at,
					 uint64_t value, uint64_t flip, uint64_t part,
					 struct s2_job *job)
{
	if (!(job->how & S2_PROTECT_WHOLE))
		return split_leaf(f, at);
	/*
	 * Who protects what lies outside the range would find it done, and cannot know who owes the
	 * invalidation: it is busy until that is complete.
	 */
	if (!pte_change_as(f, at, value, value ^ flip, PTE_BREAK))
		return S2_STEP_ON;
	job->changed += part;
	job->gpa += part;
	return S2_STEP_ON;
}

/* The pages of the next `size` bytes of the job were young. */
static S2_ALWAYS_INLINE void say_young(const struct s2_fmt *f, const struct s2_job *job,
				       uint64_t size)
{
	uint64_t page = (job->gpa - job->start) >> f->page_shift;
	uint64_t end = page + (size >> f->page_shift), n;

	for (; page < end; page += n) {
		n = min_u64(64 - page % 64, end - page);
		job->bitmap[page / 64] |= ~0ull >> (64 - n) << page % 64;
	}
}

/*
 * Pages for one word of the bitmap, whatever else is in their entries; returns how many there were
 * (0: the first is none), *word says which of them were young.
 */
static S2_ALWAYS_INLINE uint64_t young_run(const struct s2_fmt *f, const struct s2_at *at,
					   uint64_t most, int clear, int exclusive, uint64_t *word)
{
	int store = exclusive && !(at->pt->cpu.features & S2_CPU_HA);
	uint64_t n = 0, value;

	*word = 0;
	while (n < most) {
		value = pte_load(&at->entry[n]);
		if (!f->valid(value))
			break;
		/* To store what is there already is cheaper than to guess which are young. */
		if (clear && (store || f->young(value)) &&
		    !pte_edit(&at->entry[n], value, f->make_old(value), exclusive))
			continue;
		*word |= (uint64_t)(f->young(value) != 0) << n++;
	}
	return n;
}

static S2_ALWAYS_INLINE uint64_t bits_set(uint64_t word)
{
	word -= word >> 1 & 0x5555555555555555;
	word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return word * 0x0101010101010101 >> 56;
}

/*
 * Test or clear in pages of one table, as far as a word of the bitmap goes; returns how many it
 * went over. Anything else takes the way of all revisions: blocks, holes, and a single page, which
 * is remembered there (near_revise()).
 */
static S2_ALWAYS_INLINE uint64_t young_word(const struct s2_fmt *f, const struct s2_at *at,
					    struct s2_job *job, uint64_t stop, int exclusive,
					    uint64_t *from, uint64_t *to)
{
	uint64_t page = (job->gpa - job->start) >> f->page_shift;
	uint64_t left = (stop - job->gpa) >> f->page_shift, word, n, changed;
	int clear = job->how == S2_AGE_CLEAR;

	if (!job->bitmap || at->level || left == 1)
		return 0;
	n = young_run(f, at, min_u64(64 - page % 64, left), clear, exclusive, &word);
	changed = bits_set(word) << f->page_shift;
	job->bitmap[page / 64] |= word << page % 64;
	job->changed += changed;
	job->equal += (n << f->page_shift) - changed;
	if (clear && word) {
		*from = min_u64(*from, job->gpa);
		*to = job->gpa + (n << f->page_shift);
	}
	job->gpa += n << f->page_shift;
	return n;
}

/* Cache maintenance goes with the very leaf that it was done for: for the rights that it lacked. */
static S2_ALWAYS_INLINE uint64_t edit_synced(const struct s2_fmt *f, const struct s2_at *at,
					     uint64_t value, const struct s2_job *job,
					     uint64_t flip)
{
	struct s2_attr attr = f->leaf_attr(value, at->pt->cpu.features);

	map_sync(at, f->leaf_hpa(value, at->level), s2_fmt_size(f, at->level), attr,
		 job->how & ~(unsigned int)attr.prot);
	return pte_edit(at->entry, value, value ^ flip, 0) ? 1 : 0;
}

/*
 * Goes over the leaves of one table: rights and age change, what is mapped does not. `exclusive`:
 * nobody else changes this tree now, save the hardware: it makes old leaves young where it can.
 */
static S2_ALWAYS_INLINE int engine_revise(const struct s2_fmt *f, struct s2_pt *pt,
					  struct s2_job *job, struct s2_walker *walker,
					  struct s2_gather *gather, enum s2_revision what,
					  int exclusive)
{
	struct s2_pos pos = { .at = { .walker = walker, .gather = gather } };
	struct s2_at *at = &pos.at;
	uint64_t size, stop, value, rest, part, most, n, from = ~0ull, to = 0;
	int ret = S2_STEP_ON, store;
	struct s2_edit edit;

	walk(f, pt, job->gpa, 0, 0, &pos);
	size = s2_fmt_size(f, at->level);
	stop = min_u64(table_end(f, job->gpa, at->level), job->end);
	for (; job->gpa < stop; at->entry += n) {
		n = what == S2_REVISE_AGE ? young_word(f, at, job, stop, exclusive, &from, &to) : 0;
		if (n)
			continue;
		value = pte_load(at->entry);
		at->gpa = align_down(job->gpa, size);
		part = min_u64(at->gpa + size, job->end) - job->gpa;
		ret = s2_fmt_busy(f, value, at->level) ? S2_STEP_BUSY : S2_STEP_ON;
		if (ret == S2_STEP_ON && !f->valid(value)) {
			job->gpa += part;
			n = 1;
			continue;
		}
		if (ret != S2_STEP_ON || f->table(value, at->level))
			break;
		ret = revise_leaf(f, at, value, job, what, &edit);
		if (ret == S2_STEP_ON && edit.whole && part != size) {
			ret = protect_edge(f, at, value, edit.flip, part, job);
			break;
		}
		if (ret != S2_STEP_ON)
			break;
		rest = f->leaf_rest(value);
		if (edit.syncs) {
			n = edit_synced(f, at, value, job, edit.flip);
		} else {
			most = part == size ? (stop - job->gpa) / size : 1;
			store = exclusive && (f->young(value) || !(pt->cpu.features & S2_CPU_HA));
			n = edit_run(f, at->entry, most, rest, edit.flip, store);
			if (at->level == 0 && (edit.flip || what == S2_REVISE_RELAX))
				edit_keep(walker, what, job->how, rest, edit.flip);
		}
		part = part == size ? n * size : n * part;
		if (n && (edit.flip || what == S2_REVISE_RELAX)) {
			from = min_u64(from, at->gpa);
			to = at->gpa + n * size;
		}
		if (what == S2_REVISE_AGE && edit.counts && job->bitmap)
			say_young(f, job, part);
		if (edit.counts)
			job->changed += part;
		else if (what != S2_REVISE_PROTECT)
			job->equal += part;
		job->gpa += part;
	}
	if (from < to)
		revise_owes(gather, what, job->how, from, to, at->level);
	return ret;
}

#endif
