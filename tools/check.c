// SPDX-License-Identifier: BSD-2-Clause
/*
 * `stage2 check`: its command line, and the table of rules. judge.c and convert.c do the work.
 *
 * Exit codes: 0 clean (or as expected), 1 violations (or not as expected), 2 bad input. Of several
 * traces, the highest.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "live.h"
#include "run.h"

#define MAX_SHOWN 10 /* default of --max for text */

static const char help_text[] =
	"Usage: stage2 check [OPTION]... FILE...\n"
	"       stage2 check --convert text|binary|casemate [-o FILE] FILE\n"
	"       stage2 check --rules | --explain RULE\n"
	"       stage2 check --live ... (see stage2 check --live --help)\n"
	"Judges a trace of what a hypervisor did to its second-stage page tables (stores, TLBIs,\n"
	"barriers, registers) by the rules of the architecture. A FILE called - is standard "
	"input.\n"
	"\n"
	"  --max N            violations shown of each trace, or 'all' (default: 10; JSON: all)\n"
	"  --symbols FILE     names for program counters: an ELF, or a list such as System.map;\n"
	"                     FILE+0xOFFSET if it ran that much above its addresses; repeatable\n"
	"  --json             one JSON object a line: the violations, then a summary\n"
	"  --owed-at-run      what a CPU removed must be invalidated before it enters the guest\n"
	"                     again: for traces without hints (done, empty, take...)\n"
	"  --expect           succeed if exactly the rules of the trace's '# expect: RULE' lines\n"
	"                     are broken, in that order (without such lines: none)\n"
	"\n"
	"  --rules            all rules: id, what must hold, where the manual says so\n"
	"  --explain RULE     one of them, and what would be right\n"
	"\n"
	"  --convert FORM     copy a trace as text, binary or for casemate; comments are lost\n"
	"  --output FILE, -o  where to (default: standard output)\n"
	"\n"
	"Exit status: 0 clean; 1 rules were broken; 2 a trace cannot be read, or bad usage.\n"
	"\n"
	"Examples:\n"
	"  stage2 check --symbols vmlinux boot.trace\n"
	"  stage2 check --explain tlbi-early\n"
	"  stage2 check --json boot.trace | tail -n 1 | jq .by_rule\n";

/* Rules. */

static json_t *rule_object(const struct s2c_rule *rule)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "rule", rule->id, "title", rule->title, "manual",
			 rule->manual, "advice", rule->advice);
}

static int put_json(json_t *value)
{
	int failed = !value || json_dumpf(value, stdout, JSON_COMPACT);

	json_decref(value);
	putchar('\n');
	return failed ? complain("cannot write the report: no memory, or no room") : 0;
}

static int show_rules(const struct check_options *options)
{
	json_t *array;

	if (options->flags & CHECK_JSON) {
		array = json_array();
		for (size_t i = 0; i < s2c_nrules; i++)
			json_array_append_new(array, rule_object(&s2c_rules[i]));
		return put_json(array);
	}
	for (size_t i = 0; i < s2c_nrules; i++)
		printf("%s%s\n    %s.\n    %s\n", i ? "\n" : "", s2c_rules[i].id,
		       s2c_rules[i].title, s2c_rules[i].manual);
	return CHECK_CLEAN;
}

static int explain(const struct check_options *options)
{
	const struct s2c_rule *rule = s2c_rule(options->explain);

	if (!rule)
		return complain("no rule is called '%s': `stage2 check --rules` lists them all",
				options->explain);
	if (options->flags & CHECK_JSON)
		return put_json(rule_object(rule));
	printf("%s\n  rule    %s.\n  right   %s\n  manual  %s\n", rule->id, rule->title,
	       rule->advice, rule->manual);
	return CHECK_CLEAN;
}

/* Files. */

struct s2c_trace *check_open(const char *name, unsigned int how, int *fd)
{
	struct s2c_trace *trace;

	*fd = strcmp(name, "-") ? open(name, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (*fd < 0) {
		complain("trace '%s': %s", name, strerror(errno));
		return NULL;
	}
	trace = s2c_trace_open(*fd, how);
	if (!trace) {
		complain("trace '%s': no memory", name);
		close(*fd);
	}
	return trace;
}

void check_close(struct s2c_trace *trace, int fd)
{
	s2c_trace_close(trace);
	if (fd != STDIN_FILENO)
		close(fd);
}

const char *check_name(const char *name)
{
	return strcmp(name, "-") ? name : "standard input";
}

/* The command line. */

enum option_key {
	OPT_MAX = 0x100,
	OPT_SYMBOLS,
	OPT_EXPLAIN,
	OPT_CONVERT,
	OPT_OUTPUT,
	OPT_HELP,
	/* Those without a value: the key is OPT_FLAG plus enum check_flag. */
	OPT_FLAG = 0x10000,
};

static const struct option long_options[] = {
	{ "max", required_argument, NULL, OPT_MAX },
	{ "symbols", required_argument, NULL, OPT_SYMBOLS },
	{ "explain", required_argument, NULL, OPT_EXPLAIN },
	{ "convert", required_argument, NULL, OPT_CONVERT },
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "json", no_argument, NULL, OPT_FLAG + CHECK_JSON },
	{ "rules", no_argument, NULL, OPT_FLAG + CHECK_RULES },
	{ "expect", no_argument, NULL, OPT_FLAG + CHECK_EXPECT },
	{ "owed-at-run", no_argument, NULL, OPT_FLAG + CHECK_OWED_AT_RUN },
	{ NULL, 0, NULL, 0 },
};

static int set_max(struct check_options *options, const char *text)
{
	char *end;

	options->flags &= ~(unsigned int)CHECK_ALL;
	if (!strcmp(text, "all")) {
		options->flags |= CHECK_ALL;
		return 0;
	}
	errno = 0;
	options->max = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno)
		return complain("--max %s: must be a number, or all", text);
	return 0;
}

static int set_convert(struct check_options *options, const char *text)
{
	static const char *const forms[] = {
		[CONVERT_TEXT] = "text",
		[CONVERT_BINARY] = "binary",
		[CONVERT_CASEMATE] = "casemate",
	};

	for (unsigned int i = CONVERT_TEXT; i <= CONVERT_CASEMATE; i++) {
		if (!strcmp(text, forms[i])) {
			options->convert = (enum convert)i;
			return 0;
		}
	}
	return complain("--convert %s: must be text, binary or casemate", text);
}

static int add_symbols(struct check_options *options, const char *spec)
{
	char error[512];

	if (!options->symbols)
		options->symbols = s2c_symbols_new();
	if (!options->symbols)
		return complain("--symbols %s: no memory", spec);
	if (s2c_symbols_add(options->symbols, spec, error, sizeof(error)))
		return complain("%s", error);
	return 0;
}

static int apply(struct check_options *options, int key, const char *value)
{
	switch (key) {
	case OPT_MAX:
		return set_max(options, value);
	case OPT_SYMBOLS:
		return add_symbols(options, value);
	case OPT_CONVERT:
		return set_convert(options, value);
	case OPT_EXPLAIN:
		options->explain = value;
		return 0;
	case OPT_OUTPUT:
	case 'o':
		options->output = value;
		return 0;
	default:
		if (key < OPT_FLAG)
			return complain(
				"try `stage2 check --help`"); /* getopt said what is wrong */
		options->flags |= (unsigned int)(key - OPT_FLAG);
		return 0;
	}
}

static int contradictions(const struct check_options *options, int files)
{
	if ((options->flags & CHECK_RULES) || options->explain)
		return files ? complain("--rules and --explain look at no trace") : 0;
	if (!files)
		return complain("which trace? name a file, or - for standard input");
	if (options->convert && files > 1)
		return complain("--convert copies one trace at a time");
	if (options->convert && (options->flags & (CHECK_JSON | CHECK_EXPECT)))
		return complain("--convert judges nothing: --json and --expect mean nothing");
	if (options->output && !options->convert)
		return complain("--output is for --convert alone: redirect the report with >");
	return 0;
}

static int work(const struct check_options *options, int n, char **names)
{
	int result = CHECK_CLEAN;

	if (contradictions(options, n))
		return CHECK_BAD;
	if (options->flags & CHECK_RULES)
		return show_rules(options);
	if (options->explain)
		return explain(options);
	for (int i = 0; i < n; i++) {
		int one = options->convert ? convert_trace(options, names[i])
					   : judge_trace(options, names[i]);

		if (one > result)
			result = one;
	}
	return result;
}

int check_main(int argc, char **argv)
{
	struct check_options options = { .max = MAX_SHOWN };
	char name[] = "stage2";
	int result = 0;
	int max_given = 0;
	int key;

	if (argc > 1 && !strcmp(argv[1], "--live"))
		return live_main(argc, argv);
	argv[0] = name; /* getopt's messages begin with it, as ours */
	while (!result && (key = getopt_long(argc, argv, "ho:", long_options, NULL)) != -1) {
		if (key == OPT_HELP || key == 'h') {
			fputs(help_text, stdout);
			s2c_symbols_free(options.symbols);
			return CHECK_CLEAN;
		}
		max_given |= key == OPT_MAX;
		result = apply(&options, key, optarg);
	}
	if ((options.flags & CHECK_JSON) && !max_given)
		options.flags |= CHECK_ALL;
	if (!result)
		result = work(&options, argc - optind, argv + optind);
	s2c_symbols_free(options.symbols);
	if (fflush(stdout) || ferror(stdout))
		return complain("cannot write the report: %s", strerror(errno));
	return result;
}
