// SPDX-License-Identifier: BSD-2-Clause
/*
 * What we know of each vCPU: how to read its registers, and where its addresses lead.
 *
 * QEMU gives registers by name as GDB would see them; those of the system have the manual's names.
 *
 * Callbacks are told the number of their CPU, but where one thread plays all CPUs, QEMU 10 makes
 * that a constant of the translated code: the number of the CPU that ran this code first. So we ask
 * QEMU's own variable which CPU it is playing; it is exported to modules, as in memory.c.
 *
 * A walk of the machine's tables for each DC would cost more than all else together, and those who
 * clean or zero memory do it line by line. So the last page is remembered, for the exception level
 * it was found at, until anything happens that may change it: a TLBI on any CPU, an ERET on this.
 */
#include "vcpu.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

struct vcpu vcpus[S2C_CPUS];

/* Of all CPUs: they are of one model. QEMU asks the CPU that runs on the calling thread. */
static struct qemu_plugin_register *handle[VCPU_REGISTERS];
static uint64_t generation = 1;

static const char *const names[VCPU_REGISTERS] = {
	[VCPU_CPSR] = "cpsr",
	[VCPU_SPSR_EL2] = "SPSR_EL2",
	[VCPU_HCR_EL2] = "HCR_EL2",
	[VCPU_VTTBR_EL2] = "VTTBR_EL2",
	[VCPU_VTCR_EL2] = "VTCR_EL2",
	[VCPU_MMFR0] = "ID_AA64MMFR0_EL1",
	[VCPU_MMFR1] = "ID_AA64MMFR1_EL1",
	[VCPU_MMFR2] = "ID_AA64MMFR2_EL1",
	[VCPU_CTR] = "CTR_EL0",
};

static struct qemu_plugin_register *find(const GArray *array, const char *name)
{
	const struct qemu_register *registers = (const struct qemu_register *)(void *)array->data;

	for (unsigned int i = 0; i < array->n; i++)
		if (!strcmp(registers[i].name, name))
			return registers[i].handle;
	return NULL;
}

/* QEMU's `current_cpu` of this thread. */
static const void *playing(void)
{
	static _Thread_local void *const *current;

	if (!current)
		current = dlsym(RTLD_DEFAULT, "current_cpu");
	return *current;
}

const char *vcpu_prepare(void)
{
	if (dlsym(RTLD_DEFAULT, "current_cpu"))
		return NULL;
	return "this QEMU does not tell which CPU it plays: use one that is built with modules, "
	       "as Debian's is";
}

struct vcpu *vcpu_current(void)
{
	static _Thread_local struct vcpu *last = vcpus;
	const void *qemu = playing();

	if (last->qemu == qemu)
		return last;
	for (size_t i = 0; i < S2C_CPUS; i++) {
		if (vcpus[i].qemu == qemu) {
			last = &vcpus[i];
			break;
		}
	}
	return last;
}

const char *vcpu_init(unsigned int index)
{
	static char name[8];
	GArray *array = qemu_plugin_get_registers();
	const char *bad = NULL;
	uint64_t ctr;

	for (unsigned int i = 0; i < VCPU_REGISTERS && !bad; i++) {
		struct qemu_plugin_register *found;

		if (!names[i])
			snprintf(name, sizeof(name), "x%u", i);
		found = find(array, names[i] ? names[i] : name);
		if (!handle[i])
			handle[i] = found;
		if (!found || handle[i] != found)
			bad = names[i] ? names[i] : name;
	}
	g_array_free(array, 1);
	if (bad)
		return bad;
	ctr = vcpu_register(VCPU_CTR);
	vcpus[index].index = index;
	vcpus[index].qemu = playing();
	vcpus[index].line = 4u << (ctr >> 16 & 15);
	vcpus[index].iline = 4u << (ctr & 15);
	return NULL;
}

uint64_t vcpu_register(enum vcpu_register number)
{
	static _Thread_local GByteArray *buffer;
	uint64_t value = 0;
	int n;

	if (!buffer)
		buffer = g_byte_array_new();
	g_byte_array_set_size(buffer, 0);
	n = qemu_plugin_read_register(handle[number], buffer);
	if (n > 0)
		memcpy(&value, buffer->data, n < 8 ? (size_t)n : 8);
	return value;
}

uint64_t vcpu_x(unsigned int number)
{
	return number < 31 ? vcpu_register((enum vcpu_register)(VCPU_X0 + number)) : 0;
}

unsigned int vcpu_el(void)
{
	uint64_t cpsr = vcpu_register(VCPU_CPSR);

	return cpsr & 0x10 ? 0 : cpsr >> 2 & 3;
}

struct s2c_cpu vcpu_features(void)
{
	return s2c_cpu_from_id(vcpu_register(VCPU_MMFR0), vcpu_register(VCPU_MMFR1),
			       vcpu_register(VCPU_MMFR2), vcpu_register(VCPU_CTR));
}

int vcpu_translate(struct vcpu *vcpu, unsigned int el, uint64_t va, uint64_t *pa)
{
	uint64_t now = __atomic_load_n(&generation, __ATOMIC_RELAXED);
	uint64_t offset = va & (PAGE_SIZE - 1), page_pa;

	if (vcpu->page_generation != now || vcpu->page_el != el || vcpu->page_va != va - offset) {
		if (memory_translate(vcpu->index, va - offset, &page_pa))
			return -1;
		vcpu->page_generation = now;
		vcpu->page_el = el;
		vcpu->page_va = va - offset;
		vcpu->page_pa = page_pa;
	}
	*pa = vcpu->page_pa + offset;
	return 0;
}

void vcpu_translations_changed(void)
{
	__atomic_fetch_add(&generation, 1, __ATOMIC_RELAXED);
}

void vcpu_forget_translation(struct vcpu *vcpu)
{
	vcpu->page_generation = 0;
}
