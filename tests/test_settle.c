// SPDX-License-Identifier: BSD-2-Clause
/*
 * A block becomes a table by what FEAT_BBM allows: at level 0 the guest finds it invalid for a
 * while, from level 1 on never. While it settles nobody changes anything below. And the TLB
 * conflict that level 2 may answer.
 */
#include <string.h>

#include "../src/pgtable/hook.h"

#include "fixture.h"

static struct fixture fixture;
static struct fixture *const f = &fixture;

static struct s2_pt *pt(void)
{
	return &f->vm.pt;
}

/* One block of read-write memory at BLOCK, output 3 * BLOCK. */
static void up(uint8_t bbm, uint32_t features)
{
	struct s2_vm_config config = fixture_config();

	config.pt.cpu.bbm = bbm;
	config.pt.cpu.features = features;
	fixture_up(f, &config);
	assert_int_equal(fixture_map(f, BLOCK, 3 * BLOCK, BLOCK, S2_RW, 0), 0);
	assert_int_equal(fixture_level(f, BLOCK), 1);
}

/* The ways to a split, all about the first page; and one that takes the block as it is. */
enum way {
	BY_SPLIT,
	BY_UNMAP,
	BY_PROTECT,
	BY_MAP,
	WAYS,
	AGE = WAYS,
	ALL_WAYS
};

static void go(enum way way, struct s2_walker *walker, struct s2_gather *gather)
{
	struct s2_progress progress;
	int ret = 0;

	switch (way) {
	case BY_SPLIT:
		ret = s2_pt_split(pt(), s2_gpa(BLOCK), PAGE, 0, walker, gather, &progress);
		break;
	case BY_UNMAP:
		ret = s2_pt_unmap(pt(), s2_gpa(BLOCK), PAGE, walker, gather, &progress);
		break;
	case BY_PROTECT:
		ret = s2_pt_protect(pt(), s2_gpa(BLOCK), PAGE, S2_W, walker, gather, &progress);
		break;
	case AGE:
		ret = s2_pt_age(pt(), s2_gpa(BLOCK), PAGE, S2_AGE_CLEAR, walker, gather, &progress);
		break;
	case BY_MAP:
	default:
		ret = s2_pt_map(pt(), s2_gpa(BLOCK), s2_hpa(BLOCK), PAGE,
				fixture_attr(S2_RW, S2_MEM_NORMAL), S2_MAP_REPLACE, walker, gather,
				&progress);
		break;
	}
	assert_int_equal(ret, 0);
	s2_gather_flush(gather, walker);
}

/* Another looks at the last page all the time: as the hardware does, and as the engine does. */
static struct {
	unsigned int looks, holes, missed;
	int done;
} by;

static void look_on(void *ctx, uint64_t gpa)
{
	struct sim_leaf seen;
	struct s2_leaf leaf;

	(void)ctx;
	while (!by.done) {
		sim_translate(&f->sim, 2 * BLOCK - PAGE, &seen);
		by.looks++;
		by.holes += !seen.mapped || seen.hpa != 4 * BLOCK - PAGE || seen.prot != S2_RW;
		by.missed +=
			seen.mapped &&
			(s2_pt_lookup(pt(), s2_gpa(2 * BLOCK - PAGE), &f->other, &leaf) ||
			 leaf.hpa.hpa + (2 * BLOCK - PAGE - leaf.gpa.gpa) != 4 * BLOCK - PAGE ||
			 leaf.attr.prot != S2_RW);
		s2_hook_slot(&f->sim, gpa); /* the other's turn */
	}
}

static void test_neighbours_stay(void **state)
{
	const struct sim_second_config second = { .fn = look_on,
						  .walker = &f->other,
						  .odds = 65536 };
	struct s2_stats stats;
	uint64_t tlb;

	(void)state;
	for (uint8_t bbm = 0; bbm <= 2; bbm++) {
		for (int way = 0; way < WAYS; way++) {
			up(bbm, S2_CPU_FWB | S2_CPU_DIC);
			memset(&by, 0, sizeof(by));
			tlb = f->sim.tlb_ops[S2_TLB_ENTRY];
			sim_second_arm(&f->sim, &second);
			go((enum way)way, &f->walker, &f->gather);
			by.done = 1;
			assert_int_equal(sim_second_finish(&f->sim), 1);
			assert_int_not_equal(by.looks, 0);
			assert_int_equal(by.missed, 0);
			assert_int_equal(by.holes != 0, bbm == 0);
			s2_pt_stats(pt(), &stats);
			/* That of the page which gets another output is no change of size. */
			assert_int_equal(stats.breaks, (bbm == 0) + (way == BY_MAP));
			assert_int_equal(f->sim.tlb_ops[S2_TLB_ENTRY] - tlb,
					 (bbm < 2) + (way != BY_SPLIT));
			assert_int_equal(f->sim.tlb_ops[S2_TLB_ALL], bbm > 0);
			assert_int_equal(fixture_level(f, 2 * BLOCK - PAGE), 0);
			fixture_down(f);
		}
	}
}

/*
 * While one splits, another works on the same page. When that one is done nothing may be left of
 * what it changed, in whatever size a TLB holds it. (Every change is judged, too.)
 */
static struct s2_gather others;
static enum way other_way;

static void work(void *ctx, uint64_t gpa)
{
	(void)ctx;
	(void)gpa;
	s2_gather_init(&others, pt());
	go(other_way, &f->other, &others);
	if (other_way == BY_UNMAP)
		sim_idle_empty(&f->sim, BLOCK, PAGE);
}

static void test_nobody_below(void **state)
{
	static const uint32_t more[] = { 0, S2_CPU_HA | S2_CPU_TLB_LEVEL };
	struct sim_second_config second = { .fn = work, .walker = &f->other };
	int ran;

	(void)state;
	for (unsigned int i = 0; i < 3 * ALL_WAYS * 2 * 60; i++) {
		up((uint8_t)(i % 3), S2_CPU_FWB | S2_CPU_DIC | more[i / 3 % 2]);
		other_way = (enum way)(i / 6 % ALL_WAYS);
		if (i / 60 % 2) /* hardware makes it young meanwhile, where it can */
			assert_int_equal(s2_pt_age(pt(), s2_gpa(BLOCK), BLOCK, S2_AGE_CLEAR,
						   &f->walker, &f->gather, &f->progress),
					 0);
		s2_gather_flush(&f->gather, &f->walker);
		f->sim.config.seed = i + 1; /* the other comes at other moments */
		second.odds = i / 30 % 2 ? 16384 : 32768;
		sim_second_arm(&f->sim, &second);
		go(BY_SPLIT, &f->walker, &f->gather);
		ran = sim_second_finish(&f->sim);
		assert_int_equal(fixture_level(f, 2 * BLOCK - PAGE), 0);
		assert_int_equal(fixture_level(f, BLOCK), ran && other_way == BY_UNMAP ? -1 : 0);
		if (ran && other_way == AGE && !(pt()->cpu.features & S2_CPU_HA))
			assert_int_equal(f->leaf.young, 0);
		fixture_down(f);
	}
}

/* Neighbours are split together: what has to be invalidated is invalidated for all at once. */
static void test_many(void **state)
{
	(void)state;
	for (uint8_t bbm = 0; bbm <= 2; bbm++) {
		uint64_t tlb;

		up(bbm, S2_CPU_FWB | S2_CPU_DIC | S2_CPU_TLB_RANGE);
		assert_int_equal(fixture_map(f, GIB, 2 * GIB, 8 * BLOCK, S2_RW, 0), 0);
		tlb = f->sim.tlb_ops[S2_TLB_RANGE];
		assert_int_equal(s2_pt_split(pt(), s2_gpa(GIB), 8 * BLOCK, 0, &f->walker,
					     &f->gather, &f->progress),
				 0);
		s2_gather_flush(&f->gather, &f->walker);
		assert_true(f->sim.tlb_ops[S2_TLB_RANGE] - tlb <= (bbm < 2 ? 2 : 0));
		assert_true(f->sim.tlb_ops[S2_TLB_ALL] <= (bbm ? 2 : 0));
		for (uint64_t gpa = 0; gpa < 8 * BLOCK; gpa += PAGE) {
			assert_int_equal(fixture_level(f, GIB + gpa), 0);
			assert_int_equal(f->leaf.hpa.hpa, 2 * GIB + gpa);
		}
		fixture_down(f);
	}
}

/* This CPU, and it alone, forgets everything; the guest goes on. */
static void test_conflict(void **state)
{
	static const uint64_t esr[] = { 0x92000030, 0x82000030, 0x920000f0, 0x920003b0 };
	struct s2_arm64_mmio mmio;
	struct s2_fault fault;
	struct s2_stats stats;

	(void)state;
	up(2, S2_CPU_FWB | S2_CPU_DIC);
	for (uint64_t i = 0; i < sizeof(esr) / sizeof(esr[0]); i++) {
		memset(&fault, 0xff, sizeof(fault));
		memset(&mmio, 0xff, sizeof(mmio));
		assert_int_equal(s2_arm64_decode_abort(esr[i], ~0ull, ~0ull, &fault, &mmio), 0);
		assert_int_equal(fault.kind, S2_FAULT_CONFLICT);
		assert_int_equal(mmio.isv, 0);
		assert_int_equal(s2_fault(&f->vm, &f->walker, &fault, &f->exit), 0);
		assert_int_equal(f->exit.reason, S2_EXIT_RESUME);
		assert_int_equal(f->exit.size, 0);
		s2_pt_stats(pt(), &stats);
		assert_int_equal(stats.fault[S2_FAULT_CONFLICT], i + 1);
		assert_int_equal(stats.tlb_local, i + 1);
		assert_int_equal(f->sim.tlb_ops[S2_TLB_ALL], i + 1);
		assert_int_equal(f->sim.tlb_local, i + 1);
	}
	fault.kind = S2_FAULT_KINDS;
	assert_int_equal(s2_fault(&f->vm, &f->walker, &fault, &f->exit), S2_EINVAL);
	fixture_down(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_neighbours_stay),
		cmocka_unit_test(test_nobody_below),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_conflict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
