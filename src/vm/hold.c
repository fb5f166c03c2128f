/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Holds (requirement V8; docs/locking.md, invariant 12).
 *
 * A hold is a remembered answer of the host with the sample of the invalidation counters that it
 * was asked under, and a flag on a cache line of its own. As for a fault the answer is good while
 * no invalidation of the region runs or has run since the sample; other than a fault, who uses it
 * cannot do so within a section, because he may take long. So the flag stands for the section:
 *
 *   user:   in_use = 1, then looks at running and sequence; not as sampled: in_use = 0, asks anew
 *   host:   running + 1, then looks at in_use; set: asks the user to end, and waits
 *
 * All four are sequentially consistent: one of the two sees the other. If the user finds the
 * counters as they were and is not seen, then the host's look came before his store, so its count
 * came before his load, and he would have seen that. s2_hold_done() releases what was done with
 * the page to the host's look.
 *
 * Who waits owns and shares nothing of the lists meanwhile. He looks through them with the lock
 * shared, drops it, relaxes, and looks again from the beginning: a hold is touched under the lock
 * only, so its owner may end it (s2_hold_fini()) as soon as it is not in use, and waits a few
 * instructions for that. Were the lock kept, then while a single hold is in use none could come or
 * go, nor could a change of the host's begin or end, whose list has the same lock. Any number may
 * wait at once, for the same holds too; none waits for another. The waiting ends: users that come
 * now see the count and forget what they knew, so each sets its flag in vain once at most; and
 * those in use wait for nothing that waits for them, which is why they may only try other holds
 * (s2_hold_try()): s2_hold_use() waits for ends.
 *
 * A hold that is not in the list yet when it is looked through is not missed: either its owner had
 * the lock later, or the list was found empty before his seq_cst store to its head. In both cases
 * the count came first, and his first use sees it.
 *
 * `revoked` may be set late, by somebody who saw the flag before done. A use that would be fooled
 * by that finds the counters changed: whoever sets it late has not ended, and the use clears it
 * first.
 *
 * Counters are shared by regions that hash alike, which costs a question to the host too many. Who
 * is sent away by them S2_PATIENCE times insists with a claim, as a fault does, and looks at that
 * instead of the counters: published ranges are seq_cst, too, and come before the look at in_use.
 *
 * Nothing is pinned here, no reference counted, and the guest's tables are not looked at.
 */
#include <stage2/hold.h>

#include "internal.h"

int s2_hold_init(struct s2_hold *hold, struct s2_vm *vm, s2_gpa_t gpa, uint64_t size,
		 enum s2_access access)
{
	uint64_t page = 1ull << vm->pt.page_shift;

	hold->vm = NULL;
	if (gpa.gpa >> vm->pt.ipa_bits || !size || size > page - (gpa.gpa & (page - 1)))
		return S2_ERANGE;
	if (access != S2_ACCESS_READ && access != S2_ACCESS_WRITE)
		return S2_EINVAL;
	hold->vm = vm;
	hold->hpa = s2_hpa(0);
	hold->gpa = gpa.gpa;
	hold->size = size;
	hold->access = (uint8_t)access;
	hold->known = 0;
	hold->bucket = &vm->inval[s2_bucket_of(gpa.gpa)];
	hold->sequence = 0;
	s2_store_relaxed(&hold->in_use, 0);
	s2_store_relaxed(&hold->revoked, 0);
	s2_lock(&vm->lists_lock, vm->pt.port);
	hold->next = vm->holds;
	hold->link = &vm->holds;
	if (hold->next)
		hold->next->link = &hold->next;
	__atomic_store_n(&vm->holds, hold, __ATOMIC_SEQ_CST); /* partner: s2_holds_wait() */
	s2_unlock(&vm->lists_lock);
	return 0;
}

void s2_hold_fini(struct s2_hold *hold)
{
	struct s2_vm *vm = hold->vm;

	if (!vm)
		return;
	s2_lock(&vm->lists_lock, vm->pt.port);
	__atomic_store_n(hold->link, hold->next, __ATOMIC_RELAXED);
	if (hold->next)
		hold->next->link = hold->link;
	s2_unlock(&vm->lists_lock);
	hold->vm = NULL;
}

/*
 * The page cannot go from here on, if what is known of it still holds: by the counters, or by a
 * claim. Running first, as in s2_vm_sample_valid(): the sequence moves before it goes down. (In
 * tests others may come in between; nothing of the list of slots is changed here.)
 */
static S2_ALWAYS_INLINE int take(struct s2_hold *hold, const struct s2_claim *claim)
{
	const struct s2_vm *vm = hold->vm;
	uint64_t running;
	int good;

	s2_store_relaxed(&hold->revoked, 0);
	s2_store_seq(&hold->in_use, 1);
	s2_slot_point(&vm->pt, hold->gpa);
	if (S2_UNLIKELY(claim != NULL)) {
		good = s2_vm_claim_valid(vm, claim);
	} else {
		running = s2_load_seq(&hold->bucket->running);
		s2_slot_point(&vm->pt, hold->gpa);
		good = !running && s2_load_seq(&hold->bucket->sequence) == hold->sequence;
	}
	if (S2_LIKELY(good))
		return 0;
	s2_hold_done(hold);
	hold->known = 0;
	return S2_EAGAIN;
}

int s2_hold_try(struct s2_hold *hold)
{
	return S2_LIKELY(hold->known) ? take(hold, NULL) : S2_EAGAIN;
}

void s2_hold_done(struct s2_hold *hold)
{
	s2_store_relaxed(&hold->revoked, 0);
	s2_store_release(&hold->in_use, 0);
}

/*
 * Looks up the slot, in walker->slot_*, and what is said of the page. This comes after the sample:
 * a slot that is leaving or changing, in whatever state it was found, ends its invalidation after
 * the sample, which does not hold any more then.
 */
static int slot_allows(const struct s2_hold *hold, struct s2_walker *walker, uint64_t gpa)
{
	unsigned int said = 0, forbidden = S2_PAGE_PRIVATE;

	if (!s2_slot_find(hold->vm, gpa, walker))
		return S2_ENOENT;
	if (walker->slot_flags & S2_SLOT_ATTRS)
		said = s2_attrs_read(hold->vm, walker, gpa);
	if (hold->access == S2_ACCESS_WRITE) {
		if (walker->slot_flags & S2_SLOT_READONLY)
			return S2_EPERM;
		forbidden |= S2_PAGE_NOWRITE;
	}
	return said & forbidden ? S2_EPERM : 0;
}

/* Asks the host for the page. */
static int resolve(const struct s2_hold *hold, uint64_t hva, struct s2_page *page)
{
	int ret = s2_ask(&hold->vm->pt, hva, (enum s2_access)hold->access, page);

	if (ret)
		return ret;
	if (s2_memtype_is_device((enum s2_memtype)page->type))
		return S2_EINVAL;
	return page->prot & (hold->access == S2_ACCESS_WRITE ? S2_W : S2_R) ? 0 : S2_EPERM;
}

/* A no is believed if nothing was going on there since the sample. As for a fault. */
static int confirm(const struct s2_vm *vm, struct s2_walker *walker, const struct s2_sample *sample,
		   int error)
{
	int valid;

	s2_enter(walker);
	valid = s2_vm_sample_valid(vm, 1, sample);
	s2_leave(walker);
	return valid ? error : S2_EAGAIN;
}

/* Asks for what is to be known, and takes the page with that. Errors: as use; S2_EAGAIN. */
static int learn(struct s2_hold *hold, struct s2_walker *walker, const struct s2_claim *claim)
{
	struct s2_vm *vm = hold->vm;
	uint64_t in_page = hold->gpa & ((1ull << vm->pt.page_shift) - 1);
	uint64_t gpa = hold->gpa - in_page;
	struct s2_sample sample;
	struct s2_page page;
	int ret;

	s2_vm_sample(vm, gpa, claim, &sample);
	if (!s2_vm_sample_valid(vm, 1, &sample))
		return S2_EAGAIN; /* one is running: the answer would be stale when it came */
	ret = slot_allows(hold, walker, gpa);
	if (!ret)
		ret = resolve(hold, walker->slot_hva + (gpa - walker->slot_gpa), &page);
	if (ret)
		return ret == S2_EPORT ? ret : confirm(vm, walker, &sample, ret);
	hold->hpa = s2_hpa(page.hpa.hpa + in_page);
	hold->sequence = sample.sequence;
	hold->known = 1;
	return take(hold, claim);
}

/* Like a fault that insists: only what touches this page can send it away (invariant 11). */
static int insist(struct s2_hold *hold, struct s2_walker *walker)
{
	uint64_t page = 1ull << hold->vm->pt.page_shift, gpa = hold->gpa & ~(page - 1);
	struct s2_claim *claim = s2_vm_claim(hold->vm, gpa, gpa + page - 1);
	int ret;

	if (!claim)
		return S2_EAGAIN;
	ret = learn(hold, walker, claim);
	s2_vm_release(hold->vm, claim);
	return ret;
}

int s2_hold_use(struct s2_hold *hold, struct s2_walker *walker)
{
	const struct s2_port *port = hold->vm->pt.port;
	int ret = s2_hold_try(hold);

	for (unsigned int tries = 0; S2_UNLIKELY(ret == S2_EAGAIN); tries++) {
		if (tries)
			port->relax(port->ctx);
		ret = tries % (S2_PATIENCE + 1) < S2_PATIENCE ? learn(hold, walker, NULL)
							      : insist(hold, walker);
	}
	return ret;
}

/* One look at all holds. Asks the users of those that are in use there; returns whether any is. */
static int holds_revoke(struct s2_vm *vm, uint64_t first, uint64_t last)
{
	struct s2_hold *hold;
	int in_use = 0;

	s2_lock_shared(&vm->lists_lock, vm->pt.port);
	for (hold = vm->holds; hold; hold = hold->next) {
		if (hold->gpa > last || hold->gpa + hold->size - 1 < first ||
		    !s2_load_seq(&hold->in_use))
			continue;
		in_use = 1;
		/* Whoever comes first says so. */
		if (__atomic_exchange_n(&hold->revoked, 1, __ATOMIC_RELAXED))
			continue;
		s2_trace(vm, S2_TRACE_REVOKE, 0, 0, hold->gpa, hold->size);
		if (hold->revoke)
			hold->revoke(hold);
	}
	s2_unlock_shared(&vm->lists_lock);
	return in_use;
}

void s2_holds_wait(struct s2_vm *vm, uint64_t gpa, uint64_t size)
{
	if (!__atomic_load_n(&vm->holds, __ATOMIC_SEQ_CST))
		return;
	while (holds_revoke(vm, gpa, gpa + size - 1))
		vm->pt.port->relax(vm->pt.port->ctx);
}
