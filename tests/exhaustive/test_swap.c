// SPDX-License-Identifier: MIT
/* Steps that are declared independent are exchanged, by the thousand, in every shipped world: not a
 * byte may differ. And with a kind of declaration forgotten, some must. */
#include "engine/scheduler/touch.h"
#include "injector/fault_point.h"
#include "tests/run_suite.h"
#include "workloads/swap.h"
#include "workloads/world_snapshot.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
enum { PAIRS_A_WORLD = 60, BITE_PAIRS = 300 };
#else
enum { PAIRS_A_WORLD = 250, BITE_PAIRS = 1500 };
#endif

static const enum qcow2_policy policies[] = { QCOW2_CANCEL, QCOW2_DELAYED, QCOW2_EAGER };
enum { POLICIES = sizeof(policies) / sizeof(policies[0]) };

static size_t shipped_count(void)
{
	size_t count = 0;
	while (workload_shipped(count))
		count++;
	return count;
}

/* Test a shipped world; with `faults` errors injected in a run, or as many as the workload says. */
static void swap_shipped(size_t index, enum qcow2_policy policy, uint32_t faults, uint64_t pairs,
			 struct swap_result *result)
{
	const struct shipped_workload *shipped = workload_shipped(index);
	struct workload workload;
	struct world *world;
	struct why why = { "" };
	enum status status = workload_parse(&workload, shipped->name, shipped->text,
					    strlen(shipped->text), &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	const struct world_options options = {
		.policy = policy,
		.points = SCHED_POINTS_ALL,
		.stamps = true,
		.faults_max = faults > workload.faults ? faults : workload.faults,
		.fault_points = workload.fault_points,
		.fault_kinds = workload.fault_kinds,
		.snapshot_every = WORLD_SNAPSHOTS_EVERY,
	};
	ck_assert_msg(world_new(&world, &workload, &options, &why) == STATUS_OK, "%s", why.text);
	swap_test(world, 1 + index, pairs, result);
	world_free(world);
	workload_release(&workload);
}

static void report(const char *what, const struct swap_result *result)
{
	printf("%s: %" PRIu64 " pairs of %" PRIu64 " runs, %" PRIu64 " differ%s%s%s\n", what,
	       result->tested, result->runs, result->differing,
	       result->is_whole ? "" : " (but for stacks: AddressSanitizer)",
	       result->first[0] ? "; first: " : "", result->first);
}

START_TEST(exchanging_independent_steps_changes_not_a_byte)
{
	struct swap_result result;
	const char *name = workload_shipped((size_t)_i / POLICIES)->name;
	enum qcow2_policy policy = policies[(size_t)_i % POLICIES];
	for (uint32_t faults = 0; faults < 2; faults++) {
		char what[96];
		snprintf(what, sizeof(what), "%s, %s, faults %" PRIu32, name,
			 qcow2_policy_name(policy), faults);
		swap_shipped((size_t)_i / POLICIES, policy, faults, PAIRS_A_WORLD, &result);
		report(what, &result);
		ck_assert_msg(result.differing == 0, "%s: %s", what, result.first);
	}
}
END_TEST

/* Declarations that are forgotten one at a time. */
static const struct {
	uint32_t kind;
	const char *name;
} muted[] = {
	{ TOUCH_WORLD, "outstanding requests" },   { TOUCH_LIST, "allocations in flight" },
	{ TOUCH_EXTENT, "ranges of allocations" }, { TOUCH_URGENCY, "who must hurry" },
	{ TOUCH_CLUSTERS, "free clusters" },
};

START_TEST(a_declaration_that_is_missing_is_noticed)
{
	uint64_t differing = 0;
	footprint_mute(muted[_i].kind);
	for (size_t i = 0; workload_shipped(i) && !differing; i++) {
		struct swap_result result;
		swap_shipped(i, QCOW2_CANCEL, 0, BITE_PAIRS, &result);
		differing += result.differing;
		if (differing)
			report(workload_shipped(i)->name, &result);
	}
	footprint_mute(0);
	ck_assert_msg(differing > 0, "without '%s' nothing differs", muted[_i].name);
}
END_TEST

int main(void)
{
	fault_point_init();
	Suite *suite = suite_create("swap");
	TCase *worlds = tcase_create("worlds");
	tcase_set_timeout(worlds, 300);
	tcase_add_loop_test(worlds, exchanging_independent_steps_changes_not_a_byte, 0,
			    (int)(shipped_count() * POLICIES));
	tcase_add_loop_test(worlds, a_declaration_that_is_missing_is_noticed, 0,
			    sizeof(muted) / sizeof(muted[0]));
	suite_add_tcase(suite, worlds);
	return run_suite(suite);
}
