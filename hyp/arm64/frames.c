// SPDX-License-Identifier: BSD-2-Clause
/*
 * Where the pages of the guest are, for reclaim.c: a word a page, the frames, the store.
 *
 * Frames are the guest's own RAM, where at the start each page is in the one at its address, and a
 * few spare ones behind it. One that is
 * taken is overwritten with a poison at once and put at the end of a ring; the longest free one is
 * used next, and must still have all its poison: somebody's stale translation would have changed
 * it. So both directions are caught: a stale read makes the guest's checksums wrong, a stale
 * write ends the run.
 *
 * The store is memory behind the guest's, a slot a page. Contents are inverted there: a slot that
 * was mapped by mistake would be no use to anybody.
 *
 * There are more frames than pages, so one is free for each page that is out or shows another's
 * frame; less those that somebody is just filling. Who finds none says "not now".
 *
 * Concurrency: a word changes by compare-and-swap to BUSY and is then its claimer's until he
 * stores the next one. `lock` covers the ring and the free slots and nothing is called under it.
 */
#include <string.h>

#include "reclaim.h"
#include "tracing.h"

#define POISON 0xbad0add0bad0add0ull
#define WORDS  (FRAME_SIZE_4K / 8)
#define MIX    0x9e3779b97f4a7c15ull /* odd, with bits everywhere */

struct frames hyp_frames;

static void lock(void)
{
	while (__atomic_exchange_n(&hyp_frames.lock, 1, __ATOMIC_ACQUIRE))
		cpu_relax();
}

static void unlock(void)
{
	__atomic_store_n(&hyp_frames.lock, 0, __ATOMIC_RELEASE);
}

/* The next `size` bytes of the tail, zeroed. */
static void *cut(uint64_t *at, uint64_t size)
{
	void *start = (void *)*at;

	*at += (size + 63) & ~63ull;
	memset(start, 0, size);
	return start;
}

void frames_start(const struct hyp_guest *guest)
{
	struct frames *f = &hyp_frames;
	uint64_t end = guest->ram_base + guest->ram_size + guest->tail;
	uint64_t n = guest->ram_size / FRAME_SIZE_4K, frames = n + HYP_SPARE_FRAMES, at;

	if (cpu_has_tags())
		hyp_end(HYP_END_ERROR, "stage2.reclaim, .merge: a page's allocation tags (MTE) "
				       "would not move with it");
	f->base = guest->ram_base;
	f->npages = n;
	f->nframes = frames;
	at = f->base + frames * FRAME_SIZE_4K;
	f->limit = n * guest->reclaim / 100;
	f->nslots = (uint32_t)f->limit;
	for (f->tablemask = 1; f->tablemask < n / 2; f->tablemask *= 2)
		;
	f->words = cut(&at, n * sizeof(*f->words));
	f->shares = cut(&at, frames * sizeof(*f->shares));
	f->ring = cut(&at, frames * sizeof(*f->ring));
	f->slots = cut(&at, f->limit * sizeof(*f->slots));
	f->age = cut(&at, n);
	f->regions = cut(&at, n / 512 + 1);
	f->table = cut(&at, f->tablemask-- * sizeof(*f->table));
	f->store = (at + FRAME_SIZE_4K - 1) & ~(FRAME_SIZE_4K - 1);
	for (uint32_t i = 0; i < f->nslots; i++)
		f->slots[i] = i;
	if (f->store + f->limit * FRAME_SIZE_4K > end)
		hyp_end(HYP_END_ERROR, "hyp_tail_size() is too small for %llu pages",
			(unsigned long long)n);
	for (uint64_t i = n; i < frames; i++)
		frames_free(frames_gpa(i));
}

/* No block may be there from now on: said before the page can change. */
int frames_claim(uint64_t n, uint64_t word)
{
	__atomic_fetch_or(&hyp_frames.regions[n / 512], REGION_BROKEN, __ATOMIC_SEQ_CST);
	return __atomic_compare_exchange_n(&hyp_frames.words[n], &word, WHERE_BUSY, 0,
					   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static void fill(uint64_t frame, uint64_t value)
{
	uint64_t *word = (uint64_t *)frame;

	for (unsigned int i = 0; i < WORDS; i += 4) {
		word[i] = value;
		word[i + 1] = value;
		word[i + 2] = value;
		word[i + 3] = value;
	}
}

/* The poison of a frame: no two are alike. */
static uint64_t poison(uint64_t frame)
{
	return POISON ^ frame;
}

/* The guest may be writing there. */
static uint64_t word_of(uint64_t frame, unsigned int i)
{
	return __atomic_load_n((const uint64_t *)frame + i, __ATOMIC_RELAXED);
}

static uint64_t differs(uint64_t frame, uint64_t value)
{
	uint64_t difference = 0;

	for (unsigned int i = 0; i < WORDS && !difference; i += 4)
		difference = (word_of(frame, i) ^ value) | (word_of(frame, i + 1) ^ value) |
			     (word_of(frame, i + 2) ^ value) | (word_of(frame, i + 3) ^ value);
	return difference;
}

uint64_t frames_alloc(void)
{
	struct frames *f = &hyp_frames;
	uint64_t frame = 0;

	lock();
	if (f->ring_head != f->ring_tail)
		frame = frames_gpa(f->ring[f->ring_tail++ % f->nframes]);
	unlock();
	if (!frame)
		return 0;
	if (differs(frame, poison(frame)))
		hyp_end(HYP_END_ERROR, "0x%llx was written after it had been taken from the guest",
			(unsigned long long)frame);
	tracing_give((void *)frame, FRAME_SIZE_4K);
	return frame;
}

void frames_free(uint64_t frame)
{
	struct frames *f = &hyp_frames;

	tracing_take((void *)frame, FRAME_SIZE_4K);
	fill(frame, poison(frame));
	lock();
	f->ring[f->ring_head++ % f->nframes] = (uint32_t)((frame - f->base) / FRAME_SIZE_4K);
	unlock();
}

/* to = from with the bits of `mask` turned round. */
static void transfer(uint64_t to, uint64_t from, uint64_t mask)
{
	const uint64_t *f = (const uint64_t *)from;
	uint64_t *t = (uint64_t *)to;

	for (unsigned int i = 0; i < WORDS; i += 4) {
		t[i] = f[i] ^ mask;
		t[i + 1] = f[i + 1] ^ mask;
		t[i + 2] = f[i + 2] ^ mask;
		t[i + 3] = f[i + 3] ^ mask;
	}
}

void frames_copy(uint64_t to, uint64_t from)
{
	transfer(to, from, 0);
}

void frames_zero(uint64_t frame)
{
	fill(frame, 0);
}

/* With FEAT_S2FWB the guest cannot go past the caches. */
void frames_sync(uint64_t frame)
{
	const struct el2_port *el2 = &hyp_guest.port;

	if (!(el2->cpu.features & S2_CPU_FWB))
		el2->port.cache_sync(el2->port.ctx, s2_hpa(frame), FRAME_SIZE_4K, S2_SYNC_DATA);
}

int frames_is_zero(uint64_t frame)
{
	return !differs(frame, 0);
}

int frames_equal(uint64_t a, uint64_t b)
{
	const uint64_t *x = (const uint64_t *)a;
	const uint64_t *y = (const uint64_t *)b;

	for (unsigned int i = 0; i < WORDS; i++)
		if (x[i] != y[i])
			return 0;
	return 1;
}

/*
 * Of every eighth word: who finds an equal hash compares. If the guest is writing there, it is a
 * hash of nothing in particular.
 */
uint64_t frames_hash(uint64_t frame)
{
	uint64_t hash = 0;

	for (unsigned int i = 0; i < WORDS; i += 8) {
		hash = (hash ^ word_of(frame, i)) * MIX;
		hash ^= hash >> 29;
	}
	return hash;
}

uint64_t frames_store(uint64_t frame)
{
	struct frames *f = &hyp_frames;
	uint64_t slot = 0;

	lock();
	if (f->nslots)
		slot = f->store + f->slots[--f->nslots] * FRAME_SIZE_4K;
	unlock();
	if (slot)
		transfer(slot, frame, ~0ull);
	return slot;
}

void frames_fetch(uint64_t slot, uint64_t frame)
{
	struct frames *f = &hyp_frames;

	transfer(frame, slot, ~0ull);
	fill(slot, POISON);
	lock();
	f->slots[f->nslots++] = (uint32_t)((slot - f->store) / FRAME_SIZE_4K);
	unlock();
}
