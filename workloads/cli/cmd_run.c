// SPDX-License-Identifier: MIT
/* cowtip run: one execution, its trace, its judgement. */
#include "workloads/cli/again.h"
#include "workloads/cli/commands.h"
#include "workloads/cli/output.h"
#include "workloads/cli/report.h"
#include "workloads/cli/story.h"

#include <inttypes.h>
#include <stdlib.h>

static enum status execute(struct again *again, const struct workload *workload,
			   const struct settings *settings, const struct options *options,
			   struct why *why)
{
	if (!options->has_seed)
		return again_run_schedule(again, workload, settings,
					  options->schedule ? options->schedule : "s1:", why);
	struct strategy *strategy = strategy_random_new(options->seed, 1);
	if (!strategy)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	enum status status = again_run(again, workload, settings, strategy, why);
	strategy_free(strategy);
	return status;
}

static void print_json(const struct again *again, const struct workload *workload,
		       const char *schedule, const char *path, bool lax)
{
	struct json json = { .file = stdout };
	json_begin_object(&json, NULL);
	json_text(&json, "command", "run");
	json_text(&json, "workload", workload->name);
	json_text(&json, "policy", trace_setting(&again->trace, "policy"));
	json_text(&json, "points", trace_setting(&again->trace, "points"));
	json_text(&json, "end", run_end_name(again->end));
	json_number(&json, "events", again->trace.log.count);
	json_number(&json, "crash_states", again->judgement.counts.states);
	json_number(&json, "distinct_crash_states", again->judgement.counts.distinct);
	report_decided_json(&json, again->judgement.counts.decided);
	json_begin_list(&json, "violations");
	for (size_t i = 0; i < again->judgement.verdict_count; i++) {
		struct report_item item =
			report_item_of(&again->judgement.verdicts[i], schedule, path);
		report_json(&json, &item);
	}
	json_end_list(&json);
	report_left_out_json(&json, lax, again->judgement.left_out);
	report_skipped_json(&json, again->judgement.skipped);
	json_text(&json, "schedule", schedule);
	json_text(&json, "trace", path);
	json_end_object(&json);
}

static void print_text(const struct again *again, const struct workload *workload,
		       const char *schedule, const char *path, bool quiet)
{
	for (size_t i = 0; i < again->judgement.verdict_count; i++) {
		struct report_item item = report_item_of(&again->judgement.verdicts[i], NULL, NULL);
		report_print(&item);
	}
	if (quiet)
		return;
	if (again->trace.finding_count) {
		char *story = story_tell(&again->trace, &again->trace.findings[0]);
		printf("\n%s\n", story);
		free(story);
	}
	printf("%s: %s, %zu events, %" PRIu64 " crash states: %s\n  schedule %s\n  trace    %s\n",
	       workload->name, run_end_name(again->end), again->trace.log.count,
	       again->judgement.counts.states,
	       again->judgement.verdict_count ? "rules are violated" : "nothing wrong", schedule,
	       path);
	report_print_left_out(again->judgement.left_out);
	report_print_decided(again->judgement.counts.decided);
	report_print_skipped(again->judgement.skipped);
}

static enum status run_parsed(const struct workload *workload, const struct options *options,
			      enum exit_code *code, struct why *why)
{
	struct settings settings = { 0 };
	struct again again = { 0 };
	char path[OUTPUT_PATH_BYTES];
	const char *folder = options_folder(options);
	char *schedule = NULL;
	enum status status = settings_resolve(&settings, workload, options, why);
	if (status != STATUS_OK)
		goto out;
	settings.world.stacks = true;
	status = execute(&again, workload, &settings, options, why);
	if (status != STATUS_OK)
		goto out;
	snprintf(path, sizeof(path), "%.3800s/%s.trace.zst", folder, workload->name);
	status = output_make_folder(folder, why);
	if (status == STATUS_OK)
		status = trace_write(&again.trace, path, why);
	if (status != STATUS_OK)
		goto out;
	schedule = schedule_print(&again.trace.schedule);
	if (!schedule)
		abort();
	if (options->json)
		print_json(&again, workload, schedule, path, settings.lax);
	else
		print_text(&again, workload, schedule, path, options->quiet);
	*code = again.judgement.verdict_count ? EXIT_VIOLATED : EXIT_CLEAN;
out:
	free(schedule);
	again_release(&again);
	settings_release(&settings);
	return status;
}

enum exit_code cmd_run(const struct options *options)
{
	struct workload workload;
	struct why why = { "" };
	enum exit_code code = EXIT_CLEAN;
	if (options->has_seed && options->schedule) {
		why_set(&why, STATUS_USAGE, "run: --seed and --schedule exclude each other");
		return exit_with(STATUS_USAGE, &why);
	}
	enum status status = workload_load(&workload, options->positional[0], &why);
	if (status == STATUS_OK)
		status = run_parsed(&workload, options, &code, &why);
	if (status != STATUS_OK)
		code = exit_with(status, &why);
	workload_release(&workload);
	return code;
}
