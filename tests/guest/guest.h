/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bare-metal test guest: everything that its files share.
 *
 * Structure: head.S starts it, boot.c reads the device tree, mmu.c has its own stage-1 tables,
 * smp.c its other CPUs, lib.c console, checks and exceptions; test_*.c are the tests, hostile.c the
 * guests that misbehave for good. CPU 0 runs all tests one after the other and is the only one that
 * prints and checks; the others run what smp_run() gives them.
 *
 * An exception is either expected, by the probe_enter() around the access, or it ends the run.
 */
#ifndef TESTS_GUEST_H
#define TESTS_GUEST_H

#include <stddef.h>
#include <stdint.h>

#include "abi.h"
#include "layout.h"

#define PAGE     0x1000ull
#define MAX_CPUS 4

/* An exception as the guest met it. */
struct probe {
	uint64_t saved[13]; /* callee-saved registers and SP, for probe_resume() */
	uint64_t result;    /* of the function, if it returned */
	uint32_t vector;    /* number of the vector: 0 EL1t, 4 EL1h, 8 EL0 (+ 0: synchronous) */
	uint32_t daif;      /* after exception entry */
	uint64_t esr;
	uint64_t far;
	uint64_t elr;
	uint64_t spsr;
	uint64_t pan; /* PSTATE.PAN after exception entry, where the CPU has it */
	uint64_t x[31];
};

struct cpu {
	struct probe *probe;
	uint64_t stack;
	uint64_t mpidr;
	uint32_t id;
	uint32_t state; /* enum cpu_state */
	uint32_t turn;  /* job rounds this CPU has finished */
	uint32_t bad;   /* what a job found wrong: 0 is nothing */
	uint64_t seen;  /* a value that explains `bad` */
} __attribute__((aligned(64)));

enum cpu_state {
	CPU_OFF,
	CPU_RUNS
};

_Static_assert(offsetof(struct cpu, probe) == CPU_PROBE, "layout.h");
_Static_assert(offsetof(struct cpu, stack) == CPU_STACK, "layout.h");
_Static_assert(offsetof(struct probe, saved) + 12 * 8 == PROBE_SP, "layout.h");
_Static_assert(offsetof(struct probe, result) == PROBE_RESULT, "layout.h");

/* What boot.c learned. */
struct machine {
	uint64_t image;    /* where this image is */
	uint64_t ram_base; /* the memory range that it is in */
	uint64_t ram_size;
	uint32_t ncpus;    /* in the device tree, MAX_CPUS at most */
	uint32_t psci_hvc; /* PSCI by HVC instead of SMC */
	uint32_t hyp;      /* the hypervisor offers its test device */
	uint32_t lse;
	uint32_t hafdbs;
	uint32_t pan;
	char bootargs[512];
};

extern struct machine machine;
extern struct cpu cpus[MAX_CPUS];
extern char stacks[MAX_CPUS][STACK_SIZE];
extern char image_end[];
extern char user_page[];

/* head.S */
typedef uint64_t (*probe_fn)(uint64_t a, uint64_t b, uint64_t c);
int probe_enter(struct probe *probe, probe_fn fn, uint64_t a, uint64_t b, uint64_t c);
void probe_resume(struct probe *probe) __attribute__((noreturn));
uint64_t user_enter(uint64_t pc, uint64_t a, uint64_t b);
uint64_t el1t_enter(uint64_t pc, uint64_t a, uint64_t b);
void mmu_switch(uint64_t sctlr);
void secondary_entry(void);
void guest_main(uint64_t dtb) __attribute__((noreturn));
void secondary_main(struct cpu *cpu) __attribute__((noreturn));

/* lib.c */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void trap(const uint64_t *frame) __attribute__((noreturn));
void bail(const char *why) __attribute__((noreturn));
void *memset(void *to, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int has_arg(const char *word); /* is it one of the words of bootargs? */

/* Records the first failed check of the running test; returns cond, so that a test can stop. */
int check_at(int cond, const char *file, int line, const char *text);
#define check(cond) check_at(!!(cond), __FILE_NAME__, __LINE__, #cond)
int check_eq_at(uint64_t seen, uint64_t want, const char *file, int line, const char *text);
#define check_eq(seen, want) check_eq_at(seen, want, __FILE_NAME__, __LINE__, #seen)

/* Expects of a probe that an external abort arrived, and that all of its syndrome is right. */
enum abort_flag {
	ABORT_EXEC = 1, /* instruction abort; else data abort */
	ABORT_WRITE = 2,
	ABORT_ANY_WNR = 4, /* read-modify-write: architecture leaves the direction open */
	ABORT_USER = 8,
	ABORT_EL1T = 16,
	ABORT_WALK = 32, /* on a table walk; level in bits 8 and up */
};
#define ABORT_WALK_AT(level) (ABORT_WALK | (level) << 8)
int check_abort_at(int taken, const struct probe *probe, unsigned int flags, uint64_t far,
		   uint64_t elr, const char *file, int line);
#define check_abort(taken, probe, flags, far, elr) \
	check_abort_at(taken, probe, flags, far, (uint64_t)(elr), __FILE_NAME__, __LINE__)
#define ANY_ELR ~0ull

/* boot.c: fills in `machine`. */
void boot_read(uint64_t dtb);

/* mmu.c */
enum window_flag {
	WINDOW_DEVICE = 1,
	WINDOW_NC = 2,
	WINDOW_USER = 4,     /* EL0 may do as EL1 */
	WINDOW_READONLY = 8, /* at stage 1 */
};
#define WINDOWS 64
void mmu_init(void);
void mmu_enable(void);
/* Maps gpa (any alignment) at page window n for all CPUs; returns the address that shows it. */
uint64_t window(unsigned int n, uint64_t gpa, unsigned int flags);
void window_close(unsigned int n);
/* Memory for a test: page-aligned, zero, never given out twice. */
uint64_t arena(uint64_t size);
/* The same, and no page of it has a second-stage mapping yet. */
uint64_t fresh(uint64_t size);
/* A second tree, for TTBR1, 48 bits: the table of one level for a test to lay out. */
#define HIGH_VA 0xffff000000000000ull
void high_tables(uint64_t root, uint64_t tcr_extra);
void high_off(void);
uint64_t table_entry(uint64_t gpa);
uint64_t page_entry(uint64_t gpa);

/* smp.c */
int cpu_on(unsigned int n);
/* Runs job(cpu) on CPUs 0 to n - 1 at once, returns when all are done; 0 if none set `bad`. */
int smp_run(unsigned int n, void (*job)(struct cpu *cpu));
unsigned int smp_start(void); /* all CPUs on; how many there are */
void barrier_wait(uint32_t *barrier, unsigned int n);
void job_bad(struct cpu *cpu, uint32_t line, uint64_t seen);
#define job_check(cpu, cond, seen)                    \
	do {                                          \
		if (!(cond))                          \
			job_bad(cpu, __LINE__, seen); \
	} while (0)

#define PSCI_VERSION       0x84000000
#define PSCI_CPU_OFF       0x84000002
#define PSCI_CPU_ON        0xc4000003
#define PSCI_AFFINITY_INFO 0xc4000004
#define PSCI_SYSTEM_OFF    0x84000008
#define PSCI_FEATURES      0x8400000a
uint64_t psci(uint64_t id, uint64_t a, uint64_t b, uint64_t c);
uint64_t hvc(uint64_t *regs); /* regs[0..3] in and out; returns regs[0] */
uint64_t hypercall(uint64_t id, uint64_t a, uint64_t b, uint64_t c);    /* x1, checks x0 == 0 */
int64_t hypercall_try(uint64_t id, uint64_t a, uint64_t b, uint64_t c); /* x0 */
uint64_t smc(uint64_t *regs);
/* The same for probe_enter(), where they may be undefined; a is the array. */
uint64_t probe_hvc(uint64_t a, uint64_t b, uint64_t c);
uint64_t probe_smc(uint64_t a, uint64_t b, uint64_t c);

static inline uint32_t load_acquire(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void store_release(uint32_t *p, uint32_t value)
{
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

static inline uint64_t peek(uint64_t addr)
{
	return *(volatile uint64_t *)addr;
}

static inline void poke(uint64_t addr, uint64_t value)
{
	*(volatile uint64_t *)addr = value;
}

#define read_sysreg(name)                                          \
	({                                                         \
		uint64_t value_;                                   \
		__asm__ volatile("mrs %0, " #name : "=r"(value_)); \
		value_;                                            \
	})
#define write_sysreg(value, name) \
	__asm__ volatile("msr " #name ", %0\n\tisb" : : "r"((uint64_t)(value)) : "memory")

/* A test, its name as it stands in the TAP output, and what it cannot do without. */
enum test_need {
	NEED_HYP = 1,
	NEED_SMP = 2,
	NEED_LSE = 4,
	NEED_HAFDBS = 8,
};

struct test {
	const char *name;
	void (*run)(void);
	unsigned int needs;
};

extern const struct test abort_tests[], slot_tests[], mmio_tests[], walk_tests[], atomic_tests[],
	host_tests[], smp_tests[], maint_tests[], psci_tests[];

/* hostile.c: runs what the bootargs' test=... asks for, or returns 0. */
int hostile_run(void);

/* exits.c: exits of every kind, to be counted from outside: test=exits. */
void exits_run(void);

#endif
