/* SPDX-License-Identifier: BSD-2-Clause */
/* The emulator as a child process. See qemu.c. */
#ifndef STAGE2_QEMU_H
#define STAGE2_QEMU_H

#include <sys/types.h>

#include "run.h"

struct qemu {
	pid_t pid;   /* 0: none */
	int input;   /* to the guest's console; -1 unless interactive. Non-blocking */
	int console; /* from it */
	int errors;  /* QEMU's stderr */
	int memory;  /* the guest's RAM, a memfd */
	const struct hyp_report *report; /* the hypervisor's, live; NULL with --plain */
};

/*
 * Starts QEMU. Returns 0; or EXIT_USAGE after saying why, and then nothing is left behind. The
 * child dies with us, however we go.
 */
int qemu_start(struct qemu *qemu, const struct run_options *options);

/* Kills QEMU if it still runs, reaps it, closes all but the report. Harmless on a zeroed one. */
void qemu_stop(struct qemu *qemu);

#endif
