// SPDX-License-Identifier: BSD-2-Clause
/*
 * The simulated host: what backs its virtual addresses, and what the caches owe.
 *
 * Host memory is an array of 2 MiB chunks, each with its own output address, kind, rights and
 * largest block; resolve() answers with the largest block that alignment of hva and hpa allow. A
 * block larger than a chunk is the test's promise that the neighbours continue it. Chunks change
 * only as a real host changes them: between s2_vm_invalidate_begin() and _end().
 *
 * Cache maintenance: two bitmaps over host physical pages say which were cleaned to memory, and
 * made executable, since the host wrote to them last (sim_host_wrote()). Pages beyond SIM_HPA_BITS
 * are not watched.
 */
#include <stdlib.h>
#include <string.h>

#include "machine.h"

#define CHUNK_SIZE (1ull << SIM_CHUNK_SHIFT)

uint64_t sim_hva(uint64_t chunk)
{
	return SIM_HVA_BASE + (chunk << SIM_CHUNK_SHIFT);
}

void sim_host_init(struct sim *sim)
{
	uint64_t words = (1ull << SIM_HPA_BITS >> sim->config.page_shift) / 64;

	for (int i = 0; i < 2; i++) {
		sim->synced[i] = calloc(words, 8);
		if (!sim->synced[i])
			abort();
	}
	sim->chunks = calloc(sim->config.chunks + 1u, sizeof(*sim->chunks));
	if (!sim->chunks)
		abort();
}

void sim_host_fini(struct sim *sim)
{
	free(sim->synced[0]);
	free(sim->synced[1]);
	free(sim->chunks);
}

int sim_host_resolve(struct sim *sim, uint64_t hva, enum s2_access access, struct s2_page *page)
{
	uint64_t offset = hva - SIM_HVA_BASE;
	uint64_t n = offset >> SIM_CHUNK_SHIFT;
	const struct sim_chunk *chunk;
	unsigned int shift;
	uint64_t hpa;

	if (hva < SIM_HVA_BASE || n >= sim->config.chunks)
		return S2_ENOENT;
	chunk = &sim->chunks[n];
	if (chunk->error)
		return chunk->error;
	if (access == S2_ACCESS_WRITE && !(chunk->prot & S2_W))
		return S2_EPERM;
	hpa = chunk->hpa + (offset & (CHUNK_SIZE - 1));
	shift = chunk->shift;
	while (shift > sim->config.page_shift && (hva ^ hpa) & ((1ull << shift) - 1))
		shift--;
	*page = (struct s2_page){
		.hpa = s2_hpa(hpa), .size = 1ull << shift, .prot = chunk->prot, .type = chunk->type
	};
	return 0;
}

/* Sets or tests a run of bits, a word at a time where it can. */
static int bits(uint64_t *map, uint64_t first, uint64_t n, int value, int test)
{
	uint64_t end = first + n;

	while (first < end) {
		uint64_t bit = first % 64;
		uint64_t run = end - first < 64 - bit ? end - first : 64 - bit;
		uint64_t mask = (run == 64 ? ~0ull : (1ull << run) - 1) << bit;

		if (test && (map[first / 64] & mask) != mask)
			return 0;
		if (!test && value)
			map[first / 64] |= mask;
		if (!test && !value)
			map[first / 64] &= ~mask;
		first += run;
	}
	return 1;
}

static int watched(uint64_t hpa, uint64_t size)
{
	return !(hpa >> SIM_HPA_BITS) && !((hpa + size - 1) >> SIM_HPA_BITS);
}

static int sync_bits(struct sim *sim, uint64_t hpa, uint64_t size, unsigned int kind, int value,
		     int test)
{
	unsigned int shift = sim->config.page_shift;
	int ok = 1;

	if (!watched(hpa, size))
		return 1;
	if (kind & S2_SYNC_DATA)
		ok &= bits(sim->synced[0], hpa >> shift, size >> shift, value, test);
	if (kind & S2_SYNC_INSN)
		ok &= bits(sim->synced[1], hpa >> shift, size >> shift, value, test);
	return ok;
}

void sim_host_sync(struct sim *sim, uint64_t hpa, uint64_t size, unsigned int kind)
{
	uint64_t page = 1ull << sim->config.page_shift;

	if (!kind || kind & ~(unsigned int)(S2_SYNC_DATA | S2_SYNC_INSN) || !size ||
	    (hpa | size) & (page - 1))
		sim_fail(sim, "cache_sync of 0x%llx bytes at 0x%llx, kind %u",
			 (unsigned long long)size, (unsigned long long)hpa, kind);
	for (uint64_t i = 0; i < sim->config.chunks; i++) {
		const struct sim_chunk *chunk = &sim->chunks[i];

		if (chunk->type >= S2_MEM_DEVICE && hpa < chunk->hpa + CHUNK_SIZE &&
		    chunk->hpa < hpa + size)
			sim_fail(sim, "cache_sync of device memory at 0x%llx",
				 (unsigned long long)hpa);
	}
	if (kind & S2_SYNC_DATA)
		sim->sync_bytes[0] += size;
	if (kind & S2_SYNC_INSN)
		sim->sync_bytes[1] += size;
	sync_bits(sim, hpa, size, kind, 1, 0);
}

int sim_host_is_synced(struct sim *sim, uint64_t hpa, uint64_t size, unsigned int kind)
{
	return sync_bits(sim, hpa, size, kind, 1, 1);
}

void sim_host_wrote(struct sim *sim, uint64_t hpa, uint64_t size)
{
	pthread_mutex_lock(&sim->lock);
	sync_bits(sim, hpa, size, S2_SYNC_DATA | S2_SYNC_INSN, 0, 0);
	pthread_mutex_unlock(&sim->lock);
}

void sim_set_chunk(struct sim *sim, uint64_t n, const struct sim_chunk *chunk)
{
	pthread_mutex_lock(&sim->lock);
	sim->chunks[n] = *chunk;
	pthread_mutex_unlock(&sim->lock);
}
