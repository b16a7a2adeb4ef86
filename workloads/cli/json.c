// SPDX-License-Identifier: MIT
#include "workloads/cli/json.h"

#include <inttypes.h>
#include <string.h>

/* Length of the UTF-8 sequence at `text`, 0 when it is none. */
static size_t sequence_bytes(const unsigned char *text)
{
	size_t bytes = text[0] < 0x80   ? 1
		       : text[0] < 0xc2 ? 0
		       : text[0] < 0xe0 ? 2
		       : text[0] < 0xf0 ? 3
		       : text[0] < 0xf5 ? 4
					: 0;
	for (size_t i = 1; i < bytes; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	bool is_overlong =
		(text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
	bool is_surrogate = text[0] == 0xed && text[1] > 0x9f;
	bool is_beyond = text[0] == 0xf4 && text[1] > 0x8f;
	return is_overlong || is_surrogate || is_beyond ? 0 : bytes;
}

static void put_text(FILE *file, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	fputc('"', file);
	while (*at) {
		size_t bytes = sequence_bytes(at);
		if (*at == '"' || *at == '\\')
			fprintf(file, "\\%c", *at);
		else if (*at == '\n')
			fputs("\\n", file);
		else if (*at == '\t')
			fputs("\\t", file);
		else if (*at < ' ' || *at == 0x7f)
			fprintf(file, "\\u%04x", *at);
		else if (!bytes)
			fputs("\\ufffd", file);
		else
			fwrite(at, 1, bytes, file);
		at += bytes ? bytes : 1;
	}
	fputc('"', file);
}

static void begin_item(struct json *json, const char *key)
{
	if (json->depth) {
		fputs(json->has_item ? ",\n" : "\n", json->file);
		fprintf(json->file, "%*s", (int)(2 * json->depth), "");
	}
	json->has_item = true;
	if (!key)
		return;
	put_text(json->file, key);
	fputs(": ", json->file);
}

static void begin(struct json *json, const char *key, char bracket)
{
	begin_item(json, key);
	fputc(bracket, json->file);
	json->depth++;
	json->has_item = false;
}

static void end(struct json *json, char bracket)
{
	json->depth--;
	if (json->has_item)
		fprintf(json->file, "\n%*s", (int)(2 * json->depth), "");
	fputc(bracket, json->file);
	if (!json->depth)
		fputc('\n', json->file);
	json->has_item = true;
}

void json_begin_object(struct json *json, const char *key)
{
	begin(json, key, '{');
}

void json_end_object(struct json *json)
{
	end(json, '}');
}

void json_begin_list(struct json *json, const char *key)
{
	begin(json, key, '[');
}

void json_end_list(struct json *json)
{
	end(json, ']');
}

void json_text(struct json *json, const char *key, const char *text)
{
	begin_item(json, key);
	if (text)
		put_text(json->file, text);
	else
		fputs("null", json->file);
}

void json_number(struct json *json, const char *key, uint64_t number)
{
	begin_item(json, key);
	fprintf(json->file, "%" PRIu64, number);
}

void json_seconds(struct json *json, const char *key, double seconds)
{
	begin_item(json, key);
	fprintf(json->file, "%.3f", seconds);
}

void json_real(struct json *json, const char *key, double number)
{
	begin_item(json, key);
	fprintf(json->file, "%.6g", number);
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin_item(json, key);
	fputs(value ? "true" : "false", json->file);
}

void json_null(struct json *json, const char *key)
{
	begin_item(json, key);
	fputs("null", json->file);
}

void json_offset(struct json *json, const char *key, uint64_t offset_bytes)
{
	if (offset_bytes == UINT64_MAX)
		json_null(json, key);
	else
		json_number(json, key, offset_bytes);
}
