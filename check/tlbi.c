// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a TLBI of the EL1&0 regime reaches, from its name and its operand (DDI 0487, C5.5 and D8).
 *
 * Only what the manual obliges every CPU to drop is counted: a hint that is not true for an entry
 * spares that entry, a granule that is not the regime's spares everything, a range whose base does
 * not fit its hint is UNPREDICTABLE. An operand that no sane software gives earns a reason; what
 * it reaches all the same (a reserved level counts as none, RES0 bits as zero) is filled in, and
 * where that is nothing, no kind of entry is named. Bit 63 (NS) is of other worlds and ignored.
 *
 * Addresses of single operations are in units of 4K whatever the granule, and what is below the
 * granule is ignored; the base of a range is in granules, or in 64K with VTCR_EL2.DS. A single
 * address has the size of one page here: blocks and tables go because it is in them. No state.
 */
#include "format.h"

#define UNIT_DS 16 /* log2 of the unit of ranges with DS */

enum form {
	FORM_OTHER, /* nothing of stage 2 */
	FORM_IPA,
	FORM_IPA_LAST,
	FORM_RANGE,
	FORM_RANGE_LAST,
	FORM_VMALL_S1, /* combined entries of the VMID */
	FORM_VMALL,    /* all of the VMID */
	FORM_ALL,      /* all of all VMIDs */
};

enum domain {
	DOMAIN_LOCAL,
	DOMAIN_ALL, /* CPUs that run one guest are in one inner shareable domain: IS and OS alike */
};

static const struct op {
	uint8_t form;
	uint8_t domain;
} ops[S2C_TLBIS] = {
	[S2C_IPAS2E1] = { FORM_IPA, DOMAIN_LOCAL },
	[S2C_IPAS2E1IS] = { FORM_IPA, DOMAIN_ALL },
	[S2C_IPAS2E1OS] = { FORM_IPA, DOMAIN_ALL },
	[S2C_IPAS2LE1] = { FORM_IPA_LAST, DOMAIN_LOCAL },
	[S2C_IPAS2LE1IS] = { FORM_IPA_LAST, DOMAIN_ALL },
	[S2C_IPAS2LE1OS] = { FORM_IPA_LAST, DOMAIN_ALL },
	[S2C_RIPAS2E1] = { FORM_RANGE, DOMAIN_LOCAL },
	[S2C_RIPAS2E1IS] = { FORM_RANGE, DOMAIN_ALL },
	[S2C_RIPAS2E1OS] = { FORM_RANGE, DOMAIN_ALL },
	[S2C_RIPAS2LE1] = { FORM_RANGE_LAST, DOMAIN_LOCAL },
	[S2C_RIPAS2LE1IS] = { FORM_RANGE_LAST, DOMAIN_ALL },
	[S2C_RIPAS2LE1OS] = { FORM_RANGE_LAST, DOMAIN_ALL },
	[S2C_VMALLE1] = { FORM_VMALL_S1, DOMAIN_LOCAL },
	[S2C_VMALLE1IS] = { FORM_VMALL_S1, DOMAIN_ALL },
	[S2C_VMALLE1OS] = { FORM_VMALL_S1, DOMAIN_ALL },
	[S2C_VMALLS12E1] = { FORM_VMALL, DOMAIN_LOCAL },
	[S2C_VMALLS12E1IS] = { FORM_VMALL, DOMAIN_ALL },
	[S2C_VMALLS12E1OS] = { FORM_VMALL, DOMAIN_ALL },
	[S2C_ALLE1] = { FORM_ALL, DOMAIN_LOCAL },
	[S2C_ALLE1IS] = { FORM_ALL, DOMAIN_ALL },
	[S2C_ALLE1OS] = { FORM_ALL, DOMAIN_ALL },
	[S2C_TLBI_OTHER] = { FORM_OTHER, DOMAIN_LOCAL },
};

static uint64_t bits(uint64_t value, unsigned int high, unsigned int low)
{
	return value >> low & ((2ull << (high - low)) - 1);
}

/* TG of a range, and TTL[3:2]: 0b01 4K, 0b10 16K, 0b11 64K. */
static unsigned int granule(const struct chk_regime *regime)
{
	return (regime->page_shift - 10u) / 2;
}

static void reach(struct chk_kill *kill, enum form form)
{
	kill->leaf = 1;
	kill->table = form == FORM_IPA || form == FORM_RANGE;
}

/*
 * A level of the manual's in a hint. Level 1 of 16K and level 0 of 4K have leaves with DS only;
 * else, like level 0 of 16K and 64K, they are reserved and count as no hint, which is harmless (and
 * what Linux gives when a fault has lost a race).
 */
static void hint(struct chk_kill *kill, const struct chk_regime *regime, unsigned int level)
{
	static const uint8_t least[][2] = { { 1, 0 }, { 2, 1 }, { 1, 1 } };

	if (level >= least[granule(regime) - 1][regime->ds])
		kill->level = (uint8_t)(3 - level);
}

static const char *single(struct chk_kill *kill, const struct chk_regime *regime,
			  const struct s2c_cpu *cpu, enum form form, uint64_t operand)
{
	const char *why = NULL;

	kill->gpa = bits(operand, 39, 0) << 12;
	kill->gpa &= ~(chk_size(regime, 0) - 1);
	kill->size = chk_size(regime, 0);
	if (kill->gpa >> regime->ipa_bits)
		return "the address is beyond VTCR_EL2.T0SZ (operand bits 39:0 are the address >> "
		       "12)";
	if (bits(operand, 62, 48) || bits(operand, 43, 40))
		why = "operand bits 62:48 and 43:40 are RES0";
	/* Without FEAT_TTL nobody reads the hint. With it TTL[3:2] 0b00 says: none. */
	if (cpu->features & S2C_TTL && bits(operand, 47, 46)) {
		if (bits(operand, 47, 46) != granule(regime))
			return "TTL names a granule that is not VTCR_EL2.TG0";
		hint(kill, regime, (unsigned int)bits(operand, 45, 44));
	}
	reach(kill, form);
	return why;
}

static const char *range(struct chk_kill *kill, const struct chk_regime *regime, enum form form,
			 uint64_t operand)
{
	unsigned int unit = regime->ds ? UNIT_DS : regime->page_shift;
	unsigned int scale = (unsigned int)bits(operand, 45, 44);
	unsigned int ttl = (unsigned int)bits(operand, 38, 37);
	const char *why = NULL;

	kill->gpa = bits(operand, 36, 0) << unit;
	kill->size = (bits(operand, 43, 39) + 1) << (5 * scale + 1) << regime->page_shift;
	if (!bits(operand, 47, 46))
		return "TG is 0b00: reserved";
	if (bits(operand, 47, 46) != granule(regime))
		return "TG names a granule that is not VTCR_EL2.TG0";
	if (kill->gpa >> regime->ipa_bits)
		return "BaseADDR is beyond VTCR_EL2.T0SZ (it is in units of the granule, or of 64K "
		       "with VTCR_EL2.DS)";
	if (ttl)
		hint(kill, regime, ttl);
	if (kill->level != S2C_LEVEL_ANY && kill->gpa & (chk_size(regime, kill->level) - 1))
		return "BaseADDR is not a multiple of the size of a leaf of the level in TTL: "
		       "UNPREDICTABLE";
	if (bits(operand, 62, 48))
		why = "operand bits 62:48 are RES0";
	reach(kill, form);
	return why;
}

const char *chk_arm64_tlbi(struct chk_kill *kill, const struct chk_regime *regime,
			   const struct s2c_cpu *cpu, unsigned int op, uint64_t operand)
{
	enum form form;

	*kill = (struct chk_kill){ .level = S2C_LEVEL_ANY };
	if (op >= S2C_TLBIS)
		return "no TLBI has this number";
	form = (enum form)ops[op].form;
	kill->local = ops[op].domain == DOMAIN_LOCAL;
	switch (form) {
	case FORM_IPA:
	case FORM_IPA_LAST:
		return single(kill, regime, cpu, form, operand);
	case FORM_RANGE:
	case FORM_RANGE_LAST:
		return range(kill, regime, form, operand);
	case FORM_ALL:
		kill->all_vmids = 1;
		kill->leaf = kill->table = kill->combined = 1;
		return NULL;
	case FORM_VMALL:
		kill->leaf = kill->table = kill->combined = 1;
		return NULL;
	case FORM_VMALL_S1:
		kill->combined = 1;
		return NULL;
	case FORM_OTHER:
		break;
	}
	return NULL;
}
