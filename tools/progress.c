// SPDX-License-Identifier: BSD-2-Clause
/*
 * How far a trace has been read: one line on stderr, if that is a terminal, renewed a few times a
 * second and removed before anything else is printed.
 */
#include <stdio.h>
#include <unistd.h>

#include "progress.h"

static double since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + 1e-9 * (double)(now.tv_nsec - start->tv_nsec);
}

void progress_start(struct progress *progress, const char *name)
{
	*progress = (struct progress){ .name = name, .terminal = isatty(STDERR_FILENO) };
	clock_gettime(CLOCK_MONOTONIC, &progress->start);
}

void progress_show(struct progress *progress)
{
	double s = since(&progress->start);

	if (s - progress->shown_s < 0.2)
		return;
	progress->shown_s = s;
	fprintf(stderr, "\r\033[K%s: %.1f million events, %.1f million a second", progress->name,
		1e-6 * (double)progress->events, 1e-6 * (double)progress->events / s);
}

void progress_hide(struct progress *progress)
{
	if (progress->shown_s > 0)
		fputs("\r\033[K", stderr);
	progress->shown_s = 0;
}
