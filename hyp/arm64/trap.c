// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the guest does that comes to EL2: stage-2 aborts, calls, trapped registers.
 *
 * An abort goes to the engine; what the engine maps is run again, what it does not know goes to
 * the test devices if there are any, else back to the guest as an external abort.
 *
 * Concurrency: CPUs handle their exits independently, each with its own frame and walker; all that
 * they share is the engine, which is made for it, and counters.
 *
 * No guest may keep the hypervisor busy for ever: an exit that comes again and again from the same
 * instruction with the same syndrome and address, with no other exit between, ends the run. An
 * abort that was given to the guest does not come back that way unless its vector cannot be
 * reached. A mapping may be taken away again by another CPU just as often as this one uses it, so
 * the limit is much higher where the exit was served.
 */
#include "hyp.h"
#include "sysreg.h"
#include "testdev.h"
#include "tracing.h"

#include <insn.h>

#define REPEAT_ABORT  1000
#define REPEAT_SERVED 1000000

#define TEST_CALL_FIRST 0xc6000000u
#define TEST_CALL_LAST  0xc600ffffu

static void watch(struct hyp_cpu *cpu, uint64_t esr, uint64_t gpa, uint64_t limit)
{
	struct hyp_repeat *repeat = &cpu->repeat;
	uint64_t elr = sysreg_read(elr_el2);
	char words[160];

	if (repeat->esr != esr || repeat->elr != elr || repeat->gpa != gpa) {
		repeat->esr = esr;
		repeat->elr = elr;
		repeat->gpa = gpa;
		repeat->count = 0;
		return;
	}
	if (++repeat->count < limit)
		return;
	crash_syndrome(words, sizeof(words), esr);
	hyp_end(HYP_END_STUCK,
		"CPU %u makes no progress: the same exit %llu times at pc 0x%llx: %s; guest "
		"physical address 0x%llx, virtual 0x%llx, syndrome 0x%llx",
		cpu->index, (unsigned long long)repeat->count, (unsigned long long)elr, words,
		(unsigned long long)gpa, (unsigned long long)sysreg_read(far_el2),
		(unsigned long long)esr);
}

/*
 * HPFAR_EL2 of this abort. It is UNKNOWN after a permission fault on the access itself
 * (DDI 0487, HPFAR_EL2): then the guest's own translation is asked for the page. Reading is right
 * for every kind of access: EL1 may read whatever the guest may use. Returns 0 if there is no
 * translation any more: another CPU of the guest has changed it, and the access will fault by
 * itself or not at all.
 */
static int fault_page(uint64_t esr, uint64_t far, uint64_t *hpfar)
{
	uint64_t saved;
	uint64_t par;

	if ((ESR_FSC(esr) & 0x3c) != 0x0c || esr & ESR_S1PTW) {
		*hpfar = sysreg_read(hpfar_el2);
		return 1;
	}
	saved = sysreg_read(par_el1);
	__asm__ volatile("at s1e1r, %0\n\tisb" : : "r"(far) : "memory");
	par = sysreg_read(par_el1);
	sysreg_write(par_el1, saved);
	*hpfar = (par & 0x000ffffffffff000ull) >> 8;
	return !(par & 1);
}

/* An abort that the engine gave back: somebody emulates it, or the guest gets it. */
static void unserved(struct hyp_cpu *cpu, struct hyp_frame *frame, const struct s2_exit *exit,
		     const struct s2_arm64_mmio *mmio)
{
	uint64_t esr = sysreg_read(esr_el2);
	uint64_t far = sysreg_read(far_el2);

	if (exit->reason == S2_EXIT_MMIO && hyp_guest.test && testdev_mmio(exit, mmio, frame->x)) {
		inject_skip();
		return;
	}
	watch(cpu, esr, exit->gpa.gpa, REPEAT_ABORT);
	inject_abort(esr, far, exit->gpa.gpa);
}

static _Noreturn void out_of_tables(int error, uint64_t gpa)
{
	hyp_end(HYP_END_ERROR, "no second-stage mapping for 0x%llx: %s (%llu pages left)",
		(unsigned long long)gpa, s2_strerror(error),
		(unsigned long long)el2_pool_left(&hyp_guest.port.pool));
}

/*
 * Two faults are not for the engine. A walk of the guest's tables in device memory that is mapped:
 * HCR_EL2.PTW forbids it and no mapping would help. An address beyond the guest's address space.
 */
static int engine_fault(struct hyp_cpu *cpu, const struct s2_fault *fault, struct s2_exit *exit)
{
	struct s2_vm *vm = &hyp_guest.vm;
	struct s2_leaf leaf;
	int refused = fault->gpa.gpa >> hyp_report->ipa_bits != 0;

	if (!refused && fault->walk && fault->kind == S2_FAULT_PERMISSION &&
	    !s2_pt_lookup(&vm->pt, fault->gpa, &cpu->walker, &leaf))
		refused = s2_memtype_is_device(leaf.attr.type);
	if (!refused)
		return s2_fault(vm, &cpu->walker, fault, exit);
	*exit = (struct s2_exit){ .reason = S2_EXIT_ABORT,
				  .access = fault->access,
				  .walk = fault->walk,
				  .gpa = fault->gpa };
	return 0;
}

static void abort_lower(struct hyp_cpu *cpu, struct hyp_frame *frame, uint64_t esr)
{
	uint64_t far = sysreg_read(far_el2);
	struct s2_arm64_mmio mmio;
	struct s2_fault fault;
	struct s2_exit exit;
	uint64_t hpfar;
	int error;

	if (!fault_page(esr, far, &hpfar)) {
		watch(cpu, esr, far, REPEAT_SERVED);
		return;
	}
	/* Both stages' entries disagree, which no table of ours explains: start afresh. */
	if (ESR_FSC(esr) == FSC_TLB_CONFLICT) {
		insn_tlbi_vmalls12(INSN_LOCAL);
		insn_dsb(INSN_NSH);
		insn_isb();
		watch(cpu, esr, far, REPEAT_ABORT);
		return;
	}
	if (s2_arm64_decode_abort(esr, hpfar, far, &fault, &mmio)) {
		/* Not of stage 2's making: memory itself failed. The guest used it, the guest gets
		 * it. */
		report_count(&hyp_report->other_faults, 1);
		watch(cpu, esr, far, REPEAT_ABORT);
		inject_abort(esr, far, hpfar << 8);
		return;
	}
	error = engine_fault(cpu, &fault, &exit);
	if (error)
		out_of_tables(error, fault.gpa.gpa);
	if (exit.reason == S2_EXIT_RESUME) {
		tracing_served(exit.gpa.gpa, fault.access);
		watch(cpu, esr, exit.gpa.gpa, REPEAT_SERVED);
	} else {
		unserved(cpu, frame, &exit, &mmio);
	}
	report_fault(cpu, &fault, &exit);
}

static void hypercall(struct hyp_cpu *cpu, struct hyp_frame *frame)
{
	uint32_t function = (uint32_t)frame->x[0];

	if (hyp_guest.test && function >= TEST_CALL_FIRST && function <= TEST_CALL_LAST &&
	    testdev_hypercall(&hyp_guest.vm, &cpu->walker, frame->x)) {
		report_count(&hyp_report->hypercalls, 1);
		report_account(cpu, &hyp_report->mapped_device);
		return;
	}
	report_count(psci_call(cpu, frame) ? &hyp_report->psci_calls : &hyp_report->hypercalls, 1);
}

static void handle(struct hyp_cpu *cpu, struct hyp_frame *frame)
{
	uint64_t esr = sysreg_read(esr_el2);

	switch (ESR_EC(esr)) {
	case EC_DATA_LOWER:
	case EC_INSN_LOWER:
		abort_lower(cpu, frame, esr);
		return;
	case EC_SMC64:
		/* Trapped, not executed: the guest stands before it. */
		inject_skip();
		hypercall(cpu, frame);
		break;
	case EC_HVC64:
		hypercall(cpu, frame);
		break;
	default:
		report_count(&hyp_report->sysreg_traps, 1);
		watch(cpu, esr, 0, REPEAT_ABORT);
		inject_undefined(esr);
		return;
	}
	cpu->repeat.count = 0;
	cpu->repeat.esr = 0;
}

/* Called from vectors.S with the guest's registers; on return the guest goes on. */
void trap(struct hyp_frame *frame)
{
	struct hyp_cpu *cpu = cpu_this();

	tracing_exit();
	cpu->entered = report_now();
	report_count(&hyp_report->heartbeat, 1);
	handle(cpu, frame);
	tracing_run();
}
