// SPDX-License-Identifier: BSD-2-Clause
/*
 * A violation as one screen of text, or as one line of JSON.
 *
 * The screen: each part (what happened, where, the descriptor, who, history, what is cached, what
 * would have been right, the manual) is one label and some lines of its own, each part with a limit
 * that it is cut to. The history takes the lines that the others left; of a history that is longer,
 * the middle goes. The limits add up to less than a screen, so there is always room for a few of
 * its lines. All text comes from elsewhere (symbols, file names): what is not printable ASCII
 * becomes '?', so no file can send escape sequences to a terminal.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <string.h>

#include "report.h"

#define LABEL 11 /* columns before the text of a part */
#define ROOM  (S2C_REPORT_COLUMNS - LABEL)
#define PLACE 18 /* columns that a history line keeps for its place: an address, at least */
#define NAME  14 /* columns that a function keeps beside its line, at least */

#define RED   "\033[1;31m"
#define PLAIN "\033[0m"

struct screen {
	unsigned int n;
	char line[S2C_REPORT_LINES][S2C_REPORT_COLUMNS + 1];
};

static const char *base_name(const char *file)
{
	const char *slash = strrchr(file, '/');

	return slash ? slash + 1 : file;
}

static void make_printable(char *text)
{
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			*text = '?';
	}
}

/* Cuts the middle out of text that is longer than `columns` (at least 5). */
static void shorten(char *text, size_t columns)
{
	size_t length = strlen(text), head = (columns - 3) / 2, tail = columns - 3 - head;

	if (length <= columns)
		return;
	text[head] = text[head + 1] = text[head + 2] = '.';
	memmove(text + head + 3, text + length - tail, tail + 1);
}

/* How much of `text` fits into `columns`, up to a space where there is one late enough. */
static size_t wrap(const char *text, size_t columns)
{
	size_t at = strlen(text);

	if (at <= columns)
		return at;
	for (at = columns; at > columns / 2; at--) {
		if (text[at] == ' ')
			return at;
	}
	return columns;
}

/* One part: a label (or "", for the headline) and at most `lines` lines of text. */
__attribute__((format(printf, 4, 5))) static void put(struct screen *screen, const char *label,
						      unsigned int lines, const char *format, ...)
{
	int margin = label[0] ? LABEL : 0;
	char text[1024];
	const char *rest = text;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	make_printable(text);
	for (unsigned int i = 0; i < lines && screen->n < S2C_REPORT_LINES && (!i || *rest); i++) {
		char *line = screen->line[screen->n++];
		size_t columns = (size_t)(S2C_REPORT_COLUMNS - margin);
		size_t length = wrap(rest, columns);
		const char *more = "";

		if (rest[length] && i == lines - 1) {
			more = "...";
			length = wrap(rest, columns - 3);
		}
		snprintf(line, S2C_REPORT_COLUMNS + 1, "%s%-*s%.*s%s", margin ? "  " : "",
			 margin ? margin - 2 : 0, i ? "" : label, (int)length, rest, more);
		rest += length;
		while (*rest == ' ')
			rest++;
	}
}

__attribute__((format(printf, 3, 4))) static void append(char *text, size_t n, const char *format,
							 ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, n - used, format, args);
	va_end(args);
}

static void level_name(char *buffer, size_t n, unsigned int level)
{
	buffer[0] = '\0';
	if (level <= 4)
		snprintf(buffer, n, "level %u (Arm level %d)", level, 3 - (int)level);
}

/* "CPU 0,2-3", or what of it fits. */
static void cpu_list(char *buffer, size_t n, uint64_t mask)
{
	const unsigned int all = (unsigned int)__builtin_popcountll(mask);
	const char *before = "CPU ";

	buffer[0] = '\0';
	for (unsigned int cpu = 0; cpu < S2C_CPUS; cpu++) {
		unsigned int last = cpu;

		if (!(mask >> cpu & 1))
			continue;
		if (strlen(buffer) + sizeof(",63-64,... (64 CPUs)") > n) {
			append(buffer, n, ",... (%u CPUs)", all);
			return;
		}
		while (last + 1 < S2C_CPUS && mask >> (last + 1) & 1)
			last++;
		append(buffer, n, "%s%u", before, cpu);
		if (last > cpu)
			append(buffer, n, "-%u", last);
		before = ",";
		cpu = last;
	}
}

/* Function and line of an address in at most `columns` columns; "": the address is not known. */
static void place_name(char *buffer, size_t columns, uint64_t pc,
		       const struct s2c_report_options *options)
{
	struct s2c_place place;
	char function[300], line[300] = "";
	int known = pc && !s2c_symbols_find(options->symbols, pc, &place);
	size_t room = columns;

	buffer[0] = '\0';
	if (!known) {
		if (pc)
			snprintf(buffer, columns + 1, "%s0x%" PRIx64,
				 columns > PLACE + 3 ? "pc " : "", pc);
		return;
	}
	snprintf(function, sizeof(function), "%s+0x%" PRIx64, place.function, place.offset);
	if (place.line)
		snprintf(line, sizeof(line), "%s:%d", base_name(place.file), place.line);
	if (!place.function[0])
		snprintf(function, sizeof(function), "%s", line);
	if (!place.function[0] || strlen(line) + 1 + NAME > columns)
		line[0] = '\0'; /* said already, or it would leave no room for the function */
	if (line[0])
		room -= strlen(line) + 1;
	if (line[0] && strlen(function) > room)
		snprintf(function, sizeof(function), "%s", place.function);
	shorten(function, room);
	snprintf(buffer, columns + 1, "%s%s%s", function, line[0] ? " " : "", line);
}

static void put_where(struct screen *screen, const struct s2c_violation *v)
{
	char where[320] = "", level[40];

	if (v->root || v->gpa || v->has_cached) {
		append(where, sizeof(where), "gpa 0x%" PRIx64 ", ", v->gpa);
		level_name(level, sizeof(level), v->level);
		if (level[0])
			append(where, sizeof(where), "%s, ", level);
	}
	if (v->root)
		append(where, sizeof(where), "VMID %u, root 0x%" PRIx64 ", ", v->vmid, v->root);
	else if (v->vmid)
		append(where, sizeof(where), "VMID %u, ", v->vmid);
	if (v->entry)
		append(where, sizeof(where), "entry at 0x%" PRIx64 ", ", v->entry);
	if (!where[0])
		return;
	where[strlen(where) - 2] = '\0';
	put(screen, "where", 2, "%s", where);
}

static void put_descriptor(struct screen *screen, const struct s2c_violation *v)
{
	char words[128];

	if (!v->old && !v->value)
		return;
	s2c_describe_entry(words, sizeof(words), v->old, v->level);
	put(screen, v->old == v->value ? "entry" : "old", 1, "0x%016" PRIx64 "  %s", v->old, words);
	if (v->old == v->value)
		return;
	s2c_describe_entry(words, sizeof(words), v->value, v->level);
	put(screen, "new", 1, "0x%016" PRIx64 "  %s", v->value, words);
}

static void put_who(struct screen *screen, const char *label, const struct s2c_who *who,
		    const struct s2c_report_options *options)
{
	char text[256] = "", place[ROOM + 1];
	size_t used;

	if (options->trace) {
		append(text, sizeof(text), "%.200s", base_name(options->trace));
		shorten(text, 30);
		append(text, sizeof(text), ", ");
	}
	if (who->event)
		append(text, sizeof(text), "event %" PRIu64 ", CPU %u", who->event, who->cpu);
	else
		append(text, sizeof(text), "before the first event");
	used = strlen(text);
	place_name(place, ROOM - used - 2, who->pc, options);
	put(screen, label, 1, "%s%s%s", text, place[0] ? ", " : "", place);
}

static void put_cached(struct screen *screen, const struct s2c_violation *v)
{
	static const char *const as[3] = { "as a leaf of stage 2",
					   "in combined entries of stages 1 and 2",
					   "as a pointer to a table" };
	const uint64_t masks[3] = { v->cached.leaf, v->cached.combined, v->cached.table };
	char text[480] = "", words[128], size[32], cpus[60];

	if (!v->has_cached)
		return;
	s2c_describe_entry(words, sizeof(words), v->cached.value, v->cached.level);
	s2c_describe_size(size, sizeof(size), v->cached.size);
	append(text, sizeof(text), "%s of gpa 0x%" PRIx64 ", %s, ", words, v->cached.gpa, size);
	if (v->cached.made.event)
		append(text, sizeof(text), "made by event %" PRIu64 " (CPU %u)",
		       v->cached.made.event, v->cached.made.cpu);
	else
		append(text, sizeof(text), "there before the first event");
	if (v->cached.broken.event)
		append(text, sizeof(text), ", gone since event %" PRIu64 " (CPU %u)",
		       v->cached.broken.event, v->cached.broken.cpu);
	put(screen, "cached", 2, "%s", text);
	text[0] = '\0';
	for (unsigned int i = 0; i < 3; i++) {
		cpu_list(cpus, sizeof(cpus), masks[i]);
		if (cpus[0])
			append(text, sizeof(text), "%s%s %s", text[0] ? "; " : "", cpus, as[i]);
	}
	if (text[0])
		put(screen, "held by", 3, "%s", text);
}

static unsigned int history_length(const struct s2c_violation *v)
{
	return v->nhistory < S2C_HISTORY ? v->nhistory : S2C_HISTORY;
}

/* An event: what, and at the right who, of which a few columns are always shown. */
static void put_event(struct screen *screen, const char *label, const struct s2c_violation *v,
		      unsigned int i, const struct s2c_report_options *options)
{
	const struct s2c_event *event = &v->history[i];
	char head[64], what[256], place[ROOM + 1];
	char mark = v->number[i] == v->now.event ? '>' : ' ';
	size_t room, used;

	if (v->cause.event && v->number[i] == v->cause.event)
		mark = '*';
	snprintf(head, sizeof(head), "%c%5" PRIu64 " CPU %-2u ", mark, v->number[i], event->cpu);
	s2c_describe_event(what, sizeof(what), event, v->entry, v->level);
	room = ROOM - strlen(head);
	used = strlen(what) + 2;
	place_name(place, used + PLACE < room ? room - used : PLACE, event->pc, options);
	room -= place[0] ? strlen(place) + 2 : 0;
	if (strlen(what) > room) /* the address and the rights come first */
		snprintf(what + room - 3, 4, "...");
	put(screen, label, 1, "%s%s%s%s", head, what, place[0] ? "  " : "", place);
}

/* At most `lines` lines: if that is not enough, the first ones and more of the last ones. */
static void put_history(struct screen *screen, const struct s2c_violation *v, unsigned int lines,
			const struct s2c_report_options *options)
{
	unsigned int n = history_length(v);
	unsigned int first = n, last = 0;

	if (n > lines) {
		first = lines / 3;
		last = lines - 1 - first;
	}
	for (unsigned int i = 0; i < n; i++) {
		if (i >= first && i < n - last) {
			put(screen, " ", 1, "      ... %u events left out ...", n - last - first);
			i = n - last - 1;
			continue;
		}
		put_event(screen, i ? " " : "history", v, i, options);
	}
}

static void print(FILE *out, const struct screen *screen)
{
	for (unsigned int i = 0; i < screen->n; i++) {
		size_t length = strlen(screen->line[i]);

		while (length && screen->line[i][length - 1] == ' ')
			length--;
		fprintf(out, "%.*s\n", (int)length, screen->line[i]);
	}
}

void s2c_report_text(FILE *out, const struct s2c_violation *v,
		     const struct s2c_report_options *options)
{
	struct screen headline = { 0 }, before = { 0 }, history = { 0 }, after = { 0 };
	int colour = options->flags & S2C_REPORT_COLOUR;

	put(&headline, "", 2, "%s: %s", v->rule->id, v->rule->title);
	put(&before, "here", 4, "%s", v->text);
	put_where(&before, v);
	put_descriptor(&before, v);
	put_who(&before, "now", &v->now, options);
	if (v->cause.event)
		put_who(&before, "cause", &v->cause, options);
	put_cached(&after, v);
	put(&after, "right", 2, "%s", v->rule->advice);
	put(&after, "manual", 1, "%s", v->rule->manual);
	put_history(&history, v, S2C_REPORT_LINES - headline.n - before.n - after.n, options);

	fputs(colour ? RED : "", out);
	print(out, &headline);
	fputs(colour ? PLAIN : "", out);
	print(out, &before);
	print(out, &history);
	print(out, &after);
}

/* JSON */

static void set(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value);
}

/* Names of files and symbols may be no UTF-8: such text is replaced. */
static void set_text(json_t *object, const char *key, const char *text)
{
	json_t *value = json_string(text);
	char clean[512];

	if (!value) {
		snprintf(clean, sizeof(clean), "%s", text);
		make_printable(clean);
		value = json_string(clean);
	}
	set(object, key, value);
}

static void set_number(json_t *object, const char *key, uint64_t number)
{
	set(object, key, json_integer((json_int_t)number));
}

static void set_hex(json_t *object, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	set(object, key, json_string(text));
}

static void set_level(json_t *object, unsigned int level)
{
	if (level > 4)
		return;
	set_number(object, "level", level);
	set(object, "arm_level", json_integer(3 - (json_int_t)level));
}

/* A descriptor: the value and its meaning. */
static void set_entry(json_t *object, const char *key, uint64_t value, unsigned int level)
{
	json_t *entry = json_object();
	char words[128];

	s2c_describe_entry(words, sizeof(words), value, level);
	set_hex(entry, "value", value);
	set_text(entry, "meaning", words);
	set(object, key, entry);
}

static void set_place(json_t *object, uint64_t pc, const struct s2c_report_options *options)
{
	struct s2c_place place;

	if (!pc)
		return;
	set_hex(object, "pc", pc);
	if (s2c_symbols_find(options->symbols, pc, &place))
		return;
	if (place.function[0]) {
		set_text(object, "function", place.function);
		set_hex(object, "offset", place.offset);
	}
	if (place.line) {
		set_text(object, "file", place.file);
		set(object, "line", json_integer(place.line));
	}
}

/* Nothing (no such event): null. */
static json_t *who(const struct s2c_who *who, const struct s2c_report_options *options)
{
	json_t *object = json_object();

	if (!who->event) {
		json_decref(object);
		return json_null();
	}
	set_number(object, "event", who->event);
	set_number(object, "cpu", who->cpu);
	set_place(object, who->pc, options);
	return object;
}

static json_t *cpus(uint64_t mask)
{
	json_t *array = json_array();

	for (unsigned int cpu = 0; cpu < S2C_CPUS; cpu++) {
		if (mask >> cpu & 1)
			json_array_append_new(array, json_integer(cpu));
	}
	return array;
}

static json_t *cached(const struct s2c_violation *v, const struct s2c_report_options *options)
{
	json_t *object = json_object();

	set_hex(object, "gpa", v->cached.gpa);
	set_number(object, "size", v->cached.size);
	set_hex(object, "entry", v->cached.entry);
	set_level(object, v->cached.level);
	set_entry(object, "was", v->cached.value, v->cached.level);
	set(object, "leaf", cpus(v->cached.leaf));
	set(object, "combined", cpus(v->cached.combined));
	set(object, "table", cpus(v->cached.table));
	set(object, "made", who(&v->cached.made, options));
	set(object, "broken", who(&v->cached.broken, options));
	return object;
}

static json_t *history(const struct s2c_violation *v, const struct s2c_report_options *options)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < history_length(v); i++) {
		const struct s2c_event *event = &v->history[i];
		json_t *object = json_object();
		const char *kind = s2c_kind_name(event->kind);
		char what[256];

		s2c_describe_event(what, sizeof(what), event, v->entry, v->level);
		set_number(object, "event", v->number[i]);
		set_number(object, "cpu", event->cpu);
		set_text(object, "kind", kind ? kind : "?");
		set_hex(object, "address", event->address);
		set_hex(object, "value", event->value);
		set_text(object, "text", what);
		set_place(object, event->pc, options);
		json_array_append_new(array, object);
	}
	return array;
}

int s2c_report_json(FILE *out, const struct s2c_violation *v,
		    const struct s2c_report_options *options)
{
	json_t *object = json_object();
	int status;

	if (!object)
		return -1;
	set_text(object, "rule", v->rule->id);
	set_text(object, "title", v->rule->title);
	set_text(object, "text", v->text);
	if (options->trace)
		set_text(object, "trace", options->trace);
	set(object, "now", who(&v->now, options));
	set(object, "cause", who(&v->cause, options));
	set_number(object, "vmid", v->vmid);
	set_hex(object, "root", v->root);
	set_hex(object, "gpa", v->gpa);
	set_level(object, v->level);
	set_hex(object, "entry", v->entry);
	set_entry(object, "old", v->old, v->level);
	set_entry(object, "new", v->value, v->level);
	set(object, "cached", v->has_cached ? cached(v, options) : json_null());
	set(object, "history", history(v, options));
	set_text(object, "advice", v->rule->advice);
	set_text(object, "manual", v->rule->manual);
	status = json_dumpf(object, out, JSON_COMPACT);
	json_decref(object);
	return status || fputc('\n', out) == EOF ? -1 : 0;
}
