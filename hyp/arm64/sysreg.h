/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System registers by name or, where the assembler for armv8.0 does not know them, by encoding, and
 * the bits that the hypervisor uses. DDI 0487 (Arm ARM) describes each under its name.
 * Reads are volatile: they happen where they stand.
 */
#ifndef HYP_SYSREG_H
#define HYP_SYSREG_H

#include <stdint.h>

#define sysreg_read(name)                                          \
	({                                                         \
		uint64_t value_;                                   \
		__asm__ volatile("mrs %0, " #name : "=r"(value_)); \
		value_;                                            \
	})
#define sysreg_write(name, value)                                                 \
	do {                                                                      \
		uint64_t value_ = (value);                                        \
		__asm__ volatile("msr " #name ", %0" : : "r"(value_) : "memory"); \
	} while (0)

#define isb()     __asm__ volatile("isb" : : : "memory")
#define dsb(what) __asm__ volatile("dsb " #what : : : "memory")

/* A four-bit field of an ID register. */
static inline unsigned int id_field(uint64_t value, unsigned int shift)
{
	return (unsigned int)(value >> shift) & 15;
}

#define ID_AA64ISAR0        S3_0_C0_C6_0
#define ID_AA64ISAR0_TLB    56
#define ID_AA64ISAR1        S3_0_C0_C6_1
#define ID_AA64ISAR1_APA    4
#define ID_AA64ISAR1_API    8
#define ID_AA64ISAR1_LS64   60
#define ID_AA64ISAR2        S3_0_C0_C6_2
#define ID_AA64ISAR2_APA3   12
#define ID_AA64ISAR2_MOPS   16
#define ID_AA64PFR0         S3_0_C0_C4_0
#define ID_AA64PFR0_GIC     24
#define ID_AA64PFR0_SVE     32
#define ID_AA64PFR0_MPAM    40
#define ID_AA64PFR0_CSV2    56
#define ID_AA64PFR1         S3_0_C0_C4_1
#define ID_AA64PFR1_SSBS    4
#define ID_AA64PFR1_MTE     8
#define ID_AA64PFR1_SME     24
#define ID_AA64PFR1_NMI     36
#define ID_AA64SMFR0        S3_0_C0_C4_5
#define ID_AA64DFR0         S3_0_C0_C5_0
#define ID_AA64DFR0_PMU     8
#define ID_AA64DFR0_SPE     32
#define ID_AA64DFR0_TRACE   40
#define ID_AA64DFR0_TRBE    44
#define ID_AA64MMFR0        S3_0_C0_C7_0
#define ID_AA64MMFR0_PA     0
#define ID_AA64MMFR0_FGT    56
#define ID_AA64MMFR1        S3_0_C0_C7_1
#define ID_AA64MMFR1_HAFDBS 0
#define ID_AA64MMFR1_VH     8
#define ID_AA64MMFR1_PAN    20
#define ID_AA64MMFR1_XNX    28
#define ID_AA64MMFR1_HCX    40
#define ID_AA64MMFR2        S3_0_C0_C7_2
#define ID_AA64MMFR2_FWB    40
#define ID_AA64MMFR2_TTL    48
#define ID_AA64MMFR2_BBM    52

#define HCR_VM     (1ull << 0)
#define HCR_SWIO   (1ull << 1)
#define HCR_PTW    (1ull << 2)
#define HCR_TWI    (1ull << 13)
#define HCR_TSC    (1ull << 19)
#define HCR_TIDCP  (1ull << 20)
#define HCR_TVM    (1ull << 26)
#define HCR_RW     (1ull << 31)
#define HCR_APK    (1ull << 40)
#define HCR_API    (1ull << 41)
#define HCR_FWB    (1ull << 46)
#define HCR_ENSCXT (1ull << 53)
#define HCR_ATA    (1ull << 56)

#define HCRX_ENAS0 (1ull << 0)
#define HCRX_ENALS (1ull << 1)
#define HCRX_ENASR (1ull << 2)
#define HCRX_MSCEN (1ull << 11)

#define CPTR_RES1 0x22ffull
#define CPTR_TZ   (1ull << 8)
#define CPTR_TSM  (1ull << 12)

#define MDCR_E2PB_EL1 (3ull << 12)
#define MDCR_E2TB_EL1 (3ull << 24)

/* Registers that armv8.0 assemblers do not name. */
#define ZCR_EL2      S3_4_C1_C2_0
#define TRFCR_EL2    S3_4_C1_C2_1
#define HCRX_EL2     S3_4_C1_C2_2
#define SMPRIMAP_EL2 S3_4_C1_C2_5
#define SMCR_EL2     S3_4_C1_C2_6
#define SMIDR_EL1    S3_1_C0_C0_6
#define HFGRTR_EL2   S3_4_C1_C1_4
#define HFGWTR_EL2   S3_4_C1_C1_5
#define HFGITR_EL2   S3_4_C1_C1_6
#define HDFGRTR_EL2  S3_4_C3_C1_4
#define HDFGWTR_EL2  S3_4_C3_C1_5
#define PMSCR_EL2    S3_4_C9_C9_0
#define MPAM2_EL2    S3_4_C10_C5_0
#define ICC_SRE_EL2  S3_4_C12_C9_5
#define ICH_HCR_EL2  S3_4_C12_C11_0
#define CNTHV_CTL    S3_4_C14_C3_1

/* The macros above stand for a name inside an instruction: expand first, then turn to text. */
#define id_read(name)          sysreg_read(name)
#define reg_write(name, value) sysreg_write(name, value)

/* SPSR_ELx (C5.2.19), as far as an exception into EL1 needs it. */
#define PSR_EL1H    0x5ull
#define PSR_MODE    0x1full
#define PSR_AARCH32 (1ull << 4)
#define PSR_DAIF    0x3c0ull
#define PSR_SSBS    (1ull << 12)
#define PSR_ALLINT  (1ull << 13)
#define PSR_BTYPE   (3ull << 10)
#define PSR_SS      (1ull << 21)
#define PSR_PAN     (1ull << 22)
#define PSR_DIT     (1ull << 24)
#define PSR_DIT_A32 (1ull << 21)
#define PSR_TCO     (1ull << 25)
#define PSR_NZCV    (15ull << 28)

#define SCTLR_EL1_SPAN      (1ull << 23)
#define SCTLR_EL1_DSSBS     (1ull << 44)
#define SCTLR_EL1_SPINTMASK (1ull << 62)
#define SCTLR_EL1_RESET     0x30d00800ull /* RES1 of armv8.0; MMU and caches off */

/* ESR_ELx */
#define ESR_EC(esr)      ((unsigned int)((esr) >> 26) & 0x3f)
#define ESR_IL           (1ull << 25)
#define ESR_FSC(esr)     ((unsigned int)(esr)&0x3f)
#define ESR_WNR          (1ull << 6)
#define ESR_S1PTW        (1ull << 7)
#define ESR_CM           (1ull << 8)
#define EC_UNKNOWN       0x00
#define EC_WFX           0x01
#define EC_HVC64         0x16
#define EC_SMC64         0x17
#define EC_SYSREG        0x18
#define EC_INSN_LOWER    0x20
#define EC_INSN_SAME     0x21
#define EC_DATA_LOWER    0x24
#define EC_DATA_SAME     0x25
#define FSC_EXTERNAL     0x10
#define FSC_EXT_WALK     0x14 /* + level of the guest's table */
#define FSC_TLB_CONFLICT 0x30

/* ISS of a trapped MSR or MRS: its encoding Sop0_op1_Ccrn_Ccrm_op2, register, direction. */
#define ESR_SYS(op0, op1, crn, crm, op2) \
	((op0) << 20 | (op2) << 17 | (op1) << 14 | (crn) << 10 | (crm) << 1)
#define ESR_SYS_MASK    ESR_SYS(3u, 7u, 15u, 15u, 7u)
#define ESR_SYS_RT(esr) ((unsigned int)((esr) >> 5) & 31)
#define ESR_SYS_READ    (1ull << 0)

#endif
