// SPDX-License-Identifier: MIT
#include "tests/unit/reorder_lister.h"

#include "oracle/judge.h"
#include "traces/trace.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

void lister_init(struct lister *lister, const struct content *initial, const struct event_log *log,
		 uint32_t sector_bytes)
{
	memset(lister, 0, sizeof(*lister));
	lister->sector_bytes = sector_bytes;
	lister->first = malloc((size_t)LISTER_SECTORS_MAX * sector_bytes);
	ck_assert_ptr_nonnull(lister->first);
	lister->log = log;
	lister->initial = initial;
	lister->now = content_clone(initial);
}

void lister_release(struct lister *lister)
{
	for (size_t i = 0; i < lister->count; i++)
		free(lister->operations[i].after);
	for (size_t i = 0; i < lister->flush_count; i++)
		free(lister->flushes[i].covers);
	free(lister->operations);
	free(lister->flushes);
	free(lister->sizes);
	free(lister->first);
	content_free(lister->now);
}

/** Room for one more item of a list that is `*capacity` long and has `count`. */
static void *grown(void *list, size_t count, size_t *capacity, size_t item_bytes)
{
	if (count < *capacity)
		return list;
	*capacity = 2 * *capacity + 16;
	list = realloc(list, *capacity * item_bytes);
	ck_assert_ptr_nonnull(list);
	return list;
}

static void add_size(struct lister *lister, uint64_t bytes)
{
	for (size_t i = 0; i < lister->size_count; i++)
		if (lister->sizes[i] == bytes)
			return;
	lister->sizes = grown(lister->sizes, lister->size_count, &lister->size_capacity,
			      sizeof(*lister->sizes));
	lister->sizes[lister->size_count++] = bytes;
}

/** The durable size: what the newest durable operation left of it, when writes make the file longer
 * in any order; and what any volatile one makes of it. */
static void find_sizes(struct lister *lister)
{
	uint64_t base = content_size(lister->initial);
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

/** The bytes that an operation changes. */
static void find_range(struct lister_operation *operation, const struct event *event,
		       uint64_t old_bytes)
{
	operation->from = event->host_offset;
	operation->to = event->host_offset + event->length;
	if (event->op == IO_WRITE)
		operation->to = event->host_offset + (uint64_t)event->result;
	if (event->op == IO_ALLOCATE)
		operation->from = operation->to;
	if (event->op == IO_RESIZE || (event->op == IO_PUNCH && operation->to > old_bytes))
		operation->to = old_bytes;
}

/** Keep the sectors that an operation changed. */
static void keep_after(const struct lister *lister, struct lister_operation *operation)
{
	uint64_t grain = lister->sector_bytes;
	uint64_t first = operation->from / grain, end = (operation->to + grain - 1) / grain;

	if (operation->from >= operation->to)
		return;
	operation->after = malloc((end - first) * grain);
	ck_assert_ptr_nonnull(operation->after);
	content_read(lister->now, operation->after, (end - first) * grain, first * grain);
}

static void add_operation(struct lister *lister, size_t index)
{
	const struct event *event = &lister->log->events[index];
	uint64_t old_bytes = content_size(lister->now);
	uint64_t end;
	struct lister_operation *operation;

	lister->operations = grown(lister->operations, lister->count, &lister->capacity,
				   sizeof(*lister->operations));
	ck_assert_int_eq(trace_apply(lister->now, lister->log, event), STATUS_OK);
	operation = &lister->operations[lister->count];
	*operation = (struct lister_operation){ .event = index,
						.completed = event->id == 0,
						.is_resize = event->op == IO_RESIZE };
	find_range(operation, event, old_bytes);
	keep_after(lister, operation);
	end = event->host_offset + event->length;
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
	struct lister_flush *flush;

	lister->flushes = grown(lister->flushes, lister->flush_count, &lister->flush_capacity,
				sizeof(*lister->flushes));
	flush = &lister->flushes[lister->flush_count++];
	*flush = (struct lister_flush){ .id = id,
					.count = lister->count,
					.covers = calloc(lister->count + 1, sizeof(bool)) };
	ck_assert_ptr_nonnull(flush->covers);
	for (size_t i = 0; i < lister->count; i++)
		flush->covers[i] = lister->operations[i].completed;
}

static void flush_ends(struct lister *lister, uint32_t id, bool failed)
{
	for (size_t f = 0; f < lister->flush_count; f++) {
		const struct lister_flush *flush = &lister->flushes[f];

		if (flush->id != id)
			continue;
		for (size_t i = 0; i < flush->count; i++) {
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

static bool touches(const struct lister *lister, const struct lister_operation *operation,
		    uint64_t sector)
{
	return operation->from < operation->to &&
	       operation->from < (sector + 1) * lister->sector_bytes &&
	       sector * lister->sector_bytes < operation->to;
}

/** The sector as the operation, which touches it, leaves it. */
static const uint8_t *after(const struct lister *lister, const struct lister_operation *operation,
			    uint64_t sector)
{
	uint64_t first = operation->from / lister->sector_bytes;

	return operation->after + (sector - first) * lister->sector_bytes;
}

static bool is_listed(const struct lister *lister, uint64_t sector)
{
	for (size_t i = 0; i < lister->sector_count; i++)
		if (lister->sectors[i].index == sector)
			return true;
	return false;
}

/** The sector's durable version and all after it, equal ones once. False: too many; then all that
 * are listed are versions that it may have. */
static bool find_versions(struct lister *lister, uint64_t index)
{
	struct lister_sector *sector = &lister->sectors[lister->sector_count];
	size_t begin = 0;
	uint32_t bytes = lister->sector_bytes;
	uint8_t *initial = lister->first + lister->sector_count * bytes;

	*sector = (struct lister_sector){ .index = index, .count = 1 };
	sector->versions[0] = initial;
	content_read(lister->initial, initial, bytes, index * bytes);
	for (size_t i = 0; i < lister->count; i++) {
		if (!touches(lister, &lister->operations[i], index) ||
		    !lister->operations[i].durable)
			continue;
		begin = i + 1;
		sector->versions[0] = after(lister, &lister->operations[i], index);
	}
	for (size_t i = begin; i < lister->count; i++) {
		size_t same = 0;

		if (!touches(lister, &lister->operations[i], index))
			continue;
		if (sector->count == LISTER_VERSIONS_MAX)
			return false;
		sector->versions[sector->count] = after(lister, &lister->operations[i], index);
		while (memcmp(sector->versions[same], sector->versions[sector->count], bytes) != 0)
			same++;
		sector->count += same == sector->count;
	}
	return true;
}

/** All sectors with more than one version. False: too many; then those that are listed are some. */
static bool find_sectors(struct lister *lister)
{
	bool all = true;

	lister->sector_count = 0;
	for (size_t i = 0; i < lister->count; i++) {
		const struct lister_operation *operation = &lister->operations[i];

		if (operation->durable)
			continue;
		for (uint64_t at = operation->from / lister->sector_bytes;
		     touches(lister, operation, at); at++) {
			if (is_listed(lister, at))
				continue;
			if (lister->sector_count == LISTER_SECTORS_MAX)
				return false;
			all &= find_versions(lister, at);
			lister->sector_count += lister->sectors[lister->sector_count].count > 1;
		}
	}
	return all;
}

size_t lister_volatile(const struct lister *lister)
{
	size_t count = 0;

	for (size_t i = 0; i < lister->count; i++)
		count += !lister->operations[i].durable;
	return count;
}

size_t lister_states(struct lister *lister, size_t states_max)
{
	size_t states;

	if (!find_sectors(lister))
		return SIZE_MAX;
	find_sizes(lister);
	states = lister->size_count;
	for (size_t i = 0; i < lister->sector_count; i++) {
		states *= lister->sectors[i].count;
		if (states > states_max)
			return SIZE_MAX;
	}
	return states;
}

/** A file of `bytes` bytes; what is volatile of it is not written yet. Gives. */
static struct content *begin_state(const struct lister *lister, uint64_t bytes)
{
	struct content *content = content_clone(lister->now);

	ck_assert_ptr_nonnull(content);
	content_resize(content, bytes);
	return content;
}

/** Let listed sector `number` be as in `version`, as far as the file reaches. */
static void put_version(const struct lister *lister, struct content *content, size_t number,
			size_t version)
{
	const struct lister_sector *sector = &lister->sectors[number];
	uint64_t size = content_size(content);
	uint64_t start = sector->index * lister->sector_bytes;
	uint64_t bytes = start >= size ? 0 : size - start;

	if (bytes > lister->sector_bytes)
		bytes = lister->sector_bytes;

	ck_assert_int_eq(content_write(content, sector->versions[version], bytes, start),
			 STATUS_OK);
}

struct content *lister_state(const struct lister *lister, size_t number)
{
	struct content *content = begin_state(lister, lister->sizes[number % lister->size_count]);

	number /= lister->size_count;
	for (size_t i = 0; i < lister->sector_count; i++) {
		put_version(lister, content, i, number % lister->sectors[i].count);
		number /= lister->sectors[i].count;
	}
	return content;
}

static size_t any_below(uint64_t *random, size_t bound)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return (size_t)((*random >> 11) % bound);
}

struct content *lister_any_state(struct lister *lister, uint64_t *random)
{
	struct content *content;

	/* What is not listed is the newest. */
	(void)find_sectors(lister);
	find_sizes(lister);
	content = begin_state(lister, lister->sizes[any_below(random, lister->size_count)]);
	for (size_t i = 0; i < lister->sector_count; i++)
		put_version(lister, content, i, any_below(random, lister->sectors[i].count));
	return content;
}
