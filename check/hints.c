// SPDX-License-Identifier: BSD-2-Clause
/*
 * What software says of itself, held against the model: memory given and taken, operations that are
 * over, logs that are read, owners. A hint about a VMID that never ran is about nothing.
 */
#include <stdio.h>

#include "model.h"

static unsigned long long ull(uint64_t value)
{
	return value;
}

static void say_stale(struct s2c *model, struct chk_stale *stale, struct chk_tree *other,
		      const char *missing, const char *what)
{
	struct chk_about about = { .tree = stale->tree,
				   .other = other,
				   .node = stale->node,
				   .index = stale->index,
				   .stale = stale,
				   .old = stale->value,
				   .value = stale->node->slot[stale->index].value };

	chk_violation(model, chk_cause(stale, missing), &about,
		      "%s, but CPUs may still hold %s of gpa 0x%llx from event %llu", what,
		      stale->desc.kind == CHK_TABLE ? "a pointer to the table" : "the old leaf",
		      ull(chk_slot_gpa(stale->node, stale->index)), ull(stale->made.event));
}

/* Leaves that are valid now, in a range */

typedef void leaf_fn(struct s2c *model, const struct chk_about *about, const struct chk_desc *desc);

static void each_leaf(struct s2c *model, struct chk_node *node, uint64_t gpa, uint64_t last,
		      leaf_fn *fn)
{
	unsigned int shift = chk_shift(&node->tree->regime, node->level);
	uint64_t from = gpa <= node->gpa ? 0 : (gpa - node->gpa) >> shift;
	uint64_t to = (last - node->gpa) >> shift;

	for (uint64_t i = from; node->linked && i <= to && i < node->n; i++) {
		struct chk_about about = {
			.tree = node->tree,
			.node = node,
			.index = i,
			.value = node->slot[i].value,
		};
		struct chk_desc desc;

		if (!about.value)
			continue;
		desc = chk_slot_desc(node, i);
		if (desc.kind == CHK_TABLE && node->slot[i].below)
			each_leaf(model, node->slot[i].below, gpa, last, fn);
		else if (desc.kind == CHK_LEAF)
			fn(model, &about, &desc);
	}
}

static void not_empty(struct s2c *model, const struct chk_about *about, const struct chk_desc *desc)
{
	chk_violation(model, "empty-mapped", about, "gpa 0x%llx is still mapped, to 0x%llx",
		      ull(chk_slot_gpa(about->node, about->index)), ull(desc->pa));
}

static void not_clean(struct s2c *model, const struct chk_about *about, const struct chk_desc *desc)
{
	if (desc->rights & S2C_W)
		chk_violation(model, "harvest-writable", about,
			      "gpa 0x%llx can be written without a trace",
			      ull(chk_slot_gpa(about->node, about->index)));
}

/* The log was read: what leaves knew that are gone by now was its matter, too. */
static void forget_dirty(struct chk_node *node, uint64_t gpa, uint64_t last)
{
	unsigned int shift = chk_shift(&node->tree->regime, node->level);
	uint64_t from = gpa <= node->gpa ? 0 : (gpa - node->gpa) >> shift;
	uint64_t to = (last - node->gpa) >> shift;

	for (uint64_t i = from; i <= to && i < node->n; i++) {
		node->slot[i].dirty = 0;
		if (node->slot[i].below)
			forget_dirty(node->slot[i].below, gpa, last);
	}
}

/* Stale records, in a range */

struct ask {
	const struct s2c_event *event;
	const char *missing, *what;
};

/* What is cached is what stands there now: it was put back, or its rights were. */
static int restored(const struct chk_stale *stale)
{
	struct chk_desc now = chk_slot_desc(stale->node, stale->index);
	const struct chk_desc *was = &stale->desc;

	return stale->node->linked && now.kind == was->kind && now.pa == was->pa &&
	       now.memattr == was->memattr && now.sh == was->sh &&
	       now.contiguous == was->contiguous && now.af >= was->af && now.dbm >= was->dbm &&
	       !(was->rights & ~now.rights);
}

static int owed(struct s2c *model, struct chk_stale *stale, void *ctx)
{
	const struct ask *ask = ctx;
	struct chk_desc now = chk_slot_desc(stale->node, stale->index);
	/* Without its access flag an entry is in no TLB, when all is done. */
	int aged = now.kind == CHK_LEAF && !now.af && stale->desc.af;

	if ((stale->kind != CHK_WIDENED || aged) && !restored(stale)) {
		say_stale(model, stale, NULL, ask->missing, ask->what);
		chk_stale_drop(model, stale);
	}
	return 0;
}

/*
 * A pointer to a table alone translates nothing; it may be another's who invalidates here, too, and
 * has not flushed yet. It is what is owed if a leaf can still be reached through it.
 */
static int translates(struct s2c *model, struct chk_stale *stale, void *ctx)
{
	const struct ask *ask = ctx;

	if (stale->desc.kind == CHK_TABLE)
		return 0;
	if (!chk_stale_alive(stale->via, stale->via_id))
		return owed(model, stale, ctx);
	say_stale(model, stale->via, NULL, ask->missing, ask->what);
	chk_stale_drop(model, stale);
	return 0;
}

/* Rights that are gone but cached: of a removed entry all, of a narrowed one the difference. */
static int writes(struct s2c *model, struct chk_stale *stale, void *ctx)
{
	const struct ask *ask = ctx;

	if (stale->desc.kind == CHK_LEAF &&
	    (stale->desc.rights & S2C_W || (stale->tree->regime.hd && stale->desc.dbm))) {
		say_stale(model, stale, NULL, ask->missing, ask->what);
		chk_stale_drop(model, stale);
	}
	return 0;
}

/* Do the tables grant any of these rights in [gpa, last], which this leaf does not have? */
static int grants(struct s2c *model, const struct chk_stale *stale, uint64_t gpa, uint64_t last,
		  unsigned int rights)
{
	const struct chk_regime *regime = &stale->tree->regime;
	struct s2c_leaf leaf;

	while (!s2c_translate(model, regime->vmid, gpa, &leaf)) {
		if (leaf.mapped && leaf.rights & rights & ~stale->desc.rights)
			return 1;
		gpa |= chk_size(regime, leaf.level) - 1;
		if (gpa >= last)
			break;
		gpa++;
	}
	return 0;
}

/* A leaf in this CPU's TLB denies what it was given, be it of the size that stands there now or
 * not. */
static int denies(struct s2c *model, struct chk_stale *stale, void *ctx)
{
	const struct ask *ask = ctx;
	unsigned int asked = ask->event->op & ~(model->config.cpu.features & S2C_XNX ? 0u : S2C_XP);
	uint64_t gpa = chk_slot_gpa(stale->node, stale->index), from = ask->event->address;
	uint64_t last = gpa + (chk_size(&stale->tree->regime, stale->node->level) - 1);
	uint64_t to = from + (ask->event->value - 1);

	if (stale->desc.kind == CHK_LEAF &&
	    (stale->leaf | stale->combined) >> ask->event->cpu & 1 &&
	    grants(model, stale, from > gpa ? from : gpa, to < last ? to : last, asked)) {
		stale->notes &= (uint8_t)~CHK_NOTE_LOCAL; /* on this CPU it would have done */
		say_stale(model, stale, NULL, ask->missing, ask->what);
		chk_stale_drop(model, stale);
	}
	return 0;
}

static int range_hint(struct s2c *model, const struct s2c_event *event)
{
	struct chk_vmid *vmid = model->vmid[event->id];
	struct chk_tree *tree = vmid ? vmid->tree : NULL;
	struct chk_about about = { .tree = tree };
	struct ask ask = { event, "tlbi-missing", "the operation is done" };
	uint64_t gpa = event->address, last = gpa + (event->value - 1);
	chk_stale_fn *fn = owed;

	if (!tree || gpa >> tree->regime.ipa_bits)
		return 0;
	switch (event->kind) {
	case S2C_EMPTY:
		each_leaf(model, tree->root, gpa, last, not_empty);
		fn = translates;
		ask.what = "the range is empty";
		break;
	case S2C_LOCAL:
		fn = denies;
		ask.missing = "local-stale";
		ask.what = "this CPU was given rights";
		break;
	case S2C_HARVEST:
		each_leaf(model, tree->root, gpa, last, not_clean);
		forget_dirty(tree->root, gpa, last);
		fn = writes;
		ask.missing = "dirty-stale";
		ask.what = "the dirty log was read";
		break;
	default:
		if (model->cpu[event->cpu].unpublished)
			chk_violation(model, "publish-missing", &about,
				      "the operation is done, and no DSB followed its stores");
		model->cpu[event->cpu].unpublished = 0;
	}
	(void)chk_each_stale(model, tree, gpa, event->value, fn, &ask);
	return 0;
}

void chk_owed_at_run(struct s2c *model, struct chk_tree *tree, unsigned int cpu)
{
	struct chk_stale *stale, *next;

	for (stale = tree->stale; stale; stale = next) {
		next = stale->after;
		if (stale->kind != CHK_REMOVED || stale->broken.cpu != cpu || restored(stale))
			continue;
		say_stale(model, stale, NULL, "tlbi-missing", "the guest is entered");
		chk_stale_drop(model, stale);
	}
}

/* Pages */

struct find {
	uint64_t pa, size;
	const char *rule;   /* for leaves that are valid ... */
	const char *cached; /* ... and for those that are stale */
	const char *what;
	struct chk_tree *other; /* whose table it is now; or NULL */
};

static int stale_to(struct s2c *model, struct chk_stale *stale, void *ctx)
{
	const struct find *find = ctx;
	uint64_t size = chk_size(&stale->tree->regime, stale->node->level);

	if (stale->kind == CHK_REMOVED && stale->desc.kind == CHK_LEAF &&
	    stale->desc.pa < find->pa + find->size && find->pa < stale->desc.pa + size) {
		say_stale(model, stale, find->other, find->cached, find->what);
		chk_stale_drop(model, stale);
	}
	return 0;
}

static int leaf_to(struct s2c *model, struct chk_node *node, const struct find *find)
{
	uint64_t size = chk_size(&node->tree->regime, node->level);

	for (uint64_t i = 0; node->linked && i < node->n; i++) {
		struct chk_about about = {
			.tree = node->tree, .node = node, .index = i, .value = node->slot[i].value
		};
		struct chk_desc desc;

		if (!about.value)
			continue;
		desc = chk_slot_desc(node, i);
		if (desc.kind == CHK_TABLE && node->slot[i].below &&
		    leaf_to(model, node->slot[i].below, find))
			return 1;
		if (desc.kind == CHK_LEAF && desc.pa < find->pa + find->size &&
		    find->pa < desc.pa + size && !(find->other && chk_is_host(&about, &desc))) {
			chk_violation(model, find->rule, &about,
				      "gpa 0x%llx still leads to 0x%llx (0x%llx bytes), and %s",
				      ull(chk_slot_gpa(node, i)), ull(find->pa), ull(find->size),
				      find->what);
			return 1;
		}
	}
	return 0;
}

static void on_take(struct s2c *model, const struct s2c_event *event)
{
	struct find find = { event->address,
			     event->value,
			     "taken-mapped",
			     "taken-cached",
			     "its page was taken back",
			     NULL };

	for (struct chk_tree *tree = model->trees;
	     tree && chk_output_any(model, find.pa, find.size, CHK_VALID); tree = tree->next) {
		if (leaf_to(model, tree->root, &find))
			break;
	}
	for (struct chk_tree *tree = model->trees;
	     tree && chk_output_any(model, find.pa, find.size, CHK_STALE); tree = tree->next)
		(void)chk_each_stale(model, tree, 0, 0, stale_to, &find);
	chk_map_set(&model->property[CHK_TAKEN], find.pa, find.size, 1);
}

/* A tree that nobody runs and that maps what is a table now: has it been torn down? */
void chk_table_page(struct s2c *model, const struct chk_node *node, uint64_t size)
{
	uint64_t pa = node->table;
	struct find find = {
		pa, size, "table-mapped", "table-mapped", "its page is a table now", node->tree
	};
	struct chk_tree *tree;

	for (tree = model->trees; tree && chk_output_any(model, pa, size, CHK_VALID);
	     tree = tree->next) {
		if (!leaf_to(model, tree->root, &find) || tree->vmid->running || tree == node->tree)
			continue;
		model->reported = 0;
		chk_tree_bury(model, tree);
	}
	for (tree = model->trees; tree && chk_output_any(model, pa, size, CHK_STALE);
	     tree = tree->next)
		(void)chk_each_stale(model, tree, 0, 0, stale_to, &find);
}

/* ALLOC and FREE: its contents are nobody's, and no walker may be interested. */
static void renounce(struct s2c *model, const struct s2c_event *event, struct chk_unit *unit)
{
	const char *what = event->kind == S2C_FREE ? "gave back" : "handed out";
	struct chk_about about = { 0 };

	if (unit->node) {
		about = (struct chk_about){ .tree = unit->node->tree,
					    .node = unit->node->up,
					    .index = unit->node->up_index };
		chk_violation(model, "table-free", &about, "%s table 0x%llx, which is linked", what,
			      ull(unit->pa));
	} else if (chk_stale_alive(unit->via, unit->via_id)) {
		about = (struct chk_about){ .tree = unit->via->tree, .stale = unit->via };
		chk_violation(model, chk_cause(unit->via, "table-free"), &about,
			      "%s table 0x%llx, to which CPUs may still have a pointer", what,
			      ull(unit->pa));
		unit->via = NULL;
	}
	unit->known[0] = unit->known[1] = 0;
}

static void on_table_memory(struct s2c *model, const struct s2c_event *event)
{
	uint64_t first = event->address >> CHK_UNIT_SHIFT;
	uint64_t last = (event->address + (event->value - 1)) >> CHK_UNIT_SHIFT;

	/* Whatever is smaller: the range, or what is known. */
	for (uint64_t i = first; last - first < model->units && i <= last; i++) {
		struct chk_unit *unit = chk_unit_find(model, i << CHK_UNIT_SHIFT);

		if (unit)
			renounce(model, event, unit);
	}
	for (uint64_t i = 0; last - first >= model->units && model->unit && i <= model->unit_mask;
	     i++) {
		for (struct chk_unit *unit = model->unit[i]; unit; unit = unit->next) {
			if (unit->pa >> CHK_UNIT_SHIFT >= first &&
			    unit->pa >> CHK_UNIT_SHIFT <= last)
				renounce(model, event, unit);
		}
	}
}

static void on_owner(struct s2c *model, const struct s2c_event *event)
{
	struct chk_map *map = &model->property[CHK_OWNER];
	struct chk_about about = { 0 };
	uint64_t end, at = event->address, stop = at + event->value;

	for (; at < stop; at = end) {
		uint64_t owner = chk_map_get(map, at, stop - at, &end);

		if (event->kind == S2C_OWN && owner && owner != event->id + 1ull)
			chk_violation(model, "owner-double", &about,
				      "0x%llx is given to %u, but %llu owns it", ull(at), event->id,
				      ull(owner - 1));
		if (event->kind == S2C_DISOWN && owner != event->id + 1ull)
			chk_violation(model, "owner-foreign", &about,
				      "%u gives up 0x%llx, which is not its own", event->id,
				      ull(at));
	}
	chk_map_set(map, event->address, event->value,
		    event->kind == S2C_OWN ? event->id + 1ull : 0);
}

static void on_wrote(struct s2c *model, const struct s2c_event *event)
{
	chk_map_set(&model->property[CHK_CLEAN_POC], event->address, event->value, 0);
	chk_map_set(&model->property[CHK_CLEAN_POU], event->address, event->value, 0);
	chk_map_set(&model->property[CHK_CLEAN_INSN], event->address, event->value, 0);
}

int chk_hint(struct s2c *model, const struct s2c_event *event)
{
	uint64_t pa = event->address, bytes = event->value;

	if (event->kind == S2C_SAME) {
		chk_map_set(&model->property[CHK_SAME], pa & ~0xfffull, 0x1000,
			    (bytes & ~0xfffull) + 1);
		return 0;
	}
	if (!bytes || pa >> 56 || bytes >> 56) {
		snprintf(model->error, sizeof(model->error),
			 "no range of addresses: 0x%llx bytes at 0x%llx", ull(bytes), ull(pa));
		return -1;
	}
	switch (event->kind) {
	case S2C_ALLOC:
	case S2C_FREE:
		on_table_memory(model, event);
		break;
	case S2C_TAKE:
		on_take(model, event);
		break;
	case S2C_GIVE:
		chk_map_set(&model->property[CHK_TAKEN], pa, bytes, 0);
		break;
	case S2C_WROTE:
		on_wrote(model, event);
		break;
	case S2C_DEVICE:
		chk_map_set(&model->property[CHK_IS_DEVICE], pa, bytes, 1);
		break;
	case S2C_OWN:
	case S2C_DISOWN:
		on_owner(model, event);
		break;
	default:
		return range_hint(model, event);
	}
	return 0;
}
