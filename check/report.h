/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A violation for people (a screen of text) and for programs (a line of JSON).
 */
#ifndef S2C_REPORT_H
#define S2C_REPORT_H

#include <stdio.h>

#include "stage2check.h"
#include "symbols.h"

#ifdef __cplusplus
extern "C" {
#endif

enum s2c_report_flag {
	S2C_REPORT_COLOUR = 1u << 0, /* for a terminal */
};

/* What a text report never exceeds; escape sequences of colour do not count as columns. */
#define S2C_REPORT_LINES   24
#define S2C_REPORT_COLUMNS 100

struct s2c_report_options {
	const struct s2c_symbols *symbols; /* NULL: addresses stay numbers */
	const char *trace;                 /* name of the file that the events are from, or NULL */
	unsigned int flags;                /* enum s2c_report_flag */
};

/* No blank line before or after it. Whether `out` took it all, ferror(out) says. */
void s2c_report_text(FILE *out, const struct s2c_violation *violation,
		     const struct s2c_report_options *options);

/*
 * One object in one line. Keys are stable: they are added to, not renamed. Addresses and values of
 * registers and descriptors are strings in hexadecimal, numbers of events and CPUs are numbers.
 * Returns 0, or -1: no memory, or `out` failed.
 */
int s2c_report_json(FILE *out, const struct s2c_violation *violation,
		    const struct s2c_report_options *options);

/*
 * A descriptor of Arm's stage 2 in words: "leaf 0x40000000 rwx WB inner AF". `level` is ours, or
 * S2C_LEVEL_ANY: not known. It does not know the regime: LPA2's fields and the high output bits
 * of 64K granules are read as if they were the plain format's. Writes at most n bytes.
 */
void s2c_describe_entry(char *buffer, size_t n, uint64_t value, unsigned int level);

/*
 * An event as a trace has it, with its meaning: "tlbi ipas2e1is gpa 0x40000000, Arm level hint 3".
 * A store of 8 bytes to `entry` (0: none) is told as a change of a descriptor of this level.
 */
void s2c_describe_event(char *buffer, size_t n, const struct s2c_event *event, uint64_t entry,
			unsigned int level);

/* A size as people write it: "4K", "2M", "24 bytes". */
void s2c_describe_size(char *buffer, size_t n, uint64_t bytes);

#ifdef __cplusplus
}
#endif

#endif
