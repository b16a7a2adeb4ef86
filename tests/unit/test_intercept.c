// SPDX-License-Identifier: MIT
/* Every call that the injector defines, on an in-memory file, compared with the same call on a real
 * one: what works on the real file must do the same in memory. */
#include "injector/session.h"
#include "tests/run_suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MEMORY_PATH "/cowtip/test/image"

static struct content *initial;
static char real_path[64];
static uint16_t memory_file;

static void setup(void)
{
	static const char text[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	snprintf(real_path, sizeof(real_path), "/tmp/cowtip-intercept-XXXXXX");
	int descriptor = mkstemp(real_path);

	ck_assert_int_ge(descriptor, 0);
	ck_assert_int_eq(write(descriptor, text, sizeof(text)), sizeof(text));
	ck_assert_int_eq(close(descriptor), 0);
	initial = content_new(0);
	ck_assert_int_eq(content_write(initial, text, sizeof(text), 0), STATUS_OK);
	ck_assert_int_eq(session_watch_memory(MEMORY_PATH, initial, &memory_file), STATUS_OK);
}

static void teardown(void)
{
	session_unwatch_all();
	content_free(initial);
	unlink(real_path);
}

/* Compare both files from beginning to end. */
static void check_same(int memory, int real)
{
	char in_memory[4096];
	char in_real[4096];
	off_t size = lseek(real, 0, SEEK_END);

	ck_assert_int_eq(lseek(memory, 0, SEEK_END), size);
	ck_assert_int_eq(pread(memory, in_memory, sizeof(in_memory), 0), size);
	ck_assert_int_eq(pread(real, in_real, sizeof(in_real), 0), size);
	ck_assert_mem_eq(in_memory, in_real, (size_t)size);
}

/* Evaluate a call with `fd` as the in-memory and as the real file; both must agree in result and
 * errno. */
#define BOTH(call)                                                                                 \
	do {                                                                                       \
		int fd = memory;                                                                   \
		errno = 0;                                                                         \
		long memory_result = (long)(call);                                                 \
		int memory_errno = errno;                                                          \
		fd = real;                                                                         \
		errno = 0;                                                                         \
		long real_result = (long)(call);                                                   \
		ck_assert_msg(memory_result == real_result && memory_errno == errno,               \
			      "%s: in memory %ld (errno %d), in a file %ld (errno %d)", #call,     \
			      memory_result, memory_errno, real_result, errno);                    \
	} while (0)

static void do_reads(int memory, int real)
{
	char a[64];
	char b[8];
	const struct iovec pieces[] = { { b, sizeof(b) }, { a, sizeof(a) } };

	BOTH(read(fd, a, 10));
	BOTH(lseek(fd, 0, SEEK_CUR));
	BOTH(pread(fd, a, 10, 30));
	BOTH(pread64(fd, a, 10, 1000));
	BOTH(pread(fd, a, 10, -1));
	BOTH(preadv(fd, pieces, 2, 3));
	BOTH(preadv64(fd, pieces, 2, 3));
	BOTH(preadv2(fd, pieces, 2, 3, 0));
	BOTH(preadv2(fd, pieces, 2, -1, 0));
	BOTH(readv(fd, pieces, 2));
	BOTH(read(fd, a, sizeof(a)));
	BOTH(read(fd, a, 0));
}

static void do_writes(int memory, int real)
{
	char a[] = "AAAAAAAAAA";
	char b[] = "bbb";
	const struct iovec pieces[] = { { b, 3 }, { a, 10 } };

	BOTH(lseek(fd, 5, SEEK_SET));
	BOTH(write(fd, a, 10));
	BOTH(lseek(fd, 0, SEEK_CUR));
	BOTH(pwrite(fd, a, 10, 300));
	BOTH(pwrite64(fd, a, 10, 20));
	BOTH(pwrite(fd, a, 10, -5));
	BOTH(pwrite(fd, a, 0, 5000));
	BOTH(pwritev(fd, pieces, 2, 100));
	BOTH(pwritev64(fd, pieces, 2, 120));
	BOTH(pwritev2(fd, pieces, 2, 140, 0));
	BOTH(pwritev2(fd, pieces, 1, -1, 0));
	BOTH(pwritev2(fd, pieces, 1, 7, RWF_DSYNC));
	BOTH(writev(fd, pieces, 2));
	check_same(memory, real);
}

static void do_sizes(int memory, int real)
{
	BOTH(ftruncate(fd, 500));
	BOTH(ftruncate64(fd, 77));
	BOTH(ftruncate(fd, -1));
	BOTH(lseek(fd, 0, SEEK_END));
	BOTH(posix_fallocate(fd, 50, 100));
	BOTH(posix_fallocate64(fd, 50, 130));
	BOTH(posix_fallocate(fd, -1, 100));
	BOTH(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4000));
	BOTH(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3, 9));
	BOTH(fallocate64(fd, 0, 100, 200));
	BOTH(fallocate(fd, 0, 100, 0));
	BOTH(fsync(fd));
	BOTH(fdatasync(fd));
	check_same(memory, real);
}

START_TEST(calls_on_an_in_memory_file_do_what_they_do_on_a_real_one)
{
	int memory = open(MEMORY_PATH, O_RDWR | O_CLOEXEC);
	int real = open(real_path, O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(memory, 0);
	ck_assert_int_ge(real, 0);
	do_reads(memory, real);
	do_writes(memory, real);
	do_sizes(memory, real);
	do_reads(memory, real);
	BOTH(close(fd));
	BOTH(close(fd));
	BOTH(pread(fd, real_path, 1, 0));
}
END_TEST

START_TEST(access_modes_are_respected)
{
	char byte = 1;
	int memory = open(MEMORY_PATH, O_RDONLY);
	int real = open(real_path, O_RDONLY);

	BOTH(pwrite(fd, &byte, 1, 0));
	BOTH(pread(fd, &byte, 1, 0));
	BOTH(ftruncate(fd, 0));
	BOTH(close(fd));
	memory = open(MEMORY_PATH, O_WRONLY | O_APPEND);
	real = open(real_path, O_WRONLY | O_APPEND);
	BOTH(pread(fd, &byte, 1, 0));
	BOTH(write(fd, "end", 3));
	BOTH(pwrite(fd, "END", 3, 0));
	BOTH(lseek(fd, 0, SEEK_END));
	BOTH(close(fd));
	ck_assert_int_eq(open(MEMORY_PATH, O_RDWR | O_CREAT | O_EXCL, 0600), -1);
	ck_assert_int_eq(errno, EEXIST);
}
END_TEST

START_TEST(every_way_to_open_finds_the_file)
{
	int descriptors[] = { open(MEMORY_PATH, O_RDWR), open64(MEMORY_PATH, O_RDWR),
			      openat(AT_FDCWD, MEMORY_PATH, O_RDWR),
			      openat64(AT_FDCWD, MEMORY_PATH, O_RDWR),
			      open(MEMORY_PATH, O_RDWR | O_CREAT, 0644) };

	for (size_t i = 0; i < sizeof(descriptors) / sizeof(descriptors[0]); i++) {
		char byte = 0;
		ck_assert_int_ge(descriptors[i], 1 << 30);
		ck_assert_int_eq(pread(descriptors[i], &byte, 1, 10), 1);
		ck_assert_int_eq(byte, 'a');
		ck_assert_int_eq(close(descriptors[i]), 0);
	}
	int created = creat(MEMORY_PATH, 0644);
	ck_assert_int_eq(lseek(created, 0, SEEK_END), 0);
	ck_assert_int_eq(close(created), 0);
	ck_assert_int_eq(open("/cowtip/test/other", O_RDWR), -1);
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(duplicates_share_a_position_and_survive_the_original)
{
	int memory = open(MEMORY_PATH, O_RDWR);
	int again = dup(memory);
	int third = fcntl(memory, F_DUPFD_CLOEXEC, 0);
	char text[3] = "";

	ck_assert_int_eq(lseek(memory, 10, SEEK_SET), 10);
	ck_assert_int_eq(close(memory), 0);
	ck_assert_int_eq(read(again, text, 2), 2);
	ck_assert_str_eq(text, "ab");
	ck_assert_int_eq(read(third, text, 2), 2);
	ck_assert_str_eq(text, "cd");
	ck_assert_int_eq(close(again), 0);
	ck_assert_int_eq(close(third), 0);
	ck_assert_int_eq(read(third, text, 2), -1);
	ck_assert_int_eq(errno, EBADF);
}
END_TEST

START_TEST(fstat_and_locks_tell_a_program_what_it_wants_to_hear)
{
	int memory = open(MEMORY_PATH, O_RDWR);
	struct stat status;
	struct flock lock = { .l_type = F_WRLCK };

	ck_assert_int_eq(fstat(memory, &status), 0);
	ck_assert(S_ISREG(status.st_mode));
	ck_assert_int_eq(status.st_size, 37);
	ck_assert_int_eq(fcntl(memory, F_OFD_SETLK, &lock), 0);
	ck_assert_int_eq(fcntl(memory, F_OFD_GETLK, &lock), 0);
	ck_assert_int_eq(lock.l_type, F_UNLCK);
	ck_assert_int_eq(fcntl(memory, F_GETFL) & O_ACCMODE, O_RDWR);
	ck_assert_int_eq(close(memory), 0);
}
END_TEST

START_TEST(bytes_are_copied_between_watched_and_other_files)
{
	int memory = open(MEMORY_PATH, O_RDWR);
	int real = open(real_path, O_RDWR);
	off_t from = 10;
	off_t to = 100;
	char text[11] = "";

	ck_assert_int_eq(copy_file_range(real, &from, memory, &to, 10, 0), 10);
	ck_assert_int_eq(from, 20);
	ck_assert_int_eq(to, 110);
	ck_assert_int_eq(pread(memory, text, 10, 100), 10);
	ck_assert_str_eq(text, "abcdefghij");
	ck_assert_int_eq(copy_file_range(memory, NULL, real, NULL, 5, 0), 5);
	ck_assert_int_eq(lseek(real, 0, SEEK_CUR), 5);
	ck_assert_int_eq(lseek(memory, 0, SEEK_CUR), 5);
	ck_assert_int_eq(close(memory), 0);
	ck_assert_int_eq(close(real), 0);
}
END_TEST

START_TEST(success_leaves_errno_alone)
{
	int memory = open(MEMORY_PATH, O_RDWR);
	char byte = 7;

	errno = ESRCH;
	ck_assert_int_eq(pwrite(memory, &byte, 1, 0), 1);
	ck_assert_int_eq(pread(memory, &byte, 1, 0), 1);
	ck_assert_int_eq(fdatasync(memory), 0);
	ck_assert_int_eq(posix_fallocate(memory, 0, 10), 0);
	ck_assert_int_eq(errno, ESRCH);
	ck_assert_int_eq(close(memory), 0);
}
END_TEST

START_TEST(a_rewind_restores_contents_and_closes_descriptors)
{
	int memory = open(MEMORY_PATH, O_RDWR);
	char byte = 'X';

	ck_assert_int_eq(pwrite(memory, &byte, 1, 3), 1);
	ck_assert_int_eq(ftruncate(memory, 5), 0);
	session_rewind();
	ck_assert_int_eq(pread(memory, &byte, 1, 3), -1);
	ck_assert_int_eq(errno, EBADF);
	struct content *now = session_content(memory_file);
	ck_assert(content_equal(now, initial, NULL));
	content_free(now);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("intercept");
	TCase *tests = tcase_create("intercept");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, calls_on_an_in_memory_file_do_what_they_do_on_a_real_one);
	tcase_add_test(tests, access_modes_are_respected);
	tcase_add_test(tests, every_way_to_open_finds_the_file);
	tcase_add_test(tests, duplicates_share_a_position_and_survive_the_original);
	tcase_add_test(tests, fstat_and_locks_tell_a_program_what_it_wants_to_hear);
	tcase_add_test(tests, bytes_are_copied_between_watched_and_other_files);
	tcase_add_test(tests, success_leaves_errno_alone);
	tcase_add_test(tests, a_rewind_restores_contents_and_closes_descriptors);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
