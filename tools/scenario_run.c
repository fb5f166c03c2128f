// SPDX-License-Identifier: BSD-2-Clause
/*
 * Carries out the steps of a scenario on a world (scenario_world.c), says what came of each, and
 * compares it with what the scenario expects (scenario_expect.c).
 *
 * A step under way is a frame; what happens in its midst is a frame above it. A rule that was
 * broken is told after the step that broke it, and must be expected before the next one.
 */
#include <stdarg.h>
#include <string.h>

#include "scenario.h"

#define ROUNDS 6 /* a vCPU's tries of one access */

/* A step on the screen: not at all, with a result below which more can stand, or with a block. */
enum {
	HIDDEN,
	SHOWN,
	INTERRUPTED
};

/* Prints what came of the step under way: beside it, or below. */
static void flush(struct scn_world *world)
{
	struct scn_frame *frame = world->frame;

	world->out->line = frame->step->line;
	if (frame->came[0] && frame->shown == SHOWN)
		scn_print(world->out, SCN_PRINT_RESULT, NULL, "%s", frame->came);
	else if (frame->came[0])
		scn_print(world->out, SCN_PRINT_STEP, frame->came, "%s%s",
			  frame->shown == INTERRUPTED ? "... " : "", frame->step->text);
	if (frame->came[0])
		frame->shown = SHOWN;
	frame->came[0] = '\0';
}

__attribute__((format(printf, 2, 3))) static void came(struct scn_world *world, const char *format,
						       ...)
{
	va_list args;

	flush(world);
	va_start(args, format);
	vsnprintf(world->frame->came, sizeof(world->frame->came), format, args);
	va_end(args);
}

/* More, in the same line if there is room. */
static void came_too(struct scn_world *world, const char *what, const char *value)
{
	char *text = world->frame->came;
	size_t used = strlen(text);

	if (!used || used + strlen(what) + strlen(value) + 2 > SCN_RESULTS)
		came(world, "%s%s", what, value);
	else
		snprintf(text + used, sizeof(world->frame->came) - used, "; %s%s", what, value);
}

static uint64_t gpa_of(const struct scn_world *world, const struct scn_arg *arg)
{
	return world->area[arg->index].slot.gpa.gpa + arg->number;
}

static const char *outcome(int error)
{
	return error ? s2_strerror(error) : "done";
}

/* A guest's access */

static const char *const exit_words[] = {
	[S2_EXIT_MMIO] = "exit to the VMM: emulate a device (no slot)",
	[S2_EXIT_ABORT] = "abort into the guest",
	[S2_EXIT_MEMORY] = "exit to the VMM: no page behind it",
	[S2_EXIT_EXEC] = "exit to the VMM: execution from a device",
};

static int permitted(const struct sim_leaf *leaf, enum s2_access access)
{
	static const uint8_t needs[] = { S2_R, S2_W, S2_XP };

	return leaf->mapped && leaf->young && leaf->prot & needs[access];
}

/* One fault. Returns whether the guest tries again. */
static int fault(struct scn_world *world, uint64_t gpa, enum s2_access access, int mapped)
{
	struct s2_walker *walker = world->frame->walker;
	const struct s2_stats before = walker->stats;
	const struct s2_fault what = { .gpa = s2_gpa(gpa),
				       .access = (uint8_t)access,
				       .kind = mapped ? S2_FAULT_PERMISSION
						      : S2_FAULT_TRANSLATION };
	const char *kind = mapped ? "permission fault" : "fault";

	world->error = s2_fault(&world->vm, walker, &what, &world->exit);
	if (world->error)
		came(world, "%s: %s", kind, s2_strerror(world->error));
	else if (world->exit.reason != S2_EXIT_RESUME)
		came(world, "%s: %s", kind, exit_words[world->exit.reason]);
	else if (walker->stats.fault_retry != before.fault_retry)
		came(world, "%s: sent away to try again", kind);
	else if (walker->stats.fault_spurious != before.fault_spurious)
		came(world, "%s: equal: %s", kind, scn_path(world, gpa));
	else
		came(world, "%s: %s", kind, scn_path(world, gpa));
	/* In the midst of another's work it would be sent away until that one is done. */
	if (walker->stats.fault_retry != before.fault_retry && world->frame->up)
		return 0;
	return !world->error && world->exit.reason == S2_EXIT_RESUME;
}

static void vcpu(struct scn_world *world, const struct scn_step *step)
{
	enum s2_access access = (enum s2_access)step->arg[1].number;
	uint64_t gpa = gpa_of(world, &step->arg[2]);
	struct sim_leaf leaf;
	unsigned int faults = 0;

	world->exit = (struct s2_exit){ .reason = S2_EXIT_RESUME };
	while (faults < ROUNDS) {
		sim_translate(&world->sim, gpa, &leaf);
		if (permitted(&leaf, access))
			break;
		faults++;
		if (!fault(world, gpa, access, leaf.mapped))
			break;
	}
	if (!faults)
		came(world, "no fault: %s", scn_path(world, gpa));
	if (faults == ROUNDS)
		came(world, "gives up after %u faults", faults);
}

static void prefault(struct scn_world *world, const struct scn_step *step)
{
	uint64_t gpa = gpa_of(world, &step->arg[0]);

	world->error = s2_vm_prefault(&world->vm, s2_gpa(gpa), step->arg[1].number,
				      (enum s2_access)step->arg[2].number, world->frame->walker,
				      &world->progress);
	came(world, "%s: %s", outcome(world->error), scn_path(world, gpa));
}

/* The host */

/* How a host announces a change; the forms' `silently` and `by-gpa`, or as it should be. */
enum {
	SILENTLY,
	BY_GPA,
	BY_HVA
};

static void host(struct scn_world *world, const struct scn_step *step)
{
	const struct scn_arg *arg = step->arg, *how = &arg[step->verb == SCN_HOST_MOVES ? 3 : 2];
	const struct scn_area *area = &world->area[arg[0].index];
	uint64_t gpa = gpa_of(world, arg), size = arg[1].number, hpa = 0;
	unsigned int kind = area->page[arg[0].number >> 12].kind, told = BY_HVA;
	const char *is;
	char was[120];
	struct s2_walker *walker = world->frame->walker;
	struct s2_host_change change;

	snprintf(was, sizeof(was), "%s", scn_path(world, gpa));
	if (step->verb == SCN_HOST_MAPS) {
		kind = (unsigned int)arg[2].number;
		hpa = arg[3].number;
	} else {
		if (step->nargs > (unsigned int)(how - arg))
			told = (unsigned int)how->number;
		hpa = step->verb == SCN_HOST_MOVES ? arg[2].number : 0;
	}
	if (told == BY_GPA && !area->in_guest) {
		came(world, "the host finds no slot there: nothing to invalidate");
		told = SILENTLY;
	}
	if (told == BY_GPA)
		world->error = s2_vm_invalidate_begin(&world->vm, s2_gpa(gpa), size, S2_INVAL_UNMAP,
						      walker);
	else if (told == BY_HVA)
		world->error =
			s2_vm_host_begin(&world->vm, &change, s2_hva(area->hva + arg[0].number),
					 size, S2_INVAL_UNMAP, walker);
	if (world->error) {
		came(world, "begin: %s", s2_strerror(world->error));
		return;
	}
	(void)scn_meanwhile(world, SCN_CHANGE);
	scn_area_set(world, arg[0].index, arg[0].number, size, hpa, (enum scn_kind)kind);
	if (told == BY_GPA)
		s2_vm_invalidate_end(&world->vm, s2_gpa(gpa), size);
	else if (told == BY_HVA)
		s2_vm_host_end(&world->vm, &change);
	is = scn_path(world, gpa_of(world, arg));
	if (strstr(is, "nothing") && strcmp(was, is)) {
		came(world, "the guest loses %s", was);
		return;
	}
	came(world, "done%s", told ? "" : ", nobody was told");
	came_too(world, "guest: ", is);
}

static void slot(struct scn_world *world, const struct scn_step *step)
{
	struct scn_area *area = &world->area[step->arg[0].index];
	uint64_t gpa = step->arg[1].number;

	if (!area->in_guest)
		area->slot = (struct s2_memslot){ .gpa = s2_gpa(gpa),
						  .hva = s2_hva(area->hva),
						  .size = area->size };
	world->error = area->in_guest ? S2_EOVERLAP : s2_vm_slot_add(&world->vm, &area->slot);
	area->in_guest |= !world->error;
	if (world->error)
		came(world, "refused: %s", s2_strerror(world->error));
	else
		came(world, "gpa 0x%llx to 0x%llx", (unsigned long long)gpa,
		     (unsigned long long)(gpa + area->size - 1));
}

/* The engine's management */

static void manage(struct scn_world *world, const struct scn_step *step)
{
	uint64_t gpa = gpa_of(world, &step->arg[0]), size = step->arg[1].number;
	const struct s2_attr attr = { .prot = (uint8_t)step->arg[3].number };
	struct s2_walker *walker = world->frame->walker;
	struct s2_pt *pt = &world->vm.pt;
	struct s2_gather gather;

	s2_gather_init(&gather, pt);
	if (step->verb == SCN_PT_PROTECT)
		world->error = s2_pt_protect(pt, s2_gpa(gpa), size, S2_W, walker, &gather,
					     &world->progress);
	else if (step->verb == SCN_PT_SPLIT)
		world->error =
			s2_pt_split(pt, s2_gpa(gpa), size, 0, walker, &gather, &world->progress);
	else
		world->error = s2_pt_map(pt, s2_gpa(gpa), s2_hpa(step->arg[2].number), size, attr,
					 0, walker, &gather, &world->progress);
	s2_gather_flush(&gather, walker);
	came(world, "%s: %s", outcome(world->error), scn_path(world, gpa));
	if (step->verb == SCN_PT_MAP)
		came(world, "got through %s: changed %s, equal %s", scn_size(world->progress.done),
		     scn_size(world->progress.changed), scn_size(world->progress.equal));
}

/* Holds and pointers */

static void revoke(struct s2_hold *hold)
{
	struct scn_world *world = hold->ctx;

	if (!world->frame->revoked++)
		came(world, "waits for the hold, asks its user to end: revoke()");
}

static void hold(struct scn_world *world, const struct scn_step *step)
{
	struct s2_hold *hold = &world->hold[step->arg[0].index];

	hold->ctx = world;
	hold->revoke = revoke;
	world->error = s2_hold_init(hold, &world->vm, s2_gpa(gpa_of(world, &step->arg[1])), 1,
				    (enum s2_access)step->arg[2].number);
	came(world, "%s: nothing is pinned, nothing looked up", outcome(world->error));
}

static void done(struct scn_world *world, const struct scn_step *step)
{
	struct s2_hold *hold = &world->hold[step->arg[0].index];

	world->error = hold->in_use ? 0 : S2_EINVAL;
	if (world->error) {
		came(world, "refused: %s: it was not in use", s2_strerror(world->error));
		return;
	}
	s2_hold_done(hold);
	came(world, "the page may go");
}

static void use(struct scn_world *world, const struct scn_step *step)
{
	struct s2_hold *hold = &world->hold[step->arg[0].index];

	world->error = hold->in_use ? S2_EINVAL : s2_hold_use(hold, world->frame->walker);
	if (world->error)
		came(world, "refused: %s", s2_strerror(world->error));
	else
		came(world, "hpa 0x%llx, good until 'done %s'", (unsigned long long)hold->hpa.hpa,
		     step->arg[0].word);
}

/* Asks once, keeps the answer. */
static void point(struct scn_world *world, const struct scn_step *step)
{
	struct scn_pointer *pointer = &world->pointer[step->arg[0].index];

	*pointer = (struct scn_pointer){ 0, step->arg[1].index, step->arg[1].number };
	pointer->hpa = world->area[pointer->area].page[pointer->offset >> 12].hpa;
	world->error = pointer->hpa ? 0 : S2_ENOENT;
	if (world->error)
		came(world, "refused: %s", s2_strerror(world->error));
	else
		came(world, "hpa 0x%llx, kept from now on", (unsigned long long)pointer->hpa);
}

static void dereference(struct scn_world *world, const struct scn_step *step)
{
	const struct scn_pointer *pointer = &world->pointer[step->arg[0].index];
	const struct scn_page *page = &world->area[pointer->area].page[pointer->offset >> 12];

	came(world, "writes to hpa 0x%llx", (unsigned long long)pointer->hpa);
	if (page->hpa != pointer->hpa)
		sim_fail(&world->sim,
			 SCN_USE_AFTER_FREE
			 ": hpa 0x%llx was taken back: whoever has it now finds it overwritten",
			 (unsigned long long)pointer->hpa);
}

/* What others do */

static void count_old(struct scn_world *world)
{
	struct scn_held held;
	char count[32];

	scn_held(world, &held);
	snprintf(count, sizeof(count), "%llu old ", (unsigned long long)held.old);
	came_too(world, count,
		 scn_plural(held.old, "entry may be in TLBs", "entries may be in TLBs"));
	world->frame->counted = 1;
	snprintf(count, sizeof(count), "%llu current", (unsigned long long)held.current);
	if (world->frame->step->verb == SCN_SHOW &&
	    (held.old || strlen(world->frame->came) + strlen(count) + 2 <= SCN_RESULTS))
		came_too(world, count, "");
}

/* What was done, and what the model says of TLBs then, unless it has just condemned them. */
static void came_stale(struct scn_world *world, const char *what)
{
	came(world, "%s", what);
	if (!world->sim.failures)
		count_old(world);
}

/* A barrier or a TLBI. The count of old entries can fall at the barrier alone. */
static void instruct(struct scn_world *world, const struct scn_step *step)
{
	unsigned int op = (unsigned int)step->arg[1].number;
	uint64_t operand = step->nargs > 2 ? gpa_of(world, &step->arg[2]) >> 12 : 0;

	scn_tell(world, step->verb == SCN_RAW_DSB ? S2C_DSB : S2C_TLBI, op, operand, 0);
	if (step->verb == SCN_RAW_TLBI)
		came(world, "issued; complete at a DSB");
	else
		came_stale(world, world->sim.failures ? "done" : "");
}

/* Writes an entry of this level, past the engine. */
static void entry(struct scn_world *world, const struct scn_step *step)
{
	const struct scn_arg *arg = &step->arg[1];
	unsigned int level = (unsigned int)arg[1].number;
	uint64_t gpa = gpa_of(world, arg), value = 0;

	if (step->verb == SCN_RAW_MAKE)
		value = scn_leaf(level, arg[2].number, (unsigned int)arg[3].number);
	if (scn_write_entry(world, gpa, level, value)) {
		came_stale(world, scn_path(world, gpa));
		return;
	}
	came(world, "%s: not written", scn_path(world, gpa));
	flush(world);
	scn_print(world->out, SCN_PRINT_FAILED, NULL,
		  "'%s': there is no table for such an entry: %s", step->text,
		  strstr(scn_path(world, gpa), "block")
			  ? "a block is in its place, 'engine splits' makes it one"
			  : "fault a neighbouring address in before ('vcpu 1 reads ...'), and the "
			    "engine makes one");
}

/* Steps */

static void show(struct scn_world *world, const struct scn_step *step)
{
	came_stale(world, scn_path(world, gpa_of(world, &step->arg[0])));
}

static void set_policy(struct scn_world *world, const struct scn_step *step)
{
	came(world, "S2_VM_EXEC_EXIT is %s", step->arg[0].number ? "clear" : "set");
}

static void area(struct scn_world *world, const struct scn_step *step)
{
	const struct scn_arg *arg = step->arg;

	scn_area_init(world, arg[0].index, arg[1].number, arg[3].number);
	scn_area_set(world, arg[0].index, 0, arg[1].number, arg[3].number,
		     (enum scn_kind)arg[2].number);
	came(world, "hva 0x%llx", (unsigned long long)world->area[arg[0].index].hva);
}

typedef void act_fn(struct scn_world *world, const struct scn_step *step);
static act_fn *const act[SCN_VERBS] = {
	[SCN_POLICY] = set_policy, [SCN_AREA] = area,
	[SCN_SLOT] = slot,         [SCN_VCPU] = vcpu,
	[SCN_PREFAULT] = prefault, [SCN_HOST_UNMAPS] = host,
	[SCN_HOST_MAPS] = host,    [SCN_HOST_MOVES] = host,
	[SCN_PT_PROTECT] = manage, [SCN_PT_SPLIT] = manage,
	[SCN_PT_MAP] = manage,     [SCN_HOLD] = hold,
	[SCN_USE] = use,           [SCN_DONE] = done,
	[SCN_POINTER] = point,     [SCN_DEREFERENCE] = dereference,
	[SCN_RAW_BREAK] = entry,   [SCN_RAW_MAKE] = entry,
	[SCN_RAW_TLBI] = instruct, [SCN_RAW_DSB] = instruct,
	[SCN_SHOW] = show,
};

/* What TLBs may hold, in short if there is room in the line. */
static void came_held(struct scn_world *world)
{
	const struct scn_held *held = &world->told;
	struct scn_frame *frame = world->frame;
	int shown = frame->step->verb == SCN_SHOW || world->out->json;

	if (!frame->counted && held->old)
		count_old(world);
	if (!shown && strlen(frame->came) + strlen(held->brief) + 2 <= SCN_RESULTS) {
		if (held->brief[0])
			came_too(world, "", held->brief);
		return;
	}
	flush(world);
	scn_show_held(world);
}

/* What the engine asked for on the way, and what TLBs may hold after it. */
static void bill(struct scn_world *world)
{
	const struct scn_frame *frame = world->frame;
	const struct scn_step *step = frame->step;

	world->cleaned = frame->cleaned[0] + frame->cleaned[1];
	if (frame->tlb[0])
		came_too(world, "invalidates ", frame->tlb);
	if (world->cleaned)
		came_too(world, "cleans caches: ", scn_size(frame->cleaned[0]));
	if (!world->sim.failures && scn_held_news(world) && step->verb != SCN_RAW_TLBI)
		came_held(world);
	flush(world);
}

/* Who does it, and with which walker. Returns 0: he is in the midst of something else. */
static int cast(struct scn_world *world, struct scn_frame *frame)
{
	const struct scn_step *step = frame->step;
	unsigned int depth = 0;

	for (const struct scn_frame *up = frame->up; up; up = up->up)
		depth++;
	frame->walker = &world->manager[depth];
	if (step->verb == SCN_VCPU || (step->verb >= SCN_RAW_BREAK && step->verb <= SCN_RAW_DSB))
		frame->cpu = (unsigned int)step->arg[0].number;
	if (step->verb == SCN_VCPU)
		frame->walker = &world->vcpu[frame->cpu];
	for (const struct scn_frame *up = frame->up; up; up = up->up)
		if (up->walker == frame->walker)
			return 0;
	return 1;
}

static void run_step(struct scn_world *world, const struct scn_step *step)
{
	struct scn_frame frame = { .up = world->frame, .step = step };

	world->out->line = step->line;
	if (step->verb == SCN_SAY) {
		scn_print(world->out, SCN_PRINT_SAY, NULL, "%s", step->arg[0].word);
		return;
	}
	if (step->verb >= SCN_EXPECT_EXIT) {
		scn_expect(world, step);
		return;
	}
	scn_unexpected(world);
	world->out->steps++;
	if (!cast(world, &frame)) {
		scn_print(world->out, SCN_PRINT_FAILED, NULL,
			  "'%s': vCPU %u is in the midst of a fault", step->text, frame.cpu);
		return;
	}
	world->frame = &frame;
	world->error = 0;
	sim_thread(frame.cpu, frame.walker);
	act[step->verb](world, step);
	bill(world);
	scn_condemn(world);
	world->frame = frame.up;
	if (frame.up)
		sim_thread(frame.up->cpu, frame.up->walker);
}

static void run_steps(struct scn_world *world, const struct scn_step *step)
{
	for (; step; step = step->next)
		run_step(world, step);
}

int scn_meanwhile(struct scn_world *world, enum scn_point point)
{
	struct scn_frame *frame = world->frame;
	const struct s2_progress progress = world->progress;
	const struct s2_exit exit = world->exit;
	const int error = world->error;

	if (!frame || !frame->step->block[point] || frame->ran >> point & 1)
		return 0;
	frame->ran |= 1u << point;
	world->out->line = frame->step->line;
	flush(world);
	if (frame->shown == HIDDEN)
		scn_print(world->out, SCN_PRINT_STEP, NULL, "%s", frame->step->text);
	frame->shown = INTERRUPTED;
	scn_print(world->out, SCN_PRINT_POINT, NULL, "%s:", scn_point_name[point]);
	world->out->depth++;
	run_steps(world, frame->step->block[point]);
	world->out->depth--;
	/* What comes of those is theirs; expectations below the block are of the step itself. */
	world->progress = progress;
	world->exit = exit;
	world->error = error;
	return 1;
}

/* `exec exits`, wherever it stands. */
static unsigned int policy(const struct scn_step *step)
{
	unsigned int flags = 0;

	for (; step; step = step->next)
		if (step->verb == SCN_POLICY && !step->arg[0].number)
			flags |= S2_VM_EXEC_EXIT;
	return flags;
}

/* Returns whether it came to its end. */
static int play(struct scn_world *world, const struct scn_step *before, const struct scn_part *part)
{
	struct scn_out *out = world->out;

	if (setjmp(world->stuck))
		return 0;
	out->quiet = out->parts++ > 0;
	run_steps(world, before);
	out->quiet = 0;
	out->line = part->line;
	scn_print(out, SCN_PRINT_PART, NULL, "%s", part->title);
	run_steps(world, part->steps);
	scn_unexpected(world);
	return 1;
}

void scn_run_part(struct scn_out *out, const struct scn_step *before, const struct scn_part *part)
{
	struct scn_world *world = scn_world_new(out, policy(before) | policy(part->steps));
	unsigned int spoilt;

	if (!play(world, before, part)) {
		out->depth = out->quiet = 0;
		return; /* the engine is in the midst of something: its world stays as it is */
	}
	spoilt = world->spoilt;
	scn_world_stop(world);
	if (!spoilt) {
		scn_condemn(world);
		if (world->violation[0])
			scn_print(out, SCN_PRINT_FAILED, NULL,
				  "%s is broken at the end of the part, where all is given back",
				  world->violation);
	}
	scn_world_free(world);
}
