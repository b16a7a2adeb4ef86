// SPDX-License-Identifier: MIT
/* Whatever a step touches stands in its footprint: the shipped workloads and some more, and the
 * runs of the known bugs, under the audit. And the audit sees what is missing: with one declaration
 * left out it says so. */
#include "engine/scheduler/audit.h"

#include "engine/qcow2/known_bugs.h"
#include "engine/scheduler/touch.h"
#include "injector/fault_point.h"
#include "injector/session.h"
#include "tests/integration/shipped.h"
#include "tests/run_suite.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 120, RUNS_SLOW = 40, RUNS_MUTED = 400, COMPLAINT_BYTES = 512 };

static uint64_t run_count(void)
{
	return shipped_is_slow_build() ? RUNS_SLOW : RUNS;
}

/* What no shipped workload does: L2 tables and refcount blocks leave the caches, the refcount table
 * grows. */
static const struct {
	const char *name, *text;
} more_workloads[] = {
	{ "caches-too-small", "#@ image size=1M cluster_size=512 backing=pattern\n"
			      "#@ prepare write -P 1 0 512\n"
			      "#@ prepare write -P 1 32k 512\n"
			      "#@ prepare write -P 1 64k 512\n"
			      "#@ prepare write -P 1 96k 512\n"
			      "#@ prepare write -P 1 128k 512\n"
			      "#@ prepare write -P 1 160k 512\n"
			      "#@ prepare write -P 1 192k 512\n"
			      "#@ prepare write -P 1 224k 512\n"
			      "#@ prepare write -P 1 256k 512\n"
			      "#@ prepare write -P 1 288k 512\n"
			      "#@ prepare write -P 1 320k 512\n"
			      "#@ prepare write -P 1 352k 512\n"
			      "#@ prepare write -P 1 384k 512\n"
			      "#@ prepare write -P 1 416k 512\n"
			      "#@ prepare write -P 1 448k 512\n"
			      "#@ prepare write -P 1 480k 512\n"
			      "#@ prepare write -P 1 512k 512\n"
			      "read 0 512\nread 32k 512\nread 64k 512\nread 96k 512\n"
			      "read 128k 512\nread 160k 512\nread 192k 512\nread 224k 512\n"
			      "read 256k 512\nread 288k 512\nread 320k 512\nread 352k 512\n"
			      "read 384k 512\nread 416k 512\n"
			      "aio_write -P 2 448k 256\n"
			      "aio_write -P 2 480k 256\n"
			      "aio_write -P 2 512512 256\n"
			      "aio_write -P 2 600k 256\n"
			      "aio_write -P 2 700k 256\n"
			      "aio_read 0 1k\n"
			      "aio_flush\n"
			      "read 512k 512\nread 0 512\nread 32k 512\nread 64k 512\n"
			      "discard 32k 512\n"
			      "flush\n" },
	{ "refcount-table-grows", "#@ image size=64k cluster_size=512 backing=pattern "
				  "allocate_from=8190k\n"
				  "aio_write -P 2 0 2k\n"
				  "aio_write -P 2 32k 2304\n"
				  "aio_read 0 1k\n"
				  "aio_write -P 2 256 2k\n"
				  "aio_flush\n"
				  "flush\n" },
	{ "snapshot-of-much", "#@ image size=128k cluster_size=512\n"
			      "#@ prepare snapshot first\n"
			      "#@ prepare write -P 1 0 2k\n"
			      "write -P 2 40k 1k\n"
			      "aio_write -P 3 256 512\n"
			      "#@ snapshot second\n"
			      "aio_write -P 4 0 2k\n"
			      "aio_read 0 2k\n"
			      "aio_flush\n"
			      "flush\n" },
};

enum { MORE_WORKLOADS = sizeof(more_workloads) / sizeof(more_workloads[0]) };

static void load(struct workload *workload, const char *name)
{
	struct why why = { "" };
	enum status status = STATUS_OK;
	size_t i = 0;
	while (i < MORE_WORKLOADS && strcmp(more_workloads[i].name, name) != 0)
		i++;
	if (i < MORE_WORKLOADS)
		status = workload_parse(workload, name, more_workloads[i].text,
					strlen(more_workloads[i].text), &why);
	else
		status = workload_load(workload, name, &why);
	ck_assert_msg(status == STATUS_OK, "%s: %s", name, why.text);
}

/** Picks of another strategy, and every step is told to the audit. */
struct audited {
	struct strategy base;
	struct strategy *picks; /* owned */
};

static bool audited_begin(struct strategy *strategy)
{
	struct strategy *picks = ((struct audited *)strategy)->picks;
	return picks->ops->begin(picks);
}

static uint32_t audited_pick(struct strategy *strategy, const struct choice_point *point)
{
	struct strategy *picks = ((struct audited *)strategy)->picks;
	return picks->ops->pick(picks, point);
}

static void audited_step_done(struct strategy *strategy, uint32_t actor,
			      const struct footprint *footprint)
{
	(void)strategy;
	(void)actor;
	audit_step_done(footprint);
}

static bool audited_is_complete(const struct strategy *strategy)
{
	(void)strategy;
	return false;
}

static const char *audited_complaint(const struct strategy *strategy)
{
	(void)strategy;
	return NULL;
}

static const struct strategy_ops audited_ops = {
	.name = "audited",
	.begin = audited_begin,
	.pick = audited_pick,
	.step_done = audited_step_done,
	.is_complete = audited_is_complete,
	.complaint = audited_complaint,
};

/* One run; NULL or what the audit complains about. */
static const char *audit_run(struct world *world, uint64_t seed)
{
	struct audited audited = { .base = { .ops = &audited_ops },
				   .picks = strategy_random_new(seed, 1) };
	struct choice choice;
	ck_assert_ptr_nonnull(audited.picks);
	choice_init(&choice, &audited.base, NULL);
	ck_assert(choice_begin(&choice));
	audit_begin();
	enum run_end end = world_run(world, &choice);
	const char *complaint = audit_end();
	choice_end(&choice, end, 0);
	choice_release(&choice);
	strategy_free(audited.picks);
	return complaint;
}

/* Random runs until one has a complaint, which is copied. */
static bool find_complaint(const char *name, const struct world_options *options, uint64_t runs,
			   char *complaint)
{
	struct workload workload;
	struct world *world = NULL;
	struct why why = { "" };
	bool found = false;
	load(&workload, name);
	enum status status = world_new(&world, &workload, options, &why);
	ck_assert_msg(status == STATUS_OK, "%s: %s", name, why.text);
	for (uint64_t seed = 1; seed <= runs && !found; seed++) {
		const char *said = audit_run(world, seed);
		if (!said)
			continue;
		found = true;
		snprintf(complaint, COMPLAINT_BYTES, "%s: seed %" PRIu64 ": %s", name, seed, said);
	}
	world_free(world);
	workload_release(&workload);
	return found;
}

static struct world_options options_of(enum qcow2_policy policy, bool all_points, uint32_t faults)
{
	return (struct world_options){ .policy = policy,
				       .points = all_points ? SCHED_POINTS_ALL : SCHED_POINTS_IO,
				       .faults_max = faults,
				       .stamps = true };
}

/* The workload under both kinds of points, without and with a fault. */
static void check_workload(const char *name, const char *bug, enum qcow2_policy policy)
{
	char complaint[COMPLAINT_BYTES];
	for (unsigned i = 0; i < 4; i++) {
		const struct world_options options = options_of(policy, i % 2, i / 2);
		bool found = find_complaint(name, &options, run_count(), complaint);
		ck_assert_msg(!found, "policy %s, points %s, bug %s: %s", qcow2_policy_name(policy),
			      i % 2 ? "all" : "io", bug, complaint);
	}
	struct audit_counts counts = audit_counts();
	printf("%-24s %-20s %-8s %" PRIu64 " steps, %" PRIu64
	       " accesses, footprints of %u at most, %" PRIu64 " of everything\n",
	       name, bug, qcow2_policy_name(policy), counts.steps, counts.accesses,
	       counts.footprint_peak, counts.everything);
	ck_assert_uint_gt(counts.accesses, 0);
}

START_TEST(whatever_workloads_touch_is_declared)
{
	size_t index = (size_t)_i;
	const char *name = index < MORE_WORKLOADS ? more_workloads[index].name
						  : workload_shipped(index - MORE_WORKLOADS)->name;
	for (size_t i = 0; i < 3; i++)
		check_workload(name, "", shipped_policies[i]);
}
END_TEST

START_TEST(whatever_known_bugs_touch_is_declared)
{
	const struct known_bug *bug = known_bug_at((size_t)_i);
	known_bug_enable(bug->name);
	check_workload(bug->workload, bug->name, QCOW2_CANCEL);
	known_bugs_disable();
}
END_TEST

enum { AT_REFCOUNT_TABLE = 48 };

/* A dirty image: all that a run of `world` did, without its last operation, which clears the dirty
 * bit. Its refcount block is missing, too, so that the repair has to make one. */
static struct content *dirty_image(struct world *world)
{
	size_t count = 0, last = 0;
	uint8_t raw[8], nothing[8] = { 0 };
	const struct trace_file *files = world_files(world, &count);
	const struct event_log *log = world_log(world);
	struct content *image = content_clone(files[0].initial);
	for (size_t i = 0; i < log->count; i++)
		if (judge_is_operation(&log->events[i]))
			last = i;
	ck_assert_uint_eq(log->events[last].length, sizeof(nothing));
	for (size_t i = 0; i < last; i++)
		if (judge_is_operation(&log->events[i]))
			ck_assert_int_eq(trace_apply(image, log, &log->events[i]), STATUS_OK);
	content_read(image, raw, sizeof(raw), AT_REFCOUNT_TABLE);
	uint64_t table = 0;
	for (size_t i = 0; i < sizeof(raw); i++)
		table = table << 8 | raw[i];
	ck_assert_int_eq(content_write(image, nothing, sizeof(nothing), table), STATUS_OK);
	return image;
}

START_TEST(what_a_repair_touches_is_declared)
{
	struct workload workload;
	struct world *world = NULL;
	struct why why = { "" };
	load(&workload, "lazy-snapshot");
	for (int all_points = 0; all_points < 2; all_points++) {
		const struct world_options options = options_of(QCOW2_CANCEL, all_points, 0);
		ck_assert_int_eq(world_new(&world, &workload, &options, &why), STATUS_OK);
		ck_assert_ptr_null(audit_run(world, 1));
		world_set_image(world, dirty_image(world));
		for (uint64_t seed = 1; seed <= run_count(); seed++) {
			const char *complaint = audit_run(world, seed);
			ck_assert_msg(!complaint, "seed %" PRIu64 ": %s", seed, complaint);
			ck_assert_str_eq(world_open_failure(world), "");
		}
		world_free(world);
	}
	workload_release(&workload);
}
END_TEST

/* Declarations whose absence must show, and where. */
static const struct {
	const char *function;
	enum touch_kind kind;
	enum access_mode mode;
	const char *workload;
} muted[] = {
	{ "note_done", TOUCH_PROGRESS, ACCESS_WRITE, "late-child" },
	{ "cow_region", TOUCH_EXTENT, ACCESS_WRITE, "late-child" },
	{ "l2meta_new_child", TOUCH_EXTENT, ACCESS_WRITE, "late-child" },
	{ "list_remove", TOUCH_LIST, ACCESS_WRITE, "late-child" },
	{ "park", TOUCH_URGENCY, ACCESS_WRITE, "asleep-until-flush" },
	{ "cache_dirty", TOUCH_DIRTY, ACCESS_ADD, "late-child" },
	{ "slot_find", TOUCH_SLOTS, ACCESS_READ, "late-child" },
	{ "l2meta_drain", TOUCH_DRAINS, ACCESS_WRITE, "asleep-until-flush" },
	{ "hold_begin", TOUCH_HOLDS, ACCESS_ADD, "read-in-flight" },
	{ "map_lookup", TOUCH_L2, ACCESS_READ, "rewrite-parent" },
	{ "find_room", TOUCH_RECENT, ACCESS_WRITE, "caches-too-small" },
};

START_TEST(a_declaration_left_out_is_missed)
{
	char complaint[COMPLAINT_BYTES] = "";
	const struct world_options options = options_of(QCOW2_CANCEL, true, 0);
	audit_mute(muted[_i].function, muted[_i].kind, muted[_i].mode);
	bool found = find_complaint(muted[_i].workload, &options, RUNS_MUTED, complaint);
	audit_mute(NULL, 0, ACCESS_READ);
	ck_assert_msg(found, "nothing is missed without that of %s()", muted[_i].function);
	printf("without that of %s(): %s\n", muted[_i].function, complaint);
	ck_assert_ptr_nonnull(strstr(complaint, "its step declares no such"));
}
END_TEST

/* ---- the rules one by one: tasks that do what they must not ---- */

/** Memory for tasks to meddle with: of no task, as the engine's is that comes from a heap. */
static uint64_t common[4];

static const void *someones_stack;

static void tell(const void *address, bool is_write)
{
	audit_access(address, sizeof(uint64_t), is_write, __builtin_return_address(0));
}

static void write_common(void *argument)
{
	(void)argument;
	tell(&common[0], true);
}

static void read_common(void *argument)
{
	(void)argument;
	tell(&common[0], false);
}

static void make_constant(void *argument)
{
	(void)argument;
	tell(&common[0], true);
	audit_bind_constant(common, sizeof(common));
	tell(&common[0], false);
}

static void sleep_on_stack(void *argument)
{
	uint64_t local = 0;
	(void)argument;
	someones_stack = &local;
	tell(&local, true);
	task_yield();
}

static void read_stack(void *argument)
{
	(void)argument;
	tell(someones_stack, false);
}

/* Declares entry 1 of an object, and has the audit told of accesses to that and to the whole. */
static void bind_common(enum access_mode mode, bool writes_whole)
{
	audit_bind_entries(common, 2, TOUCH_L1, 0, 0);
	audit_bind(&common[2], sizeof(common[2]), TOUCH_L1, 0, TOUCH_ALL);
	footprint_touch(session_footprint(), footprint_object(TOUCH_L1, 0), 1, 2, mode);
	tell(&common[1], mode != ACCESS_READ);
	tell(&common[2], writes_whole);
}

static void read_entry_and_whole(void *argument)
{
	(void)argument;
	bind_common(ACCESS_READ, false);
}

static void write_entry_and_read_whole(void *argument)
{
	(void)argument;
	bind_common(ACCESS_WRITE, false);
}

static void write_entry_and_whole(void *argument)
{
	(void)argument;
	bind_common(ACCESS_WRITE, true);
}

static void read_other_entry(void *argument)
{
	(void)argument;
	bind_common(ACCESS_READ, false);
	tell(&common[0], false);
}

static void own_without_writing(void *argument)
{
	(void)argument;
	bind_common(ACCESS_WRITE, false);
	audit_own(common, sizeof(common), TOUCH_L1, 0, TOUCH_ALL);
}

static void own_and_hand_over(void *argument)
{
	(void)argument;
	bind_common(ACCESS_WRITE, false);
	footprint_touch(session_footprint(), footprint_object(TOUCH_LIST, 0), 0, TOUCH_ALL,
			ACCESS_WRITE);
	audit_own(common, sizeof(common), TOUCH_LIST, 0, TOUCH_ALL);
	audit_hand_over(common, sizeof(common), 2);
}

/* Two tasks, one after the other, and what the audit says: NULL or a part of it. */
static const struct {
	void (*first)(void *argument);
	void (*second)(void *argument);
	const char *complaint;
} rules[] = {
	{ write_common, write_common, "writes memory of task 1 that is bound to nothing" },
	{ write_common, read_common, "reads memory of task 1 that is bound to nothing" },
	{ read_common, read_common, NULL },
	{ read_common, write_common, "writes memory of task 1" },
	{ make_constant, read_common, NULL },
	{ make_constant, write_common, "writes memory that is constant" },
	{ sleep_on_stack, read_stack, "reads the stack of task 1" },
	{ read_entry_and_whole, write_entry_and_read_whole, NULL },
	{ read_other_entry, read_common, "reads TOUCH_L1 0 entry 0 at" },
	{ write_entry_and_whole, read_common, "writes TOUCH_L1 0 at" },
	{ own_without_writing, read_common, "writes TOUCH_L1 0 at" },
	{ own_and_hand_over, write_common, NULL },
	{ own_and_hand_over, NULL, NULL },
};

START_TEST(each_rule_holds)
{
	struct schedule order;
	schedule_init(&order);
	schedule_append(&order, 0, 0);
	schedule_append(&order, 1, 0);
	struct audited audited = { .base = { .ops = &audited_ops },
				   .picks = strategy_replay_new(&order) };
	struct choice choice;
	struct sched *sched = sched_new();
	choice_init(&choice, &audited.base, NULL);
	ck_assert(choice_begin(&choice));
	audit_begin();
	ck_assert_ptr_nonnull(sched_spawn(sched, "first", rules[_i].first, NULL));
	if (rules[_i].second)
		ck_assert_ptr_nonnull(sched_spawn(sched, "second", rules[_i].second, NULL));
	enum run_end end = sched_run(sched, &(struct sched_options){ .choice = &choice });
	const char *complaint = audit_end();
	ck_assert_int_eq(end, RUN_FINISHED);
	if (rules[_i].complaint)
		ck_assert_msg(complaint && strstr(complaint, rules[_i].complaint), "rule %d: %s",
			      _i, complaint ? complaint : "no complaint");
	else
		ck_assert_msg(!complaint, "rule %d: %s", _i, complaint);
	sched_free(sched);
	choice_release(&choice);
	strategy_free(audited.picks);
	schedule_release(&order);
}
END_TEST

int main(void)
{
	fault_point_init();
	Suite *suite = suite_create("footprints audit");
	TCase *tests = tcase_create("footprints audit");
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, what_a_repair_touches_is_declared);
	tcase_add_loop_test(tests, each_rule_holds, 0, (int)(sizeof(rules) / sizeof(rules[0])));
	tcase_add_loop_test(tests, whatever_workloads_touch_is_declared, 0,
			    (int)(MORE_WORKLOADS + shipped_count()));
	tcase_add_loop_test(tests, whatever_known_bugs_touch_is_declared, 0,
			    (int)known_bug_count());
	tcase_add_loop_test(tests, a_declaration_left_out_is_missed, 0,
			    (int)(sizeof(muted) / sizeof(muted[0])));
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
