// SPDX-License-Identifier: MIT
/* cowtip record: run any program, keep what it did to its images as traces. */
#include "injector/record_program.h"
#include "workloads/cli/commands.h"
#include "workloads/cli/output.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The program's file name without folder. */
static const char *program_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash && slash[1] ? slash + 1 : path;
}

/* A path that no earlier recording has, counting on from `*number`. */
static void free_path(char *path, const char *prefix, size_t *number)
{
	do
		snprintf(path, OUTPUT_PATH_BYTES, "%.3900s-%zu.trace.zst", prefix, ++*number);
	while (access(path, F_OK) == 0);
}

/* The traces of a recording on their way into files. */
struct writing {
	const struct record_result *result; /* borrowed */
	char prefix[OUTPUT_PATH_BYTES];
	char (*paths)[OUTPUT_PATH_BYTES]; /* owned; of those that are written */
	size_t count;
	enum status status; /* of the first that is not */
	struct why why;
};

static void *write_traces(void *argument)
{
	struct writing *writing = argument;
	size_t number = 0;

	for (size_t i = 0; i < writing->result->trace_count; i++) {
		free_path(writing->paths[i], writing->prefix, &number);
		writing->status =
			trace_write(&writing->result->traces[i], writing->paths[i], &writing->why);
		if (writing->status != STATUS_OK)
			break;
		writing->count++;
	}
	return NULL;
}

static void print_written(const struct writing *writing)
{
	for (size_t i = 0; i < writing->count; i++) {
		const struct trace *trace = &writing->result->traces[i];
		printf("%s: %zu events on %zu %s%s\n", writing->paths[i], trace->log.count,
		       trace->file_count, trace->file_count == 1 ? "file" : "files",
		       trace->complete ? "" : ", cut off: the process was killed");
	}
}

static bool is_complete(const struct record_result *result)
{
	bool complete = true;

	for (size_t i = 0; i < result->trace_count; i++)
		complete = complete && result->traces[i].complete;
	return complete;
}

/* Check the recording, whose program ended with `status`, and write it, side by side: neither
 * changes it. One whose program was killed is completed by the check, so that comes first. Traces
 * are written even when they are not the whole truth: for inspection. */
static enum status check_and_write(struct record_result *result, enum status status,
				   struct writing *writing, struct why *why)
{
	pthread_t thread;

	if (!result->trace_count)
		return status;
	writing->paths = calloc(result->trace_count, sizeof(*writing->paths));
	if (!writing->paths)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	bool beside =
		is_complete(result) && pthread_create(&thread, NULL, write_traces, writing) == 0;
	if (status == STATUS_OK)
		status = record_verify(result, why);
	if (beside)
		pthread_join(thread, NULL);
	else
		write_traces(writing);
	return status;
}

/* What the program said of itself is for its user: it changes nothing here. */
static void print_program_end(const char *name, int wait_status)
{
	if (WIFEXITED(wait_status))
		fprintf(stderr, "cowtip: %s ended with exit status %d\n", name,
			WEXITSTATUS(wait_status));
	else if (WIFSIGNALED(wait_status))
		fprintf(stderr, "cowtip: %s was ended by signal %d\n", name, WTERMSIG(wait_status));
}

enum exit_code cmd_record(const struct options *options)
{
	struct record_result result;
	struct record_run run;
	struct writing writing = { .result = &result };
	struct why why = { "" };
	const char *folder = options_folder(options);
	if (!options->program) {
		why_set(&why, STATUS_USAGE, "usage: cowtip record [OPTION]... -- PROGRAM ...");
		return exit_with(STATUS_USAGE, &why);
	}
	const char *name = program_name(options->program[0]);
	enum status status = output_make_folder(folder, &why);
	if (status != STATUS_OK)
		return exit_with(status, &why);
	snprintf(writing.prefix, sizeof(writing.prefix), "%.3000s/%.200s", folder, name);
	const struct record_options recording = { .argv = options->program,
						  .images = options->images,
						  .image_count = options->image_count,
						  .prefix = writing.prefix,
						  .stacks = true };
	record_result_init(&result);
	status = record_start(&recording, &run, &why);
	if (status == STATUS_OK)
		status = record_finish(&recording, &run, &result, &why);
	status = check_and_write(&result, status, &writing, &why);
	if (status == STATUS_OK && !options->quiet)
		print_written(&writing);
	bool ran = status == STATUS_OK || status == STATUS_UNSUPPORTED;
	if (ran && !options->quiet)
		print_program_end(name, result.wait_status);
	if (status == STATUS_OK && !result.trace_count)
		status = why_set(&why, STATUS_BAD_INPUT,
				 "'%s' opened no qcow2 image for writing: nothing was recorded",
				 name);
	record_result_release(&result);
	free(writing.paths);
	if (status != STATUS_OK)
		return exit_with(status, &why);
	return writing.status == STATUS_OK ? EXIT_CLEAN : exit_with(writing.status, &writing.why);
}
