// SPDX-License-Identifier: MIT
/* cowtip check: judge every crash state of a trace, or of a dm-log-writes log, as it is; or the one
 * state that a bare image is. */
#include "workloads/cli/again.h"
#include "workloads/cli/commands.h"
#include "workloads/cli/input.h"
#include "workloads/cli/report.h"
#include "workloads/seconds.h"

#include <string.h>

enum exit_code cmd_check(const struct options *options)
{
	struct trace trace;
	struct settings settings = { 0 };
	struct why why = { "" };
	struct judgement judgement = { 0 };
	struct survey survey = { 0 };
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
	if (status == STATUS_OK)
		status = again_judge(&trace, &settings, &judgement, &why);
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
	settings_release(&settings);
	trace_release(&trace);
	return code;
}
