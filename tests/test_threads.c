// SPDX-License-Identifier: BSD-2-Clause
/*
 * Everything at once: vCPUs fault in parallel on the same and on different pages while the host
 * takes memory away and gives other memory back, slots come and go, leaves are aged and split, and
 * somebody dumps the tables. One program, two builds: with hooks, where the simulated machine
 *judges every change and every translation that a TLB could hold; and without hooks under the
 *thread sanitizer, which judges the memory accesses of the engine itself.
 *
 * What each thread can be sure of although the others run:
 *   host   from begin to end nothing of its range is mapped, or cached in any TLB; afterwards only
 *	    what it put there (it alone changes what backs the guest)
 *   slots  after a slot is gone nothing of it is mapped
 *   vCPU   a fault that was served is served again, or memory was taken away meanwhile
 * and at the end, when all is quiet: what is mapped is exactly what slots and host say.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

#define VCPUS      3
#define RAM        (GIB - 4 * BLOCK) /* a slot across a gigabyte boundary, backed by chunks 0..7 */
#define RAM_BLOCKS 8
#define HOTPLUG    (16 * GIB) /* slots that come and go, backed by chunks 8..11 */
#define PLUGS      4
#define NOWHERE    (100 * GIB) /* nobody maps there */

static struct fixture fix;
static struct fixture *const f = &fix;
static struct s2_memslot ram, plug[PLUGS];
static uint64_t rounds = 4000;
static int running;

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

	if (s2_vm_invalidate_begin(&f->vm, s2_gpa(gpa), size, walker))
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
	if (s2_vm_invalidate_begin(&f->vm, s2_gpa(gpa), size, walker))
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

static void run(uint32_t features, uint8_t bbm, enum sim_watch watch)
{
	struct s2_vm_config config = fixture_config();
	pthread_t threads[VCPUS], others[3];
	void *(*const other[])(void *) = { host, slots, management };

	config.pt.cpu.features = features;
	config.pt.cpu.bbm = bbm;
	fixture_up_watch(f, &config, watch);
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

static enum sim_watch watched = SIM_WATCH;

static void test_plain(void **state)
{
	(void)state;
	run(0, 0, watched);
}

static void test_all_features(void **state)
{
	(void)state;
	run(S2_CPU_FWB | S2_CPU_DIC | S2_CPU_TLB_RANGE | S2_CPU_TLB_LEVEL | S2_CPU_XNX, 2, watched);
}

static void test_hardware_age(void **state)
{
	(void)state;
	run(S2_CPU_HA | S2_CPU_TLB_RANGE, 0, watched);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_all_features),
		cmocka_unit_test(test_hardware_age),
	};

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--blind") == 0)
			watched = SIM_BLIND;
		else
			rounds = strtoull(argv[i], NULL, 0);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
