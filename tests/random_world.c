// SPDX-License-Identifier: BSD-2-Clause
/*
 * The model of a guest address space and its host: see random_world.h. Loops, no cleverness.
 */
#include "random_world.h"

#define DEVICES (1ull << 40) /* nothing is a device at one time and memory at another */

int world_slot_of(const struct world *w, uint64_t gpa)
{
	for (int i = 0; i < SLOTS; i++)
		if (w->used[i] && gpa >= w->slot[i].gpa.gpa &&
		    gpa - w->slot[i].gpa.gpa < w->slot[i].size)
			return i;
	return -1;
}

int ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

int world_is_running(const struct world *w, uint64_t gpa, uint64_t size)
{
	for (int i = 0; i < RUNNING; i++)
		if (w->running_size[i] &&
		    ranges_overlap(gpa, size, w->running_gpa[i], w->running_size[i]))
			return 1;
	return 0;
}

int world_any_running(const struct world *w)
{
	return w->running_size[0] || w->running_size[1] || w->running_size[2];
}

/* Redraws what backs a chunk. The gigabyte stays one piece of one kind. */
void world_back_chunk(struct world *w, uint64_t n)
{
	static const uint8_t exec[] = { S2_X, S2_X, 0, S2_XP };
	static const int16_t errors[] = { S2_ENOENT, S2_EPERM, S2_ENOMEM, S2_EAGAIN };
	struct run *run = w->run;
	uint64_t color = run_random(run, 4);
	struct sim_chunk chunk = { .hpa = (color << 34) + n * CHUNK, .shift = SIM_CHUNK_SHIFT };
	int xnx = (run->config.cpu.features & S2_CPU_XNX) != 0;

	if (n >= 512 && n < 1024) {
		chunk = (struct sim_chunk){ .hpa = (8ull << 30) + (n - 512) * CHUNK,
					    .shift = 30,
					    .prot = S2_RWX };
		sim_set_chunk(&run->sim, n, &chunk);
		return;
	}
	if (color == 3)
		chunk.hpa += 3 * world_page(w); /* as if from another alignment */
	if (!run_random(run, 3))
		chunk.shift = (uint8_t)(run->ref.page_shift +
					run_random(run, SIM_CHUNK_SHIFT + 1 - run->ref.page_shift));
	if (!run_random(run, 4))
		chunk.type = (uint8_t)run_random(run, S2_MEM_TYPES);
	chunk.prot = S2_R;
	if (run_random(run, 4))
		chunk.prot |= S2_W;
	if (chunk.type < S2_MEM_DEVICE)
		chunk.prot |= exec[run_random(run, xnx ? 4 : 3)];
	if (chunk.type >= S2_MEM_DEVICE)
		chunk.hpa += DEVICES;
	if (!run_random(run, 12))
		chunk.error = errors[run_random(run, 4)];
	sim_set_chunk(&run->sim, n, &chunk);
}

/* What the model says about a page that is taken away: blocks on the edges go as a whole. */
void world_forget_range(struct world *w, uint64_t gpa, uint64_t size)
{
	struct ref *ref = &w->run->ref;

	if (w->ntaken == TAKEN)
		sim_fail(&w->run->sim, "more was taken away than the test can note");
	w->taken_gpa[w->ntaken] = gpa;
	w->taken_size[w->ntaken++] = size;
	for (uint64_t a = gpa; a < gpa + size; a += world_page(w)) {
		const struct ref_page *page = ref_at(ref, a);
		uint64_t leaf, start;

		if (!page || !page->valid)
			continue;
		leaf = ref_level_size(ref, page->level);
		start = a & ~(leaf - 1);
		for (uint64_t b = start; b < start + leaf; b += world_page(w))
			*ref_at(ref, b) = (struct ref_page){ 0 };
	}
}

void world_begin(struct world *w, uint64_t gpa, uint64_t size, struct s2_walker *walker)
{
	struct run *run = w->run;
	int ret;

	w->begin_gpa = gpa;
	w->begin_size = size;
	ret = s2_vm_invalidate_begin(&run->vm, s2_gpa(gpa), size, S2_INVAL_UNMAP, walker);
	if (ret)
		sim_fail(&run->sim, "invalidate_begin: %s", s2_strerror(ret));
	if (walker == &w->strike.walker)
		world_strike_loses(w, gpa, size);
	world_forget_range(w, gpa, size);
	sim_idle_empty(&run->sim, gpa, size);
	if (!w->strike.ran) /* else the other may still owe something here */
		sim_idle(&run->sim, gpa, size);
}

void world_end(struct world *w, uint64_t gpa, uint64_t size)
{
	sim_idle_empty(&w->run->sim, gpa, size);
	s2_vm_invalidate_end(&w->run->vm, s2_gpa(gpa), size);
}

/* The host backs a chunk by something else: wherever it is mapped, it is taken away first. */
void world_host_changes(struct world *w, uint64_t chunk, struct s2_walker *walker)
{
	uint64_t hva = sim_hva(chunk), gpa[SLOTS], size[SLOTS];
	int n = 0;

	for (int i = 0; i < SLOTS; i++) {
		const struct s2_memslot *slot = &w->slot[i];
		uint64_t from, to;

		if (!w->used[i] || !ranges_overlap(slot->hva.hva, slot->size, hva, CHUNK))
			continue;
		from = slot->hva.hva > hva ? slot->hva.hva : hva;
		to = slot->hva.hva + slot->size;
		if (to > hva + CHUNK)
			to = hva + CHUNK;
		gpa[n] = slot->gpa.gpa + (from - slot->hva.hva);
		size[n] = to - from;
		world_begin(w, gpa[n], size[n], walker);
		n++;
	}
	world_strike_lingers(w, walker);
	sim_host_wrote(&w->run->sim, w->run->sim.chunks[chunk].hpa, CHUNK);
	world_back_chunk(w, chunk);
	world_strike_lingers(w, walker);
	while (n--)
		world_end(w, gpa[n], size[n]);
}

/* Largest leaf for gpa: in the slot, as large as the host says, aligned alike in gpa and hpa. */
static void expect_leaf(const struct world *w, struct expect *e, uint64_t gpa, uint64_t hpa,
			const struct sim_chunk *chunk)
{
	const struct s2_memslot *slot = &w->slot[e->slot];
	uint64_t hva = slot->hva.hva + (gpa - slot->gpa.gpa);

	e->maps = 1;
	for (unsigned int level = w->run->ref.block_level;; level--) {
		e->size = ref_level_size(&w->run->ref, level);
		e->gpa = gpa & ~(e->size - 1);
		e->hpa = hpa & ~(e->size - 1);
		if (!level)
			return;
		if (1ull << chunk->shift < e->size || (gpa ^ hpa) & (e->size - 1) ||
		    (hva ^ hpa) & (e->size - 1))
			continue;
		if (e->gpa >= slot->gpa.gpa && e->gpa + e->size <= slot->gpa.gpa + slot->size)
			return;
	}
}

void world_shrink(const struct world *w, struct expect *e, uint64_t gpa, uint64_t size)
{
	uint64_t largest = world_page(w), level_size;

	for (unsigned int level = 0; level <= w->run->ref.block_level; level++) {
		level_size = ref_level_size(&w->run->ref, level);
		if (level_size <= CHUNK)
			largest = level_size;
	}
	if (!e->maps || size >= e->size || (size != largest && size != world_page(w)))
		return;
	gpa &= ~(size - 1);
	e->hpa += gpa - e->gpa;
	e->gpa = gpa;
	e->size = size;
}

void world_expect(const struct world *w, const struct s2_fault *f, struct expect *e)
{
	uint64_t gpa = f->gpa.gpa & ~(world_page(w) - 1), offset;
	const struct sim_chunk *chunk;
	const struct s2_memslot *slot;

	*e = (struct expect){ .reason = S2_EXIT_RESUME, .slot = world_slot_of(w, gpa) };
	if (e->slot < 0) {
		e->reason = f->walk ? S2_EXIT_ABORT : S2_EXIT_MMIO;
		if (f->access == S2_ACCESS_EXEC)
			e->reason = w->flags & S2_VM_EXEC_EXIT ? S2_EXIT_EXEC : S2_EXIT_ABORT;
		return;
	}
	slot = &w->slot[e->slot];
	if (f->access == S2_ACCESS_WRITE && slot->flags & S2_SLOT_READONLY) {
		e->reason = f->walk ? S2_EXIT_ABORT : S2_EXIT_MMIO;
		return;
	}
	offset = slot->hva.hva + (gpa - slot->gpa.gpa) - SIM_HVA_BASE;
	chunk = &w->run->sim.chunks[offset >> SIM_CHUNK_SHIFT];
	if (chunk->error == S2_EAGAIN)
		return;
	e->error = chunk->error;
	if (!e->error && f->access == S2_ACCESS_WRITE && !(chunk->prot & S2_W))
		e->error = S2_EPERM;
	if (e->error) {
		e->reason = S2_EXIT_MEMORY;
		return;
	}
	if (f->access == S2_ACCESS_EXEC && !(chunk->prot & (f->user ? S2_XU : S2_XP))) {
		e->reason = w->flags & S2_VM_EXEC_EXIT ? S2_EXIT_EXEC : S2_EXIT_ABORT;
		return;
	}
	expect_leaf(w, e, gpa, chunk->hpa + (offset & (CHUNK - 1)), chunk);
	e->around_gpa = e->gpa;
	e->around_size = e->size;
	e->attr = (struct s2_attr){ .prot = chunk->prot, .type = chunk->type };
	if (slot->flags & S2_SLOT_READONLY)
		e->attr.prot &= (uint8_t)~S2_W;
	if (w->flags & S2_VM_LAZY_EXEC && f->access != S2_ACCESS_EXEC)
		e->attr.prot &= (uint8_t)~S2_X;
}
