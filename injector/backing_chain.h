// SPDX-License-Identifier: MIT
/** The files that back an image, found by its header and brought into a trace. */
#ifndef INJECTOR_BACKING_CHAIN_H
#define INJECTOR_BACKING_CHAIN_H

#include "injector/qcow2_peek.h"
#include "traces/trace.h"

#include <stdbool.h>
#include <stdint.h>

/** Is `content` a qcow2 image? `name` (QCOW2_PEEK_NAME_BYTES) is its backing file's, "" for none.
 */
bool backing_chain_peek(const struct content *content, struct qcow2_peek *peek, char *name);

/** The file of the trace at `path`; TRACE_NO_BACKING when there is none. */
uint16_t backing_chain_find(const struct trace *trace, const char *path);

/** Add to the trace the backing chain that the header in `content` names for its file `file`, with
 *  the contents that those files have now. A chain that the trace has already is not changed, what
 *  is no plain file ends it. STATUS_IO names the file that cannot be read. */
MUST_USE enum status backing_chain_add(struct trace *trace, uint16_t file,
				       const struct content *content, struct why *why);

#endif
