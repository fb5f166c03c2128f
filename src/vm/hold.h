/* SPDX-License-Identifier: BSD-2-Clause */
/* Several holds at once. The theory is in hold.c. */
#ifndef S2_VM_HOLD_H
#define S2_VM_HOLD_H

#include <stage2/hold.h>

/*
 * s2_hold_use() for who has other holds in use: asks nobody and waits for nobody, so that it cannot
 * wait for an invalidation that waits for one of those. Any context. Errors: S2_EAGAIN (what the
 * hold knows is nothing or stale: end the others, use this one alone, which asks the host, end it,
 * and begin again).
 */
S2_MUST_CHECK int s2_hold_try(struct s2_hold *hold);

#endif
