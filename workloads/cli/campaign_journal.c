// SPDX-License-Identifier: MIT
/* Lines of text, tabs between fields, the last field a checksum of all before it:
 *
 *      cowtip-campaign 1 <tab> settings <tab> checksum
 *      done <tab> index <tab> name <tab> end <tab> runs <tab> states <tab> reason <tab> findings
 *              { <tab> rule ... trace } <tab> checksum
 *
 * A line is appended in one write when its workload is done and its traces are in place. Whoever is
 * killed leaves whole lines and at most one without a newline, which is cut off: that workload is
 * done again. A whole line with a wrong checksum was damaged by somebody else, and nothing can be
 * said of what was found: it is refused. Lines come in the order in which workloads end, which with
 * several processes is none in particular; nothing depends on it. */
#include "workloads/cli/campaign_journal.h"

#include "injector/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD "cowtip-campaign 1"
#define DONE "done"

enum { CHECKSUM_DIGITS = 16, FINDINGS_MAX = 4096, NUMBER_DIGITS_MAX = 20 };
#define FILE_BYTES_MAX ((off_t)1 << 31)

static const char *const end_names[CAMPAIGN_END_COUNT] = {
	[CAMPAIGN_EXHAUSTED] = "exhausted",
	[CAMPAIGN_BOUNDED] = "bounded",
	[CAMPAIGN_REFUSED] = "refused",
	[CAMPAIGN_WRONG] = "wrong",
};

const char *campaign_end_name(enum campaign_end end)
{
	return end_names[end];
}

/* ---- entries ---- */

enum { FINDING_TEXTS = 7 };

/* The texts of a finding, in the order of the line. */
static void finding_texts(struct campaign_finding *finding, char **texts[FINDING_TEXTS])
{
	texts[0] = &finding->rule;
	texts[1] = &finding->severity;
	texts[2] = &finding->model;
	texts[3] = &finding->step;
	texts[4] = &finding->schedule;
	texts[5] = &finding->message;
	texts[6] = &finding->trace;
}

static char *copy_of(const char *text)
{
	char *copy = strdup(text ? text : "");
	if (!copy)
		abort();
	return copy;
}

struct campaign_finding *campaign_entry_add(struct campaign_entry *entry,
					    const struct campaign_finding *finding)
{
	struct campaign_finding *findings =
		realloc(entry->findings, (entry->finding_count + 1) * sizeof(*entry->findings));
	if (!findings)
		abort();
	entry->findings = findings;
	struct campaign_finding from = *finding;
	struct campaign_finding *to = &findings[entry->finding_count++];
	char **given[FINDING_TEXTS], **owned[FINDING_TEXTS];
	finding_texts(&from, given);
	finding_texts(to, owned);
	for (size_t i = 0; i < FINDING_TEXTS; i++)
		*owned[i] = copy_of(*given[i]);
	return to;
}

void campaign_entry_release(struct campaign_entry *entry)
{
	char **texts[FINDING_TEXTS];
	for (size_t i = 0; i < entry->finding_count; i++) {
		finding_texts(&entry->findings[i], texts);
		for (size_t k = 0; k < FINDING_TEXTS; k++)
			free(*texts[k]);
	}
	free(entry->findings);
	free(entry->reason);
	*entry = (struct campaign_entry){ 0 };
}

/* ---- lines ---- */

static uint64_t checksum_of(const char *text, size_t bytes)
{
	struct iovec piece = { .iov_len = bytes };
	memcpy(&piece.iov_base, &text, sizeof(text));
	return bytes ? digest_vector(&piece, bytes) : 0;
}

/* A field: nothing in it may look like the end of one. */
static void print_field(FILE *file, const char *text)
{
	fputc('\t', file);
	for (; *text; text++)
		fputc((unsigned char)*text < ' ' ? ' ' : *text, file);
}

static char *finish_line(FILE *file, char **text, size_t *bytes)
{
	fflush(file);
	uint64_t checksum = checksum_of(*text, *bytes);
	fprintf(file, "\t%016" PRIx64 "\n", checksum);
	if (fclose(file) != 0)
		abort();
	return *text;
}

char *campaign_entry_line(const struct campaign_entry *entry)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *file = open_memstream(&text, &bytes);
	if (!file)
		abort();
	fprintf(file, DONE "\t%" PRIu64 "\t%s\t%s\t%" PRIu64 "\t%" PRIu64, entry->index,
		entry->name, end_names[entry->end], entry->runs, entry->states);
	print_field(file, entry->reason ? entry->reason : "");
	fprintf(file, "\t%zu", entry->finding_count);
	for (size_t i = 0; i < entry->finding_count; i++) {
		char **texts[FINDING_TEXTS];
		finding_texts(&entry->findings[i], texts);
		for (size_t k = 0; k < FINDING_TEXTS; k++)
			print_field(file, *texts[k]);
	}
	return finish_line(file, &text, &bytes);
}

static char *header_line(const char *settings)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *file = open_memstream(&text, &bytes);
	if (!file)
		abort();
	fputs(HEAD, file);
	print_field(file, settings);
	return finish_line(file, &text, &bytes);
}

/* Does the line end in its checksum? Cuts it off. */
static bool take_checksum(char *line)
{
	char *last = strrchr(line, '\t');
	char wanted[CHECKSUM_DIGITS + 1];
	if (!last)
		return false;
	snprintf(wanted, sizeof(wanted), "%016" PRIx64, checksum_of(line, (size_t)(last - line)));
	*last = 0;
	return strcmp(last + 1, wanted) == 0;
}

static bool take_number(char **rest, uint64_t most, uint64_t *number)
{
	const char *field = strsep(rest, "\t");
	char *end = NULL;
	if (!field || *field < '0' || *field > '9' || strlen(field) > NUMBER_DIGITS_MAX)
		return false;
	errno = 0;
	*number = strtoull(field, &end, 10);
	return !errno && !*end && *number <= most;
}

static bool take_end(char **rest, enum campaign_end *end)
{
	const char *field = strsep(rest, "\t");
	for (int i = 0; field && i < CAMPAIGN_END_COUNT; i++) {
		if (strcmp(field, end_names[i]) != 0)
			continue;
		*end = (enum campaign_end)i;
		return true;
	}
	return false;
}

static bool take_finding(char **rest, struct campaign_entry *entry)
{
	struct campaign_finding finding = { 0 };
	char **texts[FINDING_TEXTS];
	finding_texts(&finding, texts);
	for (size_t i = 0; i < FINDING_TEXTS; i++)
		if (!(*texts[i] = strsep(rest, "\t")))
			return false;
	campaign_entry_add(entry, &finding);
	return true;
}

static bool take_entry(struct campaign_entry *entry, char *rest)
{
	uint64_t count = 0;
	const char *head = strsep(&rest, "\t");
	if (!head || strcmp(head, DONE) != 0 || !take_number(&rest, UINT64_MAX, &entry->index))
		return false;
	const char *name = strsep(&rest, "\t");
	if (!name || strlen(name) >= sizeof(entry->name))
		return false;
	snprintf(entry->name, sizeof(entry->name), "%s", name);
	if (!take_end(&rest, &entry->end) || !take_number(&rest, UINT64_MAX, &entry->runs) ||
	    !take_number(&rest, UINT64_MAX, &entry->states))
		return false;
	const char *reason = strsep(&rest, "\t");
	if (!reason || !take_number(&rest, FINDINGS_MAX, &count))
		return false;
	entry->reason = copy_of(reason);
	for (uint64_t i = 0; i < count; i++)
		if (!take_finding(&rest, entry))
			return false;
	return !rest;
}

enum status campaign_entry_parse(struct campaign_entry *entry, const char *line, struct why *why)
{
	char *copy = copy_of(line);
	*entry = (struct campaign_entry){ 0 };
	bool is_whole = take_checksum(copy);
	bool is_good = is_whole && take_entry(entry, copy);
	free(copy);
	if (is_good)
		return STATUS_OK;
	campaign_entry_release(entry);
	return why_set(why, STATUS_CORRUPT,
		       is_whole ? "no workload that is done" : "its checksum is wrong");
}

/* ---- the file ---- */

static enum status read_all(int file, const char *path, char **text, size_t *bytes, struct why *why)
{
	struct stat about;
	if (fstat(file, &about) != 0 || about.st_size > FILE_BYTES_MAX)
		return why_set(why, STATUS_IO, "cannot read '%.300s', or it is too large", path);
	*bytes = (size_t)about.st_size;
	*text = malloc(*bytes + 1);
	if (!*text)
		abort();
	(*text)[*bytes] = 0;
	if (pread(file, *text, *bytes, 0) == (ssize_t)*bytes)
		return STATUS_OK;
	free(*text);
	*text = NULL;
	return why_set(why, STATUS_IO, "cannot read '%.300s': %s", path, strerror(errno));
}

static enum status check_header(char *line, const struct campaign_reader *reader, struct why *why)
{
	const char *path = reader->path;
	if (strncmp(line, HEAD "\t", strlen(HEAD) + 1) != 0)
		return why_set(why, STATUS_FOREIGN, "'%.300s': line 1: no journal of a campaign",
			       path);
	if (!take_checksum(line))
		return why_set(why, STATUS_CORRUPT,
			       "'%.300s': line 1: damaged: its checksum is wrong", path);
	if (strcmp(line + strlen(HEAD) + 1, reader->settings) != 0)
		return why_set(why, STATUS_BAD_INPUT, "'%.150s' is of another campaign: '%.300s'",
			       path, line + strlen(HEAD) + 1);
	return STATUS_OK;
}

/* Go through the whole lines of `text`; `*good` is what they take. */
static enum status read_lines(const struct campaign_reader *reader, char *text, size_t bytes,
			      size_t *good, struct why *why)
{
	const char *path = reader->path;
	uint64_t number = 1;
	char *end = NULL;
	for (char *line = text; (end = memchr(line, '\n', bytes - (size_t)(line - text)));
	     line = end + 1, number++) {
		struct campaign_entry entry;
		struct why inner = { "" };
		*end = 0;
		*good = (size_t)(end + 1 - text);
		if (number == 1) {
			enum status status = check_header(line, reader, why);
			if (status != STATUS_OK)
				return status;
			continue;
		}
		/* A zero byte ends the string before the line: the checksum is wrong then. */
		if (campaign_entry_parse(&entry, line, &inner) != STATUS_OK)
			return why_set(why, STATUS_CORRUPT,
				       "'%.300s': line %" PRIu64 ": damaged: %s", path, number,
				       inner.text);
		reader->take(reader->context, &entry);
		campaign_entry_release(&entry);
	}
	return STATUS_OK;
}

static enum status append(int file, const char *line, struct why *why)
{
	size_t bytes = strlen(line);
	ssize_t written = write(file, line, bytes);
	if (written == (ssize_t)bytes)
		return STATUS_OK;
	return why_set(why, STATUS_IO, "cannot write the journal: %s",
		       written < 0 ? strerror(errno) : "no room");
}

enum status campaign_journal_open(struct campaign_journal *journal,
				  const struct campaign_reader *reader, struct why *why)
{
	const char *path = reader->path;
	char *text = NULL;
	size_t bytes = 0, good = 0;
	journal->file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (journal->file < 0)
		return why_set(why, STATUS_IO, "cannot open '%.300s': %s", path, strerror(errno));
	enum status status = STATUS_OK;
	if (flock(journal->file, LOCK_EX | LOCK_NB) != 0)
		status = why_set(why, STATUS_BAD_INPUT, "'%.300s' is in use by another campaign",
				 path);
	if (status == STATUS_OK)
		status = read_all(journal->file, path, &text, &bytes, why);
	if (status == STATUS_OK)
		status = read_lines(reader, text, bytes, &good, why);
	if (status == STATUS_OK && good < bytes && ftruncate(journal->file, (off_t)good) != 0)
		status =
			why_set(why, STATUS_IO, "cannot write '%.300s': %s", path, strerror(errno));
	if (status == STATUS_OK && !good) {
		char *header = header_line(reader->settings);
		status = append(journal->file, header, why);
		free(header);
	}
	free(text);
	if (status != STATUS_OK)
		campaign_journal_close(journal);
	return status;
}

enum status campaign_journal_add(struct campaign_journal *journal,
				 const struct campaign_entry *entry, struct why *why)
{
	char *line = campaign_entry_line(entry);
	enum status status = append(journal->file, line, why);
	free(line);
	return status;
}

void campaign_journal_close(struct campaign_journal *journal)
{
	if (journal->file >= 0)
		close(journal->file);
	journal->file = -1;
}
