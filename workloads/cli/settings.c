// SPDX-License-Identifier: MIT
#include "workloads/cli/settings.h"

#include "injector/fault_point.h"
#include "injector/strategy_dpor.h"
#include "oracle/verdict.h"
#include "traces/memory.h"
#include "workloads/bugs.h"
#include "workloads/language_words.h"
#include "workloads/recovery.h"
#include "workloads/world_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_POLICY "eager"
#define DEFAULT_CRASH "prefix,torn"

enum { DEFAULT_RANDOM_RUNS = 1000, DEFAULT_PCT_DEPTH = 3, FAULTS_MAX = 64 };

static enum status take_policy(struct settings *settings, const char *name, struct why *why)
{
	if (qcow2_policy_parse(name, &settings->world.policy))
		return STATUS_OK;
	return why_set(why, STATUS_USAGE, "unknown policy '%s': eager, delayed or cancel", name);
}

static enum status take_points(struct settings *settings, const char *name, struct why *why)
{
	bool all = strcmp(name, "all") == 0;
	if (!all && strcmp(name, "io") != 0)
		return why_set(why, STATUS_USAGE, "unknown points '%s': io or all", name);
	settings->world.points = all ? SCHED_POINTS_ALL : SCHED_POINTS_IO;
	return STATUS_OK;
}

static enum status take_crash(struct settings *settings, const char *names, struct why *why)
{
	if (!crash_models_parse(names, &settings->models))
		return why_set(why, STATUS_USAGE,
			       "unknown crash model in '%s': prefix, torn, reorder", names);
	settings->world.flushes_matter = (settings->models & CRASH_REORDER) != 0;
	return STATUS_OK;
}

/* Requests are alike only where each is told by its stamps, and takes its first lock in a step of
 * its own. */
static enum status take_symmetry(struct settings *settings, bool symmetry, struct why *why)
{
	settings->world.symmetry = symmetry;
	if (symmetry && (settings->world.points != SCHED_POINTS_ALL || !settings->world.stamps))
		return why_set(why, STATUS_USAGE, "--symmetry needs --points all");
	return STATUS_OK;
}

static void take_fault_points(struct settings *settings, const char *pattern)
{
	if (!pattern)
		return;
	trace_set_text(&settings->fault_points, pattern);
	settings->world.fault_points = settings->fault_points;
}

static enum status take_fault_kinds(struct settings *settings, const char *names, struct why *why)
{
	if (fault_kinds_parse(names, &settings->world.fault_kinds))
		return STATUS_OK;
	return why_set(why, STATUS_USAGE,
		       "unknown kind of fault in '%s' (see 'cowtip list faults')", names);
}

static enum status add_bug(struct settings *settings, const char *name, struct why *why)
{
	if (strcmp(name, "none") == 0)
		return STATUS_OK;
	if (!bugs_is_known(name))
		return why_set(why, STATUS_USAGE, "unknown bug '%s' (see 'cowtip list bugs')",
			       name);
	char **bugs = realloc(settings->bugs, (settings->bug_count + 1) * sizeof(*bugs));
	if (!bugs)
		abort();
	settings->bugs = bugs;
	settings->bugs[settings->bug_count] = NULL;
	trace_set_text(&settings->bugs[settings->bug_count++], name);
	return STATUS_OK;
}

/* Names with commas between them. */
static enum status add_bugs(struct settings *settings, const char *names, struct why *why)
{
	enum status status = STATUS_OK;
	while (*names && status == STATUS_OK) {
		size_t bytes = strcspn(names, ",");
		char *name = strndup(names, bytes);
		if (!name)
			abort();
		status = add_bug(settings, name, why);
		free(name);
		names += bytes + (names[bytes] == ',');
	}
	return status;
}

/* The names again as add_bugs() takes them; "" without any. Gives; free(). */
static char *bugs_text(const struct settings *settings)
{
	size_t bytes = 1;
	for (size_t i = 0; i < settings->bug_count; i++)
		bytes += strlen(settings->bugs[i]) + 1;
	char *text = calloc(bytes, 1);
	if (!text)
		abort();
	for (size_t i = 0; i < settings->bug_count; i++) {
		size_t used = strlen(text);
		snprintf(text + used, bytes - used, "%s%s", i ? "," : "", settings->bugs[i]);
	}
	return text;
}

/* The strategies that a search may use. */
static const struct settings_strategy_row strategy_rows[] = {
	{ "dpor", "one run of each class of equivalent interleavings (partial-order reduction); "
		  "complete when it ends" },
	{ "dfs", "every interleaving, depth first; equivalent ones are pruned by sleep sets unless "
		 "--no-prune; complete when it ends" },
	{ "stateful", "every state that any interleaving passes through, each gone on from once; "
		      "complete when it ends" },
	{ "delay", "every interleaving with at most 0, 1, 2, ... (--depth) deviations from one "
		   "scheduler; complete when no more deviations are possible" },
	{ "pos",
	  "--runs samples spread over the classes (partial-order sampling) from --seed; never "
	  "complete" },
	{ "pct",
	  "--runs samples from --seed, each of which meets a bug of --depth orderings with a "
	  "known probability; never complete" },
	{ "random", "--runs runs with uniformly random picks from --seed; never complete" },
	{ "auto", "dpor for a while, then whichever fits the budget; says which and why" },
};

const struct settings_strategy_row *settings_strategy_row(size_t index)
{
	return index < sizeof(strategy_rows) / sizeof(strategy_rows[0]) ? &strategy_rows[index]
									: NULL;
}

static enum status take_strategy(struct settings *settings, const struct options *options,
				 struct why *why)
{
	const char *name = options->strategy ? options->strategy : strategy_rows[0].name;
	const struct settings_strategy_row *row = NULL;
	settings->prune = !options->no_prune;
	settings->twice = options->twice;
	settings->seed = options->seed;
	settings->runs = options->runs ? options->runs : DEFAULT_RANDOM_RUNS;
	settings->depth = options->depth;
	for (size_t i = 0; (row = settings_strategy_row(i)); i++) {
		if (strcmp(name, row->name) == 0) {
			settings->strategy = row->name;
			return STATUS_OK;
		}
	}
	return why_set(why, STATUS_USAGE, "unknown strategy '%s' (see 'cowtip list strategies')",
		       name);
}

static const char *first_said(const char *a, const char *b, const char *otherwise)
{
	return a ? a : b ? b : otherwise;
}

#define CACHE_WORD "{cache}"

/* The command line with {cache} as the workload says; gives. */
static enum status with_cache(char **command, const char *given, const char *mode, struct why *why)
{
	const char *at = strstr(given, CACHE_WORD);
	bool is_usual = !mode || strcmp(mode, "writeback") == 0;
	if (!at && !is_usual)
		return why_set(
			why, STATUS_USAGE,
			"the workload says '#@ cache %s', and nothing in '%.200s' says where "
			"that goes: " CACHE_WORD " is missing",
			mode, given);
	if (!at)
		trace_set_text(command, given);
	else if (asprintf(command, "%.*s%s%s", (int)(at - given), given,
			  is_usual ? "writeback" : mode, at + strlen(CACHE_WORD)) < 0)
		abort();
	return STATUS_OK;
}

/* Where the command line of a foreign program comes from. */
enum origin { ORIGIN_OPTIONS, ORIGIN_TRACE };

/* A foreign program has no policy, and no known bugs that we could switch. The faults that a
 * workload asks for are the engine's. */
static enum status take_program(struct settings *settings, const char *program, const char *server,
				enum origin origin, const struct options *options, struct why *why)
{
	const char *option = server ? "--nbd" : "--program";
	if (options->image_folder)
		trace_set_text(&settings->image_folder, options->image_folder);
	if (!program && !server)
		return STATUS_OK;
	if (program && server)
		return why_set(why, STATUS_USAGE, "--program and --nbd: one subject is wanted");
	trace_set_text(&settings->program, server ? server : program);
	settings->is_nbd = server != NULL;
	settings->gate_all |= options->gate_all;
	settings->split_completion |= options->split_completion;
	settings->world.points = SCHED_POINTS_IO;
	settings->world.stamps = false;
	/* What a program leaves dirty is not the engine's to repair. */
	settings->recovery = 0;
	if (options->policy || options->points || options->symmetry || options->bug_count ||
	    options->resume || options->twice)
		return why_set(why, STATUS_USAGE,
			       "%s goes without --policy, --points, --bug, --symmetry, --resume "
			       "and --twice",
			       option);
	if (!options->has_faults && origin == ORIGIN_OPTIONS)
		settings->world.faults_max = 0;
	if (!options->strategy)
		settings->strategy = "dfs";
	settings->prune = false;
	if (!settings->strategy || strcmp(settings->strategy, "dfs") == 0 ||
	    strcmp(settings->strategy, "dpor") == 0 || strcmp(settings->strategy, "random") == 0 ||
	    strcmp(settings->strategy, "replay") == 0)
		return STATUS_OK;
	return why_set(why, STATUS_USAGE,
		       "strategy '%s': with %s only dfs, dpor and random: what the steps of a "
		       "foreign program have to do with each other is not known",
		       settings->strategy, option);
}

enum status settings_resolve(struct settings *settings, const struct workload *workload,
			     const struct options *options, struct why *why)
{
	*settings = (struct settings){ .sector_bytes = options->sector_bytes, .lax = options->lax };
	/* Without lazy refcounts no image is ever dirty. */
	if (workload->image.lazy_refcounts)
		settings->recovery = options->has_recovery ? options->recovery : RECOVERY_DEPTH_MAX;
	settings->world.stamps = true;
	settings->world.faults_max = options->has_faults ? options->faults : workload->faults;
	take_fault_points(settings,
			  first_said(options->fault_points, workload->fault_points, NULL));
	settings->world.fault_kinds = workload->fault_kinds;
	enum status status = take_strategy(settings, options, why);
	if (status == STATUS_OK && options->fault_kinds)
		status = take_fault_kinds(settings, options->fault_kinds, why);
	if (status == STATUS_OK)
		status = take_policy(settings,
				     first_said(options->policy, workload->policy, DEFAULT_POLICY),
				     why);
	if (status == STATUS_OK)
		status = take_points(settings, first_said(options->points, NULL, "all"), why);
	if (status == STATUS_OK)
		status = take_symmetry(settings, options->symmetry, why);
	if (status == STATUS_OK)
		status = take_crash(
			settings, first_said(options->crash, workload->crash, DEFAULT_CRASH), why);
	for (size_t i = 0; i < options->bug_count && status == STATUS_OK; i++)
		status = add_bug(settings, options->bugs[i], why);
	bool is_foreign = options->subject || options->server;
	for (size_t i = 0;
	     !is_foreign && !options->bug_count && i < workload->bug_count && status == STATUS_OK;
	     i++)
		status = add_bug(settings, workload->bugs[i], why);
	if (is_foreign && workload->rule_count)
		fprintf(stderr,
			"cowtip: %s: '#@ inject' is for the built-in engine and plays no part: "
			"give the program blkdebug's own file\n",
			workload->name);
	char *program = NULL, *server = NULL;
	if (status == STATUS_OK && options->subject)
		status = with_cache(&program, options->subject, workload->cache, why);
	if (status == STATUS_OK && options->server)
		status = with_cache(&server, options->server, workload->cache, why);
	if (status == STATUS_OK)
		status = take_program(settings, program, server, ORIGIN_OPTIONS, options, why);
	free(program);
	free(server);
	return status;
}

static const char *recorded(const struct trace *trace, const char *key, const char *otherwise)
{
	const char *value = trace_setting(trace, key);
	return value ? value : otherwise;
}

static enum status take_numbers(struct settings *settings, const struct trace *trace,
				const struct options *options, struct why *why)
{
	uint64_t faults = 0, sector_bytes = 0, recovery = 0;
	if (!count_parse(recorded(trace, "faults", "0"), FAULTS_MAX, &faults) ||
	    !count_parse(recorded(trace, "recovery", "0"), RECOVERY_DEPTH_MAX, &recovery) ||
	    !count_parse(recorded(trace, "sector", "512"), 4096, &sector_bytes) ||
	    (sector_bytes != 512 && sector_bytes != 4096))
		return why_set(why, STATUS_BAD_INPUT, "the trace's settings make no sense");
	settings->world.faults_max = (uint32_t)faults;
	settings->recovery = (uint32_t)recovery;
	settings->sector_bytes =
		options->sector_bytes ? options->sector_bytes : (uint32_t)sector_bytes;
	return STATUS_OK;
}

bool settings_trace_is_foreign(const struct trace *trace)
{
	return trace_setting(trace, "program") || trace_setting(trace, "nbd");
}

enum status settings_from_trace(struct settings *settings, const struct trace *trace,
				const struct options *options, struct why *why)
{
	*settings = (struct settings){ .strategy = "replay" };
	settings->gate_all = strcmp(recorded(trace, "gate_all", "no"), "yes") == 0;
	settings->split_completion = strcmp(recorded(trace, "split_completion", "no"), "yes") == 0;
	settings->lax = options->lax || strcmp(recorded(trace, "lax", "no"), "yes") == 0;
	settings->world.stamps = strcmp(recorded(trace, "stamps", "yes"), "yes") == 0;
	settings->world.files = trace->files;
	settings->world.file_count = trace->file_count;
	take_fault_points(settings, trace_setting(trace, "fault_points"));
	char unsaid[FAULT_KINDS_BYTES];
	fault_kinds_text(FAULT_KINDS_UNSAID, unsaid, sizeof(unsaid));
	enum status status = take_numbers(settings, trace, options, why);
	if (status == STATUS_OK)
		status = take_fault_kinds(settings, recorded(trace, "fault_kinds", unsaid), why);
	if (status == STATUS_OK)
		status = take_policy(settings, recorded(trace, "policy", DEFAULT_POLICY), why);
	if (status == STATUS_OK)
		status = take_points(settings, recorded(trace, "points", "io"), why);
	if (status == STATUS_OK)
		status = take_symmetry(settings,
				       strcmp(recorded(trace, "symmetry", "no"), "yes") == 0, why);
	if (status == STATUS_OK)
		status = take_crash(
			settings,
			first_said(options->crash, trace_setting(trace, "crash"), DEFAULT_CRASH),
			why);
	if (status == STATUS_OK)
		status = add_bugs(settings, recorded(trace, "bug", ""), why);
	if (status == STATUS_OK)
		status = take_program(settings, trace_setting(trace, "program"),
				      trace_setting(trace, "nbd"), ORIGIN_TRACE, options, why);
	if (status == STATUS_OK && options->guest &&
	    !guest_expectation_parse(options->guest, &settings->guest))
		status = why_set(why, STATUS_USAGE, "--guest '%s': unchanged or old-or-new",
				 options->guest);
	return status == STATUS_USAGE ? STATUS_BAD_INPUT : status;
}

void settings_to_trace(const struct settings *settings, struct trace *trace)
{
	char text[64];
	settings_models_text(settings, text, sizeof(text));
	trace_add_setting(trace, "crash", text);
	snprintf(text, sizeof(text), "%u", settings->sector_bytes ? settings->sector_bytes : 512);
	trace_add_setting(trace, "sector", text);
	if (settings->lax)
		trace_add_setting(trace, "lax", "yes");
	snprintf(text, sizeof(text), "%u", settings->recovery);
	if (settings->recovery)
		trace_add_setting(trace, "recovery", text);
	char *bugs = bugs_text(settings);
	if (*bugs)
		trace_add_setting(trace, "bug", bugs);
	free(bugs);
	trace_add_setting(trace, "version", COWTIP_VERSION);
}

char *settings_text(const struct settings *settings)
{
	char models[32];
	char kinds[FAULT_KINDS_BYTES];
	char *bugs = bugs_text(settings);
	char *text = NULL;
	fault_kinds_text(settings->world.fault_kinds ? settings->world.fault_kinds
						     : FAULT_KINDS_ALL,
			 kinds, sizeof(kinds));
	settings_models_text(settings, models, sizeof(models));
	int bytes = asprintf(
		&text,
		"policy=%s\npoints=%s\nfaults=%u\nfault_points=%s\nfault_kinds=%s\nbug=%s\n"
		"crash=%s\nsector=%u\nlax=%s\nsymmetry=%s\nrecovery=%u\n%s=%s\n"
		"gate_all=%s\nsplit_completion=%s\n",
		qcow2_policy_name(settings->world.policy), settings_points_name(settings),
		settings->world.faults_max, settings->fault_points ? settings->fault_points : "",
		kinds, bugs, models, settings->sector_bytes ? settings->sector_bytes : 512,
		settings->lax ? "yes" : "no", settings->world.symmetry ? "yes" : "no",
		settings->recovery, settings->is_nbd ? "nbd" : "program",
		settings->program ? settings->program : "", settings->gate_all ? "yes" : "no",
		settings->split_completion ? "yes" : "no");
	free(bugs);
	if (bytes < 0)
		abort();
	return text;
}

enum status settings_from_text(struct settings *settings, const char *text, struct why *why)
{
	static const struct options none = { 0 };
	struct trace trace;
	trace_init(&trace);
	while (*text) {
		size_t key_bytes = strcspn(text, "=\n");
		size_t bytes = strcspn(text, "\n");
		char *key = memory_text(text, key_bytes);
		char *value = key_bytes < bytes
				      ? memory_text(text + key_bytes + 1, bytes - key_bytes - 1)
				      : memory_text("", 0);
		if (*value && !trace_setting(&trace, key))
			trace_add_setting(&trace, key, value);
		free(key);
		free(value);
		text += bytes + (text[bytes] == '\n');
	}
	enum status status = settings_from_trace(settings, &trace, &none, why);
	settings->world.files = NULL;
	settings->world.file_count = 0;
	settings->strategy = strategy_rows[0].name;
	settings->prune = true;
	trace_release(&trace);
	return status;
}

void settings_release(struct settings *settings)
{
	for (size_t i = 0; i < settings->bug_count; i++)
		free(settings->bugs[i]);
	free(settings->bugs);
	free(settings->fault_points);
	free(settings->program);
	free(settings->image_folder);
	*settings = (struct settings){ 0 };
}

void settings_enable_bugs(const struct settings *settings)
{
	known_bugs_disable();
	for (size_t i = 0; i < settings->bug_count; i++)
		bugs_enable(settings->bugs[i]);
}

struct strategy *settings_strategy(const struct settings *settings, const struct order *order,
				   struct world *world)
{
	struct strategy *strategy;
	const char *name = settings->strategy;
	const struct state_source source = world_state_source(world);
	if (strcmp(name, "random") == 0)
		strategy = strategy_random_new(settings->seed, settings->runs);
	else if (strcmp(name, "pos") == 0)
		strategy = strategy_pos_new(settings->seed, settings->runs);
	else if (strcmp(name, "pct") == 0)
		strategy = strategy_pct_new(settings->seed, settings->runs,
					    settings->depth ? settings->depth : DEFAULT_PCT_DEPTH);
	else if (strcmp(name, "delay") == 0)
		strategy = strategy_delay_new(settings->depth);
	else if (strcmp(name, "stateful") == 0)
		strategy = strategy_stateful_new(&source, settings->states_max);
	else if (strcmp(name, "dfs") == 0)
		strategy = strategy_dfs_new(settings->prune);
	else
		strategy = strategy_dpor_new(order, NULL);
	return strategy && settings->twice ? strategy_twice_new(strategy) : strategy;
}

bool settings_strategy_samples(const struct settings *settings)
{
	return strcmp(settings->strategy, "random") == 0 ||
	       strcmp(settings->strategy, "pos") == 0 || strcmp(settings->strategy, "pct") == 0;
}

struct fault_options settings_faults(const struct settings *settings)
{
	return (struct fault_options){ .points = settings->fault_points,
				       .kinds = settings->world.fault_kinds,
				       .faults_max = settings->world.faults_max };
}

const char *settings_points_name(const struct settings *settings)
{
	return settings->world.points == SCHED_POINTS_ALL ? "all" : "io";
}

void settings_models_text(const struct settings *settings, char *text, size_t text_bytes)
{
	static const enum crash_model models[] = { CRASH_PREFIX, CRASH_TORN, CRASH_REORDER };
	text[0] = 0;
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		size_t used = strlen(text);
		if (settings->models & models[i])
			snprintf(text + used, text_bytes - used, "%s%s", used ? "," : "",
				 crash_model_name(models[i]));
	}
}
