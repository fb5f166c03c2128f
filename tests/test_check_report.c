// SPDX-License-Identifier: BSD-2-Clause
/*
 * Reports of the checker: the text of violations put together by hand, its limits (one screen) for
 * any violation, and its JSON.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "check_report.h"

/* A leaf was changed to another page in one go; CPUs 0, 2 and 3 may hold the old one. */
static struct s2c_violation example(void)
{
	struct s2c_violation v = {
		.rule = s2c_rule("bbm-output"),
		.now = { .event = 5, .cpu = 1, .pc = 0xffff800008001010 },
		.cause = { .event = 4, .cpu = 0 },
		.vmid = 5,
		.level = 0,
		.has_cached = 1,
		.nhistory = 4,
		.root = 0x40010000,
		.gpa = 0x80000000,
		.entry = 0x40011000,
		.old = 0x400007ff,
		.value = 0x400017ff,
		.cached = { .gpa = 0x80000000,
			    .size = 0x1000,
			    .entry = 0x40011000,
			    .value = 0x400007ff,
			    .leaf = 0xd,
			    .combined = 1ull << 63,
			    .made = { .event = 2, .cpu = 0 },
			    .broken = { .event = 5, .cpu = 1 } },
		.text = "the output address of a live entry changes",
		.number = { 2, 3, 4, 5 },
	};

	v.history[0] = store(0x40011000, 0x400007ff, 3, 0);
	v.history[1] = EVENT(S2C_DSB, S2C_ISHST, 0, 0, 0);
	v.history[2] = EVENT(S2C_TLBI, S2C_IPAS2E1IS, 0, 0x81000, 0);
	v.history[3] = store(0x40011000, 0x400017ff, 3, S2C_ATOMIC);
	v.history[3].cpu = 1;
	v.history[3].pc = 0xffff800008001010;
	return v;
}

static char *text_of(const struct s2c_violation *v, const struct s2c_report_options *options)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(out);
	s2c_report_text(out, v, options);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void test_text(void **state)
{
	static const char expected[] =
		"bbm-output: A live entry changes its output address only through an invalid one\n"
		"  here     the output address of a live entry changes\n"
		"  where    gpa 0x80000000, level 0 (Arm level 3), VMID 5, root 0x40010000, "
		"entry at 0x40011000\n"
		"  old      0x00000000400007ff  leaf 0x40000000 rwx WB inner AF\n"
		"  new      0x00000000400017ff  leaf 0x40001000 rwx WB inner AF\n"
		"  now      a.trace, event 5, CPU 1, stage2_map+0x10\n"
		"  cause    a.trace, event 4, CPU 0\n"
		"  history       2 CPU 0  write entry: leaf 0x40000000 rwx WB inner AF\n"
		"                3 CPU 0  dsb ishst\n"
		"           *    4 CPU 0  tlbi ipas2e1is gpa 0x81000000\n"
		"           >    5 CPU 1  write entry: leaf 0x40001000 rwx WB inner AF, atomic  "
		"stage2_map+0x10\n"
		"  cached   leaf 0x40000000 rwx WB inner AF of gpa 0x80000000, 4K, made by event 2 "
		"(CPU 0), gone\n"
		"           since event 5 (CPU 1)\n"
		"  held by  CPU 0,2-3 as a leaf of stage 2; CPU 63 in combined entries of stages 1 "
		"and 2\n"
		"  right    write 0; DSB; TLBI; DSB; write the new entry; DSB\n"
		"  manual   DDI 0487, D8, break-before-make: RWHZWS, RDDMVT\n";
	struct s2c_symbols *symbols = symbols_of(MAP, "");
	struct s2c_report_options options = { .symbols = symbols, .trace = "somewhere/a.trace" };
	struct s2c_violation v = example();
	char *text = text_of(&v, &options), *colour;

	(void)state;
	assert_string_equal(text, expected);
	options.flags = S2C_REPORT_COLOUR;
	colour = text_of(&v, &options);
	assert_int_equal(strncmp(colour, "\033[1;31mbbm-output: ", 19), 0);
	assert_int_equal(strlen(colour), strlen(text) + strlen("\033[1;31m\033[0m"));
	assert_null(strchr(strchr(colour, '\n') + 8, '\033')); /* the headline only */
	free(colour);
	free(text);
	s2c_symbols_free(symbols);
}

static void test_text_without_symbols(void **state)
{
	const struct s2c_report_options options = { 0 };
	struct s2c_violation v = example();
	char *text = text_of(&v, &options);

	(void)state;
	assert_non_null(strstr(text, "  now      event 5, CPU 1, pc 0xffff800008001010\n"));
	assert_non_null(strstr(text, "AF, atomic  0xffff800008001010\n"));
	free(text);
}

/* What a violation does not have is not shown. */
static void test_text_bare(void **state)
{
	const struct s2c_report_options options = { 0 };
	struct s2c_violation v = { .rule = s2c_rule("owner-foreign"),
				   .text = "owner 3 owns 0x1000" };
	char *text = text_of(&v, &options);

	(void)state;
	assert_string_equal(text,
			    "owner-foreign: Only its owner gives a page up\n"
			    "  here     owner 3 owns 0x1000\n"
			    "  now      before the first event\n"
			    "  right    check the owner in the annotation before changing it\n"
			    "  manual   promise of the software\n");
	free(text);
}

/* The middle of a long history goes: first and last events stay. */
static void test_text_long(void **state)
{
	const struct s2c_report_options options = { 0 };
	struct s2c_violation v = example();
	char *text, line[40];
	unsigned int seen = 0, left = 0;

	(void)state;
	v.nhistory = S2C_HISTORY;
	for (unsigned int i = 0; i < S2C_HISTORY; i++) {
		v.number[i] = 1001 + i;
		v.history[i] = EVENT(S2C_ISB, 0, 0, 0, 0);
	}
	text = text_of(&v, &options);
	for (unsigned int i = 0; i < S2C_HISTORY; i++) {
		snprintf(line, sizeof(line), " %u CPU 0  isb\n", 1001 + i);
		seen += strstr(text, line) != NULL;
	}
	assert_non_null(strstr(text, " 1001 CPU 0  isb\n"));
	assert_non_null(strstr(text, " 1024 CPU 0  isb\n"));
	assert_non_null(strstr(text, "events left out"));
	assert_int_equal(sscanf(strstr(text, "... "), "... %u events left out", &left), 1);
	assert_int_equal(seen + left, S2C_HISTORY);
	free(text);
}

static void test_text_symbols(void **state)
{
	char list[600], name[200];
	struct s2c_report_options options = { 0 };
	struct s2c_violation v = example();
	struct s2c_symbols *symbols;
	char *text;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	snprintf(list, sizeof(list), "ffff800008001000 T begin%send\n", name);
	symbols = symbols_of(list, "");
	options.symbols = symbols;
	text = text_of(&v, &options);
	assert_non_null(strstr(text, "CPU 1, beginnnn")); /* both ends stay */
	assert_non_null(strstr(text, "nnend+0x10\n"));
	/* In the history, too, without pushing the event away. */
	assert_non_null(strstr(text, "write entry: leaf 0x40001000 rwx WB inner AF, atomic  b"));
	free(text);
	s2c_symbols_free(symbols);
	/* Names that would speak to a terminal do not. */
	symbols = symbols_of("ffff800008001000 T a\033[2J\277b\n", "");
	options.symbols = symbols;
	options.trace = "\033]0;x\a.trace";
	text = text_of(&v, &options);
	assert_null(strchr(text, '\033'));
	assert_null(strchr(text, '\a'));
	assert_non_null(strstr(text, "a?[2J?b+0x10"));
	free(text);
	s2c_symbols_free(symbols);
}

static void held_by(uint64_t mask, const char *expected)
{
	const struct s2c_report_options options = { 0 };
	struct s2c_violation v = example();
	char line[160], *text;

	v.cached.leaf = 0;
	v.cached.combined = 0;
	v.cached.table = mask;
	text = text_of(&v, &options);
	snprintf(line, sizeof(line), "  held by  CPU %s as a pointer to a table\n", expected);
	if (!strstr(text, line))
		fail_msg("not '%s' in:\n%s", line, text);
	free(text);
}

static void test_cpus(void **state)
{
	(void)state;
	held_by(1, "0");
	held_by(0xd, "0,2-3");
	held_by(UINT64_MAX, "0-63");
	held_by(1ull << 63 | 1, "0,63");
	held_by(0x5555555555555555, "0,2,4,6,8,10,12,14,16,18,20,22,24,26,... (32 CPUs)");
}

static uint64_t random_state;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* Anything at all, with a bias to what fills the screen, and addresses that have names. */
static void random_violation(struct s2c_violation *v)
{
	unsigned char *bytes = (unsigned char *)v;
	size_t length = next_random() % sizeof(v->text);

	for (size_t i = 0; i < sizeof(*v); i++)
		bytes[i] = next_random() % 3 ? (unsigned char)next_random() : 0;
	v->rule = &s2c_rules[next_random() % s2c_nrules];
	v->level = (uint8_t)(v->level % (next_random() % 2 ? 5 : 255));
	v->text[length] = '\0';
	for (size_t i = 0; i < length && next_random() % 50; i++)
		v->text[i] = next_random() % 8 ? 'x' : ' ';
	if (next_random() % 2)
		v->nhistory %= S2C_HISTORY + 1;
	for (unsigned int i = 0; i < S2C_HISTORY; i++) {
		struct s2c_event *event = &v->history[i];

		if (next_random() % 8)
			event->kind %= S2C_KINDS;
		if (next_random() % 4)
			event->address = v->entry;
		event->pc = 0xffff800008000000 + next_random() % 0x5000;
	}
	v->now.pc = 0xffff800008000000 + next_random() % 0x5000;
}

static void check_screen(const char *text)
{
	unsigned int lines = 0;

	for (const char *line = text; *line; lines++) {
		size_t length = strcspn(line, "\n");

		if (length > S2C_REPORT_COLUMNS)
			fail_msg("%zu columns in line %u of:\n%s", length, lines + 1, text);
		if (!length || line[length - 1] == ' ' || line[length] != '\n')
			fail_msg("line %u is empty, ends with a space or not at all:\n%s",
				 lines + 1, text);
		for (size_t i = 0; i < length; i++)
			assert_true(line[i] >= ' ' && line[i] <= '~');
		line += length + 1;
	}
	if (lines > S2C_REPORT_LINES)
		fail_msg("%u lines:\n%s", lines, text);
}

static void check_json(const struct s2c_violation *v, const struct s2c_report_options *options)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	json_t *object;

	assert_int_equal(s2c_report_json(out, v, options), 0);
	assert_int_equal(fclose(out), 0);
	assert_ptr_equal(strchr(text, '\n'), text + n - 1); /* one line */
	object = json_loads(text, 0, NULL);
	assert_non_null(object);
	assert_string_equal(json_string_value(json_object_get(object, "rule")), v->rule->id);
	assert_int_equal(json_array_size(json_object_get(object, "history")),
			 v->nhistory < S2C_HISTORY ? v->nhistory : S2C_HISTORY);
	json_decref(object);
	free(text);
}

static void test_any(void **state)
{
	char list[2048], long_name[700];
	struct s2c_report_options options = { 0 };
	struct s2c_symbols *symbols;
	static struct s2c_violation v;

	(void)state;
	memset(long_name, 'l', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	snprintf(list, sizeof(list),
		 "ffff800008000000 T %.230s\nffff800008001000 t short\nffff800008002000 t %.60s\n"
		 "ffff800008003000 T %.20s\nffff800008004000 D end\n",
		 long_name, long_name, long_name);
	symbols = symbols_of(list, "");
	random_state = 88172645463325252ull;
	for (unsigned int i = 0; i < 4000; i++) {
		char *text;

		random_violation(&v);
		options.symbols = i % 4 ? symbols : NULL;
		options.trace = i % 3 ? long_name + (i % sizeof(long_name)) : NULL;
		text = text_of(&v, &options);
		check_screen(text);
		free(text);
		check_json(&v, &options);
	}
	s2c_symbols_free(symbols);
}

static void assert_member(const json_t *object, const char *key, const char *expected)
{
	const char *value = json_string_value(json_object_get(object, key));

	if (!value || strcmp(value, expected))
		fail_msg("%s is '%s', not '%s'", key, value ? value : "(none)", expected);
}

static int64_t number(const json_t *object, const char *key)
{
	assert_true(json_is_integer(json_object_get(object, key)));
	return json_integer_value(json_object_get(object, key));
}

static json_t *json_of(const struct s2c_violation *v, const struct s2c_report_options *options)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	json_t *object;

	assert_int_equal(s2c_report_json(out, v, options), 0);
	fclose(out);
	object = json_loads(text, 0, NULL);
	assert_non_null(object);
	free(text);
	return object;
}

static void test_json(void **state)
{
	struct s2c_symbols *symbols = symbols_of(MAP, "");
	struct s2c_report_options options = { .symbols = symbols, .trace = "a.trace" };
	struct s2c_violation v = example();
	json_t *object = json_of(&v, &options);
	json_t *part;

	(void)state;
	assert_member(object, "rule", "bbm-output");
	assert_member(object, "title", v.rule->title);
	assert_member(object, "manual", v.rule->manual);
	assert_member(object, "advice", v.rule->advice);
	assert_member(object, "text", v.text);
	assert_member(object, "trace", "a.trace");
	assert_member(object, "root", "0x40010000");
	assert_member(object, "gpa", "0x80000000");
	assert_member(object, "entry", "0x40011000");
	assert_int_equal(number(object, "vmid"), 5);
	assert_int_equal(number(object, "level"), 0);
	assert_int_equal(number(object, "arm_level"), 3);
	assert_member(json_object_get(object, "old"), "value", "0x400007ff");
	assert_member(json_object_get(object, "new"), "meaning", "leaf 0x40001000 rwx WB inner AF");
	part = json_object_get(object, "now");
	assert_int_equal(number(part, "event"), 5);
	assert_int_equal(number(part, "cpu"), 1);
	assert_member(part, "pc", "0xffff800008001010");
	assert_member(part, "function", "stage2_map");
	assert_member(part, "offset", "0x10");
	assert_null(json_object_get(json_object_get(object, "cause"), "pc"));
	part = json_array_get(json_object_get(object, "history"), 2);
	assert_int_equal(number(part, "event"), 4);
	assert_member(part, "kind", "tlbi");
	assert_member(part, "text", "tlbi ipas2e1is gpa 0x81000000");
	json_decref(object);
	s2c_symbols_free(symbols);
}

static void test_json_cached(void **state)
{
	const struct s2c_report_options options = { .trace = "\377\n" };
	struct s2c_violation v = example();
	json_t *object = json_of(&v, &options);
	json_t *cached = json_object_get(object, "cached");

	(void)state;
	assert_int_equal(number(cached, "size"), 4096);
	assert_int_equal(json_array_size(json_object_get(cached, "leaf")), 3);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(cached, "leaf"), 1)), 2);
	assert_int_equal(json_array_size(json_object_get(cached, "combined")), 1);
	assert_int_equal(json_array_size(json_object_get(cached, "table")), 0);
	assert_int_equal(number(json_object_get(cached, "made"), "event"), 2);
	assert_member(object, "trace", "??"); /* no UTF-8 */
	json_decref(object);
	v.has_cached = 0;
	v.cause.event = 0;
	v.level = S2C_LEVEL_ANY;
	object = json_of(&v, &options);
	assert_true(json_is_null(json_object_get(object, "cached")));
	assert_true(json_is_null(json_object_get(object, "cause")));
	assert_null(json_object_get(object, "level"));
	json_decref(object);
}

static void test_json_full(void **state)
{
	const struct s2c_report_options options = { 0 };
	struct s2c_violation v = example();
	FILE *out = fopen("/dev/full", "we");

	(void)state;
	assert_non_null(out);
	setbuf(out, NULL);
	assert_int_equal(s2c_report_json(out, &v, &options), -1);
	fclose(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),         cmocka_unit_test(test_text_without_symbols),
		cmocka_unit_test(test_text_bare),    cmocka_unit_test(test_text_long),
		cmocka_unit_test(test_text_symbols), cmocka_unit_test(test_cpus),
		cmocka_unit_test(test_any),          cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_cached),  cmocka_unit_test(test_json_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
