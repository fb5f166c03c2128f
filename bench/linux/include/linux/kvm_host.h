/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM on arm64, as far as its table code sees it: a host with 4K pages and VHE, where the functions
 * of the hypervisor are called directly, on a CPU with 48 bits of address and FWB.
 *
 * The two invalidations of stage 2 count what KVM issues for them, which is what DDI 0487 asks for
 * (chapter D8, TLB maintenance). The change of VMID around them is neither done nor counted, here
 * as in our port.
 */
#ifndef BENCH_LINUX_KVM_HOST_H
#define BENCH_LINUX_KVM_HOST_H

#include <asm/barrier.h>
#include <linux/atomic.h>
#include <linux/bitfield.h>
#include <linux/kernel.h>
#include <linux/mm.h>

#define PTRS_PER_PTE                    (1 << (PAGE_SHIFT - 3))
#define ARM64_HW_PGTABLE_LEVELS(bits)   (((bits)-4) / (PAGE_SHIFT - 3))
#define ARM64_HW_PGTABLE_LEVEL_SHIFT(n) ((PAGE_SHIFT - 3) * (4 - (n)) + 3)

/* VTCR_EL2, of 4K granules: tables are inner shareable and write-back, as all of memory. */
#define VTCR_EL2_T0SZ(bits)     (64ull - (bits))
#define VTCR_EL2_IPA(vtcr)      (64 - ((vtcr)&0x3f))
#define VTCR_EL2_SL0_MASK       GENMASK(7, 6)
#define VTCR_EL2_TGRAN_SL0_BASE 2ul
#define VTCR_EL2_LVLS_TO_SL0(levels) \
	FIELD_PREP(VTCR_EL2_SL0_MASK, VTCR_EL2_TGRAN_SL0_BASE - (4 - (levels)))
#define VTCR_EL2_FLAGS    (BIT(31) | 3ul << 12 | 1ul << 10 | 1ul << 8)
#define VTCR_EL2_PS_SHIFT 16
#define VTCR_EL2_VS_8BIT  0ul
#define VTCR_EL2_VS_16BIT BIT(19)

/* ID_AA64MMFR0_EL1.PARange and ID_AA64MMFR1_EL1.VMIDBits. */
#define ID_AA64MMFR0_EL1_PARANGE_SHIFT 0
#define ID_AA64MMFR0_EL1_PARANGE_MAX   5 /* 48 bits */

#define cpuid_feature_extract_unsigned_field(reg, shift) ((unsigned int)((reg) >> (shift)&15))
#define get_vmid_bits(mmfr1)                             (((mmfr1) >> 4 & 15) == 2 ? 16 : 8)

static inline u32 id_aa64mmfr0_parange_to_phys_shift(int parange)
{
	static const u8 bits[] = { 32, 36, 40, 42, 44, 48 };

	return bits[parange];
}

/* A kernel patches its code for the CPU it boots on: to it, too, this is a constant. */
#define ARM64_HAS_STAGE2_FWB            1
#define cpus_have_const_cap(capability) ((capability) == ARM64_HAS_STAGE2_FWB)

/* Memory types: of stage 1 an index into MAIR, of stage 2 without and with FWB the type itself. */
#define MT_NORMAL                  0
#define MT_DEVICE_nGnRE            4
#define MT_S2_NORMAL               15
#define MT_S2_DEVICE_nGnRE         1
#define MT_S2_FWB_NORMAL           6
#define MT_S2_FWB_DEVICE_nGnRE     1
#define PAGE_S2_MEMATTR(type, fwb) ((u64)((fwb) ? MT_S2_FWB_##type : MT_S2_##type) << 2)

/* EL2's own stage 1, which stands in the same file and is not measured. */
#define __TLBI_VADDR(address, asid)      (address)
#define __tlbi_level(op, address, level) BUG()
#define __tlbi_sync_s1ish_hyp()          BUG()

struct kvm_pgtable;

struct kvm_arch {
	u64 vtcr;
};

struct kvm_s2_mmu {
	struct kvm_pgtable *pgt;
	struct kvm_arch *arch;
};

#define kvm_call_hyp(function, ...) function(__VA_ARGS__)

static inline void __kvm_tlb_flush_vmid_ipa(struct kvm_s2_mmu *mmu, phys_addr_t ipa, int level)
{
	(void)mmu;
	(void)level;
	dsb(ishst);
	insn_tlbi_ipa(0, ipa >> 12);
	dsb(ish);
	insn_tlbi_vmalle1(0);
	dsb(ish);
	isb();
}

static inline void __kvm_tlb_flush_vmid(struct kvm_s2_mmu *mmu)
{
	(void)mmu;
	dsb(ishst);
	insn_tlbi_vmalls12(0);
	dsb(ish);
	isb();
}

#endif
