// SPDX-License-Identifier: BSD-2-Clause
/*
 * A trace is copied in another form. Comments are not events, so they are lost; a range that `init`
 * fills stays one line or record (casemate gets words, to which its format is limited).
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "progress.h"
#include "run.h"

struct copy {
	const char *name;
	struct s2c_trace *trace;
	struct progress progress;
};

static int convert_events(const struct check_options *options, struct copy *copy, FILE *out)
{
	struct s2c_casemate *casemate =
		options->convert == CONVERT_CASEMATE ? s2c_casemate_new(out) : NULL;
	enum s2c_trace_form form =
		options->convert == CONVERT_BINARY ? S2C_TRACE_BINARY : S2C_TRACE_TEXT;
	struct s2c_event event;
	int got, failed = 0;

	if (options->convert == CONVERT_CASEMATE && !casemate)
		return complain("%s: no memory", copy->name);
	if (!casemate)
		failed = s2c_trace_write_start(out, form, s2c_trace_cpu(copy->trace));
	progress_start(&copy->progress, copy->name);
	while ((got = s2c_trace_next(copy->trace, &event)) > 0 && !failed) {
		failed = casemate ? s2c_casemate_event(casemate, &event) || ferror(out)
				  : s2c_trace_write_event(out, form, &event);
		progress_count(&copy->progress);
	}
	progress_hide(&copy->progress);
	if (got < 0)
		failed = complain("%s: %s", copy->name, s2c_trace_error(copy->trace));
	else if (casemate && s2c_casemate_error(casemate)[0])
		failed = complain("%s: %s", copy->name, s2c_casemate_error(casemate));
	else if (failed || fflush(out))
		failed = complain("cannot write '%s': %s",
				  options->output ? options->output : "standard output",
				  strerror(errno));
	else if (casemate && s2c_casemate_dropped(casemate))
		fprintf(stderr, "stage2: %llu events have no counterpart in casemate's format\n",
			(unsigned long long)s2c_casemate_dropped(casemate));
	s2c_casemate_free(casemate);
	return failed ? CHECK_BAD : CHECK_CLEAN;
}

/* Returns the file to write to, or NULL after saying why. */
static FILE *open_output(const struct check_options *options, int in)
{
	struct stat from, to;
	FILE *out;

	if (!options->output) {
		if (options->convert == CONVERT_BINARY && isatty(STDOUT_FILENO)) {
			complain("a binary trace is nothing for a terminal: use -o FILE");
			return NULL;
		}
		return stdout;
	}
	if (!fstat(in, &from) && !stat(options->output, &to) && from.st_dev == to.st_dev &&
	    from.st_ino == to.st_ino && S_ISREG(to.st_mode)) {
		complain("'%s' is the trace itself: write to another file", options->output);
		return NULL;
	}
	out = fopen(options->output, "we");
	if (!out)
		complain("cannot write '%s': %s", options->output, strerror(errno));
	return out;
}

int convert_trace(const struct check_options *options, const char *name)
{
	struct copy copy = { .name = check_name(name) };
	int result = CHECK_BAD;
	FILE *out;
	int fd;

	copy.trace =
		check_open(name, options->convert == CONVERT_CASEMATE ? 0 : S2C_TRACE_RANGES, &fd);
	if (!copy.trace)
		return CHECK_BAD;
	out = open_output(options, fd);
	if (out)
		result = convert_events(options, &copy, out);
	if (out && out != stdout && fclose(out) && !result)
		result = complain("cannot write '%s': %s", options->output, strerror(errno));
	check_close(copy.trace, fd);
	return result;
}
