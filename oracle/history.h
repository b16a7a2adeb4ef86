// SPDX-License-Identifier: MIT
/** What the guest asked for, and what it was promised: requests in the order in which they were
 * invoked, found by the part of the virtual disk that they touch. */
#ifndef ORACLE_HISTORY_H
#define ORACLE_HISTORY_H

#include "oracle/image_header.h"
#include "oracle/journal.h"
#include "oracle/sparse.h"
#include "traces/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NEVER UINT64_MAX

enum {
	GUEST_PAGE_BYTES = 4096,
	/* Requests longer than this are not listed page by page but in one list of wide ones. */
	HISTORY_NARROW_BYTES = 1 << 20,
};

/** Leak cost of a request that may leak as many clusters as the file has. */
#define LEAKS_FILE UINT64_MAX

/** A request. Times number the invocations and completions so far, so that they tell what came
 * before what. */
struct request {
	/* Set when invoked. */
	uint32_t id;
	enum request_op op;
	uint64_t from, to; /* guest bytes whose value it may decide, or that it reads */
	uint64_t oblige_from, oblige_to; /* those that read as it says once it succeeded */
	uint64_t data_start;             /* a write's bytes in the log */
	uint64_t data_bytes;             /* fewer than to - from: the rest was not recorded */
	uint64_t invoked;
	/* Journaled words. */
	uint64_t completed; /* or NEVER */
	uint64_t failed;    /* completed with an error */
	uint64_t durable;   /* when a flush that it preceded was acknowledged, or NEVER */
	uint64_t answer_start, answer_bytes; /* what a read returned, in the log */
	/* Owned by the history, kept from request to request in this place; snapshot-apply: the
	 * first bytes of what it makes the disk hold. */
	uint8_t *held;
	size_t held_bytes, held_capacity;
	/* Clusters that it may leak while it is not flushed, or LEAKS_FILE. */
	uint64_t leak_cost;
};

/** A 4096-byte page of the virtual disk that the judge has looked at. */
struct guest_page {
	const uint8_t *initial[GUEST_PAGE_BYTES / 512]; /* cached; NULL: not known yet */
	uint64_t unreadable; /* bit n: sector n cannot be read in the initial image */
	uint32_t *requests;  /* owned; indices of narrow requests that touch it, ascending */
	size_t request_capacity;
	uint64_t request_count; /* journaled */
};

struct history {
	struct journal *journal;   /* borrowed */
	struct request **requests; /* owned; each in `memory`, at a stable address */
	size_t capacity;
	size_t made;      /* how many have memory */
	uint64_t count;   /* journaled */
	uint64_t settled; /* journaled; all before this one are durable or failed */
	uint32_t *wide;   /* owned; indices of wide requests, ascending */
	size_t wide_capacity;
	uint64_t wide_count; /* journaled */
	uint64_t leak_cost;  /* journaled; sum over requests that are not settled */
	uint64_t leak_files; /* journaled; how many of them may leak the file */
	uint64_t now;        /* journaled; time of the next invocation or completion */
	uint64_t closed;     /* journaled; 1 + time of the last acknowledged close, 0: open */
	uint64_t io_failed;  /* journaled; an I/O of the image failed in this run */
	/* Journaled; 1 + time at which a flush of the file first failed, 0: none did. */
	uint64_t flush_failed;
	uint64_t promises;   /* journaled; hash of what was asked and promised */
	struct sparse by_id; /* of uint64_t: 1 + index; journaled */
	struct sparse pages; /* of struct guest_page */
	struct bump memory;
	/* Facts that do not change. */
	uint64_t initial_bytes; /* virtual size at the beginning */
	uint64_t cluster_bytes;
	bool discard_obliges;
	uint64_t apply_bytes; /* virtual size of the snapshot that the request to be invoked
				 applies, 0: no such snapshot */
	bool hashing;         /* keep `promises` */
};

/** Begin with no requests, on an image with the header `initial`. Borrows `journal`. */
void history_init(struct history *history, struct journal *journal,
		  const struct image_header *initial, bool hashing);
/** Free what `history` owns. */
void history_release(struct history *history);

/** A request was invoked at event `index`. Returns it, NULL when the event makes no sense. */
struct request *history_invoke(struct history *history, const struct event_log *log, size_t index);

/** A request completed at event `index`. Returns it, NULL when it is unknown. */
struct request *history_complete(struct history *history, const struct event_log *log,
				 size_t index);

/** A flush (or close) has succeeded: promise everything that completed before it was invoked. */
void history_promise(struct history *history, const struct request *flush);

/** Until it is flushed, the request may leak `leak_cost` clusters. */
void history_add_leak_cost(struct history *history, struct request *request, uint64_t leak_cost);

/** From now on it may leak none. */
void history_forgive_leaks(struct history *history, struct request *request);

/** Request `index` (from 0, in the order of invocation). */
static inline struct request *history_request(const struct history *history, uint64_t index)
{
	return history->requests[index];
}

/** The node of page `page_index` of the virtual disk, made when there is none. */
struct guest_page *history_page(struct history *history, uint64_t page_index);

/** As history_page(); NULL when there is none. */
static inline const struct guest_page *history_find_page(const struct history *history,
							 uint64_t page_index)
{
	return sparse_find(&history->pages, page_index);
}

/** The value of a request at a byte, and how many bytes of it are known from there. */
enum value_kind { VALUE_BYTES, VALUE_ZEROS, VALUE_HELD, VALUE_UNKNOWN };
enum value_kind request_value(const struct request *request, uint64_t guest_offset,
			      uint64_t *log_position);

/** Room for the first `bytes` bytes of what the request, a snapshot-apply, makes the disk hold. */
uint8_t *request_hold(struct request *request, size_t bytes);

/** Does the request change what the guest reads? */
bool request_changes(const struct request *request);

#endif
