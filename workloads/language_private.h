// SPDX-License-Identifier: MIT
/** What the parts of the language's parser share. */
#ifndef WORKLOADS_LANGUAGE_PRIVATE_H
#define WORKLOADS_LANGUAGE_PRIVATE_H

#include "workloads/language.h"
#include "workloads/language_words.h"

/** A list of commands under construction. */
struct command_list {
	struct workload_command **commands; /* borrowed: where the workload keeps them */
	size_t *count;                      /* borrowed */
	size_t capacity;
};

struct parser {
	struct workload *workload; /* borrowed */
	const char *name;          /* borrowed; the file's name in messages */
	uint32_t line;             /* the one being parsed, from 1; 0 before the first */
	bool has_image;
	bool has_quit; /* a `quit` was seen: what follows is checked, not run */
	struct command_list prepare, script;
	struct why *why; /* borrowed */
};

/** Store "name:line: ..." in the parser's why; returns STATUS_BAD_INPUT. */
enum status parser_fail(const struct parser *parser, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** Append `command` (takes what it owns; its line is set) to `list`. STATUS_BAD_INPUT when there
 * are too many: `command` is then still the caller's. */
MUST_USE enum status parser_add(struct parser *parser, struct command_list *list,
				struct workload_command *command);

/** Free what a command owns. */
void command_release(struct workload_command *command);

/** Parse one qemu-io command (at least one word) and add it to `list`. */
MUST_USE enum status parse_command(struct parser *parser, struct command_list *list,
				   const struct words *words);

/** Parse the words behind `#@`. */
MUST_USE enum status parse_directive(struct parser *parser, const struct words *words);

/** As strdup(); aborts when memory is short. */
char *text_copy(const char *text);

#endif
