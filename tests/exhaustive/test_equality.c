// SPDX-License-Identifier: MIT
/* Every search must say the same: classes of runs, final states, crash states, violations, each as
 * a set. Plain depth-first search, which leaves out nothing and judges what each run passes
 * through, is the reference wherever it can finish; it knows nothing of footprints except for
 * counting classes. Where it cannot, at all scheduling points, the others are compared with each
 * other.
 *
 * The worlds: all shipped ones that are small enough, those with each known bug that they show, and
 * generated ones. And a comparison that finds nothing must be able to find something: with one kind
 * of declaration forgotten it has to fail. */
#include "engine/qcow2/known_bugs.h"
#include "engine/scheduler/touch.h"
#include "injector/fault_point.h"
#include "tests/exhaustive/searches.h"
#include "tests/exhaustive/small_world.h"
#include "tests/run_suite.h"
#include "workloads/bugs.h"
#include "workloads/world_state.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PLAIN_RUNS_MAX = 8000,
	CLASSES_MAX = 600,
	SLEEP_RUNS_MAX = 3000,
	GENERATED = 160,
	WORLDS_MIN = 40,
	BUGS_MIN = 8,
	TEXT_BYTES = 8192,
	SEED = 20261122,
};

/** Which searches are compared. */
struct comparison {
	enum sched_points points;
	bool with_plain; /* the world is skipped if that cannot finish */
};

static const struct comparison at_io = { SCHED_POINTS_IO, true };
static const struct comparison at_all = { SCHED_POINTS_ALL, false };

/** What came out of comparing one world. */
struct compared {
	bool is_skipped;
	char difference[TEXT_BYTES]; /* "" without any */
};

/* Compare the searches of one world. It is skipped when dpor, or the reference, does not finish. */
static void compare(struct compared *compared, const struct workload *workload,
		    enum qcow2_policy policy, const struct comparison *comparison)
{
	static struct outcome outcomes[SEARCH_KINDS];
	static const uint64_t runs_max[SEARCH_KINDS] = { PLAIN_RUNS_MAX, SLEEP_RUNS_MAX,
							 CLASSES_MAX, CLASSES_MAX, 0 };
	static char text[TEXT_BYTES];
	const struct world_options options = {
		.policy = policy,
		.points = comparison->points,
		.stamps = true,
		.faults_max = workload->faults,
		.fault_points = workload->fault_points,
		.fault_kinds = workload->fault_kinds,
	};
	enum search_kind reference = comparison->with_plain ? SEARCH_PLAIN : SEARCH_DPOR;
	*compared = (struct compared){ 0 };
	search(&outcomes[SEARCH_DPOR], SEARCH_DPOR, workload, &options, runs_max[SEARCH_DPOR]);
	compared->is_skipped = !outcomes[SEARCH_DPOR].complete;
	if (!compared->is_skipped && comparison->with_plain) {
		search(&outcomes[SEARCH_PLAIN], SEARCH_PLAIN, workload, &options, PLAIN_RUNS_MAX);
		compared->is_skipped = !outcomes[SEARCH_PLAIN].complete;
	}
	for (int kind = 0; kind < SEARCH_KINDS && !compared->is_skipped; kind++) {
		if (kind == SEARCH_PLAIN || (kind == SEARCH_STATEFUL && !world_state_is_known()))
			continue;
		if (kind != SEARCH_DPOR)
			search(&outcomes[kind], (enum search_kind)kind, workload, &options,
			       runs_max[kind]);
		if (outcomes_are_equal(&outcomes[reference], &outcomes[kind], text, TEXT_BYTES))
			continue;
		snprintf(compared->difference, TEXT_BYTES, "%s and %s: %.7000s",
			 search_name(reference), search_name((enum search_kind)kind), text);
		return;
	}
	if (!compared->is_skipped)
		printf("  %" PRIu64 " runs, %" PRIu64 " classes (%" PRIu64 " jobs), %" PRIu64
		       " ends, %" PRIu64 " crash states\n",
		       outcomes[reference].interleavings, outcomes[SEARCH_DPOR].classes,
		       outcomes[SEARCH_IN_JOBS].jobs, outcomes[SEARCH_DPOR].ends,
		       outcomes[SEARCH_DPOR].distinct);
}

/** Counts of worlds. */
struct tally {
	int compared, skipped;
};

/* Compare one world; it must come out equal. */
static void expect_equal(struct tally *tally, const char *text, const char *name,
			 const char *policy, const struct comparison *comparison)
{
	static struct compared compared;
	struct workload workload;
	struct why why = { "" };
	enum qcow2_policy chosen;
	enum status status = workload_parse(&workload, name, text, strlen(text), &why);
	ck_assert_msg(status == STATUS_OK, "%s in\n%s", why.text, text);
	ck_assert(qcow2_policy_parse(policy ? policy : workload.policy, &chosen));
	compare(&compared, &workload, chosen, comparison);
	workload_release(&workload);
	if (compared.is_skipped) {
		tally->skipped++;
		return;
	}
	tally->compared++;
	printf("%s, %s: equal\n", name, qcow2_policy_name(chosen));
	ck_assert_msg(!compared.difference[0], "%s:\n%s%s", name, text, compared.difference);
}

static void compare_shipped(struct tally *tally, const struct comparison *comparison)
{
	static const char *const policies[] = { "cancel", "delayed", "eager" };
	for (size_t i = 0; workload_shipped(i); i++)
		for (size_t k = 0; k < 3; k++)
			expect_equal(tally, workload_shipped(i)->text, workload_shipped(i)->name,
				     policies[k], comparison);
}

static void compare_generated(struct tally *tally, const struct comparison *comparison)
{
	for (uint64_t seed = SEED; seed < SEED + GENERATED; seed++) {
		char text[1024], name[WORKLOAD_NAME_BYTES];
		snprintf(name, sizeof(name), "seed %" PRIu64, seed);
		small_world_text(text, sizeof(text), seed);
		expect_equal(tally, text, name, NULL, comparison);
	}
}

static void report(const struct tally *tally)
{
	printf("%d worlds compared, %d are too large\n", tally->compared, tally->skipped);
	ck_assert_int_ge(tally->compared, WORLDS_MIN);
}

START_TEST(every_search_says_the_same_of_every_small_world)
{
	struct tally tally = { 0 };
	compare_shipped(&tally, &at_io);
	compare_generated(&tally, &at_io);
	report(&tally);
}
END_TEST

START_TEST(every_reduction_says_the_same_at_all_scheduling_points)
{
	struct tally tally = { 0 };
	compare_shipped(&tally, &at_all);
	compare_generated(&tally, &at_all);
	report(&tally);
}
END_TEST

/* Memory that is refused leaves nothing in the file: two runs that differ in such a decision only
 * must not pass for one because the steps that do leave something have the same numbers. */
START_TEST(decisions_that_leave_no_trace_are_told_apart)
{
	static const char text[] = "#@ image size=16k cluster_size=4k\n"
				   "#@ faults 2 libc/mm/malloc\n"
				   "aio_write 0 1k\n"
				   "aio_write 2k 1k\n"
				   "aio_flush\n";
	struct tally tally = { 0 };
	expect_equal(&tally, text, "memory", "cancel", &at_all);
	expect_equal(&tally, text, "memory", "delayed", &at_all);
	ck_assert_int_eq(tally.compared, 2);
}
END_TEST

START_TEST(every_search_finds_the_same_of_every_known_bug)
{
	struct tally tally = { 0 };
	for (size_t i = 0; i < known_bug_count(); i++) {
		const struct known_bug *bug = known_bug_at(i);
		for (size_t k = 0; workload_shipped(k); k++) {
			if (strcmp(workload_shipped(k)->name, bug->workload) != 0)
				continue;
			bugs_enable(bug->name);
			expect_equal(&tally, workload_shipped(k)->text, bug->name, "cancel",
				     &at_io);
			known_bugs_disable();
		}
	}
	printf("%d bugs compared, the worlds of %d are too large\n", tally.compared, tally.skipped);
	ck_assert_int_ge(tally.compared, BUGS_MIN);
}
END_TEST

/* Declarations that are forgotten, one at a time. Many others are backed up by one that stays: at
 * the points of I/O most steps take the engine's mutex, for example. The swap test sees more. */
static const struct {
	uint32_t kind;
	const char *name;
	const struct comparison *comparison;
} muted[] = {
	{ OBJECT_HISTORY, "what the guest saw", &at_io },
	{ TOUCH_MUTEX, "mutexes", &at_io },
	{ TOUCH_MUTEX, "mutexes, at all points", &at_all },
	{ TOUCH_LIST, "allocations in flight", &at_all },
};

/* Does the comparison of some world fail? */
static bool is_noticed(const struct comparison *comparison)
{
	for (uint64_t seed = SEED; seed < SEED + GENERATED; seed++) {
		static struct compared compared;
		char text[1024];
		struct workload workload;
		struct why why = { "" };
		enum qcow2_policy policy;
		small_world_text(text, sizeof(text), seed);
		ck_assert(workload_parse(&workload, "generated", text, strlen(text), &why) ==
			  STATUS_OK);
		ck_assert(qcow2_policy_parse(workload.policy, &policy));
		compare(&compared, &workload, policy, comparison);
		workload_release(&workload);
		if (!compared.difference[0])
			continue;
		printf("seed %" PRIu64 ": %s\n", seed, compared.difference);
		return true;
	}
	return false;
}

START_TEST(a_declaration_that_is_missing_is_noticed)
{
	footprint_mute(muted[_i].kind);
	bool noticed = is_noticed(muted[_i].comparison);
	footprint_mute(0);
	ck_assert_msg(noticed, "without '%s' all is equal", muted[_i].name);
}
END_TEST

int main(void)
{
	fault_point_init();
	Suite *suite = suite_create("equality");
	TCase *worlds = tcase_create("worlds");
	tcase_set_timeout(worlds, 500);
	tcase_add_test(worlds, every_search_says_the_same_of_every_small_world);
	tcase_add_test(worlds, every_reduction_says_the_same_at_all_scheduling_points);
	tcase_add_test(worlds, decisions_that_leave_no_trace_are_told_apart);
	suite_add_tcase(suite, worlds);
	TCase *bugs = tcase_create("bugs");
	tcase_set_timeout(bugs, 300);
	tcase_add_test(bugs, every_search_finds_the_same_of_every_known_bug);
	suite_add_tcase(suite, bugs);
	TCase *bites = tcase_create("bites");
	tcase_set_timeout(bites, 300);
	tcase_add_loop_test(bites, a_declaration_that_is_missing_is_noticed, 0,
			    sizeof(muted) / sizeof(muted[0]));
	suite_add_tcase(suite, bites);
	return run_suite(suite);
}
