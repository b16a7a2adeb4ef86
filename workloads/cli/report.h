// SPDX-License-Identifier: MIT
/** How findings are written: as text, as JSON, as JUnit failures. */
#ifndef WORKLOADS_CLI_REPORT_H
#define WORKLOADS_CLI_REPORT_H

#include "traces/trace.h"
#include "workloads/cli/again.h"
#include "workloads/cli/commands.h"
#include "workloads/cli/json.h"
#include "workloads/cli/lazyfs_states.h"
#include "workloads/cli/survey.h"
#include "workloads/cli/sweep.h"

enum { REPORT_PLACE_BYTES = 64 };

/** One finding with its schedule (NULL: none) and trace file (NULL: none). All borrowed. */
struct report_item {
	struct trace_finding finding;
	const char *schedule;
	const char *trace_path;
	bool is_bare; /* of an image that nothing happened to: there is no crash to speak of */
};

/** An item that borrows from all three. */
struct report_item report_item_of(const struct verdict *verdict, const char *schedule,
				  const char *trace_path);

/** Two or three indented lines on stdout. */
void report_print(const struct report_item *item);

/** One object of a list. */
void report_json(struct json *json, const struct report_item *item);

/** Say which rules were not judged, and why: an array of RULE_COUNT reasons, NULL where judged. */
void report_print_skipped(const char *const *skipped);
void report_skipped_json(struct json *json, const char *const *skipped);

/** What --lax left out: a line, and the keys `lax` and `strict_only_left_out`. */
void report_print_left_out(size_t left_out);
void report_left_out_json(struct json *json, bool lax, size_t left_out);

/** How many reordered states were decided: a line, and the key `reorder_states_log10`. Neither says
 * anything of none. */
void report_print_decided(struct magnitude decided);
void report_decided_json(struct json *json, struct magnitude decided);

/** "after operation 12 and 3 sectors of the next", "without a crash". */
const char *report_place(char *place, const struct trace_finding *finding);

/** What `check` and `replay` found of a trace. */
struct report_findings {
	const char *command;
	const char *trace_path;
	const struct trace *trace;
	const struct settings *settings;
	const struct judgement *judgement;
	const struct survey *survey;        /* of a bare image; NULL: it is none */
	const struct lazyfs_states *states; /* only these were judged; NULL: every one */
	double elapsed_seconds;
};

/** Print them as text or, with --json, as one object; write --junit. EXIT_CLEAN, EXIT_VIOLATED, or
 * EXIT_BAD when the report could not be written. */
enum exit_code report_findings(const struct report_findings *findings,
			       const struct options *options);

#endif
