// SPDX-License-Identifier: MIT
#include "workloads/language_words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool words_split(struct words *words, char *line)
{
	words->count = 0;
	for (char *at = line; *at;) {
		if (*at == ' ') {
			*at++ = 0;
			continue;
		}
		if (words->count == WORDS_MAX)
			return false;
		words->word[words->count++] = at;
		at += strcspn(at, " ");
	}
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The factor that suffix `c` stands for; 0 when it is none. */
static uint64_t suffix_factor(char c)
{
	static const char suffixes[] = "BKMGTPE";
	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	const char *found = c ? strchr(suffixes, c) : NULL;
	return found ? (uint64_t)1 << (10 * (found - suffixes)) : 0;
}

/* Digits from `*text` on in `base`; moves `*text` behind them. False: none, or too large. */
static bool digits_parse(const char **text, int base, uint64_t *value)
{
	if (base == 10 ? !is_digit(**text) : !strchr("0123456789abcdefABCDEF", **text) || !**text)
		return false;
	char *end = NULL;
	errno = 0;
	unsigned long long parsed = strtoull(*text, &end, base);
	if (errno)
		return false;
	*text = end;
	*value = parsed;
	return true;
}

/* The fraction behind a '.', in millionths. An empty one is 0, as in qemu-io ("1.k"). */
static bool fraction_parse(const char **text, uint64_t *millionths)
{
	uint64_t value = 0;
	unsigned digits = 0;
	for (; is_digit(**text); (*text)++, digits++)
		value = digits < 6 ? value * 10 + (uint64_t)(**text - '0') : value;
	if (digits > 6)
		return false;
	for (; digits < 6; digits++)
		value *= 10;
	*millionths = value;
	return true;
}

bool size_parse(const char *text, uint64_t *bytes)
{
	uint64_t whole = 0, millionths = 0, factor = 1;
	if (*text == '+')
		text++;
	bool is_hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	if (is_hex)
		text += 2;
	if (!digits_parse(&text, is_hex ? 16 : 10, &whole))
		return false;
	if (*text == '.' && !is_hex) {
		text++;
		if (!fraction_parse(&text, &millionths))
			return false;
	}
	if (*text) {
		factor = suffix_factor(*text++);
		if (!factor || *text)
			return false;
	}
	bool fraction_fits = factor > 1 && factor <= (uint64_t)1 << 40;
	if (millionths && !fraction_fits)
		return false;
	uint64_t fraction = millionths * (fraction_fits ? factor : 0) / 1000000;
	if (whole > INT64_MAX / factor || whole * factor > INT64_MAX - fraction)
		return false;
	*bytes = whole * factor + fraction;
	return true;
}

bool pattern_parse(const char *text, uint8_t *pattern)
{
	if (!is_digit(*text))
		return false;
	char *end = NULL;
	errno = 0;
	unsigned long value = strtoul(text, &end, 0);
	if (errno || *end || value > UINT8_MAX)
		return false;
	*pattern = (uint8_t)value;
	return true;
}

bool count_parse(const char *text, uint64_t most, uint64_t *count)
{
	uint64_t value = 0;
	if (!digits_parse(&text, 10, &value) || *text || value > most)
		return false;
	*count = value;
	return true;
}

const char *word_printable(char *printable, const char *text)
{
	size_t at = 0;
	for (; text[at] && at + 1 < PRINTABLE_BYTES; at++) {
		bool is_printable = text[at] >= ' ' && text[at] <= '~';
		printable[at] = '?';
		if (is_printable)
			printable[at] = text[at];
	}
	printable[at] = 0;
	return printable;
}

char *word_trimmed(char *text)
{
	text += strspn(text, " \t");
	size_t bytes = strlen(text);
	while (bytes && strchr(" \t\r", text[bytes - 1]))
		text[--bytes] = 0;
	return text;
}
