/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of `stage2 run`. See options.c. */
#ifndef STAGE2_OPTIONS_H
#define STAGE2_OPTIONS_H

#include "run.h"

enum options_verdict {
	OPTIONS_RUN,
	OPTIONS_HELPED, /* --help was asked for and given */
	OPTIONS_BAD,    /* it was said why */
};

/* Fills in *options, defaults included; files are not looked for yet. */
enum options_verdict options_parse(int argc, char **argv, struct run_options *options);

#endif
