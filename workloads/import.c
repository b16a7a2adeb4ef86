// SPDX-License-Identifier: MIT
#include "workloads/import.h"

#include "traces/memory.h"
#include "workloads/import_private.h"
#include "workloads/language_print.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOTE_BYTES = 400, NOTES_MAX = 500 };

/* Does the line begin with `word`, spaces aside? */
static bool line_begins(const char *line, const char *end, const char *word)
{
	size_t bytes = strlen(word);
	while (line < end && (*line == ' ' || *line == '\t'))
		line++;
	return (size_t)(end - line) >= bytes && memcmp(line, word, bytes) == 0;
}

enum import_kind import_kind_of(const char *text, size_t byte_count)
{
	static const struct {
		const char *begins;
		enum import_kind kind;
	} rows[] = {
		{ "[inject-error", IMPORT_BLKDEBUG }, { "[set-state", IMPORT_BLKDEBUG },
		{ "[[injection]]", IMPORT_LAZYFS },   { "[faults]", IMPORT_LAZYFS },
		{ "[cache]", IMPORT_LAZYFS },         { "[filesystem]", IMPORT_LAZYFS },
	};
	const char *end = text + byte_count;
	/* A script may hold a configuration, in a here-document. */
	if (script_names_programs(text, byte_count))
		return IMPORT_SCRIPT;
	for (const char *line = text; line < end;) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		const char *stop = newline ? newline : end;
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			if (line_begins(line, stop, rows[i].begins))
				return rows[i].kind;
		line = stop + 1;
	}
	return IMPORT_SCRIPT;
}

void import_note(struct import *import, const char *name, uint32_t line, const char *format, ...)
{
	char text[NOTE_BYTES] =
		"left out with what follows, for there is too much of it to be told";
	va_list arguments;
	if (import->note_count > NOTES_MAX)
		return;
	va_start(arguments, format);
	if (import->note_count++ < NOTES_MAX)
		vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	/* Words of the report: unprintable bytes do not get to a terminal. */
	for (char *at = text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 127)
			*at = '?';
	char *longer = NULL;
	if (asprintf(&longer, "%s%s:%" PRIu32 ": %s\n", import->notes ? import->notes : "", name,
		     line, text) < 0)
		abort();
	free(import->notes);
	import->notes = longer;
}

char *import_print(const struct import *import)
{
	char *body = workload_print(&import->workload);
	char *text = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&text, &bytes);
	if (!to)
		abort();
	/* The first comment is the summary: the notes come behind it. */
	const char *rest = body;
	if (body[0] == '#' && body[1] == ' ') {
		rest = strchr(body, '\n') + 1;
		fprintf(to, "%.*s", (int)(rest - body), body);
	}
	for (const char *note = import->notes ? import->notes : ""; *note;) {
		const char *end = strchr(note, '\n') + 1;
		fprintf(to, "# %.*s", (int)(end - note), note);
		note = end;
	}
	fputs(rest, to);
	if (fclose(to) != 0)
		abort();
	free(body);
	return text;
}

void import_release(struct import *import)
{
	workload_release(&import->workload);
	free(import->notes);
	free(import->config);
	*import = (struct import){ 0 };
}
