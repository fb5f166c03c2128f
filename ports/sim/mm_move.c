// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a host does to the memory of others because it needs some, or has better (see mm.h,
 * mm_op.c): migration, compaction into blocks, their splitting, swapping, and what happens to a
 * file: reclaim of its cache, writing back, truncation.
 */
#include "mm.h"

/* Gives up before anything has begun; the lock is held. */
static int give_up(struct mm_op *op)
{
	mm_unclaim(op);
	mm_unlock(op->mm);
	return 0;
}

/* Whoever maps the one frame maps the other. */
static void replace(struct sim_mm *mm, uint32_t old, uint32_t new_frame)
{
	while (mm->frames[old].maps != MM_NONE) {
		struct mm_page *page = &mm->pages[mm->frames[old].maps];
		uint8_t writable = page->writable, huge = page->huge;

		mm_unmap(mm, page);
		mm_map(mm, page, new_frame);
		page->writable = writable;
		page->huge = huge;
	}
}

/* Copies while nobody can look (or write), lets others come first, and only then moves. */
static int migrate(struct mm_op *op, uint32_t frame, uint32_t new_frame, uint32_t n)
{
	struct sim_mm *mm = op->mm;
	struct mm_file_page *file;

	mm_begin_all(op, S2_INVAL_UNMAP);
	for (uint32_t i = 0; i < n; i++)
		mm_fill(mm, new_frame + i, mm->frames[frame + i].contents);
	mm_point(mm);
	mm_lock(mm);
	for (uint32_t i = 0; i < n; i++) {
		file = mm_file_page(mm, &mm->pages[mm->frames[frame + i].maps]);
		if (file)
			mm_cache(mm, file, new_frame);
		replace(mm, frame + i, new_frame + i);
		if (file) { /* the page is the new frame's now: this is for the old one */
			struct mm_file_page old = { .frame = frame };

			mm_uncache(mm, &old);
		}
	}
	mm_unlock(mm);
	mm_end(op);
	return 1;
}

int mm_op_migrate(struct mm_op *op, struct mm_page *page)
{
	struct sim_mm *mm = op->mm;
	uint32_t frame, new_frame, n;

	mm_lock(mm);
	if (page->frame == MM_NONE || mm->frames[page->frame].zone > MM_ZONE_HUGETLB)
		return give_up(op);
	n = page->huge ? MM_IN_2M : 1;
	frame = page->huge ? mm->pages[mm_block_of(mm, mm_index(mm, page))].frame : page->frame;
	/* Who maps one part of a block maps all of it, or it is left alone. */
	for (uint32_t f = frame; f < frame + n; f++) {
		if (mm->frames[f].nmaps != mm->frames[frame].nmaps)
			return give_up(op);
		for (uint32_t i = mm->frames[f].maps; i != MM_NONE; i = mm->pages[i].next)
			if (mm->pages[i].huge != page->huge)
				return give_up(op);
	}
	if (mm_claim_frame(op, frame))
		return give_up(op);
	new_frame = n == 1 ? mm_alloc(mm, MM_ZONE_RAM, op->rng)
			   : mm_alloc_block(mm, (enum mm_zone_id)mm->frames[frame].zone, op->rng);
	if (new_frame == MM_NONE)
		return give_up(op);
	mm_unlock(mm);
	return migrate(op, frame, new_frame, n);
}

/* Could these pages become one block? */
static int collapsible(struct sim_mm *mm, uint32_t block)
{
	uint32_t there = 0;

	for (uint32_t i = block; i < block + MM_IN_2M; i++) {
		const struct mm_page *page = &mm->pages[i];

		if (!page->mapped || page->poison || !page->prot ||
		    page->prot != mm->pages[block].prot)
			return 0;
		there += page->frame != MM_NONE;
	}
	return there >= 4 && !mm->pages[block].huge;
}

int mm_op_collapse(struct mm_op *op, struct mm_page *page)
{
	struct sim_mm *mm = op->mm;
	uint32_t block = mm_block_of(mm, mm_index(mm, page)), frame;

	if (mm_area_of(mm, page)->kind != MM_THP || block == MM_NONE)
		return 0;
	mm_lock(mm);
	if (!collapsible(mm, block) || mm_claim(op, block, MM_IN_2M))
		return give_up(op);
	frame = mm_alloc_block(mm, MM_ZONE_RAM, op->rng);
	if (frame == MM_NONE)
		return give_up(op);
	mm_unlock(mm);
	mm_begin_all(op, S2_INVAL_UNMAP);
	for (uint32_t i = 0; i < MM_IN_2M; i++) {
		const struct mm_page *p = &mm->pages[block + i];

		if (p->frame != MM_NONE)
			mm_fill(mm, frame + i, mm->frames[p->frame].contents);
		else /* slots of the swap do not change while somebody has them */
			mm_fill(mm, frame + i, p->swap ? mm->swap[p->swap - 1].contents : 0);
		if (i % 128 == 127)
			mm_point(mm);
	}
	mm_lock(mm);
	for (uint32_t i = 0; i < MM_IN_2M; i++) {
		struct mm_page *p = &mm->pages[block + i];

		mm_zap(mm, p);
		mm_map(mm, p, frame + i);
		p->huge = 1;
		p->writable = (p->prot & S2_W) != 0;
	}
	mm_unlock(mm);
	mm_end(op);
	return 1;
}

int mm_op_split(struct mm_op *op, struct mm_page *page)
{
	struct sim_mm *mm = op->mm;

	mm_lock(mm);
	if (!page->huge || mm_area_of(mm, page)->kind == MM_HUGETLB ||
	    mm_claim(op, mm_index(mm, page), 1))
		return give_up(op);
	mm_unlock(mm);
	mm_begin_all(op, S2_INVAL_UNMAP);
	mm_lock(mm);
	mm_unhuge(op, 0);
	mm_unlock(mm);
	mm_end(op);
	return 1;
}

/* Files */

/* Nothing maps pages [first, first + n) of the file any more: all who may were claimed. */
static void zap_file(struct mm_op *op, const struct mm_file *file, uint32_t first, uint32_t n)
{
	struct sim_mm *mm = op->mm;

	for (unsigned int c = 0; c < op->nclaims; c++) {
		mm_unhuge(op, c);
		for (uint32_t i = 0; i < op->claim[c].n; i++) {
			struct mm_page *page = &mm->pages[op->claim[c].first + i];
			const struct mm_file_page *fp = mm_file_page(mm, page);

			if ((uint32_t)(fp - file->page) - first < n)
				mm_zap(mm, page);
		}
	}
}

static void drop(struct mm_op *op, struct mm_file *file, uint32_t first, uint32_t n)
{
	zap_file(op, file, first, n);
	for (uint32_t i = first; i < first + n; i++) {
		struct mm_file_page *fp = &file->page[i];

		if (fp->frame != MM_NONE)
			mm_uncache(op->mm, fp);
		fp->poison = 0;
		fp->disk = fp->expect = 0;
	}
}

/* From this page on; or a block, a page, in the middle: a hole is punched. */
int mm_op_truncate(struct mm_op *op, struct mm_page *page)
{
	struct sim_mm *mm = op->mm;
	struct mm_file *file = mm_area_of(mm, page)->file;
	int cut = mm_area_of(mm, page)->kind == MM_FILE;
	uint32_t first, n = 1;

	if (!file)
		return 0;
	mm_lock(mm);
	if (cut && file->size < file->npages) {
		file->size = file->npages; /* it grows again: zeros */
		mm_unlock(mm);
		return 1;
	}
	first = (uint32_t)(mm_file_page(mm, page) - file->page);
	if (cut)
		n = file->npages - first;
	else if (mm_area_of(mm, page)->kind != MM_NOREF)
		n = MM_IN_2M;
	if (n == MM_IN_2M && !cut)
		first &= ~(MM_IN_2M - 1u);
	if (first + n > file->npages || mm_claim_file(op, file, first, n))
		return give_up(op);
	mm_unlock(mm);
	mm_begin_all(op, S2_INVAL_UNMAP);
	mm_lock(mm);
	if (cut)
		file->size = first;
	drop(op, file, first, n);
	mm_unlock(mm);
	mm_end(op);
	return 1;
}

/* Nobody may write while the cache goes to the disk; afterwards a write is noticed. */
int mm_op_clean(struct mm_op *op, struct mm_page *page)
{
	struct sim_mm *mm = op->mm;
	struct mm_file *file = mm_area_of(mm, page)->file;
	uint32_t first, n = 1 + (uint32_t)mm_random(op->rng, 16);

	if (!file)
		return 0;
	mm_lock(mm);
	first = (uint32_t)(mm_file_page(mm, page) - file->page);
	if (n > file->npages - first)
		n = file->npages - first;
	if (mm_claim_file(op, file, first, n))
		return give_up(op);
	mm_unlock(mm);
	mm_begin_all(op, S2_INVAL_WRITE);
	mm_lock(mm);
	for (unsigned int c = 0; c < op->nclaims; c++)
		for (uint32_t i = 0; i < op->claim[c].n; i++)
			mm->pages[op->claim[c].first + i].writable = 0;
	for (uint32_t i = first; file->zone == MM_ZONE_RAM && i < first + n; i++)
		if (file->page[i].frame != MM_NONE)
			file->page[i].disk = mm->frames[file->page[i].frame].contents;
	mm_unlock(mm);
	mm_end(op);
	return 1;
}

/* A page of a file's cache goes back to the disk. */
static int reclaim_file(struct mm_op *op, struct mm_page *page)
{
	struct sim_mm *mm = op->mm;
	struct mm_file *file = mm_area_of(mm, page)->file;
	struct mm_file_page *fp = mm_file_page(mm, page);
	uint32_t index = (uint32_t)(fp - file->page);

	if (fp->frame == MM_NONE || file->zone != MM_ZONE_RAM || mm_claim_file(op, file, index, 1))
		return give_up(op);
	mm_unlock(mm);
	mm_begin_all(op, S2_INVAL_UNMAP);
	mm_lock(mm);
	fp->disk = mm->frames[fp->frame].contents;
	zap_file(op, file, index, 1);
	mm_uncache(mm, fp);
	mm_unlock(mm);
	mm_end(op);
	return 1;
}

int mm_op_swap_out(struct mm_op *op, struct mm_page *page)
{
	struct sim_mm *mm = op->mm;
	uint32_t frame, slot;

	mm_lock(mm);
	if (mm_area_of(mm, page)->file)
		return reclaim_file(op, page);
	frame = page->frame;
	if (frame == MM_NONE || mm->frames[frame].zone != MM_ZONE_RAM || page->huge ||
	    mm_claim_frame(op, frame))
		return give_up(op);
	slot = mm_swap_slot(mm);
	if (!slot)
		return give_up(op);
	mm_unlock(mm);
	mm_begin_all(op, S2_INVAL_UNMAP);
	mm->swap[slot - 1].contents = mm->frames[frame].contents;
	mm_point(mm);
	mm_lock(mm);
	for (unsigned int c = 0; c < op->nclaims; c++)
		mm_unhuge(op, c);
	mm_look(mm, frame);
	while (mm->frames[frame].maps != MM_NONE) {
		struct mm_page *p = &mm->pages[mm->frames[frame].maps];

		mm_unmap(mm, p);
		p->swap = slot;
		mm->swap[slot - 1].refs++;
	}
	mm_unlook(mm, frame);
	mm->swap[slot - 1].reserved = 0;
	mm_unlock(mm);
	mm_end(op);
	return 1;
}

/* Ahead of the fault: nothing is mapped, so nobody needs to know. */
int mm_op_swap_in(struct mm_op *op, struct mm_page *page)
{
	struct sim_mm *mm = op->mm;
	uint32_t frame;

	mm_lock(mm);
	for (uint32_t i = mm_index(mm, page); !page->swap && i < mm->npages; i++)
		page = &mm->pages[i]; /* or the next one that is out */
	frame = page->swap && !page->busy ? mm_alloc(mm, MM_ZONE_RAM, op->rng) : MM_NONE;
	if (frame == MM_NONE)
		return give_up(op);
	mm_fill(mm, frame, mm->swap[page->swap - 1].contents);
	mm_swap_put(mm, page);
	mm_map(mm, page, frame);
	page->writable = (page->prot & S2_W) != 0;
	mm_unlock(mm);
	return 1;
}
