// SPDX-License-Identifier: MIT
#include "tests/integration/shell.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[256];

void shell_enter_folder(void)
{
	const char *base = getenv("TMPDIR");
	snprintf(folder, sizeof(folder), "%s/cowtip-test-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(folder) || chdir(folder) != 0) {
		perror(folder);
		abort();
	}
}

void shell_leave_folder(void)
{
	char command[512];
	if (chdir("/") != 0)
		abort();
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	if (system(command) != 0) /* NOLINT(cert-env33-c): fixed text and mkdtemp's own name */
		perror(command);
}

int shell(const char *format, ...)
{
	char command[4096];
	va_list arguments;
	va_start(arguments, format);
	command[0] = '('; /* a subshell, so that all output goes to the file */
	int length = vsnprintf(command + 1, sizeof(command) - 33, format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= sizeof(command) - 33)
		return -1;
	strncat(command, ") >output 2>&1", sizeof(command) - strlen(command) - 1);
	int status = system(command); /* NOLINT(cert-env33-c): tests run the reference tools */
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

const char *shell_output(void)
{
	static char text[4096];
	FILE *file = fopen("output", "r");
	size_t bytes = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
	text[bytes] = '\0';
	if (file)
		fclose(file);
	return text;
}

bool shell_has_qemu(void)
{
	return system("command -v qemu-img qemu-io >/dev/null") == 0; /* NOLINT(cert-env33-c) */
}

uint8_t *shell_read_file(const char *path, size_t *bytes)
{
	FILE *file = fopen(path, "rb");
	uint8_t *content = NULL;
	if (!file)
		return NULL;
	if (fseek(file, 0, SEEK_END) == 0) {
		long size = ftell(file);
		rewind(file);
		*bytes = size > 0 ? (size_t)size : 0;
		content = malloc(*bytes + 1);
		if (content && fread(content, 1, *bytes, file) != *bytes) {
			free(content);
			content = NULL;
		}
	}
	fclose(file);
	return content;
}
