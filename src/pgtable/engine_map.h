/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table engine: map. A step makes a way to the entry where the job goes on, and then loops over
 * the leaves of one size that are wanted in that table.
 */
#ifndef S2_ENGINE_MAP_H
#define S2_ENGINE_MAP_H

#include "engine.h"

/* The largest leaf that can be made at the start of the job, `cap` at most. */
static S2_ALWAYS_INLINE unsigned int map_level(const struct s2_fmt *f, const struct s2_job *job,
					       unsigned int cap)
{
	unsigned int level = cap;
	uint64_t size;

	/* Level 1 is the smallest block, if any: who does not fit there fits nowhere. */
	if ((job->gpa | job->hpa) & (s2_fmt_size(f, 1) - 1))
		return 0;
	for (; level > 0; level--) {
		size = s2_fmt_size(f, level);
		if (f->leaf_levels >> level & 1 && !((job->gpa | job->hpa) & (size - 1)) &&
		    job->end - job->gpa >= size)
			break;
	}
	return level;
}

/*
 * Cache maintenance that is owed before a guest may use this memory (requirement F4): without FWB
 * the guest may access it uncached and must not miss what is still in the cache; instructions that
 * were fetched from it in an earlier life must go; allocation tags must be somebody's. Never for
 * devices. No leaf is without S2_R, so that is a new right where a leaf is made, or gets another
 * output, and nowhere else.
 */
static S2_ALWAYS_INLINE unsigned int map_sync_kind(const struct s2_pt *pt, struct s2_attr attr,
						   unsigned int new_prot)
{
	uint32_t features = pt->cpu.features;
	unsigned int kind = 0;

	if (new_prot & S2_R && (attr.type != S2_MEM_NORMAL || !(features & S2_CPU_FWB)))
		kind |= S2_SYNC_DATA;
	if (new_prot & S2_X && !(features & S2_CPU_DIC))
		kind |= S2_SYNC_INSN;
	if (S2_UNLIKELY(features & S2_CPU_MTE) && new_prot & S2_R && attr.type == S2_MEM_NORMAL)
		kind |= S2_SYNC_TAGS;
	if (!kind || s2_memtype_is_device((enum s2_memtype)attr.type) || !pt->port->cache_sync)
		return 0;
	return kind;
}

static S2_ALWAYS_INLINE void do_sync(const struct s2_pt *pt, struct s2_walker *walker, uint64_t hpa,
				     uint64_t size, unsigned int kind)
{
	if (!kind)
		return;
	pt->port->cache_sync(pt->port->ctx, s2_hpa(hpa), size, kind);
	s2_count(&walker->stats.cache_sync_bytes, size);
}

static S2_ALWAYS_INLINE void map_sync(const struct s2_at *at, uint64_t hpa, uint64_t size,
				      struct s2_attr attr, unsigned int new_prot)
{
	do_sync(at->pt, at->walker, hpa, size, map_sync_kind(at->pt, attr, new_prot));
}

/* Is this leaf, at this offset, what the job wants there? Age does not count. */
static S2_ALWAYS_INLINE int leaf_same(const struct s2_fmt *f, const struct s2_at *at,
				      uint64_t value, uint64_t offset, const struct s2_job *job)
{
	struct s2_attr attr = f->leaf_attr(value, at->pt->cpu.features);

	return f->leaf_hpa(value, at->level) + offset == job->hpa && attr.type == job->attr.type &&
	       attr.sw == job->attr.sw;
}

/* Rights of an existing same leaf after the job: united, or as asked for. */
static S2_ALWAYS_INLINE unsigned int leaf_wanted_prot(unsigned int old, const struct s2_job *job)
{
	return job->how & S2_MAP_WIDEN ? old | job->attr.prot : job->attr.prot;
}

static S2_ALWAYS_INLINE void map_advance(struct s2_job *job, uint64_t size, uint64_t *counter)
{
	*counter += size;
	job->gpa += size;
	job->hpa += size;
}

/* Links a new table where nothing is, filled as far as leaves of the level below are wanted. */
static S2_ALWAYS_INLINE int map_link(const struct s2_fmt *f, const struct s2_at *at,
				     struct s2_job *job, unsigned int want)
{
	struct s2_pt *pt = at->pt;
	uint64_t *table = s2_walker_take(at->walker);
	uint64_t size = s2_fmt_size(f, want), n = 0, first = 0;

	if (!table)
		return S2_STEP_TABLES;
	if (want + 1 == at->level) {
		first = table_index(f, job->gpa, want);
		n = min_u64(table_entries(f) - first, (job->end - job->gpa) / size);
		map_sync(at, job->hpa, n * size, job->attr, job->attr.prot);
	}
	fill(f, table + first, n, f->make_leaf(job->hpa, want, job->attr, pt->cpu.features), size);
	if (!pte_change_as(f, at, 0, f->make_table(s2_table_hpa(pt, table)), PTE_MAKE)) {
		give_back(at->walker, table, first, n);
		s2_count(&at->walker->stats.lost_races, 1);
		return S2_STEP_ON;
	}
	s2_count(&at->walker->stats.tables_linked, 1);
	s2_count(&at->walker->stats.leaves_made[want], n);
	map_advance(job, n * size, &job->changed);
	return S2_STEP_ON;
}

/* A block is already there where smaller leaves are wanted. */
static S2_ALWAYS_INLINE int map_under_block(const struct s2_fmt *f, const struct s2_pos *pos,
					    struct s2_job *job)
{
	const struct s2_at *at = &pos->at;
	uint64_t size = s2_fmt_size(f, at->level), offset = job->gpa - at->gpa;
	unsigned int prot = f->leaf_attr(pos->value, at->pt->cpu.features).prot;
	int same = leaf_same(f, at, pos->value, offset, job);

	if (same && leaf_wanted_prot(prot, job) == prot) {
		map_advance(job, min_u64(size - offset, job->end - job->gpa), &job->equal);
		return S2_STEP_ON;
	}
	if (!(job->how & S2_MAP_REPLACE) && !(same && job->how & S2_MAP_WIDEN))
		return S2_EEXIST;
	return split_leaf(f, at);
}

/*
 * Blocks where tables are, as many as stand side by side before `stop`: break all, invalidate once,
 * make all. But one at a time where memory must be cleaned for it, which is done while the old
 * mapping still serves the guest. The job says REPLACE.
 */
static S2_ALWAYS_INLINE int map_over_tables(const struct s2_fmt *f, const struct s2_at *at,
					    struct s2_job *job, uint64_t stop, unsigned int sync)
{
	uint64_t size = s2_fmt_size(f, at->level), n = 0, old, leaf;
	uint64_t most = sync ? 1 : (stop - job->gpa) / size;
	struct s2_gather *gather = at->gather;

	if (s2_gather_full(gather))
		return S2_STEP_FLUSH;
	do_sync(at->pt, at->walker, job->hpa, size, sync);
	for (; n < most && !s2_gather_full(gather); n++) {
		old = pte_load(&at->entry[n]);
		if (!f->table(old, at->level) || !pte_break(f, at, &at->entry[n], old))
			break;
		detach(f, at, s2_table_at(at->pt, f->table_hpa(old)), at->level - 1, 0);
	}
	if (!n)
		return S2_STEP_ON;
	s2_gather_now(gather, at->walker, job->gpa, n * size, S2_LEVEL_ANY, 0);
	leaf = f->make_leaf(job->hpa, at->level, job->attr, at->pt->cpu.features);
	for (uint64_t i = 0; i < n; i++) {
		pte_make(f, at, &at->entry[i], leaf);
		leaf = f->leaf_add(leaf, size);
	}
	s2_count(&at->walker->stats.leaves_made[at->level], n);
	map_advance(job, n * size, &job->changed);
	return S2_STEP_ON;
}

/*
 * Makes `leaf` where `value` is now: another leaf, or busy. S2_STEP_ON without progress: look
 * again.
 */
static S2_ALWAYS_INLINE int map_over_leaf(const struct s2_fmt *f, const struct s2_at *at,
					  uint64_t value, uint64_t leaf, struct s2_job *job)
{
	uint64_t size = s2_fmt_size(f, at->level);
	uint32_t features = at->pt->cpu.features;
	struct s2_walker *walker = at->walker;
	struct s2_stats *stats = &walker->stats;
	unsigned int added = job->attr.prot, prot;
	enum pte_change how;

	if (s2_fmt_busy(f, value, at->level))
		return S2_STEP_BUSY;
	if (leaf_same(f, at, value, 0, job)) {
		prot = f->leaf_attr(value, features).prot;
		leaf = f->leaf_prot(value, leaf_wanted_prot(prot, job), features);
		if (leaf == value) {
			s2_count(&stats->lost_races, 1);
			map_advance(job, size, &job->equal);
			return S2_STEP_ON;
		}
		if (!(job->how & (S2_MAP_REPLACE | S2_MAP_WIDEN)))
			return S2_EEXIST;
		leaf = f->make_young(leaf);
		added = job->attr.prot & ~prot;
	} else if (!(job->how & S2_MAP_REPLACE)) {
		return S2_EEXIST;
	}
	map_sync(at, job->hpa, size, job->attr, added);
	how = pte_classify(f, at->pt, at->level, value, leaf);
	if (!pte_change_as(f, at, value, leaf, how))
		return S2_STEP_ON;
	if (at->level < S2_HINTS && how == PTE_RELAX && job->how & S2_MAP_WIDEN &&
	    walker->leaf_attr == leaf_number(job->attr, at->level) &&
	    !map_sync_kind(at->pt, job->attr, added))
		edit_keep(walker, S2_REVISE_WIDEN, walker->leaf_attr, f->leaf_rest(value),
			  value ^ leaf);
	s2_count(&stats->leaves_removed[at->level], 1);
	s2_count(&stats->leaves_made[at->level], 1);
	map_advance(job, size, &job->changed);
	return S2_STEP_ON;
}

/*
 * Makes a way to the entry where the job goes on: links tables, splits blocks, and finds out which
 * level the next leaf will have. Returns 1 when pos is there; else *ret is what the step returns.
 */
static S2_ALWAYS_INLINE int map_way(const struct s2_fmt *f, struct s2_pt *pt, struct s2_job *job,
				    struct s2_pos *pos, int *ret)
{
	unsigned int cap = job->cap, want;
	uint64_t start = job->gpa;

	*ret = S2_STEP_ON;
	for (;;) {
		want = map_level(f, job, cap);
		walk(f, pt, job->gpa, 0, want, pos);
		if (pos->at.level == want) {
			if (!want || !f->table(pos->value, want) || job->how & S2_MAP_REPLACE)
				return 1;
			cap = want - 1; /* an existing table is respected, and used */
			continue;
		}
		if (s2_fmt_busy(f, pos->value, pos->at.level))
			*ret = S2_STEP_BUSY;
		else if (f->valid(pos->value))
			*ret = map_under_block(f, pos, job);
		else
			*ret = map_link(f, &pos->at, job, want);
		if (*ret != S2_STEP_ON || job->gpa != start)
			return 0;
	}
}

/* The first leaf of the job; what it looks like is kept for the next one. */
static S2_ALWAYS_INLINE uint64_t map_first(const struct s2_fmt *f, const struct s2_at *at,
					   const struct s2_job *job, unsigned int level,
					   unsigned int sync)
{
	struct s2_walker *walker = at->walker;

	if (level >= S2_HINTS)
		return f->make_leaf(job->hpa, level, job->attr, at->pt->cpu.features);
	walker->leaf_attr = leaf_number(job->attr, level);
	walker->leaf_sync = sync;
	walker->leaf = f->make_leaf(0, level, job->attr, at->pt->cpu.features);
	return f->leaf_add(walker->leaf, job->hpa);
}

/* Loops over the entries of one table as long as the leaves are of this size; *at is the first. */
static S2_ALWAYS_INLINE int map_leaves(const struct s2_fmt *f, struct s2_at *at, uint64_t value,
				       struct s2_job *job, unsigned int level)
{
	uint64_t size = s2_fmt_size(f, level), start, made = 0;
	uint64_t stop = min_u64(table_end(f, job->gpa, level), job->end);
	unsigned int sync = map_sync_kind(at->pt, job->attr, job->attr.prot);
	uint64_t leaf = map_first(f, at, job, level, sync);
	struct s2_stats *stats = &at->walker->stats;
	int ret = S2_STEP_ON;

	for (;;) {
		start = at->gpa = job->gpa;
		if (S2_LIKELY(!value)) {
			do_sync(at->pt, at->walker, job->hpa, size, sync);
			if (!pte_cas(at->entry, &value, leaf))
				continue;
			made++;
			map_advance(job, size, &job->changed);
		} else if (f->make_young(value) == leaf) {
			s2_count(&stats->lost_races, 1);
			map_advance(job, size, &job->equal);
		} else if (!f->table(value, level)) {
			ret = map_over_leaf(f, at, value, leaf, job);
		} else if (job->how & S2_MAP_REPLACE) {
			ret = map_over_tables(f, at, job, stop, sync);
		} else {
			break;
		}
		if (ret != S2_STEP_ON || stop - job->gpa < size)
			break;
		leaf = f->leaf_add(leaf, job->gpa - start);
		at->entry += (job->gpa - start) >> s2_fmt_shift(f, level);
		value = pte_load(at->entry);
	}
	if (made) {
		s2_count(&stats->leaves_made[level], made);
		at->gather->publish = 1;
	}
	return ret;
}

static S2_ALWAYS_INLINE int engine_map(const struct s2_fmt *f, struct s2_pt *pt, struct s2_job *job,
				       struct s2_walker *walker, struct s2_gather *gather)
{
	struct s2_pos pos = { .at = { .pt = pt, .walker = walker, .gather = gather } };
	int ret;

	if (!map_way(f, pt, job, &pos, &ret))
		return ret;
	return map_leaves(f, &pos.at, pos.value, job, pos.at.level);
}

#endif
