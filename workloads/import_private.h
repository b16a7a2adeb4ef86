// SPDX-License-Identifier: MIT
/** What was found in a pasted text, before it is a workload. */
#ifndef WORKLOADS_IMPORT_PRIVATE_H
#define WORKLOADS_IMPORT_PRIVATE_H

#include "workloads/import.h"
#include "workloads/language_private.h"

enum { IMAGES_MAX = 32, SESSIONS_MAX = 256 };

/** `qemu-img create`. Owns its texts. */
struct created {
	char *name;
	char *size;    /* NULL: not said */
	char *options; /* "cluster_size=4k lazy_refcounts=on", for `#@ image` */
	char *backing; /* NULL: none */
	char *backing_format;
	bool is_qcow2;
	uint32_t line;
};

/** A command of qemu-io. */
struct session_line {
	uint32_t line;
	char *text;
};

/** `qemu-io`. Owns its texts and lines. */
struct session {
	char *image; /* NULL: it names none */
	char *config;
	const char *cache; /* a literal; NULL: it does not say */
	bool ignores_discards, changes_nothing;
	uint32_t line;
	struct session_line *lines;
	size_t count, capacity;
};

/** All of a text. */
struct script {
	struct import *import; /* borrowed */
	const char *name;      /* borrowed */
	struct parser parser;
	struct import_text config; /* blkdebug's, in a here-document; borrows; text NULL: none */
	struct created images[IMAGES_MAX];
	size_t image_count;
	struct session sessions[SESSIONS_MAX];
	size_t session_count;
};

/** Find the images and sessions in `text` (`byte_count` bytes): shell commands, a session with
 * prompts, or commands alone. STATUS_BAD_INPUT. */
MUST_USE enum status script_read(struct script *script, const char *text, size_t byte_count);

/** The last image of that name that the text creates; NULL: none. */
const struct created *script_find_created(const struct script *script, const char *name);

/** Does it name qemu-io or qemu-img, as shell commands do? */
bool script_names_programs(const char *text, size_t byte_count);

/** Does a line that is no comment hold `word`, or (`at_start`) begin with it? */
bool script_has_word(const char *text, size_t byte_count, const char *word, bool at_start);

/** Free `script` (heap) and what it owns. NULL is allowed. */
void script_free(struct script *script);

#endif
