/* SPDX-License-Identifier: BSD-2-Clause */
/* The port's tlb(): see tlb.c. Private to ports/el2. */
#ifndef PORTS_EL2_TLB_H
#define PORTS_EL2_TLB_H

#include <stage2/port.h>

void el2_tlb(void *ctx, const struct s2_tlb_op *ops, size_t n);

#endif
