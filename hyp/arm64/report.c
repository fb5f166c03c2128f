// SPDX-License-Identifier: BSD-2-Clause
/*
 * The numbers that the hypervisor hands out (report.h says where and to whom).
 *
 * Counters are added to by all CPUs, atomically and without order: each is right by itself. A
 * slot of faults[] belongs to the CPU that drew its index. stats is copied now and then by whoever
 * gets the (try-)lock, and once more at the end. What the walk at the end says is exact only if the
 * other CPUs have stopped; while one still faults, the walk sees each entry before or after.
 *
 * The run is ended by one CPU, the first to claim it. Others that come to an end too are parked;
 * those in the guest go on until the machine is off, which is at once.
 */
#include <stdarg.h>
#include <string.h>

#include "hyp.h"
#include "sysreg.h"

#define STATS_EVERY 256

static uint32_t started;
static uint32_t claimed;
static uint32_t stats_lock;
static uint64_t level_size[S2_LEVELS];

uint64_t report_now(void)
{
	isb(); /* or the counter could be read early */
	return sysreg_read(cntpct_el0);
}

void report_count(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

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

	for (unsigned int level = 0; level < S2_LEVELS; level++)
		level_size[level] = s2_pt_level_size(&hyp_guest.vm.pt, level);
	if (!s2_pt_audit(&hyp_guest.vm.pt, &cpu_this()->walker, &census, NULL))
		for (unsigned int level = 0; level < S2_LEVELS; level++)
			report->table_pages += census.tables[level];
	report->table_pages_peak = report->table_pages;
	report->ram_base = hyp_guest.ram_base;
	report->ram_size = hyp_guest.ram_size;
	report->reserve_size = hyp_guest.reserve;
	report->block_level = hyp_guest.block_level;
	report->cpu = hyp_guest.port.cpu;
	report->cpus = 1;
	report->guest_start = report_now();
	__atomic_store_n(&report->state, HYP_STATE_RUNNING, __ATOMIC_RELEASE);
}

static void stats_copy(void)
{
	if (__atomic_exchange_n(&stats_lock, 1, __ATOMIC_ACQUIRE))
		return;
	s2_pt_stats(&hyp_guest.vm.pt, &hyp_report->stats);
	__atomic_store_n(&stats_lock, 0, __ATOMIC_RELEASE);
}

static void count_tables(int64_t n)
{
	struct hyp_report *report = hyp_report;
	uint64_t now = __atomic_add_fetch(&report->table_pages, (uint64_t)n, __ATOMIC_RELAXED);
	uint64_t peak = __atomic_load_n(&report->table_pages_peak, __ATOMIC_RELAXED);

	while (now > peak && !__atomic_compare_exchange_n(&report->table_pages_peak, &peak, now, 0,
							  __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

void report_account(struct hyp_cpu *cpu, uint64_t *mapped)
{
	const struct s2_stats *stats = &cpu->walker.stats;
	int64_t tables = (int64_t)(stats->tables_linked - stats->tables_unlinked);
	int64_t bytes = 0;

	for (unsigned int level = 0; level < S2_LEVELS; level++)
		bytes += (int64_t)((stats->leaves_made[level] - stats->leaves_removed[level]) *
				   level_size[level]);
	if (bytes != cpu->mapped)
		report_count(mapped, (uint64_t)(bytes - cpu->mapped));
	if (tables != cpu->tables)
		count_tables(tables - cpu->tables);
	cpu->mapped = bytes;
	cpu->tables = tables;
}

static uint8_t leaf_level(uint64_t size)
{
	for (uint8_t level = 0; level < S2_LEVELS; level++)
		if (size && level_size[level] == size)
			return level;
	return 0xff;
}

void report_fault(struct hyp_cpu *cpu, const struct s2_fault *fault, const struct s2_exit *exit)
{
	struct hyp_report *report = hyp_report;
	int ram = fault->gpa.gpa - hyp_guest.ram_base < hyp_guest.ram_size;
	uint64_t *kind = ram ? &report->ram_faults : &report->device_faults;
	uint64_t index = __atomic_fetch_add(&report->nfaults, 1, __ATOMIC_RELAXED);

	report_count(exit->reason == S2_EXIT_RESUME ? kind : &report->other_faults, 1);
	report_account(cpu, ram ? &report->mapped_ram : &report->mapped_device);
	if (index % STATS_EVERY == STATS_EVERY - 1)
		stats_copy();
	if (index < HYP_FAULTS) {
		struct hyp_fault *log = &report->faults[index];

		log->when = cpu->entered - report->guest_start;
		log->gpa = fault->gpa.gpa;
		log->kind = fault->kind;
		log->access = fault->access;
		log->level = exit->reason == S2_EXIT_RESUME ? leaf_level(exit->size) : 0xff;
		log->what = (uint8_t)((cpu->index & 3) | (fault->walk ? 1 << 6 : 0) |
				      (ram ? 0 : 1 << 7));
		log->ticks = (uint32_t)(report_now() - cpu->entered);
	}
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
	if (report->state == HYP_STATE_RUNNING && end != HYP_END_CRASH) {
		walk_runs(&cpu_this()->walker);
		s2_pt_stats(&hyp_guest.vm.pt, &report->stats);
	}
	report->end = end;
	__atomic_store_n(&report->state, HYP_STATE_ENDED, __ATOMIC_RELEASE);
	psci_leave(end);
}
