// SPDX-License-Identifier: MIT
/** What the table in traces/corpus/README.md says of a trace, made of the trace. */
#ifndef TESTS_INTEGRATION_CORPUS_PAGE_H
#define TESTS_INTEGRATION_CORPUS_PAGE_H

#include "traces/trace.h"

enum { CORPUS_CELL_BYTES = 128 };

/** Who ran: "`no-final`", a known bug; "correct", the engine without any; "`qemu-io`"; "invented".
 */
void corpus_subject(char cell[CORPUS_CELL_BYTES], const struct trace *trace);

/** What the first finding takes to show: its crash model, then "fault", "recovery": "`prefix`,
 * `fault`". "" without a finding. */
void corpus_crash(char cell[CORPUS_CELL_BYTES], const struct trace *trace);

#endif
