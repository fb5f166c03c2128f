/* SPDX-License-Identifier: BSD-2-Clause */
/* What dtb.c and regions.c share of the device tree. Boot CPU only. */
#ifndef HYP_DTB_H
#define HYP_DTB_H

#include <libfdt.h>

#include "hyp.h"

/* A number of n cells (1 or 2; of more, the last two). */
static inline uint64_t dtb_cells(const fdt32_t *cell, int n)
{
	uint64_t value = 0;

	while (n--)
		value = value << 32 | fdt32_to_cpu(*cell++);
	return value;
}

/* Fills in the regions of the guest: its RAM, which is known already, and all devices. */
void regions_read(struct hyp_guest *guest, const void *dtb);

#endif
