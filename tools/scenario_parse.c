// SPDX-License-Identifier: BSD-2-Clause
/*
 * Reads scenarios: puts lines (scenario_forms.c) together to steps, blocks and parts.
 *
 * A line is a step. A line that ends with a colon opens a block of steps, which belongs to the step
 * above it and is indented more. `part` begins another part; what stands before the first one, all
 * parts begin with.
 *
 * A file is read as a whole before anything happens: a message names the line, what is wrong there
 * and what would be right. All that was read lives until scn_free().
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../check/stream.h"
#include "run.h"
#include "scenario_parse.h"

#define UNKNOWN (~0u)

/* Kinds of steps, as a mask: accesses, what has progress, what may clean caches, what may fail. */
#define STEP(verb) (1ull << (verb))
#define ACCESSES   STEP(SCN_VCPU)
#define PROGRESSES \
	(STEP(SCN_PREFAULT) | STEP(SCN_PT_PROTECT) | STEP(SCN_PT_SPLIT) | STEP(SCN_PT_MAP))
#define CLEANS                                                                 \
	(ACCESSES | PROGRESSES | STEP(SCN_HOST_UNMAPS) | STEP(SCN_HOST_MAPS) | \
	 STEP(SCN_HOST_MOVES) | STEP(SCN_USE))
#define FAILS (CLEANS | STEP(SCN_SLOT) | STEP(SCN_HOLD) | STEP(SCN_DONE) | STEP(SCN_POINTER))

struct level {
	unsigned int indent; /* or UNKNOWN: the first line says it */
	unsigned int header; /* indentation of its header, ... */
	unsigned int opened; /* ... and line */
	struct scn_step **tail;
	struct scn_step *last;
	uint64_t seen;  /* kinds of steps so far, here and not in blocks below */
	uint64_t judge; /* the kind of the last one */
};

struct parser {
	struct scn_file *file;
	unsigned int number; /* of the line */
	struct scn_line line;
	struct scn_scope scope, before; /* declared now; before the first part */
	struct scn_part *part;
	unsigned int expects; /* in this part */
	struct level level[SCN_DEPTH];
	unsigned int depth;
};

__attribute__((format(printf, 3, 4))) static int wrong(const struct parser *p, unsigned int number,
						       const char *format, ...)
{
	char text[400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	complain("%s:%u: %s", p->file->name, number, text);
	return SCN_BAD;
}

static void *keep(struct scn_file *file, size_t size)
{
	void **memory = realloc(file->memory, (file->nmemory + 1) * sizeof(*memory));
	void *block = calloc(1, size);

	if (!memory || !block)
		abort();
	file->memory = memory;
	memory[file->nmemory++] = block;
	return block;
}

/* What a form cannot say of addresses: they lie in their area, and the guest has it if it must. */
static int check_addresses(const struct parser *p, const struct scn_step *step)
{
	const char *form = scn_form[step->verb].pattern;
	const int in_guest = strncmp(form, "host", 4) != 0;
	uint64_t size = strstr(form, "ADDRESS SIZE")     ? step->arg[1].number
			: step->verb == SCN_EXPECT_ALIKE ? step->arg[2].number
							 : 1;

	for (unsigned int i = 0; i < step->nargs; i++) {
		const struct scn_arg *arg = &step->arg[i];
		uint64_t all = p->scope.size[arg->index];

		if (!arg->is_address)
			continue;
		if (in_guest && !(p->scope.in_guest >> arg->index & 1))
			return wrong(p, p->number,
				     "the guest has no '%s' yet: 'slot NAME at GPA' comes first",
				     arg->word);
		if (!size || (size > 1 && arg->number & 0xfff))
			return wrong(p, p->number, "'%s' %s", arg->word,
				     size ? "is not a multiple of 4K" : "has a size of 0");
		if (arg->number >= all || size > all - arg->number)
			return wrong(p, p->number, "'%s' leaves its area, which has %s", arg->word,
				     scn_size(all));
	}
	return 0;
}

/*
 * An expectation of what came of a step needs such a step above it, in the same block: else it
 * would judge something that was before the part began, or nothing, and could not fail.
 */
static int check_expected(struct parser *p, const struct scn_step *step)
{
	struct level *level = &p->level[p->depth];

	if (step->verb < SCN_EXPECT_EXIT && step->verb != SCN_SAY) {
		level->judge = STEP(step->verb);
		level->seen |= level->judge;
	}
	if (step->verb == SCN_EXPECT_EXIT && !(level->seen & ACCESSES))
		return wrong(p, p->number,
			     "no 'vcpu' step stands above this in its part or block: there is no "
			     "exit to expect");
	if (step->verb == SCN_EXPECT_PROGRESS && !(level->seen & PROGRESSES))
		return wrong(p, p->number,
			     "no 'prefault' or 'engine' step stands above this in its part or "
			     "block: nothing has changed");
	if (step->verb == SCN_EXPECT_ERROR && !(level->judge & FAILS))
		return wrong(p, p->number,
			     "this is about the step above it in its part or block, and there is "
			     "none that could fail");
	if (step->verb == SCN_EXPECT_CACHES && !(level->judge & CLEANS))
		return wrong(p, p->number,
			     "this is about the step above it in its part or block, and there is "
			     "none that could clean caches");
	return 0;
}

/* What the form of a TLBI cannot say: which of them have an address. */
static int check_tlbi(const struct parser *p, const struct scn_step *step)
{
	unsigned int op = (unsigned int)step->arg[1].number;
	const char *name = step->arg[1].word;
	int has = step->nargs > 2, needs = trace_operand(op) == TRACE_OPERAND;

	if (name[0] == 'r')
		return wrong(p, p->number,
			     "'%s' is of a range, for which there is no word here: '%s ADDRESS' is "
			     "of one page, vmalls12e1is of all",
			     name, name + 1);
	if (needs && !has)
		return wrong(p, p->number, "'%s' is of one address: which? '%s ADDRESS'", name,
			     name);
	if (has && !needs)
		return wrong(p, p->number,
			     "'%s' has no address, it is of the whole guest or more: ipas2e1is is "
			     "of one",
			     name);
	return 0;
}

static int finish_step(struct parser *p, struct scn_step *step)
{
	const char *why = NULL;

	if (step->verb == SCN_AREA || step->verb == SCN_HOLD || step->verb == SCN_POINTER)
		why = scn_declare(&p->scope, step->arg[0].word, step->verb, &step->arg[0]);
	if (why)
		return wrong(p, p->number, "'%s': %s", step->arg[0].word, why);
	if (step->verb == SCN_AREA && !step->arg[1].number)
		return wrong(p, p->number, "'%s' has a size of 0", step->arg[0].word);
	if (step->verb == SCN_AREA)
		p->scope.size[step->arg[0].index] = step->arg[1].number;
	if (step->verb == SCN_SLOT)
		p->scope.in_guest |= 1u << step->arg[0].index;
	p->expects += step->verb >= SCN_EXPECT_EXIT;
	if (check_expected(p, step) || (step->verb == SCN_RAW_TLBI && check_tlbi(p, step)))
		return SCN_BAD;
	return check_addresses(p, step);
}

/* Nothing stands in the block that was opened last. */
static int empty(const struct parser *p)
{
	return wrong(p, p->level[p->depth].opened,
		     "this block is empty: its steps are indented more than this line");
}

static void begin_steps(struct parser *p, struct scn_step **tail)
{
	p->depth = 0;
	p->level[0] = (struct level){ .tail = tail };
}

static int end_part(const struct parser *p)
{
	if (p->level[p->depth].indent == UNKNOWN)
		return empty(p);
	if (p->part && !p->expects)
		return wrong(p, p->part->line,
			     "this part expects nothing: say what must happen ('expect ...')");
	return 0;
}

/* `scenario "..."`, `part "..."` */
static int read_title(struct parser *p, const struct scn_step *step)
{
	struct scn_part **at = &p->file->parts;

	if (step->verb == SCN_TITLE) {
		if (p->file->title)
			return wrong(p, p->number,
				     "a file is one scenario: its parts begin with 'part'");
		p->file->title = step->arg[0].word;
		return 0;
	}
	if (end_part(p))
		return SCN_BAD;
	if (p->part)
		p->scope = p->before;
	else
		p->before = p->scope;
	while (*at)
		at = &(*at)->next;
	p->part = *at = keep(p->file, sizeof(*p->part));
	p->part->title = step->arg[0].word;
	p->part->line = p->number;
	p->expects = 0;
	begin_steps(p, &p->part->steps);
	return 0;
}

/* Which block a line with this indentation belongs to. */
static int find_level(struct parser *p, unsigned int indent, int header)
{
	if (p->level[p->depth].indent == UNKNOWN) {
		if (indent <= p->level[p->depth].header)
			return empty(p);
		p->level[p->depth].indent = indent;
	}
	while (p->depth && indent < p->level[p->depth].indent)
		p->depth--;
	if (header && indent <= p->level[p->depth].indent)
		return wrong(p, p->number,
			     "a block is indented more than the step above that it interrupts");
	if (!header && indent != p->level[p->depth].indent)
		return wrong(p, p->number, "this is indented by %u, the steps of its block by %u",
			     indent, p->level[p->depth].indent);
	return 0;
}

/* `between lookup and insertion:` */
static int read_block(struct parser *p, const char *text, unsigned int indent)
{
	struct scn_step *step = p->level[p->depth].last;
	size_t length = strlen(text) - 1;
	unsigned int point = 0;

	while (point < SCN_POINTS && (strlen(scn_point_name[point]) != length ||
				      strncmp(scn_point_name[point], text, length)))
		point++;
	if (point == SCN_POINTS)
		return wrong(p, p->number, "'%s' opens no block: '%s:', '%s:', '%s:' or '%s:' do",
			     text, scn_point_name[0], scn_point_name[1], scn_point_name[2],
			     scn_point_name[3]);
	if (!step || !(scn_form[step->verb].points >> point & 1))
		return wrong(p, p->number,
			     "the step above has no such moment: `stage2 scenario "
			     "--forms` shows which have");
	if (step->block[point])
		return wrong(p, p->number, "the step above has such a block already");
	if (p->depth + 1 == SCN_DEPTH)
		return wrong(p, p->number, "blocks are nested more than %d deep", SCN_DEPTH - 1);
	p->level[++p->depth] = (struct level){ .indent = UNKNOWN,
					       .header = indent,
					       .opened = p->number,
					       .tail = &step->block[point] };
	return 0;
}

/* Cuts a line into words, *end being behind the last. Returns non-zero after complaining. */
static int cut(struct parser *p, char *at, const char **end)
{
	struct scn_line *line = &p->line;

	for (line->nwords = 0;; line->nwords++) {
		at += strspn(at, " \t");
		*end = at;
		if (!*at || *at == '#')
			return 0;
		if (line->nwords == SCN_WORDS)
			return wrong(p, p->number, "this line has more than %d words", SCN_WORDS);
		line->quoted[line->nwords] = *at == '"';
		at += *at == '"';
		line->word[line->nwords] = at;
		at += strcspn(at, line->quoted[line->nwords] ? "\"" : " \t");
		if (!*at && line->quoted[line->nwords])
			return wrong(p, p->number, "the text has no closing quote");
		if (*at)
			*at++ = '\0';
	}
}

/* A line that has words; `text` is it without comment and margins. */
static int read_words(struct parser *p, const char *text, unsigned int indent)
{
	struct scn_step *step = keep(p->file, sizeof(*step));
	int header = text[strlen(text) - 1] == ':';
	char why[300];

	if (header) {
		if (find_level(p, indent, header))
			return SCN_BAD;
		return read_block(p, text, indent);
	}
	if (scn_read_line(&p->line, &p->scope, step, why, sizeof(why)))
		return wrong(p, p->number, "%s", why);
	if (!p->file->title && step->verb != SCN_TITLE)
		return wrong(p, p->number, "a file begins with 'scenario \"TITLE\"'");
	if (step->verb == SCN_TITLE || step->verb == SCN_PART)
		return indent ? wrong(p, p->number, "'%s' is not indented", p->line.word[0])
			      : read_title(p, step);
	if (find_level(p, indent, header))
		return SCN_BAD;
	step->line = p->number;
	step->text = text;
	*p->level[p->depth].tail = step;
	p->level[p->depth].tail = &step->next;
	p->level[p->depth].last = step;
	return finish_step(p, step);
}

static int read_line(struct parser *p, char *line)
{
	unsigned int indent = (unsigned int)strspn(line, " \t");
	char *text = keep(p->file, strlen(line) + 1);
	const char *end;
	size_t length;

	for (size_t i = 0; line[i]; i++) {
		if (line[i] == '\r' && !line[i + 1])
			line[i] = '\0';
		else if ((line[i] < ' ' && line[i] != '\t') || line[i] > '~')
			return wrong(p, p->number, "column %zu is not plain ASCII", i + 1);
	}
	strcpy(text, line + indent);
	if (cut(p, line + indent, &end))
		return SCN_BAD;
	if (!p->line.nwords)
		return 0;
	length = (size_t)(end - line) - indent;
	while (text[length - 1] == ' ' || text[length - 1] == '\t')
		length--;
	text[length] = '\0';
	return read_words(p, text, indent);
}

int scn_parse(const char *name, struct scn_file *file)
{
	struct parser *p = calloc(1, sizeof(*p));
	char *line = file->text, *end;
	int ret = 0;

	if (!p)
		abort();
	p->file = file;
	file->name = name;
	begin_steps(p, &file->before);
	for (; !ret && line; line = end) {
		end = strchr(line, '\n');
		if (end)
			*end++ = '\0';
		p->number++;
		ret = read_line(p, line);
	}
	if (!ret && !file->parts)
		ret = wrong(p, p->number,
			    "nothing happens here: steps stand below a 'part \"TITLE\"'");
	if (!ret)
		ret = end_part(p);
	free(p);
	return ret;
}

void scn_free(struct scn_file *file)
{
	for (size_t i = 0; i < file->nmemory; i++)
		free(file->memory[i]);
	free(file->memory);
	free(file->text);
}
