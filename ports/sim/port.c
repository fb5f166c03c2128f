// SPDX-License-Identifier: BSD-2-Clause
/*
 * The simulation's outside: the seven functions of the port, the two hooks, and its life.
 *
 * The hooks are given nothing but an address, so all simulations of the process stand in a list
 * and the arena that holds the address tells which one it is. Port functions also check the
 * promises that port.h makes to them: allocation, freeing and resolving happen outside of walker
 * sections (as far as sim_thread() told which walker the thread uses).
 */
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/pgtable/hook.h"
#include "machine.h"
#include "sim_check.h"

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

void sim_log(struct sim *sim, const char *what, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	sim->events[sim->nevents++ % SIM_EVENTS] = (struct sim_event){ what, a, b, c, d };
}

static void print_events(struct sim *sim)
{
	uint64_t n = sim->nevents < 24 ? sim->nevents : 24;

	for (uint64_t i = sim->nevents - n; i < sim->nevents; i++) {
		const struct sim_event *event = &sim->events[i % SIM_EVENTS];

		fprintf(stderr, "  %-7s 0x%llx 0x%llx 0x%llx 0x%llx\n", event->what,
			(unsigned long long)event->a, (unsigned long long)event->b,
			(unsigned long long)event->c, (unsigned long long)event->d);
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
	fprintf(stderr, "sim: %s\nlast events (changes: gpa level old new):\n", message);
	print_events(sim);
	if (sim->on_fail)
		sim->on_fail(sim->on_fail_ctx, message);
	abort();
}

static void outside_section(struct sim *sim, const char *what)
{
	if (sim_self.walker && __atomic_load_n(&sim_self.walker->section, __ATOMIC_RELAXED) & 1)
		sim_fail(sim, "%s called inside a walker section", what);
}

static uint64_t to_pa(struct sim *sim, const void *va)
{
	return (uint64_t)(uintptr_t)va - sim->port.table_offset;
}

static void *port_alloc(void *ctx, unsigned int order)
{
	struct sim *sim = ctx;
	void *table;

	pthread_mutex_lock(&sim->lock);
	outside_section(sim, "table_alloc()");
	table = order < sizeof(sim->arena.freed) / sizeof(sim->arena.freed[0])
			? sim_arena_alloc(sim, order)
			: NULL;
	if (table && sim->config.watch == SIM_WATCH)
		sim_check_alloc(sim, to_pa(sim, table), order);
	pthread_mutex_unlock(&sim->lock);
	return table;
}

static void port_free(void *ctx, void *table, unsigned int order)
{
	struct sim *sim = ctx;
	struct sim_frame *frame;

	pthread_mutex_lock(&sim->lock);
	outside_section(sim, "table_free()");
	frame = sim_frame(sim, to_pa(sim, table));
	if (!frame || !frame->head || frame->order != order || frame->state == SIM_FREED ||
	    frame->state == SIM_NEVER) {
		sim_fail(sim, "freed %p (order %u), which was not handed out", table, order);
	} else {
		if (sim->config.watch == SIM_WATCH)
			sim_check_free(sim, to_pa(sim, table), order);
		sim_arena_free(sim, table, order);
	}
	pthread_mutex_unlock(&sim->lock);
}

static int port_resolve(void *ctx, s2_hva_t hva, enum s2_access access, struct s2_page *page)
{
	struct sim *sim = ctx;
	int result;

	pthread_mutex_lock(&sim->lock);
	outside_section(sim, "resolve()");
	sim->resolves++;
	sim->progress++;
	result = sim_host_resolve(sim, hva.hva, access, page);
	pthread_mutex_unlock(&sim->lock);
	if (sim->on_resolve)
		result = sim->on_resolve(sim->on_resolve_ctx, hva.hva, access, page, result);
	return result;
}

static void port_tlb(void *ctx, const struct s2_tlb_op *ops, size_t n)
{
	struct sim *sim = ctx;

	if (n)
		sim_second_point(sim, ops[0].gpa.gpa, SIM_MAY);
	pthread_mutex_lock(&sim->lock);
	if (!n)
		sim_fail(sim, "tlb() without operations");
	for (size_t i = 0; i < n; i++) {
		if (ops[i].kind < S2_TLB_KINDS)
			sim->tlb_ops[ops[i].kind]++;
		if (ops[i].flags & S2_TLB_LOCAL)
			sim->tlb_local++;
		if (sim->config.watch == SIM_WATCH)
			sim_check_tlb(sim, &ops[i], sim_self.cpu);
	}
	sim->progress++;
	pthread_mutex_unlock(&sim->lock);
}

static void port_sync(void *ctx, s2_hpa_t hpa, uint64_t size, unsigned int kind)
{
	struct sim *sim = ctx;

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
		sim_fail(sim, "the engine waits for ever");
	if (sim->second)
		sim_second_point(sim, 0, SIM_MUST);
	else
		sched_yield();
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

int s2_hook_cas(uint64_t *entry, uint64_t *old, uint64_t new_entry)
{
	struct sim *sim = sim_of(entry);
	uint64_t pa = to_pa(sim, entry);
	int done;

	if (sim->second)
		sim_second_point(sim, sim_entry_gpa(sim, sim_frame(sim, pa), pa), SIM_MAY);
	pthread_mutex_lock(&sim->lock);
	sim_check_before(sim, pa, __atomic_load_n(sim_entry(sim, pa), __ATOMIC_RELAXED));
	done = __atomic_compare_exchange_n(sim_entry(sim, pa), old, new_entry, 0, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
	sim->progress++;
	if (done)
		sim_check_change(sim, pa, *old, new_entry);
	pthread_mutex_unlock(&sim->lock);
	return done;
}

void s2_hook_store(uint64_t *entry, uint64_t value)
{
	struct sim *sim = sim_of(entry);
	uint64_t pa = to_pa(sim, entry);

	pthread_mutex_lock(&sim->lock);
	sim_check_store(sim, pa, value);
	__atomic_store_n(sim_entry(sim, pa), value, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&sim->lock);
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
	sim->port = (struct s2_port){ .version = S2_PORT_VERSION,
				      .ctx = sim,
				      .table_alloc = port_alloc,
				      .table_free = port_free,
				      .resolve = port_resolve,
				      .tlb = port_tlb,
				      .cache_sync = port_sync,
				      .relax = port_relax };
	sim->port.table_offset = (uint64_t)(uintptr_t)sim->arena.va - sim->arena.pa;
	sim_self = (struct sim_self){ .cpu = 0 };
	list(NULL, sim);
}

void sim_fini(struct sim *sim)
{
	if (sim->arena.outstanding)
		sim_fail(sim, "%u pages of tables were never given back", sim->arena.outstanding);
	list(sim, NULL);
	sim_second_fini(sim);
	if (sim->tlb)
		sim_tlb_fini(sim);
	sim_host_fini(sim);
	sim_arena_fini(sim);
	pthread_mutex_destroy(&sim->lock);
}

static void run(struct sim *sim)
{
	sim_tlb_init(sim);
	sim_check_start(sim);
	sim->regime.running = 1;
}

void sim_start(struct sim *sim, uint64_t vtcr, uint64_t vttbr)
{
	const char *why;

	if (sim->config.watch == SIM_BLIND)
		return;
	pthread_mutex_lock(&sim->lock);
	why = sim_regime_set(&sim->regime, &sim->config.cpu, vtcr, vttbr);
	if (why)
		sim_fail(sim, "VTCR 0x%llx, VTTBR 0x%llx: %s", (unsigned long long)vtcr,
			 (unsigned long long)vttbr, why);
	else
		run(sim);
	pthread_mutex_unlock(&sim->lock);
}

void sim_start_toy(struct sim *sim, uint64_t root, unsigned int ipa_bits, unsigned int top)
{
	pthread_mutex_lock(&sim->lock);
	sim->regime = (struct sim_regime){ .layout = SIM_TOY,
					   .root = root,
					   .page_shift = sim->config.page_shift,
					   .stride = (uint8_t)(sim->config.page_shift - 3),
					   .top = (uint8_t)top,
					   .ipa_bits = (uint8_t)ipa_bits,
					   .pa_bits = sim->config.cpu.pa_bits,
					   .bbm = sim->config.cpu.bbm,
					   .ha = (sim->config.cpu.features & S2_CPU_HA) != 0,
					   .features = sim->config.cpu.features };
	run(sim);
	pthread_mutex_unlock(&sim->lock);
}

void sim_stop(struct sim *sim)
{
	pthread_mutex_lock(&sim->lock);
	sim->regime.running = 0;
	pthread_mutex_unlock(&sim->lock);
}

void sim_translate(struct sim *sim, uint64_t gpa, struct sim_leaf *leaf)
{
	struct sim_found found;
	uint64_t offset;

	pthread_mutex_lock(&sim->lock);
	sim_tlb_look(sim, gpa, &found);
	pthread_mutex_unlock(&sim->lock);
	offset = gpa & (sim_size(&sim->regime, found.level) - 1);
	*leaf = (struct sim_leaf){ .mapped = found.desc.kind == SIM_LEAF,
				   .level = (uint8_t)found.level,
				   .hpa = found.desc.pa + offset,
				   .prot = found.desc.rights,
				   .type = found.desc.type,
				   .sw = found.desc.sw,
				   .young = found.desc.af };
}

void sim_idle(struct sim *sim, uint64_t gpa, uint64_t size)
{
	pthread_mutex_lock(&sim->lock);
	sim_check_idle(sim, gpa, size);
	pthread_mutex_unlock(&sim->lock);
}

void sim_idle_local(struct sim *sim, uint64_t gpa, uint64_t size, unsigned int rights)
{
	pthread_mutex_lock(&sim->lock);
	sim_check_local(sim, gpa, size, sim_self.cpu, rights);
	pthread_mutex_unlock(&sim->lock);
}

void sim_idle_empty(struct sim *sim, uint64_t gpa, uint64_t size)
{
	pthread_mutex_lock(&sim->lock);
	sim_check_empty(sim, gpa, size);
	pthread_mutex_unlock(&sim->lock);
}

void sim_forget(struct sim *sim)
{
	struct sim_kill kill = { .last = (1ull << sim->regime.ipa_bits) - 1,
				 .level = S2_LEVEL_ANY,
				 .leaves = 1,
				 .tables = 1,
				 .cpus = SIM_CPUS_MASK };

	pthread_mutex_lock(&sim->lock);
	if (sim->tlb)
		sim_tlb_kill(sim, &kill);
	pthread_mutex_unlock(&sim->lock);
}
