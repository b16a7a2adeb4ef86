// SPDX-License-Identifier: MIT
/** How many there are, when there are too many to write the number down. */
#ifndef ORACLE_MAGNITUDE_H
#define ORACLE_MAGNITUDE_H

#include <stddef.h>

/** A number n >= 0 as log2 (1 + n). Zero-initialised: none. */
struct magnitude {
	double log2_more;
};

enum { MAGNITUDE_TEXT_BYTES = 32 };

/** The number whose binary logarithm is `log2_count` (not negative). */
struct magnitude magnitude_of_log2(double log2_count);

/** The sum of both. Rounds in the last of a double's 15 digits, in whatever order many are added.
 */
struct magnitude magnitude_add(struct magnitude a, struct magnitude b);

/** The decimal logarithm; minus infinity when there are none. */
double magnitude_log10(struct magnitude magnitude);

/** "0", "1234", "about 10^12.3". Returns `text`. */
const char *magnitude_text(struct magnitude magnitude, char text[MAGNITUDE_TEXT_BYTES]);

#endif
