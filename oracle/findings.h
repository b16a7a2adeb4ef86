// SPDX-License-Identifier: MIT
/** Verdicts of one run: each (rule, place) once, at the weakest crash model that shows it. */
#ifndef ORACLE_FINDINGS_H
#define ORACLE_FINDINGS_H

#include "oracle/journal.h"
#include "oracle/verdict.h"

/** In the place of a finding of old-or-new: it is one of the strict form only. */
#define PLACE_STRICT_ONLY UINT64_C(2)

struct finding {
	struct verdict verdict;
	uint64_t place;  /* what makes two verdicts of one rule different */
	uint64_t hidden; /* one of a weaker model says the same; journaled unless `stay` */
};

/** Where in the run a verdict falls. */
struct moment {
	enum crash_model model;
	uint64_t operation;
	uint32_t sector;
	size_t event;
};

struct findings {
	struct journal *journal; /* borrowed */
	struct finding *list;    /* owned; room for `capacity` of them, which do not move */
	size_t capacity;
	size_t max;              /* of each rule */
	size_t count;            /* put back by the owner */
	bool stay;               /* verdicts outlive stepping back */
	uint64_t muted;          /* journaled; nothing is wanted */
	struct verdict *visible; /* owned; what is reported */
	size_t visible_capacity;
	struct moment now;
};

/** Begin with none; at most `max` of each rule are kept. Borrows `journal`. */
void findings_init(struct findings *findings, struct journal *journal, size_t max);
/** Free what `findings` owns. */
void findings_release(struct findings *findings);

/** Is there anything to say about `rule` at `place` now: not yet said, or only of a state of a
 * stronger model? */
bool findings_wants(const struct findings *findings, enum rule rule, uint64_t place);

/** Say it, if findings_wants() it: rule, severity, request and offsets are taken from `verdict`,
 * the moment from `now`. */
void findings_add(struct findings *findings, uint64_t place, const struct verdict *verdict,
		  const char *format, ...) __attribute__((format(printf, 4, 5)));

/** Those to be reported, in the order in which they were found. Returns how many. */
size_t findings_visible(struct findings *findings);

#endif
