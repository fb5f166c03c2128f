// SPDX-License-Identifier: BSD-2-Clause
/*
 * Holds, seen by who takes memory away: he waits for those in use there, for no other, and says so.
 *
 * The user of a hold gets on with it inside the host's relax(): he is given turns while somebody
 * waits for him. At random: the user is the first walker, the host the second (ports/sim/second.c),
 * with turns in relax(), while the host is asked, and while the page is used.
 */
#include <stage2/hold.h>
#include <string.h>

#include "fixture.h"
#include "machine.h"

#define RAM GIB /* a slot of 4 chunks, 0 to 3 */

static struct fixture fix;
static struct fixture *const f = &fix;
static struct s2_memslot ram;
static struct s2_hold holds[4];
static int turns;

static void up_seed(uint64_t seed)
{
	struct s2_vm_config config = fixture_config();

	fixture_up(f, &config);
	f->sim.config.seed = seed;
	assert_int_equal(fixture_slot(f, &ram, RAM, 4 * BLOCK, sim_hva(0), 0), 0);
	memset(holds, 0, sizeof(holds));
	turns = 0;
}

static void down(void)
{
	for (int i = 0; i < 4; i++)
		s2_hold_fini(&holds[i]);
	assert_null(f->vm.holds);
	fixture_down(f);
}

static void init_use(struct s2_hold *h, uint64_t gpa, uint64_t size, enum s2_access access)
{
	assert_int_equal(s2_hold_init(h, &f->vm, s2_gpa(gpa), size, access), 0);
	assert_int_equal(s2_hold_use(h, &f->walker), 0);
}

/* Each turn one more of those that were asked says that it is done. */
static void done_one(void *ctx)
{
	(void)ctx;
	if (++turns < 5)
		return;
	for (int i = 0; i < 4; i++) {
		if (holds[i].in_use && s2_hold_revoked(&holds[i])) {
			s2_hold_done(&holds[i]);
			assert_int_equal(s2_hold_revoked(&holds[i]), 0);
			return;
		}
	}
	if (turns == 1000)
		sim_fail(&f->sim, "waits for ever");
}

static void count(struct s2_hold *hold)
{
	++*(int *)hold->ctx;
}

/* Who is waited for by an invalidation of [RAM + 4 PAGE, RAM + 8 PAGE). */
static void test_overlap(void **state)
{
	static const struct {
		uint64_t gpa, size;
		int waits;
	} t[] = {
		{ 3 * PAGE, PAGE, 0 }, { 4 * PAGE - 1, 1, 0 }, { 4 * PAGE, 1, 1 },
		{ 5 * PAGE, PAGE, 1 }, { 8 * PAGE - 1, 1, 1 }, { 7 * PAGE, PAGE, 1 },
		{ 8 * PAGE, 1, 0 },    { BLOCK, PAGE, 0 },     { 4 * PAGE + 7, 9, 1 },
	};

	(void)state;
	for (size_t i = 0; i < 4 * sizeof(t) / sizeof(t[0]); i++) {
		const size_t n = i / 4;
		const enum s2_access access = i % 2 ? S2_ACCESS_WRITE : S2_ACCESS_READ;
		int revoked = 0;

		up_seed(1);
		holds[0].ctx = &revoked;
		holds[0].revoke = count;
		init_use(&holds[0], RAM + t[n].gpa, t[n].size, access);
		f->sim.port.relax = done_one;
		assert_int_equal(s2_vm_invalidate_begin(&f->vm, s2_gpa(RAM + 4 * PAGE), 4 * PAGE,
							i / 2 % 2 ? S2_INVAL_WRITE : S2_INVAL_UNMAP,
							&f->other),
				 0);
		assert_int_equal(turns, t[n].waits ? 5 : 0);
		assert_int_equal(revoked, t[n].waits);
		assert_int_equal(holds[0].in_use, !t[n].waits);
		s2_vm_invalidate_end(&f->vm, s2_gpa(RAM + 4 * PAGE), 4 * PAGE);
		if (!t[n].waits) {
			assert_int_equal(s2_hold_revoked(&holds[0]), 0);
			s2_hold_done(&holds[0]);
		}
		down();
	}
}

/* As above, and looks first whether both in the way have been asked. */
static void done_one_of_two(void *ctx)
{
	if (!turns)
		for (int i = 0; i < 4; i++)
			assert_int_equal(s2_hold_revoked(&holds[i]), i < 2);
	done_one(ctx);
}

/* Several: all are asked at once, all are waited for; who has no revoke() sees it all the same. */
static void test_several(void **state)
{
	int revoked[4] = { 0 };

	(void)state;
	up_seed(1);
	for (int i = 0; i < 4; i++) {
		holds[i].ctx = &revoked[i];
		holds[i].revoke = i % 2 ? count : NULL;
		init_use(&holds[i], RAM + (uint64_t)i / 2 * PAGE, 8, S2_ACCESS_WRITE);
	}
	f->sim.port.relax = done_one_of_two;
	assert_int_equal(
		s2_vm_invalidate_begin(&f->vm, s2_gpa(RAM), PAGE, S2_INVAL_UNMAP, &f->other), 0);
	assert_int_equal(turns, 6);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(holds[i].in_use, i >= 2);
		assert_int_equal(revoked[i], i == 1);
	}
	s2_vm_invalidate_end(&f->vm, s2_gpa(RAM), PAGE);
	s2_hold_done(&holds[2]);
	s2_hold_done(&holds[3]);
	/* Nested: nobody can be in use when the second comes. */
	for (int i = 0; i < 2; i++)
		assert_int_equal(s2_vm_invalidate_begin(&f->vm, s2_gpa(RAM), BLOCK, S2_INVAL_UNMAP,
							&f->other),
				 0);
	assert_int_equal(turns, 6);
	for (int i = 0; i < 4; i++)
		assert_int_equal(s2_hold_try(&holds[i]), S2_EAGAIN);
	for (int i = 0; i < 2; i++)
		s2_vm_invalidate_end(&f->vm, s2_gpa(RAM), BLOCK);
	down();
}

/* Changes of slots and attributes, and the host by its own names, wait like all. */
static void test_everybody_waits(void **state)
{
	static uint8_t attrs[4 * BLOCK / PAGE];
	struct s2_host_change change;
	struct s2_memslot to;

	(void)state;
	for (int what = 0; what < 4; what++) {
		up_seed(1);
		to = ram;
		to.attrs = attrs;
		assert_int_equal(s2_vm_slot_change(&f->vm, &ram, &to, &f->other), 0);
		init_use(&holds[0], RAM + BLOCK, 8, S2_ACCESS_WRITE);
		f->sim.port.relax = done_one;
		if (what == 0) {
			assert_int_equal(s2_vm_slot_del(&f->vm, &ram, &f->other), 0);
		} else if (what == 1) {
			to.hva = s2_hva(sim_hva(8));
			assert_int_equal(s2_vm_slot_change(&f->vm, &ram, &to, &f->other), 0);
		} else if (what == 2) {
			assert_int_equal(s2_vm_set_attrs(&f->vm, s2_gpa(RAM), 4 * BLOCK,
							 S2_PAGE_NOWRITE, 0, &f->other),
					 0);
		} else {
			assert_int_equal(s2_vm_host_begin(&f->vm, &change, s2_hva(sim_hva(1)), PAGE,
							  S2_INVAL_UNMAP, &f->other),
					 0);
			s2_vm_host_end(&f->vm, &change);
		}
		assert_int_equal(turns, 5);
		assert_int_equal(holds[0].in_use, 0);
		down();
		memset(attrs, 0, sizeof(attrs));
	}
}

/* The user of two pages, one of which somebody wants: he must get by without the other. */
static void wants_the_other(void *ctx)
{
	(void)ctx;
	assert_int_equal(s2_hold_revoked(&holds[0]), 1);
	assert_int_equal(s2_hold_try(&holds[1]), S2_EAGAIN);
	assert_int_equal(holds[1].in_use, 0);
	s2_hold_done(&holds[0]);
	turns++;
}

static void test_two_pages(void **state)
{
	(void)state;
	up_seed(1);
	init_use(&holds[0], RAM, 8, S2_ACCESS_READ);
	init_use(&holds[1], RAM + PAGE, 8, S2_ACCESS_WRITE);
	s2_hold_done(&holds[1]);
	assert_int_equal(s2_hold_try(&holds[1]), 0);
	assert_int_equal(holds[1].in_use, 1);
	s2_hold_done(&holds[1]);
	f->sim.port.relax = wants_the_other;
	assert_int_equal(
		s2_vm_invalidate_begin(&f->vm, s2_gpa(RAM), BLOCK, S2_INVAL_UNMAP, &f->other), 0);
	assert_int_equal(turns, 1);
	s2_vm_invalidate_end(&f->vm, s2_gpa(RAM), BLOCK);
	assert_int_equal(s2_hold_try(&holds[0]), S2_EAGAIN); /* asks nobody */
	assert_int_equal(s2_hold_try(&holds[1]), S2_EAGAIN);
	assert_int_equal(f->sim.resolves, 2);
	down();
}

/* Its owner ends it, and its memory is gone, between two looks of who has waited for it. */
static void done_and_gone(void *ctx)
{
	(void)ctx;
	if (turns++)
		return;
	s2_hold_done(&holds[1]);
	s2_hold_fini(&holds[1]);
	memset(&holds[1], 0xff, sizeof(holds[1]));
}

static void test_gone(void **state)
{
	(void)state;
	up_seed(1);
	for (int i = 0; i < 3; i++)
		init_use(&holds[i], RAM, 8, S2_ACCESS_READ);
	s2_hold_done(&holds[0]);
	s2_hold_done(&holds[2]);
	f->sim.port.relax = done_and_gone;
	assert_int_equal(
		s2_vm_invalidate_begin(&f->vm, s2_gpa(RAM), PAGE, S2_INVAL_UNMAP, &f->other), 0);
	assert_int_equal(turns, 1);
	s2_vm_invalidate_end(&f->vm, s2_gpa(RAM), PAGE);
	memset(&holds[1], 0, sizeof(holds[1]));
	down();
}

/* ---- at random ---- */

#define PAGES 3

static uint64_t rng;
static uint64_t in_use_at[PAGES]; /* the page that the user is in, hpa; 0: not */
static uint64_t uses, eagains;

/* The guest's page n is the first of chunk n. */
static void may_strike(uint64_t gpa)
{
	sim_second_point(&f->sim, gpa, SIM_MAY);
}

static int strike_while_asked(void *ctx, uint64_t hva, enum s2_access access, struct s2_page *page,
			      int result)
{
	(void)ctx;
	(void)access;
	(void)page;
	may_strike(hva - SIM_HVA_BASE + RAM);
	return result;
}

/* The host moves one page or two, nested; or the slot is backed by other chunks. */
static void host(void *ctx, uint64_t gpa)
{
	uint64_t *round = ctx;

	(void)gpa;
	for (int i = 0; i < 4; i++) {
		uint64_t dice = sim_random(&rng), n = dice % PAGES,
			 size = (1 + dice / 8 % 2) * BLOCK;
		uint64_t at = RAM + n * BLOCK, inner = dice >> 10 & 1;

		if (n + size / BLOCK > PAGES)
			size = BLOCK;
		if (s2_vm_invalidate_begin(&f->vm, s2_gpa(at), size, S2_INVAL_UNMAP, &f->other))
			sim_fail(&f->sim, "begin failed");
		if (inner && s2_vm_invalidate_begin(
				     &f->vm, s2_gpa(at), BLOCK,
				     dice >> 11 & 1 ? S2_INVAL_WRITE : S2_INVAL_UNMAP, &f->other))
			sim_fail(&f->sim, "begin failed");
		for (uint64_t k = n; k < n + size / BLOCK; k++) {
			struct sim_chunk chunk = f->sim.chunks[k];

			if (in_use_at[k])
				sim_fail(&f->sim, "page %llu is taken while in use",
					 (unsigned long long)k);
			may_strike(at);
			chunk.hpa = fixture_hpa((unsigned int)k) + (++*round << 34);
			sim_set_chunk(&f->sim, k, &chunk);
			if (in_use_at[k])
				sim_fail(&f->sim, "page %llu came into use while it is taken",
					 (unsigned long long)k);
		}
		if (inner)
			s2_vm_invalidate_end(&f->vm, s2_gpa(at), BLOCK);
		may_strike(at);
		s2_vm_invalidate_end(&f->vm, s2_gpa(at), size);
	}
}

static void in_use(int n)
{
	in_use_at[n] = holds[n].hpa.hpa;
	if (in_use_at[n] != f->sim.chunks[n].hpa)
		sim_fail(&f->sim, "page %d is used where it was", n);
	uses++;
}

static void done(int n)
{
	if (in_use_at[n] != f->sim.chunks[n].hpa)
		sim_fail(&f->sim, "page %d moved while in use", n);
	in_use_at[n] = 0;
	s2_hold_done(&holds[n]);
}

static void user_round(void)
{
	int n = (int)(sim_random(&rng) % PAGES), other = (n + 1) % PAGES;

	if (s2_hold_use(&holds[n], &f->walker))
		sim_fail(&f->sim, "use failed");
	in_use(n);
	may_strike(RAM);
	if (s2_hold_try(&holds[other])) {
		eagains++;
	} else {
		in_use(other);
		may_strike(RAM);
		done(other);
	}
	may_strike(RAM);
	done(n);
	if (sim_random(&rng) % 8 == 0) {
		s2_hold_fini(&holds[n]);
		assert_int_equal(s2_hold_init(&holds[n], &f->vm, s2_gpa(RAM + (uint64_t)n * BLOCK),
					      8, S2_ACCESS_WRITE),
				 0);
	}
}

static void test_at_random(void **state)
{
	uint64_t round = 0, ran = 0;

	(void)state;
	uses = eagains = 0;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		const struct sim_second_config second = {
			.fn = host, .ctx = &round, .walker = &f->other, .odds = 30000
		};

		rng = seed;
		up_seed(seed);
		f->sim.on_resolve = strike_while_asked;
		for (int n = 0; n < PAGES; n++)
			assert_int_equal(s2_hold_init(&holds[n], &f->vm,
						      s2_gpa(RAM + (uint64_t)n * BLOCK), 8,
						      S2_ACCESS_WRITE),
					 0);
		for (int i = 0; i < 10; i++) {
			sim_second_arm(&f->sim, &second);
			for (int k = 0; k < 10; k++)
				user_round();
			ran += (uint64_t)sim_second_finish(&f->sim);
		}
		down();
	}
	/* It did happen what this is about. */
	assert_true(ran > 2000);
	assert_true(uses > 30000);
	assert_true(eagains > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_everybody_waits),
		cmocka_unit_test(test_two_pages),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
