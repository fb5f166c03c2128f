/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memslots: a skip list by gpa, in the slots themselves. Any number of readers walk it inside their
 * walker sections while one writer (slots_lock) changes it: a slot is linked from the bottom up
 * after its own pointers are set, unlinked from the top down, and keeps its pointers until every
 * section that could be on it has closed. Heights come from a hash of the address, one in four
 * slots reaching the next level: expected search length is O(log n) for any order of insertion.
 *
 * A change of slots is an invalidation of what it touches. That also covers faults that found no
 * slot: they too believe it only if nothing was running (s2_vm_sample_valid).
 */
#include "internal.h"
#include "names.h"

static struct s2_memslot *slot_load(struct s2_memslot *const *link)
{
	return __atomic_load_n(link, __ATOMIC_ACQUIRE);
}

static void slot_store(struct s2_memslot **link, struct s2_memslot *slot)
{
	__atomic_store_n(link, slot, __ATOMIC_RELEASE);
}

const struct s2_memslot *s2_slot_lookup(const struct s2_vm *vm, uint64_t gpa)
{
	struct s2_memslot *const *links = vm->slots, *next, *found = NULL;

	for (unsigned int h = S2_SLOT_HEIGHT; h-- > 0;) {
		while ((next = slot_load(&links[h])) && next->gpa.gpa <= gpa) {
			found = next;
			links = next->next;
		}
	}
	return found && gpa - found->gpa.gpa < found->size ? found : NULL;
}

int s2_slot_find(const struct s2_vm *vm, uint64_t gpa, struct s2_walker *walker)
{
	uint64_t generation = s2_load_acquire(&vm->generation);
	const struct s2_memslot *slot;

	s2_enter(walker);
	slot = s2_slot_lookup(vm, gpa);
	if (slot) {
		walker->slot_gpa = slot->gpa.gpa;
		walker->slot_size = slot->size;
		walker->slot_hva = slot->hva.hva;
		walker->slot_priv = slot->priv.hva;
		walker->slot_flags = slot->flags | (slot->attrs ? S2_SLOT_ATTRS : 0) |
				     (vm->pt.port->trace ? S2_SLOT_TRACED : 0);
		walker->slot_generation = generation & 1 ? 0 : generation;
	} else {
		walker->mmio_generation = generation;
		walker->mmio_page = 0; /* another one's, and older perhaps */
	}
	s2_leave(walker);
	return slot != NULL;
}

/* The links that a slot at gpa has to be put into, by height. Under the lock. */
static void slot_links(struct s2_vm *vm, uint64_t gpa, struct s2_memslot **links[S2_SLOT_HEIGHT])
{
	struct s2_memslot **at = vm->slots;

	for (unsigned int h = S2_SLOT_HEIGHT; h-- > 0;) {
		while (at[h] && at[h]->gpa.gpa < gpa)
			at = at[h]->next;
		links[h] = &at[h];
	}
}

static uint32_t slot_height(uint64_t gpa)
{
	uint64_t hash = gpa * 0x9e3779b97f4a7c15ull;
	uint32_t height = 1;

	for (hash ^= hash >> 32; height < S2_SLOT_HEIGHT && !(hash & 3); hash >>= 2)
		height++;
	return height;
}

static void slot_link(struct s2_vm *vm, struct s2_memslot *slot)
{
	struct s2_memslot **links[S2_SLOT_HEIGHT];

	slot_links(vm, slot->gpa.gpa, links);
	slot->height = slot_height(slot->gpa.gpa);
	for (unsigned int h = 0; h < S2_SLOT_HEIGHT; h++)
		slot->next[h] = h < slot->height ? *links[h] : NULL;
	for (unsigned int h = 0; h < slot->height; h++) {
		s2_slot_point(&vm->pt, slot->gpa.gpa);
		slot_store(links[h], slot);
	}
	s2_names_add(vm, slot);
	vm->nslots++;
}

static void slot_unlink(struct s2_vm *vm, struct s2_memslot *slot)
{
	struct s2_memslot **links[S2_SLOT_HEIGHT];

	slot_links(vm, slot->gpa.gpa, links);
	for (unsigned int h = slot->height; h-- > 0;) {
		s2_slot_point(&vm->pt, slot->gpa.gpa);
		slot_store(links[h], slot->next[h]);
	}
	s2_names_remove(vm, slot);
	vm->nslots--;
}

static int slot_linked(struct s2_vm *vm, const struct s2_memslot *slot)
{
	struct s2_memslot **links[S2_SLOT_HEIGHT];

	slot_links(vm, slot->gpa.gpa, links);
	return *links[0] == slot;
}

/* The last slot that begins before gpa. Under the lock. */
static const struct s2_memslot *slot_before(struct s2_vm *vm, uint64_t gpa)
{
	struct s2_memslot *const *at = vm->slots;
	const struct s2_memslot *before = NULL;

	for (unsigned int h = S2_SLOT_HEIGHT; h-- > 0;) {
		while (at[h] && at[h]->gpa.gpa < gpa) {
			before = at[h];
			at = before->next;
		}
	}
	return before;
}

/* Is this a range of pages of the host's names? */
static int backing_check(const struct s2_vm *vm, uint64_t hva, uint64_t size)
{
	if (hva & ((1ull << vm->pt.page_shift) - 1))
		return S2_EALIGN;
	return hva + size - 1 < hva ? S2_ERANGE : 0;
}

/* Are the attributes possible ones? Before the lock, which others wait for. */
static int attrs_ok(const struct s2_vm *vm, const struct s2_memslot *slot)
{
	unsigned int may = S2_PAGE_ATTRS;

	if (!(slot->flags & S2_SLOT_PRIVATE))
		may &= ~(unsigned int)S2_PAGE_PRIVATE;
	if (s2_pt_check_range(&vm->pt, slot->gpa.gpa, slot->size))
		return 1; /* slot_check() says so */
	if (!slot->attrs)
		return !(slot->flags & S2_SLOT_PRIVATE);
	for (uint64_t page = 0; page < slot->size >> vm->pt.page_shift; page++)
		if (slot->attrs[page] & ~may)
			return 0;
	return 1;
}

/* Is the host changing just now what is, or will be, behind this slot? Under the lock. */
static int slot_changing(const struct s2_vm *vm, const struct s2_memslot *slot)
{
	return s2_vm_changing(vm, slot->hva.hva, slot->hva.hva + slot->size - 1) ||
	       (slot->flags & S2_SLOT_PRIVATE &&
		s2_vm_changing(vm, slot->priv.hva, slot->priv.hva + slot->size - 1));
}

/* May a slot be like this, in a list from which `except` is thought away? Under the lock. */
static int slot_check(struct s2_vm *vm, const struct s2_memslot *slot,
		      const struct s2_memslot *except)
{
	const struct s2_memslot *before;
	int ret = s2_pt_check_range(&vm->pt, slot->gpa.gpa, slot->size);

	if (ret)
		return ret;
	ret = backing_check(vm, slot->hva.hva, slot->size);
	if (!ret && slot->flags & S2_SLOT_PRIVATE)
		ret = backing_check(vm, slot->priv.hva, slot->size);
	if (ret)
		return ret;
	if (slot->flags & ~(uint32_t)(S2_SLOT_READONLY | S2_SLOT_PRIVATE))
		return S2_EINVAL;
	/* Slots do not overlap: only the last that begins before our end can reach into us. */
	before = slot_before(vm, slot->gpa.gpa + slot->size);
	if (before && before == except)
		before = slot_before(vm, except->gpa.gpa);
	if (before && before->gpa.gpa + before->size > slot->gpa.gpa)
		return S2_EOVERLAP;
	return 0;
}

/*
 * The generation ends what walkers remember of slots and of holes. It is odd while a slot leaves
 * the list: what is found then is not remembered (s2_slot_find()); and what was remembered before
 * does not count any more. It stays odd while a slot is out only to come back: s2_vm_slot_find()
 * must not take that for a hole.
 */
static void slots_changed(struct s2_vm *vm, unsigned int by)
{
	s2_add_seq(&vm->generation, by);
}

int s2_vm_slot_add(struct s2_vm *vm, struct s2_memslot *slot)
{
	int ok = attrs_ok(vm, slot), ret;

	s2_lock(&vm->slots_lock, vm->pt.port);
	ret = slot_check(vm, slot, NULL);
	if (!ret && !ok)
		ret = S2_EINVAL;
	if (!ret && vm->nslots == S2_MAX_SLOTS)
		ret = S2_ESLOTS;
	if (!ret && slot_changing(vm, slot))
		ret = S2_EAGAIN;
	if (!ret) {
		slot_link(vm, slot);
		slots_changed(vm, 2);
	}
	/* Once unlocked, another may remove it, and it is not ours to read any more. */
	s2_trace(vm, S2_TRACE_SLOT_ADD, 0, ret, slot->gpa.gpa, slot->size);
	s2_unlock(&vm->slots_lock);
	return ret;
}

enum slot_out {
	SLOT_GONE,
	SLOT_BACK,
};

/*
 * Takes a linked slot out, for good or to come back: nothing of it is mapped, nobody reads it. The
 * caller ends the invalidation.
 */
static void slot_take_out(struct s2_vm *vm, struct s2_memslot *slot, struct s2_walker *walker,
			  enum slot_out out)
{
	if (s2_vm_invalidate_begin(vm, slot->gpa, slot->size, S2_INVAL_UNMAP, walker))
		__builtin_trap(); /* the range was checked when the slot came */
	slots_changed(vm, 1);
	slot_unlink(vm, slot);
	if (out == SLOT_GONE)
		slots_changed(vm, 1);
	s2_synchronize(&vm->pt, walker);
}

int s2_vm_slot_del(struct s2_vm *vm, struct s2_memslot *slot, struct s2_walker *walker)
{
	int ret = S2_ENOENT;

	s2_lock(&vm->slots_lock, vm->pt.port);
	if (slot_linked(vm, slot))
		ret = slot_changing(vm, slot) ? S2_EAGAIN : 0;
	if (!ret) {
		slot_take_out(vm, slot, walker, SLOT_GONE);
		s2_vm_invalidate_end(vm, slot->gpa, slot->size);
	}
	s2_unlock(&vm->slots_lock);
	s2_trace(vm, S2_TRACE_SLOT_DEL, 0, ret, slot->gpa.gpa, slot->size);
	return ret;
}

int s2_vm_slot_change(struct s2_vm *vm, struct s2_memslot *slot, const struct s2_memslot *to,
		      struct s2_walker *walker)
{
	int ok = attrs_ok(vm, to), ret = S2_ENOENT;
	struct s2_memslot old;

	s2_lock(&vm->slots_lock, vm->pt.port);
	old = *slot;
	if (slot_linked(vm, slot))
		ret = slot_check(vm, to, slot);
	if (!ret && !ok)
		ret = S2_EINVAL;
	if (!ret && (slot_changing(vm, slot) || slot_changing(vm, to)))
		ret = S2_EAGAIN;
	if (!ret) {
		/* Faults in the new range must not see the moment without the slot either. */
		if (s2_vm_invalidate_begin(vm, to->gpa, to->size, S2_INVAL_UNMAP, walker))
			__builtin_trap();
		slot_take_out(vm, slot, walker, SLOT_BACK);
		slot->gpa = to->gpa;
		slot->hva = to->hva;
		slot->size = to->size;
		slot->flags = to->flags;
		slot->priv = to->priv;
		slot->attrs = to->attrs;
		slot_link(vm, slot);
		slots_changed(vm, 1);
		s2_vm_invalidate_end(vm, old.gpa, old.size);
		s2_vm_invalidate_end(vm, slot->gpa, slot->size);
	}
	s2_unlock(&vm->slots_lock);
	s2_trace(vm, S2_TRACE_SLOT_CHANGE, 0, ret, to->gpa.gpa, to->size);
	return ret;
}

int s2_vm_slot_find(struct s2_vm *vm, s2_gpa_t gpa, struct s2_walker *walker,
		    struct s2_memslot *copy)
{
	const struct s2_memslot *slot;
	uint64_t generation;

	for (;;) {
		generation = s2_load_acquire(&vm->generation);
		s2_enter(walker);
		slot = s2_slot_lookup(vm, gpa.gpa);
		if (slot) /* what links it is changed by others meanwhile */
			*copy = (struct s2_memslot){ .gpa = slot->gpa,
						     .hva = slot->hva,
						     .size = slot->size,
						     .flags = slot->flags,
						     .priv = slot->priv,
						     .attrs = slot->attrs };
		s2_leave(walker);
		if (slot)
			return 0;
		if (!(generation & 1) && s2_load_acquire(&vm->generation) == generation)
			return S2_ENOENT;
		vm->pt.port->relax(vm->pt.port->ctx);
	}
}
