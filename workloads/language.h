// SPDX-License-Identifier: MIT
/** The workload language: a qemu-io script with `#@` lines for what qemu-io has no word for. */
#ifndef WORKLOADS_LANGUAGE_H
#define WORKLOADS_LANGUAGE_H

#include "injector/fault_rules.h"
#include "traces/event.h"
#include "traces/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WORKLOAD_NAME_BYTES = 64,
	WORKLOAD_EXPECTS_MAX = 16,
	WORKLOAD_COMMANDS_MAX = 4096,
	WORKLOAD_TEXT_BYTES_MAX = 1 << 20,
	WORKLOAD_PATTERN_BYTES_MAX = 64
				     << 20, /* of a pattern backing file, which lives in memory */
};

enum { WORKLOAD_BACKING_ZEROS_MAX = 4 };

/** Bytes of the disk, from `from` on, not `to`. */
struct workload_range {
	uint64_t from, to;
};

enum workload_backing { WORKLOAD_BACKING_NONE, WORKLOAD_BACKING_PATTERN, WORKLOAD_BACKING_FILE };

/** `#@ image size= cluster_size= backing= compat= lazy_refcounts= backing_fmt= ...` */
struct workload_image {
	uint64_t size_bytes;
	uint32_t cluster_bytes; /* 64 KiB unless given */
	uint32_t version;       /* 3 unless compat=0.10 */
	bool lazy_refcounts;
	enum workload_backing backing;
	char *backing_path;       /* owned; WORKLOAD_BACKING_FILE */
	char *backing_format;     /* owned; "raw" or "qcow2" */
	uint64_t allocate_from;   /* `allocate_from=`: host byte at which the engine begins to
				     allocate */
	uint32_t allocations_max; /* `allocations_max=`: in flight at a time; 0: the engine's own */
	uint64_t backing_bytes; /* `backing_size=`: of the pattern; the image's size unless given */
	struct workload_range backing_zeros[WORKLOAD_BACKING_ZEROS_MAX]; /* `backing_zeros=`: where
									    the pattern has holes */
	size_t backing_zeros_count;
};

/** One command line. */
struct workload_command {
	enum request_op op;
	bool is_async;         /* aio_*: do not wait for it */
	bool waits_for_all;    /* aio_flush: wait for everything outstanding */
	bool unmap;            /* write -z -u */
	bool compressed;       /* write -c */
	bool quiet;            /* -q */
	bool verifies;         /* read -P: complain when the data is not `pattern` */
	uint8_t pattern;       /* -P; 0xcd when not given, as in qemu-io */
	uint64_t guest_offset; /* bytes; REQUEST_TRUNCATE: the new size */
	uint64_t length;       /* bytes in all */
	uint64_t *pieces;      /* owned; writev/readv: lengths, in order; NULL for one piece */
	size_t piece_count;
	char *name;    /* owned; `#@ snapshot NAME`, `-apply`, `-delete` */
	uint32_t line; /* of the text, from 1 */
};

struct workload {
	char name[WORKLOAD_NAME_BYTES]; /* file name without folder and ending */
	char *text;                     /* owned; as read */
	char *summary;                  /* owned; the first comment line, "" when there is none */
	struct workload_image image;
	struct workload_command
		*prepare; /* `#@ prepare COMMAND`: runs before the recording, one after the other */
	size_t prepare_count;
	struct workload_command *commands;
	size_t command_count;
	char *policy; /* owned; NULL: not said */
	char *cache;  /* owned; `#@ cache`: a program's cache mode; NULL: not said */
	char *crash;  /* owned; "prefix,torn"; NULL: not said */
	char **bugs;  /* owned; known bugs switched on by `#@ bug` */
	size_t bug_count;
	bool has_faults;
	uint32_t faults;                          /* `#@ faults K [POINT [KINDS]]` */
	char *fault_points;                       /* owned; pattern; NULL: all */
	unsigned fault_kinds;                     /* set of fault_kind bits; 0: not said, all */
	struct fault_rule rules[FAULT_RULES_MAX]; /* `#@ inject`, `#@ set-state` */
	size_t rule_count;
	bool expects_clean;                  /* `#@ expect clean` */
	char *expects[WORKLOAD_EXPECTS_MAX]; /* owned; rule names of `#@ expect RULE` */
	size_t expect_count;
};

/** Parse `text` (`byte_count` bytes, any bytes); `name` is used in messages. Every mistake is
 * STATUS_BAD_INPUT with "name:line: what". `workload` is empty afterwards on failure. */
MUST_USE enum status workload_parse(struct workload *workload, const char *name, const char *text,
				    size_t byte_count, struct why *why);

/** Read and parse a file, or the shipped workload of that name (a file wins). */
MUST_USE enum status workload_load(struct workload *workload, const char *name_or_path,
				   struct why *why);

/** Read the text file `path`, at most a byte more than a workload may have. Gives `*text`; free().
 * STATUS_IO. */
MUST_USE enum status workload_read_text(const char *path, char **text, size_t *byte_count,
					struct why *why);

/** Does it compress, so that its image takes the reference tools (program_prepare())? */
bool workload_compresses(const struct workload *workload);

/** Free what `workload` owns; it is empty afterwards. */
void workload_release(struct workload *workload);

/** The shipped workloads, in the order in which the suite runs them. NULL beyond the last. */
struct shipped_workload {
	const char *name;
	const char *text;
};
const struct shipped_workload *workload_shipped(size_t index);

#endif
