/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Holds: how a hypervisor itself works in guest memory (nested virtualisation, paravirtual pages,
 * queues of devices) without pinning it. docs/host.md has the idea, docs/locking.md the argument
 * (invariant 12).
 *
 * A hold knows where a piece of guest memory is. The knowledge goes stale when the host takes the
 * page away or a slot changes; each use finds that out, and asks the host again. While it is in
 * use, the page cannot go: who wants to take it waits.
 */
#ifndef STAGE2_HOLD_H
#define STAGE2_HOLD_H

#include <stage2/vm.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The caller owns it, one thread at a time uses it. hpa is good between use and done, the other
 * fields are private.
 */
struct s2_hold {
	s2_hpa_t hpa; /* of gpa */
	void *ctx;    /* the caller's */
	/*
	 * May be NULL. Called, perhaps several times, by an invalidation that waits for this hold:
	 * make its user call s2_hold_done() soon (kick the vCPU). Outside any section, on any
	 * thread; must not wait, nor call back.
	 */
	void (*revoke)(struct s2_hold *hold);
	struct s2_vm *vm;
	struct s2_hold *next, **link;
	uint64_t gpa, size;
	uint8_t access;
	uint8_t known; /* hpa, bucket and sequence are from an answer of the host's */
	uint8_t pad[6];
	const struct s2_inval_bucket *bucket;
	uint64_t sequence;
	uint64_t in_use __attribute__((aligned(S2_CACHE_LINE)));
	uint64_t revoked; /* somebody waits for done */
};

/*
 * Prepares a hold on [gpa, gpa + size), which lies within one page, for reading or writing (enum
 * s2_access). Set hold->ctx and hold->revoke before. Nothing is looked at yet. Context: outside any
 * section, and this thread has no hold in use. Errors: S2_ERANGE (leaves the page or the address
 * space, or is empty), S2_EINVAL (access).
 */
S2_MUST_CHECK int s2_hold_init(struct s2_hold *hold, struct s2_vm *vm, s2_gpa_t gpa, uint64_t size,
			       enum s2_access access);
/* The hold must not be in use. Harmless on a zeroed or failed one. Context: as s2_hold_init(). */
void s2_hold_fini(struct s2_hold *hold);

/*
 * Makes hold->hpa good until s2_hold_done(). Asks the host where that is needed (may sleep); waits
 * for the end of an invalidation under way there. This thread has no other hold in use.
 *
 * Between use and done it must not begin or end an invalidation or a host change, change slots or
 * attributes, prefault, or use another hold's init, fini or use, nor wait for somebody who does. It
 * may fault where resolve() and table_alloc() do not wait for changes of the host's (direct reclaim
 * is one): such a change may be waiting for this very hold.
 *
 * Errors (then it is not in use): S2_ENOENT (no slot, or resolve() says so), S2_EPERM (read-only
 * slot, private page, S2_PAGE_NOWRITE, or resolve()), S2_EINVAL (device memory), S2_EPOISON,
 * S2_EPENDING, S2_ENOMEM, S2_EPORT.
 */
S2_MUST_CHECK int s2_hold_use(struct s2_hold *hold, struct s2_walker *walker);
/*
 * The same for who has other holds in use: asks nobody and waits for nobody, so that it cannot wait
 * for an invalidation that waits for one of those. Any context. Errors: S2_EAGAIN (what the hold
 * knows is nothing or stale: end the others, use and end this one alone, which asks the host, and
 * begin again).
 */
S2_MUST_CHECK int s2_hold_try(struct s2_hold *hold);
void s2_hold_done(struct s2_hold *hold);

/* Does somebody wait for s2_hold_done()? For users that work for long. Any context. */
static inline int s2_hold_revoked(const struct s2_hold *hold)
{
	return __atomic_load_n(&hold->revoked, __ATOMIC_RELAXED) != 0;
}

#ifdef __cplusplus
}
#endif
#endif
