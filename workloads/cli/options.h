// SPDX-License-Identifier: MIT
/** The command line: one table of options, which says for each what it means and who takes it. */
#ifndef WORKLOADS_CLI_OPTIONS_H
#define WORKLOADS_CLI_OPTIONS_H

#include "traces/status.h"
#include "workloads/cli/trace_bound.h"
#include "workloads/explore.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	OPTIONS_POSITIONAL_MAX = 2,
	OPTIONS_BUGS_MAX = 64,
	OPTIONS_IMAGES_MAX = 16,
	OPTIONS_INJECTED_MAX = 16,
	OPTIONS_JOBS_MAX = 256,
};

/** Who takes an option; a set is the OR of its bits. */
enum command_bit {
	COMMAND_SWEEP = 1,
	COMMAND_RUN = 2,
	COMMAND_RECORD = 4,
	COMMAND_CHECK = 8,
	COMMAND_REPLAY = 16,
	COMMAND_SHOW = 32,
	COMMAND_LIST = 64,
	COMMAND_BENCH = 128,
	COMMAND_CONVERT = 256,
	COMMAND_SHRINK = 1024,
	COMMAND_MANUAL = 1 << 14,
	COMMAND_COMPLETION = 1 << 15,
	COMMAND_GENERATE = 1 << 12,
	COMMAND_CAMPAIGN = 1 << 13,
};

/** What the command line said. Strings are borrowed from argv; NULL: not said. */
struct options {
	const char *command;
	const char *positional[OPTIONS_POSITIONAL_MAX];
	size_t positional_count;
	char **program; /* record: what follows `--`, NULL-terminated */
	bool help;
	bool json;
	bool tap;
	bool quiet;
	bool twice;
	bool no_prune;
	bool events;
	bool stacks;
	bool bisect;
	bool list_long; /* --long */
	bool html;
	bool svg;
	bool perfetto;
	const char *junit;
	const char *out;
	const char *policy;
	const char *crash;
	const char *strategy;
	const char *points;
	const char *schedule;
	const char *fault_points;
	const char *fault_kinds;
	const char *image_at;
	const char *persist;
	const char *bundle;
	const char *output;
	const char *dialect;
	const char *to;
	const char *subject;      /* --program: the command line of a foreign program */
	const char *server;       /* --nbd: that of an NBD server */
	const char *image_folder; /* --image-dir */
	const char *guest;        /* what a recording without requests may do to the guest's data */
	const char *bugs[OPTIONS_BUGS_MAX];
	size_t bug_count;
	const char *images[OPTIONS_IMAGES_MAX];
	size_t image_count;
	const char *injected[OPTIONS_INJECTED_MAX]; /* --inject: files of others' faults */
	size_t injected_count;
	struct budget budget;
	bool has_faults;
	uint32_t faults;
	bool has_jobs;
	uint32_t jobs;
	uint32_t sector_bytes; /* 0: not said */
	bool has_seed;
	uint64_t seed;
	uint64_t runs;  /* 0: not said */
	uint32_t depth; /* 0: not said */
	bool no_swap;
	bool symmetry;
	bool gate_all;         /* of a program: its main thread's calls, too */
	bool split_completion; /* of a program: effects and returns are two steps */
	bool lax;
	bool has_recovery;
	uint32_t recovery;
	struct trace_bound traces;                             /* --traces */
	const char *resume;                                    /* a checkpoint */
	const char *corpus;                                    /* a folder of known traces */
	uint64_t slice;                                        /* 0: not said */
	const char *requests, *kinds, *states, *caches, *lazy; /* of generated workloads */
	const char *shard;                                     /* "I/N" */
	uint64_t limit;                                        /* workloads; 0: not said */
	uint64_t each;                                         /* runs of a workload; 0: not said */
	bool count;
};

/** Parse the words behind the command (`argv[0]` is the command) of `command`. STATUS_USAGE with
 * one line in `why`. */
MUST_USE enum status options_parse(struct options *options, enum command_bit command, int argc,
				   char **argv, struct why *why);

/** The folder that files go to: --out, or "cowtip-out". Not made yet. */
const char *options_folder(const struct options *options);

/** An option, for those who write about them. Borrowed. */
struct option_about {
	const char *name;
	const char *argument; /* NULL: takes none */
	const char *help;
	unsigned commands; /* set of command_bit: who takes it */
};

/** Option `index`, in the order of the help. An option with one meaning for some commands and
 * another for others is there twice. False: there are no more. */
bool option_about(size_t index, struct option_about *about);

/** Print the options that `command` takes. */
void options_print_help(enum command_bit command);

#endif
