// SPDX-License-Identifier: MIT
#include "tests/integration/silence.h"

#include "tests/integration/shell.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const char head[] = "| rule | the verdict says | why `qemu-img check` says nothing |\n"
			   "| --- | --- | --- |\n";

/* The next cell of a row, without the spaces and back-quotes around it. False: no more. */
static bool next_cell(const char **row, char *cell, size_t cell_bytes)
{
	const char *from = *row + strspn(*row, "| `");
	size_t bytes = strcspn(from, "|\n");
	*row = from + bytes;
	while (bytes > 0 && strchr(" `", from[bytes - 1]))
		bytes--;
	ck_assert_msg(bytes < cell_bytes, "tests/README.md: a long cell: '%.200s'", from);
	memcpy(cell, from, bytes);
	cell[bytes] = '\0';
	return bytes > 0;
}

static void add_row(struct silence *silence, const char *row)
{
	struct silence_class *class = &silence->classes[silence->count++];
	char rule[64], reason[1024];
	const char *at = row;
	ck_assert_uint_lt(silence->count, SILENCE_CLASSES_MAX);
	bool is_whole = next_cell(&at, rule, sizeof(rule)) &&
			next_cell(&at, class->says, sizeof(class->says)) &&
			next_cell(&at, reason, sizeof(reason));
	ck_assert_msg(is_whole && rule_parse(rule, &class->rule),
		      "tests/README.md: not a rule, what it says, and a reason: '%.200s'", row);
	if (strcmp(class->says, "anything") == 0)
		class->says[0] = '\0';
}

void silence_load(struct silence *silence, const char *path)
{
	size_t bytes = 0;
	char *page = (char *)shell_read_file(path, &bytes);
	ck_assert_msg(page, "%s cannot be read", path);
	page[bytes] = '\0';
	const char *at = strstr(page, head);
	ck_assert_msg(at, "%s has no table with this head:\n%s", path, head);
	*silence = (struct silence){ .count = 0 };
	for (at += strlen(head); *at == '|'; at += strcspn(at, "\n") + 1)
		add_row(silence, at);
	free(page);
}

size_t silence_find(const struct silence *silence, const struct verdict *verdict)
{
	for (size_t i = 0; i < silence->count; i++)
		if (silence->classes[i].rule == verdict->rule &&
		    strstr(verdict->message, silence->classes[i].says))
			return i;
	return SILENCE_UNLISTED;
}
