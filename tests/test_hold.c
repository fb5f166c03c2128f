// SPDX-License-Identifier: BSD-2-Clause
/*
 * Holds: what a use says, when it asks the host and when not, who waits for whom.
 *
 * What another thread does while one waits is done from inside the port (relax() and resolve() are
 * the only places where s2_hold_use() and an invalidation can be interrupted), or by the second
 * walker of the simulation, at random. test_hold_threads.c has threads.
 */
#include <stage2/hold.h>
#include <string.h>

#include "fixture.h"
#include "machine.h"

#define RAM   GIB                              /* a slot of 4 chunks, 0 to 3 */
#define ALIKE (RAM + S2_INVAL_BUCKETS * BLOCK) /* counts in the bucket of RAM; chunk 4 */
#define HOLE  (RAM - PAGE)

static struct fixture fix;
static struct fixture *const f = &fix;
static struct s2_memslot ram, alike;
static struct s2_hold hold, more[3];

static void up(unsigned int slot_flags)
{
	struct s2_vm_config config = fixture_config();

	fixture_up(f, &config);
	assert_int_equal(fixture_slot(f, &ram, RAM, 4 * BLOCK, sim_hva(0), slot_flags), 0);
	assert_int_equal(fixture_slot(f, &alike, ALIKE, BLOCK, sim_hva(4), 0), 0);
	memset(&hold, 0, sizeof(hold));
	memset(more, 0, sizeof(more));
}

static void down(void)
{
	s2_hold_fini(&hold);
	for (int i = 0; i < 3; i++)
		s2_hold_fini(&more[i]);
	assert_null(f->vm.holds);
	assert_int_equal(f->vm.claimed, 0);
	fixture_down(f);
}

static void init(struct s2_hold *h, uint64_t gpa, uint64_t size, enum s2_access access)
{
	assert_int_equal(s2_hold_init(h, &f->vm, s2_gpa(gpa), size, access), 0);
}

static int use(struct s2_hold *h)
{
	int ret = s2_hold_use(h, &f->walker);

	assert_int_equal(h->in_use, ret == 0);
	return ret;
}

/* The whole of it, and how often the host was asked. */
static uint64_t use_once(struct s2_hold *h, uint64_t hpa)
{
	uint64_t before = f->sim.resolves;

	assert_int_equal(use(h), 0);
	assert_int_equal(h->hpa.hpa, hpa);
	assert_int_equal(s2_hold_revoked(h), 0);
	s2_hold_done(h);
	assert_int_equal(h->in_use, 0);
	return f->sim.resolves - before;
}

static void begin(uint64_t gpa, uint64_t size)
{
	assert_int_equal(
		s2_vm_invalidate_begin(&f->vm, s2_gpa(gpa), size, S2_INVAL_UNMAP, &f->other), 0);
}

static void end(uint64_t gpa, uint64_t size)
{
	s2_vm_invalidate_end(&f->vm, s2_gpa(gpa), size);
}

/* The host has this chunk somewhere else now. Returns where. */
static uint64_t move(uint64_t n)
{
	struct sim_chunk chunk = f->sim.chunks[n];

	chunk.hpa += 64 * GIB;
	sim_set_chunk(&f->sim, n, &chunk);
	return chunk.hpa;
}

static void test_init_errors(void **state)
{
	static const struct {
		uint64_t gpa, size;
		int access, ret;
	} t[] = {
		{ RAM, 0, S2_ACCESS_READ, S2_ERANGE },
		{ RAM, PAGE + 1, S2_ACCESS_READ, S2_ERANGE },
		{ RAM + 1, PAGE, S2_ACCESS_READ, S2_ERANGE },
		{ RAM + PAGE - 1, 2, S2_ACCESS_READ, S2_ERANGE },
		{ RAM + PAGE - 1, ~0ull, S2_ACCESS_READ, S2_ERANGE },
		{ 1ull << 40, 1, S2_ACCESS_READ, S2_ERANGE },
		{ ~0ull, 1, S2_ACCESS_READ, S2_ERANGE },
		{ RAM, 8, S2_ACCESS_EXEC, S2_EINVAL },
		{ RAM, 8, 7, S2_EINVAL },
		{ RAM, PAGE, S2_ACCESS_READ, 0 },
		{ RAM + PAGE - 1, 1, S2_ACCESS_WRITE, 0 },
		{ (1ull << 40) - 1, 1, S2_ACCESS_WRITE, 0 },
		{ 0, PAGE, S2_ACCESS_WRITE, 0 },
	};

	(void)state;
	up(0);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		memset(&hold, 0x5a, sizeof(hold));
		hold.ctx = &f->vm;
		hold.revoke = NULL;
		assert_int_equal(s2_hold_init(&hold, &f->vm, s2_gpa(t[i].gpa), t[i].size,
					      (enum s2_access)t[i].access),
				 t[i].ret);
		assert_ptr_equal(f->vm.holds, t[i].ret ? NULL : &hold);
		assert_ptr_equal(hold.ctx, &f->vm);
		s2_hold_fini(&hold);
		assert_null(f->vm.holds);
		s2_hold_fini(&hold); /* harmless */
	}
	assert_int_equal(f->sim.resolves, 0);
	memset(&hold, 0, sizeof(hold));
	down();
}

/* They leave in any order. */
static void test_list(void **state)
{
	(void)state;
	for (int first = 0; first < 3; first++) {
		for (int second = 0; second < 3; second++) {
			up(0);
			for (int i = 0; i < 3; i++)
				init(&more[i], RAM + (uint64_t)i * PAGE, PAGE, S2_ACCESS_READ);
			s2_hold_fini(&more[first]);
			s2_hold_fini(&more[second]);
			for (int i = 0; i < 3; i++)
				if (i != first && i != second)
					assert_int_equal(
						use_once(&more[i],
							 fixture_hpa(0) + (uint64_t)i * PAGE),
						1);
			down();
		}
	}
}

/* Asks once, and knows. */
static void test_use(void **state)
{
	(void)state;
	for (int access = S2_ACCESS_READ; access <= S2_ACCESS_WRITE; access++) {
		up(0);
		init(&hold, RAM + BLOCK + 5 * PAGE + 24, 100, (enum s2_access)access);
		assert_int_equal(f->sim.resolves, 0);
		assert_int_equal(use_once(&hold, fixture_hpa(1) + 5 * PAGE + 24), 1);
		for (int i = 0; i < 9; i++)
			assert_int_equal(use_once(&hold, fixture_hpa(1) + 5 * PAGE + 24), 0);
		hold.revoked = 1; /* somebody was late to ask for the end of the last use */
		assert_int_equal(use_once(&hold, fixture_hpa(1) + 5 * PAGE + 24), 0);
		assert_int_equal(f->sim.changes, 0); /* nothing is mapped by it */
		down();
	}
}

static int answer;
static struct s2_page answer_page;

static int answer_this(void *ctx, uint64_t hva, enum s2_access access, struct s2_page *page,
		       int result)
{
	(void)ctx;
	(void)hva;
	(void)access;
	(void)result;
	*page = answer_page;
	return answer;
}

static void check_answer(int ret, enum s2_access access, int expected)
{
	up(0);
	answer = ret;
	f->sim.on_resolve = answer_this;
	init(&hold, RAM, 8, access);
	assert_int_equal(use(&hold), expected);
	if (!expected)
		s2_hold_done(&hold);
	begin(RAM, PAGE); /* waits for nobody */
	end(RAM, PAGE);
	/* Nothing of it stays. */
	f->sim.on_resolve = NULL;
	use_once(&hold, fixture_hpa(0));
	down();
}

static void test_answers(void **state)
{
	static const int errors[][2] = {
		{ S2_ENOENT, S2_ENOENT },     { S2_EPERM, S2_EPERM },
		{ S2_ENOMEM, S2_ENOMEM },     { S2_EPOISON, S2_EPOISON },
		{ S2_EPENDING, S2_EPENDING }, { S2_EEXIST, S2_EPORT },
		{ S2_EPORT, S2_EPORT },       { 5, S2_EPORT },
		{ -1000, S2_EPORT },
	};
	static const struct {
		struct s2_page page;
		enum s2_access access;
		int ret;
	} t[] = {
		{ { { 0 }, PAGE, S2_RW, 0, { 0 } }, S2_ACCESS_WRITE, 0 },
		{ { { 0 }, PAGE, S2_R, 0, { 0 } }, S2_ACCESS_READ, 0 },
		{ { { 0 }, PAGE, S2_R, 0, { 0 } }, S2_ACCESS_WRITE, S2_EPERM },
		{ { { 0 }, PAGE, S2_W, 0, { 0 } }, S2_ACCESS_WRITE, S2_EPORT },
		{ { { 0 }, PAGE, S2_RW, S2_MEM_NC, { 0 } }, S2_ACCESS_READ, 0 },
		{ { { 0 }, PAGE, S2_RW, S2_MEM_DEVICE, { 0 } }, S2_ACCESS_READ, S2_EINVAL },
		{ { { 0 }, PAGE, S2_RW, S2_MEM_DEVICE_GRE, { 0 } }, S2_ACCESS_WRITE, S2_EINVAL },
		{ { { 0 }, 0, S2_RW, 0, { 0 } }, S2_ACCESS_READ, S2_EPORT },
		{ { { 0 }, PAGE / 2, S2_RW, 0, { 0 } }, S2_ACCESS_READ, S2_EPORT },
		{ { { 0 }, 3 * PAGE, S2_RW, 0, { 0 } }, S2_ACCESS_READ, S2_EPORT },
		{ { { 8 }, PAGE, S2_RW, 0, { 0 } }, S2_ACCESS_READ, S2_EPORT },
		{ { { PAGE }, 2 * PAGE, S2_RW, 0, { 0 } }, S2_ACCESS_READ, S2_EPORT },
		{ { { 1ull << 48 }, PAGE, S2_RW, 0, { 0 } }, S2_ACCESS_READ, S2_EPORT },
		{ { { 0 }, PAGE, S2_RW, S2_MEM_TYPES, { 0 } }, S2_ACCESS_READ, S2_EPORT },
		{ { { 0 }, PAGE, 16 | S2_RW, 0, { 0 } }, S2_ACCESS_READ, S2_EPORT },
		{ { { 0 }, PAGE, S2_RWX, S2_MEM_DEVICE, { 0 } }, S2_ACCESS_READ, S2_EPORT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		check_answer(errors[i][0], S2_ACCESS_READ, errors[i][1]);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		answer_page = t[i].page;
		check_answer(0, t[i].access, t[i].ret);
	}
}

static void test_no_slot(void **state)
{
	struct s2_memslot late;

	(void)state;
	up(0);
	init(&hold, HOLE, 8, S2_ACCESS_READ);
	assert_int_equal(use(&hold), S2_ENOENT);
	assert_int_equal(f->sim.resolves, 0);
	assert_int_equal(fixture_slot(f, &late, HOLE, PAGE, sim_hva(7), 0), 0);
	assert_int_equal(use_once(&hold, fixture_hpa(7)), 1);
	down();
}

static void test_readonly_slot(void **state)
{
	(void)state;
	up(S2_SLOT_READONLY);
	init(&hold, RAM, 8, S2_ACCESS_WRITE);
	init(&more[0], RAM, 8, S2_ACCESS_READ);
	assert_int_equal(use(&hold), S2_EPERM);
	assert_int_equal(f->sim.resolves, 0);
	assert_int_equal(use_once(&more[0], fixture_hpa(0)), 1);
	down();
}

static void test_attrs(void **state)
{
	static uint8_t attrs[BLOCK / PAGE];
	struct s2_memslot slot = { .gpa = s2_gpa(4 * GIB),
				   .hva = s2_hva(sim_hva(8)),
				   .size = BLOCK,
				   .flags = S2_SLOT_PRIVATE,
				   .priv = s2_hva(sim_hva(9)),
				   .attrs = attrs };
	const s2_gpa_t page = s2_gpa(slot.gpa.gpa + 3 * PAGE);

	(void)state;
	memset(attrs, 0, sizeof(attrs));
	up(0);
	assert_int_equal(s2_vm_slot_add(&f->vm, &slot), 0);
	init(&hold, page.gpa, 8, S2_ACCESS_WRITE);
	init(&more[0], page.gpa, 8, S2_ACCESS_READ);
	init(&more[1], page.gpa + PAGE, 8, S2_ACCESS_WRITE);
	for (int known = 0; known < 2; known++) {
		const unsigned int none[] = { 0, S2_PAGE_NOEXEC }, clear = S2_PAGE_ATTRS;
		uint64_t before;

		for (int i = 0; i < 2; i++) {
			assert_int_equal(s2_vm_set_attrs(&f->vm, page, PAGE, none[i],
							 clear & ~none[i], &f->walker),
					 0);
			use_once(&hold, fixture_hpa(8) + 3 * PAGE);
			use_once(&more[0], fixture_hpa(8) + 3 * PAGE);
		}
		before = f->sim.resolves;
		assert_int_equal(
			s2_vm_set_attrs(&f->vm, page, PAGE, S2_PAGE_PRIVATE, 0, &f->walker), 0);
		assert_int_equal(use(&hold), S2_EPERM);
		assert_int_equal(use(&more[0]), S2_EPERM);
		assert_int_equal(f->sim.resolves, before); /* not for what it is not */
		assert_int_equal(s2_vm_set_attrs(&f->vm, page, PAGE, S2_PAGE_NOWRITE,
						 S2_PAGE_PRIVATE, &f->walker),
				 0);
		assert_int_equal(use(&hold), S2_EPERM);
		use_once(&more[0], fixture_hpa(8) + 3 * PAGE);
		use_once(&more[1], fixture_hpa(8) + 4 * PAGE); /* its neighbour */
	}
	down();
}

/* The page moves between two uses. Who is elsewhere is not asked again, save who hashes alike. */
static void test_moved(void **state)
{
	uint64_t hpa;

	(void)state;
	up(0);
	init(&hold, RAM + 7 * PAGE, 8, S2_ACCESS_WRITE);
	init(&more[0], RAM + BLOCK, 8, S2_ACCESS_WRITE);
	init(&more[1], ALIKE, 8, S2_ACCESS_WRITE);
	use_once(&hold, fixture_hpa(0) + 7 * PAGE);
	use_once(&more[0], fixture_hpa(1));
	use_once(&more[1], fixture_hpa(4));
	for (int i = 0; i < 3; i++) {
		begin(RAM, BLOCK);
		hpa = move(0);
		end(RAM, BLOCK);
		assert_int_equal(use_once(&hold, hpa + 7 * PAGE), 1);
		assert_int_equal(use_once(&more[0], fixture_hpa(1)), 0);
		assert_int_equal(use_once(&more[1], fixture_hpa(4)), 1);
	}
	down();
}

/* It moves while the host is being asked, so often. */
static int moves_left;

static int move_meanwhile(void *ctx, uint64_t hva, enum s2_access access, struct s2_page *page,
			  int result)
{
	(void)ctx;
	(void)hva;
	(void)access;
	(void)page;
	if (moves_left) {
		moves_left--;
		begin(RAM, BLOCK);
		move(0);
		end(RAM, BLOCK);
	}
	return result;
}

/* Every answer but the last is stale, however often; a no as well. */
static void test_moved_while_asked(void **state)
{
	(void)state;
	for (int moves = 1; moves < 20; moves++) {
		up(0);
		f->sim.on_resolve = move_meanwhile;
		init(&hold, RAM, 8, S2_ACCESS_WRITE);
		moves_left = moves;
		assert_int_equal(use_once(&hold, fixture_hpa(0) + (uint64_t)moves * 64 * GIB),
				 moves + 1);
		down();
	}
}

static int came_meanwhile(void *ctx, uint64_t hva, enum s2_access access, struct s2_page *page,
			  int result)
{
	(void)move_meanwhile(ctx, hva, access, page, result);
	f->sim.chunks[0].error = 0;
	return result;
}

static void test_no_is_stale(void **state)
{
	(void)state;
	up(0);
	f->sim.chunks[0].error = S2_ENOENT;
	f->sim.on_resolve = came_meanwhile;
	init(&hold, RAM, 8, S2_ACCESS_WRITE);
	moves_left = 1;
	assert_int_equal(use_once(&hold, fixture_hpa(0) + 64 * GIB), 2);
	down();
}

/* A stream of invalidations of what only hashes alike: while asked, and all the time. */
static uint64_t asked;

static int disturb(void *ctx, uint64_t hva, enum s2_access access, struct s2_page *page, int result)
{
	(void)ctx;
	(void)hva;
	(void)access;
	(void)page;
	if (++asked == 1000)
		sim_fail(&f->sim, "a stream of invalidations elsewhere keeps a hold out for ever");
	begin(ALIKE, PAGE);
	end(ALIKE, PAGE);
	return result;
}

static int turns;

static void count_turns(void *ctx)
{
	(void)ctx;
	if (++turns == 1000)
		sim_fail(&f->sim, "waits for ever");
}

static void test_progress(void **state)
{
	(void)state;
	up(0);
	f->sim.port.relax = count_turns;
	f->sim.on_resolve = disturb;
	init(&hold, RAM, 8, S2_ACCESS_WRITE);
	asked = 0;
	for (int i = 0; i < 3; i++) {
		turns = 0;
		assert_int_equal(use_once(&hold, fixture_hpa(0)), S2_PATIENCE + 1);
	}
	f->sim.on_resolve = NULL;
	begin(ALIKE, BLOCK); /* and no end comes */
	for (int i = 0; i < 3; i++) {
		turns = 0;
		assert_int_equal(use_once(&hold, fixture_hpa(0)), 1);
		assert_int_equal(turns, S2_PATIENCE);
	}
	end(ALIKE, BLOCK);
	assert_int_equal(use_once(&hold, fixture_hpa(0)), 1);
	assert_int_equal(use_once(&hold, fixture_hpa(0)), 0);
	down();
}

/* A use that meets invalidations of its page waits for the end of the last, and asks nobody. */
static uint64_t here;

static void end_later(void *ctx)
{
	(void)ctx;
	assert_int_equal(f->sim.resolves, asked);
	turns++;
	if (turns == 20 || turns == 40)
		end(turns == 20 ? RAM : RAM + PAGE, BLOCK / 2);
	if (turns == 50) {
		here = move(0);
		end(RAM, PAGE * 2);
	}
}

static void test_waits_for_ends(void **state)
{
	(void)state;
	for (int known = 0; known < 2; known++) {
		up(0);
		init(&hold, RAM + PAGE, 8, S2_ACCESS_WRITE);
		if (known)
			use_once(&hold, fixture_hpa(0) + PAGE);
		begin(RAM, BLOCK / 2);
		begin(RAM, PAGE * 2); /* nested, overlapping */
		begin(RAM + PAGE, BLOCK / 2);
		f->sim.port.relax = end_later;
		turns = 0;
		asked = f->sim.resolves;
		assert_int_equal(s2_hold_try(&hold), S2_EAGAIN); /* does not wait */
		assert_int_equal(turns, 0);
		assert_int_equal(use(&hold), 0);
		assert_int_equal(hold.hpa.hpa, here + PAGE);
		assert_in_range(turns, 50, 50 + S2_PATIENCE);
		s2_hold_done(&hold);
		down();
	}
}

/* Slots come, go and change. */
static void test_slots(void **state)
{
	struct s2_memslot to;

	(void)state;
	up(0);
	init(&hold, RAM + BLOCK, 8, S2_ACCESS_WRITE);
	init(&more[0], RAM + BLOCK, 8, S2_ACCESS_READ);
	use_once(&hold, fixture_hpa(1));
	to = ram;
	to.flags = S2_SLOT_READONLY;
	assert_int_equal(s2_vm_slot_change(&f->vm, &ram, &to, &f->walker), 0);
	assert_int_equal(use(&hold), S2_EPERM);
	use_once(&more[0], fixture_hpa(1));
	to.flags = 0;
	to.hva = s2_hva(sim_hva(10));
	assert_int_equal(s2_vm_slot_change(&f->vm, &ram, &to, &f->walker), 0);
	use_once(&hold, fixture_hpa(11));
	use_once(&more[0], fixture_hpa(11));
	assert_int_equal(s2_vm_slot_del(&f->vm, &ram, &f->walker), 0);
	memset(&ram, 0x5a, sizeof(ram));
	assert_int_equal(use(&hold), S2_ENOENT);
	assert_int_equal(use(&more[0]), S2_ENOENT);
	assert_int_equal(fixture_slot(f, &ram, RAM, 2 * BLOCK, sim_hva(6), 0), 0);
	use_once(&hold, fixture_hpa(7));
	use_once(&more[0], fixture_hpa(7));
	down();
}

/* Its slot leaves while the host is asked: what was found counts for nothing. */
static int slot_goes(void *ctx, uint64_t hva, enum s2_access access, struct s2_page *page,
		     int result)
{
	(void)ctx;
	(void)hva;
	(void)access;
	(void)page;
	if (!asked++ && s2_vm_slot_del(&f->vm, &ram, &f->other))
		sim_fail(&f->sim, "slot_del failed");
	return result;
}

static void test_slot_goes(void **state)
{
	(void)state;
	up(0);
	f->sim.on_resolve = slot_goes;
	asked = 0;
	init(&hold, RAM, 8, S2_ACCESS_READ);
	assert_int_equal(use(&hold), S2_ENOENT);
	assert_int_equal(asked, 1);
	down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_errors),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_use),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_no_slot),
		cmocka_unit_test(test_readonly_slot),
		cmocka_unit_test(test_attrs),
		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_moved_while_asked),
		cmocka_unit_test(test_no_is_stale),
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_waits_for_ends),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_slot_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
