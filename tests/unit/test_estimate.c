// SPDX-License-Identifier: MIT
#include "injector/estimate.h"
#include "injector/splitmix.h"
#include "tests/run_suite.h"

#include <check.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum { DEPTH_MAX = 8, CLASSES = 1000 };

static void check_near(double value, double expected)
{
	ck_assert_msg(fabs(value - expected) < 1e-9, "%.12f where %.12f was expected", value,
		      expected);
}

START_TEST(nothing_sampled_is_all_unseen)
{
	struct distinct_estimate estimate;

	distinct_estimate_init(&estimate);
	check_near(distinct_estimate_unseen(&estimate), 1);
	check_near(distinct_estimate_classes(&estimate), 0);
	distinct_estimate_release(&estimate);
}
END_TEST

START_TEST(classes_seen_once_and_twice_give_the_published_figures)
{
	/* Four classes once, two twice, one three times: the hash 0 is a class like others. */
	static const uint64_t hashes[] = { 1, 2, 3, 0, 5, 5, 6, 6, 7, 7, 7 };
	struct distinct_estimate estimate;

	distinct_estimate_init(&estimate);
	for (size_t i = 0; i < 11; i++)
		distinct_estimate_add(&estimate, hashes[i]);
	ck_assert_uint_eq(estimate.runs, 11);
	ck_assert_uint_eq(estimate.distinct, 7);
	ck_assert_uint_eq(estimate.singletons, 4);
	ck_assert_uint_eq(estimate.doubletons, 2);
	check_near(distinct_estimate_unseen(&estimate), 4.0 / 11);
	check_near(distinct_estimate_classes(&estimate), 7 + 10.0 / 11 * 4 * 3 / (2 * 3));
	distinct_estimate_release(&estimate);
	ck_assert_uint_eq(estimate.runs, 0);
}
END_TEST

/* A class out of CLASSES: all alike, or, `skewed`, the first ones far more often. */
static uint32_t draw(struct splitmix *random, bool skewed)
{
	uint32_t drawn = splitmix_below(random, CLASSES);
	return skewed ? splitmix_below(random, splitmix_below(random, drawn + 1) + 1) : drawn;
}

/* Sample 1500 runs: adds the estimates to the sums, and the true chance that a run is new. */
static void sample(struct splitmix *random, bool skewed, double sums[3])
{
	struct distinct_estimate estimate;
	bool seen[CLASSES] = { false };
	unsigned fresh = 0;

	distinct_estimate_init(&estimate);
	for (int run = 0; run < 1500; run++) {
		uint32_t class = draw(random, skewed);
		seen[class] = true;
		distinct_estimate_add(&estimate, class);
	}
	for (int run = 0; run < 20000; run++)
		fresh += !seen[draw(random, skewed)];
	ck_assert(distinct_estimate_classes(&estimate) >= (double)estimate.distinct);
	sums[0] += distinct_estimate_classes(&estimate);
	sums[1] += distinct_estimate_unseen(&estimate);
	sums[2] += fresh / 20000.0;
	distinct_estimate_release(&estimate);
}

START_TEST(estimates_fit_what_further_runs_show)
{
	enum { SAMPLES = 40 };

	for (int skewed = 0; skewed < 2; skewed++) {
		struct splitmix random = { 20261122 };
		double sums[3] = { 0 };
		for (int i = 0; i < SAMPLES; i++)
			sample(&random, skewed, sums);
		/* All classes alike: Chao's bound is reached. Else it stays below. */
		double classes = sums[0] / SAMPLES;
		ck_assert(classes < CLASSES * 1.02);
		ck_assert(skewed || classes > CLASSES * 0.98);
		ck_assert_msg(fabs(sums[1] - sums[2]) / SAMPLES < 0.01, "%f, tried %f",
			      sums[1] / SAMPLES, sums[2] / SAMPLES);
	}
}
END_TEST

START_TEST(all_classes_seen_often_leave_nothing_unseen)
{
	struct distinct_estimate estimate;

	distinct_estimate_init(&estimate);
	for (uint64_t i = 0; i < 15000; i++)
		distinct_estimate_add(&estimate, i % 5000);
	ck_assert_uint_eq(estimate.distinct, 5000);
	check_near(distinct_estimate_classes(&estimate), 5000);
	check_near(distinct_estimate_unseen(&estimate), 0);
	distinct_estimate_release(&estimate);
}
END_TEST

/* How many branches the node has at the end of the first `depth` picks; 0: it is a leaf. */
static uint32_t branches_at(const struct schedule_step *path, size_t depth, uint64_t seed)
{
	uint64_t hash = seed;

	for (size_t i = 0; i < depth; i++)
		hash = splitmix_mix(hash + path[i].pick + 1);
	return depth == DEPTH_MAX || hash % 5 == 4 ? 0 : 1 + (uint32_t)(hash % 3);
}

/* Walk the tree of `seed` depth first. `weight`: the sum of the leaves' weights. */
static void walk(struct tree_estimate *estimate, struct schedule_step *path, uint64_t seed)
{
	size_t depth = 0;
	double weight = 0;

	while (true) {
		for (uint32_t count; (count = branches_at(path, depth, seed)) > 0; depth++)
			path[depth] = (struct schedule_step){ 0, count };
		tree_estimate_add(estimate, path, depth);
		double leaf = 1;
		for (size_t i = 0; i < depth; i++)
			leaf /= path[i].count;
		weight += leaf;
		check_near(tree_estimate_fraction(estimate), weight);
		while (depth > 0 && path[depth - 1].pick + 1 == path[depth - 1].count)
			depth--;
		if (depth == 0)
			return;
		path[depth - 1].pick++;
	}
}

START_TEST(the_fraction_is_the_sum_of_the_weights_of_the_leaves)
{
	for (uint64_t seed = 0; seed < 100; seed++) {
		struct schedule_step path[DEPTH_MAX];
		struct tree_estimate estimate;
		tree_estimate_init(&estimate);
		check_near(tree_estimate_fraction(&estimate), 0);
		ck_assert(isinf(tree_estimate_seconds_left(&estimate, 1)));
		walk(&estimate, path, seed);
		check_near(tree_estimate_fraction(&estimate), 1);
		check_near(tree_estimate_leaves(&estimate), (double)estimate.leaves);
		check_near(tree_estimate_seconds_left(&estimate, 12), 0);
		tree_estimate_release(&estimate);
	}
}
END_TEST

START_TEST(a_regular_tree_is_predicted_from_any_of_its_leaves)
{
	struct schedule_step path[] = { { 0, 2 }, { 0, 3 }, { 0, 4 } };
	struct tree_estimate estimate;

	tree_estimate_init(&estimate);
	tree_estimate_add(&estimate, path, 3);
	check_near(tree_estimate_leaves(&estimate), 24);
	path[2].pick = 1;
	tree_estimate_add(&estimate, path, 3);
	path[2].pick = 2;
	tree_estimate_add(&estimate, path, 3);
	check_near(tree_estimate_leaves(&estimate), 24);
	check_near(tree_estimate_seconds_left(&estimate, 3), 21);
	tree_estimate_release(&estimate);
}
END_TEST

START_TEST(branches_that_become_known_later_lower_the_fraction_and_nothing_else)
{
	/* One branch known at first, as in a reduction that finds races at the leaves. */
	struct schedule_step path[] = { { 3, 1 }, { 1, 1 } };
	struct tree_estimate estimate;

	tree_estimate_init(&estimate);
	tree_estimate_add(&estimate, path, 2);
	check_near(tree_estimate_fraction(&estimate), 1);
	/* The first leaf showed that both nodes have another branch. */
	path[0].count = 2;
	path[1] = (struct schedule_step){ 2, 2 };
	tree_estimate_add(&estimate, path, 2);
	check_near(tree_estimate_fraction(&estimate), 1.0 / 2);
	/* A third one at the root, told when the second is walked; below it is a leaf at once. */
	path[0] = (struct schedule_step){ 0, 3 };
	tree_estimate_add(&estimate, path, 1);
	check_near(tree_estimate_fraction(&estimate), 2.0 / 3);
	/* A number of branches below what was walked is taken for what was walked. */
	path[0] = (struct schedule_step){ 5, 1 };
	tree_estimate_add(&estimate, path, 1);
	check_near(tree_estimate_fraction(&estimate), 1);
	ck_assert_uint_eq(estimate.leaves, 4);
	tree_estimate_release(&estimate);
}
END_TEST

START_TEST(a_tree_of_one_leaf_is_done_with_it)
{
	struct tree_estimate estimate;

	tree_estimate_init(&estimate);
	check_near(tree_estimate_leaves(&estimate), 0);
	tree_estimate_add(&estimate, NULL, 0);
	check_near(tree_estimate_fraction(&estimate), 1);
	check_near(tree_estimate_leaves(&estimate), 1);
	tree_estimate_release(&estimate);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("estimate");
	TCase *tests = tcase_create("estimate");

	tcase_add_test(tests, nothing_sampled_is_all_unseen);
	tcase_add_test(tests, classes_seen_once_and_twice_give_the_published_figures);
	tcase_add_test(tests, estimates_fit_what_further_runs_show);
	tcase_add_test(tests, all_classes_seen_often_leave_nothing_unseen);
	tcase_add_test(tests, the_fraction_is_the_sum_of_the_weights_of_the_leaves);
	tcase_add_test(tests, a_regular_tree_is_predicted_from_any_of_its_leaves);
	tcase_add_test(tests, branches_that_become_known_later_lower_the_fraction_and_nothing_else);
	tcase_add_test(tests, a_tree_of_one_leaf_is_done_with_it);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
