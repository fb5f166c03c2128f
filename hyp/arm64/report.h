/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's own channel to whoever started it: an area of its reserved memory that the host
 * reads through the emulator's shared RAM (or from a memory dump). The guest has no mapping of it,
 * so the numbers cannot be forged and the guest's console stays the guest's.
 *
 * One writer (the hypervisor), any number of readers; all fields little-endian, naturally aligned.
 * Counters may be read at any time; the runs are valid once state is HYP_STATE_ENDED.
 *
 * CPUs that handle exits write nothing in common, save one number for every HYP_CHUNK of faults:
 * each counts for itself in percpu[], the engine in the walker there, and each has a chunk of
 * faults[] to fill. The reader adds up and sorts (tools/numbers.c).
 *
 * Layout of RAM on QEMU virt (base 0x40000000), all of it described here and nowhere else:
 *   + 0            QEMU's own boot stub
 *   + 2 MiB        hypervisor image (Image header, text_offset 0), its data and stacks
 *   + 8 MiB        this report, 4 MiB; in the last of it a trace's ring (ring.h)
 *   + 12 MiB       pool for second-stage tables
 *   + reserve      end of the hypervisor's memory = start of the guest's; guest kernel is here
 *   end - tail     with stage2.reclaim or .merge: tables of frames.c, store of what is out
 */
#ifndef HYP_REPORT_H
#define HYP_REPORT_H

#include <stddef.h>

#include <stage2/pgtable.h>

#define HYP_RAM_BASE    0x40000000ull
#define HYP_IMAGE_BASE  (HYP_RAM_BASE + 0x200000ull)
#define HYP_REPORT_BASE (HYP_RAM_BASE + 0x800000ull)
#define HYP_REPORT_SIZE 0x400000ull
#define HYP_POOL_BASE   (HYP_REPORT_BASE + HYP_REPORT_SIZE)
#define HYP_RING_SIZE   0x41000ull
#define HYP_RING_BASE   (HYP_POOL_BASE - HYP_RING_SIZE)
#define HYP_MAX_CPUS    8
#define HYP_PERCPU      2048 /* bytes of struct hyp_percpu */

/*
 * Options, taken from /chosen/bootargs and removed before the guest sees them:
 *   stage2.reserve=BYTES  size of the hypervisor's memory (needed; 2 MiB multiple)
 *   stage2.pages=4k|block largest leaf (block)
 *   stage2.test           offer the test hypercalls of tests/guest/abi.h
 *   stage2.reclaim=N      take memory that is not used; up to N percent may be out at once
 *   stage2.merge          let pages with equal contents share a frame
 */
static inline uint64_t hyp_reserve_size(uint64_t ram_size)
{
	uint64_t align = 0x200000;

	return (0x1000000 + ram_size / 256 + align - 1) / align * align;
}

/* To move pages into, beyond those that the guest has given up. */
#define HYP_SPARE_FRAMES 512

/*
 * What `rest` bytes behind the reserve lose at their end: of G percent the store needs
 * G / (100 + G), and the tables less than 64 bytes a page.
 */
static inline uint64_t hyp_tail_size(uint64_t rest, unsigned int percent)
{
	uint64_t align = 0x200000;
	uint64_t need = rest / (100 + percent) * percent;

	need += rest / 64 + HYP_SPARE_FRAMES * 4096ull;
	/* What remains for the guest is whole blocks. */
	return need < rest ? rest - (rest - need) / align * align : rest;
}

#define HYP_REPORT_MAGIC   0x3176706568327473ull /* "st2hepv1" */
#define HYP_REPORT_VERSION 5

enum hyp_state {
	HYP_STATE_NONE,
	HYP_STATE_STARTED, /* the hypervisor runs, the guest not yet */
	HYP_STATE_RUNNING,
	HYP_STATE_ENDED,
};

enum hyp_end {
	HYP_END_NONE,
	HYP_END_OFF,   /* guest: PSCI SYSTEM_OFF */
	HYP_END_RESET, /* guest: PSCI SYSTEM_RESET */
	HYP_END_STUCK, /* guest makes no progress: text says why */
	HYP_END_ERROR, /* hypervisor refused to start or go on: text says why */
	HYP_END_CRASH, /* hypervisor's own exception: text has the dump */
};

/* One handled stage-2 abort of a guest. */
struct hyp_fault {
	uint64_t when; /* CNTPCT at the exit; 0: no fault was logged here */
	uint64_t gpa;
	union {
		struct {
			uint8_t access; /* enum s2_access; these three as in struct s2_fault */
			uint8_t kind;   /* enum s2_fault_kind */
			uint8_t walk;   /* S1PTW */
			uint8_t zeros;  /* leading zeros of the leaf's size; 64: no leaf serves */
		};
		uint32_t what; /* all four, as the hypervisor writes them */
	};
	uint32_t ticks; /* of CNTPCT at EL2: from exit to just before re-entry */
};

/*
 * What one CPU has counted. An abort that the engine was asked about is in the engine's counts;
 * each other exit counts once, in one of the first five here.
 */
struct hyp_counts {
	uint64_t hypercalls; /* test calls, and SMCCC functions that nobody knows */
	uint64_t psci_calls;
	uint64_t sysreg_traps;
	uint64_t refused;       /* aborts that were given back to the guest at once */
	uint64_t vanished;      /* aborts whose reason was gone when it was looked at */
	uint64_t device_faults; /* of the engine's: aborts that a device slot served */
	uint64_t mapped_device; /* bytes, by faults on devices; what was unmapped stays counted */
};

/* What one CPU did to the guest's memory as the host of it, in pages (reclaim.c). */
struct hyp_reclaim {
	uint64_t scanned; /* looked at, whether they were used since the last pass ... */
	uint64_t young;   /* ... and those that were */
	uint64_t taken;
	uint64_t zeros; /* of these: nothing but zeros, so nothing was stored */
	uint64_t given_back;
	uint64_t moved;
	uint64_t merged;   /* lost their frame to an equal one */
	uint64_t unshared; /* written to, so got a frame of their own again */
};

/* Of one CPU, which alone writes here. */
struct hyp_percpu {
	uint64_t entered; /* CNTPCT at its last exit to EL2: a sign of life */
	struct hyp_counts counts;
	struct s2_walker walker; /* the engine's own counters are in it */
	struct hyp_reclaim reclaim;
} __attribute__((aligned(HYP_PERCPU)));

/* A run of leaves that are contiguous in gpa and alike, as found at the end. */
struct hyp_run {
	uint64_t gpa;
	uint64_t hpa;
	uint64_t size;
	uint8_t level;
	uint8_t prot;
	uint8_t type;
	uint8_t young;
	uint32_t leaves;
};

#define HYP_FAULTS 131072
#define HYP_CHUNK  16 /* faults that a CPU may log from one draw of `drawn` on */
#define HYP_RUNS   16384

struct hyp_report {
	uint64_t magic; /* written last */
	uint32_t version;
	uint32_t state; /* enum hyp_state */
	uint32_t end;   /* enum hyp_end */
	uint32_t cpus;  /* started so far */
	uint64_t timer_hz;
	uint64_t guest_start; /* CNTPCT */
	uint64_t guest_end;
	uint64_t ram_base; /* the guest's */
	uint64_t ram_size;
	uint64_t reserve_size;
	uint64_t tail_size;      /* behind the guest's */
	uint64_t pages_out_peak; /* of pages that were out at the same time */
	uint32_t block_level;
	uint32_t ipa_bits;
	struct s2_cpu cpu;
	uint64_t mapped_ram; /* bytes, by the walk at the end */
	uint64_t mapped_device;
	/* Root included, stocks not. What CPUs linked and unlinked since is in their walkers. */
	uint64_t table_pages_start; /* when the guest started */
	uint64_t table_pages_known; /* what CPUs have accounted: now and then, report_tables() */
	uint64_t table_pages_peak;  /* of that */
	uint64_t drawn;  /* slots of faults[] that were handed out, in chunks; may exceed it */
	uint64_t nruns;  /* may exceed HYP_RUNS */
	char text[4096]; /* NUL-terminated: reason of the end, crash dump */
	/* tests/guest/run looks for the exits here. */
	struct hyp_percpu percpu[HYP_MAX_CPUS] __attribute__((aligned(4096)));
	struct hyp_fault faults[HYP_FAULTS];
	struct hyp_run runs[HYP_RUNS];
};

_Static_assert(HYP_FAULTS % HYP_CHUNK == 0, "a chunk is whole");
_Static_assert(sizeof(struct hyp_percpu) == HYP_PERCPU, "tests/guest/run knows it");
_Static_assert(offsetof(struct hyp_report, percpu) == 0x2000, "tests/guest/run knows it");

#endif
