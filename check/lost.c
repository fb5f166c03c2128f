// SPDX-License-Identifier: BSD-2-Clause
/*
 * Stores to a table that was unlinked while walkers may still come to it, by a pointer to it that
 * is cached.
 *
 * Software may do that with good reason: who found the table before it was unlinked compares and
 * swaps an entry in it a moment later. The entry is lost; nobody relies on it. But a walker can
 * still pick it up, and so it is a stale record from the beginning: reachable by way of the pointer
 * only, it goes with or after it, like all else that the pointer led to, and is in the way of the
 * same things (a page that is taken back, a new entry at its place). A table that is linked there
 * can be walked as well, and so can what is in it. If a leaf took the table's place at once
 * (FEAT_BBM), the lost one must agree with it.
 *
 * Any other store of something that looks valid is no entry: the memory has become something else.
 */
#include "model.h"

static unsigned long long ull(uint64_t value)
{
	return value;
}

static void lose(struct s2c *model, struct chk_node *node, uint64_t index, uint64_t entry,
		 uint64_t value, struct chk_stale *via);

/* Words of a table as a walker would read them now; 0 where nobody knows. */
static void read_unit(struct s2c *model, struct chk_unit *unit)
{
	const struct s2c_config *config = &model->config;

	if (!unit->node && config->read &&
	    !config->read(config->ctx, unit->pa, unit->word, sizeof(unit->word)))
		unit->known[0] = unit->known[1] = ~0ull;
}

static void lose_table(struct s2c *model, struct chk_node *node, uint64_t pa, struct chk_stale *via)
{
	struct chk_about about = { .tree = node->tree, .stale = via };
	const struct s2c_config *config = &model->config;

	for (uint64_t i = 0; i < node->n; i++) {
		struct chk_unit *unit = chk_unit_get(model, pa + i * 8);
		uint64_t value = 0;

		if (i % CHK_UNIT_WORDS == 0) {
			if (unit->via != via && chk_stale_alive(unit->via, unit->via_id))
				return; /* it can be reached already */
			read_unit(model, unit);
			if (unit->node) {
				chk_violation(model, "table-reuse", &about,
					      "table 0x%llx is linked, and again by an entry that "
					      "CPUs may still walk to",
					      ull(pa));
				return;
			}
			if (config->watch)
				config->watch(config->ctx, unit->pa & ~0xfffull, 1);
			unit->via = via;
			unit->via_id = via->id;
			unit->was = node;
			unit->first = i;
		}
		if (!chk_read_word(model, pa + i * 8, &value) && value)
			lose(model, node, i, pa + i * 8, value, via);
	}
}

/* A page is marked dirty where nobody will look: in a table that a clean leaf has replaced. */
static void lose_dirty(struct s2c *model, const struct chk_stale *stale)
{
	struct chk_about about = { .tree = stale->tree, .stale = stale, .index = stale->index };

	if (!stale->tree->regime.hd || !stale->desc.dbm || !(stale->desc.rights & S2C_W))
		return;
	for (about.node = stale->node; about.node; about.node = about.node->up) {
		struct chk_desc desc = chk_slot_desc(about.node, about.index);

		if (desc.kind == CHK_LEAF && desc.dbm && !(desc.rights & S2C_W))
			chk_violation(model, "dirty-dropped", &about,
				      "is clean, and a page of the table that it has replaced in "
				      "place was marked dirty");
		about.index = about.node->up_index;
	}
}

static void lose(struct s2c *model, struct chk_node *node, uint64_t index, uint64_t entry,
		 uint64_t value, struct chk_stale *via)
{
	struct chk_stale *stale = chk_stale_lost(model, node, index, value, via);

	if (!stale)
		return;
	stale->entry = entry;
	if (stale->desc.kind == CHK_LEAF) {
		chk_judge_lost(model, stale);
		lose_dirty(model, stale);
	}
	if (stale->desc.kind == CHK_TABLE && node->level)
		lose_table(model, chk_node_below(node, index), stale->desc.pa, stale);
}

void chk_store_elsewhere(struct s2c *model, struct chk_unit *unit, uint64_t pa, uint64_t value)
{
	struct chk_stale *via = unit->via;
	const struct chk_regime *regime = &via->tree->regime;
	const struct s2c_event *event = &model->event;
	struct chk_about about = { .tree = via->tree, .stale = via };
	struct chk_desc desc = regime->decode(regime, unit->was->level, value);

	if (desc.kind == CHK_INVALID && event->size == 3)
		return;
	if ((desc.kind == CHK_LEAF || desc.kind == CHK_TABLE) &&
	    event->flags & (S2C_ATOMIC | S2C_HARDWARE)) {
		lose(model, unit->was, unit->first + pa / 8 % CHK_UNIT_WORDS, pa, value, via);
		return;
	}
	chk_violation(model, chk_cause(via, "table-write"), &about,
		      "wrote 0x%llx into table 0x%llx, to which CPUs may still have a pointer",
		      ull(value), ull(unit->pa));
	unit->via = NULL;
}
