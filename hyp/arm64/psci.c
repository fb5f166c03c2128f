// SPDX-License-Identifier: BSD-2-Clause
/*
 * PSCI 1.1 (DEN0022) for the guest. Its SMCs are trapped here, HVCs are answered alike; real calls
 * go on to the firmware. CPUs that the guest starts enter EL2 first (head.S, secondary).
 *
 * hyp_cpu.state, entry and context: only who moves state from OFF to PENDING (by compare-and-swap)
 * may write entry and context, until the firmware has been asked; the started CPU reads them and
 * says ON. CPU_OFF says OFF before the firmware is asked, so a CPU_ON may find the firmware not
 * done yet: it asks again, for the few instructions that this takes.
 */
#include "hyp.h"
#include "sysreg.h"

#define SMCCC_VERSION     0x80000000u
#define PSCI_VERSION      0x84000000u
#define PSCI_CPU_OFF      0x84000002u
#define PSCI_CPU_ON       0x84000003u
#define PSCI_AFFINITY     0x84000004u
#define PSCI_MIGRATE_TYPE 0x84000006u
#define PSCI_OFF          0x84000008u
#define PSCI_RESET        0x84000009u
#define PSCI_FEATURES     0x8400000au
#define SMC64             0x40000000u

#define NOT_SUPPORTED      -1
#define INVALID_PARAMETERS -2
#define ALREADY_ON         -4
#define ON_PENDING         -5
#define INVALID_ADDRESS    -9

/* Aff3..Aff0 of MPIDR_EL1. */
#define MPIDR_AFFINITY 0xff00ffffffull

static int64_t smc(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	/* SMCCC 1.0 lets the firmware change x0..x17. */
	__asm__ volatile("smc #0"
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
			 :
			 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
			   "x15", "x16", "x17", "memory");
	return (int32_t)x0;
}

static struct hyp_cpu *find(uint64_t mpidr)
{
	for (uint32_t i = 0; i < hyp_guest.ncpus; i++)
		if (hyp_cpus[i].mpidr == (mpidr & MPIDR_AFFINITY))
			return &hyp_cpus[i];
	return NULL;
}

static int64_t cpu_on(uint64_t mpidr, uint64_t entry, uint64_t context)
{
	extern char secondary[];
	struct hyp_cpu *cpu = find(mpidr);
	uint32_t state = HYP_CPU_OFF;
	int64_t error;

	if (!cpu)
		return INVALID_PARAMETERS;
	if (entry % 4 || entry - hyp_guest.ram_base >= hyp_guest.ram_size)
		return INVALID_ADDRESS;
	if (!__atomic_compare_exchange_n(&cpu->state, &state, HYP_CPU_PENDING, 0, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		return state == HYP_CPU_ON ? ALREADY_ON : ON_PENDING;
	cpu->entry = entry;
	cpu->context = context;
	/* The new CPU reads its structure with its caches on; the SMC must not overtake the stores.
	 */
	dsb(ish);
	do
		error = smc(PSCI_CPU_ON | SMC64, cpu->mpidr, (uint64_t)secondary, (uint64_t)cpu);
	while (error == ALREADY_ON);
	if (error)
		__atomic_store_n(&cpu->state, HYP_CPU_OFF, __ATOMIC_RELEASE);
	return error;
}

static int64_t cpu_off(struct hyp_cpu *cpu)
{
	__atomic_store_n(&cpu->state, HYP_CPU_OFF, __ATOMIC_RELEASE);
	return smc(PSCI_CPU_OFF, 0, 0, 0);
}

/* 0: on, 1: off, 2: on its way. */
static int64_t affinity_info(uint64_t mpidr, uint64_t level)
{
	const struct hyp_cpu *cpu = find(mpidr);

	if (!cpu || level)
		return INVALID_PARAMETERS;
	switch (__atomic_load_n(&cpu->state, __ATOMIC_ACQUIRE)) {
	case HYP_CPU_ON:
		return 0;
	case HYP_CPU_PENDING:
		return 2;
	default:
		return 1;
	}
}

static int64_t features(uint32_t function)
{
	switch (function) {
	case SMCCC_VERSION:
	case PSCI_VERSION:
	case PSCI_CPU_OFF:
	case PSCI_CPU_ON:
	case PSCI_CPU_ON | SMC64:
	case PSCI_AFFINITY:
	case PSCI_AFFINITY | SMC64:
	case PSCI_MIGRATE_TYPE:
	case PSCI_OFF:
	case PSCI_RESET:
	case PSCI_FEATURES:
		return 0;
	default:
		return NOT_SUPPORTED;
	}
}

/*
 * Answers the call in the frame. Returns 0 for a function that is not ours to know; x0 says
 * NOT_SUPPORTED then.
 */
int psci_call(struct hyp_cpu *cpu, struct hyp_frame *frame)
{
	uint32_t function = (uint32_t)frame->x[0];
	/* The 32-bit forms have 32-bit arguments. */
	uint64_t mask = function & SMC64 ? ~0ull : 0xffffffffull;
	uint64_t a = frame->x[1] & mask;
	uint64_t b = frame->x[2] & mask;
	int64_t result;

	/* Those that we know lie close together, but for one: look no further for any other. */
	if ((function & ~SMC64) - PSCI_VERSION > PSCI_FEATURES - PSCI_VERSION &&
	    function != SMCCC_VERSION) {
		frame->x[0] = (uint64_t)(int64_t)NOT_SUPPORTED;
		return 0;
	}
	switch (function) {
	case SMCCC_VERSION:
	case PSCI_VERSION:
		result = 0x10001;
		break;
	case PSCI_CPU_ON:
	case PSCI_CPU_ON | SMC64:
		result = cpu_on(a, b, frame->x[3] & mask);
		break;
	case PSCI_CPU_OFF:
		result = cpu_off(cpu);
		break;
	case PSCI_AFFINITY:
	case PSCI_AFFINITY | SMC64:
		result = affinity_info(a, b);
		break;
	case PSCI_MIGRATE_TYPE:
		result = 2; /* there is no trusted OS to migrate */
		break;
	case PSCI_OFF:
		hyp_end(HYP_END_OFF, "the guest turned the machine off");
	case PSCI_RESET:
		hyp_end(HYP_END_RESET, "the guest reset the machine");
	case PSCI_FEATURES:
		result = features((uint32_t)a);
		break;
	default:
		frame->x[0] = (uint64_t)(int64_t)NOT_SUPPORTED;
		return 0;
	}
	frame->x[0] = (uint64_t)result;
	return 1;
}

/*
 * The real end. Should the firmware come back from it, there is nothing left to do. Started at EL1
 * by mistake, we are the guest of somebody who listens to HVC.
 */
void psci_leave(enum hyp_end end)
{
	if (sysreg_read(currentel) >> 2 == 1) {
		register uint64_t x0 __asm__("x0") = PSCI_OFF;

		__asm__ volatile("hvc #0" : "+r"(x0) : : "memory");
	}
	smc(end == HYP_END_RESET ? PSCI_RESET : PSCI_OFF, 0, 0, 0);
	cpu_park();
}
