// SPDX-License-Identifier: MIT
/* Runs of a foreign program are judged one by one, as they are: what its steps have to do with each
 * other is not known, so no run stands for another. With `dpor` orders that come together are
 * followed once (strategy_join.c). */
#include "workloads/cli/program_search.h"

#include "injector/strategy_join.h"

#include <string.h>

static const struct trace_file *subject_files(const void *program, size_t *file_count)
{
	return program_files(program, file_count);
}

static enum run_end subject_run(void *program, struct choice *choice)
{
	return program_run(program, choice);
}

static const struct event_log *subject_log(const void *program)
{
	return program_log(program);
}

static uint64_t subject_end_hash(const void *program)
{
	return program_end_hash(program);
}

static enum status subject_status(const void *program, struct why *why)
{
	return program_status(program, why);
}

struct subject program_subject(struct program *program)
{
	return (struct subject){
		.context = program,
		.files = subject_files,
		.run = subject_run,
		.log = subject_log,
		.end_hash = subject_end_hash,
		.status = subject_status,
	};
}

struct program_options program_options_of(const struct settings *settings)
{
	return (struct program_options){
		.command = settings->program,
		.is_nbd = settings->is_nbd,
		.image_folder = settings->image_folder,
		.faults = settings_faults(settings),
		.gate_all = settings->gate_all,
		.split_completion = settings->split_completion,
		.stacks = settings->world.stacks,
		.files = settings->world.files,
		.file_count = settings->world.file_count,
	};
}

enum status program_search(const struct workload *workload, const struct settings *settings,
			   const struct explore_options *options, struct explore_result *result,
			   struct why *why)
{
	const struct program_options program_options = program_options_of(settings);
	struct program *program = NULL;
	enum status status = program_new(&program, workload, &program_options, why);
	if (status != STATUS_OK)
		return status;
	const struct subject subject = program_subject(program);
	bool joins = strcmp(settings->strategy, "dpor") == 0;
	struct strategy *strategy = joins ? strategy_join_new(program_trail(program))
					  : settings_strategy(settings, NULL, NULL);
	status = strategy ? explore_subject(&subject, strategy, options, result, why)
			  : why_set(why, STATUS_NO_MEMORY, "out of memory");
	if (joins && strategy) {
		result->joined = strategy_join_met(strategy);
		result->parted = strategy_join_parted(strategy);
	}
	strategy_free(strategy);
	program_free(program);
	return status;
}
