/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table engine: walk, detach and split. (engine_map.h: map; engine_range.h: unmap, protect,
 * relax, age; engine_audit.h: lookup, audit, freeing of detached tables.)
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
 * `past`: 0, or f->settle: a table that is settling is one, too, of which no hint is left behind.
 */
static S2_ALWAYS_INLINE void walk_from(const struct s2_fmt *f, uint64_t gpa, uint64_t end,
				       unsigned int stop, uint64_t past, unsigned int level,
				       uint64_t *entry, struct s2_pos *pos)
{
	struct s2_walker *walker = pos->at.walker;
	uint64_t value, size, *table;

	for (;;) {
		value = pte_load(entry);
		pos->path[level] = entry;
		size = s2_fmt_size(f, level);
		if (level == stop || !f->table(value & ~past, level))
			break;
		if (end && !(gpa & (size - 1)) && gpa + size <= end)
			break;
		table = s2_table_at(pos->at.pt, f->table_hpa(value));
		level--;
		if (level < S2_HINTS && !(value & past)) {
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
	walk_from(f, gpa, 0, stop, 0, pt->root_level,
		  &pt->root[gpa >> s2_fmt_shift(f, pt->root_level)], pos);
}

/*
 * The same from a table where this walker was last, if that leads there: it is still linked, since
 * the epoch has not moved (s2_enter_looking()).
 */
static S2_ALWAYS_INLINE void walk_past(const struct s2_fmt *f, struct s2_pt *pt, uint64_t gpa,
				       uint64_t end, unsigned int stop, uint64_t past,
				       struct s2_pos *pos)
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
	walk_from(f, gpa, end, stop, past, level, entry, pos);
}

static S2_ALWAYS_INLINE void walk(const struct s2_fmt *f, struct s2_pt *pt, uint64_t gpa,
				  uint64_t end, unsigned int stop, struct s2_pos *pos)
{
	walk_past(f, pt, gpa, end, stop, 0, pos);
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
	while (level == 0 && (frozen || !s2_fmt_busy(f, first, 0))) {
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

/* Takes a block from all others, its table being filled. Returns 0 if it is not `old` any more. */
static S2_ALWAYS_INLINE int split_first(const struct s2_fmt *f, const struct s2_at *at,
					uint64_t *entry, uint64_t old, const uint64_t *table)
{
	switch (at->pt->cpu.bbm) {
	case 0:
		return pte_break(f, at, entry, old);
	case 1:
		return pte_cas(entry, &old, old | f->nt);
	default:
		return pte_settle(f, entry, &old, s2_table_hpa(at->pt, table));
	}
}

/*
 * The second write of three at FEAT_BBM level 1. The block has nT, and is invalidated. Since then
 * hardware may have made it young, and others may have edited its rights or its age (edit_run()).
 */
static S2_ALWAYS_INLINE void split_second(const struct s2_fmt *f, const struct s2_at *at,
					  uint64_t *entry, uint64_t *table)
{
	uint64_t size = s2_fmt_size(f, at->level - 1), block = pte_load(entry);

	do {
		fill(f, table, table_entries(f), f->leaf_child(block & ~f->nt, at->level), size);
	} while (!pte_settle(f, entry, &block, s2_table_hpa(at->pt, table)));
}

/*
 * Replaces blocks by tables of equal leaves one level below: output, rights, type, age and software
 * bits are those of the block, bit for bit. As many neighbours from at->entry on as there are
 * blocks and tables in stock, `most` at most, with one invalidation for all between the writes of
 * each; *n says how many. With FEAT_BBM no entry is invalid meanwhile (a CPU may fault on nT).
 * S2_STEP_ON without any: look again.
 */
static S2_ALWAYS_INLINE int split_leaves(const struct s2_fmt *f, const struct s2_at *at,
					 uint64_t most, uint64_t *n)
{
	uint64_t *tables[S2_WALKER_TABLES], *table, old, count = table_entries(f);
	unsigned int bbm = at->pt->cpu.bbm;
	uint64_t size = s2_fmt_size(f, at->level);
	struct s2_stats *stats = &at->walker->stats;

	*n = 0;
	if (!at->walker->ntables)
		return S2_STEP_TABLES;
	while (*n < most && at->walker->ntables) {
		old = pte_load(&at->entry[*n]);
		if (s2_fmt_busy(f, old, at->level) || !f->valid(old) || f->table(old, at->level))
			break;
		table = s2_walker_take(at->walker);
		fill(f, table, count, f->leaf_child(old, at->level), s2_fmt_size(f, at->level - 1));
		if (!split_first(f, at, &at->entry[*n], old, table)) {
			give_back(at->walker, table, 0, count);
			break;
		}
		tables[(*n)++] = table;
	}
	if (!*n)
		return S2_STEP_ON;
	if (bbm < 2) /* TLBs hold the block at most: by address */
		s2_gather_now(at->gather, at->walker, at->gpa, *n * size, at->level, S2_TLB_LEAF);
	for (uint64_t i = 0; i < *n && bbm == 1; i++)
		split_second(f, at, &at->entry[i], tables[i]);
	if (bbm) /* they may hold pages, too: an address need not find both */
		s2_tlb_all(at->pt, at->walker, 0);
	for (uint64_t i = 0; i < *n; i++) {
		if (bbm)
			pte_settled(f, &at->entry[i], s2_table_hpa(at->pt, tables[i]));
		else
			pte_make(f, at, &at->entry[i],
				 f->make_table(s2_table_hpa(at->pt, tables[i])));
	}
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
		if (s2_fmt_busy(f, value, at->level))
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
