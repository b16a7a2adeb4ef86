// SPDX-License-Identifier: MIT
#include "traces/trace_check.h"

#include <stdbool.h>
#include <string.h>

/* The last number of the enum that goes with `kind`; 0: the kind has no op. */
static uint8_t last_op(uint8_t kind)
{
	switch (kind) {
	case EVENT_REQUEST_INVOKED:
	case EVENT_REQUEST_COMPLETED: return REQUEST_SNAPSHOT_DELETE;
	case EVENT_IO_SUBMITTED:
	case EVENT_IO_EFFECT:
	case EVENT_IO_COMPLETED:
	case EVENT_FAULT: return IO_ALLOCATE;
	case EVENT_WAIT: return WAIT_PARKED;
	case EVENT_CHOICE: return CHOICE_FAULT;
	case EVENT_END: return RUN_DIVERGED;
	default: return 0;
	}
}

static const char *io_problem(const struct trace *trace, const struct event *event)
{
	if (event->file >= trace->file_count)
		return "the file was not declared";
	if (event->host_offset > INT64_MAX || event->length > INT64_MAX - event->host_offset)
		return "the range ends beyond 2^63-1";
	if (event->kind == EVENT_IO_SUBMITTED || event->result <= 0)
		return NULL;
	bool moves = event->op == IO_READ || event->op == IO_WRITE;
	if (moves && (uint32_t)event->result > event->length)
		return "more bytes were moved than asked for";
	if (event->kind == EVENT_IO_EFFECT && event->op == IO_WRITE &&
	    (uint32_t)event->result > event->data_bytes)
		return "a write without its data";
	return NULL;
}

const char *trace_event_problem(const struct trace *trace, const struct event *event)
{
	if (event->kind < EVENT_REQUEST_INVOKED || event->kind > EVENT_END)
		return "unknown kind of event";
	uint8_t op_max = last_op(event->kind);
	/* A fault may strike a call that is no I/O. */
	uint8_t op_min = op_max && event->kind != EVENT_FAULT ? 1 : 0;
	if (event->op < op_min || event->op > op_max)
		return "unknown operation";
	if (event->stack > trace->stack_count)
		return "the stack was not declared";
	switch (event->kind) {
	case EVENT_IO_SUBMITTED:
	case EVENT_IO_EFFECT:
	case EVENT_IO_COMPLETED: return io_problem(trace, event);
	default:
		if (event->file && event->file >= trace->file_count)
			return "the file was not declared";
		return NULL;
	}
}

const char *trace_step_problem(const struct schedule_step *step)
{
	if (step->pick == UINT32_MAX || (step->count && step->pick >= step->count))
		return "a pick that its choice point did not offer";
	return NULL;
}

const char *trace_file_problem(uint64_t format, uint64_t backing, uint64_t size)
{
	if (format != TRACE_FORMAT_RAW && format != TRACE_FORMAT_QCOW2)
		return "unknown image format";
	if (backing >= TRACE_FILES_MAX && backing != TRACE_NO_BACKING)
		return "the backing file's index is out of range";
	if (size > INT64_MAX)
		return "the size is beyond 2^63-1";
	return NULL;
}

const char *trace_backing_problem(const struct trace *trace)
{
	for (size_t i = 0; i < trace->file_count; i++) {
		size_t steps = 0;
		for (uint16_t at = trace->files[i].backing; at != TRACE_NO_BACKING; steps++) {
			if (at >= trace->file_count)
				return "a backing file was not declared";
			if (steps == trace->file_count)
				return "a backing chain has no end";
			at = trace->files[at].backing;
		}
	}
	return NULL;
}

const char *trace_stack_problem(const struct trace *trace, const struct trace_stack *stack)
{
	if (stack->count == 0 || stack->count > TRACE_FRAMES_MAX)
		return "a stack with no frames or too many";
	for (uint32_t i = 0; i < stack->count; i++) {
		if (stack->frames[i].module >= trace->module_count)
			return "a frame's module was not declared";
	}
	return NULL;
}

static bool settings_are_distinct(const struct trace *trace)
{
	for (size_t i = 0; i < trace->setting_count; i++) {
		/* The first with that key is found. */
		if (trace_setting(trace, trace->settings[i].key) != trace->settings[i].value)
			return false;
	}
	return true;
}

static const char *lists_problem(const struct trace *trace)
{
	if (trace->setting_count > TRACE_SETTINGS_MAX)
		return "too many settings";
	if (!settings_are_distinct(trace))
		return "a setting is there twice";
	if (trace->schedule.count > SCHEDULE_PICKS_MAX)
		return "too many picks";
	if (trace->file_count > TRACE_FILES_MAX)
		return "too many files";
	if (trace->module_count > TRACE_MODULES_MAX)
		return "too many modules";
	if (trace->stack_count > TRACE_STACKS_MAX)
		return "too many stacks";
	if (trace->log.count > TRACE_EVENTS_MAX)
		return "too many events";
	if (trace->finding_count > TRACE_FINDINGS_MAX)
		return "too many findings";
	return NULL;
}

enum status trace_check(const struct trace *trace, const char *name, struct why *why)
{
	const char *problem = lists_problem(trace);
	for (size_t i = 0; i < trace->schedule.count && !problem; i++)
		problem = trace_step_problem(&trace->schedule.steps[i]);
	for (size_t i = 0; i < trace->file_count && !problem; i++) {
		const struct trace_file *file = &trace->files[i];
		problem = trace_file_problem(file->format, file->backing,
					     content_size(file->initial));
	}
	if (!problem)
		problem = trace_backing_problem(trace);
	for (size_t i = 0; i < trace->stack_count && !problem; i++)
		problem = trace_stack_problem(trace, &trace->stacks[i]);
	if (problem)
		return why_set(why, STATUS_CORRUPT, "trace '%s': %s", name, problem);
	for (size_t i = 0; i < trace->log.count; i++) {
		problem = trace_event_problem(trace, &trace->log.events[i]);
		if (problem)
			return why_set(why, STATUS_CORRUPT, "trace '%s': event %zu: %s", name, i,
				       problem);
	}
	return STATUS_OK;
}
