// SPDX-License-Identifier: BSD-2-Clause
/*
 * The model's outside: its life, its events, and which CPU runs which tree.
 *
 * Registers are only remembered when they are written; what they mean is found out when a CPU
 * enters the guest, or issues a TLBI. That is also where trees come from: a root is known when it
 * is first run, and its tables are read then.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

#define HCR_VM  (1ull << 0)
#define HCR_DC  (1ull << 12) /* makes VM behave as 1 */
#define HCR_TGE (1ull << 27)
#define HCR_E2H (1ull << 34)

struct s2c *s2c_new(const struct s2c_config *config)
{
	struct s2c *model = calloc(1, sizeof(*model));

	if (model)
		model->config = *config;
	return model;
}

void s2c_free(struct s2c *model)
{
	if (!model)
		return;
	model->config.watch = NULL;
	while (model->trees)
		chk_tree_free(model, model->trees);
	for (uint64_t i = 0; model->unit && i <= model->unit_mask; i++) {
		while (model->unit[i]) {
			struct chk_unit *unit = model->unit[i];

			model->unit[i] = unit->next;
			free(unit);
		}
	}
	for (unsigned int i = 0; i < S2C_CPUS; i++)
		free(model->cpu[i].pending);
	for (unsigned int i = 0; model->nvmids; i++) {
		model->nvmids -= model->vmid[i] != NULL;
		free(model->vmid[i]);
	}
	for (unsigned int i = 0; i < CHK_PROPERTIES; i++)
		chk_map_free(&model->property[i]);
	for (size_t i = 0; i < model->nslabs; i++)
		free(model->slab[i]);
	free(model->slab);
	free(model->unit);
	free(model->output);
	free(model);
}

const char *s2c_error(const struct s2c *model)
{
	return model->error;
}

void s2c_stats(const struct s2c *model, struct s2c_stats *stats)
{
	*stats = model->stats;
}

static int wrong(struct s2c *model, const char *why, uint64_t value)
{
	snprintf(model->error, sizeof(model->error), "%s (0x%llx)", why, (unsigned long long)value);
	return -1;
}

/* Who runs what */

static struct chk_vmid *vmid_get(struct s2c *model, unsigned int number)
{
	if (!model->vmid[number]) {
		model->vmid[number] = chk_alloc(1, sizeof(struct chk_vmid));
		model->vmid[number]->number = (uint16_t)number;
		model->nvmids++;
	}
	return model->vmid[number];
}

static void leave(struct s2c *model, unsigned int cpu)
{
	struct chk_cpu *c = &model->cpu[cpu];

	if (c->runs) {
		c->vmid->running &= ~(1ull << cpu);
		c->vmid->ran[cpu] = model->now;
	}
	c->runs = 0;
}

/* Does any CPU hold something under this VMID, as far as one can know? */
static int residue(const struct chk_vmid *vmid)
{
	for (unsigned int i = 0; i < S2C_CPUS; i++) {
		if (vmid->ran[i] > vmid->cleared[i])
			return 1;
	}
	return vmid->running != 0;
}

static int same_shape(const struct chk_regime *a, const struct chk_regime *b)
{
	return a->decode == b->decode && a->page_shift == b->page_shift && a->top == b->top &&
	       a->ipa_bits == b->ipa_bits && a->pa_bits == b->pa_bits && a->fwb == b->fwb &&
	       a->ds == b->ds && a->ha == b->ha && a->hd == b->hd;
}

/* The VMID had another tree, or none. Returns whether this one may have it now. */
static int hand_over(struct s2c *model, struct chk_vmid *vmid, struct chk_tree *tree)
{
	struct chk_about about = { 0 };

	if (vmid->running) {
		about.tree = vmid->tree;
		chk_violation(model, "vmid-shared", &about,
			      "VMID %u is used with root 0x%llx while others run it with 0x%llx",
			      vmid->number, (unsigned long long)tree->regime.root,
			      (unsigned long long)(vmid->tree ? vmid->tree->regime.root : 0));
		return 0;
	}
	if (residue(vmid))
		chk_violation(
			model, "vmid-reuse", &about,
			"VMID %u comes to root 0x%llx; CPUs may still hold what it was before",
			vmid->number, (unsigned long long)tree->regime.root);
	if (vmid->tree)
		chk_tree_free(model, vmid->tree);
	for (unsigned int i = 0; i < S2C_CPUS; i++)
		vmid->cleared[i] = model->now; /* said once */
	return 1;
}

static void reshape(struct s2c *model, struct chk_tree **tree, const struct chk_regime *regime)
{
	struct chk_about about = { 0 };
	struct chk_vmid *vmid = (*tree)->vmid;

	if (vmid && residue(vmid))
		chk_violation(
			model, "regime-change", &about,
			"VMID %u runs with other VTCR_EL2 or HCR_EL2.FWB than what CPUs cached",
			vmid->number);
	if (vmid && vmid->running)
		return;
	chk_tree_free(model, *tree);
	*tree = chk_tree_get(model, regime);
}

static void run(struct s2c *model, unsigned int cpu, const struct chk_regime *regime)
{
	struct chk_cpu *c = &model->cpu[cpu];
	struct chk_vmid *vmid = vmid_get(model, regime->vmid);
	struct chk_tree *tree = chk_tree_get(model, regime);

	leave(model, cpu);
	if (!same_shape(&tree->regime, regime))
		reshape(model, &tree, regime);
	if (vmid->tree != tree) {
		if (!hand_over(model, vmid, tree))
			return;
		if (tree->vmid) { /* what is cached under its old number is that number's matter */
			chk_stale_drop_all(model, tree);
			if (!tree->vmid->running) {
				chk_tree_bury(model, tree);
				chk_forgive(model, tree, CHK_GONE);
			}
			tree->vmid->tree = NULL;
		}
		tree->vmid = vmid;
		tree->regime.vmid = regime->vmid;
		vmid->tree = tree;
	}
	vmid->running |= 1ull << cpu;
	c->vmid = vmid;
	c->runs = 1;
	if (tree->dead) {
		/* What is in its tables now is no second mistake. */
		model->reported |= tree->suspended != 0;
		chk_resume(model, tree);
		chk_tree_revive(model, tree);
	}
	chk_resume(model, tree);
	if (model->config.options & S2C_OWED_AT_RUN && tree->stale)
		chk_owed_at_run(model, tree, cpu);
}

int chk_start(struct s2c *model, uint64_t cpus, const struct chk_regime *regime)
{
	for (unsigned int i = 0; i < S2C_CPUS; i++) {
		if (cpus >> i & 1) {
			model->now++;
			model->reported = 0;
			model->event = (struct s2c_event){ .kind = S2C_RUN, .cpu = (uint16_t)i };
			run(model, i, regime);
		}
	}
	return 0;
}

static void enter(struct s2c *model, unsigned int cpu)
{
	struct chk_cpu *c = &model->cpu[cpu];
	uint64_t hcr = c->reg[S2C_HCR_EL2];
	struct chk_regime regime;
	const char *why;

	c->unsynced = 0;
	model->stats.runs++;
	if (!(hcr & (HCR_VM | HCR_DC)) || hcr & HCR_TGE) {
		leave(model, cpu);
		return;
	}
	why = chk_arm64_regime(&regime, &model->config.cpu, c->reg[S2C_VTCR_EL2],
			       c->reg[S2C_VTTBR_EL2], hcr);
	if (why) {
		struct chk_about about = { 0 };

		leave(model, cpu);
		chk_violation(model, "regime-reserved", &about,
			      "VTCR_EL2 0x%llx, VTTBR_EL2 0x%llx: %s",
			      (unsigned long long)c->reg[S2C_VTCR_EL2],
			      (unsigned long long)c->reg[S2C_VTTBR_EL2], why);
		return;
	}
	run(model, cpu, &regime);
}

/* Memory */

static uint64_t merge(uint64_t old, const struct s2c_event *event)
{
	unsigned int shift = (event->address & 7) * 8;
	uint64_t mask = event->size == 3 ? ~0ull : ((1ull << (8 << event->size)) - 1) << shift;

	return (old & ~mask) | ((event->value << shift) & mask);
}

/* `value` replaces the word at pa, which the model may care about or not. */
static void store(struct s2c *model, uint64_t pa, uint64_t value, int whole)
{
	struct chk_unit *unit =
		model->config.read ? chk_unit_find(model, pa) : chk_unit_get(model, pa);
	unsigned int word = pa / 8 % CHK_UNIT_WORDS;

	if (!unit)
		return;
	if (whole)
		unit->known[word / 64] |= 1ull << word % 64;
	unit->word[word] = value;
	if (unit->node) {
		chk_change(model, unit, pa, value);
	} else if (unit->via) {
		if (chk_stale_alive(unit->via, unit->via_id))
			chk_store_elsewhere(model, unit, pa, value);
		else
			unit->via = NULL;
		if (!unit->via && model->config.watch)
			chk_unwatch(model, pa);
	}
	if (!unit->node)
		unit->written = chk_who(model);
}

static int on_write(struct s2c *model, const struct s2c_event *event)
{
	uint64_t old = 0, pa = event->address & ~7ull;
	const struct chk_unit *unit;

	if (event->size > 3)
		return wrong(model, "a write has 1, 2, 4 or 8 bytes", event->size);
	if (event->address & ((1ull << event->size) - 1))
		return wrong(model, "a write is aligned to its size", event->address);
	if (event->size == 3) {
		store(model, pa, event->value, 1);
		return 0;
	}
	unit = chk_unit_find(model, pa);
	if (unit)
		old = unit->word[pa / 8 % CHK_UNIT_WORDS];
	store(model, pa, merge(old, event), 0);
	return 0;
}

static int on_init(struct s2c *model, const struct s2c_event *event)
{
	struct chk_unit *unit;

	if (event->address & 7)
		return wrong(model, "init wants an address that is a multiple of 8",
			     event->address);
	unit = chk_unit_get(model, event->address);
	if (unit->node)
		return wrong(model, "init of a table that is in use", event->address);
	unit->word[event->address / 8 % CHK_UNIT_WORDS] = event->value;
	unit->known[event->address / 8 % CHK_UNIT_WORDS / 64] |= 1ull << event->address / 8 % 64;
	return 0;
}

/* Invalidation */

static int on_tlbi(struct s2c *model, const struct s2c_event *event)
{
	struct chk_cpu *c = &model->cpu[event->cpu];
	uint64_t hcr = c->reg[S2C_HCR_EL2];
	struct chk_regime regime;
	struct chk_about about = { 0 };
	struct chk_kill kill = { 0 };
	const char *why;

	if (event->op >= S2C_TLBIS)
		return wrong(model, "unknown TLBI", event->op);
	if (event->op == S2C_TLBI_OTHER)
		return 0;
	if (chk_arm64_regime(&regime, &model->config.cpu, c->reg[S2C_VTCR_EL2],
			     c->reg[S2C_VTTBR_EL2], hcr))
		regime = (struct chk_regime){ .page_shift = 12,
					      .stride = 9,
					      .top = 3,
					      .ipa_bits = 48,
					      .vmid = (uint16_t)(c->reg[S2C_VTTBR_EL2] >> 48) };
	why = chk_arm64_tlbi(&kill, &regime, &model->config.cpu, event->op, event->address);
	/* With E2H and TGE this one is about EL2's own translations. */
	if (kill.combined && !kill.leaf && hcr & HCR_TGE && hcr & HCR_E2H)
		return 0;
	if (c->unsynced && !kill.all_vmids)
		chk_violation(
			model, "isb-missing", &about,
			"%s relies on VTTBR_EL2, VTCR_EL2 or HCR_EL2, written with no ISB since",
			s2c_tlbi_name(event->op));
	chk_tlbi(model, event->cpu, model->vmid[regime.vmid], &kill, why);
	if (why)
		chk_violation(model, "tlbi-operand", &about, "%s 0x%llx: %s",
			      s2c_tlbi_name(event->op), (unsigned long long)event->address, why);
	return 0;
}

static int on_inval(struct s2c *model, const struct s2c_event *event)
{
	struct chk_kill kill = { .gpa = event->address,
				 .size = event->value,
				 .level = event->op,
				 .leaf = 1,
				 .table = !(event->flags & S2C_INVAL_LEAF),
				 .combined = 1,
				 .local = (event->flags & S2C_INVAL_LOCAL) != 0 };

	if (event->op != S2C_LEVEL_ANY && event->op >= CHK_LEVELS)
		return wrong(model, "unknown level", event->op);
	if (event->value && event->address + (event->value - 1) < event->address)
		return wrong(model, "range wraps around", event->address);
	chk_tlbi(model, event->cpu, model->vmid[event->id], &kill, NULL);
	return 0;
}

static int on_sysreg(struct s2c *model, const struct s2c_event *event)
{
	struct chk_cpu *c = &model->cpu[event->cpu];

	if (event->op >= S2C_SYSREGS)
		return wrong(model, "unknown system register", event->op);
	if (c->reg[event->op] != event->value)
		c->unsynced = 1;
	c->reg[event->op] = event->value;
	return 0;
}

/* Caches */

static int on_dc(struct s2c *model, const struct s2c_event *event)
{
	uint64_t pa = event->address, bytes = event->value, end;
	struct chk_about about = { 0 };

	if (event->op >= S2C_DCS)
		return wrong(model, "unknown cache maintenance", event->op);
	if (!bytes || pa >> 56 || bytes >> 56)
		return wrong(model, "cache maintenance of no range", bytes);
	if (chk_map_get(&model->property[CHK_IS_DEVICE], pa, bytes, &end) || end != pa + bytes)
		chk_violation(model, "cache-device", &about, "dc %s on 0x%llx, which is a device",
			      s2c_dc_name(event->op), (unsigned long long)pa);
	if (event->op == S2C_ZVA) {
		if (pa & 7 || bytes & 7 || bytes > 65536)
			return wrong(model, "dc zva of no block", bytes);
		for (uint64_t at = pa; at < pa + bytes; at += 8)
			store(model, at, 0, 1);
		chk_map_set(&model->property[CHK_CLEAN_POC], pa, bytes, 0);
		chk_map_set(&model->property[CHK_CLEAN_POU], pa, bytes, 0);
		chk_map_set(&model->property[CHK_CLEAN_INSN], pa, bytes, 0);
		return 0;
	}
	if (event->op == S2C_CVAC || event->op == S2C_CIVAC)
		chk_map_set(&model->property[CHK_CLEAN_POC], pa, bytes, 1);
	if (event->op != S2C_IVAC)
		chk_map_set(&model->property[CHK_CLEAN_POU], pa, bytes, 1);
	return 0;
}

/* Instruction caches see what is clean to the point of unification. */
static int on_ic(struct s2c *model, const struct s2c_event *event)
{
	const struct chk_map *clean = &model->property[CHK_CLEAN_POU];
	uint64_t pa = event->value ? event->address : 0;
	uint64_t bytes = event->value ? event->value : 1ull << 52;

	if (pa >> 56 || bytes >> 56)
		return wrong(model, "cache maintenance of no range", bytes);
	if (model->config.cpu.features & S2C_IDC) {
		chk_map_set(&model->property[CHK_CLEAN_INSN], pa, bytes, 1);
		return 0;
	}
	for (uint64_t at = pa, end; at < pa + bytes; at = end) {
		if (chk_map_get(clean, at, pa + bytes - at, &end))
			chk_map_set(&model->property[CHK_CLEAN_INSN], at, end - at, 1);
	}
	return 0;
}

static int on_barrier(struct s2c *model, const struct s2c_event *event)
{
	if (event->op >= S2C_BARRIERS)
		return wrong(model, "unknown barrier", event->op);
	if (event->kind == S2C_DSB)
		chk_dsb(model, event->cpu, event->op);
	else if (event->op >= S2C_ISH && event->op % 3 != 1)
		model->cpu[event->cpu].ordered = model->now;
	return 0;
}

static int dispatch(struct s2c *model, const struct s2c_event *event)
{
	switch (event->kind) {
	case S2C_WRITE:
		return on_write(model, event);
	case S2C_INIT:
		return on_init(model, event);
	case S2C_SYSREG:
		return on_sysreg(model, event);
	case S2C_TLBI:
		return on_tlbi(model, event);
	case S2C_INVAL:
		return on_inval(model, event);
	case S2C_DSB:
	case S2C_DMB:
		return on_barrier(model, event);
	case S2C_ISB:
		model->cpu[event->cpu].unsynced = 0;
		return 0;
	case S2C_DC:
		return on_dc(model, event);
	case S2C_IC:
		return on_ic(model, event);
	case S2C_RUN:
		enter(model, event->cpu);
		return 0;
	case S2C_EXIT:
		model->cpu[event->cpu].unsynced = 0;
		leave(model, event->cpu);
		return 0;
	default:
		return chk_hint(model, event);
	}
}

int s2c_event(struct s2c *model, const struct s2c_event *event)
{
	model->error[0] = 0;
	if (event->kind >= S2C_KINDS)
		return wrong(model, "unknown kind of event", event->kind);
	if (event->cpu >= S2C_CPUS)
		return wrong(model, "the model tells 64 CPUs apart", event->cpu);
	model->now++;
	model->stats.events++;
	model->reported = 0;
	model->event = *event;
	model->ring[model->nring % CHK_RING] = *event;
	model->ring_number[model->nring++ % CHK_RING] = model->now;
	return dispatch(model, event);
}

/* The golden walker */

int s2c_translate(struct s2c *model, unsigned int vmid, uint64_t gpa, struct s2c_leaf *leaf)
{
	struct chk_tree *tree = vmid < 65536 && model->vmid[vmid] ? model->vmid[vmid]->tree : NULL;
	struct chk_node *node = tree ? tree->root : NULL;
	struct chk_desc desc;
	uint64_t index;

	*leaf = (struct s2c_leaf){ .fault = S2C_FAULT_TRANSLATION };
	if (!node || gpa >> tree->regime.ipa_bits)
		return -1;
	for (;;) {
		struct chk_node *below;

		index = chk_index(&tree->regime, node->level, gpa);
		if (!node->linked)
			return 0;
		below = node->slot[index].below;
		if (below && below->linked) {
			node = below;
			continue;
		}
		desc = chk_slot_desc(node, index);
		leaf->level = node->level;
		leaf->entry = node->table + index * 8;
		leaf->value = node->slot[index].value;
		if (desc.kind != CHK_TABLE || !node->slot[index].below)
			break;
		node = node->slot[index].below;
	}
	if (desc.kind == CHK_RESERVED)
		leaf->fault = S2C_FAULT_RESERVED;
	else if (desc.kind == CHK_OUTPUT)
		leaf->fault = S2C_FAULT_ADDRESS_SIZE;
	if (desc.kind != CHK_LEAF)
		return 0;
	leaf->mapped = 1;
	leaf->fault = desc.af || tree->regime.ha ? S2C_FAULT_NONE : S2C_FAULT_ACCESS_FLAG;
	leaf->pa = desc.pa + (gpa & (chk_size(&tree->regime, node->level) - 1));
	leaf->rights = desc.rights;
	leaf->memattr = desc.memattr;
	leaf->af = desc.af;
	leaf->dirty = tree->regime.hd && desc.dbm && desc.rights & S2C_W;
	leaf->contiguous = desc.contiguous;
	return 0;
}
