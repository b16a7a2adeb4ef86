// SPDX-License-Identifier: MIT
/* A world: everything of a run that does not change from run to run is made once, so that a run is
 * a rewind, the engine's own work, and nothing else. The injector knows one set of watched files at
 * a time, so there is one world at a time. */
#include "workloads/world.h"

#include "engine/scheduler/death.h"
#include "injector/digest.h"
#include "injector/fault_menu.h"
#include "injector/order.h"
#include "injector/session.h"
#include "workloads/world_private.h"
#include "workloads/world_snapshot.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool world_exists; /* the injector's watched files are one set a process */

/* What an assertion of our own prints, so that the run can be repeated: the picks of the run in
 * progress, or of the last one, for the judge may be at work. */
static const struct world *printed_world;
static const struct schedule *printed_schedule;

static void print_schedule(void)
{
	char *text = printed_world ? schedule_print(printed_schedule) : NULL;
	if (text)
		fprintf(stderr, "cowtip: the run of '%s' had schedule %s\n",
			printed_world->workload->name, text);
	free(text);
}

/* Take the files from a recording instead of building them. */
static enum status copy_files(struct world *world, struct why *why)
{
	for (size_t i = 0; i < world->options.file_count; i++) {
		const struct trace_file *file = &world->options.files[i];
		struct content *initial = content_clone(file->initial);
		if (!initial)
			return why_set(why, STATUS_NO_MEMORY, "out of memory");
		trace_add_file(&world->files, file->path, file->format, file->backing, initial);
	}
	return STATUS_OK;
}

static enum status watch_files(const struct world *world, struct why *why)
{
	for (size_t i = 0; i < world->files.file_count; i++) {
		const struct trace_file *file = &world->files.files[i];
		uint16_t index = 0;
		enum status status = session_watch_memory(file->path, file->initial, &index);
		if (status != STATUS_OK)
			return why_set(why, status, "cannot watch '%s'", file->path);
		assert(index == i);
	}
	return STATUS_OK;
}

static enum status world_fill(struct world *world, struct why *why)
{
	const struct workload *workload = world->workload;
	world->arena = arena_new();
	world->sched = sched_new();
	if (!world->arena || !world->sched)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	enum status status = world_requests_init(&world->requests, workload, workload->commands,
						 workload->command_count, why);
	if (status != STATUS_OK)
		return status;
	world->close_id = world_requests_fill(&world->requests, 2, world->options.stamps);
	for (size_t i = 0; i < world->requests.count; i++)
		world->requests.items[i].world = world;
	/* Open and close are requests, too. */
	world->told = calloc(2 * (world->requests.count + 2), sizeof(world->told[0]));
	if (!world->told)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	status = world->options.files ? copy_files(world, why) : world_build_files(world, why);
	world->options.files = NULL;
	return status == STATUS_OK ? watch_files(world, why) : status;
}

enum status world_new(struct world **world, const struct workload *workload,
		      const struct world_options *options, struct why *why)
{
	assert(!world_exists);
	struct world *made = calloc(1, sizeof(*made));
	if (!made)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	world_exists = true;
	made->workload = workload;
	made->options = *options;
	if (options->fault_points)
		trace_set_text(&made->fault_points, options->fault_points);
	trace_init(&made->files);
	trace_init(&made->labels);
	event_log_init(&made->log);
	schedule_init(&made->last_schedule);
	enum status status = world_fill(made, why);
	if (status != STATUS_OK) {
		world_free(made);
		return status;
	}
	if (made->options.snapshot_every)
		made->snapshots = world_snapshots_new(made, made->options.snapshot_every);
	death_hold();
	*world = made;
	return STATUS_OK;
}

void world_free(struct world *world)
{
	if (!world)
		return;
	death_let_go();
	world_snapshots_free(world->snapshots);
	session_unwatch_all();
	world_requests_release(&world->requests);
	free(world->told);
	event_log_release(&world->log);
	trace_release(&world->labels);
	trace_release(&world->files);
	sched_free(world->sched);
	arena_free(world->arena);
	schedule_release(&world->last_schedule);
	free(world->fault_points);
	free(world);
	printed_world = NULL;
	world_exists = false;
}

const struct trace_file *world_files(const struct world *world, size_t *file_count)
{
	*file_count = world->files.file_count;
	return world->files.files;
}

struct run_context {
	const struct world *world;
	const struct choice *choice;
};

static void between_steps(void *context, uint64_t steps)
{
	const struct run_context *run = context;
	world_snapshots_save(run->world->snapshots, steps, run->choice);
}

/* Put everything back to the beginning. */
static void begin_run(struct world *world)
{
	if (world->snapshots)
		world_snapshots_drop_all(world->snapshots);
	event_log_reset(&world->log);
	world->complaint[0] = 0;
	world->open_failure[0] = 0;
	world->told_count = 0;
	arena_reset(world->arena);
	session_rewind();
	if (!sched_spawn(world->sched, "script", world_script, world)) {
		fputs("cowtip: out of memory\n", stderr);
		abort();
	}
}

enum run_end world_run(struct world *world, struct choice *choice)
{
	struct trace *labels = world->options.stacks ? &world->labels : NULL;
	if (labels) {
		trace_release(labels);
		trace_init(labels);
	}
	choice->log = &world->log;
	printed_world = world;
	printed_schedule = &choice->taken;
	death_set_schedule_printer(print_schedule);
	session_begin(&(struct session_options){
		.log = &world->log,
		.choice = choice,
		.labels = labels,
		.faults = { .points = world->fault_points,
			    .kinds = world->options.fault_kinds,
			    .faults_max = world->options.faults_max },
		.rules = world->workload->rules,
		.rule_count = world->workload->rule_count,
		.flushes_matter = world->options.flushes_matter,
		.clears_stacks = world->snapshots != NULL,
	});
	uint64_t step = 0;
	/* What another choice's run has in common with its last one is of no use here. */
	if (world->snapshots && world->snapshots_of != choice)
		world_snapshots_drop_all(world->snapshots);
	world->snapshots_of = choice;
	bool goes_on = world->snapshots &&
		       world_snapshots_best(world->snapshots, choice_kept_steps(choice), &step);
	if (goes_on)
		world_snapshots_load(world->snapshots, step, choice);
	else
		begin_run(world);
	const struct sched_options options = {
		.choice = choice,
		.arena = world->arena,
		.labels = labels,
		.points = world->options.points,
		.steps_max = world->options.steps_max,
		.between_steps = world->snapshots ? between_steps : NULL,
		.context = &(struct run_context){ world, choice },
	};
	enum run_end end = goes_on ? sched_continue(world->sched, &options)
				   : sched_run(world->sched, &options);
	session_end();
	schedule_copy(&world->last_schedule, &choice->taken);
	printed_schedule = &world->last_schedule;
	return end;
}

/* What a request returned, its data included; in whatever order they completed. */
static uint64_t hash_answer(const struct world *world, const struct event *event)
{
	const struct iovec data = {
		.iov_base = (void *)(uintptr_t)event_data(&world->log, event),
		.iov_len = event->data_bytes,
	};
	uint64_t hash = order_mixed((uint64_t)event->id << 32 | (uint32_t)event->result);
	return event->data_bytes ? order_mixed(hash + digest_vector(&data, data.iov_len)) : hash;
}

uint64_t world_end_hash(const struct world *world)
{
	struct page_hash image = session_hash(0);
	uint64_t hash = image.words[0] + order_mixed(image.words[1]);
	for (size_t i = 0; i < world->log.count; i++) {
		const struct event *event = &world->log.events[i];
		if (event->kind == EVENT_REQUEST_COMPLETED)
			hash += hash_answer(world, event);
		else if (event->kind == EVENT_END)
			hash += order_mixed(event->op);
	}
	return hash;
}

const struct event_log *world_log(const struct world *world)
{
	return &world->log;
}

const char *world_report(const struct world *world)
{
	return sched_report(world->sched);
}

const char *world_open_failure(const struct world *world)
{
	return world->open_failure;
}

void world_set_image(struct world *world, struct content *image)
{
	struct why why = { "" };
	assert(!world->snapshots);
	session_unwatch_all();
	content_free(world->files.files[0].initial);
	world->files.files[0].initial = image;
	if (watch_files(world, &why) == STATUS_OK)
		return;
	fputs("cowtip: out of memory\n", stderr);
	abort();
}

const char *world_complaint(const struct world *world)
{
	return world->complaint;
}

static void copy_labels(const struct world *world, struct trace *trace)
{
	for (size_t i = 0; i < world->labels.module_count; i++)
		trace_add_module(trace, world->labels.modules[i].path,
				 world->labels.modules[i].build_id);
	for (size_t i = 0; i < world->labels.stack_count; i++)
		trace_add_stack(trace, &world->labels.stacks[i]);
}

static void add_settings(const struct world *world, struct trace *trace)
{
	const struct world_options *options = &world->options;
	const struct fault_options faults = { .points = world->fault_points,
					      .kinds = options->fault_kinds,
					      .faults_max = options->faults_max };
	trace_add_setting(trace, "policy", qcow2_policy_name(options->policy));
	trace_add_setting(trace, "points", options->points == SCHED_POINTS_ALL ? "all" : "io");
	fault_options_to_trace(&faults, trace);
	trace_add_setting(trace, "stamps", options->stamps ? "yes" : "no");
	if (options->symmetry)
		trace_add_setting(trace, "symmetry", "yes");
}

void world_trace(const struct world *world, const struct choice *choice, struct trace *trace)
{
	trace_set_text(&trace->subject, "engine");
	trace_set_text(&trace->workload, world->workload->text);
	add_settings(world, trace);
	schedule_copy(&trace->schedule, &choice->taken);
	for (size_t i = 0; i < world->files.file_count; i++) {
		const struct trace_file *file = &world->files.files[i];
		struct content *initial = content_clone(file->initial);
		if (!initial) {
			fputs("cowtip: out of memory\n", stderr);
			abort();
		}
		trace_add_file(trace, file->path, file->format, file->backing, initial);
	}
	copy_labels(world, trace);
	for (size_t i = 0; i < world->log.count; i++) {
		const struct event *event = &world->log.events[i];
		event_log_append(&trace->log, event, event_data(&world->log, event),
				 event->data_bytes);
	}
	trace->complete = true;
}

struct content *world_image(const struct world *world)
{
	return world->files.file_count ? session_content(0) : NULL;
}
