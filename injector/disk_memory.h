// SPDX-License-Identifier: MIT
/** A disk in memory: initial contents that are never changed, and the pages changed since. */
#ifndef INJECTOR_DISK_MEMORY_H
#define INJECTOR_DISK_MEMORY_H

#include "injector/disk.h"
#include "injector/page_hash.h"
#include "traces/content.h"

struct disk_memory;

/** A disk that reads as `initial` (borrowed until disk_memory_free()). Gives; NULL when memory is
 * short. */
struct disk_memory *disk_memory_new(const struct content *initial);
void disk_memory_free(struct disk_memory *memory);

/** The disk to be used; lives as long as `memory`. */
struct disk *disk_memory_disk(struct disk_memory *memory);

/** Back to the initial contents, in time proportional to the pages changed. Keeps the memory for
 * the next run. */
void disk_memory_rewind(struct disk_memory *memory);

/** Keep an undo log from now on, or stop; either forgets all marks. A rewind forgets them, too. */
void disk_memory_track(struct disk_memory *memory, bool is_tracked);

/** The present moment, to come back to; only while changes are tracked. */
size_t disk_memory_mark(const struct disk_memory *memory);

/** Undo all changes made since `mark`, in time proportional to them; later marks are forgotten. */
void disk_memory_rollback(struct disk_memory *memory, size_t mark);

/** 128-bit hash of the present contents and size: for two states of one disk it is equal iff (but
 * for chance) they read the same. Costs a pass over the pages that changed since it was last asked
 * for. */
struct page_hash disk_memory_hash(struct disk_memory *memory);

/** The present contents. Gives; NULL when memory is short. */
struct content *disk_memory_content(const struct disk_memory *memory);

#endif
