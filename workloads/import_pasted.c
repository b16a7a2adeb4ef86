// SPDX-License-Identifier: MIT
#include "traces/memory.h"
#include "workloads/import_private.h"
#include "workloads/import_shell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SESSION_PROMPT "qemu-io> "

/* ---- words ---- */

static bool is_program(const char *word, const char *program, const char *variable)
{
	const char *slash = strrchr(word, '/');
	return strcmp(slash ? slash + 1 : word, program) == 0 || strcmp(word, variable) == 0;
}

static void set(char **text, const char *value)
{
	free(*text);
	*text = memory_text(value, strlen(value));
}

/* The argument of option `name` (one letter, or a long name): in the same word or the next one.
 * NULL: this is another option. */
static const char *argument_of(const struct shell_command *command, size_t *index,
			       const char *letter, const char *name)
{
	const char *word = command->words[*index];
	const char *next = *index + 1 < command->count ? command->words[*index + 1] : NULL;
	if (word[0] != '-')
		return NULL;
	bool is_long = word[1] == '-';
	const char *wanted = is_long ? name : letter;
	const char *at = word + 1 + is_long;
	size_t bytes = strlen(wanted);
	if (!bytes || strncmp(at, wanted, bytes) != 0)
		return NULL;
	if (is_long && at[bytes] == '=')
		return at + bytes + 1;
	if (at[bytes])
		return is_long ? NULL : at + bytes;
	*index += next != NULL;
	return next ? next : "";
}

/* ---- qemu-img create ---- */

/* "cluster_size=4k,backing_file=b" (changed: split in place). */
static void take_create_options(struct created *image, char *list)
{
	char *rest = list;
	for (char *option = strsep(&rest, ","); option; option = strsep(&rest, ",")) {
		char *longer = NULL;
		if (strncmp(option, "backing_file=", 13) == 0) {
			set(&image->backing, option + 13);
		} else if (strncmp(option, "backing_fmt=", 12) == 0) {
			set(&image->backing_format, option + 12);
		} else if (strncmp(option, "size=", 5) == 0) {
			set(&image->size, option + 5);
		} else if (*option) {
			if (asprintf(&longer, "%s %s", image->options ? image->options : "",
				     option) < 0)
				abort();
			free(image->options);
			image->options = longer;
		}
	}
}

static void created_release(struct created *image)
{
	free(image->name);
	free(image->size);
	free(image->options);
	free(image->backing);
	free(image->backing_format);
}

static void take_create_words(struct created *image, const struct shell_command *command,
			      size_t index)
{
	for (; index < command->count; index++) {
		const char *argument, *word = command->words[index];
		if ((argument = argument_of(command, &index, "f", "format"))) {
			image->is_qcow2 = strcmp(argument, "qcow2") == 0;
		} else if ((argument = argument_of(command, &index, "o", "options"))) {
			char *list = memory_text(argument, strlen(argument));
			take_create_options(image, list);
			free(list);
		} else if ((argument = argument_of(command, &index, "b", "backing"))) {
			set(&image->backing, argument);
		} else if ((argument = argument_of(command, &index, "F", "backing-format"))) {
			set(&image->backing_format, argument);
		} else if (word[0] == '-') {
			continue; /* -q, -u */
		} else if (!image->name) {
			set(&image->name, word);
		} else {
			set(&image->size, word);
		}
	}
}

static enum status take_create(struct script *script, const struct shell_command *command,
			       size_t index)
{
	struct created image = { .line = command->line };
	script->parser.line = command->line;
	take_create_words(&image, command, index);
	if (!image.name || script->image_count == IMAGES_MAX) {
		created_release(&image);
		return parser_fail(&script->parser, "qemu-img create: %s",
				   script->image_count == IMAGES_MAX ? "too many images"
								     : "no image");
	}
	script->images[script->image_count++] = image;
	return STATUS_OK;
}

const struct created *script_find_created(const struct script *script, const char *name)
{
	for (size_t i = script->image_count; name && i-- > 0;)
		if (strcmp(script->images[i].name, name) == 0)
			return &script->images[i];
	return NULL;
}

/* ---- qemu-io ---- */

static void add_line(struct session *session, uint32_t line, const char *text, size_t bytes)
{
	session->lines = memory_grow(session->lines, &session->capacity, session->count + 1,
				     sizeof(*session->lines));
	session->lines[session->count++] = (struct session_line){ line, memory_text(text, bytes) };
}

/* Each line of [text, text + bytes). */
static void add_lines(struct session *session, uint32_t line, const char *text, size_t bytes)
{
	const char *end = text + bytes;
	for (; text < end; line++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *stop = newline ? newline : end;
		size_t length = (size_t)(stop - text);
		add_line(session, line, text, length - (length && stop[-1] == '\r'));
		text = stop + 1;
	}
}

/* "blkdebug:CONF:IMAGE", "driver=qcow2,file.driver=blkdebug,file.config=CONF,....filename=IMAGE",
 * or a file's name. */
static void take_image_name(struct session *session, const char *word, bool is_options)
{
	const char *colon = strncmp(word, "blkdebug:", 9) == 0 ? strchr(word + 9, ':') : NULL;
	if (colon) {
		free(session->config);
		session->config =
			colon > word + 9 ? memory_text(word + 9, (size_t)(colon - word - 9)) : NULL;
		set(&session->image, colon + 1);
		return;
	}
	if (!is_options) {
		set(&session->image, word);
		return;
	}
	for (const char *at = word; at; at = strchr(at, ',')) {
		at += *at == ',';
		size_t bytes = strcspn(at, ",=");
		const char *value = at + bytes + (at[bytes] == '=');
		char *copy = memory_text(value, strcspn(value, ","));
		if (bytes >= 8 && strncmp(at + bytes - 8, "filename", 8) == 0)
			set(&session->image, copy);
		else if (bytes >= 6 && strncmp(at + bytes - 6, "config", 6) == 0)
			set(&session->config, copy);
		free(copy);
	}
}

static void take_cache(struct script *script, struct session *session, const char *mode)
{
	bool through = strcmp(mode, "writethrough") == 0 || strcmp(mode, "directsync") == 0;
	session->cache = through ? "writethrough" : "writeback";
	if (strcmp(mode, "unsafe") == 0)
		import_note(script->import, script->name, session->line,
			    "-t unsafe: writeback: flushes are flushes here");
}

static void take_session_words(struct script *script, struct session *session,
			       const struct shell_command *command, size_t index)
{
	bool is_options = false;
	for (; index < command->count; index++) {
		const char *argument, *word = command->words[index];
		if ((argument = argument_of(command, &index, "c", "cmd"))) {
			add_lines(session, command->line, argument, strlen(argument));
		} else if ((argument = argument_of(command, &index, "t", "cache"))) {
			take_cache(script, session, argument);
		} else if ((argument = argument_of(command, &index, "d", "discard"))) {
			session->ignores_discards =
				strcmp(argument, "ignore") == 0 || strcmp(argument, "off") == 0;
		} else if (argument_of(command, &index, "f", "format") ||
			   argument_of(command, &index, "i", "aio") ||
			   argument_of(command, &index, "T", "trace") ||
			   argument_of(command, &index, "", "object")) {
			continue;
		} else if (strcmp(word, "-s") == 0 || strcmp(word, "--snapshot") == 0) {
			session->changes_nothing = true;
		} else if (strcmp(word, "-n") == 0 || strcmp(word, "--nocache") == 0) {
			session->cache = "writeback";
		} else if (strcmp(word, "--image-opts") == 0) {
			is_options = true;
		} else if (word[0] != '-') {
			take_image_name(session, word, is_options);
		}
	}
}

static enum status take_session(struct script *script, const struct shell_command *command,
				size_t index)
{
	script->parser.line = command->line;
	if (script->session_count == SESSIONS_MAX)
		return parser_fail(&script->parser, "more than %d times qemu-io", SESSIONS_MAX);
	struct session *session = &script->sessions[script->session_count++];
	*session = (struct session){ .line = command->line };
	take_session_words(script, session, command, index);
	if (command->input)
		add_lines(session, command->input_line, command->input, command->input_bytes);
	return STATUS_OK;
}

/* "A=b sudo qemu-io": how many words stand before the program's name. */
static size_t words_before(const struct shell_command *command)
{
	size_t index = 0;
	while (index < command->count &&
	       (strcmp(command->words[index], "sudo") == 0 || strchr(command->words[index], '=')))
		index++;
	return index;
}

static enum status take_shell_command(struct script *script, const struct shell_command *command)
{
	char printable[PRINTABLE_BYTES];
	size_t index = words_before(command);
	if (index >= command->count)
		return STATUS_OK;
	const char *word = command->words[index];
	bool creates =
		index + 1 < command->count && strcmp(command->words[index + 1], "create") == 0;
	if (is_program(word, "qemu-io", "$QEMU_IO"))
		return take_session(script, command, index + 1);
	if (is_program(word, "qemu-img", "$QEMU_IMG") && creates)
		return take_create(script, command, index + 2);
	bool is_config = command->input &&
			 import_kind_of(command->input, command->input_bytes) == IMPORT_BLKDEBUG;
	if (is_config) { /* cat >blkdebug.conf <<EOF */
		script->config = (struct import_text){ .name = script->name,
						       .text = command->input,
						       .byte_count = command->input_bytes,
						       .lines_before = command->input_line - 1 };
		return STATUS_OK;
	}
	import_note(script->import, script->name, command->line,
		    "'%s%s%s': left out, only qemu-io and 'qemu-img create' are understood",
		    word_printable(printable, word), index + 1 < command->count ? " " : "",
		    index + 1 < command->count ? "..." : "");
	return STATUS_OK;
}

static enum status take_shell(struct script *script, const char *text, size_t byte_count)
{
	struct shell_text shell;
	struct shell_command command;
	bool is_end = false;
	enum status status = STATUS_OK;
	shell_init(&shell, script->name, text, byte_count);
	while (status == STATUS_OK && !is_end) {
		status = shell_next(&shell, &command, &is_end, script->parser.why);
		if (status == STATUS_OK && !is_end && command.count)
			status = take_shell_command(script, &command);
	}
	shell_release(&shell);
	return status;
}

/* ---- which kind of text it is ---- */

/* The lines of [text, text + bytes) that begin with `prompt` (NULL: any), without it and without
 * comments, as one session. */
static void take_commands(struct script *script, const char *text, size_t byte_count,
			  const char *prompt)
{
	struct session *session = &script->sessions[script->session_count++];
	*session = (struct session){ .line = 1, .cache = "writeback" };
	add_lines(session, 1, text, byte_count);
	size_t kept = 0;
	for (size_t i = 0; i < session->count; i++) {
		struct session_line *line = &session->lines[i];
		size_t bytes = prompt ? strlen(prompt) : 0;
		if (prompt && strncmp(line->text, prompt, bytes) != 0) {
			free(line->text);
			continue;
		}
		memmove(line->text, line->text + bytes, strlen(line->text + bytes) + 1);
		session->lines[kept++] = *line;
	}
	session->count = kept;
}

bool script_has_word(const char *text, size_t byte_count, const char *word, bool at_start)
{
	const char *end = text + byte_count;
	for (const char *line = text; line < end;) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		const char *stop = newline ? newline : end;
		const char *found = memmem(line, (size_t)(stop - line), word, strlen(word));
		if (found && (at_start ? found == line : *line != '#'))
			return true;
		line = stop + 1;
	}
	return false;
}

bool script_names_programs(const char *text, size_t byte_count)
{
	static const char *const programs[] = { "qemu-io", "qemu-img", "$QEMU_IO" };
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		if (script_has_word(text, byte_count, programs[i], false))
			return true;
	return false;
}

enum status script_read(struct script *script, const char *text, size_t byte_count)
{
	if (memchr(text, 0, byte_count))
		return parser_fail(&script->parser, "a zero byte: this is no text");
	if (script_has_word(text, byte_count, SESSION_PROMPT, true)) {
		take_commands(script, text, byte_count, SESSION_PROMPT);
		return STATUS_OK;
	}
	if (script_names_programs(text, byte_count))
		return take_shell(script, text, byte_count);
	take_commands(script, text, byte_count, NULL);
	return STATUS_OK;
}

void script_free(struct script *script)
{
	if (!script)
		return;
	for (size_t i = 0; i < script->image_count; i++)
		created_release(&script->images[i]);
	for (size_t i = 0; i < script->session_count; i++) {
		struct session *session = &script->sessions[i];
		for (size_t k = 0; k < session->count; k++)
			free(session->lines[k].text);
		free(session->lines);
		free(session->image);
		free(session->config);
	}
	free(script);
}
