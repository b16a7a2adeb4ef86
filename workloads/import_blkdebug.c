// SPDX-License-Identifier: MIT
/* A blkdebug configuration: sections of keys.
 *
 *      [inject-error]                      ->  #@ inject l2_update errno=28 once
 *      event = "l2_update"
 *      errno = "28"
 *      once = "on"
 *
 * A rule is complete when its section ends, and is then added or left out. */
#include "traces/memory.h"
#include "workloads/import.h"
#include "workloads/language_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum section { SECTION_NONE, SECTION_INJECT, SECTION_SET_STATE };

struct reader {
	struct import *import; /* borrowed */
	struct parser parser;
	enum section section;
	uint32_t section_line;
	struct fault_rule rule;
	char event[PRINTABLE_BYTES]; /* "": not said */
	bool has_step;
};

/* Without spaces at its ends and one pair of quotes (changed: cut in place). */
static char *bare(char *text)
{
	text = word_trimmed(text);
	size_t bytes = strlen(text);
	if (bytes >= 2 && text[0] == '"' && text[bytes - 1] == '"') {
		text[bytes - 1] = 0;
		text++;
	}
	return text;
}

static enum status end_section(struct reader *reader)
{
	const char *kind = reader->section == SECTION_INJECT ? "inject-error" : "set-state";
	if (reader->section == SECTION_NONE)
		return STATUS_OK;
	reader->parser.line = reader->section_line;
	if (!reader->event[0])
		return parser_fail(&reader->parser, "[%s] without an event", kind);
	if (reader->section == SECTION_SET_STATE && !reader->rule.new_state)
		return parser_fail(&reader->parser, "[set-state] without a new_state");
	const char *why = reader->has_step ? rule_without_effect(&reader->rule)
					   : "the engine has no such step";
	if (!why && reader->rule.sector != FAULT_RULE_ANY_SECTOR)
		import_note(reader->import, reader->parser.name, reader->section_line,
			    "sector %" PRIu64 " is a place in the file: the engine may have "
			    "something else there than the program of the report",
			    reader->rule.sector);
	if (!why)
		return rule_add(&reader->parser, &reader->rule);
	import_note(reader->import, reader->parser.name, reader->section_line,
		    "[%s] at '%s': left out, %s", kind, reader->event, why);
	return STATUS_OK;
}

static enum status begin_section(struct reader *reader, const char *name)
{
	char printable[PRINTABLE_BYTES];
	uint32_t line = reader->parser.line;
	enum status status = end_section(reader);
	if (status != STATUS_OK)
		return status;
	reader->parser.line = reader->section_line = line;
	reader->event[0] = 0;
	rule_init(&reader->rule);
	size_t bytes = strcspn(name, " \t]");
	if (!strchr(name + bytes, ']'))
		return parser_fail(&reader->parser, "'%s': a section ends with ']'",
				   word_printable(printable, name));
	if (bytes == strlen("inject-error") && strncmp(name, "inject-error", bytes) == 0)
		reader->section = SECTION_INJECT;
	else if (bytes == strlen("set-state") && strncmp(name, "set-state", bytes) == 0)
		reader->section = SECTION_SET_STATE;
	else
		return parser_fail(&reader->parser, "unknown section '[%s'",
				   word_printable(printable, name));
	return STATUS_OK;
}

static enum status take_key(struct reader *reader, const char *key, const char *value)
{
	const struct parser *parser = &reader->parser;
	bool sets_state = reader->section == SECTION_SET_STATE;
	char printable[PRINTABLE_BYTES];
	if (reader->section == SECTION_NONE)
		return parser_fail(parser, "a key before the first section");
	if (strcmp(key, "event") == 0) {
		word_printable(reader->event, value);
		return rule_take_event(parser, &reader->rule, value, &reader->has_step);
	}
	if (sets_state && strcmp(key, "new_state") == 0)
		return rule_take_new_state(parser, &reader->rule, value);
	if (sets_state && strcmp(key, "state") != 0)
		return parser_fail(parser, "unknown key '%s' of [set-state]",
				   word_printable(printable, key));
	return rule_take_key(parser, &reader->rule, key, value);
}

/* One line (changed: cut in place). */
static enum status take_line(struct reader *reader, char *line)
{
	char printable[PRINTABLE_BYTES];
	line += strspn(line, " \t\r");
	if (!*line || *line == '#')
		return STATUS_OK;
	if (*line == '[')
		return begin_section(reader, line + 1);
	char *equals = strchr(line, '=');
	if (!equals)
		return parser_fail(&reader->parser, "'%s': a section or key = \"value\" is wanted",
				   word_printable(printable, line));
	*equals = 0;
	return take_key(reader, bare(line), bare(equals + 1));
}

enum status import_blkdebug(struct import *import, const struct import_text *config,
			    struct why *why)
{
	const char *text = config->text;
	struct reader reader = {
		.import = import,
		.parser = { .workload = &import->workload,
			    .name = config->name,
			    .line = config->lines_before,
			    .why = why },
	};
	const char *end = text + config->byte_count;
	enum status status = STATUS_OK;
	while (text < end && status == STATUS_OK) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t bytes = (size_t)((newline ? newline : end) - text);
		reader.parser.line++;
		if (memchr(text, 0, bytes))
			return parser_fail(&reader.parser, "a zero byte: this is no text");
		char *line = memory_text(text, bytes);
		status = take_line(&reader, line);
		free(line);
		text += bytes + 1;
	}
	return status == STATUS_OK ? end_section(&reader) : status;
}
