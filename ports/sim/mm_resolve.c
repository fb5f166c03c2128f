// SPDX-License-Identifier: BSD-2-Clause
/*
 * What is behind an hva? The answer of a host with memory management: the area says what may be
 * there, the page is brought in if it is not, a write breaks copy-on-write. A reference is held
 * while the answer is made up, no longer. Between that and the return anything may happen: another
 * walker (mm_point()), or an operation of this very thread, as when a host that is short of memory
 * reclaims some ("ambush").
 *
 * Bringing a page in needs no invalidation: nothing was mapped. Nor does a right that is added.
 * Copying on write does, within the guest's own fault, which is therefore told to try again.
 *
 * A page that somebody has claimed is answered as it is just now, though it may be on its way out;
 * but nothing is changed there: S2_EAGAIN.
 */
#include "machine.h"
#include "mm.h"

/* Found out on the way, beside errors. */
enum {
	LOOK_AGAIN = 1
};

struct ask {
	struct sim_mm *mm;
	struct mm_cpu *cpu;
	struct mm_page *page;
	enum s2_access access;
	int reclaim; /* no memory: try to make some */
};

static void count(struct sim_mm *mm, enum mm_event event)
{
	mm->events[event]++; /* with the lock held */
}

/* Could all 2M around the page come in at once, as one block? */
static uint32_t empty_block(struct sim_mm *mm, const struct mm_page *page)
{
	uint32_t block = mm_block_of(mm, mm_index(mm, page));

	for (uint32_t i = 0; block != MM_NONE && i < MM_IN_2M; i++) {
		const struct mm_page *p = &mm->pages[block + i];

		if (!p->mapped || p->prot != page->prot || p->frame != MM_NONE || p->swap ||
		    p->poison || p->busy)
			return MM_NONE;
	}
	return block;
}

static void map_block(struct sim_mm *mm, uint32_t block, uint32_t frame, int writable)
{
	for (uint32_t i = 0; i < MM_IN_2M; i++) {
		struct mm_page *page = &mm->pages[block + i];

		mm_map(mm, page, frame + i);
		page->huge = 1;
		page->writable = writable && page->prot & S2_W;
	}
	count(mm, MM_FAULT_HUGE);
}

static int no_memory(struct ask *ask)
{
	ask->reclaim = 1;
	return S2_ENOMEM;
}

static int anon_block(struct ask *ask, enum mm_zone_id zone, uint32_t block)
{
	struct sim_mm *mm = ask->mm;
	uint32_t frame;

	if (zone == MM_ZONE_RAM && ask->access != S2_ACCESS_WRITE &&
	    !mm_random(&ask->cpu->rng, 3)) {
		count(mm, MM_FAULT_ZERO);
		map_block(mm, block, mm->zone[MM_ZONE_ZERO].first, 0);
		return 0;
	}
	frame = mm_alloc_block(mm, zone, &ask->cpu->rng);
	if (frame == MM_NONE)
		return S2_ENOMEM;
	for (uint32_t i = 0; i < MM_IN_2M; i++)
		mm_fill(mm, frame + i, 0);
	map_block(mm, block, frame, 1);
	return 0;
}

static int anon_page(struct ask *ask)
{
	struct sim_mm *mm = ask->mm;
	struct mm_page *page = ask->page;
	uint64_t contents = 0;
	uint32_t frame;

	if (page->swap) {
		if (mm_random(&ask->cpu->rng, 65536) < mm->config.pending)
			return S2_EPENDING;
		contents = mm->swap[page->swap - 1].contents;
	} else if (ask->access != S2_ACCESS_WRITE && !mm_random(&ask->cpu->rng, 4)) {
		mm_map(mm, page, mm->zone[MM_ZONE_ZERO].first);
		count(mm, MM_FAULT_ZERO);
		return 0;
	}
	/* Now and then memory is short although there is some. */
	frame = mm_random(&ask->cpu->rng, 256) ? mm_alloc(mm, MM_ZONE_RAM, &ask->cpu->rng)
					       : MM_NONE;
	if (frame == MM_NONE)
		return no_memory(ask);
	mm_fill(mm, frame, contents);
	count(mm, page->swap ? MM_FAULT_SWAP : MM_FAULT_IN);
	if (page->swap)
		mm_swap_put(mm, page);
	mm_map(mm, page, frame);
	page->writable = (page->prot & S2_W) != 0;
	return 0;
}

static int anon_in(struct ask *ask)
{
	struct sim_mm *mm = ask->mm;
	unsigned int kind = mm_area_of(mm, ask->page)->kind;
	uint32_t block = kind == MM_ANON ? MM_NONE : empty_block(mm, ask->page);

	if (kind == MM_HUGETLB)
		return block == MM_NONE ? S2_EAGAIN : anon_block(ask, MM_ZONE_HUGETLB, block);
	if (block != MM_NONE && mm_random(&ask->cpu->rng, 4) &&
	    !anon_block(ask, MM_ZONE_RAM, block))
		return 0;
	return anon_page(ask);
}

/* The file's page comes into its cache: from disk, or new from the device or the driver. */
static int file_page_in(struct ask *ask, struct mm_file *file, struct mm_file_page *fp)
{
	struct sim_mm *mm = ask->mm;
	uint32_t first = (uint32_t)(fp - file->page) & ~(MM_IN_2M - 1u), frame;

	if (file->zone == MM_ZONE_RAM || mm_area_of(mm, ask->page)->kind == MM_NOREF) {
		frame = mm_alloc(mm, (enum mm_zone_id)file->zone, &ask->cpu->rng);
		if (frame == MM_NONE)
			return no_memory(ask);
		mm_fill(mm, frame, fp->disk);
		mm_cache(mm, fp, frame);
		return 0;
	}
	for (uint32_t i = 0; i < MM_IN_2M; i++)
		if (file->page[first + i].frame != MM_NONE)
			return S2_EAGAIN; /* the block was given up in part, and not yet as a whole
					   */
	frame = mm_alloc_block(mm, (enum mm_zone_id)file->zone, &ask->cpu->rng);
	if (frame == MM_NONE)
		return S2_ENOMEM;
	for (uint32_t i = 0; i < MM_IN_2M; i++) {
		mm_fill(mm, frame + i, file->page[first + i].disk);
		mm_cache(mm, &file->page[first + i], frame + i);
	}
	return 0;
}

static int file_in(struct ask *ask)
{
	struct sim_mm *mm = ask->mm;
	struct mm_file *file = mm_area_of(mm, ask->page)->file;
	struct mm_file_page *fp = mm_file_page(mm, ask->page);
	uint32_t index = (uint32_t)(fp - file->page), block;
	int ret;

	if (index >= file->size)
		return S2_ENOENT;
	if (fp->poison)
		return S2_EPOISON;
	if (fp->frame == MM_NONE) {
		ret = file_page_in(ask, file, fp);
		if (ret)
			return ret;
	}
	count(mm, MM_FAULT_IN);
	block = file->zone == MM_ZONE_RAM ? MM_NONE : empty_block(mm, ask->page);
	if (block != MM_NONE && mm_area_of(mm, ask->page)->kind != MM_NOREF &&
	    !((mm_index(mm, ask->page) - block) ^ (index % MM_IN_2M)) &&
	    mm_random(&ask->cpu->rng, 8)) {
		struct mm_file_page *all = fp - index % MM_IN_2M;

		for (uint32_t i = 0; i < MM_IN_2M; i++)
			if (all[i].frame != all[0].frame + i || all[i].poison)
				block = MM_NONE;
		if (block != MM_NONE) {
			map_block(mm, block, all[0].frame, ask->access == S2_ACCESS_WRITE);
			return 0;
		}
	}
	mm_map(mm, ask->page, fp->frame);
	ask->page->writable = ask->access == S2_ACCESS_WRITE;
	return 0;
}

/* Copy on write */

static int sole(struct sim_mm *mm, uint32_t frame)
{
	return mm->frames[frame].zone != MM_ZONE_ZERO && mm->frames[frame].refs == 1;
}

/* [first, first + n) gets copies of its own. The lock is held at the ends, not between. */
static int copy(struct ask *ask, uint32_t first, uint32_t n)
{
	struct sim_mm *mm = ask->mm;
	uint32_t old = mm->pages[first].frame, new_frame;
	struct mm_op op;

	mm_op_init(&op, mm, &ask->cpu->host, &ask->cpu->rng);
	if (mm_claim(&op, first, n))
		return S2_EAGAIN;
	new_frame = n == 1 ? mm_alloc(mm, MM_ZONE_RAM, op.rng)
			   : mm_alloc_block(mm, MM_ZONE_HUGETLB, op.rng);
	if (new_frame == MM_NONE) {
		mm_unclaim(&op);
		return n == 1 ? no_memory(ask) : S2_ENOMEM;
	}
	for (uint32_t i = 0; i < n; i++)
		mm_look(mm, old + i); /* so it stays shared, and nobody writes to it */
	mm_unlock(mm);
	for (uint32_t i = 0; i < n; i++)
		mm_fill(mm, new_frame + i, mm->frames[old + i].contents);
	mm_point(mm);
	mm_begin_all(&op, S2_INVAL_UNMAP);
	mm_lock(mm);
	for (uint32_t i = 0; i < n; i++) {
		struct mm_page *page = &mm->pages[first + i];

		mm_unmap(mm, page);
		mm_map(mm, page, new_frame + i);
		page->writable = 1;
		page->huge = n > 1;
	}
	for (uint32_t i = 0; i < n; i++)
		mm_unlook(mm, old + i);
	count(mm, MM_COW_COPY);
	mm_unlock(mm);
	mm_end(&op);
	mm_lock(mm);
	return LOOK_AGAIN;
}

/* A block that is written is all ours, or falls into pages. */
static int write_block(struct ask *ask)
{
	struct sim_mm *mm = ask->mm;
	uint32_t block = mm_block_of(mm, mm_index(mm, ask->page));
	struct mm_op op;
	int all = 1;

	for (uint32_t i = 0; i < MM_IN_2M; i++)
		all = all && sole(mm, mm->pages[block + i].frame);
	if (all || !mm_is_anon(mm, ask->page)) {
		for (uint32_t i = 0; i < MM_IN_2M; i++)
			mm->pages[block + i].writable = 1;
		count(mm, all ? MM_COW_REUSE : MM_MKWRITE);
		return 0;
	}
	if (mm_area_of(mm, ask->page)->kind == MM_HUGETLB)
		return copy(ask, block, MM_IN_2M);
	mm_op_init(&op, mm, &ask->cpu->host, &ask->cpu->rng);
	count(mm, MM_COW_SPLIT);
	mm_unlock(mm);
	(void)mm_op_split(&op, ask->page);
	mm_lock(mm);
	return LOOK_AGAIN;
}

static int make_writable(struct ask *ask)
{
	struct sim_mm *mm = ask->mm;
	struct mm_page *page = ask->page;

	if (page->busy)
		return S2_EAGAIN;
	if (page->huge)
		return write_block(ask);
	if (!mm_is_anon(mm, page) || sole(mm, page->frame)) {
		count(mm, mm_is_anon(mm, page) ? MM_COW_REUSE : MM_MKWRITE);
		page->writable = 1;
		return 0;
	}
	return copy(ask, mm_index(mm, page), 1);
}

/* One look at the page. Returns 0: it is there, and may be used so. */
static int look(struct ask *ask)
{
	struct sim_mm *mm = ask->mm;
	struct mm_page *page = ask->page;
	struct mm_area *area = mm_area_of(mm, page);
	int ret;

	if (!page->mapped)
		return S2_ENOENT;
	if (!page->prot || (ask->access == S2_ACCESS_WRITE && !(page->prot & S2_W)))
		return S2_EPERM; /* what may not be executed, the engine finds out */
	if (page->poison)
		return S2_EPOISON;
	if (area->kind == MM_DEVICE)
		return area->open ? 0 : S2_ENOENT;
	if (page->frame == MM_NONE) {
		if (page->busy)
			return S2_EAGAIN;
		ret = mm_is_anon(mm, page) ? anon_in(ask) : file_in(ask);
		if (ret)
			return ret;
	}
	if (ask->access == S2_ACCESS_WRITE && !page->writable)
		return make_writable(ask);
	return 0;
}

/* The largest block around hva that is one piece of the device, and one piece of the area. */
static void answer_device(struct sim_mm *mm, const struct mm_area *area, uint64_t hva,
			  struct s2_page *answer)
{
	uint64_t hpa = area->hpa + (hva - area->hva), size = MM_SIZE, end;

	for (uint64_t next = 2 * MM_SIZE; next <= 1ull << 30; next *= 2) {
		uint64_t start = hva & ~(next - 1);

		end = area->hva + area->npages * MM_SIZE;
		if ((hva ^ hpa) & (next - 1) || start < area->hva || start + next > end)
			break;
		size = next;
	}
	*answer = (struct s2_page){
		.hpa = s2_hpa(hpa), .size = size, .prot = S2_R | S2_W, .type = area->type
	};
	pthread_mutex_lock(&mm->sim->lock);
	if (area->type >= S2_MEM_DEVICE)
		sim_tell(mm->sim, S2C_DEVICE, 0, hpa & ~(size - 1), size);
	pthread_mutex_unlock(&mm->sim->lock);
}

static void answer_memory(struct ask *ask, struct s2_page *answer)
{
	struct sim_mm *mm = ask->mm;
	const struct mm_page *page = ask->page;
	unsigned int prot = page->prot;

	if (!page->writable)
		prot &= ~(unsigned int)S2_W;
	*answer = (struct s2_page){ .hpa = s2_hpa(mm_hpa(mm, page->frame)),
				    .size = page->huge && mm_random(&ask->cpu->rng, 16) ? MM_2M
											: MM_SIZE,
				    .prot = (uint8_t)prot,
				    .type = mm_area_of(mm, page)->type };
}

/* After the lookup, before the answer arrives. */
static void strike(struct ask *ask, uint64_t hva)
{
	struct sim_mm *mm = ask->mm;
	int reclaim = ask->reclaim;

	mm_point(mm);
	if (mm_random(&ask->cpu->rng, 65536) >= mm->config.ambush && !reclaim)
		return;
	for (unsigned int i = 0; reclaim && i < 4; i++)
		if (mm_do(mm, MM_OP_SWAP_OUT,
			  mm_hva(mm, (uint32_t)mm_random(&ask->cpu->rng, mm->npages)),
			  &ask->cpu->host, &ask->cpu->rng))
			ask->reclaim = 2; /* there is some now */
	if (!reclaim)
		mm_random_op_at(mm, hva, &ask->cpu->host, &ask->cpu->rng);
	mm_lock(mm);
	count(mm, reclaim ? MM_RECLAIM : MM_AMBUSH);
	mm_unlock(mm);
}

int mm_resolve(void *ctx, s2_hva_t hva, enum s2_access access, struct s2_page *answer)
{
	struct sim *sim = ctx;
	struct sim_mm *mm = sim->on_resolve_ctx;
	struct ask ask = { .mm = mm, .cpu = &mm->cpu[sim_self.cpu], .access = access };
	struct mm_area *area = mm_area_at(mm, hva.hva);
	uint32_t frame = MM_NONE;
	int ret;

	pthread_mutex_lock(&sim->lock);
	sim->resolves++;
	sim->progress++;
	pthread_mutex_unlock(&sim->lock);
	if (!area)
		return S2_ENOENT;
	ask.page = &mm->pages[area->first + ((hva.hva - area->hva) >> MM_SHIFT)];
	mm_lock(mm);
	do {
		ret = look(&ask);
	} while (ret == LOOK_AGAIN);
	if (!ret && area->kind == MM_DEVICE) {
		answer_device(mm, area, hva.hva, answer);
	} else if (!ret) {
		frame = ask.page->frame;
		mm_look(mm, frame);
		answer_memory(&ask, answer);
	}
	mm_unlock(mm);
	strike(&ask, hva.hva);
	if (frame != MM_NONE) {
		mm_lock(mm);
		mm_unlook(mm, frame);
		mm_unlock(mm);
	}
	return ask.reclaim == 2 ? S2_EAGAIN : ret;
}
