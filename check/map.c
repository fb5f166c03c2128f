// SPDX-License-Identifier: BSD-2-Clause
/*
 * What is known of physical pages, by ranges: taken, device, clean, owned. Ranges are disjoint and
 * sorted; neighbours of one value are merged. They stand in blocks of up to CHK_MAP_BLOCK, so that
 * one more of a hundred thousand moves a few kilobytes.
 *
 * No block is empty.
 */
#include <stdlib.h>
#include <string.h>

#include "model.h"

/* A place between ranges: before range `i` of block `b`; i may be the block's n. */
struct place {
	size_t b, i;
};

static struct chk_range *at(const struct chk_map *map, struct place place)
{
	return place.b < map->n ? &map->block[place.b]->range[place.i] : NULL;
}

static struct place next(const struct chk_map *map, struct place place)
{
	if (++place.i == map->block[place.b]->n)
		place = (struct place){ place.b + 1, 0 };
	return place;
}

/* The first range that ends at or after `address`. */
static struct place find(const struct chk_map *map, uint64_t address)
{
	struct place place = { 0, 0 };
	size_t high = map->n;

	while (place.b < high) {
		size_t middle = place.b + (high - place.b) / 2;
		const struct chk_block *block = map->block[middle];

		if (block->range[block->n - 1].last < address)
			place.b = middle + 1;
		else
			high = middle;
	}
	if (place.b == map->n)
		return place;
	high = map->block[place.b]->n;
	while (place.i < high) {
		size_t middle = place.i + (high - place.i) / 2;

		if (map->block[place.b]->range[middle].last < address)
			place.i = middle + 1;
		else
			high = middle;
	}
	return place;
}

static void block_insert(struct chk_map *map, size_t b)
{
	if (map->n == map->room) {
		map->room = map->room ? map->room * 2 : 4;
		map->block = realloc(map->block, map->room * sizeof(struct chk_block *));
		if (!map->block)
			abort();
	}
	memmove(&map->block[b + 1], &map->block[b], (map->n - b) * sizeof(struct chk_block *));
	map->block[b] = chk_alloc(1, sizeof(struct chk_block));
	map->n++;
}

static void split(struct chk_map *map, size_t b)
{
	struct chk_block *old = map->block[b], *rest;

	block_insert(map, b + 1);
	rest = map->block[b + 1];
	rest->n = old->n / 2;
	old->n -= rest->n;
	memcpy(rest->range, &old->range[old->n], rest->n * sizeof(*rest->range));
}

static void insert(struct chk_map *map, struct place place, struct chk_range range)
{
	struct chk_block *block;

	if (!map->n)
		block_insert(map, 0);
	if (place.b == map->n) /* behind the last one */
		place = (struct place){ map->n - 1, map->block[map->n - 1]->n };
	block = map->block[place.b];
	if (!block)
		abort(); /* there is one at each place; linters cannot know */
	if (block->n == CHK_MAP_BLOCK) {
		split(map, place.b);
		if (place.i > map->block[place.b]->n) {
			place.i -= map->block[place.b]->n;
			place.b++;
		}
	}
	block = map->block[place.b];
	memmove(&block->range[place.i + 1], &block->range[place.i],
		(block->n - place.i) * sizeof(range));
	block->range[place.i] = range;
	block->n++;
}

/* Returns where the next one is now. */
static struct place erase(struct chk_map *map, struct place place)
{
	struct chk_block *block = map->block[place.b];

	memmove(&block->range[place.i], &block->range[place.i + 1],
		(--block->n - place.i) * sizeof(block->range[0]));
	if (!block->n) {
		free(block);
		memmove(&map->block[place.b], &map->block[place.b + 1],
			(--map->n - place.b) * sizeof(struct chk_block *));
	} else if (place.i == block->n) {
		place = (struct place){ place.b + 1, 0 };
	}
	return place;
}

/* Cuts [start, last] out of all ranges. */
static void cut(struct chk_map *map, uint64_t start, uint64_t last)
{
	struct place place = find(map, start);
	struct chk_range *range = at(map, place);

	if (range && range->start < start) {
		struct chk_range rest = { last + 1, range->last, range->value };
		int both = range->last > last;

		range->last = start - 1;
		place = next(map, place);
		if (both) {
			insert(map, place, rest);
			return;
		}
	}
	while ((range = at(map, place)) && range->last <= last)
		place = erase(map, place);
	if (range && range->start <= last)
		range->start = last + 1;
}

void chk_map_set(struct chk_map *map, uint64_t start, uint64_t size, uint64_t value)
{
	struct chk_range range = { start, start + (size - 1), value }, *it;
	struct place place;

	if (!size)
		return;
	place = find(map, start);
	it = at(map, place);
	if (it && it->value == value && it->start <= start && it->last >= range.last)
		return; /* most of the time: known already */
	cut(map, range.start, range.last);
	if (!value)
		return;
	/* Neighbours of this value become part of it. */
	place = start ? find(map, start - 1) : (struct place){ 0, 0 };
	it = at(map, place);
	if (start && it && it->last == start - 1 && it->value == value) {
		range.start = it->start;
		place = erase(map, place);
		it = at(map, place);
	} else if (it && it->last < start) {
		place = next(map, place);
		it = at(map, place);
	}
	if (it && range.last + 1 == it->start && it->value == value) {
		it->start = range.start;
		return;
	}
	insert(map, place, range);
}

uint64_t chk_map_get(const struct chk_map *map, uint64_t start, uint64_t size, uint64_t *end)
{
	const struct chk_range *range = at(map, find(map, start));
	uint64_t last = start + (size - 1), value = 0;

	if (range && range->start <= start) {
		value = range->value;
		if (range->last < last)
			last = range->last;
	} else if (range && range->start <= last) {
		last = range->start - 1;
	}
	*end = last + 1;
	return value;
}

void chk_map_free(struct chk_map *map)
{
	for (size_t i = 0; i < map->n; i++)
		free(map->block[i]);
	free(map->block);
	*map = (struct chk_map){ 0 };
}
