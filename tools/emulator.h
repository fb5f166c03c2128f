/* SPDX-License-Identifier: BSD-2-Clause */
/* QEMU with the plugin, as a child process. See emulator.c. */
#ifndef STAGE2_EMULATOR_H
#define STAGE2_EMULATOR_H

#include <stddef.h>
#include <sys/types.h>

struct emulator {
	pid_t pid;
	int pipe; /* the plugin's messages (plugin/link.h) */
};

/*
 * Starts argv[0] with its arguments (argv ends with NULL) and the plugin. trace: a descriptor for
 * the binary trace, or -1. Returns 0, or EXIT_USAGE after saying why.
 */
int emulator_start(struct emulator *emulator, char **argv, const char *plugin, int trace);

/* Reads n bytes. Returns 0, or -1: the emulator has closed its end. */
int emulator_read(const struct emulator *emulator, void *buffer, size_t n);

/* Ends it, if it is still there. */
void emulator_kill(const struct emulator *emulator);

/* Waits for its end and closes the pipe. Returns its status as waitpid() does. */
int emulator_wait(struct emulator *emulator);

#endif
