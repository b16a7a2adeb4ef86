// SPDX-License-Identifier: MIT
/* The oracle next to `qemu-img check`, on the same crash states.
 *
 * Random runs (fixed seeds) of every shipped workload, under every policy and under every known
 * bug, are cut behind each operation and in the middle of each write. Such a state is legal, and
 * mostly flawless; so that there is something to disagree about, one operation of the last few is
 * also left out ("lost"), which no crash model does and which tears tables and refcounts apart.
 *
 *     the run's events, cut ----> walked: the judge, event by event, as a search uses it
 *            |
 *            v  applied
 *     contents, each once ------> fresh: a judge that gets them as an initial image
 *            |
 *            v  written to a file
 *            +------------------> qemu-img check
 *
 * What must hold of each:
 *  1. What fresh says, walked says too (legal states), and both count the same leaks.
 *  2. Where qemu-img finds corruption, fresh finds a hazard at least, except for a missing COPIED
 *     flag: qemu-img calls that corruption, although it costs a needless copy and nothing else. It
 *     is what a crash between clearing the flags and raising the refcounts for a snapshot leaves;
 *     the judge counts it (`copied_missing`) and says nothing.
 *  3. Where qemu-img finds nothing and the judge something, the rule is one that qemu-img cannot
 *     know, or does not look at: `explained`.
 *  4. Both count the same leaks, but for clusters beyond the end of the file: a refcount may be
 *     written before its cluster is, and qemu-img looks no further than the file.
 *
 * With the dirty bit set (lazy refcounts) refcounts mean nothing. qemu-img check reports them all
 * the same unless it may repair; so legal states of that kind are given to `-r all`, which must
 * leave an image without fault or leak (in the file, as in 4) in which the guest reads what it
 * read before. */
#include "tests/integration/shell.h"
#include "tests/integration/shipped.h"

#include "engine/qcow2/known_bugs.h"
#include "injector/fault_point.h"
#include "oracle/layer.h"
#include "tests/run_suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	SEEDS = 12,          /* runs of each workload and policy */
	LOST_A_RUN_MAX = 12, /* states with a lost operation checked, of those that are new */
	STATES_A_HUGE_RUN_MAX = 2,
	HUGE_BYTES = 1 << 30, /* files from here on cost qemu-img a hundred times as much */
	SAMPLED_MIN = 2000,
	DIFFERENT_MIN = 2000,
	FOUND_RUNS_MAX = 3000, /* of a search for what a known bug does */
	FOUND_MAX = 8,         /* violations of it that are cut */
	BATCH = 2,             /* qemu-img processes at a time */
	SEEN_SLOTS = 1 << 16,
	GROWTH_BYTES = 256 * 1024, /* more than any run allocates before it writes */
	HEADER_VERSION_LAST = 7,
	HEADER_INCOMPATIBLE_LAST = 79, /* header byte whose lowest bit is the dirty bit */
};

/* Where a state comes from. */
enum origin { ORIGIN_PREFIX, ORIGIN_TORN, ORIGIN_LOST };

static const char *const origin_names[] = { "prefix", "torn", "lost" };

/* What the judge says of a state. */
struct opinion {
	unsigned rules;   /* bit (1 << rule) */
	unsigned serious; /* of these, hazards and corruptions */
	uint64_t leaked;
	uint64_t copied_missing;
	char message[VERDICT_MESSAGE_BYTES]; /* the first */
};

struct state {
	struct content *content; /* owned */
	enum origin origin;
	struct opinion fresh;
	unsigned news; /* rules that `walked` first sees broken in this state */
	char name[128];
};

/* What qemu-img says. */
struct check_result {
	int exit_code;
	uint64_t corruptions, leaks, errors;
};

static uint64_t seen[SEEN_SLOTS];
static size_t seen_count;

/* Tallies for the output. */
static size_t states_by_origin[3], sampled, corrupt, leaking, dirty, copied_missing_only,
	leaks_beyond_end;
static size_t silent_by_rule[RULE_COUNT];

/* ---- rules that qemu-img may be silent about ---- */

static const struct {
	enum rule rule;
	const char *why;
} explained[] = {
	{ RULE_COW_COMPLETE, "speaks of guest data; qemu-img check looks at tables only" },
	{ RULE_OLD_OR_NEW, "speaks of guest data, and of what a snapshot held before" },
	{ RULE_FLUSH_DURABLE, "needs to know what was promised to the guest" },
	{ RULE_READ_LINEARIZABLE, "speaks of a read of the run, not of the image" },
	{ RULE_PROGRESS, "speaks of the run, not of the image" },
};

static bool is_explained(enum rule rule)
{
	for (size_t i = 0; i < sizeof(explained) / sizeof(explained[0]); i++)
		if (explained[i].rule == rule)
			return true;
	return false;
}

/* ---- contents ---- */

/* Has it been seen before? It has from now on. */
static bool was_seen(uint64_t digest)
{
	size_t slot = (size_t)(digest % SEEN_SLOTS);
	while (seen[slot] && seen[slot] != digest)
		slot = (slot + 1) % SEEN_SLOTS;
	if (seen[slot])
		return true;
	ck_assert_uint_lt(++seen_count, SEEN_SLOTS / 2);
	seen[slot] = digest;
	return false;
}

static bool is_dirty(const struct content *content)
{
	uint8_t version = 0, incompatible = 0;
	content_read(content, &version, 1, HEADER_VERSION_LAST);
	content_read(content, &incompatible, 1, HEADER_INCOMPATIBLE_LAST);
	return version >= 3 && (incompatible & 1);
}

/* ---- the judge's opinions ---- */

static void note_verdicts(struct opinion *opinion, const struct judge_report *report)
{
	*opinion = (struct opinion){ .leaked = report->leaked,
				     .copied_missing = report->copied_missing };
	for (size_t i = 0; i < report->verdict_count; i++) {
		const struct verdict *verdict = &report->verdicts[i];
		opinion->rules |= 1U << verdict->rule;
		if (verdict->severity != SEVERITY_LEAK)
			opinion->serious |= 1U << verdict->rule;
		if (i == 0)
			memcpy(opinion->message, verdict->message, sizeof(opinion->message));
	}
}

/* `content` in the place of the image, judged as if nothing had happened before. */
static struct opinion judge_fresh(const struct trace_file *files, size_t file_count,
				  struct content *content)
{
	struct trace_file with_content[2];
	struct event_log nothing;
	struct judge *judge = NULL;
	struct judge_report report = { 0 };
	struct opinion opinion;
	struct why why = { "" };
	ck_assert_uint_le(file_count, 2);
	memcpy(with_content, files, file_count * sizeof(*files));
	with_content[0].initial = content;
	event_log_init(&nothing);
	const struct judge_options options = { .models = CRASH_PREFIX };
	enum status status = judge_new(&judge, with_content, file_count, &options, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	judge_run(judge, &nothing, 0, &report);
	note_verdicts(&opinion, &report);
	judge_free(judge);
	return opinion;
}

/* ---- qemu-img ---- */

static pid_t start_check(size_t slot, const char *repair)
{
	char image[48], output[48];
	pid_t process = 0;
	posix_spawn_file_actions_t actions;
	snprintf(image, sizeof(image), "state-%zu.qcow2", slot);
	snprintf(output, sizeof(output), "check-%zu.json", slot);
	char program[] = "qemu-img", verb[] = "check", json[] = "--output=json", r[] = "-r",
	     all[] = "all";
	char *plain_call[] = { program, verb, json, image, NULL };
	char *repair_call[] = { program, verb, json, r, all, image, NULL };
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output,
					 O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
	int error = posix_spawnp(&process, program, &actions, NULL,
				 repair ? repair_call : plain_call, environ);
	ck_assert_msg(error == 0, "qemu-img: %s", strerror(error));
	posix_spawn_file_actions_destroy(&actions);
	return process;
}

static uint64_t json_number(const char *text, const char *key)
{
	const char *at = strstr(text, key);
	return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static struct check_result finish_check(size_t slot, pid_t process)
{
	char path[48];
	int status = 0;
	size_t bytes = 0;
	ck_assert_int_eq(waitpid(process, &status, 0), process);
	ck_assert(WIFEXITED(status));
	snprintf(path, sizeof(path), "check-%zu.json", slot);
	char *text = (char *)shell_read_file(path, &bytes);
	ck_assert_ptr_nonnull(text);
	text[bytes] = '\0';
	struct check_result result = {
		.exit_code = WEXITSTATUS(status),
		.corruptions = json_number(text, "\"corruptions\": "),
		.leaks = json_number(text, "\"leaks\": "),
		.errors = json_number(text, "\"check-errors\": "),
	};
	free(text);
	return result;
}

static void store(const struct content *content, const char *path)
{
	struct why why = { "" };
	enum status status = content_store(content, path, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
}

static void store_state(const struct state *state, size_t slot)
{
	char path[48];
	snprintf(path, sizeof(path), "state-%zu.qcow2", slot);
	store(state->content, path);
}

/* ---- what must hold ---- */

/* qemu-img looks no further than the file: grown by zeros, it must count what the judge counts. */
static void check_leaks_beyond_end(const struct state *state)
{
	struct content *longer = content_clone(state->content);
	content_resize(longer, content_size(longer) + GROWTH_BYTES);
	store(longer, "state-0.qcow2");
	content_free(longer);
	struct check_result result = finish_check(0, start_check(0, NULL));
	ck_assert_msg(result.leaks == state->fresh.leaked,
		      "%s: qemu-img counts %" PRIu64 " leaks, the judge %" PRIu64, state->name,
		      result.leaks, state->fresh.leaked);
	leaks_beyond_end++;
}

static void hold_against(const struct state *state, const struct check_result *result)
{
	const struct opinion *fresh = &state->fresh;
	bool found = result->corruptions > 0 || result->errors > 0 || result->exit_code == 1;
	corrupt += found;
	leaking += result->leaks > 0;
	if (found && !fresh->serious) {
		ck_assert_msg(fresh->copied_missing > 0 && result->exit_code == 2,
			      "%s: qemu-img exits with %d (%" PRIu64 " corruptions, %" PRIu64
			      " errors), the judge finds nothing",
			      state->name, result->exit_code, result->corruptions, result->errors);
		ck_assert_uint_eq(result->corruptions, fresh->copied_missing);
		copied_missing_only++;
	}
	for (int rule = 0; rule < RULE_COUNT && !found; rule++) {
		if (!((fresh->serious | state->news) & 1U << rule))
			continue;
		silent_by_rule[rule]++;
		ck_assert_msg(is_explained((enum rule)rule),
			      "%s: qemu-img finds nothing, the judge breaks %s: %s", state->name,
			      rule_name((enum rule)rule), fresh->message);
	}
	if (!found && result->leaks != fresh->leaked)
		check_leaks_beyond_end(state);
}

/* Do the guests of both images read the same? */
static void check_same_guest(const struct trace_file *files, size_t file_count,
			     struct content *before, struct content *after)
{
	struct trace_file one[2], other[2];
	struct layers layers[2];
	struct inflater *inflaters[2] = { inflater_new(), inflater_new() };
	memcpy(one, files, file_count * sizeof(*files));
	memcpy(other, files, file_count * sizeof(*files));
	one[0].initial = before;
	other[0].initial = after;
	ck_assert_int_eq(layers_init(&layers[0], inflaters[0], one, file_count, NULL), STATUS_OK);
	ck_assert_int_eq(layers_init(&layers[1], inflaters[1], other, file_count, NULL), STATUS_OK);
	ck_assert_uint_eq(layers[0].layers[0].size_bytes, layers[1].layers[0].size_bytes);
	for (uint64_t at = 0; at < layers[0].layers[0].size_bytes; at += 512)
		if (memcmp(layers_sector(&layers[0], 0, at), layers_sector(&layers[1], 0, at),
			   512) != 0)
			ck_abort_msg("repaired, and reads other bytes at %" PRIu64, at);
	inflater_free(inflaters[0]);
	inflater_free(inflaters[1]);
}

/* What `qemu-img check -r all` makes of `content`. Gives. */
static struct content *repaired_by_qemu(const struct state *state, const struct content *content)
{
	struct content *after = NULL;
	store(content, "state-0.qcow2");
	struct check_result repaired = finish_check(0, start_check(0, "all"));
	ck_assert_msg(repaired.exit_code == 0, "%s: qemu-img check -r all exits with %d",
		      state->name, repaired.exit_code);
	struct check_result again = finish_check(0, start_check(0, NULL));
	ck_assert_msg(again.exit_code == 0, "%s: repaired, and still exits with %d", state->name,
		      again.exit_code);
	ck_assert_int_eq(content_load(&after, "state-0.qcow2", NULL), STATUS_OK);
	ck_assert(!is_dirty(after));
	return after;
}

static void check_repair(const struct trace_file *files, size_t file_count, struct state *state)
{
	struct content *after = repaired_by_qemu(state, state->content);
	struct opinion opinion = judge_fresh(files, file_count, after);
	if (opinion.leaked > 0) {
		/* It looks no further than the file: grown by zeros, nothing may be left. */
		struct content *longer = content_clone(state->content);
		content_resize(longer, content_size(longer) + GROWTH_BYTES);
		content_free(after);
		after = repaired_by_qemu(state, longer);
		content_free(longer);
		opinion = judge_fresh(files, file_count, after);
		leaks_beyond_end++;
	}
	ck_assert_msg(opinion.rules == 0 && opinion.leaked == 0, "%s: repaired, and still: %s",
		      state->name, opinion.message);
	check_same_guest(files, file_count, state->content, after);
	content_free(after);
	dirty++;
}

/* Judge a batch of states of one run. Takes their contents. */
static void check_batch(const struct trace_file *files, size_t file_count, struct state *states,
			size_t count)
{
	pid_t processes[BATCH];
	bool lazy[BATCH];
	for (size_t i = 0; i < count; i++) {
		lazy[i] = is_dirty(states[i].content);
		if (lazy[i])
			continue;
		store_state(&states[i], i);
		processes[i] = start_check(i, NULL);
	}
	for (size_t i = 0; i < count; i++) {
		if (lazy[i])
			continue;
		struct check_result result = finish_check(i, processes[i]);
		hold_against(&states[i], &result);
	}
	for (size_t i = 0; i < count; i++) {
		if (lazy[i] && states[i].origin != ORIGIN_LOST)
			check_repair(files, file_count, &states[i]);
		states_by_origin[states[i].origin]++;
		content_free(states[i].content);
	}
}

/* ---- cutting runs ---- */

/* One run on its way to be cut. */
struct cutter {
	const struct trace_file *files;
	size_t file_count;
	const struct event_log *log;
	const char *name;
	struct judge *walking;
	size_t kept;    /* events that the walking judge has seen unchanged */
	unsigned known; /* rules that it has seen broken so far */
	struct state batch[BATCH];
	size_t batched;
	size_t left;      /* states that may still be checked */
	size_t lost_left; /* of these, with a lost operation */
};

/* The image after the first `count` events, without event `lost` (SIZE_MAX: none). */
static struct content *apply(const struct cutter *cutter, const struct event_log *log, size_t lost)
{
	struct content *content = content_clone(cutter->files[0].initial);
	for (size_t i = 0; i < log->count; i++)
		if (i != lost && judge_is_operation(&log->events[i]))
			ck_assert_int_eq(trace_apply(content, log, &log->events[i]), STATUS_OK);
	return content;
}

/* Takes `state->content`. */
static void add_state(struct cutter *cutter, const struct state *cut)
{
	sampled++;
	bool is_full = cutter->left == 0 || (cut->origin == ORIGIN_LOST && cutter->lost_left == 0);
	if (is_full || was_seen(shipped_digest(cut->content))) {
		content_free(cut->content);
		return;
	}
	struct state *state = &cutter->batch[cutter->batched++];
	*state = *cut;
	snprintf(state->name, sizeof(state->name), "%.80s, %s state", cutter->name,
		 origin_names[cut->origin]);
	cutter->left--;
	cutter->lost_left -= cut->origin == ORIGIN_LOST;
	if (cutter->batched < BATCH)
		return;
	check_batch(cutter->files, cutter->file_count, cutter->batch, cutter->batched);
	cutter->batched = 0;
}

/* A legal state: `log` ends with the operation behind, or in, which the crash falls. */
static void cut_here(struct cutter *cutter, const struct event_log *log, bool is_torn)
{
	struct judge_report report = { 0 };
	struct opinion walked;
	struct content *content = apply(cutter, log, SIZE_MAX);
	judge_run(cutter->walking, log, cutter->kept, &report);
	note_verdicts(&walked, &report);
	struct opinion fresh = judge_fresh(cutter->files, cutter->file_count, content);
	ck_assert_msg(!(fresh.serious & ~walked.rules), "%s: not seen on the way: %s", cutter->name,
		      fresh.message);
	ck_assert_uint_eq(fresh.leaked, walked.leaked);
	ck_assert_uint_eq(fresh.copied_missing, walked.copied_missing);
	cutter->kept = log->count - 1;
	unsigned news = walked.serious & ~cutter->known;
	if (!is_torn)
		cutter->known |= walked.rules;
	add_state(cutter, &(struct state){ .content = content,
					   .origin = is_torn ? ORIGIN_TORN : ORIGIN_PREFIX,
					   .fresh = fresh,
					   .news = news });
}

/* The states inside a write: a write that moved fewer bytes, up to a sector's end. */
static void tear(struct cutter *cutter, struct event_log *log, struct event *last)
{
	int32_t whole = last->result;
	uint64_t end = last->host_offset + (uint64_t)whole;
	for (uint64_t at = last->host_offset / 512 * 512 + 512; at < end; at += 512) {
		last->result = (int32_t)(at - last->host_offset);
		cut_here(cutter, log, true);
	}
	last->result = whole;
}

/* Every state of operation `index`; and two that lack one of the operations `lost`. */
static void cut_behind(struct cutter *cutter, size_t index, const size_t lost[2])
{
	struct event_log log = *cutter->log;
	log.count = index + 1;
	if (log.events[index].op == IO_WRITE)
		tear(cutter, &log, &log.events[index]);
	cut_here(cutter, &log, false);
	for (size_t i = 0; i < 2; i++) {
		if (lost[i] == SIZE_MAX)
			continue;
		struct state state = { .content = apply(cutter, &log, lost[i]),
				       .origin = ORIGIN_LOST };
		state.fresh = judge_fresh(cutter->files, cutter->file_count, state.content);
		add_state(cutter, &state);
	}
}

/* Every state of the run that the world has just finished. */
static void cut_run(struct shipped *shipped, const char *name, size_t states_max)
{
	enum { LOST_MAX = 4 };
	struct cutter cutter = { .log = world_log(shipped->world), .name = name };
	const struct judge_options options = { .models = CRASH_PREFIX, .verdicts_max = 256 };
	size_t last[LOST_MAX]; /* the last operations, newest first */
	cutter.files = world_files(shipped->world, &cutter.file_count);
	cutter.left = states_max;
	cutter.lost_left = LOST_A_RUN_MAX;
	ck_assert_int_eq(
		judge_new(&cutter.walking, cutter.files, cutter.file_count, &options, NULL),
		STATUS_OK);
	for (size_t i = 0; i < LOST_MAX; i++)
		last[i] = SIZE_MAX;
	for (size_t i = 0; i < cutter.log->count; i++) {
		if (!judge_is_operation(&cutter.log->events[i]))
			continue;
		const size_t lost[2] = { last[i % LOST_MAX], last[(i + 1) % LOST_MAX] };
		cut_behind(&cutter, i, lost);
		memmove(last + 1, last, sizeof(last) - sizeof(last[0]));
		last[0] = i;
	}
	check_batch(cutter.files, cutter.file_count, cutter.batch, cutter.batched);
	judge_free(cutter.walking);
}

static void store_backing(const struct shipped *shipped)
{
	size_t file_count = 0;
	const struct trace_file *files = world_files(shipped->world, &file_count);
	if (file_count > 1)
		store(files[1].initial, files[1].path);
}

static void sample(const char *workload, enum qcow2_policy policy, const char *bug)
{
	struct shipped shipped;
	const struct world_options options = { .policy = policy, .stamps = true };
	shipped_open(&shipped, workload, &options);
	store_backing(&shipped);
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct random_run run;
		char name[96];
		shipped_random(&shipped, seed, &run);
		struct content *end = world_image(shipped.world);
		bool is_huge = content_size(end) >= HUGE_BYTES;
		content_free(end);
		snprintf(name, sizeof(name), "%s, policy %s, bug %s, seed %" PRIu64, workload,
			 qcow2_policy_name(policy), bug ? bug : "none", seed);
		cut_run(&shipped, name, is_huge ? STATES_A_HUGE_RUN_MAX : SIZE_MAX);
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
	const struct explore_options search = { .models = CRASH_PREFIX | CRASH_TORN,
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
		bool is_huge = strcmp(bug->workload, "beyond-4g") == 0;
		cut_run(&shipped, name, is_huge ? STATES_A_HUGE_RUN_MAX : SIZE_MAX);
		schedule_release(&schedule);
	}
	explore_result_release(&result);
	shipped_close(&shipped);
}

START_TEST(crash_states_are_judged_as_qemu_img_check_does)
{
	for (size_t i = 0; i < shipped_count(); i++)
		for (size_t k = 0; k < 3; k++)
			sample(workload_shipped(i)->name, shipped_policies[k], NULL);
	for (size_t i = 0; i < known_bug_count(); i++) {
		const struct known_bug *bug = known_bug_at(i);
		known_bug_enable(bug->name);
		sample(bug->workload, QCOW2_CANCEL, bug->name);
		sample_found(bug);
		known_bugs_disable();
	}
	size_t checked = states_by_origin[0] + states_by_origin[1] + states_by_origin[2];
	printf("%zu states sampled, %zu different ones checked: %zu prefix, %zu torn, %zu with a "
	       "lost write\nqemu-img: %zu corrupt (%zu only for a missing COPIED flag), %zu "
	       "leaking (%zu beyond the end of the file too); %zu dirty ones repaired\n",
	       sampled, checked, states_by_origin[ORIGIN_PREFIX], states_by_origin[ORIGIN_TORN],
	       states_by_origin[ORIGIN_LOST], corrupt, copied_missing_only, leaking,
	       leaks_beyond_end, dirty);
	for (int rule = 0; rule < RULE_COUNT; rule++)
		if (silent_by_rule[rule])
			printf("qemu-img is silent about %s in %zu\n", rule_name((enum rule)rule),
			       silent_by_rule[rule]);
	fflush(stdout);
	ck_assert_uint_ge(sampled, SAMPLED_MIN);
	ck_assert_uint_ge(checked, DIFFERENT_MIN);
	ck_assert_uint_gt(corrupt, 100);
	ck_assert_uint_gt(leaking, 100);
	ck_assert_uint_gt(dirty, 10);
	ck_assert_uint_ge(silent_by_rule[RULE_COW_COMPLETE], 1);
	ck_assert_uint_ge(silent_by_rule[RULE_FLUSH_DURABLE], 1);
}
END_TEST

int main(void)
{
	if (!shell_has_qemu()) {
		puts("skipped: qemu-img and qemu-io (package qemu-utils) are not installed");
		return 77;
	}
	Suite *suite = suite_create("crash states");
	TCase *tests = tcase_create("crash states");
	tcase_add_checked_fixture(tests, shell_enter_folder, shell_leave_folder);
	tcase_set_timeout(tests, 500);
	tcase_add_test(tests, crash_states_are_judged_as_qemu_img_check_does);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
