/* SPDX-License-Identifier: BSD-2-Clause */
/* Up to 16 tables side by side may be the root of stage 2: they stand for 4 bits of address. */
#ifndef BENCH_ASM_STAGE2_PGTABLE_H
#define BENCH_ASM_STAGE2_PGTABLE_H

#define stage2_pgtable_levels(ipa_bits) ARM64_HW_PGTABLE_LEVELS((ipa_bits)-4)

#endif
