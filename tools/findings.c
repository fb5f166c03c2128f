// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a model found, for `stage2 check`: each violation is shown at once, as far as --max allows,
 * and counted; a summary comes last. With --expect only the summary is shown.
 */
#include <stdlib.h>
#include <unistd.h>

#include "../check/report.h"
#include "findings.h"
#include "pack.h"
#include "run.h"

int findings_init(struct findings *findings, const struct check_options *options, const char *name)
{
	*findings = (struct findings){ .options = options, .name = name };
	findings->by_rule = calloc(s2c_nrules, sizeof(*findings->by_rule));
	return findings->by_rule ? 0 : -1;
}

void findings_fini(struct findings *findings)
{
	free(findings->by_rule);
}

static int is_shown(const struct findings *findings)
{
	if (findings->options->flags & CHECK_EXPECT)
		return 0;
	return (findings->options->flags & CHECK_ALL) || findings->found < findings->options->max;
}

static int is_coloured(void)
{
	const char *no_colour = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && !(no_colour && no_colour[0]);
}

void findings_report(void *ctx, const struct s2c_violation *violation)
{
	struct findings *findings = ctx;
	const struct s2c_report_options how = {
		.symbols = findings->options->symbols,
		.trace = findings->name,
		.flags = is_coloured() ? S2C_REPORT_COLOUR : 0,
	};

	if (is_shown(findings)) {
		progress_hide(&findings->progress);
		if (findings->options->flags & CHECK_JSON) {
			s2c_report_json(stdout, violation, &how);
		} else {
			s2c_report_text(stdout, violation, &how);
			putchar('\n');
		}
	}
	if (findings->found <= S2C_TRACE_EXPECTED)
		findings->first[findings->found] = violation->rule;
	findings->found++;
	findings->by_rule[violation->rule - s2c_rules]++;
}

/* "1 TLBI", "2 TLBIs", "3 entries judged". */
static void put_count(const char *before, uint64_t n, const char *one, const char *many)
{
	printf("%s%llu %s", before, (unsigned long long)n, n == 1 ? one : many);
}

static void summarize_text(const struct findings *findings, const struct s2c_stats *stats)
{
	const char *before = " (";

	printf("%s: ", findings->name);
	if (findings->found)
		put_count("", findings->found, "violation", "violations");
	else
		fputs("clean", stdout);
	for (size_t i = 0; i < s2c_nrules; i++) {
		if (findings->by_rule[i]) {
			printf("%s%s %llu", before, s2c_rules[i].id,
			       (unsigned long long)findings->by_rule[i]);
			before = ", ";
		}
	}
	put_count(findings->found ? "); " : "; ", stats->events, "event", "events");
	put_count(", ", stats->entries, "entry judged", "entries judged");
	put_count(", ", stats->tlbis, "TLBI", "TLBIs");
	put_count(", ", stats->dsbs, "DSB", "DSBs");
	put_count(", ", stats->runs, "guest entry", "guest entries");
	if (stats->suspended)
		put_count(", ", stats->suspended, "finding in tables that nobody uses",
			  "findings in tables that nobody uses");
	putchar('\n');
	if (!(findings->options->flags & (CHECK_ALL | CHECK_EXPECT)) &&
	    findings->found > findings->options->max)
		printf("%llu more were not shown: --max all shows them\n",
		       (unsigned long long)(findings->found - findings->options->max));
}

/* Keys are stable: add, do not rename. A violation has no "violations". */
static int summarize_json(const struct findings *findings, const struct s2c_stats *stats)
{
	json_t *summary = json_object();
	int failed;

	json_object_set_new(summary, "trace", pack_text(findings->name));
	pack_findings(summary, findings->found, findings->by_rule, stats);
	failed = json_dumpf(summary, stdout, JSON_COMPACT);
	json_decref(summary);
	putchar('\n');
	return failed ? complain("%s: cannot write the summary", findings->name) : 0;
}

int findings_summarize(const struct findings *findings, const struct s2c_stats *stats)
{
	if (!(findings->options->flags & CHECK_JSON))
		summarize_text(findings, stats);
	else if (summarize_json(findings, stats))
		return CHECK_BAD;
	return findings->found ? CHECK_FOUND : CHECK_CLEAN;
}
