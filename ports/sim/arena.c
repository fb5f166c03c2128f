// SPDX-License-Identifier: BSD-2-Clause
/*
 * Memory for tables: one mapping, whose physical address is chosen so that pa != va.
 *
 * Each page has a frame that says what it is just now. A freed table is poisoned (and under the
 * address sanitizer unreadable), waits in a queue, and is inspected when it is handed out again:
 * who wrote to it in between is found. SIM_REUSE_LATE hands out every page once before the first
 * comes back, which shows use after free; SIM_REUSE_NOW gives the last one first, which shows
 * walk caches that still point to it.
 *
 * Behind each allocation lies a red zone, which cannot be read or written: who runs past the end of
 * a table dies there. Where the granule is smaller than a page of the host, a table ends with one.
 *
 * Allocations are separate by order: pages of a root are never split into tables.
 * Called with sim->lock held.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "machine.h"

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(addr, size)   ((void)(addr), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#endif

#define ARENA_FRAMES 4096

void sim_arena_init(struct sim *sim)
{
	struct sim_arena *arena = &sim->arena;
	size_t align = (size_t)16 << sim->config.page_shift;
	uint32_t zone = (uint32_t)sysconf(_SC_PAGESIZE) >> sim->config.page_shift;
	uint8_t *va;

	arena->zone = zone ? zone : 1;
	arena->nframes = (sim->config.frames ? sim->config.frames : ARENA_FRAMES) * 2 * arena->zone;
	arena->bytes = ((size_t)arena->nframes << sim->config.page_shift) + align;
	va = mmap(NULL, arena->bytes, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	arena->frames = calloc(arena->nframes, sizeof(*arena->frames));
	if (va == MAP_FAILED || !arena->frames)
		abort();
	arena->mapping = va;
	arena->va = va + (-(uintptr_t)va & (align - 1));
	/* High up, where no test maps anything: no guest gets a table. */
	arena->pa = 1ull << (sim->config.cpu.pa_bits ? sim->config.cpu.pa_bits - 2 : 30);
	arena->fresh = 1; /* frame 0 ends the queues */
}

void sim_arena_fini(struct sim *sim)
{
	struct sim_arena *arena = &sim->arena;

	ASAN_UNPOISON_MEMORY_REGION(arena->mapping, arena->bytes);
	munmap(arena->mapping, arena->bytes);
	free(arena->frames);
	arena->frames = NULL;
}

struct sim_frame *sim_frame(struct sim *sim, uint64_t pa)
{
	uint64_t n = (pa - sim->arena.pa) >> sim->config.page_shift;

	return pa >= sim->arena.pa && n < sim->arena.nframes ? &sim->arena.frames[n] : NULL;
}

static uint32_t take_freed(struct sim_arena *arena, unsigned int order)
{
	struct sim_queue *queue = &arena->freed[order];
	uint32_t n = queue->first;

	if (n) {
		queue->first = arena->frames[n].next;
		if (!queue->first)
			queue->last = 0;
	}
	return n;
}

/* So many frames that end where a page of the host ends, and the red zone behind them. */
static uint32_t take_fresh(struct sim *sim, unsigned int order)
{
	struct sim_arena *arena = &sim->arena;
	uint32_t size = 1u << order, align = size > arena->zone ? size : arena->zone;
	uint32_t end = (arena->fresh + size + align - 1) / align * align;

	if (end + arena->zone > arena->nframes)
		return 0;
	if (mprotect(arena->va + ((size_t)end << sim->config.page_shift),
		     (size_t)arena->zone << sim->config.page_shift, PROT_NONE))
		abort();
	arena->fresh = end + arena->zone;
	return end - size;
}

static void check_poison(struct sim *sim, const uint64_t *table, size_t bytes)
{
	for (size_t i = 0; i < bytes / 8; i++) {
		if (table[i] != SIM_POISON) {
			sim_fail(sim,
				 "port-freed: written after free: entry %zu of the table at %p is "
				 "0x%llx",
				 i, (const void *)table, (unsigned long long)table[i]);
			return;
		}
	}
}

void *sim_arena_alloc(struct sim *sim, unsigned int order)
{
	struct sim_arena *arena = &sim->arena;
	size_t bytes = (size_t)1 << (sim->config.page_shift + order);
	uint32_t n = 0;
	void *table;

	arena->allocs++;
	if (arena->allocs == arena->fail_at ||
	    (arena->fail_of_65536 && sim_random(&sim->rng) >> 48 < arena->fail_of_65536))
		return NULL;
	if (sim->config.reuse == SIM_REUSE_NOW)
		n = take_freed(arena, order);
	if (!n)
		n = take_fresh(sim, order);
	if (!n)
		n = take_freed(arena, order);
	if (!n)
		return NULL;
	table = arena->va + ((size_t)n << sim->config.page_shift);
	if (arena->frames[n].state == SIM_FREED) {
		ASAN_UNPOISON_MEMORY_REGION(table, bytes);
		check_poison(sim, table, bytes);
	}
	memset(table, 0, bytes);
	for (uint32_t i = 0; i < 1u << order; i++) {
		arena->frames[n + i] = (struct sim_frame){ .state = SIM_OUT,
							   .order = (uint8_t)order,
							   .head = i == 0 };
	}
	arena->outstanding += 1u << order;
	if (arena->peak < arena->outstanding)
		arena->peak = arena->outstanding;
	return table;
}

void sim_arena_free(struct sim *sim, void *table, unsigned int order)
{
	struct sim_arena *arena = &sim->arena;
	size_t bytes = (size_t)1 << (sim->config.page_shift + order);
	uint32_t n = (uint32_t)((size_t)((uint8_t *)table - arena->va) >> sim->config.page_shift);
	struct sim_queue *queue = &arena->freed[order];
	uint64_t *word = table;

	for (size_t i = 0; i < bytes / 8; i++)
		word[i] = SIM_POISON;
	ASAN_POISON_MEMORY_REGION(table, bytes);
	for (uint32_t i = 0; i < 1u << order; i++)
		arena->frames[n + i].state = SIM_FREED;
	arena->outstanding -= 1u << order;
	arena->frames[n].next = 0;
	if (sim->config.reuse == SIM_REUSE_NOW) {
		arena->frames[n].next = queue->first;
		queue->first = n;
		if (!queue->last)
			queue->last = n;
	} else {
		if (queue->last)
			arena->frames[queue->last].next = n;
		else
			queue->first = n;
		queue->last = n;
	}
}
