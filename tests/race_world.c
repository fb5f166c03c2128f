// SPDX-License-Identifier: BSD-2-Clause
/*
 * The world in which the races of races.c are run: a small simulated machine, made anew for each
 * run, what each verb does, and who judges.
 *
 * Who judges: the model, at every event. The host (nothing is mapped, cached or held of what it has
 * just taken, however long it takes). The vCPU (if the slots stood still meanwhile, the exit is
 * what they say). At the end: nothing is owed, busy, counted or leaked; what is mapped is what
 * backs the page now, with no more rights than its slot gives; and each page can still be faulted
 * in.
 *
 * Two kinds of machine: a plain one with two levels of tables below the root, and one with a single
 * level, whose CPUs do everything and whose port has a barrier().
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stage2/arm64.h>
#include <stage2/hold.h>

#include "../src/pgtable/internal.h"
#include "machine.h"
#include "races.h"

#define PAGE    PAGES(1)
#define WALKERS (RACE_ACTORS + 1)
#define HOME    RACE_ACTORS /* walker and CPU of who sets up and looks afterwards */
#define CHUNKS  8
#define ALL     (1ull << 32) /* of guest memory, that anybody uses */

#define FAST (S2_CPU_FWB | S2_CPU_DIC | S2_CPU_TLB_RANGE | S2_CPU_TLB_LEVEL)

struct world {
	struct sim sim;
	struct s2_vm vm;
	struct s2_walker walker[WALKERS];
	struct s2_memslot slot[2]; /* the engine's */
	struct s2_memslot is[2];   /* what we believe of them; size 0: not there */
	unsigned int moving;       /* changes of slots under way, ... */
	uint64_t moved;            /* ... and begun so far */
	uint64_t held[WALKERS];    /* the page that this one uses, plus 1 */
	unsigned int pages_only;   /* a bit each: for whom resolve() knows no blocks */
	const struct race *race;
	int barrier;
	int loud;
};

static struct world world;

static const char *const verb_name[VERBS] = {
	"nothing",
	"fault",
	"fault on a page",
	"permission fault",
	"access flag fault",
	"prefault",
	"take",
	"take and give",
	"put other memory",
	"put another block",
	"add slot",
	"delete",
	"move slot",
	"rename slot",
	"make slot read-only",
	"map block",
	"unmap",
	"protect",
	"relax",
	"age",
	"split",
};

/* What the slots say */

static const struct s2_memslot *slot_of(const struct world *w, uint64_t gpa)
{
	for (unsigned int i = 0; i < 2; i++)
		if (gpa - w->is[i].gpa.gpa < w->is[i].size)
			return &w->is[i];
	return NULL;
}

static uint64_t hpa_of(const struct world *w, const struct s2_memslot *slot, uint64_t gpa)
{
	uint64_t offset = slot->hva.hva + (gpa - slot->gpa.gpa) - SIM_HVA_BASE;

	return w->sim.chunks[offset >> SIM_CHUNK_SHIFT].hpa +
	       (offset & ((1ull << SIM_CHUNK_SHIFT) - 1));
}

static void empty(struct world *w, uint64_t gpa, uint64_t size)
{
	sim_idle_empty(&w->sim, gpa, size);
}

/* vCPUs */

static void judge_exit(struct world *w, const struct s2_fault *fault, const struct s2_exit *exit)
{
	const struct s2_memslot *slot = slot_of(w, fault->gpa.gpa);
	int mmio = !slot || (slot->flags & S2_SLOT_READONLY && fault->access == S2_ACCESS_WRITE);

	if (exit->reason != (mmio ? S2_EXIT_MMIO : S2_EXIT_RESUME) || exit->has_slot != !!slot)
		sim_fail(&w->sim, "race: fault at 0x%llx: exit %u, has_slot %u",
			 (unsigned long long)fault->gpa.gpa, exit->reason, exit->has_slot);
}

static void fault(struct world *w, unsigned int n, const struct act *act, enum s2_fault_kind kind)
{
	const struct s2_fault fault = { .gpa = s2_gpa(act->gpa),
					.access = (uint8_t)act->arg,
					.kind = (uint8_t)kind };
	uint64_t moved;
	struct s2_exit exit;
	int still, ret;

	for (;;) {
		still = !w->moving;
		moved = w->moved;
		ret = s2_fault(&w->vm, &w->walker[n], &fault, &exit);
		if (ret)
			sim_fail(&w->sim, "race: fault: %s", s2_strerror(ret));
		if (exit.reason != S2_EXIT_RESUME || exit.size)
			break;
		if (kind == S2_FAULT_ACCESS)
			return; /* it is gone: the guest would fault again, otherwise */
		w->sim.port.relax(&w->sim);
	}
	if (still && moved == w->moved)
		judge_exit(w, &fault, &exit);
}

static void prefault(struct world *w, unsigned int n, const struct act *act)
{
	struct s2_progress progress;
	uint64_t moved = w->moved;
	int still = !w->moving && slot_of(w, act->gpa), ret;

	ret = s2_vm_prefault(&w->vm, s2_gpa(act->gpa), act->size, (enum s2_access)act->arg,
			     &w->walker[n], &progress);
	if (ret && (ret != S2_ENOENT || (still && moved == w->moved)))
		sim_fail(&w->sim, "race: prefault: %s", s2_strerror(ret));
}

/* The host */

static void tell(struct world *w, unsigned int kind, uint64_t hpa, uint64_t size)
{
	pthread_mutex_lock(&w->sim.lock);
	sim_tell(&w->sim, kind, 0, hpa, size);
	pthread_mutex_unlock(&w->sim.lock);
}

static void reback(struct world *w, unsigned int n, int merge)
{
	struct sim_chunk chunk = w->sim.chunks[n];

	chunk.hpa ^= 1ull << 35;
	if (merge)
		chunk.shift = SIM_CHUNK_SHIFT;
	sim_set_chunk(&w->sim, n, &chunk);
}

/* Nothing is mapped, cached or held; or at least it cannot be written. */
static void taken(struct world *w, const struct act *act)
{
	struct sim_leaf leaf;

	for (unsigned int n = 0; n < WALKERS; n++)
		if (w->held[n] && w->held[n] - 1 - act->gpa < act->size)
			sim_fail(&w->sim, "race: 0x%llx is taken while it is held",
				 (unsigned long long)act->gpa);
	if (act->verb != SHARE)
		empty(w, act->gpa, act->size);
	for (uint64_t gpa = act->gpa; act->verb == SHARE && gpa < act->gpa + act->size;
	     gpa += PAGE) {
		sim_translate(&w->sim, gpa, &leaf);
		if (leaf.mapped && leaf.prot & S2_W)
			sim_fail(&w->sim, "race: 0x%llx can be written", (unsigned long long)gpa);
	}
}

static void host(struct world *w, unsigned int n, const struct act *act)
{
	const struct s2_memslot *slot = slot_of(w, act->gpa);
	int ret = s2_vm_invalidate_begin(&w->vm, s2_gpa(act->gpa), act->size,
					 act->verb == SHARE ? S2_INVAL_WRITE : S2_INVAL_UNMAP,
					 &w->walker[n]);

	if (ret)
		sim_fail(&w->sim, "race: begin: %s", s2_strerror(ret));
	taken(w, act);
	sim_point(&w->sim, act->gpa);
	taken(w, act);
	if (act->verb == REBACK || act->verb == MERGE)
		reback(w, act->arg, act->verb == MERGE);
	if (act->verb == TAKE && slot)
		tell(w, S2C_TAKE, hpa_of(w, slot, act->gpa), act->size);
	sim_point(&w->sim, act->gpa);
	taken(w, act);
	if (act->verb == TAKE && slot)
		tell(w, S2C_GIVE, hpa_of(w, slot, act->gpa), act->size);
	s2_vm_invalidate_end(&w->vm, s2_gpa(act->gpa), act->size);
}

/* What the slots are now decides what has to be empty; they cannot change before the end. */
static void taken_by_name(struct world *w, unsigned int chunk)
{
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t offset = sim_hva(chunk) - w->is[i].hva.hva;
		const struct act piece = { .gpa = w->is[i].gpa.gpa + offset, .size = REGIONS(1) };

		if (!w->moving && offset < w->is[i].size)
			taken(w, &piece);
	}
}

static void host_by_name(struct world *w, unsigned int n, const struct act *act)
{
	struct s2_host_change change;
	int ret = s2_vm_host_begin(&w->vm, &change, s2_hva(sim_hva(act->arg)), REGIONS(1),
				   S2_INVAL_UNMAP, &w->walker[n]);

	if (ret)
		sim_fail(&w->sim, "race: host begin: %s", s2_strerror(ret));
	taken_by_name(w, act->arg);
	reback(w, act->arg, 0);
	sim_point(&w->sim, act->gpa);
	taken_by_name(w, act->arg);
	s2_vm_host_end(&w->vm, &change);
}

/* The page that it has stays what it is as long as it has it. */
static void hold(struct world *w, unsigned int n, const struct act *act)
{
	struct s2_hold hold = { .ctx = NULL };
	int ret = s2_hold_init(&hold, &w->vm, s2_gpa(act->gpa), 8, (enum s2_access)act->arg);

	for (int i = 0; i < 2 && !ret; i++) {
		uint64_t moved = w->moved, hpa;
		int still = !w->moving && slot_of(w, act->gpa);

		ret = s2_hold_use(&hold, &w->walker[n]);
		if (ret == S2_ENOENT && (!still || moved != w->moved)) {
			ret = 0;
			continue;
		}
		if (ret)
			break;
		w->held[n] = act->gpa + 1;
		hpa = hold.hpa.hpa;
		sim_point(&w->sim, act->gpa);
		if (!slot_of(w, act->gpa) || hpa != hpa_of(w, slot_of(w, act->gpa), act->gpa))
			sim_fail(&w->sim, "race: held 0x%llx has gone", (unsigned long long)hpa);
		w->held[n] = 0;
		s2_hold_done(&hold);
	}
	if (ret)
		sim_fail(&w->sim, "race: hold: %s", s2_strerror(ret));
	s2_hold_fini(&hold);
}

/* Slots */

static const struct s2_memslot slot_at_first[2] = {
	{ .size = REGIONS(2), .hva = { SIM_HVA_BASE } },
	{ .gpa = { SLOT1 }, .size = REGIONS(1), .hva = { SIM_HVA_BASE + REGIONS(4) } },
};

/* Returns what the engine says; *to: what the slot is then. */
static int change(struct world *w, unsigned int n, const struct act *act, struct s2_memslot *to)
{
	struct s2_memslot *slot = &w->slot[act->arg];
	int ret;

	*to = w->is[act->arg];
	switch (act->verb) {
	case ADD:
		*slot = *to = slot_at_first[act->arg];
		return s2_vm_slot_add(&w->vm, slot);
	case DELETE:
		ret = s2_vm_slot_del(&w->vm, slot, &w->walker[n]);
		if (!ret) /* its memory is ours again */
			memset(slot, 0xa5, sizeof(*slot));
		to->size = 0;
		return ret;
	case MOVE:
		to->gpa = s2_gpa(SLOT1);
		break;
	case RENAME:
		to->hva = s2_hva(sim_hva(4));
		break;
	default:
		to->flags = S2_SLOT_READONLY;
		break;
	}
	return s2_vm_slot_change(&w->vm, slot, to, &w->walker[n]);
}

/* S2_EAGAIN: the host changes what is behind it. */
static void change_slot(struct world *w, unsigned int n, const struct act *act)
{
	const struct s2_memslot was = w->is[act->arg];
	struct s2_memslot to;
	int ret;

	w->moving++;
	w->moved++;
	while ((ret = change(w, n, act, &to)) == S2_EAGAIN)
		w->sim.port.relax(&w->sim);
	if (ret)
		sim_fail(&w->sim, "race: %s: %s", verb_name[act->verb], s2_strerror(ret));
	w->is[act->arg] = to;
	w->moving--;
	if (act->verb == DELETE || act->verb == MOVE)
		empty(w, was.gpa.gpa, was.size);
}

/* Management */

static void manage(struct world *w, unsigned int n, const struct act *act)
{
	const struct s2_attr all = { .prot = S2_RWX, .type = S2_MEM_NORMAL };
	struct s2_walker *walker = &w->walker[n];
	struct s2_pt *pt = &w->vm.pt;
	struct s2_progress progress;
	struct s2_gather gather;
	s2_gpa_t gpa = s2_gpa(act->gpa);
	int ret;

	s2_gather_init(&gather, pt);
	switch (act->verb) {
	case COLLAPSE:
		ret = s2_pt_map(pt, gpa, s2_hpa(hpa_of(w, slot_of(w, act->gpa), act->gpa)),
				act->size, all, S2_MAP_REPLACE, walker, &gather, &progress);
		break;
	case UNMAP:
		ret = s2_pt_unmap(pt, gpa, act->size, walker, &gather, &progress);
		break;
	case PROTECT:
		ret = s2_pt_protect(pt, gpa, act->size, S2_W, walker, &gather, &progress);
		break;
	case RELAX:
		ret = s2_pt_relax(pt, gpa, act->size, S2_W, walker, &gather, &progress);
		break;
	case AGE:
		ret = s2_pt_age(pt, gpa, act->size, S2_AGE_CLEAR, walker, &gather, &progress);
		break;
	default:
		ret = s2_pt_split(pt, gpa, act->size, 0, walker, &gather, &progress);
		break;
	}
	s2_gather_flush(&gather, walker);
	if (ret || progress.done != act->size)
		sim_fail(&w->sim, "race: %s: %s after 0x%llx bytes", verb_name[act->verb],
			 s2_strerror(ret), (unsigned long long)progress.done);
}

static void perform(struct world *w, unsigned int n, const struct act *act)
{
	switch (act->verb) {
	case FAULT:
	case FAULT_PAGE:
		fault(w, n, act, S2_FAULT_TRANSLATION);
		break;
	case PERMISSION:
		fault(w, n, act, S2_FAULT_PERMISSION);
		break;
	case TOUCH:
		fault(w, n, act, S2_FAULT_ACCESS);
		break;
	case PREFAULT:
		prefault(w, n, act);
		break;
	case INVALIDATE:
	case TAKE:
	case REBACK:
	case MERGE:
	case SHARE:
		host(w, n, act);
		break;
	case HOST_REBACK:
		host_by_name(w, n, act);
		break;
	case HOLD:
		hold(w, n, act);
		break;
	case ADD:
	case DELETE:
	case MOVE:
	case RENAME:
	case READONLY:
		change_slot(w, n, act);
		break;
	default:
		manage(w, n, act);
		break;
	}
}

static void actor(void *ctx, unsigned int n)
{
	struct world *w = ctx;

	for (unsigned int i = 0; i < RACE_ACTS && w->race->actor[n][i].verb; i++) {
		const struct act *act = &w->race->actor[n][i];

		if (w->loud)
			printf("  actor %u: %s at 0x%llx, 0x%llx bytes\n", n, verb_name[act->verb],
			       (unsigned long long)act->gpa, (unsigned long long)act->size);
		perform(w, n, act);
		if (w->loud)
			printf("  actor %u: %s done\n", n, verb_name[act->verb]);
	}
}

/* A world for each run */

static int on_resolve(void *ctx, uint64_t hva, enum s2_access access, struct s2_page *page,
		      int result)
{
	const struct world *w = ctx;

	(void)hva;
	(void)access;
	if (w->pages_only >> sim_self.cpu & 1)
		page->size = PAGE;
	return result;
}

static void set_up(void *ctx)
{
	struct world *w = ctx;
	const struct sim_config sim = { .seed = 1,
					.cpu = { .pa_bits = 48, .features = w->barrier ? FAST : 0 },
					.frames = 64,
					.chunks = CHUNKS,
					.barrier = (uint8_t)w->barrier };
	const struct s2_vm_config config = { .pt = { .format = S2_FORMAT_ARM64_4K,
						     .ipa_bits = w->barrier ? 34 : 39,
						     .block_level = 1,
						     .cpu = sim.cpu } };

	sim_init(&w->sim, &sim);
	w->sim.on_resolve = on_resolve;
	w->sim.on_resolve_ctx = w;
	for (unsigned int i = 0; i < CHUNKS; i++)
		w->sim.chunks[i] =
			(struct sim_chunk){ .hpa = (4ull << 30) + REGIONS(i),
					    .shift = w->race->blocks ? SIM_CHUNK_SHIFT : 12,
					    .prot = S2_RWX };
	if (s2_vm_init(&w->vm, &config, &w->sim.port))
		abort();
	for (unsigned int n = 0; n < WALKERS; n++)
		s2_walker_init(&w->walker[n], &w->vm.pt);
	sim_thread(HOME, &w->walker[HOME]);
	sim_start(&w->sim, s2_arm64_vtcr(&w->vm.pt), s2_arm64_vttbr(&w->vm.pt, 7));
	w->moving = 0;
	w->pages_only = 0;
	for (unsigned int n = 0; n < RACE_ACTORS; n++)
		w->pages_only |= (w->race->actor[n][0].verb == FAULT_PAGE) << n;
	memset(w->is, 0, sizeof(w->is));
	memset(w->held, 0, sizeof(w->held));
	perform(w, HOME, &(struct act){ .verb = ADD });
	for (unsigned int i = 0; i < RACE_ACTS && w->race->before[i].verb; i++)
		perform(w, HOME, &w->race->before[i]);
}

static const struct s2_walker *walker_of(void *ctx, unsigned int n)
{
	struct world *w = ctx;

	return &w->walker[n];
}

/* What is mapped at this page, if anything, is right; and it can be mapped. */
static void judge_page(struct world *w, uint64_t gpa)
{
	const struct s2_memslot *slot = slot_of(w, gpa);
	const struct act again = { .gpa = gpa, .arg = S2_ACCESS_READ };
	struct sim_leaf leaf;

	sim_translate(&w->sim, gpa, &leaf);
	if (leaf.mapped && (!slot || leaf.hpa != hpa_of(w, slot, gpa) ||
			    (leaf.prot & S2_W && slot->flags & S2_SLOT_READONLY)))
		sim_fail(&w->sim, "race: 0x%llx is mapped to 0x%llx, rights %u",
			 (unsigned long long)gpa, (unsigned long long)leaf.hpa, leaf.prot);
	fault(w, HOME, &again, S2_FAULT_PERMISSION);
	if (!slot)
		return;
	sim_translate(&w->sim, gpa, &leaf);
	if (!leaf.mapped || leaf.hpa != hpa_of(w, slot, gpa))
		sim_fail(&w->sim, "race: 0x%llx cannot be mapped", (unsigned long long)gpa);
	sim_idle_local(&w->sim, gpa, PAGE, S2_R);
}

static void judge(void *ctx)
{
	struct world *w = ctx;
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
	for (unsigned int n = 0; n < RACE_ACTORS; n++)
		for (unsigned int i = 0; i < RACE_ACTS && w->race->actor[n][i].verb; i++)
			judge_page(w, w->race->actor[n][i].gpa);
	judge_page(w, SLOT1);
	sim_idle(&w->sim, 0, ALL);
}

static void tear_down(void *ctx)
{
	struct world *w = ctx;

	sim_stop(&w->sim);
	for (unsigned int n = 0; n < WALKERS; n++)
		s2_walker_fini(&w->walker[n]);
	s2_vm_fini(&w->vm);
	sim_fini(&w->sim);
}

static int touches(const struct act *acts, uint64_t gpa)
{
	for (unsigned int i = 0; i < RACE_ACTS && acts[i].verb; i++)
		if (gpa == (acts[i].gpa & ~(REGIONS(1) - 1)) || gpa - acts[i].gpa < PAGE ||
		    gpa - acts[i].gpa < acts[i].size % REGIONS(1))
			return 1;
	return 0;
}

/*
 * Entries that only one actor comes to are left out, or a table that is frozen would be most of a
 * race: all but the pages that somebody names, and where their tables or blocks stand.
 */
static int matters(void *ctx, enum sim_where where, uint64_t gpa)
{
	const struct world *w = ctx;
	int named = where != SIM_AT_CAS || touches(w->race->before, gpa);

	for (unsigned int n = 0; n < RACE_ACTORS && !named; n++)
		named = touches(w->race->actor[n], gpa);
	return named;
}

static unsigned int actors_of(const struct race *race)
{
	unsigned int n = 0;

	while (n < RACE_ACTORS && race->actor[n][0].verb)
		n++;
	return n;
}

void race_configure(const struct race *race, int barrier, int loud,
		    struct sim_explore_config *config)
{
	world.race = race;
	world.barrier = barrier;
	world.loud = loud;
	*config = (struct sim_explore_config){ .sim = &world.sim,
					       .actors = actors_of(race),
					       .preemptions = race->preemptions,
					       .ctx = &world,
					       .setup = set_up,
					       .walker = walker_of,
					       .check = judge,
					       .teardown = tear_down,
					       .matters = matters };
	for (unsigned int n = 0; n < config->actors; n++)
		config->actor[n] = actor;
}
