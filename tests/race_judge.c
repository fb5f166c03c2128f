// SPDX-License-Identifier: BSD-2-Clause
/*
 * Who judges a race, beside the model, which does so at every event.
 *
 * The host: nothing is mapped, cached or held of what it has just taken, and nothing can be written
 * of what it has withdrawn for writing, by tables or TLBs, however long it takes. The vCPU: if
 * slots and attributes stood still meanwhile, the exit is what they say; and its CPU can use what
 * it was given. Management: where nobody else is at work, what it did can be seen.
 *
 * At the end: nothing is owed, busy, counted or leaked; what is mapped is what backs the page now,
 * with no more rights than slot and attributes give; what nobody took away is still there; each
 * time that a page became young was told once or can still be seen; and each page can be faulted
 * in.
 */
#include "../src/pgtable/internal.h"
#include "race_world.h"

typedef int act_fn(const struct world *w, const struct act *act, const struct act *about);

/* How many acts of the race, but those of actor `except`, does this say yes to? */
static unsigned int count(const struct world *w, unsigned int except, act_fn *fn,
			  const struct act *about)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < RACE_ACTORS; i++)
		for (unsigned int j = 0; i != except && j < RACE_ACTS; j++)
			n += w->race->actor[i][j].verb && fn(w, &w->race->actor[i][j], about) != 0;
	return n;
}

static int overlaps(const struct world *w, const struct act *act, const struct act *about)
{
	/* A fault may map the block that its page is in, the host may take all of it. */
	int precise = !w->race->blocks || act->verb == UNMAP || act->verb == PROTECT;
	uint64_t mask = precise ? 0 : REGIONS(1) - 1;
	uint64_t end = (act->gpa + act->size + mask) & ~mask;

	return (act->gpa & ~mask) < about->gpa + about->size && about->gpa < end;
}

/* Does an act add or take mappings or rights there? */
static int changes(const struct world *w, const struct act *act, const struct act *about)
{
	switch (act->verb) {
	case TOUCH:
	case AGE:
	case YOUNG:
	case SPLIT:
	case EXHAUST:
	case RESTORE:
		return 0;
	default:
		return overlaps(w, act, about);
	}
}

/* Does it take mappings away, in whole regions or precisely there? */
static int removes(const struct world *w, const struct act *act, const struct act *about)
{
	switch (act->verb) {
	case INVALIDATE:
	case TAKE:
	case REBACK:
	case MERGE:
	case HOST_REBACK:
	case DELETE:
	case MOVE:
	case RENAME:
	case READONLY:
	case MAKE_PRIVATE:
	case MAKE_SHARED:
	case FORBID:
	case ALLOW:
		return 1;
	default:
		return act->verb == UNMAP && overlaps(w, act, about);
	}
}

static int narrows(const struct world *w, const struct act *act, const struct act *about)
{
	(void)w;
	(void)about;
	return act->verb == PROTECT || act->verb == SHARE || act->verb == HOST_SHARE;
}

/* Does it make pages old and not say which? */
static int hides(const struct world *w, const struct act *act, const struct act *about)
{
	(void)w;
	(void)about;
	return act->verb == AGE;
}

/* vCPUs */

void judge_use(struct world *w, unsigned int n, const struct act *act, enum s2_fault_kind kind)
{
	if (w->vm.pt.cpu.bbm && kind != S2_FAULT_ACCESS && act->gpa < PAGES(TRACKED) &&
	    w->page[act->gpa / PAGE].mapped && !count(w, n, changes, act))
		sim_fail(&w->sim, "race: 0x%llx is not there for a moment, with FEAT_BBM %u",
			 (unsigned long long)act->gpa, w->vm.pt.cpu.bbm);
}

void judge_exit(struct world *w, const struct s2_fault *fault, const struct s2_exit *exit)
{
	const struct s2_memslot *slot = slot_of(w, fault->gpa.gpa);
	unsigned int attrs = attrs_of(w, fault->gpa.gpa), reason = S2_EXIT_RESUME;
	int write = fault->access == S2_ACCESS_WRITE, private = (attrs & S2_PAGE_PRIVATE) != 0;
	int wrong = fault->view && (fault->view == S2_VIEW_PRIVATE) != private;

	if (!slot || (!wrong && write && slot->flags & S2_SLOT_READONLY))
		reason = S2_EXIT_MMIO;
	else if (wrong || (write && attrs & S2_PAGE_NOWRITE))
		reason = S2_EXIT_MEMORY;
	if (exit->reason != reason || exit->has_slot != !!slot)
		sim_fail(&w->sim, "race: fault at 0x%llx: exit %u, has_slot %u",
			 (unsigned long long)fault->gpa.gpa, exit->reason, exit->has_slot);
	else if (reason == S2_EXIT_MEMORY && (exit->error != S2_EPERM || exit->attrs != attrs))
		sim_fail(&w->sim, "race: fault at 0x%llx: %s, attributes %u",
			 (unsigned long long)fault->gpa.gpa, s2_strerror(exit->error), exit->attrs);
}

/* The host */

void judge_empty(struct world *w, uint64_t gpa, uint64_t size)
{
	sim_idle_empty(&w->sim, gpa, size);
}

void judge_unwritable(struct world *w, uint64_t gpa, uint64_t size)
{
	tell(w, S2C_HARVEST, gpa, size);
}

void judge_taken(struct world *w, const struct act *act)
{
	for (unsigned int n = 0; n < WALKERS; n++)
		if (w->held[n] && w->held[n] - 1 - act->gpa < act->size)
			sim_fail(&w->sim, "race: 0x%llx is taken while it is held",
				 (unsigned long long)act->gpa);
	if (act->verb == SHARE || act->verb == HOST_SHARE)
		judge_unwritable(w, act->gpa, act->size);
	else
		judge_empty(w, act->gpa, act->size);
}

/* Operations */

void judge_settled(struct world *w)
{
	sim_idle(&w->sim, NOWHERE, PAGE);
}

void judge_managed(struct world *w, unsigned int n, const struct act *act)
{
	if (n == HOME || count(w, n, changes, act))
		return;
	if (act->verb == UNMAP)
		judge_empty(w, act->gpa, act->size);
	else if (act->verb == PROTECT)
		judge_unwritable(w, act->gpa, act->size);
}

/* What becomes of pages */

void judge_begin(struct world *w)
{
	struct sim_leaf leaf;

	for (unsigned int i = 0; i < TRACKED; i++) {
		sim_translate(&w->sim, PAGES(i), &leaf);
		w->page[i].mapped = leaf.mapped;
		w->page[i].prot = leaf.prot;
		w->page[i].young = leaf.mapped && leaf.young;
		w->page[i].told = 0;
	}
	w->touches = 0;
}

/* Faults make pages young, too, where they have to: nobody knows how many did. */
static void judge_youth(struct world *w, unsigned int page, const struct sim_leaf *leaf)
{
	const struct act about = { .gpa = PAGES(page), .size = PAGE };
	unsigned int seen = w->page[page].told + (leaf->mapped && leaf->young);
	unsigned int least = w->page[page].young, most = least + w->touches;

	if (!somebody(w->race, YOUNG))
		return;
	if (count(w, HOME, removes, &about) || count(w, HOME, hides, &about))
		least = 0;
	if (seen < least || seen > most)
		sim_fail(&w->sim,
			 "race: young: page %u became young %u to %u times, told or seen is it %u "
			 "times",
			 page, least, most, seen);
}

static void judge_fate(struct world *w, unsigned int page)
{
	const struct act about = { .gpa = PAGES(page), .size = PAGE };
	unsigned int lost = w->page[page].prot;
	struct sim_leaf leaf;

	sim_translate(&w->sim, PAGES(page), &leaf);
	judge_youth(w, page, &leaf);
	if (!w->page[page].mapped || count(w, HOME, removes, &about))
		return;
	lost &= ~(leaf.mapped ? leaf.prot : 0u);
	if (count(w, HOME, narrows, &about))
		lost &= ~(unsigned int)S2_W;
	if (!leaf.mapped || lost)
		sim_fail(&w->sim, "race: lost: page %u, of which nobody took anything, rights %u",
			 page, lost);
}

/* What is mapped at this page, if anything, is right; and it can be mapped. */
static void judge_page(struct world *w, uint64_t gpa)
{
	const struct s2_memslot *slot = slot_of(w, gpa);
	const struct act again = { .gpa = gpa, .arg = S2_ACCESS_READ };
	struct sim_leaf leaf;

	sim_translate(&w->sim, gpa, &leaf);
	if (leaf.mapped && (!slot || leaf.hpa != hpa_of(w, slot, gpa) ||
			    (leaf.prot & S2_W && (slot->flags & S2_SLOT_READONLY ||
						  attrs_of(w, gpa) & S2_PAGE_NOWRITE))))
		sim_fail(&w->sim, "race: 0x%llx is mapped to 0x%llx, rights %u",
			 (unsigned long long)gpa, (unsigned long long)leaf.hpa, leaf.prot);
	(void)vcpu_fault(w, HOME, &again, S2_FAULT_PERMISSION);
	if (!slot)
		return;
	sim_translate(&w->sim, gpa, &leaf);
	if (!leaf.mapped || leaf.hpa != hpa_of(w, slot, gpa))
		sim_fail(&w->sim, "race: 0x%llx cannot be mapped", (unsigned long long)gpa);
	sim_idle_local(&w->sim, gpa, PAGE, S2_R);
}

static void judge_rest(struct world *w)
{
	struct s2_census census;
	int ret = s2_pt_audit(&w->vm.pt, &w->walker[HOME], &census, NULL);

	if (ret || census.busy || census.empty || census.held != w->sim.arena.outstanding)
		sim_fail(&w->sim, "race: audit: %s, %llu busy, %llu empty, %llu held of %u",
			 s2_strerror(ret), (unsigned long long)census.busy,
			 (unsigned long long)census.empty, (unsigned long long)census.held,
			 w->sim.arena.outstanding);
	for (unsigned int n = 0; n < WALKERS; n++)
		if (w->walker[n].section & 1)
			sim_fail(&w->sim, "race: walker %u is still inside", n);
	if (w->vm.inval_all.running || w->vm.pt.epoch & S2_EPOCH_EXCLUSIVE)
		sim_fail(&w->sim, "race: something is still running");
	sim_idle(&w->sim, 0, ALL);
}

void judge_end(struct world *w)
{
	judge_rest(w);
	for (unsigned int i = 0; i < TRACKED; i++)
		judge_fate(w, i);
	for (unsigned int n = 0; n < RACE_ACTORS; n++)
		for (unsigned int i = 0; i < RACE_ACTS && w->race->actor[n][i].verb; i++) {
			const struct act *act = &w->race->actor[n][i];

			judge_page(w, act->gpa);
			if (act->size == PAGES(2))
				judge_page(w, act->gpa + PAGE);
		}
	judge_page(w, SLOT1);
	sim_idle(&w->sim, 0, ALL);
}
