// SPDX-License-Identifier: MIT
/* A file that is compared with its recording, in one part or in two. */
#include "injector/record_compare.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE UINT64_C(9000001)

/* Bytes that may differ, in ascending order, in the parts of both threads. */
static const uint64_t places[] = { 0, 4096, 4499455, 4499456, 4500000, 8999999, SIZE - 1 };
enum { PLACES = sizeof(places) / sizeof(places[0]) };

static char folder[64];
static char path[80];

static void make_folder(void)
{
	snprintf(folder, sizeof(folder), "/tmp/cowtip-compare-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/image", folder);
}

static void remove_folder(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(folder), 0);
}

/* Contents of `size` bytes with data here and there. Gives. */
static struct content *make_content(uint64_t size)
{
	struct content *content = content_new(size);
	for (uint64_t at = 1000; at + sizeof(at) <= size; at += 1 << 20)
		ck_assert_int_eq(content_write(content, &at, sizeof(at), at), STATUS_OK);
	return content;
}

static void expect(const struct content *content, bool equal, uint64_t difference)
{
	bool found_equal = !equal;
	uint64_t found = 0;
	struct why why;
	ck_assert_int_eq(record_compare(content, &found_equal, &found, path, &why), STATUS_OK);
	ck_assert_int_eq(found_equal, equal);
	if (!equal)
		ck_assert_uint_eq(found, difference);
}

START_TEST(the_first_difference_is_found_in_whatever_part)
{
	struct content *content = make_content(SIZE);
	ck_assert_int_eq(content_store(content, path, NULL), STATUS_OK);
	for (unsigned changed = 0; changed < 1U << PLACES; changed++) {
		struct content *other = content_clone(content);
		for (unsigned i = 0; i < PLACES; i++)
			if (changed >> i & 1)
				ck_assert_int_eq(content_write(other, "x", 1, places[i]),
						 STATUS_OK);
		expect(other, changed == 0, changed ? places[__builtin_ctz(changed)] : 0);
		content_free(other);
	}
	content_free(content);
}
END_TEST

START_TEST(another_size_is_a_difference_where_the_smaller_ends)
{
	static const uint64_t sizes[] = { 0, 1, 4096, 70000, 4500000, SIZE - 1, SIZE };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct content *content = make_content(sizes[i]);
		ck_assert_int_eq(content_store(content, path, NULL), STATUS_OK);
		expect(content, true, 0);
		content_resize(content, sizes[i] + 1);
		expect(content, false, sizes[i]);
		content_resize(content, sizes[i] / 2);
		expect(content, sizes[i] == 0, sizes[i] / 2);
		content_free(content);
	}
}
END_TEST

START_TEST(what_cannot_be_read_is_named)
{
	static const char *const refused[] = { "/nowhere/at/all", "/dev/null", "/tmp" };
	struct content *content = content_new(0);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		bool equal;
		uint64_t difference;
		struct why why = { "" };
		ck_assert_int_eq(record_compare(content, &equal, &difference, refused[i], &why),
				 STATUS_IO);
		ck_assert_ptr_nonnull(strstr(why.text, refused[i]));
	}
	content_free(content);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record_compare");
	TCase *tests = tcase_create("files");
	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, make_folder, remove_folder);
	tcase_add_test(tests, the_first_difference_is_found_in_whatever_part);
	tcase_add_test(tests, another_size_is_a_difference_where_the_smaller_ends);
	tcase_add_test(tests, what_cannot_be_read_is_named);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
