// SPDX-License-Identifier: BSD-2-Clause
/*
 * Numbers (VMIDs) for more guests than there are. A guest's id is a generation and a number, good
 * for as long as the generation is the present one. Within a generation numbers are given out from
 * 1 upwards, each once; the bitmap has those that were taken along from the generation before.
 *
 * A CPU's `active` is the id that it runs under, 0 if none, or TAKEN: a new generation has begun
 * and has moved what was there to `reserved`. The CPU may still be running under that. So it has to
 * come by the lock before it runs anything else.
 *
 * Why no number ever stands for two guests, and no invalidation names the wrong one (invariant
 * 14 of docs/locking.md):
 *
 * Loading against the beginning of a generation. Both change `active` by compare-and-swap, and
 * one comes first. If it is the load, the new generation finds the id there and takes its number
 * along. If it is the generation, the load fails and takes the lock. Only the CPU itself
 * replaces TAKEN, by a swap or under the lock, so it knows of the new generation from then on.
 *
 * What is cached under a number that is given out. All was invalidated after each CPU's `active`
 * had been taken, so only what ran then can have been cached since, and that keeps its number:
 * it is given to nobody else.
 *
 * One guest on two CPUs. Who is loaded with an id of an older generation looks for it in
 * `reserved`, and keeps the number if it is there. All copies get the new generation with it,
 * since the CPU may run under it into the generation after, which then keeps what is reserved.
 *
 * An invalidation against a new number. The load stores the id before the CPU walks for the
 * guest; the invalidation reads it when the changed entries are visible to walks. Both are
 * seq_cst: either it reads the new number, or the walk comes later and finds the changed
 * entries. A number changes only after all that was cached under the old one has been
 * invalidated.
 *
 * Generations have 48 bits and do not come round.
 */
#include <stage2/vmid.h>

#include "../pgtable/atomic.h"

#define NUMBER_BITS 16
#define GENERATION  (1ull << NUMBER_BITS) /* the first one; and the step to the next */
#define NUMBER      (GENERATION - 1)
#define TAKEN       1ull /* no id: these have a generation */

static uint64_t swap(uint64_t *p, uint64_t value)
{
	uint64_t old = s2_load_seq(p);

	while (!s2_cas_seq(p, &old, value))
		;
	return old;
}

int s2_vmids_init(struct s2_vmids *vmids, const struct s2_vmids_config *config)
{
	if (config->bits < 1 || config->bits > NUMBER_BITS || !config->cpus ||
	    config->cpus >= 1u << config->bits)
		return S2_EINVAL;
	if (!config->bitmap || !config->cpu || !config->flush_all || !config->relax)
		return S2_EINVAL;
	*vmids = (struct s2_vmids){ .config = *config, .generation = GENERATION, .next = 1 };
	for (uint32_t word = 0; word <= ((1u << config->bits) - 1) / 64; word++)
		config->bitmap[word] = 0;
	for (uint32_t cpu = 0; cpu < config->cpus; cpu++)
		config->cpu[cpu].active = config->cpu[cpu].reserved = 0;
	return 0;
}

/* A new generation. Keeps what the other CPUs run under; this one runs nothing. Under the lock. */
static void begin_generation(struct s2_vmids *vmids, struct s2_vmid_cpu *self)
{
	const struct s2_vmids_config *config = &vmids->config;

	s2_store_seq(&vmids->generation, vmids->generation + GENERATION);
	for (uint32_t word = 0; word <= ((1u << config->bits) - 1) / 64; word++)
		config->bitmap[word] = 0;
	s2_store_seq(&self->active, 0);
	for (uint32_t i = 0; i < config->cpus; i++) {
		struct s2_vmid_cpu *cpu = &config->cpu[i];
		uint64_t active = swap(&cpu->active, TAKEN);

		if (active != TAKEN)
			cpu->reserved = active;
		config->bitmap[(cpu->reserved & NUMBER) / 64] |= 1ull << (cpu->reserved & 63);
	}
	config->flush_all(config->ctx);
	vmids->next = 1;
	s2_count(&vmids->rollovers, 1);
}

/* Is there a number in this generation? It is vmids->next then. Under the lock. */
static int find_free(struct s2_vmids *vmids)
{
	while (vmids->next < 1u << vmids->config.bits &&
	       vmids->config.bitmap[vmids->next / 64] >> vmids->next % 64 & 1)
		vmids->next++;
	return vmids->next < 1u << vmids->config.bits;
}

/* An id of this generation for who has one of an older one, or none (0). Under the lock. */
static uint64_t renew(struct s2_vmids *vmids, uint64_t id, struct s2_vmid_cpu *self)
{
	uint64_t kept = vmids->generation | (id & NUMBER);
	int found = 0;

	for (uint32_t i = 0; id && i < vmids->config.cpus; i++) {
		if (vmids->config.cpu[i].reserved == id) {
			vmids->config.cpu[i].reserved = kept;
			found = 1;
		}
	}
	if (found)
		return kept;
	/* There are more numbers than other CPUs, so afterwards at least one is free. */
	if (!find_free(vmids)) {
		begin_generation(vmids, self);
		(void)find_free(vmids);
	}
	return vmids->generation | vmids->next++;
}

static uint64_t load_locked(struct s2_vmids *vmids, struct s2_vmid *vmid, struct s2_vmid_cpu *self)
{
	/* The lock is the one of src/pgtable, which takes from the port how to wait. */
	const struct s2_port wait = { .relax = vmids->config.relax, .ctx = vmids->config.ctx };
	uint64_t id;

	s2_lock(&vmids->lock, &wait);
	id = vmid->id;
	if ((id & ~NUMBER) != vmids->generation) {
		id = renew(vmids, id, self);
		/* Pairs with s2_vmid_current(). */
		s2_store_seq(&vmid->id, id);
	}
	s2_store_seq(&self->active, id);
	s2_unlock(&vmids->lock);
	return id;
}

uint16_t s2_vmid_load(struct s2_vmids *vmids, struct s2_vmid *vmid, uint32_t cpu)
{
	struct s2_vmid_cpu *self = &vmids->config.cpu[cpu];
	uint64_t old = s2_load_seq(&self->active);
	uint64_t id = s2_load_seq(&vmid->id);

	if (old == TAKEN || (id & ~NUMBER) != s2_load_seq(&vmids->generation) ||
	    !s2_cas_seq(&self->active, &old, id))
		id = load_locked(vmids, vmid, self);
	return (uint16_t)(id & NUMBER);
}

void s2_vmid_unload(struct s2_vmids *vmids, uint32_t cpu)
{
	(void)swap(&vmids->config.cpu[cpu].active, 0);
}

/*
 * Right for an id of an older generation, too: its guest runs under that number still, or all that
 * it had was invalidated; then the number may be another one's by now, who is only invalidated in
 * vain.
 */
uint16_t s2_vmid_current(const struct s2_vmid *vmid)
{
	/* Pairs with load_locked(). */
	return (uint16_t)(s2_load_seq(&vmid->id) & NUMBER);
}
