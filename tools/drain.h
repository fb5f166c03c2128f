/* SPDX-License-Identifier: BSD-2-Clause */
/* `stage2 run --trace FILE`: from the hypervisor's ring into the file. See drain.c. */
#ifndef STAGE2_DRAIN_H
#define STAGE2_DRAIN_H

#include "run.h"

struct drain;

/* Makes the file. Returns 0; or EXIT_USAGE after saying why. */
int drain_open(const struct run_options *options, struct drain **drain);
/*
 * From here on the file gets what the hypervisor records, until drain_close(). `memory` is the
 * machine's.
 */
int drain_start(struct drain *drain, int memory);
/* Cannot go on: the run is to be ended, drain_close() will say why. */
int drain_failed(const struct drain *drain);
/*
 * The machine is gone: writes the rest, and says how many events there were. Returns 0; or, after
 * saying why, EXIT_GUEST (the file took no more) or EXIT_USAGE (this hypervisor records nothing).
 */
/* All of these are harmless on NULL, which is what drain_open() gives where no trace is wanted.
 */
int drain_close(struct drain *drain, uint64_t *events);

#endif
