/* SPDX-License-Identifier: BSD-2-Clause */
/* Fields that are named by a constant mask: all of it folds. */
#ifndef BENCH_LINUX_BITFIELD_H
#define BENCH_LINUX_BITFIELD_H

#include <linux/bits.h>

#define BITFIELD_LOW(mask) __builtin_ctzll(mask)

#define FIELD_PREP(mask, value) ((((__typeof__(mask))(value)) << BITFIELD_LOW(mask)) & (mask))
#define FIELD_GET(mask, word)   ((__typeof__(mask))(((word) & (mask)) >> BITFIELD_LOW(mask)))

#endif
