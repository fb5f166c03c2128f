// SPDX-License-Identifier: BSD-2-Clause
/*
 * The checker's reading of TLBI operands and of ID registers, and its names of numbers. As in
 * test_check_arm64.c (which explains the values of VTCR_EL2) all values were put together by hand
 * from DDI 0487, and nothing of the engine is linked or included.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "format.h"

#define VTCR_4K      0x80053590ull  /* 48 bits in, 48 out, level 3 */
#define VTCR_4K_DS   0x38006350cull /* 52 bits, level 4 */
#define VTCR_16K     0x8005b591ull  /* 47 bits, level 2 */
#define VTCR_16K_DS  0x18006b5ccull /* 52 bits, level 3 */
#define VTCR_64K     0x80057556ull  /* 42 bits in, 48 out, level 1 */
#define VTCR_64K_LPA 0x8006758cull  /* 52 bits, level 2 */

static struct s2c_cpu cpu;
static struct chk_regime regime;
static struct chk_kill kill;

/* All that there is, but FEAT_BBM. */
static int setup(void **state)
{
	(void)state;
	cpu = (struct s2c_cpu){ .features = 0x7ff, .pa_bits = 52 };
	return 0;
}

static void use(uint64_t vtcr)
{
	assert_null(chk_arm64_regime(&regime, &cpu, vtcr, 0, 0x80000000));
}

/* A reason must name what it is about. */
static void says(const char *why, const char *field)
{
	assert_non_null(why);
	if (!strstr(why, field))
		fail_msg("'%s' does not say '%s'", why, field);
}

static const char *tlbi(unsigned int op, uint64_t operand)
{
	return chk_arm64_tlbi(&kill, &regime, &cpu, op, operand);
}

static void kills(unsigned int op, uint64_t operand, uint64_t gpa, uint64_t size,
		  unsigned int level)
{
	assert_null(tlbi(op, operand));
	assert_int_equal(kill.gpa, gpa);
	assert_int_equal(kill.size, size);
	assert_int_equal(kill.level, level);
	assert_int_equal(kill.leaf, 1);
}

static void senseless(unsigned int op, uint64_t operand, unsigned int reaches, const char *field)
{
	says(tlbi(op, operand), field);
	assert_int_equal(kill.leaf, reaches);
	assert_int_equal(kill.combined, 0);
}

/* What each goes for: leaf, table, combined, local, all VMIDs. */
static void test_tlbi_forms(void **state)
{
	static const char *const forms[] = { "110", "100", "110", "100", "001", "111", "111" };

	(void)state;
	use(VTCR_4K);
	for (unsigned int op = S2C_IPAS2E1; op < S2C_TLBI_OTHER; op++) {
		const char *form = forms[op / 3];
		int range = op >= S2C_RIPAS2E1 && op <= S2C_RIPAS2LE1OS;

		assert_null(tlbi(op, range ? 0x400000000000 : 0));
		assert_int_equal(kill.leaf, form[0] - '0');
		assert_int_equal(kill.table, form[1] - '0');
		assert_int_equal(kill.combined, form[2] - '0');
		assert_int_equal(kill.local, op % 3 == 0);
		assert_int_equal(kill.all_vmids, op >= S2C_ALLE1);
		assert_int_equal(kill.level, S2C_LEVEL_ANY);
		assert_int_equal(!kill.size, op >= S2C_VMALLE1);
	}
	assert_null(tlbi(S2C_TLBI_OTHER, 0x1234));
	assert_int_equal(kill.leaf | kill.table | kill.combined | kill.all_vmids, 0);
	says(tlbi(S2C_TLBIS, 0), "no TLBI");
	assert_int_equal(kill.leaf | kill.table | kill.combined | kill.all_vmids, 0);
}

static void test_tlbi_single(void **state)
{
	(void)state;
	use(0x80053555);
	kills(S2C_IPAS2E1IS, 0x40000, 0x40000000, 0x1000, S2C_LEVEL_ANY);
	kills(S2C_IPAS2E1IS, 0x8000000000040000, 0x40000000, 0x1000, S2C_LEVEL_ANY); /* NS */
	kills(S2C_IPAS2E1IS, 0x300000040000, 0x40000000, 0x1000, S2C_LEVEL_ANY); /* no granule */
	kills(S2C_IPAS2E1IS, 0x700000040000, 0x40000000, 0x1000, 0);
	kills(S2C_IPAS2E1IS, 0x600000040000, 0x40000000, 0x1000, 1);
	kills(S2C_IPAS2E1IS, 0x500000040000, 0x40000000, 0x1000, 2);
	assert_null(tlbi(S2C_IPAS2E1IS, 0x400000040000));
	assert_int_equal(kill.level, S2C_LEVEL_ANY);
	senseless(S2C_IPAS2E1IS, 0xb00000040000, 0, "TTL names a granule");
	senseless(S2C_IPAS2E1IS, 0xf00000040000, 0, "TTL names a granule");
	kills(S2C_IPAS2E1IS, 0x7fffffff, 0x7fffffff000, 0x1000, S2C_LEVEL_ANY);
	senseless(S2C_IPAS2E1IS, 0x80000000, 0, "beyond VTCR_EL2.T0SZ"); /* 2G, not shifted */
	senseless(S2C_IPAS2E1IS, 0x10000040000, 1, "RES0");
	senseless(S2C_IPAS2E1IS, 0x80000040000, 1, "RES0");
	senseless(S2C_IPAS2E1IS, 0x4000000000040000, 1, "RES0");
	senseless(S2C_IPAS2E1IS, 0x1000000040000, 1, "RES0"); /* an ASID, perhaps */
	senseless(S2C_IPAS2E1IS, 0x1400000040000, 1, "RES0"); /* before the level */
	cpu.features &= ~(uint32_t)S2C_TTL;
	kills(S2C_IPAS2E1IS, 0xb00000040000, 0x40000000, 0x1000, S2C_LEVEL_ANY);

	(void)setup(state);
	use(VTCR_4K_DS);
	kills(S2C_IPAS2LE1IS, 0x40f000000000, 0xf000000000000, 0x1000, 3);
	use(VTCR_16K);
	kills(S2C_IPAS2E1, 0xa00000040007, 0x40004000, 0x4000, 1); /* bits 1:0 are ignored */
	assert_null(tlbi(S2C_IPAS2E1, 0x900000040004));
	assert_null(tlbi(S2C_IPAS2E1, 0x800000040004));
	use(VTCR_16K_DS);
	kills(S2C_IPAS2E1, 0x900000040004, 0x40004000, 0x4000, 2);
	assert_null(tlbi(S2C_IPAS2E1, 0x800000040004));
	use(VTCR_64K_LPA);
	kills(S2C_IPAS2E1, 0xd0000004001f, 0x40010000, 0x10000, 2); /* bits 3:0 are ignored */
	assert_null(tlbi(S2C_IPAS2E1, 0xc00000040010));
}

static void test_tlbi_range(void **state)
{
	(void)state;
	use(VTCR_4K);
	kills(S2C_RIPAS2E1IS, 0x400000040000, 0x40000000, 0x2000, S2C_LEVEL_ANY);
	kills(S2C_RIPAS2E1IS, 0x408000040000, 0x40000000, 0x4000, S2C_LEVEL_ANY);  /* NUM 1 */
	kills(S2C_RIPAS2E1IS, 0x418000040000, 0x40000000, 0x8000, S2C_LEVEL_ANY);  /* NUM 3 */
	kills(S2C_RIPAS2E1IS, 0x508000040000, 0x40000000, 0x80000, S2C_LEVEL_ANY); /* SCALE 1 */
	kills(S2C_RIPAS2E1IS, 0x7f8000040000, 0x40000000, 0x200000000, S2C_LEVEL_ANY);
	kills(S2C_RIPAS2E1IS, 0x402000040000, 0x40000000, 0x2000, 2); /* TTL 1, 2, 3 */
	kills(S2C_RIPAS2E1IS, 0x40a000040000, 0x40000000, 0x4000, 2);
	kills(S2C_RIPAS2E1IS, 0x404000040200, 0x40200000, 0x2000, 1);
	kills(S2C_RIPAS2E1IS, 0x406000040001, 0x40001000, 0x2000, 0);
	kills(S2C_RIPAS2E1IS, 0x8000400000040000, 0x40000000, 0x2000, S2C_LEVEL_ANY);
	senseless(S2C_RIPAS2E1IS, 0x402000040200, 0, "UNPREDICTABLE");
	senseless(S2C_RIPAS2E1IS, 0x404000040001, 0, "UNPREDICTABLE");
	senseless(S2C_RIPAS2E1IS, 0x40000, 0, "TG is 0b00");
	senseless(S2C_RIPAS2E1IS, 0x200000040000, 0, "TG is 0b00");
	senseless(S2C_RIPAS2E1IS, 0x1000000040000, 0, "TG is 0b00");
	senseless(S2C_RIPAS2E1IS, 0x4000400000040000, 1, "RES0");
	senseless(S2C_RIPAS2E1IS, 0x800000040000, 0, "TG names a granule");
	senseless(S2C_RIPAS2E1IS, 0xc00000040000, 0, "TG names a granule");
	senseless(S2C_RIPAS2E1IS, 0x401000000000, 0, "BaseADDR is beyond");
	senseless(S2C_RIPAS2E1IS, 0x0001400000040000, 1, "RES0");
	use(VTCR_4K_DS); /* the base in 64K, the length in pages */
	kills(S2C_RIPAS2LE1, 0x400000000003, 0x30000, 0x2000, S2C_LEVEL_ANY);
	use(VTCR_16K);
	kills(S2C_RIPAS2LE1, 0x808000000003, 0xc000, 0x10000, S2C_LEVEL_ANY);
	kills(S2C_RIPAS2LE1, 0x804000000800, 0x2000000, 0x8000, 1);
	senseless(S2C_RIPAS2LE1, 0x804000000400, 0, "UNPREDICTABLE");
	assert_null(tlbi(S2C_RIPAS2LE1, 0x802000000000));
	use(VTCR_16K_DS);
	kills(S2C_RIPAS2LE1, 0x802000100000, 0x1000000000, 0x8000, 2);
	use(VTCR_64K_LPA);
	kills(S2C_RIPAS2LE1, 0xc02004000000, 0x40000000000, 0x20000, 2);
	senseless(S2C_RIPAS2LE1, 0xc02002000000, 0, "UNPREDICTABLE");
	senseless(S2C_RIPAS2LE1, 0xc04000001000, 0, "UNPREDICTABLE");
}

static void test_id(void **state)
{
	static const uint8_t sizes[] = { 32, 36, 40, 42, 44, 48, 52, 52, 52 };

	(void)state;
	for (uint64_t parange = 0; parange < 9; parange++)
		assert_int_equal(s2c_cpu_from_id(parange, 0, 0, 0).pa_bits, sizes[parange]);
	cpu = s2c_cpu_from_id(0x5, 0, 0, 0);
	assert_int_equal(cpu.features, 0);
	assert_int_equal(cpu.bbm, 0);
	assert_int_equal(s2c_cpu_from_id(0x10000000, 0, 0, 0).features, S2C_LPA2_4K);
	assert_int_equal(s2c_cpu_from_id(0x20010000000, 0, 0, 0).features, 0); /* stage 1 only */
	assert_int_equal(s2c_cpu_from_id(0x30000000000, 0, 0, 0).features, S2C_LPA2_4K);
	assert_int_equal(s2c_cpu_from_id(0xf0000000, 0, 0, 0).features, 0);
	assert_int_equal(s2c_cpu_from_id(0x200000, 0, 0, 0).features, S2C_LPA2_16K);
	assert_int_equal(s2c_cpu_from_id(0x100000, 0, 0, 0).features, 0);
	assert_int_equal(s2c_cpu_from_id(0x200200000, 0, 0, 0).features, 0);
	assert_int_equal(s2c_cpu_from_id(0x300000000, 0, 0, 0).features, S2C_LPA2_16K);
	assert_int_equal(s2c_cpu_from_id(0, 1, 0, 0).features, S2C_HA_IMPL);
	assert_int_equal(s2c_cpu_from_id(0, 2, 0, 0).features, S2C_HA_IMPL | S2C_HD_IMPL);
	assert_int_equal(s2c_cpu_from_id(0, 0x20, 0, 0).features, S2C_VMID16);
	assert_int_equal(s2c_cpu_from_id(0, 0x10000000, 0, 0).features, S2C_XNX);
	assert_int_equal(s2c_cpu_from_id(0, 0, 0x10000000000, 0).features, S2C_FWB_IMPLEMENTED);
	assert_int_equal(s2c_cpu_from_id(0, 0, 0x1000000000000, 0).features, S2C_TTL);
	assert_int_equal(s2c_cpu_from_id(0, 0, 0x20000000000000, 0).bbm, 2);
	assert_int_equal(s2c_cpu_from_id(0, 0, 0x30000000000000, 0).bbm, 2);
	assert_int_equal(s2c_cpu_from_id(0, 0, 0, 0x10000000).features, S2C_IDC);
	assert_int_equal(s2c_cpu_from_id(0, 0, 0, 0x20000000).features, S2C_DIC);
}

/* A field is all of its bits, and nothing beside it is part of it. */
static void test_id_width(void **state)
{
	static const uint64_t mmfr1[] = { 0xf, 0xf0, 0xf0000000 };
	static const uint64_t mmfr2[] = { 0xf0000000000, 0xf000000000000 };
	static const uint32_t of1[] = { S2C_HA_IMPL | S2C_HD_IMPL, S2C_VMID16, S2C_XNX };
	static const uint32_t of2[] = { S2C_FWB_IMPLEMENTED, S2C_TTL };

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		uint64_t top = mmfr1[i] & ~(mmfr1[i] >> 1);

		assert_int_equal(s2c_cpu_from_id(0, top, 0, 0).features, of1[i]);
		assert_int_equal(s2c_cpu_from_id(0, ~mmfr1[i], 0, 0).features & of1[i], 0);
	}
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t top = mmfr2[i] & ~(mmfr2[i] >> 1);

		assert_int_equal(s2c_cpu_from_id(0, 0, top, 0).features, of2[i]);
		assert_int_equal(s2c_cpu_from_id(0, 0, ~mmfr2[i], 0).features & of2[i], 0);
	}
	assert_int_equal(s2c_cpu_from_id(0, 0x10, 0, 0).features, 0);
	assert_int_equal(s2c_cpu_from_id(0, 0, 0x10000000000000, 0).bbm, 1);
	assert_int_equal(s2c_cpu_from_id(0, 0, 0x80000000000000, 0).bbm, 2);
	assert_int_equal(s2c_cpu_from_id(0, 0, 0xff0fffffffffffff, 0).bbm, 0);
	assert_int_equal(s2c_cpu_from_id(0xf000ff0fff0ffff0, 0, 0, 0).pa_bits, 32);
	assert_int_equal(s2c_cpu_from_id(0, 0, 0, 0xdfffffff).features, S2C_IDC);
	assert_int_equal(s2c_cpu_from_id(0, 0, 0, 0xefffffff).features, S2C_DIC);
	/* TGran4 1, TGran4_2 3, TGran16 2, TGran16_2 3, each with all that is beside it ... */
	assert_int_equal(s2c_cpu_from_id(0xfffff0ff1fffffff, 0, 0, 0).features, S2C_LPA2_4K);
	assert_int_equal(s2c_cpu_from_id(0xfffff3ffffffffff, 0, 0, 0).features, S2C_LPA2_4K);
	assert_int_equal(s2c_cpu_from_id(0xfffffff0ff2fffff, 0, 0, 0).features, S2C_LPA2_16K);
	assert_int_equal(s2c_cpu_from_id(0xfffffff3ffffffff, 0, 0, 0).features, S2C_LPA2_16K);
	/* ... and as the lower part of another value. */
	assert_int_equal(s2c_cpu_from_id(0x90000000, 0, 0, 0).features, 0);
	assert_int_equal(s2c_cpu_from_id(0xb0000000000, 0, 0, 0).features, 0);
	assert_int_equal(s2c_cpu_from_id(0x80010000000, 0, 0, 0).features, 0);
	assert_int_equal(s2c_cpu_from_id(0xa00000, 0, 0, 0).features, 0);
	assert_int_equal(s2c_cpu_from_id(0xb00000000, 0, 0, 0).features, 0);
	assert_int_equal(s2c_cpu_from_id(0x800200000, 0, 0, 0).features, 0);
}

/* Every number has a name, no two the same, and the end is the end. */
static void names(const char *(*name)(unsigned int number), unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		assert_non_null(name(i));
		for (unsigned int j = 0; j < i; j++)
			assert_string_not_equal(name(i), name(j));
	}
	assert_null(name(n));
	assert_null(name(~0u));
}

static void test_names(void **state)
{
	(void)state;
	names(s2c_kind_name, S2C_KINDS);
	names(s2c_tlbi_name, S2C_TLBIS);
	names(s2c_barrier_name, S2C_BARRIERS);
	names(s2c_sysreg_name, S2C_SYSREGS);
	names(s2c_dc_name, S2C_DCS);
	assert_string_equal(s2c_kind_name(S2C_HARVEST), "harvest");
	assert_string_equal(s2c_tlbi_name(S2C_IPAS2E1IS), "ipas2e1is");
	assert_string_equal(s2c_tlbi_name(S2C_RIPAS2LE1OS), "ripas2le1os");
	assert_string_equal(s2c_barrier_name(S2C_ISHLD), "ishld");
	assert_string_equal(s2c_sysreg_name(S2C_VTTBR_EL2), "vttbr_el2");
	assert_string_equal(s2c_dc_name(S2C_CIVAC), "civac");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_tlbi_forms, setup),
		cmocka_unit_test_setup(test_tlbi_single, setup),
		cmocka_unit_test_setup(test_tlbi_range, setup),
		cmocka_unit_test_setup(test_id, setup),
		cmocka_unit_test_setup(test_id_width, setup),
		cmocka_unit_test_setup(test_names, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
