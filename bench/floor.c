// SPDX-License-Identifier: BSD-2-Clause
/*
 * The floor: what nobody can beat who ends with the same entries in the same tables. The tables are
 * there already, zeroed (prepare()); a range is a straight loop over each table of leaves, a page
 * is a bare walk from the root and one store. Nothing is checked, nothing is invalidated, nothing
 * is freed; two threads get no protection from each other. Entries are Arm's.
 *
 * Where all that is left is nothing (destroy, the fault path) there is no floor.
 */
#include <stdio.h>
#include <stdlib.h>

#include "op.h"
#include "pages.h"

#define ROOT_LEVEL 3
#define ENTRIES    512u
#define ADDRESS    0x0000fffffffff000ull
#define TABLE      3ull
#define LEAF_PAGE  0x75full /* young, inner shareable, readable, write-back (FWB), valid, a page */
#define LEAF_BLOCK 0x75dull
#define WRITABLE   (1ull << 7)
#define YOUNG      (1ull << 10)

#define MAX_TABLES 2048

struct floor_tree {
	uint64_t *root;
	void *tables[MAX_TABLES]; /* all of them: some are no longer linked */
	size_t ntables;
};

#define ALWAYS_INLINE inline __attribute__((always_inline))

static ALWAYS_INLINE unsigned int shift(unsigned int level)
{
	return 12 + 9 * level;
}

static unsigned int level_of(uint64_t leaf)
{
	return leaf == BENCH_4K ? 0 : leaf == BENCH_2M ? 1 : 2;
}

static ALWAYS_INLINE uint64_t *table_at(uint64_t entry, uint64_t offset)
{
	return (uint64_t *)(uintptr_t)((entry & ADDRESS) + offset);
}

static ALWAYS_INLINE uint64_t *walk(uint64_t *root, uint64_t offset, uint64_t gpa,
				    unsigned int level)
{
	uint64_t *table = root;

	for (unsigned int at = ROOT_LEVEL; at > level; at--)
		table = table_at(table[gpa >> shift(at) & (ENTRIES - 1)], offset);
	return &table[gpa >> shift(level) & (ENTRIES - 1)];
}

static uint64_t *new_table(struct floor_tree *tree)
{
	uint64_t *table = bench_page_alloc(0);

	if (tree->ntables == MAX_TABLES) {
		fprintf(stderr, "bench: floor: too many tables\n");
		exit(2);
	}
	tree->tables[tree->ntables++] = table;
	return table;
}

static void *open_tree(unsigned int threads)
{
	struct floor_tree *tree = calloc(1, sizeof(*tree));

	(void)threads;
	if (!tree) {
		fprintf(stderr, "bench: no memory\n");
		exit(2);
	}
	tree->root = new_table(tree);
	return tree;
}

static void close_tree(void *tree)
{
	struct floor_tree *t = tree;

	while (t->ntables)
		bench_page_free(t->tables[--t->ntables], 0);
	free(t);
}

static ALWAYS_INLINE uint64_t offset_of(const struct bench_job *job, uint32_t i)
{
	return (job->order ? job->order[i] : i) * job->piece;
}

/* Tables on the way to the entry for gpa; a block in the way is lost with all it maps. */
static void make_way(struct floor_tree *tree, uint64_t gpa, unsigned int level)
{
	uint64_t *table = tree->root;

	for (unsigned int at = ROOT_LEVEL; at > level; at--) {
		uint64_t *entry = &table[gpa >> shift(at) & (ENTRIES - 1)];

		if ((*entry & TABLE) != TABLE)
			*entry =
				((uint64_t)(uintptr_t)new_table(tree) - bench_pages_offset) | TABLE;
		table = table_at(*entry, bench_pages_offset);
	}
}

static void prepare(void *tree, const struct bench_job *job)
{
	unsigned int level = level_of(job->leaf);

	for (uint32_t i = 0; i < job->n; i++)
		for (uint64_t at = 0; at < job->piece; at += 1ull << shift(level + 1))
			make_way(tree, job->gpa + offset_of(job, i) + at, level);
}

static ALWAYS_INLINE uint64_t change(enum bench_verb verb, uint64_t old, uint64_t leaf)
{
	switch (verb) {
	case BENCH_MAP:
	case BENCH_SPLIT:
		return leaf;
	case BENCH_PROTECT:
		return old & ~WRITABLE;
	case BENCH_RELAX:
		return old | WRITABLE;
	case BENCH_YOUNG:
		return old & ~YOUNG;
	default:
		return 0; /* unmap */
	}
}

/* verb and level are constants; what the stores could change is in locals. */
static ALWAYS_INLINE int run_level(const struct floor_tree *tree, struct bench_job job,
				   enum bench_verb verb, unsigned int level)
{
	uint64_t *root = tree->root, offset = bench_pages_offset, size = 1ull << shift(level);
	uint64_t bits = (level ? LEAF_BLOCK : LEAF_PAGE) | (job.writable ? WRITABLE : 0);

	if (job.piece == size) {
		for (uint32_t i = 0; i < job.n; i++) {
			uint64_t at = offset_of(&job, i);
			uint64_t *entry = walk(root, offset, job.gpa + at, level);

			*entry = change(verb, *entry, (job.hpa + at) | bits);
		}
		return 0;
	}
	for (uint32_t i = 0; i < job.n; i++) {
		uint64_t start = offset_of(&job, i);

		for (uint64_t at = start; at < start + job.piece; at += size * ENTRIES) {
			uint64_t *table = walk(root, offset, job.gpa + at, level);

			for (uint64_t e = 0; e < ENTRIES; e++)
				table[e] = change(verb, table[e], (job.hpa + at + e * size) | bits);
		}
	}
	return 0;
}

static ALWAYS_INLINE int run(const void *tree, const struct bench_job *job, enum bench_verb verb)
{
	switch (level_of(job->leaf)) {
	case 0:
		return run_level(tree, *job, verb, 0);
	case 1:
		return run_level(tree, *job, verb, 1);
	default:
		return run_level(tree, *job, verb, 2);
	}
}

static int run_lookup(void *tree, const struct bench_job *job)
{
	uint64_t *root = ((struct floor_tree *)tree)->root, offset = bench_pages_offset;

	for (uint32_t i = 0; i < job->n; i++) {
		uint64_t at = offset_of(job, i);

		if ((*walk(root, offset, job->gpa + at, 0) & ADDRESS) != job->hpa + at)
			return -1;
	}
	return 0;
}

static int run_map(void *tree, const struct bench_job *job)
{
	return run(tree, job, BENCH_MAP);
}

static int run_unmap(void *tree, const struct bench_job *job)
{
	return run(tree, job, BENCH_UNMAP);
}

static int run_protect(void *tree, const struct bench_job *job)
{
	return run(tree, job, BENCH_PROTECT);
}

static int run_relax(void *tree, const struct bench_job *job)
{
	return run(tree, job, BENCH_RELAX);
}

static int run_split(void *tree, const struct bench_job *job)
{
	return run(tree, job, BENCH_SPLIT);
}

static int run_young(void *tree, const struct bench_job *job)
{
	return run(tree, job, BENCH_YOUNG);
}

static void read_leaf(void *tree, uint64_t gpa, struct bench_leaf *leaf)
{
	uint64_t *table = ((struct floor_tree *)tree)->root, entry;
	unsigned int level = ROOT_LEVEL;

	*leaf = (struct bench_leaf){ 0 };
	for (;; level--) {
		entry = table[gpa >> shift(level) & (ENTRIES - 1)];
		if (!level || (entry & TABLE) != TABLE)
			break;
		table = table_at(entry, bench_pages_offset);
	}
	if (!(entry & 1))
		return;
	leaf->valid = 1;
	leaf->size = 1ull << shift(level);
	leaf->hpa = (entry & ADDRESS) + (gpa & (leaf->size - 1));
	leaf->writable = (entry & WRITABLE) != 0;
	leaf->young = (entry & YOUNG) != 0;
}

static void count(void *tree, struct bench_count *count)
{
	*count = (struct bench_count){ .tables = ((struct floor_tree *)tree)->ntables };
}

const struct bench_subject bench_floor = {
	.name = "floor",
	.open = open_tree,
	.close = close_tree,
	.run = { [BENCH_MAP] = run_map,
		 [BENCH_UNMAP] = run_unmap,
		 [BENCH_PROTECT] = run_protect,
		 [BENCH_RELAX] = run_relax,
		 [BENCH_SPLIT] = run_split,
		 [BENCH_YOUNG] = run_young,
		 [BENCH_LOOKUP] = run_lookup },
	.prepare = prepare,
	.read = read_leaf,
	.count = count,
};
