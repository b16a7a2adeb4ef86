// SPDX-License-Identifier: MIT
/* Effects stand in the record in the order in which they happened, and yet calls of several threads
 * take effect side by side, as they would without us.
 *
 * A call holds the bytes that it reads or changes from before it is performed until its effect is
 * recorded. Others that share bytes with it, unless both read, wait. So of two calls whose order
 * matters the record has the right one. Two that share none may be recorded either way round: both
 * were under way at the time, nobody was told of either, and in either order they leave the same
 * file: two that both make it longer do not care which comes first, and a hole that is punched
 * beyond the end reads as zeros whoever makes the file longer. What sets the size, and what is
 * recorded otherwise beyond it (fallocate that keeps it), holds the whole file.
 *
 * At most RANGES_MAX calls are under way; more wait. */
#include "injector/preload.h"
#include "injector/recorder.h"

#include <pthread.h>

enum { RANGES_MAX = 256, NO_RANGE = -1 };

struct range {
	bool used;
	bool reads;
	uint16_t file;
	uint64_t from, to; /* bytes of the file */
};

static struct range ranges[RANGES_MAX];
static int range_end;                                   /* those from here on are not used */
static int waiting;                                     /* threads */
static pthread_cond_t freed = PTHREAD_COND_INITIALIZER; /* with the recorder's lock */
static __thread int own_range = NO_RANGE;
static __thread int depth; /* a signal's handler may call while its thread is in a call */

void preload_ranges_after_fork(void)
{
	static const pthread_cond_t empty = PTHREAD_COND_INITIALIZER;

	freed = empty;
	range_end = waiting = 0;
	own_range = NO_RANGE;
	depth = 0;
}

static bool is_bound_to_size(const struct io_request *request)
{
	bool keeps_size = disk_mode_keeps_size(request->mode);

	switch (request->op) {
	case IO_RESIZE: return true;
	case IO_ZERO:
	case IO_ALLOCATE: return keeps_size;
	case IO_READ:
	case IO_WRITE:
	case IO_PUNCH:
	case IO_FLUSH: break;
	}
	return false;
}

static struct range range_of(const struct watched_open *open, const struct io_request *request)
{
	struct range range = { .used = true, .file = open->file, .to = UINT64_MAX };

	range.reads = request->op == IO_READ;
	if (!is_bound_to_size(request)) {
		range.from = request->host_offset;
		range.to = request->host_offset + request->length;
	}
	return range;
}

static bool is_conflict(const struct range *a, const struct range *b)
{
	return a->used && a->file == b->file && a->from < b->to && b->from < a->to &&
	       !(a->reads && b->reads);
}

/** A free place, if nobody holds bytes that `range` wants; else NO_RANGE. */
static int find_place(const struct range *range)
{
	int place = NO_RANGE;

	for (int i = 0; i < range_end; i++) {
		if (is_conflict(&ranges[i], range))
			return NO_RANGE;
		if (!ranges[i].used && place == NO_RANGE)
			place = i;
	}
	if (place == NO_RANGE && range_end < RANGES_MAX)
		place = range_end++;
	return place;
}

/* A thread cancelled inside its call would keep its bytes for ever. One that is interrupted in a
 * call waits for nobody in the handler: it might be itself. */
void recorder_begin_effect(const struct watched_open *open, const struct io_request *request)
{
	const struct range range = range_of(open, request);
	int place;

	if (depth++ > 0)
		return;
	preload_defer_cancel();
	preload_lock();
	while ((place = find_place(&range)) == NO_RANGE) {
		waiting++;
		preload_wait(&freed);
		waiting--;
	}
	ranges[place] = range;
	own_range = place;
	preload_unlock();
}

void recorder_end_effect(void)
{
	if (--depth > 0)
		return;
	preload_lock();
	ranges[own_range].used = false;
	own_range = NO_RANGE;
	while (range_end > 0 && !ranges[range_end - 1].used)
		range_end--;
	if (waiting > 0)
		pthread_cond_broadcast(&freed);
	preload_unlock();
	preload_allow_cancel();
}
