// SPDX-License-Identifier: MIT
/* The look of a cluster is a guess, from what its bytes could be in this image. A table: every word
 * that is not 0 has no reserved bit and points to a cluster inside the file, and most of them point
 * to different ones. Refcounts: small numbers, and not all of them 0. What is both is called a
 * table, because wrong references are worse. */
#include "workloads/cli/survey.h"

#include "workloads/cli/image_reader.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { REFCOUNT_USUAL_MAX = 64, WORD_BYTES = 8, TABLE_ENTRIES_MAX = 1 << 22 };

struct surveyor {
	struct survey *survey;
	const struct content *image;
	struct image_header header;
	struct roles roles;
	bool has_more; /* references that the roles do not tell of: snapshots, bitmaps, compressed
			*/
	uint8_t *cluster; /* owned; cluster_bytes of them */
	uint8_t *other;   /* owned; likewise */
};

static bool could_be_table(const struct surveyor *surveyor)
{
	size_t words = surveyor->survey->cluster_bytes / WORD_BYTES, used = 0;
	for (size_t i = 0; i < words; i++) {
		uint64_t entry;
		memcpy(&entry, surveyor->cluster + i * WORD_BYTES, WORD_BYTES);
		entry = be64toh(entry);
		if (!entry)
			continue;
		uint64_t host_offset = entry & ENTRY_OFFSET;
		if (entry & ENTRY_COMPRESSED || l2_entry_is_malformed(&surveyor->header, entry) ||
		    !host_offset || host_offset >= content_size(surveyor->image))
			return false;
		used++;
	}
	return used > 0;
}

static bool could_be_refcounts(const struct surveyor *surveyor)
{
	size_t counters = surveyor->survey->cluster_bytes / 2;
	if (surveyor->header.refcount_order != 4)
		return false; /* 16 bits: nearly every image there is */
	for (size_t i = 0; i < counters; i++) {
		uint16_t count;
		memcpy(&count, surveyor->cluster + 2 * i, sizeof(count));
		if (be16toh(count) > REFCOUNT_USUAL_MAX)
			return false;
	}
	return true;
}

/* The guest cluster that holds the same, elsewhere. */
static bool find_copy(struct surveyor *surveyor, uint64_t host_offset, uint64_t *guest_offset)
{
	size_t bytes = surveyor->survey->cluster_bytes;
	for (size_t i = 0; i < surveyor->roles.count; i++) {
		const struct role_entry *entry = &surveyor->roles.entries[i];
		uint64_t other = entry->cluster << surveyor->header.cluster_bits;
		if (entry->role != ROLE_DATA || other == host_offset)
			continue;
		content_read(surveyor->image, surveyor->other, bytes, other);
		if (memcmp(surveyor->other, surveyor->cluster, bytes) != 0)
			continue;
		*guest_offset = entry->guest_offset;
		return true;
	}
	return false;
}

static enum survey_look look_of(struct surveyor *surveyor, uint64_t host_offset,
				uint64_t *guest_offset)
{
	size_t bytes = surveyor->survey->cluster_bytes;
	if (host_offset >= content_size(surveyor->image))
		return LOOK_BEYOND;
	content_read(surveyor->image, surveyor->cluster, bytes, host_offset);
	if (image_is_zeros(surveyor->cluster, bytes))
		return LOOK_ZEROS;
	if (memcmp(surveyor->cluster, "QFI\xfb", 4) == 0)
		return LOOK_HEADER;
	if (could_be_table(surveyor))
		return LOOK_TABLE;
	if (could_be_refcounts(surveyor))
		return LOOK_REFCOUNTS;
	return find_copy(surveyor, host_offset, guest_offset) ? LOOK_COPY : LOOK_DATA;
}

static void add_cluster(struct surveyor *surveyor, uint64_t host_offset, bool is_orphan)
{
	struct survey *survey = surveyor->survey;
	host_offset &= ~(survey->cluster_bytes - 1);
	for (size_t i = 0; i < survey->cluster_count; i++)
		if (survey->clusters[i].host_offset == host_offset)
			return;
	if (survey->cluster_count == SURVEY_CLUSTERS_MAX) {
		survey->clusters_left_out++;
		return;
	}
	const struct role_entry *role = roles_find(&surveyor->roles, host_offset);
	struct survey_cluster *cluster = &survey->clusters[survey->cluster_count++];
	*cluster = (struct survey_cluster){ .host_offset = host_offset,
					    .role = role ? role->role : ROLE_UNKNOWN,
					    .is_orphan = is_orphan };
	cluster->look = look_of(surveyor, host_offset, &cluster->guest_offset);
}

/* Clusters with something in them to which nothing refers. Where there are references that are not
 * followed here, only those that are not counted either. */
static void add_orphans(struct surveyor *surveyor)
{
	uint64_t page = 0, bits = surveyor->header.cluster_bits, last = UINT64_MAX;
	for (; content_next_page(surveyor->image, &page); page++) {
		uint64_t first = page * CONTENT_PAGE_BYTES >> bits;
		uint64_t end = ((page + 1) * CONTENT_PAGE_BYTES - 1) >> bits;
		for (uint64_t cluster = first; cluster <= end; cluster++) {
			uint64_t host_offset = cluster << bits;
			if (cluster == last || host_offset >= content_size(surveyor->image) ||
			    roles_find(&surveyor->roles, host_offset))
				continue;
			last = cluster;
			content_read(surveyor->image, surveyor->cluster,
				     surveyor->survey->cluster_bytes, host_offset);
			bool may_be_used =
				surveyor->has_more &&
				image_refcount(&surveyor->header, surveyor->image, host_offset) > 0;
			if (!may_be_used &&
			    !image_is_zeros(surveyor->cluster, surveyor->survey->cluster_bytes))
				add_cluster(surveyor, host_offset, true);
		}
	}
}

static void lose(struct surveyor *surveyor, uint64_t guest_offset, uint64_t bytes, const char *why)
{
	struct survey *survey = surveyor->survey;
	survey->lost += bytes / survey->cluster_bytes;
	struct survey_range *last =
		survey->range_count ? &survey->ranges[survey->range_count - 1] : NULL;
	if (last && last->why == why && last->guest_offset + last->bytes == guest_offset) {
		last->bytes += bytes;
		return;
	}
	if (survey->range_count == SURVEY_RANGES_MAX)
		survey->ranges_left_out++;
	else
		survey->ranges[survey->range_count++] =
			(struct survey_range){ guest_offset, bytes, why };
}

/* Do the tables use the cluster more than once? */
static bool is_shared(const struct surveyor *surveyor, uint64_t host_offset)
{
	const struct role_entry *role = roles_find(&surveyor->roles, host_offset);
	const struct role_entry *end = surveyor->roles.entries + surveyor->roles.count;
	return role && role + 1 < end && role[1].cluster == role->cluster;
}

/* Why the cluster of an L2 entry cannot be read; NULL: it can. */
static const char *why_lost(struct surveyor *surveyor, uint64_t entry)
{
	struct mapping mapping = mapping_decode(&surveyor->header, entry);
	uint64_t file_bytes = content_size(surveyor->image);
	if (l2_entry_is_malformed(&surveyor->header, entry))
		return "its L2 entry is malformed";
	surveyor->has_more |= mapping.kind == MAPPING_COMPRESSED;
	if (mapping.kind == MAPPING_COMPRESSED)
		return mapping.host_offset >= file_bytes
			       ? "its compressed data lies beyond the end of the file"
			       : NULL;
	if (mapping.kind != MAPPING_NORMAL)
		return NULL;
	if (mapping.host_offset >= file_bytes)
		return "its L2 entry points beyond the end of the file";
	return is_shared(surveyor, mapping.host_offset) ? "its cluster has another use, too" : NULL;
}

static void walk_table(struct surveyor *surveyor, uint64_t table, uint64_t guest_offset)
{
	struct survey *survey = surveyor->survey;
	uint64_t entries = (uint64_t)1 << surveyor->header.l2_bits;
	for (uint64_t i = 0; i < entries; i++) {
		uint64_t guest = guest_offset + (i << surveyor->header.cluster_bits);
		uint64_t entry = image_u64(surveyor->image, table + i * WORD_BYTES);
		if (!entry || guest >= surveyor->header.size_bytes)
			continue;
		survey->mapped++;
		const char *why = why_lost(surveyor, entry);
		if (why)
			lose(surveyor, guest, survey->cluster_bytes, why);
	}
}

static void walk_l1(struct surveyor *surveyor)
{
	const struct image_header *header = &surveyor->header;
	uint64_t reach = (uint64_t)1 << (header->l2_bits + header->cluster_bits);
	for (uint64_t i = 0; i < header->l1_entries && i < TABLE_ENTRIES_MAX; i++) {
		uint64_t guest = i * reach;
		uint64_t entry = image_u64(surveyor->image, header->l1_offset + i * WORD_BYTES);
		uint64_t table = entry & ENTRY_OFFSET;
		if (guest >= header->size_bytes)
			break;
		uint64_t left = header->size_bytes - guest;
		uint64_t bytes = left < reach ? (left + surveyor->survey->cluster_bytes - 1) &
							~(surveyor->survey->cluster_bytes - 1)
					      : reach;
		if (!entry)
			continue;
		if (l1_entry_is_malformed(header, entry))
			lose(surveyor, guest, bytes, "its L1 entry is malformed");
		else if (table >= content_size(surveyor->image))
			lose(surveyor, guest, bytes,
			     "its L2 table lies beyond the end of the file");
		else if (is_shared(surveyor, table))
			lose(surveyor, guest, bytes, "its L2 table has another use, too");
		else
			walk_table(surveyor, table, guest);
	}
}

void survey_read(struct survey *survey, const struct trace *trace, const struct verdict *verdicts,
		 size_t verdict_count)
{
	struct surveyor surveyor = { .survey = survey, .image = trace->files[0].initial };
	*survey = (struct survey){ 0 };
	image_read_header(&surveyor.header, surveyor.image);
	if (!surveyor.header.readable)
		return;
	survey->is_readable = true;
	survey->cluster_bytes = (uint64_t)1 << surveyor.header.cluster_bits;
	surveyor.cluster = malloc(survey->cluster_bytes);
	surveyor.other = malloc(survey->cluster_bytes);
	if (!surveyor.cluster || !surveyor.other)
		abort();
	roles_read(&surveyor.roles, surveyor.image);
	surveyor.has_more = surveyor.header.snapshot_count || surveyor.header.bitmap_count ||
			    surveyor.roles.is_cut;
	for (size_t i = 0; i < verdict_count; i++)
		if (verdicts[i].host_offset != NOWHERE)
			add_cluster(&surveyor, verdicts[i].host_offset, false);
	walk_l1(&surveyor);
	add_orphans(&surveyor);
	roles_release(&surveyor.roles);
	free(surveyor.cluster);
	free(surveyor.other);
}

static const char *look_name(enum survey_look look)
{
	switch (look) {
	case LOOK_ZEROS: return "zeros";
	case LOOK_HEADER: return "a header";
	case LOOK_TABLE: return "a table of L1 or L2 entries";
	case LOOK_REFCOUNTS: return "refcounts";
	case LOOK_COPY: return "a copy of a guest cluster";
	case LOOK_DATA: return "data";
	case LOOK_BEYOND: return "beyond the end of the file";
	}
	return "?";
}

static void print_cluster(const struct survey_cluster *cluster)
{
	const char *is = cluster->is_orphan ? "nothing refers to it" : role_name(cluster->role);
	printf("    host 0x%" PRIx64 ": %s; holds %s", cluster->host_offset, is,
	       look_name(cluster->look));
	if (cluster->look == LOOK_COPY)
		printf(" (guest 0x%" PRIx64 ")", cluster->guest_offset);
	putchar('\n');
}

void survey_print(const struct survey *survey)
{
	if (!survey->is_readable) {
		puts("  the header cannot be read: no guest data can be reached through it");
		return;
	}
	if (survey->cluster_count)
		puts("  clusters that are damaged, or that nothing refers to:");
	for (size_t i = 0; i < survey->cluster_count; i++)
		print_cluster(&survey->clusters[i]);
	if (survey->clusters_left_out)
		printf("    and %" PRIu64 " more\n", survey->clusters_left_out);
	if (survey->leaked)
		printf("  leaked: %" PRIu64
		       " clusters are counted more often than they are referred "
		       "to\n",
		       survey->leaked);
	printf("  guest: %" PRIu64 " clusters of %" PRIu64 " bytes are mapped, %" PRIu64
	       " are lost\n",
	       survey->mapped, survey->cluster_bytes, survey->lost);
	for (size_t i = 0; i < survey->range_count; i++)
		printf("    guest 0x%" PRIx64 "+%" PRIu64 ": %s\n", survey->ranges[i].guest_offset,
		       survey->ranges[i].bytes, survey->ranges[i].why);
	if (survey->ranges_left_out)
		printf("    and %" PRIu64 " more ranges\n", survey->ranges_left_out);
}

void survey_json(struct json *json, const char *key, const struct survey *survey)
{
	json_begin_object(json, key);
	json_bool(json, "header_readable", survey->is_readable);
	json_number(json, "cluster_bytes", survey->cluster_bytes);
	json_number(json, "mapped", survey->mapped);
	json_number(json, "lost", survey->lost);
	json_number(json, "leaked", survey->leaked);
	json_begin_list(json, "clusters");
	for (size_t i = 0; i < survey->cluster_count; i++) {
		const struct survey_cluster *cluster = &survey->clusters[i];
		json_begin_object(json, NULL);
		json_number(json, "host_offset", cluster->host_offset);
		json_text(json, "role", role_name(cluster->role));
		json_text(json, "holds", look_name(cluster->look));
		json_offset(json, "copy_of_guest_offset",
			    cluster->look == LOOK_COPY ? cluster->guest_offset : NOWHERE);
		json_end_object(json);
	}
	json_end_list(json);
	json_number(json, "clusters_left_out", survey->clusters_left_out);
	json_begin_list(json, "lost_ranges");
	for (size_t i = 0; i < survey->range_count; i++) {
		json_begin_object(json, NULL);
		json_number(json, "guest_offset", survey->ranges[i].guest_offset);
		json_number(json, "length", survey->ranges[i].bytes);
		json_text(json, "why", survey->ranges[i].why);
		json_end_object(json);
	}
	json_end_list(json);
	json_number(json, "lost_ranges_left_out", survey->ranges_left_out);
	json_end_object(json);
}
