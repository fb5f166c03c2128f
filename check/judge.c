// SPDX-License-Identifier: BSD-2-Clause
/*
 * The rules about entries: what a change of one may be, and what a new one must not meet.
 *
 * Every word of a linked table that gets another value passes chk_change(). Invalid to valid:
 * nothing stale may be left that disagrees, here, above or below. Valid to valid: RWHZWS says what
 * may change without a break. Valid to invalid: the old entry becomes a stale record. A table that
 * comes into reach has all its entries judged as new ones.
 */
#include "model.h"

static unsigned long long ull(uint64_t value)
{
	return value;
}

static int is_valid(const struct chk_desc *desc)
{
	return desc->kind == CHK_LEAF || desc->kind == CHK_TABLE;
}

static int same_contents(const struct s2c *model, uint64_t a, uint64_t b, uint64_t size)
{
	const struct chk_map *map = &model->property[CHK_SAME];
	uint64_t end;

	for (uint64_t at = 0; at < size; at += 0x1000) {
		if (chk_map_get(map, a + at, 0x1000, &end) != b + at + 1 &&
		    chk_map_get(map, b + at, 0x1000, &end) != a + at + 1)
			return 0;
	}
	return 1;
}

static int can_write(const struct chk_regime *regime, const struct chk_desc *desc)
{
	return desc->rights & S2C_W || (regime->hd && desc->dbm);
}

/* Leaf to leaf of one size: the rule that forbids it without a break, or NULL. */
static const char *leaf_to_leaf(const struct s2c *model, const struct chk_node *node,
				const struct chk_desc *old, const struct chk_desc *new_desc)
{
	const struct chk_regime *regime = &node->tree->regime;

	if (old->pa != new_desc->pa &&
	    (can_write(regime, old) || can_write(regime, new_desc) ||
	     !same_contents(model, old->pa, new_desc->pa, chk_size(regime, node->level))))
		return "bbm-output";
	if (old->memattr != new_desc->memattr)
		return "bbm-memtype";
	if (old->sh != new_desc->sh)
		return "bbm-shareability";
	if (old->contiguous != new_desc->contiguous && !regime->bbm)
		return "bbm-contiguous";
	return NULL;
}

/* FEAT_BBM lets this size change happen in place: its parts are judged one by one. */
static int resizes(const struct chk_regime *regime, const struct chk_desc *leaf)
{
	return regime->bbm == 2 || (regime->bbm == 1 && leaf->nt);
}

/* Block to table or back, both valid. That the translation stays is seen when entries meet. */
static const char *change_size(const struct chk_regime *regime, const struct chk_desc *old,
			       const struct chk_desc *new_desc)
{
	const struct chk_desc *leaf = old->kind == CHK_LEAF ? old : new_desc;

	return resizes(regime, leaf) ? NULL : "bbm-size";
}

struct meet {
	struct chk_node *node; /* the new entry */
	uint64_t index;
	const struct chk_desc *desc;
	const struct chk_desc *was; /* what stood there until now */
};

/* Does a leaf that is cached for [gpa...) agree with a valid leaf of another size? */
static int agrees(const struct chk_regime *regime, const struct chk_stale *stale,
		  const struct meet *meet)
{
	uint64_t theirs = chk_slot_gpa(stale->node, stale->index);
	uint64_t ours = chk_slot_gpa(meet->node, meet->index);
	const struct chk_desc *a = &stale->desc, *b = meet->desc;

	if (stale->node->level != meet->node->level && regime->bbm < 2 &&
	    !(regime->bbm == 1 && (a->nt || b->nt)))
		return 0;
	return a->kind == CHK_LEAF && b->kind == CHK_LEAF && a->pa - theirs == b->pa - ours &&
	       a->memattr == b->memattr && a->sh == b->sh &&
	       (a->contiguous == b->contiguous || regime->bbm);
}

static void conflict(struct s2c *model, struct chk_stale *stale, const struct meet *meet)
{
	struct chk_about about = { .tree = meet->node->tree,
				   .node = meet->node,
				   .index = meet->index,
				   .stale = stale,
				   .value = meet->node->slot[meet->index].value };

	/* Went stale by this very event: a size was changed in place, and the rest did not stay. */
	const char *rule =
		stale->broken.event == model->now ? "bbm-size" : chk_cause(stale, "tlbi-missing");

	chk_violation(model, rule, &about,
		      "made valid at gpa 0x%llx while CPUs may still hold %s of gpa 0x%llx from "
		      "event %llu",
		      ull(chk_slot_gpa(meet->node, meet->index)),
		      stale->desc.kind == CHK_TABLE ? "a pointer to the table" : "the leaf",
		      ull(chk_slot_gpa(stale->node, stale->index)), ull(stale->made.event));
	chk_stale_drop(model, stale);
}

static int meet_below(struct s2c *model, struct chk_stale *stale, void *ctx)
{
	struct meet *meet = ctx;
	const struct chk_regime *regime = &meet->node->tree->regime;

	if (stale->kind != CHK_REMOVED || agrees(regime, stale, meet) ||
	    (stale->desc.kind == CHK_TABLE && resizes(regime, meet->desc)))
		return 0;
	conflict(model, stale, meet);
	return 0;
}

/* Are these two, at the same place, no conflict, or one that others will find? */
static int harmless(const struct s2c *model, const struct chk_stale *stale, const struct meet *meet)
{
	const struct chk_regime *regime = &meet->node->tree->regime;
	const struct chk_desc *was = &stale->desc, *is = meet->desc;

	/* No break was needed now: but is an older form cached that would have needed one? */
	if (was->kind == CHK_LEAF && is->kind == CHK_LEAF && meet->was->kind == CHK_LEAF)
		return !leaf_to_leaf(model, meet->node, was, is);
	if (was->kind == CHK_TABLE)
		return is->kind == CHK_TABLE ? was->pa == is->pa : resizes(regime, is);
	if (is->kind == CHK_TABLE)
		return resizes(regime, was);
	return agrees(regime, stale, meet);
}

/* A TLB may hold a contiguous run as one: what is stale of its other entries covers this one. */
static void meet_neighbours(struct s2c *model, struct meet *meet)
{
	const struct chk_regime *regime = &meet->node->tree->regime;
	uint64_t n = 1ull << regime->contiguous[meet->node->level];
	uint64_t first = meet->index & ~(n - 1);

	if (!meet->node->contiguous)
		return;
	for (uint64_t i = first; i < first + n && i < meet->node->n && meet->node->live; i++) {
		for (struct chk_stale *stale = meet->node->slot[i].stale, *next; stale;
		     stale = next) {
			next = stale->next;
			if (i != meet->index && stale->kind == CHK_REMOVED &&
			    stale->desc.contiguous && !agrees(regime, stale, meet))
				conflict(model, stale, meet);
		}
	}
}

/* A new entry meets what is stale at its own place, above, and (a leaf) beside and below. */
static void meet_stale(struct s2c *model, struct meet *meet)
{
	const struct chk_regime *regime = &meet->node->tree->regime;
	struct chk_stale *stale, *next;
	struct chk_node *node = meet->node;
	uint64_t index = meet->index;

	for (stale = node->slot[index].stale; stale; stale = next) {
		next = stale->next;
		if (!harmless(model, stale, meet))
			conflict(model, stale, meet);
	}
	if (meet->desc->kind != CHK_LEAF)
		return; /* its entries are judged one by one */
	for (index = node->up_index, node = node->up; node;
	     index = node->up_index, node = node->up) {
		for (stale = node->slot[index].stale; stale; stale = next) {
			next = stale->next;
			if (stale->kind == CHK_REMOVED && stale->desc.kind == CHK_LEAF &&
			    !agrees(regime, stale, meet))
				conflict(model, stale, meet);
		}
	}
	meet_neighbours(model, meet);
	(void)chk_each_below(model, meet->node, meet->index, meet_below, meet);
}

void chk_judge_lost(struct s2c *model, struct chk_stale *stale)
{
	uint64_t index = stale->index;

	for (struct chk_node *node = stale->node; node; index = node->up_index, node = node->up) {
		struct chk_desc desc = chk_slot_desc(node, index);
		struct meet meet = { node, index, &desc, NULL };
		struct chk_about about = { .tree = stale->tree,
					   .node = node,
					   .index = index,
					   .stale = stale,
					   .value = node->slot[index].value };

		if (desc.kind != CHK_LEAF || agrees(&node->tree->regime, stale, &meet))
			continue;
		chk_violation(
			model, "bbm-size", &about,
			"gpa 0x%llx has another translation in a table that the leaf here has "
			"replaced in place, and that CPUs may still walk to",
			ull(chk_slot_gpa(stale->node, stale->index)));
	}
}

/* The rules about what a leaf may lead to. */

static int uncached(const struct chk_regime *regime, const struct chk_desc *desc)
{
	return desc->memory == CHK_NC || (desc->memory == CHK_NORMAL && !regime->fwb);
}

static int all_of(const struct s2c *model, enum chk_property property, uint64_t pa, uint64_t size)
{
	uint64_t end;

	return chk_map_get(&model->property[property], pa, size, &end) && end == pa + size;
}

/* Will instruction fetches see what is there? What was written is clean to them, or coherent. */
static int fetchable(const struct s2c *model, uint64_t pa, uint64_t size)
{
	uint32_t features = model->config.cpu.features;

	if (!(features & S2C_DIC))
		return all_of(model, CHK_CLEAN_INSN, pa, size);
	return features & S2C_IDC || all_of(model, CHK_CLEAN_POU, pa, size);
}

static void judge_caches(struct s2c *model, const struct chk_about *about,
			 const struct chk_desc *desc, const struct chk_desc *old, uint64_t size)
{
	const struct chk_regime *regime = &about->tree->regime;
	unsigned int was = old->kind == CHK_LEAF && old->pa == desc->pa ? old->rights : 0;
	unsigned int exec = desc->rights & ~was & (S2C_X | S2C_XP);

	if (model->config.cpu.features & S2C_COHERENT || desc->memory == CHK_DEVICE)
		return;
	if (uncached(regime, desc) && !(old->kind == CHK_LEAF && old->pa == desc->pa) &&
	    !all_of(model, CHK_CLEAN_POC, desc->pa, size))
		chk_violation(model, "cache-data", about,
			      "mapped 0x%llx (0x%llx bytes), which was not cleaned to the point of "
			      "coherency",
			      ull(desc->pa), ull(size));
	else if (exec && !fetchable(model, desc->pa, size))
		chk_violation(model, "cache-insn", about,
			      "made 0x%llx (0x%llx bytes) executable without instruction cache "
			      "maintenance",
			      ull(desc->pa), ull(size));
}

/* The guest gets memory in which a table of this node lies. Returns whether that was said. */
static int give_table(struct s2c *model, const struct chk_about *about, const struct chk_node *node)
{
	struct chk_about both = *about;

	both.other = node->tree;
	chk_violation(model, "table-mapped", &both,
		      "gives the guest 0x%llx, which is a table of VMID %u", ull(node->table),
		      node->tree->regime.vmid);
	if (node->tree == about->tree || node->tree->vmid->running)
		return 1;
	model->reported = 0;
	chk_tree_bury(model, node->tree);
	return 0;
}

static void judge_table_mapped(struct s2c *model, const struct chk_about *about,
			       const struct chk_desc *desc, uint64_t size)
{
	if (size <= 64u << CHK_UNIT_SHIFT) {
		for (uint64_t at = 0; at < size; at += 1u << CHK_UNIT_SHIFT) {
			const struct chk_unit *unit = chk_unit_find(model, desc->pa + at);

			if (unit && unit->node && give_table(model, about, unit->node))
				return;
		}
		return;
	}
	for (struct chk_node *node = model->linked, *next; node; node = next) {
		next = node->next_linked;
		if (node->table + node->n * 8ull <= desc->pa || node->table >= desc->pa + size)
			continue;
		if (give_table(model, about, node))
			return;
		next = model->linked; /* a tree was buried: begin again */
	}
}

static void judge_page(struct s2c *model, const struct chk_about *about,
		       const struct chk_desc *desc, uint64_t size)
{
	uint64_t end, device, owner;

	chk_map_get(&model->property[CHK_TAKEN], desc->pa, size, &end);
	if (end != desc->pa + size ||
	    chk_map_get(&model->property[CHK_TAKEN], desc->pa, size, &end))
		chk_violation(model, "taken-mapped", about,
			      "leads to 0x%llx (0x%llx bytes), which was taken back", ull(desc->pa),
			      ull(size));
	device = chk_map_get(&model->property[CHK_IS_DEVICE], desc->pa, size, &end);
	if (end != desc->pa + size)
		chk_violation(model, "device-normal", about,
			      "one leaf of 0x%llx bytes at 0x%llx spans a device and other things",
			      ull(size), ull(desc->pa));
	else if (device && desc->memory != CHK_DEVICE)
		chk_violation(model, "device-normal", about,
			      "maps the device at 0x%llx as normal memory", ull(desc->pa));
	owner = chk_map_get(&model->property[CHK_OWNER], desc->pa, size, &end);
	for (uint64_t at = end;; at = end) {
		if (owner && owner != about->tree->regime.vmid + 1ull)
			chk_violation(model, "owner-mapped", about,
				      "leads to 0x%llx, which %llu owns", ull(desc->pa),
				      ull(owner - 1));
		if (at >= desc->pa + size)
			break;
		owner = chk_map_get(&model->property[CHK_OWNER], at, desc->pa + size - at, &end);
	}
	if (desc->memory == CHK_DEVICE && desc->rights & (S2C_X | S2C_XP))
		chk_violation(model, "device-exec", about, "the device at 0x%llx is executable",
			      ull(desc->pa));
}

static void judge_run(struct s2c *model, const struct chk_about *about, const struct chk_desc *desc)
{
	const struct chk_regime *regime = &about->tree->regime;
	struct chk_node *node = about->node;
	uint64_t n = regime->contiguous[node->level] ? 1ull << regime->contiguous[node->level] : 0;
	uint64_t first = n ? about->index & ~(n - 1) : 0;
	uint64_t size = chk_size(regime, node->level);

	if (!node->contiguous)
		return;
	if (desc->contiguous && n && (desc->pa - (about->index - first) * size) & (n * size - 1))
		chk_violation(model, "contiguous-run", about,
			      "0x%llx does not continue an aligned run", ull(desc->pa));
	for (uint64_t i = first; i < first + n && i < node->n; i++) {
		struct chk_desc other = chk_slot_desc(node, i);

		if (other.kind != CHK_LEAF || i == about->index ||
		    !(desc->contiguous || other.contiguous))
			continue;
		/* From FEAT_BBM level 1 the bit itself may be turned entry by entry. */
		if (other.pa - i * size != desc->pa - about->index * size ||
		    other.memattr != desc->memattr || other.sh != desc->sh ||
		    (other.contiguous != desc->contiguous && !regime->bbm)) {
			chk_violation(model, "contiguous-run", about,
				      "differs from entry %llu of the same contiguous run", ull(i));
			return;
		}
	}
}

/* A dirty leaf was here; what succeeds it must know. */
static void judge_dirty_at(struct s2c *model, const struct chk_about *about,
			   const struct chk_desc *desc, uint64_t dirty, uint64_t pa)
{
	if (dirty && dirty - 1 == pa && desc->dbm && !(desc->rights & S2C_W))
		chk_violation(model, "dirty-dropped", about,
			      "maps 0x%llx clean, which was dirty before and never logged",
			      ull(pa));
}

static void judge_dirty_below(struct s2c *model, const struct chk_about *about,
			      const struct chk_desc *desc, struct chk_node *below)
{
	uint64_t base = chk_slot_gpa(about->node, about->index);

	for (uint64_t i = 0; below && i < below->n; i++) {
		uint64_t offset = chk_slot_gpa(below, i) - base;

		judge_dirty_at(model, about, desc, below->slot[i].dirty, desc->pa + offset);
		judge_dirty_below(model, about, desc, below->slot[i].below);
		if (below->slot[i].dirty)
			below->slot[i].dirty = 0;
	}
}

static void judge_dirty(struct s2c *model, const struct chk_about *about,
			const struct chk_desc *desc)
{
	uint64_t gpa = chk_slot_gpa(about->node, about->index), index = about->index;
	struct chk_node *node = about->node;

	for (; node; index = node->up_index, node = node->up) {
		uint64_t offset = gpa - chk_slot_gpa(node, index);

		if (node->slot[index].dirty)
			judge_dirty_at(model, about, desc, node->slot[index].dirty + offset,
				       desc->pa);
	}
	judge_dirty_below(model, about, desc, about->node->slot[about->index].below);
}

int chk_is_host(const struct chk_about *about, const struct chk_desc *desc)
{
	return !about->tree->regime.vmid && desc->pa == chk_slot_gpa(about->node, about->index);
}

static void judge_leaf(struct s2c *model, struct chk_about *about, const struct chk_desc *desc,
		       const struct chk_desc *old)
{
	const struct chk_regime *regime = &about->tree->regime;
	uint64_t size = chk_size(regime, about->node->level);

	judge_page(model, about, desc, size);
	judge_run(model, about, desc);
	if (!chk_is_host(about, desc)) {
		if (old->kind != CHK_LEAF || old->pa != desc->pa)
			judge_table_mapped(model, about, desc, size);
		judge_caches(model, about, desc, old, size);
	}
	if (regime->hd)
		judge_dirty(model, about, desc);
}

/* Does it matter for the new entry what is stale? Not if only rights or the like have changed. */
static int meets(const struct chk_desc *desc, const struct chk_desc *old)
{
	return old->kind != desc->kind || old->pa != desc->pa || (old->nt && !desc->nt);
}

/* The entry is valid now and was not, or was another one. Its slot has the new value already. */
void chk_judge_made(struct s2c *model, struct chk_node *node, uint64_t index,
		    const struct chk_desc *desc, const struct chk_desc *old)
{
	struct chk_about about = {
		.tree = node->tree, .node = node, .index = index, .value = node->slot[index].value
	};
	struct meet meet = { node, index, desc, old };

	if (!is_valid(desc)) {
		chk_violation(model, desc->kind == CHK_OUTPUT ? "output-size" : "reserved", &about,
			      "%s", desc->why);
		return;
	}
	if (desc->contiguous)
		node->contiguous = 1;
	if (meets(desc, old))
		meet_stale(model, &meet);
	if (desc->kind == CHK_TABLE) {
		chk_link(model, node, index, desc);
	} else {
		chk_output_add(model, &node->tree->regime, node->level, desc->pa, 1, 0);
		judge_leaf(model, &about, desc, old);
	}
}

/* Valid to valid. Returns the rule that it breaks, or NULL. */
static const char *replace(const struct s2c *model, const struct chk_node *node,
			   const struct chk_desc *old, const struct chk_desc *new_desc)
{
	if (old->kind == CHK_TABLE && new_desc->kind == CHK_TABLE)
		return old->pa == new_desc->pa ? NULL : "bbm-table";
	if (old->kind != new_desc->kind)
		return change_size(&node->tree->regime, old, new_desc);
	return leaf_to_leaf(model, node, old, new_desc);
}

static void judge_dirty_change(struct s2c *model, const struct chk_about *about,
			       const struct chk_desc *old)
{
	const struct s2c_event *event = &model->event;

	/* While no CPU runs the guest, none writes in its name. */
	if (!about->tree->vmid->running || !about->tree->regime.hd || !old->dbm ||
	    old->rights & S2C_W || event->kind != S2C_WRITE ||
	    event->flags & (S2C_ATOMIC | S2C_HARDWARE))
		return;
	chk_violation(model, "dirty-store", about,
		      "a plain store over 0x%llx: hardware may have made it dirty in between",
		      ull(about->old));
}

/*
 * What is in the slot goes: into a stale record, if anybody may have it. Not if a rule was just
 * broken by this change (`said`): all that follows from it would be said again.
 */
static void retire(struct s2c *model, struct chk_node *node, uint64_t index,
		   const struct chk_desc *old, const struct chk_desc *new_desc, const char *said)
{
	const struct chk_regime *regime = &node->tree->regime;
	struct chk_slot *slot = &node->slot[index];
	int stays = old->kind == CHK_LEAF && new_desc->kind == CHK_LEAF && old->pa == new_desc->pa;
	struct chk_stale *stale = NULL;
	enum chk_stale_kind kind = CHK_REMOVED;
	unsigned int lost = old->rights & ~new_desc->rights;
	int stricter = old->nt < new_desc->nt || old->af > new_desc->af;

	if (regime->hd && old->dbm && !new_desc->dbm)
		lost |= S2C_W;
	if (stays && lost)
		kind = CHK_NARROWED;
	else if (stays)
		kind = CHK_WIDENED;
	if (!said && (!stays || lost || stricter || new_desc->rights & ~old->rights))
		stale = chk_stale_new(model, node, index, kind, NULL);
	/* It may have been linked here before, by a pointer that is cached still. */
	for (struct chk_stale *it = slot->stale; it && old->kind == CHK_TABLE; it = it->next) {
		if (it == stale || it->desc.kind != CHK_TABLE || it->desc.pa != old->pa)
			continue;
		if (stale)
			stale->table |= it->table;
		else
			stale = it;
	}
	if (old->kind == CHK_TABLE)
		chk_unlink(model, node, index, stale);
	else
		chk_output_add(model, regime, node->level, old->pa, -1, 0);
	if (regime->hd && old->kind == CHK_LEAF && old->dbm && old->rights & S2C_W && !stays)
		slot->dirty = old->pa + 1;
}

/* Is what may be cached of the old entry as good as what may be cached of the new one? */
static int leads_on(const struct chk_regime *regime, const struct chk_desc *old,
		    const struct chk_desc *new_desc)
{
	return is_valid(old) && old->kind == new_desc->kind && old->pa == new_desc->pa &&
	       (old->kind == CHK_TABLE || old->af || regime->ha);
}

static void change_entry(struct s2c *model, struct chk_node *node, uint64_t index, uint64_t value)
{
	struct chk_slot *slot = &node->slot[index];
	struct chk_desc old = chk_slot_desc(node, index), new_desc;
	const struct chk_regime *regime = &node->tree->regime;
	struct chk_about about = {
		.tree = node->tree, .node = node, .index = index, .old = slot->value, .value = value
	};
	const char *rule = NULL;

	new_desc = regime->decode(regime, node->level, value);
	model->stats.entries++;
	if (is_valid(&old)) {
		judge_dirty_change(model, &about, &old);
		if (is_valid(&new_desc) && chk_held(node, index))
			rule = replace(model, node, &old, &new_desc);
		if (rule)
			chk_violation(
				model, rule, &about,
				"valid entry replaced by another at gpa 0x%llx, with no break",
				ull(chk_slot_gpa(node, index)));
		if (old.kind != CHK_TABLE || new_desc.kind != CHK_TABLE || old.pa != new_desc.pa)
			retire(model, node, index, &old, &new_desc, rule);
	}
	slot->value = value;
	slot->made = chk_who(model);
	if (!leads_on(regime, &old, &new_desc))
		slot->since = model->now;
	if (new_desc.kind == CHK_INVALID)
		return;
	if (!is_valid(&old) && is_valid(&new_desc))
		model->cpu[model->event.cpu].unpublished = 1;
	if (!(old.kind == CHK_TABLE && new_desc.kind == CHK_TABLE && old.pa == new_desc.pa))
		chk_judge_made(model, node, index, &new_desc, &old);
	slot->dirty = 0;
}

void chk_change(struct s2c *model, struct chk_unit *unit, uint64_t pa, uint64_t value)
{
	struct chk_node *node = unit->node;
	uint64_t index = unit->first + pa / 8 % CHK_UNIT_WORDS;
	struct chk_about about = { .tree = node->tree, .node = node, .index = index };

	if (index >= node->n)
		return;
	if (model->event.kind == S2C_WRITE && model->event.size != 3) {
		about.old = node->slot[index].value;
		about.value = value;
		chk_violation(model, "table-write", &about,
			      "a store of %u bytes into a linked table", 1u << model->event.size);
		if (!node->tree->vmid->running) {
			chk_tree_bury(model, node->tree);
			return;
		}
	}
	if (node->slot[index].value != value)
		change_entry(model, node, index, value);
}
