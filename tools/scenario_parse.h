/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the two files that read scenarios: scenario_parse.c (files) and scenario_forms.c (lines).
 */
#ifndef STAGE2_SCENARIO_PARSE_H
#define STAGE2_SCENARIO_PARSE_H

#include "scenario.h"

#define SCN_WORDS 12 /* of a line */

/* A line, cut into words; a text in quotes is one. */
struct scn_line {
	unsigned int nwords;
	char *word[SCN_WORDS];
	uint8_t quoted[SCN_WORDS];
};

/* What is declared so far. */
struct scn_named {
	char name[SCN_NAME];
	enum scn_verb verb; /* that declared it: SCN_AREA, SCN_HOLD or SCN_POINTER */
	unsigned int index; /* among those */
};

struct scn_scope {
	struct scn_named named[3 * SCN_EACH];
	unsigned int n;
	unsigned int in_guest;   /* areas with a slot, as a mask */
	uint64_t size[SCN_EACH]; /* of areas */
};

/* Reads a line. Returns 0, or -1 and says in `why` what is wrong and what would be right. */
int scn_read_line(const struct scn_line *line, const struct scn_scope *scope, struct scn_step *step,
		  char *why, size_t n);
/* Enters a new name. Returns NULL, or why it cannot be one. */
const char *scn_declare(struct scn_scope *scope, const char *word, enum scn_verb verb,
			struct scn_arg *arg);

#endif
