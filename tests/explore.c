// SPDX-License-Identifier: BSD-2-Clause
/*
 * Plays the races of races.c in every order, under the checker:
 *
 *   explore                      all of them, and a total
 *   explore --list               what there is
 *   explore --race NAME ...      this one; with --replay SCHEDULE one run, told step by step
 *   --preemptions N, --runs N    another bound; so many runs of each at most
 *   --random N, --seed N         so many more at random, with any number of preemptions
 *
 * Each race is played on several machines (race_world.c), which add to its name: +barrier and so
 * on. Exit status: 0 if nothing was found; 1 if a race, played to its own bound, has never come to
 * what it is about; a failure tells its schedule and aborts.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "races.h"

static void tell_step(void *ctx, const struct sim_step *step)
{
	(void)ctx;
	if (step->actor == SIM_NOBODY)
		printf("  %3llu: actor %u begins\n", (unsigned long long)step->number, step->next);
	else if (step->done)
		printf("  %3llu: actor %u has finished, actor %u goes on\n",
		       (unsigned long long)step->number, step->actor, step->next);
	else
		printf("  %3llu: actor %u: %s 0x%llx%s", (unsigned long long)step->number,
		       step->actor, sim_where_name(step->where), (unsigned long long)step->gpa,
		       step->next == step->actor ? "\n" : "");
	if (step->actor != SIM_NOBODY && !step->done && step->next != step->actor)
		printf(" - actor %u goes on\n", step->next);
}

/* The program */

struct options {
	const char *race;
	const char *replay;
	long preemptions;
	uint64_t runs, random, seed;
};

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void play(const struct options *options, const struct race *race, unsigned int machine,
		 const char *name, struct sim_explore_result *result)
{
	struct sim_explore_config config;
	double before = seconds();

	race_configure(race, machine, options->replay != NULL, &config);
	config.name = name;
	config.max_runs = options->runs;
	config.random_runs = options->random;
	config.seed = options->seed;
	config.replay = options->replay;
	config.step = options->replay ? tell_step : NULL;
	if (options->preemptions >= 0)
		config.preemptions = (unsigned int)options->preemptions;
	sim_explore(&config, result);
	printf("%-36s %u actors, %2u preemptions: %7llu orders%s, %8llu points (longest %3llu), "
	       "%.2f s\n",
	       name, config.actors, config.preemptions,
	       (unsigned long long)result->runs + result->random_runs,
	       options->replay     ? " (replayed)"
	       : result->exhausted ? " (all)"
				   : " (not all)",
	       (unsigned long long)result->points, (unsigned long long)result->longest,
	       seconds() - before);
	fflush(stdout);
}

static void on_signal(int number)
{
	sim_explore_print();
	signal(number, SIG_DFL);
	raise(number);
}

static void tell_at_the_end(void)
{
	static const int numbers[] = { SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE };
	static uint64_t stack[16384];
	const stack_t other = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };

	sigaltstack(&other, NULL);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
}

static int parse(int argc, char **argv, struct options *options)
{
	static const struct option names[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "race", required_argument, NULL, 'r' },
		{ "preemptions", required_argument, NULL, 'p' },
		{ "runs", required_argument, NULL, 'n' },
		{ "random", required_argument, NULL, 'a' },
		{ "seed", required_argument, NULL, 's' },
		{ "replay", required_argument, NULL, 'y' },
		{ NULL, 0, NULL, 0 },
	};

	for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		if (c == 'l')
			for (unsigned int i = 0; i < nraces; i++)
				printf("%-30s %s\n", races[i].name, races[i].about);
		else if (c == 'r')
			options->race = optarg;
		else if (c == 'p')
			options->preemptions = strtol(optarg, NULL, 0);
		else if (c == 'n')
			options->runs = strtoull(optarg, NULL, 0);
		else if (c == 'a')
			options->random = strtoull(optarg, NULL, 0);
		else if (c == 's')
			options->seed = strtoull(optarg, NULL, 0);
		else if (c == 'y')
			options->replay = optarg;
		else
			return 2;
		if (c == 'l')
			return -1;
	}
	return optind < argc || (options->replay && !options->race) ? 2 : 0;
}

int main(int argc, char **argv)
{
	struct options options = { .preemptions = -1, .seed = 1 };
	int ret = parse(argc, argv, &options), played = 0;
	struct sim_explore_result result;
	uint64_t orders = 0, points = 0;
	double before = seconds();
	const char *machine;
	int missed = 0;
	char name[64];

	if (ret > 0)
		fprintf(stderr, "usage: explore [--list] [--race NAME [--replay SCHEDULE]] "
				"[--preemptions N] [--runs N] [--random N] [--seed N]\n");
	if (ret)
		return ret > 0 ? ret : 0;
	tell_at_the_end();
	for (unsigned int i = 0; i < RACE_MACHINES * nraces; i++) {
		const struct race *race = &races[i / RACE_MACHINES];

		machine = race_machine(race, i % RACE_MACHINES);
		snprintf(name, sizeof(name), "%s%s", race->name, machine ? machine : "");
		if (!machine || (options.race && strcmp(options.race, name) != 0))
			continue;
		play(&options, race, i % RACE_MACHINES, name, &result);
		orders += result.runs + result.random_runs;
		points += result.points;
		played++;
		if (race_happened() || !result.exhausted || options.preemptions >= 0)
			continue;
		fprintf(stderr, "race %s has never run out of memory\n", name);
		missed = 1;
	}
	printf("total: %d races, %llu orders, %llu points, %.1f s\n", played,
	       (unsigned long long)orders, (unsigned long long)points, seconds() - before);
	return missed ? 1 : played ? 0 : 2;
}
