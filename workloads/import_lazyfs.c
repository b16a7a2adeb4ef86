// SPDX-License-Identifier: MIT
/* What of TOML LazyFS's configurations use: tables, and keys with a string, a number, a truth value
 * or a list of numbers, each on a line of its own. */
#include "workloads/import_lazyfs.h"

#include "traces/memory.h"
#include "workloads/language_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	const char *name; /* borrowed */
	uint32_t line;
	struct lazyfs_entry *entries; /* owned until given */
	size_t count;
	struct lazyfs_entry *entry; /* the one under way, of `entries`; NULL: another table */
	bool has_type, has_timing;
	struct why *why;
};

static enum status fail(const struct reader *reader, uint32_t line, const char *what,
			const char *subject)
{
	char printable[PRINTABLE_BYTES];
	return why_set(reader->why, STATUS_BAD_INPUT, "%s:%" PRIu32 ": %s%s%s", reader->name, line,
		       subject ? word_printable(printable, subject) : "", subject ? ": " : "",
		       what);
}

const char *lazyfs_type_name(enum lazyfs_type type)
{
	switch (type) {
	case LAZYFS_TORN_OP: return "torn-op";
	case LAZYFS_TORN_SEQ: return "torn-seq";
	case LAZYFS_CLEAR_CACHE: return "clear-cache";
	}
	return NULL;
}

/* Cut a comment off; a '#' inside a string is none. */
static void cut_comment(char *line)
{
	char quote = 0;
	for (char *at = line; *at; at++) {
		bool is_quote = *at == '"' || *at == '\'';
		if (!quote && *at == '#') {
			*at = 0;
			return;
		}
		if (!quote && is_quote)
			quote = *at;
		else if (*at == quote)
			quote = 0;
	}
}

static enum status take_string(const struct reader *reader, char *value,
			       char text[LAZYFS_TEXT_BYTES])
{
	size_t bytes = strlen(value);
	bool is_quoted =
		bytes >= 2 && (value[0] == '"' || value[0] == '\'') && value[bytes - 1] == value[0];
	if (!is_quoted || bytes - 2 >= LAZYFS_TEXT_BYTES)
		return fail(reader, reader->line, "a text in quotes is wanted", value);
	memcpy(text, value + 1, bytes - 2);
	text[bytes - 2] = 0;
	return STATUS_OK;
}

static enum status take_number(const struct reader *reader, const char *value, uint64_t *number)
{
	if (count_parse(value, UINT32_MAX, number) && *number)
		return STATUS_OK;
	return fail(reader, reader->line, "a number from 1 on is wanted", value);
}

/* "[1, 4]" (changed: split in place). */
static enum status take_list(const struct reader *reader, char *value, struct lazyfs_list *list)
{
	size_t bytes = strlen(value);
	list->count = 0;
	if (bytes < 2 || value[0] != '[' || value[bytes - 1] != ']')
		return fail(reader, reader->line, "a list of numbers on one line is wanted", value);
	value[bytes - 1] = 0;
	char *rest = value + 1;
	for (char *item = strsep(&rest, ","); item; item = strsep(&rest, ",")) {
		item = word_trimmed(item);
		if (!*item && !rest)
			break; /* a comma at the end */
		if (list->count == LAZYFS_LIST_MAX)
			return fail(reader, reader->line, "a list of more than 64 numbers", NULL);
		enum status status = take_number(reader, item, &list->items[list->count++]);
		if (status != STATUS_OK)
			return status;
	}
	return list->count ? STATUS_OK : fail(reader, reader->line, "an empty list", NULL);
}

static enum status take_type(struct reader *reader, char *value)
{
	char text[LAZYFS_TEXT_BYTES];
	enum status status = take_string(reader, value, text);
	if (status != STATUS_OK)
		return status;
	reader->has_type = true;
	for (int type = LAZYFS_TORN_OP; type <= LAZYFS_CLEAR_CACHE; type++)
		if (strcmp(text, lazyfs_type_name((enum lazyfs_type)type)) == 0) {
			reader->entry->type = (enum lazyfs_type)type;
			return STATUS_OK;
		}
	if (strcmp(text, "clear") == 0) {
		reader->entry->type = LAZYFS_CLEAR_CACHE; /* as its documentation has it */
		return STATUS_OK;
	}
	return fail(reader, reader->line, "torn-op, torn-seq or clear-cache is wanted", text);
}

static enum status take_timing(struct reader *reader, char *value)
{
	char text[LAZYFS_TEXT_BYTES];
	enum status status = take_string(reader, value, text);
	if (status != STATUS_OK)
		return status;
	reader->entry->before = strcmp(text, "before") == 0;
	reader->has_timing = true;
	if (reader->entry->before || strcmp(text, "after") == 0)
		return STATUS_OK;
	return fail(reader, reader->line, "before or after is wanted", text);
}

static enum status take_truth(const struct reader *reader, const char *value, bool *truth)
{
	*truth = strcmp(value, "true") == 0;
	if (*truth || strcmp(value, "false") == 0)
		return STATUS_OK;
	return fail(reader, reader->line, "true or false is wanted", value);
}

static enum status take_key(struct reader *reader, const char *key, char *value)
{
	struct lazyfs_entry *entry = reader->entry;
	char other[LAZYFS_TEXT_BYTES];
	bool ignored = false;
	if (strcmp(key, "type") == 0)
		return take_type(reader, value);
	if (strcmp(key, "file") == 0 || strcmp(key, "from") == 0)
		return take_string(reader, value, entry->file);
	if (strcmp(key, "op") == 0)
		return take_string(reader, value, entry->op);
	if (strcmp(key, "occurrence") == 0)
		return take_number(reader, value, &entry->occurrence);
	if (strcmp(key, "persist") == 0)
		return take_list(reader, value, &entry->persist);
	if (strcmp(key, "parts") == 0)
		return take_number(reader, value, &entry->parts);
	if (strcmp(key, "parts_bytes") == 0)
		return take_list(reader, value, &entry->parts_bytes);
	if (strcmp(key, "timing") == 0)
		return take_timing(reader, value);
	if (strcmp(key, "crash") == 0)
		return take_truth(reader, value, &entry->crashes);
	/* Of renames, and whether the call still returns: neither changes what is on the disk. */
	if (strcmp(key, "to") == 0)
		return take_string(reader, value, other);
	if (strcmp(key, "ret") == 0)
		return take_truth(reader, value, &ignored);
	return fail(reader, reader->line, "unknown key of [[injection]]", key);
}

static int compare(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
	return a < b ? -1 : a > b;
}

/* Is all there that the entry needs? */
static enum status end_entry(struct reader *reader)
{
	struct lazyfs_entry *entry = reader->entry;
	if (!entry)
		return STATUS_OK;
	reader->entry = NULL;
	uint64_t parts = entry->parts ? entry->parts : entry->parts_bytes.count;
	bool is_torn = entry->type != LAZYFS_CLEAR_CACHE;
	qsort(entry->persist.items, entry->persist.count, sizeof(entry->persist.items[0]), compare);
	uint64_t last = entry->persist.count ? entry->persist.items[entry->persist.count - 1] : 0;
	const char *problem = NULL;
	if (!reader->has_type)
		problem = "[[injection]] without a type";
	else if (!entry->file[0])
		problem = "[[injection]] without a file";
	else if (!entry->occurrence)
		problem = "[[injection]] without an occurrence";
	else if (is_torn && !last)
		problem = "[[injection]] without persist";
	else if (entry->type == LAZYFS_TORN_OP &&
		 (entry->parts != 0) == (entry->parts_bytes.count != 0))
		problem = "torn-op wants either parts or parts_bytes";
	else if (entry->type == LAZYFS_TORN_OP && last > parts)
		problem = "torn-op: persist names a part that there is not";
	else if (entry->type == LAZYFS_TORN_SEQ && strcmp(entry->op, "write") != 0)
		problem = "torn-seq wants op = \"write\"";
	else if (!is_torn && (!entry->op[0] || !reader->has_timing))
		problem = "clear-cache wants op and timing";
	return problem ? fail(reader, entry->line, problem, NULL) : STATUS_OK;
}

static enum status begin_table(struct reader *reader, const char *line)
{
	enum status status = end_entry(reader);
	if (status != STATUS_OK || strcmp(line, "[[injection]]") != 0) {
		if (status == STATUS_OK && line[strlen(line) - 1] != ']')
			status = fail(reader, reader->line, "a table ends with ']'", line);
		return status;
	}
	if (reader->count == LAZYFS_ENTRIES_MAX)
		return fail(reader, reader->line, "more than 64 entries", NULL);
	reader->entry = &reader->entries[reader->count++];
	*reader->entry = (struct lazyfs_entry){ .line = reader->line };
	reader->has_type = reader->has_timing = false;
	return STATUS_OK;
}

/* One line (changed: cut in place). */
static enum status take_line(struct reader *reader, char *line)
{
	cut_comment(line);
	line = word_trimmed(line);
	if (!*line)
		return STATUS_OK;
	if (*line == '[')
		return begin_table(reader, line);
	char *equals = strchr(line, '=');
	if (!equals)
		return fail(reader, reader->line, "a table or key = value is wanted", line);
	if (!reader->entry)
		return STATUS_OK;
	*equals = 0;
	return take_key(reader, word_trimmed(line), word_trimmed(equals + 1));
}

enum status lazyfs_read(struct lazyfs_entry **entries, size_t *entry_count, const char *name,
			const char *text, size_t byte_count, struct why *why)
{
	struct reader reader = { .name = name,
				 .why = why,
				 .entries = calloc(LAZYFS_ENTRIES_MAX, sizeof(**entries)) };
	const char *end = text + byte_count;
	enum status status = STATUS_OK;
	if (!reader.entries)
		abort();
	while (text < end && status == STATUS_OK) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t bytes = (size_t)((newline ? newline : end) - text);
		reader.line++;
		char *line = memory_text(text, bytes);
		if (memchr(text, 0, bytes))
			status = fail(&reader, reader.line, "a zero byte: this is no text", NULL);
		else
			status = take_line(&reader, line);
		free(line);
		text += bytes + 1;
	}
	if (status == STATUS_OK)
		status = end_entry(&reader);
	if (status != STATUS_OK) {
		free(reader.entries);
		reader.entries = NULL;
		reader.count = 0;
	}
	*entries = reader.entries;
	*entry_count = reader.count;
	return status;
}
