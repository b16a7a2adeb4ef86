// SPDX-License-Identifier: MIT
/** Unmodified programs at the gate, as tests use them. Whatever goes wrong fails the test. */
#ifndef TESTS_INTEGRATION_FOREIGN_H
#define TESTS_INTEGRATION_FOREIGN_H

#include "injector/strategy.h"
#include "workloads/program.h"

struct foreign {
	struct workload workload;
	struct program *program;
};

/** A program and its workload, given as a text called "test". */
void foreign_open(struct foreign *foreign, const struct program_options *options, const char *text);
void foreign_close(struct foreign *foreign);

/** Execute the next run of `strategy` (taken), which must come to its end; the log is the
 * program's. `taken` (may be NULL) becomes its schedule. */
void foreign_execute(struct foreign *foreign, struct strategy *strategy, struct schedule *taken);

/** Execute `taken`, the schedule of the run in hand, again: the same event by event. `seed` is for
 * the message. */
void foreign_replay(struct foreign *foreign, const struct schedule *taken, uint64_t seed);

/** Random runs with seeds 1 .. `runs`: replayed, each is the same event by event. */
void foreign_replay_random(struct foreign *foreign, unsigned long runs);

/** Three writes to data clusters that are allocated already are explored to the end: all six orders
 * of their effects come, each write once in every run. */
void foreign_check_orders(const struct program_options *options);

/** The last completed request of a kind in the log; it must be there. Borrowed. */
const struct event *foreign_answer(const struct foreign *foreign, unsigned op);

/** The program is refused: when it is made or run, with `expected` in the message. */
void foreign_expect_refusal(const struct program_options *options, const char *text,
			    const char *expected);

/** Its run ends so, and the event says `message`. */
void foreign_expect_end(const struct program_options *options, const char *text,
			enum run_end expected, const char *message);

#endif
