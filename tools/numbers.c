// SPDX-License-Identifier: BSD-2-Clause
/*
 * The hypervisor's report, digested: counts by kind and level, and quantiles of the time that a
 * fault took. The guest cannot write to the report, but a broken hypervisor could have written
 * anything: every number that becomes an index is checked here.
 */
#include <stdlib.h>

#include "numbers.h"

#define PAGE_SHIFT  12
#define LEVEL_SHIFT 9

const char *numbers_level(unsigned int level)
{
	static const char *const names[] = { "4K", "2M", "1G", "512G", "256T", "none" };

	return names[level < S2_LEVELS ? level : S2_LEVELS];
}

uint64_t numbers_level_size(unsigned int level)
{
	return 1ull << (PAGE_SHIFT + LEVEL_SHIFT * (level < S2_LEVELS ? level : 0));
}

static int compare_ticks(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left;
	uint32_t b = *(const uint32_t *)right;

	return (a > b) - (a < b);
}

static void count_faults(struct numbers *numbers, const struct hyp_report *report)
{
	for (uint64_t i = 0; i < numbers->logged; i++) {
		const struct hyp_fault *fault = &report->faults[i];
		unsigned int level = fault->level < S2_LEVELS ? fault->level : NUMBERS_NO_LEAF;

		if (fault->kind < 3)
			numbers->kind[fault->kind][level]++;
		numbers->device[fault->what >> 7][level]++;
	}
}

static void measure_faults(struct numbers *numbers, const struct hyp_report *report)
{
	double per_tick = report->timer_hz ? 1e9 / (double)report->timer_hz : 0;
	uint64_t n = numbers->logged;
	uint32_t *ticks = malloc((n ? n : 1) * sizeof(*ticks));

	if (!ticks)
		abort();
	for (uint64_t i = 0; i < n; i++)
		ticks[i] = report->faults[i].ticks;
	qsort(ticks, n, sizeof(*ticks), compare_ticks);
	if (n) {
		numbers->median = ticks[(n - 1) / 2] * per_tick;
		/* The smallest that at least 99 of 100 do not exceed. */
		numbers->p99 = ticks[(n * 99 + 99) / 100 - 1] * per_tick;
		numbers->max = ticks[n - 1] * per_tick;
	}
	free(ticks);
}

void numbers_digest(struct numbers *numbers, const struct run_options *options,
		    const struct run_result *result)
{
	const struct hyp_report *report = result->report;

	*numbers = (struct numbers){
		/* Under --icount QEMU lets an instruction last a nanosecond. */
		.unit = options->flags & RUN_ICOUNT ? "instructions" : "ns",
	};
	if (!report)
		return;
	numbers->logged = report->nfaults < HYP_FAULTS ? report->nfaults : HYP_FAULTS;
	numbers->lost = report->nfaults - numbers->logged;
	numbers->nruns = (unsigned int)(report->nruns < HYP_RUNS ? report->nruns : HYP_RUNS);
	count_faults(numbers, report);
	measure_faults(numbers, report);
	for (unsigned int kind = S2_TLB_ENTRY; kind < S2_TLB_KINDS; kind++)
		numbers->tlbi += report->stats.tlb[kind];
	if (report->timer_hz && report->guest_end > report->guest_start)
		numbers->guest_s = (double)(report->guest_end - report->guest_start) /
				   (double)report->timer_hz;
}
