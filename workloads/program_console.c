// SPDX-License-Identifier: MIT
/* qemu-io as a face: it reads its commands from its standard input, one line at a time, and says on
 * its output what became of them. */
#include "workloads/program_private.h"

#include <string.h>

static bool says_ignore(const char *word)
{
	return strcmp(word, "ignore") == 0 || strcmp(word, "off") == 0;
}

/** Its options -d and --discard. */
static bool ignores_discards(char *const *argv)
{
	for (size_t i = 1; argv[i]; i++) {
		if (strcmp(argv[i], "-d") == 0 || strcmp(argv[i], "--discard") == 0)
			return argv[i + 1] && says_ignore(argv[i + 1]);
		if (strncmp(argv[i], "--discard=", 10) == 0)
			return says_ignore(argv[i] + 10);
	}
	return false;
}

static enum status read_words(struct program *program, struct why *why)
{
	(void)why;
	program->ignores_discards = ignores_discards(program->argv);
	return STATUS_OK;
}

static void do_nothing(struct program *program)
{
	(void)program;
}

/** Whenever it would read, it takes a command: one that it waits for keeps it from reading. */
static bool takes(const struct program *program)
{
	(void)program;
	return true;
}

static void give(struct program *program, size_t index)
{
	bool is_end = index == program->request_count;

	gated_feed(&program->run, is_end ? NULL : program->requests[index].text);
}

const struct program_face program_console = {
	.option = "--program",
	.setting = "program",
	.no_words = "qemu-io has no word for it",
	.begun = "read a command",
	.read_words = read_words,
	.spell = program_console_spell,
	.begin = do_nothing,
	.end = do_nothing,
	.listen = program_console_listen,
	.takes = takes,
	.give = give,
};
