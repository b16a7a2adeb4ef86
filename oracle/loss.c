// SPDX-License-Identifier: MIT
/* States that a crash leaves on a disk that reorders, a few of them.
 *
 * The rules are decided for all such states (reorder.c). A repair has to be carried out, so it can
 * be tried on some only: with V operations that are volatile at a crash there are at least 2^V of
 * them. This is the family that is tried, 2 V + 1 of them:
 *
 *     without one     all versions are the newest, but the sectors that one volatile operation
 *                     wrote last hold what they held before it
 *     only one        the sectors that one volatile operation wrote hold what it wrote, all others
 *                     that are volatile what is durable
 *     none            every sector holds what is durable
 *
 * That is one barrier missed, seen from both sides: something was there too late, or too early.
 *
 * An operation is named by who did it and how many that one had done: the same in every run that
 * has the cut, whatever the others did meanwhile. */
#include "oracle/heap.h"
#include "oracle/judge_state.h"
#include "oracle/reorder.h"

#include <stdlib.h>

/** Is the operation one that a crash may lose? */
static bool is_volatile(const struct window *window, uint64_t op)
{
	return op >= window->settled && window->ops[op]->durable == 0;
}

/** The name of volatile operation `op`. */
static struct judge_loss name_operation(const struct judge *judge, uint64_t op,
					enum judge_loss_kind kind)
{
	size_t event = judge->window.ops[op]->event;
	struct judge_loss loss = { .kind = kind, .actor = judge->log->events[event].actor };

	for (size_t i = 0; i <= event; i++)
		loss.number += judge->log->events[i].actor == loss.actor &&
			       judge_is_operation(&judge->log->events[i]);
	return loss;
}

/** The index of the operation that `loss` names among the volatile ones; op_count: there is none.
 */
static uint64_t find_operation(const struct judge *judge, const struct judge_loss *loss)
{
	const struct window *window = &judge->window;
	uint64_t op = window->settled;

	while (op < window->op_count) {
		struct judge_loss name = name_operation(judge, op, loss->kind);

		if (is_volatile(window, op) && name.actor == loss->actor &&
		    name.number == loss->number)
			break;
		op++;
	}
	return op;
}

/** The version of `cell` that the state has. */
static uint64_t version_in(const struct cell *cell, enum judge_loss_kind kind, uint64_t op)
{
	uint64_t newest = cell->count - 1;
	uint64_t version = newest;

	while (version > cell->first && cell->ops[version] != op)
		version--;
	if (kind != LOSS_OF_ONE)
		return kind == LOSS_OF_OTHERS ? version : cell->first;
	return version == newest && version > cell->first ? version - 1 : newest;
}

/** The size of the file in the state. */
static uint64_t size_in(const struct window *window, enum judge_loss_kind kind, uint64_t op)
{
	uint64_t bytes = window->size_base;

	for (uint64_t i = window->size_first; i < window->op_count; i++) {
		const struct window_op *it = window->ops[i];
		bool is_there = it->durable != 0 || (i == op) == (kind == LOSS_OF_OTHERS);

		if (kind == LOSS_OF_ALL)
			is_there = it->durable != 0;
		if (!is_there || it->size_kind == SIZE_NONE)
			continue;
		if (it->size_kind == SIZE_SET || it->size_bytes > bytes)
			bytes = it->size_bytes;
	}
	return bytes;
}

/** Let the image be the state; the journal takes it back. */
static void put_state(struct judge *judge, enum judge_loss_kind kind, uint64_t op)
{
	struct window *window = &judge->window;

	live_begin(&judge->live);
	reorder_put_size(judge, size_in(window, kind, op));
	for (uint64_t i = window->ops[window->settled]->first_touch; i < window->touch_count; i++) {
		const struct cell *cell = window->touches[i];

		if (cell->count > cell->first + 1)
			reorder_put(judge, cell, version_in(cell, kind, op));
	}
	live_settle(&judge->live);
}

static void list_state(struct judge *judge, const struct judge_loss *loss, uint64_t op)
{
	struct findings *findings = &judge->findings;
	const struct moment moment = findings->now;
	size_t journal_count = judge->journal.count;
	uint64_t name = mix((uint64_t)loss->actor << 32 | loss->number, loss->kind);

	put_state(judge, loss->kind, op);
	judge_set_moment(judge, CRASH_REORDER, 0);
	findings->now.cut.hash = mix(moment.cut.hash, name);
	judge_list_if_dirty(judge, loss);
	findings->now = moment;
	journal_rollback(&judge->journal, journal_count);
}

void judge_list_losses(struct judge *judge)
{
	const struct window *window = &judge->window;
	const struct judge_loss all = { .kind = LOSS_OF_ALL };

	if (!judge->options.list_dirty || !window->is_on || judge->findings.muted != 0 ||
	    window->settled == window->op_count)
		return;
	for (uint64_t op = window->settled; op < window->op_count; op++) {
		struct judge_loss loss = name_operation(judge, op, LOSS_OF_ONE);

		if (!is_volatile(window, op))
			continue;
		list_state(judge, &loss, op);
		loss.kind = LOSS_OF_OTHERS;
		list_state(judge, &loss, op);
	}
	list_state(judge, &all, window->op_count);
}

static void add_loss(struct judge *judge, size_t *count, const struct judge_loss *loss)
{
	judge->losses =
		heap_grow(judge->losses, &judge->loss_capacity, *count + 1, sizeof(*judge->losses));
	judge->losses[(*count)++] = *loss;
}

size_t judge_stand(struct judge *judge, const struct event_log *log, size_t event_count,
		   size_t crash, const struct judge_loss **losses)
{
	const struct window *window = &judge->window;
	const struct judge_loss all = { .kind = LOSS_OF_ALL };
	size_t count = 0;

	judge_begin_again(judge, log);
	judge->is_standing = judge->quiet = true;
	for (size_t i = 0; i < event_count; i++) {
		if (i == crash)
			judge_crash(judge);
		judge_apply(judge, i);
	}
	judge->quiet = false;
	for (uint64_t op = window->settled; window->is_on && op < window->op_count; op++) {
		struct judge_loss loss = name_operation(judge, op, LOSS_OF_ONE);

		if (!is_volatile(window, op))
			continue;
		add_loss(judge, &count, &loss);
		loss.kind = LOSS_OF_OTHERS;
		add_loss(judge, &count, &loss);
	}
	if (count > 0)
		add_loss(judge, &count, &all);
	*losses = judge->losses;
	return count;
}

/** Bring what the file holds in `cell` to the image. */
static void write_cell(struct judge *judge, const struct cell *cell, struct content *image)
{
	uint64_t grain = judge->window.grain;

	for (uint64_t sector = cell->index * grain; sector < (cell->index + 1) * grain; sector++) {
		uint64_t start = sector * SECTOR_BYTES;
		uint64_t left = content_size(image) > start ? content_size(image) - start : 0;

		if (content_write(image, sectors_at(&judge->live.sectors, sector),
				  left < SECTOR_BYTES ? (size_t)left : SECTOR_BYTES,
				  start) != STATUS_OK)
			abort();
	}
}

bool judge_lose(struct judge *judge, const struct judge_loss *loss, struct content *image)
{
	const struct window *window = &judge->window;
	size_t journal_count = judge->journal.count;
	uint64_t op = loss->kind == LOSS_OF_ALL ? window->op_count : find_operation(judge, loss);

	if (!window->is_on || window->settled == window->op_count ||
	    (op == window->op_count && loss->kind != LOSS_OF_ALL))
		return false;
	put_state(judge, loss->kind, op);
	content_resize(image, judge->live.sectors.file_bytes);
	for (uint64_t i = window->ops[window->settled]->first_touch; i < window->touch_count; i++)
		if (window->touches[i]->count > window->touches[i]->first + 1)
			write_cell(judge, window->touches[i], image);
	journal_rollback(&judge->journal, journal_count);
	return true;
}
