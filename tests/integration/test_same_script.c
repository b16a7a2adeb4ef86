// SPDX-License-Identifier: MIT
/* One script, two programs: every shipped workload goes as it is into the real qemu-io, and through
 * the built-in engine; the guests must end up with the same bytes.
 *
 * qemu-io skips `#` lines as unknown commands; what they ask for is done beforehand: the image is
 * made by qemu-img with the same options, and `#@ prepare` commands run in processes of their own.
 * At an internal snapshot inside the script qemu-io ends, qemu-img takes, applies or deletes it,
 * and another qemu-io goes on. Injected faults are left out: qemu-io has none.
 *
 * Where asynchronous requests overlap, several results are legal, and which one qemu-io gives
 * depends on its threads. So the engine runs every interleaving (no crash states are judged here,
 * that is fast) and says which contents can come out; qemu-io's must be one of them. For most
 * workloads there is one only. The guest's bytes are read by the oracle's reader, and once more by
 * `qemu-img compare`, which must agree. */
#include "tests/integration/shell.h"
#include "tests/integration/shipped.h"

#include "oracle/layer.h"
#include "tests/run_suite.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	RESULTS_MAX = 64,
	IMAGES_MAX = 4096,
	RUNS_MAX = 60000,
	RUNS_MAX_SLOW = 4000,
};

/* What the guest reads after a run, each result once. */
struct results {
	uint8_t *guest[RESULTS_MAX]; /* owned */
	size_t count;
	size_t guest_bytes;
	uint64_t images[IMAGES_MAX]; /* digests of image files looked at: few runs make a new one */
	size_t image_count;
	uint64_t runs;
	bool complete;
};

/* ---- what the guest reads, by the oracle's reader ---- */

static uint8_t *read_guest(const struct trace_file *files, size_t file_count, struct content *image,
			   size_t *bytes)
{
	struct trace_file with_image[2];
	struct inflater *inflater = inflater_new();
	struct layers layers;
	struct why why = { "" };
	ck_assert_uint_le(file_count, 2);
	memcpy(with_image, files, file_count * sizeof(*files));
	with_image[0].initial = image;
	enum status status = layers_init(&layers, inflater, with_image, file_count, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	*bytes = (size_t)layers.layers[0].size_bytes;
	ck_assert_uint_gt(*bytes, 0);
	ck_assert_uint_eq(*bytes % 512, 0);
	uint8_t *guest = malloc(*bytes);
	for (size_t at = 0; at < *bytes; at += 512) {
		const uint8_t *sector = layers_sector(&layers, 0, at);
		if (!sector)
			ck_abort_msg("guest sector at %zu cannot be read", at);
		memcpy(guest + at, sector, 512);
	}
	inflater_free(inflater);
	return guest;
}

static bool has_result(const struct results *results, const uint8_t *guest, size_t bytes)
{
	for (size_t i = 0; i < results->count; i++)
		if (bytes == results->guest_bytes && memcmp(results->guest[i], guest, bytes) == 0)
			return true;
	return false;
}

static bool was_looked_at(struct results *results, uint64_t digest)
{
	for (size_t i = 0; i < results->image_count; i++)
		if (results->images[i] == digest)
			return true;
	if (results->image_count < IMAGES_MAX)
		results->images[results->image_count++] = digest;
	return false;
}

static void add_result(struct results *results, const struct shipped *shipped)
{
	size_t file_count = 0, bytes = 0;
	const struct trace_file *files = world_files(shipped->world, &file_count);
	struct content *image = world_image(shipped->world);
	if (was_looked_at(results, shipped_digest(image))) {
		content_free(image);
		return;
	}
	uint8_t *guest = read_guest(files, file_count, image, &bytes);
	content_free(image);
	if (has_result(results, guest, bytes)) {
		free(guest);
		return;
	}
	ck_assert_uint_lt(results->count, RESULTS_MAX);
	ck_assert(results->count == 0 || results->guest_bytes == bytes);
	results->guest_bytes = bytes;
	results->guest[results->count++] = guest;
}

static void collect_results(struct shipped *shipped, struct results *results)
{
	uint64_t runs_max = shipped_is_slow_build() ? RUNS_MAX_SLOW : RUNS_MAX;
	struct strategy *strategy = strategy_dfs_new(true);
	struct choice choice;
	*results = (struct results){ 0 };
	choice_init(&choice, strategy, NULL);
	while (results->runs < runs_max && choice_begin(&choice)) {
		enum run_end end = world_run(shipped->world, &choice);
		choice_end(&choice, end, 0);
		if (end == RUN_PRUNED)
			continue;
		ck_assert_msg(end == RUN_FINISHED, "%s", world_report(shipped->world));
		results->runs++;
		add_result(results, shipped);
	}
	results->complete = strategy->ops->is_complete(strategy);
	choice_release(&choice);
	strategy_free(strategy);
}

static void release_results(struct results *results)
{
	for (size_t i = 0; i < results->count; i++)
		free(results->guest[i]);
}

/* ---- qemu's side ---- */

static void must_succeed(int status, const char *what)
{
	ck_assert_msg(status == 0, "%s: exit status %d: %s", what, status, shell_output());
}

static void store(const struct content *content, const char *path)
{
	struct why why = { "" };
	enum status status = content_store(content, path, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
}

static void make_image(const struct workload *workload)
{
	const struct workload_image *image = &workload->image;
	bool has_backing = image->backing == WORKLOAD_BACKING_PATTERN;
	ck_assert_int_ne(image->backing, WORKLOAD_BACKING_FILE);
	must_succeed(shell("qemu-img create -f qcow2 -o cluster_size=%" PRIu32
			   ",compat=%s,lazy_refcounts=%s %s theirs.qcow2 %" PRIu64,
			   image->cluster_bytes, image->version == 2 ? "0.10" : "1.1",
			   image->lazy_refcounts ? "on" : "off",
			   has_backing ? "-b backing.raw -F raw" : "", image->size_bytes),
		     "qemu-img create");
}

/* Do what `line` asks for with a snapshot. False: nothing. */
static bool do_snapshot(const char *line)
{
	char name[64];
	char option = 0;
	if (sscanf(line, "snapshot-apply %63s", name) == 1)
		option = 'a';
	else if (sscanf(line, "snapshot-delete %63s", name) == 1)
		option = 'd';
	else if (sscanf(line, "snapshot %63s", name) == 1)
		option = 'c';
	if (option)
		must_succeed(shell("qemu-img snapshot -%c %s theirs.qcow2", option, name), line);
	return option;
}

static void prepare(const char *line)
{
	if (!do_snapshot(line))
		must_succeed(shell("qemu-io -f qcow2 -c '%s' theirs.qcow2", line), line);
}

static void prepare_all(const struct workload *workload)
{
	static const char marker[] = "#@ prepare ";
	char *text = strdup(workload->text);
	char *rest = text;
	for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n"))
		if (strncmp(line, marker, strlen(marker)) == 0)
			prepare(line + strlen(marker));
	free(text);
}

/* qemu-io says 'command "#" not found' of each `#` line, and exits with 1 for that; it must not say
 * anything else went wrong. */
static void check_complaints(const char *output)
{
	static const char *const bad[] = { "failed", "rror", "nvalid", "not permitted" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!strstr(output, bad[i]), "%s", output);
	for (const char *at = output; (at = strstr(at, "command \"")); at++)
		ck_assert_msg(at[strlen("command \"")] == '#', "%s", at);
}

/* Run the lines of `text` up to the first that takes, applies or deletes a snapshot; returns that
 * one, without the marker, NULL: to the end. */
static char *run_part(char **text)
{
	static const char marker[] = "#@ snapshot";
	FILE *script = fopen("script", "w");
	char *line;
	ck_assert_ptr_nonnull(script);
	while ((line = strsep(text, "\n")) && strncmp(line, marker, strlen(marker)) != 0)
		fprintf(script, "%s\n", line);
	ck_assert_int_eq(fclose(script), 0);
	int status = shell("qemu-io -f qcow2 -t writeback -d unmap theirs.qcow2 <script");
	ck_assert_msg(status == 0 || status == 1, "qemu-io: exit status %d", status);
	check_complaints(shell_output());
	return line ? line + strlen("#@ ") : NULL;
}

static void run_qemu_io(const struct workload *workload)
{
	char *text = strdup(workload->text);
	char *rest = text;
	ck_assert_ptr_nonnull(text);
	for (char *line = run_part(&rest); line; line = run_part(&rest))
		ck_assert(do_snapshot(line));
	free(text);
	must_succeed(shell("qemu-img check theirs.qcow2"), "qemu-img check");
}

static uint8_t *their_guest(const struct shipped *shipped, size_t *bytes)
{
	size_t file_count = 0;
	const struct trace_file *files = world_files(shipped->world, &file_count);
	struct content *image = NULL;
	if (file_count > 1)
		store(files[1].initial, "backing.raw");
	make_image(&shipped->workload);
	prepare_all(&shipped->workload);
	run_qemu_io(&shipped->workload);
	ck_assert_int_eq(content_load(&image, "theirs.qcow2", NULL), STATUS_OK);
	uint8_t *guest = read_guest(files, file_count, image, bytes);
	content_free(image);
	return guest;
}

/* ---- both ---- */

/* The first schedule's image next to theirs, by qemu-img's own reader. */
static void compare_images(struct shipped *shipped, bool must_equal)
{
	struct schedule first;
	schedule_init(&first);
	ck_assert_int_eq(shipped_replay(shipped, &first), RUN_FINISHED);
	schedule_release(&first);
	ck_assert_str_eq(world_complaint(shipped->world), "");
	struct content *ours = world_image(shipped->world);
	store(ours, "ours.qcow2");
	content_free(ours);
	must_succeed(shell("qemu-img check ours.qcow2"), "qemu-img check of ours");
	int differs = shell("qemu-img compare ours.qcow2 theirs.qcow2");
	ck_assert_int_le(differs, 1);
	if (must_equal)
		ck_assert_msg(differs == 0, "%s: %s", shipped->workload.name, shell_output());
}

START_TEST(qemu_io_and_the_engine_leave_the_guest_the_same_bytes)
{
	const char *name = workload_shipped((size_t)_i)->name;
	uint8_t *theirs = NULL;
	size_t their_bytes = 0;
	for (size_t i = 0; i < 3; i++) {
		const struct world_options options = { .policy = shipped_policies[i],
						       .faults_max = SHIPPED_NO_FAULTS };
		static struct results results;
		struct shipped shipped;
		shipped_open(&shipped, name, &options);
		if (!theirs)
			theirs = their_guest(&shipped, &their_bytes);
		collect_results(&shipped, &results);
		printf("%-26s %-8s %6" PRIu64 " runs%s, %zu results\n", name,
		       qcow2_policy_name(shipped_policies[i]), results.runs,
		       results.complete ? "" : " (cut)", results.count);
		ck_assert_msg(has_result(&results, theirs, their_bytes),
			      "%s, policy %s: what qemu-io left is not one of the engine's %zu "
			      "results",
			      name, qcow2_policy_name(shipped_policies[i]), results.count);
		compare_images(&shipped, results.count == 1);
		release_results(&results);
		shipped_close(&shipped);
	}
	free(theirs);
}
END_TEST

int main(void)
{
	if (!shell_has_qemu()) {
		puts("skipped: qemu-img and qemu-io (package qemu-utils) are not installed");
		return 77;
	}
	Suite *suite = suite_create("same script");
	TCase *tests = tcase_create("same script");
	tcase_add_checked_fixture(tests, shell_enter_folder, shell_leave_folder);
	tcase_set_timeout(tests, 300);
	tcase_add_loop_test(tests, qemu_io_and_the_engine_leave_the_guest_the_same_bytes, 0,
			    (int)shipped_count());
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
