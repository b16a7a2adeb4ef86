// SPDX-License-Identifier: MIT
/** The manual pages and the completions of shells, made from the tables of commands and options and
 * from the texts in `manual/`. */
#ifndef WORKLOADS_CLI_MANUAL_H
#define WORKLOADS_CLI_MANUAL_H

#include "workloads/cli/commands.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/** What there is to write about. Borrowed. */
struct manual {
	const struct command *commands;
	size_t command_count;
};

/** Write the page of command `name`, of cowtip itself when NULL, in roff. False: there is none. */
bool manual_write(FILE *file, const struct manual *manual, const char *name);

/** Write the script for `shell`, "bash" or "zsh". False: another one. */
bool completion_write(FILE *file, const struct manual *manual, const char *shell);

/** The text of the page of command `name` as it stands in `manual/`, or of the rule `rules/<id>` as
 * in the oracle's folder `rules/`; NULL: there is none. Made when the program is built. */
const char *manual_text(const char *name);

#endif
