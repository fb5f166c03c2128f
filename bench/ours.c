// SPDX-License-Identifier: BSD-2-Clause
/*
 * Our engine as a subject: the calls that a hypervisor makes for each piece (a gather, the
 * operation, the flush), on a port whose tlb() is the one of ports/el2 with counted instructions.
 *
 * The tree is a guest address space with one slot over all of it, so that faults find their memory;
 * all other operations go to its tree directly. A walker for each thread.
 */
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <stage2/arm64.h>
#include <stage2/vm.h>

#include "../ports/el2/el2.h"
#include "../ports/el2/tlb.h"
#include "insn.h"
#include "pages.h"
#include "subject.h"

#define PAGE      4096ull
#define IPA_BITS  48
#define SLOT_SIZE (1ull << (IPA_BITS - 1))
#define ESR_ABORT                                                                      \
	(0x24ull << 26 | 1ull << 25) /* data abort from a lower EL, 32-bit instruction \
				      */
#define ESR_WRITE  (1ull << 6)
#define ESR_LEVEL3 0x07ull /* translation fault, the manual's level 3 */

struct thread {
	struct s2_walker walker;
	struct bench_count count;
	uint64_t fault_offset; /* resolve(): hpa - hva */
} __attribute__((aligned(128)));

struct ours {
	struct s2_vm vm;
	struct el2_port el2;
	struct s2_memslot slot;
	unsigned int threads;
	int destroyed;
	struct thread thread[BENCH_THREADS];
};

__thread struct bench_count *insn_count;
int bench_hardware_af;
static __thread struct thread *self;

static void die(const char *what, int error)
{
	fprintf(stderr, "bench: ours: %s: %s\n", what, s2_strerror(error));
	exit(2);
}

static void *table_alloc(void *ctx, unsigned int order)
{
	(void)ctx;
	return bench_page_alloc(order);
}

static void table_free(void *ctx, void *table, unsigned int order)
{
	(void)ctx;
	bench_page_free(table, order);
}

static int resolve(void *ctx, s2_hva_t hva, enum s2_access access, struct s2_page *page)
{
	(void)ctx;
	(void)access;
	*page = (struct s2_page){ .hpa = s2_hpa(hva.hva + self->fault_offset),
				  .size = PAGE,
				  .prot = S2_RWX,
				  .type = S2_MEM_NORMAL };
	return 0;
}

static void cache_sync(void *ctx, s2_hpa_t hpa, uint64_t size, unsigned int kind)
{
	(void)ctx;
	(void)hpa;
	(void)size;
	(void)kind;
	insn_count->cache++;
}

static void relax(void *ctx)
{
	(void)ctx;
#if defined(__x86_64__)
	__asm__ volatile("pause" : : : "memory");
#elif defined(__aarch64__)
	__asm__ volatile("yield" : : : "memory");
#endif
}

/* All threads of this process are those that can be inside a section. */
static void barrier(void *ctx)
{
	(void)ctx;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0)) {
		perror("bench: membarrier");
		exit(2);
	}
}

static void barrier_register(void)
{
	static int registered;

	if (!registered &&
	    syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0)) {
		perror("bench: membarrier");
		exit(2);
	}
	registered = 1;
}

/* The calling thread works on this tree now. */
static void become(struct ours *ours, unsigned int thread)
{
	self = &ours->thread[thread];
	insn_count = &self->count;
}

static void *open_tree(unsigned int threads)
{
	struct s2_vm_config config = {
		.pt = { .format = S2_FORMAT_ARM64_4K,
			.ipa_bits = IPA_BITS,
			.block_level = 2,
			.cpu = { .features = S2_CPU_FWB | S2_CPU_DIC | S2_CPU_TLB_RANGE |
					     S2_CPU_TLB_LEVEL,
				 .pa_bits = 48 } },
	};
	struct ours *ours = aligned_alloc(4096, (sizeof(*ours) + 4095) & ~4095ul);
	int ret;

	if (!ours)
		die("open", S2_ENOMEM);
	memset(ours, 0, sizeof(*ours));
	if (bench_hardware_af)
		config.pt.cpu.features |= S2_CPU_HA;
	ours->threads = threads;
	become(ours, 0);
	barrier_register();
	ours->el2.cpu = config.pt.cpu;
	ours->el2.port = (struct s2_port){ .version = S2_PORT_VERSION,
					   .ctx = &ours->el2,
					   .table_offset = bench_pages_offset,
					   .table_alloc = table_alloc,
					   .table_free = table_free,
					   .resolve = resolve,
					   .tlb = el2_tlb,
					   .cache_sync = cache_sync,
					   .relax = relax,
					   .barrier = barrier };
	ret = s2_vm_init(&ours->vm, &config, &ours->el2.port);
	if (ret)
		die("s2_vm_init", ret);
	ours->slot.size = SLOT_SIZE;
	ret = s2_vm_slot_add(&ours->vm, &ours->slot);
	if (ret)
		die("s2_vm_slot_add", ret);
	for (unsigned int t = 0; t < threads; t++)
		s2_walker_init(&ours->thread[t].walker, &ours->vm.pt);
	return ours;
}

static void destroy(struct ours *ours)
{
	for (unsigned int t = 0; t < ours->threads; t++)
		s2_walker_fini(&ours->thread[t].walker);
	s2_vm_fini(&ours->vm);
	ours->destroyed = 1;
}

static void close_tree(void *tree)
{
	struct ours *ours = tree;

	become(ours, 0);
	if (!ours->destroyed)
		destroy(ours);
	free(ours);
}

static inline uint64_t offset_of(const struct bench_job *job, uint32_t i)
{
	return (job->order ? job->order[i] : i) * job->piece;
}

/* One piece at gpa + offset; the rest is everybody's. */
typedef int (*piece_fn)(struct s2_pt *pt, const struct bench_job *job, struct s2_attr attr,
			uint64_t offset, struct s2_gather *gather, struct s2_progress *progress);

static inline __attribute__((always_inline)) int each(void *tree, const struct bench_job *job,
						      piece_fn one)
{
	struct ours *ours = tree;
	struct s2_attr attr = { .prot = job->writable ? S2_RWX : S2_RX, .type = S2_MEM_NORMAL };
	struct s2_progress progress;
	struct s2_gather gather;
	int ret = 0;

	become(ours, job->thread);
	for (uint32_t i = 0; i < job->n && !ret; i++) {
		s2_gather_init(&gather, &ours->vm.pt);
		ret = one(&ours->vm.pt, job, attr, offset_of(job, i), &gather, &progress);
		s2_gather_flush(&gather, &self->walker);
	}
	return ret;
}

static inline int map_one(struct s2_pt *pt, const struct bench_job *job, struct s2_attr attr,
			  uint64_t offset, struct s2_gather *gather, struct s2_progress *progress)
{
	unsigned int flags = S2_MAP_REPLACE | (job->leaf == PAGE ? S2_MAP_PAGES : 0);

	return s2_pt_map(pt, s2_gpa(job->gpa + offset), s2_hpa(job->hpa + offset), job->piece, attr,
			 flags, &self->walker, gather, progress);
}

static inline int unmap_one(struct s2_pt *pt, const struct bench_job *job, struct s2_attr attr,
			    uint64_t offset, struct s2_gather *gather, struct s2_progress *progress)
{
	(void)attr;
	return s2_pt_unmap(pt, s2_gpa(job->gpa + offset), job->piece, &self->walker, gather,
			   progress);
}

static inline int protect_one(struct s2_pt *pt, const struct bench_job *job, struct s2_attr attr,
			      uint64_t offset, struct s2_gather *gather,
			      struct s2_progress *progress)
{
	(void)attr;
	return s2_pt_protect(pt, s2_gpa(job->gpa + offset), job->piece, S2_W, &self->walker, gather,
			     progress);
}

static inline int relax_one(struct s2_pt *pt, const struct bench_job *job, struct s2_attr attr,
			    uint64_t offset, struct s2_gather *gather, struct s2_progress *progress)
{
	(void)attr;
	return s2_pt_relax(pt, s2_gpa(job->gpa + offset), job->piece, S2_W, &self->walker, gather,
			   progress);
}

static inline int split_one(struct s2_pt *pt, const struct bench_job *job, struct s2_attr attr,
			    uint64_t offset, struct s2_gather *gather, struct s2_progress *progress)
{
	(void)attr;
	return s2_pt_split(pt, s2_gpa(job->gpa + offset), job->piece, 0, &self->walker, gather,
			   progress);
}

static int run_map(void *tree, const struct bench_job *job)
{
	return each(tree, job, map_one);
}

static int run_unmap(void *tree, const struct bench_job *job)
{
	return each(tree, job, unmap_one);
}

static int run_protect(void *tree, const struct bench_job *job)
{
	return each(tree, job, protect_one);
}

static int run_relax(void *tree, const struct bench_job *job)
{
	return each(tree, job, relax_one);
}

static int run_split(void *tree, const struct bench_job *job)
{
	return each(tree, job, split_one);
}

/* Old entries may linger in TLBs: the gather is dropped. All must have been young. */
static int run_young(void *tree, const struct bench_job *job)
{
	struct ours *ours = tree;
	struct s2_progress progress;
	struct s2_gather gather;
	int ret = 0;

	become(ours, job->thread);
	for (uint32_t i = 0; i < job->n && !ret; i++) {
		s2_gather_init(&gather, &ours->vm.pt);
		ret = s2_pt_age(&ours->vm.pt, s2_gpa(job->gpa + offset_of(job, i)), job->piece,
				S2_AGE_CLEAR, &self->walker, &gather, &progress);
		if (progress.changed != job->piece)
			ret = S2_ECORRUPT;
	}
	return ret;
}

static int run_lookup(void *tree, const struct bench_job *job)
{
	struct ours *ours = tree;
	struct s2_leaf leaf;
	int ret = 0;

	become(ours, job->thread);
	for (uint32_t i = 0; i < job->n && !ret; i++) {
		uint64_t offset = offset_of(job, i);

		ret = s2_pt_lookup(&ours->vm.pt, s2_gpa(job->gpa + offset), &self->walker, &leaf);
		if (leaf.hpa.hpa != job->hpa + offset)
			ret = S2_ECORRUPT;
	}
	return ret;
}

static int run_destroy(void *tree, const struct bench_job *job)
{
	become(tree, job->thread);
	destroy(tree);
	return 0;
}

static int run_fault(void *tree, const struct bench_job *job)
{
	uint64_t esr = ESR_ABORT | ESR_LEVEL3 | (job->writable ? ESR_WRITE : 0);
	struct ours *ours = tree;
	struct s2_arm64_mmio mmio;
	struct s2_fault fault;
	struct s2_exit exit;
	int ret = 0;

	become(ours, job->thread);
	self->fault_offset = job->hpa - job->gpa;
	for (uint32_t i = 0; i < job->n && !ret; i++) {
		uint64_t gpa = job->gpa + offset_of(job, i);

		ret = s2_arm64_decode_abort(esr, gpa >> 12 << 4, gpa, &fault, &mmio);
		if (!ret)
			ret = s2_fault(&ours->vm, &self->walker, &fault, &exit);
		if (!ret && (exit.reason != S2_EXIT_RESUME || exit.size != PAGE))
			ret = S2_ECORRUPT;
	}
	return ret;
}

static void read_leaf(void *tree, uint64_t gpa, struct bench_leaf *leaf)
{
	struct ours *ours = tree;
	struct s2_leaf found;

	become(ours, 0);
	*leaf = (struct bench_leaf){ 0 };
	if (s2_pt_lookup(&ours->vm.pt, s2_gpa(gpa), &self->walker, &found))
		return;
	leaf->valid = 1;
	leaf->hpa = found.hpa.hpa + (gpa - found.gpa.gpa);
	leaf->size = found.size;
	leaf->writable = (found.attr.prot & S2_W) != 0;
	leaf->young = found.young;
}

/* Tables that are linked: what walkers have in stock is not in use. The audit checks all of it. */
static uint64_t tables_linked(struct ours *ours)
{
	struct s2_census census;
	uint64_t tables = 0;
	int ret;

	become(ours, 0);
	ret = s2_pt_audit(&ours->vm.pt, &self->walker, &census, NULL);
	if (ret)
		die("s2_pt_audit", ret);
	for (unsigned int level = 0; level < S2_LEVELS; level++)
		tables += census.tables[level];
	return tables;
}

static void count(void *tree, struct bench_count *count)
{
	struct ours *ours = tree;

	*count = (struct bench_count){ 0 };
	for (unsigned int t = 0; t < ours->threads; t++) {
		const struct bench_count *of = &ours->thread[t].count;

		count->tlbi_entry += of->tlbi_entry;
		count->tlbi_range += of->tlbi_range;
		count->tlbi_all += of->tlbi_all;
		count->tlbi_stage1 += of->tlbi_stage1;
		count->dsb_ishst += of->dsb_ishst;
		count->dsb_ish += of->dsb_ish;
		count->dsb_other += of->dsb_other;
		count->cache += of->cache;
	}
	count->tables = ours->destroyed ? 0 : tables_linked(ours);
}

const struct bench_subject bench_ours = {
	.name = "ours",
	.open = open_tree,
	.close = close_tree,
	.run = { [BENCH_MAP] = run_map,
		 [BENCH_UNMAP] = run_unmap,
		 [BENCH_PROTECT] = run_protect,
		 [BENCH_RELAX] = run_relax,
		 [BENCH_SPLIT] = run_split,
		 [BENCH_YOUNG] = run_young,
		 [BENCH_LOOKUP] = run_lookup,
		 [BENCH_DESTROY] = run_destroy,
		 [BENCH_FAULT] = run_fault },
	.read = read_leaf,
	.count = count,
};
