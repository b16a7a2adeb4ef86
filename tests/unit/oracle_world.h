// SPDX-License-Identifier: MIT
/** A hand-built qcow2 image and the log of a run on it, for testing the oracle: nothing of the
 * engine, nothing of the oracle's own reader. */
#ifndef TESTS_UNIT_ORACLE_WORLD_H
#define TESTS_UNIT_ORACLE_WORLD_H

#include "oracle/judge.h"
#include "traces/trace.h"

/* Where the builder puts things, in clusters. */
enum { AT_HEADER, AT_REFTABLE, AT_BLOCK, AT_L1, AT_L2, AT_DATA };

#define COPIED (UINT64_C(1) << 63)

struct world_options {
	uint32_t cluster_bits;   /* 0: 12 */
	uint32_t version;        /* 0: 3 */
	uint64_t guest_clusters; /* 0: 8 */
	bool backing;            /* a raw file, every sector stamped STAMP_BACKING */
	bool dirty;              /* lazy refcounts in use */
};

struct world {
	struct trace_file files[2];
	size_t file_count;
	struct event_log log;
	struct content *now; /* owned; files[0] after the last event */
	uint64_t cluster_bytes;
	uint32_t cluster_bits;
	uint32_t requests;
	struct event invoked[64];
	struct judge *judge; /* owned; made by world_judge() */
	struct judge_report report;
	struct judge_options judge_options;
};

/** An image as `options` say, with an empty log. */
void world_init(struct world *world, const struct world_options *options);
/** Free everything, the judge too. */
void world_release(struct world *world);

/** A sector that tells who wrote it, and for which sector of the disk. */
enum { STAMP_BACKING = 0xb0, STAMP_OLD = 0xa0 };
void stamp(uint8_t sector[512], uint32_t who, uint64_t guest_sector);

/* The initial image. */

/** Put a number at a byte of the initial image; `bytes` 2, 4 or 8. */
void world_poke(struct world *world, uint64_t host_offset, uint64_t value, unsigned bytes);

/** Map a guest cluster to a host cluster whose sectors are stamped STAMP_OLD, COPIED, refcount 1.
 */
void world_map(struct world *world, uint64_t guest_cluster, uint64_t host_cluster);

/* The run. */

/** A request begins; a write carries sectors stamped with its id. Returns the id. */
uint32_t world_invoke(struct world *world, enum request_op op, uint64_t guest_offset,
		      uint64_t length);
void world_ack(struct world *world, uint32_t id, int32_t result);

/** A read of whole sectors is answered; sectors are stamped `who`. */
void world_answer(struct world *world, uint32_t id, uint32_t who);

/** Bytes reach the file. */
void world_write(struct world *world, uint64_t host_offset, const void *bytes, uint32_t length);

/** Sectors reach the file: guest sectors [from, to) of `guest_cluster`, stamped `who`, in
 * `host_cluster`. */
void world_data(struct world *world, uint32_t who, uint64_t guest_cluster, uint64_t host_cluster,
		unsigned from, unsigned to);

/** One table entry reaches the file, with the sector that it lies in. */
void world_entry(struct world *world, uint64_t host_offset, uint64_t value);
void world_l2(struct world *world, uint64_t guest_cluster, uint64_t value);
void world_refcount(struct world *world, uint64_t host_cluster, uint16_t refcount);

/** Any other operation on the file. */
void world_effect(struct world *world, enum io_op op, uint64_t host_offset, uint64_t length);
void world_end(struct world *world, enum run_end end, const char *text);

/** flush: invoked and acknowledged. */
void world_flush(struct world *world);

/* Classes of runs. */

enum { WORLD_STEPS_MAX = 128, WORLD_CHAINS_MAX = 8 };

/** The steps of a run, with their clocks. Does not move: `class` points into it. */
struct world_class {
	struct judge_class class;
	struct judge_step steps[WORLD_STEPS_MAX];
	uint32_t clocks[WORLD_STEPS_MAX][WORLD_CHAINS_MAX];
};

/** No steps yet. */
void world_class_init(struct world_class *class, uint32_t chain_count);

/** The last `event_count` events of the log are a step of `chain`. It happens after those before it
 * that change the same sectors (or any, when one changes the file's size), and as to requests that
 * overlap, after invocations if it completes and after completions if it invokes; and as to I/Os,
 * submissions of flushes and completions of others after each other. */
void world_class_add(struct world_class *class, const struct event_log *log, size_t event_count,
		     uint32_t chain);

/* The judgement. */

/** Judge the log so far with a new judge, both models; the result is in world->report. */
void world_judge(struct world *world);

/** Check (Check's assertions) that nothing was found. */
void world_expect_clean(struct world *world);

/** Check that exactly one verdict was found, of this rule; returns it. */
const struct verdict *world_expect_only(struct world *world, enum rule rule);

/** Check that a verdict of this rule was found; returns the first. */
const struct verdict *world_expect(struct world *world, enum rule rule);

#endif
