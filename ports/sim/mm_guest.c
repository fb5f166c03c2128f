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

static struct mm_cpu *self(struct sim_mm *mm)
{
	return &mm->cpu[sim_self.cpu];
}

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

struct reached {
	uint64_t gpa, hpa;
	struct mm_area *area;
	struct mm_page *page;
	uint8_t prot, type;
};

/* Which page of the host's stands behind gpa? 0: it has no slot, or the slot leads nowhere. */
static int reach(struct sim_mm *mm, struct s2_walker *walker, struct reached *r)
{
	struct s2_memslot slot;
	uint64_t hva;

	if (s2_vm_slot_find(mm->vm, s2_gpa(r->gpa), walker, &slot))
		return 0;
	hva = slot.hva.hva + (r->gpa - slot.gpa.gpa);
	r->area = mm_area_at(mm, hva);
	if (!r->area || (r->prot & S2_W && slot.flags & S2_SLOT_READONLY))
		return 0;
	r->page = &mm->pages[r->area->first + ((hva - r->area->hva) >> MM_SHIFT)];
	return 1;
}

/* The leaf that leads there is what the host has now. Returns the frame, MM_NONE for a device. */
static uint32_t check_reached(struct sim_mm *mm, const struct reached *r)
{
	const struct mm_page *page = r->page;
	uint64_t offset = mm_hva(mm, mm_index(mm, page)) - r->area->hva;
	uint32_t frame = page->frame;
	const char *why = NULL;

	/* Rights may grow at any time. */
	if (!page->mapped || r->prot & ~__atomic_load_n(&page->prot, __ATOMIC_RELAXED))
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

static void touch(struct sim_mm *mm, struct mm_cpu *cpu, uint64_t gpa, const struct mm_tlb *hit,
		  enum s2_access access, uint64_t value)
{
	struct reached r = {
		.gpa = gpa, .hpa = hit->hpa + (gpa - hit->gpa), .prot = hit->prot, .type = hit->type
	};
	uint64_t *expect, found;
	uint32_t *lock, frame;

	if (!reach(mm, &cpu->walker, &r)) {
		sim_fail(mm->sim,
			 "mm-guest: gpa 0x%llx is mapped, and its slot does not lead there",
			 (unsigned long long)gpa);
		return;
	}
	frame = check_reached(mm, &r);
	if (frame == MM_NONE)
		return;
	expect = mm_expect(mm, r.page);
	lock = &mm->guest_lock[(uintptr_t)expect / sizeof(uint64_t) % 64];
	mm_spin(mm, lock);
	found = __atomic_load_n(&mm->frames[frame].contents, __ATOMIC_RELAXED);
	if (found != *expect)
		sim_fail(mm->sim,
			 "mm-sum: gpa 0x%llx at 0x%llx: 0x%llx was written, 0x%llx is there",
			 (unsigned long long)gpa, (unsigned long long)r.hpa,
			 (unsigned long long)*expect, (unsigned long long)found);
	if (access == S2_ACCESS_WRITE) {
		__atomic_store_n(&mm->frames[frame].contents, value, __ATOMIC_RELAXED);
		*expect = value;
	}
	mm_unspin(lock);
}

static int attempt(struct sim_mm *mm, uint64_t gpa, enum s2_access access, uint64_t value)
{
	struct mm_cpu *cpu = self(mm);
	struct mm_tlb hit;
	int ret;

	mm_spin(mm, &cpu->lock);
	ret = translate(mm, cpu, gpa & ~(MM_SIZE - 1), access, &hit);
	if (ret == ALLOWED)
		touch(mm, cpu, gpa & ~(MM_SIZE - 1), &hit, access, value);
	mm_unspin(&cpu->lock);
	return ret;
}

static enum mm_result guest(struct sim_mm *mm, uint64_t gpa, enum s2_access access, uint64_t value,
			    struct s2_exit *exit)
{
	struct s2_fault fault = { .gpa = s2_gpa(gpa), .access = (uint8_t)access };
	uint64_t begun = __atomic_load_n(&mm->begun, __ATOMIC_RELAXED);
	int alone = !__atomic_load_n(&mm->active, __ATOMIC_RELAXED), kind, ret;

	if (!mm->config.threads)
		mm->last_gpa = gpa;
	__atomic_fetch_add(&mm->accesses, 1, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < TRIES; i++) {
		kind = attempt(mm, gpa, access, value);
		if (kind == ALLOWED)
			return MM_DONE;
		fault.kind = (uint8_t)kind;
		__atomic_fetch_add(&mm->faults, 1, __ATOMIC_RELAXED);
		ret = s2_fault(mm->vm, &self(mm)->walker, &fault, exit);
		if (ret == S2_ENOMEM || ret == S2_EQUOTA)
			return MM_TIRED;
		if (ret)
			sim_fail(mm->sim, "fault at 0x%llx: %s", (unsigned long long)gpa,
				 s2_strerror(ret));
		if (exit->reason != S2_EXIT_RESUME) {
			__atomic_fetch_add(&mm->exits, 1, __ATOMIC_RELAXED);
			return MM_EXIT;
		}
		if (i >= 8)
			mm->sim->port.relax(mm->sim->port.ctx);
	}
	if (alone && !mm->config.threads && begun == __atomic_load_n(&mm->begun, __ATOMIC_RELAXED))
		sim_fail(mm->sim, "mm-guest: gpa 0x%llx faults for ever", (unsigned long long)gpa);
	__atomic_fetch_add(&mm->tired, 1, __ATOMIC_RELAXED);
	return MM_TIRED;
}

enum mm_result mm_guest_read(struct sim_mm *mm, uint64_t gpa, struct s2_exit *exit)
{
	return guest(mm, gpa, S2_ACCESS_READ, 0, exit);
}

enum mm_result mm_guest_write(struct sim_mm *mm, uint64_t gpa, uint64_t value, struct s2_exit *exit)
{
	return guest(mm, gpa, S2_ACCESS_WRITE, value, exit);
}

enum mm_result mm_guest_exec(struct sim_mm *mm, uint64_t gpa, struct s2_exit *exit)
{
	return guest(mm, gpa, S2_ACCESS_EXEC, 0, exit);
}

void mm_audit_guest(struct sim_mm *mm, struct s2_walker *walker)
{
	struct s2_leaf leaf;
	uint64_t at = 0;

	while (!s2_pt_next(&mm->vm->pt, s2_gpa(at), walker, &leaf)) {
		at = leaf.gpa.gpa + leaf.size;
		for (uint64_t off = 0; off < leaf.size; off += MM_SIZE) {
			struct reached r = { .gpa = leaf.gpa.gpa + off,
					     .hpa = leaf.hpa.hpa + off,
					     .prot = leaf.attr.prot,
					     .type = leaf.attr.type };

			if (!reach(mm, walker, &r))
				sim_fail(mm->sim, "mm-guest: a leaf at 0x%llx, and no slot for it",
					 (unsigned long long)r.gpa);
			else
				(void)check_reached(mm, &r);
		}
	}
}
