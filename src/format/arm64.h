/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arm VMSAv8-64 stage 2 descriptors (DDI 0487, chapter D8), for any granule: our level n is the
 * manual's level 3 - n. A source file defines one format from these functions by S2_FMT_ARM64().
 *
 *   63 59 58 55 54 53 52   51  50 48 47      n    16   11  10  9 8 7  6  5     2  1    0
 *   ignored SW   XN  Contig DBM  0   output addr.  nT       AF  SH  S2AP  MemAttr type valid
 *
 * Invalid entries belong to software apart from bit 0; bit 1 in them says busy. Of a table entry
 * hardware ignores bits 11:2 (with 48-bit addresses; bit 10 is FEAT_HAFT's); bit 2 says settling.
 * Not here yet: addresses above 48 bits (LPA, LPA2), the contiguous bit, DBM.
 */
#ifndef S2_FORMAT_ARM64_H
#define S2_FORMAT_ARM64_H

#include "format.h"

#define ARM64_VALID     (1ull << 0)
#define ARM64_TABLE     (1ull << 1) /* above level 0; at level 0 it is part of a page descriptor */
#define ARM64_MEMATTR   2
#define ARM64_S2AP_R    (1ull << 6)
#define ARM64_S2AP_W    (1ull << 7)
#define ARM64_SH_INNER  (3ull << 8)
#define ARM64_AF        (1ull << 10)
#define ARM64_XN_SHIFT  53
#define ARM64_XN        (3ull << ARM64_XN_SHIFT)
#define ARM64_SW_SHIFT  55
#define ARM64_SW        (15ull << ARM64_SW_SHIFT)
#define ARM64_ADDR_BITS 48
#define ARM64_BUSY      (1ull << 1)
#define ARM64_SETTLE    (1ull << 2)  /* of a table entry */
#define ARM64_NT        (1ull << 16) /* of a block */

static S2_ALWAYS_INLINE int arm64_valid(uint64_t entry)
{
	return (entry & ARM64_VALID) != 0;
}

static S2_ALWAYS_INLINE int arm64_table(uint64_t entry, unsigned int level)
{
	return level > 0 &&
	       (entry & (ARM64_VALID | ARM64_TABLE | ARM64_SETTLE)) == (ARM64_VALID | ARM64_TABLE);
}

static S2_ALWAYS_INLINE int arm64_settling(uint64_t entry, unsigned int level)
{
	return level > 0 && (entry & (entry & ARM64_TABLE ? ARM64_SETTLE : ARM64_NT)) != 0;
}

static S2_ALWAYS_INLINE uint64_t arm64_addr(uint64_t entry, unsigned int shift)
{
	return entry & ((1ull << ARM64_ADDR_BITS) - 1) & ~((1ull << shift) - 1);
}

static S2_ALWAYS_INLINE uint64_t arm64_leaf_rest(uint64_t entry)
{
	return entry & ~arm64_addr(~0ull, 12);
}

static S2_ALWAYS_INLINE uint64_t arm64_leaf_add(uint64_t entry, uint64_t bytes)
{
	return entry + bytes;
}

static S2_ALWAYS_INLINE uint64_t arm64_leaf_child(uint64_t entry, unsigned int level)
{
	return level == 1 ? entry | ARM64_TABLE : entry;
}

static S2_ALWAYS_INLINE uint64_t arm64_make_table(uint64_t hpa)
{
	return hpa | ARM64_TABLE | ARM64_VALID;
}

/*
 * MemAttr[3:0] (stage 2 memory types). Without FWB stage 2 names a type that is combined with stage
 * 1's, the more restrictive winning. With FWB 0b0110 forces write-back, 0b0101 makes normal memory
 * non-cacheable. The device kinds are 0b0000 to 0b0011 in both.
 */
static S2_ALWAYS_INLINE uint64_t arm64_memattr(enum s2_memtype type, uint32_t features)
{
	/* Four bits for each enum s2_memtype, the first one lowest. */
	uint64_t attrs = features & S2_CPU_FWB ? 0x320156 : 0x32015f;

	return attrs >> (type * 4) & 15;
}

static S2_ALWAYS_INLINE enum s2_memtype arm64_memtype(uint64_t entry)
{
	/* Four bits for each value of MemAttr; what is not named above means normal memory. */
	return (enum s2_memtype)(0x105423ull >> (entry >> ARM64_MEMATTR & 15) * 4 & 15);
}

/*
 * XN[1:0] (stage 2 execute permissions). With FEAT_XNX: 0b00 both may execute, 0b01 only EL0, 0b10
 * nobody, 0b11 only EL1. Without it bit 53 is RES0 and bit 54 forbids execution to both.
 */
static S2_ALWAYS_INLINE uint64_t arm64_prot_bits(unsigned int prot, uint32_t features)
{
	/* Two bits for each of: none, S2_XP, S2_XU, S2_X. */
	uint64_t xn = (features & S2_CPU_XNX ? 0x1e : 0x2a) >> (prot / S2_XP & 3) * 2 & 3;

	_Static_assert(S2_XP == 4 && S2_XU == 8 && S2_R == 1 && S2_W == 2, "as the bits lie");
	return (uint64_t)(prot & S2_RW) * ARM64_S2AP_R | xn << ARM64_XN_SHIFT;
}

static S2_ALWAYS_INLINE uint64_t arm64_leaf_prot(uint64_t entry, unsigned int prot,
						 uint32_t features)
{
	return (entry & ~(ARM64_S2AP_R | ARM64_S2AP_W | ARM64_XN)) |
	       arm64_prot_bits(prot, features);
}

static S2_ALWAYS_INLINE uint64_t arm64_make_leaf(uint64_t hpa, unsigned int level,
						 struct s2_attr attr, uint32_t features)
{
	uint64_t entry = hpa | ARM64_VALID | ARM64_AF | (level ? 0 : ARM64_TABLE);

	entry |= arm64_memattr((enum s2_memtype)attr.type, features) << ARM64_MEMATTR;
	if (attr.type == S2_MEM_NORMAL)
		entry |= ARM64_SH_INNER; /* other types are outer shareable whatever SH says */
	entry |= (uint64_t)attr.sw << ARM64_SW_SHIFT;
	return entry | arm64_prot_bits(attr.prot, features);
}

static S2_ALWAYS_INLINE struct s2_attr arm64_leaf_attr(uint64_t entry, uint32_t features)
{
	/* Four bits of enum s2_prot for each value of XN. */
	uint64_t exec = features & S2_CPU_XNX ? 0x408c : 0x00cc;
	struct s2_attr attr = { .type = (uint8_t)arm64_memtype(entry) };

	attr.prot = (uint8_t)((exec >> (entry >> ARM64_XN_SHIFT & 3) * 4 & S2_X) |
			      (entry / ARM64_S2AP_R & S2_RW));
	attr.sw = (uint8_t)(entry >> ARM64_SW_SHIFT & 15);
	return attr;
}

static S2_ALWAYS_INLINE int arm64_young(uint64_t entry)
{
	return (entry & ARM64_AF) != 0;
}

static S2_ALWAYS_INLINE uint64_t arm64_make_young(uint64_t entry)
{
	return entry | ARM64_AF;
}

static S2_ALWAYS_INLINE uint64_t arm64_make_old(uint64_t entry)
{
	return entry & ~ARM64_AF;
}

static S2_ALWAYS_INLINE int arm64_attr_ok(struct s2_attr attr, uint32_t features)
{
	unsigned int exec = attr.prot & S2_X;

	if (attr.type >= S2_MEM_TYPES || attr.sw > 15 || attr.prot & ~S2_RWX)
		return 0;
	if (!(attr.prot & S2_R))
		return 0;
	if (exec && s2_memtype_is_device((enum s2_memtype)attr.type))
		return 0;
	return exec == 0 || exec == S2_X || features & S2_CPU_XNX;
}

/* Defines `static const struct s2_fmt name` for one granule; the last argument: its leaf levels. */
#define S2_FMT_ARM64(name, shift, mask)                                                      \
	static S2_ALWAYS_INLINE uint64_t name##_table_hpa(uint64_t entry)                    \
	{                                                                                    \
		return arm64_addr(entry, shift);                                             \
	}                                                                                    \
	static S2_ALWAYS_INLINE uint64_t name##_leaf_hpa(uint64_t entry, unsigned int level) \
	{                                                                                    \
		return arm64_addr(entry, (shift) + ((shift)-3) * level);                     \
	}                                                                                    \
	static const struct s2_fmt name = {                                                  \
		.page_shift = (shift),                                                       \
		.stride = (shift)-3,                                                         \
		.levels = (ARM64_ADDR_BITS - (shift) + (shift)-4) / ((shift)-3),             \
		.concat = 4,                                                                 \
		.min_ipa_bits = 32,                                                          \
		.max_ipa_bits = ARM64_ADDR_BITS,                                             \
		.leaf_levels = (mask),                                                       \
		.busy = ARM64_BUSY,                                                          \
		.settle = ARM64_SETTLE,                                                      \
		.nt = ARM64_NT,                                                              \
		.valid = arm64_valid,                                                        \
		.table = arm64_table,                                                        \
		.settling = arm64_settling,                                                  \
		.make_table = arm64_make_table,                                              \
		.table_hpa = name##_table_hpa,                                               \
		.make_leaf = arm64_make_leaf,                                                \
		.leaf_hpa = name##_leaf_hpa,                                                 \
		.leaf_add = arm64_leaf_add,                                                  \
		.leaf_rest = arm64_leaf_rest,                                                \
		.leaf_attr = arm64_leaf_attr,                                                \
		.leaf_prot = arm64_leaf_prot,                                                \
		.leaf_child = arm64_leaf_child,                                              \
		.young = arm64_young,                                                        \
		.make_young = arm64_make_young,                                              \
		.make_old = arm64_make_old,                                                  \
		.attr_ok = arm64_attr_ok,                                                    \
	}

#endif
