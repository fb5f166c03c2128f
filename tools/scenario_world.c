// SPDX-License-Identifier: BSD-2-Clause
/*
 * The world of a scenario: the simulated machine (ports/sim, whose judge is libstage2check), a
 * guest on it, and a host that has its memory in named areas.
 *
 * The host is as plain as can be, so that a reader can follow it: an array of pages an area. All
 * that it does, it does when a step says so. The engine's calls of the port pass through here on
 * their way to the simulation: they are noted for the report, and they are the moments in which
 * others get in between (scn_meanwhile): after the host was asked and before the engine has the
 * answer; after an entry was broken and before the invalidation; while somebody waits. The block
 * of the scenario that stands there runs in the midst of the call, on the same thread, as other
 * CPUs with walkers of their own. So nothing is left to chance, and what two CPUs do at once is
 * only as fine as these moments: tests/ has all other interleavings.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <stage2/arm64.h>

#include "../check/report.h"
#include "../src/pgtable/hook.h"
#include "scenario.h"

#define PAGE      0x1000ull
#define BLOCK     0x200000ull
#define IPA_BITS  40
#define FOR_EVER  100000u
#define TABLE_PA  0x0000fffffffff000ull
#define AREA_STEP (1ull << 31) /* between areas, in hva */

const char *scn_size(uint64_t bytes)
{
	static char text[4][32];
	static unsigned int n;

	if (!bytes)
		return "0";
	n = (n + 1) % 4;
	s2c_describe_size(text[n], sizeof(text[n]), bytes);
	return text[n];
}

/* What the engine asks for */

static struct scn_area *area_of(struct scn_world *world, uint64_t hva)
{
	for (unsigned int i = 0; i < SCN_EACH; i++) {
		struct scn_area *area = &world->area[i];

		if (hva >= area->hva && hva - area->hva < area->size)
			return area;
	}
	return NULL;
}

/* Is all of the 2M around this page one block, in hva and hpa alike? */
static int is_block(const struct scn_area *area, uint64_t hva)
{
	uint64_t start = hva & ~(BLOCK - 1);
	const struct scn_page *page;

	if (start < area->hva || start + BLOCK > area->hva + area->size)
		return 0;
	page = &area->page[(start - area->hva) / PAGE];
	for (uint64_t i = 0; i < BLOCK / PAGE; i++)
		if (!page[i].hpa || page[i].kind == SCN_PAGES || page[i].kind != page->kind ||
		    page[i].hpa != page->hpa + i * PAGE)
			return 0;
	return !(page->hpa & (BLOCK - 1));
}

static int world_resolve(void *ctx, uint64_t hva, enum s2_access access, struct s2_page *page,
			 int result)
{
	struct scn_world *world = ctx;
	const struct scn_area *area = area_of(world, hva);
	const struct scn_page *p = area ? &area->page[(hva - area->hva) / PAGE] : NULL;

	(void)access;
	(void)result;
	result = S2_ENOENT;
	if (p && p->hpa) {
		int device = p->kind == SCN_DEVICE;

		*page = (struct s2_page){ .hpa = s2_hpa(p->hpa),
					  .size = is_block(area, hva) ? BLOCK : PAGE,
					  .prot = device ? S2_RW : S2_RWX,
					  .type = device ? S2_MEM_DEVICE : S2_MEM_NORMAL };
		result = 0;
	}
	(void)scn_meanwhile(world, SCN_LOOKUP);
	return result;
}

__attribute__((format(printf, 3, 4))) static void note(char *text, size_t n, const char *format,
						       ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, n - used, format, args);
	va_end(args);
}

static void note_op(struct scn_frame *frame, const struct s2_tlb_op *op)
{
	size_t n = sizeof(frame->tlb);
	const char *comma = frame->tlb[0] ? ", " : "";

	if (op->kind == S2_TLB_ALL)
		note(frame->tlb, n, "%sall", comma);
	else if (op->kind == S2_TLB_ENTRY)
		note(frame->tlb, n, "%s0x%llx", comma, (unsigned long long)op->gpa.gpa);
	else
		note(frame->tlb, n, "%s0x%llx+%s", comma, (unsigned long long)op->gpa.gpa,
		     scn_size(op->size));
	if (op->kind != S2_TLB_ALL)
		note(frame->tlb, n, "%s", op->flags & S2_TLB_LEAF ? "" : " and tables");
	if (op->flags & S2_TLB_LOCAL)
		note(frame->tlb, n, " (this CPU)");
}

static void world_tlb(void *ctx, const struct s2_tlb_op *ops, size_t n)
{
	struct scn_world *world = ctx;
	unsigned int invalidations = 0;

	for (size_t i = 0; world->frame && i < n; i++) {
		if (ops[i].kind == S2_TLB_PUBLISH)
			continue;
		note_op(world->frame, &ops[i]);
		invalidations++;
	}
	if (invalidations)
		(void)scn_meanwhile(world, SCN_BREAK);
	world->tlb(ctx, ops, n);
}

static void world_sync(void *ctx, s2_hpa_t hpa, uint64_t size, unsigned int kind)
{
	struct scn_world *world = ctx;

	if (world->frame) {
		world->frame->cleaned[0] += kind & S2_SYNC_DATA ? size : 0;
		world->frame->cleaned[1] += kind & S2_SYNC_INSN ? size : 0;
	}
	world->sync(ctx, hpa, size, kind);
}

/* One thread plays everybody: if the block that stands here does not help, nobody will. */
static void world_relax(void *ctx)
{
	struct scn_world *world = ctx;

	if (!world->frame || scn_meanwhile(world, SCN_WAIT) || ++world->frame->waits < FOR_EVER)
		return;
	scn_print(world->out, SCN_PRINT_FAILED, NULL, "'%s' waits for ever: %s",
		  world->frame->step->text,
		  world->frame->up ? "for the step that it interrupts, which cannot go on (one "
				     "thread plays everybody)"
				   : "nobody ends what it waits for ('while it waits:')");
	longjmp(world->stuck, 1);
}

/* Life */

struct scn_world *scn_world_new(struct scn_out *out, unsigned int flags)
{
	struct s2_vm_config config = { .pt = { .format = S2_FORMAT_ARM64_4K,
					       .ipa_bits = IPA_BITS,
					       .block_level = 1,
					       .cpu.pa_bits = 48 },
				       .flags = flags };
	const struct sim_config host = { .seed = 1, .cpu = config.pt.cpu, .watch = SIM_WATCH };
	size_t size = (sizeof(struct scn_world) + S2_CACHE_LINE - 1) & ~(S2_CACHE_LINE - 1ull);
	struct scn_world *world = aligned_alloc(S2_CACHE_LINE, size);

	if (!world)
		abort();
	memset(world, 0, size);
	world->out = out;
	sim_init(&world->sim, &host);
	world->sim.keep = 1;
	world->sim.on_resolve = world_resolve;
	world->sim.on_resolve_ctx = world;
	world->tlb = world->sim.port.tlb;
	world->sync = world->sim.port.cache_sync;
	world->sim.port.tlb = world_tlb;
	world->sim.port.cache_sync = world_sync;
	world->sim.port.relax = world_relax;
	if (s2_vm_init(&world->vm, &config, &world->sim.port))
		abort();
	for (unsigned int i = 0; i < SIM_CPUS; i++)
		s2_walker_init(&world->vcpu[i], &world->vm.pt);
	for (unsigned int i = 0; i < SCN_DEPTH; i++)
		s2_walker_init(&world->manager[i], &world->vm.pt);
	sim_thread(0, &world->manager[0]);
	sim_start(&world->sim, s2_arm64_vtcr(&world->vm.pt),
		  s2_arm64_vttbr(&world->vm.pt, SCN_VMID));
	return world;
}

void scn_world_stop(struct scn_world *world)
{
	for (unsigned int i = 0; i < SCN_EACH; i++) {
		if (world->hold[i].in_use)
			s2_hold_done(&world->hold[i]);
		s2_hold_fini(&world->hold[i]);
	}
	if (!world->spoilt)
		sim_idle(&world->sim, 0, 1ull << IPA_BITS);
	sim_stop(&world->sim);
	for (unsigned int i = 0; i < SIM_CPUS; i++)
		s2_walker_fini(&world->vcpu[i]);
	for (unsigned int i = 0; i < SCN_DEPTH; i++)
		s2_walker_fini(&world->manager[i]);
	sim_thread(0, NULL);
	s2_vm_fini(&world->vm);
	sim_fini(&world->sim);
}

void scn_world_free(struct scn_world *world)
{
	for (unsigned int i = 0; i < SCN_EACH; i++)
		free(world->area[i].page);
	free(world);
}

/* The host */

void scn_tell(struct scn_world *world, unsigned int kind, unsigned int op, uint64_t address,
	      uint64_t value)
{
	struct s2c_event event = { .kind = (uint8_t)kind,
				   .op = (uint8_t)op,
				   .cpu = (uint16_t)(world->frame ? world->frame->cpu : 0),
				   .address = address,
				   .value = value };

	pthread_mutex_lock(&world->sim.lock);
	if (s2c_event(world->sim.model, &event))
		sim_fail(&world->sim, "port-event: %s", s2c_error(world->sim.model));
	pthread_mutex_unlock(&world->sim.lock);
}

void scn_area_init(struct scn_world *world, unsigned int index, uint64_t size, uint64_t hpa)
{
	struct scn_area *area = &world->area[index];

	area->hva = SIM_HVA_BASE + index * AREA_STEP + (hpa & (BLOCK - 1));
	area->size = size;
	area->page = calloc(size / PAGE, sizeof(*area->page));
	if (!area->page)
		abort();
}

void scn_area_set(struct scn_world *world, unsigned int index, uint64_t offset, uint64_t size,
		  uint64_t hpa, enum scn_kind kind)
{
	struct scn_page *page = &world->area[index].page[offset / PAGE];

	for (uint64_t i = 0; i < size / PAGE; i++) {
		if (page[i].hpa)
			scn_tell(world, S2C_TAKE, 0, page[i].hpa, PAGE);
		page[i].hpa = hpa ? hpa + i * PAGE : 0;
		page[i].kind = (uint8_t)kind;
	}
	if (hpa)
		scn_tell(world, S2C_GIVE, 0, hpa, size);
	if (hpa && kind == SCN_DEVICE)
		scn_tell(world, S2C_DEVICE, 0, hpa, size);
}

/* Tables */

uint64_t scn_leaf(unsigned int level, uint64_t hpa, unsigned int prot)
{
	/* Normal memory, write-back, inner shareable, young; page or block. */
	uint64_t entry = hpa | 0x73c | (level ? 1 : 3);

	entry |= (prot & S2_R ? 1u << 6 : 0) | (prot & S2_W ? 1u << 7 : 0);
	return entry | (prot & S2_X ? 0 : 2ull << 53);
}

int scn_write_entry(struct scn_world *world, uint64_t gpa, unsigned int level, uint64_t value)
{
	const struct s2_pt *pt = &world->vm.pt;
	uint64_t table = s2_arm64_vttbr(pt, 0) & (TABLE_PA | 0xffe), old;
	unsigned int at = pt->root_level;
	uint64_t *entry;

	for (;; at--) {
		uint64_t index = gpa >> (12 + 9 * at);

		if (at < pt->root_level)
			index &= 511; /* the root is several tables in a row */
		entry = (uint64_t *)(uintptr_t)(table + world->sim.port.table_offset) + index;
		old = __atomic_load_n(entry, __ATOMIC_RELAXED);
		if (at == level)
			break;
		if ((old & 3) != 3)
			return 0;
		table = old & TABLE_PA;
	}
	while (!s2_hook_cas(entry, &old, value))
		;
	world->spoilt = 1;
	return 1;
}

const char *scn_path(struct scn_world *world, uint64_t gpa)
{
	static char texts[4][120];
	static unsigned int at;
	const size_t n = sizeof(texts[0]);
	char *text = texts[++at % 4];
	struct sim_leaf leaf;

	sim_translate(&world->sim, gpa, &leaf);
	text[0] = '\0';
	for (unsigned int level = world->vm.pt.root_level; level > leaf.level; level--)
		note(text, n, "L%u > ", level);
	note(text, n, "L%u ", leaf.level);
	if (!leaf.mapped)
		note(text, n, "nothing");
	else
		note(text, n, "%s 0x%llx %c%c%c%s", leaf.level ? "block" : "page",
		     (unsigned long long)(leaf.hpa & ~((1ull << (12 + 9 * leaf.level)) - 1)),
		     leaf.prot & S2_R ? 'r' : '-', leaf.prot & S2_W ? 'w' : '-',
		     (leaf.prot & S2_X) == S2_X ? 'x' : '-',
		     s2_memtype_is_device((enum s2_memtype)leaf.type) ? " device" : "");
	return text;
}

/* TLBs */

/* Old leaves side by side that are alike in all but the address. */
struct run {
	struct s2c_held first;
	struct s2c_leaf now; /* what the tables say of its first byte */
	uint64_t n;
};

#define RUNS 16

/* Is it the next one of this run? */
static int continues(const struct run *run, const struct s2c_held *held, const struct s2c_leaf *now)
{
	const struct s2c_held *first = &run->first;
	uint64_t offset = run->n * held->size;

	return held->gpa == first->gpa + offset && held->level == first->level &&
	       held->kind == first->kind && held->leaf == first->leaf &&
	       held->combined == first->combined && held->issued == first->issued &&
	       held->issued_combined == first->issued_combined && held->pa == first->pa + offset &&
	       held->rights == first->rights && now->mapped == run->now.mapped &&
	       now->level == run->now.level &&
	       (!now->mapped ||
		(now->pa == run->now.pa + offset && now->rights == run->now.rights));
}

static const char *rights(unsigned int rights)
{
	static char text[2][4];
	static unsigned int at;
	unsigned int exec = S2C_X | S2C_XP;

	at = !at;
	snprintf(text[at], sizeof(text[at]), "%c%c%c", rights & S2C_R ? 'r' : '-',
		 rights & S2C_W ? 'w' : '-', (rights & exec) == exec ? 'x' : '-');
	return text[at];
}

/* What stands in the tables in the place of these. */
static void note_now(char *text, size_t n, const struct s2c_leaf *now)
{
	uint64_t size = now->level ? BLOCK << (9 * (now->level - 1)) : PAGE;

	if (now->mapped)
		note(text, n, "0x%llx %s", (unsigned long long)(now->pa & ~(size - 1)),
		     rights(now->rights));
	else
		note(text, n, "nothing");
}

/* Which CPUs: nothing if it is all of them. */
static void note_cpus(char *text, size_t n, uint64_t cpus)
{
	uint64_t others = ~cpus & ((1ull << SIM_CPUS) - 1);

	if (!others)
		return;
	if (!(others & (others - 1)))
		note(text, n, ", not on CPU %u", (unsigned int)__builtin_ctzll(others));
	else if (!(cpus & (cpus - 1)))
		note(text, n, ", on CPU %u", (unsigned int)__builtin_ctzll(cpus));
	else
		note(text, n, ", on %u CPUs", (unsigned int)__builtin_popcountll(cpus));
}

/* "gpa 0x40001000: 511 pages 0x80001000 r-x -> nothing" */
static void describe(char *text, size_t n, const struct run *run)
{
	const struct s2c_held *first = &run->first;
	const char *what = first->level ? "block" : "page";

	note(text, n, "gpa 0x%llx: ", (unsigned long long)first->gpa);
	if (run->n > 1)
		note(text, n, "%llu %ss ", (unsigned long long)run->n, what);
	else
		note(text, n, "%s ", what);
	note(text, n, "0x%llx %s -> ", (unsigned long long)first->pa, rights(first->rights));
	note_now(text, n, &run->now);
	if (!first->leaf)
		note(text, n, ", combined");
	note_cpus(text, n, first->leaf | first->combined);
	if (first->issued | first->issued_combined)
		note(text, n, ", TLBI issued");
}

/* Collects runs of leaves, counts the rest. Returns how many runs there are. */
static unsigned int collect(struct scn_world *world, struct scn_held *held, struct run run[RUNS])
{
	struct s2c_held_walk walk;
	struct s2c_held it;
	struct s2c_leaf now;
	unsigned int n = 0, i;

	(void)s2c_held_begin(world->sim.model, SCN_VMID, 0, 1ull << IPA_BITS,
			     S2C_HELD_NOW | S2C_HELD_NARROWED | S2C_HELD_GONE, &walk);
	while (s2c_held_next(&walk, &it) == 1) {
		held->current += it.kind == S2C_HELD_NOW;
		held->old += it.kind != S2C_HELD_NOW;
		held->tables += it.kind != S2C_HELD_NOW && it.is_table;
		if (it.kind == S2C_HELD_NOW || it.is_table)
			continue;
		(void)s2c_translate(world->sim.model, SCN_VMID, it.gpa, &now);
		for (i = 0; i < n && !continues(&run[i], &it, &now); i++)
			;
		if (i < n)
			run[i].n++;
		else if (n < RUNS)
			run[n++] = (struct run){ it, now, 1 };
	}
	return n;
}

void scn_held(struct scn_world *world, struct scn_held *held)
{
	struct run run[RUNS];
	const struct run *most = run;
	unsigned int n, lines, i;
	char *last;

	memset(held, 0, sizeof(*held));
	n = collect(world, held, run);
	lines = n < SCN_HELD_LINES ? n : SCN_HELD_LINES;
	for (i = 0; i < lines; i++) {
		describe(held->line[i], sizeof(held->line[i]), &run[i]);
		if (run[i].n * run[i].first.size > most->n * most->first.size)
			most = &run[i];
	}
	if (n) {
		held->most = (unsigned int)(most - run);
		note(held->brief, sizeof(held->brief), "0x%llx %s -> ",
		     (unsigned long long)most->first.pa, rights(most->first.rights));
		note_now(held->brief, sizeof(held->brief), &most->now);
	}
	last = held->line[lines ? lines - 1 : 0];
	if (n > lines)
		note(last, sizeof(held->line[0]), "; and others");
	if (held->tables)
		note(last, sizeof(held->line[0]), "%s%llu %s", n ? "; " : "",
		     (unsigned long long)held->tables, scn_plural(held->tables, "table", "tables"));
}

int scn_held_news(struct scn_world *world)
{
	struct scn_held held;

	scn_held(world, &held);
	if (world->frame->step->verb != SCN_SHOW &&
	    !memcmp(held.line, world->told.line, sizeof(held.line)))
		return 0;
	world->told = held;
	return 1;
}

void scn_show_held(struct scn_world *world)
{
	const struct scn_held *held = &world->told;
	int all = world->out->json || world->frame->step->verb == SCN_SHOW;

	for (unsigned int i = 0; i < SCN_HELD_LINES && held->line[i][0]; i++)
		if (all || i == held->most)
			scn_print(world->out, SCN_PRINT_TLB, NULL, "%s", held->line[i]);
}
