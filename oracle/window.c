// SPDX-License-Identifier: MIT
/* Versions of sectors, and when they stop being a matter of luck.
 *
 *     effect     completed      flush submitted   flush completed
 *       |------------|                 |-----------------|
 *       a version is pushed            covers what had completed when it was submitted
 *
 * A cell's versions stand in the order in which they took effect. The newest one that is durable is
 * its base: a crash leaves the base or any later one. An operation whose I/O has not completed when
 * a flush is submitted is not covered by it. A flush that fails covers nothing; what it should have
 * covered is doomed, because the system forgets that these pages are dirty: no later flush covers
 * them, only writing again does.
 *
 * The file's size is one more thing with versions. Writes that make the file longer commute, so
 * each of them counts as if it were the only one since the last resize: the size may be the durable
 * one, or what any one volatile operation makes of it. A durable write is inside the file.
 *
 * From this follows that a sector behind a size that the file may have is zeros in one of its
 * versions: when the file got that size, either it read as zeros or it was made to; and what was
 * written there later and is durable makes the smaller size impossible.
 *
 * The index of mentions answers "who may point to this cluster?". It holds each word that changed
 * in a volatile sector, before and after, whatever the sector is used for: roles change, words do
 * not. It only grows; whoever asks looks at the versions that there are now. */
#include "oracle/window.h"

#include "oracle/heap.h"

#include <math.h>
#include <stdlib.h>

/** Words that point further beyond the end of the file than this are not indexed. */
static const uint64_t MENTION_SLACK_BYTES = UINT64_C(64) << 20;

void window_init(struct window *window, struct journal *journal, struct sectors *sectors,
		 uint32_t sector_bytes)
{
	*window = (struct window){ .journal = journal,
				   .sectors = sectors,
				   .is_on = true,
				   .grain = sector_bytes / SECTOR_BYTES,
				   .now = 1,
				   .size_base = sectors->file_bytes,
				   .size_min = sectors->file_bytes,
				   .size_max = sectors->file_bytes };
}

void window_release(struct window *window)
{
	for (size_t i = 0; i < window->cells.capacity; i++) {
		struct cell *cell = window->cells.slots[i].value;

		if (cell == NULL)
			continue;
		free(cell->ops);
		free(cell->refs);
	}
	for (size_t i = 0; i < window->mentions.capacity; i++) {
		struct mentions *mentions = window->mentions.slots[i].value;

		if (mentions != NULL)
			free(mentions->list);
	}
	sparse_release(&window->cells);
	sparse_release(&window->mentions);
	sparse_release(&window->ios);
	bump_release(&window->memory);
	free(window->ops);
	free(window->touches);
}

static void set(struct window *window, uint64_t *where, uint64_t value)
{
	journal_set(window->journal, where, value);
}

static struct window_io *io_of(struct window *window, uint32_t id)
{
	struct window_io *io = sparse_find(&window->ios, id);

	if (io != NULL)
		return io;
	io = bump_alloc(&window->memory, sizeof(*io));
	*io = (struct window_io){ 0 };
	sparse_add(&window->ios, id, io);
	return io;
}

static struct cell *cell_of(struct window *window, uint64_t index)
{
	struct cell *cell = sparse_find(&window->cells, index);

	if (cell != NULL)
		return cell;
	cell = bump_alloc(&window->memory, sizeof(*cell));
	*cell = (struct cell){ .index = index };
	sparse_add(&window->cells, index, cell);
	return cell;
}

struct cell *window_cell(const struct window *window, uint64_t sector_index)
{
	struct cell *cell;

	if (window->volatile_count == 0)
		return NULL;
	cell = sparse_find(&window->cells, sector_index / window->grain);
	return cell != NULL && cell->count > cell->first + 1 ? cell : NULL;
}

bool window_is_volatile(const struct window *window, uint64_t sector_index)
{
	return window_cell(window, sector_index) != NULL;
}

double window_log2_states(const struct window *window)
{
	double log2_states;

	memcpy(&log2_states, &window->volatile_log2, sizeof(log2_states));
	return window->volatile_count == 0 ? 0 : log2_states;
}

/** The cell had `from` versions to choose from and has `to`. */
static void recount(struct window *window, uint64_t from, uint64_t to)
{
	double log2_states = window_log2_states(window) - log2((double)from) + log2((double)to);
	uint64_t bits;

	memcpy(&bits, &log2_states, sizeof(bits));
	set(window, &window->volatile_log2, bits);
	if (from <= 1 && to > 1)
		set(window, &window->volatile_count, window->volatile_count + 1);
	if (from > 1 && to <= 1)
		set(window, &window->volatile_count, window->volatile_count - 1);
}

/** What the operation does to the size of the file. */
static void set_size(const struct window *window, struct window_op *op, const struct event *event)
{
	uint64_t end = event->host_offset + event->length;

	if (event->op == IO_WRITE)
		end = event->host_offset + (uint64_t)event->result;
	op->size_kind = SIZE_NONE;
	if (op->is_outside)
		return;
	if (event->op == IO_RESIZE) {
		op->size_kind = SIZE_SET;
		op->size_bytes = event->host_offset;
	} else if (event->op != IO_PUNCH && end > window->size_min) {
		op->size_kind = SIZE_EXTEND;
		op->size_bytes = end;
	}
}

void window_begin_op(struct window *window, const struct event *event, uint64_t number,
		     size_t event_index)
{
	size_t index = (size_t)window->op_count;
	struct window_op *op;

	window->ops =
		heap_grow(window->ops, &window->op_capacity, index + 1, sizeof(struct window_op *));
	if (index == window->op_made) {
		window->ops[index] = bump_alloc(&window->memory, sizeof(struct window_op));
		window->op_made++;
	}
	op = window->ops[index];
	*op = (struct window_op){ .number = number,
				  .event = event_index,
				  .first_touch = window->touch_count,
				  .is_outside = is_external(event->host_offset),
				  .shaken = window->shaken,
				  .completed = event->id == 0 ? window->now : NEVER_DONE };
	set_size(window, op, event);
	if (op->size_kind == SIZE_SET && op->size_bytes < window->size_min)
		set(window, &window->size_min, op->size_bytes);
	if (op->size_kind != SIZE_NONE && op->size_bytes > window->size_max)
		set(window, &window->size_max, op->size_bytes);
	set(window, &window->op_count, index + 1);
	if (event->id == 0)
		set(window, &window->now, window->now + 1);
	else
		set(window, &io_of(window, event->id)->op, index + 1);
}

void window_end_op(struct window *window, uint64_t clusters, bool moves_tables)
{
	set(window, &window->shaken, window->shaken + clusters);
	if (moves_tables)
		set(window, &window->root_ops, window->op_count);
}

uint64_t window_shaken(const struct window *window)
{
	if (window->settled == window->op_count)
		return 0;
	return window->root_ops > window->settled
		       ? UINT64_MAX
		       : window->shaken - window->ops[window->settled]->shaken;
}

static void add_mention(struct window *window, uint64_t cluster, uint64_t sector, uint32_t slot)
{
	struct mentions *mentions = sparse_find(&window->mentions, cluster);

	if (mentions == NULL) {
		mentions = bump_alloc(&window->memory, sizeof(*mentions));
		*mentions = (struct mentions){ 0 };
		sparse_add(&window->mentions, cluster, mentions);
	}
	for (size_t i = mentions->count; i-- > 0;)
		if (mentions->list[i].sector == sector && mentions->list[i].slot == slot)
			return;
	mentions->list = heap_grow(mentions->list, &mentions->capacity, mentions->count + 1,
				   sizeof(*mentions->list));
	mentions->list[mentions->count++] = (struct mention){ sector, slot };
}

/** Index a word as an entry of an L2 table of an image with an external data file. */
static void mention_external(struct window *window, uint64_t word, uint64_t sector, uint32_t slot,
			     uint64_t cluster_bits)
{
	const struct image_header shape = { .cluster_bits = cluster_bits,
					    .version = 3,
					    .has_data_file = 1 };
	struct mapping mapping = mapping_decode(&shape, word);

	if (is_external(mapping.host_offset))
		add_mention(window, mapping.host_offset >> cluster_bits, sector, slot);
}

/** Index a word under the clusters that it names as an entry of any table. */
static void mention_word(struct window *window, uint64_t word, uint64_t sector, uint32_t slot,
			 uint64_t cluster_bits)
{
	uint64_t limit = 2 * window->sectors->file_bytes + MENTION_SLACK_BYTES;
	struct image_header shape = { .cluster_bits = cluster_bits, .version = 3 };
	uint64_t host_offset = word & ENTRY_OFFSET;

	if (window->sectors->external != NULL)
		mention_external(window, word, sector, slot, cluster_bits);
	if (host_offset >> cluster_bits != 0 && host_offset < limit)
		add_mention(window, host_offset >> cluster_bits, sector, slot);
	if ((word & ENTRY_COMPRESSED) != 0) {
		struct mapping mapping = mapping_decode(&shape, word);
		uint64_t at = mapping.host_offset >> cluster_bits;
		uint64_t last = (mapping.host_offset + mapping.host_bytes - 1) >> cluster_bits;

		for (; mapping.host_offset < limit && at <= last; at++)
			add_mention(window, at, sector, slot);
	}
}

static void mention_changes(struct window *window, uint64_t sector, sector_ref now,
			    uint64_t cluster_bits)
{
	const uint8_t *before = sectors_at(window->sectors, sector);
	const uint8_t *after = sectors_bytes(window->sectors, now);

	for (uint32_t slot = 0; slot < SECTOR_ENTRIES; slot++) {
		if (word_load(before + 8 * slot) == word_load(after + 8 * slot))
			continue;
		mention_word(window, be64_load(before + 8 * slot), sector, slot, cluster_bits);
		mention_word(window, be64_load(after + 8 * slot), sector, slot, cluster_bits);
	}
}

/** Append a version that holds what the file holds now. */
static void push_version(struct window *window, struct cell *cell, uint64_t op)
{
	size_t count = (size_t)cell->count;

	cell->ops = heap_grow(cell->ops, &cell->ops_capacity, count + 1, sizeof(*cell->ops));
	cell->refs = heap_grow(cell->refs, &cell->refs_capacity, (count + 1) * window->grain,
			       sizeof(*cell->refs));
	cell->ops[count] = op;
	for (uint32_t i = 0; i < window->grain; i++)
		cell->refs[count * window->grain + i] =
			sectors_ref(window->sectors, cell->index * window->grain + i);
	set(window, &cell->count, count + 1);
}

void window_push(struct window *window, uint64_t sector_index, sector_ref ref,
		 uint64_t cluster_bits)
{
	struct cell *cell = cell_of(window, sector_index / window->grain);
	uint64_t op = window->op_count - 1;

	/* What is in an external data file is no table. */
	if (cluster_bits != 0 && !is_external(sector_index * SECTOR_BYTES))
		mention_changes(window, sector_index, ref, cluster_bits);
	if (cell->count == 0)
		push_version(window, cell, VERSION_INITIAL);
	if (cell->ops[cell->count - 1] != op) {
		push_version(window, cell, op);
		recount(window, cell->count - 1 - cell->first, cell->count - cell->first);
		window->touches = heap_grow(window->touches, &window->touch_capacity,
					    (size_t)window->touch_count + 1, sizeof(struct cell *));
		window->touches[window->touch_count] = cell;
		set(window, &window->touch_count, window->touch_count + 1);
	}
	cell->refs[(cell->count - 1) * window->grain + sector_index % window->grain] = ref;
}

void window_submitted(struct window *window, const struct event *event)
{
	if (event->op != IO_FLUSH)
		return;
	set(window, &io_of(window, event->id)->submitted, window->now + 1);
	set(window, &window->now, window->now + 1);
}

static bool is_durable(const struct window *window, uint64_t op)
{
	return op == VERSION_INITIAL || window->ops[op]->durable != 0;
}

/** Let the newest durable version of each cell that the operation touched be its base. */
static void retire(struct window *window, uint64_t op)
{
	uint64_t end =
		op + 1 < window->op_count ? window->ops[op + 1]->first_touch : window->touch_count;

	for (uint64_t i = window->ops[op]->first_touch; i < end; i++) {
		struct cell *cell = window->touches[i];
		uint64_t newest = cell->count - 1;

		while (newest > cell->first && !is_durable(window, cell->ops[newest]))
			newest--;
		if (newest == cell->first)
			continue;
		recount(window, cell->count - cell->first, cell->count - newest);
		set(window, &cell->first, newest);
	}
}

/** The newest durable operation on the size, and what it makes impossible. */
static void retire_sizes(struct window *window)
{
	uint64_t base = window->size_base;
	uint64_t first = window->size_first;
	uint64_t newest = first;
	uint64_t smallest, largest;

	for (uint64_t i = first; i < window->op_count; i++)
		if (window->ops[i]->durable != 0 && window->ops[i]->size_kind != SIZE_NONE)
			newest = i + 1;
	for (uint64_t i = first; i < newest; i++) {
		const struct window_op *op = window->ops[i];

		if (op->size_kind == SIZE_SET) {
			base = op->size_bytes;
			first = i + 1;
		} else if (op->size_kind == SIZE_EXTEND && op->durable != 0 &&
			   op->size_bytes > base) {
			base = op->size_bytes;
		}
	}
	while (first < window->op_count &&
	       (window->ops[first]->durable != 0 || window->ops[first]->size_kind == SIZE_NONE))
		first++;
	smallest = largest = base;
	for (uint64_t i = first; i < window->op_count; i++) {
		const struct window_op *op = window->ops[i];

		if (op->size_kind == SIZE_SET && op->size_bytes < smallest)
			smallest = op->size_bytes;
		if (op->size_kind != SIZE_NONE && op->size_bytes > largest)
			largest = op->size_bytes;
	}
	set(window, &window->size_base, base);
	set(window, &window->size_first, first);
	set(window, &window->size_min, smallest);
	set(window, &window->size_max, largest);
}

struct cell *window_root(const struct window *window, uint64_t index)
{
	// NOLINTNEXTLINE(performance-no-int-to-ptr): made in window_add_root()
	return (struct cell *)(uintptr_t)window->roots[index];
}

/** Forget root cells that have one version left. */
static void retire_roots(struct window *window)
{
	uint64_t kept = 0;

	for (uint64_t i = 0; i < window->root_count; i++) {
		struct cell *cell = window_root(window, i);

		if (cell->count > cell->first + 1)
			set(window, &window->roots[kept++], window->roots[i]);
		else
			set(window, &cell->root, 0);
	}
	set(window, &window->root_count, kept);
	if (window->volatile_count == 0)
		set(window, &window->roots_lost, 0);
}

/** Bring the books up to date with operations that have become durable. */
static void settle(struct window *window)
{
	while (window->settled < window->op_count && window->ops[window->settled]->durable != 0)
		set(window, &window->settled, window->settled + 1);
	retire_sizes(window);
	retire_roots(window);
}

/** A flush that was submitted at `submitted` covers, or should have covered, what had completed of
 * its file. */
static void cover(struct window *window, uint64_t submitted, bool is_outside, bool failed)
{
	for (uint64_t i = window->settled; i < window->op_count; i++) {
		struct window_op *op = window->ops[i];

		if (op->durable != 0 || op->doomed != 0 || op->completed >= submitted ||
		    op->is_outside != is_outside)
			continue;
		set(window, failed ? &op->doomed : &op->durable, 1);
		if (!failed)
			retire(window, i);
	}
	if (!failed)
		settle(window);
}

void window_crash(struct window *window)
{
	for (uint64_t i = window->settled; i < window->op_count; i++) {
		if (window->ops[i]->durable != 0)
			continue;
		set(window, &window->ops[i]->durable, 1);
		retire(window, i);
	}
	settle(window);
}

void window_completed(struct window *window, const struct event *event)
{
	struct window_io *io = event->id == 0 ? NULL : io_of(window, event->id);
	uint64_t submitted = io == NULL || io->submitted == 0 ? window->now : io->submitted - 1;

	if (event->op == IO_FLUSH) {
		cover(window, submitted, is_external(event->host_offset), event->result < 0);
		return;
	}
	if (io == NULL || io->op == 0 || io->op > window->op_count ||
	    window->ops[io->op - 1]->completed != NEVER_DONE)
		return;
	set(window, &window->ops[io->op - 1]->completed, window->now);
	set(window, &window->now, window->now + 1);
}

bool window_is_repeated(const struct window *window, const struct cell *cell, uint64_t version)
{
	for (uint64_t other = version + 1; other < cell->count; other++) {
		uint32_t i = 0;

		while (i < window->grain &&
		       memcmp(sectors_bytes(window->sectors,
					    cell->refs[version * window->grain + i]),
			      sectors_bytes(window->sectors, cell->refs[other * window->grain + i]),
			      SECTOR_BYTES) == 0)
			i++;
		if (i == window->grain)
			return true;
	}
	return false;
}

uint64_t window_version_number(const struct window *window, const struct cell *cell,
			       uint64_t version)
{
	return cell->ops[version] == VERSION_INITIAL ? 0 : window->ops[cell->ops[version]]->number;
}

bool window_next_size(const struct window *window, struct window_size *size)
{
	if (size->next == 0) {
		*size = (struct window_size){ .next = window->size_first + 1,
					      .floor = window->size_base,
					      .bytes = window->size_base };
		return true;
	}
	while (size->next - 1 < window->op_count) {
		const struct window_op *op = window->ops[size->next - 1];

		size->next++;
		if (op->size_kind == SIZE_NONE || op->durable != 0)
			continue;
		size->bytes = op->size_bytes;
		if (op->size_kind == SIZE_SET)
			size->floor = op->size_bytes;
		else if (size->bytes < size->floor)
			size->bytes = size->floor;
		return true;
	}
	return false;
}

void window_add_root(struct window *window, struct cell *cell)
{
	if (cell->root != 0 || cell->count <= cell->first + 1)
		return;
	if (window->root_count == WINDOW_ROOTS_MAX) {
		set(window, &window->roots_lost, 1);
		return;
	}
	set(window, &cell->root, 1);
	set(window, &window->roots[window->root_count], (uintptr_t)cell);
	set(window, &window->root_count, window->root_count + 1);
}
