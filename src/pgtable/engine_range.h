/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table engine: range operations on what is mapped (unmap, protect, relax, age).
 *
 * Unmap detaches whole tables where the range covers them, and a table that it leaves empty. The
 * latter races with faults that want to use the table, so it is frozen first: every entry is taken
 * from 0 to busy; if that succeeds for all of them the table is empty and stays so, and can be
 * unlinked; if not, the entries are put back. Nobody waits for anybody.
 */
#ifndef S2_ENGINE_RANGE_H
#define S2_ENGINE_RANGE_H

#include "engine.h"

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
	uint64_t *table, *parent, old, busy = f->busy;

	for (; level < at->pt->root_level; level++) {
		table = entry_table(f, pos->path[level]);
		parent = pos->path[level + 1];
		if (!table_empty(f, table, pos->path[level]))
			return;
		if (!freeze(f, table))
			return;
		old = f->make_table(s2_table_hpa(at->pt, table));
		if (!pte_cas(parent, &old, busy)) {
			thaw(f, table, table_entries(f)); /* somebody detached more than this */
			return;
		}
		/* No leaf is left: one address is enough to drop the table from walk caches. */
		s2_gather_now(at->gather, at->walker, align_down(gpa, s2_fmt_size(f, level + 1)),
			      s2_fmt_size(f, 0), S2_LEVEL_ANY, 0);
		if (!pte_cas(parent, &busy, 0))
			__builtin_trap(); /* invariant 3 */
		s2_gather_table(at->gather, table, level);
		s2_count(&at->walker->stats.tables_unlinked, 1);
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
	if (table) {
		s2_gather_table(at->gather, s2_table_at(at->pt, f->table_hpa(value)),
				at->level - 1);
		s2_count(&stats->tables_unlinked, 1);
	} else {
		s2_count(&stats->leaves_removed[at->level], 1);
	}
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
		return split_leaf(f, at, pos->value);
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
	uint64_t size, stop, before = job->changed, last = job->gpa;
	int ret = S2_STEP_ON;

	if (s2_gather_full(gather))
		return S2_STEP_FLUSH;
	walk(f, pt, job->gpa, job->end, 0, &pos);
	size = s2_fmt_size(f, pos.at.level);
	if (pos.value == f->busy)
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
	stop = min_u64(table_end(f, pt, job->gpa, pos.at.level), job->end);
	while (ret == S2_STEP_ON && stop - job->gpa >= size) {
		pos.value = pte_load(pos.at.entry);
		if (pos.value == f->busy) {
			ret = S2_STEP_BUSY;
			break;
		}
		pos.at.gpa = job->gpa;
		if (f->valid(pos.value)) {
			uint64_t changed = job->changed;

			ret = unmap_entry(f, &pos.at, pos.value, job);
			if (job->changed == changed)
				continue;
			pos.path[pos.at.level] = pos.at.entry;
			last = job->gpa;
		}
		job->gpa += size;
		pos.at.entry++;
	}
	if (job->changed != before)
		reclaim(f, &pos, last);
	return ret;
}

/* A way over the leaves and holes of one table, upwards from job->gpa. */
struct s2_leaves {
	struct s2_pos pos;
	uint64_t size; /* of one */
	uint64_t stop;
};

static S2_ALWAYS_INLINE void leaves_start(const struct s2_fmt *f, struct s2_pt *pt,
					  const struct s2_job *job, struct s2_leaves *leaves)
{
	walk(f, pt, job->gpa, 0, 0, &leaves->pos);
	leaves->size = s2_fmt_size(f, leaves->pos.at.level);
	leaves->stop = min_u64(table_end(f, pt, job->gpa, leaves->pos.at.level), job->end);
}

/* Loads the entry for job->gpa. Returns 0 where the step ends: at a table, at a busy one. */
static S2_ALWAYS_INLINE int leaves_load(const struct s2_fmt *f, const struct s2_job *job,
					struct s2_leaves *leaves, int *ret)
{
	struct s2_pos *pos = &leaves->pos;

	*ret = S2_STEP_ON;
	if (job->gpa >= leaves->stop)
		return 0;
	pos->value = pte_load(pos->at.entry);
	pos->at.gpa = align_down(job->gpa, leaves->size);
	if (pos->value == f->busy)
		*ret = S2_STEP_BUSY;
	return pos->value != f->busy && !f->table(pos->value, pos->at.level);
}

/* Goes on to the next entry; what of this one was in the range is added to *counter. */
static S2_ALWAYS_INLINE void leaves_advance(struct s2_job *job, struct s2_leaves *leaves,
					    uint64_t *counter)
{
	uint64_t next = min_u64(leaves->pos.at.gpa + leaves->size, job->end);

	if (counter)
		*counter += next - job->gpa;
	job->gpa = next;
	leaves->pos.at.entry++;
}

static S2_ALWAYS_INLINE int engine_protect(const struct s2_fmt *f, struct s2_pt *pt,
					   struct s2_job *job, struct s2_walker *walker,
					   struct s2_gather *gather)
{
	struct s2_leaves leaves = { .pos.at = { .walker = walker, .gather = gather } };
	const struct s2_pos *pos = &leaves.pos;
	uint32_t features = pt->cpu.features;
	unsigned int prot;
	uint64_t new_entry;
	int ret;

	leaves_start(f, pt, job, &leaves);
	while (leaves_load(f, job, &leaves, &ret)) {
		prot = f->valid(pos->value) ? f->leaf_attr(pos->value, features).prot : 0;
		if (!(prot & job->how)) {
			leaves_advance(job, &leaves, NULL);
			continue;
		}
		if (pos->at.gpa != job->gpa || pos->at.gpa + leaves.size > job->end)
			return split_leaf(f, &pos->at, pos->value);
		new_entry = f->leaf_prot(pos->value, prot & ~job->how, features);
		if (pte_change_as(f, &pos->at, pos->value, new_entry, PTE_TIGHTEN))
			leaves_advance(job, &leaves, &job->changed);
	}
	return ret;
}

static S2_ALWAYS_INLINE int engine_relax(const struct s2_fmt *f, struct s2_pt *pt,
					 struct s2_job *job, struct s2_walker *walker,
					 struct s2_gather *gather)
{
	struct s2_leaves leaves = { .pos.at = { .walker = walker, .gather = gather } };
	const struct s2_pos *pos = &leaves.pos;
	uint32_t features = pt->cpu.features;
	uint64_t new_entry;
	struct s2_attr attr;
	unsigned int had;
	int ret;

	leaves_start(f, pt, job, &leaves);
	while (leaves_load(f, job, &leaves, &ret)) {
		if (!f->valid(pos->value)) {
			leaves_advance(job, &leaves, NULL);
			continue;
		}
		attr = f->leaf_attr(pos->value, features);
		had = attr.prot;
		attr.prot = (uint8_t)(had | job->how);
		if (!f->attr_ok(attr, features))
			return S2_EINVAL;
		map_sync(&pos->at, f->leaf_hpa(pos->value, pos->at.level), leaves.size, attr,
			 attr.prot & ~had);
		new_entry = f->leaf_prot(pos->value, attr.prot, features);
		/* Also when nothing changes: this CPU may hold what made it fault. */
		if (pte_change_as(f, &pos->at, pos->value, new_entry, PTE_RELAX))
			leaves_advance(job, &leaves,
				       had == attr.prot ? &job->equal : &job->changed);
	}
	return ret;
}

static S2_ALWAYS_INLINE int engine_age(const struct s2_fmt *f, struct s2_pt *pt, struct s2_job *job,
				       struct s2_walker *walker, struct s2_gather *gather)
{
	struct s2_leaves leaves = { .pos.at = { .walker = walker, .gather = gather } };
	const struct s2_pos *pos = &leaves.pos;
	int ret, done, young, set = job->how == S2_AGE_SET;

	leaves_start(f, pt, job, &leaves);
	while (leaves_load(f, job, &leaves, &ret)) {
		if (!f->valid(pos->value)) {
			leaves_advance(job, &leaves, NULL);
			continue;
		}
		young = f->young(pos->value) != 0;
		if (young == set) {
			leaves_advance(job, &leaves, &job->equal);
			continue;
		}
		if (set) /* an old entry is in no TLB (DDI 0487, the Access flag): nothing to
			    invalidate */
			done = pte_change_as(f, &pos->at, pos->value, f->make_young(pos->value),
					     PTE_MAKE);
		else
			done = job->how == S2_AGE_TEST ||
			       pte_change_as(f, &pos->at, pos->value, f->make_old(pos->value),
					     PTE_TIGHTEN);
		if (done)
			leaves_advance(job, &leaves, &job->changed);
	}
	return ret;
}

#endif
