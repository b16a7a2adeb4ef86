// SPDX-License-Identifier: MIT
/** Is a rule broken yet? Asked again and again while a run goes on. */
#ifndef WORKLOADS_LOOK_H
#define WORKLOADS_LOOK_H

#include "oracle/judge.h"

#include <stdbool.h>
#include <stddef.h>

/** What is looked for. */
struct look_options {
	enum rule rule;
	enum severity severity;
	unsigned models;       /* set of crash_model bits */
	uint32_t sector_bytes; /* 0: 512 */
	bool lax;              /* what only the strict form of old-or-new forbids does not count */
};

struct look {
	struct look_options options;
	struct judge *judge;  /* owned */
	size_t judged_events; /* of the log in hand */
};

/** Look at runs that start from `files` (borrowed). Fails as judge_new() does. Release in any case.
 */
MUST_USE enum status look_init(struct look *look, const struct trace_file *files, size_t file_count,
			       const struct look_options *options, struct why *why);
void look_release(struct look *look);

/** Another run begins. */
void look_begin(struct look *look);

/** Is the rule broken by what is in `log`, which only grew since the last look at it? */
bool look_sees(struct look *look, const struct event_log *log);

#endif
