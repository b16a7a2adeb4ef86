// SPDX-License-Identifier: MIT
#include "tests/integration/page.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAGE_BYTES_MAX = 1 << 20 };

char *page_read(const char *path)
{
	FILE *file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	char *text = calloc(1, PAGE_BYTES_MAX);
	ck_assert_ptr_nonnull(text);
	ck_assert_uint_lt(fread(text, 1, PAGE_BYTES_MAX - 1, file), PAGE_BYTES_MAX - 1);
	fclose(file);
	return text;
}
