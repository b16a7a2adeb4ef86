// SPDX-License-Identifier: MIT
/* What the program is told: its command line, and the workload's commands as it spells them.
 *
 * The commands are those of the workload but for what is said about output: nothing is quiet,
 * because output is all that tells of completion, and reads print what they read (-v) in place of
 * being compared (-P), because the oracle looks at the bytes themselves.
 *
 * The output names a request by what it did, where, and how much. Two that agree in that and may be
 * under way at a time would be one to us: such a workload is refused. */
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

static void spell(FILE *to, const struct workload_command *command)
{
	const char *prefix = command->is_async ? "aio_" : "";
	/* The asynchronous ones take any number of pieces. */
	const char *many = command->piece_count && !command->is_async ? "v" : "";

	switch (command->op) {
	case REQUEST_READ: fprintf(to, "%sread%s -v", prefix, many); break;
	case REQUEST_WRITE:
		fprintf(to, "%swrite%s%s -P %u", prefix, many, command->compressed ? " -c" : "",
			(unsigned)command->pattern);
		break;
	case REQUEST_WRITE_ZEROES:
		fprintf(to, "%swrite -z%s", prefix, command->unmap ? " -u" : "");
		break;
	case REQUEST_DISCARD: fputs("discard", to); break;
	case REQUEST_FLUSH: fputs(command->waits_for_all ? "aio_flush" : "flush", to); return;
	case REQUEST_TRUNCATE: fprintf(to, "truncate %" PRIu64, command->guest_offset); return;
	case REQUEST_SNAPSHOT:
	case REQUEST_SNAPSHOT_APPLY:
	case REQUEST_SNAPSHOT_DELETE:
	case REQUEST_OPEN:
	case REQUEST_CLOSE: return;
	}
	spell_range(to, command);
}

char *program_spelled(const struct workload_command *command)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *stream = open_memstream(&text, &bytes);

	if (!stream)
		abort();
	spell(stream, command);
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

/** The command before number `index` that may be under way with it and sounds like it; NULL: none.
 */
static const struct workload_command *find_twin(const struct program *program, size_t index)
{
	const struct workload_command *commands = program->workload->commands;

	for (size_t i = index; i-- > 0 && !commands[i].waits_for_all;)
		if (commands[i].is_async && sound_alike(&commands[i], &commands[index]))
			return &commands[i];
	return NULL;
}

enum status program_console_spell(struct program *program, size_t index, struct why *why)
{
	const struct workload *workload = program->workload;
	const struct workload_command *command = &workload->commands[index];
	struct program_request *request = &program->requests[index];

	request->text = program_spelled(command);
	/* Older qemu-io have no word for a discard that does not wait. */
	request->waits |= command->op == REQUEST_DISCARD;
	const struct workload_command *twin = find_twin(program, index);
	if (!twin)
		return STATUS_OK;
	return why_set(why, STATUS_BAD_INPUT,
		       "%s:%" PRIu32 ": it may be under way together with line %" PRIu32
		       ", and has the same offset and length: the program's output would not tell "
		       "which of them completed; put an aio_flush between them or change a length",
		       workload->name, command->line, twin->line);
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
