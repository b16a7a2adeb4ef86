// SPDX-License-Identifier: MIT
#include "tests/run_suite.h"
#include "traces/content.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MODEL_BYTES = 6 * CONTENT_PAGE_BYTES };

/* What contents should be: one flat array. */
struct model {
	uint8_t bytes[MODEL_BYTES];
	uint64_t size;
};

/* A small generator of our own: the same numbers on every machine. */
static uint64_t random_state;

static uint64_t random_below(uint64_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % bound;
}

static void check_equals_model(const struct content *content, const struct model *model)
{
	static uint8_t read[MODEL_BYTES + 64];
	ck_assert_uint_eq(content_size(content), model->size);
	content_read(content, read, sizeof(read), 0);
	ck_assert_mem_eq(read, model->bytes, MODEL_BYTES);
	static const uint8_t zeros[sizeof(read) - MODEL_BYTES];
	ck_assert_mem_eq(read + MODEL_BYTES, zeros, sizeof(zeros));
}

/* Bytes that contents may borrow: nobody may change them. */
static uint8_t lent[256][MODEL_BYTES + 1];

static void fill_lent(void)
{
	for (int pattern = 0; pattern < 256; pattern++)
		memset(lent[pattern], pattern, sizeof(lent[pattern]));
}

static void check_lent(void)
{
	for (int pattern = 0; pattern < 256; pattern++)
		ck_assert(lent[pattern][0] == pattern &&
			  memcmp(lent[pattern], lent[pattern] + 1, MODEL_BYTES) == 0);
}

static void one_operation(struct content *content, struct model *model)
{
	static uint8_t data[MODEL_BYTES];
	uint64_t from = random_below(MODEL_BYTES);
	uint64_t bytes = random_below(MODEL_BYTES - from + 1);
	if (random_below(2))
		bytes = bytes % 700;
	int pattern = (int)random_below(255) + 1;
	switch (random_below(4)) {
	case 0:
	case 1:
		memset(data, pattern, bytes);
		if (random_below(2))
			ck_assert_int_eq(content_write(content, data, bytes, from), STATUS_OK);
		else
			ck_assert_int_eq(content_borrow(content, lent[pattern] + random_below(2),
							bytes, from),
					 STATUS_OK);
		memcpy(model->bytes + from, data, bytes);
		if (bytes && from + bytes > model->size)
			model->size = from + bytes;
		break;
	case 2:
		ck_assert_int_eq(content_zero(content, from, bytes), STATUS_OK);
		memset(model->bytes + from, 0, bytes);
		break;
	default:
		content_resize(content, from);
		if (from < model->size)
			memset(model->bytes + from, 0, MODEL_BYTES - from);
		model->size = from;
		break;
	}
}

START_TEST(random_operations_agree_with_a_flat_array)
{
	const char *text = getenv("COWTIP_TEST_SEED");
	uint64_t seed = (uint64_t)_i + (text ? strtoul(text, NULL, 0) : 20120613);
	random_state = seed * 2 + 1;
	static struct model model;
	memset(&model, 0, sizeof(model));
	struct content *content = content_new(0);
	fill_lent();
	fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
	for (unsigned i = 0; i < 400; i++) {
		one_operation(content, &model);
		check_equals_model(content, &model);
	}
	struct content *clone = content_clone(content);
	check_equals_model(clone, &model);
	ck_assert(content_equal(content, clone, NULL));
	content_free(clone);
	content_free(content);
	check_lent();
}
END_TEST

static const uint64_t far_pages[] = {
	0, 1, 63, 64, 65, 4095, 4096, 1 << 20, (UINT64_C(1) << 51) - 2
};

enum { FAR_PAGES = sizeof(far_pages) / sizeof(far_pages[0]) };

/* Every subset of pages that lie near and far, written in both directions. */
START_TEST(pages_are_listed_in_ascending_order)
{
	for (unsigned subset = 0; subset < 1u << FAR_PAGES; subset++) {
		struct content *content = content_new(0);
		for (unsigned i = 0; i < FAR_PAGES; i++) {
			unsigned at = _i ? FAR_PAGES - 1 - i : i;
			if (subset >> at & 1)
				ck_assert_int_eq(content_write(content, "x", 1,
							       far_pages[at] * CONTENT_PAGE_BYTES),
						 STATUS_OK);
		}
		uint64_t index = 0;
		for (unsigned at = 0; at < FAR_PAGES; at++) {
			const uint8_t *page = content_page(content, far_pages[at]);
			ck_assert((page != NULL) == ((subset >> at & 1) != 0));
			if (!page)
				continue;
			ck_assert_uint_eq(page[0], 'x');
			ck_assert(content_next_page(content, &index));
			ck_assert_uint_eq(index, far_pages[at]);
			index++;
		}
		uint64_t unchanged = index;
		ck_assert(!content_next_page(content, &index));
		ck_assert_uint_eq(index, unchanged);
		content_free(content);
	}
}
END_TEST

START_TEST(zeroing_everything_frees_every_page)
{
	struct content *content = content_new(0);
	for (unsigned i = 0; i < FAR_PAGES; i++)
		ck_assert_int_eq(content_write(content, "x", 1, far_pages[i] * CONTENT_PAGE_BYTES),
				 STATUS_OK);
	uint64_t size = content_size(content);
	ck_assert_int_eq(content_zero(content, 0, UINT64_MAX), STATUS_OK);
	/* The last page holds one byte inside the size, and a partial page is only zeroed. */
	uint64_t index = 0;
	if (content_next_page(content, &index))
		ck_assert_uint_eq(index, far_pages[FAR_PAGES - 1]);
	ck_assert_uint_eq(content_size(content), size);
	content_resize(content, 0);
	index = 0;
	ck_assert(!content_next_page(content, &index));
	ck_assert_int_eq(content_write(content, "y", 1, 5), STATUS_OK);
	ck_assert_uint_eq(content_page(content, 0)[5], 'y');
	content_free(content);
}
END_TEST

START_TEST(a_cut_tail_reads_as_zeros_when_the_file_grows_again)
{
	struct content *content = content_new(0);
	ck_assert_int_eq(content_write(content, "abcdef", 6, 4093), STATUS_OK);
	content_resize(content, 4097);
	content_resize(content, 10000);
	uint8_t read[6];
	content_read(content, read, sizeof(read), 4093);
	ck_assert_mem_eq(read, "abcd\0\0", 6);
	content_free(content);
}
END_TEST

START_TEST(the_first_difference_is_found)
{
	struct content *a = content_new(100000);
	struct content *b = content_new(100000);
	uint64_t difference = 7;
	ck_assert(content_equal(a, b, &difference));
	ck_assert_int_eq(content_write(a, "\0\0", 2, 5000), STATUS_OK);
	ck_assert(content_equal(a, b, &difference));
	ck_assert_int_eq(content_write(b, "x", 1, 70000), STATUS_OK);
	ck_assert(!content_equal(a, b, &difference));
	ck_assert_uint_eq(difference, 70000);
	ck_assert_int_eq(content_write(a, "x", 1, 5001), STATUS_OK);
	ck_assert(!content_equal(b, a, &difference));
	ck_assert_uint_eq(difference, 5001);
	content_resize(b, 300);
	ck_assert(!content_equal(a, b, &difference));
	ck_assert_uint_eq(difference, 300);
	content_resize(a, 300);
	ck_assert(content_equal(a, b, NULL));
	content_free(a);
	content_free(b);
}
END_TEST

/* A directory of this test's own, and a path in it. */
static char folder[32];
static char path[64];

static void make_folder(void)
{
	snprintf(folder, sizeof(folder), "/tmp/cowtip-content-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/image", folder);
}

static void remove_folder(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(folder), 0);
}

START_TEST(contents_survive_a_file_and_holes_stay_holes)
{
	struct content *content = content_new((UINT64_C(64) << 20) + 13);
	ck_assert_int_eq(content_write(content, "begin", 5, 10), STATUS_OK);
	ck_assert_int_eq(content_write(content, "far", 3, 40 << 20), STATUS_OK);
	ck_assert_int_eq(content_write(content, "end", 3, (UINT64_C(64) << 20) + 10), STATUS_OK);
	struct why why;
	ck_assert_int_eq(content_store(content, path, &why), STATUS_OK);
	struct stat facts;
	ck_assert_int_eq(stat(path, &facts), 0);
	ck_assert_int_eq(facts.st_size, (64 << 20) + 13);
	ck_assert_int_lt(facts.st_blocks, 2048);

	struct content *loaded = NULL;
	ck_assert_int_eq(content_load(&loaded, path, &why), STATUS_OK);
	ck_assert(content_equal(content, loaded, NULL));
	unsigned pages = 0;
	for (uint64_t index = 0; content_next_page(loaded, &index); index++)
		pages++;
	ck_assert_uint_eq(pages, 3);
	content_free(loaded);
	content_free(content);
}
END_TEST

/* Byte by byte. */
static uint64_t first_difference(const struct content *a, const struct content *b, uint64_t from,
				 uint64_t to)
{
	for (; from < to; from++) {
		uint8_t one = 0, two = 0;
		content_read(a, &one, 1, from);
		content_read(b, &two, 1, from);
		if (one != two)
			return from;
	}
	return UINT64_MAX;
}

/* Contents that went one operation further than the file, and a part of both. */
START_TEST(a_file_is_compared_as_contents_are)
{
	static struct model model;
	uint64_t differing = 0;
	random_state = (uint64_t)_i * 2 + 4711;
	memset(&model, 0, sizeof(model));
	struct content *content = content_new(0);
	fill_lent();
	for (unsigned i = 0; i < 50; i++) {
		struct why why;
		uint64_t difference = 0;
		struct content *before = content_clone(content);
		ck_assert_int_eq(content_store(before, path, &why), STATUS_OK);
		one_operation(content, &model);
		uint64_t size = content_size(before);
		uint64_t to = i % 2 ? random_below(size + 1) : size;
		uint64_t from = i % 4 == 3 ? random_below(to + 1) : 0;
		ck_assert_int_eq(content_compare(content, from, to, &difference, path, &why),
				 STATUS_OK);
		ck_assert_uint_eq(difference, first_difference(content, before, from, to));
		differing += difference != UINT64_MAX;
		content_free(before);
	}
	ck_assert_uint_gt(differing, 10);
	ck_assert_uint_lt(differing, 50);
	content_free(content);
}
END_TEST

START_TEST(an_empty_file_is_empty_contents)
{
	struct content *content = content_new(0);
	struct content *loaded = NULL;
	ck_assert_int_eq(content_store(content, path, NULL), STATUS_OK);
	ck_assert_int_eq(content_load(&loaded, path, NULL), STATUS_OK);
	ck_assert(content_equal(content, loaded, NULL));
	content_free(loaded);
	content_free(content);
}
END_TEST

START_TEST(what_cannot_be_opened_is_named)
{
	struct content *loaded = NULL;
	struct why why;
	ck_assert_int_eq(content_load(&loaded, "/nowhere/x", &why), STATUS_IO);
	ck_assert_ptr_null(loaded);
	ck_assert_str_eq(why.text, "cannot open '/nowhere/x': No such file or directory");
	ck_assert_int_eq(content_load(&loaded, "/tmp", &why), STATUS_IO);
	ck_assert_str_eq(why.text, "cannot read '/tmp': not a regular file");
	struct content *content = content_new(1);
	ck_assert_int_eq(content_store(content, "/nowhere/x", &why), STATUS_IO);
	ck_assert_str_eq(why.text, "cannot write '/nowhere/x': No such file or directory");
	/* A directory in the way: the new file must not be left behind. */
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(content_store(content, path, &why), STATUS_IO);
	ck_assert_int_eq(rmdir(path), 0);
	content_free(content);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("content");
	TCase *memory = tcase_create("memory");
	tcase_set_timeout(memory, 60);
	tcase_add_loop_test(memory, random_operations_agree_with_a_flat_array, 0, 20);
	tcase_add_loop_test(memory, pages_are_listed_in_ascending_order, 0, 2);
	tcase_add_test(memory, zeroing_everything_frees_every_page);
	tcase_add_test(memory, a_cut_tail_reads_as_zeros_when_the_file_grows_again);
	tcase_add_test(memory, the_first_difference_is_found);
	suite_add_tcase(suite, memory);
	TCase *files = tcase_create("files");
	tcase_add_checked_fixture(files, make_folder, remove_folder);
	tcase_add_test(files, contents_survive_a_file_and_holes_stay_holes);
	tcase_add_loop_test(files, a_file_is_compared_as_contents_are, 0, 10);
	tcase_add_test(files, an_empty_file_is_empty_contents);
	tcase_add_test(files, what_cannot_be_opened_is_named);
	suite_add_tcase(suite, files);
	return run_suite(suite);
}
