/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a trace leaves the machine: a ring of events in the hypervisor's reserved memory, which the
 * host sees through the file behind the emulator's RAM, as the report.
 *
 * The reader sets `reader` before the machine starts, else nothing is recorded. The hypervisor says
 * what its CPUs are, then `magic`. From there on it only adds to `head` and the reader only to
 * `tail`, each with release, and each reads the other's with acquire: an event lies at its number
 * modulo HYP_RING_EVENTS from the time that head is beyond it until tail is. A ring that is full
 * makes the hypervisor wait; nothing is ever dropped.
 *
 * An event is a record of a binary trace as it stands (check/stage2check.h).
 */
#ifndef HYP_RING_H
#define HYP_RING_H

#include "report.h"
#include "stage2check.h"

#define HYP_RING_MAGIC  0x3167726932707473ull /* "stp2irg1" */
#define HYP_RING_EVENTS 8192u

struct hyp_ring {
	uint64_t magic; /* written last, by the hypervisor */
	uint64_t reader;
	uint64_t mmfr0, mmfr1, mmfr2; /* ID_AA64MMFRn_EL1 */
	uint64_t ctr, clidr;
	uint64_t pad0;
	uint64_t head; /* events recorded */
	uint64_t pad1[7];
	uint64_t tail; /* events taken */
	uint64_t pad2[7];
	struct s2c_event events[HYP_RING_EVENTS];
};

_Static_assert(sizeof(struct s2c_event) == 32, "a record of a trace");
_Static_assert(sizeof(struct hyp_ring) <= HYP_RING_SIZE, "report.h");
_Static_assert(sizeof(struct hyp_report) <= HYP_RING_BASE - HYP_REPORT_BASE, "report.h");

#endif
