// SPDX-License-Identifier: MIT
/** What the judge and its rules share. Private to oracle/. */
#ifndef ORACLE_JUDGE_STATE_H
#define ORACLE_JUDGE_STATE_H

#include "oracle/dirty_list.h"
#include "oracle/distinct.h"
#include "oracle/findings.h"
#include "oracle/history.h"
#include "oracle/judge.h"
#include "oracle/layer.h"
#include "oracle/live.h"
#include "oracle/window.h"

struct cut_walk;
struct reorder;

/** Where the books stood before an event: what stepping back needs beside the journal. */
struct mark {
	size_t journal_count;
	size_t finding_count;
	uint64_t merged_top;
	uint64_t states;
	struct magnitude decided;
};

/** Something that looked bad in a torn state, to be looked at again when the write is whole. */
enum recheck_kind { RECHECK_CLUSTER, RECHECK_GUEST, RECHECK_ENTRY, RECHECK_FROZEN, RECHECK_HEADER };

struct recheck {
	enum recheck_kind kind;
	enum entry_kind entry;
	uint64_t place; /* cluster index, guest offset, host offset of the entry, host sector */
	uint64_t bytes;
};

struct judge {
	struct judge_options options;
	struct journal journal;
	struct live live;
	struct inflater *inflater; /* owned */
	struct layers layers;
	struct history history;
	struct findings findings;
	struct distinct distinct;
	const struct event_log *log; /* borrowed until the next run */
	struct mark *marks;          /* owned; marks[i]: before event i */
	size_t mark_capacity;
	size_t processed; /* events that the books cover */
	struct mark start;
	struct recheck *rechecks; /* owned */
	size_t recheck_count;
	size_t recheck_capacity;
	struct dirty_list dirty_ways;
	struct judge_dirty *dirty; /* owned; met in this call, or better than those met before */
	size_t dirty_count;
	size_t dirty_capacity;
	struct judge_loss *losses; /* owned; as judge_stand() gave them */
	size_t loss_capacity;
	uint64_t states;
	struct magnitude decided; /* states that `reorder` decisions stand for */
	struct window window;
	struct reorder *reorder; /* owned; NULL until it is needed */
	bool initial_judged;     /* the state before the first event was counted as judged */
	bool quiet;              /* states are passed through, not held against the rules */
	bool image_is_given;     /* operations are not applied (judge_image()) */
	bool reads_known;        /* reads that complete now were judged before */
	bool by_cuts;            /* the books stand where judge_cuts() left them */
	bool is_standing;        /* or where judge_stand() did */
	struct cut_walk *cuts;   /* owned; NULL until judge_cuts() was called */
	/* Journaled words. */
	uint64_t operations;    /* that changed the image so far */
	uint64_t ended;         /* 1 + run_end of the END event */
	uint64_t foreign_write; /* a backing file was written: contents cannot be judged */
	uint64_t made_here;     /* the image was made, or made anew, in the run */
	uint64_t bitmaps_lost;  /* clusters of bitmaps could not be listed */
	uint64_t gave_up;       /* a step asked for more comparisons than the judge makes */
	/* Facts of the initial image. */
	uint64_t initial_leaks;
	bool initial_dirty;
	struct image_header initial;
};

/** From where a value is looked at. */
struct view {
	bool is_read;     /* false: after a crash now; true: by a read ... */
	uint64_t invoked; /* ... that was invoked at this event */
	enum rule rule;   /* is_read: rule to report */
	/* Through the tables of this snapshot; NULL: the active ones. */
	const struct image_snapshot *snapshot;
};

/** Does anything keep contents from being judged? Returns why, or NULL. */
const char *judge_content_skipped(const struct judge *judge);

/* What a step does to the books (apply.c). */

/** Bring event `index` of the log to the books, and judge what becomes a crash state by it. */
void judge_apply(struct judge *judge, size_t index);

/** If the event says that an I/O of the image failed, take note. */
void judge_note_failure(struct judge *judge, const struct event *event);

/** Pass through the torn states of the write at `index`, and leave it torn. */
void judge_tear(struct judge *judge, size_t index);

/** How many torn states judge_apply() passes through at `event`. */
uint64_t judge_torn_states(const struct judge *judge, const struct event *event);

/** Is every number of the event one that its kind can have? Others are passed over. */
bool judge_event_is_sane(const struct event_log *log, const struct event *event);

/** Hold the state as it is against the rules, and count it; if quiet, do neither. */
void judge_crash_state(struct judge *judge);

/** Count the state as it is. */
void judge_count_state(struct judge *judge);

/** List the state as it is, with `loss`, if its image says dirty and no better way to it is known.
 */
void judge_list_if_dirty(struct judge *judge, const struct judge_loss *loss);

/** The same for the states that a disk that reorders may leave here (loss.c). */
void judge_list_losses(struct judge *judge);

/** The machine crashes here: everything that is on disk is durable. */
void judge_crash(struct judge *judge);

/** The file is empty: what follows makes an image of it. */
void judge_begin_making(struct judge *judge);

/** Put what looked bad on the work list. */
void judge_queue_recheck(struct judge *judge, const struct recheck *recheck);

/** Verdicts from now on fall here. */
void judge_set_moment(struct judge *judge, enum crash_model model, uint32_t sector);

/* Stepping back (judge.c). */

/** Put the books back to the beginning, for runs of `log`. */
void judge_begin_again(struct judge *judge, const struct event_log *log);
/** Where the books stand. */
struct mark judge_mark(const struct judge *judge);
/** Put the books back to where they stood. */
void judge_go_back(struct judge *judge, const struct mark *mark);
/** The same; what was found and counted stays. */
void judge_step_back(struct judge *judge, const struct mark *mark);

/** Say in the report why rules were not judged, going by the books as they are. */
void judge_explain_skipped(const struct judge *judge, struct judge_report *report);

/** Free what judge_cuts() keeps; `walk` may be NULL. */
void cut_walk_free(struct cut_walk *walk);

/** Note that a rule saw something bad in a torn state. No-op in other states. */
void judge_recheck(struct judge *judge, struct recheck recheck);

/** The bytes of the log at a position that an event named. */
static inline const uint8_t *judge_log_bytes(const struct judge *judge, uint64_t position)
{
	return judge->log->bytes + position;
}

/* The rules. Each looks at what the last transition touched (live.work) and reports what is bad in
 * the state as it is. */

/** opens: the header. */
void rule_opens(struct judge *judge);
/** no-alias: touched clusters and malformed entries. */
void rule_alias(struct judge *judge);
/** Bring the flags and counts of touched clusters up to date; every state needs it, judged or not.
 */
void rule_refcounts_keep(struct judge *judge);
/** refcount-covers, copied-exact: touched clusters. */
void rule_refcounts(struct judge *judge);
/** leak-bounded: the number of leaked clusters. */
void rule_leaks(struct judge *judge);
/** How many clusters are leaked in the state as it is. */
uint64_t judge_leaked(struct judge *judge);
/** Do leaked clusters mean anything in the state as it is? */
bool rule_leaks_count(const struct judge *judge);
/** How many may be leaked at a crash now, in a file of that size. */
uint64_t rule_leaks_bound(const struct judge *judge, uint64_t file_bytes);
/** old-or-new for what snapshots hold. */
void rule_snapshots(struct judge *judge);

/** A snapshot was acknowledged: from now on it may not change, and it must hold what was
 * acknowledged before it was asked for. */
void rule_new_snapshot(struct judge *judge, const struct request *request);
/** cow-complete, old-or-new, flush-durable: touched parts of the disk. */
void rule_content(struct judge *judge);

/** Note what the snapshot holds, of which a snapshot-apply was just asked for: up to 16 MiB, and no
 * further than it can be read. */
void rule_content_hold(struct judge *judge, struct request *request,
		       const struct image_snapshot *snapshot);

/** Judge the contents of [from, to) of the virtual disk as `view` sees them. */
void rule_content_range(struct judge *judge, const struct view *view, uint64_t from, uint64_t to);

/** A read has completed. */
void rule_read(struct judge *judge, const struct request *read);

/** Did a call on a file fail here? An interruption is no failure. */
bool judge_is_failure(const struct event *event);
/** Did a flush of the image fail here? */
bool judge_is_failed_flush(const struct event *event);

/** error-contained: a flush of the image has failed. */
void rule_contained_note_flush(struct judge *judge);
/** error-contained: a flush or a close was acknowledged. */
void rule_contained_flush(struct judge *judge, const struct request *flush);
/** Had a request that changes guest bytes in [from, to) failed before the time `invoked`? Then what
 * is wrong with them is error-contained's. */
bool rule_contained_covers(const struct judge *judge, uint64_t from, uint64_t to, uint64_t invoked);
/** The rule whose the contents at the end of the run are. */
enum rule rule_contained_at_end(const struct judge *judge);

/** The run is over (EVENT_END). */
void rule_progress(struct judge *judge, const struct event *end);
/** The contents after a clean close, as one more read. */
void rule_final(struct judge *judge);

/** Clusters that a request may leak until it is flushed. */
uint64_t leak_cost_of(const struct judge *judge, const struct request *request);

/* Values, shared by rule_content.c and rule_read.c. */

/** The worst last. */
enum value_verdict {
	VALUE_FINE,
	VALUE_MIXED, /* the lax form of old-or-new allows it, the strict one does not */
	VALUE_OVERRIDDEN,
	VALUE_STRANGE
};

/** What a value that is VALUE_MIXED is called. */
#define VALUE_MIXTURE "a mixture of several values"

/** Is `bytes` (the whole sector at guest_offset / 512; the part [from, to) of it counts) a value
 * that `view` allows? */
enum value_verdict value_check(struct judge *judge, const struct view *view, uint64_t from,
			       uint64_t to, const uint8_t *sector);

/** What the guest read in this sector before the first event; NULL: it could not be read. */
const uint8_t *value_initial(struct judge *judge, uint64_t guest_offset);

/** Say in words what `sector`, found at `guest_offset`, holds. Returns true when it is somebody
 * else's value or a mixture. */
bool value_describe(struct judge *judge, char *text, size_t text_bytes, uint64_t guest_offset,
		    const uint8_t *sector);

#endif
