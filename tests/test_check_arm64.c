// SPDX-License-Identifier: BSD-2-Clause
/*
 * The checker's golden decoder: registers and descriptors (test_check_tlbi.c has the rest). All
 * values were put together by hand from DDI 0487; nothing of the engine is linked or included, so
 * that a misreading of the manual is not shared. Levels are ours (0: the smallest page).
 *
 * VTCR_EL2 values start from 0x80003500: RES1, inner shareable, write-back; then TG0 0x4000 (64K)
 * or 0x8000 (16K), PS << 16, SL0 << 6, T0SZ, VS 0x80000, HA 0x200000, HD 0x400000, DS bit 32,
 * SL2 33.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "format.h"

#define RW           0x80000000ull     /* HCR_EL2: EL1 is AArch64 */
#define FWB          0x400080000000ull /* ... and stage 2 forces write-back */
#define LEAF4K       0x800007ffull     /* page at 2G: AF, inner shareable, RW, write-back */
#define BLOCK        0x7fdull          /* the same, a block at 0 */
#define VTCR_4K      0x80053590ull     /* 48 bits in, 48 out, level 3 */
#define VTCR_4K_DS   0x38006350cull    /* 52 bits, level 4 */
#define VTCR_16K     0x8005b591ull     /* 47 bits, level 2 */
#define VTCR_16K_DS  0x18006b5ccull    /* 52 bits, level 3 */
#define VTCR_64K     0x80057556ull     /* 42 bits in, 48 out, level 1 */
#define VTCR_64K_LPA 0x8006758cull     /* 52 bits, level 2 */

static struct s2c_cpu cpu;
static struct chk_regime regime;

/* All that there is, but FEAT_BBM. */
static int setup(void **state)
{
	(void)state;
	cpu = (struct s2c_cpu){ .features = 0x7ff, .pa_bits = 52 };
	return 0;
}

static const char *set(uint64_t vtcr, uint64_t vttbr)
{
	return chk_arm64_regime(&regime, &cpu, vtcr, vttbr, RW);
}

static void good(uint64_t vtcr, unsigned int top, unsigned int ipa_bits, unsigned int pa_bits)
{
	assert_null(set(vtcr, 0));
	assert_int_equal(regime.top, top);
	assert_int_equal(regime.ipa_bits, ipa_bits);
	assert_int_equal(regime.pa_bits, pa_bits);
}

/* A reason must name what it is about. */
static void says(const char *why, const char *field)
{
	assert_non_null(why);
	if (!strstr(why, field))
		fail_msg("'%s' does not say '%s'", why, field);
}

static void bad(uint64_t vtcr, const char *field)
{
	says(set(vtcr, 0), field);
}

static struct chk_desc decode(unsigned int level, uint64_t raw)
{
	return regime.decode(&regime, level, raw);
}

static void reserved(unsigned int level, uint64_t raw, const char *field)
{
	struct chk_desc desc = decode(level, raw);

	says(desc.why, field);
	assert_int_equal(desc.kind, CHK_RESERVED);
}

static void output(unsigned int level, uint64_t raw)
{
	struct chk_desc desc = decode(level, raw);

	says(desc.why, "VTCR_EL2.PS");
	assert_int_equal(desc.kind, CHK_OUTPUT);
}

static void leads(unsigned int level, uint64_t raw, unsigned int kind, uint64_t pa)
{
	struct chk_desc desc = decode(level, raw);

	assert_null(desc.why);
	assert_int_equal(desc.kind, kind);
	assert_int_equal(desc.pa, pa);
}

static void test_example(void **state)
{
	(void)state;
	/* Of docs/checker.md. */
	cpu = (struct s2c_cpu){ .pa_bits = 48 };
	assert_null(set(0x80023559, 0x0001000040010000));
	assert_int_equal(regime.root, 0x40010000);
	assert_int_equal(regime.vmid, 1);
	assert_int_equal(regime.page_shift, 12);
	assert_int_equal(regime.stride, 9);
	assert_int_equal(regime.top, 2);
	assert_int_equal(regime.ipa_bits, 39);
	assert_int_equal(regime.pa_bits, 40);
	assert_int_equal(chk_entries(&regime, 2), 512);
	assert_int_equal(chk_index(&regime, 2, 0x7fc0000000), 511);
	assert_int_equal(regime.fwb | regime.ha | regime.hd | regime.ds | regime.xnx | regime.bbm,
			 0);
}

static void test_start_4k(void **state)
{
	(void)state;
	good(0x80053522, 1, 30, 48);
	good(0x8005351e, 1, 34, 48); /* 16 tables side by side */
	bad(0x8005351d, "T0SZ is too small");
	bad(0x8005352b, "T0SZ is too large for the start level"); /* 21 bits: no index left */
	good(0x8005352a, 1, 22, 48);
	good(0x80053561, 2, 31, 48);
	bad(0x80053562, "T0SZ is too large for the start level");
	good(0x80053555, 2, 43, 48);
	bad(0x80053554, "T0SZ is too small");
	good(VTCR_4K, 3, 48, 48);
	good(0x80053598, 3, 40, 48);
	bad(0x80053599, "T0SZ is too large for the start level");
	bad(0x8005358f, "T0SZ asks for more bits"); /* 49 without DS */
	good(0x800535e7, 0, 25, 48);
	good(0x800535f0, 0, 16, 48);
	bad(0x800535f1, "T0SZ is larger than the granule allows");
	cpu.features &= ~(uint32_t)S2C_TTL; /* and with it FEAT_TTST */
	bad(0x800535e7, "SL0 0b11 with 4K needs FEAT_TTST");
	bad(0x80053528, "T0SZ is larger than 39");
	good(0x80053527, 1, 25, 48);
	cpu.pa_bits = 42;
	bad(0x80033596, "SL0 0b10 with 4K");
	cpu.pa_bits = 40;
	bad(0x80023557, "T0SZ asks for more bits");
	good(0x80023558, 2, 40, 40);
	cpu.pa_bits = 44;
	good(0x80043594, 3, 44, 44);
}

static void test_start_4k_ds(void **state)
{
	(void)state;
	good(VTCR_4K_DS, 4, 52, 52);
	assert_int_equal(regime.ds, 1);
	assert_int_equal(chk_entries(&regime, 4), 16);
	good(0x38006350f, 4, 49, 52);
	bad(0x380063510, "T0SZ is too large for the start level");
	good(0x18006358c, 3, 52, 52);
	assert_int_equal(chk_entries(&regime, 3), 8192);
	bad(0x18006358b, "T0SZ asks for more bits");
	bad(0x38006354c, "SL0 is not 0b00");
	bad(0x280063590, "SL2 is RES0");
	bad(0x38006b58c, "SL2 is RES0"); /* 16K */
	bad(0x38006758c, "DS");          /* 64K */
	cpu.features &= ~(uint32_t)S2C_LPA2_4K;
	bad(VTCR_4K_DS, "DS");
	cpu.features = S2C_LPA2_4K;
	bad(VTCR_16K_DS, "DS");
	cpu.pa_bits = 48;
	bad(VTCR_4K_DS, "T0SZ asks for more bits");
}

static void test_start_16k_64k(void **state)
{
	(void)state;
	good(0x8005b527, 0, 25, 48);
	assert_int_equal(regime.stride, 11);
	good(0x8005b55c, 1, 36, 48);
	good(VTCR_16K, 2, 47, 48);
	good(0x8005b590, 2, 48, 48);
	assert_int_equal(chk_entries(&regime, 2), 4096);
	bad(0x8005b5d0, "SL0 0b11 with 16K");
	good(VTCR_16K_DS, 3, 52, 52);
	assert_int_equal(chk_entries(&regime, 3), 32);
	cpu.pa_bits = 40;
	bad(0x8002b598, "SL0 0b10 with 16K");
	good(0x8002b558, 1, 40, 40);
	cpu.pa_bits = 42;
	good(0x8003b596, 2, 42, 42);

	cpu.pa_bits = 52;
	good(VTCR_64K, 1, 42, 48);
	assert_int_equal(regime.stride, 13);
	good(0x8005751f, 0, 33, 48);
	bad(0x8005751e, "T0SZ is too small");
	good(0x8005752f, 0, 17, 48);
	bad(0x80057530, "T0SZ is larger than the granule allows");
	good(VTCR_64K_LPA, 2, 52, 52);
	assert_int_equal(chk_entries(&regime, 2), 1024);
	bad(0x800675cc, "SL0 0b11 with 64K");
	cpu.pa_bits = 42;
	bad(0x80037596, "SL0 0b10 with 64K");
	good(0x80037556, 1, 42, 42);
	cpu.pa_bits = 44;
	good(0x80047594, 2, 44, 44);
}

static void test_fields(void **state)
{
	static const uint8_t sizes[] = { 32, 36, 40, 42, 44, 48, 52 };

	(void)state;
	for (uint64_t ps = 0; ps < 7; ps++) {
		good(0x8000755f | ps << 16, 1, 33, sizes[ps]);
		good(0x80003561 | ps << 16, 2, 31, ps == 6 ? 48 : sizes[ps]);
	}
	good(0x180063561, 2, 31, 52); /* DS: 52 bits with 4K */
	bad(0x80073590, "PS is 0b111");
	bad(0x8005f590, "TG0");
	bad(0x80051590, "SH0");
	bad(0x80055556, "SH0");
	bad(0x1080053590, "S2PIE");
	bad(0x2080053590, "S2POE");
	bad(0x4080053590, "D128");
	cpu.pa_bits = 36;
	good(0x80053561, 2, 31, 36);
	/* EL1 in AArch32 has 40 bits of address even so. */
	bad(0x80023558, "T0SZ");
	assert_null(chk_arm64_regime(&regime, &cpu, 0x80023558, 0, 0));
	assert_int_equal(regime.ipa_bits, 40);
	says(chk_arm64_regime(&regime, &cpu, 0x80023557, 0, 0), "T0SZ");
}

static void test_features(void **state)
{
	(void)state;
	assert_null(set(VTCR_4K | 0x80000, 0xabcd000040000000));
	assert_int_equal(regime.vmid, 0xabcd);
	assert_null(set(VTCR_4K, 0xabcd000040000000));
	assert_int_equal(regime.vmid, 0xcd); /* VS is 0: the upper half is ignored */
	assert_int_equal(regime.ha | regime.hd | regime.fwb, 0);
	good(VTCR_4K | 0x200000, 3, 48, 48);
	assert_int_equal(regime.ha, 1);
	assert_int_equal(regime.hd, 0);
	good(VTCR_4K | 0x600000, 3, 48, 48);
	assert_int_equal(regime.hd, 1);
	good(VTCR_4K | 0x400000, 3, 48, 48); /* no dirty state without access flag */
	assert_int_equal(regime.ha | regime.hd, 0);
	assert_null(chk_arm64_regime(&regime, &cpu, VTCR_4K, 0, FWB));
	assert_int_equal(regime.fwb, 1);
	assert_int_equal(regime.xnx, 1);

	cpu = (struct s2c_cpu){ .pa_bits = 48, .bbm = 2 };
	assert_null(chk_arm64_regime(&regime, &cpu, VTCR_4K | 0x680000, 0xabcd000040000000, FWB));
	assert_int_equal(regime.ha | regime.hd | regime.fwb | regime.xnx, 0);
	assert_int_equal(regime.vmid, 0xcd);
	assert_int_equal(regime.bbm, 2);
	cpu.features = S2C_HD_IMPL;
	good(VTCR_4K | 0x600000, 3, 48, 48);
	assert_int_equal(regime.hd, 0);
	cpu.features = S2C_HA_IMPL;
	good(VTCR_4K | 0x600000, 3, 48, 48);
	assert_int_equal(regime.ha, 1);
	assert_int_equal(regime.hd, 0);
}

static void test_root(void **state)
{
	(void)state;
	assert_null(set(VTCR_4K, 0x40001001)); /* CnP is no part of it */
	assert_int_equal(regime.root, 0x40001000);
	says(set(VTCR_4K, 0x40000800), "BADDR is not a multiple");
	says(set(VTCR_4K, 0x40000200), "BADDR is not a multiple");
	assert_null(set(VTCR_4K, 0xfffffffff000));
	assert_int_equal(regime.root, 0xfffffffff000);
	says(set(VTCR_4K, 0x40001002), "BADDR is not a multiple");
	assert_null(set(0x80053555, 0x40010000)); /* 16 tables */
	says(set(0x80053555, 0x40008000), "BADDR is not a multiple");
	assert_null(set(0x80053561, 0x40000010)); /* two entries */
	says(set(0x80053561, 0x40000008), "BADDR is not a multiple");
	assert_null(set(0x80023559, 0xfffffff000));
	says(set(0x80023559, 0x10000000000), "BADDR is beyond");
	/* 52 bits: A[51:48] in bits 5:2. */
	assert_null(set(VTCR_64K_LPA, 0x0003f23400002029));
	assert_int_equal(regime.root, 0xaf23400002000);
	assert_int_equal(regime.vmid, 3);
	says(set(VTCR_64K_LPA, 0xf23400002002), "bit 1");
	says(set(VTCR_64K_LPA, 0xf23400001000), "BADDR is not a multiple");
	assert_null(set(VTCR_4K_DS, 0x1230000000bc));
	assert_int_equal(regime.root, 0xf123000000080);
	says(set(VTCR_4K_DS, 0x123000000040), "BADDR is not a multiple"); /* 16 entries */
	/* Two entries, yet 64 bytes: bits 5:2 are the top of the address. */
	assert_null(set(0x180063561, 0x40000010));
	assert_int_equal(regime.root, 0x4000040000000);
	assert_null(set(0x180063561, 0x40000040));
	assert_int_equal(regime.root, 0x40000040);
	/* PS says 48 bits: no such thing as bits 51:48. */
	says(set(0x80057556 & ~0x10000ull, 0x40000024), "BADDR is not a multiple");
}

static void runs(uint64_t vtcr, const char *expected)
{
	assert_null(set(vtcr, 0));
	for (unsigned int level = 0; level < CHK_LEVELS; level++)
		assert_int_equal(regime.contiguous[level], expected[level] - '0');
}

static void test_contiguous(void **state)
{
	(void)state;
	runs(VTCR_4K, "44400");
	runs(VTCR_4K_DS, "44400"); /* RES0 in blocks of 512G ... */
	runs(VTCR_16K, "75000");
	runs(VTCR_16K_DS, "75000"); /* ... of 64G ... */
	runs(VTCR_64K, "55000");
	runs(VTCR_64K_LPA, "55000"); /* ... of 4T */
	runs(0x80053561, "44000");   /* a root of two entries */
	good(VTCR_4K, 3, 48, 48);
	assert_int_equal(decode(0, LEAF4K | 1ull << 52).contiguous, 1);
	leads(2, BLOCK | 1ull << 52, CHK_LEAF, 0);
	good(VTCR_4K_DS, 4, 52, 52);
	reserved(3, BLOCK | 1ull << 52, "Contiguous");
	good(VTCR_16K_DS, 3, 52, 52);
	reserved(2, BLOCK | 1ull << 52, "Contiguous");
	good(VTCR_64K_LPA, 2, 52, 52);
	reserved(2, BLOCK | 1ull << 52, "Contiguous");
}

static void test_kinds(void **state)
{
	(void)state;
	good(VTCR_4K, 3, 48, 48);
	for (unsigned int level = 0; level < 4; level++) {
		leads(level, 0, CHK_INVALID, 0);
		leads(level, 0xfffffffffffffffe, CHK_INVALID, 0); /* bit 0 is all that counts */
	}
	leads(0, LEAF4K, CHK_LEAF, 0x80000000);
	reserved(0, LEAF4K & ~2ull, "0b01");
	leads(1, BLOCK | 0x80200000, CHK_LEAF, 0x80200000);
	leads(2, BLOCK | 0x80000000, CHK_LEAF, 0x80000000);
	reserved(3, BLOCK, "a block at a level");
	leads(1, 0x40001003, CHK_TABLE, 0x40001000);
	leads(3, 0x40001003, CHK_TABLE, 0x40001000);
	/* Bits 58:52 and 11:2 of a table are ignored, 58:55 and 63:59 of a leaf are software's,
	 * PBHA. */
	leads(1, 0x07f0000040001fff, CHK_TABLE, 0x40001000);
	leads(0, LEAF4K | 0xff80000000000000, CHK_LEAF, 0x80000000);
	leads(0, LEAF4K | 0x800, CHK_LEAF, 0x80000000); /* FnXS */
	/* All bits of an address, and the same with those beside it that may be set. */
	leads(0, 0xfffffffff7ff, CHK_LEAF, 0xfffffffff000);
	leads(0, 0xff98fffffffff7ff, CHK_LEAF, 0xfffffffff000);
	leads(1, 0xfffffffff003, CHK_TABLE, 0xfffffffff000);
	for (unsigned int bit = 59; bit < 64; bit++)
		reserved(1, 0x40001003 | 1ull << bit, "bits 63:59");
	for (unsigned int bit = 48; bit < 52; bit++)
		reserved(2, 0x40001003 | 1ull << bit, "RES0");
	for (unsigned int bit = 48; bit < 51; bit++)
		reserved(0, LEAF4K | 1ull << bit, "RES0");
	reserved(1, BLOCK | 0x1000, "multiple of its size");
	reserved(1, BLOCK | 0x100000, "multiple of its size");
	reserved(2, BLOCK | 0x20000000, "multiple of its size");
	good(0x80013561, 2, 31, 36);
	leads(0, 0xffffff7ff, CHK_LEAF, 0xffffff000);
	output(0, 0x10000007ff);
	output(1, 0x1000000003);
	output(1, 0x10000007fd);
}

static void test_kinds_16k(void **state)
{
	(void)state;
	good(VTCR_16K, 2, 47, 48);
	leads(0, 0x800047ff, CHK_LEAF, 0x80004000);
	reserved(0, 0x800017ff, "multiple of the granule");
	reserved(0, 0x800027ff, "multiple of the granule");
	leads(1, BLOCK | 0x82000000, CHK_LEAF, 0x82000000);
	reserved(1, BLOCK | 0x81000000, "multiple of its size");
	reserved(2, BLOCK, "a block at a level");
	leads(2, 0x40004003, CHK_TABLE, 0x40004000);
	reserved(1, 0x40001003, "address of a table");
	good(VTCR_16K_DS, 3, 52, 52);
	leads(2, BLOCK | 0x3001000000000, CHK_LEAF, 0xf001000000000); /* bits 9:8 are 3, too */
	reserved(2, BLOCK | 0x800000000, "multiple of its size");
	reserved(3, BLOCK, "a block at a level");
	leads(3, 0x2000040004203, CHK_TABLE, 0xa000040004000);
}

static void test_kinds_64k(void **state)
{
	(void)state;
	good(VTCR_64K_LPA, 2, 52, 52);
	leads(0, 0x8001a7ff, CHK_LEAF, 0xa000080010000);
	leads(1, BLOCK | 0xa000a000, CHK_LEAF, 0xa0000a0000000);
	leads(2, BLOCK | 0x4000000f000, CHK_LEAF, 0xf040000000000);
	reserved(1, BLOCK | 0x10000000, "multiple of its size");
	reserved(2, BLOCK | 0x20000000000, "multiple of its size");
	leads(2, 0x40013003, CHK_TABLE, 0x3000040010000);
	reserved(2, 0x8000040010003, "RES0");
	reserved(0, 0x10000800107ff, "RES0");
	reserved(1, BLOCK | 0x10000, "FEAT_BBM");
	leads(0, 0xfffffffff7ff, CHK_LEAF, 0xfffffffff0000);
	leads(2, 0xfffffffff003, CHK_TABLE, 0xfffffffff0000);
	/* 52 bits there are, but PS says 48: blocks of 4T stay, addresses do not. */
	good(0x80057590, 2, 48, 48);
	leads(2, BLOCK | 0x40000000000, CHK_LEAF, 0x40000000000);
	output(0, 0x800117ff);
	output(2, 0x40011003);
	cpu.pa_bits = 48;
	good(0x80057590, 2, 48, 48);
	reserved(2, BLOCK | 0x40000000000, "a block at a level");
	leads(1, BLOCK | 0xa0000000, CHK_LEAF, 0xa0000000);
}

static void test_kinds_ds(void **state)
{
	struct chk_desc desc;

	(void)state;
	good(VTCR_4K_DS, 4, 52, 52);
	leads(0, 0x20000800004ff, CHK_LEAF, 0x2000080000000);
	leads(0, 0x30000800007ff, CHK_LEAF, 0xf000080000000);
	desc = decode(0, 0x800005ff); /* 0b01 in bits 9:8 is no shareability here */
	assert_int_equal(desc.kind, CHK_LEAF);
	assert_int_equal(desc.pa, 0x4000080000000);
	assert_int_equal(desc.sh, 3);
	leads(3, BLOCK | 0x3808000000000, CHK_LEAF, 0xf808000000000);
	reserved(3, BLOCK | 0x4000000000, "multiple of its size");
	reserved(4, BLOCK, "a block at a level");
	leads(4, 0x3000040001303, CHK_TABLE, 0xf000040001000);
	reserved(4, 0x4000040001003, "RES0");
	reserved(4, 0x8000040001003, "RES0");
	leads(0, 0x3fffffffff7ff, CHK_LEAF, 0xffffffffff000);
	leads(0, 0x1bfffffffff7ff, CHK_LEAF, 0xffffffffff000); /* Contiguous, DBM */
	leads(3, 0x7f3fffffffff303, CHK_TABLE, 0xffffffffff000);
	reserved(0, 0x40000800004ff, "RES0");
	cpu.pa_bits = 48;
	good(0x180053590, 3, 48, 48);
	output(0, 0x800007ff);
	output(1, 0x1000040001003);
}

static void test_attributes(void **state)
{
	static const uint8_t ap[] = { 0, S2C_R, S2C_W, S2C_R | S2C_W };
	static const uint8_t xnx[] = { S2C_X | S2C_XP, S2C_X, 0, S2C_XP };
	struct chk_desc desc;

	(void)state;
	good(VTCR_4K, 3, 48, 48);
	for (uint64_t i = 0; i < 4; i++) {
		desc = decode(0, 0x8000073f | i << 6);
		assert_int_equal(desc.rights, ap[i] | S2C_X | S2C_XP);
		desc = decode(0, 0x8000073f | i << 53);
		assert_int_equal(desc.rights, xnx[i]);
		desc = decode(0, 0x8000008000073f | i << 53); /* a software bit beside it */
		assert_int_equal(desc.rights, xnx[i]);
	}
	desc = decode(0, 0x800006bf); /* outer shareable */
	assert_int_equal(desc.sh, 2);
	assert_int_equal(desc.af, 1);
	assert_int_equal(decode(0, 0x800002ff).af, 0);
	assert_int_equal(decode(0, 0x800000ff).sh, 0);
	reserved(0, 0x800005ff, "SH 0b01");
	cpu.features &= ~(uint32_t)S2C_XNX;
	good(VTCR_4K, 3, 48, 48);
	assert_int_equal(decode(0, 0x8000073f).rights, S2C_X | S2C_XP);
	assert_int_equal(decode(0, 0x4000008000073f).rights, 0);
	reserved(0, LEAF4K | 1ull << 53, "XN[0]");
	assert_int_equal(decode(0, 0x60000080000073f).rights >> 2, 3); /* software bits 58:57 */
	assert_int_equal(decode(0, 0x8000008000073f).rights, S2C_X | S2C_XP);
	assert_int_equal(decode(0, 0x2000008000073f).rights, S2C_X | S2C_XP);
	/* DBM says something only with HD. */
	assert_int_equal(decode(0, LEAF4K | 1ull << 51).dbm, 0);
	good(VTCR_4K | 0x600000, 3, 48, 48);
	desc = decode(0, 0x800008000077f);
	assert_int_equal(desc.kind, CHK_LEAF);
	assert_int_equal(desc.dbm, 1);
	assert_int_equal(desc.rights, S2C_R | S2C_X | S2C_XP);
	assert_int_equal(decode(0, LEAF4K).dbm, 0);
}

static void test_nt(void **state)
{
	(void)state;
	good(VTCR_4K, 3, 48, 48);
	reserved(1, BLOCK | 0x10000, "FEAT_BBM");
	cpu.bbm = 1;
	good(VTCR_4K, 3, 48, 48);
	leads(1, BLOCK | 0x10000, CHK_LEAF, 0);
	assert_int_equal(decode(1, BLOCK | 0x10000).nt, 1);
	assert_int_equal(decode(1, BLOCK).nt, 0);
	leads(0, 0x800107ff, CHK_LEAF, 0x80010000); /* address of a page, pointer to a table */
	assert_int_equal(decode(0, 0x800107ff).nt, 0);
	leads(1, 0x40010003, CHK_TABLE, 0x40010000);
	reserved(1, BLOCK | 0x20000, "multiple of its size");
	good(VTCR_64K, 1, 42, 48);
	assert_int_equal(decode(1, BLOCK | 0x10000).nt, 1);
	leads(1, BLOCK | 0x10000, CHK_LEAF, 0);
}

/* D: device, N: normal, U: uncached, R: reserved; by MemAttr[3:0]. */
static void memory(const char *expected)
{
	for (unsigned int attr = 0; attr < 16; attr++) {
		struct chk_desc desc = decode(0, 0x800007c3 | attr << 2);

		assert_int_equal(desc.memattr, attr);
		if (expected[attr] == 'R') {
			reserved(0, 0x800007c3 | attr << 2, "MemAttr");
			continue;
		}
		assert_int_equal(desc.kind, CHK_LEAF);
		assert_int_equal(desc.memory, expected[attr] == 'D'   ? CHK_DEVICE
					      : expected[attr] == 'U' ? CHK_NC
								      : CHK_NORMAL);
	}
}

static void test_memory(void **state)
{
	(void)state;
	good(VTCR_4K, 3, 48, 48);
	memory("DDDDRUUURUNNRUNN");
	says(decode(0, 0x800007d3).why, "FWB is 0");
	assert_null(chk_arm64_regime(&regime, &cpu, VTCR_4K, 0, FWB));
	memory("DDDDRUNNRRRRRRRR");
	says(decode(0, 0x800007d3).why, "FWB is 1");
	/* That a device is executable is for a rule to say. */
	assert_int_equal(decode(0, 0x800007c3).rights, S2C_R | S2C_W | S2C_X | S2C_XP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_example, setup),
		cmocka_unit_test_setup(test_start_4k, setup),
		cmocka_unit_test_setup(test_start_4k_ds, setup),
		cmocka_unit_test_setup(test_start_16k_64k, setup),
		cmocka_unit_test_setup(test_fields, setup),
		cmocka_unit_test_setup(test_features, setup),
		cmocka_unit_test_setup(test_root, setup),
		cmocka_unit_test_setup(test_contiguous, setup),
		cmocka_unit_test_setup(test_kinds, setup),
		cmocka_unit_test_setup(test_kinds_16k, setup),
		cmocka_unit_test_setup(test_kinds_64k, setup),
		cmocka_unit_test_setup(test_kinds_ds, setup),
		cmocka_unit_test_setup(test_attributes, setup),
		cmocka_unit_test_setup(test_nt, setup),
		cmocka_unit_test_setup(test_memory, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
