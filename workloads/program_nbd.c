// SPDX-License-Identifier: MIT
/* An NBD server as a face: we are its only client. The client lives here, in the controller, and
 * moves only while the server is at rest:
 *
 *      server at rest           client: takes replies, requests complete; sends on what did not fit
 *                               nothing moved?  then the choice: the next request, or a held call
 *      "look again"  <-------   the request's bytes are in the socket
 *      polls, reads it ...
 *
 * So a request is there before the server looks, and a reply is taken before the next choice; in
 * which order the kernel carries bytes decides nothing. Where bytes moved the server goes on
 * without a choice, because it may have waited for the room.
 *
 * `aio_flush`, which waits for all requests, is our own affair: the server never hears of it. The
 * end of the commands is the end of the connection. A server that stays is ended by SIGTERM when it
 * rests and nothing is left to be done. */
#include "workloads/nbd_client.h"
#include "workloads/program_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/** qemu-nbd and qemu-storage-daemon ignore discards unless they are told not to. Of another server
 * we take what it says. */
static bool ignores_discards(char *const *argv)
{
	const char *name = last_part(argv[0]);

	if (strcmp(name, "qemu-nbd") != 0 && strcmp(name, "qemu-storage-daemon") != 0)
		return false;
	for (size_t i = 1; argv[i]; i++) {
		const char *said = strstr(argv[i], "discard");
		const char *value = said ? said + strlen("discard") : NULL;
		/* --discard=unmap, --discard unmap, discard=unmap, "discard": "unmap" */
		if (value && !*value && argv[i + 1])
			value = argv[i + 1];
		value = value ? value + strspn(value, "=\":  ") : "";
		if (strncmp(value, "unmap", 5) == 0 || strncmp(value, "on", 2) == 0)
			return false;
	}
	return true;
}

static enum status read_words(struct program *program, struct why *why)
{
	for (size_t i = 1; program->argv[i]; i++)
		if (strcmp(program->argv[i], "--fork") == 0 ||
		    strcmp(program->argv[i], "--daemonize") == 0)
			return why_set(why, STATUS_USAGE,
				       "--nbd '%.200s': '%s': the server must not go into the "
				       "background",
				       program->command, program->argv[i]);
	program->ignores_discards = ignores_discards(program->argv);
	return STATUS_OK;
}

static enum status spell(struct program *program, size_t index, struct why *why)
{
	const struct workload_command *command = &program->workload->commands[index];
	const char *name = program->workload->name;
	bool has_data = command->op == REQUEST_READ || command->op == REQUEST_WRITE;

	if (command->op == REQUEST_TRUNCATE)
		return why_set(why, STATUS_BAD_INPUT,
			       "%s:%" PRIu32 ": a server cannot be told to resize the disk: NBD "
			       "has no word for it",
			       name, command->line);
	if (command->compressed)
		return why_set(why, STATUS_BAD_INPUT,
			       "%s:%" PRIu32
			       ": a server cannot be told to compress: NBD has no word "
			       "for it",
			       name, command->line);
	if (has_data && command->length > NBD_CLIENT_BYTES_MAX)
		return why_set(why, STATUS_BAD_INPUT,
			       "%s:%" PRIu32 ": %" PRIu64 " bytes: NBD moves %d at a time at most",
			       name, command->line, command->length, NBD_CLIENT_BYTES_MAX);
	if (command->op != REQUEST_FLUSH && !command->length)
		return why_set(why, STATUS_BAD_INPUT,
			       "%s:%" PRIu32 ": NBD has no requests of no bytes", name,
			       command->line);
	return STATUS_OK;
}

static void take_reply(void *context, size_t tag, int error, const uint8_t *data, size_t data_bytes)
{
	struct program *program = context;

	program_completed(program, tag, -error, data, data_bytes);
	if (program->waited_for == tag)
		program->waited_for = SIZE_MAX;
}

static void end(struct program *program)
{
	nbd_client_free(program->client);
	program->client = NULL;
}

static void begin(struct program *program)
{
	/* One that was killed left it behind. */
	unlink(program->socket_path);
	end(program);
	program->client = nbd_client_new(program->socket_path, take_reply, program);
	if (!program->client)
		abort();
}

/** The disk's size as the image's header says it. */
static uint64_t disk_bytes(const struct content *image)
{
	enum { SIZE_OFFSET = 24 };
	uint8_t bytes[8];
	uint64_t size = 0;

	content_read(image, bytes, sizeof(bytes), SIZE_OFFSET);
	for (size_t i = 0; i < sizeof(bytes); i++)
		size = size << 8 | bytes[i];
	return size;
}

/** The server has greeted us: is it the right one? */
static enum status check_export(const struct program *program, struct why *why)
{
	const struct workload *workload = program->workload;
	uint64_t bytes = nbd_client_disk_bytes(program->client);
	uint64_t wanted = disk_bytes(program->files.files[0].initial);

	if (bytes != wanted)
		return why_set(why, STATUS_BAD_INPUT,
			       "'%s' serves a disk of %" PRIu64 " bytes, the image's has %" PRIu64
			       ": does it know that it is qcow2?",
			       program->argv[0], bytes, wanted);
	for (size_t i = 0; i < program->request_count; i++) {
		const struct program_request *request = &program->requests[i];
		enum request_op op = request->command->op;
		if (request->id && !nbd_client_takes(program->client, op))
			return why_set(why, STATUS_BAD_INPUT,
				       "%s:%" PRIu32 ": '%s' takes no such request (%s)",
				       workload->name, request->command->line, program->argv[0],
				       request_op_name(op));
	}
	return STATUS_OK;
}

/** Keep the last line that the server said. */
static void keep_output(struct program *program)
{
	char *text = program->run.output_bytes ? program->run.output : NULL;

	for (char *line = text; line && *line;) {
		size_t bytes = strcspn(line, "\n");
		bool is_last = !line[bytes];
		line[bytes] = 0;
		if (*line)
			program_keep_line(program, line);
		line = is_last ? NULL : line + bytes + 1;
	}
}

/** What comes before the first request. */
static enum status greet(struct program *program, struct why *why)
{
	const struct nbd_client *client = program->client;

	if (nbd_client_is_over(client))
		return why_set(why, STATUS_BAD_INPUT, "'%s' hung up before it had greeted: %s",
			       program->argv[0], program->line);
	if (!nbd_client_is_greeted(client))
		return STATUS_OK;
	program_opened(program);
	return check_export(program, why);
}

static bool takes(const struct program *program)
{
	size_t next = program->next;
	bool has_to_wait =
		next < program->request_count && program->requests[next].command->waits_for_all;

	return nbd_client_is_idle(program->client) && program->waited_for == SIZE_MAX &&
	       !has_to_wait;
}

/** How it goes on, when our side has done what it could. */
static enum program_turn find_turn(struct program *program, const struct nbd_client_moves *moves)
{
	const struct gate_ask *ask = &program->run.ask;
	bool is_between = !program->is_open || !nbd_client_is_idle(program->client);
	bool can_take = ask->takes_command && !program->is_closing && takes(program);
	bool has_choice = ask->count || can_take;

	if (moves->sent || (moves->received && (is_between || ask->waits_for_room || !has_choice)))
		return PROGRAM_GOES_ON;
	if (has_choice || !program->is_closing || program->was_told_to_end)
		return PROGRAM_CHOOSES;
	program->was_told_to_end = true;
	return PROGRAM_ENDS;
}

static enum status listen(struct program *program, bool has_ended, enum program_turn *turn,
			  struct why *why)
{
	struct nbd_client_moves moves;

	keep_output(program);
	enum status status = nbd_client_move(program->client, &moves, why);
	if (status == STATUS_OK && !program->is_open && !has_ended)
		status = greet(program, why);
	while (program->next < program->request_count && !program_outstanding(program) &&
	       program->requests[program->next].command->waits_for_all)
		program->next++;
	if (status != STATUS_OK || has_ended)
		return status;
	bool moved = moves.sent || moves.received;
	if (!program->is_open && !moved && !program->run.ask.count)
		return why_set(why, STATUS_BAD_INPUT, "'%s' does not answer at its socket: %s",
			       program->argv[0], program->line[0] ? program->line : "it is silent");
	*turn = find_turn(program, &moves);
	return STATUS_OK;
}

static void give(struct program *program, size_t index)
{
	if (index == program->request_count) {
		nbd_client_hang_up(program->client);
	} else {
		const struct workload_command *command = program->requests[index].command;
		const struct nbd_client_request request = {
			.op = command->op,
			.keeps_hole = command->unmap,
			.pattern = command->pattern,
			.guest_offset = command->guest_offset,
			.length = command->length,
			.tag = index,
		};
		nbd_client_send(program->client, &request);
	}
	gated_go_on(&program->run);
}

const struct program_face program_nbd = {
	.option = "--nbd",
	.setting = "nbd",
	.no_words = "NBD has no word for it",
	.begun = "greeted its client",
	.has_socket = true,
	.read_words = read_words,
	.spell = spell,
	.begin = begin,
	.end = end,
	.listen = listen,
	.takes = takes,
	.give = give,
};
