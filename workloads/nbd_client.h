// SPDX-License-Identifier: MIT
/** A client of an NBD server that stands still whenever we look: nothing here waits. What can be
 *  said and heard is said and heard by nbd_client_move(); the server is let go on in between. */
#ifndef WORKLOADS_NBD_CLIENT_H
#define WORKLOADS_NBD_CLIENT_H

#include "traces/event.h"
#include "traces/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	/** A read or a write of more bytes is refused by servers. */
	NBD_CLIENT_BYTES_MAX = 32 << 20,
};

struct nbd_client;

struct nbd_client_request {
	enum request_op op; /* read, write, write zeroes, discard or flush */
	bool keeps_hole;    /* write zeroes: clusters may be given up */
	uint8_t pattern;    /* write: of every byte */
	uint64_t guest_offset, length;
	size_t tag; /* comes back with the reply */
};

/** The server has replied to a request; `error` is an errno, or 0. `data` (borrowed) is what a read
 * returned. */
typedef void nbd_client_reply(void *context, size_t tag, int error, const uint8_t *data,
			      size_t data_bytes);

/** A client that will connect to the socket at `path`. `path` and `context` are borrowed as long as
 * it lives. NULL: out of memory. Gives; nbd_client_free(). */
struct nbd_client *nbd_client_new(const char *path, nbd_client_reply *reply, void *context);

/** Hang up; replies that did not come never will. NULL is allowed. */
void nbd_client_free(struct nbd_client *client);

/** Which way something went. */
struct nbd_client_moves {
	bool sent, received;
};

/** Connect when there is a server, greet it, go on sending, take its replies: as far as all this
 * goes while the server stands still. STATUS_BAD_INPUT: it is no NBD server, or does not have one
 * export that we can use. */
MUST_USE enum status nbd_client_move(struct nbd_client *client, struct nbd_client_moves *moves,
				     struct why *why);

/** Have the two greeted each other? */
bool nbd_client_is_greeted(const struct nbd_client *client);

/** Can a request be sent? Not while a message is half under way. */
bool nbd_client_is_idle(const struct nbd_client *client);

/** The connection is over. */
bool nbd_client_is_over(const struct nbd_client *client);

/** Of the export, when greeted: its size in bytes; whether it takes such requests. */
uint64_t nbd_client_disk_bytes(const struct nbd_client *client);
bool nbd_client_takes(const struct nbd_client *client, enum request_op op);

/** Send a request; the client must be idle. A server that is gone shows at the next move. */
void nbd_client_send(struct nbd_client *client, const struct nbd_client_request *request);

/** Say that there will be no more requests. */
void nbd_client_hang_up(struct nbd_client *client);

#endif
