// SPDX-License-Identifier: MIT
/* A request can decide the value of the bytes in [from, to): data of a write, zeros of a
 * write-zeroes, a discard or a new end of the disk. In [oblige_from, oblige_to) it must, once it
 * was acknowledged and nothing later came; outside it may (a discard's broken clusters may keep
 * their contents, a truncated tail is gone only when the disk grows again).
 *
 * Durable means: acknowledged without error before a flush was invoked that was itself acknowledged
 * without error. A write that is acknowledged while the flush is on its way is not covered, and a
 * flush that fails covers nothing.
 *
 * `leak_cost` is the bound of leak-bounded, see rule_refcounts.c.
 *
 * `promises` stands for all of that in the fingerprint of a crash state: equal sums, equal
 * judgement. It adds up what each request is (its id too: who wrote decides what may be read), that
 * it was invoked, completed, promised, and, for a promised one, which requests for the same bytes
 * had completed before it was invoked, because those are what it overrides. How requests that have
 * nothing to do with each other followed each other does not count. */
#include "oracle/history.h"

#include "oracle/heap.h"

#include <stdlib.h>

void history_init(struct history *history, struct journal *journal,
		  const struct image_header *initial, bool hashing)
{
	*history =
		(struct history){ .journal = journal, .cluster_bytes = 65536, .hashing = hashing };
	if (initial->readable) {
		history->initial_bytes = initial->size_bytes;
		history->cluster_bytes = UINT64_C(1) << initial->cluster_bits;
	}
	history->discard_obliges = initial->version >= 3 || !initial->has_backing;
}

void history_release(struct history *history)
{
	for (size_t i = 0; i < history->pages.capacity; i++) {
		struct guest_page *page = history->pages.slots[i].value;

		if (page != NULL)
			free(page->requests);
	}
	for (size_t i = 0; i < history->made; i++)
		free(history->requests[i]->held);
	free(history->requests);
	free(history->wide);
	sparse_release(&history->by_id);
	sparse_release(&history->pages);
	bump_release(&history->memory);
}

struct guest_page *history_page(struct history *history, uint64_t page_index)
{
	struct guest_page *page = sparse_find(&history->pages, page_index);

	if (page != NULL)
		return page;
	page = bump_alloc(&history->memory, sizeof(*page));
	*page = (struct guest_page){ 0 };
	sparse_add(&history->pages, page_index, page);
	return page;
}

bool request_changes(const struct request *request)
{
	return request->op == REQUEST_WRITE || request->op == REQUEST_WRITE_ZEROES ||
	       request->op == REQUEST_DISCARD || request->op == REQUEST_TRUNCATE ||
	       request->op == REQUEST_SNAPSHOT_APPLY;
}

uint8_t *request_hold(struct request *request, size_t bytes)
{
	request->held = heap_grow(request->held, &request->held_capacity, bytes, 1);
	request->held_bytes = bytes;
	return request->held;
}

enum value_kind request_value(const struct request *request, uint64_t guest_offset,
			      uint64_t *log_position)
{
	if (request->op == REQUEST_SNAPSHOT_APPLY)
		return guest_offset < request->held_bytes ? VALUE_HELD : VALUE_UNKNOWN;
	if (request->op != REQUEST_WRITE)
		return VALUE_ZEROS;
	if (guest_offset - request->from >= request->data_bytes)
		return VALUE_UNKNOWN;
	*log_position = request->data_start + (guest_offset - request->from);
	return VALUE_BYTES;
}

/** Where the request may and must decide what is read. */
static void set_range(struct request *request, const struct history *history,
		      const struct event *event)
{
	uint64_t cluster = history->cluster_bytes;
	uint64_t length = event->length;

	if (length > INT64_MAX - (event->guest_offset & INT64_MAX))
		length = INT64_MAX - (event->guest_offset & INT64_MAX);
	request->from = event->guest_offset & INT64_MAX;
	request->to = request->from + length;
	if (request->op == REQUEST_TRUNCATE)
		request->to = INT64_MAX;
	if (request->op == REQUEST_SNAPSHOT_APPLY) {
		request->from = 0;
		request->to = history->apply_bytes;
	}
	if (request->op == REQUEST_WRITE || request->op == REQUEST_WRITE_ZEROES ||
	    request->op == REQUEST_SNAPSHOT_APPLY) {
		request->oblige_from = request->from;
		request->oblige_to = request->to;
	}
	if (request->op == REQUEST_DISCARD && history->discard_obliges) {
		request->oblige_from = (request->from + cluster - 1) / cluster * cluster;
		request->oblige_to = request->to / cluster * cluster;
	}
	if (request->oblige_to <= request->oblige_from)
		request->oblige_to = request->oblige_from;
	if (request->op == REQUEST_FLUSH || request->op == REQUEST_OPEN ||
	    request->op == REQUEST_CLOSE || request->op == REQUEST_SNAPSHOT ||
	    request->op == REQUEST_SNAPSHOT_DELETE)
		request->to = request->from;
}

/** File the request under the pages that it touches. */
static void file_request(struct history *history, const struct request *request)
{
	uint32_t index = (uint32_t)history->count;
	struct journal *journal = history->journal;

	if (request->to == request->from)
		return;
	if (request->to - request->from > HISTORY_NARROW_BYTES) {
		history->wide = heap_grow(history->wide, &history->wide_capacity,
					  (size_t)history->wide_count + 1, sizeof(*history->wide));
		history->wide[history->wide_count] = index;
		journal_set(journal, &history->wide_count, history->wide_count + 1);
		return;
	}
	for (uint64_t at = request->from / GUEST_PAGE_BYTES;
	     at <= (request->to - 1) / GUEST_PAGE_BYTES; at++) {
		struct guest_page *page = history_page(history, at);

		page->requests =
			heap_grow(page->requests, &page->request_capacity,
				  (size_t)page->request_count + 1, sizeof(*page->requests));
		page->requests[page->request_count] = index;
		journal_set(journal, &page->request_count, page->request_count + 1);
	}
}

static uint64_t *id_slot(struct history *history, uint32_t id)
{
	uint64_t *slot = sparse_find(&history->by_id, id);

	if (slot != NULL)
		return slot;
	slot = bump_alloc(&history->memory, sizeof(*slot));
	*slot = 0;
	sparse_add(&history->by_id, id, slot);
	return slot;
}

static struct request *request_new(struct history *history)
{
	size_t index = (size_t)history->count;

	history->requests = heap_grow(history->requests, &history->capacity, index + 1,
				      sizeof(struct request *));
	if (index == history->made) {
		history->requests[index] = bump_alloc(&history->memory, sizeof(struct request));
		*history->requests[index] = (struct request){ .held = NULL };
		history->made++;
	}
	return history->requests[index];
}

/** What of a request counts for telling promises apart; not its place among the others, which
 * depends on the order of invocation. */
static uint64_t request_hash(const struct request *request, uint64_t phase)
{
	uint64_t hash = mix(request->from * 16 + request->op, request->to);

	return mix(hash + request->id, phase);
}

static void promise_more(struct history *history, const struct request *request, uint64_t phase)
{
	if (history->hashing)
		journal_set(history->journal, &history->promises,
			    history->promises + request_hash(request, phase));
}

/** What the list of `count` requests adds to the phase of `d`: those which `d` overrides. Each is
 * counted on the first page that both touch; UINT64_MAX: on any. */
static uint64_t overridden_hash(const struct history *history, const struct request *d,
				const uint32_t *list, uint64_t count, uint64_t page)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		const struct request *w = history_request(history, list == NULL ? i : list[i]);
		uint64_t first = w->from > d->from ? w->from : d->from;

		if (w->completed < d->invoked && request_changes(w) && w->from < d->to &&
		    d->from < w->to && (page == UINT64_MAX || first / GUEST_PAGE_BYTES == page))
			sum += request_hash(w, 5);
	}
	return sum;
}

/** The phase of a request that is promised from now on. */
static uint64_t promised_phase(const struct history *history, const struct request *d)
{
	uint64_t sum;

	if (d->oblige_from == d->oblige_to && d->op != REQUEST_TRUNCATE)
		return 4;
	if (d->to - d->from > HISTORY_NARROW_BYTES)
		return 4 + overridden_hash(history, d, NULL, history->count, UINT64_MAX);
	sum = overridden_hash(history, d, history->wide, history->wide_count, UINT64_MAX);
	for (uint64_t at = d->from / GUEST_PAGE_BYTES; at <= (d->to - 1) / GUEST_PAGE_BYTES; at++) {
		const struct guest_page *page = history_find_page(history, at);

		if (page != NULL)
			sum += overridden_hash(history, d, page->requests, page->request_count, at);
	}
	return 4 + sum;
}

struct request *history_invoke(struct history *history, const struct event_log *log, size_t index)
{
	const struct event *event = &log->events[index];
	struct request *request;

	if (event->op < REQUEST_READ || event->op > REQUEST_SNAPSHOT_DELETE ||
	    history->count >= UINT32_MAX)
		return NULL;
	request = request_new(history);
	*request = (struct request){ .id = event->id,
				     .op = (enum request_op)event->op,
				     .data_start = event->data_start,
				     .data_bytes = event->data_bytes,
				     .invoked = history->now,
				     .completed = NEVER,
				     .durable = NEVER,
				     .held = request->held,
				     .held_capacity = request->held_capacity };
	journal_set(history->journal, &history->now, history->now + 1);
	set_range(request, history, event);
	file_request(history, request);
	journal_set(history->journal, id_slot(history, event->id), history->count + 1);
	journal_set(history->journal, &history->count, history->count + 1);
	journal_set(history->journal, &history->closed, 0);
	promise_more(history, request, 1);
	return request;
}

struct request *history_complete(struct history *history, const struct event_log *log, size_t index)
{
	const struct event *event = &log->events[index];
	const uint64_t *slot = sparse_find(&history->by_id, event->id);
	struct request *request;

	if (slot == NULL || *slot == 0)
		return NULL;
	request = history_request(history, *slot - 1);
	if (request->completed != NEVER)
		return NULL;
	journal_set(history->journal, &request->completed, history->now);
	journal_set(history->journal, &history->now, history->now + 1);
	journal_set(history->journal, &request->failed, event->result < 0);
	journal_set(history->journal, &request->answer_start, event->data_start);
	journal_set(history->journal, &request->answer_bytes, event->data_bytes);
	promise_more(history, request, event->result < 0 ? 2 : 3);
	return request;
}

void history_add_leak_cost(struct history *history, struct request *request, uint64_t leak_cost)
{
	request->leak_cost = leak_cost;
	if (leak_cost == LEAKS_FILE)
		journal_set(history->journal, &history->leak_files, history->leak_files + 1);
	else
		journal_set(history->journal, &history->leak_cost, history->leak_cost + leak_cost);
}

/** Take what the request may leak out of the sum. */
static void settle_leaks(struct history *history, const struct request *request)
{
	if (request->leak_cost == LEAKS_FILE)
		journal_set(history->journal, &history->leak_files, history->leak_files - 1);
	else
		journal_set(history->journal, &history->leak_cost,
			    history->leak_cost - request->leak_cost);
}

void history_forgive_leaks(struct history *history, struct request *request)
{
	settle_leaks(history, request);
	journal_set(history->journal, &request->leak_cost, 0);
}

void history_promise(struct history *history, const struct request *flush)
{
	bool all_settled = true;

	for (uint64_t i = history->settled; i < history->count; i++) {
		struct request *request = history_request(history, i);

		if (request->completed == NEVER || request->completed > flush->invoked) {
			all_settled = false;
		} else if (request->durable == NEVER && request->failed == 0) {
			journal_set(history->journal, &request->durable, flush->completed);
			settle_leaks(history, request);
			if (history->hashing)
				promise_more(history, request, promised_phase(history, request));
		}
		if (all_settled)
			journal_set(history->journal, &history->settled, i + 1);
	}
}
