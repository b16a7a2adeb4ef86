// SPDX-License-Identifier: MIT
#include "workloads/cli/actors.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void event_text(char *text, size_t text_bytes, const struct event_log *log,
		const struct event *event)
{
	size_t bytes = event->data_bytes < text_bytes ? event->data_bytes : text_bytes - 1;
	if (bytes)
		memcpy(text, event_data(log, event), bytes);
	text[bytes] = 0;
	for (size_t i = 0; i < bytes; i++)
		if (text[i] < ' ' || text[i] > '~')
			text[i] = ' ';
}

const char *actor_name(char *name, const struct event_log *log, uint32_t actor)
{
	bool has_tasks = false, has_choices = false;
	for (size_t i = 0; i < log->count; i++) {
		const struct event *event = &log->events[i];
		has_tasks |= event->kind == EVENT_SWITCH;
		has_choices |= event->kind == EVENT_CHOICE;
		if (event->kind != EVENT_SWITCH || event->actor != actor || !event->data_bytes)
			continue;
		event_text(name, ACTOR_NAME_BYTES, log, event);
		return name;
	}
	snprintf(name, ACTOR_NAME_BYTES, "%s %" PRIu32,
		 has_choices && !has_tasks ? "thread" : "task", actor);
	return name;
}
