// SPDX-License-Identifier: MIT
/** What the parts of the language's parser share. */
#ifndef WORKLOADS_LANGUAGE_PRIVATE_H
#define WORKLOADS_LANGUAGE_PRIVATE_H

#include "workloads/language.h"
#include "workloads/language_words.h"

#include <stdio.h>

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

/** Begin to parse into `workload` (made empty; borrowed), called `name` in messages. */
void parser_init(struct parser *parser, struct workload *workload, const char *name,
		 struct why *why);

/** All lines were taken: check what concerns all of them. STATUS_BAD_INPUT. */
MUST_USE enum status parser_finish(struct parser *parser);

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

/** A rule with blkdebug's defaults. */
void rule_init(struct fault_rule *rule);

/** Set the event of `rule`. `*has_step` is false for an event that blkdebug knows and the engine
 * has no step for. STATUS_BAD_INPUT: nobody knows it. */
MUST_USE enum status rule_take_event(const struct parser *parser, struct fault_rule *rule,
				     const char *name, bool *has_step);

/** Set what `key` of blkdebug's [inject-error] says (`event` is not one of them). STATUS_BAD_INPUT.
 */
MUST_USE enum status rule_take_key(const struct parser *parser, struct fault_rule *rule,
				   const char *key, const char *value);

/** Make it a rule that changes the state. STATUS_BAD_INPUT. */
MUST_USE enum status rule_take_new_state(const struct parser *parser, struct fault_rule *rule,
					 const char *value);

/** Why the rule can do nothing to the engine, a literal; NULL: it can. */
const char *rule_without_effect(const struct fault_rule *rule);

/** Add the rule to the workload. STATUS_BAD_INPUT: there are too many. */
MUST_USE enum status rule_add(const struct parser *parser, const struct fault_rule *rule);

/** Print the rule as a directive, with its newline. */
void rule_print(FILE *to, const struct fault_rule *rule);

/** `#@ inject`, `#@ set-state`. */
MUST_USE enum status directive_inject(struct parser *parser, const struct words *words);
MUST_USE enum status directive_set_state(struct parser *parser, const struct words *words);

/** As strdup(); aborts when memory is short. */
char *text_copy(const char *text);

#endif
