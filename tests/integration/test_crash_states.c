// SPDX-License-Identifier: MIT
/* The oracle next to `qemu-img check`, on the same crash states.
 *
 * Runs are cut: random runs (fixed seeds) of every shipped workload under every policy, and under
 * every known bug, and recordings of stock qemu-io with random workloads. Behind an operation, and
 * in the middle of a write; and what a disk that reorders may leave there, of which there is too
 * much to take more than samples. Such a state is legal, and mostly flawless; so that there is
 * something to disagree about, one operation of the last few is also left out ("lost"), which no
 * crash model does and which tears tables and refcounts apart.
 *
 *     the run's events, cut ----> walked: the judge, event by event, as a search uses it
 *            |                    decided: the same of `reorder`, for all its states at once
 *            v  applied
 *     contents, each once ------> in its run: a judge that is given the image
 *            |
 *            +------------------> alone, and qemu-img check: agreement.c
 *
 * What is found in a legal state is also found by the judge that walks there, or decides: no other
 * rule is broken than the report has, and in the last state both count the same leaks.
 *
 * Without arguments this is a sample of a few thousand. `test_crash_states N` goes on with other
 * seeds until N different crash states (without the lost ones, which no crash leaves) have been
 * checked, or for as many seconds as COWTIP_LONG_SECONDS says. */
#include "tests/integration/agreement.h"
#include "tests/integration/patience.h"
#include "tests/integration/shell.h"
#include "tests/integration/shipped.h"
#include "tests/unit/reorder_lister.h"

#include "engine/qcow2/known_bugs.h"
#include "injector/fault_point.h"
#include "tests/run_suite.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SEEDS = 12,           /* of each workload and policy a round */
	SEEDS_SAMPLE = 8,     /* of these in a sample */
	RECORDINGS = 6,       /* of stock qemu-io a round, at first */
	RECORDINGS_MORE = 40, /* a round, afterwards */
	HUGE_BYTES = 1 << 30, /* files from here on cost qemu-img a hundred times as much */
	OFFERED_MIN = 2000,
	CHECKED_MIN = 2000,    /* with those with a lost operation */
	FOUND_RUNS_MAX = 3000, /* of a search for what a known bug does */
	LOST_LATER_MAX = 2,    /* states with a lost operation of a run, after the first round */
	FOUND_MAX = 8,         /* violations of it that are cut */
};

/* How much of a run is checked. */
struct measure {
	size_t states_max;  /* of all kinds */
	size_t lost_max;    /* with a lost operation */
	size_t reorder_max; /* reordered */
	size_t places;      /* operations at which it is cut, picked by chance; SIZE_MAX: all */
};

static const struct measure whole_run = { SIZE_MAX, 12, 12, SIZE_MAX };
static const struct measure sampled_run = { SIZE_MAX, 6, 4, SIZE_MAX };
static const struct measure huge_run = { 2, 2, 2, SIZE_MAX };
static const struct measure recording = { 240, 20, 100, 40 };

static struct agreement agreement;
static struct patience patience;

/* ---- cutting runs ---- */

/* One run on its way to be cut. */
struct cutter {
	const struct trace_file *files;
	size_t file_count;
	const struct event_log *log;
	const char *name;
	enum source source;
	struct measure left;
	size_t operations; /* of the run */
	uint64_t random;
	struct content *now;   /* owned; the image behind the last operation */
	struct lister *lister; /* owned */
	size_t listed;         /* events that it has seen */
	struct judge *walking; /* owned */
	size_t kept;           /* events that the walking judge has seen unchanged */
	struct judge *imaging; /* owned; judges one image as a state of the run */
	unsigned decided;      /* rules that the run breaks under `reorder` */
	unsigned undecided;    /* rules that were not decided everywhere */
};

static size_t below(struct cutter *cutter, size_t bound)
{
	cutter->random ^= cutter->random << 13;
	cutter->random ^= cutter->random >> 7;
	cutter->random ^= cutter->random << 17;
	return (size_t)((cutter->random >> 11) % bound);
}

/* Bytes that are wrong are called by either name, which depends on what touched them last. */
static unsigned one_name(unsigned rules)
{
	const unsigned either = 1U << RULE_COW_COMPLETE | 1U << RULE_OLD_OR_NEW;
	return rules & either ? rules | either : rules;
}

/* What a judge says of `content` as what a crash left after the first events of the run. */
static struct opinion judge_in_its_run(const struct cutter *cutter, const struct event_log *log,
				       const struct content *content)
{
	struct judge_report report = { 0 };
	judge_image(cutter->imaging, log, log->count, content, &report);
	return agreement_opinion(&agreement, &report);
}

/* How many states of a kind may still be checked. */
static size_t *left_of(struct cutter *cutter, enum origin origin)
{
	switch (origin) {
	case ORIGIN_LOST: return &cutter->left.lost_max;
	case ORIGIN_REORDER: return &cutter->left.reorder_max;
	case ORIGIN_PREFIX:
	case ORIGIN_TORN:
	case ORIGIN_COUNT: break;
	}
	return &cutter->left.states_max;
}

/* Is the state a new one, of a kind that is not used up? */
static bool is_wanted(struct cutter *cutter, const struct state *state)
{
	agreement.offered++;
	return cutter->left.states_max > 0 && *left_of(cutter, state->origin) > 0 &&
	       !agreement_knows(&agreement, state->digest);
}

/* Have a state that is new checked. Takes `state->content`. */
static void add_state(struct cutter *cutter, struct state *state)
{
	size_t *left = left_of(cutter, state->origin);
	--*left;
	if (left != &cutter->left.states_max)
		cutter->left.states_max--;
	agreement_add(&agreement, state);
}

/* Takes `content`, which is complete. */
static struct state new_state(const struct cutter *cutter, struct content *content,
			      enum origin origin)
{
	static const char *const origin_names[] = { "prefix", "torn", "reordered", "lost" };
	struct state state = { .files = cutter->files,
			       .file_count = cutter->file_count,
			       .content = content,
			       .digest = shipped_digest(content),
			       .origin = origin,
			       .source = cutter->source };
	ck_assert_ptr_nonnull(content);
	snprintf(state.name, sizeof(state.name), "%.80s, %s state", cutter->name,
		 origin_names[origin]);
	return state;
}

static struct opinion judge_alone(const struct cutter *cutter, struct content *content)
{
	return agreement_judge(&agreement, cutter->files, cutter->file_count, content);
}

/* The image before the operation in hand, with `event`. Gives. */
static struct content *image_with(const struct cutter *cutter, const struct event_log *log,
				  const struct event *event)
{
	struct content *content = content_clone(cutter->now);
	ck_assert_ptr_nonnull(content);
	ck_assert_int_eq(trace_apply(content, log, event), STATUS_OK);
	return content;
}

/* A legal state: the crash falls behind, or in, operation `index`, the last one of `log`. Known
 * contents are judged once more where a bug may make a promise broken by them. */
static void cut_here(struct cutter *cutter, const struct event_log *log, size_t index,
		     enum origin origin)
{
	struct judge_report report = { 0 };
	struct state state =
		new_state(cutter, image_with(cutter, log, &log->events[index]), origin);
	bool is_known = agreement_knows(&agreement, state.digest);
	judge_run(cutter->walking, log, cutter->kept, &report);
	cutter->kept = origin == ORIGIN_TORN ? index : log->count;
	struct opinion walked = agreement_opinion(&agreement, &report);
	state.alone = judge_alone(cutter, state.content);
	if (!is_known || cutter->source == SOURCE_KNOWN_BUG)
		state.in_its_run = judge_in_its_run(cutter, log, state.content);
	ck_assert_msg(!((state.alone.serious | state.in_its_run.serious) & ~one_name(walked.rules)),
		      "%s: not seen on the way: %s; %s", cutter->name, state.alone.message,
		      state.in_its_run.message);
	ck_assert_uint_eq(state.alone.leaked, walked.leaked);
	ck_assert_uint_eq(state.alone.copied_missing, walked.copied_missing);
	if (is_wanted(cutter, &state))
		add_state(cutter, &state);
	else if (is_known)
		agreement_add(&agreement, &state);
	else
		content_free(state.content);
}

/* The states inside a write: a write that moved fewer bytes, up to a sector's end. */
static void tear(struct cutter *cutter, size_t index)
{
	struct event_log log = *cutter->log;
	struct event *last = &log.events[index];
	int32_t whole = last->result;
	uint64_t first = last->host_offset / 512 + 1;
	uint64_t end = (last->host_offset + (uint64_t)whole - 1) / 512 + 1;
	uint64_t step = 1;
	if (cutter->left.places != SIZE_MAX && first < end) {
		first += below(cutter, end - first);
		step = end;
	}
	log.count = index + 1;
	for (uint64_t at = first; at < end; at += step) {
		last->result = (int32_t)(at * 512 - last->host_offset);
		cut_here(cutter, &log, index, ORIGIN_TORN);
	}
	last->result = whole;
}

/* One of the states that a disk that reorders may leave at the end of `log`. */
static void reorder(struct cutter *cutter, const struct event_log *log)
{
	if (cutter->left.reorder_max == 0)
		return;
	while (cutter->listed < log->count)
		lister_step(cutter->lister, cutter->listed++);
	struct state state = new_state(cutter, lister_any_state(cutter->lister, &cutter->random),
				       ORIGIN_REORDER);
	if (!is_wanted(cutter, &state)) {
		content_free(state.content);
		return;
	}
	state.alone = judge_alone(cutter, state.content);
	state.in_its_run = judge_in_its_run(cutter, log, state.content);
	unsigned serious = state.alone.serious | state.in_its_run.serious;
	ck_assert_msg(!(serious & ~one_name(cutter->decided) & ~cutter->undecided),
		      "%s: %zu events, reordered, was decided to be fine: %s; %s", cutter->name,
		      log->count, state.alone.message, state.in_its_run.message);
	add_state(cutter, &state);
}

/* The image after the events of `log` without event `lost`. */
static void lose(struct cutter *cutter, const struct event_log *log, size_t lost)
{
	struct content *content = content_clone(cutter->files[0].initial);
	ck_assert_ptr_nonnull(content);
	for (size_t i = 0; i < log->count; i++)
		if (i != lost && judge_is_operation(&log->events[i]))
			ck_assert_int_eq(trace_apply(content, log, &log->events[i]), STATUS_OK);
	struct state state = new_state(cutter, content, ORIGIN_LOST);
	if (!is_wanted(cutter, &state)) {
		content_free(content);
		return;
	}
	state.alone = judge_alone(cutter, content);
	add_state(cutter, &state);
}

/* Every state of operation `index`, with all that the guest was told before the next one begins;
 * and two that lack one of the operations `lost`. */
static void cut_behind(struct cutter *cutter, size_t index, const size_t lost[2])
{
	struct event_log log = *cutter->log;
	log.count = index + 1;
	reorder(cutter, &log);
	while (log.count < cutter->log->count && !judge_is_operation(&log.events[log.count]) &&
	       log.events[log.count].kind != EVENT_END)
		log.count++;
	if (log.events[index].op == IO_WRITE)
		tear(cutter, index);
	cut_here(cutter, &log, index, ORIGIN_PREFIX);
	reorder(cutter, &log);
	for (size_t i = 0; i < 2; i++)
		if (lost[i] != SIZE_MAX && cutter->left.lost_max > 0)
			lose(cutter, &log, lost[i]);
}

/* Judges for the run; which rules it breaks under `reorder` is decided now. */
static void begin_cutting(struct cutter *cutter)
{
	struct judge *deciding = NULL;
	struct judge_report report = { 0 };
	struct judge_options options = { .models = CRASH_PREFIX, .verdicts_max = 256 };
	struct judge **judges[] = { &cutter->walking, &cutter->imaging, &deciding };
	for (size_t i = 0; i < 3; i++) {
		if (judges[i] == &deciding)
			options.models = CRASH_PREFIX | CRASH_REORDER;
		ck_assert_int_eq(
			judge_new(judges[i], cutter->files, cutter->file_count, &options, NULL),
			STATUS_OK);
	}
	judge_run(deciding, cutter->log, 0, &report);
	cutter->decided = agreement_opinion(&agreement, &report).rules;
	for (size_t rule = 0; rule < RULE_COUNT; rule++)
		cutter->undecided |= (unsigned)(report.skipped[rule] != NULL) << rule;
	judge_free(deciding);
	cutter->now = content_clone(cutter->files[0].initial);
	cutter->lister = malloc(sizeof(*cutter->lister));
	ck_assert_ptr_nonnull(cutter->lister);
	lister_init(cutter->lister, cutter->files[0].initial, cutter->log, 512);
	for (size_t i = 0; i < cutter->log->count; i++)
		cutter->operations += judge_is_operation(&cutter->log->events[i]);
}

static void end_cutting(struct cutter *cutter)
{
	agreement_flush(&agreement);
	lister_release(cutter->lister);
	free(cutter->lister);
	judge_free(cutter->walking);
	judge_free(cutter->imaging);
	content_free(cutter->now);
}

/* Cut the run in hand as `cutter` says. */
static void cut_run(struct cutter *cutter)
{
	enum { LOST_MAX = 4 };
	size_t last[LOST_MAX]; /* the last operations, newest first */
	begin_cutting(cutter);
	for (size_t i = 0; i < LOST_MAX; i++)
		last[i] = SIZE_MAX;
	for (size_t i = 0; i < cutter->log->count; i++) {
		const struct event *event = &cutter->log->events[i];
		if (!judge_is_operation(event))
			continue;
		const size_t lost[2] = { last[i % LOST_MAX], last[(i + 1) % LOST_MAX] };
		if (cutter->left.places >= cutter->operations ||
		    below(cutter, cutter->operations) < cutter->left.places)
			cut_behind(cutter, i, lost);
		ck_assert_int_eq(trace_apply(cutter->now, cutter->log, event), STATUS_OK);
		memmove(last + 1, last, sizeof(last) - sizeof(last[0]));
		last[0] = i;
	}
	end_cutting(cutter);
}

/* ---- runs of the engine ---- */

static void store_backing(const struct shipped *shipped)
{
	size_t file_count = 0;
	struct why why = { "" };
	const struct trace_file *files = world_files(shipped->world, &file_count);
	if (file_count > 1)
		ck_assert_msg(content_store(files[1].initial, files[1].path, &why) == STATUS_OK,
			      "%s", why.text);
}

/* Cut the run that the world has just finished. */
static void cut_world(struct shipped *shipped, const char *name, const char *bug, uint64_t seed)
{
	struct content *end = world_image(shipped->world);
	struct cutter cutter = { .log = world_log(shipped->world),
				 .name = name,
				 .source = bug ? SOURCE_KNOWN_BUG : SOURCE_SHIPPED,
				 .left = patience.wanted > 0 ? whole_run : sampled_run,
				 .random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1 };
	if (content_size(end) >= HUGE_BYTES)
		cutter.left = huge_run;
	content_free(end);
	/* What no crash leaves is not what patient people wait for. */
	if (seed > SEEDS)
		cutter.left.lost_max = LOST_LATER_MAX;
	cutter.files = world_files(shipped->world, &cutter.file_count);
	cut_run(&cutter);
}

static void sample(const char *workload, enum qcow2_policy policy, const char *bug, uint64_t round)
{
	struct shipped shipped;
	const struct world_options options = { .policy = policy, .stamps = true };
	uint64_t seeds = patience.wanted > 0 ? SEEDS : SEEDS_SAMPLE;
	shipped_open(&shipped, workload, &options);
	store_backing(&shipped);
	for (uint64_t seed = round * seeds + 1; seed <= (round + 1) * seeds; seed++) {
		struct random_run run;
		char name[96];
		shipped_random(&shipped, seed, &run);
		snprintf(name, sizeof(name), "%s, policy %s, bug %s, seed %" PRIu64, workload,
			 qcow2_policy_name(policy), bug ? bug : "none", seed);
		cut_world(&shipped, name, bug, seed);
		shipped_random_end(&run);
	}
	shipped_close(&shipped);
}

/* Random runs seldom meet a known bug: cut those runs of a search that do. */
static void sample_found(const struct known_bug *bug)
{
	struct shipped shipped;
	struct explore_result result;
	const struct world_options options = { .policy = QCOW2_CANCEL, .stamps = true };
	const struct explore_options search = { .models = shipped_models(),
						.budget.runs = FOUND_RUNS_MAX,
						.stop_after = FOUND_MAX };
	shipped_open(&shipped, bug->workload, &options);
	shipped_explore(&shipped, &search, &result);
	store_backing(&shipped);
	for (size_t i = 0; i < result.violation_count; i++) {
		struct schedule schedule;
		struct why why;
		char name[96];
		schedule_init(&schedule);
		ck_assert_int_eq(schedule_parse(&schedule, result.violations[i].schedule, &why),
				 STATUS_OK);
		(void)shipped_replay(&shipped, &schedule);
		snprintf(name, sizeof(name), "%s, bug %s, %s", bug->workload, bug->name,
			 result.violations[i].schedule);
		cut_world(&shipped, name, bug->name, i + 1);
		schedule_release(&schedule);
	}
	explore_result_release(&result);
	shipped_close(&shipped);
}

/* ---- recordings ---- */

/* Recording `number` of stock qemu-io, made in the present folder, where the files that back the
 * image are then. */
static void sample_stock(uint64_t number)
{
	struct trace trace;
	struct why why = { "" };
	char name[96];
	uint16_t image = 0;
	int status = shell("rm -rf out disk.qcow2 base; python3 '" RECORD_STOCK "' '" COWTIP
			   "' --seed 3 --only %" PRIu64,
			   number);
	ck_assert_msg(status == 0, "recording %" PRIu64 ": %s", number, shell_output());
	trace_init(&trace);
	ck_assert_msg(trace_read(&trace, "out/qemu-io-1.trace.zst", &why) == STATUS_OK, "%s",
		      why.text);
	if (trace_next_changed_image(&trace, &image)) {
		trace_swap_files(&trace, 0, image);
		snprintf(name, sizeof(name), "recording %" PRIu64 " of qemu-io", number);
		struct cutter cutter = { .files = trace.files,
					 .file_count = trace.file_count,
					 .log = &trace.log,
					 .name = name,
					 .source = SOURCE_STOCK,
					 .left = recording,
					 .random = number * UINT64_C(0x9e3779b97f4a7c15) + 1 };
		cut_run(&cutter);
	}
	trace_release(&trace);
}

/* ---- all of it ---- */

static bool is_enough(void)
{
	return patience_is_over(&patience) ||
	       (patience.wanted > 0 && agreement_crash_states(&agreement) >= patience.wanted);
}

/* Every workload, every known bug in its own, and recordings, with the seeds of `round`. */
static void sample_all(uint64_t round)
{
	size_t recordings = round == 0 ? RECORDINGS : RECORDINGS_MORE;
	for (size_t i = 0; i < recordings && !is_enough(); i++)
		sample_stock(round * RECORDINGS_MORE + i);
	for (size_t i = 0; i < shipped_count(); i++)
		for (size_t k = 0; k < 3 && !is_enough(); k++)
			sample(workload_shipped(i)->name, shipped_policies[k], NULL, round);
	for (size_t i = 0; i < known_bug_count() && !is_enough(); i++) {
		const struct known_bug *bug = known_bug_at(i);
		known_bug_enable(bug->name);
		sample(bug->workload, QCOW2_CANCEL, bug->name, round);
		if (round == 0)
			sample_found(bug);
		known_bugs_disable();
	}
}

/* Was there enough of everything? */
static void check_mix(void)
{
	ck_assert_uint_ge(agreement.offered, OFFERED_MIN);
	ck_assert_uint_ge(agreement_crash_states(&agreement) + agreement.by_origin[ORIGIN_LOST],
			  CHECKED_MIN);
	ck_assert_uint_gt(agreement.corrupt, 100);
	ck_assert_uint_gt(agreement.leaking, 100);
	ck_assert_uint_gt(agreement.copied_missing_only, 10);
	ck_assert_uint_gt(agreement.repaired, 10);
	for (size_t i = 0; i < ORIGIN_COUNT; i++)
		ck_assert_uint_gt(agreement.by_origin[i], 100);
	for (size_t i = 0; i < SOURCE_COUNT; i++)
		ck_assert_uint_gt(agreement.by_source[i], 100);
	ck_assert_uint_ge(agreement_crash_states(&agreement), patience.wanted);
	for (size_t i = 0; i < agreement.silence.count; i++) {
		enum rule rule = agreement.silence.classes[i].rule;
		bool is_sure = rule == RULE_COW_COMPLETE || rule == RULE_FLUSH_DURABLE;
		if (is_sure || patience.wanted > 0)
			ck_assert_msg(agreement.silent[i] > 0,
				      "tests/README.md: nothing is of class %zu", i + 1);
	}
}

START_TEST(crash_states_are_judged_as_qemu_img_check_does)
{
	agreement_init(&agreement, TESTS_README);
	patience_begin(&patience);
	sample_all(0);
	for (uint64_t round = 1; patience.wanted > 0 && !is_enough(); round++)
		sample_all(round);
	agreement_print(&agreement);
	patience_report(&patience, agreement_crash_states(&agreement), "crash states");
	if (!patience_is_over(&patience))
		check_mix();
	agreement_release(&agreement);
}
END_TEST

int main(int argc, char **argv)
{
	patience_init(&patience, argc, argv);
	if (!shell_has_qemu()) {
		puts("skipped: qemu-img and qemu-io (package qemu-utils) are not installed");
		return 77;
	}
	Suite *suite = suite_create("crash states");
	TCase *tests = tcase_create("crash states");
	tcase_add_checked_fixture(tests, shell_enter_folder, shell_leave_folder);
	tcase_set_timeout(tests, patience_timeout_seconds(&patience));
	tcase_add_test(tests, crash_states_are_judged_as_qemu_img_check_does);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
