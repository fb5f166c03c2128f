// SPDX-License-Identifier: BSD-2-Clause
/*
 * A second walker strikes in the midst of an operation on a tree, and both are judged together.
 *
 * The strike is drawn when the first operation is about to change an entry, to hit just there, next
 * to it, the block around it, or the whole range; and it obeys the one rule of pgtable.h: nobody
 * maps what another unmaps or protects, until that one's gather is flushed.
 *
 * Judgement: entries change one by one, so each page must end as if one of the two operations had
 * come first there; the reference carries out both orders, as far as the engine says that each got.
 * An error is right if one order gives it or if the page where it stopped refuses it; counters lie
 * between those of the orders. Leaves may be smaller than in either order: a split or a table of
 * one may be in the way of a block of the other.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

struct order {
	struct ref_op ref[2];
	int should[2];
	int refuses[2];
};

struct both {
	struct op op[2]; /* the struck one and the strike */
	struct s2_progress progress[2];
	int ret[2];
	uint64_t gpa, end; /* around both, leaves on the edges included */
	struct order order[2];
	struct ref_page *was, *one;
	uint8_t *mark; /* a byte a page, for each order and operation: [4][pages] */
	uint64_t pages;
};

static int maps_while_other_unmaps(const struct op *a, const struct op *b)
{
	return a->kind == OP_MAP && (b->kind == OP_UNMAP || b->kind == OP_PROTECT) &&
	       op_overlap(a, b);
}

static int legal(const struct strike *strike)
{
	const struct owed *owed = strike->owed;

	for (unsigned int i = 0; i < owed->n; i++)
		if (maps_while_other_unmaps(&strike->op, &owed->op[i]))
			return 0;
	return !maps_while_other_unmaps(&owed->op[owed->n - 1], &strike->op);
}

/* Where it hurts: see above. Returns whether that is within a window, and not too large. */
static int aim(struct run *run, const struct op *struck, struct op *op, uint64_t gpa)
{
	uint64_t page = 1ull << run->ref.page_shift, block = ref_level_size(&run->ref, 1);
	const struct ref_window *window;

	if (gpa < struck->gpa || gpa - struck->gpa >= struck->size)
		gpa = struck->gpa;
	op->gpa = gpa & ~(page - 1);
	op->size = page;
	switch (run_random(run, 8)) {
	case 0:
		break;
	case 4:
	case 5: /* ahead of it */
		op->gpa = struck->gpa + run_random(run, struck->size / page) * page;
		if (run_random(run, 2) && (op->gpa | (block - 1)) < struck->gpa + struck->size) {
			op->gpa = op->gpa & ~(block - 1);
			op->size = block;
		}
		break;
	case 1:
		op->gpa += (run_random(run, 9) - 4) * page;
		op->size = page * (1 + run_random(run, 4));
		break;
	case 2:
		op->gpa = (op->gpa & ~(block - 1)) + run_random(run, block / page) * page;
		break;
	case 3:
		op->gpa = struck->gpa;
		op->size = struck->size;
		break;
	default:
		op->gpa &= ~(block - 1);
		op->size = block;
		break;
	}
	window = ref_window_of(&run->ref, op->gpa);
	return window && window == ref_window_of(&run->ref, op->gpa + op->size - 1) &&
	       window == ref_window_of(&run->ref, struck->gpa) && op->size <= 4 * block;
}

static int draw(struct strike *strike, uint64_t gpa)
{
	struct run *run = strike->run;
	const struct op *struck = &strike->owed->op[strike->owed->n - 1];
	struct op *op = &strike->op;

	op_draw(run, op);
	if (run_random(run, 3) == 0 && strike->last.size)
		*op = strike->last;
	if (!aim(run, struck, op, gpa))
		return 0;
	op->hpa = op_draw_hpa(run, op->gpa);
	if (struck->kind == OP_MAP && op->kind == OP_MAP && run_random(run, 2)) {
		op->hpa = struck->hpa + (op->gpa - struck->gpa);
		op->attr = struck->attr;
		if (run_random(run, 2))
			op->attr.prot ^= S2_W;
	}
	return legal(strike);
}

static void carry_out(void *ctx, uint64_t gpa)
{
	struct strike *strike = ctx;
	struct run *run = strike->run;
	const struct op *op = &strike->op;
	char *log = run->log[run->op % RUN_LOG];
	size_t length = strlen(log);
	struct s2_leaf leaf;

	for (int tries = 0; !draw(strike, gpa); tries++)
		if (tries == 4)
			return;
	snprintf(log + length, sizeof(run->log[0]) - length,
		 "\n    struck at 0x%llx: %s gpa 0x%llx size 0x%llx hpa 0x%llx prot %u type %u "
		 "sw %u how %u",
		 (unsigned long long)gpa, op_name[op->kind], (unsigned long long)op->gpa,
		 (unsigned long long)op->size, (unsigned long long)op->hpa, op->attr.prot,
		 op->attr.type, op->attr.sw, op->how);
	strike->done = 1;
	strike->count++;
	strike->last = *op;
	/* So it may know the way. */
	if (run_random(run, 2) &&
	    s2_pt_lookup(&run->vm.pt, s2_gpa(op->gpa), &strike->walker, &leaf) == S2_ERANGE)
		sim_fail(&run->sim, "lookup refuses gpa 0x%llx", (unsigned long long)op->gpa);
	s2_gather_init(&strike->gather, &run->vm.pt);
	strike->ret = op_on_engine(run, op, &strike->walker, &strike->gather, &strike->progress);
	s2_gather_flush(&strike->gather, &strike->walker);
}

void strike_arm(struct strike *strike, const struct owed *owed)
{
	static const uint16_t odds[] = { 30000, 8000, 1000, 100 };
	struct run *run = strike->run;
	struct sim_second_config config = { .fn = carry_out,
					    .ctx = strike,
					    .walker = &strike->walker,
					    .odds = odds[run_random(run, 4)] };

	strike->owed = owed;
	strike->done = 0;
	if (owed->op[owed->n - 1].size <= 4 * ref_level_size(&run->ref, 1))
		sim_second_arm(&run->sim, &config);
}

int strike_end(struct strike *strike)
{
	sim_second_finish(&strike->run->sim);
	return strike->done;
}

/* The pages concerned: both ranges, and what sticks out of them of leaves on their edges. */
static void hull(struct run *run, struct both *both)
{
	const struct op *a = &both->op[0], *b = &both->op[1];

	both->gpa = a->gpa < b->gpa ? a->gpa : b->gpa;
	both->end = a->gpa + a->size > b->gpa + b->size ? a->gpa + a->size : b->gpa + b->size;
	both->gpa &= ~(ref_level_size(&run->ref, ref_at(&run->ref, both->gpa)->level) - 1);
	both->end = ((both->end - 1) |
		     (ref_level_size(&run->ref, ref_at(&run->ref, both->end - 1)->level) - 1)) +
		    1;
}

/* Would the page at which it stopped stop it? */
static int refuses(struct run *run, const struct op *op, const struct s2_progress *progress)
{
	const struct ref_page *page;

	if (progress->done == op->size)
		return 0;
	page = ref_at(&run->ref, op->gpa + progress->done);
	return (op->kind == OP_MAP && !(op->how & S2_MAP_REPLACE) && page->valid) ||
	       (op->kind == OP_RELAX && op->how & S2_X && page->type >= S2_MEM_DEVICE);
}

static uint8_t *mark_of(const struct both *both, int first, int who)
{
	return both->mark + (uint64_t)(2 * first + who) * both->pages;
}

static void in_order(struct run *run, struct both *both, int first)
{
	struct order *order = &both->order[first];

	for (int i = 0; i < 2; i++) {
		int who = i ^ first;
		const struct op *op = &both->op[who];

		order->refuses[who] = refuses(run, op, &both->progress[who]);
		order->ref[who] = (struct ref_op){ .gpa = op->gpa,
						   .size = op->size,
						   .stop = both->progress[who].done,
						   .pass = 1,
						   .mark = mark_of(both, first, who) };
		order->should[who] = op_on_reference(run, op, &order->ref[who]);
	}
}

/* What was changed in both orders must have been, what in neither must not. */
static void judge_changed(struct run *run, const struct both *both, int who)
{
	const uint8_t *a = mark_of(both, 0, who), *b = mark_of(both, 1, who);
	uint64_t low = 0, high = 0, is = both->progress[who].changed;
	const struct op *op = &both->op[who];

	for (int i = 0; i < 4; i++)
		if (both->order[i / 2].ref[i % 2].done != both->progress[i % 2].done)
			return; /* they got so far only together */
	if (op->kind == OP_AGE && op->how & REF_YOUNG)
		ref_bits_judge(&run->ref.bits[who], &run->sim, a, b);
	for (uint64_t i = 0; i < op->size >> run->ref.page_shift; i++) {
		low += (uint64_t)(a[i] & b[i]) << run->ref.page_shift;
		high += (uint64_t)(a[i] | b[i]) << run->ref.page_shift;
	}
	if (op->kind == OP_SPLIT || (op->kind == OP_AGE && run->sim.regime.ha))
		return;
	if (op->kind == OP_UNMAP) /* an empty table may be in the way, and counts */
		high = op->size;
	if (is < low || is > high)
		sim_fail(&run->sim, "struck: %s changed 0x%llx bytes, should be 0x%llx to 0x%llx",
			 op_name[op->kind], (unsigned long long)is, (unsigned long long)low,
			 (unsigned long long)high);
}

static void judge_result(struct run *run, const struct both *both, int who)
{
	const struct op *op = &both->op[who];
	const struct order *a = &both->order[0], *b = &both->order[1];
	uint64_t done = both->progress[who].done;
	int ret = both->ret[who];

	if ((ret == 0) != (done == op->size))
		sim_fail(&run->sim, "struck: %s after 0x%llx bytes", s2_strerror(ret),
			 (unsigned long long)done);
	if (ret == S2_ENOMEM || ret == S2_EQUOTA)
		return;
	if (ret ? !a->refuses[who] && !b->refuses[who] : a->should[who] && b->should[who])
		sim_fail(&run->sim, "struck: %s (%s) in no order", s2_strerror(ret),
			 op_name[op->kind]);
	judge_changed(run, both, who);
}

static int is_as(const struct run *run, const struct sim_leaf *leaf, const struct ref_page *page)
{
	if (leaf->mapped != page->valid)
		return 0;
	return !page->valid ||
	       (leaf->hpa == page->pa && leaf->prot == page->prot && leaf->type == page->type &&
		leaf->sw == page->sw &&
		(leaf->young == page->young || (run->sim.regime.ha && leaf->young)));
}

/* Each page is as in one of the orders: adopts which. */
static void judge_page(struct run *run, const struct both *both, uint64_t gpa)
{
	struct ref_page *page = ref_at(&run->ref, gpa);
	uint64_t n = (gpa - both->gpa) >> run->ref.page_shift;
	const struct ref_page *one = &both->one[n], *was = &both->was[n];
	unsigned int level = page->level > one->level ? page->level : one->level;
	struct sim_leaf leaf;

	sim_translate(&run->sim, gpa, &leaf);
	if (!is_as(run, &leaf, page)) {
		if (!is_as(run, &leaf, one))
			sim_fail(&run->sim,
				 "struck: gpa 0x%llx is as in neither order (mapped %u "
				 "hpa 0x%llx prot %u young %u)",
				 (unsigned long long)gpa, leaf.mapped, (unsigned long long)leaf.hpa,
				 leaf.prot, leaf.young);
		*page = *one;
	}
	if (page->valid && leaf.level > level)
		sim_fail(&run->sim, "struck: gpa 0x%llx in a leaf of level %u",
			 (unsigned long long)gpa, leaf.level);
	if (page->valid)
		page->level = leaf.level;
	if (was->valid && (!page->valid || page->pa != was->pa))
		sim_host_wrote(&run->sim, was->pa, 1ull << run->ref.page_shift);
}

void strike_judge(struct strike *strike, const struct op *op, int ret,
		  const struct s2_progress *progress)
{
	struct run *run = strike->run;
	struct both both = { .op = { *op, strike->op },
			     .progress = { *progress, strike->progress },
			     .ret = { ret, strike->ret } };
	struct ref_page *pages;
	size_t bytes;

	hull(run, &both);
	pages = ref_at(&run->ref, both.gpa);
	both.pages = (both.end - both.gpa) >> run->ref.page_shift;
	bytes = both.pages * sizeof(*pages);
	both.was = malloc(bytes);
	both.one = malloc(bytes);
	both.mark = calloc(both.pages, 4);
	if (!both.was || !both.one || !both.mark)
		abort();
	memcpy(both.was, pages, bytes);
	in_order(run, &both, 1);
	memcpy(both.one, pages, bytes);
	memcpy(pages, both.was, bytes);
	in_order(run, &both, 0);
	run->ref.lax_levels = 1;
	for (uint64_t gpa = both.gpa; gpa < both.end; gpa += 1ull << run->ref.page_shift)
		judge_page(run, &both, gpa);
	judge_result(run, &both, 0);
	judge_result(run, &both, 1);
	ref_compare(&run->ref, &run->sim, &run->vm.pt, &run->walker, both.gpa, both.end - both.gpa);
	free(both.was);
	free(both.one);
	free(both.mark);
}
