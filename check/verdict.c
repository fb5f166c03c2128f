// SPDX-License-Identifier: BSD-2-Clause
/*
 * Saying it: a violation is put together with its history and reported, or suspended while nobody
 * runs the tree that it is about. At most one an event: the first says it, the rest follows from
 * it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

/* Its own notes; else those of the pointer that holds it back; else what missed the whole tree. */
static unsigned int notes_of(const struct chk_stale *stale, struct s2c_who *culprit)
{
	const struct chk_tree *tree = stale->tree;

	if (!stale->notes && chk_stale_alive(stale->via, stale->via_id))
		return notes_of(stale->via, culprit);
	*culprit = stale->culprit;
	if (stale->notes)
		return stale->notes;
	/* Of widened rights nothing was owed that could have been missed. */
	if (stale->kind == CHK_WIDENED ||
	    tree->missed_by[stale->broken.cpu].event <= stale->broken.event)
		return 0;
	*culprit = tree->missed_by[stale->broken.cpu];
	return tree->missed[stale->broken.cpu];
}

const char *chk_cause(const struct chk_stale *stale, const char *missing)
{
	static const char *const rule[] = {
		"tlbi-incomplete", "tlbi-early",   "tlbi-local", "tlbi-level",
		"tlbi-leaf-only",  "tlbi-operand", "tlbi-range", "tlbi-vmid",
	};
	struct s2c_who culprit;
	unsigned int notes = notes_of(stale, &culprit);

	if (!(stale->leaf | stale->table) && stale->combined &&
	    !(notes & (CHK_NOTE_INCOMPLETE | CHK_NOTE_LOCAL)))
		return "tlbi-stage1";
	for (unsigned int i = 0; i < sizeof(rule) / sizeof(rule[0]); i++) {
		if (notes >> i & 1)
			return rule[i];
	}
	return missing;
}

static int concerns(const struct s2c_event *event, const struct s2c_violation *violation)
{
	switch (event->kind) {
	case S2C_WRITE:
	case S2C_INIT:
		return (event->address & ~7ull) == violation->entry ||
		       (violation->has_cached &&
			(event->address & ~7ull) == violation->cached.entry);
	case S2C_TLBI:
	case S2C_INVAL:
	case S2C_DSB:
	case S2C_ISB:
		return 1;
	case S2C_SYSREG:
		return event->op == S2C_VTTBR_EL2;
	case S2C_RUN:
	case S2C_EXIT:
		return 0;
	default:
		return event->kind == S2C_FREE || event->kind == S2C_TAKE;
	}
}

/* The newest that concern it, but nothing from before the entry was made. */
static void add_history(const struct s2c *model, struct s2c_violation *violation)
{
	uint64_t first = model->nring > CHK_RING ? model->nring - CHK_RING : 0;
	uint64_t since = violation->has_cached ? violation->cached.made.event : 0;
	unsigned int n = 0;

	for (uint64_t i = model->nring; i-- > first && n < S2C_HISTORY;) {
		if (model->ring_number[i % CHK_RING] < since)
			break;
		if (concerns(&model->ring[i % CHK_RING], violation))
			n++;
	}
	violation->nhistory = n;
	for (uint64_t i = model->nring; i-- > first && n;) {
		if (!concerns(&model->ring[i % CHK_RING], violation))
			continue;
		n--;
		violation->history[n] = model->ring[i % CHK_RING];
		violation->number[n] = model->ring_number[i % CHK_RING];
	}
}

static void add_cached(struct s2c_violation *violation, const struct chk_stale *stale)
{
	violation->has_cached = 1;
	violation->cached =
		(struct s2c_cached){ .gpa = chk_slot_gpa(stale->node, stale->index),
				     .size = chk_size(&stale->tree->regime, stale->node->level),
				     .entry = stale->entry,
				     .value = stale->value,
				     .leaf = stale->leaf,
				     .combined = stale->combined,
				     .table = stale->table,
				     .made = stale->made,
				     .broken = stale->broken,
				     .level = stale->node->level };
	(void)notes_of(stale, &violation->cause);
}

/* Does a complete invalidation undo it, if nobody ran the guest meanwhile? */
static uint8_t is_curable(const struct chk_about *about, const struct s2c_rule *rule)
{
	return about->stale || !strncmp(rule->id, "bbm-", 4);
}

/* Does the entry that it is about still hold what was wrong? */
static int still_there(struct s2c *model, const struct s2c_violation *violation)
{
	uint64_t value = violation->value;

	if (!violation->entry || !value)
		return 1;
	if (model->config.read)
		return !model->config.read(model->config.ctx, violation->entry, &value, 8) &&
		       value == violation->value;
	return !chk_read_word(model, violation->entry, &value) && value == violation->value;
}

static void deliver(struct s2c *model, const struct chk_about *about,
		    const struct s2c_violation *violation)
{
	struct chk_tree *tree = about->tree, *other = about->other;
	struct chk_suspended *suspended;

	if (tree && tree->vmid->running)
		tree = NULL;
	if (other && other->vmid->running)
		other = NULL;
	if (!tree && !other) {
		model->stats.violations++;
		model->config.report(model->config.ctx, violation);
		return;
	}
	model->stats.suspended++;
	if ((tree ? tree : other)->suspended >= CHK_SUSPENDED)
		return;
	(tree ? tree : other)->suspended++;
	if (tree && other)
		other->suspended++;
	suspended = chk_alloc(1, sizeof(*suspended));
	*suspended = (struct chk_suspended){ .next = model->suspended,
					     .tree = tree,
					     .other = other,
					     .curable = is_curable(about, violation->rule),
					     .violation = *violation };
	model->suspended = suspended;
}

void chk_violation(struct s2c *model, const char *rule, const struct chk_about *about,
		   const char *format, ...)
{
	struct s2c_violation violation = { .rule = s2c_rule(rule), .now = chk_who(model) };
	va_list args;

	if (model->reported)
		return;
	model->reported = 1;
	if (about->tree) {
		violation.vmid = about->tree->regime.vmid;
		violation.root = about->tree->regime.root;
	}
	if (about->node) {
		violation.gpa = chk_slot_gpa(about->node, about->index);
		violation.level = about->node->level;
		violation.entry = about->node->table + about->index * 8;
		violation.old = about->old;
		violation.value = about->value;
	}
	if (about->stale) {
		add_cached(&violation, about->stale);
		if (!about->node) {
			violation.gpa = violation.cached.gpa;
			violation.level = violation.cached.level;
		}
	}
	va_start(args, format);
	vsnprintf(violation.text, sizeof(violation.text), format, args);
	va_end(args);
	add_history(model, &violation);
	deliver(model, about, &violation);
}

/* The guest runs again: its tables were no scrap after all. */
void chk_resume(struct s2c *model, struct chk_tree *tree)
{
	struct chk_suspended **at = &model->suspended, *it;

	tree->suspended = 0;
	while ((it = *at)) {
		if (it->tree == tree)
			it->tree = NULL;
		if (it->other == tree)
			it->other = NULL;
		if (it->tree || it->other) {
			at = &it->next;
			continue;
		}
		if (!it->cured || still_there(model, &it->violation)) {
			model->stats.violations++;
			model->config.report(model->config.ctx, &it->violation);
		}
		*at = it->next;
		free(it);
	}
}

void chk_forgive(struct s2c *model, const struct chk_tree *tree, enum chk_why why)
{
	struct chk_suspended **at = &model->suspended, *it;

	while ((it = *at)) {
		if (it->tree == tree || it->other == tree)
			it->cured |= why == CHK_CURED;
		if ((it->tree != tree && it->other != tree) || (why == CHK_CURED && !it->curable)) {
			at = &it->next;
			continue;
		}
		if (it->tree)
			it->tree->suspended--;
		if (it->other)
			it->other->suspended--;
		*at = it->next;
		free(it);
	}
}
