/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table engine: walk, map and split. (engine_range.h: unmap, protect, relax, age;
 * engine_audit.h: lookup, audit, freeing of detached tables.)
 *
 * Everything takes the format as a compile-time constant and is inlined into one instance a format;
 * see S2_PT_OPS at the end of engine_audit.h. Walks are iterative; a step finds the entry where its
 * work starts and then loops over the neighbours in the same table. Steps run inside a walker
 * section: tables met on the way cannot be freed meanwhile, though they may be detached (what is
 * then done to them is lost, which every user of an unlinked range must expect anyway).
 *
 * A new table is filled with plain stores before it is linked by one compare-and-swap.
 */
#ifndef S2_ENGINE_H
#define S2_ENGINE_H

#include "internal.h"
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

/* First address behind the table that holds the entry for gpa at this level. */
static S2_ALWAYS_INLINE uint64_t table_end(const struct s2_fmt *f, const struct s2_pt *pt,
					   uint64_t gpa, unsigned int level)
{
	uint64_t span = s2_fmt_size(f, level + 1);

	return level == pt->root_level ? 1ull << pt->ipa_bits : align_down(gpa, span) + span;
}

/*
 * Walks down to the entry for gpa: to level `stop`, or to the first that is no table, or (if `end`
 * is not 0) to the first that lies within [gpa, end) as a whole.
 */
static S2_ALWAYS_INLINE void walk(const struct s2_fmt *f, struct s2_pt *pt, uint64_t gpa,
				  uint64_t end, unsigned int stop, struct s2_pos *pos)
{
	unsigned int level = pt->root_level;
	uint64_t *entry = &pt->root[gpa >> s2_fmt_shift(f, level)];
	uint64_t value, size;

	for (;;) {
		value = pte_load(entry);
		pos->path[level] = entry;
		size = s2_fmt_size(f, level);
		if (level == stop || !f->table(value, level))
			break;
		if (end && !(gpa & (size - 1)) && gpa + size <= end)
			break;
		level--;
		entry = s2_table_at(pt, f->table_hpa(value)) +
			(gpa >> s2_fmt_shift(f, level) & (table_entries(f) - 1));
	}
	pos->value = value;
	pos->at.pt = pt;
	pos->at.entry = entry;
	pos->at.level = level;
	pos->at.gpa = align_down(gpa, size);
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
 * Replaces the block at->entry == `old` by a table of equal leaves one level below: output, rights,
 * type, age and software bits are those of the block, bit for bit. Any outcome but S2_STEP_TABLES
 * means: look again.
 */
static S2_ALWAYS_INLINE int split_leaf(const struct s2_fmt *f, const struct s2_at *at, uint64_t old)
{
	uint64_t *table = s2_walker_take(at->walker), n = table_entries(f);
	struct s2_pt *pt = at->pt;

	if (!table)
		return S2_STEP_TABLES;
	for (uint64_t i = 0; i < n; i++)
		pte_fill(&table[i], f->leaf_child(old, at->level, i));
	if (!pte_change_as(f, at, old, f->make_table(s2_table_hpa(pt, table)), PTE_BREAK)) {
		give_back(at->walker, table, 0, n);
		return S2_STEP_ON;
	}
	s2_count(&at->walker->stats.leaves_removed[at->level], 1);
	s2_count(&at->walker->stats.leaves_made[at->level - 1], n);
	s2_count(&at->walker->stats.tables_linked, 1);
	return S2_STEP_ON;
}

/* The largest leaf that can be made at the start of the job, `cap` at most. */
static S2_ALWAYS_INLINE unsigned int map_level(const struct s2_fmt *f, const struct s2_job *job,
					       unsigned int cap)
{
	unsigned int level = cap;

	for (; level > 0; level--) {
		uint64_t size = s2_fmt_size(f, level);

		if (f->leaf_levels >> level & 1 && !((job->gpa | job->hpa) & (size - 1)) &&
		    job->end - job->gpa >= size)
			break;
	}
	return level;
}

/*
 * Cache maintenance that is owed before a guest may use this memory (requirement F4): without FWB
 * the guest may access it uncached and must not miss what is still in the cache; instructions that
 * were fetched from it in an earlier life must go. Never for devices.
 */
static S2_ALWAYS_INLINE void map_sync(const struct s2_at *at, uint64_t hpa, uint64_t size,
				      struct s2_attr attr, unsigned int new_prot)
{
	const struct s2_port *port = at->pt->port;
	uint32_t features = at->pt->cpu.features;
	unsigned int kind = 0;

	if (s2_memtype_is_device((enum s2_memtype)attr.type) || !port->cache_sync)
		return;
	if (new_prot & S2_R && (attr.type != S2_MEM_NORMAL || !(features & S2_CPU_FWB)))
		kind |= S2_SYNC_DATA;
	if (new_prot & S2_X && !(features & S2_CPU_DIC))
		kind |= S2_SYNC_INSN;
	if (!kind)
		return;
	port->cache_sync(port->ctx, s2_hpa(hpa), size, kind);
	s2_count(&at->walker->stats.cache_sync_bytes, size);
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
		first = job->gpa >> s2_fmt_shift(f, want) & (table_entries(f) - 1);
		n = min_u64(table_entries(f) - first, (job->end - job->gpa) / size);
		map_sync(at, job->hpa, n * size, job->attr, job->attr.prot);
	}
	for (uint64_t i = 0; i < n; i++)
		pte_fill(&table[first + i],
			 f->make_leaf(job->hpa + i * size, want, job->attr, pt->cpu.features));
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
	return split_leaf(f, at, pos->value);
}

/* Makes one leaf at the wanted level, where `value` is now. S2_STEP_ON without progress: again. */
static S2_ALWAYS_INLINE int map_leaf(const struct s2_fmt *f, const struct s2_at *at, uint64_t value,
				     struct s2_job *job)
{
	uint64_t size = s2_fmt_size(f, at->level), leaf;
	uint32_t features = at->pt->cpu.features;
	struct s2_stats *stats = &at->walker->stats;
	int table = f->table(value, at->level), valid = f->valid(value);
	unsigned int added = job->attr.prot, prot;

	if (value == f->busy)
		return S2_STEP_BUSY;
	if (table && s2_gather_full(at->gather))
		return S2_STEP_FLUSH;
	leaf = f->make_leaf(job->hpa, at->level, job->attr, features);
	if (valid && !table && leaf_same(f, at, value, 0, job)) {
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
	} else if (valid && !(job->how & S2_MAP_REPLACE)) {
		return S2_EEXIST;
	}
	map_sync(at, job->hpa, size, job->attr, added);
	if (!pte_change(f, at, value, leaf))
		return S2_STEP_ON;
	if (table) {
		s2_gather_table(at->gather, s2_table_at(at->pt, f->table_hpa(value)),
				at->level - 1);
		s2_count(&stats->tables_unlinked, 1);
	}
	if (valid && !table)
		s2_count(&stats->leaves_removed[at->level], 1);
	s2_count(&stats->leaves_made[at->level], 1);
	map_advance(job, size, &job->changed);
	return S2_STEP_ON;
}

static S2_ALWAYS_INLINE int engine_map(const struct s2_fmt *f, struct s2_pt *pt, struct s2_job *job,
				       struct s2_walker *walker, struct s2_gather *gather)
{
	unsigned int cap = job->how & S2_MAP_PAGES ? 0 : pt->block_level, want;
	uint64_t start = job->gpa, stop;
	struct s2_pos pos = { .at = { .walker = walker, .gather = gather } };
	int ret = S2_STEP_ON;

	/* First make a way to the entry: link tables, split blocks. */
	for (;;) {
		want = map_level(f, job, cap);
		walk(f, pt, job->gpa, 0, want, &pos);
		if (pos.at.level == want && want > 0 && f->table(pos.value, want) &&
		    !(job->how & S2_MAP_REPLACE)) {
			cap = want - 1; /* an existing table is respected, and used */
			continue;
		}
		if (pos.at.level == want)
			break;
		if (pos.value == f->busy)
			return S2_STEP_BUSY;
		if (f->valid(pos.value))
			ret = map_under_block(f, &pos, job);
		else
			ret = map_link(f, &pos.at, job, want);
		if (ret != S2_STEP_ON || job->gpa != start)
			return ret;
	}
	/* Then loop over the entries of this table as long as they are of one size. */
	stop = min_u64(table_end(f, pt, job->gpa, want), job->end);
	while (ret == S2_STEP_ON && stop - job->gpa >= s2_fmt_size(f, want)) {
		pos.value = pte_load(pos.at.entry);
		if (f->table(pos.value, want) && !(job->how & S2_MAP_REPLACE))
			break;
		pos.at.gpa = start = job->gpa;
		ret = map_leaf(f, &pos.at, pos.value, job);
		if (job->gpa != start)
			pos.at.entry++;
	}
	return ret;
}

static S2_ALWAYS_INLINE int engine_split(const struct s2_fmt *f, struct s2_pt *pt,
					 struct s2_job *job, struct s2_walker *walker,
					 struct s2_gather *gather)
{
	struct s2_pos pos = { .at = { .walker = walker, .gather = gather } };
	uint64_t size;

	walk(f, pt, job->gpa, 0, job->how, &pos);
	size = s2_fmt_size(f, pos.at.level);
	if (pos.value == f->busy)
		return S2_STEP_BUSY;
	if (f->valid(pos.value) && pos.at.level > job->how)
		return split_leaf(f, &pos.at, pos.value);
	job->gpa = min_u64(pos.at.gpa + size, job->end);
	return S2_STEP_ON;
}

#endif
