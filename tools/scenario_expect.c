// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a scenario expects, compared with what happened. An expectation that is met says nothing to
 * people, and is an object of its own in JSON; one that is not says what is there instead, and the
 * scenario fails. A rule that was broken is told at once, and must be expected next.
 */
#include <stdarg.h>
#include <string.h>

#include "scenario.h"

static const char *const exits[] = { "resume", "mmio", "abort", "memory", "exec" };

/* Says how it is instead, unless `met`. */
__attribute__((format(printf, 4, 5))) static void
judge(struct scn_world *world, const struct scn_step *step, int met, const char *format, ...)
{
	char text[300];
	va_list args;

	world->out->expected++;
	if (met) {
		scn_print(world->out, SCN_PRINT_EXPECTED, NULL, "%s", step->text);
		return;
	}
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	scn_print(world->out, SCN_PRINT_FAILED, NULL, "%s: but %s", step->text, text);
}

static void expect_leaf(struct scn_world *world, const struct scn_step *step)
{
	const struct scn_arg *arg = step->arg;
	const struct scn_area *area = &world->area[arg[0].index];
	uint64_t gpa = area->slot.gpa.gpa + arg[0].number;
	struct sim_leaf leaf;
	const char *path;
	int met;

	sim_translate(&world->sim, gpa, &leaf);
	path = scn_path(world, gpa);
	if (step->verb == SCN_EXPECT_UNMAPPED) {
		judge(world, step, !leaf.mapped, "it is %s", path);
		return;
	}
	met = leaf.mapped && leaf.level == arg[1].number &&
	      leaf.hpa >> (12 + 9 * leaf.level) == arg[2].number >> (12 + 9 * leaf.level) &&
	      leaf.prot == arg[3].number &&
	      s2_memtype_is_device((enum s2_memtype)leaf.type) == (arg[4].number == 1);
	judge(world, step, met, "it is %s", path);
}

/* Every page of both leads to the same place of its area, by a leaf alike. */
static void expect_alike(struct scn_world *world, const struct scn_step *step)
{
	const struct scn_arg *arg = step->arg;
	uint64_t a = world->area[arg[0].index].slot.gpa.gpa + arg[0].number;
	uint64_t b = world->area[arg[1].index].slot.gpa.gpa + arg[1].number;
	struct sim_leaf first, second, at_a, at_b;
	uint64_t offset = 0;

	sim_translate(&world->sim, a, &first);
	sim_translate(&world->sim, b, &second);
	for (; offset < arg[2].number; offset += 0x1000) {
		sim_translate(&world->sim, a + offset, &at_a);
		sim_translate(&world->sim, b + offset, &at_b);
		if (at_a.mapped != at_b.mapped || at_a.level != at_b.level ||
		    at_a.prot != at_b.prot || at_a.type != at_b.type ||
		    at_a.hpa - first.hpa != at_b.hpa - second.hpa)
			break;
	}
	judge(world, step, offset >= arg[2].number, "they differ at offset 0x%llx",
	      (unsigned long long)offset);
}

static void expect_count(struct scn_world *world, const struct scn_step *step)
{
	struct s2_stats stats;
	uint64_t made = 0, count;

	s2_pt_stats(&world->vm.pt, &stats);
	for (unsigned int i = 0; i < S2_LEVELS; i++)
		made += stats.fault_level[i];
	switch (step->arg[1].number) {
	case 0:
		count = stats.fault[S2_FAULT_TRANSLATION] + stats.fault[S2_FAULT_PERMISSION];
		break;
	case 1:
		count = made;
		break;
	case 2:
		count = stats.fault_spurious;
		break;
	default:
		count = stats.fault_retry;
		break;
	}
	judge(world, step, count == step->arg[0].number, "there %s %llu",
	      scn_plural(count, "was", "were"), (unsigned long long)count);
}

/* What TLBs may hold of one byte, leaves alone: pointers to tables translate nothing. */
static void expect_tlb(struct scn_world *world, const struct scn_step *step)
{
	const struct scn_arg *arg = step->arg;
	uint64_t gpa = world->area[arg[0].index].slot.gpa.gpa + arg[0].number, page;
	int stale = step->verb == SCN_EXPECT_TLB && arg[1].number, met;
	unsigned int current = 0, old = 0, there = 0;
	char text[240] = "";
	struct s2c_held_walk walk;
	struct s2c_held held;

	(void)s2c_held_begin(world->sim.model, SCN_VMID, gpa, 1,
			     S2C_HELD_NOW | S2C_HELD_NARROWED | S2C_HELD_GONE, &walk);
	while (s2c_held_next(&walk, &held) == 1) {
		size_t used = strlen(text);

		if (held.is_table)
			continue;
		page = (held.pa + (gpa - held.gpa)) & ~0xfffull;
		old += held.kind != S2C_HELD_NOW;
		current += held.kind == S2C_HELD_NOW;
		there += step->nargs > 2 && page == arg[2].number &&
			 (held.kind != S2C_HELD_NOW) == stale;
		snprintf(text + used, sizeof(text) - used, "%s 0x%llx, which is %s",
			 used ? "; and" : "", (unsigned long long)page,
			 held.kind == S2C_HELD_NOW        ? "current"
			 : held.kind == S2C_HELD_NARROWED ? "stale (it has rights that are gone)"
							  : "stale");
	}
	met = step->verb == SCN_EXPECT_TLB_NONE ? !old && !current
	      : stale                           ? old > 0
						: current && !old;
	judge(world, step, met && (step->nargs < 3 || there), "they may hold%s",
	      text[0] ? text : " nothing of it");
}

static void expect_violation(struct scn_world *world, const struct scn_step *step)
{
	judge(world, step, !strcmp(world->violation, step->arg[0].word), "%s was broken",
	      world->violation[0] ? world->violation : "no rule");
	world->violation[0] = '\0';
}

void scn_condemn(struct scn_world *world)
{
	struct sim *sim = &world->sim;
	size_t length = strcspn(sim->failure, ":");
	const struct s2c_rule *rule;
	static const char from[] = " from event ";
	char *cut, *end;

	if (!sim->failures)
		return;
	/* The number of an event means nothing here: none of them is shown. */
	cut = strstr(sim->failure, from);
	if (cut) {
		end = cut + strlen(from);
		end += strspn(end, "0123456789");
		memmove(cut, end, strlen(end) + 1);
	}
	snprintf(world->violation, sizeof(world->violation), "%.*s", (int)length, sim->failure);
	rule = s2c_rule(world->violation);
	scn_print(world->out, SCN_PRINT_VIOLATION, rule ? rule->title : NULL, "%s", sim->failure);
	world->spoilt = 1;
	sim->failures = 0;
}

void scn_unexpected(struct scn_world *world)
{
	if (world->violation[0])
		scn_print(world->out, SCN_PRINT_FAILED, NULL,
			  "nothing here expects that %s is broken: if it should be, say 'expect "
			  "violation %s' on the very next line",
			  world->violation, world->violation);
	world->violation[0] = '\0';
}

void scn_expect(struct scn_world *world, const struct scn_step *step)
{
	const struct scn_arg *arg = step->arg;
	struct scn_held held;

	world->out->line = step->line;
	if (step->verb != SCN_EXPECT_VIOLATION)
		scn_unexpected(world);
	switch (step->verb) {
	case SCN_EXPECT_EXIT:
		judge(world, step, !world->error && world->exit.reason == arg[0].number, "it is %s",
		      world->error ? s2_strerror(world->error) : exits[world->exit.reason]);
		break;
	case SCN_EXPECT_ERROR:
		judge(world, step, world->error == -(int)arg[0].number, "it is %s",
		      s2_strerror(world->error));
		break;
	case SCN_EXPECT_ALIKE:
		expect_alike(world, step);
		break;
	case SCN_EXPECT_CACHES:
		judge(world, step, !world->cleaned == (arg[0].number == 1), "%s were cleaned",
		      scn_size(world->cleaned));
		break;
	case SCN_EXPECT_COUNT:
		expect_count(world, step);
		break;
	case SCN_EXPECT_STALE:
		scn_held(world, &held);
		judge(world, step, held.old == arg[0].number, "there %s %llu",
		      scn_plural(held.old, "is", "are"), (unsigned long long)held.old);
		break;
	case SCN_EXPECT_TLB_NONE:
	case SCN_EXPECT_TLB:
		expect_tlb(world, step);
		break;
	case SCN_EXPECT_PROGRESS:
		judge(world, step,
		      world->progress.changed == arg[0].number &&
			      world->progress.equal == arg[1].number,
		      "changed %s, equal %s", scn_size(world->progress.changed),
		      scn_size(world->progress.equal));
		break;
	case SCN_EXPECT_VIOLATION:
		expect_violation(world, step);
		break;
	default:
		expect_leaf(world, step);
		break;
	}
}
