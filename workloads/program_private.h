// SPDX-License-Identifier: MIT
/** What program.c, program_script.c and program_output.c share. */
#ifndef WORKLOADS_PROGRAM_PRIVATE_H
#define WORKLOADS_PROGRAM_PRIVATE_H

#include "injector/gate_program.h"
#include "workloads/program.h"

enum {
	PROGRAM_OPEN_ID = 1,
	PROGRAM_LINE_BYTES = 240, /* of what the program said and nobody understood */
};

enum request_state { REQUEST_UNBORN, REQUEST_OUTSTANDING, REQUEST_DONE };

/** A command of the workload, and what became of it in this run. */
struct program_request {
	const struct workload_command *command; /* borrowed */
	char *text;                             /* owned; as the program reads it, with a newline */
	uint32_t id;                            /* in events; 0: it is no request */
	bool waits;                             /* the program reads on when it is done */
	enum request_state state;
};

/** What a read printed: the bytes of a dump, until the line that says whose they are. */
struct program_dump {
	uint8_t *bytes; /* owned */
	size_t byte_count, capacity;
};

struct program {
	const struct workload *workload; /* borrowed */
	char *command;                   /* owned; as given */
	char **argv;                     /* owned; NULL at the end */
	bool stacks;
	uint64_t steps_max;
	bool ignores_discards; /* the program was told to do nothing of them */
	struct trace files;    /* only its files are used */
	char folder[256];      /* of our own; "": not made */
	char image_path[300], backing_path[300], prefix[300];
	struct program_request *requests; /* owned; of each command */
	size_t request_count;
	uint32_t close_id;

	/* The run. */
	struct gated_server server; /* started with the first */
	struct gated_run run;
	struct event_log told; /* requests and choices */
	size_t *marks;         /* owned; events told at each rest */
	size_t mark_count, mark_capacity;
	size_t next;       /* command to be taken */
	size_t waited_for; /* command that keeps the program from reading on; SIZE_MAX: none */
	bool is_open, is_closing;
	struct program_dump dump;
	char line[PROGRAM_LINE_BYTES]; /* the last that was not understood */

	/* Its result. */
	enum status status;
	struct why why;
	struct record_result result;
	struct event_log log; /* of the whole run */
};

/** Spell the commands for the program. STATUS_BAD_INPUT names the line of one that it has no word
 * for, or that its output could not tell from another. */
MUST_USE enum status program_spell(struct program *program, struct why *why);

/** A command as the program reads it, with a newline. Gives; free(). */
char *program_spelled(const struct workload_command *command);

/** Create and prepare the image with qemu-img and qemu-io, in `folder`: what the built-in engine
 * does not write. Adds the initial files to `files`. STATUS_IO: a tool is missing or failed. */
MUST_USE enum status program_prepare(struct trace *files, const struct workload *workload,
				     const char *folder, struct why *why);

/** Split the command line into words and put the image's path in. STATUS_USAGE. */
MUST_USE enum status program_split(struct program *program, struct why *why);

/** Tell that request `index` was invoked or has completed. */
void program_invoked(struct program *program, size_t index);
void program_completed(struct program *program, size_t index, int result, const uint8_t *data,
		       size_t data_bytes);

/** Read what the program said in the last step, and complete the requests of which it speaks;
 * `reads_on`: it would read its next command. STATUS_UNSUPPORTED: it speaks of one that cannot be.
 */
MUST_USE enum status program_listen(struct program *program, bool reads_on, struct why *why);

#endif
