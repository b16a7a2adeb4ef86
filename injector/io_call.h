// SPDX-License-Identifier: MIT
/** One call on a watched file, from the moment it was made until its caller goes on. */
#ifndef INJECTOR_IO_CALL_H
#define INJECTOR_IO_CALL_H

#include "injector/fault_menu.h"
#include "injector/watch.h"
#include "traces/event.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>

/** What the program asked for. */
struct io_request {
	enum io_op op;
	const char *point;          /* libfiu's name of the failure point; NULL: cannot fail */
	const struct iovec *vector; /* IO_READ, IO_WRITE; borrowed */
	int vector_count;
	uint64_t host_offset; /* IO_RESIZE: the new size */
	uint64_t length;      /* bytes; of `vector` for IO_READ and IO_WRITE */
	int mode;             /* IO_ALLOCATE, IO_ZERO, IO_PUNCH: as given to fallocate(2) */
	bool data_only;       /* IO_FLUSH: fdatasync(2) */
};

/** A piece of a vector that is only read from, which the type struct iovec cannot say. */
static inline struct iovec io_piece(const void *bytes, size_t byte_count)
{
	struct iovec piece = { .iov_len = byte_count };

	memcpy(&piece.iov_base, &bytes, sizeof(bytes));
	return piece;
}

/** Perform `request` on `open`: record it as submitted, wait at the gate, ask the failure point,
 * take effect, record that, wait at the gate again, record it as completed. Returns bytes moved or
 * 0; -errno on failure. May suspend the calling coroutine or block the calling thread. */
ssize_t io_call_run(struct watched_open *open, const struct io_request *request);

/** Ask the failure point of a call that is no I/O (open, close) on `file`. Returns 0, or the errno
 * to fail with, which is recorded. */
int io_call_ask(const struct fault_call *call, uint16_t file);

/** Does an allocation of the program's fail (libfiu's "libc/mm/malloc")? Recorded when it does. */
bool io_call_memory_fails(void);

#endif
