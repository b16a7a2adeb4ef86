// SPDX-License-Identifier: MIT
/* Write the seeds of fuzz_trace into a folder: a rich trace, compressed, bare, and cut. */
#include "tests/unit/example_trace.h"

#include <stdio.h>
#include <stdlib.h>

static int write_bytes(const char *folder, const char *name, const uint8_t *bytes,
		       size_t byte_count)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "wb");
	if (!file) {
		perror(path);
		return 1;
	}
	size_t written = fwrite(bytes, 1, byte_count, file);
	return fclose(file) != 0 || written != byte_count;
}

int main(int count, char **arguments)
{
	if (count != 2) {
		fputs("usage: seed_trace FOLDER\n", stderr);
		return 2;
	}
	struct trace trace;
	example_trace(&trace);
	struct collected stream = { 0 };
	struct trace_sink sink = collecting_sink(&stream);
	int failed = trace_encode(&trace, &sink) != STATUS_OK;
	failed |= write_bytes(arguments[1], "bare", stream.bytes, stream.byte_count);
	failed |= write_bytes(arguments[1], "bare-cut", stream.bytes,
			      stream.ends[stream.put_count - 5] + 3);
	free(stream.bytes);
	char path[512];
	snprintf(path, sizeof(path), "%s/compressed", arguments[1]);
	struct why why = { "" };
	if (trace_write(&trace, path, &why) != STATUS_OK) {
		fprintf(stderr, "%s\n", why.text);
		failed = 1;
	}
	trace_release(&trace);
	return failed;
}
