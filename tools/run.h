/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of `stage2 run` tell each other: what was asked for, and what came of it.
 *
 * options.c fills in the options, image.c and files.c find and check the files, qemu.c starts the
 * emulator, watch.c watches it and fills in the result, numbers.c digests the hypervisor's report,
 * and text.c, json.c and svg.c show it. One thread, save for the one that writes a trace (drain.c);
 * no globals but the terminal's (terminal.c).
 */
#ifndef STAGE2_RUN_H
#define STAGE2_RUN_H

#include <stddef.h>
#include <stdint.h>

#include <stage2/vm.h>

#include "report.h"

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

enum exit_code {
	EXIT_OK = 0,    /* the guest switched itself off */
	EXIT_GUEST = 1, /* it did not: crash, reset, watchdog */
	EXIT_USAGE = 2, /* it was never started: bad input, something is missing */
};

enum run_flag {
	RUN_INTERACTIVE = 1u << 0,
	RUN_JSON = 1u << 1,
	RUN_ICOUNT = 1u << 2,
	RUN_PLAIN = 1u << 3,
	RUN_TEST = 1u << 4,
	RUN_VERBOSE = 1u << 5,
	RUN_QUIET = 1u << 6,
	RUN_PAGES_4K = 1u << 7,
	RUN_MERGE = 1u << 8,
};

struct run_options {
	unsigned int flags; /* enum run_flag */
	unsigned int smp;
	unsigned int gic;
	unsigned int mem_mib;
	unsigned int timeout_s; /* 0: none */
	unsigned int stall_s;   /* 0: none */
	unsigned int reclaim;   /* percent; 0: none */
	const char *cpu;
	const char *append;
	const char *kernel;
	const char *initrd; /* NULL after checks: none */
	const char *hyp;
	const char *qemu;
	const char *report;
	const char *console;
	const char *trace; /* NULL: none */
};

enum run_end {
	RUN_END_OFF,
	RUN_END_RESET,
	RUN_END_STUCK,
	RUN_END_ERROR,
	RUN_END_CRASH,
	RUN_END_TIMEOUT, /* --timeout */
	RUN_END_STALL,   /* --stall */
	RUN_END_QEMU,    /* the emulator died, or never started the hypervisor */
	RUN_END_QUIT,    /* Ctrl-A x */
	RUN_END_SIGNAL,
	RUN_END_OUTPUT, /* nobody reads our output any more */
	RUN_ENDS
};

#define RUN_PHASES      32
#define RUN_PHASE_NAME  24
#define RUN_CHECKSUM    80
#define RUN_REASON      512
#define RUN_QEMU_ERRORS 2048

struct run_phase {
	char name[RUN_PHASE_NAME];
	double at_s; /* since the guest's start, on the host's clock */
};

struct run_result {
	enum run_end end;
	int signal;
	double wall_s;
	double cpu_s;   /* that QEMU took of the host */
	double start_s; /* the guest's first instruction, on the same clock */
	unsigned int nphases;
	unsigned int console_lines;
	uint64_t console_bytes;
	uint64_t trace_events; /* in the file of --trace */
	struct run_phase phases[RUN_PHASES];
	char checksum[RUN_CHECKSUM];
	char panic[RUN_REASON];          /* the guest kernel's last words */
	char errors[RUN_QEMU_ERRORS];    /* QEMU's */
	const struct hyp_report *report; /* NULL: plain, or the hypervisor never spoke */
};

/* "off", "reset", ...: as in the JSON. */
const char *run_end_name(enum run_end end);
/* A sentence for people. */
const char *run_end_text(const struct run_options *options, const struct run_result *result);
int run_exit_code(const struct run_result *result);

/* Runs the guest to its end. Returns 0 and the result, or EXIT_USAGE after saying why. */
int run_guest(const struct run_options *options, struct run_result *result);

/* The subcommand. */
int run_main(int argc, char **argv);

/* Says "stage2: ..." on stderr; returns EXIT_USAGE, for `return complain(...)`. */
int complain(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
