// SPDX-License-Identifier: MIT
/** The engine's steps by the names that QEMU's blkdebug has for them, so that a fault can be put
 * where a report says. Only the image itself is spoken of, not its backing files. */
#ifndef ENGINE_QCOW2_EVENTS_H
#define ENGINE_QCOW2_EVENTS_H

#include "injector/fault_rules.h"

#include <stddef.h>

enum qcow2_event {
	QCOW2_L1_UPDATE,
	QCOW2_L1_GROW_ALLOC_TABLE,
	QCOW2_L1_GROW_WRITE_TABLE,
	QCOW2_L1_GROW_ACTIVATE_TABLE,
	QCOW2_L2_LOAD,
	QCOW2_L2_UPDATE,
	QCOW2_READ,
	QCOW2_READ_BACKING,
	QCOW2_READ_COMPRESSED,
	QCOW2_WRITE,
	QCOW2_COW_READ,
	QCOW2_COW_WRITE,
	QCOW2_REFTABLE_LOAD,
	QCOW2_REFBLOCK_LOAD,
	QCOW2_REFBLOCK_UPDATE,
	QCOW2_REFBLOCK_ALLOC,
	QCOW2_REFBLOCK_ALLOC_HOOKUP,
	QCOW2_REFBLOCK_ALLOC_WRITE_BLOCKS,
	QCOW2_REFBLOCK_ALLOC_WRITE_TABLE,
	QCOW2_REFBLOCK_ALLOC_SWITCH_TABLE,
	QCOW2_CLUSTER_ALLOC,
	QCOW2_CLUSTER_FREE,
	QCOW2_FLUSH_TO_OS,
	QCOW2_FLUSH_TO_DISK,
	QCOW2_PWRITEV, /* any write */
};

/** What a name of blkdebug's is to the engine. */
enum qcow2_event_known {
	QCOW2_EVENT_IS_STEP,    /* one of the above */
	QCOW2_EVENT_IS_FOREIGN, /* blkdebug has it, and the engine no step for it */
	QCOW2_EVENT_IS_UNKNOWN,
};

/** Look `name` ("l2_update") up; `*event` is set when it is a step. */
enum qcow2_event_known qcow2_event_find(const char *name, enum qcow2_event *event);

/** The first of its names. A literal. */
const char *qcow2_event_name(enum qcow2_event event);

/** Name number `index`, from 0, with what happens in the step; NULL behind the last. Literals. */
const char *qcow2_event_at(size_t index, const char **about);

/** The engine comes to `event` on `image`, right before the call that makes it. */
#define QCOW2_EVENT(image, event)                                                                  \
	do {                                                                                       \
		if (__builtin_expect(fault_rules_armed, 0) && (image)->depth == 0)                 \
			fault_rules_event(event);                                                  \
	} while (0)

#endif
