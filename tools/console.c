// SPDX-License-Identifier: BSD-2-Clause
/*
 * The guest's console. Bytes are gathered into lines; of these, a few mean something to us:
 * "phase: NAME" and "workload: checksum HEX" of tests/workload/init, and what Linux says when it
 * starts init and when it panics. The numbers of the report do not come from here:
 * a guest can print what it likes.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "console.h"
#include "terminal.h"

/* All of it, to a descriptor that blocks. */
static void put(struct console *console, const char *bytes, size_t n)
{
	while (n && !console->error) {
		ssize_t done = write(console->out, bytes, n);

		if (done < 0 && errno != EINTR)
			console->error = errno;
		if (done > 0) {
			bytes += done;
			n -= (size_t)done;
		}
	}
}

static void clear_live(struct console *console)
{
	if (console->live)
		put(console, "\r\033[K", 4);
	console->live = 0;
}

void console_live(struct console *console, const char *text)
{
	unsigned int columns = terminal_columns(console->out);
	size_t n = strlen(text);

	if (!columns || console->mode == CONSOLE_RAW)
		return;
	clear_live(console);
	put(console, text, n < columns ? n : columns - 1);
	console->live = 1;
}

void console_add_phase(struct run_result *result, const char *name, double now_s)
{
	struct run_phase *phase;

	if (result->nphases == RUN_PHASES)
		return;
	phase = &result->phases[result->nphases++];
	snprintf(phase->name, sizeof(phase->name), "%s", name);
	phase->at_s = now_s;
}

/* The text behind `marker`, or NULL. Kernel lines have their time before it. */
static const char *after(const char *line, const char *marker)
{
	const char *found = strstr(line, marker);

	return found ? found + strlen(marker) : NULL;
}

static void understand(struct run_result *result, const char *line, double now_s)
{
	const char *rest;

	if (!strncmp(line, "phase: ", 7))
		console_add_phase(result, line + 7, now_s);
	else if (!strncmp(line, "workload: checksum ", 19))
		snprintf(result->checksum, sizeof(result->checksum), "%s", line + 19);
	else if (after(line, "] Run ") && after(line, " as init process"))
		console_add_phase(result, "init", now_s);
	else if ((rest = after(line, "Kernel panic - ")) && !result->panic[0])
		snprintf(result->panic, sizeof(result->panic), "%s", rest);
}

static void end_line(struct console *console, double now_s)
{
	console->line[console->length] = '\0';
	console->result->console_lines++;
	understand(console->result, console->line, now_s);
	if (console->mode == CONSOLE_LINES) {
		clear_live(console);
		console->line[console->length] = '\n';
		put(console, console->line, console->length + 1);
	}
	console->length = 0;
}

/* Control characters and escape sequences do not belong into a line. */
static void feed_byte(struct console *console, char byte, double now_s)
{
	unsigned char c = (unsigned char)byte;

	if (console->escape) {
		if (console->escape == 1 && c == '[')
			console->escape = 2;
		else if (console->escape == 1 || (c >= 0x40 && c < 0x7f))
			console->escape = 0;
		return;
	}
	if (c == '\n') {
		end_line(console, now_s);
		return;
	}
	if (c == 0x1b)
		console->escape = 1;
	if ((c < 0x20 && c != '\t') || c == 0x7f)
		return;
	if (console->length == CONSOLE_LINE - 1)
		end_line(console, now_s);
	console->line[console->length++] = byte;
}

void console_feed(struct console *console, const char *bytes, size_t n, double now_s)
{
	console->result->console_bytes += n;
	if (console->file && fwrite(bytes, 1, n, console->file) != n)
		console->error = errno;
	if (console->mode == CONSOLE_RAW)
		put(console, bytes, n);
	for (size_t i = 0; i < n; i++)
		feed_byte(console, bytes[i], now_s);
}

void console_finish(struct console *console, double now_s)
{
	if (console->length)
		end_line(console, now_s);
	clear_live(console);
}

int console_at_prompt(const struct console *console)
{
	size_t n = sizeof(CONSOLE_PROMPT) - 1;

	return console->length == n && !memcmp(console->line, CONSOLE_PROMPT, n);
}

const char *console_phase(const struct console *console)
{
	const struct run_result *result = console->result;

	return result->nphases ? result->phases[result->nphases - 1].name : "start";
}
