/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lock for readers or one writer that spins, with the uncontended cost of the one that Linux
 * has on x86: one locked instruction to take it, for a writer a plain store to let go, for a reader
 * another locked instruction. Whoever finds it taken queues at a gate, so that a waiter competes
 * with newcomers only. These may pass it, which Linux does not allow: it is the faster way.
 *
 * The word is the number of readers in its upper 24 bits and the writer in its lowest byte.
 */
#ifndef BENCH_RWLOCK_H
#define BENCH_RWLOCK_H

#include <stdint.h>

#define RWLOCK_WRITER 1u
#define RWLOCK_READER 0x100u
#define RWLOCK_MASK   0xffu

struct rwlock {
	union {
		uint32_t word;
		uint8_t writer; /* little-endian */
	};
	uint32_t gate;
};

static inline void rwlock_gate(struct rwlock *lock)
{
	while (__atomic_exchange_n(&lock->gate, 1, __ATOMIC_ACQUIRE))
		while (__atomic_load_n(&lock->gate, __ATOMIC_RELAXED))
			__builtin_ia32_pause();
}

static inline int rwlock_try_write(struct rwlock *lock)
{
	uint32_t free = 0;

	return __atomic_compare_exchange_n(&lock->word, &free, RWLOCK_WRITER, 0, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

static __attribute__((noinline, unused)) void rwlock_wait_write(struct rwlock *lock)
{
	rwlock_gate(lock);
	while (!rwlock_try_write(lock))
		while (__atomic_load_n(&lock->word, __ATOMIC_RELAXED))
			__builtin_ia32_pause();
	__atomic_store_n(&lock->gate, 0, __ATOMIC_RELEASE);
}

static __attribute__((noinline, unused)) void rwlock_wait_read(struct rwlock *lock)
{
	/* Back out: the writers at the gate wait for a word of 0. */
	__atomic_fetch_sub(&lock->word, RWLOCK_READER, __ATOMIC_RELAXED);
	rwlock_gate(lock);
	__atomic_fetch_add(&lock->word, RWLOCK_READER, __ATOMIC_ACQUIRE);
	while (__atomic_load_n(&lock->word, __ATOMIC_ACQUIRE) & RWLOCK_MASK)
		__builtin_ia32_pause();
	__atomic_store_n(&lock->gate, 0, __ATOMIC_RELEASE);
}

static inline void rwlock_write(struct rwlock *lock)
{
	if (__builtin_expect(!rwlock_try_write(lock), 0))
		rwlock_wait_write(lock);
}

static inline void rwlock_write_end(struct rwlock *lock)
{
	__atomic_store_n(&lock->writer, 0, __ATOMIC_RELEASE);
}

static inline void rwlock_read(struct rwlock *lock)
{
	uint32_t word = __atomic_add_fetch(&lock->word, RWLOCK_READER, __ATOMIC_ACQUIRE);

	if (__builtin_expect(word & RWLOCK_MASK, 0))
		rwlock_wait_read(lock);
}

static inline void rwlock_read_end(struct rwlock *lock)
{
	__atomic_sub_fetch(&lock->word, RWLOCK_READER, __ATOMIC_RELEASE);
}

#endif
