// SPDX-License-Identifier: BSD-2-Clause
/*
 * The world in which the races of races.c are run: a small simulated machine, made anew for each
 * run, and who does what each verb says. Who judges: race_judge.c.
 *
 * Kinds of machine: a plain one with two levels of tables below the root; one with a single level,
 * whose CPUs do everything, FEAT_BBM 2 too, and whose port has a barrier(); and two whose CPUs set
 * access flags: with FEAT_BBM 1 and the plain one's tables, for races with blocks; with FEAT_BBM 2
 * and the other's, for races in which pages grow old. There hardware acts by plan, as USE says, not
 * by chance.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stage2/arm64.h>

#include "race_world.h"

#define FAST (S2_CPU_FWB | S2_CPU_DIC | S2_CPU_TLB_RANGE | S2_CPU_TLB_LEVEL)

static const struct machine {
	const char *name;
	uint32_t features;
	uint8_t bbm, ipa_bits, barrier;
} machines[RACE_MACHINES] = {
	{ "", 0, 0, 39, 0 },
	{ "+barrier", FAST, 2, 34, 1 },
	{ "+bbm1", S2_CPU_HA, 1, 39, 0 },
	{ "+ha", FAST | S2_CPU_HA, 2, 34, 0 },
};

static struct world world;

const char *const race_verb[VERBS] = {
	"nothing",
	"fault",
	"fault on a page",
	"permission fault",
	"access flag fault",
	"prefault",
	"use",
	"take",
	"take and give",
	"put other memory",
	"put another block",
	"withdraw writing",
	"put other memory by name",
	"withdraw writing by name",
	"hold",
	"add slot",
	"delete",
	"move slot",
	"rename slot",
	"make slot read-only",
	"make private",
	"make shared",
	"forbid writing",
	"allow writing",
	"map block",
	"unmap",
	"protect",
	"relax",
	"age",
	"harvest age",
	"split",
	"run out of memory",
	"have memory again",
};

int somebody(const struct race *race, enum verb verb)
{
	for (unsigned int n = 0; n < RACE_ACTORS; n++)
		for (unsigned int i = 0; i < RACE_ACTS; i++)
			if (race->actor[n][i].verb == verb)
				return 1;
	return 0;
}

const char *race_machine(const struct race *race, unsigned int machine)
{
	int ages = somebody(race, AGE) || somebody(race, YOUNG) || somebody(race, USE);

	if ((machine == 2 && !race->blocks) || (machine == 3 && !ages))
		return NULL;
	return machines[machine].name;
}

int race_happened(void)
{
	return world.refused || !somebody(world.race, EXHAUST);
}

/* What the slots say */

const struct s2_memslot *slot_of(const struct world *w, uint64_t gpa)
{
	for (unsigned int i = 0; i < 2; i++)
		if (gpa - w->is[i].gpa.gpa < w->is[i].size)
			return &w->is[i];
	return NULL;
}

unsigned int attrs_of(const struct world *w, uint64_t gpa)
{
	const struct s2_memslot *slot = slot_of(w, gpa);

	return slot && slot->attrs ? w->attrs_are[(gpa - slot->gpa.gpa) / PAGE] : 0;
}

uint64_t hpa_of(const struct world *w, const struct s2_memslot *slot, uint64_t gpa)
{
	int private = slot->attrs && attrs_of(w, gpa) & S2_PAGE_PRIVATE;
	uint64_t hva = private ? slot->priv.hva : slot->hva.hva;
	uint64_t offset = hva + (gpa - slot->gpa.gpa) - SIM_HVA_BASE;

	return w->sim.chunks[offset >> SIM_CHUNK_SHIFT].hpa +
	       (offset & ((1ull << SIM_CHUNK_SHIFT) - 1));
}

void tell(struct world *w, unsigned int kind, uint64_t address, uint64_t size)
{
	pthread_mutex_lock(&w->sim.lock);
	sim_tell(&w->sim, kind, 0, address, size);
	pthread_mutex_unlock(&w->sim.lock);
}

/* Who does it */

static void perform(struct world *w, unsigned int n, const struct act *act)
{
	switch (act->verb) {
	case FAULT:
	case FAULT_PAGE:
		(void)vcpu_fault(w, n, act, S2_FAULT_TRANSLATION);
		break;
	case PERMISSION:
		(void)vcpu_fault(w, n, act, S2_FAULT_PERMISSION);
		break;
	case TOUCH:
		(void)vcpu_fault(w, n, act, S2_FAULT_ACCESS);
		break;
	case PREFAULT:
		vcpu_prefault(w, n, act);
		break;
	case USE:
		vcpu_use(w, n, act);
		break;
	case INVALIDATE:
	case TAKE:
	case REBACK:
	case MERGE:
	case SHARE:
		host_takes(w, n, act);
		break;
	case HOST_REBACK:
	case HOST_SHARE:
		host_takes_by_name(w, n, act);
		break;
	case HOLD:
		vcpu_hold(w, n, act);
		break;
	case ADD:
	case DELETE:
	case MOVE:
	case RENAME:
	case READONLY:
		host_changes_slot(w, n, act);
		break;
	case MAKE_PRIVATE:
	case MAKE_SHARED:
	case FORBID:
	case ALLOW:
		host_sets_attrs(w, n, act);
		break;
	case EXHAUST:
	case RESTORE:
		memory_changes(w, act);
		break;
	default:
		manage(w, n, act);
		break;
	}
	judge_settled(w);
}

static void actor(void *ctx, unsigned int n)
{
	struct world *w = ctx;

	for (unsigned int i = 0; i < RACE_ACTS && w->race->actor[n][i].verb; i++) {
		const struct act *act = &w->race->actor[n][i];

		if (w->loud)
			printf("  actor %u: %s at 0x%llx, 0x%llx bytes\n", n, race_verb[act->verb],
			       (unsigned long long)act->gpa, (unsigned long long)act->size);
		perform(w, n, act);
		if (w->loud)
			printf("  actor %u: %s done\n", n, race_verb[act->verb]);
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

static void set_up_host(struct world *w)
{
	w->sim.on_resolve = on_resolve;
	w->sim.on_resolve_ctx = w;
	for (unsigned int i = 0; i < CHUNKS; i++)
		w->sim.chunks[i] =
			(struct sim_chunk){ .hpa = (4ull << 30) + REGIONS(i),
					    .shift = w->race->blocks ? SIM_CHUNK_SHIFT : 12,
					    .prot = S2_RWX };
	w->moving = 0;
	w->pages_only = 0;
	w->exhausted = 0;
	for (unsigned int n = 0; n < RACE_ACTORS; n++)
		w->pages_only |= (w->race->actor[n][0].verb == FAULT_PAGE) << n;
	memset(w->is, 0, sizeof(w->is));
	memset(w->held, 0, sizeof(w->held));
	memset(w->attrs, 0, sizeof(w->attrs));
	memset(w->attrs_are, 0, sizeof(w->attrs_are));
}

static void set_up(void *ctx)
{
	struct world *w = ctx;
	const struct machine *machine = &machines[w->machine];
	const struct sim_config sim = {
		.seed = 1,
		.cpu = { .pa_bits = 48, .features = machine->features, .bbm = machine->bbm },
		.frames = 64,
		.chunks = CHUNKS,
		.barrier = machine->barrier
	};
	const struct s2_vm_config config = { .pt = { .format = S2_FORMAT_ARM64_4K,
						     .ipa_bits = machine->ipa_bits,
						     .block_level = 1,
						     .cpu = sim.cpu } };

	sim_init(&w->sim, &sim);
	set_up_host(w);
	if (s2_vm_init(&w->vm, &config, &w->sim.port))
		abort();
	for (unsigned int n = 0; n < WALKERS; n++)
		s2_walker_init(&w->walker[n], &w->vm.pt);
	sim_thread(HOME, &w->walker[HOME]);
	sim_start(&w->sim, s2_arm64_vtcr(&w->vm.pt), s2_arm64_vttbr(&w->vm.pt, 7));
	w->sim.running = 0; /* no access flags by chance */
	if (w->race->attrs && pages_move(w))
		tell(w, S2C_TAKE, w->sim.chunks[PRIVATE_CHUNK].hpa, REGIONS(2));
	perform(w, HOME, &(struct act){ .verb = ADD });
	for (unsigned int i = 0; i < RACE_ACTS && w->race->before[i].verb; i++)
		perform(w, HOME, &w->race->before[i]);
	judge_begin(w);
}

static const struct s2_walker *walker_of(void *ctx, unsigned int n)
{
	struct world *w = ctx;

	return &w->walker[n];
}

static void judge(void *ctx)
{
	judge_end(ctx);
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

void race_configure(const struct race *race, unsigned int machine, int loud,
		    struct sim_explore_config *config)
{
	world.race = race;
	world.machine = machine;
	world.loud = loud;
	world.refused = 0;
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
