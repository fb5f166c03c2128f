// SPDX-License-Identifier: BSD-2-Clause
/*
 * Slots by the host's names: a treap, whose nodes lie in the slots. In order of (first, address of
 * the node), so that equal names have an order, too; no parent has a smaller priority than its
 * children. Each node knows the highest `last` of its subtree: what ends before a range begins is
 * passed over by whole subtrees.
 *
 * The priority is a hash of first and address, computed anew whenever it is needed. So the shape
 * depends on what is in the tree only, never on the order in which it came, and the depth is
 * that of a tree that was filled in random order: 2 ln n on average. Nothing guards against
 * somebody who chooses names for their hashes: he would make his own VM slow.
 *
 * No recursion, no stack, no parent pointers. A change goes down one path once. Where it has to go
 * up again, to correct `max`, it has turned the pointers of the path round on its way down (Schorr
 * and Waite), and climb() turns them back. So nobody may look while somebody changes: slots_lock.
 */
#include "names.h"

static uint64_t priority(const struct s2_name *name)
{
	uint64_t hash = name->first ^ ((uint64_t)(uintptr_t)name * 0x9e3779b97f4a7c15ull);

	/* Names are multiples of large powers of two: every bit must reach the high ones. */
	hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93ull;
	hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93ull;
	return hash ^ hash >> 32;
}

static int before(const struct s2_name *a, const struct s2_name *b)
{
	return a->first != b->first ? a->first < b->first : (uintptr_t)a < (uintptr_t)b;
}

static uint64_t higher(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void correct(struct s2_name *name)
{
	name->max = name->last;
	for (unsigned int side = 0; side < 2; side++)
		if (name->child[side])
			name->max = higher(name->max, name->child[side]->max);
}

/*
 * path: the lowest node of a path towards `name`, each of whose nodes points to the one above where
 * it would to the one below. Puts `below` under it and the path in order; returns its top.
 */
static struct s2_name *climb(struct s2_name *path, struct s2_name *below,
			     const struct s2_name *name)
{
	while (path) {
		struct s2_name **link = &path->child[before(path, name)];
		struct s2_name *up = *link;

		*link = below;
		correct(path);
		below = path;
		path = up;
	}
	return below;
}

/* One tree of two, all of a before all of b. */
static struct s2_name *join(struct s2_name *a, struct s2_name *b)
{
	struct s2_name *root, **link = &root;

	while (a && b) {
		uint64_t max = higher(a->max, b->max);

		if (priority(a) >= priority(b)) {
			a->max = max;
			*link = a;
			link = &a->child[1];
			a = *link;
		} else {
			b->max = max;
			*link = b;
			link = &b->child[0];
			b = *link;
		}
	}
	*link = a ? a : b;
	return root;
}

static void name_add(struct s2_vm *vm, struct s2_name *name)
{
	struct s2_name **link = &vm->names, *at, *path[2] = { NULL, NULL };
	uint64_t mine = priority(name);

	while ((at = *link) && priority(at) >= mine) {
		at->max = higher(at->max, name->last);
		link = &at->child[before(at, name)];
	}
	*link = name;
	/* What was there is parted into what comes before and what comes after. */
	while (at) {
		unsigned int side = (unsigned int)before(at, name);
		struct s2_name *down = at->child[side];

		at->child[side] = path[!side];
		path[!side] = at;
		at = down;
	}
	name->child[0] = climb(path[0], NULL, name);
	name->child[1] = climb(path[1], NULL, name);
	correct(name);
}

static void name_remove(struct s2_vm *vm, struct s2_name *name)
{
	struct s2_name *at = vm->names, *path = NULL;

	while (at && at != name) { /* it is in there */
		struct s2_name **link = &at->child[before(at, name)], *down = *link;

		*link = path;
		path = at;
		at = down;
	}
	vm->names = climb(path, join(name->child[0], name->child[1]), name);
}

void s2_names_add(struct s2_vm *vm, struct s2_memslot *slot)
{
	unsigned int n = slot->flags & S2_SLOT_PRIVATE ? 2 : 1;

	slot->name[1].slot = NULL; /* unless it is entered now: what s2_names_remove() asks */
	for (unsigned int i = 0; i < n; i++) {
		struct s2_name *name = &slot->name[i];

		name->slot = slot;
		name->first = i ? slot->priv.hva : slot->hva.hva;
		name->last = name->first + (slot->size - 1);
		name_add(vm, name);
	}
}

void s2_names_remove(struct s2_vm *vm, struct s2_memslot *slot)
{
	if (slot->name[1].slot)
		name_remove(vm, &slot->name[1]);
	name_remove(vm, &slot->name[0]);
}

/*
 * Two steps down. The first goes to where `after` is. All that comes later hangs on the nodes at
 * which it turns left, the lower the earlier: so the lowest of them that has, with what is to its
 * right, anything long enough, has the answer. The second step looks for the leftmost there.
 */
struct s2_name *s2_names_next(const struct s2_vm *vm, const struct s2_name *after, uint64_t first,
			      uint64_t last)
{
	struct s2_name *at = vm->names, *found = NULL;

	while (at && at->max >= first) {
		struct s2_name *right = at->child[1];

		if (after && !before(after, at)) {
			at = right;
			continue;
		}
		if (at->last >= first || (right && right->max >= first))
			found = at;
		at = at->child[0];
	}
	if (!found)
		return NULL;
	for (at = found; at->last < first;) {
		at = at->child[1];
		while (at->child[0] && at->child[0]->max >= first)
			at = at->child[0];
	}
	return at->first <= last ? at : NULL;
}
