// SPDX-License-Identifier: MIT
/** A world: a workload with its initial image, ready to be executed again and again on the built-in
 * engine. */
#ifndef WORKLOADS_WORLD_H
#define WORKLOADS_WORLD_H

#include "engine/qcow2/qcow2.h"
#include "engine/scheduler/sched.h"
#include "injector/choice.h"
#include "traces/trace.h"
#include "workloads/language.h"

/** Under these names files are in every trace. */
#define WORLD_IMAGE_PATH "disk.qcow2"
#define WORLD_BACKING_RAW_PATH "backing.raw"
#define WORLD_BACKING_QCOW2_PATH "backing.qcow2"

/** The backing file of a workload's image. Gives `*content`; NULL with STATUS_OK when it has none.
 */
MUST_USE enum status world_backing_content(const struct workload *workload,
					   struct content **content, struct why *why);

struct world_options {
	enum qcow2_policy policy;
	enum sched_points points;
	uint32_t faults_max;
	const char *fault_points; /* pattern; NULL: all */
	unsigned fault_kinds;     /* set of fault_kind bits; 0: all */
	bool stamps; /* written sectors carry (request, guest sector); false: plain patterns, as
			qemu-io writes */
	bool flushes_matter; /* crashes are judged under `reorder`: see session_options */
	bool stacks;         /* record a stack label with every I/O */
	/** Asynchronous requests in a row that are alike (same command and range) are begun at once
	 * and take their first lock in one order only: whatever else can happen is the same with
	 * other names. Needs stamps and SCHED_POINTS_ALL. */
	bool symmetry;
	/** Take a snapshot of a run every so many steps, where that is possible, and begin the next
	 * run at the last one that the strategy keeps; 0: none. */
	uint32_t snapshot_every;
	uint64_t steps_max; /* 0: the scheduler's default */
	/* Borrowed while world_new() runs; the files of a recording, used instead of building them;
	 * NULL: build. */
	const struct trace_file *files;
	size_t file_count;
};

struct world;

/** Build the initial image (create, then the `#@ prepare` commands, without recording). `workload`
 * is borrowed. Asserts that there is no other world. Gives `*world`. STATUS_BAD_INPUT names the
 * line of a prepare command that failed. */
MUST_USE enum status world_new(struct world **world, const struct workload *workload,
			       const struct world_options *options, struct why *why);
void world_free(struct world *world);

/** Files for judge_new(); files[0] is the image. Borrowed. */
const struct trace_file *world_files(const struct world *world, size_t *file_count);

/** What a `read -P` of the last run found different, "" for nothing. Patterns are verified only
 * without stamps; with them every read is checked against history by the oracle. */
const char *world_complaint(const struct world *world);

/** Execute once: rewind, open, run the commands, close. The choice must have begun a run; it
 * borrows the world's log. Events go to world_log(). */
enum run_end world_run(struct world *world, struct choice *choice);

/** Let runs from now on begin with `image` (takes) in the place of the image file. Not with
 * snapshots. */
void world_set_image(struct world *world, struct content *image);

/** Why the image could not be opened in the last run, "" when it was. */
const char *world_open_failure(const struct world *world);

/** A hash of how the last run ended: how, the image, and what each request returned. */
uint64_t world_end_hash(const struct world *world);

/** Events of the last run, borrowed until the next. */
const struct event_log *world_log(const struct world *world);

/** What sched_report() said of the last run. */
const char *world_report(const struct world *world);

/** A trace of the last run (copies everything; the schedule is `choice`'s). `trace` must be empty.
 */
void world_trace(const struct world *world, const struct choice *choice, struct trace *trace);

/** Present contents of the image file. Gives. */
struct content *world_image(const struct world *world);

#endif
