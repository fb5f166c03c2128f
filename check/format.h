/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the model knows of a descriptor format: the shape of the tree, and what a descriptor means.
 * One file a format (arm64.c); everything else in check/ is the same for all of them. Written from
 * the manuals: nothing here is shared with the engine's src/format.
 *
 * Also the way in for machines whose registers the model does not know (the simulation's toy):
 * chk_start().
 */
#ifndef CHK_FORMAT_H
#define CHK_FORMAT_H

#include "stage2check.h"

#define CHK_LEVELS 5

enum chk_desc_kind {
	CHK_INVALID,
	CHK_LEAF,
	CHK_TABLE,
	CHK_RESERVED, /* valid, but reserved by the manual or without meaning: `why` */
	CHK_OUTPUT,   /* leaf or table whose address is beyond what the CPU has: `why` */
};

enum chk_memory {
	CHK_NORMAL, /* cacheable, whatever the guest says or together with it */
	CHK_NC,     /* normal, not cacheable */
	CHK_DEVICE,
};

struct chk_desc {
	uint64_t pa;     /* output of a leaf, or the next table */
	const char *why; /* RESERVED, OUTPUT */
	uint8_t kind;    /* enum chk_desc_kind */
	uint8_t rights;  /* enum s2c_rights, as a guest may use them now */
	uint8_t memattr; /* the field as it stands */
	uint8_t memory;  /* enum chk_memory */
	uint8_t sh;
	uint8_t af;
	uint8_t contiguous;
	uint8_t nt;  /* FEAT_BBM level 1 */
	uint8_t dbm; /* hardware may turn read-only into writable, which means dirty */
	uint8_t pad[7];
};

/* A translation regime: registers, decoded. */
struct chk_regime {
	struct chk_desc (*decode)(const struct chk_regime *regime, unsigned int level,
				  uint64_t raw);
	uint64_t root;
	uint16_t vmid;
	uint8_t page_shift;
	uint8_t stride;   /* bits of address that a full table resolves */
	uint8_t top;      /* level of the root's entries */
	uint8_t ipa_bits; /* the root has 1 << (ipa_bits - shift of top) entries */
	uint8_t pa_bits;  /* descriptors may name addresses up to here */
	uint8_t fwb;      /* HCR_EL2.FWB */
	uint8_t ha, hd;
	uint8_t ds;  /* LPA2 layout of descriptors */
	uint8_t xnx; /* execute rights by exception level */
	uint8_t bbm;
	uint8_t contiguous[CHK_LEVELS]; /* log2 of entries in a contiguous run at this level; 0:
					   none */
	uint8_t pad[2];
};

/*
 * The regime that these registers select, HCR_EL2.VM taken for set. Returns NULL, or why the
 * registers are wrong (reserved values, start level against size, misaligned root).
 */
const char *chk_arm64_regime(struct chk_regime *regime, const struct s2c_cpu *cpu, uint64_t vtcr,
			     uint64_t vttbr, uint64_t hcr);

/* What an invalidation reaches. */
struct chk_kill {
	uint64_t gpa, size; /* size 0: everything of the VMID */
	uint8_t level;      /* leaves of this level only; S2C_LEVEL_ANY */
	uint8_t leaf;       /* stage-2 leaves go ... */
	uint8_t table;    /* ... pointers to tables (above leaves of `level`, if it is given) ... */
	uint8_t combined; /* ... combined entries, all of the VMID's, whatever gpa */
	uint8_t local;
	uint8_t all_vmids;
	uint8_t pad[2];
};

/*
 * Decodes a TLBI under this regime (of the VMID that it acts on). Returns NULL, or why the operand
 * makes the instruction reach nothing or not what was meant: a granule that is not the regime's,
 * reserved level, bits beyond the address, a base that is not a multiple of the unit.
 */
const char *chk_arm64_tlbi(struct chk_kill *kill, const struct chk_regime *regime,
			   const struct s2c_cpu *cpu, unsigned int op, uint64_t operand);

/* Puts CPUs (a mask) to work with a regime of any format; the same as S2C_RUN on each. */
int chk_start(struct s2c *model, uint64_t cpus, const struct chk_regime *regime);

/*
 * Where the entry at pa stands: returns 1 and fills in the address that it translates, and its
 * level; or 0 if it is in no table that is linked.
 */
int chk_place(struct s2c *model, uint64_t pa, uint64_t *gpa, unsigned int *level);

static inline unsigned int chk_shift(const struct chk_regime *regime, unsigned int level)
{
	return regime->page_shift + regime->stride * level;
}

static inline uint64_t chk_size(const struct chk_regime *regime, unsigned int level)
{
	return 1ull << chk_shift(regime, level);
}

/* Entries of a table at this level; the root's may be fewer or (concatenated) more. */
static inline uint64_t chk_entries(const struct chk_regime *regime, unsigned int level)
{
	if (level == regime->top)
		return 1ull << (regime->ipa_bits - chk_shift(regime, level));
	return 1ull << regime->stride;
}

static inline uint64_t chk_index(const struct chk_regime *regime, unsigned int level, uint64_t gpa)
{
	return (gpa >> chk_shift(regime, level)) & (chk_entries(regime, level) - 1);
}

#endif
