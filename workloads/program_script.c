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

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE_WORD "{image}"

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

/** The word with every {image} replaced by the path. Gives. */
static char *with_image(const char *word, const char *path, bool *was_there)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *stream = open_memstream(&text, &bytes);
	const char *at;

	if (!stream)
		abort();
	for (; (at = strstr(word, IMAGE_WORD)); word = at + strlen(IMAGE_WORD)) {
		fprintf(stream, "%.*s%s", (int)(at - word), word, path);
		*was_there = true;
	}
	fputs(word, stream);
	if (fclose(stream) != 0)
		abort();
	return text;
}

static bool says_ignore(const char *word)
{
	return strcmp(word, "ignore") == 0 || strcmp(word, "off") == 0;
}

/** Was the program told to do nothing of a discard? qemu-io's options -d and --discard. */
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

enum status program_split(struct program *program, struct why *why)
{
	const char *text = program->command;
	char word[WORD_BYTES_MAX];
	bool is_bad = false, has_image = false;
	size_t count = 0;

	program->argv = calloc(COMMAND_WORDS_MAX + 1, sizeof(*program->argv));
	if (!program->argv)
		abort();
	while (count < COMMAND_WORDS_MAX && next_word(&text, word, &is_bad))
		program->argv[count++] = with_image(word, program->image_path, &has_image);
	if (is_bad || !count || *(text + strspn(text, " \t")))
		return why_set(why, STATUS_USAGE,
			       "--program '%.200s': no command line: empty, too long, or a quote "
			       "that is not closed",
			       program->command);
	if (!has_image)
		return why_set(why, STATUS_USAGE,
			       "--program '%.200s': nothing says where the image goes: " IMAGE_WORD
			       " is missing",
			       program->command);
	program->ignores_discards = ignores_discards(program->argv);
	return STATUS_OK;
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

static enum status check_command(const struct program *program, size_t index, struct why *why)
{
	const struct workload *workload = program->workload;
	const struct workload_command *command = &workload->commands[index];

	if (command->op == REQUEST_SNAPSHOT || command->op == REQUEST_SNAPSHOT_APPLY ||
	    command->op == REQUEST_SNAPSHOT_DELETE)
		return why_set(why, STATUS_BAD_INPUT,
			       "%s:%" PRIu32 ": a program cannot be told to make a snapshot: "
			       "qemu-io has no word for it",
			       workload->name, command->line);
	const struct workload_command *twin = find_twin(program, index);
	if (!twin)
		return STATUS_OK;
	return why_set(why, STATUS_BAD_INPUT,
		       "%s:%" PRIu32 ": it may be under way together with line %" PRIu32
		       ", and has the same offset and length: the program's output would not tell "
		       "which of them completed; put an aio_flush between them or change a length",
		       workload->name, command->line, twin->line);
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
		request->text = program_spelled(command);
		/* Older qemu-io have no word for a discard that does not wait. */
		request->waits = !command->is_async || command->waits_for_all ||
				 command->op == REQUEST_DISCARD;
		request->id = is_request ? id++ : 0;
		status = check_command(program, i, why);
	}
	program->close_id = id;
	return status;
}
