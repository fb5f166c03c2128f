/* SPDX-License-Identifier: BSD-2-Clause */
/* A line on the terminal while a trace is read. See progress.c. */
#ifndef STAGE2_PROGRESS_H
#define STAGE2_PROGRESS_H

#include <stdint.h>
#include <time.h>

#define PROGRESS_EVERY 65536u /* events between two looks at the clock */

struct progress {
	const char *name;
	uint64_t events;
	double shown_s; /* when, since start; 0: nothing is shown */
	struct timespec start;
	int terminal;
};

void progress_start(struct progress *progress, const char *name);
void progress_show(struct progress *progress);
/* Before anything else is printed, and at the end. */
void progress_hide(struct progress *progress);

/* After every event. */
static inline void progress_count(struct progress *progress)
{
	if (++progress->events % PROGRESS_EVERY == 0 && progress->terminal)
		progress_show(progress);
}

#endif
