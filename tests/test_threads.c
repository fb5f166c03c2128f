// SPDX-License-Identifier: BSD-2-Clause
/*
 * Everything at once: vCPUs fault in parallel on the same and on different pages while the host
 * takes memory away and gives other memory back, slots come and go, leaves are aged and split, and
 * somebody dumps the tables; or many hold one range for themselves in turn, while others change its
 * pages one by one. One program, three builds: with hooks, where the simulated machine judges every
 * change and every translation that a TLB could hold; without hooks under the thread sanitizer,
 * which judges the memory accesses of the engine itself; and bare, as fast as it goes, also with
 * a port whose barrier() is the kernel's (membarrier(2)), which no sanitizer understands.
 *
 * What each thread can be sure of although the others run:
 *   host   from begin to end nothing of its range is mapped, or cached in any TLB; afterwards only
 *	    what it put there (it alone changes what backs the guest)
 *   slots  after a slot is gone nothing of it is mapped
 *   vCPU   a fault that was served is served again, or memory was taken away meanwhile
 *   rights, ages, page: each changes what no other changes (a right, the age; of all pages or of
 *	    one), so it finds it as it left it, however many change the same entries
 *   carver it finds its range as it left it, while tables come and go
 * and at the end, when all is quiet: what is mapped is exactly what slots and host say.
 */
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fixture.h"

#define VCPUS      3
#define RAM        (GIB - 4 * BLOCK) /* a slot across a gigabyte boundary, backed by chunks 0..7 */
#define RAM_BLOCKS 8
#define HOTPLUG    (16 * GIB) /* slots that come and go, backed by chunks 8..11 */
#define PLUGS      4
#define NOWHERE    (100 * GIB) /* nobody maps there */
#define BULK       (32 * GIB)  /* no slot: pages of which many hold all, or one */
#define BULK_SIZE  (2 * BLOCK)
#define CARVED     (BULK + BULK_SIZE) /* beside it: tables come and go */

static struct fixture fix;
static struct fixture *const f = &fix;
static struct s2_memslot ram, plug[PLUGS];
static uint64_t rounds = 4000;
static int running;
static enum sim_watch watched = SIM_WATCH;
static int membarrier; /* the port has a barrier() */

static void broken(const char *what, uint64_t gpa)
{
	sim_fail(&f->sim, "%s at 0x%llx", what, (unsigned long long)gpa);
}

static int level_at(struct s2_walker *walker, uint64_t gpa, struct s2_leaf *leaf)
{
	return s2_pt_lookup(&f->vm.pt, s2_gpa(gpa), walker, leaf) ? -1 : leaf->level;
}

static uint64_t pick_gpa(uint64_t *rng)
{
	uint64_t dice = sim_random(rng);
	uint64_t gpa = RAM + (dice >> 8) % (RAM_BLOCKS * BLOCK);

	if (dice % 4 == 0) /* few pages, so that vCPUs meet */
		gpa = RAM + (dice >> 8) % 8 * (BLOCK - PAGE);
	if (dice % 8 == 1)
		gpa = HOTPLUG + (dice >> 8) % (PLUGS * BLOCK);
	return gpa;
}

static void vcpu_fault(struct s2_walker *walker, uint64_t *rng)
{
	uint64_t dice = sim_random(rng);
	struct s2_fault fault = { .gpa = s2_gpa(pick_gpa(rng)),
				  .access = dice % 3,
				  .kind = dice >> 8 & 7    ? 0
					  : dice >> 16 & 1 ? 1
							   : 2 };
	struct s2_exit exit;

	if (s2_fault(&f->vm, walker, &fault, &exit))
		broken("fault failed", fault.gpa.gpa);
	if (exit.reason != S2_EXIT_RESUME &&
	    (exit.reason == S2_EXIT_MEMORY || fault.gpa.gpa < HOTPLUG))
		broken("unexpected exit", fault.gpa.gpa);
	if (f->sim.model)
		sim_idle(&f->sim, NOWHERE, PAGE); /* what it made is published */
}

static void *vcpu(void *arg)
{
	unsigned int cpu = (unsigned int)(uintptr_t)arg;
	uint64_t rng = 77 + cpu;
	struct s2_walker walker;

	s2_walker_init(&walker, &f->vm.pt);
	sim_thread(cpu, &walker);
	for (uint64_t n = 0; n < rounds * 4; n++) {
		if (n % 512 == 511) { /* vCPUs come and go as well */
			s2_walker_fini(&walker);
			s2_walker_init(&walker, &f->vm.pt);
		}
		vcpu_fault(&walker, &rng);
	}
	s2_walker_fini(&walker);
	sim_thread(cpu, NULL);
	return NULL;
}

static void expect_empty(struct s2_walker *walker, uint64_t gpa, uint64_t size)
{
	struct s2_leaf leaf;

	for (uint64_t off = 0; off < size; off += PAGE)
		if (level_at(walker, gpa + off, &leaf) >= 0)
			broken("mapped although it was taken away", gpa + off);
	if (f->sim.model)
		sim_idle_empty(&f->sim, gpa, size);
}

/* Another backing for one chunk of RAM: a block, or pages. */
static void host_round(struct s2_walker *walker, uint64_t *rng)
{
	uint64_t dice = sim_random(rng), n = dice % RAM_BLOCKS, color = dice >> 8 & 3;
	uint64_t gpa = RAM + n * BLOCK, size = BLOCK;
	struct sim_chunk chunk = { .hpa = fixture_hpa((unsigned int)n) + (color << 34),
				   .shift = dice >> 16 & 1 ? 12 : 21,
				   .prot = S2_RWX };
	struct s2_leaf leaf;

	if (s2_vm_invalidate_begin(&f->vm, s2_gpa(gpa), size, S2_INVAL_UNMAP, walker))
		broken("begin failed", gpa);
	expect_empty(walker, gpa, size);
	sim_host_wrote(&f->sim, f->sim.chunks[n].hpa, size);
	sim_set_chunk(&f->sim, n, &chunk);
	expect_empty(walker, gpa, size);
	s2_vm_invalidate_end(&f->vm, s2_gpa(gpa), size);
	for (uint64_t off = 0; off < size; off += 61 * PAGE)
		if (level_at(walker, gpa + off, &leaf) >= 0 &&
		    leaf.hpa.hpa - chunk.hpa != leaf.gpa.gpa - gpa)
			broken("mapped to what was there before", gpa + off);
	/* A part that is not a block: pages only, and the same memory again. */
	gpa += (dice >> 20) % 500 * PAGE;
	size = ((dice >> 32) % 12 + 1) * PAGE;
	if (s2_vm_invalidate_begin(&f->vm, s2_gpa(gpa), size, S2_INVAL_UNMAP, walker))
		broken("begin failed", gpa);
	expect_empty(walker, gpa, size);
	s2_vm_invalidate_end(&f->vm, s2_gpa(gpa), size);
}

static void *host(void *arg)
{
	uint64_t rng = 5;
	struct s2_walker walker;

	(void)arg;
	s2_walker_init(&walker, &f->vm.pt);
	sim_thread(0, &walker);
	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE))
		host_round(&walker, &rng);
	s2_walker_fini(&walker);
	return NULL;
}

static void slot_round(struct s2_walker *walker, uint64_t *rng)
{
	uint64_t dice = sim_random(rng), i = dice % PLUGS, gpa = HOTPLUG + i * BLOCK;
	struct s2_memslot to = plug[i];

	if (!plug[i].size) {
		plug[i].gpa = s2_gpa(gpa);
		plug[i].hva = s2_hva(sim_hva(8 + i));
		plug[i].size = dice >> 8 & 1 ? BLOCK : 19 * PAGE;
		if (s2_vm_slot_add(&f->vm, &plug[i]))
			broken("slot_add failed", gpa);
	} else if (dice >> 9 & 1) {
		to.size = to.size == BLOCK ? 5 * PAGE : BLOCK;
		to.hva = s2_hva(sim_hva(8 + (dice >> 10) % 4));
		if (s2_vm_slot_change(&f->vm, &plug[i], &to, walker))
			broken("slot_change failed", gpa);
		expect_empty(walker, gpa + to.size, BLOCK - to.size);
	} else {
		if (s2_vm_slot_del(&f->vm, &plug[i], walker))
			broken("slot_del failed", gpa);
		memset(&plug[i], 0, sizeof(plug[i]));
		expect_empty(walker, gpa, BLOCK);
	}
}

static void *slots(void *arg)
{
	uint64_t rng = 11;
	struct s2_walker walker;

	(void)arg;
	s2_walker_init(&walker, &f->vm.pt);
	sim_thread(VCPUS + 1, &walker);
	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE))
		slot_round(&walker, &rng);
	s2_walker_fini(&walker);
	return NULL;
}

/* Aging and eager splitting, and a dump of all leaves. */
static void *management(void *arg)
{
	struct s2_progress progress;
	struct s2_gather gather;
	struct s2_walker walker;
	struct s2_leaf leaf;
	uint64_t rng = 13;

	(void)arg;
	s2_walker_init(&walker, &f->vm.pt);
	s2_gather_init(&gather, &f->vm.pt);
	sim_thread(VCPUS + 2, &walker);
	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE)) {
		uint64_t gpa = RAM + sim_random(&rng) % RAM_BLOCKS * BLOCK, at = 0;

		if (s2_pt_age(&f->vm.pt, s2_gpa(gpa), BLOCK, S2_AGE_CLEAR, &walker, &gather,
			      &progress))
			broken("age failed", gpa);
		s2_gather_flush(&gather, &walker);
		if (s2_pt_split(&f->vm.pt, s2_gpa(gpa), BLOCK, 0, &walker, &gather, &progress))
			broken("split failed", gpa);
		s2_gather_flush(&gather, &walker);
		while (!s2_pt_next(&f->vm.pt, s2_gpa(at), &walker, &leaf)) {
			if (leaf.gpa.gpa + leaf.size <= at || leaf.size < PAGE)
				broken("dump goes back", at);
			at = leaf.gpa.gpa + leaf.size;
		}
	}
	s2_walker_fini(&walker);
	return NULL;
}

/* All quiet: every leaf is what its slot and chunk say. */
static void check_end(void)
{
	struct s2_memslot slot;
	struct s2_leaf leaf;
	uint64_t gpa = 0;

	while (!s2_pt_next(&f->vm.pt, s2_gpa(gpa), &f->walker, &leaf)) {
		const struct sim_chunk *chunk;
		uint64_t hva;

		if (s2_vm_slot_find(&f->vm, leaf.gpa, &f->walker, &slot))
			broken("a leaf without a slot", leaf.gpa.gpa);
		if (leaf.gpa.gpa + leaf.size > slot.gpa.gpa + slot.size)
			broken("a leaf across the end of its slot", leaf.gpa.gpa);
		hva = slot.hva.hva + (leaf.gpa.gpa - slot.gpa.gpa) - SIM_HVA_BASE;
		chunk = &f->sim.chunks[hva >> SIM_CHUNK_SHIFT];
		if (leaf.hpa.hpa != chunk->hpa + (hva & (BLOCK - 1)))
			broken("a leaf to the wrong page", leaf.gpa.gpa);
		gpa = leaf.gpa.gpa + leaf.size;
	}
}

/* Everything that the others may have in their store buffers is out when it returns. */
static void kernel_barrier(void *ctx)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
		sim_fail(ctx, "membarrier(2) failed");
}

static void up(uint32_t features, uint8_t bbm)
{
	const struct sim_config sim = { .watch = (uint8_t)watched, .barrier = (uint8_t)membarrier };
	struct s2_vm_config config = fixture_config();

	config.pt.cpu.features = features;
	config.pt.cpu.bbm = bbm;
	fixture_up_sim(f, &config, &sim);
	if (membarrier)
		f->sim.port.barrier = kernel_barrier;
}

static void run(uint32_t features, uint8_t bbm)
{
	pthread_t threads[VCPUS], others[3];
	void *(*const other[])(void *) = { host, slots, management };

	up(features, bbm);
	if (fixture_slot(f, &ram, RAM, RAM_BLOCKS * BLOCK, sim_hva(0), 0))
		broken("slot_add failed", RAM);
	memset(plug, 0, sizeof(plug));
	__atomic_store_n(&running, 1, __ATOMIC_RELEASE);
	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&others[i], NULL, other[i], NULL);
	for (uintptr_t i = 0; i < VCPUS; i++)
		pthread_create(&threads[i], NULL, vcpu, (void *)(i + 1));
	for (int i = 0; i < VCPUS; i++)
		pthread_join(threads[i], NULL);
	__atomic_store_n(&running, 0, __ATOMIC_RELEASE);
	for (int i = 0; i < 3; i++)
		pthread_join(others[i], NULL);
	check_end();
	fixture_down(f);
}

/* A thread of those that share BULK. */
struct worker {
	struct s2_walker walker;
	struct s2_gather gather;
	struct s2_progress progress;
	uint64_t rng;
};

static void worker_up(struct worker *w, unsigned int cpu)
{
	s2_walker_init(&w->walker, &f->vm.pt);
	s2_gather_init(&w->gather, &f->vm.pt);
	sim_thread(cpu, &w->walker);
	w->rng = 99 + cpu;
}

static void worker_down(struct worker *w)
{
	s2_walker_fini(&w->walker);
	sim_thread(0, NULL);
}

typedef int change_fn(struct s2_pt *pt, s2_gpa_t gpa, uint64_t size, unsigned int prot,
		      struct s2_walker *walker, struct s2_gather *gather,
		      struct s2_progress *progress);

static void change(struct worker *w, change_fn *fn, uint64_t gpa, uint64_t size, unsigned int prot)
{
	int ret = fn(&f->vm.pt, s2_gpa(gpa), size, prot, &w->walker, &w->gather, &w->progress);

	s2_gather_flush(&w->gather, &w->walker);
	if (ret || w->progress.changed != size)
		broken("rights: not all changed", gpa);
}

/* Some pages of the range have this right, or not. */
static void expect_right(struct worker *w, uint64_t gpa, uint64_t size, unsigned int prot, int has)
{
	struct s2_leaf leaf;

	for (uint64_t i = 0; i < 16 && i < size / PAGE; i++) {
		uint64_t at = gpa + sim_random(&w->rng) % size;

		if (level_at(&w->walker, at, &leaf) != 0)
			broken("not a page any more", at);
		if (((leaf.attr.prot & prot) != 0) != has)
			broken(has ? "lost a right" : "a right came back", at);
	}
}

/* Holds all for itself, for a right that is nobody else's. */
static void *rights(void *arg)
{
	static struct worker worker;
	struct worker *w = &worker;

	(void)arg;
	worker_up(w, 0);
	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE)) {
		change(w, s2_pt_protect, BULK, BULK_SIZE, S2_W);
		expect_right(w, BULK, BULK_SIZE, S2_W, 0);
		change(w, s2_pt_relax, BULK, BULK_SIZE, S2_W);
		expect_right(w, BULK, BULK_SIZE, S2_W, 1);
	}
	worker_down(w);
	return NULL;
}

/* The same for the age. */
static void *ages(void *arg)
{
	static struct worker worker;
	struct worker *w = &worker;
	struct s2_leaf leaf;

	(void)arg;
	worker_up(w, 1);
	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE)) {
		for (int how = S2_AGE_CLEAR; how <= S2_AGE_SET; how++) {
			uint64_t at = BULK + sim_random(&w->rng) % BULK_SIZE;

			if (s2_pt_age(&f->vm.pt, s2_gpa(BULK), BULK_SIZE, (enum s2_age)how,
				      &w->walker, &w->gather, &w->progress))
				broken("age failed", BULK);
			s2_gather_flush(&w->gather, &w->walker);
			if (level_at(&w->walker, at, &leaf) != 0)
				broken("not a page any more", at);
			/* Hardware makes old ones young, if it has a hand in it. */
			if (leaf.young != (how == S2_AGE_SET) && !(leaf.young && f->sim.regime.ha))
				broken("not as old as it was made", at);
		}
	}
	worker_down(w);
	return NULL;
}

/* Page by page, going straight there: every second page is this one's, for execution. */
static void *page(void *arg)
{
	static struct worker workers[2];
	unsigned int me = (unsigned int)(uintptr_t)arg;
	struct worker *w = &workers[me];

	worker_up(w, 2 + me);
	for (uint64_t n = 0; n < rounds; n++) {
		uint64_t start =
			BULK + me * PAGE + sim_random(&w->rng) % (BULK_SIZE / BLOCK) * BLOCK;

		start += sim_random(&w->rng) % 240 * 2 * PAGE;
		for (uint64_t gpa = start; gpa < start + 32 * PAGE; gpa += 2 * PAGE) {
			change(w, s2_pt_protect, gpa, PAGE, S2_X);
			expect_right(w, gpa, PAGE, S2_X, 0);
		}
		for (uint64_t gpa = start; gpa < start + 32 * PAGE; gpa += 2 * PAGE) {
			change(w, s2_pt_relax, gpa, PAGE, S2_X);
			expect_right(w, gpa, PAGE, S2_X, 1);
		}
	}
	worker_down(w);
	return NULL;
}

static void carve_map(struct worker *w, uint64_t gpa, uint64_t hpa, uint64_t size, unsigned int how)
{
	if (s2_pt_map(&f->vm.pt, s2_gpa(gpa), s2_hpa(hpa), size,
		      fixture_attr(S2_RWX, S2_MEM_NORMAL), how, &w->walker, &w->gather,
		      &w->progress))
		broken("map failed", gpa);
}

/* Pages, one by one or at once; blocks over them; parts of a block; nothing. */
static void *carver(void *arg)
{
	static struct worker worker;
	struct worker *w = &worker;
	struct s2_leaf leaf;

	(void)arg;
	worker_up(w, 4);
	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE)) {
		uint64_t n = 1 + sim_random(&w->rng) % 3, at = sim_random(&w->rng) % (n * BLOCK);

		for (uint64_t i = 0; i < 8; i++)
			carve_map(w, CARVED + i * PAGE, BULK + i * PAGE, PAGE, 0);
		carve_map(w, CARVED, BULK, n * BLOCK, S2_MAP_PAGES);
		s2_gather_flush(&w->gather, &w->walker);
		if (level_at(&w->walker, CARVED + at, &leaf) != 0)
			broken("not a page", at);
		carve_map(w, CARVED, BULK, n * BLOCK, S2_MAP_REPLACE);
		s2_gather_flush(&w->gather, &w->walker);
		if (level_at(&w->walker, CARVED + at, &leaf) != 1)
			broken("not a block", at);
		for (int part = 0; part < 2; part++) {
			if (s2_pt_unmap(&f->vm.pt, s2_gpa(CARVED + (part ? 0 : at & -PAGE)),
					part ? 3 * BLOCK : PAGE, &w->walker, &w->gather,
					&w->progress))
				broken("unmap failed", at);
			s2_gather_flush(&w->gather, &w->walker);
			if (level_at(&w->walker, CARVED + at, &leaf) != -1)
				broken("unmapped, and there", at);
		}
	}
	worker_down(w);
	return NULL;
}

static void share(uint32_t features)
{
	void *(*const body[])(void *) = { rights, ages, carver };
	pthread_t pages[2], others[3];

	up(features, 0);
	if (fixture_map(f, BULK, BULK, BULK_SIZE, S2_RWX, S2_MAP_PAGES))
		broken("map failed", BULK);
	__atomic_store_n(&running, 1, __ATOMIC_RELEASE);
	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&others[i], NULL, body[i], NULL);
	for (uintptr_t i = 0; i < 2; i++)
		pthread_create(&pages[i], NULL, page, (void *)i);
	for (int i = 0; i < 2; i++)
		pthread_join(pages[i], NULL);
	__atomic_store_n(&running, 0, __ATOMIC_RELEASE);
	for (int i = 0; i < 3; i++)
		pthread_join(others[i], NULL);
	for (uint64_t gpa = BULK; gpa < BULK + BULK_SIZE; gpa += PAGE)
		if (fixture_level(f, gpa) || f->leaf.attr.prot != S2_RWX || f->leaf.hpa.hpa != gpa)
			broken("not as it was", gpa);
	fixture_down(f);
}

static void test_shared(void **state)
{
	(void)state;
	share(S2_CPU_FWB | S2_CPU_DIC | S2_CPU_TLB_RANGE | S2_CPU_TLB_LEVEL);
}

static void test_shared_hardware_age(void **state)
{
	(void)state;
	share(S2_CPU_FWB | S2_CPU_DIC | S2_CPU_TLB_RANGE | S2_CPU_HA);
}

static void test_plain(void **state)
{
	(void)state;
	run(0, 0);
}

static void test_all_features(void **state)
{
	(void)state;
	run(S2_CPU_FWB | S2_CPU_DIC | S2_CPU_TLB_RANGE | S2_CPU_TLB_LEVEL | S2_CPU_XNX, 2);
}

static void test_hardware_age(void **state)
{
	(void)state;
	run(S2_CPU_HA | S2_CPU_TLB_RANGE, 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_all_features),
		cmocka_unit_test(test_hardware_age),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_shared_hardware_age),
	};

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--blind") == 0)
			watched = SIM_BLIND;
		else if (strcmp(argv[i], "--membarrier") == 0)
			membarrier = 1;
		else
			rounds = strtoull(argv[i], NULL, 0);
	}
	if (membarrier &&
	    syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0)) {
		fprintf(stderr, "threads: this kernel has no membarrier(2)\n");
		return 77; /* skipped */
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
