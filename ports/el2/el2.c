// SPDX-License-Identifier: BSD-2-Clause
/*
 * Tables, backing memory and caches for a hypervisor at EL2; tlb.c has the invalidations.
 *
 * The pool is a bump allocator with a free list per order. Only roots have an order above 0 and
 * they live as long as their tree, so nothing is ever split or merged; what alignment skips goes to
 * the lists of the smaller orders.
 *
 * Does not sleep and never says "not now": there is no host that takes memory away.
 */
#include "el2.h"
#include "tlb.h"

#include <insn.h>

#define PAGE 4096ull

/*
 * Acquire and release pair with each other: what the last holder wrote to the lists is seen. A
 * CPU waits at most for the others' few steps under the lock.
 */
static void pool_lock(struct el2_pool *pool)
{
	while (__atomic_exchange_n(&pool->lock, 1, __ATOMIC_ACQUIRE))
		while (__atomic_load_n(&pool->lock, __ATOMIC_RELAXED))
			insn_yield();
}

static void pool_unlock(struct el2_pool *pool)
{
	__atomic_store_n(&pool->lock, 0, __ATOMIC_RELEASE);
}

/* A free table's first word links it to the next one. */
static void pool_push(struct el2_pool *pool, unsigned int order, void *table)
{
	*(void **)table = pool->free[order];
	pool->free[order] = table;
}

static void *pool_fresh(struct el2_pool *pool, unsigned int order)
{
	uint64_t size = PAGE << order;
	uint64_t at = (pool->fresh + size - 1) & ~(size - 1);

	if (at < pool->fresh || at > pool->end || pool->end - at < size)
		return NULL;
	while (pool->fresh < at) {
		unsigned int skip = (unsigned int)__builtin_ctzll(pool->fresh / PAGE);

		pool_push(pool, skip, (void *)pool->fresh);
		pool->fresh += PAGE << skip;
	}
	pool->fresh = at + size;
	return (void *)at;
}

/* Eight words a step: a new table is most of what the fault that needs it costs. */
static void zero(uint64_t *word, uint64_t size)
{
	for (const uint64_t *end = word + size / 8; word < end; word += 8) {
		word[0] = 0;
		word[1] = 0;
		word[2] = 0;
		word[3] = 0;
		word[4] = 0;
		word[5] = 0;
		word[6] = 0;
		word[7] = 0;
	}
}

static void *table_alloc(void *ctx, unsigned int order)
{
	struct el2_port *el2 = ctx;
	struct el2_pool *pool = &el2->pool;
	void *table;

	if (order >= EL2_POOL_ORDERS)
		return NULL;
	pool_lock(pool);
	table = pool->free[order];
	if (table)
		pool->free[order] = *(void **)table;
	else
		table = pool_fresh(pool, order);
	pool_unlock(pool);
	if (table)
		zero(table, PAGE << order);
	return table;
}

static void table_free(void *ctx, void *table, unsigned int order)
{
	struct el2_port *el2 = ctx;

	pool_lock(&el2->pool);
	pool_push(&el2->pool, order, table);
	pool_unlock(&el2->pool);
}

uint64_t el2_pool_left(const struct el2_pool *pool)
{
	return (pool->end - __atomic_load_n(&pool->fresh, __ATOMIC_RELAXED)) / PAGE;
}

/*
 * The largest aligned power of two around addr that lies within the region. A block reaches beyond
 * one of the region's ends if it holds the byte next to it: if addr and that byte agree in all bits
 * from its size on. So the highest bit in which they differ is the limit. (A region from 0 on has
 * ~0 for the byte before it.)
 */
static uint64_t block_around(const struct el2_region *region, uint64_t addr)
{
	uint64_t before = addr ^ (region->base - 1);
	uint64_t behind = addr ^ (region->base + region->size);

	return 1ull << (63 - __builtin_clzll(before < behind ? before : behind));
}

static int describe(const struct el2_region *region, uint64_t addr, struct s2_page *page)
{
	uint8_t prot = region->prot, type = region->type;

	page->hpa = s2_hpa(addr);
	page->size = block_around(region, addr);
	page->prot = prot;
	page->type = type;
	return 0;
}

static __attribute__((noinline)) int resolve_other(const struct el2_port *el2, s2_hva_t hva,
						   enum s2_access access, struct s2_page *page)
{
	for (uint32_t i = 1; i < el2->nregions; i++)
		if (hva.hva - el2->regions[i].base < el2->regions[i].size)
			return describe(&el2->regions[i], hva.hva, page);
	return el2->overlay ? el2->overlay(hva, access, page) : S2_ENOENT;
}

/* Says what is there; whether its rights suffice for this access is the engine's to judge. */
static int resolve(void *ctx, s2_hva_t hva, enum s2_access access, struct s2_page *page)
{
	const struct el2_port *el2 = ctx;
	const struct el2_region *first = el2->regions;

	if (hva.hva - first->base < first->size)
		return describe(first, hva.hva, page);
	return resolve_other(el2, hva, access, page);
}

/*
 * Must data reach the point of unification before instructions are fetched from it? Not with
 * FEAT_S2FWB, not if CTR.IDC says so, not if there is no cache level to clean (CLIDR.LoC, or LoUIS
 * and LoUU, are 0), which FEAT_S2FWB implies (DDI 0487, CLIDR_EL1, FEAT_S2FWB).
 */
static int insn_needs_clean(const struct s2_cpu *cpu)
{
	uint64_t clidr;

	if (cpu->features & S2_CPU_FWB || insn_read_ctr() >> 28 & 1)
		return 0;
	clidr = insn_read_clidr();
	return clidr >> 24 & 7 && (clidr >> 21 & 7 || clidr >> 27 & 7);
}

/* Bytes of the smallest line of the data caches. */
static uint64_t line_size(void)
{
	return 4ull << (insn_read_ctr() >> 16 & 15);
}

/*
 * Without FEAT_S2FWB a guest with its caches off reads memory itself, so what the host's caches
 * hold must get there: clean to the point of coherency, and invalidate too, or the guest would find
 * an old clean line when it turns its caches on after having written past them.
 *
 * Instructions: data to the point of unification (a clean to coherency did that too), then all
 * instruction caches. By address would be wrong: with a VIPT cache the guest's alias of the page
 * may sit in another set, so everything goes.
 */
static void cache_sync(void *ctx, s2_hpa_t hpa, uint64_t size, unsigned int kind)
{
	const struct el2_port *el2 = ctx;

	if (kind & S2_SYNC_DATA)
		for (uint64_t at = hpa.hpa, line = line_size(); at < hpa.hpa + size; at += line)
			insn_dc_civac(at);
	else if (insn_needs_clean(&el2->cpu))
		for (uint64_t at = hpa.hpa, line = line_size(); at < hpa.hpa + size; at += line)
			insn_dc_cvau(at);
	insn_dsb(INSN_ISH);
	if (kind & S2_SYNC_INSN) {
		insn_ic_ialluis();
		insn_dsb(INSN_ISH);
		insn_isb();
	}
}

static void relax(void *ctx)
{
	(void)ctx;
	insn_yield();
}

void el2_port_init(struct el2_port *el2, const struct s2_cpu *cpu, uint64_t pool, uint64_t size)
{
	el2->cpu = *cpu;
	el2->pool.fresh = pool;
	el2->pool.end = pool + size;
	el2->port.version = S2_PORT_VERSION;
	el2->port.ctx = el2;
	el2->port.table_offset = 0;
	el2->port.table_alloc = table_alloc;
	el2->port.table_free = table_free;
	el2->port.resolve = resolve;
	el2->port.tlb = el2_tlb;
	el2->port.cache_sync = cache_sync;
	el2->port.relax = relax;
}
