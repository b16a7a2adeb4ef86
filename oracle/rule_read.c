// SPDX-License-Identifier: MIT
/* read-linearizable: what a read returned is, sector by sector, a value that some legal order of
 * the overlapping requests allows. The order of values is value.c's; this file cuts the answer into
 * sectors. The contents after a clean close are judged as one more read, of everything that any
 * request touched. Where something failed, the verdict is rule_contained.c's. */
#include "oracle/judge_state.h"

#include <inttypes.h>
#include <stdio.h>

static void report(struct judge *judge, const struct request *read, uint64_t guest_offset,
		   enum value_verdict value, const uint8_t *sector)
{
	uint64_t start = guest_offset / SECTOR_BYTES * SECTOR_BYTES;
	char holds[80] = "an older value, although a later one had been acknowledged or read";
	bool is_contained =
		rule_contained_covers(judge, guest_offset, guest_offset + 1, read->invoked);
	struct verdict verdict = { .rule = is_contained ? RULE_ERROR_CONTAINED
							: RULE_READ_LINEARIZABLE,
				   .severity = SEVERITY_CORRUPTION,
				   .request = read->id,
				   .guest_offset = guest_offset,
				   .guest_place = guest_offset,
				   .host_offset = NOWHERE };

	if (!findings_wants(&judge->findings, verdict.rule, read->id))
		return;
	if (value == VALUE_STRANGE)
		value_describe(judge, holds, sizeof(holds), start, sector);
	findings_add(&judge->findings, read->id, &verdict,
		     "read request %" PRIu32 " returned at guest 0x%" PRIx64
		     "%s what no order of the requests allows: %s",
		     read->id, guest_offset, is_contained ? ", where a request had failed," : "",
		     holds);
}

void rule_read(struct judge *judge, const struct request *read)
{
	struct view view = { .is_read = true,
			     .invoked = read->invoked,
			     .rule = RULE_READ_LINEARIZABLE };
	uint64_t at = read->from;
	uint64_t to = read->to;

	if (read->op != REQUEST_READ || read->failed != 0 || judge_content_skipped(judge) != NULL)
		return;
	if (to - at > read->answer_bytes)
		to = at + read->answer_bytes;
	while (at < to) {
		uint64_t start = at / SECTOR_BYTES * SECTOR_BYTES;
		uint64_t end = start + SECTOR_BYTES < to ? start + SECTOR_BYTES : to;
		uint8_t sector[SECTOR_BYTES] = { 0 };
		enum value_verdict value;

		memcpy(sector + (at - start),
		       judge_log_bytes(judge, read->answer_start + (at - read->from)), end - at);
		value = value_check(judge, &view, at, end, sector);
		if (value != VALUE_FINE) {
			report(judge, read, at, value, sector);
			return;
		}
		at = end;
	}
}

void rule_final(struct judge *judge)
{
	struct view view = { .is_read = true,
			     .invoked = NEVER - 1,
			     .rule = rule_contained_at_end(judge) };

	if (judge_content_skipped(judge) != NULL || judge->history.closed == 0)
		return;
	for (uint64_t i = 0; i < judge->history.count; i++) {
		const struct request *request = history_request(&judge->history, i);

		if (request_changes(request) || request->op == REQUEST_READ)
			rule_content_range(judge, &view, request->from, request->to);
	}
}
