/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The public face of a tree: checks arguments, then runs the format's steps section by section.
 * Whatever may wait (filling the walker's stock, flushing the gather, letting another finish)
 * happens here, between sections.
 */
#include "internal.h"

static const struct s2_pt_ops *const formats[S2_FORMATS] = {
	[S2_FORMAT_ARM64_4K] = &s2_pt_arm64_4k,
};

const char *s2_strerror(int error)
{
	static const char *const names[] = {
		"S2_OK",     "S2_EALIGN", "S2_ERANGE", "S2_EINVAL",   "S2_ENOMEM",
		"S2_EQUOTA", "S2_EEXIST", "S2_ENOENT", "S2_EOVERLAP", "S2_ESLOTS",
		"S2_EPERM",  "S2_EAGAIN", "S2_EPORT",  "S2_EVERSION", "S2_ECORRUPT",
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

int s2_pt_check_range(const struct s2_pt *pt, uint64_t gpa, uint64_t size)
{
	if ((gpa | size) & ((1ull << pt->page_shift) - 1))
		return S2_EALIGN;
	if (!size || gpa + size < gpa || gpa + size > 1ull << pt->ipa_bits)
		return S2_ERANGE;
	return 0;
}

int s2_pt_run(struct s2_pt *pt, s2_step_fn step, struct s2_job *job, struct s2_walker *walker,
	      struct s2_gather *gather)
{
	int ret;

	while (job->gpa < job->end) {
		s2_enter(walker);
		ret = step(pt, job, walker, gather);
		s2_leave(walker);
		if (ret == S2_STEP_TABLES)
			ret = s2_walker_fill(walker, pt->root_level);
		if (ret == S2_STEP_BUSY) {
			s2_count(&walker->stats.busy, 1);
			pt->port->relax(pt->port->ctx);
		}
		if (ret == S2_STEP_FLUSH)
			s2_gather_flush(gather, walker);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Runs a checked job and reports on it. */
static int run(struct s2_pt *pt, s2_step_fn step, struct s2_job *job, struct s2_walker *walker,
	       struct s2_gather *gather, struct s2_progress *progress)
{
	uint64_t start = job->gpa;
	int ret = s2_pt_run(pt, step, job, walker, gather);

	*progress = (struct s2_progress){ .done = job->gpa - start,
					  .changed = job->changed,
					  .equal = job->equal };
	return ret;
}

int s2_pt_map(struct s2_pt *pt, s2_gpa_t gpa, s2_hpa_t hpa, uint64_t size, struct s2_attr attr,
	      unsigned int flags, struct s2_walker *walker, struct s2_gather *gather,
	      struct s2_progress *progress)
{
	struct s2_job job = {
		.gpa = gpa.gpa, .end = gpa.gpa + size, .hpa = hpa.hpa, .attr = attr, .how = flags
	};
	int ret = s2_pt_check_range(pt, gpa.gpa, size);

	*progress = (struct s2_progress){ 0 };
	if (ret)
		return ret;
	if (hpa.hpa & ((1ull << pt->page_shift) - 1))
		return S2_EALIGN;
	if (hpa.hpa + size < hpa.hpa || hpa.hpa + size > 1ull << pt->cpu.pa_bits)
		return S2_ERANGE;
	if (!pt->ops->attr_ok(attr, pt->cpu.features) || attr.pad ||
	    flags & ~(unsigned int)(S2_MAP_REPLACE | S2_MAP_WIDEN | S2_MAP_PAGES))
		return S2_EINVAL;
	/* Never make what this very gather has broken and not invalidated yet. */
	if (s2_gather_owes(gather, job.gpa, job.end))
		s2_gather_flush(gather, walker);
	return run(pt, pt->ops->map, &job, walker, gather, progress);
}

/* An operation on what is mapped in a range: checks, runs, reports. */
static int range(struct s2_pt *pt, s2_step_fn step, s2_gpa_t gpa, uint64_t size, unsigned int how,
		 int valid, struct s2_walker *walker, struct s2_gather *gather,
		 struct s2_progress *progress)
{
	struct s2_job job = { .gpa = gpa.gpa, .end = gpa.gpa + size, .how = how };
	int ret = s2_pt_check_range(pt, gpa.gpa, size);

	*progress = (struct s2_progress){ 0 };
	if (ret)
		return ret;
	return valid ? run(pt, step, &job, walker, gather, progress) : S2_EINVAL;
}

int s2_pt_unmap(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, struct s2_walker *walker,
		struct s2_gather *gather, struct s2_progress *progress)
{
	return range(pt, pt->ops->unmap, gpa, size, 0, 1, walker, gather, progress);
}

/* Can rights be taken or given in this way? */
static int check_prot(const struct s2_pt *pt, unsigned int prot)
{
	struct s2_attr attr = { .prot = (uint8_t)(S2_R | prot), .type = S2_MEM_NORMAL };

	return prot && !(prot & ~(unsigned int)S2_RWX) && pt->ops->attr_ok(attr, pt->cpu.features);
}

int s2_pt_protect(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, unsigned int prot,
		  struct s2_walker *walker, struct s2_gather *gather, struct s2_progress *progress)
{
	return range(pt, pt->ops->protect, gpa, size, prot, !(prot & S2_R) && check_prot(pt, prot),
		     walker, gather, progress);
}

int s2_pt_relax(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, unsigned int prot,
		struct s2_walker *walker, struct s2_gather *gather, struct s2_progress *progress)
{
	return range(pt, pt->ops->relax, gpa, size, prot, check_prot(pt, prot), walker, gather,
		     progress);
}

int s2_pt_age(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, enum s2_age age,
	      struct s2_walker *walker, struct s2_gather *gather, struct s2_progress *progress)
{
	int valid = age == S2_AGE_TEST || age == S2_AGE_CLEAR || age == S2_AGE_SET;

	return range(pt, pt->ops->age, gpa, size, age, valid, walker, gather, progress);
}

int s2_pt_split(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, unsigned int level,
		struct s2_walker *walker, struct s2_gather *gather, struct s2_progress *progress)
{
	return range(pt, pt->ops->split, gpa, size, level, level <= pt->root_level, walker, gather,
		     progress);
}

int s2_pt_lookup(struct s2_pt *pt, s2_gpa_t gpa, struct s2_walker *walker, struct s2_leaf *leaf)
{
	int ret;

	if (gpa.gpa >> pt->ipa_bits)
		return S2_ERANGE;
	s2_enter(walker);
	ret = pt->ops->lookup(pt, gpa.gpa, leaf);
	s2_leave(walker);
	return ret;
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
	s2_enter(walker);
	ret = pt->ops->audit(pt, census, &gpa);
	s2_leave(walker);
	s2_lock_shared(&pt->walkers_lock, pt->port);
	for (const struct s2_walker *w = pt->walkers; w; w = w->next)
		census->stocks += w->ntables;
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
