// SPDX-License-Identifier: BSD-2-Clause
/*
 * The guest's side of the races: faults as vCPUs report them, ranges mapped in advance, pages in
 * use by the hypervisor, and the CPU itself.
 *
 * vcpu_use() is a guest's access: the model's walker says what the tables permit, and the CPU does
 * what they ask for, a fault or the access flag. Where hardware sets that flag it does so at a
 * point of its own: between the walk, which has read the entry, and the update, which happens only
 * if the entry is still the same, everybody else may work. A walk that began before an invalidation
 * does not end after it, that is what its DSB waits for; but it may end in a table that is not
 * linked any more. No TLB is imitated: what one may hold is the model's matter.
 */
#include "race_world.h"

#define DESC_AF (1ull << 10)

int vcpu_fault(struct world *w, unsigned int n, const struct act *act, enum s2_fault_kind kind)
{
	const struct s2_fault fault = { .gpa = s2_gpa(act->gpa),
					.access = (uint8_t)(act->arg & 15),
					.kind = (uint8_t)kind,
					.view = (uint8_t)(act->arg >> 4) };
	struct shortage shortage;
	struct s2_exit exit;
	uint64_t moved;
	int still, ret;

	for (;;) {
		still = !w->moving;
		moved = w->moved;
		shortage = shortage_of(w);
		w->touches++;
		ret = s2_fault(&w->vm, &w->walker[n], &fault, &exit);
		judge_settled(w);
		if (ret == S2_ENOMEM) {
			wait_for_memory(w, act, &shortage);
			continue;
		}
		if (ret)
			sim_fail(&w->sim, "race: fault: %s", s2_strerror(ret));
		if (exit.reason != S2_EXIT_RESUME || exit.size)
			break;
		if (kind == S2_FAULT_ACCESS)
			return 1; /* it is gone: the guest would fault again, otherwise */
		w->sim.port.relax(&w->sim);
	}
	if (still && moved == w->moved)
		judge_exit(w, &fault, &exit);
	if (exit.reason == S2_EXIT_RESUME && kind == S2_FAULT_PERMISSION)
		sim_idle_local(&w->sim, act->gpa, PAGE,
			       fault.access == S2_ACCESS_WRITE ? S2_W : S2_R);
	return exit.reason == S2_EXIT_RESUME;
}

void vcpu_prefault(struct world *w, unsigned int n, const struct act *act)
{
	uint64_t moved = w->moved, done = 0;
	int still = !w->moving && slot_of(w, act->gpa), ret;
	struct s2_progress progress;
	struct shortage shortage;

	for (;;) {
		shortage = shortage_of(w);
		w->touches++;
		ret = s2_vm_prefault(&w->vm, s2_gpa(act->gpa + done), act->size - done,
				     (enum s2_access)act->arg, &w->walker[n], &progress);
		judge_settled(w);
		done += progress.done;
		if (ret != S2_ENOMEM)
			break;
		wait_for_memory(w, act, &shortage);
	}
	if (ret && (ret != S2_ENOENT || (still && moved == w->moved)))
		sim_fail(&w->sim, "race: prefault: %s", s2_strerror(ret));
}

/* The CPU */

static uint64_t invalidations(const struct sim *sim)
{
	return sim->tlb_ops[S2_TLB_ENTRY] + sim->tlb_ops[S2_TLB_RANGE] + sim->tlb_ops[S2_TLB_ALL];
}

/* The leaf of level `level` that gpa is in is young now, by hardware, where it is linked. */
static void note_young(struct world *w, uint64_t gpa, uint64_t entry, unsigned int level)
{
	uint64_t size = s2_pt_level_size(&w->vm.pt, level), place;
	unsigned int linked_at;

	if (!sim_place(&w->sim, entry, &place, &linked_at))
		return;
	for (unsigned int i = 0; i < TRACKED; i++)
		w->page[i].young += PAGES(i) - (gpa & ~(size - 1)) < size;
}

/* The walk has come to an old leaf. Returns whether its flag is set. */
static int set_flag(struct world *w, uint64_t gpa, const struct s2c_leaf *leaf)
{
	struct sim *sim = &w->sim;
	uint64_t before = invalidations(sim), young = leaf->value | DESC_AF;
	int set;

	sim_point(sim, gpa);
	pthread_mutex_lock(&sim->lock);
	set = before == invalidations(sim) && sim_frame(sim, leaf->entry)->state == SIM_OUT &&
	      __atomic_load_n(sim_entry(sim, leaf->entry), __ATOMIC_RELAXED) == leaf->value;
	if (set) {
		__atomic_store_n(sim_entry(sim, leaf->entry), young, __ATOMIC_SEQ_CST);
		sim->af_updates++;
		note_young(w, gpa, leaf->entry, leaf->level);
		sim_tell_write(sim, leaf->entry, young, S2C_ATOMIC | S2C_HARDWARE);
	}
	pthread_mutex_unlock(&sim->lock);
	return set;
}

/* What the CPU finds when it walks for an access: -1: all that it needs. */
static int finds(const struct world *w, const struct s2c_leaf *leaf, unsigned int access)
{
	static const unsigned int needs[] = { S2C_R, S2C_W, S2C_X };

	if (!leaf->mapped)
		return S2_FAULT_TRANSLATION;
	if (!leaf->af && !(w->vm.pt.cpu.features & S2_CPU_HA))
		return S2_FAULT_ACCESS;
	return leaf->rights & needs[access] ? -1 : S2_FAULT_PERMISSION;
}

void vcpu_use(struct world *w, unsigned int n, const struct act *act)
{
	struct s2c_leaf leaf;
	int kind;

	for (;;) {
		sim_walk(&w->sim, act->gpa, &leaf);
		kind = finds(w, &leaf, act->arg);
		if (kind < 0 && (leaf.af || set_flag(w, act->gpa, &leaf)))
			return;
		if (kind < 0)
			continue;
		judge_use(w, n, act, (enum s2_fault_kind)kind);
		if (!vcpu_fault(w, n, act, (enum s2_fault_kind)kind))
			return;
	}
}

/* The page that it has stays what it is as long as it has it. */
void vcpu_hold(struct world *w, unsigned int n, const struct act *act)
{
	struct s2_hold hold = { .ctx = NULL };
	int ret = s2_hold_init(&hold, &w->vm, s2_gpa(act->gpa), 8, (enum s2_access)act->arg);

	for (int i = 0; i < 2 && !ret; i++) {
		uint64_t moved = w->moved, hpa;
		int still = !w->moving && slot_of(w, act->gpa);

		ret = s2_hold_use(&hold, &w->walker[n]);
		if (ret == S2_ENOENT && (!still || moved != w->moved)) {
			ret = 0;
			continue;
		}
		if (ret)
			break;
		w->held[n] = act->gpa + 1;
		hpa = hold.hpa.hpa;
		sim_point(&w->sim, act->gpa);
		if (!slot_of(w, act->gpa) || hpa != hpa_of(w, slot_of(w, act->gpa), act->gpa))
			sim_fail(&w->sim, "race: held 0x%llx has gone", (unsigned long long)hpa);
		w->held[n] = 0;
		s2_hold_done(&hold);
	}
	if (ret)
		sim_fail(&w->sim, "race: hold: %s", s2_strerror(ret));
	s2_hold_fini(&hold);
}
