// SPDX-License-Identifier: BSD-2-Clause
/*
 * Table pages. The arena is one aligned mapping with transparent huge pages, touched once. Single
 * pages are handed out last in, first out, from a stack of indices for each thread, which lies
 * outside the pages: neither freeing nor bench_pages_reset() touches a page itself. After a reset
 * everybody meets the same pages in the same order, so no subject profits from another's luck.
 *
 * The end of the arena is cut into blocks of 16 pages for roots of more than one page. Their list
 * is shared: only who sets a tree up may take from it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pages.h"
#include "subject.h"

#define PAGE        4096ull
#define HUGE        (2ull << 20)
#define PHYSICAL    (1ull << 30) /* where the arena pretends to begin */
#define BLOCK_ORDER 4
#define BLOCKS      16

/* Two lines wide, so that no prefetcher makes neighbours of them. */
struct stack {
	uint32_t *pages;
	size_t n;
	int64_t used; /* taken minus given back: a page may come back through another thread */
} __attribute__((aligned(128)));

uint64_t bench_pages_offset;

static char *arena;
static size_t arena_pages; /* the single ones */
static struct stack stacks[BENCH_THREADS];
static char *blocks[BLOCKS];
static size_t nblocks;
static __thread struct stack *mine = &stacks[0];

static void die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(2);
}

static void *reserve(size_t size)
{
	char *at =
		mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		die("no memory for tables");
	at += -(uintptr_t)at & (HUGE - 1);
	/* Only advice: where the machine has no huge pages, all subjects go without. */
	(void)madvise(at, size, MADV_HUGEPAGE);
	memset(at, 0, size);
	return at;
}

void bench_pages_init(size_t pages)
{
	arena_pages = pages;
	arena = reserve((pages + (BLOCKS << BLOCK_ORDER)) * PAGE);
	bench_pages_offset = (uint64_t)(uintptr_t)arena - PHYSICAL;
	for (unsigned int t = 0; t < BENCH_THREADS; t++)
		stacks[t].pages = reserve(pages * sizeof(uint32_t));
	bench_pages_reset();
}

void bench_pages_reset(void)
{
	size_t share = arena_pages / BENCH_THREADS;

	for (unsigned int t = 0; t < BENCH_THREADS; t++) {
		stacks[t].n = share;
		stacks[t].used = 0;
		for (size_t i = 0; i < share; i++)
			stacks[t].pages[i] = (uint32_t)(t * share + share - 1 - i);
	}
	nblocks = BLOCKS;
	for (size_t i = 0; i < BLOCKS; i++)
		blocks[i] = arena + (arena_pages + (i << BLOCK_ORDER)) * PAGE;
}

void bench_pages_thread(unsigned int thread)
{
	mine = &stacks[thread];
}

void *bench_page_alloc(unsigned int order)
{
	char *page;

	if (order > BLOCK_ORDER || (order ? nblocks : mine->n) == 0)
		die("the pages for tables have run out");
	page = order ? blocks[--nblocks] : arena + mine->pages[--mine->n] * PAGE;
	mine->used += 1ll << order;
	return memset(page, 0, PAGE << order);
}

void bench_page_free(void *page, unsigned int order)
{
	mine->used -= 1ll << order;
	if (order)
		blocks[nblocks++] = page;
	else
		mine->pages[mine->n++] = (uint32_t)bench_page_index(page);
}

size_t bench_pages_used(void)
{
	int64_t used = 0;

	for (unsigned int t = 0; t < BENCH_THREADS; t++)
		used += stacks[t].used;
	return (size_t)used;
}

size_t bench_page_index(const void *page)
{
	return (size_t)((const char *)page - arena) / PAGE;
}
