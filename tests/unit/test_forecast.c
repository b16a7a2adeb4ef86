// SPDX-License-Identifier: MIT
/* Forecasts of trees whose size is known: jobs are made up here, with the same functions that a
 * search uses. */
#include "workloads/forecast.h"

#include "tests/run_suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { RUNS = 10, DEPTH_END = 40, TEXT_BYTES = 64 };

/** A family tree: a job of depth d has so many children at d + apart, until DEPTH_END. */
struct family {
	uint32_t children, apart;
	bool is_mixed; /* every third job has none */
};

static void open_job(struct ledger *ledger, size_t depth)
{
	char text[TEXT_BYTES];
	snprintf(text, sizeof(text), "s1:01|%zu/%zu|", depth ? depth - 1 : 0, depth);
	ledger_open(ledger, text, 0, 0);
}

static size_t depth_of(const struct open_job *job)
{
	unsigned last = 0, depth = 0;
	ck_assert_int_eq(sscanf(job->text, "s1:01|%u/%u|", &last, &depth), 2);
	return depth;
}

/* Do one job; every so many of a mixed family are done with it. */
static void do_job(struct ledger *ledger, struct forecast *forecast, const struct family *family)
{
	struct ledger part = { .interleavings = RUNS };
	struct open_job job = ledger_take(ledger, forecast_choose(forecast, ledger));
	size_t depth = depth_of(&job) + family->apart;
	bool is_barren = family->is_mixed && ledger->interleavings / RUNS % 3 == 2;
	for (uint32_t i = 0; depth < DEPTH_END && !is_barren && i < family->children; i++)
		open_job(&part, depth);
	forecast_learn(forecast, &job, &part);
	ledger->interleavings += part.interleavings;
	for (size_t i = 0; i < part.job_count; i++)
		open_job(ledger, depth);
	ledger_release(&part);
	free(job.text);
}

/* What it would take in all is said after `jobs` jobs; what it takes is returned. */
static double grow(const struct family *family, size_t jobs, double *said)
{
	struct ledger ledger = { 0 };
	struct forecast *forecast = forecast_new();
	open_job(&ledger, 0);
	for (size_t i = 0; ledger.job_count; i++) {
		if (i == jobs)
			*said = (double)ledger.interleavings +
				forecast_left(forecast, &ledger, NULL);
		do_job(&ledger, forecast, family);
	}
	double total = (double)ledger.interleavings;
	ck_assert_double_eq(forecast_left(forecast, &ledger, NULL), 0);
	ledger_release(&ledger);
	forecast_free(forecast);
	return total;
}

START_TEST(nothing_is_said_before_a_job_was_done)
{
	struct ledger ledger = { 0 };
	struct forecast *forecast = forecast_new();
	open_job(&ledger, 0);
	ck_assert_double_lt(forecast_left(forecast, &ledger, NULL), 0);
	ledger_release(&ledger);
	forecast_free(forecast);
}
END_TEST

START_TEST(where_jobs_of_one_depth_are_alike_the_forecast_is_exact)
{
	const struct family family = { .children = 2, .apart = 4 };
	double said = 0;
	double total = grow(&family, 40, &said);
	ck_assert_double_eq(total, RUNS * 1023.0);
	ck_assert_double_eq_tol(said, total, 1e-6);
}
END_TEST

START_TEST(where_they_differ_it_is_right_to_a_small_factor)
{
	const struct family family = { .children = 4, .apart = 5, .is_mixed = true };
	double said = 0;
	double total = grow(&family, 60, &said);
	ck_assert_double_gt(total, RUNS * 1000.0);
	ck_assert_double_gt(said, total / 3);
	ck_assert_double_lt(said, total * 3);
}
END_TEST

START_TEST(a_job_in_progress_counts)
{
	struct ledger ledger = { 0 };
	struct forecast *forecast = forecast_new();
	const struct family family = { .children = 2, .apart = 4 };
	open_job(&ledger, 0);
	do_job(&ledger, forecast, &family);
	double left = forecast_left(forecast, &ledger, NULL);
	struct open_job job = ledger_take(&ledger, 0);
	ck_assert_double_eq_tol(forecast_left(forecast, &ledger, &job), left, 1e-6);
	ck_assert_double_lt(forecast_left(forecast, &ledger, NULL), left);
	free(job.text);
	ledger_release(&ledger);
	forecast_free(forecast);
}
END_TEST

START_TEST(what_was_seldom_seen_goes_first)
{
	struct ledger ledger = { 0 };
	struct forecast *forecast = forecast_new();
	const struct family family = { .children = 3, .apart = 4 };
	open_job(&ledger, 0);
	/* Three jobs down the deepest branch are enough; then their older siblings come first. */
	bool was_older = false;
	for (int i = 0; i < 40; i++) {
		was_older |= forecast_choose(forecast, &ledger) != ledger.job_count - 1;
		do_job(&ledger, forecast, &family);
	}
	ck_assert(was_older);
	for (int i = 0; i < 60; i++)
		do_job(&ledger, forecast, &family);
	ck_assert_uint_eq(forecast_choose(forecast, &ledger), ledger.job_count - 1);
	ledger_release(&ledger);
	forecast_free(forecast);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("forecast");
	TCase *cases = tcase_create("trees");
	tcase_add_test(cases, nothing_is_said_before_a_job_was_done);
	tcase_add_test(cases, where_jobs_of_one_depth_are_alike_the_forecast_is_exact);
	tcase_add_test(cases, where_they_differ_it_is_right_to_a_small_factor);
	tcase_add_test(cases, a_job_in_progress_counts);
	tcase_add_test(cases, what_was_seldom_seen_goes_first);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
