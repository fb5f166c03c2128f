/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest must know of its machine: a minimal reader of the flattened device tree
 * (Devicetree Specification 0.4, chapter 5) and of the CPU's ID registers.
 *
 * One pass over the structure block; only the nodes directly below the root matter, and the CPUs.
 * It runs before the MMU is on and copies what it finds: the tree's memory is free afterwards.
 * Written for itself, so that a mistake is not shared with the hypervisor, which edits this tree.
 */
#include "guest.h"

#define FDT_MAGIC      0xd00dfeed
#define FDT_BEGIN_NODE 1
#define FDT_END_NODE   2
#define FDT_PROP       3
#define FDT_NOP        4
#define FDT_END        9

struct machine machine;

/* Where the pass is: names of the nodes around it, depth 1 being the children of the root. */
struct place {
	const char *path[3];
	unsigned int depth;
};

static uint32_t be32(uint64_t addr)
{
	return __builtin_bswap32(*(const volatile uint32_t *)addr);
}

static uint64_t be64(uint64_t addr)
{
	return (uint64_t)be32(addr) << 32 | be32(addr + 4);
}

static int is(const char *s, const char *what)
{
	return !memcmp(s, what, strlen(what) + 1);
}

static int starts(const char *s, const char *what)
{
	return !memcmp(s, what, strlen(what));
}

static void property(const struct place *at, const char *name, uint64_t value, uint32_t size)
{
	const char *node = at->depth >= 2 ? at->path[1] : "";

	if (at->depth == 2 && is(node, "chosen") && is(name, "bootargs")) {
		if (size > sizeof(machine.bootargs))
			size = sizeof(machine.bootargs);
		memcpy(machine.bootargs, (const void *)value, size);
		machine.bootargs[sizeof(machine.bootargs) - 1] = 0;
	} else if (at->depth == 2 && is(node, "psci") && is(name, "method")) {
		machine.psci_hvc = is((const char *)value, "hvc");
	} else if (at->depth == 2 && starts(node, "memory") && is(name, "reg")) {
		for (; size >= 16; value += 16, size -= 16) {
			uint64_t base = be64(value), length = be64(value + 8);

			if (machine.image - base < length) {
				machine.ram_base = base;
				machine.ram_size = length;
			}
		}
	} else if (at->depth == 3 && is(node, "cpus") && starts(at->path[2], "cpu@") &&
		   is(name, "reg") && machine.ncpus < MAX_CPUS) {
		cpus[machine.ncpus++].mpidr = size == 8 ? be64(value) : be32(value);
	}
}

/* Reads one token at `pos`; returns where the next one is, 0 at the end or at a broken tree. */
static uint64_t token(struct place *at, uint64_t pos, uint64_t strings)
{
	uint32_t what = be32(pos);

	pos += 4;
	if (what == FDT_BEGIN_NODE) {
		if (at->depth < 3)
			at->path[at->depth] = (const char *)pos;
		at->depth++;
		pos += strlen((const char *)pos) + 1;
	} else if (what == FDT_END_NODE) {
		at->depth--;
	} else if (what == FDT_PROP) {
		uint32_t size = be32(pos);

		property(at, (const char *)(strings + be32(pos + 4)), pos + 8, size);
		pos += 8 + size;
	} else if (what != FDT_NOP) {
		return 0;
	}
	return (pos + 3) & ~3ull;
}

void boot_read(uint64_t dtb)
{
	struct place at = { .depth = 0 };
	uint64_t me = read_sysreg(mpidr_el1) & 0xff00ffffffull;

	__asm__("adrp %0, _start" : "=r"(machine.image));
	cpus[0].stack = (uint64_t)stacks[1];
	if (be32(dtb) != FDT_MAGIC)
		bail("no device tree");
	for (uint64_t pos = dtb + be32(dtb + 8), strings = dtb + be32(dtb + 12); pos;)
		pos = token(&at, pos, strings);
	if (!machine.ram_size)
		bail("the device tree's memory does not hold this image");
	if (!machine.ncpus || cpus[0].mpidr != me)
		bail("the device tree's first CPU is not the one that runs");
	machine.lse = (read_sysreg(id_aa64isar0_el1) >> 20 & 0xf) >= 2;
	machine.hafdbs = (read_sysreg(id_aa64mmfr1_el1) & 0xf) >= 1;
	machine.pan = (read_sysreg(id_aa64mmfr1_el1) >> 20 & 0xf) >= 1;
}
