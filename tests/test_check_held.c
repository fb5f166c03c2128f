// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the model says that TLBs may hold: of what stands in the tables, of what stood there, step
 * by step of an invalidation, and by range. Values are put together by hand from DDI 0487.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "stage2check.h"

#define VTCR  0x80023559ull /* 4K, 39 bits in, 40 out: level 2 (of ours), 1G entries */
#define HCR   0x400080000001ull
#define ROOT  0x40010000ull
#define L1    0x40011000ull
#define L0    0x40012000ull
#define OTHER 0x40013000ull
#define END   0x40014000ull
#define PAGE  0x80000000ull
#define RW    0x7dbull /* write-back, shareable, accessed; a page */
#define READ  0x75bull /* the same, not writable */
#define BLOCK 0x7d9ull
#define ALL   (1ull << 39)

static struct s2c *model;

static void on_violation(void *ctx, const struct s2c_violation *violation)
{
	(void)ctx;
	fail_msg("%s: %s", violation->rule->id, violation->text);
}

static void tell(struct s2c_event event)
{
	if (s2c_event(model, &event))
		fail_msg("%s", s2c_error(model));
}

static void put(uint64_t pa, uint64_t value)
{
	tell((struct s2c_event){ .kind = S2C_WRITE, .size = 3, .address = pa, .value = value });
}

static void event(unsigned int kind, unsigned int op, uint64_t address)
{
	tell((struct s2c_event){ .kind = (uint8_t)kind, .op = (uint8_t)op, .address = address });
}

static void tlbi(unsigned int op, uint64_t gpa)
{
	event(S2C_TLBI, op, gpa >> 12);
}

/* This CPU's registers are those of the guest. */
static void load(unsigned int cpu)
{
	const uint64_t value[] = {
		[S2C_VTCR_EL2] = VTCR, [S2C_VTTBR_EL2] = 1ull << 48 | ROOT, [S2C_HCR_EL2] = HCR
	};

	for (unsigned int i = 0; i < S2C_SYSREGS; i++)
		tell((struct s2c_event){ .kind = S2C_SYSREG,
					 .op = (uint8_t)i,
					 .cpu = (uint16_t)cpu,
					 .value = value[i] });
	tell((struct s2c_event){ .kind = S2C_ISB, .cpu = (uint16_t)cpu });
}

static void run(unsigned int cpu)
{
	load(cpu);
	tell((struct s2c_event){ .kind = S2C_RUN, .cpu = (uint16_t)cpu });
}

/* CPU 0 edits tables for gpa 0; nobody runs the guest yet. */
static int setup(void **state)
{
	struct s2c_config config = {
		.cpu = { .features = S2C_FWB_IMPLEMENTED | S2C_IDC | S2C_DIC | S2C_XNX | S2C_TTL,
			 .pa_bits = 40,
			 .bbm = 2 },
		.report = on_violation,
	};

	(void)state;
	model = s2c_new(&config);
	assert_non_null(model);
	for (uint64_t pa = ROOT; pa < END; pa += 8)
		put(pa, 0);
	put(L1, L0 | 3);
	put(ROOT, L1 | 3);
	load(0);
	event(S2C_DSB, S2C_ISH, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	s2c_free(model);
	return 0;
}

/* What TLBs may hold, as a text: kind, level, gpa, where to, rights, and CPUs. */
static const char *held(uint64_t gpa, uint64_t size, unsigned int which)
{
	static char text[2000];
	struct s2c_held_walk walk;
	struct s2c_held it;
	size_t n = 0;
	int ret;

	text[0] = '\0';
	if (s2c_held_begin(model, 1, gpa, size, which, &walk))
		return "refused";
	while ((ret = s2c_held_next(&walk, &it)) == 1) {
		const char *kind = it.kind == S2C_HELD_NOW       ? "now"
				   : it.kind == S2C_HELD_WIDENED ? "widened"
				   : it.kind == S2C_HELD_GONE    ? "gone"
								 : "narrowed";

		assert_int_equal(it.size, 1ull << (12 + 9 * it.level));
		assert_int_equal(it.kind == S2C_HELD_NOW, !it.broken.event);
		assert_true(it.made.event);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s L%u %llx to %llx",
				      n ? ", " : "", kind, it.level, (unsigned long long)it.gpa,
				      (unsigned long long)it.pa);
		if (it.is_table)
			n += (size_t)snprintf(text + n, sizeof(text) - n, " table %llx",
					      (unsigned long long)it.table);
		else
			n += (size_t)snprintf(text + n, sizeof(text) - n, " r%x on %llx+%llx",
					      it.rights, (unsigned long long)it.leaf,
					      (unsigned long long)it.combined);
		if (it.issued | it.issued_combined)
			n += (size_t)snprintf(text + n, sizeof(text) - n, " issued %llx+%llx",
					      (unsigned long long)it.issued,
					      (unsigned long long)it.issued_combined);
	}
	assert_int_equal(ret, 0);
	assert_true(n < sizeof(text));
	return text;
}

/* What stands there; who may hold it; what of it is in a range. */
static void test_now(void **state)
{
	(void)state;
	assert_string_equal(held(0, ALL, S2C_HELD_NOW), "refused"); /* it never ran */
	put(L0 + 8, PAGE | RW);
	put(L0 + 16, (PAGE + 0x1000) | (RW & ~0x400ull)); /* no access flag: in no TLB */
	put(L1 + 8, (PAGE + 0x200000) | BLOCK);
	run(1);
	assert_string_equal(held(0, ALL, S2C_HELD_NOW),
			    "now L2 0 to 40011000 table 2, now L1 0 to 40012000 table 2, "
			    "now L0 1000 to 80000000 rf on 2+2, now L1 200000 to 80200000 rf on "
			    "2+2");
	run(3);
	assert_string_equal(held(0x1fff, 1, S2C_HELD_NOW),
			    "now L2 0 to 40011000 table a, now L1 0 to 40012000 table a, "
			    "now L0 1000 to 80000000 rf on a+a");
	assert_string_equal(held(0x201000, 0x1000, S2C_HELD_NOW),
			    "now L2 0 to 40011000 table a, now L1 200000 to 80200000 rf on a+a");
	assert_string_equal(held(0x2000, 0x1fe000, S2C_HELD_NOW),
			    "now L2 0 to 40011000 table a, now L1 0 to 40012000 table a");
	assert_string_equal(held(0, ALL, S2C_HELD_OLD), "");
	assert_string_equal(held(ALL, 0x1000, S2C_HELD_NOW), "refused");
	assert_string_equal(held(0, 0, S2C_HELD_NOW), "refused");
	assert_string_equal(held(0x1000, ~0ull, S2C_HELD_NOW), "refused");
	assert_string_equal(held(ALL - 1, 0x1000, S2C_HELD_NOW), "");
}

/* A page goes, step by step. CPU 0 did it, CPUs 1 and 3 ran. */
static void test_gone(void **state)
{
	(void)state;
	put(L0 + 8, PAGE | RW);
	run(1);
	run(3);
	put(L0 + 8, 0);
	assert_string_equal(held(0x1000, 0x1000, S2C_HELD_OLD),
			    "gone L0 1000 to 80000000 rf on a+a");
	assert_string_equal(held(0x1000, 0x1000, S2C_HELD_NARROWED | S2C_HELD_WIDENED), "");
	tlbi(S2C_IPAS2E1IS, 0x1000); /* the store is not visible: too early */
	assert_string_equal(held(0x1000, 0x1000, S2C_HELD_OLD),
			    "gone L0 1000 to 80000000 rf on a+a");
	event(S2C_DSB, S2C_ISHST, 0);
	tlbi(S2C_IPAS2E1IS, 0x2000);
	assert_string_equal(held(0x1000, 0x1000, S2C_HELD_OLD),
			    "gone L0 1000 to 80000000 rf on a+a");
	tlbi(S2C_IPAS2E1IS, 0x1000);
	assert_string_equal(held(0x1000, 0x1000, S2C_HELD_OLD),
			    "gone L0 1000 to 80000000 rf on a+a issued a+0");
	event(S2C_DSB, S2C_ISH, 0);
	assert_string_equal(held(0x1000, 0x1000, S2C_HELD_OLD),
			    "gone L0 1000 to 80000000 rf on 0+a");
	tlbi(S2C_VMALLE1IS, 0);
	assert_string_equal(held(0x1000, 0x1000, S2C_HELD_OLD),
			    "gone L0 1000 to 80000000 rf on 0+a issued 0+a");
	event(S2C_DSB, S2C_ISH, 0);
	assert_string_equal(held(0x1000, 0x1000, S2C_HELD_OLD), "");
}

/* Other rights, and a TLBI of one CPU; a table with what is in it. */
static void test_old(void **state)
{
	struct s2c_event local = { .kind = S2C_TLBI, .op = S2C_VMALLS12E1, .cpu = 1 };
	struct s2c_event barrier = { .kind = S2C_DSB, .op = S2C_NSH, .cpu = 1 };

	(void)state;
	put(L0 + 8, PAGE | RW);
	put(L0 + 16, (PAGE + 0x1000) | READ);
	run(1);
	run(3);
	put(L0 + 8, PAGE | READ);
	put(L0 + 16, (PAGE + 0x1000) | RW);
	event(S2C_DSB, S2C_ISHST, 0);
	assert_string_equal(held(0, ALL, S2C_HELD_OLD), "narrowed L0 1000 to 80000000 rf on a+a, "
							"widened L0 2000 to 80001000 rd on a+a");
	tell(local);
	assert_string_equal(held(0, ALL, S2C_HELD_NARROWED),
			    "narrowed L0 1000 to 80000000 rf on a+a issued 2+2");
	tell(barrier);
	assert_string_equal(held(0, ALL, S2C_HELD_OLD), "narrowed L0 1000 to 80000000 rf on 8+8, "
							"widened L0 2000 to 80001000 rd on 8+8");
	put(L1, 0);
	assert_string_equal(held(0x1000, 0x1000, S2C_HELD_OLD | S2C_HELD_NOW),
			    "now L2 0 to 40011000 table a, gone L1 0 to 40012000 table a, "
			    "gone L0 1000 to 80000000 rd on a+a, "
			    "gone L0 1000 to 80000000 rf on 8+8");
	event(S2C_DSB, S2C_ISHST, 0);
	tlbi(S2C_VMALLS12E1IS, 0);
	event(S2C_DSB, S2C_ISH, 0);
	assert_string_equal(held(0, ALL, S2C_HELD_OLD), "");
}

/* A block that is split in place is held beside its pages, and a TLBI by their level leaves it. */
static void test_split(void **state)
{
	(void)state;
	put(L1 + 8, PAGE | BLOCK);
	run(1);
	put(OTHER, PAGE | RW);
	put(OTHER + 8, (PAGE + 0x1000) | RW);
	event(S2C_DSB, S2C_ISHST, 0);
	put(L1 + 8, OTHER | 3);
	event(S2C_DSB, S2C_ISHST, 0);
	assert_string_equal(held(0x200000, 0x1000, S2C_HELD_OLD | S2C_HELD_NOW),
			    "now L2 0 to 40011000 table 2, now L1 200000 to 40013000 table 2, "
			    "gone L1 200000 to 80000000 rf on 2+2, "
			    "now L0 200000 to 80000000 rf on 2+2");
	event(S2C_TLBI, S2C_IPAS2E1IS, 7ull << 44 | 0x200);
	event(S2C_DSB, S2C_ISH, 0);
	assert_string_equal(held(0x3ff000, 0x1000, S2C_HELD_OLD),
			    "gone L1 200000 to 80000000 rf on 2+2");
	event(S2C_TLBI, S2C_IPAS2E1IS, 6ull << 44 | 0x200);
	assert_string_equal(held(0x3ff000, 0x1000, S2C_HELD_OLD),
			    "gone L1 200000 to 80000000 rf on 2+2 issued 2+0");
	event(S2C_DSB, S2C_ISH, 0);
	tlbi(S2C_VMALLE1IS, 0);
	event(S2C_DSB, S2C_ISH, 0);
	assert_string_equal(held(0, ALL, S2C_HELD_OLD), "");
}

/* A walk through a part finds what one through all of it finds there, in the same order. */
static void test_parts(void **state)
{
	struct s2c_held_walk all, part;
	struct s2c_held a, b;
	uint64_t draw = 1;

	(void)state;
	for (uint64_t i = 0; i < 512; i += 3) {
		put(L0 + i * 8, (PAGE + i * 0x1000) | RW);
		put(OTHER + i * 8, (PAGE + i * 0x1000) | READ);
	}
	put(L1 + 8, OTHER | 3);
	put(L1 + 24, (PAGE + 0x600000) | BLOCK);
	run(1);
	for (uint64_t i = 0; i < 512; i += 6)
		put(L0 + i * 8, (PAGE + i * 0x1000) | (i % 4 ? READ : 0));
	put(L1 + 8, 0);
	put(L1 + 24, 0);
	for (unsigned int round = 0; round < 400; round++) {
		unsigned int which = (round & 15) + 1;
		uint64_t gpa, size;

		draw = draw * 6364136223846793005ull + 1442695040888963407ull;
		gpa = (draw >> 33) % 0x900000;
		size = 1 + (draw >> 12) % (round % 2 ? 0x900000 : 0x3000);
		assert_int_equal(s2c_held_begin(model, 1, 0, ALL, which, &all), 0);
		assert_int_equal(s2c_held_begin(model, 1, gpa, size, which, &part), 0);
		while (s2c_held_next(&all, &a) == 1) {
			if (a.gpa > gpa + (size - 1) || a.gpa + (a.size - 1) < gpa)
				continue;
			assert_int_equal(s2c_held_next(&part, &b), 1);
			assert_memory_equal(&a, &b, sizeof(a));
		}
		assert_int_equal(s2c_held_next(&part, &b), 0);
	}
	/* An event ends a walk. */
	assert_int_equal(s2c_held_begin(model, 1, 0, ALL, S2C_HELD_NOW, &all), 0);
	assert_int_equal(s2c_held_next(&all, &a), 1);
	event(S2C_ISB, 0, 0);
	assert_int_equal(s2c_held_next(&all, &a), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_now, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old, setup, teardown),
		cmocka_unit_test_setup_teardown(test_split, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parts, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
