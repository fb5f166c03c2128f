// SPDX-License-Identifier: BSD-2-Clause
/*
 * The emulator as a child process: its command line, its pipes, its memory.
 *
 * The guest's RAM is a memfd that QEMU maps shared, so that we can read the hypervisor's report out
 * of it while it runs; with --plain it is the same kind, to keep the comparison fair. The console
 * is a pair of pipes: QEMU never sees the terminal and cannot break it. It has a session of its own
 * (a Ctrl-C at the terminal is ours to handle) and the kernel kills it when we die.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "qemu.h"
#include "ring.h"

#define MIB      0x100000ull
#define MAX_ARGS 64

struct argv {
	char *args[MAX_ARGS];
	unsigned int n;
};

static void PRINTF_LIKE(2, 3) add(struct argv *argv, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0 || argv->n + 1 >= MAX_ARGS)
		abort();
	va_end(args);
	argv->args[argv->n++] = text;
}

static void free_args(struct argv *argv)
{
	while (argv->n)
		free(argv->args[--argv->n]);
}

/* In an option's value QEMU wants each comma twice. */
static void add_loader(struct argv *argv, const char *path, uint64_t address)
{
	char *escaped = malloc(2 * strlen(path) + 1);
	char *to = escaped;

	if (!escaped)
		abort();
	for (; *path; path++) {
		if (*path == ',')
			*to++ = ',';
		*to++ = *path;
	}
	*to = '\0';
	add(argv, "-device");
	add(argv, "loader,file=%s,addr=0x%llx,force-raw=on", escaped, (unsigned long long)address);
	free(escaped);
}

static void add_machine(struct argv *argv, const struct run_options *options, int memory)
{
	unsigned int plain = options->flags & RUN_PLAIN;
	unsigned int icount = options->flags & RUN_ICOUNT;

	add(argv, "-machine");
	add(argv, "virt,virtualization=%s,gic-version=%u,dtb-randomness=off,memory-backend=ram",
	    plain ? "off" : "on", options->gic);
	add(argv, "-object");
	add(argv, "memory-backend-file,id=ram,size=%uM,mem-path=/proc/self/fd/%d,share=on",
	    options->mem_mib, memory);
	add(argv, "-m");
	add(argv, "%u", options->mem_mib);
	add(argv, "-cpu");
	add(argv, "%s", options->cpu);
	add(argv, "-smp");
	add(argv, "%u", options->smp);
	add(argv, "-accel");
	add(argv, "tcg,thread=%s", icount ? "single" : "multi");
	if (icount) {
		/* An instruction is a nanosecond; time in which the guest sleeps is skipped. */
		add(argv, "-icount");
		add(argv, "shift=0,sleep=off");
		add(argv, "-rtc");
		add(argv, "base=2000-01-01T00:00:00,clock=vm");
		add(argv, "-seed");
		add(argv, "1");
	}
}

static void add_guest(struct argv *argv, const struct run_options *options)
{
	unsigned int plain = options->flags & RUN_PLAIN;
	uint64_t reserve = files_reserve(options);
	char hyp_words[128] = "", reclaim[32] = "";

	if (!plain) {
		if (options->reclaim)
			snprintf(reclaim, sizeof(reclaim), " stage2.reclaim=%u", options->reclaim);
		snprintf(hyp_words, sizeof(hyp_words), "stage2.reserve=%llu stage2.pages=%s%s%s%s ",
			 (unsigned long long)reserve,
			 options->flags & RUN_PAGES_4K ? "4k" : "block",
			 options->flags & RUN_TEST ? " stage2.test" : "", reclaim,
			 options->flags & RUN_MERGE ? " stage2.merge" : "");
		add_loader(argv, options->kernel, HYP_RAM_BASE + reserve);
	}
	add(argv, "-kernel");
	add(argv, "%s", plain ? options->kernel : options->hyp);
	if (options->initrd) {
		add(argv, "-initrd");
		add(argv, "%s", options->initrd);
	}
	add(argv, "-append");
	add(argv, "%sconsole=ttyAMA0 panic=-1%s%s%s", hyp_words,
	    options->flags & RUN_INTERACTIVE ? " workload.shell" : "", options->append ? " " : "",
	    options->append ? options->append : "");
}

static void build_args(struct argv *argv, const struct run_options *options, int memory)
{
	static const char *const fixed[] = {
		"-nodefaults",
		"-no-user-config",
		"-display",
		"none",
		"-monitor",
		"none",
		"-nic",
		"none",
		"-no-reboot",
		"-chardev",
		"stdio,id=console,signal=off",
		"-serial",
		"chardev:console",
	};

	argv->n = 0;
	add(argv, "%s", options->qemu);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		add(argv, "%s", fixed[i]);
	add_machine(argv, options, memory);
	add_guest(argv, options);
	argv->args[argv->n] = NULL;
}

/* In the child. Returns only if QEMU could not be started; errno says why. */
static void become_qemu(char **args, pid_t parent, const int *input, const int *console,
			const int *errors)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(127);
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (dup2(input[0] >= 0 ? input[0] : null, 0) < 0 || dup2(console[1], 1) < 0 ||
	    dup2(errors[1], 2) < 0)
		return;
	execvp(args[0], args);
}

static void close_pair(int *fds)
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	fds[0] = -1;
	fds[1] = -1;
}

/* Forks; the child reports a failed exec through a pipe that a successful one closes. */
static int spawn(struct qemu *qemu, char **args, int *input, int *console, int *errors)
{
	pid_t parent = getpid();
	int failure[2];
	int error = 0;

	if (pipe2(failure, O_CLOEXEC))
		return errno;
	qemu->pid = fork();
	if (!qemu->pid) {
		become_qemu(args, parent, input, console, errors);
		error = errno;
		if (write(failure[1], &error, sizeof(error)) < 0)
			_exit(126);
		_exit(127);
	}
	close(failure[1]);
	if (qemu->pid < 0)
		error = errno;
	else if (read(failure[0], &error, sizeof(error)) == sizeof(error))
		waitpid(qemu->pid, NULL, 0);
	close(failure[0]);
	if (error)
		qemu->pid = 0;
	return error;
}

static int start_process(struct qemu *qemu, const struct run_options *options)
{
	int input[2] = { -1, -1 };
	int console[2] = { -1, -1 };
	int errors[2] = { -1, -1 };
	struct argv argv;
	int error = 0;

	build_args(&argv, options, qemu->memory);
	if (((options->flags & RUN_INTERACTIVE) && pipe2(input, O_CLOEXEC)) ||
	    pipe2(console, O_CLOEXEC) || pipe2(errors, O_CLOEXEC))
		error = errno;
	if (!error)
		error = spawn(qemu, argv.args, input, console, errors);
	free_args(&argv);
	if (error) {
		close_pair(input);
		close_pair(console);
		close_pair(errors);
		return error;
	}
	if (input[0] >= 0) {
		close(input[0]);
		fcntl(input[1], F_SETFL, O_NONBLOCK);
	}
	close(console[1]);
	close(errors[1]);
	qemu->input = input[1];
	qemu->console = console[0];
	qemu->errors = errors[0];
	return 0;
}

/* The hypervisor records for whoever reads; it looks when it starts. */
static int promise_to_read(const struct qemu *qemu)
{
	const uint64_t yes = 1;
	off_t at = (off_t)(HYP_RING_BASE - HYP_RAM_BASE + offsetof(struct hyp_ring, reader));

	return pwrite(qemu->memory, &yes, sizeof(yes), at) == sizeof(yes);
}

static int make_memory(struct qemu *qemu, const struct run_options *options)
{
	void *window;

	/* Without CLOEXEC: QEMU opens it through /proc. */
	qemu->memory = memfd_create("stage2-guest", 0);
	if (qemu->memory < 0 || ftruncate(qemu->memory, (off_t)(options->mem_mib * MIB)))
		return complain("no memory for the guest: %s", strerror(errno));
	if (options->flags & RUN_PLAIN)
		return 0;
	window = mmap(NULL, sizeof(struct hyp_report), PROT_READ, MAP_SHARED, qemu->memory,
		      (off_t)(HYP_REPORT_BASE - HYP_RAM_BASE));
	if (window == MAP_FAILED)
		return complain("cannot map the guest's memory: %s", strerror(errno));
	if (options->trace && !promise_to_read(qemu))
		return complain("cannot write the guest's memory: %s", strerror(errno));
	qemu->report = window;
	return 0;
}

int qemu_start(struct qemu *qemu, const struct run_options *options)
{
	int error;

	*qemu = (struct qemu){ .input = -1, .console = -1, .errors = -1, .memory = -1 };
	if (make_memory(qemu, options)) {
		qemu_stop(qemu);
		return EXIT_USAGE;
	}
	error = start_process(qemu, options);
	if (!error)
		return 0;
	qemu_stop(qemu);
	if (error == ENOENT)
		return complain("no '%s' here: install it with scripts/setup (Debian: "
				"qemu-system-arm), or name it with --qemu FILE",
				options->qemu);
	return complain("cannot start '%s': %s", options->qemu, strerror(error));
}

void qemu_stop(struct qemu *qemu)
{
	int *fds[] = { &qemu->input, &qemu->console, &qemu->errors, &qemu->memory };

	if (qemu->pid > 0) {
		kill(qemu->pid, SIGKILL);
		waitpid(qemu->pid, NULL, 0);
		qemu->pid = 0;
	}
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}
