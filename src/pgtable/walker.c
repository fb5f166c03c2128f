/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walkers: registration, waiting for their sections, their stocks of tables. See walker.h for the
 * theory. The list of walkers is read by whoever synchronizes (shared) and changed by whoever
 * registers (exclusive); both are management, a fault never takes this lock.
 */
#include "internal.h"

void s2_walker_init(struct s2_walker *walker, struct s2_pt *pt)
{
	*walker = (struct s2_walker){ .pt = pt };
	s2_lock(&pt->walkers_lock, pt->port);
	walker->next = pt->walkers;
	pt->walkers = walker;
	s2_unlock(&pt->walkers_lock);
}

static void stats_add(struct s2_stats *sum, const struct s2_stats *stats)
{
	/* All of it is uint64_t counters. */
	const uint64_t *from = (const uint64_t *)stats;
	uint64_t *to = (uint64_t *)sum;

	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += s2_count_read(&from[i]);
}

void s2_pt_stats(struct s2_pt *pt, struct s2_stats *stats)
{
	s2_lock_shared(&pt->walkers_lock, pt->port);
	*stats = pt->departed;
	for (const struct s2_walker *w = pt->walkers; w; w = w->next)
		stats_add(stats, &w->stats);
	s2_unlock_shared(&pt->walkers_lock);
}

/*
 * Waits until every section of another walker that is open now has been left, for so many looks at
 * most. Returns whether they have. With the list of walkers locked.
 */
static int sections_left(struct s2_pt *pt, const struct s2_walker *self, uint64_t looks)
{
	uint64_t section;

	if (pt->barrier)
		pt->port->barrier(pt->port->ctx); /* pairs with s2_open() */
	for (const struct s2_walker *w = pt->walkers; w; w = w->next) {
		if (w == self)
			continue;
		section = s2_load_seq(&w->section);
		while (section & 1 && s2_load_acquire(&w->section) == section) {
			if (!looks--)
				return 0;
			pt->port->relax(pt->port->ctx);
		}
	}
	return 1;
}

/*
 * What is added to the epoch is nothing: that it was written is enough for invariant 1, and hints
 * need not go, for no table does. (Whoever unlinks one moves the epoch.)
 */
void s2_synchronize(struct s2_pt *pt, const struct s2_walker *self)
{
	s2_add_seq(&pt->epoch, 0);
	s2_lock_shared(&pt->walkers_lock, pt->port);
	(void)sections_left(pt, self, ~0ull);
	s2_unlock_shared(&pt->walkers_lock);
}

void s2_enter_wait(struct s2_walker *walker)
{
	struct s2_pt *pt = walker->pt;

	__atomic_add_fetch(&pt->waiters, 1, __ATOMIC_RELAXED);
	do {
		s2_leave(walker);
		pt->port->relax(pt->port->ctx);
	} while (s2_enter_looking(walker) & S2_EPOCH_EXCLUSIVE);
	__atomic_sub_fetch(&pt->waiters, 1, __ATOMIC_RELAXED);
}

/* How often a holder looks whether those who wait for him have come in, before he goes on. */
#define WAITERS_LOOKS 256

void s2_exclusive_yield(struct s2_walker *walker)
{
	struct s2_pt *pt = walker->pt;

	for (int i = 0; i < WAITERS_LOOKS && __atomic_load_n(&pt->waiters, __ATOMIC_RELAXED); i++)
		pt->port->relax(pt->port->ctx);
}

/* Somebody who stays in his section for so long, or does not run, must not keep all others out. */
#define EXCLUSIVE_LOOKS 1024

int s2_exclusive_begin(struct s2_walker *walker)
{
	struct s2_pt *pt = walker->pt;
	uint64_t epoch = s2_load_seq(&pt->epoch);
	int held = 0;

	s2_lock_shared(&pt->walkers_lock, pt->port);
	if (!(epoch & S2_EPOCH_EXCLUSIVE) &&
	    s2_cas_seq(&pt->epoch, &epoch, epoch + (S2_EPOCH_STEP | S2_EPOCH_EXCLUSIVE))) {
		held = sections_left(pt, walker, EXCLUSIVE_LOOKS);
		if (!held)
			s2_exclusive_end(walker);
	}
	s2_unlock_shared(&pt->walkers_lock);
	/* No section is entered, so what it does about hints is done here. */
	walker->epoch = S2_EPOCH_NEVER;
	s2_hints_drop(walker);
	return held;
}

void s2_exclusive_end(struct s2_walker *walker)
{
	/* Others may move the epoch meanwhile: the bit goes, the rest stays. */
	s2_add_seq(&walker->pt->epoch, ~S2_EPOCH_EXCLUSIVE + 1);
}

int s2_table_alloc(struct s2_pt *pt, unsigned int order, uint64_t **table)
{
	uint32_t n = 1u << order;

	if (__atomic_add_fetch(&pt->tables, n, __ATOMIC_RELAXED) > pt->table_quota &&
	    pt->table_quota) {
		__atomic_sub_fetch(&pt->tables, n, __ATOMIC_RELAXED);
		return S2_EQUOTA;
	}
	*table = pt->port->table_alloc(pt->port->ctx, order);
	if (*table)
		return 0;
	__atomic_sub_fetch(&pt->tables, n, __ATOMIC_RELAXED);
	return S2_ENOMEM;
}

void s2_table_free(struct s2_pt *pt, uint64_t *table, unsigned int order)
{
	pt->port->table_free(pt->port->ctx, table, order);
	__atomic_sub_fetch(&pt->tables, 1u << order, __ATOMIC_RELAXED);
}

void s2_limbo_free(struct s2_walker *walker)
{
	uint64_t *limbo = walker->limbo;

	walker->limbo = NULL;
	walker->limbos = 0;
	if (limbo)
		walker->pt->ops->free_chain(walker->pt, limbo, walker);
}

/* Frees the tables in limbo after all. Outside any section. */
static void drain(struct s2_walker *walker)
{
	if (!walker->limbo)
		return;
	s2_synchronize(walker->pt, walker);
	s2_limbo_free(walker);
}

int s2_walker_fill(struct s2_walker *walker, unsigned int n)
{
	uint64_t *table;
	int ret;

	while (walker->ntables < n) {
		ret = s2_table_alloc(walker->pt, 0, &table);
		if (ret && walker->limbo) {
			drain(walker);
			continue;
		}
		if (ret)
			return walker->ntables ? 0 : ret;
		s2_walker_return(walker, table);
	}
	return 0;
}

void s2_walker_fini(struct s2_walker *walker)
{
	struct s2_pt *pt = walker->pt;
	struct s2_walker **link;

	if (!pt)
		return;
	drain(walker);
	while (walker->ntables)
		s2_table_free(pt, s2_walker_take(walker), 0);
	s2_lock(&pt->walkers_lock, pt->port);
	for (link = &pt->walkers; *link != walker; link = &(*link)->next)
		;
	*link = walker->next;
	stats_add(&pt->departed, &walker->stats);
	s2_unlock(&pt->walkers_lock);
	walker->pt = NULL;
}
