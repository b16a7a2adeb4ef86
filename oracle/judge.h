// SPDX-License-Identifier: MIT
/** The judge: walks through the events of a run and holds every crash state that the models allow
 * against the rules.
 *
 *  Pure: same files, same events, same verdicts. The cost of the next crash state depends on what
 * the last write touched, not on the size of the image; and the judge can step back, so that runs
 * with a common beginning share its cost. */
#ifndef ORACLE_JUDGE_H
#define ORACLE_JUDGE_H

#include "oracle/magnitude.h"
#include "oracle/verdict.h"
#include "traces/event.h"
#include "traces/status.h"
#include "traces/trace.h"

struct judge;

struct judge_options {
	unsigned models;       /* set of crash_model bits; each includes prefix; 0: prefix */
	uint32_t sector_bytes; /* written atomically: 512 or 4096; 0: 512 */
	uint32_t verdicts_max; /* kept a run, of each rule (one per rule and place); 0: 16 */
	bool count_distinct;   /* keep the set of crash states seen over all runs */
	/* List the crash states whose image says dirty refcounts: those that a repair must be able
	 * to begin with; of `reorder`, those of judge_loss. Needs `count_distinct`. */
	bool list_dirty;
	/* judge_run() is called once: nothing is remembered for stepping back. */
	bool once;
};

/** What a disk that reorders loses in a crash, of the operations that no flush has made durable. */
enum judge_loss_kind {
	LOSS_OF_NOTHING,
	LOSS_OF_ONE,    /* this operation */
	LOSS_OF_OTHERS, /* all but this one */
	LOSS_OF_ALL,
};

/** Which: operation `number`, from 1, of those that `actor` did in the run. 0 where no operation is
 * meant. See loss.c. */
struct judge_loss {
	enum judge_loss_kind kind;
	uint32_t actor;
	uint32_t number;
};

/** A crash state with the dirty bit. A run that has made so many operations when so many requests
 * were invoked or had completed is in it; inside a write, when `sector` sectors of the next
 * operation persisted, too. */
struct judge_dirty {
	uint64_t operation;
	uint64_t told;   /* invocations and completions */
	uint32_t sector; /* 0: not inside a write */
	uint32_t sector_bytes;
	enum crash_model model;
	struct judge_loss loss; /* CRASH_REORDER: of these operations */
	/* As judge_cut's; 0 after judge_run(). */
	uint64_t cut_size, cut_hash;
	uint64_t fingerprint; /* of contents and promises, as judge_fingerprints() */
	uint64_t promises;    /* what was asked and promised: a hash */
};

struct judge_counts {
	/* Crash states that the run passed through, in every model asked for. judge_cuts(): those
	 * of the class that the class before does not share. */
	uint64_t states;
	/* Of these, looked at in this call: not shared with the previous run. judge_cuts(): not met
	 * in any class before. */
	uint64_t judged;
	/* judge_cuts(): `states` over all calls so far. */
	uint64_t built;
	/* Different (contents, promises) over all runs so far; 0 unless counted. */
	uint64_t distinct;
	/* Sum over them of a mixed fingerprint: equal sets, equal sums; 0 unless counted. */
	uint64_t distinct_checksum;
	/* CRASH_REORDER: for how many states the decision stands: over the crash states of this
	 * run (judge_cuts(): judged in this call) the sum of the products over volatile sectors of
	 * the number of their versions. */
	struct magnitude decided;
};

/** Where in a class a verdict shows: the run repeated up to these steps, in any order that agrees
 * with what happens before what and has the last one last, shows it. They are listed in the run's
 * order, but for the last one, in which the crash falls.
 *
 *  Of all cuts that show the same, that one is reported for which (size, hash) is least: the same
 * whichever judge looks at which class when. */
struct judge_cut {
	const uint32_t *steps; /* indices into judge_class.steps */
	size_t step_count;
	uint64_t size; /* steps that matter */
	uint64_t hash; /* equal in every class that has the cut */
};

struct judge_report {
	const struct verdict *verdicts; /* borrowed until the next call */
	size_t verdict_count;
	/* One for each verdict, borrowed until the next call; NULL after judge_run(). */
	const struct judge_cut *cuts;
	/* If asked for: dirty crash states that no call met before, or not in a model as weak or a
	 * cut as small, the initial one left out; and after judge_cuts() the cut of each. Of one
	 * state the last that is listed is the best. Borrowed until the next call. */
	const struct judge_dirty *dirty;
	const struct judge_cut *dirty_cuts;
	size_t dirty_count;
	struct judge_counts counts;
	/* Why a rule was not judged in this run, or not everywhere; NULL: it was. */
	const char *skipped[RULE_COUNT];
	uint64_t operations;     /* that changed the image (judge_is_operation()) */
	uint64_t leaked;         /* clusters with refcount above references, in the last state */
	uint64_t copied_missing; /* with refcount one and a reference without COPIED: only slow */
};

/** Does the event change the image file, so that a crash can fall behind it? Operations are counted
 * by this: successful writes of at least a byte, resize, zero, punch and allocate on file 0. */
bool judge_is_operation(const struct event *event);

/** A judge for runs that start from `files` (borrowed until judge_free(); files[0] is the image
 * under test, whose backing chain is followed through `backing`). An initial image that breaks
 * rules is no error: its verdicts come with operation 0. STATUS_NO_MEMORY, STATUS_UNSUPPORTED
 * (names the feature). */
MUST_USE enum status judge_new(struct judge **judge, const struct trace_file *files,
			       size_t file_count, const struct judge_options *options,
			       struct why *why);
void judge_free(struct judge *judge);

/** Judge one run. A memory shortage ends the program. The first `kept_events` events are equal to
 * those of the previous call (0 when in doubt; there is none with `once`). `log` is borrowed until
 * the next call. */
void judge_run(struct judge *judge, const struct event_log *log, size_t kept_events,
	       struct judge_report *report);

/** Judge the end of a log in which several runs are joined, with a crash before event `crash` (and
 * maybe others before). The crash decided what is on disk, so all of that is durable; what comes
 * before it is understood and not judged. As judge_run() otherwise; verdicts on the initial image
 * come first. Earlier crashes need not be known: what they decided is on disk, too. Requests that
 * were acknowledged before a crash and not promised must not look acknowledged in the log. */
void judge_reopened(struct judge *judge, const struct event_log *log, size_t kept_events,
		    size_t crash, struct judge_report *report);

/** Stand behind the first `event_count` events of a log, with a crash before event `crash`
 * (SIZE_MAX: none), and list what a disk that reorders may lose if it crashes here: `*losses`,
 * borrowed until the next call. Returns how many; 0 when everything is durable or CRASH_REORDER is
 * not among the models. Ends with the next judge_run() or the like. */
size_t judge_stand(struct judge *judge, const struct event_log *log, size_t event_count,
		   size_t crash, const struct judge_loss **losses);

/** Let `image`, which is what all operations have made of the file where the judge stands, be
 * without what is lost. False: there is no such operation, or it is durable. */
bool judge_lose(struct judge *judge, const struct judge_loss *loss, struct content *image);

/** Judge one image as what a crash left after the first `event_count` events of a run: by the
 * requests among them, and as a state of `prefix`, whatever their operations wrote. Verdicts on the
 * initial image come first. Snapshots that the run created are not known, nor is an external data
 * file. `image` and `log` are borrowed; the next judge_run() begins anew. */
void judge_image(struct judge *judge, const struct event_log *log, size_t event_count,
		 const struct content *image, struct judge_report *report);

/** One step of a run: its events, and what happens before it. */
struct judge_step {
	size_t first_event; /* in the log; steps in the run's order, disjoint */
	size_t event_count;
	uint32_t chain;  /* the actor, dense from 0; its steps are totally ordered */
	uint32_t number; /* of the step in its chain, from 1, without gaps */
	/* clock[c], c < chain_count: how many steps of chain c happen before this one, itself
	 * included. Borrowed. */
	const uint32_t *clock;
	/* Identity of the step with all that happens before it: equal in every run that has it. */
	uint64_t hash;
};

/** All runs that differ from one only in the order of steps that have nothing to do with each
 * other. */
struct judge_class {
	const struct judge_step *steps; /* borrowed, in the order of the run in the log */
	size_t step_count;
	uint32_t chain_count;
	/* The first of them, with their events, are those of the previous judge_cuts() call. */
	size_t kept_steps;
};

/** Judge every crash state of every run of a class, each once: the down-closed sets of its steps,
 * and what lies inside a step. The report has the verdicts that this class adds to those before it,
 * and those on the initial image. Operations are counted, and requests named, as the cut of the
 * verdict orders its steps. Events before the first step come before all of them and are the same
 * in every call; those behind the last step are judged where all steps are done; nothing that
 * matters stands between two steps. `log` is borrowed until the next call, `class` is not.
 * judge_run() may be called in between, and begins anew then. */
void judge_cuts(struct judge *judge, const struct event_log *log, const struct judge_class *class,
		struct judge_report *report);

/** The fingerprints of the distinct crash states, for merging with those of other judges of the
 * same files: `*slots` (borrowed until the next call) in no order, 0 is an empty slot. Returns how
 * many slots there are; 0 unless counted. */
size_t judge_fingerprints(const struct judge *judge, const uint64_t **slots);

#endif
