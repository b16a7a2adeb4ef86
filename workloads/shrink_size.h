// SPDX-License-Identifier: MIT
/** How large a workload is. */
#ifndef WORKLOADS_SHRINK_SIZE_H
#define WORKLOADS_SHRINK_SIZE_H

#include "engine/qcow2/qcow2.h"
#include "workloads/language.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** How large a workload is. One is smaller than another if the first field in which they differ is.
 */
struct shrink_size {
	uint64_t requests;   /* commands of the script, aio_flush left out */
	uint64_t waits;      /* aio_flush */
	uint64_t prepared;   /* commands of `#@ prepare` */
	uint64_t bytes;      /* of all ranges together */
	uint64_t disk_bytes; /* the virtual disk, and what it grows by */
	uint64_t unaligned;  /* ends of ranges that are not at a sector's, and beginnings that are
				not  at a cluster's */
	uint64_t options;    /* what is said beyond a plain command or image; see shrink_edit.c */
	uint64_t places;     /* sum of all guest offsets */
};

/** Measure `workload`. */
void shrink_measure(struct shrink_size *size, const struct workload *workload);

/** As memcmp(): below 0 when `a` is smaller. */
int shrink_compare(const struct shrink_size *a, const struct shrink_size *b);

/** How many commands there are: those to prepare, then those of the script. */
size_t shrink_item_count(const struct workload *workload);

/** Number `index` of them. */
struct workload_command *shrink_item_at(const struct workload *workload, size_t index);

/** Is its range one of the disk? */
bool shrink_has_range(const struct workload_command *command);

/** What the workload says, or what holds when it says nothing: the set of crash models, the set of
 * fault kinds, the policy. */
unsigned shrink_models(const struct workload *workload);
unsigned shrink_kinds(const struct workload *workload);
enum qcow2_policy shrink_policy(const struct workload *workload);

/** Their parts of `options`. */
uint64_t shrink_models_weight(unsigned models);
uint64_t shrink_policy_weight(enum qcow2_policy policy);

#endif
