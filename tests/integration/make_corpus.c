// SPDX-License-Identifier: MIT
/* Records the committed traces anew: make_corpus FOLDER. Run it when a change of the engine or of a
 * workload changes what the recordings show, and look at what changed.
 *
 * A recording is the first of some random runs (seeds 1, 2, ...) that shows what it shall. Stacks
 * are not recorded: they would name files of this machine. Runs that die of an assertion are not
 * recorded either: the assertion's line number is part of the recording. */
#include "workloads/cli/again.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS_MAX = 3000 };

struct recording {
	const char *name;     /* of the file */
	const char *workload; /* shipped */
	const char *bug;      /* known bug switched on; NULL: none */
	const char *policy;   /* NULL: the workload's */
	const char *crash;    /* crash models; NULL: all */
	const char *points;   /* NULL: io */
	const char *rule;     /* must be broken; NULL: nothing may be */
};

static const struct recording recordings[] = {
	{ .name = "host-offset-cut-to-32-bits",
	  .workload = "beyond-4g",
	  .bug = "int32-host-offset",
	  .rule = "cow-complete" },
	{ .name = "failed-child-leaves-hole",
	  .workload = "child-fails",
	  .bug = "no-restore",
	  .rule = "cow-complete" },
	{ .name = "copy-overwrites-late-child",
	  .workload = "late-child",
	  .bug = "no-final",
	  .crash = "prefix",
	  .rule = "flush-durable" },
	{ .name = "copy-overwrites-neighbour",
	  .workload = "three-in-a-cluster",
	  .bug = "no-align",
	  .rule = "flush-durable" },
	{ .name = "discarded-data-comes-back",
	  .workload = "discard-overlap",
	  .bug = "discard-no-wait",
	  .rule = "flush-durable" },
	{ .name = "zeroes-undone-by-allocation",
	  .workload = "zero-overlap",
	  .bug = "zero-no-wait",
	  .rule = "read-linearizable" },
	{ .name = "read-runs-past-allocation",
	  .workload = "read-across",
	  .bug = "read-run",
	  .points = "all",
	  .rule = "read-linearizable" },
	{ .name = "deadlock-hold-never-released",
	  .workload = "child-fails",
	  .bug = "leak-hold",
	  .rule = "progress" },
	{ .name = "deadlock-parent-not-kicked",
	  .workload = "rewrite-child",
	  .bug = "kick-not-up",
	  .rule = "progress" },
	{ .name = "clean-late-child", .workload = "late-child" },
	{ .name = "clean-eager-lazy-refcounts", .workload = "lazy-dirty-first", .policy = "eager" },
	{ .name = "clean-failed-copy-retried", .workload = "background-error" },
};

static bool breaks(const struct trace *trace, const char *rule)
{
	for (size_t i = 0; i < trace->finding_count; i++)
		if (strcmp(trace->findings[i].rule, rule) == 0)
			return true;
	return false;
}

static bool is_wanted(const struct recording *recording, const struct again *again)
{
	if (again->end == RUN_DIED)
		return false;
	return recording->rule ? breaks(&again->trace, recording->rule)
			       : again->trace.finding_count == 0;
}

static enum status execute(const struct recording *recording, struct again *again,
			   const struct workload *workload, const struct settings *settings,
			   struct why *why)
{
	for (uint64_t seed = 1; seed <= SEEDS_MAX; seed++) {
		struct strategy *strategy = strategy_random_new(seed, 1);
		enum status status = again_run(again, workload, settings, strategy, why);
		strategy_free(strategy);
		if (status != STATUS_OK || is_wanted(recording, again))
			return status;
		again_release(again);
	}
	return why_set(why, STATUS_BAD_INPUT, "no run shows it");
}

static enum status record(const struct recording *recording, const char *folder, struct why *why)
{
	struct options options = { .policy = recording->policy,
				   .crash = recording->crash,
				   .points = recording->points,
				   .bugs = { recording->bug },
				   .bug_count = recording->bug ? 1 : 0 };
	struct settings settings = { 0 };
	struct again again = { 0 };
	struct workload workload;
	char path[512];
	snprintf(path, sizeof(path), "%.400s/%s.trace.zst", folder, recording->name);
	enum status status = workload_load(&workload, recording->workload, why);
	if (status == STATUS_OK)
		status = settings_resolve(&settings, &workload, &options, why);
	if (status == STATUS_OK)
		status = execute(recording, &again, &workload, &settings, why);
	if (status == STATUS_OK)
		status = trace_write(&again.trace, path, why);
	if (status == STATUS_OK)
		printf("%s: %s, %zu events, %zu findings%s%s\n", path, run_end_name(again.end),
		       again.trace.log.count, again.trace.finding_count,
		       again.trace.finding_count ? ": " : "",
		       again.trace.finding_count ? again.trace.findings[0].message : "");
	again_release(&again);
	settings_release(&settings);
	workload_release(&workload);
	return status;
}

int main(int count, char **arguments)
{
	if (count != 2) {
		fputs("usage: make_corpus FOLDER\n", stderr);
		return 2;
	}
	for (size_t i = 0; i < sizeof(recordings) / sizeof(recordings[0]); i++) {
		struct why why = { "" };
		if (record(&recordings[i], arguments[1], &why) != STATUS_OK) {
			fprintf(stderr, "%s: %s\n", recordings[i].name, why.text);
			return 1;
		}
	}
	return 0;
}
