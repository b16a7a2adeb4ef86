// SPDX-License-Identifier: MIT
/* Two opinions of one image.
 *
 *     contents, each once ------> alone: a judge that gets them as an initial image
 *            |
 *            v  written to a file
 *            +------------------> qemu-img check
 *
 * What must hold of each:
 *  1. Where qemu-img finds corruption, the judge finds a hazard at least, except for a missing
 *     COPIED flag: qemu-img calls that corruption, although it costs a needless copy and nothing
 *     else. It is what a crash between clearing the flags and raising the refcounts for a snapshot
 *     leaves; the judge counts it (`copied_missing`) and says nothing. Where nothing else is wrong
 *     both count the same, and where the judge counts any qemu-img complains.
 *  2. Where qemu-img finds nothing and the judge something, by itself or because it knows the run,
 *     that is of a class listed in tests/README.md.
 *  3. Where qemu-img finds no corruption both count the same leaks, but for clusters beyond the end
 *     of the file: a refcount may be written before its cluster is, and qemu-img looks no further
 *     than the file. Grown by zeros, it must count what the judge counts.
 *
 * With the dirty bit set (lazy refcounts) refcounts mean nothing to the judge, and qemu-img check
 * reports them all the same. So such a state is compared with the bit cleared. A legal one with
 * nothing wrong in its other tables is also given to `-r all`, which must leave an image without
 * fault or leak (in the file, as in 3) in which the guest reads what it read before. */
#include "tests/integration/agreement.h"

#include "oracle/layer.h"
#include "tests/integration/shell.h"
#include "tests/integration/shipped.h"

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
	SEEN_SLOTS = 1 << 19,
	GROWTH_BYTES = 1 << 25, /* more than any run allocates before it writes */
	HEADER_VERSION_LAST = 7,
	HEADER_INCOMPATIBLE_LAST = 79, /* header byte whose lowest bit is the dirty bit */
};

/* What qemu-img says. */
struct check_result {
	int exit_code;
	uint64_t corruptions, leaks, errors;
};

void agreement_init(struct agreement *agreement, const char *readme)
{
	memset(agreement, 0, sizeof(*agreement));
	silence_load(&agreement->silence, readme);
	agreement->seen = calloc(SEEN_SLOTS, sizeof(*agreement->seen));
	ck_assert_ptr_nonnull(agreement->seen);
}

void agreement_release(struct agreement *agreement)
{
	agreement_flush(agreement);
	free(agreement->seen);
}

/* Where the content is in the table, or would be. */
static struct seen *find_seen(const struct agreement *agreement, uint64_t digest)
{
	size_t slot = (size_t)(digest % SEEN_SLOTS);
	while (agreement->seen[slot].digest && agreement->seen[slot].digest != digest)
		slot = (slot + 1) % SEEN_SLOTS;
	return &agreement->seen[slot];
}

bool agreement_knows(const struct agreement *agreement, uint64_t digest)
{
	return find_seen(agreement, digest)->digest != 0;
}

/* ---- the dirty bit ---- */

static uint8_t incompatible_byte(const struct content *content)
{
	uint8_t version = 0, incompatible = 0;
	content_read(content, &version, 1, HEADER_VERSION_LAST);
	content_read(content, &incompatible, 1, HEADER_INCOMPATIBLE_LAST);
	return version >= 3 ? incompatible : 0;
}

static bool is_dirty(const struct content *content)
{
	return incompatible_byte(content) & 1;
}

/* Gives. */
static struct content *without_dirty_bit(const struct content *content)
{
	struct content *clean = content_clone(content);
	uint8_t incompatible = incompatible_byte(content) & (uint8_t)~1U;
	ck_assert_ptr_nonnull(clean);
	ck_assert_int_eq(content_write(clean, &incompatible, 1, HEADER_INCOMPATIBLE_LAST),
			 STATUS_OK);
	return clean;
}

/* ---- the judge's opinions ---- */

struct opinion agreement_opinion(const struct agreement *agreement,
				 const struct judge_report *report)
{
	struct opinion opinion = { .leaked = report->leaked,
				   .copied_missing = report->copied_missing };
	for (size_t i = 0; i < report->verdict_count; i++) {
		const struct verdict *verdict = &report->verdicts[i];
		bool is_serious = verdict->severity != SEVERITY_LEAK;
		size_t class = silence_find(&agreement->silence, verdict);
		bool is_news = is_serious && class == SILENCE_UNLISTED &&
			       !(opinion.classes & 1U << SILENCE_UNLISTED);
		if (i == 0 || is_news)
			memcpy(opinion.message, verdict->message, sizeof(opinion.message));
		opinion.rules |= 1U << verdict->rule;
		opinion.serious |= (unsigned)is_serious << verdict->rule;
		opinion.classes |= (uint32_t)is_serious << class;
	}
	return opinion;
}

struct opinion agreement_judge(const struct agreement *agreement, const struct trace_file *files,
			       size_t file_count, struct content *content)
{
	struct trace_file with_content[TRACE_FILES_MAX];
	struct event_log nothing;
	struct judge *judge = NULL;
	struct judge_report report = { 0 };
	struct why why = { "" };
	memcpy(with_content, files, file_count * sizeof(*files));
	with_content[0].initial = content;
	event_log_init(&nothing);
	const struct judge_options options = { .models = CRASH_PREFIX, .verdicts_max = 256 };
	enum status status = judge_new(&judge, with_content, file_count, &options, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	judge_run(judge, &nothing, 0, &report);
	struct opinion opinion = agreement_opinion(agreement, &report);
	judge_free(judge);
	return opinion;
}

/* ---- qemu-img ---- */

static pid_t start_check(size_t slot, const struct content *content, const char *repair)
{
	char image[48], output[48];
	pid_t process = 0;
	struct why why = { "" };
	posix_spawn_file_actions_t actions;
	snprintf(image, sizeof(image), "state-%zu.qcow2", slot);
	snprintf(output, sizeof(output), "check-%zu.json", slot);
	if (content)
		ck_assert_msg(content_store(content, image, &why) == STATUS_OK, "%s", why.text);
	char program[] = "qemu-img", verb[] = "check", json[] = "--output=json", r[] = "-r",
	     all[] = "all", f[] = "-f", format[] = "qcow2";
	char *plain_call[] = { program, verb, json, f, format, image, NULL };
	char *repair_call[] = { program, verb, json, f, format, r, all, image, NULL };
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

static bool finds_fault(const struct check_result *result)
{
	return result->corruptions > 0 || result->errors > 0 || result->exit_code == 1;
}

/* ---- what must hold ---- */

/* Gives. */
static struct content *grown_by_zeros(const struct content *content)
{
	struct content *longer = content_clone(content);
	ck_assert_ptr_nonnull(longer);
	content_resize(longer, content_size(longer) + GROWTH_BYTES);
	return longer;
}

static void check_leaks_beyond_end(struct agreement *agreement, const struct state *state,
				   const struct content *content, uint64_t leaked)
{
	struct content *longer = grown_by_zeros(content);
	struct check_result result = finish_check(0, start_check(0, longer, NULL));
	content_free(longer);
	ck_assert_msg(result.leaks == leaked,
		      "%s: qemu-img counts %" PRIu64 " leaks, the judge %" PRIu64, state->name,
		      result.leaks, leaked);
	agreement->leaks_beyond_end++;
}

/* Why qemu-img has nothing to say of what the judge finds must be known. */
static void check_silence(struct agreement *agreement, const struct state *state,
			  const struct opinion *opinion)
{
	ck_assert_msg(!(opinion->classes & 1U << SILENCE_UNLISTED),
		      "%s: qemu-img finds nothing, and no class of tests/README.md has: %s",
		      state->name, opinion->message);
	for (size_t class = 0; class < agreement->silence.count; class ++)
		agreement->silent[class] += opinion->classes >> class & 1U;
}

/* `alone` is the judge's opinion of `content`, which is the state's or almost. */
static void hold_against(struct agreement *agreement, const struct state *state,
			 const struct content *content, const struct opinion *alone,
			 const struct check_result *result)
{
	bool found = finds_fault(result);
	agreement->corrupt += found;
	agreement->leaking += result->leaks > 0;
	if (found && !alone->serious) {
		ck_assert_msg(alone->copied_missing > 0 && result->exit_code == 2,
			      "%s: qemu-img exits with %d (%" PRIu64 " corruptions, %" PRIu64
			      " errors), the judge finds nothing",
			      state->name, result->exit_code, result->corruptions, result->errors);
		ck_assert_msg(result->corruptions == alone->copied_missing,
			      "%s: COPIED is missing, says qemu-img %" PRIu64
			      " times and the judge %" PRIu64 " times",
			      state->name, result->corruptions, alone->copied_missing);
		agreement->copied_missing_only++;
	}
	struct seen *seen = find_seen(agreement, state->digest);
	seen->is_checked = true;
	seen->is_silent = !found;
	if (found)
		return;
	ck_assert_msg(alone->copied_missing == 0, "%s: COPIED is missing, says only the judge",
		      state->name);
	struct opinion both = *alone;
	both.classes |= state->in_its_run.classes;
	if (!(alone->classes & 1U << SILENCE_UNLISTED))
		memcpy(both.message, state->in_its_run.message, sizeof(both.message));
	check_silence(agreement, state, &both);
	if (result->leaks != alone->leaked)
		check_leaks_beyond_end(agreement, state, content, alone->leaked);
}

/* Do the guests of both images read the same? */
static void check_same_guest(const struct state *state, struct content *after)
{
	struct trace_file files[2][TRACE_FILES_MAX];
	struct content *contents[2] = { state->content, after };
	struct layers layers[2];
	struct inflater *inflaters[2];
	for (size_t i = 0; i < 2; i++) {
		inflaters[i] = inflater_new();
		memcpy(files[i], state->files, state->file_count * sizeof(*state->files));
		files[i][0].initial = contents[i];
		ck_assert_int_eq(
			layers_init(&layers[i], inflaters[i], files[i], state->file_count, NULL),
			STATUS_OK);
	}
	ck_assert_uint_eq(layers[0].layers[0].size_bytes, layers[1].layers[0].size_bytes);
	for (uint64_t at = 0; at < layers[0].layers[0].size_bytes; at += 512) {
		/* NULL: compressed data of which a part never reached the disk. */
		const uint8_t *before = layers_sector(&layers[0], 0, at);
		const uint8_t *now = layers_sector(&layers[1], 0, at);
		bool is_same = before && now ? memcmp(before, now, 512) == 0 : before == now;
		if (!is_same)
			ck_abort_msg("%s: repaired, and reads other bytes at %" PRIu64, state->name,
				     at);
	}
	inflater_free(inflaters[0]);
	inflater_free(inflaters[1]);
}

/* What `qemu-img check -r all` makes of `content`. Gives. */
static struct content *repaired_by_qemu(const struct state *state, const struct content *content)
{
	struct content *after = NULL;
	struct check_result repaired = finish_check(0, start_check(0, content, "all"));
	ck_assert_msg(repaired.exit_code == 0, "%s: qemu-img check -r all exits with %d",
		      state->name, repaired.exit_code);
	struct check_result again = finish_check(0, start_check(0, NULL, NULL));
	ck_assert_msg(again.exit_code == 0, "%s: repaired, and still exits with %d", state->name,
		      again.exit_code);
	ck_assert_int_eq(content_load(&after, "state-0.qcow2", NULL), STATUS_OK);
	ck_assert(!is_dirty(after));
	return after;
}

static void check_repair(struct agreement *agreement, const struct state *state)
{
	struct content *after = repaired_by_qemu(state, state->content);
	struct opinion opinion = agreement_judge(agreement, state->files, state->file_count, after);
	if (opinion.leaked > 0) {
		/* It looks no further than the file. */
		struct content *longer = grown_by_zeros(state->content);
		content_free(after);
		after = repaired_by_qemu(state, longer);
		content_free(longer);
		opinion = agreement_judge(agreement, state->files, state->file_count, after);
		agreement->leaks_beyond_end++;
	}
	ck_assert_msg(opinion.rules == 0 && opinion.leaked == 0, "%s: repaired, and still: %s",
		      state->name, opinion.message);
	check_same_guest(state, after);
	content_free(after);
	agreement->repaired++;
}

/* ---- batches ---- */

void agreement_flush(struct agreement *agreement)
{
	struct content *contents[AGREEMENT_BATCH];
	pid_t processes[AGREEMENT_BATCH];
	for (size_t i = 0; i < agreement->batched; i++) {
		const struct state *state = &agreement->batch[i];
		contents[i] = is_dirty(state->content) ? without_dirty_bit(state->content) : NULL;
		processes[i] = start_check(i, contents[i] ? contents[i] : state->content, NULL);
	}
	for (size_t i = 0; i < agreement->batched; i++) {
		const struct state *state = &agreement->batch[i];
		struct check_result result = finish_check(i, processes[i]);
		const struct content *content = contents[i] ? contents[i] : state->content;
		struct opinion alone = state->alone;
		if (contents[i])
			alone = agreement_judge(agreement, state->files, state->file_count,
						contents[i]);
		hold_against(agreement, state, content, &alone, &result);
		agreement->dirty += contents[i] != NULL;
	}
	for (size_t i = 0; i < agreement->batched; i++) {
		const struct state *state = &agreement->batch[i];
		if (contents[i] && state->origin != ORIGIN_LOST && !state->alone.serious)
			check_repair(agreement, state);
		content_free(contents[i]);
		content_free(state->content);
	}
	agreement->batched = 0;
}

/* The content is known: what does the judge say of it in this run? */
static void add_again(struct agreement *agreement, const struct state *state,
		      const struct seen *seen)
{
	if (!seen->is_checked && state->in_its_run.serious)
		agreement_flush(agreement);
	if (seen->is_checked && seen->is_silent)
		check_silence(agreement, state, &state->in_its_run);
	content_free(state->content);
}

void agreement_add(struct agreement *agreement, const struct state *state)
{
	struct seen *seen = find_seen(agreement, state->digest);
	ck_assert_uint_le(state->file_count, TRACE_FILES_MAX);
	if (seen->digest) {
		add_again(agreement, state, seen);
		return;
	}
	ck_assert_uint_lt(++agreement->seen_count, SEEN_SLOTS / 2);
	seen->digest = state->digest;
	agreement->batch[agreement->batched++] = *state;
	agreement->by_origin[state->origin]++;
	agreement->by_source[state->source] += state->origin != ORIGIN_LOST;
	if (agreement->batched == AGREEMENT_BATCH)
		agreement_flush(agreement);
}

size_t agreement_crash_states(const struct agreement *agreement)
{
	size_t count = 0;
	for (size_t source = 0; source < SOURCE_COUNT; source++)
		count += agreement->by_source[source];
	return count;
}

void agreement_print(const struct agreement *agreement)
{
	printf("%zu states offered; %zu different crash states checked (%zu prefix, %zu torn, %zu "
	       "reorder; %zu of shipped workloads, %zu of known bugs, %zu of stock qemu-io), and "
	       "%zu with a lost operation\n",
	       agreement->offered, agreement_crash_states(agreement),
	       agreement->by_origin[ORIGIN_PREFIX], agreement->by_origin[ORIGIN_TORN],
	       agreement->by_origin[ORIGIN_REORDER], agreement->by_source[SOURCE_SHIPPED],
	       agreement->by_source[SOURCE_KNOWN_BUG], agreement->by_source[SOURCE_STOCK],
	       agreement->by_origin[ORIGIN_LOST]);
	printf("qemu-img: %zu corrupt (%zu only for a missing COPIED flag), %zu leaking (%zu "
	       "beyond the end of the file too); %zu dirty, %zu of them repaired\n",
	       agreement->corrupt, agreement->copied_missing_only, agreement->leaking,
	       agreement->leaks_beyond_end, agreement->dirty, agreement->repaired);
	for (size_t class = 0; class < agreement->silence.count; class ++)
		printf("qemu-img is silent about %s, '%s', in %zu\n",
		       rule_name(agreement->silence.classes[class].rule),
		       agreement->silence.classes[class].says, agreement->silent[class]);
	fflush(stdout);
}
