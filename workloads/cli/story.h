// SPDX-License-Identifier: MIT
/** The story of a run: who did what in which order, where the crash falls, what is wrong then; in
 * qcow2 words, about a dozen lines. */
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
	char text[STORY_LINE_BYTES];
};

/** The lines of a run, in its order. Zero-initialised: none. */
struct story {
	struct story_line *lines; /* owned */
	size_t count;
};

/** Read `trace`; with `finding` (may be NULL) up to its crash, and what belongs to its guest
 * cluster matters more. Release with story_release(). */
void story_read(struct story *story, const struct trace *trace,
		const struct trace_finding *finding);
void story_release(struct story *story);

/** Does a crash belong to it (or is something wrong without one)? NULL: no. */
bool finding_has_crash(const struct trace_finding *finding);

/** Where the crash of `finding` falls, in a sentence without an end. Returns `line`, a buffer of
 * STORY_LINE_BYTES; NULL: there is no crash. */
const char *story_crash(char *line, const struct trace_finding *finding);

/** Tell `trace`; with `finding` (may be NULL) up to its crash, ending in what is wrong. Gives a
 * string for free(). */
char *story_tell(const struct trace *trace, const struct trace_finding *finding);

#endif
