// SPDX-License-Identifier: BSD-2-Clause
/*
 * The result as one JSON object. Keys are stable: add, do not rename. A run without hypervisor
 * has those of the run only.
 */
#include <jansson.h>

#include "show.h"

/* Console text may hold bytes that are no UTF-8: those are replaced. */
static json_t *text(const char *string)
{
	char clean[4096];
	json_t *value = json_string(string);
	size_t i;

	if (value)
		return value;
	for (i = 0; i < sizeof(clean) - 1 && string[i]; i++)
		clean[i] = string[i] & 0x80 ? '?' : string[i];
	clean[i] = '\0';
	return json_string(clean);
}

static void put(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value);
}

static void put_int(json_t *object, const char *key, uint64_t value)
{
	put(object, key, json_integer((json_int_t)value));
}

static json_t *machine(const struct run_options *options)
{
	json_t *object = json_object();

	put(object, "cpu", text(options->cpu));
	put_int(object, "smp", options->smp);
	put_int(object, "mem_mib", options->mem_mib);
	put_int(object, "gic", options->gic);
	put(object, "icount", json_boolean(options->flags & RUN_ICOUNT));
	put(object, "plain", json_boolean(options->flags & RUN_PLAIN));
	put(object, "kernel", text(options->kernel));
	put(object, "initrd", options->initrd ? text(options->initrd) : json_null());
	if (!(options->flags & RUN_PLAIN))
		put(object, "pages", json_string(options->flags & RUN_PAGES_4K ? "4k" : "block"));
	return object;
}

static json_t *phases(const struct run_result *result)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < result->nphases; i++) {
		json_t *phase = json_object();

		put(phase, "name", text(result->phases[i].name));
		put(phase, "at_s", json_real(result->phases[i].at_s));
		json_array_append_new(array, phase);
	}
	return array;
}

static json_t *levels(const uint64_t *counts)
{
	json_t *object = json_object();

	for (unsigned int level = 0; level <= NUMBERS_NO_LEAF; level++)
		put_int(object, numbers_level(level), counts[level]);
	return object;
}

static json_t *faults(const struct hyp_report *report, const struct numbers *numbers)
{
	const struct s2_stats *stats = &report->stats;
	json_t *object = json_object();
	json_t *kinds = json_object();
	json_t *exits = json_object();

	put(kinds, "translation", levels(numbers->kind[S2_FAULT_TRANSLATION]));
	put(kinds, "permission", levels(numbers->kind[S2_FAULT_PERMISSION]));
	put(kinds, "access_flag", levels(numbers->kind[S2_FAULT_ACCESS]));
	put(object, "by_kind", kinds);
	put(object, "ram", levels(numbers->device[0]));
	put(object, "device", levels(numbers->device[1]));
	put_int(object, "walk", stats->fault_walk);
	put_int(object, "spurious", stats->fault_spurious);
	put_int(object, "retry", stats->fault_retry);
	put_int(exits, "mmio", stats->exit_mmio);
	put_int(exits, "abort", stats->exit_abort);
	put_int(exits, "memory", stats->exit_memory);
	put(object, "exits", exits);
	put_int(object, "logged", numbers->logged);
	put_int(object, "not_logged", numbers->lost);
	return object;
}

static json_t *invalidations(const struct s2_stats *stats)
{
	json_t *object = json_object();

	put_int(object, "entry", stats->tlb[S2_TLB_ENTRY]);
	put_int(object, "range", stats->tlb[S2_TLB_RANGE]);
	put_int(object, "all", stats->tlb[S2_TLB_ALL]);
	put_int(object, "local", stats->tlb_local);
	put_int(object, "publish", stats->tlb[S2_TLB_PUBLISH]);
	return object;
}

static json_t *leaves(const struct hyp_report *report, const struct numbers *numbers)
{
	uint64_t counts[S2_LEVELS + 1] = { 0 };

	for (unsigned int i = 0; i < numbers->nruns; i++) {
		const struct hyp_run *run = &report->runs[i];

		counts[run->level < S2_LEVELS ? run->level : NUMBERS_NO_LEAF] += run->leaves;
	}
	return levels(counts);
}

static void put_report(json_t *root, const struct hyp_report *report, const struct numbers *numbers)
{
	json_t *time = json_object();

	put_int(root, "ram_faults", report->ram_faults);
	put_int(root, "device_faults", report->device_faults);
	put_int(root, "other_faults", report->other_faults);
	put(root, "faults", faults(report, numbers));
	put_int(root, "table_pages", report->table_pages);
	put_int(root, "table_pages_peak", report->table_pages_peak);
	put_int(root, "tlbi", numbers->tlbi);
	put(root, "invalidations", invalidations(&report->stats));
	put_int(root, "breaks", report->stats.breaks);
	put(time, "median", json_real(numbers->median));
	put(time, "p99", json_real(numbers->p99));
	put(time, "max", json_real(numbers->max));
	put(time, "unit", json_string(numbers->unit));
	put(root, "el2_cycles_per_fault", time);
	put_int(root, "mapped_ram", report->mapped_ram);
	put_int(root, "mapped_device", report->mapped_device);
	put(root, "leaves", leaves(report, numbers));
	put_int(root, "exits", report->heartbeat);
	put_int(root, "hypercalls", report->hypercalls);
	put_int(root, "psci_calls", report->psci_calls);
	put_int(root, "sysreg_traps", report->sysreg_traps);
	put_int(root, "cpus", report->cpus);
	put_int(root, "ipa_bits", report->ipa_bits);
	put_int(root, "ram_base", report->ram_base);
	put_int(root, "ram_size", report->ram_size);
	put_int(root, "reserve_size", report->reserve_size);
	put(root, "guest_s", json_real(numbers->guest_s));
}

int show_json(FILE *out, const struct run_options *options, const struct run_result *result,
	      const struct numbers *numbers)
{
	const struct hyp_report *report = result->report;
	json_t *root = json_object();
	int failed;

	put(root, "stage2", json_string(STAGE2_VERSION));
	put(root, "guest_exit", json_string(run_end_name(result->end)));
	put(root, "reason", text(run_end_text(options, result)));
	if (report && report->text[0])
		put(root, "hypervisor_text", text(report->text));
	if (result->panic[0])
		put(root, "panic", text(result->panic));
	if (result->errors[0])
		put(root, "qemu_errors", text(result->errors));
	put(root, "wall_s", json_real(result->wall_s));
	put(root, "cpu_s", json_real(result->cpu_s));
	put(root, "machine", machine(options));
	put(root, "checksum", result->checksum[0] ? text(result->checksum) : json_null());
	put(root, "console_lines", json_integer(result->console_lines));
	put(root, "phases", phases(result));
	if (options->trace)
		put(root, "trace_events", json_integer((json_int_t)result->trace_events));
	if (report)
		put_report(root, report, numbers);
	failed = json_dumpf(root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
	fputc('\n', out);
	json_decref(root);
	return failed || ferror(out);
}
