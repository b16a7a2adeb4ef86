// SPDX-License-Identifier: MIT
/* What a recording claims is checked against the files themselves: its operations, applied to the
 * initial contents, must give what is on disk now. That is what makes "unseen" impossible to
 * overlook: a write through a memory mapping, io_uring, or a raw system call is missing from the
 * recording, and the file shows it. */
#include "injector/record_check.h"

#include "injector/backing_chain.h"
#include "injector/preload.h"
#include "injector/record_compare.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_file_event(const struct event *event)
{
	switch ((enum event_kind)event->kind) {
	case EVENT_IO_SUBMITTED:
	case EVENT_IO_EFFECT:
	case EVENT_IO_COMPLETED:
	case EVENT_FAULT: return true;
	case EVENT_REQUEST_INVOKED:
	case EVENT_REQUEST_COMPLETED:
	case EVENT_SWITCH:
	case EVENT_WAIT:
	case EVENT_CHOICE:
	case EVENT_END: return false;
	}
	return false;
}

static bool is_named(const char *path, const char *const *images, size_t image_count)
{
	char real_path[PATH_MAX];
	char real_image[PATH_MAX];
	bool exists = realpath(path, real_path) != NULL;

	for (size_t i = 0; i < image_count; i++) {
		if (strcmp(path, images[i]) == 0)
			return true;
		if (exists && realpath(images[i], real_image) && strcmp(real_path, real_image) == 0)
			return true;
	}
	return false;
}

/** Give file `file` its format; true when it is an image by itself. */
static enum status classify(struct trace *trace, uint16_t file, bool *is_image, struct why *why)
{
	char name[QCOW2_PEEK_NAME_BYTES];
	struct qcow2_peek peek;
	enum status status = STATUS_OK;

	*is_image = trace->files[file].format == TRACE_FORMAT_QCOW2;
	if (*is_image)
		return STATUS_OK;
	struct content *final = trace_final_view(trace, file);
	if (!final)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	*is_image = backing_chain_peek(final, &peek, name);
	if (*is_image) {
		trace->files[file].format = TRACE_FORMAT_QCOW2;
		status = backing_chain_add(trace, file, final, why);
	}
	content_free(final);
	return status;
}

/** Take the files that are not kept out of the trace; the others move up. */
static void drop_files(struct trace *trace, const bool *kept)
{
	uint16_t places[TRACE_FILES_MAX];
	uint16_t count = 0;
	size_t events = 0;

	for (size_t i = 0; i < trace->file_count; i++) {
		places[i] = kept[i] ? count++ : TRACE_NO_BACKING;
		if (!kept[i]) {
			free(trace->files[i].path);
			content_free(trace->files[i].initial);
		}
	}
	for (size_t i = 0; i < trace->file_count; i++) {
		uint16_t backing = trace->files[i].backing;
		if (!kept[i])
			continue;
		trace->files[places[i]] = trace->files[i];
		trace->files[places[i]].backing =
			backing == TRACE_NO_BACKING ? TRACE_NO_BACKING : places[backing];
	}
	trace->file_count = count;
	for (size_t i = 0; i < trace->log.count; i++) {
		struct event event = trace->log.events[i];
		if (is_file_event(&event)) {
			if (places[event.file] == TRACE_NO_BACKING)
				continue;
			event.file = places[event.file];
		}
		trace->log.events[events++] = event;
	}
	trace->log.count = events;
}

enum status record_check_trim(struct trace *trace, const char *const *images, size_t image_count,
			      struct why *why)
{
	bool kept[TRACE_FILES_MAX] = { false };

	/* Files that classify() adds lie behind those it looks at. */
	size_t recorded = trace->file_count;
	for (size_t file = 0; file < recorded; file++) {
		enum status status = classify(trace, (uint16_t)file, &kept[file], why);
		if (status != STATUS_OK)
			return status;
		if (image_count > 0)
			kept[file] = is_named(trace->files[file].path, images, image_count);
	}
	for (size_t file = 0; file < recorded; file++) {
		uint16_t below = kept[file] ? trace->files[file].backing : TRACE_NO_BACKING;
		for (; below != TRACE_NO_BACKING && !kept[below];
		     below = trace->files[below].backing)
			kept[below] = true;
	}
	drop_files(trace, kept);
	return STATUS_OK;
}

/** Did the write that `submitted` announces take effect, as far as the trace tells? */
static bool has_effect(const struct trace *trace, size_t submitted)
{
	const struct event *event = &trace->log.events[submitted];

	for (size_t i = submitted + 1; i < trace->log.count; i++) {
		const struct event *later = &trace->log.events[i];
		if (later->id == event->id && later->file == event->file &&
		    (later->kind == EVENT_IO_EFFECT || later->kind == EVENT_IO_COMPLETED))
			return true;
	}
	return false;
}

/** A process can be killed between a write and its record. Complete the writes to `file` that were
 * under way, with the bytes that `present` has in their place. */
static void finish_writes(struct trace *trace, uint16_t file, struct content *final,
			  const struct content *present)
{
	size_t count = trace->log.count;

	for (size_t i = 0; i < count; i++) {
		struct event event = trace->log.events[i];
		if (event.kind != EVENT_IO_SUBMITTED || event.op != IO_WRITE ||
		    event.file != file || event.length == 0 || event.length > INT32_MAX ||
		    event.host_offset + event.length > content_size(present) ||
		    has_effect(trace, i))
			continue;
		uint8_t *data = malloc((size_t)event.length);
		if (!data)
			return;
		content_read(present, data, (size_t)event.length, event.host_offset);
		event.kind = EVENT_IO_EFFECT;
		event.result = (int32_t)event.length;
		size_t number = event_log_append(&trace->log, &event, data, (size_t)event.length);
		free(data);
		if (trace_apply(final, &trace->log, &trace->log.events[number]) != STATUS_OK)
			return;
	}
}

/** Did another process of the program begin with what this one left? */
static bool was_passed_on(const struct trace *traces, size_t trace_count, const struct trace *from,
			  const char *path, const struct content *final)
{
	for (size_t i = 0; i < trace_count; i++) {
		uint16_t file = &traces[i] == from ? TRACE_NO_BACKING
						   : backing_chain_find(&traces[i], path);
		if (file != TRACE_NO_BACKING &&
		    content_equal(traces[i].files[file].initial, final, NULL))
			return true;
	}
	return false;
}

/** `problem`: what the recorder knows to be missing; NULL: nothing. */
static enum status explain_difference(struct why *why, const char *path, uint64_t difference,
				      const char *problem)
{
	if (problem)
		return why_set(why, STATUS_UNSUPPORTED,
			       "'%s' differs from its recording at byte %" PRIu64 ": %s", path,
			       difference, problem);
	return why_set(why, STATUS_UNSUPPORTED,
		       "'%s' differs from its recording at byte %" PRIu64
		       ": it was changed past the calls that can be recorded (a shared memory "
		       "mapping, io_uring, a direct system call, another program)",
		       path, difference);
}

static enum status check_file(struct trace *traces, size_t trace_count, struct trace *trace,
			      uint16_t file, struct why *why)
{
	const char *path = trace->files[file].path;
	struct content *present = NULL;
	uint64_t difference = 0;

	/* A file that is gone, such as a temporary one, has nothing to be compared with. */
	if (access(path, F_OK) != 0)
		return STATUS_OK;
	struct content *final = trace_final_view(trace, file);
	if (!final)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	bool equal = false;
	enum status status = record_compare(final, &equal, &difference, path, why);
	if (status == STATUS_OK && !equal && !trace->complete) {
		/* The log grows now: what is borrowed from it does not stay. */
		content_free(final);
		final = trace_final_content(trace, file);
		status = final ? content_load(&present, path, why)
			       : why_set(why, STATUS_NO_MEMORY, "out of memory");
		if (status == STATUS_OK)
			finish_writes(trace, file, final, present);
		equal = status == STATUS_OK && content_equal(final, present, &difference);
	}
	if (status == STATUS_OK && !equal &&
	    !was_passed_on(traces, trace_count, trace, path, final))
		status = explain_difference(why, path, difference,
					    trace_setting(trace, PRELOAD_PROBLEM_SETTING));
	content_free(final);
	content_free(present);
	return status;
}

enum status record_check_final(struct trace *traces, size_t trace_count, struct why *why)
{
	for (size_t i = 0; i < trace_count; i++) {
		for (size_t file = 0; file < traces[i].file_count; file++) {
			enum status status =
				check_file(traces, trace_count, &traces[i], (uint16_t)file, why);
			if (status != STATUS_OK)
				return status;
		}
		const char *problem = trace_setting(&traces[i], PRELOAD_PROBLEM_SETTING);
		if (problem)
			return why_set(why, STATUS_UNSUPPORTED,
				       "the recording of '%s' has a gap: %s", traces[i].subject,
				       problem);
	}
	return STATUS_OK;
}
