// SPDX-License-Identifier: MIT
/** What the files of the partial-order reduction share. Private to strategy_dpor.c, dpor_races.c
 * and dpor_jobs.c; the essay is on top of the first. */
#ifndef INJECTOR_DPOR_PRIVATE_H
#define INJECTOR_DPOR_PRIVATE_H

#include "injector/strategy_dpor.h"

enum { DPOR_COMPLAINT_BYTES = 160 };

/** An actor that is enabled at a node. */
struct option {
	uint32_t actor;
	bool asleep;   /* every variant of its step */
	bool wanted;   /* to be explored ... */
	bool explored; /* ... or it was, or is */
	bool trial;    /* is asleep, and what it touches is to be found out */
};

/** A variant of a step that was explored: what it touched. */
struct variant {
	uint32_t actor;
	uint32_t group; /* index of the first variant of the same step at the same node */
	uint32_t count; /* of the first: how many there are */
	uint64_t picks; /* which it is; see order_step */
	bool is_trial;  /* it was not explored here: the job says that it sleeps */
	struct footprint footprint;
};

/** A decision on the stack. */
struct dpor_node {
	enum choice_kind kind;
	bool closed; /* of the job's prefix: nothing is added here */
	uint32_t count, pick;
	size_t step;     /* how many steps come before it, or before the one that it is part of */
	size_t options;  /* CHOICE_RUN: index of its first option */
	size_t variants; /* how many there were when it was made */
	size_t sleepers; /* CHOICE_RUN: index of the first of ... */
	size_t sleeper_count; /* ... the variants that sleep here; explored ones come behind */
};

struct dpor {
	struct strategy base;
	const struct order *order; /* borrowed */
	struct dpor_job job;       /* owned */
	bool begun, complete;
	struct dpor_node *nodes; /* owned, like all arrays here */
	size_t node_count, node_capacity;
	struct option *options;
	size_t option_count, option_capacity;
	struct variant *variants;
	size_t variant_count, variant_capacity;
	uint32_t *sleepers; /* indices of variants; those of the nodes, in order */
	size_t sleeper_count, sleeper_capacity;
	size_t *run_nodes; /* of each step of the stack its CHOICE_RUN node */
	size_t run_count, run_capacity;
	uint32_t *asleep; /* indices of variants that sleep behind the top node's step */
	size_t asleep_count, asleep_capacity;
	size_t depth;       /* nodes that the run has passed */
	size_t prefix_used; /* picks of the job's prefix that are nodes now */
	bool is_trial;      /* the run ends behind the step in progress */
	bool step_open;     /* a step began and did not end yet */
	bool redundant;     /* the step just ended is a variant that sleeps */
	bool over;          /* everything was handed back */
	struct dpor_counts counts;
	char complaint[DPOR_COMPLAINT_BYTES];
};

/** An option of a CHOICE_RUN node. */
static inline struct option *dpor_option(const struct dpor *dpor, const struct dpor_node *node,
					 uint32_t i)
{
	return &dpor->options[node->options + i];
}

/** The node at which step `step` of the stack was chosen. */
static inline struct dpor_node *dpor_run_node(const struct dpor *dpor, size_t step)
{
	return &dpor->nodes[dpor->run_nodes[step]];
}

/** Forget the top node. */
void dpor_pop(struct dpor *dpor);

/** Explore every option of a node that is awake. */
void dpor_want_all(const struct dpor *dpor, const struct dpor_node *node);

/** Make sure that each race of step `index`, the last so far, is reversed in some run. */
void dpor_reverse_races(struct dpor *dpor, size_t index);

/** Operations of the strategy that live elsewhere. */
void dpor_stuck(struct strategy *strategy, uint32_t actor, uint32_t object);
bool dpor_begin(struct strategy *strategy);

#endif
