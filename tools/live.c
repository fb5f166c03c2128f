// SPDX-License-Identifier: BSD-2-Clause
/*
 * `stage2 check --live`: starts the emulator that the user names, with our plugin in it, and shows
 * what the plugin's model finds, as it is found. QEMU keeps stdin, stdout and the terminal; all of
 * ours goes to stderr, or to the file of --output. docs/live.md is the manual.
 *
 * Exit codes: 0 clean, 1 violations, 2 bad usage, or the run was not judged to its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check/report.h"
#include "emulator.h"
#include "live.h"
#include "pack.h"
#include "plugin/link.h"
#include "run.h"

#define MAX_SHOWN 10 /* default of --max for text */

enum live_exit {
	LIVE_CLEAN = 0,
	LIVE_FOUND = 1,
	LIVE_BAD = 2,
};

struct live_options {
	int json;
	uint64_t max;
	const char *trace;
	const char *output;
	const char *plugin;
	struct s2c_symbols *symbols;
	char **command;
};

struct live {
	const struct live_options *options;
	FILE *out;
	struct emulator emulator;
	int started, ended;
	uint64_t found, troubles;
	uint64_t *by_rule; /* s2c_nrules of them */
	struct link_end end;
};

enum live_key {
	OPT_LIVE = 0x100,
	OPT_MAX,
	OPT_SYMBOLS,
	OPT_JSON,
	OPT_TRACE,
	OPT_OUTPUT,
	OPT_PLUGIN,
	OPT_HELP,
};

static const struct option long_options[] = {
	{ "live", no_argument, NULL, OPT_LIVE },
	{ "max", required_argument, NULL, OPT_MAX },
	{ "symbols", required_argument, NULL, OPT_SYMBOLS },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "trace", required_argument, NULL, OPT_TRACE },
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "plugin", required_argument, NULL, OPT_PLUGIN },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static const char help_text[] =
	"Usage: stage2 check --live [OPTION]... -- QEMU [ARGUMENT]...\n"
	"Starts QEMU (qemu-system-aarch64 10.0 or later; scripts/qemu10 has one) and watches what\n"
	"the hypervisor in it does to its second-stage page tables. The hypervisor needs no "
	"change\n"
	"and no symbols; the machine needs EL2 (-machine virt,virtualization=on). QEMU keeps\n"
	"stdin and stdout; reports go to stderr.\n"
	"\n"
	"  --max N            violations shown, or 'all' (default: 10; JSON: all)\n"
	"  --symbols FILE     names for program counters: an ELF, or a list such as System.map;\n"
	"                     FILE+0xOFFSET if it ran that much above its addresses; repeatable\n"
	"  --json             one JSON object a line: the violations, then a summary\n"
	"  --output FILE, -o  reports go there instead of stderr\n"
	"  --trace FILE       also writes what happened, for `stage2 check FILE`\n"
	"  --plugin FILE      stage2-check.so (or $STAGE2_PLUGIN)\n"
	"\n"
	"Exit status: 0 clean; 1 rules were broken; 2 not judged to the end, or bad usage.\n"
	"\n"
	"Example:\n"
	"  stage2 check --live --symbols vmlinux -- scripts/qemu10 -nodefaults -display none \\\n"
	"      -serial stdio -machine virt,virtualization=on -cpu max -m 1G -kernel Image \\\n"
	"      -append 'console=ttyAMA0 nokaslr'\n";

/* Reports */

static void report(struct live *live, const struct link_violation *message)
{
	struct s2c_violation violation = message->violation;
	struct s2c_report_options how = {
		.symbols = live->options->symbols,
		.flags = isatty(fileno(live->out)) && !getenv("NO_COLOR") ? S2C_REPORT_COLOUR : 0,
	};

	violation.rule = s2c_rule(message->rule);
	if (!violation.rule) {
		live->troubles++;
		complain("the plugin speaks of a rule '%.64s' that we do not have: it is another "
			 "version's, build both anew",
			 message->rule);
		return;
	}
	live->by_rule[violation.rule - s2c_rules]++;
	if (live->found++ >= live->options->max)
		return;
	if (live->options->json) {
		s2c_report_json(live->out, &violation, &how);
	} else {
		s2c_report_text(live->out, &violation, &how);
		fputc('\n', live->out);
	}
	fflush(live->out);
}

static void put_count(const struct live *live, const char *before, uint64_t n, const char *one,
		      const char *many)
{
	fprintf(live->out, "%s%llu %s", before, (unsigned long long)n, n == 1 ? one : many);
}

static void summarize(const struct live *live)
{
	const struct s2c_stats *stats = &live->end.stats;
	const char *before = " (";

	fputs("stage2: ", live->out);
	if (live->found)
		put_count(live, "", live->found, "violation", "violations");
	else
		fputs(stats->runs ? "clean" : "nothing judged", live->out);
	for (size_t i = 0; i < s2c_nrules; i++) {
		if (live->by_rule[i]) {
			fprintf(live->out, "%s%s %llu", before, s2c_rules[i].id,
				(unsigned long long)live->by_rule[i]);
			before = ", ";
		}
	}
	put_count(live, live->found ? "); " : "; ", stats->events, "event", "events");
	put_count(live, ", ", stats->entries, "entry judged", "entries judged");
	put_count(live, ", ", stats->tlbis, "TLBI", "TLBIs");
	put_count(live, ", ", stats->dsbs, "DSB", "DSBs");
	put_count(live, ", ", stats->runs, "guest entry", "guest entries");
	put_count(live, " in ", stats->trees, "address space", "address spaces");
	if (stats->suspended)
		put_count(live, ", ", stats->suspended, "finding",
			  "findings in tables that nobody uses");
	fputc('\n', live->out);
	if (live->found > live->options->max)
		fprintf(live->out, "stage2: %llu more were not shown: --max all shows them\n",
			(unsigned long long)(live->found - live->options->max));
}

/* Keys are stable: add, do not rename. A violation has no "violations". */
static int summarize_json(const struct live *live)
{
	const struct s2c_stats *stats = &live->end.stats;
	json_t *summary = json_object(), *kinds = json_object();
	int failed;

	pack_findings(summary, live->found, live->by_rule, stats);
	pack_number(summary, "trees", stats->trees);
	pack_number(summary, "stores", live->end.stores);
	for (unsigned int i = 0; i < S2C_KINDS; i++)
		if (live->end.events[i])
			pack_number(kinds, s2c_kind_name(i), live->end.events[i]);
	json_object_set_new(summary, "by_kind", kinds);
	failed = json_dumpf(summary, live->out, JSON_COMPACT);
	json_decref(summary);
	fputc('\n', live->out);
	return failed;
}

/* The plugin's messages */

static int take_start(struct live *live, const struct link_start *start)
{
	if (start->magic != LINK_MAGIC || start->violation_size != sizeof(struct s2c_violation))
		return complain("the plugin '%s' is another version's: build both anew",
				live->options->plugin);
	live->started = 1;
	return 0;
}

static int take(struct live *live, const struct link_head *head, const void *message)
{
	static const size_t size[LINK_KINDS] = {
		[LINK_START] = sizeof(struct link_start),
		[LINK_VIOLATION] = sizeof(struct link_violation),
		[LINK_TROUBLE] = LINK_TEXT,
		[LINK_REFUSED] = LINK_TEXT,
		[LINK_END] = sizeof(struct link_end),
	};

	if (head->kind >= LINK_KINDS || head->size != size[head->kind])
		return complain("the plugin '%s' is another version's: build both anew",
				live->options->plugin);
	switch (head->kind) {
	case LINK_START:
		return take_start(live, message);
	case LINK_VIOLATION:
		report(live, message);
		return 0;
	case LINK_TROUBLE:
		live->troubles++;
		complain("%.*s", LINK_TEXT, (const char *)message);
		return 0;
	case LINK_REFUSED:
		return complain("%.*s", LINK_TEXT, (const char *)message);
	default:
		memcpy(&live->end, message, sizeof(live->end));
		live->ended = 1;
		return 0;
	}
}

/* Until the emulator closes its end. Returns 0, or LIVE_BAD after saying why. */
static int follow(struct live *live)
{
	static union {
		struct link_start start;
		struct link_violation violation;
		struct link_end end;
		char text[LINK_TEXT];
	} message;
	struct link_head head;

	while (!emulator_read(&live->emulator, &head, sizeof(head))) {
		if (head.size > sizeof(message) ||
		    emulator_read(&live->emulator, &message, head.size))
			head.kind = LINK_KINDS;
		if (take(live, &head, &message)) {
			emulator_kill(&live->emulator);
			return LIVE_BAD;
		}
	}
	return 0;
}

/* How it ended, and what that makes of the result. */
static int conclude(struct live *live, int status)
{
	const char *name = live->options->command[0];

	if (!live->started)
		return complain("'%s' ended before its machine started: this needs QEMU 10.0 or "
				"later with plugins (scripts/qemu10 starts one) and arguments that "
				"it accepts",
				name);
	if (!live->ended) {
		if (WIFSIGNALED(status))
			complain("'%s' was ended by signal %d: its last moments are not judged",
				 name, WTERMSIG(status));
		else
			complain("'%s' ended without a word: its last moments are not judged",
				 name);
		return live->found ? LIVE_FOUND : LIVE_BAD;
	}
	if (live->options->json && summarize_json(live))
		return complain("cannot write the summary: no memory, or no room");
	if (!live->options->json)
		summarize(live);
	if (live->found)
		return LIVE_FOUND;
	if (!live->end.stats.runs)
		return complain("no guest ever ran under stage 2, so nothing could be judged");
	return live->troubles ? LIVE_BAD : LIVE_CLEAN;
}

static int run(const struct live_options *options, FILE *out, int trace)
{
	struct live live = { .options = options, .out = out };
	int result, status;

	live.by_rule = calloc(s2c_nrules, sizeof(*live.by_rule));
	if (!live.by_rule)
		return complain("no memory");
	result = emulator_start(&live.emulator, options->command, options->plugin, trace);
	if (!result) {
		result = follow(&live);
		status = emulator_wait(&live.emulator);
		if (!result)
			result = conclude(&live, status);
	}
	free(live.by_rule);
	return result;
}

/* Files and options */

/* Beside our executable where the build, or the installation, puts it. NULL: neither. */
static char *find_plugin(void)
{
	static const char *const places[] = { "plugin/stage2-check.so",
					      "../lib/stage2/stage2-check.so" };
	const char *named = getenv("STAGE2_PLUGIN");
	char own[PATH_MAX], *path, *slash;
	ssize_t n;

	if (named && named[0])
		return strdup(named);
	n = readlink("/proc/self/exe", own, sizeof(own) - 1);
	own[n > 0 ? n : 0] = '\0';
	slash = strrchr(own, '/');
	if (slash)
		*slash = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (asprintf(&path, "%s/%s", own, places[i]) < 0)
			abort();
		if (!access(path, R_OK))
			return path;
		free(path);
	}
	return NULL;
}

static int run_with_files(const struct live_options *options)
{
	FILE *out = stderr;
	int trace = -1, result;

	if (options->trace) {
		/* Without CLOEXEC: the plugin writes it. */
		trace = open(options->trace, O_WRONLY | O_CREAT | O_TRUNC, 0666);
		if (trace < 0)
			return complain("cannot write '%s': %s", options->trace, strerror(errno));
	}
	if (options->output) {
		out = fopen(options->output, "we");
		if (!out) {
			complain("cannot write '%s': %s", options->output, strerror(errno));
			if (trace >= 0)
				close(trace);
			return LIVE_BAD;
		}
	}
	result = run(options, out, trace);
	if (fflush(out) || ferror(out))
		result = complain("cannot write the report: %s", strerror(errno));
	if (out != stderr)
		fclose(out);
	if (trace >= 0)
		close(trace);
	return result;
}

static int run_with_plugin(struct live_options *options)
{
	char *found = NULL;
	int result;

	if (!options->plugin) {
		found = find_plugin();
		options->plugin = found;
	}
	if (!options->plugin)
		return complain("stage2-check.so is not beside this program: build it "
				"(make), or name it with --plugin FILE");
	if (access(options->plugin, R_OK)) {
		result = complain("plugin '%s': %s", options->plugin, strerror(errno));
	} else {
		char *full = realpath(options->plugin, NULL);

		/* QEMU would look for a bare name in the system's directories. */
		if (!full)
			abort();
		options->plugin = full;
		result = run_with_files(options);
		free(full);
	}
	free(found);
	return result;
}

static int set_max(struct live_options *options, const char *text)
{
	char *end;

	if (!strcmp(text, "all")) {
		options->max = UINT64_MAX;
		return 0;
	}
	errno = 0;
	options->max = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno)
		return complain("--max %s: must be a number, or 'all'", text);
	return 0;
}

static int add_symbols(struct live_options *options, const char *spec)
{
	char error[512];

	if (!options->symbols)
		options->symbols = s2c_symbols_new();
	if (!options->symbols)
		return complain("no memory");
	if (s2c_symbols_add(options->symbols, spec, error, sizeof(error)))
		return complain("%s", error);
	return 0;
}

static int apply(struct live_options *options, int key, const char *value)
{
	switch (key) {
	case OPT_LIVE:
		return 0;
	case OPT_MAX:
		return set_max(options, value);
	case OPT_SYMBOLS:
		return add_symbols(options, value);
	case OPT_JSON:
		options->json = 1;
		return 0;
	case OPT_TRACE:
		options->trace = value;
		return 0;
	case OPT_OUTPUT:
	case 'o':
		options->output = value;
		return 0;
	case OPT_PLUGIN:
		options->plugin = value;
		return 0;
	default:
		return complain("try `stage2 check --live --help`"); /* getopt said what is wrong */
	}
}

int live_main(int argc, char **argv)
{
	struct live_options options = { .max = UINT64_MAX - 1 };
	const uint64_t not_given = options.max;
	char name[] = "stage2";
	int result = 0, key;

	argv[0] = name; /* getopt's messages begin with it, as ours */
	optind = 1;
	/* '+': what follows the first word that is no option is the emulator's. */
	while (!result && (key = getopt_long(argc, argv, "+ho:", long_options, NULL)) != -1) {
		if (key == OPT_HELP || key == 'h') {
			fputs(help_text, stdout);
			s2c_symbols_free(options.symbols);
			return LIVE_CLEAN;
		}
		result = apply(&options, key, optarg);
	}
	if (options.max == not_given)
		options.max = options.json ? UINT64_MAX : MAX_SHOWN;
	options.command = argv + optind;
	if (!result && optind == argc)
		result =
			complain("which machine? `stage2 check --live -- qemu-system-aarch64 ...`");
	if (!result)
		result = run_with_plugin(&options);
	s2c_symbols_free(options.symbols);
	return result;
}
