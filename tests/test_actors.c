// SPDX-License-Identifier: BSD-2-Clause
/*
 * The explorer of races (ports/sim/actors.h): that it plays every order once, no more than the
 * bound allows and no less (against a plain count of another kind), that it finds what it is there
 * for, and that what it prints brings the failure back.
 *
 * The actors here touch no tables: each is a list of own points, and says when it passes one.
 */
#include <stdlib.h>
#include <string.h>

#include "actors.h"
#include "fixture.h"
#include "machine.h"

#define MOST 100000

static struct sim sim;
static struct sim_explore_config config;
static struct sim_explore_result result;

/* What actors do in a run, and the orders seen so far, as numbers to the base 4. */
static unsigned int points[SIM_ACTORS];
static uint64_t order, seen[MOST];
static size_t nseen;
static uint64_t shared, locks[2];
static unsigned int turns, runs;

static void set_up(void *ctx)
{
	(void)ctx;
	order = 1;
	shared = locks[0] = locks[1] = 0;
	turns = 0;
	runs++;
}

static void nothing(void *ctx)
{
	(void)ctx;
}

static void remember(void *ctx)
{
	(void)ctx;
	assert_true(nseen < MOST);
	seen[nseen++] = order;
}

static int start(void **state)
{
	static const struct sim_config host = { .watch = SIM_BLIND, .frames = 16 };

	(void)state;
	sim_init(&sim, &host);
	sim.keep = 1;
	config = (struct sim_explore_config){
		.name = "test", .sim = &sim, .setup = set_up, .check = remember, .teardown = nothing
	};
	nseen = 0;
	runs = 0;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	sim.failures = 0;
	sim_fini(&sim);
	return 0;
}

/* A step before each point, and one after the last. */
static void walks(void *ctx, unsigned int n)
{
	(void)ctx;
	for (unsigned int i = 0; i <= points[n]; i++) {
		if (i)
			sim_point(&sim, 0);
		order = order << 2 | n;
	}
}

static void explore(unsigned int actors, unsigned int preemptions)
{
	config.actors = actors;
	config.preemptions = preemptions;
	for (unsigned int n = 0; n < actors; n++)
		if (!config.actor[n])
			config.actor[n] = walks;
	sim_explore(&config, &result);
}

/*
 * How many orders there are of so many steps each, by counting on: a switch away from `now` costs
 * one while it has steps left.
 */
static uint64_t orders(const unsigned int *steps, unsigned int now, unsigned int preemptions)
{
	unsigned int left[SIM_ACTORS], any = 0;
	uint64_t sum = 0;

	for (unsigned int n = 0; n < SIM_ACTORS; n++) {
		unsigned int cost = now < SIM_ACTORS && now != n && steps[now];

		if (!steps[n])
			continue;
		any = 1;
		if (cost > preemptions)
			continue;
		memcpy(left, steps, sizeof(left));
		left[n]--;
		sum += orders(left, n, preemptions - cost);
	}
	return any ? sum : 1;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void all_differ(void)
{
	qsort(seen, nseen, sizeof(seen[0]), compare);
	for (size_t i = 1; i < nseen; i++)
		assert_true(seen[i] != seen[i - 1]);
}

static void test_every_order(void **state)
{
	uint64_t choose = 1;

	(void)state;
	/* Two with k steps each: 2k over k. */
	for (unsigned int k = 1; k <= 7; k++) {
		choose = choose * 2 * (2 * k - 1) / k;
		points[0] = points[1] = k - 1;
		nseen = 0;
		explore(2, 100);
		assert_int_equal(result.runs, choose);
		assert_int_equal(nseen, choose);
		assert_true(result.exhausted && !result.failed);
		assert_int_equal(result.longest, 2 * (k - 1));
		assert_int_equal(result.points, choose * 2 * (k - 1));
		all_differ();
	}
}

static void test_every_bound(void **state)
{
	static const struct {
		unsigned int actors, points[SIM_ACTORS];
	} t[] = {
		{ 1, { 3 } },       { 2, { 0, 0 } },    { 2, { 4, 3 } },
		{ 3, { 2, 2, 2 } }, { 3, { 0, 3, 1 } }, { 4, { 1, 1, 1, 1 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		unsigned int steps[SIM_ACTORS] = { 0 };

		for (unsigned int n = 0; n < t[i].actors; n++) {
			points[n] = t[i].points[n];
			steps[n] = points[n] + 1;
		}
		for (unsigned int bound = 0; bound < 8; bound++) {
			nseen = 0;
			explore(t[i].actors, bound);
			assert_int_equal(result.runs, orders(steps, SIM_ACTORS, bound));
			assert_int_equal(nseen, result.runs);
			assert_true(result.exhausted);
			all_differ();
		}
	}
}

static void at_random(uint64_t seed)
{
	config.seed = seed;
	nseen = 0;
	explore(3, 0);
	assert_int_equal(result.runs, 1);
	assert_int_equal(result.random_runs, 50);
	assert_int_equal(nseen, 51);
}

static void test_caps(void **state)
{
	uint64_t first[50];

	(void)state;
	points[0] = points[1] = points[2] = 5;
	config.max_runs = 100;
	explore(3, 3);
	assert_int_equal(result.runs, 100);
	assert_false(result.exhausted);
	/* At random: by seed. */
	config.max_runs = 1;
	config.random_runs = 50;
	at_random(1);
	memcpy(first, seen + 1, sizeof(first));
	at_random(1);
	assert_memory_equal(first, seen + 1, sizeof(first));
	at_random(2);
	assert_memory_not_equal(first, seen + 1, sizeof(first));
}

/* The oldest race there is. */
static void adds(void *ctx, unsigned int n)
{
	uint64_t value;

	(void)ctx;
	(void)n;
	sim_point(&sim, 0);
	value = shared;
	sim_point(&sim, 0);
	shared = value + 1;
	sim_point(&sim, 0);
}

static void nothing_lost(void *ctx)
{
	(void)ctx;
	if (shared != config.actors)
		sim_fail(&sim, "shared is %llu, should be %u", (unsigned long long)shared,
			 config.actors);
}

static void test_lost_update(void **state)
{
	char schedule[SIM_SCHEDULE], failure[256];

	(void)state;
	config.check = nothing_lost;
	config.actor[0] = config.actor[1] = config.actor[2] = adds;
	/* One after the other it does not come up. */
	explore(3, 0);
	assert_int_equal(result.runs, 6);
	assert_true(result.exhausted && !result.failed);
	explore(3, 1);
	assert_true(result.failed);
	assert_string_equal(result.failure, "shared is 2, should be 3");
	strcpy(schedule, result.schedule);
	strcpy(failure, result.failure);
	/* Again, and only then. */
	for (int i = 0; i < 2; i++) {
		sim.failures = 0;
		config.replay = schedule;
		explore(3, 0);
		assert_true(result.failed);
		assert_string_equal(result.failure, failure);
		assert_string_equal(result.schedule, schedule);
	}
	sim.failures = 0;
	config.replay = "";
	explore(3, 0);
	assert_false(result.failed);
	assert_int_equal(result.runs, 1);
	/* At random it is found, too, and replayed likewise. */
	config.replay = NULL;
	config.max_runs = 1;
	config.random_runs = 1000;
	explore(3, 0);
	assert_true(result.failed && result.random_runs < 1000);
	strcpy(schedule, result.schedule);
	strcpy(failure, result.failure);
	sim.failures = 0;
	config.replay = schedule;
	explore(3, 0);
	assert_true(result.failed);
	assert_string_equal(result.failure, failure);
}

static void test_schedule_that_does_not_fit(void **state)
{
	(void)state;
	points[0] = points[1] = 1;
	config.replay = "1:0";
	explore(2, 0);
	assert_false(result.failed);
	config.replay = "0:2";
	explore(2, 0);
	assert_true(result.failed);
	assert_string_equal(result.failure, "port-replay: actor 2 cannot go on at choice 0");
}

static void lock(uint64_t *which)
{
	while (*which)
		sim.port.relax(&sim);
	*which = 1;
	sim_point(&sim, 0);
}

static void locks_both(void *ctx, unsigned int n)
{
	(void)ctx;
	lock(&locks[n & 1]);
	lock(&locks[!(n & 1)]);
	locks[0] = locks[1] = 0;
}

static void test_deadlock(void **state)
{
	char schedule[SIM_SCHEDULE];

	(void)state;
	config.actor[0] = config.actor[1] = locks_both;
	explore(2, 0);
	assert_false(result.failed);
	explore(2, 1);
	assert_true(result.failed);
	assert_string_equal(result.failure, "port-wait: all actors wait for ever");
	assert_string_equal(result.schedule, "1:1");
	strcpy(schedule, result.schedule);
	sim.failures = 0;
	config.replay = schedule;
	explore(2, 0);
	assert_string_equal(result.failure, "port-wait: all actors wait for ever");
	/* In one order there is none. */
	sim.failures = 0;
	config.replay = NULL;
	config.actors = 3;
	config.actor[0] = walks;
	points[0] = 2;
	config.actor[2] = walks;
	points[2] = 1;
	explore(3, 3);
	assert_true(!result.failed && result.exhausted);
}

static void for_ever(void *ctx, unsigned int n)
{
	(void)ctx;
	(void)n;
	for (;;)
		sim_point(&sim, 0);
}

static void test_no_end(void **state)
{
	(void)state;
	config.actor[0] = for_ever;
	points[1] = 0;
	explore(2, 0);
	assert_string_equal(result.failure, "port-wait: the run does not end");
}

/* Waits by a loop with a point in it, as one who looks again and again. */
static void waits(void *ctx, unsigned int n)
{
	(void)ctx;
	while (!shared) {
		sim_point(&sim, 0);
		sim.port.relax(&sim);
	}
	order = order << 2 | n;
}

static void ends_waiting(void *ctx, unsigned int n)
{
	(void)ctx;
	sim_point(&sim, 0);
	sim_point(&sim, 0);
	shared = 1;
	order = order << 2 | n;
}

/* Two who wait do not keep out the one they wait for, in no order. */
static void test_fair(void **state)
{
	(void)state;
	config.actor[0] = config.actor[1] = waits;
	config.actor[2] = ends_waiting;
	for (unsigned int bound = 0; bound < 3; bound++) {
		explore(3, bound);
		assert_true(result.exhausted && !result.failed);
		assert_in_range(result.longest, 1, 20);
	}
	/* Each of them may come first afterwards. */
	qsort(seen, nseen, sizeof(seen[0]), compare);
	assert_int_equal(seen[0], 1 << 6 | 2 << 4 | 0 << 2 | 1);
	assert_int_equal(seen[nseen - 1], 1 << 6 | 2 << 4 | 1 << 2 | 0);
}

/* Who is alone and waits for nothing but time goes on. */
static void waits_a_while(void *ctx, unsigned int n)
{
	(void)ctx;
	(void)n;
	for (int i = 0; i < 1000; i++)
		sim.port.relax(&sim);
}

static void test_bounded_waiting(void **state)
{
	(void)state;
	config.actor[0] = config.actor[1] = waits_a_while;
	explore(2, 2);
	assert_true(result.exhausted && !result.failed);
	assert_int_equal(result.runs, 2);
}

static void walks_otherwise(void *ctx, unsigned int n)
{
	points[n] = runs == 3;
	walks(ctx, n);
}

static void test_left_to_chance(void **state)
{
	(void)state;
	points[1] = 3;
	config.actor[0] = walks_otherwise;
	explore(2, 2);
	assert_true(result.failed);
	assert_memory_equal(result.failure, "port-replay: ", 13);
	/* The run after it, which repeats what the odd one chose. */
	assert_int_equal(runs, 4);
}

static struct s2_walker walkers[SIM_ACTORS];

static const struct s2_walker *walker_of(void *ctx, unsigned int n)
{
	(void)ctx;
	return &walkers[n];
}

static void is_himself(void *ctx, unsigned int n)
{
	(void)ctx;
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(sim_self.cpu, n);
		assert_ptr_equal(sim_self.walker, &walkers[n]);
		turns++;
		sim_point(&sim, 0x1000 * n);
	}
}

static void is_home(void *ctx)
{
	(void)ctx;
	assert_int_equal(sim_self.cpu, 5);
	assert_null(sim_self.walker);
	assert_int_equal(turns, 12);
}

static void looks_on(void *ctx, const struct sim_step *step)
{
	uint64_t *steps = ctx;

	*steps += 1;
	assert_int_equal(step->actor == SIM_NOBODY, step->number == 0);
	assert_true(step->next < 4 && step->others < 4);
	if (!step->done)
		assert_int_equal(step->gpa, 0x1000 * step->actor);
	if (!step->done)
		assert_string_equal(sim_where_name(step->where), "own point");
}

static void test_identities(void **state)
{
	uint64_t steps = 0;

	(void)state;
	config.walker = walker_of;
	config.check = is_home;
	config.step = looks_on;
	config.ctx = &steps;
	sim_thread(5, NULL);
	for (unsigned int n = 0; n < 4; n++)
		config.actor[n] = is_himself;
	explore(4, 1);
	assert_true(result.exhausted && !result.failed);
	/* Each point, each beginning but the first actor's, and each end but the last. */
	assert_int_equal(steps, result.points + 4 * result.runs);
	assert_int_equal(result.longest, 12);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_order),
		TEST(test_every_bound),
		TEST(test_caps),
		TEST(test_lost_update),
		TEST(test_deadlock),
		TEST(test_schedule_that_does_not_fit),
		TEST(test_no_end),
		TEST(test_fair),
		TEST(test_bounded_waiting),
		TEST(test_left_to_chance),
		TEST(test_identities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
