// SPDX-License-Identifier: MIT
#include "traces/schedule.h"

#include "traces/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The pick of a symbol is its place here. */
static const char symbols[] = "0123456789abcdefghijklmnopqrstuvwxyz";

static const char prefix[] = "s1:";

enum {
	SYMBOL_COUNT = sizeof(symbols) - 1,
	REPEAT_MIN = 4,
	/** The longest piece of text for one run of equal picks: "(4294967294)*1048576." */
	PIECE_BYTES = 32,
};

void schedule_init(struct schedule *schedule)
{
	*schedule = (struct schedule){ 0 };
}

void schedule_release(struct schedule *schedule)
{
	free(schedule->steps);
	schedule_init(schedule);
}

void schedule_reset(struct schedule *schedule)
{
	schedule->count = 0;
}

void schedule_append(struct schedule *schedule, uint32_t pick, uint32_t count)
{
	assert(schedule->count < SCHEDULE_PICKS_MAX);
	if (schedule->count == schedule->capacity)
		schedule->steps = memory_grow(schedule->steps, &schedule->capacity,
					      schedule->count + 1, sizeof(*schedule->steps));
	schedule->steps[schedule->count++] = (struct schedule_step){ .pick = pick, .count = count };
}

void schedule_copy(struct schedule *to, const struct schedule *from)
{
	if (to == from)
		return;
	to->steps = memory_grow(to->steps, &to->capacity, from->count, sizeof(*to->steps));
	if (from->count)
		memcpy(to->steps, from->steps, from->count * sizeof(*to->steps));
	to->count = from->count;
}

/* Text under construction. */
struct text {
	char *bytes;
	size_t used;
	size_t capacity;
};

static bool text_put(struct text *text, const char *piece)
{
	size_t bytes = strlen(piece);
	if (text->used + bytes + 1 > text->capacity) {
		size_t capacity = 2 * text->capacity + bytes + 1;
		char *grown = realloc(text->bytes, capacity);
		if (!grown)
			return false;
		text->bytes = grown;
		text->capacity = capacity;
	}
	memcpy(text->bytes + text->used, piece, bytes + 1);
	text->used += bytes;
	return true;
}

/* `repeats` times the same pick. */
static bool text_put_picks(struct text *text, uint32_t pick, size_t repeats)
{
	char symbol[PIECE_BYTES];
	if (pick < SYMBOL_COUNT)
		snprintf(symbol, sizeof(symbol), "%c", symbols[pick]);
	else
		snprintf(symbol, sizeof(symbol), "(%" PRIu32 ")", pick);
	if (repeats >= REPEAT_MIN) {
		char count[PIECE_BYTES];
		snprintf(count, sizeof(count), "*%zu.", repeats);
		return text_put(text, symbol) && text_put(text, count);
	}
	bool stored = true;
	for (size_t i = 0; i < repeats && stored; i++)
		stored = text_put(text, symbol);
	return stored;
}

char *schedule_print(const struct schedule *schedule)
{
	size_t count = schedule->count;
	while (count && schedule->steps[count - 1].pick == 0)
		count--;
	struct text text = { 0 };
	bool stored = text_put(&text, prefix);
	for (size_t from = 0; from < count && stored;) {
		uint32_t pick = schedule->steps[from].pick;
		size_t to = from + 1;
		while (to < count && schedule->steps[to].pick == pick)
			to++;
		stored = text_put_picks(&text, pick, to - from);
		from = to;
	}
	if (!stored) {
		free(text.bytes);
		return NULL;
	}
	return text.bytes;
}

/* A place in the text that is parsed. */
struct cursor {
	const char *text;
	size_t at;
	struct why *why;
};

static enum status complain(const struct cursor *cursor, size_t at, const char *problem)
{
	return why_set(cursor->why, STATUS_BAD_INPUT, "schedule: column %zu: %s", at + 1, problem);
}

/* Decimal digits up to `max`. */
static enum status parse_number(struct cursor *cursor, uint32_t max, uint32_t *number)
{
	size_t first = cursor->at;
	uint64_t value = 0;
	while (cursor->text[cursor->at] >= '0' && cursor->text[cursor->at] <= '9') {
		value = value * 10 + (uint64_t)(cursor->text[cursor->at] - '0');
		if (value > max)
			return complain(cursor, first, "number is too large");
		cursor->at++;
	}
	if (cursor->at == first)
		return complain(cursor, first, "expected a number");
	*number = (uint32_t)value;
	return STATUS_OK;
}

static enum status expect(struct cursor *cursor, char wanted, const char *problem)
{
	if (cursor->text[cursor->at] != wanted)
		return complain(cursor, cursor->at, problem);
	cursor->at++;
	return STATUS_OK;
}

static enum status parse_pick(struct cursor *cursor, uint32_t *pick)
{
	char symbol = cursor->text[cursor->at];
	if (symbol == '(') {
		cursor->at++;
		enum status status = parse_number(cursor, UINT32_MAX - 1, pick);
		if (status != STATUS_OK)
			return status;
		return expect(cursor, ')', "expected ')' after a number");
	}
	const char *found = strchr(symbols, symbol);
	if (!found)
		return complain(cursor, cursor->at, "not a pick (0-9, a-z or '(n)')");
	*pick = (uint32_t)(found - symbols);
	cursor->at++;
	return STATUS_OK;
}

/* What may follow a pick: `*<k>.` */
static enum status parse_repeats(struct cursor *cursor, uint32_t *repeats)
{
	*repeats = 1;
	if (cursor->text[cursor->at] != '*')
		return STATUS_OK;
	size_t number_at = ++cursor->at;
	enum status status = parse_number(cursor, SCHEDULE_PICKS_MAX, repeats);
	if (status != STATUS_OK)
		return status;
	if (*repeats == 0)
		return complain(cursor, number_at, "a pick is repeated at least once");
	return expect(cursor, '.', "expected '.' after a repetition");
}

static enum status parse_picks(struct schedule *schedule, struct cursor *cursor)
{
	while (cursor->text[cursor->at]) {
		size_t start = cursor->at;
		uint32_t pick = 0;
		uint32_t repeats = 0;
		enum status status = parse_pick(cursor, &pick);
		if (status == STATUS_OK)
			status = parse_repeats(cursor, &repeats);
		if (status != STATUS_OK)
			return status;
		if (repeats > SCHEDULE_PICKS_MAX - schedule->count)
			return complain(cursor, start, "more picks than a schedule can hold");
		for (uint32_t i = 0; i < repeats; i++)
			schedule_append(schedule, pick, 0);
	}
	return STATUS_OK;
}

enum status schedule_parse(struct schedule *schedule, const char *text, struct why *why)
{
	schedule_reset(schedule);
	struct cursor cursor = { text, 0, why };
	for (; cursor.at < sizeof(prefix) - 1; cursor.at++) {
		if (text[cursor.at] != prefix[cursor.at])
			return complain(&cursor, cursor.at, "a schedule begins with 's1:'");
	}
	enum status status = parse_picks(schedule, &cursor);
	if (status != STATUS_OK)
		schedule_reset(schedule);
	return status;
}
