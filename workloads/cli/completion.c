// SPDX-License-Identifier: MIT
/* Completions. Names that the program knows are asked of the program when they are wanted, so a
 * script does not grow old. */
#include "workloads/cli/manual.h"

#include <string.h>

/* What completes the argument of an option: a list of words, or a command that prints them. */
static const struct {
	const char *option;
	const char *words;   /* NULL: files */
	const char *listing; /* `cowtip list` of this; NULL: `words` */
} values[] = {
	{ "policy", "eager delayed cancel", NULL },
	{ "points", "io all", NULL },
	{ "crash", "prefix torn prefix,torn prefix,torn,reorder", NULL },
	{ "sector", "512 4096", NULL },
	{ "dialect", "kernel qemu auto", NULL },
	{ "to", "trace dm-log-writes", NULL },
	{ "recovery", "0 1 2", NULL },
	{ "fault-kinds", "eio enospc eintr short fsync open memory", NULL },
	{ "bug", NULL, "bugs" },
	{ "strategy", NULL, "strategies" },
	{ "fault-points", NULL, "faults" },
};

static const struct {
	const char *command;
	const char *words;
	const char *listing;
} arguments[] = {
	{ "sweep", NULL, "workloads" },
	{ "run", NULL, "workloads" },
	{ "list", "rules bugs strategies workloads faults events", NULL },
	{ "bench", NULL, "workloads" },
	{ "completion", "bash zsh", NULL },
};

/* The names of a listing: the first word of its lines that do not begin with a space. */
static void put_listing(FILE *file, const char *listing)
{
	fprintf(file, "$(cowtip list %s 2>/dev/null | awk '/^[^ ]/ { print $1 }')", listing);
}

static void put_words(FILE *file, const char *words, const char *listing)
{
	if (listing)
		put_listing(file, listing);
	else
		fputs(words, file);
}

/* A branch of a case: when it is `pattern`, these are the words. */
static void put_case(FILE *file, const char *pattern, const char *words, const char *listing)
{
	fprintf(file, "\t\t\t%s) words=\"", pattern);
	put_words(file, words, listing);
	fputs("\" ;;\n", file);
}

static void put_commands(FILE *file, const struct manual *manual)
{
	for (size_t i = 0; i < manual->command_count; i++)
		if (manual->commands[i].run)
			fprintf(file, "%s ", manual->commands[i].name);
}

static void put_options(FILE *file, enum command_bit command)
{
	struct option_about about;
	for (size_t i = 0; option_about(i, &about); i++)
		if (about.commands & (unsigned)command)
			fprintf(file, "--%s ", about.name);
}

static void write_bash(FILE *file, const struct manual *manual)
{
	fputs("# cowtip, for bash. Made by cowtip completion.\n"
	      "_cowtip() {\n"
	      "\tlocal current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} "
	      "words=\n"
	      "\tcompopt -o default\n"
	      "\tif ((COMP_CWORD == 1)); then\n\t\twords=\"",
	      file);
	put_commands(file, manual);
	fputs("--help --version\"\n\telse\n\t\tcase $previous in\n", file);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		char pattern[40];
		snprintf(pattern, sizeof(pattern), "--%.30s", values[i].option);
		put_case(file, pattern, values[i].words, values[i].listing);
	}
	fputs("\t\tesac\n\t\tif [[ -z $words && $current == -* ]]; then\n\t\t\tcase "
	      "${COMP_WORDS[1]} "
	      "in\n",
	      file);
	for (size_t i = 0; i < manual->command_count; i++) {
		if (!manual->commands[i].run)
			continue;
		fprintf(file, "\t\t\t%s) words=\"", manual->commands[i].name);
		put_options(file, manual->commands[i].bit);
		fputs("\" ;;\n", file);
	}
	fputs("\t\t\tesac\n\t\telif [[ -z $words ]]; then\n\t\t\tcase ${COMP_WORDS[1]} in\n", file);
	for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++)
		put_case(file, arguments[i].command, arguments[i].words, arguments[i].listing);
	fputs("\t\t\tesac\n\t\tfi\n\tfi\n"
	      "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
	      "}\ncomplete -F _cowtip cowtip\n",
	      file);
}

/* Text between single quotes of a zsh specification: brackets and colons would end it. */
static void put_zsh(FILE *file, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", file);
		else if (strchr("[]:\\", *text))
			fprintf(file, "\\%c", *text);
		else
			fputc(*text, file);
	}
}

static void write_zsh_option(FILE *file, const struct option_about *about)
{
	fprintf(file, "\t\t\t'*--%s[", about->name);
	put_zsh(file, about->help);
	fputc(']', file);
	if (about->argument) {
		const char *words = NULL, *listing = NULL;
		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
			if (strcmp(values[i].option, about->name) == 0) {
				words = values[i].words;
				listing = values[i].listing;
			}
		fputc(':', file);
		put_zsh(file, about->argument);
		fputc(':', file);
		if (listing)
			fprintf(file, "_cowtip_%s", listing);
		else if (words)
			fprintf(file, "(%s)", words);
		else
			fputs("_files", file);
	}
	fputs("' \\\n", file);
}

static void write_zsh(FILE *file, const struct manual *manual)
{
	static const char *const listings[] = { "bugs", "strategies", "faults", "workloads" };
	struct option_about about;
	fputs("#compdef cowtip\n# cowtip, for zsh. Made by cowtip completion.\n", file);
	for (size_t i = 0; i < sizeof(listings) / sizeof(listings[0]); i++) {
		fprintf(file, "_cowtip_%s() { compadd -- ", listings[i]);
		put_listing(file, listings[i]);
		fputs("; _files }\n", file);
	}
	fputs("_cowtip() {\n\tif ((CURRENT == 2)); then\n\t\tcompadd -- ", file);
	put_commands(file, manual);
	fputs("--help --version\n\t\treturn\n\tfi\n\tlocal command=$words[2]\n\tshift words\n"
	      "\t((CURRENT--))\n\tcase $command in\n",
	      file);
	for (size_t i = 0; i < manual->command_count; i++) {
		const struct command *command = &manual->commands[i];
		const char *rest = "_files";
		if (!command->run)
			continue;
		fprintf(file, "\t%s)\n\t\t_arguments \\\n", command->name);
		for (size_t k = 0; option_about(k, &about); k++)
			if (about.commands & (unsigned)command->bit)
				write_zsh_option(file, &about);
		for (size_t k = 0; k < sizeof(arguments) / sizeof(arguments[0]); k++)
			if (strcmp(arguments[k].command, command->name) == 0)
				rest = arguments[k].listing ? "_cowtip_workloads" : NULL;
		if (rest)
			fprintf(file, "\t\t\t'*:argument:%s'", rest);
		for (size_t k = 0; !rest && k < sizeof(arguments) / sizeof(arguments[0]); k++)
			if (strcmp(arguments[k].command, command->name) == 0)
				fprintf(file, "\t\t\t'*:argument:(%s)'", arguments[k].words);
		fputs(" ;;\n", file);
	}
	fputs("\tesac\n}\n_cowtip \"$@\"\n", file);
}

bool completion_write(FILE *file, const struct manual *manual, const char *shell)
{
	if (strcmp(shell, "bash") == 0)
		write_bash(file, manual);
	else if (strcmp(shell, "zsh") == 0)
		write_zsh(file, manual);
	else
		return false;
	return true;
}
