// SPDX-License-Identifier: MIT
#include "tests/run_suite.h"
#include "workloads/guest.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { SECTORS = 8, BYTES = SECTORS * GUEST_SECTOR_BYTES };

START_TEST(no_two_stamped_sectors_are_equal)
{
	static uint8_t sectors[3 * 3 * SECTORS][GUEST_SECTOR_BYTES];
	size_t count = 0;
	for (uint32_t request = 1; request <= 3; request++) {
		for (uint8_t pattern = 0; pattern < 3; pattern++) {
			struct guest_data data = { request, pattern, 4096 };
			guest_fill_stamped(sectors[count], BYTES, &data);
			count += SECTORS;
		}
	}
	static const uint8_t zeros[GUEST_SECTOR_BYTES];
	for (size_t i = 0; i < count; i++) {
		ck_assert(memcmp(sectors[i], zeros, GUEST_SECTOR_BYTES) != 0);
		for (size_t k = 0; k < i; k++)
			ck_assert(memcmp(sectors[i], sectors[k], GUEST_SECTOR_BYTES) != 0);
	}
}
END_TEST

START_TEST(a_stamp_depends_on_the_place_not_on_the_request_s_start)
{
	static uint8_t whole[BYTES], rest[BYTES];
	struct guest_data from_start = { 7, 1, 0 };
	struct guest_data from_middle = { 7, 1, (uint64_t)4 * GUEST_SECTOR_BYTES };
	guest_fill_stamped(whole, BYTES, &from_start);
	guest_fill_stamped(rest, BYTES / 2, &from_middle);
	ck_assert_mem_eq(whole + BYTES / 2, rest, BYTES / 2);
}
END_TEST

START_TEST(bytes_of_partly_covered_sectors_differ_between_requests)
{
	uint8_t bytes[255][16];
	for (uint32_t request = 1; request <= 255; request++) {
		struct guest_data data = { request, 0xcd, 505 };
		guest_fill_stamped(bytes[request - 1], 16, &data);
		for (uint32_t other = 1; other < request; other++)
			for (size_t i = 0; i < 16; i++)
				ck_assert_uint_ne(bytes[request - 1][i], bytes[other - 1][i]);
	}
}
END_TEST

START_TEST(a_partly_covered_sector_has_no_stamp)
{
	uint8_t bytes[3 * GUEST_SECTOR_BYTES];
	struct guest_data data = { 1, 0, 100 };
	guest_fill_stamped(bytes, sizeof(bytes), &data);
	const uint8_t *whole = bytes + GUEST_SECTOR_BYTES - 100;
	ck_assert_mem_eq(whole, "guest request 1 sector 1 00", 28);
	ck_assert_mem_eq(whole + GUEST_SECTOR_BYTES, "guest request 1 sector 2 00", 28);
	ck_assert(memcmp(bytes, "guest", 5) != 0);
	ck_assert(memcmp(whole + (size_t)2 * GUEST_SECTOR_BYTES, "guest", 5) != 0);
}
END_TEST

START_TEST(the_pattern_backing_file_numbers_its_sectors)
{
	struct content *content = guest_backing_pattern(BYTES + 100);
	uint8_t sectors[SECTORS][GUEST_SECTOR_BYTES];
	ck_assert_ptr_nonnull(content);
	ck_assert_uint_eq(content_size(content), BYTES + 100);
	content_read(content, sectors, sizeof(sectors), 0);
	ck_assert_mem_eq(sectors[0], "backing sector 0", 17);
	ck_assert_mem_eq(sectors[7], "backing sector 7", 17);
	for (size_t i = 0; i < SECTORS; i++)
		for (size_t k = 0; k < i; k++)
			ck_assert(memcmp(sectors[i] + 48, sectors[k] + 48, 64) != 0);
	content_free(content);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guest");
	TCase *tests = tcase_create("guest");
	tcase_set_timeout(tests, 60);
	suite_add_tcase(suite, tests);
	tcase_add_test(tests, no_two_stamped_sectors_are_equal);
	tcase_add_test(tests, a_stamp_depends_on_the_place_not_on_the_request_s_start);
	tcase_add_test(tests, bytes_of_partly_covered_sectors_differ_between_requests);
	tcase_add_test(tests, a_partly_covered_sector_has_no_stamp);
	tcase_add_test(tests, the_pattern_backing_file_numbers_its_sectors);
	return run_suite(suite);
}
