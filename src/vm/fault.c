/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fault path. One function maps, for faults and prefault alike (fault_in); what a page is comes
 * from one place only, the port's resolve() (requirement V6).
 *
 *   sample -> slot (copied) -> resolve (may sleep) -> section: sample still valid? -> map -> flush
 *
 * Nothing is pinned and no reference is held: an entry is made only if whoever takes the page away
 * is bound to see it (invariant 5 of docs/locking.md). Whoever loses a race finds an equal entry.
 */
#include "internal.h"

/* What fault_in() found, beside errors. */
enum outcome {
	MAPPED, /* a leaf serves the address now */
	RETRY,  /* what was learnt became stale, or another is just changing the entry */
	NO_SLOT,
	READONLY, /* a write to a read-only slot */
	NO_EXEC,  /* the memory there is never executable */
	NO_PAGE,  /* resolve() said no: see error */
};

struct request {
	uint64_t gpa; /* of the page */
	enum s2_access access;
	unsigned int exec;  /* the right that execution needs: by the guest's privilege */
	unsigned int view;  /* enum s2_view */
	int permission;     /* a permission fault: the CPU may hold a stale entry */
	int error;          /* NO_PAGE */
	unsigned int level; /* MAPPED, RETRY: of the leaf */
};

static S2_ALWAYS_INLINE struct request request_of(const struct s2_vm *vm,
						  const struct s2_fault *fault)
{
	struct request rq = {
		.gpa = fault->gpa.gpa & ~((1ull << vm->pt.page_shift) - 1),
		.access = (enum s2_access)fault->access,
		.view = fault->view,
		.permission = fault->kind == S2_FAULT_PERMISSION,
	};

	if (rq.access == S2_ACCESS_EXEC)
		rq.exec = fault->user ? S2_XU : S2_XP;
	return rq;
}

/* Largest block around gpa that the page, the slot and both alignments allow (rows V9, V6). */
static S2_ALWAYS_INLINE unsigned int block_level(const struct s2_vm *vm, struct s2_walker *walker,
						 const struct request *rq,
						 const struct s2_page *page, unsigned int cap)
{
	const struct s2_pt *pt = &vm->pt;
	uint64_t gpa = rq->gpa;
	unsigned int level = cap;

	for (; level > 0; level--) {
		uint64_t size = 1ull << s2_pt_shift(pt, level), start = gpa & ~(size - 1);

		if (page->size >= size && pt->ops->fmt->leaf_levels >> level & 1 &&
		    !((gpa ^ page->hpa.hpa) & (size - 1)) && start >= walker->slot_gpa &&
		    start + size - walker->slot_gpa <= walker->slot_size &&
		    S2_LIKELY(!(walker->slot_flags & S2_SLOT_ATTRS) ||
			      s2_attrs_same(vm, walker, start, size, gpa)))
			break;
	}
	return level;
}

/* Rights of the new mapping: all that slot and page permit, but execution late if so wished. */
static S2_ALWAYS_INLINE uint8_t mapping_prot(const struct s2_vm *vm, unsigned int prot,
					     enum s2_access access)
{
	if (vm->flags & S2_VM_LAZY_EXEC && access != S2_ACCESS_EXEC)
		prot &= ~(unsigned int)S2_X;
	return (uint8_t)prot;
}

/* How often to look again at an entry that another is just changing before the guest may run. */
#define BUSY_LOOKS 64

/* What is to be mapped: one leaf, with all that was learnt about it. */
struct mapping {
	uint64_t gpa;
	uint64_t hpa;
	struct s2_attr attr;
	unsigned int level;
};

/* The long way: links tables, splits or replaces what is there, waits for others. */
static S2_NOINLINE int insert_slow(struct s2_vm *vm, struct s2_walker *walker, struct mapping map,
				   struct s2_sample sample, struct s2_job *job)
{
	struct s2_pt *pt = &vm->pt;
	uint64_t size = 1ull << s2_pt_shift(pt, map.level);
	unsigned int looks = BUSY_LOOKS;
	struct s2_gather gather;
	int ret;

	*job = (struct s2_job){ .gpa = map.gpa,
				.end = map.gpa + size,
				.hpa = map.hpa,
				.attr = map.attr,
				.how = S2_MAP_REPLACE | S2_MAP_WIDEN,
				.cap = map.level };
	s2_gather_init(&gather, pt);
	do {
		s2_enter(walker);
		if (S2_UNLIKELY(!s2_vm_sample_valid(vm, size, &sample))) {
			s2_leave(walker);
			ret = RETRY;
			break;
		}
		ret = pt->ops->map_step(pt, job, walker, &gather);
		s2_leave(walker);
		if (ret == S2_STEP_TABLES)
			ret = s2_walker_fill(walker, pt->root_level);
		else if (ret == S2_STEP_BUSY && !--looks)
			ret = RETRY;
		else if (ret != S2_STEP_ON)
			ret = s2_pt_wait(walker, &gather, ret);
	} while (!ret && job->gpa < job->end);
	s2_gather_flush(&gather, walker);
	return ret;
}

/*
 * Makes the entry if what was learnt still holds. `permission`: the CPU may hold a stale entry for
 * gpa, and must forget it also where nothing had to change. Sections open and close here.
 */
static S2_ALWAYS_INLINE int insert(struct s2_vm *vm, struct s2_walker *walker, uint64_t gpa,
				   const struct mapping *map, int permission,
				   const struct s2_sample *sample)
{
	struct s2_pt *pt = &vm->pt;
	uint64_t size = 1ull << s2_pt_shift(pt, map->level);
	enum s2_near did = S2_NEAR_NOT;
	struct s2_job job;
	int ret;

	s2_enter(walker);
	if (S2_LIKELY(s2_vm_sample_valid(vm, size, sample)))
		did = pt->ops->map_near(pt, walker, map->gpa, map->hpa, map->attr, map->level);
	s2_leave(walker);
	if (S2_UNLIKELY(did == S2_NEAR_NOT)) {
		ret = insert_slow(vm, walker, *map, *sample, &job);
		if (ret)
			return ret;
		did = job.equal ? S2_NEAR_EQUAL : S2_NEAR_WIDENED;
	}
	if (did == S2_NEAR_MADE)
		s2_tlb_publish_now(pt, walker);
	else if (S2_UNLIKELY(did == S2_NEAR_EQUAL) && permission)
		s2_tlb_local(pt, walker, gpa, 1ull << pt->page_shift, S2_LEVEL_ANY);
	s2_count(did == S2_NEAR_EQUAL ? &walker->stats.fault_spurious
				      : &walker->stats.fault_level[map->level],
		 1);
	return MAPPED;
}

/* The slot for this address, in walker->slot_*: mostly the same as the last time. */
static S2_ALWAYS_INLINE int find_slot(const struct s2_vm *vm, struct s2_walker *walker,
				      uint64_t gpa)
{
	if (S2_LIKELY(gpa - walker->slot_gpa < walker->slot_size &&
		      s2_load_acquire(&vm->generation) == walker->slot_generation))
		return 1;
	return s2_slot_find(vm, gpa, walker);
}

/* Only if nothing was happening there since the sample is what was (not) found the truth. */
static S2_NOINLINE int confirm(const struct s2_vm *vm, struct s2_walker *walker,
			       struct s2_sample sample, int outcome)
{
	int valid;

	s2_enter(walker);
	valid = s2_vm_sample_valid(vm, 1, &sample);
	s2_leave(walker);
	return valid ? outcome : RETRY;
}

/* Asks the host. Returns 0 or what came of it. */
static S2_ALWAYS_INLINE int resolve(struct s2_vm *vm, struct request *rq, uint64_t hva,
				    struct s2_page *page)
{
	int ret = s2_ask(&vm->pt, hva, rq->access, page);

	if (S2_UNLIKELY(ret)) {
		rq->error = ret;
		return ret == S2_EPORT ? ret : ret == S2_EAGAIN ? RETRY : NO_PAGE;
	}
	rq->error = S2_EPERM;
	if (rq->access == S2_ACCESS_WRITE && !(page->prot & S2_W))
		return NO_PAGE;
	return rq->access == S2_ACCESS_EXEC && !(page->prot & rq->exec) ? NO_EXEC : 0;
}

/* What a slot that is not plain, or a view, makes of a fault. */
struct special {
	uint64_t hva;      /* of the page */
	unsigned int deny; /* rights that the mapping must not have */
};

/* Returns 0 or what came of it. */
static int look_closer(const struct s2_vm *vm, struct s2_walker *walker, struct request *rq,
		       struct special *special)
{
	unsigned int attrs = 0;
	int private;

	if (rq->view > S2_VIEW_PRIVATE)
		return S2_EINVAL;
	special->deny = walker->slot_flags & S2_SLOT_READONLY ? S2_W : 0;
	if (walker->slot_flags & S2_SLOT_ATTRS)
		attrs = s2_attrs_read(vm, walker, rq->gpa);
	private = (attrs & S2_PAGE_PRIVATE) != 0;
	if (private)
		special->hva = walker->slot_priv + (rq->gpa - walker->slot_gpa);
	rq->error = S2_EPERM;
	if (rq->view != S2_VIEW_ANY && (rq->view == S2_VIEW_PRIVATE) != private)
		return NO_PAGE;
	if (rq->access == S2_ACCESS_WRITE && special->deny)
		return READONLY;
	if (attrs & S2_PAGE_NOWRITE)
		special->deny |= S2_W;
	if (attrs & S2_PAGE_NOEXEC)
		special->deny |= S2_X;
	if ((rq->access == S2_ACCESS_WRITE && special->deny & S2_W) ||
	    (rq->access == S2_ACCESS_EXEC && special->deny & S2_X))
		return NO_PAGE;
	return 0;
}

/* What all but a plain fault in a plain slot, tried for the first time, needs beside. */
struct closer {
	unsigned int cap;             /* no leaf above this level */
	const struct s2_claim *claim; /* what to believe about invalidations; NULL: the counters */
};

static S2_NOINLINE int fault_in_closer(struct s2_vm *vm, struct s2_walker *walker,
				       const struct s2_fault *fault, struct request *rq,
				       const struct closer *closer);

/* With a request of its own, made anew, so that the common case has its own in registers. */
static S2_ALWAYS_INLINE int again(struct s2_vm *vm, struct s2_walker *walker,
				  const struct s2_fault *fault, struct request *rq,
				  const struct closer *closer)
{
	struct request copy = request_of(vm, fault);
	int ret = fault_in_closer(vm, walker, fault, &copy, closer);

	rq->level = copy.level;
	rq->error = copy.error;
	return ret;
}

/* Maps what rq is about. `closer`: NULL, a constant, in the common case. */
static S2_ALWAYS_INLINE int fault_in_as(struct s2_vm *vm, struct s2_walker *walker,
					const struct s2_fault *fault, struct request *rq,
					const struct closer *closer)
{
	struct s2_pt *pt = &vm->pt;
	struct special special;
	struct s2_sample sample;
	struct mapping map;
	struct s2_page page;
	uint64_t size;
	int ret = 0;

	s2_vm_sample(vm, rq->gpa, closer ? closer->claim : NULL, &sample);
	if (closer)
		s2_vm_sample_all(vm, &sample);
	if (S2_UNLIKELY(!find_slot(vm, walker, rq->gpa)))
		return confirm(vm, walker, sample, NO_SLOT);
	special.hva = walker->slot_hva + (rq->gpa - walker->slot_gpa);
	special.deny = 0;
	if (closer) {
		ret = look_closer(vm, walker, rq, &special);
	} else if (S2_UNLIKELY(walker->slot_flags | rq->view)) {
		struct closer plain = { pt->block_level, NULL };

		return again(vm, walker, fault, rq, &plain);
	}
	if (S2_LIKELY(!ret))
		ret = resolve(vm, rq, special.hva, &page);
	if (S2_UNLIKELY(ret))
		return ret < 0 ? ret : confirm(vm, walker, sample, ret);

	rq->level = block_level(vm, walker, rq, &page, closer ? closer->cap : pt->block_level);
	size = 1ull << s2_pt_shift(pt, rq->level);
	/* The line that every invalidation writes is left to those who need it. */
	if (!closer && S2_UNLIKELY(s2_vm_spans_regions(size))) {
		struct closer large = { pt->block_level, NULL };

		return again(vm, walker, fault, rq, &large);
	}
	map.gpa = rq->gpa & ~(size - 1);
	map.hpa = page.hpa.hpa & ~(size - 1);
	map.attr.prot = mapping_prot(vm, page.prot & ~special.deny, rq->access);
	map.attr.type = page.type;
	map.attr.sw = 0;
	map.attr.pad = 0;
	map.level = rq->level;
	return insert(vm, walker, rq->gpa, &map, rq->permission, &sample);
}

static S2_NOINLINE int fault_in_closer(struct s2_vm *vm, struct s2_walker *walker,
				       const struct s2_fault *fault, struct request *rq,
				       const struct closer *closer)
{
	int ret = fault_in_as(vm, walker, fault, rq, closer);

	if (ret == MAPPED)
		s2_trace(vm, S2_TRACE_FAULT, rq->access, S2_EXIT_RESUME, rq->gpa,
			 1ull << s2_pt_shift(&vm->pt, rq->level));
	return ret;
}

/* The largest leaf that has a region's counters to itself. */
static unsigned int region_level(const struct s2_pt *pt)
{
	unsigned int level = pt->block_level;

	while (level && s2_pt_shift(pt, level) > S2_REGION_SHIFT)
		level--;
	return level;
}

/*
 * What was learnt became stale, or seems so. A leaf larger than a region is disturbed by every
 * invalidation: less is asked for. And who is sent away from one page for too often insists: then
 * only what really touches that page counts, and it is mapped alone.
 */
static S2_NOINLINE int retry(struct s2_vm *vm, struct s2_walker *walker,
			     const struct s2_fault *fault, struct request *rq)
{
	struct closer closer = { region_level(&vm->pt), NULL };
	struct s2_claim *claim;
	int ret = RETRY;

	if (rq->error == S2_EAGAIN) /* the host itself: insisting is no use */
		return RETRY;
	if (walker->retry_page != rq->gpa + 1) {
		walker->retry_page = rq->gpa + 1;
		walker->retries = 0;
	}
	if (rq->level > closer.cap)
		ret = fault_in_closer(vm, walker, fault, rq, &closer);
	if (ret != RETRY || rq->error == S2_EAGAIN || ++walker->retries < S2_PATIENCE)
		return ret;
	claim = s2_vm_claim(vm, rq->gpa, rq->gpa + (1ull << vm->pt.page_shift) - 1);
	if (!claim)
		return ret;
	s2_trace(vm, S2_TRACE_INSIST, rq->access, 0, rq->gpa, 0);
	closer = (struct closer){ 0, claim };
	ret = fault_in_closer(vm, walker, fault, rq, &closer);
	s2_vm_release(vm, claim);
	if (ret != RETRY) {
		walker->retries = 0;
		s2_count(&walker->stats.fault_precise, 1);
	}
	return ret;
}

static S2_ALWAYS_INLINE int fault_in(struct s2_vm *vm, struct s2_walker *walker,
				     const struct s2_fault *fault, struct request *rq)
{
	int ret = fault_in_as(vm, walker, fault, rq, NULL);
	struct request copy;

	if (S2_LIKELY(ret != RETRY))
		return ret;
	copy = request_of(vm, fault);
	copy.level = rq->level;
	copy.error = rq->error;
	ret = retry(vm, walker, fault, &copy);
	rq->level = copy.level;
	rq->error = copy.error;
	return ret;
}

/*
 * An access-flag fault needs no slot and no host: the mapping is there and becomes young again.
 * Returns RETRY, or MAPPED with the leaf's level in the bits above.
 */
#define YOUNG_LEVEL 8

static S2_NOINLINE int make_young(struct s2_vm *vm, struct s2_walker *walker, uint64_t gpa,
				  enum s2_access access)
{
	struct s2_pt *pt = &vm->pt;
	struct s2_progress progress;
	struct s2_gather gather;
	struct s2_leaf leaf;
	int ret;

	s2_gather_init(&gather, pt);
	ret = s2_pt_age(pt, s2_gpa(gpa), 1ull << pt->page_shift, S2_AGE_SET, walker, &gather,
			&progress);
	s2_gather_flush(&gather, walker);
	if (ret || !(progress.changed | progress.equal))
		return RETRY; /* unmapped meanwhile: the guest will fault again, differently */
	if (s2_pt_lookup(pt, s2_gpa(gpa), walker, &leaf))
		return RETRY;
	s2_count(progress.changed ? &walker->stats.fault_level[leaf.level]
				  : &walker->stats.fault_spurious,
		 1);
	s2_trace(vm, S2_TRACE_FAULT, access, S2_EXIT_RESUME, gpa, leaf.size);
	return MAPPED | leaf.level << YOUNG_LEVEL;
}

/* No slot: a device that somebody emulates, unless nothing there could be emulated. */
static void exit_no_slot(const struct s2_vm *vm, struct s2_exit *exit)
{
	if (exit->access == S2_ACCESS_EXEC)
		exit->reason = vm->flags & S2_VM_EXEC_EXIT ? S2_EXIT_EXEC : S2_EXIT_ABORT;
	else
		exit->reason = exit->walk ? S2_EXIT_ABORT : S2_EXIT_MMIO;
}

/* All but MAPPED. */
static S2_NOINLINE void describe_exit(const struct s2_vm *vm, struct s2_walker *walker, int outcome,
				      int error, struct s2_exit *exit)
{
	exit->has_slot = outcome != NO_SLOT;
	switch (outcome) {
	case RETRY:
		exit->reason = S2_EXIT_RESUME;
		s2_count(&walker->stats.fault_retry, 1);
		break;
	case NO_SLOT:
		exit_no_slot(vm, exit);
		break;
	case READONLY: /* hardware that updates the guest's tables cannot be emulated */
		exit->reason = exit->walk ? S2_EXIT_ABORT : S2_EXIT_MMIO;
		break;
	case NO_EXEC:
		exit->reason = vm->flags & S2_VM_EXEC_EXIT ? S2_EXIT_EXEC : S2_EXIT_ABORT;
		break;
	default:
		exit->reason = S2_EXIT_MEMORY;
		exit->error = error;
		exit->attrs = s2_attrs_read(vm, walker, exit->gpa.gpa);
		break;
	}
	s2_trace(vm, outcome == RETRY ? S2_TRACE_AWAY : S2_TRACE_FAULT, exit->access, exit->reason,
		 exit->gpa.gpa, 0);
	if (exit->reason == S2_EXIT_MMIO)
		s2_count(&walker->stats.exit_mmio, 1);
	else if (exit->reason == S2_EXIT_MEMORY)
		s2_count(&walker->stats.exit_memory, 1);
	else if (exit->reason != S2_EXIT_RESUME)
		s2_count(&walker->stats.exit_abort, 1);
}

/* Not a fault of the tables: the TLB disagrees with itself, or *fault is nonsense. */
static S2_NOINLINE int conflict(const struct s2_vm *vm, struct s2_walker *walker,
				const struct s2_fault *fault, struct s2_exit *exit)
{
	if (fault->kind != S2_FAULT_CONFLICT)
		return S2_EINVAL;
	s2_count(&walker->stats.fault[S2_FAULT_CONFLICT], 1);
	s2_tlb_all(&vm->pt, walker, S2_TLB_LOCAL);
	s2_trace(vm, S2_TRACE_CONFLICT, 0, 0, 0, 0);
	*exit = (struct s2_exit){ .reason = S2_EXIT_RESUME };
	return 0;
}

int s2_fault(struct s2_vm *vm, struct s2_walker *walker, const struct s2_fault *fault,
	     struct s2_exit *exit)
{
	struct request rq;
	int ret;

	if (S2_UNLIKELY(fault->access > S2_ACCESS_EXEC || fault->kind > S2_FAULT_ACCESS ||
			fault->gpa.gpa >> vm->pt.ipa_bits))
		return conflict(vm, walker, fault, exit);
	rq = request_of(vm, fault);
	s2_count(&walker->stats.fault[fault->kind], 1);
	if (S2_UNLIKELY(fault->walk))
		s2_count(&walker->stats.fault_walk, 1);

	/* A page that had no slot has none until the slots change: the way of every MMIO access. */
	if (S2_UNLIKELY(walker->mmio_page == rq.gpa + 1) &&
	    walker->mmio_generation == s2_load_acquire(&vm->generation))
		ret = NO_SLOT;
	else if (S2_LIKELY(fault->kind != S2_FAULT_ACCESS))
		ret = fault_in(vm, walker, fault, &rq);
	else
		ret = make_young(vm, walker, rq.gpa, rq.access);
	if (S2_UNLIKELY(ret < 0))
		return ret;
	exit->access = fault->access;
	exit->walk = fault->walk != 0;
	exit->gpa = fault->gpa;
	exit->error = 0;
	if (S2_LIKELY((ret & 0xff) == MAPPED)) {
		rq.level |= (unsigned int)ret >> YOUNG_LEVEL;
		exit->reason = S2_EXIT_RESUME;
		exit->has_slot = 1;
		exit->size = 1ull << s2_pt_shift(&vm->pt, rq.level);
		return 0;
	}
	exit->size = 0;
	if (ret == NO_SLOT)
		walker->mmio_page = rq.gpa + 1;
	describe_exit(vm, walker, ret, rq.error, exit);
	return 0;
}

int s2_vm_prefault(struct s2_vm *vm, s2_gpa_t gpa, uint64_t size, enum s2_access access,
		   struct s2_walker *walker, struct s2_progress *progress)
{
	struct s2_fault fault = { .gpa = gpa, .access = (uint8_t)access };
	uint64_t end = gpa.gpa + size, next;
	struct request rq;
	int ret = s2_pt_check_range(&vm->pt, gpa.gpa, size);

	*progress = (struct s2_progress){ 0 };
	if (!ret && access > S2_ACCESS_EXEC)
		ret = S2_EINVAL;
	while (!ret && fault.gpa.gpa < end) {
		rq = request_of(vm, &fault);
		ret = fault_in(vm, walker, &fault, &rq);
		switch (ret) {
		case MAPPED:
			next = (rq.gpa >> s2_pt_shift(&vm->pt, rq.level)) + 1;
			next <<= s2_pt_shift(&vm->pt, rq.level);
			fault.gpa.gpa = next < end ? next : end;
			progress->done = fault.gpa.gpa - gpa.gpa;
			break;
		case RETRY:
			vm->pt.port->relax(vm->pt.port->ctx);
			ret = 0;
			break;
		case NO_SLOT:
			ret = S2_ENOENT;
			break;
		case NO_PAGE:
			ret = rq.error;
			break;
		case READONLY:
		case NO_EXEC:
			ret = S2_EPERM;
			break;
		default:
			break;
		}
	}
	return ret;
}
