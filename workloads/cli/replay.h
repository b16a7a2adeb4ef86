// SPDX-License-Identifier: MIT
/** A trace's run once more: as recorded, or, when the program is another one by now, any run of its
 * workload that breaks the same rule. */
#ifndef WORKLOADS_CLI_REPLAY_H
#define WORKLOADS_CLI_REPLAY_H

#include "workloads/cli/again.h"
#include "workloads/cli/shrink_search.h"

/** Does the trace hold no workload? Then there is nothing to run: what it did to its files is
 * applied once more, and judged. */
bool replay_is_bare(const struct trace *recorded);

/** Read the trace or bundle at `path` into `recorded` (initialised, empty). Fails as trace_read()
 * and bundle_read_trace() do. */
MUST_USE enum status replay_read(struct trace *recorded, const char *path, struct why *why);

/** Run the schedule of `recorded` again, compare event by event and finding by finding. `settings`
 * and `again` (both zeros) become those of the run, also after failure; release both. Settings are
 * the trace's; `options` may override what settings_from_trace() says. STATUS_DIVERGED: the run, or
 * what was found in it, is not as recorded; then `again` has what there is of the new one. */
MUST_USE enum status replay_trace(struct trace *recorded, struct settings *settings,
				  const struct options *options, struct again *again,
				  struct why *why);

/** What a search of the recorded workload came to. */
enum replay_answer {
	REPLAY_BREAKS, /* some run breaks the rule that the trace broke */
	REPLAY_KEEPS,  /* no run does */
	REPLAY_UNKNOWN,
};

/** Does any run of the workload of `recorded`, under `settings`, break the rule that its first
 * finding broke? At most some thousand runs, and what is left of `budget` (begun). `schedule`
 * (initialised) becomes that of a run that does. */
enum replay_answer replay_search(const struct trace *recorded, const struct settings *settings,
				 struct shrink_budget *budget, struct schedule *schedule);

#endif
