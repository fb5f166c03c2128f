/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a hypervisor for Arm needs beside the tree: register values and the meaning of syndromes.
 * Pure functions; any context. DDI 0487 (Arm ARM) describes the registers under their names.
 */
#ifndef STAGE2_ARM64_H
#define STAGE2_ARM64_H

#include <stage2/vm.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * VTCR_EL2 for this tree; walks are inner shareable, write-back. VS (16-bit VMIDs) is
 * clear: add bit 19 if you use them.
 */
uint64_t s2_arm64_vtcr(const struct s2_pt *pt);
/* VTTBR_EL2 for this tree, its root and vmid (8 or 16 bits). */
uint64_t s2_arm64_vttbr(const struct s2_pt *pt, uint16_t vmid);

/* The access behind a data abort, for emulation; valid only if `isv`. */
struct s2_arm64_mmio {
	uint8_t isv;         /* the syndrome describes the instruction; else decode it yourself */
	uint8_t bytes;       /* 1, 2, 4, 8 */
	uint8_t reg;         /* Xt; 31 is the zero register */
	uint8_t sign_extend; /* loads */
	uint8_t wide;        /* the register is X, not W */
	uint8_t write;
	uint8_t pad[2];
};

/*
 * Reads ESR_EL2, HPFAR_EL2 and FAR_EL2 of an abort from a lower EL. Returns 0 and fills in both
 * (mmio may be NULL); S2_EINVAL if this abort is none that stage 2 caused: not a translation,
 * permission or access-flag fault nor a TLB conflict (external abort, address size, ...).
 *
 * A permission fault on a walk of the guest's tables (S1PTW) counts as a write whatever WnR says:
 * reading is always permitted, so hardware must have tried to update the guest's own access or
 * dirty flags. fault->user is left 0: it is in SPSR_EL2, and matters with S2_CPU_XNX only; and
 * fault->view S2_VIEW_ANY.
 */
S2_MUST_CHECK int s2_arm64_decode_abort(uint64_t esr, uint64_t hpfar, uint64_t far,
					struct s2_fault *fault, struct s2_arm64_mmio *mmio);

#ifdef __cplusplus
}
#endif
#endif
