// SPDX-License-Identifier: MIT
/** Run any dynamically linked program and record what it does to its images. */
#ifndef INJECTOR_RECORD_PROGRAM_H
#define INJECTOR_RECORD_PROGRAM_H

#include "traces/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** A file of which is known what it holds before the program runs. */
struct record_known {
	const char *path;              /* as the program finds it; borrowed */
	const struct content *initial; /* borrowed, as long as the result is in use */
};

struct record_options {
	/** Program and arguments, NULL at the end; looked up in PATH. Borrowed. */
	char *const *argv;
	/** Paths of the files to record; borrowed. None: every qcow2 image that the program opens
	 * for writing. */
	const char *const *images;
	size_t image_count;
	/** Where the recording in progress goes: files "<prefix>.*", removed when done. The folder
	 * must exist. Borrowed. */
	const char *prefix;
	/** Path of libcowtip-injector.so; NULL: record_find_library(). Borrowed. */
	const char *library;
	/** Record a stack label with every I/O. */
	bool stacks;
	/** Do not run it but make it a server from which gated programs are forked: it gets this
	 * socket (gate_program.h). -1 or 0: run it. */
	int server;
	/** Files whose contents a gated program need not record; if any, all that it opens.
	 * Borrowed.
	 */
	const struct record_known *known;
	size_t known_count;
	/** A server removes this folder, and the files in it, when we are gone without having ended
	 * it. NULL: none. Borrowed. */
	const char *folder;
};

struct stream_tail;

/** A program that runs. */
struct record_run {
	pid_t process;
	char prefix[4096]; /* absolute */
	/** Of a server: the tail (stream_tail.h) of its runs, NULL for none, and whose it is now.
	 */
	struct stream_tail *tail;
	pid_t tail_process;
};

struct record_result {
	/** As waitpid(2) gave it. */
	int wait_status;
	/** One for each process that opened an image for writing, in order of process number;
	 * owned, `complete` is false when the process did not exit in the ordinary way. */
	struct trace *traces;
	size_t trace_count;
};

/** An empty result. */
void record_result_init(struct record_result *result);
/** Free all that `result` owns; it is empty afterwards. */
void record_result_release(struct record_result *result);

/** Find libcowtip-injector.so: beside the running program, in the folder above, where it is
 * installed. False: nowhere. */
bool record_find_library(char *path, size_t path_bytes);

/** Run the program, wait for it, and give its traces in `result` (initialised). The program's exit
 * status is not judged. Each trace was replayed onto its initial contents and gave the files as
 * they are now, byte for byte. STATUS_IO: the program could not be run, or the recording not be
 * read. STATUS_UNSUPPORTED: the recording is not the whole truth: the library was never loaded
 * (static binary), or a file differs, so that something changed it past the calls that can be seen.
 * `why` names the file and the first byte. The traces are given all the same, for inspection. */
MUST_USE enum status record_program(const struct record_options *options,
				    struct record_result *result, struct why *why);

/** The first half of record_program(): start the program. When that succeeds the second half must
 * follow. */
MUST_USE enum status record_start(const struct record_options *options, struct record_run *run,
				  struct why *why);

/** The second half without waiting: read what an ended program left, check that. */
MUST_USE enum status record_collect(const struct record_options *options,
				    const struct record_run *run, struct record_result *result,
				    struct why *why);

/** The second half in two parts: wait for the program, and read what it leaves, as it comes. */
MUST_USE enum status record_finish(const struct record_options *options,
				   const struct record_run *run, struct record_result *result,
				   struct why *why);

/** Then: check what was read. Changes only traces that are not complete. */
MUST_USE enum status record_verify(struct record_result *result, struct why *why);

#endif
