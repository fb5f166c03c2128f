// SPDX-License-Identifier: BSD-2-Clause
/*
 * KVM as a subject: arch/arm64/kvm/hyp/pgtable.c of Linux 6.1, called the way that
 * arch/arm64/kvm/mmu.c calls it, with what that file gives it:
 *
 * - Tables come from a cache a thread (a vCPU's), topped up before each mapping and outside the
 *   lock. It is full when a tree is opened. A range in one call needs more than a vCPU's cache
 *   holds: there it is topped up by what is needed, in the timed region.
 * - References on tables are counted atomically in an array of 64 bytes a page. What the kernel
 *   spends besides on memory control groups and statistics is left out.
 * - Cache maintenance: the callbacks are there and, with FWB and DIC, have nothing to do.
 * - The lock is mmu_lock: held for reading to relax a page (and to look one up, for which 6.1 has
 *   no caller), else for writing. bench_kvm does without and is for one thread.
 *
 * A write-protection is followed by the flush of the VMID that all its callers do. A split does not
 * exist in 6.1: the fastest way there is the mapping of the same pages over the block, with the
 * file's own callback that forbids blocks. The access flag and rights change leaf by leaf: pieces
 * of more than a leaf are unsupported, and so is the re-mapping of more than a leaf in one call
 * (the walk ends at the first leaf that is there).
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <asm/kvm_pgtable.h>

#include "peer.h"
#include "rwlock.h"

#define CACHE_PAGES 40 /* of a vCPU's, on arm64 */
#define CACHE_MIN   3  /* tables below the root: what a mapping may need */
#define SIZE_2M     (2ul << 20)
#define SIZE_1G     (1ul << 30)
#define CACHE_MAX   (2 * CACHE_MIN + 1 + SIZE_1G / SIZE_2M)
#define ARENA_MAX   (1ul << 20) /* pages */

/* As large as a kernel's, and the count stands alone in it. */
struct page {
	unsigned int references;
} __attribute__((aligned(64)));

struct cache {
	unsigned int n;
	void *page[CACHE_MAX];
};

struct thread {
	struct bench_count count;
	struct cache cache;
} __attribute__((aligned(128)));

struct tree {
	struct kvm_pgtable pgt;
	struct kvm_s2_mmu mmu;
	struct kvm_arch arch;
	int locked;
	struct rwlock lock __attribute__((aligned(128)));
	struct thread thread[BENCH_THREADS];
};

/* Indexed with the page's physical number, as vmemmap is: made once, for all trees. */
static struct page *pages;

static struct page *page_of(const void *address)
{
	return &pages[__pa(address) >> PAGE_SHIFT];
}

static void die(const char *what)
{
	fprintf(stderr, "bench: kvm: %s\n", what);
	exit(2);
}

static void pages_init(const void *any)
{
	size_t size = ARENA_MAX * sizeof(struct page);
	char *at;

	if (pages)
		return;
	at = mmap(NULL, size + SIZE_2M, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		die("no memory for reference counts");
	at += -(uintptr_t)at & (SIZE_2M - 1);
	/* Only advice. What is not touched now is in the round that warms up. */
	(void)madvise(at, size, MADV_HUGEPAGE);
	pages = (struct page *)at + bench_page_index(any) - (__pa(any) >> PAGE_SHIFT);
}

static void *page_new(void)
{
	void *page = bench_page_alloc(0);

	page_of(page)->references = 1;
	return page;
}

/* What pgtable.c calls. */

static void *zalloc_page(void *arg)
{
	struct cache *cache = arg;

	if (!cache->n)
		die("a mapping took more tables than its cache was topped up for");
	insn_count->tables++;
	return cache->page[--cache->n];
}

static void *zalloc_pages_exact(size_t size)
{
	char *first = bench_page_alloc(get_order(size));

	pages_init(first);
	for (size_t offset = 0; offset < size; offset += PAGE_SIZE)
		page_of(first + offset)->references = 1;
	insn_count->tables += size / PAGE_SIZE;
	return first;
}

static void free_pages_exact(void *address, size_t size)
{
	insn_count->tables -= size / PAGE_SIZE;
	bench_page_free(address, get_order(size));
}

static void get_page(void *address)
{
	__atomic_add_fetch(&page_of(address)->references, 1, __ATOMIC_RELAXED);
}

static void put_page(void *address)
{
	if (__atomic_sub_fetch(&page_of(address)->references, 1, __ATOMIC_ACQ_REL))
		return;
	insn_count->tables--;
	bench_page_free((void *)((uintptr_t)address & PAGE_MASK), 0);
}

static int page_count(void *address)
{
	return (int)READ_ONCE(page_of(address)->references);
}

static void *phys_to_virt(phys_addr_t pa)
{
	return __va(pa);
}

static void cache_nothing(void *address, size_t size)
{
	(void)address;
	(void)size;
}

static struct kvm_pgtable_mm_ops mm_ops = {
	.zalloc_page = zalloc_page,
	.zalloc_pages_exact = zalloc_pages_exact,
	.free_pages_exact = free_pages_exact,
	.get_page = get_page,
	.put_page = put_page,
	.page_count = page_count,
	.phys_to_virt = phys_to_virt,
	.virt_to_phys = virt_to_phys,
	.dcache_clean_inval_poc = cache_nothing,
	.icache_inval_pou = cache_nothing,
};

static void top_up(struct cache *cache, unsigned int min)
{
	unsigned int full = min > CACHE_PAGES ? min : CACHE_PAGES;

	if (cache->n >= min)
		return;
	while (cache->n < full)
		cache->page[cache->n++] = page_new();
}

static void *open_tree(unsigned int threads, int locked)
{
	struct tree *tree = aligned_alloc(128, sizeof(*tree));

	if (!tree || threads > BENCH_THREADS)
		die("cannot open a tree");
	memset(tree, 0, sizeof(*tree));
	tree->locked = locked;
	tree->arch.vtcr = kvm_get_vtcr(5, 2 << 4, 48); /* 48 bits out, VMIDs of 16 bits, 48 in */
	tree->mmu.arch = &tree->arch;
	tree->mmu.pgt = &tree->pgt;
	insn_count = &tree->thread[0].count;
	if (kvm_pgtable_stage2_init(&tree->pgt, &tree->mmu, &mm_ops))
		die("kvm_pgtable_stage2_init failed");
	for (unsigned int t = 0; t < threads; t++)
		top_up(&tree->thread[t].cache, CACHE_PAGES);
	return tree;
}

static void *open_unlocked(unsigned int threads)
{
	return open_tree(threads, 0);
}

static void *open_locked(unsigned int threads)
{
	return open_tree(threads, 1);
}

static void close_tree(void *arg)
{
	struct tree *tree = arg;

	insn_count = &tree->thread[0].count;
	if (tree->pgt.pgd)
		kvm_pgtable_stage2_destroy(&tree->pgt);
	for (unsigned int t = 0; t < BENCH_THREADS; t++)
		while (tree->thread[t].cache.n)
			bench_page_free(tree->thread[t].cache.page[--tree->thread[t].cache.n], 0);
	free(tree);
}

/* A batch, and the lock, where there is one. */

static struct thread *begin(struct tree *tree, const struct bench_job *job)
{
	struct thread *thread = &tree->thread[job->thread];

	insn_count = &thread->count;
	linux_warnings = 0;
	return thread;
}

static int end(void)
{
	return linux_warnings ? -1 : 0;
}

static inline void write_begin(struct tree *tree)
{
	if (tree->locked)
		rwlock_write(&tree->lock);
}

static inline void write_end(struct tree *tree)
{
	if (tree->locked)
		rwlock_write_end(&tree->lock);
}

static inline void read_begin(struct tree *tree)
{
	if (tree->locked)
		rwlock_read(&tree->lock);
}

static inline void read_end(struct tree *tree)
{
	if (tree->locked)
		rwlock_read_end(&tree->lock);
}

/* Mapping, splitting. */

struct map {
	struct cache *cache;
	unsigned int tables; /* that each call may need */
	u64 leaf;
	enum kvm_pgtable_prot prot;
};

static bool force_pages(u64 addr, u64 to, enum kvm_pgtable_prot prot)
{
	(void)addr;
	(void)to;
	(void)prot;
	return true;
}

/* The largest leaf that a mapping will have. */
static u64 leaf_of(const struct bench_job *job)
{
	u64 both = job->gpa ^ job->hpa;

	if (job->leaf >= SIZE_1G && !(both & (SIZE_1G - 1)))
		return SIZE_1G;
	if (job->leaf >= SIZE_2M && !(both & (SIZE_2M - 1)))
		return SIZE_2M;
	return PAGE_SIZE;
}

/* Tables that a mapping may need, of 1 GiB at most; a range may lie across two of each level. */
static unsigned int tables_for(u64 size, u64 leaf)
{
	unsigned int tables = size > leaf ? 2 * CACHE_MIN : CACHE_MIN;

	if (leaf < SIZE_1G)
		tables += (unsigned int)(size / SIZE_1G);
	if (leaf < SIZE_2M)
		tables += (unsigned int)(size / SIZE_2M);
	return tables;
}

/* One call of at most 1 GiB. */
static int map(struct tree *tree, struct map *how, u64 gpa, u64 hpa, u64 size)
{
	int ret;

	top_up(how->cache, how->tables);
	write_begin(tree);
	ret = kvm_pgtable_stage2_map(&tree->pgt, gpa, size, hpa, how->prot, how->cache);
	write_end(tree);
	return ret;
}

/*
 * In pieces of 1 GiB, as mmu.c does what it does to ranges; in two calls each where nothing else
 * keeps pgtable.c from a block of that size.
 */
static int map_range(struct tree *tree, struct map *how, u64 gpa, u64 hpa, u64 size)
{
	int ret = 0;

	while (size && !ret) {
		u64 now = SIZE_1G - (gpa & (SIZE_1G - 1));

		if (now == SIZE_1G && how->leaf == SIZE_2M && !((gpa ^ hpa) & (SIZE_1G - 1)))
			now = SIZE_2M;
		if (now > size)
			now = size;
		ret = map(tree, how, gpa, hpa, now);
		gpa += now;
		hpa += now;
		size -= now;
	}
	return ret;
}

static int map_piece(struct tree *tree, struct map *how, u64 gpa, u64 hpa, u64 size)
{
	return size < SIZE_1G ? map(tree, how, gpa, hpa, size)
			      : map_range(tree, how, gpa, hpa, size);
}

/* Two threads agree on it: they do the same at any time. */
static void forbid_blocks(struct tree *tree, int forbid)
{
	kvm_pgtable_force_pte_cb_t wanted = forbid ? force_pages : NULL;

	if (READ_ONCE(tree->pgt.force_pte_cb) != wanted)
		WRITE_ONCE(tree->pgt.force_pte_cb, wanted);
}

static int run_map(void *arg, const struct bench_job *job)
{
	struct tree *tree = arg;
	u64 leaf = leaf_of(job);
	struct map how = {
		.cache = &begin(tree, job)->cache,
		.tables = tables_for(job->piece < SIZE_1G ? job->piece : SIZE_1G, leaf),
		.leaf = leaf,
		.prot = KVM_PGTABLE_PROT_R | KVM_PGTABLE_PROT_X,
	};

	if (job->writable)
		how.prot |= KVM_PGTABLE_PROT_W;
	forbid_blocks(tree, leaf == PAGE_SIZE && job->piece >= SIZE_2M);
	for (uint32_t i = 0; i < job->n; i++) {
		u64 offset = job_offset(job, i);
		int ret = map_piece(tree, &how, job->gpa + offset, job->hpa + offset, job->piece);

		/* It is there already: to the fault path, too, this is success. */
		if (ret == -EAGAIN && job->piece <= leaf)
			ret = 0;
		if (ret)
			return ret == -EAGAIN ? BENCH_UNSUPPORTED : -1;
	}
	return end();
}

static int run_split(void *arg, const struct bench_job *job)
{
	struct tree *tree = arg;
	struct map how = {
		.cache = &begin(tree, job)->cache,
		.tables = tables_for(job->piece < SIZE_1G ? job->piece : SIZE_1G, PAGE_SIZE),
		.leaf = PAGE_SIZE,
	};

	forbid_blocks(tree, 1);
	for (uint32_t i = 0; i < job->n; i++) {
		u64 offset = job_offset(job, i);
		kvm_pte_t entry;

		/* The pages get the rights of the (first) block. */
		if (kvm_pgtable_get_leaf(&tree->pgt, job->gpa + offset, &entry, NULL) ||
		    !kvm_pte_valid(entry))
			return -1;
		how.prot = kvm_pgtable_stage2_pte_prot(entry);
		if (map_piece(tree, &how, job->gpa + offset, job->hpa + offset, job->piece))
			return -1;
	}
	return end();
}

/* All others. */

static int run_unmap(void *arg, const struct bench_job *job)
{
	struct tree *tree = arg;

	begin(tree, job);
	for (uint32_t i = 0; i < job->n; i++) {
		int ret;

		write_begin(tree);
		ret = kvm_pgtable_stage2_unmap(&tree->pgt, job->gpa + job_offset(job, i),
					       job->piece);
		write_end(tree);
		if (ret)
			return -1;
	}
	return end();
}

static int run_protect(void *arg, const struct bench_job *job)
{
	struct tree *tree = arg;

	begin(tree, job);
	for (uint32_t i = 0; i < job->n; i++) {
		int ret;

		write_begin(tree);
		ret = kvm_pgtable_stage2_wrprotect(&tree->pgt, job->gpa + job_offset(job, i),
						   job->piece);
		write_end(tree);
		if (ret)
			return -1;
		kvm_call_hyp(__kvm_tlb_flush_vmid, &tree->mmu);
	}
	return end();
}

static int run_relax(void *arg, const struct bench_job *job)
{
	struct tree *tree = arg;
	bool shared = job->piece == PAGE_SIZE;

	if (job->piece > job->leaf)
		return BENCH_UNSUPPORTED;
	begin(tree, job);
	for (uint32_t i = 0; i < job->n; i++) {
		int ret;

		if (shared)
			read_begin(tree);
		else
			write_begin(tree);
		ret = kvm_pgtable_stage2_relax_perms(&tree->pgt, job->gpa + job_offset(job, i),
						     KVM_PGTABLE_PROT_RWX);
		if (shared)
			read_end(tree);
		else
			write_end(tree);
		if (ret)
			return -1;
	}
	return end();
}

static int run_young(void *arg, const struct bench_job *job)
{
	struct tree *tree = arg;

	if (job->piece > job->leaf)
		return BENCH_UNSUPPORTED;
	begin(tree, job);
	for (uint32_t i = 0; i < job->n; i++) {
		kvm_pte_t entry;

		write_begin(tree);
		entry = kvm_pgtable_stage2_mkold(&tree->pgt, job->gpa + job_offset(job, i));
		write_end(tree);
		if (!kvm_pte_valid(entry))
			return -1;
	}
	return end();
}

static int run_lookup(void *arg, const struct bench_job *job)
{
	struct tree *tree = arg;

	begin(tree, job);
	for (uint32_t i = 0; i < job->n; i++) {
		kvm_pte_t entry;
		u32 level;
		int ret;

		read_begin(tree);
		ret = kvm_pgtable_get_leaf(&tree->pgt, job->gpa + job_offset(job, i), &entry,
					   &level);
		read_end(tree);
		if (ret || !kvm_pte_valid(entry))
			return -1;
	}
	return end();
}

static int run_destroy(void *arg, const struct bench_job *job)
{
	struct tree *tree = arg;

	begin(tree, job);
	kvm_pgtable_stage2_destroy(&tree->pgt);
	return end();
}

static void read_leaf(void *arg, uint64_t gpa, struct bench_leaf *leaf)
{
	struct tree *tree = arg;

	peer_read(tree->pgt.pgd, gpa, leaf);
}

static void count(void *arg, struct bench_count *sum)
{
	struct tree *tree = arg;

	*sum = (struct bench_count){ 0 };
	for (unsigned int t = 0; t < BENCH_THREADS; t++)
		peer_add(sum, &tree->thread[t].count);
}

#define VERBS                                                                    \
	.close = close_tree,                                                     \
	.run = { [BENCH_MAP] = run_map,         [BENCH_UNMAP] = run_unmap,       \
		 [BENCH_PROTECT] = run_protect, [BENCH_RELAX] = run_relax,       \
		 [BENCH_SPLIT] = run_split,     [BENCH_YOUNG] = run_young,       \
		 [BENCH_LOOKUP] = run_lookup,   [BENCH_DESTROY] = run_destroy }, \
	.read = read_leaf, .count = count

const struct bench_subject bench_kvm = { .name = "kvm", .open = open_unlocked, VERBS };
const struct bench_subject bench_kvm_locked = { .name = "kvm-locked", .open = open_locked, VERBS };
