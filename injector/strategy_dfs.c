// SPDX-License-Identifier: MIT
/* Depth-first search by re-execution.
 *
 * The stack holds one node for each decision of the run in progress. A run first repeats the picks
 * on the stack (O(1) each), then grows it with first options. Between two runs the top node takes
 * its next option; nodes without one are popped. The stack and the pool of options beside it only
 * grow: in the steady state a run allocates nothing.
 *
 * With `prune`, sleep sets leave out runs that only exchange independent neighbours of another run:
 *
 *          o  a is explored first, with everything below it. When b's turn comes,
 *         / \     a is put to sleep at this node: whatever begins with a is covered.
 *        a   b    Below b, a sleeps on as long as only steps independent of a's ran
 *       /     \   (b a ... = a b ...); the first conflicting step wakes it.
 *
 * A node where all actors sleep ends the run. Why nothing is lost: an enabled actor stays enabled
 * until it runs, and its next step is the same while only independent steps run. So the step that
 * was explored elsewhere is the step that would be explored here.
 *
 * What a step touches is known only after it ran. That suffices: an actor is put to sleep after its
 * step was explored, and the children of a step are made after it ended.
 *
 * Faults are decided inside a step (CHOICE_FAULT). Each of them is explored; the footprint by which
 * the actor sleeps is the union over all of them, because each explored variant must commute with
 * what runs while it sleeps. The bound on faults in a run makes no new dependence: of two steps
 * which are otherwise independent, the same picks are open in both orders. A variant that did not
 * end (the run died in it) makes the union "everything".
 *
 * What it does not do: it prunes runs, not the search for where to branch; a partial-order
 * reduction proper would not even begin most of the runs that sleep sets end. */
#include "injector/strategy.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { COMPLAINT_BYTES = 160 };

#define NO_NODE SIZE_MAX

/** An actor at a node: may sleep there, with what its next step is known to touch. */
struct sleeper {
	uint32_t actor;
	bool asleep;
	bool known; /* footprint is that of at least one explored variant of the step */
	struct footprint footprint;
};

/** A decision on the stack. Its sleepers lie in the pool from `first` on: a CHOICE_RUN node has one
 * for each option, a CHOICE_FAULT node in a step without CHOICE_RUN node those that slept when the
 * step began. */
struct dfs_node {
	uint32_t pick;
	uint32_t count;
	enum choice_kind kind;
	uint32_t sleeper_count;
	size_t first;
};

struct dfs_strategy {
	struct strategy base;
	bool prune;
	bool begun;
	bool complete;
	bool redundant;         /* a sleeping actor was alone and ran: end at the next point */
	struct dfs_node *nodes; /* owned */
	size_t node_count;
	size_t node_capacity;
	struct sleeper *pool; /* owned; sleepers of all nodes */
	size_t pool_count;
	size_t pool_capacity;
	struct sleeper
		*current; /* owned; who sleeps where the run is now, when it is past the top node */
	size_t current_count;
	size_t current_capacity;
	size_t depth;     /* nodes that the run has passed */
	size_t step_node; /* the CHOICE_RUN node that began the step in progress, or NO_NODE */
	char complaint[COMPLAINT_BYTES];
};

static struct dfs_strategy *dfs_of(struct strategy *strategy)
{
	return (struct dfs_strategy *)strategy;
}

/** Make room for one more element. Memory is the only bound of a search: without it there is no
 * honest way on. */
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

static void push_pool(struct dfs_strategy *dfs, const struct sleeper *sleeper)
{
	dfs->pool = grown(dfs->pool, dfs->pool_count, &dfs->pool_capacity, sizeof(*dfs->pool));
	dfs->pool[dfs->pool_count++] = *sleeper;
}

static void push_current(struct dfs_strategy *dfs, const struct sleeper *sleeper)
{
	dfs->current = grown(dfs->current, dfs->current_count, &dfs->current_capacity,
			     sizeof(*dfs->current));
	dfs->current[dfs->current_count++] = *sleeper;
}

static bool is_live(const struct dfs_strategy *dfs)
{
	return dfs->depth == dfs->node_count;
}

/** Give `node` its next option; false when it has none. */
static bool node_advance(struct dfs_strategy *dfs, struct dfs_node *node)
{
	if (!dfs->prune || node->kind != CHOICE_RUN)
		return ++node->pick < node->count;
	struct sleeper *options = &dfs->pool[node->first];
	options[node->pick].asleep = true;
	do {
		node->pick++;
	} while (node->pick < node->count && options[node->pick].asleep);
	return node->pick < node->count;
}

/** The last run ended inside the step that node `step_node` began: all that is known of the step is
 * that it may touch anything. */
static void spoil_open_step(struct dfs_strategy *dfs)
{
	if (!dfs->prune || dfs->step_node == NO_NODE)
		return;
	const struct dfs_node *node = &dfs->nodes[dfs->step_node];
	struct sleeper *sleeper = &dfs->pool[node->first + node->pick];
	sleeper->known = true;
	sleeper->footprint.everything = true;
}

static bool dfs_begin(struct strategy *strategy)
{
	struct dfs_strategy *dfs = dfs_of(strategy);

	if (dfs->complete || dfs->complaint[0] != '\0')
		return false;
	if (dfs->begun) {
		spoil_open_step(dfs);
		while (dfs->node_count > 0 && !node_advance(dfs, &dfs->nodes[dfs->node_count - 1]))
			dfs->pool_count = dfs->nodes[--dfs->node_count].first;
		dfs->complete = dfs->node_count == 0;
	}
	dfs->begun = true;
	dfs->redundant = false;
	dfs->depth = 0;
	dfs->step_node = NO_NODE;
	dfs->current_count = 0;
	return !dfs->complete;
}

static uint32_t complain(struct dfs_strategy *dfs, const struct choice_point *point)
{
	const struct dfs_node *node = &dfs->nodes[dfs->depth];

	snprintf(dfs->complaint, sizeof(dfs->complaint),
		 "diverged at step %zu: the same picks led to %u options before, to %u now",
		 dfs->depth, node->count, point->count);
	return CHOICE_ABANDON;
}

/** Repeat a pick of the stack. */
static uint32_t repeat(struct dfs_strategy *dfs, const struct choice_point *point)
{
	const struct dfs_node *node = &dfs->nodes[dfs->depth];
	const struct sleeper *sleepers = &dfs->pool[node->first];
	bool is_run = node->kind == CHOICE_RUN;

	if (node->kind != point->kind || node->count != point->count)
		return complain(dfs, point);
	if (dfs->prune && is_run && sleepers[node->pick].actor != point->actors[node->pick])
		return complain(dfs, point);
	if (is_run)
		dfs->step_node = dfs->depth;
	dfs->depth++;
	if (is_live(dfs) && !is_run) {
		dfs->current_count = 0;
		for (uint32_t i = 0; i < node->sleeper_count; i++)
			push_current(dfs, &sleepers[i]);
	}
	return node->pick;
}

static const struct sleeper *find_current(const struct dfs_strategy *dfs, uint32_t actor)
{
	for (size_t i = 0; i < dfs->current_count; i++)
		if (dfs->current[i].actor == actor)
			return &dfs->current[i];
	return NULL;
}

/** Give the new node its options, those asleep that sleep now, and the first pick that is awake;
 * false when there is none. */
static bool node_fill_run(struct dfs_strategy *dfs, struct dfs_node *node,
			  const struct choice_point *point)
{
	node->pick = point->count;
	for (uint32_t i = 0; i < point->count; i++) {
		const struct sleeper *sleeping = find_current(dfs, point->actors[i]);
		const struct sleeper awake = { .actor = point->actors[i] };
		push_pool(dfs, sleeping ? sleeping : &awake);
		if (!sleeping && node->pick == point->count)
			node->pick = i;
	}
	node->sleeper_count = point->count;
	return node->pick < point->count;
}

static void node_fill_fault(struct dfs_strategy *dfs, struct dfs_node *node)
{
	if (dfs->step_node != NO_NODE)
		return;
	for (size_t i = 0; i < dfs->current_count; i++)
		push_pool(dfs, &dfs->current[i]);
	node->sleeper_count = (uint32_t)dfs->current_count;
}

static uint32_t dfs_pick(struct strategy *strategy, const struct choice_point *point)
{
	struct dfs_strategy *dfs = dfs_of(strategy);

	if (!is_live(dfs))
		return repeat(dfs, point);
	if (dfs->redundant)
		return CHOICE_ABANDON;
	struct dfs_node node = { .count = point->count, .kind = point->kind };
	node.first = dfs->pool_count;
	if (dfs->prune && point->kind == CHOICE_FAULT)
		node_fill_fault(dfs, &node);
	if (dfs->prune && point->kind == CHOICE_RUN && !node_fill_run(dfs, &node, point)) {
		dfs->pool_count = node.first;
		return CHOICE_ABANDON;
	}
	dfs->nodes = grown(dfs->nodes, dfs->node_count, &dfs->node_capacity, sizeof(node));
	dfs->nodes[dfs->node_count] = node;
	if (point->kind == CHOICE_RUN)
		dfs->step_node = dfs->node_count;
	dfs->depth = ++dfs->node_count;
	return node.pick;
}

static bool dfs_forced(struct strategy *strategy, uint32_t actor)
{
	struct dfs_strategy *dfs = dfs_of(strategy);

	return !dfs->prune || !is_live(dfs) || (!dfs->redundant && !find_current(dfs, actor));
}

/** Of `count` sleepers at `from` (may lie in `current` itself), those independent of a step that
 * touched `footprint` sleep on. */
static void keep_independent(struct dfs_strategy *dfs, const struct sleeper *from, size_t count,
			     const struct footprint *footprint)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (!from[i].asleep || footprint_conflict(&from[i].footprint, footprint))
			continue;
		if (from != dfs->current) {
			dfs->current_count = kept;
			push_current(dfs, &from[i]);
		} else {
			dfs->current[kept] = from[i];
		}
		kept++;
	}
	dfs->current_count = kept;
}

static void dfs_step_done(struct strategy *strategy, uint32_t actor,
			  const struct footprint *footprint)
{
	struct dfs_strategy *dfs = dfs_of(strategy);
	size_t step_node = dfs->step_node;

	dfs->step_node = NO_NODE;
	if (!dfs->prune || !is_live(dfs))
		return;
	if (step_node == NO_NODE) {
		dfs->redundant |= find_current(dfs, actor) != NULL;
		keep_independent(dfs, dfs->current, dfs->current_count, footprint);
		return;
	}
	const struct dfs_node *node = &dfs->nodes[step_node];
	struct sleeper *stepped = &dfs->pool[node->first + node->pick];
	if (stepped->known)
		footprint_add(&stepped->footprint, footprint);
	else
		stepped->footprint = *footprint;
	stepped->known = true;
	keep_independent(dfs, &dfs->pool[node->first], node->sleeper_count, footprint);
}

size_t strategy_dfs_depth(const struct strategy *strategy)
{
	return ((const struct dfs_strategy *)strategy)->node_count;
}

void strategy_dfs_cut(struct strategy *strategy, size_t depth)
{
	struct dfs_strategy *dfs = dfs_of(strategy);

	assert(!dfs->prune);
	if (depth < dfs->node_count)
		dfs->node_count = depth;
}

static bool dfs_is_complete(const struct strategy *strategy)
{
	const struct dfs_strategy *dfs = (const struct dfs_strategy *)strategy;

	return dfs->complete && dfs->complaint[0] == '\0';
}

static const char *dfs_complaint(const struct strategy *strategy)
{
	const struct dfs_strategy *dfs = (const struct dfs_strategy *)strategy;

	return dfs->complaint[0] != '\0' ? dfs->complaint : NULL;
}

static void dfs_free(struct strategy *strategy)
{
	struct dfs_strategy *dfs = dfs_of(strategy);

	free(dfs->nodes);
	free(dfs->pool);
	free(dfs->current);
	free(dfs);
}

static const struct strategy_ops dfs_ops = {
	.name = "dfs",
	.begin = dfs_begin,
	.pick = dfs_pick,
	.forced = dfs_forced,
	.step_done = dfs_step_done,
	.is_complete = dfs_is_complete,
	.complaint = dfs_complaint,
	.free = dfs_free,
};

struct strategy *strategy_dfs_new(bool prune)
{
	struct dfs_strategy *dfs = calloc(1, sizeof(*dfs));

	if (!dfs)
		return NULL;
	dfs->base.ops = &dfs_ops;
	dfs->prune = prune;
	dfs->step_node = NO_NODE;
	return &dfs->base;
}
