// SPDX-License-Identifier: BSD-2-Clause
/*
 * Descriptors and events in words, against texts written by hand from the layouts in DDI 0487.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check_report.h"

static void assert_entry(uint64_t value, unsigned int level, const char *expected)
{
	char words[160];

	s2c_describe_entry(words, sizeof(words), value, level);
	assert_string_equal(words, expected);
}

static void test_entries(void **state)
{
	(void)state;
	assert_entry(0, 0, "invalid");
	assert_entry(0xff00, 1, "invalid, with software's bits");
	assert_entry(0x400004fd, 1, "leaf 0x40000000 rwx WB non-shareable AF");
	assert_entry(0x400007ff, 0, "leaf 0x40000000 rwx WB inner AF");
	assert_entry(0x00d80000090006c7, 0,
		     "leaf 0x9000000 rw- Device-nGnRE outer AF contiguous DBM(dirty)");
	assert_entry(0x006800004000035b, 0, "leaf 0x40000000 r-x(EL1) WB (FWB) inner no-AF DBM");
	assert_entry(0x002000004001034d, 1, "leaf 0x40000000 r-x(EL0) Device-GRE inner no-AF nT");
	assert_entry(0x40000511, 1, "leaf 0x40000000 --x MemAttr 0x4 SH 1 AF");
	assert_entry(0x40020003, 1, "table 0x40020000");
	assert_entry(0x40020003, S2C_LEVEL_ANY, "table or page 0x40020000");
	assert_entry(0x40020001, 0, "reserved: bits 1:0 are 01 at the last level");
}

static void assert_event(struct s2c_event event, const char *expected)
{
	char text[160];

	s2c_describe_event(text, sizeof(text), &event, 0x40011000, 0);
	assert_string_equal(text, expected);
}

static void test_stores(void **state)
{
	(void)state;
	assert_event(store(0x40011000, 0x400007ff, 3, S2C_ATOMIC),
		     "write entry: leaf 0x40000000 rwx WB inner AF, atomic");
	assert_event(store(0x40011008, 0x40020003, 3, S2C_RELEASE),
		     "write 0x40011008: table or page 0x40020000, release");
	assert_event(store(0x40011000, 1, 0, S2C_HARDWARE), "write8 0x40011000 = 0x1, by hardware");
	assert_event(EVENT(S2C_INIT, 0, 0, 0x40011000, 0), "init 0x40011000: invalid");
}

static void test_tlbis(void **state)
{
	(void)state;
	assert_event(EVENT(S2C_TLBI, S2C_IPAS2E1IS, 0, 0x0000700000040000, 0),
		     "tlbi ipas2e1is gpa 0x40000000, Arm level hint 3");
	assert_event(EVENT(S2C_TLBI, S2C_IPAS2LE1, 0, 0x40000, 0), "tlbi ipas2le1 gpa 0x40000000");
	/* TG 4K, SCALE 1, NUM 1: 2 * 2^6 pages; TTL 3. */
	assert_event(EVENT(S2C_TLBI, S2C_RIPAS2E1IS, 0,
			   1ull << 46 | 1ull << 44 | 1ull << 39 | 3ull << 37 | 0x40000, 0),
		     "tlbi ripas2e1is gpa 0x40000000, 512K, Arm level hint 3");
	assert_event(EVENT(S2C_TLBI, S2C_RIPAS2LE1OS, 0, 0x40000, 0),
		     "tlbi ripas2le1os 0x40000 (granule 0 is reserved)");
	assert_event(EVENT(S2C_TLBI, S2C_VMALLS12E1IS, 0, 0, 0), "tlbi vmalls12e1is");
	assert_event(EVENT(S2C_INVAL, 0, 7, 0x40000000, 0x1000),
		     "inval VMID 7 gpa 0x40000000, 4K, level 0");
	assert_event(EVENT(S2C_INVAL, S2C_LEVEL_ANY, 7, 0, 0), "inval VMID 7 all");
}

static void test_others(void **state)
{
	(void)state;
	assert_event(EVENT(S2C_SYSREG, S2C_VTTBR_EL2, 0, 0, 0x0005000040010001),
		     "vttbr_el2 = 0x5000040010001 (VMID 5, root 0x40010000)");
	assert_event(EVENT(S2C_DSB, S2C_ISHST, 0, 0, 0), "dsb ishst");
	assert_event(EVENT(S2C_DMB, S2C_ISH, 0, 0, 0), "dmb ish");
	assert_event(EVENT(S2C_ISB, 0, 0, 0, 0), "isb");
	assert_event(EVENT(S2C_DC, S2C_CIVAC, 0, 0x40000000, 64), "dc civac 0x40000000, 64 bytes");
	assert_event(EVENT(S2C_IC, 0, 0, 0, 0), "ic all");
	assert_event(EVENT(S2C_IC, 0, 0, 0x1000, 0x1000), "ic 0x1000, 4K");
	assert_event(EVENT(S2C_RUN, 0, 0, 0, 0), "run");
	assert_event(EVENT(S2C_FREE, 0, 0, 0x40020000, 0x200000), "free 0x40020000, 2M");
	assert_event(EVENT(S2C_SAME, 0, 0, 0x1000, 0x2000), "same 0x1000 and 0x2000");
	assert_event(EVENT(S2C_LOCAL, S2C_R | S2C_W, 5, 0x40000000, 0x1000),
		     "local VMID 5 gpa 0x40000000, 4K, rw");
	assert_event(EVENT(S2C_DONE, 0, 5, 0, 1ull << 30), "done VMID 5 gpa 0x0, 1G");
	assert_event(EVENT(S2C_OWN, 0, 3, 0x1000, 0x1000), "own 0x1000, 4K, owner 3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_stores),
		cmocka_unit_test(test_tlbis),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
