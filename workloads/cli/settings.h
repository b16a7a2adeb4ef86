// SPDX-License-Identifier: MIT
/** What a run depends on beside its workload and schedule: from the workload's `#@` lines, what the
 * command line overrides, or what a trace recorded. */
#ifndef WORKLOADS_CLI_SETTINGS_H
#define WORKLOADS_CLI_SETTINGS_H

#include "injector/fault_point.h"
#include "workloads/cli/guest_log.h"
#include "workloads/cli/options.h"
#include "workloads/world.h"

struct settings {
	struct world_options world;
	char *fault_points;    /* owned; world.fault_points borrows it */
	unsigned models;       /* set of crash_model bits */
	uint32_t sector_bytes; /* 0: 512 */
	bool lax;              /* what only the strict form of old-or-new sees is left out */
	uint32_t recovery;     /* crashes, the first included, that repairs must survive; 0: none */
	char **bugs;           /* owned; known bugs and groups switched on */
	size_t bug_count;
	const char *strategy; /* a literal, of settings_strategy_row() */
	bool prune;
	bool twice;
	uint64_t seed;
	uint64_t runs;
	uint32_t depth;        /* pct: orderings; delay: deviations; 0: not said */
	uint64_t states_max;   /* stateful: how many are kept; 0: as many as memory allows */
	char *program;         /* owned; the command line of a foreign program; NULL: the engine */
	bool is_nbd;           /* that program is an NBD server */
	bool gate_all;         /* of its main thread, too */
	bool split_completion; /* effects and returns are two steps */
	enum guest_expectation guest;
	char *image_folder; /* owned; where its images live; NULL: not said */
};

/** A strategy that a search may use. */
struct settings_strategy_row {
	const char *name;
	const char *explanation; /* what it covers */
};

/** Number `index`, from 0; NULL behind the last. The first is the default. */
const struct settings_strategy_row *settings_strategy_row(size_t index);

/** Combine a workload's own settings with the command line's, which win. STATUS_USAGE for names
 * that nothing knows. Release with settings_release(), also after failure. */
MUST_USE enum status settings_resolve(struct settings *settings, const struct workload *workload,
				      const struct options *options, struct why *why);

/** Was the subject of `trace` a foreign program that ran a workload of ours? */
bool settings_trace_is_foreign(const struct trace *trace);

/** Take the settings that `trace` recorded; `options` may override the crash models, the sector and
 * the form of old-or-new. The world's files are the trace's (borrowed). STATUS_BAD_INPUT. */
MUST_USE enum status settings_from_trace(struct settings *settings, const struct trace *trace,
					 const struct options *options, struct why *why);

/** Add to `trace` what world_trace() does not know: crash models, sector, form of old-or-new, bugs,
 * version. */
void settings_to_trace(const struct settings *settings, struct trace *trace);

/** All that the runs and their verdicts depend on, a line each: "policy=cancel". Equal settings,
 * equal texts. Gives; free(). */
char *settings_text(const struct settings *settings);

/** The settings of such a text, with the default strategy. STATUS_BAD_INPUT. */
MUST_USE enum status settings_from_text(struct settings *settings, const char *text,
					struct why *why);

/** Free what `settings` owns. */
void settings_release(struct settings *settings);

/** Switch exactly the known bugs of `settings` on. */
void settings_enable_bugs(const struct settings *settings);

/** The strategy that a search of `world` uses; `order` is the run's (both borrowed). Gives; NULL
 * when memory is short. */
struct strategy *settings_strategy(const struct settings *settings, const struct order *order,
				   struct world *world);

/** Is the strategy a sampler, which is never complete? */
bool settings_strategy_samples(const struct settings *settings);

/** The faults that a run may have; borrows from `settings`. */
struct fault_options settings_faults(const struct settings *settings);

/** "io" or "all". */
const char *settings_points_name(const struct settings *settings);

/** The crash models as text, e.g. "prefix,torn". */
void settings_models_text(const struct settings *settings, char *text, size_t text_bytes);

#endif
