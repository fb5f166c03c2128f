// SPDX-License-Identifier: BSD-2-Clause
/*
 * The guest of a simulated host: CPUs with a small TLB each, whose accesses fault like real ones,
 * and the checks that show whether what they reach is theirs (see mm.h).
 *
 * An access holds its CPU's lock: from the translation (by TLB, or by walking the tables) to the
 * last byte. An invalidation takes the locks of all CPUs in turn, so it waits for accesses that
 * used the old translation, as broadcast invalidations do, and empties the TLBs of it. Therefore an
 * access that got through may look at slots, areas and frames without any other lock: the host
 * changes what leads there only after the invalidation. (If it does not wait, the thread sanitizer
 * sees it, and the checksums.) Two CPUs on one page are kept apart by a lock of the guest's own.
 *
 * Tables are walked by the model where there is one, else by s2_pt_lookup().
 */
#include "machine.h"
#include "mm.h"

#define TRIES 48

/* The port's tlb(): the machine first, then the TLBs of our own. */

static void forget(struct mm_cpu *cpu, const struct s2_tlb_op *op)
{
	uint64_t size = op->kind == S2_TLB_ENTRY ? 1ull << op->page_shift : op->size;

	for (unsigned int i = 0; i < MM_TLB; i++) {
		struct mm_tlb *tlb = &cpu->tlb[i];

		if (op->kind == S2_TLB_ALL ||
		    (tlb->gpa < op->gpa.gpa + size && op->gpa.gpa < tlb->gpa + tlb->size))
			tlb->size = 0;
	}
}

void mm_tlb_op(void *ctx, const struct s2_tlb_op *ops, size_t n)
{
	struct sim *sim = ctx;
	struct sim_mm *mm = sim->on_resolve_ctx;

	mm->tlb(ctx, ops, n);
	for (unsigned int c = 0; c < SIM_CPUS; c++) {
		struct mm_cpu *cpu = &mm->cpu[c];

		if (!__atomic_load_n(&cpu->present, __ATOMIC_ACQUIRE))
			continue;
		for (size_t i = 0; i < n; i++) {
			if (ops[i].kind == S2_TLB_PUBLISH ||
			    (ops[i].flags & S2_TLB_LOCAL && c != sim_self.cpu))
				continue;
			mm_spin(mm, &cpu->lock);
			forget(cpu, &ops[i]);
			mm_unspin(&cpu->lock);
		}
	}
}

/* Translation */

enum {
	ALLOWED = -1
};

static unsigned int right(enum s2_access access)
{
	return access == S2_ACCESS_READ ? S2_R : access == S2_ACCESS_WRITE ? S2_W : S2_XP;
}

/* By the tables: fills the TLB, or says what fault it is. */
static int walk(struct sim_mm *mm, struct mm_cpu *cpu, uint64_t gpa, struct mm_tlb *tlb)
{
	struct sim_leaf seen;
	struct s2_leaf leaf;
	uint64_t size;
	int young;

	if (mm->sim->model) {
		sim_translate(mm->sim, gpa, &seen);
		if (!seen.mapped)
			return S2_FAULT_TRANSLATION;
		size = s2_pt_level_size(&mm->vm->pt, seen.level);
		*tlb = (struct mm_tlb){ .gpa = gpa & ~(size - 1),
					.size = size,
					.hpa = (seen.hpa - gpa) + (gpa & ~(size - 1)),
					.prot = seen.prot,
					.type = seen.type };
		young = seen.young;
	} else {
		if (s2_pt_lookup(&mm->vm->pt, s2_gpa(gpa), &cpu->walker, &leaf))
			return S2_FAULT_TRANSLATION;
		*tlb = (struct mm_tlb){ .gpa = leaf.gpa.gpa,
					.size = leaf.size,
					.hpa = leaf.hpa.hpa,
					.prot = leaf.attr.prot,
					.type = leaf.attr.type };
		young = leaf.young;
	}
	if (young || mm->vm->pt.cpu.features & S2_CPU_HA)
		return ALLOWED;
	tlb->size = 0;
	return S2_FAULT_ACCESS;
}

static int translate(struct sim_mm *mm, struct mm_cpu *cpu, uint64_t gpa, enum s2_access access,
		     struct mm_tlb *hit)
{
	struct mm_tlb *tlb = &cpu->tlb[(gpa >> MM_SHIFT) * 0x9e3779b1u >> 8 & (MM_TLB - 1)];
	int ret = ALLOWED;

	if (gpa - tlb->gpa >= tlb->size || !mm_random(&cpu->rng, 8))
		ret = walk(mm, cpu, gpa, tlb);
	if (ret == ALLOWED && !(tlb->prot & right(access)))
		ret = S2_FAULT_PERMISSION;
	*hit = *tlb;
	if (ret == S2_FAULT_TRANSLATION)
		tlb->size = 0;
	return ret;
}

/* What it reaches */

int mm_reach(struct sim_mm *mm, struct s2_walker *walker, struct mm_reached *r)
{
	struct s2_memslot slot;
	uint64_t offset, hva;

	if (s2_vm_slot_find(mm->vm, s2_gpa(r->gpa), walker, &slot))
		return 0;
	offset = r->gpa - slot.gpa.gpa;
	r->attrs = 0;
	if (slot.attrs)
		r->attrs = __atomic_load_n(&slot.attrs[offset >> MM_SHIFT], __ATOMIC_RELAXED);
	r->deny = slot.flags & S2_SLOT_READONLY || r->attrs & S2_PAGE_NOWRITE ? S2_W : 0;
	if (r->attrs & S2_PAGE_NOEXEC)
		r->deny |= S2_X;
	hva = (r->attrs & S2_PAGE_PRIVATE ? slot.priv.hva : slot.hva.hva) + offset;
	r->area = mm_area_at(mm, hva);
	if (!r->area)
		return 0;
	r->page = &mm->pages[r->area->first + ((hva - r->area->hva) >> MM_SHIFT)];
	return 1;
}

uint32_t mm_check_reached(struct sim_mm *mm, const struct mm_reached *r)
{
	const struct mm_page *page = r->page;
	uint64_t offset = mm_hva(mm, mm_index(mm, page)) - r->area->hva;
	uint32_t frame = page->frame;
	const char *why = NULL;

	/* Rights may grow at any time. */
	if (r->prot & r->deny)
		why = "its slot or its attributes forbid that";
	else if (!page->mapped || r->prot & ~__atomic_load_n(&page->prot, __ATOMIC_RELAXED))
		why = "the area does not have these rights";
	else if (r->type != r->area->type)
		why = "of another type";
	else if (r->area->kind == MM_DEVICE)
		why = !r->area->open || r->hpa != r->area->hpa + offset ? "the device is not there"
									: NULL;
	else if (frame == MM_NONE || mm_hpa(mm, frame) != r->hpa)
		why = "another frame is there";
	else if (mm->frames[frame].state != MM_USED)
		why = "the frame is not alive";
	else if (r->prot & S2_W && !page->writable)
		why = "it must not be written";
	if (why)
		sim_fail(mm->sim, "mm-guest: gpa 0x%llx leads to 0x%llx, rights 0x%x: %s",
			 (unsigned long long)r->gpa, (unsigned long long)r->hpa, r->prot, why);
	return r->area->kind == MM_DEVICE ? MM_NONE : frame;
}

void mm_word(struct sim_mm *mm, const struct mm_reached *r, uint32_t frame, enum s2_access access,
	     uint64_t value)
{
	uint64_t *expect = mm_expect(mm, r->page), found;
	uint32_t *lock = &mm->guest_lock[(uintptr_t)expect / sizeof(uint64_t) % 64];

	mm_spin(mm, lock);
	found = __atomic_load_n(&mm->frames[frame].contents, __ATOMIC_RELAXED);
	if (found != *expect)
		sim_fail(mm->sim,
			 "mm-sum: gpa 0x%llx at 0x%llx: 0x%llx was written, 0x%llx is there",
			 (unsigned long long)r->gpa, (unsigned long long)r->hpa,
			 (unsigned long long)*expect, (unsigned long long)found);
	if (access == S2_ACCESS_WRITE) {
		__atomic_store_n(&mm->frames[frame].contents, value, __ATOMIC_RELAXED);
		*expect = value;
	}
	mm_unspin(lock);
}

/* Returns ALLOWED; or the guest means another page than is mapped: that is a fault, too. */
static int touch(struct sim_mm *mm, struct mm_cpu *cpu, const struct mm_tlb *hit,
		 const struct mm_access *access)
{
	uint64_t gpa = access->gpa & ~(MM_SIZE - 1);
	struct mm_reached r = {
		.gpa = gpa, .hpa = hit->hpa + (gpa - hit->gpa), .prot = hit->prot, .type = hit->type
	};
	uint32_t frame;

	if (!mm_reach(mm, &cpu->walker, &r)) {
		sim_fail(mm->sim,
			 "mm-guest: gpa 0x%llx is mapped, and its slot does not lead there",
			 (unsigned long long)gpa);
		return ALLOWED;
	}
	if (access->view != S2_VIEW_ANY &&
	    (access->view == S2_VIEW_PRIVATE) != ((r.attrs & S2_PAGE_PRIVATE) != 0))
		return S2_FAULT_TRANSLATION;
	frame = mm_check_reached(mm, &r);
	if (frame != MM_NONE)
		mm_word(mm, &r, frame, (enum s2_access)access->access, access->value);
	if (r.attrs & S2_PAGE_PRIVATE)
		__atomic_fetch_add(&mm->privately, 1, __ATOMIC_RELAXED);
	return ALLOWED;
}

static int attempt(struct sim_mm *mm, const struct mm_access *access)
{
	struct mm_cpu *cpu = mm_self(mm);
	struct mm_tlb hit;
	int ret;

	mm_spin(mm, &cpu->lock);
	ret = translate(mm, cpu, access->gpa & ~(MM_SIZE - 1), (enum s2_access)access->access,
			&hit);
	if (ret == ALLOWED)
		ret = touch(mm, cpu, &hit, access);
	mm_unspin(&cpu->lock);
	return ret;
}

void mm_guest_forget(struct sim_mm *mm)
{
	struct mm_cpu *cpu = mm_self(mm);

	mm_spin(mm, &cpu->lock);
	for (unsigned int i = 0; i < MM_TLB; i++)
		cpu->tlb[i].size = 0;
	mm_unspin(&cpu->lock);
}

enum mm_result mm_guest_access(struct sim_mm *mm, const struct mm_access *access,
			       struct s2_exit *exit)
{
	struct s2_fault fault = { .gpa = s2_gpa(access->gpa),
				  .access = access->access,
				  .view = access->view };
	uint64_t begun = __atomic_load_n(&mm->begun, __ATOMIC_RELAXED);
	int alone = !__atomic_load_n(&mm->active, __ATOMIC_RELAXED), kind, ret;

	if (!mm->config.threads)
		mm->last_gpa = access->gpa;
	__atomic_fetch_add(&mm->accesses, 1, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < TRIES; i++) {
		kind = attempt(mm, access);
		if (kind == ALLOWED)
			return MM_DONE;
		fault.kind = (uint8_t)kind;
		__atomic_fetch_add(&mm->faults, 1, __ATOMIC_RELAXED);
		ret = s2_fault(mm->vm, &mm_self(mm)->walker, &fault, exit);
		if (ret == S2_ENOMEM || ret == S2_EQUOTA) {
			exit->error = ret;
			return MM_TIRED;
		}
		if (ret)
			sim_fail(mm->sim, "fault at 0x%llx: %s", (unsigned long long)access->gpa,
				 s2_strerror(ret));
		if (exit->reason != S2_EXIT_RESUME) {
			__atomic_fetch_add(&mm->exits, 1, __ATOMIC_RELAXED);
			return MM_EXIT;
		}
		if (i >= 8)
			mm->sim->port.relax(mm->sim->port.ctx);
	}
	if (alone && !mm->config.threads && begun == __atomic_load_n(&mm->begun, __ATOMIC_RELAXED))
		sim_fail(mm->sim, "mm-guest: gpa 0x%llx faults for ever",
			 (unsigned long long)access->gpa);
	__atomic_fetch_add(&mm->tired, 1, __ATOMIC_RELAXED);
	return MM_TIRED;
}

enum mm_result mm_guest_read(struct sim_mm *mm, uint64_t gpa, struct s2_exit *exit)
{
	const struct mm_access access = { .gpa = gpa, .access = S2_ACCESS_READ };

	return mm_guest_access(mm, &access, exit);
}

enum mm_result mm_guest_write(struct sim_mm *mm, uint64_t gpa, uint64_t value, struct s2_exit *exit)
{
	const struct mm_access access = { .gpa = gpa, .value = value, .access = S2_ACCESS_WRITE };

	return mm_guest_access(mm, &access, exit);
}

enum mm_result mm_guest_exec(struct sim_mm *mm, uint64_t gpa, struct s2_exit *exit)
{
	const struct mm_access access = { .gpa = gpa, .access = S2_ACCESS_EXEC };

	return mm_guest_access(mm, &access, exit);
}

void mm_audit_guest(struct sim_mm *mm, struct s2_walker *walker)
{
	struct s2_leaf leaf;
	uint64_t at = 0;

	while (!s2_pt_next(&mm->vm->pt, s2_gpa(at), walker, &leaf)) {
		at = leaf.gpa.gpa + leaf.size;
		for (uint64_t off = 0; off < leaf.size; off += MM_SIZE) {
			struct mm_reached r = { .gpa = leaf.gpa.gpa + off,
						.hpa = leaf.hpa.hpa + off,
						.prot = leaf.attr.prot,
						.type = leaf.attr.type };

			if (!mm_reach(mm, walker, &r))
				sim_fail(mm->sim, "mm-guest: a leaf at 0x%llx, and no slot for it",
					 (unsigned long long)r.gpa);
			else
				(void)mm_check_reached(mm, &r);
		}
	}
}
