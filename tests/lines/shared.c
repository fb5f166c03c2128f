/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See shared.h. Every kind of access that the recorder must notice: an atomic, a plain store next
 * to another's, a compare-and-swap that fails, a structure as a whole, a call of memset.
 */
#include "shared.h"

#include <string.h>

/* A size that the compiler does not know, so that memset stays a call. */
static volatile size_t two_words = 16;

struct pair {
	uint64_t a, b;
};

void shared_counter(struct shared *shared, unsigned int thread)
{
	(void)thread;
	__atomic_fetch_add(&shared->common[0], 1, __ATOMIC_RELAXED);
}

void shared_neighbours(struct shared *shared, unsigned int thread)
{
	shared->common[thread]++;
}

void shared_lost_race(struct shared *shared, unsigned int thread)
{
	uint64_t expected = 1 + thread;

	__atomic_compare_exchange_n(&shared->common[7], &expected, 2, 0, __ATOMIC_RELAXED,
				    __ATOMIC_RELAXED);
}

void shared_copy(struct shared *shared, unsigned int thread)
{
	*(struct pair *)(void *)&shared->common[4 * thread] =
		*(const struct pair *)(const void *)shared->own[thread];
}

void shared_clear(struct shared *shared, unsigned int thread)
{
	memset(&shared->common[4 * thread], 0, two_words);
}

void shared_look(struct shared *shared, unsigned int thread)
{
	if (thread == 0)
		shared->common[0]++;
	else
		shared->own[1][0] = __atomic_load_n(&shared->common[7], __ATOMIC_RELAXED);
}

void shared_nothing(struct shared *shared, unsigned int thread)
{
	shared->own[thread][0]++;
}
