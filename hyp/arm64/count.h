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

/* The engine counts faults that were served, but cannot tell what is a device. */
static inline void report_served(struct hyp_cpu *cpu, const struct s2_fault *fault)
{
	if (fault->gpa.gpa - cpu->ram_base < cpu->ram_size)
		return;
	report_count(&cpu->percpu->counts.device_faults, 1);
	if (fault->kind == S2_FAULT_TRANSLATION)
		report_count(&cpu->percpu->counts.mapped_device, cpu->exit.size);
}

static inline unsigned int leading_zeros(uint64_t n)
{
	uint64_t zeros;

	/* As the instruction has it, 64 for 0 is no case of its own. */
	__asm__("clz %0, %1" : "=r"(zeros) : "r"(n));
	return (unsigned int)zeros;
}

_Static_assert(offsetof(struct s2_fault, kind) - offsetof(struct s2_fault, access) == 1 &&
		       offsetof(struct s2_fault, walk) - offsetof(struct s2_fault, access) == 2 &&
		       offsetof(struct s2_fault, user) - offsetof(struct s2_fault, access) == 3,
	       "the engine's order");

/* The last thing to do for an abort: the time that it took is logged with it. */
static inline void report_fault(struct hyp_cpu *cpu, const struct s2_fault *fault)
{
	struct hyp_fault *log = cpu->log;
	uint64_t entered = cpu->percpu->entered;
	uint32_t what;

	log->when = entered;
	log->gpa = fault->gpa.gpa;
	/* access, kind and walk as they stand; the zeros in place of `user` */
	__builtin_memcpy(&what, &fault->access, sizeof(what));
	log->what = (what & 0xffffff) | leading_zeros(cpu->exit.size) << 24;
	log->ticks = (uint32_t)(report_now() - entered);
	cpu->log = ++log;
	if (log == cpu->log_end)
		report_draw(cpu);
}

#endif
