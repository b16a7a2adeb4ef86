// SPDX-License-Identifier: MIT
/** The engine on real files, one request after the other: what integration tests drive. */
#ifndef TESTS_INTEGRATION_SUBJECT_H
#define TESTS_INTEGRATION_SUBJECT_H

#include "engine/qcow2/qcow2.h"
#include "traces/event.h"

#include <stddef.h>
#include <stdint.h>

/** One request. */
struct subject_step {
	enum request_op op;
	uint64_t guest_offset;
	uint64_t length;
	uint8_t pattern; /* what a write is filled with */
	bool unmap;
	uint8_t *data; /* REQUEST_READ: where the bytes go; borrowed */
};

/** Open `path`, do the steps (each must succeed), close. Returns "" or a line that says what
 * failed; static. */
const char *subject_run(const char *path, enum qcow2_policy policy,
			const struct subject_step *steps, size_t count);

#endif
