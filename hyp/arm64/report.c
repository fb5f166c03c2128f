// SPDX-License-Identifier: BSD-2-Clause
/*
 * The numbers that the hypervisor hands out (report.h says where and to whom).
 *
 * Each CPU counts for itself and logs faults into chunks of slots that it draws; a drawn slot
 * is its own. The pages of tables are counted in common, since their peak must be known, but only
 * when a CPU draws, or changes many at once; what is not accounted yet the reader finds in the
 * walkers. What the walk at the end says is exact only if the other CPUs
 * have stopped; while one still faults, the walk sees each entry before or after.
 *
 * The run is ended by one CPU, the first to claim it. Others that come to an end too are parked;
 * those in the guest go on until the machine is off, which is at once.
 */
#include <stdarg.h>
#include <string.h>

#include "hyp.h"
#include "reclaim.h"
#include "sysreg.h"

static uint32_t started;
static uint32_t claimed;

void report_start(void)
{
	struct hyp_report *report = hyp_report;

	started = 1;
	memset(report, 0, offsetof(struct hyp_report, faults));
	report->version = HYP_REPORT_VERSION;
	report->state = HYP_STATE_STARTED;
	report->timer_hz = sysreg_read(cntfrq_el0);
	__atomic_store_n(&report->magic, HYP_REPORT_MAGIC, __ATOMIC_RELEASE);
}

/* The guest is about to start: everything about it is known. */
void report_run(void)
{
	struct hyp_report *report = hyp_report;
	struct s2_census census;

	if (!s2_pt_audit(&hyp_guest.vm.pt, cpu_this()->walker, &census, NULL))
		for (unsigned int level = 0; level < S2_LEVELS; level++)
			report->table_pages_start += census.tables[level];
	report->table_pages_known = report->table_pages_start;
	report->table_pages_peak = report->table_pages_start;
	report->ram_base = hyp_guest.ram_base;
	report->ram_size = hyp_guest.ram_size;
	report->reserve_size = hyp_guest.reserve;
	report->tail_size = hyp_guest.tail;
	report->block_level = hyp_guest.block_level;
	report->cpu = hyp_guest.port.cpu;
	report->cpus = 1;
	report->guest_start = report_now();
	__atomic_store_n(&report->state, HYP_STATE_RUNNING, __ATOMIC_RELEASE);
}

void report_tables(struct hyp_cpu *cpu)
{
	struct hyp_report *report = hyp_report;
	const struct s2_stats *stats = &cpu->walker->stats;
	uint64_t tables = stats->tables_linked - stats->tables_unlinked;
	uint64_t now, peak;

	if (tables == cpu->tables)
		return;
	now = __atomic_add_fetch(&report->table_pages_known, tables - cpu->tables,
				 __ATOMIC_RELAXED);
	cpu->tables = tables;
	peak = __atomic_load_n(&report->table_pages_peak, __ATOMIC_RELAXED);
	while (now > peak && !__atomic_compare_exchange_n(&report->table_pages_peak, &peak, now, 0,
							  __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

void report_draw(struct hyp_cpu *cpu)
{
	uint64_t *drawn = &hyp_report->drawn;
	uint64_t index = __atomic_load_n(drawn, __ATOMIC_RELAXED);

	if (hyp_guest.tail)
		reclaim_turn(cpu);
	if (cpu->log != cpu->chunk_end) {
		cpu->log_end = cpu->log + 1;
		return;
	}
	report_tables(cpu);
	if (index < HYP_FAULTS)
		index = __atomic_fetch_add(drawn, HYP_CHUNK, __ATOMIC_RELAXED);
	cpu->log = index < HYP_FAULTS ? &hyp_report->faults[index] : cpu->unlogged;
	cpu->chunk_end = cpu->log + HYP_CHUNK;
	/* The host's turn comes after each fault, and costs nothing where there is no such host. */
	cpu->log_end = hyp_guest.tail ? cpu->log + 1 : cpu->chunk_end;
}

static int run_continues(const struct hyp_run *run, const struct s2_leaf *leaf)
{
	return run->gpa + run->size == leaf->gpa.gpa && run->hpa + run->size == leaf->hpa.hpa &&
	       run->level == leaf->level && run->prot == leaf->attr.prot &&
	       run->type == leaf->attr.type && run->young == leaf->young;
}

static void walk_runs(struct s2_walker *walker)
{
	struct hyp_report *report = hyp_report;
	uint64_t ram = 0;
	uint64_t device = 0;
	uint64_t gpa = 0;
	struct hyp_run run = { 0 };
	struct s2_leaf leaf;

	while (!s2_pt_next(&hyp_guest.vm.pt, s2_gpa(gpa), walker, &leaf)) {
		gpa = leaf.gpa.gpa + leaf.size;
		*(leaf.gpa.gpa - hyp_guest.ram_base < hyp_guest.ram_size ? &ram : &device) +=
			leaf.size;
		if (!run.leaves || !run_continues(&run, &leaf)) {
			run.gpa = leaf.gpa.gpa;
			run.hpa = leaf.hpa.hpa;
			run.size = 0;
			run.leaves = 0;
			run.level = leaf.level;
			run.prot = leaf.attr.prot;
			run.type = leaf.attr.type;
			run.young = leaf.young;
			report->nruns++;
		}
		run.size += leaf.size;
		run.leaves++;
		if (report->nruns <= HYP_RUNS)
			report->runs[report->nruns - 1] = run;
	}
	report->mapped_ram = ram;
	report->mapped_device = device;
}

void hyp_end(enum hyp_end end, const char *format, ...)
{
	struct hyp_report *report = hyp_report;
	va_list args;

	if (__atomic_exchange_n(&claimed, 1, __ATOMIC_ACQUIRE))
		cpu_park();
	if (!started)
		report_start();
	report->guest_end = report_now();
	va_start(args, format);
	hyp_vformat(report->text, sizeof(report->text), format, args);
	va_end(args);
	/* A crash may have left the engine in the middle of something: no more calls into it. */
	if (report->state == HYP_STATE_RUNNING && end != HYP_END_CRASH)
		walk_runs(cpu_this()->walker);
	report->end = end;
	__atomic_store_n(&report->state, HYP_STATE_ENDED, __ATOMIC_RELEASE);
	psci_leave(end);
}
