// SPDX-License-Identifier: MIT
/* cow-complete, old-or-new, flush-durable: every sector that the guest would read after a crash
 * holds a value that it may hold (value.c).
 *
 * One comparison serves all three rules; they differ in what is wrong. A value of the sector's own
 * past that was overridden by something flushed: flush-durable. A value that belongs elsewhere, or
 * half of one and half of another: old-or-new. A mapped cluster with bytes that nobody ever wrote
 * there: cow-complete, the L2 entry was linked before its copy-on-write was done.
 *
 * A finding that the lax form of old-or-new would not make has a place of its own, so that it hides
 * none that both forms make.
 *
 * Only what a transition touched is compared. The one place where that could be as large as the
 * disk is a range in which nothing is mapped: there the guest reads zeros or the backing file, and
 * that can only be wrong where a request wrote data, or where the initial image or a backing file
 * is not a hole (everywhere else zeros stand where zeros are allowed); so only these places are
 * visited. */
#include "oracle/judge_state.h"

#include <inttypes.h>
#include <stdio.h>

enum {
	/* Clusters compared in one transition; more than any sane run asks for. */
	CLUSTERS_MAX = 1 << 20,
	/* Shorter ranges without a mapping are compared sector by sector. */
	DENSE_BYTES = 64 * 1024,
};

/** A run of bad sectors in one guest cluster. */
struct bad_run {
	enum value_verdict verdict;
	uint64_t from, to; /* guest bytes; empty: none */
	bool is_unreadable;
	uint8_t sample[SECTOR_BYTES]; /* contents of the first, unless it cannot be read */
};

static uint64_t bits_of(const struct judge *judge)
{
	return judge->live.header.cluster_bits;
}

static const uint8_t *mapped_sector(struct judge *judge, const struct mapping *mapping,
				    uint64_t guest_offset)
{
	uint64_t in_cluster = guest_offset & ((UINT64_C(1) << bits_of(judge)) - 1);
	struct image_source source = sectors_source(&judge->live.sectors);
	const uint8_t *plain;

	switch (mapping->kind) {
	case MAPPING_BACKING: return layers_sector(&judge->layers, 1, guest_offset);
	case MAPPING_ZERO: return zero_sector;
	case MAPPING_NORMAL:
		return sectors_at(&judge->live.sectors,
				  (mapping->host_offset + in_cluster) / SECTOR_BYTES);
	case MAPPING_COMPRESSED: break;
	}
	plain = inflater_cluster(judge->inflater, &source, mapping, (size_t)1 << bits_of(judge));
	return plain == NULL ? NULL : plain + in_cluster;
}

/** "L1 entry 1, L2 entry 3 (guest 0x43000)" */
static void name_entry(const struct judge *judge, char *text, size_t text_bytes, const char *where,
		       uint64_t guest_offset)
{
	uint64_t cluster = guest_offset >> bits_of(judge);
	uint64_t l2_bits = judge->live.header.l2_bits;
	uint64_t l1_index = cluster >> l2_bits;
	uint64_t l2_index = cluster & ((UINT64_C(1) << l2_bits) - 1);
	char l1_entry[40] = "";

	if (l1_index > 0)
		snprintf(l1_entry, sizeof(l1_entry), "L1 entry %" PRIu64 ", ", l1_index);
	snprintf(text, text_bytes, "%s%sL2 entry %" PRIu64 " (guest 0x%" PRIx64 ")", where,
		 l1_entry, l2_index, cluster << bits_of(judge));
}

static void name_mapping(char *text, size_t text_bytes, const struct mapping *mapping)
{
	switch (mapping->kind) {
	case MAPPING_BACKING: snprintf(text, text_bytes, "is unallocated, so that"); return;
	case MAPPING_ZERO: snprintf(text, text_bytes, "reads as zeros, so that"); return;
	case MAPPING_NORMAL:
		snprintf(text, text_bytes, "points to host cluster 0x%" PRIx64 " whose",
			 mapping->host_offset);
		return;
	case MAPPING_COMPRESSED:
		snprintf(text, text_bytes, "points to compressed data at host 0x%" PRIx64 " whose",
			 mapping->host_offset);
		return;
	}
}

static enum rule rule_of(const struct view *view, const struct bad_run *bad,
			 const struct mapping *mapping, bool is_elsewhere)
{
	if (view->is_read)
		return view->rule;
	if (bad->verdict == VALUE_OVERRIDDEN)
		return RULE_FLUSH_DURABLE;
	if (bad->verdict == VALUE_MIXED)
		return RULE_OLD_OR_NEW;
	return mapping->kind == MAPPING_NORMAL && !is_elsewhere ? RULE_COW_COMPLETE
								: RULE_OLD_OR_NEW;
}

static void report(struct judge *judge, const struct view *view, const struct mapping *mapping,
		   const struct bad_run *bad)
{
	uint64_t in_cluster = (UINT64_C(1) << bits_of(judge)) - 1;
	char entry[128];
	char target[80];
	char holds[80] = VALUE_MIXTURE;
	const char *where = view->snapshot != NULL ? "in the new snapshot, " : "";
	bool is_elsewhere =
		bad->verdict == VALUE_STRANGE &&
		value_describe(judge, holds, sizeof(holds), bad->from / SECTOR_BYTES * SECTOR_BYTES,
			       bad->is_unreadable ? NULL : bad->sample);
	struct verdict verdict = { .rule = rule_of(view, bad, mapping, is_elsewhere),
				   .severity = SEVERITY_CORRUPTION,
				   .strict_only = bad->verdict == VALUE_MIXED,
				   .guest_offset = bad->from,
				   .guest_place = bad->from & ~in_cluster,
				   .host_offset = NOWHERE };
	uint64_t place = verdict.guest_place | (verdict.strict_only ? PLACE_STRICT_ONLY : 0);

	if (!findings_wants(&judge->findings, verdict.rule, place))
		return;
	if (mapping->kind == MAPPING_NORMAL)
		verdict.host_offset = mapping->host_offset + (bad->from & in_cluster);
	if (verdict.rule == RULE_ERROR_CONTAINED)
		where = "after an error, ";
	name_entry(judge, entry, sizeof(entry), where, bad->from);
	name_mapping(target, sizeof(target), mapping);
	if (bad->verdict == VALUE_OVERRIDDEN)
		findings_add(&judge->findings, place, &verdict,
			     "%s %s sectors %" PRIu64 "..%" PRIu64
			     " hold an older value although %s",
			     entry, target, (bad->from & in_cluster) / SECTOR_BYTES,
			     ((bad->to - 1) & in_cluster) / SECTOR_BYTES,
			     view->is_read ? "a later request was acknowledged"
					   : "a later request was acknowledged and flushed");
	else
		findings_add(&judge->findings, place, &verdict,
			     "%s %s sectors %" PRIu64 "..%" PRIu64
			     " hold neither the previous content nor any request's data (%s)",
			     entry, target, (bad->from & in_cluster) / SECTOR_BYTES,
			     ((bad->to - 1) & in_cluster) / SECTOR_BYTES, holds);
}

static void report_run(struct judge *judge, const struct view *view, const struct mapping *mapping,
		       struct bad_run *bad)
{
	if (bad->from == bad->to)
		return;
	judge_recheck(judge, (struct recheck){ .kind = RECHECK_GUEST,
					       .place = bad->from,
					       .bytes = bad->to - bad->from });
	report(judge, view, mapping, bad);
	bad->from = bad->to;
}

/** Judge the part [from, to) of one sector of a guest cluster. `sector` (NULL: cannot be read) may
 * be borrowed from an inflated cluster, which the comparison may replace: hence the copy. */
static enum value_verdict check_sector(struct judge *judge, const struct view *view,
				       struct guest_range part, enum mapping_kind kind,
				       const uint8_t **sector, uint8_t copy[SECTOR_BYTES])
{
	uint64_t start = part.guest_offset / SECTOR_BYTES * SECTOR_BYTES;

	if (*sector == NULL)
		return value_initial(judge, start) == NULL ? VALUE_FINE : VALUE_STRANGE;
	if (kind == MAPPING_COMPRESSED || kind == MAPPING_BACKING)
		*sector = memcpy(copy, *sector, SECTOR_BYTES);
	return value_check(judge, view, part.guest_offset, part.guest_offset + part.bytes, *sector);
}

/** Judge the part [from, to) of one guest cluster. */
static void check_cluster(struct judge *judge, const struct view *view, uint64_t from, uint64_t to)
{
	uint64_t entry = live_l2_entry(&judge->live, view->snapshot, from >> bits_of(judge), NULL);
	struct mapping mapping = mapping_decode(&judge->live.header, entry);
	uint8_t copy[SECTOR_BYTES];
	struct bad_run bad;

	bad.verdict = VALUE_FINE;
	bad.from = bad.to = from;
	while (from < to) {
		uint64_t start = from / SECTOR_BYTES * SECTOR_BYTES;
		uint64_t end = start + SECTOR_BYTES < to ? start + SECTOR_BYTES : to;
		const uint8_t *sector = mapped_sector(judge, &mapping, start);
		enum value_verdict verdict =
			check_sector(judge, view, (struct guest_range){ from, end - from },
				     mapping.kind, &sector, copy);

		if (verdict == VALUE_FINE || bad.verdict != verdict)
			report_run(judge, view, &mapping, &bad);
		if (verdict != VALUE_FINE) {
			if (bad.from == bad.to) {
				bad.verdict = verdict;
				bad.from = from;
				bad.is_unreadable = sector == NULL;
				if (sector != NULL)
					memcpy(bad.sample, sector, SECTOR_BYTES);
			}
			bad.to = end;
		}
		from = end;
	}
	report_run(judge, view, &mapping, &bad);
}

/** Judge [from, to), cluster by cluster, as far as the budget goes. */
static void check_clusters(struct judge *judge, const struct view *view, uint64_t from, uint64_t to,
			   uint64_t *budget)
{
	while (from < to) {
		uint64_t end = ((from >> bits_of(judge)) + 1) << bits_of(judge);

		if (*budget == 0) {
			journal_set(&judge->journal, &judge->gave_up, 1);
			return;
		}
		*budget -= 1;
		if (end > to)
			end = to;
		check_cluster(judge, view, from, end);
		from = end;
	}
}

/** Judge [from, to), where nothing is mapped. */
static void check_holes(struct judge *judge, const struct view *view, uint64_t from, uint64_t to,
			uint64_t *budget)
{
	if (to - from <= DENSE_BYTES) {
		check_clusters(judge, view, from, to, budget);
		return;
	}
	for (uint64_t i = 0; i < judge->history.count; i++) {
		const struct request *request = history_request(&judge->history, i);
		uint64_t start = request->from > from ? request->from : from;
		uint64_t end = request->to < to ? request->to : to;

		if ((request->op == REQUEST_WRITE || request->op == REQUEST_SNAPSHOT_APPLY) &&
		    start < end)
			check_clusters(judge, view, start, end, budget);
	}
	for (uint64_t at = from; *budget > 0 && layers_next_data(&judge->layers, 0, &at, to);) {
		uint64_t end = (at / GUEST_PAGE_BYTES + 1) * GUEST_PAGE_BYTES;

		check_clusters(judge, view, at, end < to ? end : to, budget);
		at = end;
	}
}

/** Does the guest cluster read from the backing file, or as zeros? */
static bool is_hole(struct judge *judge, const struct view *view, uint64_t guest_cluster)
{
	uint64_t entry = live_l2_entry(&judge->live, view->snapshot, guest_cluster, NULL);
	enum mapping_kind kind = mapping_decode(&judge->live.header, entry).kind;

	return kind == MAPPING_BACKING || kind == MAPPING_ZERO;
}

/** Is there an L2 table for the guest cluster? */
static bool has_table(struct judge *judge, const struct view *view, uint64_t guest_cluster)
{
	uint64_t entry_offset;

	live_l2_entry(&judge->live, view->snapshot, guest_cluster, &entry_offset);
	return entry_offset != 0;
}

/** Is the L2 sector that maps the guest cluster all zeros? */
static bool is_empty_sector(struct judge *judge, const struct view *view, uint64_t guest_cluster)
{
	uint64_t entry_offset;

	live_l2_entry(&judge->live, view->snapshot, guest_cluster, &entry_offset);
	return sectors_at(&judge->live.sectors, entry_offset / SECTOR_BYTES) == zero_sector;
}

/** Where the run of clusters that map nothing ends which begins at `from`; `from` itself when that
 * one is mapped. */
static uint64_t holes_end(struct judge *judge, const struct view *view, uint64_t from, uint64_t to)
{
	uint64_t l2_bits = judge->live.header.l2_bits;
	uint64_t entries =
		view->snapshot == NULL ? judge->live.header.l1_entries : view->snapshot->l1_entries;
	uint64_t end = entries << l2_bits;
	uint64_t at = from >> bits_of(judge);

	while (at < end && at << bits_of(judge) < to) {
		if (!has_table(judge, view, at))
			at = ((at >> l2_bits) + 1) << l2_bits;
		else if (is_empty_sector(judge, view, at))
			at = (at | (SECTOR_ENTRIES - 1)) + 1;
		else if (is_hole(judge, view, at))
			at++;
		else
			break;
	}
	if (at >= end || at << bits_of(judge) >= to)
		return to;
	return at << bits_of(judge) > from ? at << bits_of(judge) : from;
}

void rule_content_range(struct judge *judge, const struct view *view, uint64_t from, uint64_t to)
{
	uint64_t budget = CLUSTERS_MAX;

	if (to > judge->live.header.size_bytes)
		to = judge->live.header.size_bytes;
	while (from < to && budget > 0) {
		uint64_t end = holes_end(judge, view, from, to);

		if (end > from) {
			check_holes(judge, view, from, end, &budget);
		} else {
			end = ((from >> bits_of(judge)) + 1) << bits_of(judge);
			end = end < to ? end : to;
			check_clusters(judge, view, from, end, &budget);
		}
		from = end;
	}
}

void rule_content_hold(struct judge *judge, struct request *request,
		       const struct image_snapshot *snapshot)
{
	enum { HELD_BYTES_MAX = 16 << 20 };
	size_t sectors = (size_t)((request->to < HELD_BYTES_MAX ? request->to : HELD_BYTES_MAX) +
				  SECTOR_BYTES - 1) /
			 SECTOR_BYTES;
	size_t bytes = sectors * SECTOR_BYTES;
	uint8_t *held = request_hold(request, bytes);

	for (uint64_t at = 0; at < bytes; at += SECTOR_BYTES) {
		uint64_t entry = live_l2_entry(&judge->live, snapshot, at >> bits_of(judge), NULL);
		struct mapping mapping = mapping_decode(&judge->live.header, entry);
		const uint8_t *sector = mapped_sector(judge, &mapping, at);

		if (sector == NULL) {
			request->held_bytes = (size_t)at;
			return;
		}
		memcpy(held + at, sector, SECTOR_BYTES);
	}
}

void rule_content(struct judge *judge)
{
	struct view crash = { .is_read = false };
	const struct live_work *work = &judge->live.work;

	if (judge_content_skipped(judge) != NULL)
		return;
	if (work->whole_guest) {
		rule_content_range(judge, &crash, 0, judge->live.header.size_bytes);
		return;
	}
	for (size_t i = 0; i < work->guest_count; i++)
		rule_content_range(judge, &crash, work->guests[i].guest_offset,
				   work->guests[i].guest_offset + work->guests[i].bytes);
}
