// SPDX-License-Identifier: BSD-2-Clause
/*
 * The result for people: how it ended, and one screen of numbers.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "show.h"

struct colours {
	const char *title;
	const char *good;
	const char *bad;
	const char *plain;
};

static struct colours colours_for(FILE *out)
{
	static const struct colours none = { "", "", "", "" };
	static const struct colours ansi = { "\033[1m", "\033[32m", "\033[31m", "\033[0m" };
	const char *no_colour = getenv("NO_COLOR");

	return isatty(fileno(out)) && !(no_colour && no_colour[0]) ? ansi : none;
}

static void show_size(FILE *out, uint64_t bytes)
{
	if (bytes >= 10ull << 30)
		fprintf(out, "%llu GiB", (unsigned long long)(bytes >> 30));
	else if (bytes >= 1ull << 20)
		fprintf(out, "%llu MiB", (unsigned long long)(bytes >> 20));
	else
		fprintf(out, "%llu KiB", (unsigned long long)(bytes >> 10));
}

static void show_end(FILE *out, const struct colours *c, const struct run_options *options,
		     const struct run_result *result, const struct numbers *numbers)
{
	const struct hyp_report *report = result->report;
	int good = run_exit_code(result) == EXIT_OK;

	fprintf(out, "\n%s%s%s after %.2f s", good ? c->good : c->bad,
		run_end_text(options, result), c->plain, result->wall_s);
	if (numbers->guest_s > 0)
		fprintf(out, " (%.2f s on its own clock)", numbers->guest_s);
	fputc('\n', out);
	if (result->panic[0])
		fprintf(out, "panic: %s\n", result->panic);
	if (!good && report && report->text[0])
		fprintf(out, "hypervisor: %s\n", report->text);
	if (result->errors[0])
		fprintf(out, "QEMU: %s", result->errors);
	fprintf(out, "%s, %u CPU%s, %u MiB, GICv%u%s", options->cpu, options->smp,
		options->smp == 1 ? "" : "s", options->mem_mib, options->gic,
		options->flags & RUN_PLAIN ? ", no hypervisor" : "");
	if (report && report->reserve_size)
		fprintf(out, " (%llu MiB of memory for the hypervisor)",
			(unsigned long long)((report->reserve_size + report->tail_size) >> 20));
	fputc('\n', out);
	if (result->checksum[0])
		fprintf(out, "workload's checksum %s\n", result->checksum);
}

static void show_row(FILE *out, const char *name, const uint64_t *counts, unsigned int top)
{
	uint64_t sum = 0;

	fprintf(out, "  %-14s", name);
	for (unsigned int level = 0; level <= NUMBERS_NO_LEAF; level++) {
		sum += counts[level];
		if (level <= top || level == NUMBERS_NO_LEAF)
			fprintf(out, "%9llu", (unsigned long long)counts[level]);
	}
	fprintf(out, "%9llu\n", (unsigned long long)sum);
}

static void show_faults(FILE *out, const struct colours *c, const struct numbers *numbers)
{
	unsigned int top = 2; /* 1 GiB */

	fprintf(out, "\n%s%-16s", c->title, "Faults");
	for (unsigned int level = 0; level <= top; level++)
		fprintf(out, "%9s", numbers_level(level));
	fprintf(out, "%9s%9s%s\n", "no leaf", "all", c->plain);
	show_row(out, "memory", numbers->device[0], top);
	show_row(out, "devices", numbers->device[1], top);
	show_row(out, "translation", numbers->kind[S2_FAULT_TRANSLATION], top);
	show_row(out, "permission", numbers->kind[S2_FAULT_PERMISSION], top);
	show_row(out, "access flag", numbers->kind[S2_FAULT_ACCESS], top);
	if (numbers->stats.fault[S2_FAULT_CONFLICT])
		show_row(out, "TLB conflict", numbers->kind[S2_FAULT_CONFLICT], top);
	if (numbers->lost)
		fprintf(out, "  (%llu more faults did not fit into the log)\n",
			(unsigned long long)numbers->lost);
}

static void show_tables(FILE *out, const struct colours *c, const struct numbers *numbers)
{
	const struct hyp_counts *counts = &numbers->counts;
	const uint64_t *tlb = numbers->stats.tlb;

	fprintf(out, "\n%sMapped%s          ", c->title, c->plain);
	show_size(out, numbers->mapped_ram);
	fputs(" of memory, ", out);
	show_size(out, numbers->mapped_device);
	fprintf(out, " of devices, by %llu pages of tables (at most %llu)\n",
		(unsigned long long)numbers->table_pages,
		(unsigned long long)numbers->table_pages_peak);
	fprintf(out,
		"%sInvalidations%s   %llu: %llu of an entry, %llu of a range, %llu of all; "
		"%llu entries published\n",
		c->title, c->plain, (unsigned long long)numbers->tlbi,
		(unsigned long long)tlb[S2_TLB_ENTRY], (unsigned long long)tlb[S2_TLB_RANGE],
		(unsigned long long)tlb[S2_TLB_ALL], (unsigned long long)tlb[S2_TLB_PUBLISH]);
	fprintf(out, "%sTime at EL2%s     %.0f %s a fault (median), %.0f (p99), %.0f (most)\n",
		c->title, c->plain, numbers->median, numbers->unit, numbers->p99, numbers->max);
	fprintf(out, "%sExits to EL2%s    %llu", c->title, c->plain,
		(unsigned long long)numbers->exits);
	fprintf(out, ": %llu PSCI calls, %llu other hypercalls, %llu system registers\n",
		(unsigned long long)counts->psci_calls, (unsigned long long)counts->hypercalls,
		(unsigned long long)counts->sysreg_traps);
}

static void show_reclaim(FILE *out, const struct colours *c, const struct numbers *numbers,
			 const struct hyp_report *report)
{
	const struct hyp_reclaim *r = &numbers->reclaim;

	fprintf(out,
		"%sReclaimed%s       %llu pages taken (%llu of zeros), %llu given back; at most "
		"%llu "
		"out at once\n",
		c->title, c->plain, (unsigned long long)r->taken, (unsigned long long)r->zeros,
		(unsigned long long)r->given_back, (unsigned long long)report->pages_out_peak);
	fprintf(out,
		"                %llu moved, %llu merged, %llu of these unshared; looked at %llu, "
		"%llu were young\n",
		(unsigned long long)r->moved, (unsigned long long)r->merged,
		(unsigned long long)r->unshared, (unsigned long long)r->scanned,
		(unsigned long long)r->young);
}

int show_text(FILE *out, const struct run_options *options, const struct run_result *result,
	      const struct numbers *numbers)
{
	struct colours c = colours_for(out);

	show_end(out, &c, options, result, numbers);
	if (result->report && result->report->guest_start) {
		show_faults(out, &c, numbers);
		show_tables(out, &c, numbers);
		if (result->report->tail_size)
			show_reclaim(out, &c, numbers, result->report);
	}
	if (options->trace)
		fprintf(out, "%sTrace%s           %llu events: stage2 check %s\n", c.title, c.plain,
			(unsigned long long)result->trace_events, options->trace);
	return ferror(out);
}
