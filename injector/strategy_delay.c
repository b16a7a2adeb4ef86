// SPDX-License-Identifier: MIT
/* Delay-bounded search (Emmi, Qadeer, Rakamaric, POPL 2011): few deviations from one fixed
 * scheduler find most bugs, and there are few runs with few deviations.
 *
 * The fixed scheduler lets an actor go on as long as it can. When it cannot, the next one in the
 * round goes on: the next higher number, and behind the highest the lowest again; a run begins with
 * the lowest. A *delay* passes over the actor whose turn it is. So where n actors can go on, the
 * k-th in the round costs k delays, and k delays are k switches that the program did not ask for.
 *
 * Bound 0 is the one run of the fixed scheduler (with each of its faults: CHOICE_FAULT branches
 * fully and costs nothing). Bound d adds the runs with exactly d delays. When no run of bound d was
 * refused a delay for want of more, there are no other runs: the search is complete.
 *
 * The walk. Each bound is a depth-first walk by re-execution, a node on the stack for each
 * decision, as in strategy_dfs.c. While delays are left, a node takes its delays first and the
 * fixed scheduler's choice last:
 *
 *       o--------o--------o      2 delays left, three actors: turns cost 1, 2, 0. The last turn
 *      / \      / \      / \     keeps both delays for the nodes further down.
 *     1   2    1   2    1   2
 *
 * Branches of this walk that hold nothing but runs of lower bounds are not entered again. They are
 * known by their depths: a list has, in the order of the walk, which is the same at every bound,
 * the depth of each branch that is exhausted, a single run at first. When the walk is about to take
 * a branch in which there is an earlier run, the next entry lies in that branch, and it is the
 * whole branch iff it has its depth. When all branches of a node are exhausted and none of them was
 * left out, their entries become one entry for the branch that led to the node. So every run that
 * is begun is a new one: in a branch that is not exhausted the last bound left out an option for
 * want of one delay, and this bound has it. That costs 4 bytes for each run, at most.
 *
 * What it does not do: it does not look at footprints, so it runs every member of a class; a bound
 * together with sleep sets or partial-order reduction would lose runs. */
#include "injector/strategy.h"

#include "traces/memory.h"

#include <stdio.h>
#include <stdlib.h>

enum { COMPLAINT_BYTES = 160 };

#define NO_OPTION UINT32_MAX

/** A decision on the stack. It takes `turns` of its options, one after the other. */
struct delay_node {
	enum choice_kind kind;
	uint32_t count;
	uint32_t turn;
	uint32_t turns;
	uint32_t option;      /* of the present turn; NO_OPTION: not known before it is met again */
	uint32_t actor;       /* CHOICE_RUN: whom the option lets go on */
	uint32_t last_actor;  /* who ran before */
	uint32_t cost_before; /* delays spent above */
	size_t steps_before;  /* steps that ended above */
	size_t found_before;  /* exhausted branches that the walk came by above */
	bool cut;             /* an option here or below was left out: it costs too much */
};

struct delay_strategy {
	struct strategy base;
	uint32_t bound;
	uint32_t bound_max; /* 0: none */
	bool begun;
	bool ended;               /* there are no more runs ... */
	bool complete;            /* ... because there are none beyond the bound */
	bool cut;                 /* at this bound an option was left out that costs too much */
	struct delay_node *nodes; /* owned */
	size_t node_count;
	size_t node_capacity;
	size_t depth; /* nodes that the run has passed */
	size_t steps; /* steps of the run that ended */
	uint32_t last_actor;
	uint32_t *known; /* owned; depths of the branches exhausted by lower bounds */
	size_t known_count;
	size_t known_capacity;
	size_t known_next; /* the first that the walk has not come by */
	uint32_t *found;   /* owned; the same for the next bound */
	size_t found_count;
	size_t found_capacity;
	char complaint[COMPLAINT_BYTES]; /* "" while the program repeats itself */
};

static struct delay_strategy *delay_of(struct strategy *strategy)
{
	return (struct delay_strategy *)strategy;
}

/** The option's place in the round (CHOICE_RUN) or its number (CHOICE_FAULT): delays come first. */
static uint32_t node_rank(const struct delay_node *node)
{
	if (node->kind != CHOICE_RUN)
		return node->turn;
	return node->turn + 1 < node->turns ? node->turn + 1 : 0;
}

/** Delays spent when the node's present turn is taken. */
static uint32_t node_cost(const struct delay_node *node)
{
	return node->cost_before + (node->kind == CHOICE_RUN ? node_rank(node) : 0);
}

/** The option that is number `rank` of the round which begins with `last_actor`. */
static uint32_t option_of_rank(const struct choice_point *point, uint32_t last_actor, uint32_t rank)
{
	for (uint32_t option = 0; option < point->count; option++) {
		/* Modulo 2^32: the way round from the last actor. */
		uint32_t way = point->actors[option] - last_actor;
		uint32_t earlier = 0;
		for (uint32_t i = 0; i < point->count; i++)
			earlier += point->actors[i] - last_actor < way;
		if (earlier == rank)
			return option;
	}
	return 0;
}

/** Find the option of the node's present turn at `point`. */
static void node_take(struct delay_node *node, const struct choice_point *point)
{
	uint32_t rank = node_rank(node);

	node->option = rank;
	if (node->kind != CHOICE_RUN)
		return;
	node->option = option_of_rank(point, node->last_actor, rank);
	node->actor = point->actors[node->option];
}

/** The branch taken at the last of the first `node_count` nodes is exhausted. */
static void note_exhausted(struct delay_strategy *delay, size_t node_count)
{
	delay->found = memory_grow(delay->found, &delay->found_capacity, delay->found_count + 1,
				   sizeof(*delay->found));
	delay->found[delay->found_count++] = (uint32_t)node_count;
}

/** From its present turn on, find the first turn of the top node that is not exhausted. False:
 * there is none. */
static bool top_settle(struct delay_strategy *delay)
{
	struct delay_node *node = &delay->nodes[delay->node_count - 1];

	for (; node->turn < node->turns; node->turn++) {
		bool is_known = node_cost(node) < delay->bound &&
				delay->known_next < delay->known_count &&
				delay->known[delay->known_next] == delay->node_count;
		if (!is_known)
			return true;
		delay->known_next++;
		note_exhausted(delay, delay->node_count);
	}
	return false;
}

/** Look at how the last run ended, and note it. */
static void account(struct delay_strategy *delay)
{
	uint32_t cost = 0;

	if (delay->node_count > 0)
		cost = node_cost(&delay->nodes[delay->node_count - 1]);
	if (delay->depth < delay->node_count || cost < delay->bound)
		snprintf(delay->complaint, sizeof(delay->complaint),
			 "diverged at step %zu: the same picks led on before, to the end now",
			 delay->depth);
	note_exhausted(delay, delay->node_count);
}

/** All turns of the top node were taken. */
static void pop(struct delay_strategy *delay)
{
	const struct delay_node *node = &delay->nodes[--delay->node_count];

	if (node->cut && delay->node_count > 0)
		delay->nodes[delay->node_count - 1].cut = true;
	delay->cut |= node->cut;
	if (node->cut)
		return;
	delay->found_count = node->found_before;
	note_exhausted(delay, delay->node_count);
}

/** The walk of one bound is over: go on with the next, if there is one. */
static void next_bound(struct delay_strategy *delay)
{
	uint32_t *known = delay->known;
	size_t capacity = delay->known_capacity;

	if (delay->known_next < delay->known_count) {
		snprintf(delay->complaint, sizeof(delay->complaint),
			 "diverged: %zu branches of lower bounds were not met again",
			 delay->known_count - delay->known_next);
		delay->ended = true;
		return;
	}
	delay->complete = !delay->cut;
	delay->ended =
		delay->complete || (delay->bound_max != 0 && delay->bound == delay->bound_max);
	if (delay->ended)
		return;
	delay->known = delay->found;
	delay->known_count = delay->found_count;
	delay->known_capacity = delay->found_capacity;
	delay->known_next = 0;
	delay->found = known;
	delay->found_count = 0;
	delay->found_capacity = capacity;
	delay->bound++;
	delay->cut = false;
}

static bool delay_begin(struct strategy *strategy)
{
	struct delay_strategy *delay = delay_of(strategy);

	if (delay->begun && !delay->ended && delay->complaint[0] == '\0')
		account(delay);
	if (delay->ended || delay->complaint[0] != '\0')
		return false;
	bool found = !delay->begun;
	while (!found && delay->node_count > 0) {
		struct delay_node *top = &delay->nodes[delay->node_count - 1];
		top->turn++;
		top->option = NO_OPTION;
		found = top_settle(delay);
		if (!found)
			pop(delay);
	}
	if (!found)
		next_bound(delay);
	delay->begun = true;
	delay->depth = 0;
	delay->steps = 0;
	delay->last_actor = 0;
	return !delay->ended;
}

static uint32_t complain(struct delay_strategy *delay, const struct choice_point *point)
{
	const struct delay_node *node = &delay->nodes[delay->depth];

	if (node->count != point->count)
		snprintf(delay->complaint, sizeof(delay->complaint),
			 "diverged at step %zu: the same picks led to %u options before, to %u now",
			 delay->depth, node->count, point->count);
	else
		snprintf(delay->complaint, sizeof(delay->complaint),
			 "diverged at step %zu: the same picks led to other options before",
			 delay->depth);
	return CHOICE_ABANDON;
}

/** Take a pick of the stack. */
static uint32_t repeat(struct delay_strategy *delay, const struct choice_point *point)
{
	struct delay_node *node = &delay->nodes[delay->depth];

	if (node->kind != point->kind || node->count != point->count)
		return complain(delay, point);
	if (node->option == NO_OPTION)
		node_take(node, point);
	else if (node->kind == CHOICE_RUN && point->actors[node->option] != node->actor)
		return complain(delay, point);
	delay->depth++;
	return node->option;
}

static uint32_t delay_pick(struct strategy *strategy, const struct choice_point *point)
{
	struct delay_strategy *delay = delay_of(strategy);

	if (delay->complaint[0] != '\0')
		return CHOICE_ABANDON;
	if (delay->depth < delay->node_count)
		return repeat(delay, point);
	struct delay_node node = { .kind = point->kind, .count = point->count };
	if (delay->node_count > 0)
		node.cost_before = node_cost(&delay->nodes[delay->node_count - 1]);
	node.steps_before = delay->steps;
	node.last_actor = delay->last_actor;
	node.found_before = delay->found_count;
	node.turns = point->count;
	uint32_t delays_left = delay->bound - node.cost_before;
	if (point->kind == CHOICE_RUN && point->count - 1 > delays_left) {
		node.turns = delays_left + 1;
		node.cut = true;
	}
	delay->nodes = memory_grow(delay->nodes, &delay->node_capacity, delay->node_count + 1,
				   sizeof(node));
	delay->nodes[delay->node_count++] = node;
	if (!top_settle(delay)) {
		snprintf(delay->complaint, sizeof(delay->complaint),
			 "diverged at step %zu: the same picks led to more options before",
			 delay->depth);
		return CHOICE_ABANDON;
	}
	struct delay_node *top = &delay->nodes[delay->depth++];
	node_take(top, point);
	return top->option;
}

static void delay_step_done(struct strategy *strategy, uint32_t actor,
			    const struct footprint *footprint)
{
	struct delay_strategy *delay = delay_of(strategy);

	(void)footprint;
	delay->last_actor = actor;
	delay->steps++;
}

static size_t delay_kept_steps(const struct strategy *strategy)
{
	const struct delay_strategy *delay = (const struct delay_strategy *)strategy;

	return delay->node_count > 0 ? delay->nodes[delay->node_count - 1].steps_before : 0;
}

static void delay_skip(struct strategy *strategy, size_t steps)
{
	struct delay_strategy *delay = delay_of(strategy);

	/* Behind the last skipped step stands a node, which knows who ran before, or a forced step,
	 * which will tell. */
	while (delay->depth < delay->node_count && delay->nodes[delay->depth].steps_before < steps)
		delay->depth++;
	delay->steps = steps;
}

static bool delay_is_complete(const struct strategy *strategy)
{
	const struct delay_strategy *delay = (const struct delay_strategy *)strategy;

	return delay->complete && delay->complaint[0] == '\0';
}

static const char *delay_complaint(const struct strategy *strategy)
{
	const struct delay_strategy *delay = (const struct delay_strategy *)strategy;

	return delay->complaint[0] != '\0' ? delay->complaint : NULL;
}

static void delay_free(struct strategy *strategy)
{
	struct delay_strategy *delay = delay_of(strategy);

	free(delay->nodes);
	free(delay->known);
	free(delay->found);
	free(delay);
}

static const struct strategy_ops delay_ops = {
	.name = "delay",
	.begin = delay_begin,
	.pick = delay_pick,
	.step_done = delay_step_done,
	.kept_steps = delay_kept_steps,
	.skip = delay_skip,
	.is_complete = delay_is_complete,
	.complaint = delay_complaint,
	.free = delay_free,
};

uint32_t strategy_delay_bound(const struct strategy *strategy)
{
	return ((const struct delay_strategy *)strategy)->bound;
}

struct strategy *strategy_delay_new(uint32_t bound_max)
{
	struct delay_strategy *delay = calloc(1, sizeof(*delay));

	if (!delay)
		return NULL;
	delay->base.ops = &delay_ops;
	delay->bound_max = bound_max;
	return &delay->base;
}
