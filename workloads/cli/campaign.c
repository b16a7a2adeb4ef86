// SPDX-License-Identifier: MIT
/* The parent keeps the journal and the table; each workload is swept in a process of its own, which
 * leaves the line that the journal is to have in an anonymous file, and its traces in a folder of
 * its own. The subject is what sweep_workload() makes of the options, so whatever can be swept can
 * be campaigned on.
 *
 *      work/<process>/   a workload and its traces, while it is swept
 *      *.trace.zst       the trace of the first workload of each row of the table
 *      *.qio             that workload
 *      journal           a line for each workload that is done
 *
 * The order in which things reach the folder makes every moment a good one to be killed at: a trace
 * is moved out of work/ before its line is written, and one that has become needless is removed
 * after. So the journal names no trace that is missing, and what no row names is overwritten, or
 * removed, when its workload is done again or another one takes its place.
 *
 * A child is in a process group of its own: Ctrl-C is for the parent, which lets the children end.
 * Children of a parent that was killed come to their end and leave nothing behind but their folder
 * in work/, which the next campaign removes. */
#include "workloads/cli/campaign.h"

#include "workloads/cli/campaign_worker.h"
#include "workloads/cli/interrupt.h"
#include "workloads/cli/output.h"
#include "workloads/seconds.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	LINE_BYTES_MAX = 64 << 20,
	/* When so many, and all, have been refused, the reason is not the workload. */
	REFUSED_AT_FIRST = 50,
	NAME_MAX_BYTES = 256, /* of a file in the folder */
	PROGRESS_MILLISECONDS = 200,
};

/* A workload being swept. */
struct worker {
	pid_t pid; /* 0: none */
	uint64_t index;
	int file; /* its line is left here */
};

/* Campaign in progress. */
struct crew {
	struct campaign *campaign;
	struct worker workers[OPTIONS_JOBS_MAX];
	uint32_t at_a_time, running;
	const volatile sig_atomic_t *stop;
	double begun; /* seconds_now() */
	uint64_t done_before, runs_before;
	double told_seconds;
	bool shows_progress;
};

/* ---- files ---- */

static void path_of(const struct campaign *campaign, const char *name, char path[OUTPUT_PATH_BYTES])
{
	snprintf(path, OUTPUT_PATH_BYTES, "%.3700s/%.300s", options_folder(campaign->options),
		 name);
}

/* Remove a folder with the files in it; folders in it only if they are empty. */
static void remove_folder(const char *folder)
{
	DIR *directory = opendir(folder);
	const struct dirent *entry = NULL;
	while (directory && (entry = readdir(directory))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			(void)unlinkat(dirfd(directory), entry->d_name, 0);
	}
	if (directory)
		closedir(directory);
	(void)rmdir(folder);
}

/* Remove what an earlier campaign left in work/. */
static void remove_work(const struct campaign *campaign)
{
	char work[OUTPUT_PATH_BYTES], inner[OUTPUT_PATH_BYTES + NAME_MAX_BYTES];
	path_of(campaign, "work", work);
	DIR *directory = opendir(work);
	const struct dirent *entry = NULL;
	while (directory && (entry = readdir(directory))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(inner, sizeof(inner), "%s/%s", work, entry->d_name);
		remove_folder(inner);
	}
	if (directory)
		closedir(directory);
	(void)rmdir(work);
}

static void work_folder(const struct campaign *campaign, pid_t pid, char path[OUTPUT_PATH_BYTES])
{
	char name[64];
	snprintf(name, sizeof(name), "work/%ld", (long)pid);
	path_of(campaign, name, path);
}

/* The workload of a trace's file name: "NAME-rule-1.trace.zst" has "NAME.qio" beside it. */
static void workload_file(const char *name, char file[NAME_MAX_BYTES])
{
	snprintf(file, NAME_MAX_BYTES, "%.63s.qio", name);
}

/* ---- processes ---- */

/* Start to sweep workload `index`. False: there is no process to be had. */
static bool start(struct crew *crew, uint64_t index)
{
	struct campaign *campaign = crew->campaign;
	struct worker *worker = crew->workers;
	while (worker->pid)
		worker++;
	int file = memfd_create("cowtip-campaign", MFD_CLOEXEC);
	fflush(NULL);
	pid_t pid = file < 0 ? -1 : fork();
	if (pid < 0) {
		campaign->status = why_set(&campaign->why, STATUS_IO, "cannot start a process: %s",
					   strerror(errno));
		if (file >= 0)
			close(file);
		return false;
	}
	if (pid > 0) {
		*worker = (struct worker){ .pid = pid, .index = index, .file = file };
		crew->running++;
		return true;
	}
	(void)setpgid(0, 0);
	/* The lock goes with the last copy. */
	campaign_journal_close(&campaign->journal);
	FILE *stream = fdopen(file, "w");
	if (!stream)
		_exit(EXIT_FAILURE);
	char folder[OUTPUT_PATH_BYTES];
	work_folder(campaign, getpid(), folder);
	campaign_worker(campaign, index, folder, stream);
	_exit(fclose(stream) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* The entry that a child left, or what became of it. */
static void read_entry(const struct campaign *campaign, const struct worker *worker,
		       int wait_status, struct campaign_entry *entry)
{
	off_t bytes = lseek(worker->file, 0, SEEK_END);
	struct why why = { "its process left no result" };
	enum status status = STATUS_CORRUPT;
	if (wait_status == 0 && bytes > 0 && bytes < LINE_BYTES_MAX) {
		char *line = calloc((size_t)bytes + 1, 1);
		if (!line)
			abort();
		if (pread(worker->file, line, (size_t)bytes, 0) == bytes) {
			line[strcspn(line, "\n")] = 0;
			status = campaign_entry_parse(entry, line, &why);
		}
		free(line);
	}
	if (status == STATUS_OK)
		return;
	struct generated generated;
	generator_at(campaign->generator, worker->index, &generated);
	*entry = (struct campaign_entry){ .index = worker->index, .end = CAMPAIGN_WRONG };
	snprintf(entry->name, sizeof(entry->name), "%s", generated.name);
	if (WIFSIGNALED(wait_status))
		why_set(&why, STATUS_IO, "its process was ended by signal %d",
			WTERMSIG(wait_status));
	trace_set_text(&entry->reason, why.text);
}

/* "x.qio:8: line 7" and "y.qio:9: line 8" are one reason. */
static void reason_text(char text[CAMPAIGN_REASON_BYTES], const struct campaign_entry *entry)
{
	const char *from = entry->reason;
	const char *name = strstr(from, entry->name);
	const char *colon = name ? strstr(name, ": ") : NULL;
	size_t used = 0;
	for (from = colon ? colon + 2 : from; *from && used < CAMPAIGN_REASON_BYTES - 1; from++) {
		bool is_digit = isdigit((unsigned char)*from);
		if (is_digit && used && text[used - 1] == '#')
			continue;
		text[used++] = is_digit ? '#' : *from;
	}
	text[used] = 0;
}

static void count_reason(struct campaign_counts *counts, const struct campaign_entry *entry)
{
	char text[CAMPAIGN_REASON_BYTES];
	reason_text(text, entry);
	for (size_t i = 0; i < counts->reason_count; i++) {
		if (strcmp(counts->reasons[i].text, text) != 0)
			continue;
		counts->reasons[i].workloads++;
		return;
	}
	if (counts->reason_count == CAMPAIGN_REASONS_MAX) {
		counts->other_reasons++;
		return;
	}
	struct campaign_reason *reason = &counts->reasons[counts->reason_count++];
	snprintf(reason->text, sizeof(reason->text), "%s", text);
	reason->workloads = 1;
}

/* Remove a trace that is no longer the first of its row. Its workload stays if another trace of it
 * does; what is left over is removed at the end. */
static void drop_trace(void *context, const char *trace)
{
	const struct campaign *campaign = context;
	char path[OUTPUT_PATH_BYTES];
	path_of(campaign, trace, path);
	(void)unlink(path);
}

/* Enter what is done, from the journal or a child. */
static void enter(struct campaign *campaign, const struct campaign_entry *entry, bool is_new)
{
	struct campaign_counts *counts = &campaign->counts;
	struct generated generated;
	generator_at(campaign->generator, entry->index, &generated);
	campaign->is_done[entry->index / 8] |= (uint8_t)(1U << entry->index % 8);
	counts->ends[entry->end]++;
	counts->runs += entry->runs;
	counts->states += entry->states;
	counts->with_findings += entry->finding_count != 0;
	if (entry->reason[0])
		count_reason(counts, entry);
	campaign_table_enter(&campaign->table, &generated, entry, is_new ? drop_trace : NULL,
			     campaign);
}

static bool is_done(const struct campaign *campaign, uint64_t index)
{
	return campaign->is_done[index / 8] & 1U << index % 8;
}

static void take_over(void *context, const struct campaign_entry *entry)
{
	struct campaign *campaign = context;
	struct generated generated;
	if (campaign->status != STATUS_OK)
		return;
	if (entry->index < campaign->end)
		generator_at(campaign->generator, entry->index, &generated);
	if (entry->index >= campaign->end || strcmp(generated.name, entry->name) != 0 ||
	    is_done(campaign, entry->index)) {
		campaign->status = why_set(&campaign->why, STATUS_CORRUPT,
					   "the journal has workload %" PRIu64
					   " '%s', which is not of this campaign, or there twice",
					   entry->index, entry->name);
		return;
	}
	enter(campaign, entry, false);
	campaign->resumed++;
}

static bool move_file(const char *folder, const struct campaign *campaign, const char *name)
{
	char from[OUTPUT_PATH_BYTES], to[OUTPUT_PATH_BYTES];
	snprintf(from, sizeof(from), "%.3700s/%.300s", folder, name);
	path_of(campaign, name, to);
	return rename(from, to) == 0;
}

/* Move the traces that are wanted out of the child's folder; the others lose their name. */
static void keep_traces(struct campaign *campaign, const struct worker *worker,
			struct campaign_entry *entry)
{
	struct generated generated;
	char folder[OUTPUT_PATH_BYTES], workload[NAME_MAX_BYTES];
	bool keeps = false;
	generator_at(campaign->generator, entry->index, &generated);
	work_folder(campaign, worker->pid, folder);
	for (size_t i = 0; i < entry->finding_count; i++) {
		struct campaign_finding *finding = &entry->findings[i];
		bool wanted =
			finding->trace[0] &&
			campaign_table_wants(&campaign->table, &generated, entry->index, finding);
		if (wanted && move_file(folder, campaign, finding->trace))
			keeps = true;
		else
			trace_set_text(&finding->trace, "");
	}
	workload_file(entry->name, workload);
	if (keeps)
		(void)move_file(folder, campaign, workload);
	remove_folder(folder);
}

/* Wait for a child, and enter what it left. */
static void collect(struct crew *crew)
{
	struct campaign *campaign = crew->campaign;
	int wait_status = 0;
	pid_t pid = waitpid(-1, &wait_status, 0);
	if (pid <= 0)
		return;
	for (uint32_t i = 0; i < OPTIONS_JOBS_MAX; i++) {
		struct worker *worker = &crew->workers[i];
		struct campaign_entry entry;
		if (worker->pid != pid)
			continue;
		read_entry(campaign, worker, wait_status, &entry);
		keep_traces(campaign, worker, &entry);
		if (campaign->status == STATUS_OK)
			campaign->status =
				campaign_journal_add(&campaign->journal, &entry, &campaign->why);
		if (campaign->status == STATUS_OK)
			enter(campaign, &entry, true);
		campaign_entry_release(&entry);
		close(worker->file);
		*worker = (struct worker){ 0 };
		crew->running--;
		return;
	}
}

/* The next workload to be swept; false: there is none. */
static bool next_workload(struct campaign *campaign, uint64_t *index)
{
	for (; campaign->next < campaign->end; campaign->next += campaign->shard.parts) {
		struct generated generated;
		if (is_done(campaign, campaign->next))
			continue;
		generator_at(campaign->generator, campaign->next, &generated);
		if (generated.impossible)
			continue;
		*index = campaign->next;
		campaign->next += campaign->shard.parts;
		return true;
	}
	return false;
}

uint64_t campaign_done(const struct campaign *campaign)
{
	uint64_t done = 0;
	for (int i = 0; i < CAMPAIGN_END_COUNT; i++)
		done += campaign->counts.ends[i];
	return done;
}

/* Has this call done what it may? */
static bool is_spent(const struct crew *crew)
{
	const struct campaign *campaign = crew->campaign;
	const struct budget *budget = &campaign->options->budget;
	return *crew->stop || campaign->status != STATUS_OK ||
	       (budget->seconds > 0 && seconds_now() - crew->begun >= budget->seconds) ||
	       (budget->runs && campaign->counts.runs - crew->runs_before >= budget->runs);
}

/* A subject that refuses everything is the wrong subject. */
static void check_subject(struct campaign *campaign)
{
	const struct campaign_counts *counts = &campaign->counts;
	uint64_t refused = counts->ends[CAMPAIGN_REFUSED] + counts->ends[CAMPAIGN_WRONG];
	if (campaign->status == STATUS_OK && refused >= REFUSED_AT_FIRST &&
	    refused == campaign_done(campaign))
		campaign->status = why_set(&campaign->why, STATUS_BAD_INPUT,
					   "the first %" PRIu64 " workloads were refused: %s",
					   refused, counts->reasons[0].text);
}

static void show_progress(struct crew *crew)
{
	const struct campaign *campaign = crew->campaign;
	const struct budget *budget = &campaign->options->budget;
	double now = seconds_now() - crew->begun;
	if (!crew->shows_progress || now * 1000 < crew->told_seconds * 1000 + PROGRESS_MILLISECONDS)
		return;
	crew->told_seconds = now;
	uint64_t done = campaign_done(campaign);
	uint64_t wanted = campaign->counts.planned - campaign->counts.impossible;
	double rate = (double)(done - crew->done_before) / now;
	double left = rate > 0 ? (double)(wanted - done) / rate : 0;
	bool budget_ends = budget->seconds > 0 && budget->seconds - now < left;
	if (budget_ends)
		left = budget->seconds > now ? budget->seconds - now : 0;
	fprintf(stderr,
		"\r\033[K%" PRIu64 " of %" PRIu64 " workloads  %.1f/s  %.0f runs/s  %" PRIu64
		" with findings  about %.0f min to the %s",
		done, wanted, rate, (double)(campaign->counts.runs - crew->runs_before) / now,
		campaign->counts.with_findings, left / 60, budget_ends ? "budget's end" : "end");
	fflush(stderr);
}

/* Is a trace kept that belongs to the workload of `row`? */
static bool has_kept_trace(const struct campaign *campaign, const struct campaign_row *row)
{
	for (size_t i = 0; i < campaign->table.count; i++) {
		const struct campaign_row *other = &campaign->table.rows[i];
		if (!other->is_explained && other->finding.trace[0] &&
		    strcmp(other->name, row->name) == 0)
			return true;
	}
	return false;
}

/* Remove the traces of rows that others explain, and those for which there is no room, the last
 * ones in the table first; and workloads of which no trace is left. */
static void remove_needless(struct campaign *campaign)
{
	struct trace_bound bound = campaign->options->traces;
	for (size_t i = 0; i < campaign->table.count; i++) {
		struct campaign_row *row = &campaign->table.rows[i];
		char path[OUTPUT_PATH_BYTES];
		if (row->is_explained || !row->finding.trace[0])
			continue;
		path_of(campaign, row->finding.trace, path);
		if (trace_bound_keeps(&bound, path))
			continue;
		trace_set_text(&row->finding.trace, "");
		campaign->traces_left_out++;
	}
	for (size_t i = 0; i < campaign->table.count; i++) {
		struct campaign_row *row = &campaign->table.rows[i];
		char name[NAME_MAX_BYTES], path[OUTPUT_PATH_BYTES];
		if (row->is_explained && row->finding.trace[0])
			drop_trace(campaign, row->finding.trace);
		else if (row->finding.trace[0])
			continue;
		workload_file(row->name, name);
		path_of(campaign, name, path);
		if (!has_kept_trace(campaign, row))
			(void)unlink(path);
	}
}

enum status campaign_run(struct campaign *campaign, struct why *why)
{
	const struct options *options = campaign->options;
	struct crew *crew = calloc(1, sizeof(*crew));
	uint64_t index = 0;
	if (!crew)
		abort();
	crew->campaign = campaign;
	crew->at_a_time = options->jobs ? options->jobs : 1;
	crew->stop = interrupt_catch();
	crew->done_before = campaign_done(campaign);
	crew->runs_before = campaign->counts.runs;
	crew->shows_progress = output_shows_progress(options->quiet);
	crew->begun = seconds_now();
	/* Whoever started us may have ignored it, and then there would be nothing to wait for. */
	signal(SIGCHLD, SIG_DFL);
	for (bool has_more = true; has_more || crew->running;) {
		has_more = has_more && !is_spent(crew);
		while (has_more && crew->running < crew->at_a_time)
			has_more = next_workload(campaign, &index) && start(crew, index);
		if (crew->running)
			collect(crew);
		check_subject(campaign);
		show_progress(crew);
	}
	if (crew->shows_progress)
		fputs("\r\033[K", stderr);
	campaign->elapsed_seconds = seconds_now() - crew->begun;
	free(crew);
	remove_work(campaign);
	campaign_table_sort(&campaign->table);
	if (campaign->status == STATUS_OK)
		remove_needless(campaign);
	else
		*why = campaign->why;
	return campaign->status;
}

/* Leave out what no run on the subject could have; returns how many workloads that are. */
static uint64_t restrict_alphabet(struct campaign *campaign)
{
	struct generate_alphabet *alphabet = &campaign->alphabet;
	const char *server = campaign->options->server;
	const char *subject = server ? server : campaign->options->subject;
	struct generator *all = generator_new(alphabet);
	uint64_t count = generator_count(all);
	generator_free(all);
	if (!subject || server) /* NBD has no word for it */
		alphabet->kinds &= ~(1U << GENERATE_COMPRESSED);
	if (!subject)
		alphabet->states &= ~(1U << GENERATE_ALONE | 1U << GENERATE_SHARING);
	if (!subject || !strstr(subject, "{cache}"))
		alphabet->caches &= 1;
	if (!alphabet->kinds || !alphabet->states || !alphabet->caches)
		return count;
	all = generator_new(alphabet);
	count -= generator_count(all);
	generator_free(all);
	return count;
}

/* All that the findings depend on, in one line. Gives. */
static char *settings_line(const struct campaign *campaign)
{
	const struct options *options = campaign->options;
	char *alphabet = alphabet_text(&campaign->alphabet);
	char *text = NULL;
	size_t bytes = 0;
	FILE *file = open_memstream(&text, &bytes);
	if (!file)
		abort();
	fprintf(file,
		"cowtip %s %s shard=%" PRIu64 "/%" PRIu64 " limit=%" PRIu64 " each=%" PRIu64
		" program=%s nbd=%s strategy=%s policy=%s points=%s crash=%s sector=%" PRIu32
		" lax=%s faults=%" PRIu32 " fault-points=%s fault-kinds=%s bugs=",
		COWTIP_VERSION, alphabet, campaign->shard.part + 1, campaign->shard.parts,
		options->limit, campaign_each(options), options->subject ? options->subject : "",
		options->server ? options->server : "", options->strategy ? options->strategy : "",
		options->policy ? options->policy : "", options->points ? options->points : "",
		options->crash ? options->crash : "", options->sector_bytes,
		options->lax ? "yes" : "no", options->faults,
		options->fault_points ? options->fault_points : "",
		options->fault_kinds ? options->fault_kinds : "");
	for (size_t i = 0; i < options->bug_count; i++)
		fprintf(file, "%s%s", i ? "," : "", options->bugs[i]);
	if (fclose(file) != 0)
		abort();
	free(alphabet);
	return text;
}

static void count_planned(struct campaign *campaign)
{
	for (uint64_t i = campaign->shard.part; i < campaign->end; i += campaign->shard.parts) {
		struct generated generated;
		generator_at(campaign->generator, i, &generated);
		campaign->counts.planned++;
		campaign->counts.impossible += generated.impossible != NULL;
	}
}

/* Make the folder, open the journal in it. */
static enum status open_journal(struct campaign *campaign, struct why *why)
{
	char path[OUTPUT_PATH_BYTES];
	char *settings = settings_line(campaign);
	const struct campaign_reader reader = { path, settings, take_over, campaign };
	enum status status = output_make_folder(options_folder(campaign->options), why);
	path_of(campaign, "journal", path);
	if (status == STATUS_OK)
		status = campaign_journal_open(&campaign->journal, &reader, why);
	free(settings);
	if (status == STATUS_OK && campaign->status != STATUS_OK) {
		*why = campaign->why;
		status = campaign->status;
	}
	return status;
}

enum status campaign_open(struct campaign *campaign, const struct options *options, struct why *why)
{
	*campaign = (struct campaign){ .options = options, .journal = { .file = -1 } };
	enum status status = alphabet_take(&campaign->alphabet, &campaign->shard, options, why);
	if (status != STATUS_OK)
		return status;
	campaign->counts.left_out = restrict_alphabet(campaign);
	const struct generate_alphabet *alphabet = &campaign->alphabet;
	if (!alphabet->kinds || !alphabet->states || !alphabet->caches)
		return why_set(why, STATUS_USAGE,
			       "nothing of --kinds, --states or --caches is left: the subject can "
			       "have none of it");
	campaign->generator = generator_new(alphabet);
	campaign->end = generator_count(campaign->generator);
	if (options->limit && options->limit < campaign->end)
		campaign->end = options->limit;
	campaign->next = campaign->shard.part;
	campaign->is_done = calloc(campaign->end / 8 + 1, 1);
	if (!campaign->is_done)
		abort();
	count_planned(campaign);
	status = open_journal(campaign, why);
	if (status == STATUS_OK)
		remove_work(campaign);
	return status;
}

void campaign_release(struct campaign *campaign)
{
	campaign_journal_close(&campaign->journal);
	campaign_table_release(&campaign->table);
	generator_free(campaign->generator);
	free(campaign->is_done);
	*campaign = (struct campaign){ .journal = { .file = -1 } };
}
