// SPDX-License-Identifier: BSD-2-Clause
/*
 * The simulated host's memory manager (ports/sim/mm.h): holds and private memory, by themselves,
 * and that the host's own checks can fail.
 */
#include <string.h>

#include "mm_fixture.h"

static uint32_t failures(const char *rule)
{
	uint32_t n = f->sim.failures;

	if (n)
		assert_int_equal(strncmp(f->sim.failure, rule, strlen(rule)), 0);
	f->sim.failures = 0;
	return n;
}

/* A device works in a page again and again, wherever it is meanwhile. */
static void test_holds(void **state)
{
	static const unsigned int both[] = { 0, 1 }, other[] = { 1 }, registers[] = { 2 };

	(void)state;
	up();
	area_at(MM_ANON, HVA, 100, GPA, NULL);
	map_area(mm_device(&mm, HVA + GIB, 8, 1ull << 40, S2_MEM_DEVICE), OTHER);
	put(GPA, 7);
	mm_hold_aim(&mm, 0, GPA + 5, S2_ACCESS_WRITE);
	mm_hold_aim(&mm, 1, GPA + PAGE, S2_ACCESS_READ);
	mm_hold_aim(&mm, 2, OTHER, S2_ACCESS_READ);
	assert_int_equal(mm_hold_work(&mm, both, 2, 8), 0);
	assert_int_equal(mm.held[MM_HOLD_STALE], 1); /* used alone instead */
	assert_int_equal(mm.held[MM_HOLD_USED], 2);
	assert_int_equal(mm_hold_work(&mm, both, 2, 9), 0);
	assert_int_equal(mm.held[MM_HOLD_TRIED], 1);
	get(GPA, HVA, 9);
	op(MM_OP_MIGRATE, HVA);
	assert_int_equal(mm_hold_work(&mm, both, 1, 10), 0);
	assert_int_equal(mm.held[MM_HOLD_MOVED], 1);
	get(GPA, HVA, 10);
	assert_int_equal(mm_hold_work(&mm, registers, 1, 0), S2_EINVAL);
	while (page_at(HVA + PAGE)->mapped)
		op(MM_OP_UNMAP, HVA + PAGE);
	assert_int_equal(mm_hold_work(&mm, other, 1, 0), S2_ENOENT);
	assert_int_equal(mm.held[MM_HOLD_DENIED], 2);
	assert_int_equal(page_at(HVA)->held, 0);
	down();
}

/* Private memory has contents of its own, and no other way leads there. */
static void test_private(void **state)
{
	static const unsigned int hold[] = { 0 };
	static uint8_t attrs[100];
	const uint64_t priv = 1ull << 63;
	struct mm_access shared = { .gpa = GPA, .view = S2_VIEW_SHARED };

	(void)state;
	up();
	mm_area(&mm, MM_ANON, HVA, 100, S2_RWX, NULL, 0);
	mm_area(&mm, MM_ANON, priv, 100, S2_RWX, NULL, 0);
	memset(attrs, 0, sizeof(attrs));
	slot[nslots++] = (struct s2_memslot){ .gpa = s2_gpa(GPA),
					      .hva = s2_hva(HVA),
					      .priv = s2_hva(priv),
					      .size = 100 * PAGE,
					      .flags = S2_SLOT_PRIVATE,
					      .attrs = attrs };
	assert_int_equal(s2_vm_slot_add(&f->vm, &slot[0]), 0);
	put(GPA, 7);
	mm_hold_aim(&mm, 0, GPA, S2_ACCESS_READ);
	assert_int_equal(mm_hold_work(&mm, hold, 1, 0), 0);
	assert_int_equal(s2_vm_set_attrs(&f->vm, s2_gpa(GPA), PAGE, S2_PAGE_PRIVATE, 0, &f->other),
			 0);
	get(GPA, priv, 0);
	put(GPA, 8);
	assert_int_equal(mm.privately, 2);
	/* It is mapped; who means it otherwise leaves all the same. */
	assert_int_equal(mm_guest_access(&mm, &shared, &f->exit), MM_EXIT);
	assert_int_equal(f->exit.reason, S2_EXIT_MEMORY);
	assert_int_equal(f->exit.error, S2_EPERM);
	assert_int_equal(f->exit.attrs, S2_PAGE_PRIVATE);
	assert_int_equal(mm_hold_work(&mm, hold, 1, 0), S2_EPERM);
	op(MM_OP_MIGRATE, priv);
	get(GPA, priv, 8);
	assert_int_equal(s2_vm_set_attrs(&f->vm, s2_gpa(GPA), PAGE, 0, S2_PAGE_PRIVATE, &f->other),
			 0);
	assert_int_equal(mm_guest_access(&mm, &shared, &f->exit), MM_DONE);
	get(GPA, HVA, 7);
	assert_int_equal(mm_hold_work(&mm, hold, 1, 0), 0);
	/* Found out: the page became private, or read-only, and nobody was told. */
	f->sim.keep = 1;
	attrs[0] = S2_PAGE_PRIVATE;
	mm_audit_guest(&mm, &f->other);
	assert_int_not_equal(failures("mm-guest"), 0);
	attrs[0] = S2_PAGE_NOWRITE;
	mm_audit_guest(&mm, &f->other);
	assert_int_not_equal(failures("mm-guest"), 0);
	attrs[0] = 0;
	f->sim.keep = 0;
	down();
}

/* A host that does not ask is found out: by the checker, by the tables, by the guest's sums. */

static void test_not_told(void **state)
{
	uint32_t frame;

	(void)state;
	up();
	area_at(MM_ANON, HVA, 2, GPA, NULL);
	put(GPA, 7);
	f->sim.keep = 1;
	mm_lock(&mm);
	frame = page_at(HVA)->frame;
	page_at(HVA)->writable = 0;
	mm_unlock(&mm);
	mm_audit_guest(&mm, &f->other);
	assert_int_not_equal(failures("mm-guest"), 0);
	(void)mm_guest_write(&mm, GPA, 8, &f->exit);
	assert_int_not_equal(failures("mm-guest"), 0);
	page_at(HVA)->writable = 1;
	mm.frames[frame].contents ^= 1;
	(void)mm_guest_read(&mm, GPA, &f->exit);
	assert_int_not_equal(failures("mm-sum"), 0);
	mm.frames[frame].contents ^= 1;
	mm_lock(&mm);
	page_at(HVA)->held = 1;
	mm_zap(&mm, page_at(HVA));
	page_at(HVA)->held = 0;
	assert_int_not_equal(failures("mm-hold"), 0);
	*mm_expect(&mm, page_at(HVA)) = 0;
	mm_unlock(&mm);
	assert_int_not_equal(failures("taken-mapped"), 0);
	mm_audit_guest(&mm, &f->other);
	assert_int_not_equal(failures("mm-guest"), 0);
	assert_int_equal(
		s2_vm_invalidate_begin(&f->vm, s2_gpa(GPA), PAGE, S2_INVAL_UNMAP, &f->other), 0);
	s2_vm_invalidate_end(&f->vm, s2_gpa(GPA), PAGE);
	(void)failures("");
	f->sim.keep = 0;
	down();
}

static void test_counts_wrong(void **state)
{
	struct mm_frame *frame;

	(void)state;
	up();
	area_at(MM_ANON, HVA, 2, GPA, NULL);
	put(GPA, 7);
	frame = &mm.frames[page_at(HVA)->frame];
	f->sim.keep = 1;
	frame->refs++;
	mm_audit(&mm);
	assert_int_not_equal(failures("mm-refs"), 0);
	frame->refs--;
	frame->state = MM_FREE;
	mm_audit(&mm);
	assert_int_not_equal(failures("mm-freed"), 0);
	frame->state = MM_USED;
	mm_audit(&mm);
	assert_int_equal(failures(""), 0);
	f->sim.keep = 0;
	down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_holds),
		cmocka_unit_test(test_private),
		cmocka_unit_test(test_not_told),
		cmocka_unit_test(test_counts_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
