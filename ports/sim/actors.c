// SPDX-License-Identifier: BSD-2-Clause
/*
 * The explorer of races: see actors.h. Coroutines and points are second.c's.
 *
 * A run's choices stand in `path`, each with the number of those who could have gone on. After a
 * run the last choice that has an alternative left is changed, and what came after it forgotten.
 *
 * Who could go on: at a point first the actor himself, and others only while preemptions are left.
 * Where he waits or has ended, all others. An actor who waited is not among them until everybody
 * who was alive then had a turn (`owed`): that is fair, as somebody owes nothing always, and keeps
 * two who wait from passing the turn to and fro while a third could end their waiting.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors.h"
#include "machine.h"

#define POINTS_LIMIT 100000u /* in one run */
#define WAITS_LIMIT  8192u   /* turns of waiting by each, with nothing else in between */

#define HOME         0u
#define MEMBER_OF(n) ((n) + 1u)

struct choice {
	uint8_t n;     /* how many could go on */
	uint8_t index; /* which of them did */
	uint8_t actor; /* that is this one */
};

enum mode {
	SYSTEMATIC,
	RANDOM,
	REPLAY,
};

struct explorer;

struct cast {
	struct explorer *explorer;
	unsigned int n;
};

struct explorer {
	struct sim_turns turns; /* first: this is what sim->turns points to */
	const struct sim_explore_config *config;
	struct sim_explore_result *result;
	struct sim_crew *crew;
	struct cast cast[SIM_ACTORS];
	enum mode mode;
	uint64_t rng;
	uint32_t odds; /* of 65536, that a point preempts at random */
	struct choice *path;
	size_t room, length; /* of path: length is that of this run */
	size_t prefix;       /* so much of it is given */
	/* Of this run. */
	unsigned int alive;            /* a bit each */
	unsigned int owed[SIM_ACTORS]; /* who must have a turn before this one may */
	unsigned int now;              /* who goes on */
	unsigned int preempted, waits;
	uint64_t points;
};

static _Thread_local struct explorer *current;

const char *sim_where_name(enum sim_where where)
{
	static const char *const name[SIM_PLACES] = {
		"compare-and-swap", "tlb()",          "change of slots", "barrier()",
		"resolve()",        "resolve() done", "table_alloc()",   "table_free()",
		"cache_sync()",     "own point",      "waits",
	};

	return where < SIM_PLACES ? name[where] : "?";
}

/* Only what is not the first of its candidates is worth telling. */
static void print_schedule(const struct explorer *x, char *text, size_t size)
{
	size_t at = 0;

	text[0] = 0;
	for (size_t i = 0; i < x->length; i++) {
		if (!x->path[i].index)
			continue;
		at += (size_t)snprintf(text + at, size - at, "%s%zu:%u", at ? "," : "", i,
				       x->path[i].actor);
		if (at + 32 > size) {
			snprintf(text + at, size - at, "...");
			return;
		}
	}
}

void sim_explore_print(void)
{
	static char text[SIM_SCHEDULE];

	if (!current)
		return;
	print_schedule(current, text, sizeof(text));
	fprintf(stderr, "race %s, run %llu, choice %zu: replay with schedule \"%s\"\n",
		current->config->name,
		(unsigned long long)current->result->runs + current->result->random_runs,
		current->length, text);
}

static void on_fail(void *ctx, const char *message)
{
	(void)ctx;
	(void)message;
	sim_explore_print();
}

/* What the schedule says about this choice; -1: nothing. */
static int scheduled(const char *schedule, size_t number)
{
	const char *at = schedule;
	char *end;

	while (*at) {
		unsigned long position = strtoul(at, &end, 10), actor;

		if (end == at || *end != ':')
			return -1;
		at = end + 1;
		actor = strtoul(at, &end, 10);
		if (end == at)
			return -1;
		if (position == number)
			return (int)actor;
		at = *end == ',' ? end + 1 : end;
	}
	return -1;
}

/* The run cannot go on. Returns only to the caller of sim_explore(). */
static void abandon(struct explorer *x)
{
	x->alive = 0;
	sim_crew_go(x->crew, HOME);
}

/* Who can go on: `me` first, if he can. */
static unsigned int candidates(const struct explorer *x, unsigned int me, int can, uint8_t *list)
{
	unsigned int n = 0, all = x->config->actors;

	if (can)
		list[n++] = (uint8_t)me;
	if (can && x->mode == SYSTEMATIC && x->preempted == x->config->preemptions)
		return n;
	for (unsigned int i = 1; i <= all; i++) {
		unsigned int other = me == SIM_NOBODY ? i - 1 : (me + i) % all;

		if (other != me && x->alive >> other & 1 && !x->owed[other])
			list[n++] = (uint8_t)other;
	}
	if (!n) /* there is nobody else */
		list[n++] = (uint8_t)me;
	return n;
}

static unsigned int pick(struct explorer *x, const uint8_t *list, unsigned int n, int can)
{
	struct sim *sim = x->config->sim;
	const struct choice *given = &x->path[x->length];
	int wanted, changed;

	if (x->mode == RANDOM) {
		if (can && sim_random(&x->rng) >> 48 >= x->odds)
			return 0;
		return (unsigned int)((sim_random(&x->rng) >> 32) % n);
	}
	if (x->mode == REPLAY) {
		wanted = scheduled(x->config->replay, x->length);
		for (unsigned int i = 0; i < n && wanted >= 0; i++)
			if (list[i] == wanted)
				return i;
		if (wanted >= 0)
			sim_fail(sim, "port-replay: actor %d cannot go on at choice %zu", wanted,
				 x->length);
		return 0;
	}
	if (x->length >= x->prefix)
		return 0;
	changed = x->length + 1 == x->prefix; /* the last one was another actor then */
	if (given->n != n || (!changed && given->actor != list[given->index]))
		sim_fail(sim,
			 "port-replay: choice %zu: %u could go on and actor %u did, now %u and %u: "
			 "the race is not the same again",
			 x->length, given->n, given->actor, n, list[given->index % n]);
	return given->index % n;
}

static void make_room(struct explorer *x)
{
	if (x->length < x->room)
		return;
	x->room = x->room ? 2 * x->room : 256;
	x->path = realloc(x->path, x->room * sizeof(*x->path));
	if (!x->path)
		abort();
}

/* `me` has come to a point, or has ended. Who goes on? */
static unsigned int choose(struct explorer *x, unsigned int me, enum sim_where where, uint64_t gpa)
{
	uint8_t list[SIM_ACTORS + 1];
	int ended = me == SIM_NOBODY || !(x->alive >> me & 1), can = !ended && where != SIM_AT_WAIT;
	struct sim_step step = {
		.number = x->length, .gpa = gpa, .where = where, .actor = me, .done = ended
	};
	unsigned int n, index;

	if (!ended && where == SIM_AT_WAIT)
		x->owed[me] = x->alive & ~(1u << me);
	n = candidates(x, me, can, list);
	make_room(x);
	index = pick(x, list, n, can);
	step.next = list[index];
	step.others = n - 1;
	x->path[x->length++] = (struct choice){ .n = (uint8_t)n,
						.index = (uint8_t)index,
						.actor = (uint8_t)step.next };
	x->now = step.next;
	x->preempted += can && index;
	for (unsigned int i = 0; i < x->config->actors && step.next < SIM_ACTORS; i++)
		x->owed[i] &= ~(1u << step.next);
	if (x->config->step)
		x->config->step(x->config->ctx, &step);
	return step.next;
}

static void explorer_at(struct sim_turns *turns, struct sim *sim, enum sim_where where,
			uint64_t gpa)
{
	struct explorer *x = (struct explorer *)turns;
	unsigned int me = x->now;

	if (where != SIM_AT_WAIT && x->config->matters &&
	    !x->config->matters(x->config->ctx, where, gpa))
		return;
	x->points++;
	x->waits = where == SIM_AT_WAIT ? x->waits + 1 : 0;
	if (x->waits == WAITS_LIMIT * x->config->actors || x->points == POINTS_LIMIT) {
		sim_fail(sim, "port-wait: %s",
			 x->points == POINTS_LIMIT ? "the run does not end"
						   : "all actors wait for ever");
		abandon(x);
	}
	sim_crew_go(x->crew, MEMBER_OF(choose(x, me, where, gpa)));
}

static void act(void *ctx)
{
	const struct cast *cast = ctx;
	const struct sim_explore_config *config = cast->explorer->config;

	config->actor[cast->n](config->ctx, cast->n);
}

static unsigned int acted(void *ctx)
{
	const struct cast *cast = ctx;
	struct explorer *x = cast->explorer;

	x->alive &= ~(1u << cast->n);
	x->waits = 0;
	for (unsigned int i = 0; i < x->config->actors; i++)
		x->owed[i] &= x->alive;
	return x->alive ? MEMBER_OF(choose(x, cast->n, SIM_AT_OWN, 0)) : HOME;
}

static void note_failure(struct explorer *x, const struct sim *sim)
{
	x->result->failed = 1;
	memcpy(x->result->failure, sim->failure, sizeof(x->result->failure));
	print_schedule(x, x->result->schedule, sizeof(x->result->schedule));
}

/* One run from setup to teardown. Returns whether it is all right. */
static int run(struct explorer *x)
{
	const struct sim_explore_config *config = x->config;
	struct sim *sim = config->sim;
	unsigned int all = (1u << config->actors) - 1;

	config->setup(config->ctx);
	if (!sim->on_fail)
		sim->on_fail = on_fail;
	x->length = x->preempted = x->waits = 0;
	x->points = 0;
	x->alive = all;
	for (unsigned int n = 0; n < config->actors; n++) {
		const struct sim_role role = {
			.fn = act,
			.next = acted,
			.ctx = &x->cast[n],
			.walker = config->walker ? config->walker(config->ctx, n) : NULL,
			.cpu = n,
		};

		x->owed[n] = 0;
		sim_crew_cast(x->crew, MEMBER_OF(n), &role);
	}
	sim->turns = &x->turns;
	sim_crew_go(x->crew, MEMBER_OF(choose(x, SIM_NOBODY, SIM_AT_OWN, 0)));
	sim->turns = NULL;
	x->result->points += x->points;
	if (x->result->longest < x->points)
		x->result->longest = x->points;
	if (!sim->failures && config->check)
		config->check(config->ctx);
	if (sim->failures) {
		note_failure(x, sim);
		return 0;
	}
	config->teardown(config->ctx);
	return 1;
}

/* The next path: the last choice that has something left. Returns 0 when there is none. */
static int advance(struct explorer *x)
{
	size_t at = x->length;

	while (at && x->path[at - 1].index + 1u == x->path[at - 1].n)
		at--;
	x->prefix = at;
	if (at)
		x->path[at - 1].index++;
	return at != 0;
}

static void systematic(struct explorer *x)
{
	uint64_t *runs = &x->result->runs, most = x->config->max_runs;

	x->mode = SYSTEMATIC;
	x->prefix = 0;
	do {
		if (!run(x))
			return;
		++*runs;
		x->result->exhausted = !advance(x);
	} while (!x->result->exhausted && (!most || *runs < most));
}

static void at_random(struct explorer *x)
{
	static const uint16_t odds[] = { 30000, 12000, 4000, 1000 };

	x->mode = RANDOM;
	x->rng = x->config->seed * 0x9e3779b97f4a7c15ull | 1;
	for (uint64_t i = 0; i < x->config->random_runs && !x->result->failed; i++) {
		x->odds = odds[(sim_random(&x->rng) >> 32) % 4];
		x->result->random_runs += (uint64_t)run(x);
	}
}

void sim_explore(const struct sim_explore_config *config, struct sim_explore_result *result)
{
	struct explorer x = { .turns.at = explorer_at, .config = config, .result = result };

	memset(result, 0, sizeof(*result));
	if (!config->actors || config->actors > SIM_ACTORS)
		abort();
	x.crew = sim_crew_new();
	for (unsigned int n = 0; n < config->actors; n++)
		x.cast[n] = (struct cast){ &x, n };
	current = &x;
	if (config->replay) {
		x.mode = REPLAY;
		result->runs += (uint64_t)run(&x);
	} else {
		systematic(&x);
		if (!result->failed)
			at_random(&x);
	}
	current = NULL;
	sim_crew_free(x.crew);
	free(x.path);
}
