/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's console: what it says to us, and how the user sees it. See console.c. */
#ifndef STAGE2_CONSOLE_H
#define STAGE2_CONSOLE_H

#include <stdio.h>

#include "run.h"

#define CONSOLE_LINE   1024
#define CONSOLE_PROMPT "guest# " /* of tests/workload/init */

enum console_mode {
	CONSOLE_HIDDEN,
	CONSOLE_LINES, /* cleaned of control characters; a live line may stand below */
	CONSOLE_RAW,   /* byte for byte: a person is typing */
};

struct console {
	struct run_result *result;
	FILE *file; /* --console; may be NULL */
	int out;    /* where the user sees it */
	enum console_mode mode;
	unsigned int escape; /* within an escape sequence: 1 after ESC, 2 after ESC [ */
	unsigned int length;
	unsigned int live; /* a live line stands on the terminal */
	int error;         /* writing to the user failed: errno */
	char line[CONSOLE_LINE];
};

/* Bytes from the guest, at that time since the run began. */
void console_feed(struct console *console, const char *bytes, size_t n, double now_s);
/* The guest says no more: shows what stands without a line's end, removes the live line. */
void console_finish(struct console *console, double now_s);
/* Writes or rewrites the live line below the guest's. */
void console_live(struct console *console, const char *text);
/* The guest's shell has shown its prompt, and nothing after it. */
int console_at_prompt(const struct console *console);
/* The guest has got so far. What its console says of it is found by console_feed(). */
void console_add_phase(struct run_result *result, const char *name, double now_s);
/* The newest phase's name, or what to say before the first. */
const char *console_phase(const struct console *console);

#endif
