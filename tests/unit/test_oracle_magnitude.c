// SPDX-License-Identifier: MIT
/* Numbers too large to write down: small ones are exact, large ones keep their logarithm. */
#include "oracle/magnitude.h"
#include "tests/run_suite.h"

#include <check.h>
#include <math.h>
#include <stdio.h>

static struct magnitude times(struct magnitude magnitude, unsigned count)
{
	struct magnitude sum = { 0 };

	for (unsigned i = 0; i < count; i++)
		sum = magnitude_add(sum, magnitude);
	return sum;
}

START_TEST(small_numbers_are_written_out)
{
	char text[MAGNITUDE_TEXT_BYTES], expected[MAGNITUDE_TEXT_BYTES];
	const struct magnitude one = magnitude_of_log2(0);
	struct magnitude sum = { 0 };

	ck_assert_str_eq(magnitude_text(sum, text), "0");
	ck_assert(isinf(magnitude_log10(sum)) && magnitude_log10(sum) < 0);
	for (unsigned i = 1; i <= 2000; i++) {
		sum = magnitude_add(sum, one);
		snprintf(expected, sizeof(expected), "%u", i);
		ck_assert_str_eq(magnitude_text(sum, text), expected);
	}
	for (unsigned a = 0; a < 40; a++) {
		for (unsigned b = 1; b < 40; b++) {
			snprintf(expected, sizeof(expected), "%u", a * 9 + b * 16);
			sum = magnitude_add(times(magnitude_of_log2(log2(9)), a),
					    times(magnitude_of_log2(4), b));
			ck_assert_str_eq(magnitude_text(sum, text), expected);
		}
	}
}
END_TEST

START_TEST(large_numbers_keep_their_logarithm)
{
	char text[MAGNITUDE_TEXT_BYTES];
	struct magnitude million = magnitude_of_log2(log2(1e6));

	ck_assert_str_eq(magnitude_text(million, text), "1000000");
	ck_assert_str_eq(magnitude_text(times(million, 10), text), "about 10^7.0");
	for (double exponent = 7; exponent < 1e6; exponent *= 3) {
		struct magnitude power = magnitude_of_log2(exponent / log10(2));

		ck_assert_double_eq_tol(magnitude_log10(power), exponent, exponent * 1e-12);
		ck_assert_double_eq_tol(magnitude_log10(times(power, 1000)), exponent + 3,
					exponent * 1e-12);
		ck_assert_double_eq_tol(magnitude_log10(magnitude_add(million, power)),
					log10(1 + pow(10, 6 - exponent)) + exponent,
					exponent * 1e-12);
	}
}
END_TEST

START_TEST(nothing_overflows)
{
	struct magnitude huge = magnitude_of_log2(1e15);

	ck_assert_double_eq_tol(magnitude_log10(magnitude_add(huge, huge)), 1e15 * log10(2), 1);
	ck_assert_double_eq(magnitude_add(huge, (struct magnitude){ 0 }).log2_more, huge.log2_more);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("oracle_magnitude");
	TCase *tests = tcase_create("magnitude");

	tcase_add_test(tests, small_numbers_are_written_out);
	tcase_add_test(tests, large_numbers_keep_their_logarithm);
	tcase_add_test(tests, nothing_overflows);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
