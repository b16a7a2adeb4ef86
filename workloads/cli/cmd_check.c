// SPDX-License-Identifier: MIT
/* cowtip check: judge every crash state of a trace, or of a dm-log-writes log, as it is; or the one
 * state that a bare image is. */
#include "workloads/cli/again.h"
#include "workloads/cli/commands.h"
#include "workloads/cli/input.h"
#include "workloads/cli/lazyfs_states.h"
#include "workloads/cli/report.h"
#include "workloads/seconds.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void tell(const struct lazyfs_state *state)
{
	const char *what = state->problem ? state->problem : state->note;
	if (what)
		fprintf(stderr, "cowtip: %s:%" PRIu32 ": %s: %s%s\n", state->name,
			state->entry.line, lazyfs_type_name(state->entry.type),
			state->problem ? "left out, " : "", what);
}

/* --inject: the crashes that LazyFS entries name, and no others. */
static enum status judge_states(struct lazyfs_states *states, struct trace *trace,
				const struct settings *settings, const struct options *options,
				struct judgement *judgement, struct why *why)
{
	enum status status =
		lazyfs_states_read(states, trace, options->injected, options->injected_count, why);
	for (size_t i = 0; i < states->count && status == STATUS_OK; i++) {
		const struct lazyfs_state *state = &states->states[i];
		const struct again_state here = { state->file, state->event_count,
						  state->operations, state->persist };
		tell(state);
		if (!state->problem)
			status = again_judge_state(trace, settings, &here, judgement, why);
	}
	return status;
}

enum exit_code cmd_check(const struct options *options)
{
	struct trace trace;
	struct settings settings = { 0 };
	struct why why = { "" };
	struct judgement judgement = { 0 };
	struct survey survey = { 0 };
	struct lazyfs_states states = { 0 };
	struct report_findings findings = { .command = "check",
					    .trace_path = options->positional[0],
					    .trace = &trace,
					    .settings = &settings };
	enum exit_code code = EXIT_BAD;
	double started = seconds_now();
	trace_init(&trace);
	enum status status = input_read(&trace, options, "judging", &why);
	if (status == STATUS_OK)
		status = settings_from_trace(&settings, &trace, options, &why);
	if (status == STATUS_OK && options->injected_count) {
		status = judge_states(&states, &trace, &settings, options, &judgement, &why);
		findings.states = &states;
	} else if (status == STATUS_OK) {
		status = again_judge(&trace, &settings, &judgement, &why);
	}
	if (status == STATUS_OK && strcmp(trace.subject, INPUT_IMAGE_SUBJECT) == 0) {
		survey_read(&survey, &trace, judgement.verdicts, judgement.verdict_count);
		survey.leaked = judgement.leaked;
		findings.survey = &survey;
	}
	if (status == STATUS_OK) {
		findings.judgement = &judgement;
		findings.elapsed_seconds = seconds_now() - started;
		code = report_findings(&findings, options);
	} else {
		code = exit_with(status, &why);
	}
	judgement_release(&judgement);
	lazyfs_states_release(&states);
	settings_release(&settings);
	trace_release(&trace);
	return code;
}
