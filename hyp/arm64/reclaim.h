/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host that takes memory away from a running guest: `stage2 run --reclaim --merge`
 * (docs/hypervisor.md). frames.c knows where each page of the guest is, reclaim.c decides.
 */
#ifndef HYP_RECLAIM_H
#define HYP_RECLAIM_H

#include "hyp.h"

#define FRAME_SIZE_4K 4096ull

/* What backs a page of the guest, in the low bits of its word; the address is above. */
enum where {
	WHERE_HOME, /* the frame that it had at the start: the word is 0 */
	WHERE_HERE, /* a frame, which other pages may show, too */
	WHERE_AWAY, /* a slot of the store */
	WHERE_ZERO, /* nothing: it is all zeros */
	WHERE_BUSY, /* somebody is just changing it */
	WHERE_BITS = 4095,
};

/* Of 2 MiB of the guest. */
enum region_flag {
	REGION_SEEN = 1u << 0,  /* the guest has touched it */
	REGION_BLOCK = 1u << 1, /* it was given as one block: which pages were touched is unknown */
	REGION_BROKEN = 1u << 2, /* not all of it is at home any more: no block */
};

struct frames {
	uint64_t base; /* of the guest's RAM, and of its frames */
	uint64_t npages;
	uint64_t nframes; /* the spare ones last */
	uint64_t *words;  /* of each page: where it is */
	uint32_t *shares; /* of each frame: how many pages show it beyond the first */
	uint8_t *age;     /* of each page: passes of the scanner since it was young */
	uint8_t *regions; /* enum region_flag */
	uint64_t *table;  /* merging: hash above, page below */
	uint64_t tablemask;
	uint32_t lock;   /* covers what follows; held for a few instructions */
	uint32_t nslots; /* free ones */
	uint32_t *slots;
	uint64_t store; /* contents of the slots */
	uint64_t limit; /* pages that may be out */
	uint64_t out;   /* pages that are; atomic */
	uint32_t *ring; /* free frames, poisoned, the longest free first */
	uint64_t ring_head, ring_tail;
};

extern struct frames hyp_frames;

/* For the port: what is behind an address that is in no region of its own. */
int reclaim_resolve(s2_hva_t hva, enum s2_access access, struct s2_page *page);
/* At the end of an exit, outside the engine: what the exit's fault wants, then perhaps a step. */
void reclaim_turn(struct hyp_cpu *cpu);
/* The guest waits for an interrupt (WFI or its like, with this syndrome). */
void reclaim_idle(struct hyp_cpu *cpu, uint64_t esr);
/* Where a byte of the guest's RAM is now; 0 if it is nowhere. It may go at any time. */
uint64_t reclaim_frame(uint64_t gpa);

/* Lays the tables into the guest's tail. Boot CPU. */
void frames_start(const struct hyp_guest *guest);

static inline uint64_t frames_gpa(uint64_t n)
{
	return hyp_frames.base + n * FRAME_SIZE_4K;
}

/* The frame of a word that is HOME or HERE. */
static inline uint64_t frames_of(uint64_t n, uint64_t word)
{
	return word == WHERE_HOME ? frames_gpa(n) : word & ~(uint64_t)WHERE_BITS;
}

static inline uint64_t frames_word(uint64_t n)
{
	return __atomic_load_n(&hyp_frames.words[n], __ATOMIC_ACQUIRE);
}

static inline void frames_set(uint64_t n, uint64_t word)
{
	__atomic_store_n(&hyp_frames.words[n], word, __ATOMIC_RELEASE);
}

static inline uint32_t *frames_shares(uint64_t frame)
{
	return &hyp_frames.shares[(frame - hyp_frames.base) / FRAME_SIZE_4K];
}

static inline uint8_t frames_age(uint64_t n)
{
	return __atomic_load_n(&hyp_frames.age[n], __ATOMIC_RELAXED);
}

static inline void frames_set_age(uint64_t n, uint8_t age)
{
	__atomic_store_n(&hyp_frames.age[n], age, __ATOMIC_RELAXED);
}

/* Makes page n busy if it still is as `word` says. Who did it ends it with frames_set(). */
int frames_claim(uint64_t n, uint64_t word);

/* A frame whose poison nobody has touched, or 0 if none is free just now. */
uint64_t frames_alloc(void);
/* No guest can reach it any more: poisons it. */
void frames_free(uint64_t frame);
void frames_copy(uint64_t to, uint64_t from);
void frames_zero(uint64_t frame);
/* What the guest wrote past the caches becomes visible here. */
void frames_sync(uint64_t frame);
int frames_is_zero(uint64_t frame);
int frames_equal(uint64_t a, uint64_t b);
uint64_t frames_hash(uint64_t frame);
/* Into the store: the slot, or 0 if there is none. */
uint64_t frames_store(uint64_t frame);
/* Out of it; the slot is free then. */
void frames_fetch(uint64_t slot, uint64_t frame);

#endif
