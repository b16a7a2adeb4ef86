// SPDX-License-Identifier: MIT
/** The story of a run: who did what in which order, where the crash falls, what is wrong then; in
 * qcow2 words, about a dozen lines, three of which matter most. */
#ifndef WORKLOADS_CLI_STORY_H
#define WORKLOADS_CLI_STORY_H

#include "traces/trace.h"

#include <stdbool.h>
#include <stddef.h>

enum { STORY_LINE_BYTES = 400 };

/** What one event says to a reader. */
struct story_line {
	size_t event; /* index in the log */
	bool is_main; /* one of the few that tell the story; the others are smaller steps */
	bool is_key;  /* one of the three that matter most */
	bool is_late; /* behind the crash: what should have come before it; the last of all */
	char text[STORY_LINE_BYTES];
};

/** The lines of a run, in its order. Zero-initialised: none. */
struct story {
	struct story_line *lines; /* owned */
	size_t count;
	char crash[STORY_LINE_BYTES]; /* where the crash falls, a sentence without an end; "": none
				       */
};

/** Read `trace`; with `finding` (may be NULL) up to its crash, and what belongs to its guest
 * cluster matters more. Release with story_release(). */
void story_read(struct story *story, const struct trace *trace,
		const struct trace_finding *finding);
void story_release(struct story *story);

/** Does a crash belong to it (or is something wrong without one)? NULL: no. */
bool finding_has_crash(const struct trace_finding *finding);

/** Tell `trace`; with `finding` (may be NULL) up to its crash, ending in what is wrong. Each line
 * is indented by two letters, with a '>' where it is one that matters most. Gives a string for
 * free(). */
char *story_tell(const struct trace *trace, const struct trace_finding *finding);

#endif
