/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The public face of a tree: its beginning and end, the way from each operation to the instance of
 * the engine for its format (engine_ops.h), and what a walker waits for between two sections.
 */
#include "internal.h"

static const struct s2_pt_ops *const formats[S2_FORMATS] = {
	[S2_FORMAT_ARM64_4K] = &s2_pt_arm64_4k,
};

const char *s2_strerror(int error)
{
	static const char *const names[] = {
		"S2_OK",     "S2_EALIGN",   "S2_ERANGE",   "S2_EINVAL",  "S2_ENOMEM",   "S2_EQUOTA",
		"S2_EEXIST", "S2_ENOENT",   "S2_EOVERLAP", "S2_ESLOTS",  "S2_EPERM",    "S2_EAGAIN",
		"S2_EPORT",  "S2_EVERSION", "S2_ECORRUPT", "S2_EPOISON", "S2_EPENDING",
	};

	if (error > 0 || error <= -(int)(sizeof(names) / sizeof(names[0])))
		return "unknown error";
	return names[-error];
}

uint64_t s2_pt_level_size(const struct s2_pt *pt, unsigned int level)
{
	return level < pt->ops->fmt->levels ? s2_fmt_size(pt->ops->fmt, level) : 0;
}

int s2_pt_init(struct s2_pt *pt, const struct s2_pt_config *config, const struct s2_port *port)
{
	*pt = (struct s2_pt){ 0 };
	if (config->format >= S2_FORMATS)
		return S2_EINVAL;
	return s2_pt_init_ops(pt, config, port, formats[config->format]);
}

int s2_pt_init_ops(struct s2_pt *pt, const struct s2_pt_config *config, const struct s2_port *port,
		   const struct s2_pt_ops *ops)
{
	const struct s2_fmt *f = ops->fmt;
	unsigned int level = 0, span;
	int ret;

	*pt = (struct s2_pt){ 0 };
	if (port->version != S2_PORT_VERSION)
		return S2_EVERSION;
	if (config->ipa_bits < f->min_ipa_bits || config->ipa_bits > f->max_ipa_bits ||
	    config->cpu.pa_bits < config->ipa_bits || config->cpu.pa_bits > f->max_ipa_bits ||
	    config->cpu.bbm > 2 || config->block_level >= f->levels)
		return S2_EINVAL;
	/* The fewest levels that reach, with a root of several tables where the format has them. */
	while (s2_fmt_shift(f, level + 1) + f->concat < config->ipa_bits)
		level++;
	span = s2_fmt_shift(f, level + 1);
	pt->ops = ops;
	pt->port = port;
	pt->cpu = config->cpu;
	pt->table_quota = config->table_quota;
	pt->ipa_bits = config->ipa_bits;
	pt->page_shift = f->page_shift;
	pt->root_level = (uint8_t)level;
	pt->root_order = (uint8_t)(config->ipa_bits > span ? config->ipa_bits - span : 0);
	pt->block_level = config->block_level < level ? config->block_level : (uint8_t)level;
	pt->format = config->format;
	pt->barrier = port->barrier != NULL;
	for (unsigned int i = 0; i < S2_MEM_TYPES * 16; i++) {
		struct s2_attr attr = { .prot = i & 15, .type = (uint8_t)(i / 16) };

		if (f->attr_ok(attr, pt->cpu.features))
			pt->prots[attr.type] |= (uint16_t)(1u << attr.prot);
	}
	ret = s2_table_alloc(pt, pt->root_order, &pt->root);
	if (ret)
		pt->ops = NULL;
	return ret;
}

void s2_pt_fini(struct s2_pt *pt)
{
	struct s2_tlb_op op = { .kind = S2_TLB_ALL, .level = S2_LEVEL_ANY };

	if (!pt->ops)
		return;
	op.page_shift = pt->page_shift;
	pt->port->tlb(pt->port->ctx, &op, 1);
	pt->ops->free_tables(pt, pt->root, pt->root_level, pt->root_order, NULL);
	pt->ops = NULL;
}

int s2_pt_wait(struct s2_walker *walker, struct s2_gather *gather, int ret)
{
	struct s2_pt *pt = walker->pt;

	switch (ret) {
	case S2_STEP_TABLES:
		ret = s2_walker_fill(walker, S2_WALKER_TABLES);
		if (ret &&
		    gather->chained | gather->ntables) { /* use what waits there to be freed */
			s2_gather_flush(gather, walker);
			ret = s2_walker_fill(walker, S2_WALKER_TABLES);
		}
		return ret;
	case S2_STEP_BUSY:
		s2_count(&walker->stats.busy, 1);
		pt->port->relax(pt->port->ctx);
		return S2_STEP_ON;
	case S2_STEP_FLUSH:
		s2_gather_flush(gather, walker);
		return S2_STEP_ON;
	default:
		return ret;
	}
}

int s2_pt_map(struct s2_pt *pt, s2_gpa_t gpa, s2_hpa_t hpa, uint64_t size, struct s2_attr attr,
	      unsigned int flags, struct s2_walker *walker, struct s2_gather *gather,
	      struct s2_progress *progress)
{
	return pt->ops->map(pt, gpa, hpa, size, attr, flags, walker, gather, progress);
}

int s2_pt_unmap(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, struct s2_walker *walker,
		struct s2_gather *gather, struct s2_progress *progress)
{
	return pt->ops->unmap(pt, gpa, size, 0, walker, gather, progress);
}

int s2_pt_protect(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, unsigned int prot,
		  struct s2_walker *walker, struct s2_gather *gather, struct s2_progress *progress)
{
	if (S2_UNLIKELY(prot & S2_PROTECT_WHOLE)) /* src/vm's, and no right: as any other such */
		prot = ~0u;
	return pt->ops->protect(pt, gpa, size, prot, walker, gather, progress);
}

int s2_pt_relax(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, unsigned int prot,
		struct s2_walker *walker, struct s2_gather *gather, struct s2_progress *progress)
{
	return pt->ops->relax(pt, gpa, size, prot, walker, gather, progress);
}

int s2_pt_age(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, enum s2_age age,
	      struct s2_walker *walker, struct s2_gather *gather, struct s2_progress *progress)
{
	return pt->ops->age(pt, gpa, size, age, walker, gather, progress);
}

int s2_pt_young(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, enum s2_age age, uint64_t *bitmap,
		struct s2_walker *walker, struct s2_gather *gather, struct s2_progress *progress)
{
	return pt->ops->young(pt, gpa, size, age, bitmap, walker, gather, progress);
}

int s2_pt_split(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, unsigned int level,
		struct s2_walker *walker, struct s2_gather *gather, struct s2_progress *progress)
{
	return pt->ops->split(pt, gpa, size, level, walker, gather, progress);
}

int s2_pt_lookup(struct s2_pt *pt, s2_gpa_t gpa, struct s2_walker *walker, struct s2_leaf *leaf)
{
	return pt->ops->lookup(pt, gpa, walker, leaf);
}

int s2_pt_next(struct s2_pt *pt, s2_gpa_t gpa, struct s2_walker *walker, struct s2_leaf *leaf)
{
	int ret = s2_pt_lookup(pt, gpa, walker, leaf);

	while (ret == S2_ENOENT) {
		gpa.gpa = leaf->gpa.gpa + leaf->size;
		if (gpa.gpa >> pt->ipa_bits)
			break;
		ret = s2_pt_lookup(pt, gpa, walker, leaf);
	}
	return ret;
}

int s2_pt_audit(struct s2_pt *pt, struct s2_walker *walker, struct s2_census *census,
		s2_gpa_t *where)
{
	uint64_t linked = 0, gpa = 0;
	int ret;

	*census = (struct s2_census){ 0 };
	(void)s2_enter_looking(walker);
	ret = pt->ops->audit(pt, census, &gpa);
	s2_leave(walker);
	s2_lock_shared(&pt->walkers_lock, pt->port);
	for (const struct s2_walker *w = pt->walkers; w; w = w->next)
		census->stocks += w->ntables + w->limbos;
	s2_unlock_shared(&pt->walkers_lock);
	for (unsigned int level = 0; level < S2_LEVELS; level++)
		linked += census->tables[level];
	census->held = __atomic_load_n(&pt->tables, __ATOMIC_RELAXED);
	if (where)
		*where = s2_gpa(gpa);
	if (!ret && census->held != linked + census->stocks)
		ret = S2_ECORRUPT;
	return ret;
}
