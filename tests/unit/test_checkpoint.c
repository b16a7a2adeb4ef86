// SPDX-License-Identifier: MIT
#include "workloads/checkpoint.h"

#include "injector/order.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CLASSES = 100 };

static char path[64];

static void setup(void)
{
	snprintf(path, sizeof(path), "/tmp/cowtip-checkpoint-XXXXXX");
	int descriptor = mkstemp(path);
	ck_assert_int_ge(descriptor, 0);
	close(descriptor);
}

static void teardown(void)
{
	unlink(path);
}

/* A checkpoint with something in every place. */
static void fill(struct checkpoint *checkpoint)
{
	struct ledger *ledger = &checkpoint->ledger;
	*checkpoint = (struct checkpoint){
		.program = strdup("cowtip 1 abc"),
		.workload = strdup("late-child"),
		.text = strdup("#@ image size=8k\nflush\n"),
		.settings = strdup("policy=cancel\n"),
	};
	struct explore_sets sets = { 0 };
	struct violation violation = {
		.verdict = { .rule = RULE_COW_COMPLETE,
			     .severity = SEVERITY_HAZARD,
			     .guest_offset = 1024,
			     .host_offset = NOWHERE,
			     .message = "something" },
		.schedule = (char[]){ "s1:01" },
		.times = 3,
	};
	struct explore_result result = {
		.interleavings = 120,
		.states = 5000,
		.judged = 700,
		.violations = &violation,
		.violation_count = 1,
		.skipped = { [RULE_OPENS] = "no reason" },
	};
	for (uint64_t i = 1; i <= CLASSES; i++) {
		distinct_add(&sets.classes, order_mixed(i));
		distinct_add(&sets.ends, order_mixed(i / 10 + 1));
		distinct_add(&sets.states, order_mixed(i / 2 + 1));
	}
	ledger_enter(ledger, &result, &sets);
	explore_sets_release(&sets);
	ledger->seconds = 1.5;
	ledger->trials = 7;
	ledger_open(ledger, "s1:1|0/1|", 0.25, 1);
	ledger_open(ledger, "s1:2|0/1|1:*", 0.5, 0);
}

START_TEST(what_was_written_is_read_again)
{
	struct why why = { "" };
	struct checkpoint written, read = { 0 };
	fill(&written);
	ck_assert_msg(checkpoint_write(&written, path, &why) == STATUS_OK, "%s", why.text);
	ck_assert_msg(checkpoint_read(&read, path, &why) == STATUS_OK, "%s", why.text);
	ck_assert_str_eq(read.program, written.program);
	ck_assert_str_eq(read.workload, written.workload);
	ck_assert_str_eq(read.text, written.text);
	ck_assert_str_eq(read.settings, written.settings);
	const struct ledger *a = &read.ledger, *b = &written.ledger;
	ck_assert_uint_eq(a->interleavings, b->interleavings);
	ck_assert_uint_eq(a->trials, b->trials);
	ck_assert_uint_eq(a->slices, b->slices);
	ck_assert_double_eq(a->seconds, b->seconds);
	ck_assert_uint_eq(a->sets.classes.count, CLASSES);
	ck_assert_uint_eq(a->class_checksum, b->class_checksum);
	ck_assert_uint_eq(a->end_checksum, b->end_checksum);
	ck_assert_uint_eq(a->sets.states.checksum, b->sets.states.checksum);
	ck_assert_uint_eq(a->violation_count, 1);
	ck_assert_str_eq(a->violations[0].schedule, "s1:01");
	ck_assert_str_eq(a->violations[0].verdict.message, "something");
	ck_assert_uint_eq(a->violations[0].verdict.host_offset, NOWHERE);
	ck_assert_uint_eq(a->job_count, 2);
	ck_assert_str_eq(a->jobs[1].text, "s1:2|0/1|1:*");
	ck_assert_double_eq(a->jobs[0].weight, 0.25);
	ck_assert_uint_eq(a->jobs[0].attempts, 1);
	ck_assert_str_eq(a->skipped[RULE_OPENS], "no reason");
	checkpoint_release(&read);
	checkpoint_release(&written);
}
END_TEST

static size_t load(uint8_t *bytes, size_t room)
{
	FILE *file = fopen(path, "rb");
	ck_assert_ptr_nonnull(file);
	size_t count = fread(bytes, 1, room, file);
	fclose(file);
	return count;
}

/* Write these bytes instead and try to read them. A bit that means nothing to zstd may differ: what
 * is read must be what was written, and the frame's checksum says so. */
static enum status read_bytes(const uint8_t *bytes, size_t count, const struct pack *good)
{
	struct why why = { "" };
	struct checkpoint checkpoint = { 0 };
	FILE *file = fopen(path, "wb");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(bytes, 1, count, file), count);
	fclose(file);
	enum status status = checkpoint_read(&checkpoint, path, &why);
	ck_assert((status == STATUS_OK) == (why.text[0] == 0));
	if (status != STATUS_OK) {
		ck_assert_ptr_null(checkpoint.program);
	} else {
		struct pack pack = { 0 };
		ledger_pack(&checkpoint.ledger, &pack);
		ck_assert_uint_eq(pack.count, good->count);
		ck_assert_mem_eq(pack.bytes, good->bytes, pack.count);
		pack_release(&pack);
	}
	checkpoint_release(&checkpoint);
	return status;
}

START_TEST(damage_anywhere_is_noticed)
{
	static uint8_t bytes[1 << 16];
	struct why why = { "" };
	struct checkpoint checkpoint;
	fill(&checkpoint);
	ck_assert_int_eq(checkpoint_write(&checkpoint, path, &why), STATUS_OK);
	struct pack good = { 0 };
	ledger_pack(&checkpoint.ledger, &good);
	checkpoint_release(&checkpoint);
	unsigned unnoticed = 0;
	size_t count = load(bytes, sizeof(bytes));
	ck_assert_uint_gt(count, 1000);
	ck_assert_uint_lt(count, sizeof(bytes));
	ck_assert_int_eq(read_bytes(bytes, count, &good), STATUS_OK);
	for (size_t i = 0; i < count; i += i < 64 ? 1 : 37) {
		bytes[i] ^= 0x10;
		unnoticed += read_bytes(bytes, count, &good) == STATUS_OK;
		bytes[i] ^= 0x10;
		ck_assert_msg(read_bytes(bytes, i, &good) != STATUS_OK, "%zu bytes", i);
	}
	ck_assert_uint_le(unnoticed, 3);
	pack_release(&good);
}
END_TEST

/* Bytes that a checksum protects may have been wrong before it was made. */
START_TEST(a_ledger_that_makes_no_sense_is_refused)
{
	struct checkpoint checkpoint;
	struct pack pack = { 0 };
	fill(&checkpoint);
	ledger_pack(&checkpoint.ledger, &pack);
	checkpoint_release(&checkpoint);
	for (size_t count = 0; count < pack.count; count += 3) {
		struct ledger ledger = { 0 };
		struct unpack unpack = { .bytes = pack.bytes, .count = count };
		ck_assert(!ledger_unpack(&ledger, &unpack));
	}
	for (size_t i = 0; i < pack.count; i++) {
		struct ledger ledger = { 0 };
		struct unpack unpack = { .bytes = pack.bytes, .count = pack.count };
		pack.bytes[i] ^= 0xff;
		if (ledger_unpack(&ledger, &unpack))
			ledger_release(&ledger);
		pack.bytes[i] ^= 0xff;
	}
	pack_release(&pack);
}
END_TEST

START_TEST(what_is_no_checkpoint_is_refused)
{
	struct why why = { "" };
	struct checkpoint checkpoint = { 0 };
	ck_assert_int_eq(checkpoint_read(&checkpoint, "/no/such/file", &why), STATUS_IO);
	ck_assert_int_eq(read_bytes((const uint8_t *)"QFI", 3, NULL), STATUS_FOREIGN);
	ck_assert_int_eq(read_bytes((const uint8_t *)"", 0, NULL), STATUS_FOREIGN);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("checkpoint");
	TCase *tests = tcase_create("checkpoint");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, what_was_written_is_read_again);
	tcase_add_test(tests, damage_anywhere_is_noticed);
	tcase_add_test(tests, a_ledger_that_makes_no_sense_is_refused);
	tcase_add_test(tests, what_is_no_checkpoint_is_refused);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
