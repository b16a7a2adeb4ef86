// SPDX-License-Identifier: MIT
/** A bundle: a failure in one file, `bug.tar.zst`, with all that is needed to see it again, to read
 * about it, and to hand it on. */
#ifndef WORKLOADS_CLI_BUNDLE_H
#define WORKLOADS_CLI_BUNDLE_H

#include "traces/trace.h"

#include <stdbool.h>

/** What goes in; all borrowed. */
struct bundle {
	const char *name;          /* of its folder and trace: letters, digits, '-' and '_' */
	const struct trace *trace; /* with a finding */
	const char *trace_path;    /* the file that holds it */
	const char *story;         /* for people */
	const char *plain;         /* a script that does without cowtip; NULL: none */
};

/** Write `path`: a tar archive, compressed with zstd; equal bundles give equal files. The crash
 * image is left out, and `*has_image` false, when it is too large to be handed on. STATUS_IO,
 * STATUS_NO_MEMORY. */
MUST_USE enum status bundle_write(const struct bundle *bundle, const char *path, bool *has_image,
				  struct why *why);

/** Does the file's name say that it is a bundle? */
bool bundle_is_named(const char *path);

/** Read the trace of the bundle at `path` into `trace` (initialised, empty). Trusts nothing in the
 * file. STATUS_FOREIGN: it is no bundle; and what trace_read() says. */
MUST_USE enum status bundle_read_trace(struct trace *trace, const char *path, struct why *why);

#endif
