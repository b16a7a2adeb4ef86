// SPDX-License-Identifier: MIT
/** Running another program to its end. */
#ifndef WORKLOADS_TOOL_H
#define WORKLOADS_TOOL_H

enum { TOOL_WORDS_MAX = 512 };

/** Run a program (NULL-terminated words, looked for in PATH) in `folder` (NULL: here) with its
 * output in the file `output` there (NULL: nowhere), and wait. Returns its exit status, -1 when it
 * could not be run or did not exit. */
int tool_run(const char *const *words, const char *folder, const char *output);

#endif
