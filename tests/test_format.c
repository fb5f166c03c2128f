// SPDX-License-Identifier: BSD-2-Clause
/*
 * Descriptors bit for bit: what s2_pt_map() writes, against values put together by hand from the
 * layout in DDI 0487 (chapter D8, stage 2 block and page descriptors):
 *
 *   58:55 software | 54:53 XN | 52 contiguous | 51 DBM | 47:12 address | 10 AF | 9:8 SH
 *   7:6 S2AP (write, read) | 5:2 MemAttr | 1 page or table | 0 valid
 */
#include "fixture.h"
#include "machine.h"

static struct fixture fix;
static struct fixture *const f = &fix;

#define ADDR 0x123456000ull

static uint64_t raw(uint64_t gpa)
{
	struct s2c_leaf leaf;

	sim_walk(&f->sim, gpa, &leaf);
	return leaf.value;
}

/* What stands in a page descriptor for these attributes, the address left out. */
static uint64_t page(struct s2_attr attr, uint32_t features)
{
	struct s2_vm_config config = fixture_config();
	uint64_t value;

	config.pt.cpu.features = features;
	fixture_up(f, &config);
	assert_int_equal(s2_pt_map(&f->vm.pt, s2_gpa(0), s2_hpa(ADDR), PAGE, attr, 0, &f->walker,
				   &f->gather, &f->progress),
			 0);
	value = raw(0);
	assert_int_equal(fixture_level(f, 0), 0);
	assert_memory_equal(&f->leaf.attr, &attr, sizeof(attr));
	fixture_down(f);
	assert_int_equal(value & 0x0000fffffffff000, ADDR);
	return value & ~0x0000fffffffff000ull;
}

static uint64_t normal(unsigned int prot, uint32_t features)
{
	return page(fixture_attr(prot, S2_MEM_NORMAL), features);
}

static uint64_t typed(unsigned int type, uint32_t features)
{
	return page(fixture_attr(S2_RW, type), features);
}

static void test_rights(void **state)
{
	(void)state;
	assert_int_equal(normal(S2_RWX, 0), 0x00000000000007ff);
	assert_int_equal(normal(S2_RX, 0), 0x000000000000077f);
	assert_int_equal(normal(S2_RW, 0), 0x00400000000007ff);
	assert_int_equal(normal(S2_R, 0), 0x004000000000077f);
	assert_int_equal(normal(S2_RWX, S2_CPU_XNX), 0x00000000000007ff);
	assert_int_equal(normal(S2_RW, S2_CPU_XNX), 0x00400000000007ff);
	assert_int_equal(normal(S2_R | S2_XP, S2_CPU_XNX), 0x006000000000077f);
	assert_int_equal(normal(S2_R | S2_XU, S2_CPU_XNX), 0x002000000000077f);
}

static void test_types(void **state)
{
	(void)state;
	assert_int_equal(typed(S2_MEM_NORMAL, S2_CPU_FWB), 0x00400000000007db);
	assert_int_equal(typed(S2_MEM_NC, S2_CPU_FWB) & ~0x300ull, 0x00400000000004d7);
	assert_int_equal(typed(S2_MEM_NC, 0) & ~0x300ull, 0x00400000000004d7);
	for (uint32_t features = 0; features < 2; features++) { /* without and with FWB */
		assert_int_equal(typed(S2_MEM_DEVICE_nGnRnE, features) & ~0x300ull,
				 0x00400000000004c3);
		assert_int_equal(typed(S2_MEM_DEVICE, features) & ~0x300ull, 0x00400000000004c7);
		assert_int_equal(typed(S2_MEM_DEVICE_nGRE, features) & ~0x300ull,
				 0x00400000000004cb);
		assert_int_equal(typed(S2_MEM_DEVICE_GRE, features) & ~0x300ull,
				 0x00400000000004cf);
	}
}

static void test_software_bits(void **state)
{
	struct s2_attr attr = fixture_attr(S2_RWX, S2_MEM_NORMAL);

	(void)state;
	attr.sw = 10;
	assert_int_equal(page(attr, 0), 0x05000000000007ff);
	attr.sw = 15;
	assert_int_equal(page(attr, 0), 0x07800000000007ff);
}

static void test_blocks_tables_age(void **state)
{
	struct s2_vm_config config = fixture_config();

	(void)state;
	config.pt.block_level = 2;
	fixture_up(f, &config);
	assert_int_equal(fixture_map(f, GIB, 0x5000000000, GIB, S2_RWX, 0), 0);
	assert_int_equal(raw(GIB), 0x00000050000007fd);
	assert_int_equal(fixture_map(f, 0, 0x5000200000, BLOCK, S2_RWX, 0), 0);
	assert_int_equal(raw(0), 0x00000050002007fd);
	assert_int_equal(*sim_entry(&f->sim, f->sim.regime.root) & 0xffff000000000fff, 3);
	assert_int_equal(s2_pt_age(&f->vm.pt, s2_gpa(0), PAGE, S2_AGE_CLEAR, &f->walker, &f->gather,
				   &f->progress),
			 0);
	assert_int_equal(raw(0), 0x00000050002003fd);
	/* A split copies all of it, and only the kind of descriptor changes. */
	assert_int_equal(
		s2_pt_split(&f->vm.pt, s2_gpa(0), BLOCK, 0, &f->walker, &f->gather, &f->progress),
		0);
	assert_int_equal(raw(0), 0x00000050002003ff);
	assert_int_equal(raw(BLOCK - PAGE), 0x00000050003ff3ff);
	assert_int_equal(
		s2_pt_split(&f->vm.pt, s2_gpa(GIB), PAGE, 1, &f->walker, &f->gather, &f->progress),
		0);
	assert_int_equal(raw(GIB), 0x00000050000007fd);
	assert_int_equal(raw(2 * GIB - 1), 0x000000503fe007fd);
	assert_int_equal(
		s2_pt_unmap(&f->vm.pt, s2_gpa(GIB), BLOCK, &f->walker, &f->gather, &f->progress),
		0);
	assert_int_equal(raw(GIB), 0);
	fixture_down(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_software_bits),
		cmocka_unit_test(test_blocks_tables_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
