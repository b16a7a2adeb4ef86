// SPDX-License-Identifier: MIT
/** What program.c and the faces of programs share: program_console.c, program_script.c and
 *  program_output.c for qemu-io, program_nbd.c for NBD servers. */
#ifndef WORKLOADS_PROGRAM_PRIVATE_H
#define WORKLOADS_PROGRAM_PRIVATE_H

#include "injector/gate_program.h"
#include "workloads/program.h"
#include "workloads/program_trail.h"

enum {
	PROGRAM_OPEN_ID = 1,
	PROGRAM_FAILURES = 7,     /* kinds of them, as the program tells */
	PROGRAM_LINE_BYTES = 240, /* of what the program said and nobody understood */
};

enum request_state { REQUEST_UNBORN, REQUEST_OUTSTANDING, REQUEST_DONE };

/** A command of the workload, and what became of it in this run. */
struct program_request {
	const struct workload_command *command; /* borrowed */
	char *text;  /* owned; as the program reads it, with a newline; NULL: it reads no text */
	uint32_t id; /* in events; 0: it is no request */
	bool waits;  /* the next one may be taken when it is done */
	enum request_state state;
	/* How the output calls it when it has succeeded: by kind, offset and length, or by its
	 * length alone. */
	bool is_terse;
	size_t namesake; /* the first of those that may be under way at a time and are called the
			    same; itself when there is no other */
	size_t told;     /* of a first one: so many of them have succeeded, we do not know which */
	unsigned suspected; /* set of kinds of failures that may be its own */
	bool is_troubled;   /* something failed while it kept the program from reading on */
};

/** Failures of one kind that nobody was found to have had yet. */
struct program_failure {
	size_t count;
	int error;
};

/** What a read printed: the bytes of a dump, until the line that says whose they are. */
struct program_dump {
	uint8_t *bytes; /* owned */
	size_t byte_count, capacity;
};

struct program;

/** How a run goes on from a rest. */
enum program_turn {
	PROGRAM_CHOOSES, /* as the choice says */
	PROGRAM_GOES_ON, /* something is under way between program and us that is nobody's choice */
	PROGRAM_ENDS,    /* all is done, and it waits for a signal to end by */
};

/** How a program is told what to do, and how it tells what it did. */
struct program_face {
	const char *option;   /* of the command line: "--program" */
	const char *setting;  /* of a trace */
	const char *no_words; /* what there is for a snapshot: "qemu-io has no word for it" */
	const char *begun;    /* what it does first of all that we see: "read a command" */
	bool has_socket;

	/** Look at the command line: does the program do nothing of a discard? STATUS_USAGE: it is
	 * told what cannot be. */
	enum status (*read_words)(struct program *program, struct why *why);
	/** Prepare request `index`, whose command is known. STATUS_BAD_INPUT names the line of one
	 * that the program cannot be told. */
	enum status (*spell)(struct program *program, size_t index, struct why *why);
	/** A run begins, or is over. */
	void (*begin)(struct program *program);
	void (*end)(struct program *program);
	/** At a rest, or (`has_ended`) after the program's end: take what it said, complete the
	 * requests of which it speaks, say how it goes on. STATUS_UNSUPPORTED: it speaks of what
	 * cannot be. */
	enum status (*listen)(struct program *program, bool has_ended, enum program_turn *turn,
			      struct why *why);
	/** Would it take the next command, or the end of them, now? */
	bool (*takes)(const struct program *program);
	/** Give it command `index`, or (`request_count`) the end of them: the next step begins. */
	void (*give)(struct program *program, size_t index);
};

extern const struct program_face program_console, program_nbd;

struct program {
	const struct program_face *face;
	const struct workload *workload; /* borrowed */
	char *command;                   /* owned; as given */
	char **argv;                     /* owned; NULL at the end */
	bool stacks;
	uint64_t steps_max;
	struct fault_options faults;
	unsigned gate_flags;                        /* set of GATE_ORDER bits */
	bool ignores_discards;                      /* the program was told to do nothing of them */
	struct trace files;                         /* only its files are used */
	struct record_known known[TRACE_FILES_MAX]; /* what they hold, by path */
	char folder[256];                           /* of our own; "": not made */
	char image_path[300], backing_path[300], socket_path[300], prefix[300];
	struct program_request *requests; /* owned; of each command */
	size_t request_count;
	uint32_t close_id;

	/* The run. */
	struct gated_server server; /* started with the first */
	struct gated_run run;
	struct event_log told; /* requests and choices */
	size_t *marks;         /* owned; events told at each rest */
	size_t mark_count, mark_capacity;
	struct program_trail *trail; /* owned */
	bool is_trail_wanted;
	size_t next; /* command to be taken */
	uint32_t faults_left;
	struct program_failure failures[PROGRAM_FAILURES];
	bool flush_failed;   /* of the file */
	bool has_refused;    /* to open its image, because a call failed */
	bool close_troubled; /* something failed while it was closed */
	size_t waited_for;   /* command that keeps the program from reading on; SIZE_MAX: none */
	bool is_open, is_closing;
	struct program_dump dump;
	struct nbd_client *client;     /* owned */
	bool was_told_to_end;          /* by a signal, when the end of its client was not enough */
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

/** A command as the program reads it, with a newline; `is_terse`: so that the output calls it by
 * its length alone. Gives; free(). */
char *program_spelled(const struct workload_command *command, bool is_terse);

/** Create and prepare the image with qemu-img and qemu-io, in `folder`: what the built-in engine
 * does not write. Adds the initial files to `files`. STATUS_IO: a tool is missing or failed. */
MUST_USE enum status program_prepare(struct trace *files, const struct workload *workload,
				     const char *folder, struct why *why);

/** Split the command line into words and put the image's path in. STATUS_USAGE. */
MUST_USE enum status program_split(struct program *program, struct why *why);

/** Tell that the program has opened its image; once or more. */
void program_opened(struct program *program);

/** How many requests were invoked and have not completed. */
size_t program_outstanding(const struct program *program);

/** Tell that request `index` was invoked or has completed. */
void program_invoked(struct program *program, size_t index);
void program_completed(struct program *program, size_t index, int result, const uint8_t *data,
		       size_t data_bytes);

/** Of qemu-io: see `struct program_face`. */
enum status program_console_spell(struct program *program, size_t index, struct why *why);
enum status program_console_listen(struct program *program, bool has_ended, enum program_turn *turn,
				   struct why *why);

/** Keep the last line of what the program said: it may tell why it ended. */
void program_keep_line(struct program *program, const char *line);

/** A call of the program was made to fail. */
void program_failed(struct program *program, bool is_flush);

#endif
