// SPDX-License-Identifier: MIT
#include "injector/disk_memory.h"
#include "tests/run_suite.h"

#include <check.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

enum { SPAN_BYTES = 6 * CONTENT_PAGE_BYTES, OPERATIONS = 4000, ROUNDS = 60 };

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
	return *seed >> 33;
}

/* Some pages of data, some holes, an end in the middle of a page. */
static struct content *make_initial(void)
{
	struct content *content = content_new(3 * (uint64_t)CONTENT_PAGE_BYTES + 700);
	uint8_t page[CONTENT_PAGE_BYTES];

	ck_assert_ptr_nonnull(content);
	memset(page, 0xa5, sizeof(page));
	ck_assert_int_eq(content_write(content, page, sizeof(page), 0), STATUS_OK);
	ck_assert_int_eq(content_write(content, page, 700, 3 * (uint64_t)CONTENT_PAGE_BYTES),
			 STATUS_OK);
	return content;
}

static void write_both(struct disk *disk, struct content *model, uint8_t *data, size_t bytes,
		       uint64_t host_offset)
{
	/* Two pieces, so that vectors are seen to be walked. */
	struct iovec pieces[2] = {
		{ .iov_base = data, .iov_len = bytes / 3 },
		{ .iov_base = data + bytes / 3, .iov_len = bytes - bytes / 3 },
	};
	ck_assert_int_eq(disk->ops->write(disk, pieces, 2, host_offset), (ssize_t)bytes);
	ck_assert_int_eq(content_write(model, data, bytes, host_offset), STATUS_OK);
}

static void allocate_both(struct disk *disk, struct content *model, int mode, uint64_t host_offset,
			  uint64_t bytes)
{
	ck_assert_int_eq(disk->ops->allocate(disk, mode, host_offset, bytes), 0);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && host_offset + bytes > content_size(model))
		content_resize(model, host_offset + bytes);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		ck_assert_int_eq(content_zero(model, host_offset, bytes), STATUS_OK);
}

static void change_both(struct disk *disk, struct content *model, uint64_t *seed)
{
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE };
	uint8_t data[2 * CONTENT_PAGE_BYTES];
	uint64_t host_offset = next_random(seed) % SPAN_BYTES;
	size_t bytes = 1 + (size_t)next_random(seed) % sizeof(data);

	/* Half of the time, whole pages. */
	if (next_random(seed) % 2) {
		host_offset -= host_offset % CONTENT_PAGE_BYTES;
		bytes = CONTENT_PAGE_BYTES;
	}
	switch (next_random(seed) % 4) {
	case 0:
	case 1:
		memset(data, (int)(next_random(seed) % 256), bytes);
		write_both(disk, model, data, bytes, host_offset);
		break;
	case 2: allocate_both(disk, model, modes[next_random(seed) % 5], host_offset, bytes); break;
	default:
		ck_assert_int_eq(disk->ops->resize(disk, host_offset), 0);
		content_resize(model, host_offset);
		break;
	}
}

static void check_same(struct disk *disk, const struct content *model)
{
	uint8_t seen[SPAN_BYTES + 3 * CONTENT_PAGE_BYTES];
	uint8_t expected[sizeof(seen)];
	const struct iovec piece = { .iov_base = seen, .iov_len = sizeof(seen) };
	uint64_t size = content_size(model);

	ck_assert_int_eq(disk->ops->size(disk), (int64_t)size);
	ck_assert_int_eq(disk->ops->read(disk, &piece, 1, 0), (ssize_t)size);
	content_read(model, expected, (size_t)size, 0);
	ck_assert_mem_eq(seen, expected, (size_t)size);
}

START_TEST(any_sequence_of_changes_reads_like_the_model)
{
	struct content *initial = make_initial();
	struct disk_memory *memory = disk_memory_new(initial);
	struct disk *disk = disk_memory_disk(memory);
	uint64_t seed = 1;

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct content *model = content_clone(initial);
		for (unsigned i = 0; i < OPERATIONS / ROUNDS; i++) {
			change_both(disk, model, &seed);
			check_same(disk, model);
		}
		struct content *copy = disk_memory_content(memory);
		uint64_t difference = 0;
		ck_assert_msg(content_equal(copy, model, &difference),
			      "round %u: first difference at %" PRIu64, round, difference);
		content_free(copy);
		content_free(model);
		disk_memory_rewind(memory);
		check_same(disk, initial);
	}
	disk_memory_free(memory);
	content_free(initial);
}
END_TEST

START_TEST(a_rollback_undoes_whatever_was_done_since_the_mark)
{
	enum { DEPTH = 40, REPEATS = 25 };
	struct content *initial = make_initial();
	struct disk_memory *memory = disk_memory_new(initial);
	struct disk *disk = disk_memory_disk(memory);
	struct content *models[DEPTH + 1];
	struct page_hash hashes[DEPTH + 1];
	size_t marks[DEPTH + 1];
	uint64_t seed = 7;
	size_t depth = 0;

	disk_memory_track(memory, true);
	models[0] = content_clone(initial);
	for (unsigned repeat = 0; repeat < REPEATS; repeat++) {
		for (; depth < DEPTH; depth++) {
			marks[depth] = disk_memory_mark(memory);
			if (depth % 3 == 0)
				hashes[depth] = disk_memory_hash(memory);
			models[depth + 1] = content_clone(models[depth]);
			change_both(disk, models[depth + 1], &seed);
		}
		for (size_t back = next_random(&seed) % DEPTH; depth > back; depth--)
			content_free(models[depth]);
		disk_memory_rollback(memory, marks[depth]);
		check_same(disk, models[depth]);
		struct page_hash hash = disk_memory_hash(memory);
		if (depth % 3 == 0)
			ck_assert_mem_eq(&hash, &hashes[depth], sizeof(hash));
	}
	disk_memory_rollback(memory, 0);
	check_same(disk, initial);
	do
		content_free(models[depth]);
	while (depth-- > 0);
	disk_memory_free(memory);
	content_free(initial);
}
END_TEST

START_TEST(the_hash_tells_contents_apart_and_nothing_else)
{
	enum { STATES = 400 };
	static struct content *models[STATES];
	static struct page_hash hashes[STATES];
	struct content *initial = make_initial();
	struct disk_memory *memory = disk_memory_new(initial);
	struct disk *disk = disk_memory_disk(memory);
	uint64_t seed = 3;

	for (size_t i = 0; i < STATES; i++) {
		/* Back to the beginning now and then, so that equal contents come up by other ways.
		 */
		if (i % 20 == 0)
			disk_memory_rewind(memory);
		models[i] = content_clone(i % 20 ? models[i - 1] : initial);
		uint8_t data[512];
		memset(data, (int)(next_random(&seed) % 2), sizeof(data));
		uint64_t host_offset = next_random(&seed) % 3 * 512;
		if (next_random(&seed) % 3)
			write_both(disk, models[i], data, sizeof(data), host_offset);
		else
			allocate_both(disk, models[i], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      host_offset, 512);
		if (next_random(&seed) % 8 == 0) {
			ck_assert_int_eq(disk->ops->resize(disk, 20000), 0);
			content_resize(models[i], 20000);
		}
		hashes[i] = disk_memory_hash(memory);
		for (size_t other = 0; other < i; other++)
			ck_assert_int_eq(content_equal(models[i], models[other], NULL),
					 memcmp(&hashes[i], &hashes[other], sizeof(hashes[i])) ==
						 0);
	}
	for (size_t i = 0; i < STATES; i++)
		content_free(models[i]);
	disk_memory_free(memory);
	content_free(initial);
}
END_TEST

static int compare_hashes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct page_hash));
}

START_TEST(every_bit_of_a_page_makes_another_hash_and_so_does_its_place)
{
	enum { BITS = 8 * CONTENT_PAGE_BYTES, PLACES = 1000 };
	static struct page_hash hashes[BITS + PLACES];
	uint8_t page[CONTENT_PAGE_BYTES] = { 0 };

	for (size_t bit = 0; bit < BITS; bit++) {
		page[bit / 8] = (uint8_t)(1U << bit % 8);
		hashes[bit] = page_hash_of(0, page);
		page[bit / 8] = 0;
	}
	page[99] = 1;
	for (size_t place = 0; place < PLACES; place++)
		hashes[BITS + place] = page_hash_of(place + 1, page);
	qsort(hashes, BITS + PLACES, sizeof(hashes[0]), compare_hashes);
	for (size_t i = 1; i < BITS + PLACES; i++)
		ck_assert_int_ne(compare_hashes(&hashes[i - 1], &hashes[i]), 0);
	const struct page_hash zeros = { { 0 } };
	page[99] = 0;
	hashes[0] = page_hash_of(7, page);
	ck_assert_mem_eq(&hashes[0], &zeros, sizeof(zeros));
}
END_TEST

START_TEST(offsets_near_the_end_of_the_address_range_are_as_good_as_any)
{
	const uint64_t far = (uint64_t)INT64_MAX - 5000;
	struct content *initial = make_initial();
	struct disk_memory *memory = disk_memory_new(initial);
	struct disk *disk = disk_memory_disk(memory);
	char text[] = "far out";
	char back[32];
	const struct iovec out = { .iov_base = text, .iov_len = sizeof(text) };
	const struct iovec in = { .iov_base = back, .iov_len = sizeof(back) };

	ck_assert_int_eq(disk->ops->write(disk, &out, 1, far), sizeof(text));
	ck_assert_int_eq(disk->ops->size(disk), (int64_t)(far + sizeof(text)));
	ck_assert_int_eq(disk->ops->read(disk, &in, 1, far), sizeof(text));
	ck_assert_str_eq(back, text);
	/* Zeroing all of it touches the pages that exist, not the 2^51 that do not. */
	ck_assert_int_eq(
		disk->ops->allocate(disk, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1, far + 3),
		0);
	ck_assert_int_eq(disk->ops->read(disk, &in, 1, far), sizeof(text));
	ck_assert_mem_eq(back, "\0\0\0\0out", 8);
	ck_assert_int_eq(disk->ops->read(disk, &in, 1, 0), sizeof(back));
	ck_assert_uint_eq((uint8_t)back[0], 0xa5);
	ck_assert_uint_eq((uint8_t)back[1], 0);
	disk_memory_rewind(memory);
	check_same(disk, initial);
	disk_memory_free(memory);
	content_free(initial);
}
END_TEST

START_TEST(many_pages_are_found_after_the_table_has_grown)
{
	enum { PAGES = 3000 };
	struct content *initial = make_initial();
	struct disk_memory *memory = disk_memory_new(initial);
	struct disk *disk = disk_memory_disk(memory);

	for (int round = 0; round < 2; round++) {
		for (uint64_t i = 0; i < PAGES; i++) {
			struct iovec piece = { .iov_base = &i, .iov_len = sizeof(i) };
			ck_assert_int_eq(disk->ops->write(disk, &piece, 1, i * 1000003), 8);
		}
		for (uint64_t i = 0; i < PAGES; i++) {
			uint64_t back = 0;
			struct iovec piece = { .iov_base = &back, .iov_len = sizeof(back) };
			ck_assert_int_eq(disk->ops->read(disk, &piece, 1, i * 1000003), 8);
			ck_assert_uint_eq(back, i);
		}
		disk_memory_rewind(memory);
		check_same(disk, initial);
	}
	disk_memory_free(memory);
	content_free(initial);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("disk_memory");
	TCase *tests = tcase_create("disk_memory");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, any_sequence_of_changes_reads_like_the_model);
	tcase_add_test(tests, a_rollback_undoes_whatever_was_done_since_the_mark);
	tcase_add_test(tests, the_hash_tells_contents_apart_and_nothing_else);
	tcase_add_test(tests, every_bit_of_a_page_makes_another_hash_and_so_does_its_place);
	tcase_add_test(tests, offsets_near_the_end_of_the_address_range_are_as_good_as_any);
	tcase_add_test(tests, many_pages_are_found_after_the_table_has_grown);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
