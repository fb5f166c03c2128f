// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the guest does that comes to EL2: stage-2 aborts, calls, trapped registers.
 *
 * An abort goes to the engine; what the engine maps is run again, what it does not know goes to
 * the test devices if there are any, else back to the guest as an external abort.
 *
 * Most exits end in trap(), for which vectors.S saves only what C code may change. Who emulates an
 * instruction may need any register: those exits say so and come back in trap_emulate(). What is
 * rare reads the exit's registers again (nothing changes them meanwhile) instead of being handed
 * their values: to keep those over a call would cost every exit registers to save.
 *
 * Concurrency: CPUs handle their exits independently, each with its own frame, walker and counters;
 * all that they share is the engine, which is made for it.
 *
 * No guest may keep the hypervisor busy for ever: an exit that comes again and again from the same
 * instruction with the same syndrome and address, with no other exit between, ends the run. An
 * abort that was given to the guest does not come back that way unless its vector cannot be
 * reached. A mapping may be taken away again by another CPU just as often as this one uses it, so
 * the limit is much higher where the exit was served.
 */
#include "count.h"
#include "hyp.h"
#include "reclaim.h"
#include "sysreg.h"
#include "testdev.h"
#include "tracing.h"

#include <insn.h>

#define REPEAT_ABORT  1000
#define REPEAT_SERVED 1000000

#define NO_ADDRESS (~0ull)

#define TEST_CALL_FIRST 0xc6000000u
#define TEST_CALL_LAST  0xc600ffffu

static _Noreturn __attribute__((cold)) void stuck(const struct hyp_cpu *cpu)
{
	const struct hyp_repeat *repeat = &cpu->repeat;
	char words[160];

	crash_syndrome(words, sizeof(words), repeat->esr);
	hyp_end(HYP_END_STUCK,
		"CPU %u makes no progress: the same exit %llu times at pc 0x%llx: %s; guest "
		"physical address 0x%llx, virtual 0x%llx, syndrome 0x%llx",
		cpu->index, (unsigned long long)repeat->count, (unsigned long long)repeat->elr,
		words, (unsigned long long)repeat->gpa, (unsigned long long)sysreg_read(far_el2),
		(unsigned long long)repeat->esr);
}

/* Another exit at the same address as the last one. */
static __attribute__((noinline)) void watch_again(struct hyp_cpu *cpu, uint64_t limit)
{
	struct hyp_repeat *repeat = &cpu->repeat;
	uint64_t esr = sysreg_read(esr_el2);
	uint64_t elr = sysreg_read(elr_el2);

	if (repeat->esr != esr || repeat->elr != elr) {
		repeat->esr = esr;
		repeat->elr = elr;
		repeat->count = 0;
	} else if (++repeat->count >= limit) {
		stuck(cpu);
	}
}

/* Almost always the address is another one: the rest of the exit is compared when it is not. */
static void watch(struct hyp_cpu *cpu, uint64_t gpa, uint64_t limit)
{
	if (cpu->repeat.gpa == gpa) {
		watch_again(cpu, limit);
		return;
	}
	cpu->repeat.gpa = gpa;
	cpu->repeat.count = 0;
}

/* An exit that ends every row of equal ones. */
static void watch_reset(struct hyp_cpu *cpu)
{
	cpu->repeat.gpa = NO_ADDRESS;
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

static _Noreturn void out_of_tables(int error, uint64_t gpa)
{
	hyp_end(HYP_END_ERROR, "no second-stage mapping for 0x%llx: %s (%llu pages left)",
		(unsigned long long)gpa, s2_strerror(error),
		(unsigned long long)el2_pool_left(&hyp_guest.port.pool));
}

/*
 * A walk of the guest's tables in device memory that is mapped: HCR_EL2.PTW forbids it and no
 * mapping would help.
 */
static __attribute__((noinline)) int walk_in_device(const struct s2_fault *fault)
{
	struct s2_leaf leaf;

	return !s2_pt_lookup(&hyp_guest.vm.pt, fault->gpa, cpu_this()->walker, &leaf) &&
	       s2_memtype_is_device(leaf.attr.type);
}

/* What is not for the engine, and an address beyond the guest's space, is the guest's to have. */
static int engine_fault(struct hyp_cpu *cpu, const struct s2_fault *fault)
{
	if (fault->walk && fault->kind == S2_FAULT_PERMISSION && walk_in_device(fault))
		return S2_EINVAL;
	return s2_fault(cpu->vm, cpu->walker, fault, &cpu->exit);
}

/*
 * The page that was to be found has no translation any more; or its walk met a table of the guest's
 * that is old or gone at stage 2, while the access itself went by an entry of the TLB. Without that
 * entry the guest will fault on its table.
 */
static __attribute__((noinline)) void abort_vanished(struct hyp_cpu *cpu)
{
	insn_tlbi_vmalls12(INSN_LOCAL); /* both stages: that walk, too, may have met a conflict */
	insn_dsb(INSN_NSH);
	insn_isb();
	report_count(&cpu->percpu->counts.vanished, 1);
	watch(cpu, sysreg_read(far_el2), REPEAT_SERVED);
}

/* What comes to EL2 beside aborts and calls. Returns whether trap_emulate() is to carry it out. */
static __attribute__((noinline)) int trapped(struct hyp_cpu *cpu)
{
	uint64_t esr = sysreg_read(esr_el2);

	report_count(&cpu->percpu->counts.sysreg_traps, 1);
	if (hyp_guest.tail && ESR_EC(esr) == EC_SYSREG)
		return 1;
	if (ESR_EC(esr) == EC_WFX) {
		watch_reset(cpu);
		reclaim_idle(cpu, esr);
		inject_skip();
		return 0;
	}
	watch(cpu, 0, REPEAT_ABORT);
	inject_undefined(esr);
	return 0;
}

/* Carries out the write to a register of those that HCR_EL2.TVM traps. Returns 0 for others. */
static int translation_register(uint64_t esr, uint64_t value)
{
	if (esr & ESR_SYS_READ)
		return 0;
	switch (esr & ESR_SYS_MASK) {
	case ESR_SYS(3, 0, 1, 0, 0):
		sysreg_write(sctlr_el1, value);
		return 1;
	case ESR_SYS(3, 0, 2, 0, 0):
		sysreg_write(ttbr0_el1, value);
		return 1;
	case ESR_SYS(3, 0, 2, 0, 1):
		sysreg_write(ttbr1_el1, value);
		return 1;
	case ESR_SYS(3, 0, 2, 0, 2):
		sysreg_write(tcr_el1, value);
		return 1;
	case ESR_SYS(3, 0, 5, 1, 0):
		sysreg_write(afsr0_el1, value);
		return 1;
	case ESR_SYS(3, 0, 5, 1, 1):
		sysreg_write(afsr1_el1, value);
		return 1;
	case ESR_SYS(3, 0, 5, 2, 0):
		sysreg_write(esr_el1, value);
		return 1;
	case ESR_SYS(3, 0, 6, 0, 0):
		sysreg_write(far_el1, value);
		return 1;
	case ESR_SYS(3, 0, 10, 2, 0):
		sysreg_write(mair_el1, value);
		return 1;
	case ESR_SYS(3, 0, 10, 3, 0):
		sysreg_write(amair_el1, value);
		return 1;
	case ESR_SYS(3, 0, 13, 0, 1):
		sysreg_write(contextidr_el1, value);
		return 1;
	default:
		return 0;
	}
}

/* A trapped register that is the guest's to write; the exit is what was wanted of it. */
static void emulate_register(struct hyp_cpu *cpu)
{
	uint64_t esr = sysreg_read(esr_el2);
	unsigned int rt = ESR_SYS_RT(esr);

	if (!translation_register(esr, rt == 31 ? 0 : cpu_frame(cpu)->x[rt])) {
		watch(cpu, 0, REPEAT_ABORT);
		inject_undefined(esr);
		return;
	}
	watch_reset(cpu);
	inject_skip();
	reclaim_turn(cpu);
}

/* The TLB holds two entries for an address. It says nothing of what the guest wanted. */
static void abort_conflict(struct hyp_cpu *cpu, uint64_t far)
{
	const struct s2_fault fault = { .kind = S2_FAULT_CONFLICT };

	if (engine_fault(cpu, &fault))
		hyp_end(HYP_END_ERROR, "a TLB conflict that the engine does not know");
	watch(cpu, far, REPEAT_SERVED);
	report_fault(cpu, &fault);
}

/* No fault of stage 2's tables. */
static __attribute__((noinline)) void abort_other(struct hyp_cpu *cpu)
{
	uint64_t esr = sysreg_read(esr_el2);
	uint64_t far = sysreg_read(far_el2);

	if ((ESR_EC(esr) & ~4u) != EC_INSN_LOWER) { /* EC_DATA_LOWER */
		(void)trapped(cpu);
		return;
	}
	if (ESR_FSC(esr) == FSC_TLB_CONFLICT) {
		abort_conflict(cpu, far);
		return;
	}
	/* Memory itself failed. The guest used it, the guest gets it. */
	report_count(&cpu->percpu->counts.refused, 1);
	watch(cpu, far, REPEAT_ABORT);
	inject_abort(esr, far, sysreg_read(hpfar_el2) << 8);
}

/* The access can be neither carried out nor emulated: the guest gets an abort. */
static void abort_inject(struct hyp_cpu *cpu, const struct s2_fault *fault)
{
	watch(cpu, fault->gpa.gpa, REPEAT_ABORT);
	inject_abort(sysreg_read(esr_el2), sysreg_read(far_el2), fault->gpa.gpa);
	report_fault(cpu, fault);
}

/* The engine mapped nothing. Returns whether the access is to be emulated. */
static __attribute__((noinline)) int abort_unserved(int error, struct hyp_cpu *cpu,
						    const struct s2_fault *fault)
{
	if (error == S2_EINVAL) {
		report_count(&cpu->percpu->counts.refused, 1);
		cpu->exit.size = 0;
	} else if (error) {
		out_of_tables(error, fault->gpa.gpa);
	} else if (cpu->exit.reason == S2_EXIT_MMIO && hyp_guest.test) {
		return 1;
	}
	abort_inject(cpu, fault);
	return 0;
}

/* Returns whether the access is to be emulated, if somebody can: cpu->exit has what it is. */
static int abort_lower(struct hyp_cpu *cpu, uint64_t esr)
{
	uint64_t far = sysreg_read(far_el2);
	struct s2_fault fault;
	uint64_t hpfar;
	int error;

	if (!fault_page(esr, far, &hpfar)) {
		abort_vanished(cpu);
		return 0;
	}
	if (s2_arm64_decode_abort(esr, hpfar, far, &fault, NULL) ||
	    fault.kind == S2_FAULT_CONFLICT) {
		abort_other(cpu);
		return 0;
	}
	error = engine_fault(cpu, &fault);
	if (error || cpu->exit.reason != S2_EXIT_RESUME)
		return abort_unserved(error, cpu, &fault);
	tracing_served(fault.gpa.gpa, fault.access);
	watch(cpu, fault.gpa.gpa, REPEAT_SERVED);
	report_served(cpu, &fault);
	report_fault(cpu, &fault);
	return 0;
}

/* The other half of an exit for which trap() returned nonzero: the frame has all registers. */
void trap_emulate(void)
{
	struct hyp_cpu *cpu = cpu_this();
	const struct s2_exit *exit = &cpu->exit;
	struct s2_arm64_mmio mmio;
	struct s2_fault fault;

	if (ESR_EC(sysreg_read(esr_el2)) == EC_SYSREG) {
		emulate_register(cpu);
		tracing_run();
		return;
	}
	/* It has been decoded before, so it can be. */
	if (!s2_arm64_decode_abort(sysreg_read(esr_el2), exit->gpa.gpa >> 8, sysreg_read(far_el2),
				   &fault, &mmio) &&
	    testdev_mmio(exit, &mmio, cpu_frame(cpu)->x)) {
		inject_skip();
		report_fault(cpu, &fault);
	} else {
		abort_inject(cpu, &fault);
	}
	tracing_run();
}

static void hypercall(struct hyp_cpu *cpu)
{
	struct hyp_frame *frame = cpu_frame(cpu);
	struct hyp_counts *counts = &cpu->percpu->counts;
	uint32_t function = (uint32_t)frame->x[0];

	watch_reset(cpu);
	if (function - TEST_CALL_FIRST <= TEST_CALL_LAST - TEST_CALL_FIRST && hyp_guest.test) {
		/* It may unlink many: what there was before has to be known. */
		report_tables(cpu);
		if (testdev_hypercall(cpu->vm, cpu->walker, frame->x)) {
			report_count(&counts->hypercalls, 1);
			report_tables(cpu);
			return;
		}
	}
	report_count(psci_call(cpu, frame) ? &counts->psci_calls : &counts->hypercalls, 1);
}

/* All exits but aborts. Returns what trap() is to return. */
static int call(struct hyp_cpu *cpu, uint64_t esr)
{
	switch (ESR_EC(esr)) {
	case EC_SMC64:
		/* Trapped, not executed: the guest stands before it. */
		inject_skip();
		hypercall(cpu);
		return 0;
	case EC_HVC64:
		hypercall(cpu);
		return 0;
	default:
		return trapped(cpu);
	}
}

/*
 * Called from vectors.S; of the guest's registers the frame has those that C code may change. On
 * return the guest goes on; or if that is nonzero trap_emulate() is called, with all of them.
 */
int trap(void)
{
	struct hyp_cpu *cpu = cpu_this();
	uint64_t esr = sysreg_read(esr_el2);
	int emulate = 0;

	tracing_exit();
	/* Not report_now(): the exception has synchronised already. */
	cpu->percpu->entered = sysreg_read(cntpct_el0);
	/* Above it is nothing else that comes here; abort_other() looks. */
	if (ESR_EC(esr) >= EC_INSN_LOWER)
		emulate = abort_lower(cpu, esr);
	else
		emulate = call(cpu, esr);
	if (!emulate)
		tracing_run();
	return emulate;
}
