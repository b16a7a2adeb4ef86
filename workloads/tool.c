// SPDX-License-Identifier: MIT
#include "workloads/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the program finds open: nothing to read, `output` to write to. False: out of memory. */
static bool prepare(posix_spawn_file_actions_t *actions, const char *folder, const char *output)
{
	return (!folder || posix_spawn_file_actions_addchdir_np(actions, folder) == 0) &&
	       posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) ==
		       0 &&
	       posix_spawn_file_actions_addopen(actions, STDOUT_FILENO,
						output ? output : "/dev/null",
						O_WRONLY | O_CREAT | O_TRUNC, 0600) == 0 &&
	       posix_spawn_file_actions_adddup2(actions, STDOUT_FILENO, STDERR_FILENO) == 0;
}

/* Start it; the arguments of a program are its own to change, so they are copied. 0: it failed. */
static pid_t start(const char *const *words, const char *folder, const char *output)
{
	char *copies[TOOL_WORDS_MAX + 1] = { NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid = 0;
	if (posix_spawn_file_actions_init(&actions) != 0)
		return 0;
	bool is_ready = prepare(&actions, folder, output);
	for (size_t i = 0; words[i] && i < TOOL_WORDS_MAX && is_ready; i++) {
		copies[i] = strdup(words[i]);
		is_ready = copies[i];
	}
	if (is_ready && posix_spawnp(&pid, copies[0], &actions, NULL, copies, environ) != 0)
		pid = 0;
	for (size_t i = 0; i < TOOL_WORDS_MAX; i++)
		free(copies[i]);
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

int tool_run(const char *const *words, const char *folder, const char *output)
{
	int wait_status = 0;
	pid_t pid = start(words, folder, output);
	if (!pid)
		return -1;
	while (waitpid(pid, &wait_status, 0) < 0)
		if (errno != EINTR)
			return -1;
	if (!WIFEXITED(wait_status) || WEXITSTATUS(wait_status) == 127)
		return -1;
	return WEXITSTATUS(wait_status);
}
