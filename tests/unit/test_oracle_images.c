// SPDX-License-Identifier: MIT
/* Images made by the reference tools are clean, and the oracle's reader reads them as those tools
 * do. Skipped, with a word, where qemu-img is not installed. */
#include "oracle/judge.h"
#include "tests/run_suite.h"
#include "traces/trace.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/oracle_images_XXXXXX";

static int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int shell(const char *format, ...)
{
	char command[2048];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	return system(command); // NOLINT(cert-env33-c): the reference tools are programs
}

static bool have_tools(void)
{
	if (shell("qemu-img --version >/dev/null 2>&1 && qemu-io --version >/dev/null 2>&1") == 0)
		return true;
	printf("skipped: qemu-img or qemu-io is not installed\n");
	return false;
}

static void load(struct trace_file *file, const char *name, enum trace_format format,
		 uint16_t backing)
{
	char path[256];
	struct why why;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	*file = (struct trace_file){ .path = strdup(path),
				     .format = (uint16_t)format,
				     .backing = backing };
	ck_assert_msg(content_load(&file->initial, path, &why) == STATUS_OK, "%s", why.text);
}

/** Judge the image in the folder as it is, and with one read request of all of it whose answer is
 * what qemu-img reads. */
static void judge_whole_image(bool backing, const char *what)
{
	struct trace_file files[3];
	size_t count = backing ? 3 : 1;
	struct judge_options options = { .models = CRASH_PREFIX | CRASH_TORN };
	struct content *plain;
	struct event_log log;
	struct judge *judge;
	struct judge_report report;
	struct why why;
	char path[256];
	struct event event = { .kind = EVENT_REQUEST_INVOKED, .op = REQUEST_READ, .id = 1 };
	uint8_t *bytes;

	load(&files[0], "image.qcow2", TRACE_FORMAT_QCOW2, backing ? 1 : TRACE_NO_BACKING);
	load(&files[1], "middle.qcow2", TRACE_FORMAT_QCOW2, 2);
	load(&files[2], "base.raw", TRACE_FORMAT_RAW, TRACE_NO_BACKING);
	ck_assert_int_eq(
		shell("qemu-img convert -O raw %s/image.qcow2 %s/plain.raw", folder, folder), 0);
	snprintf(path, sizeof(path), "%s/plain.raw", folder);
	ck_assert_int_eq(content_load(&plain, path, NULL), STATUS_OK);
	event_log_init(&log);
	event.length = content_size(plain);
	bytes = malloc(event.length);
	content_read(plain, bytes, event.length, 0);
	event_log_append(&log, &event, NULL, 0);
	event.kind = EVENT_REQUEST_COMPLETED;
	event_log_append(&log, &event, bytes, event.length);
	ck_assert_msg(judge_new(&judge, files, count, &options, &why) == STATUS_OK, "%s: %s", what,
		      why.text);
	judge_run(judge, &log, 0, &report);
	ck_assert_msg(report.verdict_count == 0, "%s: %s", what,
		      report.verdict_count > 0 ? report.verdicts[0].message : "");
	ck_assert_msg(report.leaked == 0 && report.copied_missing == 0, "%s: %llu leaked", what,
		      (unsigned long long)report.leaked);
	judge_free(judge);
	event_log_release(&log);
	content_free(plain);
	free(bytes);
	for (size_t i = 0; i < 3; i++) {
		content_free(files[i].initial);
		free(files[i].path);
	}
}

START_TEST(images_of_the_reference_tools_are_clean_and_read_alike)
{
	static const char *const versions[] = { "0.10", "1.1" };
	static const char *const clusters[] = { "512", "4k", "64k", "2M" };
	const char *version = versions[_i / 8];
	const char *cluster = clusters[_i / 2 % 4];
	bool backing = _i % 2 == 1;
	char what[64];

	if (!have_tools())
		return;
	snprintf(what, sizeof(what), "compat %s, clusters of %s, %s", version, cluster,
		 backing ? "backing chain" : "no backing");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(
		shell("cd %s && qemu-img create -q -f raw base.raw 3M && "
		      "qemu-io -f raw -c 'write -q -P 7 0 1M' -c 'write -q -P 8 2559k 300k' "
		      "base.raw && "
		      "qemu-img create -q -f qcow2 -b base.raw -F raw middle.qcow2 4M && "
		      "qemu-io -c 'write -q -P 9 512k 700k' middle.qcow2 && "
		      "qemu-img create -q -f qcow2 -o compat=%s,cluster_size=%s %s image.qcow2 5M "
		      "&& "
		      "qemu-io -c 'write -q -P 1 3k 9k' -c 'write -q -P 2 1100k 1000' "
		      "-c 'write -q -z 2M 256k' -c 'discard -q 0 8k' image.qcow2 && "
		      "(qemu-io -c 'write -q -c -P 3 4M 64k' -c 'write -q -c -P 4 4160k 64k' "
		      "image.qcow2 >/dev/null 2>&1 || true)",
		      folder, version, cluster, backing ? "-b middle.qcow2 -F qcow2" : ""),
		0);
	judge_whole_image(backing, what);
	ck_assert_int_eq(shell("cd %s && qemu-img snapshot -c one image.qcow2 && "
			       "qemu-io -c 'write -q -P 5 4k 4k' image.qcow2",
			       folder),
			 0);
	judge_whole_image(backing, what);
	shell("rm -rf %s", folder);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("oracle_images");
	TCase *tests = tcase_create("images");

	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, images_of_the_reference_tools_are_clean_and_read_alike, 0, 16);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
