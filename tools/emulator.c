// SPDX-License-Identifier: BSD-2-Clause
/*
 * QEMU with the plugin, as a child process. It has our terminal and our stdin, stdout and stderr,
 * and shares nothing else with us but a pipe: what the user types or redirects is QEMU's, as if he
 * had started it himself. Ctrl-C at the terminal reaches both of us: QEMU ends (or takes it for
 * its guest), we wait for that. What asks us alone to end is passed on. QEMU dies with us.
 *
 * Where the command line says nothing of an accelerator, all CPUs share one thread: then events
 * come in the order in which they happened, and a run can be believed to the last store.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emulator.h"
#include "run.h"

static volatile pid_t child; /* for the handler */

static void pass_on(int signal)
{
	if (child > 0)
		kill(child, signal);
}

static void set_signals(void)
{
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGTERM, pass_on);
	signal(SIGHUP, pass_on);
}

static int says_accelerator(char **argv)
{
	for (; *argv; argv++) {
		const char *arg = argv[0][0] == '-' && argv[0][1] == '-' ? *argv + 1 : *argv;

		if (!strcmp(arg, "-accel") || !strcmp(arg, "-icount") || strstr(arg, "accel="))
			return 1;
	}
	return 0;
}

/* The argument of -plugin, in which QEMU wants each comma of a name twice. */
static char *plugin_argument(const char *plugin, int report, int trace)
{
	char *name = calloc(1, 2 * strlen(plugin) + 1);
	char *to = name, *text = NULL;
	char traced[32] = "";

	if (!name)
		abort();
	for (; *plugin; plugin++) {
		if (*plugin == ',')
			*to++ = ',';
		*to++ = *plugin;
	}
	if (trace >= 0)
		snprintf(traced, sizeof(traced), ",trace=%d", trace);
	if (asprintf(&text, "%s,report=%d%s", name, report, traced) < 0)
		abort();
	free(name);
	return text;
}

static char **make_arguments(char **argv, char *plugin)
{
	static char accel[] = "-accel", single[] = "tcg,thread=single", option[] = "-plugin";
	size_t n = 0, to = 1;
	char **all;

	while (argv[n])
		n++;
	all = calloc(n + 5, sizeof(*all));
	if (!all)
		abort();
	all[0] = argv[0];
	if (!says_accelerator(argv)) {
		all[to++] = accel;
		all[to++] = single;
	}
	for (size_t i = 1; i < n; i++)
		all[to++] = argv[i];
	all[to++] = option;
	all[to] = plugin;
	return all;
}

/* In the child. Returns only if QEMU could not be started; errno says why. */
static void become(char **argv, pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(127);
	execvp(argv[0], argv);
}

/* Forks; a failed exec is reported through a pipe that a successful one closes. */
static int spawn(char **argv)
{
	pid_t parent = getpid();
	int failure[2], error = 0;

	if (pipe2(failure, O_CLOEXEC))
		return errno;
	child = fork();
	if (!child) {
		become(argv, parent);
		error = errno;
		if (write(failure[1], &error, sizeof(error)) < 0)
			_exit(126);
		_exit(127);
	}
	close(failure[1]);
	if (child < 0)
		error = errno;
	else if (read(failure[0], &error, sizeof(error)) == sizeof(error))
		waitpid(child, NULL, 0);
	close(failure[0]);
	return error;
}

int emulator_start(struct emulator *emulator, char **argv, const char *plugin, int trace)
{
	int ends[2], error;
	char *argument;
	char **all;

	if (pipe2(ends, O_CLOEXEC))
		return complain("no pipe to the emulator: %s", strerror(errno));
	fcntl(ends[1], F_SETFD, 0);
	argument = plugin_argument(plugin, ends[1], trace);
	all = make_arguments(argv, argument);
	error = spawn(all);
	free(all);
	free(argument);
	close(ends[1]);
	if (error) {
		close(ends[0]);
		if (error == ENOENT)
			return complain("no '%s' here: what follows -- is the emulator and its "
					"arguments (scripts/qemu10 starts QEMU 10 with any)",
					argv[0]);
		return complain("cannot start '%s': %s", argv[0], strerror(error));
	}
	set_signals();
	emulator->pid = child;
	emulator->pipe = ends[0];
	return 0;
}

int emulator_read(const struct emulator *emulator, void *buffer, size_t n)
{
	char *at = buffer;

	while (n) {
		ssize_t got = read(emulator->pipe, at, n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		at += got;
		n -= (size_t)got;
	}
	return 0;
}

void emulator_kill(const struct emulator *emulator)
{
	kill(emulator->pid, SIGKILL);
}

int emulator_wait(struct emulator *emulator)
{
	int status = 0;

	while (waitpid(emulator->pid, &status, 0) < 0 && errno == EINTR)
		;
	child = 0;
	close(emulator->pipe);
	return status;
}
