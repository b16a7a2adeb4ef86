// SPDX-License-Identifier: MIT
/** Verdicts of one run, or of all runs of a class: each (rule, place) once, at the weakest crash
 * model that shows it; of several cuts, at the smallest. */
#ifndef ORACLE_FINDINGS_H
#define ORACLE_FINDINGS_H

#include "oracle/journal.h"
#include "oracle/verdict.h"

/** Which of several cuts that show the same is reported: the smallest, and of equally large ones
 * that with the least hash. Zeros where a run is judged by itself: there the first state is. */
struct cut_rank {
	uint64_t size;
	uint64_t hash;
};

/** Does `a` come before `b`? */
bool cut_rank_before(const struct cut_rank *a, const struct cut_rank *b);

/** In the place of a finding of old-or-new: it is one of the strict form only. */
#define PLACE_STRICT_ONLY UINT64_C(2)

struct finding {
	struct verdict verdict;
	uint64_t place;  /* what makes two verdicts of one rule different */
	uint64_t hidden; /* one of a weaker model says the same; journaled */
	struct cut_rank rank;
	bool is_new; /* it was said, or said better, since the owner last looked */
};

/** Where in the run a verdict falls. */
struct moment {
	enum crash_model model;
	uint64_t operation;
	uint32_t sector;
	size_t event;
	struct cut_rank cut;    /* the cut in hand */
	struct cut_rank inside; /* the same inside the event: CRASH_TORN */
	struct cut_rank
		past; /* the event's past: what shows without a crash depends on that only */
};

struct findings {
	struct journal *journal; /* borrowed */
	struct finding *list;    /* owned; room for `capacity` of them, which do not move */
	size_t capacity;
	size_t max;              /* of each rule */
	size_t count;            /* put back by the owner */
	bool stay;               /* verdicts outlive stepping back, and better ones replace them */
	size_t trial;            /* from here on they are on trial; SIZE_MAX: none is */
	bool has_new;            /* one of them may be new */
	uint64_t muted;          /* journaled; nothing is wanted */
	struct verdict *visible; /* owned; what is reported */
	size_t visible_capacity;
	struct moment now;
};

/** Begin with none; at most `max` of each rule are kept. Borrows `journal`. */
void findings_init(struct findings *findings, struct journal *journal, size_t max);
/** Free what `findings` owns. */
void findings_release(struct findings *findings);

/** The cut that a verdict is of now. */
const struct cut_rank *findings_rank(const struct findings *findings);

/** Is there anything to say about `rule` at `place` now: not yet said, or only of a state of a
 * stronger model or of a larger cut? */
bool findings_wants(const struct findings *findings, enum rule rule, uint64_t place);

/** Say it, if findings_wants() it: rule, severity, request and offsets are taken from `verdict`,
 * the moment from `now`. */
void findings_add(struct findings *findings, uint64_t place, const struct verdict *verdict,
		  const char *format, ...) __attribute__((format(printf, 4, 5)));

/** Keep the first `count`, which are new again. */
void findings_forget(struct findings *findings, size_t count);

/** What is said from now on is on trial: it replaces nothing, and is forgotten when the owner puts
 * `count` back. */
void findings_begin_trial(struct findings *findings);
/** The last one stands: it takes the place of what it says better. The trial is over. */
void findings_end_trial(struct findings *findings);

/** Those to be reported, in the order in which they were found. Returns how many. */
size_t findings_visible(struct findings *findings);

#endif
