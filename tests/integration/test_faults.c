// SPDX-License-Identifier: MIT
/* Faults at every call: whatever fails, and however, the engine answers every request, loses
 * nothing that it acknowledged, and leaves nothing locked. The oracle says so of every run and
 * every crash state.
 *
 * A build with sanitizers is some ten times slower: there the larger searches are cut after a
 * number of runs, and the output says which. All of them to their end, and two faults a run, are
 * the long tests (sweep_faults.py). */
#include "tests/integration/shipped.h"

#include "injector/fault_arm.h"
#include "injector/fault_point.h"
#include "tests/integration/shell.h"
#include "tests/run_suite.h"

#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RUNS_MAX_SLOW = 300, RUNS_MAX = 4000, RETRY_RUNS_MAX = 2000 };

/* A workload that is not shipped, with `options`. */
static void open_text(struct shipped *shipped, const char *name, const char *text,
		      const struct world_options *options)
{
	struct why why = { "" };
	enum status status = workload_parse(&shipped->workload, name, text, strlen(text), &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	status = world_new(&shipped->world, &shipped->workload, options, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
}

/* Search the open world; nothing may be found. Says whether the search was complete. */
static bool expect_clean(struct shipped *shipped, uint64_t runs_max, const char *what)
{
	const struct explore_options options = { .models = CRASH_PREFIX | CRASH_TORN,
						 .budget = { .runs = runs_max } };
	struct explore_result result;
	shipped_explore(shipped, &options, &result);
	ck_assert_msg(result.violation_count == 0, "%s, %s: %s: %s, schedule %s",
		      shipped->workload.name, what, rule_name(result.violations[0].verdict.rule),
		      result.violations[0].verdict.message, result.violations[0].schedule);
	ck_assert_ptr_null(result.complaint);
	bool complete = result.complete;
	if (!complete)
		printf("%s, %s: cut after %" PRIu64 " runs\n", shipped->workload.name, what,
		       result.interleavings);
	explore_result_release(&result);
	return complete;
}

/* Search the world of `text` under every policy, with so many faults a run; nothing may be found.
 * `runs` is 0: each search must be complete. */
static void expect_clean_in_every_policy(const char *name, const char *text, uint32_t faults,
					 uint64_t runs)
{
	for (size_t i = 0; i < 3; i++) {
		const struct world_options options = { .policy = shipped_policies[i],
						       .points = SCHED_POINTS_ALL,
						       .faults_max = faults,
						       .stamps = true };
		struct shipped shipped;
		open_text(&shipped, name, text, &options);
		bool complete =
			expect_clean(&shipped, runs, qcow2_policy_name(shipped_policies[i]));
		ck_assert(complete || runs > 0);
		shipped_close(&shipped);
	}
}

static uint64_t runs_max(void)
{
	return shipped_is_slow_build() ? RUNS_MAX_SLOW : RUNS_MAX;
}

START_TEST(every_shipped_workload_survives_any_one_fault)
{
	const char *text = workload_shipped((size_t)_i)->text;
	expect_clean_in_every_policy(workload_shipped((size_t)_i)->name, text, 1, runs_max());
}
END_TEST

/* Worlds in which a fault once did harm, or that go where no shipped one goes. */
static const char *const worlds[] = {
	/* A snapshot whose creation fails after it was made, then a change, then another one. */
	"#@ image size=2k cluster_size=1k backing=pattern lazy_refcounts=on\n"
	"#@ prepare write 1k 1k\n"
	"#@ prepare snapshot before\n"
	"#@ snapshot one\n"
	"discard 0 1k\n"
	"#@ snapshot two\n",
	/* A refcount table that grows. */
	"#@ image size=16k cluster_size=512 allocate_from=1m\n"
	"write 0 256\n"
	"flush\n",
	/* Zero clusters, given up and rewritten. */
	"#@ image size=16k cluster_size=2k backing=pattern\n"
	"#@ prepare write 2k 4k\n"
	"write 512 512\n"
	"write -z -u 1k 4k\n"
	"discard 0 8k\n"
	"write 2k 512\n"
	"flush\n",
	/* A disk that grows under a longer backing file. */
	"#@ image size=30k cluster_size=512 backing=pattern backing_size=40k\n"
	"truncate 200k\n"
	"write 100k 256\n"
	"flush\n",
};

enum { WORLD_COUNT = sizeof(worlds) / sizeof(worlds[0]) };

START_TEST(every_world_of_our_own_survives_any_one_fault)
{
	expect_clean_in_every_policy("test", worlds[_i], 1, 0);
}
END_TEST

START_TEST(a_compressed_backing_image_survives_any_one_fault)
{
	char text[512], folder[256];
	if (!shell_has_qemu()) {
		printf("skipped: qemu-img or qemu-io is not there\n");
		return;
	}
	shell_enter_folder();
	ck_assert_ptr_nonnull(getcwd(folder, sizeof(folder)));
	ck_assert_int_eq(
		shell("qemu-img create -f qcow2 -o cluster_size=2k plain.qcow2 16k && "
		      "qemu-io -f qcow2 plain.qcow2 -c 'write -P 0x55 0 16k' && "
		      "qemu-img convert -c -O qcow2 -o cluster_size=2k plain.qcow2 base.qcow2"),
		0);
	snprintf(text, sizeof(text),
		 "#@ image size=16k cluster_size=2k backing=%s/base.qcow2 backing_fmt=qcow2\n"
		 "write 512 512\n"
		 "flush\n"
		 "read 0 4k\n",
		 folder);
	expect_clean_in_every_policy("test", text, 1, 0);
	shell_leave_folder();
}
END_TEST

/* Does every request of the last run say that it succeeded? */
static bool all_succeeded(const struct event_log *log)
{
	for (size_t i = 0; i < log->count; i++) {
		const struct event *event = &log->events[i];
		if (event->kind == EVENT_REQUEST_COMPLETED && event->result < 0)
			return false;
	}
	return true;
}

START_TEST(interruptions_and_short_transfers_fail_no_request)
{
	const char *name = workload_shipped((size_t)_i)->name;
	const struct world_options options = { .policy = QCOW2_CANCEL,
					       .points = SCHED_POINTS_IO,
					       .faults_max = 2,
					       .fault_kinds = FAULT_EINTR | FAULT_SHORT,
					       .stamps = true };
	struct shipped shipped;
	uint64_t runs = 0, struck = 0;
	open_text(&shipped, name, workload_shipped((size_t)_i)->text, &options);
	struct strategy *strategy =
		strategy_pos_new(1, runs_max() < RETRY_RUNS_MAX ? runs_max() : RETRY_RUNS_MAX);
	struct choice choice;
	struct order order;
	order_init(&order);
	choice_init(&choice, strategy, NULL);
	choice.order = &order;
	while (choice_begin(&choice)) {
		enum run_end end = world_run(shipped.world, &choice);
		ck_assert_msg(end == RUN_FINISHED, "%s: %s", name, world_report(shipped.world));
		ck_assert_msg(all_succeeded(world_log(shipped.world)), "%s: schedule %s", name,
			      schedule_print(&choice.taken));
		for (size_t i = 0; i < world_log(shipped.world)->count; i++)
			struck += world_log(shipped.world)->events[i].kind == EVENT_FAULT;
		choice_end(&choice, end, 0);
		runs++;
	}
	ck_assert_uint_gt(struck, runs);
	choice_release(&choice);
	order_release(&order);
	strategy_free(strategy);
	shipped_close(&shipped);
}
END_TEST

/* ---- an error that stays ---- */

enum { BAD_SECTOR_AT = 1536 };

/* A sector of the backing file that can never be read. Nothing else is read there. */
static int bad_sector(const char *name, int *failnum, void **failinfo, unsigned *flags)
{
	const struct fault_call *call = fault_asked.call;
	(void)name;
	(void)failnum;
	(void)flags;
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): libfiu passes error numbers as pointers */
	*failinfo = (void *)(intptr_t)EIO;
	return call && call->host_offset <= BAD_SECTOR_AT &&
	       BAD_SECTOR_AT < call->host_offset + call->length;
}

static const char bad_world[] = "#@ image size=16k cluster_size=2k backing=pattern\n"
				"write 0 512\n"  /* request 2 */
				"write 1k 512\n" /* 3: policy cancel: a child; the bad sector is in
						    its tail */
				"write 4k 512\n" /* 4: another cluster */
				"flush\n"
				"write 0 512\n" /* 6: overlaps */
				"flush\n"
				"read 0 512\n";

/* What request `id` returned in the last run. */
static int32_t result_of(const struct event_log *log, uint32_t id)
{
	for (size_t i = 0; i < log->count; i++) {
		const struct event *event = &log->events[i];
		if (event->kind == EVENT_REQUEST_COMPLETED && event->id == id)
			return event->result;
	}
	ck_abort_msg("request %" PRIu32 " was not answered", id);
	return 0;
}

static uint64_t be64_at(const struct content *image, uint64_t host_offset)
{
	uint8_t bytes[8];
	uint64_t value = 0;
	content_read(image, bytes, sizeof(bytes), host_offset);
	for (size_t i = 0; i < sizeof(bytes); i++)
		value = value << 8 | bytes[i];
	return value;
}

/* The L2 entry of a guest cluster; the L1 table has one entry. */
static uint64_t l2_entry(const struct world *world, uint64_t guest_cluster)
{
	struct content *image = world_image(world);
	uint64_t l2 = be64_at(image, be64_at(image, 40)) & UINT64_C(0x00fffffffffffe00);
	uint64_t entry = l2 ? be64_at(image, l2 + 8 * guest_cluster) : 0;
	content_free(image);
	return entry;
}

/* A cluster whose old contents cannot be read can never be linked, with a child in it or not: what
 * was acknowledged in it stays readable, every flush says that it is not durable, who needs it is
 * told, and so is who closes. That concerns nobody else: other allocations link. */
START_TEST(an_error_that_stays_is_told_to_everyone_it_concerns_and_to_nobody_else)
{
	const struct world_options options = { .policy = QCOW2_CANCEL,
					       .points = SCHED_POINTS_ALL,
					       .stamps = true };
	struct schedule none;
	struct shipped shipped;
	ck_assert_int_eq(fiu_enable_external("posix/io/rw/preadv", 1, NULL, 0, bad_sector), 0);
	open_text(&shipped, "test", bad_world, &options);
	schedule_init(&none);
	ck_assert_int_eq(shipped_replay(&shipped, &none), RUN_FINISHED);
	const struct event_log *log = world_log(shipped.world);
	static const int32_t expected[] = { 0, 0, 0, 0, -EIO, -EIO, -EIO, 0, -EIO };
	for (uint32_t id = 1; id <= sizeof(expected) / sizeof(expected[0]); id++)
		ck_assert_msg(result_of(log, id) == expected[id - 1],
			      "request %" PRIu32 ": %" PRId32, id, result_of(log, id));
	ck_assert_uint_eq(l2_entry(shipped.world, 0), 0);
	ck_assert_uint_ne(l2_entry(shipped.world, 2), 0);
	shipped_close(&shipped);
	fiu_disable("posix/io/rw/preadv");
}
END_TEST

START_TEST(an_error_that_stays_is_survived_in_every_order)
{
	static const char *const concurrent = "#@ image size=16k cluster_size=2k backing=pattern\n"
					      "aio_write 0 512\n"
					      "write 1k 512\n"
					      "flush\n"
					      "aio_write 4k 512\n"
					      "aio_flush\n";
	ck_assert_int_eq(fiu_enable_external("posix/io/rw/preadv", 1, NULL, 0, bad_sector), 0);
	expect_clean_in_every_policy("test", concurrent, 0, 0);
	fiu_disable("posix/io/rw/preadv");
}
END_TEST

int main(void)
{
	fault_point_init();
	Suite *suite = suite_create("faults");
	TCase *tests = tcase_create("faults");
	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, every_shipped_workload_survives_any_one_fault, 0,
			    (int)shipped_count());
	tcase_add_loop_test(tests, every_world_of_our_own_survives_any_one_fault, 0, WORLD_COUNT);
	tcase_add_loop_test(tests, interruptions_and_short_transfers_fail_no_request, 0,
			    (int)shipped_count());
	suite_add_tcase(suite, tests);
	TCase *few = tcase_create("few");
	tcase_set_timeout(few, 120);
	tcase_add_test(few, a_compressed_backing_image_survives_any_one_fault);
	tcase_add_test(few, an_error_that_stays_is_told_to_everyone_it_concerns_and_to_nobody_else);
	tcase_add_test(few, an_error_that_stays_is_survived_in_every_order);
	suite_add_tcase(suite, few);
	return run_suite(suite);
}
