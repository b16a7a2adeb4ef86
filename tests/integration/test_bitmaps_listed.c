// SPDX-License-Identifier: MIT
/* Persistent bitmaps on a disk that reorders: what is decided next to what is listed, as in
 * test_reorder_listed.c, on recordings of the stock tools.
 *
 *     qemu-img create; bitmaps; writes
 *          |
 *          +--> qemu-img bitmap --add --merge --clear ..., or qemu-io writing: recorded
 *                    |
 *                    +--> requests around it (guest_log.h), some flushes taken away
 *                              |
 *                              +--> every state listed, judged by itself --+
 *                              +--> decided ------------------------------+--> the same
 *
 * What bitmaps change is what leaks. Their clusters have references that the books do not have, so
 * it may remain undecided whether too many leak; then nothing else may differ, and it must be rare.
 *
 * Without arguments a sample; `test_bitmaps_listed N` goes on with other seeds until N recordings
 * were compared, or for as many seconds as COWTIP_LONG_SECONDS says. */
#include "tests/integration/patience.h"
#include "tests/integration/shell.h"
#include "tests/unit/reorder_compare.h"

#include "injector/record_program.h"
#include "tests/run_suite.h"
#include "workloads/cli/guest_log.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum {
	WINDOW_MAX = 12,      /* operations that may be lost */
	STATES_MAX = 1 << 12, /* to list at a moment */
	SAMPLE = 40,          /* recordings */
	LISTINGS = 2,         /* of each recording, other flushes taken away */
	WORDS_MAX = 24,
	TEXT_BYTES = 400,
	SECTORS_MAX_BITMAP = 6, /* granularity: 512 bytes to 16 KiB */
	KINDS = 7,
	FIRST_GIVING_UP = 1, /* the kinds of deeds that free a whole bitmap */
	GIVING_UP = 2,
	LARGE_CLUSTERS = 24,
	LARGE_CLUSTER_BYTES = 2048,
};

/* The image, its clusters not punched out when they are freed: that would be an operation each. */
#define UNPUNCHED                                                                                  \
	"--image-opts driver=qcow2,file.driver=file,file.filename=i.qcow2,file.discard=ignore"

static struct patience patience;

/* Tallies. */
static size_t recordings, listings, violated, leaking, undecided, flushes_taken;
static size_t states, moments;
static size_t of_kind[KINDS];

/* What is done to the image, and recorded. */
struct deed {
	char text[TEXT_BYTES]; /* its words, with spaces between; '~' is a space in a word */
	enum guest_expectation guest;
};

static unsigned some(uint64_t *random, unsigned count)
{
	return (unsigned)(reorder_random(random) % count);
}

/* An image with bitmaps "a" and "b", of which "a" knows of writes. */
static uint64_t make_image(uint64_t *random)
{
	unsigned cluster_bytes = 512U << some(random, 4);
	unsigned disk_kilobytes = 64U << some(random, 7);
	ck_assert_int_eq(
		shell("rm -f i.qcow2 && qemu-img create -q -f qcow2 -o cluster_size=%u,"
		      "lazy_refcounts=%s i.qcow2 %uk && qemu-img bitmap --add -g %u i.qcow2 a && "
		      "qemu-io -f qcow2 -c 'write -q -P 1 0 %u' -c 'write -q -P 2 32k %u' i.qcow2",
		      cluster_bytes, some(random, 2) ? "on" : "off", disk_kilobytes,
		      512U << some(random, SECTORS_MAX_BITMAP), 512U * (1 + some(random, 9)),
		      512U * (1 + some(random, 9))),
		0);
	ck_assert_int_eq(shell("qemu-img bitmap --add -g %u%s i.qcow2 b",
			       512U << some(random, SECTORS_MAX_BITMAP),
			       some(random, 2) ? " --disable" : ""),
			 0);
	return cluster_bytes;
}

/* An image whose bitmap "a" has more clusters than anybody may leak: one is all bits of 8 MiB, and
 * each of these is written to. */
static uint64_t make_large_image(void)
{
	char writes[LARGE_CLUSTERS * 40];
	size_t used = 0;
	for (unsigned i = 0; i < LARGE_CLUSTERS; i++)
		used += (size_t)snprintf(writes + used, sizeof(writes) - used,
					 " -c 'write -q -P 1 %uM 512'", 8 * i);
	ck_assert_int_eq(shell("rm -f i.qcow2 && qemu-img create -q -f qcow2 -o cluster_size=%u "
			       "i.qcow2 %uM && qemu-img bitmap --add -g 512 i.qcow2 a && "
			       "qemu-io -f qcow2 %s i.qcow2 && qemu-img bitmap --add i.qcow2 b",
			       LARGE_CLUSTER_BYTES, 8 * LARGE_CLUSTERS, writes),
			 0);
	return LARGE_CLUSTER_BYTES;
}

/* Writes and zeros, each in a place of its own: a sector is what it was or what it becomes. */
static void write_deed(struct deed *deed, uint64_t *random)
{
	size_t used = (size_t)snprintf(deed->text, TEXT_BYTES, "qemu-io -t writeback -f qcow2");
	unsigned count = 1 + some(random, 3);
	deed->guest = GUEST_OLD_OR_NEW;
	for (unsigned i = 0; i < count; i++)
		used += (size_t)snprintf(
			deed->text + used, TEXT_BYTES - used, " -c write~-q~%s~%uk~%u%s",
			some(random, 3) ? "-P~9" : "-z", 16 * i + some(random, 8),
			512 * (1 + some(random, 10)), some(random, 3) ? "" : " -c flush");
	snprintf(deed->text + used, TEXT_BYTES - used, " i.qcow2");
}

static unsigned choose_deed(struct deed *deed, bool is_large, uint64_t *random)
{
	static const char *const words[] = { "--add %s c",    "--remove %s a",  "--clear %s a",
					     "--enable %s b", "--disable %s a", "--merge a %s b" };
	unsigned kind =
		is_large ? FIRST_GIVING_UP + some(random, GIVING_UP) : some(random, KINDS + 2);
	deed->guest = GUEST_UNCHANGED;
	if (kind >= KINDS - 1) {
		write_deed(deed, random);
		return KINDS - 1;
	}
	const char *place = strchr(words[kind], '%');
	snprintf(deed->text, TEXT_BYTES, "qemu-img bitmap %.*s%s%s", (int)(place - words[kind]),
		 words[kind], is_large ? UNPUNCHED : "i.qcow2", place + 2);
	return kind;
}

/* Do it, recorded. False: the tool refused. */
static bool record(const struct deed *deed, struct record_result *result)
{
	char text[TEXT_BYTES];
	char *argv[WORDS_MAX] = { NULL };
	size_t count = 0;
	struct why why = { "" };
	snprintf(text, sizeof(text), "%s", deed->text);
	for (char *word = strtok(text, " "); word && count < WORDS_MAX - 1;
	     word = strtok(NULL, " ")) {
		for (char *at = word; *at; at++)
			*at = *at == '~' ? ' ' : *at;
		argv[count++] = word;
	}
	const struct record_options options = { .argv = argv, .prefix = "recording" };
	enum status status = record_program(&options, result, &why);
	ck_assert_msg(status == STATUS_OK, "%s: %s", deed->text, why.text);
	return WIFEXITED(result->wait_status) && WEXITSTATUS(result->wait_status) == 0 &&
	       result->trace_count == 1;
}

/* Is there any leak among what was found? */
static bool has_leak(const struct keys *keys)
{
	for (size_t i = 0; i < keys->count; i++)
		if (keys->list[i].rule == RULE_LEAK_BOUNDED)
			return true;
	return false;
}

static void compare(const struct trace *trace, const struct event_log *log, uint64_t cluster_bytes,
		    const char *name, uint64_t *random)
{
	struct keys decided = { .count = 0 }, listed = { .count = 0 }, with_torn = { .count = 0 };
	struct listed_run run = {
		.files = trace->files,
		.file_count = trace->file_count,
		.cluster_bytes = cluster_bytes,
		.options = { .verdicts_max = 256, .sector_bytes = 512 },
		.states_max = STATES_MAX,
		.volatile_max = WINDOW_MAX,
		.may_skip_leaks = true,
	};
	flushes_taken += reorder_take_flushes(&run, log, random, some(random, 5));
	struct event_log whole = run.log;
	reorder_list(&listed, &run);
	reorder_decide(&decided, &run, CRASH_REORDER);
	reorder_compare(&run, &decided, &listed, true, name);
	reorder_decide(&with_torn, &run, CRASH_TORN | CRASH_REORDER);
	reorder_compare(&run, &with_torn, &listed, true, name);
	event_log_release(&whole);
	listings++;
	violated += listed.count > 0;
	leaking += has_leak(&listed);
	undecided += run.leaks_skipped;
	states += run.states;
	moments += run.moments;
}

/* Record and compare; `seed` tells what. */
static void compare_recording(uint64_t seed)
{
	uint64_t random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
	struct record_result result;
	struct deed deed;
	char name[TEXT_BYTES + 32];
	bool is_large = some(&random, 4) == 0;
	uint64_t cluster_bytes = is_large ? make_large_image() : make_image(&random);
	unsigned kind = choose_deed(&deed, is_large, &random);
	snprintf(name, sizeof(name), "seed %" PRIu64 ", %s", seed, deed.text);
	record_result_init(&result);
	if (record(&deed, &result)) {
		struct event_log log;
		struct why why = { "" };
		event_log_init(&log);
		ck_assert_msg(guest_log_make(&log, &result.traces[0], deed.guest, &why) ==
				      STATUS_OK,
			      "%s: %s", name, why.text);
		for (int i = 0; i < LISTINGS; i++)
			compare(&result.traces[0], &log, cluster_bytes, name, &random);
		event_log_release(&log);
		recordings++;
		of_kind[kind]++;
	}
	record_result_release(&result);
}

static void check_mix(void)
{
	for (size_t kind = 0; kind < KINDS; kind++)
		ck_assert_uint_gt(of_kind[kind], 0);
	ck_assert_uint_gt(flushes_taken, listings / 2);
	ck_assert_uint_gt(violated, 0);
	ck_assert_uint_gt(leaking, 0);
	ck_assert_uint_lt(undecided, listings / 4);
	ck_assert_uint_gt(states, 4 * moments);
}

START_TEST(deciding_equals_listing_beside_bitmaps)
{
	size_t wanted = patience.wanted ? patience.wanted : SAMPLE;
	patience_begin(&patience);
	for (uint64_t seed = 0; recordings < wanted && !patience_is_over(&patience); seed++)
		compare_recording(seed);
	printf("%zu recordings, %zu listings: %zu violated, %zu of them by leaks; leaks "
	       "undecided in %zu; %zu completions of flushes taken away; %zu states at %zu "
	       "moments\n",
	       recordings, listings, violated, leaking, undecided, flushes_taken, states, moments);
	patience_report(&patience, recordings, "recordings");
	if (!patience_is_over(&patience))
		check_mix();
}
END_TEST

int main(int argc, char **argv)
{
	patience_init(&patience, argc, argv);
	if (!shell_has_qemu()) {
		puts("skipped: qemu-img or qemu-io is not installed");
		return 77;
	}
	Suite *suite = suite_create("bitmaps_listed");
	TCase *tests = tcase_create("bitmaps_listed");
	tcase_set_timeout(tests, patience_timeout_seconds(&patience));
	tcase_add_unchecked_fixture(tests, shell_enter_folder, shell_leave_folder);
	tcase_add_test(tests, deciding_equals_listing_beside_bitmaps);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
