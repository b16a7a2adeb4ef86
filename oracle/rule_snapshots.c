// SPDX-License-Identifier: MIT
/* old-or-new, for internal snapshots: as long as the snapshot table lists a snapshot that was there
 * before the run, or whose creation was answered, the clusters and table entries that it
 * reaches keep what they hold. COPIED bits in shared tables may change. */
#include "oracle/judge_state.h"

#include <inttypes.h>
#include <stdio.h>

static void report(struct judge *judge, uint64_t sector_index)
{
	uint64_t bits = judge->live.header.cluster_bits;
	uint64_t host_offset = sector_index * SECTOR_BYTES;
	const struct cluster *cluster = live_cluster(&judge->live, host_offset >> bits);
	uint64_t place = host_offset >> bits << bits | 1;
	struct verdict verdict = { .rule = RULE_OLD_OR_NEW,
				   .severity = SEVERITY_CORRUPTION,
				   .guest_offset = NOWHERE,
				   .host_offset = host_offset };

	if (cluster == NULL || (cluster->frozen & judge->live.alive) == 0)
		return;
	judge_recheck(judge, (struct recheck){ .kind = RECHECK_FROZEN, .place = sector_index });
	findings_add(
		&judge->findings, place, &verdict,
		"host sector 0x%" PRIx64
		" belongs to the internal snapshot with its L1 table at 0x%" PRIx64
		" and was changed",
		host_offset,
		judge->live.frozen[__builtin_ctzll(cluster->frozen & judge->live.alive)].l1_offset);
}

void rule_snapshots(struct judge *judge)
{
	for (size_t i = 0; i < judge->live.work.frozen_count; i++)
		report(judge, judge->live.work.frozen[i]);
}

void rule_new_snapshot(struct judge *judge, const struct request *request)
{
	struct view view = { .is_read = true,
			     .invoked = request->invoked,
			     .rule = RULE_FLUSH_DURABLE };
	uint64_t first = judge->live.frozen_count;

	/* One whose creation failed may be there all the same; nobody knows what it must hold. */
	live_freeze_snapshots(&judge->live);
	if (request->failed != 0 || judge_content_skipped(judge) != NULL)
		return;
	for (uint64_t k = first; k < judge->live.frozen_count; k++)
		for (uint64_t i = 0; i < judge->history.count; i++) {
			const struct request *other = history_request(&judge->history, i);

			view.snapshot = &judge->live.frozen[k];
			if (request_changes(other))
				rule_content_range(judge, &view, other->from, other->to);
		}
}
