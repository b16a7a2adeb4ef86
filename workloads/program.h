// SPDX-License-Identifier: MIT
/** A workload on an unmodified program: the program runs again and again on fresh copies of one
 *  initial image, its I/O in the order that a choice says. What world.h is to the built-in engine.
 *  It is qemu-io, which reads the workload's commands, or an NBD server, to which we send them. */
#ifndef WORKLOADS_PROGRAM_H
#define WORKLOADS_PROGRAM_H

#include "injector/choice.h"
#include "injector/fault_point.h"
#include "injector/strategy_join.h"
#include "traces/trace.h"
#include "workloads/language.h"

#include <stdbool.h>

struct program_options {
	/** The command line: words between spaces, '...' and "..." keep spaces together, `{image}`
	 * stands for the image's path, `{socket}` for that of an NBD server's socket. Borrowed. */
	const char *command;
	/** It is an NBD server, and we its client. Else it is qemu-io and reads its commands. */
	bool is_nbd;
	/** Where the images live while the program runs. NULL: in memory, or TMPDIR. Borrowed. */
	const char *image_folder;
	/** Record a stack label with every I/O. */
	bool stacks;
	/** Calls of the main thread wait, too. */
	bool gate_all;
	/** A call waits once more when it has taken effect, before it returns. */
	bool split_completion;
	/** Faults that calls may have when they are let go. `points` is borrowed while the program
	 * lives. */
	struct fault_options faults;
	/** Decisions in a run at most; 0: 20,000. */
	uint64_t steps_max;
	/* Initial files; NULL: as the workload says. Borrowed while program_new() runs. */
	const struct trace_file *files;
	size_t file_count;
};

struct program;

/** The folder in which images live that are not told where: in memory, if there is one. */
const char *program_usual_folder(void);

/** Build the initial image (created and prepared by the built-in engine, alone and in order, with
 * plain patterns) and a folder of our own for it. `workload` is borrowed. STATUS_BAD_INPUT: the
 * command line makes no sense, or the workload has something that the program cannot be told, or
 * requests that its output cannot tell apart. Gives `*program`. */
MUST_USE enum status program_new(struct program **program, const struct workload *workload,
				 const struct program_options *options, struct why *why);
/** Free it, and remove its folder; NULL is allowed. */
void program_free(struct program *program);

/** Files for judge_new(); files[0] is the image. Borrowed. */
const struct trace_file *program_files(const struct program *program, size_t *file_count);

/** Execute once. The choice must have begun a run. Look at program_status() before anything else of
 * the run. */
enum run_end program_run(struct program *program, struct choice *choice);

/** STATUS_OK, or why the last run is worth nothing: the program could not be run or be held at the
 * gate, or something of what it did was not seen. */
MUST_USE enum status program_status(const struct program *program, struct why *why);

/** Events of the last run, borrowed until the next. */
const struct event_log *program_log(const struct program *program);

/** A hash of the image at the end of the last run and of what its requests returned. */
uint64_t program_end_hash(const struct program *program);

/** What is known of the last run at each of its decisions; it is found out from the next run on.
 * Borrowed; the same struct in every run. */
const struct join_trail *program_trail(struct program *program);

/** A trace of the last run (copies everything; the schedule is `choice`'s). `trace` must be empty.
 */
void program_trace(const struct program *program, const struct choice *choice, struct trace *trace);

#endif
