// SPDX-License-Identifier: MIT
#include "engine/coroutine/co_rwlock.h"

#include "tests/unit/tasks.h"

static struct sched *sched;
static struct co_rwlock lock;

static void setup(void)
{
	sched = sched_new();
	ck_assert_ptr_nonnull(sched);
	co_rwlock_init(&lock, "l", 3);
}

static void teardown(void)
{
	sched_free(sched);
}

static void read_over_a_yield(void *argument)
{
	(void)argument;
	co_rwlock_read_lock(&lock);
	tell_name("reads");
	task_yield();
	tell_name("has read");
	co_rwlock_read_unlock(&lock);
}

static void write_over_a_yield(void *argument)
{
	(void)argument;
	co_rwlock_write_lock(&lock);
	tell_name("writes");
	task_yield();
	tell_name("has written");
	co_rwlock_write_unlock(&lock);
}

/** Step through the tasks in turn: each pick is the one after the last. */
static uint32_t pick_next(struct strategy *strategy, const struct choice_point *point)
{
	static uint32_t last;
	(void)strategy;
	for (uint32_t i = 0; i < point->count; i++) {
		if (point->actors[i] > last) {
			last = point->actors[i];
			return i;
		}
	}
	last = point->actors[0];
	return 0;
}

static bool begin_once(struct strategy *strategy)
{
	(void)strategy;
	return true;
}

/** Run the tasks in turns. */
static enum run_end run_in_turns(void)
{
	static const struct strategy_ops ops = { .begin = begin_once, .pick = pick_next };
	struct strategy strategy = { .ops = &ops };
	struct choice choice;
	choice_init(&choice, &strategy, NULL);
	ck_assert(choice_begin(&choice));
	struct sched_options options = { .choice = &choice };
	enum run_end end = sched_run(sched, &options);
	choice_release(&choice);
	return end;
}

START_TEST(readers_share)
{
	sched_spawn(sched, "a", read_over_a_yield, NULL);
	sched_spawn(sched, "b", read_over_a_yield, NULL);
	ck_assert_int_eq(run_in_turns(), RUN_FINISHED);
	ck_assert_str_eq(story, "a reads; b reads; a has read; b has read; ");
}
END_TEST

START_TEST(writers_exclude_everybody)
{
	sched_spawn(sched, "a", write_over_a_yield, NULL);
	sched_spawn(sched, "b", read_over_a_yield, NULL);
	sched_spawn(sched, "c", write_over_a_yield, NULL);
	ck_assert_int_eq(run_in_turns(), RUN_FINISHED);
	ck_assert_str_eq(story, "a writes; a has written; b reads; b has read; "
				"c writes; c has written; ");
}
END_TEST

START_TEST(a_reader_that_comes_after_a_waiting_writer_waits_behind_it)
{
	sched_spawn(sched, "a", read_over_a_yield, NULL);
	sched_spawn(sched, "w", write_over_a_yield, NULL);
	sched_spawn(sched, "b", read_over_a_yield, NULL);
	ck_assert_int_eq(run_in_turns(), RUN_FINISHED);
	ck_assert_str_eq(story, "a reads; a has read; w writes; w has written; "
				"b reads; b has read; ");
}
END_TEST

START_TEST(readers_side_by_side_in_the_queue_are_let_in_together)
{
	sched_spawn(sched, "w", write_over_a_yield, NULL);
	sched_spawn(sched, "a", read_over_a_yield, NULL);
	sched_spawn(sched, "b", read_over_a_yield, NULL);
	sched_spawn(sched, "v", write_over_a_yield, NULL);
	sched_spawn(sched, "c", read_over_a_yield, NULL);
	ck_assert_int_eq(run_in_turns(), RUN_FINISHED);
	ck_assert_str_eq(story, "w writes; w has written; a reads; b reads; "
				"a has read; b has read; v writes; v has written; "
				"c reads; c has read; ");
}
END_TEST

static void release_shared(void *argument)
{
	(void)argument;
	tell_name("releases");
	co_rwlock_read_unlock(&lock);
}

static void take_shared_and_leave_it(void *argument)
{
	(void)argument;
	co_rwlock_read_lock(&lock);
	sched_spawn(sched_current(), "child", release_shared, NULL);
	tell_name("ends");
}

START_TEST(a_shared_hold_may_be_released_by_another_task)
{
	sched_spawn(sched, "a", take_shared_and_leave_it, NULL);
	sched_spawn(sched, "w", write_over_a_yield, NULL);
	ck_assert_int_eq(run_in_turns(), RUN_FINISHED);
	ck_assert_str_eq(story, "a ends; child releases; w writes; w has written; ");
	co_rwlock_destroy(&lock);
}
END_TEST

static void look_for_writer(void *argument)
{
	(void)argument;
	tell("%s; ", co_rwlock_has_writer(&lock) ? "writer" : "no writer");
}

START_TEST(a_waiting_writer_counts_as_a_writer)
{
	sched_spawn(sched, "0", look_for_writer, NULL);
	sched_spawn(sched, "a", read_over_a_yield, NULL);
	sched_spawn(sched, "1", look_for_writer, NULL);
	sched_spawn(sched, "w", write_over_a_yield, NULL);
	sched_spawn(sched, "2", look_for_writer, NULL);
	ck_assert_int_eq(run_in_turns(), RUN_FINISHED);
	ck_assert_str_eq(story, "no writer; a reads; no writer; writer; a has read; "
				"w writes; w has written; ");
}
END_TEST

/* Every interleaving of small programs: who may be inside with whom, and in which order. */

enum { MEMBERS_MAX = 4 };

static struct {
	char kinds[MEMBERS_MAX + 1]; /* one letter a task: r or w */
	uint32_t arrivals;
	uint32_t arrival[MEMBERS_MAX]; /* from 1, 0: not yet */
	bool has_entered[MEMBERS_MAX];
	uint32_t readers, writers, entered;
} world;

/** Nobody who came earlier and is still outside may be overtaken, but by a reader a reader. */
static void check_order(uint32_t me)
{
	for (uint32_t other = 0; world.kinds[other]; other++) {
		bool is_before = world.arrival[other] && world.arrival[other] < world.arrival[me];
		bool both_read = world.kinds[other] == 'r' && world.kinds[me] == 'r';
		ck_assert(!is_before || world.has_entered[other] || both_read);
	}
}

static void member(void *argument)
{
	const char *kind = argument;
	uint32_t me = (uint32_t)(kind - world.kinds);
	bool writes = *kind == 'w';
	world.arrival[me] = ++world.arrivals;
	if (writes)
		co_rwlock_write_lock(&lock);
	else
		co_rwlock_read_lock(&lock);
	check_order(me);
	world.has_entered[me] = true;
	world.entered++;
	*(writes ? &world.writers : &world.readers) += 1;
	ck_assert_uint_le(world.writers, 1);
	ck_assert(!world.writers || !world.readers);
	task_yield();
	*(writes ? &world.writers : &world.readers) -= 1;
	if (writes)
		co_rwlock_write_unlock(&lock);
	else
		co_rwlock_read_unlock(&lock);
}

static void begin_members(struct sched *runner, void *context)
{
	memset(&world, 0, sizeof(world));
	snprintf(world.kinds, sizeof(world.kinds), "%s", (const char *)context);
	co_rwlock_init(&lock, "l", 3);
	for (char *kind = world.kinds; *kind; kind++)
		sched_spawn(runner, "member", member, kind);
}

static void end_members(struct sched *runner, enum run_end end, void *context)
{
	ck_assert_msg(end == RUN_FINISHED, "%s", sched_report(runner));
	ck_assert_uint_eq(world.entered, strlen(context));
	co_rwlock_destroy(&lock);
}

static uint64_t explore_members(char *kinds)
{
	struct exploration all = { .points = SCHED_POINTS_IO,
				   .begin = begin_members,
				   .end = end_members,
				   .context = kinds };
	return explore(&all);
}

START_TEST(in_every_interleaving_nobody_meets_a_writer_or_overtakes_one)
{
	/* Every program of one to four readers and writers. */
	for (size_t members = 1; members <= 4; members++) {
		for (unsigned bits = 0; bits < 1U << members; bits++) {
			char kinds[MEMBERS_MAX + 1] = "";
			for (size_t i = 0; i < members; i++)
				kinds[i] = bits >> i & 1 ? 'w' : 'r';
			ck_assert_uint_gt(explore_members(kinds), 0);
		}
	}
}
END_TEST

START_TEST(readers_alone_never_wait)
{
	char two[] = "rr", three[] = "rrr", four[] = "rrrr";
	/* Two steps each, in any order. */
	ck_assert_uint_eq(explore_members(two), 6);
	ck_assert_uint_eq(explore_members(three), 90);
	ck_assert_uint_eq(explore_members(four), 2520);
}
END_TEST

static void write_twice(void *argument)
{
	(void)argument;
	co_rwlock_write_lock(&lock);
	co_rwlock_write_lock(&lock);
}

static void read_what_it_writes(void *argument)
{
	(void)argument;
	co_rwlock_write_lock(&lock);
	co_rwlock_read_lock(&lock);
}

static void release_nothing(void *argument)
{
	(void)argument;
	co_rwlock_read_unlock(&lock);
}

static void end_a_write_that_was_not(void *argument)
{
	(void)argument;
	co_rwlock_write_unlock(&lock);
}

static void destroy_held(void *argument)
{
	(void)argument;
	co_rwlock_read_lock(&lock);
	co_rwlock_destroy(&lock);
}

static void use_overwritten(void *argument)
{
	(void)argument;
	memset(&lock, ARENA_POISON, sizeof(lock));
	co_rwlock_read_lock(&lock);
}

static const struct {
	void (*body)(void *argument);
	const char *report;
} misuses[] = {
	{ write_twice, "a lock is not taken twice" },
	{ read_what_it_writes, "its writer does not read-lock" },
	{ release_nothing, "somebody holds it shared" },
	{ end_a_write_that_was_not, "only its holder unlocks" },
	{ destroy_held, "nobody holds a destroyed lock" },
	{ use_overwritten, "assertion 'is_live(lock)' failed" },
};

START_TEST(misuse_ends_the_run)
{
	sched_spawn(sched, "a", misuses[_i].body, NULL);
	ck_assert_int_eq(run_tasks(sched, SCHED_POINTS_ALL), RUN_DIED);
	ck_assert_ptr_nonnull(strstr(sched_report(sched), misuses[_i].report));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("co_rwlock");
	TCase *tcase = tcase_create("co_rwlock");
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, readers_share);
	tcase_add_test(tcase, writers_exclude_everybody);
	tcase_add_test(tcase, a_reader_that_comes_after_a_waiting_writer_waits_behind_it);
	tcase_add_test(tcase, readers_side_by_side_in_the_queue_are_let_in_together);
	tcase_add_test(tcase, a_shared_hold_may_be_released_by_another_task);
	tcase_add_test(tcase, a_waiting_writer_counts_as_a_writer);
	tcase_add_test(tcase, in_every_interleaving_nobody_meets_a_writer_or_overtakes_one);
	tcase_add_test(tcase, readers_alone_never_wait);
	tcase_add_loop_test(tcase, misuse_ends_the_run, 0,
			    (int)(sizeof(misuses) / sizeof(misuses[0])));
	return run_case(suite, tcase);
}
