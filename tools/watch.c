// SPDX-License-Identifier: BSD-2-Clause
/*
 * Watches a running guest to its end: one poll() loop over QEMU's pipes, the keyboard and our own
 * signals, which arrive through a signalfd, so that nothing interrupts anything. Ten times a second
 * it looks at the hypervisor's report: for the live line and for the watchdogs.
 *
 * A run ends when QEMU has been reaped. Everything else that may end it (a watchdog, Ctrl-A x, a
 * signal, nobody reading our output) notes its reason and kills QEMU.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "console.h"
#include "drain.h"
#include "files.h"
#include "numbers.h"
#include "qemu.h"
#include "terminal.h"

#define TICK_MS       100
#define TICK_EARLY_MS 5  /* until the guest starts: its start is a time in the report */
#define START_S       20 /* the hypervisor must have said something by then */
#define LINGER_S      2  /* QEMU must be gone so long after the hypervisor ended */
#define CTRL_A        0x01
#define CTRL_D        0x04

struct watch {
	const struct run_options *options;
	struct run_result *result;
	struct qemu qemu;
	struct console console;
	struct drain *drain; /* NULL: no trace is wanted */
	sigset_t old_mask;
	int signals; /* signalfd */
	int status;  /* of QEMU's exit */
	int forced;  /* result->end says why we ended it */
	double start_s;
	double progress_s;
	double ended_s;
	double rate_s; /* of the last sample for the rate of faults */
	uint64_t rate_faults;
	uint64_t rate;
	uint64_t progress;
	uint64_t sent_at; /* bytes that the console had said when keys were last sent */
	unsigned int ctrl_a;
	unsigned int npending;
	unsigned int input_done;
	char pending[256]; /* keys that QEMU has not taken yet */
};

static double clock_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double now_s(const struct watch *watch)
{
	return clock_s() - watch->start_s;
}

static void end_run(struct watch *watch, enum run_end end)
{
	if (watch->forced)
		return;
	watch->forced = 1;
	watch->result->end = end;
	if (watch->qemu.pid > 0)
		kill(watch->qemu.pid, SIGKILL);
}

static int hyp_is_up(const struct watch *watch)
{
	const volatile struct hyp_report *report = watch->qemu.report;

	return report && report->magic == HYP_REPORT_MAGIC;
}

/* Ctrl-Z, or its signal: the guest's time stands still with ours. */
static void suspend(struct watch *watch)
{
	double before = clock_s();

	terminal_restore();
	kill(watch->qemu.pid, SIGSTOP);
	kill(getpid(), SIGSTOP);
	/* Here we are continued. */
	kill(watch->qemu.pid, SIGCONT);
	if (watch->options->flags & RUN_INTERACTIVE)
		terminal_raw();
	watch->start_s += clock_s() - before;
}

static void take_signal(struct watch *watch)
{
	struct signalfd_siginfo info;

	if (read(watch->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGTSTP) {
		suspend(watch);
	} else if (info.ssi_signo != SIGCHLD) {
		watch->result->signal = (int)info.ssi_signo;
		end_run(watch, RUN_END_SIGNAL);
	}
}

/* Ctrl-A is ours, as in QEMU: x ends the run, Ctrl-A again sends one. */
static void take_key(struct watch *watch, char key)
{
	if (!watch->ctrl_a && key == CTRL_A && isatty(STDIN_FILENO)) {
		watch->ctrl_a = 1;
		return;
	}
	if (watch->ctrl_a && (key == 'x' || key == 'X'))
		end_run(watch, RUN_END_QUIT);
	else if (!watch->ctrl_a || key == CTRL_A || key == 'a')
		watch->pending[watch->npending++] = watch->ctrl_a ? CTRL_A : key;
	watch->ctrl_a = 0;
}

static int wants_keys(const struct watch *watch)
{
	return (watch->options->flags & RUN_INTERACTIVE) && !watch->input_done && !watch->npending;
}

/*
 * How many of the pending keys may go now. A person may type at any time; a script's lines go one
 * at a time, each at a new prompt: the guest's shell drops what comes before it reads.
 */
static unsigned int sendable(const struct watch *watch)
{
	const char *end;

	if (!watch->npending || isatty(STDIN_FILENO))
		return watch->npending;
	if (!console_at_prompt(&watch->console) || watch->result->console_bytes == watch->sent_at)
		return 0;
	end = memchr(watch->pending, '\n', watch->npending);
	return end ? (unsigned int)(end - watch->pending) + 1 : watch->npending;
}

static void take_keys(struct watch *watch)
{
	char keys[sizeof(watch->pending)];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	if (n <= 0 && !(n < 0 && (errno == EINTR || errno == EAGAIN))) {
		/* A script's end is what a person says with Ctrl-D: the shell ends, too. */
		watch->input_done = 1;
		watch->pending[watch->npending++] = CTRL_D;
	}
	for (ssize_t i = 0; i < n; i++)
		take_key(watch, keys[i]);
}

static void send_keys(struct watch *watch)
{
	ssize_t n = write(watch->qemu.input, watch->pending, sendable(watch));

	watch->sent_at = watch->result->console_bytes;
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		watch->input_done = 1;
		watch->npending = 0;
	}
	if (n > 0) {
		watch->npending -= (unsigned int)n;
		memmove(watch->pending, watch->pending + n, watch->npending);
	}
}

/* Reads once; closes at the end. */
static void take_console(struct watch *watch)
{
	char bytes[4096];
	ssize_t n = read(watch->qemu.console, bytes, sizeof(bytes));

	if (n > 0) {
		console_feed(&watch->console, bytes, (size_t)n, now_s(watch));
	} else if (!n || errno != EINTR) {
		close(watch->qemu.console);
		watch->qemu.console = -1;
	}
	if (watch->console.error)
		end_run(watch, RUN_END_OUTPUT);
}

static void take_errors(struct watch *watch)
{
	char *errors = watch->result->errors;
	size_t have = strlen(errors);
	char bytes[1024];
	ssize_t n = read(watch->qemu.errors, bytes, sizeof(bytes));

	if (!n || (n < 0 && errno != EINTR)) {
		close(watch->qemu.errors);
		watch->qemu.errors = -1;
	}
	for (ssize_t i = 0; i < n && have < RUN_QEMU_ERRORS - 1; i++)
		if (bytes[i])
			errors[have++] = bytes[i];
	errors[have] = '\0';
}

static void check_watchdogs(struct watch *watch, double now)
{
	const volatile struct hyp_report *report = watch->qemu.report;
	const struct run_options *options = watch->options;
	uint64_t progress = watch->result->console_bytes;

	if (hyp_is_up(watch)) {
		struct numbers numbers;

		numbers_add_up(&numbers, watch->qemu.report);
		progress += numbers.exits;
	}
	if (progress != watch->progress || now < watch->progress_s) {
		watch->progress = progress;
		watch->progress_s = now;
	}
	if (options->timeout_s && now > options->timeout_s)
		end_run(watch, RUN_END_TIMEOUT);
	else if (options->stall_s && now - watch->progress_s > options->stall_s)
		end_run(watch, RUN_END_STALL);
	else if (report && now > START_S && !hyp_is_up(watch))
		end_run(watch, RUN_END_QEMU);
	if (!hyp_is_up(watch) || report->state != HYP_STATE_ENDED)
		return;
	/* It has switched the machine off, so QEMU should be leaving. */
	if (watch->ended_s == 0)
		watch->ended_s = now;
	if (now - watch->ended_s > LINGER_S)
		kill(watch->qemu.pid, SIGKILL);
}

static void show_live(struct watch *watch, double now)
{
	struct numbers numbers;
	char text[160];
	uint64_t faults;

	if (!hyp_is_up(watch)) {
		snprintf(text, sizeof(text), "[%s] %.1f s", console_phase(&watch->console), now);
		console_live(&watch->console, text);
		return;
	}
	numbers_add_up(&numbers, watch->qemu.report);
	faults = numbers.ram_faults + numbers.counts.device_faults;
	if (now - watch->rate_s >= 0.5) {
		watch->rate =
			(uint64_t)((double)(faults - watch->rate_faults) / (now - watch->rate_s));
		watch->rate_faults = faults;
		watch->rate_s = now;
	}
	snprintf(text, sizeof(text), "[%s] %.1f s, %llu faults, %llu/s, %llu MiB mapped",
		 console_phase(&watch->console), now, (unsigned long long)faults,
		 (unsigned long long)watch->rate, (unsigned long long)(numbers.mapped_ram >> 20));
	console_live(&watch->console, text);
}

static double seconds(const struct timeval *time)
{
	return (double)time->tv_sec + (double)time->tv_usec * 1e-6;
}

/* The ten times a second. Returns how long to sleep at most. */
static int tick(struct watch *watch)
{
	const volatile struct hyp_report *report = watch->qemu.report;
	struct run_result *result = watch->result;
	double now = now_s(watch);
	struct rusage usage;
	pid_t reaped;

	if (result->start_s < 0 &&
	    (!report || (hyp_is_up(watch) && report->state >= HYP_STATE_RUNNING))) {
		result->start_s = now;
		console_add_phase(result, "kernel", now);
	}
	check_watchdogs(watch, now);
	if (drain_failed(watch->drain))
		end_run(watch, RUN_END_OUTPUT);
	show_live(watch, now);
	reaped = wait4(watch->qemu.pid, &watch->status, WNOHANG, &usage);
	if (reaped == watch->qemu.pid) {
		watch->qemu.pid = 0;
		result->cpu_s = seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
	}
	return result->start_s < 0 ? TICK_EARLY_MS : TICK_MS;
}

static void loop(struct watch *watch)
{
	for (;;) {
		int sleep_ms = tick(watch);
		struct pollfd fds[] = {
			{ .fd = watch->qemu.console, .events = POLLIN },
			{ .fd = watch->qemu.errors, .events = POLLIN },
			{ .fd = watch->signals, .events = POLLIN },
			{ .fd = wants_keys(watch) ? STDIN_FILENO : -1, .events = POLLIN },
			{ .fd = sendable(watch) ? watch->qemu.input : -1, .events = POLLOUT },
		};

		if (!watch->qemu.pid)
			break;
		if (poll(fds, sizeof(fds) / sizeof(fds[0]), sleep_ms) <= 0)
			continue;
		if (fds[0].revents)
			take_console(watch);
		if (fds[1].revents)
			take_errors(watch);
		if (fds[2].revents)
			take_signal(watch);
		if (fds[3].revents)
			take_keys(watch);
		if (fds[4].revents)
			send_keys(watch);
	}
	/* What is still in the pipes. Nobody can write to them any more. */
	while (watch->qemu.console >= 0)
		take_console(watch);
	while (watch->qemu.errors >= 0)
		take_errors(watch);
}

static enum run_end natural_end(const struct watch *watch)
{
	static const enum run_end ends[] = {
		[HYP_END_NONE] = RUN_END_QEMU,   [HYP_END_OFF] = RUN_END_OFF,
		[HYP_END_RESET] = RUN_END_RESET, [HYP_END_STUCK] = RUN_END_STUCK,
		[HYP_END_ERROR] = RUN_END_ERROR, [HYP_END_CRASH] = RUN_END_CRASH,
	};
	const struct hyp_report *report = watch->qemu.report;

	if (report && hyp_is_up(watch) && report->state == HYP_STATE_ENDED &&
	    report->end < sizeof(ends) / sizeof(ends[0]))
		return ends[report->end];
	if (report || watch->status)
		return RUN_END_QEMU;
	/* Without a hypervisor nobody tells us a reset from an end but the console. */
	return watch->result->panic[0] ? RUN_END_RESET : RUN_END_OFF;
}

static void take_signals(struct watch *watch)
{
	static const int ours[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCHLD };
	sigset_t mask;

	sigemptyset(&mask);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		sigaddset(&mask, ours[i]);
	sigprocmask(SIG_BLOCK, &mask, &watch->old_mask);
	watch->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	signal(SIGPIPE, SIG_IGN);
}

static int open_console(struct watch *watch)
{
	const struct run_options *options = watch->options;
	struct console *console = &watch->console;

	console->result = watch->result;
	console->out = options->flags & RUN_JSON ? STDERR_FILENO : STDOUT_FILENO;
	console->mode = CONSOLE_LINES;
	if ((options->flags & RUN_QUIET) ||
	    ((options->flags & RUN_JSON) && !(options->flags & RUN_VERBOSE)))
		console->mode = CONSOLE_HIDDEN;
	if (options->flags & RUN_INTERACTIVE)
		console->mode = CONSOLE_RAW;
	if (options->console) {
		console->file = fopen(options->console, "wbe");
		if (!console->file)
			return complain("cannot write '%s': %s", options->console, strerror(errno));
	}
	return 0;
}

/* QEMU said no before there was a guest: that is bad input, not a guest's end. */
static int refused(const struct watch *watch)
{
	const char *errors = watch->result->errors;
	const char *text = strstr(errors, ": ");
	int length;

	if (!errors[0] || watch->result->console_bytes || hyp_is_up(watch) ||
	    watch->result->end != RUN_END_QEMU)
		return 0;
	text = text ? text + 2 : errors;
	length = (int)strcspn(text, "\n");
	if (strstr(text, "CPU") || strstr(text, "Property"))
		return complain("QEMU says of --cpu %s: %.*s\n"
				"stage2: known to work: max, cortex-a57, cortex-a72, cortex-a76, "
				"neoverse-n1",
				watch->options->cpu, length, text);
	return complain("QEMU says: %.*s", length, text);
}

int run_guest(const struct run_options *options, struct run_result *result)
{
	struct watch watch = { .options = options, .result = result };
	int traced;

	*result = (struct run_result){ .start_s = -1 };
	fflush(stdout);
	if (open_console(&watch) || drain_open(options, &watch.drain) ||
	    qemu_start(&watch.qemu, options))
		return EXIT_USAGE;
	take_signals(&watch);
	if (drain_start(watch.drain, watch.qemu.memory)) {
		qemu_stop(&watch.qemu);
		return EXIT_USAGE;
	}
	if (options->flags & RUN_INTERACTIVE)
		terminal_raw();
	watch.start_s = clock_s();
	loop(&watch);
	result->wall_s = now_s(&watch);
	console_finish(&watch.console, result->wall_s);
	terminal_restore();
	qemu_stop(&watch.qemu);
	close(watch.signals);
	sigprocmask(SIG_SETMASK, &watch.old_mask, NULL);
	if (!watch.forced)
		result->end = natural_end(&watch);
	if (hyp_is_up(&watch))
		result->report = watch.qemu.report;
	if (watch.console.file && fclose(watch.console.file)) {
		complain("cannot write '%s': %s", options->console, strerror(errno));
		result->end = RUN_END_OUTPUT;
	}
	traced = drain_close(watch.drain, &result->trace_events);
	if (traced == EXIT_USAGE)
		return EXIT_USAGE;
	if (traced)
		result->end = RUN_END_OUTPUT;
	return refused(&watch);
}
