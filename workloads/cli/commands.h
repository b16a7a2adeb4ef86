// SPDX-License-Identifier: MIT
/** The commands of the program, one function and one file each. */
#ifndef WORKLOADS_CLI_COMMANDS_H
#define WORKLOADS_CLI_COMMANDS_H

#include "workloads/cli/options.h"

/** Exit status of every command. */
enum exit_code {
	EXIT_CLEAN = 0,    /* nothing wrong */
	EXIT_VIOLATED = 1, /* a rule was violated */
	EXIT_BAD = 2,      /* usage or bad input */
	EXIT_BUDGET = 3,   /* the budget ended before the search did, and nothing wrong was seen */
	EXIT_DIVERGED = 4, /* a replay left its recording */
	EXIT_SKIP = 125,   /* replay --bisect: the trace says nothing about this version */
};

/** A command: a row of the table in main.c. */
struct command {
	const char *name;
	enum command_bit bit;
	enum exit_code (*run)(const struct options *options); /* NULL: not in this version */
	size_t least, most;                                   /* positional arguments */
	const char *arguments;
	const char *summary;
};

/** Print "cowtip: <why>" on stderr; returns EXIT_DIVERGED for STATUS_DIVERGED, else EXIT_BAD. */
enum exit_code exit_with(enum status status, const struct why *why);

/** Explore a workload, or the suite, and judge every run. */
enum exit_code cmd_sweep(const struct options *options);
/** Execute a workload once and write its trace. */
enum exit_code cmd_run(const struct options *options);
/** Run a foreign program and write what it did to its images. */
enum exit_code cmd_record(const struct options *options);
/** Judge every crash state of a recorded trace, or of a dm-log-writes log. */
enum exit_code cmd_check(const struct options *options);
/** Run a trace's schedule again, compare event by event, judge again. */
enum exit_code cmd_replay(const struct options *options);
/** Make a trace that breaks a rule as small as it goes. */
enum exit_code cmd_shrink(const struct options *options);
/** Print the story of a trace, its events, or write a crash image. */
enum exit_code cmd_show(const struct options *options);
/** Write a trace as a dm-log-writes log, or a log as a trace. */
enum exit_code cmd_convert(const struct options *options);
/** Print the rules, known bugs, strategies, workloads or failure points. */
enum exit_code cmd_list(const struct options *options);
/** Write bounded-exhaustive workloads to files, or count them. */
enum exit_code cmd_generate(const struct options *options);
/** Sweep them on a subject, resumable, findings sorted. */
enum exit_code cmd_campaign(const struct options *options);
/** Measure rates on this machine. */
enum exit_code cmd_bench(const struct options *options);

#endif
