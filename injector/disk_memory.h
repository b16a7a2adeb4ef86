// SPDX-License-Identifier: MIT
/** A disk in memory: initial contents that are never changed, and the pages changed since. */
#ifndef INJECTOR_DISK_MEMORY_H
#define INJECTOR_DISK_MEMORY_H

#include "injector/disk.h"
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

/** The present contents. Gives; NULL when memory is short. */
struct content *disk_memory_content(const struct disk_memory *memory);

#endif
