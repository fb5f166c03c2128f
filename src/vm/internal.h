/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside view of a guest address space. Invalidation by sequence (docs/locking.md, invariant 5):
 *
 * A fault samples the counters of its region, looks up the slot and asks the host what is there,
 * all outside any section. Inside a section it compares: if an invalidation of the region is
 * running or has run since, what it knows may be stale and it leaves. Who invalidates counts first
 * and then waits for the open sections, so a fault either sees the count or is waited for.
 *
 * Counters exist per 2 MiB region, hashed; a mapping larger than a region uses those that count
 * every invalidation. So faults are not disturbed by invalidations elsewhere, and there is no list,
 * no lock and no limit on how many run at once.
 */
#ifndef S2_VM_INTERNAL_H
#define S2_VM_INTERNAL_H

#include <stage2/vm.h>

#include "../pgtable/internal.h"

#define S2_REGION_SHIFT 21

/* What a fault knew before it asked anybody. */
struct s2_sample {
	uint64_t sequence;
	uint64_t sequence_all;
};

void s2_vm_sample(const struct s2_vm *vm, uint64_t gpa, struct s2_sample *sample);

/* May what was learnt about [gpa, gpa + size) since the sample be relied on? In a section. */
int s2_vm_sample_valid(const struct s2_vm *vm, uint64_t gpa, uint64_t size,
		       const struct s2_sample *sample);

/* The slot that holds gpa, or NULL. In a section; the slot lives until it ends. */
struct s2_memslot *s2_slot_lookup(const struct s2_vm *vm, uint64_t gpa);

#endif
