// SPDX-License-Identifier: MIT
/* Any bytes are a report or a mistake with a line number; what is a report becomes a workload,
 * which printed and parsed is the same again. The first byte says whose words follow: of a script,
 * of blkdebug, of LazyFS. */
#include "workloads/import.h"
#include "workloads/import_lazyfs.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SCRIPT "write 0 4k\n"

static void check_mistake(enum status status, const struct why *why)
{
	assert(status == STATUS_BAD_INPUT);
	assert(strncmp(why->text, "r:", 2) == 0);
	assert(!strpbrk(why->text, "\n\r"));
}

static void check_workload(const struct import *import)
{
	struct workload again;
	struct why why = { "" };
	char *text = import_print(import);
	enum status status = workload_parse(&again, "r", text, strlen(text), &why);
	assert(status == STATUS_OK);
	assert(again.command_count == import->workload.command_count);
	assert(again.prepare_count == import->workload.prepare_count);
	assert(again.rule_count == import->workload.rule_count);
	assert(again.image.size_bytes == import->workload.image.size_bytes);
	workload_release(&again);
	free(text);
}

static void try_lazyfs(const char *text, size_t bytes)
{
	struct lazyfs_entry *entries = NULL;
	struct why why = { "" };
	size_t count = 0;
	enum status status = lazyfs_read(&entries, &count, "r", text, bytes, &why);
	if (status != STATUS_OK)
		check_mistake(status, &why);
	for (size_t i = 0; i < count; i++)
		assert(entries[i].occurrence && entries[i].file[0]);
	free(entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct import import = { 0 };
	struct why why = { "" };
	if (!size)
		return 0;
	const char *text = (const char *)data + 1;
	size_t bytes = size - 1;
	(void)import_kind_of(text, bytes);
	if (data[0] == 'l') {
		try_lazyfs(text, bytes);
		return 0;
	}
	bool is_config = data[0] == 'b';
	enum status status = is_config ? import_script(&import, "s", SCRIPT, strlen(SCRIPT), &why)
				       : import_script(&import, "r", text, bytes, &why);
	if (is_config)
		status = import_blkdebug(
			&import,
			&(struct import_text){ .name = "r", .text = text, .byte_count = bytes },
			&why);
	if (status == STATUS_OK)
		check_workload(&import);
	else
		check_mistake(status, &why);
	import_release(&import);
	return 0;
}
