// SPDX-License-Identifier: MIT
/* LazyFS keeps what is written in memory until it is flushed, and an entry says when it dies and
 * what of that memory had reached the disk all the same:
 *
 *      torn-op      write n: some of its parts           clear-cache   nothing
 *      torn-seq     some of the writes between two flushes
 *
 * and what was flushed is there. That is one of the states of crash model `reorder`, and has a
 * name: the operations until then, and for each sector that is not the newest the operation after
 * which it was what it is.
 *
 *      log   write 1   write 2   FLUSH   write 3 (sectors a b c)   crash: torn-op, persist = [1, 3]
 * of 3 state                             a: 3    b: 0    c: 3      ->  --image-at 3 --persist b=0
 *
 * A sector is written as a whole or not at all, here as everywhere. So a part that ends inside a
 * sector does not bring it, and a sector that persists is what the whole run had made of it. */
#include "workloads/cli/lazyfs_states.h"

#include "oracle/judge.h"
#include "traces/memory.h"
#include "workloads/language.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECTOR = 512 };

/* Where a crash falls, and what is left. Index of events: into the log. */
struct crash {
	const struct event_log *log; /* borrowed */
	const struct lazyfs_entry *entry;
	uint16_t file;
	size_t end;          /* events before it */
	size_t torn;         /* torn-op: the effect of the write */
	size_t group;        /* torn-seq: the first event of the sequence */
	bool *durable;       /* owned; of each event before the crash: is what it did flushed? */
	bool ends_in_sector; /* a part does */
};

static bool is_io(const struct crash *crash, size_t index, enum event_kind kind, enum io_op op)
{
	const struct event *event = &crash->log->events[index];
	return event->kind == kind && event->op == op && event->file == crash->file;
}

static bool is_write(const struct crash *crash, size_t index)
{
	return is_io(crash, index, EVENT_IO_EFFECT, IO_WRITE) &&
	       crash->log->events[index].result > 0;
}

static bool is_operation(const struct crash *crash, size_t index)
{
	struct event event = crash->log->events[index];
	if (event.file != crash->file)
		return false;
	event.file = 0; /* operations are those of file 0 */
	return judge_is_operation(&event);
}

/* ---- when ---- */

__attribute__((format(printf, 1, 2))) static char *problem_of(const char *format, ...)
{
	char *text = NULL;
	va_list arguments;
	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		abort();
	va_end(arguments);
	return text;
}

/* The bytes of the parts, one after the other; 0: there is no such part. */
static uint64_t part_bytes(const struct lazyfs_entry *entry, uint64_t part, uint64_t length)
{
	if (!entry->parts)
		return part <= entry->parts_bytes.count ? entry->parts_bytes.items[part - 1] : 0;
	uint64_t each = length / entry->parts;
	return part < entry->parts ? each : length - each * (entry->parts - 1);
}

static uint64_t all_parts(const struct lazyfs_entry *entry, uint64_t length)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < entry->parts_bytes.count; i++)
		sum += entry->parts_bytes.items[i];
	return entry->parts ? length : sum;
}

static char *find_torn_op(struct crash *crash)
{
	uint64_t seen = 0;
	for (size_t i = 0; i < crash->log->count; i++) {
		if (!is_write(crash, i) || ++seen < crash->entry->occurrence)
			continue;
		uint64_t length = crash->log->events[i].data_bytes;
		crash->torn = i;
		crash->end = i + 1;
		return all_parts(crash->entry, length) == length
			       ? NULL
			       : problem_of("its parts are not the %" PRIu64 " bytes of that write",
					    length);
	}
	return problem_of("the run has only %" PRIu64 " writes", seen);
}

/* The sequences are those of two writes at least; the crash comes with the last write that
 * persists, or the second one. */
static char *find_torn_seq(struct crash *crash)
{
	const struct lazyfs_list *persist = &crash->entry->persist;
	uint64_t last = persist->items[persist->count - 1], groups = 0, in_group = 0;
	for (size_t i = 0; i < crash->log->count; i++) {
		if (is_io(crash, i, EVENT_IO_SUBMITTED, IO_FLUSH)) {
			crash->group = i + 1;
			in_group = 0;
		}
		if (!is_write(crash, i))
			continue;
		groups += ++in_group == 2;
		if (groups != crash->entry->occurrence || in_group < 2 || in_group < last)
			continue;
		crash->end = i + 1;
		return NULL;
	}
	return problem_of("the run has only %" PRIu64
			  " sequences of two writes and more, or that one is shorter",
			  groups);
}

/* Does the event make a call of the entry's kind begin or end, as its timing wants it? */
static bool is_call(const struct crash *crash, size_t index, bool *is_known)
{
	static const struct {
		const char *name;
		enum io_op op;
	} calls[] = { { "write", IO_WRITE },
		      { "fsync", IO_FLUSH },
		      { "read", IO_READ },
		      { "truncate", IO_RESIZE } };
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (strcmp(crash->entry->op, calls[i].name) != 0)
			continue;
		/* A flush is a matter of when it was asked for and when it was done. */
		bool is_flush = calls[i].op == IO_FLUSH;
		enum event_kind kind = !is_flush              ? EVENT_IO_EFFECT
				       : crash->entry->before ? EVENT_IO_SUBMITTED
							      : EVENT_IO_COMPLETED;
		*is_known = true;
		return is_io(crash, index, kind, calls[i].op);
	}
	return false;
}

static char *find_clear_cache(struct crash *crash)
{
	uint64_t seen = 0;
	bool is_known = false;
	if (!crash->entry->crashes)
		return problem_of("without crash = true the program goes on, that is no crash");
	for (size_t i = 0; i < crash->log->count; i++) {
		if (!is_call(crash, i, &is_known) || ++seen < crash->entry->occurrence)
			continue;
		crash->end = i + !crash->entry->before;
		return NULL;
	}
	return is_known ? problem_of("the run has only %" PRIu64 " of these calls", seen)
			: problem_of("a trace has no such calls");
}

static char *find_crash(struct crash *crash)
{
	switch (crash->entry->type) {
	case LAZYFS_TORN_OP: return find_torn_op(crash);
	case LAZYFS_TORN_SEQ: return find_torn_seq(crash);
	case LAZYFS_CLEAR_CACHE: return find_clear_cache(crash);
	}
	return NULL;
}

/* ---- what is left ---- */

/* Index of the event with which I/O `id` came back, or of the crash. */
static size_t completion_of(const struct crash *crash, size_t effect)
{
	uint32_t id = crash->log->events[effect].id;
	for (size_t i = effect; i < crash->end; i++)
		if (crash->log->events[i].kind == EVENT_IO_COMPLETED &&
		    crash->log->events[i].id == id)
			return i;
	return crash->end;
}

/* The latest flush that was done tells: what had come back when it was asked for is durable. */
static void find_durable(struct crash *crash)
{
	size_t flushed_until = 0;
	for (size_t i = 0; i < crash->end; i++)
		if (is_io(crash, i, EVENT_IO_SUBMITTED, IO_FLUSH) &&
		    completion_of(crash, i) < crash->end &&
		    crash->log->events[completion_of(crash, i)].result == 0)
			flushed_until = i;
	crash->durable = calloc(crash->end + 1, sizeof(*crash->durable));
	if (!crash->durable)
		abort();
	for (size_t i = 0; i < flushed_until; i++)
		crash->durable[i] =
			is_operation(crash, i) && completion_of(crash, i) < flushed_until;
}

/* Which of the writes of its sequence is it, from 1? */
static uint64_t number_in_group(const struct crash *crash, size_t effect)
{
	uint64_t number = 0;
	for (size_t i = crash->group; i <= effect; i++)
		number += is_write(crash, i);
	return number;
}

static bool list_has(const struct lazyfs_list *list, uint64_t number)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i] == number)
			return true;
	return false;
}

/* Did all that the torn write has of the sector persist? */
static bool part_persists(struct crash *crash, uint64_t sector_offset)
{
	const struct event *write = &crash->log->events[crash->torn];
	uint64_t from = write->host_offset, end = from + write->data_bytes;
	bool all = true, some = false;
	for (uint64_t part = 1; from < end; part++) {
		uint64_t bytes = part_bytes(crash->entry, part, write->data_bytes);
		bool touches =
			bytes && from < sector_offset + SECTOR && sector_offset < from + bytes;
		bool persists = list_has(&crash->entry->persist, part);
		all = all && (!touches || persists);
		some = some || (touches && persists);
		from += bytes;
	}
	crash->ends_in_sector |= some && !all;
	return all;
}

/* Is what the operation did to the sector on the disk? */
static bool persists(struct crash *crash, size_t effect, uint64_t sector_offset)
{
	if (crash->durable[effect])
		return true;
	switch (crash->entry->type) {
	case LAZYFS_TORN_OP: return effect == crash->torn && part_persists(crash, sector_offset);
	case LAZYFS_TORN_SEQ:
		return effect >= crash->group && is_write(crash, effect) &&
		       list_has(&crash->entry->persist, number_in_group(crash, effect));
	case LAZYFS_CLEAR_CACHE: break;
	}
	return false;
}

static uint64_t bytes_of(const struct event *event)
{
	return event->op == IO_WRITE ? event->data_bytes : event->length;
}

static bool changes_sector(const struct event *event, uint64_t sector_offset)
{
	return event->op != IO_RESIZE && event->op != IO_ALLOCATE &&
	       event->host_offset < sector_offset + SECTOR &&
	       sector_offset < event->host_offset + bytes_of(event);
}

/* The last operation whose contents of the sector are on the disk, and the last one of all; numbers
 * from 1, 0: none; and the event of the first one whose are not. */
struct versions {
	uint64_t kept, newest;
	size_t first_lost;
};

static struct versions versions_of(struct crash *crash, uint64_t sector_offset)
{
	struct versions versions = { .first_lost = SIZE_MAX };
	uint64_t number = 0;
	for (size_t i = 0; i < crash->end; i++) {
		if (!is_operation(crash, i))
			continue;
		number++;
		if (!changes_sector(&crash->log->events[i], sector_offset))
			continue;
		versions.newest = number;
		if (persists(crash, i, sector_offset))
			versions.kept = number;
		else if (versions.first_lost == SIZE_MAX)
			versions.first_lost = i;
	}
	return versions;
}

/* How long the file is; `all`: with everything that was done to it. */
static uint64_t size_left(struct crash *crash, uint64_t initial, bool all)
{
	uint64_t size = initial;
	for (size_t i = 0; i < crash->end; i++) {
		const struct event *event = &crash->log->events[i];
		if (!is_operation(crash, i) || (event->op == IO_PUNCH))
			continue;
		uint64_t last = event->host_offset + bytes_of(event);
		if (event->op == IO_RESIZE) {
			if (all || persists(crash, i, 0))
				size = event->host_offset;
			continue;
		}
		/* A write that is torn makes the file as long as the parts that persist reach. */
		uint64_t from = event->host_offset / SECTOR * SECTOR;
		for (uint64_t at = from; at < last; at += SECTOR)
			if (size < (at + SECTOR < last ? at + SECTOR : last) &&
			    (all || persists(crash, i, at)))
				size = at + SECTOR < last ? at + SECTOR : last;
	}
	return size;
}

/* The name of the state. Gives. */
static char *persist_list(struct crash *crash, uint64_t initial_size)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&text, &bytes);
	const char *before = "";
	if (!to)
		abort();
	for (size_t i = 0; i < crash->end; i++) {
		const struct event *event = &crash->log->events[i];
		if (!is_operation(crash, i) || crash->durable[i])
			continue;
		uint64_t end = event->host_offset + bytes_of(event);
		bool has_bytes = event->op != IO_RESIZE && event->op != IO_ALLOCATE;
		for (uint64_t at = event->host_offset / SECTOR * SECTOR; has_bytes && at < end;
		     at += SECTOR) {
			struct versions versions = versions_of(crash, at);
			if (versions.first_lost != i || versions.kept == versions.newest)
				continue;
			fprintf(to, "%s0x%" PRIx64 "=%" PRIu64, before, at, versions.kept);
			before = ",";
		}
	}
	uint64_t size = size_left(crash, initial_size, false);
	if (size != size_left(crash, initial_size, true))
		fprintf(to, "%ssize=%" PRIu64, before, size);
	if (fclose(to) != 0)
		abort();
	return text;
}

/* ---- all together ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* The image that the entry means: by its name, or the only one that is changed. */
static bool find_file(struct lazyfs_state *state, const struct trace *trace)
{
	uint16_t file = 0, only = 0;
	size_t changed = 0;
	for (; trace_next_changed_image(trace, &file); file++) {
		only = file;
		changed++;
		if (strcmp(base_name(trace->files[file].path), base_name(state->entry.file)) != 0)
			continue;
		state->file = file;
		return true;
	}
	state->file = only;
	if (changed == 1 && asprintf(&state->note, "'%.100s' is taken for '%.100s'",
				     state->entry.file, trace->files[only].path) < 0)
		abort();
	return changed == 1;
}

static void find_state(struct lazyfs_state *state, const struct trace *trace)
{
	if (!find_file(state, trace)) {
		state->problem = problem_of("the trace has no image of that name");
		return;
	}
	struct crash crash = { .log = &trace->log, .entry = &state->entry, .file = state->file };
	state->problem = find_crash(&crash);
	if (state->problem)
		return;
	find_durable(&crash);
	state->event_count = crash.end;
	for (size_t i = 0; i < crash.end; i++)
		state->operations += is_operation(&crash, i);
	state->persist = persist_list(&crash, content_size(trace->files[state->file].initial));
	free(crash.durable);
	if (crash.ends_in_sector) {
		free(state->note);
		state->note =
			problem_of("a part ends inside a sector, which is written as a whole: "
				   "it is lost");
	}
}

static enum status read_file(struct lazyfs_states *states, const struct trace *trace,
			     const char *path, struct why *why)
{
	struct lazyfs_entry *entries = NULL;
	char *text = NULL;
	size_t bytes = 0, count = 0;
	enum status status = workload_read_text(path, &text, &bytes, why);
	if (status == STATUS_OK)
		status = lazyfs_read(&entries, &count, path, text, bytes, why);
	free(text);
	if (status != STATUS_OK)
		return status;
	states->states =
		realloc(states->states, (states->count + count + 1) * sizeof(*states->states));
	if (!states->states)
		abort();
	for (size_t i = 0; i < count; i++) {
		struct lazyfs_state *state = &states->states[states->count++];
		*state = (struct lazyfs_state){ .name = path, .entry = entries[i] };
		find_state(state, trace);
	}
	free(entries);
	return STATUS_OK;
}

enum status lazyfs_states_read(struct lazyfs_states *states, const struct trace *trace,
			       const char *const *paths, size_t path_count, struct why *why)
{
	*states = (struct lazyfs_states){ 0 };
	size_t crashes = 0;
	for (size_t i = 0; i < path_count; i++) {
		enum status status = read_file(states, trace, paths[i], why);
		if (status != STATUS_OK)
			return status;
	}
	for (size_t i = 0; i < states->count; i++)
		crashes += states->states[i].problem == NULL;
	if (states->count && crashes)
		return STATUS_OK;
	if (!states->count)
		return why_set(why, STATUS_BAD_INPUT, "'%s' has no [[injection]]", paths[0]);
	return why_set(why, STATUS_BAD_INPUT, "%s:%" PRIu32 ": %s: %s", states->states[0].name,
		       states->states[0].entry.line, lazyfs_type_name(states->states[0].entry.type),
		       states->states[0].problem);
}

void lazyfs_states_release(struct lazyfs_states *states)
{
	for (size_t i = 0; i < states->count; i++) {
		free(states->states[i].persist);
		free(states->states[i].problem);
		free(states->states[i].note);
	}
	free(states->states);
	*states = (struct lazyfs_states){ 0 };
}
