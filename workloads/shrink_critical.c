// SPDX-License-Identifier: MIT
/* When is it too late? After step k of a run *every continuation fails* if no run that begins with
 * these k steps keeps the rule. That can only become true once, on the way from "the workload can
 * go well" to "it went wrong", so the step at which it does is found by halving: about six
 * questions for a run of sixty steps.
 *
 * A question is a search for one continuation that is clean:
 *
 *      o--o--o--o          k steps of the run, as recorded
 *               |\         from there depth first over states; a state in which the rule is seen
 *               o o        to be broken is left at once, and so is one that was met before
 *               x |        (x: broken)
 *                 o        the end of a run, and all was well: after step k it is not too late
 *
 * Leaving at the first broken state is what makes leaving visited states safe: each state that was
 * entered was reached by a clean way, so what follows from it is all that matters of it. When there
 * is nothing left to enter, every continuation fails: that is a proof, not a guess. When a bound
 * ends the search first, nothing is known of step k.
 *
 * Where states cannot be told apart (foreign programs, builds with AddressSanitizer) every order is
 * run instead, and the bound is met sooner. */
#include "workloads/shrink_critical.h"

#include "traces/memory.h"
#include "workloads/seconds.h"

#include <stdlib.h>
#include <string.h>

/* A step of the recorded run. */
struct known_step {
	uint32_t actor;
	size_t events_begin; /* in its log; a foreign program's is written at the end only */
	size_t choice;       /* number of its choice in the log, from 0; SIZE_MAX: it had none */
};

/* Follows the recorded run for some steps, then `inner`; looks at the state after each step. */
struct continuation {
	struct strategy base;
	struct strategy *inner;        /* owned; NULL: the recorded run to its end */
	const struct subject *subject; /* borrowed, like all below */
	const struct critical_options *options;
	struct look *look;
	size_t steps_kept;
	size_t steps; /* begun in this run */
	size_t picks; /* taken from the schedule */
	bool is_broken;
	struct known_step *known; /* owned; of the recorded run */
	size_t known_count, known_capacity;
	bool begun;
};

/* A search for the critical step. */
struct critical_search {
	const struct subject *subject;
	const struct critical_options *options;
	struct critical *critical;
	struct look look;
	struct continuation recorded; /* of which only `known` is used afterwards */
};

enum answer { ANSWER_CLEAN, ANSWER_DOOMED, ANSWER_UNKNOWN };

static struct continuation *continuation_of(struct strategy *strategy)
{
	return (struct continuation *)strategy;
}

/* Is the rule broken by what has happened so far? */
static bool look(struct continuation *run)
{
	run->is_broken |= look_sees(run->look, run->subject->log(run->subject->context));
	return run->is_broken;
}

static bool is_recorded(const struct continuation *run)
{
	return !run->inner || run->steps < run->steps_kept;
}

static void note_step(struct continuation *run, uint32_t actor, size_t choice)
{
	if (run->inner)
		return;
	run->known = memory_grow(run->known, &run->known_capacity, run->known_count + 1,
				 sizeof(*run->known));
	run->known[run->known_count++] = (struct known_step){
		.actor = actor,
		.events_begin = run->subject->log(run->subject->context)->count,
		.choice = choice,
	};
}

static bool continuation_begin(struct strategy *strategy)
{
	struct continuation *run = continuation_of(strategy);
	if (run->inner ? !run->inner->ops->begin(run->inner) : run->begun)
		return false;
	run->begun = true;
	run->steps = run->picks = 0;
	run->is_broken = false;
	look_begin(run->look);
	return true;
}

static uint32_t recorded_pick(struct continuation *run, const struct choice_point *point)
{
	const struct schedule *schedule = run->options->schedule;
	size_t number = run->picks++;
	uint32_t pick = number < schedule->count ? schedule->steps[number].pick : 0;
	return pick < point->count ? pick : CHOICE_ABANDON;
}

static uint32_t continuation_pick(struct strategy *strategy, const struct choice_point *point)
{
	struct continuation *run = continuation_of(strategy);
	if (point->kind != CHOICE_RUN)
		return !run->inner || run->steps <= run->steps_kept
			       ? recorded_pick(run, point)
			       : run->inner->ops->pick(run->inner, point);
	bool follows = is_recorded(run);
	if (!follows || !run->inner)
		if (look(run))
			return CHOICE_ABANDON;
	uint32_t pick =
		follows ? recorded_pick(run, point) : run->inner->ops->pick(run->inner, point);
	if (pick == CHOICE_ABANDON)
		return pick;
	note_step(run, point->actors[pick], run->picks - 1);
	run->steps++;
	return pick;
}

static bool continuation_forced(struct strategy *strategy, uint32_t actor)
{
	struct continuation *run = continuation_of(strategy);
	bool follows = is_recorded(run);
	if ((!follows || !run->inner) && look(run))
		return false;
	if (!follows && run->inner->ops->forced && !run->inner->ops->forced(run->inner, actor))
		return false;
	note_step(run, actor, SIZE_MAX);
	run->steps++;
	return true;
}

static void continuation_step_done(struct strategy *strategy, uint32_t actor,
				   const struct footprint *footprint)
{
	struct continuation *run = continuation_of(strategy);
	if (run->inner && run->steps > run->steps_kept && run->inner->ops->step_done)
		run->inner->ops->step_done(run->inner, actor, footprint);
}

static bool continuation_is_complete(const struct strategy *strategy)
{
	const struct strategy *inner = ((const struct continuation *)strategy)->inner;
	return inner && inner->ops->is_complete(inner);
}

static const char *continuation_complaint(const struct strategy *strategy)
{
	const struct strategy *inner = ((const struct continuation *)strategy)->inner;
	return inner ? inner->ops->complaint(inner) : NULL;
}

static const struct strategy_ops continuation_ops = {
	.name = "continuation",
	.begin = continuation_begin,
	.pick = continuation_pick,
	.forced = continuation_forced,
	.step_done = continuation_step_done,
	.is_complete = continuation_is_complete,
	.complaint = continuation_complaint,
};

/* The recorded run is executed whatever the bounds are. */
static bool may_go_on(const struct critical_search *search)
{
	const struct critical_options *options = search->options;
	return !(options->stop && *options->stop) &&
	       !(options->deadline > 0 && seconds_now() >= options->deadline) &&
	       (!options->runs || search->critical->runs < options->runs);
}

/* Execute the strategy's runs until one is clean. */
static enum status find_clean(struct critical_search *search, struct continuation *run,
			      enum answer *answer, struct why *why)
{
	struct choice choice;
	const struct subject *subject = search->subject;
	enum status status = STATUS_OK;
	*answer = ANSWER_UNKNOWN;
	choice_init(&choice, &run->base, NULL);
	while (status == STATUS_OK && *answer == ANSWER_UNKNOWN &&
	       (!run->inner || may_go_on(search)) && choice_begin(&choice)) {
		enum run_end end = subject->run(subject->context, &choice);
		search->critical->runs++;
		if (subject->status)
			status = subject->status(subject->context, why);
		if (status == STATUS_OK && !choice.abandoned && end != RUN_PRUNED && !look(run))
			*answer = ANSWER_CLEAN;
		choice_end(&choice, end, 0);
	}
	if (*answer == ANSWER_UNKNOWN && continuation_is_complete(&run->base) &&
	    !continuation_complaint(&run->base))
		*answer = ANSWER_DOOMED;
	choice_release(&choice);
	return status;
}

static struct continuation continuation_new(struct critical_search *search, struct strategy *inner,
					    size_t steps_kept)
{
	return (struct continuation){
		.base.ops = &continuation_ops,
		.inner = inner,
		.subject = search->subject,
		.options = search->options,
		.look = &search->look,
		.steps_kept = steps_kept,
	};
}

/* Is there a way out after so many steps? */
static enum status ask(struct critical_search *search, size_t steps, enum answer *answer,
		       struct why *why)
{
	const struct state_source *states = search->options->states;
	struct strategy *inner =
		states ? strategy_stateful_new(states, 0) : strategy_dfs_new(false);
	if (!inner)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	struct continuation run = continuation_new(search, inner, steps);
	enum status status = find_clean(search, &run, answer, why);
	strategy_free(inner);
	return status;
}

/* Execute the recorded run: its steps, up to where the rule is broken. */
static enum status follow(struct critical_search *search, struct why *why)
{
	enum answer answer = ANSWER_UNKNOWN;
	free(search->recorded.known);
	search->recorded = continuation_new(search, NULL, 0);
	enum status status = find_clean(search, &search->recorded, &answer, why);
	if (status == STATUS_OK && !search->recorded.is_broken)
		return why_set(why, STATUS_DIVERGED, "the run does not break %s any more",
			       rule_name(search->options->look.rule));
	search->critical->step_count = search->recorded.known_count;
	return status;
}

/* How much a kind of event says about a step. */
static unsigned telling(const struct event *event)
{
	switch ((enum event_kind)event->kind) {
	case EVENT_FAULT: return 6;
	case EVENT_IO_EFFECT: return 5;
	case EVENT_REQUEST_COMPLETED:
	case EVENT_REQUEST_INVOKED: return 4;
	case EVENT_WAIT: return 3;
	case EVENT_IO_COMPLETED: return 2;
	case EVENT_IO_SUBMITTED: return 1;
	case EVENT_SWITCH:
	case EVENT_CHOICE:
	case EVENT_END: return 0;
	}
	return 0;
}

/* The first event at or behind that of choice number `choice`. */
static size_t find_choice(const struct event_log *log, size_t choice)
{
	for (size_t i = 0; i < log->count && choice != SIZE_MAX; i++)
		if (log->events[i].kind == EVENT_CHOICE && choice-- == 0)
			return i;
	return log->count;
}

/* The events of step number `index`, from 0; the log is that of the recorded run. */
static void find_step(const struct critical_search *search, size_t index, size_t *begin,
		      size_t *end)
{
	const struct continuation *recorded = &search->recorded;
	const struct event_log *log = search->subject->log(search->subject->context);
	const struct known_step *step = &recorded->known[index];
	bool is_last = index + 1 == recorded->known_count;
	*begin = step->events_begin;
	*end = is_last ? log->count : step[1].events_begin;
	if (!search->subject->status)
		return;
	*begin = find_choice(log, step->choice);
	*end = *begin;
	while (*end < log->count && (*end == *begin || log->events[*end].kind != EVENT_CHOICE))
		++*end;
}

/* Say what happens in the critical step. */
static void describe(struct critical_search *search)
{
	struct critical *critical = search->critical;
	const struct continuation *recorded = &search->recorded;
	const struct event_log *log = search->subject->log(search->subject->context);
	const struct event *best = NULL;
	if (critical->step == 0)
		return;
	size_t begin, end;
	find_step(search, critical->step - 1, &begin, &end);
	critical->actor = recorded->known[critical->step - 1].actor;
	for (size_t i = begin; i < end; i++) {
		const struct event *event = &log->events[i];
		/* A program's other threads do not stand still; its requests are nobody's. */
		if (event->actor && event->actor != critical->actor)
			continue;
		if (telling(event) > (best ? telling(best) : 0))
			best = event;
	}
	if (best)
		event_format(critical->event, sizeof(critical->event), log, best);
}

/* Halve the steps between one after which all may be well and one after which nothing can. A step
 * of which nothing is known is passed by on the side of caution: the answer is then "at the
 * latest". */
static enum status halve(struct critical_search *search, struct why *why)
{
	struct critical *critical = search->critical;
	size_t from = 0; /* the first step that is not known to be clean */
	critical->step = critical->step_count;
	critical->last_clean = SIZE_MAX;
	while (from < critical->step) {
		size_t middle = from + (critical->step - from) / 2;
		enum answer answer = ANSWER_UNKNOWN;
		enum status status = ask(search, middle, &answer, why);
		if (status != STATUS_OK)
			return status;
		if (answer == ANSWER_CLEAN)
			critical->last_clean = middle;
		if (answer == ANSWER_DOOMED)
			critical->step = middle;
		else
			from = middle + 1;
		if (!may_go_on(search))
			break;
	}
	critical->is_decided = critical->step == 0 || critical->last_clean == critical->step - 1;
	return STATUS_OK;
}

enum status critical_find(struct critical *critical, const struct subject *subject,
			  const struct critical_options *options, struct why *why)
{
	size_t file_count = 0;
	const struct trace_file *files = subject->files(subject->context, &file_count);
	struct critical_search search = { .subject = subject,
					  .options = options,
					  .critical = critical };
	*critical = (struct critical){ .last_clean = SIZE_MAX };
	enum status status = look_init(&search.look, files, file_count, &options->look, why);
	if (status == STATUS_OK)
		status = follow(&search, why);
	if (status == STATUS_OK)
		status = halve(&search, why);
	/* The log is that of the last continuation by now. */
	if (status == STATUS_OK)
		status = follow(&search, why);
	if (status == STATUS_OK)
		describe(&search);
	free(search.recorded.known);
	look_release(&search.look);
	return status;
}
