// SPDX-License-Identifier: MIT
/* A run is a function of its workload, settings and schedule: the same once more, in the same
 * process and in another world. That it is the same in another build is for test_corpus.c to say.
 *
 * Equal means equal bytes of the whole trace, stack labels included, in one program. Between two
 * builds stack labels differ (they are addresses in that build); `cowtip replay` leaves them out of
 * its comparison. */
#include "tests/integration/shipped.h"

#include "tests/run_suite.h"
#include "traces/trace_stream.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 4, TWICE_RUNS = 150 };

/* ---- a trace as bytes ---- */

struct bytes {
	uint8_t *data; /* owned */
	size_t count, capacity;
};

static enum status append(void *context, const struct trace_span *spans, size_t span_count)
{
	struct bytes *bytes = context;
	for (size_t i = 0; i < span_count; i++) {
		size_t needed = bytes->count + spans[i].byte_count;
		if (needed > bytes->capacity) {
			bytes->capacity = 2 * needed;
			bytes->data = realloc(bytes->data, bytes->capacity);
			if (!bytes->data)
				abort();
		}
		if (spans[i].byte_count)
			memcpy(bytes->data + bytes->count, spans[i].bytes, spans[i].byte_count);
		bytes->count = needed;
	}
	return STATUS_OK;
}

static struct bytes encode_last_run(const struct shipped *shipped, const struct choice *choice)
{
	struct bytes bytes = { 0 };
	struct trace trace;
	const struct trace_sink sink = { append, &bytes };
	trace_init(&trace);
	world_trace(shipped->world, choice, &trace);
	ck_assert_int_eq(trace_encode(&trace, &sink), STATUS_OK);
	ck_assert_uint_gt(trace.stack_count, 0);
	trace_release(&trace);
	return bytes;
}

static struct bytes run_and_encode(struct shipped *shipped, uint64_t seed,
				   struct schedule *schedule)
{
	struct random_run run;
	shipped_random(shipped, seed, &run);
	struct bytes bytes = encode_last_run(shipped, &run.choice);
	schedule_copy(schedule, &run.choice.taken);
	shipped_random_end(&run);
	return bytes;
}

static struct bytes replay_and_encode(struct shipped *shipped, const struct schedule *schedule)
{
	struct strategy *strategy = strategy_replay_new(schedule);
	struct choice choice;
	choice_init(&choice, strategy, NULL);
	ck_assert(choice_begin(&choice));
	enum run_end end = world_run(shipped->world, &choice);
	choice_end(&choice, end, 0);
	struct bytes bytes = encode_last_run(shipped, &choice);
	choice_release(&choice);
	strategy_free(strategy);
	return bytes;
}

static void check_equal(const struct bytes *a, struct bytes *b, const char *what)
{
	ck_assert_msg(a->count == b->count && memcmp(a->data, b->data, a->count) == 0,
		      "%s: %zu and %zu bytes", what, a->count, b->count);
	free(b->data);
	*b = (struct bytes){ 0 };
}

START_TEST(equal_schedules_give_equal_traces)
{
	const char *name = workload_shipped((size_t)_i)->name;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		const struct world_options options = {
			.policy = shipped_policies[seed % 3],
			.points = seed % 2 ? SCHED_POINTS_ALL : SCHED_POINTS_IO,
			.stamps = true,
			.stacks = true,
		};
		struct shipped shipped;
		struct schedule schedule, same;
		schedule_init(&schedule);
		schedule_init(&same);
		shipped_open(&shipped, name, &options);
		struct bytes first = run_and_encode(&shipped, seed, &schedule);
		struct bytes other = run_and_encode(&shipped, seed + SEEDS, &same);
		free(other.data);
		struct bytes again = run_and_encode(&shipped, seed, &same);
		check_equal(&first, &again, "the same seed, after another run");
		struct bytes replayed = replay_and_encode(&shipped, &schedule);
		check_equal(&first, &replayed, "its schedule, replayed");
		shipped_close(&shipped);
		shipped_open(&shipped, name, &options);
		replayed = replay_and_encode(&shipped, &schedule);
		check_equal(&first, &replayed, "its schedule, replayed in a new world");
		shipped_close(&shipped);
		free(first.data);
		schedule_release(&schedule);
		schedule_release(&same);
	}
}
END_TEST

static void explore_twice(const char *name, struct strategy *inner, enum sched_points points)
{
	const struct world_options options = { .policy = QCOW2_CANCEL,
					       .points = points,
					       .stamps = true };
	const struct explore_options bounds = { .models = CRASH_PREFIX, .budget.runs = TWICE_RUNS };
	struct strategy *strategy = strategy_twice_new(inner);
	struct explore_result result;
	struct shipped shipped;
	struct why why = { "" };
	shipped_open(&shipped, name, &options);
	enum status status = explore(shipped.world, strategy, &bounds, &result, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	ck_assert_msg(!result.complaint, "%s: %s", name, result.complaint);
	ck_assert_uint_gt(result.interleavings, 1);
	explore_result_release(&result);
	shipped_close(&shipped);
	strategy_free(strategy);
}

START_TEST(running_everything_twice_complains_of_nothing)
{
	const char *name = workload_shipped((size_t)_i)->name;
	explore_twice(name, strategy_dfs_new(true), SCHED_POINTS_IO);
	explore_twice(name, strategy_random_new(7, TWICE_RUNS), SCHED_POINTS_ALL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("determinism");
	TCase *tests = tcase_create("determinism");
	tcase_set_timeout(tests, 100);
	tcase_add_loop_test(tests, equal_schedules_give_equal_traces, 0, (int)shipped_count());
	tcase_add_loop_test(tests, running_everything_twice_complains_of_nothing, 0,
			    (int)shipped_count());
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
