// SPDX-License-Identifier: MIT
#include "injector/backtrace.h"
#include "injector/gate.h"
#include "injector/io_call.h"
#include "injector/session.h"
#include "injector/watch.h"
#include "tests/run_suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define IMAGE "/cowtip/test/image"

static struct content *initial;
static struct event_log event_record;
static struct trace labels;
static char story[8192];

static void setup(void)
{
	uint16_t file = 99;

	event_log_init(&event_record);
	initial = content_new(4096);
	ck_assert_int_eq(session_watch_memory(IMAGE, initial, &file), STATUS_OK);
	ck_assert_uint_eq(file, 0);
	story[0] = '\0';
}

static void teardown(void)
{
	gate_install(NULL);
	session_unwatch_all();
	content_free(initial);
	event_log_release(&event_record);
}

static void begin(struct choice *choice, uint32_t faults_max)
{
	const struct session_options options = { .log = &event_record,
						 .choice = choice,
						 .faults = { .faults_max = faults_max,
							     .kinds = FAULT_KINDS_UNSAID } };
	event_log_reset(&event_record);
	session_begin(&options);
}

/* The events of the run as text, one a line. */
static const char *tell(void)
{
	story[0] = '\0';
	for (size_t i = 0; i < event_record.count; i++) {
		char line[256];
		const struct event *event = &event_record.events[i];
		size_t used = strlen(story);
		event_format(line, sizeof(line), &event_record, event);
		snprintf(story + used, sizeof(story) - used, "%s\n", line);
	}
	return story;
}

START_TEST(a_write_is_submitted_takes_effect_and_completes)
{
	char data[512];
	int image = open(IMAGE, O_RDWR);

	memset(data, 0x11, sizeof(data));
	begin(NULL, 0);
	ck_assert(session_active());
	ck_assert_int_eq(pwrite(image, data, sizeof(data), 1024), 512);
	session_end();
	ck_assert_int_eq(pwrite(image, data, sizeof(data), 2048), 512);
	ck_assert_uint_eq(event_record.count, 3);
	const struct event *events = event_record.events;
	const uint8_t kinds[] = { EVENT_IO_SUBMITTED, EVENT_IO_EFFECT, EVENT_IO_COMPLETED };
	for (size_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(events[i].kind, kinds[i]);
		ck_assert_uint_eq(events[i].op, IO_WRITE);
		ck_assert_uint_eq(events[i].id, 1);
		ck_assert_uint_eq(events[i].host_offset, 1024);
		ck_assert_uint_eq(events[i].length, 512);
		ck_assert_int_eq(events[i].result, i == 0 ? 0 : 512);
		ck_assert_uint_eq(events[i].data_bytes, i == 1 ? 512 : 0);
	}
	ck_assert_mem_eq(event_data(&event_record, &events[1]), data, sizeof(data));
	ck_assert_int_eq(close(image), 0);
}
END_TEST

/* Apply what was recorded to the initial contents; it must give what the program sees. */
static void check_replayed(void)
{
	struct content *replayed = content_clone(initial);
	struct content *seen = session_content(0);
	uint64_t difference = 0;

	for (size_t i = 0; i < event_record.count; i++)
		ck_assert_int_eq(trace_apply(replayed, &event_record, &event_record.events[i]),
				 STATUS_OK);
	ck_assert_msg(content_equal(replayed, seen, &difference), "difference at %lu\n%s",
		      (unsigned long)difference, tell());
	content_free(replayed);
	content_free(seen);
}

START_TEST(what_was_recorded_gives_the_contents_again)
{
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE };
	char data[600];
	struct iovec pieces[] = { { data, 100 }, { data + 300, 0 }, { data + 100, 500 } };
	int image = open(IMAGE, O_RDWR);

	begin(NULL, 0);
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (char)i;
	for (int i = 0; i < 400; i++) {
		off_t host_offset = i * 7919 % 9000;
		switch (i % 7) {
		case 0: ck_assert_int_eq(pwritev(image, pieces, 3, host_offset), 600); break;
		case 1: ck_assert_int_eq(ftruncate(image, host_offset), 0); break;
		case 2:
			ck_assert_int_eq(fallocate(image, modes[i / 7 % 5], host_offset, 700), 0);
			break;
		case 3: ck_assert_int_ge(write(image, data, 33), 33); break;
		default: ck_assert_int_eq(pwrite(image, data, 600, host_offset), 600); break;
		}
		check_replayed();
	}
	int again = open(IMAGE, O_RDWR | O_TRUNC);
	check_replayed();
	session_end();
	ck_assert_int_eq(close(again), 0);
	ck_assert_int_eq(close(image), 0);
}
END_TEST

START_TEST(digests_of_reads_tell_what_was_read)
{
	char data[1000];
	struct iovec pieces[] = { { data, 1 }, { data + 1, 499 }, { data + 500, 500 } };
	int image = open(IMAGE, O_RDWR);

	begin(NULL, 0);
	ck_assert_int_eq(pwrite(image, "x", 1, 999), 1);
	ck_assert_int_eq(pread(image, data, 1000, 0), 1000);
	ck_assert_int_eq(preadv(image, pieces, 3, 0), 1000);
	ck_assert_int_eq(pwrite(image, "y", 1, 999), 1);
	ck_assert_int_eq(pread(image, data, 1000, 0), 1000);
	session_end();
	ck_assert_uint_eq(event_record.count, 15);
	uint64_t first = event_record.events[5].digest;
	ck_assert_uint_ne(first, 0);
	ck_assert_uint_eq(event_record.events[8].digest, first);
	ck_assert_uint_ne(event_record.events[14].digest, first);
	ck_assert_int_eq(close(image), 0);
}
END_TEST

/* A gate that tells its passages in `story`. */
static uint32_t spy_actor(void *context)
{
	return *(uint32_t *)context;
}

static void spy_before_effect(void *context, const struct io_call *call)
{
	size_t used = strlen(story);

	(void)context;
	snprintf(story + used, sizeof(story) - used, "%s at %lu+%lu after %zu events, ",
		 io_op_name(call->op), (unsigned long)call->host_offset,
		 (unsigned long)call->length, event_record.count);
}

static void spy_before_return(void *context, const struct io_call *call)
{
	size_t used = strlen(story);

	(void)context;
	snprintf(story + used, sizeof(story) - used, "%s returns after %zu; ", io_op_name(call->op),
		 event_record.count);
}

START_TEST(calls_of_an_actor_wait_at_the_gate_before_the_effect_and_before_returning)
{
	uint32_t actor = 4;
	const struct gate gate = { .context = &actor,
				   .actor = spy_actor,
				   .before_effect = spy_before_effect,
				   .before_return = spy_before_return };
	char byte = 1;
	int image = open(IMAGE, O_RDWR);

	gate_install(&gate);
	begin(NULL, 0);
	ck_assert_int_eq(pwrite(image, &byte, 1, 7), 1);
	ck_assert_int_eq(fdatasync(image), 0);
	ck_assert_str_eq(story, "write at 7+1 after 1 events, write returns after 2; "
				"flush at 0+0 after 4 events, flush returns after 5; ");
	ck_assert_uint_eq(event_record.events[0].actor, 4);
	ck_assert_uint_eq(event_record.events[5].actor, 4);
	story[0] = '\0';
	actor = 0;
	ck_assert_int_eq(pread(image, &byte, 1, 7), 1);
	ck_assert_str_eq(story, "");
	const struct event own = { .kind = EVENT_WAIT, .op = WAIT_MUTEX };
	actor = 9;
	session_record(&own, "lock", 4);
	ck_assert_uint_eq(event_record.count, 10);
	ck_assert_uint_eq(event_record.events[9].actor, 9);
	session_end();
	session_record(&own, "lock", 4);
	ck_assert_uint_eq(event_record.count, 10);
	ck_assert_int_eq(close(image), 0);
}
END_TEST

static struct footprint touched(void)
{
	struct footprint footprint;

	footprint_clear(&footprint);
	footprint_copy(&footprint, session_footprint());
	footprint_clear(session_footprint());
	return footprint;
}

START_TEST(footprints_tell_what_a_step_read_and_changed)
{
	char data[100] = { 0 };
	int image = open(IMAGE, O_RDWR);

	begin(NULL, 0);
	ck_assert_int_eq(pread(image, data, 100, 50), 100);
	struct footprint read = touched();
	ck_assert(!footprint_is_empty(&read));
	ck_assert(!footprint_conflict(&read, &read));
	ck_assert_int_eq(pwrite(image, data, 100, 600), 100);
	struct footprint beside = touched();
	ck_assert(footprint_conflict(&beside, &beside));
	ck_assert(!footprint_conflict(&read, &beside));
	/* Sectors are written as a whole. */
	ck_assert_int_eq(pwrite(image, data, 100, 160), 100);
	struct footprint same_sector = touched();
	ck_assert(footprint_conflict(&read, &same_sector));
	ck_assert_int_eq(fdatasync(image), 0);
	ck_assert(footprint_is_empty(session_footprint()));

	/* The end of the file: looking at it and moving it. */
	ck_assert_int_eq(lseek(image, 0, SEEK_END), 4096);
	struct footprint look = touched();
	ck_assert_int_eq(pread(image, data, 100, 4090), 6);
	struct footprint short_read = touched();
	ck_assert_int_eq(pwrite(image, data, 10, 9000), 10);
	struct footprint extend = touched();
	ck_assert(footprint_conflict(&look, &extend));
	ck_assert(footprint_conflict(&short_read, &extend));
	ck_assert(!footprint_conflict(&read, &extend));
	ck_assert(!footprint_conflict(&look, &beside));
	ck_assert_int_eq(ftruncate(image, 5000), 0);
	struct footprint cut = touched();
	ck_assert(footprint_conflict(&look, &cut));
	ck_assert(footprint_conflict(&extend, &cut));
	session_end();
	ck_assert_int_eq(close(image), 0);
}
END_TEST

START_TEST(each_call_of_a_run_may_fail_and_every_combination_is_tried)
{
	struct strategy *strategy = strategy_dfs_new(false);
	struct choice choice;
	unsigned runs = 0;
	unsigned outcomes[2][2] = { { 0 } };

	choice_init(&choice, strategy, &event_record);
	while (choice_begin(&choice)) {
		char byte = 1;
		session_rewind();
		begin(&choice, 1);
		int image = open(IMAGE, O_RDWR);
		ssize_t put = image < 0 ? -1 : pwrite(image, &byte, 1, 0);
		if (put < 0)
			ck_assert_int_eq(errno, EIO);
		int flushed = image < 0 ? -1 : fdatasync(image);
		if (image >= 0) {
			outcomes[put < 0][flushed < 0]++;
			close(image);
		}
		session_end();
		choice_end(&choice, RUN_FINISHED, event_log_digest(&event_record));
		runs++;
	}
	ck_assert(strategy->ops->is_complete(strategy));
	/* One fault at most: none, open, pwrite, fdatasync, close. */
	ck_assert_uint_eq(runs, 5);
	ck_assert_uint_eq(outcomes[0][0], 2);
	ck_assert_uint_eq(outcomes[1][0], 1);
	ck_assert_uint_eq(outcomes[0][1], 1);
	ck_assert_uint_eq(outcomes[1][1], 0);
	choice_release(&choice);
	strategy_free(strategy);
}
END_TEST

START_TEST(a_failed_write_is_recorded_as_a_fault_and_changes_nothing)
{
	struct schedule schedule;
	struct choice choice;
	char byte = 1;
	int image = open(IMAGE, O_RDWR);

	schedule_init(&schedule);
	schedule_append(&schedule, 1, 2);
	struct strategy *strategy = strategy_replay_new(&schedule);
	choice_init(&choice, strategy, NULL);
	ck_assert(choice_begin(&choice));
	begin(&choice, 5);
	ck_assert_int_eq(pwrite(image, &byte, 1, 0), -1);
	session_end();
	ck_assert_uint_eq(event_record.count, 3);
	ck_assert_uint_eq(event_record.events[1].kind, EVENT_FAULT);
	ck_assert_int_eq(event_record.events[1].result, -EIO);
	ck_assert_mem_eq(event_data(&event_record, &event_record.events[1]), "posix/io/rw/pwrite",
			 18);
	ck_assert_uint_eq(event_record.events[2].kind, EVENT_IO_COMPLETED);
	ck_assert_int_eq(event_record.events[2].result, -EIO);
	struct content *now = session_content(0);
	ck_assert(content_equal(now, initial, NULL));
	content_free(now);
	choice_release(&choice);
	strategy_free(strategy);
	schedule_release(&schedule);
	ck_assert_int_eq(close(image), 0);
}
END_TEST

/* A session in which the schedule of one pick says what goes wrong. */
static void begin_with_fault(struct choice *choice, struct strategy **strategy, uint32_t pick,
			     uint32_t count)
{
	struct schedule schedule;
	const struct session_options options = { .log = &event_record,
						 .choice = choice,
						 .faults = { .faults_max = 1 } };

	schedule_init(&schedule);
	schedule_append(&schedule, pick, count);
	*strategy = strategy_replay_new(&schedule);
	schedule_release(&schedule);
	choice_init(choice, *strategy, NULL);
	ck_assert(choice_begin(choice));
	event_log_reset(&event_record);
	session_begin(&options);
}

static void end_with_fault(struct choice *choice, struct strategy *strategy)
{
	session_end();
	ck_assert_ptr_null(strategy->ops->complaint(strategy));
	choice_release(choice);
	strategy_free(strategy);
}

START_TEST(a_short_write_takes_effect_up_to_a_sector_and_no_further)
{
	struct choice choice;
	struct strategy *strategy;
	uint8_t bytes[2048];
	int image = open(IMAGE, O_RDWR);
	struct iovec vector[2] = { { .iov_base = bytes, .iov_len = 700 },
				   { .iov_base = bytes + 700, .iov_len = 1348 } };

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i % 251 + 1);
	/* EIO, ENOSPC, EINTR, then half of it. */
	begin_with_fault(&choice, &strategy, 4, 6);
	ck_assert_int_eq(pwritev(image, vector, 2, 100), 924);
	ck_assert_int_eq(pwritev(image, vector, 1, 3000), 700);
	end_with_fault(&choice, strategy);
	ck_assert_str_eq(tell(), "write submitted 0x64+2048\n"
				 "write fault posix/io/rw/pwritev = 924\n"
				 "write effect 0x64+2048 = 924\n"
				 "write completed 0x64+2048 = 924\n"
				 "write submitted 0xbb8+700\n"
				 "write effect 0xbb8+700 = 700\n"
				 "write completed 0xbb8+700 = 700\n");
	uint8_t back[2048] = { 0 };
	ck_assert_int_eq(pread(image, back, 2048, 100), 2048);
	ck_assert_mem_eq(back, bytes, 924);
	ck_assert_uint_eq(back[924], 0);
	ck_assert_int_eq(close(image), 0);
}
END_TEST

START_TEST(a_short_read_returns_fewer_bytes_and_says_how_many)
{
	struct choice choice;
	struct strategy *strategy;
	uint8_t back[1500];
	int image = open(IMAGE, O_RDWR);

	memset(back, 0xee, sizeof(back));
	/* EIO, EINTR, half of it, all but the last sector. */
	begin_with_fault(&choice, &strategy, 4, 5);
	ck_assert_int_eq(pread(image, back, 1500, 10), 1014);
	end_with_fault(&choice, strategy);
	ck_assert_uint_eq(back[1013], 0);
	ck_assert_uint_eq(back[1014], 0xee);
	ck_assert_uint_eq(event_record.events[1].kind, EVENT_FAULT);
	ck_assert_int_eq(event_record.events[1].result, 1014);
	ck_assert_int_eq(event_record.events[3].result, 1014);
	ck_assert_int_eq(close(image), 0);
}
END_TEST

START_TEST(memory_that_is_refused_is_recorded_as_a_fault_of_no_io)
{
	struct choice choice;
	struct strategy *strategy;

	ck_assert(!io_call_memory_fails());
	begin_with_fault(&choice, &strategy, 1, 2);
	ck_assert(io_call_memory_fails());
	ck_assert(!io_call_memory_fails());
	end_with_fault(&choice, strategy);
	ck_assert_uint_eq(event_record.count, 1);
	ck_assert_uint_eq(event_record.events[0].kind, EVENT_FAULT);
	ck_assert_uint_eq(event_record.events[0].op, 0);
	ck_assert_int_eq(event_record.events[0].result, -ENOMEM);
}
END_TEST

START_TEST(stack_labels_name_the_caller)
{
	char byte = 1;
	char name[256];
	int image = open(IMAGE, O_RDWR);
	const struct session_options options = { .log = &event_record, .labels = &labels };

	trace_init(&labels);
	event_log_reset(&event_record);
	session_begin(&options);
	ck_assert_int_eq(pwrite(image, &byte, 1, 0), 1);
	session_end();
	uint32_t label = event_record.events[0].stack;
	ck_assert_uint_eq(label, 1);
	ck_assert_uint_eq(event_record.events[2].stack, label);
	ck_assert_uint_eq(labels.stack_count, 1);
	backtrace_symbolise(name, sizeof(name), &labels, &labels.stacks[0].frames[0]);
	ck_assert_msg(strncmp(name, "stack_labels_name_the_caller", 28) == 0, "innermost: %s",
		      name);
	trace_release(&labels);
	ck_assert_int_eq(close(image), 0);
}
END_TEST

START_TEST(a_real_file_is_watched_as_well_as_one_in_memory)
{
	char path[] = "/tmp/cowtip-session-XXXXXX";
	int made = mkstemp(path);
	uint16_t file = 0;
	char back[5] = "";

	ck_assert_int_ge(made, 0);
	ck_assert_int_eq(session_watch_real(path, &file), STATUS_OK);
	ck_assert_uint_eq(file, 1);
	begin(NULL, 0);
	int image = open(path, O_RDWR | O_TRUNC);
	ck_assert_int_lt(image, 1 << 16);
	ck_assert_int_eq(write(image, "abcd", 4), 4);
	ck_assert_int_eq(write(image, "ef", 2), 2);
	ck_assert_int_eq(dup2(image, made), made);
	ck_assert_int_eq(pwrite(made, "X", 1, 1), 1);
	ck_assert_int_eq(fsync(made), 0);
	ck_assert_int_eq(close(made), 0);
	session_end();
	ck_assert_uint_eq(event_record.count, 12);
	ck_assert_uint_eq(event_record.events[4].host_offset, 4);
	ck_assert_uint_eq(event_record.events[7].file, 1);
	ck_assert_int_eq(pread(image, back, 4, 0), 4);
	ck_assert_str_eq(back, "aXcd");
	ck_assert_int_eq(close(image), 0);
	unlink(path);
}
END_TEST

START_TEST(a_loaded_session_has_the_descriptors_positions_and_bytes_that_it_had)
{
	struct snapshot_buffer buffer = { 0 };
	char back[8] = { 0 };
	ck_assert(session_can_snapshot());
	session_track(true);
	begin(NULL, 0);
	int image = open(IMAGE, O_RDWR);
	int second = open(IMAGE, O_RDONLY);
	int copy = dup(image);
	ck_assert_int_eq(write(image, "abcd", 4), 4);
	const struct watched_open *open_image = watch_find(image);
	struct page_hash hash = session_hash(0);
	session_save(&buffer);
	size_t event_count = event_record.count;
	uint32_t last_id = event_record.events[event_count - 1].id;
	for (int round = 0; round < 3; round++) {
		/* The copy of a descriptor shares its position, the second one has its own. */
		ck_assert_int_eq(write(copy, "efgh", 4), 4);
		ck_assert_uint_eq(event_record.events[event_count].id, last_id + 1);
		ck_assert_int_eq(lseek(image, 0, SEEK_CUR), 8);
		ck_assert_int_eq(read(second, back, 6), 6);
		ck_assert_str_eq(back, "abcdef");
		ck_assert_int_eq(ftruncate(image, 9000), 0);
		ck_assert_int_eq(close(image), 0);
		ck_assert_int_eq(close(copy), 0);
		if (round == 1)
			ck_assert_int_eq(open(IMAGE, O_RDONLY), image);
		session_end();
		event_record.count = event_count;
		session_begin(&(struct session_options){ .log = &event_record });
		snapshot_buffer_rewind(&buffer);
		session_load(&buffer);
		ck_assert_ptr_eq(watch_find(image), open_image);
		ck_assert_ptr_eq(watch_find(copy), open_image);
		struct page_hash again = session_hash(0);
		ck_assert_mem_eq(&again, &hash, sizeof(hash));
		ck_assert_int_eq(lseek(image, 0, SEEK_END), 4096);
		ck_assert_int_eq(lseek(image, 4, SEEK_SET), 4);
	}
	session_end();
	session_track(false);
	snapshot_buffer_release(&buffer);
}
END_TEST

START_TEST(a_loaded_session_has_the_faults_left_that_it_had)
{
	struct snapshot_buffer buffer = { 0 };
	struct schedule schedule;
	struct choice choice;
	schedule_init(&schedule);
	/* Each call that may fail does. */
	ck_assert_int_eq(schedule_parse(&schedule, "s1:1*20.", NULL), STATUS_OK);
	struct strategy *strategy = strategy_replay_new(&schedule);
	choice_init(&choice, strategy, NULL);
	ck_assert(choice_begin(&choice));
	int image = open(IMAGE, O_RDWR);
	session_track(true);
	begin(&choice, 2);
	ck_assert_int_eq(pwrite(image, "a", 1, 0), -1);
	session_save(&buffer);
	for (int round = 0; round < 3; round++) {
		ck_assert_int_eq(pwrite(image, "b", 1, 0), -1);
		ck_assert_int_eq(pwrite(image, "c", 1, 0), 1);
		ck_assert_uint_eq(choice.taken.count, 2 + (size_t)round);
		snapshot_buffer_rewind(&buffer);
		session_load(&buffer);
	}
	session_end();
	session_track(false);
	choice_release(&choice);
	strategy_free(strategy);
	schedule_release(&schedule);
	snapshot_buffer_release(&buffer);
}
END_TEST

START_TEST(a_session_with_a_real_file_cannot_be_saved)
{
	uint16_t file = 0;
	ck_assert_int_eq(session_watch_real("/tmp/cowtip-not-there", &file), STATUS_OK);
	ck_assert(!session_can_snapshot());
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session");
	TCase *tests = tcase_create("session");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, a_write_is_submitted_takes_effect_and_completes);
	tcase_add_test(tests, what_was_recorded_gives_the_contents_again);
	tcase_add_test(tests, digests_of_reads_tell_what_was_read);
	tcase_add_test(tests,
		       calls_of_an_actor_wait_at_the_gate_before_the_effect_and_before_returning);
	tcase_add_test(tests, footprints_tell_what_a_step_read_and_changed);
	tcase_add_test(tests, each_call_of_a_run_may_fail_and_every_combination_is_tried);
	tcase_add_test(tests, a_failed_write_is_recorded_as_a_fault_and_changes_nothing);
	tcase_add_test(tests, a_short_write_takes_effect_up_to_a_sector_and_no_further);
	tcase_add_test(tests, a_short_read_returns_fewer_bytes_and_says_how_many);
	tcase_add_test(tests, memory_that_is_refused_is_recorded_as_a_fault_of_no_io);
	tcase_add_test(tests, stack_labels_name_the_caller);
	tcase_add_test(tests, a_real_file_is_watched_as_well_as_one_in_memory);
	tcase_add_test(tests, a_loaded_session_has_the_descriptors_positions_and_bytes_that_it_had);
	tcase_add_test(tests, a_loaded_session_has_the_faults_left_that_it_had);
	tcase_add_test(tests, a_session_with_a_real_file_cannot_be_saved);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
