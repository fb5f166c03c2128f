// SPDX-License-Identifier: BSD-2-Clause
/*
 * Linux's io-pgtable as a subject: drivers/iommu/io-pgtable-arm.c of Linux 6.1, stage 2 of the
 * 64-bit format, for an IOMMU that walks coherently with the CPU's caches. Its walk functions map
 * and unmap pages of one size within one table a call, so this asks for the rest again, as Linux's
 * IOMMU layer does: a mapping with the largest page that fits, an unmapping with the largest that
 * its address and size allow.
 *
 * It has no lock: its users never change one range from two threads. It cannot change rights, has
 * no access flag to test and refuses to map what is mapped: such a job is unsupported. It keeps
 * its empty tables. The invalidations are those of a driver that has a command for one page and one
 * for a range and waits for them once an unmapping.
 */
#include <stdio.h>
#include <string.h>

#include <linux/dma-mapping.h>
#include <linux/io-pgtable.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "peer.h"

struct thread {
	struct bench_count count;
} __attribute__((aligned(128)));

struct tree {
	struct io_pgtable_ops *ops;
	struct io_pgtable_cfg cfg;
	struct device device;
	struct thread thread[BENCH_THREADS];
};

static void flush_all(void *cookie)
{
	(void)cookie;
	insn_tlbi_vmalls12(0);
	insn_dsb(INSN_ISH);
}

static void flush_walk(unsigned long iova, size_t size, size_t granule, void *cookie)
{
	(void)size;
	(void)granule;
	(void)cookie;
	insn_tlbi_ipa(INSN_RANGE, iova >> PAGE_SHIFT);
	insn_dsb(INSN_ISH);
}

static void add_page(struct iommu_iotlb_gather *gather, unsigned long iova, size_t granule,
		     void *cookie)
{
	(void)gather;
	(void)granule;
	(void)cookie;
	insn_tlbi_ipa(INSN_LEAF, iova >> PAGE_SHIFT);
}

static const struct iommu_flush_ops flush_ops = {
	.tlb_flush_all = flush_all,
	.tlb_flush_walk = flush_walk,
	.tlb_add_page = add_page,
};

static void *open_tree(unsigned int threads)
{
	struct tree *tree = aligned_alloc(128, sizeof(*tree));

	if (!tree || threads > BENCH_THREADS)
		goto fail;
	memset(tree, 0, sizeof(*tree));
	insn_count = &tree->thread[0].count;
	tree->cfg = (struct io_pgtable_cfg){
		.pgsize_bitmap = SZ_4K | SZ_2M | SZ_1G,
		.ias = 48,
		.oas = 48,
		.coherent_walk = true,
		.tlb = &flush_ops,
		.iommu_dev = &tree->device,
	};
	tree->ops = alloc_io_pgtable_ops(ARM_64_LPAE_S2, &tree->cfg, tree);
	if (tree->ops)
		return tree;
fail:
	fprintf(stderr, "bench: io-pgtable: cannot open a tree\n");
	exit(2);
}

static int run_destroy(void *arg, const struct bench_job *job)
{
	struct tree *tree = arg;

	insn_count = &tree->thread[job->thread].count;
	free_io_pgtable_ops(tree->ops);
	tree->ops = NULL;
	return 0;
}

static void close_tree(void *arg)
{
	struct tree *tree = arg;

	insn_count = &tree->thread[0].count;
	free_io_pgtable_ops(tree->ops);
	free(tree);
}

/* The largest page of at most `leaf` bytes that all bits of `all` are multiples of. */
static size_t page_size(uint64_t all, uint64_t leaf)
{
	if (leaf >= SZ_1G && !(all & (SZ_1G - 1)))
		return SZ_1G;
	if (leaf >= SZ_2M && !(all & (SZ_2M - 1)))
		return SZ_2M;
	return SZ_4K;
}

static int run_map(void *arg, const struct bench_job *job)
{
	struct tree *tree = arg;
	struct io_pgtable_ops *ops = tree->ops;
	size_t page = page_size(job->gpa | job->hpa | job->piece, job->leaf);
	int prot = IOMMU_READ | IOMMU_CACHE | (job->writable ? IOMMU_WRITE : 0);

	insn_count = &tree->thread[job->thread].count;
	linux_warnings = 0;
	for (uint32_t i = 0; i < job->n; i++) {
		uint64_t offset = job_offset(job, i);
		size_t done = 0;

		while (done < job->piece) {
			int ret = ops->map_pages(
				ops, job->gpa + offset + done, job->hpa + offset + done, page,
				(job->piece - done) / page, prot, GFP_KERNEL, &done);

			if (ret)
				return ret == -EEXIST ? BENCH_UNSUPPORTED : -1;
		}
	}
	return linux_warnings ? -1 : 0;
}

static int run_unmap(void *arg, const struct bench_job *job)
{
	struct tree *tree = arg;
	struct io_pgtable_ops *ops = tree->ops;
	size_t page = page_size(job->gpa | job->piece, job->piece);
	struct iommu_iotlb_gather gather = { .queued = false };

	insn_count = &tree->thread[job->thread].count;
	linux_warnings = 0;
	for (uint32_t i = 0; i < job->n; i++) {
		uint64_t gpa = job->gpa + job_offset(job, i);
		size_t done = 0;

		while (done < job->piece) {
			size_t now = ops->unmap_pages(ops, gpa + done, page,
						      (job->piece - done) / page, &gather);

			if (!now)
				return -1;
			done += now;
		}
		insn_dsb(INSN_ISH);
	}
	return linux_warnings ? -1 : 0;
}

static int run_lookup(void *arg, const struct bench_job *job)
{
	struct tree *tree = arg;
	struct io_pgtable_ops *ops = tree->ops;

	insn_count = &tree->thread[job->thread].count;
	for (uint32_t i = 0; i < job->n; i++)
		if (!ops->iova_to_phys(ops, job->gpa + job_offset(job, i)))
			return -1;
	return 0;
}

static void read_leaf(void *arg, uint64_t gpa, struct bench_leaf *leaf)
{
	struct tree *tree = arg;

	peer_read(__va(tree->cfg.arm_lpae_s2_cfg.vttbr), gpa, leaf);
}

static void count(void *arg, struct bench_count *sum)
{
	struct tree *tree = arg;

	*sum = (struct bench_count){ 0 };
	for (unsigned int t = 0; t < BENCH_THREADS; t++)
		peer_add(sum, &tree->thread[t].count);
}

const struct bench_subject bench_iopgtable = {
	.name = "io-pgtable",
	.open = open_tree,
	.close = close_tree,
	.run = { [BENCH_MAP] = run_map,
		 [BENCH_UNMAP] = run_unmap,
		 [BENCH_LOOKUP] = run_lookup,
		 [BENCH_DESTROY] = run_destroy },
	.read = read_leaf,
	.count = count,
};
