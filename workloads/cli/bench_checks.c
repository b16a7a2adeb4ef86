// SPDX-License-Identifier: MIT
/* The neighbour's way to judge a crash state: write it to a file, and run `qemu-img check` on it.
 * What is measured is the check alone; the files are there before the clock is started. */
#include "oracle/judge.h"
#include "workloads/cli/again.h"
#include "workloads/cli/bench.h"
#include "workloads/seconds.h"
#include "workloads/tool.h"

#include <stdio.h>
#include <unistd.h>

enum {
	IMAGES_MAX = 64, /* crash states materialised */
	PATH_BYTES = 256,
};

#define SECONDS_OF_QEMU_IMG 2.0

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

static void measure(struct bench_checks *checks, const char *folder, size_t count,
		    const struct options *options)
{
	double started = seconds_now();
	do {
		for (size_t i = 0; i < count; i++) {
			char path[PATH_BYTES];
			snprintf(path, sizeof(path), "%s/%zu.qcow2", folder, i);
			const char *const words[] = { "qemu-img", "check", "-q", "-f",
						      "qcow2",    path,    NULL };
			if (tool_run(words, NULL, NULL) < 0) {
				checks->why_none = "qemu-img cannot be run";
				return;
			}
			checks->checks++;
		}
		checks->seconds = seconds_now() - started;
	} while (checks->seconds < SECONDS_OF_QEMU_IMG && !options->budget.runs);
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

enum status bench_checks(struct bench_checks *checks, const char *name,
			 const struct options *options, struct why *why)
{
	char folder[BENCH_FOLDER_BYTES];
	size_t count = 0;
	*checks = (struct bench_checks){ 0 };
	enum status status = bench_make_folder(folder, why);
	if (status != STATUS_OK)
		return status;
	status = materialise(name, options, folder, &count, why);
	if (status == STATUS_OK && count)
		measure(checks, folder, count, options);
	else if (status == STATUS_OK)
		checks->why_none = "the workload changes nothing";
	remove_folder(folder, count);
	return status;
}
