// SPDX-License-Identifier: MIT
/** What the two halves of an allocation, the request's and the background's, need of each other. */
#ifndef ENGINE_QCOW2_BACKGROUND_H
#define ENGINE_QCOW2_BACKGROUND_H

#include "engine/qcow2/l2meta.h"

/** Start the background task of `meta`, whose data was written or given up. */
void background_start(struct l2meta *meta);

/** Copy what is to be copied, wait for the children, and, for a root, link. Needs the lock, which
 * is released on the way. 0 or -errno: nothing is linked. */
int background_copy_and_link(struct l2meta *meta);

/** Take `meta` off list A, wake everyone who waited for it, and free it. */
void l2meta_finish(struct l2meta *meta);

/** A child's data and COW are written, or given up: its parent may go on. */
void l2meta_release_parent(struct l2meta *meta);

/** Does guest range [from, to) overlap the allocation? */
bool l2meta_is_in_range(const struct l2meta *meta, uint64_t from, uint64_t to);

#endif
