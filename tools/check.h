/* SPDX-License-Identifier: BSD-2-Clause */
/* `stage2 check`, between its parts: check.c the command line, judge.c, findings.c, convert.c. */
#ifndef STAGE2_CHECK_H
#define STAGE2_CHECK_H

#include "../check/symbols.h"
#include "../check/trace.h"

enum check_exit {
	CHECK_CLEAN = 0,
	CHECK_FOUND = 1,
	CHECK_BAD = 2,
};

enum check_flag {
	CHECK_JSON = 1u << 0,
	CHECK_RULES = 1u << 1,
	CHECK_EXPECT = 1u << 2,
	CHECK_ALL = 1u << 3, /* --max all */
	CHECK_OWED_AT_RUN = 1u << 4,
};

enum convert {
	CONVERT_NO,
	CONVERT_TEXT,
	CONVERT_BINARY,
	CONVERT_CASEMATE,
};

struct check_options {
	unsigned int flags; /* enum check_flag */
	enum convert convert;
	uint64_t max;
	const char *explain;
	const char *output;
	struct s2c_symbols *symbols;
};

/* The subcommand. */
int check_main(int argc, char **argv);

/* Judges a trace and shows what was found. Returns enum check_exit. */
int judge_trace(const struct check_options *options, const char *name);
/* Copies it in another form. The same. */
int convert_trace(const struct check_options *options, const char *name);

/*
 * The reader for a file (`-`: standard input), and its descriptor for check_close(). Returns NULL
 * after saying why not. `how`: enum s2c_trace_option.
 */
struct s2c_trace *check_open(const char *name, unsigned int how, int *fd);
void check_close(struct s2c_trace *trace, int fd);
/* What messages call it. */
const char *check_name(const char *name);

#endif
