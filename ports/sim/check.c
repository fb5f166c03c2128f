// SPDX-License-Identifier: BSD-2-Clause
/*
 * The simulation's judge: the basic rules of second-stage tables, checked at every event.
 *
 *  make    an entry that becomes valid meets nothing in any TLB or walk cache that disagrees with
 *	    it: no leaf of another output, type or size, no pointer to another table
 *  change  valid to valid alters rights, access flag and software bits at most; a change of size
 *	    needs FEAT_BBM 2 and an equal translation (DDI 0487, RWHZWS)
 *  link    a table is complete before it is linked: no plain store afterwards
 *  free    a table is freed when no walk cache points to it, and never touched again
 *  sync    normal memory is mapped after the cache maintenance that the CPU needs
 *  idle    when an operation is over, everything cached is implied by the tables, published, and of
 *	    the size that the tables have
 *
 * and in between the hostile part (stir): the processors walk wherever it hurts.
 *
 * Where a table stands is known from its link: sim_frame holds level and address. That is also
 * how an address of an entry becomes a guest address. Called with sim->lock held.
 */
#include "machine.h"
#include "sim_check.h"

static unsigned long long ull(uint64_t value)
{
	return value;
}

uint64_t sim_entry_gpa(struct sim *sim, const struct sim_frame *frame, uint64_t entry)
{
	uint64_t index = (entry & ((1ull << sim->config.page_shift) - 1)) / 8;

	return frame->gpa + (index << sim_shift(&sim->regime, frame->level));
}

/* The table `pa` and all below it can now be reached at gpa. */
static void link_table(struct sim *sim, uint64_t pa, unsigned int level, uint64_t gpa)
{
	uint64_t n = 1ull << sim->regime.stride;
	struct sim_frame *frame = sim_frame(sim, pa);

	if (!frame || (frame->state != SIM_PRIVATE && frame->state != SIM_DETACHED)) {
		sim_fail(sim, "linked at 0x%llx: 0x%llx, which is %s", ull(gpa), ull(pa),
			 frame && frame->state == SIM_LINKED ? "linked already" : "no table");
		return;
	}
	frame->state = SIM_LINKED;
	frame->level = (uint8_t)level;
	frame->gpa = gpa;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t raw = __atomic_load_n(sim_entry(sim, pa + i * 8), __ATOMIC_RELAXED);
		struct sim_desc desc = sim_decode(&sim->regime, level, raw);

		if (desc.kind == SIM_BAD)
			sim_fail(sim, "linked a table with descriptor 0x%llx: %s", ull(raw),
				 desc.why);
		if (desc.kind == SIM_TABLE)
			link_table(sim, desc.pa, level - 1,
				   gpa + (i << sim_shift(&sim->regime, level)));
	}
}

static void detach_table(struct sim *sim, uint64_t pa)
{
	struct sim_frame *frame = sim_frame(sim, pa);

	if (!frame || frame->state != SIM_LINKED)
		return;
	frame->state = SIM_DETACHED;
	frame->detached_by = sim_self.walker;
	for (uint64_t i = 0; frame->level && i < 1ull << sim->regime.stride; i++) {
		uint64_t raw = __atomic_load_n(sim_entry(sim, pa + i * 8), __ATOMIC_RELAXED);
		struct sim_desc desc = sim_decode(&sim->regime, frame->level, raw);

		if (desc.kind == SIM_TABLE)
			detach_table(sim, desc.pa);
	}
}

void sim_check_start(struct sim *sim)
{
	const struct sim_regime *regime = &sim->regime;
	uint64_t per_page = 1ull << regime->stride;
	uint64_t entries = sim_entries(regime, regime->top);

	for (uint64_t i = 0; i == 0 || i * per_page < entries; i++)
		link_table(sim, regime->root + (i << regime->page_shift), regime->top,
			   i * per_page << sim_shift(regime, regime->top));
}

/* Processors walk: here, near here, and where things happened lately. */
static void stir(struct sim *sim, uint64_t gpa)
{
	uint64_t last = (1ull << sim->regime.ipa_bits) - 1;
	uint64_t dice = sim_random(&sim->rng);
	uint64_t near = gpa + (((dice >> 8 & 7) - 3) << sim->regime.page_shift);
	unsigned int cpu = dice % SIM_CPUS;

	if (!sim->regime.running)
		return;
	sim_tlb_walk_cached(sim, gpa, cpu);
	sim_tlb_walk(sim, gpa, SIM_CPUS_MASK);
	cpu = dice >> 4 & (SIM_CPUS - 1);
	sim_tlb_walk_cached(sim, near & last, cpu);
	if (sim->nrecent)
		sim_tlb_walk(sim, sim->recent[(dice >> 16) % sim->nrecent], 1u << cpu);
	sim->recent[(dice >> 32) % SIM_RECENT] = gpa;
	if (sim->nrecent < SIM_RECENT)
		sim->recent[sim->nrecent++] = gpa;
}

void sim_check_alloc(struct sim *sim, uint64_t table, unsigned int order)
{
	sim_log(sim, "alloc", table, order, 0, 0);
}

void sim_check_free(struct sim *sim, uint64_t table, unsigned int order)
{
	struct sim_frame *frame = sim_frame(sim, table);

	sim_log(sim, "free", table, order, 0, 0);
	for (uint64_t i = 0; i < 1ull << order; i++) {
		if (frame[i].state == SIM_LINKED && sim->regime.running)
			sim_fail(sim, "freed a table that is linked at 0x%llx", ull(frame[i].gpa));
		if (frame[i].cached)
			sim_fail(sim,
				 "freed a table to which a walk cache points (it was at 0x%llx)",
				 ull(frame[i].gpa));
	}
}

void sim_check_store(struct sim *sim, uint64_t entry, uint64_t value)
{
	struct sim_frame *frame = sim_frame(sim, entry);

	sim_log(sim, "store", entry, value, 0, 0);
	if (frame->state == SIM_FREED || frame->state == SIM_NEVER)
		sim_fail(sim, "store to a freed table");
	else if (frame->state == SIM_LINKED)
		sim_fail(sim, "plain store to a linked table");
	else if (frame->cached && value & 1)
		sim_fail(sim, "valid entry stored to a table to which a walk cache points");
}

static int same_output(const struct sim_desc *a, const struct sim_desc *b)
{
	return a->pa == b->pa && a->type == b->type && a->sh == b->sh;
}

/* Does the table translate exactly as the leaf that it replaces (or is replaced by)? */
static int table_equals_leaf(struct sim *sim, uint64_t table, unsigned int level,
			     struct sim_desc leaf)
{
	for (uint64_t i = 0; i < 1ull << sim->regime.stride; i++) {
		uint64_t raw = __atomic_load_n(sim_entry(sim, table + i * 8), __ATOMIC_RELAXED);
		struct sim_desc desc = sim_decode(&sim->regime, level, raw);

		if (desc.kind == SIM_TABLE) {
			if (!table_equals_leaf(sim, desc.pa, level - 1, leaf))
				return 0;
		} else if (desc.kind != SIM_LEAF || !same_output(&desc, &leaf) ||
			   desc.rights != leaf.rights) {
			return 0;
		}
		leaf.pa += sim_size(&sim->regime, level);
	}
	return 1;
}

/* valid -> valid */
static void check_replace(struct sim *sim, uint64_t gpa, unsigned int level,
			  const struct sim_desc *old, const struct sim_desc *new_desc)
{
	const struct sim_desc *table = old->kind == SIM_TABLE ? old : new_desc;
	const struct sim_desc *leaf = old->kind == SIM_TABLE ? new_desc : old;

	if (old->kind == SIM_TABLE && new_desc->kind == SIM_TABLE) {
		if (old->pa != new_desc->pa)
			sim_fail(sim, "table replaced at 0x%llx without a break", ull(gpa));
	} else if (old->kind == new_desc->kind) {
		if (!same_output(old, new_desc) || old->contig != new_desc->contig)
			sim_fail(sim, "leaf changed at 0x%llx without a break", ull(gpa));
	} else if (sim->regime.bbm < 2) {
		sim_fail(sim, "size changed at 0x%llx without a break", ull(gpa));
	} else if (!table_equals_leaf(sim, table->pa, level - 1, *leaf)) {
		sim_fail(sim, "size changed at 0x%llx together with the translation", ull(gpa));
	}
}

struct make {
	uint64_t gpa;
	unsigned int level;
	const struct sim_desc *desc;
};

/* Something is cached below a place that was just made valid. */
static void check_below(struct sim *sim, uint64_t gpa, unsigned int level, struct sim_slot *slot,
			void *ctx)
{
	const struct make *make = ctx;
	struct sim_desc desc = *make->desc;
	unsigned int at = make->level;

	while (desc.kind == SIM_TABLE && at > level) {
		uint64_t entry = desc.pa + sim_index(&sim->regime, --at, gpa) * 8;

		desc = sim_decode(&sim->regime, at,
				  __atomic_load_n(sim_entry(sim, entry), __ATOMIC_RELAXED));
	}
	if (desc.kind == SIM_INVALID)
		return; /* removed before; its invalidation may be under way still */
	if (slot->table_cpus && (desc.kind != SIM_TABLE || desc.pa != slot->table))
		sim_fail(sim,
			 "made 0x%llx (level %u) while a walk cache points to an old table "
			 "for 0x%llx",
			 ull(make->gpa), make->level, ull(gpa));
	if (slot->leaf_cpus && (at != level || desc.kind != SIM_LEAF || desc.pa != slot->leaf ||
				desc.type != slot->type))
		sim_fail(sim,
			 "made 0x%llx (level %u) while a TLB holds another leaf for 0x%llx "
			 "(level %u)",
			 ull(make->gpa), make->level, ull(gpa), level);
}

/* invalid -> valid */
static void check_make(struct sim *sim, uint64_t gpa, unsigned int level,
		       const struct sim_desc *desc)
{
	struct make make = { gpa, level, desc };
	struct sim_slot *slot;

	for (unsigned int up = sim->regime.top; up > level; up--) {
		slot = sim_tlb_find(sim, up, gpa);
		if (!slot || !slot->leaf_cpus)
			continue;
		if (sim->regime.bbm < 2 || desc->kind != SIM_LEAF || desc->type != slot->type ||
		    desc->pa != slot->leaf + (gpa & (sim_size(&sim->regime, up) - 1)))
			sim_fail(sim, "made 0x%llx (level %u) while a TLB holds a block over it",
				 ull(gpa), level);
	}
	slot = sim_tlb_find(sim, level, gpa);
	if (!slot)
		return;
	if (slot->leaf_cpus && (desc->kind != SIM_LEAF || desc->pa != slot->leaf ||
				desc->type != slot->type || desc->sh != slot->sh))
		sim_fail(sim, "made 0x%llx (level %u) while a TLB holds another leaf", ull(gpa),
			 level);
	if (slot->table_cpus && (desc->kind != SIM_TABLE || desc->pa != slot->table))
		sim_fail(sim, "made 0x%llx (level %u) while a walk cache points to another table",
			 ull(gpa), level);
	sim_tlb_each_below(sim, gpa, level, check_below, &make);
}

static void check_sync(struct sim *sim, uint64_t gpa, unsigned int level,
		       const struct sim_desc *desc, unsigned int new_rights)
{
	uint32_t features = sim->regime.features;
	unsigned int kind = 0;

	if (desc->type != S2_MEM_NORMAL && desc->type != S2_MEM_NC)
		return;
	if (desc->type == S2_MEM_NC || !(features & S2_CPU_FWB))
		kind |= S2_SYNC_DATA;
	if (!(features & S2_CPU_DIC) && new_rights & S2_X)
		kind |= S2_SYNC_INSN;
	if (!sim_host_is_synced(sim, desc->pa, sim_size(&sim->regime, level), kind))
		sim_fail(sim, "mapped 0x%llx (level %u) without its cache maintenance", ull(gpa),
			 level);
}

void sim_check_before(struct sim *sim, uint64_t entry, uint64_t old)
{
	struct sim_frame *frame = sim_frame(sim, entry);

	if (frame->state == SIM_FREED || frame->state == SIM_NEVER)
		sim_fail(sim, "compare-and-swap on a freed table");
	else if (frame->state == SIM_LINKED && old & 1 && sim->regime.running)
		stir(sim, sim_entry_gpa(sim, frame, entry));
}

static void check_linked(struct sim *sim, const struct make *make, const struct sim_desc *old)
{
	const struct sim_desc *desc = make->desc;
	int was_valid = old->kind != SIM_INVALID;
	int is_valid = desc->kind != SIM_INVALID;

	if (desc->kind == SIM_BAD) {
		sim_fail(sim, "wrote a bad descriptor at 0x%llx: %s", ull(make->gpa), desc->why);
		return;
	}
	if (desc->kind == SIM_TABLE && (old->kind != SIM_TABLE || old->pa != desc->pa))
		link_table(sim, desc->pa, make->level - 1, make->gpa);
	if (was_valid && is_valid)
		check_replace(sim, make->gpa, make->level, old, desc);
	else if (is_valid)
		check_make(sim, make->gpa, make->level, desc);
	if (!was_valid && is_valid)
		sim_self.unpublished = sim;
	if (desc->kind == SIM_LEAF)
		check_sync(sim, make->gpa, make->level, desc,
			   desc->rights & ~(old->kind == SIM_LEAF ? old->rights : 0u));
	if (old->kind == SIM_TABLE && (desc->kind != SIM_TABLE || old->pa != desc->pa))
		detach_table(sim, old->pa);
}

void sim_check_change(struct sim *sim, uint64_t entry, uint64_t old, uint64_t new_entry)
{
	struct sim_frame *frame = sim_frame(sim, entry);
	struct sim_desc from, to;
	struct make make;

	sim->changes++;
	/* Others may, whose sections were open: what they make there is lost (invariant 2). */
	if (frame->state == SIM_DETACHED && !(old & 1) && new_entry & 1 &&
	    frame->detached_by == sim_self.walker)
		sim_fail(sim, "made an entry in a detached table (it was at 0x%llx)",
			 ull(sim_entry_gpa(sim, frame, entry)));
	if (frame->state != SIM_LINKED || !((old | new_entry) & 1))
		return;
	from = sim_decode(&sim->regime, frame->level, old);
	to = sim_decode(&sim->regime, frame->level, new_entry);
	make.gpa = sim_entry_gpa(sim, frame, entry);
	make.level = frame->level;
	make.desc = &to;
	sim_log(sim, "change", make.gpa, make.level, old, new_entry);
	check_linked(sim, &make, &from);
	stir(sim, make.gpa);
}

static int check_op(struct sim *sim, const struct s2_tlb_op *op)
{
	uint64_t page = 1ull << sim->regime.page_shift;
	uint64_t end = 1ull << sim->regime.ipa_bits;

	if (op->kind >= S2_TLB_KINDS || op->flags & ~(S2_TLB_LEAF | S2_TLB_LOCAL)) {
		sim_fail(sim, "TLB operation of unknown kind or flags");
		return 0;
	}
	if (op->kind != S2_TLB_ENTRY && op->kind != S2_TLB_RANGE)
		return 1;
	if (op->level != S2_LEVEL_ANY && op->level > sim->regime.top)
		sim_fail(sim, "TLB operation for level %u", op->level);
	if (op->page_shift != sim->regime.page_shift)
		sim_fail(sim, "TLB operation with page_shift %u", op->page_shift);
	if (op->gpa.gpa >= end || (op->gpa.gpa & (page - 1)))
		sim_fail(sim, "TLB operation for 0x%llx", ull(op->gpa.gpa));
	else if (op->kind == S2_TLB_RANGE &&
		 (!op->size || op->size & (page - 1) || op->size > end - op->gpa.gpa))
		sim_fail(sim, "TLB operation for 0x%llx bytes", ull(op->size));
	else
		return 1;
	return 0;
}

void sim_check_tlb(struct sim *sim, const struct s2_tlb_op *op, unsigned int cpu)
{
	struct sim_kill kill = { .gpa = op->gpa.gpa, .level = op->level, .leaves = 1 };
	uint64_t dice = sim_random(&sim->rng);

	sim_log(sim, "tlb", op->kind, op->gpa.gpa, op->size, op->flags * 256u + op->level);
	if (op->kind == S2_TLB_PUBLISH && sim_self.unpublished == sim)
		sim_self.unpublished = NULL;
	if (!sim->tlb || !check_op(sim, op) || op->kind == S2_TLB_PUBLISH)
		return;
	kill.cpus = (uint8_t)(op->flags & S2_TLB_LOCAL ? 1u << cpu : SIM_CPUS_MASK);
	kill.last = kill.gpa;
	kill.tables = !(op->flags & S2_TLB_LEAF);
	if (op->kind == S2_TLB_RANGE) {
		kill.last = kill.gpa + (op->size - 1);
	} else if (op->kind == S2_TLB_ALL) {
		kill.gpa = 0;
		kill.last = (1ull << sim->regime.ipa_bits) - 1;
		kill.level = S2_LEVEL_ANY;
	}
	sim_tlb_kill(sim, &kill);
	if (op->kind == S2_TLB_ALL)
		kill.gpa = kill.last = sim->recent[0];
	stir(sim, kill.gpa);
	stir(sim, kill.last);
	stir(sim, kill.gpa + dice % (kill.last - kill.gpa + 1));
}

static void check_slot(struct sim *sim, uint64_t gpa, unsigned int level, struct sim_slot *slot,
		       void *ctx)
{
	struct sim_found found;
	uint64_t table = sim->regime.root;

	(void)ctx;
	found.desc.kind = SIM_TABLE;
	for (found.level = sim->regime.top;; found.level--) {
		uint64_t entry = table + sim_index(&sim->regime, found.level, gpa) * 8;

		found.raw = __atomic_load_n(sim_entry(sim, entry), __ATOMIC_RELAXED);
		found.desc = sim_decode(&sim->regime, found.level, found.raw);
		if (found.level == level || found.desc.kind != SIM_TABLE)
			break;
		table = found.desc.pa;
	}
	if (slot->table_cpus &&
	    (found.level != level || found.desc.kind != SIM_TABLE || found.desc.pa != slot->table))
		sim_fail(sim,
			 "stale: a walk cache points to a table for 0x%llx (level %u) that is "
			 "not there",
			 ull(gpa), level);
	if (!slot->leaf_cpus)
		return;
	if (found.level != level || found.desc.kind != SIM_LEAF || found.desc.pa != slot->leaf ||
	    found.desc.type != slot->type) {
		sim_fail(sim, "stale: a TLB holds a leaf for 0x%llx (level %u) that is not there",
			 ull(gpa), level);
		return;
	}
	if (!found.desc.af)
		sim_fail(sim, "stale: a TLB holds an old leaf for 0x%llx", ull(gpa));
	for (unsigned int cpu = 0; cpu < SIM_CPUS; cpu++) {
		if (slot->leaf_cpus >> cpu & 1 && slot->rights[cpu] & ~found.desc.rights)
			sim_fail(sim,
				 "stale: the TLB of CPU %u has rights 0x%x for 0x%llx, the "
				 "tables 0x%x",
				 cpu, slot->rights[cpu], ull(gpa), found.desc.rights);
	}
}

void sim_check_idle(struct sim *sim, uint64_t gpa, uint64_t size)
{
	if (sim_self.unpublished == sim)
		sim_fail(sim, "an entry was made valid and never published");
	if (sim->tlb && size)
		sim_tlb_each(sim, gpa, gpa + (size - 1), check_slot, NULL);
}

struct local {
	unsigned int cpu;
	unsigned int rights;
};

static void check_local_slot(struct sim *sim, uint64_t gpa, unsigned int level,
			     struct sim_slot *slot, void *ctx)
{
	const struct local *local = ctx;
	struct sim_found found;

	if (!(slot->leaf_cpus >> local->cpu & 1))
		return;
	sim_tlb_look(sim, gpa, &found);
	if (found.level == level && found.desc.kind == SIM_LEAF &&
	    found.desc.rights & local->rights & ~slot->narrow[local->cpu])
		sim_fail(sim, "stale: the TLB of CPU %u denies at 0x%llx what it was given",
			 local->cpu, ull(gpa));
}

void sim_check_local(struct sim *sim, uint64_t gpa, uint64_t size, unsigned int cpu,
		     unsigned int rights)
{
	struct local local = { cpu, rights };

	if (sim->tlb && size)
		sim_tlb_each(sim, gpa, gpa + (size - 1), check_local_slot, &local);
}

static void check_empty_slot(struct sim *sim, uint64_t gpa, unsigned int level,
			     struct sim_slot *slot, void *ctx)
{
	(void)ctx;
	if (slot->leaf_cpus)
		sim_fail(sim,
			 "stale: a TLB holds a leaf for 0x%llx (level %u), which was taken "
			 "away",
			 ull(gpa), level);
}

void sim_check_empty(struct sim *sim, uint64_t gpa, uint64_t size)
{
	if (sim->tlb && size)
		sim_tlb_each(sim, gpa, gpa + (size - 1), check_empty_slot, NULL);
}
