// SPDX-License-Identifier: MIT
/** A disk that is the real file behind a descriptor. */
#ifndef INJECTOR_DISK_FILE_H
#define INJECTOR_DISK_FILE_H

#include "injector/disk.h"

struct disk_file {
	struct disk disk;
	int descriptor; /* borrowed */
};

/** Borrow `descriptor` as long as `file` is used. */
void disk_file_init(struct disk_file *file, int descriptor);

#endif
