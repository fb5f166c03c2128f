// SPDX-License-Identifier: BSD-2-Clause
/*
 * What is known of physical pages, by ranges: taken, device, clean, owned. A sorted array: ranges
 * are few and long, since neighbours of one value are merged.
 */
#include <stdlib.h>
#include <string.h>

#include "model.h"

/* Index of the first range that ends at or after `address`. */
static size_t find(const struct chk_map *map, uint64_t address)
{
	size_t low = 0, high = map->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (map->range[middle].last < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void insert(struct chk_map *map, size_t at, struct chk_range range)
{
	if (map->n == map->room) {
		map->room = map->room ? map->room * 2 : 16;
		map->range = realloc(map->range, map->room * sizeof(*map->range));
		if (!map->range)
			abort();
	}
	memmove(&map->range[at + 1], &map->range[at], (map->n - at) * sizeof(*map->range));
	map->range[at] = range;
	map->n++;
}

/* Cuts [start, last] out of all ranges; returns where a range that fills the gap belongs. */
static size_t cut(struct chk_map *map, uint64_t start, uint64_t last)
{
	size_t at = find(map, start), end;

	if (at < map->n && map->range[at].start < start) {
		struct chk_range rest = map->range[at];

		map->range[at].last = start - 1;
		at++;
		if (rest.last > last) {
			rest.start = last + 1;
			insert(map, at, rest);
			return at;
		}
	}
	for (end = at; end < map->n && map->range[end].last <= last; end++)
		;
	if (end > at)
		memmove(&map->range[at], &map->range[end], (map->n - end) * sizeof(*map->range));
	map->n -= end - at;
	if (at < map->n && map->range[at].start <= last)
		map->range[at].start = last + 1;
	return at;
}

void chk_map_set(struct chk_map *map, uint64_t start, uint64_t size, uint64_t value)
{
	struct chk_range range = { start, start + (size - 1), value };
	size_t at;

	if (!size)
		return;
	at = cut(map, range.start, range.last);
	if (!value)
		return;
	if (at && map->range[at - 1].value == value && map->range[at - 1].last + 1 == start) {
		map->range[--at].last = range.last;
	} else {
		insert(map, at, range);
	}
	if (at + 1 < map->n && map->range[at + 1].value == value &&
	    map->range[at].last + 1 == map->range[at + 1].start) {
		map->range[at].last = map->range[at + 1].last;
		memmove(&map->range[at + 1], &map->range[at + 2],
			(map->n - at - 2) * sizeof(*map->range));
		map->n--;
	}
}

uint64_t chk_map_get(const struct chk_map *map, uint64_t start, uint64_t size, uint64_t *end)
{
	size_t at = find(map, start);
	uint64_t last = start + (size - 1), value = 0;

	if (at < map->n && map->range[at].start <= start) {
		value = map->range[at].value;
		if (map->range[at].last < last)
			last = map->range[at].last;
	} else if (at < map->n && map->range[at].start <= last) {
		last = map->range[at].start - 1;
	}
	*end = last + 1;
	return value;
}

void chk_map_free(struct chk_map *map)
{
	free(map->range);
	*map = (struct chk_map){ 0 };
}
