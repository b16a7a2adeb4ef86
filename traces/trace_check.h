// SPDX-License-Identifier: MIT
/** What has to hold in a trace. The reader refuses a file, and the writer a trace, that breaks it:
 *  whatever is written can be read, and whatever was read needs no second look. */
#ifndef TRACES_TRACE_CHECK_H
#define TRACES_TRACE_CHECK_H

#include "traces/trace.h"

/** What is wrong with `event`, given the files and stacks that `trace` has so far; NULL: nothing.
 *  A literal. */
const char *trace_event_problem(const struct trace *trace, const struct event *event);

/** What is wrong with one step of a schedule; NULL: nothing. A literal. */
const char *trace_step_problem(const struct schedule_step *step);

/** What is wrong with a file's own fields; NULL: nothing. A literal. */
const char *trace_file_problem(uint64_t format, uint64_t backing, uint64_t size);

/** What is wrong with the backing chains, once all files are known; NULL: nothing. A literal. */
const char *trace_backing_problem(const struct trace *trace);

/** What is wrong with a stack, given the modules that `trace` has so far; NULL: nothing. A
 *  literal. */
const char *trace_stack_problem(const struct trace *trace, const struct trace_stack *stack);

/** Check everything. STATUS_CORRUPT says what is wrong; `name` is used in the message. */
MUST_USE enum status trace_check(const struct trace *trace, const char *name, struct why *why);

#endif
