// SPDX-License-Identifier: BSD-2-Clause
/*
 * The stage2 command: finds the subcommand and hands over. Everything else is the subcommand's.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "run.h"
#include "scenario_command.h"

static const struct command {
	const char *name;
	int (*main)(int argc, char **argv);
	const char *summary;
} commands[] = {
	{ "run", run_main, "boot a guest on the second stage and report what its memory did" },
	{ "check", check_main, "judge a trace of page-table changes by the architecture's rules" },
	{ "scenario", scenario_main, "play what hosts and vCPUs do to a mapping, step by step" },
};

#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

int complain(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("stage2: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return EXIT_USAGE;
}

static int help(void)
{
	printf("Usage: stage2 COMMAND [OPTION]...\n"
	       "The second-stage MMU for hypervisors, from the command line.\n\nCommands:\n");
	for (size_t i = 0; i < NCOMMANDS; i++)
		printf("  %-8s %s\n", commands[i].name, commands[i].summary);
	printf("\nTry:\n"
	       "  stage2 run                  boot Debian's kernel, watch its memory being mapped\n"
	       "  stage2 run --interactive    the same, to a shell\n"
	       "  stage2 run --help           everything that can be changed about it\n"
	       "  stage2 check FILE           judge what a hypervisor did to its page tables\n"
	       "\n`stage2 COMMAND --help` explains a command, `man stage2` all of them.\n");
	return EXIT_OK;
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < NCOMMANDS; i++)
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	return NULL;
}

int main(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		help();
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("stage2 %s\n", STAGE2_VERSION);
		return EXIT_OK;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		char *ask[] = { argv[2], (char *)"--help", NULL };

		if (argc < 3)
			return help();
		command = find(argv[2]);
		return command ? command->main(2, ask)
			       : complain("no command is called '%s': try `stage2 --help`",
					  argv[2]);
	}
	command = find(argv[1]);
	if (!command)
		return complain("no command is called '%s': try `stage2 --help`", argv[1]);
	return command->main(argc - 1, argv + 1);
}
