// SPDX-License-Identifier: MIT
/** Refcounts: how many references each host cluster has. */
#ifndef ENGINE_QCOW2_REFCOUNT_H
#define ENGINE_QCOW2_REFCOUNT_H

#include "engine/qcow2/image.h"

/** The refcount of host cluster number `cluster`; 0 where no refcount block covers it. Needs the
 * lock. 0 or -errno. */
int refcount_get(struct qcow2 *image, uint64_t cluster, uint16_t *refcount);

/** Add `delta` (1 or -1) to the refcounts of `clusters` clusters from number `first`. Blocks must
 * exist (refcount_cover()). On failure nothing is changed. Needs the lock. 0, -ERANGE (a count
 * would leave 0..65535: the image is damaged), -errno. */
int refcount_add(struct qcow2 *image, uint64_t first, uint64_t clusters, int delta);

/** Make sure that a refcount block covers host cluster number `cluster`. A missing block is created
 * *in* that very cluster, which it then counts itself: `*taken` says so. The refcount table grows
 * when it must; its new cluster run starts at `cluster` too. Needs the lock. 0 or -errno. */
int refcount_cover(struct qcow2 *image, uint64_t cluster, bool *taken);

#endif
