// SPDX-License-Identifier: MIT
#include "workloads/cli/story.h"

#include "tests/run_suite.h"
#include "workloads/cli/again.h"
#include "workloads/cli/roles.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const char text[] = "#@ image size=8k cluster_size=4k backing=pattern\n"
			   "write -P 0x11 0 1k\nflush\nread 0 512\n";

static struct again again;

static void execute(enum qcow2_policy policy)
{
	struct workload workload;
	struct why why = { "" };
	struct settings settings = {
		.world = { .policy = policy, .stamps = true },
		.models = CRASH_PREFIX,
		.strategy = "replay",
	};
	ck_assert_int_eq(workload_parse(&workload, "w", text, strlen(text), &why), STATUS_OK);
	enum status status = again_run_schedule(&again, &workload, &settings, "s1:", &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	ck_assert_uint_eq(again.judgement.verdict_count, 0);
	workload_release(&workload);
}

START_TEST(a_run_is_told_in_qcow2_words)
{
	execute(QCOW2_EAGER);
	char *story = story_tell(&again.trace, NULL);
	ck_assert_str_eq(story,
			 "  (6 smaller steps left out)\n"
			 "  request 1 begins: open\n"
			 "  request 1 (open) is acknowledged\n"
			 "  request 2 begins: write of 1024 bytes at guest 0x0\n"
			 "  1. data of request 2: guest 0x0+1024 -> host 0x4000\n"
			 "  2. request 2 copies (COW): guest 0x400+3072 -> host 0x4400\n"
			 "  3. request 2 writes a refcount block: host 0x2000+4096\n"
			 "  4. request 2 writes an L2 table (guest 0x0 and on): host 0x5000+4096\n"
			 "  5. request 2 writes the L1 table: host 0x3000+8\n"
			 "  request 2 (write) is acknowledged\n"
			 "  request 3 begins: flush\n"
			 "  6. request 3 writes an L2 table (guest 0x0 and on): host 0x5000+4096\n"
			 "  request 3 (flush) is acknowledged\n"
			 "  request 4 begins: read of 512 bytes at guest 0x0\n"
			 "  request 4 (read) is acknowledged\n"
			 "  request 5 begins: close\n"
			 "  request 5 (close) is acknowledged\n");
	free(story);
	again_release(&again);
}
END_TEST

START_TEST(a_crash_cuts_the_story_and_says_what_is_wrong)
{
	char rule[] = "cow-complete", severity[] = "corruption", model[] = "torn",
	     message[] = "the cluster has holes";
	struct trace_finding finding = {
		.rule = rule,
		.severity = severity,
		.message = message,
		.model = model,
		.operation = 1,
		.sector = 3,
		.guest_offset = 0,
		.host_offset = UINT64_MAX,
	};
	execute(QCOW2_EAGER);
	char *story = story_tell(&again.trace, &finding);
	ck_assert_str_eq(
		story, "  (> marks those that matter most)\n"
		       "  request 1 begins: open\n"
		       "  request 1 (open) is acknowledged\n"
		       "> request 2 begins: write of 1024 bytes at guest 0x0\n"
		       "> 1. data of request 2: guest 0x0+1024 -> host 0x4000\n"
		       "  -- crash: operations 1 to 1 and the first 3 sectors of the next are on "
		       "disk\n"
		       "> not on disk: 2. request 2 copies (COW): guest 0x400+3072 -> host 0x4400\n"
		       "  => cow-complete (corruption): the cluster has holes\n");
	free(story);
	again_release(&again);
}
END_TEST

START_TEST(clusters_are_known_by_what_refers_to_them)
{
	struct roles roles;
	execute(QCOW2_EAGER);
	struct content *content = trace_final_content(&again.trace, 0);
	ck_assert_ptr_nonnull(content);
	roles_read(&roles, content);
	ck_assert_int_eq(roles_find(&roles, 0)->role, ROLE_HEADER);
	ck_assert_int_eq(roles_find(&roles, 0x1000)->role, ROLE_REFTABLE);
	ck_assert_int_eq(roles_find(&roles, 0x2000)->role, ROLE_REFBLOCK);
	ck_assert_int_eq(roles_find(&roles, 0x3fff)->role, ROLE_L1);
	ck_assert_int_eq(roles_find(&roles, 0x4000)->role, ROLE_DATA);
	ck_assert_uint_eq(roles_find(&roles, 0x4000)->guest_offset, 0);
	ck_assert_int_eq(roles_find(&roles, 0x5000)->role, ROLE_L2);
	ck_assert_ptr_null(roles_find(&roles, 0x6000));
	ck_assert_ptr_null(roles_find(&roles, UINT64_MAX));
	roles_release(&roles);
	content_free(content);
	again_release(&again);
}
END_TEST

/* A reader of stories must survive what an oracle has to judge. */
START_TEST(nonsense_has_no_roles_and_no_crash)
{
	for (uint32_t seed = 0; seed < 200; seed++) {
		struct content *content = content_new(64 << 10);
		ck_assert_ptr_nonnull(content);
		uint8_t header[72] = { 0x51, 0x46, 0x49, 0xfb };
		uint64_t state = seed * 0x9e3779b97f4a7c15U + 1;
		for (size_t i = 20; i < sizeof(header); i++) {
			state = state * 6364136223846793005U + 1442695040888963407U;
			header[i] = (uint8_t)(state >> 56);
		}
		header[20] = header[21] = header[22] = 0;
		header[23] = (uint8_t)(9 + seed % 13);
		header[36] = header[37] = header[56] = header[57] = 0;
		ck_assert_int_eq(content_write(content, header, sizeof(header), 0), STATUS_OK);
		struct roles roles;
		roles_read(&roles, content);
		roles_release(&roles);
		content_free(content);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("story");
	TCase *tests = tcase_create("story");
	suite_add_tcase(suite, tests);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, a_run_is_told_in_qcow2_words);
	tcase_add_test(tests, a_crash_cuts_the_story_and_says_what_is_wrong);
	tcase_add_test(tests, clusters_are_known_by_what_refers_to_them);
	tcase_add_test(tests, nonsense_has_no_roles_and_no_crash);
	return run_suite(suite);
}
