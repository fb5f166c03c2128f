/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the simulated memory manager stand on: a machine with its host (fixture.h,
 * ports/sim/mm.h), slots over areas, accesses of the guest's, operations of the host's.
 *
 * What an operation picks (ranges, rights) is drawn; a test repeats it until it has done what the
 * test is about, a bounded number of times.
 */
#ifndef TEST_MM_FIXTURE_H
#define TEST_MM_FIXTURE_H

#include "fixture.h"
#include "mm.h"

#define HVA   0x7f0000000000ull
#define GPA   (1 * GIB)
#define OTHER (2 * GIB)

static struct fixture fix;
static struct fixture *const f = &fix;
static struct sim_mm mm;
static struct s2_memslot slot[2];
static unsigned int nslots;
static uint64_t rng;

static inline void up(void)
{
	struct s2_vm_config config = fixture_config();
	const struct mm_config host = { 0 };

	config.pt.cpu.features = S2_CPU_TLB_RANGE;
	fixture_up(f, &config);
	mm_init(&mm, &f->sim, &f->vm, &host);
	mm_cpu_on(&mm, 0);
	nslots = 0;
	rng = 12345;
}

static inline void down(void)
{
	mm_audit(&mm);
	mm_audit_guest(&mm, &f->other);
	while (nslots)
		assert_int_equal(s2_vm_slot_del(&f->vm, &slot[--nslots], &f->other), 0);
	mm_cpus_off(&mm);
	mm_fini(&mm);
	sim_thread(0, &f->walker);
	fixture_down(f);
}

static inline void map_area(const struct mm_area *area, uint64_t gpa)
{
	assert_int_equal(fixture_slot(f, &slot[nslots++], gpa, area->npages * PAGE, area->hva, 0),
			 0);
}

static inline struct mm_area *area_at(enum mm_kind kind, uint64_t hva, uint32_t npages,
				      uint64_t gpa, struct mm_file *file)
{
	struct mm_area *area = mm_area(&mm, kind, hva, npages, S2_RWX, file, 0);

	map_area(area, gpa);
	return area;
}

static inline struct mm_page *page_at(uint64_t hva)
{
	const struct mm_area *area = mm_area_at(&mm, hva);

	return &mm.pages[area->first + ((hva - area->hva) >> MM_SHIFT)];
}

static inline void put(uint64_t gpa, uint64_t value)
{
	assert_int_equal(mm_guest_write(&mm, gpa, value, &f->exit), MM_DONE);
}

/* The guest reads it (which compares it with the reference), and the reference is this. */
static inline void get(uint64_t gpa, uint64_t hva, uint64_t value)
{
	assert_int_equal(mm_guest_read(&mm, gpa, &f->exit), MM_DONE);
	assert_int_equal(*mm_expect(&mm, page_at(hva)), value);
}

static inline void refused(uint64_t gpa, enum s2_access access, int error)
{
	enum mm_result result = access == S2_ACCESS_WRITE ? mm_guest_write(&mm, gpa, 1, &f->exit)
							  : mm_guest_read(&mm, gpa, &f->exit);

	assert_int_equal(result, MM_EXIT);
	assert_int_equal(f->exit.reason, S2_EXIT_MEMORY);
	assert_int_equal(f->exit.error, error);
}

static inline void op(enum mm_what what, uint64_t hva)
{
	int done = 0;

	for (int i = 0; i < 200 && !done; i++)
		done = mm_do(&mm, what, hva, &f->other, &rng);
	assert_true(done);
	mm_audit(&mm);
	mm_audit_guest(&mm, &f->other);
}

#endif
