// SPDX-License-Identifier: BSD-2-Clause
/*
 * Positions and pages: which memory is a table now, and where in the guest's address space.
 *
 * A node is a table's position. It is made when a table is first linked there and stays; `linked`
 * says whether there is one now. The units (1 KiB) of a linked table point to its node. Unlinking
 * turns every entry below into a stale record (cached.c) before the units are let go; those units
 * remember the record of the pointer to them, by which a walker may still come.
 *
 * Without config.read the units are the model's only memory: they hold every word ever written.
 */
#include <stdlib.h>
#include <string.h>

#include "model.h"

void *chk_alloc(size_t n, size_t size)
{
	void *memory = calloc(n, size);

	if (!memory)
		abort();
	return memory;
}

/* Memory */

static uint64_t unit_hash(const struct s2c *model, uint64_t pa)
{
	return ((pa >> CHK_UNIT_SHIFT) * 0x9e3779b97f4a7c15ull >> 20) & model->unit_mask;
}

struct chk_unit *chk_unit_find(struct s2c *model, uint64_t pa)
{
	struct chk_unit *unit;

	pa &= ~((1ull << CHK_UNIT_SHIFT) - 1);
	if (!model->unit)
		return NULL;
	for (unit = model->unit[unit_hash(model, pa)]; unit && unit->pa != pa; unit = unit->next)
		;
	return unit;
}

static void units_grow(struct s2c *model)
{
	struct chk_unit **old = model->unit;
	uint64_t n = old ? model->unit_mask + 1 : 0;

	model->unit_mask = n ? n * 4 - 1 : 1023;
	model->unit = chk_alloc(model->unit_mask + 1, sizeof(struct chk_unit *));
	for (uint64_t i = 0; i < n; i++) {
		while (old[i]) {
			struct chk_unit *unit = old[i];
			struct chk_unit **chain = &model->unit[unit_hash(model, unit->pa)];

			old[i] = unit->next;
			unit->next = *chain;
			*chain = unit;
		}
	}
	free(old);
}

struct chk_unit *chk_unit_get(struct s2c *model, uint64_t pa)
{
	struct chk_unit *unit = chk_unit_find(model, pa);
	struct chk_unit **chain;

	if (unit)
		return unit;
	if (!model->unit || model->units > model->unit_mask)
		units_grow(model);
	unit = chk_alloc(1, sizeof(*unit));
	unit->pa = pa & ~((1ull << CHK_UNIT_SHIFT) - 1);
	chain = &model->unit[unit_hash(model, unit->pa)];
	unit->next = *chain;
	*chain = unit;
	model->units++;
	return unit;
}

/* A linked unit's words are as the model was told; so are all, if nobody can be asked. */
int chk_read_word(struct s2c *model, uint64_t pa, uint64_t *value)
{
	struct chk_unit *unit = chk_unit_find(model, pa);
	unsigned int word = pa / 8 % CHK_UNIT_WORDS;

	if (!unit || !(unit->known[word / 64] >> word % 64 & 1))
		return -1;
	*value = unit->word[word];
	return 0;
}

static void watch(struct s2c *model, uint64_t pa, int on)
{
	uint64_t page = pa & ~0xfffull;

	if (!model->config.watch)
		return;
	for (uint64_t at = page; !on && at < page + 0x1000; at += 1u << CHK_UNIT_SHIFT) {
		const struct chk_unit *unit = chk_unit_find(model, at);

		if (unit && (unit->node || chk_stale_alive(unit->via, unit->via_id)))
			return;
	}
	model->config.watch(model->config.ctx, page, on);
}

void chk_unwatch(struct s2c *model, uint64_t pa)
{
	watch(model, pa, 0);
}

/* Positions */

uint64_t chk_slot_gpa(const struct chk_node *node, uint64_t index)
{
	return node->gpa + (index << chk_shift(&node->tree->regime, node->level));
}

struct chk_desc chk_slot_desc(const struct chk_node *node, uint64_t index)
{
	const struct chk_regime *regime = &node->tree->regime;

	return regime->decode(regime, node->level, node->slot[index].value);
}

int chk_place(struct s2c *model, uint64_t pa, uint64_t *gpa, unsigned int *level)
{
	const struct chk_unit *unit = chk_unit_find(model, pa);

	if (!unit || !unit->node)
		return 0;
	*gpa = chk_slot_gpa(unit->node, unit->first + pa / 8 % CHK_UNIT_WORDS);
	*level = unit->node->level;
	return 1;
}

static struct chk_node *node_new(struct chk_tree *tree, struct chk_node *up, uint64_t up_index,
				 unsigned int level)
{
	uint64_t n = chk_entries(&tree->regime, level);
	struct chk_node *node = chk_alloc(1, sizeof(*node) + n * sizeof(struct chk_slot));

	node->tree = tree;
	node->up = up;
	node->up_index = up_index;
	node->level = (uint8_t)level;
	node->n = (uint32_t)n;
	if (up)
		node->gpa = chk_slot_gpa(up, up_index);
	return node;
}

struct chk_node *chk_node_below(struct chk_node *node, uint64_t index)
{
	struct chk_slot *slot = &node->slot[index];

	if (!slot->below)
		slot->below = node_new(node->tree, node, index, node->level - 1u);
	return slot->below;
}

static void node_free(struct chk_node *node)
{
	for (uint64_t i = 0; i < node->n; i++) {
		if (node->slot[i].below)
			node_free(node->slot[i].below);
	}
	free(node);
}

/* Linking */

/*
 * May the page be a table here? Not if it is one elsewhere, or may still be reached there. If
 * nobody runs the tree that had it, that one may have been torn down: time will tell, and the page
 * is ours.
 */
static int refused(struct s2c *model, struct chk_unit *unit, const struct chk_about *about)
{
	struct chk_about both = *about;
	const char *how = "linked already";

	if (unit->node) {
		both.other = unit->node->tree;
	} else if (unit->via && chk_stale_alive(unit->via, unit->via_id) &&
		   (unit->via->node != about->node || unit->via->index != about->index)) {
		both.other = unit->via->tree;
		both.stale = unit->via;
		how = "which may still be reached where it was linked before";
	} else {
		return 0;
	}
	chk_violation(model, "table-reuse", &both, "linked table 0x%llx, %s",
		      (unsigned long long)unit->pa, how);
	if (both.other == about->tree || both.other->vmid->running)
		return 1;
	model->reported = 0;
	if (unit->node)
		chk_tree_bury(model, both.other);
	return 0;
}

static void check_contents(struct s2c *model, const struct chk_unit *unit,
			   const struct chk_about *about)
{
	const struct chk_cpu *writer = &model->cpu[unit->written.cpu];

	if (model->config.read)
		return;
	if (~unit->known[0] || ~unit->known[1])
		chk_violation(model, "table-unfilled", about,
			      "linked table 0x%llx, of which not all words were written",
			      (unsigned long long)unit->pa);
	else if (unit->written.event && unit->written.cpu == model->event.cpu &&
		 unit->written.event > writer->ordered &&
		 !(model->event.kind == S2C_WRITE && model->event.flags & S2C_RELEASE))
		chk_violation(model, "table-order", about,
			      "linked table 0x%llx by a plain store, with no barrier after event "
			      "%llu filled it",
			      (unsigned long long)unit->pa,
			      (unsigned long long)unit->written.event);
}

/* Makes the unit part of the node's table and reads it. */
static int adopt(struct s2c *model, struct chk_node *node, uint64_t pa, uint64_t first)
{
	struct chk_unit *unit = chk_unit_get(model, pa);
	struct chk_about about = { .tree = node->tree, .node = node->up, .index = node->up_index };

	if (refused(model, unit, &about))
		return -1;
	if (model->config.read) {
		if (model->config.read(model->config.ctx, unit->pa, unit->word,
				       sizeof(unit->word))) {
			chk_violation(model, "output-size", &about,
				      "table at 0x%llx, where no memory is",
				      (unsigned long long)pa);
			return -1;
		}
		unit->known[0] = unit->known[1] = ~0ull;
	} else if (node->up) {
		check_contents(model, unit, &about);
	}
	unit->node = node;
	unit->first = first - (pa - unit->pa) / 8; /* a small root may begin within */
	unit->via = NULL;
	unit->written = (struct s2c_who){ 0 };
	return 0;
}

/* Entries of the table come into reach one by one. */
static void link_entries(struct s2c *model, struct chk_node *node)
{
	static const struct chk_desc nothing = { .kind = CHK_INVALID };
	struct s2c_who who = chk_who(model);

	for (uint64_t i = 0; i < node->n; i++) {
		struct chk_slot *slot = &node->slot[i];
		uint64_t value = 0;
		struct chk_desc desc;

		(void)chk_read_word(model, node->table + i * 8, &value);
		slot->value = value;
		slot->made = who;
		slot->since = model->now;
		if (!value)
			continue;
		desc = chk_slot_desc(node, i);
		if (desc.kind != CHK_INVALID)
			chk_judge_made(model, node, i, &desc, &nothing);
	}
}

static int link_at(struct s2c *model, struct chk_node *node, uint64_t pa)
{
	uint64_t bytes = node->n * 8ull, done = 0;

	for (; done < bytes; done += 1u << CHK_UNIT_SHIFT) {
		if (adopt(model, node, pa + done, done / 8))
			break;
		watch(model, pa + done, 1);
	}
	if (done < bytes) {
		while (done) {
			done -= 1u << CHK_UNIT_SHIFT;
			chk_unit_get(model, pa + done)->node = NULL;
			watch(model, pa + done, 0);
		}
		return -1;
	}
	node->table = pa;
	node->linked = 1;
	node->next_linked = model->linked;
	node->prev_linked = NULL;
	if (model->linked)
		model->linked->prev_linked = node;
	model->linked = node;
	model->stats.tables++;
	chk_table_page(model, node, bytes);
	link_entries(model, node);
	return 0;
}

void chk_link(struct s2c *model, struct chk_node *node, uint64_t index, const struct chk_desc *desc)
{
	struct chk_node *below;

	if (!node->level)
		return;
	if (!node->slot[index].below) { /* do not make a position for nothing */
		struct chk_about about = { .tree = node->tree, .node = node, .index = index };

		if (refused(model, chk_unit_get(model, desc->pa), &about))
			return;
	}
	below = chk_node_below(node, index);
	if (!below->linked)
		(void)link_at(model, below, desc->pa);
}

/* Unlinking */

static void forget_units(struct s2c *model, struct chk_node *node, struct chk_stale *via)
{
	for (uint64_t done = 0; done < node->n * 8ull; done += 1u << CHK_UNIT_SHIFT) {
		struct chk_unit *unit = chk_unit_find(model, node->table + done);

		if (!unit || unit->node != node)
			continue;
		unit->node = NULL;
		unit->was = node;
		unit->via = via;
		unit->via_id = via ? via->id : 0;
		if (!via)
			watch(model, unit->pa, 0);
	}
	node->linked = 0;
	if (node->prev_linked)
		node->prev_linked->next_linked = node->next_linked;
	else
		model->linked = node->next_linked;
	if (node->next_linked)
		node->next_linked->prev_linked = node->prev_linked;
	model->stats.tables--;
}

static void unlink_node(struct s2c *model, struct chk_node *node, struct chk_stale *via)
{
	const struct chk_regime *regime = &node->tree->regime;

	for (uint64_t i = 0; i < node->n; i++) {
		struct chk_slot *slot = &node->slot[i];
		struct chk_stale *stale;
		struct chk_desc desc;

		if (!slot->value)
			continue;
		desc = chk_slot_desc(node, i);
		stale = desc.kind == CHK_LEAF || desc.kind == CHK_TABLE
				? chk_stale_new(model, node, i, CHK_REMOVED, via)
				: NULL;
		if (desc.kind == CHK_LEAF) {
			chk_output_add(model, regime, node->level, desc.pa, -1, 0);
			if (regime->hd && desc.dbm && desc.rights & S2C_W)
				slot->dirty = desc.pa + 1;
		}
		if (desc.kind == CHK_TABLE && slot->below && slot->below->linked)
			unlink_node(model, slot->below, stale ? stale : via);
		slot->value = 0;
	}
	forget_units(model, node, via);
}

void chk_unlink(struct s2c *model, struct chk_node *node, uint64_t index, struct chk_stale *via)
{
	struct chk_node *below = node->slot[index].below;

	if (below && below->linked)
		unlink_node(model, below, via);
}

/* Trees */

static void bury_node(struct s2c *model, struct chk_node *node)
{
	for (uint64_t i = 0; i < node->n; i++) {
		struct chk_slot *slot = &node->slot[i];
		struct chk_desc desc;

		if (node->linked && slot->value) {
			desc = chk_slot_desc(node, i);
			if (desc.kind == CHK_LEAF)
				chk_output_add(model, &node->tree->regime, node->level, desc.pa, -1,
					       0);
		}
		slot->value = 0;
		slot->dirty = 0;
		if (slot->below)
			bury_node(model, slot->below);
	}
	if (node->linked)
		forget_units(model, node, NULL);
}

void chk_tree_bury(struct s2c *model, struct chk_tree *tree)
{
	chk_stale_drop_all(model, tree);
	bury_node(model, tree->root);
	tree->dead = 1;
}

void chk_tree_revive(struct s2c *model, struct chk_tree *tree)
{
	tree->dead = 0;
	(void)link_at(model, tree->root, tree->regime.root);
}

void chk_tree_free(struct s2c *model, struct chk_tree *tree)
{
	struct chk_tree **at = &model->trees;

	chk_tree_bury(model, tree);
	while (*at != tree)
		at = &(*at)->next;
	*at = tree->next;
	if (tree->vmid && tree->vmid->tree == tree)
		tree->vmid->tree = NULL;
	chk_forgive(model, tree, CHK_GONE);
	node_free(tree->root);
	free(tree);
}

struct chk_tree *chk_tree_get(struct s2c *model, const struct chk_regime *regime)
{
	struct chk_tree *tree;

	for (tree = model->trees; tree && tree->regime.root != regime->root; tree = tree->next)
		;
	if (tree)
		return tree;
	tree = chk_alloc(1, sizeof(*tree));
	tree->regime = *regime;
	tree->root = node_new(tree, NULL, 0, regime->top);
	tree->dead = 1; /* until it is linked: the caller has a VMID for it first */
	tree->next = model->trees;
	model->trees = tree;
	model->stats.trees++;
	return tree;
}
