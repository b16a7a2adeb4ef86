// SPDX-License-Identifier: MIT
/* Reading a dm-log-writes log.
 *
 * A log is a list of entries in the order in which writes reached the disk, with flushes among
 * them. It does not tell when a write was submitted or completed. What it does tell is what a flush
 * covers, and that depends on who wrote it:
 *
 *     kernel   A write enters a list when it completes; a flush takes that list when it is
 * submitted, and both are logged when the flush completes. So a FLUSH entry covers exactly the
 * entries before it. A FUA entry is durable by itself and covers nothing else. qemu     Writes are
 * logged as they complete, a flush when it completes. So writes that completed while the flush was
 * under way stand before it although it need not cover them. Nothing in the log tells which, so all
 * are taken for covered: such a log can hide a mistake, never invent one. FUA is emulated by a
 * flush, which is not logged when nothing was written since the last one: so the first write behind
 * the beginning or a FLUSH may have been durable when it completed, and is taken to be.
 *
 * In a trace a flush covers what was completed when it was submitted. So every write is completed
 * as late as possible, just before the next FLUSH entry; one that is durable by itself is completed
 * at once and followed by a flush of its own, which then covers no other.
 *
 *     log      W1  W2(FUA)  FLUSH
 *     trace    W1 submitted, effect; W2 submitted, effect, completed; flush;
 *              W1 completed; flush
 *
 * Two passes. The first looks at every header, believes none, and knows afterwards the dialect, the
 * number of good entries, and how much memory they take. The second makes events of them. */
#include "traces/dm_log_writes.h"

#include "traces/dm_log_format.h"
#include "traces/memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	/** The bytes of an entry become writes of at most so many. */
	PIECE_BYTES = 64 << 20,
	/** All data together. */
	DATA_MIB_MAX = 4096,
	MIB = 1 << 20,
	/** SUBMITTED, EFFECT, COMPLETED. */
	EVENTS_OF_AN_IO = 3,
};

/* Where the bytes of a log come from. */
struct source {
	int file; /* negative: memory */
	const uint8_t *bytes;
	uint64_t byte_count;
	const char *name;
};

/* One entry, its header decoded. */
struct entry {
	uint64_t host_offset;
	uint64_t length;
	uint64_t flags;
	uint64_t data_at; /* where its data begin in the log */
	uint64_t next_at; /* where the next entry begins */
};

struct reader {
	struct source source;
	struct why *why;
	enum dm_log_dialect asked;
	uint32_t sector_bytes;
	uint64_t entries; /* as the super block says; after the first pass: those that are good */
	bool kernel_seen;
	uint64_t data_bytes;
	uint64_t event_count;
};

/* Events on their way into a trace. */
struct producer {
	struct event_log *log; /* borrowed */
	uint32_t id;           /* of the last I/O */
	bool hidden_barrier;   /* qemu: the next write may have been durable by itself */
	size_t *pending;       /* owned; the EFFECT events of operations that are not completed */
	size_t pending_count;
	size_t pending_capacity;
	uint8_t *piece; /* owned; room for the bytes of one write */
	size_t piece_capacity;
};

static enum status source_get(const struct source *source, uint8_t *to, size_t bytes, uint64_t at)
{
	size_t done = 0;
	if (source->file < 0) {
		memcpy(to, source->bytes + at, bytes);
		return STATUS_OK;
	}
	while (done < bytes) {
		ssize_t got = pread(source->file, to + done, bytes - done, (off_t)(at + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return STATUS_IO;
		/* It became shorter while we read it. */
		if (got == 0)
			memset(to + done, 0, bytes - done);
		done += got ? (size_t)got : bytes - done;
	}
	return STATUS_OK;
}

static enum status get(const struct reader *reader, uint8_t *to, size_t bytes, uint64_t at)
{
	enum status status = source_get(&reader->source, to, bytes, at);
	if (status == STATUS_IO)
		why_set(reader->why, status, "cannot read '%s': %s", reader->source.name,
			strerror(errno));
	return status;
}

static enum status read_super(struct reader *reader)
{
	uint8_t super[DM_LOG_HEADER_BYTES] = { 0 };
	const char *name = reader->source.name;
	uint64_t bytes = reader->source.byte_count;
	size_t present = bytes < sizeof(super) ? (size_t)bytes : sizeof(super);
	enum status status = get(reader, super, present, 0);
	if (status != STATUS_OK)
		return status;
	if (!dm_log_is(super, present))
		return why_set(reader->why, STATUS_FOREIGN,
			       "'%s' is not a dm-log-writes log: it does not begin with the magic "
			       "number",
			       name);
	if (present < DM_LOG_SUPER_BYTES)
		return why_set(reader->why, STATUS_TRUNCATED, "log '%s': ends in its super block",
			       name);
	uint64_t version = dm_log_get(super + DM_LOG_AT_VERSION);
	if (version > DM_LOG_VERSION)
		return why_set(reader->why, STATUS_NEWER,
			       "log '%s': format version %" PRIu64
			       ", this program reads version %d",
			       name, version, DM_LOG_VERSION);
	uint64_t sector_bytes = dm_log_get(super + DM_LOG_AT_SECTOR_BYTES) & UINT32_MAX;
	bool is_power = sector_bytes && !(sector_bytes & (sector_bytes - 1));
	if (version != DM_LOG_VERSION || !is_power || sector_bytes < DM_LOG_SECTOR_BYTES_MIN ||
	    sector_bytes > DM_LOG_SECTOR_BYTES_MAX)
		return why_set(reader->why, STATUS_CORRUPT,
			       "log '%s': version %" PRIu64 ", sectors of %" PRIu64
			       " bytes: no such log",
			       name, version, sector_bytes);
	reader->sector_bytes = (uint32_t)sector_bytes;
	reader->entries = dm_log_get(super + DM_LOG_AT_ENTRIES);
	/* QEMU leaves zeros behind its super block, the kernel may leave anything. */
	reader->kernel_seen =
		present == sizeof(super) && dm_log_get(super + DM_LOG_AT_SECTOR_BYTES) >> 32 != 0;
	return STATUS_OK;
}

/* What is wrong with an entry's numbers; NULL: nothing. A literal. */
static const char *entry_problem(const uint8_t *header, uint32_t sector_bytes)
{
	uint64_t sector = dm_log_get(header + DM_LOG_AT_SECTOR);
	uint64_t sectors = dm_log_get(header + DM_LOG_AT_SECTORS);
	uint64_t flags = dm_log_get(header + DM_LOG_AT_FLAGS);
	uint64_t text_bytes = dm_log_get(header + DM_LOG_AT_TEXT_BYTES);
	uint64_t sectors_max = (uint64_t)INT64_MAX / sector_bytes;
	if (flags & ~(uint64_t)DM_LOG_FLAGS)
		return "unknown flags";
	if (flags & DM_LOG_MARK)
		return sectors || text_bytes >= sector_bytes - DM_LOG_HEADER_BYTES
			       ? "a mark with data, or longer than its sector"
			       : NULL;
	if (text_bytes)
		return "data inside the header, as no log of a disk has";
	if (!flags && !sectors)
		return "neither data nor flags";
	if (sector_bytes > DM_LOG_HEADER_BYTES && header[DM_LOG_HEADER_BYTES])
		return "bytes behind the header";
	if (sector > sectors_max || sectors > sectors_max - sector)
		return "the range ends beyond 2^63-1";
	return NULL;
}

/* Decode the entry at byte `at` of the log. STATUS_TRUNCATED: the log ends inside it. */
static enum status read_entry(const struct reader *reader, struct entry *entry, uint64_t at,
			      const char **problem)
{
	uint8_t header[DM_LOG_HEADER_BYTES + 1] = { 0 };
	uint64_t left = reader->source.byte_count - at;
	uint32_t sector_bytes = reader->sector_bytes;
	size_t present = sector_bytes < sizeof(header) ? sector_bytes : sizeof(header);
	*problem = NULL;
	if (left < sector_bytes)
		return STATUS_TRUNCATED;
	enum status status = get(reader, header, present, at);
	if (status != STATUS_OK)
		return status;
	*problem = entry_problem(header, sector_bytes);
	if (*problem)
		return STATUS_CORRUPT;
	*entry = (struct entry){ .host_offset = dm_log_get(header) * sector_bytes,
				 .flags = dm_log_get(header + DM_LOG_AT_FLAGS),
				 .data_at = at + sector_bytes };
	if (entry->flags & DM_LOG_MARK)
		entry->host_offset = 0;
	entry->length = dm_log_get(header + DM_LOG_AT_SECTORS) * sector_bytes;
	uint64_t data_bytes = entry->flags & DM_LOG_DISCARD ? 0 : entry->length;
	if (data_bytes > left - sector_bytes)
		return STATUS_TRUNCATED;
	entry->next_at = entry->data_at + data_bytes;
	return STATUS_OK;
}

/* Add what the entry takes in a trace to the sums. */
static enum status count_entry(struct reader *reader, const struct entry *entry)
{
	bool is_discard = entry->flags & DM_LOG_DISCARD;
	uint64_t operations = 0;
	if (!is_discard)
		reader->data_bytes += entry->length;
	if (entry->length)
		operations = is_discard ? 1 : (entry->length - 1) / PIECE_BYTES + 1;
	/* A flush before, and one of its own. */
	reader->event_count += EVENTS_OF_AN_IO * (operations + 2);
	if (reader->data_bytes > (uint64_t)DATA_MIB_MAX * MIB)
		return why_set(reader->why, STATUS_UNSUPPORTED,
			       "log '%s': more than %d MiB of data", reader->source.name,
			       DATA_MIB_MAX);
	if (reader->event_count > TRACE_EVENTS_MAX)
		return why_set(reader->why, STATUS_UNSUPPORTED,
			       "log '%s': more entries than a trace can hold", reader->source.name);
	return STATUS_OK;
}

static enum status entry_failure(const struct reader *reader, enum status status, uint64_t number,
				 uint64_t at, const char *problem)
{
	if (status == STATUS_TRUNCATED)
		return why_set(reader->why, status,
			       "log '%s': ends in entry %" PRIu64 " of %" PRIu64
			       ", which begins at byte %" PRIu64,
			       reader->source.name, number, reader->entries, at);
	if (status == STATUS_CORRUPT)
		return why_set(reader->why, status,
			       "log '%s': entry %" PRIu64 " at byte %" PRIu64 ": %s",
			       reader->source.name, number, at, problem);
	return status;
}

/* What looks like entries from byte `at` on: a super block is written only now and then, so a log
 * may hold more than it says; or something older was there before. */
static uint64_t count_behind(const struct reader *reader, uint64_t at)
{
	uint64_t count = 0;
	struct entry entry;
	const char *problem;
	while (at < reader->source.byte_count &&
	       read_entry(reader, &entry, at, &problem) == STATUS_OK) {
		at = entry.next_at;
		count++;
	}
	return count;
}

/* The first pass. STATUS_TRUNCATED leaves `entries` at those before the cut. */
static enum status scan(struct reader *reader, struct dm_log_facts *facts)
{
	const uint64_t kernel_flags = DM_LOG_FUA | DM_LOG_MARK | DM_LOG_METADATA;
	uint64_t at = reader->sector_bytes;
	uint64_t entries = reader->entries;
	for (uint64_t number = 0; number < entries; number++) {
		struct entry entry;
		const char *problem;
		enum status status = at > reader->source.byte_count
					     ? STATUS_TRUNCATED
					     : read_entry(reader, &entry, at, &problem);
		if (status != STATUS_OK) {
			entry_failure(reader, status, number + 1, at, problem);
			reader->entries = number;
			return status;
		}
		status = count_entry(reader, &entry);
		if (status != STATUS_OK)
			return status;
		reader->kernel_seen |= (entry.flags & kernel_flags) != 0;
		at = entry.next_at;
	}
	facts->entries_behind = count_behind(reader, at);
	return STATUS_OK;
}

static void append(struct producer *producer, const struct event *event, enum event_kind kind,
		   size_t data_bytes)
{
	struct event copy = *event;
	copy.kind = (uint8_t)kind;
	event_log_append(producer->log, &copy, data_bytes ? producer->piece : NULL, data_bytes);
}

/* Complete what is pending from number `from` of the list on. */
static void complete(struct producer *producer, size_t from)
{
	for (size_t i = from; i < producer->pending_count; i++) {
		struct event event = producer->log->events[producer->pending[i]];
		append(producer, &event, EVENT_IO_COMPLETED, 0);
	}
	producer->pending_count = from;
}

/* A flush that covers what is completed. */
static void put_flush(struct producer *producer)
{
	struct event event = { .op = IO_FLUSH, .actor = 1, .id = ++producer->id };
	append(producer, &event, EVENT_IO_SUBMITTED, 0);
	append(producer, &event, EVENT_IO_EFFECT, 0);
	append(producer, &event, EVENT_IO_COMPLETED, 0);
}

/* An operation: submitted, done, and pending. */
static void put_operation(struct producer *producer, struct event *event, size_t data_bytes)
{
	event->actor = 1;
	event->id = ++producer->id;
	append(producer, event, EVENT_IO_SUBMITTED, 0);
	event->result = (int32_t)data_bytes;
	producer->pending = memory_grow(producer->pending, &producer->pending_capacity,
					producer->pending_count + 1, sizeof(*producer->pending));
	producer->pending[producer->pending_count++] = producer->log->count;
	append(producer, event, EVENT_IO_EFFECT, data_bytes);
}

static enum status put_data(struct producer *producer, const struct reader *reader,
			    const struct entry *entry)
{
	for (uint64_t done = 0; done < entry->length;) {
		uint64_t left = entry->length - done;
		size_t bytes = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
		struct event event = { .op = IO_WRITE, .length = bytes };
		event.host_offset = entry->host_offset + done;
		producer->piece = memory_grow(producer->piece, &producer->piece_capacity, bytes, 1);
		enum status status = get(reader, producer->piece, bytes, entry->data_at + done);
		if (status != STATUS_OK)
			return status;
		put_operation(producer, &event, bytes);
		done += bytes;
	}
	return STATUS_OK;
}

static enum status put_entry(struct producer *producer, const struct reader *reader,
			     const struct entry *entry)
{
	enum status status = STATUS_OK;
	/* As in a block layer request: the flush comes before the data. */
	if (entry->flags & DM_LOG_FLUSH) {
		complete(producer, 0);
		put_flush(producer);
		producer->hidden_barrier = reader->asked == DM_LOG_DIALECT_QEMU;
	}
	if (!entry->length)
		return STATUS_OK;
	size_t own = producer->pending_count;
	if (entry->flags & DM_LOG_DISCARD) {
		struct event event = { .op = IO_PUNCH, .length = entry->length };
		event.host_offset = entry->host_offset;
		put_operation(producer, &event, 0);
	} else {
		status = put_data(producer, reader, entry);
	}
	if (status == STATUS_OK && (entry->flags & DM_LOG_FUA || producer->hidden_barrier)) {
		complete(producer, own);
		put_flush(producer);
	}
	producer->hidden_barrier = false;
	return status;
}

/* The second pass. */
static enum status produce(struct reader *reader, struct trace *trace)
{
	struct producer producer = { .log = &trace->log };
	uint64_t at = reader->sector_bytes;
	enum status status = STATUS_OK;
	producer.hidden_barrier = reader->asked == DM_LOG_DIALECT_QEMU;
	for (uint64_t number = 0; number < reader->entries && status == STATUS_OK; number++) {
		struct entry entry;
		const char *problem;
		status = read_entry(reader, &entry, at, &problem);
		if (status != STATUS_OK)
			entry_failure(reader, status, number + 1, at, problem);
		else
			status = put_entry(&producer, reader, &entry);
		at = entry.next_at;
	}
	complete(&producer, 0);
	free(producer.pending);
	free(producer.piece);
	return status;
}

/* Whose log is it? */
static enum status find_dialect(struct reader *reader, struct dm_log_facts *facts)
{
	if (reader->asked == DM_LOG_DIALECT_QEMU && reader->kernel_seen)
		return why_set(reader->why, STATUS_BAD_INPUT,
			       "log '%s' is not QEMU's: it has marks or flags that only the kernel "
			       "writes",
			       reader->source.name);
	facts->dialect_is_guess = reader->asked == DM_LOG_DIALECT_AUTO && !reader->kernel_seen;
	if (reader->asked == DM_LOG_DIALECT_AUTO)
		reader->asked = reader->kernel_seen ? DM_LOG_DIALECT_KERNEL : DM_LOG_DIALECT_QEMU;
	facts->dialect = reader->asked;
	return STATUS_OK;
}

static enum status read_source(struct trace *trace, struct dm_log_facts *facts,
			       const struct source *source, enum dm_log_dialect dialect,
			       struct why *why)
{
	struct reader reader = { .source = *source, .why = why, .asked = dialect };
	size_t count = trace->log.count, byte_count = trace->log.byte_count;
	assert(trace->file_count);
	*facts = (struct dm_log_facts){ 0 };
	enum status scanned = read_super(&reader);
	trace->complete = scanned != STATUS_TRUNCATED;
	if (scanned != STATUS_OK)
		return scanned;
	scanned = scan(&reader, facts);
	if (scanned != STATUS_OK && scanned != STATUS_TRUNCATED)
		return scanned;
	enum status status = find_dialect(&reader, facts);
	if (status != STATUS_OK)
		return status;
	facts->sector_bytes = reader.sector_bytes;
	facts->entries = reader.entries;
	status = produce(&reader, trace);
	if (status != STATUS_OK) {
		trace->log.count = count;
		trace->log.byte_count = byte_count;
		return status;
	}
	trace->complete = scanned == STATUS_OK;
	return scanned;
}

bool dm_log_is(const void *bytes, size_t byte_count)
{
	return byte_count >= DM_LOG_MAGIC_BYTES && dm_log_get(bytes) == DM_LOG_MAGIC;
}

enum status dm_log_read(struct trace *trace, struct dm_log_facts *facts, const char *path,
			enum dm_log_dialect dialect, struct why *why)
{
	struct source source = { .file = open(path, O_RDONLY | O_CLOEXEC), .name = path };
	if (source.file < 0)
		return why_set(why, STATUS_IO, "cannot open '%s': %s", path, strerror(errno));
	off_t end = lseek(source.file, 0, SEEK_END);
	enum status status;
	if (end < 0) {
		status = why_set(why, STATUS_IO, "cannot read '%s': %s", path, strerror(errno));
	} else {
		source.byte_count = (uint64_t)end;
		status = read_source(trace, facts, &source, dialect, why);
	}
	close(source.file);
	return status;
}

enum status dm_log_read_memory(struct trace *trace, struct dm_log_facts *facts,
			       const struct dm_log_bytes *bytes, enum dm_log_dialect dialect,
			       struct why *why)
{
	struct source source = { .file = -1,
				 .bytes = bytes->bytes,
				 .byte_count = bytes->byte_count,
				 .name = bytes->name };
	return read_source(trace, facts, &source, dialect, why);
}

static const char *const dialect_names[] = {
	[DM_LOG_DIALECT_AUTO] = "auto",
	[DM_LOG_DIALECT_KERNEL] = "kernel",
	[DM_LOG_DIALECT_QEMU] = "qemu",
};

const char *dm_log_dialect_name(enum dm_log_dialect dialect)
{
	return dialect_names[dialect];
}

bool dm_log_dialect_parse(const char *name, enum dm_log_dialect *dialect)
{
	for (int i = DM_LOG_DIALECT_AUTO; i <= DM_LOG_DIALECT_QEMU; i++) {
		if (strcmp(name, dialect_names[i]) == 0) {
			*dialect = (enum dm_log_dialect)i;
			return true;
		}
	}
	return false;
}
