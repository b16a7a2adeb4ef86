// SPDX-License-Identifier: MIT
/* What one event of a run does to the books: requests to the history, operations to the image, and
 * whatever becomes a crash state by it is held against the rules.
 *
 *     event                         what happens                         crash state?
 *     request invoked, completed    the history grows                    no
 *     flush or close acknowledged   promises grow, their ranges judged   yes
 *     flush of the file failed      noted                                no
 *     operation took effect         sectors change, work list judged     yes; torn: one a sector
 *     end                           progress, leaks, final contents      no (model none)
 *
 * A condition that holds in many states is seen in the first only, because it is looked for only
 * where something changed. What is seen in a torn state is looked at once more when the write is
 * whole (`rechecks`): a verdict names the weakest model that shows it.
 *
 * A file that is empty, at the beginning or because it was cut to nothing, is an image in the
 * making: nobody may expect it to open after a crash. The rules keep their books and say nothing
 * until a flush completes at which the image opens and its refcounts cover what it uses; then
 * everything is looked at once.
 *
 * A quiet judge does all of that but judging: it is how states are passed through that were judged
 * before. */
#include "oracle/heap.h"
#include "oracle/judge_state.h"
#include "oracle/reorder.h"

#include <stdlib.h>

void judge_recheck(struct judge *judge, struct recheck recheck)
{
	if (judge->findings.now.model != CRASH_TORN)
		return;
	judge->rechecks = heap_grow(judge->rechecks, &judge->recheck_capacity,
				    judge->recheck_count + 1, sizeof(*judge->rechecks));
	judge->rechecks[judge->recheck_count++] = recheck;
}

void judge_queue_recheck(struct judge *judge, const struct recheck *recheck)
{
	struct live *live = &judge->live;
	struct cluster *cluster;

	switch (recheck->kind) {
	case RECHECK_CLUSTER:
		cluster = live_cluster(live, recheck->place);
		if (cluster != NULL)
			live_touch(live, cluster);
		break;
	case RECHECK_GUEST: live_queue_guest(live, recheck->place, recheck->bytes); break;
	case RECHECK_ENTRY: live_queue_entry(live, recheck->place, recheck->entry); break;
	case RECHECK_FROZEN: live_queue_frozen(live, recheck->place); break;
	case RECHECK_HEADER: live->work.header = true; break;
	}
}

/** Put what looked bad in torn states on the work list of the whole operation. */
static void queue_rechecks(struct judge *judge)
{
	for (size_t i = 0; i < judge->recheck_count; i++)
		judge_queue_recheck(judge, &judge->rechecks[i]);
	judge->recheck_count = 0;
}

/** Stands for contents and promises of the state as it is. */
static uint64_t fingerprint_of(const struct judge *judge)
{
	return mix(judge->live.sectors.content_hash ^ judge->history.promises,
		   judge->live.sectors.file_bytes);
}

void judge_list_if_dirty(struct judge *judge, const struct judge_loss *loss)
{
	const struct image_header *header = &judge->live.header;
	const struct moment *now = &judge->findings.now;
	const struct dirty_way way = { .fingerprint = fingerprint_of(judge),
				       .model = now->model,
				       .rank = *findings_rank(&judge->findings) };

	if (!judge->options.list_dirty || !header->readable ||
	    (header->incompatible & INCOMPATIBLE_DIRTY) == 0 ||
	    !dirty_list_improve(&judge->dirty_ways, &way))
		return;
	judge->dirty = heap_grow(judge->dirty, &judge->dirty_capacity, judge->dirty_count + 1,
				 sizeof(*judge->dirty));
	judge->dirty[judge->dirty_count++] = (struct judge_dirty){
		.operation = judge->operations,
		.told = judge->history.now,
		.sector = now->sector,
		.sector_bytes = judge->options.sector_bytes,
		.model = now->model,
		.cut_size = way.rank.size,
		.cut_hash = way.rank.hash,
		.loss = *loss,
		.fingerprint = way.fingerprint,
		.promises = judge->history.promises,
	};
}

void judge_count_state(struct judge *judge)
{
	const struct judge_loss nothing = { .kind = LOSS_OF_NOTHING };

	judge->states++;
	if (!judge->options.count_distinct)
		return;
	distinct_add(&judge->distinct, fingerprint_of(judge));
	judge_list_if_dirty(judge, &nothing);
}

void judge_crash_state(struct judge *judge)
{
	rule_refcounts_keep(judge);
	if (judge->quiet)
		return;
	rule_opens(judge);
	if (judge->live.header.readable) {
		rule_refcounts(judge);
		rule_alias(judge);
		rule_snapshots(judge);
		rule_content(judge);
		rule_leaks(judge);
	}
	judge_count_state(judge);
}

void judge_set_moment(struct judge *judge, enum crash_model model, uint32_t sector)
{
	judge->findings.now.model = model;
	judge->findings.now.operation = judge->operations;
	judge->findings.now.sector = sector;
}

/** Sector `sector_index` with [from, to) of it replaced by `bytes` (NULL: zeros). */
static sector_ref merged_sector(struct judge *judge, uint64_t sector_index, size_t from, size_t to,
				const uint8_t *bytes)
{
	uint8_t *sector = bump_alloc(&judge->live.sectors.merged, SECTOR_BYTES);

	memcpy(sector, sectors_at(&judge->live.sectors, sector_index), SECTOR_BYTES);
	memcpy(sector + from, bytes == NULL ? zero_sector : bytes, to - from);
	return sector_ref_memory(sector);
}

/** What a word in a table may point to is told by this; 0: nothing is. */
static uint64_t cluster_bits(const struct judge *judge)
{
	if (judge->live.header.readable)
		return judge->live.header.cluster_bits;
	return judge->initial.readable ? judge->initial.cluster_bits : 0;
}

/** Let a sector of the file be `ref` by the operation in hand. */
static void set_sector(struct judge *judge, uint64_t sector_index, sector_ref ref)
{
	if (judge->window.is_on)
		window_push(&judge->window, sector_index, ref, cluster_bits(judge));
	live_set_sector(&judge->live, sector_index, ref);
}

static void begin_operation(struct judge *judge, const struct event *event)
{
	if (judge->window.is_on)
		window_begin_op(&judge->window, event, judge->operations + 1,
				judge->findings.now.event);
}

/** Bring [from, to) of a write (whose bytes begin at `position` in the log for `host_offset`) to
 * the image. */
static void write_part(struct judge *judge, const struct event *event, uint64_t from, uint64_t to)
{
	if (to > judge->live.sectors.file_bytes && !is_external(from))
		live_set_size(&judge->live, to);
	while (from < to) {
		uint64_t sector_index = from / SECTOR_BYTES;
		uint64_t end = (sector_index + 1) * SECTOR_BYTES;
		uint64_t position = event->data_start + (from - event->host_offset);
		sector_ref ref = sector_ref_log(position);

		if (end > to)
			end = to;
		if (end - from < SECTOR_BYTES)
			ref = merged_sector(judge, sector_index, (size_t)(from % SECTOR_BYTES),
					    (size_t)(from % SECTOR_BYTES + (end - from)),
					    judge_log_bytes(judge, position));
		set_sector(judge, sector_index, ref);
		from = end;
	}
}

/** Pass through the torn states of a write. Returns the byte of the file up to which it has been
 * brought there. */
static uint64_t tear_write(struct judge *judge, const struct event *event)
{
	uint64_t from = event->host_offset;
	uint64_t end = from + (uint64_t)event->result;
	uint32_t grain = judge->options.sector_bytes;
	uint32_t persisted = 0;

	for (;;) {
		uint64_t to = (from / grain + 1) * grain;

		if (to >= end)
			return from;
		live_begin(&judge->live);
		write_part(judge, event, from, to);
		live_settle(&judge->live);
		judge_set_moment(judge, CRASH_TORN, ++persisted);
		judge_crash_state(judge);
		from = to;
	}
}

/** Where it is asked what reordering makes of a write, it has to be brought in as one: the work
 * list tells what it touched. */
static void apply_write(struct judge *judge, const struct event *event)
{
	uint64_t from = event->host_offset;

	if ((judge->options.models & CRASH_TORN) != 0 && !judge->quiet) {
		struct mark mark = judge_mark(judge);
		uint64_t torn_to = tear_write(judge, event);

		if (judge->window.is_on)
			judge_step_back(judge, &mark);
		else
			from = torn_to;
	}
	live_begin(&judge->live);
	queue_rechecks(judge);
	write_part(judge, event, from, event->host_offset + (uint64_t)event->result);
}

uint64_t judge_torn_states(const struct judge *judge, const struct event *event)
{
	uint64_t grain = judge->options.sector_bytes;

	if ((judge->options.models & CRASH_TORN) == 0 || event->op != IO_WRITE ||
	    !judge_is_operation(event))
		return 0;
	return (event->host_offset + (uint64_t)event->result - 1) / grain -
	       event->host_offset / grain;
}

void judge_tear(struct judge *judge, size_t index)
{
	const struct event *event = &judge->log->events[index];

	judge->findings.now.event = index;
	if (judge_event_is_sane(judge->log, event) && judge_torn_states(judge, event) > 0) {
		begin_operation(judge, event);
		tear_write(judge, event);
	}
	judge->recheck_count = 0;
}

static void zero_page(struct judge *judge, uint64_t page, uint64_t from, uint64_t to)
{
	for (uint64_t at = page * PAGE_SECTORS; at < (page + 1) * PAGE_SECTORS; at++) {
		uint64_t start = at * SECTOR_BYTES < from ? from : at * SECTOR_BYTES;
		uint64_t end = (at + 1) * SECTOR_BYTES > to ? to : (at + 1) * SECTOR_BYTES;

		if (start >= end || (sectors_at(&judge->live.sectors, at) == zero_sector &&
				     !window_is_volatile(&judge->window, at)))
			continue;
		if (end - start == SECTOR_BYTES)
			set_sector(judge, at, 0);
		else
			set_sector(judge, at,
				   merged_sector(judge, at, (size_t)(start % SECTOR_BYTES),
						 (size_t)(start % SECTOR_BYTES + end - start),
						 NULL));
	}
}

/** Make [from, to) read as zeros, at the cost of what is stored there. */
static void apply_zeros(struct judge *judge, uint64_t from, uint64_t to)
{
	enum { FEW_PAGES = 4096 };
	uint64_t first = from / CONTENT_PAGE_BYTES;
	uint64_t last = (to + CONTENT_PAGE_BYTES - 1) / CONTENT_PAGE_BYTES;
	uint64_t *pages;
	size_t page_count;

	if (from >= to)
		return;
	if (last - first <= FEW_PAGES) {
		for (uint64_t page = first; page < last; page++)
			if (!sectors_page_is_hole(&judge->live.sectors, page))
				zero_page(judge, page, from, to);
		return;
	}
	page_count = sectors_list_pages(&judge->live.sectors, first, last, &pages);
	for (size_t i = 0; i < page_count; i++)
		zero_page(judge, pages[i], from, to);
	free(pages);
}

/** What is no write, on the external data file. It has no end: what lies behind it reads as zeros,
 * whatever its size, so sizes make no difference but where they take something away. */
static void apply_external(struct judge *judge, const struct event *event)
{
	if (event->op == IO_RESIZE)
		apply_zeros(judge, event->host_offset, 2 * IMAGE_EXTERNAL);
	else if (event->op == IO_ZERO || event->op == IO_PUNCH)
		apply_zeros(judge, event->host_offset, event->host_offset + event->length);
}

static void apply_operation(struct judge *judge, const struct event *event)
{
	struct live *live = &judge->live;
	uint64_t size = live->sectors.file_bytes;
	uint64_t end = event->host_offset + event->length;

	begin_operation(judge, event);
	if (event->op == IO_WRITE) {
		apply_write(judge, event);
		return;
	}
	live_begin(live);
	if (is_external(event->host_offset)) {
		apply_external(judge, event);
		return;
	}
	switch (event->op) {
	case IO_RESIZE:
		if (event->host_offset < size)
			apply_zeros(judge, event->host_offset, size);
		live_set_size(live, event->host_offset);
		break;
	case IO_ZERO:
		if (end > size)
			live_set_size(live, end);
		apply_zeros(judge, event->host_offset, end);
		break;
	case IO_PUNCH: apply_zeros(judge, event->host_offset, end < size ? end : size); break;
	case IO_ALLOCATE:
		if (end > size)
			live_set_size(live, end);
		break;
	default: break;
	}
}

bool judge_event_is_sane(const struct event_log *log, const struct event *event)
{
	if (event->data_bytes > 0 && (event->data_start > log->byte_count ||
				      event->data_bytes > log->byte_count - event->data_start))
		return false;
	if (event->kind != EVENT_IO_EFFECT)
		return true;
	if (event->host_offset > INT64_MAX || event->length > INT64_MAX - event->host_offset)
		return false;
	return event->op != IO_WRITE || event->result < 0 ||
	       ((uint32_t)event->result <= event->data_bytes &&
		(uint64_t)event->result <= INT64_MAX - event->host_offset);
}

void judge_begin_making(struct judge *judge)
{
	journal_set(&judge->journal, &judge->findings.muted, 1);
	journal_set(&judge->journal, &judge->made_here, 1);
}

/** The image is made: hold all of it against the rules once. */
static void end_making(struct judge *judge)
{
	struct cluster **clusters;
	size_t count;

	journal_set(&judge->journal, &judge->findings.muted, 0);
	live_begin(&judge->live);
	clusters = live_clusters_with(&judge->live, 0, &count);
	for (size_t i = 0; i < count; i++)
		live_touch(&judge->live, clusters[i]);
	free(clusters);
	judge->live.work.header = true;
	judge_set_moment(judge, CRASH_PREFIX, 0);
	rule_refcounts_keep(judge);
	if (judge->quiet)
		return;
	rule_opens(judge);
	if (!judge->live.header.readable)
		return;
	rule_refcounts(judge);
	rule_alias(judge);
}

static void on_flushed(struct judge *judge, const struct event *event)
{
	bool is_flush = event->op == IO_FLUSH && event->file == 0 && event->result >= 0 &&
			!is_external(event->host_offset);

	if (judge_is_failed_flush(event))
		rule_contained_note_flush(judge);
	if (is_flush && judge->findings.muted != 0 && judge->live.header.readable &&
	    judge->live.uncovered == 0)
		end_making(judge);
}

/** Judge what reordering makes of the state in hand, which was judged. */
static void judge_reordered(struct judge *judge, enum reorder_cause cause)
{
	if (!judge->window.is_on)
		return;
	if (cause == REORDER_OPERATION) {
		if (reorder_note_roots(judge))
			cause = REORDER_ROOTS;
		window_end_op(&judge->window, judge->live.work.cluster_count,
			      cause == REORDER_ROOTS);
	}
	if (judge->quiet)
		return;
	reorder_judge(judge, cause);
	judge_list_losses(judge);
}

static void on_effect(struct judge *judge, const struct event *event)
{
	bool changes = event->op != IO_READ && event->op != IO_FLUSH;

	if (event->file != 0 && changes && event->result >= 0 &&
	    layers_has_file(&judge->layers, event->file))
		journal_set(&judge->journal, &judge->foreign_write, 1);
	if (!judge_is_operation(event))
		return;
	if (event->op == IO_RESIZE && event->host_offset == 0)
		judge_begin_making(judge);
	apply_operation(judge, event);
	journal_set(&judge->journal, &judge->operations, judge->operations + 1);
	live_settle(&judge->live);
	judge_set_moment(judge, CRASH_PREFIX, 0);
	judge_crash_state(judge);
	judge_reordered(judge, REORDER_OPERATION);
}

static void on_invoked(struct judge *judge, size_t index)
{
	const struct event *event = &judge->log->events[index];
	struct image_snapshot snapshot;
	bool applies = event->op == REQUEST_SNAPSHOT_APPLY && judge->live.header.readable &&
		       live_find_snapshot(&judge->live, &snapshot, event_data(judge->log, event),
					  event->data_bytes);
	struct request *request;

	judge->history.apply_bytes = applies ? judge->live.header.size_bytes : 0;
	request = history_invoke(&judge->history, judge->log, index);
	if (request == NULL)
		return;
	if (applies)
		rule_content_hold(judge, request, &snapshot);
	history_add_leak_cost(&judge->history, request, leak_cost_of(judge, request));
}

/** A flush or a close was acknowledged: judge what became a promise. */
static void on_promise(struct judge *judge, const struct request *flush)
{
	uint64_t first = judge->history.settled;

	live_begin(&judge->live);
	history_promise(&judge->history, flush);
	for (uint64_t i = first; i < judge->history.count; i++) {
		const struct request *request = history_request(&judge->history, i);

		if (request->durable != flush->completed)
			continue;
		if (request->op == REQUEST_TRUNCATE)
			judge->live.work.header = true;
		if (request->oblige_from < request->oblige_to)
			live_queue_guest(&judge->live, request->oblige_from,
					 request->oblige_to - request->oblige_from);
	}
	judge_set_moment(judge, CRASH_PREFIX, 0);
	judge_crash_state(judge);
	judge_reordered(judge, REORDER_PROMISE);
}

static void on_flush_answered(struct judge *judge, const struct request *flush)
{
	if (flush->failed != 0)
		return;
	if (!judge->quiet)
		rule_contained_flush(judge, flush);
	on_promise(judge, flush);
}

static void on_completed(struct judge *judge, size_t index)
{
	struct request *request = history_complete(&judge->history, judge->log, index);

	if (request == NULL)
		return;
	judge_set_moment(judge, CRASH_NONE, 0);
	switch (request->op) {
	case REQUEST_READ:
		if (!judge->quiet && !judge->reads_known)
			rule_read(judge, request);
		break;
	case REQUEST_OPEN: history_forgive_leaks(&judge->history, request); break;
	case REQUEST_SNAPSHOT:
		if (!judge->live.header.readable || judge->image_is_given)
			break;
		judge_set_moment(judge, CRASH_PREFIX, 0);
		rule_new_snapshot(judge, request);
		break;
	case REQUEST_CLOSE:
		if (request->failed == 0)
			journal_set(&judge->journal, &judge->history.closed,
				    request->completed + 1);
		on_flush_answered(judge, request);
		break;
	case REQUEST_FLUSH: on_flush_answered(judge, request); break;
	case REQUEST_WRITE:
	case REQUEST_WRITE_ZEROES:
	case REQUEST_DISCARD:
	case REQUEST_SNAPSHOT_APPLY:
	case REQUEST_SNAPSHOT_DELETE:
	case REQUEST_TRUNCATE: break;
	}
}

static void on_end(struct judge *judge, const struct event *event)
{
	journal_set(&judge->journal, &judge->ended, event->op + 1U);
	if (judge->findings.muted != 0 && event->op == RUN_FINISHED)
		end_making(judge);
	judge_set_moment(judge, CRASH_NONE, 0);
	rule_progress(judge, event);
	if (event->op != RUN_FINISHED || !judge->live.header.readable)
		return;
	rule_leaks(judge);
	rule_final(judge);
}

void judge_note_failure(struct judge *judge, const struct event *event)
{
	if (event->file == 0 && judge_is_failure(event))
		journal_set(&judge->journal, &judge->history.io_failed, 1);
}

void judge_apply(struct judge *judge, size_t index)
{
	const struct event *event = &judge->log->events[index];

	judge->findings.now.event = index;
	if (!judge_event_is_sane(judge->log, event))
		return;
	judge_note_failure(judge, event);
	if (judge->image_is_given && event->kind != EVENT_REQUEST_INVOKED &&
	    event->kind != EVENT_REQUEST_COMPLETED)
		return;
	switch (event->kind) {
	case EVENT_REQUEST_INVOKED: on_invoked(judge, index); break;
	case EVENT_REQUEST_COMPLETED: on_completed(judge, index); break;
	case EVENT_IO_EFFECT: on_effect(judge, event); break;
	case EVENT_IO_SUBMITTED:
		if (judge->window.is_on && event->file == 0)
			window_submitted(&judge->window, event);
		break;
	case EVENT_IO_COMPLETED:
		if (judge->window.is_on && event->file == 0)
			window_completed(&judge->window, event);
		on_flushed(judge, event);
		break;
	case EVENT_END: on_end(judge, event); break;
	default: break;
	}
}
