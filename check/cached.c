// SPDX-License-Identifier: BSD-2-Clause
/*
 * Stale records: what CPUs may still hold of entries that have changed, and what a TLBI does to it.
 *
 * A record stands at the position of its entry. It has three masks of CPUs: as a leaf of stage 2,
 * as a combined entry, as a pointer to a table. It goes when all three are empty.
 *
 * An invalidation is judged when it is issued (was the store visible by then? is the record in its
 * reach?) and carried out at the DSB that completes it: in between it is `pending` at its CPU.
 * What a removed table led to dies only with that pointer or after it, or it would be fetched
 * again; likewise combined entries after the leaf that they were made from.
 *
 * All CPUs are those that may have run the VMID: who never ran it cannot hold anything.
 */
#include <stdlib.h>

#include "model.h"

#define SLAB 256

struct s2c_who chk_who(const struct s2c *model)
{
	return (struct s2c_who){ .event = model->now,
				 .pc = model->event.pc,
				 .cpu = model->event.cpu };
}

uint64_t chk_holders(const struct chk_tree *tree, uint64_t made)
{
	const struct chk_vmid *vmid = tree->vmid;
	uint64_t cpus = vmid->running;

	for (unsigned int i = 0; i < S2C_CPUS; i++) {
		if (vmid->ran[i] > made && vmid->ran[i] > vmid->cleared[i])
			cpus |= 1ull << i;
	}
	return cpus;
}

/* Records come from slabs and are used again, so that a pointer with an old id stays harmless. */
static struct chk_stale *take(struct s2c *model)
{
	struct chk_stale *stale;

	if (!model->free_stale) {
		struct chk_stale *slab = chk_alloc(SLAB, sizeof(*slab));

		model->slab =
			realloc(model->slab, (model->nslabs + 1) * sizeof(struct chk_stale *));
		if (!model->slab)
			abort();
		model->slab[model->nslabs++] = slab;
		for (unsigned int i = 0; i < SLAB; i++) {
			slab[i].next = model->free_stale;
			model->free_stale = &slab[i];
		}
	}
	stale = model->free_stale;
	model->free_stale = stale->next;
	*stale = (struct chk_stale){ .id = ++model->next_id, .in_use = 1 };
	return stale;
}

int chk_stale_alive(const struct chk_stale *stale, uint64_t id)
{
	return stale && stale->in_use && stale->id == id;
}

static void enlist(struct s2c *model, struct chk_stale *stale)
{
	struct chk_tree *tree = stale->tree;

	if (stale->listed)
		return;
	stale->listed = 1;
	stale->before = NULL;
	stale->after = tree->stale;
	if (tree->stale)
		tree->stale->before = stale;
	tree->stale = stale;
	model->stats.cached++;
}

static void delist(struct s2c *model, struct chk_stale *stale)
{
	if (!stale->listed)
		return;
	stale->listed = 0;
	if (stale->before)
		stale->before->after = stale->after;
	else
		stale->tree->stale = stale->after;
	if (stale->after)
		stale->after->before = stale->before;
	model->stats.cached--;
}

static void count(struct chk_node *node, uint64_t delta)
{
	for (; node; node = node->up)
		node->live += delta;
}

/* One record of the same widened entry is enough for a slot, however often that happens. */
static struct chk_stale *widened(const struct chk_slot *slot)
{
	struct chk_stale *stale = slot->stale;

	while (stale && !(stale->kind == CHK_WIDENED && stale->value == slot->value))
		stale = stale->next;
	return stale;
}

/* Without the access flag nothing is cached, unless hardware may have set it meanwhile. */
static int cacheable(const struct chk_node *node, const struct chk_desc *desc)
{
	return desc->kind != CHK_LEAF || desc->af || node->tree->regime.ha;
}

uint64_t chk_held(const struct chk_node *node, uint64_t index)
{
	struct chk_desc desc = chk_slot_desc(node, index);

	return cacheable(node, &desc) ? chk_holders(node->tree, node->slot[index].since) : 0;
}

/* A new record, with what `what` says of it. */
static struct chk_stale *add(struct s2c *model, struct chk_node *node, uint64_t index,
			     const struct chk_stale *what)
{
	struct chk_slot *slot = &node->slot[index];
	struct chk_stale *stale = take(model);
	uint64_t id = stale->id;

	*stale = *what;
	stale->id = id;
	stale->in_use = 1;
	stale->tree = node->tree;
	stale->node = node;
	stale->index = index;
	stale->via_id = what->via ? what->via->id : 0;
	stale->entry = node->table + index * 8;
	stale->combined = stale->leaf;
	stale->next = slot->stale;
	slot->stale = stale;
	count(node, 1);
	if (stale->desc.kind == CHK_LEAF && stale->kind == CHK_REMOVED)
		chk_output_add(model, &node->tree->regime, node->level, stale->desc.pa, 0, 1);
	if (stale->kind != CHK_WIDENED)
		enlist(model, stale);
	return stale;
}

/* The translation does not stay any more: older forms of it that are cached are now in the way. */
static void outlived(struct s2c *model, struct chk_slot *slot)
{
	for (struct chk_stale *stale = slot->stale; stale; stale = stale->next) {
		if (stale->kind == CHK_REMOVED)
			continue;
		enlist(model, stale);
		stale->kind = CHK_REMOVED;
		if (stale->desc.kind == CHK_LEAF)
			chk_output_add(model, &stale->tree->regime, stale->node->level,
				       stale->desc.pa, 0, 1);
	}
}

struct chk_stale *chk_stale_new(struct s2c *model, struct chk_node *node, uint64_t index,
				enum chk_stale_kind kind, struct chk_stale *via)
{
	struct chk_slot *slot = &node->slot[index];
	struct chk_desc desc = chk_slot_desc(node, index);
	uint64_t cpus = chk_held(node, index);
	struct chk_stale *stale;

	if (kind == CHK_REMOVED)
		outlived(model, slot);
	if (via && cacheable(node, &desc)) /* who has that pointer may have come here by it */
		cpus |= via->table;
	if (!cpus)
		return NULL;
	stale = kind == CHK_WIDENED ? widened(slot) : NULL;
	if (stale) {
		stale->leaf |= cpus;
		stale->combined |= cpus;
		stale->broken = chk_who(model);
		return stale;
	}
	return add(model, node, index,
		   &(struct chk_stale){ .via = via,
					.value = slot->value,
					.desc = desc,
					.made = slot->made,
					.broken = chk_who(model),
					.leaf = desc.kind == CHK_TABLE ? 0 : cpus,
					.table = desc.kind == CHK_TABLE ? cpus : 0,
					.kind = (uint8_t)kind });
}

/* The CPUs that have the pointer; those whose pointer an invalidation is just taking do not count.
 */
struct chk_stale *chk_stale_lost(struct s2c *model, struct chk_node *node, uint64_t index,
				 uint64_t value, struct chk_stale *via)
{
	const struct chk_regime *regime = &node->tree->regime;
	struct chk_desc desc = regime->decode(regime, node->level, value);
	uint64_t cpus = via->table & ~via->struck;

	if (!cpus || (desc.kind != CHK_LEAF && desc.kind != CHK_TABLE) ||
	    (desc.kind == CHK_LEAF && !desc.af && !regime->ha))
		return NULL;
	return add(model, node, index,
		   &(struct chk_stale){ .via = via,
					.value = value,
					.desc = desc,
					.made = chk_who(model),
					.broken = via->broken,
					.leaf = desc.kind == CHK_TABLE ? 0 : cpus,
					.table = desc.kind == CHK_TABLE ? cpus : 0,
					.kind = CHK_REMOVED });
}

void chk_stale_drop(struct s2c *model, struct chk_stale *stale)
{
	struct chk_stale **at = &stale->node->slot[stale->index].stale;

	while (*at != stale)
		at = &(*at)->next;
	*at = stale->next;
	count(stale->node, (uint64_t)-1);
	delist(model, stale);
	if (stale->desc.kind == CHK_LEAF && stale->kind == CHK_REMOVED)
		chk_output_add(model, &stale->tree->regime, stale->node->level, stale->desc.pa, 0,
			       -1);
	stale->in_use = 0;
	stale->next = model->free_stale;
	model->free_stale = stale;
}

static int drop_one(struct s2c *model, struct chk_stale *stale, void *ctx)
{
	(void)ctx;
	chk_stale_drop(model, stale);
	return 0;
}

void chk_stale_drop_all(struct s2c *model, struct chk_tree *tree)
{
	(void)chk_each_stale(model, tree, 0, 0, drop_one, NULL);
}

/* Size 0: everything. Goes from the root down, so a pointer comes before what it leads to. */
static int each(struct s2c *model, struct chk_node *node, uint64_t gpa, uint64_t last,
		chk_stale_fn *fn, void *ctx)
{
	unsigned int shift = chk_shift(&node->tree->regime, node->level);
	uint64_t from = gpa <= node->gpa ? 0 : (gpa - node->gpa) >> shift;
	uint64_t to = (last - node->gpa) >> shift;

	if (to >= node->n)
		to = node->n - 1;
	for (uint64_t i = from; i <= to && node->live; i++) {
		struct chk_stale *stale = node->slot[i].stale;
		struct chk_node *below = node->slot[i].below;

		while (stale) {
			struct chk_stale *next = stale->next;
			int result = fn(model, stale, ctx);

			if (result)
				return result;
			stale = next;
		}
		if (below && below->live) {
			int result = each(model, below, gpa, last, fn, ctx);

			if (result)
				return result;
		}
	}
	return 0;
}

int chk_each_stale(struct s2c *model, struct chk_tree *tree, uint64_t gpa, uint64_t size,
		   chk_stale_fn *fn, void *ctx)
{
	uint64_t end = tree->regime.ipa_bits > 63 ? ~0ull : 1ull << tree->regime.ipa_bits;
	uint64_t last = size ? gpa + (size - 1) : ~0ull;

	if (!tree->root->live || gpa >= end || last < gpa)
		return 0;
	return each(model, tree->root, size ? gpa : 0, last, fn, ctx);
}

int chk_each_below(struct s2c *model, struct chk_node *node, uint64_t index, chk_stale_fn *fn,
		   void *ctx)
{
	struct chk_node *below = node->slot[index].below;

	if (!below || !below->live)
		return 0;
	return each(model, below, below->gpa, ~0ull, fn, ctx);
}

/* Invalidation */

struct issue {
	const struct chk_kill *kill;
	unsigned int cpu;
	uint64_t reach; /* CPUs */
};

static void pend(struct s2c *model, unsigned int cpu, const struct chk_pending *pending)
{
	struct chk_cpu *c = &model->cpu[cpu];
	struct chk_stale *stale = pending->stale;
	struct chk_pending *last =
		stale && stale->pending < c->npending ? &c->pending[stale->pending] : NULL;

	/* All that this CPU has issued is complete at the same DSB: once a record will do. */
	if (last && last->stale == stale && last->id == stale->id) {
		last->leaf |= pending->leaf;
		last->combined |= pending->combined;
		last->table |= pending->table;
		return;
	}
	if (stale)
		stale->pending = c->npending;
	if (!c->pending || c->npending == c->room) {
		c->room = c->room ? c->room * 2 : 64;
		c->pending = realloc(c->pending, c->room * sizeof(*c->pending));
		if (!c->pending)
			abort();
	}
	c->pending[c->npending++] = *pending;
}

static void note(struct s2c *model, struct chk_stale *stale, unsigned int notes)
{
	stale->notes |= (uint8_t)notes;
	stale->culprit = chk_who(model);
}

static int store_visible(const struct s2c *model, const struct s2c_who *store,
			 const struct issue *issue)
{
	const struct chk_cpu *writer = &model->cpu[store->cpu];
	const struct chk_cpu *issuer = &model->cpu[issue->cpu];

	if (issue->kill->local && store->cpu == issue->cpu)
		return issuer->dsb_any > store->event;
	return writer->dsb_ish > store->event || issuer->dsb_ish > store->event;
}

/* Was the store that made it stale done, or a later one to the same entry, for a TLBI to count? */
static int visible(const struct s2c *model, const struct chk_stale *stale,
		   const struct issue *issue)
{
	const struct s2c_who *made = &stale->node->slot[stale->index].made;

	return store_visible(model, &stale->broken, issue) ||
	       (made->event > stale->broken.event && store_visible(model, made, issue));
}

/*
 * How a leaf that has become reachable for `cpus` only by way of a removed table is held back: bits
 * of CPUs that still have the pointer, unless this very invalidation takes it.
 */
static uint64_t held_back(const struct s2c *model, const struct chk_stale *stale)
{
	const struct chk_stale *via = stale->via;

	if (!chk_stale_alive(via, stale->via_id))
		return 0;
	return via->table & ~(via->struck_at == model->now ? via->struck : 0);
}

/* Which notes an invalidation by address earns that does not take this record whole. */
static unsigned int misses(const struct chk_stale *stale, const struct chk_kill *kill)
{
	unsigned int level = stale->node->level, notes = 0;

	if (kill->level != S2C_LEVEL_ANY &&
	    (stale->desc.kind == CHK_TABLE ? level <= kill->level : level != kill->level))
		notes |= CHK_NOTE_LEVEL;
	if (stale->desc.kind == CHK_TABLE && !kill->table)
		notes |= CHK_NOTE_LEAF_ONLY;
	return notes;
}

static int strike(struct s2c *model, struct chk_stale *stale, void *ctx)
{
	const struct issue *issue = ctx;
	const struct chk_kill *kill = issue->kill;
	struct chk_pending pending = { .stale = stale, .id = stale->id, .event = model->now };
	uint64_t held = held_back(model, stale);
	unsigned int missed = misses(stale, kill);

	if (!visible(model, stale, issue)) {
		note(model, stale, CHK_NOTE_EARLY);
		return 0;
	}
	stale->struck = 0;
	stale->struck_at = model->now;
	if (kill->leaf && !missed)
		pending.leaf = stale->leaf & issue->reach & ~held;
	if (kill->table && !missed)
		pending.table = stale->struck = stale->table & issue->reach & ~held;
	if (kill->combined) {
		uint64_t source = stale->leaf & ~(kill->leaf && !missed ? issue->reach : 0);

		pending.combined = stale->combined & issue->reach & ~held & ~source;
	}
	if (kill->leaf || kill->table) {
		if (missed)
			note(model, stale, missed);
		else if ((stale->leaf | stale->table) & ~issue->reach)
			note(model, stale, CHK_NOTE_LOCAL);
	} else if (kill->combined && stale->combined & ~issue->reach) {
		note(model, stale, CHK_NOTE_LOCAL);
	}
	if (pending.leaf | pending.table | pending.combined) {
		stale->issued |= pending.leaf | pending.table;
		stale->issued_combined |= pending.combined;
		pend(model, issue->cpu, &pending);
		note(model, stale, CHK_NOTE_INCOMPLETE);
	}
	return 0;
}

static void missed(struct s2c *model, unsigned int cpu, struct chk_tree *tree, unsigned int why)
{
	tree->missed_by[cpu] = chk_who(model);
	tree->missed[cpu] = (uint8_t)why;
}

/* Remembers an invalidation that may not have reached what its CPU owes, for the report's sake. */
static void near_miss(struct s2c *model, unsigned int cpu, const struct chk_vmid *vmid,
		      const struct chk_kill *kill, unsigned int nonsense)
{
	if (!nonsense && vmid && vmid->tree && kill->size)
		missed(model, cpu, vmid->tree, CHK_NOTE_RANGE);
	for (struct chk_tree *tree = model->trees; tree; tree = tree->next) {
		const struct chk_stale *stale = tree->stale;
		uint64_t gpa, size;

		if (!stale || stale->broken.cpu != cpu || (!nonsense && tree->vmid == vmid))
			continue;
		gpa = chk_slot_gpa(stale->node, stale->index);
		size = chk_size(&tree->regime, stale->node->level);
		if (nonsense)
			missed(model, cpu, tree, nonsense);
		else if (!kill->size || (gpa < kill->gpa + kill->size && kill->gpa < gpa + size))
			missed(model, cpu, tree, CHK_NOTE_VMID);
	}
}

static void strike_all(struct s2c *model, struct chk_tree *tree, struct issue *issue)
{
	const struct chk_kill *kill = issue->kill;

	if (!tree)
		return;
	if (kill->size || kill->leaf || kill->table) {
		(void)chk_each_stale(model, tree, kill->gpa, kill->size, strike, issue);
	} else {
		for (struct chk_stale *stale = tree->stale; stale; stale = stale->after)
			strike(model, stale, issue);
	}
}

void chk_tlbi(struct s2c *model, unsigned int cpu, struct chk_vmid *vmid,
	      const struct chk_kill *kill, const char *nonsense)
{
	struct issue issue = { kill, cpu, kill->local ? 1ull << cpu : ~0ull };

	model->stats.tlbis++;
	if (!(kill->leaf || kill->table || kill->combined)) {
		near_miss(model, cpu, vmid, kill, nonsense ? CHK_NOTE_OPERAND : 0);
		return;
	}
	if ((kill->leaf || kill->table) && !kill->all_vmids)
		near_miss(model, cpu, vmid, kill, 0);
	if (!kill->all_vmids) {
		strike_all(model, vmid ? vmid->tree : NULL, &issue);
	} else {
		for (struct chk_tree *tree = model->trees; tree; tree = tree->next)
			strike_all(model, tree, &issue);
	}
	if (!kill->size && kill->level == S2C_LEVEL_ANY && kill->leaf && kill->table &&
	    kill->combined) {
		struct chk_pending all = { .leaf = issue.reach,
					   .vmid = kill->all_vmids ? NULL : vmid,
					   .event = model->now };

		if (kill->all_vmids || vmid)
			pend(model, cpu, &all);
	}
}

static void cleared(struct s2c *model, struct chk_vmid *vmid, uint64_t cpus, uint64_t event)
{
	for (unsigned int i = 0; i < S2C_CPUS; i++) {
		if (cpus >> i & 1 && vmid->cleared[i] < event)
			vmid->cleared[i] = event;
	}
	if (vmid->tree && !vmid->running && cpus == ~0ull)
		chk_forgive(model, vmid->tree, CHK_CURED);
}

static void complete(struct s2c *model, const struct chk_pending *pending, uint64_t reach)
{
	struct chk_stale *stale = pending->stale;

	if (!stale) {
		for (unsigned int i = 0; !pending->vmid && i < 65536; i++) {
			if (model->vmid[i])
				cleared(model, model->vmid[i], pending->leaf & reach,
					pending->event);
		}
		if (pending->vmid)
			cleared(model, pending->vmid, pending->leaf & reach, pending->event);
		return;
	}
	if (!chk_stale_alive(stale, pending->id))
		return;
	stale->leaf &= ~(pending->leaf & reach);
	stale->table &= ~(pending->table & reach);
	stale->combined &= ~(pending->combined & reach);
	if (!((pending->leaf | pending->table | pending->combined) & ~reach))
		stale->notes &= (uint8_t)~CHK_NOTE_INCOMPLETE;
	if (!(stale->leaf | stale->table | stale->combined))
		chk_stale_drop(model, stale);
	else if (stale->kind == CHK_WIDENED && stale->combined & ~stale->leaf)
		enlist(model, stale); /* VMALLE1 looks there */
	else if (stale->kind == CHK_WIDENED)
		delist(model, stale);
}

void chk_dsb(struct s2c *model, unsigned int cpu, unsigned int op)
{
	struct chk_cpu *c = &model->cpu[cpu];
	unsigned int domain = op == S2C_SY || op == S2C_LD || op == S2C_ST ? S2C_SY : op / 3 * 3;
	unsigned int access = op >= S2C_SY ? op - S2C_SY : op % 3; /* all, loads, stores */
	uint64_t reach = domain == S2C_NSH ? 1ull << cpu : ~0ull;
	size_t kept = 0;

	model->stats.dsbs++;
	if (access == 1)
		return;
	c->dsb_any = model->now;
	if (domain != S2C_NSH) {
		c->ordered = c->dsb_ish = model->now;
		c->unpublished = 0;
	}
	if (access)
		return;
	/* A pointer before what it leads to: in the order in which they were issued. */
	for (size_t i = 0; i < c->npending; i++) {
		const struct chk_pending *pending = &c->pending[i];

		complete(model, pending, reach);
		if ((pending->leaf | pending->table | pending->combined) & ~reach)
			c->pending[kept++] = *pending;
	}
	c->npending = kept;
}
