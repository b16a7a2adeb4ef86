// SPDX-License-Identifier: MIT
/* Dirty images, repaired by opening them: next to `qemu-img check -r all` on a twin.
 *
 * Where they come from: qemu-io killed in the middle of random work (lazy refcounts on, several
 * cluster sizes, snapshots, compressed clusters), and sound images that were damaged by hand where
 * a dirty image may be damaged. Afterwards `qemu-img check` must be content and the guest must read
 * what it reads from the twin. Images that cannot be repaired without guessing must be left alone,
 * to the byte. */
#include "engine/scheduler/sched.h"
#include "tests/integration/shell.h"
#include "tests/integration/subject.h"
#include "tests/run_suite.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	SEEDS = 4,
	COMMANDS = 24,
	AT_INCOMPATIBLE = 79, /* the header byte with the dirty bit */
	AT_L1 = 40,
	AT_REFCOUNT_TABLE = 48,
	AT_REFCOUNT_TABLE_CLUSTERS = 56,
};

static uint64_t state;

static uint64_t next_random(uint64_t below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (state >> 33) % below;
}

static void must(int status)
{
	ck_assert_msg(status == 0, "exit status %d: %s", status, shell_output());
}

/* ---- bytes of an image file ---- */

static void get_bytes(const char *path, uint64_t at, void *to, size_t bytes)
{
	int file = open(path, O_RDONLY);
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(pread(file, to, bytes, (off_t)at), (ssize_t)bytes);
	close(file);
}

static void put_bytes(const char *path, uint64_t at, const void *from, size_t bytes)
{
	int file = open(path, O_WRONLY);
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(pwrite(file, from, bytes, (off_t)at), (ssize_t)bytes);
	close(file);
}

static uint64_t get_number(const char *path, uint64_t at)
{
	uint8_t raw[8];
	uint64_t number = 0;
	get_bytes(path, at, raw, sizeof(raw));
	for (size_t i = 0; i < sizeof(raw); i++)
		number = number << 8 | raw[i];
	return number;
}

static void put_number(const char *path, uint64_t at, uint64_t number)
{
	uint8_t raw[8];
	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)(number >> (56 - 8 * i));
	put_bytes(path, at, raw, sizeof(raw));
}

static bool is_dirty(const char *path)
{
	uint8_t incompatible;
	get_bytes(path, AT_INCOMPATIBLE, &incompatible, 1);
	return incompatible & 1;
}

static void make_dirty(const char *path)
{
	put_bytes(path, AT_INCOMPATIBLE, "\1", 1);
}

/* ---- what must hold ---- */

/* "mine.qcow2" is dirty: repair it by opening it, and compare with what qemu-img makes of a copy.
 */
static void check_repair(const char *what)
{
	ck_assert_msg(is_dirty("mine.qcow2"), "%s: not dirty", what);
	must(shell("cp mine.qcow2 twin.qcow2"));
	const char *failure = subject_run("mine.qcow2", QCOW2_EAGER, NULL, 0);
	ck_assert_msg(failure[0] == 0, "%s: %s", what, failure);
	ck_assert_msg(!is_dirty("mine.qcow2"), "%s: still dirty", what);
	int status = shell("qemu-img check mine.qcow2");
	ck_assert_msg(status == 0, "%s: %s", what, shell_output());
	status = shell("qemu-img check -r all twin.qcow2");
	ck_assert_msg(status == 0, "%s, twin: %s", what, shell_output());
	status = shell("qemu-img compare mine.qcow2 twin.qcow2");
	ck_assert_msg(status == 0, "%s: %s", what, shell_output());
	/* Repaired is repaired: with the bit set again, nothing but the bit is written. */
	must(shell("cp mine.qcow2 before.qcow2"));
	make_dirty("mine.qcow2");
	failure = subject_run("mine.qcow2", QCOW2_EAGER, NULL, 0);
	ck_assert_msg(failure[0] == 0, "%s, once more: %s", what, failure);
	status = shell("cmp mine.qcow2 before.qcow2");
	ck_assert_msg(status == 0, "%s, once more: %s", what, shell_output());
}

/* "mine.qcow2" must be refused because of `reason`, and stay as it is. */
static void check_refused(const char *reason)
{
	must(shell("cp mine.qcow2 before.qcow2"));
	const char *failure = subject_run("mine.qcow2", QCOW2_EAGER, NULL, 0);
	ck_assert_msg(strstr(failure, reason), "not '%s' but '%s'", reason, failure);
	must(shell("cmp mine.qcow2 before.qcow2"));
}

/* ---- killed in the middle ---- */

static const struct {
	const char *cluster;
	uint64_t disk_bytes;
	const char *backing, *prepare;
} kinds[] = {
	{ "512", 3 << 20, "", "" },
	{ "512", 3 << 20, "-b base.raw -F raw", "snapshot" },
	{ "4k", 8 << 20, "", "snapshot" },
	{ "4k", 8 << 20, "-b base.raw -F raw", "compressed" },
	{ "64k", 64 << 20, "-b base.raw -F raw", "snapshot compressed" },
	{ "64k", 64 << 20, "", "" },
	{ "2M", 256 << 20, "", "snapshot compressed" },
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static void make_image(size_t kind)
{
	unsigned long long bytes = kinds[kind].disk_bytes;
	must(shell("qemu-img create -q -f raw base.raw 2M"));
	must(shell("qemu-io -f raw -c 'write -P 0x5a 0 2M' base.raw"));
	must(shell("qemu-img create -q -f qcow2 -o cluster_size=%s,lazy_refcounts=on %s mine.qcow2 "
		   "%llu",
		   kinds[kind].cluster, kinds[kind].backing, bytes));
	must(shell("qemu-io -c 'write -P 1 0 300k' -c 'write -P 2 %llu 70k' mine.qcow2",
		   bytes / 2));
	if (strstr(kinds[kind].prepare, "compressed"))
		must(shell(
			"qemu-io -c 'write -c -P 3 %llu %s' -c 'write -c -P 4 %llu %s' mine.qcow2",
			bytes / 4, kinds[kind].cluster, bytes / 4 * 3, kinds[kind].cluster));
	if (strstr(kinds[kind].prepare, "snapshot")) {
		must(shell("qemu-img snapshot -c one mine.qcow2"));
		must(shell("qemu-io -c 'write -P 5 4k 100k' mine.qcow2"));
		must(shell("qemu-img snapshot -c two mine.qcow2"));
	}
}

static void write_commands(uint64_t disk_bytes)
{
	FILE *script = fopen("script", "w");
	ck_assert_ptr_nonnull(script);
	for (int i = 0; i < COMMANDS; i++) {
		unsigned long long at = next_random(disk_bytes / 512 - 300) * 512;
		unsigned long long length = (1 + next_random(250)) * 512;
		switch (next_random(8)) {
		case 0: fprintf(script, "discard -q %llu %llu\n", at, length); break;
		case 1: fprintf(script, "write -q -z -u %llu %llu\n", at, length); break;
		case 2: fprintf(script, "flush\n"); break;
		default: fprintf(script, "write -q -P %d %llu %llu\n", 10 + i, at, length); break;
		}
	}
	fprintf(script, "write -q -P 9 0 4k\n%ssigraise 9\n", next_random(3) ? "flush\n" : "");
	fclose(script);
}

START_TEST(what_a_killed_qemu_io_leaves_is_repaired)
{
	size_t kind = (size_t)_i % KINDS;
	state = (uint64_t)_i + 1;
	make_image(kind);
	write_commands(kinds[kind].disk_bytes);
	(void)shell("qemu-io -d unmap mine.qcow2 < script");
	char what[64];
	snprintf(what, sizeof(what), "kind %zu, seed %d", kind, _i);
	check_repair(what);
}
END_TEST

/* ---- damaged by hand, where a dirty image may be ---- */

/* An image of many small clusters. */
static void make_small(void)
{
	must(shell("qemu-img create -q -f qcow2 -o cluster_size=512 mine.qcow2 10M"));
	must(shell("qemu-io -c 'write -P 1 0 200k' mine.qcow2"));
	must(shell("qemu-img snapshot -c one mine.qcow2"));
	must(shell("qemu-io -c 'write -P 2 100k 200k' mine.qcow2"));
}

START_TEST(refcounts_that_are_all_wrong_are_rebuilt)
{
	make_small();
	uint64_t table = get_number("mine.qcow2", AT_REFCOUNT_TABLE);
	uint8_t wrong[512];
	for (int i = 0; i < 3; i++) {
		memset(wrong, i == 1 ? 0 : 3 + i, sizeof(wrong));
		put_bytes("mine.qcow2", get_number("mine.qcow2", table + 8 * (uint64_t)i), wrong,
			  sizeof(wrong));
	}
	make_dirty("mine.qcow2");
	check_repair("wrong refcounts");
}
END_TEST

START_TEST(refcount_blocks_that_are_missing_are_made)
{
	make_small();
	uint64_t table = get_number("mine.qcow2", AT_REFCOUNT_TABLE);
	put_number("mine.qcow2", table, 0);
	put_number("mine.qcow2", table + 16, 0);
	make_dirty("mine.qcow2");
	check_repair("missing blocks");
}
END_TEST

START_TEST(a_refcount_table_that_is_too_short_grows)
{
	/* A cluster of the table reaches to 8 MiB. */
	must(shell("qemu-img create -q -f qcow2 -o cluster_size=512 mine.qcow2 20M"));
	must(shell("qemu-io -c 'write -P 1 0 18M' mine.qcow2"));
	put_bytes("mine.qcow2", AT_REFCOUNT_TABLE_CLUSTERS, "\0\0\0\1", 4);
	make_dirty("mine.qcow2");
	check_repair("short table");
}
END_TEST

START_TEST(copied_flags_are_made_exact)
{
	make_small();
	/* The first L2 table is the snapshot's and the active one's, another is the active one's
	 * alone. */
	uint64_t l1 = get_number("mine.qcow2", AT_L1);
	for (uint64_t i = 0; i < 8; i++) {
		uint64_t entry = get_number("mine.qcow2", l1 + 8 * i);
		uint64_t l2 = entry & ~(UINT64_C(1) << 63);
		if (l2 == 0)
			continue;
		put_number("mine.qcow2", l1 + 8 * i, i % 2 ? l2 : l2 | UINT64_C(1) << 63);
		for (uint64_t k = 0; k < 64; k++) {
			entry = get_number("mine.qcow2", l2 + 8 * k);
			if (entry)
				put_number("mine.qcow2", l2 + 8 * k, entry ^ UINT64_C(1) << 63);
		}
	}
	make_dirty("mine.qcow2");
	check_repair("wrong COPIED flags");
}
END_TEST

/* ---- what is refused ---- */

/* Where the damage goes. */
enum place { L1_ENTRY, L2_ENTRY, TABLE_ENTRY, L1_TWIN };

static const struct {
	enum place place;
	uint64_t entry;
	const char *reason;
} damages[] = {
	{ L1_ENTRY, UINT64_C(0x8000000040000000),
	  "an L2 table at 0x40000000 lies outside the file" },
	{ L1_ENTRY, UINT64_C(0x8000000000000001), "has reserved bits set" },
	{ L1_ENTRY, UINT64_C(0x8000000000000200), "is metadata and an L2 table" },
	{ L1_TWIN, 0, "two L1 entries point to the L2 table" },
	{ L2_ENTRY, UINT64_C(0x8000000040000000), "a data cluster at 0x40000000 lies outside" },
	{ L2_ENTRY, UINT64_C(0x4000000040000000),
	  "a compressed cluster at 0x40000000 lies outside" },
	{ L2_ENTRY, UINT64_C(0x8000000000000200), "is metadata and data" },
	{ L2_ENTRY, UINT64_C(0x8100000000000000), "has reserved bits set" },
	{ TABLE_ENTRY, UINT64_C(0x40000000), "a refcount block at 0x40000000 lies outside" },
	{ TABLE_ENTRY, UINT64_C(0x200), "is metadata and metadata" },
	{ TABLE_ENTRY, UINT64_C(0x10), "refcount table entry 1 is not aligned" },
};

START_TEST(what_would_have_to_be_guessed_is_refused_and_left_alone)
{
	make_small();
	make_dirty("mine.qcow2");
	uint64_t l1 = get_number("mine.qcow2", AT_L1);
	uint64_t l2 = get_number("mine.qcow2", l1) & ~(UINT64_C(1) << 63);
	uint64_t at = l1;
	uint64_t entry = damages[_i].entry;
	switch (damages[_i].place) {
	case L1_ENTRY: break;
	case L1_TWIN: entry = get_number("mine.qcow2", l1 + 8); break;
	case L2_ENTRY: at = l2; break;
	case TABLE_ENTRY: at = get_number("mine.qcow2", AT_REFCOUNT_TABLE) + 8; break;
	}
	put_number("mine.qcow2", at, entry);
	check_refused(damages[_i].reason);
}
END_TEST

START_TEST(a_dirty_backing_file_is_refused_and_left_alone)
{
	make_small();
	make_dirty("mine.qcow2");
	must(shell("mv mine.qcow2 below.qcow2; cp below.qcow2 before"));
	must(shell("qemu-img create -q -u -f qcow2 -b below.qcow2 -F qcow2 mine.qcow2 10M"));
	check_refused("'below.qcow2': dirty refcounts");
	must(shell("cmp below.qcow2 before"));
}
END_TEST

/* Opening with options of one's own. */
struct opening {
	struct qcow2_options options;
	enum status status;
	struct why why;
};

static void open_body(void *argument)
{
	struct opening *opening = argument;
	struct qcow2 *image = NULL;
	opening->status = qcow2_open(&image, "mine.qcow2", &opening->options, &opening->why);
	if (opening->status == STATUS_OK)
		(void)!qcow2_close(image);
}

START_TEST(who_does_not_want_a_repair_gets_none)
{
	const struct qcow2_options wishes[] = { { .no_repair = true }, { .read_only = true } };
	make_small();
	make_dirty("mine.qcow2");
	must(shell("cp mine.qcow2 before.qcow2"));
	for (size_t i = 0; i < 2; i++) {
		struct opening opening = { .options = wishes[i] };
		struct sched *sched = sched_new();
		opening.options.arena = arena_new();
		const struct sched_options options = { .arena = opening.options.arena };
		ck_assert(sched_spawn(sched, "open", open_body, &opening));
		ck_assert_int_eq(sched_run(sched, &options), RUN_FINISHED);
		ck_assert_int_eq(opening.status, STATUS_UNSUPPORTED);
		ck_assert_ptr_nonnull(strstr(opening.why.text, "dirty refcounts"));
		sched_free(sched);
		arena_free(opening.options.arena);
		must(shell("cmp mine.qcow2 before.qcow2"));
	}
}
END_TEST

int main(void)
{
	if (!shell_has_qemu()) {
		puts("skipped: qemu-img and qemu-io (package qemu-utils) are not installed");
		return 77;
	}
	Suite *suite = suite_create("repair");
	TCase *tests = tcase_create("repair");
	tcase_add_checked_fixture(tests, shell_enter_folder, shell_leave_folder);
	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, what_a_killed_qemu_io_leaves_is_repaired, 0, SEEDS * KINDS);
	tcase_add_test(tests, refcounts_that_are_all_wrong_are_rebuilt);
	tcase_add_test(tests, refcount_blocks_that_are_missing_are_made);
	tcase_add_test(tests, a_refcount_table_that_is_too_short_grows);
	tcase_add_test(tests, copied_flags_are_made_exact);
	tcase_add_loop_test(tests, what_would_have_to_be_guessed_is_refused_and_left_alone, 0,
			    sizeof(damages) / sizeof(damages[0]));
	tcase_add_test(tests, a_dirty_backing_file_is_refused_and_left_alone);
	tcase_add_test(tests, who_does_not_want_a_repair_gets_none);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
