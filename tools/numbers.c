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

unsigned int numbers_fault_level(const struct hyp_fault *fault)
{
	unsigned int shift = 63u - fault->zeros;

	return fault->zeros > 63 - PAGE_SHIFT ? NUMBERS_NO_LEAF
					      : (shift - PAGE_SHIFT) / LEVEL_SHIFT;
}

/* Adds up structures that are nothing but counters; another process may be adding to them. */
static void add(void *sum, const void *counts, size_t size)
{
	const volatile uint64_t *from = counts;
	uint64_t *to = sum;

	for (size_t i = 0; i < size / sizeof(*to); i++)
		to[i] += from[i];
}

/*
 * The hypervisor counts no exit twice, so its sums are made here. The counts of a running one need
 * not fit each other exactly: no difference may become negative.
 */
static void count_exits(struct numbers *numbers)
{
	const struct hyp_counts *counts = &numbers->counts;
	const struct s2_stats *stats = &numbers->stats;
	uint64_t faults = stats->fault[0] + stats->fault[1] + stats->fault[2];
	uint64_t unserved = stats->exit_mmio + stats->exit_abort + stats->exit_memory;
	uint64_t others = unserved + counts->device_faults;

	numbers->exits = faults + stats->fault[S2_FAULT_CONFLICT] + counts->refused +
			 counts->vanished + counts->hypercalls + counts->psci_calls +
			 counts->sysreg_traps;
	numbers->ram_faults = faults > others ? faults - others : 0;
	numbers->other_faults = unserved + counts->refused;
}

void numbers_add_up(struct numbers *numbers, const struct hyp_report *report)
{
	const struct s2_stats *stats = &numbers->stats;
	uint64_t mapped = 0;

	numbers->counts = (struct hyp_counts){ 0 };
	numbers->stats = (struct s2_stats){ 0 };
	numbers->reclaim = (struct hyp_reclaim){ 0 };
	for (unsigned int i = 0; i < HYP_MAX_CPUS; i++) {
		const struct hyp_percpu *cpu = &report->percpu[i];

		add(&numbers->counts, &cpu->counts, sizeof(cpu->counts));
		add(&numbers->reclaim, &cpu->reclaim, sizeof(cpu->reclaim));
		add(&numbers->stats, &cpu->walker.stats, sizeof(cpu->walker.stats));
	}
	for (unsigned int level = 0; level < S2_LEVELS; level++)
		mapped += (stats->leaves_made[level] - stats->leaves_removed[level]) *
			  numbers_level_size(level);
	count_exits(numbers);
	numbers->table_pages =
		report->table_pages_start + stats->tables_linked - stats->tables_unlinked;
	numbers->table_pages_peak = report->table_pages_peak > numbers->table_pages
					    ? report->table_pages_peak
					    : numbers->table_pages;
	numbers->mapped_device = numbers->counts.mapped_device;
	numbers->mapped_ram = mapped > numbers->mapped_device ? mapped - numbers->mapped_device : 0;
}

static int compare_when(const void *left, const void *right)
{
	uint64_t a = ((const struct hyp_fault *)left)->when;
	uint64_t b = ((const struct hyp_fault *)right)->when;

	return (a > b) - (a < b);
}

/* The log is filled chunk by chunk, each by one CPU, and the last chunks are not full. */
static void sort_faults(struct numbers *numbers, const struct hyp_report *report)
{
	uint64_t drawn = report->drawn < HYP_FAULTS ? report->drawn : HYP_FAULTS;
	struct hyp_fault *faults = malloc((drawn ? drawn : 1) * sizeof(*faults));
	uint64_t n = 0;

	if (!faults)
		abort();
	for (uint64_t i = 0; i < drawn; i++) {
		if (!report->faults[i].when)
			continue;
		faults[n] = report->faults[i];
		faults[n++].when -= report->guest_start;
	}
	qsort(faults, n, sizeof(*faults), compare_when);
	numbers->faults = faults;
	numbers->logged = n;
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
		const struct hyp_fault *fault = &numbers->faults[i];
		unsigned int level = numbers_fault_level(fault);
		int device = fault->gpa - report->ram_base >= report->ram_size;

		if (level > NUMBERS_NO_LEAF)
			level = NUMBERS_NO_LEAF;
		if (fault->kind < S2_FAULT_KINDS)
			numbers->kind[fault->kind][level]++;
		if (fault->kind != S2_FAULT_CONFLICT) /* which has no address */
			numbers->device[device][level]++;
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
		ticks[i] = numbers->faults[i].ticks;
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
	const struct hyp_counts *counts = &numbers->counts;
	uint64_t faults;

	*numbers = (struct numbers){
		/* Under --icount QEMU lets an instruction last a nanosecond. */
		.unit = options->flags & RUN_ICOUNT ? "instructions" : "ns",
	};
	if (!report)
		return;
	numbers_add_up(numbers, report);
	if (report->nruns) { /* the walk at the end knows which is which */
		numbers->mapped_ram = report->mapped_ram;
		numbers->mapped_device = report->mapped_device;
	}
	sort_faults(numbers, report);
	faults = numbers->ram_faults + counts->device_faults + numbers->other_faults;
	numbers->lost = faults > numbers->logged ? faults - numbers->logged : 0;
	numbers->nruns = (unsigned int)(report->nruns < HYP_RUNS ? report->nruns : HYP_RUNS);
	count_faults(numbers, report);
	measure_faults(numbers, report);
	for (unsigned int kind = S2_TLB_ENTRY; kind < S2_TLB_KINDS; kind++)
		numbers->tlbi += numbers->stats.tlb[kind];
	if (report->timer_hz && report->guest_end > report->guest_start)
		numbers->guest_s = (double)(report->guest_end - report->guest_start) /
				   (double)report->timer_hz;
}

void numbers_free(struct numbers *numbers)
{
	free((void *)numbers->faults);
}
