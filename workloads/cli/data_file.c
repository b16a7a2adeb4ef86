// SPDX-License-Identifier: MIT
/* An image with an external data file is two files, and a crash state is a state of both: each has
 * writes and flushes of its own. The judge knows one file. So both become one, in which the data
 * file begins where no image reaches:
 *
 *      image      0 ------- end                    operations of both are counted in one row
 *      data file                    2^57 -------   a flush there covers what was written there
 *
 * Whatever goes by operations, such as the story and crash images, sees the same row. */
#include "workloads/cli/data_file.h"

#include "oracle/image_header.h"
#include "workloads/cli/image_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXTENSION_DATA_FILE 0x44415441U

enum { HEADER_LENGTH_AT = 100, HEADER_V3_BYTES = 104 };

/* The big-endian number of 32 bits at `host_offset`, which is a multiple of 4. */
static uint32_t u32_at(const struct content *image, uint64_t host_offset)
{
	uint64_t both = image_u64(image, host_offset & ~UINT64_C(7));
	return (uint32_t)(host_offset % 8 ? both : both >> 32);
}

bool data_file_name(char name[DATA_FILE_NAME_BYTES], const struct content *image)
{
	struct image_header header;
	image_read_header(&header, image);
	if (!(header.incompatible & INCOMPATIBLE_DATA_FILE))
		return false;
	uint64_t at = u32_at(image, HEADER_LENGTH_AT);
	if (at < HEADER_V3_BYTES || at % 8)
		return false;
	for (int i = 0; i < IMAGE_EXTENSIONS_MAX; i++) {
		uint32_t type = u32_at(image, at), bytes = u32_at(image, at + 4);
		if (!type || bytes >= DATA_FILE_NAME_BYTES)
			return false;
		if (type == EXTENSION_DATA_FILE) {
			content_read(image, name, bytes, at + 8);
			name[bytes] = 0;
			return true;
		}
		at += 8 + ((bytes + 7U) & ~UINT64_C(7));
	}
	return false;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static bool backs_an_image(const struct trace *trace, size_t file)
{
	for (size_t i = 0; i < trace->file_count; i++)
		if (trace->files[i].backing == file)
			return true;
	return false;
}

/* The file of that name, which is nothing else in the trace; TRACE_FILES_MAX: there is none. */
static size_t find_file(const struct trace *trace, const char *name)
{
	for (size_t i = 0; i < trace->file_count; i++)
		if (trace->files[i].format == TRACE_FORMAT_RAW &&
		    strcmp(last_part(trace->files[i].path), last_part(name)) == 0 &&
		    !backs_an_image(trace, i))
			return i;
	return TRACE_FILES_MAX;
}

static bool is_io(const struct event *event)
{
	return event->kind == EVENT_IO_SUBMITTED || event->kind == EVENT_IO_EFFECT ||
	       event->kind == EVENT_IO_COMPLETED || event->kind == EVENT_FAULT;
}

void data_file_join(struct trace *trace)
{
	bool is_taken[TRACE_FILES_MAX + 1] = { false };
	for (size_t image = 0; image < trace->file_count; image++) {
		struct trace_file *file = &trace->files[image];
		char name[DATA_FILE_NAME_BYTES];
		bool has_one =
			file->format == TRACE_FORMAT_QCOW2 && data_file_name(name, file->initial);
		size_t data = has_one ? find_file(trace, name) : TRACE_FILES_MAX;
		bool is_free = data < TRACE_FILES_MAX && !is_taken[data];
		struct content *nothing = is_free ? content_new(0) : NULL;
		if (!nothing)
			continue;
		is_taken[data] = true;
		file->external = trace->files[data].initial;
		trace->files[data].initial = nothing;
		for (size_t i = 0; i < trace->log.count; i++) {
			struct event *event = &trace->log.events[i];
			if (!is_io(event) || event->file != data ||
			    event->host_offset >= IMAGE_EXTERNAL)
				continue;
			event->file = (uint16_t)image;
			event->host_offset += IMAGE_EXTERNAL;
		}
	}
}

void data_file_part(struct trace *part, struct trace_file *file, const struct trace *trace,
		    bool external)
{
	const struct event_log *joined = &trace->log;
	*part = *trace;
	*file = trace->files[0];
	if (external)
		file->initial = file->external;
	file->external = NULL;
	part->files = file;
	part->file_count = 1;
	event_log_init(&part->log);
	for (size_t i = 0; i < joined->count; i++) {
		struct event event = joined->events[i];
		bool is_part = is_external(event.host_offset) == external;
		if (is_io(&event) && external && is_part)
			event.host_offset -= IMAGE_EXTERNAL;
		if (event.kind == EVENT_IO_EFFECT && event.file == 0 && !is_part &&
		    event.result >= 0 && event.op != IO_READ && event.op != IO_FLUSH) {
			event.op = IO_PUNCH;
			event.host_offset = event.length = 0;
			event.result = 0;
		}
		event_log_append(&part->log, &event, event_data(joined, &joined->events[i]),
				 event.data_bytes);
	}
}

char *data_file_persist(const char *list)
{
	char *text = NULL;
	size_t bytes = 0;
	if (!list)
		return NULL;
	FILE *stream = open_memstream(&text, &bytes);
	if (!stream)
		abort();
	for (const char *at = list; *at;) {
		size_t item = strcspn(at, ",");
		char *rest = NULL;
		uint64_t host_offset = strtoull(at, &rest, 0);
		if (rest != at && is_external(host_offset))
			fprintf(stream, "%s0x%" PRIx64 "%.*s", ftell(stream) ? "," : "",
				host_offset - IMAGE_EXTERNAL, (int)(at + item - rest), rest);
		at += item + (at[item] == ',');
	}
	if (fclose(stream) != 0)
		abort();
	return text;
}
