// SPDX-License-Identifier: MIT
/* log2 (1 + n) and not log2 n, so that nothing at all is 0 and a zeroed struct a sum to add to. Of
 * two such numbers a >= b the sum is
 *
 *     log2 (2^a + 2^b - 1)  =  a + log2 (1 + (2^b - 1) / 2^a)
 *
 * in which nothing overflows. */
#include "oracle/magnitude.h"

#include <math.h>
#include <stdio.h>

/* Numbers up to here are written out: a double has them exactly. */
static const double WRITTEN_MAX = 1e6;

struct magnitude magnitude_of_log2(double log2_count)
{
	return (struct magnitude){ log2_count + log1p(exp2(-log2_count)) / log(2) };
}

struct magnitude magnitude_add(struct magnitude a, struct magnitude b)
{
	double more = fmax(a.log2_more, b.log2_more);
	double less = fmin(a.log2_more, b.log2_more);

	/* 2^(less - more) - 2^-more: both are at most 1. */
	return (struct magnitude){ more + log1p(exp2(less - more) - exp2(-more)) / log(2) };
}

double magnitude_log10(struct magnitude magnitude)
{
	double log2_more = magnitude.log2_more;

	return (log2_more + log1p(-exp2(-log2_more)) / log(2)) * log10(2);
}

const char *magnitude_text(struct magnitude magnitude, char text[MAGNITUDE_TEXT_BYTES])
{
	double log10_count = magnitude_log10(magnitude);
	double count = exp2(magnitude.log2_more) - 1;

	if (count <= WRITTEN_MAX)
		snprintf(text, MAGNITUDE_TEXT_BYTES, "%.0f", count);
	else
		snprintf(text, MAGNITUDE_TEXT_BYTES, "about 10^%.1f", log10_count);
	return text;
}
