// SPDX-License-Identifier: BSD-2-Clause
/*
 * The device tree: what the machine has is read into hyp_guest, and the tree is edited in place for
 * the guest: /memory without the hypervisor's part, bootargs without our options, no fw_cfg (and
 * nothing else that writes to memory by itself, where memory moves).
 *
 * Every edit makes the tree shorter, so it stays where the boot loader put it: in what becomes the
 * guest's RAM, below anything that the boot loader put there too. Runs on the boot CPU before any
 * guest does. The guest's first access to these pages goes through the engine, which cleans the
 * caches where a guest without caches would otherwise not see the edits.
 */
#include <stdlib.h>
#include <string.h>

#include "dtb.h"

/* Takes size bytes from the start of the one memory node's one range. */
static void memory_edit(struct hyp_guest *guest, void *dtb)
{
	int node = fdt_node_offset_by_prop_value(dtb, -1, "device_type", "memory", 7);
	int next = node < 0 ? node
			    : fdt_node_offset_by_prop_value(dtb, node, "device_type", "memory", 7);
	int length;
	const fdt32_t *reg = node < 0 ? NULL : fdt_getprop(dtb, node, "reg", &length);
	fdt64_t edited[2];

	if (!reg || next >= 0 || length != 16)
		hyp_end(HYP_END_ERROR, "the device tree must have one /memory node with one range");
	guest->ram_base = dtb_cells(reg, 2);
	guest->ram_size = dtb_cells(reg + 2, 2);
	if (guest->ram_base != HYP_RAM_BASE)
		hyp_end(HYP_END_ERROR, "RAM starts at 0x%llx, not at 0x%llx: not QEMU's virt?",
			(unsigned long long)guest->ram_base, HYP_RAM_BASE);
	if (guest->ram_size <= guest->reserve)
		hyp_end(HYP_END_ERROR, "too little memory: 0x%llx bytes, and 0x%llx are reserved",
			(unsigned long long)guest->ram_size, (unsigned long long)guest->reserve);
	guest->ram_base += guest->reserve;
	guest->ram_size -= guest->reserve;
	if (guest->reclaim || guest->merge)
		guest->tail = hyp_tail_size(guest->ram_size, guest->reclaim);
	if (guest->ram_size == guest->tail)
		hyp_end(HYP_END_ERROR, "too little memory: 0x%llx bytes, to be reclaimed",
			(unsigned long long)guest->ram_size);
	guest->ram_size -= guest->tail;
	edited[0] = cpu_to_fdt64(guest->ram_base);
	edited[1] = cpu_to_fdt64(guest->ram_size);
	if (fdt_setprop_inplace(dtb, node, "reg", edited, sizeof(edited)))
		hyp_end(HYP_END_ERROR, "cannot edit /memory");
}

/* Is the token [at, at + length) this option? Returns its value's text or NULL. */
static const char *option(const char *at, size_t length, const char *name)
{
	size_t n = strlen(name);

	return length >= n && !memcmp(at, name, n) ? at + n : NULL;
}

static void option_read(struct hyp_guest *guest, const char *at, size_t length)
{
	const char *value;
	char *end;

	value = option(at, length, "stage2.reserve=");
	if (value) {
		guest->reserve = strtoul(value, &end, 0);
		if (end == at + length)
			return;
	}
	value = option(at, length, "stage2.pages=");
	if (value && option(value, (size_t)(at + length - value), "4k")) {
		guest->block_level = 0;
		return;
	}
	if (value && option(value, (size_t)(at + length - value), "block")) {
		guest->block_level = 2;
		return;
	}
	if (option(at, length, "stage2.test") && length == 11) {
		guest->test = 1;
		return;
	}
	value = option(at, length, "stage2.reclaim=");
	if (value) {
		guest->reclaim = (uint32_t)strtoul(value, &end, 10);
		if (end == at + length && guest->reclaim >= 1 && guest->reclaim <= 100)
			return;
	}
	if (option(at, length, "stage2.merge") && length == 12) {
		guest->merge = 1;
		return;
	}
	hyp_end(HYP_END_ERROR, "unknown or malformed option on the kernel's command line: %s", at);
}

/* Reads and removes our options from /chosen/bootargs. */
static void bootargs_edit(struct hyp_guest *guest, void *dtb)
{
	static char args[4096];
	int node = fdt_path_offset(dtb, "/chosen");
	int length;
	const char *from = node < 0 ? NULL : fdt_getprop(dtb, node, "bootargs", &length);
	size_t kept = 0;

	if (!from)
		hyp_end(HYP_END_ERROR, "no /chosen/bootargs: stage2.reserve= is needed there");
	if ((size_t)length > sizeof(args))
		hyp_end(HYP_END_ERROR, "the kernel's command line is too long (%d)", length);
	for (const char *at = from; *at;) {
		const char *end = strchr(at, ' ');
		size_t n = end ? (size_t)(end - at) : strlen(at);

		if (option(at, n, "stage2.")) {
			option_read(guest, at, n);
		} else if (n) {
			memcpy(args + kept, at, n);
			kept += n;
			args[kept++] = ' ';
		}
		at += n + (end != NULL);
	}
	/* The terminator takes the last blank's place, so it is never longer than it was. */
	if (kept)
		kept--;
	args[kept++] = '\0';
	if (fdt_setprop(dtb, node, "bootargs", args, (int)kept))
		hyp_end(HYP_END_ERROR, "cannot edit /chosen/bootargs");
}

static void nodes_remove(void *dtb, const char *compatible)
{
	int node;

	while ((node = fdt_node_offset_by_compatible(dtb, -1, compatible)) >= 0)
		if (fdt_del_node(dtb, node))
			hyp_end(HYP_END_ERROR, "cannot remove a node %s", compatible);
}

/*
 * fw_cfg can write to any memory on the guest's behalf: the guest must not find it. Nor may it find
 * what reads or writes its own memory past the second stage, if that does not stay where it is.
 */
static void devices_remove(const struct hyp_guest *guest, void *dtb)
{
	nodes_remove(dtb, "qemu,fw-cfg-mmio");
	if (!guest->tail)
		return;
	nodes_remove(dtb, "virtio,mmio");
	nodes_remove(dtb, "pci-host-ecam-generic");
	nodes_remove(dtb, "arm,gic-v3-its");
}

static void cpus_read(struct hyp_guest *guest, const void *dtb)
{
	int cpus = fdt_path_offset(dtb, "/cpus");
	int width = cpus < 0 ? cpus : fdt_address_cells(dtb, cpus);
	int node;

	fdt_for_each_subnode(node, dtb, cpus)
	{
		const char *type = fdt_getprop(dtb, node, "device_type", NULL);
		const fdt32_t *reg = fdt_getprop(dtb, node, "reg", NULL);

		if (!type || strcmp(type, "cpu") || !reg)
			continue;
		if (guest->ncpus == HYP_MAX_CPUS)
			hyp_end(HYP_END_ERROR, "more than %u CPUs", HYP_MAX_CPUS);
		guest->mpidr[guest->ncpus++] = dtb_cells(reg, width);
	}
}

static void devices_read(struct hyp_guest *guest, const void *dtb)
{
	int node = fdt_path_offset(dtb, "/psci");
	const char *method = node < 0 ? NULL : fdt_getprop(dtb, node, "method", NULL);
	const fdt32_t *reg;

	if (!method || strcmp(method, "smc"))
		hyp_end(HYP_END_ERROR, "no PSCI by SMC: is virtualization=on missing?");
	node = fdt_node_offset_by_compatible(dtb, -1, "arm,pl011");
	reg = node < 0 ? NULL : fdt_getprop(dtb, node, "reg", NULL);
	if (reg)
		guest->uart = dtb_cells(reg, 2);
}

/* The kernel must not grow into what the boot loader put beside it, and all must be the guest's. */
static void layout_check(const struct hyp_guest *guest, const void *dtb)
{
	const uint64_t *image = (const uint64_t *)guest->ram_base;
	uint64_t end = guest->ram_base + guest->ram_size;
	uint64_t limit = guest->dtb;
	int node = fdt_path_offset(dtb, "/chosen");
	int length = 0;
	const fdt32_t *start = fdt_getprop(dtb, node, "linux,initrd-start", &length);

	if (start && dtb_cells(start, length / 4) < limit)
		limit = dtb_cells(start, length / 4);
	/* The header: text_offset at 8, image_size at 16, "ARM\x64" at 56. */
	if ((uint32_t)image[7] != 0x644d5241)
		hyp_end(HYP_END_ERROR, "no arm64 kernel Image at 0x%llx",
			(unsigned long long)guest->ram_base);
	if (image[1])
		hyp_end(HYP_END_ERROR, "the kernel is too old: its Image has a text_offset");
	if (guest->dtb < guest->ram_base || end - guest->dtb < fdt_totalsize(dtb) ||
	    guest->dtb > end || limit < guest->ram_base || limit - guest->ram_base < image[2])
		hyp_end(HYP_END_ERROR,
			"too little memory: the kernel needs 0x%llx bytes from 0x%llx, but initrd "
			"and device tree start at 0x%llx",
			(unsigned long long)image[2], (unsigned long long)guest->ram_base,
			(unsigned long long)limit);
}

void dtb_read(struct hyp_guest *guest, uint64_t address)
{
	void *dtb = (void *)address;

	/* 2 MiB: the most that the boot protocol allows. */
	if (!address || address % 8)
		hyp_end(HYP_END_ERROR, "no device tree in x0");
	mmu_map(address, 0x200000, MMU_DATA);
	if (fdt_check_header(dtb) || fdt_totalsize(dtb) > 0x200000 ||
	    fdt_open_into(dtb, dtb, (int)fdt_totalsize(dtb)))
		hyp_end(HYP_END_ERROR, "no valid device tree at 0x%llx",
			(unsigned long long)address);
	guest->dtb = address;
	guest->block_level = 2;
	bootargs_edit(guest, dtb);
	if (guest->reserve <= HYP_POOL_BASE - HYP_RAM_BASE || guest->reserve % 0x200000)
		hyp_end(HYP_END_ERROR, "stage2.reserve=0x%llx: too little, or no multiple of 2 MiB",
			(unsigned long long)guest->reserve);
	memory_edit(guest, dtb);
	devices_remove(guest, dtb);
	cpus_read(guest, dtb);
	devices_read(guest, dtb);
	regions_read(guest, dtb);
	mmu_map(guest->ram_base, guest->ram_size + guest->tail, MMU_DATA);
	if (guest->uart)
		mmu_map(guest->uart, 0x1000, MMU_DEVICE);
	layout_check(guest, dtb);
}
