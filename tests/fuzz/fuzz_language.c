// SPDX-License-Identifier: MIT
/* Any bytes are a workload or a mistake with a line number; what is a workload stays inside its
 * image, and parses to the same again. */
#include "workloads/language.h"

#include <assert.h>
#include <string.h>

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_commands(const struct workload *workload)
{
	uint64_t disk_bytes = workload->image.size_bytes;
	for (size_t i = 0; i < workload->prepare_count; i++)
		if (workload->prepare[i].op == REQUEST_TRUNCATE)
			disk_bytes = workload->prepare[i].guest_offset;
	for (size_t i = 0; i < workload->command_count; i++) {
		const struct workload_command *command = &workload->commands[i];
		if (command->op == REQUEST_TRUNCATE) {
			assert(command->guest_offset >= disk_bytes);
			disk_bytes = command->guest_offset;
			continue;
		}
		assert(command->guest_offset <= disk_bytes);
		assert(command->length <= disk_bytes - command->guest_offset);
		uint64_t pieces = 0;
		for (size_t k = 0; k < command->piece_count; k++)
			pieces += command->pieces[k];
		assert(!command->pieces || pieces == command->length);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct workload workload, again;
	struct why why = { "" };
	enum status status = workload_parse(&workload, "fuzz.qio", (const char *)data, size, &why);
	if (status != STATUS_OK) {
		assert(status == STATUS_BAD_INPUT);
		assert(strncmp(why.text, "fuzz.qio:", 9) == 0);
		assert(!strpbrk(why.text, "\n\r"));
		return 0;
	}
	check_commands(&workload);
	status = workload_parse(&again, "fuzz.qio", workload.text, strlen(workload.text), &why);
	assert(status == STATUS_OK);
	assert(again.command_count == workload.command_count);
	assert(again.prepare_count == workload.prepare_count);
	workload_release(&again);
	workload_release(&workload);
	return 0;
}
