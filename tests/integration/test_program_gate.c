// SPDX-License-Identifier: MIT
/* Unmodified qemu-io at the gate: its runs are functions of their schedules.
 *
 * usage: test_program_gate [RUNS]     random runs, each replayed (100) */
#include "tests/integration/foreign.h"
#include "tests/integration/shell.h"
#include "tests/run_suite.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

START_TEST(exhaustive_search_runs_every_order_of_writes_in_place)
{
	foreign_check_orders(&qemu_io);
}
END_TEST

/* What is looked at in each run of a search, for as many runs. */
typedef void look_at_run(void *context, struct foreign *test, const struct schedule *taken);

static uint64_t search(struct foreign *test, uint64_t runs, look_at_run *look, void *context)
{
	struct strategy *strategy = strategy_dfs_new(false);
	struct choice choice;
	struct schedule taken;
	uint64_t done = 0;
	choice_init(&choice, strategy, NULL);
	schedule_init(&taken);
	for (; done < runs && choice_begin(&choice); done++) {
		struct why why = { "" };
		enum run_end end = program_run(test->program, &choice);
		ck_assert_msg(program_status(test->program, &why) == STATUS_OK, "%s", why.text);
		schedule_copy(&taken, &choice.taken);
		look(context, test, &taken);
		choice_end(&choice, end, 0);
	}
	ck_assert_ptr_null(strategy->ops->complaint(strategy));
	schedule_release(&taken);
	choice_release(&choice);
	strategy_free(strategy);
	return done;
}

/* What became of requests, in runs with one fault each at most. */
struct failures {
	uint64_t faults, failed, cut, refused;
	bool alone; /* some run had a write that failed beside one that did not */
};

static void count_failures(void *context, struct foreign *test, const struct schedule *taken)
{
	struct failures *failures = context;
	uint64_t faults = 0, failed = 0, written = 0;
	const struct event_log *log = program_log(test->program);
	for (size_t i = 0; i < log->count; i++) {
		const struct event *event = &log->events[i];
		bool is_told = event->kind == EVENT_REQUEST_COMPLETED;
		faults += event->kind == EVENT_FAULT;
		failures->cut += event->kind == EVENT_FAULT && event->result > 0;
		failures->refused += is_told && event->op == REQUEST_OPEN && event->result < 0;
		failed += is_told && event->op == REQUEST_WRITE && event->result == -EIO;
		written += is_told && event->op == REQUEST_WRITE && event->result == 0;
	}
	ck_assert_uint_le(faults, 1);
	ck_assert(faults == 1 || failed == 0);
	failures->faults += faults;
	failures->failed += failed;
	failures->alone |= failed == 1 && written == 1;
	foreign_replay(test, taken, 0);
}

START_TEST(errors_are_chosen_and_told_and_come_again_in_a_replay)
{
	static const char text[] = "#@ image size=64k cluster_size=4k\n"
				   "aio_write -P 1 0 1k\naio_flush\n";
	struct program_options options = {
		.command = PROGRAM, .faults = { .kinds = FAULT_EIO | FAULT_SHORT, .faults_max = 1 }
	};
	struct foreign test;
	struct failures failures = { 0 };
	foreign_open(&test, &options, text);
	ck_assert_uint_lt(search(&test, 400, count_failures, &failures), 400);
	ck_assert_uint_gt(failures.failed, 0);
	ck_assert_uint_gt(failures.cut, 0);
	ck_assert_uint_gt(failures.refused, 0);
	foreign_close(&test);
}
END_TEST

/* qemu-io does not say which request failed. It shows when the others have completed. */
START_TEST(of_two_requests_the_one_that_failed_is_found)
{
	static const char text[] = "#@ image size=64k cluster_size=4k\n"
				   "#@ prepare write -P 7 0 8k\n"
				   "aio_write -P 1 0 512\naio_write -P 2 4k 512\naio_flush\n";
	struct program_options options = {
		.command = PROGRAM,
		.faults = { .points = "posix/io/rw/pwrite*", .kinds = FAULT_EIO, .faults_max = 1 }
	};
	struct foreign test;
	struct failures failures = { 0 };
	foreign_open(&test, &options, text);
	search(&test, 60, count_failures, &failures);
	ck_assert_uint_gt(failures.faults, 0);
	ck_assert_uint_eq(failures.failed, failures.faults);
	ck_assert(failures.alone);
	foreign_close(&test);
}
END_TEST

struct read_failures {
	uint64_t reads, writes; /* that failed */
	uint64_t beside;        /* reads that did while the write succeeded */
};

static void count_read_failures(void *context, struct foreign *test, const struct schedule *taken)
{
	struct read_failures *failures = context;
	const struct event_log *log = program_log(test->program);
	uint64_t reads = 0, writes = 0;
	(void)taken;
	for (size_t i = 0; i < log->count; i++) {
		const struct event *event = &log->events[i];
		if (event->kind != EVENT_REQUEST_COMPLETED)
			continue;
		reads += event->op == REQUEST_READ && event->result == -EIO;
		writes += event->op == REQUEST_WRITE && event->result == -EIO;
	}
	ck_assert_uint_le(reads + writes, 1);
	failures->reads += reads;
	failures->writes += writes;
	failures->beside += reads && !writes;
}

/* It says "readv failed" of an aio_read. */
START_TEST(a_read_that_failed_beside_a_write_is_found)
{
	static const char text[] = "#@ image size=64k cluster_size=4k\n"
				   "#@ prepare write -P 7 0 8k\n"
				   "aio_read 0 512\naio_write -P 2 0 512\naio_read 4k 512\n"
				   "aio_flush\n";
	struct program_options options = {
		.command = PROGRAM,
		.faults = { .points = "posix/io/rw/*", .kinds = FAULT_EIO, .faults_max = 1 }
	};
	struct foreign test;
	struct read_failures failures = { 0 };
	foreign_open(&test, &options, text);
	search(&test, 400, count_read_failures, &failures);
	ck_assert_uint_gt(failures.reads, 0);
	ck_assert_uint_gt(failures.writes, 0);
	ck_assert_uint_eq(failures.beside, failures.reads);
	foreign_close(&test);
}
END_TEST

enum { TWIN_PATTERNS = 5, FIRST_TWIN_ID = 2 };

/* Requests number n writes pattern n - 1 over the whole of what they share. */
struct twins {
	bool swapped; /* some run acknowledged one before an earlier one had written */
	uint64_t acknowledged;
};

static void look_at_twins(void *context, struct foreign *test, const struct schedule *taken)
{
	struct twins *twins = context;
	const struct event_log *log = program_log(test->program);
	bool has_written[TWIN_PATTERNS] = { false };
	for (size_t i = 0; i < log->count; i++) {
		const struct event *event = &log->events[i];
		const uint8_t *data = event_data(log, event);
		if (event->kind == EVENT_IO_EFFECT && event->op == IO_WRITE && data[0] &&
		    data[0] < TWIN_PATTERNS)
			has_written[data[0]] = true;
		if (event->kind != EVENT_REQUEST_COMPLETED || event->op != REQUEST_WRITE)
			continue;
		ck_assert_int_eq(event->result, 0);
		ck_assert(has_written[event->id - FIRST_TWIN_ID + 1]);
		twins->swapped |= event->id > FIRST_TWIN_ID && !has_written[1];
		twins->acknowledged++;
	}
	foreign_replay(test, taken, 0);
}

static struct twins twins_of(const char *text, uint64_t runs, uint64_t writes)
{
	struct foreign test;
	struct twins twins = { 0 };
	foreign_open(&test, &qemu_io, text);
	uint64_t done = search(&test, runs, look_at_twins, &twins);
	ck_assert_uint_eq(twins.acknowledged, done * writes);
	foreign_close(&test);
	return twins;
}

#define TWINS "#@ image size=64k cluster_size=4k\n#@ prepare write -P 0x77 0 8k\n"

/* What is acknowledged has been written, whichever of them that is. */
START_TEST(writes_of_one_place_are_told_apart)
{
	struct twins two =
		twins_of(TWINS "aio_write -P 1 0 512\naio_write -P 2 0 512\naio_flush\n", 100, 2);
	ck_assert(two.swapped);
	two = twins_of(TWINS "aio_write -P 1 0 512\nwrite -P 2 0 512\naio_flush\n", 100, 2);
	ck_assert(two.swapped);
}
END_TEST

/* There are two names. Of several with one none is acknowledged before all have written, but for
 * one that the program waited for. */
START_TEST(writes_that_have_one_name_wait_for_each_other)
{
	twins_of(TWINS "aio_write -P 1 0 512\naio_write -P 2 0 512\naio_write -P 3 0 512\n"
		       "aio_flush\n",
		 150, 3);
	struct twins with = twins_of(TWINS "aio_write -P 1 0 512\naio_write -P 2 0 512\n"
					   "write -P 3 0 512\naio_flush\n",
				     150, 3);
	ck_assert(with.swapped);
}
END_TEST

START_TEST(one_of_several_that_have_one_name_must_not_fail)
{
	const struct program_options options = {
		.command = PROGRAM,
		.faults = { .points = "posix/io/rw/pwrite*", .kinds = FAULT_EIO, .faults_max = 1 }
	};
	struct strategy *strategy = strategy_dfs_new(false);
	struct choice choice;
	struct foreign test;
	struct why why = { "" };
	enum status status = STATUS_OK;
	choice_init(&choice, strategy, NULL);
	foreign_open(&test, &options,
		     TWINS "aio_write -P 1 0 512\naio_write -P 2 0 512\naio_write -P 3 0 512\n");
	for (int run = 0; run < 400 && status == STATUS_OK && choice_begin(&choice); run++) {
		choice_end(&choice, program_run(test.program, &choice), 0);
		status = program_status(test.program, &why);
	}
	ck_assert_int_eq(status, STATUS_UNSUPPORTED);
	ck_assert_str_eq(why.text, "a write failed (Input/output error), and it may be one of "
				   "several of one offset and length");
	choice_release(&choice);
	strategy_free(strategy);
	foreign_close(&test);
}
END_TEST

static void look_at_reads(void *context, struct foreign *test, const struct schedule *taken)
{
	bool *has_overtaken = context;
	const struct event_log *log = program_log(test->program);
	uint64_t completed = 0;
	uint8_t first = 0;
	(void)taken;
	for (size_t i = 0; i < log->count; i++) {
		const struct event *event = &log->events[i];
		const uint8_t *data = event_data(log, event);
		bool is_end = event->kind == EVENT_REQUEST_COMPLETED;
		/* The second read begins when the write has ended: it cannot be the older one. */
		if (is_end && event->op == REQUEST_READ && event->id == FIRST_TWIN_ID + 2)
			ck_assert_uint_eq(data[0], 1);
		if (is_end && event->op == REQUEST_READ && event->id == FIRST_TWIN_ID) {
			first = data[0];
			*has_overtaken |= completed > 1 && first == 0x77;
		}
		completed += is_end && event->op != REQUEST_OPEN;
	}
	ck_assert(first == 1 || first == 0x77);
}

START_TEST(reads_of_one_place_are_told_apart)
{
	struct foreign test;
	bool has_overtaken = false;
	foreign_open(&test,
		     &(struct program_options){ .command = PROGRAM, .split_completion = true },
		     TWINS "aio_read 0 512\nwrite -P 1 0 512\naio_read 0 512\naio_flush\n");
	search(&test, 400, look_at_reads, &has_overtaken);
	ck_assert(has_overtaken);
	foreign_close(&test);
}
END_TEST

/* Orders that were seen: of two writes, and of a write's return and another's effect. */
struct orders {
	unsigned runs;
	bool main_first, thread_first, between;
	bool signal_first; /* its handler's write came before the thread's */
};

static void look_at_orders(void *context, struct foreign *test, const struct schedule *taken)
{
	struct orders *orders = context;
	const struct event_log *log = program_log(test->program);
	char order[3] = "";
	size_t count = 0;
	uint32_t in_effect = 0;
	(void)taken;
	for (size_t i = 0; i < log->count; i++) {
		const struct event *event = &log->events[i];
		if (event->op != IO_WRITE)
			continue;
		if (event->kind == EVENT_IO_EFFECT && event->length == 1 && count < 2)
			order[count++] = (char)event_data(log, event)[0];
		if (event->kind == EVENT_IO_EFFECT) {
			orders->between |= in_effect != 0;
			in_effect = event->id;
		}
		if (event->kind == EVENT_IO_COMPLETED && event->id == in_effect)
			in_effect = 0;
	}
	orders->runs++;
	orders->signal_first |= strcmp(order, "st") == 0;
	orders->main_first |= strcmp(order, "mt") == 0;
	orders->thread_first |= strcmp(order, "tm") == 0;
}

static struct orders orders_of(const char *command, const char *text, bool gate_all, bool split)
{
	const struct program_options options = { .command = command,
						 .gate_all = gate_all,
						 .split_completion = split };
	struct foreign test;
	struct orders orders = { 0 };
	foreign_open(&test, &options, text);
	search(&test, 100, look_at_orders, &orders);
	foreign_close(&test);
	return orders;
}

START_TEST(calls_of_the_main_thread_wait_when_all_do)
{
	static const char text[] = "#@ image size=64k cluster_size=4k\nwrite 0 512\n";
	struct orders some = orders_of(HELPER " both {image}", text, false, false);
	ck_assert(some.main_first && !some.thread_first);
	struct orders all = orders_of(HELPER " both {image}", text, true, false);
	ck_assert(all.main_first && all.thread_first);
	/* A thread of which nobody told. */
	struct orders hidden = orders_of(HELPER " hidden {image}", text, true, false);
	ck_assert(hidden.main_first && hidden.thread_first);
	/* Threads that run on any processor. */
	struct orders unbound = orders_of(HELPER " unbound {image}", text, true, false);
	ck_assert(unbound.main_first && unbound.thread_first);
}
END_TEST

/* It is handled when the thread may go on: there is one order. */
START_TEST(a_signal_to_a_thread_that_waits_waits_as_well)
{
	static const char text[] = "#@ image size=64k cluster_size=4k\nwrite 0 512\n";
	struct orders orders = orders_of(HELPER " signal {image}", text, false, false);
	ck_assert(orders.signal_first);
	ck_assert_uint_eq(orders.runs, 1);
}
END_TEST

START_TEST(effects_and_returns_are_chosen_apart_when_split)
{
	static const char text[] = "#@ image size=64k cluster_size=4k\n"
				   "#@ prepare write -P 7 0 8k\n"
				   "aio_write -P 1 0 512\naio_write -P 2 4k 512\naio_flush\n";
	ck_assert(!orders_of(PROGRAM, text, false, false).between);
	ck_assert(orders_of(PROGRAM, text, false, true).between);
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

/* Its handlers, its destructors, and what its streams hold. */
START_TEST(a_program_that_ends_does_what_it_has_left_to_do)
{
	char path[] = "/tmp/cowtip-diary-XXXXXX", text[64] = "";
	struct foreign foreign;
	int file = mkstemp(path);
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(setenv("HELPER_DIARY", path, 1), 0);
	foreign_open(&foreign, &(struct program_options){ .command = HELPER " farewell {image}" },
		     plain);
	foreign_execute(&foreign, strategy_random_new(1, 1), NULL);
	foreign_close(&foreign);
	ck_assert_int_gt(read(file, text, sizeof(text) - 1), 0);
	ck_assert_str_eq(text, "before\nat exit\nin the end\n");
	close(file);
	ck_assert_int_eq(unlink(path), 0);
}
END_TEST

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
		       "aio_read 0 512\naio_read 0 512\naio_read 0 512\n",
		       "test:4: it may be under way together with line 2 and another");
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
	tcase_add_test(tests, errors_are_chosen_and_told_and_come_again_in_a_replay);
	tcase_add_test(tests, of_two_requests_the_one_that_failed_is_found);
	tcase_add_test(tests, a_read_that_failed_beside_a_write_is_found);
	tcase_add_test(tests, writes_of_one_place_are_told_apart);
	tcase_add_test(tests, writes_that_have_one_name_wait_for_each_other);
	tcase_add_test(tests, one_of_several_that_have_one_name_must_not_fail);
	tcase_add_test(tests, reads_of_one_place_are_told_apart);
	tcase_add_test(tests, calls_of_the_main_thread_wait_when_all_do);
	tcase_add_test(tests, a_signal_to_a_thread_that_waits_waits_as_well);
	tcase_add_test(tests, effects_and_returns_are_chosen_apart_when_split);
	tcase_add_test(tests, the_log_has_what_reads_returned);
	tcase_add_test(tests, a_program_that_ends_does_what_it_has_left_to_do);
	tcase_add_test(tests, a_program_that_never_rests_is_refused);
	tcase_add_test(tests, a_program_that_dies_or_stands_still_is_a_run_that_did);
	tcase_add_test(tests, what_cannot_be_swept_is_refused_with_a_reason);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
