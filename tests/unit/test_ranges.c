// SPDX-License-Identifier: MIT
/* Which calls of two threads wait for each other while they take effect. The recorder's lock is
 * ours here, so that a wait is seen when it begins. */
#include "injector/preload.h"
#include "injector/recorder.h"
#include "tests/run_suite.h"

#include <check.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <semaphore.h>

enum { KEEP = FALLOC_FL_KEEP_SIZE, ZERO = FALLOC_FL_ZERO_RANGE, PUNCH = FALLOC_FL_PUNCH_HOLE };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t told; /* the second call waits, or is over */
static bool has_waited;

void preload_lock(void)
{
	pthread_mutex_lock(&lock);
}

void preload_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

void preload_wait(pthread_cond_t *condition)
{
	has_waited = true;
	sem_post(&told);
	pthread_cond_wait(condition, &lock);
}

void preload_defer_cancel(void)
{
}

void preload_allow_cancel(void)
{
}

static const struct io_request requests[] = {
	{ .op = IO_READ, .host_offset = 0, .length = 100 },
	{ .op = IO_READ, .host_offset = 50, .length = 100 },
	{ .op = IO_WRITE, .host_offset = 50, .length = 100 },
	{ .op = IO_WRITE, .host_offset = 150, .length = 10 },
	{ .op = IO_ZERO, .mode = ZERO, .host_offset = 100, .length = 100 },
	{ .op = IO_ALLOCATE, .mode = 0, .host_offset = 100, .length = 100 },
	{ .op = IO_PUNCH, .mode = PUNCH | KEEP, .host_offset = 100, .length = 100 },
	{ .op = IO_ZERO, .mode = ZERO | KEEP, .host_offset = 300, .length = 10 },
	{ .op = IO_ALLOCATE, .mode = KEEP, .host_offset = 300, .length = 10 },
	{ .op = IO_RESIZE, .host_offset = 1000 },
};

enum { REQUESTS = sizeof(requests) / sizeof(requests[0]) };

/* A row and a column for each request: does the one wait for the other? */
static const char *const expected[REQUESTS] = {
	"..w....www", /* read [0, 100) */
	"..w.wwwwww", /* read [50, 150) */
	"www.wwwwww", /* write [50, 150) */
	"...wwwwwww", /* write [150, 160) */
	".wwwwwwwww", /* zero [100, 200) */
	".wwwwwwwww", /* allocate [100, 200) */
	".wwwwwwwww", /* punch [100, 200) */
	"wwwwwwwwww", /* zero, and keep the size */
	"wwwwwwwwww", /* allocate, and keep the size */
	"wwwwwwwwww", /* resize */
};

struct second {
	struct watched_open open;
	const struct io_request *request;
};

static void *call_second(void *context)
{
	const struct second *second = context;

	recorder_begin_effect(&second->open, second->request);
	recorder_end_effect();
	sem_post(&told);
	return NULL;
}

/* Does `second` wait for `first`, on the file `file` where that is on file 0? */
static bool waits(const struct io_request *first, const struct io_request *second, uint16_t file)
{
	const struct watched_open open = { .file = 0 };
	struct second context = { .open = { .file = file }, .request = second };
	pthread_t thread;

	has_waited = false;
	ck_assert_int_eq(sem_init(&told, 0, 0), 0);
	recorder_begin_effect(&open, first);
	ck_assert_int_eq(pthread_create(&thread, NULL, call_second, &context), 0);
	sem_wait(&told);
	bool waited = has_waited;
	recorder_end_effect();
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	sem_destroy(&told);
	return waited;
}

START_TEST(who_shares_bytes_or_the_size_waits)
{
	for (int i = 0; i < REQUESTS; i++)
		ck_assert_msg(waits(&requests[_i], &requests[i], 0) == (expected[_i][i] == 'w'),
			      "request %d after %d", i, _i);
}
END_TEST

START_TEST(nobody_waits_for_another_file)
{
	for (int i = 0; i < REQUESTS; i++)
		ck_assert(!waits(&requests[_i], &requests[i], 1));
}
END_TEST

START_TEST(a_call_inside_a_call_waits_for_nobody)
{
	const struct watched_open open = { .file = 0 };

	recorder_begin_effect(&open, &requests[REQUESTS - 1]);
	recorder_begin_effect(&open, &requests[REQUESTS - 1]);
	recorder_end_effect();
	recorder_end_effect();
	/* And what it held is free. */
	ck_assert(!waits(&requests[0], &requests[1], 0));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ranges");
	TCase *tests = tcase_create("ranges");

	tcase_add_loop_test(tests, who_shares_bytes_or_the_size_waits, 0, REQUESTS);
	tcase_add_loop_test(tests, nobody_waits_for_another_file, 0, REQUESTS);
	tcase_add_test(tests, a_call_inside_a_call_waits_for_nobody);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
