// SPDX-License-Identifier: MIT
/** A run as a space-time diagram, before anybody draws it: a lane for each actor, a column for each
 * moment, and what lies where. */
#ifndef WORKLOADS_CLI_CHART_H
#define WORKLOADS_CLI_CHART_H

#include "traces/trace.h"
#include "workloads/cli/actors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	/** More moments than these are not drawn; those next to the crash are kept. */
	CHART_COLUMNS_MAX = 1500,
	/** So many fit on paper. */
	CHART_COLUMNS_PRINTED = 60,
	/** Of those drawn one in so many may lie behind the crash. */
	CHART_COLUMNS_BEHIND = 6,
};

#define CHART_NOWHERE SIZE_MAX

struct chart_lane {
	uint32_t actor;
	char name[ACTOR_NAME_BYTES];
	unsigned request_rows; /* how many of its requests overlap, at most */
};

enum chart_span_kind {
	/** The actor runs, and nobody else. */
	CHART_RUNNING,
	/** It waits for a lock, sleeps in a queue. */
	CHART_WAITING,
	/** It has what another actor, whose wait the event is, waits for; as far as the trace says
	 * it: who has it when the wait begins. */
	CHART_OWNING,
	/** A request is under way. */
	CHART_REQUEST,
	/** A call on a file is under way. */
	CHART_IO,
};

/** Something that lasts, on a lane. */
struct chart_span {
	enum chart_span_kind kind;
	size_t lane;
	size_t first, last; /* columns, both included */
	size_t event;       /* that began it */
	unsigned row;       /* CHART_REQUEST: which row of the lane, from 0 */
	bool is_open;       /* it did not end in this run */
};

/** A moment: one event, or a call on a file that was submitted, took effect and completed without
 * anything between. */
struct chart_mark {
	size_t event; /* of a call on a file that of its effect, where there is one */
	size_t lane;
	uint64_t operation; /* the number of this operation on the image; 0: it is none */
};

/** Zero-initialised: empty. Indices are stable; everything owned. */
struct chart {
	struct chart_lane *lanes; /* in the order in which they first act; nothing lies on others */
	size_t lane_count, lane_capacity;
	struct chart_span *spans; /* in the order in which they begin */
	size_t span_count, span_capacity;
	struct chart_mark *marks; /* one a column */
	size_t mark_count, mark_capacity;
	size_t crash_column;     /* the crash falls before this column; CHART_NOWHERE: nowhere */
	size_t columns_left_out; /* at the beginning */
	size_t columns_behind;   /* and at the end */
};

/** Read `trace`, with the crash of `finding` (may be NULL), at most `columns_max` columns of it.
 * Release with chart_release(). */
void chart_read(struct chart *chart, const struct trace *trace, const struct trace_finding *finding,
		size_t columns_max);
void chart_release(struct chart *chart);

#endif
