// SPDX-License-Identifier: MIT
#include "traces/trace.h"

#include "traces/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static char *copy_text(const char *text)
{
	return memory_text(text, strlen(text));
}

void trace_init(struct trace *trace)
{
	*trace = (struct trace){ .subject = copy_text(""),
				 .workload = copy_text(""),
				 .complete = true };
	schedule_init(&trace->schedule);
	event_log_init(&trace->log);
}

static void release_finding(struct trace_finding *finding)
{
	free(finding->rule);
	free(finding->severity);
	free(finding->message);
	free(finding->model);
}

void trace_release(struct trace *trace)
{
	free(trace->subject);
	free(trace->workload);
	for (size_t i = 0; i < trace->setting_count; i++) {
		free(trace->settings[i].key);
		free(trace->settings[i].value);
	}
	free(trace->settings);
	schedule_release(&trace->schedule);
	for (size_t i = 0; i < trace->file_count; i++) {
		free(trace->files[i].path);
		content_free(trace->files[i].initial);
		content_free(trace->files[i].external);
	}
	free(trace->files);
	for (size_t i = 0; i < trace->module_count; i++) {
		free(trace->modules[i].path);
		free(trace->modules[i].build_id);
	}
	free(trace->modules);
	free(trace->stacks);
	event_log_release(&trace->log);
	for (size_t i = 0; i < trace->finding_count; i++)
		release_finding(&trace->findings[i]);
	free(trace->findings);
	*trace = (struct trace){ 0 };
}

void trace_set_text(char **owned, const char *text)
{
	char *copy = copy_text(text);
	free(*owned);
	*owned = copy;
}

void trace_add_setting(struct trace *trace, const char *key, const char *value)
{
	assert(trace->setting_count < TRACE_SETTINGS_MAX);
	assert(!trace_setting(trace, key));
	trace->settings = memory_grow(trace->settings, &trace->setting_capacity,
				      trace->setting_count + 1, sizeof(*trace->settings));
	trace->settings[trace->setting_count++] =
		(struct trace_setting){ .key = copy_text(key), .value = copy_text(value) };
}

const char *trace_setting(const struct trace *trace, const char *key)
{
	for (size_t i = 0; i < trace->setting_count; i++) {
		if (strcmp(trace->settings[i].key, key) == 0)
			return trace->settings[i].value;
	}
	return NULL;
}

uint16_t trace_add_file(struct trace *trace, const char *path, enum trace_format format,
			uint16_t backing, struct content *initial)
{
	assert(trace->file_count < TRACE_FILES_MAX);
	assert(initial);
	trace->files = memory_grow(trace->files, &trace->file_capacity, trace->file_count + 1,
				   sizeof(*trace->files));
	trace->files[trace->file_count] = (struct trace_file){
		.path = copy_text(path),
		.format = (uint16_t)format,
		.backing = backing,
		.initial = initial,
	};
	return (uint16_t)trace->file_count++;
}

static uint16_t swapped(uint16_t file, uint16_t a, uint16_t b)
{
	if (file == a)
		return b;
	return file == b ? a : file;
}

void trace_swap_files(struct trace *trace, uint16_t a, uint16_t b)
{
	assert(a < trace->file_count && b < trace->file_count);
	if (a == b)
		return;
	struct trace_file file = trace->files[a];
	trace->files[a] = trace->files[b];
	trace->files[b] = file;
	for (size_t i = 0; i < trace->file_count; i++)
		trace->files[i].backing = swapped(trace->files[i].backing, a, b);
	for (size_t i = 0; i < trace->log.count; i++) {
		struct event *event = &trace->log.events[i];
		if (event->kind >= EVENT_IO_SUBMITTED && event->kind <= EVENT_FAULT)
			event->file = swapped(event->file, a, b);
	}
}

static bool changes_file(const struct event *event, uint16_t file)
{
	return event->kind == EVENT_IO_EFFECT && event->file == file && event->result >= 0 &&
	       event->op != IO_READ && event->op != IO_FLUSH;
}

bool trace_next_changed_image(const struct trace *trace, uint16_t *file)
{
	for (; *file < trace->file_count; ++*file) {
		if (trace->files[*file].format != TRACE_FORMAT_QCOW2)
			continue;
		for (size_t i = 0; i < trace->log.count; i++) {
			if (changes_file(&trace->log.events[i], *file))
				return true;
		}
	}
	return false;
}

uint32_t trace_add_module(struct trace *trace, const char *path, const char *build_id)
{
	for (size_t i = 0; i < trace->module_count; i++) {
		if (strcmp(trace->modules[i].path, path) == 0 &&
		    strcmp(trace->modules[i].build_id, build_id) == 0)
			return (uint32_t)i;
	}
	assert(trace->module_count < TRACE_MODULES_MAX);
	trace->modules = memory_grow(trace->modules, &trace->module_capacity,
				     trace->module_count + 1, sizeof(*trace->modules));
	trace->modules[trace->module_count] = (struct trace_module){
		.path = copy_text(path),
		.build_id = copy_text(build_id),
	};
	return (uint32_t)trace->module_count++;
}

static bool stack_equal(const struct trace_stack *a, const struct trace_stack *b)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++) {
		if (a->frames[i].address != b->frames[i].address ||
		    a->frames[i].module != b->frames[i].module)
			return false;
	}
	return true;
}

uint32_t trace_add_stack(struct trace *trace, const struct trace_stack *stack)
{
	assert(stack->count <= TRACE_FRAMES_MAX);
	for (size_t i = 0; i < trace->stack_count; i++) {
		if (stack_equal(&trace->stacks[i], stack))
			return (uint32_t)i + 1;
	}
	if (stack->count == 0 || trace->stack_count == TRACE_STACKS_MAX)
		return 0;
	trace->stacks = memory_grow(trace->stacks, &trace->stack_capacity, trace->stack_count + 1,
				    sizeof(*trace->stacks));
	trace->stacks[trace->stack_count++] = *stack;
	return (uint32_t)trace->stack_count;
}

void trace_add_finding(struct trace *trace, const struct trace_finding *finding)
{
	assert(trace->finding_count < TRACE_FINDINGS_MAX);
	trace->findings = memory_grow(trace->findings, &trace->finding_capacity,
				      trace->finding_count + 1, sizeof(*trace->findings));
	struct trace_finding *copy = &trace->findings[trace->finding_count++];
	*copy = *finding;
	copy->rule = copy_text(finding->rule);
	copy->severity = copy_text(finding->severity);
	copy->message = copy_text(finding->message);
	copy->model = copy_text(finding->model);
}

/* Does the range end at or before 2^63-1, where file offsets end? */
static bool range_is_sane(uint64_t host_offset, uint64_t length)
{
	return host_offset <= INT64_MAX && length <= INT64_MAX - host_offset;
}

static void extend(struct content *content, uint64_t size)
{
	if (size > content_size(content))
		content_resize(content, size);
}

static enum status apply(struct content *content, const struct event_log *log,
			 const struct event *event, bool borrow)
{
	if (event->kind != EVENT_IO_EFFECT || event->result < 0)
		return STATUS_OK;
	uint64_t host_end = event->host_offset + event->length;
	if (!range_is_sane(event->host_offset, event->length))
		return STATUS_CORRUPT;
	switch (event->op) {
	case IO_WRITE:
		if ((uint32_t)event->result > event->data_bytes ||
		    !range_is_sane(event->host_offset, event->data_bytes))
			return STATUS_CORRUPT;
		return (borrow ? content_borrow : content_write)(
			content, event_data(log, event), (size_t)event->result, event->host_offset);
	case IO_RESIZE: content_resize(content, event->host_offset); return STATUS_OK;
	case IO_ZERO:
		extend(content, host_end);
		return content_zero(content, event->host_offset, event->length);
	case IO_PUNCH: return content_zero(content, event->host_offset, event->length);
	case IO_ALLOCATE: extend(content, host_end); return STATUS_OK;
	default: return STATUS_OK;
	}
}

enum status trace_apply(struct content *content, const struct event_log *log,
			const struct event *event)
{
	return apply(content, log, event, false);
}

static struct content *make_final(const struct trace *trace, uint16_t file, bool borrow)
{
	assert(file < trace->file_count);
	const struct content *initial = trace->files[file].initial;
	struct content *content = borrow ? content_view(initial) : content_clone(initial);
	for (size_t i = 0; content && i < trace->log.count; i++) {
		const struct event *event = &trace->log.events[i];
		if (event->kind != EVENT_IO_EFFECT || event->file != file)
			continue;
		if (apply(content, &trace->log, event, borrow) != STATUS_OK) {
			content_free(content);
			content = NULL;
		}
	}
	return content;
}

struct content *trace_final_content(const struct trace *trace, uint16_t file)
{
	return make_final(trace, file, false);
}

struct content *trace_final_view(const struct trace *trace, uint16_t file)
{
	return make_final(trace, file, true);
}
