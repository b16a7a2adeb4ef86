// SPDX-License-Identifier: MIT
/* Records the committed traces anew: make_corpus FOLDER [NAME]. Run it when a change of the engine
 * or of a workload changes what the recordings show, and look at what changed.
 *
 * A recording begins with the first of some random runs (seeds 1, 2, ...) that shows what it shall;
 * what breaks a rule is then shrunk. Stacks are not recorded: they would name files of this
 * machine. Runs that die of an assertion are not recorded either: the assertion's line number is
 * part of the recording.
 *
 * Prints the table of the folder's README. Beside what is listed here every other known bug is
 * recorded by its name. Those of a foreign program are recorded where it is installed, with its
 * version as setting `program_version`; else they are left as they are. */
#include "engine/qcow2/known_bugs.h"
#include "tests/integration/corpus_page.h"
#include "tests/integration/invented.h"
#include "workloads/cli/again.h"
#include "workloads/cli/corpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SEEDS_MAX = 3000,
	SEEDS_MAX_PROGRAM = 300,
	SEARCH_RUNS = 5000,
	SHRINK_RUNS = 100000,
	VERSION_BYTES = 256
};

struct recording {
	const char *name;     /* of the file */
	const char *workload; /* shipped, or of those for QEMU; NULL: invented_exchange() */
	const char *bug;      /* known bug switched on; NULL: none */
	const char *policy;   /* NULL: the workload's */
	const char *crash;    /* crash models; NULL: all that the workload asks for */
	const char *points;   /* NULL: all */
	const char *program;  /* a foreign program, NULL: the engine */
	const char *server;   /* or that */
	const char *rule;     /* must be broken; NULL: nothing may be */
	const char *model;    /* by a finding of this crash model; NULL: any */
	const char *shows;    /* in words */
};

#define QEMU_IO "qemu-io -t writeback -d unmap -f qcow2 {image}"
#define QEMU_IO_CACHE "qemu-io -t {cache} -d unmap -f qcow2 {image}"
#define QEMU_NBD "qemu-nbd -f qcow2 --discard=unmap --socket={socket} {image}"

static const struct recording recordings[] = {
	{ .name = "host-offset-cut-to-32-bits",
	  .workload = "beyond-4g",
	  .bug = "int32-host-offset",
	  .rule = "cow-complete",
	  .shows = "above 4 GiB a child's data lands in another cluster" },
	{ .name = "failed-child-leaves-hole",
	  .workload = "child-fails",
	  .bug = "no-restore",
	  .rule = "cow-complete",
	  .shows = "a write fails; the range it had taken over is copied by nobody" },
	{ .name = "copy-overwrites-late-child",
	  .workload = "late-child",
	  .bug = "no-final",
	  .crash = "prefix",
	  .points = "io",
	  .rule = "flush-durable",
	  .shows = "a copy under way overwrites the child that attached to it; judged by `prefix` "
		   "alone" },
	{ .name = "copy-overwrites-neighbour",
	  .workload = "three-in-a-cluster",
	  .bug = "no-align",
	  .points = "io",
	  .rule = "flush-durable",
	  .shows = "a child's tail copy overwrites the next write in the cluster" },
	{ .name = "discarded-data-comes-back",
	  .workload = "discard-overlap",
	  .bug = "discard-no-wait",
	  .rule = "flush-durable",
	  .shows = "an allocation links after the discard that should have waited for it" },
	{ .name = "zeroes-undone-by-allocation",
	  .workload = "zero-overlap",
	  .bug = "zero-no-wait",
	  .rule = "read-linearizable",
	  .shows = "a read sees data that acknowledged zeroes had replaced" },
	{ .name = "read-runs-past-allocation",
	  .workload = "read-across",
	  .bug = "read-run",
	  .rule = "read-linearizable",
	  .shows = "a read returns old data beyond the start of an allocation" },
	{ .name = "deadlock-hold-never-released",
	  .workload = "child-fails",
	  .bug = "leak-hold",
	  .rule = "progress",
	  .shows = "a failed child keeps its hold; the parent waits for ever" },
	{ .name = "deadlock-parent-not-kicked",
	  .workload = "rewrite-child",
	  .bug = "kick-not-up",
	  .rule = "progress",
	  .shows = "the child waits for a parent that nobody wakes" },
	{ .name = "entries-exchanged-by-one-write",
	  .rule = "no-alias",
	  .model = "torn",
	  .shows = "one write changes two sectors of an L2 table that are right only together" },
	{ .name = "parent-dies",
	  .workload = "child-outlives-parent",
	  .bug = "parent-dies",
	  .rule = "error-contained",
	  .shows = "an allocation whose data write fails is freed although a child lives in its "
		   "cluster" },
	{ .name = "sync-kick",
	  .workload = "flush-fails",
	  .bug = "sync-kick",
	  .rule = "progress",
	  .shows = "between the kick of an allocation and the wait for it, it finishes" },
	{ .name = "clean-late-child",
	  .workload = "late-child",
	  .shows = "a child attaches to an allocation in a hurry, done right" },
	{ .name = "clean-eager-lazy-refcounts",
	  .workload = "lazy-dirty-first",
	  .policy = "eager",
	  .shows = "policy `eager`, the dirty bit set and cleared" },
	{ .name = "clean-failed-copy-retried",
	  .workload = "background-error",
	  .shows = "an injected error: a copy fails, the next flush repeats it" },
	{ .name = "qemu-io-rewrite-lands-in-next-owner",
	  .workload = "rewrite-discard-reuse",
	  .program = QEMU_IO,
	  .rule = "read-linearizable",
	  .shows = "a write in place, under way when its cluster is discarded, lands in the data "
		   "of the next owner" },
	{ .name = "qemu-io-reuse-before-unlink",
	  .workload = "discard-then-reuse",
	  .program = QEMU_IO,
	  .rule = "old-or-new",
	  .shows = "a freed cluster is given away before its entry is gone from disk" },
	{ .name = "qemu-io-zeroes-undone-by-allocation",
	  .workload = "zeroes-during-allocation",
	  .program = QEMU_IO,
	  .rule = "read-linearizable",
	  .shows = "zeroes do not wait for an allocation in flight, whose data replaces them" },
	{ .name = "qemu-io-entry-before-data",
	  .workload = "lazy-second-write",
	  .program = QEMU_IO,
	  .crash = "reorder",
	  .rule = "cow-complete",
	  .model = "reorder",
	  .shows = "with lazy refcounts nothing keeps data before the entry that points to it" },
	{ .name = "qemu-io-compressed-data-discarded-early",
	  .workload = "compressed-discard",
	  .program = QEMU_IO,
	  .rule = "old-or-new",
	  .shows = "a compressed cluster is discarded before its entry is gone from disk" },
	{ .name = "qemu-io-compressed-undone-by-allocation",
	  .workload = "compressed-during-allocation",
	  .program = QEMU_IO,
	  .rule = "flush-durable",
	  .shows = "a compressed write does not wait for an allocation in flight, which replaces "
		   "it" },
	{ .name = "qemu-io-compressed-entry-before-data",
	  .workload = "compressed-before-data",
	  .program = QEMU_IO_CACHE,
	  .rule = "no-alias",
	  .shows = "the entry of a compressed write is on disk before its data" },
	{ .name = "qemu-io-clean-concurrent-writes",
	  .workload = "concurrent-middle",
	  .program = QEMU_IO,
	  .shows = "two writes into one new cluster" },
	{ .name = "qemu-nbd-rewrite-lands-in-next-owner",
	  .workload = "rewrite-discard-reuse",
	  .server = QEMU_NBD,
	  .rule = "read-linearizable",
	  .shows = "the same by the NBD server, whose only client is cowtip" },
};

static bool is_shown(const struct recording *recording, const struct trace_finding *finding)
{
	return strcmp(finding->rule, recording->rule) == 0 &&
	       (!recording->model || strcmp(finding->model, recording->model) == 0);
}

/* Put the finding that is wanted first; false: there is none. */
static bool choose_finding(const struct recording *recording, struct trace *trace)
{
	for (size_t i = 0; i < trace->finding_count; i++) {
		if (!is_shown(recording, &trace->findings[i]))
			continue;
		struct trace_finding first = trace->findings[0];
		trace->findings[0] = trace->findings[i];
		trace->findings[i] = first;
		return true;
	}
	return false;
}

static bool has_died(const struct trace *trace)
{
	const struct event_log *log = &trace->log;
	return log->count && log->events[log->count - 1].kind == EVENT_END &&
	       log->events[log->count - 1].op == RUN_DIED;
}

static bool is_wanted(const struct recording *recording, struct trace *trace)
{
	if (has_died(trace))
		return false;
	return recording->rule ? choose_finding(recording, trace) : trace->finding_count == 0;
}

/* No such luck: look at one run of each class. */
static enum status search_run(const struct recording *recording, struct again *again,
			      const struct workload *workload, const struct settings *settings,
			      struct why *why)
{
	struct settings searching = *settings;
	struct shrink_budget budget = { 0 };
	struct shrink_question question = { .workload = workload,
					    .settings = &searching,
					    .severity = SEVERITY_CORRUPTION,
					    .runs = SEARCH_RUNS };
	struct schedule schedule;
	struct strategy *strategy = NULL;
	if (!recording->rule || settings->program || !rule_parse(recording->rule, &question.rule))
		return why_set(why, STATUS_BAD_INPUT, "no run shows it");
	searching.strategy = "dpor";
	schedule_init(&schedule);
	shrink_budget_begin(&budget);
	enum status status = shrink_search(&question, &budget, &schedule, NULL, why);
	if (status == STATUS_OK) {
		strategy = strategy_replay_new(&schedule);
		status = again_run(again, workload, settings, strategy, why);
	}
	if (status == STATUS_OK && !is_wanted(recording, &again->trace))
		status = why_set(why, STATUS_BAD_INPUT, "the runs that show it die");
	strategy_free(strategy);
	schedule_release(&schedule);
	return status;
}

/* The first run that shows it. */
static enum status find_run(const struct recording *recording, struct again *again,
			    const struct workload *workload, const struct settings *settings,
			    struct why *why)
{
	uint64_t seeds_max = settings->program ? SEEDS_MAX_PROGRAM : SEEDS_MAX;
	for (uint64_t seed = 1; seed <= seeds_max; seed++) {
		struct strategy *strategy = strategy_random_new(seed, 1);
		enum status status = again_run(again, workload, settings, strategy, why);
		strategy_free(strategy);
		if (status != STATUS_OK || is_wanted(recording, &again->trace))
			return status;
		again_release(again);
	}
	return search_run(recording, again, workload, settings, why);
}

/* Shrink it, unless what is left shows something else: another crash, or a death. */
static enum status make_small(const struct recording *recording, struct trace *trace,
			      struct why *why)
{
	static const struct options none = { .command = "make_corpus" };
	struct shrink_budget budget = { .limit.runs = SHRINK_RUNS };
	struct trace small;
	trace_init(&small);
	shrink_budget_begin(&budget);
	enum status status = corpus_make_small(&small, trace, &none, &budget, why);
	if (status == STATUS_OK && !has_died(&small) && is_shown(recording, &small.findings[0])) {
		struct trace large = *trace;
		*trace = small;
		small = large;
	}
	trace_release(&small);
	return status;
}

/* The first line that the foreign program says of its version; "" when it is not installed. */
static void read_version(char version[VERSION_BYTES], const char *command)
{
	char line[VERSION_BYTES + 64];
	version[0] = 0;
	snprintf(line, sizeof(line), "%.*s --version 2>/dev/null", (int)strcspn(command, " "),
		 command);
	// NOLINTNEXTLINE(cert-env33-c): the shell is wanted: it finds the program, or says nothing
	FILE *pipe = popen(line, "re");
	if (!pipe)
		return;
	if (fgets(version, VERSION_BYTES, pipe))
		version[strcspn(version, "\n")] = 0;
	(void)pclose(pipe);
}

/* What an invented program did, judged. */
static enum status invent(const struct recording *recording, const char *path, struct again *again,
			  struct why *why)
{
	static const struct options none = { .command = "make_corpus" };
	struct settings settings = { 0 };
	trace_init(&again->trace);
	enum status status = invented_exchange(&again->trace, why);
	if (status == STATUS_OK)
		status = settings_from_trace(&settings, &again->trace, &none, why);
	if (status == STATUS_OK)
		status = again_judge(&again->trace, &settings, &again->judgement, why);
	for (size_t i = 0; i < again->judgement.verdict_count; i++) {
		struct trace_finding finding;
		again_finding(&finding, &again->judgement.verdicts[i]);
		trace_add_finding(&again->trace, &finding);
	}
	if (status == STATUS_OK && !is_wanted(recording, &again->trace))
		status = why_set(why, STATUS_BAD_INPUT, "it does not show it");
	settings_to_trace(&settings, &again->trace);
	settings_release(&settings);
	return status == STATUS_OK ? trace_write(&again->trace, path, why) : status;
}

static enum status make_trace(const struct recording *recording, const char *path,
			      const char *version, struct again *again, struct why *why)
{
	const struct options options = { .policy = recording->policy,
					 .crash = recording->crash,
					 .points = recording->points,
					 .subject = recording->program,
					 .server = recording->server,
					 .bugs = { recording->bug },
					 .bug_count = recording->bug ? 1 : 0 };
	struct settings settings = { 0 };
	struct workload workload;
	char name[512];
	snprintf(name, sizeof(name), "%s%.100s%s", *version ? QEMU_WORKLOADS "/" : "",
		 recording->workload, *version ? ".qio" : "");
	enum status status = workload_load(&workload, name, why);
	if (status == STATUS_OK)
		status = settings_resolve(&settings, &workload, &options, why);
	if (status == STATUS_OK)
		status = find_run(recording, again, &workload, &settings, why);
	if (status == STATUS_OK && recording->rule)
		status = make_small(recording, &again->trace, why);
	if (status == STATUS_OK && *version)
		trace_add_setting(&again->trace, "program_version", version);
	if (status == STATUS_OK)
		status = trace_write(&again->trace, path, why);
	settings_release(&settings);
	workload_release(&workload);
	return status;
}

/* Its line in the table of the folder's README. */
static void print_row(const struct recording *recording, const struct trace *trace)
{
	char subject[CORPUS_CELL_BYTES], crash[CORPUS_CELL_BYTES];
	const char *folder = recording->program || recording->server ? "qemu/" : "";
	corpus_subject(subject, trace);
	corpus_crash(crash, trace);
	printf("| `%s` | ", recording->name);
	if (recording->workload)
		printf("`%s%s`", folder, recording->workload);
	else
		printf("none");
	printf(" | %s | %s | %s%s%s | %s |\n", subject, crash, recording->rule ? "`" : "",
	       recording->rule ? recording->rule : "nothing wrong", recording->rule ? "`" : "",
	       recording->shows);
}

static void record(const struct recording *recording, const char *folder)
{
	const char *command = recording->program ? recording->program : recording->server;
	char version[VERSION_BYTES] = "", path[512];
	struct again again = { 0 };
	struct why why = { "" };
	if (command)
		read_version(version, command);
	if (command && !*version) {
		fprintf(stderr, "%s: left as it is: '%s' is not installed\n", recording->name,
			command);
		return;
	}
	snprintf(path, sizeof(path), "%.400s/%s.trace.zst", folder, recording->name);
	enum status status = recording->workload
				     ? make_trace(recording, path, version, &again, &why)
				     : invent(recording, path, &again, &why);
	if (status == STATUS_OK)
		print_row(recording, &again.trace);
	else
		fprintf(stderr, "%s: %s\n", recording->name, why.text);
	fflush(stdout);
	again_release(&again);
}

static bool is_listed(const char *bug)
{
	for (size_t i = 0; i < sizeof(recordings) / sizeof(recordings[0]); i++)
		if (recordings[i].bug && strcmp(recordings[i].bug, bug) == 0)
			return true;
	return false;
}

int main(int count, char **arguments)
{
	if (count != 2 && count != 3) {
		fputs("usage: make_corpus FOLDER [NAME]\n", stderr);
		return 2;
	}
	const char *only = count == 3 ? arguments[2] : NULL;
	for (size_t i = 0; i < sizeof(recordings) / sizeof(recordings[0]); i++)
		if (!only || strcmp(only, recordings[i].name) == 0)
			record(&recordings[i], arguments[1]);
	for (size_t i = 0; i < known_bug_count(); i++) {
		const struct known_bug *bug = known_bug_at(i);
		const struct recording recording = { .name = bug->name,
						     .workload = bug->workload,
						     .bug = bug->name,
						     .policy = "cancel",
						     .crash = "prefix,torn,reorder",
						     .rule = bug->rule,
						     .shows = bug->breaks };
		if (!is_listed(bug->name) && (!only || strcmp(only, bug->name) == 0))
			record(&recording, arguments[1]);
	}
	return 0;
}
