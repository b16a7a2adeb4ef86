// SPDX-License-Identifier: MIT
/* NBD servers at the gate: runs of unmodified qemu-nbd are functions of their schedules.
 *
 * usage: test_nbd_gate [RUNS]     random runs, each replayed (20) */
#include "tests/integration/foreign.h"
#include "tests/integration/shell.h"
#include "tests/run_suite.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define QEMU_NBD "qemu-nbd -f qcow2 --discard=unmap --socket={socket} {image}"
#define STORAGE_DAEMON                                                                             \
	"qemu-storage-daemon --blockdev file,node-name=f,filename={image} "                        \
	"--blockdev qcow2,node-name=q,file=f,discard=unmap "                                       \
	"--nbd-server addr.type=unix,addr.path={socket} --export nbd,id=e,node-name=q,writable=on"

/* Requests of every kind that share clusters and tables, each but the flush beside others. */
static const char busy[] = "#@ image size=1M cluster_size=4k backing=pattern\n"
			   "#@ prepare write -P 0x77 64k 8k\n"
			   "aio_write -P 1 512 1k\n"
			   "aio_write -P 2 2k 512\n"
			   "aio_write -P 3 64k 3k\n"
			   "aio_write -z 68k 512\n"
			   "aio_write -z -u 69k 4k\n"
			   "aio_read 65k 512\n"
			   "aio_discard 64k 4k\n"
			   "aio_write -P 4 128k 4k\n"
			   "flush\n"
			   "aio_flush\n"
			   "read 0 4k\n";

static const char plain[] = "#@ image size=64k cluster_size=4k\nwrite 0 512\n";

static const struct program_options qemu_nbd = { .command = QEMU_NBD, .is_nbd = true };
static const struct program_options storage_daemon = { .command = STORAGE_DAEMON, .is_nbd = true };
static unsigned long runs_wanted = 20;

START_TEST(random_runs_replayed_are_identical)
{
	struct foreign foreign;
	foreign_open(&foreign, &qemu_nbd, busy);
	foreign_replay_random(&foreign, runs_wanted);
	foreign_close(&foreign);
}
END_TEST

START_TEST(a_server_that_stays_is_ended_and_just_as_repeatable)
{
	struct foreign foreign;
	if (shell("qemu-storage-daemon --version") != 0) {
		puts("left out: qemu-storage-daemon is not installed");
		return;
	}
	foreign_open(&foreign, &storage_daemon, busy);
	foreign_replay_random(&foreign, runs_wanted);
	foreign_close(&foreign);
}
END_TEST

START_TEST(exhaustive_search_runs_every_order_of_writes_in_place)
{
	foreign_check_orders(&qemu_nbd);
}
END_TEST

/* More than a socket holds, in both directions: the messages go in pieces. */
START_TEST(the_log_has_what_long_reads_returned)
{
	enum { BYTES = 3 << 20 };
	static const char text[] = "#@ image size=4M\n"
				   "write -P 0x5a 0 3M\n"
				   "aio_read 512 3M\n"
				   "aio_read 0 3M\n"
				   "aio_flush\n";
	struct foreign foreign;
	foreign_open(&foreign, &qemu_nbd, text);
	foreign_execute(&foreign, strategy_random_new(1, 1), NULL);
	const struct event *answer = foreign_answer(&foreign, REQUEST_READ);
	const uint8_t *data = event_data(program_log(foreign.program), answer);
	size_t written = answer->guest_offset ? BYTES - 512 : BYTES, wrong = 0;
	ck_assert_uint_eq(answer->data_bytes, BYTES);
	for (size_t i = 0; i < BYTES; i++)
		wrong += data[i] != (i < written ? 0x5a : 0);
	ck_assert_uint_eq(wrong, 0);
	foreign_close(&foreign);
}
END_TEST

/* How many requests are under way at a time, at most. */
static unsigned most_outstanding(const struct event_log *log)
{
	unsigned now = 0, most = 0;
	for (size_t i = 0; i < log->count; i++) {
		now += log->events[i].kind == EVENT_REQUEST_INVOKED;
		now -= log->events[i].kind == EVENT_REQUEST_COMPLETED;
		most = now > most ? now : most;
	}
	return most;
}

/* `aio_flush` waits for all, other commands without aio_ for themselves. */
START_TEST(requests_overlap_as_the_commands_say)
{
	static const struct {
		const char *commands;
		unsigned most;
	} cases[] = {
		{ "aio_write 0 512\naio_write 4k 512\naio_write 8k 512\n", 3 },
		{ "aio_write 0 512\naio_write 4k 512\naio_flush\naio_write 8k 512\n", 2 },
		{ "aio_write 0 512\naio_discard 0 4k\naio_write -z 4k 4k\naio_read 0 512\n", 4 },
		{ "aio_write 0 512\nwrite 4k 512\nwrite 8k 512\n", 2 },
		{ "aio_write 0 512\nflush\naio_write 8k 512\n", 2 },
		{ "write 0 512\nwrite 4k 512\nflush\n", 1 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[200];
		struct foreign foreign;
		struct schedule first = { 0 };
		snprintf(text, sizeof(text),
			 "#@ image size=64k cluster_size=4k\n#@ prepare write 0 64k\n%s",
			 cases[i].commands);
		foreign_open(&foreign, &qemu_nbd, text);
		/* Always the first option: the next command as early as it can be. */
		schedule_init(&first);
		foreign_execute(&foreign, strategy_replay_new(&first), NULL);
		ck_assert_uint_eq(most_outstanding(program_log(foreign.program)), cases[i].most);
		schedule_release(&first);
		foreign_close(&foreign);
	}
}
END_TEST

static void expect_refusal(const char *command, const char *text, const char *expected)
{
	const struct program_options options = { .command = command, .is_nbd = true };
	foreign_expect_refusal(&options, text, expected);
}

START_TEST(what_cannot_be_served_is_refused_with_a_reason)
{
#define IMAGE "#@ image size=64k cluster_size=4k\n"
	expect_refusal("qemu-nbd -f qcow2 {image}", plain, "{socket} is missing");
	expect_refusal("qemu-nbd --fork --socket={socket} {image}", plain, "'--fork'");
	expect_refusal("qemu-nbd --socket={socket}", plain, "{image} is missing");
	expect_refusal("qemu-nbd --socket={socket} {image}.missing", plain, "No such file");
	expect_refusal("qemu-nbd -f raw --socket={socket} {image}", plain,
		       "does it know that it is qcow2?");
	expect_refusal("qemu-nbd -r -f qcow2 --socket={socket} {image}", plain,
		       "test:2: 'qemu-nbd' takes no such request (write)");
	expect_refusal(QEMU_NBD, IMAGE "write 0 512\ntruncate 1M\n",
		       "test:3: a server cannot be told to resize the disk");
	expect_refusal(QEMU_NBD, IMAGE "write -c 0 4k\n",
		       "test:2: a server cannot be told to compress");
	expect_refusal(QEMU_NBD, IMAGE "#@ snapshot one\n",
		       "test:2: a program cannot be told to make a snapshot: NBD has no word");
	expect_refusal(QEMU_NBD, "#@ image size=1G\nread 0 33M\n", "NBD moves 33554432 at a time");
	expect_refusal(QEMU_NBD, IMAGE "write 0 0\n", "test:2: NBD has no requests of no bytes");
}
END_TEST

START_TEST(a_server_that_cannot_be_used_is_refused)
{
#define SERVED(mode) HELPER " " mode " {socket} {image}"
	expect_refusal(SERVED("silent"), plain, "does not answer at its socket");
	expect_refusal(SERVED("nonsense"), plain, "hung up before it had greeted");
	expect_refusal(SERVED("two"), plain, "the server has 2 exports: one is wanted");
	expect_refusal(SERVED("small"), plain, "serves a disk of 512 bytes, the image's has 65536");
	expect_refusal(SERVED("read-only"), plain, "takes no such request (write)");
	expect_refusal(SERVED("plain"), "#@ image size=64k cluster_size=4k\ndiscard 0 4k\n",
		       "takes no such request (discard)");
}
END_TEST

static void expect_end(const char *command, enum run_end expected, const char *message)
{
	const struct program_options options = { .command = command, .is_nbd = true };
	foreign_expect_end(&options, plain, expected, message);
}

START_TEST(a_server_that_dies_or_stands_still_is_a_run_that_did)
{
	expect_end(SERVED("plain"), RUN_FINISHED, "");
	expect_end(SERVED("named"), RUN_DIED, "ended by signal 15");
	expect_end(SERVED("abort"), RUN_DIED, "ended by signal 6");
	expect_end(SERVED("leave"), RUN_DIED, "ended with exit status 7 in mid-course");
	expect_end(SERVED("hang-up"), RUN_DEADLOCK, "the program waits for what cannot come");
	expect_end(SERVED("mute"), RUN_DEADLOCK, "the program waits for what cannot come");
}
END_TEST

START_TEST(an_error_in_a_reply_is_a_request_that_failed)
{
	const struct program_options options = { .command = SERVED("fail"), .is_nbd = true };
	struct foreign foreign;
	foreign_open(&foreign, &options, plain);
	foreign_execute(&foreign, strategy_random_new(1, 1), NULL);
	ck_assert_int_eq(foreign_answer(&foreign, REQUEST_WRITE)->result, -EIO);
	foreign_close(&foreign);
}
END_TEST

int main(int argc, char **argv)
{
	if (argc > 1)
		runs_wanted = strtoul(argv[1], NULL, 10);
	if (shell("qemu-nbd --version") != 0) {
		puts("skipped: qemu-nbd is not installed");
		return 77;
	}
	Suite *suite = suite_create("nbd_gate");
	TCase *tests = tcase_create("gate");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, random_runs_replayed_are_identical);
	tcase_add_test(tests, a_server_that_stays_is_ended_and_just_as_repeatable);
	tcase_add_test(tests, exhaustive_search_runs_every_order_of_writes_in_place);
	tcase_add_test(tests, the_log_has_what_long_reads_returned);
	tcase_add_test(tests, requests_overlap_as_the_commands_say);
	tcase_add_test(tests, what_cannot_be_served_is_refused_with_a_reason);
	tcase_add_test(tests, a_server_that_cannot_be_used_is_refused);
	tcase_add_test(tests, a_server_that_dies_or_stands_still_is_a_run_that_did);
	tcase_add_test(tests, an_error_in_a_reply_is_a_request_that_failed);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
