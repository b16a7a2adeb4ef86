// SPDX-License-Identifier: MIT
/** What the oracle complains of and `qemu-img check` does not: the classes listed in
 * tests/README.md, each with its reason. */
#ifndef TESTS_INTEGRATION_SILENCE_H
#define TESTS_INTEGRATION_SILENCE_H

#include "oracle/verdict.h"

#include <stddef.h>
#include <stdint.h>

enum {
	SILENCE_CLASSES_MAX = 31,
	SILENCE_UNLISTED = SILENCE_CLASSES_MAX, /* the class of what is not in the table */
};

struct silence_class {
	enum rule rule;
	char says[96]; /* in the verdict's message; "": whatever it says */
};

struct silence {
	struct silence_class classes[SILENCE_CLASSES_MAX];
	size_t count;
};

/** Read the table of the page `path`. Fails the test when there is none, or a row has no reason. */
void silence_load(struct silence *silence, const char *path);

/** The class that a verdict belongs to, the first row that fits; SILENCE_UNLISTED: none. */
size_t silence_find(const struct silence *silence, const struct verdict *verdict);

#endif
