// SPDX-License-Identifier: MIT
/** What is left of an image: which guest data can still be reached, and what stands in clusters
 * that are damaged or that nothing refers to. For people who have to rescue one; it judges nothing.
 */
#ifndef WORKLOADS_CLI_SURVEY_H
#define WORKLOADS_CLI_SURVEY_H

#include "oracle/verdict.h"
#include "traces/trace.h"
#include "workloads/cli/json.h"
#include "workloads/cli/roles.h"

#include <stddef.h>
#include <stdint.h>

enum { SURVEY_CLUSTERS_MAX = 64, SURVEY_RANGES_MAX = 64 };

/** What a cluster looks like, whatever it is for. */
enum survey_look {
	LOOK_ZEROS,
	LOOK_HEADER,
	/** Its words could be L1 or L2 entries of this image. */
	LOOK_TABLE,
	/** Its numbers could be refcounts. */
	LOOK_REFCOUNTS,
	/** It holds what a guest cluster holds. */
	LOOK_COPY,
	LOOK_DATA,
	/** It lies beyond the end of the file. */
	LOOK_BEYOND,
};

struct survey_cluster {
	uint64_t host_offset;
	enum role role; /* what the tables say that it is */
	enum survey_look look;
	uint64_t guest_offset; /* LOOK_COPY: of that cluster */
	bool is_orphan;        /* nothing refers to it; else a verdict names it */
};

/** Guest data that cannot be told from what else is there. */
struct survey_range {
	uint64_t guest_offset, bytes;
	const char *why; /* a literal */
};

/** Zero-initialised: nothing. Everything is by value. */
struct survey {
	bool is_readable; /* the header parses; else the rest is 0 */
	uint64_t cluster_bytes;
	uint64_t mapped; /* guest clusters that an L2 entry names */
	uint64_t leaked; /* clusters with a refcount above their references; the caller's to say */
	uint64_t lost;   /* of these, and of those whose table is gone, what cannot be read */
	struct survey_cluster clusters[SURVEY_CLUSTERS_MAX];
	size_t cluster_count;
	uint64_t clusters_left_out; /* orphans and damaged ones beyond the room */
	struct survey_range ranges[SURVEY_RANGES_MAX];
	size_t range_count;
	uint64_t ranges_left_out;
};

/** Look at file 0 of `trace`, of which the oracle said `verdicts`. */
void survey_read(struct survey *survey, const struct trace *trace, const struct verdict *verdicts,
		 size_t verdict_count);

/** Some lines on stdout. */
void survey_print(const struct survey *survey);

/** An object. */
void survey_json(struct json *json, const char *key, const struct survey *survey);

#endif
