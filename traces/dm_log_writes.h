// SPDX-License-Identifier: MIT
/** Logs of the Linux kernel's dm-log-writes target, version 1, and of QEMU's blklogwrites driver:
 * in as events of a trace, and out. What is lost on the way is listed in traces/README.md. */
#ifndef TRACES_DM_LOG_WRITES_H
#define TRACES_DM_LOG_WRITES_H

#include "traces/status.h"
#include "traces/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Who wrote a log: what a FLUSH entry promises depends on it. */
enum dm_log_dialect {
	/** Look for what only the kernel writes; without any, QEMU's is taken. */
	DM_LOG_DIALECT_AUTO,
	DM_LOG_DIALECT_KERNEL,
	DM_LOG_DIALECT_QEMU,
};

enum { DM_LOG_SECTOR_BYTES_DEFAULT = 512, DM_LOG_MAGIC_BYTES = 8 };

/** What was found in a log that was read. */
struct dm_log_facts {
	/** As asked for or as found, never AUTO. */
	enum dm_log_dialect dialect;
	/** Nothing in the log told the dialect, and nobody said it. */
	bool dialect_is_guess;
	uint32_t sector_bytes;
	/** Entries that were read. */
	uint64_t entries;
	/** What looks like entries behind those that the super block counts: not read. */
	uint64_t entries_behind;
};

/** What was put into a log that was written, and what of the trace it cannot hold. */
struct dm_log_written {
	/** All entries, marks among them. */
	uint64_t entries;
	/** Operations of other files of the trace: left out. */
	uint64_t other_files;
	/** Truncations to less: the bytes are discarded, the smaller size is lost. */
	uint64_t shrinks;
	/** Writes that a flush of the log makes durable and the flush of the trace did not, because
	 *  they had taken effect when it was submitted and were not completed. */
	uint64_t promised_too_much;
};

/** "auto", "kernel", "qemu". */
const char *dm_log_dialect_name(enum dm_log_dialect dialect);

/** The dialect called `name`; false: there is none. */
bool dm_log_dialect_parse(const char *name, enum dm_log_dialect *dialect);

/** Do these bytes, the beginning of a file, begin a log? */
bool dm_log_is(const void *bytes, size_t byte_count);

/** Read the log at `path` (a file or a block device) and append what it tells to the log of
 * `trace`: I/O on file 0, which the trace has to have and which the log is about. A write is
 * SUBMITTED and has its EFFECT where its entry stands; it is COMPLETED as late as the log allows,
 * right before the next flush, so that a flush covers what the log says it covers and nothing else.
 *  Trusts nothing in the file. STATUS_IO, _NO_MEMORY, _FOREIGN, _NEWER, _CORRUPT; _BAD_INPUT when
 * it has what `dialect` does not know; _UNSUPPORTED when it is too large: the trace is as it was.
 *  STATUS_TRUNCATED: it has the entries before the cut. */
MUST_USE enum status dm_log_read(struct trace *trace, struct dm_log_facts *facts, const char *path,
				 enum dm_log_dialect dialect, struct why *why);

/** A log in memory. All borrowed. */
struct dm_log_bytes {
	const uint8_t *bytes;
	size_t byte_count;
	/** Used in messages. */
	const char *name;
};

/** As dm_log_read(), from memory. */
MUST_USE enum status dm_log_read_memory(struct trace *trace, struct dm_log_facts *facts,
					const struct dm_log_bytes *bytes,
					enum dm_log_dialect dialect, struct why *why);

/** Write what happened to file 0 of `trace` to `path` as the kernel would have logged it, in
 * sectors of `sector_bytes` (a power of two, 512 to 65536): to "<path>.tmp" first, renamed when
 * complete; not synced. Replayed onto the initial contents it gives the final ones, and zeros
 * behind their end. STATUS_IO, STATUS_NO_MEMORY, STATUS_UNSUPPORTED. */
MUST_USE enum status dm_log_write(const struct trace *trace, struct dm_log_written *written,
				  const char *path, uint32_t sector_bytes, struct why *why);

#endif
