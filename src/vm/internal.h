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

/* A slot has attrs: in the copy of its flags that a walker keeps, beside enum s2_slot_flag. */
#define S2_SLOT_ATTRS (1u << 31)

/* The VM is traced: likewise, so that a fault looks closer. */
#define S2_SLOT_TRACED (1u << 30)

/* src/vm/vm.c */
void s2_trace_tell(const struct s2_port *port, enum s2_trace_kind kind, unsigned int detail,
		   int result, uint64_t addr, uint64_t size);

static S2_ALWAYS_INLINE void s2_trace(const struct s2_vm *vm, enum s2_trace_kind kind,
				      unsigned int detail, int result, uint64_t addr, uint64_t size)
{
	if (S2_UNLIKELY(vm->pt.port->trace != NULL))
		s2_trace_tell(vm->pt.port, kind, detail, result, addr, size);
}

/* What a fault knew before it asked anybody. */
struct s2_sample {
	const struct s2_inval_bucket *bucket; /* of the region */
	uint64_t sequence;
	uint64_t sequence_all;        /* only by s2_vm_sample_all() */
	const struct s2_claim *claim; /* precise: instead of all that */
};

static inline unsigned int s2_bucket_of(uint64_t gpa)
{
	return (unsigned int)(gpa >> S2_REGION_SHIFT) & (S2_INVAL_BUCKETS - 1);
}

static S2_ALWAYS_INLINE void s2_vm_sample(const struct s2_vm *vm, uint64_t gpa,
					  const struct s2_claim *claim, struct s2_sample *sample)
{
	sample->bucket = &vm->inval[s2_bucket_of(gpa)];
	sample->sequence = s2_load_acquire(&sample->bucket->sequence);
	sample->claim = claim;
}

/* For a leaf that has no region's counters to itself. As early as the sample itself. */
static S2_ALWAYS_INLINE void s2_vm_sample_all(const struct s2_vm *vm, struct s2_sample *sample)
{
	sample->sequence_all = s2_load_acquire(&vm->inval_all.sequence);
}

static S2_ALWAYS_INLINE int s2_vm_spans_regions(uint64_t size)
{
	return size >> S2_REGION_SHIFT > 1;
}

/*
 * Insisting (invariant 11 of docs/locking.md): from claim to release, what touches [gpa, last] is
 * noted in the claim, and nothing else is. Claim before anything is learnt. NULL: too many do so
 * already. Any context.
 */
struct s2_claim *s2_vm_claim(struct s2_vm *vm, uint64_t gpa, uint64_t last);
void s2_vm_release(struct s2_vm *vm, struct s2_claim *claim);
/* May what was learnt since the claim be relied on? In a section. */
int s2_vm_claim_valid(const struct s2_vm *vm, const struct s2_claim *claim);

/* May what was learnt about a leaf of this size since the sample be relied on? In a section. */
static S2_ALWAYS_INLINE int s2_vm_sample_valid(const struct s2_vm *vm, uint64_t size,
					       const struct s2_sample *sample)
{
	const struct s2_inval_bucket *bucket = sample->bucket;
	uint64_t sequence = sample->sequence;

	if (S2_UNLIKELY(sample->claim != NULL))
		return s2_vm_claim_valid(vm, sample->claim);
	if (S2_UNLIKELY(s2_vm_spans_regions(size))) {
		bucket = &vm->inval_all;
		sequence = sample->sequence_all;
	}
	return !s2_load_acquire(&bucket->running) && s2_load_acquire(&bucket->sequence) == sequence;
}

/* Waits until no hold on this range is in use (src/vm/hold.c). Its invalidation is counted. */
void s2_holds_wait(struct s2_vm *vm, uint64_t gpa, uint64_t size);

/* Is a host change of [first, last], hva, between its begin and its end? slots_lock is owned. */
int s2_vm_changing(const struct s2_vm *vm, uint64_t first, uint64_t last);

/* The slot that holds gpa, or NULL. In a section, and the slot lives until it ends; or its owner.
 */
const struct s2_memslot *s2_slot_lookup(const struct s2_vm *vm, uint64_t gpa);

/* Is the port's answer about hva possible at all? */
static S2_ALWAYS_INLINE int page_ok(const struct s2_pt *pt, uint64_t hva,
				    const struct s2_page *page)
{
	uint64_t size = page->size, hpa = page->hpa.hpa, in_page = (1ull << pt->page_shift) - 1;

	/* Not a page at least, no power of two, not alike in hva and hpa, or an odd address. */
	if (size <= in_page || size & (size - 1) || (hva ^ hpa) & (size - 1) || hpa & in_page)
		return 0;
	return (hpa | (size - 1)) >> pt->cpu.pa_bits == 0 && page->type < S2_MEM_TYPES &&
	       page->prot < 16 && pt->prots[page->type] >> page->prot & 1;
}

/*
 * Asks the host what is behind hva, outside any section. Returns 0, one of the errors that it may
 * say (port.h), or S2_EPORT: what it says cannot be.
 */
static S2_ALWAYS_INLINE int s2_ask(const struct s2_pt *pt, uint64_t hva, enum s2_access access,
				   struct s2_page *page)
{
	int ret;

	page->size = 0;
	ret = pt->port->resolve(pt->port->ctx, s2_hva(hva), access, page);
	if (S2_LIKELY(!ret))
		return page_ok(pt, hva, page) ? 0 : S2_EPORT;
	switch (ret) {
	case S2_EAGAIN:
	case S2_ENOENT:
	case S2_EPERM:
	case S2_ENOMEM:
	case S2_EPOISON:
	case S2_EPENDING:
		return ret;
	default:
		return S2_EPORT;
	}
}

/* Attributes of a page; are those of [gpa, gpa + size) all like the page's at `as`, in there?
 * Outside any section. */
unsigned int s2_attrs_read(const struct s2_vm *vm, struct s2_walker *walker, uint64_t gpa);
int s2_attrs_same(const struct s2_vm *vm, struct s2_walker *walker, uint64_t gpa, uint64_t size,
		  uint64_t as);

/*
 * Copies the slot that holds gpa to walker->slot_*, where it stays until the slots change. Returns
 * whether there is one: there was at a moment during the call. If not, walker->mmio_generation says
 * when, and the sample whether to believe it. Outside any section.
 */
int s2_slot_find(const struct s2_vm *vm, uint64_t gpa, struct s2_walker *walker);

#endif
