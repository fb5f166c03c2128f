/* SPDX-License-Identifier: BSD-2-Clause */
/* What we know of each vCPU. See vcpu.c. */
#ifndef PLUGIN_VCPU_H
#define PLUGIN_VCPU_H

#include "memory.h"
#include "qemu_api.h"
#include "stage2check.h"

enum vcpu_register {
	VCPU_X0, /* to VCPU_X0 + 30 */
	VCPU_CPSR = 31,
	VCPU_SPSR_EL2,
	VCPU_HCR_EL2,
	VCPU_VTTBR_EL2,
	VCPU_VTCR_EL2,
	VCPU_MMFR0,
	VCPU_MMFR1,
	VCPU_MMFR2,
	VCPU_CTR,
	VCPU_REGISTERS
};

#define HCR_VM  (1ull << 0)
#define HCR_FWB (1ull << 46)
#define HCR_TGE (1ull << 27)
#define HCR_E2H (1ull << 34)
#define HCR_DC  (1ull << 12)

/* Memory that an instruction is about to change without telling: part of a page, as it was. */
struct rewrite {
	uint64_t pa, pc;
	size_t size;
	uint64_t before[PAGE_SIZE / 8];
};

/*
 * Its own thread's alone, but for the first part, which is under the lock because the events that
 * go with it are.
 */
struct vcpu {
	uint64_t told[S2C_SYSREGS]; /* what the model knows of its registers */
	int runs;                   /* the model was told S2C_RUN and no S2C_EXIT since */

	unsigned int index;
	const void *qemu; /* QEMU's own structure */
	uint64_t stores;
	/* The last translation: good until a TLBI anywhere or an ERET here. */
	uint64_t page_va, page_pa;
	uint64_t page_generation;
	unsigned int page_el;
	unsigned int line, iline; /* bytes of a data and an instruction cache line */
	size_t nrewrites, room;
	struct rewrite *rewrite;
};

/* By number; below S2C_CPUS. */
extern struct vcpu vcpus[S2C_CPUS];

/* Before any CPU. Returns NULL, or why this QEMU cannot be used. */
const char *vcpu_prepare(void);

/*
 * On its thread. Returns NULL, or the name of a register that this CPU lacks, or has under another
 * number than the first one.
 */
const char *vcpu_init(unsigned int index);

/* The CPU whose callback this is. Do not believe the number that QEMU hands over (see vcpu.c). */
struct vcpu *vcpu_current(void);

/* Of the CPU whose callback this is, which may read registers. */
uint64_t vcpu_register(enum vcpu_register number);
uint64_t vcpu_x(unsigned int number); /* 31: 0 */
unsigned int vcpu_el(void);           /* 0 in AArch32: it is no hypervisor's */
struct s2c_cpu vcpu_features(void);

/* As memory_translate(), but remembers the page. */
int vcpu_translate(struct vcpu *vcpu, unsigned int el, uint64_t va, uint64_t *pa);
/* Someone issued a TLBI. */
void vcpu_translations_changed(void);
void vcpu_forget_translation(struct vcpu *vcpu);

#endif
