// SPDX-License-Identifier: MIT
#include "tests/exhaustive/searches.h"

#include "injector/strategy_dpor.h"
#include "injector/strategy_stateful.h"
#include "workloads/world_snapshot.h"
#include "workloads/world_state.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 160, LINES_MAX = 4096, JOBS_MAX = 4096, JOB_RUNS_MIN = 3, JOBS_AIMED_AT = 12 };

/* What several searches of parts of one world say together. */
struct collection {
	struct explore_sets sets;
	char (*lines)[LINE_BYTES]; /* owned */
	size_t line_count;
	uint64_t interleavings, jobs;
	bool complete;
	char complaint[LINE_BYTES]; /* the first; "" without any */
};

const char *search_name(enum search_kind kind)
{
	static const char *const names[SEARCH_KINDS] = { [SEARCH_PLAIN] = "plain dfs",
							 [SEARCH_SLEEP] = "dfs with sleep sets",
							 [SEARCH_DPOR] = "dpor",
							 [SEARCH_IN_JOBS] = "dpor in jobs",
							 [SEARCH_STATEFUL] = "visited states" };
	return names[kind];
}

static void unite(struct distinct *to, const struct distinct *from)
{
	for (size_t i = 0; i < from->capacity; i++)
		if (from->slots[i])
			distinct_add(to, from->slots[i]);
}

/* A wrong sector may be the fault of its copy or of its data: which of the two rules says so first
 * depends on the order in which the crash states of a class are met. */
static const char *rule_of(const struct verdict *verdict)
{
	bool is_content = verdict->rule == RULE_COW_COMPLETE || verdict->rule == RULE_OLD_OR_NEW;
	return is_content ? "content" : rule_name(verdict->rule);
}

/* Messages may name other requests in an equivalent order; rule and place may not differ. */
static void collect_violation(struct collection *all, const struct verdict *verdict)
{
	char *line = all->lines[all->line_count];
	ck_assert_uint_lt(all->line_count, LINES_MAX);
	if (verdict->guest_offset != NOWHERE)
		snprintf(line, LINE_BYTES, "%s guest %" PRIx64 "\n", rule_of(verdict),
			 verdict->guest_offset);
	else
		snprintf(line, LINE_BYTES, "%s host %" PRIx64 "\n", rule_of(verdict),
			 verdict->host_offset);
	all->line_count++;
}

static void collect(struct collection *all, const struct explore_sets *sets,
		    const struct explore_result *result)
{
	unite(&all->sets.classes, &sets->classes);
	unite(&all->sets.ends, &sets->ends);
	unite(&all->sets.states, &sets->states);
	for (size_t i = 0; i < result->violation_count; i++)
		collect_violation(all, &result->violations[i].verdict);
	all->interleavings += result->interleavings;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void sum_up(struct outcome *outcome, struct collection *all)
{
	qsort(all->lines, all->line_count, LINE_BYTES, by_text);
	for (size_t i = 0; i < all->line_count; i++)
		if (i == 0 || strcmp(all->lines[i], all->lines[i - 1]) != 0)
			strncat(outcome->found, all->lines[i],
				FOUND_BYTES - strlen(outcome->found) - 1);
	outcome->complete = all->complete;
	snprintf(outcome->complaint, sizeof(outcome->complaint), "%s", all->complaint);
	outcome->interleavings = all->interleavings;
	outcome->jobs = all->jobs;
	outcome->classes = all->sets.classes.count;
	outcome->class_checksum = all->sets.classes.checksum;
	outcome->duplicates = all->interleavings - all->sets.classes.count;
	outcome->ends = all->sets.ends.count;
	outcome->end_checksum = all->sets.ends.checksum;
	outcome->distinct = all->sets.states.count;
	outcome->distinct_checksum = all->sets.states.checksum;
}

/* Explore under `strategy`, at most `runs_max` runs. Returns whether that is all. */
static bool explore_some(struct collection *all, struct world *world, struct strategy *strategy,
			 struct order *order, enum search_kind kind, uint64_t runs_max)
{
	struct why why = { "" };
	struct explore_sets sets = { 0 };
	struct explore_result result;
	const struct explore_options options = {
		.models = CRASH_PREFIX | CRASH_TORN,
		.budget.runs = kind == SEARCH_IN_JOBS ? 0 : runs_max,
		.slice = kind == SEARCH_IN_JOBS ? runs_max : 0,
		.is_trial = kind == SEARCH_IN_JOBS ? strategy_dpor_is_trial : NULL,
		.count_distinct = true,
		.order = order,
		.judge_classes = kind != SEARCH_PLAIN && kind != SEARCH_STATEFUL,
		.sets = &sets,
	};
	enum status status = explore(world, strategy, &options, &result, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	if (result.complaint && !all->complaint[0])
		snprintf(all->complaint, sizeof(all->complaint), "%s", result.complaint);
	ck_assert_msg(!order->overflowed, "more tasks than clocks");
	collect(all, &sets, &result);
	bool is_complete = result.complete;
	explore_sets_release(&sets);
	explore_result_release(&result);
	return is_complete;
}

struct jobs {
	struct dpor_job *list; /* owned; JOBS_MAX */
	size_t count;
};

static void take_job(void *context, const struct dpor_job *job)
{
	struct jobs *jobs = context;
	ck_assert_uint_lt(jobs->count, JOBS_MAX);
	struct dpor_job *copy = &jobs->list[jobs->count++];
	*copy = *job;
	schedule_init(&copy->prefix);
	schedule_copy(&copy->prefix, &job->prefix);
}

/* Each job is cut off after a few runs; what is left of it becomes new jobs. */
static void search_in_jobs(struct collection *all, struct world *world, struct order *order,
			   uint64_t runs_max)
{
	struct jobs jobs = { .list = calloc(JOBS_MAX, sizeof(*jobs.list)) };
	uint64_t slice = JOB_RUNS_MIN;
	all->complete = true;
	take_job(&jobs, &(struct dpor_job){ 0 });
	while (jobs.count > 0 && all->interleavings <= runs_max && !all->complaint[0]) {
		struct dpor_job job = jobs.list[--jobs.count];
		bool is_whole = all->jobs++ == 0;
		struct strategy *strategy = strategy_dpor_new(order, is_whole ? NULL : &job);
		explore_some(all, world, strategy, order, SEARCH_IN_JOBS, slice);
		strategy_dpor_hand_back(strategy, take_job, &jobs);
		strategy_free(strategy);
		schedule_release(&job.prefix);
		if (all->jobs % JOBS_AIMED_AT == 0)
			slice *= 2;
	}
	all->complete = jobs.count == 0;
	while (jobs.count > 0)
		schedule_release(&jobs.list[--jobs.count].prefix);
	free(jobs.list);
}

static struct strategy *strategy_of(enum search_kind kind, struct world *world,
				    const struct order *order)
{
	struct state_source source = world_state_source(world);
	switch (kind) {
	case SEARCH_PLAIN: return strategy_dfs_new(false);
	case SEARCH_SLEEP: return strategy_dfs_new(true);
	case SEARCH_DPOR: return strategy_dpor_new(order, NULL);
	case SEARCH_STATEFUL: return strategy_stateful_new(&source, 0);
	case SEARCH_IN_JOBS:
	case SEARCH_KINDS: break;
	}
	return NULL;
}

void search(struct outcome *outcome, enum search_kind kind, const struct workload *workload,
	    const struct world_options *options, uint64_t runs_max)
{
	struct why why = { "" };
	struct world *world;
	struct world_options chosen = *options;
	struct collection all = { .lines = calloc(LINES_MAX, LINE_BYTES) };
	struct order order;
	*outcome = (struct outcome){ 0 };
	chosen.snapshot_every = WORLD_SNAPSHOTS_EVERY;
	ck_assert_msg(world_new(&world, workload, &chosen, &why) == STATUS_OK, "%s", why.text);
	order_init(&order);
	if (kind == SEARCH_IN_JOBS) {
		search_in_jobs(&all, world, &order, runs_max);
	} else {
		struct strategy *strategy = strategy_of(kind, world, &order);
		all.complete = explore_some(&all, world, strategy, &order, kind, runs_max);
		strategy_free(strategy);
	}
	sum_up(outcome, &all);
	if (kind == SEARCH_STATEFUL)
		outcome->classes = 0; /* it gives runs up in the middle */
	order_release(&order);
	world_free(world);
	explore_sets_release(&all.sets);
	free(all.lines);
}

/* A set as its size and its checksum. */
struct set {
	uint64_t count, checksum;
};

static bool sets_differ(const char *what, struct set a, struct set b, char *text, size_t text_bytes)
{
	if (a.count == b.count && a.checksum == b.checksum)
		return false;
	snprintf(text, text_bytes, "%" PRIu64 " %s, %" PRIu64 "%s", a.count, what, b.count,
		 a.count == b.count ? ", but others" : "");
	return true;
}

static bool all_sets_are_equal(const struct outcome *a, const struct outcome *b, char *text,
			       size_t text_bytes)
{
	struct set some = { a->classes, a->class_checksum };
	struct set others = { b->classes, b->class_checksum };
	if (a->classes && b->classes && sets_differ("classes", some, others, text, text_bytes))
		return false;
	some = (struct set){ a->ends, a->end_checksum };
	others = (struct set){ b->ends, b->end_checksum };
	if (sets_differ("ends", some, others, text, text_bytes))
		return false;
	some = (struct set){ a->distinct, a->distinct_checksum };
	others = (struct set){ b->distinct, b->distinct_checksum };
	return !sets_differ("crash states", some, others, text, text_bytes);
}

bool outcomes_are_equal(const struct outcome *a, const struct outcome *b, char *text,
			size_t text_bytes)
{
	const char *complaint = a->complaint[0] ? a->complaint : b->complaint;
	if (complaint[0]) {
		snprintf(text, text_bytes, "%s", complaint);
		return false;
	}
	/* A reference was seen to finish. */
	if (!b->complete) {
		snprintf(text, text_bytes, "%" PRIu64 " runs, more than %" PRIu64, a->interleavings,
			 b->interleavings);
		return false;
	}
	if (!all_sets_are_equal(a, b, text, text_bytes))
		return false;
	if (strcmp(a->found, b->found) == 0)
		return true;
	snprintf(text, text_bytes, "found:\n%.3000sand:\n%.3000s", a->found, b->found);
	return false;
}
