// SPDX-License-Identifier: MIT
/** Reports of others as workloads: what somebody pasted of qemu-io and qemu-img, the faults of a
 * blkdebug configuration. */
#ifndef WORKLOADS_IMPORT_H
#define WORKLOADS_IMPORT_H

#include "workloads/language.h"

enum import_kind {
	IMPORT_SCRIPT,   /* qemu-io commands, or shell commands that begin it; a workload, too */
	IMPORT_BLKDEBUG, /* [inject-error] and [set-state] sections */
	IMPORT_LAZYFS,   /* [[injection]] entries; see import_lazyfs.h */
};

/** What `text` looks like; what is none of the others is a script. */
enum import_kind import_kind_of(const char *text, size_t byte_count);

/** A report on its way to a workload. */
struct import {
	struct workload workload; /* owned; its text is NULL */
	char *notes;              /* owned; what is not carried over or was assumed, a line each:
				     "name:3: what: why"; "" for nothing */
	size_t note_count;
	char *config; /* owned; the blkdebug configuration that the script names and does not hold;
			 NULL: none */
};

/** Read a script: the last qemu-io that changes an image is the workload, what came before it on
 * the same image becomes `#@ prepare`, `qemu-img create` says what the image is. A text with a
 * `#@ image` line is a workload and is taken as it is. `name` is used in messages. Gives what
 * `import` owns: import_release(), also after failure. STATUS_BAD_INPUT with "name:line: what". */
MUST_USE enum status import_script(struct import *import, const char *name, const char *text,
				   size_t byte_count, struct why *why);

/** Part of a file. */
struct import_text {
	const char *name; /* in messages */
	const char *text; /* borrowed */
	size_t byte_count;
	uint32_t lines_before; /* in the file */
};

/** Add the rules of a blkdebug configuration to the workload of `import`. STATUS_BAD_INPUT. */
MUST_USE enum status import_blkdebug(struct import *import, const struct import_text *config,
				     struct why *why);

/** Add a line to the notes. */
void import_note(struct import *import, const char *name, uint32_t line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/** The workload as text, the notes in comments on top. Gives; free(). */
char *import_print(const struct import *import);

/** Free what `import` owns. */
void import_release(struct import *import);

#endif
