/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How tests watch the engine: a build with -DS2_HOOKS hands every change of an entry to the first
 * two functions below, and says by the third that it is about to change what else other threads
 * read without a lock. Whoever links it must provide them (ports/sim does). Production builds
 * call none. They are called by any thread; s2_hook_cas() must be atomic on *entry.
 */
#ifndef S2_HOOK_H
#define S2_HOOK_H

#include <stage2/types.h>

/*
 * Replaces a compare-and-swap on a linked table: if *entry == *old write `new` and return 1; else
 * load *old from *entry and return 0. Acquire-release at least.
 */
int s2_hook_cas(uint64_t *entry, uint64_t *old, uint64_t new_entry);
/* Replaces a plain store into a table that no walker can reach (yet, or any more). */
void s2_hook_store(uint64_t *entry, uint64_t value);
/*
 * src/vm is between two steps that others may come between, at gpa: the list of slots, a hold. ctx:
 * the port's. Outside walker sections.
 */
void s2_hook_slot(void *ctx, uint64_t gpa);

#endif
