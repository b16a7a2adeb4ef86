// SPDX-License-Identifier: MIT
/* cowtip: every interleaving of a qcow2 engine's requests, and every crash of each of them.
 *
 * A map of the program:
 *
 *   main.c              the commands, help, exit status
 *   options.c           the command line
 *   settings.c          policy, points, faults, ...: from the workload, the command line, a trace
 *   cmd_sweep.c         search, table, sentence       -> jobs.c    several workloads in processes
 *                                                        sweep.c   one of them, by any strategy
 *                                                        search.c  its slices, alone or by
 *                                                        worker.c  several processes
 *                                                        program_search.c  on a foreign program
 *                                                        findings.c   violations once more
 *                                                        certificate.c  what was covered
 *                                                        report.c  what was found, text and JSON
 *                                                        corpus.c  known traces, run before it
 *                                                        corpus_add.c  what it found, behind it
 *                                                        corpus_report.c  what became of them
 *   cmd_run.c           one execution                 -> again.c   a schedule executed once more
 *   cmd_replay.c        a trace executed again        -> replay.c  as recorded, or searched anew
 *   cmd_check.c         a trace or log judged         -> input.c   files of any kind as traces
 *                                                        data_file.c  an image and its data file
 *   cmd_show.c          a trace explained             -> story.c   what happened, in qcow2 words
 *                                                                  (roles.c: what a cluster is;
 *                                                                  story_focus.c: what matters)
 *                                                        picture_*.c  drawn, from
 *                                                        chart.c   who did what when, and
 *                                                        damage.c  the cluster that is wrong
 *                                                        crash_image.c  for other tools
 *   cmd_shrink.c        a trace made small            -> shrink.c  its workload, by shrink_search.c
 *                                                        shrink_schedule.c  its run
 *                                                        bundle.c  all of it in one file
 *   cmd_record.c        a foreign program observed
 *   cmd_convert.c       traces to dm-log-writes logs and back -> import_report.c  reports as
 *                                                                  workloads
 *   cmd_list.c          rules, bugs, workloads, ...
 *   cmd_generate.c      generated workloads          -> alphabet.c  what they are made of
 *   cmd_campaign.c      all of them swept             -> campaign*.c  workers, journal, findings
 *   cmd_bench.c         the figures                   -> bench_*.c  a part of them each
 *   manual.c completion.c                             manual pages, completions of shells
 *   json.c junit.c results.c output.c progress.c interrupt.c  how results are written, and Ctrl-C
 *
 * Below it: workloads/ (language, world, explore), then engine/ and oracle/, which share no code,
 * then injector/ (every decision, every I/O) and traces/ (events, schedules, the file format). */
#include "workloads/cli/commands.h"
#include "workloads/cli/manual.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

#define COWTIP_VERSION_LINE "cowtip " COWTIP_VERSION

static enum exit_code cmd_manual(const struct options *options);
static enum exit_code cmd_completion(const struct options *options);

static const struct command commands[] = {
	{ "sweep", COMMAND_SWEEP, cmd_sweep, 0, 1, "[WORKLOAD]",
	  "interleavings x faults x crash states" },
	{ "run", COMMAND_RUN, cmd_run, 1, 1, "WORKLOAD", "one execution, write its trace" },
	{ "record", COMMAND_RECORD, cmd_record, 0, 0, "-- PROGRAM ...",
	  "run a program, record what it does" },
	{ "check", COMMAND_CHECK, cmd_check, 1, 1, "TRACE|LOG|IMAGE",
	  "judge every crash state; or an image as it is" },
	{ "replay", COMMAND_REPLAY, cmd_replay, 1, 1, "TRACE",
	  "run it again, compare, judge again" },
	{ "show", COMMAND_SHOW, cmd_show, 1, 2, "TRACE [OUT]",
	  "its story, events, pictures; a crash image" },
	{ "shrink", COMMAND_SHRINK, cmd_shrink, 1, 1, "TRACE",
	  "the smallest run that breaks the same rule" },
	{ "convert", COMMAND_CONVERT, cmd_convert, 2, 2, "IN OUT",
	  "between traces and logs; a report to a workload" },
	{ "list", COMMAND_LIST, cmd_list, 1, 1, "WHAT",
	  "rules, bugs, strategies, workloads, faults, events" },
	{ "bench", COMMAND_BENCH, cmd_bench, 0, 1, "[WORKLOAD]", "the figures, on this machine" },
	{ "generate", COMMAND_GENERATE, cmd_generate, 0, 0, "",
	  "bounded-exhaustive workloads, to files" },
	{ "campaign", COMMAND_CAMPAIGN, cmd_campaign, 0, 0, "",
	  "sweep generated workloads; goes on where it was" },
	{ "manual", COMMAND_MANUAL, cmd_manual, 0, 1, "[COMMAND]", "a manual page, for man -l -" },
	{ "completion", COMMAND_COMPLETION, cmd_completion, 1, 1, "bash|zsh",
	  "what completes commands in a shell" },
	{ "worker", 0, NULL, 0, 0, "", NULL },
};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

enum exit_code exit_with(enum status status, const struct why *why)
{
	fprintf(stderr, "cowtip: %s\n", why->text);
	return status == STATUS_DIVERGED ? EXIT_DIVERGED : EXIT_BAD;
}

static const struct manual manual = { commands, COMMAND_COUNT };

static enum exit_code cmd_manual(const struct options *options)
{
	struct why why = { "" };
	const char *name = options->positional[0];
	if (manual_write(stdout, &manual, name))
		return EXIT_CLEAN;
	why_set(&why, STATUS_USAGE, "manual: there is no command '%s'", name);
	return exit_with(STATUS_USAGE, &why);
}

static enum exit_code cmd_completion(const struct options *options)
{
	struct why why = { "" };
	const char *shell = options->positional[0];
	if (completion_write(stdout, &manual, shell))
		return EXIT_CLEAN;
	why_set(&why, STATUS_USAGE, "completion: '%s': bash or zsh", shell);
	return exit_with(STATUS_USAGE, &why);
}

static void print_help(void)
{
	puts("usage: cowtip COMMAND [OPTION]... [ARGUMENT]\n"
	     "Crash-consistency fault-injection testbed for qcow2.\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (commands[i].run)
			printf("  %-10s %-15s %s\n", commands[i].name, commands[i].arguments,
			       commands[i].summary);
	puts("\n  cowtip COMMAND --help lists a command's options; cowtip --version.\n\n"
	     "exit status: 0 nothing wrong, 1 a rule was violated, 2 usage or bad input,\n"
	     "3 the budget ended first and nothing wrong was seen, 4 a replay diverged.");
}

static void print_command_help(const struct command *command)
{
	printf("usage: cowtip %s [OPTION]... %s\n%s.\n\n", command->name, command->arguments,
	       command->summary);
	options_print_help(command->bit);
}

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(name, commands[i].name) == 0)
			return &commands[i];
	return NULL;
}

static enum exit_code run_command(const struct command *command, int argc, char **argv)
{
	struct options options;
	struct why why = { "" };
	if (!command->run) {
		fprintf(stderr, "cowtip: '%s' is not available in this version\n", command->name);
		return EXIT_BAD;
	}
	enum status status = options_parse(&options, command->bit, argc, argv, &why);
	if (status != STATUS_OK)
		return exit_with(status, &why);
	if (options.help) {
		print_command_help(command);
		return EXIT_CLEAN;
	}
	if (options.positional_count < command->least || options.positional_count > command->most) {
		why_set(&why, STATUS_USAGE, "usage: cowtip %s [OPTION]... %s", command->name,
			command->arguments);
		return exit_with(STATUS_USAGE, &why);
	}
	return command->run(&options);
}

int main(int argc, char **argv)
{
	setlocale(LC_ALL, "C");
	if (argc < 2) {
		fputs("cowtip: no command (see 'cowtip --help')\n", stderr);
		return EXIT_BAD;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		print_help();
		return EXIT_CLEAN;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts(COWTIP_VERSION_LINE);
		return EXIT_CLEAN;
	}
	const struct command *command = command_find(argv[1]);
	if (!command) {
		fprintf(stderr, "cowtip: unknown command '%s' (see 'cowtip --help')\n", argv[1]);
		return EXIT_BAD;
	}
	enum exit_code code = run_command(command, argc - 1, argv + 1);
	/* Results that did not reach their reader are no results. */
	if (fflush(stdout) || ferror(stdout)) {
		fputs("cowtip: cannot write the results\n", stderr);
		return EXIT_BAD;
	}
	return code;
}
