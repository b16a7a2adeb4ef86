// SPDX-License-Identifier: MIT
/** A cache of metadata tables (L2 tables or refcount blocks) with ordered write-back. */
#ifndef ENGINE_QCOW2_CACHE_H
#define ENGINE_QCOW2_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qcow2;

/** One cached table, `cluster_bytes` long, in on-disk byte order. */
struct cache_slot {
	uint64_t host_offset; /* 0: empty */
	uint8_t *table;       /* owned; allocated with first use */
	uint32_t pins;        /* users that hold a pointer into `table` */
	bool recent;          /* used since the search for room last came by */
	uint32_t dirty_from;  /* bytes not written back yet: [dirty_from, dirty_to) */
	uint32_t dirty_to;
};

struct cache {
	struct qcow2 *image; /* borrowed */
	struct cache_slot *slots;
	uint32_t slot_count;
	uint32_t hand;       /* where the search for room goes on */
	uint32_t instance;   /* in footprints */
	struct cache *after; /* its dirty tables, and a device flush, come before any of ours (O1);
				NULL: none */
	bool after_flush;    /* a device flush comes before any of our dirty tables (O2) */
};

/** An empty cache of `slots` tables (at least 2) in the image's arena. -ENOMEM. */
int cache_init(struct cache *cache, struct qcow2 *image, uint32_t slots);

/** Free the tables, dirty or not. A cache of zero bytes is allowed. */
void cache_release(struct cache *cache);

/** Pin the table at `host_offset`, reading it when it is not cached; `*table` is valid until
 * cache_put(). Evicting a dirty table writes it back in order. 0 or -errno (nothing pinned); -EIO:
 * no cluster begins at `host_offset`, as a damaged entry may say. */
int cache_get(struct cache *cache, uint64_t host_offset, void **table);

/** As cache_get() for a table that is new: zeros, dirty all over, not read. Until cache_share() it
 * is the caller's alone. */
int cache_get_new(struct cache *cache, uint64_t host_offset, void **table);

/** The new table is filled. */
void cache_share(struct cache *cache, const void *table);

/** Unpin. */
void cache_put(struct cache *cache, const void *table);

/** Note that bytes [from, from + bytes) of the pinned `table` changed. */
void cache_dirty(struct cache *cache, const void *table, size_t from, size_t bytes);

/** Does somebody hold a pointer into the table at `host_offset`? */
bool cache_is_pinned(const struct cache *cache, uint64_t host_offset);

/** Forget the table at `host_offset`, if cached, without writing it: its cluster was freed. Asserts
 * that it is not pinned. */
void cache_forget(struct cache *cache, uint64_t host_offset);

/** Write back every dirty table in order; no device flush afterwards. What could not be written
 * stays dirty. 0 or -errno. */
int cache_write_back(struct cache *cache);

/** Write back, then flush the device. 0 or -errno. */
int cache_flush(struct cache *cache);

/** From now on dirty tables of `cache` are written only after those of `first` are durable (O1). A
 * dependency the other way round is resolved first, whose failure is returned and must abort the
 * caller's operation. 0 or -errno. */
int cache_depend(struct cache *cache, struct cache *first);

/** From now on dirty tables are written only after a device flush: data that they point to was
 * written (O2). */
void cache_depend_on_flush(struct cache *cache);

#endif
