/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A warning is noted, out of line, for the subject to look at when its batch is done: a batch with
 * one is no result. BUG() is for what this benchmark never reaches: it ends the program.
 */
#ifndef BENCH_LINUX_BUG_H
#define BENCH_LINUX_BUG_H

#include <stdlib.h>

void linux_warn(void) __attribute__((cold));

#define WARN_ON(condition)                        \
	({                                        \
		int warn_on = !!(condition);      \
		if (__builtin_expect(warn_on, 0)) \
			linux_warn();             \
		__builtin_expect(warn_on, 0);     \
	})
#define WARN_ON_ONCE(condition) WARN_ON(condition)

#define BUG()                abort()
/* As in a kernel without CONFIG_DEBUG_VM: it must compile and costs nothing. */
#define VM_BUG_ON(condition) ((void)sizeof(!!(condition)))

#define EXPORT_SYMBOL_GPL(symbol) extern __typeof__(symbol) symbol

#endif
