// SPDX-License-Identifier: MIT
/* cowtip bench: the figures, on this machine, all measured in the same session so that the ratios
 * between them mean something.
 *
 *   sweeps      executions, classes and crash images a second, over the suite; beside them
 *               `qemu-img check` on crash states of the first workload   (bench_checks.c)
 *   searches    reduction and snapshots, with and without                (bench_searches.c)
 *   skeleton    a program of locks under our search and under Spin       (bench_skeleton.c,
 *                                                                         bench_spin.c)
 *   gate        qemu-io and qemu-nbd at the gate, launched plainly       (bench_gate.c)
 *   record      qemu-img recorded, and as it is                          (bench_record.c)
 *   recording   a million operations on a large disk, judged             (bench_recording.c)
 *
 * Everything of our own runs on one core, and all but the last in one process. */
#include "workloads/cli/bench.h"
#include "workloads/cli/commands.h"
#include "workloads/cli/json.h"
#include "workloads/cli/report.h"
#include "workloads/cli/sweep.h"

#include <inttypes.h>
#include <stdio.h>

enum { SUITE_MAX = 1024 };

#define SECONDS_A_WORKLOAD 1.0

/* Sweeps of all workloads together. */
struct suite {
	uint64_t executions;
	uint64_t interleavings;
	uint64_t classes;
	uint64_t states;
	uint64_t judged;
	double seconds;
};

struct figures {
	struct suite suite;
	struct bench_checks checks;
	struct bench_searches searches;
	struct bench_skeleton skeleton;
	struct bench_spin spin;
	struct bench_gate gate;
	struct bench_record record;
	struct bench_recording recording, reordered; /* judged without and with `reorder` */
};

static enum status measure_sweep(struct suite *suite, const char *name,
				 const struct options *options, struct why *why)
{
	struct sweep_plan plan = { .budget = options->budget, .jobs = 1 };
	struct sweep_outcome outcome;
	if (plan.budget.seconds <= 0 && !plan.budget.runs && !plan.budget.states)
		plan.budget.seconds = SECONDS_A_WORKLOAD;
	sweep_workload(&outcome, name, options, &plan);
	const struct sweep_summary *summary = &outcome.summary;
	enum status status = summary->status;
	*why = summary->why;
	suite->executions += summary->interleavings + summary->pruned;
	suite->interleavings += summary->interleavings;
	suite->classes += summary->classes;
	suite->states += summary->states;
	suite->judged += summary->judged;
	suite->seconds += summary->elapsed_seconds;
	if (!options->quiet && status == STATUS_OK)
		fprintf(stderr, "%-32s %10.0f executions/s %12.0f crash images/s%s\n",
			summary->workload,
			bench_rate(summary->interleavings + summary->pruned,
				   summary->elapsed_seconds),
			bench_rate(summary->states, summary->elapsed_seconds),
			summary->complete ? "  (complete)" : "");
	sweep_outcome_release(&outcome);
	return status;
}

static enum status measure_suite(struct suite *suite, const char *only,
				 const struct options *options, struct why *why)
{
	enum status status = STATUS_OK;
	if (only)
		return measure_sweep(suite, only, options, why);
	for (size_t i = 0; status == STATUS_OK && i < SUITE_MAX; i++) {
		const struct shipped_workload *shipped = workload_shipped(i);
		if (!shipped)
			break;
		status = measure_sweep(suite, shipped->name, options, why);
	}
	return status;
}

static enum status measure_all(struct figures *figures, const char *only,
			       const struct options *options, struct why *why)
{
	const char *checked = only ? only : workload_shipped(0)->name;
	enum status status = measure_suite(&figures->suite, only, options, why);
	if (status == STATUS_OK)
		status = bench_checks(&figures->checks, checked, options, why);
	if (status == STATUS_OK)
		status = bench_searches(&figures->searches, only, options, why);
	if (status == STATUS_OK)
		status = bench_skeleton(&figures->skeleton, options->budget.runs, why);
	if (status == STATUS_OK)
		status = bench_spin(&figures->spin, figures->skeleton.writers,
				    figures->skeleton.rounds, why);
	if (status == STATUS_OK)
		status = bench_gate(&figures->gate, options->budget.runs, why);
	if (status == STATUS_OK)
		status = bench_record(&figures->record, options->budget.runs, why);
	if (status == STATUS_OK)
		status = bench_recording(&figures->recording, CRASH_PREFIX | CRASH_TORN, options,
					 why);
	if (status == STATUS_OK)
		status = bench_recording(&figures->reordered,
					 CRASH_PREFIX | CRASH_TORN | CRASH_REORDER, options, why);
	return status;
}

static void print_suite(const struct suite *suite, const struct bench_checks *checks)
{
	double states = bench_rate(suite->states, suite->seconds);
	double judged = bench_rate(suite->judged, suite->seconds);
	double rate = bench_rate(checks->checks, checks->seconds);
	printf("sweeps, on one core:\n"
	       "  %.0f executions/s, %.0f classes/s, %.0f crash images/s, %.0f of them judged "
	       "anew\n",
	       bench_rate(suite->executions, suite->seconds),
	       bench_rate(suite->classes, suite->seconds), states, judged);
	if (checks->why_none)
		printf("  no comparison with qemu-img: %s\n", checks->why_none);
	else
		printf("  %.0f runs of qemu-img check a second; for each of them %.0f crash images "
		       "passed, %.0f of them judged anew\n",
		       rate, bench_ratio(states, rate), bench_ratio(judged, rate));
}

static double executions_ratio(const struct bench_pair *pair)
{
	return bench_ratio((double)pair->without.executions, (double)pair->with.executions);
}

static double seconds_ratio(const struct bench_pair *pair)
{
	return bench_ratio(pair->without.seconds, pair->with.seconds);
}

static void print_search(const char *what, const struct bench_search *search)
{
	printf("  %-28s %10" PRIu64 " executions in %.4f s, %.0f/s%s\n", what, search->executions,
	       search->seconds, bench_rate(search->executions, search->seconds),
	       search->complete ? "" : " (not complete)");
}

static void print_searches(const struct bench_searches *searches)
{
	const struct bench_pair *reduction = &searches->reduction;
	const struct bench_pair *snapshots = &searches->snapshots;
	const struct bench_pair *requests = &searches->requests;
	printf("searches, runs not judged:\n");
	printf(" partial-order reduction, '%s': %s%.0f times fewer executions, %s%.0f times "
	       "faster\n",
	       reduction->workload, reduction->without.complete ? "" : "more than ",
	       executions_ratio(reduction), reduction->without.complete ? "" : "more than ",
	       seconds_ratio(reduction));
	print_search("one of each class", &reduction->with);
	print_search("every order", &reduction->without);
	printf(" snapshots, '%s': %.1f times faster\n", snapshots->workload,
	       seconds_ratio(snapshots));
	print_search("from snapshots", &snapshots->with);
	print_search("from the beginning", &snapshots->without);
	printf(" two requests, '%s', again and again\n", requests->workload);
	print_search("one of each class", &requests->with);
	print_search("every order", &requests->without);
}

static void print_spin(const struct bench_spin *spin, const struct bench_skeleton *skeleton)
{
	if (spin->why_none) {
		printf("  no comparison with Spin: %s\n", spin->why_none);
		return;
	}
	for (size_t i = 0; i < BENCH_SPIN_RUNS; i++) {
		const struct bench_spin_run *run = &spin->runs[i];
		printf("  Spin, %-5s mutex, %-13s %9" PRIu64 " states in %.3f s, %.0f/s\n",
		       run->queues ? "FIFO" : "plain",
		       run->reduces ? "reduced:" : "not reduced:", run->states, run->seconds,
		       bench_rate(run->states, run->seconds));
	}
	printf("  Spin's fastest reduced search takes %.1f times as long as ours over classes to "
	       "cover all orders.\n"
	       "  A state takes us %.1f times as long as Spin without reduction: each branch is "
	       "run by coroutines\n"
	       "  from the beginning; Spin steps a compiled model on from where it branches.\n",
	       bench_ratio(bench_spin_seconds(spin), skeleton->dpor.seconds),
	       bench_ratio(bench_rate(spin->runs[1].states, spin->runs[1].seconds),
			   bench_rate(skeleton->states, skeleton->stateful.seconds)));
}

static void print_skeleton(const struct bench_skeleton *skeleton, const struct bench_spin *spin)
{
	printf("%" PRIu32 " writers that take a mutex %" PRIu32 " times each (bench/skeleton.pml), "
	       "plain mutex, %" PRIu64 " classes:\n",
	       skeleton->writers, skeleton->rounds, skeleton->orders);
	print_search("one of each class", &skeleton->dpor);
	printf("  %-28s %10" PRIu64 " steps, %.0f/s\n", "", skeleton->dpor_steps,
	       bench_rate(skeleton->dpor_steps, skeleton->dpor.seconds));
	printf("  %-28s %10" PRIu64 " states in %.3f s, %.0f/s\n", "every state once",
	       skeleton->states, skeleton->stateful.seconds,
	       bench_rate(skeleton->states, skeleton->stateful.seconds));
	print_spin(spin, skeleton);
}

static void json_search(struct json *json, const char *key, const struct bench_search *search)
{
	json_begin_object(json, key);
	json_number(json, "executions", search->executions);
	json_number(json, "completed", search->completed);
	json_bool(json, "complete", search->complete);
	json_real(json, "seconds", search->seconds);
	json_seconds(json, "executions_per_second",
		     bench_rate(search->executions, search->seconds));
	json_end_object(json);
}

static void json_suite(struct json *json, const struct suite *suite,
		       const struct bench_checks *checks)
{
	double rate = bench_rate(checks->checks, checks->seconds);
	double states = bench_rate(suite->states, suite->seconds);
	double judged = bench_rate(suite->judged, suite->seconds);
	json_number(json, "interleavings", suite->interleavings);
	json_number(json, "executions", suite->executions);
	json_number(json, "classes", suite->classes);
	json_number(json, "crash_states", suite->states);
	json_seconds(json, "elapsed_seconds", suite->seconds);
	json_seconds(json, "interleavings_per_second",
		     bench_rate(suite->interleavings, suite->seconds));
	json_seconds(json, "executions_per_second", bench_rate(suite->executions, suite->seconds));
	json_seconds(json, "classes_per_second", bench_rate(suite->classes, suite->seconds));
	json_seconds(json, "crash_states_per_second", states);
	json_seconds(json, "judged_states_per_second", judged);
	json_seconds(json, "qemu_img_checks_per_second", rate);
	json_seconds(json, "crash_states_per_qemu_img_check", bench_ratio(states, rate));
	json_seconds(json, "judged_states_per_qemu_img_check", bench_ratio(judged, rate));
}

static void print_recording(const char *models, const struct bench_recording *recording)
{
	printf("  %-20s judged in %.1f s, %.0f crash states/s, %.0f MiB of memory, %zu "
	       "violations\n",
	       models, recording->seconds, bench_rate(recording->states, recording->seconds),
	       (double)recording->memory_bytes / (1 << 20), recording->verdicts);
}

static void print_recordings(const struct figures *figures)
{
	char decided[MAGNITUDE_TEXT_BYTES];
	printf("a recording of %" PRIu64 " operations on a disk of 10 GiB:\n",
	       figures->recording.operations);
	print_recording("prefix,torn", &figures->recording);
	print_recording("prefix,torn,reorder", &figures->reordered);
	printf("  %-20s the decisions stand for %s states\n", "",
	       magnitude_text(figures->reordered.decided, decided));
}

static void json_recording(struct json *json, const char *key,
			   const struct bench_recording *recording)
{
	json_begin_object(json, key);
	json_number(json, "operations", recording->operations);
	json_number(json, "crash_states", recording->states);
	json_real(json, "seconds", recording->seconds);
	json_seconds(json, "crash_states_per_second",
		     bench_rate(recording->states, recording->seconds));
	report_decided_json(json, recording->decided);
	json_number(json, "memory_bytes", recording->memory_bytes);
	json_number(json, "violations", recording->verdicts);
	json_end_object(json);
}

static void json_pair(struct json *json, const char *key, const struct bench_pair *pair,
		      const char *const names[2])
{
	json_begin_object(json, key);
	json_text(json, "workload", pair->workload);
	json_search(json, names[0], &pair->with);
	json_search(json, names[1], &pair->without);
	json_seconds(json, "executions_ratio", executions_ratio(pair));
	json_seconds(json, "seconds_ratio", seconds_ratio(pair));
	json_end_object(json);
}

static void json_skeleton(struct json *json, const struct bench_skeleton *skeleton)
{
	json_begin_object(json, "skeleton");
	json_number(json, "writers", skeleton->writers);
	json_number(json, "rounds", skeleton->rounds);
	json_number(json, "classes", skeleton->orders);
	json_search(json, "dpor", &skeleton->dpor);
	json_number(json, "dpor_steps", skeleton->dpor_steps);
	json_seconds(json, "classes_per_second",
		     bench_rate(skeleton->orders, skeleton->dpor.seconds));
	json_seconds(json, "steps_per_second",
		     bench_rate(skeleton->dpor_steps, skeleton->dpor.seconds));
	json_search(json, "stateful", &skeleton->stateful);
	json_number(json, "states", skeleton->states);
	json_number(json, "transitions", skeleton->transitions);
	json_seconds(json, "states_per_second",
		     bench_rate(skeleton->states, skeleton->stateful.seconds));
	json_end_object(json);
}

static void json_spin(struct json *json, const struct bench_spin *spin,
		      const struct bench_skeleton *skeleton)
{
	if (spin->why_none) {
		json_null(json, "spin");
		return;
	}
	json_begin_object(json, "spin");
	json_begin_list(json, "runs");
	for (size_t i = 0; i < BENCH_SPIN_RUNS; i++) {
		const struct bench_spin_run *run = &spin->runs[i];
		json_begin_object(json, NULL);
		json_text(json, "mutex", run->queues ? "fifo" : "plain");
		json_bool(json, "reduced", run->reduces);
		json_number(json, "states", run->states);
		json_number(json, "transitions", run->transitions);
		json_seconds(json, "seconds", run->seconds);
		json_seconds(json, "states_per_second", bench_rate(run->states, run->seconds));
		json_end_object(json);
	}
	json_end_list(json);
	json_seconds(json, "reduced_seconds_per_dpor_second",
		     bench_ratio(bench_spin_seconds(spin), skeleton->dpor.seconds));
	json_seconds(json, "states_per_stateful_state",
		     bench_ratio(bench_rate(spin->runs[1].states, spin->runs[1].seconds),
				 bench_rate(skeleton->states, skeleton->stateful.seconds)));
	json_end_object(json);
}

static void print_json(const struct figures *figures)
{
	static const char *const reduction[] = { "dpor", "dfs" };
	static const char *const snapshots[] = { "with", "without" };
	const struct bench_searches *searches = &figures->searches;
	struct json json = { .file = stdout };
	json_begin_object(&json, NULL);
	json_text(&json, "command", "bench");
	json_suite(&json, &figures->suite, &figures->checks);
	json_pair(&json, "reduction", &searches->reduction, reduction);
	json_pair(&json, "snapshots", &searches->snapshots, snapshots);
	json_pair(&json, "two_requests", &searches->requests, reduction);
	json_skeleton(&json, &figures->skeleton);
	json_spin(&json, &figures->spin, &figures->skeleton);
	bench_gate_json(&json, &figures->gate);
	bench_record_json(&json, &figures->record);
	json_recording(&json, "recording", &figures->recording);
	json_recording(&json, "recording_reordered", &figures->reordered);
	json_end_object(&json);
}

enum exit_code cmd_bench(const struct options *options)
{
	struct figures figures = { 0 };
	struct why why = { "" };
	const char *only = options->positional_count ? options->positional[0] : NULL;
	enum status status = measure_all(&figures, only, options, &why);
	if (status != STATUS_OK)
		return exit_with(status, &why);
	if (options->json) {
		print_json(&figures);
	} else {
		print_suite(&figures.suite, &figures.checks);
		print_searches(&figures.searches);
		print_skeleton(&figures.skeleton, &figures.spin);
		bench_gate_print(&figures.gate);
		bench_record_print(&figures.record);
		print_recordings(&figures);
	}
	return EXIT_CLEAN;
}
