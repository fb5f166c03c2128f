// SPDX-License-Identifier: BSD-2-Clause
/*
 * The processors' TLBs and walk caches, and the walks that fill them.
 *
 * What is cached is kept in one tree of places, shaped like a translation tree: a place is
 * an address at a level. It says which processors hold a leaf there, with what output, and which
 * hold a pointer to a next table. Nothing is ever evicted. The tree is the simulation's own memory
 * and only grows; `live` counts what is cached at and below a node, so that empty parts cost
 * nothing.
 *
 * One place holds one leaf and one table: that two processors (or one) hold different ones is the
 * very thing that the judge rules out before it can happen; if it does happen all the same it is a
 * failure here. Rights alone may differ, by processor, and are collected: the widest
 * stale right counts.
 *
 * An access-flag-0 leaf is not cached; where the regime sets access flags the walk sets it first.
 * Invalid entries are not cached. Called with sim->lock held.
 */
#include <stdlib.h>
#include <string.h>

#include "machine.h"

static struct sim_node *node_new(struct sim *sim, struct sim_node *up, unsigned int level)
{
	struct sim_node *node;

	node = calloc(1,
		      sizeof(*node) + sim_entries(&sim->regime, level) * sizeof(struct sim_slot));
	if (!node)
		abort();
	node->up = up;
	return node;
}

static void node_free(struct sim *sim, struct sim_node *node, unsigned int level)
{
	if (!node)
		return;
	if (level) {
		for (uint64_t i = 0; i < sim_entries(&sim->regime, level); i++)
			node_free(sim, node->slot[i].below, level - 1);
	}
	free(node);
}

void sim_tlb_init(struct sim *sim)
{
	sim->tlb = node_new(sim, NULL, sim->regime.top);
}

void sim_tlb_fini(struct sim *sim)
{
	node_free(sim, sim->tlb, sim->regime.top);
	sim->tlb = NULL;
}

static void count(struct sim_node *node, uint64_t delta)
{
	for (; node; node = node->up)
		node->live += delta;
}

static struct sim_node *node_below(struct sim *sim, struct sim_node *node, unsigned int level,
				   uint64_t gpa)
{
	struct sim_slot *slot = &node->slot[sim_index(&sim->regime, level, gpa)];

	if (!slot->below)
		slot->below = node_new(sim, node, level - 1);
	return slot->below;
}

struct sim_slot *sim_tlb_find(struct sim *sim, unsigned int level, uint64_t gpa)
{
	struct sim_node *node = sim->tlb;
	unsigned int at = sim->regime.top;

	while (node && at > level) {
		node = node->slot[sim_index(&sim->regime, at, gpa)].below;
		at--;
	}
	return node ? &node->slot[sim_index(&sim->regime, level, gpa)] : NULL;
}

static void cache_leaf(struct sim *sim, struct sim_node *node, struct sim_slot *slot,
		       const struct sim_desc *desc, unsigned int cpus)
{
	if (slot->leaf_cpus && (slot->leaf != desc->pa || slot->type != desc->type))
		sim_fail(sim, "TLB conflict: 0x%llx and 0x%llx cached for the same address",
			 (unsigned long long)slot->leaf, (unsigned long long)desc->pa);
	if (!slot->leaf_cpus) {
		count(node, 1);
		slot->leaf = desc->pa;
		slot->type = desc->type;
		slot->sh = desc->sh;
	}
	for (unsigned int cpu = 0; cpu < SIM_CPUS; cpu++) {
		if (!(cpus >> cpu & 1))
			continue;
		if (!(slot->leaf_cpus >> cpu & 1)) {
			slot->rights[cpu] = 0;
			slot->narrow[cpu] = 0xff;
		}
		slot->rights[cpu] |= desc->rights;
		slot->narrow[cpu] &= desc->rights;
	}
	slot->leaf_cpus |= (uint8_t)cpus;
}

static void drop_table(struct sim *sim, struct sim_slot *slot)
{
	struct sim_frame *frame = sim_frame(sim, slot->table);

	if (frame)
		frame->cached--;
}

static void cache_table(struct sim *sim, struct sim_node *node, struct sim_slot *slot,
			uint64_t table, unsigned int cpus)
{
	if (slot->table_cpus && slot->table != table) {
		sim_fail(sim, "walk cache conflict: tables 0x%llx and 0x%llx for the same address",
			 (unsigned long long)slot->table, (unsigned long long)table);
		drop_table(sim, slot);
		count(node, (uint64_t)-1);
		slot->table_cpus = 0;
	}
	if (!slot->table_cpus) {
		count(node, 1);
		slot->table = table;
		sim_frame(sim, table)->cached++;
	}
	slot->table_cpus |= (uint8_t)cpus;
}

/* Reads a descriptor as a walker does. Memory that is no table's is a failure. */
static int read_entry(struct sim *sim, uint64_t pa, uint64_t *raw)
{
	struct sim_frame *frame = sim_frame(sim, pa);

	*raw = 0;
	if (!frame || (frame->state != SIM_LINKED && frame->state != SIM_DETACHED)) {
		sim_fail(sim, "a walk reads 0x%llx, which is %s", (unsigned long long)pa,
			 frame && frame->state == SIM_FREED ? "a freed table" : "no table");
		return 0;
	}
	*raw = __atomic_load_n(sim_entry(sim, pa), __ATOMIC_ACQUIRE);
	return 1;
}

/*
 * Hardware's update of the access flag, where the regime has it. Not at every walk, so that old
 * entries live for a while and the engine meets the update at any time.
 */
static int may_set_af(struct sim *sim, struct sim_found *found)
{
	uint64_t raw = found->raw;

	if (!sim->regime.ha || sim_random(&sim->rng) >> 62)
		return 0;
	if (!__atomic_compare_exchange_n(sim_entry(sim, found->entry), &raw,
					 sim_with_af(&sim->regime, raw), 0, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		return 0;
	found->raw = sim_with_af(&sim->regime, raw);
	sim->af_updates++;
	found->desc = sim_decode(&sim->regime, found->level, found->raw);
	return 1;
}

static void walk(struct sim *sim, uint64_t gpa, struct sim_from from, unsigned int cpus,
		 struct sim_found *found)
{
	const struct sim_regime *regime = &sim->regime;

	for (;;) {
		uint64_t index = sim_index(regime, from.level, gpa);
		struct sim_slot *slot;

		*found = (struct sim_found){ .level = from.level, .entry = from.table + index * 8 };
		if (!read_entry(sim, found->entry, &found->raw))
			return;
		found->desc = sim_decode(regime, from.level, found->raw);
		if (found->desc.kind == SIM_BAD)
			sim_fail(sim, "descriptor 0x%llx at level %u: %s",
				 (unsigned long long)found->raw, from.level, found->desc.why);
		if (found->desc.kind == SIM_LEAF && cpus) {
			if (!found->desc.af && !may_set_af(sim, found))
				return;
			slot = &from.node->slot[index];
			cache_leaf(sim, from.node, slot, &found->desc, cpus);
		}
		if (found->desc.kind != SIM_TABLE)
			return;
		if (cpus) {
			if (!sim_frame(sim, found->desc.pa)) {
				sim_fail(sim, "table descriptor to 0x%llx, which is no table",
					 (unsigned long long)found->desc.pa);
				return;
			}
			cache_table(sim, from.node, &from.node->slot[index], found->desc.pa, cpus);
			from.node = node_below(sim, from.node, from.level, gpa);
		}
		from.table = found->desc.pa;
		from.level--;
	}
}

void sim_tlb_look(struct sim *sim, uint64_t gpa, struct sim_found *found)
{
	struct sim_from from = { .table = sim->regime.root, .level = sim->regime.top };

	walk(sim, gpa, from, 0, found);
}

void sim_tlb_walk(struct sim *sim, uint64_t gpa, unsigned int cpus)
{
	struct sim_from from = { sim->regime.root, sim->regime.top, sim->tlb };
	struct sim_found found;

	if (!sim->regime.running)
		return;
	sim->walks++;
	walk(sim, gpa, from, cpus, &found);
}

void sim_tlb_walk_cached(struct sim *sim, uint64_t gpa, unsigned int cpu)
{
	struct sim_from choice[SIM_LEVELS];
	struct sim_node *node = sim->tlb;
	struct sim_found found;
	unsigned int n = 0;

	if (!sim->regime.running)
		return;
	for (unsigned int level = sim->regime.top; node && level; level--) {
		struct sim_slot *slot = &node->slot[sim_index(&sim->regime, level, gpa)];

		node = slot->below;
		if (slot->below && slot->table_cpus >> cpu & 1)
			choice[n++] = (struct sim_from){ slot->table, level - 1, slot->below };
	}
	if (!n)
		return;
	sim->walks++;
	walk(sim, gpa, choice[(sim_random(&sim->rng) >> 32) % n], 1u << cpu, &found);
}

static void kill_slot(struct sim *sim, struct sim_node *node, unsigned int level,
		      struct sim_slot *slot, const struct sim_kill *kill)
{
	int any = kill->level == S2_LEVEL_ANY;

	if (kill->leaves && slot->leaf_cpus & kill->cpus && (any || level == kill->level)) {
		slot->leaf_cpus &= (uint8_t)~kill->cpus;
		if (!slot->leaf_cpus)
			count(node, (uint64_t)-1);
	}
	if (kill->tables && slot->table_cpus & kill->cpus && (any || level > kill->level)) {
		slot->table_cpus &= (uint8_t)~kill->cpus;
		if (!slot->table_cpus) {
			drop_table(sim, slot);
			count(node, (uint64_t)-1);
		}
	}
}

/* The entries of this node (which starts at `base`) that overlap [gpa, last]. */
static void overlap(struct sim *sim, unsigned int level, uint64_t base, uint64_t gpa, uint64_t last,
		    uint64_t *from, uint64_t *to)
{
	unsigned int shift = sim_shift(&sim->regime, level);
	uint64_t n = sim_entries(&sim->regime, level);

	*from = gpa <= base ? 0 : (gpa - base) >> shift;
	*to = (last - base) >> shift;
	if (*to > n - 1)
		*to = n - 1;
}

static void kill_node(struct sim *sim, struct sim_node *node, unsigned int level, uint64_t base,
		      const struct sim_kill *kill)
{
	uint64_t from, to;

	overlap(sim, level, base, kill->gpa, kill->last, &from, &to);
	for (uint64_t i = from; i <= to && node->live; i++) {
		struct sim_slot *slot = &node->slot[i];

		kill_slot(sim, node, level, slot, kill);
		if (slot->below && slot->below->live)
			kill_node(sim, slot->below, level - 1,
				  base + (i << sim_shift(&sim->regime, level)), kill);
	}
}

void sim_tlb_kill(struct sim *sim, const struct sim_kill *kill)
{
	kill_node(sim, sim->tlb, sim->regime.top, 0, kill);
}

struct each {
	uint64_t gpa, last;
	sim_slot_fn *fn;
	void *ctx;
};

static void each_node(struct sim *sim, struct sim_node *node, unsigned int level, uint64_t base,
		      const struct each *each)
{
	uint64_t from, to;

	overlap(sim, level, base, each->gpa, each->last, &from, &to);
	for (uint64_t i = from; i <= to && node->live; i++) {
		struct sim_slot *slot = &node->slot[i];
		uint64_t gpa = base + (i << sim_shift(&sim->regime, level));

		if (slot->leaf_cpus | slot->table_cpus)
			each->fn(sim, gpa, level, slot, each->ctx);
		if (slot->below && slot->below->live)
			each_node(sim, slot->below, level - 1, gpa, each);
	}
}

void sim_tlb_each(struct sim *sim, uint64_t gpa, uint64_t last, sim_slot_fn *fn, void *ctx)
{
	struct each each = { gpa, last, fn, ctx };

	each_node(sim, sim->tlb, sim->regime.top, 0, &each);
}

void sim_tlb_each_below(struct sim *sim, uint64_t gpa, unsigned int level, sim_slot_fn *fn,
			void *ctx)
{
	struct each each = { gpa, gpa + (sim_size(&sim->regime, level) - 1), fn, ctx };
	struct sim_slot *slot = sim_tlb_find(sim, level, gpa);

	if (slot && slot->below && slot->below->live)
		each_node(sim, slot->below, level - 1, gpa, &each);
}
