/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's memory, and which of its pages the model watches. See memory.c. */
#ifndef PLUGIN_MEMORY_H
#define PLUGIN_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE        0x1000ull
#define MEMORY_PAGE_BITS 32 /* pages that a map has: 16 TiB of physical addresses */

/* Maps of all pages: one bit each. */
extern unsigned char *memory_watched; /* the model wants to know of stores */
extern unsigned char *memory_traced;  /* who reads the trace knows what is there */

/* Returns NULL, or why this QEMU cannot be used. */
const char *memory_init(void);

/* Physical memory as it is now: n bytes at pa, within a page. Returns 0, or -1: no memory there. */
int memory_read(uint64_t pa, void *buffer, size_t n);

/*
 * What this vCPU (the calling thread's) would now access by va. Slow: it walks the tables of the
 * machine. Returns 0, or -1: not mapped.
 */
int memory_translate(unsigned int cpu, uint64_t va, uint64_t *pa);

/* Under the lock. Returns 0, or -1: pa is beyond the maps. */
int memory_mark(unsigned char *map, uint64_t pa, int on);

/* From any thread. */
static inline int memory_test(const unsigned char *map, uint64_t pa)
{
	uint64_t page = pa / PAGE_SIZE;

	if (page >> MEMORY_PAGE_BITS)
		return 0;
	return __atomic_load_n(&map[page / 8], __ATOMIC_RELAXED) >> page % 8 & 1;
}

#endif
