// SPDX-License-Identifier: MIT
#include "tests/unit/oracle_world.h"

#include "oracle/bytes.h"

#include <check.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void stamp(uint8_t sector[512], uint32_t who, uint64_t guest_sector)
{
	for (size_t i = 0; i < 512; i += 16) {
		uint64_t words[2] = { htobe64(UINT64_C(0xc0ffee0000000000) | who),
				      htobe64(guest_sector + 1) };

		memcpy(sector + i, words, sizeof(words));
	}
}

static void store(struct content *content, uint64_t host_offset, const void *bytes, size_t length)
{
	ck_assert_int_eq(content_write(content, bytes, length, host_offset), STATUS_OK);
}

static void poke(struct content *content, uint64_t host_offset, uint64_t value, unsigned bytes)
{
	uint64_t big = htobe64(value << (64 - 8 * bytes));

	store(content, host_offset, &big, bytes);
}

void world_poke(struct world *world, uint64_t host_offset, uint64_t value, unsigned bytes)
{
	poke(world->files[0].initial, host_offset, value, bytes);
	poke(world->now, host_offset, value, bytes);
}

static uint64_t at_cluster(const struct world *world, uint64_t cluster)
{
	return cluster << world->cluster_bits;
}

static void build_header(struct world *world, const struct world_options *options)
{
	uint32_t version = options->version != 0 ? options->version : 3;
	uint64_t guests = options->guest_clusters != 0 ? options->guest_clusters : 8;
	uint64_t l2_entries = world->cluster_bytes / 8;

	world_poke(world, 0, 0x514649fb, 4);
	world_poke(world, 4, version, 4);
	if (options->backing) {
		world_poke(world, 8, 256, 8);
		world_poke(world, 16, 4, 4);
		world_poke(world, 256, 0x62617365, 4);
	}
	world_poke(world, 20, world->cluster_bits, 4);
	world_poke(world, 24, guests * world->cluster_bytes, 8);
	world_poke(world, 36, (guests + l2_entries - 1) / l2_entries, 4);
	world_poke(world, 40, at_cluster(world, AT_L1), 8);
	world_poke(world, 48, at_cluster(world, AT_REFTABLE), 8);
	world_poke(world, 56, 1, 4);
	if (version < 3)
		return;
	world_poke(world, 72, options->dirty ? 1 : 0, 8);
	world_poke(world, 80, options->dirty ? 1 : 0, 8);
	world_poke(world, 96, 4, 4);
	world_poke(world, 100, 104, 4);
}

static void build_backing(struct world *world, const struct world_options *options)
{
	uint64_t guests = options->guest_clusters != 0 ? options->guest_clusters : 8;
	struct trace_file *backing = &world->files[1];
	uint8_t sector[512];

	backing->path = strdup("base");
	backing->format = TRACE_FORMAT_RAW;
	backing->backing = TRACE_NO_BACKING;
	backing->initial = content_new(guests * world->cluster_bytes);
	for (uint64_t s = 0; s < guests * world->cluster_bytes / 512; s++) {
		stamp(sector, STAMP_BACKING, s);
		store(backing->initial, s * 512, sector, 512);
	}
	world->files[0].backing = 1;
	world->file_count = 2;
}

void world_init(struct world *world, const struct world_options *options)
{
	*world = (struct world){ .file_count = 1 };
	world->cluster_bits = options->cluster_bits != 0 ? options->cluster_bits : 12;
	world->cluster_bytes = UINT64_C(1) << world->cluster_bits;
	world->judge_options = (struct judge_options){ .models = CRASH_PREFIX | CRASH_TORN,
						       .verdicts_max = 64,
						       .count_distinct = true };
	world->files[0].path = strdup("image");
	world->files[0].format = TRACE_FORMAT_QCOW2;
	world->files[0].backing = TRACE_NO_BACKING;
	world->files[0].initial = content_new(AT_DATA * world->cluster_bytes);
	world->now = content_new(AT_DATA * world->cluster_bytes);
	if (options->backing)
		build_backing(world, options);
	build_header(world, options);
	world_poke(world, at_cluster(world, AT_REFTABLE), at_cluster(world, AT_BLOCK), 8);
	world_poke(world, at_cluster(world, AT_L1), at_cluster(world, AT_L2) | COPIED, 8);
	for (uint64_t cluster = 0; cluster < AT_DATA; cluster++)
		world_poke(world, at_cluster(world, AT_BLOCK) + 2 * cluster, 1, 2);
}

void world_release(struct world *world)
{
	judge_free(world->judge);
	event_log_release(&world->log);
	content_free(world->now);
	for (size_t i = 0; i < world->file_count; i++) {
		free(world->files[i].path);
		content_free(world->files[i].initial);
	}
}

void world_map(struct world *world, uint64_t guest_cluster, uint64_t host_cluster)
{
	uint64_t sectors = world->cluster_bytes / 512;
	uint8_t sector[512];

	world_poke(world, at_cluster(world, AT_L2) + 8 * guest_cluster,
		   at_cluster(world, host_cluster) | COPIED, 8);
	world_poke(world, at_cluster(world, AT_BLOCK) + 2 * host_cluster, 1, 2);
	for (uint64_t s = 0; s < sectors; s++) {
		stamp(sector, STAMP_OLD, guest_cluster * sectors + s);
		store(world->files[0].initial, at_cluster(world, host_cluster) + 512 * s, sector,
		      512);
		store(world->now, at_cluster(world, host_cluster) + 512 * s, sector, 512);
	}
}

static void append(struct world *world, const struct event *event, const void *data,
		   size_t data_bytes)
{
	size_t index = event_log_append(&world->log, event, data, data_bytes);
	const struct event *stored = &world->log.events[index];

	if (event->kind == EVENT_IO_EFFECT && event->file == 0)
		ck_assert_int_eq(trace_apply(world->now, &world->log, stored), STATUS_OK);
}

uint32_t world_invoke(struct world *world, enum request_op op, uint64_t guest_offset,
		      uint64_t length)
{
	struct event event = { .kind = EVENT_REQUEST_INVOKED,
			       .op = (uint8_t)op,
			       .id = ++world->requests,
			       .guest_offset = guest_offset,
			       .length = length };
	uint64_t first = guest_offset / 512;
	uint64_t sectors = op == REQUEST_WRITE ? (guest_offset + length + 511) / 512 - first : 0;
	uint8_t *data = calloc(sectors + 1, 512);

	for (uint64_t s = 0; s < sectors; s++)
		stamp(data + 512 * s, event.id, first + s);
	ck_assert_uint_lt(event.id, 64);
	world->invoked[event.id] = event;
	if (op == REQUEST_WRITE)
		append(world, &event, data + guest_offset % 512, length);
	else
		append(world, &event, NULL, 0);
	free(data);
	return event.id;
}

void world_ack(struct world *world, uint32_t id, int32_t result)
{
	struct event event = world->invoked[id];

	event.kind = EVENT_REQUEST_COMPLETED;
	event.result = result;
	append(world, &event, NULL, 0);
}

void world_answer(struct world *world, uint32_t id, uint32_t who)
{
	struct event event = world->invoked[id];
	uint8_t *data = calloc(1, event.length + 512);

	for (uint64_t s = 0; s < event.length / 512; s++)
		if (who != 0)
			stamp(data + 512 * s, who, event.guest_offset / 512 + s);
	event.kind = EVENT_REQUEST_COMPLETED;
	append(world, &event, data, event.length);
	free(data);
}

void world_write(struct world *world, uint64_t host_offset, const void *bytes, uint32_t length)
{
	struct event event = { .kind = EVENT_IO_EFFECT,
			       .op = IO_WRITE,
			       .host_offset = host_offset,
			       .length = length,
			       .result = (int32_t)length };

	append(world, &event, bytes, length);
}

void world_data(struct world *world, uint32_t who, uint64_t guest_cluster, uint64_t host_cluster,
		unsigned from, unsigned to)
{
	uint8_t *data = calloc(to - from, 512);

	for (size_t s = from; s < to && who != 0; s++)
		stamp(data + 512 * (s - from), who,
		      guest_cluster * (world->cluster_bytes / 512) + s);
	world_write(world, at_cluster(world, host_cluster) + UINT64_C(512) * from, data,
		    512 * (to - from));
	free(data);
}

static void write_number(struct world *world, uint64_t host_offset, uint64_t value, unsigned bytes)
{
	uint8_t sector[512];
	uint64_t big = htobe64(value << (64 - 8 * bytes));

	content_read(world->now, sector, 512, host_offset / 512 * 512);
	memcpy(sector + host_offset % 512, &big, bytes);
	world_write(world, host_offset / 512 * 512, sector, 512);
}

void world_entry(struct world *world, uint64_t host_offset, uint64_t value)
{
	write_number(world, host_offset, value, 8);
}

void world_l2(struct world *world, uint64_t guest_cluster, uint64_t value)
{
	world_entry(world, at_cluster(world, AT_L2) + 8 * guest_cluster, value);
}

void world_refcount(struct world *world, uint64_t host_cluster, uint16_t refcount)
{
	write_number(world, at_cluster(world, AT_BLOCK) + 2 * host_cluster, refcount, 2);
}

void world_effect(struct world *world, enum io_op op, uint64_t host_offset, uint64_t length)
{
	struct event event = { .kind = EVENT_IO_EFFECT,
			       .op = (uint8_t)op,
			       .host_offset = host_offset,
			       .length = length };

	append(world, &event, NULL, 0);
}

void world_end(struct world *world, enum run_end end, const char *text)
{
	struct event event = { .kind = EVENT_END, .op = (uint8_t)end };

	append(world, &event, text, text == NULL ? 0 : strlen(text));
}

void world_flush(struct world *world)
{
	world_ack(world, world_invoke(world, REQUEST_FLUSH, 0, 0), 0);
}

static bool ranges_overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
	return a < b + b_bytes && b < a + a_bytes;
}

static bool requests_conflict(const struct event *a, const struct event *b)
{
	uint64_t a_bytes = a->op == REQUEST_TRUNCATE ? INT32_MAX : a->length;
	uint64_t b_bytes = b->op == REQUEST_TRUNCATE ? INT32_MAX : b->length;

	return a->op == REQUEST_FLUSH || b->op == REQUEST_FLUSH ||
	       ranges_overlap(a->guest_offset, a_bytes, b->guest_offset, b_bytes);
}

static bool is_io(const struct event *event, enum event_kind kind, bool flush)
{
	return event->kind == kind && event->file == 0 && (event->op == IO_FLUSH) == flush;
}

/** Does their order say what a flush covers? */
static bool decide_flush(const struct event *a, const struct event *b)
{
	if (is_io(a, EVENT_IO_COMPLETED, false) && is_io(b, EVENT_IO_SUBMITTED, true))
		return true;
	return is_io(a, EVENT_IO_COMPLETED, true) && is_io(b, EVENT_IO_COMPLETED, true) &&
	       (a->result < 0 || b->result < 0);
}

static bool events_conflict(const struct event *a, const struct event *b)
{
	uint64_t a_sector = a->host_offset / 512;
	uint64_t b_sector = b->host_offset / 512;

	if (a->kind == EVENT_REQUEST_INVOKED && b->kind == EVENT_REQUEST_COMPLETED)
		return requests_conflict(a, b);
	if (b->kind == EVENT_REQUEST_INVOKED && a->kind == EVENT_REQUEST_COMPLETED)
		return requests_conflict(a, b);
	if (decide_flush(a, b) || decide_flush(b, a))
		return true;
	if (a->kind != EVENT_IO_EFFECT || b->kind != EVENT_IO_EFFECT)
		return false;
	if (a->op == IO_RESIZE || b->op == IO_RESIZE)
		return true;
	if (a->op == IO_ALLOCATE || b->op == IO_ALLOCATE)
		return false;
	return ranges_overlap(a_sector, (a->host_offset + a->length + 511) / 512 - a_sector,
			      b_sector, (b->host_offset + b->length + 511) / 512 - b_sector);
}

static bool steps_conflict(const struct event_log *log, const struct judge_step *a,
			   const struct judge_step *b)
{
	for (size_t i = a->first_event; i < a->first_event + a->event_count; i++)
		for (size_t k = b->first_event; k < b->first_event + b->event_count; k++)
			if (events_conflict(&log->events[i], &log->events[k]))
				return true;
	return a->chain == b->chain;
}

void world_class_init(struct world_class *class, uint32_t chain_count)
{
	class->class = (struct judge_class){ .steps = class->steps, .chain_count = chain_count };
}

void world_class_add(struct world_class *class, const struct event_log *log, size_t event_count,
		     uint32_t chain)
{
	size_t index = class->class.step_count;
	struct judge_step *step = &class->steps[index];
	uint32_t *clock = class->clocks[index];
	uint64_t past = 0;

	ck_assert_uint_lt(index, WORLD_STEPS_MAX);
	*step = (struct judge_step){ .first_event = log->count - event_count,
				     .event_count = event_count,
				     .chain = chain,
				     .clock = clock };
	memset(clock, 0, sizeof(class->clocks[index]));
	for (size_t i = 0; i < index; i++)
		for (uint32_t c = 0; c < class->class.chain_count; c++)
			if (class->clocks[i][c] > clock[c] &&
			    steps_conflict(log, step, &class->steps[i]))
				clock[c] = class->clocks[i][c];
	step->number = ++clock[chain];
	for (size_t i = 0; i < index; i++)
		if (class->steps[i].number <= clock[class->steps[i].chain])
			past += mix(class->steps[i].hash, 7);
	step->hash = mix(mix(chain, step->number), past);
	class->class.step_count = index + 1;
}

void world_judge(struct world *world)
{
	struct why why;

	judge_free(world->judge);
	ck_assert_msg(judge_new(&world->judge, world->files, world->file_count,
				&world->judge_options, &why) == STATUS_OK,
		      "%s", why.text);
	judge_run(world->judge, &world->log, 0, &world->report);
}

static void print_verdicts(const struct world *world, char *text, size_t text_bytes)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < world->report.verdict_count && used < text_bytes; i++) {
		const struct verdict *verdict = &world->report.verdicts[i];

		used += (size_t)snprintf(text + used, text_bytes - used, "\n  %s %s op %llu+%u: %s",
					 rule_name(verdict->rule), crash_model_name(verdict->model),
					 (unsigned long long)verdict->operation, verdict->sector,
					 verdict->message);
	}
}

void world_expect_clean(struct world *world)
{
	char text[2048];

	world_judge(world);
	print_verdicts(world, text, sizeof(text));
	ck_assert_msg(world->report.verdict_count == 0, "not clean:%s", text);
}

const struct verdict *world_expect_only(struct world *world, enum rule rule)
{
	char text[2048];

	world_judge(world);
	print_verdicts(world, text, sizeof(text));
	ck_assert_msg(world->report.verdict_count == 1 && world->report.verdicts[0].rule == rule,
		      "wanted only %s, got:%s", rule_name(rule), text);
	return &world->report.verdicts[0];
}

const struct verdict *world_expect(struct world *world, enum rule rule)
{
	char text[2048];

	world_judge(world);
	for (size_t i = 0; i < world->report.verdict_count; i++)
		if (world->report.verdicts[i].rule == rule)
			return &world->report.verdicts[i];
	print_verdicts(world, text, sizeof(text));
	ck_abort_msg("wanted %s, got:%s", rule_name(rule), text);
	return NULL;
}
