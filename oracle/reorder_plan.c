// SPDX-License-Identifier: MIT
/* A state under `reorder` is judged as any other: the image is made to be it, through the undo
 * journal, the rules look at it, and the journal puts the newest state back. So whatever is said of
 * it is true of it, however it was found.
 *
 * Then it is made small: each sector that holds an older version is given its newest one, for as
 * long as the same verdict shows without it. */
#include "oracle/heap.h"
#include "oracle/persist.h"
#include "oracle/reorder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool plan_add(struct judge *judge, struct plan *plan, struct cell *cell, uint64_t version)
{
	for (size_t i = 0; i < plan->count; i++)
		if (plan->picks[i].cell == cell)
			return plan->picks[i].version == version;
	if (cell->count == version + 1)
		return true;
	if (plan->count == PLAN_PICKS_MAX) {
		judge->reorder->undecided++;
		return false;
	}
	plan->picks[plan->count++] = (struct pick){ cell, version };
	return true;
}

void reorder_put(struct judge *judge, const struct cell *cell, uint64_t version)
{
	struct window *window = &judge->window;

	for (uint32_t i = 0; i < window->grain; i++) {
		uint64_t sector = cell->index * window->grain + i;
		sector_ref ref = window_ref(window, cell, version, sector);

		if (sector * SECTOR_BYTES >= judge->live.sectors.file_bytes &&
		    !is_external(sector * SECTOR_BYTES))
			ref = 0;
		if (sectors_ref(&judge->live.sectors, sector) != ref)
			live_set_sector(&judge->live, sector, ref);
	}
}

void reorder_put_size(struct judge *judge, uint64_t bytes)
{
	uint64_t first = (bytes + SECTOR_BYTES - 1) / SECTOR_BYTES;
	uint64_t end = judge->live.sectors.file_bytes / SECTOR_BYTES + 1;
	uint64_t *pages;
	size_t count;

	if (bytes == judge->live.sectors.file_bytes)
		return;
	live_set_size(&judge->live, bytes);
	if (first >= end)
		return;
	count = sectors_list_pages(&judge->live.sectors, first / PAGE_SECTORS,
				   end / PAGE_SECTORS + 1, &pages);
	for (size_t i = 0; i < count; i++)
		for (uint64_t at = pages[i] * PAGE_SECTORS; at < (pages[i] + 1) * PAGE_SECTORS;
		     at++)
			if (at >= first && sectors_ref(&judge->live.sectors, at) != 0)
				live_set_sector(&judge->live, at, 0);
	free(pages);
}

/** Is a version in the state that was there before operation `op` (an index in window.ops) changed
 * its cell? */
static bool lacks(const struct plan *plan, uint64_t left_out, uint64_t op)
{
	for (size_t i = 0; i < plan->count; i++) {
		const struct cell *cell = plan->picks[i].cell;

		if ((left_out >> i & 1) != 0)
			continue;
		for (uint64_t v = plan->picks[i].version + 1; v < cell->count; v++)
			if (cell->ops[v] == op)
				return true;
	}
	return false;
}

/** Snapshots are not dead where the operation that took them off the table is not in the state. */
static void revive(struct judge *judge, const struct plan *plan, uint64_t left_out)
{
	const struct live *live = &judge->live;
	uint64_t set = 0;

	for (size_t k = 0; k < live->frozen_count; k++)
		if ((live->alive >> k & 1) == 0 && live->deaths[k] != 0 &&
		    lacks(plan, left_out, live->deaths[k] - 1))
			set |= UINT64_C(1) << k;
	live_revive_snapshots(&judge->live, set);
}

/** Let the image be that of `plan` without the picks in `left_out`, which get their newest version;
 * bit PLAN_PICKS_MAX stands for the size. */
static void apply(struct judge *judge, const struct plan *plan, uint64_t left_out)
{
	bool has_size = plan->has_size && (left_out >> PLAN_PICKS_MAX & 1) == 0;

	live_begin(&judge->live);
	reorder_put_size(judge, has_size ? plan->size_bytes : judge->reorder->newest_bytes);
	for (size_t i = 0; i < plan->count; i++) {
		const struct pick *pick = &plan->picks[i];

		reorder_put(judge, pick->cell,
			    (left_out >> i & 1) != 0 ? pick->cell->count - 1 : pick->version);
	}
	live_settle(&judge->live);
	revive(judge, plan, left_out);
	/* What a snapshot holds is judged when it changes, not when it changes back. */
	judge->live.work.frozen_count = 0;
}

void plan_apply(struct judge *judge, const struct plan *plan)
{
	apply(judge, plan, 0);
}

static void run_rules(struct judge *judge)
{
	judge_set_moment(judge, CRASH_REORDER, 0);
	rule_refcounts_keep(judge);
	rule_opens(judge);
	if (!judge->live.header.readable)
		return;
	rule_refcounts(judge);
	rule_alias(judge);
	rule_snapshots(judge);
	rule_content(judge);
	rule_leaks(judge);
}

/** Put on the work list what a finding is about. */
static void queue_finding(struct judge *judge, const struct finding *finding)
{
	struct live *live = &judge->live;
	const struct verdict *verdict = &finding->verdict;
	uint64_t bits = live->header.readable ? live->header.cluster_bits : SECTOR_BITS;
	uint64_t cluster_bytes = UINT64_C(1) << bits;
	struct cluster *cluster;

	live->work.header = true;
	if (verdict->guest_offset != NOWHERE)
		live_queue_guest(live, verdict->guest_offset / cluster_bytes * cluster_bytes,
				 cluster_bytes);
	if (verdict->host_offset == NOWHERE)
		return;
	if (verdict->rule == RULE_OLD_OR_NEW && verdict->guest_offset == NOWHERE)
		live_queue_frozen(live, verdict->host_offset / SECTOR_BYTES);
	cluster = live_cluster(live, verdict->host_offset >> bits);
	if (cluster != NULL)
		live_touch(live, cluster);
	if (verdict->rule != RULE_NO_ALIAS || finding->place == verdict->host_offset)
		return;
	live_queue_entry(live, verdict->host_offset / 8 * 8, ENTRY_L1);
	live_queue_entry(live, verdict->host_offset / 8 * 8, ENTRY_L2);
	live_queue_entry(live, verdict->host_offset / 8 * 8, ENTRY_REFTABLE);
}

/** Does the state without `left_out` show what `finding` says? Leaves the verdict as the last of
 * the findings, and the others forgotten; without it, all new ones are. */
static bool shows(struct judge *judge, const struct plan *plan, uint64_t left_out,
		  const struct finding *finding)
{
	struct findings *findings = &judge->findings;
	size_t journal_count = judge->journal.count;
	size_t before = findings->count;
	size_t at = before;

	findings_begin_trial(findings);
	apply(judge, plan, left_out);
	queue_finding(judge, finding);
	run_rules(judge);
	journal_rollback(&judge->journal, journal_count);
	while (at < findings->count && (findings->list[at].verdict.rule != finding->verdict.rule ||
					findings->list[at].place != finding->place))
		at++;
	if (at == findings->count) {
		findings->count = before;
		return false;
	}
	findings->list[before] = findings->list[at];
	findings->count = before + 1;
	return true;
}

/** Append to the verdict which state it is, in the words of oracle/persist.h. */
static void write_persist(const struct judge *judge, const struct plan *plan, uint64_t left_out,
			  struct verdict *verdict)
{
	const struct window *window = &judge->window;
	const char *lead = PERSIST_LEAD;
	size_t room = sizeof(verdict->message);
	size_t used = strlen(verdict->message);
	size_t said = used;
	char length[8] = "";

	if (window->grain > 1)
		snprintf(length, sizeof(length), "+%u", window->grain * (unsigned)SECTOR_BYTES);
	if (plan->has_size && (left_out >> PLAN_PICKS_MAX & 1) == 0) {
		used += (size_t)snprintf(verdict->message + used, room - used, "%ssize=%" PRIu64,
					 lead, plan->size_bytes);
		lead = ",";
	}
	for (size_t i = 0; i < plan->count && used < room; i++) {
		const struct pick *pick = &plan->picks[i];

		if ((left_out >> i & 1) != 0)
			continue;
		used += (size_t)snprintf(verdict->message + used, room - used,
					 "%s0x%" PRIx64 "%s=%" PRIu64, lead,
					 pick->cell->index * window->grain * SECTOR_BYTES, length,
					 window_version_number(window, pick->cell, pick->version));
		lead = ",";
	}
	if (used > said && used + 1 < room)
		snprintf(verdict->message + used, room - used, ")");
}

/** Report `finding`, which the state of `plan` shows, with the smallest plan that does. */
static void report(struct judge *judge, const struct plan *plan, const struct finding *finding)
{
	struct findings *findings = &judge->findings;
	uint64_t left_out = 0;

	for (size_t i = plan->count + 1; i-- > 0;) {
		uint64_t bit = UINT64_C(1) << (i == plan->count ? (size_t)PLAN_PICKS_MAX : i);

		if (!shows(judge, plan, left_out | bit, finding))
			continue;
		findings->count--;
		left_out |= bit;
	}
	if (!shows(judge, plan, left_out, finding)) {
		judge->reorder->undecided++;
		return;
	}
	write_persist(judge, plan, left_out, &findings->list[findings->count - 1].verdict);
	findings_end_trial(findings);
}

/** Take the findings from `before` on, found in the state of `plan`, and report them one by one. */
static void report_all(struct judge *judge, const struct plan *plan, size_t before)
{
	struct findings *findings = &judge->findings;
	size_t count = findings->count - before;
	struct finding *found;

	findings->trial = SIZE_MAX;
	if (count == 0)
		return;
	found = heap_new(count, sizeof(*found));
	memcpy(found, &findings->list[before], count * sizeof(*found));
	findings->count = before;
	for (size_t i = 0; i < count; i++)
		report(judge, plan, &found[i]);
	findings->trial = SIZE_MAX;
	free(found);
}

void plan_judge(struct judge *judge, const struct plan *plan, struct recheck item)
{
	size_t journal_count = judge->journal.count;
	size_t before = judge->findings.count;

	findings_begin_trial(&judge->findings);
	apply(judge, plan, 0);
	judge_queue_recheck(judge, &item);
	run_rules(judge);
	journal_rollback(&judge->journal, journal_count);
	report_all(judge, plan, before);
}

void plan_judge_here(struct judge *judge, const struct plan *plan)
{
	size_t journal_count = judge->journal.count;
	size_t before = judge->findings.count;

	findings_begin_trial(&judge->findings);
	run_rules(judge);
	journal_rollback(&judge->journal, journal_count);
	report_all(judge, plan, before);
}
