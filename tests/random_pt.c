// SPDX-License-Identifier: BSD-2-Clause
/*
 * Random operations on one tree against the flat reference.
 *
 * Each step draws an operation with all its arguments, carries it out on the engine, then on the
 * reference as far as the engine says that it got, and compares result, progress and the pages
 * concerned; now and then everything. When memory runs out the rest is tried again, from
 * progress->done on, as the interface promises. A gather often stays open over several operations.
 */
#include <string.h>

#include "random.h"

enum kind {
	OP_MAP,
	OP_UNMAP,
	OP_PROTECT,
	OP_RELAX,
	OP_AGE,
	OP_SPLIT,
};

static const char *const kind_name[] = { "map", "unmap", "protect", "relax", "age", "split" };

struct op {
	enum kind kind;
	uint64_t gpa, size, hpa;
	struct s2_attr attr;
	unsigned int how; /* flags, rights, age, level */
};

/* What was done since the gather was flushed last. */
struct owed {
	uint64_t gpa[8], size[8];
	unsigned int n;
};

/*
 * Four output addresses for each gpa, all different from everybody else's: two aligned as the gpa,
 * one only to 2 MiB, one only to pages.
 */
static uint64_t pick_hpa(struct run *run, uint64_t gpa)
{
	static const uint64_t offset[] = { 0, 0, 3ull << 21, 5ull << 12 };
	uint64_t color = run_random(run, 4);

	return (color << 34) + offset[color] + (gpa & 0xffffffff);
}

static struct s2_attr pick_attr(struct run *run)
{
	static const uint8_t exec[] = { 0, S2_X, S2_XP, S2_XU };
	struct s2_attr attr = { .prot = S2_R, .type = S2_MEM_NORMAL };
	int xnx = (run->config.cpu.features & S2_CPU_XNX) != 0;

	if (!run_random(run, 4))
		attr.type = (uint8_t)run_random(run, S2_MEM_TYPES);
	if (run_random(run, 3))
		attr.prot |= S2_W;
	if (attr.type < S2_MEM_DEVICE)
		attr.prot |= exec[run_random(run, xnx ? 4 : 2)];
	if (!run_random(run, 8))
		attr.sw = (uint8_t)run_random(run, 16);
	return attr;
}

static void pick(struct run *run, struct op *op)
{
	static const uint8_t kinds[] = { OP_MAP, OP_MAP, OP_MAP, OP_MAP, OP_UNMAP, OP_UNMAP,
					 OP_PROTECT, OP_RELAX, OP_AGE, OP_SPLIT };
	static const uint8_t rights[] = { S2_W, S2_X, S2_W | S2_X, S2_XP, S2_XU, S2_W | S2_XU };
	int xnx = (run->config.cpu.features & S2_CPU_XNX) != 0;

	memset(op, 0, sizeof(*op));
	op->kind = kinds[run_random(run, sizeof(kinds))];
	run_range(run, &op->gpa, &op->size);
	op->hpa = pick_hpa(run, op->gpa);
	op->attr = pick_attr(run);
	op->how = rights[run_random(run, xnx ? 6 : 3)];
	if (op->kind == OP_MAP)
		op->how = (unsigned int)run_random(run, 8) & (run_random(run, 2) ? 7u : 3u);
	if (op->kind == OP_RELAX && run_random(run, 2))
		op->how = S2_W;
	if (op->kind == OP_AGE)
		op->how = (unsigned int)run_random(run, 3);
	if (op->kind == OP_SPLIT)
		op->how = (unsigned int)run_random(run, run->vm.pt.root_level + 1u);
}

static int on_engine(struct run *run, const struct op *op, struct s2_progress *progress)
{
	struct s2_pt *pt = &run->vm.pt;
	struct s2_walker *w = &run->walker;
	struct s2_gather *g = &run->gather;
	s2_gpa_t gpa = s2_gpa(op->gpa);

	switch (op->kind) {
	case OP_MAP:
		return s2_pt_map(pt, gpa, s2_hpa(op->hpa), op->size, op->attr, op->how, w, g,
				 progress);
	case OP_UNMAP:
		return s2_pt_unmap(pt, gpa, op->size, w, g, progress);
	case OP_PROTECT:
		return s2_pt_protect(pt, gpa, op->size, op->how, w, g, progress);
	case OP_RELAX:
		return s2_pt_relax(pt, gpa, op->size, op->how, w, g, progress);
	case OP_AGE:
		return s2_pt_age(pt, gpa, op->size, (enum s2_age)op->how, w, g, progress);
	case OP_SPLIT:
		break;
	}
	return s2_pt_split(pt, gpa, op->size, op->how, w, g, progress);
}

static int on_reference(struct run *run, const struct op *op, struct ref_op *done)
{
	struct ref *ref = &run->ref;

	switch (op->kind) {
	case OP_MAP:
		return ref_map(ref, done, op->hpa, op->attr, op->how);
	case OP_UNMAP:
		ref_unmap(ref, done);
		return 0;
	case OP_PROTECT:
		ref_protect(ref, done, op->how);
		return 0;
	case OP_RELAX:
		return ref_relax(ref, done, op->how);
	case OP_AGE:
		ref_age(ref, done, (enum s2_age)op->how);
		return 0;
	case OP_SPLIT:
		ref_split(ref, done, op->how);
		return 0;
	}
	return 0;
}

/* The host uses memory again that the guest no longer has. */
static void host_takes(struct run *run, const struct op *op, uint64_t bytes)
{
	for (uint64_t off = 0; off < bytes; off += 1ull << run->ref.page_shift) {
		const struct ref_page *page = ref_at(&run->ref, op->gpa + off);

		if (page->valid && (op->kind == OP_UNMAP || page->pa != op->hpa + off))
			sim_host_wrote(&run->sim, page->pa, 1ull << run->ref.page_shift);
	}
}

static void compare_progress(struct run *run, const struct op *op, int ret, int should,
			     const struct s2_progress *is, const struct ref_op *ref)
{
	int memory = ret == S2_ENOMEM || ret == S2_EQUOTA;

	if (ret != should && !memory)
		sim_fail(&run->sim, "%s returned %s, should %s", kind_name[op->kind],
			 s2_strerror(ret), s2_strerror(should));
	if (!ret && is->done != op->size)
		sim_fail(&run->sim, "success after 0x%llx of 0x%llx bytes",
			 (unsigned long long)is->done, (unsigned long long)op->size);
	if (is->done != ref->done)
		sim_fail(&run->sim, "done 0x%llx, should be 0x%llx", (unsigned long long)is->done,
			 (unsigned long long)ref->done);
	if (op->kind == OP_SPLIT || (op->kind == OP_AGE && run->sim.regime.ha))
		return;
	/* A table that goes as a whole counts as a whole, with the holes in it. */
	if (op->kind == OP_UNMAP && is->changed >= ref->changed && is->changed <= is->done)
		return;
	if (is->changed != ref->changed)
		sim_fail(&run->sim, "changed 0x%llx bytes, should be 0x%llx",
			 (unsigned long long)is->changed, (unsigned long long)ref->changed);
	if ((op->kind == OP_MAP || op->kind == OP_RELAX) && is->equal != ref->equal)
		sim_fail(&run->sim, "found 0x%llx bytes equal, should be 0x%llx",
			 (unsigned long long)is->equal, (unsigned long long)ref->equal);
}

/* The range, widened so that blocks on its edges are seen too. */
static void compare_range(struct run *run, uint64_t gpa, uint64_t size)
{
	const struct ref_window *window = run->ref.window;
	uint64_t margin = 2ull << run->ref.page_shift, end = gpa + size;

	while (gpa < window->gpa || gpa - window->gpa >= window->size)
		window++;
	gpa = gpa - window->gpa > margin ? gpa - margin : window->gpa;
	end = window->gpa + window->size - end > margin ? end + margin :
							  window->gpa + window->size;
	ref_compare(&run->ref, &run->sim, &run->vm.pt, &run->walker, gpa, end - gpa);
}

static void flush(struct run *run, struct owed *owed)
{
	s2_gather_flush(&run->gather, &run->walker);
	while (owed->n) {
		owed->n--;
		sim_idle(&run->sim, owed->gpa[owed->n], owed->size[owed->n]);
	}
}

/* One call; returns its result, and moves *op to what is left. */
static int once(struct run *run, struct op *op)
{
	struct ref_op ref = { .gpa = op->gpa, .size = op->size };
	struct s2_progress progress;
	int ret, should;

	ret = on_engine(run, op, &progress);
	if (progress.done > op->size || (ret && progress.done == op->size))
		sim_fail(&run->sim, "%s with 0x%llx of 0x%llx bytes done", s2_strerror(ret),
			 (unsigned long long)progress.done, (unsigned long long)op->size);
	if (op->kind == OP_MAP || op->kind == OP_UNMAP)
		host_takes(run, op, progress.done);
	ref.stop = ret == S2_ENOMEM || ret == S2_EQUOTA ? progress.done : op->size;
	if (ret == S2_ENOMEM || ret == S2_EQUOTA)
		run->ref.lax_levels = 1;
	should = on_reference(run, op, &ref);
	compare_progress(run, op, ret, should, &progress, &ref);
	compare_range(run, op->gpa, op->size);
	op->gpa += progress.done;
	op->hpa += progress.done;
	op->size -= progress.done;
	return ret;
}

static void step(struct run *run, struct owed *owed)
{
	struct op op;
	int ret, tries = 0;

	pick(run, &op);
	run_log(run, "%s gpa 0x%llx size 0x%llx hpa 0x%llx prot %u type %u sw %u how %u%s",
		kind_name[op.kind], (unsigned long long)op.gpa, (unsigned long long)op.size,
		(unsigned long long)op.hpa, op.attr.prot, op.attr.type, op.attr.sw, op.how,
		owed->n ? " (gather open)" : "");
	owed->gpa[owed->n] = op.gpa;
	owed->size[owed->n++] = op.size;
	do {
		run->sim.arena.fail_of_65536 = tries++ < 2 ? run->fail_of_65536 : 0;
		ret = once(run, &op);
	} while (ret == S2_ENOMEM);
	run->sim.arena.fail_of_65536 = 0;
	if (op.kind == OP_AGE && !run_random(run, 4)) {
		flush(run, owed); /* what was owed before */
		s2_gather_init(&run->gather, &run->vm.pt);
		sim_forget(&run->sim);
	} else if (owed->n == 8 || run_random(run, 4)) {
		flush(run, owed);
	}
}

static void start(struct run *run)
{
	struct sim_config config;
	struct s2_pt *pt = &run->vm.pt;

	run_config(run, &config);
	sim_init(&run->sim, &config);
	run->sim.on_fail = run_on_fail;
	run->sim.on_fail_ctx = run;
	if (s2_pt_init(pt, &run->config, &run->sim.port))
		sim_fail(&run->sim, "s2_pt_init() failed");
	s2_walker_init(&run->walker, pt);
	s2_gather_init(&run->gather, pt);
	sim_thread(0, &run->walker);
	sim_start(&run->sim, s2_arm64_vtcr(pt), s2_arm64_vttbr(pt, 1));
	ref_init(&run->ref, pt, run->config.block_level < pt->root_level ?
					run->config.block_level :
					pt->root_level);
}

void random_pt(struct run *run, uint64_t ops)
{
	struct owed owed = { .n = 0 };

	start(run);
	for (run->op = 0; run->op < ops; run->op++) {
		step(run, &owed);
		if (run->op % 8192 == 8191) {
			flush(run, &owed);
			ref_compare_all(&run->ref, &run->sim, &run->vm.pt, &run->walker);
		}
	}
	flush(run, &owed);
	ref_compare_all(&run->ref, &run->sim, &run->vm.pt, &run->walker);
	sim_stop(&run->sim);
	s2_walker_fini(&run->walker);
	sim_thread(0, NULL);
	s2_pt_fini(&run->vm.pt);
	sim_fini(&run->sim);
	ref_fini(&run->ref);
}
