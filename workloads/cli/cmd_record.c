// SPDX-License-Identifier: MIT
/* cowtip record: run any program, keep what it did to its images as traces. */
#include "injector/record_program.h"
#include "workloads/cli/commands.h"
#include "workloads/cli/output.h"

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

static enum status write_traces(const struct record_result *result, const char *prefix, bool quiet,
				struct why *why)
{
	size_t number = 0;
	for (size_t i = 0; i < result->trace_count; i++) {
		const struct trace *trace = &result->traces[i];
		char path[OUTPUT_PATH_BYTES];
		free_path(path, prefix, &number);
		enum status status = trace_write(trace, path, why);
		if (status != STATUS_OK)
			return status;
		if (!quiet)
			printf("%s: %zu events on %zu %s%s\n", path, trace->log.count,
			       trace->file_count, trace->file_count == 1 ? "file" : "files",
			       trace->complete ? "" : ", cut off: the process was killed");
	}
	return STATUS_OK;
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
	struct why why = { "" }, write_why = { "" };
	char prefix[OUTPUT_PATH_BYTES];
	const char *folder = options_folder(options);
	if (!options->program) {
		why_set(&why, STATUS_USAGE, "usage: cowtip record [OPTION]... -- PROGRAM ...");
		return exit_with(STATUS_USAGE, &why);
	}
	const char *name = program_name(options->program[0]);
	enum status status = output_make_folder(folder, &why);
	if (status != STATUS_OK)
		return exit_with(status, &why);
	snprintf(prefix, sizeof(prefix), "%.3000s/%.200s", folder, name);
	record_result_init(&result);
	status = record_program(&(struct record_options){ .argv = options->program,
							  .images = options->images,
							  .image_count = options->image_count,
							  .prefix = prefix,
							  .stacks = true },
				&result, &why);
	/* Traces are written even when they are not the whole truth: for inspection. */
	enum status write_status =
		write_traces(&result, prefix, options->quiet || status != STATUS_OK, &write_why);
	bool ran = status == STATUS_OK || status == STATUS_UNSUPPORTED;
	if (ran && !options->quiet)
		print_program_end(name, result.wait_status);
	if (status == STATUS_OK && !result.trace_count)
		status = why_set(&why, STATUS_BAD_INPUT,
				 "'%s' opened no qcow2 image for writing: nothing was recorded",
				 name);
	record_result_release(&result);
	if (status != STATUS_OK)
		return exit_with(status, &why);
	return write_status == STATUS_OK ? EXIT_CLEAN : exit_with(write_status, &write_why);
}
