// SPDX-License-Identifier: BSD-2-Clause
/*
 * The simulated host: what backs its virtual addresses, and what the caches owe.
 *
 * Host memory is an array of 2 MiB chunks, each with its own output address, kind, rights and
 * largest block; resolve() answers with the largest block that alignment of hva and hpa allow. A
 * block larger than a chunk is the test's promise that the neighbours continue it. Chunks change
 * only as a real host changes them: between s2_vm_invalidate_begin() and _end(). The model is told
 * what is taken and given (sim_set_chunk()), what is a device (when resolve() first says so), and
 * what caches were cleaned.
 */
#include <stdlib.h>

#include "machine.h"

#define CHUNK_SIZE (1ull << SIM_CHUNK_SHIFT)

uint64_t sim_hva(uint64_t chunk)
{
	return SIM_HVA_BASE + (chunk << SIM_CHUNK_SHIFT);
}

void sim_host_init(struct sim *sim)
{
	sim->chunks = calloc(sim->config.chunks + 1u, sizeof(*sim->chunks));
	if (!sim->chunks)
		abort();
}

void sim_host_fini(struct sim *sim)
{
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
	if (chunk->type >= S2_MEM_DEVICE)
		sim_tell(sim, S2C_DEVICE, 0, hpa >> shift << shift, 1ull << shift);
	*page = (struct s2_page){
		.hpa = s2_hpa(hpa), .size = 1ull << shift, .prot = chunk->prot, .type = chunk->type
	};
	return 0;
}

void sim_host_sync(struct sim *sim, uint64_t hpa, uint64_t size, unsigned int kind)
{
	uint64_t page = 1ull << sim->config.page_shift;

	if (!kind || kind & ~(unsigned int)(S2_SYNC_DATA | S2_SYNC_INSN | S2_SYNC_TAGS) || !size ||
	    (hpa | size) & (page - 1)) {
		sim_fail(sim, "port-sync: cache_sync of 0x%llx bytes at 0x%llx, kind %u",
			 (unsigned long long)size, (unsigned long long)hpa, kind);
		return;
	}
	if (kind & S2_SYNC_DATA) {
		sim->sync_bytes[0] += size;
		sim_tell(sim, S2C_DC, S2C_CIVAC, hpa, size);
	}
	if (kind & S2_SYNC_INSN) {
		sim->sync_bytes[1] += size;
		sim_tell(sim, S2C_DC, S2C_CVAU, hpa, size);
		sim_tell(sim, S2C_IC, 0, hpa, size);
	}
}

void sim_set_chunk(struct sim *sim, uint64_t n, const struct sim_chunk *chunk)
{
	pthread_mutex_lock(&sim->lock);
	if (sim->chunks[n].shift)
		sim_tell(sim, S2C_TAKE, 0, sim->chunks[n].hpa, CHUNK_SIZE);
	sim->chunks[n] = *chunk;
	if (chunk->shift)
		sim_tell(sim, S2C_GIVE, 0, chunk->hpa, CHUNK_SIZE);
	pthread_mutex_unlock(&sim->lock);
}
