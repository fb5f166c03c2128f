/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How tests watch the engine: a build with -DS2_HOOKS hands every change of an entry to the two
 * functions below, which whoever links it must provide (ports/sim does). Production builds
 * call neither. They are called by any thread; s2_hook_cas() must be atomic on *entry.
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

#endif
