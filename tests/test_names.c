// SPDX-License-Identifier: BSD-2-Clause
/*
 * The index of slots by the host's names, against a flat array. Looked at from outside and from
 * inside: order and `max` of every node; that the shape depends on what is in the tree only (so the
 * priorities rule it, not the order of insertion); and the depth for as many slots as there may be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../src/vm/names.h"

#define PAGE  4096ull
#define SLOTS 2000
#define OPS   200000
#define DEPTH 80 /* of 65534 names; a tree filled at random has about 45, 2 ln n on average */

static struct s2_vm vm;
static struct s2_memslot slot[SLOTS];
static uint8_t in[SLOTS]; /* in the index; 2: with its priv */
static uint64_t state = 88172645463325252ull;

static uint64_t draw(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % below;
}

static int before(const struct s2_name *a, const struct s2_name *b)
{
	return a->first != b->first ? a->first < b->first : a < b;
}

/* What a walk over the whole tree finds. */
struct shape {
	uint64_t nodes, depth;
	uint64_t hash; /* of nodes and depths, in order */
	const struct s2_name *last;
};

static uint64_t look(const struct s2_name *name, uint64_t depth, struct shape *shape)
{
	uint64_t max, below;

	if (!name)
		return 0;
	assert_true(depth < 1000); /* no circle */
	max = look(name->child[0], depth + 1, shape);
	if (shape->last)
		assert_true(before(shape->last, name));
	shape->last = name;
	shape->nodes++;
	shape->depth = depth > shape->depth ? depth : shape->depth;
	shape->hash = (shape->hash ^ (uintptr_t)name ^ depth) * 0x100000001b3ull;
	below = look(name->child[1], depth + 1, shape);
	max = below > max ? below : max;
	max = name->last > max ? name->last : max;
	assert_true(name->max == max);
	return max;
}

static struct shape audit(void)
{
	struct shape shape = { 0 };

	look(vm.names, 1, &shape);
	return shape;
}

/* Overlapping, nested, equal, far apart, and up to the last byte. */
static uint64_t draw_hva(uint64_t size)
{
	switch (draw(4)) {
	case 0:
		return 0 - size;
	case 1:
		return draw(16) * PAGE;
	case 2:
		return draw(1 << 16) * PAGE;
	default:
		return draw((0 - size) / PAGE) * PAGE;
	}
}

static void draw_slot(struct s2_memslot *s)
{
	uint64_t pages = draw(8) ? 1 + draw(32) : 1 + draw(1ull << draw(51));

	memset(s, 0xa5, sizeof(*s)); /* nobody clears the private fields */
	s->size = pages * PAGE;
	s->hva = s2_hva(draw_hva(s->size));
	s->priv = s2_hva(draw(4) ? draw_hva(s->size) : s->hva.hva);
	s->flags = draw(3) ? 0 : S2_SLOT_PRIVATE;
}

/* The reference: the first name after `after` that shares a byte with the range. */
static struct s2_name *flat_next(const struct s2_name *after, uint64_t first, uint64_t last)
{
	struct s2_name *best = NULL;

	for (unsigned int i = 0; i < SLOTS; i++) {
		for (unsigned int n = 0; n < in[i]; n++) {
			struct s2_name *name = &slot[i].name[n];
			uint64_t begin = n ? slot[i].priv.hva : slot[i].hva.hva;

			if (begin > last || begin + (slot[i].size - 1) < first)
				continue;
			if ((!after || before(after, name)) && (!best || before(name, best)))
				best = name;
		}
	}
	return best;
}

static uint64_t flat_count(uint64_t first, uint64_t last)
{
	uint64_t count = 0;

	for (unsigned int i = 0; i < SLOTS; i++)
		for (unsigned int n = 0; n < in[i]; n++) {
			uint64_t begin = n ? slot[i].priv.hva : slot[i].hva.hva;

			count += begin <= last && begin + (slot[i].size - 1) >= first;
		}
	return count;
}

/* One range: all names, by the flat array's count; each of the first few is the next one. */
static void compare(uint64_t first, uint64_t last)
{
	uint64_t want = flat_count(first, last), count = 0;
	const struct s2_name *was = NULL, *name;

	while ((name = s2_names_next(&vm, was, first, last))) {
		if (count < 3 || draw(200) == 0)
			assert_ptr_equal(name, flat_next(was, first, last));
		assert_true(!was || before(was, name));
		assert_true(name->first <= last && name->last >= first);
		assert_true(name == &name->slot->name[0] || name == &name->slot->name[1]);
		was = name;
		assert_true(++count <= want);
	}
	assert_int_equal(count, want);
}

static void compare_some(void)
{
	uint64_t size = (draw(2) ? 1 + draw(4) : 1 + draw(1ull << draw(52))) * PAGE;
	uint64_t first = draw_hva(size);

	compare(first, first + (size - 1));
	compare(first, first); /* one byte */
	compare(first + (size - 1), first + (size - 1));
}

static void toggle(unsigned int i)
{
	if (in[i]) {
		/* What the slot says by now does not matter. */
		slot[i].flags ^= S2_SLOT_PRIVATE;
		slot[i].hva.hva += PAGE;
		s2_names_remove(&vm, &slot[i]);
		in[i] = 0;
		return;
	}
	draw_slot(&slot[i]);
	s2_names_add(&vm, &slot[i]);
	in[i] = slot[i].flags & S2_SLOT_PRIVATE ? 2 : 1;
	for (unsigned int n = 0; n < in[i]; n++)
		assert_ptr_equal(slot[i].name[n].slot, &slot[i]);
}

static uint64_t entered(void)
{
	uint64_t count = 0;

	for (unsigned int i = 0; i < SLOTS; i++)
		count += in[i];
	return count;
}

static void test_random(void **unused)
{
	uint64_t used = SLOTS;

	(void)unused;
	memset(in, 0, sizeof(in));
	vm.names = NULL;
	for (unsigned int op = 0; op < OPS; op++) {
		if (op % 4096 == 0) /* now few slots, now many */
			used = op ? 1 + draw(1ull << draw(12)) % SLOTS : SLOTS;
		toggle((unsigned int)draw(used));
		if (op % 16 == 0)
			compare_some();
		if (op % 64 == 0)
			assert_int_equal(audit().nodes, entered());
	}
	compare(0, UINT64_MAX);
	for (unsigned int i = 0; i < SLOTS; i++)
		if (in[i])
			toggle(i);
	assert_null(vm.names);
	assert_null(s2_names_next(&vm, NULL, 0, UINT64_MAX));
}

/* The same names, entered in another order, or after others have come and gone: the same tree. */
static void test_shape(void **unused)
{
	struct shape shape[2];

	(void)unused;
	memset(in, 0, sizeof(in));
	vm.names = NULL;
	for (unsigned int i = 0; i < SLOTS; i++)
		toggle(i);
	shape[0] = audit();
	for (unsigned int i = 0; i < SLOTS; i += 2)
		s2_names_remove(&vm, &slot[i]);
	for (unsigned int i = SLOTS; i-- > 0;)
		if (i % 2 == 0)
			s2_names_add(&vm, &slot[i]);
	shape[1] = audit();
	assert_int_equal(shape[0].nodes, shape[1].nodes);
	assert_true(shape[0].hash == shape[1].hash);
	vm.names = NULL;
	for (unsigned int i = SLOTS; i-- > 0;)
		s2_names_add(&vm, &slot[i]);
	shape[1] = audit();
	assert_true(shape[0].hash == shape[1].hash);
}

static void test_equal(void **unused)
{
	const struct s2_name *was = NULL;

	(void)unused;
	vm.names = NULL;
	for (unsigned int i = 0; i < 64; i++) {
		slot[i] = (struct s2_memslot){ .hva = s2_hva(0 - PAGE), .size = PAGE };
		s2_names_add(&vm, &slot[i]);
	}
	for (unsigned int i = 0; i < 64; i++) {
		was = s2_names_next(&vm, was, UINT64_MAX, UINT64_MAX);
		assert_ptr_equal(was, &slot[i].name[0]);
	}
	assert_null(s2_names_next(&vm, was, UINT64_MAX, UINT64_MAX));
	assert_null(s2_names_next(&vm, NULL, 0, 0 - PAGE - 1));
	for (unsigned int i = 0; i < 64; i++) {
		s2_names_remove(&vm, &slot[i]);
		assert_int_equal(audit().nodes, 63 - i);
	}
}

/* All the slots that there may be, side by side (or all of them nested), in this order. */
static void many(struct s2_memslot *all, int nested)
{
	static const uint64_t stride[] = { 1, 2 * PAGE, 1ull << 21, 1ull << 30 };

	for (unsigned int s = nested ? 0 : 1; s < (nested ? 1 : 4); s++) {
		struct shape shape;

		vm.names = NULL;
		for (uint64_t i = 0; i < S2_MAX_SLOTS; i++) {
			all[i] = (struct s2_memslot){
				.hva = s2_hva(nested ? i * PAGE : i * stride[s]),
				.priv = s2_hva((1ull << 62) + i * stride[s] / PAGE * PAGE),
				.size = nested ? (2 * S2_MAX_SLOTS - 2 * i) * PAGE : PAGE,
				.flags = S2_SLOT_PRIVATE,
			};
			s2_names_add(&vm, &all[i]);
		}
		shape = audit();
		assert_int_equal(shape.nodes, 2 * S2_MAX_SLOTS);
		assert_true(shape.depth >= 16 && shape.depth < DEPTH);
		/* A search for each, which nothing but a path down makes bearable. */
		for (uint64_t i = 0; i < S2_MAX_SLOTS; i++) {
			uint64_t gap = all[i].hva.hva + PAGE;
			const struct s2_name *name = &all[i].name[0];

			if (nested) /* those that begin later end earlier */
				assert_null(s2_names_next(&vm, name, name->last, name->last));
			else
				assert_null(s2_names_next(&vm, NULL, gap, gap));
			assert_ptr_equal(s2_names_next(&vm, name, name->first, UINT64_MAX),
					 i + 1 < S2_MAX_SLOTS ? &all[i + 1].name[0]
							      : s2_names_next(&vm, name, 1ull << 62,
									      UINT64_MAX));
		}
		for (uint64_t i = 0; i < S2_MAX_SLOTS; i++)
			s2_names_remove(&vm, &all[i]);
		assert_null(vm.names);
	}
}

static void test_many(void **unused)
{
	struct s2_memslot *all = calloc(S2_MAX_SLOTS, sizeof(*all));

	(void)unused;
	assert_non_null(all);
	many(all, 0);
	many(all, 1);
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_shape),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
