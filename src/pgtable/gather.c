/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLB gather: collects invalidations, issues the fewest operations that cover them, and frees
 * detached tables afterwards. A gather belongs to one thread.
 *
 * Ranges that touch and agree in level and flags are merged; when there are too many the gather
 * falls back to invalidating the address space. A range of leaves of one level becomes one range
 * operation where the CPUs have them, else a handful of single entries, else everything. How an
 * operation is encoded, and the limits of one instruction, are the port's matter.
 *
 * Order of a flush (invariant 2): invalidations complete; then every section open at that time has
 * been left; only then are the tables read for the last time and freed. Hardware walks end with the
 * first step, software walks with the second.
 */
#include "gather.h"
#include "internal.h"

void s2_gather_init(struct s2_gather *g, struct s2_pt *pt)
{
	g->pt = pt;
	g->nranges = 0;
	g->ntables = 0;
	g->all = 0;
	g->publish = 0;
}

void s2_gather_add(struct s2_gather *g, uint64_t gpa, uint64_t size, unsigned int level,
		   unsigned int flags)
{
	struct s2_tlb_range *r;

	if (g->all)
		return;
	for (unsigned int i = g->nranges; i-- > 0;) {
		r = &g->ranges[i];
		if (r->level != level || r->flags != flags)
			continue;
		if (r->gpa + r->size == gpa) {
			r->size += size;
			return;
		}
		if (gpa >= r->gpa && gpa + size <= r->gpa + r->size)
			return;
	}
	if (g->nranges == S2_GATHER_RANGES) {
		g->all = 1;
		return;
	}
	g->ranges[g->nranges++] = (struct s2_tlb_range){
		.gpa = gpa, .size = size, .level = (uint8_t)level, .flags = (uint8_t)flags
	};
}

int s2_gather_owes(const struct s2_gather *g, uint64_t gpa, uint64_t end)
{
	if (g->all)
		return 1;
	for (unsigned int i = 0; i < g->nranges; i++) {
		const struct s2_tlb_range *r = &g->ranges[i];

		if (r->gpa < end && gpa < r->gpa + r->size)
			return 1;
	}
	return 0;
}

/* Turns a range into operations at ops[n]; returns the new n, or more than S2_GATHER_OPS. */
static size_t range_ops(const struct s2_pt *pt, const struct s2_tlb_range *r, struct s2_tlb_op *ops,
			size_t n)
{
	struct s2_tlb_op op = { .kind = S2_TLB_RANGE,
				.flags = r->flags,
				.level = pt->cpu.features & S2_CPU_TLB_LEVEL ? r->level
									     : S2_LEVEL_ANY,
				.page_shift = pt->page_shift,
				.gpa = s2_gpa(r->gpa),
				.size = r->size };
	uint64_t step = 1ull << pt->page_shift, count;

	if (r->level != S2_LEVEL_ANY)
		step = s2_pt_level_size(pt, r->level);
	count = r->size / step;
	if (count > 1 && pt->cpu.features & S2_CPU_TLB_RANGE) {
		ops[n] = op;
		return n + 1;
	}
	if (count > S2_GATHER_OPS - n)
		return S2_GATHER_OPS + 1;
	op.kind = S2_TLB_ENTRY;
	op.size = step;
	for (; count; count--) {
		ops[n++] = op;
		op.gpa.gpa += step;
	}
	return n;
}

static void issue(struct s2_pt *pt, struct s2_walker *walker, const struct s2_tlb_op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		s2_count(&walker->stats.tlb[ops[i].kind], 1);
		if (ops[i].flags & S2_TLB_LOCAL)
			s2_count(&walker->stats.tlb_local, 1);
	}
	pt->port->tlb(pt->port->ctx, ops, n);
}

static void everything(struct s2_pt *pt, struct s2_tlb_op *op)
{
	*op = (struct s2_tlb_op){ .kind = S2_TLB_ALL,
				  .level = S2_LEVEL_ANY,
				  .page_shift = pt->page_shift };
}

void s2_gather_now(struct s2_gather *g, struct s2_walker *walker, uint64_t gpa, uint64_t size,
		   unsigned int level, unsigned int flags)
{
	struct s2_tlb_range r = {
		.gpa = gpa, .size = size, .level = (uint8_t)level, .flags = (uint8_t)flags
	};
	struct s2_tlb_op ops[S2_GATHER_OPS];
	size_t n = range_ops(g->pt, &r, ops, 0);

	if (n > S2_GATHER_OPS) {
		everything(g->pt, &ops[0]);
		n = 1;
	}
	issue(g->pt, walker, ops, n);
}

void s2_gather_flush(struct s2_gather *g, struct s2_walker *walker)
{
	struct s2_pt *pt = g->pt;
	struct s2_tlb_op ops[S2_GATHER_OPS + 1]; /* one for PUBLISH */
	size_t first = g->publish, n = 0;

	if (g->publish)
		ops[0] = (struct s2_tlb_op){ .kind = S2_TLB_PUBLISH, .page_shift = pt->page_shift };
	for (unsigned int i = 0; i < g->nranges && n <= S2_GATHER_OPS; i++)
		n = range_ops(pt, &g->ranges[i], ops + first, n);
	if (g->all || n > S2_GATHER_OPS) {
		everything(pt, &ops[first]);
		n = 1;
	}
	if (first + n)
		issue(pt, walker, ops, first + n);
	if (g->ntables)
		s2_synchronize(pt, walker);
	for (unsigned int i = 0; i < g->ntables; i++)
		pt->ops->free_tables(pt, g->tables[i], g->table_levels[i], 0, walker);
	s2_gather_init(g, pt);
}
