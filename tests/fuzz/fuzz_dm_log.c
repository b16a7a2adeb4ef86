// SPDX-License-Identifier: MIT
/* Any bytes as a dm-log-writes log. The first byte chooses the dialect. What can be read must be
 * sound: the trace is one that can be written, and as a log again it ends in the same bytes. */
#include "traces/dm_log_writes.h"

#include "traces/trace_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count);

static void require(bool holds, const char *sentence)
{
	if (holds)
		return;
	fprintf(stderr, "not so: %s\n", sentence);
	abort();
}

#define REQUIRE(condition) require(condition, #condition)

enum { IMAGE_BYTES = 5000 };

static void begin(struct trace *trace)
{
	static char image[IMAGE_BYTES];
	memset(image, 'i', sizeof(image));
	trace_init(trace);
	struct content *content = content_new(IMAGE_BYTES);
	REQUIRE(content && content_write(content, image, sizeof(image), 0) == STATUS_OK);
	trace_add_file(trace, "image", TRACE_FORMAT_RAW, TRACE_NO_BACKING, content);
}

static void check_same_end(const struct trace *trace, const struct trace *again)
{
	struct content *expected = trace_final_content(trace, 0);
	struct content *found = trace_final_content(again, 0);
	REQUIRE(expected && found);
	REQUIRE(content_size(found) >= content_size(expected));
	content_resize(expected, content_size(found));
	REQUIRE(content_equal(expected, found, NULL));
	content_free(expected);
	content_free(found);
}

static void check_round_trip(const struct trace *trace)
{
	char path[64];
	struct trace again;
	struct dm_log_facts facts;
	struct dm_log_written written;
	struct why why = { "" };
	snprintf(path, sizeof(path), "/tmp/cowtip-fuzz-dm-log-%d", (int)getpid());
	enum status status = dm_log_write(trace, &written, path, 512, &why);
	if (status == STATUS_UNSUPPORTED)
		return;
	REQUIRE(status == STATUS_OK);
	begin(&again);
	status = dm_log_read(&again, &facts, path, DM_LOG_DIALECT_KERNEL, &why);
	unlink(path);
	REQUIRE(status == STATUS_OK && facts.entries == written.entries);
	REQUIRE(written.promised_too_much == 0);
	check_same_end(trace, &again);
	trace_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count)
{
	struct trace trace;
	struct dm_log_facts facts;
	struct why why = { "" };
	if (!byte_count)
		return 0;
	const struct dm_log_bytes log = { bytes + 1, byte_count - 1, "input" };
	begin(&trace);
	enum status status =
		dm_log_read_memory(&trace, &facts, &log, (enum dm_log_dialect)(bytes[0] % 3), &why);
	if (status == STATUS_OK || status == STATUS_TRUNCATED) {
		REQUIRE(trace_check(&trace, "input", NULL) == STATUS_OK);
		check_round_trip(&trace);
	} else {
		REQUIRE(trace.log.count == 0 && why.text[0] && !strchr(why.text, '\n'));
	}
	trace_release(&trace);
	return 0;
}
