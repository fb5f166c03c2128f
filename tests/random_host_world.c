// SPDX-License-Identifier: BSD-2-Clause
/*
 * The world of random_host: areas of every kind, slots over them (several on one page, or none;
 * some with attributes, and with private memory under names of its own), and the guest's accesses.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random_host.h"

#define GIB     0x40000000ull
#define PRIVATE (1ull << 63)
#define NAMES   2 /* areas that are only private */

/* Areas: some begin and end in the middle of a block; children look like their parents. */
static void lay_out(struct sim_mm *mm)
{
	struct mm_file *cache = mm_file(mm, MM_ZONE_RAM, 256);
	struct mm_file *dax = mm_file(mm, MM_ZONE_DAX, 2 * MM_IN_2M);
	struct mm_file *driver = mm_file(mm, MM_ZONE_NOREF, 2 * MM_IN_2M);
	struct mm_file *loose = mm_file(mm, MM_ZONE_NOREF, 64);
	struct mm_file *secret = mm_file(mm, MM_ZONE_RAM, 1200);
	uint64_t at = 0x7f0000000000ull;

	for (int child = 0; child < 2; child++) {
		mm_area(mm, MM_ANON, at + 5 * MM_SIZE, 300, S2_RWX, NULL, 0);
		mm_area(mm, MM_THP, at + GIB - 7 * MM_SIZE, 3 * MM_IN_2M + 50, S2_RWX, NULL, 0);
		mm_area(mm, MM_HUGETLB, at + 2 * GIB, 2 * MM_IN_2M, S2_RWX, NULL, 0);
		at += 4 * GIB;
	}
	mm_area(mm, MM_FILE, at, 200, S2_RWX, cache, 10);
	mm_area(mm, MM_FILE, at + GIB, 100, S2_RWX, cache, 50);
	mm_area(mm, MM_DAX, at + 2 * GIB, 2 * MM_IN_2M, S2_RWX, dax, 0);
	mm_area(mm, MM_DAX, at + 3 * GIB + 100 * MM_SIZE, MM_IN_2M, S2_RW, dax, 100);
	at += 4 * GIB;
	mm_area(mm, MM_PFN, at, 2 * MM_IN_2M, S2_RWX, driver, 0);
	mm_area(mm, MM_NOREF, at + GIB, 64, S2_RW, loose, 0);
	mm_device(mm, at + 2 * GIB - 100 * MM_SIZE, 700, (1ull << 40) - 100 * MM_SIZE + GIB,
		  S2_MEM_DEVICE);
	mm_device(mm, at + 3 * GIB + 300 * MM_SIZE, 1000, (1ull << 41) + 300 * MM_SIZE, S2_MEM_NC);
	/* What is private needs no address, only a name. */
	mm_area(mm, MM_FILE, PRIVATE + 3 * MM_SIZE, 1200, S2_RWX, secret, 0);
	mm_area(mm, MM_THP, PRIVATE + GIB - 9 * MM_SIZE, 3 * MM_IN_2M + 50, S2_RWX, NULL, 0);
}

static void draw_config(struct host_world *w, struct s2_vm_config *config, struct sim_config *sim,
			const struct host_options *options)
{
	uint64_t dice = sim_random(&w->rng);

	*config = (struct s2_vm_config){ .pt = { .format = S2_FORMAT_ARM64_4K,
						 .ipa_bits = 40,
						 .block_level = dice % 8 ? 1 + dice / 8 % 2 : 0,
						 .cpu = { .features = dice >> 8 & 63,
							  .pa_bits = 48,
							  .bbm = (dice >> 16 & 15) % 3 } },
					 .flags = dice >> 20 & 3 };
	if (w->seed % 3 == 0)
		w->quota = config->pt.table_quota = 6 + (dice >> 32) % 24;
	w->fail_of_65536 = (const uint32_t[]){ 0, 0, 300, 5000 }[dice >> 40 & 3];
	*sim = (struct sim_config){ .seed = w->seed,
				    .cpu = config->pt.cpu,
				    .frames = 4096,
				    .reuse = dice >> 24 & 1,
				    .watch = options->blind ? SIM_BLIND : SIM_WATCH };
	if (!options->threads)
		sim->barrier = dice >> 25 & 1;
	w->odds = (const uint32_t[]){ 0, 30000, 8000, 1500 }[dice >> 28 & 3];
}

void host_up(struct host_world *w, uint64_t seed, const struct host_options *options)
{
	static const uint32_t ambush[] = { 0, 200, 2000, 10000 }, ram[] = { 1, 2, 3, 6 };
	struct s2_vm_config config;
	struct sim_config sim;
	struct mm_config mm = { .threads = options->threads };

	memset(w, 0, sizeof(*w));
	w->seed = seed;
	w->threads = options->threads;
	w->rng = seed * 0x9e3779b97f4a7c15ull | 1;
	sim_random(&w->rng);
	draw_config(w, &config, &sim, options);
	w->rng2 = w->rng ^ 0x5555;
	mm.ambush = ambush[mm_random(&w->rng, 4)];
	mm.chunks[MM_ZONE_RAM] = ram[mm_random(&w->rng, 4)];
	mm.pending = mm_random(&w->rng, 2) ? 4000 : 0;
	sim_init(&w->sim, &sim);
	mm_init(&w->mm, &w->sim, &w->vm, &mm);
	lay_out(&w->mm);
	if (s2_vm_init(&w->vm, &config, &w->sim.port))
		sim_fail(&w->sim, "s2_vm_init failed");
	for (unsigned int n = 2; n-- > 0;)
		mm_cpu_on(&w->mm, n);
	sim_start(&w->sim, s2_arm64_vtcr(&w->vm.pt), s2_arm64_vttbr(&w->vm.pt, 7));
	for (int i = 0; i < 100; i++)
		host_slot_op(w, 0, &w->rng);
	w->sim.arena.fail_of_65536 = w->fail_of_65536;
}

/* Nobody is there: every page is what it should be, read once more. */
static void read_all(struct host_world *w)
{
	struct s2_exit exit;
	uint64_t served = 0;

	w->mm.config.ambush = w->mm.config.pending = 0;
	w->sim.arena.fail_of_65536 = w->fail_of_65536 = 0;
	w->threads = w->ran = 0;
	for (int i = 0; i < HOST_SLOTS; i++) {
		for (uint64_t off = 0; w->used[i] && off < w->slot[i].size; off += MM_SIZE) {
			const struct mm_access access = { .gpa = w->slot[i].gpa.gpa + off,
							  .access = S2_ACCESS_READ };

			served += host_access(w, &access, &w->rng, &exit) == MM_DONE;
		}
	}
	mm_audit(&w->mm);
	mm_audit_guest(&w->mm, &w->mm.cpu[0].host);
	w->checked += served;
}

void host_down(struct host_world *w)
{
	struct s2_census census;

	mm_cpu_on(&w->mm, 0);
	read_all(w);
	if (s2_pt_audit(&w->vm.pt, &w->mm.cpu[0].walker, &census, NULL) || census.busy)
		sim_fail(&w->sim, "the tree is broken");
	for (int i = 0; i < HOST_SLOTS; i++)
		if (w->used[i] && s2_vm_slot_del(&w->vm, &w->slot[i], &w->mm.cpu[0].host))
			sim_fail(&w->sim, "slot_del failed");
	if (w->sim.model)
		sim_idle_empty(&w->sim, 0, 1ull << 40);
	sim_stop(&w->sim);
	mm_cpus_off(&w->mm);
	s2_vm_fini(&w->vm);
	mm_fini(&w->mm);
	sim_fini(&w->sim);
}

/* Slots stand apart, or close together in one region. */
static uint64_t slot_base(unsigned int i)
{
	return i < 12 ? (i + 1) * (16ull << 20) : 15 * (16ull << 20) + (i - 12) * 549 * MM_SIZE;
}

uint64_t host_gpa(const struct host_world *w, uint64_t *rng)
{
	unsigned int i = (unsigned int)mm_random(rng, HOST_SLOTS);
	uint64_t hint = __atomic_load_n(&w->hint[i], __ATOMIC_RELAXED);
	uint64_t pages = hint & (MM_SIZE - 1);

	if (!pages || !mm_random(rng, 40))
		return mm_random(rng, 40) ? slot_base(i) : mm_random(rng, GIB);
	if (mm_random(rng, 2)) /* few pages, often */
		return hint - pages + mm_random(rng, 12) * 97 % pages * MM_SIZE;
	return hint - pages + mm_random(rng, pages) * MM_SIZE;
}

struct mm_access host_draw(uint64_t gpa, uint64_t *rng)
{
	static const uint8_t kinds[] = { S2_ACCESS_READ, S2_ACCESS_READ, S2_ACCESS_WRITE,
					 S2_ACCESS_WRITE, S2_ACCESS_EXEC };
	static const uint8_t views[] = { S2_VIEW_ANY,    S2_VIEW_ANY,    S2_VIEW_ANY,
					 S2_VIEW_ANY,    S2_VIEW_SHARED, S2_VIEW_SHARED,
					 S2_VIEW_SHARED, S2_VIEW_PRIVATE };

	/* Few values, so that pages are equal often. */
	return (struct mm_access){ .gpa = gpa,
				   .value = mm_random(rng, 4) ? mm_random(rng, 3) : sim_random(rng),
				   .access = kinds[mm_random(rng, sizeof(kinds))],
				   .view = views[mm_random(rng, sizeof(views))] };
}

enum mm_result host_access(struct host_world *w, const struct mm_access *access, uint64_t *rng,
			   struct s2_exit *exit)
{
	enum mm_result did = mm_guest_access(&w->mm, access, exit);

	if (did == MM_TIRED && exit->error)
		host_relieve(w, access, exit->error, rng);
	if (did == MM_EXIT && exit->reason == S2_EXIT_MEMORY && exit->error == S2_EPERM &&
	    access->view != S2_VIEW_ANY &&
	    (access->view == S2_VIEW_PRIVATE) != ((exit->attrs & S2_PAGE_PRIVATE) != 0))
		host_count(w, HOST_VIEW);
	return did;
}

/* Attributes of a slot's pages: in runs, so that blocks are possible. */
static void draw_attrs(struct s2_memslot *slot, uint8_t *attrs, uint64_t *rng)
{
	uint64_t pages = slot->size >> MM_SHIFT, at = 0, stop;
	unsigned int may =
		slot->flags & S2_SLOT_PRIVATE ? S2_PAGE_ATTRS : S2_PAGE_NOWRITE | S2_PAGE_NOEXEC;

	while (at < pages) {
		uint8_t like = (uint8_t)(mm_random(rng, 2)   ? 0
					 : mm_random(rng, 3) ? S2_PAGE_PRIVATE
							     : mm_random(rng, 8));

		stop = at + 1 + mm_random(rng, 2ull << mm_random(rng, 11));
		for (; at < pages && at < stop; at++)
			attrs[at] = like & may;
	}
	slot->attrs = attrs;
}

/* A second backing: mostly alike in its blocks, so that either may be one. */
static void draw_private(struct host_world *w, struct s2_memslot *slot, uint64_t *rng)
{
	const struct mm_area *area = &w->mm.area[mm_random(rng, w->mm.nareas)];
	uint64_t offset = 0, pages;

	if (mm_random(rng, 2))
		area = &w->mm.area[w->mm.nareas - 1 - mm_random(rng, NAMES)];
	if (mm_random(rng, 4))
		offset = ((slot->hva.hva - area->hva) & (MM_2M - 1)) >> MM_SHIFT;
	if (offset >= area->npages)
		offset = 0;
	pages = area->npages - offset;
	if (slot->size > pages << MM_SHIFT)
		slot->size = pages << MM_SHIFT;
	slot->priv = s2_hva(area->hva + offset * MM_SIZE);
	slot->flags |= S2_SLOT_PRIVATE;
}

static void draw_slot(struct host_world *w, unsigned int i, struct s2_memslot *slot, uint64_t *rng)
{
	const struct mm_area *area = &w->mm.area[mm_random(rng, w->mm.nareas - NAMES)];
	unsigned int kind = (unsigned int)mm_random(rng, 4);
	uint64_t offset = mm_random(rng, 2) ? 0 : mm_random(rng, area->npages);
	uint64_t pages = area->npages - offset, room = i < 12 ? 2048 : 549;

	memset(slot, 0, sizeof(*slot));
	if (mm_random(rng, 3) == 0 && pages > 1)
		pages = 1 + mm_random(rng, pages);
	slot->gpa = s2_gpa(slot_base(i));
	slot->hva = s2_hva(area->hva + offset * MM_SIZE);
	if (mm_random(rng, 4)) /* blocks are possible */
		slot->gpa.gpa += (slot->hva.hva - slot->gpa.gpa) & (MM_2M - 1);
	room -= (slot->gpa.gpa - slot_base(i)) >> MM_SHIFT;
	slot->size = (pages < room ? pages : room) * MM_SIZE;
	slot->flags = mm_random(rng, 8) ? 0 : S2_SLOT_READONLY;
	if (kind > 1)
		draw_private(w, slot, rng);
	if (kind)
		draw_attrs(slot, w->attrs[i][!w->turn[i]], rng);
}

/* Slot i is as it was drawn last, or gone: nobody looks at the attributes that it had. */
static void slot_changed(struct host_world *w, unsigned int i)
{
	memset(w->attrs[i][w->turn[i]], 0xff, HOST_PAGES);
	w->turn[i] = !w->turn[i];
	if (w->used[i] && w->slot[i].attrs)
		memcpy(w->said[i], w->slot[i].attrs, w->slot[i].size >> MM_SHIFT);
}

int host_slot_at(const struct host_world *w, uint64_t gpa)
{
	for (int i = 0; i < HOST_SLOTS; i++)
		if (w->used[i] && gpa - w->slot[i].gpa.gpa < w->slot[i].size)
			return i;
	return -1;
}

void host_slot_op(struct host_world *w, uint64_t gpa, uint64_t *rng)
{
	unsigned int i = (unsigned int)mm_random(rng, HOST_SLOTS);
	struct s2_walker *walker = &mm_self(&w->mm)->host;
	struct s2_memslot slot;
	int ret;

	if (w->slot_busy)
		return;
	w->slot_busy = 1;
	if (mm_random(rng, 2) && host_slot_at(w, gpa) >= 0)
		i = (unsigned int)host_slot_at(w, gpa);
	draw_slot(w, i, &slot, rng);
	mm_disturb(&w->mm, 1);
	if (!w->used[i]) {
		w->slot[i] = slot;
		ret = slot.size ? s2_vm_slot_add(&w->vm, &w->slot[i]) : S2_EAGAIN;
		w->used[i] = !ret;
		if (ret == S2_EOVERLAP)
			ret = S2_EAGAIN;
	} else if (!mm_random(rng, 4)) {
		ret = s2_vm_slot_del(&w->vm, &w->slot[i], walker);
		w->used[i] = ret != 0;
	} else {
		ret = slot.size ? s2_vm_slot_change(&w->vm, &w->slot[i], &slot, walker) : S2_EAGAIN;
		if (ret == S2_EOVERLAP)
			ret = S2_EAGAIN;
	}
	if (ret && ret != S2_EAGAIN)
		sim_fail(&w->sim, "slot %u: %s", i, s2_strerror(ret));
	if (!ret)
		slot_changed(w, i);
	w->slot_again += ret != 0;
	__atomic_store_n(&w->hint[i],
			 w->used[i] ? w->slot[i].gpa.gpa + w->slot[i].size / MM_SIZE : 0,
			 __ATOMIC_RELAXED);
	w->slot_ops++;
	mm_disturb(&w->mm, -1);
	w->slot_busy = 0;
}
