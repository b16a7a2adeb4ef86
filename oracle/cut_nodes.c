// SPDX-License-Identifier: MIT
/* What matters to a crash: changes of a file, requests invoked and completed (a flush that
 * completed is a promise), flushes of the file that failed; while an image is being made, completed
 * ones, too; under `reorder`, whatever decides what a flush covers: when changes completed, and
 * flushes of the file were submitted and completed. All
 * other steps are folded away: that one node happens before another is read from the clocks of
 * their steps, which count what is between. */
#include "oracle/cut_nodes.h"

#include "oracle/heap.h"
#include "oracle/judge_state.h"

#include <assert.h>
#include <stdlib.h>

void cut_nodes_release(struct cut_nodes *nodes)
{
	free(nodes->nodes);
	free(nodes->covers);
	free(nodes->events);
	free(nodes->needs);
	free(nodes->by_chain);
	free(nodes->chain_first);
	free(nodes->observed);
	free(nodes->filled);
	*nodes = (struct cut_nodes){ 0 };
}

static bool event_matters(const struct event *event, bool making, bool flushes)
{
	switch (event->kind) {
	case EVENT_REQUEST_INVOKED:
	case EVENT_REQUEST_COMPLETED: return true;
	case EVENT_IO_EFFECT:
		if (event->file == 0)
			return judge_is_operation(event);
		return event->result >= 0 && event->op != IO_READ && event->op != IO_FLUSH;
	case EVENT_IO_SUBMITTED: return flushes && event->file == 0 && event->op == IO_FLUSH;
	case EVENT_IO_COMPLETED:
		if (flushes && event->file == 0 && event->op != IO_READ)
			return event->op == IO_FLUSH || event->result >= 0;
		return judge_is_failed_flush(event) ||
		       (making && event->file == 0 && event->op == IO_FLUSH && event->result >= 0);
	default: return false;
	}
}

/** Does the event make a crash state? */
static bool event_is_state(const struct event *event)
{
	if (event->kind == EVENT_REQUEST_COMPLETED)
		return event->result >= 0 &&
		       (event->op == REQUEST_FLUSH || event->op == REQUEST_CLOSE);
	return judge_is_operation(event);
}

/** List the events of `step` that matter, and describe them in `node`. */
static void list_events(struct cut_nodes *nodes, struct cut_node *node, const struct judge *judge,
			const struct judge_step *step, bool making)
{
	node->first_event = nodes->event_count;
	for (size_t i = step->first_event; i < step->first_event + step->event_count; i++) {
		const struct event *event = &judge->log->events[i];

		if (!event_matters(event, making, judge->window.is_on) ||
		    !judge_event_is_sane(judge->log, event))
			continue;
		nodes->events = heap_grow(nodes->events, &nodes->event_capacity,
					  nodes->event_count + 1, sizeof(*nodes->events));
		nodes->events[nodes->event_count++] = i;
		node->event_count++;
		node->inside += node->ends_in_state + judge_torn_states(judge, event);
		node->ends_in_state = event_is_state(event);
		node->reads |= event->kind == EVENT_REQUEST_COMPLETED && event->op == REQUEST_READ;
	}
}

/** Note what comes before the newest node. */
static void list_needs(struct cut_nodes *nodes, const struct judge_step *step)
{
	uint32_t index = (uint32_t)nodes->count - 1;
	struct cut_node *node = &nodes->nodes[index];
	uint32_t *needs = &nodes->needs[(size_t)index * nodes->chain_count];
	uint32_t previous = CUT_NODE_NONE;

	node->first_cover = nodes->cover_count;
	if (node->place > 0)
		previous = nodes->by_chain[nodes->chain_first[node->chain] + node->place - 1];
	for (uint32_t c = 0; c < nodes->chain_count; c++) {
		uint32_t before = 0;

		needs[c] = c == node->chain
				   ? node->place
				   : nodes->observed[nodes->chain_first[c] + c + step->clock[c]];
		if (previous != CUT_NODE_NONE)
			before = cut_nodes_need(nodes, previous, c);
		if (c == node->chain || needs[c] <= before)
			continue;
		nodes->covers = heap_grow(nodes->covers, &nodes->cover_capacity,
					  nodes->cover_count + 1, sizeof(*nodes->covers));
		nodes->covers[nodes->cover_count++] = (struct cut_cover){ c, needs[c] };
		node->cover_count++;
	}
}

/** Make room, and count the steps of each chain (more than its nodes) into chain_first. */
static void prepare(struct cut_nodes *nodes, const struct judge_class *class)
{
	size_t chains = class->chain_count;
	uint32_t first = 0;

	nodes->count = nodes->kept = nodes->cover_count = nodes->event_count = 0;
	nodes->chain_count = class->chain_count;
	nodes->nodes =
		heap_grow(nodes->nodes, &nodes->capacity, class->step_count, sizeof(*nodes->nodes));
	nodes->needs = heap_grow(nodes->needs, &nodes->needs_capacity, class->step_count * chains,
				 sizeof(*nodes->needs));
	nodes->by_chain = heap_grow(nodes->by_chain, &nodes->by_chain_capacity, class->step_count,
				    sizeof(*nodes->by_chain));
	nodes->chain_first = heap_grow(nodes->chain_first, &nodes->chain_first_capacity, chains + 1,
				       sizeof(*nodes->chain_first));
	nodes->filled =
		heap_grow(nodes->filled, &nodes->filled_capacity, chains, sizeof(*nodes->filled));
	nodes->observed = heap_grow(nodes->observed, &nodes->observed_capacity,
				    class->step_count + chains, sizeof(*nodes->observed));
	for (size_t c = 0; c < chains; c++)
		nodes->filled[c] = 0;
	for (size_t i = 0; i < class->step_count; i++) {
		assert(class->steps[i].chain < class->chain_count);
		nodes->filled[class->steps[i].chain]++;
	}
	for (size_t c = 0; c < chains; c++) {
		nodes->chain_first[c] = first;
		nodes->observed[first + c] = 0;
		first += nodes->filled[c];
		nodes->filled[c] = 0;
	}
	nodes->chain_first[chains] = first;
}

/** Close the gaps that steps which are no nodes left between the chains. */
static void pack_chains(struct cut_nodes *nodes)
{
	uint32_t to = 0;

	for (uint32_t c = 0; c < nodes->chain_count; c++) {
		uint32_t from = nodes->chain_first[c];
		uint32_t count = nodes->observed[from + c + nodes->filled[c]];

		nodes->chain_first[c] = to;
		for (uint32_t i = 0; i < count; i++)
			nodes->by_chain[to++] = nodes->by_chain[from + i];
	}
	nodes->chain_first[nodes->chain_count] = to;
}

void cut_nodes_build(struct cut_nodes *nodes, const struct judge *judge,
		     const struct judge_class *class, bool making)
{
	prepare(nodes, class);
	for (size_t i = 0; i < class->step_count; i++) {
		const struct judge_step *step = &class->steps[i];
		uint32_t *observed =
			&nodes->observed[nodes->chain_first[step->chain] + step->chain];
		uint32_t place = observed[step->number - 1];
		struct cut_node node = { .step = (uint32_t)i,
					 .chain = step->chain,
					 .place = place,
					 .weight = mix(step->hash, 1) };

		nodes->filled[step->chain]++;
		assert(step->number == nodes->filled[step->chain]);
		assert(step->clock[step->chain] == step->number);
		list_events(nodes, &node, judge, step, making);
		observed[step->number] = place + (node.event_count > 0);
		if (node.event_count == 0)
			continue;
		nodes->by_chain[nodes->chain_first[step->chain] + place] = (uint32_t)nodes->count;
		nodes->nodes[nodes->count++] = node;
		nodes->kept += i < class->kept_steps;
		list_needs(nodes, step);
	}
	pack_chains(nodes);
}
