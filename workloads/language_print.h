// SPDX-License-Identifier: MIT
/** A workload as text again. */
#ifndef WORKLOADS_LANGUAGE_PRINT_H
#define WORKLOADS_LANGUAGE_PRINT_H

#include "workloads/language.h"

#include <stdio.h>

/** Print all of `workload` that can be parsed again: summary, directives, commands, in a fixed
 * form; `text` and other comments are not looked at. Parsing what is printed and printing it again
 * gives the same. Gives; free(). */
char *workload_print(const struct workload *workload);

/** Print one command as it stands in a script, without the end of the line. */
void workload_print_command(FILE *to, const struct workload_command *command);

#endif
