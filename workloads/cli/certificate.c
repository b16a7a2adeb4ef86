// SPDX-License-Identifier: MIT
#include "workloads/cli/certificate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CHECKSUM_BYTES = 17 };

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

static void print_classes(const struct sweep_summary *summary)
{
	/* A search over states completes one run of few classes only. */
	if (summary->visited_states) {
		printf("  states         %" PRIu64 " visited, %" PRIu64 " transitions\n",
		       summary->visited_states, summary->transitions);
		return;
	}
	printf("  classes        %" PRIu64 " of equivalent interleavings, checksum %016" PRIx64
	       "\n",
	       summary->classes, summary->class_checksum);
	if (summary->classes_at_least > 0)
		printf("                 at least %.0f exist; a further run shows a new one with "
		       "probability %.3g\n",
		       summary->classes_at_least, summary->unseen);
}

static void print_counts(const struct sweep_summary *summary)
{
	printf("  executions     %" PRIu64 ": %" PRIu64 " completed, %" PRIu64 " blocked, %" PRIu64
	       " trial%s; %" PRIu64 " duplicate%s\n",
	       summary->interleavings + summary->pruned, summary->interleavings,
	       summary->pruned - summary->trials, summary->trials, plural(summary->trials),
	       summary->duplicates, plural(summary->duplicates));
	printf("  crash images   %" PRIu64 " built, %" PRIu64 " judged, %" PRIu64
	       " distinct, checksum %016" PRIx64 "\n",
	       summary->states, summary->judged, summary->distinct, summary->distinct_checksum);
	printf("  final states   %" PRIu64 ", checksum %016" PRIx64 "\n", summary->ends,
	       summary->end_checksum);
	if (summary->swap_was_run)
		printf("  swap test      %" PRIu64 " pair%s exchanged, %" PRIu64 " differ%s%s\n",
		       summary->swap_tested, plural(summary->swap_tested), summary->swap_differing,
		       summary->swap_first[0] ? ": " : "", summary->swap_first);
}

static void print_recovery(const struct sweep_summary *summary)
{
	const struct recovery_counts *done = &summary->recovered;
	if (!summary->recovery)
		return;
	printf("  recovery       %" PRIu64 " dirty crash state%s repaired", done->first,
	       plural(done->first));
	if (done->reordered)
		printf(" (%" PRIu64 " of them only a disk that reorders leaves)", done->reordered);
	if (summary->recovery > 1)
		printf(", and %" PRIu64 " of %" PRIu64 " states that their repairs crash in",
		       done->second, done->states);
	printf("; %" PRIu64 " distinct; %" PRIu64 " final image%s, opened once more; %" PRIu64
	       " violation%s\n",
	       done->distinct, done->finals, plural(done->finals), summary->recovery_violations,
	       plural(summary->recovery_violations));
}

static void print_engine(const struct sweep_summary *summary)
{
	print_classes(summary);
	print_counts(summary);
	print_recovery(summary);
	printf("  scope          strategy %s, points %s, crash models %s, at most %" PRIu32
	       " injected error%s a run%s\n",
	       summary->strategy, summary->points, summary->models, summary->faults,
	       plural(summary->faults),
	       summary->symmetry ? ", requests that are alike begin in one order" : "");
	if (summary->rules)
		printf("                 and those of %zu rule%s ('#@ inject')\n", summary->rules,
		       plural(summary->rules));
}

enum { ASSUMPTIONS_MAX = 8 };

/* Does the strategy follow orders that come together once? */
static bool joins(const struct sweep_summary *summary)
{
	return strcmp(summary->strategy, "dpor") == 0;
}

/* What a sweep of a foreign program takes for granted. Returns how much. */
static size_t list_assumptions(const char *list[ASSUMPTIONS_MAX],
			       const struct sweep_summary *summary)
{
	size_t count = 0;
	if (!summary->gate_all)
		list[count++] = "calls of the main thread happen at once, and do not fail";
	if (!summary->split_completion)
		list[count++] = "an effect and its return are one step";
	list[count++] = "one completion is delivered at a time";
	list[count++] = "a worker thread touches nothing but its call";
	if (joins(summary))
		list[count++] = "orders after which the program looks the same (file, history, "
				"calls that wait), now and along one way to the end, are the same";
	return count;
}

/* In which run each rule was first seen broken. */
static void print_finds(const struct sweep_summary *summary)
{
	const char *before = "  first found    ";
	for (int rule = 0; rule < RULE_COUNT; rule++) {
		if (!summary->found_in[rule])
			continue;
		printf("%s%s in run %" PRIu64, before, rule_name((enum rule)rule),
		       summary->found_in[rule]);
		before = ", ";
	}
	if (before[0] == ',')
		putchar('\n');
}

/* Of a foreign program: what its runs were, and what is taken for granted. */
static void print_foreign(const struct sweep_summary *summary)
{
	const char *assumed[ASSUMPTIONS_MAX];
	size_t count = list_assumptions(assumed, summary);
	printf("  runs           %" PRIu64 " of the program\n", summary->interleavings);
	if (joins(summary))
		printf("  joined         %" PRIu64
		       " of them, with orders explored already; %" PRIu64
		       " state%s looked alike and went on otherwise\n",
		       summary->joined, summary->parted, plural(summary->parted));
	print_finds(summary);
	printf("  crash images   %" PRIu64 " built, %" PRIu64 " judged, %" PRIu64
	       " distinct, checksum %016" PRIx64 "\n"
	       "  final states   %" PRIu64 ", checksum %016" PRIx64 "\n",
	       summary->states, summary->judged, summary->distinct, summary->distinct_checksum,
	       summary->ends, summary->end_checksum);
	printf("  scope          strategy %s: the order in which calls of %s\n"
	       "                 take effect, and when the next command is taken; crash models "
	       "%s; ",
	       summary->strategy, summary->gate_all ? "all threads" : "worker threads",
	       summary->models);
	if (summary->faults)
		printf("\n                 at most %" PRIu32 " injected error%s a run\n",
		       summary->faults, plural(summary->faults));
	else
		puts("no errors\n                 injected");
	for (size_t i = 0; i < count; i++)
		printf("  %-14s %s\n", i ? "" : "assumed", assumed[i]);
}

void certificate_print(const struct sweep_summary *summary)
{
	printf("certificate of %s:\n", summary->workload);
	if (summary->chosen[0])
		printf("  auto           %s\n", summary->chosen);
	if (summary->is_foreign)
		print_foreign(summary);
	else
		print_engine(summary);
	if (summary->complete)
		printf("  complete       yes\n");
	else
		printf("  complete       no: %s\n", summary->why_incomplete);
}

/* The sums over all that were swept for it. */
static void print_total_recovery(const struct sweep_outcome *outcomes, size_t count)
{
	struct sweep_summary total = { 0 };
	struct recovery_counts *sum = &total.recovered;
	for (size_t i = 0; i < count; i++) {
		const struct sweep_summary *summary = &outcomes[i].summary;
		if (total.recovery < summary->recovery)
			total.recovery = summary->recovery;
		sum->first += summary->recovered.first;
		sum->reordered += summary->recovered.reordered;
		sum->second += summary->recovered.second;
		sum->states += summary->recovered.states;
		sum->distinct += summary->recovered.distinct;
		sum->finals += summary->recovered.finals;
		total.recovery_violations += summary->recovery_violations;
	}
	print_recovery(&total);
}

void certificate_print_total(const struct sweep_outcome *outcomes, size_t count)
{
	uint64_t classes = 0, class_checksum = 0, duplicates = 0, executions = 0, ends = 0;
	uint64_t built = 0, judged = 0, distinct = 0, distinct_checksum = 0, end_checksum = 0;
	for (size_t i = 0; i < count; i++) {
		const struct sweep_summary *summary = &outcomes[i].summary;
		classes += summary->classes;
		class_checksum += summary->class_checksum;
		duplicates += summary->duplicates;
		executions += summary->interleavings + summary->pruned;
		built += summary->states;
		judged += summary->judged;
		distinct += summary->distinct;
		distinct_checksum += summary->distinct_checksum;
		ends += summary->ends;
		end_checksum += summary->end_checksum;
	}
	printf("certificate, sums over %zu workloads:\n", count);
	if (outcomes[0].summary.is_foreign)
		printf("  runs           %" PRIu64 " of the program\n", executions);
	else
		printf("  classes        %" PRIu64
		       " of equivalent interleavings, checksum %016" PRIx64 "\n"
		       "  executions     %" PRIu64 "; %" PRIu64 " duplicate%s\n",
		       classes, class_checksum, executions, duplicates, plural(duplicates));
	printf("  crash images   %" PRIu64 " built, %" PRIu64 " judged, %" PRIu64
	       " distinct, checksum %016" PRIx64 "\n"
	       "  final states   %" PRIu64 ", checksum %016" PRIx64 "\n",
	       built, judged, distinct, distinct_checksum, ends, end_checksum);
	print_total_recovery(outcomes, count);
}

static void json_checksum(struct json *json, const char *key, uint64_t checksum)
{
	char text[CHECKSUM_BYTES];
	snprintf(text, sizeof(text), "%016" PRIx64, checksum);
	json_text(json, key, text);
}

static void json_foreign(struct json *json, const struct sweep_summary *summary)
{
	json_begin_object(json, "first_found_in_run");
	for (int rule = 0; rule < RULE_COUNT; rule++)
		if (summary->found_in[rule])
			json_number(json, rule_name((enum rule)rule), summary->found_in[rule]);
	json_end_object(json);
	const char *assumed[ASSUMPTIONS_MAX];
	size_t count = list_assumptions(assumed, summary);
	json_begin_list(json, "assumed");
	for (size_t i = 0; i < count; i++)
		json_text(json, NULL, assumed[i]);
	json_end_list(json);
	json_number(json, "joined", summary->joined);
	json_number(json, "parted", summary->parted);
}

static void json_swap(struct json *json, const struct sweep_summary *summary)
{
	if (!summary->swap_was_run) {
		json_null(json, "swap_test");
		return;
	}
	json_begin_object(json, "swap_test");
	json_number(json, "pairs", summary->swap_tested);
	json_number(json, "differing", summary->swap_differing);
	json_text(json, "first", summary->swap_first[0] ? summary->swap_first : NULL);
	json_end_object(json);
}

static void json_recovery(struct json *json, const struct sweep_summary *summary)
{
	const struct recovery_counts *done = &summary->recovered;
	if (!summary->recovery) {
		json_null(json, "recovery");
		return;
	}
	json_begin_object(json, "recovery");
	json_number(json, "depth", summary->recovery);
	json_number(json, "images_repaired", done->repairs);
	json_number(json, "of_runs", done->first);
	json_number(json, "of_runs_reordered", done->reordered);
	json_number(json, "of_repairs", done->second);
	json_number(json, "repair_crash_states", done->states);
	json_number(json, "distinct", done->distinct);
	json_number(json, "final_images", done->finals);
	json_text(json, "reordered_states", RECOVERY_FAMILY);
	json_number(json, "violations", summary->recovery_violations);
	json_end_object(json);
}

void certificate_json(struct json *json, const struct sweep_summary *summary)
{
	json_begin_object(json, "certificate");
	json_text(json, "strategy", summary->strategy);
	json_text(json, "chosen", summary->chosen[0] ? summary->chosen : NULL);
	json_text(json, "points", summary->points);
	json_text(json, "crash_models", summary->models);
	json_number(json, "faults", summary->faults);
	json_bool(json, "symmetry", summary->symmetry);
	if (summary->visited_states || summary->is_foreign) {
		json_null(json, "classes");
		json_null(json, "class_checksum");
	} else {
		json_number(json, "classes", summary->classes);
		json_checksum(json, "class_checksum", summary->class_checksum);
	}
	if (summary->classes_at_least > 0) {
		json_number(json, "classes_at_least", (uint64_t)(summary->classes_at_least + 0.5));
		json_real(json, "unseen_probability", summary->unseen);
	}
	json_number(json, "completed", summary->interleavings);
	json_number(json, "blocked", summary->pruned - summary->trials);
	json_number(json, "trials", summary->trials);
	json_number(json, "duplicates", summary->duplicates);
	if (summary->visited_states) {
		json_number(json, "visited_states", summary->visited_states);
		json_number(json, "transitions", summary->transitions);
	}
	json_number(json, "crash_images_built", summary->states);
	json_number(json, "crash_images_judged", summary->judged);
	json_number(json, "crash_images_distinct", summary->distinct);
	json_checksum(json, "crash_image_checksum", summary->distinct_checksum);
	json_number(json, "final_states", summary->ends);
	json_checksum(json, "final_state_checksum", summary->end_checksum);
	json_recovery(json, summary);
	if (summary->is_foreign)
		json_foreign(json, summary);
	json_swap(json, summary);
	json_bool(json, "complete", summary->complete);
	json_text(json, "why_incomplete", summary->complete ? NULL : summary->why_incomplete);
	json_end_object(json);
}
