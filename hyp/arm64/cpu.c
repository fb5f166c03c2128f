// SPDX-License-Identifier: BSD-2-Clause
/*
 * A CPU's registers: what it can do, every EL2 control that governs the guest, the state in which a
 * guest starts. Nothing is assumed about reset values: where a register exists it is written.
 *
 * Policy: the guest is alone on its CPUs and gets all of them, so nothing is trapped that it could
 * not damage the hypervisor with. Trapped are SMC (PSCI goes through psci.c) and the registers
 * that a vendor may define as he likes (TIDCP). Walks of the guest's tables in device memory fault
 * (PTW): a speculative walk must not read a device. Set/way invalidation is turned into cleaning
 * (SWIO), or the guest could throw away dirty lines of the hypervisor. Interrupts go to the guest
 * and are never taken at EL2.
 */
#include "hyp.h"
#include "sysreg.h"
#include "tracing.h"

#include <insn.h>

_Static_assert(sizeof(struct hyp_frame) == FRAME_SIZE, "asm.h");
_Static_assert(offsetof(struct hyp_dump, sp) == DUMP_SP, "asm.h");
_Static_assert(offsetof(struct hyp_dump, vector) == DUMP_VECTOR, "asm.h");
_Static_assert(sizeof(struct hyp_dump) == DUMP_SIZE, "asm.h");
_Static_assert(offsetof(struct hyp_cpu, stack) == CPU_STACK, "asm.h");
_Static_assert(offsetof(struct hyp_cpu, crash) == CPU_CRASH, "asm.h");
_Static_assert(HYP_MAX_CPUS == 8, "vectors.S reserves 8 stacks");

struct hyp_cpu hyp_cpus[HYP_MAX_CPUS];

/* Runs with the MMU off, before anything else in C; returns the boot CPU's structure. */
struct hyp_cpu *cpu_prepare(void)
{
	extern char __stacks[];

	for (uint32_t i = 0; i < HYP_MAX_CPUS; i++) {
		uint64_t base = (uint64_t)__stacks + i * (uint64_t)STACKS_SIZE;

		hyp_cpus[i].index = i;
		hyp_cpus[i].percpu = &hyp_report->percpu[i];
		hyp_cpus[i].walker = &hyp_report->percpu[i].walker;
		hyp_cpus[i].crash = base + GUARD_SIZE + CRASH_SIZE;
		hyp_cpus[i].stack = base + STACKS_SIZE;
	}
	return &hyp_cpus[0];
}

void cpu_features(struct s2_cpu *cpu)
{
	static const uint8_t pa_bits[] = { 32, 36, 40, 42, 44, 48, 52, 56 };
	uint64_t mmfr1 = id_read(ID_AA64MMFR1);
	uint64_t mmfr2 = id_read(ID_AA64MMFR2);
	unsigned int pa = id_field(id_read(ID_AA64MMFR0), ID_AA64MMFR0_PA);
	uint32_t features = 0;
	uint64_t bbm;

	if (id_field(mmfr2, ID_AA64MMFR2_FWB))
		features |= S2_CPU_FWB;
	if (sysreg_read(ctr_el0) & 1ull << 29)
		features |= S2_CPU_DIC;
	if (id_field(id_read(ID_AA64ISAR0), ID_AA64ISAR0_TLB) >= 2)
		features |= S2_CPU_TLB_RANGE;
	if (id_field(mmfr2, ID_AA64MMFR2_TTL))
		features |= S2_CPU_TLB_LEVEL;
	if (id_field(mmfr1, ID_AA64MMFR1_XNX))
		features |= S2_CPU_XNX;
	if (id_field(mmfr1, ID_AA64MMFR1_HAFDBS))
		features |= S2_CPU_HA;
	cpu->features = features;
	bbm = id_field(mmfr2, ID_AA64MMFR2_BBM);
	cpu->bbm = bbm > 2 ? 2 : (uint8_t)bbm;
	/* Beyond 48 bits descriptors look different (LPA2), which these tables do not use. */
	cpu->pa_bits = pa > 4 ? 48 : pa_bits[pa];
}

static uint64_t hcr_value(void)
{
	uint64_t isar1 = id_read(ID_AA64ISAR1);
	uint64_t isar2 = id_read(ID_AA64ISAR2);
	uint64_t hcr = HCR_RW | HCR_VM | HCR_SWIO | HCR_PTW | HCR_TSC | HCR_TIDCP;

	if (id_field(isar1, ID_AA64ISAR1_APA) || id_field(isar1, ID_AA64ISAR1_API) ||
	    id_field(isar2, ID_AA64ISAR2_APA3))
		hcr |= HCR_API | HCR_APK;
	if (id_field(id_read(ID_AA64PFR1), ID_AA64PFR1_MTE) >= 2)
		hcr |= HCR_ATA;
	if (id_field(id_read(ID_AA64PFR0), ID_AA64PFR0_CSV2) >= 2)
		hcr |= HCR_ENSCXT;
	if (id_field(id_read(ID_AA64MMFR2), ID_AA64MMFR2_FWB))
		hcr |= HCR_FWB;
	/* When the guest sleeps, and when it changes tasks, it is time to look at its memory. */
	if (hyp_guest.tail)
		hcr |= HCR_TWI | HCR_TVM;
	return hcr;
}

/* Extensions of the trap controls: with these bits clear they would take features away. */
static void setup_fine_traps(void)
{
	uint64_t mmfr0 = id_read(ID_AA64MMFR0);

	if (id_field(id_read(ID_AA64MMFR1), ID_AA64MMFR1_HCX)) {
		uint64_t hcrx = 0;

		if (id_field(id_read(ID_AA64ISAR1), ID_AA64ISAR1_LS64))
			hcrx |= HCRX_ENALS | HCRX_ENASR | HCRX_ENAS0;
		if (id_field(id_read(ID_AA64ISAR2), ID_AA64ISAR2_MOPS))
			hcrx |= HCRX_MSCEN;
		reg_write(HCRX_EL2, hcrx);
	}
	if (id_field(mmfr0, ID_AA64MMFR0_FGT)) {
		/* From bit 50 up these two say "do not trap"; bits of absent features are RES0. */
		reg_write(HFGRTR_EL2, 0xfffcull << 48);
		reg_write(HFGWTR_EL2, 0xfffcull << 48);
		reg_write(HFGITR_EL2, 0);
		reg_write(HDFGRTR_EL2, 0);
		reg_write(HDFGWTR_EL2, 0);
	}
}

/* FP, SVE, SME: nothing trapped, the greatest vector length. ZCR needs CPTR in effect first. */
static void setup_vectors(void)
{
	unsigned int sve = id_field(id_read(ID_AA64PFR0), ID_AA64PFR0_SVE);
	unsigned int sme = id_field(id_read(ID_AA64PFR1), ID_AA64PFR1_SME);
	uint64_t smfr0;

	sysreg_write(cptr_el2, CPTR_RES1 | (sve ? 0 : CPTR_TZ) | (sme ? 0 : CPTR_TSM));
	isb();
	if (sve)
		reg_write(ZCR_EL2, 0x1ff);
	if (!sme)
		return;
	smfr0 = id_read(ID_AA64SMFR0);
	/* LEN; FA64 (bit 31) and EZT0 (bit 30) where they exist. */
	reg_write(SMCR_EL2, 0x1ff | (smfr0 >> 63) << 31 | (sme >= 2 ? 1ull << 30 : 0));
	if (id_read(SMIDR_EL1) & 1ull << 15)
		reg_write(SMPRIMAP_EL2, 0);
}

static void setup_timer(void)
{
	sysreg_write(cnthctl_el2, 3); /* EL1PCTEN, EL1PCEN: the physical timer is the guest's */
	sysreg_write(cntvoff_el2, 0);
	sysreg_write(cnthp_ctl_el2, 0);
	if (id_field(id_read(ID_AA64MMFR1), ID_AA64MMFR1_VH))
		reg_write(CNTHV_CTL, 0);
}

/* Debug, PMU, trace and profiling belong to the guest. */
static void setup_debug(void)
{
	uint64_t dfr0 = id_read(ID_AA64DFR0);
	unsigned int pmu = id_field(dfr0, ID_AA64DFR0_PMU);
	uint64_t mdcr = 0;

	if (pmu && pmu != 15)
		mdcr |= sysreg_read(pmcr_el0) >> 11 & 31; /* HPMN = N */
	if (id_field(dfr0, ID_AA64DFR0_SPE)) {
		mdcr |= MDCR_E2PB_EL1;
		reg_write(PMSCR_EL2, 0);
	}
	if (id_field(dfr0, ID_AA64DFR0_TRBE))
		mdcr |= MDCR_E2TB_EL1;
	if (id_field(dfr0, ID_AA64DFR0_TRACE))
		reg_write(TRFCR_EL2, 0);
	sysreg_write(mdcr_el2, mdcr);
}

static void setup_gic(void)
{
	/* The system registers exist only with a GICv3; a GICv2 is all memory. */
	if (!id_field(id_read(ID_AA64PFR0), ID_AA64PFR0_GIC))
		return;
	reg_write(ICC_SRE_EL2, 0xf); /* SRE, DFB, DIB, Enable: EL1 may use them */
	isb();
	reg_write(ICH_HCR_EL2,
		  0); /* no virtual interrupts: the physical interface is the guest's */
}

/* What the architecture leaves unknown at EL1 and a guest may take for reset. */
static void setup_guest_state(void)
{
	sysreg_write(sctlr_el1, SCTLR_EL1_RESET);
	sysreg_write(cpacr_el1, 0);
	sysreg_write(cntkctl_el1, 0);
	sysreg_write(mdscr_el1, 0);
	sysreg_write(vbar_el1, 0);
	sysreg_write(cntp_ctl_el0, 0);
	sysreg_write(cntv_ctl_el0, 0);
}

void cpu_setup(void)
{
	struct s2_pt *pt = &hyp_guest.vm.pt;

	insn_write_hcr(hcr_value());
	insn_isb();
	setup_fine_traps();
	setup_vectors();
	setup_timer();
	setup_debug();
	setup_gic();
	if (id_field(id_read(ID_AA64PFR0), ID_AA64PFR0_MPAM))
		reg_write(MPAM2_EL2, 0);
	sysreg_write(hstr_el2, 0);
	sysreg_write(hacr_el2, 0);
	sysreg_write(vpidr_el2, sysreg_read(midr_el1));
	sysreg_write(vmpidr_el2, sysreg_read(mpidr_el1));
	insn_write_vtcr(s2_arm64_vtcr(pt));
	insn_write_vttbr(hyp_guest.port.vttbr);
	setup_guest_state();
	insn_isb();
	/* Whatever an earlier stage of boot left under our VMID. */
	insn_tlbi_vmalls12(INSN_LOCAL);
	insn_dsb(INSN_NSH);
	insn_isb();
}

_Noreturn void guest_enter(struct hyp_frame *frame);

void cpu_enter(struct hyp_cpu *cpu, uint64_t pc, uint64_t x0)
{
	struct hyp_frame *frame = cpu_frame(cpu);
	struct hyp_frame start = { .x = { x0 } };

	cpu->vm = &hyp_guest.vm;
	cpu->ram_base = hyp_guest.ram_base;
	cpu->ram_size = hyp_guest.ram_size;
	if (cpu->log == cpu->log_end)
		report_draw(cpu);
	sysreg_write(elr_el2, pc);
	sysreg_write(spsr_el2, PSR_EL1H | PSR_DAIF);
	/* This function's own stack is below the frame: head.S left room for it. */
	*frame = start;
	tracing_run();
	guest_enter(frame);
}

void cpu_park(void)
{
	for (;;)
		__asm__ volatile("wfi");
}
