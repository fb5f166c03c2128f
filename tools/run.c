// SPDX-License-Identifier: BSD-2-Clause
/*
 * The subcommand `run`: options, files, guest, report, in this order. And what an end is called.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "numbers.h"
#include "options.h"
#include "show.h"

static const struct {
	const char *name;
	const char *text;
} ends[RUN_ENDS] = {
	[RUN_END_OFF] = { "off", "the guest switched itself off" },
	[RUN_END_RESET] = { "reset", "the guest reset itself" },
	[RUN_END_STUCK] = { "stuck", "the guest cannot go on" },
	[RUN_END_ERROR] = { "error", "the hypervisor refused" },
	[RUN_END_CRASH] = { "crash", "the hypervisor crashed" },
	[RUN_END_TIMEOUT] = { "timeout", "the watchdog ended it: --timeout is over" },
	[RUN_END_STALL] = { "stall", "the watchdog ended it: neither console output nor exits to "
				     "the hypervisor for as long as --stall allows" },
	[RUN_END_QEMU] = { "qemu", "QEMU ended without a word from the hypervisor" },
	[RUN_END_QUIT] = { "quit", "ended by Ctrl-A x" },
	[RUN_END_SIGNAL] = { "signal", "ended by a signal" },
	[RUN_END_OUTPUT] = { "output", "the console or the trace could not be written" },
};

const char *run_end_name(enum run_end end)
{
	return ends[end].name;
}

const char *run_end_text(const struct run_options *options, const struct run_result *result)
{
	if (result->end == RUN_END_QEMU && (options->flags & RUN_PLAIN))
		return "QEMU failed";
	if (result->end == RUN_END_QEMU && result->report)
		return "QEMU ended before the guest did";
	if (result->end == RUN_END_RESET && result->panic[0])
		return "the guest's kernel panicked";
	return ends[result->end].text;
}

int run_exit_code(const struct run_result *result)
{
	if (result->end == RUN_END_ERROR && !result->report->guest_start)
		return EXIT_USAGE;
	return result->end == RUN_END_OFF || result->end == RUN_END_QUIT ? EXIT_OK : EXIT_GUEST;
}

/* FILE, FILE.json and FILE.svg all name the pair FILE.json, FILE.svg. */
static char *report_name(const char *file, const char *extension)
{
	size_t length = strlen(file);
	char *name = NULL;

	if (length > 5 && !strcmp(file + length - 5, ".json"))
		length -= 5;
	else if (length > 4 && !strcmp(file + length - 4, ".svg"))
		length -= 4;
	if (asprintf(&name, "%.*s%s", (int)length, file, extension) < 0)
		abort();
	return name;
}

typedef int (*show_fn)(FILE *out, const struct run_options *options,
		       const struct run_result *result, const struct numbers *numbers);

static int write_file(const struct run_options *options, const struct run_result *result,
		      const struct numbers *numbers, const char *extension, show_fn show)
{
	char *name = report_name(options->report, extension);
	FILE *file = fopen(name, "we");
	int failed = !file;

	if (file) {
		failed = show(file, options, result, numbers);
		failed |= fclose(file);
	}
	if (failed)
		complain("cannot write '%s': %s", name, strerror(errno));
	free(name);
	return failed ? EXIT_USAGE : 0;
}

static int show(const struct run_options *options, const struct run_result *result)
{
	struct numbers numbers;
	int failed = 0;

	numbers_digest(&numbers, options, result);
	if (options->report)
		failed = write_file(options, result, &numbers, ".json", show_json);
	if (options->report && !failed && result->report && result->report->guest_start)
		failed = write_file(options, result, &numbers, ".svg", show_svg);
	if (options->flags & RUN_JSON)
		show_json(stdout, options, result, &numbers);
	else
		show_text(stdout, options, result, &numbers);
	if (fflush(stdout) && !failed)
		failed = complain("cannot write the report: %s", strerror(errno));
	numbers_free(&numbers);
	return failed;
}

/* Where the files of --report will go, tried before the guest runs rather than after. */
static int check_report(const struct run_options *options)
{
	char *name;
	FILE *file;

	if (!options->report)
		return 0;
	name = report_name(options->report, ".json");
	file = fopen(name, "ae");
	if (file)
		fclose(file);
	else
		complain("cannot write '%s': %s", name, strerror(errno));
	free(name);
	return file ? 0 : EXIT_USAGE;
}

int run_main(int argc, char **argv)
{
	struct run_options options;
	struct run_result result;

	switch (options_parse(argc, argv, &options)) {
	case OPTIONS_HELPED:
		return EXIT_OK;
	case OPTIONS_BAD:
		return EXIT_USAGE;
	case OPTIONS_RUN:
		break;
	}
	if (files_check(&options) || check_report(&options) || run_guest(&options, &result))
		return EXIT_USAGE;
	if (result.end == RUN_END_SIGNAL) {
		/* Whoever started us shall see what ended us. */
		signal(result.signal, SIG_DFL);
		raise(result.signal);
	}
	/* A report that is lost fails a run, but it is no EXIT_USAGE: the guest did run. */
	return show(&options, &result) ? EXIT_GUEST : run_exit_code(&result);
}
