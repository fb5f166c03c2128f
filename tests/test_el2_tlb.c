// SPDX-License-Identifier: BSD-2-Clause
/*
 * The instructions of ports/el2/tlb.c against the checker: the port's own code, built for this
 * computer with tests/el2/insn.h in the place of its instructions, invalidates what is removed from
 * a sample tree, and the model says whether anything could still be cached. Then each case runs
 * again and again, each time with one more of its steps left out, and that must be noticed.
 *
 * CPU 1 runs the guest all the time. CPU 0 did, too, and now works for the hypervisor: with the
 * guest's VTTBR_EL2 or another guest's. The tree has pages, blocks, and a table with nothing in it:
 *
 *   root (4K, 16K)  [0] a table, A; [1] a block of level 2 (4K)
 *   A               [0] table P, [1] table Q, [2..7] blocks, [8] the empty table
 *   P, Q            pages: the first 320 and the last 320
 *
 * Values of VTCR_EL2 and the bits of descriptors were put together by hand from DDI 0487.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../check/format.h"
#include "../ports/el2/el2.h"
#include "../ports/el2/tlb.h"
#include "el2/insn.h"

#define MEMORY (1ull << 40) /* where no leaf leads */
#define OURS   (1ull << 48) /* VMIDs in VTTBR_EL2 */
#define OTHERS (2ull << 48)
#define HCR    0x80000001ull /* RW, VM */
#define LEAF   0x7fcull      /* AF, inner shareable, read and write, write-back; all may execute */
#define WRITE  0x80ull
#define PAGES  320

enum table {
	ROOT,
	A,
	P,
	Q,
	EMPTY,
	OTHER, /* the root of the other guest */
	TABLES
};

enum what {
	REMOVE,
	PROTECT, /* no writing any more */
	WIDEN,   /* writing again: the leaves start without */
	MAKE,
	NOTHING,
};

/* Steps that a case could do without. */
enum spare {
	NONE,
	STAGE1, /* nothing combined was made of these entries */
	PARTS,  /* a range cut in the midst of a block: one piece takes it */
};

/* Entries that change, and the operation that is said for them. Negative: from the end. */
struct part {
	uint8_t table, what, kind, flags;
	uint8_t level;
	int first;
	unsigned int n;
};

enum how {
	EACH, /* an operation for each part */
	ONE,  /* one, the first part's, for the range of all */
};

struct kase {
	const char *name;
	uint8_t spare; /* enum spare */
	uint8_t how;   /* enum how */
	struct part part[3];
};

static const struct granule {
	const char *name;
	uint8_t shift, top;
	uint64_t vtcr;
} granules[] = {
	{ "4K", 12, 2, 0x80053559 },  /* 39 bits in, 48 out */
	{ "16K", 14, 2, 0x8005b591 }, /* 47 bits */
	{ "64K", 16, 1, 0x80057556 }, /* 42 bits */
};

static const struct kase cases[] = {
	{ "page", NONE, EACH, { { P, REMOVE, S2_TLB_ENTRY, S2_TLB_LEAF, 0, 3, 1 } } },
	{ "last page", NONE, EACH, { { Q, REMOVE, S2_TLB_ENTRY, S2_TLB_LEAF, 0, -1, 1 } } },
	{ "block", NONE, EACH, { { A, REMOVE, S2_TLB_ENTRY, S2_TLB_LEAF, 1, 3, 1 } } },
	{ "large block", NONE, EACH, { { ROOT, REMOVE, S2_TLB_ENTRY, S2_TLB_LEAF, 2, 1, 1 } } },
	{ "protected page", NONE, EACH, { { P, PROTECT, S2_TLB_ENTRY, S2_TLB_LEAF, 0, 3, 1 } } },
	{ "one page as a range",
	  NONE,
	  EACH,
	  { { P, REMOVE, S2_TLB_RANGE, S2_TLB_LEAF, 0, 5, 1 } } },
	{ "pages", NONE, EACH, { { P, REMOVE, S2_TLB_RANGE, S2_TLB_LEAF, 0, 3, 7 } } },
	{ "many pages",
	  NONE,
	  EACH,
	  { { P, REMOVE, S2_TLB_RANGE, S2_TLB_LEAF, 0, -300, 300 },
	    { Q, REMOVE, S2_TLB_RANGE, S2_TLB_LEAF, 0, 5, 33 } } },
	{ "pages of two tables",
	  NONE,
	  ONE,
	  { { P, REMOVE, S2_TLB_RANGE, S2_TLB_LEAF, 0, -9, 9 },
	    { Q, REMOVE, S2_TLB_RANGE, S2_TLB_LEAF, 0, 0, 20 } } },
	{ "protected pages",
	  NONE,
	  EACH,
	  { { P, PROTECT, S2_TLB_RANGE, S2_TLB_LEAF, 0, -100, 100 } } },
	{ "blocks", NONE, EACH, { { A, REMOVE, S2_TLB_RANGE, S2_TLB_LEAF, 1, 3, 3 } } },
	{ "pages and blocks",
	  PARTS,
	  ONE,
	  { { Q, REMOVE, S2_TLB_RANGE, S2_TLB_LEAF, S2_LEVEL_ANY, -5, 5 },
	    { A, REMOVE, S2_TLB_RANGE, S2_TLB_LEAF, S2_LEVEL_ANY, 2, 2 } } },
	{ "table", NONE, EACH, { { A, REMOVE, S2_TLB_RANGE, 0, S2_LEVEL_ANY, 0, 1 } } },
	{ "empty table", STAGE1, EACH, { { A, REMOVE, S2_TLB_ENTRY, 0, S2_LEVEL_ANY, 8, 1 } } },
	{ "three operations",
	  NONE,
	  EACH,
	  { { P, REMOVE, S2_TLB_ENTRY, S2_TLB_LEAF, 0, 1, 1 },
	    { A, REMOVE, S2_TLB_RANGE, 0, S2_LEVEL_ANY, 1, 1 },
	    { A, REMOVE, S2_TLB_RANGE, S2_TLB_LEAF, 1, 4, 4 } } },
	{ "all",
	  NONE,
	  ONE,
	  { { P, REMOVE, S2_TLB_ALL, 0, S2_LEVEL_ANY, 1, 1 },
	    { A, REMOVE, S2_TLB_ALL, 0, S2_LEVEL_ANY, 0, 1 } } },
	{ "wider here",
	  STAGE1,
	  EACH,
	  { { P, WIDEN, S2_TLB_ENTRY, S2_TLB_LEAF | S2_TLB_LOCAL, 0, 3, 1 } } },
	{ "wider range here",
	  STAGE1,
	  EACH,
	  { { P, WIDEN, S2_TLB_RANGE, S2_TLB_LEAF | S2_TLB_LOCAL, 0, 3, 7 } } },
	{ "removed, and wider here",
	  NONE,
	  EACH,
	  { { P, REMOVE, S2_TLB_ENTRY, S2_TLB_LEAF, 0, 3, 1 },
	    { P, WIDEN, S2_TLB_ENTRY, S2_TLB_LEAF | S2_TLB_LOCAL, 0, 5, 1 } } },
	{ "made", NONE, EACH, { { A, MAKE, S2_TLB_PUBLISH, 0, S2_LEVEL_ANY, 9, 1 } } },
	{ "made and removed",
	  NONE,
	  EACH,
	  { { A, MAKE, S2_TLB_PUBLISH, 0, S2_LEVEL_ANY, 9, 1 },
	    { P, REMOVE, S2_TLB_ENTRY, S2_TLB_LEAF, 0, 3, 1 } } },
};

static unsigned int parts(const struct kase *kase)
{
	unsigned int n = 1;

	while (n < 3 && kase->part[n].n)
		n++;
	return n;
}

/* The machine */

enum step {
	STEP_TLBI,
	STEP_TLBI_WHOLE, /* of the VMID */
	STEP_TLBI_STAGE1,
	STEP_DSB,
	STEP_ISB,
	STEP_VTTBR,
};

static const struct granule *g;
static struct el2_port el2;
static struct s2c *model;
static struct chk_regime regime;
static uint64_t vttbr; /* of CPU 0 */
static uint64_t memory[TABLES << 13];
static unsigned int steps, whole, stage1, left_out, violations;
static enum step step_left_out;
static char first[32]; /* rule that was broken first */

static void report(void *ctx, const struct s2c_violation *violation)
{
	(void)ctx;
	if (!violations++)
		strncpy(first, violation->rule->id, sizeof(first) - 1);
}

static uint64_t table_pa(unsigned int table)
{
	return MEMORY + ((uint64_t)table << g->shift);
}

static int read_memory(void *ctx, uint64_t pa, void *buffer, size_t n)
{
	(void)ctx;
	if (pa < MEMORY || pa >= table_pa(TABLES))
		return -1;
	memcpy(buffer, (uint8_t *)memory + (pa - MEMORY), n);
	return 0;
}

static void tell(unsigned int cpu, unsigned int kind, unsigned int op, uint64_t address,
		 uint64_t value)
{
	struct s2c_event event = { .kind = (uint8_t)kind,
				   .op = (uint8_t)op,
				   .size = 3,
				   .cpu = (uint16_t)cpu,
				   .id = 1,
				   .address = address,
				   .value = value };

	if (s2c_event(model, &event))
		fail_msg("%s", s2c_error(model));
}

/* Counts a step of the port; 0: it is the one to leave out. */
static int step(enum step what)
{
	if (++steps == left_out)
		step_left_out = what;
	return steps != left_out;
}

void insn_tlbi_ipa(unsigned int how, uint64_t operand)
{
	static const uint8_t ops[] = {
		S2C_IPAS2E1IS,  S2C_IPAS2LE1IS,  S2C_IPAS2E1,  S2C_IPAS2LE1,
		S2C_RIPAS2E1IS, S2C_RIPAS2LE1IS, S2C_RIPAS2E1, S2C_RIPAS2LE1
	};

	if (step(STEP_TLBI))
		tell(0, S2C_TLBI, ops[how], operand, 0);
}

void insn_tlbi_vmalls12(unsigned int how)
{
	whole++;
	if (step(STEP_TLBI_WHOLE))
		tell(0, S2C_TLBI, how & INSN_LOCAL ? S2C_VMALLS12E1 : S2C_VMALLS12E1IS, 0, 0);
}

void insn_tlbi_vmalle1(unsigned int how)
{
	stage1++;
	if (step(STEP_TLBI_STAGE1))
		tell(0, S2C_TLBI, how & INSN_LOCAL ? S2C_VMALLE1 : S2C_VMALLE1IS, 0, 0);
}

void insn_dsb(enum insn_barrier what)
{
	static const uint8_t ops[] = { S2C_NSH, S2C_ISH, S2C_ISHST, S2C_SY };

	if (step(STEP_DSB))
		tell(0, S2C_DSB, ops[what], 0, 0);
}

void insn_isb(void)
{
	if (step(STEP_ISB))
		tell(0, S2C_ISB, 0, 0, 0);
}

uint64_t insn_read_vttbr(void)
{
	return vttbr;
}

void insn_write_vttbr(uint64_t value)
{
	if (!step(STEP_VTTBR))
		return;
	vttbr = value;
	tell(0, S2C_SYSREG, S2C_VTTBR_EL2, 0, value);
}

/* The tree */

static uint64_t *entry_at(unsigned int table, uint64_t index)
{
	return memory + (((uint64_t)table << g->shift) / 8) + index;
}

static unsigned int level_of(unsigned int table)
{
	return table == ROOT ? g->top : table == A ? 1 : 0;
}

/* With 64K, A is the root. */
static unsigned int place_of(unsigned int table)
{
	return table == A && g->top == 1 ? ROOT : table;
}

static uint64_t base_of(unsigned int table)
{
	return table == Q ? chk_size(&regime, 1) : 0;
}

static uint64_t leaf(unsigned int table, uint64_t index)
{
	unsigned int level = level_of(table);

	return (base_of(table) + index * chk_size(&regime, level)) | LEAF | (level ? 1 : 3);
}

static void fill(void)
{
	uint64_t n = 1ull << (g->shift - 3);
	unsigned int a = place_of(A);

	memset(memory, 0, sizeof(memory));
	if (a == A) {
		*entry_at(ROOT, 0) = table_pa(A) | 3;
		if (g->shift == 12)
			*entry_at(ROOT, 1) = leaf(ROOT, 1);
	}
	*entry_at(a, 0) = table_pa(P) | 3;
	*entry_at(a, 1) = table_pa(Q) | 3;
	*entry_at(a, 8) = table_pa(EMPTY) | 3;
	for (uint64_t i = 2; i < 8; i++)
		*entry_at(a, i) = leaf(A, i);
	for (uint64_t i = 0; i < n; i++) {
		if (i >= PAGES && i < n - PAGES)
			continue;
		*entry_at(P, i) = leaf(P, i);
		*entry_at(Q, i) = leaf(Q, i);
	}
}

static void run_on(unsigned int cpu, uint64_t value)
{
	tell(cpu, S2C_SYSREG, S2C_VTCR_EL2, 0, g->vtcr);
	tell(cpu, S2C_SYSREG, S2C_HCR_EL2, 0, HCR);
	tell(cpu, S2C_SYSREG, S2C_VTTBR_EL2, 0, value);
	tell(cpu, S2C_ISB, 0, 0, 0);
	tell(cpu, S2C_RUN, 0, 0, 0);
}

static void up(const struct granule *granule, uint32_t features, uint64_t loaded,
	       const struct kase *kase)
{
	struct s2c_config config = { .cpu = { .features = S2C_COHERENT, .pa_bits = 48 },
				     .report = report,
				     .read = read_memory };

	g = granule;
	if (features & S2_CPU_TLB_LEVEL)
		config.cpu.features |= S2C_TTL;
	el2 = (struct el2_port){ .cpu.features = features, .vttbr = OURS | table_pa(ROOT) };
	assert_null(chk_arm64_regime(&regime, &config.cpu, g->vtcr, el2.vttbr, HCR));
	assert_int_equal(regime.top, g->top);
	fill();
	for (unsigned int i = 0; i < parts(kase); i++) {
		const struct part *part = &kase->part[i];

		for (unsigned int n = 0; part->what == WIDEN && n < part->n; n++)
			*entry_at(part->table, (uint64_t)part->first + n) &= ~WRITE;
	}
	steps = whole = stage1 = violations = 0;
	model = s2c_new(&config);
	assert_non_null(model);
	run_on(1, el2.vttbr);
	run_on(0, el2.vttbr);
	tell(0, S2C_EXIT, 0, 0, 0);
	vttbr = loaded;
	if (loaded != el2.vttbr) {
		run_on(0, loaded);
		tell(0, S2C_EXIT, 0, 0, 0);
	}
	assert_int_equal(violations, 0);
}

/* Carrying out a case */

static uint64_t first_of(const struct part *part)
{
	uint64_t n = 1ull << (g->shift - 3);

	return part->first < 0 ? n - (uint64_t)-part->first : (uint64_t)part->first;
}

static void change(const struct part *part)
{
	unsigned int table = place_of(part->table);

	for (uint64_t i = first_of(part); i < first_of(part) + part->n; i++) {
		uint64_t *entry = entry_at(table, i), value = 0;

		if (part->what == PROTECT)
			value = *entry & ~WRITE;
		if (part->what == WIDEN)
			value = *entry | WRITE;
		if (part->what == MAKE)
			value = leaf(part->table, i);
		*entry = value;
		tell(0, S2C_WRITE, 0, table_pa(table) + i * 8, value);
	}
}

static void say(const struct part *part, struct s2_tlb_op *op)
{
	uint64_t size = chk_size(&regime, level_of(part->table));

	*op = (struct s2_tlb_op){ .kind = part->kind,
				  .flags = part->flags,
				  .level = el2.cpu.features & S2_CPU_TLB_LEVEL ? part->level
									       : S2_LEVEL_ANY,
				  .page_shift = g->shift,
				  .gpa = s2_gpa(base_of(part->table) + first_of(part) * size),
				  .size = part->n * size };
}

static void carry_out(const struct kase *kase)
{
	struct s2_tlb_op op[3];
	size_t n = 0;

	for (unsigned int i = 0; i < parts(kase); i++) {
		change(&kase->part[i]);
		say(&kase->part[i], &op[n++]);
	}
	if (kase->how == ONE) {
		op[0].size = op[n - 1].gpa.gpa + op[n - 1].size - op[0].gpa.gpa;
		n = 1;
	}
	el2_tlb(&el2, op, n);
	if (kase->part[parts(kase) - 1].what == WIDEN)
		tell(0, S2C_LOCAL, S2C_W, 0, 1ull << regime.ipa_bits);
	if (kase->part[0].what != WIDEN)
		tell(0, S2C_DONE, 0, 0, 1ull << regime.ipa_bits);
}

/* Runs a case with one step left out (0: none). Returns how many steps there were. */
static unsigned int run(const struct granule *granule, uint32_t features, int switched,
			const struct kase *kase, unsigned int without)
{
	uint64_t loaded;

	g = granule;
	loaded = switched ? OTHERS | table_pa(OTHER) : OURS | table_pa(ROOT);
	left_out = without;
	memset(first, 0, sizeof(first));
	up(granule, features, loaded, kase);
	carry_out(kase);
	if (!without)
		assert_int_equal(vttbr, loaded);
	s2c_free(model);
	return steps;
}

static int has(const struct granule *granule, const struct kase *kase)
{
	return kase->part[0].table != ROOT || granule->shift == 12;
}

/* Calls fn for each case under all that the CPU may have. */
static void each(void (*fn)(const struct granule *granule, uint32_t features, int switched,
			    const struct kase *kase))
{
	static const uint32_t features[] = { 0, S2_CPU_TLB_RANGE, S2_CPU_TLB_LEVEL,
					     S2_CPU_TLB_RANGE | S2_CPU_TLB_LEVEL };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t j = 0; j < sizeof(granules) / sizeof(granules[0]); j++)
			for (size_t n = 0; n < 8 && has(&granules[j], &cases[i]); n++)
				fn(&granules[j], features[n / 2], n % 2, &cases[i]);
}

static void clean(const struct granule *granule, uint32_t features, int switched,
		  const struct kase *kase)
{
	(void)run(granule, features, switched, kase, 0);
	if (violations)
		print_error("%s, %s, features 0x%x, %s VTTBR_EL2: %s\n", kase->name, granule->name,
			    features, switched ? "another's" : "its own", first);
	assert_int_equal(violations, 0);
}

static void test_clean(void **state)
{
	(void)state;
	each(clean);
}

/*
 * Is this step only for what the model does not know, or done twice? ISBs after which no TLBI
 * follows; going back to the other guest's registers (its own ERET comes with them); the second
 * half where nothing combined is left; TLBIs beside one of the whole VMID.
 */
static int unseen(const struct kase *kase, unsigned int number, unsigned int all, int switched)
{
	unsigned int tail = switched ? 3 : 1; /* ISB; or ISB, VTTBR_EL2, ISB */

	if (kase->part[parts(kase) - 1].kind == S2_TLB_PUBLISH)
		return 0; /* a DSB is all that is done */
	if (number > all - tail ||
	    ((whole || kase->spare == PARTS) && step_left_out == STEP_TLBI) ||
	    (whole > 1 && step_left_out == STEP_TLBI_WHOLE))
		return 1;
	/* DSB, TLBI VMALLE1, DSB come before that: one of the barriers is enough for stage 2. */
	return stage1 && (kase->spare == STAGE1 || whole) && number > all - tail - 3;
}

static void noticed(const struct granule *granule, uint32_t features, int switched,
		    const struct kase *kase)
{
	unsigned int all = run(granule, features, switched, kase, 0);

	/* Of a long row of TLBIs that are alike a few will do. */
	for (unsigned int i = 1; i <= all; i += i > 8 && i + 24 < all ? 13 : 1) {
		(void)run(granule, features, switched, kase, i);
		if (!violations && !unseen(kase, i, all, switched))
			fail_msg("%s, %s, features 0x%x, %s VTTBR_EL2: step %u of %u (%d) was left "
				 "out and nobody noticed",
				 kase->name, granule->name, features,
				 switched ? "another's" : "its own", i, all, step_left_out);
	}
}

static void test_left_out(void **state)
{
	(void)state;
	each(noticed);
}

/* One page, another guest's registers loaded: what is said of each step that is missing. */
static void test_rules(void **state)
{
	static const char *const rules[] = { "tlbi-early",     "tlbi-vmid",   "isb-missing",
					     "tlbi-missing",   "tlbi-stage1", "tlbi-stage1",
					     "tlbi-incomplete" };

	(void)state;
	for (unsigned int i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		(void)run(&granules[0], S2_CPU_TLB_LEVEL, 1, &cases[0], i + 1);
		assert_true(violations);
		assert_string_equal(first, rules[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
