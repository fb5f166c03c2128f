/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Atomic operations on plain fields, so that the public structures are ordinary C and C++. Only
 * what C11 guarantees is used, no fences: ThreadSanitizer understands all of it. Which operation
 * pairs with which is said where it is used; docs/locking.md has the whole argument.
 */
#ifndef S2_ATOMIC_H
#define S2_ATOMIC_H

#include <stage2/port.h>

static inline uint64_t s2_load_acquire(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline uint64_t s2_load_seq(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static inline void s2_store_relaxed(uint64_t *p, uint64_t value)
{
	__atomic_store_n(p, value, __ATOMIC_RELAXED);
}

/* Keeps the compiler, but not the CPU, from moving anything across. */
static inline void s2_compiler_barrier(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void s2_store_release(uint64_t *p, uint64_t value)
{
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

static inline void s2_store_seq(uint64_t *p, uint64_t value)
{
	__atomic_store_n(p, value, __ATOMIC_SEQ_CST);
}

static inline uint64_t s2_add_seq(uint64_t *p, uint64_t value)
{
	return __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST);
}

static inline int s2_cas_seq(uint64_t *p, uint64_t *old, uint64_t value)
{
	return __atomic_compare_exchange_n(p, old, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* A counter that one thread writes and others may read at any time. */
static inline void s2_count(uint64_t *p, uint64_t n)
{
	__atomic_store_n(p, __atomic_load_n(p, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline uint64_t s2_count_read(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/*
 * A lock for management only (registration of walkers, changes of slots): never taken by a fault,
 * never inside a walker section. Any number share it (2 each) or one owns it
 * (1); who wants to own it sets the low bit first, so that sharers cannot keep him out.
 */
static inline void s2_lock_shared(uint32_t *lock, const struct s2_port *port)
{
	uint32_t old = __atomic_load_n(lock, __ATOMIC_RELAXED) & ~1u;

	while (!__atomic_compare_exchange_n(lock, &old, old + 2, 0, __ATOMIC_ACQUIRE,
					    __ATOMIC_RELAXED)) {
		if (old & 1) {
			port->relax(port->ctx);
			old &= ~1u;
		}
	}
}

static inline void s2_unlock_shared(uint32_t *lock)
{
	__atomic_fetch_sub(lock, 2, __ATOMIC_RELEASE);
}

static inline void s2_lock(uint32_t *lock, const struct s2_port *port)
{
	uint32_t old = __atomic_load_n(lock, __ATOMIC_RELAXED) & ~1u;

	/* First announce, so that no new sharer comes in; then wait for those that are in. */
	while (!__atomic_compare_exchange_n(lock, &old, old | 1, 0, __ATOMIC_ACQUIRE,
					    __ATOMIC_RELAXED)) {
		if (old & 1) {
			port->relax(port->ctx);
			old &= ~1u;
		}
	}
	while (__atomic_load_n(lock, __ATOMIC_ACQUIRE) != 1)
		port->relax(port->ctx);
}

static inline void s2_unlock(uint32_t *lock)
{
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

#endif
