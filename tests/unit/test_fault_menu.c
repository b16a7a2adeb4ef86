// SPDX-License-Identifier: MIT
/* What can go wrong with a call: exhaustively over small places and lengths. */
#include "injector/fault_menu.h"
#include "tests/run_suite.h"

#include <check.h>
#include <errno.h>

enum { SECTOR = 512, PLACES = 1100, LENGTHS = 2100, STRIDE = 73 };

static struct fault_menu menu;

static const struct fault_menu *menu_of(enum fault_call_kind kind, uint64_t host_offset,
					uint64_t length)
{
	const struct fault_call call = { "point", kind, host_offset, length };

	fault_menu_of(&menu, &call, FAULT_KINDS_ALL, true, true);
	return &menu;
}

START_TEST(eio_is_always_the_first_option)
{
	for (int kind = FAULT_CALL_READ; kind < FAULT_CALL_MEMORY; kind++)
		ck_assert_int_eq(menu_of((enum fault_call_kind)kind, 0, 4096)->faults[0].error,
				 EIO);
}
END_TEST

START_TEST(each_kind_of_call_has_its_own_menu)
{
	ck_assert_uint_eq(menu_of(FAULT_CALL_READ, 0, 2048)->count, 4);
	ck_assert_uint_eq(menu_of(FAULT_CALL_WRITE, 0, 2048)->count, 5);
	ck_assert_uint_eq(menu_of(FAULT_CALL_RESIZE, 0, 0)->count, 2);
	ck_assert_uint_eq(menu_of(FAULT_CALL_FLUSH, 0, 0)->count, 1);
	ck_assert_uint_eq(menu_of(FAULT_CALL_OPEN, 0, 0)->count, 2);
	ck_assert_uint_eq(menu_of(FAULT_CALL_CLOSE, 0, 0)->count, 1);
	ck_assert_uint_eq(menu_of(FAULT_CALL_MEMORY, 0, 0)->count, 1);
	ck_assert_int_eq(menu.faults[0].error, ENOMEM);
}
END_TEST

/* How many sectors of the file a range touches. */
static uint64_t sectors(uint64_t from, uint64_t length)
{
	return (from + length - 1) / SECTOR - from / SECTOR + 1;
}

/* Cuts are behind the errors. */
static void expect_cuts(enum fault_call_kind kind, uint64_t at, uint64_t length, uint32_t errors)
{
	uint64_t count = sectors(at, length);
	uint32_t cuts = menu_of(kind, at, length)->count - errors;

	ck_assert_uint_eq(cuts, count < 2 ? 0 : count == 2 ? 1 : 2);
	for (uint32_t i = errors; i < menu.count; i++) {
		ck_assert(menu.faults[i].bytes > 0 && menu.faults[i].bytes < length);
		ck_assert_uint_eq((at + menu.faults[i].bytes) % SECTOR, 0);
	}
	if (cuts > 0)
		ck_assert_uint_eq(sectors(at + menu.faults[menu.count - 1].bytes,
					  length - menu.faults[menu.count - 1].bytes),
				  1);
}

START_TEST(a_transfer_is_cut_between_sectors_wherever_it_has_two)
{
	for (uint64_t at = 0; at < PLACES; at += STRIDE)
		for (uint64_t length = 1; length < LENGTHS; length += 1 + length / 64) {
			expect_cuts(FAULT_CALL_WRITE, at, length, 3);
			expect_cuts(FAULT_CALL_READ, at, length, 2);
		}
}
END_TEST

START_TEST(kinds_are_read_back_as_they_are_printed)
{
	char text[FAULT_KINDS_BYTES];
	unsigned kinds = 0;

	for (unsigned set = 1; set <= FAULT_KINDS_ALL; set++) {
		fault_kinds_text(set, text, sizeof(text));
		ck_assert(fault_kinds_parse(text, &kinds));
		ck_assert_uint_eq(kinds, set);
	}
	ck_assert(fault_kinds_parse("all", &kinds));
	ck_assert_uint_eq(kinds, FAULT_KINDS_ALL);
	ck_assert(!fault_kinds_parse("", &kinds));
	ck_assert(!fault_kinds_parse("eio,", &kinds));
	ck_assert(!fault_kinds_parse("eio,ei", &kinds));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault_menu");
	TCase *tests = tcase_create("fault_menu");

	tcase_add_test(tests, eio_is_always_the_first_option);
	tcase_add_test(tests, each_kind_of_call_has_its_own_menu);
	tcase_add_test(tests, a_transfer_is_cut_between_sectors_wherever_it_has_two);
	tcase_add_test(tests, kinds_are_read_back_as_they_are_printed);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
