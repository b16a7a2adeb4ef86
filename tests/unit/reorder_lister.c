// SPDX-License-Identifier: MIT
#include "tests/unit/reorder_lister.h"

#include "oracle/judge.h"
#include "traces/trace.h"

#include <check.h>
#include <string.h>

void lister_init(struct lister *lister, const struct content *initial, const struct event_log *log)
{
	*lister = (struct lister){ .log = log,
				   .now = content_clone(initial),
				   .initial = initial,
				   .initial_bytes = content_size(initial) };
}

void lister_release(struct lister *lister)
{
	for (size_t i = 0; i < lister->count; i++)
		content_free(lister->operations[i].after);
	content_free(lister->now);
}

static void add_size(struct lister *lister, uint64_t bytes)
{
	for (size_t i = 0; i < lister->size_count; i++)
		if (lister->sizes[i] == bytes)
			return;
	lister->sizes[lister->size_count++] = bytes;
}

/** The durable size: what the newest durable operation left of it, when writes make the file longer
 * in any order; and what any volatile one makes of it. */
static void find_sizes(struct lister *lister)
{
	uint64_t base = lister->initial_bytes;
	size_t first = 0, durable_end = 0;
	uint64_t floor;

	lister->size_count = 0;
	for (size_t i = 0; i < lister->count; i++)
		if (lister->operations[i].durable && lister->operations[i].end > 0)
			durable_end = i + 1;
	for (size_t i = 0; i < durable_end; i++)
		if (lister->operations[i].is_resize) {
			base = lister->operations[i].end;
			first = i + 1;
		}
	for (size_t i = first; i < durable_end; i++)
		if (lister->operations[i].durable && lister->operations[i].end > base)
			base = lister->operations[i].end;
	add_size(lister, base);
	floor = base;
	for (size_t i = first; i < lister->count; i++) {
		const struct lister_operation *operation = &lister->operations[i];

		if (operation->durable || (operation->end == 0 && !operation->is_resize))
			continue;
		if (operation->is_resize)
			floor = operation->end;
		add_size(lister, operation->end > floor ? operation->end : floor);
	}
}

/** Is a file of any size that it may have now long enough? */
static bool is_inside(struct lister *lister, uint64_t end)
{
	find_sizes(lister);
	for (size_t i = 0; i < lister->size_count; i++)
		if (lister->sizes[i] < end)
			return false;
	return true;
}

static void add_operation(struct lister *lister, size_t index)
{
	const struct event *event = &lister->log->events[index];
	struct lister_operation *operation = &lister->operations[lister->count];
	uint64_t old_bytes = content_size(lister->now);
	uint64_t end = event->host_offset + event->length;

	ck_assert_uint_lt(lister->count, LISTER_OPERATIONS_MAX);
	ck_assert_int_eq(trace_apply(lister->now, lister->log, event), STATUS_OK);
	*operation = (struct lister_operation){ .event = index,
						.after = content_clone(lister->now),
						.completed = event->id == 0,
						.is_resize = event->op == IO_RESIZE,
						.from = event->host_offset,
						.to = event->host_offset + event->length };
	if (event->op == IO_WRITE)
		operation->to = event->host_offset + (uint64_t)event->result;
	if (event->op == IO_ALLOCATE)
		operation->from = operation->to;
	if (event->op == IO_RESIZE)
		operation->to = old_bytes;
	if (event->op == IO_PUNCH && operation->to > old_bytes)
		operation->to = old_bytes;
	if (event->op == IO_WRITE)
		end = operation->to;
	if (event->op == IO_PUNCH)
		end = 0;
	/* What changes bytes inside the file says nothing of its size. */
	if (is_inside(lister, end))
		end = 0;
	operation->end = event->op == IO_RESIZE ? event->host_offset : end;
	lister->count++;
}

static void flush_begins(struct lister *lister, uint32_t id)
{
	struct lister_flush *flush = &lister->flushes[lister->flush_count++];

	ck_assert_uint_le(lister->flush_count, LISTER_OPERATIONS_MAX);
	*flush = (struct lister_flush){ .id = id };
	for (size_t i = 0; i < lister->count; i++)
		flush->covers[i] = lister->operations[i].completed;
}

static void flush_ends(struct lister *lister, uint32_t id, bool failed)
{
	for (size_t f = 0; f < lister->flush_count; f++) {
		const struct lister_flush *flush = &lister->flushes[f];

		if (flush->id != id)
			continue;
		for (size_t i = 0; i < lister->count; i++) {
			struct lister_operation *operation = &lister->operations[i];

			if (!flush->covers[i] || operation->durable || operation->doomed)
				continue;
			operation->doomed = failed;
			operation->durable = !failed;
		}
	}
}

void lister_step(struct lister *lister, size_t index)
{
	const struct event *event = &lister->log->events[index];

	if (event->file != 0)
		return;
	if (judge_is_operation(event))
		add_operation(lister, index);
	if (event->kind == EVENT_IO_SUBMITTED && event->op == IO_FLUSH)
		flush_begins(lister, event->id);
	if (event->kind == EVENT_IO_COMPLETED && event->op == IO_FLUSH)
		flush_ends(lister, event->id, event->result < 0);
	for (size_t i = 0; event->kind == EVENT_IO_COMPLETED && i < lister->count; i++)
		if (lister->log->events[lister->operations[i].event].id == event->id)
			lister->operations[i].completed = true;
}

static bool touches(const struct lister_operation *operation, uint64_t sector)
{
	return operation->from < (sector + 1) * 512 && sector * 512 < operation->to;
}

/** The sector's durable version and all after it, equal ones once. False: too many. */
static bool find_versions(struct lister *lister, uint64_t index)
{
	struct lister_sector *sector = &lister->sectors[lister->sector_count];
	size_t first = 0;

	*sector = (struct lister_sector){ .index = index, .count = 1 };
	content_read(lister->initial, sector->versions[0], 512, index * 512);
	for (size_t i = 0; i < lister->count; i++) {
		if (!touches(&lister->operations[i], index) || !lister->operations[i].durable)
			continue;
		first = i + 1;
		content_read(lister->operations[i].after, sector->versions[0], 512, index * 512);
	}
	for (size_t i = first; i < lister->count; i++) {
		uint8_t *version = sector->versions[sector->count];
		size_t same = 0;

		if (!touches(&lister->operations[i], index))
			continue;
		if (sector->count == LISTER_VERSIONS_MAX - 1)
			return false;
		content_read(lister->operations[i].after, version, 512, index * 512);
		while (memcmp(sector->versions[same], version, 512) != 0)
			same++;
		sector->count += same == sector->count;
	}
	if (sector->count > 1)
		lister->sector_count++;
	return lister->sector_count < LISTER_SECTORS_MAX;
}

size_t lister_states(struct lister *lister)
{
	enum { STATES_MAX = 384 };
	size_t states;

	lister->sector_count = 0;
	for (uint64_t sector = 0; sector < 256; sector++)
		if (!find_versions(lister, sector))
			return SIZE_MAX;
	find_sizes(lister);
	states = lister->size_count;
	for (size_t i = 0; i < lister->sector_count; i++) {
		states *= lister->sectors[i].count;
		if (states > STATES_MAX)
			return SIZE_MAX;
	}
	return states;
}

struct content *lister_state(const struct lister *lister, size_t number)
{
	struct content *content = content_clone(lister->now);
	uint64_t size = lister->sizes[number % lister->size_count];

	number /= lister->size_count;
	content_resize(content, size);
	for (size_t i = 0; i < lister->sector_count; i++) {
		const struct lister_sector *sector = &lister->sectors[i];
		uint64_t start = sector->index * 512;
		uint64_t bytes = start >= size ? 0 : size - start < 512 ? size - start : 512;

		ck_assert_int_eq(content_write(content, sector->versions[number % sector->count],
					       bytes, start),
				 STATUS_OK);
		number /= sector->count;
	}
	return content;
}
