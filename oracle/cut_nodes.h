// SPDX-License-Identifier: MIT
/** The steps of a class that the judge has to tell apart, and which of them need which. Private to
 * cuts.c. */
#ifndef ORACLE_CUT_NODES_H
#define ORACLE_CUT_NODES_H

#include "oracle/judge.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A node: a step with an event that matters. */
struct cut_node {
	uint32_t step;  /* index in the class */
	uint32_t chain; /* the step's */
	uint32_t place; /* among the nodes of its chain, from 0 */
	uint32_t cover_count;
	size_t first_cover; /* in cut_nodes.covers */
	size_t first_event; /* in cut_nodes.events */
	size_t event_count;
	uint64_t weight;    /* its part of the hash of a cut */
	uint64_t inside;    /* crash states inside the step: torn ones, and before its last event */
	bool ends_in_state; /* its last event makes a crash state */
	bool reads;         /* a read completes */
};

/** So many nodes of another chain come before it, more than before the node's predecessor in its
 * own chain. */
struct cut_cover {
	uint32_t chain;
	uint32_t count;
};

/** Zero-initialised: none. */
struct cut_nodes {
	struct cut_node *nodes; /* owned; in the order of the run */
	size_t count, capacity;
	size_t kept;              /* of them in the steps that the class before has, too */
	struct cut_cover *covers; /* owned */
	size_t cover_count, cover_capacity;
	size_t *events; /* owned; indices of events that matter */
	size_t event_count, event_capacity;
	uint32_t chain_count;
	/* Owned; needs[node * chain_count + c]: nodes of chain c that come before, itself not. */
	uint32_t *needs;
	size_t needs_capacity;
	/* Owned; nodes of chain c in order: by_chain[chain_first[c]] .. before chain_first[c + 1].
	 */
	uint32_t *by_chain;
	size_t by_chain_capacity;
	uint32_t *chain_first;
	size_t chain_first_capacity;
	/* Owned, for building: nodes among the first k steps of chain c, at chain_first[c] + c + k;
	 * and how many steps of each chain were seen. */
	uint32_t *observed;
	size_t observed_capacity;
	uint32_t *filled;
	size_t filled_capacity;
};

enum { CUT_NODE_NONE = UINT32_MAX };

/** Free what `nodes` owns; it is empty afterwards. */
void cut_nodes_release(struct cut_nodes *nodes);

/** Find the nodes of a class in the judge's log. `making`: completed flushes of the file matter. */
void cut_nodes_build(struct cut_nodes *nodes, const struct judge *judge,
		     const struct judge_class *class, bool making);

/** Node `place` of a chain, CUT_NODE_NONE behind the last. */
static inline uint32_t cut_nodes_at(const struct cut_nodes *nodes, uint32_t chain, uint32_t place)
{
	uint32_t at = nodes->chain_first[chain] + place;

	return at < nodes->chain_first[chain + 1] ? nodes->by_chain[at] : CUT_NODE_NONE;
}

/** How many nodes of `chain` come before a node. */
static inline uint32_t cut_nodes_need(const struct cut_nodes *nodes, uint32_t node, uint32_t chain)
{
	return nodes->needs[(size_t)node * nodes->chain_count + chain];
}

#endif
