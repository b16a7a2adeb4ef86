// SPDX-License-Identifier: MIT
/** The events of one run, in the order in which they happened, and the log that holds them. */
#ifndef TRACES_EVENT_H
#define TRACES_EVENT_H

#include "traces/status.h"

#include <stddef.h>
#include <stdint.h>

/* The numbers below are written to trace files: never renumber, only append. */

enum event_kind {
	/** op: request_op; id: request; guest_offset, length; data: what a write carries. */
	EVENT_REQUEST_INVOKED = 1,
	/** op: request_op; id: request; result; data: what a read returned. */
	EVENT_REQUEST_COMPLETED = 2,
	/** op: io_op; id: I/O; file, host_offset, length; data: what is to be written. */
	EVENT_IO_SUBMITTED = 3,
	/** As SUBMITTED (data included); result; it has now changed (or read) the file. */
	EVENT_IO_EFFECT = 4,
	/** As SUBMITTED; result; its caller goes on; digest of what a read returned. */
	EVENT_IO_COMPLETED = 5,
	/** op: io_op, 0: no I/O; id: I/O; result: -errno injected, or the number of bytes that the
	 * transfer is cut to; data: the failure point's name. */
	EVENT_FAULT = 6,
	/** actor: the coroutine that runs from here on; data: its name, the first time. */
	EVENT_SWITCH = 7,
	/** op: wait_kind; id: number of the object waited for; data: the object's name; result: the
	 * actor that has it as the wait begins, 0: not known. Since version 3. */
	EVENT_WAIT = 8,
	/** op: choice_kind; id: options; result: the one taken; actor: whose turn it became. */
	EVENT_CHOICE = 9,
	/** op: run_end; data: text for a person (assertion, list of stuck coroutines). */
	EVENT_END = 10,
};

enum request_op {
	REQUEST_READ = 1,
	REQUEST_WRITE = 2,
	/** `length` bytes read as zeros afterwards. */
	REQUEST_WRITE_ZEROES = 3,
	/** Whole clusters inside the range read as zeros afterwards, unless version 2 with backing.
	 */
	REQUEST_DISCARD = 4,
	REQUEST_FLUSH = 5,
	REQUEST_OPEN = 6,
	REQUEST_CLOSE = 7,
	/** guest_offset: the new virtual size. */
	REQUEST_TRUNCATE = 8,
	/** Create an internal snapshot. */
	REQUEST_SNAPSHOT = 9,
	/** The disk holds what an internal snapshot holds; data: its name. Since version 2. */
	REQUEST_SNAPSHOT_APPLY = 10,
	/** Delete an internal snapshot; data: its name. Since version 2. */
	REQUEST_SNAPSHOT_DELETE = 11,
};

enum io_op {
	IO_READ = 1,
	IO_WRITE = 2,
	/** fsync, fdatasync. */
	IO_FLUSH = 3,
	/** host_offset: the new file size. */
	IO_RESIZE = 4,
	/** The range reads as zeros, stays allocated; may extend the file. */
	IO_ZERO = 5,
	/** The range reads as zeros, file size unchanged. */
	IO_PUNCH = 6,
	/** Contents unchanged; may extend the file. */
	IO_ALLOCATE = 7,
};

enum wait_kind {
	WAIT_MUTEX = 1,
	WAIT_READ_LOCK = 2,
	WAIT_WRITE_LOCK = 3,
	WAIT_QUEUE = 4,
	WAIT_PARKED = 5,
};

enum choice_kind {
	/** Which coroutine or pending I/O goes next. */
	CHOICE_RUN = 1,
	/** Whether something goes wrong with a call: 0 no, k the k-th fault on its menu. */
	CHOICE_FAULT = 2,
};

enum run_end {
	/** Every coroutine ended. */
	RUN_FINISHED = 1,
	/** Some coroutine waits, none can go on. */
	RUN_DEADLOCK = 2,
	/** The step bound was reached. */
	RUN_LIVELOCK = 3,
	/** The script ended and a coroutine is left over. */
	RUN_LEAKED = 4,
	/** Assertion, memory fault, use of a freed object. */
	RUN_DIED = 5,
	/** The strategy gave the run up: its rest is covered elsewhere. */
	RUN_PRUNED = 6,
	/** A replay met a choice that its schedule does not have. */
	RUN_DIVERGED = 7,
};

/** One event. What each field means depends on `kind`; unused fields are 0. */
struct event {
	/** enum event_kind */
	uint8_t kind;
	/** The enum that the kind names. */
	uint8_t op;
	/** Index into the trace's files. */
	uint16_t file;
	/** Coroutine (from 1, 0 = none) or, in foreign programs, thread in order of appearance. */
	uint32_t actor;
	/** See event_kind; requests and I/Os count from 1 in each run. */
	uint32_t id;
	/** Bytes moved or 0; -errno on failure; EVENT_WAIT: an actor. */
	int32_t result;
	union {
		/** I/O: byte in the file. */
		uint64_t host_offset;
		/** Requests: byte in the virtual disk. */
		uint64_t guest_offset;
	};
	/** Bytes. */
	uint64_t length;
	/** IO_READ completed: hash of the bytes returned. */
	uint64_t digest;
	/** Where the event's bytes begin in its log. */
	uint64_t data_start;
	/** How many there are. */
	uint32_t data_bytes;
	/** Stack label, index into the trace's stacks, from 1; 0 = not recorded. */
	uint32_t stack;
};

/** Copies of one byte, one behind the other, in a log. */
struct event_fill {
	uint64_t data_start;
	size_t byte_count;
};

/** Events of one run, and their bytes. Reset and reused from run to run. */
struct event_log {
	/** Owned. */
	struct event *events;
	size_t count;
	size_t capacity;
	/** Owned; moves when the log grows: keep data_start, not pointers. */
	uint8_t *bytes;
	size_t byte_count;
	size_t byte_capacity;
	/** Owned; one for each byte value, NULL as long as there are none. */
	struct event_fill *fills;
};

/** Make `log` empty; owns nothing yet. */
void event_log_init(struct event_log *log);

/** Free what `log` owns; it is empty afterwards. */
void event_log_release(struct event_log *log);

/** Forget all events, keep the memory. */
void event_log_reset(struct event_log *log);

/** Append a copy of `event` with `data_bytes` bytes at `data` (copied; NULL when 0; less than
 *  4 GiB). Sets data_start and data_bytes. Aborts when memory is short: a log with a gap would be a
 *  lie. Returns the event's index. `event` and `data` may not lie in the log itself. */
size_t event_log_append(struct event_log *log, const struct event *event, const void *data,
			size_t data_bytes);

/** The same with `data_bytes` times the byte `fill`. Events with the same byte share its copies in
 *  the log, so that a long recording of a pattern stays small. */
size_t event_log_append_fill(struct event_log *log, const struct event *event, uint8_t fill,
			     size_t data_bytes);

/** The bytes of `event`, borrowed until the log changes; NULL when it has none. */
const uint8_t *event_data(const struct event_log *log, const struct event *event);

/** 64-bit digest over all events and their bytes: equal logs, equal digest (FNV-like, not
 *  cryptographic), on every machine. Stack labels do not count: they say where in the program, not
 *  what happened, and a run may be repeated without recording them. */
uint64_t event_log_digest(const struct event_log *log);

/** Index of the first event in which `a` and `b` differ (data included, stack labels not); SIZE_MAX
 *  when they are equal. */
size_t event_log_difference(const struct event_log *a, const struct event_log *b);

/** Print `event` as one line of text without a newline, e.g. "co3 write effect 0x5000+512 = 512".
 *  Cut when it does not fit; ends with a 0 byte unless `line_bytes` is 0. */
void event_format(char *line, size_t line_bytes, const struct event_log *log,
		  const struct event *event);

/** Names as printed: "write-zeroes", "io-effect", ... Never NULL; "?" when out of range. */
const char *event_kind_name(unsigned kind);
const char *request_op_name(unsigned op);
const char *io_op_name(unsigned op);
const char *wait_kind_name(unsigned kind);
const char *choice_kind_name(unsigned kind);
const char *run_end_name(unsigned end);

#endif
