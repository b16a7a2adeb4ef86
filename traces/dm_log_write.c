// SPDX-License-Identifier: MIT
/* Writing a dm-log-writes log, as the kernel would have.
 *
 * Operations stand in the order of their effects, because that order decides the bytes. A FLUSH
 * entry stands where the flush was submitted, and only when it succeeded later: before it, then,
 * are the effects that it can cover. An effect that was not completed when the flush was submitted
 * is not covered in the trace; the log has no way to say that, and promises more. Such writes are
 * counted. One case can be told exactly: when of the writes since the last flush only the very last
 * is completed, its entries get the FUA flag and the flush none.
 *
 * The format knows whole sectors, no file sizes and no zeroing:
 *
 *     write, in part of a sector   the whole sector, with what the file holds around it
 *     zero                         zeros written, long ones discarded
 *     punch                        DISCARD of whole sectors, zeros in parts of sectors
 *     resize, allocate: longer     zeros in the new last sector
 *     resize: shorter              the cut tail is discarded; the size is lost
 *
 * A reader of such logs may skip a DISCARD of more than 128 MiB, so longer ones become several, of
 * which those where the file holds nothing are left out.
 *
 * What the guest asked for, and got, goes into marks. */
#include "traces/dm_log_writes.h"

#include "traces/dm_log_format.h"
#include "traces/memory.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define END_MARK "dm-log-writes-end"

enum {
	SECTOR_BYTES_MIN = 512,
	SECTOR_BYTES_MAX = 65536,
	DISCARD_BYTES_MAX = 128 << 20,
	ZERO_BYTES_MAX = 16 << 20,
	/** Data are written through a buffer of this size. */
	CHUNK_BYTES = 65536,
	TEXT_BYTES_MAX = 160,
};

/* A header that has been written. */
struct written_header {
	long at; /* byte in the file */
	uint64_t flags;
};

/* An I/O of the trace that was completed. */
struct completion {
	uint32_t id;
	size_t event; /* index of its COMPLETED event */
	bool failed;
	uint64_t epoch; /* between which FLUSH entries its effect stands; 0: it has none yet */
};

/* A log on its way into a file. */
struct writer {
	const struct trace *trace;
	struct dm_log_written *written;
	FILE *file;
	uint32_t sector_bytes;
	struct content *content;        /* owned; of the file up to here */
	uint64_t replayed_bytes;        /* how long a file becomes onto which the log is replayed */
	struct completion *completions; /* owned; by id, then by event */
	size_t completion_count;
	uint64_t epoch; /* counts FLUSH entries, from 1 */
	/* Operations in this epoch, and how many of them are not completed. */
	uint64_t done, not_completed;
	/* The last operation: the I/O, whether it is completed, and its entries. */
	uint32_t last_id;
	bool last_is_completed;
	size_t last_count, last_capacity;
	struct written_header *last; /* owned */
	uint8_t chunk[CHUNK_BYTES];
};

static int compare_completions(const void *a, const void *b)
{
	const struct completion *left = a;
	const struct completion *right = b;
	if (left->id != right->id)
		return left->id < right->id ? -1 : 1;
	return left->event < right->event ? -1 : left->event > right->event;
}

static void list_completions(struct writer *writer)
{
	const struct event_log *log = &writer->trace->log;
	size_t capacity = 0;
	for (size_t i = 0; i < log->count; i++) {
		const struct event *event = &log->events[i];
		if (event->kind != EVENT_IO_COMPLETED || event->file != 0)
			continue;
		writer->completions =
			memory_grow(writer->completions, &capacity, writer->completion_count + 1,
				    sizeof(*writer->completions));
		writer->completions[writer->completion_count++] = (struct completion){
			.id = event->id, .event = i, .failed = event->result < 0
		};
	}
	if (writer->completion_count)
		qsort(writer->completions, writer->completion_count, sizeof(*writer->completions),
		      compare_completions);
}

/* How the I/O at event `index` ended; NULL: it did not. */
static struct completion *completion_of(const struct writer *writer, size_t index)
{
	uint32_t id = writer->trace->log.events[index].id;
	size_t from = 0, to = writer->completion_count;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		const struct completion *found = &writer->completions[middle];
		if (found->id < id || (found->id == id && found->event < index))
			from = middle + 1;
		else
			to = middle;
	}
	bool is_there = from < writer->completion_count && writer->completions[from].id == id;
	return is_there ? &writer->completions[from] : NULL;
}

static void put(struct writer *writer, const void *bytes, size_t byte_count)
{
	/* A failure is kept by the stream, and seen at the end. */
	fwrite(bytes, 1, byte_count, writer->file);
}

/* One sector that begins with `header_bytes` bytes at `header`; the rest is zeros. */
static void put_sector(struct writer *writer, const uint8_t *header, size_t header_bytes)
{
	static const uint8_t zeros[SECTOR_BYTES_MAX];
	put(writer, header, header_bytes);
	put(writer, zeros, writer->sector_bytes - header_bytes);
}

static void put_header(struct writer *writer, uint64_t host_offset, uint64_t length, uint64_t flags)
{
	uint8_t header[DM_LOG_HEADER_BYTES] = { 0 };
	writer->last = memory_grow(writer->last, &writer->last_capacity, writer->last_count + 1,
				   sizeof(*writer->last));
	writer->last[writer->last_count] =
		(struct written_header){ .at = ftell(writer->file), .flags = flags };
	writer->last_count++;
	dm_log_put(header + DM_LOG_AT_SECTOR, host_offset / writer->sector_bytes, 8);
	dm_log_put(header + DM_LOG_AT_SECTORS, length / writer->sector_bytes, 8);
	dm_log_put(header + DM_LOG_AT_FLAGS, flags, 8);
	put_sector(writer, header, sizeof(header));
	writer->written->entries++;
}

static void put_mark(struct writer *writer, const char *text)
{
	uint8_t header[DM_LOG_HEADER_BYTES + TEXT_BYTES_MAX] = { 0 };
	size_t text_bytes = strnlen(text, TEXT_BYTES_MAX);
	dm_log_put(header + DM_LOG_AT_FLAGS, DM_LOG_MARK, 8);
	dm_log_put(header + DM_LOG_AT_TEXT_BYTES, text_bytes, 8);
	memcpy(header + DM_LOG_HEADER_BYTES, text, text_bytes);
	put_sector(writer, header, DM_LOG_HEADER_BYTES + text_bytes);
	writer->written->entries++;
}

static uint64_t round_down(const struct writer *writer, uint64_t host_offset)
{
	return host_offset & ~(uint64_t)(writer->sector_bytes - 1);
}

static uint64_t round_up(const struct writer *writer, uint64_t host_offset)
{
	return round_down(writer, host_offset + writer->sector_bytes - 1);
}

/* All sectors of [from, to), as the file has them now. */
static void put_sectors(struct writer *writer, uint64_t from, uint64_t to)
{
	if (from >= to)
		return;
	from = round_down(writer, from);
	to = round_up(writer, to);
	put_header(writer, from, to - from, 0);
	if (to > writer->replayed_bytes)
		writer->replayed_bytes = to;
	while (from < to) {
		size_t bytes = to - from < CHUNK_BYTES ? (size_t)(to - from) : CHUNK_BYTES;
		content_read(writer->content, writer->chunk, bytes, from);
		put(writer, writer->chunk, bytes);
		from += bytes;
	}
}

/* Zeros in whole sectors; what the file held there is still in `content`. */
static void put_discards(struct writer *writer, uint64_t from, uint64_t to)
{
	bool is_short = to - from <= DISCARD_BYTES_MAX;
	while (from < to) {
		uint64_t page = from / CONTENT_PAGE_BYTES;
		if (!is_short) {
			/* Go on where something is. */
			if (!content_next_page(writer->content, &page))
				return;
			if (page * CONTENT_PAGE_BYTES > from)
				from = round_down(writer, page * CONTENT_PAGE_BYTES);
			if (from >= to)
				return;
		}
		uint64_t bytes = to - from < DISCARD_BYTES_MAX ? to - from : DISCARD_BYTES_MAX;
		put_header(writer, from, bytes, DM_LOG_DISCARD);
		from += bytes;
	}
}

static enum status apply(struct writer *writer, const struct event *event)
{
	return trace_apply(writer->content, &writer->trace->log, event);
}

/* [from, to) becomes zeros by `event`. */
static enum status put_zeros(struct writer *writer, const struct event *event, uint64_t from,
			     uint64_t to)
{
	uint64_t inner_from = round_up(writer, from), inner_to = round_down(writer, to);
	if (inner_from < inner_to)
		put_discards(writer, inner_from, inner_to);
	enum status status = apply(writer, event);
	if (from < to && inner_from > inner_to)
		put_sectors(writer, from, to);
	else if (from < to) {
		put_sectors(writer, from, inner_from);
		put_sectors(writer, inner_to, to);
	}
	return status;
}

/* Is the file longer than what the log makes? The last sector tells its end. */
static void put_new_end(struct writer *writer)
{
	uint64_t size = content_size(writer->content);
	if (size > writer->replayed_bytes)
		put_sectors(writer, size - 1, size);
}

static enum status put_operation(struct writer *writer, const struct event *event)
{
	uint64_t size = content_size(writer->content);
	uint64_t from = event->host_offset, to = event->host_offset + event->length;
	enum status status;
	switch (event->op) {
	case IO_WRITE:
		status = apply(writer, event);
		put_sectors(writer, from, from + (uint64_t)event->result);
		return status;
	case IO_ZERO:
		if (event->length <= ZERO_BYTES_MAX) {
			status = apply(writer, event);
			put_sectors(writer, from, to);
			return status;
		}
		status = put_zeros(writer, event, from, to);
		put_new_end(writer);
		return status;
	case IO_PUNCH: return put_zeros(writer, event, from, to < size ? to : size);
	case IO_RESIZE:
		writer->written->shrinks += from < size;
		status = put_zeros(writer, event, from, size);
		put_new_end(writer);
		return status;
	case IO_ALLOCATE:
		status = apply(writer, event);
		put_new_end(writer);
		return status;
	default: return STATUS_OK;
	}
}

static bool is_in_range(const struct event *event)
{
	const uint64_t most = (uint64_t)INT64_MAX - SECTOR_BYTES_MAX;
	return event->host_offset <= most && event->length <= most - event->host_offset;
}

static enum status put_effect(struct writer *writer, size_t index, struct why *why)
{
	const struct event *event = &writer->trace->log.events[index];
	uint64_t entries = writer->written->entries;
	if (event->result < 0 || event->op == IO_READ || event->op == IO_FLUSH)
		return STATUS_OK;
	if (event->file != 0) {
		writer->written->other_files++;
		return STATUS_OK;
	}
	if (!is_in_range(event))
		return why_set(why, STATUS_UNSUPPORTED,
			       "event %zu reaches as far as no log does: byte %" PRIu64, index,
			       event->host_offset);
	size_t last_count = writer->last_count;
	writer->last_count = 0;
	enum status status = put_operation(writer, event);
	if (status != STATUS_OK)
		return why_set(why, status, "event %zu: %s", index, status_name(status));
	if (writer->written->entries == entries) {
		writer->last_count = last_count;
		return STATUS_OK;
	}
	writer->done++;
	writer->not_completed++;
	writer->last_id = event->id;
	writer->last_is_completed = false;
	struct completion *completion = completion_of(writer, index);
	if (completion)
		completion->epoch = writer->epoch;
	return STATUS_OK;
}

/* The last operation becomes durable by itself. */
static void put_fua(struct writer *writer)
{
	for (size_t i = 0; i < writer->last_count; i++) {
		uint8_t flags[8];
		dm_log_put(flags, writer->last[i].flags | DM_LOG_FUA, 8);
		fseek(writer->file, writer->last[i].at + DM_LOG_AT_FLAGS, SEEK_SET);
		put(writer, flags, sizeof(flags));
	}
	fseek(writer->file, 0, SEEK_END);
	writer->done--;
}

static void put_flush(struct writer *writer, size_t index)
{
	const struct completion *completion = completion_of(writer, index);
	if (!completion || completion->failed)
		return;
	uint64_t covered = writer->done - writer->not_completed;
	if (writer->not_completed && !covered)
		return;
	if (writer->not_completed && covered == 1 && writer->last_is_completed) {
		put_fua(writer);
		return;
	}
	writer->written->promised_too_much += writer->not_completed;
	put_header(writer, 0, 0, DM_LOG_FLUSH);
	writer->epoch++;
	writer->done = writer->not_completed = 0;
	writer->last_id = 0;
	writer->last_is_completed = false;
}

static void note_completion(struct writer *writer, size_t index)
{
	const struct completion *completion = completion_of(writer, index);
	if (!completion || completion->epoch != writer->epoch)
		return;
	writer->not_completed--;
	if (completion->id == writer->last_id)
		writer->last_is_completed = true;
}

static enum status put_event(struct writer *writer, size_t index, struct why *why)
{
	const struct event *event = &writer->trace->log.events[index];
	char text[TEXT_BYTES_MAX];
	switch (event->kind) {
	case EVENT_REQUEST_INVOKED:
	case EVENT_REQUEST_COMPLETED:
		event_format(text, sizeof(text), &writer->trace->log, event);
		put_mark(writer, text);
		return STATUS_OK;
	case EVENT_IO_SUBMITTED:
		if (event->op == IO_FLUSH && event->file == 0)
			put_flush(writer, index);
		return STATUS_OK;
	case EVENT_IO_EFFECT: return put_effect(writer, index, why);
	case EVENT_IO_COMPLETED:
		if (event->op != IO_FLUSH && event->file == 0)
			note_completion(writer, index);
		return STATUS_OK;
	default: return STATUS_OK;
	}
}

static void put_super(struct writer *writer)
{
	uint8_t super[DM_LOG_HEADER_BYTES] = { 0 };
	dm_log_put(super + DM_LOG_AT_MAGIC, DM_LOG_MAGIC, 8);
	dm_log_put(super + DM_LOG_AT_VERSION, DM_LOG_VERSION, 8);
	dm_log_put(super + DM_LOG_AT_ENTRIES, writer->written->entries, 8);
	dm_log_put(super + DM_LOG_AT_SECTOR_BYTES, writer->sector_bytes, 4);
	fseek(writer->file, 0, SEEK_SET);
	put_sector(writer, super, sizeof(super));
}

static enum status put_log(struct writer *writer, struct why *why)
{
	const struct event_log *log = &writer->trace->log;
	writer->content = content_clone(writer->trace->files[0].initial);
	if (!writer->content)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	writer->replayed_bytes = content_size(writer->content);
	list_completions(writer);
	put_super(writer);
	for (size_t i = 0; i < log->count; i++) {
		enum status status = put_event(writer, i, why);
		if (status != STATUS_OK)
			return status;
	}
	put_mark(writer, END_MARK);
	put_super(writer);
	return STATUS_OK;
}

static enum status write_file(struct writer *writer, const char *path, struct why *why)
{
	writer->file = fopen(path, "we");
	if (!writer->file)
		return why_set(why, STATUS_IO, "cannot create '%s': %s", path, strerror(errno));
	enum status status = put_log(writer, why);
	bool failed = ferror(writer->file) != 0;
	failed |= fclose(writer->file) != 0;
	if (status == STATUS_OK && failed)
		status = why_set(why, STATUS_IO, "cannot write '%s': %s", path, strerror(errno));
	return status;
}

enum status dm_log_write(const struct trace *trace, struct dm_log_written *written,
			 const char *path, uint32_t sector_bytes, struct why *why)
{
	assert(trace->file_count);
	assert(sector_bytes >= SECTOR_BYTES_MIN && sector_bytes <= SECTOR_BYTES_MAX &&
	       !(sector_bytes & (sector_bytes - 1)));
	*written = (struct dm_log_written){ 0 };
	char *temporary = NULL;
	struct writer *writer = calloc(1, sizeof(*writer));
	if (!writer || asprintf(&temporary, "%s.tmp", path) < 0) {
		free(writer);
		return why_set(why, STATUS_NO_MEMORY, "cannot write '%s': out of memory", path);
	}
	*writer = (struct writer){
		.trace = trace, .written = written, .sector_bytes = sector_bytes, .epoch = 1
	};
	enum status status = write_file(writer, temporary, why);
	if (status == STATUS_OK && rename(temporary, path) < 0)
		status = why_set(why, STATUS_IO, "cannot write '%s': %s", path, strerror(errno));
	if (status != STATUS_OK)
		unlink(temporary);
	content_free(writer->content);
	free(writer->completions);
	free(writer->last);
	free(writer);
	free(temporary);
	return status;
}
