// SPDX-License-Identifier: BSD-2-Clause
/*
 * Holds with real threads and real memory: users write into guest pages through holds while hosts
 * move these pages about, slots change and others begin and end invalidations of the same pages.
 * Built plain, and under the thread sanitizer, to which a write into a page on its way is a race.
 *
 * Host memory is an array of frames. Each guest page stands in one of them; the free ones are full
 * of poison. A host moves a page: begin, copy, poison, end. Each user has a line of words in each
 * page, and knows what he wrote there last. So
 *   - what he finds is what he wrote: no write was lost, and no page was read where it was before;
 *   - a frame that is taken again is full of poison still: nobody touched it after its page moved.
 * Who is asked to end his use does so; in between he works long enough to be met.
 */
#include <pthread.h>
#include <sched.h>
#include <stage2/hold.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE   4096ull
#define PAGES  16 /* of the guest */
#define FRAMES (PAGES + 8)
#define USERS  3
#define HOSTS  2
#define RAM    (1ull << 30)
#define HVA    0x7f0000000000ull
#define HPA    (1ull << 32)
#define POISON 0xdbdbdbdbdbdbdbdbull
#define WORDS  (PAGE / 8)
#define LINE   64 /* words: of a user in each page */

static struct s2_vm vm;
static struct s2_memslot slot;
static uint64_t frames[FRAMES][WORDS];
static unsigned int frame_of[PAGES]; /* what resolve() says */
static pthread_mutex_t host_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int free_frames[FRAMES], nfree; /* under host_lock */
static uint64_t moves_wanted = 200000, moves;
static uint64_t uses, asked, denied, cut_short, twos;
static int running;

static void broken(const char *what, uint64_t a, uint64_t b)
{
	fprintf(stderr, "hold-threads: %s (%llu, %llu)\n", what, (unsigned long long)a,
		(unsigned long long)b);
	abort();
}

static uint64_t random_of(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state >> 16;
}

static void add(uint64_t *counter, uint64_t n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

static uint64_t have(uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* ---- the port ---- */

static void *table_alloc(void *ctx, unsigned int order)
{
	void *table = aligned_alloc(PAGE << order, PAGE << order);

	(void)ctx;
	if (table)
		memset(table, 0, PAGE << order);
	return table;
}

static void table_free(void *ctx, void *table, unsigned int order)
{
	(void)ctx;
	(void)order;
	free(table);
}

/* Says what is so now. It may be wrong when it returns. */
static int resolve(void *ctx, s2_hva_t hva, enum s2_access access, struct s2_page *page)
{
	uint64_t n = (hva.hva - HVA) / PAGE;

	(void)ctx;
	(void)access;
	if (hva.hva < HVA || n >= PAGES)
		return S2_ENOENT;
	add(&asked, 1);
	*page = (struct s2_page){ .size = PAGE, .prot = S2_RWX };
	page->hpa.hpa = HPA + __atomic_load_n(&frame_of[n], __ATOMIC_ACQUIRE) * PAGE;
	return 0;
}

static void tlb(void *ctx, const struct s2_tlb_op *ops, size_t n)
{
	(void)ctx;
	(void)ops;
	(void)n;
}

static void relax(void *ctx)
{
	(void)ctx;
	sched_yield();
}

static const struct s2_port port = { .version = S2_PORT_VERSION,
				     .table_alloc = table_alloc,
				     .table_free = table_free,
				     .resolve = resolve,
				     .tlb = tlb,
				     .relax = relax };

/* ---- users ---- */

struct user {
	struct s2_walker walker;
	struct s2_hold holds[PAGES];
	uint64_t written[PAGES]; /* what my words in this page say */
	uint64_t rng;
	unsigned int me;
};

static uint64_t *line_at(const struct user *u, const struct s2_hold *hold)
{
	uint64_t offset = hold->hpa.hpa - HPA;

	if (offset % PAGE != u->me * LINE * 8 || offset >= sizeof(frames))
		broken("no such frame", offset, u->me);
	return &frames[0][0] + offset / 8;
}

static void page_init(struct user *u, unsigned int n)
{
	if (s2_hold_init(&u->holds[n], &vm, s2_gpa(RAM + n * PAGE + u->me * LINE * 8), LINE * 8,
			 S2_ACCESS_WRITE))
		broken("init failed", n, 0);
}

/* All of my words say the same, before and after. */
static void work(struct user *u, unsigned int n)
{
	uint64_t *line = line_at(u, &u->holds[n]), next = u->written[n] + 1;

	for (unsigned int i = 0; i < LINE; i++) {
		if (line[i] != u->written[n])
			broken(line[i] == POISON ? "poison read" : "a write was lost", line[i],
			       u->written[n]);
		line[i] = next;
		if (i % 16 == 15 && u->rng & 1)
			sched_yield(); /* so that others come between, on few CPUs too */
	}
	u->written[n] = next;
	add(&uses, 1);
}

static void user_round(struct user *u)
{
	unsigned int n = (unsigned int)(random_of(&u->rng) % PAGES), other = (n + 1) % PAGES;
	int ret = s2_hold_use(&u->holds[n], &u->walker);

	if (ret) {
		if (ret != S2_EPERM && ret != S2_ENOENT)
			broken("use failed", (uint64_t)-ret, n);
		add(&denied, 1);
		sched_yield();
		return;
	}
	for (unsigned int i = 0; i < 4; i++) {
		work(u, n);
		if (s2_hold_revoked(&u->holds[n])) {
			add(&cut_short, 1);
			break;
		}
	}
	if (!s2_hold_try(&u->holds[other])) {
		work(u, other);
		add(&twos, 1);
		s2_hold_done(&u->holds[other]);
	}
	s2_hold_done(&u->holds[n]);
	if (random_of(&u->rng) % 64 == 0) {
		s2_hold_fini(&u->holds[n]);
		memset(&u->holds[n], 0, sizeof(u->holds[n]));
		page_init(u, n);
	}
}

static void *user(void *arg)
{
	static struct user users[USERS];
	struct user *u = &users[(uintptr_t)arg];

	u->me = (unsigned int)(uintptr_t)arg;
	u->rng = 77 + u->me;
	s2_walker_init(&u->walker, &vm.pt);
	for (unsigned int n = 0; n < PAGES; n++)
		page_init(u, n);
	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE))
		user_round(u);
	for (unsigned int n = 0; n < PAGES; n++)
		s2_hold_fini(&u->holds[n]);
	s2_walker_fini(&u->walker);
	return NULL;
}

/* ---- hosts ---- */

static void begin(struct s2_walker *walker, uint64_t gpa, uint64_t size, enum s2_inval how)
{
	if (s2_vm_invalidate_begin(&vm, s2_gpa(gpa), size, how, walker))
		broken("begin failed", gpa, size);
}

static void end(uint64_t gpa, uint64_t size)
{
	s2_vm_invalidate_end(&vm, s2_gpa(gpa), size);
}

static void move_page(unsigned int n)
{
	unsigned int from = frame_of[n], to;

	pthread_mutex_lock(&host_lock);
	to = free_frames[--nfree];
	pthread_mutex_unlock(&host_lock);
	for (unsigned int i = 0; i < WORDS; i++)
		if (frames[to][i] != POISON)
			broken("somebody wrote to a free frame", to, i);
	memcpy(frames[to], frames[from], PAGE);
	memset(frames[from], 0xdb, PAGE);
	__atomic_store_n(&frame_of[n], to, __ATOMIC_RELEASE);
	/* Round about: the frame that was left first is taken first. */
	pthread_mutex_lock(&host_lock);
	memmove(&free_frames[1], &free_frames[0], nfree * sizeof(free_frames[0]));
	free_frames[0] = from;
	nfree++;
	pthread_mutex_unlock(&host_lock);
}

/* Each host has every second page; its invalidations reach over the other's, too. */
static void *host(void *arg)
{
	unsigned int me = (unsigned int)(uintptr_t)arg;
	uint64_t rng = 5 + me;
	struct s2_walker walker;

	s2_walker_init(&walker, &vm.pt);
	while (have(&moves) < moves_wanted) {
		uint64_t dice = random_of(&rng);
		unsigned int n = (unsigned int)(dice % (PAGES / HOSTS)) * HOSTS + me;
		uint64_t size = dice >> 8 & 3 ? PAGE : (PAGES - n) * PAGE, gpa = RAM + n * PAGE;

		begin(&walker, gpa, size, S2_INVAL_UNMAP);
		if (dice >> 10 & 1)
			begin(&walker, gpa, PAGE, S2_INVAL_WRITE);
		if (dice >> 11 & 1)
			sched_yield();
		move_page(n);
		if (dice >> 10 & 1)
			end(gpa, PAGE);
		end(gpa, size);
		if (add(&moves, 1), dice >> 12 & 1)
			sched_yield();
	}
	s2_walker_fini(&walker);
	return NULL;
}

/* The slot becomes read-only, goes, comes back: what is behind it stays. */
static void *slots(void *arg)
{
	struct s2_walker walker;
	struct s2_memslot to;
	uint64_t rng = 11;

	(void)arg;
	s2_walker_init(&walker, &vm.pt);
	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE)) {
		to = slot;
		to.flags ^= S2_SLOT_READONLY;
		if (s2_vm_slot_change(&vm, &slot, &to, &walker))
			broken("slot_change failed", 0, 0);
		if (random_of(&rng) % 4 == 0) {
			if (s2_vm_slot_del(&vm, &slot, &walker))
				broken("slot_del failed", 0, 0);
			sched_yield();
			if (s2_vm_slot_add(&vm, &slot))
				broken("slot_add failed", 0, 0);
		}
		for (uint64_t i = 0; i < (slot.flags ? 4u : 400u); i++)
			sched_yield();
	}
	s2_walker_fini(&walker);
	return NULL;
}

static void up(void)
{
	const struct s2_vm_config config = { .pt = { .format = S2_FORMAT_ARM64_4K,
						     .ipa_bits = 40,
						     .block_level = 1,
						     .cpu.pa_bits = 48 } };

	if (s2_vm_init(&vm, &config, &port))
		broken("s2_vm_init failed", 0, 0);
	slot = (struct s2_memslot){ .gpa = s2_gpa(RAM), .hva = s2_hva(HVA), .size = PAGES * PAGE };
	if (s2_vm_slot_add(&vm, &slot))
		broken("slot_add failed", 0, 0);
	memset(frames, 0xdb, sizeof(frames));
	memset(frames, 0, PAGES * PAGE);
	for (unsigned int i = 0; i < FRAMES; i++) {
		if (i < PAGES)
			frame_of[i] = i;
		else
			free_frames[nfree++] = i;
	}
}

int main(int argc, char **argv)
{
	pthread_t hosts[HOSTS], users[USERS], changer;

	if (argc > 1)
		moves_wanted = strtoull(argv[1], NULL, 0);
	up();
	__atomic_store_n(&running, 1, __ATOMIC_RELEASE);
	for (uintptr_t i = 0; i < USERS; i++)
		pthread_create(&users[i], NULL, user, (void *)i);
	pthread_create(&changer, NULL, slots, NULL);
	for (uintptr_t i = 0; i < HOSTS; i++)
		pthread_create(&hosts[i], NULL, host, (void *)i);
	for (int i = 0; i < HOSTS; i++)
		pthread_join(hosts[i], NULL);
	__atomic_store_n(&running, 0, __ATOMIC_RELEASE);
	for (int i = 0; i < USERS; i++)
		pthread_join(users[i], NULL);
	pthread_join(changer, NULL);
	if (vm.holds)
		broken("a hold is left", 0, 0);
	s2_vm_fini(&vm);
	printf("%llu moves, %llu uses (%llu of a second page), %llu questions, %llu denied, "
	       "%llu cut short\n",
	       (unsigned long long)moves, (unsigned long long)uses, (unsigned long long)twos,
	       (unsigned long long)asked, (unsigned long long)denied,
	       (unsigned long long)cut_short);
	if (moves < moves_wanted || !uses || !asked)
		broken("nothing happened", moves, uses);
	return 0;
}
