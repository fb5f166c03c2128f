// SPDX-License-Identifier: BSD-2-Clause
/*
 * Random operations on a tree: drawing one with all its arguments, and the two that carry it out,
 * the engine and the flat reference. No judgement here.
 */
#include <string.h>

#include "../src/pgtable/internal.h"
#include "random.h"

const char *const op_name[OP_KINDS] = { "map", "unmap", "protect", "relax", "age", "split" };

/*
 * Four output addresses for each gpa, all different from everybody else's: two aligned as the gpa,
 * one only to blocks of level 1, one only to pages.
 */
uint64_t op_draw_hpa(struct run *run, uint64_t gpa)
{
	uint64_t color = run_random(run, 4), n = 0, hpa;

	while (ref_window_of(&run->ref, gpa) != &run->ref.window[n])
		n++;
	hpa = (color << 34) + (n << 32) + (gpa & 0xffffffff);
	if (color == 2)
		hpa += 3 * ref_level_size(&run->ref, 1);
	if (color == 3)
		hpa += 5 * ref_level_size(&run->ref, 0);
	return hpa;
}

static struct s2_attr pick_attr(struct run *run)
{
	static const uint8_t exec[] = { 0, S2_X, S2_XP, S2_XU };
	struct s2_attr attr = { .prot = S2_R, .type = S2_MEM_NORMAL };
	int xnx = (run->config.cpu.features & S2_CPU_XNX) != 0;

	if (!run_random(run, 4))
		attr.type = (uint8_t)run_random(run, S2_MEM_TYPES);
	if (run_random(run, 3))
		attr.prot |= S2_W;
	if (attr.type < S2_MEM_DEVICE)
		attr.prot |= exec[run_random(run, xnx ? 4 : 2)];
	if (!run_random(run, 8))
		attr.sw = (uint8_t)run_random(run, 16);
	return attr;
}

/* More than is done in one go by who keeps the others out. */
static void op_draw_large(struct run *run, struct op *op)
{
	const struct ref_window *window = &run->ref.window[run_random(run, REF_WINDOWS)];
	uint64_t page = 1ull << run->ref.page_shift;

	op->size = (REF_PAGES / 2 + run_random(run, REF_PAGES / 2)) * page;
	op->gpa = window->gpa + run_random(run, (window->size - op->size) / page + 1) * page;
}

void op_draw(struct run *run, struct op *op)
{
	static const uint8_t kinds[] = { OP_MAP,   OP_MAP,     OP_MAP,   OP_MAP, OP_UNMAP,
					 OP_UNMAP, OP_PROTECT, OP_RELAX, OP_AGE, OP_SPLIT };
	static const uint8_t rights[] = { S2_W, S2_X, S2_W | S2_X, S2_XP, S2_XU, S2_W | S2_XU };
	int xnx = (run->config.cpu.features & S2_CPU_XNX) != 0;

	if (run_random(run, 3) == 0 && op_draw_again(run, &run->last, op)) {
		run->last = *op;
		return;
	}
	memset(op, 0, sizeof(*op));
	op->kind = kinds[run_random(run, sizeof(kinds))];
	run_range(run, &op->gpa, &op->size);
	op->hpa = op_draw_hpa(run, op->gpa);
	op->attr = pick_attr(run);
	op->how = rights[run_random(run, xnx ? 6 : 3)];
	if (op->kind == OP_MAP)
		op->how = (unsigned int)run_random(run, 8) & (run_random(run, 2) ? 7u : 3u);
	if (op->kind == OP_RELAX && run_random(run, 2))
		op->how = S2_W;
	if (op->kind == OP_PROTECT && !run_random(run, 3))
		op->how |= S2_PROTECT_WHOLE;
	if (op->kind == OP_AGE)
		op->how = (unsigned int)run_random(run, 3);
	if (op->kind == OP_AGE && op->how != S2_AGE_SET && run_random(run, 2))
		op->how |= REF_YOUNG;
	if (op->kind == OP_SPLIT)
		op->how = (unsigned int)run_random(run, run->vm.pt.root_level + 1u);
	if ((op->kind == OP_PROTECT || op->kind == OP_RELAX || op->kind == OP_AGE) &&
	    !run_random(run, 1000))
		op_draw_large(run, op);
	run->last = *op;
}

int op_draw_again(struct run *run, const struct op *last, struct op *op)
{
	uint64_t page = 1ull << run->ref.page_shift;
	uint64_t step = run_random(run, 4) ? page : (run_random(run, 33) - 16) * page;

	if (!last->size)
		return 0;
	*op = *last;
	op->gpa += last->size > page ? run_random(run, last->size / page) * page : step;
	op->size = page;
	if (ref_window_of(&run->ref, op->gpa) != ref_window_of(&run->ref, last->gpa))
		return 0;
	op->hpa += op->gpa - last->gpa;
	return 1;
}

int op_draw_teeth(struct run *run, struct op *op)
{
	struct teeth *teeth = &run->teeth;
	const struct ref_window *window = &run->ref.window[run_random(run, REF_WINDOWS)];
	uint64_t page = 1ull << run->ref.page_shift, block = page << run->ref.stride;
	unsigned int n = 13 + (unsigned int)run_random(run, run_random(run, 3) ? 4 : 20);

	if (!teeth->left) {
		if (run_random(run, 4ull << run->ref.stride) || window->size / block < n)
			return 0;
		teeth->gpa = window->gpa + run_random(run, window->size / block - n + 1) * block;
		teeth->n = n;
		teeth->left = n + 1;
	}
	op_draw(run, op);
	op->kind = OP_MAP;
	op->how = S2_MAP_REPLACE;
	if (--teeth->left) {
		op->gpa = teeth->gpa + (teeth->left - 1) * block +
			  run_random(run, block / page) * page;
		op->size = page;
	} else {
		op->gpa = teeth->gpa;
		op->size = teeth->n * block;
		if (run_random(run, 3))
			op->kind = OP_UNMAP;
	}
	op->hpa = op_draw_hpa(run, op->gpa);
	return 1;
}

static int young(struct run *run, const struct op *op, struct s2_walker *w, struct s2_gather *g,
		 struct s2_progress *progress)
{
	struct ref_bits *bits = &run->ref.bits[w != &run->walker];
	int ret;

	ref_bits_start(bits, op->size >> run->ref.page_shift);
	ret = s2_pt_young(&run->vm.pt, s2_gpa(op->gpa), op->size,
			  (enum s2_age)(op->how & ~REF_YOUNG), bits->word, w, g, progress);
	ref_bits_count(&run->ref, bits, &run->sim, progress);
	return ret;
}

int op_on_engine(struct run *run, const struct op *op, struct s2_walker *w, struct s2_gather *g,
		 struct s2_progress *progress)
{
	struct s2_pt *pt = &run->vm.pt;
	s2_gpa_t gpa = s2_gpa(op->gpa);

	switch (op->kind) {
	case OP_MAP:
		return s2_pt_map(pt, gpa, s2_hpa(op->hpa), op->size, op->attr, op->how, w, g,
				 progress);
	case OP_UNMAP:
		return s2_pt_unmap(pt, gpa, op->size, w, g, progress);
	case OP_PROTECT:
		if (op->how & S2_PROTECT_WHOLE)
			return pt->ops->protect(pt, gpa, op->size, op->how, w, g, progress);
		return s2_pt_protect(pt, gpa, op->size, op->how, w, g, progress);
	case OP_RELAX:
		return s2_pt_relax(pt, gpa, op->size, op->how, w, g, progress);
	case OP_AGE:
		if (op->how & REF_YOUNG)
			return young(run, op, w, g, progress);
		return s2_pt_age(pt, gpa, op->size, (enum s2_age)op->how, w, g, progress);
	default:
		break;
	}
	return s2_pt_split(pt, gpa, op->size, op->how, w, g, progress);
}

int op_on_reference(struct run *run, const struct op *op, struct ref_op *done)
{
	struct ref *ref = &run->ref;

	switch (op->kind) {
	case OP_MAP:
		return ref_map(ref, done, op->hpa, op->attr, op->how);
	case OP_UNMAP:
		ref_unmap(ref, done);
		return 0;
	case OP_PROTECT:
		ref_protect(ref, done, op->how);
		return 0;
	case OP_RELAX:
		return ref_relax(ref, done, op->how);
	case OP_AGE:
		ref_age(ref, done, (enum s2_age)(op->how & ~REF_YOUNG));
		return 0;
	default:
		ref_split(ref, done, op->how);
		return 0;
	}
}

int op_overlap(const struct op *a, const struct op *b)
{
	return a->gpa < b->gpa + b->size && b->gpa < a->gpa + a->size;
}
