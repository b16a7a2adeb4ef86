// SPDX-License-Identifier: MIT
/** What the two halves of telling a story share. */
#ifndef WORKLOADS_CLI_STORY_PRIVATE_H
#define WORKLOADS_CLI_STORY_PRIVATE_H

#include "workloads/cli/roles.h"
#include "workloads/cli/story.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** How much a reader misses a line. */
enum weight { WEIGHT_WAIT, WEIGHT_FLUSH, WEIGHT_LITTLE, WEIGHT_USUAL, WEIGHT_ALWAYS };

/** A line, and what else is known of it. */
struct line {
	enum weight weight;
	struct story_line line;
	bool is_operation; /* one that changed the image */
};

/** A run being told. */
struct teller {
	const struct trace *trace;
	struct run_roles roles;
	struct line *lines; /* owned */
	size_t count, capacity;
	size_t event;        /* being told */
	bool has_requests;   /* the recording knows what the guest asked for */
	uint64_t operations; /* that changed the image so far */
	/* What the story is about; without a finding all are unknown. */
	const struct trace_finding *finding;
	uint64_t guest_offset; /* what is wrong is wrong there; NOWHERE: unknown */
	uint64_t host_offset;  /* of the cluster; NOWHERE */
	bool is_standstill;    /* waits are what it is about */
};

/** Bytes of a cluster of the image. */
uint64_t teller_cluster_bytes(const struct teller *teller);

/** Is it in the guest cluster that the story is about? */
bool teller_is_the_place(const struct teller *teller, uint64_t guest_offset);

/** Mark the lines that matter most. */
void teller_mark_keys(struct teller *teller);

/** Is `event`, an operation behind the crash, what should have come before it? */
bool teller_is_wanted(const struct teller *teller, const struct event *event);

/** Say where the crash falls in `line`, a buffer of STORY_LINE_BYTES; nothing without one. */
void teller_tell_crash(char *line, const struct teller *teller);

#endif
