// SPDX-License-Identifier: BSD-2-Clause
/*
 * The language of scenarios, a line at a time (docs/scenarios.md; scenario_parse.c puts lines
 * together).
 *
 * The whole grammar is the table of forms below. A form is a list of words: a word in lower case
 * stands for itself, `a|b` for one of several, a word in capitals for an argument of that kind, and
 * what is in brackets may be missing. A line is read by the form of which it matches most; where
 * it leaves it, the message says which words would have been right. So the table is the only
 * place where the language is written down, messages and help included.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scenario_parse.h"

#define FAULT_POINTS (1u << SCN_LOOKUP | 1u << SCN_BREAK | 1u << SCN_WAIT)
#define HOST_POINTS  (1u << SCN_CHANGE | 1u << SCN_BREAK | 1u << SCN_WAIT)
#define PT_POINTS    (1u << SCN_BREAK)
#define TOLD         "[silently|by-gpa]"

const char *const scn_point_name[SCN_POINTS] = {
	[SCN_LOOKUP] = "between lookup and insertion",
	[SCN_BREAK] = "between break and make",
	[SCN_CHANGE] = "between begin and end",
	[SCN_WAIT] = "while it waits",
};

const struct scn_form scn_form[SCN_VERBS] = {
	[SCN_TITLE] = { "scenario \"TEXT\"", 0 },
	[SCN_PART] = { "part \"TEXT\"", 0 },
	[SCN_SAY] = { "say \"TEXT\"", 0 },
	[SCN_POLICY] = { "policy exec exits|aborts", 0 },
	[SCN_AREA] = { "area NEW SIZE pages|blocks|dax|device at HPA", 0 },
	[SCN_SLOT] = { "slot AREA at GPA", 0 },
	[SCN_VCPU] = { "vcpu CPU reads|writes|executes ADDRESS", FAULT_POINTS },
	[SCN_PREFAULT] = { "prefault ADDRESS SIZE for reading|writing|execution", FAULT_POINTS },
	[SCN_HOST_UNMAPS] = { "host unmaps ADDRESS SIZE " TOLD, HOST_POINTS },
	[SCN_HOST_MAPS] = { "host maps ADDRESS SIZE pages|blocks|dax|device at HPA", HOST_POINTS },
	[SCN_HOST_MOVES] = { "host moves ADDRESS SIZE to HPA " TOLD, HOST_POINTS },
	[SCN_PT_PROTECT] = { "engine write-protects ADDRESS SIZE", PT_POINTS },
	[SCN_PT_SPLIT] = { "engine splits ADDRESS SIZE", PT_POINTS },
	[SCN_PT_MAP] = { "engine maps ADDRESS SIZE to HPA RIGHTS", PT_POINTS },
	[SCN_HOLD] = { "hold NEW on ADDRESS for reading|writing", 0 },
	[SCN_USE] = { "use HOLD", 1u << SCN_LOOKUP | 1u << SCN_WAIT },
	[SCN_DONE] = { "done HOLD", 0 },
	[SCN_POINTER] = { "pointer NEW to ADDRESS", 0 },
	[SCN_DEREFERENCE] = { "write through POINTER", 0 },
	[SCN_RAW_BREAK] = { "cpu CPU breaks ADDRESS page|block", 0 },
	[SCN_RAW_MAKE] = { "cpu CPU makes ADDRESS page|block HPA RIGHTS", 0 },
	[SCN_RAW_TLBI] = { "cpu CPU tlbi TLBI [ADDRESS]", 0 },
	[SCN_RAW_DSB] = { "cpu CPU dsb DOMAIN", 0 },
	[SCN_SHOW] = { "show ADDRESS", 0 },
	[SCN_EXPECT_EXIT] = { "expect exit resume|mmio|abort|memory|exec", 0 },
	[SCN_EXPECT_ERROR] = { "expect error ERROR", 0 },
	[SCN_EXPECT_UNMAPPED] = { "expect ADDRESS unmapped", 0 },
	[SCN_EXPECT_LEAF] = { "expect ADDRESS page|block HPA RIGHTS normal|device", 0 },
	[SCN_EXPECT_ALIKE] = { "expect ADDRESS ADDRESS alike SIZE", 0 },
	[SCN_EXPECT_CACHES] = { "expect caches cleaned|untouched", 0 },
	[SCN_EXPECT_COUNT] = { "expect NUMBER faults|made|equal|retried", 0 },
	[SCN_EXPECT_STALE] = { "expect NUMBER stale", 0 },
	[SCN_EXPECT_TLB_NONE] = { "expect tlb ADDRESS none", 0 },
	[SCN_EXPECT_TLB] = { "expect tlb ADDRESS current|stale [HPA]", 0 },
	[SCN_EXPECT_PROGRESS] = { "expect changed SIZE equal SIZE", 0 },
	[SCN_EXPECT_VIOLATION] = { "expect violation RULE", 0 },
};

/* "0x1000", "512", "2M": decimal (010 is ten), or hexadecimal. Returns 0: it is none. */
static int to_number(const char *word, uint64_t *number)
{
	static const char units[] = "KMG";
	int hex = word[0] == '0' && (word[1] == 'x' || word[1] == 'X');
	const char *unit;
	char *end;

	errno = 0;
	*number = strtoull(word, &end, hex ? 16 : 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		unsigned int shift = 10 * (unsigned int)(unit - units + 1);

		if (*number << shift >> shift != *number)
			return 0;
		*number <<= shift;
		end++;
	}
	return isdigit((unsigned char)word[0]) && !errno && !*end;
}

static const struct scn_named *find_name(const struct scn_scope *scope, const char *word,
					 size_t length)
{
	for (unsigned int i = 0; i < scope->n; i++)
		if (strlen(scope->named[i].name) == length &&
		    !strncmp(scope->named[i].name, word, length))
			return &scope->named[i];
	return NULL;
}

/* What `verb` declared under this name. */
static const char *read_name(const struct scn_scope *scope, const char *word, size_t length,
			     enum scn_verb verb, struct scn_arg *arg)
{
	const struct scn_named *named = find_name(scope, word, length);

	if (!named || named->verb != verb)
		return verb == SCN_AREA   ? "no area is called so: 'area NAME ...' comes first"
		       : verb == SCN_HOLD ? "no hold is called so: 'hold NAME on ...' comes first"
					  : "no pointer is called so: 'pointer NAME to ...' comes "
					    "first";
	arg->index = named->index;
	return NULL;
}

const char *scn_declare(struct scn_scope *scope, const char *word, enum scn_verb verb,
			struct scn_arg *arg)
{
	struct scn_named *named = &scope->named[scope->n];
	size_t length = strlen(word);

	if (!isalpha((unsigned char)word[0]) || length >= SCN_NAME || strpbrk(word, "+:\""))
		return "a name begins with a letter, has no '+', and at most 23 characters";
	if (find_name(scope, word, length))
		return "this name is taken";
	named->index = 0;
	for (unsigned int i = 0; i < scope->n; i++)
		named->index += scope->named[i].verb == verb;
	if (named->index == SCN_EACH)
		return "there are 8 such already: that is all there is room for";
	memcpy(named->name, word, length + 1);
	named->verb = verb;
	scope->n++;
	*arg = (struct scn_arg){ .word = word, .index = named->index };
	return NULL;
}

/* `NAME` or `NAME+OFFSET`. */
static const char *read_address(const struct scn_scope *scope, const char *word,
				struct scn_arg *arg)
{
	size_t length = strcspn(word, "+");

	arg->is_address = 1;
	if (word[length] && !to_number(word + length + 1, &arg->number))
		return "the offset must be a number such as 0x1000 or 4K";
	return read_name(scope, word, length, SCN_AREA, arg);
}

static const char *read_rights(const char *word, struct scn_arg *arg)
{
	static const char letter[] = "rwx";
	static const uint8_t right[] = { S2_R, S2_W, S2_X };

	for (unsigned int i = 0; i < 3; i++) {
		if (word[i] != letter[i] && word[i] != '-')
			return "rights are three letters such as rwx, rw- or r--";
		arg->number |= word[i] == '-' ? 0 : right[i];
	}
	return word[3] ? "rights are three letters" : NULL;
}

static const char *error_name(unsigned int n)
{
	return s2_strerror(-(int)n);
}

/* Which of the names that this function gives? */
static const char *read_op(const char *word, struct scn_arg *arg, const char *(*name)(unsigned int),
			   unsigned int n, const char *why)
{
	for (unsigned int i = 0; i < n; i++) {
		arg->number = i;
		if (name(i) && !strcmp(name(i), word))
			return NULL;
	}
	return why;
}

static const char *read_number(const char *kind, const char *word, struct scn_arg *arg)
{
	int pages = !strcmp(kind, "HPA") || !strcmp(kind, "GPA") || !strcmp(kind, "SIZE");

	if (!to_number(word, &arg->number))
		return "this must be a number such as 7, 0x80000000, 4K or 2M";
	if (!strcmp(kind, "CPU") && arg->number >= SIM_CPUS)
		return "there are CPUs 0 to 7";
	if (pages && arg->number & 0xfff)
		return "this must be a multiple of 4K";
	if (pages && arg->number >> 40)
		return "there are 40 bits of address";
	if (!strcmp(kind, "HPA") && !arg->number)
		return "hpa 0 means nothing here: take another one";
	return !strcmp(kind, "SIZE") && arg->number > 1ull << 30 ? "this is more than 1G" : NULL;
}

/* An argument of this kind. Returns NULL, or why the word is none. */
static const char *read_arg(const struct scn_line *line, const struct scn_scope *scope,
			    const char *kind, unsigned int at, struct scn_arg *arg)
{
	const char *word = line->word[at];

	*arg = (struct scn_arg){ .word = word };
	if (!strcmp(kind, "\"TEXT\""))
		return line->quoted[at] ? NULL : "this must be a text in double quotes";
	if (!strcmp(kind, "NEW"))
		return NULL; /* declared when all of the line is well */
	if (!strcmp(kind, "ADDRESS"))
		return read_address(scope, word, arg);
	if (!strcmp(kind, "AREA"))
		return read_name(scope, word, strlen(word), SCN_AREA, arg);
	if (!strcmp(kind, "HOLD"))
		return read_name(scope, word, strlen(word), SCN_HOLD, arg);
	if (!strcmp(kind, "POINTER"))
		return read_name(scope, word, strlen(word), SCN_POINTER, arg);
	if (!strcmp(kind, "RIGHTS"))
		return read_rights(word, arg);
	if (!strcmp(kind, "ERROR"))
		return read_op(word, arg, error_name, 1 - S2_EPENDING,
			       "this must be S2_OK or an error of stage2/types.h, such as "
			       "S2_EAGAIN");
	if (!strcmp(kind, "TLBI"))
		return read_op(word, arg, s2c_tlbi_name, S2C_TLBI_OTHER,
			       "this must be the manual's name in lower case, such as "
			       "vmalls12e1is");
	if (!strcmp(kind, "DOMAIN"))
		return read_op(word, arg, s2c_barrier_name, S2C_BARRIERS,
			       "this must be a barrier's domain, such as ish or ishst");
	if (!strcmp(kind, "RULE"))
		return s2c_rule(word) || !strcmp(word, SCN_USE_AFTER_FREE)
			       ? NULL
			       : "no rule is called so: see `stage2 check --rules`";
	return read_number(kind, word, arg);
}

/* Which of `a|b|c` is the word? -1: none. */
static int choice(const char *choices, const char *word)
{
	for (int i = 0;; i++) {
		size_t length = strcspn(choices, "|");

		if (length == strlen(word) && !strncmp(choices, word, length))
			return i;
		if (!choices[length])
			return -1;
		choices += length + 1;
	}
}

/* How far a line and a form go together. */
struct match {
	unsigned int words; /* of the line, that match */
	const char *rest;   /* of the pattern, at the first that does not; "" at the end */
	const char *why;    /* ... what is wrong with an argument */
	struct scn_step step;
};

static struct match match_form(const struct scn_line *line, const struct scn_scope *scope,
			       enum scn_verb verb)
{
	struct match m = { .step.verb = verb, .rest = scn_form[verb].pattern };

	for (; *m.rest && m.words < line->nwords; m.words++) {
		size_t length = strcspn(m.rest, " ");
		unsigned int optional = m.rest[0] == '[';
		struct scn_arg *arg = &m.step.arg[m.step.nargs];
		char kind[64];
		int which;

		snprintf(kind, sizeof(kind), "%.*s", (int)(length - 2 * optional),
			 m.rest + optional);
		if (isupper((unsigned char)kind[0]) || kind[0] == '"') {
			m.why = read_arg(line, scope, kind, m.words, arg);
			if (m.why)
				break;
			m.step.nargs++;
		} else {
			which = choice(kind, line->word[m.words]);
			if (which < 0 || line->quoted[m.words])
				break;
			*arg = (struct scn_arg){ .word = line->word[m.words],
						 .number = (uint64_t)which };
			m.step.nargs += strchr(kind, '|') != NULL;
		}
		m.rest += length;
		m.rest += strspn(m.rest, " ");
	}
	return m;
}

static const char *all_tlbi_name(unsigned int n)
{
	return s2c_tlbi_name(S2C_VMALLE1 + n);
}

/* Does a block's line begin with this word? Its colon is missing then. */
static int begins_block(const char *word)
{
	for (unsigned int i = 0; i < SCN_POINTS; i++) {
		size_t length = strcspn(scn_point_name[i], " ");

		if (word && strlen(word) == length && !strncmp(word, scn_point_name[i], length))
			return 1;
	}
	return 0;
}

/* Says what is wrong with a line that no form matches. */
static void explain(const struct scn_line *line, const struct match *best, char *why, size_t n)
{
	const char *form = scn_form[best->step.verb].pattern;
	const char *word = best->words < line->nwords ? line->word[best->words] : NULL;
	const char *before = best->words ? line->word[best->words - 1] : "";

	if (!best->words && begins_block(word))
		snprintf(why, n,
			 "the line of a block ends with a colon: '%s:', '%s:', '%s:' or '%s:'",
			 scn_point_name[0], scn_point_name[1], scn_point_name[2],
			 scn_point_name[3]);
	else if (!best->words)
		snprintf(why, n,
			 "no line begins with '%s': `stage2 scenario --forms` shows all that can "
			 "stand here",
			 word);
	else if (best->why)
		snprintf(why, n, "'%s': %s. The form is: %s", word, best->why, form);
	else if (!word)
		snprintf(why, n, "the line ends too early: after '%s' comes %s", before,
			 best->rest);
	else if (!best->rest[0])
		snprintf(why, n, "'%s' is too much here. The form is: %s", word, form);
	else
		snprintf(why, n, "'%s' should be %.*s. The form is: %s", word,
			 (int)strcspn(best->rest, " "), best->rest, form);
}

/* Prints the names that this function gives, in lines that begin below the first. */
static void print_names(const char *kind, const char *what, const char *(*name)(unsigned int),
			unsigned int n)
{
	unsigned int column = (unsigned int)printf("%-8s %s:", kind, what);

	for (unsigned int i = 0; i < n; i++) {
		unsigned int length = (unsigned int)strlen(name(i));

		if (column + 1 + length > SCN_COLUMNS)
			column = (unsigned int)printf("\n%8s", "") - 1;
		column += (unsigned int)printf(" %s", name(i));
	}
	putchar('\n');
}

void scn_print_forms(void)
{
	for (unsigned int i = 0; i < SCN_VERBS; i++) {
		puts(scn_form[i].pattern);
		for (unsigned int point = 0; point < SCN_POINTS; point++)
			if (scn_form[i].points >> point & 1)
				printf("    %s:\n", scn_point_name[point]);
	}
	printf("\nRIGHTS   three letters for read, write, execute, or - in their place: rwx, rw-, "
	       "r-x, r--\n");
	print_names("TLBI", "of one ADDRESS (le1 drops leaves alone; is and os act on all CPUs)",
		    s2c_tlbi_name, S2C_RIPAS2E1);
	print_names("TLBI", "without ADDRESS", all_tlbi_name, S2C_TLBI_OTHER - S2C_VMALLE1);
	print_names("DOMAIN", "of a barrier (dsb ish completes a tlbi)", s2c_barrier_name,
		    S2C_BARRIERS);
	printf("RULE     of the checker, as `stage2 check --rules` explains them; "
	       "or " SCN_USE_AFTER_FREE "\n");
	print_names("ERROR", "of the engine, as stage2/types.h explains them", error_name,
		    1 - S2_EPENDING);
}

int scn_read_line(const struct scn_line *line, const struct scn_scope *scope, struct scn_step *step,
		  char *why, size_t n)
{
	struct match best = { 0 }, m;

	for (enum scn_verb verb = 0; verb < SCN_VERBS; verb++) {
		m = match_form(line, scope, verb);
		if (!m.why && m.words == line->nwords && (!m.rest[0] || m.rest[0] == '[')) {
			*step = m.step;
			return 0;
		}
		if (m.words > best.words || (m.words == best.words && m.why && !best.why))
			best = m;
	}
	explain(line, &best, why, n);
	return -1;
}
