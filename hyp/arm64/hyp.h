/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reference hypervisor: what its files share. docs/hypervisor.md is the overview.
 *
 * Concurrency: hyp_guest is written by the boot CPU before any other runs and is constant then.
 * A struct hyp_cpu belongs to its CPU, save `state`, `entry` and `context` (psci.c has the rule).
 * In the report each CPU counts for itself; what they share is said in report.c.
 */
#ifndef HYP_HYP_H
#define HYP_HYP_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stage2/arm64.h>

#include "asm.h"
#include "el2.h"
#include "report.h"

#include <self.h>

#define HYP_MAX_REGIONS 96

/* The guest's registers, at the top of its CPU's stack (vectors.S). */
struct hyp_frame {
	uint64_t x[31];
	uint64_t pad;
};

enum hyp_cpu_state {
	HYP_CPU_OFF,
	HYP_CPU_PENDING, /* PSCI CPU_ON was called, the CPU is on its way */
	HYP_CPU_ON,
};

/* The last exit of a CPU and how often it came again without any other between. */
struct hyp_repeat {
	uint64_t esr;
	uint64_t elr;
	uint64_t gpa;
	uint64_t count;
};

struct hyp_cpu {
	uint64_t stack; /* tops; asm.h has the offsets */
	uint64_t crash;
	uint64_t mpidr;
	uint32_t index;
	uint32_t state; /* enum hyp_cpu_state */
	uint64_t entry; /* of the guest, for a CPU that is being started */
	uint64_t context;
	struct hyp_percpu *percpu; /* its part of the report */
	struct hyp_fault *log;     /* what is left of our chunk of the report's faults[] */
	struct hyp_fault *log_end; /* where report_draw() is to be called */
	struct hyp_fault *chunk_end;
	struct s2_vm *vm;         /* the guest's: here, where every abort finds it */
	struct s2_walker *walker; /* in percpu */
	uint64_t ram_base;        /* the guest's, here for the same reason */
	uint64_t ram_size;
	struct s2_exit exit; /* what the engine said of the last abort */
	struct hyp_repeat repeat;
	uint64_t tables;  /* by this walker, as it was last accounted in the report */
	uint64_t unshare; /* page of RAM that this exit's fault wants for itself, plus 1 */
	struct hyp_fault unlogged[HYP_CHUNK]; /* what takes faults when the log is full */
} __attribute__((aligned(S2_CACHE_LINE)));

struct hyp_guest {
	uint64_t dtb;
	uint64_t ram_base;
	uint64_t ram_size;
	uint64_t reserve;
	uint64_t uart;    /* 0: none known */
	uint64_t tail;    /* bytes behind the guest's RAM, for reclaim.c; 0: no such host */
	uint32_t test;    /* stage2.test was given */
	uint32_t reclaim; /* percent of the guest's pages that may be out */
	uint32_t merge;   /* stage2.merge was given */
	uint32_t block_level;
	uint32_t ncpus;
	uint32_t nregions;
	uint64_t mpidr[HYP_MAX_CPUS];
	/* All that the guest may touch: RAM first, then devices, ascending, apart. */
	struct el2_region regions[HYP_MAX_REGIONS];
	struct s2_memslot slots[HYP_MAX_REGIONS];
	struct el2_port port;
	struct s2_vm vm;
};

struct hyp_mmu_regs {
	uint64_t mair;
	uint64_t tcr;
	uint64_t ttbr;
	uint64_t sctlr;
};

extern struct hyp_guest hyp_guest;
extern struct hyp_cpu hyp_cpus[HYP_MAX_CPUS];
extern struct hyp_mmu_regs hyp_mmu_regs;

/* main.c; called from head.S. */
_Noreturn void hyp_main(uint64_t dtb);
_Noreturn void hyp_secondary(struct hyp_cpu *cpu);
_Noreturn void hyp_wrong_level(void);

/* cpu.c */
struct hyp_cpu *cpu_prepare(void);
/* The guest's registers, as long as its exit is being handled. */
static inline struct hyp_frame *cpu_frame(const struct hyp_cpu *cpu)
{
	return (struct hyp_frame *)(cpu->stack - FRAME_SIZE);
}
/* What all CPUs of this machine can do (they are alike); pa_bits as the ID register says. */
void cpu_features(struct s2_cpu *cpu);
/* Sets every EL2 register that governs the guest, and what a guest may expect after reset. */
void cpu_setup(void);
/* Runs the guest on this CPU from pc on, at EL1 with its MMU off. */
_Noreturn void cpu_enter(struct hyp_cpu *cpu, uint64_t pc, uint64_t x0);
_Noreturn void cpu_park(void);

/* mmu.c: EL2's own map. Identity; the boot CPU only; adding never replaces. */
enum mmu_kind {
	MMU_TEXT,
	MMU_RODATA,
	MMU_DATA,
	MMU_DEVICE,
};
void mmu_build(void);
void mmu_map(uint64_t base, uint64_t size, enum mmu_kind kind);

/* dtb.c: reads the device tree into hyp_guest, and edits it for the guest. */
void dtb_read(struct hyp_guest *guest, uint64_t dtb);

/* trap.c, psci.c, inject.c */
int trap(void);
void trap_emulate(void);
int psci_call(struct hyp_cpu *cpu, struct hyp_frame *frame);
_Noreturn void psci_leave(enum hyp_end end);
void inject_abort(uint64_t esr, uint64_t far, uint64_t gpa);
void inject_undefined(uint64_t esr);
void inject_skip(void);

/* report.c */
void report_start(void);
void report_run(void);
/* The next chunk of the log for this CPU: before its first exit, then when it is needed. */
void report_draw(struct hyp_cpu *cpu);
/* Accounts the tables that this CPU linked and unlinked since the last call. */
void report_tables(struct hyp_cpu *cpu);
/* Ends the run: fills in what is known at the end only, says why, and turns the machine off. */
_Noreturn void hyp_end(enum hyp_end end, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* crash.c */
struct hyp_dump {
	struct hyp_frame frame;
	uint64_t sp;
	uint64_t vector;
};
_Noreturn void crash(const struct hyp_dump *dump);
size_t crash_syndrome(char *buffer, size_t size, uint64_t esr);

/* lib.c */
size_t hyp_vformat(char *buffer, size_t size, const char *format, va_list args);
size_t hyp_format(char *buffer, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
