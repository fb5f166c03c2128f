// SPDX-License-Identifier: BSD-2-Clause
/* Ranges of the checker (check/map.c) against a flat array: random sets, and all that is said of
 * it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model.h"

#define SPAN 20000u

static uint8_t flat[SPAN];
static struct chk_map map;

static unsigned int draw(unsigned int n)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned int)(state >> 33) % n;
}

static void look(unsigned int start, unsigned int size)
{
	uint64_t end, same = start;

	assert_int_equal(chk_map_get(&map, start, size, &end), flat[start]);
	while (same < start + size && flat[same] == flat[start])
		same++;
	assert_int_equal(end, same);
}

/* Sorted, disjoint, merged, no empty block. */
static void audit(void)
{
	const struct chk_range *before = NULL;

	for (size_t b = 0; b < map.n; b++) {
		assert_true(map.block[b]->n);
		for (size_t i = 0; i < map.block[b]->n; i++) {
			const struct chk_range *range = &map.block[b]->range[i];

			assert_true(range->value && range->start <= range->last);
			assert_true(!before || range->start > before->last);
			assert_false(before && range->start == before->last + 1 &&
				     range->value == before->value);
			before = range;
		}
	}
}

static void test_random(void **state)
{
	(void)state;
	for (unsigned int n = 0; n < 200000; n++) {
		unsigned int start = draw(SPAN), size = 1 + draw(n % 7 ? 5 : 600);
		uint8_t value = (uint8_t)draw(3);

		if (size > SPAN - start)
			size = SPAN - start;
		chk_map_set(&map, start, size, value);
		memset(flat + start, value, size);
		start = draw(SPAN);
		look(start, 1 + draw(SPAN - start));
		if (n % 4096 == 0)
			audit();
	}
	assert_true(map.n > 2);
	chk_map_set(&map, 0, SPAN, 0);
	assert_int_equal(map.n, 0);
	chk_map_free(&map);
}

static void test_ends(void **state)
{
	uint64_t end;

	(void)state;
	chk_map_set(&map, 0, ~0ull, 1);
	chk_map_set(&map, ~0ull, 1, 1);
	assert_int_equal(chk_map_get(&map, 5, 10, &end), 1);
	assert_int_equal(end, 15);
	chk_map_set(&map, 0, 1, 2);
	chk_map_set(&map, 7, 0, 2);
	assert_int_equal(chk_map_get(&map, 0, 10, &end), 2);
	assert_int_equal(end, 1);
	audit();
	chk_map_free(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
