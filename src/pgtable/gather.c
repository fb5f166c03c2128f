/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLB gather: collects invalidations, issues the fewest operations that cover them, and frees
 * detached tables afterwards. A gather belongs to one thread.
 *
 * Ranges that touch and agree in level and flags are merged; when there are too many the gather
 * falls back to invalidating the address space. They stand in the gather as the port will get them.
 * A range of leaves of one level becomes one range operation where the CPUs have them, else a
 * handful of single entries, else everything. How an operation is encoded, and the limits of one
 * instruction, are the port's matter.
 *
 * Order of a flush (invariant 2): invalidations complete; then every section open at that time has
 * been left; only then are the tables read for the last time and freed. Hardware walks end with the
 * first step, software walks with the second. Where the second is dear (the port has a barrier()),
 * a few tables may wait with the walker until it pays (limbo).
 */
#include "gather.h"
#include "internal.h"

void s2_gather_init(struct s2_gather *g, struct s2_pt *pt)
{
	g->pt = pt;
	g->chain = NULL;
	g->chained = 0;
	g->publish = 0;
	g->nranges = 0;
	g->ntables = 0;
	g->all = 0;
}

void s2_gather_add_more(struct s2_gather *g, uint64_t gpa, uint64_t size, unsigned int level,
			unsigned int flags)
{
	struct s2_tlb_op *op;

	if (g->all)
		return;
	for (unsigned int i = g->nranges; i > 0; i--) {
		op = &g->ops[i];
		if (op->level != level || op->flags != flags)
			continue;
		if (op->gpa.gpa + op->size == gpa) {
			op->size += size;
			op->kind = S2_TLB_RANGE;
			return;
		}
		if (gpa >= op->gpa.gpa && gpa + size <= op->gpa.gpa + op->size)
			return;
	}
	if (g->nranges == S2_GATHER_RANGES)
		g->all = 1;
	else
		s2_gather_put(g, g->nranges, S2_TLB_RANGE, gpa, size, level, flags);
}

/* The smallest leaf that a range may hold, as a shift. */
static unsigned int leaf_shift(const struct s2_pt *pt, unsigned int level)
{
	return s2_pt_shift(pt, level == S2_LEVEL_ANY ? 0 : level);
}

static inline void issue(const struct s2_pt *pt, struct s2_walker *walker,
			 const struct s2_tlb_op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		s2_count(&walker->stats.tlb[ops[i].kind], 1);
		if (ops[i].flags & S2_TLB_LOCAL)
			s2_count(&walker->stats.tlb_local, 1);
	}
	pt->port->tlb(pt->port->ctx, ops, n);
}

/* A range as it stands, or as the one entry that it is. Returns 0 if it takes several entries. */
static inline int one_op(const struct s2_pt *pt, struct s2_tlb_op *op)
{
	if (op->kind == S2_TLB_RANGE && op->size >> leaf_shift(pt, op->level) == 1)
		op->kind = S2_TLB_ENTRY;
	if (op->kind == S2_TLB_RANGE && !(pt->cpu.features & S2_CPU_TLB_RANGE))
		return 0;
	if (!(pt->cpu.features & S2_CPU_TLB_LEVEL))
		op->level = S2_LEVEL_ANY;
	return 1;
}

/*
 * Single entries in place of ranges: none is larger than what fits into a handful of operations, or
 * all becomes one. Returns how many there are.
 */
static size_t split_ops(const struct s2_pt *pt, const struct s2_tlb_op *ranges, size_t nranges,
			struct s2_tlb_op *ops)
{
	struct s2_tlb_op one;
	uint64_t count;
	size_t n = 0;

	for (size_t i = 0; i < nranges; i++) {
		one = ranges[i];
		if (one.kind == S2_TLB_RANGE) {
			unsigned int shift = leaf_shift(pt, one.level);

			count = one.size >> shift;
			one.kind = S2_TLB_ENTRY;
			one.size = 1ull << shift;
			if (!(pt->cpu.features & S2_CPU_TLB_LEVEL))
				one.level = S2_LEVEL_ANY;
		} else {
			count = 1;
		}
		if (count > S2_GATHER_OPS - n) {
			ops[0] = (struct s2_tlb_op){ .kind = S2_TLB_ALL,
						     .level = S2_LEVEL_ANY,
						     .page_shift = pt->page_shift };
			return 1;
		}
		for (; count; count--) {
			ops[n++] = one;
			one.gpa.gpa += one.size;
		}
	}
	return n;
}

/* Out of line: the operations of single entries take a lot of stack. */
static S2_NOINLINE void issue_split(struct s2_pt *pt, struct s2_walker *walker, uint32_t publish,
				    const struct s2_tlb_op *ranges, size_t nranges)
{
	struct s2_tlb_op ops[1 + S2_GATHER_OPS];
	size_t n = split_ops(pt, ranges, nranges, ops + 1);

	ops[0] = s2_tlb_publish;
	issue(pt, walker, publish ? ops : ops + 1, publish ? n + 1 : n);
}

void s2_gather_now(struct s2_gather *g, struct s2_walker *walker, uint64_t gpa, uint64_t size,
		   unsigned int level, unsigned int flags)
{
	struct s2_tlb_op op = { .kind = S2_TLB_RANGE,
				.flags = (uint8_t)flags,
				.level = (uint8_t)level,
				.page_shift = g->pt->page_shift,
				.gpa = s2_gpa(gpa),
				.size = size };

	if (one_op(g->pt, &op))
		issue(g->pt, walker, &op, 1);
	else
		issue_split(g->pt, walker, 0, &op, 1);
}

void s2_tlb_all(const struct s2_pt *pt, struct s2_walker *walker, unsigned int flags)
{
	const struct s2_tlb_op op = { .kind = S2_TLB_ALL,
				      .flags = (uint8_t)flags,
				      .level = S2_LEVEL_ANY,
				      .page_shift = pt->page_shift };

	issue(pt, walker, &op, 1);
}

/* Invalidations, and what was made valid becomes visible. */
static S2_NOINLINE void pay(struct s2_gather *g, struct s2_walker *walker)
{
	struct s2_pt *pt = g->pt;
	size_t end = 1u + g->nranges;

	if (g->publish)
		g->ops[0] = s2_tlb_publish;
	if (g->all) {
		g->ops[1] = (struct s2_tlb_op){ .kind = S2_TLB_ALL,
						.level = S2_LEVEL_ANY,
						.page_shift = pt->page_shift };
		end = 2;
	}
	for (size_t i = 1; i < end && !g->all; i++) {
		if (!one_op(pt, &g->ops[i])) {
			issue_split(pt, walker, g->publish, &g->ops[1], g->nranges);
			return;
		}
	}
	issue(pt, walker, &g->ops[g->publish ? 0 : 1], end - (g->publish ? 0 : 1));
}

/* Frees what was detached, its invalidations being complete; or leaves a few with the walker. */
static void retire(struct s2_gather *g, struct s2_walker *walker)
{
	struct s2_pt *pt = g->pt;

	if (g->chain && walker->limbo)
		pt->ops->join(pt, g->chain, walker->limbo);
	if (g->chain)
		walker->limbo = g->chain;
	walker->limbos += g->chained;
	if (!pt->barrier || g->ntables || walker->limbos >= S2_LIMBO_TABLES) {
		s2_synchronize(pt, walker);
		s2_limbo_free(walker);
		for (unsigned int i = 0; i < g->ntables; i++)
			pt->ops->free_tables(pt, g->tables[i], g->table_levels[i], 0, walker);
	}
	g->chain = NULL;
	g->chained = 0;
	g->ntables = 0;
}

static S2_NOINLINE void flush(struct s2_gather *g, struct s2_walker *walker)
{
	struct s2_pt *pt = g->pt;

	if (g->nranges == 1 && !g->publish && !g->all && one_op(pt, &g->ops[1]))
		issue(pt, walker, &g->ops[1], 1);
	else if (g->nranges | g->all | g->publish)
		pay(g, walker);
	g->publish = 0;
	g->nranges = 0;
	g->all = 0;
	if (g->chained | g->ntables)
		retire(g, walker);
}

void s2_gather_flush(struct s2_gather *g, struct s2_walker *walker)
{
	if (g->nranges | g->all | g->chained | g->ntables) {
		flush(g, walker);
	} else if (g->publish) { /* after nearly every fault */
		g->publish = 0;
		s2_tlb_publish_now(g->pt, walker);
	}
}
