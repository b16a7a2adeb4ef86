// SPDX-License-Identifier: MIT
/* Which bytes may a guest sector hold?
 *
 * Every request that changes it, and its initial contents, is a *version*. A version w is
 * overridden when some request d that must be there was invoked after w had completed: then w came
 * before d in real time, and d replaced it. Which d must be there depends on who looks:
 *
 *     a crash      d was promised: acknowledged before the invocation of an acknowledged flush
 *     a read       d was acknowledged before the read was invoked
 *
 * A read also knows what earlier reads saw: when a read that was over before this one began
 * returned something else than w, and w had completed before that read began, then whatever it saw
 * came after w. A failed request may have happened or not, now or later: it is a version that
 * overrides none, and that a read need not have seen.
 *
 * A mixture is no value, to the strict form of old-or-new. The lax form takes each byte by itself
 * where a request is open: one that was not promised and is not overridden.
 *
 * Requests need not cover whole sectors. A sector that some request covers in part is cut at the
 * ends of all requests, and each piece is judged by itself.
 *
 * Bytes are compared with bytes, never hash with hash. Almost always the first comparison is equal
 * and the question is answered. */
#include "oracle/judge_state.h"

#include <inttypes.h>
#include <stdio.h>

/** Walks through the requests that touch a piece of one page, newest first. */
struct overlap {
	const struct judge *judge;
	const struct guest_page *page;
	uint64_t page_left;
	uint64_t wide_left;
	uint64_t from, to;
};

static struct overlap overlap_begin(const struct judge *judge, uint64_t from, uint64_t to)
{
	const struct guest_page *page = history_find_page(&judge->history, from / GUEST_PAGE_BYTES);

	return (struct overlap){ .judge = judge,
				 .page = page,
				 .page_left = page == NULL ? 0 : page->request_count,
				 .wide_left = judge->history.wide_count,
				 .from = from,
				 .to = to };
}

static const struct request *overlap_next(struct overlap *overlap)
{
	const struct history *history = &overlap->judge->history;

	while (overlap->page_left + overlap->wide_left > 0) {
		uint64_t index = overlap->page_left > 0
					 ? overlap->page->requests[--overlap->page_left]
					 : history->wide[--overlap->wide_left];
		const struct request *request = history_request(history, index);

		if (request->from < overlap->to && overlap->from < request->to)
			return request;
	}
	return NULL;
}

/** Did the request see, as a read, something else than `piece` in [from, to)? */
static bool saw_other(const struct judge *judge, const struct request *read, uint64_t from,
		      uint64_t to, const uint8_t *piece)
{
	uint64_t known = read->from + read->answer_bytes;
	uint64_t start = read->from > from ? read->from : from;
	uint64_t end = known < to ? known : to;

	if (start >= end)
		return false;
	return memcmp(judge_log_bytes(judge, read->answer_start + (start - read->from)),
		      piece + (start - from), (size_t)(end - start)) != 0;
}

/** When a version was complete. */
struct version_end {
	uint64_t after; /* it had completed before this event; 0: initial, NEVER: still under way */
	bool failed;    /* nobody knows whether it happened, so a read need not have seen it */
};

/** Is a version replaced by something that must be there? */
static bool is_overridden(const struct judge *judge, const struct view *view, uint64_t from,
			  uint64_t to, const uint8_t *piece, struct version_end version)
{
	struct overlap overlap = overlap_begin(judge, from, to);
	const struct request *d;

	if (version.after == NEVER)
		return false;
	while ((d = overlap_next(&overlap)) != NULL) {
		if (d->invoked < version.after || d->failed != 0)
			continue;
		if (d->op == REQUEST_READ) {
			if (view->is_read && d->completed < view->invoked && !version.failed &&
			    saw_other(judge, d, from, to, piece))
				return true;
			continue;
		}
		if (d->oblige_from > from || to > d->oblige_to)
			continue;
		if (view->is_read ? d->completed < view->invoked : d->durable != NEVER)
			return true;
	}
	return false;
}

static struct version_end end_of(const struct request *request)
{
	if (request->completed == NEVER)
		return (struct version_end){ NEVER, false };
	return (struct version_end){ request->completed + 1, request->failed != 0 };
}

/** Does the request write `piece` at [from, to)? What was not recorded may be anything. */
static bool writes(const struct judge *judge, const struct request *request, uint64_t from,
		   uint64_t to, const uint8_t *piece)
{
	size_t bytes = (size_t)(to - from);
	uint64_t position;

	switch (request_value(request, from, &position)) {
	case VALUE_ZEROS: return memcmp(piece, zero_sector, bytes) == 0;
	case VALUE_UNKNOWN: return true;
	case VALUE_HELD:
		return request->held_bytes - from < bytes ||
		       memcmp(piece, request->held + from, bytes) == 0;
	case VALUE_BYTES: break;
	}
	if (request->data_bytes - (from - request->from) < bytes)
		return true;
	return memcmp(piece, judge_log_bytes(judge, position), bytes) == 0;
}

/** As value_check(), for bytes that every request covers wholly or not at all. */
static enum value_verdict check_piece(struct judge *judge, const struct view *view, uint64_t from,
				      uint64_t to, const uint8_t *piece)
{
	struct overlap overlap = overlap_begin(judge, from, to);
	const struct request *request;
	const uint8_t *initial;
	bool is_known = false;

	while ((request = overlap_next(&overlap)) != NULL) {
		if (!request_changes(request) || !writes(judge, request, from, to, piece))
			continue;
		is_known = true;
		if (!is_overridden(judge, view, from, to, piece, end_of(request)))
			return VALUE_FINE;
	}
	initial = value_initial(judge, from / SECTOR_BYTES * SECTOR_BYTES);
	if (initial == NULL)
		return VALUE_FINE;
	initial += from % SECTOR_BYTES;
	if (initial == piece || memcmp(initial, piece, (size_t)(to - from)) == 0) {
		is_known = true;
		if (!is_overridden(judge, view, from, to, piece, (struct version_end){ 0, false }))
			return VALUE_FINE;
	}
	return is_known ? VALUE_OVERRIDDEN : VALUE_STRANGE;
}

/** Mark in `cuts` where requests begin and end inside [from, to). False: nowhere. */
static bool find_cuts(const struct judge *judge, uint64_t from, uint64_t to,
		      bool cuts[SECTOR_BYTES])
{
	struct overlap overlap = overlap_begin(judge, from, to);
	const struct request *request;
	bool any = false;

	while ((request = overlap_next(&overlap)) != NULL) {
		if (!request_changes(request) || (request->from <= from && to <= request->to))
			continue;
		if (!any)
			memset(cuts, 0, SECTOR_BYTES * sizeof(*cuts));
		any = true;
		if (request->from > from)
			cuts[request->from % SECTOR_BYTES] = true;
		if (request->to < to)
			cuts[request->to % SECTOR_BYTES] = true;
	}
	return any;
}

/** Does some request that was not promised, nor overridden, change [from, to)? Bytes as above. */
static bool is_open(const struct judge *judge, const struct view *view, uint64_t from, uint64_t to,
		    const uint8_t *piece)
{
	struct overlap overlap = overlap_begin(judge, from, to);
	const struct request *request;

	while ((request = overlap_next(&overlap)) != NULL)
		if (request_changes(request) && request->durable == NEVER &&
		    !is_overridden(judge, view, from, to, piece, end_of(request)))
			return true;
	return false;
}

/** Is each byte of a piece allowed by itself? Bytes as above. */
static bool is_mixed(struct judge *judge, const struct view *view, uint64_t from, uint64_t to,
		     const uint8_t *piece)
{
	if (!is_open(judge, view, from, to, piece))
		return false;
	for (; from < to; from++, piece++)
		if (check_piece(judge, view, from, from + 1, piece) != VALUE_FINE)
			return false;
	return true;
}

/** A sector that is `a` in one piece and `b` in another. The lax form forgives whole sectors. */
static enum value_verdict both_of(enum value_verdict a, enum value_verdict b)
{
	enum value_verdict worse = a > b ? a : b;
	enum value_verdict better = a > b ? b : a;

	return worse == VALUE_OVERRIDDEN && better == VALUE_MIXED ? VALUE_STRANGE : worse;
}

/** check_piece(), and how the lax form sees what is strange. */
static enum value_verdict check_forms(struct judge *judge, const struct view *view, uint64_t from,
				      uint64_t to, const uint8_t *piece)
{
	enum value_verdict verdict = check_piece(judge, view, from, to, piece);

	if (verdict == VALUE_STRANGE && !view->is_read && is_mixed(judge, view, from, to, piece))
		return VALUE_MIXED;
	return verdict;
}

enum value_verdict value_check(struct judge *judge, const struct view *view, uint64_t from,
			       uint64_t to, const uint8_t *sector)
{
	bool cuts[SECTOR_BYTES];
	enum value_verdict worst = VALUE_FINE;
	uint64_t sector_start = from / SECTOR_BYTES * SECTOR_BYTES;

	if (!find_cuts(judge, from, to, cuts))
		return check_forms(judge, view, from, to, sector + (from - sector_start));
	while (from < to) {
		uint64_t end = from + 1;

		while (end < to && !cuts[end % SECTOR_BYTES])
			end++;
		worst = both_of(
			worst, check_forms(judge, view, from, end, sector + (from - sector_start)));
		from = end;
	}
	return worst;
}

const uint8_t *value_initial(struct judge *judge, uint64_t guest_offset)
{
	struct guest_page *page = history_page(&judge->history, guest_offset / GUEST_PAGE_BYTES);
	size_t at = (size_t)(guest_offset % GUEST_PAGE_BYTES / SECTOR_BYTES);
	const struct layer *top = &judge->layers.layers[0];
	const uint8_t *sector;

	if (page->initial[at] != NULL)
		return page->initial[at];
	if ((page->unreadable >> at & 1) != 0)
		return NULL;
	sector = guest_offset >= top->size_bytes ? zero_sector
						 : layers_sector(&judge->layers, 0, guest_offset);
	if (sector == NULL) {
		page->unreadable |= UINT64_C(1) << at;
	} else {
		/* An inflated sector is only borrowed for a moment; a copy costs little. */
		if (layers_sector_is_inflated(&judge->layers, 0, guest_offset))
			sector = memcpy(bump_alloc(&judge->history.memory, SECTOR_BYTES), sector,
					SECTOR_BYTES);
		page->initial[at] = sector;
	}
	return sector;
}

/** Whose data is it, for another sector? */
static bool describe_request(struct judge *judge, char *text, size_t text_bytes,
			     uint64_t guest_offset, const uint8_t *sector)
{
	for (uint64_t i = judge->history.count; i-- > 0;) {
		const struct request *request = history_request(&judge->history, i);
		uint64_t at = (request->from + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES;

		if (request->op != REQUEST_WRITE)
			continue;
		for (; at + SECTOR_BYTES <= request->from + request->data_bytes;
		     at += SECTOR_BYTES) {
			uint64_t position = request->data_start + (at - request->from);

			if (at == guest_offset ||
			    memcmp(sector, judge_log_bytes(judge, position), SECTOR_BYTES) != 0)
				continue;
			snprintf(text, text_bytes,
				 "data of request %" PRIu32 " for guest 0x%" PRIx64, request->id,
				 at);
			return true;
		}
	}
	return false;
}

/** Is it the initial contents of another sector? Looks at a bounded part of the disk. */
static bool describe_initial(struct judge *judge, char *text, size_t text_bytes,
			     uint64_t guest_offset, const uint8_t *sector)
{
	enum { PAGES_MAX = 1024, BYTES_MAX = 64 << 20 };
	uint64_t end = judge->layers.layers[0].size_bytes;
	uint64_t at = 0;

	if (end > BYTES_MAX)
		end = BYTES_MAX;

	for (int i = 0; i < PAGES_MAX && layers_next_data(&judge->layers, 0, &at, end); i++) {
		uint64_t page_end = (at / GUEST_PAGE_BYTES + 1) * GUEST_PAGE_BYTES;

		for (; at < page_end && at < end; at += SECTOR_BYTES) {
			const uint8_t *other = layers_sector(&judge->layers, 0, at);

			if (other == NULL || at == guest_offset ||
			    memcmp(other, sector, SECTOR_BYTES) != 0)
				continue;
			snprintf(text, text_bytes, "the initial content of guest 0x%" PRIx64, at);
			return true;
		}
	}
	return false;
}

/** Is every byte the byte of some version? */
static bool is_mixture(struct judge *judge, uint64_t guest_offset, const uint8_t *sector)
{
	const uint8_t *initial = value_initial(judge, guest_offset);

	for (size_t i = 0; i < SECTOR_BYTES; i++) {
		struct overlap overlap =
			overlap_begin(judge, guest_offset + i, guest_offset + i + 1);
		const struct request *request;
		bool is_known = initial != NULL && initial[i] == sector[i];

		while (!is_known && (request = overlap_next(&overlap)) != NULL)
			is_known = request_changes(request) &&
				   writes(judge, request, guest_offset + i, guest_offset + i + 1,
					  sector + i);
		if (!is_known)
			return false;
	}
	return true;
}

bool value_describe(struct judge *judge, char *text, size_t text_bytes, uint64_t guest_offset,
		    const uint8_t *sector)
{
	if (sector == NULL) {
		snprintf(text, text_bytes, "a compressed cluster that does not inflate");
		return true;
	}
	if (bytes_are_zero(sector, SECTOR_BYTES)) {
		snprintf(text, text_bytes, "all zeros");
		return false;
	}
	if (describe_request(judge, text, text_bytes, guest_offset, sector) ||
	    describe_initial(judge, text, text_bytes, guest_offset, sector))
		return true;
	if (is_mixture(judge, guest_offset, sector)) {
		snprintf(text, text_bytes, VALUE_MIXTURE);
		return true;
	}
	snprintf(text, text_bytes, "stale bytes %02x %02x %02x %02x ...", sector[0], sector[1],
		 sector[2], sector[3]);
	return false;
}
