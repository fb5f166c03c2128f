// SPDX-License-Identifier: BSD-2-Clause
/*
 * Random operations on one tree against the flat reference.
 *
 * Each step draws an operation with all its arguments, carries it out on the engine, then on the
 * reference as far as the engine says that it got, and compares result, progress and the pages
 * concerned; now and then everything. When memory runs out the rest is tried again, from
 * progress->done on, as the interface promises. A gather often stays open over several operations.
 * In two runs of three a second walker strikes in the midst of them (strike.c).
 */
#include <stdlib.h>
#include <string.h>

#include "random.h"

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
		sim_fail(&run->sim, "%s returned %s, should %s", op_name[op->kind],
			 s2_strerror(ret), s2_strerror(should));
	if (!ret && is->done != op->size)
		sim_fail(&run->sim, "success after 0x%llx of 0x%llx bytes",
			 (unsigned long long)is->done, (unsigned long long)op->size);
	if (is->done != ref->done)
		sim_fail(&run->sim, "done 0x%llx, should be 0x%llx", (unsigned long long)is->done,
			 (unsigned long long)ref->done);
	if (op->kind == OP_SPLIT || (op->kind == OP_AGE && run->sim.regime.ha))
		return;
	/* A table that goes as a whole counts as a whole, even if nothing is left in it. */
	if (op->kind == OP_UNMAP && run->ref.lax_levels && is->changed >= ref->changed &&
	    is->changed <= is->done)
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
	end = window->gpa + window->size - end > margin ? end + margin : window->gpa + window->size;
	ref_compare(&run->ref, &run->sim, &run->vm.pt, &run->walker, gpa, end - gpa);
}

static void flush(struct run *run, struct owed *owed)
{
	s2_gather_flush(&run->gather, &run->walker);
	while (owed->n) {
		const struct op *op = &owed->op[--owed->n];

		sim_idle(&run->sim, op->gpa, op->size);
	}
}

static void judge(struct run *run, const struct op *op, int ret, const struct s2_progress *progress)
{
	struct ref_op ref = { .gpa = op->gpa, .size = op->size };
	int should, bits = op->kind == OP_AGE && op->how & REF_YOUNG;

	if (bits)
		ref.mark = calloc(op->size >> run->ref.page_shift, 1);
	if (bits && !ref.mark)
		abort();

	if (op->kind == OP_MAP || op->kind == OP_UNMAP)
		host_takes(run, op, progress->done);
	ref.stop = ret == S2_ENOMEM || ret == S2_EQUOTA ? progress->done : op->size;
	should = op_on_reference(run, op, &ref);
	compare_progress(run, op, ret, should, progress, &ref);
	if (bits)
		ref_bits_judge(&run->ref.bits[0], &run->sim, ref.mark, ref.mark);
	free(ref.mark);
	compare_range(run, op->gpa, op->size);
}

/* One call; returns its result, and moves *op to what is left. */
static int once(struct run *run, struct op *op, struct strike *strike, struct owed *owed)
{
	struct s2_progress progress;
	int ret;

	if (run->strikes && run_random(run, 2))
		strike_arm(strike, owed);
	ret = op_on_engine(run, op, &run->walker, &run->gather, &progress);
	if (progress.done > op->size || (ret && progress.done == op->size))
		sim_fail(&run->sim, "%s with 0x%llx of 0x%llx bytes done", s2_strerror(ret),
			 (unsigned long long)progress.done, (unsigned long long)op->size);
	if (ret == S2_ENOMEM || ret == S2_EQUOTA)
		run->ref.lax_levels = 1;
	if (strike_end(strike)) {
		strike_judge(strike, op, ret, &progress);
		owed->op[owed->n++] = strike->op;
		strike->done = 0;
	} else {
		judge(run, op, ret, &progress);
	}
	op->gpa += progress.done;
	op->hpa += progress.done;
	op->size -= progress.done;
	return ret;
}

static void step(struct run *run, struct owed *owed, struct strike *strike)
{
	struct op op, drawn;
	uint64_t strikes = strike->count;
	int ret, tries = 0;

	if (!op_draw_teeth(run, &op))
		op_draw(run, &op);
	drawn = op;
	run_log(run, "%s gpa 0x%llx size 0x%llx hpa 0x%llx prot %u type %u sw %u how %u%s",
		op_name[op.kind], (unsigned long long)op.gpa, (unsigned long long)op.size,
		(unsigned long long)op.hpa, op.attr.prot, op.attr.type, op.attr.sw, op.how,
		owed->n ? " (gather open)" : "");
	do {
		owed->op[owed->n++] = op;
		run->sim.arena.fail_of_65536 = tries++ < 2 ? run->fail_of_65536 : 0;
		ret = once(run, &op, strike, owed);
	} while (ret == S2_ENOMEM);
	run->sim.arena.fail_of_65536 = 0;
	if (op.kind == OP_AGE && !run_random(run, 4)) {
		flush(run, owed); /* what was owed before */
		s2_gather_init(&run->gather, &run->vm.pt);
		sim_forget(&run->sim);
	} else if (owed->n > OWED - 8 || run_random(run, 4)) {
		flush(run, owed);
		if (drawn.kind == OP_RELAX && strikes == strike->count)
			sim_idle_local(&run->sim, drawn.gpa, drawn.size - op.size, drawn.how);
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
	if (test_format_init(run->format, pt, &run->config, &run->sim.port))
		sim_fail(&run->sim, "s2_pt_init_ops() failed");
	s2_walker_init(&run->walker, pt);
	s2_gather_init(&run->gather, pt);
	sim_thread(0, &run->walker);
	test_format_start(run->format, &run->sim, pt);
	ref_init(&run->ref, pt,
		 run->config.block_level < pt->root_level ? run->config.block_level
							  : pt->root_level);
}

static void compare_all(struct run *run, struct owed *owed, struct strike *strike)
{
	flush(run, owed);
	run_renew(run, &run->walker);
	run_renew(run, &strike->walker);
	ref_compare_all(&run->ref, &run->sim, &run->vm.pt, &run->walker);
}

void random_pt(struct run *run, uint64_t ops)
{
	struct owed owed = { .n = 0 };
	struct strike strike = { .run = run };

	start(run);
	s2_walker_init(&strike.walker, &run->vm.pt);
	for (run->op = 0; run->op < ops; run->op++) {
		step(run, &owed, &strike);
		if (run->op % 16 == 15)
			ref_tighten(&run->ref, &run->vm.pt, &run->walker);
		if (run->op % 8192 == 8191)
			compare_all(run, &owed, &strike);
	}
	compare_all(run, &owed, &strike);
	sim_stop(&run->sim);
	s2_walker_fini(&run->walker);
	s2_walker_fini(&strike.walker);
	sim_thread(0, NULL);
	s2_pt_fini(&run->vm.pt);
	sim_fini(&run->sim);
	ref_fini(&run->ref);
}
