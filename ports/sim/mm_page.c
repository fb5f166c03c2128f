// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a program does to its own memory, or its kernel for it (see mm.h, mm_op.c): unmap, map, map
 * something else in the same place, protect, fork, merge equal pages, and a frame that breaks.
 */
#include "mm.h"

/* A range around the page: a few pages, or a block. */
static void draw_range(struct mm_op *op, const struct mm_page *page, uint32_t *first, uint32_t *n)
{
	const struct mm_area *area = mm_area_of(op->mm, page);
	uint32_t index = mm_index(op->mm, page), block = mm_block_of(op->mm, index);
	uint32_t left = area->first + area->npages - index;

	*first = index;
	*n = 1u << mm_random(op->rng, 7);
	*n += (uint32_t)mm_random(op->rng, *n);
	if (*n > left)
		*n = left;
	if (block != MM_NONE && !mm_random(op->rng, area->kind == MM_THP ? 2 : 8)) {
		*first = block;
		*n = MM_IN_2M;
	}
}

static int unmaps(const struct mm_area *area)
{
	return area->kind != MM_DEVICE;
}

/* Locks, and claims a range; returns 0 with the lock held. */
static int claim_range(struct mm_op *op, struct mm_page *page, uint32_t *first, uint32_t *n)
{
	if (!unmaps(mm_area_of(op->mm, page)))
		return -1;
	draw_range(op, page, first, n);
	mm_lock(op->mm);
	if (!mm_claim(op, *first, *n)) {
		if (mm_area_of(op->mm, page)->kind == MM_HUGETLB) { /* as a whole */
			*first = op->claim[0].first;
			*n = op->claim[0].n;
		}
		return 0;
	}
	mm_unclaim(op);
	mm_unlock(op->mm);
	return -1;
}

/* Nothing is left in the range; what is there next is new. */
static void empty(struct mm_op *op, uint32_t first, uint32_t n)
{
	struct sim_mm *mm = op->mm;

	for (uint32_t i = first; i < first + n; i++) {
		mm_zap(mm, &mm->pages[i]);
		mm->pages[i].expect = 0;
	}
}

static int is_mapped(struct sim_mm *mm, uint32_t first, uint32_t n, int mapped)
{
	for (uint32_t i = first; i < first + n; i++)
		if (mm->pages[i].mapped == mapped)
			return 1;
	return 0;
}

int mm_op_unmap(struct mm_op *op, struct mm_page *page)
{
	struct sim_mm *mm = op->mm;
	uint32_t first, n;

	if (claim_range(op, page, &first, &n))
		return 0;
	if (!is_mapped(mm, first, n, 1)) {
		mm_unclaim(op);
		mm_unlock(mm);
		return 0;
	}
	mm_unlock(mm);
	mm_begin_all(op, S2_INVAL_UNMAP);
	mm_lock(mm);
	mm_unhuge(op, 0);
	empty(op, first, n);
	for (uint32_t i = first; i < first + n; i++)
		mm->pages[i].mapped = 0;
	mm_unlock(mm);
	mm_end(op);
	return 1;
}

static uint8_t draw_prot(struct mm_op *op, const struct mm_area *area)
{
	static const uint8_t prots[] = { S2_RWX, S2_RWX, S2_RWX, S2_RW, S2_RW, S2_RX, S2_R };

	return area->prot & prots[mm_random(op->rng, sizeof(prots))];
}

/* Holes are filled: nothing was mapped there, so nobody needs to know. */
int mm_op_map(struct mm_op *op, struct mm_page *page)
{
	struct sim_mm *mm = op->mm;
	uint32_t first, n, filled = 0;
	uint8_t prot = draw_prot(op, mm_area_of(mm, page));

	if (claim_range(op, page, &first, &n))
		return 0;
	for (uint32_t i = first; i < first + n; i++) {
		if (mm->pages[i].mapped)
			continue;
		mm->pages[i].mapped = 1;
		__atomic_store_n(&mm->pages[i].prot, prot, __ATOMIC_RELAXED);
		filled++;
	}
	mm_unclaim(op);
	mm_unlock(mm);
	return filled != 0;
}

int mm_op_remap(struct mm_op *op, struct mm_page *page)
{
	struct sim_mm *mm = op->mm;
	struct mm_area *area = mm_area_of(mm, page);
	uint8_t prot = draw_prot(op, area);
	uint32_t first, n;

	if (claim_range(op, page, &first, &n))
		return 0;
	if (area->kind == MM_FILE) { /* another part of the file, for all of the area */
		mm_unclaim(op);
		first = area->first;
		n = area->npages;
		if (mm_claim(op, first, n)) {
			mm_unlock(mm);
			return 0;
		}
	}
	mm_unlock(mm);
	mm_begin_all(op, S2_INVAL_UNMAP);
	mm_lock(mm);
	mm_unhuge(op, 0);
	empty(op, first, n);
	if (area->kind == MM_FILE)
		area->file_page =
			(uint32_t)mm_random(op->rng, area->file->npages - area->npages + 1);
	for (uint32_t i = first; i < first + n; i++) {
		mm->pages[i].mapped = 1;
		__atomic_store_n(&mm->pages[i].prot, prot, __ATOMIC_RELAXED);
	}
	mm_unlock(mm);
	mm_end(op);
	return 1;
}

static void protect(struct mm_op *op, uint32_t first, uint32_t n, uint8_t prot)
{
	for (uint32_t i = first; i < first + n; i++) {
		struct mm_page *page = &op->mm->pages[i];

		__atomic_store_n(&page->prot, prot, __ATOMIC_RELAXED);
		if (!(prot & S2_W) && page->writable)
			page->writable = 0;
	}
}

int mm_op_protect(struct mm_op *op, struct mm_page *page)
{
	struct sim_mm *mm = op->mm;
	uint8_t prot = draw_prot(op, mm_area_of(mm, page)), was = 0;
	enum s2_inval how = S2_INVAL_UNMAP;
	uint32_t first, n;

	if (!mm_random(op->rng, 8))
		prot = 0;
	if (claim_range(op, page, &first, &n))
		return 0;
	for (uint32_t i = first; i < first + n; i++)
		was |= mm->pages[i].prot;
	/* A block that has other rights in parts is none any more. */
	if (op->claim[0].n == n && (was & ~prot) == S2_W)
		how = S2_INVAL_WRITE;
	if (op->claim[0].n == n && !(was & ~prot)) {
		protect(op, first, n, prot); /* more rights: found out by faults */
		mm_unclaim(op);
		mm_unlock(mm);
		return 1;
	}
	mm_unlock(mm);
	mm_begin_all(op, how);
	mm_lock(mm);
	if (op->claim[0].n != n)
		mm_unhuge(op, 0);
	protect(op, first, n, prot);
	mm_unlock(mm);
	mm_end(op);
	return 1;
}

/* The child's page becomes the parent's, and neither may write to it. */
static void share(struct sim_mm *mm, struct mm_page *from, struct mm_page *to)
{
	mm_zap(mm, to);
	to->mapped = from->mapped;
	__atomic_store_n(&to->prot, from->prot, __ATOMIC_RELAXED);
	to->expect = from->expect;
	to->poison = from->poison;
	from->writable = 0;
	if (from->frame != MM_NONE) {
		mm_map(mm, to, from->frame);
		to->huge = from->huge;
	} else if (from->swap) {
		to->swap = from->swap;
		mm->swap[from->swap - 1].refs++;
	}
}

/* Is there another area like this one? */
static struct mm_area *child_of(struct mm_op *op, const struct mm_area *area)
{
	struct mm_area *child = &op->mm->area[mm_random(op->rng, op->mm->nareas)];

	for (unsigned int i = 0; i < op->mm->nareas; i++, child++) {
		if (child == op->mm->area + op->mm->nareas)
			child = op->mm->area;
		if (child != area && child->kind == area->kind && child->npages == area->npages &&
		    !((child->hva ^ area->hva) & (MM_2M - 1)))
			return child;
	}
	return NULL;
}

static int shareable(struct sim_mm *mm, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++) {
		uint32_t frame = mm->pages[i].frame;

		if (frame != MM_NONE && mm->frames[frame].zone != MM_ZONE_ZERO &&
		    mm->frames[frame].nmaps >= MM_SHARED)
			return 0;
	}
	return 1;
}

int mm_op_fork(struct mm_op *op, struct mm_page *page)
{
	struct sim_mm *mm = op->mm;
	struct mm_area *area = mm_area_of(mm, page), *child = child_of(op, area);
	uint32_t first, n, offset;

	if (!mm_is_anon(mm, page) || !child || claim_range(op, page, &first, &n))
		return 0;
	/* Blocks as a whole, in both. */
	first = op->claim[0].first;
	n = op->claim[0].n;
	offset = child->first - area->first;
	if (!shareable(mm, first, n) || mm_claim(op, first + offset, n)) {
		mm_unclaim(op);
		mm_unlock(mm);
		return 0;
	}
	mm_unlock(mm);
	mm_begin(op, 1, 2, S2_INVAL_UNMAP);
	mm_begin(op, 0, 1, S2_INVAL_WRITE);
	mm_lock(mm);
	mm_unhuge(op, 1);
	for (uint32_t i = first; i < first + n; i++)
		share(mm, &mm->pages[i], &mm->pages[i + offset]);
	mm_unlock(mm);
	mm_end(op);
	return 1;
}

/* Same-page merging */

static uint64_t peek(struct sim_mm *mm, const struct mm_page *page)
{
	return __atomic_load_n(&mm->frames[page->frame].contents, __ATOMIC_RELAXED);
}

static int mergeable(struct sim_mm *mm, const struct mm_page *page)
{
	unsigned int kind = mm_area_of(mm, page)->kind;

	return (kind == MM_ANON || kind == MM_THP) && page->frame != MM_NONE && !page->huge &&
	       !page->busy && mm->frames[page->frame].zone == MM_ZONE_RAM &&
	       mm->frames[page->frame].state == MM_USED;
}

/* Another page that looks the same just now. */
static struct mm_page *find_twin(struct mm_op *op, const struct mm_page *page)
{
	struct sim_mm *mm = op->mm;
	uint32_t at = (uint32_t)mm_random(op->rng, mm->npages);

	for (uint32_t i = 0; i < 1024; i++) {
		struct mm_page *twin = &mm->pages[(at + i) % mm->npages];

		if (twin != page && mergeable(mm, twin) && twin->frame != page->frame &&
		    mm->frames[page->frame].nmaps < MM_SHARED && peek(mm, twin) == peek(mm, page))
			return twin;
	}
	return NULL;
}

/* Write-protected one after the other, compared again: only now does it count. */
static int merge(struct mm_op *op, struct mm_page *page, struct mm_page *twin)
{
	struct sim_mm *mm = op->mm;
	int same;

	mm_begin_all(op, S2_INVAL_WRITE);
	mm_lock(mm);
	page->writable = twin->writable = 0;
	same = mm->frames[page->frame].contents == mm->frames[twin->frame].contents &&
	       mm->frames[page->frame].nmaps < MM_SHARED;
	mm_unlock(mm);
	if (!same) {
		mm_end(op);
		return 0;
	}
	mm_begin(op, 1, 2, S2_INVAL_UNMAP);
	mm_lock(mm);
	mm_unmap(mm, twin);
	mm_map(mm, twin, page->frame);
	mm_unlock(mm);
	mm_end(op);
	return 1;
}

int mm_op_merge(struct mm_op *op, struct mm_page *page)
{
	struct sim_mm *mm = op->mm;
	struct mm_page *twin = NULL;

	mm_lock(mm);
	if (mergeable(mm, page))
		twin = find_twin(op, page);
	if (!twin || mm_claim(op, mm_index(mm, page), 1) || mm_claim(op, mm_index(mm, twin), 1)) {
		mm_unclaim(op);
		mm_unlock(mm);
		return 0;
	}
	mm_unlock(mm);
	return merge(op, page, twin);
}

/* A frame breaks: who has it loses it. */
static void break_frame(struct sim_mm *mm, uint32_t frame)
{
	struct mm_frame *f = &mm->frames[frame];
	struct mm_file_page *file = mm_file_page(mm, &mm->pages[f->maps]);

	f->state = MM_BROKEN;
	if (file) {
		file->poison = 1;
		file->disk = file->expect = 0; /* whoever gets the page next starts anew */
	}
	mm_look(mm, frame);
	while (f->maps != MM_NONE) {
		struct mm_page *page = &mm->pages[f->maps];

		mm_zap(mm, page);
		page->poison = 1;
		page->expect = 0;
	}
	if (file)
		mm_uncache(mm, file);
	mm_unlook(mm, frame);
}

int mm_op_poison(struct mm_op *op, struct mm_page *page)
{
	struct sim_mm *mm = op->mm;
	uint32_t frame;

	mm_lock(mm);
	frame = page->frame;
	/* Blocks and what has no references break another time; too much must not break. */
	if (frame == MM_NONE || mm->frames[frame].zone != MM_ZONE_RAM || page->huge ||
	    mm_random(op->rng, 4) || mm_claim_frame(op, frame)) {
		mm_unclaim(op);
		mm_unlock(mm);
		return 0;
	}
	mm_unlock(mm);
	mm_begin_all(op, S2_INVAL_UNMAP);
	mm_lock(mm);
	for (unsigned int i = 0; i < op->nclaims; i++)
		mm_unhuge(op, i);
	break_frame(mm, frame);
	mm_unlock(mm);
	mm_end(op);
	return 1;
}
