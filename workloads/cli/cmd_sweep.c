// SPDX-License-Identifier: MIT
/* cowtip sweep: the table and the sentence. */
#include "oracle/verdict.h"
#include "workloads/cli/certificate.h"
#include "workloads/cli/commands.h"
#include "workloads/cli/corpus.h"
#include "workloads/cli/jobs.h"
#include "workloads/cli/output.h"
#include "workloads/cli/report.h"
#include "workloads/cli/results.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUITE_MAX = 1024, VERDICT_BYTES = 160 };

/* All outcomes, and their sums. */
struct total {
	const struct sweep_outcome *outcomes;
	size_t count;
	uint64_t interleavings, pruned, states, distinct;
	struct magnitude decided;
	uint64_t left_out;
	size_t violations, failed, incomplete, complaints, differing;
	size_t traces_left_out;
	uint32_t faults_max;
	const char *why_incomplete; /* of the first that is */
	const struct corpus *corpus;
	double elapsed_seconds;
};

static struct total add_up(const struct sweep_outcome *outcomes, size_t count)
{
	struct total total = { .outcomes = outcomes, .count = count };
	for (size_t i = 0; i < count; i++) {
		const struct sweep_summary *summary = &outcomes[i].summary;
		total.interleavings += summary->interleavings;
		total.pruned += summary->pruned;
		total.states += summary->states;
		total.distinct += summary->distinct;
		total.left_out += summary->left_out;
		total.decided = magnitude_add(total.decided, summary->decided);
		total.violations += outcomes[i].violation_count;
		for (size_t k = 0; k < outcomes[i].violation_count; k++)
			total.traces_left_out += !outcomes[i].violations[k].trace_path;
		total.elapsed_seconds += summary->elapsed_seconds;
		total.complaints += summary->complaint[0] != 0;
		total.differing += summary->swap_differing != 0;
		if (total.faults_max < summary->faults)
			total.faults_max = summary->faults;
		if (summary->status != STATUS_OK) {
			total.failed++;
		} else if (!summary->complete) {
			total.incomplete++;
			if (!total.why_incomplete)
				total.why_incomplete = summary->why_incomplete;
		}
	}
	return total;
}

static enum exit_code exit_of(const struct total *total)
{
	enum exit_code known = corpus_exit(total->corpus);
	if (total->failed == total->count)
		return EXIT_BAD;
	if (total->violations || known == EXIT_VIOLATED)
		return EXIT_VIOLATED;
	if (total->failed)
		return EXIT_BAD;
	if (total->complaints || total->differing || known == EXIT_DIVERGED)
		return EXIT_DIVERGED;
	return total->incomplete ? EXIT_BUDGET : known;
}

/* "clean", "cow-complete, progress (as expected)". */
static const char *verdict_text(char *text, const struct sweep_outcome *outcome)
{
	const struct sweep_summary *summary = &outcome->summary;
	bool seen[RULE_COUNT] = { false };
	size_t used = 0;
	if (summary->status != STATUS_OK) {
		snprintf(text, VERDICT_BYTES, "not swept");
		return text;
	}
	text[0] = 0;
	for (size_t i = 0; i < outcome->violation_count && used < VERDICT_BYTES; i++) {
		enum rule rule = outcome->violations[i].verdict.rule;
		if (!seen[rule])
			used += (size_t)snprintf(text + used, VERDICT_BYTES - used, "%s%s",
						 used ? ", " : "", rule_name(rule));
		seen[rule] = true;
	}
	if (!used)
		used += (size_t)snprintf(text, VERDICT_BYTES, "clean");
	if (summary->has_expectation && !summary->as_expected && used < VERDICT_BYTES)
		snprintf(text + used, VERDICT_BYTES - used, " (not as expected)");
	else if (summary->as_expected && outcome->violation_count && used < VERDICT_BYTES)
		snprintf(text + used, VERDICT_BYTES - used, " (as expected)");
	return text;
}

static void print_table(const struct total *total)
{
	printf("%-32s %13s %13s  %-8s  %s\n", "workload", "interleavings", "crash states",
	       "complete", "verdict");
	for (size_t i = 0; i < total->count; i++) {
		const struct sweep_summary *summary = &total->outcomes[i].summary;
		char verdict[VERDICT_BYTES];
		printf("%-32s %13" PRIu64 " %13" PRIu64 "  %-8s  %s\n", summary->workload,
		       summary->interleavings, summary->states, summary->complete ? "yes" : "no",
		       verdict_text(verdict, &total->outcomes[i]));
	}
}

/* The value that all outcomes share, or `mixed`. `value` reads it from a summary. */
static const char *shared_text(const struct total *total,
			       const char *(*value)(const struct sweep_summary *summary),
			       const char *mixed)
{
	const char *text = value(&total->outcomes[0].summary);
	for (size_t i = 1; i < total->count; i++)
		if (strcmp(text, value(&total->outcomes[i].summary)) != 0)
			return mixed;
	return text;
}

static const char *policy_of(const struct sweep_summary *summary)
{
	return summary->policy;
}

static const char *strategy_of(const struct sweep_summary *summary)
{
	return summary->strategy;
}

static const char *points_of(const struct sweep_summary *summary)
{
	return summary->points;
}

static const char *models_of(const struct sweep_summary *summary)
{
	return summary->models;
}

static void print_certificate(const struct total *total)
{
	const struct sweep_summary *first = &total->outcomes[0].summary;
	putchar('\n');
	if (total->count > 1)
		certificate_print_total(total->outcomes, total->count);
	else if (first->status == STATUS_OK)
		certificate_print(first);
	if (first->checkpoint[0])
		printf("\nto go on: cowtip sweep --resume %s\n", first->checkpoint);
}

static void print_sentence(const struct total *total)
{
	printf("%zu workload%s, policy %s: %" PRIu64
	       " interleavings (points %s, strategy %s, %" PRIu64
	       " more pruned as equivalent), %" PRIu64 " crash states (%s), %" PRIu64 " distinct; ",
	       total->count, total->count == 1 ? "" : "s",
	       shared_text(total, policy_of, "as each says"), total->interleavings,
	       shared_text(total, points_of, "as each says"),
	       shared_text(total, strategy_of, "as each says"), total->pruned, total->states,
	       shared_text(total, models_of, "as each says"), total->distinct);
	if (total->faults_max)
		printf("at most %" PRIu32 " injected error%s a run; ", total->faults_max,
		       total->faults_max == 1 ? "" : "s");
	if (total->failed)
		printf("%zu could not be swept; ", total->failed);
	if (total->incomplete)
		printf("not complete: %s (%zu of %zu); ", total->why_incomplete, total->incomplete,
		       total->count);
	else if (!total->failed)
		printf("complete; ");
	if (total->violations)
		printf("%zu violation%s found.\n", total->violations,
		       total->violations == 1 ? "" : "s");
	else
		printf("nothing wrong was found%s.\n",
		       corpus_exit(total->corpus) == EXIT_VIOLATED ? " but in known traces" : "");
}

/* Is it the first of its rule in its workload? */
static bool is_first_of_rule(const struct sweep_outcome *outcome, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (outcome->violations[i].verdict.rule == outcome->violations[index].verdict.rule)
			return false;
	return true;
}

/* Remove the traces that --traces has no room for: those go first that show again what another of
 * the workload shows. */
static void bound_traces(struct sweep_outcome *outcomes, size_t count, struct trace_bound bound)
{
	for (int turn = 0; turn < 2; turn++)
		for (size_t i = 0; i < count; i++)
			for (size_t k = 0; k < outcomes[i].violation_count; k++) {
				char **path = &outcomes[i].violations[k].trace_path;
				bool is_turn = is_first_of_rule(&outcomes[i], k) == (turn == 0);
				if (!*path || !is_turn || trace_bound_keeps(&bound, *path))
					continue;
				free(*path);
				*path = NULL;
			}
}

/* The command that shows the violation again. */
static void print_repeat(const struct sweep_outcome *outcome, const struct options *options)
{
	const struct sweep_violation *violation = &outcome->violations[0];
	if (violation->trace_path) {
		printf("  repeat: cowtip replay %s\n", violation->trace_path);
		return;
	}
	printf("  repeat: cowtip run %s --policy %s --points %s",
	       options->positional_count ? options->positional[0] : outcome->summary.workload,
	       outcome->summary.policy, outcome->summary.points);
	if (outcome->summary.faults)
		printf(" --faults %" PRIu32, outcome->summary.faults);
	if (options->symmetry)
		printf(" --symmetry");
	if (options->lax)
		printf(" --lax");
	if (options->fault_points)
		printf(" --fault-points '%s'", options->fault_points);
	if (options->fault_kinds)
		printf(" --fault-kinds %s", options->fault_kinds);
	for (size_t i = 0; i < options->bug_count; i++)
		printf(" --bug %s", options->bugs[i]);
	printf(" --schedule '%s'\n", violation->schedule);
}

static struct report_item sweep_item_of(const struct sweep_violation *violation)
{
	return report_item_of(&violation->verdict, violation->schedule, violation->trace_path);
}

static void print_violations(const struct total *total, const struct options *options)
{
	bool told = false;
	for (size_t i = 0; i < total->count; i++) {
		const struct sweep_outcome *outcome = &total->outcomes[i];
		if (!outcome->violation_count)
			continue;
		printf("\n%s:\n", outcome->summary.workload);
		for (size_t k = 0; k < outcome->violation_count; k++) {
			struct report_item item = sweep_item_of(&outcome->violations[k]);
			report_print(&item);
		}
		if (!told && outcome->story) {
			printf("\nThe first of them, step by step:\n%s", outcome->story);
			print_repeat(outcome, options);
			told = true;
		}
	}
}

static void skipped_reasons(const char **skipped, const struct sweep_summary *summary)
{
	for (int rule = 0; rule < RULE_COUNT; rule++)
		skipped[rule] = summary->skipped[rule][0] ? summary->skipped[rule] : NULL;
}

/* Over all workloads: the first reason for each rule. */
static void print_skipped(const struct total *total)
{
	const char *skipped[RULE_COUNT] = { NULL };
	for (size_t i = total->count; i-- > 0;) {
		const char *here[RULE_COUNT];
		skipped_reasons(here, &total->outcomes[i].summary);
		for (int rule = 0; rule < RULE_COUNT; rule++)
			skipped[rule] = here[rule] ? here[rule] : skipped[rule];
	}
	report_print_skipped(skipped);
}

static void json_outcome(struct json *json, const struct sweep_outcome *outcome)
{
	const struct sweep_summary *summary = &outcome->summary;
	json_text(json, "workload", summary->workload);
	if (summary->status != STATUS_OK)
		json_text(json, "error", summary->why.text);
	json_text(json, "policy", summary->policy);
	json_text(json, "strategy", summary->strategy);
	json_text(json, "points", summary->points);
	json_text(json, "crash_models", summary->models);
	json_number(json, "faults", summary->faults);
	json_bool(json, "complete", summary->complete);
	json_text(json, "why_incomplete", summary->complete ? NULL : summary->why_incomplete);
	json_text(json, "complaint", summary->complaint[0] ? summary->complaint : NULL);
	if (summary->has_expectation)
		json_bool(json, "as_expected", summary->as_expected);
	else
		json_null(json, "as_expected");
	json_number(json, "interleavings", summary->interleavings);
	json_number(json, "pruned", summary->pruned);
	if (summary->visited_states || summary->is_foreign)
		json_null(json, "classes");
	else
		json_number(json, "classes", summary->classes);
	char checksum[17];
	snprintf(checksum, sizeof(checksum), "%016" PRIx64, summary->class_checksum);
	json_text(json, "class_checksum", checksum);
	json_number(json, "duplicates", summary->duplicates);
	json_number(json, "crash_states", summary->states);
	json_number(json, "distinct_crash_states", summary->distinct);
	report_decided_json(json, summary->decided);
	json_begin_list(json, "violations");
	for (size_t i = 0; i < outcome->violation_count; i++) {
		struct report_item item = sweep_item_of(&outcome->violations[i]);
		report_json(json, &item);
	}
	json_end_list(json);
	report_left_out_json(json, summary->lax, summary->left_out);
	const char *skipped[RULE_COUNT];
	skipped_reasons(skipped, summary);
	report_skipped_json(json, skipped);
	json_seconds(json, "elapsed_seconds", summary->elapsed_seconds);
	certificate_json(json, summary);
	json_text(json, "checkpoint", summary->checkpoint[0] ? summary->checkpoint : NULL);
	bool found = outcome->violation_count != 0;
	json_text(json, "schedule", found ? outcome->violations[0].schedule : NULL);
	json_text(json, "trace", found ? outcome->violations[0].trace_path : NULL);
}

static void json_suite(struct json *json, const struct total *total)
{
	const struct sweep_violation *first = NULL;
	json_text(json, "workload", "suite");
	json_text(json, "policy", shared_text(total, policy_of, "mixed"));
	json_text(json, "strategy", shared_text(total, strategy_of, "mixed"));
	json_text(json, "points", shared_text(total, points_of, "mixed"));
	json_bool(json, "complete", !total->incomplete && !total->failed);
	json_number(json, "interleavings", total->interleavings);
	json_number(json, "pruned", total->pruned);
	json_null(json, "classes");
	json_number(json, "crash_states", total->states);
	json_number(json, "distinct_crash_states", total->distinct);
	report_decided_json(json, total->decided);
	report_left_out_json(json, total->outcomes[0].summary.lax, total->left_out);
	json_begin_list(json, "violations");
	for (size_t i = 0; i < total->count; i++) {
		for (size_t k = 0; k < total->outcomes[i].violation_count; k++) {
			struct report_item item = sweep_item_of(&total->outcomes[i].violations[k]);
			first = first ? first : &total->outcomes[i].violations[k];
			report_json(json, &item);
		}
	}
	json_end_list(json);
	json_seconds(json, "elapsed_seconds", total->elapsed_seconds);
	json_text(json, "schedule", first ? first->schedule : NULL);
	json_text(json, "trace", first ? first->trace_path : NULL);
	json_begin_list(json, "workloads");
	for (size_t i = 0; i < total->count; i++) {
		json_begin_object(json, NULL);
		json_outcome(json, &total->outcomes[i]);
		json_end_object(json);
	}
	json_end_list(json);
}

static void print_json(const struct total *total, bool is_suite)
{
	struct json json = { .file = stdout };
	json_begin_object(&json, NULL);
	json_text(&json, "command", "sweep");
	if (is_suite)
		json_suite(&json, total);
	else
		json_outcome(&json, &total->outcomes[0]);
	json_number(&json, "traces_left_out", total->traces_left_out);
	corpus_json(&json, total->corpus);
	json_end_object(&json);
}

static struct result_case result_of(const struct sweep_outcome *outcome)
{
	const struct sweep_summary *summary = &outcome->summary;
	struct result_failure *failures = calloc(outcome->violation_count + 1, sizeof(*failures));
	if (!failures)
		abort();
	for (size_t i = 0; i < outcome->violation_count; i++) {
		failures[i].type = rule_name(outcome->violations[i].verdict.rule);
		failures[i].message = outcome->violations[i].verdict.message;
		failures[i].text = i ? outcome->violations[i].schedule : outcome->story;
	}
	return (struct result_case){
		.name = summary->workload,
		.seconds = summary->elapsed_seconds,
		.error = summary->status != STATUS_OK ? summary->why.text
			 : summary->complaint[0]      ? summary->complaint
						      : NULL,
		.skipped = summary->complete ? NULL : summary->why_incomplete,
		.failures = failures,
		.failure_count = outcome->violation_count,
	};
}

static enum status write_results(const struct total *total, const struct options *options,
				 struct why *why)
{
	size_t known = total->corpus->known_count, count = known + total->count;
	struct result_case *cases = calloc(count, sizeof(*cases));
	if (!cases)
		abort();
	corpus_cases(total->corpus, cases);
	for (size_t i = 0; i < total->count; i++)
		cases[known + i] = result_of(&total->outcomes[i]);
	/* A name is one of the suite's, a path that of a file. */
	const char *path = options->positional[0];
	if (path && strpbrk(path, "./"))
		cases[known].file = path;
	enum status status = results_write(options, "cowtip.sweep", cases, count, why);
	for (size_t i = 0; i < count; i++)
		free(cases[i].failures);
	free(cases);
	return status;
}

static void print_errors(const struct total *total)
{
	for (size_t i = 0; i < total->count; i++) {
		const struct sweep_summary *summary = &total->outcomes[i].summary;
		if (summary->status != STATUS_OK)
			fprintf(stderr, "cowtip: %s\n", summary->why.text);
		else if (summary->complaint[0])
			fprintf(stderr, "cowtip: %s: %s\n", summary->workload, summary->complaint);
	}
}

static size_t list_suite(const char **names)
{
	size_t count = 0;
	const struct shipped_workload *shipped = NULL;
	while (count < SUITE_MAX && (shipped = workload_shipped(count)))
		names[count++] = shipped->name;
	return count;
}

static uint32_t default_jobs(size_t count)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	return count > 1 && processors >= 2 ? 2 : 1;
}

/* What people want to know. */
static void print_text(const struct total *total, const struct options *options)
{
	if (!options->quiet)
		print_table(total);
	print_violations(total, options);
	if (options->quiet)
		return;
	if (total->traces_left_out)
		printf("\n%zu of %zu violations have no trace file: %s\n", total->traces_left_out,
		       total->violations, "--traces, or more than 64 of a workload");
	report_print_left_out(total->left_out);
	report_print_decided(total->decided);
	print_skipped(total);
	print_certificate(total);
	if (total->corpus->folder)
		corpus_print_end(total->corpus);
	putchar('\n');
	print_sentence(total);
}

/* Sweep `jobs` and report. */
static enum exit_code sweep_jobs(const struct jobs *jobs, struct corpus *corpus, bool is_suite)
{
	const struct options *options = jobs->options;
	struct why why = { "" };
	struct sweep_outcome *outcomes = calloc(jobs->count, sizeof(*outcomes));
	if (!outcomes)
		abort();
	jobs_run(jobs, outcomes);
	enum status status = STATUS_OK;
	if (corpus->folder)
		status = corpus_add(corpus, outcomes, jobs->count, options, &why);
	bound_traces(outcomes, jobs->count, options->traces);
	struct total total = add_up(outcomes, jobs->count);
	total.corpus = corpus;
	print_errors(&total);
	if (options->json)
		print_json(&total, is_suite);
	else if (total.failed != jobs->count && !options->tap)
		print_text(&total, options);
	enum exit_code code = exit_of(&total);
	if (status == STATUS_OK)
		status = write_results(&total, options, &why);
	if (status != STATUS_OK)
		code = exit_with(status, &why);
	for (size_t i = 0; i < jobs->count; i++)
		sweep_outcome_release(&outcomes[i]);
	free(outcomes);
	return code;
}

/* Run what is known first; `rest` gets the options of the sweep behind it. */
static enum status run_known(struct corpus *corpus, const struct options *options,
			     struct options *rest, struct why *why)
{
	*rest = *options;
	if (!options->corpus)
		return STATUS_OK;
	enum status status = corpus_open(corpus, options->corpus, why);
	if (status == STATUS_OK)
		status = corpus_replay(corpus, options, why);
	rest->budget = corpus_budget_left(corpus, &options->budget);
	return status;
}

enum exit_code cmd_sweep(const struct options *options)
{
	static const char *names[SUITE_MAX];
	struct why why = { "" };
	struct corpus corpus = { 0 };
	struct options rest;
	bool is_suite = !options->positional_count && !options->resume;
	size_t count = is_suite ? list_suite(names) : 1;
	if (!is_suite)
		names[0] = options->positional[0];
	struct jobs jobs = {
		.names = names,
		.count = count,
		.at_a_time = options->jobs ? options->jobs : default_jobs(count),
		.workers = 1,
		.options = &rest,
		.shows_progress = output_shows_progress(options->quiet),
	};
	if (!is_suite) {
		jobs.workers = jobs.at_a_time;
		jobs.at_a_time = 1;
	}
	if (!count) {
		why_set(&why, STATUS_BAD_INPUT, "there are no shipped workloads");
		return exit_with(STATUS_BAD_INPUT, &why);
	}
	enum status status = run_known(&corpus, options, &rest, &why);
	enum exit_code code = status == STATUS_OK ? sweep_jobs(&jobs, &corpus, is_suite)
						  : exit_with(status, &why);
	corpus_release(&corpus);
	return code;
}
