// SPDX-License-Identifier: BSD-2-Clause
/*
 * A layout of descriptors that no processor has, to show that the engine assumes no real one's:
 *
 *   63   62 61  60 48 47 44 43          9   8   7 5  4  3  2 1  0
 *   leaf 0  nT    0    SW    pa >> 10     old  type XP XU R W  valid
 *
 * Pages of 1K, tables of 128 entries, up to five levels (45 bits), no concatenated roots; leaves at
 * levels 0 to 2. Tables have a software field, too, and blocks nT as Arm has it. "Old" is the
 * access flag the other way round. Invalid entries are the software's. Written independently of
 * tests/formats.c, which makes such descriptors. Pure functions.
 */
#include "machine.h"

#define VALID (1ull << 0)
#define OLD   (1ull << 8)
#define NT    (1ull << 61)
#define SW    (15ull << 44)
#define LEAF  (1ull << 63)
#define ADDR  (((1ull << 35) - 1) << 9)
#define INNER 3 /* there is one shareability */

static const char *reserved(const struct chk_regime *regime, unsigned int level, uint64_t raw,
			    const struct chk_desc *desc)
{
	if (raw & ~(VALID | LEAF | ADDR | 0x1feull | SW | (level && regime->bbm ? NT : 0)))
		return "bits that must be zero are set";
	if (!(raw & LEAF)) {
		if (!level)
			return "table descriptor at level 0";
		return raw & ~(VALID | ADDR | SW) ? "table descriptor with bits of a leaf" : NULL;
	}
	if (level > 2)
		return "a block at a level that has none";
	if (desc->pa & (chk_size(regime, level) - 1))
		return "output address not aligned to the leaf";
	return desc->memattr >= S2_MEM_TYPES ? "type is reserved" : NULL;
}

struct chk_desc sim_toy_decode(const struct chk_regime *regime, unsigned int level, uint64_t raw)
{
	struct chk_desc desc = { .kind = CHK_INVALID };

	if (!(raw & VALID))
		return desc;
	desc.kind = raw & LEAF ? CHK_LEAF : CHK_TABLE;
	desc.pa = (raw & ADDR) << 1;
	if (raw & LEAF) {
		desc.rights = (uint8_t)((raw >> 1 & 1 ? S2C_W : 0) | (raw >> 2 & 1 ? S2C_R : 0) |
					(raw >> 3 & 1 ? S2C_X : 0) | (raw >> 4 & 1 ? S2C_XP : 0));
		desc.memattr = raw >> 5 & 7;
		desc.memory = desc.memattr == S2_MEM_NORMAL ? CHK_NORMAL
			      : desc.memattr == S2_MEM_NC   ? CHK_NC
							    : CHK_DEVICE;
		desc.sh = INNER;
		desc.af = !(raw & OLD);
		desc.nt = (raw & NT) != 0;
	}
	desc.why = reserved(regime, level, raw, &desc);
	if (desc.why) {
		desc.kind = CHK_RESERVED;
	} else if (desc.pa >> regime->pa_bits) {
		desc.kind = CHK_OUTPUT;
		desc.why = "output address too large";
	}
	return desc;
}

uint64_t sim_toy_with_af(uint64_t raw)
{
	return raw & ~OLD;
}
