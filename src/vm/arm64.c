/* SPDX-License-Identifier: BSD-2-Clause */
/* Arm: registers for a tree, and what an abort means. Fields as DDI 0487 has them under these
 * registers. */
#include <stage2/arm64.h>

#include "internal.h"

#define VTCR_RES1      (1ull << 31)
#define VTCR_HA        (1ull << 21)
#define VTCR_PS_SHIFT  16
#define VTCR_TG0_SHIFT 14
#define VTCR_SH0_INNER (3ull << 12)
#define VTCR_ORGN0_WBA (1ull << 10)
#define VTCR_IRGN0_WBA (1ull << 8)
#define VTCR_SL0_SHIFT 6

#define ESR_EC_SHIFT     26
#define ESR_EC_IABT      0x20
#define ESR_ISV          (1ull << 24)
#define ESR_SAS          22
#define ESR_SSE          (1ull << 21)
#define ESR_SRT          16
#define ESR_SF           (1ull << 15)
#define ESR_CM           (1ull << 8)
#define ESR_S1PTW        (1ull << 7)
#define ESR_WNR          (1ull << 6)
#define ESR_FSC          0x3f
#define ESR_FSC_CONFLICT 0x30

/* DFSC and IFSC without the level: 1 translation, 2 access flag, 3 permission; as our kinds. */
#define ESR_FSC_PERMISSION 3
#define ESR_FSC_KINDS      (S2_FAULT_TRANSLATION << 2 | S2_FAULT_ACCESS << 4 | S2_FAULT_PERMISSION << 6)

uint64_t s2_arm64_vtcr(const struct s2_pt *pt)
{
	static const struct {
		uint8_t bits, ps;
	} sizes[] = { { 32, 0 }, { 36, 1 }, { 40, 2 }, { 42, 3 }, { 44, 4 }, { 48, 5 } };
	uint64_t vtcr = VTCR_RES1 | VTCR_SH0_INNER | VTCR_ORGN0_WBA | VTCR_IRGN0_WBA, ps = 0;
	/* SL0 counts table levels up from a base that depends on the granule (VTCR_EL2.SL0). */
	uint64_t sl0 = pt->page_shift == 12 ? pt->root_level - 1u : pt->root_level;
	uint64_t tg0 = pt->page_shift == 12 ? 0 : pt->page_shift == 16 ? 1 : 2;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (sizes[i].bits <= pt->cpu.pa_bits)
			ps = sizes[i].ps;
	if (pt->cpu.features & S2_CPU_HA)
		vtcr |= VTCR_HA;
	return vtcr | ps << VTCR_PS_SHIFT | tg0 << VTCR_TG0_SHIFT | sl0 << VTCR_SL0_SHIFT |
	       (64u - pt->ipa_bits);
}

uint64_t s2_arm64_vttbr(const struct s2_pt *pt, uint16_t vmid)
{
	return ((uint64_t)(uintptr_t)pt->root - pt->port->table_offset) | (uint64_t)vmid << 48;
}

/* What the instruction does to the device; stage 2 translated for the access itself. */
static void decode_mmio(uint64_t esr, struct s2_arm64_mmio *mmio)
{
	mmio->isv = 1;
	mmio->bytes = (uint8_t)(1u << (esr >> ESR_SAS & 3));
	mmio->sign_extend = (esr & ESR_SSE) != 0;
	mmio->reg = esr >> ESR_SRT & 31;
	mmio->wide = (esr & ESR_SF) != 0;
	mmio->write = (esr & ESR_WNR) != 0;
}

/*
 * No fault of the tables. A conflict says nothing but that it is one (HPFAR_EL2 is UNKNOWN). With
 * the arguments of its caller in their places, so that they need not move there.
 */
static S2_NOINLINE int decode_conflict(uint64_t esr, uint64_t hpfar, uint64_t far,
				       struct s2_fault *fault, struct s2_arm64_mmio *mmio)
{
	(void)hpfar;
	(void)far;
	if ((esr >> ESR_EC_SHIFT & 0x3b) != ESR_EC_IABT || (esr & ESR_FSC) != ESR_FSC_CONFLICT)
		return S2_EINVAL;
	*fault = (struct s2_fault){ .kind = S2_FAULT_CONFLICT };
	if (mmio)
		*mmio = (struct s2_arm64_mmio){ 0 };
	return 0;
}

int s2_arm64_decode_abort(uint64_t esr, uint64_t hpfar, uint64_t far, struct s2_fault *fault,
			  struct s2_arm64_mmio *mmio)
{
	unsigned int ec = (unsigned int)(esr >> ESR_EC_SHIFT) & 0x3f;
	unsigned int class = (unsigned int)(esr & ESR_FSC) >> 2; /* without the level */
	unsigned int walk = (unsigned int)(esr / ESR_S1PTW) & 1, data = ec / 4 & 1, access;

	if (S2_UNLIKELY((ec & ~4u) != ESR_EC_IABT || class - 1 >= 3))
		return decode_conflict(esr, hpfar, far, fault, mmio);
	if (S2_UNLIKELY(walk))
		access = class == ESR_FSC_PERMISSION ? S2_ACCESS_WRITE : S2_ACCESS_READ;
	else if (!data)
		access = S2_ACCESS_EXEC;
	else /* cache maintenance reports WnR although it needs to read only */
		access = (esr & (ESR_WNR | ESR_CM)) == ESR_WNR ? S2_ACCESS_WRITE : S2_ACCESS_READ;
	/* HPFAR_EL2.FIPA holds IPA[51:12]; the rest is the same in the virtual address. */
	fault->gpa.gpa = (hpfar & 0xffffffffff0ull) << 8 | (walk ? 0 : far & 0xfff);
	fault->access = (uint8_t)access;
	fault->kind = ESR_FSC_KINDS >> class * 2 & 3;
	fault->walk = (uint8_t)walk;
	fault->user = 0;
	fault->view = S2_VIEW_ANY;
	if (mmio) {
		*mmio = (struct s2_arm64_mmio){ 0 };
		if (data && !walk && esr & ESR_ISV)
			decode_mmio(esr, mmio);
	}
	return 0;
}
