// SPDX-License-Identifier: BSD-2-Clause
/*
 * The boot CPU's way from head.S to the guest, and the others' way.
 *
 * All that the CPUs share is made here before the second one can run: hyp_guest, the walkers (each
 * registered here and used by its CPU only), the slots. A started CPU sees it because the SMC that
 * started it comes after.
 */
#include "hyp.h"
#include "reclaim.h"
#include "sysreg.h"
#include "testdev.h"
#include "tracing.h"

#define VMID     1  /* not 0: what reset leaves in VTTBR_EL2 shall not be ours by accident */
#define IPA_BITS 40 /* reaches QEMU's high PCIe windows */

struct hyp_guest hyp_guest;

/* Entry at EL1: nothing can be done but say so. PSCI is behind HVC then. */
void hyp_wrong_level(void)
{
	hyp_end(HYP_END_ERROR,
		"the hypervisor was not started at EL2: virtualization=on is missing");
}

/* The boot CPU is hyp_cpus[0]; the others follow in the order of the device tree. */
static void cpus_name(void)
{
	uint64_t self = sysreg_read(mpidr_el1) & 0xff00ffffffull;
	uint32_t next = 1;
	uint32_t found = 0;

	for (uint32_t i = 0; i < hyp_guest.ncpus; i++) {
		if (hyp_guest.mpidr[i] == self)
			found = 1;
		else if (next < HYP_MAX_CPUS)
			hyp_cpus[next++].mpidr = hyp_guest.mpidr[i];
	}
	if (!found)
		hyp_end(HYP_END_ERROR, "the device tree does not name the boot CPU");
	hyp_cpus[0].mpidr = self;
	hyp_cpus[0].state = HYP_CPU_ON;
}

static uint8_t ipa_bits(const struct s2_cpu *cpu)
{
	const struct el2_region *last = &hyp_guest.regions[hyp_guest.nregions - 1];

	if (cpu->pa_bits < IPA_BITS || last->base + last->size > 1ull << IPA_BITS)
		return cpu->pa_bits;
	return IPA_BITS;
}

static void vm_create(void)
{
	struct hyp_guest *guest = &hyp_guest;
	struct s2_vm_config config = { 0 };
	int error;

	cpu_features(&config.pt.cpu);
	config.pt.format = S2_FORMAT_ARM64_4K;
	config.pt.ipa_bits = ipa_bits(&config.pt.cpu);
	config.pt.block_level = (uint8_t)guest->block_level;
	hyp_report->ipa_bits = config.pt.ipa_bits;
	el2_port_init(&guest->port, &config.pt.cpu, HYP_POOL_BASE,
		      HYP_RAM_BASE + guest->reserve - HYP_POOL_BASE);
	tracing_port(&guest->port.port);
	/* RAM that moves is in no region: reclaim_resolve() knows where it is. */
	guest->port.regions = guest->regions + (guest->tail != 0);
	guest->port.nregions = guest->nregions - (guest->tail != 0);
	if (guest->test)
		guest->port.overlay = testdev_resolve;
	if (guest->tail)
		guest->port.overlay = reclaim_resolve;
	error = s2_vm_init(&guest->vm, &config, &guest->port.port);
	if (error)
		hyp_end(HYP_END_ERROR, "cannot make the guest's address space: %s",
			s2_strerror(error));
	guest->port.vttbr = s2_arm64_vttbr(&guest->vm.pt, VMID);
	for (uint32_t i = 0; i < guest->ncpus; i++)
		s2_walker_init(hyp_cpus[i].walker, &guest->vm.pt);
}

static void slots_add(void)
{
	for (uint32_t i = 0; i < hyp_guest.nregions; i++) {
		const struct el2_region *region = &hyp_guest.regions[i];
		struct s2_memslot *slot = &hyp_guest.slots[i];
		int error;

		slot->gpa = s2_gpa(region->base);
		slot->hva = s2_hva(region->base);
		slot->size = region->size;
		error = s2_vm_slot_add(&hyp_guest.vm, slot);
		if (error)
			hyp_end(HYP_END_ERROR, "cannot give the guest 0x%llx, size 0x%llx: %s",
				(unsigned long long)region->base, (unsigned long long)region->size,
				s2_strerror(error));
	}
}

void hyp_main(uint64_t dtb)
{
	report_start();
	tracing_start();
	dtb_read(&hyp_guest, dtb);
	mmu_map(HYP_POOL_BASE, HYP_RAM_BASE + hyp_guest.reserve - HYP_POOL_BASE, MMU_DATA);
	if (hyp_guest.tail)
		frames_start(&hyp_guest);
	cpus_name();
	vm_create();
	slots_add();
	if (hyp_guest.test)
		testdev_setup(&hyp_guest.vm);
	cpu_setup();
	report_run();
	cpu_enter(&hyp_cpus[0], hyp_guest.ram_base, hyp_guest.dtb);
}

void hyp_secondary(struct hyp_cpu *cpu)
{
	uint64_t entry = cpu->entry;
	uint64_t context = cpu->context;

	cpu_setup();
	__atomic_fetch_add(&hyp_report->cpus, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&cpu->state, HYP_CPU_ON, __ATOMIC_RELEASE);
	cpu_enter(cpu, entry, context);
}
