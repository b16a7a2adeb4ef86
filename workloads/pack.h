// SPDX-License-Identifier: MIT
/** Numbers, texts and sets as bytes that do not depend on the machine: for pipes and files. */
#ifndef WORKLOADS_PACK_H
#define WORKLOADS_PACK_H

#include "oracle/distinct.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Bytes that grow. Zero-initialised: empty. */
struct pack {
	uint8_t *bytes; /* owned */
	size_t count;
	size_t capacity;
};

/** Free what `pack` owns; it is empty afterwards. */
void pack_release(struct pack *pack);

/** Append something. A text's length comes before it; NULL is as good as "". */
void pack_number(struct pack *pack, uint64_t number);
void pack_real(struct pack *pack, double number);
void pack_text(struct pack *pack, const char *text);
void pack_set(struct pack *pack, const struct distinct *set);

/** Reading from the first byte on. Nothing is read behind the end: `failed` is set then, and stays,
 * and all that is read is 0 or "". */
struct unpack {
	const uint8_t *bytes; /* borrowed */
	size_t count;
	size_t at;
	bool failed;
};

/** The next number, not above `most`: that would be a failure. */
uint64_t unpack_number(struct unpack *unpack, uint64_t most);
/** The next real number, not negative and finite. */
double unpack_real(struct unpack *unpack);
/** The next text. Gives; free(). */
char *unpack_text(struct unpack *unpack);
/** The next text into `text`, cut when it is too long for `text_bytes`. */
void unpack_short_text(struct unpack *unpack, char *text, size_t text_bytes);
/** Add the members of the next set to `set`. */
void unpack_set(struct unpack *unpack, struct distinct *set);

#endif
