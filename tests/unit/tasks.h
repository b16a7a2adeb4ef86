// SPDX-License-Identifier: MIT
/** Helpers for tests of the scheduler and its locks: a story that tasks write, and a walk through
 * every interleaving of a small program. */
#ifndef TESTS_UNIT_TASKS_H
#define TESTS_UNIT_TASKS_H

#include "engine/scheduler/sched.h"
#include "injector/choice.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { STORY_BYTES = 4096 };

/** What the tasks did, as text; compared with the expected story. */
static char story[STORY_BYTES];

__attribute__((unused, format(printf, 1, 2))) static void tell(const char *format, ...)
{
	size_t used = strlen(story);
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(story + used, sizeof(story) - used, format, arguments);
	va_end(arguments);
	ck_assert_int_lt(length, (int)(sizeof(story) - used));
}

/** Say the running task's name. */
__attribute__((unused)) static void tell_name(const char *what)
{
	tell("%s %s; ", task_name(task_current()), what);
}

/** Run the tasks of `sched` with option 0 everywhere. */
__attribute__((unused)) static enum run_end run_tasks(struct sched *sched, enum sched_points points)
{
	struct sched_options options = { .points = points };
	return sched_run(sched, &options);
}

struct exploration {
	enum sched_points points;
	bool prune; /* leave out runs that only exchange independent steps */
	/** Spawn the tasks of one run. */
	void (*begin)(struct sched *sched, void *context);
	/** Look at the end of a run. May be NULL. */
	void (*end)(struct sched *sched, enum run_end end, void *context);
	void *context;
};

/** Run every interleaving. Returns how many ran to their end (were not pruned). */
__attribute__((unused)) static uint64_t explore(const struct exploration *exploration)
{
	struct strategy *strategy = strategy_dfs_new(exploration->prune);
	ck_assert_ptr_nonnull(strategy);
	struct sched *sched = sched_new();
	ck_assert_ptr_nonnull(sched);
	struct choice choice;
	choice_init(&choice, strategy, NULL);
	uint64_t runs = 0;
	while (choice_begin(&choice)) {
		exploration->begin(sched, exploration->context);
		struct sched_options options = { .choice = &choice, .points = exploration->points };
		enum run_end end = sched_run(sched, &options);
		choice_end(&choice, end, 0);
		if (end == RUN_PRUNED)
			continue;
		runs++;
		if (exploration->end)
			exploration->end(sched, end, exploration->context);
	}
	ck_assert_ptr_null(strategy->ops->complaint(strategy));
	ck_assert(strategy->ops->is_complete(strategy));
	choice_release(&choice);
	strategy_free(strategy);
	sched_free(sched);
	return runs;
}

/** Run a suite of one case. Returns main()'s status. */
__attribute__((unused)) static int run_case(Suite *suite, TCase *tcase)
{
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}

#endif
