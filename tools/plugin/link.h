/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the plugin tells `stage2 check --live`, through a pipe: a head, then what its kind says.
 * Both ends are built together and run on one machine, so structures go as they are; the first
 * message makes sure of that. The plugin's arguments are report=FD (the pipe) and trace=FD (a file
 * for a binary trace, optional).
 */
#ifndef PLUGIN_LINK_H
#define PLUGIN_LINK_H

#include "stage2check.h"

#define LINK_MAGIC 0x314b4e494c433253ull
#define LINK_TEXT  512

enum link_kind {
	LINK_START,     /* struct link_start: the machine's first CPU is there */
	LINK_VIOLATION, /* struct link_violation */
	LINK_TROUBLE,   /* LINK_TEXT bytes: something could not be watched; the text says what */
	LINK_REFUSED,   /* LINK_TEXT bytes: nothing can be watched; why */
	LINK_END,       /* struct link_end: the machine is gone */
	LINK_KINDS
};

struct link_head {
	uint32_t kind; /* enum link_kind */
	uint32_t size; /* of what follows */
};

struct link_start {
	uint64_t magic;
	uint64_t violation_size;
	struct s2c_cpu cpu;
};

struct link_violation {
	char rule[64]; /* instead of violation.rule */
	struct s2c_violation violation;
};

struct link_end {
	struct s2c_stats stats;
	uint64_t events[S2C_KINDS]; /* by kind */
	uint64_t stores;            /* of the whole machine */
};

#endif
