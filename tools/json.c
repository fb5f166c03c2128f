// SPDX-License-Identifier: BSD-2-Clause
/*
 * The result as one JSON object. Keys are stable: add, do not rename. A run without hypervisor
 * has those of the run only.
 */
#include "pack.h"
#include "show.h"

static void put(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value);
}

static json_t *machine(const struct run_options *options)
{
	json_t *object = json_object();

	put(object, "cpu", pack_text(options->cpu));
	pack_number(object, "smp", options->smp);
	pack_number(object, "mem_mib", options->mem_mib);
	pack_number(object, "gic", options->gic);
	put(object, "icount", json_boolean(options->flags & RUN_ICOUNT));
	put(object, "plain", json_boolean(options->flags & RUN_PLAIN));
	put(object, "kernel", pack_text(options->kernel));
	put(object, "initrd", options->initrd ? pack_text(options->initrd) : json_null());
	if (!(options->flags & RUN_PLAIN))
		put(object, "pages", json_string(options->flags & RUN_PAGES_4K ? "4k" : "block"));
	pack_number(object, "reclaim", options->reclaim);
	put(object, "merge", json_boolean(options->flags & RUN_MERGE));
	return object;
}

static json_t *phases(const struct run_result *result)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < result->nphases; i++) {
		json_t *phase = json_object();

		put(phase, "name", pack_text(result->phases[i].name));
		put(phase, "at_s", json_real(result->phases[i].at_s));
		json_array_append_new(array, phase);
	}
	return array;
}

static json_t *levels(const uint64_t *counts)
{
	json_t *object = json_object();

	for (unsigned int level = 0; level <= NUMBERS_NO_LEAF; level++)
		pack_number(object, numbers_level(level), counts[level]);
	return object;
}

static json_t *faults(const struct numbers *numbers)
{
	const struct s2_stats *stats = &numbers->stats;
	json_t *object = json_object();
	json_t *kinds = json_object();
	json_t *exits = json_object();

	put(kinds, "translation", levels(numbers->kind[S2_FAULT_TRANSLATION]));
	put(kinds, "permission", levels(numbers->kind[S2_FAULT_PERMISSION]));
	put(kinds, "access_flag", levels(numbers->kind[S2_FAULT_ACCESS]));
	put(kinds, "tlb_conflict", levels(numbers->kind[S2_FAULT_CONFLICT]));
	put(object, "by_kind", kinds);
	put(object, "ram", levels(numbers->device[0]));
	put(object, "device", levels(numbers->device[1]));
	pack_number(object, "walk", stats->fault_walk);
	pack_number(object, "spurious", stats->fault_spurious);
	pack_number(object, "retry", stats->fault_retry);
	pack_number(exits, "mmio", stats->exit_mmio);
	pack_number(exits, "abort", stats->exit_abort);
	pack_number(exits, "memory", stats->exit_memory);
	put(object, "exits", exits);
	pack_number(object, "logged", numbers->logged);
	pack_number(object, "not_logged", numbers->lost);
	return object;
}

static json_t *invalidations(const struct s2_stats *stats)
{
	json_t *object = json_object();

	pack_number(object, "entry", stats->tlb[S2_TLB_ENTRY]);
	pack_number(object, "range", stats->tlb[S2_TLB_RANGE]);
	pack_number(object, "all", stats->tlb[S2_TLB_ALL]);
	pack_number(object, "local", stats->tlb_local);
	pack_number(object, "publish", stats->tlb[S2_TLB_PUBLISH]);
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

static json_t *reclaim(const struct hyp_report *report, const struct hyp_reclaim *counts)
{
	json_t *object = json_object();

	pack_number(object, "scanned", counts->scanned);
	pack_number(object, "young", counts->young);
	pack_number(object, "taken", counts->taken);
	pack_number(object, "zeros", counts->zeros);
	pack_number(object, "given_back", counts->given_back);
	pack_number(object, "out_peak", report->pages_out_peak);
	pack_number(object, "moved", counts->moved);
	pack_number(object, "merged", counts->merged);
	pack_number(object, "unshared", counts->unshared);
	return object;
}

static void put_report(json_t *root, const struct hyp_report *report, const struct numbers *numbers)
{
	const struct hyp_counts *counts = &numbers->counts;
	json_t *time = json_object();

	pack_number(root, "ram_faults", numbers->ram_faults);
	pack_number(root, "device_faults", counts->device_faults);
	pack_number(root, "other_faults", numbers->other_faults);
	put(root, "faults", faults(numbers));
	pack_number(root, "table_pages", numbers->table_pages);
	pack_number(root, "table_pages_peak", numbers->table_pages_peak);
	pack_number(root, "tlbi", numbers->tlbi);
	put(root, "invalidations", invalidations(&numbers->stats));
	pack_number(root, "breaks", numbers->stats.breaks);
	put(time, "median", json_real(numbers->median));
	put(time, "p99", json_real(numbers->p99));
	put(time, "max", json_real(numbers->max));
	put(time, "unit", json_string(numbers->unit));
	put(root, "el2_cycles_per_fault", time);
	pack_number(root, "mapped_ram", numbers->mapped_ram);
	pack_number(root, "mapped_device", numbers->mapped_device);
	put(root, "leaves", leaves(report, numbers));
	pack_number(root, "exits", numbers->exits);
	pack_number(root, "hypercalls", counts->hypercalls);
	pack_number(root, "psci_calls", counts->psci_calls);
	pack_number(root, "sysreg_traps", counts->sysreg_traps);
	pack_number(root, "cpus", report->cpus);
	pack_number(root, "ipa_bits", report->ipa_bits);
	pack_number(root, "ram_base", report->ram_base);
	pack_number(root, "ram_size", report->ram_size);
	pack_number(root, "reserve_size", report->reserve_size);
	pack_number(root, "tail_size", report->tail_size);
	if (report->tail_size)
		put(root, "reclaim", reclaim(report, &numbers->reclaim));
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
	put(root, "reason", pack_text(run_end_text(options, result)));
	if (report && report->text[0])
		put(root, "hypervisor_text", pack_text(report->text));
	if (result->panic[0])
		put(root, "panic", pack_text(result->panic));
	if (result->errors[0])
		put(root, "qemu_errors", pack_text(result->errors));
	put(root, "wall_s", json_real(result->wall_s));
	put(root, "cpu_s", json_real(result->cpu_s));
	put(root, "machine", machine(options));
	put(root, "checksum", result->checksum[0] ? pack_text(result->checksum) : json_null());
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
