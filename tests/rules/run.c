// SPDX-License-Identifier: BSD-2-Clause
/*
 * The rules' definition, judged: each directory beside this file has the name of a rule and pairs
 * of traces in it, bad_NAME.trace (caught by that rule, once, and by no other) and
 * good_NAME.trace (clean, and different only in doing it right).
 *
 * What is in order about the collection itself is a test, too: every rule has a pair, every trace
 * its counterpart, and a bad trace says `# expect: RULE` for its own rule and nothing else.
 *
 * A comment `# option: owed-at-run` in a trace sets that option of the model. Usage: rules
 * DIRECTORY [FILE]...; files are judged by hand, with what is found in them in full. TAP.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "stage2check.h"
#include "trace.h"

#define MIN_PAIRS 90
#define NAME      512
#define TEXT      1024

enum verdict {
	PASSED,
	FAILED
};

/* What became of one trace. */
struct result {
	unsigned int found;
	const struct s2c_rule *first;
	unsigned int expected;
	char expect[S2C_TRACE_RULE]; /* the first one */
	char text[TEXT];             /* all violations, or why the trace cannot be read */
	int broken;
};

static unsigned int tests, failures;

static void ok(enum verdict verdict, const char *name, const char *why)
{
	printf("%sok %u - %s\n", verdict == PASSED ? "" : "not ", ++tests, name);
	if (verdict == PASSED)
		return;
	failures++;
	printf("#   %s\n", why);
}

static void die(const char *what, const char *name)
{
	fprintf(stderr, "rules: %s '%s': %s\n", what, name, strerror(errno));
	exit(2);
}

static void join(char path[NAME], const char *directory, const char *name)
{
	if (snprintf(path, NAME, "%s/%s", directory, name) >= NAME) {
		fprintf(stderr, "rules: the name %s/%s is too long\n", directory, name);
		exit(2);
	}
}

/* Judging one trace */

static char *slurp(const char *path, size_t *size)
{
	FILE *file = fopen(path, "re");
	char *data;
	long end = 0;

	if (!file || fseek(file, 0, SEEK_END) || (end = ftell(file)) < 0)
		die("cannot read", path);
	rewind(file);
	data = malloc((size_t)end + 1);
	if (!data)
		abort();
	*size = fread(data, 1, (size_t)end, file);
	data[*size] = 0;
	fclose(file);
	return data;
}

static void on_violation(void *ctx, const struct s2c_violation *violation)
{
	struct result *result = ctx;
	size_t n = strlen(result->text);

	if (!result->found++)
		result->first = violation->rule;
	snprintf(result->text + n, TEXT - n, "%s%s at event %llu: %s", n ? "; " : "",
		 violation->rule->id, (unsigned long long)violation->now.event, violation->text);
}

static void judge_events(struct s2c_trace *trace, struct s2c *model, struct result *result)
{
	struct s2c_event event;
	int got;

	while ((got = s2c_trace_next(trace, &event)) > 0) {
		if (!s2c_event(model, &event))
			continue;
		result->broken = 1;
		snprintf(result->text, TEXT, "%s %llu: %s", s2c_trace_unit(trace),
			 (unsigned long long)s2c_trace_place(trace), s2c_error(model));
		return;
	}
	if (got < 0) {
		result->broken = 1;
		snprintf(result->text, TEXT, "%s", s2c_trace_error(trace));
	}
	result->expected = s2c_trace_expected(trace);
	if (result->expected)
		snprintf(result->expect, sizeof(result->expect), "%s", s2c_trace_expect(trace, 0));
}

static void judge(const char *path, struct result *result)
{
	struct s2c_config config = { .ctx = result, .report = on_violation };
	struct s2c_trace *trace;
	struct s2c *model;
	size_t size;
	char *data = slurp(path, &size);

	*result = (struct result){ 0 };
	trace = s2c_trace_open_memory(data, size, 0);
	if (!trace)
		abort();
	config.cpu = *s2c_trace_cpu(trace);
	if (strstr(data, "\n# option: owed-at-run\n"))
		config.options = S2C_OWED_AT_RUN;
	model = s2c_new(&config);
	if (!model)
		abort();
	judge_events(trace, model, result);
	s2c_free(model);
	s2c_trace_close(trace);
	free(data);
}

/* A bad trace of this rule, or (NULL) a good one: what is wrong with it, or NULL. */
static const char *complaint(const struct result *result, const char *rule)
{
	if (result->broken)
		return result->text;
	if (!rule) {
		if (result->expected)
			return "a good trace expects nothing";
		return result->found ? result->text : NULL;
	}
	if (result->expected != 1 || strcmp(result->expect, rule))
		return "a bad trace has one '# expect:' with the name of its directory";
	if (!result->found)
		return "not caught";
	return result->found == 1 && !strcmp(result->first->id, rule) ? NULL : result->text;
}

/* The collection */

static int is_trace(const char *name, const char *prefix)
{
	size_t n = strlen(name);

	return !strncmp(name, prefix, strlen(prefix)) && n > 6 && !strcmp(name + n - 6, ".trace");
}

/* Judges the trace, and demands that it has a counterpart. Returns whether it is half a pair. */
static int check_trace(const char *directory, const char *rule, const char *name)
{
	int bad = is_trace(name, "bad_");
	char path[NAME], other[NAME], title[NAME], counterpart[NAME];
	struct result result;
	const char *why;
	struct stat st;

	join(title, rule, name);
	join(path, directory, title);
	snprintf(counterpart, sizeof(counterpart), "%s/%s%s", rule, bad ? "good_" : "bad_",
		 strchr(name, '_') + 1);
	join(other, directory, counterpart);
	judge(path, &result);
	why = complaint(&result, bad ? rule : NULL);
	if (!why && stat(other, &st))
		why = "it has no counterpart";
	ok(why ? FAILED : PASSED, title, why);
	return !why;
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Returns the number of pairs. */
static unsigned int check_rule(const char *directory, const char *rule)
{
	unsigned int halves = 0;
	struct dirent **entry;
	char path[NAME], title[NAME];
	int n;

	join(path, directory, rule);
	n = scandir(path, &entry, visible, alphasort);
	for (int i = 0; i < n; i++) {
		const char *name = entry[i]->d_name;

		if (is_trace(name, "bad_") || is_trace(name, "good_")) {
			halves += (unsigned int)check_trace(directory, rule, name);
		} else {
			join(title, rule, name);
			ok(FAILED, title, "neither bad_*.trace nor good_*.trace");
		}
		free(entry[i]);
	}
	if (n >= 0)
		free(entry);
	snprintf(title, sizeof(title), "%s has a pair of traces", rule);
	ok(halves >= 2 ? PASSED : FAILED, title, "it needs a bad_*.trace and a good_*.trace");
	return halves / 2;
}

/* Directories that belong to no rule: one that was renamed, or mistyped. */
static void check_strays(const char *directory)
{
	struct dirent **entry;
	int n = scandir(directory, &entry, visible, alphasort);

	if (n < 0)
		die("cannot read directory", directory);
	for (int i = 0; i < n; i++) {
		char path[NAME], title[NAME];
		struct stat st;

		join(path, directory, entry[i]->d_name);
		if (!stat(path, &st) && S_ISDIR(st.st_mode) && !s2c_rule(entry[i]->d_name)) {
			snprintf(title, sizeof(title), "directory %s", entry[i]->d_name);
			ok(FAILED, title, "no rule has this name");
		}
		free(entry[i]);
	}
	free(entry);
}

static int by_hand(char **path, int n)
{
	for (int i = 0; i < n; i++) {
		struct result result;

		judge(path[i], &result);
		printf("%s: %s\n", path[i], result.text[0] ? result.text : "clean");
	}
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int pairs = 0;
	char title[NAME];

	if (argc < 2) {
		fprintf(stderr, "usage: rules DIRECTORY [FILE]...\n");
		return 2;
	}
	if (argc > 2)
		return by_hand(argv + 2, argc - 2);
	check_strays(argv[1]);
	for (size_t i = 0; i < s2c_nrules; i++)
		pairs += check_rule(argv[1], s2c_rules[i].id);
	snprintf(title, sizeof(title), "%u pairs of traces, at least %d", pairs, MIN_PAIRS);
	ok(pairs >= MIN_PAIRS ? PASSED : FAILED, title, "too few");
	printf("1..%u\n", tests);
	return failures != 0;
}
