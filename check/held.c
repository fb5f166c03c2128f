// SPDX-License-Identifier: BSD-2-Clause
/*
 * What TLBs may hold, for whoever asks: the entries that stand in the tables and the records of
 * those that stood there before, by address.
 *
 * It goes through the positions from the root down: at each what stands there now, then the records
 * of what stood there (the newest first), then what lies below. Where it is, is in the asker's own
 * struct, as pointers into the model: so the next event ends it.
 *
 * It changes nothing, and judges nothing: what is wrong about an old entry is a rule's business.
 */
#include "model.h"

/* Where it is at a position. */
enum stage {
	HERE,   /* ... at what stands there */
	BEFORE, /* ... at what stood there before */
};

static uint64_t first_index(const struct chk_node *node, uint64_t gpa)
{
	return gpa <= node->gpa ? 0
				: (gpa - node->gpa) >> chk_shift(&node->tree->regime, node->level);
}

static void enter(struct s2c_held_walk *walk, const struct chk_node *node)
{
	walk->node = node;
	walk->index = first_index(node, walk->gpa);
	walk->stage = HERE;
}

int s2c_held_begin(struct s2c *model, unsigned int vmid, uint64_t gpa, uint64_t size,
		   unsigned int which, struct s2c_held_walk *walk)
{
	struct chk_tree *tree = vmid < 65536 && model->vmid[vmid] ? model->vmid[vmid]->tree : NULL;

	*walk = (struct s2c_held_walk){ .model = model };
	if (!tree || gpa >> tree->regime.ipa_bits || !size || gpa + (size - 1) < gpa)
		return -1;
	walk->event = model->now;
	walk->gpa = gpa;
	walk->last = gpa + (size - 1);
	walk->which = which;
	enter(walk, tree->root);
	return 0;
}

static int stands(const struct s2c_held_walk *walk, const struct chk_node *node, uint64_t index,
		  struct s2c_held *held)
{
	struct chk_desc desc = chk_slot_desc(node, index);
	uint64_t cpus;

	if (!(walk->which & S2C_HELD_NOW) || (desc.kind != CHK_LEAF && desc.kind != CHK_TABLE))
		return 0;
	cpus = chk_held(node, index);
	if (!cpus)
		return 0;
	*held = (struct s2c_held){ .entry = node->table + index * 8,
				   .value = node->slot[index].value,
				   .pa = desc.pa,
				   .made = node->slot[index].made,
				   .kind = S2C_HELD_NOW,
				   .is_table = desc.kind == CHK_TABLE,
				   .rights = desc.rights,
				   .memattr = desc.memattr };
	held->leaf = held->combined = held->is_table ? 0 : cpus;
	held->table = held->is_table ? cpus : 0;
	return 1;
}

static int stood(const struct s2c_held_walk *walk, const struct chk_stale *stale,
		 struct s2c_held *held)
{
	static const uint8_t kinds[] = { [CHK_REMOVED] = S2C_HELD_GONE,
					 [CHK_NARROWED] = S2C_HELD_NARROWED,
					 [CHK_WIDENED] = S2C_HELD_WIDENED };

	if (!(walk->which & kinds[stale->kind]))
		return 0;
	*held = (struct s2c_held){ .entry = stale->entry,
				   .value = stale->value,
				   .pa = stale->desc.pa,
				   .leaf = stale->leaf,
				   .combined = stale->combined,
				   .table = stale->table,
				   .issued = (stale->leaf | stale->table) & stale->issued,
				   .issued_combined = stale->combined & stale->issued_combined,
				   .made = stale->made,
				   .broken = stale->broken,
				   .kind = kinds[stale->kind],
				   .is_table = stale->desc.kind == CHK_TABLE,
				   .rights = stale->desc.rights,
				   .memattr = stale->desc.memattr };
	return 1;
}

/* Is there anything below this slot to look at? */
static const struct chk_node *deeper(const struct s2c_held_walk *walk, const struct chk_node *below)
{
	if (below && ((walk->which & S2C_HELD_OLD && below->live) ||
		      (walk->which & S2C_HELD_NOW && below->linked)))
		return below;
	return NULL;
}

/* The next thing at this position itself. Returns 0: that was all. */
static int look(struct s2c_held_walk *walk, const struct chk_node *node, struct s2c_held *held)
{
	const struct chk_slot *slot = &node->slot[walk->index];
	const struct chk_stale *stale;

	if (walk->stage == HERE) {
		walk->stage = BEFORE;
		walk->stale = slot->stale;
		if (stands(walk, node, walk->index, held))
			return 1;
	}
	while ((stale = walk->stale)) {
		walk->stale = stale->next;
		if (stood(walk, stale, held))
			return 1;
	}
	return 0;
}

int s2c_held_next(struct s2c_held_walk *walk, struct s2c_held *held)
{
	const struct chk_node *node, *below;

	if (walk->node && walk->event != walk->model->now)
		return -1;
	while ((node = walk->node)) {
		uint64_t gpa = chk_slot_gpa(node, walk->index);

		if (walk->index >= node->n || gpa > walk->last) {
			walk->node = node->up;
			walk->index = node->up_index + 1;
			walk->stage = HERE;
			continue;
		}
		if (look(walk, node, held)) {
			held->gpa = gpa;
			held->size = chk_size(&node->tree->regime, node->level);
			held->level = node->level;
			return 1;
		}
		below = deeper(walk, node->slot[walk->index].below);
		if (below) {
			enter(walk, below);
		} else {
			walk->index++;
			walk->stage = HERE;
		}
	}
	return 0;
}
