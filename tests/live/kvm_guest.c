/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_guest [NAME...]: makes a KVM host's stage 2 work, in every way that user space can bring
 * about.
 *
 * It runs in a Linux host at EL2 under an emulator, while something watches what that host does to
 * its tables and TLBs. The scenarios are ends in themselves only so far as they check that guest
 * and host see the same memory: each prints `PASS name`; the first failure ends all with `FAIL`.
 * With names, only these run.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "scenarios.h"
#include "vm.h"

static const struct scenario {
	const char *name;
	void (*run)(void);
} scenarios[] = {
	{ "pages", scenario_pages },
	{ "blocks", scenario_blocks },
	{ "hugetlb", scenario_hugetlb },
	{ "exec", scenario_exec },
	{ "stage1", scenario_stage1 },
	{ "device", scenario_device },
	{ "mmio", scenario_mmio },
	{ "nowhere", scenario_nowhere },
	{ "setway", scenario_setway },
	{ "reset", scenario_reset },
	{ "unmap", scenario_unmap },
	{ "split", scenario_split },
	{ "protect", scenario_protect },
	{ "fork", scenario_fork },
	{ "merge", scenario_merge },
	{ "swap", scenario_swap },
	{ "age", scenario_age },
	{ "compact", scenario_compact },
	{ "log", scenario_log },
	{ "log-manual", scenario_log_manual },
	{ "log-all-set", scenario_log_all_set },
	{ "log-eager", scenario_log_eager },
	{ "migrate", scenario_migrate },
	{ "migrate-manual", scenario_migrate_manual },
	{ "readonly", scenario_readonly },
	{ "move", scenario_move },
	{ "delete", scenario_delete },
	{ "share-cpu", scenario_share_cpu },
	{ "vmids", scenario_vmids },
	{ "rollover", scenario_rollover },
};

#define COUNT (sizeof(scenarios) / sizeof(scenarios[0]))

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int is_wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return 1;
	return argc == 1;
}

static int is_known(const char *name)
{
	for (size_t i = 0; i < COUNT; i++)
		if (strcmp(scenarios[i].name, name) == 0)
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	double start;
	size_t passed = 0;

	for (int i = 1; i < argc; i++)
		expect(is_known(argv[i]), "'%s' is no scenario: see kvm_guest.c for the list",
		       argv[i]);
	machine_open();
	for (size_t i = 0; i < COUNT; i++) {
		if (!is_wanted(scenarios[i].name, argc, argv))
			continue;
		printf("RUN %s\n", scenarios[i].name);
		fflush(stdout);
		start = seconds();
		scenarios[i].run();
		printf("PASS %s %.2f s\n", scenarios[i].name, seconds() - start);
		fflush(stdout);
		passed++;
	}
	printf("ALL PASS %zu\n", passed);
	return 0;
}
