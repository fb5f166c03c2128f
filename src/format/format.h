/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the table engine needs to know of a format: numbers and tiny pure functions on descriptors.
 * A format is a `static const struct s2_fmt` in one file; src/pgtable instantiates the engine with
 * it in the same translation unit, so that every call below folds into the caller (a test
 * looks at the disassembly). Nothing here dereferences a pointer or keeps state.
 *
 * `features` is enum s2_cpu_feature. Levels are ours: 0 is the page. An entry is one of
 *   invalid   0, or busy: software says that somebody is between break and make (s2_fmt_busy)
 *   table     points to a table of the next lower level
 *   leaf      translates
 *   settling  a table or a block for the hardware, busy for software: a size changes in place
 */
#ifndef S2_FORMAT_H
#define S2_FORMAT_H

#include <stage2/types.h>

#define S2_ALWAYS_INLINE inline __attribute__((always_inline))
#define S2_NOINLINE      __attribute__((noinline))
#define S2_LIKELY(x)     __builtin_expect(!!(x), 1)
#define S2_UNLIKELY(x)   __builtin_expect(!!(x), 0)

struct s2_fmt {
	uint8_t page_shift;
	uint8_t stride; /* address bits that a table resolves */
	uint8_t levels;
	uint8_t concat; /* address bits that a root of several tables may add */
	uint8_t min_ipa_bits;
	uint8_t max_ipa_bits;
	uint8_t leaf_levels; /* bit n: level n can hold a leaf */
	uint8_t pad;
	uint64_t busy;   /* one bit; it says busy in an invalid entry, whatever else stands there */
	uint64_t settle; /* one bit that hardware ignores in a table entry: it is settling */
	uint64_t nt;     /* one bit, of FEAT_BBM level 1, in a block: it is settling */

	int (*valid)(uint64_t entry);
	/* Settled; a settling entry is only ever asked about by s2_fmt_busy(). */
	int (*table)(uint64_t entry, unsigned int level);
	/* Of a valid entry. */
	int (*settling)(uint64_t entry, unsigned int level);

	uint64_t (*make_table)(uint64_t hpa);
	uint64_t (*table_hpa)(uint64_t entry);

	/* A young leaf. The attributes have passed attr_ok(). */
	uint64_t (*make_leaf)(uint64_t hpa, unsigned int level, struct s2_attr attr,
			      uint32_t features);
	uint64_t (*leaf_hpa)(uint64_t entry, unsigned int level);
	struct s2_attr (*leaf_attr)(uint64_t entry, uint32_t features);
	/* The same leaf, its output `bytes` further on. */
	uint64_t (*leaf_add)(uint64_t entry, uint64_t bytes);
	/* All of a leaf that is not its output address: a mask. */
	uint64_t (*leaf_rest)(uint64_t entry);
	/* The same leaf with other rights. */
	uint64_t (*leaf_prot)(uint64_t entry, unsigned int prot, uint32_t features);
	/* The first leaf of the level below that stands for its share of this block. */
	uint64_t (*leaf_child)(uint64_t entry, unsigned int level);

	int (*young)(uint64_t entry);
	uint64_t (*make_young)(uint64_t entry);
	uint64_t (*make_old)(uint64_t entry);

	/* Can a leaf have these attributes on such a CPU? */
	int (*attr_ok)(struct s2_attr attr, uint32_t features);
};

static S2_ALWAYS_INLINE unsigned int s2_fmt_shift(const struct s2_fmt *f, unsigned int level)
{
	return f->page_shift + f->stride * level;
}

static S2_ALWAYS_INLINE uint64_t s2_fmt_size(const struct s2_fmt *f, unsigned int level)
{
	return 1ull << s2_fmt_shift(f, level);
}

/* Somebody is in the midst of changing it: it is his until he is done. Ask this before all else. */
static S2_ALWAYS_INLINE int s2_fmt_busy(const struct s2_fmt *f, uint64_t entry, unsigned int level)
{
	int busy = f->valid(entry) ? f->settling(entry, level) : (entry & f->busy) != 0;

	return S2_UNLIKELY(busy) ? 1 : 0;
}

#endif
