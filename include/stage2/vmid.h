/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMIDs (Arm, RISC-V), VPIDs and ASIDs (x86) for more guests than there are numbers, by
 * generations. docs/host.md has the idea, docs/locking.md the argument (invariant 14).
 *
 * A guest keeps its number for as long as the generation lasts. When none is free a new generation
 * begins: guests that are loaded on a CPU keep theirs, everything cached is invalidated once, all
 * others draw a new number when they are loaded next. Number 0 is never given to a guest: it is the
 * host's.
 */
#ifndef STAGE2_VMID_H
#define STAGE2_VMID_H

#include <stage2/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct s2_vmids;

/* The caller owns all memory. Fields after `ctx` of the configuration are its to provide. */
struct s2_vmids_config {
	uint8_t bits; /* of a number: 1 to 16 */
	uint8_t pad[3];
	uint32_t cpus;
	uint64_t *bitmap;        /* (1 << bits) bits, at least one word */
	struct s2_vmid_cpu *cpu; /* one for each */
	/*
	 * Invalidates all that any CPU has cached under any number, complete on return. Called with
	 * the allocator's lock held, from s2_vmid_load(): must not wait for other CPUs that may be
	 * in there, nor call back.
	 */
	void (*flush_all)(void *ctx);
	/* Called while waiting for another CPU's rollover: its flush_all() must get through. */
	void (*relax)(void *ctx);
	void *ctx;
};

/* What is loaded on one CPU. On a cache line of its own. Private. */
struct s2_vmid_cpu {
	uint64_t active __attribute__((aligned(64)));
	uint64_t reserved;
};

/* All numbers of a machine. Private. */
struct s2_vmids {
	struct s2_vmids_config config;
	uint64_t generation;
	uint32_t lock;
	uint32_t next; /* where to look for a free number */
	uint64_t rollovers;
};

/* A guest's. Zeroed at first. Private. */
struct s2_vmid {
	uint64_t id; /* generation and number */
};

/* Errors: S2_EINVAL (bits, no CPU, more CPUs than numbers but one, a NULL). */
S2_MUST_CHECK int s2_vmids_init(struct s2_vmids *vmids, const struct s2_vmids_config *config);

/*
 * This CPU is about to run the guest: returns the number to load. On entry the CPU can no longer
 * walk, not even speculatively, under the number it had before; before it walks under the new one
 * the caller makes what was stored here visible to other CPUs (Arm: DSB). The thread stays on the
 * CPU from before the call until the guest has been left, or s2_vmid_unload(). Never fails: may
 * wait for another CPU's rollover.
 */
uint16_t s2_vmid_load(struct s2_vmids *vmids, struct s2_vmid *vmid, uint32_t cpu);
/* No guest is loaded on this CPU any more. (Loading another one says that, too.) */
void s2_vmid_unload(struct s2_vmids *vmids, uint32_t cpu);

/*
 * The number under which this guest's translations may be cached now. Read it after the entries
 * have changed and after the barrier that shows them to walks. 0: under none, nothing needs to be
 * invalidated. Any context.
 */
uint16_t s2_vmid_current(const struct s2_vmid *vmid);

#ifdef __cplusplus
}
#endif
#endif
