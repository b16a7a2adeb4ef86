// SPDX-License-Identifier: MIT
/* The walk through one run.
 *
 * What an event does, and which rules look at it then, is apply.c's.
 *
 * Before each event the place in the journal is marked. The next run usually shares a beginning
 * with this one: the judge goes back to the mark of the first event that differs, which costs what
 * those events changed, and walks on from there. States of the shared beginning are counted again,
 * and not judged again.
 *
 * Marks and journal grow with the run, by more than a hundred bytes an event. A judge of one run
 * only (`once`) keeps neither: the journal then serves what goes back inside an event. */
#include "oracle/judge.h"

#include "oracle/heap.h"
#include "oracle/judge_state.h"
#include "oracle/reorder.h"

#include <assert.h>
#include <stdlib.h>

enum { VERDICTS_DEFAULT = 16 };

bool judge_is_operation(const struct event *event)
{
	if (event->kind != EVENT_IO_EFFECT || event->file != 0 || event->result < 0)
		return false;
	if (event->op == IO_WRITE)
		return event->result > 0;
	return event->op == IO_RESIZE || event->op == IO_ZERO || event->op == IO_PUNCH ||
	       event->op == IO_ALLOCATE;
}

const char *judge_content_skipped(const struct judge *judge)
{
	if (judge->history.count == 0)
		return "the recording has no requests of the guest";
	if (!judge->initial.readable)
		return "the initial image does not open";
	if (judge->foreign_write != 0)
		return "a backing file was written";
	return NULL;
}

struct mark judge_mark(const struct judge *judge)
{
	return (struct mark){ .journal_count = judge->journal.count,
			      .finding_count = judge->findings.count,
			      .merged_top = judge->live.sectors.merged.top,
			      .states = judge->states,
			      .decided = judge->decided };
}

void judge_go_back(struct judge *judge, const struct mark *mark)
{
	journal_rollback(&judge->journal, mark->journal_count);
	judge->findings.count = mark->finding_count;
	judge->live.sectors.merged.top = mark->merged_top;
	judge->states = mark->states;
	judge->decided = mark->decided;
}

/** Rules that look at crash states were not decided for all of them. */
static void explain_undecided(const struct judge *judge, struct judge_report *report)
{
	static const enum rule rules[] = { RULE_COW_COMPLETE,  RULE_OLD_OR_NEW,
					   RULE_FLUSH_DURABLE, RULE_REFCOUNT_COVERS,
					   RULE_COPIED_EXACT,  RULE_NO_ALIAS,
					   RULE_OPENS,         RULE_LEAK_BOUNDED };

	if (judge->reorder == NULL)
		return;
	if (judge->reorder->leaks_undecided != 0 && report->skipped[RULE_LEAK_BOUNDED] == NULL)
		report->skipped[RULE_LEAK_BOUNDED] =
			"not decided for every reordering: too many tables that count together";
	if (judge->reorder->undecided == 0)
		return;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (report->skipped[rules[i]] == NULL)
			report->skipped[rules[i]] =
				"not decided for every reordering: too many versions of header, L1 "
				"or refcount table at a time";
}

void judge_step_back(struct judge *judge, const struct mark *mark)
{
	size_t findings = judge->findings.count;
	uint64_t states = judge->states;
	struct magnitude decided = judge->decided;

	judge_go_back(judge, mark);
	judge->findings.count = findings;
	judge->states = states;
	judge->decided = decided;
}

void judge_explain_skipped(const struct judge *judge, struct judge_report *report)
{
	const char *content = judge_content_skipped(judge);

	if (content == NULL && judge->gave_up != 0)
		content = "one step touched more clusters than are compared at a time";
	report->skipped[RULE_COW_COMPLETE] = content;
	report->skipped[RULE_OLD_OR_NEW] = content;
	report->skipped[RULE_FLUSH_DURABLE] = content;
	report->skipped[RULE_READ_LINEARIZABLE] = content;
	report->skipped[RULE_ERROR_CONTAINED] = content;
	if (judge->history.count == 0)
		report->skipped[RULE_LEAK_BOUNDED] =
			judge->ended == 0
				? "the recording has neither requests of the guest nor an end"
				: "the recording has no requests of the guest: leaks are judged at "
				  "its end";
	if (judge->bitmaps_lost != 0)
		report->skipped[RULE_LEAK_BOUNDED] =
			"the bitmaps are damaged, or too many to be followed";
	if (judge->made_here != 0)
		report->skipped[RULE_OPENS] = report->skipped[RULE_REFCOUNT_COVERS] =
			report->skipped[RULE_COPIED_EXACT] = report->skipped[RULE_NO_ALIAS] =
				"the image was made in the recording: judged from its first good "
				"flush on";
	explain_undecided(judge, report);
	if (judge->ended == 0)
		report->skipped[RULE_PROGRESS] = "the recording has no end";
}

void judge_begin_again(struct judge *judge, const struct event_log *log)
{
	assert(!judge->options.once || judge->processed == 0);
	judge_go_back(judge, &judge->start);
	judge->findings.stay = judge->by_cuts = judge->is_standing = false;
	judge->findings.now = (struct moment){ .model = CRASH_NONE };
	judge->processed = 0;
	judge->log = log;
	judge->live.sectors.log_bytes = log->bytes;
}

void judge_crash(struct judge *judge)
{
	if (judge->window.is_on)
		window_crash(&judge->window);
	journal_set(&judge->journal, &judge->history.flush_failed, 0);
}

/** Bring the rest of the log to the books. Before event `crash` the machine crashed, and what
 * precedes it is not judged. 0: it did not. */
static void apply_events(struct judge *judge, size_t crash)
{
	size_t count = judge->log->count;

	if (!judge->options.once)
		judge->marks = heap_grow(judge->marks, &judge->mark_capacity, count + 1,
					 sizeof(*judge->marks));
	for (size_t i = judge->processed; i < count; i++) {
		if (judge->options.once)
			judge->journal.count = 0;
		else
			judge->marks[i] = judge_mark(judge);
		judge->quiet = i < crash;
		if (i == crash && crash > 0)
			judge_crash(judge);
		judge_apply(judge, i);
		judge->processed = i + 1;
	}
	judge->quiet = false;
}

/** Walk through the run; before event `crash` the machine crashed, and what precedes it is not
 * judged. 0: it did not. */
static void walk(struct judge *judge, const struct event_log *log, size_t kept_events, size_t crash,
		 struct judge_report *report)
{
	uint64_t kept_states;

	assert(!judge->options.once || judge->log == NULL);
	if (judge->by_cuts || judge->is_standing)
		judge_begin_again(judge, log);
	if (kept_events > judge->processed)
		kept_events = judge->processed;
	if (kept_events > log->count)
		kept_events = log->count;
	judge->log = log;
	judge->dirty_count = 0;
	judge->live.sectors.log_bytes = log->bytes;
	if (kept_events < judge->processed)
		judge_go_back(judge, &judge->marks[kept_events]);
	judge->processed = kept_events;
	kept_states = judge->initial_judged ? judge->states : 0;
	judge->initial_judged = true;
	apply_events(judge, crash);
	*report = (struct judge_report){ .verdict_count = findings_visible(&judge->findings),
					 .operations = judge->operations,
					 .leaked = judge_leaked(judge),
					 .copied_missing = judge->live.copied_missing,
					 .dirty = judge->dirty,
					 .dirty_count = judge->dirty_count };
	report->verdicts = judge->findings.visible;
	report->counts.states = judge->states;
	report->counts.judged = judge->states - kept_states;
	report->counts.distinct = judge->distinct.count;
	report->counts.distinct_checksum = judge->distinct.checksum;
	report->counts.decided = judge->decided;
	judge_explain_skipped(judge, report);
}

void judge_run(struct judge *judge, const struct event_log *log, size_t kept_events,
	       struct judge_report *report)
{
	walk(judge, log, kept_events, 0, report);
}

void judge_reopened(struct judge *judge, const struct event_log *log, size_t kept_events,
		    size_t crash, struct judge_report *report)
{
	walk(judge, log, kept_events, crash, report);
}

/** Understand the initial image and judge it: the state before the first event. */
static void begin(struct judge *judge, const struct content *image, const struct content *external)
{
	live_init(&judge->live, &judge->journal, image, external, judge->options.count_distinct);
	judge->initial = judge->live.header;
	history_init(&judge->history, &judge->journal, &judge->initial,
		     judge->options.count_distinct);
	if ((judge->options.models & CRASH_REORDER) != 0)
		window_init(&judge->window, &judge->journal, &judge->live.sectors,
			    judge->options.sector_bytes);
	judge->live.work.whole_guest = false;
	judge->live.work.guest_count = 0;
	judge->initial_leaks = UINT64_MAX / 2;
	if (content_size(image) == 0)
		judge_begin_making(judge);
	judge_set_moment(judge, CRASH_PREFIX, 0);
	judge_crash_state(judge);
	judge->initial_leaks = judge_leaked(judge);
	judge->journal.count = 0;
	judge->start = judge_mark(judge);
}

enum status judge_new(struct judge **made, const struct trace_file *files, size_t file_count,
		      const struct judge_options *options, struct why *why)
{
	struct judge *judge = calloc(1, sizeof(*judge));
	enum status status;

	*made = NULL;
	if (judge == NULL)
		return why_set(why, STATUS_NO_MEMORY, "memory is short");
	judge->options = *options;
	if (judge->options.models == 0)
		judge->options.models = CRASH_PREFIX;
	if (judge->options.sector_bytes != 4096)
		judge->options.sector_bytes = SECTOR_BYTES;
	if (judge->options.verdicts_max == 0)
		judge->options.verdicts_max = VERDICTS_DEFAULT;
	findings_init(&judge->findings, &judge->journal, judge->options.verdicts_max);
	judge->inflater = inflater_new();
	if (file_count == 0 || files[0].format != TRACE_FORMAT_QCOW2)
		status = why_set(why, STATUS_UNSUPPORTED, "cannot judge '%s': not a qcow2 image",
				 file_count == 0 ? "" : files[0].path);
	else
		status = layers_init(&judge->layers, judge->inflater, files, file_count, why);
	if (status != STATUS_OK) {
		judge_free(judge);
		return status;
	}
	begin(judge, files[0].initial, files[0].external);
	*made = judge;
	return STATUS_OK;
}

void judge_free(struct judge *judge)
{
	if (judge == NULL)
		return;
	live_release(&judge->live);
	history_release(&judge->history);
	findings_release(&judge->findings);
	distinct_release(&judge->distinct);
	dirty_list_release(&judge->dirty_ways);
	journal_release(&judge->journal);
	inflater_free(judge->inflater);
	cut_walk_free(judge->cuts);
	reorder_free(judge->reorder);
	window_release(&judge->window);
	free(judge->marks);
	free(judge->rechecks);
	free(judge->dirty);
	free(judge->losses);
	free(judge);
}

size_t judge_fingerprints(const struct judge *judge, const uint64_t **slots)
{
	*slots = judge->distinct.slots;
	return judge->distinct.capacity;
}
