// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a VMM does in random_host's world, beside the guest and the host: it converts pages between
 * shared and private, forbids things, faults ranges in beforehand, works in guest memory through
 * holds, looks which pages are young, splits blocks, takes mappings and rights away, and makes room
 * for tables where there were none.
 *
 * Each thing is checked by what it promises. Where that depends on what others do meanwhile, it is
 * checked when nobody did anything (host_quiet()).
 */
#include <string.h>

#include "random_host.h"

const char *const host_event_name[HOST_EVENTS] = {
	"converted", "forbidden", "refused",       "view",       "prefault",    "prefault-part",
	"aged",      "young",     "split",         "withdrawn",  "no-memory",   "quota",
	"relief",    "served",    "exactly-young", "tree-unmap", "tree-protect"
};

static struct mm_cpu *self(struct host_world *w)
{
	return mm_self(&w->mm);
}

/* So many pages: from gpa on, or the block around it and those behind. */
static uint64_t draw_range(uint64_t *gpa, uint64_t most, uint64_t *rng)
{
	uint64_t pages = 1 + mm_random(rng, 1ull << mm_random(rng, 7));

	*gpa &= ~(MM_SIZE - 1);
	if (!mm_random(rng, 8))
		pages = 1 + mm_random(rng, most);
	if (!mm_random(rng, 4)) {
		*gpa &= ~(MM_2M - 1);
		pages = MM_IN_2M * (1 + mm_random(rng, 3));
	}
	return pages < most ? pages : most;
}

/* Attributes */

/* The next slot's part of a range, from gpa on; returns the slot, or -1. */
static int part_at(const struct host_world *w, uint64_t gpa, uint64_t end, uint64_t *first,
		   uint64_t *n)
{
	int i = host_slot_at(w, gpa);
	uint64_t stop;

	if (i < 0)
		return -1;
	stop = w->slot[i].gpa.gpa + w->slot[i].size;
	*first = (gpa - w->slot[i].gpa.gpa) >> MM_SHIFT;
	*n = ((stop < end ? stop : end) - gpa) >> MM_SHIFT;
	return i;
}

static int predict_attrs(const struct host_world *w, uint64_t gpa, uint64_t size, unsigned int set,
			 unsigned int clear)
{
	uint64_t end = gpa + size, first, n;

	if (set & clear)
		return S2_EINVAL;
	for (; gpa < end; gpa += n << MM_SHIFT) {
		int i = part_at(w, gpa, end, &first, &n);

		if (i < 0 || !w->slot[i].attrs ||
		    (set & S2_PAGE_PRIVATE && !(w->slot[i].flags & S2_SLOT_PRIVATE)))
			return S2_ENOENT;
	}
	return 0;
}

/* The slots' attributes are as they were, but for what has just been set. */
static void check_attrs(struct host_world *w, uint64_t gpa, uint64_t size, unsigned int set,
			unsigned int clear)
{
	uint64_t end = gpa + size, first, n;

	for (; gpa < end; gpa += n << MM_SHIFT) {
		int i = part_at(w, gpa, end, &first, &n);

		if (i < 0)
			return; /* predict_attrs() has said so */
		for (uint64_t p = first; p < first + n; p++)
			w->said[i][p] = (uint8_t)((w->said[i][p] & ~clear) | set);
		if (memcmp(w->said[i], w->slot[i].attrs, w->slot[i].size >> MM_SHIFT) != 0)
			sim_fail(&w->sim, "attributes of slot %d are not what was set", i);
	}
}

/* Another attribute, or several at once; perhaps what cannot be. */
static void draw_attrs(unsigned int *set, unsigned int *clear, uint64_t *rng)
{
	static const uint8_t one[] = { S2_PAGE_PRIVATE, S2_PAGE_PRIVATE, S2_PAGE_PRIVATE,
				       S2_PAGE_NOWRITE, S2_PAGE_NOEXEC };

	*set = one[mm_random(rng, sizeof(one))];
	*clear = 0;
	if (!mm_random(rng, 3)) {
		*set = (unsigned int)mm_random(rng, 8);
		*clear = (unsigned int)mm_random(rng, 8);
		if (mm_random(rng, 4))
			*clear &= ~*set;
	} else if (mm_random(rng, 2)) {
		*clear = *set;
		*set = 0;
	}
}

/* A range that mostly has attributes, and lies in one slot. Returns its size. */
static uint64_t draw_attrs_range(const struct host_world *w, uint64_t *gpa, uint64_t *rng)
{
	int i = host_slot_at(w, *gpa);
	uint64_t size, left;

	if ((i < 0 || !w->slot[i].attrs) && mm_random(rng, 8)) {
		i = (int)mm_random(rng, HOST_SLOTS);
		for (unsigned int n = 0; n < HOST_SLOTS && !(w->used[i] && w->slot[i].attrs); n++)
			i = (i + 1) % HOST_SLOTS;
		*gpa = w->slot[i].gpa.gpa;
		if (w->used[i])
			*gpa += mm_random(rng, w->slot[i].size >> MM_SHIFT) << MM_SHIFT;
	}
	size = draw_range(gpa, HOST_PAGES, rng) << MM_SHIFT;
	i = host_slot_at(w, *gpa);
	left = i < 0 ? size : w->slot[i].gpa.gpa + w->slot[i].size - *gpa;
	return size > left && mm_random(rng, 16) ? left : size;
}

void host_convert(struct host_world *w, uint64_t gpa, uint64_t *rng)
{
	unsigned int set, clear;
	uint64_t size;
	int should, ret;

	if (w->slot_busy)
		return;
	w->slot_busy = 1;
	size = draw_attrs_range(w, &gpa, rng);
	draw_attrs(&set, &clear, rng);
	should = predict_attrs(w, gpa, size, set, clear);
	mm_disturb(&w->mm, 1);
	ret = s2_vm_set_attrs(&w->vm, s2_gpa(gpa), size, set, clear, &self(w)->host);
	mm_disturb(&w->mm, -1);
	if (ret != should)
		sim_fail(&w->sim, "s2_vm_set_attrs(0x%llx, 0x%llx, %u, %u): %s, not %s",
			 (unsigned long long)gpa, (unsigned long long)size, set, clear,
			 s2_strerror(ret), s2_strerror(should));
	if (!ret)
		check_attrs(w, gpa, size, set, clear);
	host_count(w, ret                               ? HOST_REFUSED
		      : (set | clear) & S2_PAGE_PRIVATE ? HOST_CONVERTED
							: HOST_ATTRS);
	w->slot_busy = 0;
}

/* Prefault */

static unsigned int right(enum s2_access access)
{
	return access == S2_ACCESS_READ ? S2_R : access == S2_ACCESS_WRITE ? S2_W : S2_XP;
}

static void check_prefault(struct host_world *w, uint64_t gpa, uint64_t done, enum s2_access access,
			   int ret)
{
	struct s2_leaf leaf;
	int should;

	for (uint64_t at = gpa; at < gpa + done; at += MM_SIZE) {
		should = host_predict_prefault(w, at, access);
		if (should)
			sim_fail(&w->sim, "prefault went past 0x%llx: %s", (unsigned long long)at,
				 s2_strerror(should));
		if (s2_pt_lookup(&w->vm.pt, s2_gpa(at), &self(w)->host, &leaf) ||
		    !(leaf.attr.prot & right(access)))
			sim_fail(&w->sim, "prefault left nothing at 0x%llx",
				 (unsigned long long)at);
	}
	if (!ret || host_passes(ret))
		return;
	should = host_predict_prefault(w, gpa + done, access);
	if (should != ret)
		sim_fail(&w->sim, "prefault at 0x%llx: %s, not %s", (unsigned long long)gpa + done,
			 s2_strerror(ret), s2_strerror(should));
}

void host_prefault(struct host_world *w, uint64_t gpa, uint64_t *rng)
{
	static const uint8_t kinds[] = { S2_ACCESS_READ, S2_ACCESS_READ, S2_ACCESS_WRITE,
					 S2_ACCESS_EXEC };
	enum s2_access access = (enum s2_access)kinds[mm_random(rng, sizeof(kinds))];
	struct host_moment before = host_now(w);
	struct s2_progress progress;
	uint64_t size;
	int ret;

	size = draw_range(&gpa, HOST_PAGES, rng) << MM_SHIFT;
	ret = s2_vm_prefault(&w->vm, s2_gpa(gpa), size, access, &self(w)->walker, &progress);
	if (progress.done > size || (!ret && progress.done != size))
		sim_fail(&w->sim, "prefault of 0x%llx: done 0x%llx", (unsigned long long)size,
			 (unsigned long long)progress.done);
	if (host_quiet(w, &before)) {
		check_prefault(w, gpa, progress.done, access, ret);
		w->checked++;
	}
	host_count(w, ret ? HOST_PREFAULT_PART : HOST_PREFAULT);
	if (ret == S2_EQUOTA)
		host_relieve(w, &(struct mm_access){ .gpa = gpa }, ret, rng);
}

/* Holds */

void host_hold(struct host_world *w, uint64_t gpa, uint64_t *rng)
{
	unsigned int which[MM_WORK], n = 1 + (unsigned int)mm_random(rng, MM_WORK), i;
	struct mm_hold *holds = self(w)->hold;
	struct host_moment before;
	int ret, should;

	which[0] = (unsigned int)mm_random(rng, MM_HOLDS);
	for (i = 1; i < n; i++)
		which[i] = (which[i - 1] + 1) % MM_HOLDS;
	for (i = 0; i < n; i++)
		if (!holds[which[i]].live || !mm_random(rng, holds[which[i]].was ? 32 : 3))
			mm_hold_aim(&w->mm, which[i], i ? host_gpa(w, rng) : gpa,
				    mm_random(rng, 2) ? S2_ACCESS_READ : S2_ACCESS_WRITE);
	before = host_now(w);
	should = w->threads ? 0
			    : host_predict_hold(w, holds[which[0]].gpa,
						(enum s2_access)holds[which[0]].access);
	ret = mm_hold_work(&w->mm, which, n, mm_random(rng, 4) ? mm_random(rng, 3) : *rng);
	if (!host_quiet(w, &before) || host_passes(ret))
		return;
	w->checked++;
	if (ret != should)
		sim_fail(&w->sim, "hold on 0x%llx: %s, not %s",
			 (unsigned long long)holds[which[0]].gpa, s2_strerror(ret),
			 s2_strerror(should));
}

/* Age */

void host_age(struct host_world *w, uint64_t *rng)
{
	struct s2_progress progress;
	struct s2_gather gather;
	uint64_t gpa = host_gpa(w, rng) & ~(MM_2M - 1);

	s2_gather_init(&gather, &w->vm.pt);
	if (s2_pt_age(&w->vm.pt, s2_gpa(gpa), MM_2M, S2_AGE_CLEAR, &self(w)->host, &gather,
		      &progress))
		sim_fail(&w->sim, "age failed");
	if (mm_random(rng, 2))
		s2_gather_flush(&gather, &self(w)->host);
	host_count(w, HOST_AGED);
}

#define YOUNG_PAGES 600
#define WORDS       (YOUNG_PAGES / 64 + 2)

/* Which pages are young? They are as many as is said, and lie in the range. */
static void look_young(struct host_world *w, uint64_t gpa, uint64_t pages, enum s2_age age,
		       uint64_t *bitmap)
{
	struct s2_progress progress;
	struct s2_gather gather;
	uint64_t n = 0;

	memset(bitmap, 0, WORDS * sizeof(*bitmap));
	s2_gather_init(&gather, &w->vm.pt);
	if (s2_pt_young(&w->vm.pt, s2_gpa(gpa), pages << MM_SHIFT, age, bitmap, &self(w)->host,
			&gather, &progress))
		sim_fail(&w->sim, "young failed");
	s2_gather_flush(&gather, &self(w)->host);
	for (uint64_t i = 0; i < WORDS * 64; i++) {
		uint64_t bit = bitmap[i / 64] >> i % 64 & 1;

		if (bit && i >= pages)
			sim_fail(&w->sim, "page %llu of %llu is young", (unsigned long long)i,
				 (unsigned long long)pages);
		n += bit;
	}
	if (n << MM_SHIFT != progress.changed)
		sim_fail(&w->sim, "%llu pages are young, said are 0x%llx bytes",
			 (unsigned long long)n, (unsigned long long)progress.changed);
}

/* All was made old, and the guest has used one page since: its leaf alone is young. */
static void check_young(struct host_world *w, uint64_t gpa, uint64_t pages, uint64_t used)
{
	uint64_t bitmap[WORDS];
	struct s2_leaf leaf;

	look_young(w, gpa, pages, S2_AGE_TEST, bitmap);
	if (s2_pt_lookup(&w->vm.pt, s2_gpa(used), &self(w)->host, &leaf))
		sim_fail(&w->sim, "0x%llx was used, and is not mapped", (unsigned long long)used);
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t at = gpa + (i << MM_SHIFT);

		if ((bitmap[i / 64] >> i % 64 & 1) != (at - leaf.gpa.gpa < leaf.size))
			sim_fail(&w->sim, "0x%llx was used; 0x%llx is %s", (unsigned long long)used,
				 (unsigned long long)at,
				 bitmap[i / 64] >> i % 64 & 1 ? "young" : "not young");
	}
	host_count(w, HOST_YOUNG_EXACT);
	w->checked++;
}

void host_young(struct host_world *w, uint64_t gpa, uint64_t *rng)
{
	enum s2_age age = mm_random(rng, 4) ? S2_AGE_CLEAR : S2_AGE_TEST;
	struct mm_access access = { .access = S2_ACCESS_READ };
	struct host_moment before = host_now(w);
	uint64_t bitmap[WORDS], pages = draw_range(&gpa, YOUNG_PAGES, rng);
	struct s2_exit exit;

	look_young(w, gpa, pages, age, bitmap);
	host_count(w, HOST_YOUNG);
	/* What hardware makes young, it does when it likes. */
	if (age == S2_AGE_TEST || w->vm.pt.cpu.features & S2_CPU_HA || !host_quiet(w, &before))
		return;
	mm_guest_forget(&w->mm);
	access.gpa = gpa + (mm_random(rng, pages) << MM_SHIFT);
	if (mm_guest_access(&w->mm, &access, &exit) == MM_DONE && host_quiet(w, &before))
		check_young(w, gpa, pages, access.gpa);
}

/* The tree itself */

/* In [gpa, gpa + done) no leaf is above the level, or has these rights. */
static void check_leaves(struct host_world *w, uint64_t gpa, uint64_t done, unsigned int level,
			 unsigned int rights)
{
	struct s2_leaf leaf;
	uint64_t at = gpa;

	while (done && !s2_pt_next(&w->vm.pt, s2_gpa(at), &self(w)->host, &leaf) &&
	       leaf.gpa.gpa < gpa + done) {
		if (leaf.level > level || leaf.attr.prot & rights)
			sim_fail(&w->sim, "a leaf at 0x%llx, level %u, rights 0x%x",
				 (unsigned long long)leaf.gpa.gpa, leaf.level, leaf.attr.prot);
		at = leaf.gpa.gpa + leaf.size;
	}
}

static void count_tables(struct host_world *w, int ret, enum host_event event, uint64_t gpa,
			 uint64_t *rng)
{
	if (ret == S2_ENOMEM || ret == S2_EQUOTA)
		host_relieve(w, &(struct mm_access){ .gpa = gpa }, ret, rng);
	else if (ret)
		sim_fail(&w->sim, "%s: %s", host_event_name[event], s2_strerror(ret));
	else
		host_count(w, event);
}

void host_split(struct host_world *w, uint64_t gpa, uint64_t *rng)
{
	struct host_moment before = host_now(w);
	uint64_t pages = draw_range(&gpa, HOST_PAGES, rng);
	struct s2_progress progress;
	struct s2_gather gather;
	int ret;

	s2_gather_init(&gather, &w->vm.pt);
	ret = s2_pt_split(&w->vm.pt, s2_gpa(gpa), pages << MM_SHIFT, 0, &self(w)->host, &gather,
			  &progress);
	s2_gather_flush(&gather, &self(w)->host);
	if (host_quiet(w, &before))
		check_leaves(w, gpa, progress.done, 0, 0);
	count_tables(w, ret, HOST_SPLIT, gpa, rng);
}

/* Whoever comes in between gets nothing of it. */
void host_withdraw(struct host_world *w, uint64_t gpa, uint64_t *rng)
{
	uint64_t size = draw_range(&gpa, HOST_PAGES, rng) << MM_SHIFT;
	enum s2_inval how = mm_random(rng, 2) ? S2_INVAL_WRITE : S2_INVAL_UNMAP;
	unsigned int rights = how == S2_INVAL_WRITE ? S2_W : S2_RWX;

	mm_disturb(&w->mm, 1);
	if (s2_vm_invalidate_begin(&w->vm, s2_gpa(gpa), size, how, &self(w)->host))
		sim_fail(&w->sim, "s2_vm_invalidate_begin(0x%llx) failed", (unsigned long long)gpa);
	for (int i = 0; i < 3; i++) {
		check_leaves(w, gpa, size, S2_LEVELS, rights);
		mm_point(&w->mm);
	}
	s2_vm_invalidate_end(&w->vm, s2_gpa(gpa), size);
	mm_disturb(&w->mm, -1);
	host_count(w, HOST_WITHDRAWN);
}

void host_take(struct host_world *w, uint64_t gpa, uint64_t *rng)
{
	uint64_t pages = draw_range(&gpa, HOST_PAGES, rng);
	unsigned int rights = mm_random(rng, 2) ? S2_W : S2_X, all = mm_random(rng, 2) != 0;
	struct s2_progress progress;
	struct s2_gather gather;
	int ret;

	s2_gather_init(&gather, &w->vm.pt);
	if (all)
		ret = s2_pt_unmap(&w->vm.pt, s2_gpa(gpa), pages << MM_SHIFT, &self(w)->host,
				  &gather, &progress);
	else
		ret = s2_pt_protect(&w->vm.pt, s2_gpa(gpa), pages << MM_SHIFT, rights,
				    &self(w)->host, &gather, &progress);
	s2_gather_flush(&gather, &self(w)->host);
	check_leaves(w, gpa, progress.done, S2_LEVELS, all ? S2_RWX : rights);
	count_tables(w, ret, all ? HOST_UNMAPPED : HOST_PROTECTED, gpa, rng);
}

/* Tables that there were not */

/* As a VMM would: the guest loses some of its mappings, which come back when it needs them. */
static void give_up(struct host_world *w, uint64_t gpa, uint64_t size)
{
	mm_disturb(&w->mm, 1);
	if (s2_vm_invalidate_begin(&w->vm, s2_gpa(gpa), size, S2_INVAL_UNMAP, &self(w)->host))
		sim_fail(&w->sim, "s2_vm_invalidate_begin(0x%llx) failed", (unsigned long long)gpa);
	s2_vm_invalidate_end(&w->vm, s2_gpa(gpa), size);
	mm_disturb(&w->mm, -1);
	host_count(w, HOST_RELIEF);
}

/* Nothing is mapped: what is still held are the root and what walkers keep. Is there room? */
static int room(struct host_world *w)
{
	uint64_t linked = 0, root = 1ull << w->vm.pt.root_order;
	struct s2_census census;

	if (s2_pt_audit(&w->vm.pt, &self(w)->host, &census, NULL) || census.busy)
		sim_fail(&w->sim, "the tree is broken");
	for (unsigned int i = 0; i < S2_LEVELS; i++)
		linked += census.tables[i];
	if (linked != root || census.held != w->sim.arena.outstanding ||
	    census.held != linked + census.stocks)
		sim_fail(&w->sim, "%llu tables are linked, %llu in stock, %llu held, %u handed out",
			 (unsigned long long)linked, (unsigned long long)census.stocks,
			 (unsigned long long)census.held, w->sim.arena.outstanding);
	return !w->quota || census.held + w->vm.pt.root_level <= w->quota;
}

/* With memory, and with nothing else mapped, the same access must do what it would have done. */
static void serve(struct host_world *w, const struct mm_access *access, int error)
{
	struct host_moment before;
	struct s2_exit should, is;
	enum mm_result will, did;
	int enough = 1;

	if (error == S2_EQUOTA) {
		give_up(w, 0, 1ull << 40);
		enough = !w->ran && room(w);
	}
	w->sim.arena.fail_of_65536 = 0;
	before = host_now(w);
	will = host_predict(w, access, &should);
	did = mm_guest_access(&w->mm, access, &is);
	w->sim.arena.fail_of_65536 = w->fail_of_65536;
	if (!host_quiet(w, &before) || !enough)
		return;
	if (did == MM_EXIT && host_passes(is.error))
		return;
	if (did != will || (did == MM_EXIT && is.reason != should.reason))
		sim_fail(&w->sim, "after %s, access to 0x%llx: result %u, not %u",
			 s2_strerror(error), (unsigned long long)access->gpa, did, will);
	host_count(w, HOST_SERVED);
}

void host_relieve(struct host_world *w, const struct mm_access *access, int error, uint64_t *rng)
{
	unsigned int i = (unsigned int)mm_random(rng, HOST_SLOTS);
	uint64_t hint;

	if (error == S2_ENOMEM ? !w->fail_of_65536 : !w->quota)
		sim_fail(&w->sim, "%s without a reason", s2_strerror(error));
	host_count(w, error == S2_ENOMEM ? HOST_NOMEM : HOST_QUOTA);
	if (!w->threads && !w->ran) {
		serve(w, access, error);
	} else if (error == S2_EQUOTA) {
		hint = __atomic_load_n(&w->hint[i], __ATOMIC_RELAXED);
		if (hint & (MM_SIZE - 1))
			give_up(w, hint & ~(MM_SIZE - 1), (hint & (MM_SIZE - 1)) << MM_SHIFT);
	}
}
