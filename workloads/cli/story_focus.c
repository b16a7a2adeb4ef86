// SPDX-License-Identifier: MIT
/* What a story is about: which three of its lines matter most, what the crash left out, and what
 * should have come before it.
 *
 * A reader who has three lines left wants to know who asked for it, what was written there last,
 * and with which step it is seen. For a broken promise the last is the promise; where the finding
 * names no place, or nothing was written to it, what came last takes the place of what is not
 * known. */
#include "workloads/cli/story_private.h"

#include "oracle/judge.h"
#include "oracle/persist.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	KEYS_MAX = 3,
	LOST_MAX = 3, /* sectors that are named one by one */
};

uint64_t teller_cluster_bytes(const struct teller *teller)
{
	const struct run_roles *roles = &teller->roles;
	unsigned bits =
		roles->after.cluster_bits ? roles->after.cluster_bits : roles->before.cluster_bits;
	return (uint64_t)1 << bits;
}

/* Is it in the guest cluster that the story is about? */
bool teller_is_the_place(const struct teller *teller, uint64_t guest_offset)
{
	uint64_t cluster_bytes = teller_cluster_bytes(teller);
	return teller->guest_offset != NOWHERE && guest_offset != NOWHERE &&
	       guest_offset / cluster_bytes == teller->guest_offset / cluster_bytes;
}

/* ---- the steps that matter most ---- */

static bool is_in_cluster(const struct teller *teller, uint64_t host_offset)
{
	uint64_t cluster_bytes = teller_cluster_bytes(teller);
	return teller->host_offset != NOWHERE &&
	       host_offset / cluster_bytes == teller->host_offset / cluster_bytes;
}

static const struct event *event_of(const struct teller *teller, const struct line *line)
{
	return &teller->trace->log.events[line->line.event];
}

/* A request that changes the guest cluster begins; any, if that is not known. */
static bool is_cause(const struct teller *teller, const struct line *line)
{
	const struct event *event = event_of(teller, line);
	uint64_t cluster_bytes = teller_cluster_bytes(teller);
	uint64_t cluster = teller->guest_offset / cluster_bytes;
	if (event->kind != EVENT_REQUEST_INVOKED || event->op == REQUEST_READ ||
	    event->op == REQUEST_FLUSH || event->op == REQUEST_OPEN || event->op == REQUEST_CLOSE)
		return false;
	if (teller->guest_offset == NOWHERE)
		return true;
	return event->length && event->guest_offset / cluster_bytes <= cluster &&
	       (event->guest_offset + event->length - 1) / cluster_bytes >= cluster;
}

/* Something is written to the cluster. */
static bool is_contents(const struct teller *teller, const struct line *line)
{
	return line->is_operation && is_in_cluster(teller, event_of(teller, line)->host_offset);
}

static bool is_promise(const struct teller *teller, const struct line *line)
{
	const struct event *event = event_of(teller, line);
	return event->kind == EVENT_REQUEST_COMPLETED &&
	       (event->op == REQUEST_FLUSH || event->op == REQUEST_CLOSE);
}

/* An operation without which the crash would leave something else. */
static bool is_operation(const struct teller *teller, const struct line *line)
{
	(void)teller;
	return line->is_operation && line->weight >= WEIGHT_USUAL;
}

static bool is_told_by_itself(const struct teller *teller, const struct line *line)
{
	return line->weight >= WEIGHT_USUAL && event_of(teller, line)->kind != EVENT_END;
}

/* Mark the last line that is such a one, unless there are enough. */
static bool mark_last(struct teller *teller, size_t *keys,
		      bool (*is_one)(const struct teller *teller, const struct line *line))
{
	for (size_t i = teller->count; i-- > 0 && *keys < KEYS_MAX;) {
		struct line *line = &teller->lines[i];
		if (line->line.is_key || line->line.is_late || !is_one(teller, line))
			continue;
		line->line.is_key = line->line.is_main = true;
		++*keys;
		return true;
	}
	return false;
}

/* Who asked for it, what was written there, and what came last: the step with which it is seen, or
 * the promise that is broken. If one of these is not known, more of what came last. */
void teller_mark_keys(struct teller *teller)
{
	size_t keys = 0;
	if (!teller->finding)
		return;
	bool has_promise = strcmp(teller->finding->rule, "flush-durable") == 0;
	(void)mark_last(teller, &keys, is_cause);
	if (has_promise)
		(void)mark_last(teller, &keys, is_promise);
	(void)mark_last(teller, &keys, is_contents);
	if (finding_has_crash(teller->finding) && !has_promise)
		(void)mark_last(teller, &keys, is_operation);
	while (mark_last(teller, &keys, is_told_by_itself))
		;
}

/* ---- the crash ---- */

static bool is_about_contents(const struct trace_finding *finding)
{
	static const char *const rules[] = { "cow-complete", "old-or-new", "flush-durable" };
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (strcmp(finding->rule, rules[i]) == 0)
			return true;
	return false;
}

/* Is it what should have come before? In order, that is the next write to the cluster; or of its
 * entry, or of the refcounts, if these are what is missing. */
bool teller_is_wanted(const struct teller *teller, const struct event *event)
{
	const struct trace_finding *finding = teller->finding;
	const struct role_entry *entry = run_roles_find(&teller->roles, event->host_offset);
	enum role role = entry ? entry->role : ROLE_UNKNOWN;
	if (event->op != IO_WRITE || strcmp(finding->model, "reorder") == 0)
		return false;
	if (strcmp(finding->rule, "refcount-covers") == 0)
		return role == ROLE_REFBLOCK;
	if (!is_about_contents(finding))
		return false;
	if (strstr(finding->message, "unallocated"))
		return role == ROLE_L2 && entry->guest_offset <= teller->guest_offset;
	return is_in_cluster(teller, event->host_offset);
}

/* "0x1800 (the L1 table) as it was at first" of an item of a list of what persisted. */
static int tell_lost(char *text, size_t text_bytes, const struct teller *teller, const char *item)
{
	char *end = NULL;
	uint64_t place = strtoull(item, &end, 0);
	const struct role_entry *role = run_roles_find(&teller->roles, place);
	const char *equals = strchr(item, '=');
	uint64_t operation = equals ? strtoull(equals + 1, NULL, 10) : 0;
	if (strncmp(item, "size=", 5) == 0)
		return snprintf(text, text_bytes, "the file ends at byte %" PRIu64, operation);
	int length = snprintf(text, text_bytes, "0x%" PRIx64 " (%s) is as ", place,
			      role_name(role ? role->role : ROLE_UNKNOWN));
	size_t used = (size_t)length < text_bytes ? (size_t)length : text_bytes;
	return length + (operation ? snprintf(text + used, text_bytes - used,
					      "operation %" PRIu64 " left it", operation)
				   : snprintf(text + used, text_bytes - used, "it was at first"));
}

/* What a disk that reorders did not write. */
static void tell_lost_list(char *line, size_t used, const struct teller *teller)
{
	char *list = persist_list_of(teller->finding->message);
	size_t count = 0;
	for (char *item = list; item && *item; count++) {
		char *next = item + strcspn(item, ",");
		bool is_last = !*next;
		*next = 0;
		if (used < STORY_LINE_BYTES)
			used += (size_t)snprintf(line + used, STORY_LINE_BYTES - used, "%s",
						 count ? ", " : ", but ");
		if (used < STORY_LINE_BYTES && count < LOST_MAX)
			used += (size_t)tell_lost(line + used, STORY_LINE_BYTES - used, teller,
						  item);
		else if (used < STORY_LINE_BYTES)
			used += (size_t)snprintf(line + used, STORY_LINE_BYTES - used, "...");
		item = is_last || count == LOST_MAX ? NULL : next + 1;
	}
	free(list);
}

void teller_tell_crash(char *line, const struct teller *teller)
{
	const struct trace_finding *finding = teller->finding;
	if (!finding_has_crash(finding))
		return;
	int length = snprintf(line, STORY_LINE_BYTES, "crash: operations 1 to %" PRIu64,
			      finding->operation);
	if (finding->sector)
		length +=
			snprintf(line + length, STORY_LINE_BYTES - (size_t)length,
				 " and the first %" PRIu32 " sectors of the next", finding->sector);
	length += snprintf(line + length, STORY_LINE_BYTES - (size_t)length, " are on disk");
	if (strcmp(finding->model, "reorder") == 0)
		tell_lost_list(line, (size_t)length, teller);
}
