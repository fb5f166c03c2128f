/* SPDX-License-Identifier: BSD-2-Clause */
/* The three ways to show a run's result. Each returns 0, or non-zero if writing failed. */
#ifndef STAGE2_SHOW_H
#define STAGE2_SHOW_H

#include <stdio.h>

#include "numbers.h"

/* For people; in colour where out is a terminal and $NO_COLOR is not set. */
int show_text(FILE *out, const struct run_options *options, const struct run_result *result,
	      const struct numbers *numbers);
/* One JSON object. */
int show_json(FILE *out, const struct run_options *options, const struct run_result *result,
	      const struct numbers *numbers);
/* A picture of the guest's memory; needs a hypervisor's report. */
int show_svg(FILE *out, const struct run_options *options, const struct run_result *result,
	     const struct numbers *numbers);

#endif
