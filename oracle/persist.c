// SPDX-License-Identifier: MIT
/* Made from the log alone, without the judge: the contents of a sector after operation k are what
 * applying k operations gives. So an image written by this can be held against a verdict. */
#include "oracle/persist.h"

#include "oracle/bytes.h"
#include "oracle/judge.h"
#include "traces/trace.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PERSIST_CELL_BYTES_MAX = 4096 };

struct persist_item {
	bool is_size;
	uint64_t host_offset; /* is_size: of the file */
	uint64_t bytes;
	uint64_t operation;
};

char *persist_list_of(const char *message)
{
	const char *lead = strstr(message, PERSIST_LEAD);
	if (!lead)
		return NULL;
	const char *list = lead + strlen(PERSIST_LEAD);
	char *copy = strndup(list, strcspn(list, ")"));
	if (!copy)
		abort();
	return copy;
}

static enum status apply_operations(struct content *content, const struct event_log *log,
				    uint64_t operations, struct why *why)
{
	uint64_t done = 0;

	for (size_t i = 0; i < log->count && done < operations; i++) {
		const struct event *event = &log->events[i];

		if (!judge_is_operation(event))
			continue;
		done++;
		if (trace_apply(content, log, event) != STATUS_OK)
			return why_set(why, STATUS_BAD_INPUT,
				       "operation %" PRIu64 " cannot be applied", done);
	}
	if (done < operations)
		return why_set(why, STATUS_USAGE, "the trace has only %" PRIu64 " operations",
			       done);
	return STATUS_OK;
}

static bool take_number(const char **text, uint64_t *number)
{
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	*number = strtoull(*text, &end, 0);
	*text = end;
	return *number <= INT64_MAX;
}

/** Take one item and the comma behind it. */
static bool take_item(const char **text, struct persist_item *item)
{
	*item = (struct persist_item){ .bytes = SECTOR_BYTES };
	item->is_size = strncmp(*text, "size=", 5) == 0;
	if (item->is_size)
		*text += 5;
	if (!take_number(text, &item->host_offset))
		return false;
	if (!item->is_size && **text == '+') {
		*text += 1;
		if (!take_number(text, &item->bytes))
			return false;
	}
	if (!item->is_size) {
		if (**text != '=')
			return false;
		*text += 1;
		if (!take_number(text, &item->operation))
			return false;
	}
	if (**text == ',')
		*text += 1;
	else if (**text != '\0')
		return false;
	return (item->bytes == SECTOR_BYTES || item->bytes == PERSIST_CELL_BYTES_MAX) &&
	       (item->is_size || item->host_offset % item->bytes == 0);
}

/** Bring a sector of another moment to the image, as far as the file goes. */
static enum status put_item(struct content *image, const struct content *initial,
			    const struct event_log *log, const struct persist_item *item,
			    struct why *why)
{
	uint8_t bytes[PERSIST_CELL_BYTES_MAX];
	uint64_t size = content_size(image);
	uint64_t part = item->bytes;
	struct content *then;
	enum status status;

	if (item->host_offset >= size)
		return STATUS_OK;
	if (part > size - item->host_offset)
		part = size - item->host_offset;
	then = content_clone(initial);
	if (then == NULL)
		return why_set(why, STATUS_NO_MEMORY, "memory is short");
	status = apply_operations(then, log, item->operation, why);
	content_read(then, bytes, (size_t)part, item->host_offset);
	content_free(then);
	if (status != STATUS_OK)
		return status;
	status = content_write(image, bytes, (size_t)part, item->host_offset);
	return status == STATUS_OK ? status : why_set(why, status, "memory is short");
}

static enum status put_items(struct content *image, const struct content *initial,
			     const struct event_log *log, uint64_t operations, const char *list,
			     struct why *why)
{
	struct persist_item item;
	enum status status = STATUS_OK;

	/* The size first: what lies behind it is lost whatever the list says. */
	for (const char *at = list; *at != '\0';) {
		if (!take_item(&at, &item))
			return why_set(why, STATUS_USAGE,
				       "'%s' is no list of OFFSET=OPERATION and size=BYTES", list);
		if (!item.is_size && item.operation > operations)
			return why_set(why, STATUS_USAGE,
				       "operation %" PRIu64 " comes after the crash",
				       item.operation);
		if (item.is_size)
			content_resize(image, item.host_offset);
	}
	for (const char *at = list; status == STATUS_OK && *at != '\0';)
		if (take_item(&at, &item) && !item.is_size)
			status = put_item(image, initial, log, &item, why);
	return status;
}

enum status persist_image(struct content **content, const struct content *initial,
			  const struct event_log *log, uint64_t operations, const char *list,
			  struct why *why)
{
	enum status status;

	*content = content_clone(initial);
	if (*content == NULL)
		return why_set(why, STATUS_NO_MEMORY, "memory is short");
	status = apply_operations(*content, log, operations, why);
	if (status == STATUS_OK)
		status = put_items(*content, initial, log, operations, list, why);
	if (status == STATUS_OK)
		return STATUS_OK;
	content_free(*content);
	*content = NULL;
	return status;
}
