// SPDX-License-Identifier: BSD-2-Clause
/*
 * The simulation's outside: the functions of the port, the three hooks, and its life.
 *
 * Those of entries are given nothing but an address, so all simulations of the process stand in a
 *list and the arena that holds the address tells which one it is.
 *
 * What happens is told to the model (watch.c), which judges it by the architecture. Checked here
 * are the promises of port.h, hook.h and pte.h, which are stricter:
 *
 *   port-section	allocating, freeing, resolving and barrier() happen outside of walker
 *			sections (as far as sim_thread() told which walker the thread uses)
 *   port-freed		what is freed was handed out, and never touched again
 *   port-store		a linked table is changed by compare-and-swap only
 *   port-detached	who detached a table does not make entries in it
 *   port-op		operations for tlb() are well formed
 *   port-sync		so are those for cache_sync()
 *   port-wait		nobody waits for ever
 *   port-leak		tables are given back
 */
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/pgtable/hook.h"
#include "machine.h"

#define SIMS       16
#define WAIT_LIMIT (1024 * 5000u)

static pthread_mutex_t sims_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sim *sims[SIMS];

_Thread_local struct sim_self sim_self;

void sim_thread(unsigned int cpu, const struct s2_walker *walker)
{
	sim_self.cpu = cpu % SIM_CPUS;
	sim_self.walker = walker;
}

static void print_events(struct sim *sim)
{
	uint64_t n = sim->nevents < 24 ? sim->nevents : 24;

	for (uint64_t i = sim->nevents - n; i < sim->nevents; i++) {
		const struct s2c_event *event = &sim->events[i % SIM_EVENTS];

		fprintf(stderr, "  %llu: cpu %u %s op %u flags %u 0x%llx 0x%llx\n",
			(unsigned long long)i, event->cpu, s2c_kind_name(event->kind), event->op,
			event->flags, (unsigned long long)event->address,
			(unsigned long long)event->value);
	}
}

void sim_fail(struct sim *sim, const char *format, ...)
{
	char message[sizeof(sim->failure)];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (!sim->failures++)
		memcpy(sim->failure, message, sizeof(message));
	if (sim->keep)
		return;
	fprintf(stderr, "sim: %s\nlast events:\n", message);
	print_events(sim);
	if (sim->on_fail)
		sim->on_fail(sim->on_fail_ctx, message);
	abort();
}

static void outside_section(struct sim *sim, const char *what)
{
	if (sim_self.walker && __atomic_load_n(&sim_self.walker->section, __ATOMIC_RELAXED) & 1)
		sim_fail(sim, "port-section: %s called inside a walker section", what);
}

static uint64_t to_pa(struct sim *sim, const void *va)
{
	return (uint64_t)(uintptr_t)va - sim->port.table_offset;
}

static uint64_t table_bytes(const struct sim *sim, unsigned int order)
{
	return 1ull << (sim->config.page_shift + order);
}

static void *port_alloc(void *ctx, unsigned int order)
{
	struct sim *sim = ctx;
	void *table;

	sim_meet(sim, SIM_AT_ALLOC, 0);
	pthread_mutex_lock(&sim->lock);
	outside_section(sim, "table_alloc()");
	table = order < sizeof(sim->arena.freed) / sizeof(sim->arena.freed[0])
			? sim_arena_alloc(sim, order)
			: NULL;
	if (table)
		sim_tell(sim, S2C_ALLOC, 0, to_pa(sim, table), table_bytes(sim, order));
	pthread_mutex_unlock(&sim->lock);
	return table;
}

static void port_free(void *ctx, void *table, unsigned int order)
{
	struct sim *sim = ctx;
	struct sim_frame *frame;

	sim_meet(sim, SIM_AT_FREE, 0);
	pthread_mutex_lock(&sim->lock);
	outside_section(sim, "table_free()");
	frame = sim_frame(sim, to_pa(sim, table));
	if (!frame || !frame->head || frame->order != order || frame->state != SIM_OUT) {
		sim_fail(sim, "port-freed: freed %p (order %u), which was not handed out", table,
			 order);
	} else {
		sim->detached = 0;
		sim_tell(sim, S2C_FREE, 0, to_pa(sim, table), table_bytes(sim, order));
		sim_arena_free(sim, table, order);
	}
	pthread_mutex_unlock(&sim->lock);
}

static int port_resolve(void *ctx, s2_hva_t hva, enum s2_access access, struct s2_page *page)
{
	struct sim *sim = ctx;
	int result;

	sim_meet(sim, SIM_AT_RESOLVE, hva.hva);
	pthread_mutex_lock(&sim->lock);
	outside_section(sim, "resolve()");
	sim->resolves++;
	sim->progress++;
	result = sim_host_resolve(sim, hva.hva, access, page);
	pthread_mutex_unlock(&sim->lock);
	if (sim->on_resolve)
		result = sim->on_resolve(sim->on_resolve_ctx, hva.hva, access, page, result);
	sim_meet(sim, SIM_AT_RESOLVED, hva.hva);
	return result;
}

static void check_op(struct sim *sim, const struct s2_tlb_op *op)
{
	uint64_t page = 1ull << sim->regime.page_shift, end = 1ull << sim->regime.ipa_bits;

	if (op->kind >= S2_TLB_KINDS || op->flags & ~(S2_TLB_LEAF | S2_TLB_LOCAL)) {
		sim_fail(sim, "port-op: unknown kind %u or flags 0x%x", op->kind, op->flags);
		return;
	}
	if ((op->kind != S2_TLB_ENTRY && op->kind != S2_TLB_RANGE) || !sim->regime.decode)
		return;
	if (op->level != S2_LEVEL_ANY && op->level > sim->regime.top)
		sim_fail(sim, "port-op: level %u", op->level);
	if (op->page_shift != sim->regime.page_shift)
		sim_fail(sim, "port-op: page_shift %u", op->page_shift);
	if (op->gpa.gpa >= end || op->gpa.gpa & (page - 1))
		sim_fail(sim, "port-op: gpa 0x%llx", (unsigned long long)op->gpa.gpa);
	else if (!op->size || op->size & (page - 1) || op->size > end - op->gpa.gpa)
		sim_fail(sim, "port-op: 0x%llx bytes", (unsigned long long)op->size);
}

static void port_tlb(void *ctx, const struct s2_tlb_op *ops, size_t n)
{
	struct sim *sim = ctx;
	uint32_t failures;

	if (n)
		sim_meet(sim, SIM_AT_TLB, ops[0].gpa.gpa);
	pthread_mutex_lock(&sim->lock);
	failures = sim->failures;
	if (!n)
		sim_fail(sim, "port-op: tlb() without operations");
	for (size_t i = 0; i < n; i++) {
		check_op(sim, &ops[i]);
		if (ops[i].kind < S2_TLB_KINDS)
			sim->tlb_ops[ops[i].kind]++;
		if (ops[i].flags & S2_TLB_LOCAL)
			sim->tlb_local++;
	}
	if (failures == sim->failures)
		sim_tell_tlb(sim, ops, n);
	sim->progress++;
	pthread_mutex_unlock(&sim->lock);
}

static void port_sync(void *ctx, s2_hpa_t hpa, uint64_t size, unsigned int kind)
{
	struct sim *sim = ctx;

	sim_meet(sim, SIM_AT_SYNC, 0);
	pthread_mutex_lock(&sim->lock);
	sim_host_sync(sim, hpa.hpa, size, kind);
	pthread_mutex_unlock(&sim->lock);
}

static void port_relax(void *ctx)
{
	struct sim *sim = ctx;

	/* For ever is: nobody did anything for so many turns. */
	if (++sim_self.waits % 1024 == 0) {
		pthread_mutex_lock(&sim->lock);
		if (sim_self.seen != sim->progress)
			sim_self.waits = 0;
		sim_self.seen = sim->progress;
		pthread_mutex_unlock(&sim->lock);
	}
	if (sim_self.waits == WAIT_LIMIT)
		sim_fail(sim, "port-wait: the engine waits for ever");
	if (sim->turns)
		sim_meet(sim, SIM_AT_WAIT, 0);
	else
		sched_yield();
}

/* One thread runs all walkers, so nothing is to be done. (Threads need one that works.) */
static void port_barrier(void *ctx)
{
	struct sim *sim = ctx;

	sim_meet(sim, SIM_AT_BARRIER, 0);
	pthread_mutex_lock(&sim->lock);
	outside_section(sim, "barrier()");
	sim->barriers++;
	sim->progress++;
	pthread_mutex_unlock(&sim->lock);
}

static struct sim *sim_of(const uint64_t *entry)
{
	for (int i = 0; i < SIMS; i++) {
		struct sim *sim = __atomic_load_n(&sims[i], __ATOMIC_ACQUIRE);

		if (sim && sim_frame(sim, to_pa(sim, entry)))
			return sim;
	}
	fprintf(stderr, "sim: entry at %p is in nobody's table\n", (const void *)entry);
	abort();
}

/* A freed table is nobody's. Returns whether this one may be written. */
static int check_handed_out(struct sim *sim, uint64_t pa, const char *what)
{
	if (sim_frame(sim, pa)->state == SIM_OUT)
		return 1;
	sim_fail(sim, "port-freed: %s on a freed table, at 0x%llx", what, (unsigned long long)pa);
	return 0;
}

/* Others may, whose sections were open: what they make in a detached table is lost (invariant 2).
 */
static void check_detached(struct sim *sim, uint64_t pa, uint64_t old, uint64_t new_entry)
{
	const struct sim_frame *frame = sim_frame(sim, pa);

	if (frame->detached_by && frame->detached_by == sim_self.walker && !(old & 1) &&
	    new_entry & 1)
		sim_fail(sim, "port-detached: made 0x%llx in a table that it detached itself",
			 (unsigned long long)new_entry);
}

/* An entry of a linked table changes: did this take a table away? */
static void note_detached(struct sim *sim, unsigned int level, uint64_t old, uint64_t new_entry)
{
	struct chk_desc desc = sim->regime.decode(&sim->regime, level, old);
	struct sim_frame *frame;

	if (desc.kind != CHK_TABLE || old == new_entry)
		return;
	frame = sim_frame(sim, desc.pa);
	if (!frame)
		return;
	frame->detached_by = sim_self.walker;
	sim->detached = desc.pa;
	sim->detached_level = (uint8_t)(level - 1);
}

static void changed(struct sim *sim, uint64_t pa, uint64_t old, uint64_t new_entry)
{
	unsigned int level;
	uint64_t gpa;

	sim->changes += (old | new_entry) & 1;
	if (sim_place(sim, pa, &gpa, &level))
		note_detached(sim, level, old, new_entry);
	else
		check_detached(sim, pa, old, new_entry);
	sim_tell_write(sim, pa, new_entry, S2C_ATOMIC | S2C_RELEASE);
	sim_stir(sim, gpa);
}

int s2_hook_cas(uint64_t *entry, uint64_t *old, uint64_t new_entry)
{
	struct sim *sim = sim_of(entry);
	uint64_t pa = to_pa(sim, entry), gpa;
	unsigned int level;
	int done;

	if (sim->turns) {
		(void)sim_place(sim, pa, &gpa, &level);
		sim_meet(sim, SIM_AT_CAS, gpa);
	}
	pthread_mutex_lock(&sim->lock);
	done = check_handed_out(sim, pa, "compare-and-swap");
	if (done) {
		if (sim_place(sim, pa, &gpa, &level))
			sim_stir(sim, gpa);
		done = __atomic_compare_exchange_n(sim_entry(sim, pa), old, new_entry, 0,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
	sim->progress++;
	if (done)
		changed(sim, pa, *old, new_entry);
	pthread_mutex_unlock(&sim->lock);
	return done;
}

void s2_hook_store(uint64_t *entry, uint64_t value)
{
	struct sim *sim = sim_of(entry);
	uint64_t pa = to_pa(sim, entry), gpa;
	unsigned int level;

	pthread_mutex_lock(&sim->lock);
	if (check_handed_out(sim, pa, "store")) {
		if (sim_place(sim, pa, &gpa, &level))
			sim_fail(sim, "port-store: plain store to a linked table, gpa 0x%llx",
				 (unsigned long long)gpa);
		__atomic_store_n(sim_entry(sim, pa), value, __ATOMIC_RELEASE);
		sim_tell_write(sim, pa, value, 0);
	}
	pthread_mutex_unlock(&sim->lock);
}

void s2_hook_slot(void *ctx, uint64_t gpa)
{
	struct sim *sim = ctx;

	sim_meet(sim, SIM_AT_SLOT, gpa);
}

static void list(struct sim *was, struct sim *is)
{
	int i;

	pthread_mutex_lock(&sims_lock);
	for (i = 0; i < SIMS && sims[i] != was; i++)
		;
	if (i == SIMS) {
		fprintf(stderr, "sim: more than %d simulations\n", SIMS);
		abort();
	}
	__atomic_store_n(&sims[i], is, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&sims_lock);
}

void sim_init(struct sim *sim, const struct sim_config *config)
{
	memset(sim, 0, sizeof(*sim));
	sim->config = *config;
	if (!sim->config.page_shift)
		sim->config.page_shift = 12;
	sim->rng = config->seed * 0x9e3779b97f4a7c15ull | 1;
	pthread_mutex_init(&sim->lock, NULL);
	sim_arena_init(sim);
	sim_host_init(sim);
	sim_watch_init(sim);
	sim->port = (struct s2_port){ .version = S2_PORT_VERSION,
				      .ctx = sim,
				      .table_alloc = port_alloc,
				      .table_free = port_free,
				      .resolve = port_resolve,
				      .tlb = port_tlb,
				      .cache_sync = port_sync,
				      .relax = port_relax };
	if (config->barrier)
		sim->port.barrier = port_barrier;
	sim->port.table_offset = (uint64_t)(uintptr_t)sim->arena.va - sim->arena.pa;
	sim_self = (struct sim_self){ .cpu = 0 };
	list(NULL, sim);
}

void sim_fini(struct sim *sim)
{
	if (sim->arena.outstanding)
		sim_fail(sim, "port-leak: %u pages of tables were never given back",
			 sim->arena.outstanding);
	list(sim, NULL);
	sim_second_fini(sim);
	sim_watch_fini(sim);
	sim_host_fini(sim);
	sim_arena_fini(sim);
	pthread_mutex_destroy(&sim->lock);
}
