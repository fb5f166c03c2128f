/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * These headers stand where Linux's stand, for the few of its files that the benchmark compiles
 * unchanged. They are ours and hold what those files use and nothing else. What is an atomic
 * operation in a kernel is one here; what is an instruction that only Arm has is a counter.
 */
#ifndef BENCH_LINUX_TYPES_H
#define BENCH_LINUX_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;

typedef u64 phys_addr_t;
typedef u64 dma_addr_t;
typedef unsigned int gfp_t;

#endif
