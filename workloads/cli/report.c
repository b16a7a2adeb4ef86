// SPDX-License-Identifier: MIT
#include "workloads/cli/report.h"

#include "workloads/cli/again.h"
#include "workloads/cli/results.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct report_item report_item_of(const struct verdict *verdict, const char *schedule,
				  const char *trace_path)
{
	struct report_item item = {
		.schedule = schedule,
		.trace_path = trace_path,
	};
	again_finding(&item.finding, verdict);
	return item;
}

const char *report_place(char *place, const struct trace_finding *finding)
{
	if (strcmp(finding->model, "none") == 0)
		snprintf(place, REPORT_PLACE_BYTES, "without a crash");
	else if (finding->sector)
		snprintf(place, REPORT_PLACE_BYTES,
			 "crash after operation %" PRIu64 " and %" PRIu32 " sectors",
			 finding->operation, finding->sector);
	else
		snprintf(place, REPORT_PLACE_BYTES, "crash after operation %" PRIu64 "%s",
			 finding->operation,
			 strcmp(finding->model, "reorder") == 0 ? ", reordered" : "");
	return place;
}

void report_print(const struct report_item *item)
{
	char place[REPORT_PLACE_BYTES];
	const struct trace_finding *finding = &item->finding;
	printf("  %s (%s%s), %s: %s\n", finding->rule, finding->severity,
	       finding->strict_only ? ", strict form only" : "",
	       item->is_bare ? "as it is" : report_place(place, finding), finding->message);
	if (item->schedule)
		printf("    schedule %s\n", item->schedule);
	if (item->trace_path)
		printf("    trace    %s\n", item->trace_path);
}

void report_json(struct json *json, const struct report_item *item)
{
	const struct trace_finding *finding = &item->finding;
	json_begin_object(json, NULL);
	json_text(json, "rule", finding->rule);
	json_text(json, "severity", finding->severity);
	json_text(json, "message", finding->message);
	json_text(json, "schedule", item->schedule);
	json_begin_object(json, "crash");
	json_text(json, "model", finding->model);
	json_number(json, "operation", finding->operation);
	json_number(json, "sector", finding->sector);
	json_end_object(json);
	json_offset(json, "guest_offset", finding->guest_offset);
	json_offset(json, "host_offset", finding->host_offset);
	json_bool(json, "strict_only", finding->strict_only);
	json_text(json, "trace", item->trace_path);
	json_end_object(json);
}

/* Rules with one reason in one line. */
void report_print_skipped(const char *const *skipped)
{
	for (int first = 0; first < RULE_COUNT; first++) {
		bool is_told = !skipped[first];
		for (int rule = 0; rule < first && !is_told; rule++)
			is_told = skipped[rule] && strcmp(skipped[rule], skipped[first]) == 0;
		if (is_told)
			continue;
		printf("  not judged everywhere: %s", rule_name((enum rule)first));
		for (int rule = first + 1; rule < RULE_COUNT; rule++)
			if (skipped[rule] && strcmp(skipped[rule], skipped[first]) == 0)
				printf(", %s", rule_name((enum rule)rule));
		printf(" (%s)\n", skipped[first]);
	}
}

void report_skipped_json(struct json *json, const char *const *skipped)
{
	json_begin_list(json, "skipped");
	for (int rule = 0; rule < RULE_COUNT; rule++) {
		if (!skipped[rule])
			continue;
		json_begin_object(json, NULL);
		json_text(json, "rule", rule_name((enum rule)rule));
		json_text(json, "reason", skipped[rule]);
		json_end_object(json);
	}
	json_end_list(json);
}

void report_print_left_out(size_t left_out)
{
	if (left_out)
		printf("  left out by --lax: %zu violation%s of the strict form of old-or-new "
		       "only\n",
		       left_out, left_out == 1 ? "" : "s");
}

void report_left_out_json(struct json *json, bool lax, size_t left_out)
{
	json_bool(json, "lax", lax);
	json_number(json, "strict_only_left_out", left_out);
}

void report_print_decided(struct magnitude decided)
{
	char text[MAGNITUDE_TEXT_BYTES];
	if (decided.log2_more > 0)
		printf("  reordered: decided for %s states\n", magnitude_text(decided, text));
}

void report_decided_json(struct json *json, struct magnitude decided)
{
	if (decided.log2_more > 0)
		json_real(json, "reorder_states_log10", magnitude_log10(decided));
	else
		json_null(json, "reorder_states_log10");
}

/* The crashes that others named, and which states they are here. */
static void states_json(struct json *json, const struct lazyfs_states *states)
{
	json_begin_list(json, "injected");
	for (size_t i = 0; i < states->count; i++) {
		const struct lazyfs_state *state = &states->states[i];
		json_begin_object(json, NULL);
		json_text(json, "file", state->name);
		json_number(json, "line", state->entry.line);
		json_text(json, "type", lazyfs_type_name(state->entry.type));
		json_text(json, "left_out", state->problem);
		json_text(json, "note", state->note);
		json_number(json, "image_at", state->operations);
		json_text(json, "persist", state->persist);
		json_end_object(json);
	}
	json_end_list(json);
}

static void print_states(const struct lazyfs_states *states)
{
	for (size_t i = 0; i < states->count; i++) {
		const struct lazyfs_state *state = &states->states[i];
		if (state->problem)
			continue;
		printf("%s:%" PRIu32 ": %s: crash after operation %" PRIu64 "; its image: "
		       "--image-at %" PRIu64 " --persist '%s'\n",
		       state->name, state->entry.line, lazyfs_type_name(state->entry.type),
		       state->operations, state->operations, state->persist);
	}
}

static void print_json(const struct report_findings *findings, const char *schedule)
{
	struct json json = { .file = stdout };
	const struct trace *trace = findings->trace;
	json_begin_object(&json, NULL);
	json_text(&json, "command", findings->command);
	json_text(&json, "workload", *trace->workload ? trace->workload : NULL);
	json_text(&json, "policy", trace_setting(trace, "policy"));
	json_text(&json, "strategy", strcmp(findings->command, "replay") == 0 ? "replay" : NULL);
	json_text(&json, "points", trace_setting(trace, "points"));
	json_bool(&json, "complete", true);
	json_number(&json, "interleavings", 1);
	json_number(&json, "classes", 1);
	json_number(&json, "crash_states", findings->judgement->counts.states);
	json_number(&json, "distinct_crash_states", findings->judgement->counts.distinct);
	report_decided_json(&json, findings->judgement->counts.decided);
	json_begin_list(&json, "violations");
	for (size_t i = 0; i < findings->judgement->verdict_count; i++) {
		struct report_item item = report_item_of(&findings->judgement->verdicts[i],
							 schedule, findings->trace_path);
		report_json(&json, &item);
	}
	json_end_list(&json);
	report_left_out_json(&json, findings->settings->lax, findings->judgement->left_out);
	report_skipped_json(&json, findings->judgement->skipped);
	if (findings->survey)
		survey_json(&json, "survey", findings->survey);
	if (findings->states)
		states_json(&json, findings->states);
	json_seconds(&json, "elapsed_seconds", findings->elapsed_seconds);
	json_text(&json, "schedule", schedule);
	json_text(&json, "trace", findings->trace_path);
	json_end_object(&json);
}

/* How many verdicts of each rule are shown before the rest is only counted. */
enum { SHOWN_OF_A_RULE = 3 };

/* Verdicts in the order in which they were found, the first few of each rule. */
static void print_verdicts(const struct judgement *judgement, bool is_bare)
{
	size_t of_rule[RULE_COUNT] = { 0 };
	for (size_t i = 0; i < judgement->verdict_count; i++) {
		struct report_item item = report_item_of(&judgement->verdicts[i], NULL, NULL);
		item.is_bare = is_bare;
		if (of_rule[judgement->verdicts[i].rule]++ >= SHOWN_OF_A_RULE)
			continue;
		report_print(&item);
	}
	for (int rule = 0; rule < RULE_COUNT; rule++)
		if (of_rule[rule] > SHOWN_OF_A_RULE)
			printf("  %s: %zu more places\n", rule_name((enum rule)rule),
			       of_rule[rule] - SHOWN_OF_A_RULE);
}

/* "nothing wrong", or how much of what severity. */
static const char *summary_text(char *text, size_t text_bytes, const struct judgement *judgement)
{
	size_t corruptions = 0, hazards = 0, leaks = 0;
	for (size_t i = 0; i < judgement->verdict_count; i++) {
		switch (judgement->verdicts[i].severity) {
		case SEVERITY_CORRUPTION: corruptions++; break;
		case SEVERITY_HAZARD: hazards++; break;
		case SEVERITY_LEAK: leaks++; break;
		}
	}
	if (judgement->verdict_count == 0)
		snprintf(text, text_bytes, "nothing wrong");
	else
		snprintf(text, text_bytes,
			 "rules are violated (corruptions %zu, hazards %zu, leaks %zu)",
			 corruptions, hazards, leaks);
	return text;
}

static void print_text(const struct report_findings *findings, bool quiet)
{
	char models[32];
	settings_models_text(findings->settings, models, sizeof(models));
	char summary[96];
	if (findings->states && !quiet)
		print_states(findings->states);
	print_verdicts(findings->judgement, findings->survey != NULL);
	summary_text(summary, sizeof(summary), findings->judgement);
	if (findings->survey && !quiet)
		survey_print(findings->survey);
	bool leaks =
		findings->survey && findings->survey->leaked && !findings->judgement->verdict_count;
	if (findings->survey && !quiet)
		printf("%s: a qcow2 image: %s%s\n", findings->trace_path, summary,
		       leaks ? ", but for leaked clusters" : "");
	else if (!quiet)
		printf("%s: %zu events, %" PRIu64 " crash states (%s): %s\n", findings->trace_path,
		       findings->trace->log.count, findings->judgement->counts.states,
		       findings->states ? "of LazyFS" : models, summary);
	if (quiet)
		return;
	report_print_left_out(findings->judgement->left_out);
	report_print_decided(findings->judgement->counts.decided);
	report_print_skipped(findings->judgement->skipped);
}

static enum status write_results(const struct report_findings *findings,
				 const struct options *options, struct why *why)
{
	struct result_failure *failures =
		calloc(findings->judgement->verdict_count + 1, sizeof(*failures));
	if (!failures)
		abort();
	for (size_t i = 0; i < findings->judgement->verdict_count; i++) {
		failures[i].type = rule_name(findings->judgement->verdicts[i].rule);
		failures[i].message = findings->judgement->verdicts[i].message;
	}
	struct result_case test = {
		.name = findings->trace_path,
		.file = findings->trace_path,
		.seconds = findings->elapsed_seconds,
		.failures = failures,
		.failure_count = findings->judgement->verdict_count,
	};
	char suite[32];
	snprintf(suite, sizeof(suite), "cowtip.%s", findings->command);
	enum status status = results_write(options, suite, &test, 1, why);
	free(failures);
	return status;
}

enum exit_code report_findings(const struct report_findings *findings,
			       const struct options *options)
{
	struct why why = { "" };
	char *schedule =
		*findings->trace->workload ? schedule_print(&findings->trace->schedule) : NULL;
	if (options->json)
		print_json(findings, schedule);
	else if (!options->tap)
		print_text(findings, options->quiet);
	free(schedule);
	enum status status = write_results(findings, options, &why);
	if (status != STATUS_OK)
		return exit_with(status, &why);
	return findings->judgement->verdict_count ? EXIT_VIOLATED : EXIT_CLEAN;
}
