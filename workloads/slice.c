// SPDX-License-Identifier: MIT
/* Slices are counted in runs, not in seconds: then the jobs that come out of a job are always the
 * same, whoever does it and however often, and a job whose worker died can simply be done again.
 * For the same reason each slice has a judge of its own, although that looks again at crash states
 * that others have met: they are few.
 *
 * Trials, the runs that only find out what a sleeper of the job touches, do not count; a slice too
 * short for them would get nowhere. */
#include "workloads/slice.h"

#include "traces/memory.h"
#include "traces/schedule.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLEEPER_BYTES = 32, PICKS_BYTES = 48 };

char *slice_job_print(const struct dpor_job *job)
{
	char *schedule = schedule_print(&job->prefix);
	if (!schedule)
		abort();
	size_t room = strlen(schedule) + PICKS_BYTES + (size_t)job->sleeper_count * SLEEPER_BYTES;
	char *text = malloc(room);
	if (!text)
		abort();
	size_t used = (size_t)snprintf(text, room, "%s|%zu/%zu|", schedule, job->last_run,
				       job->prefix.count);
	for (uint32_t i = 0; i < job->sleeper_count; i++) {
		const struct dpor_sleeper *sleeper = &job->sleepers[i];
		const char *comma = i ? "," : "";
		if (sleeper->picks == DPOR_ALL)
			used += (size_t)snprintf(text + used, room - used, "%s%" PRIu32 ":*", comma,
						 sleeper->actor);
		else
			used += (size_t)snprintf(text + used, room - used, "%s%" PRIu32 ":%" PRIx64,
						 comma, sleeper->actor, sleeper->picks);
	}
	free(schedule);
	return text;
}

/* A number without sign up to `most` at `*text`, which moves behind it. */
static bool take_number(const char **text, int base, uint64_t most, uint64_t *number)
{
	char *end = NULL;
	const char *digits = base == 16 ? "0123456789abcdef" : "0123456789";
	size_t count = strspn(*text, digits);
	if (!count || count > (base == 16 ? 16 : 19))
		return false;
	*number = strtoull(*text, &end, base);
	*text += count;
	return *number <= most;
}

static bool take_letter(const char **text, char letter)
{
	bool is_there = **text == letter;
	*text += is_there;
	return is_there;
}

static bool take_sleeper(const char **text, struct dpor_job *job)
{
	uint64_t actor = 0;
	struct dpor_sleeper *sleeper = &job->sleepers[job->sleeper_count];
	if (job->sleeper_count == DPOR_SLEEPERS_MAX || !take_number(text, 10, UINT32_MAX, &actor) ||
	    !take_letter(text, ':'))
		return false;
	sleeper->actor = (uint32_t)actor;
	sleeper->picks = DPOR_ALL;
	job->sleeper_count++;
	return take_letter(text, '*') || take_number(text, 16, UINT64_MAX, &sleeper->picks);
}

/* What stands behind the schedule. */
static bool take_rest(const char *text, struct dpor_job *job)
{
	uint64_t last = 0, picks = 0;
	if (!take_letter(&text, '|') || !take_number(&text, 10, SCHEDULE_PICKS_MAX, &last) ||
	    !take_letter(&text, '/') || !take_number(&text, 10, SCHEDULE_PICKS_MAX, &picks) ||
	    !take_letter(&text, '|') || job->prefix.count > picks || (picks && last >= picks))
		return false;
	while (job->prefix.count < picks)
		schedule_append(&job->prefix, 0, 0);
	job->last_run = (size_t)last;
	while (*text) {
		if (job->sleeper_count && !take_letter(&text, ','))
			return false;
		if (!take_sleeper(&text, job))
			return false;
	}
	return picks || !job->sleeper_count;
}

enum status slice_job_parse(struct dpor_job *job, const char *text, struct why *why)
{
	size_t schedule_bytes = strcspn(text, "|");
	char *schedule = memory_text(text, schedule_bytes);
	job->last_run = 0;
	job->sleeper_count = 0;
	enum status status = schedule_parse(&job->prefix, schedule, why);
	free(schedule);
	if (status == STATUS_OK && !take_rest(text + schedule_bytes, job))
		status = why_set(why, STATUS_BAD_INPUT, "'%.200s' is no job of a search", text);
	return status;
}

/* Who takes what is handed back. */
struct taker {
	char **texts; /* owned, and so are they */
	size_t count, capacity;
};

static void take_job(void *context, const struct dpor_job *job)
{
	struct taker *taker = context;
	taker->texts = memory_grow(taker->texts, &taker->capacity, taker->count + 1,
				   sizeof(*taker->texts));
	taker->texts[taker->count++] = slice_job_print(job);
}

/* Open what the strategy has not explored, the job that it would have come to first on top. */
static void hand_back(struct strategy *strategy, double weight, struct ledger *part)
{
	struct taker taker = { 0 };
	strategy_dpor_hand_back(strategy, take_job, &taker);
	for (size_t i = taker.count; i-- > 0;) {
		ledger_open(part, taker.texts[i], weight / (double)taker.count, 0);
		free(taker.texts[i]);
	}
	free(taker.texts);
}

/* Tells how far the strategy is beside what the search found. */
struct watcher {
	const struct slice_options *options;
	const struct strategy *strategy;
};

static void watch(void *context, const struct explore_result *so_far)
{
	const struct watcher *watcher = context;
	watcher->options->progress(watcher->options->progress_context, so_far,
				   strategy_dpor_progress(watcher->strategy));
}

static enum status explore_slice(struct world *world, struct strategy *strategy,
				 const struct slice_options *options, struct order *order,
				 struct ledger *part, struct why *why)
{
	struct explore_result result;
	struct explore_sets sets = { 0 };
	struct watcher watcher = { options, strategy };
	const struct explore_options wanted = {
		.budget = options->budget,
		.slice = options->executions,
		.is_trial = strategy_dpor_is_trial,
		.stop = options->stop,
		.models = options->models,
		.sector_bytes = options->sector_bytes,
		.count_distinct = true,
		.list_dirty = options->list_dirty,
		.order = order,
		.judge_classes = true,
		.sets = &sets,
		.progress = options->progress ? watch : NULL,
		.progress_context = &watcher,
	};
	enum status status = explore(world, strategy, &wanted, &result, why);
	if (status != STATUS_OK)
		return status;
	ledger_enter(part, &result, &sets);
	explore_sets_release(&sets);
	explore_result_release(&result);
	return STATUS_OK;
}

enum status slice_explore(struct world *world, const struct open_job *job,
			  const struct slice_options *options, struct ledger *part, struct why *why)
{
	struct dpor_job parsed = { 0 };
	struct strategy *strategy = NULL;
	struct order order;
	order_init(&order);
	schedule_init(&parsed.prefix);
	enum status status = slice_job_parse(&parsed, job->text, why);
	if (status != STATUS_OK)
		goto out;
	strategy = strategy_dpor_new(&order, &parsed);
	if (!strategy) {
		status = why_set(why, STATUS_NO_MEMORY, "out of memory");
		goto out;
	}
	status = explore_slice(world, strategy, options, &order, part, why);
	if (status != STATUS_OK)
		goto out;
	double left = job->weight * (1 - strategy_dpor_progress(strategy));
	if (!part->complaint[0])
		hand_back(strategy, left, part);
	struct dpor_counts counts = strategy_dpor_counts(strategy);
	part->blocked += counts.blocked;
	part->trials += counts.trials;
out:
	strategy_free(strategy);
	order_release(&order);
	schedule_release(&parsed.prefix);
	return status;
}
