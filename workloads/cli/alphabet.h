// SPDX-License-Identifier: MIT
/** The options that say what generated workloads are made of, and which of them are meant. */
#ifndef WORKLOADS_CLI_ALPHABET_H
#define WORKLOADS_CLI_ALPHABET_H

#include "workloads/cli/options.h"
#include "workloads/generate.h"

#include <stdio.h>

/** Part `part` (from 0) of `parts`. */
struct alphabet_shard {
	uint64_t part, parts;
};

/** Read --requests, --kinds, --states, --caches, --lazy and --shard. STATUS_USAGE. */
MUST_USE enum status alphabet_take(struct generate_alphabet *alphabet, struct alphabet_shard *shard,
				   const struct options *options, struct why *why);

/** The alphabet as one line, the same for the same. Gives; free(). */
char *alphabet_text(const struct generate_alphabet *alphabet);

/** Add the words that stand for `set` to `file`, with commas between them. */
void alphabet_print_set(FILE *file, unsigned set, const struct generate_word *words, size_t count);

/** Write `generated` to its file in `folder`, which must be there; `path` (OUTPUT_PATH_BYTES)
 * becomes the file's. STATUS_IO. */
MUST_USE enum status generated_store(char *path, const struct generated *generated,
				     const char *folder, struct why *why);

extern const struct generate_word alphabet_caches[2];
extern const struct generate_word alphabet_lazy[2];

#endif
