// SPDX-License-Identifier: MIT
/** The requests of a tool that has none: what it may do to the guest's data, going by the image as
 * it was and as it became. */
#ifndef WORKLOADS_CLI_GUEST_LOG_H
#define WORKLOADS_CLI_GUEST_LOG_H

#include "traces/trace.h"

#include <stdbool.h>

/** What is expected of the guest's data in every crash state of a recording without requests. */
enum guest_expectation {
	/** Nothing: contents are not judged. */
	GUEST_UNJUDGED,
	/** As they were before. */
	GUEST_UNCHANGED,
	/** Each sector as before, or as in the end. */
	GUEST_OLD_OR_NEW,
};

/** "unchanged", "old-or-new". False: another word. */
bool guest_expectation_parse(const char *name, enum guest_expectation *expectation);

/** Fill `log` (initialised, empty) with the events of `trace`, and with requests around them that
 * say what is expected of the image that is file 0. STATUS_UNSUPPORTED: it, or what it became,
 * cannot be read. STATUS_BAD_INPUT: the recording has requests of its own. */
MUST_USE enum status guest_log_make(struct event_log *log, const struct trace *trace,
				    enum guest_expectation expectation, struct why *why);

#endif
