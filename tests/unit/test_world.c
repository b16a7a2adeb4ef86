// SPDX-License-Identifier: MIT
#include "tests/run_suite.h"
#include "workloads/world.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE "#@ image size=16k cluster_size=4k backing=pattern\n"

static struct workload workload;
static struct world *world;

static void begin(const char *text, bool stamps)
{
	struct why why = { "" };
	struct world_options options = { .policy = QCOW2_EAGER, .stamps = stamps };
	enum status status = workload_parse(&workload, "w.qio", text, strlen(text), &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	status = world_new(&world, &workload, &options, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
}

static void finish(void)
{
	world_free(world);
	workload_release(&workload);
}

/* Run the schedule; returns the events' digest. */
static uint64_t run(const char *schedule_text, enum run_end expected)
{
	struct schedule schedule;
	struct choice choice;
	schedule_init(&schedule);
	ck_assert_int_eq(schedule_parse(&schedule, schedule_text, NULL), STATUS_OK);
	struct strategy *strategy = strategy_replay_new(&schedule);
	choice_init(&choice, strategy, NULL);
	ck_assert(choice_begin(&choice));
	enum run_end end = world_run(world, &choice);
	ck_assert_msg(end == expected, "%s: %s", run_end_name(end), world_report(world));
	uint64_t digest = event_log_digest(world_log(world));
	choice_end(&choice, end, digest);
	choice_release(&choice);
	strategy_free(strategy);
	schedule_release(&schedule);
	return digest;
}

static const struct event *find(enum event_kind kind, uint32_t id)
{
	const struct event_log *log = world_log(world);
	for (size_t i = 0; i < log->count; i++)
		if (log->events[i].kind == kind && log->events[i].id == id)
			return &log->events[i];
	ck_abort_msg("no event of kind %d for %u", (int)kind, id);
	return NULL;
}

START_TEST(equal_schedules_give_equal_events)
{
	begin(IMAGE "aio_write 0 1k\naio_write 1k 1k\naio_flush\nflush\n", true);
	uint64_t first = run("s1:", RUN_FINISHED);
	uint64_t other = run("s1:1", RUN_FINISHED);
	ck_assert_uint_ne(first, other);
	ck_assert_uint_eq(run("s1:", RUN_FINISHED), first);
	ck_assert_uint_eq(run("s1:1", RUN_FINISHED), other);
	finish();
}
END_TEST

START_TEST(requests_are_numbered_in_the_order_of_the_script)
{
	begin(IMAGE "write 0 512\naio_write 4k 512\naio_flush\nread 0 512\n", true);
	run("s1:", RUN_FINISHED);
	ck_assert_int_eq(find(EVENT_REQUEST_INVOKED, 1)->op, REQUEST_OPEN);
	ck_assert_int_eq(find(EVENT_REQUEST_INVOKED, 2)->op, REQUEST_WRITE);
	ck_assert_uint_eq(find(EVENT_REQUEST_INVOKED, 3)->guest_offset, 4096);
	ck_assert_int_eq(find(EVENT_REQUEST_INVOKED, 4)->op, REQUEST_READ);
	ck_assert_int_eq(find(EVENT_REQUEST_COMPLETED, 5)->op, REQUEST_CLOSE);
	const struct event *read = find(EVENT_REQUEST_COMPLETED, 4);
	ck_assert_uint_eq(read->data_bytes, 512);
	ck_assert_mem_eq(event_data(world_log(world), read), "guest request 2 sector 0 cd", 28);
	finish();
}
END_TEST

START_TEST(reads_see_backing_prepared_and_written_data)
{
	begin(IMAGE "#@ prepare write -P 0x77 4k 4k\nwrite -P 0x11 0 512\nread -P 0x11 0 512\n"
		    "read -P 0x77 4k 4k\nwrite -z 8k 4k\nread -P 0 8k 4k\nread 512 512\n",
	      false);
	run("s1:", RUN_FINISHED);
	ck_assert_str_eq(world_complaint(world), "");
	const struct event *read = find(EVENT_REQUEST_COMPLETED, 7);
	ck_assert_mem_eq(event_data(world_log(world), read), "backing sector 1", 17);
	finish();
}
END_TEST

START_TEST(a_pattern_that_is_not_there_is_complained_of)
{
	begin(IMAGE "write -P 0x11 0 512\nread -P 0x12 0 512\n", false);
	run("s1:", RUN_FINISHED);
	ck_assert_str_eq(world_complaint(world),
			 "w:3: pattern verification failed at 0: 0x11 instead of 0x12");
	finish();
}
END_TEST

START_TEST(vectors_are_one_request)
{
	begin(IMAGE "writev -P 0x11 0 512 1k 512\nreadv -P 0x11 0 1k 1k\n", false);
	run("s1:", RUN_FINISHED);
	ck_assert_str_eq(world_complaint(world), "");
	ck_assert_uint_eq(find(EVENT_REQUEST_INVOKED, 2)->data_bytes, 2048);
	finish();
}
END_TEST

START_TEST(an_asynchronous_request_may_start_late_and_is_waited_for)
{
	begin(IMAGE "aio_write 0 512\nread 4k 512\n", true);
	run("s1:", RUN_FINISHED);
	size_t close = (size_t)(find(EVENT_REQUEST_INVOKED, 4) - world_log(world)->events);
	size_t write = (size_t)(find(EVENT_REQUEST_COMPLETED, 2) - world_log(world)->events);
	size_t read = (size_t)(find(EVENT_REQUEST_COMPLETED, 3) - world_log(world)->events);
	ck_assert_uint_lt(write, close);
	ck_assert_uint_lt(read, write);
	finish();
}
END_TEST

START_TEST(a_trace_holds_what_rebuilds_the_world)
{
	struct why why = { "" };
	struct trace trace;
	begin(IMAGE "#@ prepare write 4k 4k\nwrite 0 512\nflush\n", true);
	uint64_t digest = run("s1:", RUN_FINISHED);
	struct strategy *strategy = strategy_random_new(1, 1);
	struct choice choice;
	choice_init(&choice, strategy, NULL);
	trace_init(&trace);
	world_trace(world, &choice, &trace);
	ck_assert_str_eq(trace.subject, "engine");
	ck_assert_str_eq(trace.workload, workload.text);
	ck_assert_str_eq(trace_setting(&trace, "policy"), "eager");
	ck_assert_uint_eq(trace.file_count, 2);
	world_free(world);
	struct world_options options = { .stamps = true,
					 .files = trace.files,
					 .file_count = trace.file_count };
	ck_assert_int_eq(world_new(&world, &workload, &options, &why), STATUS_OK);
	ck_assert_uint_eq(run("s1:", RUN_FINISHED), digest);
	trace_release(&trace);
	choice_release(&choice);
	strategy_free(strategy);
	finish();
}
END_TEST

START_TEST(a_prepare_command_that_fails_is_told_with_its_line)
{
	struct why why = { "" };
	struct world_options options = { .stamps = true };
	static const char text[] =
		IMAGE "#@ prepare snapshot one\n#@ prepare snapshot one\nflush\n";
	ck_assert_int_eq(workload_parse(&workload, "w.qio", text, strlen(text), &why), STATUS_OK);
	ck_assert_int_eq(world_new(&world, &workload, &options, &why), STATUS_BAD_INPUT);
	ck_assert_str_eq(why.text, "w:3: prepare: File exists");
	workload_release(&workload);
}
END_TEST

/* The same script through the real qemu-io on an image by the real qemu-img must leave the same
 * guest contents. */
START_TEST(the_image_left_is_the_one_that_qemu_io_leaves)
{
	static const char script[] =
		"write -P 1 0 1k\naio_write -P 2 1k 3k\naio_flush\nwrite -z 4k 4k\n"
		"writev -P 3 6k 512 1k\nwrite -P 4 8k 4k\nflush\ndiscard 8k 4k\nwrite -P 5 15k 1k\n"
		"write -P 6 5000 100\n";
	char folder[] = "/tmp/cowtip-world-XXXXXX", command[1024], text[1024];
	// NOLINTNEXTLINE(cert-env33-c): the reference tools are programs of the shell
	if (system("qemu-io --version >/dev/null 2>&1") != 0) {
		fputs("skipped: there is no qemu-io\n", stderr);
		return;
	}
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(text, sizeof(text), IMAGE "%s", script);
	begin(text, false);
	run("s1:", RUN_FINISHED);
	size_t file_count = 0;
	const struct trace_file *files = world_files(world, &file_count);
	struct content *image = world_image(world);
	snprintf(text, sizeof(text), "%s/disk.qcow2", folder);
	ck_assert_int_eq(content_store(image, text, NULL), STATUS_OK);
	snprintf(text, sizeof(text), "%s/backing.raw", folder);
	ck_assert_int_eq(content_store(files[1].initial, text, NULL), STATUS_OK);
	snprintf(command, sizeof(command),
		 "cd %s && qemu-img create -q -f qcow2 -o cluster_size=4k -b backing.raw -F raw "
		 "q.qcow2 16k && printf '%s' | qemu-io -d unmap -f qcow2 q.qcow2 >/dev/null && "
		 "qemu-img check -q disk.qcow2 && qemu-img compare -q disk.qcow2 q.qcow2",
		 folder, script);
	// NOLINTNEXTLINE(cert-env33-c): as above
	int result = system(command);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	// NOLINTNEXTLINE(cert-env33-c): as above
	ck_assert_int_eq(system(command), 0);
	ck_assert_int_eq(result, 0);
	content_free(image);
	finish();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("world");
	TCase *tests = tcase_create("world");
	suite_add_tcase(suite, tests);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, equal_schedules_give_equal_events);
	tcase_add_test(tests, requests_are_numbered_in_the_order_of_the_script);
	tcase_add_test(tests, reads_see_backing_prepared_and_written_data);
	tcase_add_test(tests, a_pattern_that_is_not_there_is_complained_of);
	tcase_add_test(tests, vectors_are_one_request);
	tcase_add_test(tests, an_asynchronous_request_may_start_late_and_is_waited_for);
	tcase_add_test(tests, a_trace_holds_what_rebuilds_the_world);
	tcase_add_test(tests, a_prepare_command_that_fails_is_told_with_its_line);
	tcase_add_test(tests, the_image_left_is_the_one_that_qemu_io_leaves);
	return run_suite(suite);
}
