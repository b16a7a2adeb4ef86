// SPDX-License-Identifier: MIT
/* Recording programs that know nothing of us: the stock QEMU tools, and a helper that does what
 * makes recording hard. Where the helper's compiler options matter (static, sanitized), it is
 * built accordingly by CMake. */
#include "injector/backtrace.h"
#include "injector/record_program.h"
#include "tests/run_suite.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];
static char image[96];
static char backing[96];
static char prefix[96];
static struct record_result result;
static struct why why;

/* Run a command of the test's own in a shell; true when it succeeds. */
__attribute__((format(printf, 1, 2))) static bool shell(const char *format, ...)
{
	char command[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	return system(command) == 0; /* NOLINT(cert-env33-c): literal commands, our own paths */
}

static void setup(void)
{
	snprintf(folder, sizeof(folder), "/tmp/cowtip-record-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(image, sizeof(image), "%s/image.qcow2", folder);
	snprintf(backing, sizeof(backing), "%s/backing.raw", folder);
	snprintf(prefix, sizeof(prefix), "%s/raw", folder);
	record_result_init(&result);
	why.text[0] = '\0';
}

static void teardown(void)
{
	record_result_release(&result);
	ck_assert(shell("rm -rf %s", folder));
}

/* Split `command` at spaces, `%` being a space inside an argument, and record it. */
static enum status record_with(const char *command, const char *const *images, size_t image_count,
			       bool stacks)
{
	char text[512];
	char *argv[32];
	size_t count = 0;

	snprintf(text, sizeof(text), "%s", command);
	for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
		for (char *at = word; *at; at++)
			if (*at == '%')
				*at = ' ';
		argv[count++] = word;
	}
	argv[count] = NULL;
	const struct record_options options = { .argv = argv,
						.images = images,
						.image_count = image_count,
						.prefix = prefix,
						.stacks = stacks };
	record_result_release(&result);
	return record_program(&options, &result, &why);
}

static enum status record(const char *command)
{
	return record_with(command, NULL, 0, false);
}

/* As record(), of a command that must succeed. */
__attribute__((format(printf, 1, 2))) static void record_well(const char *format, ...)
{
	char command[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	enum status status = record(command);
	ck_assert_msg(status == STATUS_OK, "%s: %s", command, why.text);
	ck_assert_msg(WIFEXITED(result.wait_status) && WEXITSTATUS(result.wait_status) == 0,
		      "%s: wait status 0x%x", command, (unsigned)result.wait_status);
}

static size_t count_effects(const struct trace *trace, enum io_op op)
{
	size_t count = 0;

	for (size_t i = 0; i < trace->log.count; i++)
		count += trace->log.events[i].kind == EVENT_IO_EFFECT &&
			 trace->log.events[i].op == op;
	return count;
}

/* No recording may leave anything behind in the folder. */
static void check_tidy(void)
{
	ck_assert(shell("! ls %s | grep -q -e stream -e loaded", folder));
}

static bool has_qemu(void)
{
	if (shell("qemu-io --version >/dev/null 2>&1 && qemu-img --version >/dev/null 2>&1"))
		return true;
	printf("skipped: qemu-utils is not installed\n");
	return false;
}

static void create_image(const char *options)
{
	ck_assert(shell("qemu-img create -q -f qcow2 %s %s 64k", options, image));
}

/* A small image without QEMU: enough of a header to be recognised, and some bytes. */
static void make_image_like(void)
{
	static const unsigned char head[72] = { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 2 };
	FILE *file = fopen(image, "wb");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(head, sizeof(head), 1, file), 1);
	for (int i = 0; i < 500; i++)
		ck_assert_int_gt(fprintf(file, "%08d", i), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static enum status record_helper(const char *what)
{
	char command[512];

	snprintf(command, sizeof(command), "%s %s %s", HELPER, image, what);
	return record(command);
}

START_TEST(qemu_io_is_recorded_byte_for_byte)
{
	if (!has_qemu())
		return;
	create_image("-o cluster_size=4k");
	record_well("qemu-io -f qcow2 -t writeback -c aio_write%%-P%%1%%0%%3k "
		    "-c aio_write%%-P%%2%%5k%%2k -c aio_flush -c write%%-z%%16k%%8k -c flush "
		    "-c read%%0%%64k -c discard%%0%%4k %s",
		    image);
	ck_assert_uint_eq(result.trace_count, 1);
	const struct trace *trace = &result.traces[0];
	ck_assert(trace->complete);
	ck_assert_uint_eq(trace->file_count, 1);
	ck_assert_str_eq(trace->files[0].path, image);
	ck_assert_uint_eq(trace->files[0].format, TRACE_FORMAT_QCOW2);
	ck_assert_uint_gt(content_size(trace->files[0].initial), 0);
	ck_assert_uint_ge(count_effects(trace, IO_WRITE), 4);
	ck_assert_uint_ge(count_effects(trace, IO_FLUSH), 1);
	ck_assert_ptr_nonnull(strstr(trace->subject, "qemu-io -f qcow2"));
	check_tidy();
}
END_TEST

START_TEST(images_that_come_into_being_are_recorded_from_the_first_byte)
{
	if (!has_qemu())
		return;
	record_well("qemu-img create -q -f qcow2 -o cluster_size=4k %s 1M", image);
	ck_assert_uint_eq(result.trace_count, 1);
	ck_assert_uint_eq(result.traces[0].file_count, 1);
	ck_assert_uint_eq(content_size(result.traces[0].files[0].initial), 0);
	ck_assert_uint_eq(result.traces[0].files[0].format, TRACE_FORMAT_QCOW2);
	/* Once more over the old one. */
	record_well("qemu-img create -q -f qcow2 -o cluster_size=4k %s 2M", image);
	ck_assert_uint_gt(content_size(result.traces[0].files[0].initial), 0);
	ck_assert_uint_ge(count_effects(&result.traces[0], IO_RESIZE), 1);
	check_tidy();
}
END_TEST

START_TEST(conversions_and_snapshots_are_recorded)
{
	if (!has_qemu())
		return;
	ck_assert(shell("dd if=/dev/urandom of=%s bs=1k count=300 status=none", backing));
	record_well("qemu-img convert -f raw -O qcow2 %s %s", backing, image);
	ck_assert_uint_eq(result.trace_count, 1);
	ck_assert_uint_eq(result.traces[0].file_count, 1);
	record_well("qemu-img snapshot -c one %s", image);
	ck_assert_uint_eq(result.trace_count, 1);
	ck_assert_uint_ge(count_effects(&result.traces[0], IO_WRITE), 3);
	record_well("qemu-img snapshot -d one %s", image);
	check_tidy();
}
END_TEST

START_TEST(backing_files_come_along)
{
	if (!has_qemu())
		return;
	ck_assert(shell("qemu-img create -q -f raw %s 64k", backing));
	/* A new overlay: the header that names the backing file is written during the run. */
	record_well("qemu-img create -q -f qcow2 -b backing.raw -F raw %s", image);
	ck_assert_uint_eq(result.traces[0].file_count, 2);
	ck_assert_uint_eq(result.traces[0].files[0].backing, 1);
	/* An old one: it is found when the overlay is opened. */
	record_well("qemu-io -f qcow2 -c write%%0%%512 %s", image);
	const struct trace *trace = &result.traces[0];
	ck_assert_uint_eq(trace->file_count, 2);
	uint16_t overlay = trace->files[0].format == TRACE_FORMAT_QCOW2 ? 0 : 1;
	ck_assert_str_eq(trace->files[overlay].path, image);
	ck_assert_uint_eq(trace->files[overlay].backing, 1 - overlay);
	ck_assert_str_eq(trace->files[1 - overlay].path, backing);
	ck_assert_uint_eq(content_size(trace->files[1 - overlay].initial), 65536);
	/* Commit writes to the backing file, which is recorded as well. */
	record_well("qemu-img commit -q %s", image);
	ck_assert_uint_eq(result.traces[0].file_count, 2);
	check_tidy();
}
END_TEST

START_TEST(what_uses_other_ways_of_io_is_refused_by_the_program_itself)
{
	if (!has_qemu())
		return;
	create_image("");
	char command[256];
	snprintf(command, sizeof(command), "qemu-io -n -i native -f qcow2 -c write%%0%%4k %s",
		 image);
	ck_assert_int_eq(record(command), STATUS_OK);
	ck_assert_int_ne(result.wait_status, 0);
	snprintf(command, sizeof(command), "qemu-io -i io_uring -f qcow2 -c write%%0%%4k %s",
		 image);
	ck_assert_int_eq(record(command), STATUS_OK);
	ck_assert_int_ne(result.wait_status, 0);
}
END_TEST

START_TEST(stack_labels_point_into_the_program)
{
	char name[256];
	char command[256];
	bool found = false;

	make_image_like();
	snprintf(command, sizeof(command), "%s %s calls", HELPER, image);
	ck_assert_msg(record_with(command, NULL, 0, true) == STATUS_OK, "%s", why.text);
	const struct trace *trace = &result.traces[0];
	ck_assert_uint_gt(trace->stack_count, 5);
	for (size_t i = 0; i < trace->stack_count; i++) {
		backtrace_symbolise(name, sizeof(name), trace, &trace->stacks[i].frames[0]);
		found |= strncmp(name, "use_calls+0x", 12) == 0;
	}
	ck_assert_msg(found, "innermost frame of the last: %s", name);
}
END_TEST

START_TEST(every_call_and_every_duplicate_is_followed)
{
	make_image_like();
	ck_assert_msg(record_helper("calls") == STATUS_OK, "%s", why.text);
	ck_assert_int_eq(result.wait_status, 0);
	ck_assert_uint_eq(count_effects(&result.traces[0], IO_WRITE), 8);
	ck_assert_uint_eq(count_effects(&result.traces[0], IO_FLUSH), 2);
	ck_assert_uint_eq(count_effects(&result.traces[0], IO_ALLOCATE), 1);
	ck_assert_uint_eq(count_effects(&result.traces[0], IO_PUNCH), 1);
	ck_assert_uint_eq(count_effects(&result.traces[0], IO_RESIZE), 1);
}
END_TEST

START_TEST(writes_of_threads_are_recorded_in_the_order_of_their_effects)
{
	make_image_like();
	for (int i = 0; i < 5; i++) {
		ck_assert_msg(record_helper("threads") == STATUS_OK, "%s", why.text);
		ck_assert_uint_eq(result.trace_count, 1);
		ck_assert_uint_eq(count_effects(&result.traces[0], IO_WRITE), 800);
		uint32_t actors = 0;
		for (size_t e = 0; e < result.traces[0].log.count; e++)
			if (result.traces[0].log.events[e].actor > actors)
				actors = result.traces[0].log.events[e].actor;
		ck_assert_uint_eq(actors, 4);
	}
}
END_TEST

START_TEST(changes_of_threads_at_the_end_of_a_file_are_recorded_in_order)
{
	make_image_like();
	for (int i = 0; i < 3; i++) {
		ck_assert_msg(record_helper("sizes") == STATUS_OK, "%s", why.text);
		ck_assert_int_eq(result.wait_status, 0);
		ck_assert_uint_eq(count_effects(&result.traces[0], IO_RESIZE), 2000);
	}
}
END_TEST

START_TEST(a_forked_child_records_what_it_does_itself)
{
	make_image_like();
	ck_assert_msg(record_helper("fork") == STATUS_OK, "%s", why.text);
	ck_assert_uint_eq(result.trace_count, 2);
	ck_assert_uint_eq(count_effects(&result.traces[0], IO_WRITE), 1);
	ck_assert_uint_eq(count_effects(&result.traces[1], IO_WRITE), 1);
}
END_TEST

START_TEST(what_a_killed_program_did_is_not_lost)
{
	make_image_like();
	ck_assert_msg(record_helper("kill") == STATUS_OK, "%s", why.text);
	ck_assert(WIFSIGNALED(result.wait_status));
	ck_assert_uint_eq(result.trace_count, 1);
	ck_assert(!result.traces[0].complete);
	ck_assert_uint_eq(count_effects(&result.traces[0], IO_WRITE), 1);
	check_tidy();
}
END_TEST

START_TEST(a_program_cannot_take_the_recorder_s_descriptor_away)
{
	make_image_like();
	ck_assert_msg(record_helper("thieves") == STATUS_OK, "%s", why.text);
	ck_assert_int_eq(result.wait_status, 0);
	ck_assert_uint_eq(count_effects(&result.traces[0], IO_WRITE), 121);
}
END_TEST

START_TEST(faults_that_fiu_run_asks_for_are_recorded)
{
	static const char preload[] = "/usr/lib/fiu/fiu_run_preload.so";
	size_t faults = 0;

	if (access(preload, R_OK) != 0) {
		printf("skipped: fiu-utils is not installed\n");
		return;
	}
	make_image_like();
	setenv("LD_PRELOAD", preload, 1);
	setenv("FIU_ENABLE", "enable name=posix/io/sync/fdatasync,failinfo=28", 1);
	ck_assert_msg(record_helper("calls") == STATUS_OK, "%s", why.text);
	ck_assert_int_ne(result.wait_status, 0);
	const struct event_log *log = &result.traces[0].log;
	for (size_t i = 0; i < log->count; i++)
		faults += log->events[i].kind == EVENT_FAULT && log->events[i].op == IO_FLUSH &&
			  log->events[i].result == -ENOSPC;
	ck_assert_uint_eq(faults, 1);
}
END_TEST

START_TEST(changes_past_the_file_calls_are_reported)
{
	make_image_like();
	ck_assert_int_eq(record_helper("mmap"), STATUS_UNSUPPORTED);
	ck_assert_msg(strstr(why.text, "image.qcow2' differs from its recording at byte 1000") !=
			      NULL,
		      "%s", why.text);
	make_image_like();
	ck_assert_int_eq(record_helper("raw"), STATUS_UNSUPPORTED);
	ck_assert_msg(strstr(why.text, "image.qcow2' differs from its recording at byte 2000") !=
			      NULL,
		      "%s", why.text);
	check_tidy();
}
END_TEST

/* What changes nothing in the end shows in no comparison: the call itself has to be noticed. */
START_TEST(what_cannot_be_seen_is_named)
{
	static const struct {
		const char *mode, *line;
	} rows[] = {
		{ "mapped", "has a gap: it was mapped for writing (mmap, MAP_SHARED)" },
		{ "unseen", "has a gap: it was used by a direct system call (syscall, number" },
		{ "flushed", "has a gap: it was used by a direct system call (syscall, number" },
		{ "mmap", "at byte 1000: it was mapped for writing" },
		{ "raw", "at byte 2000: it was used by a direct system call" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		make_image_like();
		ck_assert_int_eq(record_helper(rows[i].mode), STATUS_UNSUPPORTED);
		ck_assert_msg(strstr(why.text, rows[i].line) != NULL, "%s: %s", rows[i].mode,
			      why.text);
	}
	check_tidy();
}
END_TEST

START_TEST(what_a_program_can_do_without_is_refused)
{
	make_image_like();
	ck_assert_msg(record_helper("refused") == STATUS_OK, "%s", why.text);
	ck_assert_int_eq(result.wait_status, 0);
	check_tidy();
}
END_TEST

START_TEST(a_static_program_is_reported)
{
	char command[256];

	make_image_like();
	snprintf(command, sizeof(command), "%s %s raw", STATIC_HELPER, image);
	ck_assert_int_eq(record(command), STATUS_UNSUPPORTED);
	ck_assert_msg(strstr(why.text, "did not load the recorder: it is linked statically") !=
			      NULL,
		      "%s", why.text);
	ck_assert_int_eq(record("/no/such/program x"), STATUS_IO);
	ck_assert_str_eq(why.text, "cannot run '/no/such/program': No such file or directory");
}
END_TEST

START_TEST(files_that_are_no_images_are_not_kept_unless_named)
{
	char command[256];
	char path[96];
	const char *const named[] = { path };

	snprintf(path, sizeof(path), "%s/note.txt", folder);
	snprintf(command, sizeof(command), "/bin/sh -c echo%%hello%%>%s", path);
	ck_assert_msg(record(command) == STATUS_OK, "%s", why.text);
	ck_assert_uint_eq(result.trace_count, 0);
	snprintf(command, sizeof(command), "dd if=/dev/zero of=%s bs=700 count=3 status=none",
		 path);
	ck_assert_msg(record_with(command, named, 1, false) == STATUS_OK, "%s", why.text);
	ck_assert_uint_eq(result.trace_count, 1);
	ck_assert_uint_eq(result.traces[0].files[0].format, TRACE_FORMAT_RAW);
	check_tidy();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record_program");
	TCase *tests = tcase_create("record_program");

	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, qemu_io_is_recorded_byte_for_byte);
	tcase_add_test(tests, images_that_come_into_being_are_recorded_from_the_first_byte);
	tcase_add_test(tests, conversions_and_snapshots_are_recorded);
	tcase_add_test(tests, backing_files_come_along);
	tcase_add_test(tests, what_uses_other_ways_of_io_is_refused_by_the_program_itself);
	tcase_add_test(tests, stack_labels_point_into_the_program);
	tcase_add_test(tests, every_call_and_every_duplicate_is_followed);
	tcase_add_test(tests, writes_of_threads_are_recorded_in_the_order_of_their_effects);
	tcase_add_test(tests, changes_of_threads_at_the_end_of_a_file_are_recorded_in_order);
	tcase_add_test(tests, a_forked_child_records_what_it_does_itself);
	tcase_add_test(tests, what_a_killed_program_did_is_not_lost);
	tcase_add_test(tests, a_program_cannot_take_the_recorder_s_descriptor_away);
	tcase_add_test(tests, faults_that_fiu_run_asks_for_are_recorded);
	tcase_add_test(tests, changes_past_the_file_calls_are_reported);
	tcase_add_test(tests, what_cannot_be_seen_is_named);
	tcase_add_test(tests, what_a_program_can_do_without_is_refused);
	tcase_add_test(tests, a_static_program_is_reported);
	tcase_add_test(tests, files_that_are_no_images_are_not_kept_unless_named);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
