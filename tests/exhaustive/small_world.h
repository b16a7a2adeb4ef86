// SPDX-License-Identifier: MIT
/** Small workloads made from a seed: two or three requests that meet in a cluster or two. */
#ifndef TESTS_EXHAUSTIVE_SMALL_WORLD_H
#define TESTS_EXHAUSTIVE_SMALL_WORLD_H

#include <stddef.h>
#include <stdint.h>

/** Write the text of the workload that `seed` says. Equal seeds, equal texts. */
void small_world_text(char *text, size_t text_bytes, uint64_t seed);

#endif
