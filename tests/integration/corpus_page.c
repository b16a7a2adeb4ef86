// SPDX-License-Identifier: MIT
#include "tests/integration/corpus_page.h"

#include <stdio.h>
#include <string.h>

void corpus_subject(char cell[CORPUS_CELL_BYTES], const struct trace *trace)
{
	const char *program = trace_setting(trace, "program");
	const char *bug = trace_setting(trace, "bug");
	program = program ? program : trace_setting(trace, "nbd");
	if (program)
		snprintf(cell, CORPUS_CELL_BYTES, "`%.*s`", (int)strcspn(program, " "), program);
	else if (bug)
		snprintf(cell, CORPUS_CELL_BYTES, "`%.100s`", bug);
	else
		snprintf(cell, CORPUS_CELL_BYTES, "%s", *trace->workload ? "correct" : "invented");
}

void corpus_crash(char cell[CORPUS_CELL_BYTES], const struct trace *trace)
{
	bool has_fault = false;
	cell[0] = 0;
	if (!trace->finding_count)
		return;
	for (size_t i = 0; i < trace->log.count; i++)
		has_fault |= trace->log.events[i].kind == EVENT_FAULT;
	bool is_repair = strcmp(trace->findings[0].rule, "repair-converges") == 0;
	snprintf(cell, CORPUS_CELL_BYTES, "`%.20s`%s%s", trace->findings[0].model,
		 has_fault ? ", `fault`" : "", is_repair ? ", `recovery`" : "");
}
