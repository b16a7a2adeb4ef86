// SPDX-License-Identifier: MIT
/** Words of a line, and the numbers that qemu-io writes: 4096, 4k, 1.5M, 0x1000. */
#ifndef WORKLOADS_LANGUAGE_WORDS_H
#define WORKLOADS_LANGUAGE_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WORDS_MAX = 1100,     /* of one line; a vector has at most 1024 pieces */
	PRINTABLE_BYTES = 64, /* of a word quoted in a message */
};

/** The words of one line, borrowed from the buffer that was split. */
struct words {
	char *word[WORDS_MAX];
	size_t count;
};

/** Split `line` (changed: each word gets its NUL) at spaces, as qemu-io does: a tab is part of a
 * word. False when there are more than WORDS_MAX. */
bool words_split(struct words *words, char *line);

/** Parse a size as qemu-io does: decimal with an optional fraction (at most six digits), or hex;
 * then one of b k M G T P E in either case. A fraction needs k .. T. False: no such number, or
 * above 2^63 - 1. `*bytes` is unchanged then. */
bool size_parse(const char *text, uint64_t *bytes);

/** Parse a pattern byte as qemu-io does: decimal, 0x.. or octal with a leading zero, 0 .. 255. */
bool pattern_parse(const char *text, uint8_t *pattern);

/** Parse a plain decimal number of at most `most`. */
bool count_parse(const char *text, uint64_t most, uint64_t *count);

/** Copy `text` to `printable` (PRINTABLE_BYTES) with unprintable bytes as '?', cut when too long;
 * returns `printable`. */
const char *word_printable(char *printable, const char *text);

/** `text` without spaces, tabs and carriage returns at its ends; it is cut in place. Returns where
 * it begins now. */
char *word_trimmed(char *text);

#endif
