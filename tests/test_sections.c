// SPDX-License-Identifier: BSD-2-Clause
/*
 * Who holds the tree for himself: the others wait for him and he for them, save who only looks, and
 * nobody for ever.
 *
 * What another thread does at the worst moment is done here by a second walker, by the simulated
 * hardware, or from inside the port, whose functions are the only other places where the engine can
 * be interrupted.
 */
#include <string.h>

#include "../src/pgtable/internal.h"
#include "fixture.h"

#define FAST (S2_CPU_FWB | S2_CPU_DIC | S2_CPU_TLB_RANGE | S2_CPU_TLB_LEVEL)

static struct fixture fix;
static struct fixture *const f = &fix;
static struct s2_port real; /* the port's own functions, where a test puts others in between */

static struct s2_pt *pt(void)
{
	return &f->vm.pt;
}

static void up_with(uint32_t features, int barrier)
{
	const struct sim_config host = { .barrier = (uint8_t)barrier };
	struct s2_vm_config config = fixture_config();

	config.pt.cpu.features = features;
	fixture_up_sim(f, &config, &host);
	real = f->sim.port;
}

static void map_pages(uint64_t gpa, uint64_t size)
{
	assert_int_equal(fixture_map(f, gpa, 8 * GIB + gpa, size, S2_RWX, S2_MAP_PAGES), 0);
}

static void unmap_now(uint64_t gpa, uint64_t size)
{
	assert_int_equal(s2_pt_unmap(pt(), s2_gpa(gpa), size, &f->walker, &f->gather, &f->progress),
			 0);
	s2_gather_flush(&f->gather, &f->walker);
}

static int held(void)
{
	return (int)(s2_load_seq(&pt()->epoch) & S2_EPOCH_EXCLUSIVE);
}

static void protect(uint64_t gpa, uint64_t size, struct s2_walker *walker, struct s2_gather *g,
		    struct s2_progress *progress)
{
	int ret = s2_pt_protect(pt(), s2_gpa(gpa), size, S2_W, walker, g, progress);

	s2_gather_flush(g, walker);
	if (ret)
		sim_fail(&f->sim, "protect: %s", s2_strerror(ret));
}

/* From this size on others are kept out, a part at a time. */
static void test_exclusive_parts(void **state)
{
	static const struct {
		uint64_t gpa, pages, parts;
	} t[] = {
		{ 0, 255, 0 },  { 0, 256, 1 },   { 5, 8187, 1 },
		{ 5, 8188, 2 }, { 0, 16384, 2 }, { 8190, 300, 2 },
	};
	struct s2_census census;

	(void)state;
	up_with(FAST, 1);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint64_t gpa = t[i].gpa * PAGE, size = t[i].pages * PAGE, before;

		map_pages(0, 32 * BLOCK);
		before = f->sim.barriers;
		protect(gpa, size, &f->walker, &f->gather, &f->progress);
		assert_int_equal(f->progress.changed, size);
		assert_int_equal(f->sim.barriers - before, t[i].parts);
		assert_int_equal(held(), 0);
		sim_idle(&f->sim, 0, 32 * BLOCK);
		unmap_now(0, GIB);
	}
	assert_int_equal(s2_pt_audit(pt(), &f->walker, &census, NULL), 0);
	fixture_down(f);
}

/* Leaves larger than a part are changed as they are. */
static void test_parts_keep_blocks(void **state)
{
	struct s2_vm_config config = fixture_config();

	(void)state;
	config.pt.block_level = 2;
	config.pt.cpu.features = FAST;
	fixture_up(f, &config);
	assert_int_equal(fixture_map(f, 0, 8 * GIB, 2 * GIB, S2_RWX, 0), 0);
	protect(0, 2 * GIB, &f->walker, &f->gather, &f->progress);
	assert_int_equal(f->progress.changed, 2 * GIB);
	assert_int_equal(fixture_level(f, 0), 2);
	assert_int_equal(fixture_level(f, GIB), 2);
	assert_int_equal(f->leaf.attr.prot, S2_RX);
	fixture_down(f);
}

static uint32_t left;

static void leave_when_waited_for(void *ctx)
{
	(void)ctx;
	if (!left++)
		s2_leave(&f->other);
}

/* Who is inside a section is waited for, also when he only looks. */
static void test_exclusive_waits(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		up_with(FAST, i / 2);
		map_pages(0, BLOCK);
		left = 0;
		f->sim.port.relax = leave_when_waited_for;
		if (i % 2)
			s2_enter(&f->other);
		else
			(void)s2_enter_looking(&f->other);
		protect(0, BLOCK, &f->walker, &f->gather, &f->progress);
		assert_int_equal(left, 1);
		assert_int_equal(f->progress.changed, BLOCK);
		fixture_down(f);
	}
}

static void just_count(void *ctx)
{
	(void)ctx;
	if (++left == 1u << 20)
		sim_fail(&f->sim, "waits for ever for who stays inside");
}

/* Not for ever: who stays inside keeps nobody from anything. He is left alone, and so are others.
 */
static void test_exclusive_gives_up(void **state)
{
	(void)state;
	for (int barrier = 0; barrier < 2; barrier++) {
		up_with(FAST, barrier);
		map_pages(0, 32 * BLOCK);
		left = 0;
		f->sim.port.relax = just_count;
		s2_enter(&f->other);
		protect(0, 32 * BLOCK, &f->walker, &f->gather, &f->progress);
		assert_int_equal(f->progress.changed, 32 * BLOCK);
		assert_int_not_equal(left, 0);
		assert_int_equal(held(), 0);
		s2_leave(&f->other);
		sim_idle(&f->sim, 0, 32 * BLOCK);
		fixture_down(f);
	}
}

/* Memory comes and goes while nobody is kept out. */
static void *alloc_while_free(void *ctx, unsigned int order)
{
	if (held())
		sim_fail(&f->sim, "memory asked for while the tree is held");
	return real.table_alloc(ctx, order);
}

static void free_while_free(void *ctx, void *table, unsigned int order)
{
	if (held())
		sim_fail(&f->sim, "memory given back while the tree is held");
	real.table_free(ctx, table, order);
}

static void test_exclusive_memory(void **state)
{
	(void)state;
	for (int barrier = 0; barrier < 2; barrier++) {
		up_with(FAST, barrier);
		f->sim.port.table_alloc = alloc_while_free;
		f->sim.port.table_free = free_while_free;
		assert_int_equal(fixture_map(f, 0, 8 * GIB, 32 * BLOCK, S2_RWX, 0), 0);
		while (f->walker.ntables) /* its stock is empty */
			s2_table_free(pt(), s2_walker_take(&f->walker), 0);
		protect(PAGE, 31 * BLOCK, &f->walker, &f->gather, &f->progress);
		assert_int_equal(f->progress.changed, 31 * BLOCK);
		assert_int_equal(fixture_level(f, 0), 0);
		assert_int_equal(f->leaf.attr.prot, S2_RWX);
		assert_int_equal(fixture_level(f, PAGE), 0);
		assert_int_equal(f->leaf.attr.prot, S2_RX);
		assert_int_equal(fixture_level(f, BLOCK), 1);
		assert_int_equal(f->leaf.attr.prot, S2_RX);
		fixture_down(f);
	}
}

/* What the second walker does while the first protects 4 tables of pages. */
struct visit {
	int what;
	int held[3]; /* when it came, when it had looked, when it was done */
	int looked, ret;
	struct s2_gather gather;
	struct s2_progress progress;
	struct s2_exit exit;
};

enum {
	VISIT_MAP,
	VISIT_UNMAP,
	VISIT_AGE, /* alone, too */
	VISIT_FAULT,
	VISIT_PAGE, /* of those being protected: the same */
	VISITS
};

static void visit(void *ctx, uint64_t gpa)
{
	struct s2_fault fault = { .gpa = s2_gpa(5 * BLOCK + PAGE), .access = S2_ACCESS_WRITE };
	struct visit *v = ctx;
	struct s2_leaf leaf;

	s2_gather_init(&v->gather, pt());
	v->held[0] = held();
	v->looked = s2_pt_lookup(pt(), s2_gpa(gpa), &f->other, &leaf);
	v->held[1] = held();
	switch (v->what) {
	case VISIT_MAP:
		v->ret = s2_pt_map(pt(), s2_gpa(5 * BLOCK), s2_hpa(20 * GIB), PAGE,
				   fixture_attr(S2_RWX, S2_MEM_NORMAL), 0, &f->other, &v->gather,
				   &v->progress);
		break;
	case VISIT_UNMAP:
		v->ret = s2_pt_unmap(pt(), s2_gpa(4 * BLOCK), BLOCK, &f->other, &v->gather,
				     &v->progress);
		break;
	case VISIT_AGE:
		v->ret = s2_pt_age(pt(), s2_gpa(0), 4 * BLOCK, S2_AGE_CLEAR, &f->other, &v->gather,
				   &v->progress);
		break;
	case VISIT_FAULT:
		v->ret = s2_fault(&f->vm, &f->other, &fault, &v->exit);
		break;
	default:
		v->ret = s2_pt_protect(pt(), s2_gpa(gpa), PAGE, S2_W, &f->other, &v->gather,
				       &v->progress);
		break;
	}
	v->held[2] = held();
	s2_gather_flush(&v->gather, &f->other);
}

static void check_visit(const struct visit *v)
{
	struct s2_leaf leaf;

	assert_int_equal(v->ret, 0);
	assert_int_equal(v->held[0], 1);
	assert_int_equal(v->looked, 0);
	assert_int_equal(v->held[1], 1);
	assert_int_equal(v->held[2], 0);
	for (uint64_t gpa = 0; gpa < 4 * BLOCK; gpa += PAGE) {
		assert_int_equal(s2_pt_lookup(pt(), s2_gpa(gpa), &f->walker, &leaf), 0);
		assert_int_equal(leaf.attr.prot, S2_RX);
		assert_int_equal(leaf.young, v->what != VISIT_AGE);
	}
	assert_int_equal(fixture_level(f, 4 * BLOCK), v->what == VISIT_UNMAP ? -1 : 0);
	assert_int_equal(fixture_level(f, 5 * BLOCK), v->what == VISIT_MAP ? 0 : -1);
	assert_int_equal(fixture_level(f, 5 * BLOCK + PAGE), v->what == VISIT_FAULT ? 0 : -1);
	if (v->what == VISIT_AGE)
		assert_int_equal(v->progress.changed, 4 * BLOCK);
	if (v->what == VISIT_PAGE)
		assert_int_equal(v->progress.changed, 0);
}

/* The others wait, save to look; then each does what it came for. */
static void test_exclusive_visits(void **state)
{
	struct s2_memslot slot;
	struct visit v;

	(void)state;
	for (int i = 0; i < 2 * VISITS; i++) {
		struct sim_second_config second = {
			.fn = visit, .ctx = &v, .walker = &f->other, .odds = 65535
		};

		memset(&v, 0, sizeof(v));
		v.what = i / 2;
		up_with(FAST, i % 2);
		assert_int_equal(fixture_slot(f, &slot, 5 * BLOCK, BLOCK, sim_hva(0) + PAGE, 0), 0);
		map_pages(0, 4 * BLOCK + 9 * PAGE);
		/* Both know the way and what to do. */
		protect(0, PAGE, &f->walker, &f->gather, &f->progress);
		protect(PAGE, PAGE, &f->other, &f->gather, &f->progress);
		sim_second_arm(&f->sim, &second);
		assert_int_equal(s2_pt_protect(pt(), s2_gpa(0), 4 * BLOCK, S2_W, &f->walker,
					       &f->gather, &f->progress),
				 0);
		assert_int_equal(sim_second_finish(&f->sim), 1);
		s2_gather_flush(&f->gather, &f->walker);
		assert_int_equal(f->progress.changed, 4 * BLOCK - 2 * PAGE);
		check_visit(&v);
		fixture_down(f);
	}
}

static uint64_t young(uint64_t size)
{
	struct sim_leaf leaf;
	uint64_t n = 0;

	for (uint64_t gpa = 0; gpa < size; gpa += PAGE) {
		sim_translate(&f->sim, gpa, &leaf);
		n += leaf.young;
	}
	return n;
}

/* Hardware sets access flags amid it all: none is lost, unless it was age that was revised. */
static void test_hardware_age(void **state)
{
	const uint64_t size = 4 * BLOCK;

	(void)state;
	up_with(FAST | S2_CPU_HA, 0);
	map_pages(0, size);
	for (int round = 0; round < 8; round++) {
		uint64_t before, updates;
		int ret;

		assert_int_equal(s2_pt_age(pt(), s2_gpa(0), size / (1 + (uint64_t)round / 2 % 2),
					   S2_AGE_CLEAR, &f->walker, &f->gather, &f->progress),
				 0);
		s2_gather_flush(&f->gather, &f->walker);
		before = young(size);
		updates = f->sim.af_updates;
		if (round % 2)
			ret = s2_pt_relax(pt(), s2_gpa(0), size, S2_W, &f->walker, &f->gather,
					  &f->progress);
		else
			ret = s2_pt_protect(pt(), s2_gpa(0), size, S2_W, &f->walker, &f->gather,
					    &f->progress);
		assert_int_equal(ret, 0);
		assert_int_equal(f->progress.changed, size);
		updates = f->sim.af_updates - updates;
		assert_int_not_equal(updates, 0);
		assert_int_equal(young(size), before + updates);
		s2_gather_flush(&f->gather, &f->walker);
		sim_idle(&f->sim, 0, size);
	}
	fixture_down(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exclusive_parts),  cmocka_unit_test(test_parts_keep_blocks),
		cmocka_unit_test(test_exclusive_waits),  cmocka_unit_test(test_exclusive_gives_up),
		cmocka_unit_test(test_exclusive_memory), cmocka_unit_test(test_exclusive_visits),
		cmocka_unit_test(test_hardware_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
