// SPDX-License-Identifier: BSD-2-Clause
/*
 * pty WAY COMMAND...: runs the command on a terminal of its own, ends it in one of several ways,
 * and fails unless the terminal is then as it was before. WAY:
 *   poweroff  typed at the guest's prompt
 *   quit      Ctrl-A x
 *   term hup  the signal
 *   qemu      the emulator is killed
 *   stop      stopped and continued first, the terminal being restored meanwhile; then poweroff
 *   live      nothing is typed; there must be a live line
 * What the command wrote is passed on to stdout. A watchdog ends everything after two minutes.
 */
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 120
#define PROMPT     "guest# "

struct session {
	pid_t pid;
	int master;
	int slave; /* kept open to look at the terminal's state */
	size_t length;
	char output[1 << 20];
};

static struct session session;

static _Noreturn void fail(const char *what)
{
	fwrite(session.output, 1, session.length, stdout);
	fprintf(stderr, "pty: %s\n", what);
	if (session.pid > 0)
		kill(session.pid, SIGKILL);
	exit(1);
}

/* Reads for a while; returns 0 when the terminal was hung up. */
static int collect(int wait_ms)
{
	struct pollfd fd = { .fd = session.master, .events = POLLIN };
	size_t room = sizeof(session.output) - 1 - session.length;
	ssize_t n;

	if (poll(&fd, 1, wait_ms) <= 0)
		return 1;
	n = read(session.master, session.output + session.length, room);
	if (n <= 0)
		return 0;
	session.length += (size_t)n;
	session.output[session.length] = '\0';
	return 1;
}

static void wait_for(const char *text)
{
	/* Time counts, not turns: a busy machine hands out the console in small pieces. */
	for (time_t start = time(NULL); time(NULL) - start < PATIENCE_S;) {
		if (memmem(session.output, session.length, text, strlen(text)))
			return;
		if (!collect(100) || waitpid(session.pid, NULL, WNOHANG) == session.pid)
			fail("the command ended too early");
	}
	fail("the command does not say what it should");
}

static void type(const char *keys)
{
	if (write(session.master, keys, strlen(keys)) < 0)
		fail("cannot type");
}

static int same(const struct termios *before)
{
	struct termios now;

	if (tcgetattr(session.slave, &now))
		fail("no terminal");
	return now.c_iflag == before->c_iflag && now.c_oflag == before->c_oflag &&
	       now.c_cflag == before->c_cflag && now.c_lflag == before->c_lflag &&
	       !memcmp(now.c_cc, before->c_cc, sizeof(now.c_cc));
}

static void wait_raw(const struct termios *before)
{
	for (int i = 0; i < 100 && same(before); i++)
		collect(50);
	if (same(before))
		fail("the terminal is not raw while the guest has it");
}

/* The one child of the command. */
static pid_t emulator(void)
{
	char path[64];
	int pid = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", session.pid, session.pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%d", &pid) != 1)
		fail("no emulator");
	fclose(file);
	return pid;
}

static void stop_and_continue(const struct termios *before)
{
	int status;

	kill(session.pid, SIGTSTP);
	if (waitpid(session.pid, &status, WUNTRACED) != session.pid || !WIFSTOPPED(status))
		fail("it did not stop");
	if (!same(before))
		fail("the terminal is still raw while it is stopped");
	kill(session.pid, SIGCONT);
	wait_raw(before);
}

static void end_it(const char *way, const struct termios *before)
{
	if (!strcmp(way, "live"))
		return;
	wait_for(PROMPT);
	wait_raw(before);
	if (!strcmp(way, "stop"))
		stop_and_continue(before);
	if (!strcmp(way, "poweroff") || !strcmp(way, "stop"))
		type("poweroff\r");
	else if (!strcmp(way, "quit"))
		type("\001x");
	else if (!strcmp(way, "term"))
		kill(session.pid, SIGTERM);
	else if (!strcmp(way, "hup"))
		kill(session.pid, SIGHUP);
	else if (!strcmp(way, "qemu"))
		kill(emulator(), SIGKILL);
	else
		fail("no such way");
}

/* How the command must have ended. */
static int right_end(const char *way, int status)
{
	if (!strcmp(way, "term"))
		return WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
	if (!strcmp(way, "hup"))
		return WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP;
	return WIFEXITED(status) && WEXITSTATUS(status) == (strcmp(way, "qemu") ? 0 : 1);
}

static int wait_end(void)
{
	int status;

	for (time_t start = time(NULL); time(NULL) - start < PATIENCE_S;) {
		collect(100);
		if (waitpid(session.pid, &status, WNOHANG) == session.pid) {
			session.pid = 0;
			return status;
		}
	}
	fail("the command does not end");
}

int main(int argc, char **argv)
{
	struct winsize size = { .ws_row = 25, .ws_col = 100 };
	struct termios before;
	char name[64];
	int status;

	if (argc < 3)
		return 2;
	session.pid = forkpty(&session.master, name, NULL, &size);
	if (session.pid < 0)
		fail("no terminal");
	if (!session.pid) {
		/* Not before the parent has looked at the terminal. */
		raise(SIGSTOP);
		execv(argv[2], argv + 2);
		_exit(127);
	}
	session.slave = open(name, O_RDWR | O_NOCTTY);
	if (session.slave < 0 || tcgetattr(session.slave, &before))
		fail("no terminal");
	waitpid(session.pid, &status, WUNTRACED);
	kill(session.pid, SIGCONT);
	end_it(argv[1], &before);
	status = wait_end();
	fwrite(session.output, 1, session.length, stdout);
	if (!right_end(argv[1], status)) {
		fprintf(stderr, "pty: it ended with status 0x%x\n", (unsigned int)status);
		return 1;
	}
	if (!same(&before)) {
		fputs("pty: the terminal is not as it was\n", stderr);
		return 1;
	}
	if (!strcmp(argv[1], "live") && !memmem(session.output, session.length, "MiB mapped", 10)) {
		fputs("pty: there was no live line\n", stderr);
		return 1;
	}
	return 0;
}
