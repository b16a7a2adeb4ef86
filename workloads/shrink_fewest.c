// SPDX-License-Identifier: MIT
/* How many switches does a bug need? All runs with at most 0, 1, 2, ... of them are searched until
 * one breaks the rule. There are many such runs, but few states:
 *
 *      (state, whose step was the last, switches so far)
 *
 * decides what may follow within a bound, so the search goes over these as strategy_stateful.c does
 * over states, and leaves a run where one more switch would be too many. It leaves a run, too,
 * where the rule is seen to be broken, and that is the answer: all lower bounds were searched to
 * their end. When a bound on runs ends the search first, the answer is "at most". */
#include "workloads/shrink_fewest.h"

#include "injector/splitmix.h"
#include "workloads/seconds.h"

/* Follows `inner` as long as the switches last; looks at the state after each step. */
struct bounded {
	struct strategy base;
	struct strategy *inner; /* owned */
	const struct state_source *states;
	const struct subject *subject;
	struct look *look;
	uint64_t bound;
	uint64_t switches; /* in this run */
	uint32_t last;     /* whose step was the last; 0: there was none */
	size_t steps;
	bool is_broken;
};

static struct bounded *bounded_of(struct strategy *strategy)
{
	return (struct bounded *)strategy;
}

static struct state_hash hash_with_switches(void *context)
{
	const struct bounded *run = context;
	struct state_hash hash = run->states->hash(run->states->context);
	hash.words[0] ^= splitmix_mix(run->switches << 32 | run->last);
	return hash;
}

/* Is the rule broken by what has happened so far? Nothing is asked twice. */
static bool is_broken_now(struct bounded *run)
{
	if (run->steps > run->inner->ops->kept_steps(run->inner))
		run->is_broken |= look_sees(run->look, run->subject->log(run->subject->context));
	return run->is_broken;
}

/* A step of `actor` begins. False: that would be a switch too many. */
static bool count_step(struct bounded *run, uint32_t actor)
{
	run->switches += run->last && run->last != actor;
	run->last = actor;
	run->steps++;
	return run->switches <= run->bound;
}

static bool bounded_begin(struct strategy *strategy)
{
	struct bounded *run = bounded_of(strategy);
	if (!run->inner->ops->begin(run->inner))
		return false;
	run->switches = run->steps = run->last = 0;
	run->is_broken = false;
	look_begin(run->look);
	return true;
}

static uint32_t bounded_pick(struct strategy *strategy, const struct choice_point *point)
{
	struct bounded *run = bounded_of(strategy);
	if (point->kind == CHOICE_RUN && is_broken_now(run))
		return CHOICE_ABANDON;
	uint32_t pick = run->inner->ops->pick(run->inner, point);
	if (pick == CHOICE_ABANDON || point->kind != CHOICE_RUN)
		return pick;
	return count_step(run, point->actors[pick]) ? pick : CHOICE_ABANDON;
}

static bool bounded_forced(struct strategy *strategy, uint32_t actor)
{
	struct bounded *run = bounded_of(strategy);
	return !is_broken_now(run) && run->inner->ops->forced(run->inner, actor) &&
	       count_step(run, actor);
}

static void bounded_step_done(struct strategy *strategy, uint32_t actor,
			      const struct footprint *footprint)
{
	struct bounded *run = bounded_of(strategy);
	run->inner->ops->step_done(run->inner, actor, footprint);
}

static bool bounded_is_complete(const struct strategy *strategy)
{
	const struct strategy *inner = ((const struct bounded *)strategy)->inner;
	return inner->ops->is_complete(inner);
}

static const char *bounded_complaint(const struct strategy *strategy)
{
	const struct strategy *inner = ((const struct bounded *)strategy)->inner;
	return inner->ops->complaint(inner);
}

static const struct strategy_ops bounded_ops = {
	.name = "bounded",
	.begin = bounded_begin,
	.pick = bounded_pick,
	.forced = bounded_forced,
	.step_done = bounded_step_done,
	.is_complete = bounded_is_complete,
	.complaint = bounded_complaint,
};

static bool may_go_on(const struct fewest *fewest, const struct fewest_options *options)
{
	return !(options->stop && *options->stop) &&
	       !(options->deadline > 0 && seconds_now() >= options->deadline) &&
	       (!options->runs || fewest->runs < options->runs);
}

/* Search all runs with so many switches. True: one was found, or there is none. */
static bool search(struct fewest *fewest, struct schedule *schedule, struct bounded *run,
		   const struct fewest_options *options)
{
	struct choice choice;
	choice_init(&choice, &run->base, NULL);
	while (!fewest->is_found && may_go_on(fewest, options) && choice_begin(&choice)) {
		enum run_end end = run->subject->run(run->subject->context, &choice);
		fewest->runs++;
		if (!choice.abandoned && end != RUN_PRUNED)
			(void)is_broken_now(run);
		if (run->is_broken) {
			fewest->is_found = true;
			schedule_copy(schedule, &choice.taken);
		}
		choice_end(&choice, end, 0);
	}
	choice_release(&choice);
	return fewest->is_found ||
	       (bounded_is_complete(&run->base) && !bounded_complaint(&run->base));
}

enum status fewest_find(struct fewest *fewest, struct schedule *schedule,
			const struct subject *subject, const struct fewest_options *options,
			struct why *why)
{
	struct look look;
	size_t file_count = 0;
	const struct trace_file *files = subject->files(subject->context, &file_count);
	struct bounded run = { .base.ops = &bounded_ops,
			       .states = options->states,
			       .subject = subject,
			       .look = &look };
	const struct state_source source = { hash_with_switches, &run };
	*fewest = (struct fewest){ .switches = options->switches_known, .is_decided = true };
	enum status status = look_init(&look, files, file_count, &options->look, why);
	for (; status == STATUS_OK && fewest->is_decided && !fewest->is_found &&
	       run.bound < options->switches_known;
	     run.bound++) {
		run.inner = strategy_stateful_new(&source, 0);
		if (!run.inner) {
			status = why_set(why, STATUS_NO_MEMORY, "out of memory");
			break;
		}
		fewest->is_decided = search(fewest, schedule, &run, options);
		if (fewest->is_found)
			fewest->switches = run.bound;
		strategy_free(run.inner);
	}
	look_release(&look);
	return status;
}
