/* SPDX-License-Identifier: BSD-2-Clause */
/* What a model found: shown as it comes, and summed up. See findings.c. */
#ifndef STAGE2_FINDINGS_H
#define STAGE2_FINDINGS_H

#include "check.h"
#include "progress.h"

struct findings {
	const struct check_options *options;
	const char *name;         /* of the trace */
	struct progress progress; /* hidden when something is shown */
	uint64_t found;
	uint64_t *by_rule; /* s2c_nrules of them */
	/* The first ones found, one more than a trace can expect. */
	const struct s2c_rule *first[S2C_TRACE_EXPECTED + 1];
};

/* Returns 0, or -1: no memory. The rest of *findings is zeroed. */
int findings_init(struct findings *findings, const struct check_options *options, const char *name);
void findings_fini(struct findings *findings);
/* For struct s2c_config: ctx is the findings. */
void findings_report(void *ctx, const struct s2c_violation *violation);
/* Shows the summary. Returns enum check_exit: clean, found, or bad after saying why. */
int findings_summarize(const struct findings *findings, const struct s2c_stats *stats);

#endif
