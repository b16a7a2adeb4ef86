// SPDX-License-Identifier: MIT
/** Rule repair-converges: open every dirty crash state again, crash inside the repair, open again,
 * and hold what comes out against everything that was promised before the first crash. */
#ifndef WORKLOADS_RECOVERY_H
#define WORKLOADS_RECOVERY_H

#include "workloads/dirty_states.h"
#include "workloads/explore.h"
#include "workloads/world.h"

enum { RECOVERY_DEPTH_MAX = 2 };

/** Which of the states that a disk that reorders may leave are repaired (oracle/loss.c). */
#define RECOVERY_FAMILY                                                                            \
	"without one, with one alone, or with none of the operations that no flush had covered"

struct recovery_options {
	const struct world_options *world; /* borrowed; those of the runs that crashed */
	unsigned models;                   /* set of crash_model bits; also for repairs */
	uint32_t sector_bytes;             /* 0: 512 */
	/* How many crashes there may be, the first one included: 1 .. RECOVERY_DEPTH_MAX. */
	uint32_t depth;
	bool in_order;  /* a disk that does not reorder what repairs write; for comparing */
	double seconds; /* bound on time; 0: none */
	/* Looked at between two repairs: stop when it is not 0. May be NULL. */
	const volatile sig_atomic_t *stop;
};

/** What was done. */
struct recovery_counts {
	uint64_t repairs; /* images opened, repaired and closed */
	/* Of these: crash states of the runs, and crash states of their repairs. */
	uint64_t first, second;
	uint64_t reordered; /* of `first`: those that only a disk that reorders leaves */
	uint64_t states;    /* crash states that repairs passed through */
	uint64_t distinct;  /* different images with what was promised of them, of those repaired */
	uint64_t finals;    /* different images that came out; each was opened once more */
};

struct recovery_result {
	struct recovery_counts counts;
	struct violation *violations; /* owned; rule repair-converges, once a place */
	size_t violation_count, violation_capacity;
	bool complete;
	const char *why_incomplete; /* a literal; NULL when complete */
	char *complaint;            /* owned; a state did not show again; NULL: none */
	double elapsed_seconds;
};

/** Repair the states of `places` (sorted) of `workload`. No world may exist. Known bugs are as they
 * are. Gives what `result` owns: recovery_result_release(). */
MUST_USE enum status recovery_sweep(const struct workload *workload,
				    const struct dirty_states *places,
				    const struct recovery_options *options,
				    struct recovery_result *result, struct why *why);
void recovery_result_release(struct recovery_result *result);

enum { CRASHED_LOST_BYTES = 96 };

/** A crash state of a run, ready to be opened again. */
struct crashed {
	struct content *image; /* owned */
	/* Owned: what the judge has to know of everything up to the crash; see recovery_log.c. */
	struct event_log log;
	size_t judged; /* its events: the crash comes behind them, and others judge them */
	char lost[CRASHED_LOST_BYTES]; /* what the crash lost, in words with a space before; or ""
					*/
};

/** The state `state` of the run in `log`, which began with `initial`, with nothing lost. False: the
 * run does not pass through it. Release in any case. */
bool crashed_from_run(struct crashed *crashed, const struct event_log *log,
		      const struct content *initial, const struct judge_dirty *state);
/** The same, less what `state` says is lost; `judge`, of that run's files and CRASH_REORDER, finds
 * out what that is. */
bool crashed_from_reordered(struct crashed *crashed, struct judge *judge,
			    const struct event_log *log, const struct content *initial,
			    const struct judge_dirty *state);
/** Take `loss` out of a state, at the end of whose log or run `judge` stands. Its words count
 * operations from event `from` of the log. False: it is no loss there. */
bool crashed_lose(struct crashed *crashed, struct judge *judge, const struct judge_loss *loss,
		  size_t from);
void crashed_release(struct crashed *crashed);

/** Append all of `from` to `log`. */
void recovery_log_copy(struct event_log *log, const struct event_log *from);

/** Append to `log` what the judge has to know of `run`, which follows crash number `crash` (0: none
 * was before it) and is cut: its events before `end`, and of the write at `end` the first `bytes`
 * bytes (0: nothing). Behind a crash that takes in what tells which of its operations are durable.
 */
void recovery_log_append(struct event_log *log, const struct event_log *run, uint32_t crash,
			 size_t end, uint64_t bytes);

#endif
