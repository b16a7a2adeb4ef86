// SPDX-License-Identifier: MIT
#include "workloads/cli/crash_image.h"

#include "oracle/image_header.h"
#include "oracle/judge.h"
#include "oracle/persist.h"
#include "workloads/cli/data_file.h"
#include "workloads/cli/story.h"
#include "workloads/language_words.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Written atomically, as the run was judged. */
static uint64_t sector_bytes_of(const struct trace *trace)
{
	const char *setting = trace_setting(trace, "sector");
	uint64_t bytes = 0;
	bool is_said = setting && count_parse(setting, 4096, &bytes) && bytes;
	return is_said ? bytes : 512;
}

enum status crash_place_parse(struct crash_place *place, const char *text, struct why *why)
{
	char *plus = strchr(text, '+');
	char *first = plus ? strndup(text, (size_t)(plus - text)) : strdup(text);
	if (!first)
		abort();
	place->operation = place->sectors = 0;
	bool is_good = count_parse(first, UINT64_MAX, &place->operation) &&
		       (!plus || count_parse(plus + 1, UINT32_MAX, &place->sectors));
	free(first);
	if (is_good)
		return STATUS_OK;
	return why_set(why, STATUS_USAGE, "--image-at '%s': K or K+J is wanted", text);
}

size_t crash_event(const struct event_log *log, const struct trace_finding *finding)
{
	uint64_t wanted = finding->operation + (finding->sector > 0);
	if (!finding_has_crash(finding) || !wanted)
		return log->count;
	size_t index = 0;
	while (index < log->count && (!judge_is_operation(&log->events[index]) || --wanted > 0))
		index++;
	return index;
}

/* The first `sectors` sectors of a write; they end where those of the file do. */
static enum status apply_part(struct content *content, const struct trace *trace,
			      const struct event *event, uint64_t sectors, struct why *why)
{
	uint64_t sector_bytes = sector_bytes_of(trace);
	uint64_t bytes = sectors * sector_bytes - event->host_offset % sector_bytes;
	if (event->op != IO_WRITE)
		return why_set(why, STATUS_USAGE,
			       "--image-at: the next operation is no write, it has no sectors");
	if (bytes > event->data_bytes)
		bytes = event->data_bytes;
	enum status status = content_write(content, event_data(&trace->log, event), (size_t)bytes,
					   event->host_offset);
	return status == STATUS_OK ? status : why_set(why, status, "out of memory");
}

/* Apply what was done before the crash at `place`. */
static enum status apply_operations(struct content *content, const struct trace *trace,
				    const struct crash_place *place, struct why *why)
{
	uint64_t operations = 0;
	enum status status = STATUS_OK;
	for (size_t i = 0; i < trace->log.count && status == STATUS_OK; i++) {
		const struct event *event = &trace->log.events[i];
		if (!judge_is_operation(event))
			continue;
		if (operations == place->operation && !place->sectors)
			return STATUS_OK;
		if (operations == place->operation)
			return apply_part(content, trace, event, place->sectors, why);
		status = trace_apply(content, &trace->log, event);
		if (status != STATUS_OK)
			why_set(why, status, "operation %" PRIu64 " cannot be applied",
				operations + 1);
		operations++;
	}
	if (status == STATUS_OK && (operations < place->operation || place->sectors))
		status = why_set(why, STATUS_USAGE,
				 "--image-at: the trace has only %" PRIu64 " operations",
				 operations);
	return status;
}

/* Of file 0 of a trace in which no external data file is joined. */
static enum status make(struct content **content, const struct trace *trace,
			const struct crash_place *place, struct why *why)
{
	if (place->persist)
		return persist_image(content, trace->files[0].initial, &trace->log,
				     place->operation, place->persist, why);
	struct content *image = content_clone(trace->files[0].initial);
	if (!image)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	enum status status = apply_operations(image, trace, place, why);
	if (status == STATUS_OK)
		*content = image;
	else
		content_free(image);
	return status;
}

/* Is the operation behind those of `place`, part of which persisted, one on the data file? */
static bool is_torn_outside(const struct trace *trace, const struct crash_place *place)
{
	const struct trace_finding torn = { .operation = place->operation,
					    .sector = (uint32_t)place->sectors,
					    .model = (char[]){ "torn" } };
	size_t index = crash_event(&trace->log, &torn);
	return index < trace->log.count && is_external(trace->log.events[index].host_offset);
}

/* The same of one of an image and its external data file. */
static enum status make_part(struct content **content, const struct trace *trace,
			     const struct crash_place *place, bool external, struct why *why)
{
	struct trace part;
	struct trace_file file;
	struct crash_place there = *place;
	char *persist = external ? data_file_persist(place->persist) : NULL;
	if (external)
		there.persist = persist;
	if (place->sectors && is_torn_outside(trace, place) != external)
		there.sectors = 0;
	data_file_part(&part, &file, trace, external);
	enum status status = make(content, &part, &there, why);
	event_log_release(&part.log);
	free(persist);
	return status;
}

enum status crash_image(struct content **content, const struct trace *trace,
			const struct crash_place *place, struct why *why)
{
	*content = NULL;
	if (!trace->file_count)
		return why_set(why, STATUS_BAD_INPUT, "the trace has no files");
	if (place->persist && place->sectors)
		return why_set(why, STATUS_USAGE, "--persist wants whole operations in --image-at");
	if (trace->files[0].external)
		return make_part(content, trace, place, false, why);
	return make(content, trace, place, why);
}

enum status crash_data_file(struct content **content, const struct trace *trace,
			    const struct crash_place *place, struct why *why)
{
	return make_part(content, trace, place, true, why);
}

enum status crash_image_of(struct content **content, const struct trace *trace,
			   const struct trace_finding *finding, struct why *why)
{
	struct crash_place place = { 0 };
	char *list = NULL;
	for (size_t i = 0; !finding_has_crash(finding) && i < trace->log.count; i++)
		place.operation += judge_is_operation(&trace->log.events[i]);
	if (finding_has_crash(finding)) {
		place.operation = finding->operation;
		place.sectors = finding->sector;
		list = persist_list_of(finding->message);
		place.persist = list;
	}
	enum status status = crash_image(content, trace, &place, why);
	free(list);
	return status;
}
