// SPDX-License-Identifier: MIT
/** Is a file what its recording says? */
#ifndef INJECTOR_RECORD_COMPARE_H
#define INJECTOR_RECORD_COMPARE_H

#include "traces/content.h"

/** Does the regular file at `path` read as `content` does, and has it the same size? As
 *  content_equal(), without loading the file. STATUS_IO with a line in `why`. */
MUST_USE enum status record_compare(const struct content *content, bool *equal,
				    uint64_t *difference, const char *path, struct why *why);

#endif
