/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table engine: the operations as they are called. Checks arguments, then runs steps section by
 * section until all is done. Ends with the macro that makes an instance of the whole engine for one
 * format; the public functions (pgtable.c) only choose the instance.
 *
 * What may wait (filling the walker's stock, flushing the gather, letting another finish) happens
 * between sections, out of line in s2_pt_wait(). Operations that change many leaves in place hold
 * the tree for themselves in short chunks, for a store is a tenth of a compare-and-swap.
 */
#ifndef S2_ENGINE_OPS_H
#define S2_ENGINE_OPS_H

#include "engine_audit.h"

/* From this many pages on it pays to keep the others out; for so many at most they are kept out. */
#define S2_EXCLUSIVE_LEAST 256
#define S2_EXCLUSIVE_MOST  8192

typedef int s2_step(const struct s2_fmt *f, struct s2_pt *pt, struct s2_job *job,
		    struct s2_walker *walker, struct s2_gather *gather, int exclusive);

static S2_ALWAYS_INLINE int step_map(const struct s2_fmt *f, struct s2_pt *pt, struct s2_job *job,
				     struct s2_walker *walker, struct s2_gather *gather,
				     int exclusive)
{
	(void)exclusive;
	return engine_map(f, pt, job, walker, gather);
}

static S2_ALWAYS_INLINE int step_unmap(const struct s2_fmt *f, struct s2_pt *pt, struct s2_job *job,
				       struct s2_walker *walker, struct s2_gather *gather,
				       int exclusive)
{
	(void)exclusive;
	return engine_unmap(f, pt, job, walker, gather);
}

static S2_ALWAYS_INLINE int step_split(const struct s2_fmt *f, struct s2_pt *pt, struct s2_job *job,
				       struct s2_walker *walker, struct s2_gather *gather,
				       int exclusive)
{
	(void)exclusive;
	return engine_split(f, pt, job, walker, gather);
}

static S2_ALWAYS_INLINE int step_protect(const struct s2_fmt *f, struct s2_pt *pt,
					 struct s2_job *job, struct s2_walker *walker,
					 struct s2_gather *gather, int exclusive)
{
	return engine_revise(f, pt, job, walker, gather, S2_REVISE_PROTECT, exclusive);
}

static S2_ALWAYS_INLINE int step_relax(const struct s2_fmt *f, struct s2_pt *pt, struct s2_job *job,
				       struct s2_walker *walker, struct s2_gather *gather,
				       int exclusive)
{
	return engine_revise(f, pt, job, walker, gather, S2_REVISE_RELAX, exclusive);
}

static S2_ALWAYS_INLINE int step_age(const struct s2_fmt *f, struct s2_pt *pt, struct s2_job *job,
				     struct s2_walker *walker, struct s2_gather *gather,
				     int exclusive)
{
	return engine_revise(f, pt, job, walker, gather, S2_REVISE_AGE, exclusive);
}

static S2_ALWAYS_INLINE int run_step(const struct s2_fmt *f, struct s2_pt *pt, s2_step *step,
				     struct s2_job *job, struct s2_walker *walker,
				     struct s2_gather *gather)
{
	int ret;

	s2_enter(walker);
	ret = step(f, pt, job, walker, gather, 0);
	s2_leave(walker);
	return ret;
}

/*
 * Steps with the others kept out, until the chunk is done or something has to be waited for; or one
 * ordinary step if they cannot be kept out just now.
 */
static S2_ALWAYS_INLINE int run_exclusive(const struct s2_fmt *f, struct s2_pt *pt, s2_step *step,
					  struct s2_job *job, struct s2_walker *walker,
					  struct s2_gather *gather)
{
	uint64_t most = (uint64_t)S2_EXCLUSIVE_MOST << f->page_shift;
	uint64_t stop = min_u64(job->end, align_down(job->gpa, most) + most);
	int ret = S2_STEP_ON;

	s2_exclusive_yield(walker);
	if (!s2_exclusive_begin(walker))
		return run_step(f, pt, step, job, walker, gather);
	while (ret == S2_STEP_ON && job->gpa < stop)
		ret = step(f, pt, job, walker, gather, 1);
	s2_exclusive_end(walker);
	return ret;
}

static S2_ALWAYS_INLINE int run(const struct s2_fmt *f, struct s2_pt *pt, s2_step *step,
				struct s2_job *job, struct s2_walker *walker,
				struct s2_gather *gather, int exclusive,
				struct s2_progress *progress)
{
	uint64_t start = job->gpa;
	int ret;

	do {
		if (exclusive)
			ret = run_exclusive(f, pt, step, job, walker, gather);
		else
			ret = run_step(f, pt, step, job, walker, gather);
		if (S2_UNLIKELY(ret != S2_STEP_ON))
			ret = s2_pt_wait(walker, gather, ret);
	} while (S2_UNLIKELY(ret == S2_STEP_ON && job->gpa < job->end));
	progress->done = job->gpa - start;
	progress->changed = job->changed;
	progress->equal = job->equal;
	return ret;
}

/* Errors: as s2_pt_map() has them. */
static S2_ALWAYS_INLINE int check_map(const struct s2_fmt *f, const struct s2_pt *pt,
				      const struct s2_job *job)
{
	uint64_t size = job->end - job->gpa;
	int ret = s2_pt_check_range(pt, job->gpa, size);

	if (S2_UNLIKELY(ret))
		return ret;
	if (S2_UNLIKELY(job->hpa & (s2_fmt_size(f, 0) - 1)))
		return S2_EALIGN;
	/* Physical addresses are not fewer than the guest's (s2_pt_init()). */
	if (S2_UNLIKELY(job->hpa > (1ull << pt->cpu.pa_bits) - size))
		return S2_ERANGE;
	if (S2_UNLIKELY(job->how & ~(unsigned int)(S2_MAP_REPLACE | S2_MAP_WIDEN | S2_MAP_PAGES)))
		return S2_EINVAL;
	return f->attr_ok(job->attr, pt->cpu.features) && !job->attr.pad ? 0 : S2_EINVAL;
}

static S2_ALWAYS_INLINE int engine_pt_map(const struct s2_fmt *f, struct s2_pt *pt, s2_gpa_t gpa,
					  s2_hpa_t hpa, uint64_t size, struct s2_attr attr,
					  unsigned int flags, struct s2_walker *walker,
					  struct s2_gather *gather, struct s2_progress *progress)
{
	struct s2_job job = { .gpa = gpa.gpa,
			      .end = gpa.gpa + size,
			      .hpa = hpa.hpa,
			      .attr = attr,
			      .how = flags,
			      .cap = flags & S2_MAP_PAGES ? 0 : pt->block_level };
	int ret = check_map(f, pt, &job);

	if (S2_UNLIKELY(ret)) {
		*progress = (struct s2_progress){ 0 };
		return ret;
	}
	/* Never make what this very gather has broken and not invalidated yet. */
	if (S2_UNLIKELY(s2_gather_owes(gather, job.gpa, job.end)))
		s2_gather_flush(gather, walker);
	return run(f, pt, step_map, &job, walker, gather, 0, progress);
}

/* An operation on what is mapped in a range; `valid`: what `how` says can be done. */
static S2_ALWAYS_INLINE int engine_pt_range(const struct s2_fmt *f, struct s2_pt *pt, s2_step *step,
					    s2_gpa_t gpa, uint64_t size, unsigned int how,
					    uint64_t *bitmap, int valid, int in_place,
					    struct s2_walker *walker, struct s2_gather *gather,
					    struct s2_progress *progress)
{
	struct s2_job job = { .gpa = gpa.gpa,
			      .end = gpa.gpa + size,
			      .how = how,
			      .bitmap = bitmap,
			      .start = gpa.gpa };
	int ret = s2_pt_check_range(pt, gpa.gpa, size);

	if (S2_UNLIKELY(ret || !valid)) {
		*progress = (struct s2_progress){ 0 };
		return ret ? ret : S2_EINVAL;
	}
	if (in_place && size >= (uint64_t)S2_EXCLUSIVE_LEAST << f->page_shift)
		return run(f, pt, step, &job, walker, gather, 1, progress);
	return run(f, pt, step, &job, walker, gather, 0, progress);
}

/* Rights that come with cache maintenance are not given while the others are kept out. */
static S2_ALWAYS_INLINE int relax_in_place(const struct s2_pt *pt, unsigned int prot)
{
	return !(prot & S2_X) || pt->cpu.features & S2_CPU_DIC || !pt->port->cache_sync;
}

/* Can rights be taken or given in this way? */
static S2_ALWAYS_INLINE int check_prot(const struct s2_fmt *f, const struct s2_pt *pt,
				       unsigned int prot)
{
	struct s2_attr attr = { .prot = (uint8_t)(S2_R | prot), .type = S2_MEM_NORMAL };

	return prot && !(prot & ~(unsigned int)S2_RWX) && f->attr_ok(attr, pt->cpu.features);
}

/* The long way is out of line: on the short one its many registers would have to be saved. */
#define S2_RANGE_FN(name, format, op, valid, in_place)                                             \
	static S2_NOINLINE int name##_##op(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size,          \
					   unsigned int how, struct s2_walker *walker,             \
					   struct s2_gather *gather, struct s2_progress *progress) \
	{                                                                                          \
		return engine_pt_range(&format, pt, step_##op, gpa, size, how, NULL, valid,        \
				       in_place, walker, gather, progress);                        \
	}

/* Age has one long way, with a bitmap or without. */
#define S2_AGE_FN(name, format)                                                                    \
	static S2_NOINLINE int name##_young(                                                       \
		struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, unsigned int how, uint64_t *bitmap, \
		struct s2_walker *walker, struct s2_gather *gather, struct s2_progress *progress)  \
	{                                                                                          \
		return engine_pt_range(&format, pt, step_age, gpa, size, how, bitmap,              \
				       how <= (bitmap ? S2_AGE_CLEAR : S2_AGE_SET),                \
				       how != S2_AGE_TEST, walker, gather, progress);              \
	}                                                                                          \
	static int name##_age(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, unsigned int how,     \
			      struct s2_walker *walker, struct s2_gather *gather,                  \
			      struct s2_progress *progress)                                        \
	{                                                                                          \
		return name##_young(pt, gpa, size, how, NULL, walker, gather, progress);           \
	}                                                                                          \
	static int name##_near_young(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size,                \
				     unsigned int how, uint64_t *bitmap, struct s2_walker *walker, \
				     struct s2_gather *gather, struct s2_progress *progress)       \
	{                                                                                          \
		if (how == S2_AGE_CLEAR && near_revise(&format, pt, gpa.gpa, size, S2_REVISE_AGE,  \
						       how, walker, gather, progress)) {           \
			*bitmap |= 1; /* only young pages go this way */                           \
			return 0;                                                                  \
		}                                                                                  \
		return name##_young(pt, gpa, size, how, bitmap, walker, gather, progress);         \
	}

#define S2_NEAR_FN(name, format, op, what)                                                        \
	static int name##_near_##op(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size,                \
				    unsigned int how, struct s2_walker *walker,                   \
				    struct s2_gather *gather, struct s2_progress *progress)       \
	{                                                                                         \
		if (near_revise(&format, pt, gpa.gpa, size, what, how, walker, gather, progress)) \
			return 0;                                                                 \
		return name##_##op(pt, gpa, size, how, walker, gather, progress);                 \
	}

/* Instantiates the engine for `format`, a static const struct s2_fmt of this file. */
#define S2_PT_OPS(name, format)                                                                    \
	static S2_NOINLINE int name##_map(struct s2_pt *pt, s2_gpa_t gpa, s2_hpa_t hpa,            \
					  uint64_t size, struct s2_attr attr, unsigned int flags,  \
					  struct s2_walker *walker, struct s2_gather *gather,      \
					  struct s2_progress *progress)                            \
	{                                                                                          \
		return engine_pt_map(&format, pt, gpa, hpa, size, attr, flags, walker, gather,     \
				     progress);                                                    \
	}                                                                                          \
	static int name##_near_map(struct s2_pt *pt, s2_gpa_t gpa, s2_hpa_t hpa, uint64_t size,    \
				   struct s2_attr attr, unsigned int flags,                        \
				   struct s2_walker *walker, struct s2_gather *gather,             \
				   struct s2_progress *progress)                                   \
	{                                                                                          \
		if (near_map(&format, pt, gpa.gpa, hpa.hpa, size, attr, flags, walker, gather,     \
			     progress))                                                            \
			return 0;                                                                  \
		return name##_map(pt, gpa, hpa, size, attr, flags, walker, gather, progress);      \
	}                                                                                          \
	static enum s2_near name##_map_near(struct s2_pt *pt, struct s2_walker *walker,            \
					    uint64_t gpa, uint64_t hpa, struct s2_attr attr,       \
					    unsigned int level)                                    \
	{                                                                                          \
		return near_fault(&format, pt, walker, gpa, hpa, attr, level);                     \
	}                                                                                          \
	static int name##_map_step(struct s2_pt *pt, struct s2_job *job, struct s2_walker *walker, \
				   struct s2_gather *gather)                                       \
	{                                                                                          \
		return engine_map(&format, pt, job, walker, gather);                               \
	}                                                                                          \
	S2_RANGE_FN(name, format, unmap, 1, 0)                                                     \
	S2_RANGE_FN(name, format, protect,                                                         \
		    !(how & S2_R) && check_prot(&format, pt, how & ~S2_PROTECT_WHOLE), 1)          \
	S2_RANGE_FN(name, format, relax, check_prot(&format, pt, how), relax_in_place(pt, how))    \
	S2_AGE_FN(name, format)                                                                    \
	S2_RANGE_FN(name, format, split, how <= pt->root_level, 0)                                 \
	S2_NEAR_FN(name, format, protect, S2_REVISE_PROTECT)                                       \
	S2_NEAR_FN(name, format, relax, S2_REVISE_RELAX)                                           \
	S2_NEAR_FN(name, format, age, S2_REVISE_AGE)                                               \
	static int name##_lookup(struct s2_pt *pt, s2_gpa_t gpa, struct s2_walker *walker,         \
				 struct s2_leaf *leaf)                                             \
	{                                                                                          \
		return engine_lookup(&format, pt, walker, gpa.gpa, leaf);                          \
	}                                                                                          \
	static int name##_audit(struct s2_pt *pt, struct s2_census *census, uint64_t *where)       \
	{                                                                                          \
		return engine_audit(&format, pt, census, where);                                   \
	}                                                                                          \
	static void name##_free(struct s2_pt *pt, void *table, unsigned int level,                 \
				unsigned int order, struct s2_walker *walker)                      \
	{                                                                                          \
		engine_free(&format, pt, table, level, order, walker);                             \
	}                                                                                          \
	static void name##_join(const struct s2_pt *pt, uint64_t *chain, const uint64_t *rest)     \
	{                                                                                          \
		engine_join(&format, pt, chain, rest);                                             \
	}                                                                                          \
	static void name##_free_chain(struct s2_pt *pt, uint64_t *chain, struct s2_walker *walker) \
	{                                                                                          \
		engine_free_chain(&format, pt, chain, walker);                                     \
	}                                                                                          \
	const struct s2_pt_ops name = {                                                            \
		.fmt = &format,                                                                    \
		.map = name##_near_map,                                                            \
		.map_near = name##_map_near,                                                       \
		.map_step = name##_map_step,                                                       \
		.unmap = name##_unmap,                                                             \
		.protect = name##_near_protect,                                                    \
		.relax = name##_near_relax,                                                        \
		.age = name##_near_age,                                                            \
		.young = name##_near_young,                                                        \
		.split = name##_split,                                                             \
		.lookup = name##_lookup,                                                           \
		.audit = name##_audit,                                                             \
		.free_tables = name##_free,                                                        \
		.join = name##_join,                                                               \
		.free_chain = name##_free_chain,                                                   \
	}

#endif
