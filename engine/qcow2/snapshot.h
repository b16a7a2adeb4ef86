// SPDX-License-Identifier: MIT
/** Entries of the snapshot table. */
#ifndef ENGINE_QCOW2_SNAPSHOT_H
#define ENGINE_QCOW2_SNAPSHOT_H

#include <stdint.h>

/** The length of the entry that begins at `at`, of which `room` bytes may belong to the table. -EIO
 * when it is damaged. */
int snapshot_entry_bytes(const uint8_t *at, uint64_t room, uint64_t *bytes);

#endif
