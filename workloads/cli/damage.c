// SPDX-License-Identifier: MIT
#include "workloads/cli/damage.h"

#include "oracle/layer.h"
#include "workloads/cli/image_reader.h"

#include <stdlib.h>
#include <string.h>

enum { SECTOR_BYTES = 512 };

static void read_entry(struct damage_entry *entry, const struct content *image,
		       uint64_t guest_offset)
{
	struct image_header header;
	*entry = (struct damage_entry){ 0 };
	image_read_header(&header, image);
	if (!header.readable || guest_offset >= header.size_bytes)
		return;
	uint64_t index = guest_offset >> header.cluster_bits;
	uint64_t l1_index = index >> header.l2_bits;
	if (l1_index >= header.l1_entries)
		return;
	entry->is_readable = true;
	entry->l1_host = header.l1_offset + l1_index * 8;
	entry->l1_entry = image_u64(image, entry->l1_host);
	uint64_t table = entry->l1_entry & ENTRY_OFFSET;
	if (!table)
		return;
	entry->l2_host = table + (index & (((uint64_t)1 << header.l2_bits) - 1)) * 8;
	entry->l2_entry = image_u64(image, entry->l2_host);
	struct mapping mapping = mapping_decode(&header, entry->l2_entry);
	entry->is_compressed = mapping.kind == MAPPING_COMPRESSED;
	entry->is_zero = mapping.kind == MAPPING_ZERO;
	entry->data_host = mapping.kind == MAPPING_BACKING ? 0 : mapping.host_offset;
	if (entry->data_host)
		entry->refcount = image_refcount(&header, image, entry->data_host);
}

/* A sector in the hands of those who find out whose it is. */
struct seen {
	const struct trace *trace;
	const struct layers *layers; /* before the run */
	const uint8_t *bytes;        /* SECTOR_BYTES of them */
	uint64_t guest_offset, host_offset;
};

/* Does `request` carry these bytes for the sector? `*is_partial`: for a part of it, and the rest is
 * as before. */
static bool is_from(const struct seen *seen, const struct event *request, bool *is_partial)
{
	const struct event_log *log = &seen->trace->log;
	uint64_t end = request->guest_offset + request->length;
	uint64_t from = seen->guest_offset, to = from + SECTOR_BYTES;
	if (request->op == REQUEST_WRITE && request->data_bytes < request->length)
		return false;
	from = from > request->guest_offset ? from : request->guest_offset;
	to = to < end ? to : end;
	if (from >= to)
		return false;
	uint8_t wanted[SECTOR_BYTES];
	const uint8_t *previous = layers_sector(seen->layers, 0, seen->guest_offset);
	if (previous)
		memcpy(wanted, previous, sizeof(wanted));
	else
		memset(wanted, 0, sizeof(wanted));
	uint8_t *at = wanted + (from - seen->guest_offset);
	if (request->op == REQUEST_WRITE)
		memcpy(at, event_data(log, request) + (from - request->guest_offset),
		       (size_t)(to - from));
	else
		memset(at, 0, (size_t)(to - from));
	*is_partial = to - from < SECTOR_BYTES;
	return memcmp(wanted, seen->bytes, SECTOR_BYTES) == 0;
}

static bool find_request(const struct seen *seen, struct damage_sector *sector)
{
	const struct event_log *log = &seen->trace->log;
	for (size_t i = log->count; i-- > 0;) {
		const struct event *event = &log->events[i];
		bool writes = event->kind == EVENT_REQUEST_INVOKED &&
			      (event->op == REQUEST_WRITE || event->op == REQUEST_WRITE_ZEROES ||
			       event->op == REQUEST_DISCARD);
		if (!writes || !is_from(seen, event, &sector->is_partial))
			continue;
		sector->source = SOURCE_REQUEST;
		sector->request = event->id;
		return true;
	}
	return false;
}

/* The request that carries these bytes for another guest sector. */
static bool find_stranger(const struct seen *seen, struct damage_sector *sector)
{
	const struct event_log *log = &seen->trace->log;
	for (size_t i = log->count; i-- > 0;) {
		const struct event *event = &log->events[i];
		if (event->kind != EVENT_REQUEST_INVOKED || event->op != REQUEST_WRITE)
			continue;
		uint64_t into = -event->guest_offset % SECTOR_BYTES;
		for (; into + SECTOR_BYTES <= event->data_bytes; into += SECTOR_BYTES) {
			if (memcmp(event_data(log, event) + into, seen->bytes, SECTOR_BYTES) != 0)
				continue;
			sector->source = SOURCE_STRANGER;
			sector->request = event->id;
			sector->guest_offset = event->guest_offset + into;
			return true;
		}
	}
	return false;
}

static struct damage_sector look_at(const struct seen *seen)
{
	struct damage_sector sector = { .source = SOURCE_UNKNOWN };
	uint8_t lay_here[SECTOR_BYTES];
	const uint8_t *previous = layers_sector(seen->layers, 0, seen->guest_offset);
	content_read(seen->trace->files[0].initial, lay_here, sizeof(lay_here), seen->host_offset);
	if (previous && memcmp(previous, seen->bytes, SECTOR_BYTES) == 0)
		sector.source = SOURCE_PREVIOUS;
	else if (find_request(seen, &sector))
		return sector;
	else if (image_is_zeros(seen->bytes, SECTOR_BYTES))
		sector.source = SOURCE_ZEROS;
	else if (find_stranger(seen, &sector))
		return sector;
	else if (memcmp(lay_here, seen->bytes, SECTOR_BYTES) == 0)
		sector.source = SOURCE_STALE;
	return sector;
}

static enum status read_sectors(struct damage *damage, const struct trace *trace,
				const struct content *crash, struct why *why)
{
	struct inflater *inflater = inflater_new();
	struct layers layers;
	enum status status = layers_init(&layers, inflater, trace->files, trace->file_count,
					 &damage->why_no_sectors);
	if (status != STATUS_OK) {
		/* What the oracle does not read is no reason to show nothing. */
		if (status == STATUS_UNSUPPORTED)
			status = STATUS_OK;
		else
			*why = damage->why_no_sectors;
		goto out;
	}
	damage->sector_count = (size_t)(damage->cluster_bytes / SECTOR_BYTES);
	damage->sectors = calloc(damage->sector_count, sizeof(*damage->sectors));
	if (!damage->sectors) {
		status = why_set(why, STATUS_NO_MEMORY, "out of memory");
		goto out;
	}
	for (size_t i = 0; i < damage->sector_count; i++) {
		uint8_t bytes[SECTOR_BYTES];
		struct seen seen = { .trace = trace,
				     .layers = &layers,
				     .bytes = bytes,
				     .guest_offset = damage->guest_offset + i * SECTOR_BYTES,
				     .host_offset = damage->crash.data_host + i * SECTOR_BYTES };
		content_read(crash, bytes, sizeof(bytes), seen.host_offset);
		damage->sectors[i] = look_at(&seen);
	}
out:
	inflater_free(inflater);
	return status;
}

enum status damage_read(struct damage *damage, const struct trace *trace,
			const struct trace_finding *finding, const struct content *crash,
			struct why *why)
{
	struct image_header header;
	*damage = (struct damage){ 0 };
	image_read_header(&header, crash);
	if (!header.readable)
		return STATUS_OK;
	damage->cluster_bytes = (uint64_t)1 << header.cluster_bits;
	if (!finding || finding->guest_offset == UINT64_MAX)
		return STATUS_OK;
	struct content *end = trace_final_content(trace, 0);
	if (!end)
		return why_set(why, STATUS_BAD_INPUT, "the trace cannot be applied to its image");
	damage->has_guest = true;
	damage->guest_offset = finding->guest_offset & ~(damage->cluster_bytes - 1);
	read_entry(&damage->before, trace->files[0].initial, damage->guest_offset);
	read_entry(&damage->crash, crash, damage->guest_offset);
	read_entry(&damage->end, end, damage->guest_offset);
	content_free(end);
	if (damage->crash.data_host && !damage->crash.is_compressed && !damage->crash.is_zero)
		return read_sectors(damage, trace, crash, why);
	return STATUS_OK;
}

void damage_release(struct damage *damage)
{
	free(damage->sectors);
	*damage = (struct damage){ 0 };
}

const char *sector_source_name(enum sector_source source)
{
	switch (source) {
	case SOURCE_PREVIOUS: return "previous contents";
	case SOURCE_REQUEST: return "a request's data";
	case SOURCE_ZEROS: return "zeros";
	case SOURCE_STALE: return "stale: what lay here before";
	case SOURCE_STRANGER: return "data for another sector";
	case SOURCE_UNKNOWN: return "nobody's: a mixture or stale";
	}
	return "?";
}
