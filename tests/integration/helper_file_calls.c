// SPDX-License-Identifier: MIT
/* A program to be recorded: does to a file what its arguments say.
 *   helper_file_calls FILE mmap        change the file through a shared mapping
 *   helper_file_calls FILE raw         change it with a direct system call
 *   helper_file_calls FILE refused     try all that a recorder refuses, and see that it is
 *   helper_file_calls FILE mapped      map it for writing, and write nothing
 *   helper_file_calls FILE unseen      change it with a direct system call, and back again
 *   helper_file_calls FILE flushed     flush it with a direct system call
 *   helper_file_calls FILE calls       use every call that the recorder knows
 *   helper_file_calls FILE threads     write from four threads at a time
 *   helper_file_calls FILE sizes       write, zero, punch and cut, each from a thread of its own
 *   helper_file_calls FILE fork        write, fork, write in the child, then in the parent
 *   helper_file_calls FILE kill        write and die of a signal
 *   helper_file_calls FILE thieves     write, while trying to take the recorder's descriptor away
 */
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, WRITES = 200, CHANGES = 2000 };

static void require(int condition, const char *what)
{
	if (condition)
		return;
	perror(what);
	exit(EXIT_FAILURE);
}

static void use_mapping(int file)
{
	char *bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

	require(bytes != MAP_FAILED, "mmap");
	for (int i = 1000; i < 1006; i++)
		bytes[i] = '!';
	munmap(bytes, 4096);
}

static void use_raw_call(int file)
{
	require(syscall(SYS_pwrite64, file, "unseen", 6, 2000) == 6, "syscall");
}

static void map_only(int file)
{
	void *bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

	require(bytes != MAP_FAILED && munmap(bytes, 4096) == 0, "mmap");
}

static void change_and_restore(int file)
{
	char before[6];

	require(pread(file, before, 6, 2000) == 6, "pread");
	require(syscall(SYS_pwrite64, file, "unseen", 6, 2000) == 6, "syscall");
	require(syscall(SYS_pwrite64, file, before, 6, 2000) == 6, "syscall");
}

static void require_refused(long result, int error, const char *what)
{
	require(result < 0 && errno == error, what);
}

static void try_what_is_refused(int file)
{
	char text[] = "unseen";
	int other = open("/proc/self/exe", O_RDONLY);
	int ends[2];
	struct aiocb request = { .aio_fildes = file, .aio_buf = text, .aio_nbytes = 6 };
	struct aiocb *list[] = { &request };

	require(other >= 0 && pipe(ends) == 0 && write(ends[1], text, 6) == 6, "pipe");
	require_refused(sendfile(file, other, NULL, 6), EINVAL, "sendfile");
	require_refused(splice(ends[0], NULL, file, NULL, 6, 0), EINVAL, "splice");
	require_refused(ioctl(file, FICLONE, other), EOPNOTSUPP, "FICLONE");
	require_refused(aio_write(&request), ENOSYS, "aio_write");
	require_refused(aio_read(&request), ENOSYS, "aio_read");
	require_refused(aio_fsync(O_SYNC, &request), ENOSYS, "aio_fsync");
	request.aio_lio_opcode = LIO_WRITE;
	require_refused(lio_listio(LIO_WAIT, list, 1, NULL), ENOSYS, "lio_listio");
	require_refused(syscall(SYS_io_setup, 1, text), ENOSYS, "io_setup");
	require_refused(syscall(SYS_io_uring_setup, 1, text), ENOSYS, "io_uring_setup");
	/* What goes elsewhere is none of the recorder's business. */
	require(sendfile(ends[1], other, NULL, 6) == 6, "sendfile elsewhere");
}

__attribute__((noinline)) static void use_calls(int file, const char *path)
{
	char text[] = "0123456789";
	struct iovec pieces[2] = { { text, 3 }, { text + 5, 4 } };
	off_t from = 0;
	off_t to = 9000;
	int again = dup(file);
	int high = fcntl(file, F_DUPFD, 300);
	int append = open(path, O_WRONLY | O_APPEND);

	require(pwrite(file, text, 10, 5000) == 10, "pwrite");
	require(pwritev(again, pieces, 2, 6000) == 7, "pwritev");
	require(lseek(high, 7000, SEEK_SET) == 7000, "lseek");
	require(write(file, text, 4) == 4, "write");
	require(writev(again, pieces, 2) == 7, "writev");
	require(pwritev2(file, pieces, 2, 7100, 0) == 7, "pwritev2");
	require(write(append, text, 5) == 5, "append");
	require(fdatasync(file) == 0 && fsync(high) == 0, "flush");
	require(posix_fallocate(file, 8000, 1000) == 0, "posix_fallocate");
	require(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5003, 4) == 0, "punch");
	require(copy_file_range(file, &from, again, &to, 600, 0) > 0, "copy_file_range");
	require(ftruncate(high, 9400) == 0, "ftruncate");
	require(dup2(file, append) == append && close(file) == 0 && close(high) == 0, "dup2");
	require(pwrite(append, text, 2, 9300) == 2, "pwrite after dup2");
}

static pthread_barrier_t round_begins;

struct writer {
	int file;
	int number;
};

static void *write_much(void *argument)
{
	const struct writer *writer = argument;
	char block[512];

	memset(block, writer->number, sizeof(block));
	/* In each round all threads write to the same place at the same time, and nobody writes
	 * there again: only the right order gives the right file. */
	for (off_t round = 0; round < WRITES; round++) {
		pthread_barrier_wait(&round_begins);
		require(pwrite(writer->file, block, sizeof(block), 4096 + round * 512) == 512,
			"pwrite");
	}
	require(fdatasync(writer->file) == 0, "fdatasync");
	return NULL;
}

/* What is left of a round depends on who came first, and on where the file ended then. */
static void change_at(const struct writer *writer, off_t round)
{
	static const int zero_modes[] = { FALLOC_FL_ZERO_RANGE,
					  FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0 };
	off_t place = 9000 + round * 1000;
	char block[700];

	memset(block, '#', sizeof(block));
	if (writer->number == round % THREADS + 1)
		require(ftruncate(writer->file, place + 600) == 0, "ftruncate");
	else if (writer->number % 2 == 0)
		require(pwrite(writer->file, block, sizeof(block), place) == 700, "pwrite");
	else if (writer->number == 1)
		(void)fallocate(writer->file, zero_modes[round / THREADS % 3], place + 500, 600);
	else
		(void)fallocate(writer->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				place + 200, 1000);
}

static int arrived; /* at the rounds so far, by all threads */

static void *change_much(void *argument)
{
	for (int round = 0; round < CHANGES; round++) {
		/* Who waits in the kernel would come one by one. */
		__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL);
		while (__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) < (round + 1) * THREADS)
			sched_yield();
		change_at(argument, round);
	}
	return NULL;
}

static void use_threads(int file, void *(*work)(void *))
{
	pthread_t threads[THREADS];
	struct writer writers[THREADS];

	pthread_barrier_init(&round_begins, NULL, THREADS);
	for (int i = 0; i < THREADS; i++) {
		writers[i] = (struct writer){ .file = file, .number = i + 1 };
		require(pthread_create(&threads[i], NULL, work, &writers[i]) == 0, "thread");
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void use_fork(int file)
{
	require(pwrite(file, "parent", 6, 5000) == 6, "pwrite");
	pid_t child = fork();
	require(child >= 0, "fork");
	if (child == 0) {
		require(pwrite(file, "child", 5, 6000) == 5, "pwrite");
		exit(EXIT_SUCCESS);
	}
	waitpid(child, NULL, 0);
}

static void steal_descriptors(int file)
{
	for (int descriptor = 390; descriptor < 450; descriptor++) {
		close(descriptor);
		require(pwrite(file, "x", 1, 5000 + descriptor) == 1, "pwrite");
	}
	for (int descriptor = 390; descriptor < 450; descriptor++) {
		require(dup2(STDERR_FILENO, descriptor) == descriptor, "dup2");
		require(pwrite(file, "y", 1, 6000 + descriptor) == 1, "pwrite");
	}
	close_range(380, ~0U, 0);
	require(pwrite(file, "z", 1, 7000) == 1, "pwrite");
}

int main(int argc, char **argv)
{
	require(argc == 3, "arguments");
	int file = open(argv[1], O_RDWR);
	require(file >= 0, argv[1]);
	if (strcmp(argv[2], "mmap") == 0)
		use_mapping(file);
	else if (strcmp(argv[2], "raw") == 0)
		use_raw_call(file);
	else if (strcmp(argv[2], "refused") == 0)
		try_what_is_refused(file);
	else if (strcmp(argv[2], "mapped") == 0)
		map_only(file);
	else if (strcmp(argv[2], "unseen") == 0)
		change_and_restore(file);
	else if (strcmp(argv[2], "flushed") == 0)
		require(syscall(SYS_fdatasync, file) == 0, "syscall");
	else if (strcmp(argv[2], "calls") == 0)
		use_calls(file, argv[1]);
	else if (strcmp(argv[2], "threads") == 0)
		use_threads(file, write_much);
	else if (strcmp(argv[2], "sizes") == 0)
		use_threads(file, change_much);
	else if (strcmp(argv[2], "fork") == 0)
		use_fork(file);
	else if (strcmp(argv[2], "thieves") == 0)
		steal_descriptors(file);
	else if (strcmp(argv[2], "kill") == 0 && pwrite(file, "last words", 10, 5000) == 10)
		raise(SIGKILL);
	return EXIT_SUCCESS;
}
