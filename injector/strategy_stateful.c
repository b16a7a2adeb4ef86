// SPDX-License-Identifier: MIT
/* Search over states instead of runs.
 *
 *          o            Two orders of independent steps meet in the same state. The first run to
 *         / \           get there goes on; a later one ends there, for all that may follow was
 *        o   o          seen, or is on the stack and will be. So the work grows with the number
 *         \ /           of states, which is polynomial in the length of the actors' programs,
 *          o <- visited and not with the number of runs or classes, which is not.
 *
 * It knows nothing of footprints: no relation that could be wrong decides what is left out. That
 * makes it the check on a partial-order reduction, and the faster of the two where many actors have
 * little to do with each other.
 *
 * The hazard is a hash that leaves something out: two states that differ in it would count as one,
 * and what follows the second is lost. A hash that holds too much is no danger; it tells states
 * apart that are the same, and the search takes longer. States are compared by 128-bit hashes only:
 * of ten million states two are mistaken for one with a probability below 10^-24.
 *
 * A depth-first search as in strategy_dfs.c: a stack of decisions, repeated by the next run but for
 * the last. A state is asked for wherever an actor is to be chosen, also when there is only one. A
 * state is entered in the set when it is first met, not when all below it is done: a run that comes
 * back to a state of its own path ends as well, so cycles end.
 *
 * The set is a table with open addressing, of which three quarters may be full. */
#include "injector/strategy_stateful.h"

#include <stdio.h>
#include <stdlib.h>

enum { COMPLAINT_BYTES = 160 };

/* A GiB of hashes, three quarters full. */
#define STATES_MAX_DEFAULT ((uint64_t)3 << 24)

/** A decision on the stack. */
struct stateful_node {
	uint32_t pick;
	uint32_t count;
	uint32_t actor; /* of the pick; CHOICE_FAULT: 0 */
	enum choice_kind kind;
	size_t steps; /* taken before it */
};

struct stateful_strategy {
	struct strategy base;
	struct state_source source;
	struct stateful_node *nodes; /* owned */
	size_t node_count;
	size_t node_capacity;
	size_t depth; /* nodes that the run has passed */
	size_t steps; /* that the run has taken */
	size_t kept;  /* of these, taken by the last run, too */
	bool begun;
	bool complete;
	bool full;
	struct state_hash *set; /* owned; zeros: free */
	size_t set_capacity;    /* a power of two; 0: none yet */
	uint64_t states_max;
	struct stateful_counts counts;
	char complaint[COMPLAINT_BYTES];
};

static struct stateful_strategy *stateful_of(struct strategy *strategy)
{
	return (struct stateful_strategy *)strategy;
}

static const struct stateful_strategy *stateful_of_const(const struct strategy *strategy)
{
	return (const struct stateful_strategy *)strategy;
}

/** Where `hash` is in the set, or is to be put. */
static struct state_hash *find_place(struct state_hash *set, size_t capacity,
				     const struct state_hash *hash)
{
	size_t at = (size_t)hash->words[0] & (capacity - 1);

	while (set[at].words[0] | set[at].words[1]) {
		if (set[at].words[0] == hash->words[0] && set[at].words[1] == hash->words[1])
			break;
		at = (at + 1) & (capacity - 1);
	}
	return &set[at];
}

/** Double the set. False when memory is short. */
static bool grow_set(struct stateful_strategy *stateful)
{
	size_t capacity = stateful->set_capacity ? 2 * stateful->set_capacity : 4096;
	struct state_hash *larger = calloc(capacity, sizeof(*larger));

	if (!larger)
		return false;
	for (size_t i = 0; i < stateful->set_capacity; i++) {
		const struct state_hash *hash = &stateful->set[i];
		if (hash->words[0] | hash->words[1])
			*find_place(larger, capacity, hash) = *hash;
	}
	free(stateful->set);
	stateful->set = larger;
	stateful->set_capacity = capacity;
	return true;
}

/** Is the present state new? It is not afterwards. A state for which there is no room is left, too:
 * the search is over. */
static bool enter_state(struct stateful_strategy *stateful)
{
	struct state_hash hash = stateful->source.hash(stateful->source.context);

	if (!(hash.words[0] | hash.words[1]))
		hash.words[0] = 1;
	if (4 * (stateful->counts.states + 1) > 3 * stateful->set_capacity)
		stateful->full |= !grow_set(stateful);
	if (stateful->full)
		return false;
	struct state_hash *place = find_place(stateful->set, stateful->set_capacity, &hash);
	if (place->words[0] | place->words[1])
		return false;
	if (stateful->counts.states == stateful->states_max) {
		stateful->full = true;
		return false;
	}
	*place = hash;
	stateful->counts.states++;
	return true;
}

static bool stateful_begin(struct strategy *strategy)
{
	struct stateful_strategy *stateful = stateful_of(strategy);

	if (stateful->complete || stateful->full || stateful->complaint[0] != '\0')
		return false;
	stateful->kept = 0;
	if (stateful->begun) {
		size_t count = stateful->node_count;
		while (count > 0 &&
		       stateful->nodes[count - 1].pick + 1 == stateful->nodes[count - 1].count)
			count--;
		stateful->node_count = count;
		stateful->complete = count == 0;
		if (stateful->complete)
			return false;
		stateful->nodes[count - 1].pick++;
		stateful->kept = stateful->nodes[count - 1].steps;
	}
	stateful->begun = true;
	stateful->depth = 0;
	stateful->steps = 0;
	return true;
}

static uint32_t complain(struct stateful_strategy *stateful, const struct choice_point *point)
{
	snprintf(stateful->complaint, sizeof(stateful->complaint),
		 "diverged at step %zu: the same picks led to %u options before, to %u now",
		 stateful->depth, stateful->nodes[stateful->depth].count, point->count);
	return CHOICE_ABANDON;
}

static uint32_t actor_of(const struct choice_point *point, uint32_t pick)
{
	return point->kind == CHOICE_RUN ? point->actors[pick] : 0;
}

/** Repeat a pick of the stack. */
static uint32_t repeat(struct stateful_strategy *stateful, const struct choice_point *point)
{
	struct stateful_node *node = &stateful->nodes[stateful->depth];
	bool is_top = stateful->depth + 1 == stateful->node_count;

	if (node->kind != point->kind || node->count != point->count ||
	    node->steps != stateful->steps)
		return complain(stateful, point);
	if (is_top)
		node->actor = actor_of(point, node->pick);
	else if (node->actor != actor_of(point, node->pick))
		return complain(stateful, point);
	stateful->depth++;
	return node->pick;
}

/** Memory is the only bound of the stack: without it there is no honest way on. */
static void reserve_node(struct stateful_strategy *stateful)
{
	if (stateful->node_count < stateful->node_capacity)
		return;
	stateful->node_capacity = stateful->node_capacity ? 2 * stateful->node_capacity : 256;
	stateful->nodes =
		realloc(stateful->nodes, stateful->node_capacity * sizeof(*stateful->nodes));
	if (!stateful->nodes)
		abort();
}

static uint32_t stateful_pick(struct strategy *strategy, const struct choice_point *point)
{
	struct stateful_strategy *stateful = stateful_of(strategy);

	if (stateful->depth < stateful->node_count)
		return repeat(stateful, point);
	if (point->kind == CHOICE_RUN && !enter_state(stateful))
		return CHOICE_ABANDON;
	reserve_node(stateful);
	stateful->nodes[stateful->node_count] = (struct stateful_node){
		.count = point->count,
		.actor = actor_of(point, 0),
		.kind = point->kind,
		.steps = stateful->steps,
	};
	stateful->depth = ++stateful->node_count;
	return 0;
}

static bool stateful_forced(struct strategy *strategy, uint32_t actor)
{
	struct stateful_strategy *stateful = stateful_of(strategy);

	(void)actor;
	return stateful->depth < stateful->node_count || enter_state(stateful);
}

static void stateful_step_done(struct strategy *strategy, uint32_t actor,
			       const struct footprint *footprint)
{
	struct stateful_strategy *stateful = stateful_of(strategy);

	(void)actor;
	(void)footprint;
	stateful->counts.transitions += ++stateful->steps > stateful->kept;
}

static size_t stateful_kept_steps(const struct strategy *strategy)
{
	return stateful_of_const(strategy)->kept;
}

static void stateful_skip(struct strategy *strategy, size_t steps)
{
	struct stateful_strategy *stateful = stateful_of(strategy);

	stateful->steps = steps;
	while (stateful->depth < stateful->node_count &&
	       stateful->nodes[stateful->depth].steps < steps)
		stateful->depth++;
}

static bool stateful_is_complete(const struct strategy *strategy)
{
	return stateful_of_const(strategy)->complete;
}

static const char *stateful_why_stopped(const struct strategy *strategy)
{
	return stateful_of_const(strategy)->full ? "no more states can be kept" : NULL;
}

static const char *stateful_complaint(const struct strategy *strategy)
{
	const struct stateful_strategy *stateful = stateful_of_const(strategy);

	return stateful->complaint[0] != '\0' ? stateful->complaint : NULL;
}

static void stateful_free(struct strategy *strategy)
{
	struct stateful_strategy *stateful = stateful_of(strategy);

	free(stateful->nodes);
	free(stateful->set);
	free(stateful);
}

static const struct strategy_ops stateful_ops = {
	.name = "stateful",
	.begin = stateful_begin,
	.pick = stateful_pick,
	.forced = stateful_forced,
	.step_done = stateful_step_done,
	.kept_steps = stateful_kept_steps,
	.skip = stateful_skip,
	.is_complete = stateful_is_complete,
	.why_stopped = stateful_why_stopped,
	.complaint = stateful_complaint,
	.free = stateful_free,
};

struct strategy *strategy_stateful_new(const struct state_source *source, uint64_t states_max)
{
	struct stateful_strategy *stateful = calloc(1, sizeof(*stateful));

	if (!stateful)
		return NULL;
	stateful->base.ops = &stateful_ops;
	stateful->source = *source;
	stateful->states_max = states_max ? states_max : STATES_MAX_DEFAULT;
	return &stateful->base;
}

struct stateful_counts strategy_stateful_counts(const struct strategy *strategy)
{
	return stateful_of_const(strategy)->counts;
}
