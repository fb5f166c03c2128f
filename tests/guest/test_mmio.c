/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The emulated device: each width, extension and register, and what no syndrome describes.
 */
#include "access.h"

#define REG(name) (TEST_MMIO + TEST_REG_##name)

/* A read of the pattern (byte n is 0x80 + n) at offset n, by an instruction, and its result. */
static void pattern(probe_fn load, uint64_t n, uint64_t want, int line)
{
	struct probe p;

	if (check_eq_at(probe_enter(&p, load, REG(PATTERN) + n, 0, 0), 0, __FILE_NAME__, line,
			"taken"))
		check_eq_at(p.result, want, __FILE_NAME__, line, "value read");
}

static void loads(void)
{
	pattern(ld1, 0, 0x80, __LINE__);
	pattern(ld1, 0x3f, 0xbf, __LINE__);
	pattern(ld2, 2, 0x8382, __LINE__);
	pattern(ld4, 4, 0x87868584, __LINE__);
	pattern(ld8, 8, 0x8f8e8d8c8b8a8988, __LINE__);
	pattern(ld8, 0x38, 0xbfbebdbcbbbab9b8, __LINE__);
	pattern(ld4_acquire, 4, 0x87868584, __LINE__);
	pattern(ld8_acquire, 8, 0x8f8e8d8c8b8a8988, __LINE__);
	pattern(ld8_unscaled, 16, 0x8f8e8d8c8b8a8988, __LINE__);
}

static void sign_extension(void)
{
	pattern(ld1_sw, 1, 0xffffff81, __LINE__);
	pattern(ld1_sx, 1, 0xffffffffffffff81, __LINE__);
	pattern(ld2_sw, 2, 0xffff8382, __LINE__);
	pattern(ld2_sx, 2, 0xffffffffffff8382, __LINE__);
	pattern(ld4_sx, 4, 0xffffffff87868584, __LINE__);
	/* And of values that are positive. */
	poke(REG(SCRATCH), 0x123456784321657f);
	check_eq(ld1_sw(REG(SCRATCH), 0, 0), 0x7f);
	check_eq(ld1_sx(REG(SCRATCH), 0, 0), 0x7f);
	check_eq(ld2_sw(REG(SCRATCH), 0, 0), 0x657f);
	check_eq(ld2_sx(REG(SCRATCH), 0, 0), 0x657f);
	check_eq(ld4_sx(REG(SCRATCH), 0, 0), 0x4321657f);
}

/* A store of n bytes changes these and no others, and the device sees its value once. */
static void store(probe_fn insn, uint64_t offset, uint64_t value, uint64_t bytes, int line)
{
	uint64_t mask = bytes == 8 ? ~0ull : (1ull << bytes * 8) - 1;
	uint64_t word = REG(SCRATCH) + (offset & ~7ull), shift = offset % 8 * 8, writes;
	struct probe p;

	poke(word, 0x5a5a5a5a5a5a5a5a);
	writes = peek(REG(WRITES));
	if (!check_eq_at(probe_enter(&p, insn, REG(SCRATCH) + offset, value, 0), 0, __FILE_NAME__,
			 line, "taken"))
		return;
	check_eq_at(peek(REG(WRITES)), writes + 1, __FILE_NAME__, line, "writes");
	check_eq_at(peek(REG(LAST)), value & mask, __FILE_NAME__, line, "value written");
	check_eq_at(peek(REG(WIDTH)), bytes, __FILE_NAME__, line, "width");
	check_eq_at(peek(word), (0x5a5a5a5a5a5a5a5a & ~(mask << shift)) | (value & mask) << shift,
		    __FILE_NAME__, line, "scratch");
}

static void stores(void)
{
	uint64_t value = 0xfedcba9876543210;

	for (uint64_t n = 0; n < 8; n++)
		store(st1, 8 + n, value, 1, __LINE__);
	for (uint64_t n = 0; n < 8; n += 2)
		store(st2, 16 + n, value, 2, __LINE__);
	store(st4, 0, value, 4, __LINE__);
	store(st4, 4, value, 4, __LINE__);
	store(st8, 56, value, 8, __LINE__);
	store(st4_release, 4, value, 4, __LINE__);
	store(st8_release, 0, value, 8, __LINE__);
}

static void zero_register(void)
{
	struct probe p;
	uint64_t counter;

	store(st1_wzr, 1, 0, 1, __LINE__);
	store(st2_wzr, 2, 0, 2, __LINE__);
	store(st4_wzr, 4, 0, 4, __LINE__);
	store(st8_xzr, 0, 0, 8, __LINE__);
	/* A load into it happens, and changes no register: not SP, which has the same number. */
	poke(REG(COUNTER), 10);
	check_eq(probe_enter(&p, ld8_xzr, REG(COUNTER), 0, 0), 0);
	check_eq(p.result, REG(COUNTER));
	check_eq(probe_enter(&p, ld4_wzr, REG(SCRATCH), 0, 0), 0);
	check_eq(p.result, REG(SCRATCH));
	counter = peek(REG(COUNTER));
	check_eq(counter, 12);
}

static void every_register(void)
{
	uint64_t out[31], sum = 0;

	poke(REG(COUNTER), 0x8000000000000000);
	mmio_load_all(REG(COUNTER), (uint64_t)out, 0);
	for (uint64_t n = 0; n < 31; n++)
		check_eq(out[n], 0x8000000000000001 + n);
	sum = peek(REG(SUM));
	mmio_store_all(REG(SUM), 0, 0);
	check_eq(peek(REG(SUM)) - sum, 31 * 0x100 + 30 * 31 / 2);
	check_eq(peek(REG(LAST)), 0);
}

static void stage1_types(void)
{
	uint64_t device = window(1, TEST_MMIO, WINDOW_DEVICE);
	uint64_t nc = window(2, TEST_MMIO, WINDOW_NC);
	struct probe p;

	poke(device + TEST_REG_SCRATCH + 8, 0xabcdef);
	check_eq(peek(nc + TEST_REG_SCRATCH + 8), 0xabcdef);
	check_eq(peek(REG(SCRATCH) + 8), 0xabcdef);
	/* From EL0, too. */
	uint64_t user = window(1, TEST_MMIO, WINDOW_DEVICE | WINDOW_USER);

	check_eq(user_access(&p, u_st8, user + TEST_REG_SCRATCH + 16, 77), 1);
	check(ESR_IS_SVC(p.esr));
	check_eq(user_access(&p, u_ld8, user + TEST_REG_SCRATCH + 16, 0), 1);
	check(ESR_IS_SVC(p.esr));
	check_eq(p.x[0], 77);
}

static void no_register(void)
{
	struct probe p;
	int taken;

	taken = probe_enter(&p, ld8, REG(END), 0, 0);
	check_abort(taken, &p, 0, REG(END), ld8);
	taken = probe_enter(&p, st4, TEST_MMIO + 0xffc, 0, 0);
	check_abort(taken, &p, ABORT_WRITE, TEST_MMIO + 0xffc, st4);
}

static void undescribed(void)
{
	static const struct {
		probe_fn insn;
		unsigned int flags;
	} list[] = {
		{ ld_pair, 0 },           { st_pair, ABORT_WRITE }, { ld8_post, 0 },
		{ st8_pre, ABORT_WRITE }, { dc_zva, ABORT_WRITE },  { ld_exclusive, 0 },
	};
	uint64_t writes = peek(REG(WRITES));
	struct probe p;

	for (unsigned int i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		int taken = probe_enter(&p, list[i].insn, REG(SCRATCH), 1, 2);

		check_abort(taken, &p, list[i].flags, REG(SCRATCH), list[i].insn);
		check_eq(p.x[0], REG(SCRATCH));
	}
	check_eq(peek(REG(WRITES)), writes);
}

static void undescribed_atomics(void)
{
	static const probe_fn list[] = { ldadd8, ldadd4, swp8, swp1, cas8, cas_pair };
	struct probe p;

	for (unsigned int i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		int taken = probe_enter(&p, list[i], REG(SCRATCH), 1, 2);

		check_abort(taken, &p, ABORT_WRITE | ABORT_ANY_WNR, REG(SCRATCH), list[i]);
	}
}

static void prefetch_is_harmless(void)
{
	struct probe p;

	check_eq(probe_enter(&p, prefetch, REG(COUNTER), 0, 0), 0);
	check_eq(probe_enter(&p, prefetch, TEST_HOLE, 0, 0), 0);
	check_eq(probe_enter(&p, prefetch, machine.ram_base - 64, 0, 0), 0);
}

static void sums_job(struct cpu *cpu)
{
	for (uint64_t i = 0; i < 500; i++)
		st8(REG(SUM), cpu->id * 1000 + i, 0);
}

/* Each access of each CPU reaches the device exactly once. */
static void from_all_cpus(void)
{
	uint64_t sum = peek(REG(SUM)), want = 0;

	for (uint64_t n = 0; n < machine.ncpus; n++)
		want += 500 * n * 1000 + 499 * 500 / 2;
	check_eq(smp_run(machine.ncpus, sums_job), 0);
	check_eq(peek(REG(SUM)) - sum, want);
}

const struct test mmio_tests[] = {
	{ "MMIO reads of each width", loads, NEED_HYP },
	{ "MMIO reads with sign extension", sign_extension, NEED_HYP },
	{ "MMIO writes of each width", stores, NEED_HYP },
	{ "MMIO with the zero register", zero_register, NEED_HYP },
	{ "MMIO with each register", every_register, NEED_HYP },
	{ "MMIO through each stage-1 memory type and from EL0", stage1_types, NEED_HYP },
	{ "MMIO where the device has no register aborts", no_register, NEED_HYP },
	{ "MMIO that no syndrome describes aborts", undescribed, NEED_HYP },
	{ "MMIO by atomics aborts", undescribed_atomics, NEED_HYP | NEED_LSE },
	{ "prefetch of a device or of nothing is harmless", prefetch_is_harmless, NEED_HYP },
	{ "MMIO from all CPUs at once", from_all_cpus, NEED_HYP | NEED_SMP },
	{ NULL, NULL, 0 },
};
