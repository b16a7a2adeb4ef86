// SPDX-License-Identifier: MIT
#include "tests/exhaustive/small_world.h"

#include "injector/splitmix.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CLUSTER_BYTES = 1024, HALF_BYTES = CLUSTER_BYTES / 2, HALVES = 4, REQUESTS_MAX = 3 };

__attribute__((format(printf, 3, 4))) static void add(char *text, size_t text_bytes,
						      const char *format, ...)
{
	size_t used = strlen(text);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text + used, text_bytes - used, format, arguments);
	va_end(arguments);
}

/* The last request need not be asynchronous: the script has nothing else to do. */
static void add_request(char *text, size_t text_bytes, struct splitmix *random, uint32_t number,
			const char *aio)
{
	uint32_t from = splitmix_below(random, HALVES);
	uint32_t count = 1 + splitmix_below(random, HALVES - from < 2 ? HALVES - from : 2);
	uint32_t guest_offset = from * HALF_BYTES, bytes = count * HALF_BYTES;
	uint32_t cluster = from / 2 * CLUSTER_BYTES;
	switch (splitmix_below(random, 8)) {
	case 0: add(text, text_bytes, "flush\n"); break;
	case 1: add(text, text_bytes, "%sread %u %u\n", aio, guest_offset, bytes); break;
	case 2: add(text, text_bytes, "%swrite -z %u %u\n", aio, guest_offset, bytes); break;
	case 3: add(text, text_bytes, "%sdiscard %u %u\n", aio, cluster, CLUSTER_BYTES); break;
	default:
		add(text, text_bytes, "%swrite -P 0x%x%x %u %u\n", aio, number, number,
		    guest_offset, bytes);
		break;
	}
}

void small_world_text(char *text, size_t text_bytes, uint64_t seed)
{
	static const char *const policies[] = { "cancel", "delayed", "eager" };
	static const char *const backings[] = { "none", "pattern" };
	/* One call's errors, its cuts too, everything's memory, flushes that fail. */
	static const char *const faults_of[] = { "posix/io/rw/pwritev", "posix/io/rw/pwritev*",
						 "libc/mm/malloc", "posix/io/sync/*" };
	struct splitmix random = { .state = seed };
	uint32_t requests = 2 + (splitmix_below(&random, 4) == 0);
	uint32_t faults = splitmix_below(&random, 4) == 0;
	text[0] = 0;
	add(text, text_bytes, "#@ image size=%d cluster_size=%d backing=%s\n", HALVES * HALF_BYTES,
	    CLUSTER_BYTES, backings[splitmix_below(&random, 2)]);
	add(text, text_bytes, "#@ policy %s\n", policies[splitmix_below(&random, 3)]);
	if (faults)
		add(text, text_bytes, "#@ faults 1 %s\n", faults_of[splitmix_below(&random, 4)]);
	for (uint32_t i = 1; i <= requests; i++) {
		if (i == requests && seed % 4 == 1)
			add(text, text_bytes, "aio_flush\n");
		add_request(text, text_bytes, &random, i, i < requests ? "aio_" : "");
	}
}
