/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the two threads work on: a guest with one slot of 32 MiB, a walker for each thread and one
 * that prepares, the simplest possible port; and the names of all their cache lines.
 */
#ifndef LINES_WORLD_H
#define LINES_WORLD_H

#include <stage2/vm.h>

#include "recorder.h"
#include "shared.h"

#define PAGE    4096ull
#define BLOCK   (512 * PAGE)
#define BASE    (1ull << 30) /* of the slot; eight tables of pages share a line above them */
#define SIZE    (16 * BLOCK)
#define NOWHERE (1ull << 40) /* no slot there */

/* Who works: A and B, and who prepares and is not recorded. */
enum worker {
	A,
	B,
	MANAGER,
	WORKERS
};

struct world {
	struct s2_vm vm;
	struct s2_memslot slot;
	struct s2_port port;
	struct s2_walker walkers[WORKERS]; /* side by side: each must keep to its own lines */
	struct shared shared;
	struct line_log logs[2];
};

/* There is one world at a time; it begins with nothing mapped. */
void world_up(struct world *w);
void world_down(struct world *w);

/* Ends the test when something that must work does not. */
void must(int ok, const char *what, uint64_t gpa);

enum line_kind {
	LINE_OTHER,
	LINE_COUNT, /* the tree's number of tables, and what shares a line with it */
	LINE_TABLE, /* of the tree */
	LINE_SHARED,
};

struct line_name {
	enum line_kind kind;
	unsigned int level; /* LINE_TABLE */
	char text[192];
};

void name_line(const struct world *w, uintptr_t address, struct line_name *name);

#endif
