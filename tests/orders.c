// SPDX-License-Identifier: BSD-2-Clause
/* Options and words of programs that play races in every order. */
#include "orders.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int orders_parse(int argc, char **argv, struct orders *orders)
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
	int bad = 0;

	*orders = (struct orders){ .preemptions = -1, .seed = 1 };
	for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		if (c == 'l')
			orders->list = 1;
		else if (c == 'r')
			orders->race = optarg;
		else if (c == 'p')
			orders->preemptions = strtol(optarg, NULL, 0);
		else if (c == 'n')
			orders->runs = strtoull(optarg, NULL, 0);
		else if (c == 'a')
			orders->random = strtoull(optarg, NULL, 0);
		else if (c == 's')
			orders->seed = strtoull(optarg, NULL, 0);
		else if (c == 'y')
			orders->replay = optarg;
		else
			bad = 1;
	}
	if (!bad && optind == argc && (!orders->replay || orders->race))
		return 0;
	fprintf(stderr,
		"usage: %s [--list] [--race NAME [--replay SCHEDULE]] [--preemptions N] "
		"[--runs N] [--random N] [--seed N]\n",
		argv[0]);
	return 2;
}

int orders_want(const struct orders *orders, const char *name)
{
	return !orders->race || !strcmp(orders->race, name);
}

double orders_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void orders_tell(void *ctx, const struct sim_step *step)
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

void orders_play(const struct orders *orders, struct sim_explore_config *config,
		 struct sim_explore_result *result)
{
	double before = orders_seconds();

	tell_at_the_end();
	config->max_runs = orders->runs;
	config->random_runs = orders->random;
	config->seed = orders->seed;
	config->replay = orders->replay;
	if (orders->preemptions >= 0)
		config->preemptions = (unsigned int)orders->preemptions;
	sim_explore(config, result);
	printf("%-36s %u actors, %2u preemptions: %7llu orders%s, %8llu points (longest %3llu), "
	       "%.2f s\n",
	       config->name, config->actors, config->preemptions,
	       (unsigned long long)result->runs + result->random_runs,
	       orders->replay      ? " (replayed)"
	       : result->exhausted ? " (all)"
				   : " (not all)",
	       (unsigned long long)result->points, (unsigned long long)result->longest,
	       orders_seconds() - before);
	fflush(stdout);
}
