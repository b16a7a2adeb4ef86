// SPDX-License-Identifier: MIT
/* The engine next to the reference tools: what one writes the other reads, and finds in order. */
#include "tests/integration/shell.h"
#include "tests/integration/subject.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DISK_BYTES = 3 * 1024 * 1024 + 1536, STEPS = 60 };

/** One row of the matrix. */
struct kind {
	const char *compat;
	const char *cluster;
	const char *backing; /* "", "raw" or "qcow2" */
	const char *lazy;    /* "on" or "off" */
};

static uint64_t state;

static uint64_t next_random(uint64_t below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (state >> 33) % below;
}

static void make_backing(void)
{
	ck_assert_int_eq(shell("qemu-img create -f raw base.raw 2M"), 0);
	ck_assert_int_eq(
		shell("qemu-io -f raw -c 'write -P 0x5a 0 1M' -c 'write -P 0x5b 1M 1M' base.raw"),
		0);
	ck_assert_int_eq(shell("qemu-img create -f qcow2 -o cluster_size=4k -b base.raw -F raw "
			       "base.qcow2 %d",
			       DISK_BYTES - 512),
			 0);
	ck_assert_int_eq(shell("qemu-io -f qcow2 -c 'write -P 0x5c 300k 500k' base.qcow2"), 0);
}

static void make_image(const struct kind *kind, const char *name)
{
	char backing[64] = "";
	if (kind->backing[0])
		snprintf(backing, sizeof(backing), "-b base.%s -F %s", kind->backing,
			 kind->backing);
	ck_assert_msg(shell("qemu-img create -f qcow2 -o "
			    "compat=%s,cluster_size=%s,lazy_refcounts=%s %s %s %d",
			    kind->compat, kind->cluster, kind->lazy, backing, name,
			    DISK_BYTES) == 0,
		      "%s", shell_output());
}

static void random_steps(struct subject_step *steps, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t most = next_random(4) == 0 ? 300 * 1024 : 9000;
		struct subject_step *step = &steps[i];
		*step = (struct subject_step){ .guest_offset = next_random(DISK_BYTES - 1) };
		uint64_t room = DISK_BYTES - step->guest_offset;
		step->length = 1 + next_random(most < room ? most : room);
		step->pattern = (uint8_t)(1 + next_random(250));
		uint64_t dice = next_random(10);
		step->op = dice < 7    ? REQUEST_WRITE
			   : dice == 7 ? REQUEST_WRITE_ZEROES
			   : dice == 8 ? REQUEST_DISCARD
				       : REQUEST_FLUSH;
		step->unmap = next_random(2);
		if (step->op == REQUEST_WRITE && next_random(2)) {
			step->guest_offset &= ~(uint64_t)511;
			step->length = (step->length + 511) & ~(uint64_t)511;
			if (step->length > DISK_BYTES - step->guest_offset)
				step->length = DISK_BYTES - step->guest_offset;
		}
		if (step->op ==
		    REQUEST_DISCARD) { /* where qemu-io and the engine agree what is given up */
			step->guest_offset &= ~(uint64_t)(2 * 1024 * 1024 - 1);
			step->length = DISK_BYTES - step->guest_offset;
			if (next_random(3))
				step->op = REQUEST_FLUSH;
		}
	}
}

/* The same steps for qemu-io. */
static void write_script(const struct subject_step *steps, size_t count)
{
	FILE *script = fopen("script", "w");
	for (size_t i = 0; i < count; i++) {
		const struct subject_step *step = &steps[i];
		unsigned long long at = step->guest_offset;
		unsigned long long length = step->length;
		if (step->op == REQUEST_WRITE)
			fprintf(script, "write -q -P %u %llu %llu\n", step->pattern, at, length);
		else if (step->op == REQUEST_WRITE_ZEROES)
			fprintf(script, "write -q -z %s %llu %llu\n", step->unmap ? "-u" : "", at,
				length);
		else if (step->op == REQUEST_DISCARD)
			fprintf(script, "discard -q %llu %llu\n", at, length);
		else
			fprintf(script, "flush\n");
	}
	fclose(script);
}

static void check_clean(const char *name)
{
	int status = shell("qemu-img check %s", name);
	ck_assert_msg(status == 0, "%s: %s", name, shell_output());
}

/* Read all of `name` with the engine and compare with what qemu-img makes of it. */
static void check_engine_reads(const char *name, const struct kind *kind)
{
	size_t bytes = 0;
	uint8_t *mine = malloc(DISK_BYTES);
	struct subject_step read = { .op = REQUEST_READ, .length = DISK_BYTES, .data = mine };
	ck_assert_str_eq(subject_run(name, QCOW2_CANCEL, &read, 1), "");
	ck_assert_int_eq(shell("qemu-img convert -O raw %s flat.raw", name), 0);
	uint8_t *flat = shell_read_file("flat.raw", &bytes);
	ck_assert_uint_eq(bytes, DISK_BYTES);
	size_t at = 0;
	while (at < bytes && mine[at] == flat[at])
		at++;
	ck_assert_msg(at == bytes, "%s (%s %s %s): byte %zu is %02x, not %02x", name, kind->compat,
		      kind->cluster, kind->backing, at, mine[at], flat[at]);
	free(flat);
	free(mine);
}

static void compare_twins(const struct kind *kind, enum qcow2_policy policy, uint64_t seed)
{
	struct subject_step steps[STEPS];
	state = seed;
	make_image(kind, "mine.qcow2");
	make_image(kind, "twin.qcow2");
	for (int round = 0; round < 2; round++) {
		random_steps(steps, STEPS);
		write_script(steps, STEPS);
		const char *failure = subject_run("mine.qcow2", policy, steps, STEPS);
		ck_assert_msg(failure[0] == '\0', "%s, %s, %s, lazy %s, seed %llu: %s",
			      kind->compat, kind->cluster, kind->backing, kind->lazy,
			      (unsigned long long)seed, failure);
		ck_assert_msg(shell("qemu-io -d unmap -t writeback -f qcow2 twin.qcow2 <script") ==
				      0,
			      "%s", shell_output());
		check_clean("mine.qcow2");
		ck_assert_msg(shell("qemu-img compare mine.qcow2 twin.qcow2") == 0,
			      "%s, %s, %s, lazy %s, seed %llu: %s", kind->compat, kind->cluster,
			      kind->backing, kind->lazy, (unsigned long long)seed, shell_output());
		check_engine_reads("twin.qcow2", kind);
		/* Now each carries on with the other's work, over a snapshot. */
		if (round == 0) {
			ck_assert_int_eq(shell("mv mine.qcow2 other && mv twin.qcow2 mine.qcow2 && "
					       "mv other twin.qcow2"),
					 0);
			ck_assert_int_eq(shell("qemu-img snapshot -c one mine.qcow2 && qemu-img "
					       "snapshot -c one twin.qcow2"),
					 0);
		}
	}
}

static const char *const compats[] = { "0.10", "1.1" };
static const char *const clusters[] = { "512", "4k", "64k", "2M" };
static const char *const backings[] = { "", "raw", "qcow2" };

START_TEST(images_made_by_qemu_img_are_written_like_qemu_io_does)
{
	struct kind kind = { compats[_i / 12], clusters[_i / 3 % 4], backings[_i % 3], "off" };
	compare_twins(&kind, (enum qcow2_policy)(_i % 3), (uint64_t)(1000 + _i));
	if (kind.compat[0] == '1') {
		kind.lazy = "on";
		compare_twins(&kind, (enum qcow2_policy)((_i + 1) % 3), (uint64_t)(2000 + _i));
	}
}
END_TEST

START_TEST(images_made_by_the_engine_are_used_by_qemu_io)
{
	static const uint32_t sizes[] = { 512, 4096, 65536, 2 * 1024 * 1024 };
	struct kind kind = { "1.1", "?", "", "off" };
	struct qcow2_create_options options = { .size_bytes = DISK_BYTES,
						.cluster_bytes = sizes[_i / 2],
						.version = _i % 2 ? 3 : 2 };
	struct why why;
	struct subject_step steps[STEPS];
	ck_assert_int_eq(qcow2_create("made.qcow2", &options, &why), STATUS_OK);
	check_clean("made.qcow2");
	state = (uint64_t)(3000 + _i);
	random_steps(steps, STEPS);
	write_script(steps, STEPS);
	ck_assert_int_eq(shell("qemu-io -d unmap -t writeback -f qcow2 made.qcow2 <script"), 0);
	check_clean("made.qcow2");
	check_engine_reads("made.qcow2", &kind);
	random_steps(steps, STEPS);
	ck_assert_str_eq(subject_run("made.qcow2", QCOW2_CANCEL, steps, STEPS), "");
	check_clean("made.qcow2");
	struct subject_step snapshot = { .op = REQUEST_SNAPSHOT };
	ck_assert_str_eq(subject_run("made.qcow2", QCOW2_CANCEL, &snapshot, 1), "");
	check_clean("made.qcow2");
	ck_assert_int_eq(shell("qemu-img convert -O raw made.qcow2 before.raw"), 0);
	random_steps(steps, STEPS);
	ck_assert_str_eq(subject_run("made.qcow2", QCOW2_CANCEL, steps, STEPS), "");
	check_clean("made.qcow2");
	ck_assert_int_eq(shell("qemu-img convert -l taken -O raw made.qcow2 after.raw"), 0);
	ck_assert_msg(shell("cmp before.raw after.raw") == 0, "the snapshot changed: %s",
		      shell_output());
	struct subject_step change = { .op = REQUEST_SNAPSHOT_APPLY };
	ck_assert_str_eq(subject_run("made.qcow2", QCOW2_CANCEL, &change, 1), "");
	check_clean("made.qcow2");
	ck_assert_int_eq(shell("qemu-img convert -O raw made.qcow2 after.raw"), 0);
	ck_assert_msg(shell("cmp before.raw after.raw") == 0, "the snapshot is not back: %s",
		      shell_output());
	random_steps(steps, STEPS);
	ck_assert_str_eq(subject_run("made.qcow2", QCOW2_CANCEL, steps, STEPS), "");
	ck_assert_int_eq(shell("qemu-img snapshot -c theirs made.qcow2"), 0);
	ck_assert_int_eq(shell("qemu-img convert -O raw made.qcow2 before.raw"), 0);
	change.op = REQUEST_SNAPSHOT_DELETE;
	ck_assert_str_eq(subject_run("made.qcow2", QCOW2_CANCEL, &change, 1), "");
	check_clean("made.qcow2");
	ck_assert_int_eq(shell("qemu-img snapshot -d theirs made.qcow2"), 0);
	check_clean("made.qcow2");
	ck_assert_int_eq(shell("qemu-img convert -O raw made.qcow2 after.raw"), 0);
	ck_assert_msg(shell("cmp before.raw after.raw") == 0, "a deletion changed the disk: %s",
		      shell_output());
}
END_TEST

START_TEST(compressed_clusters_are_read_and_replaced)
{
	struct kind kind = { "1.1", "64k", "", "off" };
	struct subject_step steps[STEPS];
	ck_assert_int_eq(shell("qemu-img create -f raw plain.raw %d", DISK_BYTES), 0);
	ck_assert_int_eq(shell("seq 1 400000 | head -c 2000000 | dd of=plain.raw conv=notrunc"), 0);
	ck_assert_int_eq(shell("qemu-img convert -c -O qcow2 plain.raw packed.qcow2"), 0);
	check_engine_reads("packed.qcow2", &kind);
	ck_assert_int_eq(shell("cp packed.qcow2 twin.qcow2"), 0);
	state = 4000;
	random_steps(steps, STEPS);
	write_script(steps, STEPS);
	ck_assert_str_eq(subject_run("packed.qcow2", QCOW2_CANCEL, steps, STEPS), "");
	ck_assert_int_eq(shell("qemu-io -d unmap -t writeback -f qcow2 twin.qcow2 <script"), 0);
	check_clean("packed.qcow2");
	ck_assert_msg(shell("qemu-img compare packed.qcow2 twin.qcow2") == 0, "%s", shell_output());
}
END_TEST

START_TEST(growing_a_disk_hides_a_longer_backing_file)
{
	struct subject_step steps[] = {
		{ .op = REQUEST_WRITE, .guest_offset = 1000, .length = 500, .pattern = 7 },
		{ .op = REQUEST_TRUNCATE, .guest_offset = DISK_BYTES },
		{ .op = REQUEST_WRITE, .guest_offset = 2000000, .length = 9000, .pattern = 9 },
	};
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(shell("qemu-img create -f qcow2 -o cluster_size=512 -b base.raw "
				       "-F raw %s.qcow2 100000",
				       i ? "twin" : "mine"),
				 0);
	ck_assert_str_eq(subject_run("mine.qcow2", QCOW2_CANCEL, steps, 3), "");
	ck_assert_int_eq(shell("qemu-io -f qcow2 -c 'write -P 7 1000 500' twin.qcow2 && "
			       "qemu-img resize twin.qcow2 %d && "
			       "qemu-io -f qcow2 -c 'write -P 9 2000000 9000' twin.qcow2",
			       DISK_BYTES),
			 0);
	check_clean("mine.qcow2");
	ck_assert_msg(shell("qemu-img compare mine.qcow2 twin.qcow2") == 0, "%s", shell_output());
}
END_TEST

START_TEST(unsupported_features_are_refused_by_name)
{
	static const char *const options[][2] = {
		{ "extended_l2=on,cluster_size=64k", "extended L2" },
		{ "compression_type=zstd", "compression type" },
		{ "refcount_bits=64", "refcounts of other widths" },
		{ "data_file=outside.raw", "external data file" },
	};
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		ck_assert_int_eq(
			shell("rm -f odd.qcow2 && qemu-img create -f qcow2 -o %s odd.qcow2 1M",
			      options[i][0]),
			0);
		const char *failure = subject_run("odd.qcow2", QCOW2_CANCEL, NULL, 0);
		ck_assert_msg(strstr(failure, options[i][1]) != NULL, "%s", failure);
	}
}
END_TEST

static void enter(void)
{
	shell_enter_folder();
	make_backing();
}

int main(void)
{
	if (!shell_has_qemu()) {
		puts("skipped: qemu-img and qemu-io (package qemu-utils) are not installed");
		return 77;
	}
	Suite *suite = suite_create("reference");
	TCase *twins = tcase_create("twins");
	tcase_add_checked_fixture(twins, enter, shell_leave_folder);
	tcase_set_timeout(twins, 300);
	tcase_add_loop_test(twins, images_made_by_qemu_img_are_written_like_qemu_io_does, 0, 24);
	tcase_add_loop_test(twins, images_made_by_the_engine_are_used_by_qemu_io, 0, 8);
	tcase_add_test(twins, compressed_clusters_are_read_and_replaced);
	tcase_add_test(twins, growing_a_disk_hides_a_longer_backing_file);
	tcase_add_test(twins, unsupported_features_are_refused_by_name);
	suite_add_tcase(suite, twins);
	return run_suite(suite);
}
