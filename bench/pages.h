/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Table pages for every subject alike: an arena of 4K pages, a free list for each thread (no shared
 * writes while it lasts), zeroed when handed out. Addresses inside the arena pass for physical ones
 * with a constant offset.
 */
#ifndef BENCH_PAGES_H
#define BENCH_PAGES_H

#include <stddef.h>
#include <stdint.h>

/* Reserves and touches `pages` pages. Exits with a message when it cannot. Once. */
void bench_pages_init(size_t pages);
/* Which free list the calling thread takes from: 0 .. BENCH_THREADS - 1. */
void bench_pages_thread(unsigned int thread);

/* Between two subjects, when all pages are back: each list as it was at the start. */
void bench_pages_reset(void);

/*
 * 2^order pages, aligned to their whole size, zeroed. Never NULL: exits when there are no more. An
 * order above 0 (4 at most) is for roots: while one thread runs.
 */
void *bench_page_alloc(unsigned int order);
void bench_page_free(void *page, unsigned int order);

/* Pages handed out and not given back. */
size_t bench_pages_used(void);

/* Physical address of something in the arena = its address - this. */
extern uint64_t bench_pages_offset;
/* Index of the page: for subjects that keep something for each page, as Linux's struct page. */
size_t bench_page_index(const void *page);

#endif
