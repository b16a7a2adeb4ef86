// SPDX-License-Identifier: MIT
/* Rules of a report: every sequence of a few steps and calls, under every three of a few rules,
 * next to a list that is kept as blkdebug's description has it. */
#include "injector/fault_rules.h"
#include "injector/session.h"
#include "tests/run_suite.h"

#include <check.h>
#include <errno.h>
#include <string.h>

enum { RULES = 3, STEPS = 4, KINDS_OF_STEP = 4 };

#define READS (1U << IO_READ)
#define WRITES (1U << IO_WRITE)
#define ALL (READS | WRITES)

static const struct fault_rule pool[] = {
	{ .event = 0, .ops = ALL, .error = EIO, .sector = FAULT_RULE_ANY_SECTOR },
	{ .event = 0, .ops = ALL, .error = ENOSPC, .sector = FAULT_RULE_ANY_SECTOR, .once = true },
	{ .event = 1, .ops = READS, .error = EPERM, .sector = FAULT_RULE_ANY_SECTOR },
	{ .event = 1, .ops = ALL, .error = ENOMEM, .sector = 1, .once = true },
	{ .event = 0, .state = 2, .ops = WRITES, .error = EBUSY, .sector = FAULT_RULE_ANY_SECTOR },
	{ .event = 1, .state = 1, .new_state = 2 },
	{ .event = 0, .new_state = 1 },
	{ .event = 0, .state = 1, .new_state = 3 },
};

enum { POOL = sizeof(pool) / sizeof(pool[0]) };

static struct event_log event_log;

static void begin(const struct fault_rule *rules, size_t count)
{
	session_begin(&(struct session_options){
		.log = &event_log, .rules = rules, .rule_count = count });
}

/* What is said to be so. */
struct said {
	const struct fault_rule *rules;
	bool is_gone[RULES];
	size_t active[RULES]; /* indices, in the order of the file */
	size_t active_count;
	uint32_t state;
};

static void said_event(struct said *said, uint8_t event)
{
	size_t met[RULES], count = 0;
	uint32_t next = 0;
	for (size_t i = 0; i < RULES; i++) {
		const struct fault_rule *rule = &said->rules[i];
		bool holds = rule->state == 0 || rule->state == said->state;
		if (rule->event != event || !holds || said->is_gone[i])
			continue;
		if (rule->new_state == 0)
			met[count++] = i;
		else if (next == 0)
			next = rule->new_state;
	}
	if (count > 0) {
		memcpy(said->active, met, count * sizeof(met[0]));
		said->active_count = count;
	}
	said->state = next ? next : said->state;
}

static int said_ask(struct said *said, enum io_op op, uint64_t sector)
{
	for (size_t k = 0; k < said->active_count; k++) {
		size_t index = said->active[k];
		const struct fault_rule *rule = &said->rules[index];
		if (!(rule->ops >> op & 1) ||
		    (rule->sector != FAULT_RULE_ANY_SECTOR && rule->sector != sector))
			continue;
		if (rule->once) {
			said->is_gone[index] = true;
			memmove(&said->active[k], &said->active[k + 1],
				(--said->active_count - k) * sizeof(said->active[0]));
		}
		return rule->error;
	}
	return 0;
}

static void run_steps(const struct fault_rule *rules, unsigned sequence)
{
	struct said said = { .rules = rules, .state = 1 };
	begin(rules, RULES);
	for (int step = 0; step < STEPS; step++, sequence /= KINDS_OF_STEP) {
		unsigned kind = sequence % KINDS_OF_STEP;
		if (kind < 2) {
			FAULT_EVENT((uint8_t)kind);
			said_event(&said, (uint8_t)kind);
			continue;
		}
		/* A read of sector 0, a write of sectors 1 and 2. */
		enum io_op op = kind == 2 ? IO_READ : IO_WRITE;
		int error = fault_rules_ask(op, kind == 2 ? 0 : 512, kind == 2 ? 512 : 1024);
		ck_assert_int_eq(error, said_ask(&said, op, kind - 2));
		ck_assert_uint_eq(fault_rules_state().state, said.state);
	}
	session_end();
}

START_TEST(rules_do_what_blkdebug_says_they_do)
{
	const unsigned sequences = KINDS_OF_STEP * KINDS_OF_STEP * KINDS_OF_STEP * KINDS_OF_STEP;
	for (size_t a = 0; a < POOL; a++)
		for (size_t b = 0; b < POOL; b++)
			for (size_t c = 0; c < POOL; c++) {
				const struct fault_rule rules[RULES] = { pool[a], pool[b],
									 pool[c] };
				for (unsigned i = 0; i < sequences; i++)
					run_steps(rules, i);
			}
}
END_TEST

START_TEST(a_sector_is_one_that_the_call_contains)
{
	const struct fault_rule rule = { .ops = ALL, .error = EIO, .sector = 2 };
	begin(&rule, 1);
	FAULT_EVENT(0);
	ck_assert_int_eq(fault_rules_ask(IO_READ, 0, 1024), 0);
	ck_assert_int_eq(fault_rules_ask(IO_READ, 0, 1025), EIO);
	ck_assert_int_eq(fault_rules_ask(IO_WRITE, 1024, 1), EIO);
	ck_assert_int_eq(fault_rules_ask(IO_WRITE, 1025, 4096), 0);
	ck_assert_int_eq(fault_rules_ask(IO_FLUSH, 0, 0), 0);
	session_end();
}
END_TEST

/* Who uses a rule up, and who would have been hit by it, cannot be exchanged. */
START_TEST(what_depends_on_order_is_in_the_footprint)
{
	const struct fault_rule rules[] = { pool[1], pool[2] };
	struct footprint used, asked, unconcerned;
	begin(rules, 2);
	footprint_clear(session_footprint());
	FAULT_EVENT(0);
	ck_assert_int_eq(fault_rules_ask(IO_WRITE, 0, 512), ENOSPC);
	footprint_copy(&used, session_footprint());
	footprint_clear(session_footprint());
	ck_assert_int_eq(fault_rules_ask(IO_WRITE, 0, 512), 0);
	footprint_copy(&asked, session_footprint());
	footprint_clear(session_footprint());
	FAULT_EVENT(7);
	footprint_copy(&unconcerned, session_footprint());
	ck_assert(footprint_conflict(&used, &asked));
	ck_assert(!footprint_conflict(&asked, &asked));
	ck_assert(!footprint_conflict(&used, &unconcerned));
	session_end();
}
END_TEST

START_TEST(a_run_begins_anew_and_a_snapshot_remembers)
{
	struct snapshot_buffer buffer = { 0 };
	begin(&pool[1], 1);
	FAULT_EVENT(0);
	session_save(&buffer);
	ck_assert_int_eq(fault_rules_ask(IO_WRITE, 0, 512), ENOSPC);
	ck_assert_int_eq(fault_rules_ask(IO_WRITE, 0, 512), 0);
	snapshot_buffer_rewind(&buffer);
	session_load(&buffer);
	ck_assert_int_eq(fault_rules_ask(IO_WRITE, 0, 512), ENOSPC);
	session_end();
	begin(&pool[1], 1);
	ck_assert_int_eq(fault_rules_ask(IO_WRITE, 0, 512), 0);
	FAULT_EVENT(0);
	ck_assert_int_eq(fault_rules_ask(IO_WRITE, 0, 512), ENOSPC);
	session_end();
	ck_assert(!fault_rules_armed);
	snapshot_buffer_release(&buffer);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault rules");
	TCase *tests = tcase_create("rules");
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, rules_do_what_blkdebug_says_they_do);
	tcase_add_test(tests, a_sector_is_one_that_the_call_contains);
	tcase_add_test(tests, what_depends_on_order_is_in_the_footprint);
	tcase_add_test(tests, a_run_begins_anew_and_a_snapshot_remembers);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
