// SPDX-License-Identifier: MIT
/* Any bytes as an image, any numbers as a run: the judge neither aborts nor runs for ever, and says
 * the same whether it steps back or starts afresh.
 *
 * Input: u16 length of the image, the image, then records of 24 bytes, all big-endian: u8 kind, u8
 * op, u8 id, i8 result, u32 data, u64 offset, u64 length. `data` names bytes of the input: the high
 * half where they begin, the low half how many there are. */
#include "oracle/judge.h"

#include <endian.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_BYTES = 24, RECORDS_MAX = 64, DATA_BYTES_MAX = 4096 };

static uint64_t number(const uint8_t *from, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value = value << 8 | from[i];
	return value;
}

static void add_record(struct event_log *log, const uint8_t *record, const uint8_t *input,
		       size_t input_bytes)
{
	struct event event = { .kind = record[0],
			       .op = record[1],
			       .id = record[2],
			       .result = (int8_t)record[3],
			       .length = number(record + 16, 8) };
	size_t start = (size_t)number(record + 4, 2);
	size_t bytes = (size_t)number(record + 6, 2) % DATA_BYTES_MAX;

	event.host_offset = number(record + 8, 8);
	if (start > input_bytes)
		start = input_bytes;
	if (bytes > input_bytes - start)
		bytes = input_bytes - start;
	if (event.kind == EVENT_IO_EFFECT && event.op == IO_WRITE && event.result > 0)
		event.result = (int32_t)bytes;
	event_log_append(log, &event, input + start, bytes);
}

static void check_same(const struct judge_report *a, const struct judge_report *b)
{
	if (a->verdict_count != b->verdict_count || a->counts.states != b->counts.states ||
	    a->leaked != b->leaked)
		abort();
	for (size_t i = 0; i < a->verdict_count; i++)
		if (strcmp(a->verdicts[i].message, b->verdicts[i].message) != 0)
			abort();
}

static void judge_it(const struct trace_file *file, const struct event_log *log)
{
	struct judge_options options = { .models = CRASH_PREFIX | CRASH_TORN,
					 .count_distinct = true };
	struct judge_report stepped;
	struct judge_report fresh;
	struct judge *judge;
	struct judge *again;

	if (judge_new(&judge, file, 1, &options, NULL) != STATUS_OK)
		return;
	judge_run(judge, log, 0, &stepped);
	judge_run(judge, log, log->count / 2, &stepped);
	if (judge_new(&again, file, 1, &options, NULL) != STATUS_OK)
		abort();
	judge_run(again, log, 0, &fresh);
	check_same(&stepped, &fresh);
	judge_free(judge);
	judge_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t input_bytes);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t input_bytes)
{
	char path[] = "image";
	struct trace_file file = { .path = path,
				   .format = TRACE_FORMAT_QCOW2,
				   .backing = TRACE_NO_BACKING };
	struct event_log log;
	size_t image_bytes;

	if (input_bytes < 2)
		return 0;
	image_bytes = (size_t)number(input, 2);
	if (image_bytes > input_bytes - 2)
		image_bytes = input_bytes - 2;
	file.initial = content_new(image_bytes);
	if (file.initial == NULL ||
	    content_write(file.initial, input + 2, image_bytes, 0) != STATUS_OK)
		return 0;
	event_log_init(&log);
	for (size_t at = 2 + image_bytes;
	     at + RECORD_BYTES <= input_bytes && log.count < RECORDS_MAX; at += RECORD_BYTES)
		add_record(&log, input + at, input, input_bytes);
	judge_it(&file, &log);
	event_log_release(&log);
	content_free(file.initial);
	return 0;
}
