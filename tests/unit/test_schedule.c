// SPDX-License-Identifier: MIT
#include "tests/run_suite.h"
#include "traces/schedule.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct schedule schedule;
static struct schedule parsed;
static struct why why;

static void setup(void)
{
	schedule_init(&schedule);
	schedule_init(&parsed);
}

static void teardown(void)
{
	schedule_release(&schedule);
	schedule_release(&parsed);
}

static void append_all(const uint32_t *picks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		schedule_append(&schedule, picks[i], 0);
}

static void check_prints(const char *expected)
{
	char *text = schedule_print(&schedule);
	ck_assert_str_eq(text, expected);
	free(text);
}

START_TEST(schedules_print_in_their_short_form)
{
	check_prints("s1:");
	append_all((const uint32_t[]){ 0, 0, 0 }, 3);
	check_prints("s1:");
	append_all((const uint32_t[]){ 1, 35, 36, 2, 2, 2 }, 6);
	check_prints("s1:0001z(36)222");
	append_all((const uint32_t[]){ 2, 0, 0, 0, 0, 0, 1, 0 }, 8);
	check_prints("s1:0001z(36)2*4.0*5.1");
	schedule_reset(&schedule);
	append_all((const uint32_t[]){ UINT32_MAX - 1, 99, 99, 99, 99 }, 5);
	check_prints("s1:(4294967294)(99)*4.");
}
END_TEST

/* Every schedule of up to five picks out of four values that need different spellings. */
START_TEST(every_short_schedule_survives_printing_and_parsing)
{
	static const uint32_t values[] = { 0, 1, 35, 1000 };
	for (unsigned length = 0; length <= 5; length++) {
		for (unsigned code = 0; code < 1u << 2 * length; code++) {
			schedule_reset(&schedule);
			for (unsigned i = 0; i < length; i++)
				schedule_append(&schedule, values[code >> 2 * i & 3], 0);
			char *text = schedule_print(&schedule);
			ck_assert_int_eq(schedule_parse(&parsed, text, &why), STATUS_OK);
			ck_assert_uint_le(parsed.count, schedule.count);
			for (size_t i = 0; i < schedule.count; i++) {
				uint32_t pick = i < parsed.count ? parsed.steps[i].pick : 0;
				if (pick != schedule.steps[i].pick)
					ck_abort_msg("%s: pick %zu is %u", text, i, pick);
			}
			char *again = schedule_print(&parsed);
			ck_assert_str_eq(again, text);
			free(again);
			free(text);
		}
	}
}
END_TEST

START_TEST(long_repetitions_survive)
{
	for (uint32_t i = 0; i < 100000; i++)
		schedule_append(&schedule, i / 40000, 5);
	char *text = schedule_print(&schedule);
	ck_assert_str_eq(text, "s1:0*40000.1*40000.2*20000.");
	ck_assert_int_eq(schedule_parse(&parsed, text, NULL), STATUS_OK);
	ck_assert_uint_eq(parsed.count, 100000);
	ck_assert_uint_eq(parsed.steps[99999].pick, 2);
	ck_assert_uint_eq(parsed.steps[99999].count, 0);
	free(text);
}
END_TEST

START_TEST(other_spellings_are_understood)
{
	ck_assert_int_eq(schedule_parse(&parsed, "s1:(3)1*1.(007)00", &why), STATUS_OK);
	ck_assert_uint_eq(parsed.count, 5);
	ck_assert_uint_eq(parsed.steps[0].pick, 3);
	ck_assert_uint_eq(parsed.steps[1].pick, 1);
	ck_assert_uint_eq(parsed.steps[2].pick, 7);
	char *text = schedule_print(&parsed);
	ck_assert_str_eq(text, "s1:317");
	free(text);
}
END_TEST

static const struct {
	const char *text;
	const char *complaint;
} mistakes[] = {
	{ "", "schedule: column 1: a schedule begins with 's1:'" },
	{ "x1:0", "schedule: column 1: a schedule begins with 's1:'" },
	{ "s2:0", "schedule: column 2: a schedule begins with 's1:'" },
	{ "s1", "schedule: column 3: a schedule begins with 's1:'" },
	{ "s1:01A", "schedule: column 6: not a pick (0-9, a-z or '(n)')" },
	{ "s1:0 1", "schedule: column 5: not a pick (0-9, a-z or '(n)')" },
	{ "s1:*4.", "schedule: column 4: not a pick (0-9, a-z or '(n)')" },
	{ "s1:1\n", "schedule: column 5: not a pick (0-9, a-z or '(n)')" },
	{ "s1:()", "schedule: column 5: expected a number" },
	{ "s1:(-1)", "schedule: column 5: expected a number" },
	{ "s1:1(12", "schedule: column 8: expected ')' after a number" },
	{ "s1:(4294967295)", "schedule: column 5: number is too large" },
	{ "s1:(99999999999999999999999999)", "schedule: column 5: number is too large" },
	{ "s1:1*.", "schedule: column 6: expected a number" },
	{ "s1:1*0.", "schedule: column 6: a pick is repeated at least once" },
	{ "s1:1*4", "schedule: column 7: expected '.' after a repetition" },
	{ "s1:1*4;", "schedule: column 7: expected '.' after a repetition" },
	{ "s1:1*1048577.", "schedule: column 6: number is too large" },
	{ "s1:1*1048576.2", "schedule: column 14: more picks than a schedule can hold" },
	{ "s1:12*1048576.", "schedule: column 5: more picks than a schedule can hold" },
};

START_TEST(a_mistake_is_named_with_its_column)
{
	schedule_append(&parsed, 1, 2);
	ck_assert_int_eq(schedule_parse(&parsed, mistakes[_i].text, &why), STATUS_BAD_INPUT);
	ck_assert_str_eq(why.text, mistakes[_i].complaint);
	ck_assert_uint_eq(parsed.count, 0);
	ck_assert_int_eq(schedule_parse(&parsed, mistakes[_i].text, NULL), STATUS_BAD_INPUT);
}
END_TEST

START_TEST(a_copy_is_equal_and_independent)
{
	append_all((const uint32_t[]){ 1, 2, 3 }, 3);
	schedule_append(&parsed, 9, 10);
	schedule_copy(&parsed, &schedule);
	schedule_reset(&schedule);
	schedule_append(&schedule, 7, 8);
	ck_assert_uint_eq(parsed.count, 3);
	ck_assert_uint_eq(parsed.steps[0].pick, 1);
	ck_assert_uint_eq(parsed.steps[2].pick, 3);
	schedule_reset(&schedule);
	schedule_copy(&parsed, &schedule);
	ck_assert_uint_eq(parsed.count, 0);
}
END_TEST

/* Any text either parses or names a column inside it, or the one behind its end. */
START_TEST(any_short_text_parses_or_names_a_column)
{
	static const char alphabet[] = "0z(*.)9";
	enum { LETTERS = sizeof(alphabet) - 1, LENGTH = 5 };
	unsigned total = 1;
	for (unsigned i = 0; i < LENGTH; i++)
		total *= LETTERS;
	for (unsigned code = 0; code < total; code++) {
		char text[] = "s1:.....";
		unsigned rest = code;
		for (unsigned i = 0; i < LENGTH; i++, rest /= LETTERS)
			text[3 + i] = alphabet[rest % LETTERS];
		if (schedule_parse(&parsed, text, &why) == STATUS_OK)
			continue;
		static const char start[] = "schedule: column ";
		ck_assert_int_eq(strncmp(why.text, start, strlen(start)), 0);
		unsigned long column = strtoul(why.text + strlen(start), NULL, 10);
		ck_assert(column >= 4 && column <= 3 + LENGTH + 1);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("schedule");
	TCase *text = tcase_create("text");
	tcase_add_checked_fixture(text, setup, teardown);
	tcase_add_test(text, schedules_print_in_their_short_form);
	tcase_add_test(text, every_short_schedule_survives_printing_and_parsing);
	tcase_add_test(text, long_repetitions_survive);
	tcase_add_test(text, other_spellings_are_understood);
	tcase_add_loop_test(text, a_mistake_is_named_with_its_column, 0,
			    sizeof(mistakes) / sizeof(mistakes[0]));
	tcase_add_test(text, a_copy_is_equal_and_independent);
	tcase_add_test(text, any_short_text_parses_or_names_a_column);
	suite_add_tcase(suite, text);
	return run_suite(suite);
}
