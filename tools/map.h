/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest memory as a grid of cells: how much of each is mapped, how, and since when. See map.c. */
#ifndef STAGE2_MAP_H
#define STAGE2_MAP_H

#include "numbers.h"

#define MAP_SUB       8 /* a tile is MAP_SUB x MAP_SUB cells */
#define MAP_TILES_MAX 1024
#define MAP_NEVER     (-1.0)

struct map_cell {
	double touched_s; /* the first fault that mapped anything of it; MAP_NEVER: unknown */
	uint64_t mapped;  /* bytes */
};

struct map_tile {
	unsigned int reserved; /* the hypervisor's own */
	unsigned int level;    /* of the largest leaf in it */
	struct map_cell cells[MAP_SUB * MAP_SUB];
};

struct map {
	uint64_t base; /* of RAM, the hypervisor's part included */
	uint64_t size;
	uint64_t tile_size;
	unsigned int ntiles;
	struct map_tile tiles[MAP_TILES_MAX];
};

/* Builds the map; the caller frees it. */
struct map *map_build(const struct hyp_report *report, const struct numbers *numbers);
/* Time of the first logged fault that led to a leaf over gpa, or MAP_NEVER. */
double map_touched(const struct hyp_report *report, const struct numbers *numbers, uint64_t gpa,
		   uint64_t size);
/* Ticks of the guest's timer as seconds. */
double map_seconds(const struct hyp_report *report, uint64_t ticks);

#endif
