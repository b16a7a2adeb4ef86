// SPDX-License-Identifier: MIT
/** Copy-on-write: fill the parts of a new cluster that no request writes. */
#ifndef ENGINE_QCOW2_COW_H
#define ENGINE_QCOW2_COW_H

#include "engine/qcow2/l2meta.h"

/** Make `region` of `meta` final and copy it from the old contents (C6). Needs the lock, which is
 * released during the I/O. Repeating it is harmless: nobody else writes what is final. 0 or -errno.
 */
int cow_region(struct qcow2 *image, struct l2meta *meta, struct cow_region *region);

#endif
