/* SPDX-License-Identifier: BSD-2-Clause */
/* Arithmetic that Linux's code takes for granted. */
#ifndef BENCH_LINUX_KERNEL_H
#define BENCH_LINUX_KERNEL_H

#include <errno.h>

#include <linux/bug.h>
#include <linux/types.h>

#define ALIGN_DOWN(value, unit) ((value) & ~((__typeof__(value))(unit)-1))
#define ALIGN(value, unit)      ALIGN_DOWN((value) + (__typeof__(value))(unit)-1, unit)
#define IS_ALIGNED(value, unit) (((value) & ((__typeof__(value))(unit)-1)) == 0)
#define DIV_ROUND_UP(n, d)      (((n) + (d)-1) / (d))

#define ilog2(n) (63 - __builtin_clzll(n))

#define min_t(type, a, b)                      \
	({                                     \
		type min_a = (a);              \
		type min_b = (b);              \
		min_a < min_b ? min_a : min_b; \
	})
#define min(a, b) min_t(__typeof__(a), a, b)

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#endif
