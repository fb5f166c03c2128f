// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the model does beyond its rules (those are tests/rules): memory that it reads for itself,
 * pages that it wants watched, the golden walker, machines that are not Arm's, what a report holds,
 * and events that make no sense. Values are put together by hand from DDI 0487.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "format.h"

#define VTCR  0x80023559ull /* 4K, 39 bits in, 40 out: level 2 (of ours), 1G entries */
#define HCR   0x400080000001ull
#define ROOT  0x40010000ull
#define L1    0x40011000ull
#define L0    0x40012000ull
#define OTHER 0x40013000ull
#define END   0x40014000ull
#define PAGE  0x80000000ull
#define RW    0x7dbull /* write-back, shareable, accessed; a page */
#define BLOCK 0x7d9ull

static struct s2c *model;
static uint64_t memory[(END - ROOT) / 8]; /* for models that read */
static int watched[(END - ROOT) / 0x1000];
static unsigned int found;
static struct s2c_violation last;

static void on_violation(void *ctx, const struct s2c_violation *violation)
{
	assert_ptr_equal(ctx, &found);
	found++;
	last = *violation;
}

static int on_read(void *ctx, uint64_t pa, void *buffer, size_t n)
{
	assert_ptr_equal(ctx, &found);
	assert_int_equal(pa >> 12, (pa + n - 1) >> 12);
	if (pa < ROOT || pa + n > END)
		return -1;
	memcpy(buffer, (char *)memory + (pa - ROOT), n);
	return 0;
}

static void on_watch(void *ctx, uint64_t pa, int on)
{
	assert_ptr_equal(ctx, &found);
	assert_int_equal(pa & 0xfff, 0);
	assert_in_range(pa, ROOT, END - 1);
	watched[(pa - ROOT) >> 12] = on;
}

enum source {
	REMEMBERS,
	READS
};

static void start(enum source source)
{
	struct s2c_config config = {
		.cpu = { .features = S2C_FWB_IMPLEMENTED | S2C_IDC | S2C_DIC | S2C_XNX | S2C_TTL,
			 .pa_bits = 40 },
		.ctx = &found,
		.report = on_violation,
	};

	if (source == READS) {
		config.read = on_read;
		config.watch = on_watch;
	}
	found = 0;
	memset(memory, 0, sizeof(memory));
	memset(watched, 0, sizeof(watched));
	model = s2c_new(&config);
	assert_non_null(model);
}

static int teardown(void **state)
{
	(void)state;
	s2c_free(model);
	model = NULL;
	return 0;
}

static void tell(struct s2c_event event)
{
	if (s2c_event(model, &event))
		fail_msg("%s", s2c_error(model));
}

static void put(uint64_t pa, uint64_t value)
{
	if (pa >= ROOT && pa < END)
		memory[(pa - ROOT) / 8] = value;
	tell((struct s2c_event){
		.kind = S2C_WRITE, .size = 3, .address = pa, .value = value, .pc = 0x1234 });
}

static void event(unsigned int kind, unsigned int op, uint64_t address)
{
	tell((struct s2c_event){ .kind = (uint8_t)kind, .op = (uint8_t)op, .address = address });
}

static void run(unsigned int cpu)
{
	const uint64_t value[] = {
		[S2C_VTCR_EL2] = VTCR, [S2C_VTTBR_EL2] = 1ull << 48 | ROOT, [S2C_HCR_EL2] = HCR
	};

	for (unsigned int i = 0; i < S2C_SYSREGS; i++)
		tell((struct s2c_event){ .kind = S2C_SYSREG,
					 .op = (uint8_t)i,
					 .cpu = (uint16_t)cpu,
					 .value = value[i] });
	tell((struct s2c_event){ .kind = S2C_RUN, .cpu = (uint16_t)cpu });
}

/* Tables for gpa 0, known word by word. */
static void tables(void)
{
	for (uint64_t pa = ROOT; pa < END; pa += 8)
		put(pa, 0);
	put(L1, L0 | 3);
	put(ROOT, L1 | 3);
	event(S2C_DSB, S2C_ISH, 0);
}

static void clean(void)
{
	if (found)
		fail_msg("%s: %s", last.rule->id, last.text);
}

static void broke(const char *rule)
{
	assert_int_equal(found, 1);
	assert_string_equal(last.rule->id, rule);
}

/* Tables are read where they are found, and their pages watched as long as they matter. */
static void test_read(void **state)
{
	(void)state;
	start(READS);
	memory[0] = L1 | 3;
	memory[(L1 - ROOT) / 8] = L0 | 3;
	memory[(L0 - ROOT) / 8 + 5] = PAGE | RW;
	run(1);
	clean();
	assert_true(watched[0] && watched[1] && watched[2] && !watched[3]);
	memory[(OTHER - ROOT) / 8] = PAGE | RW;
	put(L1 + 8, OTHER | 3);
	assert_true(watched[3]);
	put(L1, 0);
	assert_true(watched[2]); /* a walker may still come there */
	event(S2C_DSB, S2C_ISH, 0);
	run(0);
	event(S2C_EXIT, 0, 0);
	event(S2C_TLBI, S2C_VMALLS12E1IS, 0);
	event(S2C_DSB, S2C_ISH, 0);
	put(L0, 0x21);
	assert_false(watched[2]); /* data, and nobody comes any more */
	clean();
	put(L0, PAGE | RW);
	clean();
}

static void test_read_fails(void **state)
{
	(void)state;
	start(READS);
	run(1);
	put(ROOT, 0x50000000 | 3);
	broke("output-size");
	assert_int_equal(last.entry, ROOT);
}

static void translates(uint64_t gpa, uint64_t pa, unsigned int level, unsigned int rights)
{
	struct s2c_leaf leaf;

	assert_int_equal(s2c_translate(model, 1, gpa, &leaf), 0);
	assert_true(leaf.mapped);
	assert_int_equal(leaf.pa, pa);
	assert_int_equal(leaf.level, level);
	assert_int_equal(leaf.rights, rights);
}

static void faults(uint64_t gpa, unsigned int fault)
{
	struct s2c_leaf leaf;

	assert_int_equal(s2c_translate(model, 1, gpa, &leaf), 0);
	assert_int_equal(leaf.fault, fault);
}

static void test_translate(void **state)
{
	const unsigned int all = S2C_R | S2C_W | S2C_X | S2C_XP;
	struct s2c_leaf leaf;

	(void)state;
	start(REMEMBERS);
	assert_int_equal(s2c_translate(model, 1, 0, &leaf), -1); /* it never ran */
	tables();
	run(1);
	put(L0 + 8, PAGE | RW);
	put(L0 + 16, (PAGE + 0x2000) | (RW & ~0x80ull) | 1ull << 53); /* no W, X at EL0 */
	put(L0 + 24, PAGE | (RW & ~0x400ull));                        /* not accessed */
	put(L1 + 8, (PAGE + 0x200000) | BLOCK);
	put(ROOT + 8, 0xc0000000 | BLOCK);
	event(S2C_DSB, S2C_ISH, 0);
	clean();
	translates(0x1abc, PAGE + 0xabc, 0, all);
	translates(0x2000, PAGE + 0x2000, 0, S2C_R | S2C_X);
	translates(0x234567, PAGE + 0x234567, 1, all);
	translates(0x40000000 + 0x12345678, 0xc0000000 + 0x12345678, 2, all);
	faults(0, S2C_FAULT_TRANSLATION);
	faults(0x80000000, S2C_FAULT_TRANSLATION);
	faults(0x3000, S2C_FAULT_ACCESS_FLAG);
	assert_int_equal(s2c_translate(model, 1, 1ull << 39, &leaf), -1);
	assert_int_equal(s2c_translate(model, 2, 0, &leaf), -1);
	assert_int_equal(s2c_translate(model, 1, 0x1000, &leaf), 0);
	assert_int_equal(leaf.entry, L0 + 8);
	assert_int_equal(leaf.value, PAGE | RW);
	assert_int_equal(leaf.memattr, 6);
	put(L0 + 32, PAGE | BLOCK); /* 0b01 in the level of pages */
	broke("reserved");
	faults(0x4000, S2C_FAULT_RESERVED);
	found = 0;
	put(L0 + 40, 1ull << 40 | RW);
	broke("output-size");
	faults(0x5000, S2C_FAULT_ADDRESS_SIZE);
}

/* A format of nobody's: bit 63 a leaf, bit 62 a table, and all rights. */
static struct chk_desc toy_decode(const struct chk_regime *regime, unsigned int level, uint64_t raw)
{
	struct chk_desc desc = { .pa = raw & 0xfffffffff000, .af = 1 };

	(void)regime;
	(void)level;
	if (raw >> 63)
		desc.kind = CHK_LEAF;
	else if (raw >> 62)
		desc.kind = CHK_TABLE;
	desc.rights = desc.kind == CHK_LEAF ? S2C_R | S2C_W | S2C_X | S2C_XP : 0;
	return desc;
}

static void test_foreign(void **state)
{
	const struct chk_regime toy = { .decode = toy_decode,
					.root = ROOT,
					.vmid = 7,
					.page_shift = 12,
					.stride = 9,
					.top = 1,
					.ipa_bits = 30,
					.pa_bits = 48,
					.fwb = 1 };
	struct s2c_leaf leaf;
	unsigned int level;
	uint64_t gpa;

	(void)state;
	start(REMEMBERS);
	for (uint64_t pa = ROOT; pa < END; pa += 8)
		put(pa, 0);
	put(L1 + 16, 1ull << 63 | PAGE);
	event(S2C_DSB, S2C_ISH, 0);
	put(ROOT + 8, 1ull << 62 | L1);
	assert_int_equal(chk_place(model, L1, &gpa, &level), 0);
	assert_int_equal(chk_start(model, 6, &toy), 0);
	assert_int_equal(chk_place(model, L1 + 16, &gpa, &level), 1);
	assert_int_equal(gpa, 0x202000);
	assert_int_equal(level, 0);
	assert_int_equal(s2c_translate(model, 7, 0x202123, &leaf), 0);
	assert_int_equal(leaf.pa, PAGE + 0x123);
	put(L1 + 16, 0);
	event(S2C_DSB, S2C_ISH, 0);
	tell((struct s2c_event){ .kind = S2C_INVAL,
				 .id = 7,
				 .op = S2C_LEVEL_ANY,
				 .address = 0x202000,
				 .value = 0x1000 });
	event(S2C_DSB, S2C_ISH, 0);
	put(L1 + 16, 1ull << 63 | 0x90000000);
	clean();
	put(L1 + 16, 1ull << 63 | PAGE);
	broke("bbm-output");
	assert_int_equal(last.vmid, 7);
	found = 0;
	put(L1 + 16, 0);
	put(L1 + 16, 1ull << 63 | 0x90000000);
	broke("tlbi-missing");
	assert_int_equal(last.cached.leaf, 6);
}

/* What a report holds: who, what, since when, who may have it, and what led to it. */
static void test_report(void **state)
{
	struct s2c_stats stats;

	(void)state;
	start(REMEMBERS);
	tables();
	put(L0, PAGE | RW);
	run(1);
	run(2);
	run(0);
	event(S2C_EXIT, 0, 0);
	s2c_stats(model, &stats);
	put(L0, 0);
	event(S2C_TLBI, S2C_VMALLS12E1IS, 0); /* too early */
	event(S2C_DSB, S2C_ISH, 0);
	put(L0, 0x90000000 | RW);
	broke("tlbi-early");
	assert_int_equal(last.now.event, stats.events + 4);
	assert_int_equal(last.now.pc, 0x1234);
	assert_int_equal(last.cause.event, stats.events + 2);
	assert_int_equal(last.vmid, 1);
	assert_int_equal(last.root, ROOT);
	assert_int_equal(last.gpa, 0);
	assert_int_equal(last.entry, L0);
	assert_int_equal(last.value, 0x90000000 | RW);
	assert_true(last.has_cached);
	assert_int_equal(last.cached.value, PAGE | RW);
	assert_int_equal(last.cached.size, 0x1000);
	assert_int_equal(last.cached.leaf, 7);
	assert_int_equal(last.cached.combined, 7);
	assert_int_equal(last.cached.table, 0);
	assert_int_equal(last.cached.broken.event, stats.events + 1);
	assert_in_range(last.nhistory, 4, S2C_HISTORY);
	assert_int_equal(last.number[last.nhistory - 1], last.now.event);
	assert_int_equal(last.history[last.nhistory - 4].value, 0);
	for (uint32_t i = 1; i < last.nhistory; i++)
		assert_true(last.number[i - 1] < last.number[i]);
}

/* Found while nobody runs the tree: counted, held back, and said when somebody does. */
static void test_suspended(void **state)
{
	struct s2c_stats stats;

	(void)state;
	start(REMEMBERS);
	tables();
	put(L0, PAGE | RW);
	event(S2C_DSB, S2C_ISH, 0);
	run(0);
	event(S2C_EXIT, 0, 0);
	put(L0, 0x90000000 | RW);
	clean();
	s2c_stats(model, &stats);
	assert_int_equal(stats.suspended, 1);
	assert_int_equal(stats.violations, 0);
	event(S2C_RUN, 0, 0);
	broke("bbm-output");
	s2c_stats(model, &stats);
	assert_int_equal(stats.violations, 1);
	event(S2C_EXIT, 0, 0);
	event(S2C_RUN, 0, 0);
	assert_int_equal(found, 1);
}

static void test_nonsense(void **state)
{
	static const struct s2c_event events[] = {
		{ .kind = S2C_KINDS },
		{ .kind = S2C_ISB, .cpu = S2C_CPUS },
		{ .kind = S2C_WRITE, .size = 4, .address = ROOT },
		{ .kind = S2C_WRITE, .size = 3, .address = ROOT + 4 },
		{ .kind = S2C_INIT, .address = ROOT + 1 },
		{ .kind = S2C_INIT, .address = ROOT }, /* in use */
		{ .kind = S2C_SYSREG, .op = S2C_SYSREGS },
		{ .kind = S2C_TLBI, .op = S2C_TLBIS },
		{ .kind = S2C_INVAL, .id = 1, .op = 9 },
		{ .kind = S2C_INVAL, .id = 1, .op = S2C_LEVEL_ANY, .address = ~0ull, .value = 2 },
		{ .kind = S2C_DSB, .op = S2C_BARRIERS },
		{ .kind = S2C_DMB, .op = S2C_BARRIERS },
		{ .kind = S2C_DC, .op = S2C_DCS, .address = PAGE, .value = 64 },
		{ .kind = S2C_DC, .op = S2C_CIVAC, .address = PAGE },
		{ .kind = S2C_DC, .op = S2C_CIVAC, .address = 1ull << 56, .value = 64 },
		{ .kind = S2C_DC, .op = S2C_ZVA, .address = PAGE + 1, .value = 64 },
		{ .kind = S2C_IC, .address = ~0ull, .value = 2 },
		{ .kind = S2C_FREE, .address = PAGE },
		{ .kind = S2C_TAKE, .address = ~0ull, .value = 2 },
		{ .kind = S2C_OWN, .address = PAGE },
	};
	struct s2c_leaf leaf;

	(void)state;
	start(REMEMBERS);
	tables();
	put(L0, PAGE | RW);
	run(1);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (!s2c_event(model, &events[i]))
			fail_msg("event %zu was taken", i);
		assert_int_not_equal(s2c_error(model)[0], 0);
	}
	clean();
	assert_int_equal(s2c_translate(model, 1, 0, &leaf), 0);
	assert_int_equal(leaf.pa, PAGE);
	event(S2C_ISB, 0, 0);
	assert_string_equal(s2c_error(model), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_read, teardown),
		cmocka_unit_test_teardown(test_read_fails, teardown),
		cmocka_unit_test_teardown(test_translate, teardown),
		cmocka_unit_test_teardown(test_foreign, teardown),
		cmocka_unit_test_teardown(test_report, teardown),
		cmocka_unit_test_teardown(test_suspended, teardown),
		cmocka_unit_test_teardown(test_nonsense, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
