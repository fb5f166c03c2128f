/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor that takes memory away (hyp/arm64/reclaim.c, frames.c), on a machine of the
 * test's: its guest's RAM is memory of this process, and at the same address in the guest.
 *
 * The guest's CPUs have a TLB each. An access holds its CPU's lock from the translation to the last
 * byte; an invalidation takes the locks of all in turn, so it waits for accesses by the old
 * translation, as those of hardware do. Each CPU has two words in each page that only it writes:
 * of one the hash of a page (frames_hash()) knows, of the other it does not. So what must be where
 * is known exactly, whatever the others do.
 *
 * What must hold, at each access:
 *	- the words of this CPU are what it wrote there last
 *	- the frame is none that was taken back
 *	- who writes is the only one who shows it
 * when a frame is taken back: no page shows it, no TLB leads to it, and it was not free already;
 * and when all is quiet (world_audit()):
 *	- every page, wherever it is, has the contents that the guest wrote
 *	- a frame is shown by as many pages as it has shares, plus 1; or it is free, once
 *	- so is a slot; and pages that are out were counted
 *
 * Who plays (races.c in every order, threads.c with threads) brings the functions below.
 */
#ifndef TESTS_RECLAIM_WORLD_H
#define TESTS_RECLAIM_WORLD_H

#include "reclaim.h"

#define WORLD_CPUS  4
#define WORLD_PAGES 1024u /* at most */
#define WORLD_WORDS 2     /* of each CPU in each page */

struct world_config {
	const struct s2_port *port; /* tlb() calls world_tlb(), resolve() reclaim_resolve() */
	struct s2_cpu cpu;
	uint32_t pages; /* of the guest; 2 MiB's multiple */
	uint32_t used;  /* the first ones: no others are touched */
	uint32_t reclaim, merge, block_level;
};

void world_up(const struct world_config *config);
void world_down(void);
/* On this CPU, until it is done: with all the exits that it takes. The word's owner is `cpu`. */
void world_write(unsigned int cpu, uint64_t n, unsigned int word, uint64_t value);
/* `owner`: of the word; another CPU's must not be written just now. */
void world_read(unsigned int cpu, uint64_t n, unsigned int word, unsigned int owner);
/* The CPU's TLB gets what the tables have for the page, as hardware may do at any time. */
void world_prefetch(unsigned int cpu, uint64_t n);
/* What this CPU has written there. */
uint64_t world_value(unsigned int owner, uint64_t n, unsigned int word);
/* When nobody does anything. */
void world_audit(void);
/* The TLBs' part of the port's tlb(), called on `cpu`. */
void world_tlb(const struct s2_tlb_op *ops, size_t n, unsigned int cpu);

/* native.c: reclaim.c, with points, and what is static in it. */
void native_reset(void);
/* Nobody scans from here on, but by native_pass(). */
void native_hush(void);
void native_take(struct hyp_cpu *cpu, uint64_t n, unsigned int pages);
void native_move(struct hyp_cpu *cpu, uint64_t n);
void native_merge(struct hyp_cpu *cpu, uint64_t n, uint64_t other);
void native_offer(struct hyp_cpu *cpu, uint64_t n);
void native_pass(struct hyp_cpu *cpu);

/* Theirs who play. Which CPU runs? Another may come first. This one waits for another. */
unsigned int play_cpu(void);
void play_point(void);
void play_wait(void);
/* What the tables have for gpa: returns a right's absence as enum s2_fault_kind, or -1. */
int play_walk(unsigned int cpu, uint64_t gpa, uint64_t *hpa, unsigned int *prot);
void play_taken(uint64_t frame);
void play_given(uint64_t frame);
void play_empty(uint64_t gpa, uint64_t size);
_Noreturn void play_failed(const char *what);
void world_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
