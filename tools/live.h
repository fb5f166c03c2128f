/* SPDX-License-Identifier: BSD-2-Clause */
/* `stage2 check --live`: judges an unmodified hypervisor in QEMU. See live.c. */
#ifndef STAGE2_LIVE_H
#define STAGE2_LIVE_H

/* argv[0] is "check", --live among the options. Returns the exit code. */
int live_main(int argc, char **argv);

#endif
