// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the guest may touch: its RAM, and every device that the device tree names: `reg` of the
 * nodes under the root and of what stands directly below the interrupt controller (ITS, v2m), and
 * the windows of buses (`ranges`: PCIe memory and I/O). Each range is rounded outwards to pages;
 * ranges that overlap or touch are merged, as a guest cannot tell the difference and blocks get
 * larger. What the tree does not name is not mapped.
 *
 * Runs on the boot CPU before any guest. The tree is QEMU's and is trusted, but its numbers are
 * checked: a range that wraps or that meets RAM ends the run.
 */
#include <string.h>

#include "dtb.h"

#define PAGE 4096ull

/* Region 0 is RAM; the devices behind it stay ascending and apart. */
static void region_add(struct hyp_guest *guest, uint64_t base, uint64_t size)
{
	struct el2_region *region = guest->regions;
	uint64_t first = base & ~(PAGE - 1);
	uint64_t end = (base + size + PAGE - 1) & ~(PAGE - 1);
	uint32_t at = 1;
	uint32_t gone;

	if (size == 0)
		return;
	if (end <= first || (first < guest->ram_base + guest->ram_size && end > HYP_RAM_BASE))
		hyp_end(HYP_END_ERROR, "a device at 0x%llx, size 0x%llx, lies over RAM",
			(unsigned long long)base, (unsigned long long)size);
	while (at < guest->nregions && region[at].base + region[at].size < first)
		at++;
	/* Everything from here that touches is merged into one. */
	for (gone = at; gone < guest->nregions && region[gone].base <= end; gone++) {
		uint64_t other = region[gone].base + region[gone].size;

		first = region[gone].base < first ? region[gone].base : first;
		end = other > end ? other : end;
	}
	if (gone == at && guest->nregions == HYP_MAX_REGIONS)
		hyp_end(HYP_END_ERROR, "too many devices");
	memmove(&region[at + 1], &region[gone], (guest->nregions - gone) * sizeof(*region));
	guest->nregions = guest->nregions + 1 - (gone - at);
	region[at].base = first;
	region[at].size = end - first;
	region[at].prot = S2_RW;
	region[at].type = S2_MEM_DEVICE;
}

static void reg_read(struct hyp_guest *guest, const void *dtb, int parent, int node)
{
	int address = fdt_address_cells(dtb, parent);
	int size = fdt_size_cells(dtb, parent);
	int length = 0;
	const fdt32_t *reg = fdt_getprop(dtb, node, "reg", &length);

	for (; reg && length >= (address + size) * 4; length -= (address + size) * 4) {
		region_add(guest, dtb_cells(reg, address), dtb_cells(reg + address, size));
		reg += address + size;
	}
}

/* Entries of `ranges`: address on the bus, address under the root, size. */
static void windows_read(struct hyp_guest *guest, const void *dtb, int node)
{
	int bus = fdt_address_cells(dtb, node);
	int root = fdt_address_cells(dtb, 0);
	int size = fdt_size_cells(dtb, node);
	int length = 0;
	const fdt32_t *at = fdt_getprop(dtb, node, "ranges", &length);

	for (; at && length >= (bus + root + size) * 4; length -= (bus + root + size) * 4) {
		region_add(guest, dtb_cells(at + bus, root), dtb_cells(at + bus + root, size));
		at += bus + root + size;
	}
}

void regions_read(struct hyp_guest *guest, const void *dtb)
{
	int node;
	int child;

	guest->regions[0].base = guest->ram_base;
	guest->regions[0].size = guest->ram_size;
	guest->regions[0].prot = S2_RWX;
	guest->regions[0].type = S2_MEM_NORMAL;
	guest->nregions = 1;
	fdt_for_each_subnode(node, dtb, 0)
	{
		const char *type = fdt_getprop(dtb, node, "device_type", NULL);
		const char *status = fdt_getprop(dtb, node, "status", NULL);

		if ((type && !strcmp(type, "memory")) || (status && !strcmp(status, "disabled")))
			continue;
		reg_read(guest, dtb, 0, node);
		windows_read(guest, dtb, node);
		if (!fdt_getprop(dtb, node, "interrupt-controller", NULL))
			continue;
		fdt_for_each_subnode(child, dtb, node) reg_read(guest, dtb, node, child);
	}
}
