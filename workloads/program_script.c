// SPDX-License-Identifier: MIT
/* What the program is told: its command line, and the workload's commands as it spells them.
 *
 * The commands are those of the workload but for what is said about output: nothing is quiet,
 * because output is all that tells of completion, and reads print what they read (-v) in place of
 * being compared (-P), because the oracle looks at the bytes themselves.
 *
 * The output names a request by what it did, where, and how much; or, if it was told -C, by how
 * much alone. Of two that agree in the first and may be under way at a time, the second is told -C,
 * so they have two names. If that name is taken, too, they share theirs (program_output.c says what
 * becomes of it), but for reads: what they returned would be nobody's. Such a workload is refused.
 */
#include "workloads/program_private.h"

#include "traces/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE_WORD "{image}"
#define SOCKET_WORD "{socket}"

enum { COMMAND_WORDS_MAX = 256, WORD_BYTES_MAX = 4096 };

/* ---- the command line ---- */

/** Copy the next word of `*text` to `word`; false: there is none, or (`*is_bad`) it makes no sense.
 */
static bool next_word(const char **text, char *word, bool *is_bad)
{
	size_t used = 0;
	char quote = 0;
	const char *at = *text + strspn(*text, " \t");

	if (!*at)
		return false;
	for (; *at && (quote || !strchr(" \t", *at)); at++) {
		bool opens = !quote && (*at == '\'' || *at == '"');
		if (opens)
			quote = *at;
		else if (quote && *at == quote)
			quote = 0;
		else if (used < WORD_BYTES_MAX - 1)
			word[used++] = *at;
		else
			*is_bad = true;
	}
	*is_bad |= quote != 0;
	word[used] = 0;
	*text = at;
	return !*is_bad;
}

/** Replace every `place` in the word by `path`. Takes `word`, gives the result. */
static char *put_path(char *word, const char *place, const char *path, bool *was_there)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *stream = open_memstream(&text, &bytes);
	const char *at, *from = word;

	if (!stream)
		abort();
	for (; (at = strstr(from, place)); from = at + strlen(place)) {
		fprintf(stream, "%.*s%s", (int)(at - from), from, path);
		*was_there = true;
	}
	fputs(from, stream);
	if (fclose(stream) != 0)
		abort();
	free(word);
	return text;
}

/** One word, with the paths that it asks for. Gives. */
static char *with_paths(const struct program *program, const char *word, bool *has_image,
			bool *has_socket)
{
	char *text = memory_text(word, strlen(word));

	text = put_path(text, IMAGE_WORD, program->image_path, has_image);
	return program->face->has_socket
		       ? put_path(text, SOCKET_WORD, program->socket_path, has_socket)
		       : text;
}

enum status program_split(struct program *program, struct why *why)
{
	const struct program_face *face = program->face;
	const char *text = program->command;
	char word[WORD_BYTES_MAX];
	bool is_bad = false, has_image = false, has_socket = !face->has_socket;
	size_t count = 0;

	program->argv = calloc(COMMAND_WORDS_MAX + 1, sizeof(*program->argv));
	if (!program->argv)
		abort();
	while (count < COMMAND_WORDS_MAX && next_word(&text, word, &is_bad))
		program->argv[count++] = with_paths(program, word, &has_image, &has_socket);
	if (is_bad || !count || *(text + strspn(text, " \t")))
		return why_set(why, STATUS_USAGE,
			       "%s '%.200s': no command line: empty, too long, or a quote that is "
			       "not closed",
			       face->option, program->command);
	if (!has_image || !has_socket)
		return why_set(why, STATUS_USAGE,
			       "%s '%.200s': nothing says where the %s goes: %s is missing",
			       face->option, program->command, has_image ? "socket" : "image",
			       has_image ? SOCKET_WORD : IMAGE_WORD);
	return face->read_words(program, why);
}

/* ---- the commands ---- */

static void spell_range(FILE *to, const struct workload_command *command)
{
	fprintf(to, " %" PRIu64, command->guest_offset);
	for (size_t i = 0; i < command->piece_count; i++)
		fprintf(to, " %" PRIu64, command->pieces[i]);
	if (!command->piece_count)
		fprintf(to, " %" PRIu64, command->length);
}

/** The word of a command, with what it needs in front of its range. False: it has no range. */
static bool spell_word(FILE *to, const struct workload_command *command)
{
	const char *prefix = command->is_async ? "aio_" : "";
	/* The asynchronous ones take any number of pieces. */
	const char *many = command->piece_count && !command->is_async ? "v" : "";

	switch (command->op) {
	case REQUEST_READ: fprintf(to, "%sread%s -v", prefix, many); return true;
	case REQUEST_WRITE:
		fprintf(to, "%swrite%s%s -P %u", prefix, many, command->compressed ? " -c" : "",
			(unsigned)command->pattern);
		return true;
	case REQUEST_WRITE_ZEROES:
		fprintf(to, "%swrite -z%s", prefix, command->unmap ? " -u" : "");
		return true;
	case REQUEST_DISCARD: fputs("discard", to); return true;
	case REQUEST_FLUSH: fputs(command->waits_for_all ? "aio_flush" : "flush", to); break;
	case REQUEST_TRUNCATE: fprintf(to, "truncate %" PRIu64, command->guest_offset); break;
	case REQUEST_SNAPSHOT:
	case REQUEST_SNAPSHOT_APPLY:
	case REQUEST_SNAPSHOT_DELETE:
	case REQUEST_OPEN:
	case REQUEST_CLOSE: break;
	}
	return false;
}

char *program_spelled(const struct workload_command *command, bool is_terse)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *stream = open_memstream(&text, &bytes);

	if (!stream)
		abort();
	if (spell_word(stream, command)) {
		fputs(is_terse ? " -C" : "", stream);
		spell_range(stream, command);
	}
	fputc('\n', stream);
	if (fclose(stream) != 0)
		abort();
	return text;
}

/** What the output calls it: all kinds of writes "wrote". */
static enum request_op spoken_op(const struct workload_command *command)
{
	return command->op == REQUEST_WRITE_ZEROES ? REQUEST_WRITE : command->op;
}

static bool sound_alike(const struct workload_command *a, const struct workload_command *b)
{
	return spoken_op(a) == spoken_op(b) && a->guest_offset == b->guest_offset &&
	       a->length == b->length;
}

/** The command before number `index` that may be under way with it and would be called the same, if
 * this one is `is_terse`; SIZE_MAX: none. */
static size_t find_namesake(const struct program *program, size_t index, bool is_terse)
{
	const struct workload_command *commands = program->workload->commands;

	for (size_t i = index; i-- > 0 && !commands[i].waits_for_all;) {
		const struct program_request *request = &program->requests[i];
		if (!request->waits && request->is_terse == is_terse &&
		    (is_terse ? commands[i].length == commands[index].length
			      : sound_alike(&commands[i], &commands[index])))
			return i;
	}
	return SIZE_MAX;
}

enum status program_console_spell(struct program *program, size_t index, struct why *why)
{
	const struct workload *workload = program->workload;
	const struct workload_command *command = &workload->commands[index];
	struct program_request *request = &program->requests[index];
	size_t namesake = find_namesake(program, index, false);

	/* Older qemu-io have no word for a discard that does not wait. */
	request->waits |= command->op == REQUEST_DISCARD;
	request->namesake = index;
	request->is_terse = namesake != SIZE_MAX && find_namesake(program, index, true) == SIZE_MAX;
	request->text = program_spelled(command, request->is_terse);
	if (namesake == SIZE_MAX || request->is_terse)
		return STATUS_OK;
	request->namesake = program->requests[namesake].namesake;
	if (command->op != REQUEST_READ)
		return STATUS_OK;
	return why_set(why, STATUS_BAD_INPUT,
		       "%s:%" PRIu32 ": it may be under way together with line %" PRIu32
		       " and another, and has the same offset and length: the program's output "
		       "would not tell which of them returned what; put an aio_flush between them "
		       "or change a length",
		       workload->name, command->line, workload->commands[namesake].line);
}

static enum status check_snapshot(const struct program *program,
				  const struct workload_command *command, struct why *why)
{
	if (command->op != REQUEST_SNAPSHOT && command->op != REQUEST_SNAPSHOT_APPLY &&
	    command->op != REQUEST_SNAPSHOT_DELETE)
		return STATUS_OK;
	return why_set(why, STATUS_BAD_INPUT,
		       "%s:%" PRIu32 ": a program cannot be told to make a snapshot: %s",
		       program->workload->name, command->line, program->face->no_words);
}

enum status program_spell(struct program *program, struct why *why)
{
	const struct workload *workload = program->workload;
	uint32_t id = PROGRAM_OPEN_ID + 1;
	enum status status = STATUS_OK;

	program->requests = calloc(workload->command_count + 1, sizeof(*program->requests));
	if (!program->requests)
		abort();
	for (size_t i = 0; i < workload->command_count && status == STATUS_OK; i++) {
		const struct workload_command *command = &workload->commands[i];
		struct program_request *request = &program->requests[program->request_count++];
		/* A discard that does nothing is no request: nothing is promised of it. */
		bool is_request = !command->waits_for_all &&
				  !(command->op == REQUEST_DISCARD && program->ignores_discards);
		request->command = command;
		request->waits = !command->is_async || command->waits_for_all;
		request->id = is_request ? id++ : 0;
		status = check_snapshot(program, command, why);
		if (status == STATUS_OK)
			status = program->face->spell(program, i, why);
	}
	program->close_id = id;
	return status;
}
