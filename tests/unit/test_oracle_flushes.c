// SPDX-License-Identifier: MIT
/* What a flush covers: one litmus test for each clause of the definition of durable. In each, an L2
 * entry is written that is only right when data written before it is there, too. */
#include "oracle/judge.h"
#include "oracle/persist.h"
#include "tests/run_suite.h"
#include "tests/unit/oracle_world.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define CLUSTER UINT64_C(4096)
enum { DATA = 7 };

static const struct world_options over_backing = { .backing = true };
static struct world world;

static void begin(void)
{
	uint32_t id;

	world_init(&world, &over_backing);
	world.judge_options =
		(struct judge_options){ .models = CRASH_PREFIX | CRASH_TORN | CRASH_REORDER,
					.verdicts_max = 64 };
	world_poke(&world, AT_BLOCK * CLUSTER + 2 * DATA, 1, 2);
	id = world_invoke(&world, REQUEST_WRITE, 0, CLUSTER);
	world_data(&world, id, 0, DATA, 0, 8);
	world.log.events[world.log.count - 1].id = 1;
}

static void io(enum event_kind kind, enum io_op op, uint32_t id, int32_t result)
{
	const struct event event = {
		.kind = (uint8_t)kind, .op = (uint8_t)op, .id = id, .result = result
	};

	event_log_append(&world.log, &event, NULL, 0);
}

/** The entry is linked now: is the data sure to be there? */
static void expect_covered(bool covered)
{
	world_l2(&world, 0, DATA * CLUSTER | COPIED);
	if (covered) {
		world_expect_clean(&world);
	} else {
		const struct verdict *verdict = world_expect(&world, RULE_COW_COMPLETE);

		ck_assert_int_eq(verdict->model, CRASH_REORDER);
		ck_assert_uint_eq(verdict->operation, world.report.operations);
	}
	world_release(&world);
}

/** Tell a story behind begin(): `c` the write completes, `w` the data is written again, `b` a flush
 * begins, `e` it ends, `x` it fails. */
static void tell(const char *story)
{
	uint32_t flush = 1;

	for (const char *at = story; *at != '\0'; at++)
		switch (*at) {
		case 'c': io(EVENT_IO_COMPLETED, IO_WRITE, 1, 0); break;
		case 'w': world_data(&world, 1, 0, DATA, 0, 8); break;
		case 'b': io(EVENT_IO_SUBMITTED, IO_FLUSH, ++flush, 0); break;
		case 'e': io(EVENT_IO_COMPLETED, IO_FLUSH, flush, 0); break;
		case 'x': io(EVENT_IO_COMPLETED, IO_FLUSH, flush, -5); break;
		default: ck_abort_msg("'%c' is no part of a story", *at);
		}
}

/** A litmus test: is the data sure to be there when the story is told? */
static void litmus(const char *story, bool covered)
{
	begin();
	tell(story);
	expect_covered(covered);
}

START_TEST(a_write_without_a_flush_may_be_lost)
{
	litmus("c", false);
}
END_TEST

START_TEST(a_flush_covers_what_had_completed_when_it_was_submitted)
{
	litmus("cbe", true);
}
END_TEST

START_TEST(a_flush_covers_nothing_before_it_has_completed)
{
	litmus("cb", false);
}
END_TEST

START_TEST(a_write_that_completes_while_the_flush_is_in_flight_is_not_covered)
{
	litmus("bce", false);
}
END_TEST

START_TEST(a_write_that_took_effect_and_never_completed_is_not_covered)
{
	litmus("be", false);
}
END_TEST

START_TEST(a_failed_flush_covers_nothing)
{
	litmus("cbx", false);
}
END_TEST

START_TEST(what_a_failed_flush_should_have_covered_no_later_one_covers)
{
	litmus("cbxbe", false);
}
END_TEST

START_TEST(what_is_written_again_after_a_failed_flush_the_next_one_covers)
{
	litmus("cbxwbe", true);
}
END_TEST

START_TEST(what_completes_after_a_failed_flush_was_submitted_the_next_one_covers)
{
	litmus("bcxbe", true);
}
END_TEST

START_TEST(a_flush_of_another_file_covers_nothing)
{
	begin();
	tell("cbe");
	for (size_t i = world.log.count - 2; i < world.log.count; i++)
		world.log.events[i].file = 1;
	expect_covered(false);
}
END_TEST

START_TEST(an_older_version_than_the_durable_one_never_comes_back)
{
	/* The first write has not completed, but what it wrote was written over by a durable one.
	 */
	litmus("wbe", true);
}
END_TEST

/** What stands between the brackets at the end of a message. */
static void persist_of(char list[256], const struct verdict *verdict)
{
	const char *at = strstr(verdict->message, "(persisted: ");

	ck_assert_ptr_nonnull(at);
	snprintf(list, 256, "%s", at + strlen("(persisted: "));
	list[strcspn(list, ")")] = '\0';
}

START_TEST(a_verdict_says_how_to_make_its_image)
{
	struct content *image;
	struct judge_report report;
	char list[256];
	bool found = false;

	begin();
	tell("c");
	world_l2(&world, 0, DATA * CLUSTER | COPIED);
	const struct verdict *verdict = world_expect(&world, RULE_COW_COMPLETE);
	persist_of(list, verdict);
	/* One lost sector is enough. */
	ck_assert_ptr_null(strchr(list, ','));
	ck_assert_int_eq(persist_image(&image, world.files[0].initial, &world.log,
				       verdict->operation, list, NULL),
			 STATUS_OK);
	judge_image(world.judge, &world.log, world.log.count, image, &report);
	for (size_t i = 0; i < report.verdict_count; i++)
		found |= report.verdicts[i].rule == RULE_COW_COMPLETE;
	ck_assert(found);
	content_free(image);
	world_release(&world);
}
END_TEST

START_TEST(a_list_that_makes_no_sense_is_refused)
{
	static const char *const bad[] = { "x",         "0x3000", "0x3000=9",
					   "0x3001=1",  "size=",  "0x3000+100=1",
					   "0x3000=1;", "=1",     "0x3000=-1" };
	struct content *image;

	begin();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(persist_image(&image, world.files[0].initial, &world.log, 1, bad[i],
					    NULL) == STATUS_USAGE,
			      "'%s'", bad[i]);
	world_release(&world);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("oracle_flushes");
	TCase *litmus = tcase_create("litmus");
	TCase *persist = tcase_create("persist");

	tcase_add_test(litmus, a_write_without_a_flush_may_be_lost);
	tcase_add_test(litmus, a_flush_covers_what_had_completed_when_it_was_submitted);
	tcase_add_test(litmus, a_flush_covers_nothing_before_it_has_completed);
	tcase_add_test(litmus, a_write_that_completes_while_the_flush_is_in_flight_is_not_covered);
	tcase_add_test(litmus, a_write_that_took_effect_and_never_completed_is_not_covered);
	tcase_add_test(litmus, a_failed_flush_covers_nothing);
	tcase_add_test(litmus, what_a_failed_flush_should_have_covered_no_later_one_covers);
	tcase_add_test(litmus, what_is_written_again_after_a_failed_flush_the_next_one_covers);
	tcase_add_test(litmus,
		       what_completes_after_a_failed_flush_was_submitted_the_next_one_covers);
	tcase_add_test(litmus, a_flush_of_another_file_covers_nothing);
	tcase_add_test(litmus, an_older_version_than_the_durable_one_never_comes_back);
	tcase_add_test(persist, a_verdict_says_how_to_make_its_image);
	tcase_add_test(persist, a_list_that_makes_no_sense_is_refused);
	suite_add_tcase(suite, litmus);
	suite_add_tcase(suite, persist);
	return run_suite(suite);
}
