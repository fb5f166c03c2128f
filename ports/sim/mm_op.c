// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a host does to memory: the frame of every operation (see mm.h).
 *
 *   lock; choose; claim the pages; unlock
 *   begin: the engine, once for each claim, as many nested as there are
 *   lock; change; unlock      (perhaps several times, with others coming in between)
 *   end: the engine; give the claims back
 *
 * So the lock is never held while the engine waits for somebody; and what was claimed is changed by
 * nobody else meanwhile, however long that takes. Between all these steps are points where
 * another walker may come first.
 */
#include "machine.h"
#include "mm.h"

void mm_op_init(struct mm_op *op, struct sim_mm *mm, struct s2_walker *walker, uint64_t *rng)
{
	op->mm = mm;
	op->walker = walker;
	op->rng = rng;
	op->nclaims = op->nbegun = 0;
}

int mm_claim(struct mm_op *op, uint32_t first, uint32_t n)
{
	struct sim_mm *mm = op->mm;
	uint32_t last = first + n - 1;
	int hugetlb = mm_area_of(mm, &mm->pages[first])->kind == MM_HUGETLB;

	if (hugetlb || mm->pages[first].huge)
		first = mm_block_of(mm, first);
	if (hugetlb || mm->pages[last].huge)
		last = mm_block_of(mm, last) + MM_IN_2M - 1;
	if (op->nclaims == MM_CLAIMS)
		return -1;
	for (uint32_t i = first; i <= last; i++)
		if (mm->pages[i].busy)
			return -1;
	for (uint32_t i = first; i <= last; i++)
		mm->pages[i].busy = 1;
	op->claim[op->nclaims].first = first;
	op->claim[op->nclaims++].n = last - first + 1;
	return 0;
}

int mm_claim_frame(struct mm_op *op, uint32_t frame)
{
	const struct mm_frame *f = &op->mm->frames[frame];
	const struct mm_page *page = &op->mm->pages[f->maps];
	const struct mm_file_page *file = mm_file_page(op->mm, page);
	const struct mm_area *area = mm_area_of(op->mm, page);

	if (file)
		return mm_claim_file(op, area->file, (uint32_t)(file - area->file->page), 1);
	if (f->nmaps > MM_CLAIMS - op->nclaims)
		return -1;
	for (uint32_t i = f->maps; i != MM_NONE; i = op->mm->pages[i].next)
		if (mm_claim(op, i, 1))
			return -1;
	return 0;
}

int mm_claim_file(struct mm_op *op, const struct mm_file *file, uint32_t first, uint32_t n)
{
	for (unsigned int i = 0; i < op->mm->nareas; i++) {
		const struct mm_area *area = &op->mm->area[i];
		uint32_t from = first, to = first + n;

		if (area->file != file)
			continue;
		if (from < area->file_page)
			from = area->file_page;
		if (to > area->file_page + area->npages)
			to = area->file_page + area->npages;
		if (from < to && mm_claim(op, area->first + (from - area->file_page), to - from))
			return -1;
	}
	return 0;
}

void mm_unclaim(struct mm_op *op)
{
	while (op->nclaims) {
		op->nclaims--;
		for (uint32_t i = 0; i < op->claim[op->nclaims].n; i++)
			op->mm->pages[op->claim[op->nclaims].first + i].busy = 0;
	}
}

void mm_unhuge(struct mm_op *op, unsigned int claim)
{
	for (uint32_t i = 0; i < op->claim[claim].n; i++)
		op->mm->pages[op->claim[claim].first + i].huge = 0;
}

void mm_disturb(struct sim_mm *mm, int by)
{
	__atomic_fetch_add(&mm->active, (uint32_t)by, __ATOMIC_RELAXED);
	__atomic_fetch_add(&mm->begun, 1, __ATOMIC_RELAXED);
}

void mm_begin(struct mm_op *op, unsigned int from, unsigned int to, enum s2_inval how)
{
	struct sim_mm *mm = op->mm;
	const struct s2_walker *walker = sim_self.walker;
	int ret;

	if (!op->nbegun)
		mm_disturb(mm, 1);
	for (unsigned int i = from; i < to; i++) {
		uint64_t hva = mm_hva(mm, op->claim[i].first);

		mm_point(mm);
		sim_self.walker = op->walker;
		ret = s2_vm_host_begin(mm->vm, &op->change[op->nbegun++], s2_hva(hva),
				       op->claim[i].n * MM_SIZE, how, op->walker);
		sim_self.walker = walker;
		if (ret)
			sim_fail(mm->sim, "s2_vm_host_begin(0x%llx): %s", (unsigned long long)hva,
				 s2_strerror(ret));
	}
	mm_point(mm);
}

void mm_end(struct mm_op *op)
{
	struct sim_mm *mm = op->mm;
	int disturbed = op->nbegun != 0;

	while (op->nbegun) {
		mm_point(mm);
		s2_vm_host_end(mm->vm, &op->change[--op->nbegun]);
	}
	mm_point(mm);
	mm_lock(mm);
	mm_unclaim(op);
	mm_unlock(mm);
	if (disturbed)
		mm_disturb(mm, -1);
}

typedef int op_fn(struct mm_op *op, struct mm_page *page);
static op_fn *const op_fns[MM_OP_KINDS] = {
	[MM_OP_UNMAP] = mm_op_unmap,     [MM_OP_MAP] = mm_op_map,
	[MM_OP_REMAP] = mm_op_remap,     [MM_OP_PROTECT] = mm_op_protect,
	[MM_OP_FORK] = mm_op_fork,       [MM_OP_MERGE] = mm_op_merge,
	[MM_OP_MIGRATE] = mm_op_migrate, [MM_OP_COLLAPSE] = mm_op_collapse,
	[MM_OP_SPLIT] = mm_op_split,     [MM_OP_TRUNCATE] = mm_op_truncate,
	[MM_OP_CLEAN] = mm_op_clean,     [MM_OP_SWAP_OUT] = mm_op_swap_out,
	[MM_OP_SWAP_IN] = mm_op_swap_in, [MM_OP_POISON] = mm_op_poison,
	[MM_OP_REPAIR] = mm_op_repair,   [MM_OP_UNPLUG] = mm_op_unplug,
	[MM_OP_PLUG] = mm_op_plug,       [MM_OP_CLOSE] = mm_op_close,
	[MM_OP_OPEN] = mm_op_open,       [MM_OP_MOVE] = mm_op_move,
};

int mm_do(struct sim_mm *mm, enum mm_what what, uint64_t hva, struct s2_walker *walker,
	  uint64_t *rng)
{
	struct mm_area *area = mm_area_at(mm, hva);
	struct mm_op op;
	int done;

	if (!area)
		return 0;
	mm_op_init(&op, mm, walker, rng);
	done = op_fns[what](&op, &mm->pages[area->first + ((hva - area->hva) >> MM_SHIFT)]);
	__atomic_fetch_add(&mm->tried[what], 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&mm->done[what], (uint64_t)done, __ATOMIC_RELAXED);
	__atomic_fetch_add(&mm->did, (uint64_t)done, __ATOMIC_RELAXED);
	return done;
}

/* What makes memory come back must happen often enough, or nothing is left to play with. */
static enum mm_what draw(uint64_t *rng)
{
	static const uint8_t often[] = { MM_OP_MAP,   MM_OP_MAP,      MM_OP_MAP,
					 MM_OP_MAP,   MM_OP_OPEN,     MM_OP_PLUG,
					 MM_OP_MERGE, MM_OP_COLLAPSE, MM_OP_REPAIR };
	uint64_t dice = mm_random(rng, MM_OP_KINDS + sizeof(often));

	return (enum mm_what)(dice < MM_OP_KINDS ? dice : often[dice - MM_OP_KINDS]);
}

enum mm_what mm_random_op(struct sim_mm *mm, struct s2_walker *walker, uint64_t *rng)
{
	enum mm_what what = draw(rng);

	for (unsigned int i = 0; i < 4; i++) {
		const struct mm_area *area = &mm->area[mm_random(rng, mm->nareas)];
		uint64_t hva = area->hva + mm_random(rng, area->npages) * MM_SIZE;

		if (mm_do(mm, what, hva, walker, rng))
			break;
	}
	return what;
}

void mm_random_op_at(struct sim_mm *mm, uint64_t hva, struct s2_walker *walker, uint64_t *rng)
{
	for (unsigned int i = 0; i < 4; i++)
		if (mm_do(mm, draw(rng), hva, walker, rng))
			break;
}
