// SPDX-License-Identifier: MIT
/** Who acts in a run, by name. */
#ifndef WORKLOADS_CLI_ACTORS_H
#define WORKLOADS_CLI_ACTORS_H

#include "traces/event.h"

enum { ACTOR_NAME_BYTES = 48 };

/** The name that `actor` had when it first ran; "task 3" when it has none, "thread 3" in a
 * program whose calls were ordered, where nobody has. Returns `name`, a buffer
 * of ACTOR_NAME_BYTES. */
const char *actor_name(char *name, const struct event_log *log, uint32_t actor);

/** The text that `event` holds, cut when too long; unprintable bytes become spaces. */
void event_text(char *text, size_t text_bytes, const struct event_log *log,
		const struct event *event);

#endif
