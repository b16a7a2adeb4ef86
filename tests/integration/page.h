// SPDX-License-Identifier: MIT
/** Pages that tests hold against what the program does. */
#ifndef TESTS_INTEGRATION_PAGE_H
#define TESTS_INTEGRATION_PAGE_H

/** The text of the page at `path`; fails the test when it cannot be read. Gives; free(). */
char *page_read(const char *path);

#endif
