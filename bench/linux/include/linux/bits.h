/* SPDX-License-Identifier: BSD-2-Clause */
/* Single bits and runs of bits, 64 bits wide. */
#ifndef BENCH_LINUX_BITS_H
#define BENCH_LINUX_BITS_H

#define BIT(n)                 (1ul << (n))
#define BIT_ULL(n)             (1ull << (n))
#define GENMASK(high, low)     ((~0ul >> (63 - (high))) & (~0ul << (low)))
#define GENMASK_ULL(high, low) ((~0ull >> (63 - (high))) & (~0ull << (low)))

#endif
