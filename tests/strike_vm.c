// SPDX-License-Identifier: BSD-2-Clause
/*
 * A vCPU faults in the midst of whatever else is done to a guest address space: another fault, an
 * invalidation, a change of slots, write-protection, aging.
 *
 * The fault may come before, after, or be told to retry. It must end as the world was before or as
 * it is afterwards; and if it says that it mapped its leaf, each page of that is there: unless the
 * other took memory away there meanwhile, or withdrew just the right or the youth that is missing.
 * What it must never do is to map what is being taken away when all is over.
 */
#include <stdio.h>
#include <string.h>

#include "random_world.h"

static void carry_out(void *ctx, uint64_t gpa)
{
	struct world *w = ctx;
	struct run *run = w->run;
	struct world_strike *s = &w->strike;
	char *log = run->log[run->op % RUN_LOG];
	size_t length = strlen(log);

	if (run_random(run, 3) == 0)
		gpa = run->near + (run_random(run, 9) - 4) * world_page(w);
	if (gpa >> run->config.ipa_bits)
		return;
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

void world_strike_arm(struct world *w)
{
	static const uint16_t odds[] = { 30000, 8000, 1000, 100 };
	struct run *run = w->run;
	struct sim_second_config config = { .fn = carry_out,
					    .ctx = w,
					    .walker = &w->strike.walker,
					    .odds = odds[run_random(run, 4)] };

	w->ntaken = 0;
	w->strike.ran = w->strike.settled = 0;
	w->strike.tree_size = 0;
	if (run->strikes && run_random(run, 2))
		sim_second_arm(&run->sim, &config);
}

static int taken(const struct world *w, const struct expect *e)
{
	for (unsigned int i = 0; i < w->ntaken; i++)
		if (ranges_overlap(e->gpa, e->size, w->taken_gpa[i], w->taken_size[i]))
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

/* The leaf that the fault says it made. */
static void judge_leaf(struct world *w, const struct expect *e, const struct expect *other)
{
	struct run *run = w->run;
	int gone = taken(w, e), may = !world_is_running(w, e->gpa, e->size);

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
