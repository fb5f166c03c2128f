/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host takes memory away: sequences, exact ranges, and names. The theory is in internal.h and
 * docs/host.md, the argument in docs/locking.md.
 */
#include "internal.h"
#include "names.h"

/* Buckets that a range touches, as a bit mask. */
static uint64_t bucket_mask(uint64_t gpa, uint64_t size)
{
	uint64_t first = gpa >> S2_REGION_SHIFT, last = (gpa + size - 1) >> S2_REGION_SHIFT;
	uint64_t mask = 0;

	_Static_assert(S2_INVAL_BUCKETS == 64, "one bit a bucket");
	if (last - first >= S2_INVAL_BUCKETS - 1)
		return ~0ull;
	for (; first <= last; first++)
		mask |= 1ull << (first & (S2_INVAL_BUCKETS - 1));
	return mask;
}

static void bucket_begin(struct s2_inval_bucket *bucket)
{
	s2_add_seq(&bucket->running, 1);
}

/*
 * The sequence moves at the end, and first: a fault that sampled it while this was running may have
 * asked the host before the change took effect, and must not find everything as it was. (The model
 * in tests/model found this.) Partner: s2_vm_sample_valid() looks at running first.
 */
static void bucket_end(struct s2_inval_bucket *bucket)
{
	s2_add_seq(&bucket->sequence, 1);
	s2_add_seq(&bucket->running, ~0ull);
}

/*
 * Is another invalidation of these buckets between its begin and its end? It may have removed what
 * this one then did not find, and not have flushed yet. It was counted before it removed anything,
 * so whoever missed an entry because of it sees the count.
 */
static int others_run(const struct s2_vm *vm, uint64_t mask)
{
	for (unsigned int i = 0; i < S2_INVAL_BUCKETS; i++)
		if (mask >> i & 1 && s2_load_acquire(&vm->inval[i].running) > 1)
			return 1;
	return 0;
}

/* ---- exact ranges, for those who insist (invariant 11) ---- */

/* Takes a place that is free. What else belongs to it must be written before range_good(). */
static int range_take(struct s2_range *range, uint64_t gpa, uint64_t last)
{
	uint64_t state = s2_load_acquire(&range->state);

	if (state & 3 || !s2_cas_seq(&range->state, &state, state + 1))
		return 0;
	s2_store_release(&range->gpa, gpa); /* who sees these sees the state above */
	s2_store_release(&range->last, last);
	return 1;
}

static void range_good(struct s2_range *range)
{
	s2_add_seq(&range->state, 1);
}

/*
 * Who is just writing one, or has just taken it back, need not be seen: the first has not come to
 * its synchronize (or its loads) yet, the second has done its duty before.
 */
static int range_touches(const struct s2_range *range, uint64_t gpa, uint64_t last)
{
	uint64_t state = s2_load_seq(&range->state), first, end;

	if ((state & 3) != 2)
		return 0;
	first = s2_load_acquire(&range->gpa);
	end = s2_load_acquire(&range->last);
	return s2_load_acquire(&range->state) == state && first <= last && gpa <= end;
}

static void publish(struct s2_vm *vm, uint64_t gpa, uint64_t last)
{
	for (unsigned int i = 0; i < S2_INVAL_RANGES; i++) {
		if (range_take(&vm->ranges[i], gpa, last)) {
			range_good(&vm->ranges[i]);
			return;
		}
	}
	s2_add_seq(&vm->unranged, 1);
}

/* Equal ranges are as good as each other, also where one of them found no place. */
static void withdraw(struct s2_vm *vm, uint64_t gpa, uint64_t last)
{
	for (unsigned int i = 0; i < S2_INVAL_RANGES; i++) {
		struct s2_range *range = &vm->ranges[i];
		uint64_t state = s2_load_acquire(&range->state);

		if ((state & 3) == 2 && s2_load_acquire(&range->gpa) == gpa &&
		    s2_load_acquire(&range->last) == last &&
		    s2_cas_seq(&range->state, &state, state + 2))
			return;
	}
	s2_add_seq(&vm->unranged, ~0ull);
}

/*
 * The load at the end pairs with the end of an invalidation, which moves that sequence and then
 * looks for claims: either it sees this one, or what the host did before is seen from here on.
 */
struct s2_claim *s2_vm_claim(struct s2_vm *vm, uint64_t gpa, uint64_t last)
{
	s2_add_seq(&vm->claimed, 1);
	for (unsigned int i = 0; i < S2_CLAIMS; i++) {
		struct s2_claim *claim = &vm->claims[i];

		if (range_take(&claim->range, gpa, last)) {
			s2_store_relaxed(&claim->disturbed, 0);
			range_good(&claim->range);
			(void)s2_load_seq(&vm->inval_all.sequence);
			return claim;
		}
	}
	s2_add_seq(&vm->claimed, ~0ull);
	return NULL;
}

void s2_vm_release(struct s2_vm *vm, struct s2_claim *claim)
{
	s2_add_seq(&claim->range.state, 2);
	s2_add_seq(&vm->claimed, ~0ull);
}

/* Whose range is not in the table any more has disturbed the claim before it took that back. */
int s2_vm_claim_valid(const struct s2_vm *vm, const struct s2_claim *claim)
{
	if (s2_load_seq(&vm->unranged))
		return 0;
	for (unsigned int i = 0; i < S2_INVAL_RANGES; i++)
		if (range_touches(&vm->ranges[i], claim->range.gpa, claim->range.last))
			return 0;
	return !s2_load_acquire(&claim->disturbed);
}

static void disturb(struct s2_vm *vm, uint64_t gpa, uint64_t last)
{
	if (!s2_load_seq(&vm->claimed))
		return;
	for (unsigned int i = 0; i < S2_CLAIMS; i++)
		if (range_touches(&vm->claims[i].range, gpa, last))
			s2_store_seq(&vm->claims[i].disturbed, 1);
}

/* ---- one piece of guest memory ---- */

static void piece_begin(struct s2_vm *vm, uint64_t gpa, uint64_t size)
{
	uint64_t mask = bucket_mask(gpa, size);

	publish(vm, gpa, gpa + size - 1);
	bucket_begin(&vm->inval_all);
	for (unsigned int i = 0; i < S2_INVAL_BUCKETS; i++)
		if (mask >> i & 1)
			bucket_begin(&vm->inval[i]);
}

/* After s2_synchronize() and s2_holds_wait(). The gather gets what has to be invalidated. */
static void piece_take(struct s2_vm *vm, uint64_t gpa, uint64_t size, enum s2_inval how,
		       struct s2_walker *walker, struct s2_gather *gather)
{
	struct s2_progress progress;
	struct s2_pt *pt = &vm->pt;
	int ret;

	if (how == S2_INVAL_UNMAP)
		ret = pt->ops->unmap(pt, s2_gpa(gpa), size, S2_UNMAP_WHOLE, walker, gather,
				     &progress);
	else
		ret = pt->ops->protect(pt, s2_gpa(gpa), size, S2_W | S2_PROTECT_WHOLE, walker,
				       gather, &progress);
	if (ret)
		__builtin_trap();                   /* nothing in it can fail: it splits no block */
	if (others_run(vm, bucket_mask(gpa, size))) /* pay what they owe, rather than wait */
		s2_gather_add(gather, gpa, size, S2_LEVEL_ANY, 0);
}

static void piece_end(struct s2_vm *vm, uint64_t gpa, uint64_t size)
{
	uint64_t mask = bucket_mask(gpa, size);

	for (unsigned int i = 0; i < S2_INVAL_BUCKETS; i++)
		if (mask >> i & 1)
			bucket_end(&vm->inval[i]);
	bucket_end(&vm->inval_all);
	disturb(vm, gpa, gpa + size - 1);
	withdraw(vm, gpa, gpa + size - 1);
}

int s2_vm_invalidate_begin(struct s2_vm *vm, s2_gpa_t gpa, uint64_t size, enum s2_inval how,
			   struct s2_walker *walker)
{
	struct s2_gather gather;
	int ret = s2_pt_check_range(&vm->pt, gpa.gpa, size);

	if (!ret && how > S2_INVAL_WRITE)
		ret = S2_EINVAL;
	if (ret)
		return ret;
	s2_trace(vm, S2_TRACE_INVAL_BEGIN, how, 0, gpa.gpa, size);
	piece_begin(vm, gpa.gpa, size);
	s2_synchronize(&vm->pt, walker);
	s2_holds_wait(vm, gpa.gpa, size);
	s2_gather_init(&gather, &vm->pt);
	piece_take(vm, gpa.gpa, size, how, walker, &gather);
	s2_gather_flush(&gather, walker);
	return 0;
}

void s2_vm_invalidate_end(struct s2_vm *vm, s2_gpa_t gpa, uint64_t size)
{
	piece_end(vm, gpa.gpa, size);
	s2_trace(vm, S2_TRACE_INVAL_END, 0, 0, gpa.gpa, size);
}

/* ---- by the host's names (invariant 13) ---- */

/* What [first, last], hva, is to the guest through this name: its size, and *gpa. */
static uint64_t piece_of(const struct s2_name *name, uint64_t first, uint64_t last, uint64_t *gpa)
{
	uint64_t from = first > name->first ? first : name->first;
	uint64_t to = last < name->last ? last : name->last;

	*gpa = name->slot->gpa.gpa + (from - name->first);
	return to - from + 1;
}

/* The list of changes is read by owners of slots_lock, written by those who share it. */
static void change_link(struct s2_vm *vm, struct s2_host_change *change)
{
	s2_lock(&vm->lists_lock, vm->pt.port);
	change->next = vm->changes;
	change->link = &vm->changes;
	if (change->next)
		change->next->link = &change->next;
	vm->changes = change;
	s2_unlock(&vm->lists_lock);
}

static void change_unlink(struct s2_vm *vm, struct s2_host_change *change)
{
	s2_lock(&vm->lists_lock, vm->pt.port);
	*change->link = change->next;
	if (change->next)
		change->next->link = change->link;
	s2_unlock(&vm->lists_lock);
}

int s2_vm_changing(const struct s2_vm *vm, uint64_t first, uint64_t last)
{
	for (const struct s2_host_change *c = vm->changes; c; c = c->next)
		if (c->first <= last && first <= c->last)
			return 1;
	return 0;
}

static struct s2_name *next_name(const struct s2_vm *vm, const struct s2_name *after,
				 const struct s2_host_change *change)
{
	return s2_names_next(vm, after, change->first, change->last);
}

/* Slots do not change meanwhile: all pieces are counted, and waited for, before the first is taken.
 */
static void change_take(struct s2_vm *vm, const struct s2_host_change *change, enum s2_inval how,
			struct s2_walker *walker)
{
	struct s2_name *name = next_name(vm, NULL, change);
	struct s2_gather gather;
	uint64_t gpa, size;

	if (!name)
		return;
	for (; name; name = next_name(vm, name, change)) {
		size = piece_of(name, change->first, change->last, &gpa);
		piece_begin(vm, gpa, size);
	}
	s2_synchronize(&vm->pt, walker);
	for (name = next_name(vm, NULL, change); name; name = next_name(vm, name, change)) {
		size = piece_of(name, change->first, change->last, &gpa);
		s2_holds_wait(vm, gpa, size);
	}
	s2_gather_init(&gather, &vm->pt);
	for (name = next_name(vm, NULL, change); name; name = next_name(vm, name, change)) {
		size = piece_of(name, change->first, change->last, &gpa);
		piece_take(vm, gpa, size, how, walker, &gather);
	}
	s2_gather_flush(&gather, walker);
}

int s2_vm_host_begin(struct s2_vm *vm, struct s2_host_change *change, s2_hva_t hva, uint64_t size,
		     enum s2_inval how, struct s2_walker *walker)
{
	if ((hva.hva | size) & ((1ull << vm->pt.page_shift) - 1))
		return S2_EALIGN;
	if (hva.hva + size - 1 < hva.hva || !size)
		return S2_ERANGE;
	if (how > S2_INVAL_WRITE)
		return S2_EINVAL;
	change->first = hva.hva;
	change->last = hva.hva + size - 1;
	s2_trace(vm, S2_TRACE_HOST_BEGIN, how, 0, hva.hva, size);
	s2_lock_shared(&vm->slots_lock, vm->pt.port);
	change_link(vm, change);
	change_take(vm, change, how, walker);
	s2_unlock_shared(&vm->slots_lock);
	return 0;
}

void s2_vm_host_end(struct s2_vm *vm, struct s2_host_change *change)
{
	struct s2_name *name;
	uint64_t gpa, size;

	s2_lock_shared(&vm->slots_lock, vm->pt.port);
	for (name = next_name(vm, NULL, change); name; name = next_name(vm, name, change)) {
		size = piece_of(name, change->first, change->last, &gpa);
		piece_end(vm, gpa, size);
	}
	change_unlink(vm, change);
	s2_unlock_shared(&vm->slots_lock);
	s2_trace(vm, S2_TRACE_HOST_END, 0, 0, change->first, change->last - change->first + 1);
}
