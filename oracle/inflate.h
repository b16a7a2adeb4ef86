// SPDX-License-Identifier: MIT
/** Compressed clusters, inflated (raw deflate), with a small memory for those seen last. */
#ifndef ORACLE_INFLATE_H
#define ORACLE_INFLATE_H

#include "oracle/image_header.h"

#include <stddef.h>
#include <stdint.h>

struct inflater;

/** Gives; free with inflater_free(). */
struct inflater *inflater_new(void);
void inflater_free(struct inflater *inflater);

/** Inflate the cluster that `mapping` (MAPPING_COMPRESSED) describes, to `cluster_bytes` bytes.
 *  Returns them, borrowed until the next call; NULL when they do not inflate to a whole cluster. */
const uint8_t *inflater_cluster(struct inflater *inflater, const struct image_source *source,
				const struct mapping *mapping, size_t cluster_bytes);

#endif
