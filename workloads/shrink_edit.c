// SPDX-License-Identifier: MIT
/* What is tried on a workload, one edit at a time: an edit changes the parsed form, which is
 * printed and parsed again, so that whatever breaks a rule of the language is refused there.
 *
 * Every edit must make the measure smaller, so trying them again and again comes to an end. The
 * order of the fields is the order of what a reader has to bear in mind: requests before ranges,
 * ranges before words. `options` counts words that a plain workload does not have:
 *
 *      policy    eager 0, delayed 1, cancel 2        crash     prefix 0, torn 1, reorder 2
 *      backing, backing_size, lazy_refcounts, compat, allocate_from, allocations_max    1 each
 *      faults    their number and that of the kinds  command   aio_, -z, -u, several pieces: 1 each
 *
 * Known bugs are not counted and stay. */
#include "workloads/shrink_edit.h"

#include "engine/qcow2/qcow2.h"
#include "injector/fault_menu.h"
#include "oracle/verdict.h"
#include "traces/memory.h"
#include "workloads/language_print.h"
#include "workloads/language_private.h"

#include <stdlib.h>
#include <string.h>

enum {
	SECTOR_BYTES = 512,
	CLUSTER_BYTES_MIN = 512,
	PAIRS_OF_MAX = 12, /* commands, of which all pairs are tried */
	REMOVED_MAX = 4096,
};

static bool has_range(const struct workload_command *command)
{
	return command->op == REQUEST_READ || command->op == REQUEST_WRITE ||
	       command->op == REQUEST_WRITE_ZEROES || command->op == REQUEST_DISCARD;
}

static size_t item_count(const struct workload *workload)
{
	return workload->prepare_count + workload->command_count;
}

static struct workload_command *item_at(const struct workload *workload, size_t index)
{
	return index < workload->prepare_count
		       ? &workload->prepare[index]
		       : &workload->commands[index - workload->prepare_count];
}

/* ---- the measure ---- */

static unsigned models_of(const struct workload *workload)
{
	unsigned models = CRASH_PREFIX | CRASH_TORN;
	if (workload->crash && !crash_models_parse(workload->crash, &models))
		return CRASH_PREFIX;
	return models | CRASH_PREFIX;
}

static enum qcow2_policy policy_of(const struct workload *workload)
{
	enum qcow2_policy policy = QCOW2_EAGER;
	if (workload->policy && !qcow2_policy_parse(workload->policy, &policy))
		return QCOW2_EAGER;
	return policy;
}

static uint64_t policy_weight(enum qcow2_policy policy)
{
	return policy == QCOW2_EAGER ? 0 : policy == QCOW2_DELAYED ? 1 : 2;
}

static uint64_t models_weight(unsigned models)
{
	return (models & CRASH_TORN ? 1U : 0U) + (models & CRASH_REORDER ? 2U : 0U);
}

/* All kinds have no need to be said, but are more to think of. */
static unsigned kinds_of(const struct workload *workload)
{
	return workload->fault_kinds ? workload->fault_kinds : FAULT_KINDS_ALL;
}

static uint64_t faults_weight(const struct workload *workload)
{
	uint64_t weight = workload->faults;
	for (unsigned kinds = workload->faults ? kinds_of(workload) : 0; kinds; kinds &= kinds - 1)
		weight++;
	return weight;
}

static uint64_t count_options(const struct workload *workload)
{
	const struct workload_image *image = &workload->image;
	uint64_t count = policy_weight(policy_of(workload)) + models_weight(models_of(workload)) +
			 faults_weight(workload) + (image->backing != WORKLOAD_BACKING_NONE) +
			 (image->backing == WORKLOAD_BACKING_PATTERN &&
			  image->backing_bytes != image->size_bytes) +
			 image->lazy_refcounts + (image->version != 3) +
			 (image->allocate_from != 0) + (image->allocations_max != 0);
	for (size_t i = 0; i < item_count(workload); i++) {
		const struct workload_command *command = item_at(workload, i);
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
	for (size_t i = 0; i < item_count(workload); i++) {
		const struct workload_command *command = item_at(workload, i);
		if (has_range(command))
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

/* ---- the list ---- */

static void add(struct shrink_edits *edits, enum shrink_kind kind, size_t first, size_t count,
		uint64_t value)
{
	edits->items = memory_grow(edits->items, &edits->capacity, edits->count + 1,
				   sizeof(*edits->items));
	edits->items[edits->count++] = (struct shrink_edit){
		.kind = kind,
		.first = first,
		.count = count,
		.value = value,
	};
}

/* Halves, quarters, ..., single ones; then pairs, for what makes sense only together. */
static void list_removals(struct shrink_edits *edits, size_t from, size_t items)
{
	size_t count = items - from;
	for (size_t chunk = (count + 1) / 2; chunk > 0; chunk = chunk == 1 ? 0 : (chunk + 1) / 2)
		for (size_t first = from; first < items; first += chunk)
			add(edits, SHRINK_REMOVE, first,
			    first + chunk <= items ? chunk : items - first, 0);
	if (count > PAIRS_OF_MAX)
		return;
	for (size_t first = from; first < items; first++)
		for (size_t second = first + 2; second < items; second++)
			add(edits, SHRINK_REMOVE_PAIR, first, second, 0);
}

static uint64_t rounded_up(uint64_t bytes, uint64_t unit)
{
	return (bytes + unit - 1) / unit * unit;
}

/* The smallest disk in which all ranges lie. */
static uint64_t least_disk(const struct workload *workload)
{
	uint64_t end = 0;
	for (size_t i = 0; i < item_count(workload); i++) {
		const struct workload_command *command = item_at(workload, i);
		if (has_range(command) && command->guest_offset + command->length > end)
			end = command->guest_offset + command->length;
	}
	return rounded_up(end ? end : 1, workload->image.cluster_bytes);
}

static void list_image(struct shrink_edits *edits, const struct workload *workload)
{
	const struct workload_image *image = &workload->image;
	uint64_t least = least_disk(workload);
	add(edits, SHRINK_HALVE_CLUSTERS, 0, 0, 0);
	add(edits, SHRINK_COMPACT, 0, 0, 0);
	for (uint64_t bytes = least; bytes < image->size_bytes; bytes = 2 * bytes)
		add(edits, SHRINK_DISK, 0, 0, bytes);
	if (image->backing == WORKLOAD_BACKING_PATTERN)
		add(edits, SHRINK_NO_BACKING, 0, 0, 0);
	if (image->backing == WORKLOAD_BACKING_PATTERN && image->backing_bytes != image->size_bytes)
		add(edits, SHRINK_BACKING_SIZE, 0, 0, 0);
	if (image->lazy_refcounts)
		add(edits, SHRINK_NO_LAZY, 0, 0, 0);
	if (image->version != 3)
		add(edits, SHRINK_VERSION, 0, 0, 0);
}

static void list_settings(struct shrink_edits *edits, const struct workload *workload)
{
	static const unsigned weaker[] = { CRASH_PREFIX, CRASH_PREFIX | CRASH_TORN,
					   CRASH_PREFIX | CRASH_REORDER };
	static const enum qcow2_policy simpler[] = { QCOW2_EAGER, QCOW2_DELAYED };
	unsigned models = models_of(workload);
	for (uint64_t faults = 0; faults < workload->faults; faults++)
		add(edits, SHRINK_FAULTS, 0, 0, faults);
	for (unsigned kind = 1; workload->faults && kind <= FAULT_KINDS_ALL; kind *= 2)
		if (kinds_of(workload) & kind && kinds_of(workload) != kind)
			add(edits, SHRINK_KINDS, 0, 0, kind);
	for (size_t i = 0; i < sizeof(weaker) / sizeof(weaker[0]); i++)
		if (models_weight(weaker[i]) < models_weight(models) && !(weaker[i] & ~models))
			add(edits, SHRINK_CRASH, 0, 0, weaker[i]);
	for (size_t i = 0; i < sizeof(simpler) / sizeof(simpler[0]); i++)
		if (policy_weight(simpler[i]) < policy_weight(policy_of(workload)))
			add(edits, SHRINK_POLICY, 0, 0, simpler[i]);
	if (workload->image.allocate_from)
		add(edits, SHRINK_ALLOCATE_FROM, 0, 0, 0);
	if (workload->image.allocations_max)
		add(edits, SHRINK_ALLOCATIONS_MAX, 0, 0, 0);
}

static void list_range(struct shrink_edits *edits, const struct workload_command *command,
		       size_t index, uint64_t cluster_bytes)
{
	uint64_t in_cluster = command->guest_offset % cluster_bytes;
	if (command->length > SECTOR_BYTES)
		add(edits, SHRINK_LENGTH, index, 0, SECTOR_BYTES);
	for (uint64_t bytes = 2 * SECTOR_BYTES; bytes < command->length; bytes *= 2)
		add(edits, SHRINK_LENGTH, index, 0, bytes);
	if (command->guest_offset)
		add(edits, SHRINK_OFFSET, index, 0, 0);
	if (command->guest_offset > in_cluster)
		add(edits, SHRINK_OFFSET, index, 0, in_cluster);
	if (in_cluster)
		add(edits, SHRINK_OFFSET, index, 0, command->guest_offset - in_cluster);
	if (in_cluster > SECTOR_BYTES)
		add(edits, SHRINK_OFFSET, index, 0,
		    command->guest_offset - in_cluster + SECTOR_BYTES);
}

static void list_command(struct shrink_edits *edits, const struct workload *workload, size_t index)
{
	const struct workload_command *command = item_at(workload, index);
	uint64_t disk_bytes = workload->image.size_bytes;
	if (command->is_async)
		add(edits, SHRINK_SYNC, index, 0, 0);
	if (command->piece_count > 1)
		add(edits, SHRINK_ONE_PIECE, index, 0, 0);
	if (command->unmap)
		add(edits, SHRINK_NO_UNMAP, index, 0, 0);
	if (command->op == REQUEST_WRITE_ZEROES)
		add(edits, SHRINK_NO_ZERO, index, 0, 0);
	if (has_range(command))
		list_range(edits, command, index, workload->image.cluster_bytes);
	if (command->op == REQUEST_TRUNCATE)
		for (uint64_t bytes = disk_bytes + SECTOR_BYTES; bytes < command->guest_offset;
		     bytes = 2 * bytes)
			add(edits, SHRINK_LENGTH, index, 0, rounded_up(bytes, SECTOR_BYTES));
}

/* May it as well run before the recording? */
static bool can_prepare(const struct workload_command *command)
{
	return !command->is_async && !command->waits_for_all && command->op != REQUEST_READ &&
	       command->op != REQUEST_FLUSH && command->op != REQUEST_TRUNCATE;
}

void shrink_list(struct shrink_edits *edits, const struct workload *workload, bool keeps_image)
{
	size_t items = item_count(workload);
	size_t from = keeps_image ? workload->prepare_count : 0;
	edits->count = 0;
	list_removals(edits, from, items);
	if (!keeps_image && workload->command_count && can_prepare(&workload->commands[0]))
		add(edits, SHRINK_PREPARE, 0, 0, 0);
	add(edits, SHRINK_SHORTEN_ALL, from, 0, 0);
	if (!keeps_image)
		list_image(edits, workload);
	list_settings(edits, workload);
	for (size_t i = from; i < items; i++)
		list_command(edits, workload, i);
}

void shrink_edits_release(struct shrink_edits *edits)
{
	free(edits->items);
	*edits = (struct shrink_edits){ 0 };
}

/* ---- one edit ---- */

static void remove_from(struct workload_command *commands, size_t *count, size_t index)
{
	command_release(&commands[index]);
	memmove(&commands[index], &commands[index + 1], (*count - index - 1) * sizeof(commands[0]));
	--*count;
}

static void remove_item(struct workload *workload, size_t index)
{
	if (index < workload->prepare_count)
		remove_from(workload->prepare, &workload->prepare_count, index);
	else
		remove_from(workload->commands, &workload->command_count,
			    index - workload->prepare_count);
}

static void prepare_first(struct workload *workload)
{
	size_t count = workload->prepare_count;
	workload->prepare = realloc(workload->prepare, (count + 1) * sizeof(*workload->prepare));
	if (!workload->prepare)
		abort();
	workload->prepare[workload->prepare_count++] = workload->commands[0];
	workload->commands[0] = (struct workload_command){ 0 };
	remove_from(workload->commands, &workload->command_count, 0);
}

static void join_pieces(struct workload_command *command)
{
	free(command->pieces);
	command->pieces = NULL;
	command->piece_count = 0;
}

static void set_length(struct workload_command *command, uint64_t bytes)
{
	if (command->op == REQUEST_TRUNCATE) {
		command->guest_offset = bytes;
		return;
	}
	join_pieces(command);
	command->length = bytes;
}

static void set_disk(struct workload_image *image, uint64_t bytes)
{
	if (image->backing_bytes == image->size_bytes || image->backing_bytes > bytes)
		image->backing_bytes = image->backing_bytes ? bytes : 0;
	image->size_bytes = bytes;
}

static bool halves(uint64_t bytes)
{
	return bytes % (2 * (uint64_t)SECTOR_BYTES) == 0;
}

/* All at half its size, so that what lay in one cluster still does. */
static bool halve_clusters(struct workload *workload)
{
	struct workload_image *image = &workload->image;
	if (image->cluster_bytes == CLUSTER_BYTES_MIN || !halves(image->size_bytes) ||
	    !halves(image->backing_bytes))
		return false;
	for (size_t i = 0; i < item_count(workload); i++) {
		struct workload_command *command = item_at(workload, i);
		if (!halves(command->guest_offset))
			return false;
		join_pieces(command);
		command->guest_offset /= 2;
		if (halves(command->length))
			command->length /= 2;
	}
	image->cluster_bytes /= 2;
	image->size_bytes /= 2;
	image->backing_bytes /= 2;
	return true;
}

static bool touches(const struct workload *workload, uint64_t cluster)
{
	uint64_t cluster_bytes = workload->image.cluster_bytes;
	for (size_t i = 0; i < item_count(workload); i++) {
		const struct workload_command *command = item_at(workload, i);
		if (has_range(command) && command->length &&
		    command->guest_offset / cluster_bytes <= cluster &&
		    (command->guest_offset + command->length - 1) / cluster_bytes >= cluster)
			return true;
	}
	return false;
}

/* Take away the last cluster before some range that nothing touches. */
static bool take_gap(struct workload *workload)
{
	uint64_t cluster_bytes = workload->image.cluster_bytes;
	uint64_t gap = least_disk(workload) / cluster_bytes;
	while (gap > 0 && touches(workload, gap - 1))
		gap--;
	if (gap == 0)
		return false;
	uint64_t end = gap * cluster_bytes;
	for (size_t i = 0; i < item_count(workload); i++) {
		struct workload_command *command = item_at(workload, i);
		if (has_range(command) && command->guest_offset >= end)
			command->guest_offset -= cluster_bytes;
	}
	return true;
}

static bool compact(struct workload *workload)
{
	enum { GAPS_MAX = 4096 };
	uint64_t clusters = least_disk(workload) / workload->image.cluster_bytes;
	if (clusters > GAPS_MAX || !take_gap(workload))
		return false;
	for (size_t i = 0; i < GAPS_MAX && take_gap(workload); i++)
		;
	if (workload->image.backing != WORKLOAD_BACKING_FILE)
		set_disk(&workload->image, least_disk(workload));
	return true;
}

static void set_models(struct workload *workload, unsigned models)
{
	free(workload->crash);
	workload->crash = text_copy(models == CRASH_PREFIX                  ? "prefix"
				    : models == (CRASH_PREFIX | CRASH_TORN) ? "prefix,torn"
									    : "reorder");
}

static void shorten_all(struct workload *workload, size_t from)
{
	for (size_t i = from; i < item_count(workload); i++) {
		struct workload_command *command = item_at(workload, i);
		if (has_range(command) && command->length > SECTOR_BYTES)
			set_length(command, SECTOR_BYTES);
	}
}

static void drop_backing(struct workload_image *image)
{
	image->backing = WORKLOAD_BACKING_NONE;
	image->backing_bytes = 0;
}

/* False: it cannot be done here. */
static bool change(struct workload *workload, const struct shrink_edit *edit)
{
	struct workload_image *image = &workload->image;
	struct workload_command *command =
		edit->first < item_count(workload) ? item_at(workload, edit->first) : NULL;
	switch (edit->kind) {
	case SHRINK_REMOVE:
		for (size_t i = 0; i < edit->count && i < REMOVED_MAX; i++)
			remove_item(workload, edit->first);
		break;
	case SHRINK_REMOVE_PAIR:
		remove_item(workload, edit->count);
		remove_item(workload, edit->first);
		break;
	case SHRINK_PREPARE: prepare_first(workload); break;
	case SHRINK_FAULTS:
		workload->faults = (uint32_t)edit->value;
		workload->has_faults = edit->value != 0;
		break;
	case SHRINK_KINDS: workload->fault_kinds = (unsigned)edit->value; break;
	case SHRINK_CRASH: set_models(workload, (unsigned)edit->value); break;
	case SHRINK_POLICY:
		free(workload->policy);
		workload->policy = text_copy(qcow2_policy_name((enum qcow2_policy)edit->value));
		break;
	case SHRINK_NO_BACKING: drop_backing(image); break;
	case SHRINK_BACKING_SIZE: image->backing_bytes = image->size_bytes; break;
	case SHRINK_NO_LAZY: image->lazy_refcounts = false; break;
	case SHRINK_VERSION: image->version = 3; break;
	case SHRINK_ALLOCATE_FROM: image->allocate_from = edit->value; break;
	case SHRINK_ALLOCATIONS_MAX: image->allocations_max = 0; break;
	case SHRINK_SHORTEN_ALL: shorten_all(workload, edit->first); break;
	case SHRINK_HALVE_CLUSTERS: return halve_clusters(workload);
	case SHRINK_COMPACT: return compact(workload);
	case SHRINK_DISK: set_disk(image, edit->value); break;
	case SHRINK_SYNC: command->is_async = false; break;
	case SHRINK_ONE_PIECE: join_pieces(command); break;
	case SHRINK_NO_UNMAP: command->unmap = false; break;
	case SHRINK_NO_ZERO:
		command->op = REQUEST_WRITE;
		command->unmap = false;
		break;
	case SHRINK_LENGTH: set_length(command, edit->value); break;
	case SHRINK_OFFSET: command->guest_offset = edit->value; break;
	}
	return true;
}

/* Print and parse again. False: it is no workload; then it is empty. */
static bool reparse(struct workload *workload)
{
	struct why why;
	struct workload again;
	char name[WORKLOAD_NAME_BYTES];
	char *text = workload_print(workload);
	memcpy(name, workload->name, sizeof(name));
	workload_release(workload);
	enum status status = workload_parse(&again, name, text, strlen(text), &why);
	free(text);
	*workload = again;
	return status == STATUS_OK;
}

bool shrink_apply(struct workload *workload, const struct shrink_edit *edit)
{
	struct shrink_size before, after;
	shrink_measure(&before, workload);
	if (!change(workload, edit)) {
		workload_release(workload);
		return false;
	}
	if (!reparse(workload))
		return false;
	shrink_measure(&after, workload);
	if (shrink_compare(&after, &before) < 0)
		return true;
	workload_release(workload);
	return false;
}

bool shrink_normalise(struct workload *workload)
{
	for (size_t i = 0; i < item_count(workload); i++) {
		item_at(workload, i)->quiet = false;
		item_at(workload, i)->verifies = false;
	}
	for (size_t i = 0; i < workload->expect_count; i++)
		free(workload->expects[i]);
	workload->expect_count = 0;
	workload->expects_clean = false;
	return reparse(workload);
}
