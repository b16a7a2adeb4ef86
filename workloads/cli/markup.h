// SPDX-License-Identifier: MIT
/** Writing text into XML and HTML. */
#ifndef WORKLOADS_CLI_MARKUP_H
#define WORKLOADS_CLI_MARKUP_H

#include <stdio.h>

/** Write `text` so that it is text, in an element or a quoted attribute: markup is escaped, bytes
 * that are no printable ASCII, new line or tabulator become '?'. */
void markup_text(FILE *file, const char *text);

/** As fprintf(), then markup_text() of what came out (at most 1000 bytes of it). */
void markup_format(FILE *file, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
