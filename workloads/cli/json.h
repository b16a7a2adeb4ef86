// SPDX-License-Identifier: MIT
/** A JSON writer: two spaces a level, keys in the order in which they are written, so that two
 * outputs can be compared byte for byte. */
#ifndef WORKLOADS_CLI_JSON_H
#define WORKLOADS_CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/** Zero-initialised but for `file`. */
struct json {
	FILE *file; /* borrowed */
	unsigned depth;
	bool has_item; /* the present object or list has one already */
};

/** Begin and end an object or a list. `key` is NULL inside lists and for the outermost. Ending the
 * outermost writes a newline. */
void json_begin_object(struct json *json, const char *key);
void json_end_object(struct json *json);
void json_begin_list(struct json *json, const char *key);
void json_end_list(struct json *json);

/** One value; `key` is NULL inside lists. A NULL text is null. Bytes that are no UTF-8 become
 * U+FFFD. */
void json_text(struct json *json, const char *key, const char *text);
void json_number(struct json *json, const char *key, uint64_t number);
void json_seconds(struct json *json, const char *key, double seconds);
void json_real(struct json *json, const char *key, double number);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);

/** A number, or null when it is UINT64_MAX (an offset that does not apply). */
void json_offset(struct json *json, const char *key, uint64_t offset_bytes);

#endif
