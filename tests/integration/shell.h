// SPDX-License-Identifier: MIT
/** Running the reference tools from tests, in a folder of their own. */
#ifndef TESTS_INTEGRATION_SHELL_H
#define TESTS_INTEGRATION_SHELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Make a fresh folder under $TMPDIR or /tmp and go there. */
void shell_enter_folder(void);

/** Leave the folder and remove it. */
void shell_leave_folder(void);

/** Run a shell command; its output goes to the file "output". Returns the exit status, -1 when it
 * could not run. */
int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** What the last command printed (cut to 4 KiB). Static. */
const char *shell_output(void);

/** Are qemu-img and qemu-io there? */
bool shell_has_qemu(void);

/** Read a whole file. Gives; free(). NULL when it cannot be read. */
uint8_t *shell_read_file(const char *path, size_t *bytes);

#endif
