// SPDX-License-Identifier: MIT
/* What is tried on a workload, one edit at a time: an edit changes the parsed form, which is
 * printed and parsed again, so that whatever breaks a rule of the language is refused there.
 *
 * Every edit must make the measure (shrink_size.c) smaller, so trying them again and again comes to
 * an end.
 *
 * A request can often be done without if the others are given more freedom: to run at the same
 * time, under another policy, with a shorter list of allocations in flight; or if it becomes one
 * with another, or a part of what is there before. All of these are smaller, for requests come
 * first in the measure; what freedom was not needed is taken back by later edits. They are tried
 * last, on what is small already, because more freedom means more runs. */
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
	FREER_OF_MAX = 6,  /* commands, of which each is left out in every way */
	REMOVED_MAX = 4096,
};

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
	for (size_t i = 0; i < shrink_item_count(workload); i++) {
		const struct workload_command *command = shrink_item_at(workload, i);
		if (shrink_has_range(command) && command->guest_offset + command->length > end)
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
	unsigned models = shrink_models(workload);
	for (uint64_t faults = 0; faults < workload->faults; faults++)
		add(edits, SHRINK_FAULTS, 0, 0, faults);
	for (unsigned kind = 1; workload->faults && kind <= FAULT_KINDS_ALL; kind *= 2)
		if (shrink_kinds(workload) & kind && shrink_kinds(workload) != kind)
			add(edits, SHRINK_KINDS, 0, 0, kind);
	for (size_t i = 0; i < sizeof(weaker) / sizeof(weaker[0]); i++)
		if (shrink_models_weight(weaker[i]) < shrink_models_weight(models) &&
		    !(weaker[i] & ~models))
			add(edits, SHRINK_CRASH, 0, 0, weaker[i]);
	for (size_t i = 0; i < sizeof(simpler) / sizeof(simpler[0]); i++)
		if (shrink_policy_weight(simpler[i]) <
		    shrink_policy_weight(shrink_policy(workload)))
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
	const struct workload_command *command = shrink_item_at(workload, index);
	uint64_t disk_bytes = workload->image.size_bytes;
	if (command->is_async)
		add(edits, SHRINK_SYNC, index, 0, 0);
	if (command->piece_count > 1)
		add(edits, SHRINK_ONE_PIECE, index, 0, 0);
	if (command->unmap)
		add(edits, SHRINK_NO_UNMAP, index, 0, 0);
	if (command->op == REQUEST_WRITE_ZEROES)
		add(edits, SHRINK_NO_ZERO, index, 0, 0);
	if (shrink_has_range(command))
		list_range(edits, command, index, workload->image.cluster_bytes);
	if (command->op == REQUEST_TRUNCATE)
		for (uint64_t bytes = disk_bytes + SECTOR_BYTES; bytes < command->guest_offset;
		     bytes = 2 * bytes)
			add(edits, SHRINK_LENGTH, index, 0, rounded_up(bytes, SECTOR_BYTES));
}

/* May it as well run before the recording? */
static bool can_prepare(const struct workload_command *command)
{
	return !command->waits_for_all && command->op != REQUEST_READ &&
	       command->op != REQUEST_FLUSH && command->op != REQUEST_TRUNCATE;
}

static bool can_merge(const struct workload_command *a, const struct workload_command *b)
{
	return a->op == b->op && shrink_has_range(a);
}

/* Make one command out of two, or put one into the image. */
static void list_mergers(struct shrink_edits *edits, const struct workload *workload, size_t from)
{
	size_t items = shrink_item_count(workload);
	if (items - from > PAIRS_OF_MAX)
		return;
	for (size_t first = from; first < items; first++)
		for (size_t second = first + 1; second < items; second++)
			for (uint64_t place = 0; place < 2; place++)
				if (can_merge(shrink_item_at(workload, first),
					      shrink_item_at(workload, second)))
					add(edits, SHRINK_MERGE, first, second, place);
}

static void list_prepared(struct shrink_edits *edits, const struct workload *workload)
{
	for (size_t i = 0; i < workload->command_count; i++)
		if (can_prepare(&workload->commands[i]))
			add(edits, SHRINK_PREPARE, workload->prepare_count + i, 0, 0);
}

/* Leave a request out, and give the others all the freedom that may take its place. */
static void list_freer(struct shrink_edits *edits, const struct workload *workload, bool is_program)
{
	unsigned last = is_program ? SHRINK_FREEDOM_ASYNC : SHRINK_FREEDOM_TWO_ALLOCATIONS;
	if (workload->command_count > FREER_OF_MAX)
		return;
	for (unsigned freedom = SHRINK_FREEDOM_ASYNC; freedom <= last; freedom++)
		for (size_t i = 0; i < workload->command_count; i++)
			if (!workload->commands[i].waits_for_all)
				add(edits, SHRINK_REMOVE_FREER, workload->prepare_count + i, 0,
				    freedom);
}

void shrink_list(struct shrink_edits *edits, const struct workload *workload,
		 const struct shrink_scope *scope)
{
	size_t items = shrink_item_count(workload);
	size_t from = scope->keeps_image ? workload->prepare_count : 0;
	edits->count = 0;
	list_removals(edits, from, items);
	if (!scope->keeps_image)
		list_prepared(edits, workload);
	list_mergers(edits, workload, from);
	add(edits, SHRINK_SHORTEN_ALL, from, 0, 0);
	if (!scope->keeps_image)
		list_image(edits, workload);
	list_settings(edits, workload);
	for (size_t i = from; i < items; i++)
		list_command(edits, workload, i);
	list_freer(edits, workload, scope->is_program);
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

/* Command `index` of all. */
static void prepare(struct workload *workload, size_t index)
{
	size_t count = workload->prepare_count, at = index - count;
	workload->prepare = realloc(workload->prepare, (count + 1) * sizeof(*workload->prepare));
	if (!workload->prepare)
		abort();
	workload->commands[at].is_async = false;
	workload->prepare[workload->prepare_count++] = workload->commands[at];
	workload->commands[at] = (struct workload_command){ 0 };
	remove_from(workload->commands, &workload->command_count, at);
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

static void merge(struct workload *workload, const struct shrink_edit *edit)
{
	const struct workload_command *first = shrink_item_at(workload, edit->first);
	const struct workload_command *second = shrink_item_at(workload, edit->count);
	uint64_t from = first->guest_offset, to = from + first->length;
	if (second->guest_offset < from)
		from = second->guest_offset;
	if (second->guest_offset + second->length > to)
		to = second->guest_offset + second->length;
	struct workload_command *kept =
		shrink_item_at(workload, edit->value ? edit->count : edit->first);
	kept->guest_offset = from;
	set_length(kept, to - from);
	remove_item(workload, edit->value ? edit->first : edit->count);
}

static void free_commands(struct workload *workload)
{
	for (size_t i = 0; i < workload->command_count; i++) {
		struct workload_command *command = &workload->commands[i];
		command->is_async |= shrink_has_range(command);
	}
}

static void set_policy(struct workload *workload, enum qcow2_policy policy)
{
	free(workload->policy);
	workload->policy = text_copy(qcow2_policy_name(policy));
}

/* False: they have this freedom. */
static bool give_freedom(struct workload *workload, enum shrink_freedom freedom)
{
	enum qcow2_policy policy = shrink_policy(workload);
	uint32_t allocations_max = workload->image.allocations_max;
	switch (freedom) {
	case SHRINK_FREEDOM_ASYNC: free_commands(workload); return true;
	case SHRINK_FREEDOM_EAGER: set_policy(workload, QCOW2_EAGER); break;
	case SHRINK_FREEDOM_DELAYED: set_policy(workload, QCOW2_DELAYED); break;
	case SHRINK_FREEDOM_CANCEL: set_policy(workload, QCOW2_CANCEL); break;
	case SHRINK_FREEDOM_ONE_ALLOCATION: workload->image.allocations_max = 1; break;
	case SHRINK_FREEDOM_TWO_ALLOCATIONS: workload->image.allocations_max = 2; break;
	}
	return policy != shrink_policy(workload) ||
	       allocations_max != workload->image.allocations_max;
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
	for (size_t i = 0; i < shrink_item_count(workload); i++) {
		struct workload_command *command = shrink_item_at(workload, i);
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
	for (size_t i = 0; i < shrink_item_count(workload); i++) {
		const struct workload_command *command = shrink_item_at(workload, i);
		if (shrink_has_range(command) && command->length &&
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
	for (size_t i = 0; i < shrink_item_count(workload); i++) {
		struct workload_command *command = shrink_item_at(workload, i);
		if (shrink_has_range(command) && command->guest_offset >= end)
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
	for (size_t i = from; i < shrink_item_count(workload); i++) {
		struct workload_command *command = shrink_item_at(workload, i);
		if (shrink_has_range(command) && command->length > SECTOR_BYTES)
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
	struct workload_command *command = edit->first < shrink_item_count(workload)
						   ? shrink_item_at(workload, edit->first)
						   : NULL;
	switch (edit->kind) {
	case SHRINK_REMOVE:
		for (size_t i = 0; i < edit->count && i < REMOVED_MAX; i++)
			remove_item(workload, edit->first);
		break;
	case SHRINK_REMOVE_PAIR:
		remove_item(workload, edit->count);
		remove_item(workload, edit->first);
		break;
	case SHRINK_REMOVE_FREER:
		remove_item(workload, edit->first);
		return give_freedom(workload, (enum shrink_freedom)edit->value);
	case SHRINK_MERGE: merge(workload, edit); break;
	case SHRINK_PREPARE: prepare(workload, edit->first); break;
	case SHRINK_FAULTS:
		workload->faults = (uint32_t)edit->value;
		workload->has_faults = edit->value != 0;
		break;
	case SHRINK_KINDS: workload->fault_kinds = (unsigned)edit->value; break;
	case SHRINK_CRASH: set_models(workload, (unsigned)edit->value); break;
	case SHRINK_POLICY: set_policy(workload, (enum qcow2_policy)edit->value); break;
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
	for (size_t i = 0; i < shrink_item_count(workload); i++) {
		shrink_item_at(workload, i)->quiet = false;
		shrink_item_at(workload, i)->verifies = false;
	}
	for (size_t i = 0; i < workload->expect_count; i++)
		free(workload->expects[i]);
	workload->expect_count = 0;
	workload->expects_clean = false;
	return reparse(workload);
}
