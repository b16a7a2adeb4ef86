// SPDX-License-Identifier: MIT
#include "workloads/cli/options.h"

#include "workloads/language_words.h"
#include "workloads/recovery.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum option_id {
	OPTION_HELP = 256,
	OPTION_JSON,
	OPTION_JUNIT,
	OPTION_TAP,
	OPTION_QUIET,
	OPTION_OUT,
	OPTION_BUDGET,
	OPTION_JOBS,
	OPTION_POLICY,
	OPTION_BUG,
	OPTION_CRASH,
	OPTION_SECTOR,
	OPTION_LAX,
	OPTION_FAULTS,
	OPTION_FAULT_POINTS,
	OPTION_FAULT_KINDS,
	OPTION_STRATEGY,
	OPTION_NO_PRUNE,
	OPTION_RUNS,
	OPTION_DEPTH,
	OPTION_NO_SWAP,
	OPTION_SYMMETRY,
	OPTION_GATE_ALL,
	OPTION_SPLIT_COMPLETION,
	OPTION_RECOVERY,
	OPTION_RESUME,
	OPTION_CORPUS,
	OPTION_SLICE,
	OPTION_SEED,
	OPTION_TWICE,
	OPTION_POINTS,
	OPTION_SCHEDULE,
	OPTION_IMAGE,
	OPTION_EVENTS,
	OPTION_STACKS,
	OPTION_LONG,
	OPTION_HTML,
	OPTION_SVG,
	OPTION_PERFETTO,
	OPTION_IMAGE_AT,
	OPTION_PERSIST,
	OPTION_BUNDLE,
	OPTION_BISECT,
	OPTION_OUTPUT,
	OPTION_DIALECT,
	OPTION_TO,
	OPTION_INJECT,
	OPTION_TRACES,
	OPTION_PROGRAM,
	OPTION_NBD,
	OPTION_IMAGE_DIR,
	OPTION_GUEST,
	OPTION_REQUESTS,
	OPTION_KINDS,
	OPTION_STATES,
	OPTION_CACHES,
	OPTION_LAZY,
	OPTION_SHARD,
	OPTION_LIMIT,
	OPTION_EACH,
	OPTION_COUNT_ONLY,
};

/* With the commands of an option that the help only names, at its end; the manual has the rest. */
#define RARE (1u << 31)

enum {
	SEARCHES = COMMAND_SWEEP | COMMAND_BENCH,
	ENGINE = COMMAND_SWEEP | COMMAND_RUN | COMMAND_BENCH | COMMAND_CAMPAIGN,
	JUDGES = COMMAND_SWEEP | COMMAND_RUN | COMMAND_CHECK | COMMAND_REPLAY | COMMAND_BENCH |
		 COMMAND_CAMPAIGN,
	GENERATES = COMMAND_GENERATE | COMMAND_CAMPAIGN,
	EVERY = 0x5ff | GENERATES,
	LOGS = COMMAND_CHECK | COMMAND_SHOW | COMMAND_CONVERT,
};

struct option_spec {
	const char *name;
	const char *argument; /* NULL: takes none */
	enum option_id id;
	unsigned commands;
	const char *help;
};

static const struct option_spec option_specs[] = {
	{ "program", "CMD", OPTION_PROGRAM, COMMAND_SWEEP | COMMAND_RUN | COMMAND_CAMPAIGN,
	  "not the engine but this: 'qemu-io ... {image}'" },
	{ "nbd", "CMD", OPTION_NBD, COMMAND_SWEEP | COMMAND_RUN | COMMAND_CAMPAIGN,
	  "or this: 'qemu-nbd ... {socket} ... {image}'" },
	{ "image-dir", "DIR", OPTION_IMAGE_DIR,
	  RARE | COMMAND_SWEEP | COMMAND_RUN | COMMAND_REPLAY | COMMAND_SHRINK | COMMAND_CAMPAIGN,
	  "where its images live (in memory)" },
	{ "gate-all", NULL, OPTION_GATE_ALL, RARE | COMMAND_SWEEP | COMMAND_RUN,
	  "its main thread's calls wait as well" },
	{ "split-completion", NULL, OPTION_SPLIT_COMPLETION, RARE | COMMAND_SWEEP | COMMAND_RUN,
	  "effect and return of a call are two steps" },
	{ "policy", "NAME", OPTION_POLICY, ENGINE, "eager, delayed or cancel" },
	{ "points", "io|all", OPTION_POINTS, ENGINE, "where other tasks may get a turn (all)" },
	{ "faults", "K", OPTION_FAULTS, ENGINE, "at most K injected errors a run" },
	{ "fault-points", "PATTERN", OPTION_FAULT_POINTS, ENGINE, "which calls may fail ('*')" },
	{ "fault-kinds", "KINDS", OPTION_FAULT_KINDS, RARE | ENGINE, "see 'list faults' (all)" },
	{ "bug", "NAME", OPTION_BUG, ENGINE, "switch a known bug on; 2012: the group; none" },
	{ "crash", "MODELS", OPTION_CRASH, JUDGES, "prefix,torn (both)" },
	{ "lax", NULL, OPTION_LAX, JUDGES & ~(unsigned)COMMAND_BENCH,
	  "data that was not flushed may be mixed" },
	{ "sector", "BYTES", OPTION_SECTOR, RARE | JUDGES | COMMAND_CONVERT,
	  "written atomically: 512 or 4096 (512)" },
	{ "strategy", "NAME", OPTION_STRATEGY, SEARCHES | COMMAND_CAMPAIGN,
	  "see 'list strategies' (dpor)" },
	{ "no-prune", NULL, OPTION_NO_PRUNE, RARE | SEARCHES,
	  "dfs: run equivalent interleavings, too" },
	{ "twice", NULL, OPTION_TWICE, RARE | SEARCHES,
	  "execute everything once more, and compare" },
	{ "requests", "A..B", OPTION_REQUESTS, GENERATES, "how many in a workload (1..3)" },
	{ "kinds", "LIST", OPTION_KINDS, GENERATES, "of these requests only (all)" },
	{ "states", "LIST", OPTION_STATES, GENERATES, "clusters in these states only (all)" },
	{ "caches", "LIST", OPTION_CACHES, GENERATES, "writeback,writethrough (both)" },
	{ "lazy", "LIST", OPTION_LAZY, GENERATES, "lazy refcounts: off,on (both)" },
	{ "limit", "N", OPTION_LIMIT, GENERATES, "the first N workloads only" },
	{ "shard", "I/N", OPTION_SHARD, GENERATES, "each N-th workload, from the I-th on" },
	{ "count", NULL, OPTION_COUNT_ONLY, COMMAND_GENERATE, "say how many, write none" },
	{ "each", "N", OPTION_EACH, COMMAND_CAMPAIGN, "runs of a workload at most (200)" },
	{ "budget", "BOUND", OPTION_BUDGET, COMMAND_CAMPAIGN,
	  "60s or 1h, of all that is done now" },
	{ "budget", "BOUND", OPTION_BUDGET, SEARCHES | COMMAND_SHRINK,
	  "60s, 10000runs or 1e9states; repeatable" },
	{ "runs", "N", OPTION_RUNS, RARE | SEARCHES, "samplers: how many runs (1000)" },
	{ "depth", "N", OPTION_DEPTH, RARE | SEARCHES,
	  "pct: orderings (3); delay: deviations (no end)" },
	{ "seed", "N", OPTION_SEED, SEARCHES | COMMAND_RUN, "of the random picks" },
	{ "schedule", "S", OPTION_SCHEDULE, COMMAND_RUN, "the picks to follow, as printed" },
	{ "recovery", "DEPTH", OPTION_RECOVERY, RARE | COMMAND_SWEEP | COMMAND_RUN,
	  "lazy refcounts: crashes of repair, too: 0..2 (2)" },
	{ "no-swap", NULL, OPTION_NO_SWAP, RARE | COMMAND_SWEEP, "leave the swap test out" },
	{ "symmetry", NULL, OPTION_SYMMETRY, RARE | COMMAND_SWEEP | COMMAND_RUN,
	  "requests that are alike begin in one order only" },
	{ "jobs", "N", OPTION_JOBS, COMMAND_SWEEP, "processes (1; suite: 2 if 2 CPUs)" },
	{ "jobs", "N", OPTION_JOBS, COMMAND_CAMPAIGN, "processes (1)" },
	{ "slice", "N", OPTION_SLICE, RARE | COMMAND_SWEEP,
	  "dpor: runs of a job at a time (5000)" },
	{ "resume", "FILE", OPTION_RESUME, COMMAND_SWEEP, "go on from a checkpoint" },
	{ "corpus", "DIR", OPTION_CORPUS, COMMAND_SWEEP,
	  "run its traces first, add new ones to it" },
	{ "image", "FILE", OPTION_IMAGE, COMMAND_RECORD, "watch this image; repeatable" },
	{ "image", "FILE", OPTION_IMAGE, LOGS, "dm-log-writes log: the image as it was before" },
	{ "dialect", "NAME", OPTION_DIALECT, LOGS, "whose log: kernel, qemu or auto (auto)" },
	{ "to", "FORMAT", OPTION_TO, COMMAND_CONVERT,
	  "trace, dm-log-writes or workload (OUT's name tells)" },
	{ "inject", "FILE", OPTION_INJECT, COMMAND_CONVERT,
	  "to a workload: blkdebug.conf or LazyFS entries" },
	{ "inject", "FILE", OPTION_INJECT, RARE | COMMAND_CHECK,
	  "LazyFS entries: judge the crashes that they name" },
	{ "guest", "WORD", OPTION_GUEST, COMMAND_CHECK,
	  "a tool's recording: its data unchanged or old-or-new" },
	{ "events", NULL, OPTION_EVENTS, COMMAND_SHOW, "print every event" },
	{ "stacks", NULL, OPTION_STACKS, COMMAND_SHOW, "print every event with its stack" },
	{ "long", NULL, OPTION_LONG, COMMAND_LIST, "rules: all that is to be said of each" },
	{ "html", NULL, OPTION_HTML, COMMAND_SHOW, "one page: story, diagram, image, stacks" },
	{ "svg", NULL, OPTION_SVG, COMMAND_SHOW, "the space-time diagram" },
	{ "perfetto", NULL, OPTION_PERFETTO, COMMAND_SHOW, "a trace for ui.perfetto.dev" },
	{ "image-at", "K[+J]", OPTION_IMAGE_AT, COMMAND_SHOW,
	  "write the image after K operations (and J sectors)" },
	{ "persist", "LIST", OPTION_PERSIST, COMMAND_SHOW,
	  "of these operations, as a reorder verdict says" },
	{ "output", "FILE", OPTION_OUTPUT, COMMAND_SHOW, "where that goes (pictures: stdout)" },
	{ "out", "DIR", OPTION_OUT, COMMAND_SWEEP | COMMAND_RUN | COMMAND_RECORD | COMMAND_SHRINK,
	  "where traces go (created)" },
	{ "bundle", "FILE", OPTION_BUNDLE, COMMAND_SHRINK,
	  "bug.tar.zst: all that another needs to see it" },
	{ "bisect", NULL, OPTION_BISECT, COMMAND_REPLAY,
	  "for 'git bisect run': 125 when it cannot tell" },
	{ "out", "DIR", OPTION_OUT, COMMAND_GENERATE, "where workloads go (created)" },
	{ "out", "DIR", OPTION_OUT, COMMAND_CAMPAIGN,
	  "journal and traces; goes on if there is one" },
	{ "traces", "N|SIZE", OPTION_TRACES, COMMAND_SWEEP | COMMAND_CAMPAIGN,
	  "keep so many traces, or bytes of them; repeatable" },
	{ "junit", "FILE", OPTION_JUNIT,
	  COMMAND_SWEEP | COMMAND_CHECK | COMMAND_REPLAY | COMMAND_CAMPAIGN,
	  "write a JUnit report" },
	{ "tap", NULL, OPTION_TAP,
	  COMMAND_SWEEP | COMMAND_CHECK | COMMAND_REPLAY | COMMAND_CAMPAIGN,
	  "results as TAP on stdout" },
	{ "json", NULL, OPTION_JSON, EVERY & ~(unsigned)COMMAND_RECORD, "one object on stdout" },
	{ "quiet", NULL, OPTION_QUIET, EVERY, "only findings and errors" },
	{ "help", NULL, OPTION_HELP, EVERY | COMMAND_MANUAL | COMMAND_COMPLETION, "this page" },
};

enum { OPTION_COUNT = sizeof(option_specs) / sizeof(option_specs[0]), HELP_COLUMNS = 78 };

static enum status bad_number(const char *name, const char *text, struct why *why)
{
	return why_set(why, STATUS_USAGE, "--%s '%s': not a number in range", name, text);
}

static enum status take_number(const char *name, const char *text, uint64_t most, uint64_t *number,
			       struct why *why)
{
	return count_parse(text, most, number) ? STATUS_OK : bad_number(name, text, why);
}

static enum status take_small(const char *name, const char *text, uint32_t most, uint32_t *number,
			      struct why *why)
{
	uint64_t parsed = 0;
	enum status status = take_number(name, text, most, &parsed, why);
	*number = (uint32_t)parsed;
	return status;
}

static enum status take_sector(struct options *options, const char *text, struct why *why)
{
	enum status status = take_small("sector", text, 4096, &options->sector_bytes, why);
	if (status == STATUS_OK && options->sector_bytes != 512 && options->sector_bytes != 4096)
		return why_set(why, STATUS_USAGE, "--sector '%s': 512 or 4096", text);
	return status;
}

static enum status take_repeated(const char **list, size_t *count, size_t most, const char *text,
				 struct why *why)
{
	if (*count == most)
		return why_set(why, STATUS_USAGE, "'%s': more than %zu of one option", text, most);
	list[(*count)++] = text;
	return STATUS_OK;
}

/* The options whose argument is kept as it is. */
static const char **text_option(struct options *options, enum option_id id)
{
	switch ((unsigned)id) {
	case OPTION_JUNIT: return &options->junit;
	case OPTION_OUT: return &options->out;
	case OPTION_POLICY: return &options->policy;
	case OPTION_CRASH: return &options->crash;
	case OPTION_FAULT_POINTS: return &options->fault_points;
	case OPTION_FAULT_KINDS: return &options->fault_kinds;
	case OPTION_STRATEGY: return &options->strategy;
	case OPTION_POINTS: return &options->points;
	case OPTION_SCHEDULE: return &options->schedule;
	case OPTION_RESUME: return &options->resume;
	case OPTION_CORPUS: return &options->corpus;
	case OPTION_IMAGE_AT: return &options->image_at;
	case OPTION_PERSIST: return &options->persist;
	case OPTION_BUNDLE: return &options->bundle;
	case OPTION_OUTPUT: return &options->output;
	case OPTION_DIALECT: return &options->dialect;
	case OPTION_TO: return &options->to;
	case OPTION_PROGRAM: return &options->subject;
	case OPTION_NBD: return &options->server;
	case OPTION_IMAGE_DIR: return &options->image_folder;
	case OPTION_GUEST: return &options->guest;
	case OPTION_REQUESTS: return &options->requests;
	case OPTION_KINDS: return &options->kinds;
	case OPTION_STATES: return &options->states;
	case OPTION_CACHES: return &options->caches;
	case OPTION_LAZY: return &options->lazy;
	case OPTION_SHARD: return &options->shard;
	default: return NULL;
	}
}

/* The options without argument. */
static bool *flag_option(struct options *options, enum option_id id)
{
	switch ((unsigned)id) {
	case OPTION_HELP: return &options->help;
	case OPTION_JSON: return &options->json;
	case OPTION_TAP: return &options->tap;
	case OPTION_QUIET: return &options->quiet;
	case OPTION_NO_PRUNE: return &options->no_prune;
	case OPTION_TWICE: return &options->twice;
	case OPTION_NO_SWAP: return &options->no_swap;
	case OPTION_SYMMETRY: return &options->symmetry;
	case OPTION_GATE_ALL: return &options->gate_all;
	case OPTION_SPLIT_COMPLETION: return &options->split_completion;
	case OPTION_LAX: return &options->lax;
	case OPTION_EVENTS: return &options->events;
	case OPTION_STACKS: return &options->stacks;
	case OPTION_BISECT: return &options->bisect;
	case OPTION_LONG: return &options->list_long;
	case OPTION_HTML: return &options->html;
	case OPTION_SVG: return &options->svg;
	case OPTION_PERFETTO: return &options->perfetto;
	case OPTION_COUNT_ONLY: return &options->count;
	default: return NULL;
	}
}

static enum status take(struct options *options, enum option_id id, const char *text,
			struct why *why)
{
	const char **kept = text_option(options, id);
	bool *flag = flag_option(options, id);
	if (flag) {
		*flag = true;
		return STATUS_OK;
	}
	if (kept) {
		*kept = text;
		return STATUS_OK;
	}
	switch ((unsigned)id) {
	case OPTION_BUDGET: return budget_parse(&options->budget, text, why);
	case OPTION_TRACES: return trace_bound_parse(&options->traces, text, why);
	case OPTION_SECTOR: return take_sector(options, text, why);
	case OPTION_RUNS: return take_number("runs", text, UINT64_MAX, &options->runs, why);
	case OPTION_SLICE: return take_number("slice", text, UINT32_MAX, &options->slice, why);
	case OPTION_LIMIT: return take_number("limit", text, UINT64_MAX, &options->limit, why);
	case OPTION_EACH: return take_number("each", text, UINT32_MAX, &options->each, why);
	case OPTION_SEED:
		options->has_seed = true;
		return take_number("seed", text, UINT64_MAX, &options->seed, why);
	case OPTION_DEPTH: return take_small("depth", text, 1000, &options->depth, why);
	case OPTION_FAULTS:
		options->has_faults = true;
		return take_small("faults", text, 64, &options->faults, why);
	case OPTION_RECOVERY:
		options->has_recovery = true;
		return take_small("recovery", text, RECOVERY_DEPTH_MAX, &options->recovery, why);
	case OPTION_JOBS:
		options->has_jobs = true;
		return take_small("jobs", text, OPTIONS_JOBS_MAX, &options->jobs, why);
	case OPTION_BUG:
		return take_repeated(options->bugs, &options->bug_count, OPTIONS_BUGS_MAX, text,
				     why);
	case OPTION_IMAGE:
		return take_repeated(options->images, &options->image_count, OPTIONS_IMAGES_MAX,
				     text, why);
	case OPTION_INJECT:
		return take_repeated(options->injected, &options->injected_count,
				     OPTIONS_INJECTED_MAX, text, why);
	default: break;
	}
	return why_set(why, STATUS_USAGE, "option %d is not handled", (int)id);
}

/* The part of the table that `command` takes, in getopt's form. */
static void fill_long_options(struct option *long_options, enum command_bit command)
{
	size_t count = 0;
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (option_specs[i].commands & command)
			long_options[count++] = (struct option){
				.name = option_specs[i].name,
				.has_arg =
					option_specs[i].argument ? required_argument : no_argument,
				.val = (int)option_specs[i].id,
			};
	long_options[count] = (struct option){ 0 };
}

static enum status check_forms(const struct options *options, struct why *why)
{
	if (options->json && options->tap)
		return why_set(why, STATUS_USAGE, "%s: --json and --tap both want stdout",
			       options->command);
	return STATUS_OK;
}

static enum status take_positional(struct options *options, enum command_bit command, int argc,
				   char **argv, struct why *why)
{
	if (command == COMMAND_RECORD) {
		options->program = argc ? argv : NULL;
		return STATUS_OK;
	}
	for (int i = 0; i < argc; i++) {
		if (options->positional_count == OPTIONS_POSITIONAL_MAX)
			return why_set(why, STATUS_USAGE, "%s: too many arguments at '%s'",
				       options->command, argv[i]);
		options->positional[options->positional_count++] = argv[i];
	}
	return STATUS_OK;
}

const char *options_folder(const struct options *options)
{
	return options->out ? options->out : "cowtip-out";
}

enum status options_parse(struct options *options, enum command_bit command, int argc, char **argv,
			  struct why *why)
{
	struct option long_options[OPTION_COUNT + 1];
	*options = (struct options){ .command = argv[0] };
	fill_long_options(long_options, command);
	opterr = 0;
	optind = 0;
	/* record's own options end where the program begins. */
	const char *shorts = command == COMMAND_RECORD ? "+:hq" : ":hq";
	for (;;) {
		int at = optind ? optind : 1;
		int id = getopt_long(argc, argv, shorts, long_options, NULL);
		if (id == -1)
			break;
		if (id == '?' || id == ':')
			return why_set(
				why, STATUS_USAGE, "%s: %s '%s' (see 'cowtip %s --help')", argv[0],
				id == ':' ? "an argument is missing behind" : "no such option:",
				argv[optind > at ? optind - 1 : at], argv[0]);
		if (id == 'h' || id == 'q')
			id = id == 'h' ? OPTION_HELP : OPTION_QUIET;
		enum status status = take(options, (enum option_id)id, optarg, why);
		if (status != STATUS_OK)
			return status;
	}
	enum status status = check_forms(options, why);
	if (status != STATUS_OK)
		return status;
	return take_positional(options, command, argc - optind, argv + optind, why);
}

/* Names of what is not told here, in lines of a screen's width. */
static void print_rare(enum command_bit command)
{
	size_t column = 0;
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_spec *spec = &option_specs[i];
		if (!(spec->commands & command) || !(spec->commands & RARE))
			continue;
		size_t bytes = strlen(spec->name) + 3;
		if (spec->argument)
			bytes += strlen(spec->argument) + 1;
		if (column == 0 || column + bytes > HELP_COLUMNS)
			column = (size_t)printf(column ? "\n      " : "\nalso: ") - 1;
		printf("%s--%s%s%s", column > 6 ? " " : "", spec->name, spec->argument ? " " : "",
		       spec->argument ? spec->argument : "");
		column += bytes;
	}
	if (column)
		putchar('\n');
}

void options_print_help(enum command_bit command)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_spec *spec = &option_specs[i];
		char left[40];
		if (!(spec->commands & command) || (spec->commands & RARE))
			continue;
		snprintf(left, sizeof(left), "--%s%s%s", spec->name, spec->argument ? " " : "",
			 spec->argument ? spec->argument : "");
		printf("  %-24s %s\n", left, spec->help);
	}
	print_rare(command);
}

bool option_about(size_t index, struct option_about *about)
{
	if (index >= OPTION_COUNT)
		return false;
	const struct option_spec *spec = &option_specs[index];
	*about = (struct option_about){ .name = spec->name,
					.argument = spec->argument,
					.help = spec->help,
					.commands = spec->commands & ~RARE };
	return true;
}
