/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table engine: looking without changing, and freeing what nobody can reach.
 */
#ifndef S2_ENGINE_AUDIT_H
#define S2_ENGINE_AUDIT_H

#include "engine_near.h"

static S2_ALWAYS_INLINE int engine_lookup(const struct s2_fmt *f, struct s2_pt *pt,
					  struct s2_walker *walker, uint64_t gpa,
					  struct s2_leaf *leaf)
{
	struct s2_pos pos = { .at = { .walker = walker } };
	unsigned int level = 0;
	uint64_t v, *entry;

	if (gpa >> pt->ipa_bits)
		return S2_ERANGE;
	(void)s2_enter_looking(walker);
	entry = near_entry(f, pt, gpa, walker);
	if (S2_LIKELY(entry)) {
		v = pte_load(entry);
	} else {
		/* As the guest sees it: a table that is settling is one already. */
		walk_past(f, pt, gpa, 0, 0, f->settle, &pos);
		v = pos.value;
		level = pos.at.level;
	}
	s2_leave(walker);
	leaf->gpa = s2_gpa(align_down(gpa, s2_fmt_size(f, level)));
	leaf->size = s2_fmt_size(f, level);
	leaf->level = (uint8_t)level;
	leaf->young = leaf->pad[0] = leaf->pad[1] = 0;
	if (!f->valid(v)) {
		leaf->hpa = s2_hpa(0);
		leaf->attr = (struct s2_attr){ 0 };
		return S2_ENOENT;
	}
	leaf->hpa = s2_hpa(f->leaf_hpa(v, level));
	leaf->attr = f->leaf_attr(v, pt->cpu.features);
	leaf->young = f->young(v) != 0;
	return 0;
}

/* A walk over all entries of a tree or of a detached part of it, depth first, without recursion. */
struct s2_scan {
	uint64_t *table[S2_LEVELS];
	uint64_t next[S2_LEVELS]; /* index of the next entry of each */
	uint64_t end;             /* number of entries of the topmost table */
	unsigned int top;
	unsigned int level;
};

static S2_ALWAYS_INLINE void scan_start(struct s2_scan *scan, uint64_t *table, unsigned int level,
					uint64_t entries)
{
	scan->table[level] = table;
	scan->next[level] = 0;
	scan->end = entries;
	scan->top = scan->level = level;
}

static S2_ALWAYS_INLINE uint64_t scan_gpa(const struct s2_fmt *f, const struct s2_scan *scan)
{
	uint64_t gpa = 0;

	for (unsigned int level = scan->level; level <= scan->top; level++)
		gpa += (scan->next[level] - 1) << s2_fmt_shift(f, level);
	return gpa;
}

/*
 * The next entry at scan->level, after descending into `into` if that is not NULL. At the end of a
 * table returns NULL, and sets *done to it on the way up; scan->level > top means all done.
 */
static S2_ALWAYS_INLINE uint64_t *scan_next(const struct s2_fmt *f, struct s2_scan *scan,
					    uint64_t *into, uint64_t **done)
{
	unsigned int level;

	if (into) {
		level = --scan->level;
		scan->table[level] = into;
		scan->next[level] = 0;
	}
	level = scan->level;
	if (scan->next[level] < (level == scan->top ? scan->end : table_entries(f)))
		return &scan->table[level][scan->next[level]++];
	*done = scan->table[level];
	scan->level++;
	return NULL;
}

/* A table of level 0 that nobody, not even hardware, can reach any more. */
static S2_ALWAYS_INLINE void free_leaves(const struct s2_fmt *f, struct s2_pt *pt, uint64_t *table,
					 struct s2_walker *walker)
{
	uint64_t n = 0;

	if (walker) {
		for (uint64_t i = 0; i < table_entries(f); i++)
			n += f->valid(table[i]) ? 1 : 0;
		s2_count(&walker->stats.leaves_removed[0], n);
	}
	s2_table_free(pt, table, 0);
}

static S2_ALWAYS_INLINE void engine_free_chain(const struct s2_fmt *f, struct s2_pt *pt,
					       uint64_t *chain, struct s2_walker *walker)
{
	while (chain) {
		uint64_t *next = link_next(f, pt, chain);

		free_leaves(f, pt, chain, walker);
		chain = next;
	}
}

/* Hangs the chain `rest` behind another one. Who detached the tables owns their busy entries. */
static S2_ALWAYS_INLINE void engine_join(const struct s2_fmt *f, const struct s2_pt *pt,
					 uint64_t *chain, const uint64_t *rest)
{
	uint64_t *next, busy = f->busy;

	while ((next = link_next(f, pt, chain)) != NULL)
		chain = next;
	if (!pte_cas(chain, &busy, link_to(f, pt, rest)))
		__builtin_trap(); /* invariant 3 */
}

static S2_ALWAYS_INLINE void engine_free(const struct s2_fmt *f, struct s2_pt *pt, void *table,
					 unsigned int level, unsigned int order,
					 struct s2_walker *walker)
{
	uint64_t *into = NULL, *done = NULL, *entry, v;
	struct s2_scan scan;

	scan_start(&scan, table, level, table_entries(f) << order);
	while (scan.level <= scan.top) {
		entry = scan_next(f, &scan, into, &done);
		into = NULL;
		if (!entry) {
			s2_table_free(pt, done, done == table ? order : 0);
			continue;
		}
		v = pte_load(entry);
		if (f->table(v, scan.level)) {
			into = s2_table_at(pt, f->table_hpa(v));
			if (walker)
				s2_count(&walker->stats.tables_unlinked, 1);
			if (scan.level == 1) {
				free_leaves(f, pt, into, walker);
				into = NULL;
			}
		} else if (f->valid(v) && walker) {
			s2_count(&walker->stats.leaves_removed[scan.level], 1);
		}
	}
}

/* A leaf is legal if it is what make_leaf() would make of what it means. */
static S2_ALWAYS_INLINE int leaf_legal(const struct s2_fmt *f, const struct s2_pt *pt, uint64_t v,
				       unsigned int level)
{
	struct s2_attr attr = f->leaf_attr(v, pt->cpu.features);
	uint64_t hpa = f->leaf_hpa(v, level);

	return f->leaf_levels >> level & 1 && f->attr_ok(attr, pt->cpu.features) &&
	       (hpa + s2_fmt_size(f, level) - 1) >> pt->cpu.pa_bits == 0 &&
	       f->make_young(v) == f->make_leaf(hpa, level, attr, pt->cpu.features);
}

static S2_ALWAYS_INLINE int engine_audit(const struct s2_fmt *f, struct s2_pt *pt,
					 struct s2_census *census, uint64_t *where)
{
	uint64_t *into = NULL, *done = NULL, *entry, v, used[S2_LEVELS] = { 0 };
	struct s2_scan scan;

	census->tables[pt->root_level] += 1ull << pt->root_order;
	scan_start(&scan, pt->root, pt->root_level,
		   1ull << (pt->ipa_bits - s2_fmt_shift(f, pt->root_level)));
	while (scan.level <= scan.top) {
		entry = scan_next(f, &scan, into, &done);
		into = NULL;
		if (!entry) {
			census->empty += scan.level <= scan.top && !used[scan.level - 1];
			continue;
		}
		v = pte_load(entry);
		*where = scan_gpa(f, &scan);
		if (s2_fmt_busy(f, v, scan.level)) {
			census->busy++;
		} else if (f->table(v, scan.level)) {
			into = s2_table_at(pt, f->table_hpa(v));
			if (v != f->make_table(f->table_hpa(v)))
				return S2_ECORRUPT;
			used[scan.level] = 1;
			used[scan.level - 1] = 0;
			census->tables[scan.level - 1]++;
		} else if (f->valid(v)) {
			if (!leaf_legal(f, pt, v, scan.level))
				return S2_ECORRUPT;
			used[scan.level] = 1;
			census->leaves[scan.level]++;
		} else if (v) {
			return S2_ECORRUPT;
		}
	}
	return 0;
}

#endif
