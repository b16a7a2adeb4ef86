// SPDX-License-Identifier: MIT
#include "engine/qcow2/events.h"

#include <string.h>

static const struct {
	const char *name;
	enum qcow2_event event;
} steps[] = {
	{ "l1_update", QCOW2_L1_UPDATE },
	{ "l1_grow_alloc_table", QCOW2_L1_GROW_ALLOC_TABLE },
	{ "l1_grow_write_table", QCOW2_L1_GROW_WRITE_TABLE },
	{ "l1_grow_activate_table", QCOW2_L1_GROW_ACTIVATE_TABLE },
	{ "l2_load", QCOW2_L2_LOAD },
	{ "l2_update", QCOW2_L2_UPDATE },
	{ "read_aio", QCOW2_READ },
	{ "read_backing_aio", QCOW2_READ_BACKING },
	{ "read_compressed", QCOW2_READ_COMPRESSED },
	{ "write_aio", QCOW2_WRITE },
	{ "cow_read", QCOW2_COW_READ },
	{ "cow_write", QCOW2_COW_WRITE },
	{ "reftable_load", QCOW2_REFTABLE_LOAD },
	{ "refblock_load", QCOW2_REFBLOCK_LOAD },
	{ "refblock_update_part", QCOW2_REFBLOCK_UPDATE },
	{ "refblock_update", QCOW2_REFBLOCK_UPDATE },
	{ "refblock_alloc", QCOW2_REFBLOCK_ALLOC },
	{ "refblock_alloc_hookup", QCOW2_REFBLOCK_ALLOC_HOOKUP },
	{ "refblock_alloc_write_blocks", QCOW2_REFBLOCK_ALLOC_WRITE_BLOCKS },
	{ "refblock_alloc_write_table", QCOW2_REFBLOCK_ALLOC_WRITE_TABLE },
	{ "refblock_alloc_switch_table", QCOW2_REFBLOCK_ALLOC_SWITCH_TABLE },
	{ "cluster_alloc", QCOW2_CLUSTER_ALLOC },
	{ "cluster_free", QCOW2_CLUSTER_FREE },
	{ "flush_to_os", QCOW2_FLUSH_TO_OS },
	{ "flush_to_disk", QCOW2_FLUSH_TO_DISK },
	{ "pwritev", QCOW2_PWRITEV },
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
