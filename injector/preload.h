// SPDX-License-Identifier: MIT
/** The recorder inside a foreign program: what preload.c, preload_files.c and preload_recorder.c
 *  share. One process, one stream. */
#ifndef INJECTOR_PRELOAD_H
#define INJECTOR_PRELOAD_H

#include "injector/qcow2_peek.h"
#include "traces/trace_stream.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The environment through which record_program() talks to the library. */
#define PRELOAD_PREFIX_VARIABLE "COWTIP_RECORD" /* path prefix of the streams */
#define PRELOAD_IMAGES_VARIABLE "COWTIP_IMAGES" /* files to watch, a line each; "": the default */
#define PRELOAD_STACKS_VARIABLE "COWTIP_STACKS" /* "1": record stack labels */

/** An empty file of this name, behind the prefix, tells that the library was there. */
#define PRELOAD_SIGN_SUFFIX ".loaded"

/** The setting by which a stream says that its recording has a gap, and why. */
#define PRELOAD_PROBLEM_SETTING "recording.problem"

/** The setting by which a stream says that the initial contents of its files are known to whoever
 * reads it, and not in it. */
#define PRELOAD_KNOWN_SETTING "recording.known"

enum { PRELOAD_PATH_BYTES = 4096 };

/** A file that was declared in the stream; its number is its place in the list. */
struct preload_file {
	dev_t device;
	ino_t inode;
	char path[PRELOAD_PATH_BYTES];
	uint16_t backing;
	enum trace_format format;
	bool declared; /* in the stream of this process */
};

struct preload_state {
	bool on;         /* the environment asks for a recording */
	bool stacks;     /* with stack labels */
	bool problem;    /* PRELOAD_PROBLEM_SETTING was put */
	bool known;      /* PRELOAD_KNOWN_SETTING is to be put */
	int stream;      /* descriptor of the stream, -1: not begun */
	pid_t process;   /* whose state this is */
	uint64_t events; /* put to the stream */
	char prefix[PRELOAD_PATH_BYTES];
	const char *images; /* borrowed from the environment; NULL: the default */
	struct preload_file files[TRACE_FILES_MAX];
	uint16_t file_count;
};

extern struct preload_state preload;

/** Read the environment, once. Cheap when done; may be called before constructors ran. */
void preload_init(void);

/** Between these two the calling thread cannot be cancelled. They may be nested. */
void preload_defer_cancel(void);
void preload_allow_cancel(void);

/** One lock for all that changes the state or the stream. Recursive. */
void preload_lock(void);
void preload_unlock(void);
/** Wait for `condition`, with the lock, which others may have meanwhile. */
void preload_wait(pthread_cond_t *condition);

/** In a server: look for the tail that stays from run to run (stream_tail.h). */
void preload_tail_find(void);
/** In the fork of a server that becomes the program: that tail is for its stream. */
void preload_tail_take(void);
/** In a server, when a run is over: look how much of that tail it needed. */
void preload_tail_look(void);

/** The stream's file was created: records may be gathered beside it (preload_tail.c). */
void preload_tail_open(const char *stream_path);
/** A forked child: what is gathered is its parent's. */
void preload_tail_forget(void);
/** The stream's sink. */
enum status preload_tail_put(void *context, const struct trace_span *spans, size_t span_count);
/** The stream is at its end: write what is gathered into its file, if nobody else sees it. */
MUST_USE enum status preload_tail_end(void);

/** In a forked child: no call is under way (preload_ranges.c). */
void preload_ranges_after_fork(void);

/** Where records go: the stream, begun when needed, with all files known so far. */
const struct trace_sink *preload_sink(void);

/** Put every known file that this process's stream does not have yet. */
void preload_declare_files(void);

/** The number of the next I/O. */
uint32_t preload_next_id(void);

/** Say in the stream that something cannot be recorded. Only the first is kept. */
void preload_problem(const char *text);

#endif
