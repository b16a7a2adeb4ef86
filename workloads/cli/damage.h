// SPDX-License-Identifier: MIT
/** What a finding is about, looked at closely: the guest cluster's L1 and L2 entry, its host
 * cluster's refcount, and whose data each sector of it holds. It describes; judging is the
 * oracle's. */
#ifndef WORKLOADS_CLI_DAMAGE_H
#define WORKLOADS_CLI_DAMAGE_H

#include "traces/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A guest cluster in one image. */
struct damage_entry {
	bool is_readable;   /* the header parses, and the tables can be followed up to here */
	uint64_t l1_host;   /* where the L1 entry stands */
	uint64_t l1_entry;  /* its value */
	uint64_t l2_host;   /* where the L2 entry stands; 0: there is no L2 table */
	uint64_t l2_entry;  /* its value */
	uint64_t data_host; /* the cluster that it names; 0: none */
	uint64_t refcount;  /* of that cluster */
	bool is_compressed; /* data_host is no cluster's beginning */
	bool is_zero;
};

/** Whose data a sector holds. */
enum sector_source {
	/** What the guest read there before the run. */
	SOURCE_PREVIOUS,
	/** A request's, which covers the sector. */
	SOURCE_REQUEST,
	/** Zeros, although neither of these. */
	SOURCE_ZEROS,
	/** What lay at this place of the file before the run. */
	SOURCE_STALE,
	/** A request's for another guest sector. */
	SOURCE_STRANGER,
	SOURCE_UNKNOWN,
};

struct damage_sector {
	enum sector_source source;
	uint32_t request;      /* REQUEST, STRANGER */
	bool is_partial;       /* REQUEST: it covers the sector in part */
	uint64_t guest_offset; /* STRANGER: where the data belongs */
};

/** Zero-initialised: nothing. */
struct damage {
	bool has_guest;                         /* the finding names a guest cluster */
	uint64_t guest_offset;                  /* of that cluster */
	uint64_t cluster_bytes;                 /* 0: the image is not readable */
	struct damage_entry before, crash, end; /* the run's beginning, the crash, its end */
	struct damage_sector *sectors; /* owned; of the cluster as it is at the crash; NULL: none */
	size_t sector_count;
	struct why why_no_sectors; /* sectors NULL: "" or why they cannot be told apart */
};

/** Look at what `finding` is about, in `crash` (the image that its crash leaves, or the end of the
 * run). Release with damage_release(). STATUS_NO_MEMORY, STATUS_BAD_INPUT. */
MUST_USE enum status damage_read(struct damage *damage, const struct trace *trace,
				 const struct trace_finding *finding, const struct content *crash,
				 struct why *why);
void damage_release(struct damage *damage);

/** "previous contents", "zeros", ... */
const char *sector_source_name(enum sector_source source);

#endif
