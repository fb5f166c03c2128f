// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a walker remembers of maps: where it was last (hints), what a page with certain attributes
 * looks like. (test_revise.c: what a revision changes in certain leaves.) Each test leads it into
 * something remembered and then changes the world, or asks for something else: what comes out must
 * be what a walker without a memory would do. Another walker that changes the world is played by
 * f->other.
 */
#include <string.h>

#include "../src/pgtable/hook.h"
#include "../src/pgtable/walker.h"
#include "fixture.h"
#include "machine.h"

#define FEATURES (S2_CPU_FWB | S2_CPU_DIC | S2_CPU_XNX)

static struct fixture fix;
static struct fixture *const f = &fix;
static struct s2_gather others;

static struct s2_pt *pt(void)
{
	return &f->vm.pt;
}

static void up_sim(uint32_t features, const struct sim_config *host)
{
	struct s2_vm_config config = fixture_config();

	config.pt.cpu.features = features;
	fixture_up_sim(f, &config, host);
	s2_gather_init(&others, pt());
}

static void up_with(uint32_t features, enum sim_reuse reuse)
{
	const struct sim_config host = { .reuse = (uint8_t)reuse };

	up_sim(features, &host);
}

static void up(void)
{
	up_with(FEATURES, SIM_REUSE_LATE);
}

/* From here on the other walker, on its own processor, or the first again. */
static void turn(const struct s2_walker *walker)
{
	sim_thread(walker == &f->other, walker);
}

static int map(uint64_t gpa, uint64_t hpa, struct s2_attr attr, unsigned int flags)
{
	return s2_pt_map(pt(), s2_gpa(gpa), s2_hpa(hpa), PAGE, attr, flags, &f->walker, &f->gather,
			 &f->progress);
}

static void flush(void)
{
	s2_gather_flush(&f->gather, &f->walker);
}

/* A page of the walker's, with all rights. */
static void map_page(uint64_t gpa, uint64_t hpa)
{
	assert_int_equal(map(gpa, hpa, fixture_attr(S2_RWX, S2_MEM_NORMAL), 0), 0);
	assert_int_equal(f->progress.changed, PAGE);
	flush();
}

static void other_unmaps(uint64_t gpa, uint64_t size)
{
	struct s2_progress progress;

	turn(&f->other);
	assert_int_equal(s2_pt_unmap(pt(), s2_gpa(gpa), size, &f->other, &others, &progress), 0);
	s2_gather_flush(&others, &f->other);
	turn(&f->walker);
}

static void other_maps(uint64_t gpa, uint64_t hpa, uint64_t size, unsigned int flags)
{
	struct s2_progress progress;

	turn(&f->other);
	assert_int_equal(s2_pt_map(pt(), s2_gpa(gpa), s2_hpa(hpa), size,
				   fixture_attr(S2_RWX, S2_MEM_NORMAL), flags, &f->other, &others,
				   &progress),
			 0);
	s2_gather_flush(&others, &f->other);
	turn(&f->walker);
}

static void expect_page(uint64_t gpa, uint64_t hpa)
{
	struct sim_leaf leaf;

	sim_translate(&f->sim, gpa, &leaf);
	assert_int_equal(leaf.mapped, 1);
	assert_int_equal(leaf.hpa, hpa);
	assert_int_equal(fixture_level(f, gpa), leaf.level);
	assert_int_equal(f->leaf.hpa.hpa, hpa & ~(f->leaf.size - 1));
}

/* Between two pages of the same table, somebody takes the table away. */
static void test_table_goes(void **state)
{
	(void)state;
	for (int reuse = SIM_REUSE_LATE; reuse <= SIM_REUSE_NOW; reuse++) {
		/* Another one, page by page, so that it becomes empty. */
		up_with(FEATURES, (enum sim_reuse)reuse);
		map_page(0, 0x1000);
		other_unmaps(0, PAGE);
		map_page(PAGE, 0x2000);
		expect_page(PAGE, 0x2000);
		assert_int_equal(fixture_level(f, 0), -1);
		/* Another one, as a whole, and the one above it as well. */
		other_unmaps(0, GIB);
		map_page(2 * PAGE, 0x3000);
		expect_page(2 * PAGE, 0x3000);
		/* The walker itself: one page, the block, the gigabyte. */
		for (uint64_t size = PAGE; size <= GIB; size *= 512) {
			assert_int_equal(s2_pt_unmap(pt(), s2_gpa(size == PAGE ? 2 * PAGE : 0),
						     size, &f->walker, &f->gather, &f->progress),
					 0);
			flush();
			map_page(2 * PAGE, 0x3000);
			expect_page(2 * PAGE, 0x3000);
		}
		fixture_down(f);
	}
}

/* A table that was freed stands somewhere else now: who remembers it must not write there. */
static void test_table_comes_again(void **state)
{
	(void)state;
	up_with(FEATURES, SIM_REUSE_NOW);
	map_page(0, 0x1000);
	other_unmaps(0, PAGE);
	other_maps(GIB, 0x5000, PAGE, 0);
	map_page(PAGE, 0x2000);
	expect_page(PAGE, 0x2000);
	expect_page(GIB, 0x5000);
	assert_int_equal(fixture_level(f, GIB + PAGE), -1);
	fixture_down(f);
}

/* A table that waits to be freed (the port has a barrier()) is as good as gone. */
static void test_table_waits(void **state)
{
	const struct sim_config host = { .barrier = 1 };

	(void)state;
	up_sim(FEATURES, &host);
	other_maps(BLOCK, 0x5000, PAGE, 0); /* the table above stays */
	map_page(0, 0x1000);
	other_unmaps(0, PAGE);
	assert_int_equal(f->sim.barriers, 0);
	map_page(PAGE, 0x2000);
	expect_page(PAGE, 0x2000);
	fixture_down(f);
}

/* Who holds the tree for himself does not go by what he remembers from before. */
static void test_holder_remembers(void **state)
{
	(void)state;
	for (int reuse = SIM_REUSE_LATE; reuse <= SIM_REUSE_NOW; reuse++) {
		up_with(FEATURES, (enum sim_reuse)reuse);
		map_page(0, 0x1000);
		other_unmaps(0, PAGE);
		other_maps(GIB, GIB, BLOCK, S2_MAP_PAGES);
		other_maps(0, 0, BLOCK, S2_MAP_PAGES);
		assert_int_equal(s2_pt_protect(pt(), s2_gpa(0), BLOCK, S2_W, &f->walker, &f->gather,
					       &f->progress),
				 0);
		flush();
		assert_int_equal(f->progress.changed, BLOCK);
		expect_page(GIB, GIB);
		assert_int_equal(f->leaf.attr.prot, S2_RWX);
		expect_page(0, 0);
		assert_int_equal(f->leaf.attr.prot, S2_RX);
		fixture_down(f);
	}
}

/*
 * While an empty table is taken away, another stands by and looks: from the moment on that it is
 * not linked, there is no room in it for anybody, and nobody remembers it (the epoch has moved).
 */
static struct {
	const uint64_t *parent, *table;
	uint64_t link, epoch;
	int done, unlinked, room, remembered;
} by;

static void stand_by(void *ctx, uint64_t gpa)
{
	(void)ctx;
	while (!by.done) {
		if (*by.parent != by.link) {
			by.unlinked++;
			by.remembered += s2_load_seq(&pt()->epoch) == by.epoch;
			for (unsigned int i = 0; i < 512; i++)
				by.room += by.table[i] == 0;
		}
		s2_hook_slot(&f->sim, gpa); /* the other's turn */
	}
}

static void test_taken_away(void **state)
{
	const struct sim_second_config second = { .fn = stand_by,
						  .walker = &f->other,
						  .odds = 65536 };
	struct s2c_leaf leaf;

	(void)state;
	up();
	map_page(0, 0x1000);
	sim_walk(&f->sim, BLOCK, &leaf);
	memset(&by, 0, sizeof(by));
	by.parent = sim_entry(&f->sim, leaf.entry) - 1;
	by.link = *by.parent;
	by.epoch = s2_load_seq(&pt()->epoch);
	sim_walk(&f->sim, 0, &leaf);
	by.table = sim_entry(&f->sim, leaf.entry);
	sim_second_arm(&f->sim, &second);
	assert_int_equal(s2_pt_unmap(pt(), s2_gpa(0), PAGE, &f->walker, &f->gather, &f->progress),
			 0);
	by.done = 1;
	assert_int_equal(sim_second_finish(&f->sim), 1);
	assert_int_not_equal(by.unlinked, 0);
	assert_int_equal(by.room, 0);
	assert_int_equal(by.remembered, 0);
	flush();
	fixture_down(f);
}

/* The same place, another kind of thing: a block; and pages again. */
static void test_block_instead(void **state)
{
	(void)state;
	up();
	map_page(BLOCK, BLOCK);
	other_maps(BLOCK, 3 * BLOCK, BLOCK, S2_MAP_REPLACE);
	assert_int_equal(
		map(BLOCK + PAGE, 3 * BLOCK + PAGE, fixture_attr(S2_RWX, S2_MEM_NORMAL), 0), 0);
	assert_int_equal(f->progress.equal, PAGE);
	assert_int_equal(map(BLOCK + PAGE, 0x1000, fixture_attr(S2_RWX, S2_MEM_NORMAL), 0),
			 S2_EEXIST);
	assert_int_equal(fixture_level(f, BLOCK), 1);
	turn(&f->other);
	assert_int_equal(
		s2_pt_split(pt(), s2_gpa(BLOCK), BLOCK, 0, &f->other, &others, &f->progress), 0);
	s2_gather_flush(&others, &f->other);
	turn(&f->walker);
	assert_int_equal(
		map(BLOCK + PAGE, 3 * BLOCK + PAGE, fixture_attr(S2_RWX, S2_MEM_NORMAL), 0), 0);
	assert_int_equal(f->progress.equal, PAGE);
	expect_page(BLOCK + 5 * PAGE, 3 * BLOCK + 5 * PAGE);
	fixture_down(f);
}

/* Each page gets the attributes asked for, whatever the one before had. */
static void test_other_attributes(void **state)
{
	static const struct s2_attr attr[] = {
		{ .prot = S2_RWX },
		{ .prot = S2_RW },
		{ .prot = S2_R },
		{ .prot = S2_R | S2_XU },
		{ .prot = S2_RW, .type = S2_MEM_DEVICE },
		{ .prot = S2_RW, .type = S2_MEM_NC },
		{ .prot = S2_RW, .sw = 9 },
		{ .prot = S2_RWX },
	};
	uint64_t n = sizeof(attr) / sizeof(attr[0]);

	(void)state;
	up();
	for (uint64_t i = 0; i < 4 * n * n; i++) { /* each after each, and each after itself */
		const struct s2_attr *a = &attr[(i / 2 * (i / 2 / n + 1)) % n];
		uint64_t hpa = 0x10000000 + i * PAGE;

		if (a->type >= S2_MEM_DEVICE)
			hpa += 64 * GIB;
		assert_int_equal(map(i * PAGE, hpa, *a, 0), 0);
		flush();
		expect_page(i * PAGE, hpa);
		assert_memory_equal(&f->leaf.attr, a, sizeof(*a));
		assert_int_equal(f->leaf.young, 1);
	}
	fixture_down(f);
}

/* What cannot be, also after something like it that can, and when nothing was there before. */
static void test_invalid_attributes(void **state)
{
	static const struct s2_attr bad[] = {
		{ .prot = 0 },
		{ .prot = S2_W },
		{ .prot = S2_RWX | 16 },
		{ .prot = S2_RWX, .type = S2_MEM_TYPES },
		{ .prot = S2_RWX, .sw = 16 },
		{ .prot = S2_RWX, .pad = 1 },
		{ .prot = S2_RWX, .pad = 0x80 },
		{ .pad = 0x80 },
		{ .prot = S2_RX, .type = S2_MEM_DEVICE },
	};
	static const uint32_t features[] = { FEATURES, 0 }; /* 0: every map needs maintenance */

	(void)state;
	for (int i = 0; i < 2; i++) {
		up_with(features[i], SIM_REUSE_LATE);
		map_page(0, 0x1000);
		map_page(PAGE, 0x2000);
		for (size_t j = 0; j < sizeof(bad) / sizeof(bad[0]); j++) {
			assert_int_equal(map(2 * PAGE, 0x3000, bad[j], 0), S2_EINVAL);
			assert_int_equal(f->progress.done, 0);
			assert_int_equal(fixture_level(f, 2 * PAGE), -1);
			assert_int_equal(f->leaf.size, PAGE);
		}
		assert_int_equal(map(2 * PAGE, 0x3000, fixture_attr(S2_RWX, S2_MEM_NORMAL), 8),
				 S2_EINVAL);
		assert_int_equal(map(2 * PAGE + 8, 0x3000, fixture_attr(S2_RWX, 0), 0), S2_EALIGN);
		assert_int_equal(map(2 * PAGE, 0x3008, fixture_attr(S2_RWX, 0), 0), S2_EALIGN);
		assert_int_equal(map(2 * PAGE, 1ull << 48, fixture_attr(S2_RWX, 0), 0), S2_ERANGE);
		assert_int_equal(map((1ull << 40) + 2 * PAGE, 0x3000, fixture_attr(S2_RWX, 0), 0),
				 S2_ERANGE);
		fixture_down(f);
	}
}

/* The same for a walker that knows the way there, but has mapped nothing, or a block. */
static void test_invalid_from_the_start(void **state)
{
	const struct s2_attr good = fixture_attr(S2_RWX, S2_MEM_NORMAL);
	struct s2_attr bad;

	(void)state;
	for (int block = 0; block < 2; block++) {
		up();
		other_maps(0, 0x1000, PAGE, 0);
		if (block)
			assert_int_equal(s2_pt_map(pt(), s2_gpa(BLOCK), s2_hpa(BLOCK), BLOCK, good,
						   0, &f->walker, &f->gather, &f->progress),
					 0);
		flush();
		for (unsigned int pad = 0; pad < 256; pad += pad ? pad : 1) {
			assert_int_equal(fixture_level(f, 0), 0); /* it knows the way */
			bad = (struct s2_attr){ .pad = (uint8_t)pad };
			assert_int_equal(map(PAGE, 0x2000, bad, 0), S2_EINVAL);
			bad = good;
			bad.pad = (uint8_t)pad;
			if (pad)
				assert_int_equal(map(PAGE, 0x2000, bad, 0), S2_EINVAL);
			assert_int_equal(fixture_level(f, PAGE), -1);
		}
		fixture_down(f);
	}
}

/* Rights that the CPU of this tree cannot have are refused, although another walker's may. */
static void test_other_cpu(void **state)
{
	(void)state;
	up_with(FEATURES & ~(uint32_t)S2_CPU_XNX, SIM_REUSE_LATE);
	map_page(0, 0x1000);
	assert_int_equal(map(PAGE, 0x2000, fixture_attr(S2_R | S2_XU, S2_MEM_NORMAL), 0),
			 S2_EINVAL);
	map_page(PAGE, 0x2000);
	fixture_down(f);
}

/* Cache maintenance is done for each page that needs it. */
static void test_maintenance(void **state)
{
	static const struct {
		uint32_t features;
		unsigned int prot, type;
		uint64_t data, insn; /* pages of each, after two */
	} t[] = {
		{ 0, S2_RWX, S2_MEM_NORMAL, 2, 2 },
		{ 0, S2_RW, S2_MEM_NORMAL, 2, 0 },
		{ S2_CPU_FWB, S2_RWX, S2_MEM_NORMAL, 0, 2 },
		{ S2_CPU_FWB | S2_CPU_DIC, S2_RWX, S2_MEM_NORMAL, 0, 0 },
		{ S2_CPU_FWB | S2_CPU_DIC, S2_RWX, S2_MEM_NC, 2, 0 },
		{ 0, S2_RW, S2_MEM_DEVICE, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct s2_attr attr = fixture_attr(t[i].prot, t[i].type);

		up_with(t[i].features, SIM_REUSE_LATE);
		/* Before each of them one that needs none, if there is such a thing. */
		for (uint64_t n = 0; n < 2; n++) {
			assert_int_equal(map((2 * n + 8) * PAGE, 0x40000000 + 2 * n * PAGE,
					     fixture_attr(S2_R, S2_MEM_DEVICE), 0),
					 0);
			assert_int_equal(map((2 * n + 1) * PAGE, 0x1000 + n * PAGE, attr, 0), 0);
		}
		assert_int_equal(f->sim.sync_bytes[0], t[i].data * PAGE);
		assert_int_equal(f->sim.sync_bytes[1], t[i].insn * PAGE);
		fixture_down(f);
	}
}

/* Flags of a map, in the table where the walker is. */
static void test_flags(void **state)
{
	struct s2_attr rw = fixture_attr(S2_RW, S2_MEM_NORMAL), r = fixture_attr(S2_R, 0);

	(void)state;
	up();
	map_page(0, 0x1000);
	assert_int_equal(map(PAGE, 0x2000, r, 0), 0);
	assert_int_equal(map(2 * PAGE, 0x3000, rw, 0), 0);
	assert_int_equal(map(PAGE, 0x2000, rw, 0), S2_EEXIST);
	assert_int_equal(map(PAGE, 0x2000, rw, S2_MAP_WIDEN), 0);
	assert_int_equal(f->progress.changed, PAGE);
	assert_int_equal(map(PAGE, 0x9000, rw, S2_MAP_WIDEN), S2_EEXIST);
	assert_int_equal(map(PAGE, 0x9000, rw, S2_MAP_REPLACE), 0);
	assert_int_equal(f->progress.changed, PAGE);
	flush();
	expect_page(PAGE, 0x9000);
	assert_int_equal(f->leaf.attr.prot, S2_RW);
	/* An equal one is passed over, old or not, and stays as old as it was. */
	assert_int_equal(s2_pt_age(pt(), s2_gpa(PAGE), PAGE, S2_AGE_CLEAR, &f->walker, &f->gather,
				   &f->progress),
			 0);
	flush();
	assert_int_equal(map(PAGE, 0x9000, rw, 0), 0);
	assert_int_equal(f->progress.equal, PAGE);
	assert_int_equal(f->progress.changed, 0);
	assert_int_equal(fixture_level(f, PAGE), 0);
	assert_int_equal(f->leaf.young, 0);
	fixture_down(f);
}

/* A page that has some of the rights gets more: a permission fault. Each time, and this CPU knows.
 */
static void test_widened(void **state)
{
	static const uint32_t features[] = { FEATURES, S2_CPU_FWB }; /* the second: maintenance */
	struct s2_attr r = fixture_attr(S2_R, 0), rw = fixture_attr(S2_RW, 0),
		       rwx = fixture_attr(S2_RWX, 0);

	(void)state;
	for (int i = 0; i < 2; i++) {
		up_with(features[i], SIM_REUSE_LATE);
		for (uint64_t n = 0; n < 12; n++)
			assert_int_equal(map(n * PAGE, 0x100000 + n * PAGE, n % 4 ? r : rw, 0), 0);
		flush();
		for (uint64_t n = 0; n < 12; n++) {
			struct s2_attr attr = n < 6 ? rw : rwx;
			uint64_t gpa = n * PAGE, hpa = 0x100000 + n * PAGE;
			uint64_t equal = n < 6 && n % 4 == 0;

			assert_int_equal(map(gpa, hpa + GIB, attr, S2_MAP_WIDEN), S2_EEXIST);
			assert_int_equal(map(gpa, hpa, attr, S2_MAP_WIDEN | S2_MAP_REPLACE), 0);
			assert_int_equal(f->progress.changed, equal ? 0 : PAGE);
			assert_int_equal(f->progress.equal, equal ? PAGE : 0);
			flush();
			sim_idle_local(&f->sim, gpa, PAGE, attr.prot);
			sim_idle(&f->sim, gpa, PAGE);
			expect_page(gpa, hpa);
			assert_int_equal(f->leaf.attr.prot, attr.prot);
			/* More is there than asked for: it stays. */
			assert_int_equal(map(gpa, hpa, r, S2_MAP_WIDEN), 0);
			assert_int_equal(f->progress.equal, PAGE);
		}
		assert_int_equal(f->sim.sync_bytes[1], i ? 6 * PAGE : 0);
		assert_int_equal(map(PAGE, 0x700000, r, S2_MAP_WIDEN | S2_MAP_REPLACE), 0);
		flush();
		expect_page(PAGE, 0x700000);
		assert_int_equal(f->leaf.attr.prot, S2_R);
		fixture_down(f);
	}
}

/*
 * A walker that has just looked while another held the tree for himself must not think that it may
 * go straight to where it looked: it waits. (The other ends when he is waited for.)
 */
static uint32_t waited;

static void end_when_waited_for(void *ctx)
{
	(void)ctx;
	if (!waited++)
		s2_exclusive_end(&f->other);
}

static void test_look_is_no_way_in(void **state)
{
	(void)state;
	for (int what = 0; what < 4; what++) {
		int ret = 0;

		up();
		map_page(0, 0x1000);
		map_page(PAGE, 0x2000);
		assert_int_equal(s2_pt_protect(pt(), s2_gpa(0), PAGE, S2_W, &f->walker, &f->gather,
					       &f->progress),
				 0);
		flush();
		f->sim.port.relax = end_when_waited_for;
		waited = 0;
		assert_int_equal(s2_exclusive_begin(&f->other), 1);
		assert_int_equal(fixture_level(f, PAGE), 0); /* looks, and does not wait */
		assert_int_equal(waited, 0);
		if (what == 0)
			ret = s2_pt_protect(pt(), s2_gpa(PAGE), PAGE, S2_W, &f->walker, &f->gather,
					    &f->progress);
		else if (what == 1)
			ret = map(2 * PAGE, 0x3000, fixture_attr(S2_RWX, S2_MEM_NORMAL), 0);
		else if (what == 2)
			ret = s2_pt_unmap(pt(), s2_gpa(PAGE), PAGE, &f->walker, &f->gather,
					  &f->progress);
		else
			ret = s2_pt_split(pt(), s2_gpa(0), BLOCK, 0, &f->walker, &f->gather,
					  &f->progress);
		assert_int_equal(ret, 0);
		assert_int_not_equal(waited, 0);
		fixture_down(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_goes),
		cmocka_unit_test(test_table_comes_again),
		cmocka_unit_test(test_table_waits),
		cmocka_unit_test(test_holder_remembers),
		cmocka_unit_test(test_taken_away),
		cmocka_unit_test(test_block_instead),
		cmocka_unit_test(test_other_attributes),
		cmocka_unit_test(test_invalid_attributes),
		cmocka_unit_test(test_invalid_from_the_start),
		cmocka_unit_test(test_other_cpu),
		cmocka_unit_test(test_maintenance),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_widened),
		cmocka_unit_test(test_look_is_no_way_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
