// SPDX-License-Identifier: MIT
/* opens: the header parses, its tables lie in the file, the corrupt bit is not set, and what it
 * says of the disk (size, backing file) is something that somebody asked for. */
#include "oracle/judge_state.h"

#include <inttypes.h>
#include <stdio.h>

/* Places of verdicts on the header; a header_problem is its own place. */
enum { PLACE_SIZE = 100, PLACE_BACKING, PLACE_L1_OUTSIDE, PLACE_REFTABLE_OUTSIDE };

static bool report(struct judge *judge, uint64_t place)
{
	judge_recheck(judge, (struct recheck){ .kind = RECHECK_HEADER });
	return findings_wants(&judge->findings, RULE_OPENS, place);
}

static const struct verdict corruption = { .rule = RULE_OPENS,
					   .severity = SEVERITY_CORRUPTION,
					   .guest_offset = NOWHERE,
					   .host_offset = 0 };

static bool same_sectors(uint64_t a, uint64_t b)
{
	return (a + SECTOR_BYTES - 1) / SECTOR_BYTES == (b + SECTOR_BYTES - 1) / SECTOR_BYTES;
}

/** May the disk have this size: initial, or that of a truncate which was not overridden? Sizes are
 * compared as the sectors that hold them. */
static bool size_is_allowed(const struct judge *judge, uint64_t size)
{
	const struct history *history = &judge->history;

	if (same_sectors(size, history->initial_bytes))
		return true;
	for (uint64_t i = 0; i < history->count; i++) {
		const struct request *request = history_request(history, i);

		if (request->op == REQUEST_TRUNCATE && same_sectors(size, request->from))
			return true;
	}
	return false;
}

/** The promised truncate that was asked for when a version of the size had completed before `end`
 * (NEVER: it has not); NULL: none. */
static const struct request *overriding(const struct judge *judge, uint64_t end)
{
	const struct request *found = NULL;

	for (uint64_t i = 0; end != NEVER && i < judge->history.count; i++) {
		const struct request *d = history_request(&judge->history, i);

		if (d->op == REQUEST_TRUNCATE && d->durable != NEVER && d->invoked >= end &&
		    (found == NULL || d->id > found->id))
			found = d;
	}
	return found;
}

/** The promised size that `size` is too old for: a truncate that must have happened, and came
 * after everything that gave the disk this size. NULL: none. */
static const struct request *newer_size(const struct judge *judge, uint64_t size)
{
	const struct history *history = &judge->history;
	const struct request *newer = NULL;

	if (same_sectors(size, history->initial_bytes)) {
		newer = overriding(judge, 0);
		if (newer == NULL)
			return NULL;
	}
	for (uint64_t i = 0; i < history->count; i++) {
		const struct request *w = history_request(history, i);

		if (w->op != REQUEST_TRUNCATE || !same_sectors(size, w->from))
			continue;
		newer = overriding(judge, w->completed == NEVER ? NEVER : w->completed + 1);
		if (newer == NULL)
			return NULL;
	}
	return newer;
}

static void check_size(struct judge *judge)
{
	uint64_t size = judge->live.header.size_bytes;
	const struct request *promised;
	struct verdict lost = corruption;

	if (!size_is_allowed(judge, size) && report(judge, PLACE_SIZE))
		findings_add(&judge->findings, PLACE_SIZE, &corruption,
			     "the header gives the disk %" PRIu64
			     " bytes, which no request asked for",
			     size);
	promised = newer_size(judge, size);
	if (promised == NULL)
		return;
	lost.rule = RULE_FLUSH_DURABLE;
	lost.request = promised->id;
	judge_recheck(judge, (struct recheck){ .kind = RECHECK_HEADER });
	findings_add(&judge->findings, NOWHERE, &lost,
		     "the header gives the disk %" PRIu64 " bytes although a truncate to %" PRIu64
		     " was acknowledged and flushed",
		     size, promised->from);
}

static void check_table(struct judge *judge, uint64_t place, const char *name, uint64_t start,
			uint64_t bytes)
{
	uint64_t in_cluster = (UINT64_C(1) << judge->live.header.cluster_bits) - 1;
	uint64_t file_end = (judge->live.sectors.file_bytes + in_cluster) & ~in_cluster;

	if (start + bytes > file_end && report(judge, place))
		findings_add(&judge->findings, place, &corruption,
			     "the %s at host 0x%" PRIx64
			     " runs beyond the end of the file (0x%" PRIx64 ")",
			     name, start, judge->live.sectors.file_bytes);
}

void rule_opens(struct judge *judge)
{
	const struct image_header *header = &judge->live.header;

	if (!judge->live.work.header)
		return;
	if (header->problem != HEADER_GOOD && report(judge, header->problem))
		findings_add(&judge->findings, header->problem, &corruption,
			     "the image does not open: %s",
			     header_problem_text((enum header_problem)header->problem));
	if (!header->readable)
		return;
	check_table(judge, PLACE_L1_OUTSIDE, "L1 table", header->l1_offset, 8 * header->l1_entries);
	check_table(judge, PLACE_REFTABLE_OUTSIDE, "refcount table", header->reftable_offset,
		    8 * header->reftable_entries);
	if (judge->history.count == 0 || !judge->initial.readable)
		return;
	check_size(judge);
	if ((header->has_backing != judge->initial.has_backing ||
	     header->backing_hash != judge->initial.backing_hash) &&
	    report(judge, PLACE_BACKING))
		findings_add(&judge->findings, PLACE_BACKING, &corruption,
			     "the header names another backing file than before the run");
}
