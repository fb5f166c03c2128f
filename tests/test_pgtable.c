// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of s2_pt_*: each error of each function, and the cases that a random test meets too
 * seldom or cannot judge (which invalidations were issued, that nothing changed after an error).
 */
#include <string.h>

#include "fixture.h"

static struct fixture fix;
static struct fixture *const f = &fix;

static struct s2_pt *pt(void)
{
	return &f->vm.pt;
}

static void up(void)
{
	struct s2_vm_config config = fixture_config();

	fixture_up(f, &config);
}

static int unmap(uint64_t gpa, uint64_t size)
{
	return s2_pt_unmap(pt(), s2_gpa(gpa), size, &f->walker, &f->gather, &f->progress);
}

static int protect(uint64_t gpa, uint64_t size, unsigned int prot)
{
	return s2_pt_protect(pt(), s2_gpa(gpa), size, prot, &f->walker, &f->gather, &f->progress);
}

static int relax(uint64_t gpa, uint64_t size, unsigned int prot)
{
	return s2_pt_relax(pt(), s2_gpa(gpa), size, prot, &f->walker, &f->gather, &f->progress);
}

static int age(uint64_t gpa, uint64_t size, int how)
{
	return s2_pt_age(pt(), s2_gpa(gpa), size, (enum s2_age)how, &f->walker, &f->gather,
			 &f->progress);
}

static int split(uint64_t gpa, uint64_t size, unsigned int level)
{
	return s2_pt_split(pt(), s2_gpa(gpa), size, level, &f->walker, &f->gather, &f->progress);
}

static void test_init_errors(void **state)
{
	static const struct {
		uint8_t format, ipa, level, pa, bbm;
		uint32_t quota;
		int error;
	} t[] = {
		{ S2_FORMATS, 40, 1, 48, 0, 0, S2_EINVAL },
		{ 0, 31, 1, 48, 0, 0, S2_EINVAL },
		{ 0, 49, 1, 48, 0, 0, S2_EINVAL },
		{ 0, 0, 1, 48, 0, 0, S2_EINVAL },
		{ 0, 40, 5, 48, 0, 0, S2_EINVAL },
		{ 0, 40, 255, 48, 0, 0, S2_EINVAL },
		{ 0, 40, 1, 39, 0, 0, S2_EINVAL },
		{ 0, 40, 1, 53, 0, 0, S2_EINVAL },
		{ 0, 40, 1, 48, 3, 0, S2_EINVAL },
		{ 0, 40, 1, 48, 0, 1, S2_EQUOTA }, /* 40 bits: a root of two pages */
		{ 0, 40, 1, 48, 0, 2, 0 },
		{ 0, 48, 2, 48, 2, 1, 0 },
	};
	struct sim_config config = { .cpu.pa_bits = 48 };

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct s2_pt_config c = { .format = t[i].format,
					  .ipa_bits = t[i].ipa,
					  .block_level = t[i].level,
					  .table_quota = t[i].quota,
					  .cpu = { .pa_bits = t[i].pa, .bbm = t[i].bbm } };

		sim_init(&f->sim, &config);
		assert_int_equal(s2_pt_init(pt(), &c, &f->sim.port), t[i].error);
		s2_pt_fini(pt());
		assert_int_equal(f->sim.arena.outstanding, 0);
		sim_fini(&f->sim);
	}
}

static void test_init_version_and_memory(void **state)
{
	struct sim_config config = { .cpu.pa_bits = 48 };
	struct s2_pt_config c = fixture_config().pt;

	(void)state;
	sim_init(&f->sim, &config);
	f->sim.port.version = S2_PORT_VERSION + 1;
	assert_int_equal(s2_pt_init(pt(), &c, &f->sim.port), S2_EVERSION);
	s2_pt_fini(pt());
	f->sim.port.version = S2_PORT_VERSION;
	f->sim.arena.fail_at = 1;
	assert_int_equal(s2_pt_init(pt(), &c, &f->sim.port), S2_ENOMEM);
	s2_pt_fini(pt());
	sim_fini(&f->sim);
}

/* Every size of address space has the root that the manual says, and its ends can be mapped. */
static void test_roots(void **state)
{
	static const struct {
		uint8_t ipa, level, order;
	} t[] = { { 32, 1, 2 }, { 33, 1, 3 }, { 34, 1, 4 }, { 35, 2, 0 },
		  { 36, 2, 0 }, { 39, 2, 0 }, { 40, 2, 1 }, { 42, 2, 3 },
		  { 43, 2, 4 }, { 44, 3, 0 }, { 48, 3, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct s2_vm_config config = fixture_config();
		uint64_t last = (1ull << t[i].ipa) - PAGE;

		config.pt.ipa_bits = t[i].ipa;
		fixture_up(f, &config);
		assert_int_equal(f->sim.arena.outstanding, 1u << t[i].order);
		assert_int_equal(f->sim.regime.top, t[i].level);
		assert_int_equal(fixture_map(f, last, 0x5000, PAGE, S2_RW, 0), 0);
		assert_int_equal(fixture_map(f, 0, 0x9000, PAGE, S2_RW, 0), 0);
		assert_int_equal(fixture_level(f, last), 0);
		assert_int_equal(f->leaf.hpa.hpa, 0x5000);
		assert_int_equal(fixture_level(f, 0), 0);
		fixture_down(f);
	}
}

/* The refusals that all range operations share; nothing may change. */
static void test_range_errors(void **state)
{
	static const struct {
		uint64_t gpa, size;
		int error;
	} t[] = {
		{ 1, PAGE, S2_EALIGN },
		{ PAGE, PAGE + 8, S2_EALIGN },
		{ PAGE, 0, S2_ERANGE },
		{ 1ull << 40, PAGE, S2_ERANGE },
		{ (1ull << 40) - PAGE, 2 * PAGE, S2_ERANGE },
		{ -PAGE, 2 * PAGE, S2_ERANGE },
		{ PAGE, -PAGE, S2_ERANGE },
		{ 0, (1ull << 40) + PAGE, S2_ERANGE },
	};

	(void)state;
	up();
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint64_t gpa = t[i].gpa, size = t[i].size;
		int error = t[i].error;

		assert_int_equal(fixture_map(f, gpa, 0, size, S2_RW, 0), error);
		assert_int_equal(f->progress.done, 0);
		assert_int_equal(unmap(gpa, size), error);
		assert_int_equal(protect(gpa, size, S2_W), error);
		assert_int_equal(relax(gpa, size, S2_W), error);
		assert_int_equal(age(gpa, size, S2_AGE_CLEAR), error);
		assert_int_equal(split(gpa, size, 0), error);
		assert_int_equal(s2_vm_invalidate_begin(&f->vm, s2_gpa(gpa), size, S2_INVAL_UNMAP,
							&f->walker),
				 error);
		assert_int_equal(s2_vm_prefault(&f->vm, s2_gpa(gpa), size, S2_ACCESS_READ,
						&f->walker, &f->progress),
				 error);
	}
	assert_int_equal(f->sim.changes, 0);
	fixture_down(f);
}

static void test_map_errors(void **state)
{
	struct s2_attr bad[] = { { .prot = S2_RW, .type = S2_MEM_TYPES },
				 { .prot = 16 | S2_R },
				 { .prot = S2_W },
				 { .prot = 0 },
				 { .prot = S2_RW, .sw = 16 },
				 { .prot = S2_RX, .type = S2_MEM_DEVICE },
				 { .prot = S2_R | S2_XP }, /* without FEAT_XNX */
				 { .prot = S2_R | S2_XU } };

	(void)state;
	up();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(s2_pt_map(pt(), s2_gpa(0), s2_hpa(0), PAGE, bad[i], 0, &f->walker,
					   &f->gather, &f->progress),
				 S2_EINVAL);
	assert_int_equal(fixture_map(f, 0, 0, PAGE, S2_RW, 8), S2_EINVAL);
	assert_int_equal(fixture_map(f, 0, 1, PAGE, S2_RW, 0), S2_EALIGN);
	assert_int_equal(fixture_map(f, 0, 1ull << 48, PAGE, S2_RW, 0), S2_ERANGE);
	assert_int_equal(fixture_map(f, 0, (1ull << 48) - PAGE, 2 * PAGE, S2_RW, 0), S2_ERANGE);
	assert_int_equal(fixture_map(f, 0, -PAGE, 2 * PAGE, S2_RW, 0), S2_ERANGE);
	assert_int_equal(f->sim.changes, 0);
	fixture_down(f);
}

static void test_other_errors(void **state)
{
	(void)state;
	up();
	assert_int_equal(fixture_map(f, 0, 0, BLOCK, S2_RW, 0), 0);
	assert_int_equal(protect(0, PAGE, 0), S2_EINVAL);
	assert_int_equal(protect(0, PAGE, S2_R), S2_EINVAL);
	assert_int_equal(protect(0, PAGE, 16), S2_EINVAL);
	assert_int_equal(relax(0, PAGE, 0), S2_EINVAL);
	assert_int_equal(relax(0, PAGE, 16), S2_EINVAL);
	assert_int_equal(relax(0, PAGE, S2_XU), S2_EINVAL);
	assert_int_equal(age(0, PAGE, 3), S2_EINVAL);
	assert_int_equal(age(0, PAGE, -1), S2_EINVAL);
	assert_int_equal(split(0, PAGE, 9), S2_EINVAL);
	assert_int_equal(fixture_level(f, 0), 1);
	assert_int_equal(s2_pt_lookup(pt(), s2_gpa(1ull << 40), &f->walker, &f->leaf), S2_ERANGE);
	assert_int_equal(s2_pt_next(pt(), s2_gpa(1ull << 40), &f->walker, &f->leaf), S2_ERANGE);
	assert_int_equal(s2_pt_next(pt(), s2_gpa(BLOCK), &f->walker, &f->leaf), S2_ENOENT);
	assert_int_equal(s2_pt_next(pt(), s2_gpa(BLOCK - 1), &f->walker, &f->leaf), 0);
	assert_int_equal(f->leaf.gpa.gpa, 0);
	fixture_down(f);
}

/* A right that the type cannot have stops relax at the leaf, what came before is done. */
static void test_relax_device(void **state)
{
	(void)state;
	up();
	assert_int_equal(fixture_map(f, 0, 0, 2 * PAGE, S2_R, 0), 0);
	assert_int_equal(s2_pt_map(pt(), s2_gpa(2 * PAGE), s2_hpa(2 * PAGE), PAGE,
				   fixture_attr(S2_RW, S2_MEM_DEVICE), 0, &f->walker, &f->gather,
				   &f->progress),
			 0);
	assert_int_equal(relax(0, 4 * PAGE, S2_X), S2_EINVAL);
	assert_int_equal(f->progress.done, 2 * PAGE);
	assert_int_equal(fixture_level(f, PAGE), 0);
	assert_int_equal(f->leaf.attr.prot, S2_RX);
	fixture_down(f);
}

static void test_exists(void **state)
{
	(void)state;
	up();
	assert_int_equal(fixture_map(f, 5 * PAGE, 0x100000, PAGE, S2_RW, 0), 0);
	assert_int_equal(fixture_map(f, 0, 0, 8 * PAGE, S2_RW, 0), S2_EEXIST);
	assert_int_equal(f->progress.done, 5 * PAGE);
	assert_int_equal(f->progress.changed, 5 * PAGE);
	assert_int_equal(fixture_level(f, 6 * PAGE), -1);
	/* Equal is passed over, however often. */
	assert_int_equal(fixture_map(f, 0, 0, 5 * PAGE, S2_RW, 0), 0);
	assert_int_equal(f->progress.equal, 5 * PAGE);
	assert_int_equal(f->progress.changed, 0);
	/* Other rights are a difference, unless they are to be united. */
	assert_int_equal(fixture_map(f, 0, 0, PAGE, S2_R, 0), S2_EEXIST);
	assert_int_equal(fixture_map(f, 0, 0, PAGE, S2_RX, S2_MAP_WIDEN), 0);
	assert_int_equal(fixture_level(f, 0), 0);
	assert_int_equal(f->leaf.attr.prot, S2_RWX);
	assert_int_equal(fixture_map(f, 0, 0x200000, PAGE, S2_RX, S2_MAP_WIDEN), S2_EEXIST);
	assert_int_equal(fixture_map(f, 0, 0x200000, PAGE, S2_RX, S2_MAP_REPLACE), 0);
	assert_int_equal(fixture_level(f, 0), 0);
	assert_int_equal(f->leaf.attr.prot, S2_RX);
	assert_int_equal(f->leaf.hpa.hpa, 0x200000);
	fixture_down(f);
}

static void test_block_choice(void **state)
{
	struct s2_vm_config config = fixture_config();

	(void)state;
	config.pt.block_level = 2;
	fixture_up(f, &config);
	assert_int_equal(fixture_map(f, GIB - BLOCK - PAGE, 3 * GIB - BLOCK - PAGE,
				     GIB + 2 * BLOCK + 2 * PAGE, S2_RW, 0),
			 0);
	assert_int_equal(fixture_level(f, GIB - BLOCK - PAGE), 0);
	assert_int_equal(fixture_level(f, GIB - BLOCK), 1);
	assert_int_equal(fixture_level(f, GIB + 12345), 2);
	assert_int_equal(fixture_level(f, 2 * GIB), 1);
	assert_int_equal(fixture_level(f, 2 * GIB + BLOCK), 0);
	assert_int_equal(fixture_map(f, 8 * GIB, 3 * GIB + BLOCK, GIB, S2_RW, 0), 0);
	assert_int_equal(fixture_level(f, 8 * GIB), 1);
	assert_int_equal(fixture_map(f, 9 * GIB, 5 * GIB + PAGE, BLOCK, S2_RW, 0), 0);
	assert_int_equal(fixture_level(f, 9 * GIB), 0);
	assert_int_equal(fixture_map(f, 10 * GIB, 6 * GIB, GIB, S2_RW, S2_MAP_PAGES), 0);
	assert_int_equal(fixture_level(f, 10 * GIB + 77 * BLOCK), 0);
	/* A table in the way is respected, unless it is to be replaced. */
	assert_int_equal(fixture_map(f, 10 * GIB, 6 * GIB, GIB, S2_RW, 0), 0);
	assert_int_equal(f->progress.equal, GIB);
	assert_int_equal(fixture_map(f, 10 * GIB, 6 * GIB, GIB, S2_RW, S2_MAP_REPLACE), 0);
	assert_int_equal(fixture_level(f, 10 * GIB), 2);
	fixture_down(f);
}

/* One page of a gigabyte: two splits, everything else stays as it was. */
static void test_split_by_unmap(void **state)
{
	static const uint8_t bbm[] = { 0, 1, 2 };

	(void)state;
	for (size_t i = 0; i < sizeof(bbm); i++) {
		struct s2_vm_config config = fixture_config();

		config.pt.block_level = 2;
		config.pt.cpu.bbm = bbm[i];
		fixture_up(f, &config);
		assert_int_equal(fixture_map(f, GIB, 4 * GIB, GIB, S2_RW, 0), 0);
		assert_int_equal(unmap(GIB + 5 * PAGE, PAGE), 0);
		assert_int_equal(f->progress.changed, PAGE);
		s2_gather_flush(&f->gather, &f->walker);
		assert_int_equal(fixture_level(f, GIB + 4 * PAGE), 0);
		assert_int_equal(f->leaf.hpa.hpa, 4 * GIB + 4 * PAGE);
		assert_int_equal(fixture_level(f, GIB + 5 * PAGE), -1);
		assert_int_equal(f->leaf.size, PAGE);
		assert_int_equal(fixture_level(f, GIB + BLOCK), 1);
		assert_int_equal(f->leaf.hpa.hpa, 4 * GIB + BLOCK);
		fixture_down(f);
	}
}

/* Allocation number n fails, for each n: resumable, and nothing is lost. */
static void test_memory_runs_out(void **state)
{
	(void)state;
	for (uint64_t n = 0; n < 12; n++) {
		int ret;

		up();
		f->sim.arena.fail_at = f->sim.arena.allocs + 1 + n;
		ret = fixture_map(f, GIB - 3 * BLOCK, PAGE, 6 * BLOCK, S2_RW, 0);
		if (ret) {
			uint64_t done = f->progress.done;

			assert_int_equal(ret, S2_ENOMEM);
			assert_int_equal(fixture_level(f, GIB - 3 * BLOCK + done), -1);
			if (done)
				assert_int_equal(fixture_level(f, GIB - 3 * BLOCK + done - PAGE),
						 0);
			assert_int_equal(fixture_map(f, GIB - 3 * BLOCK + done, PAGE + done,
						     6 * BLOCK - done, S2_RW, 0),
					 0);
		}
		assert_int_equal(fixture_level(f, GIB + 3 * BLOCK - 1), 0);
		assert_int_equal(f->leaf.hpa.hpa, 6 * BLOCK);
		fixture_down(f);
	}
}

static void test_quota(void **state)
{
	struct s2_vm_config config = fixture_config();

	(void)state;
	config.pt.table_quota = 2 + 2; /* root, and one table of each level below */
	fixture_up(f, &config);
	assert_int_equal(fixture_map(f, 0, 0, PAGE, S2_RW, 0), 0);
	assert_int_equal(fixture_map(f, GIB, 0, PAGE, S2_RW, 0), S2_EQUOTA);
	assert_int_equal(f->progress.done, 0);
	assert_int_equal(f->sim.arena.outstanding, 4);
	assert_int_equal(fixture_map(f, PAGE, PAGE, PAGE, S2_RW, 0), 0);
	/* What is freed may be used again. */
	assert_int_equal(unmap(0, GIB), 0);
	s2_gather_flush(&f->gather, &f->walker);
	assert_int_equal(fixture_map(f, GIB, 0, PAGE, S2_RW, 0), 0);
	fixture_down(f);
}

/* Protect: every CPU; relax: this one; both leave other rights and the output alone. */
static void test_rights(void **state)
{
	uint64_t local;

	(void)state;
	up();
	assert_int_equal(fixture_map(f, 0, 0, BLOCK, S2_RWX, 0), 0);
	assert_int_equal(protect(0, BLOCK, S2_W), 0);
	assert_int_equal(f->progress.changed, BLOCK);
	s2_gather_flush(&f->gather, &f->walker);
	sim_idle(&f->sim, 0, BLOCK);
	assert_int_equal(fixture_level(f, 0), 1);
	assert_int_equal(f->leaf.attr.prot, S2_RX);
	assert_int_equal(protect(0, BLOCK, S2_W), 0);
	assert_int_equal(f->progress.changed, 0);
	local = f->sim.tlb_local;
	assert_int_equal(relax(PAGE, PAGE, S2_W), 0);
	assert_int_equal(f->progress.changed, PAGE);
	s2_gather_flush(&f->gather, &f->walker);
	assert_int_equal(f->sim.tlb_local, local + 1);
	assert_int_equal(fixture_level(f, 0), 1);
	assert_int_equal(f->leaf.attr.prot, S2_RWX);
	/* Partly: split first. */
	assert_int_equal(protect(PAGE, PAGE, S2_W | S2_X), 0);
	s2_gather_flush(&f->gather, &f->walker);
	assert_int_equal(fixture_level(f, PAGE), 0);
	assert_int_equal(f->leaf.attr.prot, S2_R);
	assert_int_equal(fixture_level(f, 0), 0);
	assert_int_equal(f->leaf.attr.prot, S2_RWX);
	fixture_down(f);
}

static void test_age(void **state)
{
	(void)state;
	up();
	assert_int_equal(fixture_map(f, BLOCK, BLOCK, BLOCK + 3 * PAGE, S2_RW, 0), 0);
	assert_int_equal(age(BLOCK, 2 * BLOCK, S2_AGE_TEST), 0);
	assert_int_equal(f->progress.changed, BLOCK + 3 * PAGE);
	assert_int_equal(age(2 * BLOCK + PAGE, PAGE, S2_AGE_CLEAR), 0);
	assert_int_equal(f->progress.changed, PAGE);
	assert_int_equal(age(BLOCK + PAGE, PAGE, S2_AGE_CLEAR), 0);
	assert_int_equal(f->progress.changed, PAGE);
	s2_gather_flush(&f->gather, &f->walker);
	sim_idle(&f->sim, 0, 4 * BLOCK);
	assert_int_equal(fixture_level(f, BLOCK), 1);
	assert_int_equal(f->leaf.young, 0);
	assert_int_equal(age(BLOCK, 2 * BLOCK, S2_AGE_TEST), 0);
	assert_int_equal(f->progress.changed, 2 * PAGE);
	assert_int_equal(age(BLOCK, 2 * BLOCK, S2_AGE_SET), 0);
	assert_int_equal(f->progress.changed, BLOCK + PAGE);
	assert_int_equal(age(BLOCK, 2 * BLOCK, S2_AGE_TEST), 0);
	assert_int_equal(f->progress.changed, BLOCK + 3 * PAGE);
	fixture_down(f);
}

/* A split keeps output, rights, type, age and software bits. */
static void test_split_keeps(void **state)
{
	struct s2_attr attr = { .prot = S2_R, .type = S2_MEM_NC, .sw = 11 };

	(void)state;
	up();
	assert_int_equal(s2_pt_map(pt(), s2_gpa(BLOCK), s2_hpa(3 * BLOCK), BLOCK, attr, 0,
				   &f->walker, &f->gather, &f->progress),
			 0);
	assert_int_equal(age(BLOCK, BLOCK, S2_AGE_CLEAR), 0);
	s2_gather_flush(&f->gather, &f->walker);
	assert_int_equal(split(BLOCK + 7 * PAGE, PAGE, 0), 0);
	s2_gather_flush(&f->gather, &f->walker);
	for (uint64_t off = 0; off < BLOCK; off += PAGE) {
		assert_int_equal(fixture_level(f, BLOCK + off), 0);
		assert_int_equal(f->leaf.hpa.hpa, 3 * BLOCK + off);
		assert_memory_equal(&f->leaf.attr, &attr, sizeof(attr));
		assert_int_equal(f->leaf.young, 0);
	}
	fixture_down(f);
}

static void test_stats_and_sizes(void **state)
{
	struct s2_stats stats;

	(void)state;
	up();
	assert_int_equal(fixture_map(f, 0, 0, BLOCK + PAGE, S2_RW, 0), 0);
	assert_int_equal(split(0, BLOCK, 0), 0);
	assert_int_equal(unmap(0, 2 * BLOCK), 0);
	s2_gather_flush(&f->gather, &f->walker);
	s2_pt_stats(pt(), &stats);
	assert_int_equal(stats.leaves_made[1], 1);
	assert_int_equal(stats.leaves_made[0], 1 + 512);
	assert_int_equal(stats.leaves_removed[1], 1);
	assert_int_equal(stats.leaves_removed[0], 513);
	assert_int_equal(stats.tables_linked, stats.tables_unlinked);
	assert_int_equal(stats.breaks, 1);
	for (int kind = 0; kind < S2_TLB_KINDS; kind++)
		assert_int_equal(stats.tlb[kind], f->sim.tlb_ops[kind]);
	assert_int_equal(stats.cache_sync_bytes, BLOCK + PAGE);
	assert_int_equal(s2_pt_level_size(pt(), 0), PAGE);
	assert_int_equal(s2_pt_level_size(pt(), 1), BLOCK);
	assert_int_equal(s2_pt_level_size(pt(), 2), GIB);
	assert_int_equal(s2_pt_level_size(pt(), 9), 0);
	fixture_down(f);
}

/* The audit finds what does not belong there. */
static void test_audit_finds(void **state)
{
	struct s2_census census;
	struct s2c_leaf leaf;
	uint64_t *entry, was;
	s2_gpa_t where;

	(void)state;
	up();
	assert_int_equal(fixture_map(f, 3 * PAGE, 0x3000, PAGE, S2_RW, 0), 0);
	sim_walk(&f->sim, 3 * PAGE, &leaf);
	entry = (uint64_t *)(void *)(f->sim.arena.va + (leaf.entry - f->sim.arena.pa));
	was = *entry;
	*entry = was | 1ull << 51; /* DBM */
	assert_int_equal(s2_pt_audit(pt(), &f->walker, &census, &where), S2_ECORRUPT);
	assert_int_equal(where.gpa, 3 * PAGE);
	*entry = 4; /* invalid, but neither empty nor busy */
	assert_int_equal(s2_pt_audit(pt(), &f->walker, &census, &where), S2_ECORRUPT);
	*entry = was;
	assert_int_equal(s2_pt_audit(pt(), &f->walker, &census, NULL), 0);
	assert_int_equal(census.leaves[0], 1);
	assert_int_equal(census.tables[0], 1);
	assert_int_equal(census.tables[1], 1);
	assert_int_equal(census.tables[2], 2);
	fixture_down(f);
}

static void test_strerror(void **state)
{
	(void)state;
	assert_string_equal(s2_strerror(0), "S2_OK");
	assert_string_equal(s2_strerror(S2_EALIGN), "S2_EALIGN");
	assert_string_equal(s2_strerror(S2_ECORRUPT), "S2_ECORRUPT");
	assert_string_equal(s2_strerror(S2_EPENDING), "S2_EPENDING");
	assert_string_equal(s2_strerror(S2_EPENDING - 1), "unknown error");
	assert_string_equal(s2_strerror(1), "unknown error");
}

static void test_walker_fini_twice(void **state)
{
	struct s2_walker zero;

	(void)state;
	memset(&zero, 0, sizeof(zero));
	s2_walker_fini(&zero);
	up();
	s2_walker_fini(&f->other);
	s2_walker_fini(&f->other);
	fixture_down(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_errors),
		cmocka_unit_test(test_init_version_and_memory),
		cmocka_unit_test(test_roots),
		cmocka_unit_test(test_range_errors),
		cmocka_unit_test(test_map_errors),
		cmocka_unit_test(test_other_errors),
		cmocka_unit_test(test_relax_device),
		cmocka_unit_test(test_exists),
		cmocka_unit_test(test_block_choice),
		cmocka_unit_test(test_split_by_unmap),
		cmocka_unit_test(test_memory_runs_out),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_split_keeps),
		cmocka_unit_test(test_stats_and_sizes),
		cmocka_unit_test(test_audit_finds),
		cmocka_unit_test(test_strerror),
		cmocka_unit_test(test_walker_fini_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
