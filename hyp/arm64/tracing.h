/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the hypervisor tells a trace of itself, beside what the engine's hook and the traced
 * instructions (traced/insn.h) say. Only the image for `stage2 run --trace` is built with S2_HOOKS;
 * in the other one all of this is nothing.
 */
#ifndef HYP_TRACING_H
#define HYP_TRACING_H

#include <stage2/port.h>

#ifdef S2_HOOKS

/* Before anything is recorded: says what the CPUs are and looks whether somebody reads. */
void tracing_start(void);
/* The port's allocations and frees are recorded from here on. */
void tracing_port(struct s2_port *port);
/* This CPU left the guest; is about to enter it: no other event of it may come after. */
void tracing_exit(void);
void tracing_run(void);
/* Nothing of this range can be reached: true until the caller lets it be mapped again. */
void tracing_empty(uint64_t gpa, uint64_t size);
/*
 * Nothing is owed for this range; this CPU itself can do this access. With other CPUs at work
 * neither says anything of the moment of the event, so they are recorded while there is one.
 */
void tracing_done(uint64_t gpa, uint64_t size);
void tracing_served(uint64_t gpa, enum s2_access access);
/* No guest may reach these pages from here on; they may be mapped again. */
void tracing_take(const void *page, uint64_t size);
void tracing_give(const void *page, uint64_t size);

/* Where the function that says this was called. */
#define TRACING_PC ((uint64_t)(uintptr_t)__builtin_return_address(0) - 4)

/* For traced/insn.c: around an instruction, so that no event of another CPU comes between. */
void tracing_begin(void);
void tracing_end(unsigned int kind, unsigned int op, uint64_t operand, uint64_t pc);
/* In place of the two: a line of the data cache; those of one range become one event. */
void tracing_line(unsigned int op, uint64_t address, uint64_t pc);

#else

static inline void tracing_start(void)
{
}

static inline void tracing_port(struct s2_port *port)
{
	(void)port;
}

static inline void tracing_exit(void)
{
}

static inline void tracing_run(void)
{
}

static inline void tracing_empty(uint64_t gpa, uint64_t size)
{
	(void)gpa;
	(void)size;
}

static inline void tracing_done(uint64_t gpa, uint64_t size)
{
	(void)gpa;
	(void)size;
}

static inline void tracing_served(uint64_t gpa, enum s2_access access)
{
	(void)gpa;
	(void)access;
}

static inline void tracing_take(const void *page, uint64_t size)
{
	(void)page;
	(void)size;
}

static inline void tracing_give(const void *page, uint64_t size)
{
	(void)page;
	(void)size;
}

#endif
#endif
