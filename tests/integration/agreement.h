// SPDX-License-Identifier: MIT
/** The oracle next to `qemu-img check`, one crash state at a time: states are handed in, each
 * different one is given to both, and what both say is held against each other (agreement.c says
 * what must hold). Whatever does not hold fails the test. */
#ifndef TESTS_INTEGRATION_AGREEMENT_H
#define TESTS_INTEGRATION_AGREEMENT_H

#include "oracle/judge.h"
#include "tests/integration/silence.h"
#include "traces/content.h"
#include "traces/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** How a state was made. */
enum origin {
	ORIGIN_PREFIX,
	ORIGIN_TORN,
	ORIGIN_REORDER,
	ORIGIN_LOST, /* an operation was left out: no crash does that */
	ORIGIN_COUNT
};

/** What it was made of. */
enum source { SOURCE_SHIPPED, SOURCE_KNOWN_BUG, SOURCE_STOCK, SOURCE_COUNT };

/** What a judge says of a state. Rules are bits (1 << rule), classes bits (1 << class). */
struct opinion {
	unsigned rules;   /* broken */
	unsigned serious; /* of these, hazards and corruptions */
	uint32_t classes; /* of the serious verdicts */
	uint64_t leaked;
	uint64_t copied_missing;
	char message[VERDICT_MESSAGE_BYTES]; /* the first serious one that is in no class, or the
						first */
};

/** A state to be checked. */
struct state {
	const struct trace_file *files; /* borrowed until agreement_flush(); [0] is the image */
	size_t file_count;
	struct content *content; /* owned */
	uint64_t digest;         /* shipped_digest() of it */
	enum origin origin;
	enum source source;
	struct opinion alone;      /* judged as if nothing had happened before */
	struct opinion in_its_run; /* judged as what a crash left of a run */
	char name[128];
};

/* Contents that were offered, and whether qemu-img finds nothing there. */
struct seen {
	uint64_t digest;
	bool is_checked, is_silent;
};

enum { AGREEMENT_BATCH = 2 /* qemu-img processes at a time */ };

struct agreement {
	struct silence silence;
	struct state batch[AGREEMENT_BATCH];
	size_t batched;
	struct seen *seen; /* owned */
	size_t seen_count;
	/* Tallies. */
	size_t offered;
	size_t by_origin[ORIGIN_COUNT];
	size_t by_source[SOURCE_COUNT]; /* without lost ones */
	size_t corrupt, copied_missing_only, leaking, leaks_beyond_end, dirty, repaired;
	size_t silent[SILENCE_CLASSES_MAX];
};

/** Begin, with the table of the page `readme`. */
void agreement_init(struct agreement *agreement, const char *readme);
/** Free what `agreement` owns. */
void agreement_release(struct agreement *agreement);

/** What the report says. */
struct opinion agreement_opinion(const struct agreement *agreement,
				 const struct judge_report *report);

/** `content` in the place of the image, judged as if nothing had happened before. */
struct opinion agreement_judge(const struct agreement *agreement, const struct trace_file *files,
			       size_t file_count, struct content *content);

/** Has a content with this shipped_digest() been added before? */
bool agreement_knows(const struct agreement *agreement, uint64_t digest);

/** Check a state, soon. One whose content is known is the same to qemu-img; what the judge says of
 * it in its run is all that is looked at. Takes `state->content`. Files that back it stand in the
 * present folder under their names. */
void agreement_add(struct agreement *agreement, const struct state *state);

/** Check now what was added; files may go away then. */
void agreement_flush(struct agreement *agreement);

/** How many different states that a crash can leave were checked. */
size_t agreement_crash_states(const struct agreement *agreement);

/** Print the tallies. */
void agreement_print(const struct agreement *agreement);

#endif
