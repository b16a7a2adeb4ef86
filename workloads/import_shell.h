// SPDX-License-Identifier: MIT
/** Shell commands as people paste them: a script, one line, or a terminal's contents with prompts.
 * Words, quotes, continued lines, comments, here-documents; nothing is expanded, redirections are
 * left out. */
#ifndef WORKLOADS_IMPORT_SHELL_H
#define WORKLOADS_IMPORT_SHELL_H

#include "traces/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHELL_WORDS_MAX = 256 };

/** One command. Everything is borrowed from the shell_text until the next shell_next(). */
struct shell_command {
	uint32_t line; /* where it begins, from 1 */
	size_t count;
	char *words[SHELL_WORDS_MAX];
	const char *input; /* the here-document's first byte; NULL: none */
	size_t input_bytes;
	uint32_t input_line; /* of its first line */
};

/** A text under way. */
struct shell_text {
	const char *name;      /* borrowed; in messages */
	const char *at, *end;  /* borrowed; what is left */
	uint32_t line;         /* of `at` */
	const char *prompt;    /* only lines that begin with it count; NULL: all do */
	bool is_new_line;      /* `at` is the beginning of a line */
	const char *delimiter; /* of a here-document whose lines are still to come; NULL: none */
	char *storage;         /* owned; words */
	size_t used;
};

/** Begin to read `text` (`byte_count` bytes, borrowed, no zero bytes). A text in which a line
 * begins with "$ " is a terminal's, and all other lines are output. Release with shell_release().
 */
void shell_init(struct shell_text *shell, const char *name, const char *text, size_t byte_count);

/** The next command. `*is_end`: there is none. STATUS_BAD_INPUT with "name:line: what": a quote
 * that is not closed, a command that is too long. */
MUST_USE enum status shell_next(struct shell_text *shell, struct shell_command *command,
				bool *is_end, struct why *why);

/** Free what `shell` owns. */
void shell_release(struct shell_text *shell);

#endif
