// SPDX-License-Identifier: MIT
#include "workloads/dirty_states.h"

#include "traces/memory.h"

#include <stdlib.h>
#include <string.h>

enum { PLACES_MAX = 1 << 17, SLOTS_MIN = 64 };

void dirty_states_release(struct dirty_states *places)
{
	for (size_t i = 0; i < places->count; i++)
		free(places->items[i].schedule);
	free(places->items);
	free(places->slots);
	*places = (struct dirty_states){ 0 };
}

/* The slot of a fingerprint: its own, or a free one. */
static size_t slot_of(const struct dirty_states *places, uint64_t fingerprint)
{
	size_t slot = (size_t)fingerprint & (places->slot_count - 1);
	while (places->slots[slot] &&
	       places->items[places->slots[slot] - 1].state.fingerprint != fingerprint)
		slot = (slot + 1) & (places->slot_count - 1);
	return slot;
}

/* Have `slot_count` slots that say where each item is. */
static void fill_slots(struct dirty_states *places, size_t slot_count)
{
	free(places->slots);
	places->slots = calloc(slot_count, sizeof(*places->slots));
	if (!places->slots)
		abort();
	places->slot_count = slot_count;
	for (size_t i = 0; i < places->count; i++)
		places->slots[slot_of(places, places->items[i].state.fingerprint)] =
			(uint32_t)i + 1;
}

bool dirty_states_has(const struct dirty_states *places, uint64_t fingerprint)
{
	return places->slot_count && places->slots[slot_of(places, fingerprint)];
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* How good are two ways, as far as the judge can tell? */
static int compare_cuts(const struct judge_dirty *a, const struct judge_dirty *b)
{
	int order = compare_numbers(a->model, b->model);
	order = order ? order : compare_numbers(a->cut_size, b->cut_size);
	return order ? order : compare_numbers(a->cut_hash, b->cut_hash);
}

static int compare_schedules(const char *a, const char *b)
{
	int order = compare_numbers(strlen(a), strlen(b));
	return order ? order : strcmp(a, b);
}

static int compare_places(const void *a, const void *b)
{
	const struct dirty_state *x = a, *y = b;
	int order = compare_cuts(&x->state, &y->state);
	order = order ? order : compare_schedules(x->schedule, y->schedule);
	order = order ? order : compare_numbers(x->state.operation, y->state.operation);
	order = order ? order : compare_numbers(x->state.told, y->state.told);
	order = order ? order : compare_numbers(x->state.sector, y->state.sector);
	return order ? order : compare_numbers(x->state.fingerprint, y->state.fingerprint);
}

bool dirty_states_wants(const struct dirty_states *places, const struct judge_dirty *state)
{
	size_t slot = places->slot_count ? slot_of(places, state->fingerprint) : 0;
	if (!places->slot_count || !places->slots[slot])
		return true;
	return compare_cuts(state, &places->items[places->slots[slot] - 1].state) < 0;
}

void dirty_states_add(struct dirty_states *places, const char *schedule,
		      const struct judge_dirty *state)
{
	if (2 * (places->count + 1) > places->slot_count)
		fill_slots(places, places->slot_count ? 2 * places->slot_count : SLOTS_MIN);
	size_t slot = slot_of(places, state->fingerprint);
	if (places->slots[slot]) {
		struct dirty_state *known = &places->items[places->slots[slot] - 1];
		struct dirty_state added = { memory_text(schedule, strlen(schedule)), *state };
		bool is_better = compare_places(&added, known) < 0;
		free(is_better ? known->schedule : added.schedule);
		if (is_better)
			*known = added;
		return;
	}
	if (places->count == PLACES_MAX) {
		places->is_cut = true;
		return;
	}
	places->items = memory_grow(places->items, &places->capacity, places->count + 1,
				    sizeof(*places->items));
	places->items[places->count++] =
		(struct dirty_state){ memory_text(schedule, strlen(schedule)), *state };
	places->slots[slot] = (uint32_t)places->count;
}

void dirty_states_merge(struct dirty_states *places, const struct dirty_states *more)
{
	for (size_t i = 0; i < more->count; i++)
		dirty_states_add(places, more->items[i].schedule, &more->items[i].state);
	places->is_cut = places->is_cut || more->is_cut;
}

void dirty_states_sort(struct dirty_states *places)
{
	if (!places->count)
		return;
	qsort(places->items, places->count, sizeof(*places->items), compare_places);
	fill_slots(places, places->slot_count);
}

void dirty_states_pack(const struct dirty_states *places, struct pack *pack)
{
	pack_number(pack, places->is_cut);
	pack_number(pack, places->count);
	for (size_t i = 0; i < places->count; i++) {
		const struct judge_dirty *state = &places->items[i].state;
		pack_text(pack, places->items[i].schedule);
		pack_number(pack, state->operation);
		pack_number(pack, state->told);
		pack_number(pack, state->sector);
		pack_number(pack, state->sector_bytes);
		pack_number(pack, state->model);
		pack_number(pack, state->loss.kind);
		pack_number(pack, state->loss.actor);
		pack_number(pack, state->loss.number);
		pack_number(pack, state->cut_size);
		pack_number(pack, state->cut_hash);
		pack_number(pack, state->fingerprint);
		pack_number(pack, state->promises);
	}
}

void dirty_states_unpack(struct dirty_states *places, struct unpack *unpack)
{
	places->is_cut = unpack_number(unpack, 1);
	uint64_t count = unpack_number(unpack, PLACES_MAX);
	for (uint64_t i = 0; i < count && !unpack->failed; i++) {
		struct judge_dirty state = { 0 };
		char *schedule = unpack_text(unpack);
		state.operation = unpack_number(unpack, UINT64_MAX);
		state.told = unpack_number(unpack, UINT64_MAX);
		state.sector = (uint32_t)unpack_number(unpack, UINT32_MAX);
		state.sector_bytes = (uint32_t)unpack_number(unpack, UINT32_MAX);
		state.model = (enum crash_model)unpack_number(unpack, CRASH_REORDER);
		state.loss.kind = (enum judge_loss_kind)unpack_number(unpack, LOSS_OF_ALL);
		state.loss.actor = (uint32_t)unpack_number(unpack, UINT32_MAX);
		state.loss.number = (uint32_t)unpack_number(unpack, UINT32_MAX);
		state.cut_size = unpack_number(unpack, UINT64_MAX);
		state.cut_hash = unpack_number(unpack, UINT64_MAX);
		state.fingerprint = unpack_number(unpack, UINT64_MAX);
		state.promises = unpack_number(unpack, UINT64_MAX);
		if (!unpack->failed)
			dirty_states_add(places, schedule, &state);
		free(schedule);
	}
}
