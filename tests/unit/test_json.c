// SPDX-License-Identifier: MIT
#include "tests/run_suite.h"
#include "workloads/cli/json.h"

#include <check.h>
#include <stdlib.h>

static char *text;
static size_t text_bytes;
static struct json json;

static void begin(void)
{
	json = (struct json){ .file = open_memstream(&text, &text_bytes) };
	ck_assert_ptr_nonnull(json.file);
}

static void expect(const char *expected)
{
	fclose(json.file);
	ck_assert_str_eq(text, expected);
	free(text);
}

START_TEST(objects_and_lists_are_indented_in_the_order_written)
{
	begin();
	json_begin_object(&json, NULL);
	json_text(&json, "command", "sweep");
	json_number(&json, "runs", UINT64_MAX);
	json_bool(&json, "complete", true);
	json_text(&json, "trace", NULL);
	json_offset(&json, "guest_offset", UINT64_MAX);
	json_offset(&json, "host_offset", 4096);
	json_seconds(&json, "elapsed_seconds", 1.5);
	json_begin_list(&json, "empty");
	json_end_list(&json);
	json_begin_list(&json, "violations");
	json_begin_object(&json, NULL);
	json_end_object(&json);
	json_begin_object(&json, NULL);
	json_null(&json, "x");
	json_end_object(&json);
	json_end_list(&json);
	json_end_object(&json);
	expect("{\n  \"command\": \"sweep\",\n  \"runs\": 18446744073709551615,\n"
	       "  \"complete\": true,\n  \"trace\": null,\n  \"guest_offset\": null,\n"
	       "  \"host_offset\": 4096,\n  \"elapsed_seconds\": 1.500,\n  \"empty\": [],\n"
	       "  \"violations\": [\n    {},\n    {\n      \"x\": null\n    }\n  ]\n}\n");
}
END_TEST

START_TEST(every_byte_becomes_valid_json)
{
	begin();
	json_begin_list(&json, NULL);
	json_text(&json, NULL, "quote \" slash \\ line \n tab \t bell \a del \x7f");
	json_text(&json, NULL, "gr\xc3\xbc\xc3\x9f");
	json_text(&json, NULL, "cut \xc3, alone \x80, overlong \xc0\xaf, surrogate \xed\xa0\x80");
	json_end_list(&json);
	expect("[\n  \"quote \\\" slash \\\\ line \\n tab \\t bell \\u0007 del \\u007f\",\n"
	       "  \"gr\xc3\xbc\xc3\x9f\",\n"
	       "  \"cut \\ufffd, alone \\ufffd, overlong \\ufffd\\ufffd, surrogate "
	       "\\ufffd\\ufffd\\ufffd\"\n]\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("json");
	TCase *tests = tcase_create("json");
	suite_add_tcase(suite, tests);
	tcase_add_test(tests, objects_and_lists_are_indented_in_the_order_written);
	tcase_add_test(tests, every_byte_becomes_valid_json);
	return run_suite(suite);
}
