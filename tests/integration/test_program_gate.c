// SPDX-License-Identifier: MIT
/* Unmodified qemu-io at the gate: its runs are functions of their schedules.
 *
 * usage: test_program_gate [RUNS]     random runs, each replayed (100) */
#include "tests/integration/foreign.h"
#include "tests/integration/shell.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define PROGRAM "qemu-io -t writeback -d unmap -f qcow2 {image}"

/* Requests that share clusters, tables and a thread pool: allocation with COW from a backing file,
 * rewriting, zeroing, discarding, and metadata written by a flush. */
static const char busy[] = "#@ image size=1M cluster_size=4k backing=pattern\n"
			   "#@ prepare write -P 0x77 64k 8k\n"
			   "aio_write -P 1 512 1k\n"
			   "aio_write -P 2 2k 512\n"
			   "aio_write -P 3 64k 3k\n"
			   "aio_write -z -u 68k 4k\n"
			   "aio_read 65k 512\n"
			   "discard 64k 4k\n"
			   "aio_write -P 4 128k 4k\n"
			   "flush\n"
			   "aio_flush\n"
			   "read 0 4k\n";

static unsigned long runs_wanted = 100;

static const struct program_options qemu_io = { .command = PROGRAM };

START_TEST(random_runs_replayed_are_identical)
{
	struct foreign foreign;
	foreign_open(&foreign, &qemu_io, busy);
	foreign_replay_random(&foreign, runs_wanted);
	foreign_close(&foreign);
}
END_TEST

/* Three writes to data clusters that are allocated already: all six orders of their effects. */
START_TEST(exhaustive_search_runs_every_order_of_writes_in_place)
{
	static const char text[] = "#@ image size=64k cluster_size=4k\n"
				   "#@ prepare write -P 1 0 64k\n"
				   "aio_write -P 2 0 512\n"
				   "aio_write -P 3 4k 512\n"
				   "aio_write -P 4 8k 512\n"
				   "aio_flush\n";
	struct foreign foreign;
	foreign_open(&foreign, &qemu_io, text);
	ck_assert_uint_eq(foreign_count_orders(&foreign, 512), 6);
	foreign_close(&foreign);
}
END_TEST

/* What reads return is known: their bytes are in the log. */
START_TEST(the_log_has_what_reads_returned)
{
	static const char text[] = "#@ image size=64k cluster_size=4k\n"
				   "write -P 0x5a 512 100\n"
				   "aio_read 500 37\n"
				   "aio_flush\n";
	struct foreign foreign;
	foreign_open(&foreign, &qemu_io, text);
	foreign_execute(&foreign, strategy_random_new(1, 1), NULL);
	const struct event *answer = foreign_answer(&foreign, REQUEST_READ);
	ck_assert_uint_eq(answer->data_bytes, 37);
	for (size_t i = 0; i < 37; i++)
		ck_assert_uint_eq(event_data(program_log(foreign.program), answer)[i],
				  i < 12 ? 0 : 0x5a);
	foreign_close(&foreign);
}
END_TEST

static const char plain[] = "#@ image size=64k cluster_size=4k\nwrite 0 512\n";

static void expect_refusal(const char *command, const char *text, const char *expected)
{
	foreign_expect_refusal(&(struct program_options){ .command = command }, text, expected);
}

static void expect_end(const char *command, enum run_end expected, const char *message)
{
	foreign_expect_end(&(struct program_options){ .command = command }, plain, expected,
			   message);
}

/* Programs that misbehave when they get their first command. */
START_TEST(a_program_that_never_rests_is_refused)
{
	expect_refusal(HELPER " spin {image}", plain, "a thread of it runs on and on");
	expect_refusal(HELPER " timer {image}", plain, "it waits for its clock, again and again");
	expect_refusal(HELPER " busy {image}", plain, "a thread of it runs on and on");
	expect_refusal(HELPER " lie {image}", plain, "which it was not asked for");
	expect_refusal(HELPER " dumb {image}", plain, "but: I do not know that word");
}
END_TEST

START_TEST(a_program_that_dies_or_stands_still_is_a_run_that_did)
{
	expect_end(HELPER " abort {image}", RUN_DIED, "ended by signal 6");
	expect_end(HELPER " leave {image}", RUN_DIED, "ended with exit status 7 in mid-course");
	expect_end(HELPER " stuck {image}", RUN_DEADLOCK, "the program waits for what cannot come");
}
END_TEST

START_TEST(what_cannot_be_swept_is_refused_with_a_reason)
{
	expect_refusal("qemu-io -f qcow2", plain, "{image} is missing");
	expect_refusal("qemu-io 'x {image}", plain, "a quote that is not closed");
	expect_refusal("no-such-program {image}", plain, "cannot run 'no-such-program'");
	expect_refusal("true {image}", plain, "ended before it opened the image");
	expect_refusal("qemu-io -f raw {image}.missing", plain, "missing");
	expect_refusal(PROGRAM,
		       "#@ image size=64k cluster_size=4k\n"
		       "aio_write -P 1 0 512\naio_write -P 2 0 512\n",
		       "test:3: it may be under way together with line 2");
	expect_refusal("sh -c 'exec sleep 1000' {image}", plain, "does not come to rest");
}
END_TEST

int main(int argc, char **argv)
{
	if (argc > 1)
		runs_wanted = strtoul(argv[1], NULL, 10);
	if (!shell_has_qemu()) {
		puts("skipped: qemu-io is not installed");
		return 77;
	}
	Suite *suite = suite_create("program_gate");
	TCase *tests = tcase_create("gate");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, random_runs_replayed_are_identical);
	tcase_add_test(tests, exhaustive_search_runs_every_order_of_writes_in_place);
	tcase_add_test(tests, the_log_has_what_reads_returned);
	tcase_add_test(tests, a_program_that_never_rests_is_refused);
	tcase_add_test(tests, a_program_that_dies_or_stands_still_is_a_run_that_did);
	tcase_add_test(tests, what_cannot_be_swept_is_refused_with_a_reason);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
