// SPDX-License-Identifier: MIT
/* Source-DPOR with sleep sets (Abdulla, Aronis, Jonsson, Sagonas: Optimal dynamic partial order
 * reduction, POPL 2014).
 *
 * The search begins like a depth-first search that never branches. Branches come from races: two
 * conflicting steps f ... e of a run that nothing else orders (order.c). Somewhere there must be a
 * run in which e comes before f, and it must branch off at the node where f was chosen:
 *
 *      o----f----a----b----e      a does not depend on f, b does.
 *      |                          v = a e: what can happen without f.
 *      +----a----e----f ...       initials of v: those of its actors who can begin it (here a's)
 *
 * If one of the initials is already explored there, or to be, or asleep, then so is some order of
 * v, and nothing is to be done; else one of them is added. That is a source set: no initial left
 * out that anything begins with.
 *
 * It is tempting to ask as well whether somebody sleeps there who is not in v and touches nothing
 * that v touches, for all that begins with v can then be put behind that step. But that is true of
 * v only, not of what may come behind it; optimal DPOR, which asks it, keeps whole sequences to
 * be explored (wake-up trees) where source sets keep one actor. Tried without those, it lost two
 * classes of three.
 *
 * Sleep sets do the rest, as in strategy_dfs.c: an actor whose step was explored at a node sleeps
 * in the branches that come after it, until a conflicting step wakes it. A node where all actors
 * sleep ends the run: it is *blocked*, that is wasted. Each class is completed once.
 *
 * Why a step may be judged by the footprint it had in the present run, although it may do something
 * else in another: two steps that ran one after the other without conflict do the same in the other
 * order, so a run's class is made of its own footprints; and whatever e turns out to do when it
 * comes earlier, its races are found then.
 *
 * Mutexes: order.c says which step e races with. Two kinds of races are never seen, because a step
 * is missing. Somebody who waits for a mutex to the end of the run might have taken it before its
 * holder did. And what would have come behind a step that ended the run might have come before it.
 * In both cases all that can go on at the earlier step's node is explored.
 *
 * Faults are decided inside a step; each decision is a node of its own that explores all options.
 * Each *variant* of the step that this makes sleeps on its own, by what it touched. An actor of
 * which only some variants sleep runs again, and the run is given up when it turns out to be one of
 * those.
 *
 * Jobs: a search can begin behind a prefix that is not its business, and hand back what it has not
 * explored. The nodes handed back are expanded in full (every actor that is neither asleep nor
 * explored becomes a job), so nobody ever has to add a branch to somebody else's node. The price is
 * a few blocked runs. Who sleeps at the end of a prefix is known by name only: the search runs such
 * an actor's step once, as a *trial*, to see its footprint, and gives the run up.
 */
#include "injector/strategy_dpor.h"

#include "injector/dpor_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct dpor *dpor_of(struct strategy *strategy)
{
	return (struct dpor *)strategy;
}

/** Make room for one more element; memory is the only bound of a search. */
static void *grown(void *array, size_t count, size_t *capacity, size_t element_bytes)
{
	if (count < *capacity)
		return array;
	*capacity = *capacity ? 2 * *capacity : 64;
	void *larger = realloc(array, *capacity * element_bytes);
	if (!larger)
		abort();
	return larger;
}

/* ---- between two runs ---- */

static void push_index(uint32_t **array, size_t *count, size_t *capacity, size_t index)
{
	*array = grown(*array, *count, capacity, sizeof(**array));
	(*array)[(*count)++] = (uint32_t)index;
}

/** Add a variant of the step just run at the top CHOICE_RUN node. With `sleeps` it sleeps there
 * from now on. */
static void add_variant(struct dpor *dpor, const struct footprint *footprint, uint64_t picks,
			bool sleeps)
{
	struct dpor_node *node = dpor_run_node(dpor, dpor->run_count - 1);
	uint32_t actor = dpor_option(dpor, node, node->pick)->actor;
	size_t group = dpor->variant_count;
	while (group > node->variants && dpor->variants[group - 1].actor == actor)
		group--;
	dpor->variants = grown(dpor->variants, dpor->variant_count, &dpor->variant_capacity,
			       sizeof(*dpor->variants));
	struct variant *variant = &dpor->variants[dpor->variant_count];
	variant->actor = actor;
	variant->group = (uint32_t)group;
	variant->count = 0;
	variant->picks = picks;
	variant->is_trial = dpor->is_trial;
	footprint_copy(&variant->footprint, footprint);
	dpor->variants[group].count++;
	dpor->variant_count++;
	if (!sleeps)
		return;
	push_index(&dpor->sleepers, &dpor->sleeper_count, &dpor->sleeper_capacity,
		   dpor->variant_count - 1);
	node->sleeper_count++;
}

void dpor_want_all(const struct dpor *dpor, const struct dpor_node *node)
{
	for (uint32_t i = 0; i < node->count && !node->closed; i++)
		dpor_option(dpor, node, i)->wanted = true;
}

/** The last run ended inside a step: that variant may touch anything, so it never sleeps, and the
 * step as a whole does not. */
static void spoil_open_step(struct dpor *dpor)
{
	static const struct footprint everything = { .everything = true };
	if (!dpor->step_open)
		return;
	add_variant(dpor, &everything, DPOR_ALL, true);
	dpor_want_all(dpor, dpor_run_node(dpor, dpor->run_count - 1));
}

void dpor_pop(struct dpor *dpor)
{
	const struct dpor_node *node = &dpor->nodes[--dpor->node_count];
	if (node->kind != CHOICE_RUN)
		return;
	dpor->variant_count = node->variants;
	dpor->sleeper_count = node->sleepers;
	dpor->option_count = node->options;
	dpor->run_count--;
}

/** The option to explore next at a CHOICE_RUN node, or its count: none. Trials come first. */
static uint32_t next_option(const struct dpor *dpor, const struct dpor_node *node)
{
	for (uint32_t i = 0; i < node->count; i++)
		if (dpor_option(dpor, node, i)->trial)
			return i;
	for (uint32_t i = 0; i < node->count; i++) {
		const struct option *option = dpor_option(dpor, node, i);
		if (option->wanted && !option->explored && !option->asleep)
			return i;
	}
	return node->count;
}

/** Begin option `pick` of a CHOICE_RUN node. */
static void take_option(struct dpor *dpor, struct dpor_node *node, uint32_t pick)
{
	struct option *option = dpor_option(dpor, node, pick);
	node->pick = pick;
	dpor->is_trial = option->trial;
	option->explored = !option->trial;
}

/** Give the top node its next pick; false when it has none. */
static bool advance(struct dpor *dpor)
{
	struct dpor_node *node = &dpor->nodes[dpor->node_count - 1];
	if (node->kind == CHOICE_FAULT)
		return !node->closed && ++node->pick < node->count;
	dpor_option(dpor, node, node->pick)->trial = false;
	uint32_t next = next_option(dpor, node);
	if (next < node->count)
		take_option(dpor, node, next);
	return next < node->count;
}

static size_t dpor_kept_steps(const struct strategy *strategy)
{
	const struct dpor *dpor = (const struct dpor *)strategy;
	return dpor->node_count ? dpor->nodes[dpor->node_count - 1].step : 0;
}

static void dpor_skip(struct strategy *strategy, size_t steps)
{
	struct dpor *dpor = dpor_of(strategy);
	assert(steps < dpor->run_count || steps == 0);
	dpor->depth = steps ? dpor->run_nodes[steps] : 0;
}

/* ---- during a run ---- */

static bool is_live(const struct dpor *dpor)
{
	return dpor->depth == dpor->node_count;
}

static uint32_t complain(struct dpor *dpor, const struct choice_point *point)
{
	const struct dpor_node *node = &dpor->nodes[dpor->depth];
	snprintf(dpor->complaint, sizeof(dpor->complaint),
		 "diverged at step %zu: the same picks led to %u options before, to %u now",
		 node->step, node->count, point->count);
	return CHOICE_ABANDON;
}

static uint32_t repeat(struct dpor *dpor, const struct choice_point *point)
{
	const struct dpor_node *node = &dpor->nodes[dpor->depth];
	bool is_run = node->kind == CHOICE_RUN;
	if (node->kind != point->kind || node->count != point->count ||
	    (is_run && dpor_option(dpor, node, node->pick)->actor != point->actors[node->pick]))
		return complain(dpor, point);
	dpor->step_open |= is_run;
	dpor->depth++;
	return node->pick;
}

/** Do all variants of what `actor` would do now sleep? They are among those of any one group: with
 * fewer faults left there are fewer. */
static bool is_asleep(const struct dpor *dpor, uint32_t actor)
{
	uint32_t count = 0;
	for (size_t i = 0; i < dpor->asleep_count; i++) {
		const struct variant *variant = &dpor->variants[dpor->asleep[i]];
		if (variant->actor != actor)
			continue;
		bool same_group = i > 0 && count > 0 &&
				  dpor->variants[dpor->asleep[i - 1]].group == variant->group;
		count = same_group ? count + 1 : 1;
		if (count == dpor->variants[variant->group].count)
			return true;
	}
	return false;
}

static bool is_in_prefix(const struct dpor *dpor)
{
	return dpor->prefix_used < dpor->job.prefix.count && !dpor->is_trial;
}

/** Push a node; its options are still to be filled in. */
static struct dpor_node *push(struct dpor *dpor, const struct choice_point *point)
{
	dpor->nodes =
		grown(dpor->nodes, dpor->node_count, &dpor->node_capacity, sizeof(*dpor->nodes));
	struct dpor_node *node = &dpor->nodes[dpor->node_count++];
	*node = (struct dpor_node){ .kind = point->kind,
				    .count = point->count,
				    .step = dpor->run_count,
				    .options = dpor->option_count,
				    .variants = dpor->variant_count,
				    .sleepers = dpor->sleeper_count };
	dpor->depth = dpor->node_count;
	return node;
}

static void add_options(struct dpor *dpor, const struct choice_point *point)
{
	for (uint32_t i = 0; i < point->count; i++) {
		dpor->options = grown(dpor->options, dpor->option_count, &dpor->option_capacity,
				      sizeof(*dpor->options));
		dpor->options[dpor->option_count++] =
			(struct option){ .actor = point->actors[i],
					 .asleep = is_asleep(dpor, point->actors[i]) };
	}
}

static void add_sleepers(struct dpor *dpor, struct dpor_node *node)
{
	for (size_t i = 0; i < dpor->asleep_count; i++)
		push_index(&dpor->sleepers, &dpor->sleeper_count, &dpor->sleeper_capacity,
			   dpor->asleep[i]);
	node->sleeper_count = dpor->asleep_count;
}

/** A node of the job's prefix: one option is wanted, and at the last such node the job says who
 * sleeps. */
static void close_node(struct dpor *dpor, struct dpor_node *node)
{
	uint32_t pick = 0;
	node->closed = true;
	if (node->count > 1) {
		bool is_last = dpor->prefix_used == dpor->job.last_run;
		pick = dpor->job.prefix.steps[dpor->prefix_used++].pick;
		for (uint32_t i = 0; i < node->count && is_last; i++) {
			struct option *option = dpor_option(dpor, node, i);
			for (uint32_t j = 0; j < dpor->job.sleeper_count; j++)
				option->trial |= option->actor == dpor->job.sleepers[j].actor;
			option->asleep = option->trial && i != pick;
		}
	}
	if (pick < node->count)
		dpor_option(dpor, node, pick)->wanted = true;
}

/** Want an option of a new node: the first that is awake, if there is one. */
static void want_one(struct dpor *dpor, const struct dpor_node *node)
{
	for (uint32_t i = 0; i < node->count; i++) {
		if (dpor_option(dpor, node, i)->asleep)
			continue;
		dpor_option(dpor, node, i)->wanted = true;
		return;
	}
}

/** A new node where an actor is chosen: CHOICE_ABANDON when all sleep. */
static uint32_t choose_actor(struct dpor *dpor, const struct choice_point *point)
{
	bool is_prefix = is_in_prefix(dpor);
	struct dpor_node *node = push(dpor, point);
	add_options(dpor, point);
	add_sleepers(dpor, node);
	if (is_prefix)
		close_node(dpor, node);
	else
		want_one(dpor, node);
	uint32_t pick = next_option(dpor, node);
	dpor->run_nodes =
		grown(dpor->run_nodes, dpor->run_count, &dpor->run_capacity, sizeof(size_t));
	dpor->run_nodes[dpor->run_count++] = dpor->node_count - 1;
	if (pick == node->count) {
		dpor_pop(dpor);
		dpor->counts.blocked++;
		return CHOICE_ABANDON;
	}
	take_option(dpor, node, pick);
	dpor->step_open = true;
	return pick;
}

static uint32_t choose_fault(struct dpor *dpor, const struct choice_point *point)
{
	bool is_prefix = is_in_prefix(dpor);
	struct dpor_node *node = push(dpor, point);
	node->step = dpor->step_open ? dpor->run_count - 1 : dpor->run_count;
	if (is_prefix) {
		node->closed = true;
		node->pick = dpor->job.prefix.steps[dpor->prefix_used++].pick;
	}
	return node->pick < node->count ? node->pick : CHOICE_ABANDON;
}

static uint32_t dpor_pick(struct strategy *strategy, const struct choice_point *point)
{
	struct dpor *dpor = dpor_of(strategy);
	if (!is_live(dpor))
		return repeat(dpor, point);
	if (point->kind == CHOICE_FAULT)
		return choose_fault(dpor, point);
	if (dpor->is_trial || dpor->redundant)
		return CHOICE_ABANDON;
	return choose_actor(dpor, point);
}

static bool dpor_forced(struct strategy *strategy, uint32_t actor)
{
	const struct choice_point point = { .kind = CHOICE_RUN, .count = 1, .actors = &actor };
	return dpor_pick(strategy, &point) == 0;
}

/** Who sleeps at the top CHOICE_RUN node and does nothing that conflicts with its step sleeps on.
 */
static void put_to_sleep(struct dpor *dpor, const struct dpor_node *node, uint32_t actor,
			 const struct footprint *footprint)
{
	dpor->asleep_count = 0;
	for (size_t i = 0; i < node->sleeper_count; i++) {
		uint32_t index = dpor->sleepers[node->sleepers + i];
		const struct variant *variant = &dpor->variants[index];
		if (variant->actor != actor && !footprint_conflict(&variant->footprint, footprint))
			push_index(&dpor->asleep, &dpor->asleep_count, &dpor->asleep_capacity,
				   index);
	}
}

/** Does this very variant of the actor's step sleep at the node? */
static bool variant_sleeps(const struct dpor *dpor, const struct dpor_node *node, uint32_t actor,
			   uint64_t picks)
{
	for (size_t i = 0; i < node->sleeper_count; i++) {
		const struct variant *variant = &dpor->variants[dpor->sleepers[node->sleepers + i]];
		if (variant->actor == actor && variant->picks == picks)
			return true;
	}
	return false;
}

static bool job_lists(const struct dpor_job *job, uint32_t actor, uint64_t picks)
{
	for (uint32_t i = 0; i < job->sleeper_count; i++)
		if (job->sleepers[i].actor == actor &&
		    (job->sleepers[i].picks == picks || job->sleepers[i].picks == DPOR_ALL))
			return true;
	return false;
}

/** A variant of what was begun at the node sleeps. What begins with it is covered; what has it
 * later, behind something that it conflicts with, is not, and it is not run here to see such a
 * race. So somebody else goes first, too. */
static void want_another(struct dpor *dpor, const struct dpor_node *node)
{
	struct option *another = NULL;
	for (uint32_t i = 0; i < node->count; i++) {
		struct option *option = dpor_option(dpor, node, i);
		if (option->asleep || option->explored)
			continue;
		if (option->wanted)
			return;
		if (!another)
			another = option;
	}
	if (another && !node->closed)
		another->wanted = true;
}

static void dpor_step_done(struct strategy *strategy, uint32_t actor,
			   const struct footprint *footprint)
{
	struct dpor *dpor = dpor_of(strategy);
	dpor->step_open = false;
	if (!is_live(dpor))
		return;
	const struct order *order = dpor->order;
	const struct order_step *step = &order->steps[order->count - 1];
	const struct dpor_node *node = dpor_run_node(dpor, dpor->run_count - 1);
	assert(dpor_option(dpor, node, node->pick)->actor == actor);
	if (dpor->is_trial) {
		add_variant(dpor, footprint, step->picks,
			    job_lists(&dpor->job, actor, step->picks));
		return;
	}
	put_to_sleep(dpor, node, actor, footprint);
	if (variant_sleeps(dpor, node, actor, step->picks)) {
		dpor->redundant = true;
		add_variant(dpor, footprint, step->picks, true);
		want_another(dpor, node);
		return;
	}
	add_variant(dpor, footprint, step->picks, true);
	/* What it conflicts with may never come: a step that dies ends the run. */
	if (footprint->everything)
		dpor_want_all(dpor, node);
	dpor_reverse_races(dpor, order->count - 1);
}

bool dpor_begin(struct strategy *strategy)
{
	struct dpor *dpor = dpor_of(strategy);
	if (dpor->complete || dpor->over || dpor->complaint[0] != '\0')
		return false;
	if (dpor->begun) {
		dpor->counts.trials += dpor->is_trial;
		dpor->counts.blocked += dpor->redundant;
		spoil_open_step(dpor);
		while (dpor->node_count > 0 && !advance(dpor))
			dpor_pop(dpor);
		dpor->complete = dpor->node_count == 0;
	}
	dpor->begun = true;
	dpor->step_open = false;
	dpor->redundant = false;
	dpor->depth = 0;
	dpor->asleep_count = 0;
	return !dpor->complete;
}

/* ---- the rest ---- */

bool strategy_dpor_is_trial(const struct strategy *strategy)
{
	return ((const struct dpor *)strategy)->is_trial;
}

struct dpor_counts strategy_dpor_counts(const struct strategy *strategy)
{
	return ((const struct dpor *)strategy)->counts;
}

double strategy_dpor_progress(const struct strategy *strategy)
{
	const struct dpor *dpor = (const struct dpor *)strategy;
	double done = 0, weight = 1;
	if (dpor->complete)
		return 1;
	for (size_t i = 0; i < dpor->node_count; i++) {
		const struct dpor_node *node = &dpor->nodes[i];
		uint32_t before = node->pick, all = node->count;
		if (node->kind == CHOICE_RUN) {
			before = all = 0;
			for (uint32_t j = 0; j < node->count; j++) {
				const struct option *option = dpor_option(dpor, node, j);
				all += option->wanted;
				before += option->explored && j != node->pick;
			}
		}
		if (all == 0)
			continue;
		weight /= all;
		done += weight * before;
	}
	return done;
}

static bool dpor_is_redundant(const struct strategy *strategy)
{
	const struct dpor *dpor = (const struct dpor *)strategy;
	return dpor->is_trial || dpor->redundant;
}

static bool dpor_is_complete(const struct strategy *strategy)
{
	const struct dpor *dpor = (const struct dpor *)strategy;
	return dpor->complete && dpor->complaint[0] == '\0' && !dpor->order->overflowed;
}

static const char *dpor_complaint(const struct strategy *strategy)
{
	const struct dpor *dpor = (const struct dpor *)strategy;
	if (dpor->order->overflowed)
		return "more tasks took part than the search can tell apart";
	return dpor->complaint[0] != '\0' ? dpor->complaint : NULL;
}

static void dpor_free(struct strategy *strategy)
{
	struct dpor *dpor = dpor_of(strategy);
	schedule_release(&dpor->job.prefix);
	free(dpor->nodes);
	free(dpor->options);
	free(dpor->variants);
	free(dpor->sleepers);
	free(dpor->run_nodes);
	free(dpor->asleep);
	free(dpor);
}

static const struct strategy_ops dpor_ops = {
	.name = "dpor",
	.begin = dpor_begin,
	.pick = dpor_pick,
	.forced = dpor_forced,
	.step_done = dpor_step_done,
	.kept_steps = dpor_kept_steps,
	.skip = dpor_skip,
	.stuck = dpor_stuck,
	.is_redundant = dpor_is_redundant,
	.is_complete = dpor_is_complete,
	.complaint = dpor_complaint,
	.free = dpor_free,
};

struct strategy *strategy_dpor_new(const struct order *order, const struct dpor_job *job)
{
	struct dpor *dpor = calloc(1, sizeof(*dpor));
	if (!dpor)
		return NULL;
	dpor->base.ops = &dpor_ops;
	dpor->order = order;
	schedule_init(&dpor->job.prefix);
	if (!job)
		return &dpor->base;
	struct schedule prefix = dpor->job.prefix;
	dpor->job = *job;
	dpor->job.prefix = prefix;
	schedule_copy(&dpor->job.prefix, &job->prefix);
	return &dpor->base;
}
