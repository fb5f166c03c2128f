// SPDX-License-Identifier: BSD-2-Clause
/*
 * The simulated memory manager's life, its areas, its locks (see mm.h).
 *
 * Areas are laid out once; what a host does with them concerns their pages, each of which says
 * whether there is anything, with what rights, and what is behind it. So an area that is cut into
 * pieces, or protected in parts, needs no list of pieces.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "mm.h"

const char *const mm_op_name[MM_OP_KINDS] = { "unmap",   "map",      "remap",   "protect",
					      "fork",    "merge",    "migrate", "collapse",
					      "split",   "truncate", "clean",   "swap-out",
					      "swap-in", "poison",   "repair",  "unplug",
					      "plug",    "close",    "open",    "move" };
const char *const mm_event_name[MM_EVENTS] = { "fault-in", "huge-fault", "swapped-in", "zero-page",
					       "cow-copy", "cow-reuse",  "cow-split",  "mkwrite",
					       "ambush",   "reclaim" };
const char *const mm_hold_name[MM_HOLD_EVENTS] = { "aimed", "used",  "moved", "denied",
						   "tried", "stale", "asked", "cut-short" };

void mm_lock(struct sim_mm *mm)
{
	pthread_mutex_lock(&mm->lock);
}

void mm_unlock(struct sim_mm *mm)
{
	mm_tell_taken(mm);
	pthread_mutex_unlock(&mm->lock);
}

void mm_spin(struct sim_mm *mm, uint32_t *lock)
{
	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)) {
		if (mm->config.threads)
			sched_yield();
		else
			sim_second_point(mm->sim, 0, SIM_MUST);
	}
}

void mm_unspin(uint32_t *lock)
{
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

void mm_point(struct sim_mm *mm)
{
	if (mm->config.threads)
		sched_yield();
	else
		sim_second_point(mm->sim, mm->last_gpa, SIM_MAY);
}

struct mm_area *mm_area_at(struct sim_mm *mm, uint64_t hva)
{
	for (unsigned int i = 0; i < mm->nareas; i++) {
		struct mm_area *area = &mm->area[i];

		if (hva >= area->hva && (hva - area->hva) >> MM_SHIFT < area->npages)
			return area;
	}
	return NULL;
}

struct mm_file_page *mm_file_page(struct sim_mm *mm, const struct mm_page *page)
{
	const struct mm_area *area = mm_area_of(mm, page);

	if (!area->file)
		return NULL;
	return &area->file->page[area->file_page + (mm_index(mm, page) - area->first)];
}

uint32_t mm_block_of(struct sim_mm *mm, uint32_t index)
{
	const struct mm_area *area = mm_area_of(mm, &mm->pages[index]);
	uint64_t hva = mm_hva(mm, index) & ~(MM_2M - 1);

	if (hva < area->hva || hva + MM_2M > area->hva + area->npages * MM_SIZE)
		return MM_NONE;
	return area->first + (uint32_t)((hva - area->hva) >> MM_SHIFT);
}

int mm_is_anon(struct sim_mm *mm, const struct mm_page *page)
{
	return mm_area_of(mm, page)->kind <= MM_HUGETLB;
}

void mm_init(struct sim_mm *mm, struct sim *sim, struct s2_vm *vm, const struct mm_config *config)
{
	memset(mm, 0, sizeof(*mm));
	mm->sim = sim;
	mm->vm = vm;
	mm->config = *config;
	if (!mm->config.swap)
		mm->config.swap = 512;
	pthread_mutex_init(&mm->lock, NULL);
	mm_frames_init(mm);
	mm->room = 64 * 1024;
	mm->pages = calloc(mm->room, sizeof(*mm->pages));
	mm->swap = calloc(mm->config.swap, sizeof(*mm->swap));
	if (!mm->pages || !mm->swap)
		abort();
	mm->resolve = sim->port.resolve;
	mm->tlb = sim->port.tlb;
	sim->port.resolve = mm_resolve;
	sim->port.tlb = mm_tlb_op;
	sim->on_resolve = NULL;
	sim->on_resolve_ctx = mm;
}

void mm_fini(struct sim_mm *mm)
{
	mm_audit(mm);
	mm_lock(mm);
	for (uint32_t i = 0; i < mm->npages; i++) {
		if (mm->pages[i].held)
			sim_fail(mm->sim, "mm-hold: page %u is held still", i);
		mm_zap(mm, &mm->pages[i]);
	}
	for (unsigned int i = 0; i < mm->nfiles; i++) {
		for (uint32_t n = 0; n < mm->file[i].npages; n++)
			if (mm->file[i].page[n].frame != MM_NONE)
				mm_uncache(mm, &mm->file[i].page[n]);
		free(mm->file[i].page);
	}
	for (unsigned int z = 0; z < MM_ZONE_ZERO; z++)
		if (mm->zone[z].used)
			sim_fail(mm->sim, "mm-refs: %u frames of zone %u are left",
				 mm->zone[z].used, z);
	mm_unlock(mm);
	mm->sim->port.resolve = mm->resolve;
	mm->sim->port.tlb = mm->tlb;
	mm->sim->on_resolve_ctx = NULL;
	pthread_mutex_destroy(&mm->lock);
	free(mm->frames);
	free(mm->pages);
	free(mm->swap);
}

struct mm_file *mm_file(struct sim_mm *mm, enum mm_zone_id zone, uint32_t npages)
{
	struct mm_file *file = &mm->file[mm->nfiles++];

	if (mm->nfiles > MM_FILES)
		abort();
	*file = (struct mm_file){ .npages = npages, .size = npages, .zone = (uint8_t)zone };
	file->page = calloc(npages, sizeof(*file->page));
	if (!file->page)
		abort();
	for (uint32_t i = 0; i < npages; i++)
		file->page[i].frame = MM_NONE;
	return file;
}

struct mm_area *mm_area(struct sim_mm *mm, enum mm_kind kind, uint64_t hva, uint32_t npages,
			unsigned int prot, struct mm_file *file, uint32_t file_page)
{
	struct mm_area *area = &mm->area[mm->nareas++];

	if (mm->nareas > MM_AREAS || mm->npages + npages > mm->room)
		abort();
	*area = (struct mm_area){ .hva = hva,
				  .first = mm->npages,
				  .npages = npages,
				  .kind = (uint8_t)kind,
				  .prot = (uint8_t)prot,
				  .open = 1,
				  .file = file,
				  .file_page = file_page };
	for (uint32_t i = 0; i < npages; i++)
		mm->pages[area->first + i] = (struct mm_page){ .frame = MM_NONE,
							       .next = MM_NONE,
							       .prev = MM_NONE,
							       .area = (uint8_t)(mm->nareas - 1),
							       .mapped = 1,
							       .prot = (uint8_t)prot };
	mm->npages += npages;
	return area;
}

struct mm_area *mm_device(struct sim_mm *mm, uint64_t hva, uint32_t npages, uint64_t hpa,
			  enum s2_memtype type)
{
	struct mm_area *area = mm_area(mm, MM_DEVICE, hva, npages, S2_R | S2_W, NULL, 0);

	area->hpa = hpa;
	area->type = (uint8_t)type;
	return area;
}

void mm_cpu_on(struct sim_mm *mm, unsigned int n)
{
	struct mm_cpu *cpu = &mm->cpu[n];

	if (!cpu->present) {
		s2_walker_init(&cpu->walker, &mm->vm->pt);
		s2_walker_init(&cpu->host, &mm->vm->pt);
		cpu->rng = (mm->sim->config.seed * 64 + n) * 0x9e3779b97f4a7c15ull | 1;
		__atomic_store_n(&cpu->present, 1, __ATOMIC_RELEASE);
	}
	sim_thread(n, &cpu->walker);
}

struct mm_cpu *mm_self(struct sim_mm *mm)
{
	return &mm->cpu[sim_self.cpu];
}

void mm_cpus_off(struct sim_mm *mm)
{
	for (unsigned int n = 0; n < SIM_CPUS; n++) {
		struct mm_cpu *cpu = &mm->cpu[n];

		if (!cpu->present)
			continue;
		sim_thread(n, NULL);
		for (unsigned int i = 0; i < MM_HOLDS; i++)
			if (cpu->hold[i].live)
				s2_hold_fini(&cpu->hold[i].hold);
		s2_walker_fini(&cpu->walker);
		s2_walker_fini(&cpu->host);
		cpu->present = 0;
	}
	sim_thread(0, NULL);
}
