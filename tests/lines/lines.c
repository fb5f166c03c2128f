/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two threads that work on different pages never write the same cache line (docs/design.md,
 * "Walkers, not locks"). The engine is instrumented and recorder.c writes down the lines; each case
 * carries out one operation on every page, half of the pages by each thread, then looks for lines
 * that one wrote and the other wrote or read: a line that is only read is as expensive to lose.
 *
 *   halves   each thread has 16 MiB in a row
 *   regions  they take turns by 2 MiB: each has tables of pages of its own
 *   pages    they take turns by page: eight entries share a line, so all lines of level-0 tables
 *            are written by both, and nothing else
 *
 * warm: all tables exist, as for a guest that has run for a while; nothing but those lines may be
 * shared. cold: the operation makes them, which writes two lines more: the tree's number of tables
 * (it has a quota), and the entries above the new tables, where neighbours share lines.
 *
 * stepped: one thread plays both in turns, page by page; always the same. free: two real threads.
 *
 * That it can fail: each way to share a line is tried on purpose (shared.c), and each case must
 * have seen exactly the lines of the tables that it wrote.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "world.h"

#define PAGES  (SIZE / PAGE / 2) /* of each thread */
#define TABLES (SIZE / BLOCK)

enum layout {
	HALVES,
	REGIONS,
	BY_PAGE,
	LAYOUTS
};
enum tables {
	WARM,
	COLD
};
enum mode {
	STEPPED,
	FREE,
	MODES
};

struct op {
	const char *name;
	void (*prepare)(struct world *w);
	void (*run)(struct world *w, unsigned int thread, uint64_t gpa);
	int writes; /* to entries */
	int makes;  /* tables: has a cold case too */
};

struct run {
	struct world *world;
	const struct op *op;
	enum layout layout;
	enum tables tables;
	unsigned int thread;
	pthread_barrier_t *start;
};

static struct world world;
static unsigned int cases, failures;

/* ---- operations ---- */

static void must_fault(struct world *w, struct s2_walker *walker, enum s2_fault_kind kind,
		       uint64_t gpa)
{
	struct s2_fault fault = { .gpa = s2_gpa(gpa), .access = S2_ACCESS_WRITE, .kind = kind };
	struct s2_exit exit;
	int ret = s2_fault(&w->vm, walker, &fault, &exit);

	must(!ret && exit.reason == S2_EXIT_RESUME && exit.size == PAGE, "s2_fault", gpa);
}

static void run_fault(struct world *w, unsigned int thread, uint64_t gpa)
{
	must_fault(w, &w->walkers[thread], S2_FAULT_TRANSLATION, gpa);
}

static void run_permission(struct world *w, unsigned int thread, uint64_t gpa)
{
	must_fault(w, &w->walkers[thread], S2_FAULT_PERMISSION, gpa);
}

static void run_access(struct world *w, unsigned int thread, uint64_t gpa)
{
	must_fault(w, &w->walkers[thread], S2_FAULT_ACCESS, gpa);
}

static void run_mmio(struct world *w, unsigned int thread, uint64_t gpa)
{
	struct s2_fault fault = { .gpa = s2_gpa(NOWHERE + gpa), .access = S2_ACCESS_WRITE };
	struct s2_exit exit;
	int ret = s2_fault(&w->vm, &w->walkers[thread], &fault, &exit);

	must(!ret && exit.reason == S2_EXIT_MMIO, "s2_fault without a slot", gpa);
}

static void run_map(struct world *w, unsigned int thread, uint64_t gpa)
{
	struct s2_walker *walker = &w->walkers[thread];
	struct s2_attr attr = { .prot = S2_RWX, .type = S2_MEM_NORMAL };
	struct s2_progress progress;
	struct s2_gather gather;
	int ret;

	s2_gather_init(&gather, &w->vm.pt);
	ret = s2_pt_map(&w->vm.pt, s2_gpa(gpa), s2_hpa(gpa), PAGE, attr, 0, walker, &gather,
			&progress);
	must(!ret && progress.changed == PAGE, "s2_pt_map", gpa);
	s2_gather_flush(&gather, walker);
}

/* Operations on what is mapped, for prepare (a whole slot) and run (a page) alike. */
enum change {
	UNMAP,
	PROTECT,
	RELAX,
	AGE
};

static void change(struct world *w, struct s2_walker *walker, enum change change, uint64_t gpa,
		   uint64_t size)
{
	static const char *const names[] = { "s2_pt_unmap", "s2_pt_protect", "s2_pt_relax",
					     "s2_pt_age" };
	struct s2_progress progress = { 0 };
	struct s2_pt *pt = &w->vm.pt;
	struct s2_gather gather;
	int ret = -1;

	s2_gather_init(&gather, pt);
	switch (change) {
	case UNMAP:
		ret = s2_pt_unmap(pt, s2_gpa(gpa), size, walker, &gather, &progress);
		break;
	case PROTECT:
		ret = s2_pt_protect(pt, s2_gpa(gpa), size, S2_W, walker, &gather, &progress);
		break;
	case RELAX:
		ret = s2_pt_relax(pt, s2_gpa(gpa), size, S2_W, walker, &gather, &progress);
		break;
	case AGE:
		ret = s2_pt_age(pt, s2_gpa(gpa), size, S2_AGE_CLEAR, walker, &gather, &progress);
		break;
	}
	must(!ret && progress.changed == size, names[change], gpa);
	s2_gather_flush(&gather, walker);
}

static void run_unmap(struct world *w, unsigned int thread, uint64_t gpa)
{
	change(w, &w->walkers[thread], UNMAP, gpa, PAGE);
}

static void run_protect(struct world *w, unsigned int thread, uint64_t gpa)
{
	change(w, &w->walkers[thread], PROTECT, gpa, PAGE);
}

static void run_relax(struct world *w, unsigned int thread, uint64_t gpa)
{
	change(w, &w->walkers[thread], RELAX, gpa, PAGE);
}

static void run_age(struct world *w, unsigned int thread, uint64_t gpa)
{
	change(w, &w->walkers[thread], AGE, gpa, PAGE);
}

static void run_lookup(struct world *w, unsigned int thread, uint64_t gpa)
{
	struct s2_leaf leaf;
	int ret = s2_pt_lookup(&w->vm.pt, s2_gpa(gpa), &w->walkers[thread], &leaf);

	must(!ret && leaf.hpa.hpa == gpa && leaf.level == 0, "s2_pt_lookup", gpa);
}

/* ---- what is there before ---- */

static void prefault(struct world *w, uint64_t gpa, uint64_t size)
{
	struct s2_progress progress;

	must(!s2_vm_prefault(&w->vm, s2_gpa(gpa), size, S2_ACCESS_WRITE, &w->walkers[MANAGER],
			     &progress),
	     "s2_vm_prefault", gpa);
}

/* One page of each table, so that the table is there: the cases pass over it. */
static void prepare_tables(struct world *w)
{
	for (uint64_t gpa = BASE; gpa < BASE + SIZE; gpa += BLOCK)
		prefault(w, gpa, PAGE);
}

static void prepare_full(struct world *w)
{
	prefault(w, BASE, SIZE);
}

static void prepare_readonly(struct world *w)
{
	prefault(w, BASE, SIZE);
	change(w, &w->walkers[MANAGER], PROTECT, BASE, SIZE);
}

static void prepare_old(struct world *w)
{
	prefault(w, BASE, SIZE);
	change(w, &w->walkers[MANAGER], AGE, BASE, SIZE);
}

/* What is above the level that a table of pages is linked at, which all have in common. */
static void prepare_top(struct world *w)
{
	struct s2_attr attr = { .prot = S2_RWX, .type = S2_MEM_NORMAL };
	struct s2_progress progress;
	struct s2_gather gather;
	uint64_t gpa = BASE + (BASE >> 1); /* under the same table of level 1 */

	s2_gather_init(&gather, &w->vm.pt);
	must(!s2_pt_map(&w->vm.pt, s2_gpa(gpa), s2_hpa(gpa), PAGE, attr, 0, &w->walkers[MANAGER],
			&gather, &progress),
	     "s2_pt_map", gpa);
	s2_gather_flush(&gather, &w->walkers[MANAGER]);
}

static const struct op ops[] = {
	{ "fault", prepare_tables, run_fault, 1, 1 },
	{ "fault, permission", prepare_readonly, run_permission, 1, 0 },
	{ "fault, access flag", prepare_old, run_access, 1, 0 },
	{ "fault, no slot", prepare_tables, run_mmio, 0, 0 },
	{ "map", prepare_tables, run_map, 1, 1 },
	{ "unmap", prepare_full, run_unmap, 1, 0 },
	{ "protect", prepare_full, run_protect, 1, 0 },
	{ "relax", prepare_readonly, run_relax, 1, 0 },
	{ "age", prepare_full, run_age, 1, 0 },
	{ "lookup", prepare_full, run_lookup, 0, 0 },
};

/* ---- running ---- */

/* Page i of a thread. */
static uint64_t page_of(enum layout layout, unsigned int thread, uint64_t i)
{
	switch (layout) {
	case HALVES:
		return BASE + thread * (SIZE / 2) + i * PAGE;
	case REGIONS:
		return BASE + (i / 512 * 2 + thread) * BLOCK + i % 512 * PAGE;
	default:
		return BASE + (2 * i + thread) * PAGE;
	}
}

static void one(const struct run *run, unsigned int thread, uint64_t i)
{
	uint64_t gpa = page_of(run->layout, thread, i);

	if (run->tables == COLD || gpa % BLOCK)
		run->op->run(run->world, thread, gpa);
}

static void *free_thread(void *arg)
{
	const struct run *run = arg;

	pthread_barrier_wait(run->start);
	record_to(&run->world->logs[run->thread]);
	for (uint64_t i = 0; i < PAGES; i++)
		one(run, run->thread, i);
	record_to(NULL);
	return NULL;
}

static void run_free(const struct run *run)
{
	pthread_barrier_t start;
	pthread_t threads[2];
	struct run each[2];

	must(!pthread_barrier_init(&start, NULL, 2), "pthread_barrier_init", 0);
	for (unsigned int i = 0; i < 2; i++) {
		each[i] = *run;
		each[i].thread = i;
		each[i].start = &start;
		must(!pthread_create(&threads[i], NULL, free_thread, &each[i]), "pthread_create",
		     0);
	}
	for (unsigned int i = 0; i < 2; i++)
		must(!pthread_join(threads[i], NULL), "pthread_join", 0);
	pthread_barrier_destroy(&start);
}

static void run_stepped(const struct run *run)
{
	for (uint64_t i = 0; i < PAGES; i++) {
		for (unsigned int thread = 0; thread < 2; thread++) {
			record_to(&run->world->logs[thread]);
			one(run, thread, i);
		}
	}
	record_to(NULL);
}

/* ---- judging ---- */

struct verdict {
	unsigned int wrote[2];   /* lines, by thread */
	unsigned int entries[2]; /* of these, in tables of level 0 */
	unsigned int both;       /* lines of level 0 that both wrote and may write */
	unsigned int known;      /* the others that may be shared here */
	unsigned int bad;
	enum line_kind bad_kind; /* of the last */
};

static int may_share(const struct run *run, const struct line_name *name)
{
	if (name->kind == LINE_TABLE && name->level == 0)
		return run->layout == BY_PAGE && run->op->writes;
	if (run->tables == WARM)
		return 0;
	return name->kind == LINE_COUNT ||
	       (name->kind == LINE_TABLE && name->level == 1 && run->layout != HALVES);
}

static void print_bad(const struct line_name *name, const struct line *a, const struct line *b)
{
	static const struct line none;
	extern const char __executable_start[];
	uintptr_t base = (uintptr_t)__executable_start;
	const struct line *lines[2] = { a ? a : &none, b ? b : &none };

	printf("# shared, and must not be: %s\n", name->text);
	for (unsigned int i = 0; i < 2; i++) {
		uintptr_t pc = lines[i]->wrote ? lines[i]->wrote : lines[i]->read;

		if (pc)
			printf("#     %s by %c: addr2line -fipe tests/lines/lines 0x%llx\n",
			       lines[i]->wrote ? "written" : "read", "AB"[i],
			       (unsigned long long)(pc - base - 1));
	}
}

/* A line that one of them wrote at least; each is looked at once. */
static void judge_line(const struct run *run, uintptr_t address, const struct line *a,
		       const struct line *b, struct verdict *verdict)
{
	struct line_name name;
	int entry;

	name_line(run->world, address, &name);
	entry = name.kind == LINE_TABLE && name.level == 0;
	verdict->wrote[0] += a && a->wrote;
	verdict->wrote[1] += b && b->wrote;
	verdict->entries[0] += entry && a && a->wrote;
	verdict->entries[1] += entry && b && b->wrote;
	if (!a || !b)
		return;
	if (!may_share(run, &name)) {
		verdict->bad_kind = name.kind;
		if (verdict->bad++ < 8)
			print_bad(&name, a, b);
	} else if (entry) {
		verdict->both += a->wrote && b->wrote;
	} else {
		verdict->known++;
		printf("# shared, as it may be: %s\n", name.text);
	}
}

static void judge(const struct run *run, struct verdict *verdict)
{
	const struct line_log *logs[2] = { &run->world->logs[0], &run->world->logs[1] };

	*verdict = (struct verdict){ 0 };
	for (unsigned int i = 0; i < LOG_SLOTS; i++) {
		const struct line *a = &logs[0]->lines[i], *b = &logs[1]->lines[i], *other;

		if (a->address) {
			other = line_find(logs[1], a->address);
			if (a->wrote || (other && other->wrote))
				judge_line(run, a->address, a, other, verdict);
		}
		if (b->wrote && !line_find(logs[0], b->address))
			judge_line(run, b->address, NULL, b, verdict);
	}
}

static void report(int ok, const char *name, const struct verdict *verdict)
{
	printf("%sok %u - %s: %u and %u lines written, %u of entries by both, %u known, %u bad\n",
	       ok ? "" : "not ", ++cases, name, verdict->wrote[0], verdict->wrote[1], verdict->both,
	       verdict->known, verdict->bad);
	failures += !ok;
}

static void run_case(const struct op *op, enum layout layout, enum tables tables, enum mode mode)
{
	static const char *const layouts[] = { "halves", "regions", "pages" };
	struct run run = { .world = &world, .op = op, .layout = layout, .tables = tables };
	unsigned int all = TABLES * PAGE / LINE_SIZE, each, ok;
	struct verdict verdict;
	char name[80];

	world_up(&world);
	if (tables == COLD)
		prepare_top(&world);
	else
		op->prepare(&world);
	if (mode == STEPPED)
		run_stepped(&run);
	else
		run_free(&run);
	judge(&run, &verdict);
	snprintf(name, sizeof(name), "%s, %s, %s, %s", op->name, layouts[layout],
		 tables == COLD ? "cold" : "warm", mode == STEPPED ? "stepped" : "free");
	each = !op->writes ? 0 : layout == BY_PAGE ? all : all / 2;
	ok = !verdict.bad && verdict.wrote[0] > each && verdict.wrote[1] > each &&
	     verdict.entries[0] == each && verdict.entries[1] == each &&
	     verdict.both == (layout == BY_PAGE ? each : 0);
	report(ok, name, &verdict);
	world_down(&world);
}

/* ---- that it can fail ---- */

static void case_shared(const char *name, void (*act)(struct shared *, unsigned int),
			unsigned int bad)
{
	struct run run = { .world = &world, .op = &ops[0], .layout = HALVES, .tables = WARM };
	struct verdict verdict;

	world_up(&world);
	for (unsigned int thread = 0; thread < 2; thread++) {
		record_to(&world.logs[thread]);
		act(&world.shared, thread);
	}
	record_to(NULL);
	printf("# the next is on purpose:\n");
	judge(&run, &verdict);
	report(verdict.bad == bad && (!bad || verdict.bad_kind == LINE_SHARED), name, &verdict);
	world_down(&world);
}

/* Both threads look up with one walker: its section, for one, is then written by both. */
static void run_one_walker(struct world *w, unsigned int thread, uint64_t gpa)
{
	(void)thread;
	run_lookup(w, 0, gpa);
}

static void case_one_walker(void)
{
	static const struct op op = { "one walker", prepare_full, run_one_walker, 0, 0 };
	struct run run = { .world = &world, .op = &op, .layout = HALVES, .tables = WARM };
	uintptr_t section = (uintptr_t)&world.walkers[A].section;
	struct verdict verdict;

	world_up(&world);
	op.prepare(&world);
	run_stepped(&run);
	printf("# the next is on purpose:\n");
	judge(&run, &verdict);
	report(verdict.bad > 0 && line_find(&world.logs[1], section), "two threads, one walker",
	       &verdict);
	world_down(&world);
}

int main(void)
{
	for (unsigned int i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		for (int layout = 0; layout < LAYOUTS; layout++)
			for (int tables = WARM; tables <= (ops[i].makes ? COLD : WARM); tables++)
				for (int mode = 0; mode < MODES; mode++)
					run_case(&ops[i], (enum layout)layout, (enum tables)tables,
						 (enum mode)mode);
	case_shared("a shared counter is noticed", shared_counter, 1);
	case_shared("neighbours in a line are noticed", shared_neighbours, 1);
	case_shared("a lost race is noticed", shared_lost_race, 1);
	case_shared("a copied structure is noticed", shared_copy, 1);
	case_shared("memset is noticed", shared_clear, 1);
	case_shared("a line that the other reads is noticed", shared_look, 1);
	case_shared("lines of one's own are no matter", shared_nothing, 0);
	case_one_walker();
	printf("1..%u\n", cases);
	return failures != 0;
}
