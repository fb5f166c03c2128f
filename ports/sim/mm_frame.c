// SPDX-License-Identifier: BSD-2-Clause
/*
 * Frames: allocation, references, who maps what (see mm.h). All with the lock held.
 *
 * Zones lie apart in physical memory. RAM and the pool of hugetlb are freed when the last reference
 * goes. Memory of a DAX device is idle then, and free when no file has it either. What a driver has
 * (NOREF) and the zeros have no references at all: their lists of pages are kept, for the audit
 * and because a host knows whom to tell; nothing keeps them alive.
 *
 * A frame that is freed gets contents that nobody wrote, and under the checker it is taken back.
 * What was freed last comes back first every other time, for that shows stale translations best.
 */
#include <stdlib.h>

#include "machine.h"
#include "mm.h"

#define GARBAGE 0xdeaddeaddeaddeadull

static int counts_refs(const struct mm_frame *frame)
{
	return frame->zone <= MM_ZONE_DAX;
}

void mm_frames_init(struct sim_mm *mm)
{
	static const uint32_t chunks[MM_ZONES] = { 7, 3, 4, 4, 1 };
	uint32_t n = 0;

	for (unsigned int z = 0; z < MM_ZONES; z++) {
		uint32_t c = mm->config.chunks[z] ? mm->config.chunks[z] : chunks[z];

		mm->zone[z] = (struct mm_zone){ .hpa = (4ull << 30) + ((uint64_t)z << 34),
						.first = n,
						.n = c * MM_IN_2M,
						.last = MM_NONE };
		n += c * MM_IN_2M;
	}
	mm->nframes = n;
	mm->frames = calloc(n, sizeof(*mm->frames));
	if (!mm->frames)
		abort();
	for (unsigned int z = 0; z < MM_ZONES; z++) {
		for (uint32_t i = 0; i < mm->zone[z].n; i++)
			mm->frames[mm->zone[z].first + i] =
				(struct mm_frame){ .zone = (uint8_t)z,
						   .maps = MM_NONE,
						   .state = z == MM_ZONE_ZERO ? MM_USED : MM_FREE };
		pthread_mutex_lock(&mm->sim->lock);
		if (z != MM_ZONE_ZERO)
			sim_tell(mm->sim, S2C_TAKE, 0, mm->zone[z].hpa, mm->zone[z].n * MM_SIZE);
		pthread_mutex_unlock(&mm->sim->lock);
	}
}

uint64_t mm_hpa(const struct sim_mm *mm, uint32_t frame)
{
	const struct mm_zone *zone = &mm->zone[mm->frames[frame].zone];

	return zone->hpa + (uint64_t)(frame - zone->first) * MM_SIZE;
}

uint32_t mm_frame_at(const struct sim_mm *mm, uint64_t hpa)
{
	for (unsigned int z = 0; z < MM_ZONES; z++) {
		const struct mm_zone *zone = &mm->zone[z];

		if (hpa >= zone->hpa && hpa - zone->hpa < zone->n * MM_SIZE)
			return zone->first + (uint32_t)((hpa - zone->hpa) >> MM_SHIFT);
	}
	return MM_NONE;
}

void mm_tell_taken(struct sim_mm *mm)
{
	if (!mm->taken_size)
		return;
	pthread_mutex_lock(&mm->sim->lock);
	sim_tell(mm->sim, S2C_TAKE, 0, mm->taken, mm->taken_size);
	pthread_mutex_unlock(&mm->sim->lock);
	mm->taken_size = 0;
}

static void take_back(struct sim_mm *mm, uint32_t frame, enum mm_state state)
{
	struct mm_frame *f = &mm->frames[frame];
	uint64_t hpa = mm_hpa(mm, frame);

	if (f->nmaps || f->looks || f->cached)
		sim_fail(mm->sim,
			 "mm-freed: frame %u is freed, with %u pages, %u lookups, cache %u", frame,
			 f->nmaps, f->looks, f->cached);
	f->state = (uint8_t)state;
	f->contents = GARBAGE;
	mm->zone[f->zone].last = frame;
	mm->zone[f->zone].used--;
	if (mm->taken_size && mm->taken + mm->taken_size != hpa)
		mm_tell_taken(mm);
	if (!mm->taken_size)
		mm->taken = hpa;
	mm->taken_size += MM_SIZE;
}

static void give(struct sim_mm *mm, uint32_t frame, uint32_t n)
{
	mm_tell_taken(mm);
	for (uint32_t i = 0; i < n; i++)
		mm->frames[frame + i].state = MM_NEW;
	mm->zone[mm->frames[frame].zone].used += n;
	pthread_mutex_lock(&mm->sim->lock);
	sim_tell(mm->sim, S2C_GIVE, 0, mm_hpa(mm, frame), n * MM_SIZE);
	pthread_mutex_unlock(&mm->sim->lock);
}

uint32_t mm_alloc(struct sim_mm *mm, enum mm_zone_id z, uint64_t *rng)
{
	struct mm_zone *zone = &mm->zone[z];
	uint32_t at = zone->last;

	if (zone->used == zone->n)
		return MM_NONE;
	if (at == MM_NONE || mm->frames[at].state != MM_FREE || mm_random(rng, 2))
		at = zone->first; /* so that blocks stay free elsewhere */
	for (uint32_t i = 0; i < zone->n; i++) {
		uint32_t frame = zone->first + (at - zone->first + i) % zone->n;

		if (mm->frames[frame].state == MM_FREE) {
			give(mm, frame, 1);
			return frame;
		}
	}
	return MM_NONE;
}

uint32_t mm_alloc_block(struct sim_mm *mm, enum mm_zone_id z, uint64_t *rng)
{
	struct mm_zone *zone = &mm->zone[z];
	uint32_t chunks = zone->n / MM_IN_2M, at = (uint32_t)mm_random(rng, chunks);

	for (uint32_t i = 0; i < chunks; i++) {
		uint32_t frame = zone->first + (at + i) % chunks * MM_IN_2M, n = 0;

		while (n < MM_IN_2M && mm->frames[frame + n].state == MM_FREE)
			n++;
		if (n == MM_IN_2M) {
			give(mm, frame, MM_IN_2M);
			return frame;
		}
	}
	return MM_NONE;
}

void mm_fill(struct sim_mm *mm, uint32_t frame, uint64_t contents)
{
	mm->frames[frame].contents = contents;
	if (mm->sim->model)
		sim_host_wrote(mm->sim, mm_hpa(mm, frame), MM_SIZE);
}

/* Nobody holds it any more: what is to become of it? */
static void released(struct sim_mm *mm, uint32_t frame)
{
	struct mm_frame *f = &mm->frames[frame];

	if (!f->cached && !f->refs && f->state != MM_FREE && counts_refs(f))
		take_back(mm, frame, f->state == MM_USED ? MM_FREE : (enum mm_state)f->state);
}

static void get(struct sim_mm *mm, uint32_t frame)
{
	struct mm_frame *f = &mm->frames[frame];

	if (f->state == MM_FREE)
		sim_fail(mm->sim, "mm-refs: a reference to frame %u, which is free", frame);
	f->refs++;
}

static void put(struct sim_mm *mm, uint32_t frame)
{
	struct mm_frame *f = &mm->frames[frame];

	if (!f->refs)
		sim_fail(mm->sim, "mm-refs: frame %u: a reference too few", frame);
	if (!--f->refs)
		released(mm, frame);
}

void mm_look(struct sim_mm *mm, uint32_t frame)
{
	if (!counts_refs(&mm->frames[frame]))
		return;
	get(mm, frame);
	mm->frames[frame].looks++;
}

void mm_unlook(struct sim_mm *mm, uint32_t frame)
{
	if (!counts_refs(&mm->frames[frame]))
		return;
	mm->frames[frame].looks--;
	put(mm, frame);
}

void mm_map(struct sim_mm *mm, struct mm_page *page, uint32_t frame)
{
	struct mm_frame *f = &mm->frames[frame];
	uint32_t index = mm_index(mm, page);

	if (page->frame != MM_NONE || page->swap)
		sim_fail(mm->sim, "mm-refs: page %u gets a second frame", index);
	if (f->state == MM_NEW)
		f->state = MM_USED;
	page->frame = frame;
	page->next = f->maps;
	page->prev = MM_NONE;
	if (f->maps != MM_NONE)
		mm->pages[f->maps].prev = index;
	f->maps = index;
	f->nmaps++;
	if (counts_refs(f))
		get(mm, frame);
}

void mm_unmap(struct sim_mm *mm, struct mm_page *page)
{
	uint32_t frame = page->frame;
	struct mm_frame *f = &mm->frames[frame];

	if (__atomic_load_n(&page->held, __ATOMIC_RELAXED))
		sim_fail(mm->sim, "mm-hold: page %u goes while a hold of it is in use",
			 mm_index(mm, page));
	if (page->prev == MM_NONE)
		f->maps = page->next;
	else
		mm->pages[page->prev].next = page->next;
	if (page->next != MM_NONE)
		mm->pages[page->next].prev = page->prev;
	page->frame = MM_NONE;
	page->writable = page->huge = 0;
	f->nmaps--;
	if (counts_refs(f))
		put(mm, frame);
}

/* The cache of a file in RAM is a holder; a file on a DAX device, or a driver, owns. */
void mm_cache(struct sim_mm *mm, struct mm_file_page *page, uint32_t frame)
{
	page->frame = frame;
	mm->frames[frame].state = MM_USED;
	mm->frames[frame].cached = 1;
	if (mm->frames[frame].zone == MM_ZONE_RAM)
		get(mm, frame);
}

void mm_uncache(struct sim_mm *mm, struct mm_file_page *page)
{
	uint32_t frame = page->frame;
	struct mm_frame *f = &mm->frames[frame];

	page->frame = MM_NONE;
	f->cached = 0;
	if (f->zone == MM_ZONE_RAM)
		put(mm, frame);
	else if (f->zone == MM_ZONE_DAX)
		released(mm, frame);
	else /* at once, whoever may still be looking */
		take_back(mm, frame, f->state == MM_USED ? MM_FREE : (enum mm_state)f->state);
}

uint32_t mm_swap_slot(struct sim_mm *mm)
{
	for (uint32_t i = 0; i < mm->config.swap; i++) {
		if (mm->swap[i].refs || mm->swap[i].reserved)
			continue;
		mm->swap[i].reserved = 1;
		return i + 1;
	}
	return 0;
}

void mm_swap_put(struct sim_mm *mm, struct mm_page *page)
{
	if (!mm->swap[page->swap - 1].refs--)
		sim_fail(mm->sim, "mm-refs: swap slot %u: a reference too few", page->swap);
	page->swap = 0;
}

void mm_zap(struct sim_mm *mm, struct mm_page *page)
{
	if (page->frame != MM_NONE)
		mm_unmap(mm, page);
	if (page->swap)
		mm_swap_put(mm, page);
	page->poison = page->writable = page->huge = 0;
}

/* Holders of each frame, counted from their side. */
static void audit_frame(struct sim_mm *mm, uint32_t frame)
{
	const struct mm_frame *f = &mm->frames[frame];
	uint32_t holders = f->looks, n = 0;

	for (uint32_t i = f->maps; i != MM_NONE; i = mm->pages[i].next) {
		if (mm->pages[i].frame != frame || n++ > mm->npages) {
			sim_fail(mm->sim, "mm-refs: frame %u: its list of pages is broken", frame);
			return;
		}
	}
	if (n != f->nmaps)
		sim_fail(mm->sim, "mm-refs: frame %u: %u pages map it, %u say so", frame, f->nmaps,
			 n);
	holders += n;
	if (f->cached && f->zone == MM_ZONE_RAM)
		holders++;
	if (!counts_refs(f))
		holders = 0;
	if (f->refs != holders)
		sim_fail(mm->sim, "mm-refs: frame %u: %u references, %u holders", frame, f->refs,
			 holders);
	if ((f->state == MM_FREE && f->refs) || (f->state != MM_USED && (f->nmaps || f->cached)))
		sim_fail(mm->sim, "mm-freed: frame %u is free, and in use", frame);
	if (f->state == MM_USED && f->zone <= MM_ZONE_NOREF && !f->refs && !f->cached)
		sim_fail(mm->sim, "mm-refs: frame %u is nobody's and not free", frame);
}

static void audit_pages(struct sim_mm *mm)
{
	uint64_t maps = 0, swapped = 0;

	for (uint32_t i = 0; i < mm->npages; i++) {
		const struct mm_page *page = &mm->pages[i];

		maps += page->frame != MM_NONE;
		swapped += page->swap != 0;
		if ((page->frame == MM_NONE && (page->writable || page->huge)) ||
		    (page->writable && !(page->prot & S2_W)) ||
		    (!page->mapped && (page->frame != MM_NONE || page->swap)))
			sim_fail(mm->sim, "mm-refs: page %u contradicts itself", i);
	}
	for (uint32_t i = 0; i < mm->nframes; i++)
		maps -= mm->frames[i].nmaps;
	for (uint32_t i = 0; i < mm->config.swap; i++)
		swapped -= mm->swap[i].refs;
	if (maps || swapped)
		sim_fail(mm->sim, "mm-refs: lists of pages, or of the swap, are short");
}

void mm_audit(struct sim_mm *mm)
{
	mm_lock(mm);
	for (uint32_t i = 0; i < mm->nframes; i++)
		audit_frame(mm, i);
	audit_pages(mm);
	mm_unlock(mm);
}
