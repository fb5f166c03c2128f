/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages of 4K out of the benchmark's arena, which is this kernel's linear map. */
#ifndef BENCH_LINUX_MM_H
#define BENCH_LINUX_MM_H

#include <insn.h>
#include <pages.h>

#include <linux/kernel.h>

#define PAGE_SHIFT        12
#define PAGE_SIZE         (1ul << PAGE_SHIFT)
#define PAGE_MASK         (~(PAGE_SIZE - 1))
#define PAGE_ALIGN(value) ALIGN(value, PAGE_SIZE)

#define __pa(address) ((phys_addr_t)(uintptr_t)(address)-bench_pages_offset)
#define __va(pa)      ((void *)(uintptr_t)((pa) + bench_pages_offset))

/* A function: others have members of that name. */
static inline phys_addr_t virt_to_phys(void *address)
{
	return __pa(address);
}

static inline int get_order(size_t size)
{
	return size <= PAGE_SIZE ? 0 : ilog2(size - 1) - PAGE_SHIFT + 1;
}

#endif
