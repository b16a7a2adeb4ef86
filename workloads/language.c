// SPDX-License-Identifier: MIT
/* The workload language: lines, what belongs to the whole text, and where texts come from.
 *
 * A text is parsed in two passes. The first takes it line by line: commands and directives are
 * checked for themselves. The second walks through the commands in the order in which they will
 * run and holds each range against the size that the virtual disk has by then, because that needs
 * `#@ image`, which may stand anywhere. */
#include "workloads/language.h"

#include "workloads/language_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status parser_fail(const struct parser *parser, const char *format, ...)
{
	char what[WHY_BYTES];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	return why_set(parser->why, STATUS_BAD_INPUT, "%.200s:%" PRIu32 ": %.250s", parser->name,
		       parser->line, what);
}

char *text_copy(const char *text)
{
	char *copy = strdup(text);
	if (!copy)
		abort();
	return copy;
}

void command_release(struct workload_command *command)
{
	free(command->pieces);
	free(command->name);
	*command = (struct workload_command){ 0 };
}

enum status parser_add(struct parser *parser, struct command_list *list,
		       struct workload_command *command)
{
	if (*list->count == WORKLOAD_COMMANDS_MAX)
		return parser_fail(parser, "more than %d commands", WORKLOAD_COMMANDS_MAX);
	if (*list->count == list->capacity) {
		size_t capacity = list->capacity ? 2 * list->capacity : 16;
		struct workload_command *grown =
			realloc(*list->commands, capacity * sizeof(*grown));
		if (!grown)
			abort();
		*list->commands = grown;
		list->capacity = capacity;
	}
	command->line = parser->line;
	(*list->commands)[(*list->count)++] = *command;
	return STATUS_OK;
}

/* A comment: the first one that says something is the summary. */
static void take_comment(struct parser *parser, const char *text)
{
	text += strspn(text, "# ");
	if (*text && !parser->workload->summary && strncmp(text, "SPDX-", 5) != 0)
		parser->workload->summary = text_copy(text);
}

/* Parse one line; `line` is changed. */
static enum status parse_line(struct parser *parser, char *line)
{
	struct words words;
	bool is_directive = strncmp(line, "#@", 2) == 0;
	if (line[0] == '#' && !is_directive) {
		take_comment(parser, line);
		return STATUS_OK;
	}
	if (!words_split(&words, is_directive ? line + 2 : line))
		return parser_fail(parser, "more than %d words", WORDS_MAX);
	if (is_directive)
		return parse_directive(parser, &words);
	if (!words.count)
		return STATUS_OK;
	if (words.word[0][0] == '#')
		return parser_fail(parser, "a comment must begin in the first column");
	return parse_command(parser, &parser->script, &words);
}

static enum status parse_lines(struct parser *parser, const char *text, size_t byte_count)
{
	const char *end = text + byte_count;
	enum status status = STATUS_OK;
	while (text < end && status == STATUS_OK) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t line_bytes = (size_t)((newline ? newline : end) - text);
		parser->line++;
		if (memchr(text, 0, line_bytes))
			return parser_fail(parser, "a zero byte: this is no text");
		char *line = strndup(text, line_bytes);
		if (!line)
			abort();
		status = parse_line(parser, line);
		free(line);
		text += line_bytes + 1;
	}
	return status;
}

/* Does `command` stay inside a disk of `*disk_bytes`, which a truncate changes? */
static enum status check_range(struct parser *parser, const struct workload_command *command,
			       uint64_t *disk_bytes)
{
	parser->line = command->line;
	if (command->op == REQUEST_TRUNCATE) {
		if (command->guest_offset < *disk_bytes)
			return parser_fail(parser,
					   "shrinking the image (from %" PRIu64
					   " bytes) is not supported yet",
					   *disk_bytes);
		*disk_bytes = command->guest_offset;
		return STATUS_OK;
	}
	if (command->guest_offset > *disk_bytes ||
	    command->length > *disk_bytes - command->guest_offset)
		return parser_fail(parser,
				   "%" PRIu64 " bytes at %" PRIu64
				   " reach beyond the end of the image, %" PRIu64,
				   command->length, command->guest_offset, *disk_bytes);
	return STATUS_OK;
}

static enum status check_ranges(struct parser *parser)
{
	const struct workload *workload = parser->workload;
	uint64_t disk_bytes = workload->image.size_bytes;
	enum status status = STATUS_OK;
	if (!parser->has_image)
		return parser_fail(parser, "no '#@ image size=...' in the whole text");
	for (size_t i = 0; i < workload->prepare_count && status == STATUS_OK; i++)
		status = check_range(parser, &workload->prepare[i], &disk_bytes);
	for (size_t i = 0; i < workload->command_count && status == STATUS_OK; i++)
		status = check_range(parser, &workload->commands[i], &disk_bytes);
	return status;
}

/* "dir/some-name.qio" is called "some-name". */
static void take_name(struct workload *workload, const char *name)
{
	const char *slash = strrchr(name, '/');
	const char *base = slash ? slash + 1 : name;
	const char *dot = strrchr(base, '.');
	size_t bytes = dot && dot != base ? (size_t)(dot - base) : strlen(base);
	if (bytes >= WORKLOAD_NAME_BYTES)
		bytes = WORKLOAD_NAME_BYTES - 1;
	memcpy(workload->name, base, bytes);
	workload->name[bytes] = 0;
}

void parser_init(struct parser *parser, struct workload *workload, const char *name,
		 struct why *why)
{
	*workload = (struct workload){ .image = { .cluster_bytes = 64 << 10, .version = 3 } };
	*parser = (struct parser){
		.workload = workload,
		.name = name,
		.prepare = { .commands = &workload->prepare, .count = &workload->prepare_count },
		.script = { .commands = &workload->commands, .count = &workload->command_count },
		.why = why,
	};
	take_name(workload, name);
}

enum status parser_finish(struct parser *parser)
{
	struct workload *workload = parser->workload;
	enum status status = check_ranges(parser);
	if (status == STATUS_OK && !workload->summary)
		workload->summary = text_copy("");
	return status;
}

enum status workload_parse(struct workload *workload, const char *name, const char *text,
			   size_t byte_count, struct why *why)
{
	struct parser parser;
	enum status status = STATUS_OK;
	parser_init(&parser, workload, name, why);
	text = byte_count ? text : "";
	if (byte_count > WORKLOAD_TEXT_BYTES_MAX)
		status = parser_fail(&parser, "longer than %d bytes", WORKLOAD_TEXT_BYTES_MAX);
	if (status == STATUS_OK)
		status = parse_lines(&parser, text, byte_count);
	if (status == STATUS_OK)
		status = parser_finish(&parser);
	if (status != STATUS_OK) {
		workload_release(workload);
		return status;
	}
	workload->text = strndup(text, byte_count);
	if (!workload->text)
		abort();
	return STATUS_OK;
}

static bool compresses(const struct workload_command *commands, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (commands[i].compressed)
			return true;
	return false;
}

bool workload_compresses(const struct workload *workload)
{
	return compresses(workload->prepare, workload->prepare_count) ||
	       compresses(workload->commands, workload->command_count);
}

static void release_commands(struct workload_command *commands, size_t count)
{
	for (size_t i = 0; i < count; i++)
		command_release(&commands[i]);
	free(commands);
}

void workload_release(struct workload *workload)
{
	free(workload->text);
	free(workload->summary);
	free(workload->image.backing_path);
	free(workload->image.backing_format);
	release_commands(workload->prepare, workload->prepare_count);
	release_commands(workload->commands, workload->command_count);
	free(workload->policy);
	free(workload->crash);
	free(workload->cache);
	for (size_t i = 0; i < workload->bug_count; i++)
		free(workload->bugs[i]);
	free(workload->bugs);
	free(workload->fault_points);
	for (size_t i = 0; i < workload->expect_count; i++)
		free(workload->expects[i]);
	*workload = (struct workload){ 0 };
}

/* As workload_read_text(), of an open file. */
static enum status read_text(FILE *file, const char *path, char **text, size_t *byte_count,
			     struct why *why)
{
	char *bytes = malloc(WORKLOAD_TEXT_BYTES_MAX + 1);
	if (!bytes)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	*byte_count = fread(bytes, 1, WORKLOAD_TEXT_BYTES_MAX + 1, file);
	if (ferror(file)) {
		free(bytes);
		return why_set(why, STATUS_IO, "cannot read '%s': %s", path, strerror(errno));
	}
	*text = bytes;
	return STATUS_OK;
}

enum status workload_read_text(const char *path, char **text, size_t *byte_count, struct why *why)
{
	FILE *file = fopen(path, "re");
	if (!file)
		return why_set(why, STATUS_IO, "cannot open '%s': %s", path, strerror(errno));
	enum status status = read_text(file, path, text, byte_count, why);
	fclose(file);
	return status;
}

/* The shipped workload called `name`, with or without its leading number. */
static const struct shipped_workload *shipped_find(const char *name)
{
	const struct shipped_workload *shipped = NULL;
	for (size_t i = 0; (shipped = workload_shipped(i)); i++) {
		size_t digits = strspn(shipped->name, "0123456789");
		bool numbered = digits && shipped->name[digits] == '-';
		if (strcmp(shipped->name, name) == 0 ||
		    (numbered && strcmp(shipped->name + digits + 1, name) == 0))
			return shipped;
	}
	return NULL;
}

enum status workload_load(struct workload *workload, const char *name_or_path, struct why *why)
{
	*workload = (struct workload){ 0 };
	FILE *file = fopen(name_or_path, "re");
	if (!file) {
		const struct shipped_workload *shipped = shipped_find(name_or_path);
		if (shipped)
			return workload_parse(workload, shipped->name, shipped->text,
					      strlen(shipped->text), why);
		if (errno != ENOENT)
			return why_set(why, STATUS_IO, "cannot open '%s': %s", name_or_path,
				       strerror(errno));
		return why_set(why, STATUS_BAD_INPUT,
			       "'%s' is neither a file nor a shipped workload (see 'cowtip list "
			       "workloads')",
			       name_or_path);
	}
	char *text = NULL;
	size_t byte_count = 0;
	enum status status = read_text(file, name_or_path, &text, &byte_count, why);
	fclose(file);
	if (status == STATUS_OK)
		status = workload_parse(workload, name_or_path, text, byte_count, why);
	free(text);
	return status;
}
