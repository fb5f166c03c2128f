// SPDX-License-Identifier: BSD-2-Clause
/*
 * Decodes A64 instructions, as far as the checker cares: pure functions over the opcode, from the
 * encoding tables of the Arm ARM (chapter C4; system instructions: D24 and C5).
 *
 * Instructions of AArch32 are not told from those of AArch64. Only guests and programs of a host
 * can be AArch32 here, and of those no system instruction counts.
 */
#include "insn.h"

#include "stage2check.h"

/* CRn, CRm and op2 of a system instruction or register, in the places of the opcode. */
#define SYS(op1, crn, crm, op2) ((op1) << 16 | (crn) << 12 | (crm) << 8 | (op2) << 5)
#define SYS_MASK                SYS(7, 15, 15, 7)
#define SYS_CRN(code)           (((code) >> 12) & 15)

#define MATCH(code, mask, value) (((code) & (mask)) == (value))

struct code {
	uint32_t sys;
	uint8_t op;
};

static const struct code sysregs[] = {
	{ SYS(4u, 2u, 1u, 0u), S2C_VTTBR_EL2 },
	{ SYS(4u, 2u, 1u, 2u), S2C_VTCR_EL2 },
	{ SYS(4u, 1u, 1u, 0u), S2C_HCR_EL2 },
};

/* With CRn 8; the nXS forms are the same with CRn 9. */
static const struct code tlbis[] = {
	{ SYS(4u, 8u, 4u, 1u), S2C_IPAS2E1 },      { SYS(4u, 8u, 0u, 1u), S2C_IPAS2E1IS },
	{ SYS(4u, 8u, 4u, 0u), S2C_IPAS2E1OS },    { SYS(4u, 8u, 4u, 5u), S2C_IPAS2LE1 },
	{ SYS(4u, 8u, 0u, 5u), S2C_IPAS2LE1IS },   { SYS(4u, 8u, 4u, 4u), S2C_IPAS2LE1OS },
	{ SYS(4u, 8u, 4u, 2u), S2C_RIPAS2E1 },     { SYS(4u, 8u, 0u, 2u), S2C_RIPAS2E1IS },
	{ SYS(4u, 8u, 4u, 3u), S2C_RIPAS2E1OS },   { SYS(4u, 8u, 4u, 6u), S2C_RIPAS2LE1 },
	{ SYS(4u, 8u, 0u, 6u), S2C_RIPAS2LE1IS },  { SYS(4u, 8u, 4u, 7u), S2C_RIPAS2LE1OS },
	{ SYS(0u, 8u, 7u, 0u), S2C_VMALLE1 },      { SYS(0u, 8u, 3u, 0u), S2C_VMALLE1IS },
	{ SYS(0u, 8u, 1u, 0u), S2C_VMALLE1OS },    { SYS(4u, 8u, 7u, 6u), S2C_VMALLS12E1 },
	{ SYS(4u, 8u, 3u, 6u), S2C_VMALLS12E1IS }, { SYS(4u, 8u, 1u, 6u), S2C_VMALLS12E1OS },
	{ SYS(4u, 8u, 7u, 4u), S2C_ALLE1 },        { SYS(4u, 8u, 3u, 4u), S2C_ALLE1IS },
	{ SYS(4u, 8u, 1u, 4u), S2C_ALLE1OS },
};

/* To the point of persistence is beyond the point of coherency; tags of MTE go with the data. */
static const struct code dcs[] = {
	{ SYS(3u, 7u, 4u, 1u), S2C_ZVA },    { SYS(3u, 7u, 4u, 4u), S2C_ZVA },
	{ SYS(3u, 7u, 10u, 1u), S2C_CVAC },  { SYS(3u, 7u, 10u, 5u), S2C_CVAC },
	{ SYS(3u, 7u, 12u, 1u), S2C_CVAC },  { SYS(3u, 7u, 12u, 5u), S2C_CVAC },
	{ SYS(3u, 7u, 13u, 1u), S2C_CVAC },  { SYS(3u, 7u, 13u, 5u), S2C_CVAC },
	{ SYS(3u, 7u, 11u, 1u), S2C_CVAU },  { SYS(3u, 7u, 14u, 1u), S2C_CIVAC },
	{ SYS(3u, 7u, 14u, 5u), S2C_CIVAC }, { SYS(0u, 7u, 6u, 1u), S2C_IVAC },
	{ SYS(0u, 7u, 6u, 6u), S2C_IVAC },
};

static const struct code ics[] = {
	{ SYS(0u, 7u, 1u, 0u), INSN_IC_ALL },
	{ SYS(0u, 7u, 5u, 0u), INSN_IC_ALL },
	{ SYS(3u, 7u, 5u, 1u), 0 },
};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static int find(const struct code *codes, size_t n, uint32_t sys)
{
	for (size_t i = 0; i < n; i++)
		if (codes[i].sys == sys)
			return codes[i].op;
	return -1;
}

static void set(struct insn *insn, enum insn_kind kind, int op)
{
	if (op < 0)
		return;
	insn->kind = (uint8_t)kind;
	insn->op = (uint8_t)op;
}

/* SYS: TLBI, DC, IC. */
static void decode_sys(struct insn *insn, uint32_t code)
{
	uint32_t sys = code & SYS_MASK;
	int op;

	if (SYS_CRN(code) == 7) {
		set(insn, INSN_DC, find(dcs, LENGTH(dcs), sys));
		set(insn, INSN_IC, find(ics, LENGTH(ics), sys));
	} else if (SYS_CRN(code) == 8 || SYS_CRN(code) == 9) {
		op = find(tlbis, LENGTH(tlbis),
			  (sys & ~SYS(0u, 15u, 0u, 0u)) | SYS(0u, 8u, 0u, 0u));
		/* EL2's own: a hypervisor may take them for stage 2's, and a report will name them.
		 */
		if (op < 0 && MATCH(sys, SYS(7u, 0u, 0u, 0u), SYS(4u, 0u, 0u, 0u)))
			op = S2C_TLBI_OTHER;
		set(insn, INSN_TLBI, op);
	}
}

/* CRm of DSB and DMB. The reserved values are the full system's. */
static uint8_t barrier(uint32_t code)
{
	static const uint8_t ops[16] = {
		S2C_SY, S2C_OSHLD, S2C_OSHST, S2C_OSH, S2C_SY, S2C_NSHLD, S2C_NSHST, S2C_NSH,
		S2C_SY, S2C_ISHLD, S2C_ISHST, S2C_ISH, S2C_SY, S2C_LD,    S2C_ST,    S2C_SY,
	};

	return ops[(code >> 8) & 15];
}

static void decode_barrier(struct insn *insn, uint32_t code)
{
	static const uint8_t nxs[4] = { S2C_OSH, S2C_NSH, S2C_ISH, S2C_SY };
	uint32_t crm = (code >> 8) & 15;

	switch (code & 0xe0) {
	case 0x20: /* DSB nXS; the same bits otherwise are no barrier */
		if ((crm & 3) == 2)
			set(insn, INSN_DSB, nxs[crm >> 2]);
		break;
	case 0x80: /* CRm 0 and 4 are SSBB and PSSBB */
		if (crm != 0 && crm != 4)
			set(insn, INSN_DSB, barrier(code));
		break;
	case 0xa0:
		set(insn, INSN_DMB, barrier(code));
		break;
	case 0xc0:
		set(insn, INSN_ISB, S2C_SY);
		break;
	}
}

/* Loads and stores: exclusive, compare-and-swap, atomic; with release or without. */
static uint8_t store_flags(uint32_t code)
{
	uint32_t o2 = code & 1u << 23, l = code & 1u << 22, o1 = code & 1u << 21;
	uint32_t o0 = code & 1u << 15;

	if (MATCH(code, 0x3f000000, 0x08000000)) {
		if (o2 && !o1) /* STLR, STLLR; loads have no stores */
			return S2C_RELEASE;
		if (!o1 && l)
			return 0;
		return (uint8_t)(S2C_ATOMIC | (o0 ? S2C_RELEASE : 0));
	}
	/* LDADD and its like, SWP; and those of 128 bits, which have the bits in the same places.
	 */
	if (MATCH(code, 0x3b200c00, 0x38200000) || MATCH(code, 0xff200c00, 0x19200000))
		return (uint8_t)(S2C_ATOMIC | (l ? S2C_RELEASE : 0));
	/* STLUR; STLR with write-back and STILP */
	if (MATCH(code, 0x3fe00c00, 0x19000000) || MATCH(code, 0x3f600c00, 0x19000800))
		return S2C_RELEASE;
	return 0;
}

struct insn insn_decode(uint32_t code)
{
	struct insn insn = { .kind = INSN_OTHER };

	insn.rt = code & 31;
	insn.rn = (code >> 5) & 31;
	if (MATCH(code, 0x0a000000, 0x08000000)) {
		insn.flags = store_flags(code);
		if (MATCH(code, 0xfb200c00, 0x19000400))
			set(&insn, INSN_MOPS, 0);
	} else if (MATCH(code, 0xfff80000, 0xd5080000)) {
		decode_sys(&insn, code);
	} else if (MATCH(code, 0xfff80000, 0xd5180000)) {
		set(&insn, INSN_SYSREG, find(sysregs, LENGTH(sysregs), code & SYS_MASK));
	} else if (MATCH(code, 0xfffff01f, 0xd503301f)) {
		decode_barrier(&insn, code);
	} else if (code == 0xd69f03e0 || code == 0xd69f0bff || code == 0xd69f0fff) {
		set(&insn, INSN_ERET, 0);
	}
	return insn;
}
