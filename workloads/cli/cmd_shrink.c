// SPDX-License-Identifier: MIT
/* cowtip shrink: a trace that breaks a rule, made small; its story, and the step that decides. */
#include "workloads/cli/bundle.h"
#include "workloads/cli/commands.h"
#include "workloads/cli/interrupt.h"
#include "workloads/cli/output.h"
#include "workloads/cli/plain.h"
#include "workloads/cli/progress.h"
#include "workloads/cli/report.h"
#include "workloads/cli/shrink.h"
#include "workloads/cli/story.h"
#include "workloads/seconds.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Without a budget: minutes at worst, whatever the trace is; counted, so that the result is always
 * the same. */
enum { DEFAULT_RUNS = 400000, DEFAULT_RUNS_PROGRAM = 6000, NAME_BYTES = 256 };

/* One line of the table. */
struct figure {
	const char *name; /* for people */
	const char *key;  /* in JSON */
	uint64_t before, after;
};

enum { FIGURES = 12 };

static void list_figures(struct figure *figures, const struct shrink *shrink)
{
	const struct shrink_size *size = &shrink->size_before, *small = &shrink->best.size;
	const struct shrink_run *run = &shrink->run_before, *quick = &shrink->best.run;
	const struct figure all[FIGURES] = {
		{ "requests", "requests", size->requests, small->requests },
		{ "waits for all", "waits", size->waits, small->waits },
		{ "prepared", "prepared", size->prepared, small->prepared },
		{ "bytes", "bytes", size->bytes, small->bytes },
		{ "disk, bytes", "disk_bytes", size->disk_bytes, small->disk_bytes },
		{ "unaligned ends", "unaligned", size->unaligned, small->unaligned },
		{ "options", "options", size->options, small->options },
		{ "places, bytes", "places", size->places, small->places },
		{ "switches", "switches", run->switches, quick->switches },
		{ "faults", "faults", run->faults, quick->faults },
		{ "crash, sectors", "crash_sectors", run->missing, quick->missing },
		{ "events", "events", run->events, quick->events },
	};
	for (size_t i = 0; i < FIGURES; i++)
		figures[i] = all[i];
}

static void print_figures(FILE *to, const struct shrink *shrink)
{
	struct figure figures[FIGURES];
	list_figures(figures, shrink);
	fprintf(to, "%-16s %12s %12s\n", "", "before", "after");
	for (size_t i = 0; i < FIGURES; i++)
		if (figures[i].before || figures[i].after)
			fprintf(to, "%-16s %12" PRIu64 " %12" PRIu64 "\n", figures[i].name,
				figures[i].before, figures[i].after);
	fprintf(to, "%-16s %12s %12s\n", "crash model", shrink_model_name(&shrink->run_before),
		shrink_model_name(&shrink->best.run));
}

static void print_critical(FILE *to, const struct shrink *shrink)
{
	const struct critical *critical = &shrink->critical;
	if (!shrink->has_critical) {
		fprintf(to, "critical step: not decided: %s\n", shrink->why_no_critical);
		return;
	}
	if (critical->step == 0) {
		fputs("critical step: none: every run of this workload ends like this\n", to);
		return;
	}
	fprintf(to, "critical step: %s%zu of %zu, task %" PRIu32 "%s%s\n",
		critical->is_decided ? "" : "at the latest ", critical->step, critical->step_count,
		critical->actor, critical->event[0] ? ": " : "", critical->event);
	if (critical->is_decided)
		fputs("  before it some way on keeps the rule, after it none does\n", to);
	else
		fputs("  after it no way on keeps the rule; of the steps right before it nothing "
		      "is known\n",
		      to);
}

static void print_indented(FILE *to, const char *text)
{
	while (*text) {
		size_t bytes = strcspn(text, "\n");
		fprintf(to, "  %.*s\n", (int)bytes, text);
		text += bytes + (text[bytes] == '\n');
	}
}

static void print_fewest(FILE *to, const struct shrink *shrink)
{
	if (shrink->fewest.is_decided)
		fprintf(to, "switches: no run of this workload breaks the rule with fewer\n");
}

/* All that a person wants to know. */
static void tell(FILE *to, const struct shrink *shrink, const char *schedule)
{
	const struct trace *trace = &shrink->best.again.trace;
	print_figures(to, shrink);
	fputs("\nThe workload:\n", to);
	print_indented(to, shrink->best.workload.text);
	char *story = story_tell(trace, &trace->findings[0]);
	fprintf(to, "\nStep by step:\n%s\n", story);
	free(story);
	print_critical(to, shrink);
	print_fewest(to, shrink);
	fprintf(to, "%" PRIu64 " executions; %s%s\n  schedule %s\n", shrink->budget.runs,
		shrink->budget.why_ended ? "not complete: " : "nothing that was tried is smaller",
		shrink->budget.why_ended ? shrink->budget.why_ended : "", schedule);
}

static void print_text(const struct shrink *shrink, const char *path, const char *schedule)
{
	struct report_item item = { .finding = shrink->best.again.trace.findings[0] };
	const char *bundle = shrink->options->bundle;
	report_print(&item);
	if (shrink->options->quiet)
		return;
	putchar('\n');
	tell(stdout, shrink, schedule);
	printf("  repeat: cowtip replay %s\n", bundle ? bundle : path);
}

static void json_side(struct json *json, const struct shrink *shrink, bool is_after)
{
	struct figure figures[FIGURES];
	const char *model = shrink_model_name(is_after ? &shrink->best.run : &shrink->run_before);
	list_figures(figures, shrink);
	json_begin_object(json, is_after ? "after" : "before");
	for (size_t i = 0; i < FIGURES; i++)
		json_number(json, figures[i].key, is_after ? figures[i].after : figures[i].before);
	json_text(json, "crash_model", model);
	json_end_object(json);
}

static void json_critical(struct json *json, const struct shrink *shrink)
{
	const struct critical *critical = &shrink->critical;
	json_begin_object(json, "critical_step");
	json_bool(json, "decided", shrink->has_critical && critical->is_decided);
	json_text(json, "why_not", shrink->has_critical ? NULL : shrink->why_no_critical);
	if (shrink->has_critical) {
		json_number(json, "step", critical->step);
		json_number(json, "steps", critical->step_count);
		json_number(json, "task", critical->actor);
		json_text(json, "event", critical->event);
		json_number(json, "executions", critical->runs);
	}
	json_end_object(json);
}

static void json_fewest(struct json *json, const struct shrink *shrink)
{
	json_begin_object(json, "fewest_switches");
	json_bool(json, "decided", shrink->fewest.is_decided);
	json_number(json, "switches", shrink->best.run.switches);
	json_number(json, "executions", shrink->fewest.runs);
	json_end_object(json);
}

static void print_json(const struct shrink *shrink, const char *path, const char *schedule,
		       double seconds)
{
	struct json json = { .file = stdout };
	struct report_item item = { .finding = shrink->best.again.trace.findings[0],
				    .schedule = schedule,
				    .trace_path = path };
	json_begin_object(&json, NULL);
	json_text(&json, "command", "shrink");
	json_text(&json, "workload", shrink->best.workload.text);
	json_bool(&json, "complete", !shrink->budget.why_ended);
	json_text(&json, "why_incomplete", shrink->budget.why_ended);
	json_number(&json, "executions", shrink->budget.runs);
	json_side(&json, shrink, false);
	json_side(&json, shrink, true);
	json_fewest(&json, shrink);
	json_critical(&json, shrink);
	json_begin_list(&json, "violations");
	report_json(&json, &item);
	json_end_list(&json);
	json_seconds(&json, "elapsed_seconds", seconds);
	json_text(&json, "schedule", schedule);
	json_text(&json, "trace", path);
	json_text(&json, "bundle", shrink->options->bundle);
	json_end_object(&json);
}

/* "dir/some.trace.zst" is called "some". What a shell would not take as it is becomes '_'. */
static void name_of(char *name, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	size_t bytes = 0;
	for (; base[bytes] && base[bytes] != '.' && bytes < NAME_BYTES - 1; bytes++) {
		char letter = base[bytes];
		bool is_plain = (letter >= 'a' && letter <= 'z') ||
				(letter >= 'A' && letter <= 'Z') ||
				(letter >= '0' && letter <= '9') || (letter == '-' && bytes);
		name[bytes] = '_';
		if (is_plain)
			name[bytes] = letter;
	}
	name[bytes] = 0;
	if (!bytes)
		snprintf(name, NAME_BYTES, "trace");
}

static enum status store(struct shrink *shrink, char *path, const char *name, struct why *why)
{
	const char *folder = options_folder(shrink->options);
	snprintf(path, OUTPUT_PATH_BYTES, "%.3700s/%s.min.trace.zst", folder, name);
	enum status status = output_make_folder(folder, why);
	return status == STATUS_OK ? trace_write(&shrink->best.again.trace, path, why) : status;
}

/* The same in one file, for others. */
static enum status store_bundle(const struct shrink *shrink, const char *path, const char *name,
				const char *schedule, struct why *why)
{
	char *story = NULL;
	size_t bytes = 0;
	bool has_image = false;
	if (!shrink->options->bundle)
		return STATUS_OK;
	FILE *to = open_memstream(&story, &bytes);
	if (!to)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	const struct trace_finding *finding = &shrink->best.again.trace.findings[0];
	fprintf(to, "%s (%s): %s\n\n", finding->rule, finding->severity, finding->message);
	tell(to, shrink, schedule);
	if (fclose(to) != 0)
		abort();
	char *plain = NULL;
	enum status status =
		plain_script(&plain, &shrink->best.again.trace, &shrink->best.workload, why);
	const struct bundle bundle = { .name = name,
				       .trace = &shrink->best.again.trace,
				       .trace_path = path,
				       .story = story,
				       .plain = plain };
	if (status == STATUS_OK)
		status = bundle_write(&bundle, shrink->options->bundle, &has_image, why);
	free(story);
	free(plain);
	if (status == STATUS_OK && !has_image)
		fputs("cowtip: the crash image is too large for a bundle and left out\n", stderr);
	return status;
}

static enum status give_result(struct shrink *shrink, const char *name, double seconds,
			       struct why *why)
{
	char path[OUTPUT_PATH_BYTES];
	enum status status = store(shrink, path, name, why);
	if (status != STATUS_OK)
		return status;
	char *schedule = schedule_print(&shrink->best.again.trace.schedule);
	if (!schedule)
		abort();
	status = store_bundle(shrink, path, name, schedule, why);
	if (status == STATUS_OK && shrink->options->json)
		print_json(shrink, path, schedule, seconds);
	else if (status == STATUS_OK)
		print_text(shrink, path, schedule);
	free(schedule);
	return status;
}

enum exit_code cmd_shrink(const struct options *options)
{
	char name[NAME_BYTES];
	struct trace trace;
	struct why why = { "" };
	double begun = seconds_now();
	struct progress progress = { .name = name,
				     .is_shown = output_shows_progress(options->quiet) };
	struct shrink shrink = { .trace = &trace,
				 .options = options,
				 .budget = { .limit = options->budget,
					     .stop = interrupt_catch(),
					     .progress = &progress } };
	name_of(name, options->positional[0]);
	trace_init(&trace);
	enum status status = trace_read(&trace, options->positional[0], &why);
	if (!shrink.budget.limit.runs && shrink.budget.limit.seconds <= 0)
		shrink.budget.limit.runs =
			settings_trace_is_foreign(&trace) ? DEFAULT_RUNS_PROGRAM : DEFAULT_RUNS;
	if (status == STATUS_OK)
		status = shrink_all(&shrink, &why);
	progress_clear(&progress);
	if (status == STATUS_OK)
		status = give_result(&shrink, name, seconds_now() - begun, &why);
	enum exit_code code = status == STATUS_OK ? EXIT_VIOLATED : exit_with(status, &why);
	shrink_release(&shrink);
	trace_release(&trace);
	return code;
}
