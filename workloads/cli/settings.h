// SPDX-License-Identifier: MIT
/** What a run depends on beside its workload and schedule: from the workload's `#@` lines, what the
 * command line overrides, or what a trace recorded. */
#ifndef WORKLOADS_CLI_SETTINGS_H
#define WORKLOADS_CLI_SETTINGS_H

#include "workloads/cli/options.h"
#include "workloads/world.h"

struct settings {
	struct world_options world;
	char *fault_points;    /* owned; world.fault_points borrows it */
	unsigned models;       /* set of crash_model bits */
	uint32_t sector_bytes; /* 0: 512 */
	char **bugs;           /* owned; known bugs and groups switched on */
	size_t bug_count;
	const char *strategy; /* a literal: "dfs", "random" */
	bool prune;
	bool twice;
	uint64_t seed;
	uint64_t runs;
};

/** Combine a workload's own settings with the command line's, which win. STATUS_USAGE for names
 * that nothing knows. Release with settings_release(), also after failure. */
MUST_USE enum status settings_resolve(struct settings *settings, const struct workload *workload,
				      const struct options *options, struct why *why);

/** Take the settings that `trace` recorded; `options` may override the crash models and the sector.
 * The world's files are the trace's (borrowed). STATUS_BAD_INPUT. */
MUST_USE enum status settings_from_trace(struct settings *settings, const struct trace *trace,
					 const struct options *options, struct why *why);

/** Add to `trace` what world_trace() does not know: crash models, sector, bugs, version. */
void settings_to_trace(const struct settings *settings, struct trace *trace);

/** Free what `settings` owns. */
void settings_release(struct settings *settings);

/** Switch exactly the known bugs of `settings` on. */
void settings_enable_bugs(const struct settings *settings);

/** The strategy that a search uses. Gives; NULL when memory is short. */
struct strategy *settings_strategy(const struct settings *settings);

/** "io" or "all". */
const char *settings_points_name(const struct settings *settings);

/** The crash models as text, e.g. "prefix,torn". */
void settings_models_text(const struct settings *settings, char *text, size_t text_bytes);

#endif
