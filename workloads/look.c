// SPDX-License-Identifier: MIT
#include "workloads/look.h"

enum status look_init(struct look *look, const struct trace_file *files, size_t file_count,
		      const struct look_options *options, struct why *why)
{
	const struct judge_options judging = { .models = options->models,
					       .sector_bytes = options->sector_bytes };
	*look = (struct look){ .options = *options };
	return judge_new(&look->judge, files, file_count, &judging, why);
}

void look_release(struct look *look)
{
	judge_free(look->judge);
	look->judge = NULL;
}

void look_begin(struct look *look)
{
	look->judged_events = 0;
}

bool look_sees(struct look *look, const struct event_log *log)
{
	const struct look_options *options = &look->options;
	struct judge_report report;
	judge_run(look->judge, log, look->judged_events, &report);
	look->judged_events = log->count;
	for (size_t i = 0; i < report.verdict_count; i++) {
		const struct verdict *verdict = &report.verdicts[i];
		if (verdict->rule == options->rule && verdict->severity == options->severity &&
		    !(options->lax && verdict->strict_only))
			return true;
	}
	return false;
}
