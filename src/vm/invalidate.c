/* SPDX-License-Identifier: BSD-2-Clause */
/* The host takes memory away: sequences and unmapping. The theory is in internal.h. */
#include "internal.h"

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

int s2_vm_invalidate_begin(struct s2_vm *vm, s2_gpa_t gpa, uint64_t size, enum s2_inval how,
			   struct s2_walker *walker)
{
	struct s2_progress progress;
	struct s2_gather gather;
	uint64_t mask;
	int ret = s2_pt_check_range(&vm->pt, gpa.gpa, size);

	if (!ret && how != S2_INVAL_UNMAP)
		ret = S2_EINVAL;
	if (ret)
		return ret;
	mask = bucket_mask(gpa.gpa, size);
	bucket_begin(&vm->inval_all);
	for (unsigned int i = 0; i < S2_INVAL_BUCKETS; i++)
		if (mask >> i & 1)
			bucket_begin(&vm->inval[i]);
	s2_synchronize(&vm->pt, walker);
	s2_gather_init(&gather, &vm->pt);
	ret = vm->pt.ops->unmap(&vm->pt, gpa, size, S2_UNMAP_WHOLE, walker, &gather, &progress);
	if (ret)
		__builtin_trap(); /* nothing in it can fail: it splits no block */
	if (others_run(vm, mask)) /* pay what they owe, rather than wait for them */
		s2_gather_add(&gather, gpa.gpa, size, S2_LEVEL_ANY, 0);
	s2_gather_flush(&gather, walker);
	return 0;
}

void s2_vm_invalidate_end(struct s2_vm *vm, s2_gpa_t gpa, uint64_t size)
{
	uint64_t mask = bucket_mask(gpa.gpa, size);

	for (unsigned int i = 0; i < S2_INVAL_BUCKETS; i++)
		if (mask >> i & 1)
			bucket_end(&vm->inval[i]);
	bucket_end(&vm->inval_all);
}
