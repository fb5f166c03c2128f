// SPDX-License-Identifier: BSD-2-Clause
/*
 * Plays the races of races.c in every order, under the checker: all of them, and a total. (Options:
 * orders.h.)
 *
 * Each race is played on several machines (race_world.c), which add to its name: +barrier and so
 * on. Exit status: 0 if nothing was found; 1 if a race, played to its own bound, has never come to
 * what it is about; a failure tells its schedule and aborts.
 */
#include <stdio.h>

#include "orders.h"
#include "races.h"

static void list(void)
{
	for (unsigned int i = 0; i < nraces; i++)
		printf("%-30s %s\n", races[i].name, races[i].about);
}

static void play(const struct orders *orders, const struct race *race, unsigned int machine,
		 const char *name, struct sim_explore_result *result)
{
	struct sim_explore_config config;

	race_configure(race, machine, orders->replay != NULL, &config);
	config.name = name;
	config.step = orders->replay ? orders_tell : NULL;
	orders_play(orders, &config, result);
}

int main(int argc, char **argv)
{
	struct sim_explore_result result;
	uint64_t all = 0, points = 0;
	double before = orders_seconds();
	struct orders orders;
	const char *machine;
	int missed = 0, played = 0;
	char name[64];

	if (orders_parse(argc, argv, &orders))
		return 2;
	if (orders.list) {
		list();
		return 0;
	}
	for (unsigned int i = 0; i < RACE_MACHINES * nraces; i++) {
		const struct race *race = &races[i / RACE_MACHINES];

		machine = race_machine(race, i % RACE_MACHINES);
		snprintf(name, sizeof(name), "%s%s", race->name, machine ? machine : "");
		if (!machine || !orders_want(&orders, name))
			continue;
		play(&orders, race, i % RACE_MACHINES, name, &result);
		all += result.runs + result.random_runs;
		points += result.points;
		played++;
		if (race_happened() || !result.exhausted || orders.preemptions >= 0)
			continue;
		fprintf(stderr, "race %s has never run out of memory\n", name);
		missed = 1;
	}
	printf("total: %d races, %llu orders, %llu points, %.1f s\n", played,
	       (unsigned long long)all, (unsigned long long)points, orders_seconds() - before);
	return missed ? 1 : played ? 0 : 2;
}
