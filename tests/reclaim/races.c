// SPDX-License-Identifier: BSD-2-Clause
/*
 * Races between the guest's CPUs and the host that takes its memory (world.h), played in every
 * order up to a bound of preemptions (ports/sim/actors.h), with the simulated machine as a judge of
 * what the engine does and of frames that are taken back.
 * Options: orders.h.
 *
 * At most one actor is the scanner (acts from TAKE on): reclaim.c has a lock for that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stage2/arm64.h>

#include "machine.h"
#include "orders.h"
#include "world.h"

#define HOME   3 /* who prepares, and looks at the end */
#define USED   8
#define ACTORS 3
#define ACTS   5

enum verb {
	NOTHING,
	READ,
	WRITE, /* both words, and reads them again */
	FILL,  /* the CPU HOME's words: prepares */
	TAKE,  /* n pages */
	MOVE,
	MERGE, /* with page arg */
	OFFER, /* for merging, by contents */
	PASS,  /* of the scanner */
	FULL,  /* no frame is free: prepares */
};

struct act {
	enum verb verb;
	uint64_t page;
	unsigned int arg;
};

enum what {
	TAKEN = 1 << 0,
	ZEROS = 1 << 1,
	GIVEN = 1 << 2,
	MOVED = 1 << 3,
	MERGED = 1 << 4,
	UNSHARED = 1 << 5,
};

struct race {
	const char *name;
	const char *about;
	unsigned int preemptions;
	unsigned int block_level;
	unsigned int must; /* enum what: this happened in some of the orders */
	struct act before[6];
	struct act actor[ACTORS][ACTS];
};

#define SAME(a, b)         \
	{ FILL, a, 1 },    \
	{                  \
		FILL, b, 1 \
	}
#define SHARED(a, b)        \
	SAME(a, b),         \
	{                   \
		MERGE, a, b \
	}
#define SHARED3                                                          \
	{ FILL, 0, 1 }, { FILL, 1, 1 }, { FILL, 2, 1 }, { MERGE, 0, 1 }, \
	{                                                                \
		MERGE, 2, 1                                              \
	}

static const struct race races[] = {
	{ .name = "write-write",
	  .about = "two CPUs write to the two pages that show one frame",
	  .preemptions = 3,
	  .must = UNSHARED,
	  .before = { SHARED(0, 1) },
	  .actor = { { { WRITE, 0, 0 } }, { { WRITE, 1, 0 } } } },
	{ .name = "write-same-page",
	  .about = "two CPUs write to one of them",
	  .preemptions = 3,
	  .must = UNSHARED,
	  .before = { SHARED(0, 1) },
	  .actor = { { { WRITE, 0, 0 } }, { { WRITE, 0, 0 }, { READ, 1, 0 } } } },
	{ .name = "write-write-write",
	  .about = "three pages, three CPUs",
	  .preemptions = 2,
	  .must = UNSHARED,
	  .before = { SHARED3 },
	  .actor = { { { WRITE, 0, 0 } }, { { WRITE, 1, 0 } }, { { WRITE, 2, 0 } } } },
	{ .name = "write-take",
	  .about = "one page leaves the frame, the other is taken away",
	  .preemptions = 3,
	  .must = UNSHARED | TAKEN | GIVEN,
	  .before = { SHARED(0, 1) },
	  .actor = { { { WRITE, 0, 0 }, { READ, 1, 0 } }, { { TAKE, 1, 1 }, { TAKE, 0, 1 } } } },
	{ .name = "write-write-take",
	  .about = "both leave it, and are taken",
	  .preemptions = 2,
	  .must = UNSHARED | TAKEN | GIVEN,
	  .before = { SHARED(0, 1) },
	  .actor = { { { WRITE, 0, 0 } }, { { WRITE, 1, 0 } }, { { TAKE, 0, 2 } } } },
	{ .name = "write-move",
	  .about = "one page leaves the frame, the other moves",
	  .preemptions = 3,
	  .must = UNSHARED | MOVED,
	  .before = { SHARED(0, 1) },
	  .actor = { { { WRITE, 0, 0 }, { READ, 1, 0 } }, { { MOVE, 1, 0 }, { MOVE, 0, 0 } } } },
	{ .name = "write-joined",
	  .about = "one page leaves the frame, a third one joins",
	  .preemptions = 3,
	  .must = UNSHARED | MERGED,
	  .before = { SHARED(0, 1), { FILL, 2, 1 } },
	  .actor = { { { WRITE, 0, 0 } }, { { MERGE, 2, 1 } } } },
	{ .name = "write-joined-write",
	  .about = "and another CPU writes to the one that stays",
	  .preemptions = 2,
	  .must = UNSHARED | MERGED,
	  .before = { SHARED(0, 1), { FILL, 2, 1 } },
	  .actor = { { { WRITE, 0, 0 } }, { { MERGE, 2, 1 } }, { { WRITE, 1, 0 } } } },
	{ .name = "merge-write-lost",
	  .about = "a page is written while it loses its frame to an equal one",
	  .preemptions = 3,
	  .must = MERGED | UNSHARED,
	  .before = { SAME(0, 1), { FILL, 0, 1 } },
	  .actor = { { { WRITE, 0, 0 } }, { { MERGE, 0, 1 } } } },
	{ .name = "merge-write-kept",
	  .about = "the other one is written, whose frame is kept",
	  .preemptions = 3,
	  .must = MERGED | UNSHARED,
	  .before = { SAME(0, 1) },
	  .actor = { { { WRITE, 1, 0 } }, { { MERGE, 0, 1 } } } },
	{ .name = "merge-write-both",
	  .about = "both are written",
	  .preemptions = 2,
	  .must = MERGED | UNSHARED,
	  .before = { SAME(0, 1) },
	  .actor = { { { WRITE, 0, 0 } }, { { WRITE, 1, 0 } }, { { MERGE, 0, 1 } } } },
	{ .name = "offer-write",
	  .about = "the same by contents, among pages that come and go",
	  .preemptions = 2,
	  .must = MERGED | UNSHARED,
	  .before = { SAME(0, 1), { FILL, 2, 1 }, { OFFER, 2, 0 } },
	  .actor = { { { WRITE, 2, 0 }, { READ, 0, 0 } },
		     { { OFFER, 0, 0 }, { OFFER, 1, 0 }, { OFFER, 2, 0 } } } },
	{ .name = "take-write",
	  .about = "pages are taken while a CPU writes to them, and come back",
	  .preemptions = 3,
	  .must = TAKEN | GIVEN,
	  .before = { { FILL, 0, 1 }, { FILL, 1, 2 } },
	  .actor = { { { WRITE, 0, 0 }, { WRITE, 1, 0 } }, { { TAKE, 0, 2 } } } },
	{ .name = "take-zero-write",
	  .about = "the page is all zeros",
	  .preemptions = 3,
	  .must = TAKEN | ZEROS | GIVEN,
	  .before = { { FILL, 0, 0 } },
	  .actor = { { { WRITE, 0, 0 } }, { { TAKE, 0, 1 } } } },
	{ .name = "away-write-write",
	  .about = "two CPUs want a page back that is out",
	  .preemptions = 3,
	  .must = GIVEN,
	  .before = { { FILL, 0, 1 }, { TAKE, 0, 1 } },
	  .actor = { { { WRITE, 0, 0 } }, { { WRITE, 0, 0 } } } },
	{ .name = "away-write-take",
	  .about = "and it is taken again",
	  .preemptions = 2,
	  .must = GIVEN | TAKEN,
	  .before = { { FILL, 0, 1 }, { TAKE, 0, 1 } },
	  .actor = { { { WRITE, 0, 0 } },
		     { { READ, 0, 0 } },
		     { { TAKE, 0, 1 }, { TAKE, 0, 1 } } } },
	{ .name = "move-write",
	  .about = "a page moves under a CPU that writes",
	  .preemptions = 3,
	  .must = MOVED,
	  .before = { { FILL, 0, 1 } },
	  .actor = { { { WRITE, 0, 0 }, { READ, 0, 0 } }, { { MOVE, 0, 0 }, { MOVE, 0, 0 } } } },
	{ .name = "move-write-write",
	  .about = "under two",
	  .preemptions = 2,
	  .must = MOVED,
	  .before = { { FILL, 0, 1 } },
	  .actor = { { { WRITE, 0, 0 } }, { { WRITE, 0, 0 } }, { { MOVE, 0, 0 } } } },
	{ .name = "block-take-write",
	  .about = "a page leaves a block in which others are written",
	  .preemptions = 3,
	  .block_level = 1,
	  .must = TAKEN,
	  .before = { { FILL, 0, 1 }, { FILL, 1, 1 } },
	  .actor = { { { WRITE, 0, 0 }, { WRITE, 1, 0 } }, { { TAKE, 0, 1 } } } },
	{ .name = "block-merge-write",
	  .about = "pages of one block are merged",
	  .preemptions = 2,
	  .block_level = 1,
	  .must = MERGED | UNSHARED,
	  .before = { SAME(0, 1), { FILL, 2, 1 } },
	  .actor = { { { WRITE, 0, 0 } }, { { WRITE, 1, 0 } }, { { MERGE, 0, 1 } } } },
	{ .name = "pass-write",
	  .about = "the scanner's own steps, over pages that are equal, zero and in use",
	  .preemptions = 1,
	  .must = MERGED | TAKEN | UNSHARED | GIVEN,
	  .before = { SAME(0, 1), { FILL, 2, 0 } },
	  .actor = { { { WRITE, 0, 0 }, { READ, 2, 0 } },
		     { { PASS, 0, 0 }, { PASS, 0, 0 }, { PASS, 0, 0 } } } },
	{ .name = "full-write",
	  .about = "no frame is free but the one that somebody is about to give back",
	  .preemptions = 3,
	  .must = UNSHARED | TAKEN,
	  .before = { SHARED(0, 1), { FILL, 2, 1 }, { FULL, 0, 0 } },
	  .actor = { { { WRITE, 0, 0 } }, { { MOVE, 2, 0 }, { TAKE, 2, 1 } } } },
};

#define RACES (sizeof(races) / sizeof(races[0]))

static const struct race *race;
static struct sim sim;
static struct s2_port port;
static unsigned int now;      /* who runs */
static unsigned int happened; /* enum what, in any run of this race */
static int aged;              /* TLBs may have entries that are not old yet: that is meant */
static int loud;
static void (*inner_tlb)(void *ctx, const struct s2_tlb_op *ops, size_t n);
static uint64_t held[HYP_SPARE_FRAMES];
static unsigned int nheld;

/* --- what the world asks for --- */

unsigned int play_cpu(void)
{
	return now;
}

void play_point(void)
{
	sim_point(&sim, 0);
}

void play_wait(void)
{
	sim.port.relax(sim.port.ctx);
}

int cpu_wanted(void)
{
	return 0;
}

/* It does not go on by itself: what a run does depends on the order alone. */
uint64_t report_now(void)
{
	return 1;
}

int play_walk(unsigned int cpu, uint64_t gpa, uint64_t *hpa, unsigned int *prot)
{
	struct sim_leaf leaf;

	(void)cpu;
	sim_translate(&sim, gpa, &leaf);
	if (!leaf.mapped)
		return S2_FAULT_TRANSLATION;
	*hpa = leaf.hpa;
	*prot = leaf.prot;
	return leaf.young ? -1 : S2_FAULT_ACCESS;
}

static void tell(unsigned int kind, uint64_t address, uint64_t size)
{
	pthread_mutex_lock(&sim.lock);
	sim_tell(&sim, kind, 0, address, size);
	pthread_mutex_unlock(&sim.lock);
}

void play_taken(uint64_t frame)
{
	tell(S2C_TAKE, frame, FRAME_SIZE_4K);
}

void play_given(uint64_t frame)
{
	tell(S2C_GIVE, frame, FRAME_SIZE_4K);
}

void play_empty(uint64_t gpa, uint64_t size)
{
	sim_idle_empty(&sim, gpa, size);
}

void play_failed(const char *what)
{
	sim_fail(&sim, "%s", what);
	abort();
}

static int on_resolve(void *ctx, uint64_t hva, enum s2_access access, struct s2_page *page,
		      int result)
{
	(void)ctx;
	(void)result;
	memset(page, 0, sizeof(*page));
	return reclaim_resolve(s2_hva(hva), access, page);
}

static void tlb(void *ctx, const struct s2_tlb_op *ops, size_t n)
{
	inner_tlb(ctx, ops, n);
	world_tlb(ops, n, now);
}

/* --- the acts --- */

static void write_page(unsigned int cpu, uint64_t n, uint64_t value)
{
	for (unsigned int word = 0; word < WORLD_WORDS; word++)
		world_write(cpu, n, word, value);
	for (unsigned int word = 0; word < WORLD_WORDS; word++)
		world_read(cpu, n, word, cpu);
}

static void read_page(unsigned int cpu, uint64_t n)
{
	world_read(cpu, n, 0, HOME);
	world_read(cpu, n, 1, HOME);
	world_read(cpu, n, 0, cpu);
}

/* All free frames are somebody's, who does not know the engine. */
static void hold_frames(void)
{
	while (hyp_frames.ring_head != hyp_frames.ring_tail && nheld < HYP_SPARE_FRAMES)
		held[nheld++] = frames_alloc();
}

static void drop_frames(void)
{
	while (nheld)
		frames_free(held[--nheld]);
}

static void perform(unsigned int n, const struct act *act)
{
	struct hyp_cpu *cpu = &hyp_cpus[n];

	switch (act->verb) {
	case READ:
		read_page(n, act->page);
		break;
	case WRITE:
		write_page(n, act->page, world_value(n, act->page, 0) + 2 + n);
		break;
	case FILL:
		write_page(n, act->page, act->arg);
		break;
	case TAKE:
		native_take(cpu, act->page, act->arg);
		break;
	case MOVE:
		native_move(cpu, act->page);
		break;
	case MERGE:
		native_merge(cpu, act->page, act->arg);
		break;
	case OFFER:
		native_offer(cpu, act->page);
		break;
	case PASS:
		aged = 1;
		native_pass(cpu);
		break;
	case FULL:
		hold_frames();
		break;
	case NOTHING:
		break;
	}
}

static void actor(void *ctx, unsigned int n)
{
	(void)ctx;
	for (unsigned int i = 0; i < ACTS && race->actor[n][i].verb; i++) {
		if (loud)
			printf("  actor %u: act %u\n", n, i);
		perform(n, &race->actor[n][i]);
	}
}

/* --- a run --- */

static void set_up(void *ctx)
{
	const struct sim_config config = { .seed = 1, .cpu = { .pa_bits = 48 }, .frames = 64 };
	const struct world_config world = { .port = &port,
					    .cpu = config.cpu,
					    .pages = 512,
					    .used = USED,
					    .reclaim = 50,
					    .merge = 1,
					    .block_level = race->block_level };

	(void)ctx;
	now = HOME;
	aged = 0;
	sim_init(&sim, &config);
	sim.on_resolve = on_resolve;
	inner_tlb = sim.port.tlb;
	port = sim.port;
	port.tlb = tlb;
	world_up(&world);
	native_hush();
	sim_thread(HOME, hyp_cpus[HOME].walker);
	sim_start(&sim, s2_arm64_vtcr(&hyp_guest.vm.pt), s2_arm64_vttbr(&hyp_guest.vm.pt, 7));
	for (unsigned int i = 0; i < sizeof(race->before) / sizeof(race->before[0]); i++)
		perform(HOME, &race->before[i]);
	for (unsigned int c = 0; c < WORLD_CPUS; c++)
		memset(&hyp_cpus[c].percpu->reclaim, 0, sizeof(hyp_cpus[c].percpu->reclaim));
}

static void note(void)
{
	for (unsigned int c = 0; c < WORLD_CPUS; c++) {
		const struct hyp_reclaim *r = &hyp_cpus[c].percpu->reclaim;

		happened |= (r->taken ? TAKEN : 0u) | (r->zeros ? ZEROS : 0u) |
			    (r->given_back ? GIVEN : 0u) | (r->moved ? MOVED : 0u) |
			    (r->merged ? MERGED : 0u) | (r->unshared ? UNSHARED : 0u);
	}
}

/* As it stands; and again when all was used. */
static void check(void *ctx)
{
	(void)ctx;
	now = HOME;
	note();
	drop_frames();
	world_audit();
	for (uint64_t n = 0; n < USED; n++)
		for (unsigned int c = 0; c < WORLD_CPUS; c++)
			for (unsigned int word = 0; word < WORLD_WORDS; word++)
				world_read(HOME, n, word, c);
	world_audit();
	if (!aged)
		sim_idle(&sim, frames_gpa(0), USED * FRAME_SIZE_4K);
}

static void tear_down(void *ctx)
{
	(void)ctx;
	sim_stop(&sim);
	world_down();
	sim_fini(&sim);
}

static const struct s2_walker *walker_of(void *ctx, unsigned int n)
{
	(void)ctx;
	return hyp_cpus[n].walker;
}

/* Entries of pages that nobody uses: those of a block that is split. */
static int matters(void *ctx, enum sim_where where, uint64_t gpa)
{
	(void)ctx;
	return where != SIM_AT_CAS || gpa - hyp_frames.base < USED * FRAME_SIZE_4K;
}

static void step(void *ctx, const struct sim_step *step)
{
	now = step->next;
	if (loud)
		orders_tell(ctx, step);
}

static void play(const struct race *which, const struct orders *orders)
{
	struct sim_explore_config config = { .name = which->name,
					     .sim = &sim,
					     .preemptions = which->preemptions,
					     .setup = set_up,
					     .walker = walker_of,
					     .check = check,
					     .teardown = tear_down,
					     .matters = matters,
					     .step = step };
	struct sim_explore_result result;

	race = which;
	loud = orders->replay != NULL;
	happened = 0;
	while (config.actors < ACTORS && which->actor[config.actors][0].verb)
		config.actor[config.actors++] = actor;
	orders_play(orders, &config, &result);
	if (!orders->replay && which->must & ~happened) {
		fprintf(stderr,
			"sim: reclaim: %s: not all happened that it is about: 0x%x of 0x%x\n",
			which->name, happened, which->must);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	struct orders orders;
	int played = 0;

	if (orders_parse(argc, argv, &orders))
		return 2;
	for (size_t i = 0; i < RACES; i++) {
		if (orders.list) {
			printf("%-20s %s\n", races[i].name, races[i].about);
		} else if (orders_want(&orders, races[i].name)) {
			play(&races[i], &orders);
			played++;
		}
	}
	return played || orders.list ? 0 : 2;
}
