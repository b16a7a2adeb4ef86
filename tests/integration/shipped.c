// SPDX-License-Identifier: MIT
#include "tests/integration/shipped.h"

#include "injector/fault_point.h"
#include "injector/strategy_dpor.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

const enum qcow2_policy shipped_policies[3] = { QCOW2_CANCEL, QCOW2_DELAYED, QCOW2_EAGER };

void shipped_open(struct shipped *shipped, const char *name, const struct world_options *options)
{
	struct world_options chosen = *options;
	struct why why = { "" };
	enum status status = workload_load(&shipped->workload, name, &why);
	ck_assert_msg(status == STATUS_OK, "%s: %s", name, why.text);
	if (options->faults_max == SHIPPED_NO_FAULTS) {
		chosen.faults_max = 0;
	} else {
		chosen.faults_max = shipped->workload.faults;
		chosen.fault_points = shipped->workload.fault_points;
		chosen.fault_kinds = shipped->workload.fault_kinds;
	}
	shipped->options = chosen;
	shipped->repairs_in_order = false;
	status = world_new(&shipped->world, &shipped->workload, &chosen, &why);
	ck_assert_msg(status == STATUS_OK, "%s: %s", name, why.text);
}

void shipped_close(struct shipped *shipped)
{
	world_free(shipped->world);
	workload_release(&shipped->workload);
}

void shipped_explore(struct shipped *shipped, const struct explore_options *options,
		     struct explore_result *result)
{
	struct why why = { "" };
	struct order order;
	struct explore_options classes = *options;
	order_init(&order);
	classes.order = &order;
	classes.judge_classes = true;
	struct strategy *strategy = strategy_dpor_new(&order, NULL);
	enum status status = explore(shipped->world, strategy, &classes, result, &why);
	ck_assert_msg(status == STATUS_OK, "%s: %s", shipped->workload.name, why.text);
	strategy_free(strategy);
	order_release(&order);
}

void shipped_explore_and_recover(struct shipped *shipped, const struct explore_options *options,
				 struct explore_result *result, struct recovery_counts *counts,
				 struct explore_sets *sets)
{
	struct why why = { "" };
	struct explore_sets own = { 0 };
	struct recovery_result recovery;
	struct explore_options listing = *options;
	const struct recovery_options recovering = {
		.world = &shipped->options,
		.models = options->models,
		.depth = RECOVERY_DEPTH_MAX,
		.in_order = shipped->repairs_in_order,
	};
	listing.count_distinct = listing.list_dirty = true;
	listing.sets = sets ? sets : &own;
	shipped_explore(shipped, &listing, result);
	world_free(shipped->world);
	shipped->world = NULL;
	dirty_states_sort(&listing.sets->dirty);
	enum status status = recovery_sweep(&shipped->workload, &listing.sets->dirty, &recovering,
					    &recovery, &why);
	ck_assert_msg(status == STATUS_OK, "%s: %s", shipped->workload.name, why.text);
	ck_assert_msg(!recovery.complaint, "%s: %s", shipped->workload.name, recovery.complaint);
	ck_assert(recovery.complete);
	size_t count = result->violation_count + recovery.violation_count;
	result->violations = realloc(result->violations, (count + 1) * sizeof(*result->violations));
	ck_assert_ptr_nonnull(result->violations);
	for (size_t i = 0; i < recovery.violation_count; i++)
		result->violations[result->violation_count++] = recovery.violations[i];
	recovery.violation_count = 0;
	*counts = recovery.counts;
	recovery_result_release(&recovery);
	explore_sets_release(&own);
}

unsigned shipped_models(void)
{
	unsigned reorder = 0;
	return crash_models_parse("reorder", &reorder) ? CRASH_PREFIX | CRASH_TORN | reorder
						       : CRASH_PREFIX | CRASH_TORN;
}

bool shipped_can_show(const struct known_bug *bug)
{
	return bug->weakest != BUG_MODEL_REORDER || shipped_models() != (CRASH_PREFIX | CRASH_TORN);
}

void shipped_search_bug(const struct bug_search *search, struct explore_result *result)
{
	const struct world_options options = { .policy = QCOW2_CANCEL,
					       .points = search->points,
					       .stamps = true,
					       .faults_max = search->with_faults
								     ? 0
								     : SHIPPED_NO_FAULTS };
	const struct explore_options bounds = { .models = search->models,
						.budget.runs = search->runs_max };
	struct recovery_counts counts;
	struct shipped shipped;
	known_bug_enable(search->bug->name);
	shipped_open(&shipped, search->bug->workload, &options);
	shipped.repairs_in_order = search->repairs_in_order;
	if (strcmp(search->bug->rule, rule_name(RULE_REPAIR_CONVERGES)) == 0)
		shipped_explore_and_recover(&shipped, &bounds, result, &counts, NULL);
	else
		shipped_explore(&shipped, &bounds, result);
	shipped_close(&shipped);
	known_bugs_disable();
}

static void execute(struct shipped *shipped, struct random_run *run)
{
	choice_init(&run->choice, run->strategy, NULL);
	ck_assert(choice_begin(&run->choice));
	run->end = world_run(shipped->world, &run->choice);
	choice_end(&run->choice, run->end, event_log_digest(world_log(shipped->world)));
}

void shipped_random(struct shipped *shipped, uint64_t seed, struct random_run *run)
{
	run->strategy = strategy_random_new(seed, 1);
	execute(shipped, run);
}

void shipped_random_end(struct random_run *run)
{
	choice_release(&run->choice);
	strategy_free(run->strategy);
}

enum run_end shipped_replay(struct shipped *shipped, const struct schedule *schedule)
{
	struct random_run run = { .strategy = strategy_replay_new(schedule) };
	execute(shipped, &run);
	const char *complaint = run.strategy->ops->complaint(run.strategy);
	ck_assert_msg(!complaint, "%s: %s", shipped->workload.name, complaint);
	shipped_random_end(&run);
	return run.end;
}

size_t shipped_count(void)
{
	size_t count = 0;
	while (workload_shipped(count))
		count++;
	return count;
}

uint64_t shipped_digest(const struct content *content)
{
	uint64_t digest = content_size(content) * UINT64_C(0x9e3779b97f4a7c15);
	uint64_t page = 0;
	for (; content_next_page(content, &page); page++) {
		const uint8_t *bytes = content_page(content, page);
		digest = (digest ^ page) * UINT64_C(0x100000001b3);
		for (size_t i = 0; i < CONTENT_PAGE_BYTES; i += sizeof(uint64_t)) {
			uint64_t word;
			memcpy(&word, bytes + i, sizeof(word));
			digest ^= word;
			/* The turn brings high bits down, where the product reaches all. */
			digest = (digest << 29 | digest >> 35) * UINT64_C(0x9e3779b97f4a7c15);
		}
	}
	return digest ? digest : 1;
}

bool shipped_is_slow_build(void)
{
#if defined(__SANITIZE_ADDRESS__)
	return true;
#else
	return false;
#endif
}
