// SPDX-License-Identifier: BSD-2-Clause
/*
 * Reading the text form of a trace: one event a line (docs/checker.md has the grammar). A line is
 * taken from the reader's window with memchr() and cut into words in place; nothing is copied.
 * Names are those of names.c, put into one small hash table when a trace is opened, and the
 * arguments of an event follow its shape (trace.c).
 */
#include <string.h>

#include "stream.h"

struct line {
	const char *at, *end;
	size_t size; /* with its newline */
};

struct word {
	const char *at;
	size_t n; /* 0: the line ends here */
};

static const struct flag {
	const char *name;
	uint8_t kind;
	uint8_t flag;
} flags[] = {
	{ "atomic", S2C_WRITE, S2C_ATOMIC },     { "release", S2C_WRITE, S2C_RELEASE },
	{ "hardware", S2C_WRITE, S2C_HARDWARE }, { "leaf", S2C_INVAL, S2C_INVAL_LEAF },
	{ "local", S2C_INVAL, S2C_INVAL_LOCAL },
};
#define NFLAGS (sizeof(flags) / sizeof(flags[0]))

static const char rights[] = "rwxp";

/* Lines and words. */

static int is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Returns 1; 0 at the end; -1 after an error. The line is consumed by take_line(). */
static int get_line(struct s2c_trace *trace, struct line *line)
{
	size_t scanned = 0;

	for (;;) {
		size_t n = trace->end - trace->start;
		size_t look = n < S2C_TRACE_LINE ? n : S2C_TRACE_LINE;
		const char *newline = NULL;

		if (look > scanned)
			newline =
				memchr(trace->data + trace->start + scanned, '\n', look - scanned);
		if (!newline && n >= S2C_TRACE_LINE) {
			trace->place++;
			trace_fail(trace, "is longer than the %u bytes that a line may have",
				   S2C_TRACE_LINE - 1);
			return -1;
		}
		scanned = look;
		if (!newline && trace_more(trace))
			continue;
		if (trace->failed)
			return -1;
		if (!n)
			return 0;
		line->at = trace->data + trace->start;
		line->end = newline ? newline : line->at + n;
		line->size = newline ? (size_t)(newline - line->at) + 1 : n;
		return 1;
	}
}

static void take_line(struct s2c_trace *trace, const struct line *line)
{
	trace->start += line->size;
	trace->place++;
}

static int get_word(struct line *line, struct word *word)
{
	const char *at = line->at;

	while (at < line->end && is_blank(*at))
		at++;
	word->at = at;
	while (at < line->end && !is_blank(*at) && *at != '#')
		at++;
	line->at = at;
	word->n = (size_t)(at - word->at);
	return word->n != 0;
}

static int is(const struct word *word, const char *name)
{
	return word->n == strlen(name) && !memcmp(word->at, name, word->n);
}

static int is_number(const struct word *word)
{
	return word->n && word->at[0] >= '0' && word->at[0] <= '9';
}

/* Says what should have been there instead of this word; always -1. */
static int expected(struct s2c_trace *trace, const struct word *word, const char *what)
{
	char shown[48];
	size_t n = word->n < sizeof(shown) - 1 ? word->n : sizeof(shown) - 1;

	for (size_t i = 0; i < n; i++)
		shown[i] = word->at[i] >= ' ' && word->at[i] <= '~' ? word->at[i] : '?';
	shown[n] = 0;
	if (word->n)
		trace_fail(trace, "'%s%s' stands where there should be %s", shown,
			   n < word->n ? "..." : "", what);
	else
		trace_fail(trace, "it ends where there should be %s", what);
	return -1;
}

/* Returns 0, or -1: no number of 64 bits. */
static int parse(const char *at, size_t n, uint64_t *value)
{
	uint64_t sum = 0;

	if (n > 2 && at[0] == '0' && at[1] == 'x') {
		if (n > 2 + 16)
			return -1;
		for (size_t i = 2; i < n; i++) {
			unsigned int c = (unsigned char)at[i];
			unsigned int digit = c - '0';

			if (digit > 9)
				digit = (c | 0x20) - 'a' + 10;
			if (digit > 15 || (c > '9' && digit < 10))
				return -1;
			sum = sum << 4 | digit;
		}
		*value = sum;
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		unsigned int digit = (unsigned char)at[i] - (unsigned int)'0';

		if (digit > 9 || sum > UINT64_MAX / 10 || sum * 10 > UINT64_MAX - digit)
			return -1;
		sum = sum * 10 + digit;
	}
	*value = sum;
	return n ? 0 : -1;
}

static int get_number(struct s2c_trace *trace, struct line *line, const char *what, uint64_t max,
		      uint64_t *value)
{
	struct word word;

	if (!get_word(line, &word) || parse(word.at, word.n, value) || *value > max)
		return expected(trace, &word, what);
	return 0;
}

/* Names. */

static unsigned int hash(const char *at, size_t n, unsigned int class)
{
	uint32_t sum = 2166136261u ^ class;

	for (size_t i = 0; i < n; i++)
		sum = (sum ^ (unsigned char)at[i]) * 16777619u;
	return (sum ^ sum >> 15) % TRACE_SLOTS;
}

static void learn(struct s2c_trace *trace, enum trace_class class, unsigned int value,
		  const char *name)
{
	size_t n = strlen(name);
	unsigned int slot = hash(name, n, class);

	while (trace->words[slot].name)
		slot = (slot + 1) % TRACE_SLOTS;
	trace->words[slot] = (struct trace_word){ .name = name,
						  .length = (uint8_t)n,
						  .class = (uint8_t) class,
						  .value = (uint8_t)value };
}

static void learn_all(struct s2c_trace *trace)
{
	for (unsigned int i = 0; i < S2C_KINDS; i++)
		learn(trace, TRACE_KIND, i, s2c_kind_name(i));
	for (unsigned int i = 0; i < S2C_SYSREGS; i++)
		learn(trace, TRACE_SYSREG, i, s2c_sysreg_name(i));
	for (unsigned int i = 0; i < S2C_TLBIS; i++)
		learn(trace, TRACE_TLBI, i, s2c_tlbi_name(i));
	for (unsigned int i = 0; i < S2C_BARRIERS; i++)
		learn(trace, TRACE_BARRIER, i, s2c_barrier_name(i));
	for (unsigned int i = 0; i < S2C_DCS; i++)
		learn(trace, TRACE_DC, i, s2c_dc_name(i));
}

static int get_name(struct s2c_trace *trace, struct line *line, enum trace_class class,
		    uint8_t *value)
{
	static const char *const what[TRACE_CLASSES] = {
		[TRACE_KIND] = "an event, such as write, tlbi or dsb",
		[TRACE_SYSREG] = "vttbr_el2, vtcr_el2 or hcr_el2",
		[TRACE_TLBI] = "a TLBI of stage 2, such as ipas2e1is or vmalls12e1is, or `other`",
		[TRACE_BARRIER] = "a barrier's kind, such as ish or ishst",
		[TRACE_DC] = "cvac, civac, cvau, ivac or zva",
	};
	const struct trace_word *known;
	struct word word;
	unsigned int slot;

	if (!get_word(line, &word))
		return expected(trace, &word, what[class]);
	slot = hash(word.at, word.n, class);
	for (known = &trace->words[slot]; known->name; known = &trace->words[slot]) {
		if (known->class == class && known->length == word.n &&
		    !memcmp(known->name, word.at, word.n)) {
			*value = known->value;
			return 0;
		}
		slot = (slot + 1) % TRACE_SLOTS;
	}
	return expected(trace, &word, what[class]);
}

/* Events. */

static int get_rights(struct s2c_trace *trace, struct line *line, uint8_t *op)
{
	struct word word;

	get_word(line, &word);
	for (size_t i = 0; i < word.n; i++) {
		const char *right = memchr(rights, word.at[i], sizeof(rights) - 1);

		if (!right)
			return expected(trace, &word, "rights: letters of rwxp");
		*op |= (uint8_t)(1u << (right - rights));
	}
	return word.n ? 0 : expected(trace, &word, "rights: letters of rwxp");
}

static int get_argument(struct s2c_trace *trace, struct line *line, char letter,
			struct s2c_event *event)
{
	uint64_t id = 0;

	switch (letter) {
	case 'o':
		return get_name(trace, line, trace_op_class(event->kind), &event->op);
	case 'i':
		if (get_number(trace, line, "a VMID or owner from 0 to 65535", 0xffff, &id))
			return -1;
		event->id = (uint16_t)id;
		return 0;
	case 'a':
		return get_number(trace, line, "an address, decimal or 0x...", UINT64_MAX,
				  &event->address);
	case 'p':
		return get_number(trace, line, "an address, decimal or 0x...", UINT64_MAX,
				  &event->value);
	case 'v':
		return get_number(trace, line, "a value, decimal or 0x...", UINT64_MAX,
				  &event->value);
	case 'b':
		return get_number(trace, line, "a number of bytes", UINT64_MAX, &event->value);
	default:
		return get_rights(trace, line, &event->op);
	}
}

/* `init PA VALUE BYTES`: the rest of it. */
static int get_range(struct s2c_trace *trace, struct line *line, struct s2c_event *event)
{
	static const char what[] = "a number of bytes, a multiple of 8 up to 1048576";
	struct line before = *line;
	struct word word;
	uint64_t bytes;

	get_word(line, &word);
	if (!is_number(&word)) {
		*line = before;
		return 0;
	}
	if (parse(word.at, word.n, &bytes) || !bytes || bytes % 8 || bytes > S2C_TRACE_RANGE)
		return expected(trace, &word, what);
	bytes = bytes / 8 - 1;
	event->id = (uint16_t)bytes;
	event->op = (uint8_t)(bytes >> 16);
	if (s2c_trace_check(event))
		return expected(trace, &word, "less: the range goes beyond 2^64");
	return 0;
}

static int get_arguments(struct s2c_trace *trace, struct line *line, struct s2c_event *event)
{
	const char *letter = trace_shapes[event->kind].arguments;
	struct line before;
	struct word word;

	for (; *letter; letter++) {
		before = *line;
		if (event->kind == S2C_IC && *letter == 'a') {
			if (get_word(line, &word) && is(&word, "all"))
				return 0;
			*line = before;
		}
		if (event->kind == S2C_TLBI && *letter == 'a') {
			enum trace_operand has = trace_operand(event->op);

			get_word(line, &word);
			*line = before;
			if (has == TRACE_NO_OPERAND ||
			    (has == TRACE_MAYBE_OPERAND && !is_number(&word)))
				return 0;
		}
		if (get_argument(trace, line, *letter, event))
			return -1;
	}
	if (event->kind == S2C_IC && !event->value)
		return trace_fail(trace, "`ic` over 0 bytes does nothing: should it be `ic all`?");
	return event->kind == S2C_INIT ? get_range(trace, line, event) : 0;
}

static int get_size(struct s2c_trace *trace, struct line *line, struct s2c_event *event)
{
	struct word word;

	get_word(line, &word);
	for (event->size = 0; event->size < 4; event->size++)
		if (word.n == 1 && word.at[0] == '0' + (1 << event->size))
			return 0;
	return expected(trace, &word, "the size of a write in bytes: 1, 2, 4 or 8");
}

static int get_level(struct s2c_trace *trace, struct line *line, struct s2c_event *event)
{
	struct word word;

	get_word(line, &word);
	event->op = S2C_LEVEL_ANY;
	if (is(&word, "any"))
		return 0;
	if (word.n != 1 || word.at[0] < '0' || word.at[0] > '4')
		return expected(trace, &word,
				"a level from 0 to 4 (0 is the smallest page), or any");
	event->op = (uint8_t)(word.at[0] - '0');
	return 0;
}

/* What may follow the arguments, in any order, and last the program counter. */
static int get_option(struct s2c_trace *trace, struct line *line, const struct word *word,
		      struct s2c_event *event)
{
	if (word->at[0] == '@') {
		struct word last;

		if (parse(word->at + 1, word->n - 1, &event->pc))
			return expected(trace, word,
					"@ and the program counter, as in @0x80001000");
		return get_word(line, &last) ? expected(trace, &last, "the end of the line") : 0;
	}
	if (event->kind == S2C_WRITE && is(word, "size"))
		return get_size(trace, line, event);
	if (event->kind == S2C_INVAL && is(word, "level"))
		return get_level(trace, line, event);
	for (size_t i = 0; i < NFLAGS; i++) {
		if (flags[i].kind == event->kind && is(word, flags[i].name)) {
			event->flags |= flags[i].flag;
			return 0;
		}
	}
	if (event->kind == S2C_WRITE)
		return expected(trace, word, "size, atomic, release, hardware, @PC or nothing");
	if (event->kind == S2C_INVAL)
		return expected(trace, word, "level, leaf, local, @PC or nothing");
	return expected(trace, word, "@PC or the end of the line");
}

static int get_event(struct s2c_trace *trace, struct line *line, const struct word *first,
		     struct s2c_event *event)
{
	struct word word;
	uint64_t cpu;

	if (parse(first->at, first->n, &cpu) || cpu >= S2C_CPUS)
		return expected(trace, first, "a CPU from 0 to 63");
	memset(event, 0, sizeof(*event));
	event->cpu = (uint16_t)cpu;
	if (get_name(trace, line, TRACE_KIND, &event->kind))
		return -1;
	if (event->kind == S2C_WRITE)
		event->size = 3;
	if (event->kind == S2C_INVAL)
		event->op = S2C_LEVEL_ANY;
	if (get_arguments(trace, line, event))
		return -1;
	while (get_word(line, &word))
		if (get_option(trace, line, &word, event))
			return -1;
	trace->has_event = 1;
	return 1;
}

/* The head, and comments. */

static int get_feature(struct s2c_trace *trace, const struct word *word)
{
	static const char what[] =
		"pa=32 to pa=52, bbm=0 to bbm=2, or a feature such as fwb or ttl";
	uint64_t value;

	if (word->n > 3 && !memcmp(word->at, "pa=", 3)) {
		if (parse(word->at + 3, word->n - 3, &value) || value < 32 || value > 52)
			return expected(trace, word, what);
		trace->cpu.pa_bits = (uint8_t)value;
		return 0;
	}
	if (word->n > 4 && !memcmp(word->at, "bbm=", 4)) {
		if (parse(word->at + 4, word->n - 4, &value) || value > 2)
			return expected(trace, word, what);
		trace->cpu.bbm = (uint8_t)value;
		return 0;
	}
	for (size_t i = 0; i < TRACE_FEATURES; i++) {
		if (is(word, trace_features[i])) {
			trace->cpu.features |= 1u << i;
			return 0;
		}
	}
	return expected(trace, word, what);
}

static int get_cpu(struct s2c_trace *trace, struct line *line)
{
	struct word word;

	if (trace->has_cpu || trace->has_event)
		return trace_fail(trace, "`cpu` stands once, before the first event");
	trace->has_cpu = 1;
	while (get_word(line, &word))
		if (get_feature(trace, &word))
			return -1;
	return 0;
}

static int get_version(struct s2c_trace *trace, struct line *line, const struct word *word)
{
	uint64_t version = 0;

	if (!is(word, "stage2-trace"))
		return expected(trace, word, "'stage2-trace 1': is this a trace?");
	if (get_number(trace, line, "1, the version that this program reads", 1, &version))
		return -1;
	if (!version)
		return trace_fail(trace, "version 0 does not exist: it should be 1");
	trace->has_version = 1;
	if (get_word(line, &(struct word){ 0 }))
		return trace_fail(trace, "nothing may follow the version");
	return 0;
}

static int get_expected(struct s2c_trace *trace, struct line *line)
{
	char *rule = trace->expected[trace->nexpected % S2C_TRACE_EXPECTED];
	struct word word;

	if (!get_word(line, &word) || word.n >= S2C_TRACE_RULE)
		return expected(trace, &word, "the id of a rule");
	if (trace->nexpected == S2C_TRACE_EXPECTED)
		return trace_fail(trace, "a trace may expect %u violations at most",
				  S2C_TRACE_EXPECTED);
	memcpy(rule, word.at, word.n);
	rule[word.n] = 0;
	trace->nexpected++;
	return 0;
}

static int get_model_option(struct s2c_trace *trace, struct line *line)
{
	struct word word;

	get_word(line, &word);
	if (!is(&word, "owed-at-run"))
		return expected(trace, &word, "an option of the model: owed-at-run");
	if (trace->has_event)
		return trace_fail(trace, "an option stands before the first event");
	trace->model_options |= S2C_OWED_AT_RUN;
	return 0;
}

/* At a comment or the end of the line. */
static int get_comment(struct s2c_trace *trace, struct line *line)
{
	struct word word;

	if (line->at == line->end)
		return 0;
	line->at++;
	get_word(line, &word);
	if (is(&word, "expect:"))
		return get_expected(trace, line);
	if (is(&word, "option:"))
		return get_model_option(trace, line);
	return 0;
}

/* Learns what the CPUs can do and what is asked of the model: up to the first event's line. */
int text_head(struct s2c_trace *trace)
{
	struct line line, rest;
	struct word word;
	int got;

	learn_all(trace);
	while ((got = get_line(trace, &line)) > 0) {
		rest = line;
		if (get_word(&rest, &word) && trace->has_version && !is(&word, "cpu"))
			return 0;
		take_line(trace, &line);
		if (!word.n)
			got = get_comment(trace, &rest);
		else if (trace->has_version)
			got = get_cpu(trace, &rest);
		else
			got = get_version(trace, &rest, &word);
		if (got)
			return got;
	}
	if (!got && !trace->has_version) {
		trace->place++;
		return trace_fail(trace,
				  "the trace is empty: it should begin with 'stage2-trace 1'");
	}
	return got;
}

int text_next(struct s2c_trace *trace, struct s2c_event *event)
{
	struct line line, rest;
	struct word word;
	int got;

	while ((got = get_line(trace, &line)) > 0) {
		rest = line;
		take_line(trace, &line);
		if (!get_word(&rest, &word))
			got = get_comment(trace, &rest);
		else if (is(&word, "cpu"))
			got = get_cpu(trace, &rest);
		else
			return get_event(trace, &rest, &word, event);
		if (got)
			return got;
	}
	return got;
}
