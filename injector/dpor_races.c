// SPDX-License-Identifier: MIT
/* Where a search branches: for each race, what must be explored where its first step was chosen.
 * See strategy_dpor.c. */
#include "injector/dpor_private.h"

#include <string.h>

static bool contains(const uint32_t *actors, size_t count, uint32_t actor)
{
	for (size_t i = 0; i < count; i++)
		if (actors[i] == actor)
			return true;
	return false;
}

/** The two steps of a race. */
struct race {
	size_t first, last;
};

/** The step of v behind step `i`: v are the steps between `first` and `last` that do not depend on
 * `first`, and `last`. */
static size_t next_of_rest(const struct order *order, const struct race *race, size_t i)
{
	do {
		i++;
	} while (i < race->last && order_before(order, race->first, i));
	return i;
}

/** Actors that can begin v. `last` counts only when it is all of v: without `first` it may touch
 * something else than it did, and then not commute with the rest. Returns how many. */
static size_t find_initials(const struct order *order, const struct race *race,
			    uint32_t initials[ORDER_CHAINS_MAX])
{
	uint32_t seen[ORDER_CHAINS_MAX];
	size_t seen_count = 0, count = 0;
	uint32_t floor[ORDER_CHAINS_MAX]; /* of each chain: its steps before `first` */
	memset(floor, 0, sizeof(floor));
	for (size_t i = 0; i < race->first; i++)
		floor[order->steps[i].chain] = order->steps[i].number;
	for (size_t i = next_of_rest(order, race, race->first); i < race->last;
	     i = next_of_rest(order, race, i)) {
		const struct order_step *step = &order->steps[i];
		if (i == race->last || contains(seen, seen_count, step->actor))
			continue;
		seen[seen_count++] = step->actor;
		const uint32_t *clock = order_clock(order, i);
		bool is_initial = true;
		for (uint32_t chain = 0; chain < order->chain_count && is_initial; chain++)
			is_initial = chain == step->chain || clock[chain] <= floor[chain];
		if (is_initial)
			initials[count++] = step->actor;
	}
	if (count == 0)
		initials[count++] = order->steps[race->last].actor;
	return count;
}

/** Would `last`'s actor, asleep at the node, touch something else there than `last` did? */
static bool is_other_now(const struct dpor *dpor, const struct dpor_node *node,
			 const struct race *race)
{
	const struct order_step *last = &dpor->order->steps[race->last];
	for (size_t i = 0; i < node->sleeper_count; i++) {
		const struct variant *variant = &dpor->variants[dpor->sleepers[node->sleepers + i]];
		if (variant->actor == last->actor && variant->picks == last->picks)
			return !footprint_equal(&variant->footprint, &last->footprint);
	}
	return false;
}

/** Make sure that some run has `last` before `first`. */
static void reverse(struct dpor *dpor, const struct race *race)
{
	struct dpor_node *node = dpor_run_node(dpor, race->first);
	uint32_t initials[ORDER_CHAINS_MAX];
	struct option *wanted = NULL;
	if (node->closed)
		return;
	size_t count = find_initials(dpor->order, race, initials);
	size_t best = count;
	for (uint32_t i = 0; i < node->count; i++) {
		struct option *option = dpor_option(dpor, node, i);
		for (size_t j = 0; j < count; j++) {
			if (initials[j] != option->actor)
				continue;
			if (option->wanted)
				return;
			if (option->asleep && !is_other_now(dpor, node, race))
				return;
			if (option->asleep)
				break;
			if (j < best) {
				best = j;
				wanted = option;
			}
		}
	}
	if (wanted) {
		wanted->wanted = true;
		return;
	}
	dpor_want_all(dpor, node);
}

void dpor_reverse_races(struct dpor *dpor, size_t index)
{
	const struct order *order = dpor->order;
	const struct order_step *step = &order->steps[index];
	for (uint32_t i = 0; i < step->race_count; i++) {
		const struct race race = { order->races[step->first_race + i], index };
		reverse(dpor, &race);
	}
}

void dpor_stuck(struct strategy *strategy, uint32_t actor, uint32_t object)
{
	struct dpor *dpor = (struct dpor *)strategy;
	size_t step = dpor->order->count;
	(void)actor;
	while (step-- > 0) {
		if (!footprint_find(&dpor->order->steps[step].footprint, object, ACCESS_LOCK))
			continue;
		dpor_want_all(dpor, dpor_run_node(dpor, step));
		return;
	}
}
