// SPDX-License-Identifier: MIT
/* Printed workloads, edits, plans, and the critical step: each held against all shipped workloads,
 * or against brute force in a world of a few dozen runs. */
#include "injector/fault_point.h"
#include "tests/run_suite.h"
#include "workloads/bugs.h"
#include "workloads/language_print.h"
#include "workloads/shrink_critical.h"
#include "workloads/shrink_edit.h"
#include "workloads/shrink_fewest.h"
#include "workloads/shrink_plan.h"
#include "workloads/world.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EDITS_MAX = 200, RANDOM_RUNS = 40, PICKS_MAX = 64, RUNS_MAX = 4096, ASKED_MAX = 12 };

static void parse(struct workload *workload, const char *text)
{
	struct why why = { "" };
	enum status status = workload_parse(workload, "w", text, strlen(text), &why);
	ck_assert_msg(status == STATUS_OK, "%s in:\n%s", why.text, text);
}

static size_t shipped_count(void)
{
	size_t count = 0;
	while (workload_shipped(count))
		count++;
	return count;
}

/* ---- printing ---- */

static void assert_same_command(const struct workload_command *a, const struct workload_command *b)
{
	ck_assert_int_eq(a->op, b->op);
	ck_assert(a->is_async == b->is_async && a->waits_for_all == b->waits_for_all);
	ck_assert(a->unmap == b->unmap && a->quiet == b->quiet && a->verifies == b->verifies);
	ck_assert_uint_eq(a->pattern, b->pattern);
	ck_assert_uint_eq(a->guest_offset, b->guest_offset);
	ck_assert_uint_eq(a->length, b->length);
	ck_assert_uint_eq(a->piece_count, b->piece_count);
	for (size_t i = 0; i < a->piece_count; i++)
		ck_assert_uint_eq(a->pieces[i], b->pieces[i]);
	ck_assert_pstr_eq(a->name, b->name);
}

static void assert_same(const struct workload *a, const struct workload *b)
{
	ck_assert_uint_eq(a->command_count, b->command_count);
	for (size_t i = 0; i < a->command_count; i++)
		assert_same_command(&a->commands[i], &b->commands[i]);
	ck_assert_uint_eq(a->prepare_count, b->prepare_count);
	for (size_t i = 0; i < a->prepare_count; i++)
		assert_same_command(&a->prepare[i], &b->prepare[i]);
	ck_assert_uint_eq(a->image.size_bytes, b->image.size_bytes);
	ck_assert_uint_eq(a->image.cluster_bytes, b->image.cluster_bytes);
	ck_assert_uint_eq(a->image.version, b->image.version);
	ck_assert(a->image.lazy_refcounts == b->image.lazy_refcounts);
	ck_assert_int_eq(a->image.backing, b->image.backing);
	ck_assert_uint_eq(a->image.backing_bytes, b->image.backing_bytes);
	ck_assert_pstr_eq(a->image.backing_path, b->image.backing_path);
	ck_assert_uint_eq(a->image.allocate_from, b->image.allocate_from);
	ck_assert_uint_eq(a->image.allocations_max, b->image.allocations_max);
	ck_assert_pstr_eq(a->policy, b->policy);
	ck_assert_pstr_eq(a->crash, b->crash);
	ck_assert_uint_eq(a->faults, b->faults);
	ck_assert_pstr_eq(a->fault_points, b->fault_points);
	ck_assert_uint_eq(a->fault_kinds, b->fault_kinds);
	ck_assert_uint_eq(a->bug_count, b->bug_count);
	ck_assert(a->expects_clean == b->expects_clean && a->expect_count == b->expect_count);
	ck_assert_str_eq(a->summary, b->summary);
}

static void assert_prints(const char *text)
{
	struct workload first, second;
	parse(&first, text);
	char *printed = workload_print(&first);
	parse(&second, printed);
	assert_same(&first, &second);
	char *again = workload_print(&second);
	ck_assert_str_eq(printed, again);
	free(printed);
	free(again);
	workload_release(&first);
	workload_release(&second);
}

START_TEST(every_shipped_workload_can_be_printed_and_parsed_again)
{
	assert_prints(workload_shipped((size_t)_i)->text);
}
END_TEST

START_TEST(every_word_of_the_language_can_be_printed_and_parsed_again)
{
	assert_prints(
		"# All there is\n"
		"#@ image size=100000 cluster_size=1k compat=0.10 backing=some/file "
		"backing_fmt=qcow2 allocate_from=8m allocations_max=3\n"
		"#@ prepare write -P 7 3 5\n#@ prepare snapshot one\n#@ prepare discard 0 2k\n"
		"#@ policy delayed\n#@ crash reorder\n#@ faults 2 posix/* eio,short\n"
		"#@ bug zombie\n#@ bug no-final\n#@ expect old-or-new\n#@ expect opens\n"
		"write -q -P 0x11 1 2\nwritev -P 1 0 512 1k\nwrite -zu 0 1k\nwrite -z 0 1k\n"
		"aio_write 0 512 512\naio_write -z -u 0 512\naio_writev -q 0 1 2 3\n"
		"read 0 1k\nread -P 3 0 1k\nreadv -q 0 1 2\naio_read 0 1 2\n"
		"discard -q 0 1k\naio_discard 0 1k\nflush\naio_flush\ntruncate 200k\n"
		"#@ snapshot two\n#@ snapshot-apply two\n#@ snapshot-delete two\n");
	assert_prints("#@ image size=8k backing=pattern backing_size=2k lazy_refcounts=on\n"
		      "#@ expect clean\n#@ faults 1\n");
}
END_TEST

/* ---- edits ---- */

static const struct shrink_scope everything = { 0 };

/* Whatever is tried is smaller; and however one goes on, it comes to an end. */
START_TEST(every_edit_makes_a_workload_smaller)
{
	struct workload workload;
	struct shrink_edits edits = { 0 };
	parse(&workload, workload_shipped((size_t)_i)->text);
	shrink_list(&edits, &workload, &everything);
	ck_assert_uint_gt(edits.count, 0);
	size_t good = 0;
	for (size_t i = 0; i < edits.count; i++) {
		struct workload smaller;
		struct shrink_size before, after;
		parse(&smaller, workload.text);
		shrink_measure(&before, &smaller);
		if (!shrink_apply(&smaller, &edits.items[i]))
			continue;
		shrink_measure(&after, &smaller);
		ck_assert_int_lt(shrink_compare(&after, &before), 0);
		ck_assert_uint_le(after.requests, before.requests);
		workload_release(&smaller);
		good++;
	}
	ck_assert_uint_gt(good, 2);
	shrink_edits_release(&edits);
	workload_release(&workload);
}
END_TEST

/* Accepts each edit after which a write to guest 0 is left. */
START_TEST(edits_lead_to_the_smallest_workload_that_is_wanted)
{
	struct workload workload;
	struct shrink_edits edits = { 0 };
	size_t rounds = 0;
	parse(&workload, workload_shipped((size_t)_i)->text);
	ck_assert(shrink_normalise(&workload));
	shrink_list(&edits, &workload, &everything);
	for (size_t i = 0; i < edits.count; i++) {
		struct workload smaller;
		parse(&smaller, workload.text);
		if (!shrink_apply(&smaller, &edits.items[i]))
			continue;
		bool is_wanted =
			smaller.command_count > 0 && smaller.commands[0].op == REQUEST_WRITE;
		if (!is_wanted) {
			workload_release(&smaller);
			continue;
		}
		workload_release(&workload);
		workload = smaller;
		shrink_list(&edits, &workload, &everything);
		i = SIZE_MAX;
		ck_assert_uint_lt(++rounds, EDITS_MAX);
	}
	if (workload.command_count && workload.commands[0].op == REQUEST_WRITE) {
		ck_assert_uint_eq(workload.command_count, 1);
		ck_assert_uint_eq(workload.prepare_count, 0);
		ck_assert_uint_le(workload.commands[0].length, 512);
		ck_assert_uint_eq(workload.commands[0].guest_offset, 0);
		ck_assert_uint_le(workload.image.size_bytes, workload.image.cluster_bytes);
		ck_assert(!workload.commands[0].is_async);
	}
	shrink_edits_release(&edits);
	workload_release(&workload);
}
END_TEST

/* ---- plans ---- */

static uint64_t digest_of(struct world *world, struct strategy *strategy)
{
	struct choice choice;
	choice_init(&choice, strategy, NULL);
	ck_assert(choice_begin(&choice));
	(void)world_run(world, &choice);
	uint64_t digest = event_log_digest(world_log(world));
	choice_release(&choice);
	return digest;
}

START_TEST(a_recorded_plan_is_the_same_run)
{
	struct workload workload;
	struct world *world = NULL;
	struct why why;
	parse(&workload, workload_shipped((size_t)_i)->text);
	const struct world_options options = { .policy = QCOW2_CANCEL,
					       .points = SCHED_POINTS_ALL,
					       .stamps = true,
					       .faults_max = workload.faults,
					       .fault_points = workload.fault_points,
					       .fault_kinds = workload.fault_kinds };
	ck_assert_int_eq(world_new(&world, &workload, &options, &why), STATUS_OK);
	for (uint64_t seed = 1; seed <= RANDOM_RUNS; seed++) {
		struct plan plan = { 0 }, taken = { 0 };
		struct strategy *random = strategy_random_new(seed, 1);
		struct strategy *recorder = strategy_plan_new(NULL, random, &plan);
		uint64_t recorded = digest_of(world, recorder);
		struct strategy *follower = strategy_plan_new(&plan, NULL, &taken);
		ck_assert_uint_eq(digest_of(world, follower), recorded);
		ck_assert_uint_eq(taken.block_count, plan.block_count);
		ck_assert_uint_eq(taken.fault_count, plan.fault_count);
		strategy_free(follower);
		strategy_free(recorder);
		strategy_free(random);
		plan_release(&plan);
		plan_release(&taken);
	}
	world_free(world);
	workload_release(&workload);
}
END_TEST

static void add_blocks(struct plan *plan, const char *actors)
{
	/* Recorded, as there is no other way to make a plan. */
	struct strategy *strategy = strategy_plan_new(&(struct plan){ 0 }, NULL, plan);
	for (; *actors; actors++)
		strategy->ops->forced(strategy, (uint32_t)(*actors - '0'));
	strategy_free(strategy);
}

START_TEST(changes_of_a_plan_never_add_a_block)
{
	struct plan plan = { 0 }, changed = { 0 };
	size_t shorter = 0, same = 0;
	add_blocks(&plan, "1112211333");
	ck_assert_uint_eq(plan.block_count, 4);
	for (size_t i = 0; i < plan_change_count(&plan); i++) {
		plan_copy(&changed, &plan);
		if (!plan_change(&changed, i))
			continue;
		ck_assert_uint_le(changed.block_count, plan.block_count);
		shorter += changed.block_count < plan.block_count;
		same += changed.block_count == plan.block_count;
	}
	/* Cut short in 4 ways, 4 left out, the blocks of actor 1 put together in 2 ways; 4 made
	 * longer, 3 exchanged. */
	ck_assert_uint_eq(shorter, 10);
	ck_assert_uint_eq(same, 7);
	plan_release(&plan);
	plan_release(&changed);
}
END_TEST

/* ---- the critical step ---- */

/* A run of the tiny world: its picks, and whether the rule is broken. */
struct known_run {
	uint8_t picks[PICKS_MAX];
	size_t pick_count;
	bool is_broken;
	uint64_t switches; /* from task to task until it is seen to be broken */
};

static struct known_run known_runs[RUNS_MAX];
static size_t known_run_count;

static struct look_options look_for(enum rule rule)
{
	return (struct look_options){ .rule = rule,
				      .severity = SEVERITY_CORRUPTION,
				      .models = CRASH_PREFIX };
}

/* Judge a run that is over. */
static void note_verdict(struct known_run *run, struct judge *judge, const struct world *world,
			 enum rule rule)
{
	struct judge_report report;
	const struct event_log *log = world_log(world);
	size_t end = 0;
	judge_run(judge, log, 0, &report);
	for (size_t i = 0; i < report.verdict_count; i++) {
		const struct verdict *verdict = &report.verdicts[i];
		if (verdict->rule != rule || (run->is_broken && verdict->event >= end))
			continue;
		run->is_broken = true;
		end = verdict->event;
	}
	run->switches = 0;
	for (size_t i = 0; i < end; i++)
		run->switches += log->events[i].kind == EVENT_SWITCH;
	run->switches -= run->is_broken;
}

/* Execute every run there is. */
static void run_all(struct world *world, struct judge *judge, enum rule rule)
{
	struct choice choice;
	struct strategy *strategy = strategy_dfs_new(false);
	choice_init(&choice, strategy, NULL);
	known_run_count = 0;
	while (choice_begin(&choice)) {
		struct known_run *run = &known_runs[known_run_count++];
		ck_assert_uint_lt(known_run_count, RUNS_MAX);
		(void)world_run(world, &choice);
		run->is_broken = false;
		note_verdict(run, judge, world, rule);
		run->pick_count = choice.taken.count;
		ck_assert_uint_lt(run->pick_count, PICKS_MAX);
		for (size_t i = 0; i < run->pick_count; i++)
			run->picks[i] = (uint8_t)choice.taken.steps[i].pick;
		choice_end(&choice, RUN_FINISHED, 0);
	}
	choice_release(&choice);
	strategy_free(strategy);
}

/* Do all runs break the rule that begin with the first `count` picks of `run`? */
static bool is_doomed(const struct known_run *run, size_t count)
{
	for (size_t i = 0; i < known_run_count; i++) {
		const struct known_run *other = &known_runs[i];
		if (other->pick_count >= count && memcmp(other->picks, run->picks, count) == 0 &&
		    !other->is_broken)
			return false;
	}
	return true;
}

/* How many picks are taken in the first `steps` steps? */
static size_t picks_in(const struct world *world, const struct order *order, size_t steps)
{
	size_t end = steps ? order->steps[steps - 1].events_end : 0;
	size_t picks = 0;
	for (size_t i = 0; i < end; i++)
		picks += world_log(world)->events[i].kind == EVENT_CHOICE;
	return picks;
}

/* The first step after which all that may follow is broken. */
static size_t critical_by_force(struct world *world, const struct known_run *run,
				struct schedule *schedule)
{
	struct order order;
	struct choice choice;
	schedule_reset(schedule);
	for (size_t i = 0; i < run->pick_count; i++)
		schedule_append(schedule, run->picks[i], 0);
	struct strategy *strategy = strategy_replay_new(schedule);
	order_init(&order);
	choice_init(&choice, strategy, NULL);
	choice.order = &order;
	ck_assert(choice_begin(&choice));
	(void)world_run(world, &choice);
	size_t step = 0;
	while (step < order.count && !is_doomed(run, picks_in(world, &order, step)))
		step++;
	choice_release(&choice);
	strategy_free(strategy);
	order_release(&order);
	return step;
}

static const struct tiny {
	const char *bug, *text;
	enum rule rule;
} tiny_worlds[] = {
	{ "lost-kick",
	  "#@ image size=1k cluster_size=1k\n"
	  "aio_write -P 1 0 512\nwrite -P 2 0 512\n",
	  RULE_PROGRESS },
	{ "no-restore",
	  "#@ image size=1k cluster_size=1k backing=pattern\n"
	  "#@ faults 1 posix/io/rw/pwritev eio\n"
	  "write -P 1 0 512\nwrite -P 2 512 512\n",
	  RULE_COW_COMPLETE },
	{ "reuse-while-written",
	  "#@ image size=1k cluster_size=512\n#@ prepare write -P 1 0 512\n"
	  "aio_write -P 2 0 512\ndiscard 0 512\nflush\nwrite -P 3 512 512\n",
	  RULE_READ_LINEARIZABLE },
	/* Broken only until the flush; the same state is come to without. */
	{ "reuse-before-unlink",
	  "#@ image size=1k cluster_size=512\n#@ prepare write -P 1 0 512\n"
	  "discard 0 512\naio_write -P 2 512 512\nflush\n",
	  RULE_OLD_OR_NEW },
	{ "no-final",
	  "#@ image size=1k cluster_size=1k\n"
	  "write -P 1 0 512\naio_write -P 2 512 512\nflush\n",
	  RULE_FLUSH_DURABLE },
	{ "no-rwlock",
	  "#@ image size=1k cluster_size=1k backing=pattern\n"
	  "write -P 1 0 512\naio_write -P 2 512 512\nflush\n",
	  RULE_COW_COMPLETE },
};

/* One of them, all of whose runs are known. */
struct tiny_run {
	struct workload workload;
	struct world *world;
	struct judge *judge;
	struct subject subject;
	struct state_source states;
};

static void tiny_begin(struct tiny_run *made, const struct tiny *tiny)
{
	struct why why = { "" };
	size_t file_count = 0;
	*made = (struct tiny_run){ 0 };
	parse(&made->workload, tiny->text);
	bugs_enable(tiny->bug);
	const struct world_options options = { .policy = QCOW2_CANCEL,
					       .stamps = true,
					       .faults_max = made->workload.faults,
					       .fault_points = made->workload.fault_points,
					       .fault_kinds = made->workload.fault_kinds };
	ck_assert_int_eq(world_new(&made->world, &made->workload, &options, &why), STATUS_OK);
	const struct trace_file *files = world_files(made->world, &file_count);
	const struct judge_options judging = { .models = CRASH_PREFIX };
	ck_assert_int_eq(judge_new(&made->judge, files, file_count, &judging, &why), STATUS_OK);
	run_all(made->world, made->judge, tiny->rule);
	made->subject = explore_world_subject(made->world);
	made->states = world_state_source(made->world);
}

static void tiny_end(struct tiny_run *made)
{
	judge_free(made->judge);
	world_free(made->world);
	workload_release(&made->workload);
}

/* Of broken runs from all over the world, states told apart and not. */
START_TEST(the_critical_step_is_the_one_that_brute_force_finds)
{
	const struct tiny *tiny = &tiny_worlds[_i];
	struct tiny_run made;
	struct why why = { "" };
	struct schedule schedule;
	size_t asked = 0;
	tiny_begin(&made, tiny);
	schedule_init(&schedule);
	size_t broken = 0, every = 1;
	for (size_t i = 0; i < known_run_count; i++)
		broken += known_runs[i].is_broken;
	every += broken / ASKED_MAX;
	broken = 0;
	for (size_t i = 0; i < known_run_count; i++) {
		if (!known_runs[i].is_broken || broken++ % every)
			continue;
		size_t wanted = critical_by_force(made.world, &known_runs[i], &schedule);
		for (int told_apart = 0; told_apart <= (int)world_state_is_known(); told_apart++) {
			struct critical critical;
			const struct critical_options ask = { .schedule = &schedule,
							      .look = look_for(tiny->rule),
							      .states = told_apart ? &made.states
										   : NULL };
			ck_assert_int_eq(critical_find(&critical, &made.subject, &ask, &why),
					 STATUS_OK);
			ck_assert(critical.is_decided);
			ck_assert_uint_eq(critical.step, wanted);
			asked++;
		}
	}
	printf("%s: %zu runs, the critical step was asked for %zu times\n", tiny->bug,
	       known_run_count, asked);
	ck_assert_uint_gt(asked, 0);
	schedule_release(&schedule);
	tiny_end(&made);
}
END_TEST

/* Whether more are known to suffice, or just as many. */
START_TEST(the_fewest_switches_are_those_that_brute_force_finds)
{
	const struct tiny *tiny = &tiny_worlds[_i];
	struct tiny_run made;
	uint64_t least = UINT64_MAX;
	struct schedule schedule;
	struct fewest fewest;
	struct why why = { "" };
	if (!world_state_is_known()) {
		printf("skipped: states cannot be told apart in this build\n");
		return;
	}
	tiny_begin(&made, tiny);
	for (size_t i = 0; i < known_run_count; i++)
		if (known_runs[i].is_broken && known_runs[i].switches < least)
			least = known_runs[i].switches;
	schedule_init(&schedule);
	for (uint64_t more = 0; more < 3; more++) {
		const struct fewest_options ask = { .look = look_for(tiny->rule),
						    .states = &made.states,
						    .switches_known = least + more };
		ck_assert_int_eq(fewest_find(&fewest, &schedule, &made.subject, &ask, &why),
				 STATUS_OK);
		ck_assert(fewest.is_decided && fewest.is_found == (more > 0));
		ck_assert_uint_eq(fewest.switches, least);
	}
	schedule_release(&schedule);
	tiny_end(&made);
}
END_TEST

START_TEST(a_run_that_keeps_the_rule_has_no_critical_step)
{
	struct workload workload;
	struct world *world = NULL;
	struct why why = { "" };
	struct schedule schedule;
	struct critical critical;
	parse(&workload, tiny_worlds[0].text);
	const struct world_options options = { .policy = QCOW2_CANCEL, .stamps = true };
	ck_assert_int_eq(world_new(&world, &workload, &options, &why), STATUS_OK);
	const struct subject subject = explore_world_subject(world);
	schedule_init(&schedule);
	const struct critical_options ask = { .schedule = &schedule,
					      .look = look_for(RULE_PROGRESS) };
	ck_assert_int_eq(critical_find(&critical, &subject, &ask, &why), STATUS_DIVERGED);
	ck_assert_str_eq(why.text, "the run does not break progress any more");
	world_free(world);
	workload_release(&workload);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shrink");
	TCase *tests = tcase_create("shrink");
	int shipped = (int)shipped_count();
	fault_point_init();
	tcase_set_timeout(tests, 300);
	tcase_add_loop_test(tests, every_shipped_workload_can_be_printed_and_parsed_again, 0,
			    shipped);
	tcase_add_test(tests, every_word_of_the_language_can_be_printed_and_parsed_again);
	tcase_add_loop_test(tests, every_edit_makes_a_workload_smaller, 0, shipped);
	tcase_add_loop_test(tests, edits_lead_to_the_smallest_workload_that_is_wanted, 0, shipped);
	tcase_add_loop_test(tests, a_recorded_plan_is_the_same_run, 0, shipped);
	tcase_add_test(tests, changes_of_a_plan_never_add_a_block);
	tcase_add_loop_test(tests, the_critical_step_is_the_one_that_brute_force_finds, 0,
			    (int)(sizeof(tiny_worlds) / sizeof(tiny_worlds[0])));
	tcase_add_loop_test(tests, the_fewest_switches_are_those_that_brute_force_finds, 0,
			    (int)(sizeof(tiny_worlds) / sizeof(tiny_worlds[0])));
	tcase_add_test(tests, a_run_that_keeps_the_rule_has_no_critical_step);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
