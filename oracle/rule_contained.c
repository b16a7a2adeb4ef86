// SPDX-License-Identifier: MIT
/* error-contained: a request that failed leaves each of its sectors old or new and harms nothing
 * else; no acknowledged data is lost.
 *
 * Why: errors are where code is tried least, and what they break is often seen much later. A guest
 * that was told of an error knows which of its sectors are in doubt; of all others it knows
 * nothing.
 *
 * Crash states are judged by the other rules, whatever failed before: a version of a failed request
 * may be there or not. This rule speaks of what shows without a crash:
 *
 *   a read     returned bytes that no order of the requests allows, where a request had failed
 *              before the read was invoked (elsewhere that is read-linearizable)
 *   the end    the contents after a clean close are not what they may be, and something failed in
 *              the run: a call on a file, for an injected fault or by itself, or a request
 *   a flush    or a close was acknowledged although a flush of the file had failed before it was
 *              invoked. Linux forgets what it could not write, and the next flush succeeds; so
 *              after a failed one nobody knows what is durable, and saying so once is not enough
 *
 * EINTR is no failure: it asks for another try.
 *
 * Example: 'after an error, L2 entry 1 (guest 0x800) is unallocated, so that sectors 0..0 hold an
 * older value although a later request was acknowledged'. The write was acknowledged and its
 * allocation dropped when a neighbour's write failed.
 *
 * What a verdict depends on is ordered in every run of a class: a request that fails and one that
 * is invoked, because they overlap; a failed flush of the file and whatever is invoked, because the
 * injector says that they conflict. */
#include "oracle/judge_state.h"

#include <errno.h>
#include <inttypes.h>

bool judge_is_failure(const struct event *event)
{
	if (event->result >= 0 || event->result == -EINTR)
		return false;
	return event->kind == EVENT_IO_EFFECT || event->kind == EVENT_IO_COMPLETED ||
	       event->kind == EVENT_FAULT;
}

bool judge_is_failed_flush(const struct event *event)
{
	return event->kind == EVENT_IO_COMPLETED && event->op == IO_FLUSH && event->file == 0 &&
	       judge_is_failure(event);
}

void rule_contained_note_flush(struct judge *judge)
{
	struct history *history = &judge->history;

	if (history->flush_failed == 0)
		journal_set(&judge->journal, &history->flush_failed, 1 + history->now);
}

void rule_contained_flush(struct judge *judge, const struct request *flush)
{
	const struct history *history = &judge->history;
	const struct verdict verdict = { .rule = RULE_ERROR_CONTAINED,
					 .severity = SEVERITY_CORRUPTION,
					 .request = flush->id,
					 .guest_offset = NOWHERE,
					 .host_offset = NOWHERE };

	if (history->flush_failed == 0 || flush->invoked < history->flush_failed - 1)
		return;
	findings_add(&judge->findings, flush->id, &verdict,
		     "%s request %" PRIu32
		     " was acknowledged although a flush of the file had failed before it: what "
		     "was written until then may be lost",
		     request_op_name(flush->op), flush->id);
}

bool rule_contained_covers(const struct judge *judge, uint64_t from, uint64_t to, uint64_t invoked)
{
	const struct history *history = &judge->history;

	for (uint64_t i = 0; i < history->count; i++) {
		const struct request *request = history_request(history, i);

		if (request->failed != 0 && request_changes(request) &&
		    request->completed < invoked && request->from < to && from < request->to)
			return true;
	}
	return false;
}

enum rule rule_contained_at_end(const struct judge *judge)
{
	const struct event_log *log = judge->log;
	bool failed = false;

	/* What stands behind the end, in a log that nobody wrote so, is not of this run. */
	for (size_t i = 0; i < judge->findings.now.event && !failed; i++) {
		const struct event *event = &log->events[i];

		failed = judge_is_failure(event) ||
			 (event->kind == EVENT_REQUEST_COMPLETED && event->result < 0);
	}
	return failed ? RULE_ERROR_CONTAINED : RULE_READ_LINEARIZABLE;
}
