// SPDX-License-Identifier: MIT
/** What the clusters of an image are for, as far as a reader of a story wants to know it. Trusts
 * nothing; what makes no sense is left out. It judges nothing: that is the oracle's. */
#ifndef WORKLOADS_CLI_ROLES_H
#define WORKLOADS_CLI_ROLES_H

#include "traces/content.h"

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
	uint64_t visited;      /* L2 entries looked at; there is a bound, for images that lie */
	unsigned cluster_bits; /* 0: no qcow2 image */
};

/** Read `content`. */
void roles_read(struct roles *roles, const struct content *content);
void roles_release(struct roles *roles);

/** What the cluster with byte `host_offset` is for; NULL when nothing refers to it. */
const struct role_entry *roles_find(const struct roles *roles, uint64_t host_offset);

/** "L2 table", "refcount block", ... */
const char *role_name(enum role role);

/** The class of style sheets: "l2", "refs", ... */
const char *role_class_name(enum role role);

#endif
