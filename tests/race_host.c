// SPDX-License-Identifier: BSD-2-Clause
/*
 * The host's side of the races: it takes memory away, by the guest's addresses or by its own names,
 * changes slots, and says which pages are private.
 *
 * Who makes a page private gives the shared one back, so that the model fails whoever maps it from
 * then on, and the other way round. Where several do so to the same pages, nobody knows which one
 * was the last while they are at it, so nothing is taken there.
 */
#include <string.h>

#include "race_world.h"

static void reback(struct world *w, unsigned int n, int merge)
{
	struct sim_chunk chunk = w->sim.chunks[n];

	chunk.hpa ^= 1ull << 35;
	if (merge)
		chunk.shift = SIM_CHUNK_SHIFT;
	sim_set_chunk(&w->sim, n, &chunk);
}

void host_takes(struct world *w, unsigned int n, const struct act *act)
{
	const struct s2_memslot *slot = slot_of(w, act->gpa);
	uint64_t hpa;
	int ret = s2_vm_invalidate_begin(&w->vm, s2_gpa(act->gpa), act->size,
					 act->verb == SHARE ? S2_INVAL_WRITE : S2_INVAL_UNMAP,
					 &w->walker[n]);

	if (ret)
		sim_fail(&w->sim, "race: begin: %s", s2_strerror(ret));
	judge_taken(w, act);
	sim_point(&w->sim, act->gpa);
	judge_taken(w, act);
	if (act->verb == REBACK || act->verb == MERGE)
		reback(w, act->arg, act->verb == MERGE);
	hpa = slot ? hpa_of(w, slot, act->gpa) : 0;
	if (act->verb == TAKE && slot)
		tell(w, S2C_TAKE, hpa, act->size);
	sim_point(&w->sim, act->gpa);
	judge_taken(w, act);
	if (act->verb == TAKE && slot)
		tell(w, S2C_GIVE, hpa, act->size);
	s2_vm_invalidate_end(&w->vm, s2_gpa(act->gpa), act->size);
}

/* What is behind a slot by the name `hva` is taken, if that is chunk `n`. */
static void taken_at(struct world *w, const struct act *act, const struct s2_memslot *slot,
		     uint64_t hva)
{
	uint64_t offset = sim_hva(act->arg) - hva;
	const struct act piece = { .verb = act->verb,
				   .gpa = slot->gpa.gpa + offset,
				   .size = REGIONS(1) };

	if (offset < slot->size)
		judge_taken(w, &piece);
}

/* What the slots are now decides what has to be taken; they cannot change before the end. */
static void taken_by_name(struct world *w, const struct act *act)
{
	for (unsigned int i = 0; i < 2 && !w->moving; i++) {
		taken_at(w, act, &w->is[i], w->is[i].hva.hva);
		if (w->is[i].flags & S2_SLOT_PRIVATE)
			taken_at(w, act, &w->is[i], w->is[i].priv.hva);
	}
}

void host_takes_by_name(struct world *w, unsigned int n, const struct act *act)
{
	struct s2_host_change change;
	int ret = s2_vm_host_begin(&w->vm, &change, s2_hva(sim_hva(act->arg)), REGIONS(1),
				   act->verb == HOST_SHARE ? S2_INVAL_WRITE : S2_INVAL_UNMAP,
				   &w->walker[n]);

	if (ret)
		sim_fail(&w->sim, "race: host begin: %s", s2_strerror(ret));
	taken_by_name(w, act);
	if (act->verb == HOST_REBACK)
		reback(w, act->arg, 0);
	sim_point(&w->sim, act->gpa);
	taken_by_name(w, act);
	s2_vm_host_end(&w->vm, &change);
}

/* Slots */

static const struct s2_memslot slot_at_first[2] = {
	{ .size = REGIONS(2), .hva = { SIM_HVA_BASE } },
	{ .gpa = { SLOT1 }, .size = REGIONS(1), .hva = { SIM_HVA_BASE + REGIONS(4) } },
};

static void first(struct world *w, unsigned int n, struct s2_memslot *slot)
{
	*slot = slot_at_first[n];
	if (n || !w->race->attrs)
		return;
	slot->flags = S2_SLOT_PRIVATE;
	slot->priv = s2_hva(sim_hva(PRIVATE_CHUNK));
	slot->attrs = w->attrs;
}

/* Returns what the engine says; *to: what the slot is then. */
static int change(struct world *w, unsigned int n, const struct act *act, struct s2_memslot *to)
{
	struct s2_memslot *slot = &w->slot[act->arg];
	int ret;

	*to = w->is[act->arg];
	switch (act->verb) {
	case ADD:
		first(w, act->arg, slot);
		*to = *slot;
		return s2_vm_slot_add(&w->vm, slot);
	case DELETE:
		ret = s2_vm_slot_del(&w->vm, slot, &w->walker[n]);
		if (!ret) /* its memory is ours again */
			memset(slot, 0xa5, sizeof(*slot));
		to->size = 0;
		return ret;
	case MOVE:
		to->gpa = s2_gpa(SLOT1);
		break;
	case RENAME:
		to->hva = s2_hva(sim_hva(4));
		break;
	default:
		to->flags |= S2_SLOT_READONLY;
		break;
	}
	return s2_vm_slot_change(&w->vm, slot, to, &w->walker[n]);
}

/* S2_EAGAIN: the host changes what is behind it. */
void host_changes_slot(struct world *w, unsigned int n, const struct act *act)
{
	const struct s2_memslot was = w->is[act->arg];
	struct s2_memslot to;
	int ret;

	w->moving++;
	w->moved++;
	while ((ret = change(w, n, act, &to)) == S2_EAGAIN)
		w->sim.port.relax(&w->sim);
	if (ret)
		sim_fail(&w->sim, "race: %s: %s", race_verb[act->verb], s2_strerror(ret));
	w->is[act->arg] = to;
	w->moving--;
	if (act->verb == DELETE || act->verb == MOVE)
		judge_empty(w, was.gpa.gpa, was.size);
}

/* Attributes */

int pages_move(const struct world *w)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < RACE_ACTORS; i++)
		for (unsigned int j = 0; j < RACE_ACTS; j++)
			if (w->race->actor[i][j].verb == MAKE_PRIVATE ||
			    w->race->actor[i][j].verb == MAKE_SHARED) {
				n++;
				break;
			}
	return n <= 1;
}

/* Private or shared pages of a range, as the slot had them, are given or taken. */
static void hand_over(struct world *w, unsigned int kind, const struct act *act,
		      const struct s2_memslot *slot, uint64_t hva)
{
	const struct s2_memslot as = { .gpa = slot->gpa, .hva = s2_hva(hva) };

	tell(w, kind, hpa_of(w, &as, act->gpa), act->size);
}

/* S2_ENOENT: the slot has gone. */
void host_sets_attrs(struct world *w, unsigned int n, const struct act *act)
{
	static const uint8_t attr[VERBS] = { [MAKE_PRIVATE] = S2_PAGE_PRIVATE,
					     [MAKE_SHARED] = S2_PAGE_PRIVATE,
					     [FORBID] = S2_PAGE_NOWRITE,
					     [ALLOW] = S2_PAGE_NOWRITE };
	unsigned int set = act->verb == MAKE_PRIVATE || act->verb == FORBID ? attr[act->verb] : 0;
	unsigned int clear = set ? 0 : attr[act->verb];
	const struct s2_memslot slot = w->is[0];
	uint64_t from = act->verb == MAKE_PRIVATE ? slot.hva.hva : slot.priv.hva;
	uint64_t to = act->verb == MAKE_PRIVATE ? slot.priv.hva : slot.hva.hva;
	int moves = pages_move(w) && (set | clear) & S2_PAGE_PRIVATE;
	int there = !w->moving && slot.size, ret;
	uint64_t moved = ++w->moved;

	if (moves)
		hand_over(w, S2C_GIVE, act, &slot, to);
	w->moving++;
	ret = s2_vm_set_attrs(&w->vm, s2_gpa(act->gpa), act->size, set, clear, &w->walker[n]);
	w->moving--;
	if (ret && (ret != S2_ENOENT || (there && moved == w->moved)))
		sim_fail(&w->sim, "race: %s: %s", race_verb[act->verb], s2_strerror(ret));
	for (uint64_t page = act->gpa / PAGE; !ret && page < (act->gpa + act->size) / PAGE; page++)
		w->attrs_are[page] = (uint8_t)((w->attrs_are[page] | set) & ~clear);
	if (!ret)
		judge_empty(w, act->gpa, act->size);
	if (moves)
		hand_over(w, S2C_TAKE, act, &slot, ret ? to : from);
}
