// SPDX-License-Identifier: BSD-2-Clause
/*
 * Instances of the engine for tests: Arm with 16K and 64K pages, and a toy whose descriptors look
 * different altogether. See formats.h; ports/sim/toy.c states the toy's layout.
 *
 * Leaf levels: 16K pages have blocks of 32M, 64K pages of 512M (DDI 0487, chapter D8, without
 * LPA2).
 */
#include <stage2/arm64.h>

#include "../src/format/arm64.h"
#include "../src/pgtable/engine_ops.h"
#include "formats.h"

S2_FMT_ARM64(arm64_16k, 14, 0x3);
S2_PT_OPS(test_arm64_16k, arm64_16k);
S2_FMT_ARM64(arm64_64k, 16, 0x3);
S2_PT_OPS(test_arm64_64k, arm64_64k);

#define TOY_VALID  1ull
#define TOY_PROT   (15ull << 1)
#define TOY_OLD    (1ull << 8)
#define TOY_LEAF   (1ull << 63)
#define TOY_ADDR   0xffffffffe00ull
#define TOY_SETTLE (1ull << 44) /* of a table entry: hardware ignores it */
#define TOY_NT     (1ull << 61) /* of a block */

static S2_ALWAYS_INLINE int toy_valid(uint64_t entry)
{
	return (entry & TOY_VALID) != 0;
}

static S2_ALWAYS_INLINE int toy_table(uint64_t entry, unsigned int level)
{
	(void)level;
	return (entry & (TOY_VALID | TOY_LEAF | TOY_SETTLE)) == TOY_VALID;
}

static S2_ALWAYS_INLINE int toy_settling(uint64_t entry, unsigned int level)
{
	(void)level;
	return (entry & (entry & TOY_LEAF ? TOY_NT : TOY_SETTLE)) != 0;
}

static S2_ALWAYS_INLINE uint64_t toy_make_table(uint64_t hpa)
{
	return hpa >> 1 | TOY_VALID;
}

static S2_ALWAYS_INLINE uint64_t toy_hpa(uint64_t entry)
{
	return (entry & TOY_ADDR) << 1;
}

static S2_ALWAYS_INLINE uint64_t toy_leaf_hpa(uint64_t entry, unsigned int level)
{
	(void)level;
	return toy_hpa(entry);
}

static S2_ALWAYS_INLINE uint64_t toy_leaf_prot(uint64_t entry, unsigned int prot, uint32_t features)
{
	uint64_t bits = (prot & S2_W ? 1u : 0u) | (prot & S2_R ? 2u : 0u) |
			(prot & S2_XU ? 4u : 0u) | (prot & S2_XP ? 8u : 0u);

	(void)features;
	return (entry & ~TOY_PROT) | bits << 1;
}

static S2_ALWAYS_INLINE uint64_t toy_make_leaf(uint64_t hpa, unsigned int level,
					       struct s2_attr attr, uint32_t features)
{
	uint64_t entry = hpa >> 1 | TOY_VALID | TOY_LEAF;

	(void)level;
	entry |= (uint64_t)attr.type << 5 | (uint64_t)attr.sw << 44;
	return toy_leaf_prot(entry, attr.prot, features);
}

static S2_ALWAYS_INLINE struct s2_attr toy_leaf_attr(uint64_t entry, uint32_t features)
{
	struct s2_attr attr = { 0, (uint8_t)(entry >> 5 & 7), (uint8_t)(entry >> 44 & 15), 0 };

	(void)features;
	attr.prot = (uint8_t)((entry >> 1 & 1 ? S2_W : 0u) | (entry >> 2 & 1 ? S2_R : 0u) |
			      (entry >> 3 & 1 ? S2_XU : 0u) | (entry >> 4 & 1 ? S2_XP : 0u));
	return attr;
}

static S2_ALWAYS_INLINE uint64_t toy_leaf_rest(uint64_t entry)
{
	return entry & ~TOY_ADDR;
}

static S2_ALWAYS_INLINE uint64_t toy_leaf_add(uint64_t entry, uint64_t bytes)
{
	return entry + (bytes >> 1);
}

static S2_ALWAYS_INLINE uint64_t toy_leaf_child(uint64_t entry, unsigned int level)
{
	(void)level;
	return entry;
}

static S2_ALWAYS_INLINE int toy_young(uint64_t entry)
{
	return !(entry & TOY_OLD);
}

static S2_ALWAYS_INLINE uint64_t toy_make_young(uint64_t entry)
{
	return entry & ~TOY_OLD;
}

static S2_ALWAYS_INLINE uint64_t toy_make_old(uint64_t entry)
{
	return entry | TOY_OLD;
}

static const struct s2_fmt toy = {
	.page_shift = 10,
	.stride = 7,
	.levels = 5,
	.min_ipa_bits = 30,
	.max_ipa_bits = 45,
	.leaf_levels = 0x7,
	.busy = 1ull << 62,
	.settle = TOY_SETTLE,
	.nt = TOY_NT,
	.valid = toy_valid,
	.table = toy_table,
	.settling = toy_settling,
	.make_table = toy_make_table,
	.table_hpa = toy_hpa,
	.make_leaf = toy_make_leaf,
	.leaf_hpa = toy_leaf_hpa,
	.leaf_attr = toy_leaf_attr,
	.leaf_add = toy_leaf_add,
	.leaf_rest = toy_leaf_rest,
	.leaf_prot = toy_leaf_prot,
	.leaf_child = toy_leaf_child,
	.young = toy_young,
	.make_young = toy_make_young,
	.make_old = toy_make_old,
	.attr_ok = arm64_attr_ok, /* what a CPU with or without S2_CPU_XNX can do */
};
S2_PT_OPS(test_toy, toy);

const struct test_format test_formats[TEST_FORMATS] = {
	{ "arm64-4k", &s2_pt_arm64_4k, 12, 2, 32, 48, SIM_ARM64 },
	{ "arm64-16k", &test_arm64_16k, 14, 1, 32, 48, SIM_ARM64 },
	{ "arm64-64k", &test_arm64_64k, 16, 1, 36, 48, SIM_ARM64 },
	{ "toy", &test_toy, 10, 2, 33, 45, SIM_TOY },
};

int test_format_init(const struct test_format *format, struct s2_pt *pt,
		     const struct s2_pt_config *config, const struct s2_port *port)
{
	return s2_pt_init_ops(pt, config, port, format->ops);
}

void test_format_start(const struct test_format *format, struct sim *sim, const struct s2_pt *pt)
{
	if (format->layout == SIM_TOY)
		sim_start_toy(sim, (uint64_t)(uintptr_t)pt->root - pt->port->table_offset,
			      pt->ipa_bits, pt->root_level);
	else
		sim_start(sim, s2_arm64_vtcr(pt), s2_arm64_vttbr(pt, 1));
}
