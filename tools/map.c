// SPDX-License-Identifier: BSD-2-Clause
/*
 * Guest memory as a grid: tiles of 2 MiB (or more, where that would be too many), each of 8 x 8
 * cells. What is mapped at the end comes from the runs of the report; since when, from its log of
 * faults: a fault touches the whole leaf that it left behind.
 */
#include <stdlib.h>

#include "map.h"

#define CELLS (MAP_SUB * MAP_SUB)

double map_seconds(const struct hyp_report *report, uint64_t ticks)
{
	return report->timer_hz ? (double)ticks / (double)report->timer_hz : 0;
}

static int leaf_of(const struct hyp_fault *fault, uint64_t *gpa, uint64_t *end)
{
	unsigned int level = numbers_fault_level(fault);
	uint64_t size = numbers_level_size(level);

	if (level >= S2_LEVELS)
		return 0;
	*gpa = fault->gpa & ~(size - 1);
	*end = *gpa + size;
	return 1;
}

double map_touched(const struct hyp_report *report, const struct numbers *numbers, uint64_t gpa,
		   uint64_t size)
{
	uint64_t first, end;

	for (uint64_t i = 0; i < numbers->logged; i++)
		if (leaf_of(&numbers->faults[i], &first, &end) && first < gpa + size && gpa < end)
			return map_seconds(report, numbers->faults[i].when);
	return MAP_NEVER;
}

struct span {
	uint64_t gpa;
	uint64_t end;
};

/* Cuts a span to the map. Returns 0 if nothing is left. */
static int clip(const struct map *map, struct span *span)
{
	uint64_t end = map->base + (uint64_t)map->ntiles * map->tile_size;

	if (span->gpa < map->base)
		span->gpa = map->base;
	if (span->end > end)
		span->end = end;
	return span->gpa < span->end;
}

static struct map_cell *cell_at(struct map *map, uint64_t gpa, uint64_t *end)
{
	uint64_t cell_size = map->tile_size / CELLS;
	uint64_t index = (gpa - map->base) / cell_size;

	*end = map->base + (index + 1) * cell_size;
	return &map->tiles[index / CELLS].cells[index % CELLS];
}

static void touch(struct map *map, struct span span, double when)
{
	uint64_t end;

	if (!clip(map, &span))
		return;
	for (uint64_t gpa = span.gpa; gpa < span.end; gpa = end) {
		struct map_cell *cell = cell_at(map, gpa, &end);

		if (cell->touched_s < 0 || when < cell->touched_s)
			cell->touched_s = when;
	}
}

static void fill(struct map *map, const struct hyp_run *run)
{
	struct span span = { run->gpa, run->gpa + run->size };
	uint64_t end;

	if (!clip(map, &span))
		return;
	for (uint64_t gpa = span.gpa; gpa < span.end; gpa = end) {
		struct map_cell *cell = cell_at(map, gpa, &end);
		struct map_tile *tile = &map->tiles[(gpa - map->base) / map->tile_size];

		cell->mapped += (end < span.end ? end : span.end) - gpa;
		if (run->level < S2_LEVELS && run->level > tile->level)
			tile->level = run->level;
	}
}

struct map *map_build(const struct hyp_report *report, const struct numbers *numbers)
{
	struct map *map = calloc(1, sizeof(*map));
	struct span leaf;

	if (!map)
		abort();
	map->base = HYP_RAM_BASE;
	map->size = report->ram_base + report->ram_size - HYP_RAM_BASE;
	map->tile_size = 0x200000;
	while (map->size > map->tile_size * MAP_TILES_MAX)
		map->tile_size *= 2;
	map->ntiles = (unsigned int)((map->size + map->tile_size - 1) / map->tile_size);
	for (unsigned int i = 0; i < map->ntiles; i++) {
		struct map_tile *tile = &map->tiles[i];

		tile->reserved = map->base + i * map->tile_size < report->ram_base;
		for (unsigned int j = 0; j < CELLS; j++)
			tile->cells[j].touched_s = MAP_NEVER;
	}
	for (uint64_t i = 0; i < numbers->logged; i++)
		if (leaf_of(&numbers->faults[i], &leaf.gpa, &leaf.end))
			touch(map, leaf, map_seconds(report, numbers->faults[i].when));
	for (unsigned int i = 0; i < numbers->nruns; i++)
		fill(map, &report->runs[i]);
	return map;
}
