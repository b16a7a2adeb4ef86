// SPDX-License-Identifier: MIT
/* progress: the run came to its end, and every request was answered. A run that the search gave up,
 * or that left its schedule, says nothing. */
#include "oracle/judge_state.h"

#include <inttypes.h>
#include <stdio.h>

static const struct verdict stuck = { .rule = RULE_PROGRESS,
				      .severity = SEVERITY_CORRUPTION,
				      .guest_offset = NOWHERE,
				      .host_offset = NOWHERE };

static void check_answers(struct judge *judge)
{
	for (uint64_t i = 0; i < judge->history.count; i++) {
		const struct request *request = history_request(&judge->history, i);
		struct verdict verdict = stuck;

		if (request->completed != NEVER)
			continue;
		verdict.request = request->id;
		if (request->to > request->from)
			verdict.guest_offset = request->from;
		findings_add(&judge->findings, request->id, &verdict,
			     "%s request %" PRIu32 " was never answered",
			     request_op_name(request->op), request->id);
	}
}

/* How much of a report fits into a message: whole clauses, if it begins with one that fits. */
static int whole_clauses(const uint8_t *text, uint32_t bytes)
{
	enum { TEXT_BYTES_MAX = VERDICT_MESSAGE_BYTES - 40 };

	if (bytes <= TEXT_BYTES_MAX)
		return (int)bytes;
	for (int i = TEXT_BYTES_MAX; i > 0; i--)
		if (text[i] == ';')
			return i;
	return TEXT_BYTES_MAX;
}

void rule_progress(struct judge *judge, const struct event *end)
{
	const char *what = NULL;
	const uint8_t *text = event_data(judge->log, end);

	switch (end->op) {
	case RUN_FINISHED: check_answers(judge); return;
	case RUN_DEADLOCK: what = "the run stands still"; break;
	case RUN_LIVELOCK: what = "the run does not end"; break;
	case RUN_LEAKED: what = "the run left a coroutine behind"; break;
	case RUN_DIED: what = "the run died"; break;
	default: return;
	}
	if (text != NULL && end->data_bytes > 0)
		findings_add(&judge->findings, UINT64_MAX, &stuck, "%s: %.*s", what,
			     whole_clauses(text, end->data_bytes), (const char *)text);
	else
		findings_add(&judge->findings, UINT64_MAX, &stuck, "%s", what);
}
