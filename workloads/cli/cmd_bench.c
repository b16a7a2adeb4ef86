// SPDX-License-Identifier: MIT
/* cowtip bench: interleavings and crash states a second, beside `qemu-img check` on crash states of
 * the same workloads, materialised as files, measured in the same session. */
#include "oracle/judge.h"
#include "workloads/cli/again.h"
#include "workloads/cli/commands.h"
#include "workloads/cli/json.h"
#include "workloads/cli/output.h"
#include "workloads/cli/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	SUITE_MAX = 1024,
	IMAGES_MAX = 64, /* crash states materialised */
	PATH_BYTES = 256,
};

#define SECONDS_A_WORKLOAD 1.0
#define SECONDS_OF_QEMU_IMG 2.0

struct figures {
	uint64_t interleavings;
	uint64_t states;
	uint64_t judged;
	double sweep_seconds;
	uint64_t checks; /* runs of qemu-img check */
	double check_seconds;
	const char *why_no_checks; /* NULL: there were some */
};

static double now_seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double rate(uint64_t count, double seconds)
{
	return seconds > 0 ? (double)count / seconds : 0;
}

static enum status measure_sweep(struct figures *figures, const char *name,
				 const struct options *options, struct why *why)
{
	struct explore_options search = { .budget = options->budget, .count_distinct = true };
	struct sweep_outcome outcome;
	if (search.budget.seconds <= 0 && !search.budget.runs && !search.budget.states)
		search.budget.seconds = SECONDS_A_WORKLOAD;
	sweep_workload(&outcome, name, options, &search);
	const struct sweep_summary *summary = &outcome.summary;
	enum status status = summary->status;
	*why = summary->why;
	figures->interleavings += summary->interleavings;
	figures->states += summary->states;
	figures->judged += summary->judged;
	figures->sweep_seconds += summary->elapsed_seconds;
	if (!options->quiet && status == STATUS_OK)
		fprintf(stderr, "%-32s %10.0f interleavings/s %12.0f crash states/s%s\n",
			summary->workload, rate(summary->interleavings, summary->elapsed_seconds),
			rate(summary->states, summary->elapsed_seconds),
			summary->complete ? "  (complete)" : "");
	sweep_outcome_release(&outcome);
	return status;
}

/* Store crash states of one run in `folder`: after every operation, up to IMAGES_MAX. */
static enum status store_crash_states(const struct trace *trace, const char *folder, size_t *count,
				      struct why *why)
{
	enum status status = STATUS_OK;
	struct content *content = content_clone(trace->files[0].initial);
	if (!content)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	for (size_t i = 1; i < trace->file_count && status == STATUS_OK; i++) {
		char path[PATH_BYTES];
		snprintf(path, sizeof(path), "%s/%s", folder, trace->files[i].path);
		status = content_store(trace->files[i].initial, path, why);
	}
	for (size_t i = 0; i < trace->log.count && status == STATUS_OK && *count < IMAGES_MAX;
	     i++) {
		const struct event *event = &trace->log.events[i];
		char path[PATH_BYTES];
		if (!judge_is_operation(event))
			continue;
		status = trace_apply(content, &trace->log, event);
		if (status != STATUS_OK)
			break;
		snprintf(path, sizeof(path), "%s/%zu.qcow2", folder, (*count)++);
		status = content_store(content, path, why);
	}
	content_free(content);
	return status;
}

static enum status materialise(const char *name, const struct options *options, const char *folder,
			       size_t *count, struct why *why)
{
	struct workload workload;
	struct settings settings = { 0 };
	struct again again = { 0 };
	enum status status = workload_load(&workload, name, why);
	if (status == STATUS_OK)
		status = settings_resolve(&settings, &workload, options, why);
	if (status == STATUS_OK)
		status = again_run_schedule(&again, &workload, &settings, "s1:", why);
	if (status == STATUS_OK)
		status = store_crash_states(&again.trace, folder, count, why);
	again_release(&again);
	settings_release(&settings);
	workload_release(&workload);
	return status;
}

/* Run `qemu-img check` on `path`. False when it could not be run at all. */
static bool run_qemu_img(const char *path)
{
	char image[PATH_BYTES];
	char program[] = "qemu-img", check[] = "check", quiet[] = "-q", format[] = "-f",
	     qcow2[] = "qcow2";
	char *arguments[] = { program, check, quiet, format, qcow2, image, NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid = 0;
	int wait_status = 0;
	snprintf(image, sizeof(image), "%s", path);
	if (posix_spawn_file_actions_init(&actions) != 0)
		return false;
	bool started = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null",
							O_WRONLY, 0) == 0 &&
		       posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null",
							O_WRONLY, 0) == 0 &&
		       posix_spawnp(&pid, program, &actions, NULL, arguments, environ) == 0;
	posix_spawn_file_actions_destroy(&actions);
	if (!started)
		return false;
	while (waitpid(pid, &wait_status, 0) < 0 && errno == EINTR)
		continue;
	return WIFEXITED(wait_status) && WEXITSTATUS(wait_status) != 127;
}

static void measure_qemu_img(struct figures *figures, const char *folder, size_t count)
{
	double started = now_seconds();
	do {
		for (size_t i = 0; i < count; i++) {
			char path[PATH_BYTES];
			snprintf(path, sizeof(path), "%s/%zu.qcow2", folder, i);
			if (!run_qemu_img(path)) {
				figures->why_no_checks = "qemu-img cannot be run";
				return;
			}
			figures->checks++;
		}
		figures->check_seconds = now_seconds() - started;
	} while (figures->check_seconds < SECONDS_OF_QEMU_IMG);
}

static void remove_folder(const char *folder, size_t count)
{
	static const char *const others[] = { "backing.raw", "backing.qcow2" };
	char path[PATH_BYTES];
	for (size_t i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%zu.qcow2", folder, i);
		unlink(path);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, others[i]);
		unlink(path);
	}
	rmdir(folder);
}

static enum status compare_with_qemu_img(struct figures *figures, const char *name,
					 const struct options *options, struct why *why)
{
	char folder[] = "/tmp/cowtip-bench-XXXXXX";
	size_t count = 0;
	if (!mkdtemp(folder))
		return why_set(why, STATUS_IO, "cannot create a folder in /tmp: %s",
			       strerror(errno));
	enum status status = materialise(name, options, folder, &count, why);
	if (status == STATUS_OK && count)
		measure_qemu_img(figures, folder, count);
	else if (status == STATUS_OK)
		figures->why_no_checks = "the workload changes nothing";
	remove_folder(folder, count);
	return status;
}

static void print_figures(const struct figures *figures)
{
	double runs = rate(figures->interleavings, figures->sweep_seconds);
	double states = rate(figures->states, figures->sweep_seconds);
	double checks = rate(figures->checks, figures->check_seconds);
	double judged = rate(figures->judged, figures->sweep_seconds);
	printf("%.0f interleavings/s, %.0f crash states/s, %.0f of them judged anew\n", runs,
	       states, judged);
	if (figures->why_no_checks)
		printf("no comparison: %s\n", figures->why_no_checks);
	else
		printf("%.0f runs of qemu-img check a second; for each of them %.0f crash states "
		       "passed, "
		       "%.0f of them judged anew\n",
		       checks, checks > 0 ? states / checks : 0, checks > 0 ? judged / checks : 0);
}

static void print_json(const struct figures *figures)
{
	struct json json = { .file = stdout };
	double checks = rate(figures->checks, figures->check_seconds);
	double states = rate(figures->states, figures->sweep_seconds);
	double judged = rate(figures->judged, figures->sweep_seconds);
	json_begin_object(&json, NULL);
	json_text(&json, "command", "bench");
	json_number(&json, "interleavings", figures->interleavings);
	json_number(&json, "crash_states", figures->states);
	json_seconds(&json, "elapsed_seconds", figures->sweep_seconds);
	json_seconds(&json, "interleavings_per_second",
		     rate(figures->interleavings, figures->sweep_seconds));
	json_seconds(&json, "crash_states_per_second", states);
	json_seconds(&json, "judged_states_per_second", judged);
	json_seconds(&json, "qemu_img_checks_per_second", checks);
	json_seconds(&json, "crash_states_per_qemu_img_check", checks > 0 ? states / checks : 0);
	json_seconds(&json, "judged_states_per_qemu_img_check", checks > 0 ? judged / checks : 0);
	json_end_object(&json);
}

enum exit_code cmd_bench(const struct options *options)
{
	struct figures figures = { 0 };
	struct why why = { "" };
	const struct shipped_workload *first = workload_shipped(0);
	const char *only = options->positional_count ? options->positional[0] : NULL;
	enum status status = STATUS_OK;
	if (only)
		status = measure_sweep(&figures, only, options, &why);
	for (size_t i = 0; !only && status == STATUS_OK && i < SUITE_MAX; i++) {
		const struct shipped_workload *shipped = workload_shipped(i);
		if (!shipped)
			break;
		status = measure_sweep(&figures, shipped->name, options, &why);
	}
	const char *compared = only ? only : first ? first->name : NULL;
	if (status == STATUS_OK && compared)
		status = compare_with_qemu_img(&figures, compared, options, &why);
	if (status != STATUS_OK)
		return exit_with(status, &why);
	if (options->json)
		print_json(&figures);
	else
		print_figures(&figures);
	return EXIT_CLEAN;
}
