/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The formats that random tests run over: the one that is released, and instances that exist only
 * here, to keep the engine honest about what it may assume (page size, layout, levels, root).
 */
#ifndef TEST_FORMATS_H
#define TEST_FORMATS_H

#include "sim.h"

struct s2_pt_ops;

struct test_format {
	const char *name;
	const struct s2_pt_ops *ops;
	uint8_t page_shift;
	uint8_t block_levels;       /* leaves at levels 0 to this one */
	uint8_t min_bits, max_bits; /* of the guest's addresses */
	uint8_t layout;             /* enum sim_layout */
};

#define TEST_FORMATS 4
extern const struct test_format test_formats[TEST_FORMATS];

/* Prepares a tree of that format, whatever config->format says. */
int test_format_init(const struct test_format *format, struct s2_pt *pt,
		     const struct s2_pt_config *config, const struct s2_port *port);
/* Programs the simulated processors to walk it. */
void test_format_start(const struct test_format *format, struct sim *sim, const struct s2_pt *pt);

#endif
