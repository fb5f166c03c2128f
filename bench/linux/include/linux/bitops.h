/* SPDX-License-Identifier: BSD-2-Clause */
/* First and last bit set; of 0 neither is defined. */
#ifndef BENCH_LINUX_BITOPS_H
#define BENCH_LINUX_BITOPS_H

#include <linux/bits.h>

#define __ffs(word) ((unsigned long)__builtin_ctzl(word))
#define __fls(word) ((unsigned long)(63 - __builtin_clzl(word)))

#endif
