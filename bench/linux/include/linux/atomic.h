/* SPDX-License-Identifier: BSD-2-Clause */
/* Accesses to what others read or write at the same time. */
#ifndef BENCH_LINUX_ATOMIC_H
#define BENCH_LINUX_ATOMIC_H

#define READ_ONCE(x)         (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))

/* A plain store on x86; the compiler keeps what stands before it there. */
#define smp_store_release(pointer, value) __atomic_store_n(pointer, value, __ATOMIC_RELEASE)

/* A locked instruction on x86, whatever order is asked for. */
#define cmpxchg64_relaxed(pointer, old, new)                                                     \
	({                                                                                       \
		__typeof__(*(pointer)) cmpxchg_old = (old);                                      \
		__atomic_compare_exchange_n(pointer, &cmpxchg_old, new, false, __ATOMIC_RELAXED, \
					    __ATOMIC_RELAXED);                                   \
		cmpxchg_old;                                                                     \
	})

#endif
