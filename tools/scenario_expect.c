// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a scenario expects, compared with what happened. An expectation that is met says nothing to
 * people, and is an object of its own in JSON;
 * one that is not says what is there instead, and the scenario fails.
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

static void expect_violation(struct scn_world *world, const struct scn_step *step)
{
	judge(world, step, !strcmp(world->violation, step->arg[0].word), "%s was broken",
	      world->violation[0] ? world->violation : "no rule");
	world->violation[0] = '\0';
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
	uint64_t stale;

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
		stale = scn_stale(world);
		judge(world, step, stale == arg[0].number, "there %s %llu",
		      scn_plural(stale, "is", "are"), (unsigned long long)stale);
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
