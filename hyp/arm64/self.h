/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The processor that this code runs on: who am I, what time is it, may I wait? For hyp.h, and for
 * those files that a native test runs, too (reclaim.c, frames.c): it is included as <self.h>, and
 * tests/reclaim has another one, with threads for CPUs. So those files have no instructions of
 * their own.
 */
#ifndef HYP_SELF_H
#define HYP_SELF_H

#include "report.h"
#include "sysreg.h"

struct hyp_cpu;

static struct hyp_report *const hyp_report = (struct hyp_report *)HYP_REPORT_BASE;

static inline struct hyp_cpu *cpu_this(void)
{
	struct hyp_cpu *cpu;

	__asm__ volatile("mrs %0, tpidr_el2" : "=r"(cpu));
	return cpu;
}

/* Another CPU is about to do what this one waits for. */
static inline void cpu_relax(void)
{
	__asm__ volatile("yield");
}

/* Until something happens that may concern the guest. */
static inline void cpu_sleep(void)
{
	__asm__ volatile("wfi" : : : "memory");
}

/* An interrupt waits for the guest. */
static inline int cpu_wanted(void)
{
	return sysreg_read(isr_el1) != 0;
}

/* Memory has allocation tags, which do not move with it (MTE). */
static inline int cpu_has_tags(void)
{
	return id_field(id_read(ID_AA64PFR1), ID_AA64PFR1_MTE) >= 2;
}

static inline uint64_t report_now(void)
{
	uint64_t now;

	/* Without ISB the counter could be read early. */
	__asm__ volatile("isb\n\tmrs %0, cntpct_el0" : "=r"(now) : : "memory");
	return now;
}

#endif
