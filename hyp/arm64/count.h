/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an exit writes into the report: inline, for it is part of what every exit costs. Each CPU
 * counts for itself; the two things that CPUs have in common are drawn or changed by the functions
 * of report.c, once in many exits.
 */
#ifndef HYP_COUNT_H
#define HYP_COUNT_H

#include "hyp.h"

/* A counter that this CPU writes and others may read at any time. */
static inline void report_count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

/* Accounts the tables that this CPU linked and unlinked since the last call. */
static inline void report_tables(struct hyp_cpu *cpu)
{
	const struct s2_stats *stats = &cpu->walker->stats;
	uint64_t tables = stats->tables_linked - stats->tables_unlinked;

	if (tables == cpu->tables)
		return;
	report_add_tables(tables - cpu->tables);
	cpu->tables = tables;
}

static inline void report_fault_count(struct hyp_counts *counts, const struct s2_fault *fault,
				      const struct s2_exit *exit)
{
	if (exit->reason != S2_EXIT_RESUME) {
		report_count(&counts->other_faults, 1);
	} else if (fault->gpa.gpa - hyp_guest.ram_base < hyp_guest.ram_size) {
		report_count(&counts->ram_faults, 1);
	} else {
		report_count(&counts->device_faults, 1);
		if (fault->kind == S2_FAULT_TRANSLATION)
			report_count(&counts->mapped_device, exit->size);
	}
}

/* The last thing to do for an abort: the time that it took is logged with it. */
static inline void report_fault(struct hyp_cpu *cpu, const struct s2_fault *fault,
				const struct s2_exit *exit)
{
	struct hyp_fault *log;

	report_tables(cpu);
	report_fault_count(cpu->counts, fault, exit);
	if (cpu->log == cpu->log_end && !report_draw(cpu))
		return;
	log = cpu->log++;
	log->when = cpu->entered;
	log->gpa = fault->gpa.gpa;
	log->access = fault->access;
	log->kind = fault->kind;
	log->walk = fault->walk;
	log->shift = (uint8_t)(63 - (exit->size ? __builtin_clzll(exit->size) : 64));
	log->ticks = (uint32_t)(report_now() - cpu->entered);
}

#endif
