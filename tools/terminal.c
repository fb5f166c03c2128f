// SPDX-License-Identifier: BSD-2-Clause
/*
 * The user's terminal. There is one, so this is the one file with state of its own. While a guest
 * has the keyboard the terminal is raw; every way out of the process restores it: return, exit(),
 * our own handling of signals (run.c), and a crash of ours, for which handlers stand here.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "terminal.h"

static struct termios saved;
static volatile sig_atomic_t is_raw;
static int prepared;

void terminal_restore(void)
{
	if (!is_raw)
		return;
	is_raw = 0;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
}

static void crashed(int number)
{
	terminal_restore();
	/* The handler was for once (SA_RESETHAND): now the default applies. */
	raise(number);
}

static void prepare(void)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
	struct sigaction action = { .sa_handler = crashed, .sa_flags = (int)SA_RESETHAND };

	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		sigaction(fatal[i], &action, NULL);
	atexit(terminal_restore);
	prepared = 1;
}

void terminal_raw(void)
{
	struct termios raw;

	if (is_raw || !isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved))
		return;
	if (!prepared)
		prepare();
	raw = saved;
	cfmakeraw(&raw);
	/* Our own lines must still come out right. The guest's end in CR LF anyway. */
	raw.c_oflag |= OPOST;
	is_raw = 1;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

unsigned int terminal_columns(int fd)
{
	struct winsize size;

	if (!isatty(fd))
		return 0;
	if (ioctl(fd, TIOCGWINSZ, &size) || !size.ws_col)
		return 80;
	return size.ws_col;
}
