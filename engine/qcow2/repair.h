// SPDX-License-Identifier: MIT
/** Repair of an image whose dirty bit is set: refcounts and COPIED flags are made what the
 * references say. */
#ifndef ENGINE_QCOW2_REPAIR_H
#define ENGINE_QCOW2_REPAIR_H

#include "engine/qcow2/image.h"

/** Repair a dirty image that has just been opened for writing and that nobody uses yet, and clear
 * its dirty bit. Takes the lock. STATUS_CORRUPT, STATUS_UNSUPPORTED: refused, nothing was written;
 * STATUS_NO_MEMORY, STATUS_IO: the image is still dirty, and the next repair begins anew. */
MUST_USE enum status image_repair(struct qcow2 *image, const char *path, struct why *why);

#endif
