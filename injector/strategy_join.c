// SPDX-License-Identifier: MIT
/* Orders that come together are followed once.
 *
 *           o          Of a foreign program nobody knows what two of its steps have to do with each
 *        a / \ b       other. But it can be seen what became of them: when both orders of a and b
 *         o   o        were executed, and the file is the same, the same calls wait, the same was
 *        b \ / a       said, then they have come together, and what can follow the one can follow
 *           o          the other. Everything up to there has been executed, both ways round.
 *         / | \        Only what lies below is explored once.
 *
 * What cannot be seen is what the program remembers. Two requests may stand in a queue in the order
 * in which a and b were, and show it later. So it is not enough that a state looks the same: the
 * run goes on to its end, in the way in which the search went on when it was there first (first
 * options always, which are a function of what is seen), and all that is seen on that way must be
 * the same, too. A queue that was filled in the other order is emptied in the other order before
 * the run is over. When it is not the same, both states are explored.
 *
 * What is left to be believed, and what the certificate says: what looks alike now and all along
 * one way to the end, looks alike along every way.
 *
 * Each step from each state, as far as states are told apart, is executed at least once: a run is
 * given up by nobody, it is only not branched from. So every crash state of any order is one that
 * some run came through.
 *
 * A state is a hash of 64 bits, with what follows another: among a million the chance that two are
 * mistaken for one is below one in ten million. */
#include "injector/strategy_join.h"

#include "injector/order.h"

#include <stdlib.h>

/** Hashes; open addressing, at most half full. Zero is a free place. */
struct hash_set {
	uint64_t *slots; /* owned */
	size_t capacity; /* a power of two, or 0 */
	size_t count;
};

struct join_strategy {
	struct strategy base;
	struct strategy *inner; /* owned; dfs */
	const struct join_trail *trail;
	struct hash_set states;   /* known */
	struct hash_set with_way; /* known, each with the way on from it */
	size_t old;               /* decisions at the beginning of the run that earlier ones had */
	uint64_t met, parted;
};

static struct join_strategy *join_of(struct strategy *strategy)
{
	return (struct join_strategy *)strategy;
}

static const struct join_strategy *join_seen(const struct strategy *strategy)
{
	return (const struct join_strategy *)strategy;
}

/** The place of `hash`, or where it is to be put. */
static uint64_t *find_slot(const struct hash_set *set, uint64_t hash)
{
	size_t at = (size_t)hash & (set->capacity - 1);

	while (set->slots[at] && set->slots[at] != hash)
		at = (at + 1) & (set->capacity - 1);
	return &set->slots[at];
}

static void make_room(struct hash_set *set)
{
	struct hash_set larger = { .capacity = set->capacity ? 2 * set->capacity : 64 };

	if (2 * set->count < set->capacity)
		return;
	larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
	if (!larger.slots)
		abort();
	for (size_t i = 0; i < set->capacity; i++)
		if (set->slots[i])
			*find_slot(&larger, set->slots[i]) = set->slots[i];
	larger.count = set->count;
	free(set->slots);
	*set = larger;
}

/** True: it was not there. */
static bool add_hash(struct hash_set *set, uint64_t hash)
{
	make_room(set);
	hash += hash == 0;
	uint64_t *slot = find_slot(set, hash);
	bool is_new = *slot == 0;
	*slot = hash;
	set->count += is_new;
	return is_new;
}

static bool join_begin(struct strategy *strategy)
{
	struct join_strategy *join = join_of(strategy);

	if (!join->inner->ops->begin(join->inner))
		return false;
	join->old = strategy_dfs_depth(join->inner);
	return true;
}

static uint32_t join_pick(struct strategy *strategy, const struct choice_point *point)
{
	struct join_strategy *join = join_of(strategy);

	return join->inner->ops->pick(join->inner, point);
}

static void join_end(struct strategy *strategy, enum run_end end, uint64_t log_digest)
{
	struct join_strategy *join = join_of(strategy);
	const struct join_trail *trail = join->trail;

	(void)end;
	(void)log_digest;
	for (size_t i = join->old; i < trail->count; i++) {
		const struct join_place *place = &trail->places[i];
		if (!place->state)
			continue;
		bool is_new = add_hash(&join->states, place->state);
		if (!add_hash(&join->with_way, order_mixed(place->state) + place->rest)) {
			strategy_dfs_cut(join->inner, i);
			join->met++;
			return;
		}
		join->parted += !is_new;
	}
}

static bool join_is_complete(const struct strategy *strategy)
{
	const struct join_strategy *join = join_seen(strategy);

	return join->inner->ops->is_complete(join->inner);
}

static const char *join_complaint(const struct strategy *strategy)
{
	const struct join_strategy *join = join_seen(strategy);

	return join->inner->ops->complaint(join->inner);
}

static void join_free(struct strategy *strategy)
{
	struct join_strategy *join = join_of(strategy);

	strategy_free(join->inner);
	free(join->states.slots);
	free(join->with_way.slots);
	free(join);
}

uint64_t strategy_join_met(const struct strategy *strategy)
{
	return join_seen(strategy)->met;
}

uint64_t strategy_join_parted(const struct strategy *strategy)
{
	return join_seen(strategy)->parted;
}

static const struct strategy_ops join_ops = {
	.name = "dpor",
	.begin = join_begin,
	.pick = join_pick,
	.end = join_end,
	.is_complete = join_is_complete,
	.complaint = join_complaint,
	.free = join_free,
};

struct strategy *strategy_join_new(const struct join_trail *trail)
{
	struct join_strategy *join = calloc(1, sizeof(*join));

	if (!join)
		return NULL;
	join->base.ops = &join_ops;
	join->trail = trail;
	join->inner = strategy_dfs_new(false);
	if (join->inner)
		return &join->base;
	free(join);
	return NULL;
}
