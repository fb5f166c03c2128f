// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of the Arm register values: every constant here was put together by hand from the
 * field positions in DDI 0487 (VTCR_EL2, VTTBR_EL2, ESR_ELx.ISS of aborts, HPFAR_EL2).
 */
#include <string.h>

#include "fixture.h"

static struct fixture fix;
static struct fixture *const f = &fix;

/*
 * 31 RES1 | 21 HA | 18:16 PS | 15:14 TG0 | 13:12 SH0 | 11:10 ORGN0 | 9:8 IRGN0 | 7:6 SL0 | 5:0 T0SZ
 */
static void test_vtcr(void **state)
{
	static const struct {
		uint8_t ipa, pa;
		uint32_t features;
		uint64_t vtcr;
	} t[] = {
		{ 32, 32, 0, 0x80003520 }, /* starts at the manual's level 2 */
		{ 34, 36, 0, 0x8001351e }, /* ... with 16 tables */
		{ 35, 36, 0, 0x8001355d }, /* level 1 */
		{ 36, 36, 0, 0x8001355c },
		{ 39, 44, 0, 0x80043559 },
		{ 40, 40, 0, 0x80023558 },
		{ 40, 41, 0, 0x80023558 }, /* an odd size counts as the next smaller one */
		{ 42, 42, 0, 0x80033556 },
		{ 43, 48, 0, 0x80053555 },
		{ 44, 44, 0, 0x80043594 }, /* level 0 */
		{ 48, 48, 0, 0x80053590 },
		{ 48, 48, S2_CPU_HA, 0x80253590 },
		{ 40, 48, S2_CPU_FWB | S2_CPU_DIC | S2_CPU_XNX, 0x80053558 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct s2_vm_config config = fixture_config();

		config.pt.ipa_bits = t[i].ipa;
		config.pt.cpu.pa_bits = t[i].pa;
		config.pt.cpu.features = t[i].features;
		fixture_up(f, &config);
		assert_int_equal(s2_arm64_vtcr(&f->vm.pt), t[i].vtcr);
		fixture_down(f);
	}
}

static void test_vttbr(void **state)
{
	struct s2_vm_config config = fixture_config();
	uint64_t root;

	(void)state;
	fixture_up(f, &config);
	root = f->sim.regime.root;
	assert_true(root >= f->sim.arena.pa && root < f->sim.arena.pa + f->sim.arena.bytes);
	assert_int_equal(s2_arm64_vttbr(&f->vm.pt, 0), root);
	assert_int_equal(s2_arm64_vttbr(&f->vm.pt, 0x1234), 0x1234000000000000 | root);
	assert_int_equal(s2_arm64_vttbr(&f->vm.pt, 0xffff), 0xffff000000000000 | root);
	fixture_down(f);
}

/* 31:26 EC | 25 IL | 10 FnV | 9 EA | 8 CM | 7 S1PTW | 6 WnR | 5:0 FSC */
static void test_abort_kinds(void **state)
{
	static const struct {
		uint32_t esr;
		uint8_t kind, access, walk;
	} t[] = {
		/* data abort: translation faults of levels 0 to 3 */
		{ 0x92000004, S2_FAULT_TRANSLATION, S2_ACCESS_READ, 0 },
		{ 0x92000005, S2_FAULT_TRANSLATION, S2_ACCESS_READ, 0 },
		{ 0x92000046, S2_FAULT_TRANSLATION, S2_ACCESS_WRITE, 0 },
		{ 0x92000047, S2_FAULT_TRANSLATION, S2_ACCESS_WRITE, 0 },
		/* access flag */
		{ 0x92000009, S2_FAULT_ACCESS, S2_ACCESS_READ, 0 },
		{ 0x9200004b, S2_FAULT_ACCESS, S2_ACCESS_WRITE, 0 },
		/* permission */
		{ 0x9200004d, S2_FAULT_PERMISSION, S2_ACCESS_WRITE, 0 },
		{ 0x9200004f, S2_FAULT_PERMISSION, S2_ACCESS_WRITE, 0 },
		{ 0x9200000f, S2_FAULT_PERMISSION, S2_ACCESS_READ, 0 },
		/* cache maintenance needs to read only, although it says write */
		{ 0x92000147, S2_FAULT_TRANSLATION, S2_ACCESS_READ, 0 },
		/* the guest's own tables: read, unless it is a permission fault */
		{ 0x92000087, S2_FAULT_TRANSLATION, S2_ACCESS_READ, 1 },
		{ 0x920000c7, S2_FAULT_TRANSLATION, S2_ACCESS_READ, 1 },
		{ 0x9200008b, S2_FAULT_ACCESS, S2_ACCESS_READ, 1 },
		{ 0x9200008f, S2_FAULT_PERMISSION, S2_ACCESS_WRITE, 1 },
		{ 0x920000cf, S2_FAULT_PERMISSION, S2_ACCESS_WRITE, 1 },
		/* instruction abort */
		{ 0x82000007, S2_FAULT_TRANSLATION, S2_ACCESS_EXEC, 0 },
		{ 0x8200000f, S2_FAULT_PERMISSION, S2_ACCESS_EXEC, 0 },
		{ 0x8200000b, S2_FAULT_ACCESS, S2_ACCESS_EXEC, 0 },
		{ 0x82000087, S2_FAULT_TRANSLATION, S2_ACCESS_READ, 1 },
		{ 0x8200008f, S2_FAULT_PERMISSION, S2_ACCESS_WRITE, 1 },
	};
	struct s2_fault fault;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		memset(&fault, 0xff, sizeof(fault)); /* all that matters is filled in */
		assert_int_equal(
			s2_arm64_decode_abort(t[i].esr, 0x90000, 0xffff000012345018, &fault, NULL),
			0);
		assert_int_equal(fault.kind, t[i].kind);
		assert_int_equal(fault.access, t[i].access);
		assert_int_equal(fault.walk, t[i].walk);
		assert_int_equal(fault.user, 0);
		assert_int_equal(fault.view, S2_VIEW_ANY);
		/* FAR is the address that was being translated: no offset in the table's page. */
		assert_int_equal(fault.gpa.gpa, t[i].walk ? 0x9000000 : 0x9000018);
	}
}

static void test_abort_refused(void **state)
{
	static const uint32_t esr[] = {
		0x92000000,             /* address size, level 0 */
		0x92000003, 0x92000010, /* external abort */
		0x92000017,             /* external abort on a walk */
		0x92000021,             /* alignment */
		0x92000031, 0x92000035, /* exclusive */
		0x96000007,             /* data abort of EL2 itself */
		0x86000007,             /* instruction abort of EL2 itself */
		0x5a000000,             /* HVC */
		0x00000007, 0xbe000007, /* SError */
	};
	struct s2_fault fault;
	struct s2_arm64_mmio mmio;

	(void)state;
	for (size_t i = 0; i < sizeof(esr) / sizeof(esr[0]); i++)
		assert_int_equal(s2_arm64_decode_abort(esr[i], 0, 0, &fault, &mmio), S2_EINVAL);
}

/* HPFAR_EL2: FIPA[47:12] (and more with LPA) at 43:4; bit 63 is NS. */
static void test_hpfar(void **state)
{
	struct s2_fault fault;

	(void)state;
	assert_int_equal(s2_arm64_decode_abort(0x92000007, 0x0000000ffffffff0, 0xabc, &fault, NULL),
			 0);
	assert_int_equal(fault.gpa.gpa, 0x0000ffffffffabc);
	assert_int_equal(s2_arm64_decode_abort(0x92000007, 0x8000000000000010, 0, &fault, NULL), 0);
	assert_int_equal(fault.gpa.gpa, 0x1000);
	assert_int_equal(s2_arm64_decode_abort(0x92000007, 0, 0xfffffffffffff123, &fault, NULL), 0);
	assert_int_equal(fault.gpa.gpa, 0x123);
}

/* 24 ISV | 23:22 SAS | 21 SSE | 20:16 SRT | 15 SF | 6 WnR */
static void test_mmio(void **state)
{
	static const struct {
		uint32_t esr;
		struct s2_arm64_mmio mmio;
	} t[] = {
		/* str w2 */
		{ 0x93820047, { .isv = 1, .bytes = 4, .reg = 2, .write = 1 } },
		/* ldrsb x5 */
		{ 0x93258007, { .isv = 1, .bytes = 1, .reg = 5, .sign_extend = 1, .wide = 1 } },
		/* ldrsh w7 */
		{ 0x93670007, { .isv = 1, .bytes = 2, .reg = 7, .sign_extend = 1 } },
		/* ldr x30 */
		{ 0x93de8007, { .isv = 1, .bytes = 8, .reg = 30, .wide = 1 } },
		/* str xzr */
		{ 0x93df8047, { .isv = 1, .bytes = 8, .reg = 31, .wide = 1, .write = 1 } },
		/* a write to a read-only slot: permission fault */
		{ 0x9382004f, { .isv = 1, .bytes = 4, .reg = 2, .write = 1 } },
		/* stp and friends: no description */
		{ 0x92000047, { .isv = 0 } },
		/* instruction fetch */
		{ 0x82000007, { .isv = 0 } },
	};
	struct s2_arm64_mmio mmio;
	struct s2_fault fault;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		memset(&mmio, 0xff, sizeof(mmio));
		assert_int_equal(s2_arm64_decode_abort(t[i].esr, 0, 0, &fault, &mmio), 0);
		assert_memory_equal(&mmio, &t[i].mmio, sizeof(mmio));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vtcr),        cmocka_unit_test(test_vttbr),
		cmocka_unit_test(test_abort_kinds), cmocka_unit_test(test_abort_refused),
		cmocka_unit_test(test_hpfar),       cmocka_unit_test(test_mmio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
