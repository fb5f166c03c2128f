// SPDX-License-Identifier: BSD-2-Clause
/*
 * `stage2 scenario`: its command line, where scenarios are found, and how they are printed, for
 * people or as one JSON object a line.
 *
 * A scenario is a file, or the name of one that came with stage2: those lie in one directory, in
 * the source tree or where it was installed to.
 *
 * Exit codes: 0 all is as the scenarios say, 1 it is not, 2 bad input. Of several files, the
 * highest.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"
#include "scenario.h"
#include "scenario_command.h"

#define SUFFIX ".scenario"
#define MAX    (256u << 10) /* bytes of a file */
#define RESULT (SCN_COLUMNS - SCN_RESULTS)

static const char help_text[] =
	"Usage: stage2 scenario [--json] FILE|NAME...\n"
	"       stage2 scenario --list | --forms\n"
	"Plays step by step what a host, vCPUs and the engine do to a guest's memory, on a "
	"simulated\n"
	"machine whose TLBs may hold whatever the architecture permits, and shows what comes of "
	"it.\n"
	"A file says what must happen.\n"
	"\n"
	"  --list             the scenarios that came with stage2, by NAME\n"
	"  --forms            all that a line of a scenario can be, and its words in capitals\n"
	"  --json             one JSON object a line: what is shown, then a summary of each file\n"
	"\n"
	"How to read it: beside each step stands what came of it. `L2 > L1 > L0 page 0x80000000 "
	"r-x`\n"
	"is the way of an address through the tables: L0 are entries of 4K, L1 of 2M, and the "
	"last\n"
	"one is a page, a block, or nothing. What a step is interrupted by is indented below it, "
	"and\n"
	"after `...` it goes on. BROKEN is a rule that was broken, in the checker's words.\n"
	"  gpa                an address as the guest sees it: stage-2 tables lead from it to an "
	"hpa\n"
	"  hpa                an address of the machine's memory or of a device\n"
	"  hva                an address as the VMM sees it: a slot says which gpa lie where\n"
	"  L0, L1, L2         the Arm manual's level 3, 2 and 1: it counts from the root\n"
	"  old entries may be in TLBs\n"
	"                     entries that are gone, of which a CPU may still use a copy; one of "
	"them, or\n"
	"                     a run of them: what TLBs may say -> what the tables say\n"
	"\n"
	"Exit status: 0 all happens as the file says; 1 it does not; 2 bad input.\n"
	"\n"
	"Examples:\n"
	"  stage2 scenario merge\n"
	"  stage2 scenario my.scenario && echo as I thought\n";

/* Printing */

static const char *const kinds[SCN_PRINTS] = {
	"title", "part", "say", "step", "point", "result", "tlb", "violation", "failed", "expected"
};

static void print_json(const struct scn_out *out, enum scn_print kind, const char *text,
		       const char *more)
{
	json_t *object = json_pack("{s:s, s:i, s:s, s:i, s:s, s:s*}", "file", out->file, "line",
				   (int)out->line, "kind", kinds[kind], "depth", (int)out->depth,
				   "text", text, "more", more);

	if (!object || json_dumpf(object, stdout, JSON_COMPACT))
		abort();
	json_decref(object);
	putchar('\n');
}

/* Prints text from column `at` on, which is where we are, in lines that begin at `margin`. */
static void flow(const char *text, unsigned int at, unsigned int margin)
{
	while (*text) {
		size_t room = SCN_COLUMNS - at, length = strlen(text);

		if (length > room) {
			for (length = room; length > room / 2 && text[length] != ' '; length--)
				;
			if (text[length] != ' ')
				length = room;
		}
		printf("%.*s\n", (int)length, text);
		text += length;
		text += strspn(text, " ");
		if (*text)
			printf("%*s", (int)margin, "");
		at = margin;
	}
}

static void print_text(const struct scn_out *out, enum scn_print kind, const char *text,
		       const char *more)
{
	static const char *const colours[SCN_PRINTS] = {
		[SCN_PRINT_TITLE] = "\033[1m",
		[SCN_PRINT_PART] = "\033[1m",
		[SCN_PRINT_STEP] = "",
		[SCN_PRINT_POINT] = "\033[36m",
		[SCN_PRINT_TLB] = "\033[33m",
		[SCN_PRINT_VIOLATION] = "\033[31m",
		[SCN_PRINT_FAILED] = "\033[1;31m",
	};
	unsigned int indent = 2 + 4 * out->depth, at = indent;

	if (kind == SCN_PRINT_PART)
		putchar('\n');
	if (out->colour && colours[kind])
		fputs(colours[kind], stdout);
	switch (kind) {
	case SCN_PRINT_TITLE:
		flow(text, 0, 0);
		break;
	case SCN_PRINT_PART:
		printf("-- ");
		flow(text, 3, 3);
		break;
	case SCN_PRINT_STEP:
		at += (unsigned int)printf("%*s%s", (int)indent, "", text) - indent;
		if (more && at < RESULT)
			at += (unsigned int)printf("%*s", (int)(RESULT - at), "");
		else if (more)
			at += (unsigned int)printf("  ");
		if (more)
			flow(more, at, RESULT);
		else
			putchar('\n');
		break;
	case SCN_PRINT_POINT:
		printf("%*s%s\n", (int)indent + 2, "", text);
		break;
	case SCN_PRINT_RESULT:
	case SCN_PRINT_TLB:
		printf("%*s", RESULT, "");
		flow(text, RESULT, RESULT);
		break;
	case SCN_PRINT_SAY:
		printf("%*s", (int)indent, "");
		flow(text, indent, indent);
		break;
	default:
		printf("%*s%s ", (int)indent, "",
		       kind == SCN_PRINT_FAILED ? "NOT AS SAID:" : "BROKEN:");
		flow(text, indent + (kind == SCN_PRINT_FAILED ? 13 : 8), indent + 8);
		if (more) {
			printf("%*sThe rule: ", (int)indent + 8, "");
			flow(more, indent + 18, indent + 8);
		}
		break;
	}
	if (out->colour && colours[kind])
		fputs("\033[0m", stdout);
}

void scn_print(struct scn_out *out, enum scn_print kind, const char *more, const char *format, ...)
{
	char text[600];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (out->quiet && kind != SCN_PRINT_VIOLATION && kind != SCN_PRINT_FAILED)
		return;
	if (kind == SCN_PRINT_EXPECTED && !out->json)
		return;
	out->violations += kind == SCN_PRINT_VIOLATION;
	out->failed += kind == SCN_PRINT_FAILED;
	if (out->json)
		print_json(out, kind, text, more);
	else
		print_text(out, kind, text, more);
}

static void summary(const struct scn_out *out, const char *title)
{
	json_t *object;

	if (out->json) {
		object = json_pack("{s:s, s:s, s:s, s:b, s:i, s:i, s:i, s:i}", "file", out->file,
				   "kind", "summary", "title", title, "as_said", !out->failed,
				   "steps", (int)out->steps, "expected", (int)out->expected,
				   "violations", (int)out->violations, "failed", (int)out->failed);
		if (!object || json_dumpf(object, stdout, JSON_COMPACT))
			abort();
		json_decref(object);
		putchar('\n');
		return;
	}
	printf("\n%s%s%s: %u expectation%s, %u broken rule%s\n",
	       out->colour ? (out->failed ? "\033[1;31m" : "\033[1;32m") : "",
	       out->failed ? "Not as it says" : "All as it says", out->colour ? "\033[0m" : "",
	       out->expected, scn_plural(out->expected, "", "s"), out->violations,
	       scn_plural(out->violations, "", "s"));
}

/* Files */

/* The directory of those that came with stage2: beside us in a build, or installed. */
static int directory(char *path, size_t size)
{
	static const char *const places[] = { "../share/stage2/scenarios",
					      "../../tests/scenarios" };
	const char *told = getenv("STAGE2_SCENARIOS");
	ssize_t n = readlink("/proc/self/exe", path, size - 1);
	char *slash;

	if (told && told[0])
		return snprintf(path, size, "%s", told) < (int)size ? 0 : -1;
	if (n < 0)
		return -1;
	path[n] = '\0';
	slash = strrchr(path, '/');
	for (size_t i = 0; slash && i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(slash + 1, size - (size_t)(slash + 1 - path), "%s", places[i]);
		if (!access(path, R_OK | X_OK))
			return 0;
	}
	return -1;
}

static int no_directory(void)
{
	return complain("the scenarios that came with stage2 are not where they should be: name a "
			"file, or their directory in $STAGE2_SCENARIOS");
}

/* Reads a file as a whole. Returns NULL after saying why not. */
static char *slurp(const char *name)
{
	FILE *in = fopen(name, "rb");
	char *text = in ? malloc(MAX + 1) : NULL;
	size_t n;

	if (!in) {
		complain("scenario '%s': %s (`stage2 scenario --list` shows those that exist)",
			 name, strerror(errno));
		return NULL;
	}
	if (!text)
		abort();
	n = fread(text, 1, MAX + 1, in);
	if (ferror(in) || n > MAX || memchr(text, '\0', n)) {
		complain("scenario '%s': %s", name,
			 ferror(in) ? strerror(errno)
			 : n > MAX  ? "larger than 256K: that is no scenario"
				    : "has zeros in it: that is no text");
		free(text);
		text = NULL;
	} else {
		text[n] = '\0';
	}
	fclose(in);
	return text;
}

static int play(const char *name, struct scn_out *out)
{
	struct scn_file file = { 0 };
	int ret;

	file.text = slurp(name);
	if (!file.text)
		return SCN_BAD;
	ret = scn_parse(name, &file);
	if (!ret) {
		out->file = name;
		scn_print(out, SCN_PRINT_TITLE, NULL, "%s", file.title);
		for (const struct scn_part *part = file.parts; part; part = part->next)
			scn_run_part(out, file.before, part);
		summary(out, file.title);
		ret = out->failed ? SCN_OTHERWISE : SCN_AS_SAID;
	}
	scn_free(&file);
	return ret;
}

/* A word without '/' and '.' is the name of one that came with stage2. */
static int play_any(const char *word, const struct scn_out *how)
{
	struct scn_out out = *how;
	char path[2048], file[4096];

	if (strpbrk(word, "/."))
		return play(word, &out);
	if (directory(path, sizeof(path)))
		return no_directory();
	snprintf(file, sizeof(file), "%s/%s" SUFFIX, path, word);
	return play(file, &out);
}

static int by_name(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && dot != entry->d_name && !strcmp(dot, SUFFIX);
}

static int list(void)
{
	char path[2048], file[4096];
	struct dirent **names;
	int n, ret = SCN_AS_SAID;

	if (directory(path, sizeof(path)))
		return no_directory();
	n = scandir(path, &names, by_name, alphasort);
	if (n <= 0)
		return no_directory();
	for (int i = 0; i < n; i++) {
		struct scn_file scenario = { 0 };

		snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		scenario.text = slurp(file);
		if (!scenario.text || scn_parse(file, &scenario))
			ret = SCN_BAD;
		else
			printf("%-16.*s %s\n", (int)(strlen(names[i]->d_name) - strlen(SUFFIX)),
			       names[i]->d_name, scenario.title);
		scn_free(&scenario);
		free(names[i]);
	}
	free(names);
	return ret;
}

static int forms(void)
{
	scn_print_forms();
	return SCN_AS_SAID;
}

static int is_coloured(void)
{
	const char *no_colour = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && !(no_colour && no_colour[0]);
}

int scenario_main(int argc, char **argv)
{
	static const struct option options[] = { { "help", no_argument, NULL, 'h' },
						 { "json", no_argument, NULL, 'j' },
						 { "list", no_argument, NULL, 'l' },
						 { "forms", no_argument, NULL, 'f' },
						 { NULL, 0, NULL, 0 } };
	struct scn_out out = { 0 };
	int option, worst = SCN_AS_SAID;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'h':
			fputs(help_text, stdout);
			return SCN_AS_SAID;
		case 'j':
			out.json = 1;
			break;
		case 'l':
		case 'f':
			if (argc > 2)
				return complain("%s stands alone: nothing else is on its line",
						option == 'l' ? "--list" : "--forms");
			return option == 'l' ? list() : forms();
		default:
			return complain("try `stage2 scenario --help`");
		}
	}
	if (optind == argc)
		return complain("which scenario? A file, or one of `stage2 scenario --list`");
	out.colour = !out.json && (unsigned int)is_coloured();
	for (int i = optind; i < argc; i++) {
		int ret = play_any(argv[i], &out);

		if (ret > worst)
			worst = ret;
		if (i + 1 < argc && !out.json)
			putchar('\n');
	}
	if (fflush(stdout) || ferror(stdout))
		return complain("cannot write: %s", strerror(errno));
	return worst;
}
