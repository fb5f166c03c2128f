// SPDX-License-Identifier: BSD-2-Clause
/*
 * The walker's knowledge of Arm stage 2: registers and descriptors, decoded as DDI 0487 has them.
 *
 * Written from the manual and on purpose not from src/format: a misreading there must not be
 * repeated here. What hardware would take silently but nobody could mean (bits that must be zero,
 * normal memory that is not inner shareable) decodes as SIM_BAD with a reason.
 *
 * All three granules work; the level numbers are ours (0 is the page; the manual's is 3 - ours).
 * Pure functions.
 */
#include "machine.h"

static uint64_t field(uint64_t value, unsigned int high, unsigned int low)
{
	return value >> low & ((1ull << (high - low + 1)) - 1);
}

/* VTCR_EL2.SL0 counts from the granule's own base (DDI 0487, VTCR_EL2). */
static const char *start_level(struct sim_regime *regime, uint64_t sl0)
{
	unsigned int manual;

	if (sl0 == 3) {
		if (regime->page_shift != 12)
			return "SL0 is reserved for this granule";
		manual = 3;
	} else {
		manual = (regime->page_shift == 12 ? 2 : 3) - (unsigned int)sl0;
	}
	regime->top = (uint8_t)(3 - manual);
	return NULL;
}

/* The input size must need this start level, with at most 16 tables side by side. */
static const char *check_input(const struct sim_regime *regime, uint64_t vttbr)
{
	unsigned int shift = sim_shift(regime, regime->top);
	uint64_t root_bytes;

	if (regime->ipa_bits > 48 || regime->ipa_bits < 25)
		return "T0SZ out of range";
	if (regime->ipa_bits <= shift)
		return "start level too high for T0SZ";
	if (regime->ipa_bits > shift + regime->stride + 4)
		return "start level too low for T0SZ";
	root_bytes = 8ull << (regime->ipa_bits - shift);
	if (regime->root & (root_bytes - 1))
		return "root not aligned to its size";
	if (field(vttbr, 0, 0))
		return "VTTBR.CnP set";
	return NULL;
}

const char *sim_regime_set(struct sim_regime *regime, const struct s2_cpu *cpu, uint64_t vtcr,
			   uint64_t vttbr)
{
	static const uint8_t granules[] = { 12, 16, 14, 0 };
	static const uint8_t pa_sizes[] = { 32, 36, 40, 42, 44, 48 };
	uint64_t ps = field(vtcr, 18, 16);
	const char *why;

	*regime = (struct sim_regime){ .features = cpu->features, .bbm = cpu->bbm };
	regime->page_shift = granules[field(vtcr, 15, 14)];
	if (!regime->page_shift)
		return "TG0 is reserved";
	regime->stride = (uint8_t)(regime->page_shift - 3);
	regime->ipa_bits = (uint8_t)(64 - field(vtcr, 5, 0));
	if (ps >= sizeof(pa_sizes) || pa_sizes[ps] > cpu->pa_bits)
		return "PS is more than the CPU has";
	regime->pa_bits = pa_sizes[ps];
	if (field(vtcr, 9, 8) != 1 || field(vtcr, 11, 10) != 1 || field(vtcr, 13, 12) != 3)
		return "walks are not write-back and inner shareable";
	if (!field(vtcr, 31, 31))
		return "RES1 bit 31 is clear";
	regime->ha = (uint8_t)field(vtcr, 21, 21);
	if (regime->ha && !(cpu->features & S2_CPU_HA))
		return "HA set on a CPU without it";
	if (field(vtcr, 22, 22))
		return "HD set: hardware would set dirty state that nobody reads";
	if (field(vtcr, 63, 32))
		return "bits above 31 set";
	regime->root = field(vttbr, 47, 1) << 1;
	why = start_level(regime, field(vtcr, 7, 6));
	return why ? why : check_input(regime, vttbr);
}

/* MemAttr[3:0], bits 5:2: with and without HCR_EL2.FWB (stage 2 memory types). 0xff: reserved. */
static uint8_t memory_type(const struct sim_regime *regime, uint64_t memattr)
{
	static const uint8_t device[] = { S2_MEM_DEVICE_nGnRnE, S2_MEM_DEVICE, S2_MEM_DEVICE_nGRE,
					  S2_MEM_DEVICE_GRE };

	if (memattr < 4)
		return device[memattr];
	if (regime->features & S2_CPU_FWB) {
		if (memattr == 5)
			return S2_MEM_NC;
		return memattr == 6 ? S2_MEM_NORMAL : 0xff;
	}
	if (memattr == 5)
		return S2_MEM_NC;
	return memattr == 15 ? S2_MEM_NORMAL : 0xff;
}

/* XN[1:0], bits 54:53; without FEAT_XNX bit 53 is RES0 and bit 54 alone decides. */
static uint8_t execute(const struct sim_regime *regime, uint64_t xn)
{
	static const uint8_t by_xn[] = { S2_X, S2_XU, 0, S2_XP };

	if (regime->features & S2_CPU_XNX)
		return by_xn[xn];
	return xn & 2 ? 0 : S2_X;
}

static const char *check_leaf(const struct sim_regime *regime, unsigned int level, uint64_t raw,
			      const struct sim_desc *desc)
{
	if (level > 2 || (level == 2 && regime->page_shift != 12))
		return "a block at a level that has none";
	if (desc->pa & (sim_size(regime, level) - 1))
		return "output address not aligned to the leaf";
	if (desc->pa >> regime->pa_bits)
		return "output address too large";
	if (desc->type == 0xff)
		return "MemAttr is reserved";
	if (desc->type == S2_MEM_NORMAL && desc->sh != 3)
		return "normal memory is not inner shareable";
	if (desc->type >= S2_MEM_DEVICE && desc->rights & S2_X)
		return "executable device";
	if (field(raw, 11, 11) || field(raw, 50, 48) || field(raw, 63, 59))
		return "bits that are zero or the system MMU's own are set";
	if (field(raw, 51, 51))
		return "DBM is set";
	if (!(regime->features & S2_CPU_XNX) && field(raw, 53, 53))
		return "bit 53 is RES0 without FEAT_XNX";
	return NULL;
}

static struct sim_desc decode_leaf(const struct sim_regime *regime, unsigned int level,
				   uint64_t raw)
{
	struct sim_desc desc = { .kind = SIM_LEAF };

	desc.pa = field(raw, 47, regime->page_shift) << regime->page_shift;
	desc.rights = (uint8_t)((field(raw, 6, 6) ? S2_R : 0) | (field(raw, 7, 7) ? S2_W : 0));
	desc.rights |= execute(regime, field(raw, 54, 53));
	desc.type = memory_type(regime, field(raw, 5, 2));
	desc.sh = (uint8_t)field(raw, 9, 8);
	desc.af = (uint8_t)field(raw, 10, 10);
	desc.contig = (uint8_t)field(raw, 52, 52);
	desc.sw = (uint8_t)field(raw, 58, 55);
	desc.why = check_leaf(regime, level, raw, &desc);
	if (desc.why)
		desc.kind = SIM_BAD;
	return desc;
}

/* Bit 0 valid; bit 1 table (or page at the last level, where 0 is reserved). */
struct sim_desc sim_decode(const struct sim_regime *regime, unsigned int level, uint64_t raw)
{
	struct sim_desc desc = { .kind = SIM_INVALID };

	if (regime->layout == SIM_TOY)
		return sim_toy_decode(regime, level, raw);
	if (!(raw & 1))
		return desc;
	if (level == 0) {
		if (raw & 2)
			return decode_leaf(regime, level, raw);
		desc.kind = SIM_BAD;
		desc.why = "reserved encoding 0b01 of a page";
		return desc;
	}
	if (!(raw & 2))
		return decode_leaf(regime, level, raw);
	desc.kind = SIM_TABLE;
	desc.pa = field(raw, 47, regime->page_shift) << regime->page_shift;
	if (desc.pa >> regime->pa_bits || field(raw, 63, 48)) {
		desc.kind = SIM_BAD;
		desc.why = "table descriptor with high bits";
	}
	return desc;
}

uint64_t sim_with_af(const struct sim_regime *regime, uint64_t raw)
{
	if (regime->layout == SIM_TOY)
		return sim_toy_with_af(raw);
	return raw | 1ull << 10;
}
