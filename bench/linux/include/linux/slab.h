/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory for io-pgtable. Of a struct page it only asks the address, so the address serves as one:
 * the way from one to the other costs nothing here.
 */
#ifndef BENCH_LINUX_SLAB_H
#define BENCH_LINUX_SLAB_H

#include <stdlib.h>

#include <linux/mm.h>

#define GFP_KERNEL    0u
#define GFP_ATOMIC    0u
#define __GFP_ZERO    0u /* all of the arena's pages are */
#define __GFP_HIGHMEM 1u

#define kmalloc(size, gfp) malloc(size)
#define kfree(pointer)     free(pointer)

struct page;

static inline struct page *alloc_pages_node(int node, gfp_t gfp, unsigned int order)
{
	(void)node;
	(void)gfp;
	insn_count->tables += 1ull << order;
	return bench_page_alloc(order);
}

static inline void *page_address(struct page *page)
{
	return page;
}

static inline void free_pages(unsigned long address, unsigned int order)
{
	insn_count->tables -= 1ull << order;
	bench_page_free((void *)address, order);
}

static inline void __free_pages(struct page *page, unsigned int order)
{
	free_pages((unsigned long)page, order);
}

#endif
