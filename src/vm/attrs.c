/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attributes of pages: private or shared, and what is forbidden (docs/host.md). A byte a page, in
 * memory that belongs to the slot. A change is an invalidation of its range, so a fault that has
 * read old attributes is sent away by the same counters as any other. They are read inside a
 * section, from a slot that is found there: the slot's owner may free them when it is gone.
 */
#include "internal.h"

static uint8_t *attrs_at(const struct s2_vm *vm, const struct s2_memslot *slot, uint64_t gpa)
{
	return slot->attrs + ((gpa - slot->gpa.gpa) >> vm->pt.page_shift);
}

unsigned int s2_attrs_read(const struct s2_vm *vm, struct s2_walker *walker, uint64_t gpa)
{
	const struct s2_memslot *slot;
	unsigned int attrs = 0;

	s2_enter(walker);
	slot = s2_slot_lookup(vm, gpa);
	if (slot && slot->attrs)
		attrs = __atomic_load_n(attrs_at(vm, slot, gpa), __ATOMIC_RELAXED);
	s2_leave(walker);
	return attrs;
}

int s2_attrs_same(const struct s2_vm *vm, struct s2_walker *walker, uint64_t gpa, uint64_t size,
		  uint64_t as)
{
	uint64_t n = 0, pages = size >> vm->pt.page_shift;
	const struct s2_memslot *slot;

	if (s2_vm_spans_regions(size))
		return 0; /* more than a section should look through */
	s2_enter(walker);
	slot = s2_slot_lookup(vm, gpa);
	if (slot && slot->attrs && slot->size - (gpa - slot->gpa.gpa) >= size) {
		const uint8_t *at = attrs_at(vm, slot, gpa);
		uint8_t like = __atomic_load_n(attrs_at(vm, slot, as), __ATOMIC_RELAXED);

		while (n < pages && __atomic_load_n(&at[n], __ATOMIC_RELAXED) == like)
			n++;
	}
	s2_leave(walker);
	return n == pages;
}

/* The slot that gpa is in, if its attributes can be set so; NULL else. Under slots_lock. */
static const struct s2_memslot *settable(const struct s2_vm *vm, uint64_t gpa, unsigned int set)
{
	const struct s2_memslot *slot = s2_slot_lookup(vm, gpa);

	if (!slot || !slot->attrs || (set & S2_PAGE_PRIVATE && !(slot->flags & S2_SLOT_PRIVATE)))
		return NULL;
	return slot;
}

/* Under slots_lock, which others wait for: a slot is looked up once. */
static void set_attrs(const struct s2_vm *vm, uint64_t gpa, uint64_t size, unsigned int set,
		      unsigned int clear)
{
	const struct s2_memslot *slot;
	uint64_t end, stop;

	for (end = gpa + size; gpa < end; gpa = stop) {
		slot = s2_slot_lookup(vm, gpa);
		stop = slot->gpa.gpa + slot->size;
		stop = stop < end ? stop : end;
		for (uint8_t *at = attrs_at(vm, slot, gpa); gpa < stop;
		     gpa += 1ull << vm->pt.page_shift, at++) {
			unsigned int was = *at;

			__atomic_store_n(at, (uint8_t)((was & ~clear) | set), __ATOMIC_RELAXED);
		}
	}
}

int s2_vm_set_attrs(struct s2_vm *vm, s2_gpa_t gpa, uint64_t size, unsigned int set,
		    unsigned int clear, struct s2_walker *walker)
{
	int ret = s2_pt_check_range(&vm->pt, gpa.gpa, size);
	const struct s2_memslot *slot;
	uint64_t at;

	if (ret)
		return ret;
	if ((set | clear) & ~(unsigned int)S2_PAGE_ATTRS || set & clear)
		return S2_EINVAL;
	s2_lock(&vm->slots_lock, vm->pt.port);
	for (at = gpa.gpa; at < gpa.gpa + size; at = slot->gpa.gpa + slot->size) {
		slot = settable(vm, at, set);
		if (!slot) {
			ret = S2_ENOENT;
			break;
		}
	}
	if (!ret) {
		if (s2_vm_invalidate_begin(vm, gpa, size, S2_INVAL_UNMAP, walker))
			__builtin_trap(); /* the range was checked */
		set_attrs(vm, gpa.gpa, size, set, clear);
		s2_vm_invalidate_end(vm, gpa, size);
	}
	s2_unlock(&vm->slots_lock);
	s2_trace(vm, S2_TRACE_ATTRS, set, ret, gpa.gpa, size);
	return ret;
}
