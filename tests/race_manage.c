// SPDX-License-Identifier: BSD-2-Clause
/*
 * Management of the tree in the races, and the memory that it may not get. An operation that is
 * refused says how far it came; it goes on from there when there is memory again.
 */
#include "race_world.h"

#define WORDS 8 /* of a bitmap: a region's pages */

struct shortage shortage_of(const struct world *w)
{
	return (struct shortage){ w->exhausted, w->shortages };
}

void wait_for_memory(struct world *w, const struct act *act, const struct shortage *before)
{
	if (!before->exhausted && before->shortages == w->shortages)
		sim_fail(&w->sim, "race: %s: refused, though there was memory all the time",
			 race_verb[act->verb]);
	w->refused++;
	while (w->exhausted)
		w->sim.port.relax(&w->sim);
}

void memory_changes(struct world *w, const struct act *act)
{
	w->exhausted = act->verb == EXHAUST;
	w->shortages += w->exhausted;
	w->sim.arena.fail_of_65536 = w->exhausted ? 65536 : 0;
	if (w->exhausted)
		sim_point(&w->sim, NOWHERE);
}

/* Bits are for the pages that were found young, neither more nor less; each is told once. */
static void told(struct world *w, uint64_t gpa, const uint64_t *bitmap,
		 const struct s2_progress *progress)
{
	uint64_t young = 0;

	for (unsigned int i = 0; i < WORDS; i++)
		young += (uint64_t)__builtin_popcountll(bitmap[i]);
	if (young * PAGE != progress->changed)
		sim_fail(&w->sim, "race: young: %llu bits for 0x%llx bytes",
			 (unsigned long long)young, (unsigned long long)progress->changed);
	for (uint64_t page = gpa / PAGE; page < TRACKED; page++) {
		uint64_t bit = page - gpa / PAGE;

		w->page[page].told += bitmap[bit / 64] >> bit % 64 & 1;
	}
}

static int young(struct world *w, unsigned int n, const struct act *act, struct s2_gather *gather,
		 struct s2_progress *progress)
{
	uint64_t bitmap[WORDS] = { 0 };
	int ret = s2_pt_young(&w->vm.pt, s2_gpa(act->gpa), act->size, S2_AGE_CLEAR, bitmap,
			      &w->walker[n], gather, progress);

	told(w, act->gpa, bitmap, progress);
	return ret;
}

/* What is left of the act after `done` bytes, once. */
static int operate(struct world *w, unsigned int n, const struct act *act, uint64_t done,
		   struct s2_gather *gather, struct s2_progress *progress)
{
	const struct s2_attr all = { .prot = S2_RWX, .type = S2_MEM_NORMAL };
	struct s2_walker *walker = &w->walker[n];
	struct s2_pt *pt = &w->vm.pt;
	uint64_t size = act->size - done;
	s2_gpa_t gpa = s2_gpa(act->gpa + done);

	switch (act->verb) {
	case COLLAPSE:
		w->touches++;
		return s2_pt_map(pt, gpa, s2_hpa(hpa_of(w, slot_of(w, gpa.gpa), gpa.gpa)), size,
				 all, S2_MAP_REPLACE, walker, gather, progress);
	case UNMAP:
		return s2_pt_unmap(pt, gpa, size, walker, gather, progress);
	case PROTECT:
		return s2_pt_protect(pt, gpa, size, S2_W, walker, gather, progress);
	case RELAX:
		return s2_pt_relax(pt, gpa, size, S2_W, walker, gather, progress);
	case AGE:
		return s2_pt_age(pt, gpa, size, S2_AGE_CLEAR, walker, gather, progress);
	case YOUNG:
		return young(w, n, act, gather, progress);
	default:
		return s2_pt_split(pt, gpa, size, 0, walker, gather, progress);
	}
}

void manage(struct world *w, unsigned int n, const struct act *act)
{
	struct s2_progress progress;
	struct shortage shortage;
	struct s2_gather gather;
	uint64_t done = 0;
	int ret;

	for (;;) {
		shortage = shortage_of(w);
		s2_gather_init(&gather, &w->vm.pt);
		ret = operate(w, n, act, done, &gather, &progress);
		s2_gather_flush(&gather, &w->walker[n]);
		judge_settled(w);
		done += progress.done;
		if (ret != S2_ENOMEM)
			break;
		if (done) /* so much is as if it were all */
			judge_managed(w, n, &(struct act){ act->verb, act->gpa, done, act->arg });
		wait_for_memory(w, act, &shortage);
	}
	if (ret || done != act->size)
		sim_fail(&w->sim, "race: %s: %s after 0x%llx bytes", race_verb[act->verb],
			 s2_strerror(ret), (unsigned long long)done);
	judge_managed(w, n, act);
}
