// SPDX-License-Identifier: MIT
#include "injector/fault_point.h"
#include "tests/run_suite.h"

#include <check.h>
#include <errno.h>
#include <fiu-control.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* The errno that the point named `name` gives a call that is neither read nor write. */
static int ask(const char *name)
{
	const struct fault_call call = { .point = name, .kind = FAULT_CALL_RESIZE };

	return fault_point_ask(&call).error;
}

START_TEST(a_known_bug_is_on_until_it_is_switched_off)
{
	ck_assert(!known_bugs_armed);
	ck_assert(!KNOWN_BUG("one"));
	known_bug_enable("one");
	known_bug_enable("engine/bug/two");
	known_bug_enable("one");
	ck_assert(known_bugs_armed);
	ck_assert(KNOWN_BUG("one"));
	ck_assert(KNOWN_BUG("one"));
	ck_assert(KNOWN_BUG("two"));
	ck_assert(!KNOWN_BUG("three"));
	known_bugs_disable();
	ck_assert(!known_bugs_armed);
	ck_assert(!KNOWN_BUG("one"));
	ck_assert(!known_bug_is_on("engine/bug/one"));
}
END_TEST

START_TEST(points_enabled_through_libfiu_itself_work)
{
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): libfiu passes error numbers as pointers */
	void *no_space = (void *)(intptr_t)ENOSPC;

	fault_point_init();
	ck_assert_int_eq(ask("posix/io/rw/pwrite"), 0);
	ck_assert_int_eq(fiu_enable("posix/io/rw/pwrite", 1, no_space, FIU_ONETIME), 0);
	ck_assert_int_eq(ask("posix/io/rw/pwritev"), 0);
	ck_assert_int_eq(ask("posix/io/rw/pwrite"), ENOSPC);
	ck_assert_int_eq(ask("posix/io/rw/pwrite"), 0);
	ck_assert(!known_bugs_armed);
}
END_TEST

START_TEST(points_enabled_by_a_remote_command_work)
{
	char *error = NULL;

	fault_point_init();
	ck_assert_int_eq(fiu_rc_string("enable name=posix/io/sync/*,failinfo=5", &error), 0);
	ck_assert_int_eq(ask("posix/io/sync/fdatasync"), EIO);
	ck_assert_int_eq(fiu_rc_string("enable name=engine/bug/*", &error), 0);
	ck_assert(known_bugs_armed);
	ck_assert(KNOWN_BUG("whatever"));
}
END_TEST

/* A run that asks `calls` times; returns how many failed. */
static unsigned ask_times(struct choice *choice, const char *pattern, uint32_t faults_max,
			  unsigned calls)
{
	const struct fault_options options = { .points = pattern,
					       .kinds = FAULT_EIO,
					       .faults_max = faults_max };
	unsigned failed = 0;

	fault_point_begin(choice, &options);
	for (unsigned i = 0; i < calls; i++) {
		int error = ask("posix/io/rw/pread");
		ck_assert(error == 0 || error == EIO);
		failed += error != 0;
	}
	fault_point_end();
	return failed;
}

START_TEST(faults_are_enumerated_up_to_the_bound)
{
	struct strategy *strategy = strategy_dfs_new(false);
	struct choice choice;
	unsigned runs_with[4] = { 0 };

	choice_init(&choice, strategy, NULL);
	while (choice_begin(&choice))
		runs_with[ask_times(&choice, "posix/io/*", 2, 4)]++;
	/* 4 over 0, 1 and 2. */
	ck_assert_uint_eq(runs_with[0], 1);
	ck_assert_uint_eq(runs_with[1], 4);
	ck_assert_uint_eq(runs_with[2], 6);
	ck_assert_uint_eq(runs_with[3], 0);
	choice_release(&choice);
	strategy_free(strategy);
}
END_TEST

static const struct fault_call write_call = { "posix/io/rw/pwrite", FAULT_CALL_WRITE, 0, 2048 };

/* Every run that asks about `call` once, under `pattern`: what went wrong in each. */
static size_t enumerate(struct fault *faults, const struct fault_call *call, const char *pattern,
			unsigned kinds)
{
	const struct fault_options options = { pattern, kinds, 1 };
	struct strategy *strategy = strategy_dfs_new(false);
	struct choice choice;
	size_t count = 0;

	choice_init(&choice, strategy, NULL);
	while (choice_begin(&choice)) {
		fault_point_begin(&choice, &options);
		ck_assert_uint_lt(count, 1 + FAULT_MENU_MAX);
		faults[count++] = fault_point_ask(call);
		fault_point_end();
	}
	choice_release(&choice);
	strategy_free(strategy);
	return count;
}

START_TEST(a_call_is_one_choice_among_all_that_can_go_wrong_with_it)
{
	struct fault faults[1 + FAULT_MENU_MAX];

	ck_assert_uint_eq(enumerate(faults, &write_call, NULL, 0), 6);
	ck_assert(faults[0].error == 0 && faults[0].bytes == 0);
	ck_assert_int_eq(faults[1].error, EIO);
	ck_assert_int_eq(faults[2].error, ENOSPC);
	ck_assert_int_eq(faults[3].error, EINTR);
	ck_assert_uint_eq(faults[4].bytes, 1024);
	ck_assert_uint_eq(faults[5].bytes, 1536);
}
END_TEST

START_TEST(the_pattern_says_whether_errors_or_cuts_are_offered)
{
	struct fault faults[1 + FAULT_MENU_MAX];
	const struct fault_call memory = { "libc/mm/malloc", FAULT_CALL_MEMORY, 0, 0 };

	ck_assert_uint_eq(enumerate(faults, &write_call, "posix/io/rw/pwrite", 0), 4);
	ck_assert_uint_eq(enumerate(faults, &write_call, "posix/io/rw/pwrite/reduce", 0), 3);
	ck_assert_uint_eq(faults[1].bytes, 1024);
	ck_assert_uint_eq(enumerate(faults, &write_call, "posix/io/rw/pwrite*", 0), 6);
	ck_assert_uint_eq(enumerate(faults, &write_call, "posix/io/rw/pwritev", 0), 1);
	ck_assert_uint_eq(enumerate(faults, &write_call, "*", FAULT_SHORT | FAULT_ENOSPC), 4);
	ck_assert_uint_eq(enumerate(faults, &memory, "posix/*", 0), 1);
	ck_assert_uint_eq(enumerate(faults, &memory, "*", 0), 2);
	ck_assert_int_eq(faults[1].error, ENOMEM);
	ck_assert_uint_eq(enumerate(faults, &memory, NULL, FAULT_KINDS_UNSAID), 1);
}
END_TEST

START_TEST(a_pattern_of_everything_leaves_known_bugs_alone)
{
	struct strategy *strategy = strategy_dfs_new(false);
	const struct fault_options options = { "*", 0, 1 };
	struct choice choice;

	choice_init(&choice, strategy, NULL);
	ck_assert(choice_begin(&choice));
	known_bug_enable("one");
	fault_point_begin(&choice, &options);
	ck_assert(KNOWN_BUG("one"));
	ck_assert(!KNOWN_BUG("two"));
	fault_point_end();
	known_bugs_disable();
	ck_assert_uint_eq(choice.taken.count, 0);
	choice_release(&choice);
	strategy_free(strategy);
}
END_TEST

START_TEST(transfers_are_cut_by_libfius_own_names)
{
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): libfiu passes numbers as pointers */
	void *six_hundred = (void *)(intptr_t)600;
	char *error = NULL;

	fault_point_init();
	ck_assert_int_eq(fiu_rc_string("enable name=posix/io/rw/pwrite/reduce", &error), 0);
	ck_assert_uint_eq(fault_point_ask(&write_call).bytes, 1024);
	ck_assert_int_eq(fiu_disable("posix/io/rw/pwrite/reduce"), 0);
	ck_assert_uint_eq(fault_point_ask(&write_call).bytes, 0);
	ck_assert_int_eq(fiu_enable("posix/io/rw/pwrite/reduce", 1, six_hundred, FIU_ONETIME), 0);
	ck_assert_uint_eq(fault_point_ask(&write_call).bytes, 512);
}
END_TEST

START_TEST(exhausted_unmatched_and_forbidden_faults_ask_no_choice)
{
	struct schedule schedule;
	struct choice choice;

	schedule_init(&schedule);
	schedule_append(&schedule, 1, 2);
	struct strategy *strategy = strategy_replay_new(&schedule);
	choice_init(&choice, strategy, NULL);
	ck_assert(choice_begin(&choice));
	ck_assert_uint_eq(ask_times(&choice, "posix/io/*", 0, 3), 0);
	ck_assert_uint_eq(ask_times(&choice, "posix/io/sync/*", 3, 3), 0);
	ck_assert_uint_eq(ask_times(NULL, "posix/io/*", 3, 3), 0);
	ck_assert_uint_eq(choice.taken.count, 0);
	ck_assert_uint_eq(ask_times(&choice, "posix/io/rw/pread", 1, 3), 1);
	ck_assert_uint_eq(choice.taken.count, 1);
	ck_assert_int_eq(ask("posix/io/rw/pread"), 0);
	choice_release(&choice);
	strategy_free(strategy);
	schedule_release(&schedule);
}
END_TEST

START_TEST(the_environment_of_fiu_run_arms_bugs_and_points)
{
	char self[512];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	ck_assert_int_gt(length, 0);
	self[length] = '\0';
	if (access("/usr/bin/fiu-run", X_OK) != 0) {
		printf("skipped: no fiu-run here\n");
		return;
	}
	pid_t child = fork();
	if (child == 0) {
		/* A sanitizer wants to be the first library; the order is right as it is. */
		setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
		execl("/usr/bin/fiu-run", "fiu-run", "-f", "", "-c",
		      "enable name=engine/bug/from-outside", "-c",
		      "enable name=posix/io/rw/read,failinfo=28", self, "--as-child", (char *)NULL);
		_exit(127);
	}
	int status = 0;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "wait status 0x%x",
		      (unsigned)status);
}
END_TEST

/* What the_environment_of_fiu_run_arms_bugs_and_points runs. */
static int as_child(void)
{
	if (!known_bugs_armed || !KNOWN_BUG("from-outside") || KNOWN_BUG("other"))
		return 1;
	return ask("posix/io/rw/read") == ENOSPC ? 0 : 2;
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return as_child();
	Suite *suite = suite_create("fault_point");
	TCase *tests = tcase_create("fault_point");

	tcase_add_test(tests, a_known_bug_is_on_until_it_is_switched_off);
	tcase_add_test(tests, points_enabled_through_libfiu_itself_work);
	tcase_add_test(tests, points_enabled_by_a_remote_command_work);
	tcase_add_test(tests, faults_are_enumerated_up_to_the_bound);
	tcase_add_test(tests, a_call_is_one_choice_among_all_that_can_go_wrong_with_it);
	tcase_add_test(tests, the_pattern_says_whether_errors_or_cuts_are_offered);
	tcase_add_test(tests, a_pattern_of_everything_leaves_known_bugs_alone);
	tcase_add_test(tests, transfers_are_cut_by_libfius_own_names);
	tcase_add_test(tests, exhausted_unmatched_and_forbidden_faults_ask_no_choice);
	tcase_add_test(tests, the_environment_of_fiu_run_arms_bugs_and_points);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
