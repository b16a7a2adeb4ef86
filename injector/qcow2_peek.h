// SPDX-License-Identifier: MIT
/** The little of a qcow2 header that a recorder has to know: is it one, and what backs it. */
#ifndef INJECTOR_QCOW2_PEEK_H
#define INJECTOR_QCOW2_PEEK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	QCOW2_PEEK_BYTES = 4096,     /* beginning of the file that is looked at */
	QCOW2_PEEK_NAME_BYTES = 1024 /* a backing file's name, terminating 0 included */
};

enum qcow2_peek_format { QCOW2_PEEK_UNSAID, QCOW2_PEEK_RAW, QCOW2_PEEK_QCOW2 };

/** What a header says. Offsets and lengths are unchecked bytes from outside. */
struct qcow2_peek {
	uint64_t backing_offset; /* byte in the file where the backing file's name begins */
	uint32_t backing_bytes;  /* its length, 0: no backing file */
	enum qcow2_peek_format backing_format;
};

/** Look at the first `head_bytes` bytes of a file. False: not qcow2. */
bool qcow2_peek(struct qcow2_peek *peek, const uint8_t *head, size_t head_bytes);

/** The path of the backing file called `name` by the image at `image_path`: relative names are
 * relative to the image. False when it does not fit or `name` is no plain file (nbd://, json:). */
bool qcow2_peek_resolve(char *path, size_t path_bytes, const char *image_path, const char *name);

#endif
