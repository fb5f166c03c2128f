// SPDX-License-Identifier: BSD-2-Clause
/*
 * What happens in the simulation, told to the model (libstage2check), and what the model says.
 *
 * Entries are told after they were written, under the simulation's lock, so memory and model never
 * differ when anybody looks. An operation of the port's tlb() becomes what a port to Arm does:
 * barrier, invalidations, barrier; how such a port encodes them is tests/test_el2_tlb.c's matter.
 * The processors are put to work with the registers that the engine gives (sim_start), or, for the
 * toy, with a regime of the simulation's own.
 *
 * The one thing that hardware does by itself and a model cannot: with hardware access flags a walk
 * writes to the tables. sim_stir() is called where that hurts, and does it now and then.
 *
 * Called with sim->lock held, but for the functions of sim.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

#define ALL_CPUS ((1u << SIM_CPUS) - 1)

#define HCR_VM  (1ull << 0)
#define HCR_RW  (1ull << 31)
#define HCR_FWB (1ull << 46)

#define VTCR_WALKS 0x3f00ull /* SH0, ORGN0, IRGN0 ... */
#define VTCR_INNER 0x3500ull /* ... inner shareable, write-back */
#define VTCR_HA    (1ull << 21)
#define VTCR_HD    (1ull << 22)
#define VTCR_RES1  (1ull << 31)
#define VTTBR_CNP  (1ull << 0)

#define DESC_AF     (1ull << 10)
#define DESC_OTHERS (0x1full << 59 | 3ull << 51) /* the SMMU's, Contiguous, DBM */

#define SH_INNER 3

static void report(void *ctx, const struct s2c_violation *violation)
{
	sim_fail(ctx, "%s: %s", violation->rule->id, violation->text);
}

/* Memory that was never handed out, or given back, is nobody's table. */
static int read_memory(void *ctx, uint64_t pa, void *buffer, size_t n)
{
	struct sim *sim = ctx;
	const struct sim_frame *frame = sim_frame(sim, pa);

	if (!frame || frame->state != SIM_OUT)
		return -1;
	memcpy(buffer, sim_entry(sim, pa), n);
	return 0;
}

void sim_watch_init(struct sim *sim)
{
	static const struct {
		uint32_t ours, theirs;
	} features[] = {
		{ S2_CPU_FWB, S2C_FWB_IMPLEMENTED }, { S2_CPU_DIC, S2C_DIC | S2C_IDC },
		{ S2_CPU_TLB_LEVEL, S2C_TTL },       { S2_CPU_XNX, S2C_XNX },
		{ S2_CPU_HA, S2C_HA_IMPL },
	};
	struct s2c_config config = { .cpu = { .pa_bits = sim->config.cpu.pa_bits,
					      .bbm = sim->config.cpu.bbm },
				     .ctx = sim,
				     .report = report,
				     .read = read_memory };

	if (sim->config.watch == SIM_BLIND)
		return;
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if (sim->config.cpu.features & features[i].ours)
			config.cpu.features |= features[i].theirs;
	}
	sim->cpu = config.cpu;
	sim->model = s2c_new(&config);
	if (!sim->model)
		abort();
}

void sim_watch_fini(struct sim *sim)
{
	struct chk_regime other = sim->regime;

	/* Two entries at the start of the arena, which is never handed out. */
	other.root = sim->arena.pa;
	other.ipa_bits = (uint8_t)(chk_shift(&other, other.top) + 1);
	if (sim->model && sim->regime.decode && !sim->running && !sim->failures) {
		sim->arena.frames[0].state = SIM_OUT;
		(void)chk_start(sim->model, 1, &other);
	}
	s2c_free(sim->model);
	sim->model = NULL;
}

static void tell(struct sim *sim, const struct s2c_event *event)
{
	if (!sim->model)
		return;
	sim->events[sim->nevents++ % SIM_EVENTS] = *event;
	if (s2c_event(sim->model, event))
		sim_fail(sim, "port-event: %s", s2c_error(sim->model));
}

void sim_tell(struct sim *sim, unsigned int kind, unsigned int op, uint64_t address, uint64_t value)
{
	struct s2c_event event = { .kind = (uint8_t)kind,
				   .op = (uint8_t)op,
				   .cpu = (uint16_t)sim_self.cpu,
				   .id = sim->regime.vmid,
				   .address = address,
				   .value = value };

	tell(sim, &event);
}

void sim_tell_write(struct sim *sim, uint64_t pa, uint64_t value, unsigned int flags)
{
	struct s2c_event event = { .kind = S2C_WRITE,
				   .flags = (uint8_t)flags,
				   .size = 3,
				   .cpu = (uint16_t)sim_self.cpu,
				   .address = pa,
				   .value = value };

	/* Hardware's updates happen on whatever CPU walks. */
	if (flags & S2C_HARDWARE)
		event.cpu = (uint16_t)(sim_random(&sim->rng) >> 32) % SIM_CPUS;
	tell(sim, &event);
}

static void tell_inval(struct sim *sim, const struct s2_tlb_op *op)
{
	struct s2c_event event = { .kind = S2C_INVAL,
				   .op = op->level,
				   .cpu = (uint16_t)sim_self.cpu,
				   .id = sim->regime.vmid,
				   .address = op->gpa.gpa,
				   .value = op->size };

	if (op->kind == S2_TLB_ENTRY)
		event.value = 1ull << op->page_shift; /* one address */
	if (op->kind == S2_TLB_ALL) {
		event.op = S2C_LEVEL_ANY;
		event.address = event.value = 0;
	}
	if (op->flags & S2_TLB_LEAF)
		event.flags |= S2C_INVAL_LEAF;
	if (op->flags & S2_TLB_LOCAL)
		event.flags |= S2C_INVAL_LOCAL;
	tell(sim, &event);
}

void sim_tell_tlb(struct sim *sim, const struct s2_tlb_op *ops, size_t n)
{
	size_t invalidations = 0;

	sim_tell(sim, S2C_DSB, S2C_ISHST, 0, 0);
	for (size_t i = 0; i < n; i++) {
		if (ops[i].kind == S2_TLB_PUBLISH)
			continue;
		tell_inval(sim, &ops[i]);
		invalidations++;
	}
	if (!invalidations)
		return;
	sim_tell(sim, S2C_DSB, S2C_ISH, 0, 0);
	sim->detached = 0;
	for (size_t i = 0; i < n; i++) {
		if (ops[i].kind != S2_TLB_ENTRY && ops[i].kind != S2_TLB_RANGE)
			continue;
		sim_stir(sim, ops[i].gpa.gpa);
		sim_stir(sim, ops[i].gpa.gpa + ops[i].size - 1);
	}
}

int sim_place(struct sim *sim, uint64_t pa, uint64_t *gpa, unsigned int *level)
{
	*gpa = sim->nrecent ? sim->recent[0] : 0;
	return sim->model && chk_place(sim->model, pa, gpa, level);
}

/* Hardware */

/* A walk has come to this entry. Not every one sets the flag, so that some stay old for a while. */
static void set_access_flag(struct sim *sim, uint64_t pa, unsigned int level)
{
	uint64_t old = __atomic_load_n(sim_entry(sim, pa), __ATOMIC_RELAXED), young;
	struct chk_desc desc = sim->regime.decode(&sim->regime, level, old);

	if (desc.kind != CHK_LEAF || desc.af || sim_random(&sim->rng) >> 62)
		return;
	young = sim->layout == SIM_TOY ? sim_toy_with_af(old) : old | DESC_AF;
	__atomic_store_n(sim_entry(sim, pa), young, __ATOMIC_SEQ_CST);
	sim->af_updates++;
	sim_tell_write(sim, pa, young, S2C_ATOMIC | S2C_HARDWARE);
}

static void walk_to(struct sim *sim, uint64_t gpa)
{
	struct s2c_leaf leaf;

	gpa &= (1ull << sim->regime.ipa_bits) - 1;
	if (!s2c_translate(sim->model, sim->regime.vmid, gpa, &leaf) && leaf.mapped && !leaf.af)
		set_access_flag(sim, leaf.entry, leaf.level);
}

/* By a pointer that is still cached, to a table that was just taken away. */
static void walk_detached(struct sim *sim, uint64_t dice)
{
	uint64_t index = dice & ((1ull << sim->regime.stride) - 1);

	if (sim->detached)
		set_access_flag(sim, sim->detached + index * 8, sim->detached_level);
}

void sim_stir(struct sim *sim, uint64_t gpa)
{
	uint64_t dice;

	if (!sim->running || !sim->regime.ha)
		return;
	dice = sim_random(&sim->rng);
	walk_to(sim, gpa);
	walk_to(sim, gpa + (((dice >> 8 & 7) - 3) << sim->regime.page_shift));
	if (sim->nrecent)
		walk_to(sim, sim->recent[(dice >> 16) % sim->nrecent]);
	walk_detached(sim, dice >> 40);
	sim->recent[(dice >> 32) % SIM_RECENT % (sim->nrecent + 1u)] = gpa;
	if (sim->nrecent < SIM_RECENT - 1)
		sim->nrecent++;
}

/* The processors' registers */

/* What hardware would take, and s2_arm64_vtcr() never means. */
static const char *unmeant(const struct sim *sim, uint64_t vtcr, uint64_t vttbr)
{
	if ((vtcr & VTCR_WALKS) != VTCR_INNER)
		return "walks are not write-back and inner shareable";
	if (!(vtcr & VTCR_RES1))
		return "RES1 bit 31 is clear";
	if (!(vtcr & VTCR_HA) != !(sim->config.cpu.features & S2_CPU_HA))
		return "HA is not what the CPU has";
	if (vtcr & VTCR_HD)
		return "HD set: hardware would set dirty state that nobody reads";
	if (vtcr >> 32)
		return "bits above 31 set";
	return vttbr & VTTBR_CNP ? "CnP set" : NULL;
}

static void program(struct sim *sim, uint64_t vtcr, uint64_t vttbr)
{
	const uint64_t hcr =
		HCR_VM | HCR_RW | (sim->config.cpu.features & S2_CPU_FWB ? HCR_FWB : 0);
	const struct {
		uint64_t kind, op, value;
	} steps[] = {
		{ S2C_SYSREG, S2C_VTCR_EL2, vtcr },
		{ S2C_SYSREG, S2C_VTTBR_EL2, vttbr },
		{ S2C_SYSREG, S2C_HCR_EL2, hcr },
		{ S2C_ISB, 0, 0 },
		{ S2C_RUN, 0, 0 },
	};

	(void)chk_arm64_regime(&sim->regime, &sim->cpu, vtcr, vttbr, hcr);
	for (unsigned int n = 0; n < SIM_CPUS; n++) {
		for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
			struct s2c_event event = { .kind = (uint8_t)steps[i].kind,
						   .op = (uint8_t)steps[i].op,
						   .cpu = (uint16_t)n,
						   .value = steps[i].value };

			tell(sim, &event);
		}
	}
}

void sim_start(struct sim *sim, uint64_t vtcr, uint64_t vttbr)
{
	const char *why = unmeant(sim, vtcr, vttbr);

	if (!sim->model)
		return;
	pthread_mutex_lock(&sim->lock);
	if (why)
		sim_fail(sim, "port-registers: VTCR 0x%llx, VTTBR 0x%llx: %s",
			 (unsigned long long)vtcr, (unsigned long long)vttbr, why);
	program(sim, vtcr, vttbr);
	sim->running = 1;
	pthread_mutex_unlock(&sim->lock);
}

void sim_start_toy(struct sim *sim, uint64_t root, unsigned int ipa_bits, unsigned int top)
{
	pthread_mutex_lock(&sim->lock);
	sim->layout = SIM_TOY;
	sim->regime = (struct chk_regime){ .decode = sim_toy_decode,
					   .root = root,
					   .vmid = 1,
					   .page_shift = sim->config.page_shift,
					   .stride = (uint8_t)(sim->config.page_shift - 3),
					   .top = (uint8_t)top,
					   .ipa_bits = (uint8_t)ipa_bits,
					   .pa_bits = sim->config.cpu.pa_bits,
					   .fwb = (sim->config.cpu.features & S2_CPU_FWB) != 0,
					   .ha = (sim->config.cpu.features & S2_CPU_HA) != 0,
					   .xnx = (sim->config.cpu.features & S2_CPU_XNX) != 0,
					   .bbm = sim->config.cpu.bbm };
	(void)chk_start(sim->model, ALL_CPUS, &sim->regime);
	sim->running = 1;
	pthread_mutex_unlock(&sim->lock);
}

void sim_stop(struct sim *sim)
{
	pthread_mutex_lock(&sim->lock);
	for (unsigned int n = 0; n < SIM_CPUS; n++) {
		struct s2c_event event = { .kind = S2C_EXIT, .cpu = (uint16_t)n };

		tell(sim, &event);
	}
	sim->running = 0;
	pthread_mutex_unlock(&sim->lock);
}

/* What the tables say */

void sim_walk(struct sim *sim, uint64_t gpa, struct s2c_leaf *leaf)
{
	pthread_mutex_lock(&sim->lock);
	if (s2c_translate(sim->model, sim->regime.vmid, gpa, leaf))
		sim_fail(sim, "port-walk: nobody can walk to gpa 0x%llx", (unsigned long long)gpa);
	else if (__atomic_load_n(sim_entry(sim, leaf->entry), __ATOMIC_RELAXED) != leaf->value)
		sim_fail(sim, "port-hook: the entry of gpa 0x%llx was changed behind the hooks",
			 (unsigned long long)gpa);
	pthread_mutex_unlock(&sim->lock);
}

static uint8_t type_of(const struct sim *sim, unsigned int memattr)
{
	static const uint8_t device[] = { S2_MEM_DEVICE_nGnRnE, S2_MEM_DEVICE, S2_MEM_DEVICE_nGRE,
					  S2_MEM_DEVICE_GRE };

	if (sim->layout == SIM_TOY)
		return (uint8_t)memattr;
	if (memattr < 4)
		return device[memattr];
	if (memattr == 5)
		return S2_MEM_NC;
	return memattr == (sim->regime.fwb ? 6u : 15u) ? S2_MEM_NORMAL : 0xff;
}

/* Legal, and never what the engine means. */
static void check_meant(struct sim *sim, uint64_t gpa, const struct s2c_leaf *leaf)
{
	struct chk_desc desc = sim->regime.decode(&sim->regime, leaf->level, leaf->value);
	const char *why = NULL;

	if (desc.memory == CHK_NORMAL && desc.sh != SH_INNER)
		why = "normal memory is not inner shareable";
	else if (type_of(sim, leaf->memattr) == 0xff)
		why = "a type of memory that the engine has no name for";
	else if (sim->layout == SIM_ARM64 && leaf->value & DESC_OTHERS)
		why = "bits 63:59, 52 and 51 are not the engine's";
	if (why)
		sim_fail(sim, "port-descriptor: 0x%llx at gpa 0x%llx: %s",
			 (unsigned long long)leaf->value, (unsigned long long)gpa, why);
}

void sim_translate(struct sim *sim, uint64_t gpa, struct sim_leaf *leaf)
{
	struct s2c_leaf found;
	unsigned int prot;

	sim_walk(sim, gpa, &found);
	*leaf = (struct sim_leaf){ .mapped = found.mapped, .level = found.level };
	if (!found.mapped)
		return;
	check_meant(sim, gpa, &found);
	prot = (found.rights & S2C_R ? S2_R : 0u) | (found.rights & S2C_W ? S2_W : 0u) |
	       (found.rights & S2C_X ? S2_XU : 0u) | (found.rights & S2C_XP ? S2_XP : 0u);
	leaf->hpa = found.pa;
	leaf->prot = (uint8_t)prot;
	leaf->type = type_of(sim, found.memattr);
	leaf->sw = found.value >> (sim->layout == SIM_TOY ? 44 : 55) & 15;
	leaf->young = found.af;
}

/* What the engine promises */

static void promise(struct sim *sim, unsigned int kind, unsigned int op, uint64_t gpa,
		    uint64_t size)
{
	if (!size)
		return;
	pthread_mutex_lock(&sim->lock);
	sim_tell(sim, kind, op, gpa, size);
	pthread_mutex_unlock(&sim->lock);
}

void sim_idle(struct sim *sim, uint64_t gpa, uint64_t size)
{
	promise(sim, S2C_DONE, 0, gpa, size);
}

void sim_idle_local(struct sim *sim, uint64_t gpa, uint64_t size, unsigned int rights)
{
	unsigned int op = (rights & S2_R ? S2C_R : 0u) | (rights & S2_W ? S2C_W : 0u) |
			  (rights & S2_XU ? S2C_X : 0u) | (rights & S2_XP ? S2C_XP : 0u);

	promise(sim, S2C_LOCAL, op, gpa, size);
}

void sim_idle_empty(struct sim *sim, uint64_t gpa, uint64_t size)
{
	promise(sim, S2C_EMPTY, 0, gpa, size);
}

void sim_forget(struct sim *sim)
{
	struct s2_tlb_op all = { .kind = S2_TLB_ALL };

	pthread_mutex_lock(&sim->lock);
	sim_tell_tlb(sim, &all, 1);
	pthread_mutex_unlock(&sim->lock);
}

void sim_host_wrote(struct sim *sim, uint64_t hpa, uint64_t size)
{
	pthread_mutex_lock(&sim->lock);
	sim_tell(sim, S2C_WROTE, 0, hpa, size);
	pthread_mutex_unlock(&sim->lock);
}
