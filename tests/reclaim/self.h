/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In place of hyp/arm64/self.h: threads or coroutines are CPUs, time is a number.
 */
#ifndef TESTS_RECLAIM_SELF_H
#define TESTS_RECLAIM_SELF_H

#include "report.h"

struct hyp_cpu;

extern struct hyp_report world_report;
static struct hyp_report *const hyp_report = &world_report;

struct hyp_cpu *cpu_this(void);
void cpu_relax(void);
void cpu_sleep(void);
int cpu_wanted(void);
int cpu_has_tags(void);
uint64_t report_now(void);

#endif
