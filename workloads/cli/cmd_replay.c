// SPDX-License-Identifier: MIT
/* cowtip replay: a trace's workload under its schedule once more, compared event by event; then
 * judged, and the findings compared too.
 *
 * With --bisect the question is another one: does this version of the program break the rule? A run
 * that goes as recorded answers it. One that does not may have left its recording for any reason,
 * so the workload is searched anew; and when that comes to no end, there is no answer. */
#include "workloads/cli/commands.h"
#include "workloads/cli/replay.h"
#include "workloads/cli/report.h"
#include "workloads/seconds.h"

#include <stdlib.h>

/* Does any run of the recorded workload break the rule that the trace broke? */
static enum exit_code search_anew(const struct trace *recorded, const struct settings *settings)
{
	struct schedule schedule;
	struct shrink_budget budget = { 0 };
	enum exit_code code = EXIT_SKIP;
	char *text = NULL;
	shrink_budget_begin(&budget);
	schedule_init(&schedule);
	switch (replay_search(recorded, settings, &budget, &schedule)) {
	case REPLAY_BREAKS:
		text = schedule_print(&schedule);
		fprintf(stderr, "cowtip: %s shows under another schedule, %s\n",
			recorded->findings[0].rule, text ? text : "");
		code = EXIT_VIOLATED;
		break;
	case REPLAY_KEEPS:
		fprintf(stderr, "cowtip: no schedule of the workload shows %s\n",
			recorded->findings[0].rule);
		code = EXIT_CLEAN;
		break;
	case REPLAY_UNKNOWN: break;
	}
	free(text);
	schedule_release(&schedule);
	return code;
}

/* What went wrong with the replay, as an exit status. */
static enum exit_code exit_after(enum status status, const struct why *why,
				 const struct options *options, const struct trace *recorded,
				 const struct settings *settings)
{
	enum exit_code code = exit_with(status, why);
	if (!options->bisect)
		return code;
	return status == STATUS_DIVERGED ? search_anew(recorded, settings) : EXIT_SKIP;
}

enum exit_code cmd_replay(const struct options *options)
{
	struct trace recorded;
	struct settings settings = { 0 };
	struct again again = { 0 };
	struct why why = { "" };
	enum exit_code code = EXIT_BAD;
	double started = seconds_now();
	trace_init(&recorded);
	enum status status = replay_read(&recorded, options->positional[0], &why);
	if (status == STATUS_OK && replay_is_bare(&recorded))
		fputs("cowtip: a trace of a foreign program: its operations are applied and judged "
		      "again, the program is not run\n",
		      stderr);
	if (status == STATUS_OK)
		status = replay_trace(&recorded, &settings, options, &again, &why);
	if (status != STATUS_OK) {
		code = exit_after(status, &why, options, &recorded, &settings);
		goto out;
	}
	struct report_findings findings = {
		.command = "replay",
		.trace_path = options->positional[0],
		.trace = &recorded,
		.settings = &settings,
		.judgement = &again.judgement,
		.elapsed_seconds = seconds_now() - started,
	};
	if (!options->json && !options->quiet && !replay_is_bare(&recorded))
		printf("%zu events, all as recorded\n", recorded.log.count);
	code = report_findings(&findings, options);
out:
	again_release(&again);
	settings_release(&settings);
	trace_release(&recorded);
	return code;
}
