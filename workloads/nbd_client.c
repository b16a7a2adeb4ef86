// SPDX-License-Identifier: MIT
/* The protocol is libnbd's affair. Its handle is a state machine that says what it waits for, to
 * read or to write; it is asked to do so only when poll(2), without waiting, says that it can. So
 * after nbd_client_move() nothing is left that could be done without the server.
 *
 * The greeting: the default export "" is asked for; a server that does not have it is asked which
 * it has. */
#include "workloads/nbd_client.h"

#include "traces/memory.h"

#include <errno.h>
#include <libnbd.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/** What the server was last asked before requests can be sent. */
enum greeting { GREETING_NOTHING, GREETING_DEFAULT, GREETING_LIST, GREETING_ONLY };

struct nbd_client {
	const char *path; /* borrowed */
	nbd_client_reply *reply;
	void *context;             /* borrowed */
	struct nbd_handle *handle; /* owned */
	bool is_connected;
	enum greeting greeting;
	char *export; /* owned; the last one listed; NULL: none */
	size_t export_count;
};

/** A request under way. */
struct flight {
	struct nbd_client *client;
	size_t tag;
	enum request_op op;
	size_t data_bytes;
	uint8_t data[];
};

struct nbd_client *nbd_client_new(const char *path, nbd_client_reply *reply, void *context)
{
	struct nbd_client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	*client = (struct nbd_client){ .path = path, .reply = reply, .context = context };
	client->handle = nbd_create();
	/* What it cannot do is the server's word to say, not the library's. */
	if (client->handle && nbd_set_opt_mode(client->handle, true) == 0 &&
	    nbd_set_strict_mode(client->handle, 0) == 0)
		return client;
	nbd_client_free(client);
	return NULL;
}

void nbd_client_free(struct nbd_client *client)
{
	if (!client)
		return;
	client->reply = NULL;
	nbd_close(client->handle);
	free(client->export);
	free(client);
}

/* ---- the greeting ---- */

/** A connection to the server's socket; -1: there is none yet. */
static int connect_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int end = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (end >= 0 && connect(end, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return end;
	if (end >= 0)
		close(end);
	return -1;
}

static bool join(struct nbd_client *client)
{
	int end = connect_socket(client->path);

	if (end < 0)
		return false;
	client->is_connected = nbd_aio_connect_socket(client->handle, end) == 0;
	if (!client->is_connected)
		close(end);
	return client->is_connected;
}

static int note_export(void *context, const char *name, const char *description)
{
	struct nbd_client *client = context;

	(void)description;
	free(client->export);
	client->export = memory_text(name, strlen(name));
	client->export_count++;
	return 0;
}

static enum status refuse(struct why *why)
{
	return why_set(why, STATUS_BAD_INPUT, "the server cannot be used: %s", nbd_get_error());
}

/** The server waits for an option: begin, or go on after what it did not grant. */
static enum status next_option(struct nbd_client *client, struct why *why)
{
	struct nbd_handle *handle = client->handle;
	int done = -1;

	switch (client->greeting) {
	case GREETING_NOTHING:
		client->greeting = GREETING_DEFAULT;
		done = nbd_aio_opt_go(handle, NBD_NULL_COMPLETION);
		break;
	case GREETING_DEFAULT:
		client->greeting = GREETING_LIST;
		done = nbd_aio_opt_list(
			handle, (nbd_list_callback){ .callback = note_export, .user_data = client },
			NBD_NULL_COMPLETION);
		break;
	case GREETING_LIST:
		if (client->export_count != 1)
			return why_set(why, STATUS_BAD_INPUT,
				       "the server has %zu exports: one is wanted",
				       client->export_count);
		client->greeting = GREETING_ONLY;
		done = nbd_set_export_name(handle, client->export);
		if (done == 0)
			done = nbd_aio_opt_go(handle, NBD_NULL_COMPLETION);
		break;
	case GREETING_ONLY:
		return why_set(why, STATUS_BAD_INPUT, "the server does not give its export '%.80s'",
			       client->export);
	}
	return done == 0 ? STATUS_OK : refuse(why);
}

bool nbd_client_is_greeted(const struct nbd_client *client)
{
	return client->is_connected && !nbd_aio_is_connecting(client->handle) &&
	       !nbd_aio_is_negotiating(client->handle);
}

/* ---- moving on ---- */

/** Let the library read or write once; false: it has to wait for the server. */
static bool move_once(struct nbd_handle *handle, struct nbd_client_moves *moves)
{
	unsigned direction = nbd_aio_get_direction(handle);
	struct pollfd end = { .fd = nbd_aio_get_fd(handle) };

	if (direction & LIBNBD_AIO_DIRECTION_READ)
		end.events |= POLLIN;
	if (direction & LIBNBD_AIO_DIRECTION_WRITE)
		end.events |= POLLOUT;
	if (end.fd < 0 || poll(&end, 1, 0) <= 0)
		return false;
	/* That the connection is over is read, too. What comes of it is in the handle's state. */
	if (direction & LIBNBD_AIO_DIRECTION_READ && end.revents & (POLLIN | POLLHUP | POLLERR)) {
		(void)nbd_aio_notify_read(handle);
		moves->received = true;
	} else {
		(void)nbd_aio_notify_write(handle);
		moves->sent = true;
	}
	return true;
}

bool nbd_client_is_over(const struct nbd_client *client)
{
	return client->is_connected &&
	       (nbd_aio_is_dead(client->handle) || nbd_aio_is_closed(client->handle));
}

enum status nbd_client_move(struct nbd_client *client, struct nbd_client_moves *moves,
			    struct why *why)
{
	enum status status = STATUS_OK;

	*moves = (struct nbd_client_moves){ .sent = !client->is_connected && join(client) };
	if (!client->is_connected)
		return STATUS_OK;
	while (status == STATUS_OK && !nbd_client_is_over(client)) {
		if (nbd_aio_is_negotiating(client->handle)) {
			status = next_option(client, why);
			moves->sent = true;
		} else if (!move_once(client->handle, moves)) {
			return STATUS_OK;
		}
	}
	return status;
}

bool nbd_client_is_idle(const struct nbd_client *client)
{
	return client->is_connected && nbd_aio_is_ready(client->handle);
}

uint64_t nbd_client_disk_bytes(const struct nbd_client *client)
{
	int64_t bytes = nbd_get_size(client->handle);

	return bytes < 0 ? 0 : (uint64_t)bytes;
}

bool nbd_client_takes(const struct nbd_client *client, enum request_op op)
{
	struct nbd_handle *handle = client->handle;

	switch (op) {
	case REQUEST_READ: return true;
	case REQUEST_WRITE: return nbd_is_read_only(handle) == 0;
	case REQUEST_WRITE_ZEROES: return nbd_can_zero(handle) > 0;
	case REQUEST_DISCARD: return nbd_can_trim(handle) > 0;
	case REQUEST_FLUSH: return nbd_can_flush(handle) > 0;
	case REQUEST_TRUNCATE:
	case REQUEST_SNAPSHOT:
	case REQUEST_SNAPSHOT_APPLY:
	case REQUEST_SNAPSHOT_DELETE:
	case REQUEST_OPEN:
	case REQUEST_CLOSE: break;
	}
	return false;
}

/* ---- requests ---- */

static int take_reply(void *context, int *error)
{
	struct flight *flight = context;
	const struct nbd_client *client = flight->client;
	bool has_data = flight->op == REQUEST_READ && *error == 0;

	/* The library says ENOTCONN, which no server can, of requests that have lost theirs. */
	if (client->reply && *error != ENOTCONN)
		client->reply(client->context, flight->tag, *error, has_data ? flight->data : NULL,
			      has_data ? flight->data_bytes : 0);
	return 1;
}

static struct flight *flight_new(struct nbd_client *client,
				 const struct nbd_client_request *request)
{
	bool has_data = request->op == REQUEST_READ || request->op == REQUEST_WRITE;
	size_t data_bytes = has_data ? (size_t)request->length : 0;
	struct flight *flight = calloc(1, sizeof(*flight) + data_bytes);

	if (!flight)
		abort();
	*flight = (struct flight){
		.client = client, .tag = request->tag, .op = request->op, .data_bytes = data_bytes
	};
	if (request->op == REQUEST_WRITE)
		memset(flight->data, request->pattern, data_bytes);
	return flight;
}

void nbd_client_send(struct nbd_client *client, const struct nbd_client_request *request)
{
	struct nbd_handle *handle = client->handle;
	struct flight *flight = flight_new(client, request);
	uint64_t bytes = request->length, at = request->guest_offset;
	/* The library frees it, whatever comes. */
	const nbd_completion_callback done = { .callback = take_reply,
					       .user_data = flight,
					       .free = free };

	switch (request->op) {
	case REQUEST_READ: (void)nbd_aio_pread(handle, flight->data, bytes, at, done, 0); break;
	case REQUEST_WRITE: (void)nbd_aio_pwrite(handle, flight->data, bytes, at, done, 0); break;
	case REQUEST_WRITE_ZEROES:
		(void)nbd_aio_zero(handle, bytes, at, done,
				   request->keeps_hole ? 0 : LIBNBD_CMD_FLAG_NO_HOLE);
		break;
	case REQUEST_DISCARD: (void)nbd_aio_trim(handle, bytes, at, done, 0); break;
	case REQUEST_FLUSH: (void)nbd_aio_flush(handle, done, 0); break;
	case REQUEST_TRUNCATE:
	case REQUEST_SNAPSHOT:
	case REQUEST_SNAPSHOT_APPLY:
	case REQUEST_SNAPSHOT_DELETE:
	case REQUEST_OPEN:
	case REQUEST_CLOSE: free(flight);
	}
}

void nbd_client_hang_up(struct nbd_client *client)
{
	(void)nbd_aio_disconnect(client->handle, 0);
}
