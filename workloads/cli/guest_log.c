// SPDX-License-Identifier: MIT
/* A tool such as qemu-img has no guest, yet everybody knows what it may do to the guest's data:
 * `resize` and `check` nothing, `commit` and `snapshot -a` make each sector what it is in the end.
 * So its recording is judged as if a guest had asked for that:
 *
 *     open      invoked before the first event, answered behind the last: the tool is at work, and
 *               may leave clusters that nobody refers to
 *     truncate  when the disk has another size in the end
 *     write     one for each range in which old and new differ (old-or-new), with what is new
 *     close     behind all of these: what the tool has done is done when it ends by itself
 *
 * All are under way from the beginning to the end, so at a crash each sector may be old or new, and
 * the rules of the oracle apply as they are. The close is a promise: in the end new is what is
 * wanted, also of a disk that loses what was not flushed. A tool that was killed promised nothing.
 *
 * Which contents are new is not judged, only that they are there: a tool that does the wrong thing
 * without a crash goes unnoticed here (the recording's last state says what is right). */
#include "workloads/cli/guest_log.h"

#include "oracle/layer.h"
#include "workloads/cli/data_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SECTOR_BYTES = 512, RANGE_BYTES_MAX = 1 << 20, SECTORS_MAX = 1 << 23 };

/* The guest's view before and after. */
struct two_views {
	struct layers old, new;
	struct trace_file *new_files; /* owned; contents borrowed but for the first */
	struct inflater *old_inflater, *new_inflater;
};

/* A request that lasts as long as the recording. */
struct making {
	struct event_log *log; /* borrowed */
	uint32_t id;           /* of the request made last */
};

bool guest_expectation_parse(const char *name, enum guest_expectation *expectation)
{
	bool is_unchanged = strcmp(name, "unchanged") == 0;
	*expectation = is_unchanged ? GUEST_UNCHANGED : GUEST_OLD_OR_NEW;
	return is_unchanged || strcmp(name, "old-or-new") == 0;
}

static void views_release(struct two_views *views)
{
	if (views->new_files) {
		content_free(views->new_files[0].initial);
		content_free(views->new_files[0].external);
	}
	free(views->new_files);
	inflater_free(views->old_inflater);
	inflater_free(views->new_inflater);
}

/* What became of file 0, and of its external data file if it has one. False: out of memory. */
static bool take_new(struct trace_file *new, const struct trace *trace)
{
	bool has_data_file = new->external != NULL;
	new->initial = new->external = NULL;
	if (!has_data_file) {
		new->initial = trace_final_content(trace, 0);
		return new->initial != NULL;
	}
	for (int external = 0; external < 2; external++) {
		struct trace part;
		struct trace_file file;
		data_file_part(&part, &file, trace, external);
		*(external ? &new->external : &new->initial) = trace_final_content(&part, 0);
		event_log_release(&part.log);
	}
	return new->initial &&new->external;
}

/* Look at file 0 as it was, and as it became. */
static enum status views_init(struct two_views *views, const struct trace *trace, struct why *why)
{
	size_t count = trace->file_count;
	*views = (struct two_views){ .old_inflater = inflater_new(),
				     .new_inflater = inflater_new(),
				     .new_files = calloc(count, sizeof(*views->new_files)) };
	if (!views->new_files)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	memcpy(views->new_files, trace->files, count * sizeof(*views->new_files));
	if (!take_new(&views->new_files[0], trace))
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	enum status status =
		layers_init(&views->old, views->old_inflater, trace->files, count, why);
	return status == STATUS_OK
		       ? layers_init(&views->new, views->new_inflater, views->new_files, count, why)
		       : status;
}

static void invoke(struct making *making, struct event *event, const void *data, size_t bytes)
{
	event->kind = EVENT_REQUEST_INVOKED;
	event->id = ++making->id;
	event_log_append(making->log, event, data, bytes);
}

/* The sector at `guest_offset` where old and new differ; NULL where they do not. */
static const uint8_t *new_sector(const struct two_views *views, uint64_t guest_offset)
{
	const uint8_t *old = layers_sector(&views->old, 0, guest_offset);
	const uint8_t *new = layers_sector(&views->new, 0, guest_offset);
	bool differ = new && (!old || memcmp(old, new, SECTOR_BYTES) != 0);
	return differ ? new : NULL;
}

/* A write for each range in which the views differ. */
static enum status invoke_writes(struct making *making, const struct two_views *views,
				 struct why *why)
{
	uint64_t disk_bytes = views->new.layers[0].size_bytes;
	uint8_t *range = malloc(RANGE_BYTES_MAX);
	size_t bytes = 0;
	if (!range)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	if (disk_bytes / SECTOR_BYTES > SECTORS_MAX) {
		free(range);
		return why_set(why, STATUS_UNSUPPORTED,
			       "--guest old-or-new: the disk has %" PRIu64
			       " bytes, more than are compared",
			       disk_bytes);
	}
	for (uint64_t at = 0; at < disk_bytes || bytes; at += SECTOR_BYTES) {
		const uint8_t *sector = at < disk_bytes ? new_sector(views, at) : NULL;
		if (bytes && (!sector || bytes == RANGE_BYTES_MAX)) {
			struct event write = { .op = REQUEST_WRITE,
					       .guest_offset = at - bytes,
					       .length = bytes };
			invoke(making, &write, range, bytes);
			bytes = 0;
		}
		if (sector) {
			memcpy(range + bytes, sector, SECTOR_BYTES);
			bytes += SECTOR_BYTES;
		}
	}
	free(range);
	return STATUS_OK;
}

/* Everything that was invoked was done; and then a close. */
static void complete_all(struct making *making)
{
	size_t count = making->log->count;
	for (size_t i = 0; i < count; i++) {
		struct event event = making->log->events[i];
		if (event.kind != EVENT_REQUEST_INVOKED)
			continue;
		event = (struct event){ .kind = EVENT_REQUEST_COMPLETED,
					.op = event.op,
					.id = event.id };
		event_log_append(making->log, &event, NULL, 0);
	}
	struct event close = { .op = REQUEST_CLOSE };
	invoke(making, &close, NULL, 0);
	close.kind = EVENT_REQUEST_COMPLETED;
	event_log_append(making->log, &close, NULL, 0);
}

static enum status refuse_own_requests(const struct trace *trace, struct why *why)
{
	for (size_t i = 0; i < trace->log.count; i++)
		if (trace->log.events[i].kind == EVENT_REQUEST_INVOKED)
			return why_set(why, STATUS_BAD_INPUT,
				       "--guest is for recordings without requests: this one has "
				       "its own");
	return STATUS_OK;
}

static enum status invoke_all(struct making *making, const struct two_views *views,
			      enum guest_expectation expectation, struct why *why)
{
	uint64_t new_bytes = views->new.layers[0].size_bytes;
	struct event open = { .op = REQUEST_OPEN };
	struct event truncate = { .op = REQUEST_TRUNCATE, .guest_offset = new_bytes };
	invoke(making, &open, NULL, 0);
	if (new_bytes != views->old.layers[0].size_bytes)
		invoke(making, &truncate, NULL, 0);
	return expectation == GUEST_OLD_OR_NEW ? invoke_writes(making, views, why) : STATUS_OK;
}

enum status guest_log_make(struct event_log *log, const struct trace *trace,
			   enum guest_expectation expectation, struct why *why)
{
	struct two_views views = { 0 };
	struct making making = { .log = log };
	enum status status = refuse_own_requests(trace, why);
	if (status == STATUS_OK)
		status = views_init(&views, trace, why);
	/* Nobody has data in an image that is yet to be made. */
	if (status == STATUS_OK && views.old.layers[0].header.readable)
		status = invoke_all(&making, &views, expectation, why);
	for (size_t i = 0; i < trace->log.count && status == STATUS_OK; i++) {
		const struct event *event = &trace->log.events[i];
		if (event->kind == EVENT_END && making.id)
			complete_all(&making);
		event_log_append(log, event, event_data(&trace->log, event), event->data_bytes);
	}
	views_release(&views);
	return status;
}
