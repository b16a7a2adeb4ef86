// SPDX-License-Identifier: MIT
/* The order of the fields is the order of what a reader has to bear in mind: requests before
 * ranges, ranges before words. `options` counts words that a plain workload does not have:
 *
 *      policy    eager 0, delayed 1, cancel 2        crash     prefix 0, torn 1, reorder 2
 *      backing, backing_size, lazy_refcounts, compat, allocate_from, allocations_max    1 each
 *      faults    their number and that of the kinds  command   aio_, -z, -u, several pieces: 1 each
 *
 * Known bugs are not counted and stay. */
#include "workloads/shrink_size.h"

#include "injector/fault_menu.h"
#include "oracle/verdict.h"

enum { SECTOR_BYTES = 512 };

bool shrink_has_range(const struct workload_command *command)
{
	return command->op == REQUEST_READ || command->op == REQUEST_WRITE ||
	       command->op == REQUEST_WRITE_ZEROES || command->op == REQUEST_DISCARD;
}

size_t shrink_item_count(const struct workload *workload)
{
	return workload->prepare_count + workload->command_count;
}

struct workload_command *shrink_item_at(const struct workload *workload, size_t index)
{
	return index < workload->prepare_count
		       ? &workload->prepare[index]
		       : &workload->commands[index - workload->prepare_count];
}

unsigned shrink_models(const struct workload *workload)
{
	unsigned models = CRASH_PREFIX | CRASH_TORN;
	if (workload->crash && !crash_models_parse(workload->crash, &models))
		return CRASH_PREFIX;
	return models | CRASH_PREFIX;
}

enum qcow2_policy shrink_policy(const struct workload *workload)
{
	enum qcow2_policy policy = QCOW2_EAGER;
	if (workload->policy && !qcow2_policy_parse(workload->policy, &policy))
		return QCOW2_EAGER;
	return policy;
}

uint64_t shrink_policy_weight(enum qcow2_policy policy)
{
	return policy == QCOW2_EAGER ? 0 : policy == QCOW2_DELAYED ? 1 : 2;
}

uint64_t shrink_models_weight(unsigned models)
{
	return (models & CRASH_TORN ? 1U : 0U) + (models & CRASH_REORDER ? 2U : 0U);
}

/* All kinds have no need to be said, but are more to think of. */
unsigned shrink_kinds(const struct workload *workload)
{
	return workload->fault_kinds ? workload->fault_kinds : FAULT_KINDS_ALL;
}

static uint64_t faults_weight(const struct workload *workload)
{
	uint64_t weight = workload->faults;
	for (unsigned kinds = workload->faults ? shrink_kinds(workload) : 0; kinds;
	     kinds &= kinds - 1)
		weight++;
	return weight;
}

static uint64_t count_options(const struct workload *workload)
{
	const struct workload_image *image = &workload->image;
	uint64_t count = shrink_policy_weight(shrink_policy(workload)) +
			 shrink_models_weight(shrink_models(workload)) + faults_weight(workload) +
			 (image->backing != WORKLOAD_BACKING_NONE) +
			 (image->backing == WORKLOAD_BACKING_PATTERN &&
			  image->backing_bytes != image->size_bytes) +
			 image->lazy_refcounts + (image->version != 3) +
			 (image->allocate_from != 0) + (image->allocations_max != 0);
	for (size_t i = 0; i < shrink_item_count(workload); i++) {
		const struct workload_command *command = shrink_item_at(workload, i);
		count += (uint64_t)command->is_async + (command->op == REQUEST_WRITE_ZEROES) +
			 command->unmap + (command->piece_count > 1);
	}
	return count;
}

static void measure_range(struct shrink_size *size, const struct workload_command *command,
			  uint64_t cluster_bytes)
{
	uint64_t end = command->guest_offset + command->length;
	size->bytes += command->length;
	size->places += command->guest_offset;
	size->unaligned += (uint64_t)(command->guest_offset % cluster_bytes != 0) +
			   (command->guest_offset % SECTOR_BYTES != 0) + (end % SECTOR_BYTES != 0);
}

void shrink_measure(struct shrink_size *size, const struct workload *workload)
{
	*size = (struct shrink_size){ .prepared = workload->prepare_count,
				      .disk_bytes = workload->image.size_bytes,
				      .options = count_options(workload) };
	for (size_t i = 0; i < workload->command_count; i++) {
		size->waits += workload->commands[i].waits_for_all;
		size->requests += !workload->commands[i].waits_for_all;
	}
	for (size_t i = 0; i < shrink_item_count(workload); i++) {
		const struct workload_command *command = shrink_item_at(workload, i);
		if (shrink_has_range(command))
			measure_range(size, command, workload->image.cluster_bytes);
		else if (command->op == REQUEST_TRUNCATE)
			size->disk_bytes += command->guest_offset;
	}
}

int shrink_compare(const struct shrink_size *a, const struct shrink_size *b)
{
	const uint64_t left[] = { a->requests,   a->waits,     a->prepared, a->bytes,
				  a->disk_bytes, a->unaligned, a->options,  a->places };
	const uint64_t right[] = { b->requests,   b->waits,     b->prepared, b->bytes,
				   b->disk_bytes, b->unaligned, b->options,  b->places };
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
		if (left[i] != right[i])
			return left[i] < right[i] ? -1 : 1;
	return 0;
}
