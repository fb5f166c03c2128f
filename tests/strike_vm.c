// SPDX-License-Identifier: BSD-2-Clause
/*
 * A vCPU faults, or a host takes memory away, in the midst of whatever else is done to a guest
 * address space: another fault, an invalidation, a change of slots, write-protection, aging.
 *
 * The host's range is empty from begin to end (world_begin(), world_end()), however long that takes
 * and whatever the other does meanwhile. Afterwards it is empty still, unless the other was a
 * prefault, which tries again until it may map; a leaf that stuck out of the range is gone as a
 * whole, or the other had split it before. All else must be as if nobody had struck.
 *
 * The fault may come before, after, or be told to retry. It must end as the world was before or as
 * it is afterwards; and if it says that it mapped its leaf, each page of that is there: unless the
 * other took memory away there meanwhile, or withdrew just the right or the youth that is missing.
 * What it must never do is to map what is being taken away when all is over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random_world.h"

static void strike_fault(struct world *w, uint64_t gpa)
{
	struct run *run = w->run;
	struct world_strike *s = &w->strike;
	char *log = run->log[run->op % RUN_LOG];
	size_t length = strlen(log);

	s->fault = (struct s2_fault){ .gpa = s2_gpa(gpa),
				      .access = (uint8_t)run_random(run, 3),
				      .user = (uint8_t)run_random(run, 2),
				      .kind = run_random(run, 2) ? S2_FAULT_PERMISSION
								 : S2_FAULT_TRANSLATION };
	snprintf(log + length, sizeof(run->log[0]) - length,
		 "\n    struck by a fault at 0x%llx access %u kind %u user %u",
		 (unsigned long long)gpa, s->fault.access, s->fault.kind, s->fault.user);
	s->ran = 1;
	world_expect(w, &s->fault, &s->before);
	s->ret = s2_fault(&run->vm, &s->walker, &s->fault, &s->exit);
}

void world_strike_loses(struct world *w, uint64_t gpa, uint64_t size)
{
	struct ref *ref = &w->run->ref;
	struct world_loss *loss = &w->strike.loss[w->strike.nlosses++];
	uint64_t page = world_page(w), first = ref_level_size(ref, ref_at(ref, gpa)->level),
		 last = ref_level_size(ref, ref_at(ref, gpa + size - page)->level);
	size_t bytes;

	*loss = (struct world_loss){ .gpa = gpa, .size = size };
	loss->start = gpa & ~(first - 1);
	loss->end = ((gpa + size - 1) | (last - 1)) + 1;
	bytes = (loss->end - loss->start) / page * sizeof(*loss->was);
	loss->was = malloc(bytes);
	if (!loss->was)
		abort();
	memcpy(loss->was, ref_at(ref, loss->start), bytes);
}

void world_strike_lingers(struct world *w, const struct s2_walker *walker)
{
	const struct s2_port *port = &w->run->sim.port;

	if (walker != &w->strike.walker)
		return;
	for (uint64_t turns = run_random(w->run, 4); turns; turns--)
		port->relax(port->ctx);
}

/* Takes away where it hurts: the page that is just changing, what is around it, a whole begin. */
static void strike_host(struct world *w, uint64_t gpa)
{
	struct run *run = w->run;
	struct world_strike *s = &w->strike;
	char *log = run->log[run->op % RUN_LOG];
	size_t length = strlen(log);
	uint64_t page = world_page(w), size = page << run_random(run, 4), dice = run_random(run, 6);
	uint64_t block = ref_level_size(&run->ref, 1);
	const struct ref_window *window;
	int slot = world_slot_of(w, gpa);

	gpa &= ~(page - 1);
	if (dice == 0 && slot >= 0 && !s->maps_again) {
		uint64_t hva = w->slot[slot].hva.hva + (gpa - w->slot[slot].gpa.gpa);
		uint64_t chunk = (hva - SIM_HVA_BASE) >> SIM_CHUNK_SHIFT;

		if (chunk >= 16)
			return;
		snprintf(log + length, sizeof(run->log[0]) - length,
			 "\n    struck at 0x%llx: host changes chunk %llu", (unsigned long long)gpa,
			 (unsigned long long)chunk);
		s->ran = 1;
		world_host_changes(w, chunk, &s->walker);
		return;
	}
	if (dice == 1 && w->begin_size) {
		gpa = w->begin_gpa;
		size = w->begin_size;
	} else if (dice == 2) {
		gpa &= ~(block - 1);
		size = block;
	} else if (dice == 3) {
		gpa -= run_random(run, 4) * page;
	}
	window = ref_window_of(&run->ref, gpa);
	if (!window || window != ref_window_of(&run->ref, gpa + size - 1))
		return;
	snprintf(log + length, sizeof(run->log[0]) - length,
		 "\n    struck by an invalidation of 0x%llx size 0x%llx", (unsigned long long)gpa,
		 (unsigned long long)size);
	s->ran = 1;
	world_begin(w, gpa, size, &s->walker);
	world_strike_lingers(w, &s->walker);
	world_end(w, gpa, size);
}

static void carry_out(void *ctx, uint64_t gpa)
{
	struct world *w = ctx;
	struct run *run = w->run;

	if (run_random(run, 3) == 0)
		gpa = run->near + (run_random(run, 9) - 4) * world_page(w);
	if (gpa >> run->config.ipa_bits)
		return;
	w->strike.who = run_random(run, 2) ? STRIKE_HOST : STRIKE_FAULT;
	if (w->strike.who == STRIKE_HOST)
		strike_host(w, gpa);
	else
		strike_fault(w, gpa);
}

void world_strike_arm(struct world *w)
{
	static const uint16_t odds[] = { 30000, 8000, 1000, 100 };
	struct run *run = w->run;
	struct sim_second_config config = { .fn = carry_out,
					    .ctx = w,
					    .walker = &w->strike.walker,
					    .odds = odds[run_random(run, 4)] };

	w->ntaken = 0;
	w->strike.ran = w->strike.settled = w->strike.maps_again = 0;
	w->strike.tree_size = 0;
	w->begin_size = 0;
	if (run->strikes && run_random(run, 2))
		sim_second_arm(&run->sim, &config);
}

static int taken(const struct world *w, const struct expect *e)
{
	for (unsigned int i = 0; i < w->ntaken; i++)
		if (ranges_overlap(e->around_gpa, e->around_size, w->taken_gpa[i],
				   w->taken_size[i]))
			return 1;
	return 0;
}

/* Is this page what the fault leaves behind, given what the model says of it without the fault? */
static int as_mapped(const struct world *w, const struct expect *e, uint64_t gpa,
		     const struct sim_leaf *leaf)
{
	const struct ref_page *page = ref_at(&w->run->ref, gpa);
	const struct world_strike *s = &w->strike;
	uint64_t hpa = e->hpa + (gpa - e->gpa);
	unsigned int widest = e->attr.prot, may_lack = 0;
	int tree = s->tree_size && ranges_overlap(gpa, world_page(w), s->tree_gpa, s->tree_size);

	if (page->valid && page->pa == hpa)
		widest |= page->prot;
	if (tree && s->tree_protects)
		may_lack = S2_W;
	if (!leaf->mapped || leaf->hpa != hpa || leaf->type != e->attr.type || leaf->sw)
		return 0;
	if (leaf->prot & ~widest || e->attr.prot & ~(leaf->prot | may_lack))
		return 0;
	return leaf->young || tree || (page->valid && !page->young);
}

static void adopt(struct ref_page *page, const struct sim_leaf *leaf)
{
	*page = (struct ref_page){ 0 };
	if (leaf->mapped)
		*page = (struct ref_page){ .pa = leaf->hpa,
					   .valid = 1,
					   .prot = leaf->prot,
					   .type = leaf->type,
					   .sw = leaf->sw,
					   .young = leaf->young,
					   .level = leaf->level };
}

/* A fault that asked for less than there was: the block around it is in pieces now. */
static void adopt_split(struct world *w, const struct expect *e)
{
	struct ref *ref = &w->run->ref;
	uint64_t size = ref_level_size(ref, ref_at(ref, e->gpa)->level);
	uint64_t start = e->gpa & ~(size - 1);

	for (uint64_t gpa = start; size > e->size && gpa < start + size; gpa += world_page(w)) {
		struct ref_page *page = ref_at(ref, gpa);
		struct sim_leaf leaf;

		sim_translate(&w->run->sim, gpa, &leaf);
		if (leaf.mapped && leaf.level < page->level)
			page->level = leaf.level;
	}
}

/* The leaf that the fault says it made. */
static void judge_leaf(struct world *w, const struct expect *e, const struct expect *other)
{
	struct run *run = w->run;
	int gone = taken(w, e), may = !world_is_running(w, e->gpa, e->size);

	adopt_split(w, e);
	for (uint64_t gpa = e->gpa; gpa < e->gpa + e->size; gpa += world_page(w)) {
		struct ref_page *page = ref_at(&run->ref, gpa);
		struct sim_leaf leaf;

		sim_translate(&run->sim, gpa, &leaf);
		if (gone && leaf.mapped == page->valid &&
		    (!page->valid || (leaf.hpa == page->pa && leaf.prot == page->prot)))
			continue;
		if (!may ||
		    (!as_mapped(w, e, gpa, &leaf) && !(other && as_mapped(w, other, gpa, &leaf))))
			sim_fail(&run->sim,
				 "struck: gpa 0x%llx is not as the fault says (mapped %u "
				 "hpa 0x%llx prot %u young %u)",
				 (unsigned long long)gpa, leaf.mapped, (unsigned long long)leaf.hpa,
				 leaf.prot, leaf.young);
		adopt(page, &leaf);
	}
}

static int as_expected(const struct s2_exit *exit, const struct expect *e)
{
	return exit->reason == e->reason && exit->error == e->error &&
	       exit->has_slot == (e->slot >= 0) && exit->size == (e->maps ? e->size : 0);
}

/* May a page be like this, that both took in hand? `was`: before it was taken. */
static int as_either(const struct world *w, uint64_t gpa, const struct sim_leaf *leaf,
		     const struct ref_page *was, const struct ref_page *page)
{
	const struct world_strike *s = &w->strike;
	const struct ref_page *is = page->valid ? page : was;
	int tree = s->tree_size && ranges_overlap(gpa, world_page(w), s->tree_gpa, s->tree_size);
	unsigned int may_lack = tree && s->tree_protects ? S2_W : 0, widest = is ? is->prot : 0;

	if (was && was->valid && was->pa == leaf->hpa)
		widest |= was->prot;
	return is && is->valid && leaf->hpa == is->pa && leaf->type == is->type &&
	       leaf->sw == is->sw && !(leaf->prot & ~widest) &&
	       !(is->prot & ~(leaf->prot | may_lack));
}

static void judge_loss(struct world *w, struct world_loss *loss)
{
	struct run *run = w->run;
	uint64_t page_size = world_page(w), start = loss->start, end = loss->end;
	struct sim_leaf leaf;

	/* Leaves on the edges may be new: the other's. */
	for (uint64_t gpa = loss->gpa; gpa < loss->gpa + loss->size; gpa += page_size) {
		uint64_t size = ref_level_size(&run->ref, ref_at(&run->ref, gpa)->level);

		start = (gpa & ~(size - 1)) < start ? gpa & ~(size - 1) : start;
		end = (gpa | (size - 1)) + 1 > end ? (gpa | (size - 1)) + 1 : end;
	}
	for (uint64_t gpa = start; gpa < end; gpa += page_size) {
		struct ref_page *page = ref_at(&run->ref, gpa);
		const struct ref_page *was = NULL;

		if (gpa >= loss->start && gpa < loss->end)
			was = &loss->was[(gpa - loss->start) / page_size];
		sim_translate(&run->sim, gpa, &leaf);
		if (leaf.mapped && !w->strike.maps_again && gpa - loss->gpa < loss->size)
			sim_fail(&run->sim, "struck: gpa 0x%llx is mapped although it was taken",
				 (unsigned long long)gpa);
		if (leaf.mapped && !as_either(w, gpa, &leaf, was, page))
			sim_fail(&run->sim,
				 "struck: gpa 0x%llx is neither taken nor as it was (hpa 0x%llx "
				 "prot %u)",
				 (unsigned long long)gpa, (unsigned long long)leaf.hpa, leaf.prot);
		adopt(page, &leaf);
	}
	world_compare(w, start, end - start);
}

static void judge_host(struct world *w)
{
	struct world_strike *s = &w->strike;

	for (unsigned int i = 0; i < s->nlosses; i++) {
		judge_loss(w, &s->loss[i]);
		free(s->loss[i].was);
	}
	s->nlosses = 0;
}

void world_strike_settle(struct world *w)
{
	struct run *run = w->run;
	struct world_strike *s = &w->strike;
	struct expect after, *e = &s->before;
	int same;

	sim_second_finish(&run->sim);
	if (!s->ran || s->settled)
		return;
	s->settled = 1;
	run->ref.lax_levels = 1;
	if (s->who == STRIKE_HOST) {
		judge_host(w);
		return;
	}
	if (s->ret) {
		if (s->ret != S2_ENOMEM && s->ret != S2_EQUOTA)
			sim_fail(&run->sim, "struck: fault: %s", s2_strerror(s->ret));
		if (!run->fail_of_65536 && !run->config.table_quota)
			sim_fail(&run->sim, "struck: no memory without a reason");
		return;
	}
	if (s->exit.reason == S2_EXIT_RESUME && !s->exit.size)
		return; /* told to retry: two walkers met */
	world_expect(w, &s->fault, &after);
	world_shrink(w, &s->before, s->fault.gpa.gpa, s->exit.size);
	world_shrink(w, &after, s->fault.gpa.gpa, s->exit.size);
	same = as_expected(&s->exit, e);
	if (!same) {
		e = &after;
		if (!as_expected(&s->exit, e))
			sim_fail(&run->sim, "struck: exit: reason %u error %d slot %u size 0x%llx",
				 s->exit.reason, s->exit.error, s->exit.has_slot,
				 (unsigned long long)s->exit.size);
	}
	if (!e->maps)
		return;
	judge_leaf(w, e,
		   same && after.maps && after.gpa == e->gpa && after.size == e->size ? &after
										      : NULL);
	world_compare(w, e->gpa, e->size);
}
