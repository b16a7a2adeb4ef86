// SPDX-License-Identifier: MIT
#include "engine/qcow2/events.h"

#include <string.h>

static const struct {
	const char *name;
	enum qcow2_event event;
	const char *about;
} steps[] = {
	{ "l1_update", QCOW2_L1_UPDATE, "an L1 entry is written" },
	{ "l1_grow_alloc_table", QCOW2_L1_GROW_ALLOC_TABLE,
	  "room is looked for, for a longer L1 table" },
	{ "l1_grow_write_table", QCOW2_L1_GROW_WRITE_TABLE, "the longer table is written" },
	{ "l1_grow_activate_table", QCOW2_L1_GROW_ACTIVATE_TABLE,
	  "the header gets to point to it" },
	{ "l2_load", QCOW2_L2_LOAD, "an L2 table is read" },
	{ "l2_update", QCOW2_L2_UPDATE, "an L2 table is written back" },
	{ "read_aio", QCOW2_READ, "data is read, for the guest or to be copied" },
	{ "read_backing_aio", QCOW2_READ_BACKING, "the same, from a raw backing file" },
	{ "read_compressed", QCOW2_READ_COMPRESSED, "a compressed cluster is read" },
	{ "write_aio", QCOW2_WRITE, "data of the guest is written" },
	{ "cow_read", QCOW2_COW_READ, "what is copied is read" },
	{ "cow_write", QCOW2_COW_WRITE, "what is copied is written" },
	{ "reftable_load", QCOW2_REFTABLE_LOAD, "the refcount table is read" },
	{ "refblock_load", QCOW2_REFBLOCK_LOAD, "a refcount block is read" },
	{ "refblock_update_part", QCOW2_REFBLOCK_UPDATE, "a refcount block is written back" },
	{ "refblock_update", QCOW2_REFBLOCK_UPDATE, "the same" },
	{ "refblock_alloc", QCOW2_REFBLOCK_ALLOC, "a new refcount block is made" },
	{ "refblock_alloc_hookup", QCOW2_REFBLOCK_ALLOC_HOOKUP,
	  "the refcount table gets to point to it" },
	{ "refblock_alloc_write_blocks", QCOW2_REFBLOCK_ALLOC_WRITE_BLOCKS,
	  "blocks for a longer refcount table are written" },
	{ "refblock_alloc_write_table", QCOW2_REFBLOCK_ALLOC_WRITE_TABLE,
	  "the longer table is written" },
	{ "refblock_alloc_switch_table", QCOW2_REFBLOCK_ALLOC_SWITCH_TABLE,
	  "the header gets to point to it" },
	{ "cluster_alloc", QCOW2_CLUSTER_ALLOC, "clusters are looked for" },
	{ "cluster_free", QCOW2_CLUSTER_FREE, "clusters are given up" },
	{ "flush_to_os", QCOW2_FLUSH_TO_OS, "a flush begins" },
	{ "flush_to_disk", QCOW2_FLUSH_TO_DISK, "the file is flushed" },
	{ "pwritev", QCOW2_PWRITEV, "anything is written, after the event that says what" },
};

/* The engine does not compress, copy tables on their own, write on reading, or shrink. */
static const char *const foreign[] = {
	"l2_update_compressed",
	"l2_alloc_cow_read",
	"l2_alloc_write",
	"write_compressed",
	"vmstate_load",
	"vmstate_save",
	"reftable_grow",
	"reftable_update",
	"refblock_alloc_write",
	"cluster_alloc_bytes",
	"pwritev_rmw_head",
	"pwritev_rmw_after_head",
	"pwritev_rmw_tail",
	"pwritev_rmw_after_tail",
	"pwritev_zero",
	"pwritev_done",
	"empty_image_prepare",
	"l1_shrink_write_table",
	"l1_shrink_free_l2_clusters",
	"cor_write",
	"cluster_alloc_space",
	"none",
};

enum {
	STEP_NAMES = sizeof(steps) / sizeof(steps[0]),
	FOREIGN_NAMES = sizeof(foreign) / sizeof(foreign[0]),
};

enum qcow2_event_known qcow2_event_find(const char *name, enum qcow2_event *event)
{
	for (size_t i = 0; i < STEP_NAMES; i++) {
		if (strcmp(name, steps[i].name) != 0)
			continue;
		*event = steps[i].event;
		return QCOW2_EVENT_IS_STEP;
	}
	for (size_t i = 0; i < FOREIGN_NAMES; i++)
		if (strcmp(name, foreign[i]) == 0)
			return QCOW2_EVENT_IS_FOREIGN;
	return QCOW2_EVENT_IS_UNKNOWN;
}

const char *qcow2_event_name(enum qcow2_event event)
{
	size_t i = 0;
	while (steps[i].event != event)
		i++;
	return steps[i].name;
}

const char *qcow2_event_at(size_t index, const char **about)
{
	if (index >= STEP_NAMES)
		return NULL;
	*about = steps[index].about;
	return steps[index].name;
}
