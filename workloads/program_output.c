// SPDX-License-Identifier: MIT
/* What the program says, as qemu-io says it:
 *
 *      qemu-io> wrote 65536/65536 bytes at offset 0          a write of any kind completed
 *      64 KiB, 1 ops; 00.00 sec (45.651 MiB/sec ...)         of no interest
 *      00000200:  00 00 00 ...  ................             what a read returned, ...
 *      read 32/32 bytes at offset 512                        ... and which
 *      discard 65536/65536 bytes at offset 0
 *      65536,1,0:00:00.00,81517000.330,1243.851              any of these, told -C (`is_terse`)
 *      aio_write failed: Input/output error                  one of that kind: which?
 *
 * Flushes and resizes say nothing when they succeed: they have completed when the program would
 * read its next command.
 *
 * Requests that are called the same (`namesake`) are writes. When one of several has succeeded none
 * has, to us, until all have: a promise that is noted too late is one that nobody is held to. Only
 * what keeps the program from reading on is known to have succeeded when it does read on. When one
 * of several fails, the run is refused. */
#include "workloads/program_private.h"

#include "traces/memory.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMPT "qemu-io> "

enum { DUMP_ROW_BYTES = 16 };

/** An errno whose text is `text`; EIO when there is none. */
static int errno_of(const char *text)
{
	enum { ERRNO_MAX = 134 };

	for (int error = 1; error < ERRNO_MAX; error++) {
		const char *known = strerrordesc_np(error);
		if (known && strcmp(known, text) == 0)
			return error;
	}
	return EIO;
}

static int hex_digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/** Take a row of a dump: "00000200:  00 01 ...". False: it is none. */
static bool take_row(struct program_dump *dump, const char *line)
{
	size_t digits = strspn(line, "0123456789abcdef");
	const char *at = line + digits;

	if (digits < 8 || strncmp(at, ":  ", 3) != 0)
		return false;
	at += 2;
	for (size_t i = 0; i < DUMP_ROW_BYTES; i++, at += 3) {
		if (at[0] != ' ' || !isxdigit((unsigned char)at[1]) ||
		    !isxdigit((unsigned char)at[2]))
			break;
		dump->bytes = memory_grow(dump->bytes, &dump->capacity, dump->byte_count + 1, 1);
		dump->bytes[dump->byte_count++] =
			(uint8_t)(hex_digit(at[1]) << 4 | hex_digit(at[2]));
	}
	return true;
}

static bool has_op(const struct program_request *request, enum request_op spoken)
{
	enum request_op op = request->command->op;

	return op == spoken || (spoken == REQUEST_WRITE && op == REQUEST_WRITE_ZEROES);
}

/** What the output says of a request that has succeeded. */
struct spoken {
	bool is_terse; /* then only the length is known */
	enum request_op op;
	uint64_t done, length, guest_offset;
};

static bool is_spoken_of(const struct program_request *request, const struct spoken *spoken)
{
	const struct workload_command *command = request->command;

	return request->state == REQUEST_OUTSTANDING && request->is_terse == spoken->is_terse &&
	       command->length == spoken->length &&
	       (spoken->is_terse ||
		(has_op(request, spoken->op) && command->guest_offset == spoken->guest_offset));
}

/** The first outstanding request of which the output speaks; SIZE_MAX: none. */
static size_t find_spoken(const struct program *program, const struct spoken *spoken)
{
	for (size_t i = 0; i < program->request_count; i++)
		if (is_spoken_of(&program->requests[i], spoken))
			return i;
	return SIZE_MAX;
}

/** How many requests that are called like `request` are outstanding. */
static size_t count_namesakes(const struct program *program, const struct program_request *request)
{
	size_t count = 0;

	for (size_t i = 0; i < program->request_count; i++)
		count += program->requests[i].namesake == request->namesake &&
			 program->requests[i].state == REQUEST_OUTSTANDING;
	return count;
}

/** When as many have succeeded as are outstanding, it was they. */
static void complete_namesakes(struct program *program, size_t first)
{
	struct program_request *head = &program->requests[first];

	if (!head->told || head->told < count_namesakes(program, head))
		return;
	head->told = 0;
	for (size_t i = first; i < program->request_count; i++)
		if (program->requests[i].namesake == first &&
		    program->requests[i].state == REQUEST_OUTSTANDING)
			program_completed(program, i, 0, NULL, 0);
}

static enum status complete_spoken(struct program *program, const struct spoken *spoken,
				   struct why *why)
{
	size_t index = find_spoken(program, spoken);
	struct program_dump *dump = &program->dump;

	if (index == SIZE_MAX && spoken->is_terse)
		return why_set(why, STATUS_UNSUPPORTED,
			       "the program says that it is done with %" PRIu64
			       " bytes, which it was not asked for",
			       spoken->length);
	if (index == SIZE_MAX || spoken->done != spoken->length)
		return why_set(why, STATUS_UNSUPPORTED,
			       "the program says that it %s %" PRIu64 " of %" PRIu64
			       " bytes at offset %" PRIu64 ", which it was not asked for",
			       request_op_name(spoken->op), spoken->done, spoken->length,
			       spoken->guest_offset);
	const struct program_request *request = &program->requests[index];
	bool is_read = request->command->op == REQUEST_READ;
	if (is_read && dump->byte_count != spoken->length)
		return why_set(why, STATUS_UNSUPPORTED,
			       "the program printed %zu bytes of a read of %" PRIu64,
			       dump->byte_count, spoken->length);
	if (is_read) {
		program_completed(program, index, 0, dump->bytes, dump->byte_count);
	} else {
		program->requests[request->namesake].told++;
		complete_namesakes(program, request->namesake);
	}
	dump->byte_count = 0;
	return STATUS_OK;
}

/** Who says the words of a failure: commands that wait, asynchronous ones. */
enum speaker { SPEAKER_WAITS = 1, SPEAKER_ASYNC = 2 };

/** May a failure of this kind be that of request `index`? */
static bool is_suspect(const struct program *program, size_t index, enum request_op op,
		       unsigned speakers)
{
	const struct program_request *request = &program->requests[index];

	return request->state == REQUEST_OUTSTANDING && has_op(request, op) &&
	       (speakers & (request->waits ? SPEAKER_WAITS : SPEAKER_ASYNC));
}

/** When as many suspects are left as have failed, it was they. */
static void convict(struct program *program)
{
	for (size_t kind = 0; kind < PROGRAM_FAILURES; kind++) {
		struct program_failure *failure = &program->failures[kind];
		size_t suspects = 0;
		for (size_t i = 0; i < program->request_count; i++)
			suspects += (program->requests[i].suspected >> kind & 1) &&
				    program->requests[i].state == REQUEST_OUTSTANDING;
		if (failure->count == 0 || suspects > failure->count)
			continue;
		for (size_t i = 0; i < program->request_count; i++)
			if ((program->requests[i].suspected >> kind & 1) &&
			    program->requests[i].state == REQUEST_OUTSTANDING)
				program_completed(program, i, -failure->error, NULL, 0);
		failure->count = 0;
	}
}

/** One of the outstanding requests of a kind failed. The program does not say which. When it could
 * be several, it shows when the others have completed: until then none of them has. */
static enum status fail_spoken(struct program *program, size_t kind, enum request_op op,
			       unsigned speakers, const char *text, struct why *why)
{
	struct program_failure *failure = &program->failures[kind];
	size_t suspects = 0;

	for (size_t i = 0; i < program->request_count; i++) {
		if (!is_suspect(program, i, op, speakers))
			continue;
		size_t first = program->requests[i].namesake;
		for (size_t k = first; k < i; k++)
			if (program->requests[k].namesake == first &&
			    is_suspect(program, k, op, speakers))
				return why_set(why, STATUS_UNSUPPORTED,
					       "a %s failed (%.80s), and it may be one of several "
					       "of one offset and length",
					       request_op_name(op), text);
		program->requests[i].suspected |= 1u << kind;
		suspects++;
	}
	if (suspects <= failure->count)
		return why_set(why, STATUS_UNSUPPORTED,
			       "a %s failed (%.80s), and none is under way that could have",
			       request_op_name(op), text);
	failure->count++;
	failure->error = errno_of(text);
	return STATUS_OK;
}

/** Take a line that tells of a success. False: it is none. */
static bool take_success(struct program *program, const char *line, enum status *status,
			 struct why *why)
{
	static const struct {
		const char *word;
		enum request_op op;
	} successes[] = { { "wrote", REQUEST_WRITE },
			  { "read", REQUEST_READ },
			  { "discard", REQUEST_DISCARD } };
	struct spoken spoken = { .is_terse = true };
	char word[16];

	if (sscanf(line, "%" SCNu64 ",1,%15[0-9:.],", &spoken.length, word) == 2) {
		spoken.done = spoken.length;
		*status = complete_spoken(program, &spoken, why);
		return true;
	}
	spoken.is_terse = false;
	if (sscanf(line, "%15s %" SCNu64 "/%" SCNu64 " bytes at offset %" SCNu64, word,
		   &spoken.done, &spoken.length, &spoken.guest_offset) != 4)
		return false;
	for (size_t i = 0; i < sizeof(successes) / sizeof(successes[0]); i++) {
		if (strcmp(word, successes[i].word) != 0)
			continue;
		spoken.op = successes[i].op;
		*status = complete_spoken(program, &spoken, why);
		return true;
	}
	return false;
}

/** Take a line that tells of a failure. False: it is none. */
static bool take_failure(struct program *program, const char *line, enum status *status,
			 struct why *why)
{
	static const struct {
		const char *words;
		enum request_op op;
		unsigned speakers;
	} failures[] = { { "write failed: ", REQUEST_WRITE, SPEAKER_WAITS },
			 { "writev failed: ", REQUEST_WRITE, SPEAKER_WAITS },
			 { "read failed: ", REQUEST_READ, SPEAKER_WAITS },
			 /* aio_read says the same as readv. */
			 { "readv failed: ", REQUEST_READ, SPEAKER_WAITS | SPEAKER_ASYNC },
			 { "discard failed: ", REQUEST_DISCARD, SPEAKER_WAITS },
			 { "aio_write failed: ", REQUEST_WRITE, SPEAKER_ASYNC },
			 { "aio_read failed: ", REQUEST_READ, SPEAKER_ASYNC } };
	_Static_assert(sizeof(failures) / sizeof(failures[0]) == PROGRAM_FAILURES,
		       "a place for each kind");

	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		size_t bytes = strlen(failures[i].words);
		if (strncmp(line, failures[i].words, bytes) != 0)
			continue;
		*status = fail_spoken(program, i, failures[i].op, failures[i].speakers,
				      line + bytes, why);
		return true;
	}
	return false;
}

/** Read one line. */
static enum status take_line(struct program *program, const char *line, struct why *why)
{
	enum status status = STATUS_OK;

	while (strncmp(line, PROMPT, strlen(PROMPT)) == 0)
		line += strlen(PROMPT);
	if (!*line || take_row(&program->dump, line) || take_success(program, line, &status, why) ||
	    take_failure(program, line, &status, why))
		return status;
	if (!strstr(line, " ops; "))
		program_keep_line(program, line);
	return STATUS_OK;
}

void program_failed(struct program *program, bool is_flush)
{
	program->flush_failed |= is_flush;
	if (program->waited_for != SIZE_MAX)
		program->requests[program->waited_for].is_troubled = true;
	program->close_troubled |= program->is_closing;
}

/** A flush says nothing, whatever became of it. It counts as failed when something failed while it
 * was under way, or a flush of the file before: programs refuse flushes from then on, or should. */
static bool may_have_failed(const struct program *program, size_t index)
{
	return program->flush_failed || program->requests[index].is_troubled;
}

/** Whatever kept the program from reading on has ended. */
static enum status complete_silent(struct program *program, struct why *why)
{
	size_t index = program->waited_for;
	const struct program_request *request = &program->requests[index];
	enum request_op op = request->command->op;

	program->waited_for = SIZE_MAX;
	if (request->state != REQUEST_OUTSTANDING)
		return STATUS_OK;
	struct program_request *first = &program->requests[request->namesake];
	if (first->told) {
		first->told--;
		program_completed(program, index, 0, NULL, 0);
		complete_namesakes(program, request->namesake);
		return STATUS_OK;
	}
	if (op != REQUEST_FLUSH && op != REQUEST_TRUNCATE)
		return why_set(why, STATUS_UNSUPPORTED,
			       "the program said nothing of line %" PRIu32 ": '%.*s'%s%s",
			       request->command->line, (int)strlen(request->text) - 1,
			       request->text, program->line[0] ? ", but: " : "", program->line);
	bool failed = op == REQUEST_TRUNCATE ? program->line[0] : may_have_failed(program, index);
	program_completed(program, index, failed ? -EIO : 0, NULL, 0);
	return STATUS_OK;
}

enum status program_console_listen(struct program *program, bool has_ended, enum program_turn *turn,
				   struct why *why)
{
	bool reads_on = !has_ended && program->run.ask.takes_command;
	enum status status = STATUS_OK;
	char *text = program->run.output_bytes ? program->run.output : NULL;

	for (char *line = text; line && *line && status == STATUS_OK;) {
		size_t bytes = strcspn(line, "\n");
		bool is_last = !line[bytes];
		line[bytes] = 0;
		status = take_line(program, line, why);
		line = is_last ? NULL : line + bytes + 1;
	}
	convict(program);
	if (status == STATUS_OK && reads_on && program->waited_for != SIZE_MAX)
		status = complete_silent(program, why);
	/* The first time that it would read, it has opened its image. */
	if (status == STATUS_OK && reads_on)
		program_opened(program);
	*turn = PROGRAM_CHOOSES;
	return status;
}
