// SPDX-License-Identifier: MIT
/* A text in `manual/` is plain: paragraphs, lines in capitals that are headings, lines indented by
 * four spaces that are shown as they are. Names, arguments and options come from the tables, so
 * that a page cannot say what the program does not do. */
#include "workloads/cli/manual.h"

#include <ctype.h>
#include <string.h>

/* Roff takes a dot or an apostrophe at the beginning of a line for a request, and turns a plain
 * minus into a hyphen, which cannot be searched for or copied. */
static void put_roff(FILE *file, const char *text, size_t bytes)
{
	if (bytes && (*text == '.' || *text == '\''))
		fputs("\\&", file);
	for (size_t i = 0; i < bytes; i++)
		if (text[i] == '\\')
			fputs("\\e", file);
		else if (text[i] == '-')
			fputs("\\-", file);
		else
			fputc(text[i], file);
}

static void put_line(FILE *file, const char *text)
{
	put_roff(file, text, strlen(text));
	fputc('\n', file);
}

static bool is_heading(const char *line, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (!isupper((unsigned char)line[i]) && line[i] != ' ')
			return false;
	return bytes > 0;
}

static void write_text(FILE *file, const char *text)
{
	bool is_verbatim = false;
	while (*text) {
		size_t bytes = strcspn(text, "\n");
		bool wants_verbatim = strncmp(text, "    ", 4) == 0;
		if (wants_verbatim != is_verbatim)
			fputs(wants_verbatim ? ".PP\n.nf\n.RS 4\n" : ".RE\n.fi\n", file);
		is_verbatim = wants_verbatim;
		if (is_verbatim) {
			put_roff(file, text + 4, bytes - 4);
			fputc('\n', file);
		} else if (is_heading(text, bytes)) {
			fprintf(file, ".SH %.*s\n", (int)bytes, text);
		} else if (!bytes) {
			fputs(".PP\n", file);
		} else {
			put_roff(file, text, bytes);
			fputc('\n', file);
		}
		text += bytes + (text[bytes] == '\n');
	}
	if (is_verbatim)
		fputs(".RE\n.fi\n", file);
}

static void write_options(FILE *file, enum command_bit command)
{
	struct option_about about;
	if (!command)
		return;
	fputs(".SH OPTIONS\n", file);
	for (size_t i = 0; option_about(i, &about); i++) {
		if (!(about.commands & (unsigned)command))
			continue;
		fputs(".TP\n.B \\-\\-", file);
		put_roff(file, about.name, strlen(about.name));
		if (about.argument)
			fprintf(file, " \\fI%s\\fR", about.argument);
		fputc('\n', file);
		put_line(file, about.help);
	}
}

static void write_end(FILE *file)
{
	fputs(".SH EXIT STATUS\n"
	      ".TP\n.B 0\nnothing wrong\n"
	      ".TP\n.B 1\na rule was violated\n"
	      ".TP\n.B 2\nusage or bad input: one line says what, where and why\n"
	      ".TP\n.B 3\nthe search did not come to its end, and nothing wrong was seen\n"
	      ".TP\n.B 4\na replay left its recording, or a search was not repeatable\n",
	      file);
}

static void write_also(FILE *file, const struct manual *manual, const char *name)
{
	fputs(".SH SEE ALSO\n", file);
	if (name)
		fputs(".BR cowtip (1)", file);
	else
		fputs(".BR qemu\\-img (1),\n.BR fiu\\-run (1)", file);
	for (size_t i = 0; i < manual->command_count; i++) {
		const struct command *command = &manual->commands[i];
		if (!command->run || (name && strcmp(command->name, name) == 0))
			continue;
		fprintf(file, ",\n.BR cowtip\\-%s (1)", command->name);
	}
	fputc('\n', file);
}

static void write_head(FILE *file, const char *name, const char *summary)
{
	char upper[32];
	size_t bytes = 0;
	for (; name[bytes] && bytes + 1 < sizeof(upper); bytes++)
		upper[bytes] = (char)toupper((unsigned char)name[bytes]);
	upper[bytes] = 0;
	fprintf(file, ".\\\" Made by cowtip manual.\n.TH %s 1 \"\" \"cowtip %s\" \"cowtip\"\n",
		upper, COWTIP_VERSION);
	fputs(".SH NAME\n", file);
	put_roff(file, name, strlen(name));
	fputs(" \\- ", file);
	put_line(file, summary);
	fputs(".SH SYNOPSIS\n", file);
}

static void write_main_page(FILE *file, const struct manual *manual)
{
	write_head(file, "cowtip", "crash-consistency fault-injection testbed for qcow2");
	fputs(".B cowtip\n.I COMMAND\n[\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]\n.SH DESCRIPTION\n",
	      file);
	write_text(file, manual_text("cowtip"));
	fputs(".SH COMMANDS\n", file);
	for (size_t i = 0; i < manual->command_count; i++) {
		const struct command *command = &manual->commands[i];
		if (!command->run)
			continue;
		fprintf(file, ".TP\n.B %s\n", command->name);
		put_line(file, command->summary);
	}
	write_end(file);
	write_also(file, manual, NULL);
}

static const struct command *find(const struct manual *manual, const char *name)
{
	for (size_t i = 0; i < manual->command_count; i++)
		if (strcmp(manual->commands[i].name, name) == 0 && manual->commands[i].run)
			return &manual->commands[i];
	return NULL;
}

bool manual_write(FILE *file, const struct manual *manual, const char *name)
{
	if (!name || strcmp(name, "cowtip") == 0) {
		write_main_page(file, manual);
		return true;
	}
	const struct command *command = find(manual, name);
	const char *text = manual_text(name);
	char page[40];
	if (!command || !text)
		return false;
	snprintf(page, sizeof(page), "cowtip-%.30s", name);
	write_head(file, page, command->summary);
	fprintf(file, ".B cowtip %s\n[\\fIOPTION\\fR]...\n", command->name);
	put_line(file, command->arguments);
	fputs(".SH DESCRIPTION\n", file);
	write_text(file, text);
	write_options(file, command->bit);
	write_end(file);
	write_also(file, manual, name);
	return true;
}
