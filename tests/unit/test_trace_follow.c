// SPDX-License-Identifier: MIT
#include "traces/trace_follow.h"

#include "tests/run_suite.h"
#include "tests/unit/example_trace.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct trace trace, other;
static struct collected stream;
static struct why why;
static char path[] = "/tmp/cowtip-follow-XXXXXX";
static int file;

static void setup(void)
{
	example_trace(&trace);
	trace_init(&other);
	memset(&stream, 0, sizeof(stream));
	struct trace_sink sink = collecting_sink(&stream);
	ck_assert_int_eq(trace_encode(&trace, &sink), STATUS_OK);
	file = mkstemp(path);
	ck_assert_int_ge(file, 0);
}

static void teardown(void)
{
	close(file);
	unlink(path);
	memcpy(path + strlen(path) - 6, "XXXXXX", 6);
	free(stream.bytes);
	trace_release(&trace);
	trace_release(&other);
}

static void put(size_t from, size_t to)
{
	ck_assert_int_eq(write(file, stream.bytes + from, to - from), (ssize_t)(to - from));
}

/* Follow a stream that grows by `step` bytes at a time, up to `until`. */
static enum status follow(size_t step, size_t until)
{
	struct trace_follower *follower = trace_follower_open(path);
	ck_assert_ptr_nonnull(follower);
	for (size_t at = 0; at < until; at += step) {
		put(at, at + step < until ? at + step : until);
		ck_assert(trace_follower_advance(follower));
		ck_assert(!trace_follower_advance(follower));
	}
	return trace_follower_finish(follower, &other, &why);
}

START_TEST(a_stream_that_grows_is_read_as_a_whole_one)
{
	ck_assert_int_eq(follow((size_t)_i, stream.byte_count), STATUS_OK);
	ck_assert_ptr_null(trace_difference(&trace, &other));
	ck_assert(other.complete);
}
END_TEST

START_TEST(what_was_written_since_the_last_look_belongs_to_it)
{
	struct trace_follower *follower = trace_follower_open(path);
	put(0, stream.byte_count);
	ck_assert_int_eq(trace_follower_finish(follower, &other, &why), STATUS_OK);
	ck_assert_ptr_null(trace_difference(&trace, &other));
}
END_TEST

START_TEST(a_stream_that_stops_is_a_good_prefix)
{
	ck_assert_int_eq(follow(7, stream.byte_count - 1), STATUS_TRUNCATED);
	ck_assert_uint_eq(other.log.count, trace.log.count);
	ck_assert(!other.complete);
}
END_TEST

START_TEST(damage_is_told_at_the_end_and_nothing_is_read_behind_it)
{
	struct trace_follower *follower = trace_follower_open(path);
	stream.bytes[stream.ends[0]] = 99;
	put(0, stream.ends[2]);
	ck_assert(trace_follower_advance(follower));
	put(stream.ends[2], stream.byte_count);
	ck_assert(!trace_follower_advance(follower));
	ck_assert_int_eq(trace_follower_finish(follower, &other, &why), STATUS_CORRUPT);
	ck_assert_ptr_nonnull(strstr(why.text, "no such record"));
	ck_assert_uint_eq(other.log.count, 0);
}
END_TEST

/* A writer that dies while it writes its last bytes to the file leaves some of them in both places.
 */
START_TEST(what_is_in_no_file_yet_is_added_and_counts_once)
{
	size_t place = stream.byte_count / 2;
	size_t written = place + (size_t)_i * (stream.byte_count - place) / 4;
	struct trace_follower *follower = trace_follower_open(path);
	put(0, place / 2);
	trace_follower_advance(follower);
	put(place / 2, written);
	ck_assert(trace_follower_add(follower, place, stream.bytes + place,
				     stream.byte_count - place));
	ck_assert_int_eq(trace_follower_finish(follower, &other, &why), STATUS_OK);
	ck_assert_ptr_null(trace_difference(&trace, &other));
}
END_TEST

START_TEST(what_is_added_behind_a_gap_is_refused)
{
	struct trace_follower *follower = trace_follower_open(path);
	put(0, 20);
	ck_assert(!trace_follower_add(follower, 21, stream.bytes + 21, stream.byte_count - 21));
	trace_follower_free(follower);
}
END_TEST

START_TEST(one_that_is_given_up_leaves_nothing)
{
	struct trace_follower *follower = trace_follower_open(path);
	put(0, stream.byte_count - 1);
	trace_follower_advance(follower);
	trace_follower_free(follower);
	trace_follower_free(NULL);
	ck_assert_ptr_null(trace_follower_open("/nowhere/at/all"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace_follow");
	TCase *following = tcase_create("following");
	tcase_add_checked_fixture(following, setup, teardown);
	tcase_add_loop_test(following, a_stream_that_grows_is_read_as_a_whole_one, 1, 20);
	tcase_add_test(following, what_was_written_since_the_last_look_belongs_to_it);
	tcase_add_test(following, a_stream_that_stops_is_a_good_prefix);
	tcase_add_test(following, damage_is_told_at_the_end_and_nothing_is_read_behind_it);
	tcase_add_loop_test(following, what_is_in_no_file_yet_is_added_and_counts_once, 0, 5);
	tcase_add_test(following, what_is_added_behind_a_gap_is_refused);
	tcase_add_test(following, one_that_is_given_up_leaves_nothing);
	suite_add_tcase(suite, following);
	return run_suite(suite);
}
