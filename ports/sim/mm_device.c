// SPDX-License-Identifier: BSD-2-Clause
/*
 * What happens to memory that no reference keeps (see mm.h, mm_op.c): a DAX device loses a part, a
 * device is closed and opened again somewhere else, a driver moves its buffers. And broken frames
 * are replaced.
 */
#include "machine.h"
#include "mm.h"

static int give_up(struct mm_op *op)
{
	mm_unclaim(op);
	mm_unlock(op->mm);
	return 0;
}

static int set_frames(struct sim_mm *mm, uint32_t first, uint32_t n, enum mm_state from,
		      enum mm_state to)
{
	int changed = 0;

	for (uint32_t i = first; i < first + n; i++) {
		if (mm->frames[i].state != from || mm->frames[i].refs)
			continue;
		mm->frames[i].state = (uint8_t)to;
		changed = 1;
	}
	return changed;
}

int mm_op_repair(struct mm_op *op, struct mm_page *page)
{
	const struct mm_zone *zone = &op->mm->zone[MM_ZONE_RAM];
	int done;

	(void)page;
	mm_lock(op->mm);
	done = set_frames(op->mm, zone->first, zone->n, MM_BROKEN, MM_FREE);
	mm_unlock(op->mm);
	return done;
}

/* The file that has these 2M of the device, and where in it. */
static struct mm_file *owner_of(struct sim_mm *mm, uint32_t chunk, uint32_t *first)
{
	for (unsigned int i = 0; i < mm->nfiles; i++) {
		struct mm_file *file = &mm->file[i];

		for (uint32_t n = 0; file->zone == MM_ZONE_DAX && n < file->npages; n += MM_IN_2M) {
			*first = n;
			if (file->page[n].frame == chunk)
				return file;
		}
	}
	return NULL;
}

static void unplug_owned(struct mm_op *op, struct mm_file *file, uint32_t first)
{
	struct sim_mm *mm = op->mm;

	for (unsigned int c = 0; c < op->nclaims; c++)
		for (uint32_t i = 0; i < op->claim[c].n; i++)
			mm_zap(mm, &mm->pages[op->claim[c].first + i]);
	for (uint32_t i = first; i < first + MM_IN_2M; i++) {
		struct mm_file_page *fp = &file->page[i];

		mm->frames[fp->frame].state = MM_OFFLINE;
		fp->disk = fp->expect = 0;
		mm_uncache(mm, fp);
	}
}

/* A part of the device goes, whoever uses it. */
int mm_op_unplug(struct mm_op *op, struct mm_page *page)
{
	struct sim_mm *mm = op->mm;
	const struct mm_zone *zone = &mm->zone[MM_ZONE_DAX];
	uint32_t chunk, first;
	struct mm_file *file;
	int done = 0;

	if (mm_area_of(mm, page)->kind != MM_DAX)
		return 0;
	mm_lock(mm);
	chunk = zone->first + (uint32_t)mm_random(op->rng, zone->n / MM_IN_2M) * MM_IN_2M;
	file = owner_of(mm, chunk, &first);
	if (file && mm_claim_file(op, file, first, MM_IN_2M))
		return give_up(op);
	if (!file) {
		done = set_frames(mm, chunk, MM_IN_2M, MM_FREE, MM_OFFLINE);
		mm_unlock(mm);
		return done;
	}
	mm_unlock(mm);
	mm_begin_all(op, S2_INVAL_UNMAP);
	mm_lock(mm);
	/* Claims are of whole blocks, or of areas that have only a part of it. */
	unplug_owned(op, file, first);
	mm_unlock(mm);
	mm_end(op);
	return 1;
}

int mm_op_plug(struct mm_op *op, struct mm_page *page)
{
	const struct mm_zone *zone = &op->mm->zone[MM_ZONE_DAX];
	int done;

	(void)page;
	mm_lock(op->mm);
	done = set_frames(op->mm, zone->first, zone->n, MM_OFFLINE, MM_FREE);
	mm_unlock(op->mm);
	return done;
}

static void tell(struct sim_mm *mm, unsigned int kind, const struct mm_area *area)
{
	pthread_mutex_lock(&mm->sim->lock);
	sim_tell(mm->sim, kind, 0, area->hpa, area->npages * MM_SIZE);
	pthread_mutex_unlock(&mm->sim->lock);
}

int mm_op_close(struct mm_op *op, struct mm_page *page)
{
	struct sim_mm *mm = op->mm;
	struct mm_area *area = mm_area_of(mm, page);

	if (area->kind != MM_DEVICE)
		return 0;
	mm_lock(mm);
	if (!area->open || mm_claim(op, area->first, area->npages))
		return give_up(op);
	mm_unlock(mm);
	mm_begin_all(op, S2_INVAL_UNMAP);
	mm_lock(mm);
	area->open = 0;
	tell(mm, S2C_TAKE, area);
	mm_unlock(mm);
	mm_end(op);
	return 1;
}

/* It comes back elsewhere: aligned as the area is, so that blocks are possible, or not. */
int mm_op_open(struct mm_op *op, struct mm_page *page)
{
	struct sim_mm *mm = op->mm;
	struct mm_area *area = mm_area_of(mm, page);

	if (area->kind != MM_DEVICE)
		return 0;
	mm_lock(mm);
	if (area->open || mm_claim(op, area->first, area->npages))
		return give_up(op);
	area->moves++;
	area->hpa = (1ull << 40) + ((uint64_t)page->area << 33) +
		    ((uint64_t)(area->moves % 8) << 29) + (area->hva & (MM_2M - 1));
	if (area->moves % 3 == 0)
		area->hpa += mm_random(op->rng, 16) * MM_SIZE;
	area->open = 1;
	tell(mm, S2C_GIVE, area);
	mm_unclaim(op);
	mm_unlock(mm);
	return 1;
}

/* The driver has room elsewhere for a page, or for a block. No reference keeps the old one. */
static int move(struct mm_op *op, struct mm_file *file, uint32_t first, uint32_t frame, uint32_t n)
{
	struct sim_mm *mm = op->mm;

	mm_begin_all(op, S2_INVAL_UNMAP);
	for (uint32_t i = 0; i < n; i++)
		mm_fill(mm, frame + i, mm->frames[file->page[first + i].frame].contents);
	mm_point(mm);
	mm_lock(mm);
	for (unsigned int c = 0; c < op->nclaims; c++) {
		mm_unhuge(op, c);
		for (uint32_t i = 0; i < op->claim[c].n; i++) {
			struct mm_page *page = &mm->pages[op->claim[c].first + i];
			uint32_t at = (uint32_t)(mm_file_page(mm, page) - file->page);

			if (at - first < n)
				mm_zap(mm, page);
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		mm_uncache(mm, &file->page[first + i]);
		mm_cache(mm, &file->page[first + i], frame + i);
	}
	mm_unlock(mm);
	mm_end(op);
	return 1;
}

int mm_op_move(struct mm_op *op, struct mm_page *page)
{
	struct sim_mm *mm = op->mm;
	const struct mm_area *area = mm_area_of(mm, page);
	struct mm_file *file = area->file;
	uint32_t first, frame, n = 1;

	if (area->kind != MM_PFN && area->kind != MM_NOREF)
		return 0;
	mm_lock(mm);
	first = (uint32_t)(mm_file_page(mm, page) - file->page);
	if (area->kind == MM_PFN && mm_random(op->rng, 4)) {
		n = MM_IN_2M;
		first &= ~(MM_IN_2M - 1u);
	}
	for (uint32_t i = first; i < first + n; i++)
		if (i >= file->npages || file->page[i].frame == MM_NONE)
			return give_up(op);
	if (mm_claim_file(op, file, first, n))
		return give_up(op);
	frame = n == 1 ? mm_alloc(mm, MM_ZONE_NOREF, op->rng)
		       : mm_alloc_block(mm, MM_ZONE_NOREF, op->rng);
	if (frame == MM_NONE)
		return give_up(op);
	mm_unlock(mm);
	return move(op, file, first, frame, n);
}
