/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table engine: walk, map and split. (engine_range.h: unmap, protect, relax, age;
 * engine_audit.h: lookup, audit, freeing of detached tables.)
 *
 * Everything takes the format as a compile-time constant and is inlined into one instance a format;
 * see S2_PT_OPS at the end of engine_ops.h. Walks are iterative; a step finds the entry where its
 * work starts and then loops over the neighbours in the same table. Steps run inside a walker
 * section: tables met on the way cannot be freed meanwhile, though they may be detached (what is
 * then done to them is lost, which every user of an unlinked range must expect anyway).
 *
 * A new table is filled with plain stores before it is linked by one compare-and-swap.
 */
#ifndef S2_ENGINE_H
#define S2_ENGINE_H

#include "internal.h"
#include "memo.h"
#include "pte.h"

/* Where a walk ended: at->entry was `value`; entries passed on the way, by level. */
struct s2_pos {
	struct s2_at at;
	uint64_t value;
	uint64_t *path[S2_LEVELS];
};

static S2_ALWAYS_INLINE uint64_t align_down(uint64_t addr, uint64_t size)
{
	return addr & ~(size - 1);
}

static S2_ALWAYS_INLINE uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static S2_ALWAYS_INLINE uint64_t table_entries(const struct s2_fmt *f)
{
	return 1ull << f->stride;
}

static S2_ALWAYS_INLINE uint64_t table_index(const struct s2_fmt *f, uint64_t gpa,
					     unsigned int level)
{
	return gpa >> s2_fmt_shift(f, level) & (table_entries(f) - 1);
}

/*
 * First address behind the table that holds the entry for gpa at this level. (A root of several
 * tables is treated as that many; a range never ends behind the root.)
 */
static S2_ALWAYS_INLINE uint64_t table_end(const struct s2_fmt *f, uint64_t gpa, unsigned int level)
{
	uint64_t span = s2_fmt_size(f, level + 1);

	return align_down(gpa, span) + span;
}

/* Fills n entries of a table that is not linked with leaves of this size, one after the other. */
static S2_ALWAYS_INLINE void fill(const struct s2_fmt *f, uint64_t *entry, uint64_t n,
				  uint64_t leaf, uint64_t size)
{
	for (uint64_t i = 0; i < n; i++) {
		pte_fill(&entry[i], leaf);
		leaf = f->leaf_add(leaf, size);
	}
}

/*
 * Walks down to the entry for gpa: to level `stop`, or to the first that is no table, or (if `end`
 * is not 0) to the first that lies within [gpa, end) as a whole. Starts at `level`, in `entry`.
 */
static S2_ALWAYS_INLINE void walk_from(const struct s2_fmt *f, uint64_t gpa, uint64_t end,
				       unsigned int stop, unsigned int level, uint64_t *entry,
				       struct s2_pos *pos)
{
	struct s2_walker *walker = pos->at.walker;
	uint64_t value, size, *table;

	for (;;) {
		value = pte_load(entry);
		pos->path[level] = entry;
		size = s2_fmt_size(f, level);
		if (level == stop || !f->table(value, level))
			break;
		if (end && !(gpa & (size - 1)) && gpa + size <= end)
			break;
		table = s2_table_at(pos->at.pt, f->table_hpa(value));
		level--;
		if (level < S2_HINTS) {
			walker->hint_gpa[level] = align_down(gpa, size) | 1;
			walker->hint[level] = table;
		}
		entry = table + table_index(f, gpa, level);
	}
	pos->value = value;
	pos->at.entry = entry;
	pos->at.level = level;
	pos->at.gpa = align_down(gpa, size);
}

/* The same from the root, so that the whole path is known. */
static S2_ALWAYS_INLINE void walk_all(const struct s2_fmt *f, struct s2_pt *pt, uint64_t gpa,
				      unsigned int stop, struct s2_pos *pos)
{
	pos->at.pt = pt;
	walk_from(f, gpa, 0, stop, pt->root_level,
		  &pt->root[gpa >> s2_fmt_shift(f, pt->root_level)], pos);
}

/*
 * The same from a table where this walker was last, if that leads there: it is still linked, since
 * the epoch has not moved (s2_enter_looking()).
 */
static S2_ALWAYS_INLINE void walk(const struct s2_fmt *f, struct s2_pt *pt, uint64_t gpa,
				  uint64_t end, unsigned int stop, struct s2_pos *pos)
{
	const struct s2_walker *walker = pos->at.walker;
	unsigned int level = pt->root_level;
	uint64_t *entry = &pt->root[gpa >> s2_fmt_shift(f, level)];

	for (unsigned int near = 0; near < S2_HINTS; near++) {
		uint64_t size = s2_fmt_size(f, near + 1);

		if (near < stop || walker->hint_gpa[near] != (align_down(gpa, size) | 1))
			continue;
		if (end && !(gpa & (size - 1)) && gpa + size <= end)
			break;
		level = near;
		entry = walker->hint[near] + table_index(f, gpa, near);
		break;
	}
	pos->at.pt = pt;
	walk_from(f, gpa, end, stop, level, entry, pos);
}

/*
 * Tables of level 0 that wait to be freed hang together: the first entry of each is busy and says
 * where the next one is. S2_LINK keeps that apart from plain busy; tables are aligned to more.
 */
#define S2_LINK 4ull

static S2_ALWAYS_INLINE uint64_t link_to(const struct s2_fmt *f, const struct s2_pt *pt,
					 const uint64_t *table)
{
	return f->busy | S2_LINK | s2_table_hpa(pt, table);
}

static S2_ALWAYS_INLINE uint64_t *link_next(const struct s2_fmt *f, const struct s2_pt *pt,
					    const uint64_t *table)
{
	uint64_t link = pte_load(table);

	return link & S2_LINK ? s2_table_at(pt, link & ~(f->busy | S2_LINK)) : NULL;
}

/*
 * A table was unlinked by the caller: nobody finds it any more, who was there before may still be.
 * A table of level 0 joins the gather's chain: its first entry says busy and where the next one is.
 * (If another thread is just changing that entry, or at other levels, the gather's array has room.)
 * `frozen`: the caller has made all its entries busy. They stay so: who comes late, or by a hint as
 * long as the epoch has not moved, must not find room in it.
 */
static S2_ALWAYS_INLINE void detach(const struct s2_fmt *f, const struct s2_at *at, uint64_t *table,
				    unsigned int level, int frozen)
{
	struct s2_gather *g = at->gather;
	uint64_t link = g->chain ? link_to(f, at->pt, g->chain) : f->busy;
	uint64_t first = frozen ? f->busy : pte_load(table);

	s2_count(&at->walker->stats.tables_unlinked, 1);
	s2_add_seq(&at->pt->epoch, S2_EPOCH_STEP);
	s2_hints_drop(at->walker);
	while (level == 0 && (frozen || !s2_fmt_busy(f, first))) {
		if (!pte_cas(table, &first, link))
			continue;
		if (f->valid(first))
			s2_count(&at->walker->stats.leaves_removed[0], 1);
		g->chain = table;
		g->chained++;
		return;
	}
	s2_gather_table(g, table, level);
}

/* Into the stock again, zeroed: a table of which n entries were filled but that lost its race. */
static S2_ALWAYS_INLINE void give_back(struct s2_walker *walker, uint64_t *table, uint64_t first,
				       uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		pte_fill(&table[first + i], 0);
	s2_walker_return(walker, table);
}

/*
 * Replaces blocks by tables of equal leaves one level below: output, rights, type, age and software
 * bits are those of the block, bit for bit. As many neighbours from at->entry on as there are
 * blocks and tables in stock, `most` at most: all are broken, invalidated together and made; *n
 * says how many. S2_STEP_ON without any: look again.
 */
static S2_ALWAYS_INLINE int split_leaves(const struct s2_fmt *f, const struct s2_at *at,
					 uint64_t most, uint64_t *n)
{
	uint64_t *tables[S2_WALKER_TABLES], *table, old, count = table_entries(f);
	uint64_t size = s2_fmt_size(f, at->level);
	struct s2_stats *stats = &at->walker->stats;

	*n = 0;
	if (!at->walker->ntables)
		return S2_STEP_TABLES;
	while (*n < most && at->walker->ntables) {
		old = pte_load(&at->entry[*n]);
		if (!f->valid(old) || f->table(old, at->level))
			break;
		table = s2_walker_take(at->walker);
		fill(f, table, count, f->leaf_child(old, at->level), s2_fmt_size(f, at->level - 1));
		if (!pte_break(f, at, &at->entry[*n], old)) {
			give_back(at->walker, table, 0, count);
			break;
		}
		tables[(*n)++] = table;
	}
	if (!*n)
		return S2_STEP_ON;
	s2_gather_now(at->gather, at->walker, at->gpa, *n * size, at->level, S2_TLB_LEAF);
	for (uint64_t i = 0; i < *n; i++)
		pte_make(f, at, &at->entry[i], f->make_table(s2_table_hpa(at->pt, tables[i])));
	s2_count(&stats->leaves_removed[at->level], *n);
	s2_count(&stats->leaves_made[at->level - 1], *n * count);
	s2_count(&stats->tables_linked, *n);
	return S2_STEP_ON;
}

/* One block. Any outcome but S2_STEP_TABLES means: look again. */
static S2_ALWAYS_INLINE int split_leaf(const struct s2_fmt *f, const struct s2_at *at)
{
	uint64_t n;

	return split_leaves(f, at, 1, &n);
}

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

	if (s2_fmt_busy(f, value))
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
		if (s2_fmt_busy(f, pos->value))
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

/* job->how: the level above which no leaf is to be left. Looks at the entries above that. */
static S2_ALWAYS_INLINE int engine_split(const struct s2_fmt *f, struct s2_pt *pt,
					 struct s2_job *job, struct s2_walker *walker,
					 struct s2_gather *gather)
{
	struct s2_pos pos = { .at = { .walker = walker, .gather = gather } };
	unsigned int level = job->how + 1;
	uint64_t size, stop, value, n;
	struct s2_at *at = &pos.at;
	int ret = S2_STEP_ON;

	if (level > pt->root_level) {
		job->gpa = job->end;
		return S2_STEP_ON;
	}
	walk(f, pt, job->gpa, 0, level, &pos);
	size = s2_fmt_size(f, at->level);
	stop = min_u64(table_end(f, job->gpa, at->level), job->end);
	for (; ret == S2_STEP_ON && job->gpa < stop; at->entry += n) {
		value = pte_load(at->entry);
		if (s2_fmt_busy(f, value))
			return S2_STEP_BUSY;
		at->gpa = align_down(job->gpa, size);
		n = 1;
		if (f->valid(value) && !f->table(value, at->level)) {
			ret = split_leaves(f, at, (stop - at->gpa + size - 1) / size, &n);
			if (!n || at->level > level) /* look again; or it takes more than this */
				return ret;
		} else if (at->level > level && f->table(value, at->level)) {
			return S2_STEP_ON; /* somebody was faster: look below */
		}
		job->gpa = min_u64(at->gpa + n * size, job->end);
	}
	return ret;
}

#endif
