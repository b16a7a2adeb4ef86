// SPDX-License-Identifier: MIT
/* The crash states of a class of runs.
 *
 * Runs of one class order their steps differently, but agree on what happens before what. A crash
 * in any of them leaves a *cut*: a set of steps that with each step has everything before it. So
 * the crash states of all these runs are the cuts of one partial order, and what lies inside a step
 * (a torn write; between two events of it), where that step comes last. There are far fewer cuts
 * than prefixes of orders: two chains of ten steps have 121, and 184756 orders.
 *
 * Each cut once. A class shares its first nodes, the *kept* ones, with the class before; a cut is
 * new if it has a node that is not kept. Call the first node b of a new cut J that is not kept, in
 * the order of the run, its *base*: everything before b is kept. For each base, that is, for each
 * first node of a chain that is not kept and needs kept ones only, the walk starts at the past of
 * b and adds nodes one by one:
 *
 *     past of b  ->  other kept nodes, ascending  ->  b  ->  nodes behind b, ascending
 *
 * taking any node whose past is there. This order is a linear extension of the nodes it speaks of
 * (what a kept node needs is kept and earlier; what a later one needs is earlier), so each new cut
 * with base b, put in this order, has cuts for prefixes: the walk reaches it. It reaches it once,
 * because the base and the order are the cut's own. The cuts on the way that have no b yet are
 * kept ones, judged when they were new; each of them is followed by a new one, so that passing
 * through costs at most as much again.
 *
 * The inside of a step. With J, each of its last steps e (needed by no other node of J) has its
 * inside looked at on top of J without e. That is done where J without e is: with e as the next
 * node of the walk if the walk goes there, else on the spot, and back. If J without e is kept, e is
 * the base and the former holds.
 *
 * Judging what changed is enough, whichever way a cut was reached: the cut before it on the way was
 * judged, in this class or an earlier one, so what is wrong now and was not wrong there was touched
 * by the last node. Applying a node costs what its events change, and so does taking it back.
 *
 * Across classes, cuts are known by the sum of the mixed hashes of their nodes. One that an earlier
 * class had is passed through quietly, inside and all.
 *
 * What a crash leaves does not depend on the way, with one exception: what an internal snapshot
 * holds is noted when its creation is acknowledged, so a change that only some runs make after
 * that is judged in the order of the walk. */
#include "oracle/cut_nodes.h"
#include "oracle/cut_set.h"
#include "oracle/heap.h"
#include "oracle/judge_state.h"

#include <assert.h>
#include <stdlib.h>

/** A node that the books have, and the walk from there. */
struct cut_frame {
	uint32_t node;
	uint32_t next_chain; /* whose next node is to be tried */
	uint64_t hash;       /* of the cut */
	struct mark mark;    /* before the node */
};

/** The cut of one finding, in cut_walk.steps. */
struct cut_place {
	size_t first;
	size_t count;
	struct cut_rank rank;
};

struct cut_walk {
	struct judge *judge;             /* borrowed */
	const struct judge_class *class; /* borrowed while judge_cuts() runs */
	struct cut_nodes nodes;
	struct cut_set seen;      /* cuts that were judged */
	struct cut_set reads;     /* nodes whose reads were judged */
	struct cut_frame *frames; /* owned; frames[0] is no node: the beginning */
	size_t frame_capacity;
	size_t depth;   /* nodes that the books have */
	uint32_t *done; /* owned; of them in each chain */
	size_t done_capacity;
	uint32_t base;
	size_t floor;   /* depth at which the walk for this base began */
	uint64_t call;  /* number of this judge_cuts() call */
	uint64_t built; /* crash states in all calls */
	bool making;    /* an image may be in the making */
	bool finished;  /* the end of the run was judged */
	/* Where verdicts fall. */
	struct cut_place *places; /* owned; of each finding */
	size_t place_capacity;
	struct cut_place *dirty_places; /* owned; of each dirty state */
	size_t dirty_place_capacity;
	size_t dirty_placed;
	uint32_t *steps; /* owned */
	size_t step_capacity;
	size_t step_count;
	uint32_t *reach; /* owned; steps of each chain in the cut at hand */
	size_t reach_capacity;
	struct judge_cut *cuts; /* owned; as reported */
	size_t cut_capacity;
	struct judge_cut *dirty_cuts; /* owned; as reported */
	size_t dirty_cut_capacity;
};

void cut_walk_free(struct cut_walk *walk)
{
	if (walk == NULL)
		return;
	cut_nodes_release(&walk->nodes);
	cut_set_release(&walk->seen);
	cut_set_release(&walk->reads);
	free(walk->frames);
	free(walk->done);
	free(walk->places);
	free(walk->dirty_places);
	free(walk->dirty_cuts);
	free(walk->steps);
	free(walk->reach);
	free(walk->cuts);
	free(walk);
}

static void add_step(struct cut_walk *walk, size_t step)
{
	walk->steps = heap_grow(walk->steps, &walk->step_capacity, walk->step_count + 1,
				sizeof(*walk->steps));
	walk->steps[walk->step_count++] = (uint32_t)step;
}

/** List the steps of the class, in the run's order, whose number in their chain is above `above`
 * (NULL: 0) and at most `upto` (NULL: any). */
static void list_steps(struct cut_walk *walk, const uint32_t *above, const uint32_t *upto)
{
	for (size_t i = 0; i < walk->class->step_count; i++) {
		const struct judge_step *step = &walk->class->steps[i];

		if ((above == NULL || step->number > above[step->chain]) &&
		    (upto == NULL || step->number <= upto[step->chain]))
			add_step(walk, i);
	}
}

static const uint32_t *clock_of(const struct cut_walk *walk, uint32_t node)
{
	return walk->class->steps[walk->nodes.nodes[node].step].clock;
}

/** Let walk->reach say how many steps of each chain the cut has, those that are no nodes included.
 */
static void find_reach(struct cut_walk *walk)
{
	uint32_t chains = walk->class->chain_count;

	walk->reach = heap_grow(walk->reach, &walk->reach_capacity, chains, sizeof(*walk->reach));
	for (uint32_t c = 0; c < chains; c++)
		walk->reach[c] = 0;
	for (uint32_t d = 0; d < chains; d++) {
		const uint32_t *clock;

		if (walk->done[d] == 0)
			continue;
		clock = clock_of(walk, cut_nodes_at(&walk->nodes, d, walk->done[d] - 1));
		for (uint32_t c = 0; c < chains; c++)
			if (clock[c] > walk->reach[c])
				walk->reach[c] = clock[c];
	}
}

/** May a node be added to the cut: is all that it needs there? */
static bool is_enabled(const struct cut_walk *walk, const struct cut_node *node)
{
	const struct cut_cover *covers = &walk->nodes.covers[node->first_cover];

	for (uint32_t i = 0; i < node->cover_count; i++)
		if (walk->done[covers[i].chain] < covers[i].count)
			return false;
	return true;
}

/** Is the last node that the cut has of `chain` needed by no other node of it? */
static bool is_maximal(const struct cut_walk *walk, uint32_t chain)
{
	for (uint32_t c = 0; c < walk->nodes.chain_count; c++) {
		uint32_t node;

		if (c == chain || walk->done[c] == 0)
			continue;
		node = cut_nodes_at(&walk->nodes, c, walk->done[c] - 1);
		if (cut_nodes_need(&walk->nodes, node, chain) >= walk->done[chain])
			return false;
	}
	return true;
}

/** A node of the cut that may come last and ends in a crash state, which the cut is then; of
 * several, always the same one. CUT_NODE_NONE: the cut is no crash state. */
static uint32_t crash_node(const struct cut_walk *walk)
{
	const struct cut_node *nodes = walk->nodes.nodes;
	uint32_t found = CUT_NODE_NONE;

	for (uint32_t c = 0; c < walk->nodes.chain_count; c++) {
		uint32_t node;

		if (walk->done[c] == 0)
			continue;
		node = cut_nodes_at(&walk->nodes, c, walk->done[c] - 1);
		if (nodes[node].ends_in_state && is_maximal(walk, c) &&
		    (found == CUT_NODE_NONE || nodes[node].weight < nodes[found].weight))
			found = node;
	}
	return found;
}

/* Where what was found falls. Every judge that comes to a cut says so in the same words, whichever
 * way it came: explore's findings must not depend on how a search was divided.
 *
 * Let V be the cuts in which something shows. In a smallest one it is said whatever node came last,
 * because it does not show without that node; so all judges together say at least the smallest ones
 * of V, and none that is not in V. The least by (size, hash) is one of them. What lies inside a
 * step is smaller than the cut with that step, which need not say it again. */

/** What the verdict is of: cuts of one size, and the size of a place inside a step is odd. */
enum cut_part { PART_PAST, PART_INSIDE, PART_WHOLE, PART_COUNT };

enum cut_end { CUT_OF_ALL = -1, CUT_OF_NONE = -2 };

/** List the cut that the books have, with `last` (not in it) at its end. */
static void list_cut(struct cut_walk *walk, uint32_t last)
{
	find_reach(walk);
	list_steps(walk, NULL, walk->reach);
	list_steps(walk, walk->reach, clock_of(walk, last));
}

/** List a cut that is one with `last`, with that node at its end which always stands there. */
static void list_whole(struct cut_walk *walk, uint32_t last)
{
	uint32_t *done = &walk->done[walk->nodes.nodes[last].chain];
	uint32_t end;

	++*done;
	end = crash_node(walk);
	if (end == CUT_NODE_NONE)
		end = last;
	walk->done[walk->nodes.nodes[end].chain]--;
	list_cut(walk, end);
	walk->done[walk->nodes.nodes[end].chain]++;
	--*done;
}

static struct cut_place list_part(struct cut_walk *walk, int64_t last, enum cut_part part)
{
	struct cut_place place = { .first = walk->step_count };

	if (last == CUT_OF_ALL)
		list_steps(walk, NULL, NULL);
	else if (last >= 0 && part == PART_PAST)
		list_steps(walk, NULL, clock_of(walk, (uint32_t)last));
	else if (last >= 0 && part == PART_INSIDE)
		list_cut(walk, (uint32_t)last);
	else if (last >= 0)
		list_whole(walk, (uint32_t)last);
	place.count = walk->step_count - place.first;
	return place;
}

/** Operations of the cut at `place` up to event `end`, which lies in its last step. */
static uint64_t count_operations(const struct cut_walk *walk, const struct cut_place *place,
				 size_t end)
{
	const struct event *events = walk->judge->log->events;
	const struct judge_step *steps = walk->class->steps;
	uint64_t count = 0;

	for (size_t i = 0; i < steps[0].first_event; i++)
		count += judge_is_operation(&events[i]);
	for (size_t i = 0; i < place->count; i++) {
		const struct judge_step *step = &steps[walk->steps[place->first + i]];
		size_t step_end = step->first_event + step->event_count;

		if (i + 1 == place->count && end < step_end)
			step_end = end;
		for (size_t k = step->first_event; k < step_end; k++)
			count += judge_is_operation(&events[k]);
	}
	return count;
}

static enum cut_part part_of(enum crash_model model, uint64_t size)
{
	if (model == CRASH_NONE)
		return PART_PAST;
	return size % 2 != 0 ? PART_INSIDE : PART_WHOLE;
}

/** Note for new findings and new dirty states where they fall: in the cut that the books had, plus
 * `last`; or in one of enum cut_end. */
static void place_findings(struct cut_walk *walk, int64_t last)
{
	struct findings *findings = &walk->judge->findings;
	size_t dirty_count = walk->judge->dirty_count;
	struct cut_place made[PART_COUNT] = { { 0 } };
	bool is_made[PART_COUNT] = { false };

	walk->places = heap_grow(walk->places, &walk->place_capacity, findings->count,
				 sizeof(*walk->places));
	walk->dirty_places = heap_grow(walk->dirty_places, &walk->dirty_place_capacity, dirty_count,
				       sizeof(*walk->dirty_places));
	for (size_t i = 0; findings->has_new && i < findings->count; i++) {
		struct finding *finding = &findings->list[i];
		enum cut_part part = part_of(finding->verdict.model, finding->rank.size);

		if (!finding->is_new)
			continue;
		if (!is_made[part])
			made[part] = list_part(walk, last, part);
		is_made[part] = true;
		walk->places[i] = made[part];
		walk->places[i].rank = finding->rank;
		finding->is_new = false;
		if (part == PART_PAST && last >= 0)
			finding->verdict.operation =
				count_operations(walk, &made[part], finding->verdict.event);
	}
	findings->has_new = false;
	for (size_t i = walk->dirty_placed; i < dirty_count; i++) {
		const struct judge_dirty *dirty = &walk->judge->dirty[i];
		enum cut_part part = part_of(dirty->model, dirty->cut_size);

		if (!is_made[part])
			made[part] = list_part(walk, last, part);
		is_made[part] = true;
		walk->dirty_places[i] = made[part];
	}
	walk->dirty_placed = dirty_count;
}

/** Say where verdicts fall while the events of `node` are applied, on top of the cut that the books
 * have. */
static void set_ranks(struct cut_walk *walk, const struct cut_node *node)
{
	struct moment *now = &walk->judge->findings.now;
	uint64_t hash = walk->frames[walk->depth].hash;
	uint64_t past = 1;

	for (uint32_t c = 0; c < walk->nodes.chain_count; c++)
		past += cut_nodes_need(&walk->nodes, (uint32_t)(node - walk->nodes.nodes), c);
	now->past = (struct cut_rank){ 2 * past, node->weight };
	now->inside = (struct cut_rank){ 2 * walk->depth + 1, mix(hash, node->weight) };
	now->cut = (struct cut_rank){ 2 * (walk->depth + 1), hash + node->weight };
}

/** Apply the first `count` events of a node. */
static void apply_events(struct cut_walk *walk, const struct cut_node *node, size_t count)
{
	const size_t *events = &walk->nodes.events[node->first_event];
	struct moment *now = &walk->judge->findings.now;
	const struct cut_rank whole = now->cut;

	for (size_t i = 0; i < count; i++) {
		bool is_last = i + 1 == node->event_count && node->ends_in_state;

		now->cut = is_last ? whole : now->inside;
		judge_apply(walk->judge, events[i]);
	}
	now->cut = whole;
}

/** Judge what comes, but reads that were judged: they depend on what is before them only. */
static void listen(struct cut_walk *walk, const struct cut_node *node)
{
	walk->judge->quiet = false;
	walk->judge->reads_known =
		node->reads && cut_set_add(&walk->reads, node->weight, walk->call) < walk->call;
}

/** Add a node to the cut; `is_new`: the cut with it is. */
static void add_node(struct cut_walk *walk, uint32_t index, bool is_new)
{
	const struct cut_node *node = &walk->nodes.nodes[index];
	struct judge *judge = walk->judge;
	struct cut_frame *frame = &walk->frames[walk->depth + 1];
	uint32_t last;

	frame->node = index;
	frame->next_chain = 0;
	frame->hash = walk->frames[walk->depth].hash + node->weight;
	frame->mark = judge_mark(judge);
	judge->quiet = true;
	if (is_new && cut_set_add(&walk->seen, frame->hash, walk->call) == walk->call)
		listen(walk, node);
	set_ranks(walk, node);
	apply_events(walk, node, node->event_count);
	place_findings(walk, index);
	walk->done[node->chain]++;
	walk->depth++;
	if (!is_new)
		return;
	last = node->ends_in_state ? index : crash_node(walk);
	walk->built += node->inside + (last != CUT_NODE_NONE);
	if (last == CUT_NODE_NONE || node->ends_in_state || judge->quiet)
		return;
	judge_set_moment(judge, CRASH_PREFIX, 0);
	judge_count_state(judge);
	judge_list_losses(judge);
	walk->done[walk->nodes.nodes[last].chain]--;
	place_findings(walk, last);
	walk->done[walk->nodes.nodes[last].chain]++;
}

static void drop_node(struct cut_walk *walk)
{
	const struct cut_frame *frame = &walk->frames[walk->depth];

	judge_step_back(walk->judge, &frame->mark);
	walk->done[walk->nodes.nodes[frame->node].chain]--;
	walk->depth--;
}

/** Look at the inside of a step on top of the cut, and go back. */
static void look_inside(struct cut_walk *walk, const struct cut_node *node, uint32_t index)
{
	const size_t *events = &walk->nodes.events[node->first_event];
	uint64_t first_met =
		cut_set_find(&walk->seen, walk->frames[walk->depth].hash + node->weight);
	struct mark mark;

	walk->built += node->inside;
	if (first_met != 0 && first_met < walk->call)
		return;
	mark = judge_mark(walk->judge);
	listen(walk, node);
	set_ranks(walk, node);
	apply_events(walk, node, node->event_count - 1);
	judge_tear(walk->judge, events[node->event_count - 1]);
	place_findings(walk, index);
	judge_step_back(walk->judge, &mark);
}

/** Does the walk for this base add `node` next? */
static bool is_next(const struct cut_walk *walk, uint32_t node)
{
	uint32_t last = walk->frames[walk->depth].node;

	if (walk->depth == walk->floor)
		return node < walk->nodes.kept || node == walk->base;
	if (node < last)
		return false;
	return last >= walk->base || node < walk->nodes.kept || node == walk->base;
}

/** What is left to judge when everything was done. */
static void finish(struct cut_walk *walk, struct judge_report *report)
{
	const struct event_log *log = walk->judge->log;
	const struct judge_class *class = walk->class;
	struct judge *judge = walk->judge;
	struct mark mark = judge_mark(judge);
	uint64_t states = judge->states;
	size_t tail = 0;

	if (class->step_count > 0)
		tail = class->steps[class->step_count - 1].first_event +
		       class->steps[class->step_count - 1].event_count;
	judge->quiet = judge->reads_known = false;
	judge->findings.now.past = judge->findings.now.cut =
		(struct cut_rank){ 2 * walk->depth, walk->frames[walk->depth].hash };
	for (size_t i = 0; i < log->count; i++)
		judge_note_failure(judge, &log->events[i]);
	for (size_t i = tail; i < log->count; i++)
		judge_apply(judge, i);
	place_findings(walk, CUT_OF_ALL);
	walk->built += judge->states - states;
	walk->finished = true;
	report->operations = judge->operations;
	report->leaked = judge_leaked(judge);
	report->copied_missing = judge->live.copied_missing;
	judge_explain_skipped(judge, report);
	judge_step_back(judge, &mark);
}

/** Visit the new cuts of walk->base; the books stand at its past. */
static void walk_base(struct cut_walk *walk, struct judge_report *report)
{
	walk->floor = walk->depth;
	walk->frames[walk->depth].next_chain = 0;
	for (;;) {
		struct cut_frame *top = &walk->frames[walk->depth];
		bool is_new = walk->depth > walk->floor && top->node >= walk->base;
		const struct cut_node *node;
		uint32_t index;

		if (walk->depth == walk->nodes.count && !walk->finished)
			finish(walk, report);
		if (top->next_chain == walk->nodes.chain_count) {
			if (walk->depth == walk->floor)
				return;
			drop_node(walk);
			continue;
		}
		index = cut_nodes_at(&walk->nodes, top->next_chain, walk->done[top->next_chain]);
		top->next_chain++;
		if (index == CUT_NODE_NONE)
			continue;
		node = &walk->nodes.nodes[index];
		if (!is_enabled(walk, node))
			continue;
		if (is_next(walk, index))
			add_node(walk, index, is_new || index == walk->base);
		else if (is_new && node->inside > 0)
			look_inside(walk, node, index);
	}
}

/** Let the books have what comes before `base` (CUT_NODE_NONE: every node), in the run's order;
 * what they have already, of another base, stays. */
static void go_to_past(struct cut_walk *walk, uint32_t base)
{
	size_t at = 0;

	for (uint32_t i = 0; i < walk->nodes.kept; i++) {
		const struct cut_node *node = &walk->nodes.nodes[i];

		if (base != CUT_NODE_NONE &&
		    node->place >= cut_nodes_need(&walk->nodes, base, node->chain))
			continue;
		if (at == walk->depth || walk->frames[at + 1].node != i) {
			while (walk->depth > at)
				drop_node(walk);
			add_node(walk, i, false);
		}
		at++;
	}
	while (walk->depth > at)
		drop_node(walk);
}

/** Is the node the first of its chain that is not kept, and needs it kept nodes only? */
static bool is_base(const struct cut_walk *walk, uint32_t node)
{
	for (uint32_t c = 0; c < walk->nodes.chain_count; c++) {
		uint32_t need = cut_nodes_need(&walk->nodes, node, c);

		if (need > 0 && cut_nodes_at(&walk->nodes, c, need - 1) >= walk->nodes.kept)
			return false;
	}
	return true;
}

/** Stand at the beginning of all runs: behind what precedes the first step. */
static void begin_anew(struct cut_walk *walk)
{
	struct judge *judge = walk->judge;
	size_t end = walk->class->step_count > 0 ? walk->class->steps[0].first_event : 0;
	uint64_t states = judge->states;

	judge_step_back(judge, &judge->start);
	judge->quiet = walk->call > 1;
	judge->reads_known = false;
	judge->findings.now = (struct moment){ .model = CRASH_NONE };
	for (size_t i = 0; i < end; i++)
		judge_apply(judge, i);
	place_findings(walk, CUT_OF_NONE);
	walk->built += judge->states - states;
	walk->frames[0] = (struct cut_frame){ .node = CUT_NODE_NONE };
}

/** May an image be in the making in some run of the log? */
static bool has_making(const struct judge *judge)
{
	for (size_t i = 0; i < judge->log->count; i++) {
		const struct event *event = &judge->log->events[i];

		if (judge_is_operation(event) && event->op == IO_RESIZE && event->host_offset == 0)
			return true;
	}
	return judge->made_here != 0;
}

/** Take from the books what the class does not share with the one before, and understand it.
 * `kept_steps` is 0 when nothing is known of another class. */
static void take_class(struct cut_walk *walk, struct judge_class *class)
{
	size_t chains = walk->done_capacity;
	bool making = has_making(walk->judge);
	bool anew = !walk->judge->by_cuts;

	if (walk->call == 1 || making != walk->making)
		class->kept_steps = 0;
	if (anew || class->kept_steps == 0) {
		anew = true;
		walk->depth = 0;
		for (size_t c = 0; c < chains; c++)
			walk->done[c] = 0;
	}
	while (walk->depth > 0 &&
	       walk->nodes.nodes[walk->frames[walk->depth].node].step >= class->kept_steps)
		drop_node(walk);
	walk->class = class;
	walk->making = making;
	cut_nodes_build(&walk->nodes, walk->judge, class, making);
	walk->frames = heap_grow(walk->frames, &walk->frame_capacity, walk->nodes.count + 1,
				 sizeof(*walk->frames));
	walk->done = heap_grow(walk->done, &walk->done_capacity, class->chain_count,
			       sizeof(*walk->done));
	for (; chains < walk->done_capacity; chains++)
		walk->done[chains] = 0;
	if (anew)
		begin_anew(walk);
	else
		place_findings(walk, CUT_OF_NONE);
}

static struct cut_walk *walk_of(struct judge *judge)
{
	if (judge->cuts == NULL) {
		judge->cuts = heap_new(1, sizeof(*judge->cuts));
		judge->cuts->judge = judge;
	}
	return judge->cuts;
}

static struct judge_cut cut_at(const struct cut_walk *walk, const struct cut_place *place)
{
	return (struct judge_cut){ place->count > 0 ? &walk->steps[place->first] : NULL,
				   place->count, place->rank.size, place->rank.hash };
}

/** The cuts of the dirty states. */
static const struct judge_cut *list_dirty_cuts(struct cut_walk *walk)
{
	size_t count = walk->judge->dirty_count;

	walk->dirty_cuts = heap_grow(walk->dirty_cuts, &walk->dirty_cut_capacity, count + 1,
				     sizeof(*walk->dirty_cuts));
	for (size_t i = 0; i < count; i++)
		walk->dirty_cuts[i] = cut_at(walk, &walk->dirty_places[i]);
	return walk->dirty_cuts;
}

/** The cuts of the verdicts that findings_visible() lists. */
static const struct judge_cut *list_cuts(struct cut_walk *walk)
{
	const struct findings *findings = &walk->judge->findings;
	size_t count = 0;

	walk->cuts = heap_grow(walk->cuts, &walk->cut_capacity, findings->count + 1,
			       sizeof(*walk->cuts));
	for (size_t i = 0; i < findings->count; i++) {
		if (findings->list[i].hidden != 0)
			continue;
		walk->cuts[count++] = cut_at(walk, &walk->places[i]);
	}
	return walk->cuts;
}

/** Visit every new cut of the class that was taken. */
static void walk_class(struct cut_walk *walk, struct judge_report *report)
{
	for (size_t i = walk->nodes.kept; i < walk->nodes.count; i++) {
		if (!is_base(walk, (uint32_t)i))
			continue;
		walk->base = (uint32_t)i;
		go_to_past(walk, walk->base);
		walk_base(walk, report);
	}
	if (walk->finished)
		return;
	go_to_past(walk, CUT_NODE_NONE);
	finish(walk, report);
}

void judge_cuts(struct judge *judge, const struct event_log *log, const struct judge_class *class,
		struct judge_report *report)
{
	struct cut_walk *walk = walk_of(judge);
	struct judge_class taken = *class;
	uint64_t initial = judge->initial_judged ? 0 : 1;
	uint64_t states;
	uint64_t built;

	assert(!judge->options.once);
	*report = (struct judge_report){ 0 };
	walk->call++;
	walk->finished = false;
	walk->step_count = walk->dirty_placed = 0;
	judge->dirty_count = 0;
	judge->log = log;
	judge->live.sectors.log_bytes = log->bytes;
	judge->findings.stay = true;
	findings_forget(&judge->findings, judge->start.finding_count);
	judge->initial_judged = true;
	judge->decided = (struct magnitude){ 0 };
	states = judge->states;
	walk->built += initial;
	built = walk->built - initial;
	take_class(walk, &taken);
	walk_class(walk, report);
	walk->class = NULL;
	judge->quiet = judge->reads_known = false;
	judge->by_cuts = true;
	report->verdict_count = findings_visible(&judge->findings);
	report->verdicts = judge->findings.visible;
	report->cuts = list_cuts(walk);
	report->dirty = judge->dirty;
	report->dirty_count = judge->dirty_count;
	report->dirty_cuts = list_dirty_cuts(walk);
	report->counts.states = walk->built - built;
	report->counts.judged = judge->states - states + initial;
	report->counts.built = walk->built;
	report->counts.distinct = judge->distinct.count;
	report->counts.distinct_checksum = judge->distinct.checksum;
	report->counts.decided = judge->decided;
}
