// SPDX-License-Identifier: MIT
/** What the clusters of an image are for, as far as a reader of a story wants to know it. Trusts
 * nothing; what makes no sense is left out. It judges nothing: that is the oracle's. */
#ifndef WORKLOADS_CLI_ROLES_H
#define WORKLOADS_CLI_ROLES_H

#include "traces/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum role {
	ROLE_UNKNOWN, /* nothing refers to it */
	ROLE_HEADER,
	ROLE_L1,
	ROLE_L2,
	ROLE_REFTABLE,
	ROLE_REFBLOCK,
	ROLE_DATA,
};

struct role_entry {
	uint64_t cluster; /* host_offset / cluster size */
	enum role role;
	uint64_t guest_offset; /* ROLE_DATA: of the cluster; ROLE_L2: of what its first entry maps;
				  ROLE_REFBLOCK: host offset of what its first entry counts */
};

/** Of one image at one moment. Zero-initialised: knows nothing. */
struct roles {
	struct role_entry *entries; /* owned; by cluster */
	size_t count;
	size_t capacity;
	uint64_t visited;      /* L2 entries looked at */
	bool is_cut;           /* there is a bound, for images that lie: not everything is here */
	unsigned cluster_bits; /* 0: no qcow2 image */
};

/** Read `content`. */
void roles_read(struct roles *roles, const struct content *content);
void roles_release(struct roles *roles);

/** What the cluster with byte `host_offset` is for; NULL when nothing refers to it. */
const struct role_entry *roles_find(const struct roles *roles, uint64_t host_offset);

/** Of the image of a run, file 0, at its two ends. Zero-initialised: knows nothing. */
struct run_roles {
	struct roles before, after;
};

/** Read the image of `trace`; nothing where it has no files. Aborts when the trace cannot be
 * applied to it, which a trace that was read from a file always can. */
void run_roles_read(struct run_roles *roles, const struct trace *trace);
void run_roles_release(struct run_roles *roles);

/** What the cluster with byte `host_offset` is for in the end; or was, if nothing refers to it
 * then. What will be a table was meant to be one when it was first written. NULL: it is never
 * known. */
const struct role_entry *run_roles_find(const struct run_roles *roles, uint64_t host_offset);

/** "L2 table", "refcount block", ... */
const char *role_name(enum role role);

/** The class of style sheets: "l2", "refs", ... */
const char *role_class_name(enum role role);

#endif
