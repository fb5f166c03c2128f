// SPDX-License-Identifier: BSD-2-Clause
/*
 * One trace is judged: its events are read one by one and told to a model; findings.c shows what
 * comes of it. Nothing is kept but the model itself, so a trace may be longer than memory.
 */
#include <string.h>

#include "findings.h"
#include "run.h"

/* Returns 0 at the end of the trace, CHECK_BAD after saying what is wrong with it. */
static int tell(struct s2c_trace *trace, struct s2c *model, struct findings *findings)
{
	struct s2c_event event;
	int refused = 0;
	int got;

	progress_start(&findings->progress, findings->name);
	while ((got = s2c_trace_next(trace, &event)) > 0) {
		refused = s2c_event(model, &event);
		if (refused)
			break;
		progress_count(&findings->progress);
	}
	progress_hide(&findings->progress);
	if (refused)
		return complain("%s: %s %llu: %s", findings->name, s2c_trace_unit(trace),
				(unsigned long long)s2c_trace_place(trace), s2c_error(model));
	return got ? complain("%s: %s", findings->name, s2c_trace_error(trace)) : 0;
}

/* --expect. */
static int compare(const struct s2c_trace *trace, const struct findings *findings)
{
	unsigned int n = s2c_trace_expected(trace);
	uint64_t first = 0;
	const char *rule;

	for (unsigned int i = 0; i < n; i++) {
		rule = s2c_trace_expect(trace, i);
		if (!s2c_rule(rule))
			return complain(
				"%s: expects '%s', which is no rule: `stage2 check --rules` "
				"lists them all",
				findings->name, rule);
	}
	while (first < n && first < findings->found &&
	       !strcmp(findings->first[first]->id, s2c_trace_expect(trace, (unsigned int)first)))
		first++;
	if (first == n && first == findings->found)
		return CHECK_CLEAN;
	complain("%s: violation %llu should be %s, but is %s (the report: without --expect)",
		 findings->name, (unsigned long long)first + 1,
		 first < n ? s2c_trace_expect(trace, (unsigned int)first) : "none",
		 first < findings->found ? findings->first[first]->id : "none");
	return CHECK_FOUND;
}

static int judge(const struct check_options *options, struct s2c_trace *trace,
		 struct findings *findings)
{
	uint32_t owed = options->flags & CHECK_OWED_AT_RUN ? S2C_OWED_AT_RUN : 0;
	const struct s2c_config config = {
		.cpu = *s2c_trace_cpu(trace),
		.options = owed | s2c_trace_model_options(trace),
		.ctx = findings,
		.report = findings_report,
	};
	struct s2c *model = s2c_new(&config);
	struct s2c_stats stats;
	int result = CHECK_BAD;

	if (!model)
		return complain("%s: no memory", findings->name);
	if (!tell(trace, model, findings)) {
		s2c_stats(model, &stats);
		result = findings_summarize(findings, &stats);
		if (result != CHECK_BAD && (options->flags & CHECK_EXPECT))
			result = compare(trace, findings);
	}
	s2c_free(model);
	return result;
}

int judge_trace(const struct check_options *options, const char *name)
{
	struct findings findings;
	struct s2c_trace *trace;
	int result;
	int fd;

	trace = check_open(name, 0, &fd);
	if (!trace)
		return CHECK_BAD;
	if (findings_init(&findings, options, check_name(name)))
		result = complain("%s: no memory", findings.name);
	else
		result = judge(options, trace, &findings);
	findings_fini(&findings);
	check_close(trace, fd);
	return result;
}
