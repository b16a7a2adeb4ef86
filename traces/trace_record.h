// SPDX-License-Identifier: MIT
/** The bytes of a trace stream, as README.md lays them down: what encoder and decoder share. */
#ifndef TRACES_TRACE_RECORD_H
#define TRACES_TRACE_RECORD_H

/* The numbers below are written to trace files: never renumber, only append. */

/** The first eight bytes: a byte that text never has, the name, a line feed. */
#define TRACE_MAGIC "\211cowtip\n"

enum {
	TRACE_MAGIC_BYTES = 8,
	/** Magic number and version. */
	TRACE_HEADER_BYTES = 10,
	TRACE_VERSION = 4,
	/** A number of 64 bits, seven to the byte. */
	TRACE_NUMBER_BYTES_MAX = 10,
	/** An event's data are folded when all their bytes are equal and as many as this. */
	TRACE_FILL_BYTES_MIN = 64,
	TRACE_FILL_BYTES_MAX = 1 << 18,
};

enum trace_record {
	TRACE_RECORD_BEGIN = 1,
	TRACE_RECORD_WORKLOAD = 2,
	TRACE_RECORD_SETTING = 3,
	TRACE_RECORD_SCHEDULE = 4,
	TRACE_RECORD_FILE = 5,
	TRACE_RECORD_INITIAL = 6,
	TRACE_RECORD_MODULE = 7,
	TRACE_RECORD_STACK = 8,
	TRACE_RECORD_EVENT = 9,
	TRACE_RECORD_FINDING = 10,
	TRACE_RECORD_END = 11,
	TRACE_RECORD_STRICT = 12,
	TRACE_RECORD_FILLED = 13,
};

/** Which fields of an event are not 0 and follow, in this order. */
enum trace_event_field {
	TRACE_EVENT_FILE = 1 << 0,
	TRACE_EVENT_ACTOR = 1 << 1,
	TRACE_EVENT_ID = 1 << 2,
	TRACE_EVENT_RESULT = 1 << 3,
	TRACE_EVENT_PLACE = 1 << 4,
	TRACE_EVENT_LENGTH = 1 << 5,
	TRACE_EVENT_DIGEST = 1 << 6,
	TRACE_EVENT_STACK = 1 << 7,
};

#endif
