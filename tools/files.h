/* SPDX-License-Identifier: BSD-2-Clause */
/* The files that a run needs: found and judged before anything starts. See files.c. */
#ifndef STAGE2_FILES_H
#define STAGE2_FILES_H

#include "run.h"

/*
 * Fills in what the user did not name (kernel, initrd, hyp, qemu) and checks all of it, memory
 * against sizes included. Returns 0, or EXIT_USAGE after saying what is wrong and what to do.
 * The strings live as long as the process.
 */
int files_check(struct run_options *options);

/* Size of the hypervisor's part of memory, in bytes; 0 for --plain. */
uint64_t files_reserve(const struct run_options *options);

#endif
