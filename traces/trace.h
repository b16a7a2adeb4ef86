// SPDX-License-Identifier: MIT
/** A trace: everything that is needed to judge, show and repeat one run. */
#ifndef TRACES_TRACE_H
#define TRACES_TRACE_H

#include "traces/content.h"
#include "traces/event.h"
#include "traces/schedule.h"
#include "traces/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum trace_format { TRACE_FORMAT_RAW = 1, TRACE_FORMAT_QCOW2 = 2 };

enum {
	TRACE_FILES_MAX = 64,
	/** Return addresses in a stack label. */
	TRACE_FRAMES_MAX = 24,
	TRACE_NO_BACKING = 0xffff,
	TRACE_SETTINGS_MAX = 1024,
	TRACE_MODULES_MAX = 4096,
	TRACE_STACKS_MAX = 65536,
	TRACE_FINDINGS_MAX = 65536,
	TRACE_EVENTS_MAX = 1 << 22,
	/** The first version of the format that says trace_finding.strict_only. */
	TRACE_VERSION_STRICT = 3,
};

/** One file of the run. Backing files are files too, never written. */
struct trace_file {
	/** Owned; as the program named it. */
	char *path;
	/** enum trace_format */
	uint16_t format;
	/** Index of the backing file (which may come later in the list), TRACE_NO_BACKING for none.
	 */
	uint16_t backing;
	/** Owned; contents before the first event. */
	struct content *initial;
	/** Owned; the same of the external data file of this image, when whoever judges has put the
	 * two together (oracle/README.md); NULL otherwise, and always in a stored trace. */
	struct content *external;
};

/** A configuration entry, e.g. "policy" = "cancel". */
struct trace_setting {
	char *key;   /* owned */
	char *value; /* owned */
};

/** An executable or library that stack labels point into. */
struct trace_module {
	char *path;     /* owned */
	char *build_id; /* owned; hex, "" when it has none */
};

/** One return address. */
struct trace_frame {
	/** Index into the trace's modules. */
	uint32_t module;
	/** Relative to the module's load address. */
	uint64_t address;
};

/** A stack label: innermost frame first. */
struct trace_stack {
	/** 1 .. TRACE_FRAMES_MAX */
	uint32_t count;
	struct trace_frame frames[TRACE_FRAMES_MAX];
};

/** What an oracle said of the run when it was recorded. */
struct trace_finding {
	char *rule;     /* owned; e.g. "cow-complete" */
	char *severity; /* owned; corruption, hazard or leak */
	char *message;  /* owned */
	char *model;    /* owned; crash model: none, prefix, torn, ... */
	/** The crash falls after this many operations on the file, counted from 1. */
	uint64_t operation;
	/** Torn: sectors of the next operation that persisted; else 0. */
	uint32_t sector;
	/** UINT64_MAX: does not apply. */
	uint64_t guest_offset;
	/** UINT64_MAX: does not apply. */
	uint64_t host_offset;
	/** Only the strict form of the rule says so. Since version 3. */
	bool strict_only;
};

struct trace {
	/** Owned; "engine", or the command line of a foreign program. */
	char *subject;
	/** Owned; text of the workload, "" for foreign programs. */
	char *workload;
	struct trace_setting *settings;
	size_t setting_count;
	struct schedule schedule;
	struct trace_file *files;
	size_t file_count;
	struct trace_module *modules;
	size_t module_count;
	/** Label n is stacks[n - 1]. */
	struct trace_stack *stacks;
	size_t stack_count;
	struct event_log log;
	struct trace_finding *findings;
	size_t finding_count;
	/** Its end mark was seen (reader), or will be written (writer). True until a reader finds
	 *  otherwise. */
	bool complete;
	/** Of the format that it was read from; 0: it was not read. */
	uint16_t version;
	/** Room in the lists above. */
	size_t setting_capacity, file_capacity, module_capacity, stack_capacity, finding_capacity;
};

/** An empty trace: subject and workload are "". */
void trace_init(struct trace *trace);

/** Free everything `trace` owns. It may then only be initialised again. */
void trace_release(struct trace *trace);

/** Replace a string that the trace owns by a copy of `text`. Aborts when memory is short. */
void trace_set_text(char **owned, const char *text);

/** Append a setting (copies both). A key may be set only once. */
void trace_add_setting(struct trace *trace, const char *key, const char *value);

/** The value of a setting, borrowed; NULL when absent. */
const char *trace_setting(const struct trace *trace, const char *key);

/** Append a file; takes `initial`. Returns its index. At most TRACE_FILES_MAX. */
uint16_t trace_add_file(struct trace *trace, const char *path, enum trace_format format,
			uint16_t backing, struct content *initial);

/** Exchange the numbers of files `a` and `b` everywhere in the trace. Twice is nothing. Asserts
 * that both exist. */
void trace_swap_files(struct trace *trace, uint16_t a, uint16_t b);

/** The first qcow2 file at or after `*file` that an operation of the log changed. False: there is
 * none. */
bool trace_next_changed_image(const struct trace *trace, uint16_t *file);

/** Append a module, or find the equal one. Returns its index. At most TRACE_MODULES_MAX. */
uint32_t trace_add_module(struct trace *trace, const char *path, const char *build_id);

/** Append a stack, or find the equal one. Returns its label (from 1); 0 ("not recorded") when the
 *  stack has no frames or there are TRACE_STACKS_MAX already. */
uint32_t trace_add_stack(struct trace *trace, const struct trace_stack *stack);

/** Append a copy of `finding` (its strings are copied). */
void trace_add_finding(struct trace *trace, const struct trace_finding *finding);

/** Contents of file `file` after the last event that changed it: initial contents with every
 *  successful write, resize, zero and punch of the log applied. Gives. NULL when memory is short or
 *  an event makes no sense (see trace_apply(); cannot be when the trace was read from a file). */
struct content *trace_final_content(const struct trace *trace, uint16_t file);

/** As trace_final_content(), but borrows what it can: good until the log grows or the trace goes.
 */
struct content *trace_final_view(const struct trace *trace, uint16_t file);

/** Apply one IO_EFFECT event of `log` to `content`. Other events and failed I/O change nothing.
 *  IO_WRITE: the first `result` bytes of the event's data; IO_RESIZE, IO_ZERO, IO_PUNCH,
 *  IO_ALLOCATE: when `result` is not negative. STATUS_CORRUPT: a write without its data, or a range
 *  beyond 2^63-1; nothing is changed then. STATUS_NO_MEMORY leaves a prefix stored. */
MUST_USE enum status trace_apply(struct content *content, const struct event_log *log,
				 const struct event *event);

/** Write `trace` to `path`: to "<path>.tmp" first, renamed when complete; no end mark unless
 *  `trace->complete`. What cannot be read back is refused: STATUS_CORRUPT says what is wrong with
 *  the trace. STATUS_IO with a line in `why`. */
MUST_USE enum status trace_write(const struct trace *trace, const char *path, struct why *why);

/** Read `path` into `trace` (initialised, empty). Trusts nothing in the file.
 *  STATUS_FOREIGN, _NEWER, _CORRUPT, _IO, _NO_MEMORY: `trace` is empty again.
 *  STATUS_TRUNCATED: `trace` holds the good prefix, `complete` is false. */
MUST_USE enum status trace_read(struct trace *trace, const char *path, struct why *why);

/** As trace_read(), from memory; `name` is used in messages. For fuzzing and bundles. */
MUST_USE enum status trace_read_memory(struct trace *trace, const void *bytes, size_t byte_count,
				       const char *name, struct why *why);

#endif
