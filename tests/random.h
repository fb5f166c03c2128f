/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random tests: what their parts share. A run is one simulated machine with one tree or VM of
 * randomly chosen parameters; all choices come from the run's seed, so that a failure is replayed
 * by the command line that it prints.
 */
#ifndef TEST_RANDOM_H
#define TEST_RANDOM_H

#include <stage2/arm64.h>

#include "ref.h"
#include "sim.h"

#define RUN_LOG 12

struct run {
	const char *part; /* "pt" or "vm" */
	uint64_t seed;
	uint64_t rng;
	uint64_t op; /* number of the operation under way */
	uint64_t near; /* where the last operation was */
	uint32_t fail_of_65536;
	struct sim sim;
	struct s2_vm vm; /* part "pt" uses only vm.pt */
	struct s2_walker walker;
	struct s2_gather gather;
	struct ref ref;
	struct s2_pt_config config;
	char log[RUN_LOG][160];
};

static inline uint64_t run_random(struct run *run, uint64_t below)
{
	return (sim_random(&run->rng) >> 16) % below;
}

/* Notes what is done, for the report of a failure. */
void run_log(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A gpa (page-aligned, in a window) and a size, log-uniform, that stays in the window. */
void run_range(struct run *run, uint64_t *gpa, uint64_t *size);

/* Parameters of machine and tree from the seed; then the machine, ready for init. */
void run_config(struct run *run, struct sim_config *sim);

/* What a failing simulation calls: prints how to replay and exits. */
void run_on_fail(void *ctx, const char *message);

/* Each does `ops` operations in a world of its own. */
void random_pt(struct run *run, uint64_t ops);
void random_vm(struct run *run, uint64_t ops);

#endif
