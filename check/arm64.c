// SPDX-License-Identifier: BSD-2-Clause
/*
 * The golden decoder of Arm's stage 2 (VMSAv8-64, 64-bit descriptors): what VTCR_EL2, VTTBR_EL2 and
 * HCR_EL2 select, and what a descriptor says under them. Written from DDI 0487 (D8 for the
 * descriptors, D19 for the registers) and from nothing else: a misreading here and one in the
 * engine's src/format must not be the same one.
 *
 * What the manual reserves is refused or reported, never guessed at. A bit that it calls RES0 is
 * taken for a bug of whoever set it; one that it calls IGNORED, or leaves to software or to an
 * SMMU, is not looked at. Bits of features that the CPU does not have (struct s2c_cpu) count as
 * absent where hardware would ignore them (HA, HD, VS, FWB), and are refused where the descriptors
 * that go with them would be read as something else (DS).
 *
 * Levels are ours; comments and reasons that name the manual's say so: its level is 3 minus ours.
 * No state, so nothing to lock. Not here: Secure and Realm state, AArch32 at EL2, FEAT_S2PIE,
 * FEAT_S2POE, FEAT_D128; what a right means for Device memory is a rule's business (judge.c).
 */
#include "format.h"

#define SHIFT_4K  12
#define SHIFT_16K 14
#define SHIFT_64K 16

/* VTCR_EL2 */
#define VTCR_HA    (1ull << 21)
#define VTCR_HD    (1ull << 22)
#define VTCR_VS    (1ull << 19)
#define VTCR_DS    (1ull << 32)
#define VTCR_SL2   (1ull << 33)
#define VTCR_S2PIE (1ull << 36)
#define VTCR_S2POE (1ull << 37)
#define VTCR_D128  (1ull << 38)

/* HCR_EL2 */
#define HCR_RW  (1ull << 31)
#define HCR_FWB (1ull << 46)

/* Descriptors */
#define DESC_VALID  (1ull << 0)
#define DESC_TABLE  (1ull << 1) /* or, in the lowest level, a page */
#define DESC_AF     (1ull << 10)
#define DESC_NT     (1ull << 16)
#define DESC_DBM    (1ull << 51)
#define DESC_CONT   (1ull << 52)
#define DESC_XN0    (1ull << 53)
#define SH_RESERVED 1 /* VTCR_EL2.SH0's, too */
#define SH_INNER    3
#define BEYOND_SIZE "output address beyond the smaller of VTCR_EL2.PS and ID_AA64MMFR0_EL1.PARange"

static uint64_t bits(uint64_t value, unsigned int high, unsigned int low)
{
	return value >> low & ((2ull << (high - low)) - 1);
}

/* Bits high to low, both included, where they stand. */
static uint64_t mask(unsigned int high, unsigned int low)
{
	return ((2ull << (high - low)) - 1) << low;
}

/*
 * Bits of a descriptor that hold its address, put together. With DS, [49:12] and [9:8]; with 64K
 * [15:12] are the highest: if the CPU has no FEAT_LPA they are RES0, which shows as beyond its
 * size.
 */
static uint64_t output(const struct chk_regime *regime, unsigned int shift, uint64_t raw)
{
	if (regime->ds)
		return (raw & mask(49, shift)) | bits(raw, 9, 8) << 50;
	if (regime->page_shift == SHIFT_64K)
		return (raw & mask(47, shift)) | bits(raw, 15, 12) << 48;
	return raw & mask(47, shift);
}

/* Bits below the address of a leaf or table that must be zero: [shift - 1:12], with exceptions. */
static uint64_t low_res0(const struct chk_regime *regime, unsigned int shift)
{
	unsigned int low = regime->page_shift == SHIFT_64K ? 16 : 12;

	return shift > low ? mask(shift - 1, low) : 0;
}

static struct chk_desc decode_table(const struct chk_regime *regime, uint64_t raw)
{
	struct chk_desc desc = { .kind = CHK_TABLE };

	desc.pa = output(regime, regime->page_shift, raw);
	if (raw & mask(63, 59))
		desc.why =
			"bits 63:59 of a table descriptor are RES0 in stage 2 (they are stage 1's "
			"NSTable, APTable, XNTable)";
	else if (raw & (regime->ds ? mask(51, 50) : mask(51, 48)))
		desc.why = "a bit between the address of a table and bit 52 is set: RES0";
	else if (raw & low_res0(regime, regime->page_shift))
		desc.why = "address of a table is not a multiple of the granule";
	if (desc.why) {
		desc.kind = CHK_RESERVED;
	} else if (desc.pa >> regime->pa_bits) {
		desc.kind = CHK_OUTPUT;
		desc.why = BEYOND_SIZE;
	}
	return desc;
}

/* S2AP and XN. Execution does not depend on S2AP: execute-only is a right of its own. */
static unsigned int rights(const struct chk_regime *regime, uint64_t raw)
{
	static const uint8_t xnx[] = { S2C_X | S2C_XP, S2C_X, 0, S2C_XP };
	unsigned int all = 0;

	if (bits(raw, 6, 6))
		all |= S2C_R;
	if (bits(raw, 7, 7))
		all |= S2C_W;
	if (regime->xnx)
		return all | xnx[bits(raw, 54, 53)];
	return bits(raw, 54, 54) ? all : all | S2C_X | S2C_XP;
}

/* MemAttr[3:0]. Returns enum chk_memory, or -1: reserved. */
static int memory(const struct chk_regime *regime, unsigned int attr)
{
	unsigned int outer = attr >> 2, inner = attr & 3;

	if (regime->fwb) {
		/* Bit 3 is FEAT_MTE_PERM's; then 0b0xx Device, 0b101 NC, 0b110 WB, 0b111 stage 1's.
		 */
		if (attr >= 8 || attr == 4)
			return -1;
		if (attr < 4)
			return CHK_DEVICE;
		return attr == 5 ? CHK_NC : CHK_NORMAL;
	}
	if (!outer)
		return CHK_DEVICE;
	if (!inner)
		return -1;
	/* One level of cache that is passed by is enough for a guest to see what is in memory. */
	return outer == 1 || inner == 1 ? CHK_NC : CHK_NORMAL;
}

/* Why a leaf is reserved, or NULL. `largest`: the highest level that may hold blocks. */
static const char *leaf_reserved(const struct chk_regime *regime, unsigned int level,
				 unsigned int largest, uint64_t raw)
{
	uint64_t low = low_res0(regime, chk_shift(regime, level));

	if (!level && !(raw & DESC_TABLE))
		return "bits 1:0 are 0b01 in the level of pages (the manual's level 3): reserved, "
		       "a "
		       "page has 0b11";
	if (level > largest)
		return "a block at a level that has none with this granule";
	if (level && raw & low & DESC_NT && !regime->bbm)
		return "bit 16 (nT) of a block is RES0 without FEAT_BBM";
	if (level && raw & low & ~DESC_NT)
		return "output address of a block is not a multiple of its size";
	if (!level && raw & low)
		return "output address of a page is not a multiple of the granule";
	if (raw & (regime->ds ? mask(50, 50) : mask(50, 48)))
		return "a bit between the output address and bit 51 is set: RES0";
	if (raw & DESC_CONT && !regime->contiguous[level])
		return "bit 52 (Contiguous) at a level that has no contiguous runs";
	if (raw & DESC_XN0 && !regime->xnx)
		return "bit 53 (XN[0]) is RES0 without FEAT_XNX";
	if (!regime->ds && bits(raw, 9, 8) == SH_RESERVED)
		return "SH 0b01 is reserved";
	if (memory(regime, (unsigned int)bits(raw, 5, 2)) < 0)
		return regime->fwb ? "MemAttr is reserved (HCR_EL2.FWB is 1)"
				   : "MemAttr is reserved (HCR_EL2.FWB is 0)";
	return NULL;
}

static struct chk_desc decode_leaf(const struct chk_regime *regime, unsigned int level,
				   unsigned int largest, uint64_t raw)
{
	struct chk_desc desc = { .kind = CHK_LEAF };
	int type = memory(regime, (unsigned int)bits(raw, 5, 2));

	desc.pa = output(regime, chk_shift(regime, level), raw);
	desc.rights = (uint8_t)rights(regime, raw);
	desc.memattr = (uint8_t)bits(raw, 5, 2);
	desc.memory = type < 0 ? CHK_NORMAL : (uint8_t)type;
	/* With DS it is VTCR_EL2.SH0 for all leaves, so that no two of a regime ever differ. */
	desc.sh = regime->ds ? SH_INNER : (uint8_t)bits(raw, 9, 8);
	desc.af = !!(raw & DESC_AF);
	desc.contiguous = !!(raw & DESC_CONT);
	desc.nt = level && regime->bbm && raw & DESC_NT;
	desc.dbm = regime->hd && raw & DESC_DBM;
	desc.why = leaf_reserved(regime, level, largest, raw);
	if (desc.why) {
		desc.kind = CHK_RESERVED;
	} else if (desc.pa >> regime->pa_bits) {
		desc.kind = CHK_OUTPUT;
		desc.why = BEYOND_SIZE;
	}
	return desc;
}

static struct chk_desc decode(const struct chk_regime *regime, unsigned int level,
			      unsigned int largest, uint64_t raw)
{
	if (!(raw & DESC_VALID))
		return (struct chk_desc){ .kind = CHK_INVALID };
	if (level && raw & DESC_TABLE)
		return decode_table(regime, raw);
	return decode_leaf(regime, level, largest, raw);
}

static struct chk_desc decode_64k(const struct chk_regime *regime, unsigned int level, uint64_t raw)
{
	return decode(regime, level, 1, raw);
}

/* FEAT_LPA: blocks of 4T. It is what the CPU has that counts here, not VTCR_EL2.PS. */
static struct chk_desc decode_64k_lpa(const struct chk_regime *regime, unsigned int level,
				      uint64_t raw)
{
	return decode(regime, level, 2, raw);
}

/* Blocks of 2M and 1G, or of 32M; FEAT_LPA2 adds a level. */
static struct chk_desc decode_small(const struct chk_regime *regime, unsigned int level,
				    uint64_t raw)
{
	unsigned int largest = regime->page_shift == SHIFT_4K ? 2 : 1;

	return decode(regime, level, largest + regime->ds, raw);
}

/* TG0, DS and what follows from them. */
static const char *granule(struct chk_regime *regime, const struct s2c_cpu *cpu, uint64_t vtcr)
{
	static const uint8_t shifts[] = { SHIFT_4K, SHIFT_64K, SHIFT_16K, 0 };
	unsigned int shift = shifts[bits(vtcr, 15, 14)];
	uint32_t lpa2 = shift == SHIFT_4K ? S2C_LPA2_4K : shift == SHIFT_16K ? S2C_LPA2_16K : 0;

	if (!shift)
		return "VTCR_EL2.TG0 is 0b11: reserved";
	if (vtcr & (VTCR_S2PIE | VTCR_S2POE | VTCR_D128))
		return "VTCR_EL2.S2PIE, S2POE or D128 is set: this checker does not know their "
		       "descriptors";
	if (vtcr & VTCR_DS && !(cpu->features & lpa2))
		return "VTCR_EL2.DS is set, but the CPU has no FEAT_LPA2 with the granule of "
		       "VTCR_EL2.TG0";
	if (bits(vtcr, 13, 12) == SH_RESERVED)
		return "VTCR_EL2.SH0 is 0b01: reserved";
	regime->page_shift = (uint8_t)shift;
	regime->stride = (uint8_t)(shift - 3);
	regime->ds = !!(vtcr & VTCR_DS);
	regime->decode = decode_small;
	if (shift == SHIFT_64K)
		regime->decode = cpu->pa_bits >= 52 ? decode_64k_lpa : decode_64k;
	return NULL;
}

/* FEAT_TTST is not in struct s2c_cpu; like FEAT_TTL it became mandatory in Armv8.4. */
static int small_tables(const struct s2c_cpu *cpu)
{
	return !!(cpu->features & S2C_TTL);
}

/* SL0 and SL2: the level of the root, and whether the CPU has addresses that need it. */
static const char *start_level(struct chk_regime *regime, const struct s2c_cpu *cpu, uint64_t vtcr)
{
	static const uint8_t small[] = { 1, 2, 3, 0 };
	unsigned int sl0 = (unsigned int)bits(vtcr, 7, 6);

	if (vtcr & VTCR_SL2) {
		if (regime->page_shift != SHIFT_4K || !regime->ds)
			return "VTCR_EL2.SL2 is RES0 unless the granule is 4K and VTCR_EL2.DS is 1";
		if (sl0)
			return "VTCR_EL2.SL0 is not 0b00 while VTCR_EL2.SL2 is 1: reserved";
		regime->top = 4;
		return NULL;
	}
	regime->top = (uint8_t)sl0;
	switch (regime->page_shift) {
	case SHIFT_4K:
		regime->top = small[sl0];
		if (sl0 == 2 && cpu->pa_bits < 44)
			return "VTCR_EL2.SL0 0b10 with 4K needs a CPU with 44 bits of physical "
			       "address";
		if (sl0 == 3 && !small_tables(cpu))
			return "VTCR_EL2.SL0 0b11 with 4K needs FEAT_TTST";
		break;
	case SHIFT_16K:
		if (sl0 == 2 && cpu->pa_bits < 42)
			return "VTCR_EL2.SL0 0b10 with 16K needs a CPU with 42 bits of physical "
			       "address";
		if (sl0 == 3 && !regime->ds)
			return "VTCR_EL2.SL0 0b11 with 16K is reserved unless VTCR_EL2.DS is 1";
		break;
	default:
		if (sl0 == 2 && cpu->pa_bits < 44)
			return "VTCR_EL2.SL0 0b10 with 64K needs a CPU with 44 bits of physical "
			       "address";
		if (sl0 == 3)
			return "VTCR_EL2.SL0 0b11 with 64K is reserved";
		break;
	}
	return NULL;
}

/* T0SZ: within what the CPU has, and within what the root can resolve (16 tables side by side). */
static const char *input_size(struct chk_regime *regime, const struct s2c_cpu *cpu, uint64_t vtcr,
			      uint64_t hcr)
{
	unsigned int t0sz = (unsigned int)bits(vtcr, 5, 0), ipa = 64 - t0sz;
	unsigned int most = cpu->pa_bits, smallest = 39, resolved;

	if (small_tables(cpu))
		smallest = regime->page_shift == SHIFT_64K ? 47 : 48;
	if (regime->page_shift != SHIFT_64K && !regime->ds && most > 48)
		most = 48;
	/* A guest whose EL1 is AArch32 has 40 bits on any CPU. */
	if (!(hcr & HCR_RW) && most < 40)
		most = 40;
	if (t0sz > smallest)
		return small_tables(cpu) ? "VTCR_EL2.T0SZ is larger than the granule allows"
					 : "VTCR_EL2.T0SZ is larger than 39, which needs FEAT_TTST";
	if (ipa > most)
		return "VTCR_EL2.T0SZ asks for more bits of address than the CPU has with this "
		       "granule";
	resolved = chk_shift(regime, regime->top);
	if (ipa <= resolved)
		return "VTCR_EL2.T0SZ is too large for the start level of VTCR_EL2.SL0";
	if (ipa > resolved + regime->stride + 4u)
		return "VTCR_EL2.T0SZ is too small for the start level of VTCR_EL2.SL0: more than "
		       "16 "
		       "concatenated tables";
	regime->ipa_bits = (uint8_t)ipa;
	return NULL;
}

static const char *output_size(struct chk_regime *regime, const struct s2c_cpu *cpu, uint64_t vtcr)
{
	static const uint8_t sizes[] = { 32, 36, 40, 42, 44, 48, 52, 0 };
	unsigned int size = sizes[bits(vtcr, 18, 16)];

	if (!size)
		return "VTCR_EL2.PS is 0b111: reserved without FEAT_D128";
	if (size > cpu->pa_bits)
		size = cpu->pa_bits;
	if (size > 48 && regime->page_shift != SHIFT_64K && !regime->ds)
		size = 48;
	regime->pa_bits = (uint8_t)size;
	return NULL;
}

/*
 * BADDR: A[47:1], or, if addresses have 52 bits, A[47:6] with A[51:48] in bits 5:2. The root is
 * aligned to all of its entries, concatenated tables or less than one.
 */
static const char *root(struct chk_regime *regime, uint64_t vttbr)
{
	uint64_t size = 8 * chk_entries(regime, regime->top);

	regime->root = vttbr & mask(47, 1);
	if (regime->pa_bits > 48) {
		regime->root = (vttbr & mask(47, 6)) | bits(vttbr, 5, 2) << 48;
		if (bits(vttbr, 1, 1))
			return "VTTBR_EL2 bit 1 is RES0 with addresses of 52 bits";
	}
	if (regime->root & (size - 1))
		return "VTTBR_EL2.BADDR is not a multiple of the size of the root (all of its "
		       "tables "
		       "side by side)";
	if (regime->root >> regime->pa_bits)
		return "VTTBR_EL2.BADDR is beyond the smaller of VTCR_EL2.PS and "
		       "ID_AA64MMFR0_EL1.PARange";
	return NULL;
}

/*
 * Runs of the Contiguous bit. It is RES0 in the blocks that FEAT_LPA and FEAT_LPA2 added, and a
 * root that is smaller than a run cannot hold one.
 */
static void contiguous(struct chk_regime *regime)
{
	static const uint8_t runs[][CHK_LEVELS] = { { 4, 4, 4 }, { 7, 5 }, { 5, 5 } };
	const uint8_t *run = runs[(regime->page_shift - SHIFT_4K) / 2];

	for (unsigned int level = 0; level <= regime->top; level++) {
		if (chk_entries(regime, level) >> run[level])
			regime->contiguous[level] = run[level];
	}
}

const char *chk_arm64_regime(struct chk_regime *regime, const struct s2c_cpu *cpu, uint64_t vtcr,
			     uint64_t vttbr, uint64_t hcr)
{
	uint32_t features = cpu->features;
	const char *why;

	*regime = (struct chk_regime){ .bbm = cpu->bbm };
	regime->xnx = !!(features & S2C_XNX);
	regime->fwb = features & S2C_FWB_IMPLEMENTED && hcr & HCR_FWB;
	regime->ha = features & S2C_HA_IMPL && vtcr & VTCR_HA;
	/* Dirty state is managed only where the access flag is. */
	regime->hd = regime->ha && features & S2C_HD_IMPL && vtcr & VTCR_HD;
	if (features & S2C_VMID16 && vtcr & VTCR_VS)
		regime->vmid = (uint16_t)bits(vttbr, 63, 48);
	else
		regime->vmid = (uint16_t)bits(vttbr, 55, 48);
	why = granule(regime, cpu, vtcr);
	if (!why)
		why = start_level(regime, cpu, vtcr);
	if (!why)
		why = input_size(regime, cpu, vtcr, hcr);
	if (!why)
		why = output_size(regime, cpu, vtcr);
	if (!why)
		why = root(regime, vttbr);
	if (!why)
		contiguous(regime);
	return why;
}

/* FEAT_LPA2 at stage 2: TGran4_2 and TGran16_2 say it, or 0: the same as at stage 1. */
static uint32_t lpa2(uint64_t mmfr0)
{
	uint64_t tgran4 = bits(mmfr0, 31, 28), tgran4_2 = bits(mmfr0, 43, 40);
	uint64_t tgran16 = bits(mmfr0, 23, 20), tgran16_2 = bits(mmfr0, 35, 32);
	uint32_t features = 0;

	if (tgran4_2 == 3 || (!tgran4_2 && tgran4 == 1))
		features |= S2C_LPA2_4K;
	if (tgran16_2 == 3 || (!tgran16_2 && tgran16 == 2))
		features |= S2C_LPA2_16K;
	return features;
}

struct s2c_cpu s2c_cpu_from_id(uint64_t mmfr0, uint64_t mmfr1, uint64_t mmfr2, uint64_t ctr)
{
	static const uint8_t sizes[] = { 32, 36, 40, 42, 44, 48 };
	uint64_t parange = bits(mmfr0, 3, 0), bbm = bits(mmfr2, 55, 52);
	struct s2c_cpu cpu = { .features = lpa2(mmfr0) };

	/* Fields of ID registers only grow: more than we know of is at least what we know. */
	cpu.pa_bits = parange < sizeof(sizes) ? sizes[parange] : 52;
	cpu.bbm = (uint8_t)(bbm > 2 ? 2 : bbm);
	if (bits(mmfr1, 3, 0) >= 1)
		cpu.features |= S2C_HA_IMPL;
	if (bits(mmfr1, 3, 0) >= 2)
		cpu.features |= S2C_HD_IMPL;
	if (bits(mmfr1, 7, 4) >= 2)
		cpu.features |= S2C_VMID16;
	if (bits(mmfr1, 31, 28))
		cpu.features |= S2C_XNX;
	if (bits(mmfr2, 43, 40))
		cpu.features |= S2C_FWB_IMPLEMENTED;
	if (bits(mmfr2, 51, 48))
		cpu.features |= S2C_TTL;
	if (bits(ctr, 28, 28))
		cpu.features |= S2C_IDC;
	if (bits(ctr, 29, 29))
		cpu.features |= S2C_DIC;
	return cpu;
}
