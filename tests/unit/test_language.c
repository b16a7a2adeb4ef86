// SPDX-License-Identifier: MIT
#include "workloads/language.h"

#include "injector/fault_menu.h"
#include "tests/run_suite.h"
#include "workloads/language_print.h"
#include "workloads/language_words.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE "#@ image size=64k cluster_size=4k\n"

static struct workload workload;

static void parse(const char *text)
{
	struct why why = { "" };
	enum status status = workload_parse(&workload, "dir/w.qio", text, strlen(text), &why);
	ck_assert_msg(status == STATUS_OK, "'%s' gave: %s", text, why.text);
}

static void fails(const char *text, const char *message)
{
	struct why why = { "" };
	enum status status = workload_parse(&workload, "dir/w.qio", text, strlen(text), &why);
	ck_assert_msg(status == STATUS_BAD_INPUT, "accepted: %s", text);
	ck_assert_str_eq(why.text, message);
	ck_assert_ptr_null(workload.text);
	ck_assert_uint_eq(workload.command_count, 0);
}

/* What each size means was observed with qemu-io 7.2. */
START_TEST(sizes_mean_what_they_mean_to_qemu_io)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "010", 10 },
		{ "+5", 5 },
		{ "5b", 5 },
		{ "4k", 4096 },
		{ "4K", 4096 },
		{ "1.5k", 1536 },
		{ "1.k", 1024 },
		{ "1.234567k", 1264 },
		{ "2M", 2 << 20 },
		{ "1.5G", (uint64_t)3 << 29 },
		{ "3T", (uint64_t)3 << 40 },
		{ "0x200", 512 },
		{ "0X1k", 1024 },
		{ "0x1b", 27 },
		{ "1e", (uint64_t)1 << 60 },
		{ "7E", (uint64_t)7 << 60 },
		{ "9223372036854775807", INT64_MAX },
	};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		uint64_t bytes = 1;
		ck_assert_msg(size_parse(good[i].text, &bytes), "%s", good[i].text);
		ck_assert_uint_eq(bytes, good[i].bytes);
	}
}
END_TEST

START_TEST(numbers_that_qemu_io_refuses_are_refused)
{
	static const char *const bad[] = {
		"",
		"k",
		".5k",
		"0.5b",
		"0.5",
		"5kB",
		"-5",
		"0x",
		"x10",
		"1 k",
		"8E",
		"12q",
		"0x-1",
		"+ 5",
		"1.2.3k",
		"1.5E",
		"1.1234567k",
		"9223372036854775808",
		"18446744073709551616",
		"99999999999999999999",
		"0x10000000000000000",
		"8388608T",
		"0x.8k",
		"1.0k1",
		" 1",
		"+-1",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t bytes = 77;
		ck_assert_msg(!size_parse(bad[i], &bytes), "'%s'", bad[i]);
		ck_assert_uint_eq(bytes, 77);
	}
}
END_TEST

START_TEST(a_pattern_is_one_byte_in_any_base)
{
	uint8_t pattern = 0;
	ck_assert(pattern_parse("0x11", &pattern) && pattern == 0x11);
	ck_assert(pattern_parse("17", &pattern) && pattern == 17);
	ck_assert(pattern_parse("010", &pattern) && pattern == 8);
	ck_assert(pattern_parse("255", &pattern) && pattern == 255);
	ck_assert(!pattern_parse("256", &pattern));
	ck_assert(!pattern_parse("-1", &pattern));
	ck_assert(!pattern_parse("0x", &pattern) || pattern == 0);
	ck_assert(!pattern_parse("09", &pattern));
	ck_assert(!pattern_parse("", &pattern));
}
END_TEST

START_TEST(every_command_is_understood)
{
	parse(IMAGE "read 0 512\nr -P 3 512 1k\nreadv 0 1k 2k\naio_read -q 4k 4k\n"
		    "write -P 0x22 0 1k\nw -q 0 1\nwrite -zu 4k 4k\nwrite -z 8k 4k\n"
		    "writev -P1 0 512 512 1k\naio_write 0 4k -P 9\naio_write -z -u 0 4k\n"
		    "aio_writev -P 2 0 1k 1k\naio_readv 0 1k 1k\n"
		    "flush\naio_flush\ndiscard 0 8k\naio_discard -q 0 4k\ntruncate 128k\n"
		    "sleep 100\nwrite 64k 64k\nquit\nwrite 0 4k\n");
	ck_assert_uint_eq(workload.command_count, 19);
	const struct workload_command *command = workload.commands;
	ck_assert(command[0].op == REQUEST_READ && !command[0].verifies);
	ck_assert(command[1].verifies && command[1].pattern == 3 &&
		  command[1].guest_offset == 512 && command[1].length == 1024);
	ck_assert(command[2].piece_count == 2 && command[2].pieces[1] == 2048 &&
		  command[2].length == 3072);
	ck_assert(command[3].is_async && command[3].quiet && !command[3].pieces);
	ck_assert(command[4].op == REQUEST_WRITE && command[4].pattern == 0x22 &&
		  !command[4].verifies);
	ck_assert_uint_eq(command[5].pattern, 0xcd);
	ck_assert(command[6].op == REQUEST_WRITE_ZEROES && command[6].unmap);
	ck_assert(command[7].op == REQUEST_WRITE_ZEROES && !command[7].unmap);
	ck_assert(command[8].piece_count == 3 && command[8].length == 2048);
	ck_assert(command[9].is_async && command[9].pattern == 9);
	ck_assert(command[13].op == REQUEST_FLUSH && !command[13].waits_for_all);
	ck_assert(command[14].waits_for_all);
	ck_assert(command[15].op == REQUEST_DISCARD && !command[15].is_async);
	ck_assert(command[16].is_async);
	ck_assert(command[17].op == REQUEST_TRUNCATE && command[17].guest_offset == 128 << 10);
	ck_assert_uint_eq(command[18].line, 21);
	workload_release(&workload);
}
END_TEST

START_TEST(directives_fill_the_workload)
{
	parse("# SPDX-License-Identifier: MIT\n# What it is about\n# more\n"
	      "#@ image size=1000 cluster_size=512 compat=1.1 lazy_refcounts=on backing=pattern "
	      "backing_size=1k refcount_bits=16\n"
	      "#@ policy cancel\n#@ crash prefix,torn\n#@ faults 2 posix/io/rw/* eio,short\n"
	      "#@ prepare write -P 1 0 512\n#@ prepare snapshot one\n#@ snapshot two\n"
	      "#@ snapshot-apply one\n#@ prepare snapshot-delete zero\n#@ snapshot-delete two\n"
	      "#@ expect cow-complete\n#@ expect progress\nflush\n");
	ck_assert_str_eq(workload.name, "w");
	ck_assert_str_eq(workload.summary, "What it is about");
	ck_assert_uint_eq(workload.image.size_bytes, 1024);
	ck_assert_uint_eq(workload.image.cluster_bytes, 512);
	ck_assert(workload.image.version == 3 && workload.image.lazy_refcounts);
	ck_assert(workload.image.backing == WORKLOAD_BACKING_PATTERN);
	ck_assert_uint_eq(workload.image.backing_bytes, 1024);
	ck_assert_str_eq(workload.policy, "cancel");
	ck_assert_str_eq(workload.crash, "prefix,torn");
	ck_assert(workload.has_faults && workload.faults == 2);
	ck_assert_str_eq(workload.fault_points, "posix/io/rw/*");
	ck_assert_uint_eq(workload.fault_kinds, FAULT_EIO | FAULT_SHORT);
	ck_assert_uint_eq(workload.prepare_count, 3);
	ck_assert(workload.prepare[2].op == REQUEST_SNAPSHOT_DELETE);
	ck_assert_str_eq(workload.prepare[2].name, "zero");
	ck_assert(workload.prepare[1].op == REQUEST_SNAPSHOT);
	ck_assert_str_eq(workload.prepare[1].name, "one");
	ck_assert_uint_eq(workload.command_count, 4);
	ck_assert_str_eq(workload.commands[0].name, "two");
	ck_assert(workload.commands[1].op == REQUEST_SNAPSHOT_APPLY);
	ck_assert_str_eq(workload.commands[1].name, "one");
	ck_assert(workload.commands[2].op == REQUEST_SNAPSHOT_DELETE);
	ck_assert_uint_eq(workload.expect_count, 2);
	ck_assert(!workload.expects_clean);
	workload_release(&workload);
}
END_TEST

/* Printed and parsed it is the same: so what is lost in printing differs. */
START_TEST(what_is_printed_is_parsed_to_the_same_again)
{
	static const char text[] =
		"# About\n#@ image size=64k cluster_size=4k backing=pattern backing_size=32k "
		"backing_zeros=4k-8k,16k-20k allocate_from=512k allocations_max=2\n"
		"#@ prepare write -c -P 0x10 0 4k\n#@ prepare reopen\n#@ policy cancel\n"
		"#@ cache writethrough\n#@ crash prefix,torn,reorder\n"
		"#@ faults 1 posix/io/rw/* eio\n"
		"#@ inject l2_update errno=28 state=2 iotype=write sector=7 once\n"
		"#@ inject read_aio errno=5\n#@ set-state refblock_update_part 0 2\n"
		"#@ bug no-restore\n#@ expect progress\n"
		"aio_write -q -z -u 0 4k\nwritev -P 0x01 0 1k 512\nwrite -c -P 0x02 8k 4k\n";
	parse(text);
	ck_assert_uint_eq(workload.rule_count, 3);
	ck_assert_int_eq(workload.rules[0].error, 28);
	ck_assert_uint_eq(workload.rules[0].sector, 7);
	ck_assert(workload.rules[0].once && !workload.rules[1].once);
	ck_assert_uint_eq(workload.rules[1].sector, FAULT_RULE_ANY_SECTOR);
	ck_assert_uint_eq(workload.rules[2].new_state, 2);
	char *printed = workload_print(&workload);
	workload_release(&workload);
	ck_assert_str_eq(printed, text);
	free(printed);
}
END_TEST

START_TEST(what_only_programs_and_tools_do_is_understood)
{
	parse("#@ image size=64k cluster_size=4k backing=pattern backing_size=16k "
	      "backing_zeros=4k-8k,12k-20k\n#@ cache writethrough\n"
	      "#@ prepare write -c -P 1 0 4k\n#@ prepare reopen\nwrite -cP 2 0 4k\n");
	ck_assert_uint_eq(workload.image.backing_zeros_count, 2);
	ck_assert_uint_eq(workload.image.backing_zeros[0].from, 4096);
	ck_assert_uint_eq(workload.image.backing_zeros[1].to, 20480);
	ck_assert_str_eq(workload.cache, "writethrough");
	ck_assert(workload.prepare[0].compressed && workload.prepare[1].op == REQUEST_CLOSE);
	ck_assert(workload.commands[0].compressed && workload.commands[0].pattern == 2);
	ck_assert(workload_compresses(&workload));
	workload_release(&workload);
	parse(IMAGE "write 0 4k\n");
	ck_assert(!workload_compresses(&workload));
	workload_release(&workload);
}
END_TEST

/* Every kind of mistake, and the line that tells it. */
static const struct {
	const char *text, *message;
} mistakes[] = {
	{ "", "dir/w.qio:0: no '#@ image size=...' in the whole text" },
	{ IMAGE "wrte 0 1", "dir/w.qio:2: unknown command 'wrte'" },
	{ IMAGE "\n\nwrite -x 0 1", "dir/w.qio:4: 'write' has no option '-x'" },
	{ IMAGE "write -b 0 4k", "dir/w.qio:2: option '-b' of 'write' is not supported yet" },
	{ IMAGE "write -c -z 0 4k",
	  "dir/w.qio:2: options '-c' and '-z' of 'write' exclude each other" },
	{ IMAGE "write -s f 0 4k", "dir/w.qio:2: option '-s' of 'write' is not supported yet" },
	{ IMAGE "write 0", "dir/w.qio:2: 'write' takes an offset and a length" },
	{ IMAGE "write 0 1 2", "dir/w.qio:2: 'write' takes an offset and a length" },
	{ IMAGE "flush 1", "dir/w.qio:2: 'flush' takes no argument" },
	{ IMAGE "write -P 300 0 1", "dir/w.qio:2: '300' is no pattern byte (0 .. 255)" },
	{ IMAGE "write -P", "dir/w.qio:2: option '-P' of 'write' needs an argument" },
	{ IMAGE "write -u 0 1", "dir/w.qio:2: option '-u' of 'write' needs '-z'" },
	{ IMAGE "write -z -P 1 0 1",
	  "dir/w.qio:2: options '-z' and '-P' of 'write' exclude each other" },
	{ IMAGE "aio_write -z 0 1 1", "dir/w.qio:2: 'aio_write -z' takes an offset and a length" },
	{ IMAGE "write 1q 1", "dir/w.qio:2: '1q' is no offset: a number with an optional "
			      "k, M, G or T is wanted" },
	{ IMAGE "write 60k 8k",
	  "dir/w.qio:2: 8192 bytes at 61440 reach beyond the end of the image, 65536" },
	{ IMAGE "read 7E 1",
	  "dir/w.qio:2: 1 bytes at 8070450532247928832 reach beyond the end of the image, "
	  "65536" },
	{ IMAGE "writev 0 2147483136 1",
	  "dir/w.qio:2: a request cannot be longer than 2147483136 bytes" },
	{ IMAGE "truncate 32k",
	  "dir/w.qio:2: shrinking the image (from 65536 bytes) is not supported yet" },
	{ IMAGE "truncate 65537", "dir/w.qio:2: the new size must be a multiple of 512" },
	{ IMAGE "map", "dir/w.qio:2: command 'map' is not supported yet" },
	{ IMAGE "  # x", "dir/w.qio:2: a comment must begin in the first column" },
	{ IMAGE "\twrite 0 1", "dir/w.qio:2: unknown command '?write'" },
	{ IMAGE "#@ prepare aio_write 0 1",
	  "dir/w.qio:2: 'aio_write' makes no sense in '#@ prepare', whose commands run one "
	  "after the other" },
	{ IMAGE "#@", "dir/w.qio:2: '#@' without a directive" },
	{ IMAGE "#@ polcy cancel", "dir/w.qio:2: unknown directive 'polcy'" },
	{ IMAGE "#@ policy lazy",
	  "dir/w.qio:2: unknown policy 'lazy': eager, delayed or cancel is wanted" },
	{ IMAGE "#@ policy", "dir/w.qio:2: usage: #@ policy eager|delayed|cancel" },
	{ IMAGE "#@ policy eager\n#@ policy eager", "dir/w.qio:3: '#@ policy' is given twice" },
	{ IMAGE "#@ crash prefix,lightning",
	  "dir/w.qio:2: unknown crash model in 'prefix,lightning'" },
	{ IMAGE "#@ faults 1 * eio,many",
	  "dir/w.qio:2: unknown kind of fault in 'eio,many' (see 'cowtip list faults')" },
	{ IMAGE "#@ faults many", "dir/w.qio:2: 'many' is no number of faults (0 .. 64)" },
	{ IMAGE "#@ inject l3_update", "dir/w.qio:2: unknown event 'l3_update'" },
	{ IMAGE "#@ inject cor_write",
	  "dir/w.qio:2: event 'cor_write': the engine has no such step" },
	{ IMAGE "#@ inject l2_update errno=0", "dir/w.qio:2: errno='0': no error" },
	{ IMAGE "#@ inject l2_update errno=4",
	  "dir/w.qio:2: '#@ inject': the engine repeats a call that was interrupted" },
	{ IMAGE "#@ inject l2_update iotype=discard",
	  "dir/w.qio:2: '#@ inject': the engine makes no such calls" },
	{ IMAGE "#@ inject l2_update twice", "dir/w.qio:2: 'twice': key=value or once is wanted" },
	{ IMAGE "#@ inject l2_update colour=1", "dir/w.qio:2: unknown key 'colour'" },
	{ IMAGE "#@ set-state l2_update 1",
	  "dir/w.qio:2: usage: #@ set-state EVENT STATE NEW-STATE" },
	{ IMAGE "#@ set-state l2_update 1 0",
	  "dir/w.qio:2: new_state='0': a state from 1 on is wanted" },
	{ IMAGE "#@ bug no-such", "dir/w.qio:2: unknown bug 'no-such' (see 'cowtip list bugs')" },
	{ IMAGE "#@ expect magic", "dir/w.qio:2: unknown rule 'magic' (see 'cowtip list rules')" },
	{ IMAGE "#@ expect clean\n#@ expect progress",
	  "dir/w.qio:3: '#@ expect clean' must be the only expectation" },
	{ IMAGE IMAGE, "dir/w.qio:2: '#@ image' is given twice" },
	{ "#@ image cluster_size=4k", "dir/w.qio:1: '#@ image' says no size=, or 0" },
	{ "#@ image size=1k cluster_size=3k",
	  "dir/w.qio:1: cluster_size='3k': a power of two from 512 to 2M is wanted" },
	{ "#@ image size=1k clustersize=4k", "dir/w.qio:1: unknown image option 'clustersize'" },
	{ "#@ image size=1k extended_l2=on",
	  "dir/w.qio:1: image option extended_l2='on' is not supported yet" },
	{ "#@ image size=1k lazy_refcounts=on compat=0.10",
	  "dir/w.qio:1: lazy_refcounts=on needs compat=1.1" },
	{ "#@ image size=1k backing=f",
	  "dir/w.qio:1: a backing file needs backing_fmt=raw or qcow2" },
	{ "#@ image size=8k backing=pattern backing_zeros=4k",
	  "dir/w.qio:1: backing_zeros='4k': FROM-TO[,FROM-TO ...], at most four, is wanted" },
	{ "#@ image size=8k backing=pattern backing_zeros=4k-4k",
	  "dir/w.qio:1: backing_zeros='4k-4k': FROM below TO is wanted" },
	{ "#@ image size=8k backing_zeros=0-4k",
	  "dir/w.qio:1: backing_zeros= needs backing=pattern" },
	{ IMAGE "#@ cache none",
	  "dir/w.qio:2: unknown cache mode 'none': writeback or writethrough is wanted" },
	{ "#@ image size=1T backing=pattern",
	  "dir/w.qio:1: backing=pattern is at most 64 MiB: say backing_size=" },
};

START_TEST(a_mistake_is_told_with_its_line)
{
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
		fails(mistakes[i].text, mistakes[i].message);
}
END_TEST

START_TEST(a_truncate_makes_room_for_what_follows)
{
	fails(IMAGE "write 64k 4k\ntruncate 68k\n",
	      "dir/w.qio:2: 4096 bytes at 65536 reach beyond the end of the image, 65536");
	parse(IMAGE "truncate 68k\nwrite 64k 4k\n");
	workload_release(&workload);
	parse(IMAGE "write 64k 4k\n#@ prepare truncate 68k\n");
	workload_release(&workload);
}
END_TEST

START_TEST(bytes_that_are_no_text_are_refused)
{
	static const char text[] = IMAGE "flu\0sh\n";
	struct why why = { "" };
	enum status status = workload_parse(&workload, "w", text, sizeof(text) - 1, &why);
	ck_assert_int_eq(status, STATUS_BAD_INPUT);
	ck_assert_str_eq(why.text, "w:2: a zero byte: this is no text");
}
END_TEST

START_TEST(every_shipped_workload_parses)
{
	const struct shipped_workload *shipped = NULL;
	for (size_t i = 0; (shipped = workload_shipped(i)); i++) {
		struct why why = { "" };
		enum status status = workload_load(&workload, shipped->name, &why);
		ck_assert_msg(status == STATUS_OK, "%s", why.text);
		ck_assert_str_eq(workload.name, shipped->name);
		ck_assert_msg(*workload.summary, "%s has no summary", shipped->name);
		ck_assert_msg(workload.expects_clean || workload.expect_count,
			      "%s has no '#@ expect'", shipped->name);
		workload_release(&workload);
	}
	struct why why = { "" };
	ck_assert_int_eq(workload_load(&workload, "no-such-workload", &why), STATUS_BAD_INPUT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("language");
	TCase *tests = tcase_create("language");
	suite_add_tcase(suite, tests);
	tcase_add_test(tests, sizes_mean_what_they_mean_to_qemu_io);
	tcase_add_test(tests, numbers_that_qemu_io_refuses_are_refused);
	tcase_add_test(tests, a_pattern_is_one_byte_in_any_base);
	tcase_add_test(tests, every_command_is_understood);
	tcase_add_test(tests, directives_fill_the_workload);
	tcase_add_test(tests, what_is_printed_is_parsed_to_the_same_again);
	tcase_add_test(tests, what_only_programs_and_tools_do_is_understood);
	tcase_add_test(tests, a_mistake_is_told_with_its_line);
	tcase_add_test(tests, a_truncate_makes_room_for_what_follows);
	tcase_add_test(tests, bytes_that_are_no_text_are_refused);
	tcase_add_test(tests, every_shipped_workload_parses);
	return run_suite(suite);
}
