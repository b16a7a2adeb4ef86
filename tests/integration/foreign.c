// SPDX-License-Identifier: MIT
#include "tests/integration/foreign.h"

#include "oracle/judge.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void foreign_open(struct foreign *foreign, const struct program_options *options, const char *text)
{
	struct why why = { "" };
	enum status status = workload_parse(&foreign->workload, "test", text, strlen(text), &why);
	if (status == STATUS_OK)
		status = program_new(&foreign->program, &foreign->workload, options, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
}

void foreign_close(struct foreign *foreign)
{
	program_free(foreign->program);
	workload_release(&foreign->workload);
}

void foreign_execute(struct foreign *foreign, struct strategy *strategy, struct schedule *taken)
{
	struct choice choice;
	struct why why = { "" };
	choice_init(&choice, strategy, NULL);
	ck_assert(choice_begin(&choice));
	enum run_end end = program_run(foreign->program, &choice);
	enum status status = program_status(foreign->program, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	ck_assert_msg(end == RUN_FINISHED, "%s", run_end_name(end));
	const char *complaint = strategy->ops->complaint(strategy);
	ck_assert_msg(!complaint, "%s", complaint);
	if (taken)
		schedule_copy(taken, &choice.taken);
	choice_release(&choice);
	strategy_free(strategy);
}

static void copy_log(struct event_log *to, const struct event_log *from)
{
	event_log_reset(to);
	for (size_t i = 0; i < from->count; i++)
		event_log_append(to, &from->events[i], event_data(from, &from->events[i]),
				 from->events[i].data_bytes);
}

static void check_same(const struct event_log *first, const struct event_log *again, uint64_t seed)
{
	char before[200] = "the end", after[200] = "the end";
	size_t index = event_log_difference(first, again);
	if (index == SIZE_MAX)
		return;
	if (index < first->count)
		event_format(before, sizeof(before), first, &first->events[index]);
	if (index < again->count)
		event_format(after, sizeof(after), again, &again->events[index]);
	ck_abort_msg("seed %llu, event %zu: '%s', replayed '%s'", (unsigned long long)seed, index,
		     before, after);
}

void foreign_replay(struct foreign *foreign, const struct schedule *taken, uint64_t seed)
{
	struct event_log first;
	event_log_init(&first);
	copy_log(&first, program_log(foreign->program));
	foreign_execute(foreign, strategy_replay_new(taken), NULL);
	check_same(&first, program_log(foreign->program), seed);
	event_log_release(&first);
}

void foreign_replay_random(struct foreign *foreign, unsigned long runs)
{
	struct schedule schedule;
	schedule_init(&schedule);
	for (uint64_t seed = 1; seed <= runs; seed++) {
		foreign_execute(foreign, strategy_random_new(seed, 1), &schedule);
		foreign_replay(foreign, &schedule, seed);
	}
	printf("%lu random runs, all identical when replayed\n", runs);
	schedule_release(&schedule);
}

static unsigned count_kind(const struct event_log *log, enum event_kind kind)
{
	unsigned count = 0;
	for (size_t i = 0; i < log->count; i++)
		count += log->events[i].kind == kind;
	return count;
}

/* The order of the three writes in the last run, as a number. */
static unsigned order_of_writes(const struct foreign *foreign, uint64_t bytes)
{
	const struct event_log *log = program_log(foreign->program);
	unsigned order = 0, count = 0;
	for (size_t i = 0; i < log->count; i++) {
		const struct event *event = &log->events[i];
		const uint8_t *data = event_data(log, event);
		if (event->kind != EVENT_IO_EFFECT || event->op != IO_WRITE ||
		    event->length != bytes || data[0] < 2 || data[0] > 4)
			continue;
		order = 3 * order + (data[0] - 2u);
		count++;
	}
	ck_assert_msg(count == 3, "%u writes in a run", count);
	return order;
}

/* In how many orders the writes of `bytes` bytes take effect. */
static unsigned count_orders(struct foreign *foreign, uint64_t bytes)
{
	struct choice choice;
	struct strategy *strategy = strategy_dfs_new(false);
	bool seen[27] = { false };
	unsigned orders = 0;
	choice_init(&choice, strategy, NULL);
	while (choice_begin(&choice)) {
		enum run_end end = program_run(foreign->program, &choice);
		struct why why = { "" };
		ck_assert_msg(program_status(foreign->program, &why) == STATUS_OK, "%s", why.text);
		const char *complaint = strategy->ops->complaint(strategy);
		ck_assert_msg(!complaint, "%s", complaint);
		unsigned order = order_of_writes(foreign, bytes);
		orders += !seen[order];
		seen[order] = true;
		choice_end(&choice, end, 0);
	}
	ck_assert(strategy->ops->is_complete(strategy));
	ck_assert_ptr_null(strategy->ops->complaint(strategy));
	choice_release(&choice);
	strategy_free(strategy);
	return orders;
}

void foreign_check_orders(const struct program_options *options)
{
	static const char text[] = "#@ image size=64k cluster_size=4k\n"
				   "#@ prepare write -P 1 0 64k\n"
				   "aio_write -P 2 0 512\n"
				   "aio_write -P 3 4k 512\n"
				   "aio_write -P 4 8k 512\n"
				   "aio_flush\n";
	struct foreign foreign;
	foreign_open(&foreign, options, text);
	ck_assert_uint_eq(count_orders(&foreign, 512), 6);
	foreign_close(&foreign);
}

const struct event *foreign_answer(const struct foreign *foreign, unsigned op)
{
	const struct event_log *log = program_log(foreign->program);
	const struct event *answer = NULL;
	for (size_t i = 0; i < log->count; i++)
		if (log->events[i].kind == EVENT_REQUEST_COMPLETED && log->events[i].op == op)
			answer = &log->events[i];
	ck_assert_ptr_nonnull(answer);
	return answer;
}

void foreign_expect_refusal(const struct program_options *options, const char *text,
			    const char *expected)
{
	struct workload workload;
	struct program *program = NULL;
	struct choice choice;
	struct why why = { "" };
	struct strategy *strategy = strategy_random_new(1, 1);
	ck_assert(workload_parse(&workload, "test", text, strlen(text), &why) == STATUS_OK);
	enum status status = program_new(&program, &workload, options, &why);
	choice_init(&choice, strategy, NULL);
	if (status == STATUS_OK) {
		ck_assert(choice_begin(&choice));
		(void)program_run(program, &choice);
		status = program_status(program, &why);
	}
	ck_assert(status != STATUS_OK);
	ck_assert_msg(strstr(why.text, expected) != NULL, "'%s' has no '%s'", why.text, expected);
	choice_release(&choice);
	strategy_free(strategy);
	program_free(program);
	workload_release(&workload);
}

void foreign_expect_end(const struct program_options *options, const char *text,
			enum run_end expected, const char *message)
{
	struct foreign foreign;
	struct choice choice;
	struct why why = { "" };
	struct strategy *strategy = strategy_random_new(1, 1);
	foreign_open(&foreign, options, text);
	choice_init(&choice, strategy, NULL);
	ck_assert(choice_begin(&choice));
	enum run_end end = program_run(foreign.program, &choice);
	ck_assert_msg(program_status(foreign.program, &why) == STATUS_OK, "%s", why.text);
	ck_assert_int_eq(end, expected);
	const struct event_log *log = program_log(foreign.program);
	const struct event *last = &log->events[log->count - 1];
	ck_assert_int_eq(last->kind, EVENT_END);
	ck_assert_int_eq(last->op, expected);
	/* What was under way when the program failed has not completed. */
	unsigned left =
		count_kind(log, EVENT_REQUEST_INVOKED) - count_kind(log, EVENT_REQUEST_COMPLETED);
	ck_assert_uint_eq(left, expected == RUN_FINISHED ? 0 : 1);
	ck_assert_uint_eq(last->data_bytes, strlen(message));
	if (*message)
		ck_assert_mem_eq(event_data(log, last), message, strlen(message));
	choice_release(&choice);
	strategy_free(strategy);
	foreign_close(&foreign);
}
