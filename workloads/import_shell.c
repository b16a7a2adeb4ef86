// SPDX-License-Identifier: MIT
#include "workloads/import_shell.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PROMPT "$ "

/* A line that continues another shows this prompt. */
#define CONTINUED_PROMPT "> "

#define BLANKS " \t\r"

enum { DELIMITER_BYTES_MAX = 64 };

static bool begins_with(const char *at, const char *end, const char *text)
{
	size_t bytes = strlen(text);
	return (size_t)(end - at) >= bytes && memcmp(at, text, bytes) == 0;
}

static const char *line_end(const char *at, const char *end)
{
	const char *newline = memchr(at, '\n', (size_t)(end - at));
	return newline ? newline : end;
}

void shell_init(struct shell_text *shell, const char *name, const char *text, size_t byte_count)
{
	*shell = (struct shell_text){ .name = name,
				      .at = text,
				      .end = text + byte_count,
				      .line = 1,
				      .is_new_line = true,
				      /* A word is never longer than what it was read from; each
				       * has a 0 behind it where a separator was. */
				      .storage = malloc(byte_count + SHELL_WORDS_MAX + 1) };
	if (!shell->storage)
		abort();
	for (const char *at = text; at < shell->end;) {
		const char *stop = line_end(at, shell->end);
		while (at < stop && *at == ' ')
			at++;
		if (begins_with(at, stop, PROMPT))
			shell->prompt = PROMPT;
		at = stop + (stop < shell->end);
	}
}

void shell_release(struct shell_text *shell)
{
	free(shell->storage);
}

static void end_line(struct shell_text *shell)
{
	shell->at++;
	shell->line++;
	shell->is_new_line = true;
}

static enum status fail(const struct shell_text *shell, uint32_t line, const char *what,
			struct why *why)
{
	return why_set(why, STATUS_BAD_INPUT, "%s:%" PRIu32 ": %s", shell->name, line, what);
}

/* At the beginning of a line: step over the prompt, or over all of the line if it has none. */
static void take_prompt(struct shell_text *shell)
{
	shell->is_new_line = false;
	if (!shell->prompt)
		return;
	const char *at = shell->at;
	while (at < shell->end && *at == ' ')
		at++;
	if (begins_with(at, shell->end, shell->prompt))
		shell->at = at + strlen(shell->prompt);
	else
		shell->at = line_end(shell->at, shell->end);
}

static void put(struct shell_text *shell, char byte)
{
	shell->storage[shell->used++] = byte;
}

/* "\" and a newline: the line goes on. */
static bool take_continuation(struct shell_text *shell)
{
	if (!begins_with(shell->at, shell->end, "\\\n"))
		return false;
	shell->at += 2;
	shell->line++;
	if (shell->prompt && begins_with(shell->at, shell->end, CONTINUED_PROMPT))
		shell->at += strlen(CONTINUED_PROMPT);
	return true;
}

/* What stands between two quotes; `at` is the first of them. */
static enum status take_quoted(struct shell_text *shell, struct why *why)
{
	uint32_t line = shell->line;
	char quote = *shell->at++;
	while (shell->at < shell->end && *shell->at != quote) {
		bool escapes = quote == '"' && *shell->at == '\\' && shell->at + 1 < shell->end &&
			       strchr("\"\\$`", shell->at[1]);
		if (quote == '"' && take_continuation(shell))
			continue;
		shell->at += escapes;
		shell->line += *shell->at == '\n';
		put(shell, *shell->at++);
	}
	if (shell->at == shell->end)
		return fail(shell, line, "a quote that is not closed", why);
	shell->at++;
	return STATUS_OK;
}

/* One word, to the next space or operator. Its 0 is put behind it. */
static enum status take_word(struct shell_text *shell, struct why *why)
{
	enum status status = STATUS_OK;
	while (status == STATUS_OK && shell->at < shell->end &&
	       !strchr(BLANKS "\n;|&<>", *shell->at)) {
		if (take_continuation(shell))
			continue;
		if (*shell->at == '\'' || *shell->at == '"') {
			status = take_quoted(shell, why);
			continue;
		}
		shell->at += *shell->at == '\\' && shell->at + 1 < shell->end;
		put(shell, *shell->at++);
	}
	put(shell, 0);
	return status;
}

static void skip_spaces(struct shell_text *shell)
{
	while (shell->at < shell->end && strchr(BLANKS, *shell->at))
		shell->at++;
}

/* "<" or ">" with the word behind it. That of a here-document is kept. */
static enum status take_redirection(struct shell_text *shell, struct why *why)
{
	bool is_here = begins_with(shell->at, shell->end, "<<");
	while (shell->at < shell->end && strchr("<>&", *shell->at))
		shell->at++;
	if (is_here && shell->at < shell->end && *shell->at == '-')
		shell->at++;
	skip_spaces(shell);
	size_t from = shell->used;
	enum status status = take_word(shell, why);
	if (is_here)
		shell->delimiter = shell->storage + from;
	else
		shell->used = from;
	return status;
}

/* The lines up to the delimiter; `at` is behind the line that names it. */
static enum status take_document(struct shell_text *shell, struct shell_command *command,
				 struct why *why)
{
	const char *delimiter = shell->delimiter;
	uint32_t line = shell->line;
	shell->delimiter = NULL;
	command->input = shell->at;
	command->input_line = shell->line;
	while (shell->at < shell->end) {
		const char *stop = line_end(shell->at, shell->end);
		const char *from = shell->at;
		while (from < stop && *from == '\t')
			from++;
		bool is_last = (size_t)(stop - from) == strlen(delimiter) &&
			       memcmp(from, delimiter, (size_t)(stop - from)) == 0;
		if (is_last)
			command->input_bytes = (size_t)(shell->at - command->input);
		shell->at = stop;
		if (stop < shell->end)
			end_line(shell);
		if (is_last)
			return STATUS_OK;
	}
	return fail(shell, line, "a here-document without an end", why);
}

/* Step over what lies between two commands. */
static void skip_to_command(struct shell_text *shell)
{
	while (shell->at < shell->end) {
		if (shell->is_new_line) {
			take_prompt(shell);
			continue;
		}
		if (*shell->at == '#')
			shell->at = line_end(shell->at, shell->end);
		else if (*shell->at == '\n')
			end_line(shell);
		else if (strchr(BLANKS ";|&(){}", *shell->at))
			shell->at++;
		else if (!take_continuation(shell))
			return;
	}
}

/* Is the word that was just read the number in front of a redirection, as in "2>&1"? */
static bool is_descriptor(const struct shell_text *shell, const char *word)
{
	return word[0] && !word[1] && word[0] >= '0' && word[0] <= '9' && shell->at < shell->end &&
	       (*shell->at == '<' || *shell->at == '>');
}

static enum status add_word(struct shell_text *shell, struct shell_command *command,
			    struct why *why)
{
	char *word = shell->storage + shell->used;
	if (command->count == SHELL_WORDS_MAX)
		return fail(shell, command->line, "a command of too many words", why);
	enum status status = take_word(shell, why);
	if (status == STATUS_OK && is_descriptor(shell, word))
		shell->used = (size_t)(word - shell->storage);
	else
		command->words[command->count++] = word;
	return status;
}

enum status shell_next(struct shell_text *shell, struct shell_command *command, bool *is_end,
		       struct why *why)
{
	enum status status = STATUS_OK;
	skip_to_command(shell);
	*command = (struct shell_command){ .line = shell->line };
	*is_end = shell->at == shell->end;
	shell->used = 0;
	while (status == STATUS_OK && shell->at < shell->end && !strchr("\n;|&", *shell->at)) {
		if (strchr(BLANKS, *shell->at))
			shell->at++;
		else if (*shell->at == '#')
			shell->at = line_end(shell->at, shell->end);
		else if (*shell->at == '<' || *shell->at == '>')
			status = take_redirection(shell, why);
		else if (!take_continuation(shell))
			status = add_word(shell, command, why);
	}
	if (status != STATUS_OK || !shell->delimiter)
		return status;
	shell->at = line_end(shell->at, shell->end);
	if (shell->at < shell->end)
		end_line(shell);
	return take_document(shell, command, why);
}
