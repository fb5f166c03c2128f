/* SPDX-License-Identifier: BSD-2-Clause */
/* The results as JSON (docs/bench.md has the keys), for bench/report and whoever else reads them.
 */
#ifndef BENCH_JSON_H
#define BENCH_JSON_H

#include <stdio.h>

#include "run.h"

/* Subjects that have no row in the plan are null. */
void bench_json(FILE *out, const struct bench_plan *plan, const struct bench_row *rows,
		size_t nrows);

#endif
