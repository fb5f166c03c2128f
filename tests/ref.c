// SPDX-License-Identifier: BSD-2-Clause
/*
 * The stupid reference: see ref.h. Loops over pages on purpose; nothing here is clever.
 */
#include <stdlib.h>
#include <string.h>

#include "../src/pgtable/internal.h"
#include "ref.h"

uint64_t ref_level_size(const struct ref *ref, unsigned int level)
{
	return 1ull << (ref->page_shift + ref->stride * level);
}

static void set_window(struct ref *ref, unsigned int n, uint64_t gpa, uint64_t size)
{
	struct ref_window *window = &ref->window[n];

	window->gpa = gpa;
	window->size = size;
	window->pages = calloc(size >> ref->page_shift, sizeof(*window->pages));
	if (!window->pages)
		abort();
}

void ref_init(struct ref *ref, const struct s2_pt *pt, unsigned int block_level)
{
	uint64_t end = 1ull << pt->ipa_bits, centre, extra, span;

	memset(ref, 0, sizeof(*ref));
	ref->page_shift = pt->page_shift;
	ref->stride = pt->page_shift - 3u;
	ref->block_level = block_level;
	ref->features = pt->cpu.features;
	span = REF_PAGES << ref->page_shift;
	extra = block_level > 1 ? ref_level_size(ref, 2) : 0;
	centre =
		ref_level_size(ref, 2) > 2 * span ? ref_level_size(ref, 2) : ref_level_size(ref, 3);
	if (centre > end / 2)
		centre = end / 2;
	set_window(ref, 0, 0, span);
	set_window(ref, 1, centre - span, 2 * span + extra);
	set_window(ref, 2, end - span - extra, span + extra);
}

void ref_fini(struct ref *ref)
{
	for (unsigned int i = 0; i < REF_WINDOWS; i++)
		free(ref->window[i].pages);
	free(ref->bits[0].word);
	free(ref->bits[1].word);
}

const struct ref_window *ref_window_of(const struct ref *ref, uint64_t gpa)
{
	for (unsigned int i = 0; i < REF_WINDOWS; i++) {
		const struct ref_window *window = &ref->window[i];

		if (gpa >= window->gpa && gpa - window->gpa < window->size)
			return window;
	}
	return NULL;
}

struct ref_page *ref_at(const struct ref *ref, uint64_t gpa)
{
	const struct ref_window *window = ref_window_of(ref, gpa);

	return window ? &window->pages[(gpa - window->gpa) >> ref->page_shift] : NULL;
}

static struct ref_page *at(const struct ref *ref, uint64_t gpa)
{
	struct ref_page *page = ref_at(ref, gpa);

	if (!page)
		abort(); /* a test went outside its windows */
	return page;
}

static uint64_t page_size(const struct ref *ref)
{
	return ref_level_size(ref, 0);
}

static uint64_t leaf_start(const struct ref *ref, uint64_t gpa)
{
	return gpa & ~(ref_level_size(ref, at(ref, gpa)->level) - 1);
}

static uint64_t leaf_end(const struct ref *ref, uint64_t gpa)
{
	return leaf_start(ref, gpa) + ref_level_size(ref, at(ref, gpa)->level);
}

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Makes the leaf around gpa one level smaller. */
static void split_leaf(struct ref *ref, uint64_t gpa)
{
	uint64_t end = leaf_end(ref, gpa);

	for (uint64_t a = leaf_start(ref, gpa); a < end; a += page_size(ref))
		at(ref, a)->level--;
}

/* Is there a leaf smaller than `level` in the place of a leaf of that level? */
static int has_smaller(const struct ref *ref, uint64_t gpa, unsigned int level)
{
	uint64_t end = gpa + ref_level_size(ref, level);

	for (uint64_t a = gpa; a < end; a += page_size(ref))
		if (at(ref, a)->valid && at(ref, a)->level < level)
			return 1;
	return 0;
}

/* The largest leaf that may be made at gpa. */
static unsigned int best_level(const struct ref *ref, uint64_t gpa, uint64_t hpa, uint64_t end,
			       unsigned int flags)
{
	unsigned int level = flags & S2_MAP_PAGES ? 0 : ref->block_level;

	for (; level; level--) {
		uint64_t size = ref_level_size(ref, level);

		if ((gpa | hpa) & (size - 1) || end - gpa < size)
			continue;
		if (flags & S2_MAP_REPLACE || !has_smaller(ref, gpa, level))
			break;
	}
	return level;
}

static void put_leaf(struct ref *ref, uint64_t gpa, uint64_t hpa, unsigned int level,
		     struct s2_attr attr)
{
	uint64_t size = ref_level_size(ref, level);

	for (uint64_t off = 0; off < size; off += page_size(ref))
		*at(ref, gpa + off) = (struct ref_page){ .pa = hpa + off,
							 .valid = 1,
							 .prot = attr.prot,
							 .type = attr.type,
							 .sw = attr.sw,
							 .young = 1,
							 .level = (uint8_t)level };
}

static void advance(const struct ref *ref, struct ref_op *op, uint64_t size, uint64_t *counter)
{
	if (op->mark && counter == &op->changed)
		memset(op->mark + (op->done >> ref->page_shift), 1, size >> ref->page_shift);
	op->done += size;
	*counter += size;
}

int ref_map(struct ref *ref, struct ref_op *op, uint64_t hpa, struct s2_attr attr,
	    unsigned int flags)
{
	uint64_t end = op->gpa + op->size, passed = 0;
	int ret = 0;

	while (op->done < op->stop) {
		uint64_t gpa = op->gpa + op->done;
		struct ref_page *page = at(ref, gpa);
		unsigned int level = best_level(ref, gpa, hpa + op->done, end, flags);
		int same = page->valid && page->level >= level && page->pa == hpa + op->done &&
			   page->type == attr.type && page->sw == attr.sw;
		struct s2_attr put = attr;

		if (same && flags & S2_MAP_WIDEN)
			put.prot |= page->prot;
		if (same && page->prot == put.prot) {
			advance(ref, op, min(leaf_end(ref, gpa), end) - gpa, &op->equal);
			continue;
		}
		if (page->valid && !(flags & S2_MAP_REPLACE) && !(same && flags & S2_MAP_WIDEN)) {
			ret = S2_EEXIST;
			if (!op->pass)
				break;
			advance(ref, op, min(leaf_end(ref, gpa), end) - gpa, &passed);
			continue;
		}
		if (page->valid && page->level > level) {
			split_leaf(ref, gpa);
			continue;
		}
		put_leaf(ref, gpa, hpa + op->done, level, put);
		advance(ref, op, ref_level_size(ref, level), &op->changed);
	}
	return ret;
}

/* Is the leaf at gpa only partly within the operation? */
static int partly(const struct ref *ref, const struct ref_op *op, uint64_t gpa)
{
	return leaf_start(ref, gpa) < op->gpa || leaf_end(ref, gpa) > op->gpa + op->size;
}

/*
 * The largest table that translates exactly what starts at gpa and ends with the operation: it goes
 * as a whole, holes included. Returns its size, or 0.
 */
static uint64_t whole_table(const struct ref *ref, const struct ref_op *op, uint64_t gpa)
{
	unsigned int top = (47 - ref->page_shift) / ref->stride;

	for (unsigned int level = top; level > 0; level--) {
		uint64_t size = ref_level_size(ref, level);

		if (!(gpa & (size - 1)) && size <= op->stop - op->done &&
		    has_smaller(ref, gpa, level))
			return size;
	}
	return 0;
}

void ref_unmap(struct ref *ref, struct ref_op *op)
{
	uint64_t holes = 0;

	while (op->done < op->stop) {
		uint64_t gpa = op->gpa + op->done, size = whole_table(ref, op, gpa);

		if (size) {
			for (uint64_t a = gpa; a < gpa + size; a += page_size(ref))
				*at(ref, a) = (struct ref_page){ 0 };
			advance(ref, op, size, &op->changed);
			continue;
		}
		while (at(ref, gpa)->valid && partly(ref, op, gpa))
			split_leaf(ref, gpa);
		advance(ref, op, page_size(ref), at(ref, gpa)->valid ? &op->changed : &holes);
		*at(ref, gpa) = (struct ref_page){ 0 };
	}
}

void ref_protect(struct ref *ref, struct ref_op *op, unsigned int how)
{
	unsigned int prot = how & S2_RWX;

	while (op->done < op->stop) {
		uint64_t gpa = op->gpa + op->done;
		struct ref_page *page = at(ref, gpa);
		uint64_t *counter = &op->equal;

		if (page->valid && page->prot & prot && partly(ref, op, gpa) &&
		    how & S2_PROTECT_WHOLE) {
			for (uint64_t a = leaf_start(ref, gpa); a < leaf_end(ref, gpa);
			     a += page_size(ref))
				at(ref, a)->prot &= (uint8_t)~prot;
			advance(ref, op, min(leaf_end(ref, gpa), op->gpa + op->size) - gpa,
				&op->changed);
			continue;
		}
		if (page->valid && page->prot & prot) {
			while (partly(ref, op, gpa))
				split_leaf(ref, gpa);
			page->prot &= (uint8_t)~prot;
			counter = &op->changed;
		}
		advance(ref, op, page_size(ref), counter);
	}
}

int ref_relax(struct ref *ref, struct ref_op *op, unsigned int prot)
{
	int ret = 0;

	while (op->done < op->stop) {
		uint64_t gpa = op->gpa + op->done;
		struct ref_page *page = at(ref, gpa);
		uint64_t start, end, part;

		if (!page->valid) {
			op->done += page_size(ref);
			continue;
		}
		if (page->type >= S2_MEM_DEVICE && prot & S2_X) {
			ret = S2_EINVAL;
			if (!op->pass)
				break;
			op->done += page_size(ref);
			continue;
		}
		start = leaf_start(ref, gpa);
		end = leaf_end(ref, gpa);
		part = min(end, op->gpa + op->size) - gpa;
		advance(ref, op, part, (page->prot & prot) == prot ? &op->equal : &op->changed);
		for (uint64_t a = start; a < end; a += page_size(ref))
			at(ref, a)->prot |= (uint8_t)prot;
	}
	return ret;
}

void ref_age(struct ref *ref, struct ref_op *op, enum s2_age age)
{
	while (op->done < op->stop) {
		uint64_t gpa = op->gpa + op->done;
		struct ref_page *page = at(ref, gpa);
		uint64_t start, end, part;

		if (!page->valid) {
			op->done += page_size(ref);
			continue;
		}
		start = leaf_start(ref, gpa);
		end = leaf_end(ref, gpa);
		part = min(end, op->gpa + op->size) - gpa;
		advance(ref, op, part,
			page->young != (age == S2_AGE_SET) ? &op->changed : &op->equal);
		for (uint64_t a = start; a < end && age != S2_AGE_TEST; a += page_size(ref))
			at(ref, a)->young = age == S2_AGE_SET;
	}
}

#define BEHIND 0xa5c3a5c3a5c3a5c3ull

static int bit(const struct ref_bits *bits, uint64_t n)
{
	return bits->word[n / 64] >> n % 64 & 1;
}

void ref_bits_start(struct ref_bits *bits, uint64_t pages)
{
	uint64_t words = pages / 64 + 2;

	free(bits->word);
	bits->word = malloc(words * sizeof(*bits->word));
	if (!bits->word)
		abort();
	bits->pages = pages;
	for (uint64_t i = 0; i < words; i++)
		bits->word[i] = i < pages / 64 ? 0 : BEHIND;
	bits->word[pages / 64] &= ~0ull << pages % 64;
}

void ref_bits_count(const struct ref *ref, const struct ref_bits *bits, struct sim *sim,
		    const struct s2_progress *progress)
{
	uint64_t bytes = 0;

	for (uint64_t n = 0; n < bits->pages; n++)
		bytes += (uint64_t)bit(bits, n) << ref->page_shift;
	if (bytes != progress->changed)
		sim_fail(sim, "young: 0x%llx bytes are marked, 0x%llx should be",
			 (unsigned long long)bytes, (unsigned long long)progress->changed);
	for (uint64_t n = bits->pages; n < (bits->pages / 64 + 2) * 64; n++)
		if (bit(bits, n) != (int)(BEHIND >> n % 64 & 1))
			sim_fail(sim, "young: bit %llu behind the range was changed",
				 (unsigned long long)(n - bits->pages));
}

void ref_bits_judge(const struct ref_bits *bits, struct sim *sim, const uint8_t *a,
		    const uint8_t *b)
{
	for (uint64_t n = 0; n < bits->pages; n++)
		if (bit(bits, n) ? !a[n] && !b[n] && !sim->regime.ha : a[n] && b[n])
			sim_fail(sim, "young: page %llu of the range should%s be marked",
				 (unsigned long long)n, bit(bits, n) ? " not" : "");
}

void ref_split(struct ref *ref, struct ref_op *op, unsigned int level)
{
	while (op->done < op->stop) {
		uint64_t gpa = op->gpa + op->done;

		while (at(ref, gpa)->valid && at(ref, gpa)->level > level)
			split_leaf(ref, gpa);
		op->done += page_size(ref);
	}
}

static void wrong(struct sim *sim, const char *who, uint64_t gpa, const char *what, uint64_t is,
		  uint64_t should)
{
	sim_fail(sim, "%s: gpa 0x%llx has %s 0x%llx, should be 0x%llx", who,
		 (unsigned long long)gpa, what, (unsigned long long)is, (unsigned long long)should);
}

/* Lower levels than expected are adopted where that is legal. */
static void compare_level(struct ref *ref, struct sim *sim, uint64_t gpa, unsigned int level)
{
	struct ref_page *page = at(ref, gpa);

	while (ref->lax_levels && level < page->level)
		split_leaf(ref, gpa);
	if (level != page->level)
		wrong(sim, "tables", gpa, "level", level, page->level);
}

static void compare_walk(struct ref *ref, struct sim *sim, uint64_t gpa)
{
	struct ref_page *page = at(ref, gpa);
	struct sim_leaf leaf;

	sim_translate(sim, gpa, &leaf);
	if (leaf.mapped != page->valid)
		wrong(sim, "tables", gpa, "validity", leaf.mapped, page->valid);
	if (!page->valid)
		return;
	compare_level(ref, sim, gpa, leaf.level);
	if (leaf.hpa != page->pa)
		wrong(sim, "tables", gpa, "address", leaf.hpa, page->pa);
	if (leaf.prot != page->prot)
		wrong(sim, "tables", gpa, "rights", leaf.prot, page->prot);
	if (leaf.type != page->type)
		wrong(sim, "tables", gpa, "type", leaf.type, page->type);
	if (leaf.sw != page->sw)
		wrong(sim, "tables", gpa, "software bits", leaf.sw, page->sw);
	if (leaf.young < page->young || (leaf.young != page->young && !sim->regime.ha))
		wrong(sim, "tables", gpa, "age", leaf.young, page->young);
	page->young = leaf.young; /* hardware may have set it */
}

static void compare_hole(struct ref *ref, struct sim *sim, uint64_t gpa, const struct s2_leaf *leaf)
{
	if (leaf->gpa.gpa > gpa || gpa - leaf->gpa.gpa >= leaf->size)
		wrong(sim, "lookup", gpa, "hole at", leaf->gpa.gpa, gpa);
	if (leaf->size != ref_level_size(ref, leaf->level))
		wrong(sim, "lookup", gpa, "hole size", leaf->size,
		      ref_level_size(ref, leaf->level));
	for (unsigned int i = 0; i < REF_WINDOWS && leaf->level < 2; i++) {
		struct ref_page *page = ref_at(ref, leaf->gpa.gpa + (leaf->size >> i) / 2);

		if (page && page->valid)
			wrong(sim, "lookup", gpa, "no hole here, size", leaf->size, 0);
	}
}

static void compare_lookup(struct ref *ref, struct sim *sim, struct s2_pt *pt,
			   struct s2_walker *walker, uint64_t gpa)
{
	struct ref_page *page = at(ref, gpa);
	uint64_t start;
	struct s2_leaf leaf;
	int ret = s2_pt_lookup(pt, s2_gpa(gpa + 5), walker, &leaf);

	if (ret != (page->valid ? 0 : S2_ENOENT))
		wrong(sim, "lookup", gpa, "result", (uint64_t)ret, page->valid);
	if (!page->valid) {
		compare_hole(ref, sim, gpa, &leaf);
		return;
	}
	start = leaf_start(ref, gpa);
	if (leaf.gpa.gpa != start)
		wrong(sim, "lookup", gpa, "leaf at", leaf.gpa.gpa, start);
	if (leaf.hpa.hpa != page->pa - (gpa - start))
		wrong(sim, "lookup", gpa, "leaf's address", leaf.hpa.hpa, page->pa - (gpa - start));
	if (leaf.size != ref_level_size(ref, page->level) || leaf.level != page->level)
		wrong(sim, "lookup", gpa, "level", leaf.level, page->level);
	if (leaf.attr.prot != page->prot || leaf.attr.type != page->type ||
	    leaf.attr.sw != page->sw)
		wrong(sim, "lookup", gpa, "attributes", leaf.attr.prot, page->prot);
	if (leaf.young != page->young)
		wrong(sim, "lookup", gpa, "age", leaf.young, page->young);
}

void ref_compare(struct ref *ref, struct sim *sim, struct s2_pt *pt, struct s2_walker *walker,
		 uint64_t gpa, uint64_t size)
{
	uint64_t end = gpa + size;

	while (gpa < end) {
		struct ref_page *page = at(ref, gpa);

		compare_walk(ref, sim, gpa);
		compare_lookup(ref, sim, pt, walker, gpa);
		gpa += page_size(ref);
		/* Of a block only two pages: all of it is one entry. */
		if (page->valid && page->level && leaf_end(ref, gpa - 1) > gpa + page_size(ref))
			gpa = leaf_end(ref, gpa - 1) - page_size(ref);
	}
}

/* Every leaf that the engine enumerates is where the reference has one. */
static void compare_next(struct ref *ref, struct sim *sim, struct s2_pt *pt,
			 struct s2_walker *walker, struct s2_census *leaves)
{
	uint64_t end = 1ull << pt->ipa_bits, gpa = 0;
	struct s2_leaf leaf;
	int ret = 0;

	while (gpa < end) {
		ret = s2_pt_next(pt, s2_gpa(gpa), walker, &leaf);
		if (ret)
			break;
		if (leaf.gpa.gpa + leaf.size <= gpa)
			wrong(sim, "next", gpa, "leaf before it at", leaf.gpa.gpa, gpa);
		if (!ref_at(ref, leaf.gpa.gpa) || !at(ref, leaf.gpa.gpa)->valid)
			wrong(sim, "next", leaf.gpa.gpa, "a leaf of size", leaf.size, 0);
		leaves->leaves[leaf.level]++;
		gpa = leaf.gpa.gpa + leaf.size;
	}
	if (ret && ret != S2_ENOENT)
		wrong(sim, "next", gpa, "result", (uint64_t)ret, (uint64_t)S2_ENOENT);
}

static void compare_census(struct ref *ref, struct sim *sim, struct s2_pt *pt,
			   struct s2_walker *walker, const struct s2_census *leaves)
{
	struct s2_census census;
	uint64_t linked = 0;
	s2_gpa_t where;

	if (s2_pt_audit(pt, walker, &census, &where))
		wrong(sim, "audit", where.gpa, "a corrupt entry", 1, 0);
	for (unsigned int level = 0; level < S2_LEVELS; level++) {
		linked += census.tables[level];
		if (census.leaves[level] != leaves->leaves[level])
			wrong(sim, "audit", level, "leaves", census.leaves[level],
			      leaves->leaves[level]);
	}
	if (census.held != linked + census.stocks)
		wrong(sim, "audit", 0, "tables held", census.held, linked + census.stocks);
	if (census.held != sim->arena.outstanding)
		wrong(sim, "audit", 0, "tables held", census.held, sim->arena.outstanding);
	if (census.busy)
		wrong(sim, "audit", 0, "busy entries", census.busy, 0);
	if (!census.empty)
		ref->lax_levels = 0;
	else if (!ref->lax_levels)
		wrong(sim, "audit", 0, "empty tables", census.empty, 0);
}

/* What was made and not removed is there. All gathers are flushed. */
static void compare_stats(struct sim *sim, struct s2_pt *pt, struct s2_walker *walker)
{
	struct s2_census census;
	struct s2_stats stats;
	uint64_t tables = 0;

	if (s2_pt_audit(pt, walker, &census, NULL))
		return; /* compare_census() said it */
	s2_pt_stats(pt, &stats);
	for (unsigned int level = 0; level < S2_LEVELS; level++) {
		uint64_t leaves = stats.leaves_made[level] - stats.leaves_removed[level];

		tables += census.tables[level];
		if (leaves != census.leaves[level])
			wrong(sim, "stats", level, "leaves", leaves, census.leaves[level]);
	}
	tables -= 1ull << pt->root_order;
	if (stats.tables_linked - stats.tables_unlinked != tables)
		wrong(sim, "stats", 0, "tables", stats.tables_linked - stats.tables_unlinked,
		      tables);
}

void ref_tighten(struct ref *ref, struct s2_pt *pt, struct s2_walker *walker)
{
	struct s2_census census;

	if (ref->lax_levels && !s2_pt_audit(pt, walker, &census, NULL) && !census.empty)
		ref->lax_levels = 0;
}

void ref_compare_all(struct ref *ref, struct sim *sim, struct s2_pt *pt, struct s2_walker *walker)
{
	struct s2_census leaves = { 0 };

	for (unsigned int i = 0; i < REF_WINDOWS; i++)
		ref_compare(ref, sim, pt, walker, ref->window[i].gpa, ref->window[i].size);
	compare_next(ref, sim, pt, walker, &leaves);
	compare_census(ref, sim, pt, walker, &leaves);
	compare_stats(sim, pt, walker);
	sim_idle(sim, 0, 1ull << pt->ipa_bits);
}
