// SPDX-License-Identifier: BSD-2-Clause
/*
 * Somebody works in guest memory through holds (stage2/hold.h): a device, or the hypervisor itself.
 * Each CPU has a few, over pages that it works in again and again; between two uses the host may do
 * with these pages what it likes, and the use has to find that out.
 *
 * From use to done the page is looked at as a guest's access looks at it, without any lock: it must
 * be the page that the guest would find there, with its contents; and it must stay so. Others may
 * come at any point in between, and whoever changes the page then breaks mm-hold, mm-guest or
 * mm-sum. Where the work ends early because somebody waits, that is counted.
 *
 * While holds are in use nothing is asked here, and nobody waited for, but for another's access to
 * the same word.
 */
#include "mm.h"

#define STEPS 3

static void count(struct sim_mm *mm, enum mm_hold_event event)
{
	__atomic_fetch_add(&mm->held[event], 1, __ATOMIC_RELAXED);
}

static void revoke(struct s2_hold *hold)
{
	count(hold->ctx, MM_HOLD_ASKED);
}

void mm_hold_aim(struct sim_mm *mm, unsigned int n, uint64_t gpa, enum s2_access access)
{
	struct mm_hold *h = &mm_self(mm)->hold[n];
	int ret;

	if (h->live)
		s2_hold_fini(&h->hold);
	h->gpa = gpa & ~(MM_SIZE - 1);
	h->offset = n * 8;
	h->access = (uint8_t)access;
	h->was = 0;
	h->hold.ctx = mm;
	h->hold.revoke = revoke;
	ret = s2_hold_init(&h->hold, mm->vm, s2_gpa(h->gpa + h->offset), 8, access);
	if (ret)
		sim_fail(mm->sim, "s2_hold_init(0x%llx): %s", (unsigned long long)h->gpa,
			 s2_strerror(ret));
	h->live = !ret;
	count(mm, MM_HOLD_AIMED);
}

/* The page behind a hold in use, as an access would find it; looked at again whenever used. */
static uint32_t reach(struct sim_mm *mm, const struct mm_hold *h, struct mm_reached *r)
{
	*r = (struct mm_reached){ .gpa = h->gpa,
				  .hpa = h->hold.hpa.hpa - h->offset,
				  .prot = h->access == S2_ACCESS_WRITE ? S2_R | S2_W : S2_R };
	if (!mm_reach(mm, &mm_self(mm)->walker, r)) {
		sim_fail(mm->sim, "mm-hold: gpa 0x%llx is held, and its slot does not lead there",
			 (unsigned long long)h->gpa);
		return MM_NONE;
	}
	if (r->attrs & S2_PAGE_PRIVATE)
		sim_fail(mm->sim, "mm-hold: gpa 0x%llx is held, and private",
			 (unsigned long long)h->gpa);
	r->type = r->area->type;
	if (s2_memtype_is_device((enum s2_memtype)r->type))
		sim_fail(mm->sim, "mm-hold: gpa 0x%llx is held, and a device",
			 (unsigned long long)h->gpa);
	return mm_check_reached(mm, r);
}

static void hold_on(struct sim_mm *mm, struct mm_hold *h)
{
	struct mm_reached r;

	(void)reach(mm, h, &r);
	h->page = r.page;
	__atomic_fetch_add(&h->page->held, 1, __ATOMIC_RELAXED);
	if (h->was && h->was != r.hpa)
		count(mm, MM_HOLD_MOVED);
	h->was = r.hpa;
}

static void let_go(struct mm_hold *h)
{
	__atomic_fetch_sub(&h->page->held, 1, __ATOMIC_RELAXED);
	s2_hold_done(&h->hold);
}

static int use(struct sim_mm *mm, struct mm_hold *h)
{
	int ret;

	if (!mm->config.threads)
		mm->last_gpa = h->gpa;
	ret = s2_hold_use(&h->hold, &mm_self(mm)->walker);
	count(mm, ret ? MM_HOLD_DENIED : MM_HOLD_USED);
	if (!ret)
		hold_on(mm, h);
	else
		h->was = 0;
	return ret;
}

/* Returns how many steps of work were left when somebody waited for one of them. */
static unsigned int work(struct sim_mm *mm, struct mm_hold *const *held, unsigned int n,
			 uint64_t value)
{
	struct mm_reached r;
	uint32_t frame;

	for (unsigned int step = 0; step < STEPS; step++) {
		for (unsigned int i = 0; i < n; i++) {
			frame = reach(mm, held[i], &r);
			if (r.page != held[i]->page)
				sim_fail(mm->sim, "mm-hold: gpa 0x%llx became another page",
					 (unsigned long long)r.gpa);
			if (frame != MM_NONE)
				mm_word(mm, &r, frame, (enum s2_access)held[i]->access, value);
		}
		mm_point(mm);
		for (unsigned int i = 0; i < n; i++)
			if (s2_hold_revoked(&held[i]->hold))
				return STEPS - 1 - step;
	}
	return 0;
}

int mm_hold_work(struct sim_mm *mm, const unsigned int *which, unsigned int n, uint64_t value)
{
	struct mm_hold *held[MM_WORK], *stale[MM_WORK], *h = mm_self(mm)->hold;
	unsigned int nheld = 0, nstale = 0;
	int ret = use(mm, &h[which[0]]);

	if (ret)
		return ret;
	held[nheld++] = &h[which[0]];
	for (unsigned int i = 1; i < n; i++) {
		if (s2_hold_try(&h[which[i]].hold)) {
			count(mm, MM_HOLD_STALE);
			stale[nstale++] = &h[which[i]];
			continue;
		}
		count(mm, MM_HOLD_TRIED);
		held[nheld++] = &h[which[i]];
		hold_on(mm, &h[which[i]]);
	}
	if (work(mm, held, nheld, value))
		count(mm, MM_HOLD_CUT);
	while (nheld)
		let_go(held[--nheld]);
	while (nstale)
		if (!use(mm, stale[--nstale]))
			let_go(stale[nstale]);
	return 0;
}
