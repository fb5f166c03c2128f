/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypervisor's report, digested for people. See numbers.c. */
#ifndef STAGE2_NUMBERS_H
#define STAGE2_NUMBERS_H

#include "run.h"

#define NUMBERS_NO_LEAF S2_LEVELS /* the level of faults that left nothing mapped */

struct numbers {
	const struct hyp_fault *faults; /* in the order in which they happened */
	struct hyp_counts counts;       /* of all CPUs together, as are the engine's */
	struct s2_stats stats;
	struct hyp_reclaim reclaim;
	uint64_t exits;        /* to EL2, of any kind: the sign of life */
	uint64_t ram_faults;   /* aborts that a RAM slot served */
	uint64_t other_faults; /* aborts that no slot served: MMIO, aborts given to the guest */
	uint64_t table_pages;  /* now, root included, stocks not */
	uint64_t table_pages_peak;
	uint64_t mapped_ram; /* bytes, at the end */
	uint64_t mapped_device;
	uint64_t logged; /* faults that the log holds; the tables below are about these */
	uint64_t lost;   /* faults beyond it */
	/* By enum s2_fault_kind and level of the leaf. */
	uint64_t kind[S2_FAULT_KINDS][S2_LEVELS + 1];
	uint64_t device[2][S2_LEVELS + 1]; /* [0] RAM, [1] device */
	double median;                     /* time at EL2 of a fault; see unit */
	double p99;
	double max;
	const char *unit; /* "ns", or "instructions" under --icount */
	double guest_s;   /* from the guest's start to its end, on its own clock */
	uint64_t tlbi;    /* invalidations of all kinds */
	unsigned int nruns;
};

/* What all CPUs have counted, while the hypervisor runs or after it. */
void numbers_add_up(struct numbers *numbers, const struct hyp_report *report);
/* Fills in *numbers: zeroes where the run has no hypervisor's report. numbers_free() it. */
void numbers_digest(struct numbers *numbers, const struct run_options *options,
		    const struct run_result *result);

void numbers_free(struct numbers *numbers);

/* The level of the leaf that a logged fault left behind; S2_LEVELS or more where there is none. */
unsigned int numbers_fault_level(const struct hyp_fault *fault);
/* "4K", "2M", ... of a level; "none" of NUMBERS_NO_LEAF. */
const char *numbers_level(unsigned int level);
/* Bytes of a level's leaf. */
uint64_t numbers_level_size(unsigned int level);

#endif
